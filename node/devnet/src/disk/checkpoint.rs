//! All entries of one ledger as a file has them: the ledger's number and the
//! hash of its header, then one entry after the other.

use stellar_xdr::{LedgerEntry, Limited, Limits, ReadXdr};

use super::replay::{MAX_DEPTH, Replay};
use crate::hash;
use crate::history::PastLedger;
use crate::state::State;

/// Encodes the entries as of a ledger.
pub(super) fn encode(ledger: &PastLedger, state: &State) -> Vec<u8> {
    let mut payload = ledger.sequence().to_be_bytes().to_vec();
    payload.extend(ledger.hash);
    for entry in state.entries() {
        payload.extend(hash::xdr(entry));
    }
    payload
}

/// Decodes what [`encode`] made of this ledger, to go on from there.
pub(super) fn decode(payload: &[u8], sequence: u32) -> Result<Replay, &'static str> {
    let (number, rest) = payload.split_first_chunk::<4>().ok_or("it is too short")?;
    let (ledger_hash, entries) = rest.split_first_chunk::<32>().ok_or("it is too short")?;
    if u32::from_be_bytes(*number) != sequence {
        return Err("its name is another ledger's");
    }
    let mut state = State::default();
    state.begin(sequence);
    let limits = Limits { depth: MAX_DEPTH, len: entries.len() };
    for entry in LedgerEntry::read_xdr_iter(&mut Limited::new(entries, limits)) {
        state.put_whole(entry.map_err(|_| "it holds something that isn't an entry")?);
    }
    Ok(Replay::from_checkpoint(state, sequence, *ledger_hash))
}
