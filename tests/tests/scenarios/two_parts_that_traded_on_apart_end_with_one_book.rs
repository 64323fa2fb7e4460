//! A network falls apart, both parts trade on, and once it is whole again all of it has one book.

use core::time::Duration;
use std::collections::BTreeSet;

use ed25519_dalek::SigningKey;
use tradepost_protocol::account::ServiceKey;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::document::{InterfaceHash, Offering, ServiceRecord};
use tradepost_protocol::kind::Kind;
use tradepost_protocol::limits::MAX_IDS_PER_PAGE;
use tradepost_protocol::market::command::{Command, OfferingDraft};
use tradepost_protocol::message::{MessageId, SeriesId, Signed, keccak};
use tradepost_tests::world::{Published, World, draft};

const WEST: [&str; 3] = ["ann", "ben", "west"];
const EAST: [&str; 3] = ["cyn", "dan", "east"];
/// How long the parts stay apart: longer than a presence counts.
const APART: Duration = Duration::from_secs(40);
/// How long a network that is whole may take: everybody asks everybody for what it holds, and bonds are looked up.
const HEALING: Duration = Duration::from_secs(60);

fn all() -> impl Iterator<Item = &'static str> {
    WEST.into_iter().chain(EAST)
}

/// What a node's book says.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    ids: BTreeSet<(u8, MessageId)>,
    listings: Vec<Option<Line>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Line {
    id: MessageId,
    free: u32,
    status_sequence: u64,
    live: bool,
    bonded: bool,
    withdrawn: bool,
    conflicting: bool,
    outdated: bool,
}

fn told(world: &World, name: &str, series: &[SeriesId]) -> Told {
    let line = |series: &SeriesId| {
        world.listing(name, *series).map(|l| Line {
            id: l.id,
            free: l.free,
            status_sequence: l.status_sequence,
            live: l.live,
            bonded: l.bonded,
            withdrawn: l.withdrawn,
            conflicting: l.conflicting,
            outdated: l.outdated,
        })
    };
    let ids = world.market(name).book().ids(None, MAX_IDS_PER_PAGE);
    Told {
        ids: ids.into_iter().map(|(kind, id)| (kind.number(), id)).collect(),
        listings: series.iter().map(line).collect(),
    }
}

fn wait_for_one_book(world: &mut World, of: &[&str], series: &[SeriesId]) {
    world.run_until("one book", HEALING, |world| {
        let first = told(world, of[0], series);
        of.iter().all(|name| told(world, name, series) == first)
    });
}

/// Registers a service's record; returns it.
fn register(world: &mut World, name: &str, previous: Option<&Signed<ServiceRecord>>) -> Signed<ServiceRecord> {
    let key = SigningKey::from_bytes(&[77; 32]);
    let revision = previous.map_or(1, |record| record.body().revision + 1);
    let record = ServiceRecord {
        service: ServiceKey::of(&key),
        repository: "https://example.org/s.git".parse().unwrap(),
        commit: format!("{revision:02}").repeat(20).parse().unwrap(),
        path: "services/echo".parse().unwrap(),
        interface_hash: InterfaceHash::from_bytes([2; 32]),
        title: "Echo".into(),
        revision,
        previous: previous.map(Signed::id),
    };
    let signed = Signed::sign(record, &world.ledger().network(), &key).unwrap();
    world.command(name, Command::Register(signed.packed().bytes().to_vec())).unwrap();
    signed
}

/// Has somebody hear a second revision of a series whose own node is gone; returns it.
fn revise(world: &mut World, first: &Offering, series: SeriesId, title: &str, way: (&str, &str)) -> Signed<Offering> {
    let second = Offering { series: Some(series), revision: 2, title: title.to_owned(), ..first.clone() };
    let key = world.keys("eve").account.clone().unwrap();
    let signed = Signed::sign(second, &world.ledger().network(), &key).unwrap();
    world.pass_on(way.0, way.1, Kind::Offering, signed.packed().bytes().to_vec());
    signed
}

/// What happened before the network fell apart, and in each part.
struct Happened {
    series: Vec<SeriesId>,
    withdrawn: SeriesId,
    contested: SeriesId,
    revisions: [Signed<Offering>; 2],
    outdated: SeriesId,
    record: Signed<ServiceRecord>,
}

fn trade_apart(world: &mut World) -> Happened {
    for name in ["ann", "ben", "cyn", "dan", "eve"] {
        world.add_node(name, Stroops::whole(1_000));
    }
    world.add_bootstrap("west");
    world.add_bootstrap("east");
    let record = register(world, "ann", None);
    let named = world.publish("ann", OfferingDraft { service: Some(record.body().reference()), ..draft() });
    let (shop, closing) = (world.publish("cyn", draft()), world.publish("dan", draft()));
    let contested = world.publish("eve", draft());
    let before: [Published; 4] = [named, shop, closing, contested];
    for name in all() {
        before.iter().for_each(|published| world.see(name, published.series));
    }
    let first = world.listing("ann", contested.series).unwrap().offering.body().clone();
    world.kill("eve");
    world.divide(&[&WEST, &EAST]);

    let record = register(world, "ann", Some(&record));
    let of_ben = world.publish("ben", draft());
    let louder = revise(world, &first, contested.series, "Echo, louder", ("ben", "ann"));

    let of_dan = world.publish("dan", draft());
    world.command("dan", Command::Withdraw(closing.series)).unwrap();
    world.bind("dan", shop.offering, 1).unwrap();
    let softer = revise(world, &first, contested.series, "Echo, softer", ("dan", "cyn"));
    world.run_for(APART);

    let series = before.iter().chain([&of_ben, &of_dan]).map(|published| published.series).collect();
    let revisions = [louder, softer];
    let (withdrawn, contested, outdated) = (closing.series, contested.series, named.series);
    Happened { series, withdrawn, contested, revisions, outdated, record }
}

/// That what happened in either part is what all of them say.
fn check_everywhere(world: &World, happened: &Happened) {
    let [louder, softer] = &happened.revisions;
    let hash = |revision: &Signed<Offering>| {
        let bytes = revision.packed().bytes();
        keccak(&[&bytes[..bytes.len() - 64]])
    };
    let rules = if hash(louder) < hash(softer) { louder.id() } else { softer.id() };
    for name in all() {
        let listing = |series: SeriesId| world.listing(name, series).unwrap();
        assert!(listing(happened.withdrawn).withdrawn, "{name}: what was withdrawn stays so");
        let contested = listing(happened.contested);
        assert_eq!((contested.id, contested.conflicting), (rules, true), "{name}: one of two revisions, and said so");
        assert!(listing(happened.outdated).outdated, "{name}: it is on a service's old commit");
        let record = world.market(name).book().record(&happened.record.body().service).unwrap();
        assert_eq!(record.id(), happened.record.id(), "{name}");
        for series in &happened.series[4..] {
            assert!(listing(*series).live && listing(*series).bonded, "{name}: what was published apart is live");
        }
    }
}

#[test]
fn two_parts_that_traded_on_apart_end_with_the_same_book() {
    for seed in 901..=904 {
        let mut world = World::new(seed);
        let happened = trade_apart(&mut world);
        let series = &happened.series;
        for part in [WEST, EAST] {
            wait_for_one_book(&mut world, &part, series);
        }
        assert_ne!(
            told(&world, "ann", series),
            told(&world, "cyn", series),
            "seed {seed}: they know nothing of each other"
        );

        world.divide(&[]);
        wait_for_one_book(&mut world, &all().collect::<Vec<_>>(), series);
        check_everywhere(&world, &happened);
        // And it stays so, whatever of before is still on its way.
        world.run_for(HEALING);
        wait_for_one_book(&mut world, &all().collect::<Vec<_>>(), series);
        check_everywhere(&world, &happened);
        assert!(world.misbehaved().is_empty(), "seed {seed}: {:?}", world.misbehaved());
    }
}
