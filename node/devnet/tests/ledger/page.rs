//! `docs/devnet.md` says what the code does: operations, methods, paths, numbers.

use std::collections::BTreeSet;

use reqwest::{Method, StatusCode};
use serde_json::Value;
use stellar_xdr::OperationType;
use tradepost_devnet::*;

use crate::world::START;

const PAGE: &str = include_str!("../../../../docs/devnet.md");

/// The text below a heading, up to the next one.
fn section(heading: &str) -> &'static str {
    let below = PAGE.split_once(&format!("\n## {heading}\n")).unwrap().1;
    below.split("\n## ").next().unwrap()
}

/// The first cells of the tables in a section.
fn first_cells(heading: &str) -> impl Iterator<Item = &'static str> {
    section(heading).lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next())
}

fn in_quotes(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn the_page_names_the_operations_that_there_are_and_counts_the_others() {
    let all: BTreeSet<&str> = OperationType::variants().iter().map(OperationType::name).collect();
    let cells = first_cells("What it implements").flat_map(|cell| cell.split(", "));
    let told: BTreeSet<&str> = cells.filter(|name| all.contains(name)).collect();
    assert_eq!(told, OPERATIONS.iter().map(OperationType::name).collect());
    let others = all.len() - OPERATIONS.len();
    assert!(section("What it implements").contains(&format!("those {others} operations answer")), "{others}");
    assert!(section("What it implements").starts_with(&format!("\nProtocol {PROTOCOL_VERSION}'s rules")));
}

#[test]
fn the_page_names_the_methods_that_there_are_and_each_is_answered() {
    let cells = first_cells("The RPC").filter(|cell| cell.starts_with('`'));
    let told: BTreeSet<&str> = cells.flat_map(in_quotes).collect();
    assert_eq!(told, methods().collect());
    let mut ledger = Ledger::genesis("The page's", START);
    for method in methods() {
        let refused = ledger.rpc(method, &Value::Null).err();
        assert!(refused.is_none_or(|error| error.code != METHOD_NOT_FOUND), "{method}");
    }
    assert_eq!(ledger.rpc("simulateTransaction", &Value::Null).unwrap_err().code, METHOD_NOT_FOUND);
}

#[tokio::test]
async fn each_path_on_the_page_is_served() {
    let server = Server::spawn(Config { close: Close::OnDemand, ..Config::default() }).await.unwrap();
    let http = reqwest::Client::new();
    let mut served = 0;
    for row in PAGE.lines().filter(|line| line.starts_with("| `GET") || line.starts_with("| `POST")) {
        let path = row.split([' ', '`']).find(|part| part.starts_with('/')).unwrap();
        let method = if row.starts_with("| `GET") { Method::GET } else { Method::POST };
        let status = http.request(method, format!("{}{path}", server.url())).send().await.unwrap().status();
        assert!(![StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED].contains(&status), "{row}: {status}");
        served += 1;
    }
    assert_eq!(served, 6);
}

#[test]
fn the_pages_numbers_are_the_codes() {
    let kib = |bytes: usize| bytes / 1024;
    let grouped = |number: u32| format!("{},{:03}", number / 1_000, number % 1_000);
    for (heading, says) in [
        ("The RPC", format!("at most {} KiB", kib(MAX_BODY_BYTES))),
        ("The RPC", format!("at most {MAX_ENTRY_KEYS} keys")),
        ("The RPC", format!("pages of at most {MAX_PAGE}")),
        (
            "The RPC",
            format!("{} events and {} ledgers a call", grouped(MAX_EVENTS as u32), grouped(MAX_SCANNED_LEDGERS)),
        ),
        ("The RPC", format!("{} MiB of XDR", kib(MAX_PAGE_BYTES) / 1024)),
        ("The RPC", format!("{} ledgers\nor {} MiB", grouped(RETENTION_LEDGERS), kib(MAX_HISTORY_BYTES) / 1024)),
        ("Fees and the queue", format!("takes {} operations", grouped(LEDGER_OPERATIONS))),
        ("Fees and the queue", format!("(1 to {})", grouped(MAX_LEDGER_OPERATIONS))),
        ("Fees and the queue", format!("it is {BASE_FEE} stroops an operation")),
    ] {
        assert!(section(heading).contains(&says), "{heading}: {says:?}");
    }
    assert_eq!(MAX_PENDING_LEDGERS, 4, "at four ledgers, says the page");
    assert!(PAGE.contains(&format!("gives it {} XLM", grouped(u32::try_from(FRIENDBOT_AMOUNT / 10_000_000).unwrap()))));
    assert_eq!(MAX_CLOCK_OFFSET / 86_400 / 365, 10, "ten years, says the page");
}
