//! Timestamps on their way: one batch at a time, from the wish to the file that proves it.
//!
//! A batch is stored before its transaction is signed, and forgotten once its file is durable: whatever dies in between
//! is gone on with.

use core::time::Duration;
use std::collections::BTreeMap;

use bincode::{Decode, Encode};

use crate::amount::Stroops;
use crate::asset::Asset;
use crate::binding::precheck::PrecheckFailure;
use crate::frame;
use crate::intent::precheck::{Needs, affordable};
use crate::intent::{IntentOutcome, Purpose};
use crate::market::command::{Answer, CommandError, CommandId, Cost};
use crate::market::event::{Ask, Effect, KeptStamp};
use crate::market::{Market, RestoreError};
use crate::message::{Sha256Hash, TxHash};
use crate::stellar::LedgerPoint;
use crate::stellar::entry::{AccountState, Entry};
use crate::stellar::ledger_key::Key;
use crate::stellar::reserve::LedgerParams;
use crate::step::{Space, Step};
use crate::time::Now;
use crate::timestamp::{self, Batch};

/// How long the look at the ledger may take.
const LOOK_LIFE: Duration = Duration::from_secs(30);
/// The pause between two tries to keep a proof grows up to the polling interval times two to this.
const MAX_PAUSE_DOUBLINGS: u32 = 8;
/// Where the ledger that included the newest batch is kept; no root is so short.
const NEWEST: &[u8] = b"newest";

/// A user's wish whose account is being looked up.
#[derive(Debug)]
pub struct PendingStamp {
    hashes: Vec<[u8; 32]>,
    dry_run: bool,
    until: Now,
    /// Whether what was read is older than the newest batch, so that the account has to be read again.
    too_old: bool,
}

/// A batch on its way.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Stamp {
    /// The batch.
    pub batch: Batch,
    /// Its transaction, once a ledger has it.
    pub included: Option<Inclusion>,
}

/// A batch's transaction in a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Inclusion {
    /// The transaction.
    pub transaction: TxHash,
    /// Its signed envelope, XDR.
    pub envelope: Vec<u8>,
    /// The ledger.
    pub at: LedgerPoint,
}

/// The batches on their way.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    pending: BTreeMap<CommandId, PendingStamp>,
    open: BTreeMap<[u8; 32], Stamp>,
    commands: BTreeMap<[u8; 32], CommandId>,
    /// The ledger that included the newest batch. A server that is behind it still shows the root before.
    newest: Option<LedgerPoint>,
    /// Whether a file is being written, how often that failed, and when it is tried next.
    tries: BTreeMap<[u8; 32], (bool, u32, Now)>,
}

impl Stamps {
    /// Takes a stored row.
    pub(super) fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), RestoreError> {
        let bad = |why: String| RestoreError { what: "timestamp on its way", why };
        if key == NEWEST {
            self.newest = Some(frame::decode(value).map_err(|e| bad(e.to_string()))?);
            return Ok(());
        }
        let root: [u8; 32] = key.try_into().map_err(|_| bad("its name isn't a root".to_owned()))?;
        let stamp = frame::decode::<Stamp>(value).map_err(|e| bad(e.to_string()))?;
        self.open.insert(root, stamp);
        Ok(())
    }
}

impl Market {
    /// The batches whose proof isn't kept yet.
    pub fn stamps(&self) -> impl Iterator<Item = &Stamp> {
        self.stamps.open.values()
    }

    /// A user wants hashes stamped.
    pub(super) fn stamp(
        &mut self,
        id: CommandId,
        hashes: Vec<[u8; 32]>,
        dry_run: bool,
        now: Now,
        step: &mut Step<Effect>,
    ) {
        let Some(own) = self.setup.keys.account_id() else {
            return Self::answer(step, id, Err(PrecheckFailure::NoAccountKey));
        };
        let busy =
            self.stamps.pending.values().any(|p| !p.dry_run) || self.stamps.open.values().any(|s| s.included.is_none());
        if busy && !dry_run {
            let why = "another batch is on its way to the ledger, and each names the root before it; try again shortly";
            return Self::answer(step, id, Err(CommandError::NotNow(why.into())));
        }
        let until = now.plus(LOOK_LIFE);
        self.stamps.pending.insert(id, PendingStamp { hashes, dry_run, until, too_old: false });
        let keys = vec![Key::Account(own), timestamp::entry_of(own)];
        self.ask_once(Ask::Stamp(id), keys, step);
    }

    /// The account and its entry were read: the batch is stored and wanted, or only its cost told. Where another server
    /// answers that has yet to see the newest batch, its entry would name the root before once more: it is read again.
    pub(super) fn stamp_read(&mut self, id: CommandId, at: LedgerPoint, entries: &[Entry], step: &mut Step<Effect>) {
        let Some(pending) = self.stamps.pending.get_mut(&id) else { return };
        if self.stamps.newest.is_some_and(|newest| at.sequence < newest.sequence) {
            pending.too_old = true;
            return;
        }
        let Some(PendingStamp { hashes, dry_run, .. }) = self.stamps.pending.remove(&id) else { return };
        match self.stamp_cost(hashes, entries) {
            Err(error) => Self::answer(step, id, Err(error)),
            Ok((_, cost)) if dry_run => Self::answer(step, id, Ok::<_, CommandError>(Answer::Cost(cost))),
            Ok((batch, _)) => {
                let root = batch.root();
                self.stamps.commands.insert(root, id);
                self.store_stamp(root, Stamp { batch, included: None }, step);
                self.want(Purpose::Stamp { root: Sha256Hash::from_bytes(root) });
            }
        }
    }

    fn stamp_cost(&self, hashes: Vec<[u8; 32]>, entries: &[Entry]) -> Result<(Batch, Cost), CommandError> {
        let own = self.setup.keys.account_id().ok_or(PrecheckFailure::NoAccountKey)?;
        let account: Option<&AccountState> = entries.iter().find_map(|e| match e {
            Entry::Account(a) if a.id == own => Some(a),
            _ => None,
        });
        let account = account.ok_or(PrecheckFailure::NoOwnAccount(own))?;
        let value = entries.iter().find_map(|e| match e {
            Entry::Data(d) if d.account == own && d.name == timestamp::ENTRY => Some(d.value.as_slice()),
            _ => None,
        });
        let batch = Batch::following(value, hashes)?;
        let params = self.params.unwrap_or(LedgerParams::USUAL);
        let (fee, taken) = (self.fee(1), self.committed(&Asset::Native));
        let reserves = u32::from(value.is_none());
        let needs = Needs { amount: Stroops::ZERO, reserves, fees: fee };
        affordable(account, &params, taken, &needs).map_err(PrecheckFailure::from)?;
        let cost = Cost {
            amount: Stroops::ZERO,
            asset: Asset::Native,
            fee,
            reserve: params.reserves(reserves),
            returns_at: None,
            free_before: params.available(account).minus(taken).unwrap_or_default(),
        };
        Ok((batch, cost))
    }

    fn store_stamp(&mut self, root: [u8; 32], stamp: Stamp, step: &mut Step<Effect>) {
        let bytes = frame::encode(&stamp).expect("a batch is bounded well below a stored value's limit");
        step.batch().put(Space::Stamp, root, bytes);
        self.stamps.open.insert(root, stamp);
    }

    fn drop_stamp(&mut self, root: &[u8; 32], step: &mut Step<Effect>) {
        self.stamps.open.remove(root);
        self.stamps.tries.remove(root);
        step.batch().delete(Space::Stamp, *root);
    }

    /// The batch of a root that waits for its transaction.
    pub(super) fn stamp_to_sign(&self, root: &Sha256Hash) -> Option<&Batch> {
        self.stamps.open.get(root.as_bytes()).filter(|s| s.included.is_none()).map(|s| &s.batch)
    }

    /// The command that waits for a batch's transaction, which it no longer does then.
    pub(super) fn command_of_stamp(&mut self, root: &Sha256Hash) -> Option<CommandId> {
        self.stamps.commands.remove(root.as_bytes())
    }

    /// A batch's transaction has ended.
    pub(super) fn stamp_ended(&mut self, root: Sha256Hash, outcome: &IntentOutcome, step: &mut Step<Effect>) {
        let key = *root.as_bytes();
        let intent = self.queue.as_ref().and_then(|q| q.intent(Purpose::Stamp { root }));
        let sent = intent.map(|intent| (intent.hash, intent.envelope.clone()));
        let command = self.command_of_stamp(&root);
        let Some(stamp) = self.stamps.open.get(&key).cloned() else { return };
        let result = match (outcome, sent) {
            (IntentOutcome::Included { at, success: true, .. }, Some((transaction, envelope))) => {
                let included = Some(Inclusion { transaction, envelope, at: *at });
                self.store_stamp(key, Stamp { included, ..stamp }, step);
                self.stamps.newest = Some(*at);
                step.batch().put(Space::Stamp, NEWEST, frame::encode(at).expect("two numbers fit into a row"));
                Ok(Answer::Stamped { root, transaction })
            }
            (outcome, _) => {
                self.drop_stamp(&key, step);
                let why = super::wallet::included(outcome).err();
                Err(why.unwrap_or_else(|| CommandError::Ledger("the transaction is no longer known here".into())))
            }
        };
        if let Some(id) = command {
            step.then(Effect::Answer { id, result });
        }
    }

    /// Wants what isn't in a ledger yet, also after a restart, and has the proofs kept of what is.
    pub(super) fn tend_stamps(&mut self, now: Now, step: &mut Step<Effect>) {
        let wanted: Vec<[u8; 32]> =
            self.stamps.open.iter().filter(|(_, s)| s.included.is_none()).map(|(root, _)| *root).collect();
        for root in wanted {
            self.want(Purpose::Stamp { root: Sha256Hash::from_bytes(root) });
        }
        if let Some(own) = self.setup.keys.account_id() {
            let too_old = |(id, p): (&CommandId, &mut PendingStamp)| core::mem::take(&mut p.too_old).then_some(*id);
            for id in self.stamps.pending.iter_mut().filter_map(too_old).collect::<Vec<_>>() {
                self.ask_once(Ask::Stamp(id), vec![Key::Account(own), timestamp::entry_of(own)], step);
            }
        }
        for (root, stamp) in &self.stamps.open {
            let Some(included) = &stamp.included else { continue };
            let (busy, _, next_at) = self.stamps.tries.entry(*root).or_default();
            if *busy || now < *next_at {
                continue;
            }
            *busy = true;
            let kept = KeptStamp { batch: stamp.batch.clone(), included: included.clone() };
            step.then(Effect::KeepStamp(Box::new(kept)));
        }
    }

    /// A batch's file is durable, or can't be written yet.
    pub(super) fn stamp_kept(
        &mut self,
        root: Sha256Hash,
        result: Result<(), String>,
        now: Now,
        step: &mut Step<Effect>,
    ) {
        match result {
            Ok(()) => self.drop_stamp(root.as_bytes(), step),
            Err(_) => {
                let every = self.setup.margins.poll_every;
                if let Some((busy, failed, next_at)) = self.stamps.tries.get_mut(root.as_bytes()) {
                    *busy = false;
                    *next_at = now.plus(every * (1 << (*failed).min(MAX_PAUSE_DOUBLINGS)));
                    *failed = failed.saturating_add(1);
                }
            }
        }
    }

    /// What batches that aren't signed yet take, native.
    pub(super) fn promised_to_stamps(&self, params: &LedgerParams) -> Stroops {
        let unsigned = self.stamps.open.iter().filter(|(root, stamp)| {
            stamp.included.is_none() && self.is_unsigned(Purpose::Stamp { root: Sha256Hash::from_bytes(**root) })
        });
        // As if each made the entry: its reserve is locked once, and no more than one is open at a time.
        let each = self.fee(1).plus(params.reserves(1)).unwrap_or(Stroops::MAX);
        unsigned.fold(Stroops::ZERO, |sum, _| sum.plus(each).unwrap_or(Stroops::MAX))
    }

    /// Reading what a batch depends on failed.
    pub(super) fn stamp_unreadable(&mut self, id: CommandId, why: String, step: &mut Step<Effect>) {
        if self.stamps.pending.remove(&id).is_some() {
            Self::answer(step, id, Err(PrecheckFailure::LedgerUnavailable(why)));
        }
    }

    /// Looks at the ledger that were never answered.
    pub(super) fn expire_stamps(&mut self, now: Now, step: &mut Step<Effect>) {
        let late = self.stamps.pending.iter().filter(|(_, p)| now > p.until).map(|(id, _)| *id);
        for id in late.collect::<Vec<_>>() {
            self.stamp_unreadable(id, "the ledger didn't answer in time".into(), step);
        }
    }
}
