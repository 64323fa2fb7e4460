//! Trustlines, and payments to accounts that ask for a memo.

use super::pair::{CONSUMER, PROVIDER, Pair, net};
use crate::account::AccountId;
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::market::command::{Answer, Command, CommandError, TrustCost};
use crate::stellar::Memo;
use crate::stellar::entry::{AUTH_CLAWBACK_ENABLED, AUTH_REVOCABLE, DataState, Entry};
use crate::stellar::envelope::SignedTransaction;
use crate::stellar::memo::PaymentMemo;

type Answered = Option<Result<Answer, CommandError>>;

fn own(pair: &Pair, who: usize) -> AccountId {
    pair.nodes[who].setup.keys.account_id().unwrap()
}

fn run(pair: &mut Pair, command: Command) -> Answered {
    let command = pair.command(CONSUMER, command);
    pair.run(3);
    pair.nodes[CONSUMER].answers.remove(&command)
}

fn trust(asset: &Asset, limit: u32, dry_run: bool) -> Command {
    Command::Trust { asset: asset.clone(), limit: Stroops::whole(limit), dry_run }
}

fn not_now(answer: Answered) -> String {
    match answer {
        Some(Err(CommandError::NotNow(why))) => why,
        other => panic!("{other:?}"),
    }
}

/// A pair whose provider issues an asset that it may claw back.
fn issued() -> (Pair, Asset) {
    let mut pair = Pair::new(1);
    let issuer = own(&pair, PROVIDER);
    pair.ledger.accounts.get_mut(&issuer).unwrap().flags = AUTH_REVOCABLE | AUTH_CLAWBACK_ENABLED;
    (pair, Asset::issued("HEXA", issuer).unwrap())
}

#[test]
fn a_trustline_is_made_changed_and_removed_and_its_cost_told_before() {
    let (mut pair, hexa) = issued();
    let cost = |answer: Answered| match answer {
        Some(Ok(Answer::Trust(cost))) => cost,
        other => panic!("{other:?}"),
    };
    let first = cost(run(&mut pair, trust(&hexa, 5, true)));
    let TrustCost { before, reserve, must_authorize, may_revoke, may_claw_back, accepted, .. } = first;
    assert_eq!((before, reserve.get()), (None, 5_000_000));
    assert_eq!((must_authorize, may_revoke, may_claw_back, accepted), (false, true, true, false));
    assert!(pair.ledger.others.is_empty(), "a look changes nothing");

    for (limit, lines) in [(5, 1), (7, 1), (0, 0)] {
        let done = run(&mut pair, trust(&hexa, limit, false));
        assert!(matches!(done, Some(Ok(Answer::Trusted(_)))), "{done:?}");
        assert_eq!(pair.ledger.others.len(), lines);
        if limit == 5 {
            let more = cost(run(&mut pair, trust(&hexa, 7, true)));
            assert_eq!(more.before, Some(Stroops::whole(5)));
        }
    }
}

#[test]
fn a_trustline_that_can_not_be_is_refused_with_what_to_do() {
    let (mut pair, hexa) = issued();
    let own_asset = Asset::issued("MINE", own(&pair, CONSUMER)).unwrap();
    let nobodys = Asset::issued("HEXA", AccountId::from_bytes([9; 32])).unwrap();
    for (asset, limit, says) in [
        (Asset::Native, 1, "needs no trustline"),
        (own_asset, 1, "issues the asset itself"),
        (nobodys, 1, "doesn't exist on this ledger"),
        (hexa.clone(), 0, "none to remove"),
    ] {
        let why = not_now(run(&mut pair, trust(&asset, limit, false)));
        assert!(why.contains(says), "{why}");
    }
    run(&mut pair, trust(&hexa, 5, false));
    assert!(not_now(run(&mut pair, trust(&hexa, 5, false))).contains("already"));
    for entry in &mut pair.ledger.others {
        let Entry::Trustline(line) = entry else { continue };
        line.balance = Stroops::whole(3);
    }
    assert!(not_now(run(&mut pair, trust(&hexa, 0, false))).contains("pay that away"));
    assert!(not_now(run(&mut pair, trust(&hexa, 2, false))).contains("can't be lower"));
    assert!(matches!(run(&mut pair, trust(&hexa, 3, false)), Some(Ok(Answer::Trusted(_)))));
}

#[test]
fn a_trustlines_reserve_must_be_there_and_is_not_promised_twice() {
    let (mut pair, hexa) = issued();
    let account = own(&pair, CONSUMER);
    // Two reserves and a half, and a fee: enough for the one trustline, not for two.
    let enough = Stroops::new(10_000_000 + 5_000_000 + 100).unwrap();
    pair.ledger.accounts.get_mut(&account).unwrap().balance = enough;
    pair.run(1);
    let other = Asset::issued("HEXB", own(&pair, PROVIDER)).unwrap();
    let both = [&hexa, &other].map(|asset| pair.command(CONSUMER, trust(asset, 5, false)));
    pair.run(5);
    let answers = both.map(|id| pair.nodes[CONSUMER].answers[&id].clone());
    assert!(matches!(answers, [Ok(Answer::Trusted(_)), Err(CommandError::Precheck(_))]), "{answers:?}");
}

#[test]
fn an_account_that_asks_for_a_memo_is_paid_with_one_only() {
    let mut pair = Pair::new(1);
    let (to, me) = (own(&pair, PROVIDER), own(&pair, CONSUMER));
    let ask = |account| DataState { account, name: "config.memo_required".into(), value: b"1".to_vec() };
    pair.ledger.others = vec![Entry::Data(ask(to)), Entry::Data(ask(me))];
    let pay = |to, memo, dry_run| Command::Pay { to, asset: Asset::Native, amount: Stroops::whole(1), memo, dry_run };
    for dry_run in [true, false] {
        let refused = run(&mut pair, pay(to, None, dry_run));
        assert_eq!(refused, Some(Err(CommandError::MemoRequired(to))));
    }
    assert!(pair.ledger.included.is_empty());
    let long = PaymentMemo::Text("x".repeat(29));
    assert!(matches!(run(&mut pair, pay(to, Some(long), false)), Some(Err(CommandError::Memo(_)))));
    let paid = run(&mut pair, pay(to, Some(PaymentMemo::Id(42)), false));
    assert!(matches!(paid, Some(Ok(Answer::Paid(_)))), "{paid:?}");
    let (_, _, _, envelope) = &pair.ledger.included[0];
    assert_eq!(SignedTransaction::read(envelope, &net()).unwrap().memo(), &Memo::Id(42));
    let own = run(&mut pair, pay(me, None, false));
    assert!(matches!(own, Some(Ok(Answer::Paid(_)))), "one's own account knows from whom it comes: {own:?}");
}

#[test]
fn what_is_paid_back_to_its_issuer_needs_no_trustline_of_the_issuers() {
    let (mut pair, hexa) = issued();
    let issuer = own(&pair, PROVIDER);
    run(&mut pair, trust(&hexa, 5, false));
    let held = |entry: &mut Entry| match entry {
        Entry::Trustline(line) => line.balance = Stroops::whole(3),
        other => panic!("{other:?}"),
    };
    pair.ledger.others.iter_mut().for_each(held);
    let pay = |to| Command::Pay { to, asset: hexa.clone(), amount: Stroops::whole(3), memo: None, dry_run: true };
    let cost = run(&mut pair, pay(issuer));
    assert!(matches!(cost, Some(Ok(Answer::Cost(_)))), "{cost:?}");
    let stranger = AccountId::from_bytes([77; 32]);
    pair.ledger.accounts.insert(stranger, pair.ledger.accounts[&issuer].clone());
    pair.ledger.accounts.get_mut(&stranger).unwrap().id = stranger;
    let refused = run(&mut pair, pay(stranger));
    assert!(matches!(refused, Some(Err(CommandError::Precheck(_)))), "{refused:?}");
}

#[test]
fn an_issuer_pays_what_it_issues_without_a_trustline_of_its_own() {
    let mut pair = Pair::new(1);
    let (issuer, holder) = (own(&pair, CONSUMER), own(&pair, PROVIDER));
    let asset = Asset::issued("MINE", issuer).unwrap();
    let amount = Stroops::whole(1_000_000);
    let pay = |amount, dry_run| Command::Pay { to: holder, asset: asset.clone(), amount, memo: None, dry_run };
    let refused = run(&mut pair, pay(amount, true));
    assert!(matches!(refused, Some(Err(CommandError::Precheck(_)))), "the payee needs one: {refused:?}");
    let command = pair.command(PROVIDER, trust(&asset, 2_000_000, false));
    pair.run(3);
    assert!(matches!(pair.nodes[PROVIDER].answers[&command], Ok(Answer::Trusted(_))));
    // More than the account has coins: it makes what it pays.
    let Some(Ok(Answer::Cost(cost))) = run(&mut pair, pay(amount, true)) else { panic!("a cost") };
    assert_eq!((cost.amount, cost.fee.get(), cost.reserve), (amount, 100, Stroops::ZERO));
    let paid = run(&mut pair, pay(amount, false));
    assert!(matches!(paid, Some(Ok(Answer::Paid(_)))), "{paid:?}");
    let Some(Entry::Trustline(line)) = pair.ledger.others.first() else { panic!("a trustline") };
    assert_eq!((line.account, line.balance), (holder, amount));
    // Its coins still have to do for the fee.
    pair.ledger.accounts.get_mut(&issuer).unwrap().balance = Stroops::new(10_000_050).unwrap();
    pair.run(1);
    let short = run(&mut pair, pay(amount, true));
    assert!(matches!(short, Some(Err(CommandError::Precheck(_)))), "{short:?}");
}
