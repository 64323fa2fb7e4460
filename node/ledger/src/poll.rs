//! A transaction's way to its final answer.
//!
//! `Pending` is not inclusion: a transaction is *included* when a ledger holds it, and *dead* when a history that
//! covers all ledgers it could be in, up to one that closed after its maxTime, doesn't hold it. Until then it may still
//! come, and nobody may sign another one in its place.

use core::time::Duration;

use stellar_xdr::{TransactionResult, TransactionResultResult};
use tokio::time::Instant;
use tradepost_protocol::message::TxHash;
use tradepost_protocol::stellar::LedgerPoint;
use tradepost_protocol::time::Timestamp;

use crate::error::LedgerError;
use crate::ledger::{Asked, Found, Ledger, Submitted, TxStatus};

/// A transaction whose final answer is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Awaited {
    /// Its hash.
    pub hash: TxHash,
    /// Its maxTime; 0 for none, and then it never dies.
    pub max_time: Timestamp,
    /// A ledger that had closed before it was first handed in: it can only be in a later one.
    pub since: u32,
}

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Final {
    /// It is in a ledger.
    Included {
        /// Whether its operations applied; if not, it has cost its fee and its sequence number all the same.
        applied: bool,
        /// Where, and with which result.
        found: Box<Found>,
    },
    /// It is in no ledger and never will be: nothing of it happened, its sequence number is free.
    Dead {
        /// The newest ledger of the history that doesn't hold it.
        at: LedgerPoint,
    },
    /// The network doesn't take it now, and it isn't in a ledger. Whoever has the envelope may hand it in again until
    /// its maxTime, so it isn't dead.
    Refused {
        /// Why; [`tradepost_protocol::stellar::result::explain`] puts it in words.
        result: Box<TransactionResult>,
    },
    /// It can't be told.
    Unknown(Unknown),
}

/// Why a transaction's fate can't be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// There was no final answer by the deadline.
    #[error(
        "the transaction has no final answer yet{}: it may still be included, ask again later",
        last_error.as_ref().map(|e| format!(" ({e})")).unwrap_or_default()
    )]
    NotYet {
        /// What the endpoint's last fault was, where the last question had no answer.
        last_error: Option<LedgerError>,
    },
    /// The endpoint's history begins after the ledgers that may hold it.
    #[error(
        "the endpoint's history begins with ledger {oldest}, the transaction may be in one from {since}: ask an \
         endpoint with a longer history, or read the outcome from the accounts"
    )]
    HistoryGone {
        /// Where it begins.
        oldest: u32,
        /// The first ledger that may hold it.
        since: u32,
    },
    /// The endpoint can't be used, and waiting won't change that.
    #[error("{0}")]
    Endpoint(LedgerError),
}

/// How many ledgers must have closed after a refusal before "not found" is believed: an RPC server may show a ledger
/// later than the core behind it, which refuses what it has included as a used sequence number.
const REFUSAL_LEDGERS: u32 = 2;

/// Waits for the final answer on a transaction that was handed in, by whomever, asking every so often.
pub async fn await_final(ledger: &dyn Ledger, awaited: &Awaited, every: Duration, deadline: Instant) -> Final {
    wait(ledger, awaited, every, deadline, None).await
}

/// Hands in a transaction, again where the network asks for it, and waits for the final answer.
///
/// The envelope must be durable in the journal before this is called: from then on it can be included.
pub async fn submit_and_await(
    ledger: &dyn Ledger,
    envelope: &[u8],
    awaited: &Awaited,
    every: Duration,
    deadline: Instant,
) -> Final {
    loop {
        let mut last_error = None;
        match timely(deadline, ledger.submit(envelope)).await {
            Some(Ok(Submitted::Pending | Submitted::Duplicate)) => {
                return wait(ledger, awaited, every, deadline, None).await;
            }
            Some(Ok(Submitted::Refused { result })) if refused_before_sequence(&result) => {
                return wait(ledger, awaited, every, deadline, Some(result)).await;
            }
            Some(Ok(Submitted::Refused { result })) => return Final::Refused { result },
            Some(Ok(Submitted::TryAgainLater)) => {}
            Some(Err(error)) if error.is_passing() => last_error = Some(error),
            Some(Err(error)) => return Final::Unknown(Unknown::Endpoint(error)),
            None => return Final::Unknown(Unknown::NotYet { last_error: None }),
        }
        // It may be in a ledger already: handed in before, or by the other side.
        match look(ledger, awaited, deadline).await {
            Looked::Final(end) => return end,
            Looked::Open { .. } => {}
            Looked::NoAnswer(error) => last_error = last_error.or(error),
        }
        if !pause(every, deadline).await {
            return Final::Unknown(Unknown::NotYet { last_error });
        }
    }
}

/// Whether a transaction that is in a ledger already could be refused with this result: for its sequence number, or
/// for what is checked before that (time, fee, existence of its source).
fn refused_before_sequence(result: &TransactionResult) -> bool {
    matches!(
        result.result,
        TransactionResultResult::TxBadSeq
            | TransactionResultResult::TxTooLate
            | TransactionResultResult::TxInsufficientFee
            | TransactionResultResult::TxNoAccount
    )
}

/// One look at a transaction.
enum Looked {
    /// The answer is final.
    Final(Final),
    /// Not found as of this ledger, which decides nothing yet.
    Open { latest: LedgerPoint },
    /// No answer; the error where there was one.
    NoAnswer(Option<LedgerError>),
}

async fn wait(
    ledger: &dyn Ledger,
    awaited: &Awaited,
    every: Duration,
    deadline: Instant,
    refusal: Option<Box<TransactionResult>>,
) -> Final {
    let mut first_seen = None;
    loop {
        let mut last_error = None;
        match look(ledger, awaited, deadline).await {
            Looked::Final(end) => return end,
            Looked::NoAnswer(error) => last_error = error,
            Looked::Open { latest } => {
                let first = *first_seen.get_or_insert(latest.sequence);
                if let Some(result) = &refusal
                    && latest.sequence >= first.saturating_add(REFUSAL_LEDGERS)
                {
                    return Final::Refused { result: result.clone() };
                }
            }
        }
        if !pause(every, deadline).await {
            return Final::Unknown(Unknown::NotYet { last_error });
        }
    }
}

async fn look(ledger: &dyn Ledger, awaited: &Awaited, deadline: Instant) -> Looked {
    match timely(deadline, ledger.status(awaited.hash)).await {
        Some(Ok(TxStatus::Success(found))) => Looked::Final(Final::Included { applied: true, found }),
        Some(Ok(TxStatus::Failed(found))) => Looked::Final(Final::Included { applied: false, found }),
        Some(Ok(TxStatus::NotFound { latest, oldest })) => not_found(awaited, latest, oldest),
        Some(Err(error)) if error.is_passing() => Looked::NoAnswer(Some(error)),
        Some(Err(error)) => Looked::Final(Final::Unknown(Unknown::Endpoint(error))),
        None => Looked::NoAnswer(None),
    }
}

/// What "not found" means: nothing yet while a ledger may still take it, death when the history covers every ledger
/// that could have.
fn not_found(awaited: &Awaited, latest: LedgerPoint, oldest: LedgerPoint) -> Looked {
    let never_dies = awaited.max_time == Timestamp::default();
    if never_dies || latest.close_time <= awaited.max_time || latest.sequence < awaited.since {
        return Looked::Open { latest };
    }
    let since = awaited.since.saturating_add(1);
    if oldest.sequence > since {
        return Looked::Final(Final::Unknown(Unknown::HistoryGone { oldest: oldest.sequence, since }));
    }
    Looked::Final(Final::Dead { at: latest })
}

/// A question's answer, or `None` where the deadline came first.
async fn timely<T>(deadline: Instant, question: Asked<'_, T>) -> Option<Result<T, LedgerError>> {
    tokio::time::timeout_at(deadline, question).await.ok()
}

/// Waits for the next look; false where the deadline comes first.
async fn pause(every: Duration, deadline: Instant) -> bool {
    let next = Instant::now() + every;
    if next >= deadline {
        return false;
    }
    tokio::time::sleep_until(next).await;
    true
}
