//! What can be asked of the ledger by key.

use bincode::{Decode, Encode};
use stellar_xdr::{
    LedgerKey, LedgerKeyAccount, LedgerKeyClaimableBalance, LedgerKeyData, LedgerKeyTrustLine, String64, StringM,
};

use crate::account::AccountId;
use crate::asset::Asset;
use crate::message::BalanceId;
use crate::stellar::balance_id;
use crate::stellar::xdr::{self, XdrError};

/// The key of a ledger entry that this program reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Key {
    /// An account.
    Account(AccountId),
    /// A claimable balance.
    Balance(BalanceId),
    /// What an account holds of an issued asset; there is none for the native coin.
    Trustline(AccountId, Asset),
    /// A data entry of an account: 1 to 64 characters of printable ASCII.
    Data(AccountId, String),
}

impl Key {
    /// The `LedgerKey` XDR.
    ///
    /// # Errors
    /// [`XdrError::Invalid`] for a trustline in the native coin or a name that the ledger would not hold.
    pub fn to_bytes(&self) -> Result<Vec<u8>, XdrError> {
        let key = match self {
            Self::Account(id) => LedgerKey::Account(LedgerKeyAccount { account_id: xdr::account(*id) }),
            Self::Balance(id) => {
                LedgerKey::ClaimableBalance(LedgerKeyClaimableBalance { balance_id: balance_id::to_xdr(*id) })
            }
            Self::Trustline(_, Asset::Native) => return Err(XdrError::Invalid("trustline's asset")),
            Self::Trustline(id, asset) => LedgerKey::Trustline(LedgerKeyTrustLine {
                account_id: xdr::account(*id),
                asset: xdr::trustline_asset(asset),
            }),
            Self::Data(id, name) => {
                LedgerKey::Data(LedgerKeyData { account_id: xdr::account(*id), data_name: data_name(name)? })
            }
        };
        xdr::write(&key)
    }

    /// The `LedgerKey` as RPC servers take it.
    ///
    /// # Errors
    /// As [`Key::to_bytes`].
    pub fn to_base64(&self) -> Result<String, XdrError> {
        self.to_bytes().map(|bytes| xdr::to_base64(&bytes))
    }

    /// Reads a `LedgerKey`.
    ///
    /// # Errors
    /// [`XdrError`] where it isn't one, or one of a kind that this program has no use for.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, XdrError> {
        match xdr::read::<LedgerKey>("ledger key", bytes)? {
            LedgerKey::Account(key) => Ok(Self::Account(xdr::read_account(&key.account_id))),
            LedgerKey::ClaimableBalance(key) => Ok(Self::Balance(balance_id::from_xdr(&key.balance_id))),
            LedgerKey::Trustline(key) => {
                let asset = xdr::read_trustline_asset(&key.asset)?;
                Ok(Self::Trustline(xdr::read_account(&key.account_id), asset))
            }
            LedgerKey::Data(key) => Ok(Self::Data(xdr::read_account(&key.account_id), read_data_name(&key.data_name)?)),
            _ => Err(XdrError::Invalid("kind of ledger key")),
        }
    }

    /// Reads a `LedgerKey` as RPC servers send it.
    ///
    /// # Errors
    /// As [`Key::from_bytes`], and [`XdrError::NotBase64`].
    pub fn from_base64(text: &str) -> Result<Self, XdrError> {
        Self::from_bytes(&xdr::from_base64(text)?)
    }
}

fn printable(name: &[u8]) -> bool {
    (1..=64).contains(&name.len()) && name.iter().all(|b| (0x20..0x7f).contains(b))
}

fn data_name(name: &str) -> Result<String64, XdrError> {
    let invalid = || XdrError::Invalid("data entry's name");
    if !printable(name.as_bytes()) {
        return Err(invalid());
    }
    name.as_bytes().try_into().map(|s: StringM<64>| String64(s)).map_err(|_| invalid())
}

pub(super) fn read_data_name(name: &String64) -> Result<String, XdrError> {
    let bytes = name.0.as_slice();
    match core::str::from_utf8(bytes) {
        Ok(text) if printable(bytes) => Ok(text.to_owned()),
        _ => Err(XdrError::Invalid("data entry's name")),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_bytes_that_the_rpc_documents_and_lead_back() {
        let account = AccountId::from_bytes([1; 32]);
        let of = |key: &Key| hex::encode(key.to_bytes().unwrap());
        let ones = "01".repeat(32);
        let twos = "02".repeat(32);
        let hexa = Asset::issued("HEXA", AccountId::from_bytes([2; 32])).unwrap();
        let cases = [
            (Key::Account(account), format!("0000000000000000{ones}")),
            (Key::Balance(BalanceId::from_bytes([2; 32])), format!("0000000400000000{twos}")),
            (
                Key::Trustline(account, hexa),
                format!("0000000100000000{ones}00000001{}00000000{twos}", hex::encode("HEXA")),
            ),
            (
                Key::Data(account, "tradepost.root".into()),
                format!("0000000300000000{ones}0000000e{}0000", hex::encode("tradepost.root")),
            ),
        ];
        for (key, bytes) in cases {
            assert_eq!(of(&key), bytes);
            assert_eq!(Key::from_base64(&key.to_base64().unwrap()).unwrap(), key);
        }
    }

    #[test]
    fn keys_that_the_ledger_cannot_hold_are_refused() {
        let account = AccountId::from_bytes([1; 32]);
        assert!(Key::Trustline(account, Asset::Native).to_bytes().is_err());
        for name in ["", "\n", "é", &"x".repeat(65)] {
            assert!(Key::Data(account, name.into()).to_bytes().is_err(), "{name:?}");
        }
        assert!(Key::from_base64("not base64!").is_err());
        assert!(Key::from_bytes(&[0; 3]).is_err());
    }
}
