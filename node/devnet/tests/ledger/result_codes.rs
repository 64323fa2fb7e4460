//! The table of result codes: what the network can answer, and how the ledger
//! is brought to answer it.
//!
//! Each code of each result enum of the protocol has one case, by a `match`
//! without a wildcard: a code that a new protocol adds doesn't compile until
//! it has one.

mod operations;
mod transactions;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as STANDARD;
use serde_json::{Value, json};
use stellar_xdr::*;

use crate::world::*;

/// How a result code is brought about.
pub enum Case {
    /// By this envelope.
    Reached(fn(&mut World) -> TransactionEnvelope),
    /// Not at all, because.
    Argued(&'static str),
}

/// What stands in the table for one kind of operation.
enum Row {
    /// A case for each of its codes.
    Codes(Vec<(i32, Case)>),
    /// It answers `opNOT_SUPPORTED`; it would have so many codes.
    NotSupported(usize),
}

/// The cases of an operation, for every code of its result.
macro_rules! codes {
    ($code:ident, $case:path) => {
        Row::Codes($code::VARIANTS.into_iter().map(|code| (code as i32, $case(code))).collect())
    };
}

fn row(kind: OperationType) -> Row {
    use OperationType as T;
    match kind {
        T::CreateAccount => codes!(CreateAccountResultCode, operations::create_account),
        T::Payment => codes!(PaymentResultCode, operations::payment),
        T::SetOptions => codes!(SetOptionsResultCode, operations::set_options),
        T::ChangeTrust => codes!(ChangeTrustResultCode, operations::change_trust),
        T::AccountMerge => codes!(AccountMergeResultCode, operations::account_merge),
        T::ManageData => codes!(ManageDataResultCode, operations::manage_data),
        T::BumpSequence => codes!(BumpSequenceResultCode, operations::bump_sequence),
        T::CreateClaimableBalance => {
            codes!(CreateClaimableBalanceResultCode, operations::create_claimable_balance)
        }
        T::ClaimClaimableBalance => codes!(ClaimClaimableBalanceResultCode, operations::claim_claimable_balance),
        T::BeginSponsoringFutureReserves => {
            codes!(BeginSponsoringFutureReservesResultCode, operations::begin_sponsoring)
        }
        T::EndSponsoringFutureReserves => codes!(EndSponsoringFutureReservesResultCode, operations::end_sponsoring),
        T::RevokeSponsorship => codes!(RevokeSponsorshipResultCode, operations::revoke_sponsorship),
        T::Clawback => codes!(ClawbackResultCode, operations::clawback),
        T::ClawbackClaimableBalance => {
            codes!(ClawbackClaimableBalanceResultCode, operations::clawback_claimable_balance)
        }
        T::SetTrustLineFlags => codes!(SetTrustLineFlagsResultCode, operations::set_trust_line_flags),
        T::PathPaymentStrictReceive => Row::NotSupported(PathPaymentStrictReceiveResultCode::VARIANTS.len()),
        T::PathPaymentStrictSend => Row::NotSupported(PathPaymentStrictSendResultCode::VARIANTS.len()),
        T::ManageSellOffer | T::CreatePassiveSellOffer => Row::NotSupported(ManageSellOfferResultCode::VARIANTS.len()),
        T::ManageBuyOffer => Row::NotSupported(ManageBuyOfferResultCode::VARIANTS.len()),
        T::AllowTrust => Row::NotSupported(AllowTrustResultCode::VARIANTS.len()),
        T::Inflation => Row::NotSupported(InflationResultCode::VARIANTS.len()),
        T::LiquidityPoolDeposit => Row::NotSupported(LiquidityPoolDepositResultCode::VARIANTS.len()),
        T::LiquidityPoolWithdraw => Row::NotSupported(LiquidityPoolWithdrawResultCode::VARIANTS.len()),
        T::InvokeHostFunction => Row::NotSupported(InvokeHostFunctionResultCode::VARIANTS.len()),
        T::ExtendFootprintTtl => Row::NotSupported(ExtendFootprintTtlResultCode::VARIANTS.len()),
        T::RestoreFootprint => Row::NotSupported(RestoreFootprintResultCode::VARIANTS.len()),
    }
}

/// Any body of a kind; most are malformed.
fn any_body(kind: OperationType) -> OperationBody {
    use OperationBody as B;
    use OperationType as T;
    match kind {
        T::CreateAccount => B::CreateAccount(CreateAccountOp::default()),
        T::Payment => B::Payment(PaymentOp::default()),
        T::PathPaymentStrictReceive => B::PathPaymentStrictReceive(PathPaymentStrictReceiveOp::default()),
        T::ManageSellOffer => B::ManageSellOffer(ManageSellOfferOp::default()),
        T::CreatePassiveSellOffer => B::CreatePassiveSellOffer(CreatePassiveSellOfferOp::default()),
        T::SetOptions => B::SetOptions(SetOptionsOp::default()),
        T::ChangeTrust => B::ChangeTrust(ChangeTrustOp::default()),
        T::AllowTrust => B::AllowTrust(AllowTrustOp::default()),
        T::AccountMerge => B::AccountMerge(MuxedAccount::default()),
        T::Inflation => B::Inflation,
        T::ManageData => B::ManageData(ManageDataOp::default()),
        T::BumpSequence => B::BumpSequence(BumpSequenceOp::default()),
        T::ManageBuyOffer => B::ManageBuyOffer(ManageBuyOfferOp::default()),
        T::PathPaymentStrictSend => B::PathPaymentStrictSend(PathPaymentStrictSendOp::default()),
        T::CreateClaimableBalance => B::CreateClaimableBalance(CreateClaimableBalanceOp::default()),
        T::ClaimClaimableBalance => B::ClaimClaimableBalance(ClaimClaimableBalanceOp::default()),
        T::BeginSponsoringFutureReserves => {
            B::BeginSponsoringFutureReserves(BeginSponsoringFutureReservesOp::default())
        }
        T::EndSponsoringFutureReserves => B::EndSponsoringFutureReserves,
        T::RevokeSponsorship => B::RevokeSponsorship(RevokeSponsorshipOp::default()),
        T::Clawback => B::Clawback(ClawbackOp::default()),
        T::ClawbackClaimableBalance => B::ClawbackClaimableBalance(ClawbackClaimableBalanceOp::default()),
        T::SetTrustLineFlags => B::SetTrustLineFlags(SetTrustLineFlagsOp::default()),
        T::LiquidityPoolDeposit => B::LiquidityPoolDeposit(LiquidityPoolDepositOp::default()),
        T::LiquidityPoolWithdraw => B::LiquidityPoolWithdraw(LiquidityPoolWithdrawOp::default()),
        T::InvokeHostFunction => B::InvokeHostFunction(InvokeHostFunctionOp::default()),
        T::ExtendFootprintTtl => B::ExtendFootprintTtl(ExtendFootprintTtlOp::default()),
        T::RestoreFootprint => B::RestoreFootprint(RestoreFootprintOp::default()),
    }
}

/// Sends an envelope through the RPC and returns the result that the RPC
/// tells, of the refusal or of the execution.
fn send(world: &mut World, envelope: &TransactionEnvelope) -> TransactionResult {
    let xdr = STANDARD.encode(envelope.to_xdr(Limits::none()).unwrap());
    let sent = world.ledger.rpc("sendTransaction", &json!({ "transaction": xdr })).unwrap();
    if sent["status"] == "ERROR" {
        return result(&sent["errorResultXdr"]);
    }
    assert_eq!(sent["status"], "PENDING");
    world.close();
    let found = world.ledger.rpc("getTransaction", &json!({ "hash": sent["hash"] })).unwrap();
    assert_ne!(found["status"], "NOT_FOUND");
    result(&found["resultXdr"])
}

fn result(xdr: &Value) -> TransactionResult {
    TransactionResult::from_xdr_base64(xdr.as_str().unwrap(), Limits::none()).unwrap()
}

/// The results of the operations.
fn operations_of(result: &TransactionResult) -> Vec<OperationResult> {
    match &result.result {
        TransactionResultResult::TxSuccess(results) | TransactionResultResult::TxFailed(results) => results.to_vec(),
        _ => Vec::new(),
    }
}

/// The kind and the code of an operation's own result, as they stand in XDR
/// behind the code that any operation can have.
fn own_code(result: &OperationResult) -> Option<(i32, i32)> {
    let bytes = result.to_xdr(Limits::none()).unwrap();
    let number = |at: usize| Some(i32::from_be_bytes(bytes.get(at..at + 4)?.try_into().unwrap()));
    Some((number(4)?, number(8)?))
}

#[derive(Default)]
struct Tally {
    reached: usize,
    argued: usize,
}

impl Tally {
    fn count(&mut self, name: &str, case: Case, answers: impl FnOnce(&TransactionResult) -> bool) {
        match case {
            Case::Argued(reason) => {
                println!("{name}: unreachable here, because: {reason}");
                self.argued += 1;
            }
            Case::Reached(envelope) => {
                let mut world = World::new();
                let envelope = envelope(&mut world);
                let result = send(&mut world, &envelope);
                assert!(answers(&result), "{name} was wanted: {result:?}");
                self.reached += 1;
            }
        }
    }
}

/// The most codes that may be argued away: one in so many.
const ARGUED_AT_MOST_ONE_IN: usize = 10;

#[test]
fn every_result_code_is_reached_through_the_rpc_or_cannot_be() {
    let mut tally = Tally::default();
    let (mut kinds_apart, mut codes_apart) = (0, 0);
    for kind in OperationType::VARIANTS {
        match row(kind) {
            Row::NotSupported(codes) => {
                kinds_apart += 1;
                codes_apart += codes;
            }
            Row::Codes(cases) => {
                for (code, case) in cases {
                    let wanted = Some((kind as i32, code));
                    let name = format!("{} {code}", kind.name());
                    tally.count(&name, case, |r| operations_of(r).iter().any(|r| own_code(r) == wanted));
                }
            }
        }
    }
    for code in OperationResultCode::VARIANTS {
        tally.count(code.name(), transactions::any_operation(code), |r| {
            operations_of(r).iter().any(|r| r.discriminant() == code)
        });
    }
    for code in TransactionResultCode::VARIANTS {
        tally.count(code.name(), transactions::transaction(code), |r| r.result.discriminant() == code);
    }
    let all = tally.reached + tally.argued;
    println!("result codes {all}/{all}, reached {}, argued {}", tally.reached, tally.argued);
    println!("apart: {kinds_apart} operations answer opNOT_SUPPORTED, with {codes_apart} codes of their own");
    assert!(tally.argued * ARGUED_AT_MOST_ONE_IN <= all, "{} of {all} are argued away", tally.argued);
}

#[test]
fn an_operation_is_implemented_or_answers_that_it_is_not_supported() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    for kind in OperationType::VARIANTS {
        let envelope = world.next(&a).op(any_body(kind)).sign(&world, &[&a]);
        let results = operations_of(&send(&mut world, &envelope));
        let refused = results == [OperationResult::OpNotSupported];
        assert_eq!(refused, matches!(row(kind), Row::NotSupported(_)), "{}: {results:?}", kind.name());
    }
}

#[test]
fn every_operation_of_another_account_needs_its_signature() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let b = world.account("b", 100 * XLM);
    for kind in OperationType::VARIANTS.into_iter().filter(|kind| matches!(row(*kind), Row::Codes(_))) {
        let envelope = world.next(&a).op_by(&b, any_body(kind)).sign(&world, &[&a]);
        assert_eq!(operations_of(&send(&mut world, &envelope)), [OperationResult::OpBadAuth], "{}", kind.name());
    }
}
