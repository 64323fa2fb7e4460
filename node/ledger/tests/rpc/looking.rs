//! Looking ledgers over: for what moved an asset, and for one transaction.

use std::time::Duration;

use serde_json::{Value, json};
use tradepost_ledger::{EndpointState, Ledger, RpcConfig, RpcLedger};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::asset::Asset;

use crate::answers::{self, PASSPHRASE, config, connect, envelope, honest, quick};
use crate::server::{Question, Reply, Server};

fn asset() -> Asset {
    let issuer = AccountId::of(&ed25519_dalek::SigningKey::from_bytes(&[7; 32]));
    Asset::issued("HELP", issuer).unwrap()
}

#[tokio::test]
async fn a_server_that_tells_of_ledgers_to_come_makes_nobody_skip_them() {
    let server = Server::start(|q| match q.method.as_str() {
        "getHealth" => Reply::Result(json!({ "status": "healthy", "latestLedger": 5_000, "oldestLedger": 1 })),
        "getEvents" => Reply::Result(json!({ "events": [], "latestLedger": 5_000 })),
        _ => honest(q, 9),
    })
    .await;
    let ledger = connect(&server).await;
    let nothing = ledger.movements(&[asset()], 3).await.unwrap();
    assert_eq!((nothing.transactions.len(), nothing.through), (0, 9), "nobody has seen more than ledger 9");
    let later = ledger.movements(&[asset()], 10).await.unwrap();
    assert_eq!(later.through, 9);
}

/// One transaction of a list, known by its maxTime.
fn listed(ledger: u32, max_time: u64) -> Value {
    json!({ "status": "SUCCESS", "ledger": ledger, "envelopeXdr": answers::base64(&envelope(max_time)) })
}

/// Answers as of ledger 9, with a transaction in each ledger from 3 on, and one a page, whatever the limit.
fn one_a_page(q: &Question) -> Reply {
    match q.method.as_str() {
        "getTransaction" => Reply::Result(answers::not_found(1, 9)),
        "getTransactions" => {
            let cursor = q.params["pagination"]["cursor"].as_str().and_then(|text| text.parse::<u32>().ok());
            let begun = || q.params["startLedger"].as_u64().unwrap() as u32;
            let next = cursor.map_or_else(begun, |seen| seen + 1).max(3);
            let all: Vec<Value> = (next..=9).take(1).map(|ledger| listed(ledger, u64::from(ledger))).collect();
            Reply::Result(json!({ "transactions": all, "cursor": next.to_string() }))
        }
        _ => honest(q, 9),
    }
}

fn of_ledger(ledger: u32) -> Vec<u8> {
    use stellar_xdr::WriteXdr;
    envelope(u64::from(ledger)).to_xdr(stellar_xdr::Limits::none()).unwrap()
}

#[tokio::test]
async fn a_short_page_is_not_the_last_one() {
    let server = Server::start(one_a_page).await;
    let ledger = connect(&server).await;
    let wanted = of_ledger(8);
    let found = ledger.search(2..=9, &|envelope: &[u8]| envelope == wanted).await.unwrap();
    assert_eq!(found.as_ref(), Some(&wanted));
    assert_eq!(ledger.search(2..=7, &|envelope: &[u8]| envelope == wanted).await.unwrap(), None, "it is later");
    let nothing = ledger.search(2..=9, &|_: &[u8]| false).await.unwrap();
    assert_eq!(nothing, None);
}

#[tokio::test]
async fn a_search_of_many_slow_pages_makes_no_endpoint_a_failing_one() {
    let slow = |q: &Question| {
        if q.method == "getTransactions" {
            std::thread::sleep(Duration::from_millis(400));
        }
        one_a_page(q)
    };
    let server = Server::start(slow).await;
    let mut patience = quick();
    patience.call = Duration::from_secs(2);
    let ledger = RpcLedger::connect(RpcConfig { patience, ..config(&server) }, PASSPHRASE).await.unwrap();
    let wanted = of_ledger(9);
    let found = ledger.search(1..=9, &|envelope: &[u8]| envelope == wanted).await.unwrap();
    assert!(found.is_some(), "all pages together take longer than one question may");
    assert!(matches!(ledger.endpoints()[0].state, EndpointState::Fine), "{:?}", ledger.endpoints());
}

#[tokio::test]
async fn where_one_endpoint_goes_down_another_one_goes_on_with_the_search() {
    let mut pages = 0;
    let first = Server::start(move |q| {
        pages += usize::from(q.method == "getTransactions");
        if pages > 2 { Reply::Http(503, "", Vec::new()) } else { one_a_page(q) }
    })
    .await;
    let second = Server::start(one_a_page).await;
    let mut both = RpcConfig::new(&first.url);
    both.patience = quick();
    both.endpoints.extend(RpcConfig::new(&second.url).endpoints);
    let ledger = RpcLedger::connect(both, PASSPHRASE).await.unwrap();
    let wanted = of_ledger(9);
    let found = ledger.search(2..=9, &|envelope: &[u8]| envelope == wanted).await.unwrap();
    assert_eq!(found, Some(wanted));
    let starts = second.asked().into_iter().filter(|q| q.method == "getTransactions");
    let begun: Vec<Option<u64>> = starts.map(|q| q.params["startLedger"].as_u64()).collect();
    assert_eq!(begun.first(), Some(&Some(4)), "with the ledger that the first one came to");
}
