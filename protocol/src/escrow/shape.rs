//! The one shape of every escrow: a claimable balance with three claimants.
//!
//! The controller claims before the deadline, the timeout beneficiary from it on, the hash claimant never; the hash
//! claimant's id is what the balance commits to.

use bincode::{Decode, Encode};

use crate::account::AccountId;
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::escrow::controller::ControllerMismatch;
use crate::message::BalanceId;
use crate::stellar::Operation;
use crate::stellar::entry::{BalanceClaimant, BalanceState};
use crate::stellar::operation;
use crate::stellar::predicate::Predicate;
use crate::stellar::xdr::XdrError;
use crate::time::Timestamp;

/// An escrow as it was agreed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// Who locks the money and gets the reserve back.
    pub funder: AccountId,
    /// Who may claim before the deadline.
    pub controller: AccountId,
    /// Who may claim from the deadline on.
    pub beneficiary: AccountId,
    /// What the balance commits to.
    pub commits_to: [u8; 32],
    /// The deadline, T.
    pub deadline: Timestamp,
    /// What is locked.
    pub asset: Asset,
    /// How much of it.
    pub amount: Stroops,
}

/// Which of an escrow's three claimants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Role {
    /// The one that may claim before the deadline.
    Controller,
    /// The one that may claim from the deadline on.
    Beneficiary,
    /// The one that may never claim.
    Hash,
}

impl core::fmt::Display for Role {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Controller => "controller",
            Self::Beneficiary => "timeout beneficiary",
            Self::Hash => "hash claimant",
        })
    }
}

/// How a balance differs from the escrow that was agreed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Encode, Decode)]
pub enum EscrowMismatch {
    /// Not three claimants.
    #[error("the escrow has {found} claimants, expected exactly 3")]
    ClaimantCount {
        /// How many it has.
        found: u32,
    },
    /// One of the three isn't there.
    #[error("the {role} {expected} is not among the escrow's claimants")]
    ClaimantMissing {
        /// Which.
        role: Role,
        /// Who should be there.
        expected: AccountId,
    },
    /// One of the three may claim at another time than agreed.
    #[error("the {role} may claim {found}, expected {expected}")]
    Predicate {
        /// Which.
        role: Role,
        /// When it should be able to claim.
        expected: String,
        /// When it can.
        found: String,
    },
    /// Another asset.
    #[error("the escrow holds {found}, expected {expected}")]
    Asset {
        /// What was agreed.
        expected: Asset,
        /// What it holds.
        found: Asset,
    },
    /// Another amount.
    #[error("the escrow holds {found} stroops, expected exactly {expected}")]
    Amount {
        /// What was agreed.
        expected: Stroops,
        /// What it holds.
        found: Stroops,
    },
    /// The asset's issuer may take it.
    #[error("the asset's issuer may claw the escrow back, which was not agreed")]
    Clawback,
    /// Someone else than the funder holds its reserve.
    #[error("the escrow's reserve is held by {}, expected {expected}", .found.map_or("nobody".to_owned(), |f| f.to_string()))]
    Sponsor {
        /// The funder.
        expected: AccountId,
        /// Who holds it.
        found: Option<AccountId>,
    },
    /// Whoever decides before the deadline isn't who was agreed.
    #[error(transparent)]
    Controller(#[from] ControllerMismatch),
}

/// An escrow on the ledger that is as agreed in every field. Only verifying an escrow's terms makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedEscrow {
    balance: BalanceId,
    amount: Stroops,
    deadline: Timestamp,
}

impl VerifiedEscrow {
    /// The balance that holds it.
    pub const fn balance(&self) -> BalanceId {
        self.balance
    }

    /// How much it holds.
    pub const fn amount(&self) -> Stroops {
        self.amount
    }

    /// T: the controller decides before, the timeout beneficiary takes it from then on.
    pub const fn deadline(&self) -> Timestamp {
        self.deadline
    }
}

impl EscrowMismatch {
    /// What a balance holds of the asset that was agreed, under the claimants that were agreed; `None` where it doesn't, or
    /// where the comparison ended before it came to that.
    pub const fn holds(&self, agreed: Stroops) -> Option<Stroops> {
        match self {
            Self::Amount { found, .. } => Some(*found),
            // The controller is looked at last, when the balance is as agreed.
            Self::Sponsor { .. } | Self::Controller(_) => Some(agreed),
            _ => None,
        }
    }

    /// Whether the balance can still leave the ledger only as agreed, so that the time of its absence tells who has it.
    pub const fn keeps_deadline(&self) -> bool {
        matches!(self, Self::Asset { .. } | Self::Amount { .. } | Self::Sponsor { .. } | Self::Controller(_))
    }
}

impl Shape {
    /// The three claimants, in the order in which we write them.
    pub fn claimants(&self) -> [BalanceClaimant; 3] {
        self.roles().map(|(_, claimant)| claimant)
    }

    fn roles(&self) -> [(Role, BalanceClaimant); 3] {
        let hash = AccountId::from_bytes(self.commits_to);
        [
            (Role::Controller, self.controller, Predicate::Before(self.deadline)),
            (Role::Beneficiary, self.beneficiary, Predicate::From(self.deadline)),
            (Role::Hash, hash, Predicate::Never),
        ]
        .map(|(role, account, predicate)| (role, BalanceClaimant { account, predicate }))
    }

    /// The operation that locks the money; always operation 0 of a transaction of the funder's.
    ///
    /// # Errors
    /// Never in practice: three claimants fit.
    pub fn operation(&self) -> Result<Operation, XdrError> {
        operation::create_balance(&self.asset, self.amount, &self.claimants())
    }

    /// Compares what a funding operation locks, claimants first: where they are as agreed, the deadline holds whatever
    /// else differs.
    ///
    /// # Errors
    /// The first difference.
    pub fn check(&self, asset: &Asset, amount: Stroops, claimants: &[BalanceClaimant]) -> Result<(), EscrowMismatch> {
        self.check_claimants(claimants)?;
        if *asset != self.asset {
            return Err(EscrowMismatch::Asset { expected: self.asset.clone(), found: asset.clone() });
        }
        if amount != self.amount {
            return Err(EscrowMismatch::Amount { expected: self.amount, found: amount });
        }
        Ok(())
    }

    fn check_claimants(&self, claimants: &[BalanceClaimant]) -> Result<(), EscrowMismatch> {
        if claimants.len() != 3 {
            return Err(EscrowMismatch::ClaimantCount { found: claimants.len() as u32 });
        }
        for (role, expected) in self.roles() {
            let Some(found) = claimants.iter().find(|c| c.account == expected.account) else {
                return Err(EscrowMismatch::ClaimantMissing { role, expected: expected.account });
            };
            if found.predicate != expected.predicate {
                let (expected, found) = (expected.predicate.to_string(), found.predicate.to_string());
                return Err(EscrowMismatch::Predicate { role, expected, found });
            }
        }
        Ok(())
    }

    /// Compares every field of a balance on the ledger.
    ///
    /// # Errors
    /// The first difference, claimants and clawback first.
    pub(super) fn verify(&self, found: &BalanceState) -> Result<VerifiedEscrow, EscrowMismatch> {
        self.check_claimants(&found.claimants)?;
        if found.clawback_enabled {
            return Err(EscrowMismatch::Clawback);
        }
        self.check(&found.asset, found.amount, &found.claimants)?;
        if found.sponsor != Some(self.funder) {
            return Err(EscrowMismatch::Sponsor { expected: self.funder, found: found.sponsor });
        }
        Ok(VerifiedEscrow { balance: found.id, amount: found.amount, deadline: self.deadline })
    }
}
