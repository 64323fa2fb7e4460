//! Nodes are killed, cut off and started again at random, while bindings come and go: every escrow still ends once, and
//! in the hands of whom the session's end says.

use core::time::Duration;
use std::collections::BTreeMap;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::binding::phase::Phase;
use tradepost_protocol::binding::session::Session;
use tradepost_protocol::binding::trade::Trade;
use tradepost_protocol::escrow::outcome::EscrowState;
use tradepost_protocol::market::command::{Command, EscrowWish};
use tradepost_protocol::message::MessageId;
use tradepost_tests::world::{Published, Script, World, draft};

const NODES: [&str; 3] = ["provider", "consumer", "second"];
const BOND: i64 = 40_000_000;
/// How many things go wrong in one world.
const TROUBLES: usize = 24;

/// One world's troubles, from its seed.
fn live_through(seed: u64) -> World {
    let mut dice = ChaCha20Rng::seed_from_u64(seed);
    let mut world = World::new(seed);
    for name in NODES {
        world.add_node(name, Stroops::whole(1_000));
    }
    let published = world.publish("provider", draft());
    for name in &NODES[1..] {
        world.see(name, published.series);
    }
    for _ in 0..TROUBLES {
        let roll = dice.next_u64();
        let name = NODES[(roll >> 8) as usize % NODES.len()];
        something_happens(&mut world, roll % 10, name, &published);
        world.run_for(Duration::from_millis(200 + dice.next_u64() % 5_000));
    }
    for name in NODES {
        if !world.is_up(name) {
            world.start(name);
        }
        world.set_connected(name, true);
    }
    world.run_for(Duration::from_secs(120));
    world
}

fn something_happens(world: &mut World, what: u64, name: &str, published: &Published) {
    match what {
        0 if world.is_up(name) => world.kill(name),
        1 => world.set_connected(name, false),
        2 => world.set_connected(name, true),
        3 => world.set_script("provider", Script::Silent),
        4 => world.set_script("provider", Script::default()),
        5 if world.is_up(name) => {
            let open = world.market(name).trades().find(|t| !t.phase().is_final()).map(Trade::request_id);
            if let Some(request) = open {
                world.give(name, Command::Unbind(request));
            }
        }
        6..=9 if name != "provider" && world.is_up(name) => {
            world.give(
                name,
                Command::Bind { offering: published.offering, units: 3, wish: EscrowWish::default(), dry_run: false },
            );
        }
        _ if !world.is_up(name) => world.start(name),
        _ => {}
    }
}

/// Where the bindings of a node ended.
fn ends(world: &World, name: &str) -> BTreeMap<MessageId, (Phase, EscrowState, Session)> {
    let trades = world.market(name).trades();
    trades.map(|t| (t.request_id(), (t.phase(), t.escrow().clone(), t.state.session))).collect()
}

fn check(seed: u64) -> usize {
    let mut world = live_through(seed);
    assert_eq!(world.unanswered(), [], "seed {seed}: whoever gave a command is told what came of it");
    let provided = ends(&world, "provider");
    let mut paid = 0;
    for (request, (phase, escrow, session)) in &provided {
        assert!(phase.is_final(), "seed {seed}: the provider is left {phase} with {request}");
        if *escrow == EscrowState::Paid {
            paid += 1;
            let end = session.end().unwrap_or_else(|| panic!("seed {seed}: paid for {request} that never ended"));
            assert!(end.earned(), "seed {seed}: paid for {request}, {}", end.as_str());
        }
    }
    for name in &NODES[1..] {
        for (request, (phase, escrow, _)) in ends(&world, name) {
            assert!(phase.is_final(), "seed {seed}: {name} is left {phase} with {request}");
            let Some((_, provided, _)) = provided.get(&request) else { continue };
            let known = |e: &EscrowState| matches!(e, EscrowState::Paid | EscrowState::Refunded);
            if known(&escrow) && known(provided) {
                assert_eq!(&escrow, provided, "seed {seed}: {request} at {name}");
            }
        }
    }
    assert!(world.processes("provider").is_empty(), "seed {seed}: a service is left");
    assert_eq!(world.ledger().standing().len(), 1, "seed {seed}: the bond alone is still locked");
    let gained = world.gain("provider") + BOND;
    let lost: i64 = NODES[1..].iter().map(|n| -world.gain(n)).sum();
    assert_eq!(gained, lost, "seed {seed}");
    assert_eq!(gained, paid * 60_000_000, "seed {seed}: what was paid is what the provider says");
    provided.len()
}

#[test]
fn whatever_is_killed_or_cut_off_every_escrow_ends_once_and_as_its_session_did() {
    let bindings: usize = (1_000..1_040).map(check).sum();
    assert!(bindings > 60, "only {bindings} bindings came about");
}
