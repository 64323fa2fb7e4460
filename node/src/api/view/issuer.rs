//! What an issued asset's issuer may do with it.

use serde::{Deserialize, Serialize};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::stellar::entry::{AUTH_CLAWBACK_ENABLED, AUTH_REQUIRED, AUTH_REVOCABLE, AccountState};

/// What the issuer of an asset may do, as the ledger has it now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerView {
    /// The asset.
    pub asset: Asset,
    /// Whether the issuer must allow an account before it can hold it.
    pub must_authorize: bool,
    /// Whether the issuer may freeze what an account holds.
    pub may_revoke: bool,
    /// Whether the issuer may take it back, also out of an escrow.
    pub may_claw_back: bool,
}

impl IssuerView {
    /// What the flags of an issuer's account say; an issuer that is gone can do nothing any more.
    pub fn of(asset: &Asset, issuer: Option<&AccountState>) -> Self {
        let may = |flag: u32| issuer.is_some_and(|issuer| issuer.flags & flag != 0);
        Self {
            asset: asset.clone(),
            must_authorize: may(AUTH_REQUIRED),
            may_revoke: may(AUTH_REVOCABLE),
            may_claw_back: may(AUTH_CLAWBACK_ENABLED),
        }
    }

    /// What that means for money in escrow, for people; nothing where the issuer can't touch it.
    pub fn warning(&self) -> Option<String> {
        let symbol = self.asset.symbol();
        let Asset::Issued { issuer, .. } = &self.asset else { return None };
        let issuer = format!("the issuer {issuer} of {symbol}");
        let takes = "may take it back at any time, also out of the escrow";
        let freezes = "may freeze the accounts of either side, which then can't be paid";
        match (self.may_claw_back, self.may_revoke) {
            (true, true) => Some(format!("{issuer} {takes}, and {freezes}")),
            (true, false) => Some(format!("{issuer} {takes}")),
            (false, true) => Some(format!("{issuer} {freezes}")),
            (false, false) => None,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use tradepost_protocol::account::AccountId;

    #[test]
    fn an_issuer_that_may_freeze_or_take_back_is_shown_for_what_it_is() {
        let asset = Asset::issued("HEXA", AccountId::from_bytes([3; 32])).unwrap();
        let view = |may_revoke, may_claw_back| IssuerView {
            asset: asset.clone(),
            must_authorize: false,
            may_revoke,
            may_claw_back,
        };
        assert_eq!(view(false, false).warning(), None);
        let [frozen, taken, both] =
            [(true, false), (false, true), (true, true)].map(|(r, c)| view(r, c).warning().unwrap());
        assert!(frozen.contains("freeze") && !frozen.contains("take it back"), "{frozen}");
        assert!(taken.contains("out of the escrow") && !taken.contains("freeze"), "{taken}");
        assert!(both.contains("take it back") && both.contains("freeze") && both.contains("HEXA"), "{both}");
    }
}
