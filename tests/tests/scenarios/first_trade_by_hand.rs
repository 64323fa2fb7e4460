//! The README's first trade, typed as it stands there: its blocks run in order in one bash, with `tradepost` on the `PATH`.

use tradepost_tests::page;

/// The heading over the blocks.
const HEADING: &str = "## First trade by hand";
/// The most commands that it may take.
const MOST_COMMANDS: usize = 8;

/// The shell blocks below the heading, in their order.
fn blocks() -> String {
    page::blocks(page::section(&page::read("README.md").unwrap(), HEADING).unwrap())
}

#[test]
fn the_readmes_first_trade_takes_at_most_eight_commands() {
    let blocks = blocks();
    let numbered = page::numbers(&blocks);
    let expected: Vec<String> = (1..=numbered.len()).map(|number| number.to_string()).collect();
    assert_eq!(numbered, expected, "each command has its number at the end of its line");
    assert!((1..=MOST_COMMANDS).contains(&numbered.len()), "{} commands", numbered.len());
}

#[test]
fn the_readmes_first_trade_settles_when_its_blocks_are_run_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let settled = r#"
until tradepost binding list --all --json --home "$TRADE/consumer" | grep -q '"state":"paid"'; do sleep 0.2; done
kill $(jobs -p)
wait
echo "the trade is settled"
"#;
    let script = format!("{}{settled}", blocks());
    let typed = page::type_in(&script, dir.path(), env!("CARGO_BIN_EXE_node-under-test")).unwrap();
    assert!(typed.succeeded(), "{typed:#?}");
    assert!(typed.out.contains("sunny, 21 degrees"), "the service's answer isn't there: {typed:#?}");
    assert!(typed.out.ends_with("the trade is settled\n"), "{typed:#?}");
}
