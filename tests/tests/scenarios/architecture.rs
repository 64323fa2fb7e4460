//! Who may know whom (DESIGN 3), read from `cargo tree` and from the pure crate's source.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runtimes.
const RUNTIME: &[&str] = &["tokio", "tokio-util", "tokio-stream", "async-std", "smol", "futures-executor", "mio"];
/// Whatever opens a socket.
const NETWORK: &[&str] = &["libp2p", "libp2p-swarm", "libp2p-stream", "quinn", "socket2", "rustls", "multiaddr"];
/// Whatever keeps something on disk.
const STORAGE: &[&str] = &["sled", "redb", "rocksdb", "rusqlite", "tempfile"];
/// Whatever speaks HTTP.
const WEB: &[&str] = &["axum", "hyper", "reqwest", "tower", "http", "url"];
/// Clocks of the machine, and dice with a seed of their own.
const AMBIENT: &[&str] = &["chrono", "time", "rand", "rand_chacha"];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Everything that a package is built from, itself left out; build and test tools aren't part of it.
fn dependencies(package: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(workspace())
        .args(["tree", "--offline", "--locked", "-e", "normal", "--prefix", "none", "--format", "{p}", "-p", package])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut names: BTreeSet<String> =
        text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    assert!(names.remove(package), "{package} has no tree");
    names
}

fn ours(package: &str) -> BTreeSet<String> {
    dependencies(package).into_iter().filter(|name| name.starts_with("tradepost")).collect()
}

fn assert_free_of(package: &str, groups: &[&[&str]]) {
    let all = dependencies(package);
    for forbidden in groups.iter().copied().flatten() {
        assert!(!all.contains(*forbidden), "{package} is built with {forbidden}");
    }
}

#[test]
fn protocol_knows_no_runtime_no_network_no_storage_no_web_and_no_other_crate_of_ours() {
    assert_eq!(ours("tradepost-protocol"), BTreeSet::new());
    assert_free_of("tradepost-protocol", &[RUNTIME, NETWORK, STORAGE, WEB, AMBIENT]);
}

#[test]
fn store_knows_the_protocol_and_neither_network_nor_ledger() {
    assert_eq!(ours("tradepost-store"), BTreeSet::from(["tradepost-protocol".to_owned()]));
    assert_free_of("tradepost-store", &[RUNTIME, NETWORK, WEB]);
}

#[test]
fn network_knows_frames_as_bytes_and_neither_market_nor_ledger() {
    assert_eq!(ours("tradepost-network"), BTreeSet::new());
    assert_free_of("tradepost-network", &[STORAGE, &["stellar-xdr", "stellar-strkey"]]);
}

#[test]
fn ledger_knows_no_peer_and_no_store() {
    let ours = ours("tradepost-ledger");
    assert!(ours.is_subset(&BTreeSet::from(["tradepost-protocol".to_owned()])), "{ours:?}");
    assert_free_of("tradepost-ledger", &[STORAGE, &["libp2p", "libp2p-swarm", "libp2p-stream", "axum"]]);
}

#[test]
fn devnet_shares_no_code_of_ours_with_the_client_that_it_checks() {
    assert_eq!(ours("tradepost-devnet"), BTreeSet::new());
    assert_free_of("tradepost-devnet", &[&["libp2p", "reqwest", "sled"]]);
}

/// The Rust files below a directory, with their code: comments and what follows the file's tests left out.
fn sources(directory: &Path, found: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") && path.file_name().is_some_and(|n| n != "tests.rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
            found.insert(path, code.map(|line| format!("{line}\n")).collect());
        }
    }
}

#[test]
fn protocol_reads_no_clock_no_file_no_environment_and_throws_no_dice_of_its_own() {
    let mut files = BTreeMap::new();
    sources(&workspace().join("protocol/src"), &mut files);
    assert!(files.len() > 40, "the scan finds the crate's files");
    let forbidden = [
        "SystemTime",
        "Instant",
        "std::thread",
        "std::fs",
        "std::net",
        "std::env",
        "std::process",
        "std::io",
        "OsRng",
        "SysRng",
        "thread_rng",
        "getrandom",
        "rand::",
        "async fn",
        "static mut",
    ];
    for (path, code) in &files {
        for word in forbidden {
            assert!(!code.contains(word), "{} says {word}", path.display());
        }
    }
}

#[test]
fn nothing_of_the_production_crates_is_built_with_the_test_crate() {
    for package in ["tradepost", "tradepost-network", "tradepost-ledger", "tradepost-devnet", "tradepost-store"] {
        assert!(!dependencies(package).contains("tradepost-tests"), "{package} knows its tests");
    }
}

#[test]
fn no_crate_has_a_drawer_for_everything() {
    let mut files = BTreeMap::new();
    for directory in ["protocol/src", "store/src", "node/src", "node/network/src", "node/ledger/src", "node/devnet/src"]
    {
        sources(&workspace().join(directory), &mut files);
    }
    for path in files.keys() {
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(!["mod", "util", "utils", "helpers", "common", "misc"].contains(&name), "{}", path.display());
    }
}
