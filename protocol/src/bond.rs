//! The bond behind an offering series: native coins that the series' balance locks for a time.
//!
//! Two claimants exactly: the recipient from the release on, and the hash claimant, whose id is the series', never. So
//! the balance alone proves amount, time and series, and one bond backs one series.

use crate::account::AccountId;
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::message::{BalanceId, SeriesId};
use crate::stellar::entry::{BalanceClaimant, BalanceState};
use crate::stellar::predicate::Predicate;
use crate::stellar::xdr::XdrError;
use crate::stellar::{Operation, operation};
use crate::time::Timestamp;

/// Base reserves that a bond locks until it is reclaimed: one a claimant.
pub const RESERVES: u32 = 2;

/// What a bond must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BondTerms {
    /// Who funds it: the offering's account.
    pub account: AccountId,
    /// Who gets it back.
    pub recipient: AccountId,
    /// The series that it backs.
    pub series: SeriesId,
    /// When it may be reclaimed: locked exactly so long when built, at least so long when verified.
    pub release: Timestamp,
    /// How much it holds: exactly so much when built, at least so much when verified.
    pub least: Stroops,
}

/// How a balance fails to be the bond that an offering needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BondMismatch {
    /// Not the native coin.
    #[error("the bond holds {found}, expected native coins")]
    Asset {
        /// What it holds.
        found: Asset,
    },
    /// Too little.
    #[error("the bond holds {found} stroops, the offering needs at least {least}")]
    Amount {
        /// What the offering needs.
        least: Stroops,
        /// What it holds.
        found: Stroops,
    },
    /// Not two claimants: more would let one bond back several series.
    #[error("the bond has {found} claimants, expected exactly 2")]
    ClaimantCount {
        /// How many it has.
        found: usize,
    },
    /// The recipient isn't a claimant.
    #[error("the bond doesn't pay the offering's recipient {expected}")]
    Recipient {
        /// The offering's recipient.
        expected: AccountId,
    },
    /// The recipient may claim otherwise than from a moment on.
    #[error("the bond's recipient may claim {found}, expected from a moment on")]
    ReleaseForm {
        /// When it may claim.
        found: String,
    },
    /// Released too early.
    #[error("the bond is released at {found}, the offering needs it until {least}")]
    Release {
        /// Until when the offering needs it.
        least: Timestamp,
        /// When it is released.
        found: Timestamp,
    },
    /// It commits to another series, or to none.
    #[error("the bond doesn't commit to the series {expected}")]
    Series {
        /// The series.
        expected: SeriesId,
    },
    /// The series' claimant could claim it.
    #[error("the bond's hash claimant may claim {found}, expected never")]
    HashClaims {
        /// When it may claim.
        found: String,
    },
    /// An issuer could take it.
    #[error("the bond can be clawed back")]
    Clawback,
    /// Someone else's money.
    #[error("the bond's reserve is held by {}, expected {expected}", .found.map_or("nobody".to_owned(), |f| f.to_string()))]
    Sponsor {
        /// The offering's account.
        expected: AccountId,
        /// Who holds it.
        found: Option<AccountId>,
    },
}

impl BondTerms {
    fn hash_claimant(&self) -> AccountId {
        AccountId::from_bytes(*self.series.as_bytes())
    }

    /// The one operation that locks the bond; operation 0 of a transaction of the account's.
    ///
    /// # Errors
    /// Never in practice: two claimants fit.
    pub fn operation(&self) -> Result<Operation, XdrError> {
        let claimants = [
            BalanceClaimant { account: self.recipient, predicate: Predicate::From(self.release) },
            BalanceClaimant { account: self.hash_claimant(), predicate: Predicate::Never },
        ];
        operation::create_balance(&Asset::Native, self.least, &claimants)
    }

    /// What the recipient sends, from the release on, to reclaim it.
    pub fn reclaim_operation(balance: BalanceId) -> Operation {
        operation::claim(balance)
    }

    /// Checks a balance on the ledger.
    ///
    /// # Errors
    /// The first thing that makes it no bond for this offering.
    pub fn verify(&self, found: &BalanceState) -> Result<(), BondMismatch> {
        if !found.asset.is_native() {
            return Err(BondMismatch::Asset { found: found.asset.clone() });
        }
        if found.amount < self.least {
            return Err(BondMismatch::Amount { least: self.least, found: found.amount });
        }
        if found.clawback_enabled {
            return Err(BondMismatch::Clawback);
        }
        self.verify_claimants(&found.claimants)?;
        if found.sponsor != Some(self.account) {
            return Err(BondMismatch::Sponsor { expected: self.account, found: found.sponsor });
        }
        Ok(())
    }

    fn verify_claimants(&self, claimants: &[BalanceClaimant]) -> Result<(), BondMismatch> {
        if claimants.len() != 2 {
            return Err(BondMismatch::ClaimantCount { found: claimants.len() });
        }
        let of = |account: AccountId| claimants.iter().find(|c| c.account == account);
        let recipient = of(self.recipient).ok_or(BondMismatch::Recipient { expected: self.recipient })?;
        match recipient.predicate {
            Predicate::From(found) if found >= self.release => {}
            Predicate::From(found) => return Err(BondMismatch::Release { least: self.release, found }),
            ref other => return Err(BondMismatch::ReleaseForm { found: other.to_string() }),
        }
        let hash = of(self.hash_claimant()).ok_or(BondMismatch::Series { expected: self.series })?;
        if hash.predicate != Predicate::Never {
            return Err(BondMismatch::HashClaims { found: hash.predicate.to_string() });
        }
        Ok(())
    }
}
