//! An arbiter's signature under a settlement of what it awarded, and the fee that the settlement leaves for it.

use bincode::{Decode, Encode};
use rand_core::CryptoRng;

use super::{Case, CaseFile, Number, index};
use crate::account::{AccountId, ServingKey};
use crate::binding::agreement::{self, AgreedArbiter};
use crate::binding::dispute::{self, Settles};
use crate::binding::frames::{Closing, Cosign, Cosigned};
use crate::binding::offers::{MAX_OFFERED, TooMany};
use crate::binding::phase::Side;
use crate::escrow::arbitrated::ArbitratedTerms;
use crate::escrow::settlement::{PaidByBalance, Submitter};
use crate::escrow::taking;
use crate::escrow::terms::EscrowTerms;
use crate::intent::Purpose;
use crate::kind::Kind;
use crate::limits::MAX_KEYS_PER_READ;
use crate::market::Market;
use crate::market::event::{Ask, Effect};
use crate::market::leftovers::pause_after;
use crate::market::settling::division;
use crate::market::trades::CLOSING_TOLD_FOR;
use crate::message::{BalanceId, BindingId, Packed, TxHash};
use crate::refusal::{Reason, Refusal};
use crate::stellar::LedgerPoint;
use crate::stellar::entry::{AccountState, BalanceState, Entry};
use crate::stellar::envelope::SignedTransaction;
use crate::stellar::ledger_key::Key;
use crate::step::Step;
use crate::time::Now;

/// Why another version isn't signed.
const TOO_MANY: &str = "32 versions of this side's settlement were named, and one of those can be signed; another one once the \
    ledger shows that the number of one of them was used for something else";

/// When a case's fee is looked for again; a restart begins anew.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Looks {
    count: u32,
    next_at: Now,
}

/// A balance by which a version pays this arbiter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(super) struct Fee {
    balance: BalanceId,
    number: Number,
}

impl Number {
    /// Whether a ledger shows that its transaction was included, or never can be.
    fn is_used(&self, entries: &[Entry]) -> bool {
        let uses = |state: &AccountState| state.id == self.account && state.sequence >= self.sequence;
        entries.iter().any(|entry| matches!(entry, Entry::Account(state) if uses(state)))
    }
}

impl CaseFile {
    /// The balances by which this arbiter may be paid.
    pub(super) fn fees(&self) -> impl Iterator<Item = BalanceId> + Clone + '_ {
        self.fees.iter().flatten().map(|fee| fee.balance)
    }

    /// Looks for a fee that a settlement by this side leaves, from now on; whether that is news. Those that it looks for
    /// already stay: whoever could have them forgotten could settle by one of them.
    fn look_for(&mut self, fee: Fee, side: Side, most: usize) -> Result<bool, TooMany> {
        if self.fees().any(|known| known == fee.balance) {
            return Ok(false);
        }
        let fees = &mut self.fees[index(side)];
        if fees.len() >= most {
            return Err(TooMany);
        }
        fees.push(fee);
        Ok(true)
    }

    /// Forgets what a ledger shows never to come: where a number was used and the fee isn't there, it never will be, and where
    /// the escrow still is, its version didn't take it. From T on, nothing is settled any more.
    fn forget_dead(&mut self, asked: &[Key], entries: &[Entry], is_fee: impl Fn(&BalanceState) -> bool, over: bool) {
        let there = |id: BalanceId| {
            entries.iter().find_map(|entry| match entry {
                Entry::Balance(state) if state.id == id => Some(state),
                _ => None,
            })
        };
        let is_asked = |id: BalanceId| asked.contains(&Key::Balance(id));
        let mut used = Vec::new();
        for fees in &mut self.fees {
            fees.retain(|fee| {
                let is_used = fee.number.is_used(entries);
                let is_dead = is_asked(fee.balance) && (over || is_used) && !there(fee.balance).is_some_and(&is_fee);
                used.extend(Some(fee.number).filter(|_| is_dead && is_used));
                !is_dead
            });
        }
        for versions in &mut self.versions {
            versions.retain(|version| there(version.number.place).is_none() || !used.contains(&version.number));
        }
    }

    /// What to look at: the fees, and whether the numbers are used that their versions have.
    fn fee_keys(&self) -> Vec<Key> {
        let mut keys: Vec<Key> =
            self.fees().chain(self.places().map(|place| place.balance)).map(Key::Balance).collect();
        for fee in self.fees.iter().flatten() {
            let key = Key::Account(fee.number.account);
            if keys.len() < MAX_KEYS_PER_READ && !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }
}

impl Case {
    fn is_collectable_by(&self, account: Option<AccountId>, key: Option<ServingKey>) -> bool {
        self.seat(key).is_some_and(|seat| Some(seat.account) == account)
    }

    fn seat(&self, key: Option<ServingKey>) -> Option<&AgreedArbiter> {
        self.terms().arbiters.iter().find(|arbiter| Some(arbiter.key) == key)
    }

    /// Whether there is something to look at: a fee that may come, or what a party says brought it.
    fn has_looks(&self) -> bool {
        self.file.fees().next().is_some() || self.file.settlements.iter().any(Option::is_some)
    }
}

impl Market {
    /// A party wants an arbiter's signature under the settlement of its award.
    pub(in crate::market) fn arbiter_cosigns(
        &mut self,
        (packed, cosign): (&Packed, Cosign),
        now: Now,
        step: &mut Step<Effect>,
    ) -> Result<Vec<u8>, Refusal> {
        let unknown = || Refusal::new(Reason::UnknownSeries, "no case about this binding is here");
        let binding = cosign.binding;
        let Some(mut case) = self.cases.remove(&binding) else { return self.case_unknown(binding) };
        let before = case.file.clone();
        let signed = self.sign_award(&mut case, (packed, &cosign), now, step);
        if case.side_of(cosign.key).is_some() {
            self.is_there(binding, cosign.key);
        }
        if let Err(Unsigned::TooMany) = signed {
            // Room is made by what the ledger shows.
            case.looks.next_at = case.looks.next_at.min(now.plus(self.setup.margins.heartbeat_every));
        }
        self.keep_if_changed(case, &before, step);
        let key = self.setup.keys.serving.as_ref().ok_or_else(unknown)?;
        let answer = match signed {
            Ok(cosigned) => self.frame(cosigned, key),
            Err(Unsigned::NotNow(why)) => self.case_not_now(binding, why),
            Err(Unsigned::TooMany) => self.case_not_now(binding, TOO_MANY),
            Err(Unsigned::Refused(why)) => self.case_rejected(binding, &why),
            Err(Unsigned::Stranger) => return Err(Refusal::new(Reason::BadSignature, "not a party of the case")),
        };
        answer.ok_or_else(unknown)
    }

    fn sign_award(
        &mut self,
        case: &mut Case,
        (packed, cosign): (&Packed, &Cosign),
        now: Now,
        step: &mut Step<Effect>,
    ) -> Result<Cosigned, Unsigned> {
        let side = case.side_of(cosign.key).ok_or(Unsigned::Stranger)?;
        if now.timestamp() >= case.timeout_at() {
            return Err(Unsigned::NotNow("T has passed: the escrow is the timeout beneficiary's"));
        }
        let Some(place) = case.file.place(cosign.balance) else {
            self.look_at_place(cosign.binding, side, cosign.balance, step);
            return Err(Unsigned::NotNow("the arbiter looks at the balance that is named: ask again"));
        };
        let place = (place.controller, place.balance);
        let key = self.setup.keys.serving.as_ref().ok_or(Unsigned::Stranger)?;
        let Some(EscrowTerms::Arbitrated(terms)) = agreement::escrow_terms(&case.agreement) else {
            return Err(Unsigned::Refused("the binding's escrow has no arbiters".into()));
        };
        let cosigned = self.cosigned(&terms, place, side, cosign, key).map_err(Unsigned::Refused)?;
        // The others may sign it all the same, and pay this arbiter's fee by it.
        if let Some(fee) = self.fee_by(&terms, place, side, cosign)
            && case.file.look_for(fee, side, MAX_OFFERED)?
        {
            case.looks = Looks::default();
        }
        if !case.has_awarded(cosign.split) || !cosign.awarded {
            return Err(Unsigned::NotNow("the arbiter didn't award that"));
        }
        // Where it leaves the other party nothing, that one has nothing to look for.
        let settles = Settles { split: cosign.split, awarded: true };
        if division(&terms, &settles).is_some_and(|division| !division.of(dispute::other(side)).is_zero()) {
            case.keep_version(packed, cosign, side)?;
        }
        Ok(cosigned)
    }

    /// The balance by which this arbiter is paid in a version.
    fn fee_by(
        &self,
        terms: &ArbitratedTerms,
        place: (AccountId, BalanceId),
        side: Side,
        cosign: &Cosign,
    ) -> Option<Fee> {
        let settles = Settles { split: cosign.split, awarded: cosign.awarded };
        let submitter = Submitter { side, account: cosign.account, sequence: cosign.sequence };
        let settlement = self.settlement(terms, place, &settles, submitter).ok()?;
        let own = terms.arbiters().iter().find(|a| Some(a.key) == self.setup.keys.serving_key())?;
        let paid = settlement.balances().iter().find(|paid| paid.payee == own.payee)?;
        let number = Number { place: cosign.balance, account: cosign.account, sequence: cosign.sequence };
        Some(Fee { balance: paid.balance, number })
    }

    /// Looks for the fees of signed awards, now and then.
    pub(in crate::market) fn watch_fees(&mut self, now: Now, step: &mut Step<Effect>) {
        let (account, key) = (self.setup.keys.account_id(), self.setup.keys.serving_key());
        let heartbeat = self.setup.margins.heartbeat_every;
        let full = |case: &Case| case.file.fees.iter().any(|fees| fees.len() >= MAX_OFFERED);
        let looks = |case: &Case| case.has_looks() && (case.is_collectable_by(account, key) || full(case));
        let due = |case: &&mut Case| case.looks.next_at <= now && looks(case);
        for case in self.cases.values_mut().filter(due) {
            let pause = pause_after(heartbeat, case.looks.count);
            case.looks = Looks { count: case.looks.count.saturating_add(1), next_at: now.plus(pause) };
            let keys = if case.file.fees().next().is_some() { case.file.fee_keys() } else { Vec::new() };
            if !keys.is_empty() {
                step.then(Effect::Read { ask: Ask::Leftovers(case.binding()), keys });
            }
            case.file.settlements.iter().flatten().for_each(|hash| step.then(Effect::AskStatus { hash: *hash }));
        }
    }

    /// A party says which transaction settled a case: the ledger is asked.
    pub(in crate::market) fn case_settled(
        &mut self,
        closing: &Closing,
        now: Now,
        step: &mut Step<Effect>,
    ) -> Result<Vec<u8>, Refusal> {
        let unknown = || Refusal::new(Reason::UnknownSeries, "no case about this binding is here");
        let mut case = self.cases.remove(&closing.binding).ok_or_else(unknown)?;
        let (before, side) = (case.file.clone(), case.side_of(closing.key));
        if let Some(side) = side.filter(|_| now.timestamp() < case.timeout_at().plus(CLOSING_TOLD_FOR)) {
            let known = case.file.settlements[index(side)].replace(closing.transaction);
            if known != Some(closing.transaction) {
                // However many it names, the ledger is asked once in a heartbeat.
                let next_at = case.looks.next_at.min(now.plus(self.setup.margins.heartbeat_every));
                case.looks = Looks { count: 0, next_at };
            }
        }
        self.keep_if_changed(case, &before, step);
        if side.is_none() {
            return Err(Refusal::new(Reason::BadSignature, "not a party of the case"));
        }
        self.case_ack(closing.binding, Kind::Closing).ok_or_else(unknown)
    }

    /// A transaction was read that a party says settled a case: whether it took the escrow, and which balance is the fee.
    pub(in crate::market) fn case_settlement_read(
        &mut self,
        hash: TxHash,
        envelope: &[u8],
        now: Now,
        step: &mut Step<Effect>,
    ) {
        let its = |case: &&Case| case.file.settlements.contains(&Some(hash));
        let concerned: Vec<BindingId> = self.cases.values().filter(its).map(Case::binding).collect();
        for binding in concerned {
            let Some(mut case) = self.cases.remove(&binding) else { continue };
            let (before, own) = (case.file.clone(), self.setup.keys.account_id());
            // Which of the binding's balances it took, an arbiter may never have heard: what it pays this account, counts.
            let network = self.setup.network;
            let transaction = SignedTransaction::read_included(envelope, &network).ok();
            let claimed = taking::claimed(envelope, &network).unwrap_or_default();
            let taking = agreement::escrow_terms(&case.agreement).and_then(|terms| {
                let of = |balance| Some((balance, terms.taking(balance, envelope, &network).ok().flatten()?));
                claimed.into_iter().find_map(of)
            });
            let over = now.timestamp() >= case.timeout_at().plus(CLOSING_TOLD_FOR);
            let by = if case.file.settlements[0] == Some(hash) { Side::Provider } else { Side::Consumer };
            if !envelope.is_empty() || over {
                case.file.settlements = case.file.settlements.map(|known| known.filter(|known| *known != hash));
            }
            for ((place, taking), transaction) in taking.iter().zip(&transaction) {
                let (account, sequence) = (transaction.source(), transaction.sequence());
                let number = Number { place: *place, account, sequence };
                // What is on the ledger is found at once, or not at all, so it needs little room beside what may come.
                for (_, balance) in taking.paid.iter().filter(|(account, _)| Some(*account) == own) {
                    if case.file.look_for(Fee { balance: *balance, number }, by, 2 * MAX_OFFERED) == Ok(true) {
                        case.looks = Looks::default();
                    }
                }
            }
            self.keep_if_changed(case, &before, step);
        }
    }

    /// The fees of a case were looked for: one that is there is claimed, as long as one may come.
    #[expect(clippy::too_many_arguments, reason = "the event's own fields, with time and randomness")]
    pub(in crate::market) fn fees_read(
        &mut self,
        binding: BindingId,
        at: LedgerPoint,
        asked: &[Key],
        entries: &[Entry],
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let Some(mut case) = self.cases.remove(&binding) else { return };
        let (before, over) = (case.file.clone(), at.close_time >= case.timeout_at());
        let (key, own) = (self.setup.keys.serving_key(), self.setup.keys.account_id());
        // A number that a version named may have served another transaction, whose balance is another one.
        let (seat, asset) = (case.seat(key).map(|seat| (seat.account, seat.fee)), case.terms().asset.clone());
        let is_fee = |found: &BalanceState| {
            let paid = seat.map(|(payee, amount)| PaidByBalance { payee, amount, balance: found.id });
            paid.is_some_and(|paid| paid.is_as_made(found, &asset))
        };
        case.file.forget_dead(asked, entries, is_fee, over);
        let is_there = |fee: &BalanceId| {
            entries.iter().any(|entry| matches!(entry, Entry::Balance(found) if found.id == *fee && is_fee(found)))
        };
        // Versions for two cases may have had the same sequence number, and so the same balance: it is claimed once.
        let is_free = |fee: &BalanceId| self.left.iter().all(|(other, taken)| *other == binding || taken != fee);
        let there =
            case.file.fees().filter(|_| case.is_collectable_by(own, key)).find(|fee| is_there(fee) && is_free(fee));
        let gone = |taken: &BalanceId| case.file.fees().all(|fee| fee != *taken);
        if self.left.get(&binding).is_some_and(gone) && self.is_unsigned(Purpose::Receive { binding }) {
            self.left.remove(&binding);
        }
        self.keep_if_changed(case, &before, step);
        // What a server that is behind shows may be claimed already.
        if let Some(fee) = there.filter(|_| self.knows_all_of(at)) {
            self.left.insert(binding, fee);
            self.want(Purpose::Receive { binding });
            self.tend_queue(now, rng, step);
        }
    }

    /// A case's fee is in this account. What else bears a number that was named may have been put there to hide it: it is
    /// looked for until none can come.
    pub(in crate::market) fn fee_received(
        &mut self,
        binding: BindingId,
        claimed: &[BalanceId],
        step: &mut Step<Effect>,
    ) {
        let Some(mut case) = self.cases.remove(&binding) else { return };
        let before = case.file.clone();
        case.file.fees.iter_mut().for_each(|fees| fees.retain(|fee| !claimed.contains(&fee.balance)));
        case.looks = Looks::default();
        self.keep_if_changed(case, &before, step);
    }
}

/// Why a settlement isn't signed.
enum Unsigned {
    /// Not now, or not any more.
    NotNow(&'static str),
    /// So many are signed that one would be forgotten.
    TooMany,
    /// It can't be.
    Refused(String),
    /// Nobody who may ask.
    Stranger,
}

impl From<TooMany> for Unsigned {
    fn from(_: TooMany) -> Self {
        Self::TooMany
    }
}
