//! Peers that this node has met, remembered over its lives: with them it isn't left to what one first peer tells it.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tradepost_network::{Direction, Handle, Multiaddr, PeerInfo};

use crate::home::Home;
use crate::private_file;

/// Peers that are remembered, count.
const REMEMBERED: usize = 16;
/// Time between two looks at who is there.
const LOOK: Duration = Duration::from_secs(5);
/// Largest file that is read, bytes.
const MAX_FILE: u64 = 64 * 1024;

/// The peers that an earlier life remembered, those met last first. A file that can't be used is as good as none.
pub(super) fn recalled(home: &Home) -> Vec<Multiaddr> {
    let read = private_file::read(&home.peers_file(), MAX_FILE);
    let parsed = read.and_then(|bytes| serde_json::from_slice::<Vec<Multiaddr>>(&bytes).map_err(io::Error::from));
    match parsed {
        Ok(peers) => peers.into_iter().take(REMEMBERED).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            tracing::warn!(%error, "the peers known from before can't be read: this node begins with those of its configuration");
            Vec::new()
        }
    }
}

/// Remembers whom this node meets, for as long as it runs.
pub(super) async fn remember(network: Handle, home: Home, known: Vec<Multiaddr>) {
    let mut known: VecDeque<Multiaddr> = known.into();
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let Ok(peers) = network.peers().await else { continue };
        // Who dials this node says itself where it listens: strangers could fill the list with their own.
        let dialled = |peer: &PeerInfo| peer.met && peer.direction == Direction::Outbound;
        let met: Vec<Multiaddr> = peers.into_iter().filter(dialled).filter_map(|peer| peer.reached_at).collect();
        if !add(&mut known, &met) {
            continue;
        }
        let (file, all) = (home.peers_file(), serde_json::to_vec(&known).unwrap_or_default());
        let written = tokio::task::spawn_blocking(move || private_file::write(&file, &all)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "the peers that were met can't be remembered; it is tried again with the next one");
        }
    }
}

/// Puts those that are new in front, where those that aren't there now make room; whether anything changed.
fn add(known: &mut VecDeque<Multiaddr>, met: &[Multiaddr]) -> bool {
    let mut changed = false;
    for address in met {
        if known.contains(address) {
            continue;
        }
        if known.len() >= REMEMBERED {
            // Who is there stays: else more than fit would take turns, with a write at each look.
            let Some(gone) = known.iter().rposition(|known| !met.contains(known)) else { break };
            known.remove(gone);
        }
        known.push_front(address.clone());
        changed = true;
    }
    changed
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn address(n: usize) -> Multiaddr {
        format!("/ip4/10.0.0.1/tcp/{n}").parse().unwrap()
    }

    #[test]
    fn the_newest_peers_are_remembered_and_a_broken_file_is_as_good_as_none() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        assert!(recalled(&home).is_empty());
        let mut known = VecDeque::new();
        let first: Vec<Multiaddr> = (1..=REMEMBERED).map(address).collect();
        assert!(add(&mut known, &first));
        assert!(add(&mut known, &[address(REMEMBERED + 4)]));
        assert!(!add(&mut known, &[address(REMEMBERED + 4)]), "nothing new, nothing to write");
        assert!(!known.contains(&address(1)), "who was met first makes room");
        private_file::write(&home.peers_file(), &serde_json::to_vec(&known).unwrap()).unwrap();
        let recalled_now = recalled(&home);
        assert_eq!((recalled_now.len(), &recalled_now[0]), (REMEMBERED, &address(REMEMBERED + 4)));
        private_file::write(&home.peers_file(), b"[\"nonsense").unwrap();
        assert!(recalled(&home).is_empty());
    }

    #[test]
    fn more_peers_than_are_remembered_do_not_take_turns() {
        let all: Vec<Multiaddr> = (1..=REMEMBERED + 4).map(address).collect();
        let mut known = VecDeque::new();
        assert!(add(&mut known, &all));
        let before = known.clone();
        for _ in 0..3 {
            assert!(!add(&mut known, &all));
        }
        assert_eq!((known.len(), &known), (REMEMBERED, &before));
    }
}
