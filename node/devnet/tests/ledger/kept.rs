//! A ledger in a directory: whatever ends its process, the next start goes on
//! with the last ledger that closed or the one before, and what can't be gone on
//! with is refused and left as it is.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use stellar_xdr::*;
use tempfile::{TempDir, tempdir};
use tradepost_devnet::{Close, CloseError, Config, Faults, INTERNAL_ERROR, Ledger, Server, StateError, Submissions};

use crate::random::{ACCOUNTS, Play};
use crate::world::*;

type Files = BTreeMap<String, Vec<u8>>;

/// What lies in a directory, but for its lock.
fn files(dir: &Path) -> Files {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let named = entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()));
    named.filter(|(name, _)| name != "lock").collect()
}

/// A directory with just that.
fn dir_of(files: &Files) -> TempDir {
    let dir = tempdir().unwrap();
    files.iter().for_each(|(name, bytes)| fs::write(dir.path().join(name), bytes).unwrap());
    dir
}

fn open(dir: &Path) -> Result<Ledger, StateError> {
    Ledger::open(dir, None, START, None)
}

/// A network with so many ledgers, and what its directory holds.
fn kept(ledgers: u32) -> (Files, [u8; 32]) {
    let dir = tempdir().unwrap();
    let mut world = World::kept_in(dir.path());
    let key = world.account("someone", 1_000 * XLM);
    while world.ledger.sequence() < ledgers {
        world.must(&key, bump_to(0));
    }
    let hash = world.ledger.hash();
    drop(world);
    (files(dir.path()), hash)
}

#[test]
fn a_ledger_that_starts_anew_after_each_close_makes_the_same_ledgers() {
    for seed in 0..6 {
        let dir = tempdir().unwrap();
        let mut steady = Play::new(seed);
        let mut kept = Play::of(World::kept_in(dir.path()), seed);
        for _ in 0..12 {
            for _ in 0..ACCOUNTS {
                steady.submit();
                kept.submit();
            }
            let (one, other) = (steady.world.close(), kept.world.close());
            assert_eq!(one, other, "seed {seed}");
            // The directory is locked while a ledger uses it.
            kept.world.ledger = Ledger::genesis("Another, so that the first is dropped", START);
            kept.world.ledger = open(dir.path()).unwrap();
            assert_eq!(kept.world.ledger.header(), steady.world.ledger.header(), "seed {seed}");
            assert_eq!(kept.world.ledger.totals(), steady.world.ledger.totals(), "seed {seed}");
        }
    }
}

/// What the RPC tells of the past and of an account now and some ledgers ago.
fn told(ledger: &mut Ledger, key: &Key, hashes: &[[u8; 32]]) -> Vec<Value> {
    let mut told = Vec::new();
    let mut ask = |ledger: &mut Ledger, method: &str, params: Value| told.push(ledger.rpc(method, &params).unwrap());
    for hash in hashes {
        ask(ledger, "getTransaction", json!({ "hash": hex::encode(hash) }));
    }
    for start in (1..=ledger.sequence()).step_by(100) {
        let page = json!({ "startLedger": start, "pagination": { "limit": 100 } });
        for method in ["getLedgers", "getTransactions", "getEvents"] {
            ask(ledger, method, page.clone());
        }
    }
    ask(ledger, "getFeeStats", json!({}));
    let account = stellar_base64(&account_key(key));
    for lag_ledgers in [0, 1, 7, 16] {
        ledger.set_faults(Faults { lag_ledgers, ..Faults::NONE }).unwrap();
        ask(ledger, "getLedgerEntries", json!({ "keys": [account] }));
    }
    ledger.set_faults(Faults::NONE).unwrap();
    told
}

fn stellar_base64(key: &LedgerKey) -> String {
    key.to_xdr_base64(Limits::none()).unwrap()
}

#[test]
fn history_and_the_states_that_reads_may_be_behind_are_the_same_after_a_restart() {
    let dir = tempdir().unwrap();
    let mut world = World::kept_in(dir.path());
    let key = world.account("someone", 1_000 * XLM);
    let mut hashes = Vec::new();
    // Ends just past a set of entries, and past one that is far behind.
    for ledgers in [5, 127, 128, 129, 140, 256, 259, 400] {
        while world.ledger.sequence() < ledgers {
            let tx = world.next(&key).op(bump_to(0)).sign(&world, &[&key]);
            hashes.push(tx.hash(world.ledger.network_id()).unwrap());
            assert!(world.run_envelope(&tx).succeeded());
        }
        let (before, hash) = (told(&mut world.ledger, &key, &hashes), world.ledger.hash());
        world.ledger = Ledger::genesis("Another, so that the first is dropped", START);
        world.ledger = open(dir.path()).unwrap();
        assert_eq!((world.ledger.sequence(), world.ledger.hash()), (ledgers, hash));
        assert_eq!(told(&mut world.ledger, &key, &hashes), before, "ledger {ledgers}");
    }
    let names: Vec<String> = files(dir.path()).into_keys().collect();
    assert_eq!(names.iter().filter(|name| name.starts_with("entries-")).count(), 2, "{names:?}");
    assert!(names.len() < 10, "{names:?}");
}

#[test]
fn a_kill_at_any_byte_of_what_is_written_leaves_the_ledger_before() {
    // With ledger 128 the entries are written, too.
    for last in [1, 3, 127, 128] {
        let (before, old) = kept(last);
        let (after, new) = kept(last + 1);
        for (name, bytes) in &after {
            if before.get(name) == Some(bytes) {
                continue;
            }
            let step = (bytes.len() / 50).max(1);
            for cut in (0..bytes.len()).step_by(step).chain([bytes.len()]) {
                let mut killed = before.clone();
                killed.insert(format!("{name}.new"), bytes[..cut].to_vec());
                let dir = dir_of(&killed);
                assert_eq!(open(dir.path()).unwrap().hash(), old, "{name} at {cut}");
                assert_eq!(files(dir.path()), before, "nothing unfinished stays");
            }
            // Ledgers come before entries, so with them alone it is the new one.
            let mut renamed = before.clone();
            renamed.insert(name.clone(), bytes.clone());
            if name.starts_with("ledgers-") {
                assert_eq!(open(dir_of(&renamed).path()).unwrap().hash(), new, "{name}");
            }
        }
    }
}

#[test]
fn a_kill_before_the_first_ledger_leaves_the_network_its_name() {
    let (whole, _) = kept(1);
    let network = &whole["network"];
    for cut in 0..network.len() {
        let begun = dir_of(&Files::from([("network.new".to_owned(), network[..cut].to_vec())]));
        assert_eq!(open(begun.path()).unwrap().sequence(), 1);
    }
    let letter = ("letter.new".to_owned(), b"somebody else's".to_vec());
    let named = dir_of(&Files::from([("network".to_owned(), network.clone()), letter]));
    let ledger = open(named.path()).unwrap();
    assert!(files(named.path()).contains_key("letter.new"));
    assert_eq!((ledger.sequence(), ledger.passphrase()), (1, PASSPHRASE));
}

/// Opening this is refused, and changes nothing of it.
#[track_caller]
fn refused(files_there: &Files, what: &str) -> StateError {
    let dir = dir_of(files_there);
    let error = open(dir.path()).map(|ledger| ledger.sequence()).expect_err(what);
    assert_eq!(&files(dir.path()), files_there, "{what}");
    error
}

#[test]
fn damage_of_any_file_is_found_and_loses_nothing() {
    let dir = tempdir().unwrap();
    let mut world = World::kept_in(dir.path());
    world.ledger.set_faults(Faults { lag_ledgers: 2, ..Faults::NONE }).unwrap();
    let key = world.account("someone", 1_000 * XLM);
    while world.ledger.sequence() < 300 {
        world.must(&key, bump_to(0));
    }
    drop(world);
    let whole = files(dir.path());
    assert_eq!(open(dir_of(&whole).path()).unwrap().sequence(), 300);
    for (name, bytes) in &whole {
        // The newer entries aren't read at this start, but at a later one.
        if name.as_str() == "entries-0000000256" {
            continue;
        }
        for at in (0..bytes.len()).step_by((bytes.len() / 40).max(1)) {
            let mut damaged = whole.clone();
            damaged.get_mut(name).unwrap()[at] ^= 0x10;
            let error = refused(&damaged, &format!("{name} at {at}"));
            assert!(error.to_string().contains(name.as_str()), "{error}");
            let shorter = Files::from([(name.clone(), bytes[..at].to_vec())]);
            refused(&whole.clone().into_iter().chain(shorter).collect(), &format!("{name} cut at {at}"));
        }
    }
    for name in whole.keys().filter(|name| name.starts_with("ledgers-")).take(2) {
        let mut missing = whole.clone();
        missing.remove(name);
        let error = refused(&missing, &format!("without {name}"));
        assert!(matches!(error, StateError::Damaged { .. }), "{error}");
    }
}

#[test]
fn what_belongs_to_another_network_or_program_is_refused_and_left_alone() {
    let (mine, _) = kept(3);
    let other = tempdir().unwrap();
    drop(Ledger::open(other.path(), Some("Another network"), START, None).unwrap());
    for name in ["ledgers-0000000001", "network"] {
        let mut mixed = mine.clone();
        mixed.insert(name.to_owned(), files(other.path())[name].clone());
        let error = refused(&mixed, name);
        assert!(matches!(error, StateError::ForeignFile { .. }), "{error}");
    }
    let mut newer = mine.clone();
    newer.get_mut("network").unwrap()[19] = 2;
    let error = refused(&newer, "another format");
    assert!(matches!(error, StateError::Version { found: 2, .. }), "{error}");
    let foreign = Files::from([("letter.txt".to_owned(), b"not a ledger".to_vec())]);
    assert!(matches!(refused(&foreign, "a letter"), StateError::NoNetwork { .. }));

    let dir = dir_of(&mine);
    let error = Ledger::open(dir.path(), Some("Another network"), START, None).unwrap_err();
    assert!(error.to_string().contains(PASSPHRASE) && error.to_string().contains("Another network"), "{error}");
    let error = Ledger::open(dir.path(), None, START, Some(5)).unwrap_err();
    assert!(matches!(error, StateError::OtherLedgerSize { kept: 1_000, wanted: 5, .. }), "{error}");
    assert_eq!(files(dir.path()), mine);
    let _open = open(dir.path()).unwrap();
    assert!(matches!(open(dir.path()), Err(StateError::Busy { .. })));
}

#[test]
fn a_ledger_that_cannot_be_written_is_told_to_nobody_until_it_is() {
    let dir = tempdir().unwrap();
    let mut world = World::kept_in(dir.path());
    let key = world.account("someone", 10 * XLM);
    let obstacle = dir.path().join("ledgers-0000000001.new");
    fs::create_dir(&obstacle).unwrap();
    let time = world.ledger.close_time();
    let tx = world.next(&key).op(bump_to(0)).sign(&world, &[&key]);
    world.admit(&tx);
    for later in [5, 10] {
        assert!(matches!(world.ledger.close(time + later), Err(CloseError::Unsaved(_))));
        assert_eq!(world.ledger.rpc("getLatestLedger", &Value::Null).unwrap_err().code, INTERNAL_ERROR);
    }
    fs::remove_dir(&obstacle).unwrap();
    let closed = world.ledger.close(time + 15).unwrap();
    assert!(closed.transactions.is_empty(), "it was in the ledger before");
    let hash = tx.hash(world.ledger.network_id()).unwrap();
    assert_eq!(world.ledger.transaction(&hash).unwrap().ledger, closed.sequence - 1);
    drop(world);
    let ledger = open(dir.path()).unwrap();
    assert_eq!((ledger.sequence(), ledger.hash()), (closed.sequence, closed.hash));
    assert!(ledger.transaction(&hash).is_some());
}

#[tokio::test]
async fn neither_friendbot_nor_status_tell_of_a_ledger_that_is_not_written() {
    let dir = tempdir().unwrap();
    let config = Config { state: Some(dir.path().to_owned()), close: Close::OnDemand, ..Config::default() };
    let server = Server::spawn(config).await.unwrap();
    let (status, address) =
        (format!("{}/devnet/status", server.url()), stellar_strkey::ed25519::PublicKey(Key::of("someone").bytes()));
    let friendbot = format!("{}/friendbot?addr={}", server.url(), address.to_string().as_str());
    let get = async |url: &str| reqwest::get(url).await.unwrap().status().as_u16();
    assert_eq!(get(&status).await, 200);
    let obstacle = dir.path().join("ledgers-0000000001.new");
    fs::create_dir(&obstacle).unwrap();
    assert_eq!(get(&friendbot).await, 503, "the account is in a ledger that a restart wouldn't know");
    assert_eq!(get(&status).await, 500);
    assert_eq!(get(&friendbot).await, 503, "nor does it exist already");
    fs::remove_dir(&obstacle).unwrap();
    assert_eq!(get(&friendbot).await, 400, "now it does");
    assert_eq!(get(&status).await, 200);
    server.shutdown().await;
}

#[test]
fn of_processes_that_begin_in_one_directory_at_once_one_names_the_network() {
    for round in 0..40 {
        let dir = tempdir().unwrap();
        let begin = std::sync::Barrier::new(4);
        let named: Vec<String> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..4)
                .map(|n| {
                    let (dir, begin) = (dir.path(), &begin);
                    scope.spawn(move || {
                        begin.wait();
                        // It ends at once, as a process does that is killed.
                        let made = |passphrase: &str| match Ledger::open(dir, Some(passphrase), START, None) {
                            Ok(ledger) => Some(ledger.passphrase().to_owned()),
                            Err(StateError::Busy { .. } | StateError::OtherNetwork { .. }) => None,
                            Err(other) => panic!("{other}"),
                        };
                        (0..6).find_map(|_| made(&format!("Network {n} ; {round}")))
                    })
                })
                .collect();
            starts.into_iter().filter_map(|start| start.join().unwrap()).collect()
        });
        let kept = open(dir.path()).unwrap();
        assert!(named.iter().all(|name| name == kept.passphrase()), "{named:?}, and {} is there", kept.passphrase());
    }
}

#[tokio::test]
async fn a_server_goes_on_with_its_ledger_its_clock_and_its_faults() {
    let dir = tempdir().unwrap();
    let config = || Config { state: Some(dir.path().to_owned()), close: Close::OnDemand, ..Config::default() };
    let server = Server::spawn(config()).await.unwrap();
    assert!(server.advance_clock(86_400));
    let faults = Faults { submissions: Submissions::Dropped, history_ledgers: Some(9), ..Faults::NONE };
    server.set_faults(faults).unwrap();
    let closed = server.close();
    let (passphrase, friendbot) = (server.passphrase(), server.friendbot_address().to_owned());
    server.shutdown().await;

    let server = Server::spawn(config()).await.unwrap();
    assert_eq!((server.passphrase(), server.friendbot_address()), (passphrase, friendbot.as_str()));
    assert_eq!(server.client().ledger().hash(), closed.hash);
    assert_eq!(server.faults(), faults);
    let next = server.close();
    assert_eq!(next.sequence, closed.sequence + 1);
    assert!((1..60).contains(&(next.close_time - closed.close_time)), "the clock is as far ahead as it was");
    assert_eq!(server.client().ledger().header().previous_ledger_hash.0, closed.hash);
    let refused = Server::spawn(config()).await.unwrap_err();
    assert!(refused.to_string().contains("in use"), "{refused}");
}
