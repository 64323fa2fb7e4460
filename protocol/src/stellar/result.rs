//! What the ledger says about a transaction: result codes, and sentences for people.

use stellar_xdr::{
    AccountMergeResult, ChangeTrustResult, ClaimClaimableBalanceResult, CreateAccountResult,
    CreateClaimableBalanceResult, InnerTransactionResultResult, OperationResult, OperationResultTr, PaymentResult,
    SetOptionsResult, TransactionResult, TransactionResultResult,
};

use crate::amount::Stroops;
use crate::stellar::xdr::{self, XdrError};

/// A transaction's result code.
///
/// The numbers are the ledger's own, the words too: `txBAD_SEQ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TxCode {
    /// The ledger's number.
    pub number: i32,
    /// The ledger's word.
    pub word: &'static str,
    /// What happened and what to do, in a sentence.
    pub sentence: &'static str,
}

/// The operation that made a transaction fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationFailure {
    /// Its place in the transaction, from 0.
    pub index: usize,
    /// Its code: `CLAIM_CLAIMABLE_BALANCE_CANNOT_CLAIM`.
    pub word: String,
    /// What happened and what to do, in a sentence.
    pub sentence: &'static str,
}

/// A transaction's result, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultView {
    /// What it cost.
    pub fee_charged: Stroops,
    /// Its code; of a fee bump, the inner transaction's.
    pub code: TxCode,
    /// Its first failing operation.
    pub failure: Option<OperationFailure>,
}

macro_rules! codes {
    ($($name:ident = $number:literal, $word:literal, $sentence:literal;)*) => {
        fn outer_code(result: &TransactionResultResult) -> TxCode {
            match result {
                TransactionResultResult::TxFeeBumpInnerSuccess(pair) => inner_code(&pair.result.result),
                TransactionResultResult::TxFeeBumpInnerFailed(pair) => inner_code(&pair.result.result),
                $(TransactionResultResult::$name { .. } => TxCode { number: $number, word: $word, sentence: $sentence },)*
            }
        }

        fn inner_code(result: &InnerTransactionResultResult) -> TxCode {
            match result {
                $(InnerTransactionResultResult::$name { .. } => TxCode { number: $number, word: $word, sentence: $sentence },)*
            }
        }
    };
}

codes! {
    TxSuccess = 0, "txSUCCESS", "It succeeded.";
    TxFailed = -1, "txFAILED", "One of its operations failed, so none took effect; the fee and the sequence number are used.";
    TxTooEarly = -2, "txTOO_EARLY", "Its time hasn't come yet; send it again later.";
    TxTooLate = -3, "txTOO_LATE", "Its time is over; build it anew.";
    TxMissingOperation = -4, "txMISSING_OPERATION", "It has no operation; this is a defect of the program that built it.";
    TxBadSeq = -5, "txBAD_SEQ", "Its sequence number isn't the account's next; another program uses the same account, or it was included already.";
    TxBadAuth = -6, "txBAD_AUTH", "Its signatures don't reach the weight that the account asks for; sign with the account's own key.";
    TxInsufficientBalance = -7, "txINSUFFICIENT_BALANCE", "The account can't pay the fee and keep its reserve; add XLM.";
    TxNoAccount = -8, "txNO_ACCOUNT", "The source account doesn't exist on this network; fund it first.";
    TxInsufficientFee = -9, "txINSUFFICIENT_FEE", "The network asks for a higher fee now; raise the fee cap or wait.";
    TxBadAuthExtra = -10, "txBAD_AUTH_EXTRA", "It carries a signature that nobody needs; send it with the needed ones only.";
    TxInternalError = -11, "txINTERNAL_ERROR", "The ledger's node failed inside; send it again or use another endpoint.";
    TxNotSupported = -12, "txNOT_SUPPORTED", "The ledger doesn't take this form of transaction.";
    TxBadSponsorship = -14, "txBAD_SPONSORSHIP", "A sponsorship is left open at its end; this is a defect of the program that built it.";
    TxBadMinSeqAgeOrGap = -15, "txBAD_MIN_SEQ_AGE_OR_GAP", "The account's last transaction is too recent for it; send it again later.";
    TxMalformed = -16, "txMALFORMED", "Its preconditions contradict each other; this is a defect of the program that built it.";
    TxSorobanInvalid = -17, "txSOROBAN_INVALID", "Its contract part is invalid; this program sends none.";
    TxFrozenKeyAccessed = -18, "txFROZEN_KEY_ACCESSED", "It touches an entry that the network has frozen.";
}

impl ResultView {
    /// Reads a `TransactionResult`.
    ///
    /// # Errors
    /// [`XdrError`] where it isn't one.
    pub fn read(bytes: &[u8]) -> Result<Self, XdrError> {
        let result: TransactionResult = xdr::read("transaction result", bytes)?;
        let operations = match &result.result {
            TransactionResultResult::TxFailed(ops) => Some(ops),
            TransactionResultResult::TxFeeBumpInnerFailed(pair) => match &pair.result.result {
                InnerTransactionResultResult::TxFailed(ops) => Some(ops),
                _ => None,
            },
            _ => None,
        };
        let failure = operations.and_then(|ops| ops.iter().enumerate().find_map(|(i, op)| failure(i, op)));
        Ok(Self { fee_charged: xdr::read_amount(result.fee_charged)?, code: outer_code(&result.result), failure })
    }

    /// Whether everything in it took effect.
    pub const fn is_success(&self) -> bool {
        self.code.number == 0
    }

    /// Whether the account's sequence number wasn't the one before the transaction's.
    pub const fn is_bad_sequence(&self) -> bool {
        self.code.number == -5
    }

    /// Whether sending the same bytes again can help: too early, or a fault of the ledger's node.
    pub const fn is_passing(&self) -> bool {
        matches!(self.code.number, -2 | -9 | -11 | -15)
    }

    /// A sentence or two for people, with the ledger's own words.
    pub fn explain(&self) -> String {
        match &self.failure {
            None => format!("{} ({})", self.code.sentence, self.code.word),
            Some(f) => format!("{} ({}, operation {}: {})", f.sentence, self.code.word, f.index, f.word),
        }
    }
}

/// [`ResultView::explain`] of bytes that may be anything.
pub fn explain(result: &[u8]) -> String {
    match ResultView::read(result) {
        Ok(view) => view.explain(),
        Err(error) => format!("the ledger's answer can't be read: {error}"),
    }
}

fn failure(index: usize, result: &OperationResult) -> Option<OperationFailure> {
    let inner = match result {
        OperationResult::OpInner(inner) => inner,
        other => {
            let sentence = match other {
                OperationResult::OpBadAuth => "The account that it acts for has not signed with enough weight.",
                OperationResult::OpNoAccount => "The account that it acts for doesn't exist.",
                OperationResult::OpNotSupported => "The ledger doesn't know this operation.",
                OperationResult::OpTooManySubentries => "The account has a thousand entries already.",
                OperationResult::OpTooManySponsoring => "The account sponsors too many entries already.",
                _ => "The ledger refused the operation.",
            };
            return Some(OperationFailure { index, word: screaming(other.name()), sentence });
        }
    };
    let (word, sentence) = inner_failure(inner)?;
    Some(OperationFailure { index, word: format!("{}_{}", screaming(inner.name()), screaming(word)), sentence })
}

/// The word and sentence of an operation that failed; `None` where it succeeded.
fn inner_failure(result: &OperationResultTr) -> Option<(&'static str, &'static str)> {
    match result {
        OperationResultTr::CreateClaimableBalance(r) => create_balance_failure(r),
        OperationResultTr::ClaimClaimableBalance(r) => claim_failure(r),
        OperationResultTr::Payment(r) => payment_failure(r),
        OperationResultTr::CreateAccount(r) => create_account_failure(r),
        OperationResultTr::SetOptions(r) => set_options_failure(r),
        OperationResultTr::ChangeTrust(r) => change_trust_failure(r),
        OperationResultTr::AccountMerge(r) => merge_failure(r),
        // Of the others this program sends only BumpSequence, which fails for nothing but a negative number; a transaction
        // with another one is someone else's.
        _ => None,
    }
}

fn create_balance_failure(result: &CreateClaimableBalanceResult) -> Option<(&'static str, &'static str)> {
    use CreateClaimableBalanceResult as R;
    let sentence = match result {
        R::Success(_) => return None,
        R::Malformed => "The balance to lock is malformed: amount, claimants or conditions.",
        R::LowReserve => "The account can't lock the balance and keep its reserve; add XLM.",
        R::NoTrust => "The account has no trustline for the asset.",
        R::NotAuthorized => "The asset's issuer has not authorised the account.",
        R::Underfunded => "The account holds too little of the asset.",
    };
    Some((result.name(), sentence))
}

fn claim_failure(result: &ClaimClaimableBalanceResult) -> Option<(&'static str, &'static str)> {
    use ClaimClaimableBalanceResult as R;
    let sentence = match result {
        R::Success => return None,
        R::DoesNotExist => "The balance is gone: someone entitled has claimed it already.",
        R::CannotClaim => "The account may not claim the balance at this time.",
        R::LineFull => "The account's trustline has no room for the amount; raise its limit.",
        R::NoTrust => "The account has no trustline for the asset; add one.",
        R::NotAuthorized => "The asset's issuer has not authorised the account.",
        R::TrustlineFrozen => "The account's trustline is frozen.",
    };
    Some((result.name(), sentence))
}

fn payment_failure(result: &PaymentResult) -> Option<(&'static str, &'static str)> {
    use PaymentResult as R;
    let sentence = match result {
        R::Success => return None,
        R::Malformed => "The payment is malformed: amount or asset.",
        R::Underfunded => "The account can't pay the amount and keep its reserve.",
        R::SrcNoTrust => "The paying account has no trustline for the asset.",
        R::SrcNotAuthorized => "The asset's issuer has not authorised the paying account.",
        R::NoDestination => "The account to be paid doesn't exist; create it with a starting balance.",
        R::NoTrust => "The account to be paid has no trustline for the asset.",
        R::NotAuthorized => "The asset's issuer has not authorised the account to be paid.",
        R::LineFull => "The account to be paid has no room for the amount.",
        R::NoIssuer => "The asset's issuer doesn't exist.",
    };
    Some((result.name(), sentence))
}

fn create_account_failure(result: &CreateAccountResult) -> Option<(&'static str, &'static str)> {
    use CreateAccountResult as R;
    let sentence = match result {
        R::Success => return None,
        R::Malformed => "The account to create is malformed: its id or balance.",
        R::Underfunded => "The account can't pay the starting balance and keep its reserve.",
        R::LowReserve => "The starting balance is below the reserve of a new account.",
        R::AlreadyExist => "The account exists already; pay it instead.",
    };
    Some((result.name(), sentence))
}

fn set_options_failure(result: &SetOptionsResult) -> Option<(&'static str, &'static str)> {
    use SetOptionsResult as R;
    let sentence = match result {
        R::Success => return None,
        R::LowReserve => "The account can't take one more signer and keep its reserve; add XLM.",
        R::TooManySigners => "The account has as many signers as the ledger allows.",
        R::BadFlags | R::UnknownFlag => "The flags to set contradict each other or don't exist.",
        R::InvalidInflation | R::InvalidHomeDomain => "The account's data to set are malformed.",
        R::CantChange => "The account was made so that its flags can't be changed any more.",
        R::ThresholdOutOfRange => "The weight or threshold to set is above 255.",
        R::BadSigner => "The signer to set is the account itself, or its weight is above 255.",
        R::AuthRevocableRequired => "An issuer that may claw back must be able to revoke too.",
    };
    Some((result.name(), sentence))
}

fn change_trust_failure(result: &ChangeTrustResult) -> Option<(&'static str, &'static str)> {
    use ChangeTrustResult as R;
    let sentence = match result {
        R::Success => return None,
        R::Malformed | R::SelfNotAllowed => "The asset to trust is malformed, or the account's own.",
        R::NoIssuer => "The asset's issuer doesn't exist.",
        R::InvalidLimit => "The trustline holds more than the limit to set; pay that away first.",
        R::LowReserve => "The account can't take one more trustline and keep its reserve; add XLM.",
        R::TrustLineMissing => "The trustline to change isn't there.",
        R::CannotDelete => "The trustline is still needed by offers or pools.",
        R::NotAuthMaintainLiabilities => "The asset's issuer has not authorised the account.",
    };
    Some((result.name(), sentence))
}

fn merge_failure(result: &AccountMergeResult) -> Option<(&'static str, &'static str)> {
    use AccountMergeResult as R;
    let sentence = match result {
        R::Success(_) => return None,
        R::Malformed => "An account can't be merged into itself.",
        R::NoAccount => "The account to merge into doesn't exist.",
        R::ImmutableSet => "The account was made so that it can't be merged.",
        R::HasSubEntries => "The account still has trustlines, offers or data; end them first.",
        R::SeqnumTooFar => "The account's sequence number is ahead of the ledger's; merge it a few ledgers later.",
        R::DestFull => "The account to merge into has no room for the amount.",
        R::IsSponsor => "The account still holds reserves for others; end that first.",
    };
    Some((result.name(), sentence))
}

/// `CannotClaim` → `CANNOT_CLAIM`.
fn screaming(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for (i, c) in name.chars().enumerate() {
        if c.is_ascii_uppercase() && i > 0 {
            out.push('_');
        }
        out.push(c.to_ascii_uppercase());
    }
    out
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use stellar_xdr::TransactionResultExt;

    fn bytes(fee: i64, result: TransactionResultResult) -> Vec<u8> {
        xdr::write(&TransactionResult { fee_charged: fee, result, ext: TransactionResultExt::V0 }).unwrap()
    }

    #[test]
    fn a_failed_operation_is_named_with_its_place_and_explained() {
        let operations = vec![
            OperationResult::OpInner(OperationResultTr::Payment(PaymentResult::Success)),
            OperationResult::OpInner(OperationResultTr::ClaimClaimableBalance(
                ClaimClaimableBalanceResult::CannotClaim,
            )),
        ];
        let view =
            ResultView::read(&bytes(100, TransactionResultResult::TxFailed(operations.try_into().unwrap()))).unwrap();
        assert_eq!(view.fee_charged.get(), 100);
        assert!(!view.is_success());
        assert_eq!(
            view.explain(),
            "The account may not claim the balance at this time. \
             (txFAILED, operation 1: CLAIM_CLAIMABLE_BALANCE_CANNOT_CLAIM)"
        );
    }

    #[test]
    fn a_whole_refusal_has_its_code_and_says_whether_sending_again_helps() {
        let early = ResultView::read(&bytes(0, TransactionResultResult::TxTooEarly)).unwrap();
        assert!(early.is_passing() && !early.is_success());
        let sequence = ResultView::read(&bytes(0, TransactionResultResult::TxBadSeq)).unwrap();
        assert!(sequence.is_bad_sequence() && !sequence.is_passing());
        assert!(sequence.explain().ends_with("(txBAD_SEQ)"));
        let failed = TransactionResultResult::TxFailed(vec![OperationResult::OpBadAuth].try_into().unwrap());
        assert!(explain(&bytes(100, failed)).contains("OP_BAD_AUTH"));
        assert!(explain(&[1, 2, 3]).starts_with("the ledger's answer can't be read"));
    }
}
