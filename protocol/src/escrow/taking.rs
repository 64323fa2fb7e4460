//! Who got an escrow's money, read from the transaction that took it.

use stellar_xdr::{CreateClaimableBalanceOp, OperationBody};

use crate::account::AccountId;
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::escrow::outcome::Taken;
use crate::message::BalanceId;
use crate::network_id::NetworkId;
use crate::stellar::entry::read_claimants;
use crate::stellar::envelope::{EnvelopeError, SignedTransaction};
use crate::stellar::predicate::Predicate;
use crate::stellar::{Operation, balance_id, xdr};

/// What a transaction did with an escrow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taking {
    /// Who has the money.
    pub taken: Taken,
    /// The balances by which it pays those whom it doesn't pay directly.
    pub paid: Vec<(AccountId, BalanceId)>,
}

/// Who may get an escrow's money.
#[derive(Debug, Clone, Copy)]
pub(super) struct Payees<'a> {
    /// Who is paid.
    pub(super) recipient: AccountId,
    /// Who paid.
    pub(super) consumer: AccountId,
    /// What.
    pub(super) asset: &'a Asset,
}

/// Whether a transaction claims this balance, or claws it back; it may have failed.
///
/// # Errors
/// [`EnvelopeError`] where the envelope can't be read.
pub fn touches(balance: BalanceId, envelope: &[u8], network: &NetworkId) -> Result<bool, EnvelopeError> {
    let transaction = SignedTransaction::read_included(envelope, network)?;
    let claims = |op: &Operation| match &op.body {
        OperationBody::ClaimClaimableBalance(claim) => balance_id::from_xdr(&claim.balance_id) == balance,
        _ => false,
    };
    Ok(transaction.operations().iter().any(claims) || claws_back(balance, &transaction))
}

/// The balances that a transaction claims; it may have failed.
///
/// # Errors
/// [`EnvelopeError`] where the envelope can't be read.
pub fn claimed(envelope: &[u8], network: &NetworkId) -> Result<Vec<BalanceId>, EnvelopeError> {
    let transaction = SignedTransaction::read_included(envelope, network)?;
    let claims = |op: &Operation| match &op.body {
        OperationBody::ClaimClaimableBalance(claim) => Some(balance_id::from_xdr(&claim.balance_id)),
        _ => None,
    };
    Ok(transaction.operations().iter().filter_map(claims).collect())
}

/// Whether a transaction is the issuer's that claws this balance back.
pub(super) fn claws_back(balance: BalanceId, transaction: &SignedTransaction) -> bool {
    transaction.operations().iter().any(|op| match &op.body {
        OperationBody::ClawbackClaimableBalance(clawback) => balance_id::from_xdr(&clawback.balance_id) == balance,
        _ => false,
    })
}

impl Payees<'_> {
    /// What a successful transaction did with `balance`; `None` where it left it alone, or where nobody who may get the
    /// money has it.
    pub(super) fn taking(&self, balance: BalanceId, transaction: &SignedTransaction) -> Option<Taking> {
        let (mut by, mut recipient, mut consumer) = (None, 0, 0);
        let mut paid = Vec::new();
        for (index, operation) in transaction.operations().iter().enumerate() {
            let acting = match &operation.source_account {
                None => Some(transaction.source()),
                Some(account) => xdr::read_plain(account),
            };
            match &operation.body {
                OperationBody::ClaimClaimableBalance(claim) if balance_id::from_xdr(&claim.balance_id) == balance => {
                    by = acting;
                }
                body if by.is_some() => {
                    let Some((to, amount)) = self.moves(body) else { continue };
                    if matches!(body, OperationBody::CreateClaimableBalance(_)) {
                        let source = (transaction.source(), transaction.sequence());
                        paid.push((to, balance_id::of_operation(source.0, source.1, index as u32)));
                    }
                    for (account, sum) in [(self.recipient, &mut recipient), (self.consumer, &mut consumer)] {
                        *sum += i128::from(i64::from(to == account) - i64::from(acting == Some(account))) * amount;
                    }
                }
                _ => {}
            }
        }
        let taken = self.taken(by?, recipient, consumer)?;
        Some(Taking { taken, paid })
    }

    /// Who is paid by an operation in this asset, and how much.
    fn moves(&self, body: &OperationBody) -> Option<(AccountId, i128)> {
        let asset = xdr::asset(self.asset);
        match body {
            OperationBody::Payment(pay) if pay.asset == asset => {
                Some((xdr::read_plain(&pay.destination)?, i128::from(pay.amount)))
            }
            OperationBody::CreateClaimableBalance(create) if create.asset == asset => {
                Some((only_claimant(create)?, i128::from(create.amount)))
            }
            _ => None,
        }
    }

    /// Who has it, by whom it was claimed and what it passed on to each.
    fn taken(&self, by: AccountId, to_recipient: i128, to_consumer: i128) -> Option<Taken> {
        let stroops = |sum: i128| i64::try_from(sum).ok().and_then(Stroops::new).filter(|sum| !sum.is_zero());
        match (stroops(to_recipient), stroops(to_consumer)) {
            (Some(recipient), Some(consumer)) => Some(Taken::Divided { recipient, consumer }),
            (None, Some(_)) => Some(Taken::ByConsumer),
            (Some(_), None) => Some(Taken::ByRecipient),
            (None, None) if by == self.recipient => Some(Taken::ByRecipient),
            (None, None) if by == self.consumer => Some(Taken::ByConsumer),
            (None, None) => None,
        }
    }
}

/// Who alone may claim a balance, at any time.
fn only_claimant(create: &CreateClaimableBalanceOp) -> Option<AccountId> {
    match read_claimants(&create.claimants).as_slice() {
        [only] if only.predicate == Predicate::Always => Some(only.account),
        _ => None,
    }
}
