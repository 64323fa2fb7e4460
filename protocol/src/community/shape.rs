//! The exchange's transactions: built, and read back operation by operation.

use stellar_xdr::{ClaimPredicate, Hash, ManageDataOp, OperationBody};

use crate::account::AccountId;
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::community::Terms;
use crate::message::{BalanceId, TxHash};
use crate::stellar::entry::{BalanceClaimant, read_claimants};
use crate::stellar::predicate::Predicate;
use crate::stellar::xdr::{self, XdrError};
use crate::stellar::{Memo, Operation, balance_id, operation};

/// The most bytes of a make's description.
pub const MAX_DESCRIPTION: usize = 1_024;
/// Bytes of a description in one data entry, which is set and deleted in the same transaction.
const PART: usize = 64;
/// The longest validity of a make, seconds; 0 stands for no end.
pub const MAX_VALIDITY: u64 = 10 * 365 * 86_400;

/// Which way help goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, bincode::Encode, bincode::Decode)]
pub enum MakeKind {
    /// The maker helps, and is paid by whoever takes it.
    Offer,
    /// The maker wants help, and pays whoever takes it.
    Request,
}

impl MakeKind {
    /// The word in a make's memo.
    const fn word(self) -> &'static str {
        match self {
            Self::Offer => "Offer",
            Self::Request => "Request",
        }
    }

    /// The word for people and programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Offer => "offer",
            Self::Request => "request",
        }
    }
}

/// A claimable balance as an operation makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locked {
    /// What of.
    pub asset: Asset,
    /// How much.
    pub amount: Stroops,
    /// Who may claim it.
    pub claimants: Vec<BalanceClaimant>,
}

/// One operation, as far as an exchange is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// A claimable balance is made.
    Lock(Locked),
    /// One is claimed.
    Claim(BalanceId),
    /// Something is paid.
    Pay {
        /// Whom.
        to: AccountId,
        /// In what.
        asset: Asset,
        /// How much.
        amount: Stroops,
    },
    /// The issuer takes back what somebody holds.
    Clawback {
        /// From whom.
        from: AccountId,
        /// What of.
        asset: Asset,
        /// How much.
        amount: Stroops,
    },
    /// The issuer takes back what a balance holds.
    ClawbackBalance(BalanceId),
    /// A trustline is made or removed.
    Trust {
        /// In what.
        asset: Asset,
        /// How much may be held; 0 removes it.
        limit: Stroops,
    },
    /// A part of a description is set.
    Say(Vec<u8>),
    /// A data entry is deleted.
    Unsay,
    /// Anything else.
    Other,
}

/// What an operation is to an exchange.
pub fn deed(operation: &Operation) -> Deed {
    read_deed(&operation.body).unwrap_or(Deed::Other)
}

fn read_deed(body: &OperationBody) -> Option<Deed> {
    Some(match body {
        OperationBody::CreateClaimableBalance(op) => Deed::Lock(Locked {
            asset: xdr::read_asset(&op.asset).ok()?,
            amount: Stroops::new(op.amount)?,
            claimants: read_claimants(&op.claimants),
        }),
        OperationBody::ClaimClaimableBalance(op) => Deed::Claim(balance_id::from_xdr(&op.balance_id)),
        OperationBody::Payment(op) => Deed::Pay {
            to: xdr::account_behind(&op.destination),
            asset: xdr::read_asset(&op.asset).ok()?,
            amount: Stroops::new(op.amount)?,
        },
        OperationBody::Clawback(op) => Deed::Clawback {
            from: xdr::account_behind(&op.from),
            asset: xdr::read_asset(&op.asset).ok()?,
            amount: Stroops::new(op.amount)?,
        },
        OperationBody::ClawbackClaimableBalance(op) => Deed::ClawbackBalance(balance_id::from_xdr(&op.balance_id)),
        OperationBody::ChangeTrust(op) => {
            let asset = xdr::read_trusted(&op.line).ok()?;
            Deed::Trust { asset, limit: Stroops::new(op.limit)? }
        }
        OperationBody::ManageData(ManageDataOp { data_value: Some(value), .. }) => Deed::Say(value.0.to_vec()),
        OperationBody::ManageData(_) => Deed::Unsay,
        _ => return None,
    })
}

/// Claimable before so many seconds after its making, or always where there is no end.
pub fn within(validity: u64) -> Predicate {
    match i64::try_from(validity.min(MAX_VALIDITY)) {
        Ok(secs) if secs > 0 => Predicate::Other(ClaimPredicate::BeforeRelativeTime(secs)),
        _ => Predicate::Always,
    }
}

/// The validity that a predicate of [`within`] stands for.
pub fn validity_of(predicate: &Predicate) -> Option<u64> {
    match predicate {
        Predicate::Always => Some(0),
        Predicate::Other(ClaimPredicate::BeforeRelativeTime(secs)) => u64::try_from(*secs).ok().filter(|s| *s > 0),
        _ => None,
    }
}

/// The operations that lock `amount` for `first` within `validity`, and for its owner at any time.
fn lock(asset: &Asset, amount: Stroops, first: (AccountId, u64), owner: AccountId) -> Result<Operation, XdrError> {
    let claimants = [
        BalanceClaimant { account: first.0, predicate: within(first.1) },
        BalanceClaimant { account: owner, predicate: Predicate::Always },
    ];
    operation::create_balance(asset, amount, &claimants)
}

/// The memo that names a transaction.
pub fn naming(hash: TxHash) -> Memo {
    Memo::Hash(Hash(*hash.as_bytes()))
}

/// The memo of a make.
pub fn make_memo(kind: MakeKind, validity: u64) -> Memo {
    let text = format!("{} {validity}", kind.word());
    text.as_str().try_into().map_or(Memo::None, Memo::Text)
}

/// What a make's memo says.
pub fn read_make_memo(memo: &Memo) -> Option<(MakeKind, u64)> {
    let Memo::Text(text) = memo else { return None };
    let text = core::str::from_utf8(text.as_slice()).ok()?;
    let (word, validity) = text.split_once(' ')?;
    let kind = [MakeKind::Offer, MakeKind::Request].into_iter().find(|kind| kind.word() == word)?;
    let plain = validity == "0" || validity.bytes().next().is_some_and(|digit| (b'1'..=b'9').contains(&digit));
    let validity = validity.parse().ok().filter(|secs| plain && *secs <= MAX_VALIDITY)?;
    Some((kind, validity))
}

/// A make: the fee in a balance, and the description.
///
/// # Errors
/// [`XdrError`] where it doesn't fit.
pub fn make(terms: &Terms, maker: AccountId, validity: u64, description: &str) -> Result<Vec<Operation>, XdrError> {
    let mut operations = vec![lock(&terms.plain, terms.fee, (terms.agent, validity), maker)?];
    for part in description.as_bytes().chunks(PART) {
        operations.push(operation::set_data("help", part));
        operations.push(operation::delete_data("help"));
    }
    Ok(operations)
}

/// A take of a make: `amount` for its maker within `validity`.
///
/// # Errors
/// [`XdrError`] where it doesn't fit.
pub fn take(
    terms: &Terms,
    taker: AccountId,
    maker: AccountId,
    validity: u64,
    amount: Stroops,
) -> Result<Vec<Operation>, XdrError> {
    Ok(vec![lock(&terms.clawable, amount, (maker, validity), taker)?])
}

/// The claim of a take, which pays an offer's maker.
pub fn claim(take: BalanceId) -> Vec<Operation> {
    vec![operation::claim(take)]
}

/// The claim of a take together with the grant, which pays a request's taker.
pub fn grant(terms: &Terms, take: BalanceId, taker: AccountId, amount: Stroops) -> Vec<Operation> {
    vec![operation::claim(take), operation::pay(taker, &terms.clawable, amount)]
}

/// What was paid, locked for the agent to convert it.
///
/// # Errors
/// [`XdrError`] where it doesn't fit.
pub fn convert(terms: &Terms, payee: AccountId, amount: Stroops) -> Result<Vec<Operation>, XdrError> {
    Ok(vec![lock(&terms.clawable, amount, (terms.agent, 0), payee)?])
}

/// The agent's answer to a conversion.
pub fn converted(terms: &Terms, balance: BalanceId, payee: AccountId, amount: Stroops) -> Vec<Operation> {
    vec![operation::claim(balance), operation::pay(payee, &terms.plain, amount)]
}

/// A fee, locked for the issuer, by which a payer asks for its payment back.
///
/// # Errors
/// [`XdrError`] where it doesn't fit.
pub fn repay(terms: &Terms, payer: AccountId) -> Result<Vec<Operation>, XdrError> {
    Ok(vec![lock(&terms.plain, terms.fee, (terms.issuer(), 0), payer)?])
}

/// From where the issuer takes a payment back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// Out of what the payee holds.
    Holdings(AccountId),
    /// Out of the balance in which the payee wanted it converted.
    Conversion(BalanceId),
}

/// The issuer's answer to a repayment.
pub fn repaid(terms: &Terms, from: From, payer: AccountId, amount: Stroops) -> Vec<Operation> {
    let taken = match from {
        From::Holdings(payee) => operation::clawback(payee, &terms.clawable, amount),
        From::Conversion(balance) => operation::clawback_balance(balance),
    };
    vec![taken, operation::pay(payer, &terms.clawable, amount)]
}

/// Someone joins: trustlines of its own, and what the agent gives it.
///
/// # Errors
/// [`XdrError`] where it doesn't fit.
pub fn join(terms: &Terms, member: AccountId) -> Result<Vec<Operation>, XdrError> {
    let given = |asset| operation::by(terms.agent, operation::pay(member, asset, terms.start));
    let mut operations = trust(terms, Stroops::MAX)?;
    operations.extend([given(&terms.clawable), given(&terms.plain)]);
    Ok(operations)
}

/// Trustlines for both assets up to a limit; 0 removes them.
///
/// # Errors
/// [`XdrError`] where it doesn't fit.
pub fn trust(terms: &Terms, limit: Stroops) -> Result<Vec<Operation>, XdrError> {
    [&terms.clawable, &terms.plain].into_iter().map(|asset| operation::change_trust(asset, limit)).collect()
}

/// Someone leaves: what it still has of each asset goes to these, the trustlines go, and the account too where its coins
/// are to go somewhere.
///
/// # Errors
/// [`XdrError`] where it doesn't fit.
pub fn leave(
    terms: &Terms,
    (clawable, plain): (Stroops, Stroops),
    (clawable_to, plain_to): (AccountId, AccountId),
    merge_into: Option<AccountId>,
) -> Result<Vec<Operation>, XdrError> {
    let mut operations = Vec::new();
    for (asset, left, to) in [(&terms.clawable, clawable, clawable_to), (&terms.plain, plain, plain_to)] {
        if !left.is_zero() {
            operations.push(operation::pay(to, asset, left));
        }
    }
    operations.extend(trust(terms, Stroops::ZERO)?);
    operations.extend(merge_into.map(operation::merge));
    Ok(operations)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::community::tests::{account, terms};

    #[test]
    fn a_makes_memo_is_read_as_it_was_written_and_nothing_else_is() {
        for (kind, validity) in [(MakeKind::Offer, 0), (MakeKind::Request, 86_400), (MakeKind::Offer, MAX_VALIDITY)] {
            assert_eq!(read_make_memo(&make_memo(kind, validity)), Some((kind, validity)));
        }
        assert_eq!(make_memo(MakeKind::Offer, 300), Memo::Text("Offer 300".try_into().unwrap()));
        for text in ["Offer", "Offer ", "Offer 01", "Offer -1", "offer 1", "Request 1 2", "Request 315360001"] {
            assert_eq!(read_make_memo(&Memo::Text(text.try_into().unwrap())), None, "{text}");
        }
        assert_eq!(read_make_memo(&naming(TxHash::from_bytes([1; 32]))), None);
    }

    #[test]
    fn a_description_goes_in_parts_of_sixty_four_bytes_that_leave_nothing_behind() {
        let text = "Freshly caught red snapper 4 lb. HEXA 800. ".repeat(2);
        let operations = make(&terms(), account(4), 60, &text).unwrap();
        let deeds: Vec<Deed> = operations.iter().map(deed).collect();
        assert_eq!(deeds.len(), 1 + 2 * 2);
        assert!(matches!(&deeds[1], Deed::Say(part) if part.len() == 64) && deeds[2] == Deed::Unsay);
        let Deed::Lock(locked) = &deeds[0] else { panic!("{deeds:?}") };
        assert_eq!((&locked.asset, locked.amount), (&terms().plain, terms().fee));
        assert_eq!(validity_of(&locked.claimants[0].predicate), Some(60));
        assert_eq!(locked.claimants[1], BalanceClaimant { account: account(4), predicate: Predicate::Always });
    }

    #[test]
    fn whoever_leaves_pays_back_what_is_left_and_nothing_where_nothing_is() {
        let (agent, me) = (account(3), account(9));
        let all = leave(&terms(), (Stroops::whole(1), Stroops::whole(2)), (agent, agent), Some(me)).unwrap();
        let deeds: Vec<Deed> = all.iter().map(deed).collect();
        assert_eq!(deeds.len(), 5);
        assert_eq!(deeds[4], Deed::Other, "the account's end");
        let none = leave(&terms(), (Stroops::ZERO, Stroops::ZERO), (agent, agent), None).unwrap();
        assert!(none.iter().all(|o| matches!(deed(o), Deed::Trust { limit: Stroops::ZERO, .. })));
    }

    #[test]
    fn the_issuer_takes_from_the_payee_or_from_what_it_wanted_converted() {
        let amount = Stroops::whole(7);
        for from in [From::Holdings(account(5)), From::Conversion(BalanceId::from_bytes([6; 32]))] {
            let deeds: Vec<Deed> = repaid(&terms(), from, account(4), amount).iter().map(deed).collect();
            let taken = match from {
                From::Holdings(from) => Deed::Clawback { from, asset: terms().clawable, amount },
                From::Conversion(balance) => Deed::ClawbackBalance(balance),
            };
            assert_eq!(deeds, [taken, Deed::Pay { to: account(4), asset: terms().clawable, amount }]);
        }
    }
}
