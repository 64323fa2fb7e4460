//! All that a node wants of the ledger.

use core::fmt;
use core::ops::RangeInclusive;
use core::pin::Pin;

use stellar_xdr::{LedgerEntryData, LedgerEntryExt, LedgerKey, TransactionEnvelope, TransactionResult};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::message::TxHash;
use tradepost_protocol::stellar::LedgerPoint;
use tradepost_protocol::stellar::ledger_key::Key;
use tradepost_protocol::stellar::reserve::LedgerParams;
use tradepost_protocol::time::Timestamp;

use crate::error::LedgerError;
use crate::fees::FeeStats;
use crate::keyed::{self, KeysRead};

/// A question under way. Boxed, so that a node can hold an `Arc<dyn Ledger>` whichever ledger it is, and so that the
/// futures are compiled here, not in every crate that awaits them; beside a network call, a box is free.
pub type Asked<'a, T> = Pin<Box<dyn Future<Output = Result<T, LedgerError>> + Send + 'a>>;

/// Whether a transaction is the one that is looked for, by the XDR of its envelope.
pub type Wanted<'a> = &'a (dyn Fn(&[u8]) -> bool + Send + Sync);

/// Access to one Stellar network.
///
/// Every answer names the ledger that it is true of, and that ledger never goes backwards: an answer is at least as
/// new as every head that was handed out when the question was sent.
pub trait Ledger: fmt::Debug + Send + Sync {
    /// The newest ledger, with what its header says.
    ///
    /// # Errors
    /// As every question here: [`LedgerError`].
    fn head(&self) -> Asked<'_, Head>;

    /// The entries with these keys; those that don't exist are missing in the answer. Up to 200 different keys are
    /// read at one ledger, more in several reads.
    ///
    /// # Errors
    /// [`LedgerError`], and nothing at all where any part could not be read.
    fn entries<'a>(&'a self, keys: &'a [LedgerKey]) -> Asked<'a, EntriesSeen>;

    /// The entries with these keys, as endpoints of two operators say them: for what gates money. Where the endpoints of
    /// one operator are all that is configured, as [`Ledger::entries`].
    ///
    /// # Errors
    /// As [`Ledger::entries`]; [`LedgerError::Alone`] where only one operator's can be asked now, and
    /// [`LedgerError::Disagree`] where they don't come to the same answer.
    fn entries_agreed<'a>(&'a self, keys: &'a [LedgerKey]) -> Asked<'a, EntriesSeen>;

    /// The entries with these keys as the protocol reads them; see [`Ledger::entries`].
    ///
    /// # Errors
    /// As [`Ledger::entries`], and [`LedgerError::BadKey`] for a key that the ledger can't hold.
    fn read<'a>(&'a self, keys: &'a [Key]) -> Asked<'a, KeysRead> {
        Box::pin(async {
            let wanted = keyed::ledger_keys(keys)?;
            Ok(KeysRead::of(keys, &wanted, &self.entries(&wanted).await?))
        })
    }

    /// The entries with these keys as the protocol reads them; see [`Ledger::entries_agreed`].
    ///
    /// # Errors
    /// As [`Ledger::entries_agreed`], and [`LedgerError::BadKey`] for a key that the ledger can't hold.
    fn read_agreed<'a>(&'a self, keys: &'a [Key]) -> Asked<'a, KeysRead> {
        Box::pin(async {
            let wanted = keyed::ledger_keys(keys)?;
            Ok(KeysRead::of(keys, &wanted, &self.entries_agreed(&wanted).await?))
        })
    }

    /// Hands in a signed transaction, the XDR of its envelope. `Pending` is not inclusion: a ledger that holds it is.
    ///
    /// # Errors
    /// [`LedgerError`]; the transaction may have been handed in all the same.
    fn submit<'a>(&'a self, envelope: &'a [u8]) -> Asked<'a, Submitted>;

    /// What became of a transaction, by its hash; a fee bump is found under its own and its inner one's.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn status(&self, hash: TxHash) -> Asked<'_, TxStatus>;

    /// The envelope of the first successful transaction in these ledgers that is wanted; `None` where there is none, or the
    /// server has forgotten some of them. Nobody else is asked whether that is so.
    ///
    /// # Errors
    /// [`LedgerError`]; [`LedgerError::Backwards`] where the server doesn't know all of them yet.
    fn search<'a>(&'a self, ledgers: RangeInclusive<u32>, wanted: Wanted<'a>) -> Asked<'a, Option<Vec<u8>>>;

    /// What a closed ledger says of itself: its header and the results of all its transactions, as XDR that proves what
    /// it included. Nothing is concluded from it here.
    ///
    /// # Errors
    /// [`LedgerError::Rpc`] where the server's history doesn't have it, and the rest of [`LedgerError`].
    fn record(&self, sequence: u32) -> Asked<'_, LedgerRecord>;

    /// The transactions that moved any of these assets and took effect, in the ledger's order, from a ledger on; 0 begins
    /// with the oldest one that is remembered. A server can hide some: what they did is for [`Ledger::status`] to say.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn movements<'a>(&'a self, assets: &'a [Asset], from: u32) -> Asked<'a, Movements>;

    /// What was paid for inclusion of late.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn fees(&self) -> Asked<'_, FeeStats>;

    /// Which network it is.
    ///
    /// # Errors
    /// [`LedgerError::WrongNetwork`] where it has become another one, and the rest of [`LedgerError`].
    fn network(&self) -> Asked<'_, NetworkFacts>;

    /// Has the network's friendbot create and fund an account. The account is on the ledger when this returns `Ok`,
    /// though a read may need the next ledger to show it.
    ///
    /// # Errors
    /// [`LedgerError::NoFriendbot`] where there is none, and the rest of [`LedgerError`].
    fn fund_by_friendbot(&self, account: AccountId) -> Asked<'_, Funded>;

    /// Makes sure that ledgers seen earlier, also by an earlier run, are still part of this network, as far as it
    /// remembers them. A network that was reset keeps its passphrase, so nothing else tells.
    ///
    /// # Errors
    /// [`LedgerError::Reset`] where one isn't, [`LedgerError::Backwards`] where the endpoint is behind them and it
    /// can't be told yet, and the rest of [`LedgerError`].
    fn confirm<'a>(&'a self, kept: &'a [ClosedLedger]) -> Asked<'a, ()>;

    /// The newest ledger.
    ///
    /// # Errors
    /// As [`Ledger::head`].
    fn latest(&self) -> Asked<'_, ClosedLedger> {
        Box::pin(async { Ok(self.head().await?.ledger) })
    }

    /// Base fee and base reserve, from the newest ledger's header.
    ///
    /// # Errors
    /// As [`Ledger::head`].
    fn params(&self) -> Asked<'_, LedgerParams> {
        Box::pin(async { Ok(self.head().await?.params) })
    }

    /// All coins there are and the fee pool, from the newest ledger's header.
    ///
    /// # Errors
    /// As [`Ledger::head`].
    fn totals(&self) -> Asked<'_, LedgerTotals> {
        Box::pin(async { Ok(self.head().await?.totals) })
    }
}

/// A closed ledger's own account of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRecord {
    /// `LedgerHeaderHistoryEntry`: the header behind its hash.
    pub header: Vec<u8>,
    /// `TransactionResultSet`: the results of its transactions, in the order in which they were applied.
    pub results: Vec<u8>,
}

/// Which transactions moved an asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movements {
    /// Their hashes, each once.
    pub transactions: Vec<TxHash>,
    /// The last ledger that was looked through.
    pub through: u32,
    /// Whether ledgers from the one that was asked for on are no longer remembered.
    pub gap: bool,
}

/// The hash of a ledger's header.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LedgerHash(pub [u8; 32]);

impl fmt::Display for LedgerHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for LedgerHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LedgerHash({})", hex::encode(&self.0[..6]))
    }
}

/// A closed ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClosedLedger {
    /// Its number.
    pub sequence: u32,
    /// When it closed: ledger time.
    pub close_time: Timestamp,
    /// Its header's hash.
    pub hash: LedgerHash,
}

impl ClosedLedger {
    /// Its number and close time, as the protocol's machines take them.
    pub const fn point(&self) -> LedgerPoint {
        LedgerPoint::new(self.sequence, self.close_time)
    }
}

/// A closed ledger with what its header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Which ledger.
    pub ledger: ClosedLedger,
    /// The hash of the one before it.
    pub previous: LedgerHash,
    /// Base fee and base reserve as of it.
    pub params: LedgerParams,
    /// The protocol version.
    pub protocol_version: u32,
    /// The most operations that a ledger includes; above it fees rise.
    pub max_operations: u32,
    /// The ledger's own sums.
    pub totals: LedgerTotals,
}

/// A ledger's own sums: accounts, claimable balances and fee pool together are all coins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerTotals {
    /// All native coins in existence.
    pub total_coins: Stroops,
    /// Fees paid and not distributed.
    pub fee_pool: Stroops,
}

/// What a read of entries saw.
///
/// With up to 200 keys `oldest` and `newest` are the same ledger. With more, every entry (and every absence) was seen
/// at a ledger from `oldest` to `newest`: "still there at" is `oldest`, "gone by" is `newest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntriesSeen {
    /// The first ledger that was read.
    pub oldest: Head,
    /// The last ledger that was read.
    pub newest: Head,
    /// What is there, in the order of the keys asked for.
    pub entries: Vec<EntrySeen>,
}

impl EntriesSeen {
    /// The ledger that all of this was true of, with up to 200 keys; the oldest one with more.
    pub const fn at(&self) -> LedgerPoint {
        self.oldest.ledger.point()
    }

    /// The same ledger with up to 200 keys; the newest one with more.
    pub const fn until(&self) -> LedgerPoint {
        self.newest.ledger.point()
    }

    /// The entry with this key, where it was seen.
    pub fn get(&self, key: &LedgerKey) -> Option<&EntrySeen> {
        self.entries.iter().find(|entry| entry.key == *key)
    }
}

/// An entry of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntrySeen {
    /// Its key.
    pub key: LedgerKey,
    /// What it holds.
    pub data: LedgerEntryData,
    /// Who pays its reserve, where that isn't its owner.
    pub sponsor: Option<AccountId>,
    /// What the ledger keeps beside it; the sponsor is in it.
    pub ext: LedgerEntryExt,
    /// The ledger that last changed it.
    pub last_modified: u32,
}

/// What became of handing in a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// It waits for a ledger. That is not inclusion.
    Pending,
    /// It was waiting already.
    Duplicate,
    /// It can't be queued now, another of its account waits or it was dropped lately; the same bytes may be handed in
    /// again after a ledger.
    TryAgainLater,
    /// The network doesn't take it now, as its result says. Others who have the envelope may still hand it in when it
    /// has become valid, so it isn't dead before its maxTime.
    Refused {
        /// Why; [`tradepost_protocol::stellar::result::explain`] puts it in words.
        result: Box<TransactionResult>,
    },
}

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TxStatus {
    /// In none of the ledgers that the endpoint's history holds.
    NotFound {
        /// The newest of them.
        latest: LedgerPoint,
        /// The oldest of them.
        oldest: LedgerPoint,
    },
    /// Included, and all its operations applied.
    Success(Box<Found>),
    /// Included, paid its fee, and nothing else of it applied.
    Failed(Box<Found>),
}

/// A transaction in a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which ledger, and when that closed.
    pub at: LedgerPoint,
    /// Its result.
    pub result: TransactionResult,
    /// What was handed in, as included.
    pub envelope: TransactionEnvelope,
}

/// Which network an endpoint serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkFacts {
    /// Its passphrase.
    pub passphrase: String,
    /// Its protocol version.
    pub protocol_version: u32,
    /// Where its friendbot is, on networks that have one.
    pub friendbot_url: Option<String>,
}

/// What a friendbot did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Funded {
    /// It created the account; the hash of the transaction where it told it.
    Created(Option<TxHash>),
    /// The account was there already.
    Already,
}
