//! Scenarios C23 and C24 between five processes: the demo of the help exchange, as a user runs it.

use std::process::{Command, Stdio};

use serde_json::Value;

const NODE: &str = env!("CARGO_BIN_EXE_node-under-test");
/// Stroops of so many units.
const fn units(n: i128) -> i128 {
    n * 10_000_000
}

fn number(value: &Value) -> i128 {
    value.as_str().unwrap_or_else(|| panic!("{value} is no decimal string")).parse().unwrap()
}

fn rows<'a>(report: &'a Value, name: &str) -> &'a Vec<Value> {
    report[name].as_array().unwrap_or_else(|| panic!("no {name} in {report}"))
}

#[test]
fn c23_and_c24_between_five_processes_are_right_to_the_stroop_and_leave_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(NODE)
        .args(["demo", "help-exchange", "--json", "--home"])
        .arg(dir.path().join("exchange"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{told}", output.status);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(number(&report["off_by_stroops"]), 0, "{report}");
    let members: Vec<(&str, &str, i128)> = rows(&report, "members")
        .iter()
        .map(|row| {
            let code = row["asset"].as_str().unwrap().split(':').next().unwrap();
            (row["name"].as_str().unwrap(), code, number(&row["found"]))
        })
        .collect();
    // Fees of 100 stroops that stand then are taken back afterwards: Ann's make and repayment, Ben's make.
    let expected = [
        ("ann", "ClawableHexa", units(5_000)),
        ("ben", "ClawableHexa", units(5_000) + 100),
        ("cyn", "ClawableHexa", units(4_200) - 100),
        ("ann", "HEXA", units(5_000) - 200),
        ("ben", "HEXA", units(5_800) - 100),
        ("cyn", "HEXA", units(5_000)),
    ];
    assert_eq!(members, expected);
    for row in rows(&report, "assets_then").iter().chain(rows(&report, "assets")) {
        assert_eq!(number(&row["issued"]), number(&row["held"]) + number(&row["burnt"]), "{row}");
    }
    assert!(rows(&report, "assets").iter().all(|row| number(&row["held"]) == 0), "{report}");
    assert_eq!((&report["balances_left"], &report["accounts_left"]), (&0.into(), &0.into()));
    for row in rows(&report, "coins") {
        assert_eq!(number(&row["start"]) - number(&row["fees"]), number(&row["returned"]), "{row}");
    }
    let chain = rows(&report, "chain");
    assert!(chain.iter().all(|row| row["memo"] == row["previous"]), "every memo names its predecessor: {chain:?}");
    let kinds: Vec<&str> = chain.iter().map(|row| row["kind"].as_str().unwrap()).collect();
    let offered = ["offer", "take", "claim", "convert", "converted"];
    assert_eq!(kinds, [&offered[..], &["request", "take", "grant", "repay", "repaid"]].concat());
    // C24, told in the story.
    for refusal in ["not-paid", "not-the-payer", "already-repaid"] {
        assert!(told.contains(&format!("refused ({refusal})")), "{told}");
    }
}
