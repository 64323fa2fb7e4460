//! Bounded reading and writing of XDR, and our types in XDR's.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use stellar_xdr::{
    AccountId as XdrAccount, AlphaNum4, AlphaNum12, Asset as XdrAsset, AssetCode4, AssetCode12, ChangeTrustAsset,
    Limits, MuxedAccount, MuxedAccountMed25519, PublicKey, ReadXdr, TrustLineAsset, Uint256, WriteXdr,
};

use crate::account::AccountId;
use crate::amount::Stroops;
use crate::asset::Asset;

/// The most bytes of any XDR value that is read: larger than any classic transaction, result or entry.
pub const MAX_XDR_BYTES: usize = 128 * 1024;
/// The deepest nesting of an XDR value that is read.
pub const MAX_XDR_DEPTH: u32 = 200;

/// Why bytes are not the XDR value that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XdrError {
    /// More bytes than are ever read.
    #[error("{bytes} bytes of XDR are more than the {most} that are read")]
    TooLarge {
        /// How many.
        bytes: usize,
        /// How many are read.
        most: usize,
    },
    /// Not base64 in its standard alphabet with padding.
    #[error("not base64 in the standard alphabet with padding")]
    NotBase64,
    /// Not the XDR of the type expected.
    #[error("not the XDR of a {expected}: {why}")]
    Malformed {
        /// The type expected.
        expected: &'static str,
        /// What the decoder says.
        why: String,
    },
    /// XDR that the ledger would not hold, or that this program has no use for.
    #[error("a {0} that the ledger would not accept")]
    Invalid(&'static str),
    /// A value too large for its XDR type.
    #[error("it does not fit into XDR: {0}")]
    DoesNotFit(String),
}

/// Reads all of `bytes` as one value, within the bounds.
///
/// # Errors
/// [`XdrError`] where they aren't exactly one such value.
pub fn read<T: ReadXdr>(expected: &'static str, bytes: &[u8]) -> Result<T, XdrError> {
    read_within(expected, bytes, MAX_XDR_BYTES)
}

/// As [`read`], for a value that may be larger than all others.
///
/// # Errors
/// As [`read`].
pub fn read_within<T: ReadXdr>(expected: &'static str, bytes: &[u8], most: usize) -> Result<T, XdrError> {
    if bytes.len() > most {
        return Err(XdrError::TooLarge { bytes: bytes.len(), most });
    }
    T::from_xdr(bytes, Limits { depth: MAX_XDR_DEPTH, len: bytes.len() })
        .map_err(|e| XdrError::Malformed { expected, why: e.to_string() })
}

/// Decodes base64 as RPC servers write it, within the bounds.
///
/// # Errors
/// [`XdrError::TooLarge`] or [`XdrError::NotBase64`].
pub fn from_base64(text: &str) -> Result<Vec<u8>, XdrError> {
    from_base64_within(text, MAX_XDR_BYTES)
}

/// As [`from_base64`], for a value that may be larger than all others.
///
/// # Errors
/// As [`from_base64`].
pub fn from_base64_within(text: &str, most: usize) -> Result<Vec<u8>, XdrError> {
    if text.len() > most * 4 / 3 + 4 {
        return Err(XdrError::TooLarge { bytes: text.len() / 4 * 3, most });
    }
    STANDARD.decode(text).map_err(|_| XdrError::NotBase64)
}

/// Writes bytes as base64, as RPC servers expect it.
pub fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The XDR of a value that we built.
///
/// # Errors
/// [`XdrError::DoesNotFit`] where it is larger than anything that is read back.
pub fn write<T: WriteXdr>(value: &T) -> Result<Vec<u8>, XdrError> {
    write_within(value, MAX_XDR_BYTES)
}

/// As [`write()`], for a value that may be larger than all others.
///
/// # Errors
/// As [`write()`].
pub fn write_within<T: WriteXdr>(value: &T, most: usize) -> Result<Vec<u8>, XdrError> {
    value.to_xdr(Limits { depth: MAX_XDR_DEPTH, len: most }).map_err(|e| XdrError::DoesNotFit(e.to_string()))
}

/// An account in XDR.
pub fn account(id: AccountId) -> XdrAccount {
    XdrAccount(PublicKey::PublicKeyTypeEd25519(Uint256(*id.as_bytes())))
}

/// An account from XDR.
pub fn read_account(id: &XdrAccount) -> AccountId {
    let PublicKey::PublicKeyTypeEd25519(Uint256(bytes)) = &id.0;
    AccountId::from_bytes(*bytes)
}

/// An account as the source or destination of something, never multiplexed.
pub fn muxed(id: AccountId) -> MuxedAccount {
    MuxedAccount::Ed25519(Uint256(*id.as_bytes()))
}

/// The account behind a source or destination; `None` where it is multiplexed, which we never write.
pub fn read_plain(id: &MuxedAccount) -> Option<AccountId> {
    match id {
        MuxedAccount::Ed25519(Uint256(bytes)) => Some(AccountId::from_bytes(*bytes)),
        MuxedAccount::MuxedEd25519(_) => None,
    }
}

/// The account behind a source or destination, multiplexed or not: whose money it is.
pub fn account_behind(id: &MuxedAccount) -> AccountId {
    let (MuxedAccount::Ed25519(Uint256(bytes))
    | MuxedAccount::MuxedEd25519(MuxedAccountMed25519 { ed25519: Uint256(bytes), .. })) = id;
    AccountId::from_bytes(*bytes)
}

fn padded<const N: usize>(code: &str) -> [u8; N] {
    let mut bytes = [0; N];
    for (to, from) in bytes.iter_mut().zip(code.bytes()) {
        *to = from;
    }
    bytes
}

/// An asset in XDR.
pub fn asset(asset: &Asset) -> XdrAsset {
    match asset {
        Asset::Native => XdrAsset::Native,
        Asset::Issued { code, issuer } if code.len() <= 4 => {
            XdrAsset::CreditAlphanum4(AlphaNum4 { asset_code: AssetCode4(padded(code)), issuer: account(*issuer) })
        }
        Asset::Issued { code, issuer } => {
            XdrAsset::CreditAlphanum12(AlphaNum12 { asset_code: AssetCode12(padded(code)), issuer: account(*issuer) })
        }
    }
}

/// The asset that a trustline is made for, from XDR.
///
/// # Errors
/// [`XdrError::Invalid`] for a share of a pool.
pub fn read_trusted(line: &ChangeTrustAsset) -> Result<Asset, XdrError> {
    match line {
        ChangeTrustAsset::CreditAlphanum4(a) => read_asset(&XdrAsset::CreditAlphanum4(a.clone())),
        ChangeTrustAsset::CreditAlphanum12(a) => read_asset(&XdrAsset::CreditAlphanum12(a.clone())),
        ChangeTrustAsset::Native | ChangeTrustAsset::PoolShare(_) => Err(XdrError::Invalid("trustline's asset")),
    }
}

/// The asset of a trustline in XDR.
pub fn trustline_asset(of: &Asset) -> TrustLineAsset {
    match asset(of) {
        XdrAsset::Native => TrustLineAsset::Native,
        XdrAsset::CreditAlphanum4(a) => TrustLineAsset::CreditAlphanum4(a),
        XdrAsset::CreditAlphanum12(a) => TrustLineAsset::CreditAlphanum12(a),
    }
}

fn read_code(bytes: &[u8], shortest: usize, issuer: &XdrAccount) -> Result<Asset, XdrError> {
    let invalid = || XdrError::Invalid("asset code");
    let length = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    let (code, padding) = bytes.split_at(length);
    if length < shortest || padding.iter().any(|&b| b != 0) {
        return Err(invalid());
    }
    let code = core::str::from_utf8(code).map_err(|_| invalid())?;
    Asset::issued(code, read_account(issuer)).map_err(|_| invalid())
}

/// An asset from XDR.
///
/// # Errors
/// [`XdrError::Invalid`] for a code that the ledger would refuse.
pub fn read_asset(asset: &XdrAsset) -> Result<Asset, XdrError> {
    match asset {
        XdrAsset::Native => Ok(Asset::Native),
        XdrAsset::CreditAlphanum4(a) => read_code(&a.asset_code.0, 1, &a.issuer),
        XdrAsset::CreditAlphanum12(a) => read_code(&a.asset_code.0, 5, &a.issuer),
    }
}

/// The asset of a trustline from XDR.
///
/// # Errors
/// [`XdrError::Invalid`] for a pool share or a code that the ledger would refuse.
pub fn read_trustline_asset(asset: &TrustLineAsset) -> Result<Asset, XdrError> {
    match asset {
        TrustLineAsset::Native | TrustLineAsset::PoolShare(_) => Err(XdrError::Invalid("trustline's asset")),
        TrustLineAsset::CreditAlphanum4(a) => read_code(&a.asset_code.0, 1, &a.issuer),
        TrustLineAsset::CreditAlphanum12(a) => read_code(&a.asset_code.0, 5, &a.issuer),
    }
}

/// An amount from XDR.
///
/// # Errors
/// [`XdrError::Invalid`] below zero.
pub fn read_amount(stroops: i64) -> Result<Stroops, XdrError> {
    Stroops::new(stroops).ok_or(XdrError::Invalid("negative amount"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn assets_survive_their_xdr_and_odd_codes_are_refused() {
        let issuer = AccountId::from_bytes([3; 32]);
        for code in ["A", "HEXA", "HEXAB", "ClawableHexa"] {
            let issued = Asset::issued(code, issuer).unwrap();
            assert_eq!(read_asset(&asset(&issued)).unwrap(), issued);
            assert_eq!(read_trustline_asset(&trustline_asset(&issued)).unwrap(), issued);
        }
        assert_eq!(read_asset(&asset(&Asset::Native)).unwrap(), Asset::Native);
        let issuer = account(issuer);
        for code in [*b"\0\0\0\0", *b"A\0B\0", *b"A-\0\0", *b"\xff\0\0\0"] {
            let odd = XdrAsset::CreditAlphanum4(AlphaNum4 { asset_code: AssetCode4(code), issuer: issuer.clone() });
            assert!(read_asset(&odd).is_err(), "{code:?}");
        }
        let short_in_long = XdrAsset::CreditAlphanum12(AlphaNum12 { asset_code: AssetCode12(padded("ABCD")), issuer });
        assert!(read_asset(&short_in_long).is_err());
    }

    #[test]
    fn trailing_bytes_and_oversized_values_are_refused() {
        let mut bytes = write(&account(AccountId::from_bytes([1; 32]))).unwrap();
        assert!(read::<XdrAccount>("account", &bytes).is_ok());
        bytes.push(0);
        assert!(matches!(read::<XdrAccount>("account", &bytes), Err(XdrError::Malformed { .. })));
        assert!(matches!(read::<XdrAccount>("account", &vec![0; MAX_XDR_BYTES + 1]), Err(XdrError::TooLarge { .. })));
    }
}
