//! `docs/protocol.md` says what the code does: its tables and examples are compared with it, row by row.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::time::Duration;

use tradepost_protocol::account::{AccountId, PeerId, ServingKey};
use tradepost_protocol::amount::{Stroops, Unit};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::binding::agreement::Agreement;
use tradepost_protocol::binding::deadlines::{FreeDeadlines, Terms};
use tradepost_protocol::binding::dispute::Split;
use tradepost_protocol::binding::frames::{
    Ack, Award, Cancel, Case, Closing, Cosign, Cosigned, Delivered, Dispute, Engage, Engagement, Evidence, Fund,
    FundAccepted, FundRefused, Held, NotNow, Note, Ping, Pong, Reject, RejectCode, Rejected, Released, Sealed,
    SealedEvidence, StartFailed, Started, Unbind,
};
use tradepost_protocol::binding::session::End;
use tradepost_protocol::community::frames::{Join, Joined};
use tradepost_protocol::document::{BindingRequest, Offering, ServiceRecord, Template};
use tradepost_protocol::frame;
use tradepost_protocol::kind::{Form, Kind};
use tradepost_protocol::limits::{self, Margins};
use tradepost_protocol::message::{BalanceId, BindingId, MessageId, Payload, SeriesId, TxHash};
use tradepost_protocol::seal::SealingKey;
use tradepost_protocol::status::{Presence, Status};
use tradepost_protocol::time::Timestamp;

/// The page.
fn page() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocol.md")).unwrap()
}

/// The text under a heading up to the next one of its level or above.
fn section(heading: &str) -> String {
    let level = heading.find(' ').unwrap();
    let page = page();
    let lines = page.lines().skip_while(|line| *line != heading).skip(1);
    let ends = |line: &&str| {
        let hashes = line.len() - line.trim_start_matches('#').len();
        hashes > 0 && hashes <= level
    };
    let text: Vec<&str> = lines.take_while(|line| !ends(line)).collect();
    assert!(!text.is_empty(), "docs/protocol.md has no section {heading:?}");
    text.join("\n")
}

/// The cells of a section's first table, without its head.
fn table(heading: &str) -> Vec<Vec<String>> {
    let section = section(heading);
    let rows = section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| row.trim_matches('|').split('|').map(|c| c.trim().trim_matches('`').to_owned()).collect();
    rows.skip(2).map(cells).collect()
}

/// The first cells of a section's first table.
fn first_column(heading: &str) -> Vec<String> {
    table(heading).into_iter().map(|row| row[0].clone()).collect()
}

/// Compares the first cells of a table's rows with what they should be.
fn compare(heading: &str, expected: &[Vec<String>]) {
    let rows = table(heading);
    for (row, expected) in rows.iter().zip(expected) {
        assert_eq!(&row[..expected.len()], expected, "in the table of {heading:?}");
    }
    assert_eq!(rows.len(), expected.len(), "rows in the table of {heading:?}");
}

fn words<const N: usize>(cells: [&dyn ToString; N]) -> Vec<String> {
    cells.iter().map(|cell| cell.to_string()).collect()
}

fn yes(it_is: bool) -> &'static str {
    if it_is { "yes" } else { "no" }
}

#[test]
fn the_page_lists_every_kind_with_number_name_form_bound_and_topic() {
    let row = |kind: &Kind| {
        let form = match kind.form() {
            Form::Document => "document",
            Form::Frame => "frame",
        };
        words([&kind.number(), &kind.name(), &form, &kind.max_bytes(), &yes(kind.gossiped())])
    };
    compare("## Kinds", &Kind::ALL.iter().map(row).collect::<Vec<_>>());
}

#[test]
fn the_page_lists_every_end_of_a_session_and_every_code_of_a_reject_under_its_number() {
    let number = |bytes: Vec<u8>| {
        assert_eq!(bytes.len(), 1);
        bytes[0]
    };
    let ends = End::ALL.map(|end| {
        let name = format!("{end:?}");
        words([&number(frame::encode(&end).unwrap()), &name, &yes(end.earned())])
    });
    compare("### Ends of a session", &ends);
    let mut codes = Vec::new();
    for byte in 0.. {
        let Ok(code) = frame::decode::<RejectCode>(&[byte]) else { break };
        let name = format!("{code:?}");
        codes.push(words([&byte, &name]));
    }
    compare("### Codes of a reject", &codes);
}

/// How the page writes a value.
trait Written {
    fn written(&self) -> String;
}

macro_rules! plain {
    ($($number:ty),*) => { $(impl Written for $number {
        fn written(&self) -> String {
            self.to_string()
        }
    })* };
}
plain!(usize, i64, u32);

impl Written for Duration {
    fn written(&self) -> String {
        if self.subsec_millis() == 0 { format!("{} s", self.as_secs()) } else { format!("{} ms", self.as_millis()) }
    }
}

impl Written for limits::Rate {
    fn written(&self) -> String {
        format!("{} at once, {} a second", self.at_once, self.per_second)
    }
}

impl Written for Stroops {
    fn written(&self) -> String {
        format!("{} XLM", self.coins().trim_end_matches('0').trim_end_matches('.'))
    }
}

macro_rules! limits {
    ($($name:ident),* $(,)?) => {
        vec![$(vec![stringify!($name).to_owned(), limits::$name.written()]),*]
    };
}

#[test]
fn the_page_lists_every_limit_with_its_value() {
    let source = include_str!("../src/limits.rs");
    let names = source.lines().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next());
    assert_eq!(first_column("## Limits"), names.collect::<Vec<_>>());
    let expected = limits![
        MAX_DOCUMENT_BYTES,
        SIGNATURE_BYTES,
        MAX_JSON_DEPTH,
        MAX_JSON_MEMBERS,
        MAX_JSON_INTEGER,
        MAX_GOSSIP_BYTES,
        MAX_SCHEMA_NODES,
        MAX_SCHEMA_DEPTH,
        MAX_TITLE_CHARS,
        MAX_DESCRIPTION_CHARS,
        MAX_REPOSITORY_CHARS,
        MAX_PEER_IDS,
        MAX_ESCROW_KINDS,
        MAX_LISTED_ARBITERS,
        MAX_ARBITERS,
        MAX_EVIDENCE_ITEMS,
        MAX_EVIDENCE_BYTES,
        MAX_SEALED_EVIDENCE,
        MAX_ATTACHMENTS,
        MAX_ATTACHMENT_NAME,
        MAX_CASES,
        MAX_WINDOW,
        MAX_OFFERING_LIFE,
        MAX_REQUEST_LIFE,
        MAX_LIVE_REQUESTS,
        MAX_KEPT_REQUESTS,
        MAX_REQUESTS,
        MAX_FRAME_LEAD,
        MAX_SERIES_PER_AUTHOR,
        MAX_WAITING_PER_PEER,
        MAX_WAITING,
        PEER_RATE,
        MAX_RATED_PEERS,
        AUTHOR_RATE,
        MAX_RATED_AUTHORS,
        WAITING_TIME,
        STATUS_RELAYED_EVERY,
        MAX_RECORDS,
        MAX_PAST_RECORDS,
        MAX_TEMPLATES,
        OUTDATED_TIME,
        FIRST_SYNC_PEERS,
        FIRST_SYNC_PATIENCE,
        MAX_IDS_PER_PAGE,
        MAX_KEYS_PER_READ,
        MAX_UNFUNDED_AGREEMENTS,
        MAX_UNFUNDED_PER_PEER,
        MAX_HASHES,
        MAX_REASON_BYTES,
        MAX_ACCESS_BYTES,
        FRAME_TIMEOUT,
    ];
    compare("## Limits", &expected);
}

macro_rules! margins {
    ($($name:ident),* $(,)?) => {{
        let Margins { $($name: _),* } = Margins::DEVNET;
        vec![$(words([&stringify!($name), &Margins::DEVNET.$name.written(), &Margins::TESTNET.$name.written()])),*]
    }};
}

#[test]
fn the_page_lists_every_margin_of_every_network() {
    assert_eq!(Margins::TESTNET, Margins::PUBLIC, "the page has one column for both");
    let expected = margins![
        min_bond,
        presence_life,
        presence_every,
        fund_window,
        start_window,
        min_delivery,
        max_delivery,
        collecting_window,
        min_dispute,
        dispute_lead,
        min_award,
        min_settle,
        claim_margin,
        heartbeat_every,
        grace,
        funding_ledgers,
        transaction_life,
        poll_every,
        ledger_life,
        clock_behind,
        clock_ahead,
    ];
    compare("## Margins", &expected);
}

/// Reads a document's example, and holds that the table names exactly its members, in their order.
fn example<T: Payload>() {
    let heading = format!("### {}", T::KIND);
    let section = section(&heading);
    let text = section.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let document = T::decode(text.as_bytes()).unwrap_or_else(|refusal| panic!("{heading}: {refusal}"));
    let whole: serde_json::Value = serde_json::from_slice(&document.encode().unwrap()).unwrap();
    let same: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(whole, same, "{heading}");
    let written = String::from_utf8(document.encode().unwrap()).unwrap();
    let place = |name: &str| written.find(&format!("\"{name}\":")).unwrap_or_else(|| panic!("{heading}: no {name}"));
    let members = first_column(&heading);
    let in_order: Vec<usize> = members.iter().map(|name| place(name)).collect();
    assert!(in_order.is_sorted(), "{heading}: {members:?}");
    let all: BTreeSet<&String> = whole.as_object().unwrap().keys().collect();
    assert_eq!(members.iter().collect::<BTreeSet<_>>(), all, "{heading}");
}

#[test]
fn every_example_of_a_document_is_one_and_its_table_names_all_members_in_their_order() {
    example::<Template>();
    example::<ServiceRecord>();
    example::<Offering>();
    example::<BindingRequest>();
    let documents = Kind::ALL.iter().filter(|k| matches!(k.form(), Form::Document)).count();
    assert_eq!(documents, 4, "an example is missing");
}

/// Holds that the table of a frame's kind names exactly its fields, in the order in which they are encoded.
fn fields<T: Payload + Debug>(frame: &T, seen: &mut Vec<Kind>) {
    let printed = format!("{frame:#?}");
    let own = printed.lines().filter(|line| line.starts_with("    ") && !line.starts_with("     "));
    let names = own.filter_map(|line| line.trim().split_once(": ")).map(|(name, _)| name);
    assert_eq!(first_column(&format!("### {}", T::KIND)), names.collect::<Vec<_>>(), "{}", T::KIND);
    seen.push(T::KIND);
}

fn agreement(key: ServingKey, peer: &PeerId) -> Agreement {
    let at = Timestamp::from_secs;
    Agreement {
        request: MessageId::from_bytes([1; 32]),
        offering: MessageId::from_bytes([2; 32]),
        series: SeriesId::from_bytes([3; 32]),
        serving_key: key,
        provider_peer: peer.clone(),
        recipient: AccountId::from_bytes([4; 32]),
        consumer: AccountId::from_bytes([5; 32]),
        consumer_key: key,
        consumer_sealing: SealingKey::from_bytes([6; 32]),
        consumer_peer: peer.clone(),
        units: 1,
        unit: Unit::Call,
        asset: Asset::Native,
        amount: Stroops::ZERO,
        terms: Terms::Free(FreeDeadlines::new(at(1), at(2), at(3)).unwrap()),
        pay_unless_disputed: false,
        arbiters: vec![],
    }
}

#[test]
fn the_table_of_every_frame_names_its_fields_in_the_order_of_their_encoding() {
    let key = ServingKey::from_bytes([1; 32]);
    let (binding, request) = (BindingId::from_bytes([2; 32]), MessageId::from_bytes([3; 32]));
    let (note, nonce) = (Note::new("n"), [4; 32]);
    let peer: PeerId = "12D3KooW".parse().unwrap();
    let (at, series) = (Timestamp::from_secs(1), SeriesId::from_bytes([5; 32]));
    let mut seen = Vec::new();
    fields(&Presence { serving_key: key, at, peer: peer.clone() }, &mut seen);
    fields(&Status { serving_key: key, series, sequence: 1, free: 1, withdrawn: false, at }, &mut seen);
    fields(&Cancel { key, request }, &mut seen);
    fields(&agreement(key, &peer), &mut seen);
    fields(&Reject { key, request, code: RejectCode::Stopping, note: note.clone() }, &mut seen);
    fields(&Fund { key, binding, envelope: vec![1] }, &mut seen);
    fields(&FundAccepted { key, binding }, &mut seen);
    fields(&FundRefused { key, binding, note: note.clone() }, &mut seen);
    fields(&Started { key, binding, access: Sealed::new(vec![1]).unwrap() }, &mut seen);
    fields(&StartFailed { key, binding, note: note.clone() }, &mut seen);
    fields(&Unbind { key, binding, note: note.clone() }, &mut seen);
    fields(&Delivered { key, binding, end: End::Done, used: 1 }, &mut seen);
    fields(&Ack { key, binding, step: 37 }, &mut seen);
    fields(&Closing { key, binding, transaction: TxHash::from_bytes([6; 32]) }, &mut seen);
    fields(&Ping { key, whom: key, binding: Some(binding), nonce }, &mut seen);
    fields(&Pong { key, nonce }, &mut seen);
    fields(&NotNow { key, binding, state: note }, &mut seen);
    let case = Case {
        request,
        provider: key,
        consumer: key,
        asset: Asset::Native,
        amount: Stroops::whole(1),
        fee: Stroops::ZERO,
        dispute_by: at,
        award_by: at,
        timeout_at: at,
    };
    fields(&Engage { key, arbiter: key, fund_by: at, case: case.clone() }, &mut seen);
    fields(&Engagement { key, case }, &mut seen);
    let split = Split { to_provider: Stroops::whole(1), to_consumer: Stroops::ZERO };
    let (balance, note) = (BalanceId::from_bytes([7; 32]), Note::new("n"));
    fields(&Released { key, binding, split }, &mut seen);
    fields(&Rejected { key, binding, note: note.clone() }, &mut seen);
    let (account, sequence) = (AccountId::from_bytes([8; 32]), 1);
    fields(&Cosign { key, binding, split, awarded: true, balance, account, sequence }, &mut seen);
    fields(&Cosigned { key, binding, account, sequence, signature: [9; 64] }, &mut seen);
    fields(&Dispute { key, binding, at, claim: split, balance, agreement: vec![1], receipt: None }, &mut seen);
    fields(&Evidence { key, binding, number: 1, sealed: SealedEvidence::new(vec![1]).unwrap() }, &mut seen);
    fields(&Award { key, binding, number: 1, split, note }, &mut seen);
    fields(&Held { key, binding, opened: true, items: 1 }, &mut seen);
    let account = AccountId::from_bytes([8; 32]);
    fields(&Join { account, exchange: Asset::Native, envelope: vec![1] }, &mut seen);
    fields(&Joined { agent: account, transaction: TxHash::from_bytes([9; 32]), refused: None }, &mut seen);
    let frames = Kind::ALL.iter().copied().filter(|k| matches!(k.form(), Form::Frame));
    assert_eq!(seen, frames.collect::<Vec<_>>());
}
