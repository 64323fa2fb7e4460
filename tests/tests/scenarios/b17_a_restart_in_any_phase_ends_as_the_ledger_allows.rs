//! Either node is killed in each phase, before or after what it decided was carried out, and started again.

use core::time::Duration;

use tradepost_protocol::binding::negotiation::Negotiation;
use tradepost_protocol::binding::phase::Phase;
use tradepost_protocol::binding::session::Session;
use tradepost_protocol::binding::trade::{Handed, Trade};
use tradepost_protocol::escrow::outcome::EscrowState;
use tradepost_protocol::market::command::{Command, EscrowWish};
use tradepost_tests::world::{Moment, World};

const AMOUNT: i64 = 60_000_000;
const BOND: i64 = 40_000_000;

/// Runs one trade in which a node is killed once its binding is somewhere, and is back after `down`.
fn killed_once(seed: u64, who: &'static str, moment: Moment, down: Duration, at: fn(&Trade) -> bool) -> World {
    let (mut world, published) = World::with_offering(seed);
    world.kill_when(who, moment, move |market| market.trades().any(at));
    let bind = Command::Bind { offering: published.offering, units: 3, wish: EscrowWish::default(), dry_run: false };
    world.give("consumer", bind);
    let killed = |world: &mut World| !world.is_up(who);
    let unbind_at = world.now().plus(Duration::from_secs(25));
    // Who is killed at the end has to be brought there: the consumer unbinds, unless it is the one that is down.
    let mut unbound = false;
    world.run_until("the kill", Duration::from_secs(120), |world| {
        if !unbound && world.now() >= unbind_at && world.is_up("consumer") {
            unbound = true;
            let request = world.market("consumer").trades().next().map(Trade::request_id);
            if let Some(request) = request {
                world.give("consumer", Command::Unbind(request));
            }
        }
        killed(world)
    });
    world.run_for(down);
    world.start(who);
    world
}

/// Lets a world run to its binding's end, with no command typed, and checks that nobody lost anything that the ledger
/// could have kept.
fn ends_well(world: &mut World, case: &str, away_at_t: Option<&str>) {
    world.run_for(Duration::from_secs(100));
    let consumer = world.market("consumer").trades().next().map(|t| (t.phase(), t.escrow().clone()));
    let provider = world.market("provider").trades().next().map(|t| (t.phase(), t.escrow().clone()));
    let (gained, lost) = (world.gain("provider") + BOND, -world.gain("consumer"));
    assert_eq!(gained, lost, "{case}: what one gained the other lost");
    assert!(world.processes("provider").is_empty(), "{case}: no service is left");
    assert_eq!(world.ledger().standing().len(), 1, "{case}: the bond alone is still locked");
    let escrow = match gained {
        0 => EscrowState::Refunded,
        AMOUNT => EscrowState::Paid,
        other => panic!("{case}: {other} stroops changed hands"),
    };
    for (name, end) in [("consumer", consumer), ("provider", provider)] {
        let Some((phase, found)) = end else { continue };
        assert!(phase.is_final(), "{case}: {name} is left {phase}");
        // Who saw it last before T and then missed T can't tell from the ledger's state who took it.
        let unseen = away_at_t == Some(name) && found == EscrowState::Unknown;
        if phase == Phase::Closed && !unseen {
            assert_eq!(found, escrow, "{case}: {name}");
        }
    }
    let funded = world.fees("consumer") > 0;
    assert!(funded || gained == 0, "{case}");
}

/// A phase's name, and whether a binding is in it.
type Case = (&'static str, fn(&Trade) -> bool);

const CASES: &[Case] = &[
    ("requested", |t| t.state.negotiation == Negotiation::Requested),
    ("agreed", |t| t.agreement.is_some() && *t.escrow() == EscrowState::None),
    ("funding signed", |t| *t.escrow() == EscrowState::Intended),
    ("locked", |t| *t.escrow() == EscrowState::Locked),
    ("active", |t| t.state.session == Session::Active),
    ("ended", |t| t.state.session.end().is_some() && *t.escrow() == EscrowState::Locked),
    ("settled", |t| t.escrow().is_over()),
];

fn every_phase(who: &'static str, down: Duration) {
    for (number, (name, at)) in CASES.iter().enumerate() {
        // A provider stores nothing before it agrees, a consumer signs the funding with the agreement's arrival.
        if (who, *name) == ("provider", "requested") || (who, *name) == ("consumer", "agreed") {
            continue;
        }
        for moment in [Moment::BeforeEffects, Moment::AfterEffects] {
            let case = format!("{who} killed when {name}, {moment:?}, down for {down:?}");
            let mut world = killed_once(170 + number as u64, who, moment, down, *at);
            ends_well(&mut world, &case, (down > Duration::from_secs(60)).then_some(who));
        }
    }
}

#[test]
fn b17_a_consumer_that_is_back_at_once_goes_on_in_every_phase() {
    every_phase("consumer", Duration::from_millis(700));
}

#[test]
fn b17_a_consumer_that_is_back_after_the_grace_time_goes_on_in_every_phase() {
    every_phase("consumer", Duration::from_secs(9));
}

#[test]
fn b17_a_provider_that_is_back_at_once_goes_on_in_every_phase() {
    every_phase("provider", Duration::from_millis(700));
}

#[test]
fn b17_a_provider_that_is_back_after_the_grace_time_goes_on_in_every_phase() {
    every_phase("provider", Duration::from_secs(9));
}

#[test]
fn b17_a_provider_that_is_back_only_after_t_goes_on_in_every_phase() {
    every_phase("provider", Duration::from_secs(75));
}

#[test]
fn b17_a_consumer_that_is_back_only_after_t_goes_on_in_every_phase() {
    every_phase("consumer", Duration::from_secs(75));
}

#[test]
fn a_provider_that_was_off_for_an_escrows_whole_life_does_not_say_that_nothing_was_funded() {
    let (mut world, published) = World::with_offering(177);
    world.give(
        "consumer",
        Command::Bind { offering: published.offering, units: 3, wish: EscrowWish::default(), dry_run: false },
    );
    world.run_until("the handed funding", Duration::from_secs(20), |world| {
        world.market("consumer").trades().any(|t| t.state.handed == Handed::Accepted)
    });
    assert_eq!(*world.trade("provider").escrow(), EscrowState::Intended, "the ledger doesn't show it yet");
    world.kill("provider");
    world.run_for(Duration::from_secs(75));
    assert_eq!(*world.trade("consumer").escrow(), EscrowState::Refunded);
    world.start("provider");
    world.run_until("the end at the provider", Duration::from_secs(20), |world| {
        world.trade("provider").phase().is_final()
    });
    let trade = world.trade("provider");
    assert_eq!((trade.phase(), trade.escrow()), (Phase::Closed, &EscrowState::Refunded), "found in the ledgers");
    let note = trade.state.note.as_ref().map_or("", |note| note.as_str());
    assert!(!note.contains("funded"), "{note}");
    ends_well(&mut world, "a provider that was off", Some("provider"));
}
