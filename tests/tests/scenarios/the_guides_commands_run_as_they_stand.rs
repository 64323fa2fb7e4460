//! `docs/guide/`, typed as it stands there; the test network's page with the addresses of a devnet.

use std::fs;

use tradepost_protocol::escrow::EscrowKind;
use tradepost_tests::page::{self, Typed};

const FIRST_TRADE: &str = "docs/guide/first-trade-on-the-devnet.md";
const TEST_NETWORK: &str = "docs/guide/on-the-test-network.md";
const SELLING: &str = "docs/guide/selling-what-i-already-run.md";
const WRONG: &str = "docs/guide/when-something-went-wrong.md";
const COMMUNITY: &str = "docs/guide/community-currency.md";
const DISPUTES: &str = "docs/guide/disputes.md";
const ESCROWS: &str = "docs/guide/what-escrow-protects.md";
/// The page's last commands that it only describes.
const END: &str = "kill $(jobs -p)\nwait\necho 'all was typed'\n";

fn blocks(path: &str) -> String {
    page::blocks(&page::read(path).unwrap())
}

/// Types a script to its end.
fn typed(script: &str) -> Typed {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(page::root().join("testnet.toml"), dir.path().join("testnet.toml")).unwrap();
    let typed = page::type_in(&format!("{script}{END}"), dir.path(), env!("CARGO_BIN_EXE_node-under-test")).unwrap();
    assert!(typed.succeeded() && typed.out.ends_with("all was typed\n"), "{typed:#?}");
    typed
}

#[test]
fn the_first_trade_is_the_readmes() {
    let readme = page::blocks(page::section(&page::read("README.md").unwrap(), "## First trade by hand").unwrap());
    let guide = blocks(FIRST_TRADE);
    assert!(guide.starts_with(&readme), "{guide}");
    assert!(!guide[readme.len()..].contains("--yes"), "what follows only looks");
}

#[test]
fn no_page_waits_for_a_number_of_offerings_that_a_stranger_can_change() {
    for page in [FIRST_TRADE, TEST_NETWORK, SELLING, WRONG, COMMUNITY, DISPUTES].map(blocks) {
        let counts = page.lines().find(|line| line.starts_with("until ") && line.contains("total"));
        assert_eq!(counts, None);
    }
}

#[test]
fn the_commands_after_the_first_trade_sell_what_runs_already_and_look_at_what_went_wrong() {
    let typed = typed(&[FIRST_TRADE, SELLING, WRONG].map(blocks).concat());
    assert_eq!(typed.out.matches("sunny, 21 degrees").count(), 2, "one answer of each service: {typed:#?}");
    assert!(typed.out.contains("withdrawn ") && typed.out.contains("all is well"), "{typed:#?}");
}

#[test]
fn a_trade_on_the_test_network_is_made_as_its_page_says() {
    // The page says itself that these rule over its file.
    let elsewhere = r#"
tradepost devnet --port 0 --network-passphrase 'Test SDF Network ; September 2015' > ledger &
until [ -s ledger ]; do sleep 0.1; done
export TRADEPOST_RPC_URL=$(awk '/^rpc/ { print $2 }' ledger)
export TRADEPOST_FRIENDBOT_URL=$(awk '/^friendbot/ { print $2 }' ledger)
export TRADEPOST_LISTEN=/ip4/127.0.0.1/tcp/0
"#;
    let blocks = blocks(TEST_NETWORK);
    let numbers: Vec<u32> = page::numbers(&blocks).iter().map(|number| number.parse().unwrap()).collect();
    assert_eq!(numbers, Vec::from_iter(1..=7), "each command has its number");
    let typed = typed(&format!("{elsewhere}{blocks}"));
    assert!(typed.out.contains("sunny, 21 degrees"), "{typed:#?}");
}

#[test]
fn a_dispute_is_opened_answered_and_decided_as_its_page_says() {
    let typed = typed(&blocks(DISPUTES));
    assert_eq!(typed.out.matches("sunny, 21 degrees").count(), 3, "{typed:#?}");
    for part in
        ["14.25 XLM to the provider, 4.75 XLM to the consumer", "arbitrated: split", "silence     means the consumer"]
    {
        assert!(typed.out.contains(part), "{part} is missing: {typed:#?}");
    }
}

#[test]
fn a_community_currency_is_run_as_its_page_says() {
    let page = page::read(COMMUNITY).unwrap();
    let first = page.split("\n\n").nth(1).unwrap();
    assert!(first.starts_with("**Whom you trust.**"), "the trust assumptions come first: {first}");
    let typed = typed(&blocks(COMMUNITY));
    assert!(typed.out.contains("repaid ") && typed.out.contains("once is enough"), "{typed:#?}");
}

#[test]
fn the_page_of_escrows_has_each_kind_in_the_codes_own_words() {
    let page = page::read(ESCROWS).unwrap();
    let kinds = [EscrowKind::Timed, EscrowKind::Arbitrated];
    for kind in kinds {
        match kind {
            // A new kind doesn't compile here, and belongs into the list above and onto the page.
            EscrowKind::Timed | EscrowKind::Arbitrated => {}
        }
        let section = page::section(&page, &format!("## `{kind}`")).unwrap();
        assert!(section.split_whitespace().collect::<Vec<_>>().join(" ").contains(kind.protects()), "{kind}");
    }
    assert_eq!(page.matches("\n## `").count(), kinds.len(), "no kind that there isn't");
}
