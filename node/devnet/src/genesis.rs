//! How a network begins, and the accounts whose keys follow from its name.

use ed25519_dalek::SigningKey;
use stellar_xdr::{AccountId, PublicKey, Uint256};

use crate::account;
use crate::hash;
use crate::state::State;

/// All native coin that there ever is, in stroops: 100 billion XLM.
pub const TOTAL_COINS: i64 = 1_000_000_000_000_000_000;
/// The fee of one operation, in stroops.
pub const BASE_FEE: u32 = 100;
/// One reserve, in stroops: 0.5 XLM as on the public networks, not the 10 XLM
/// with which stellar-core's private networks start.
pub const BASE_RESERVE: u32 = 5_000_000;
/// The protocol whose rules apply.
pub const PROTOCOL_VERSION: u32 = 27;
/// How many operations one ledger takes unless told otherwise, as on the
/// public network; the others wait.
pub const LEDGER_OPERATIONS: u32 = 1_000;
/// The most operations that one ledger can be set to take.
pub const MAX_LEDGER_OPERATIONS: u32 = 10_000;
/// The number of the first ledger.
pub(crate) const FIRST_LEDGER: u32 = 1;

/// Makes a passphrase that ends in random bytes.
pub(crate) fn random_passphrase() -> Result<String, getrandom::Error> {
    let mut suffix = [0; 8];
    getrandom::fill(&mut suffix)?;
    Ok(format!("Tradepost Devnet ; {}", hex::encode(suffix)))
}

/// Fills the first ledger: the root account holds everything.
pub(crate) fn fill(state: &mut State, network_id: &[u8; 32]) {
    state.begin(FIRST_LEDGER);
    let root = account_of(network_id);
    // Like every account that the first ledger holds, it starts at 0.
    let mut entry = account::new(root, TOTAL_COINS, FIRST_LEDGER);
    entry.seq_num = stellar_xdr::SequenceNumber(0);
    state.put_account(entry);
}

/// Returns the seed of the account that hands out coin on this network.
pub(crate) fn friendbot_seed(network_id: &[u8; 32]) -> [u8; 32] {
    hash::sha256(&[b"tradepost devnet friendbot", network_id])
}

/// Returns the account of a seed.
pub(crate) fn account_of(seed: &[u8; 32]) -> AccountId {
    let key = SigningKey::from_bytes(seed).verifying_key();
    AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(key.to_bytes())))
}
