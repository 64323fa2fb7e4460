//! Finding an account's escrows, their controllers and its bonds from its key alone.
//!
//! A balance's id follows from its transaction's source, sequence number and operation, and both kinds are operation 0
//! of a transaction of the account's own. So a [`Walk`] goes its sequence numbers down, a page of ids at a time, and
//! [`Found::read`] says of what stands there what it is, whose, and from when on.
//!
//! A new account's sequence number begins at its ledger's number in the upper 32 bits, which is where the walk ends. An
//! account whose number was bumped across that bound by another program has a part that the walk doesn't see.

use bincode::{Decode, Encode};

use crate::account::AccountId;
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::binding::frames::Note;
use crate::frame::{self, FrameError};
use crate::limits::MAX_KEYS_PER_READ;
use crate::message::{BalanceId, BindingId, SeriesId, TxHash};
use crate::stellar::balance_id;
use crate::stellar::entry::BalanceState;
use crate::stellar::predicate::Predicate;
use crate::time::Timestamp;

/// Sequence numbers in one page, each of which may have left a balance and a controller.
pub const PAGE: usize = MAX_KEYS_PER_READ / 2;
/// Interrupted parts that a walk remembers; with more of them it begins anew.
const MAX_RANGES: usize = 8;

/// Sequence numbers still to be asked for, from the highest down to the lowest, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
struct Range {
    high: i64,
    low: i64,
}

/// The way down an account's sequence numbers; its stored form is where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Walk {
    account: AccountId,
    newest: i64,
    /// The last is walked first.
    ranges: Vec<Range>,
}

/// How far a walk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Sequence numbers that were asked for.
    pub walked: u64,
    /// All that there are.
    pub of: u64,
}

impl Progress {
    /// Whether there is nothing left to ask for.
    pub const fn is_done(self) -> bool {
        self.walked == self.of
    }
}

impl Walk {
    /// A walk from an account's present sequence number down to its first.
    pub fn begin(account: AccountId, newest: i64) -> Self {
        let mut walk = Self { account, newest, ranges: Vec::new() };
        walk.add(newest, first(newest));
        walk
    }

    /// Goes on with a walk that was interrupted, and takes in what the account did since.
    pub fn resumed(self, account: AccountId, newest: i64) -> Self {
        let same = self.account == account && first(self.newest) == first(newest) && newest >= self.newest;
        if !same || self.ranges.len() >= MAX_RANGES {
            return Self::begin(account, newest);
        }
        let mut walk = Self { newest, ..self.clone() };
        if let Some(next) = self.newest.checked_add(1) {
            walk.add(newest, next);
        }
        walk
    }

    fn add(&mut self, high: i64, low: i64) {
        if high >= low {
            self.ranges.push(Range { high, low });
        }
    }

    /// The sequence number and id of each balance to read next, at most [`PAGE`]; empty at the end.
    pub fn page(&self) -> Vec<(i64, BalanceId)> {
        let Some(range) = self.ranges.last() else { return Vec::new() };
        let sequences = (range.low..=range.high).rev().take(PAGE);
        sequences.map(|sequence| (sequence, balance_id::of_operation(self.account, sequence, 0))).collect()
    }

    /// The highest sequence number of the page to read next; `None` at the end.
    pub fn at(&self) -> Option<i64> {
        self.ranges.last().map(|range| range.high)
    }

    /// The page was read: what of it is an escrow or a bond. The next page follows.
    pub fn read(&mut self, entries: &[BalanceState]) -> Vec<Found> {
        let page = self.page();
        if let (Some(range), Some((last, _))) = (self.ranges.last_mut(), page.last()) {
            range.high = last - 1;
            if range.high < range.low {
                self.ranges.pop();
            }
        }
        let of = |balance: &BalanceState| page.iter().find(|(_, id)| *id == balance.id).map(|(sequence, _)| *sequence);
        entries.iter().filter_map(|balance| Found::read(balance, of(balance)?)).collect()
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        let count = |range: &Range| range.high.abs_diff(range.low) + 1;
        let of = self.newest.abs_diff(beginning(self.newest));
        Progress { walked: of.saturating_sub(self.ranges.iter().map(count).sum()), of }
    }

    /// Its stored form.
    ///
    /// # Errors
    /// Never for one that was made here.
    pub fn to_bytes(&self) -> Result<Vec<u8>, FrameError> {
        frame::encode(self)
    }

    /// Reads its stored form.
    ///
    /// # Errors
    /// Where the bytes aren't one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FrameError> {
        frame::decode(bytes)
    }
}

/// The first sequence number that an account with this one used.
const fn first(newest: i64) -> i64 {
    beginning(newest) + 1
}

/// The number that an account with this one was made with.
const fn beginning(newest: i64) -> i64 {
    (newest >> 32) << 32
}

/// What a balance that was found is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum FoundFor {
    /// An escrow that the account funded.
    Escrow {
        /// The binding that it commits to.
        binding: BindingId,
        /// Who may take it before it is due.
        recipient: AccountId,
    },
    /// The bond of one of the account's offerings.
    Bond {
        /// The series that it backs.
        series: SeriesId,
    },
}

/// What became of a balance that was found.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum FoundState {
    /// It stands, and nobody said that it should be taken back.
    Standing,
    /// It is taken back once it is due.
    Wanted,
    /// It is back, by this transaction.
    Taken(TxHash),
    /// It is gone: somebody else who may took it, or the same key elsewhere.
    Gone,
}

/// An escrow or a bond that was found.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Found {
    /// The balance.
    pub balance: BalanceId,
    /// The sequence number of the transaction that made it.
    pub sequence: i64,
    /// What it is for.
    pub purpose: FoundFor,
    /// Who gets it when it is due.
    pub returns_to: AccountId,
    /// From when on.
    pub due: Timestamp,
    /// How much, in `asset`.
    pub amount: Stroops,
    /// That asset.
    pub asset: Asset,
    /// What became of it.
    pub state: FoundState,
    /// Why taking it failed last.
    pub note: Option<Note>,
}

impl Found {
    /// What a balance is, from its claimants alone; `None` where it is neither an escrow nor a bond.
    pub fn read(balance: &BalanceState, sequence: i64) -> Option<Self> {
        let (mut before, mut from, mut never) = (None, None, None);
        for claimant in &balance.claimants {
            let place = match &claimant.predicate {
                Predicate::Before(at) => before.replace((claimant.account, *at)).is_none(),
                Predicate::From(at) => from.replace((claimant.account, *at)).is_none(),
                Predicate::Never => never.replace(claimant.account).is_none(),
                Predicate::Always | Predicate::Other(_) => false,
            };
            if !place {
                return None;
            }
        }
        let (returns_to, due) = from?;
        let id = *never?.as_bytes();
        let purpose = match before {
            None => FoundFor::Bond { series: SeriesId::from_bytes(id) },
            Some((recipient, at)) if at == due => FoundFor::Escrow { binding: BindingId::from_bytes(id), recipient },
            Some(_) => return None,
        };
        Some(Self {
            balance: balance.id,
            sequence,
            purpose,
            returns_to,
            due,
            amount: balance.amount,
            asset: balance.asset.clone(),
            state: FoundState::Standing,
            note: None,
        })
    }

    /// Its stored form.
    ///
    /// # Errors
    /// Never for one that was read here.
    pub fn to_bytes(&self) -> Result<Vec<u8>, FrameError> {
        frame::encode(self)
    }

    /// Reads its stored form.
    ///
    /// # Errors
    /// Where the bytes aren't one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FrameError> {
        frame::decode(bytes)
    }
}

/// The controller of an escrow that the account funded, found by its key.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct FoundController {
    /// The sequence number of the funding that made it, from which its key follows.
    pub sequence: i64,
    /// The account.
    pub account: AccountId,
    /// Its coins, which come back with it.
    pub reserve: Stroops,
    /// From when on it can be taken back, once that is known.
    pub deadline: Option<Timestamp>,
    /// The deadline isn't before this: the search for it goes on here.
    pub tried: Timestamp,
    /// What became of it; it is never *taken*, for it is gone then.
    pub state: FoundState,
    /// Why it can't be taken back.
    pub note: Option<Note>,
}

impl FoundController {
    /// Its stored form.
    ///
    /// # Errors
    /// Never for one that was made here.
    pub fn to_bytes(&self) -> Result<Vec<u8>, FrameError> {
        frame::encode(self)
    }

    /// Reads its stored form.
    ///
    /// # Errors
    /// Where the bytes aren't one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FrameError> {
        frame::decode(bytes)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::stellar::entry::BalanceClaimant;

    const LEDGER: i64 = 77 << 32;

    fn account(n: u8) -> AccountId {
        AccountId::from_bytes([n; 32])
    }

    fn balance(sequence: i64, claimants: Vec<(u8, Predicate)>) -> BalanceState {
        BalanceState {
            id: balance_id::of_operation(account(1), sequence, 0),
            asset: Asset::Native,
            amount: Stroops::whole(5),
            claimants: claimants
                .into_iter()
                .map(|(n, predicate)| BalanceClaimant { account: account(n), predicate })
                .collect(),
            clawback_enabled: false,
            sponsor: Some(account(1)),
        }
    }

    fn escrow(sequence: i64) -> BalanceState {
        let t = Timestamp::from_secs(100);
        balance(sequence, vec![(2, Predicate::Before(t)), (1, Predicate::From(t)), (9, Predicate::Never)])
    }

    fn bond(sequence: i64) -> BalanceState {
        balance(sequence, vec![(1, Predicate::From(Timestamp::from_secs(50))), (8, Predicate::Never)])
    }

    /// Walks to the end over these balances: what is found, and how many pages it took.
    fn walk(mut walk: Walk, standing: &[BalanceState]) -> (Vec<Found>, usize) {
        let (mut found, mut pages) = (Vec::new(), 0);
        while walk.at().is_some() {
            let page = walk.page();
            assert!(!page.is_empty() && page.len() <= PAGE);
            let there: Vec<_> = standing.iter().filter(|b| page.iter().any(|(_, id)| *id == b.id)).cloned().collect();
            found.extend(walk.read(&there));
            pages += 1;
        }
        assert!(walk.progress().is_done() && walk.page().is_empty() && walk.read(standing).is_empty());
        (found, pages)
    }

    #[test]
    fn an_account_that_did_nothing_has_nothing_to_walk() {
        let fresh = Walk::begin(account(1), LEDGER);
        assert_eq!(fresh.progress(), Progress { walked: 0, of: 0 });
        assert_eq!(walk(fresh, &[escrow(LEDGER)]), (vec![], 0));
    }

    #[test]
    fn every_sequence_number_is_asked_for_once_from_the_newest_to_the_first() {
        for (used, pages) in [(1, 1), (99, 1), (100, 1), (101, 2), (200, 2), (500, 5)] {
            let mut way = Walk::begin(account(1), LEDGER + used);
            let mut asked = Vec::new();
            while let Some(at) = way.at() {
                assert_eq!(way.progress(), Progress { walked: asked.len() as u64, of: used as u64 });
                let page = way.page();
                assert_eq!(page[0].0, at);
                asked.extend(page.into_iter().map(|(sequence, _)| sequence));
                way.read(&[]);
            }
            assert_eq!(asked, (LEDGER + 1..=LEDGER + used).rev().collect::<Vec<_>>());
            assert_eq!(walk(Walk::begin(account(1), LEDGER + used), &[]), (vec![], pages));
        }
    }

    #[test]
    fn what_stands_is_found_over_gaps_and_pages_at_both_ends() {
        let standing = [bond(LEDGER + 1), escrow(LEDGER + 300), bond(LEDGER + 301), escrow(LEDGER + 900)];
        let (found, pages) = walk(Walk::begin(account(1), LEDGER + 900), &standing);
        assert_eq!(pages, 9);
        assert_eq!(found.iter().map(|f| f.sequence - LEDGER).collect::<Vec<_>>(), [900, 301, 300, 1]);
        let binding = BindingId::from_bytes([9; 32]);
        assert_eq!(found[0].purpose, FoundFor::Escrow { binding, recipient: account(2) });
        assert_eq!((found[0].due, found[0].returns_to), (Timestamp::from_secs(100), account(1)));
        assert_eq!(found[3].purpose, FoundFor::Bond { series: SeriesId::from_bytes([8; 32]) });
        assert_eq!((found[3].due, found[3].balance), (Timestamp::from_secs(50), standing[0].id));
    }

    #[test]
    fn an_interrupted_walk_goes_on_where_it_was_and_takes_in_what_came_since() {
        let mut way = Walk::begin(account(1), LEDGER + 500);
        assert!(way.read(&[]).is_empty());
        let stored = Walk::from_bytes(&way.to_bytes().unwrap()).unwrap();
        assert_eq!(stored, way);
        let resumed = stored.resumed(account(1), LEDGER + 502);
        assert_eq!(resumed.progress(), Progress { walked: 100, of: 502 });
        let standing = [escrow(LEDGER + 502), escrow(LEDGER + 450), escrow(LEDGER + 300), bond(LEDGER + 2)];
        let (found, pages) = walk(resumed, &standing);
        assert_eq!(found.iter().map(|f| f.sequence - LEDGER).collect::<Vec<_>>(), [502, 300, 2], "450 was walked");
        assert_eq!(pages, 5);
        let same = Walk::begin(account(1), LEDGER + 5);
        assert_eq!(same.clone().resumed(account(1), LEDGER + 5), same);
        assert_eq!(same.resumed(account(2), LEDGER + 5), Walk::begin(account(2), LEDGER + 5));
    }

    #[test]
    fn an_account_at_the_end_of_its_sequence_numbers_is_walked_like_any() {
        let newest = i64::MAX;
        let mut way = Walk::begin(account(1), newest);
        assert_eq!(way.progress(), Progress { walked: 0, of: u64::from(u32::MAX) });
        assert_eq!(way.page().first().map(|(sequence, _)| *sequence), Some(newest));
        way.read(&[]);
        assert_eq!(way.progress().walked, PAGE as u64);
        assert_eq!(way.clone().resumed(account(1), newest), way, "there is nothing above it");
    }

    #[test]
    fn a_walk_that_is_interrupted_for_ever_stays_small() {
        let mut way = Walk::begin(account(1), LEDGER + 1_000);
        for more in 1..100 {
            way = way.resumed(account(1), LEDGER + 1_000 + more * 1_000);
            assert!(way.ranges.len() <= MAX_RANGES + 1);
            way.read(&[]);
        }
    }

    #[test]
    fn other_peoples_shapes_are_left_alone() {
        let (t, later) = (Timestamp::from_secs(100), Timestamp::from_secs(101));
        let others = [
            vec![(1, Predicate::Always)],
            vec![(1, Predicate::From(t))],
            vec![(1, Predicate::From(t)), (2, Predicate::From(t)), (9, Predicate::Never)],
            vec![(2, Predicate::Before(t)), (1, Predicate::From(later)), (9, Predicate::Never)],
            vec![(2, Predicate::Always), (1, Predicate::From(t)), (9, Predicate::Never)],
        ];
        for claimants in others {
            assert_eq!(Found::read(&balance(LEDGER + 1, claimants.clone()), LEDGER + 1), None, "{claimants:?}");
        }
    }

    #[test]
    fn what_is_stored_has_its_golden_bytes() {
        let walk = Walk::begin(account(1), 3);
        assert_eq!(hex::encode(walk.to_bytes().unwrap()), format!("{}06010602", "01".repeat(32)));
        let found = Found {
            balance: BalanceId::from_bytes([3; 32]),
            state: FoundState::Taken(TxHash::from_bytes([4; 32])),
            note: Some(Note::new("x")),
            ..Found::read(&escrow(3), 3).unwrap()
        };
        let (b, t) = ("03".repeat(32), "04".repeat(32));
        let purpose = format!("00{}{}", "09".repeat(32), "02".repeat(32));
        let golden = format!("{b}06{purpose}{}64fc80f0fa020002{t}010178", "01".repeat(32));
        assert_eq!(hex::encode(found.to_bytes().unwrap()), golden);
        assert_eq!(Found::from_bytes(&found.to_bytes().unwrap()).unwrap(), found);
        let controller = FoundController {
            sequence: 3,
            account: account(2),
            reserve: Stroops::whole(1),
            deadline: Some(Timestamp::from_secs(100)),
            tried: Timestamp::from_secs(50),
            state: FoundState::Wanted,
            note: None,
        };
        let golden = format!("06{}fc80969800016432", "02".repeat(32));
        assert_eq!(hex::encode(controller.to_bytes().unwrap()), golden + "0100");
        assert_eq!(FoundController::from_bytes(&controller.to_bytes().unwrap()).unwrap(), controller);
        let bond = Found { state: FoundState::Wanted, note: None, ..Found::read(&bond(3), 3).unwrap() };
        assert_eq!(Found::from_bytes(&bond.to_bytes().unwrap()).unwrap(), bond);
    }
}
