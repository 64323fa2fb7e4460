//! Under `arbitrated` an issued asset is held by a controller with a trustline, whatever its issuer may do.

use core::time::Duration;

use tradepost_protocol::amount::{Price, Stroops, Unit};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::binding::phase::Phase;
use tradepost_protocol::binding::precheck::PrecheckFailure;
use tradepost_protocol::escrow::outcome::EscrowState;
use tradepost_protocol::market::command::{Command, CommandError, OfferingDraft};
use tradepost_protocol::message::MessageId;
use tradepost_protocol::stellar::entry::{AUTH_CLAWBACK_ENABLED, AUTH_REQUIRED, AUTH_REVOCABLE};
use tradepost_tests::world::{ARBITERS, Bound, World, arbiters_draft, arbitrated_draft, keys_of};

const COIN: i64 = 10_000_000;

/// A binding of two calls for four hours of somebody's help, with one arbiter who takes an hour for an award.
fn active(seed: u64, issuer_may: u32) -> (World, Bound, Asset) {
    let (mut world, offering, asset) = market(seed, issuer_may);
    let bound = world.bind_arbitrated("consumer", offering, 2, false).unwrap();
    world.wait_phase("consumer", bound.request, Phase::Active);
    (world, bound, asset)
}

/// What it is bound of, its issuer having these flags.
fn market(seed: u64, issuer_may: u32) -> (World, MessageId, Asset) {
    let mut world = World::new(seed);
    let asset = world.ledger().issued_asset();
    world.add_node("ruth", Stroops::whole(100));
    world.add_node("provider", Stroops::whole(100));
    // A submitter has no trustline, so what is settled in an issued asset doesn't go through it.
    world.allow_submitters("provider", 1);
    world.kill("provider");
    world.start("provider");
    world.add_buyer("consumer", Stroops::whole(100), &ARBITERS[..1]);
    if issuer_may != 0 {
        world.let_issuer(issuer_may);
    }
    for name in ["ruth", "provider", "consumer"] {
        let key = keys_of(world.seed(), name).account.unwrap();
        world.endow(&key, Stroops::whole(100));
    }
    let arbiter = world.publish("ruth", arbiters_draft(asset.clone(), Stroops::whole(1)));
    world.see("provider", arbiter.series);
    world.see("consumer", arbiter.series);
    let ruth = world.account("ruth");
    let price = Price { asset: asset.clone(), amount: Stroops::whole(2), unit: Unit::Call };
    let published = world.publish("provider", OfferingDraft { price, ..arbitrated_draft(vec![ruth]) });
    world.see("consumer", published.series);
    (world, published.offering, asset)
}

fn wait_escrow(world: &mut World, name: &str, state: &EscrowState) {
    let what = format!("{state:?} at {name}");
    world.run_until(&what, Duration::from_secs(150), |world| world.trade(name).escrow() == state);
}

fn holds(world: &mut World, name: &str, asset: &Asset) -> i64 {
    let key = (world.account(name), asset.clone());
    world.ledger().holdings(std::slice::from_ref(&key)).get(&key).copied().unwrap_or_default()
}

fn run_to_the_end(world: &mut World) {
    world.run_to_deadline("consumer", "T");
    world.run_until("the leftovers to be gone", Duration::from_secs(60), |world| {
        ["consumer", "provider"].iter().all(|name| !world.trade(name).has_leftovers())
    });
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.reserves("consumer"), 2 + 1, "its trustline alone");
}

#[test]
fn an_issued_asset_is_settled_split_and_its_controller_comes_back() {
    let (mut world, bound, asset) = active(1, 0);
    world.called("consumer", bound.binding, true);
    assert_eq!(world.command("consumer", Command::Unbind(bound.request)).map(drop), Ok(()));
    for name in ["provider", "consumer"] {
        wait_escrow(&mut world, name, &EscrowState::Paid);
    }
    run_to_the_end(&mut world);
    assert_eq!(holds(&mut world, "provider", &asset), 104 * COIN);
    assert_eq!(holds(&mut world, "consumer", &asset), 96 * COIN);
    assert_eq!(world.gain("consumer"), 0, "no coin but fees");

    let (mut world, bound, asset) = active(2, 0);
    world.set_connected("consumer", false);
    world.wait_phase("provider", bound.request, Phase::Delivered);
    world.set_connected("consumer", true);
    world.award("ruth", bound.binding, Stroops::whole(2));
    let half = Stroops::new(15_000_000).unwrap();
    for name in ["provider", "consumer"] {
        wait_escrow(&mut world, name, &EscrowState::Split { recipient: half, consumer: half });
    }
    run_to_the_end(&mut world);
    let all = ["provider", "consumer", "ruth"].map(|name| holds(&mut world, name, &asset));
    assert_eq!(all, [101 * COIN + COIN / 2, 97 * COIN + COIN / 2, 101 * COIN]);
}

#[test]
fn who_cannot_hold_an_asset_agrees_to_settle_nothing_in_it_for_its_recipient() {
    let mut world = World::new(4);
    let asset = world.ledger().issued_asset();
    for name in ["ruth", "payee", "provider"] {
        world.add_node(name, Stroops::whole(100));
    }
    world.add_buyer("consumer", Stroops::whole(100), &ARBITERS[..1]);
    for name in ["ruth", "payee", "consumer"] {
        let key = keys_of(world.seed(), name).account.unwrap();
        world.endow(&key, Stroops::whole(100));
    }
    let arbiter = world.publish("ruth", arbiters_draft(asset.clone(), Stroops::whole(1)));
    world.see("provider", arbiter.series);
    world.see("consumer", arbiter.series);
    let (ruth, payee) = (world.account("ruth"), world.account("payee"));
    let price = Price { asset, amount: Stroops::whole(2), unit: Unit::Call };
    let draft = OfferingDraft { price, recipient: Some(payee), ..arbitrated_draft(vec![ruth]) };
    let published = world.publish("provider", draft);
    world.see("consumer", published.series);
    let refused = world.bind_arbitrated("consumer", published.offering, 2, false).unwrap_err().to_string();
    assert!(refused.contains("no trustline"), "{refused}");
    let key = keys_of(world.seed(), "provider").account.unwrap();
    world.endow(&key, Stroops::whole(1));
    let bound = world.bind_arbitrated("consumer", published.offering, 2, false).unwrap();
    world.wait_phase("consumer", bound.request, Phase::Active);
    world.called("consumer", bound.binding, true);
    world.command("consumer", Command::Unbind(bound.request)).unwrap();
    wait_escrow(&mut world, "provider", &EscrowState::Paid);
    let asset = world.ledger().issued_asset();
    assert_eq!(["payee", "provider"].map(|name| holds(&mut world, name, &asset)), [104 * COIN, COIN]);
}

#[test]
fn what_an_issuer_may_claw_back_is_held_too_and_a_clawback_is_seen_for_what_it_is() {
    let (mut world, bound, asset) = active(3, AUTH_REVOCABLE | AUTH_CLAWBACK_ENABLED);
    assert!(world.trade("provider").state.clawback && world.trade("consumer").state.clawback);
    let balance = world.trade("consumer").state.balance.unwrap();
    world.claw_back(balance);
    for name in ["provider", "consumer"] {
        wait_escrow(&mut world, name, &EscrowState::ClawedBack);
        assert_eq!(world.phase(name, bound.request), Phase::Closed);
    }
    run_to_the_end(&mut world);
    assert_eq!([100, 96].map(|hours| hours * COIN), ["provider", "consumer"].map(|n| holds(&mut world, n, &asset)));
}

#[test]
fn what_an_issuer_freezes_is_paid_to_nobody_before_t_and_the_beneficiary_has_it_then() {
    for whose in ["the controller", "the recipient"] {
        let (mut world, bound, asset) = active(4, AUTH_REVOCABLE);
        let controller = world.trade("consumer").state.controller.unwrap().account;
        let frozen = if whose == "the controller" { controller } else { world.account("provider") };
        world.freeze(frozen);
        // Both agree that the provider is paid, and it can't be.
        world.called("consumer", bound.binding, true);
        assert_eq!(world.command("consumer", Command::Unbind(bound.request)).map(drop), Ok(()));
        world.run_to_deadline("consumer", "T");
        assert_eq!(*world.trade("consumer").escrow(), EscrowState::Locked, "{whose}");
        for name in ["consumer", "provider"] {
            wait_escrow(&mut world, name, &EscrowState::Refunded);
        }
        run_to_the_end(&mut world);
        assert_eq!(holds(&mut world, "consumer", &asset), 100 * COIN, "{whose}");
        assert_eq!(holds(&mut world, "provider", &asset), 100 * COIN, "{whose}");
        assert_eq!(world.gain("consumer"), 0, "no coin but fees");
        // What it tried cost no more than a coin in all.
        assert!(world.fees("provider") < COIN, "{whose}: {}", world.fees("provider"));
    }
}

#[test]
fn where_an_issuer_must_allow_each_holder_nothing_is_locked_under_arbitrated() {
    let (mut world, offering, _) = market(5, 0);
    world.let_issuer(AUTH_REQUIRED);
    let before = world.funds("consumer");
    let refused = world.bind_arbitrated("consumer", offering, 2, false).map(drop);
    let cannot = matches!(refused, Err(CommandError::Precheck(PrecheckFailure::ControllerCannotHold { .. })));
    assert!(cannot, "{refused:?}");
    world.run_for(Duration::from_secs(5));
    assert_eq!((world.funds("consumer"), world.market("provider").trades().count()), (before, 0));
}
