//! Looking ledgers over: for what moved an asset, and for one transaction.

use serde_json::json;
use tradepost_ledger::Ledger;
use tradepost_protocol::account::AccountId;
use tradepost_protocol::asset::Asset;

use crate::answers::{connect, honest};
use crate::server::{Reply, Server};

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
