//! What a node does in an exchange: stored before its transaction is signed, and until the chain shows it.

use bincode::{Decode, Encode};

use crate::account::AccountId;
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::community::Terms;
use crate::community::shape::{self, MakeKind};
use crate::message::{BalanceId, TxHash, keccak};

/// A name of an act.
pub type ActId = [u8; 16];

/// Something that a node does in an exchange, by one transaction.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum What {
    /// The issuer makes its asset one that can be taken back, and the account that issues the other one.
    Create,
    /// The issuer gives the agent so much of both assets.
    Endow {
        /// How much.
        amount: Stroops,
    },
    /// The agent makes its trustlines.
    Trust,
    /// One joins, together with the agent.
    Join,
    /// One offers help or wants it, and lists that in the book.
    Make {
        /// Which way help goes.
        kind: MakeKind,
        /// For how long, seconds; 0 for no end.
        validity: u64,
        /// In words.
        description: String,
        /// What it costs.
        price: Stroops,
    },
    /// One takes a make.
    Take {
        /// Which.
        make: TxHash,
        /// What is locked for its maker.
        amount: Stroops,
    },
    /// The maker of an offer claims a take.
    Claim {
        /// Which.
        take: TxHash,
    },
    /// The maker of a request claims a take and pays its taker.
    Grant {
        /// Which.
        take: TxHash,
        /// How much, the fee included.
        amount: Stroops,
    },
    /// Whom was paid wants it converted.
    Convert {
        /// The paying transaction.
        payment: TxHash,
    },
    /// The agent converts.
    AnswerConversion {
        /// The paying transaction.
        payment: TxHash,
    },
    /// The payer asks for it back.
    Repay {
        /// The paying transaction.
        payment: TxHash,
    },
    /// The issuer takes it back.
    AnswerRepayment {
        /// The paying transaction.
        payment: TxHash,
    },
    /// One takes back what is one's own.
    Reclaim {
        /// Which balance.
        balance: BalanceId,
    },
    /// One leaves; what is left of both assets goes back.
    Leave {
        /// How much of the asset that can be taken back.
        clawable: Stroops,
        /// How much of the other one.
        plain: Stroops,
        /// Where the account's coins go, where it ends too.
        into: Option<AccountId>,
    },
    /// The issuer ends, and the account that issued the other asset with it.
    Close {
        /// Where their coins go.
        into: AccountId,
    },
}

/// Where an act stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum ActState {
    /// Its transaction is wanted, or on its way.
    Wanted,
    /// Its transaction took effect; the chain hasn't shown it yet.
    Included(TxHash),
    /// Nobody can tell whether its transaction took effect; it isn't done again until the chain shows it.
    Unknown,
}

/// An act as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Act {
    /// The exchange, by its asset.
    pub exchange: Asset,
    /// What.
    pub what: What,
    /// Where it stands.
    pub state: ActState,
}

/// What an act takes out of its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Takes {
    /// Of the asset that can be taken back.
    pub clawable: Stroops,
    /// Of the other one.
    pub plain: Stroops,
    /// Base reserves that it locks, at its deepest.
    pub reserves: u32,
    /// Its operations.
    pub operations: u32,
}

/// Base reserves of a balance with two claimants.
const BALANCE: u32 = 2;

impl What {
    /// The name of an act that a role owes: the same whenever it is owed, so that it is done once.
    pub fn id(&self, exchange: &Asset) -> ActId {
        let (word, hash) = match self {
            Self::AnswerConversion { payment } => ("converted", *payment.as_bytes()),
            Self::AnswerRepayment { payment } => ("repaid", *payment.as_bytes()),
            Self::Endow { .. } => ("endow", [0; 32]),
            _ => ("other", [0; 32]),
        };
        let name = exchange.to_string();
        let whole = keccak(&[b"tradepost/1/act\0", word.as_bytes(), &[0], &hash, name.as_bytes()]);
        let mut id = [0; 16];
        id.copy_from_slice(&whole[..16]);
        id
    }

    /// Whether it is owed by a role, not wanted by a user.
    pub const fn is_owed(&self) -> bool {
        matches!(self, Self::AnswerConversion { .. } | Self::AnswerRepayment { .. } | Self::Endow { .. })
    }

    /// What it takes out of its account besides fees.
    pub fn takes(&self, terms: &Terms, price_of_payment: Stroops) -> Takes {
        let one = Takes { operations: 1, ..Takes::default() };
        match self {
            Self::Create => Takes { operations: 2, reserves: 2, ..one },
            Self::Trust => Takes { operations: 2, reserves: 2, ..one },
            Self::Join => Takes { operations: 4, reserves: 2, ..one },
            Self::Make { description, .. } => {
                let parts = description.len().div_ceil(64) as u32;
                Takes { operations: 1 + 2 * parts, plain: terms.fee, reserves: BALANCE + parts.min(1), ..one }
            }
            Self::Take { amount, .. } => Takes { clawable: *amount, reserves: BALANCE, ..one },
            Self::Grant { amount, .. } => {
                Takes { clawable: amount.minus(terms.fee).unwrap_or_default(), operations: 2, ..one }
            }
            Self::Convert { .. } => Takes { clawable: price_of_payment, reserves: BALANCE, ..one },
            Self::AnswerConversion { .. } => Takes { plain: price_of_payment, operations: 2, ..one },
            Self::Repay { .. } => Takes { plain: terms.fee, reserves: BALANCE, ..one },
            Self::AnswerRepayment { .. } | Self::Endow { .. } | Self::Close { .. } => Takes { operations: 2, ..one },
            Self::Claim { .. } | Self::Reclaim { .. } => one,
            Self::Leave { clawable, plain, .. } => Takes { clawable: *clawable, plain: *plain, operations: 5, ..one },
        }
    }

    /// The words for people and programs.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Endow { .. } => "endow",
            Self::Trust => "trust",
            Self::Join => "join",
            Self::Make { kind, .. } => kind.as_str(),
            Self::Take { .. } => "take",
            Self::Claim { .. } => "claim",
            Self::Grant { .. } => "grant",
            Self::Convert { .. } => "convert",
            Self::AnswerConversion { .. } => "converted",
            Self::Repay { .. } => "repay",
            Self::AnswerRepayment { .. } => "repaid",
            Self::Reclaim { .. } => "reclaim",
            Self::Leave { .. } => "leave",
            Self::Close { .. } => "close",
        }
    }
}

/// The most bytes of a make's description, for whoever writes one.
pub const MAX_DESCRIPTION: usize = shape::MAX_DESCRIPTION;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::community::tests::terms;
    use crate::frame;

    #[test]
    fn a_stored_act_has_its_golden_bytes() {
        let exchange = Asset::Native;
        let (fives, fours) = ("05".repeat(32), "04".repeat(32));
        let hash = TxHash::from_bytes([5; 32]);
        let (amount, description) = (Stroops::new(100).unwrap(), "x".to_owned());
        let kind = MakeKind::Request;
        let into = Some(AccountId::from_bytes([4; 32]));
        for (what, golden) in [
            (What::Create, "00".to_owned()),
            (What::Endow { amount }, "0164".to_owned()),
            (What::Trust, "02".to_owned()),
            (What::Join, "03".to_owned()),
            (What::Make { kind, validity: 9, description, price: amount }, "040109017864".to_owned()),
            (What::Take { make: hash, amount }, format!("05{fives}64")),
            (What::Claim { take: hash }, format!("06{fives}")),
            (What::Grant { take: hash, amount }, format!("07{fives}64")),
            (What::Convert { payment: hash }, format!("08{fives}")),
            (What::AnswerConversion { payment: hash }, format!("09{fives}")),
            (What::Repay { payment: hash }, format!("0a{fives}")),
            (What::AnswerRepayment { payment: hash }, format!("0b{fives}")),
            (What::Reclaim { balance: BalanceId::from_bytes([5; 32]) }, format!("0c{fives}")),
            (What::Leave { clawable: amount, plain: amount, into }, format!("0d646401{fours}")),
            (What::Close { into: AccountId::from_bytes([4; 32]) }, format!("0e{fours}")),
        ] {
            for (state, end) in [
                (ActState::Wanted, "00".to_owned()),
                (ActState::Included(hash), format!("01{fives}")),
                (ActState::Unknown, "02".to_owned()),
            ] {
                let act = Act { exchange: exchange.clone(), what: what.clone(), state };
                let bytes = frame::encode(&act).unwrap();
                assert_eq!(hex::encode(&bytes), format!("00{golden}{end}"));
                assert_eq!(frame::decode::<Act>(&bytes).unwrap(), act);
            }
        }
    }

    #[test]
    fn what_a_role_owes_has_one_name_and_two_debts_have_two() {
        let exchange = terms().clawable;
        let id = |n, repaid: bool| {
            let payment = TxHash::from_bytes([n; 32]);
            let what = if repaid { What::AnswerRepayment { payment } } else { What::AnswerConversion { payment } };
            what.id(&exchange)
        };
        assert_eq!(id(1, true), id(1, true));
        assert_ne!(id(1, true), id(2, true));
        assert_ne!(id(1, true), id(1, false));
    }
}
