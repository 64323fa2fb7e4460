//! What each operation does: one file an operation, each with `check` (what
//! can be said without the ledger) and `apply`.

mod account_merge;
mod begin_sponsoring_future_reserves;
mod bump_sequence;
mod change_trust;
mod claim_claimable_balance;
mod clawback;
mod clawback_claimable_balance;
mod create_account;
mod create_claimable_balance;
mod end_sponsoring_future_reserves;
mod manage_data;
mod payment;
mod revoke_sponsorship;
mod set_options;
mod set_trust_line_flags;

use stellar_xdr::{
    AccountEntry, AccountId, AccountMergeResult, Asset, BeginSponsoringFutureReservesResult, BumpSequenceResult,
    ChangeTrustResult, ClaimClaimableBalanceResult, ClaimableBalanceId, ClawbackClaimableBalanceResult, ClawbackResult,
    ContractEvent, CreateAccountResult, CreateClaimableBalanceResult, EndSponsoringFutureReservesResult, Hash,
    LedgerEntryData, ManageDataResult, OperationBody, OperationResult, OperationResultTr, OperationType, PaymentResult,
    RevokeSponsorshipResult, SetOptionsResult, SetTrustLineFlagsResult,
};

use crate::account::ReserveError;
use crate::context::Context;
use crate::events::{self, Party};
use crate::execute::HighestSequences;
use crate::frame::Inner;
use crate::sponsorship::{self, Sandwiches};
use crate::state::State;

/// What an operation acts on.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) context: &'a Context,
    /// The account that the operation acts for.
    pub(crate) source: AccountId,
    /// The transaction that it is part of.
    pub(crate) inner: &'a Inner,
    /// Its place in the transaction.
    pub(crate) op_index: u32,
    pub(crate) highest: &'a HighestSequences,
    /// Who sponsors what the transaction makes.
    pub(crate) sandwiches: &'a mut Sandwiches,
    /// What others are told of the operation, if it and all others succeed.
    pub(crate) events: Vec<ContractEvent>,
}

impl Scope<'_> {
    /// Returns the source as the transaction names it, muxed or not.
    fn source_party(&self) -> Party {
        let index = usize::try_from(self.op_index).expect("at most 100 operations");
        let named = self.inner.tx.operations[index].source_account.as_ref();
        Party::Account(named.unwrap_or(&self.inner.tx.source_account).clone())
    }

    /// Tells that an amount went from one to another.
    fn tell_moved(&mut self, asset: &Asset, from: &Party, to: &Party, amount: i64) {
        let memo = &self.inner.tx.memo;
        self.events.push(events::moved(&self.context.network_id, asset, from, to, amount, memo));
    }

    /// Tells that the issuer took an amount back.
    fn tell_clawed_back(&mut self, asset: &Asset, from: &Party, amount: i64) {
        self.events.push(events::clawed_back(&self.context.network_id, asset, from, amount));
    }

    /// Tells that the issuer authorised a trustline, or no longer does.
    fn tell_authorized(&mut self, asset: &Asset, trustor: &AccountId, now: bool) {
        self.events.push(events::authorized(&self.context.network_id, asset, trustor, now));
    }

    /// Returns a copy of the source account, to be changed and put back.
    fn source_account(&self) -> Result<AccountEntry, OperationResult> {
        self.state.account(&self.source).cloned().ok_or(OperationResult::OpNoAccount)
    }

    /// Makes an entry, with its reserves on the source or its sponsor.
    fn create(&mut self, data: LedgerEntryData) -> Result<(), ReserveError> {
        sponsorship::create(self.state, data, &self.source, self.sandwiches, self.context)
    }
}

/// A result that belongs to one kind of operation.
trait Coded {
    /// Returns it as the result of any operation.
    fn op(self) -> OperationResult;
}

macro_rules! coded {
    ($($result:ident => $variant:ident),* $(,)?) => {
        $(impl Coded for $result {
            fn op(self) -> OperationResult {
                OperationResult::OpInner(OperationResultTr::$variant(self))
            }
        })*
    };
}

coded! {
    AccountMergeResult => AccountMerge,
    BeginSponsoringFutureReservesResult => BeginSponsoringFutureReserves,
    BumpSequenceResult => BumpSequence,
    ChangeTrustResult => ChangeTrust,
    ClaimClaimableBalanceResult => ClaimClaimableBalance,
    ClawbackClaimableBalanceResult => ClawbackClaimableBalance,
    ClawbackResult => Clawback,
    CreateAccountResult => CreateAccount,
    CreateClaimableBalanceResult => CreateClaimableBalance,
    EndSponsoringFutureReservesResult => EndSponsoringFutureReserves,
    ManageDataResult => ManageData,
    PaymentResult => Payment,
    RevokeSponsorshipResult => RevokeSponsorship,
    SetOptionsResult => SetOptions,
    SetTrustLineFlagsResult => SetTrustLineFlags,
}

/// Returns the result for a reserve that can't be taken on; each operation
/// has a code of its own for a balance that is too low.
fn reserve_failure(error: ReserveError, low: impl Coded) -> OperationResult {
    match error {
        ReserveError::Low => low.op(),
        ReserveError::TooManySubentries => OperationResult::OpTooManySubentries,
        ReserveError::TooManySponsoring => OperationResult::OpTooManySponsoring,
    }
}

/// The operations that the ledger knows; every other one answers
/// `opNOT_SUPPORTED`.
pub const OPERATIONS: [OperationType; 15] = [
    OperationType::CreateAccount,
    OperationType::Payment,
    OperationType::SetOptions,
    OperationType::ChangeTrust,
    OperationType::AccountMerge,
    OperationType::ManageData,
    OperationType::BumpSequence,
    OperationType::CreateClaimableBalance,
    OperationType::ClaimClaimableBalance,
    OperationType::BeginSponsoringFutureReserves,
    OperationType::EndSponsoringFutureReserves,
    OperationType::RevokeSponsorship,
    OperationType::Clawback,
    OperationType::ClawbackClaimableBalance,
    OperationType::SetTrustLineFlags,
];

/// Whether the ledger knows the operation.
pub(crate) fn supported(body: &OperationBody) -> bool {
    OPERATIONS.contains(&body.discriminant())
}

/// Checks what can be said of an operation without the ledger.
pub(crate) fn check(body: &OperationBody, source: &AccountId) -> Result<(), OperationResult> {
    match body {
        OperationBody::CreateAccount(op) => create_account::check(op, source),
        OperationBody::Payment(op) => payment::check(op),
        OperationBody::SetOptions(op) => set_options::check(op, source),
        OperationBody::ChangeTrust(op) => change_trust::check(op, source),
        OperationBody::AccountMerge(destination) => account_merge::check(destination, source),
        OperationBody::ManageData(op) => manage_data::check(op),
        OperationBody::BumpSequence(op) => bump_sequence::check(op),
        OperationBody::CreateClaimableBalance(op) => create_claimable_balance::check(op),
        OperationBody::BeginSponsoringFutureReserves(op) => begin_sponsoring_future_reserves::check(op, source),
        OperationBody::RevokeSponsorship(op) => revoke_sponsorship::check(op),
        OperationBody::Clawback(op) => clawback::check(op, source),
        OperationBody::SetTrustLineFlags(op) => set_trust_line_flags::check(op, source),
        OperationBody::ClaimClaimableBalance(_)
        | OperationBody::EndSponsoringFutureReserves
        | OperationBody::ClawbackClaimableBalance(_) => Ok(()),
        _ => Err(OperationResult::OpNotSupported),
    }
}

/// Applies an operation that passed [`check`]. After an error the caller
/// rolls the state back.
pub(crate) fn run(body: &OperationBody, scope: &mut Scope<'_>) -> Result<OperationResult, OperationResult> {
    match body {
        OperationBody::CreateAccount(op) => create_account::apply(op, scope).map(Coded::op),
        OperationBody::Payment(op) => payment::apply(op, scope).map(Coded::op),
        OperationBody::SetOptions(op) => set_options::apply(op, scope).map(Coded::op),
        OperationBody::ChangeTrust(op) => change_trust::apply(op, scope).map(Coded::op),
        OperationBody::AccountMerge(destination) => account_merge::apply(destination, scope).map(Coded::op),
        OperationBody::ManageData(op) => manage_data::apply(op, scope).map(Coded::op),
        OperationBody::BumpSequence(op) => bump_sequence::apply(op, scope).map(Coded::op),
        OperationBody::CreateClaimableBalance(op) => create_claimable_balance::apply(op, scope).map(Coded::op),
        OperationBody::ClaimClaimableBalance(op) => claim_claimable_balance::apply(op, scope).map(Coded::op),
        OperationBody::BeginSponsoringFutureReserves(op) => {
            begin_sponsoring_future_reserves::apply(op, scope).map(Coded::op)
        }
        OperationBody::EndSponsoringFutureReserves => end_sponsoring_future_reserves::apply(scope).map(Coded::op),
        OperationBody::RevokeSponsorship(op) => revoke_sponsorship::apply(op, scope).map(Coded::op),
        OperationBody::Clawback(op) => clawback::apply(op, scope).map(Coded::op),
        OperationBody::ClawbackClaimableBalance(op) => clawback_claimable_balance::apply(op, scope).map(Coded::op),
        OperationBody::SetTrustLineFlags(op) => set_trust_line_flags::apply(op, scope).map(Coded::op),
        _ => Err(OperationResult::OpNotSupported),
    }
}

/// Returns the result that an operation has before it is judged: code zero
/// with zeros behind it.
pub(crate) fn success_of(body: &OperationBody) -> OperationResult {
    match body {
        OperationBody::CreateAccount(_) => CreateAccountResult::Success.op(),
        OperationBody::Payment(_) => PaymentResult::Success.op(),
        OperationBody::SetOptions(_) => SetOptionsResult::Success.op(),
        OperationBody::ChangeTrust(_) => ChangeTrustResult::Success.op(),
        OperationBody::AccountMerge(_) => AccountMergeResult::Success(0).op(),
        OperationBody::ManageData(_) => ManageDataResult::Success.op(),
        OperationBody::BumpSequence(_) => BumpSequenceResult::Success.op(),
        OperationBody::CreateClaimableBalance(_) => {
            CreateClaimableBalanceResult::Success(ClaimableBalanceId::ClaimableBalanceIdTypeV0(Hash([0; 32]))).op()
        }
        OperationBody::ClaimClaimableBalance(_) => ClaimClaimableBalanceResult::Success.op(),
        OperationBody::BeginSponsoringFutureReserves(_) => BeginSponsoringFutureReservesResult::Success.op(),
        OperationBody::EndSponsoringFutureReserves => EndSponsoringFutureReservesResult::Success.op(),
        OperationBody::RevokeSponsorship(_) => RevokeSponsorshipResult::Success.op(),
        OperationBody::Clawback(_) => ClawbackResult::Success.op(),
        OperationBody::ClawbackClaimableBalance(_) => ClawbackClaimableBalanceResult::Success.op(),
        OperationBody::SetTrustLineFlags(_) => SetTrustLineFlagsResult::Success.op(),
        _ => OperationResult::OpNotSupported,
    }
}

/// Whether every byte is printable ASCII, as names and domains must be.
fn printable(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| (0x20..0x7f).contains(byte))
}
