//! What was found from the account's key alone, and taking it back.

mod controllers;

use core::time::Duration;
use std::collections::BTreeMap;

use rand_core::CryptoRng;

use crate::binding::frames::Note;
use crate::binding::precheck::PrecheckFailure;
use crate::intent::{IntentOutcome, Purpose};
use crate::limits::MAX_KEYS_PER_READ;
use crate::market::command::{Answer, CommandError, CommandId};
use crate::market::event::{Ask, Effect, News};
use crate::market::{Market, OfferState, RestoreError};
use crate::message::BalanceId;
use crate::recover::{Found, FoundController, FoundState, Progress, Walk};
use crate::stellar::entry::{BalanceState, Entry};
use crate::stellar::ledger_key::Key;
use crate::stellar::result;
use crate::step::{Space, Step};
use crate::time::{Now, Timestamp};

/// Where a restored backup leaves its mark, in [`Space::Mark`], until what it says is compared with the ledger.
pub const RESTORED_KEY: &[u8] = b"restored";
/// Where the walk's position is stored; balances are stored under their ids, which are longer.
const WALK_KEY: &[u8] = b"walk";
/// After this a page that wasn't answered is asked for again.
const PAGE_PATIENCE: Duration = Duration::from_secs(30);
/// After a page that couldn't be read, until it is asked for again.
const PAGE_PAUSE: Duration = Duration::from_secs(2);
/// After a claim that cost its fee and failed, until the next one; doubled each time.
const CLAIM_PAUSE: Duration = Duration::from_secs(60);
/// Doublings at the most: about an hour.
const MAX_DOUBLINGS: u32 = 6;

/// A walk, and what walks found.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    walk: Option<Walk>,
    /// Whether somebody asked for it since the start: a stored one doesn't go on by itself.
    walking: bool,
    /// Whether the store is a backup's that isn't compared with the ledger yet.
    pub(super) restored: bool,
    ask_at: Now,
    found: BTreeMap<BalanceId, Found>,
    failures: BTreeMap<BalanceId, (u32, Now)>,
    /// By the sequence number of their funding.
    controllers: BTreeMap<i64, FoundController>,
    /// How often each was looked at, and when it is again.
    looks: BTreeMap<i64, (u32, Now)>,
}

impl Recovery {
    /// Takes a stored row.
    pub(super) fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), RestoreError> {
        let bad = |what, e: crate::frame::FrameError| RestoreError { what, why: e.to_string() };
        if key == WALK_KEY {
            self.walk = Some(Walk::from_bytes(value).map_err(|e| bad("recovery's position", e))?);
        } else if controllers::is_controllers(key) {
            let found = FoundController::from_bytes(value).map_err(|e| bad("controller that was found", e))?;
            self.controllers.insert(found.sequence, found);
        } else {
            let found = Found::from_bytes(value).map_err(|e| bad("balance that was found", e))?;
            self.found.insert(found.balance, found);
        }
        Ok(())
    }

    fn progress(&self) -> Option<Progress> {
        self.walk.as_ref().map(Walk::progress)
    }

    fn store(&self, balance: &BalanceId, step: &mut Step<Effect>) {
        if let Some(bytes) = self.found.get(balance).and_then(|found| found.to_bytes().ok()) {
            step.batch().put(Space::Found, balance.as_bytes().to_vec(), bytes);
        }
    }

    fn set(&mut self, balance: &BalanceId, state: FoundState, step: &mut Step<Effect>) {
        if let Some(found) = self.found.get_mut(balance) {
            found.state = state;
            self.store(balance, step);
        }
    }
}

impl Market {
    /// What was found from the account's key, by when it is due.
    pub fn found(&self) -> Vec<&Found> {
        let mut found: Vec<&Found> = self.recovery.found.values().collect();
        found.sort_by_key(|f| (f.due, f.sequence));
        found
    }

    /// How far the walk down the account's sequence numbers is; `None` where none was begun.
    pub fn recovery_progress(&self) -> Option<Progress> {
        self.recovery.progress()
    }

    /// Whether this node was restored from a backup, and still compares what it knows with the ledger or isn't sure that
    /// no other node has its keys. What the ledger can finish goes on meanwhile; nothing new begins.
    pub fn is_recovering(&self) -> bool {
        self.recovery.restored
    }

    /// What a restored node does before anything new: the backup's transactions come to their ends, and what the account
    /// locked since is found and wanted back.
    pub(super) fn tend_restored(&mut self, now: Now, step: &mut Step<Effect>) {
        if !self.recovery.restored {
            return;
        }
        self.resume_sessions(now, step);
        if self.setup.keys.account.is_some() {
            if !self.recovery.walking {
                // Without the account, which comes with the next ledger, there is nothing to walk yet.
                let _ = self.begin_walk(now, step);
                return;
            }
            let walked = self.recovery.progress().is_some_and(Progress::is_done);
            let undecided = self.queue.as_ref().is_some_and(|q| q.open().next().is_some());
            if !walked || undecided || self.want_found(now, step).is_err() {
                return;
            }
        }
        self.take_over(now, step);
    }

    /// A user wants to know what the account has locked, or wants it back.
    pub(super) fn recover(&mut self, id: CommandId, take: bool, now: Now, step: &mut Step<Effect>) {
        let result = if take { self.want_found(now, step) } else { self.begin_walk(now, step) };
        Self::answer(step, id, result.map(|()| Answer::Recovering));
    }

    fn begin_walk(&mut self, now: Now, step: &mut Step<Effect>) -> Result<(), CommandError> {
        let own = self.setup.keys.account_id().ok_or(PrecheckFailure::NoAccountKey)?;
        let recovery = &mut self.recovery;
        if recovery.walking && recovery.progress().is_some_and(|p| !p.is_done()) {
            return Ok(());
        }
        let unread = || format!("the ledger shows no account {own} yet: see `tradepost wallet show`, and try again");
        let account = self.account.as_ref().ok_or_else(|| CommandError::NotNow(unread()))?;
        let interrupted = recovery.walk.take().filter(|w| !w.progress().is_done());
        let walk = match interrupted {
            Some(walk) => walk.resumed(own, account.sequence),
            None => Walk::begin(own, account.sequence),
        };
        if walk.progress().walked == 0 {
            // What nobody wanted yet is found again where it still stands.
            let stale = |f: &Found| matches!(f.state, FoundState::Standing | FoundState::Gone);
            for (balance, _) in recovery.found.extract_if(.., |_, f| stale(f)) {
                step.batch().delete(Space::Found, balance.as_bytes().to_vec());
            }
            recovery.forget_stale_controllers(step);
        }
        recovery.walk = Some(walk);
        recovery.walking = true;
        recovery.ask_at = now;
        self.store_walk(step);
        self.walk_on(now, step);
        Ok(())
    }

    fn want_found(&mut self, now: Now, step: &mut Step<Effect>) -> Result<(), CommandError> {
        let own = self.setup.keys.account_id().ok_or(PrecheckFailure::NoAccountKey)?;
        let why = match self.recovery.progress() {
            Some(progress) if progress.is_done() => None,
            Some(_) => Some("the account's sequence numbers aren't walked to their end yet: wait, or look again"),
            None => Some("nothing was looked for yet: look first"),
        };
        if let Some(why) = why {
            return Err(CommandError::NotNow(why.into()));
        }
        let standing = |f: &&Found| f.state == FoundState::Standing && f.returns_to == own;
        let mine: Vec<BalanceId> = self.recovery.found.values().filter(standing).map(|f| f.balance).collect();
        let controllers = self.recovery.want_controllers(step);
        if mine.is_empty() && !controllers {
            return Ok(());
        }
        for balance in mine {
            self.recovery.set(&balance, FoundState::Wanted, step);
        }
        step.then(Effect::News(News::Wallet));
        self.watch_found(now, step);
        self.watch_found_controllers(now, step);
        Ok(())
    }

    fn store_walk(&self, step: &mut Step<Effect>) {
        if let Some(bytes) = self.recovery.walk.as_ref().and_then(|walk| walk.to_bytes().ok()) {
            step.batch().put(Space::Found, WALK_KEY, bytes);
        }
    }

    /// Asks for the walk's next page where it is time to.
    pub(super) fn walk_on(&mut self, now: Now, step: &mut Step<Effect>) {
        let recovery = &mut self.recovery;
        if !recovery.walking || now < recovery.ask_at {
            return;
        }
        let Some((walk, at)) = recovery.walk.as_ref().and_then(|walk| Some((walk, walk.at()?))) else { return };
        let page = walk.page();
        let mut keys: Vec<Key> = page.iter().map(|(_, id)| Key::Balance(*id)).collect();
        recovery.ask_at = now.plus(PAGE_PATIENCE);
        keys.extend(self.controller_keys(page.into_iter().map(|(sequence, _)| sequence)));
        self.ask_once(Ask::Walk { at }, keys, step);
    }

    /// A page of the walk was read.
    pub(super) fn walk_read(&mut self, at: i64, entries: &[Entry], now: Now, step: &mut Step<Effect>) {
        let Some(walk) = self.recovery.walk.as_mut().filter(|walk| walk.at() == Some(at)) else { return };
        let balances: Vec<BalanceState> =
            entries.iter().filter_map(|e| if let Entry::Balance(b) = e { Some(b.clone()) } else { None }).collect();
        let page: Vec<i64> = walk.page().into_iter().map(|(sequence, _)| sequence).collect();
        let walked = walk.read(&balances);
        self.controllers_walked(&page, entries, &walked, step);
        for found in walked {
            let kept = |f: &Found| matches!(f.state, FoundState::Wanted | FoundState::Taken(_));
            let known = self.recovery.found.get(&found.balance).is_some_and(kept);
            if !known && !self.is_tended(&found.balance) {
                let balance = found.balance;
                self.recovery.found.insert(balance, found);
                self.recovery.store(&balance, step);
            }
        }
        self.store_walk(step);
        self.recovery.ask_at = now;
        if self.recovery.progress().is_some_and(Progress::is_done) {
            step.then(Effect::News(News::Wallet));
        }
        self.walk_on(now, step);
    }

    /// A page of the walk could not be read; it is asked for again.
    pub(super) fn walk_unreadable(&mut self, at: i64, now: Now) {
        if self.recovery.walk.as_ref().and_then(Walk::at) == Some(at) {
            self.recovery.ask_at = now.plus(PAGE_PAUSE);
        }
    }

    /// Whether a balance belongs to a binding or an offering that this node knows and sees to anyway.
    fn is_tended(&self, balance: &BalanceId) -> bool {
        let bond = |o: &crate::market::Offer| {
            o.body().bond == *balance && !matches!(o.state, OfferState::Failed | OfferState::Reclaimed)
        };
        self.trades.values().any(|t| t.state.balance == Some(*balance) && !t.phase().is_final())
            || self.offers.values().any(bond)
    }

    /// Looks at what is wanted back and due: whether it still stands.
    pub(super) fn watch_found(&self, now: Now, step: &mut Step<Effect>) {
        let Some(close_time) = self.close_time() else { return };
        let due: Vec<Key> = self.due(close_time, now).map(|found| Key::Balance(found.balance)).collect();
        for page in due.chunks(MAX_KEYS_PER_READ) {
            step.then(Effect::Read { ask: Ask::Found, keys: page.to_vec() });
        }
    }

    fn due(&self, close_time: Timestamp, now: Now) -> impl Iterator<Item = &Found> {
        let waits = move |f: &Found| self.recovery.failures.get(&f.balance).is_some_and(|(_, until)| now < *until);
        let open = |f: &Found| {
            let purpose = Purpose::Reclaim { balance: f.balance };
            self.queue.as_ref().is_none_or(|q| q.intent(purpose).is_some())
        };
        let due = move |f: &Found| f.state == FoundState::Wanted && f.due <= close_time;
        self.recovery.found.values().filter(move |f| due(f) && !open(f) && !waits(f))
    }

    /// Balances that are wanted back were read: those that stand are claimed.
    pub(super) fn found_read(
        &mut self,
        asked: &[Key],
        entries: &[Entry],
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let Some(close_time) = self.close_time() else { return };
        let due: Vec<BalanceId> = self.due(close_time, now).map(|found| found.balance).collect();
        for balance in due.into_iter().filter(|id| asked.contains(&Key::Balance(*id))) {
            if entries.iter().any(|e| matches!(e, Entry::Balance(state) if state.id == balance)) {
                self.want(Purpose::Reclaim { balance });
            } else {
                self.recovery.set(&balance, FoundState::Gone, step);
                step.then(Effect::News(News::Wallet));
            }
        }
        self.tend_queue(now, rng, step);
    }

    /// What was found and is wanted back, where it is due now.
    pub(super) fn reclaimable(&self, balance: &BalanceId) -> Option<&Found> {
        let close_time = self.close_time()?;
        self.recovery.found.get(balance).filter(|f| f.state == FoundState::Wanted && f.due <= close_time)
    }

    /// A transaction that takes a found balance back has ended.
    pub(super) fn reclaim_of_found_ended(
        &mut self,
        balance: BalanceId,
        outcome: &IntentOutcome,
        now: Now,
        step: &mut Step<Effect>,
    ) {
        let hash = self.queue.as_ref().and_then(|q| q.intent(Purpose::Reclaim { balance })).map(|i| i.hash);
        let recovery = &mut self.recovery;
        match (outcome, hash) {
            (IntentOutcome::Included { success: true, .. }, Some(hash)) => {
                recovery.set(&balance, FoundState::Taken(hash), step);
            }
            (IntentOutcome::Included { result, .. }, _) => {
                let (count, until) = recovery.failures.entry(balance).or_default();
                *until = now.plus(CLAIM_PAUSE * (1 << (*count).min(MAX_DOUBLINGS)));
                *count = count.saturating_add(1);
                if let Some(found) = recovery.found.get_mut(&balance) {
                    found.note = Some(Note::new(result::explain(result)));
                }
                recovery.store(&balance, step);
            }
            // The next look at the balance tells whether it still stands.
            (IntentOutcome::Dead | IntentOutcome::Unknown, _) => {}
        }
    }
}
