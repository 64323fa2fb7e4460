//! Batches of timestamps, each of which names the root before it.

use super::pair::{CONSUMER, Pair};
use crate::market::command::{Answer, Command};
use crate::stellar::ledger_key::Key;
use crate::timestamp;

#[test]
fn a_server_that_has_yet_to_see_the_last_batch_is_waited_for_also_after_a_restart() {
    let mut pair = Pair::new(1);
    let own = pair.nodes[CONSUMER].setup.keys.account_id().unwrap();
    let keys = [Key::Account(own), timestamp::entry_of(own)];
    let mut last = [0; 32];
    for (hash, stale, restarts) in [(1, false, false), (2, true, false), (3, true, true)] {
        if restarts {
            pair.kill(CONSUMER);
            pair.restart(CONSUMER);
        }
        let now = (pair.ledger.point(), pair.ledger.read(&keys));
        let command = pair.command(CONSUMER, Command::Stamp { hashes: vec![[hash; 32]], dry_run: false });
        pair.run(3);
        if stale {
            let node = &pair.nodes[CONSUMER];
            assert!(!node.answers.contains_key(&command), "it would name the root before the last");
            assert!(node.market.stamps().all(|stamp| stamp.included.is_some()));
            pair.behind = None;
            pair.run(3);
        }
        let root = match &pair.nodes[CONSUMER].answers[&command] {
            Ok(Answer::Stamped { root, .. }) => *root.as_bytes(),
            other => panic!("{other:?}"),
        };
        let batch = pair.nodes[CONSUMER].market.stamps().find(|stamp| stamp.batch.root() == root).unwrap();
        assert_eq!((batch.batch.previous, batch.batch.counter), (last, u64::from(hash)));
        // From now on a server answers that stopped before this batch.
        pair.behind = Some(now);
        last = root;
    }
}
