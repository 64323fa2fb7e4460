//! One account has one sequence of transactions; whatever is asked of it at once is done, each thing once.

use core::time::Duration;
use std::collections::BTreeSet;

use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::binding::phase::Phase;
use tradepost_protocol::binding::precheck::PrecheckFailure;
use tradepost_protocol::market::command::{Answer, Command, CommandError, EscrowWish};
use tradepost_tests::world::{World, draft};

fn pay(world: &World, to: &str, coins: u32, dry_run: bool) -> Command {
    Command::Pay { to: world.account(to), asset: Asset::Native, amount: Stroops::whole(coins), memo: None, dry_run }
}

#[test]
fn payments_offerings_and_bindings_at_once_are_each_done_once() {
    let (mut world, published) = World::with_offering(61);
    let commands = [
        pay(&world, "provider", 1, false),
        pay(&world, "provider", 2, false),
        Command::Publish(Box::new(draft())),
        Command::Bind { offering: published.offering, units: 1, wish: EscrowWish::default(), dry_run: false },
        Command::Publish(Box::new(draft())),
        pay(&world, "provider", 4, false),
    ];
    let ids: Vec<_> = commands.into_iter().map(|command| world.give("consumer", command)).collect();
    world.run_until("all answers", Duration::from_secs(60), |world| world.unanswered().is_empty());
    let answers: Vec<Answer> = ids.iter().map(|id| world.answer(*id).unwrap().clone().unwrap()).collect();
    let hashes: BTreeSet<_> = answers
        .iter()
        .map(|answer| match answer {
            Answer::Paid(hash) => *hash,
            Answer::Published { transaction, .. } => *transaction,
            Answer::Bound { transaction, .. } => transaction.unwrap(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(hashes.len(), 6, "a transaction each");
    world.run_until("the funding", Duration::from_secs(10), |world| {
        hashes.iter().all(|hash| world.ledger().included().contains(hash))
    });
    // Bonds of 4 coins each, payments of 7, an escrow of 2.
    assert_eq!(world.gain("consumer"), -(80_000_000 + 70_000_000 + 20_000_000));
    assert_eq!(world.fees("consumer"), 600);
    assert_eq!(world.gain("provider"), 70_000_000 - 40_000_000);
    let request = world.trade("consumer").request_id();
    world.wait_phase("consumer", request, Phase::Active);
}

#[test]
fn a_dry_run_pays_nothing_and_a_payment_above_what_is_free_is_refused_with_the_figure() {
    let (mut world, _) = World::with_offering(62);
    let answer = world.command("consumer", pay(&world, "provider", 90, true)).unwrap();
    let Answer::Cost(cost) = answer else { panic!("{answer:?}") };
    assert_eq!((cost.amount, cost.reserve), (Stroops::whole(90), Stroops::ZERO));
    // 100 coins, of which one is the account's reserve.
    let refused = world.command("consumer", pay(&world, "provider", 99, false)).unwrap_err();
    let CommandError::Precheck(PrecheckFailure::WalletShort { missing, .. }) = refused else { panic!("{refused}") };
    assert_eq!(missing.get(), 1_000, "the most that the fee may be");
    world.run_for(Duration::from_secs(3));
    assert_eq!((world.gain("consumer"), world.fees("consumer")), (0, 0));
}

#[test]
fn what_an_open_transaction_takes_is_not_spent_twice() {
    let (mut world, _) = World::with_offering(63);
    let ids = [60, 60].map(|coins| {
        let command = pay(&world, "provider", coins, false);
        world.give("consumer", command)
    });
    world.run_until("both answers", Duration::from_secs(60), |world| world.unanswered().is_empty());
    let paid = ids.iter().filter(|id| world.answer(**id).unwrap().is_ok()).count();
    assert_eq!(paid, 1);
    assert_eq!(world.gain("consumer"), -600_000_000);
}
