//! Trades between nodes of one process, over real sockets and a development ledger.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "trade/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::{Request, StatusCode};
use tradepost::call::{CallFailure, PROBLEM_JSON};
use tradepost_network::{BoxError, CallBody, Event, KindConfig, empty_body, full_body};
use tradepost_protocol::binding::phase::Phase;
use tradepost_protocol::binding::session::End;
use tradepost_protocol::escrow::outcome::EscrowState;
use tradepost_protocol::kind::Kind;
use tradepost_protocol::market::Market;
use tradepost_protocol::market::command::{Answer, Command, CommandError, EscrowWish};
use tradepost_protocol::message::BindingId;
use tradepost_protocol::refusal::Reason;

use world::{AMOUNT_GIVEN, FEE, Party, World};

/// Calls that the consumer buys.
const UNITS: u64 = 3;

fn get(path: &str) -> Request<CallBody> {
    Request::get(path).body(empty_body()).unwrap()
}

async fn text(response: hyper::Response<CallBody>) -> (StatusCode, String) {
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

async fn bind(consumer: &Party, offering: tradepost_protocol::message::MessageId) -> BindingId {
    let command = Command::Bind { offering, units: UNITS, wish: EscrowWish::default(), dry_run: false };
    match consumer.handle.market.command(command).await.unwrap().unwrap() {
        Answer::Bound { binding, transaction, .. } => {
            assert!(transaction.is_some());
            binding
        }
        other => panic!("bound, not {other:?}"),
    }
}

/// The counts of a family by its label, of what `/metrics` would say.
fn refused(party: &Party) -> BTreeMap<String, u64> {
    let text = party.handle.metrics.encode();
    let of_reason = |line: &str| {
        let (reason, count) = line.strip_prefix("tradepost_messages_refused_total{reason=\"")?.split_once("\"} ")?;
        Some((reason.to_owned(), count.parse().unwrap()))
    };
    text.lines().filter_map(of_reason).collect()
}

/// A message of the flood, each another one: too short, not JSON, or signed by nobody.
fn broken(n: u32) -> Bytes {
    let mut bytes = match n % 3 {
        0 => vec![7; 60],
        1 => vec![b'{'; 200],
        _ => vec![0; 300],
    };
    bytes[4..8].copy_from_slice(&n.to_be_bytes());
    bytes.into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_one_peer_shows_in_the_metrics_to_the_message_and_hides_nothing_of_an_honest_one() {
    const FLOOD: u32 = 300;
    let world = World::start().await;
    let victim = world.party(false).await;
    let honest = world.party(true).await;
    let facts = &victim.handle.facts;
    let kind = |kind: &Kind| KindConfig {
        number: kind.number(),
        name: kind.name(),
        max_bytes: kind.max_bytes(),
        gossiped: true,
    };
    let kinds = Kind::ALL.iter().filter(|k| k.gossiped()).map(kind).collect();
    let mut config = tradepost_network::Config::new([99; 32], facts.network_id.prefix(), kinds);
    config.local = true;
    let (flooder, mut heard, actor) = tradepost_network::spawn(config).unwrap();
    tokio::spawn(actor);
    let at = victim.handle.network.listen_addrs().await.unwrap();
    flooder.dial(victim.handle.peer_id, at).await.unwrap();
    let met = async { while !matches!(heard.recv().await, Some(Event::PeerMet { .. })) {} };
    world::within("the flooder is met", met).await;
    tokio::spawn(async move { while heard.recv().await.is_some() {} });

    let service = world::service().await;
    let publishing = honest.publish(&service);
    let flooding = async {
        for n in 0..FLOOD {
            // Once it is sent away there is nobody to send to.
            let _ = flooder.publish(Kind::Offering.name(), broken(n)).await;
        }
    };
    let (published, ()) = tokio::join!(publishing, flooding);
    assert_eq!(victim.discover(published.series).await.free, 2);

    // What the network heard and what the market says of it is the same, reason by reason.
    let broken = ["too-short", "malformed", "invalid-document", "bad-signature"];
    let counted = || broken.iter().map(|reason| refused(&victim)[*reason]).sum::<u64>();
    let rejected = || victim.handle.network.stats().rejected;
    world::within("all that was heard is counted", async {
        while rejected() == 0 || counted() != rejected() || victim.handle.market.waiting() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(counted() <= u64::from(FLOOD) && refused(&victim)["too-short"] > 0, "{:?}", refused(&victim));
    world::within("every label is the market's own count", async {
        let counts = |market: &Market, _| -> BTreeMap<String, u64> {
            Reason::ALL.iter().map(|reason| (reason.code().to_owned(), market.refused(*reason))).collect()
        };
        while victim.handle.market.ask(counts).await.unwrap() != refused(&victim) {}
    })
    .await;
    victim.stop().await;
    honest.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_who_know_one_bootstrap_node_trade_and_every_stroop_is_where_it_belongs() {
    let world = World::start().await;
    let provider = world.party(true).await;
    let consumer = world.party(true).await;
    let service = world::service().await;

    let published = provider.publish(&service).await;
    let listing = consumer.discover(published.series).await;
    assert_eq!(listing.offering.body().title, "Echo");
    assert_eq!(listing.free, 2);

    let binding = bind(&consumer, listing.id).await;
    consumer.until("the service runs", binding, |t| t.phase() == Phase::Active).await;

    // The sender's authorization passes through, the nodes' own header is the service's to trust.
    let request = Request::post("/echo?x=1")
        .header("authorization", "Basic own")
        .header("tradepost-binding", "forged")
        .body(full_body("hello"))
        .unwrap();
    let (status, echoed) = text(consumer.handle.calls.call(binding, request).await.unwrap()).await;
    assert_eq!((status, echoed), (StatusCode::OK, format!("hello Basic own {binding} x=1")));
    // A failure of the service isn't counted.
    let (status, _) = text(consumer.handle.calls.call(binding, get("/fail")).await.unwrap()).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    for _ in 1..UNITS {
        let (status, _) = text(consumer.handle.calls.call(binding, get("/")).await.unwrap()).await;
        assert_eq!(status, StatusCode::OK);
    }

    // All units are used: the session ends, the provider collects.
    for party in [&provider, &consumer] {
        let trade = party.until("it is settled", binding, |t| t.phase() == Phase::Closed).await;
        assert_eq!(*trade.escrow(), EscrowState::Paid);
        assert_eq!(trade.state.used, UNITS);
    }
    let refused = consumer.handle.calls.call(binding, get("/")).await.unwrap_err();
    assert!(matches!(refused, CallFailure::NotActive { .. }), "{refused}");

    let amount = world::PRICE * UNITS as i64;
    assert_eq!(consumer.balance().await, AMOUNT_GIVEN - amount - FEE);
    assert_eq!(provider.balance().await, AMOUNT_GIVEN - world::BOND - FEE + amount - FEE);
    let listing = consumer.until_free(published.series, 2).await;
    assert!(listing.live);
    world.ledger_adds_up();
    let metrics = consumer.handle.metrics.encode();
    for name in ["market_running 1", "network_peers_met 2", "ledger_sequence", "market_events_total"] {
        assert!(metrics.contains(&format!("\ntradepost_{name}")), "{name}: {metrics}");
    }
    for party in [provider, consumer] {
        party.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_whose_provider_vanishes_gets_its_money_back_by_itself() {
    let world = World::start().await;
    let provider = world.party(true).await;
    let consumer = world.party(true).await;
    let service = world::service().await;
    let published = provider.publish(&service).await;
    let listing = consumer.discover(published.series).await;
    let binding = bind(&consumer, listing.id).await;
    consumer.until("the service runs", binding, |t| t.phase() == Phase::Active).await;

    provider.vanish().await;
    let trade = consumer.until("the provider is missed", binding, |t| t.phase() == Phase::Failed).await;
    assert_eq!(*trade.escrow(), EscrowState::Locked);
    let before = consumer.balance().await;
    let refund_at = trade.terms().unwrap().terms.refund_at().unwrap();
    world.move_clock_to(refund_at, &consumer).await;

    let trade = consumer.until("the money is back", binding, |t| *t.escrow() == EscrowState::Refunded).await;
    assert_eq!(trade.phase(), Phase::Closed);
    let amount = world::PRICE * UNITS as i64;
    assert_eq!(consumer.balance().await, before + amount - FEE);
    assert_eq!(consumer.balance().await, AMOUNT_GIVEN - 2 * FEE);
    world.ledger_adds_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_stops_properly_gives_the_money_back_at_once() {
    let world = World::start().await;
    let provider = world.party(true).await;
    let consumer = world.party(true).await;
    let service = world::service().await;
    let published = provider.publish(&service).await;
    let listing = consumer.discover(published.series).await;
    let binding = bind(&consumer, listing.id).await;
    consumer.until("the service runs", binding, |t| t.phase() == Phase::Active).await;

    provider.stop().await;
    let trade = consumer.until("the money is back", binding, |t| *t.escrow() == EscrowState::Refunded).await;
    assert_eq!(trade.phase(), Phase::Closed);
    let refund_at = trade.terms().unwrap().terms.refund_at().unwrap();
    assert!(consumer.handle.clock.newest().close_time < refund_at, "long before T");
    assert_eq!(consumer.balance().await, AMOUNT_GIVEN - FEE);
    world.ledger_adds_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_need_the_bindings_token_stream_both_ways_and_end_before_their_node_does() {
    let world = World::start().await;
    let provider = world.party(true).await;
    let consumer = world.party(true).await;
    let service = world::service().await;
    let published = provider.publish(&service).await;
    let listing = consumer.discover(published.series).await;
    let binding = bind(&consumer, listing.id).await;
    consumer.until("the service runs", binding, |t| t.phase() == Phase::Active).await;
    let client = consumer.handle.calls.clone();

    // Past the client of one's own node: no credentials, then those of nobody.
    let other = hex::encode([9; 32]);
    let forged = Request::get("/")
        .header("tradepost-binding", binding.to_string())
        .header("authorization", format!("Bearer {other}"))
        .body(empty_body())
        .unwrap();
    for (request, code) in [(get("/"), "no-credentials"), (forged, "unknown-binding")] {
        let answer = consumer.handle.network.call(provider.handle.peer_id, Vec::new(), request).await.unwrap();
        assert_eq!(answer.headers()["content-type"], PROBLEM_JSON);
        let (status, problem) = text(answer).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert!(problem.contains(code), "{problem}");
    }
    let climbing = client.call(binding, get("/a/../../b")).await.unwrap_err();
    assert!(matches!(climbing, CallFailure::Request(_)), "{climbing}");

    // The first part comes back before the second one leaves.
    let (parts, waiting) = tokio::sync::mpsc::channel::<Result<Frame<Bytes>, BoxError>>(1);
    let body = StreamBody::new(tokio_stream::wrappers::ReceiverStream::new(waiting)).boxed_unsync();
    let request = Request::post("/stream").body(body).unwrap();
    let sent = tokio::spawn({
        let client = client.clone();
        async move { client.call(binding, request).await.unwrap().into_body() }
    });
    parts.send(Ok(Frame::data("one".into()))).await.unwrap();
    let mut streamed = world::within("the response begins", sent).await.unwrap();
    for part in ["one", "two"] {
        let frame = world::within("a part comes back", streamed.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), part);
        if part == "one" {
            parts.send(Ok(Frame::data("two".into()))).await.unwrap();
        }
    }
    drop((parts, streamed));

    // A consumer that hangs up has been served.
    let hung_up = tokio::spawn({
        let client = client.clone();
        async move { client.call(binding, get("/hold")).await }
    });
    world::within("the call arrives", service.arrived.acquire()).await.unwrap().forget();
    hung_up.abort();
    provider.until("the call is over", binding, |t| t.volatile.calls == 0 && t.state.used == 2).await;

    // A call that runs when its node is stopped ends first; new ones are told.
    let held = tokio::spawn({
        let client = client.clone();
        async move { text(client.call(binding, get("/hold")).await.unwrap()).await }
    });
    world::within("the call arrives", service.arrived.acquire()).await.unwrap().forget();
    let stopping = provider.handle.clone();
    let stopped = tokio::spawn(provider.stop());
    world::within("the provider drains", stopping.stopping()).await;
    let (status, problem) = text(client.call(binding, get("/")).await.unwrap()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(problem.contains("unavailable"), "{problem}");
    service.released.add_permits(1);
    assert_eq!(held.await.unwrap(), (StatusCode::OK, "held".to_owned()));
    stopped.await.unwrap();
    let trade = consumer.until("the session ends", binding, |t| t.state.session.end().is_some()).await;
    assert_eq!(trade.state.session.end(), Some(End::UnitsUsed), "the last call was the third");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_started_again_goes_on_with_its_trade() {
    let world = World::start().await;
    let provider = world.party(true).await;
    let consumer = world.party(true).await;
    let service = world::service().await;
    let published = provider.publish(&service).await;
    let listing = consumer.discover(published.series).await;
    let binding = bind(&consumer, listing.id).await;
    consumer.until("the service runs", binding, |t| t.phase() == Phase::Active).await;

    let consumer = world.restart(consumer).await;
    consumer.until("it is still bound", binding, |t| t.phase() == Phase::Active).await;
    for _ in 0..UNITS {
        let (status, _) = text(consumer.call_until_reached(binding).await).await;
        assert_eq!(status, StatusCode::OK);
    }
    let trade = consumer.until("it is settled", binding, |t| t.phase() == Phase::Closed).await;
    assert_eq!(*trade.escrow(), EscrowState::Paid);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_is_away_for_a_while_delays_a_trade_and_costs_nobody() {
    let world = World::start().await;
    let provider = world.party(true).await;
    let consumer = world.party(true).await;
    let service = world::service().await;
    let published = provider.publish(&service).await;
    let listing = consumer.discover(published.series).await;
    let binding = bind(&consumer, listing.id).await;
    consumer.until("the service runs", binding, |t| t.phase() == Phase::Active).await;

    world.ledger_answers(false);
    for party in [&provider, &consumer] {
        let mut health = party.handle.ledger_health();
        world::within("it is noticed", health.wait_for(|health| health.trouble.is_some())).await.unwrap();
        assert!(!party.handle.health().is_ready());
    }
    for _ in 0..UNITS {
        let (status, _) = text(consumer.handle.calls.call(binding, get("/")).await.unwrap()).await;
        assert_eq!(status, StatusCode::OK, "a service needs no ledger");
    }
    world.ledger_answers(true);

    let trade = consumer.until("it is settled", binding, |t| t.phase() == Phase::Closed).await;
    assert_eq!(*trade.escrow(), EscrowState::Paid);
    assert_eq!(provider.balance().await, AMOUNT_GIVEN - world::BOND - FEE + world::PRICE * UNITS as i64 - FEE);
    world.ledger_adds_up();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_without_keys_answers_what_it_can_and_refuses_the_rest() {
    let world = World::start().await;
    let watcher = world.party(false).await;
    let ready = async {
        while !watcher.handle.health().is_ready() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    world::within("it is ready once it has met the bootstrap node", ready).await;
    let offering = tradepost_protocol::message::MessageId::from_bytes([1; 32]);
    let refused = watcher
        .handle
        .market
        .command(Command::Bind { offering, units: 1, wish: EscrowWish::default(), dry_run: true })
        .await
        .unwrap();
    assert!(matches!(refused, Err(CommandError::Precheck(_))), "{refused:?}");
    let unknown = watcher.handle.calls.call(BindingId::from_bytes([1; 32]), get("/")).await.unwrap_err();
    assert!(matches!(unknown, CallFailure::UnknownBinding(_)));
    let market = watcher.handle.market.clone();
    watcher.stop().await;
    let stopped = tokio::time::timeout(Duration::from_secs(5), market.ask(|_, _| ())).await.unwrap();
    assert!(stopped.unwrap_err().to_string().contains("stopped"));
}
