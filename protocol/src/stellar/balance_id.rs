//! The id of a claimable balance, known before its transaction is sent.

use sha2::{Digest, Sha256};
use stellar_strkey::ClaimableBalance as StrkeyBalance;
use stellar_xdr::{ClaimableBalanceId, Hash};

use crate::account::AccountId;
use crate::message::BalanceId;
use crate::stellar::xdr::XdrError;

/// The id of the balance that operation `index` of the transaction (source, sequence) creates.
///
/// The source is the transaction's, not the operation's; for a fee bump the inner transaction's. The network plays no
/// part (CAP-23).
pub fn of_operation(source: AccountId, sequence: i64, index: u32) -> BalanceId {
    BalanceId::from_bytes(Sha256::digest(preimage(source, sequence, index)).into())
}

/// The bytes whose SHA-256 is the id: 4 + 36 + 8 + 4 bytes, written by hand because nothing in them can fail.
pub(crate) fn preimage(source: AccountId, sequence: i64, index: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(52);
    bytes.extend(6u32.to_be_bytes()); // ENVELOPE_TYPE_OP_ID
    bytes.extend(0u32.to_be_bytes()); // PUBLIC_KEY_TYPE_ED25519
    bytes.extend(source.as_bytes());
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(index.to_be_bytes());
    bytes
}

/// The id in XDR.
pub fn to_xdr(id: BalanceId) -> ClaimableBalanceId {
    ClaimableBalanceId::ClaimableBalanceIdTypeV0(Hash(*id.as_bytes()))
}

/// The id from XDR.
pub fn from_xdr(id: &ClaimableBalanceId) -> BalanceId {
    let ClaimableBalanceId::ClaimableBalanceIdTypeV0(Hash(bytes)) = id;
    BalanceId::from_bytes(*bytes)
}

/// The id as explorers write it: `B…` (SEP-23).
pub fn to_text(id: BalanceId) -> String {
    StrkeyBalance::V0(*id.as_bytes()).to_string().as_str().to_owned()
}

/// Reads what [`to_text`] wrote.
///
/// # Errors
/// [`XdrError::Invalid`] where it is no such text.
pub fn from_text(text: &str) -> Result<BalanceId, XdrError> {
    let StrkeyBalance::V0(bytes) =
        StrkeyBalance::from_string(text).map_err(|_| XdrError::Invalid("claimable balance id"))?;
    Ok(BalanceId::from_bytes(bytes))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::stellar::xdr;
    use stellar_xdr::{HashIdPreimage, HashIdPreimageOperationId, SequenceNumber};

    #[test]
    fn the_preimage_is_the_xdr_that_the_ledger_hashes() {
        let source = AccountId::from_bytes([9; 32]);
        let reference = HashIdPreimage::OpId(HashIdPreimageOperationId {
            source_account: xdr::account(source),
            seq_num: SequenceNumber(77),
            op_num: 3,
        });
        assert_eq!(preimage(source, 77, 3), xdr::write(&reference).unwrap());
    }

    #[test]
    fn an_id_survives_its_text() {
        let id = of_operation(AccountId::from_bytes([9; 32]), 1, 0);
        assert_eq!(from_text(&to_text(id)).unwrap(), id);
        assert!(from_text("BAAA").is_err());
    }
}
