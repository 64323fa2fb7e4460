//! Help exchanges: who is let in, whose word a price is, and what is followed no longer.

use ed25519_dalek::SigningKey;

use super::pair::{CONSUMER, PROVIDER, Pair, draft, net};
use crate::account::{AccountId, PeerId};
use crate::amount::{Price, Stroops, Unit};
use crate::asset::Asset;
use crate::binding::frames;
use crate::community::frames::{Join, Joined};
use crate::community::role::{Role, RoleSettings};
use crate::community::shape::{self, MakeKind};
use crate::community::tests::{account, envelope};
use crate::community::{DEFAULT_FEE, Terms, listing};
use crate::document::BuiltIn;
use crate::escrow::EscrowKind;
use crate::market::Deed;
use crate::market::command::{Answer, Command, CommandError, OfferingDraft};
use crate::market::event::{Ask, Effect, Event, FollowedPage, FollowedTransaction, Token};
use crate::message::{Signed, TxHash};
use crate::stellar::transaction::{Bounds, Unsigned, hash_of};
use crate::stellar::{LedgerPoint, Memo, Operation, operation};

/// A node of the pair's that has nothing to do with the others.
const STRANGER: usize = 2;
const HELP: &str = "bread";

fn own(pair: &Pair, who: usize) -> AccountId {
    pair.nodes[who].setup.keys.account_id().unwrap()
}

fn asset() -> Asset {
    Asset::issued("ClawableHexa", account(201)).unwrap()
}

fn terms(agent: AccountId) -> Terms {
    Terms {
        clawable: asset(),
        plain: Asset::issued("HEXA", account(202)).unwrap(),
        agent,
        fee: DEFAULT_FEE,
        start: Stroops::whole(5_000),
        repay_secs: 60,
        convert_secs: 0,
    }
}

/// Somebody's transaction, as a page of the ledger's history has it.
fn told(pair: &Pair, who: AccountId, sequence: i64, memo: Memo, operations: Vec<Operation>) -> FollowedTransaction {
    FollowedTransaction { at: pair.ledger.point(), envelope: envelope(who, sequence, memo, operations) }
}

fn endowment(pair: &Pair, terms: &Terms) -> FollowedTransaction {
    let give = |asset| operation::pay(terms.agent, asset, Stroops::whole(1_000));
    let plain = operation::by(terms.plain_issuer(), give(&terms.plain));
    told(pair, terms.issuer(), 1, Memo::None, vec![give(&terms.clawable), plain])
}

/// A node is shown this of an exchange, up to the newest ledger.
fn show(pair: &mut Pair, who: usize, transactions: Vec<FollowedTransaction>, gap: bool) {
    let through = pair.ledger.point().sequence;
    let result = Ok(FollowedPage { transactions, through, gap });
    pair.event(who, Event::Followed { exchange: asset(), result });
}

/// A pair whose provider is an agent that has seen everything, with everybody else accepting the issuer.
fn agent(consumers: usize) -> (Pair, Terms) {
    let mut pair = Pair::new(consumers);
    let terms = terms(own(&pair, PROVIDER));
    for who in 0..=consumers {
        let mut setup = pair.nodes[who].setup.clone();
        setup.policy.assets.push(asset());
        pair.nodes[who].setup = setup;
        pair.kill(who);
        pair.restart(who);
    }
    let role = Role::Agent { members: None };
    pair.nodes[PROVIDER].market.play(RoleSettings { role, terms: terms.clone() });
    pair.run(2);
    let endowment = endowment(&pair, &terms);
    show(&mut pair, PROVIDER, vec![endowment], false);
    (pair, terms)
}

fn peer(n: u8) -> PeerId {
    format!("12D3KooWjoiner{n}").parse().unwrap()
}

/// Somebody asks the agent to let it in; what the agent does at once.
fn ask(pair: &mut Pair, key: &SigningKey, from: PeerId, terms: &Terms) -> (Vec<Effect>, AccountId) {
    let who = AccountId::of(key);
    let sequence = pair.ledger.accounts.get(&who).map_or(1, |state| state.sequence + 1);
    let unsigned = Unsigned {
        source: who,
        sequence,
        fee: 400,
        bounds: Bounds::until(pair.ledger.point().close_time.plus(core::time::Duration::from_secs(20))),
        memo: Memo::None,
        operations: shape::join(terms, who).unwrap(),
    };
    let envelope = unsigned.sign(&[key], &net()).unwrap().into_bytes();
    let join = Signed::sign(Join { account: who, exchange: asset(), envelope }, &net(), key).unwrap();
    let bytes = frames::to_stream(join.packed());
    let (_, effects) = pair.step(PROVIDER, Event::Direct { token: Token(1), peer: from, bytes }).into_parts();
    (effects, who)
}

/// As [`ask`], and the agent reads the account: whether it handed the joining in, and what it answered.
fn asks(pair: &mut Pair, key: &SigningKey, from: PeerId, terms: &Terms) -> (bool, Option<Joined>) {
    let (mut effects, who) = ask(pair, key, from, terms);
    if let Some(Effect::Read { ask: Ask::Joiner(reads), keys }) = effects.first() {
        assert_eq!(*reads, who);
        let keys = keys.clone();
        let entries = pair.ledger.read(&keys);
        let read = Event::Entries { ask: Ask::Joiner(who), at: pair.ledger.point(), asked: keys, entries };
        effects = pair.step(PROVIDER, read).into_parts().1;
    }
    let submitted = effects.iter().any(|effect| matches!(effect, Effect::Submit { .. }));
    let answer = effects.iter().find_map(|effect| match effect {
        Effect::Respond { bytes, .. } => Some(bytes.clone()),
        _ => None,
    });
    let answer = answer.expect("an answer");
    let joined = frames::from_stream(&net(), &answer).and_then(|packed| packed.open::<Joined>(&net()));
    (submitted, joined.ok().map(Signed::into_body))
}

/// A key whose account is on the ledger with the pair's first consumer's coins.
fn funded(pair: &mut Pair, n: u8) -> SigningKey {
    let key = SigningKey::from_bytes(&[n; 32]);
    let mut state = pair.ledger.accounts[&own(pair, CONSUMER)].clone();
    state.id = AccountId::of(&key);
    pair.ledger.accounts.insert(state.id, state);
    key
}

fn why(joined: Option<Joined>) -> String {
    joined.expect("a word").refused.expect("a refusal").to_string()
}

#[test]
fn an_account_that_is_not_on_the_ledger_or_can_not_join_takes_nobodys_place() {
    let (mut pair, terms) = agent(1);
    let nobody = SigningKey::from_bytes(&[77; 32]);
    let (submitted, joined) = asks(&mut pair, &nobody, peer(1), &terms);
    assert!(!submitted);
    assert!(why(joined).contains("isn't on the ledger"));

    let poor = funded(&mut pair, 78);
    pair.ledger.accounts.get_mut(&AccountId::of(&poor)).unwrap().balance = Stroops::whole(1);
    let (submitted, joined) = asks(&mut pair, &poor, peer(1), &terms);
    assert!(!submitted && why(joined).contains("can't pay"));

    let good = funded(&mut pair, 79);
    let (submitted, joined) = asks(&mut pair, &good, peer(1), &terms);
    assert!(submitted && joined.unwrap().refused.is_none());
    // Again, as after a lost answer: the same transaction goes out again, and nothing is read.
    let (effects, _) = ask(&mut pair, &good, peer(1), &terms);
    assert!(matches!(effects.as_slice(), [Effect::Submit { .. }, Effect::Respond { .. }]), "{effects:?}");
}

#[test]
fn one_peer_has_few_joinings_at_once_and_the_others_have_theirs() {
    let (mut pair, terms) = agent(1);
    let keys: Vec<SigningKey> = (0..6).map(|n| funded(&mut pair, 100 + n)).collect();
    for key in &keys[..4] {
        let (submitted, joined) = asks(&mut pair, key, peer(1), &terms);
        assert!(submitted && joined.unwrap().refused.is_none());
    }
    assert_eq!(asks(&mut pair, &keys[4], peer(1), &terms), (false, None), "not now");
    assert!(asks(&mut pair, &keys[4], peer(2), &terms).0);
    // A question that is being looked at counts, too.
    for key in [&keys[5], &keys[5]] {
        ask(&mut pair, key, peer(2), &terms);
    }
    let (effects, _) = ask(&mut pair, &keys[5], peer(3), &terms);
    assert!(matches!(effects.as_slice(), [Effect::Respond { bytes, .. }] if bytes.is_empty()), "{effects:?}");
}

#[test]
fn few_joinings_are_handed_in_after_a_ledger_and_each_has_its_turn() {
    let (mut pair, terms) = agent(1);
    let mut hashes = std::collections::BTreeSet::new();
    for n in 0..10 {
        let key = funded(&mut pair, 100 + n);
        assert!(asks(&mut pair, &key, peer(1 + n / 4), &terms).0);
    }
    for n in 1..=3 {
        let newest = pair.ledger.point();
        let point = LedgerPoint::new(newest.sequence + n, newest.close_time.plus(core::time::Duration::from_secs(1)));
        let (_, effects) = pair.step(PROVIDER, Event::Closed(point)).into_parts();
        let submitted = effects.iter().filter_map(|effect| match effect {
            Effect::Submit { hash, .. } => Some(*hash),
            _ => None,
        });
        let submitted: Vec<TxHash> = submitted.collect();
        assert!(submitted.len() <= 4, "{submitted:?}");
        hashes.extend(submitted);
    }
    assert_eq!(hashes.len(), 10);
}

#[test]
fn an_agent_that_does_not_know_who_joined_lets_in_only_whom_it_lists() {
    let (mut pair, terms) = agent(1);
    let key = funded(&mut pair, 80);
    show(&mut pair, PROVIDER, Vec::new(), true);
    let (submitted, joined) = asks(&mut pair, &key, peer(1), &terms);
    assert!(!submitted);
    assert!(why(joined).contains("doesn't know who has joined"));
    let role = Role::Agent { members: Some(vec![AccountId::of(&key)]) };
    pair.nodes[PROVIDER].market.play(RoleSettings { role, terms: terms.clone() });
    assert!(asks(&mut pair, &key, peer(1), &terms).0);
}

/// What a node answers to a command in the exchange.
fn does(pair: &mut Pair, who: usize, deed: Deed, dry_run: bool) -> Option<Result<Answer, CommandError>> {
    let id = pair.command(who, Command::Community { exchange: Some(asset()), deed, dry_run });
    pair.nodes[who].answers.remove(&id)
}

fn refusal(answer: Option<Result<Answer, CommandError>>) -> &'static str {
    match answer {
        Some(Err(error)) => error.code(),
        other => panic!("{other:?}"),
    }
}

/// An offering of this template, which a node publishes and everybody sees.
fn publishes(
    pair: &mut Pair,
    who: usize,
    template: &str,
    parameters: serde_json::Map<String, serde_json::Value>,
    price: Price,
) {
    let draft = OfferingDraft {
        template: BuiltIn::named(template).unwrap().id,
        parameters,
        price,
        min_units: 1,
        max_units: 1,
        max_supply: 1,
        escrow: vec![EscrowKind::Timed],
        spec: Vec::new(),
        ..draft()
    };
    let command = pair.command(who, Command::Publish(Box::new(draft)));
    pair.run(10);
    let answer = pair.nodes[who].answers.remove(&command);
    assert!(matches!(answer, Some(Ok(Answer::Published { .. }))), "{answer:?}");
}

fn offers_exchange(pair: &mut Pair, who: usize, terms: &Terms) {
    let free = Price { asset: Asset::Native, amount: Stroops::ZERO, unit: Unit::Item };
    publishes(pair, who, listing::EXCHANGE, listing::exchange_parameters(terms), free);
}

#[test]
fn a_strangers_offer_of_an_accepted_issuers_exchange_is_nobodys_word_but_its_own() {
    let (mut pair, right) = agent(2);
    let wrong = Terms { start: Stroops::whole(1), ..terms(own(&pair, STRANGER)) };
    let nobody = account(9);
    assert_eq!(refusal(does(&mut pair, CONSUMER, Deed::Join { agent: right.agent }, true)), "unknown-exchange");
    offers_exchange(&mut pair, STRANGER, &wrong);
    assert_eq!(refusal(does(&mut pair, CONSUMER, Deed::Join { agent: right.agent }, true)), "wrong-agent");
    offers_exchange(&mut pair, PROVIDER, &right);
    assert_eq!(refusal(does(&mut pair, CONSUMER, Deed::Join { agent: nobody }, true)), "wrong-agent");
    // Whom the user names is whom it gets, whatever it looked at before.
    for terms in [&wrong, &right] {
        does(&mut pair, CONSUMER, Deed::Join { agent: terms.agent }, true);
        assert_eq!(pair.nodes[CONSUMER].market.exchange(&asset()).map(|e| &e.terms), Some(terms));
    }
}

#[test]
fn an_exchange_that_was_only_looked_at_is_forgotten_and_leaves_nothing() {
    let (mut pair, terms) = agent(1);
    offers_exchange(&mut pair, PROVIDER, &terms);
    let before = pair.rows(CONSUMER).count_of(crate::step::Space::Community);
    let id = pair.command(
        CONSUMER,
        Command::Community { exchange: Some(asset()), deed: Deed::Join { agent: terms.agent }, dry_run: true },
    );
    let endowment = endowment(&pair, &terms);
    show(&mut pair, CONSUMER, vec![endowment], false);
    pair.run(1);
    assert!(matches!(pair.nodes[CONSUMER].answers.remove(&id), Some(Ok(Answer::Cost(_)))));
    assert!(pair.nodes[CONSUMER].market.exchange(&asset()).is_some(), "whoever looks may decide to join");
    assert!(pair.rows(CONSUMER).count_of(crate::step::Space::Community) > before);
    pair.run(125);
    show(&mut pair, CONSUMER, Vec::new(), false);
    pair.event(CONSUMER, Event::Tick);
    assert!(pair.nodes[CONSUMER].market.exchange(&asset()).is_none());
    assert_eq!(pair.rows(CONSUMER).count_of(crate::step::Space::Community), before);
}

#[test]
fn a_price_is_the_makers_word_and_no_more_is_locked_than_was_said() {
    let (mut pair, terms) = agent(2);
    offers_exchange(&mut pair, PROVIDER, &terms);
    let (maker, taker) = (own(&pair, PROVIDER), own(&pair, CONSUMER));
    // The agent helps, too: to the others it is a maker like any.
    let make =
        told(&pair, maker, 7, shape::make_memo(MakeKind::Offer, 0), shape::make(&terms, maker, 0, HELP).unwrap());
    let hash = hash_of(&make.envelope, &net()).unwrap();
    let price = |amount| Price { asset: asset(), amount: Stroops::whole(amount), unit: Unit::Item };
    let parameters = listing::make_parameters(&asset(), MakeKind::Offer, hash, HELP);
    // A stranger was first to list it, for less than it costs.
    publishes(&mut pair, STRANGER, listing::HELP, parameters.clone(), price(1));
    does(&mut pair, CONSUMER, Deed::Join { agent: terms.agent }, true);
    let joins = told(&pair, taker, 9, Memo::None, shape::join(&terms, taker).unwrap());
    let endowment = endowment(&pair, &terms);
    show(&mut pair, CONSUMER, vec![endowment, joins, make], false);
    let take = |at_most| Deed::Take { make: hash, at_most };
    assert_eq!(refusal(does(&mut pair, CONSUMER, take(None), true)), "no-such-make", "its maker tells nobody a price");
    publishes(&mut pair, PROVIDER, listing::HELP, parameters, price(800));
    show(&mut pair, CONSUMER, Vec::new(), false);
    let listed = pair.nodes[CONSUMER].market.listed_make(&asset(), hash).unwrap().0;
    assert_eq!((listed.by, listed.price), (maker, Stroops::whole(800)));
    assert_eq!(refusal(does(&mut pair, CONSUMER, take(Some(Stroops::whole(799))), true)), "dearer-than-said");
    // As dear as was said: what is missing then is only the money.
    assert_eq!(refusal(does(&mut pair, CONSUMER, take(Some(Stroops::whole(800))), true)), "asset-short");
}
