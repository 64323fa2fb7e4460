//! A help exchange's history: the transactions that moved its assets, each read by its hash.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tradepost_ledger::{Ledger, Movements, TxStatus};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::community::included::MAX_INCLUDED_BYTES;
use tradepost_protocol::market::event::{FollowedPage, FollowedTransaction};
use tradepost_protocol::message::TxHash;
use tradepost_protocol::stellar::xdr;

/// How long a look at an exchange's history may take; the market asks again later than that.
const FOLLOW_LIFE: Duration = Duration::from_secs(50);

/// A page of what moved these assets from a ledger on, or the first part of it where the server is slow.
pub(super) async fn read(ledger: &dyn Ledger, assets: &[Asset], from: u32) -> Result<FollowedPage, String> {
    let moved = async { ledger.movements(assets, from).await.map_err(|e| e.to_string()) };
    let of = |hash| async move { ledger.status(hash).await.map_err(|e| e.to_string()) };
    read_within(FOLLOW_LIFE, moved, of).await
}

async fn read_within<S: Future<Output = Result<TxStatus, String>>>(
    life: Duration,
    moved: impl Future<Output = Result<Movements, String>>,
    status_of: impl Fn(TxHash) -> S,
) -> Result<FollowedPage, String> {
    let deadline = Instant::now() + life;
    let late = || format!("the server took more than {life:?}");
    let moved = timeout_at(deadline, moved).await.map_err(|_| late())??;
    let mut page = FollowedPage { transactions: Vec::new(), through: moved.through, gap: moved.gap };
    for hash in moved.transactions {
        let Ok(status) = timeout_at(deadline, status_of(hash)).await else {
            // The last ledger that was begun may have more: it is read again, with the rest.
            let first = page.transactions.first().map(|first| first.at.sequence);
            let begun = page.transactions.last().map(|last| last.at.sequence).filter(|begun| first < Some(*begun));
            page.through = begun.ok_or_else(late)? - 1;
            page.transactions.retain(|found| found.at.sequence <= page.through);
            break;
        };
        match status? {
            TxStatus::Success(found) => match xdr::write_within(&found.envelope, MAX_INCLUDED_BYTES) {
                Ok(envelope) => page.transactions.push(FollowedTransaction { at: found.at, envelope }),
                Err(error) => {
                    tracing::warn!(%hash, %error, "a transaction of a help exchange is larger than any can be");
                    page.gap = true;
                }
            },
            TxStatus::Failed(_) => {}
            TxStatus::NotFound { .. } => {
                return Err(format!("the server tells of the transaction {hash} and doesn't have it"));
            }
        }
    }
    Ok(page)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use core::future::pending;

    use stellar_xdr::{
        Memo, MuxedAccount, Preconditions, SequenceNumber, Transaction, TransactionEnvelope, TransactionExt,
        TransactionResult, TransactionResultExt, TransactionResultResult, TransactionV1Envelope, Uint256,
    };
    use tradepost_ledger::Found;
    use tradepost_protocol::stellar::LedgerPoint;
    use tradepost_protocol::time::Timestamp;

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);

    fn moved(transactions: &[u8]) -> Movements {
        let transactions = transactions.iter().map(|n| TxHash::from_bytes([*n; 32])).collect();
        Movements { transactions, through: 9, gap: false }
    }

    fn found(ledger: u32) -> TxStatus {
        let tx = Transaction {
            source_account: MuxedAccount::Ed25519(Uint256([1; 32])),
            fee: 100,
            seq_num: SequenceNumber(1),
            cond: Preconditions::None,
            memo: Memo::None,
            operations: Default::default(),
            ext: TransactionExt::V0,
        };
        let result = TransactionResultResult::TxSuccess(Default::default());
        TxStatus::Success(Box::new(Found {
            at: LedgerPoint::new(ledger, Timestamp::from_secs(1)),
            result: TransactionResult { fee_charged: 100, result, ext: TransactionResultExt::V0 },
            envelope: TransactionEnvelope::Tx(TransactionV1Envelope { tx, signatures: Default::default() }),
        }))
    }

    #[tokio::test]
    async fn a_server_that_never_answers_is_given_up() {
        let never = read_within(SHORT, pending(), |_| async { Ok(found(1)) }).await;
        assert!(never.unwrap_err().contains("took more than"));
        let never = read_within(SHORT, async { Ok(moved(&[5])) }, |_| pending()).await;
        assert!(never.unwrap_err().contains("took more than"), "nothing is whole");
    }

    #[tokio::test]
    async fn a_server_that_is_slow_gives_the_ledgers_that_are_whole() {
        // The hash's first byte is its ledger; the fourth one never comes.
        let status = |hash: TxHash| async move {
            match hash.as_bytes()[0] {
                7 => pending().await,
                ledger => Ok(found(ledger.into())),
            }
        };
        let page = read_within(SHORT, async { Ok(moved(&[5, 5, 6, 7, 8])) }, status).await.unwrap();
        let ledgers: Vec<u32> = page.transactions.iter().map(|found| found.at.sequence).collect();
        assert_eq!((page.through, ledgers), (5, vec![5, 5]), "what the sixth has besides may be among the rest");
        let page = read_within(SHORT, async { Ok(moved(&[5, 6])) }, status).await.unwrap();
        assert_eq!((page.through, page.transactions.len()), (9, 2));
        let none = read_within(SHORT, async { Ok(moved(&[5, 5, 7])) }, status).await;
        assert!(none.is_err(), "one ledger that isn't whole is none");
    }
}
