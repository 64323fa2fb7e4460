//! Holds `docs/security.md` against the tree: each thing that stops somebody names a test, and each named test is there.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

/// The part of the page in which nothing is claimed to be stopped.
const UNSTOPPED: &str = "\n## What nothing stops\n";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn page() -> String {
    fs::read_to_string(root().join("docs/security.md")).unwrap()
}

/// The tests that a part of the page names, as (file, test).
fn named(text: &str) -> Vec<(&str, &str)> {
    text.split('`').skip(1).step_by(2).filter_map(|code| code.split_once("::")).collect()
}

/// Whether a function of that name stands below an attribute that makes it a test.
fn is_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let wanted = format!("fn {name}(");
    lines.iter().enumerate().filter(|(_, line)| line.trim_start_matches("async ").starts_with(&wanted)).any(
        |(at, _)| {
            let above = lines[..at].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
            above.into_iter().any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
        },
    )
}

#[test]
fn every_test_that_the_page_names_is_in_the_tree() {
    let page = page();
    let missing: Vec<String> = named(&page)
        .into_iter()
        .filter(|(file, name)| !fs::read_to_string(root().join(file)).is_ok_and(|source| is_test(&source, name)))
        .map(|(file, name)| format!("{file}::{name}"))
        .collect();
    assert!(missing.is_empty(), "no such test:\n{}", missing.join("\n"));
}

#[test]
fn whatever_stops_somebody_names_its_test() {
    let page = page();
    let (stopped, rest) = page.split_once(UNSTOPPED).unwrap();
    let sections: Vec<&str> = stopped.split("\n## ").skip(1).collect();
    let who: Vec<&str> = sections.iter().map(|section| section.lines().next().unwrap()).collect();
    let expected = [
        "A peer",
        "A provider",
        "A consumer",
        "An arbiter",
        "An RPC server",
        "Another user of this machine",
        "A web page",
        "A member of a help exchange",
    ];
    assert_eq!(who, expected);
    for item in sections.iter().flat_map(|section| section.split("\n- ").skip(1)) {
        assert!(item.starts_with("**") && !named(item).is_empty(), "nothing holds this: {item}");
    }
    assert!(rest.contains("\n- **"), "a page that says that everything is stopped isn't true");
}

#[test]
fn a_function_counts_as_a_test_only_below_its_attribute() {
    let source = "#[test]\nfn one() {}\n\n#[tokio::test(flavor = \"x\")]\nasync fn two() {}\n\nfn three() {}\n";
    assert_eq!(["one", "two", "three", "on"].map(|name| is_test(source, name)), [true, true, false, false]);
}
