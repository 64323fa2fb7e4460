//! A transaction that a ledger included, read in whatever form it came: an exchange is moved by all of them.

use stellar_xdr::{
    FeeBumpTransactionInnerTx, Hash, OperationBody, Preconditions, Transaction, TransactionEnvelope, TransactionExt,
    TransactionV0, TransactionV1Envelope,
};

use crate::account::AccountId;
use crate::message::{BalanceId, TxHash};
use crate::network_id::NetworkId;
use crate::stellar::xdr::{self, XdrError};
use crate::stellar::{LedgerPoint, Memo, Operation, balance_id};

/// The most bytes of an envelope that is read: more than a hundred of the largest classic operations.
pub const MAX_INCLUDED_BYTES: usize = 512 * 1024;
/// Larger envelopes are no steps of an exchange; of them only what they take is kept.
const MAX_STEP_BYTES: usize = 16 * 1024;

/// A transaction that a ledger included and whose operations took effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Included {
    /// Its hash; of a fee bump the inner one's.
    pub hash: TxHash,
    /// In which ledger.
    pub at: LedgerPoint,
    /// Its source.
    pub source: AccountId,
    /// Its sequence number.
    pub sequence: i64,
    /// Its memo.
    pub memo: Memo,
    /// Its operations.
    pub operations: Vec<Operation>,
}

impl Included {
    /// Reads the envelope of a transaction that took effect: of either version, with multiplexed accounts or without, or
    /// inside of a fee bump. Another account's number in an account doesn't make the money another one's.
    ///
    /// # Errors
    /// [`XdrError`] where it is no envelope.
    pub fn read(envelope: &[u8], at: LedgerPoint, network: &NetworkId) -> Result<Self, XdrError> {
        let envelope = xdr::read_within::<TransactionEnvelope>("transaction envelope", envelope, MAX_INCLUDED_BYTES)?;
        let transaction = match envelope {
            TransactionEnvelope::TxV0(v0) => of_version_zero(v0.tx),
            TransactionEnvelope::Tx(v1) => v1.tx,
            TransactionEnvelope::TxFeeBump(bump) => {
                let FeeBumpTransactionInnerTx::Tx(v1) = bump.tx.inner_tx;
                v1.tx
            }
        };
        let hash = transaction.hash(*network.as_bytes()).map_err(|e| XdrError::DoesNotFit(e.to_string()))?;
        Ok(Self {
            hash: TxHash::from_bytes(hash),
            at,
            source: xdr::account_behind(&transaction.source_account),
            sequence: transaction.seq_num.0,
            memo: transaction.memo,
            operations: transaction.operations.to_vec(),
        })
    }

    /// As [`Included::read`], with what is to be kept of it: itself, unless it is larger than any step of an exchange.
    /// Then what it takes and which trustlines it changes is all that counts of it, under its own hash; what it locks is
    /// nobody's business.
    ///
    /// # Errors
    /// As [`Included::read`].
    pub fn read_to_keep(envelope: Vec<u8>, at: LedgerPoint, network: &NetworkId) -> Result<(Self, Vec<u8>), XdrError> {
        let whole = Self::read(&envelope, at, network)?;
        if envelope.len() <= MAX_STEP_BYTES {
            return Ok((whole, envelope));
        }
        let takes = |operation: &Operation| {
            matches!(
                operation.body,
                OperationBody::ClaimClaimableBalance(_)
                    | OperationBody::ClawbackClaimableBalance(_)
                    | OperationBody::ChangeTrust(_)
            )
        };
        let operations: Vec<Operation> = whole.operations.iter().filter(|op| takes(op)).cloned().collect();
        let reduced = Self { memo: Memo::None, operations, ..whole };
        let envelope = TransactionEnvelope::Tx(TransactionV1Envelope {
            tx: Transaction {
                source_account: xdr::muxed(reduced.source),
                fee: 0,
                seq_num: stellar_xdr::SequenceNumber(reduced.sequence),
                cond: Preconditions::None,
                memo: Memo::None,
                operations: reduced.operations.clone().try_into().map_err(|_| XdrError::Invalid("transaction"))?,
                ext: TransactionExt::V0,
            },
            signatures: Default::default(),
        });
        Ok((reduced, xdr::write(&envelope)?))
    }

    /// The transaction that its memo names.
    pub fn names(&self) -> Option<TxHash> {
        match &self.memo {
            Memo::Hash(Hash(bytes)) => Some(TxHash::from_bytes(*bytes)),
            _ => None,
        }
    }

    /// The account behind an operation.
    pub fn source_of(&self, operation: &Operation) -> AccountId {
        operation.source_account.as_ref().map_or(self.source, xdr::account_behind)
    }

    /// The claimable balance that its operation with this number makes.
    pub fn balance_of(&self, index: usize) -> BalanceId {
        balance_id::of_operation(self.source, self.sequence, u32::try_from(index).unwrap_or(u32::MAX))
    }
}

/// The same transaction as of version one, which is also what the ledger hashes of it.
fn of_version_zero(v0: TransactionV0) -> Transaction {
    Transaction {
        source_account: stellar_xdr::MuxedAccount::Ed25519(v0.source_account_ed25519),
        fee: v0.fee,
        seq_num: v0.seq_num,
        cond: v0.time_bounds.map_or(Preconditions::None, Preconditions::Time),
        memo: v0.memo,
        operations: v0.operations,
        ext: TransactionExt::V0,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use stellar_xdr::{
        FeeBumpTransaction, FeeBumpTransactionEnvelope, FeeBumpTransactionExt, MuxedAccount, MuxedAccountMed25519,
        PaymentOp, TransactionV0Envelope, TransactionV0Ext, Uint256,
    };

    use super::*;
    use crate::amount::Stroops;
    use crate::community::shape::{Deed, deed};
    use crate::community::tests::{account, envelope, large_lock, net, terms};
    use crate::stellar::operation;
    use crate::time::Timestamp;

    fn multiplexed(byte: u8) -> MuxedAccount {
        MuxedAccount::MuxedEd25519(MuxedAccountMed25519 { id: 7, ed25519: Uint256([byte; 32]) })
    }

    fn read(envelope: &TransactionEnvelope) -> Included {
        let at = LedgerPoint::new(5, Timestamp::from_secs(9));
        Included::read(&xdr::write(envelope).unwrap(), at, &net()).unwrap()
    }

    #[test]
    fn a_transaction_is_the_same_in_whatever_form_it_came() {
        let pay = operation::pay(account(9), &terms().clawable, Stroops::whole(1));
        let claim = operation::by(account(8), operation::claim(BalanceId::from_bytes([3; 32])));
        let bytes = envelope(account(4), 77, Memo::None, vec![pay, claim]);
        let TransactionEnvelope::Tx(v1) = xdr::read::<TransactionEnvelope>("envelope", &bytes).unwrap() else {
            panic!("of version one")
        };
        let plain = read(&TransactionEnvelope::Tx(v1.clone()));
        assert_eq!((plain.source, plain.sequence), (account(4), 77));

        let v0 = TransactionV0 {
            source_account_ed25519: Uint256([4; 32]),
            fee: v1.tx.fee,
            seq_num: v1.tx.seq_num.clone(),
            time_bounds: None,
            memo: v1.tx.memo.clone(),
            operations: v1.tx.operations.clone(),
            ext: TransactionV0Ext::V0,
        };
        let v0 = TransactionEnvelope::TxV0(TransactionV0Envelope { tx: v0, signatures: Default::default() });
        assert_eq!(read(&v0), plain, "hash and all");

        let bump = FeeBumpTransaction {
            fee_source: multiplexed(6),
            fee: 1_000,
            inner_tx: FeeBumpTransactionInnerTx::Tx(v1.clone()),
            ext: FeeBumpTransactionExt::V0,
        };
        let bump =
            TransactionEnvelope::TxFeeBump(FeeBumpTransactionEnvelope { tx: bump, signatures: Default::default() });
        assert_eq!(read(&bump), plain);

        let mut muxed = v1;
        muxed.tx.source_account = multiplexed(4);
        let mut operations = muxed.tx.operations.to_vec();
        if let OperationBody::Payment(PaymentOp { destination, .. }) = &mut operations[0].body {
            *destination = multiplexed(9);
        }
        operations[1].source_account = Some(multiplexed(8));
        muxed.tx.operations = operations.try_into().unwrap();
        let muxed = read(&TransactionEnvelope::Tx(muxed));
        assert_eq!((muxed.source, muxed.balance_of(0)), (plain.source, plain.balance_of(0)));
        let sources = |tx: &Included| tx.operations.iter().map(|op| tx.source_of(op)).collect::<Vec<_>>();
        assert_eq!(sources(&muxed), [account(4), account(8)]);
        let deeds = |tx: &Included| tx.operations.iter().map(deed).collect::<Vec<Deed>>();
        assert_eq!(deeds(&muxed), deeds(&plain));
    }

    #[test]
    fn of_a_transaction_larger_than_any_step_what_it_takes_is_kept() {
        let at = LedgerPoint::new(5, Timestamp::from_secs(9));
        let claim = operation::claim(BalanceId::from_bytes([3; 32]));
        let long = "x".repeat(crate::community::shape::MAX_DESCRIPTION);
        let mut operations = crate::community::shape::make(&terms(), account(4), 60, &long).unwrap();
        operations.push(claim.clone());
        let small = envelope(account(4), 77, Memo::None, operations.clone());
        assert_eq!(Included::read_to_keep(small.clone(), at, &net()).unwrap().1, small, "a step is kept as it is");
        // As large as a transaction gets: a hundred balances of ten claimants each.
        let mut operations = vec![large_lock(); 99];
        operations.insert(50, claim.clone());
        let large = envelope(account(4), 78, Memo::None, operations);
        assert!(large.len() > 2 * MAX_STEP_BYTES, "{}", large.len());
        let whole = Included::read(&large, at, &net()).unwrap();
        let (kept, bytes) = Included::read_to_keep(large, at, &net()).unwrap();
        assert_eq!((kept.hash, kept.source, &kept.operations), (whole.hash, whole.source, &vec![claim]));
        assert!(bytes.len() < MAX_STEP_BYTES);
        let again = Included::read(&bytes, at, &net()).unwrap();
        assert_eq!(Included { hash: kept.hash, ..again }, kept, "as it was stored, but for its hash");
    }
}
