//! Controllers that were found from the account's key alone, and taking their reserves back.
//!
//! What a controller's account on the ledger doesn't say is its deadline. Where the escrow still stands, that says it; else
//! it is the one for which the authorised transaction has the hash that the account names, looked for second by second.

use core::time::Duration;

use rand_core::CryptoRng;

use super::Recovery;
use crate::account::AccountId;
use crate::binding::frames::Note;
use crate::binding::phase::Side;
use crate::binding::trade::Trade;
use crate::escrow::controller;
use crate::limits::{MAX_KEYS_PER_READ, MAX_WINDOW};
use crate::market::Market;
use crate::market::event::{Ask, Effect, News};
use crate::market::leftovers::{SPOILT, pause_after};
use crate::recover::{Found, FoundController, FoundState};
use crate::stellar::LedgerPoint;
use crate::stellar::entry::{AccountState, Entry, TrustlineState};
use crate::stellar::ledger_key::Key;
use crate::step::{Space, Step};
use crate::time::{Now, Timestamp};

/// Before the sequence number in the key under which a controller is stored; balances' keys are 32 bytes.
const PREFIX: &[u8] = b"controller";
/// Deadlines that are tried at one look, count.
const DEADLINES_A_LOOK: u32 = 4_000;

/// The key under which a controller is stored.
fn key(sequence: i64) -> Vec<u8> {
    [PREFIX, &sequence.to_be_bytes()].concat()
}

/// Whether a stored row is a controller's.
pub(super) fn is_controllers(key: &[u8]) -> bool {
    key.len() == PREFIX.len() + 8 && key.starts_with(PREFIX)
}

impl Recovery {
    fn store_controller(&self, sequence: i64, step: &mut Step<Effect>) {
        if let Some(bytes) = self.controllers.get(&sequence).and_then(|found| found.to_bytes().ok()) {
            step.batch().put(Space::Found, key(sequence), bytes);
        }
    }

    /// What nobody wanted yet is found again where it still stands.
    pub(super) fn forget_stale_controllers(&mut self, step: &mut Step<Effect>) {
        let stale = |c: &FoundController| matches!(c.state, FoundState::Standing | FoundState::Gone);
        for (sequence, _) in self.controllers.extract_if(.., |_, c| stale(c)) {
            step.batch().delete(Space::Found, key(sequence));
        }
    }

    /// Wants every controller back that stands; whether there is one.
    pub(super) fn want_controllers(&mut self, step: &mut Step<Effect>) -> bool {
        let standing = |c: &&FoundController| c.state == FoundState::Standing;
        let all: Vec<i64> = self.controllers.values().filter(standing).map(|c| c.sequence).collect();
        for sequence in &all {
            if let Some(found) = self.controllers.get_mut(sequence) {
                found.state = FoundState::Wanted;
            }
            self.store_controller(*sequence, step);
        }
        !all.is_empty()
    }
}

impl Market {
    /// Controllers that were found from the account's key, by the sequence number of their funding.
    pub fn found_controllers(&self) -> impl Iterator<Item = &FoundController> {
        self.recovery.controllers.values()
    }

    /// What a page of the walk reads of controllers.
    pub(super) fn controller_keys(&self, sequences: impl Iterator<Item = i64>) -> Vec<Key> {
        sequences.filter_map(|sequence| self.controller_at(sequence)).map(Key::Account).collect()
    }

    /// Takes in the controllers of a page of the walk, with the escrows that were found beside them.
    pub(super) fn controllers_walked(
        &mut self,
        sequences: &[i64],
        entries: &[Entry],
        escrows: &[Found],
        step: &mut Step<Effect>,
    ) {
        for &sequence in sequences {
            let account = self.controller_at(sequence);
            let Some(state) = account.and_then(|account| account_in(entries, account)) else { continue };
            let kept = |c: &FoundController| c.state == FoundState::Wanted;
            if self.recovery.controllers.get(&sequence).is_some_and(kept) || self.is_ones_controller(sequence) {
                continue;
            }
            let deadline = escrows.iter().find(|found| found.sequence == sequence).map(|found| found.due);
            let tried = state.sequence_at.unwrap_or_default();
            let (account, reserve) = (state.id, state.balance);
            let state = FoundState::Standing;
            let found = FoundController { sequence, account, reserve, deadline, tried, state, note: None };
            self.recovery.controllers.insert(sequence, found);
            self.recovery.store_controller(sequence, step);
        }
    }

    /// Whether a binding that this node knows sees to a controller anyway.
    fn is_ones_controller(&self, sequence: i64) -> bool {
        let its = |t: &Trade| t.state.controller.is_some_and(|c| c.sequence == sequence && !c.gone);
        self.trades.values().any(|t| t.state.side == Side::Consumer && its(t))
    }

    /// A found controller is looked at again at once.
    pub(in crate::market) fn look_at_found_controller(&mut self, sequence: i64, now: Now) {
        if let Some((_, next_at)) = self.recovery.looks.get_mut(&sequence) {
            *next_at = now;
        }
    }

    /// Looks at the controllers that are wanted back.
    pub(in crate::market) fn watch_found_controllers(&mut self, now: Now, step: &mut Step<Effect>) {
        let lines: Vec<_> = self.setup.policy.assets.iter().filter(|asset| !asset.is_native()).cloned().collect();
        let heartbeat = self.setup.margins.heartbeat_every;
        let recovery = &mut self.recovery;
        for found in recovery.controllers.values().filter(|c| c.state == FoundState::Wanted) {
            let early = found.deadline.is_some_and(|deadline| now.timestamp() < deadline);
            let (looks, next_at) = recovery.looks.entry(found.sequence).or_default();
            if early || now < *next_at {
                continue;
            }
            // The search for a deadline goes on with every look, until it has come to its end.
            let searches = found.deadline.is_none() && found.note.is_none();
            let pause = if searches { heartbeat } else { pause_after(heartbeat, *looks) };
            (*looks, *next_at) = (looks.saturating_add(1), now.plus(pause));
            let lines = lines.iter().take(MAX_KEYS_PER_READ - 1);
            let keys = lines.map(|asset| Key::Trustline(found.account, asset.clone()));
            let keys = [Key::Account(found.account)].into_iter().chain(keys).collect();
            step.then(Effect::Read { ask: Ask::FoundController(found.sequence), keys });
        }
    }

    /// A controller that is wanted back was read.
    pub(in crate::market) fn found_controller_read(
        &mut self,
        (sequence, at): (i64, LedgerPoint),
        asked: &[Key],
        entries: &[Entry],
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let found = self.recovery.controllers.get(&sequence).cloned();
        let Some(mut found) = found.filter(|found| asked.contains(&Key::Account(found.account))) else { return };
        let before = found.clone();
        match account_in(entries, found.account) {
            None => {
                found.state = FoundState::Gone;
                self.controllers.remove(&sequence);
            }
            Some(state) => {
                let lines = lines_in(entries, found.account);
                self.take_back_found(&mut found, state.clone(), lines, at, step);
            }
        }
        if found != before {
            self.recovery.controllers.insert(sequence, found);
            self.recovery.store_controller(sequence, step);
            step.then(Effect::News(News::Wallet));
        }
        self.tend_queue(now, rng, step);
    }

    fn take_back_found(
        &mut self,
        found: &mut FoundController,
        state: AccountState,
        lines: Vec<TrustlineState>,
        at: LedgerPoint,
        step: &mut Step<Effect>,
    ) {
        let unlocked = state.thresholds.master > 0;
        if found.deadline.is_none() && !unlocked {
            let latest = state.sequence_at.unwrap_or_default().plus(MAX_WINDOW * 5);
            if found.tried > latest {
                found.note = Some(Note::new(SPOILT));
                return;
            }
            let network = &self.setup.network;
            found.deadline = controller::deadline_of(&state, network, found.tried, DEADLINES_A_LOOK);
            found.tried = found.tried.plus(Duration::from_secs(u64::from(DEADLINES_A_LOOK)));
        }
        let Some(deadline) = found.deadline.or(unlocked.then_some(Timestamp::default())) else { return };
        let tries = self.recovery.looks.get(&found.sequence).map_or(0, |(looks, _)| *looks);
        if !self.take_back_controller(found.sequence, (state, lines), at, deadline, tries, step) {
            found.note = Some(Note::new(SPOILT));
        }
    }
}

fn account_in(entries: &[Entry], account: AccountId) -> Option<&AccountState> {
    entries.iter().find_map(|entry| match entry {
        Entry::Account(state) if state.id == account => Some(state),
        _ => None,
    })
}

fn lines_in(entries: &[Entry], account: AccountId) -> Vec<TrustlineState> {
    let lines = entries.iter().filter_map(|entry| match entry {
        Entry::Trustline(line) if line.account == account => Some(line.clone()),
        _ => None,
    });
    lines.collect()
}
