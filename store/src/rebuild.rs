//! A database that is damaged or lost, rebuilt from the journal on its owner's word.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tradepost_protocol::binding::trade::Trade;
use tradepost_protocol::network_id::NetworkId;
use tradepost_protocol::step::{Space, Write};
use tradepost_protocol::time::Now;

use crate::contents::Contents;
use crate::error::StoreError;
use crate::journal::{Journal, sync_parent};
use crate::recovery::lock;
use crate::store::Store;

/// What a rebuild did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rebuilt {
    /// Where the old database stands now; `None` where there was none.
    pub aside: Option<PathBuf>,
    /// Rows on which money depends that the journal gave back.
    pub rows: u64,
}

impl Store {
    /// Moves the database in a store's directory aside and rebuilds what money depends on from the journal, which is
    /// read to its end first, and the signatures of its bindings verified: a start reads them as this node's own. Everything
    /// else comes back from peers.
    ///
    /// # Errors
    /// Where the store is open, or the journal is missing, damaged or forged; the database stays where it is then.
    pub fn rebuild(dir: impl AsRef<Path>) -> Result<Rebuilt, StoreError> {
        let dir = dir.as_ref();
        let path = dir.join("journal");
        if !path.exists() {
            return Err(StoreError::JournalMissing { path });
        }
        let held = lock(dir)?;
        let network = Journal::network_of(&path)?;
        let mut journal = Journal::open(&path, network)?.ok_or(StoreError::JournalMissing { path })?;
        verify_bindings(&mut journal, &network)?;
        drop(journal);
        let aside = set_aside(dir, &dir.join("sled"))?;
        drop(held);
        let store = Self::open(dir, &network)?;
        let money = Space::ALL.iter().copied().filter(|space| space.holds_money());
        Ok(Rebuilt { aside, rows: money.map(|space| store.count(space)).sum() })
    }
}

/// Reads a journal to its end, and verifies the bindings that it leaves.
fn verify_bindings(journal: &mut Journal, network: &NetworkId) -> Result<(), StoreError> {
    let mut bindings = BTreeMap::new();
    journal.read(|_, batches| {
        for write in batches.iter().flat_map(|batch| batch.writes()) {
            match write {
                Write::Put { space: Space::Binding, key, value } => drop(bindings.insert(key.clone(), value.clone())),
                Write::Delete { space: Space::Binding, key } => drop(bindings.remove(key)),
                Write::Put { .. } | Write::Delete { .. } => {}
            }
        }
        Ok(())
    })?;
    let verified = |value: &Vec<u8>| Trade::from_bytes(network, value, Now::default())?.verify(network);
    bindings.values().try_for_each(verified).map_err(|why| {
        let path = journal.path().to_owned();
        StoreError::JournalForged { path, why: why.to_string() }
    })
}

fn set_aside(dir: &Path, database: &Path) -> Result<Option<PathBuf>, StoreError> {
    if !database.exists() {
        return Ok(None);
    }
    let free = (1u32..).map(|n| dir.join(format!("sled.damaged-{n}"))).find(|name| !name.exists());
    let aside = free.expect("numbers don't run out");
    fs::rename(database, &aside).map_err(StoreError::io("moving away", database))?;
    sync_parent(&aside)?;
    Ok(Some(aside))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::fs::OpenOptions;

    use ed25519_dalek::SigningKey;
    use tradepost_protocol::account::{AccountId, ServingKey};
    use tradepost_protocol::binding::phase::Side;
    use tradepost_protocol::document::{BindingRequest, Nonce};
    use tradepost_protocol::escrow::EscrowKind;
    use tradepost_protocol::kind::Kind;
    use tradepost_protocol::message::{MessageId, Packed, SeriesId, Signed};
    use tradepost_protocol::seal::SealingKey;
    use tradepost_protocol::step::Batch;
    use tradepost_protocol::time::Timestamp;

    use super::*;

    /// A binding as a node stores it, and the same with another signature under its request, its id to match.
    fn binding(network: &NetworkId) -> [Vec<u8>; 2] {
        let account = SigningKey::from_bytes(&[8; 32]);
        let body = BindingRequest {
            account: AccountId::of(&account),
            offering: MessageId::from_bytes([2; 32]),
            series: SeriesId::from_bytes([3; 32]),
            units: 5,
            budget: None,
            escrow: vec![EscrowKind::Timed],
            arbiters: vec![],
            pay_unless_disputed: false,
            sealing_key: SealingKey::from_bytes([4; 32]),
            signing_key: ServingKey::from_bytes([5; 32]),
            peer: "12D3KooWabc".parse().unwrap(),
            nonce: Nonce::from_bytes([6; 16]),
            valid_until: Timestamp::from_secs(1_800_000_000),
        };
        let request = Signed::sign(body, network, &account).unwrap();
        let real = request.packed().clone();
        let mut bytes = real.bytes().to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        let forged = Packed::new(Kind::BindingRequest, network, bytes).unwrap();
        let peer = "12D3KooWdef".parse().unwrap();
        let stored = Trade::new(Side::Consumer, request, peer, Now::default()).to_bytes().unwrap();
        let mut changed = stored.clone();
        for (old, new) in
            [(real.id().as_bytes().as_slice(), forged.id().as_bytes().as_slice()), (real.bytes(), forged.bytes())]
        {
            let at = changed.windows(old.len()).position(|window| window == old).unwrap();
            changed[at..at + old.len()].copy_from_slice(new);
        }
        [stored, changed]
    }

    #[test]
    fn a_binding_that_nobody_signed_so_is_not_rebuilt_from_the_journal() {
        let dir = tempfile::tempdir().unwrap();
        let network = filled(dir.path());
        let [real, forged] = binding(&network);
        let put = |value: &Vec<u8>| {
            let store = Store::open(dir.path(), &network).unwrap();
            let mut batch = Batch::new();
            batch.put(Space::Binding, "b", value.clone());
            store.commit(batch).unwrap();
        };
        for wrong in [forged, vec![1; 100]] {
            put(&wrong);
            let refused = Store::rebuild(dir.path()).unwrap_err();
            assert!(matches!(&refused, StoreError::JournalForged { .. }), "{refused}");
            assert!(refused.to_string().contains("tradepost restore FILE"), "{refused}");
            assert!(!dir.path().join("sled.damaged-1").exists(), "the database stays where it is");
        }
        // What was written since counts.
        put(&real);
        assert_eq!(Store::rebuild(dir.path()).unwrap().rows, 101);
        assert_eq!(Store::open(dir.path(), &network).unwrap().get(Space::Binding, b"b").unwrap(), Some(real));
    }

    fn filled(dir: &Path) -> NetworkId {
        let network = NetworkId::of_passphrase("A network of rebuilds");
        let store = Store::open(dir, &network).unwrap();
        for n in 0..100u32 {
            let mut batch = Batch::new();
            batch.put(Space::Intent, n.to_be_bytes(), vec![n as u8; 1_000]);
            store.commit(batch).unwrap();
            let mut batch = Batch::new();
            batch.put(Space::Message, n.to_be_bytes(), vec![n as u8; 1_000]);
            store.commit(batch).unwrap();
        }
        network
    }

    fn intents(store: &Store) -> Vec<(Vec<u8>, Vec<u8>)> {
        store.scan(Space::Intent, b"").map(Result::unwrap).collect()
    }

    #[test]
    fn a_truncated_database_is_moved_away_and_what_money_depends_on_comes_back_from_the_journal() {
        let dir = tempfile::tempdir().unwrap();
        let network = filled(dir.path());
        let before = intents(&Store::open(dir.path(), &network).unwrap());
        let file = OpenOptions::new().write(true).open(dir.path().join("sled/db")).unwrap();
        file.set_len(file.metadata().unwrap().len() / 3).unwrap();

        let done = Store::rebuild(dir.path()).unwrap();
        assert_eq!(done, Rebuilt { aside: Some(dir.path().join("sled.damaged-1")), rows: 100 });
        assert!(dir.path().join("sled.damaged-1/db").exists(), "nothing is thrown away");
        let store = Store::open(dir.path(), &network).unwrap();
        assert_eq!(intents(&store), before);
        assert_eq!(store.count(Space::Message), 0, "these come from peers");
        let open = Store::rebuild(dir.path()).unwrap_err();
        assert!(matches!(open, StoreError::Locked { .. }), "{open}");
        drop(store);
        let again = Store::rebuild(dir.path()).unwrap();
        assert_eq!(again.aside, Some(dir.path().join("sled.damaged-2")));
        assert_eq!(intents(&Store::open(dir.path(), &network).unwrap()), before);
    }

    #[test]
    fn a_database_that_is_gone_is_rebuilt_too() {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path());
        fs::remove_dir_all(dir.path().join("sled")).unwrap();
        assert_eq!(Store::rebuild(dir.path()).unwrap(), Rebuilt { aside: None, rows: 100 });
    }

    #[test]
    fn without_a_whole_journal_the_database_stays_where_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let network = filled(dir.path());
        let journal = dir.path().join("journal");
        let whole = fs::read(&journal).unwrap();
        let mut damaged = whole.clone();
        damaged[whole.len() / 2] ^= 1;
        fs::write(&journal, &damaged).unwrap();
        assert!(matches!(Store::rebuild(dir.path()), Err(StoreError::JournalDamaged { .. })));
        fs::remove_file(&journal).unwrap();
        assert!(matches!(Store::rebuild(dir.path()), Err(StoreError::JournalMissing { .. })));
        assert!(dir.path().join("sled/db").exists() && !dir.path().join("sled.damaged-1").exists());
        fs::write(&journal, &whole).unwrap();
        assert_eq!(intents(&Store::open(dir.path(), &network).unwrap()).len(), 100, "nothing was changed");
    }
}
