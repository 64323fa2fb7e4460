//! A process that is killed while it commits: what it was told is durable is there afterwards.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use tradepost_protocol::network_id::NetworkId;
use tradepost_protocol::step::{Batch, Space};
use tradepost_store::{Contents, Store};

/// Set for the process that commits until it is killed.
const HOME: &str = "TRADEPOST_STORE_KILL_TEST";
const THREADS: u32 = 4;

fn network() -> NetworkId {
    NetworkId::of_passphrase("kill test")
}

#[test]
fn whatever_was_acknowledged_before_kill_9_is_there_and_the_rest_is_whole_or_absent() {
    if let Some(home) = std::env::var_os(HOME) {
        return commit_forever(Path::new(&home));
    }
    let home = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "--nocapture",
                "whatever_was_acknowledged_before_kill_9_is_there_and_the_rest_is_whole_or_absent",
            ])
            .env(HOME, home.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let is_key = |line: &String| line.starts_with("stored ");
        acknowledged.extend(lines.by_ref().filter(is_key).take(60 + 17 * round));
        child.kill().unwrap();
        acknowledged.extend(lines.filter(|line| is_key(line) && line.ends_with('.')));
        child.wait().unwrap();

        let store = Store::open(home.path(), &network()).unwrap();
        for line in &acknowledged {
            let key = line.trim_start_matches("stored ").as_bytes();
            for space in spaces(key) {
                assert!(store.get(space, key).unwrap().is_some(), "{line} in {space:?}, round {round}");
            }
        }
        for space in [Space::Binding, Space::Message, Space::Head] {
            let keys: Vec<_> = store.scan(space, b"").map(|entry| entry.unwrap().0).collect();
            assert_eq!(store.count(space), keys.len() as u64);
            for key in keys {
                let whole = spaces(&key).into_iter().all(|space| store.get(space, &key).unwrap().is_some());
                assert!(whole, "{}", String::from_utf8_lossy(&key));
            }
        }
    }
    assert!(acknowledged.len() > 300, "{}", acknowledged.len());
}

/// Every key stands in two spaces: with and without money.
fn spaces(key: &[u8]) -> [Space; 2] {
    if key.starts_with(b"money") { [Space::Binding, Space::Message] } else { [Space::Message, Space::Head] }
}

fn commit_forever(home: &Path) {
    let store = Store::open(home, &network()).unwrap();
    let pid = std::process::id();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = store.clone();
            scope.spawn(move || {
                for i in 0..u32::MAX {
                    let key = format!("{}/{pid}/{thread}/{i}.", if thread % 2 == 0 { "money" } else { "plain" });
                    let mut batch = Batch::new();
                    for space in spaces(key.as_bytes()) {
                        batch.put(space, key.as_str(), vec![7; 300]);
                    }
                    store.commit(batch).unwrap();
                    let mut out = std::io::stdout().lock();
                    if writeln!(out, "stored {key}").and_then(|()| out.flush()).is_err() {
                        return;
                    }
                }
            });
        }
    });
}
