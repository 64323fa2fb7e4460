//! One exchange that this node follows: what was agreed to, what the ledger has shown of it, and how that is kept.

use std::collections::{BTreeSet, VecDeque};

use bincode::{Decode, Encode};

use crate::asset::Asset;
use crate::community::chain::Chain;
use crate::community::included::Included;
use crate::community::role::{Holdings, MAX_MEMBERS};
use crate::community::rules::Look;
use crate::community::{Terms, tag};
use crate::frame;
use crate::market::event::{Effect, FollowedPage, FollowedTransaction};
use crate::message::TxHash;
use crate::network_id::NetworkId;
use crate::stellar::LedgerPoint;
use crate::stellar::entry::Entry;
use crate::stellar::ledger_key::Key;
use crate::step::{Space, Step};
use crate::time::{Now, Timestamp};

use super::{EXCHANGE, TRANSACTION};

/// The most steps of one exchange that are kept; the oldest quarter goes when there are more, strangers' first.
const MAX_KEPT: usize = 8_192;
/// The most of those that say who came and who left: as many as an agent lets in, each of whom can leave once.
const MAX_MEMBERSHIPS: usize = 2 * MAX_MEMBERS;
/// Accounts whose holdings are remembered at once.
const MAX_HOLDINGS: usize = 1_024;
/// Without anything to keep, so many ledgers pass until it is stored how far an exchange was followed.
const STORED_EVERY: u32 = 64;

/// What isn't known of an exchange, as a stored byte's bits.
const MISSED: u8 = 1;
const FORGOT: u8 = 2;

/// An exchange as it is stored.
#[derive(Encode, Decode)]
struct StoredExchange {
    terms: Terms,
    next: u32,
    unknown: u8,
    lists: Option<u64>,
}

/// A transaction as it is stored. Where it is but a part of a larger one, its row's key says the whole one's hash.
#[derive(Encode, Decode)]
struct StoredTransaction {
    at: LedgerPoint,
    envelope: Vec<u8>,
}

/// An exchange that this node follows.
#[derive(Debug)]
pub struct Exchange {
    /// What was agreed to.
    pub terms: Terms,
    /// What the ledger has shown.
    pub chain: Chain,
    /// Whether ledgers were missed that no server remembers: what happened in them isn't known.
    missed: bool,
    /// Whether the oldest steps were forgotten because there were too many.
    forgot: bool,
    /// The first ledger that wasn't looked at yet.
    pub(super) next: u32,
    /// That, as it is stored.
    stored: u32,
    /// For how long its agent offers it, seconds, where this node is to do that.
    pub(super) lists: Option<u64>,
    pub(super) asked: Option<Now>,
    kept: VecDeque<(Vec<u8>, Included)>,
    /// The place of the next one among them, which only grows.
    place: u32,
    seen: BTreeSet<TxHash>,
    pub(super) holdings: Holdings,
    pub(super) reading: Option<Now>,
    /// Whose turn it is among those whom a role owes something.
    pub(super) turn: u32,
    /// Until when it is followed though this node's account isn't in it.
    pub(super) looked_at_until: Now,
}

impl Exchange {
    pub(super) fn new(terms: Terms) -> Self {
        Self {
            terms,
            chain: Chain::default(),
            missed: false,
            forgot: false,
            next: 0,
            stored: 0,
            lists: None,
            asked: None,
            kept: VecDeque::new(),
            place: 0,
            seen: BTreeSet::new(),
            holdings: Holdings::new(),
            reading: None,
            turn: 0,
            looked_at_until: Now::default(),
        }
    }

    pub(super) fn restored(row: &[u8]) -> Result<Self, String> {
        let stored: StoredExchange = frame::decode(row).map_err(|e| e.to_string())?;
        let mut exchange = Self::new(stored.terms);
        (exchange.next, exchange.stored, exchange.lists) = (stored.next, stored.next, stored.lists);
        (exchange.missed, exchange.forgot) = (stored.unknown & MISSED != 0, stored.unknown & FORGOT != 0);
        Ok(exchange)
    }

    /// It, as of a ledger.
    pub fn look(&self, now: Timestamp) -> Look<'_> {
        Look { terms: &self.terms, chain: &self.chain, now }
    }

    /// The last ledger that was looked at.
    pub const fn followed(&self) -> u32 {
        self.next.saturating_sub(1)
    }

    /// Whether something that happened in it is no longer known here: ledgers that no server remembers were missed, or
    /// there were more steps than are kept.
    pub const fn has_gap(&self) -> bool {
        self.forgot || self.missed
    }

    /// Whether it began before the oldest ledger that was there to look at, or hasn't begun yet.
    pub const fn begins_late(&self) -> bool {
        self.next > 0 && !self.chain.is_endowed()
    }

    /// Whether everybody who came and left is known here.
    pub(super) const fn knows_members(&self) -> bool {
        !self.missed && self.chain.is_endowed()
    }

    /// What was last read of the holdings that its issuer looks at.
    pub const fn holdings(&self) -> &Holdings {
        &self.holdings
    }

    /// A stored transaction comes back.
    pub(super) fn keep(&mut self, key: Vec<u8>, row: &[u8], network: &NetworkId) -> Result<(), String> {
        let stored: StoredTransaction = frame::decode(row).map_err(|e| e.to_string())?;
        let mut included = Included::read(&stored.envelope, stored.at, network).map_err(|e| e.to_string())?;
        let hash = key.get(17..).and_then(|bytes| bytes.try_into().ok()).ok_or("a key of another length")?;
        included.hash = TxHash::from_bytes(hash);
        self.chain.take_in(&self.terms, &included);
        let place = key.get(13..17).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
        self.place = self.place.max(place.unwrap_or_default());
        self.note(key, included);
        Ok(())
    }

    fn note(&mut self, key: Vec<u8>, included: Included) {
        self.place = self.place.saturating_add(1);
        self.seen.insert(included.hash);
        self.kept.push_back((key, included));
    }

    /// A page of the ledger's history came.
    pub(super) fn take_page(&mut self, page: FollowedPage, network: &NetworkId, step: &mut Step<Effect>) {
        let mut news = page.gap;
        self.missed |= page.gap;
        for FollowedTransaction { at, envelope } in page.transactions {
            let Ok((included, envelope)) = Included::read_to_keep(envelope, at, network) else {
                // A ledger includes nothing that can't be read; where it seems so, it isn't known what was done.
                (self.missed, news) = (true, true);
                continue;
            };
            if self.seen.contains(&included.hash) || !self.chain.take_in(&self.terms, &included) {
                continue;
            }
            let key = transaction_key(&self.terms.clawable, at, included.hash, self.place);
            let bytes = frame::encode(&StoredTransaction { at, envelope }).expect("what is kept of one is bounded");
            step.batch().put(Space::Community, key.clone(), bytes);
            self.note(key, included);
            news = true;
        }
        if page.through >= self.next {
            self.next = page.through.saturating_add(1);
            self.turn = self.turn.wrapping_add(1);
        }
        self.prune(step);
        if news || self.next >= self.stored.saturating_add(STORED_EVERY) {
            self.store(step);
        }
    }

    pub(super) fn store(&mut self, step: &mut Step<Effect>) {
        self.stored = self.next;
        let unknown = if self.missed { MISSED } else { 0 } | if self.forgot { FORGOT } else { 0 };
        let stored = StoredExchange { terms: self.terms.clone(), next: self.next, unknown, lists: self.lists };
        let bytes = frame::encode(&stored).expect("terms are small");
        step.batch().put(Space::Community, exchange_key(&self.terms.clawable), bytes);
    }

    /// Forgets the oldest steps where there are too many, and folds the rest anew. What strangers did goes first; who
    /// came and who left is kept apart from that, or whoever came would be given its start again.
    fn prune(&mut self, step: &mut Step<Effect>) {
        let memberships = self.kept.iter().filter(|(_, tx)| self.chain.is_membership(tx.hash)).count();
        let steps = self.kept.len() - memberships;
        if steps <= MAX_KEPT && memberships <= MAX_MEMBERSHIPS {
            return;
        }
        let too_many = |count: usize, most: usize| if count > most { count - most + most / 4 } else { 0 };
        let (mut steps, mut memberships) = (too_many(steps, MAX_KEPT), too_many(memberships, MAX_MEMBERSHIPS));
        let strangers = self.kept.iter().filter(|(_, tx)| self.is_strangers(tx)).count();
        let mut strangers = strangers.min(steps);
        steps -= strangers;
        let (mut kept, mut gone) = (VecDeque::with_capacity(self.kept.len()), Vec::new());
        for (key, tx) in core::mem::take(&mut self.kept) {
            let counter = match () {
                () if self.chain.is_membership(tx.hash) => &mut memberships,
                () if self.is_strangers(&tx) => &mut strangers,
                () => &mut steps,
            };
            match *counter {
                0 => kept.push_back((key, tx)),
                _ => {
                    *counter -= 1;
                    gone.push((key, tx.hash));
                }
            }
        }
        self.kept = kept;
        for (key, hash) in gone {
            self.seen.remove(&hash);
            step.batch().delete(Space::Community, key);
        }
        self.forgot = true;
        self.chain = Chain::default();
        for (_, included) in &self.kept {
            self.chain.take_in(&self.terms, included);
        }
    }

    /// Whether it is by somebody who has no part in the exchange.
    fn is_strangers(&self, tx: &Included) -> bool {
        let run_it = [self.terms.agent, self.terms.issuer(), self.terms.plain_issuer()];
        !self.chain.has_joined(tx.source) && !run_it.contains(&tx.source)
    }

    /// Nothing of it is stored any more.
    pub(super) fn forget(&self, step: &mut Step<Effect>) {
        for (key, _) in &self.kept {
            step.batch().delete(Space::Community, key.clone());
        }
        step.batch().delete(Space::Community, exchange_key(&self.terms.clawable));
    }

    /// What of these accounts' holdings was read.
    pub(super) fn holdings_read(&mut self, asked: &[Key], entries: &[Entry]) {
        if self.holdings.len() > MAX_HOLDINGS {
            self.holdings.clear();
        }
        for key in asked {
            if let Key::Trustline(account, asset) = key {
                self.holdings.remove(&(*account, asset.clone()));
            }
        }
        for entry in entries {
            if let Entry::Trustline(line) = entry {
                self.holdings.insert((line.account, line.asset.clone()), line.available());
            }
        }
    }
}

fn exchange_key(clawable: &Asset) -> Vec<u8> {
    [&[EXCHANGE][..], &tag(clawable)].concat()
}

fn transaction_key(clawable: &Asset, at: LedgerPoint, hash: TxHash, place: u32) -> Vec<u8> {
    let (sequence, place) = (at.sequence.to_be_bytes(), place.to_be_bytes());
    [&[TRANSACTION][..], &tag(clawable), &sequence, &place, hash.as_bytes()].concat()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::account::AccountId;
    use crate::amount::Stroops;
    use crate::community::shape::{self, MakeKind};
    use crate::community::tests::{account, envelope, large_lock, net, terms};
    use crate::stellar::{Memo, Operation, operation};
    use crate::step::{Batch, Write};
    use std::collections::BTreeMap;

    #[test]
    fn what_is_stored_of_an_exchange_has_its_golden_bytes() {
        let terms_bytes = hex::encode(frame::encode(&terms()).unwrap());
        let stored = StoredExchange { terms: terms(), next: 300, unknown: MISSED, lists: Some(60) };
        let bytes = frame::encode(&stored).unwrap();
        assert_eq!(hex::encode(&bytes), format!("{terms_bytes}fb2c0101013c"));
        let at = LedgerPoint::new(7, Timestamp::from_secs(9));
        let bytes = frame::encode(&StoredTransaction { at, envelope: vec![1, 2] }).unwrap();
        assert_eq!(hex::encode(&bytes), "0709020102");
    }

    const ANN: u8 = 10;
    const BEN: u8 = 11;
    const STRANGER: u8 = 99;

    /// An exchange with the rows that are stored of it, each page of its history a ledger.
    struct Followed {
        exchange: Exchange,
        rows: BTreeMap<Vec<u8>, Vec<u8>>,
        sequence: i64,
        page: Vec<FollowedTransaction>,
    }

    impl Followed {
        fn new() -> Self {
            let (rows, page) = (BTreeMap::new(), Vec::new());
            let mut followed = Self { exchange: Exchange::new(terms()), rows, sequence: 0, page };
            let (clawable, plain) = (terms().clawable, terms().plain);
            let give = |asset| operation::pay(terms().agent, asset, Stroops::whole(9));
            let endow = vec![give(&clawable), operation::by(terms().plain_issuer(), give(&plain))];
            followed.told(terms().issuer(), Memo::None, endow);
            for who in [ANN, BEN] {
                followed.told(account(who), Memo::None, shape::join(&terms(), account(who)).unwrap());
            }
            followed.look(false);
            followed
        }

        fn told(&mut self, who: AccountId, memo: Memo, operations: Vec<Operation>) {
            self.sequence += 1;
            let at = LedgerPoint::new(self.exchange.next + 1, Timestamp::from_secs(1_000));
            self.page.push(FollowedTransaction { at, envelope: envelope(who, self.sequence, memo, operations) });
        }

        fn make(&mut self, who: u8) {
            let make = shape::make(&terms(), account(who), 0, "x").unwrap();
            self.told(account(who), shape::make_memo(MakeKind::Offer, 0), make);
        }

        fn look(&mut self, gap: bool) {
            let (transactions, through) = (core::mem::take(&mut self.page), self.exchange.next + 1);
            let mut step = Step::none();
            self.exchange.take_page(FollowedPage { transactions, through, gap }, &net(), &mut step);
            self.commit(step);
        }

        fn commit(&mut self, step: Step<Effect>) {
            let (batch, _): (Batch, _) = step.into_parts();
            for write in batch.writes() {
                match write.clone() {
                    Write::Put { key, value, .. } => drop(self.rows.insert(key, value)),
                    Write::Delete { key, .. } => drop(self.rows.remove(&key)),
                }
            }
        }

        /// It, as it comes back after a crash.
        fn restored(&self) -> Exchange {
            let mut exchange = Exchange::restored(&self.rows[&exchange_key(&terms().clawable)]).unwrap();
            for (key, row) in self.rows.iter().filter(|(key, _)| key[0] == TRANSACTION) {
                exchange.keep(key.clone(), row, &net()).unwrap();
            }
            exchange
        }

        fn makes_of(&self, who: u8) -> usize {
            self.exchange.chain.makes().filter(|make| make.maker == account(who)).count()
        }
    }

    #[test]
    fn who_came_is_remembered_when_old_steps_are_forgotten() {
        let mut followed = Followed::new();
        for _ in 0..MAX_KEPT {
            followed.make(ANN);
        }
        followed.look(false);
        assert!(!followed.exchange.has_gap());
        followed.make(BEN);
        followed.look(false);
        assert!(followed.exchange.has_gap(), "and it says so");
        for exchange in [&followed.exchange, &followed.restored()] {
            assert!(exchange.chain.is_endowed() && exchange.knows_members() && exchange.has_gap());
            assert!([ANN, BEN].iter().all(|who| exchange.chain.is_member(account(*who))));
            assert_eq!(exchange.chain.makes().count(), MAX_KEPT - MAX_KEPT / 4);
            assert_eq!(exchange.kept.len(), MAX_KEPT - MAX_KEPT / 4 + 3);
        }
        assert_eq!(followed.rows.len(), followed.exchange.kept.len() + 1);
    }

    #[test]
    fn what_strangers_did_is_forgotten_before_anything_else() {
        let mut followed = Followed::new();
        followed.make(ANN);
        for n in 0..MAX_KEPT {
            followed.make(STRANGER.wrapping_add((n % 2) as u8));
        }
        followed.make(BEN);
        followed.look(false);
        assert_eq!((followed.makes_of(ANN), followed.makes_of(BEN)), (1, 1));
        let strangers = followed.makes_of(STRANGER) + followed.makes_of(STRANGER + 1);
        assert!(strangers < MAX_KEPT - MAX_KEPT / 4, "they count like others: {strangers}");
        assert!(followed.exchange.chain.is_member(account(ANN)));
    }

    #[test]
    fn ledgers_that_no_server_remembers_leave_a_gap_that_a_restart_still_knows() {
        let mut followed = Followed::new();
        assert!(followed.exchange.knows_members() && !followed.exchange.begins_late());
        followed.look(true);
        for exchange in [&followed.exchange, &followed.restored()] {
            assert!(exchange.has_gap() && !exchange.knows_members());
            assert!(exchange.chain.is_member(account(ANN)), "what was seen stays seen");
        }
        // One that is looked at for the first time when its beginning is forgotten.
        let mut late =
            Followed { exchange: Exchange::new(terms()), rows: BTreeMap::new(), sequence: 0, page: Vec::new() };
        late.told(account(ANN), Memo::None, shape::join(&terms(), account(ANN)).unwrap());
        late.look(false);
        assert!(late.exchange.begins_late() && !late.exchange.knows_members());
    }

    #[test]
    fn what_a_transaction_larger_than_any_step_takes_is_taken_after_a_restart_too() {
        let mut followed = Followed::new();
        followed.make(ANN);
        followed.look(false);
        let balance = followed.exchange.chain.makes().next().unwrap().balance;
        let mut operations = vec![operation::claim(balance)];
        operations.extend((0..97).map(|_| large_lock()));
        followed.told(account(ANN), Memo::None, operations.clone());
        operations.extend(shape::trust(&terms(), Stroops::ZERO).unwrap());
        followed.told(account(BEN), Memo::None, operations);
        followed.look(false);
        for exchange in [&followed.exchange, &followed.restored()] {
            assert!(!exchange.chain.stands(balance));
            assert!(exchange.chain.is_member(account(ANN)) && !exchange.chain.is_member(account(BEN)));
        }
        assert!(followed.rows.values().all(|row| row.len() < 2_000));
    }

    #[test]
    fn an_exchange_that_is_forgotten_leaves_no_rows() {
        let mut followed = Followed::new();
        followed.make(ANN);
        followed.look(false);
        let mut step = Step::none();
        followed.exchange.forget(&mut step);
        followed.commit(step);
        assert!(followed.rows.is_empty());
    }
}
