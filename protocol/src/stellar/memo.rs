//! What a payment says besides its amount, and which accounts ask for it (SEP-29).

use serde::{Deserialize, Serialize};
use stellar_xdr::{Hash, Memo};

use crate::account::AccountId;
use crate::message::TxHash;
use crate::stellar::entry::Entry;
use crate::stellar::ledger_key::Key;

/// The data entry by which an account asks for a memo.
const REQUIRED: &str = "config.memo_required";
/// Its value where it does.
const YES: &[u8] = b"1";
/// Longest text, bytes.
pub const MAX_TEXT: usize = 28;

/// A text that is too long for a memo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a memo's text has at most {MAX_TEXT} bytes, this has {0}")]
pub struct MemoTooLong(usize);

/// A payment's memo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentMemo {
    /// At most [`MAX_TEXT`] bytes.
    Text(String),
    /// A number, such as a customer's.
    Id(u64),
    /// 32 bytes, such as a transaction's hash.
    Hash(TxHash),
}

impl PaymentMemo {
    /// Its XDR.
    ///
    /// # Errors
    /// [`MemoTooLong`].
    pub fn to_xdr(&self) -> Result<Memo, MemoTooLong> {
        match self {
            Self::Text(text) => text.as_str().try_into().map(Memo::Text).map_err(|_| MemoTooLong(text.len())),
            Self::Id(id) => Ok(Memo::Id(*id)),
            Self::Hash(hash) => Ok(Memo::Hash(Hash(*hash.as_bytes()))),
        }
    }
}

/// What to read of an account to learn whether it asks for a memo.
pub fn requirement_of(account: AccountId) -> Key {
    Key::Data(account, REQUIRED.to_owned())
}

/// Whether an account asks for a memo, as far as these entries say.
pub fn is_required(account: AccountId, entries: &[Entry]) -> bool {
    entries.iter().any(|e| matches!(e, Entry::Data(d) if d.account == account && d.name == REQUIRED && d.value == YES))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::stellar::entry::DataState;

    #[test]
    fn memos_are_written_as_the_ledger_knows_them() {
        let text = |length: usize| PaymentMemo::Text("é".repeat(length / 2));
        assert!(matches!(text(28).to_xdr().unwrap(), Memo::Text(t) if t.len() == 28));
        assert_eq!(text(30).to_xdr(), Err(MemoTooLong(30)));
        assert_eq!(PaymentMemo::Id(7).to_xdr(), Ok(Memo::Id(7)));
        assert_eq!(PaymentMemo::Hash(TxHash::from_bytes([3; 32])).to_xdr(), Ok(Memo::Hash(Hash([3; 32]))));
        let json = serde_json::to_string(&[PaymentMemo::Id(7), PaymentMemo::Text("a".into())]).unwrap();
        assert_eq!(json, r#"[{"id":7},{"text":"a"}]"#);
    }

    #[test]
    fn a_memo_is_required_by_exactly_the_entry_that_sep_29_names() {
        let (account, other) = (AccountId::from_bytes([1; 32]), AccountId::from_bytes([2; 32]));
        let entry = |account, name: &str, value: &[u8]| {
            [Entry::Data(DataState { account, name: name.to_owned(), value: value.to_vec() })]
        };
        assert!(is_required(account, &entry(account, "config.memo_required", b"1")));
        for no in [
            entry(other, "config.memo_required", b"1"),
            entry(account, "config.memo_required", b"0"),
            entry(account, "config.memo_required", b"10"),
            entry(account, "Config.memo_required", b"1"),
        ] {
            assert!(!is_required(account, &no), "{no:?}");
        }
        assert!(!is_required(account, &[]));
        assert_eq!(requirement_of(account), Key::Data(account, "config.memo_required".into()));
    }
}
