//! The help exchange: people help each other for an asset that its issuer can take back.
//!
//! Everything that moves money is an ordinary transaction whose memo names its predecessor: a *take* names the make that
//! it answers, a *grant* the take, a *repayment* what was paid. Whoever follows the two assets on the ledger folds the
//! same [`chain::Chain`] from it, and the roles act on nothing else. Shapes are those of the exchange's own ancestor.
//!
//! ```text
//! make (offer or request) <- take <- claim or grant, which pays
//!                                      paid <- conversion  <- its answer, by the agent
//!                                      paid <- repayment   <- its answer, by the issuer
//! ```

pub mod act;
pub mod chain;
pub mod frames;
pub mod included;
pub mod listing;
pub mod role;
pub mod rules;
pub mod shape;

use bincode::{Decode, Encode};

use crate::account::AccountId;
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::message::keccak;

/// The fee of every step unless an exchange says otherwise: a hundred stroops, which come back.
pub const DEFAULT_FEE: Stroops = match Stroops::new(100) {
    Some(fee) => fee,
    None => Stroops::ZERO,
};

/// What does not change in a help exchange, and what its members agreed to by joining it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Terms {
    /// What help is paid in; its issuer may take it back. It names the exchange.
    pub clawable: Asset,
    /// What it is converted into, and what fees are paid in; nobody can take it back.
    pub plain: Asset,
    /// Who gives out both, and converts.
    pub agent: AccountId,
    /// What each step carries besides its amount.
    pub fee: Stroops,
    /// What each who joins gets of both assets.
    pub start: Stroops,
    /// For how long after a payment its payer may ask for it back, seconds; until then it isn't converted.
    pub repay_secs: u64,
    /// For how long after that it may be converted, seconds; for ever where 0.
    pub convert_secs: u64,
}

/// Terms that no exchange can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no help exchange can have these terms: {0}")]
pub struct TermsError(&'static str);

impl Terms {
    /// Checks them.
    ///
    /// # Errors
    /// [`TermsError`] where the assets aren't two issued ones of two issuers, the agent issues one of them, or there is no
    /// fee.
    pub fn check(&self) -> Result<(), TermsError> {
        let (Some(issuer), Some(plain)) = (self.clawable.issuer(), self.plain.issuer()) else {
            return Err(TermsError("both assets are issued ones, CODE:ISSUER"));
        };
        if issuer == plain {
            return Err(TermsError("an issuer that can take one asset back could take the other one back too"));
        }
        if self.agent == issuer || self.agent == plain {
            return Err(TermsError("the agent holds both assets, so it issues neither"));
        }
        if self.fee.is_zero() {
            return Err(TermsError("a balance on the ledger holds something, so there is a fee"));
        }
        Ok(())
    }

    /// Who can take the exchange's asset back.
    pub fn issuer(&self) -> AccountId {
        self.clawable.issuer().unwrap_or(self.agent)
    }

    /// Who issues the asset that stays.
    pub fn plain_issuer(&self) -> AccountId {
        self.plain.issuer().unwrap_or(self.agent)
    }
}

/// A short name of an exchange for keys of the store: the beginning of a hash of its asset.
pub fn tag(clawable: &Asset) -> [u8; 8] {
    let hash = keccak(&[b"tradepost/1/community\0", clawable.to_string().as_bytes()]);
    let mut tag = [0; 8];
    tag.copy_from_slice(&hash[..8]);
    tag
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn account(byte: u8) -> AccountId {
        AccountId::from_bytes([byte; 32])
    }

    pub(crate) fn net() -> crate::network_id::NetworkId {
        crate::network_id::NetworkId::of_passphrase("Market ; tests")
    }

    /// A transaction's envelope, which nobody signed.
    pub(crate) fn envelope(
        source: AccountId,
        sequence: i64,
        memo: crate::stellar::Memo,
        operations: Vec<crate::stellar::Operation>,
    ) -> Vec<u8> {
        let tx = stellar_xdr::Transaction {
            source_account: crate::stellar::xdr::muxed(source),
            fee: 100,
            seq_num: stellar_xdr::SequenceNumber(sequence),
            cond: stellar_xdr::Preconditions::None,
            memo,
            operations: operations.try_into().unwrap(),
            ext: stellar_xdr::TransactionExt::V0,
        };
        let envelope = stellar_xdr::TransactionV1Envelope { tx, signatures: Default::default() };
        crate::stellar::xdr::write(&stellar_xdr::TransactionEnvelope::Tx(envelope)).unwrap()
    }

    /// As large as an operation gets: a balance for ten.
    pub(crate) fn large_lock() -> crate::stellar::Operation {
        let claimant = |n| crate::stellar::entry::BalanceClaimant {
            account: account(n),
            predicate: crate::stellar::predicate::Predicate::Always,
        };
        let ten: Vec<_> = (0..10).map(claimant).collect();
        crate::stellar::operation::create_balance(&terms().clawable, Stroops::whole(1), &ten).unwrap()
    }

    pub(crate) fn terms() -> Terms {
        Terms {
            clawable: Asset::issued("ClawableHexa", account(1)).unwrap(),
            plain: Asset::issued("HEXA", account(2)).unwrap(),
            agent: account(3),
            fee: DEFAULT_FEE,
            start: Stroops::whole(5_000),
            repay_secs: 60,
            convert_secs: 600,
        }
    }

    #[test]
    fn terms_that_would_let_the_issuer_take_everything_back_are_none() {
        assert_eq!(terms().check(), Ok(()));
        let plain = Asset::issued("HEXA", account(1)).unwrap();
        assert!(Terms { plain, ..terms() }.check().is_err());
        assert!(Terms { plain: Asset::Native, ..terms() }.check().is_err());
        assert!(Terms { agent: account(2), ..terms() }.check().is_err());
        assert!(Terms { fee: Stroops::ZERO, ..terms() }.check().is_err());
        assert_eq!((terms().issuer(), terms().plain_issuer()), (account(1), account(2)));
    }

    #[test]
    fn stored_terms_have_their_golden_bytes() {
        let bytes = crate::frame::encode(&terms()).unwrap();
        let (one, two, three) = ("01".repeat(32), "02".repeat(32), "03".repeat(32));
        let assets = format!("010c{}{one}0104{}{two}", hex::encode("ClawableHexa"), hex::encode("HEXA"));
        assert_eq!(hex::encode(&bytes), format!("{assets}{three}64fd00743ba40b0000003cfb5802"));
        assert_eq!(crate::frame::decode::<Terms>(&bytes).unwrap(), terms());
        assert_eq!(hex::encode(tag(&terms().clawable)).len(), 16);
    }
}
