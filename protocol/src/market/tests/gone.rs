//! Where silence pays the provider: what a consumer's node does by itself about a provider that says that it was gone, and about
//! one that agrees and then signs nothing.

use core::time::Duration;

use super::disputes::{bound, funding, run_to};
use super::pair::{CONSUMER, PROVIDER, Pair};
use super::seen::{active, calls, says};
use crate::amount::Stroops;
use crate::binding::dispute::{Opening, Split};
use crate::binding::phase::Side;
use crate::binding::session::{End, Session};
use crate::escrow::outcome::EscrowState;
use crate::kind::Kind;
use crate::market::command::Command;
use crate::market::event::Event;

const AMOUNT: Stroops = Stroops::whole(10);
const GONE: Session = Session::Ended(End::ConsumerGone);

fn to_provider(coins: u32) -> Split {
    Split::of(AMOUNT, Stroops::whole(coins)).unwrap()
}

fn claims(pair: &Pair) -> Option<Split> {
    pair.nodes[CONSUMER].market.claims(pair.only(CONSUMER))
}

/// What the consumer's side asked the arbiters for first, and who did.
fn asked(pair: &Pair) -> Option<(Side, Split)> {
    let record = pair.only(CONSUMER).state.dispute.as_ref().unwrap();
    record.opening().map(|Opening { by, claim, .. }| (*by, *claim))
}

#[test]
fn a_provider_that_says_that_its_consumer_was_gone_is_paid_for_what_that_one_saw_where_it_was_there() {
    for used in [0, 3] {
        let (mut pair, _) = active(true);
        calls(&mut pair, used, 0);
        pair.kill(PROVIDER);
        says(&mut pair, End::ConsumerGone);
        assert_eq!(pair.only(CONSUMER).state.session, GONE);
        assert_eq!(claims(&pair), Some(to_provider(used as u32)));
        // That survives a restart.
        pair.kill(CONSUMER);
        pair.restart(CONSUMER);
        run_to(&mut pair, "dispute_by", 2);
        assert_eq!(asked(&pair), Some((Side::Consumer, to_provider(used as u32))));
        let shown: Vec<_> =
            pair.nodes[CONSUMER].market.evidence(pair.only(CONSUMER).binding().unwrap(), Side::Consumer).collect();
        assert!(shown[0].text.contains("it was there when the other side said that it was gone"), "{}", shown[0].text);
    }
}

#[test]
fn a_provider_that_never_serves_and_says_that_its_consumer_was_gone_as_soon_as_it_started_is_not_paid() {
    let mut pair = funding(true);
    // No heartbeat comes through from then on.
    pair.lose.extend([(PROVIDER, Kind::Ping), (CONSUMER, Kind::Ping)]);
    while pair.only(CONSUMER).state.session != Session::Active {
        pair.run(1);
    }
    pair.kill(PROVIDER);
    says(&mut pair, End::ConsumerGone);
    assert_eq!(pair.only(CONSUMER).state.session, GONE);
    run_to(&mut pair, "dispute_by", 2);
    assert_eq!(asked(&pair), Some((Side::Consumer, Split::all_to(Side::Consumer, AMOUNT))));
}

#[test]
fn a_consumers_node_that_was_started_or_slept_meanwhile_cannot_tell_and_leaves_it_to_its_owner() {
    let (mut restarted, _) = active(true);
    restarted.kill(PROVIDER);
    restarted.kill(CONSUMER);
    restarted.restart(CONSUMER);
    says(&mut restarted, End::ConsumerGone);
    let (mut asleep, _) = active(true);
    asleep.kill(PROVIDER);
    asleep.now = asleep.now.plus(asleep.nodes[CONSUMER].setup.margins.grace + Duration::from_secs(1));
    asleep.event(CONSUMER, Event::Tick);
    says(&mut asleep, End::ConsumerGone);
    for mut pair in [restarted, asleep] {
        assert_eq!((pair.only(CONSUMER).state.session, claims(&pair)), (GONE, None));
        run_to(&mut pair, "award_by", 0);
        assert_eq!(asked(&pair), None);
    }
}

#[test]
fn what_an_owner_signed_for_its_node_asks_the_arbiters_for_where_nobody_settles_it() {
    for agreed in [true, false] {
        let (mut pair, request) = bound(1, true, [End::UnitsUsed, End::ConsumerGone]);
        let half = Some(Stroops::whole(5));
        pair.lose.extend([(PROVIDER, Kind::Cosign), (CONSUMER, Kind::Cosign)]);
        pair.command(CONSUMER, Command::Release { request, to_provider: half });
        if agreed {
            pair.command(PROVIDER, Command::Release { request, to_provider: half });
        }
        let record = pair.only(CONSUMER).state.dispute.as_ref().unwrap();
        assert_eq!((record.settles().map(|s| s.split), claims(&pair)), (agreed.then_some(to_provider(5)), None));
        pair.kill(PROVIDER);
        run_to(&mut pair, "dispute_by", 2);
        assert_eq!(
            (asked(&pair), pair.only(CONSUMER).escrow()),
            (Some((Side::Consumer, to_provider(5))), &EscrowState::Locked)
        );
    }
}
