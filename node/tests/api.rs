//! The API over real nodes: access, problems, events, and a trade from end to end.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "api/party.rs"]
mod party;

use axum::Router;
use axum::body::Body;
use axum::extract::RawQuery;
use axum::http::HeaderMap;
use axum::routing::{any, get, post};
use party::{Party, answer, within};
use reqwest::Method;
use serde_json::{Value, json};
use tradepost::keystore::Keystore;
use tradepost::market::Ended;
use tradepost_devnet::Faults;

/// A service that says what it was asked.
async fn service() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let echo = |method: Method, RawQuery(query): RawQuery, headers: HeaderMap, body: String| async move {
        let header = |name: &str| headers.get(name).map_or("-", |v| v.to_str().unwrap()).to_owned();
        format!("{method} {} {} {body}", query.unwrap_or_default(), header("authorization"))
    };
    let app = Router::new()
        .route("/", get(|| async { "here" }))
        .route("/echo", any(echo))
        .route("/stream", post(|body: Body| async { body }))
        .route("/teapot", get(|| async { axum::http::StatusCode::IM_A_TEAPOT }));
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

fn offering(url: &str, price: &str) -> Value {
    json!({
        "template": "http-api",
        "title": "Echo",
        "description": "Says what it was asked.",
        "parameters": { "endpoints": [{ "method": "GET", "path": "/" }] },
        "price": { "amount": price, "asset": "native", "unit": "call" },
        "min_units": 1,
        "max_units": 10,
        "max_supply": 2,
        "windows": { "deliver_secs": 120, "collect_secs": 12 },
        "life_secs": 3_600,
        "service": { "url": url, "health": "/" }
    })
}

fn code(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["code"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn only_this_machine_with_the_token_gets_in() {
    let ledger = party::ledger().await;
    let node = Party::start(&ledger, &[]).await;
    let get = |path: &str| node.bare(Method::GET, path);
    assert_eq!(code(&answer(get("/v1/status")).await), (401, "no-token"));
    assert_eq!(code(&answer(get("/v1/status").bearer_auth("wrong")).await), (401, "no-token"));
    assert_eq!(code(&answer(get("/v1/nothing")).await), (401, "no-token"));
    let hostile = get("/v1/status").bearer_auth(&node.token).header("origin", "http://evil.example");
    assert_eq!(code(&answer(hostile).await), (403, "foreign-origin"));
    let rebound = get("/healthy").header("host", "evil.example");
    assert_eq!(code(&answer(rebound).await), (403, "foreign-host"));
    assert_eq!(answer(get("/healthy")).await.0, 200);
    assert_eq!(node.get("/v1/status").await.0, 200);
    let file = node.home.path().join("api-token");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), node.token);
    let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_node_whose_network_is_gone_ends_by_itself_and_counts_no_peer() {
    let ledger = party::ledger().await;
    let first = Party::start(&ledger, &[]).await;
    let node = Party::start(&ledger, &first.addresses).await;
    node.until("/v1/status", "they have met", |status| status["peers"]["met"] == 1).await;
    assert_eq!(answer(node.bare(Method::GET, "/ready")).await.0, 200);
    let handle = node.node().handle();
    handle.network.close(std::time::Duration::ZERO).await;
    assert_eq!(within("it notices", node.node().failed()).await, Ended::Network);
    assert_eq!(answer(node.bare(Method::GET, "/ready")).await.0, 503, "nobody is told that it is well");
    let stats = handle.network.stats();
    assert_eq!((stats.peers, stats.peers_met), (0, 0));
}

#[tokio::test]
async fn whatever_cannot_be_answered_is_a_problem_with_a_code() {
    let ledger = party::ledger().await;
    let node = Party::start(&ledger, &[]).await;
    assert_eq!(code(&node.get("/v1/nothing").await), (404, "no-such-resource"));
    assert_eq!(code(&node.post("/v1/status", &json!({})).await), (405, "no-such-method"));
    assert_eq!(code(&node.post("/v1/bindings", &json!({ "offering": 5 })).await), (422, "invalid-body"));
    let unknown = json!({ "offering": "abcdef", "units": 1, "extra": 1 });
    assert_eq!(code(&node.post("/v1/bindings", &unknown).await), (422, "invalid-body"));
    let not_json = node.request(Method::POST, "/v1/bindings").header("content-type", "application/json").body("{");
    assert_eq!(code(&answer(not_json).await), (400, "not-json"));
    let large = json!({ "offering": "a".repeat(tradepost::api::MAX_BODY), "units": 1 });
    assert_eq!(code(&node.post("/v1/bindings", &large).await).0, 413);
    for (path, expected) in [
        ("/v1/offerings?limit=0", "page-limit"),
        ("/v1/offerings?limit=many", "invalid-query"),
        ("/v1/offerings?nonsense=1", "invalid-query"),
        ("/v1/offerings?from=20&to=10", "price-range"),
        ("/v1/offerings?template=none", "unknown-template"),
        ("/v1/offerings/abc", "not-an-id"),
        ("/v1/bindings/XYZXYZ", "not-an-id"),
        ("/v1/services/G", "bad-request"),
    ] {
        assert_eq!(code(&node.get(path).await), (400, expected), "{path}");
    }
    for path in ["/v1/offerings/abcdef", "/v1/bindings/abcdef", "/v1/bindings/abcdef/call/x"] {
        let found = node.get(path).await;
        assert_eq!(code(&found), (404, "not-found"), "{path}");
        assert!(found.1["remedy"].is_string(), "{path}");
    }
    let bind = node.post("/v1/bindings", &json!({ "offering": "abcdef", "units": 1 })).await;
    assert_eq!(code(&bind), (404, "not-found"));
}

#[tokio::test]
async fn a_node_tells_the_truth_of_itself() {
    let ledger = party::ledger().await;
    let node = Party::start(&ledger, &[]).await;
    let (_, status) = node.get("/v1/status").await;
    assert_eq!(status["keys"]["account"], node.account());
    assert_eq!(status["network"]["name"], "devnet");
    assert_eq!(status["ledger"]["ok"], true);
    assert!(status["wallet"]["spendable"].as_str().unwrap().parse::<u64>().unwrap() > 0, "amounts are strings");
    assert_eq!((&status["ok"], &status["troubles"][0]["what"]), (&json!(false), &json!("no peers")));
    assert_eq!(status["peers"]["addresses"][0], node.addresses[0]);
    let (_, config) = node.get("/v1/config").await;
    assert_eq!(config["settings"]["network"]["value"], "devnet");
    assert_eq!(node.get("/ready").await, (200, json!({ "ok": true })));
    let metrics = node.bare(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("tradepost_market_events") && metrics.ends_with("# EOF\n"));
    assert!(!metrics.contains(&node.token));
    assert_eq!(node.post("/v1/shutdown", &json!({})).await.0, 200);
    assert!(node.shutdown.drain().is_cancelled());
    let ready = answer(node.bare(Method::GET, "/ready")).await;
    assert_eq!((code(&ready), &ready.1["detail"]), ((503, "not-ready"), &json!("the node is stopping")));
    assert_eq!(answer(node.bare(Method::GET, "/healthy")).await.0, 200);
}

/// Waits until a node isn't ready for this reason, and its status says the same with what to do.
async fn not_ready(node: &Party, reason: &str) {
    let says = |problem: &Value| problem["detail"].as_str().is_some_and(|detail| detail.contains(reason));
    let problem = node.until("/ready", reason, says).await;
    assert_eq!((&problem["code"], &problem["status"]), (&json!("not-ready"), &json!(503)));
    let (_, status) = node.get("/v1/status").await;
    let troubles = status["troubles"].as_array().unwrap();
    let same = troubles.iter().find(|t| t["what"].as_str().unwrap().contains(reason)).expect("status says the same");
    let remedy = same["remedy"].as_str().unwrap();
    assert!(!remedy.is_empty() && problem["remedy"].as_str().unwrap().contains(remedy), "{problem} {same}");
    assert_eq!(status["ok"], false);
}

async fn ready(node: &Party) {
    node.until("/ready", "it is ready", |well| well["ok"] == true).await;
}

#[tokio::test]
async fn a_node_is_ready_only_while_its_ledger_goes_on_and_a_peer_is_there() {
    let ledger = party::ledger().await;
    let first = Party::start(&ledger, &[]).await;
    let node = Party::start(&ledger, &first.addresses).await;
    ready(&first).await;
    ready(&node).await;
    for (faults, reason) in [
        (Faults { down: true, ..Faults::NONE }, "the ledger can't be read"),
        (Faults { lag_ledgers: 16, ..Faults::NONE }, "the ledger can't be read"),
        (Faults { halted: true, ..Faults::NONE }, "no new ledger for"),
    ] {
        ledger.set_faults(faults).unwrap();
        not_ready(&node, reason).await;
        not_ready(&first, reason).await;
        if reason.starts_with("no new") {
            assert_eq!(node.get("/v1/status").await.1["ledger"]["ok"], false);
        }
        ledger.set_faults(Faults::NONE).unwrap();
        ready(&node).await;
        ready(&first).await;
    }
    drop(first);
    not_ready(&node, "no peers").await;
    assert_eq!(answer(node.bare(Method::GET, "/healthy")).await, (200, json!({ "ok": true })));
}

#[tokio::test]
async fn a_node_without_keys_shows_the_book_and_says_what_it_cannot_do() {
    let ledger = party::ledger().await;
    let node = Party::start_with(&ledger, &[], Keystore::empty()).await;
    let (_, status) = node.get("/v1/status").await;
    assert_eq!((&status["wallet"], &status["keys"]["roles"]), (&Value::Null, &json!([])));
    assert_eq!(node.get("/v1/offerings").await.1["total"], 0);
    assert_eq!(code(&node.post("/v1/wallet/fund", &json!({})).await), (409, "no-account-key"));
    let record = json!({
        "title": "Echo", "repository": "https://example.org/e.git", "commit": "ab".repeat(20), "path": "",
        "interface_hash": "00".repeat(32)
    });
    assert_eq!(code(&node.post("/v1/services", &record).await), (409, "no-service-key"));
    let publish = node.post("/v1/offerings", &offering("http://127.0.0.1:9", "1")).await;
    assert_eq!(code(&publish), (409, "no-account-key"));
}

#[tokio::test]
async fn records_of_a_service_chain_and_a_repeat_changes_nothing() {
    let ledger = party::ledger().await;
    let node = Party::start(&ledger, &[]).await;
    let record = |commit: &str, path: &str| {
        json!({
            "title": "Echo", "repository": "https://example.org/e.git", "commit": commit.repeat(20), "path": path,
            "interface_hash": "00".repeat(32)
        })
    };
    let (status, first) = node.post("/v1/services", &record("ab", "echo")).await;
    assert_eq!((status, &first["revision"], &first["own"]), (201, &json!(1), &json!(true)));
    let (status, again) = node.post("/v1/services", &record("ab", "echo")).await;
    assert_eq!((status, &again), (200, &first));
    let (status, next) = node.post("/v1/services", &record("cd", "echo")).await;
    assert_eq!((status, &next["revision"], &next["service"]), (201, &json!(2), &first["service"]));
    let (_, other) = node.post("/v1/services", &record("ab", "other")).await;
    assert_ne!(other["service"], first["service"]);
    let (_, list) = node.get("/v1/services").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    let path = format!("/v1/services/{}", first["service"].as_str().unwrap());
    assert_eq!(node.get(&path).await.1, next);
}

#[tokio::test]
async fn an_offering_is_quoted_published_told_of_and_withdrawn_once() {
    let ledger = party::ledger().await;
    let node = Party::start(&ledger, &[]).await;
    let url = service().await;
    let (_, cost) = node.post("/v1/offerings/quote", &offering(&url, "20000000")).await;
    assert_eq!(
        (&cost["amount"], &cost["asset"], &cost["reserve"]),
        (&json!("40000000"), &json!("native"), &json!("10000000"))
    );
    assert!(cost["returns_at"]["secs"].is_u64() && cost["returns_at"]["text"].as_str().unwrap().ends_with('Z'));
    let mut changes = node.watch().await;
    let (status, published) = node.post("/v1/offerings", &offering(&url, "20000000")).await;
    assert_eq!(status, 201, "{published}");
    assert_eq!(changes.next_named("offering").await["series"], published["series"]);
    changes.next_named("wallet").await;
    let (_, own) = node.get("/v1/offerings/own").await;
    assert_eq!(own["items"][0]["bond"]["transaction"], published["transaction"]);
    let series = published["series"].as_str().unwrap();
    let shown = node.until(&format!("/v1/offerings/{}", &series[..6]), "it is live", |view| view["live"] == true).await;
    assert_eq!((&shown["series"], &shown["own"], &shown["free"]), (&published["series"], &json!(true), &json!(2)));
    assert_eq!(node.get("/v1/offerings").await.1["total"], 0, "one's own are left out");
    assert_eq!(node.get("/v1/offerings?all=true&text=ECHO&template=http-api").await.1["total"], 1);
    let own_bind = node.post("/v1/bindings", &json!({ "offering": series, "units": 1, "dry_run": true })).await;
    assert_eq!(code(&own_bind), (409, "own-offering"));
    let (_, wallet) = node.get("/v1/wallet").await;
    assert_eq!((&wallet["locked"][0]["what"], &wallet["locked"][0]["amount"]), (&json!("bond"), &json!("40000000")));
    let withdraw = format!("/v1/offerings/{series}/withdraw");
    assert_eq!(node.post(&withdraw, &json!({})).await.0, 200);
    assert_eq!(node.post(&withdraw, &json!({})).await.0, 409);
    assert_eq!(node.post("/v1/offerings/abcdef/withdraw", &json!({})).await.0, 404);
}

#[tokio::test]
async fn an_offering_needs_a_service_that_is_not_the_node_itself() {
    let ledger = party::ledger().await;
    let node = Party::start(&ledger, &[]).await;
    let node = &node;
    let refused = async |service: Value| {
        let mut new = offering("", "1");
        new["service"] = service;
        node.post("/v1/offerings/quote", &new).await
    };
    let own = refused(json!({ "url": node.base })).await;
    assert_eq!(code(&own), (422, "invalid-service"));
    assert!(own.1["detail"].as_str().unwrap().contains("own address"), "{}", own.1);
    let missing = refused(json!({ "start": ["./no-such-program"] })).await;
    assert_eq!(code(&missing), (422, "invalid-service"));
    assert!(missing.1["detail"].as_str().unwrap().contains("no program \"./no-such-program\""), "{}", missing.1);
    for service in [json!("weather"), json!({ "url": "http://127.0.0.1:9", "helth": "/" }), json!({}), Value::Null] {
        assert_eq!(code(&refused(service).await), (422, "invalid-service"));
    }
}

#[tokio::test]
async fn a_trade_goes_through_the_api_from_search_to_settlement() {
    let ledger = party::ledger().await;
    let provider = Party::start(&ledger, &[]).await;
    let consumer = Party::start(&ledger, &provider.addresses).await;
    let url = service().await;
    provider.until("/v1/peers", "they have met", |peers| peers["items"][0]["met"] == true).await;
    let (_, published) = provider.post("/v1/offerings", &offering(&url, "10000000")).await;
    let list = consumer.until("/v1/offerings?text=echo", "it is found", |list| list["total"] == 1).await;
    assert_eq!(list["items"][0]["series"], published["series"]);
    let offering = list["items"][0]["id"].as_str().unwrap();
    let wanted = |dry_run: bool| json!({ "offering": &offering[..8], "units": 3, "dry_run": dry_run });
    let (_, cost) = consumer.post("/v1/bindings", &wanted(true)).await;
    assert_eq!(cost["amount"], "30000000");
    assert!(cost["protects"].as_str().unwrap().contains("not against one that cheats"));
    let (status, bound) = consumer.post("/v1/bindings", &wanted(false)).await;
    assert_eq!(status, 201, "{bound}");
    let path = format!("/v1/bindings/{}", bound["binding"].as_str().unwrap());
    let active = consumer.until(&path, "it is active", |view| view["phase"] == "active").await;
    assert_eq!(
        (&active["transactions"]["funding"], &active["escrow"]["state"]),
        (&bound["transaction"], &json!("locked"))
    );
    calls_pass_unchanged(&consumer, &path).await;
    let closed = consumer.until(&path, "it is settled", |view| view["phase"] == "closed").await;
    assert_eq!((&closed["escrow"]["state"], &closed["ended"]), (&json!("paid"), &json!("units used")));
    assert_eq!(code(&consumer.get(&format!("{path}/call/")).await), (409, "binding-not-active"));
    assert_eq!(consumer.get("/v1/bindings").await.1["total"], 0);
    assert_eq!(consumer.get("/v1/bindings?all=true").await.1["items"][0]["binding"], bound["binding"]);
}

async fn calls_pass_unchanged(consumer: &Party, path: &str) {
    let echo = consumer
        .bare(Method::PUT, &format!("{path}/call/echo?a=%26"))
        .header("x-tradepost-token", &consumer.token)
        .bearer_auth("mine")
        .body("hello");
    let echo = within("an echo", echo.send()).await.unwrap();
    assert!(echo.headers().contains_key("x-tradepost-binding"));
    assert_eq!(echo.text().await.unwrap(), "PUT a=%26 Bearer mine hello");
    let plain = consumer.request(Method::GET, &format!("{path}/call/echo"));
    let plain = within("an echo", plain.send()).await.unwrap();
    assert_eq!(plain.text().await.unwrap(), "GET  - ", "the node's own token stays here");
    let large = vec![7; 3 * tradepost::api::MAX_BODY];
    let streamed = consumer.request(Method::POST, &format!("{path}/call/stream")).body(large.clone());
    let streamed = within("a stream", streamed.send()).await.unwrap();
    assert_eq!(streamed.bytes().await.unwrap(), large);
}
