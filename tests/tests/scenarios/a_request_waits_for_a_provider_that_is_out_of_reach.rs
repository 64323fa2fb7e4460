//! A consumer asks by gossip while the provider can't be reached, and the trade goes on once it can.

use core::time::Duration;

use ed25519_dalek::SigningKey;
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::binding::phase::Phase;
use tradepost_protocol::kind::Kind;
use tradepost_protocol::market::command::{Answer, Command, CommandError, EscrowWish};
use tradepost_protocol::message::{MessageId, Signed};
use tradepost_protocol::refusal::Reason;
use tradepost_tests::world::{CrashPlan, Moment, Published, World, draft};

/// How long the request stands.
const LIFE: Duration = Duration::from_secs(600);
/// Within which a provider that is back has found it.
const FOUND: Duration = Duration::from_secs(90);

/// A provider with an offering, a consumer that sees it, and a node that is always there.
fn market(seed: u64, consumer: Option<CrashPlan>) -> (World, Published) {
    let mut world = World::new(seed);
    world.add_bootstrap("bootstrap");
    world.add_node("provider", Stroops::whole(100));
    match consumer {
        Some(plan) => world.add_crashing_node("consumer", Stroops::whole(100), plan),
        None => world.add_node("consumer", Stroops::whole(100)),
    }
    let published = world.publish("provider", draft());
    for name in ["bootstrap", "consumer"] {
        world.run_until("the offering", FOUND, |world| {
            world.is_up(name) && world.listing(name, published.series).is_some_and(|l| l.bonded)
        });
    }
    (world, published)
}

fn ask(world: &mut World, offering: MessageId, units: u64) -> MessageId {
    let wish = EscrowWish::default();
    let command = Command::PublishRequest { offering, units, wish, life: LIFE, dry_run: false };
    match world.command("consumer", command) {
        Ok(Answer::Requested { request, .. }) => request,
        other => panic!("publishing led to {other:?}"),
    }
}

/// A request that the other nodes know, and that waits for its provider.
fn ask_out_of_reach(world: &mut World, published: &Published, units: u64) -> MessageId {
    world.kill("provider");
    let request = ask(world, published.offering, units);
    world.run_until("the request at the bootstrap node", FOUND, |world| knows(world, "bootstrap", request));
    request
}

fn knows(world: &World, name: &str, request: MessageId) -> bool {
    world.market(name).book().request(&request).is_some()
}

#[test]
fn a_provider_that_was_down_finds_the_request_when_it_is_back_and_is_paid_to_the_stroop() {
    let (mut world, published) = market(41, None);
    let bond = world.ledger().balance(published.bond).unwrap().amount.get();
    world.kill("provider");
    let refused = world.bind("consumer", published.offering, 3).unwrap_err();
    assert_eq!(refused.code(), "provider-unreachable");
    let request = ask(&mut world, published.offering, 3);
    world.run_for(Duration::from_secs(20));
    assert_eq!(world.phase("consumer", request), Phase::Requested);
    assert_eq!((world.gain("consumer"), world.fees("consumer")), (0, 0), "asking costs nothing");

    world.start("provider");
    world.wait_phase("consumer", request, Phase::Active);
    world.wait_phase("provider", request, Phase::Active);
    world.command("consumer", Command::Unbind(request)).unwrap();
    world.wait_phase("provider", request, Phase::Closed);
    world.wait_phase("consumer", request, Phase::Closed);
    assert_eq!((world.gain("provider"), world.gain("consumer")), (60_000_000 - bond, -60_000_000));
    assert_eq!(world.fees("consumer"), 100, "one funding");
}

#[test]
fn a_consumer_that_is_away_when_its_request_is_found_is_sought_until_it_is_back() {
    let (mut world, published) = market(42, None);
    let request = ask_out_of_reach(&mut world, &published, 1);
    world.kill("consumer");
    world.start("provider");
    world.run_until("the request at the provider", FOUND, |world| knows(world, "provider", request));
    world.run_for(Duration::from_secs(20));
    assert!(world.market("provider").trade(request.as_bytes()).is_none(), "no agreement, and no place held, meanwhile");
    world.start("consumer");
    world.run_until("the agreement", FOUND, |world| world.market("provider").trade(request.as_bytes()).is_some());
    world.run_until("the session", FOUND, |world| world.phase("consumer", request) == Phase::Active);
}

#[test]
fn a_request_that_was_taken_back_stays_so_at_a_provider_that_finds_it_later() {
    let (mut world, published) = market(43, None);
    let request = ask_out_of_reach(&mut world, &published, 1);
    assert_eq!(world.command("consumer", Command::CancelRequest(request)), Ok(Answer::Unbound));
    let again = world.command("consumer", Command::CancelRequest(request));
    assert!(matches!(again, Err(CommandError::NotNow(_))), "{again:?}");
    world.run_until("the cancellation at the bootstrap node", FOUND, |world| {
        world.market("bootstrap").book().request(&request).is_some_and(|r| r.cancel.is_some())
    });
    world.start("provider");
    world.run_until("both at the provider", FOUND, |world| {
        world.market("provider").book().request(&request).is_some_and(|r| r.cancel.is_some())
    });
    world.run_for(Duration::from_secs(30));
    assert!(world.market("provider").trade(request.as_bytes()).is_none());
    assert_eq!((world.gain("consumer"), world.fees("consumer")), (0, 0));
}

#[test]
fn what_a_request_may_cost_is_not_spent_otherwise() {
    let (mut world, published) = market(44, None);
    let request = ask_out_of_reach(&mut world, &published, 30);
    let to = world.account("provider");
    let pay = Command::Pay { to, asset: Asset::Native, amount: Stroops::whole(60), memo: None, dry_run: false };
    let refused = world.command("consumer", pay.clone()).unwrap_err();
    assert_eq!(refused.code(), "wallet-short");
    world.command("consumer", Command::CancelRequest(request)).unwrap();
    assert!(world.command("consumer", pay).is_ok(), "taken back, it binds no money any more");
}

#[test]
fn a_request_without_the_money_behind_it_gets_into_no_book() {
    let (mut world, published) = market(45, None);
    let request = ask_out_of_reach(&mut world, &published, 1);
    let mut body = world.trade("consumer").request.body().clone();
    let nobody = SigningKey::from_bytes(&[9; 32]);
    body.account = AccountId::of(&nobody);
    let forged = Signed::sign(body, &world.ledger().network(), &nobody).unwrap();
    world.pass_on("consumer", "bootstrap", Kind::BindingRequest, forged.packed().bytes().to_vec());
    let refused = |world: &World| world.market("bootstrap").book().refused().get(&Reason::ConsumerAccount).copied();
    world.run_until("the look at the ledger", FOUND, |world| refused(world) == Some(1));
    assert!(!knows(&world, "bootstrap", forged.id()) && knows(&world, "bootstrap", request));
}

#[test]
fn whatever_commit_is_the_consumers_last_it_pays_once_or_not_at_all() {
    for moment in [Moment::BeforeEffects, Moment::AfterEffects] {
        for first in [2, 4, 5, 6, 8] {
            let plan = CrashPlan { first, every: 1_000, moment, down: vec![Duration::from_secs(2)] };
            let (mut world, published) = market(100 + first, Some(plan));
            world.kill("provider");
            world.run_until("the consumer", FOUND, |world| world.is_up("consumer"));
            world.give(
                "consumer",
                Command::PublishRequest {
                    offering: published.offering,
                    units: 2,
                    wish: EscrowWish::default(),
                    life: Duration::from_secs(60),
                    dry_run: false,
                },
            );
            world.run_for(Duration::from_secs(5));
            world.start("provider");
            world.run_for(Duration::from_secs(110));
            let trades: Vec<(Phase, Option<Phase>)> = world
                .market("consumer")
                .trades()
                .map(|t| (t.phase(), world.market("provider").trade(t.request_id().as_bytes()).map(|p| p.phase())))
                .collect();
            let settled = world.gain("consumer") == -40_000_000 || world.gain("consumer") == 0;
            assert!(trades.len() <= 1 && settled, "commit {first}, {moment:?}: {trades:?}");
            assert!(trades.iter().all(|(phase, _)| phase.is_final()), "commit {first}, {moment:?}: {trades:?}");
        }
    }
}
