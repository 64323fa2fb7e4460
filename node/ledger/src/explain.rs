//! Result codes as sentences: what, why, what to do.

use core::fmt;

use stellar_xdr::{
    InnerTransactionResultResult, OperationResult, OperationResultTr, TransactionResult, TransactionResultResult,
};

/// What a transaction's result means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The codes as the Stellar ecosystem writes them: `tx_bad_seq`, or `tx_failed: op_underfunded`.
    pub code: String,
    /// What happened and why.
    pub what: String,
    /// What to do about it; empty where nothing is to be done.
    pub remedy: &'static str,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.what, self.code)?;
        if !self.remedy.is_empty() {
            write!(f, ": {}", self.remedy)?;
        }
        Ok(())
    }
}

/// Puts a transaction's result into words.
pub fn transaction(result: &TransactionResult) -> Explanation {
    match &result.result {
        TransactionResultResult::TxSuccess(_) => applied("tx_success"),
        TransactionResultResult::TxFeeBumpInnerSuccess(_) => applied("tx_fee_bump_inner_success"),
        TransactionResultResult::TxFailed(operations) => failed("tx_failed", operations),
        TransactionResultResult::TxFeeBumpInnerFailed(pair) => match &pair.result.result {
            InnerTransactionResultResult::TxFailed(operations) => {
                failed("tx_fee_bump_inner_failed: tx_failed", operations)
            }
            inner => {
                let mut explanation = by_code(inner.name());
                explanation.code = format!("tx_fee_bump_inner_failed: {}", explanation.code);
                explanation
            }
        },
        other => by_code(other.name()),
    }
}

fn applied(code: &str) -> Explanation {
    Explanation { code: code.into(), what: "the transaction was applied".into(), remedy: "" }
}

/// A transaction that was refused as a whole, by the name of its XDR code.
fn by_code(name: &str) -> Explanation {
    let (what, remedy) = match name {
        "TxTooEarly" => {
            ("the transaction isn't valid yet: its minTime or first ledger lies ahead", "hand it in again then")
        }
        "TxTooLate" => ("the transaction's maxTime or last ledger has passed", "make and sign a new one"),
        "TxMissingOperation" => ("the transaction has no operation", "this is a fault of who made it; make a new one"),
        "TxBadSeq" => (
            "the transaction's sequence number isn't the account's next one: another transaction of the account was \
             included since, or this very one",
            "read the account again and make a new transaction, once this one is known not to be included",
        ),
        "TxBadAuth" => (
            "the signatures don't reach the account's threshold, or are for another network",
            "check the network's passphrase and which keys may sign for the account",
        ),
        "TxInsufficientBalance" => (
            "the fee would bring the account below its reserve",
            "add XLM to the account, or free reserves by collecting claimable balances and closing unused entries",
        ),
        "TxNoAccount" => (
            "the account that the transaction is from doesn't exist on this network",
            "fund it first; test networks have a friendbot for that",
        ),
        "TxInsufficientFee" => (
            "the fee offered is below what the network asks for now",
            "offer more, or wait until there is less traffic",
        ),
        "TxBadAuthExtra" => {
            ("the transaction carries signatures that nothing needs", "remove them; only a minimal set is accepted")
        }
        "TxInternalError" => ("the network's node failed on the transaction", "hand it in again, or report it"),
        "TxNotSupported" => ("the network doesn't support this kind of transaction", "make it in the current form"),
        "TxBadSponsorship" => {
            ("a sponsorship that the transaction begins isn't ended in it", "this is a fault of who made it")
        }
        "TxBadMinSeqAgeOrGap" => {
            ("the account's sequence number hasn't rested as long as the transaction demands", "hand it in again later")
        }
        "TxMalformed" => ("the transaction's preconditions contradict the rules", "this is a fault of who made it"),
        "TxSorobanInvalid" => ("the transaction's smart contract part is invalid", "this is a fault of who made it"),
        "TxFrozenKeyAccessed" => {
            ("the network has frozen an entry that the transaction needs", "use another account or asset")
        }
        _ => ("the transaction was refused with a code that this node doesn't know", "update this node"),
    };
    Explanation { code: snake(name), what: what.into(), remedy }
}

/// A transaction whose operations were undone because one of them failed.
fn failed(code: &str, operations: &[OperationResult]) -> Explanation {
    let culprit = operations.iter().enumerate().map(|(i, op)| (i, names(op))).find(|(_, (_, name))| *name != "Success");
    let Some((index, (operation, name))) = culprit else {
        return Explanation {
            code: code.into(),
            what: "the transaction failed, and nothing of it but its fee was applied".into(),
            remedy: "",
        };
    };
    let (why, remedy) = operation_sentence(operation, name);
    let op_code = if name.starts_with("Op") { snake(name) } else { format!("op_{}", snake(name)) };
    Explanation {
        code: format!("{code}: {op_code}"),
        what: format!("operation {} ({operation}) failed, so only the fee was taken: {why}", index + 1),
        remedy,
    }
}

/// Why an operation fails with a code, and what to do. The special cases come before what a code says in general.
fn operation_sentence(operation: &str, name: &str) -> (&'static str, &'static str) {
    match (operation, name) {
        ("CreateAccount", "AlreadyExist") => ("the account exists already", "send a payment to it instead"),
        ("CreateAccount", "LowReserve") => {
            ("the starting balance is below the reserve of an account", "start it with at least two reserves")
        }
        ("Payment", "NoDestination") => {
            ("the account paid to doesn't exist on this network", "create it with a starting balance instead")
        }
        ("ClaimClaimableBalance", "DoesNotExist") | ("ClawbackClaimableBalance", "DoesNotExist") => {
            ("the claimable balance isn't there: it was claimed before, or never made", "read its outcome")
        }
        ("ClaimClaimableBalance", "CannotClaim") => (
            "the account isn't a claimant of the balance, or not at this time",
            "check from when until when it may claim",
        ),
        ("AccountMerge", "HasSubEntries") => {
            ("the account still has trustlines, offers or data", "remove them, then merge it")
        }
        ("AccountMerge", "IsSponsor") => (
            "the account still pays reserves for others, such as for claimable balances it made",
            "merge it when those are claimed",
        ),
        ("AccountMerge", "SeqnumTooFar") => {
            ("the account's sequence number is ahead of the ledger", "merge it some ledgers later")
        }
        ("SetOptions", "TooManySigners") => ("the account has 20 signers already", "remove one first"),
        ("ChangeTrust", "InvalidLimit") => ("the limit is below what the trustline holds", "set a higher limit"),
        (_, "Underfunded") => {
            ("the account's balance above its reserve isn't enough", "add funds, or pay a smaller amount")
        }
        (_, "LowReserve") => (
            "the account's balance doesn't cover the reserve of one more entry",
            "add XLM, or free reserves by collecting claimable balances and closing unused entries",
        ),
        (_, "NoDestination" | "OpNoAccount" | "NoAccount") => {
            ("an account that it needs doesn't exist on this network", "check the account, or create it first")
        }
        (_, "NoTrust" | "NoTrustLine") => {
            ("an account has no trustline to the asset", "have it accept the asset first, or use another asset")
        }
        (_, "SrcNoTrust") => ("the paying account has no trustline to the asset", "accept the asset first"),
        (_, "NotAuthorized" | "SrcNotAuthorized") => {
            ("the asset's issuer hasn't authorised an account to hold it", "ask the issuer, or use another asset")
        }
        (_, "LineFull") => ("the receiver's trustline can't hold that much", "have its limit raised"),
        (_, "NoIssuer") => ("the asset's issuer doesn't exist", "use another asset"),
        (_, "OpBadAuth") => ("the signatures don't suffice for it", "check which keys may sign for its account"),
        (_, "OpNotSupported") => ("this network doesn't support it", "use another network, or another kind of trade"),
        (_, "OpTooManySubentries") => ("the account has a thousand entries already", "close unused ones"),
        (_, "OpTooManySponsoring") => ("the account pays the reserves of too many entries", "use another account"),
        (_, "Malformed") => ("it contradicts the rules", "this is a fault of who made it"),
        _ => ("the code says all there is", "look the code up in Stellar's documentation"),
    }
}

/// The names of an operation and of its result.
fn names(operation: &OperationResult) -> (&'static str, &'static str) {
    macro_rules! inner {
        ($tr:expr, $($kind:ident),* $(,)?) => {
            match $tr { $(OperationResultTr::$kind(result) => (stringify!($kind), result.name()),)* }
        };
    }
    match operation {
        OperationResult::OpInner(tr) => inner!(
            tr,
            CreateAccount,
            Payment,
            PathPaymentStrictReceive,
            ManageSellOffer,
            CreatePassiveSellOffer,
            SetOptions,
            ChangeTrust,
            AllowTrust,
            AccountMerge,
            Inflation,
            ManageData,
            BumpSequence,
            ManageBuyOffer,
            PathPaymentStrictSend,
            CreateClaimableBalance,
            ClaimClaimableBalance,
            BeginSponsoringFutureReserves,
            EndSponsoringFutureReserves,
            RevokeSponsorship,
            Clawback,
            ClawbackClaimableBalance,
            SetTrustLineFlags,
            LiquidityPoolDeposit,
            LiquidityPoolWithdraw,
            InvokeHostFunction,
            ExtendFootprintTtl,
            RestoreFootprint,
        ),
        other => ("its kind isn't told", other.name()),
    }
}

/// `TxBadSeq` as `tx_bad_seq`.
fn snake(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    for (i, c) in name.char_indices() {
        if c.is_ascii_uppercase() && i > 0 {
            text.push('_');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use stellar_xdr::{
        ClaimClaimableBalanceResult, CreateAccountResult, Hash, InnerTransactionResult, InnerTransactionResultPair,
        PaymentResult, TransactionResultCode,
    };

    use super::*;

    fn result(result: TransactionResultResult) -> TransactionResult {
        TransactionResult { fee_charged: 100, result, ext: stellar_xdr::TransactionResultExt::V0 }
    }

    #[test]
    fn a_refusal_is_a_sentence_with_its_code_and_a_remedy() {
        let text = transaction(&result(TransactionResultResult::TxInsufficientBalance)).to_string();
        assert_eq!(
            text,
            "the fee would bring the account below its reserve (tx_insufficient_balance): add XLM to the account, or \
             free reserves by collecting claimable balances and closing unused entries"
        );
    }

    #[test]
    fn a_failed_operation_is_named_with_its_place() {
        let operations = vec![
            OperationResult::OpInner(OperationResultTr::CreateAccount(CreateAccountResult::Success)),
            OperationResult::OpInner(OperationResultTr::Payment(PaymentResult::Underfunded)),
        ];
        let explained = transaction(&result(TransactionResultResult::TxFailed(operations.try_into().unwrap())));
        assert_eq!(explained.code, "tx_failed: op_underfunded");
        assert!(explained.what.starts_with("operation 2 (Payment) failed"), "{explained}");
    }

    #[test]
    fn a_fee_bump_tells_what_became_of_the_inner_transaction() {
        let claim = OperationResultTr::ClaimClaimableBalance(ClaimClaimableBalanceResult::CannotClaim);
        let inner = |result| {
            TransactionResultResult::TxFeeBumpInnerFailed(InnerTransactionResultPair {
                transaction_hash: Hash([0; 32]),
                result: InnerTransactionResult {
                    fee_charged: 0,
                    result,
                    ext: stellar_xdr::InnerTransactionResultExt::V0,
                },
            })
        };
        let failed = InnerTransactionResultResult::TxFailed(vec![OperationResult::OpInner(claim)].try_into().unwrap());
        let explained = transaction(&result(inner(failed)));
        assert_eq!(explained.code, "tx_fee_bump_inner_failed: tx_failed: op_cannot_claim");
        let explained = transaction(&result(inner(InnerTransactionResultResult::TxTooEarly)));
        assert_eq!(explained.code, "tx_fee_bump_inner_failed: tx_too_early");
        assert!(explained.what.contains("isn't valid yet"));
    }

    #[test]
    fn every_code_of_the_protocol_has_a_sentence_of_its_own() {
        for code in TransactionResultCode::VARIANTS {
            let name = code.name();
            if !matches!(name, "TxFeeBumpInnerSuccess" | "TxSuccess" | "TxFailed" | "TxFeeBumpInnerFailed") {
                assert!(!by_code(name).what.contains("doesn't know"), "{name}");
            }
        }
    }
}
