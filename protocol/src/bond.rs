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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::stellar::entry::read_claimants;
    use stellar_xdr::OperationBody;

    const ACCOUNT: AccountId = AccountId::from_bytes([1; 32]);
    const RECIPIENT: AccountId = AccountId::from_bytes([2; 32]);
    const OTHER: AccountId = AccountId::from_bytes([9; 32]);

    fn terms() -> BondTerms {
        BondTerms {
            account: ACCOUNT,
            recipient: RECIPIENT,
            series: SeriesId::from_bytes([3; 32]),
            release: Timestamp::from_secs(1_000),
            least: Stroops::whole(10),
        }
    }

    /// What the ledger holds after our own operation.
    fn standing() -> BalanceState {
        let operation = terms().operation().unwrap();
        assert_eq!(operation.source_account, None);
        let OperationBody::CreateClaimableBalance(create) = operation.body else { panic!("another operation") };
        BalanceState {
            id: BalanceId::from_bytes([4; 32]),
            asset: Asset::Native,
            amount: Stroops::new(create.amount).unwrap(),
            claimants: read_claimants(&create.claimants),
            clawback_enabled: false,
            sponsor: Some(ACCOUNT),
        }
    }

    #[test]
    fn the_bond_that_we_build_is_the_bond_that_we_accept() {
        assert_eq!(terms().verify(&standing()), Ok(()));
        let mut swapped = standing();
        swapped.claimants.reverse();
        assert_eq!(terms().verify(&swapped), Ok(()));
        let mut larger = standing();
        larger.amount = larger.amount.plus(Stroops::new(1).unwrap()).unwrap();
        assert_eq!(terms().verify(&larger), Ok(()));
        let longer = BondTerms { release: Timestamp::from_secs(999), ..terms() };
        assert_eq!(longer.verify(&standing()), Ok(()));
        assert_eq!(standing().claimants.len() as u32, RESERVES);
    }

    #[test]
    fn a4_a_bond_that_pays_another_or_commits_to_another_series_is_refused() {
        let pays_another = BondTerms { recipient: OTHER, ..terms() };
        assert_eq!(pays_another.verify(&standing()), Err(BondMismatch::Recipient { expected: OTHER }));
        let series = SeriesId::from_bytes([8; 32]);
        let commits_elsewhere = BondTerms { series, ..terms() };
        assert_eq!(commits_elsewhere.verify(&standing()), Err(BondMismatch::Series { expected: series }));
    }

    #[test]
    fn each_changed_field_has_its_own_error() {
        let hash = AccountId::from_bytes([3; 32]);
        let claimant = |account, predicate| BalanceClaimant { account, predicate };
        type Change = fn(&mut BalanceState);
        let cases: [(&str, Change, BondMismatch); 9] = [
            (
                "asset",
                |b| b.asset = Asset::issued("HEXA", OTHER).unwrap(),
                BondMismatch::Asset { found: Asset::issued("HEXA", OTHER).unwrap() },
            ),
            (
                "amount",
                |b| b.amount = Stroops::new(b.amount.get() - 1).unwrap(),
                BondMismatch::Amount { least: Stroops::whole(10), found: Stroops::new(99_999_999).unwrap() },
            ),
            ("clawback", |b| b.clawback_enabled = true, BondMismatch::Clawback),
            ("one claimant", |b| drop(b.claimants.pop()), BondMismatch::ClaimantCount { found: 1 }),
            (
                "a second series",
                |b| b.claimants.push(BalanceClaimant { account: OTHER, predicate: Predicate::Never }),
                BondMismatch::ClaimantCount { found: 3 },
            ),
            (
                "released early",
                |b| b.claimants[0].predicate = Predicate::From(Timestamp::from_secs(999)),
                BondMismatch::Release { least: Timestamp::from_secs(1_000), found: Timestamp::from_secs(999) },
            ),
            (
                "released at once",
                |b| b.claimants[0].predicate = Predicate::Always,
                BondMismatch::ReleaseForm { found: Predicate::Always.to_string() },
            ),
            (
                "claimable by the hash",
                |b| b.claimants[1].predicate = Predicate::Always,
                BondMismatch::HashClaims { found: Predicate::Always.to_string() },
            ),
            (
                "sponsored by another",
                |b| b.sponsor = Some(OTHER),
                BondMismatch::Sponsor { expected: ACCOUNT, found: Some(OTHER) },
            ),
        ];
        for (name, change, expected) in cases {
            let mut changed = standing();
            change(&mut changed);
            assert_eq!(terms().verify(&changed), Err(expected), "{name}");
        }
        assert_eq!(standing().claimants[1], claimant(hash, Predicate::Never));
    }

    #[test]
    fn a11_the_recipient_may_reclaim_from_the_release_on_and_not_a_second_earlier() {
        let recipient = &standing().claimants[0];
        assert!(!recipient.predicate.holds_at(Timestamp::from_secs(999)));
        assert!(recipient.predicate.holds_at(Timestamp::from_secs(1_000)));
        let claim = BondTerms::reclaim_operation(BalanceId::from_bytes([4; 32]));
        assert!(matches!(claim.body, OperationBody::ClaimClaimableBalance(_)));
    }
}
