//! The ledger itself: a plain value without clock or threads.

use std::io;
use std::path::Path;
use std::sync::Arc;

use stellar_xdr::{AccountId, LedgerEntry, LedgerHeader, LedgerKey};
use thiserror::Error;

use crate::close;
use crate::context::Context;
use crate::disk::{Disk, Found, Settings, StateError};
use crate::faults::{Faults, FaultsError, Submissions};
use crate::frame::{Frame, InvalidXdr};
use crate::genesis;
use crate::hash;
use crate::history::{History, PastLedger, TransactionRecord};
use crate::queue::{Admission, Queue, Taken};
use crate::state::State;

/// A Stellar ledger, in memory or with a directory that keeps it.
///
/// It does nothing by itself: transactions wait until [`Ledger::close`] is
/// called with the time at which the next ledger closes. The same calls make
/// the same ledger, to the hash.
#[derive(Debug)]
pub struct Ledger {
    passphrase: String,
    network_id: [u8; 32],
    friendbot_url: Option<String>,
    state: State,
    queue: Queue,
    history: History,
    header: LedgerHeader,
    hash: [u8; 32],
    faults: Faults,
    disk: Option<Disk>,
    /// Why the newest ledger isn't on disk, where it should be.
    unsaved: Option<io::ErrorKind>,
}

/// What became of a submitted envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// The transaction's hash; for a fee bump the outer one.
    pub hash: [u8; 32],
    /// Whether it waits for the next ledger.
    pub admission: Admission,
}

/// A ledger that closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerClosed {
    /// Its number.
    pub sequence: u32,
    /// Its close time, in seconds since 1970.
    pub close_time: u64,
    /// Its hash.
    pub hash: [u8; 32],
    /// What it included, in the order of execution.
    pub transactions: Vec<Arc<TransactionRecord>>,
    /// Hashes of transactions that left the queue without being included.
    pub dropped: Vec<[u8; 32]>,
}

/// The ledger can't close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CloseError {
    /// The ledger before closed no earlier.
    #[error("the ledger before closed at {last}: close this one at a later second than that, not at {wanted}")]
    NotLater {
        /// The last ledger's close time, in seconds since 1970.
        last: u64,
        /// The time that was asked for.
        wanted: u64,
    },
    /// The network is halted, by [`Faults::halted`].
    #[error("the network is halted by its faults: switch \"halted\" off first (POST /devnet/faults)")]
    Halted,
    /// The ledger that closed can't be written, so nobody is told of it.
    #[error(
        "the ledger can't be written ({0}): it answers nothing until a close succeeds; see to the directory and close again"
    )]
    Unsaved(io::ErrorKind),
}

/// Where all native coin is, in stroops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// In accounts.
    pub accounts: i128,
    /// In claimable balances.
    pub claimable: i128,
    /// Paid as fees.
    pub fee_pool: i128,
    /// Everything that there is.
    pub total: i128,
}

impl Totals {
    /// Whether no stroop appeared or vanished.
    pub fn conserved(&self) -> bool {
        self.accounts + self.claimable + self.fee_pool == self.total
    }
}

/// The ledger as of its `latest` ledger, with a history that begins at
/// `oldest`.
#[derive(Debug)]
pub(crate) struct Shown<'a> {
    pub(crate) ledger: &'a Ledger,
    pub(crate) latest: &'a PastLedger,
    pub(crate) oldest: &'a PastLedger,
}

impl<'a> Shown<'a> {
    /// Returns the entry that stood under a key then.
    pub(crate) fn entry(&self, key: &LedgerKey) -> Option<&'a LedgerEntry> {
        self.ledger.state.entry_before(key, self.ledger.sequence() - self.latest.sequence())
    }

    /// Returns an included transaction, if it is in the history.
    pub(crate) fn transaction(&self, hash: &[u8; 32]) -> Option<&'a TransactionRecord> {
        let shown = self.oldest.sequence()..=self.latest.sequence();
        self.ledger.history.transaction(hash).filter(|record| shown.contains(&record.ledger))
    }

    /// Returns the ledgers of the history from a number on.
    pub(crate) fn ledgers(&self, first: u32) -> impl Iterator<Item = &'a PastLedger> {
        (first..=self.latest.sequence()).map_while(|sequence| self.ledger.history.ledger(sequence))
    }

    /// Returns the fee rates of the last ten ledgers then, sorted, in stroops
    /// per operation, and the number of those ledgers.
    pub(crate) fn fee_rates(&self) -> (Vec<u64>, usize) {
        self.ledger.history.fee_rates(self.latest.sequence())
    }
}

impl Ledger {
    /// Starts a network whose first ledger closed at `close_time`, in seconds
    /// since 1970. Its root account holds all coin.
    pub fn genesis(passphrase: &str, close_time: u64) -> Self {
        Self::genesis_of_size(passphrase, close_time, genesis::LEDGER_OPERATIONS)
    }

    /// Starts a network as [`Ledger::genesis`] does, whose ledgers take so many
    /// operations, from 1 to [`crate::MAX_LEDGER_OPERATIONS`].
    pub fn genesis_of_size(passphrase: &str, close_time: u64, operations: u32) -> Self {
        let operations = operations.clamp(1, genesis::MAX_LEDGER_OPERATIONS);
        let network_id = hash::network_id(passphrase);
        let mut state = State::default();
        genesis::fill(&mut state, &network_id);
        let header = close::genesis_header(&state, close_time, operations);
        let hash = close::header_hash(&header);
        let mut history = History::default();
        history.push(PastLedger::new(header.clone(), hash, i64::from(header.base_fee), Vec::new()));
        Self {
            passphrase: passphrase.to_owned(),
            network_id,
            friendbot_url: None,
            state,
            queue: Queue::new(operations),
            history,
            hash,
            header,
            faults: Faults::NONE,
            disk: None,
            unsaved: None,
        }
    }

    /// Goes on with the ledger that lies in a directory. One that is empty, or
    /// isn't there, gets a network as of [`Ledger::genesis_of_size`]: of this
    /// passphrase, or a random one; with ledgers of this size, or the usual.
    /// From then on each ledger is in the directory before its close returns.
    ///
    /// # Errors
    /// If the directory is in use, is damaged, holds something else than what is
    /// asked for, or can't be written. Nothing in it has changed then.
    pub fn open(
        dir: &Path,
        passphrase: Option<&str>,
        close_time: u64,
        operations: Option<u32>,
    ) -> Result<Self, StateError> {
        let fresh = match passphrase {
            Some(passphrase) => passphrase.to_owned(),
            None => genesis::random_passphrase().map_err(StateError::Random)?,
        };
        let Found { disk, passphrase: kept, ledger } = Disk::open(dir, &fresh)?;
        if let Some(wanted) = passphrase.filter(|wanted| *wanted != kept) {
            return Err(StateError::OtherNetwork { dir: dir.to_owned(), kept, wanted: wanted.to_owned() });
        }
        let mut ledger = match ledger {
            Some((state, history)) => Self::resume(&kept, state, history),
            None => Self::genesis_of_size(&kept, close_time, operations.unwrap_or(genesis::LEDGER_OPERATIONS)),
        };
        let size = ledger.header.max_tx_set_size;
        if let Some(wanted) = operations.filter(|wanted| *wanted != size) {
            return Err(StateError::OtherLedgerSize { dir: dir.to_owned(), kept: size, wanted });
        }
        ledger.faults = disk.settings().faults;
        ledger.disk =
            Some(disk).map(|mut disk| disk.save(&ledger.history, &ledger.state).map(|()| disk)).transpose()?;
        Ok(ledger)
    }

    fn resume(passphrase: &str, state: State, history: History) -> Self {
        let newest = history.newest();
        let (header, hash) = (newest.header.clone(), newest.hash);
        Self {
            passphrase: passphrase.to_owned(),
            network_id: hash::network_id(passphrase),
            friendbot_url: None,
            state,
            queue: Queue::new(header.max_tx_set_size),
            history,
            header,
            hash,
            faults: Faults::NONE,
            disk: None,
            unsaved: None,
        }
    }

    /// Sets the address of a friendbot that `getNetwork` tells of.
    pub fn set_friendbot_url(&mut self, url: Option<String>) {
        self.friendbot_url = url;
    }

    /// Submits an envelope in XDR. It is judged against the last closed
    /// ledger, and waits for the next one if it is valid.
    ///
    /// # Errors
    /// If the bytes aren't one transaction envelope within the bounds.
    pub fn submit(&mut self, envelope_xdr: &[u8]) -> Result<Submitted, InvalidXdr> {
        let frame = Frame::decode(envelope_xdr, &self.network_id)?;
        let hash = frame.hash();
        let context = self.context(self.close_time());
        let admission = self.queue.admit(frame, &self.state, &context);
        Ok(Submitted { hash, admission })
    }

    /// Closes the next ledger with what waits.
    ///
    /// # Errors
    /// If `close_time`, in seconds since 1970, isn't later than the last one,
    /// the network is halted, or the directory that keeps it can't be written.
    pub fn close(&mut self, close_time: u64) -> Result<LedgerClosed, CloseError> {
        if self.unsaved.is_some() {
            self.save()?;
        }
        if self.faults.halted {
            return Err(CloseError::Halted);
        }
        if close_time <= self.close_time() {
            return Err(CloseError::NotLater { last: self.close_time(), wanted: close_time });
        }
        let context = self.context(close_time);
        let taken = match self.faults.submissions {
            Submissions::Stuck => {
                Taken { included: Vec::new(), dropped: Vec::new(), base_fee: i64::from(context.base_fee) }
            }
            _ => self.queue.take(&self.state, &context),
        };
        let base_fee = taken.base_fee;
        let executed = close::execute(taken.included, base_fee, &self.header, &mut self.state, &context);
        self.header = executed.header;
        self.hash = close::header_hash(&self.header);
        let records = executed.records;
        self.history.push(PastLedger::new(self.header.clone(), self.hash, base_fee, records.clone()));
        debug_assert!(self.totals().conserved(), "{:?}", self.totals());
        self.save()?;
        Ok(LedgerClosed {
            sequence: context.sequence,
            close_time,
            hash: self.hash,
            transactions: records,
            dropped: taken.dropped,
        })
    }

    /// Returns the network's passphrase.
    pub fn passphrase(&self) -> &str {
        &self.passphrase
    }

    /// Returns the network's id: the hash of its passphrase.
    pub fn network_id(&self) -> [u8; 32] {
        self.network_id
    }

    /// Returns the address of the friendbot, if there is one.
    pub fn friendbot_url(&self) -> Option<&str> {
        self.friendbot_url.as_deref()
    }

    /// Returns the ed25519 seed of the root account. As on every Stellar
    /// network it is the network's id, so everybody knows it.
    pub fn root_secret(&self) -> [u8; 32] {
        self.network_id
    }

    /// Returns the root account.
    pub fn root_account(&self) -> AccountId {
        genesis::account_of(&self.network_id)
    }

    /// Returns the header of the last closed ledger.
    pub fn header(&self) -> &LedgerHeader {
        &self.header
    }

    /// Returns the hash of the last closed ledger.
    pub fn hash(&self) -> [u8; 32] {
        self.hash
    }

    /// Returns the number of the last closed ledger.
    pub fn sequence(&self) -> u32 {
        self.header.ledger_seq
    }

    /// Returns when the last ledger closed, in seconds since 1970.
    pub fn close_time(&self) -> u64 {
        self.header.scp_value.close_time.0
    }

    /// Returns an entry as of the last closed ledger.
    pub fn entry(&self, key: &LedgerKey) -> Option<&LedgerEntry> {
        self.state.entry(key)
    }

    /// Returns an included transaction by its hash; a fee bump also by the
    /// hash of what it wraps.
    pub fn transaction(&self, hash: &[u8; 32]) -> Option<&TransactionRecord> {
        self.history.transaction(hash)
    }

    /// Returns number and close time of the oldest ledger that is kept.
    pub fn oldest_ledger(&self) -> (u32, u64) {
        let oldest = self.history.oldest();
        (oldest.sequence(), oldest.close_time())
    }

    /// Sets what is wrong with the network from now on.
    ///
    /// # Errors
    /// If a switch is out of its bounds, or the directory that keeps the ledger
    /// can't be written; then nothing has changed.
    pub fn set_faults(&mut self, faults: Faults) -> Result<(), FaultsError> {
        faults.check()?;
        self.set(|settings| settings.faults = faults).map_err(FaultsError::Unsaved)?;
        self.faults = faults;
        Ok(())
    }

    /// Keeps how far the clock of whoever closes is ahead, in seconds, for the
    /// next start; a ledger without a directory forgets it.
    pub(crate) fn keep_clock_offset(&mut self, seconds: u64) -> Result<(), io::ErrorKind> {
        self.set(|settings| settings.clock_offset = seconds)
    }

    /// Returns how far the clock was ahead, in seconds.
    pub(crate) fn clock_offset(&self) -> u64 {
        self.disk.as_ref().map_or(0, |disk| disk.settings().clock_offset)
    }

    /// Returns what is wrong with the network.
    pub fn faults(&self) -> Faults {
        self.faults
    }

    /// Returns the fee rates of the last ten ledgers, sorted, in stroops per
    /// operation, and the number of those ledgers.
    pub fn fee_rates(&self) -> (Vec<u64>, usize) {
        self.history.fee_rates(self.sequence())
    }

    /// Returns how many transactions wait for the next ledger.
    pub fn pending(&self) -> usize {
        self.queue.len()
    }

    /// Returns where all native coin is.
    pub fn totals(&self) -> Totals {
        let native = self.state.native();
        Totals {
            accounts: native.accounts,
            claimable: native.claimable,
            fee_pool: i128::from(self.header.fee_pool),
            total: i128::from(self.header.total_coins),
        }
    }

    /// What the RPC shows, as far as the faults let it.
    pub(crate) fn shown(&self) -> Shown<'_> {
        let oldest = self.history.oldest();
        let first = oldest.sequence();
        let latest = self.sequence().saturating_sub(self.faults.lag_ledgers).max(first);
        let window = self.faults.history_ledgers.map_or(first, |n| (latest + 1).saturating_sub(n).max(first));
        let ledger = |sequence| self.history.ledger(sequence).unwrap_or(oldest);
        Shown { ledger: self, latest: ledger(latest), oldest: ledger(window) }
    }

    /// Why nothing may be told of the newest ledger: it isn't on disk.
    pub(crate) fn unsaved(&self) -> Option<io::ErrorKind> {
        self.unsaved
    }

    /// The next ledger, were it to close at this time.
    fn context(&self, close_time: u64) -> Context {
        Context { sequence: self.header.ledger_seq + 1, close_time, ..Context::of(&self.header, self.network_id) }
    }

    fn save(&mut self) -> Result<(), CloseError> {
        let saved = self.disk.as_mut().map_or(Ok(()), |disk| disk.save(&self.history, &self.state));
        self.unsaved = saved.as_ref().err().map(StateError::kind);
        saved.map_err(|error| {
            tracing::error!(%error, "a ledger can't be written");
            CloseError::Unsaved(error.kind())
        })
    }

    fn set(&mut self, change: impl FnOnce(&mut Settings)) -> Result<(), io::ErrorKind> {
        let Some(disk) = &mut self.disk else { return Ok(()) };
        let mut settings = disk.settings();
        change(&mut settings);
        disk.set(settings).map_err(|error| {
            tracing::error!(%error, "settings can't be written");
            error.kind()
        })
    }
}
