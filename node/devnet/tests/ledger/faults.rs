//! The switches that make the RPC misbehave.

use std::time::{Duration, Instant};

use reqwest::{Client as Http, StatusCode};
use serde_json::{Value, json};
use stellar_xdr::*;
use tradepost_devnet::{Client, Close, CloseError, Config, Faults, INVALID_REQUEST, Server, Submissions};

use crate::asking::*;
use crate::world::*;

fn send(world: &mut World, envelope: &TransactionEnvelope) -> Value {
    rpc(world, "sendTransaction", json!({ "transaction": b64(envelope) }))["status"].clone()
}

fn status(world: &mut World, hash: [u8; 32]) -> Value {
    rpc(world, "getTransaction", json!({ "hash": hex::encode(hash) }))
}

fn set(world: &mut World, faults: Faults) {
    world.ledger.set_faults(faults).unwrap();
}

const DROPPED: Faults = Faults { submissions: Submissions::Dropped, ..Faults::NONE };
const STUCK: Faults = Faults { submissions: Submissions::Stuck, ..Faults::NONE };
const BUSY: Faults = Faults { submissions: Submissions::TryAgainLater, ..Faults::NONE };

#[test]
fn a_dropped_submission_is_answered_pending_and_never_included() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let tx = world.next(&a).op(bump_to(0));
    let (hash, envelope) = (tx.hash(&world), tx.sign(&world, &[&a]));
    set(&mut world, DROPPED);
    assert_eq!(send(&mut world, &envelope), "PENDING");
    assert_eq!(send(&mut world, &envelope), "PENDING");
    assert_eq!(world.ledger.pending(), 0);
    assert!(world.close().transactions.is_empty());
    assert_eq!(status(&mut world, hash)["status"], "NOT_FOUND");
    set(&mut world, Faults::NONE);
    assert_eq!(send(&mut world, &envelope), "PENDING", "the same envelope is still good");
    assert_eq!(world.close().transactions.len(), 1);
}

#[test]
fn a_stuck_submission_stays_queued_until_the_switch_is_off() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let envelope = world.next(&a).op(bump_to(0)).sign(&world, &[&a]);
    set(&mut world, STUCK);
    assert_eq!(send(&mut world, &envelope), "PENDING");
    for _ in 0..10 {
        assert!(world.close().transactions.is_empty());
        assert_eq!(send(&mut world, &envelope), "DUPLICATE");
    }
    set(&mut world, Faults::NONE);
    assert_eq!(world.close().transactions.len(), 1);
}

#[test]
fn a_busy_server_takes_nothing() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let envelope = world.next(&a).op(bump_to(0)).sign(&world, &[&a]);
    set(&mut world, BUSY);
    assert_eq!(send(&mut world, &envelope), "TRY_AGAIN_LATER");
    assert_eq!(world.ledger.pending(), 0);
    let garbage = world.ledger.rpc("sendTransaction", &json!({ "transaction": "AAAA" })).unwrap_err();
    assert_eq!(garbage.message, "invalid_xdr", "a fault is no excuse for garbage");
}

/// All that the reads tell of one ledger.
fn view(world: &mut World, key: &LedgerKey, hashes: &[[u8; 32]]) -> Value {
    let statuses: Vec<Value> = hashes.iter().map(|hash| status(world, *hash)).collect();
    json!({
        "latest": rpc(world, "getLatestLedger", json!({})),
        "health": rpc(world, "getHealth", json!({})),
        "fees": rpc(world, "getFeeStats", json!({})),
        "entries": rpc(world, "getLedgerEntries", json!({ "keys": [b64(key)] })),
        "transactions": statuses,
        "ledgers": rpc(world, "getLedgers", json!({ "startLedger": 1 })),
    })
}

#[test]
fn a_lagging_server_says_to_everything_what_it_said_that_many_ledgers_ago() {
    let mut world = World::new();
    let (a, b) = (world.account("a", 1_000 * XLM), world.account("b", 10 * XLM));
    let key = LedgerKey::Account(LedgerKeyAccount { account_id: a.id() });
    let txs: Vec<Tx> = (0..20)
        .map(|n| Tx::new(&a, world.sequence(&a) + 1 + n).op(pay(&b, Asset::Native, n + 1)).fee(100 + n as u32))
        .collect();
    let hashes: Vec<[u8; 32]> = txs.iter().map(|tx| tx.hash(&world)).collect();
    let mut views = vec![view(&mut world, &key, &hashes)];
    for tx in txs {
        world.run(tx, &[&a]);
        views.push(view(&mut world, &key, &hashes));
    }
    for lag in 0..=16 {
        set(&mut world, Faults { lag_ledgers: lag, ..Faults::NONE });
        let then = &views[views.len() - 1 - lag as usize];
        let now = &view(&mut world, &key, &hashes);
        assert_eq!(now["latest"]["sequence"].as_u64().unwrap(), u64::from(world.ledger.sequence() - lag));
        assert_eq!(now, then, "lag {lag}");
    }
    let envelope = world.next(&a).op(bump_to(0)).sign(&world, &[&a]);
    assert_eq!(send(&mut world, &envelope), "PENDING", "a submission goes to the ledger as it is");
}

#[test]
fn a_server_lags_no_further_than_to_the_first_ledger() {
    let mut world = World::new();
    set(&mut world, Faults { lag_ledgers: 16, ..Faults::NONE });
    world.close();
    assert_eq!(rpc(&mut world, "getLatestLedger", json!({}))["sequence"], 1);
}

#[test]
fn a_short_history_finds_what_the_newest_ledgers_hold_and_says_where_it_begins() {
    let mut world = World::new();
    let a = world.account("a", 100 * XLM);
    let tx = world.next(&a).op(bump_to(0));
    let hash = tx.hash(&world);
    world.run(tx, &[&a]);
    let included = world.ledger.sequence();
    set(&mut world, Faults { history_ledgers: Some(3), ..Faults::NONE });
    for behind in 0..5 {
        let told = status(&mut world, hash);
        let found = if behind < 3 { "SUCCESS" } else { "NOT_FOUND" };
        assert_eq!(told["status"], found, "{behind} ledgers later");
        assert_eq!(told["latestLedger"], included + behind);
        let oldest = (included + behind - 2).max(1);
        assert_eq!(told["oldestLedger"], oldest);
        assert_eq!(rpc(&mut world, "getHealth", json!({}))["oldestLedger"], oldest);
        let early = world.ledger.rpc("getLedgers", &json!({ "startLedger": oldest - 1 })).unwrap_err();
        assert_eq!(early.code, INVALID_REQUEST);
        world.close();
    }
}

#[test]
fn a_halted_network_closes_no_ledger_and_goes_on_afterwards() {
    let mut world = World::new();
    set(&mut world, Faults { halted: true, ..Faults::NONE });
    assert_eq!(world.ledger.close(START + 100), Err(CloseError::Halted));
    assert_eq!(world.ledger.sequence(), 1);
    set(&mut world, Faults::NONE);
    world.ledger.close(START + 100).unwrap();
}

#[test]
fn a_client_in_process_has_the_same_switches() {
    let client = Client::new(World::new().ledger);
    client.set_faults(Faults { down: true, ..Faults::NONE }).unwrap();
    assert!(client.rpc("getHealth", &Value::Null).unwrap_err().message.contains("down"));
    assert!(client.set_faults(Faults { lag_ledgers: 17, ..Faults::NONE }).is_err());
    assert!(client.faults().down, "what is refused changes nothing");
    client.set_faults(Faults::NONE).unwrap();
    client.rpc("getHealth", &Value::Null).unwrap();
}

async fn server() -> Server {
    Server::spawn(Config { close: Close::OnDemand, ..Config::default() }).await.unwrap()
}

async fn switch(server: &Server, body: Value) -> (StatusCode, String) {
    let answer = Http::new().post(format!("{}/devnet/faults", server.url())).json(&body).send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

async fn health(server: &Server) -> StatusCode {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "getHealth" });
    Http::new().post(server.url()).json(&body).send().await.unwrap().status()
}

#[tokio::test]
async fn the_switches_are_off_at_first_set_as_a_whole_and_shown() {
    let server = server().await;
    let off = json!({
        "slow_ms": 0, "down": false, "submissions": "taken", "lag_ledgers": 0, "history_ledgers": null,
        "halted": false,
    });
    let shown = Http::new().get(format!("{}/devnet/faults", server.url())).send().await.unwrap();
    assert_eq!(shown.json::<Value>().await.unwrap(), off);
    let (status, text) = switch(&server, json!({ "lag_ledgers": 2, "submissions": "try_again_later" })).await;
    assert_eq!(status, StatusCode::OK);
    let mut expected = off.clone();
    (expected["lag_ledgers"], expected["submissions"]) = (json!(2), json!("try_again_later"));
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    let (status, text) = switch(&server, json!({})).await;
    assert_eq!((status, serde_json::from_str::<Value>(&text).unwrap()), (StatusCode::OK, off));
}

#[tokio::test]
async fn a_switch_that_does_not_exist_or_is_out_of_bounds_is_refused_and_changes_nothing() {
    let server = server().await;
    switch(&server, json!({ "lag_ledgers": 2 })).await;
    for (body, says) in [
        (json!({ "lag": 2 }), "unknown field `lag`"),
        (json!({ "lag_ledgers": 17 }), "from 0 to 16"),
        (json!({ "slow_ms": 25_001 }), "from 0 to 25000"),
        (json!({ "history_ledgers": 0 }), "1 or more"),
        (json!({ "lag_ledgers": -1 }), "lag_ledgers"),
    ] {
        let (status, text) = switch(&server, body).await;
        assert!(status.is_client_error() && text.contains(says), "{status}: {text}");
    }
    assert_eq!(server.faults(), Faults { lag_ledgers: 2, ..Faults::NONE });
}

#[tokio::test]
async fn a_server_that_is_down_answers_503_to_all_but_its_switches() {
    let server = server().await;
    switch(&server, json!({ "down": true })).await;
    assert_eq!(health(&server).await, StatusCode::SERVICE_UNAVAILABLE);
    let friendbot = Http::new().get(format!("{}/friendbot?addr=G", server.url())).send().await.unwrap();
    assert_eq!(friendbot.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(switch(&server, json!({})).await.0, StatusCode::OK);
    assert_eq!(health(&server).await, StatusCode::OK);
}

#[tokio::test]
async fn a_slow_server_does_what_it_is_asked_and_answers_late() {
    let server = server().await;
    let delay = Duration::from_millis(120);
    server.set_faults(Faults { slow_ms: 120, ..Faults::NONE }).unwrap();
    let started = Instant::now();
    assert_eq!(health(&server).await, StatusCode::OK);
    assert!(started.elapsed() >= delay, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_halted_server_refuses_to_close_and_says_how_to_go_on() {
    let server = server().await;
    let before = server.client().ledger().sequence();
    switch(&server, json!({ "halted": true })).await;
    let close = || Http::new().post(format!("{}/devnet/close", server.url())).send();
    let refused = close().await.unwrap();
    assert_eq!(refused.status(), StatusCode::CONFLICT);
    assert!(refused.text().await.unwrap().contains("\"halted\""));
    assert_eq!(server.client().ledger().sequence(), before);
    switch(&server, json!({})).await;
    assert_eq!(close().await.unwrap().status(), StatusCode::OK);
}
