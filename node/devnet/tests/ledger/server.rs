//! The server over real HTTP.

use std::time::Duration;

use reqwest::{Client as Http, StatusCode};
use serde_json::{Value, json};
use stellar_strkey::ed25519::PublicKey as Address;
use stellar_xdr::*;
use tradepost_devnet::{Close, Config, MAX_CONCURRENT_REQUESTS, Server, ServerError};

use crate::world::*;

async fn on_demand() -> Server {
    spawn(Close::OnDemand).await
}

async fn spawn(close: Close) -> Server {
    Server::spawn(Config { close, ..Config::default() }).await.unwrap()
}

async fn post(server: &Server, body: Value) -> Value {
    let answer = Http::new().post(server.url()).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    answer.json().await.unwrap()
}

async fn call(server: &Server, method: &str, params: Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let answer = post(server, body).await;
    assert_eq!(answer["jsonrpc"], "2.0");
    assert_eq!(answer["id"], 1);
    answer
}

fn address(key: &Key) -> String {
    Address(key.bytes()).to_string().as_str().to_owned()
}

async fn friendbot(server: &Server, addr: &str) -> (StatusCode, Value) {
    let url = format!("{}/friendbot?addr={addr}", server.url());
    let answer = Http::new().get(url).send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

fn balance(server: &Server, key: &Key) -> Option<i64> {
    let ledger_key = LedgerKey::Account(LedgerKeyAccount { account_id: key.id() });
    match &server.client().ledger().entry(&ledger_key)?.data {
        LedgerEntryData::Account(account) => Some(account.balance),
        _ => unreachable!(),
    }
}

#[tokio::test]
async fn the_network_has_a_name_of_its_own_and_tells_of_its_friendbot() {
    let (one, other) = (on_demand().await, on_demand().await);
    assert_ne!(one.passphrase(), other.passphrase());
    assert!(one.passphrase().starts_with("Tradepost Devnet ; "));
    let network = call(&one, "getNetwork", json!({})).await;
    assert_eq!(network["result"]["passphrase"], one.passphrase());
    assert_eq!(network["result"]["friendbotUrl"], format!("{}/friendbot", one.url()));
}

#[tokio::test]
async fn errors_are_json_rpc_errors() {
    let server = on_demand().await;
    let cases = [
        (json!([]), -32600),
        (json!("getHealth"), -32600),
        (json!({ "id": 1, "method": "getHealth" }), -32600),
        (json!({ "jsonrpc": "2.0", "id": 1 }), -32600),
        (json!({ "jsonrpc": "2.0", "id": {}, "method": "getHealth" }), -32600),
        (json!({ "jsonrpc": "2.0", "id": 1, "method": "nothing" }), -32601),
        (json!({ "jsonrpc": "2.0", "id": 1, "method": "getHealth", "params": [] }), -32602),
        (
            json!({ "jsonrpc": "2.0", "id": 1, "method": "sendTransaction",
                    "params": { "transaction": "AAAA" } }),
            -32602,
        ),
    ];
    for (body, code) in cases {
        let answer = post(&server, body.clone()).await;
        assert_eq!(answer["error"]["code"], code, "{body}");
        assert!(answer["error"]["message"].is_string());
        assert!(answer.get("result").is_none());
    }
    let garbled =
        Http::new().post(server.url()).header("content-type", "application/json").body("{").send().await.unwrap();
    let garbled: Value = garbled.json().await.unwrap();
    assert_eq!(garbled["error"]["code"], -32700);
    assert_eq!(garbled["id"], Value::Null);
}

#[tokio::test]
async fn bodies_are_bounded_and_json() {
    let server = on_demand().await;
    let send = |kind: &'static str, body: Vec<u8>| {
        let request = Http::new().post(server.url());
        request.header("content-type", kind).body(body).send()
    };
    let large = vec![b' '; 512 * 1024 + 1];
    let answer = send("application/json", large).await.unwrap();
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let answer = send("text/plain", b"{}".to_vec()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let nested = "[".repeat(100_000).into_bytes();
    let answer = send("application/json", nested).await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["error"]["code"], -32700);
    let answer = Http::new().get(server.url()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn the_friendbot_makes_an_account_once() {
    let server = on_demand().await;
    let key = Key::of("new");
    let (status, made) = friendbot(&server, &address(&key)).await;
    assert_eq!(status, StatusCode::OK, "{made}");
    assert_eq!(balance(&server, &key), Some(10_000 * XLM));
    let found = call(&server, "getTransaction", json!({ "hash": made["hash"] })).await;
    assert_eq!(found["result"]["status"], "SUCCESS");
    let (status, refused) = friendbot(&server, &address(&key)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(refused["detail"].as_str().unwrap().contains("exists"));
    // SDKs post, and know the reason by this word.
    let url = format!("{}/friendbot?addr={}", server.url(), address(&key));
    let refused: Value = Http::new().post(url).send().await.unwrap().json().await.unwrap();
    assert!(refused["detail"].as_str().unwrap().contains("createAccountAlreadyExist"));
    let (status, _) = friendbot(&server, "GABC").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn ten_requests_to_the_friendbot_at_once_all_succeed() {
    for close in [Close::OnDemand, Close::Every(Duration::from_millis(50))] {
        let server = spawn(close).await;
        let keys: Vec<Key> = (0..10).map(|n| Key::of(&format!("key {n}"))).collect();
        let addresses: Vec<String> = keys.iter().map(address).collect();
        // Two more ask for the first account.
        let asked = addresses.iter().chain([&addresses[0]; 2]);
        let answers = futures_of(asked.map(|a| friendbot(&server, a))).await;
        let made = |status: &StatusCode| *status == StatusCode::OK;
        let statuses: Vec<StatusCode> = answers.iter().map(|(status, _)| *status).collect();
        assert!(statuses[1..10].iter().all(made), "{answers:?}");
        let of_first = [statuses[0], statuses[10], statuses[11]];
        assert_eq!(of_first.iter().filter(|s| made(s)).count(), 1, "{answers:?}");
        for key in &keys {
            assert_eq!(balance(&server, key), Some(10_000 * XLM));
        }
        assert!(server.client().ledger().totals().conserved());
        server.shutdown().await;
    }
}

/// Runs futures side by side and collects what they give.
async fn futures_of<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut pending: Vec<_> = all.map(|f| (Box::pin(f), None)).collect();
    std::future::poll_fn(|context| {
        let mut ready = true;
        for (future, output) in &mut pending {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *output = Some(value),
                    std::task::Poll::Pending => ready = false,
                }
            }
        }
        if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    pending.into_iter().map(|(_, output)| output.unwrap()).collect()
}

#[tokio::test]
async fn a_ledger_closes_on_demand_and_its_time_grows() {
    let server = on_demand().await;
    let close = format!("{}/devnet/close", server.url());
    let mut last = server.client().ledger().close_time();
    let mut sequence = server.client().ledger().sequence();
    let http = Http::new();
    for _ in 0..3 {
        let closed: Value = http.post(&close).send().await.unwrap().json().await.unwrap();
        sequence += 1;
        assert_eq!(closed["sequence"], sequence);
        assert!(closed["close_time"].as_u64().unwrap() > last);
        last = closed["close_time"].as_u64().unwrap();
    }
    let latest = call(&server, "getLatestLedger", json!({})).await;
    assert_eq!(latest["result"]["closeTime"], last.to_string());
}

#[tokio::test]
async fn the_clock_moves_ahead_with_the_next_ledger() {
    let server = on_demand().await;
    let before = server.client().ledger().close_time();
    let clock = format!("{}/devnet/clock", server.url());
    let send = |body: Value| Http::new().post(&clock).json(&body).send();
    let moved = send(json!({ "advance_seconds": 86_400 })).await.unwrap();
    assert_eq!(moved.status(), StatusCode::OK);
    let moved: Value = moved.json().await.unwrap();
    assert_eq!(moved["offset_seconds"], 86_400);
    assert_eq!(server.client().ledger().close_time(), before);
    assert!(server.close().close_time >= before + 86_400);
    for bad in [json!({ "advance_seconds": -1 }), json!({ "advance": 1 }), json!({ "advance_seconds": u64::MAX })] {
        assert!(send(bad).await.unwrap().status().is_client_error());
    }
}

#[tokio::test]
async fn ledgers_close_by_themselves_and_never_run_ahead_of_the_clock() {
    let server = spawn(Close::Every(Duration::from_millis(20))).await;
    let mut latest = server.latest_ledger();
    let target = *latest.borrow() + 2;
    let grown = latest.wait_for(|sequence| *sequence >= target);
    tokio::time::timeout(Duration::from_secs(20), grown).await.unwrap().unwrap();
    let status = format!("{}/devnet/status", server.url());
    let status: Value = Http::new().get(&status).send().await.unwrap().json().await.unwrap();
    assert!(status["close_time"].as_u64().unwrap() <= status["now"].as_u64().unwrap());
    let sum = |name: &str| status["totals"][name].as_str().unwrap().parse::<i128>().unwrap();
    assert_eq!(sum("accounts") + sum("claimable") + sum("fee_pool"), sum("total"));
    server.shutdown().await;
}

#[tokio::test]
async fn a_shutdown_frees_the_port() {
    let server = on_demand().await;
    let bind = server.address();
    let same = Config { bind, ..Config::default() };
    let taken = Server::spawn(same.clone()).await.unwrap_err();
    assert!(matches!(taken, ServerError::Bind { address, .. } if address == bind));
    server.shutdown().await;
    Server::spawn(same).await.unwrap();
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_idle_connections() {
    let server = on_demand().await;
    let http = Http::new();
    let url = format!("{}/devnet/status", server.url());
    http.get(&url).send().await.unwrap().bytes().await.unwrap();
    let idle = std::net::TcpStream::connect(server.address()).unwrap();
    tokio::time::timeout(Duration::from_secs(4), server.shutdown()).await.unwrap();
    drop((http, idle));
}

#[tokio::test]
async fn requests_past_the_bound_are_refused_not_queued() {
    // No ledger closes, so the friendbot's visitors stay.
    let server = spawn(Close::Every(Duration::from_secs(3_600))).await;
    let mut visitors = tokio::task::JoinSet::new();
    let base = server.url();
    let http = Http::new();
    let refused = async {
        for n in 0.. {
            let addr = address(&Key::of(&format!("visitor {n}")));
            let url = format!("{base}/friendbot?addr={addr}");
            visitors.spawn(http.get(url).send());
            let url = format!("{base}/devnet/status");
            let status = http.get(url).send().await.unwrap().status();
            if status == StatusCode::SERVICE_UNAVAILABLE {
                return n;
            }
        }
        unreachable!()
    };
    let visitors_inside = tokio::time::timeout(Duration::from_secs(25), refused).await.unwrap();
    assert!(visitors_inside >= MAX_CONCURRENT_REQUESTS - 1);
}

#[tokio::test]
async fn a_configuration_out_of_bounds_is_refused() {
    for amount in [0, 9_999_999, i64::MAX] {
        let config = Config { friendbot_amount: amount, ..Config::default() };
        let error = Server::spawn(config).await.unwrap_err();
        assert!(matches!(error, ServerError::FriendbotAmount(a) if a == amount));
    }
    let config = Config { close: Close::Every(Duration::ZERO), ..Config::default() };
    let error = Server::spawn(config).await.unwrap_err();
    assert!(matches!(error, ServerError::Interval(_)));
}
