//! What a market can be brought to from outside: a binding in any phase, held there; and what must be so at its end.
//!
//! A phase is held by the ledger, which takes nothing or throws away what it is given, by the way to it, which is shut, by
//! a service that doesn't get healthy, by the buyer's own money, spent behind its node's back; never by the program.

pub mod trial;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tradepost::api::request::NewBinding;
use tradepost::api::view::{BindingList, BindingView, Bound, OfferingList, OwnOfferingList};
use tradepost::config::Network;
use tradepost::demo::actor::Actor;
use tradepost::keystore::{Keystore, PassphraseSource};
use tradepost_devnet::faults::{Faults, Submissions};
use tradepost_ledger::{Ledger as _, TxStatus};
use tradepost_protocol::amount::{Stroops, Unit};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::binding::phase::{Phase, Side};
use tradepost_protocol::document::Windows;
use tradepost_protocol::escrow::timed::TimedTerms;
use tradepost_protocol::message::MessageId;
use tradepost_protocol::network_id::NetworkId;
use tradepost_protocol::stellar::entry::AccountState;
use tradepost_protocol::stellar::transaction::{Bounds, Unsigned};
use tradepost_protocol::time::Timestamp;

use super::market::{BUYER, Market, SELLER, SOON, Terms, told};
use super::{Nodes, services_below, signal};

/// Sold by the second, so that a session ends by itself.
pub const TERMS: Terms = Terms {
    price: Stroops::whole(2),
    unit: Unit::Second,
    windows: Windows { deliver_secs: 60, collect_secs: 600 },
    max_supply: 1,
};
/// For how long a service is bought where its end is waited for, in seconds.
const SHORT: u64 = 1;
/// For how long where something else comes before its end, in seconds.
const LONG: u64 = 10;
/// From the agreement to after `fund_by`.
const PAST_FUND_BY: Duration = Duration::from_secs(21);
/// From the agreement to after T.
pub const PAST_T: Duration = Duration::from_secs(691);
/// From anywhere to the binding's end.
const TO_THE_END: Duration = Duration::from_secs(120);
/// How often something that gives no event is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// What becomes of the money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The provider has it.
    Paid,
    /// The consumer has it back.
    Refunded,
    /// Both have a part of it, and the arbiter its fee.
    Split,
    /// There was none in it.
    Void,
}

/// The name of a side's node.
pub const fn name(side: Side) -> &'static str {
    match side {
        Side::Provider => SELLER,
        Side::Consumer => BUYER,
    }
}

/// A market in which one binding after the other is brought somewhere.
#[derive(Debug)]
pub struct Stage {
    /// It.
    pub market: Market,
}

impl Stage {
    /// A new one, with an offering.
    ///
    /// # Panics
    /// Where that fails, as everything here does that doesn't come about in time.
    pub async fn open(program: &str) -> Self {
        Self::open_in(Nodes::start(program).await).await
    }

    /// As [`Stage::open`], in a place that was prepared for it.
    ///
    /// # Panics
    /// Where that fails.
    pub async fn open_in(nodes: Nodes) -> Self {
        Self { market: Market::open_to_hold(nodes, TERMS).await }
    }

    /// Has the buyer bind, and brings that into a phase in which something from outside keeps it.
    ///
    /// # Panics
    /// Where it doesn't get there in time.
    pub async fn bring_to(&self, phase: Phase) -> MessageId {
        let market = &self.market;
        let stuck = Faults { submissions: Submissions::Stuck, ..Faults::NONE };
        let dropped = Faults { submissions: Submissions::Dropped, ..Faults::NONE };
        let request = match phase {
            Phase::Requested => {
                // The provider looks the buyer up before it answers.
                market.gate.shut();
                self.begin(SHORT).await
            }
            Phase::Agreed => {
                market.nodes.set_faults(stuck).await;
                self.begin(SHORT).await
            }
            Phase::Funded => {
                market.hold_services(true);
                self.begin(SHORT).await
            }
            Phase::Refused => {
                market.nodes.set_faults(dropped).await;
                let request = self.begin(SHORT).await;
                self.wait_intended(request).await;
                self.lock_a_stroop_less(request).await;
                request
            }
            Phase::Active => self.begin(LONG).await,
            Phase::Delivered => {
                let request = Box::pin(self.bring_to(Phase::Funded)).await;
                market.nodes.set_faults(stuck).await;
                market.hold_services(false);
                request
            }
            Phase::Failed => {
                let request = Box::pin(self.bring_to(Phase::Funded)).await;
                market.nodes.set_faults(stuck).await;
                self.kill_the_service().await;
                request
            }
            Phase::Disputed | Phase::Closing => {
                panic!("only an arbitrated escrow is ever {phase}: a trial brings it there")
            }
            Phase::Timeout => {
                let request = Box::pin(self.bring_to(Phase::Failed)).await;
                market.nodes.advance_clock(PAST_T).await;
                request
            }
            Phase::Closed => self.begin(SHORT).await,
            Phase::Void => {
                market.nodes.set_faults(dropped).await;
                let request = self.begin(SHORT).await;
                self.wait_intended(request).await;
                market.nodes.advance_clock(PAST_FUND_BY).await;
                request
            }
        };
        if phase == Phase::Requested {
            // A provider that hasn't agreed keeps nothing of it.
            self.wait_at(Side::Consumer, request, phase).await;
        } else {
            self.wait(request, phase).await;
        }
        if matches!(phase, Phase::Agreed | Phase::Delivered | Phase::Failed) {
            let until = Instant::now() + SOON;
            while market.nodes.pending().await == 0 {
                pause_before(until, "a transaction is submitted").await;
            }
        }
        request
    }

    /// Takes away whatever keeps a binding in its phase.
    ///
    /// # Panics
    /// Where the ledger doesn't listen.
    pub async fn let_go(&self) {
        self.market.nodes.set_faults(Faults::NONE).await;
        self.market.gate.open();
        self.market.hold_services(false);
    }

    /// Binds, as soon as the pre-checks let it; the answer to the command isn't waited for, for it may never come.
    async fn begin(&self, units: u64) -> MessageId {
        let series = self.market.published.series;
        let free =
            |list: &OfferingList| list.items.iter().any(|o| o.series == series && o.live && o.free > 0).then_some(());
        told(self.market.buyer.until("the offering can be had", SOON, "/v1/offerings", free).await);
        let known: BTreeSet<MessageId> = self.requests().await.into_iter().collect();
        let until = Instant::now() + SOON;
        let mut refused: Option<String> = None;
        while Instant::now() < until {
            let buyer = told(self.market.nodes.node(BUYER).and_then(Actor::of));
            let new = NewBinding { offering: series.to_string(), units, ..NewBinding::default() };
            let mut command =
                tokio::spawn(async move { buyer.post::<Bound>("/v1/bindings", &new).await.map_err(|e| e.to_string()) });
            loop {
                if let Some(begun) = self.requests().await.into_iter().find(|request| !known.contains(request)) {
                    return begun;
                }
                // A market that was just restarted may not reach the other side at once.
                if let Ok(answer) = tokio::time::timeout(LOOK, &mut command).await {
                    refused = answer.expect("it doesn't panic").err().or(refused);
                    break;
                }
            }
        }
        panic!("nothing can be bound: {refused:?}");
    }

    async fn requests(&self) -> Vec<MessageId> {
        let list: BindingList = told(self.market.buyer.get("/v1/bindings?all=true").await);
        list.items.iter().map(|binding| binding.request).collect()
    }

    fn node(&self, side: Side) -> &Actor {
        match side {
            Side::Provider => &self.market.seller,
            Side::Consumer => &self.market.buyer,
        }
    }

    /// Waits until a side's view of a binding is as wanted.
    ///
    /// # Panics
    /// Where it isn't in time.
    pub async fn until(
        &self,
        side: Side,
        request: MessageId,
        what: &str,
        is: impl Fn(&BindingView) -> bool,
    ) -> BindingView {
        let find = |list: &BindingList| list.items.iter().find(|b| b.request == request && is(b)).cloned();
        told(self.node(side).until(what, TO_THE_END, "/v1/bindings?all=true", find).await)
    }

    async fn wait_at(&self, side: Side, request: MessageId, phase: Phase) {
        self.until(side, request, &format!("it is {phase}"), |view| view.phase == phase.as_str()).await;
    }

    /// Waits until both sides' views are in a phase.
    ///
    /// # Panics
    /// Where one isn't in time.
    pub async fn wait(&self, request: MessageId, phase: Phase) {
        self.wait_at(Side::Provider, request, phase).await;
        self.wait_at(Side::Consumer, request, phase).await;
    }

    /// Until both know the funding, which the ledger doesn't.
    async fn wait_intended(&self, request: MessageId) {
        for side in [Side::Provider, Side::Consumer] {
            let intended = |view: &BindingView| view.escrow.as_ref().is_some_and(|escrow| escrow.state == "intended");
            self.until(side, request, "the funding is known", intended).await;
        }
    }

    async fn kill_the_service(&self) {
        let all = || services_below(self.market.nodes.dir());
        let until = Instant::now() + SOON;
        while all().next().is_none() {
            pause_before(until, "the service runs").await;
        }
        for process in all() {
            signal(process.id.pid, "KILL");
        }
    }

    /// Locks an escrow for the binding that isn't the one agreed, where its funding would: with the buyer's own key and
    /// the same sequence number, while its node can't do anything about it.
    async fn lock_a_stroop_less(&self, request: MessageId) {
        let nodes = &self.market.nodes;
        let buyer = nodes.node(BUYER).expect("there is a buyer");
        let pid = buyer.running().expect("it runs").process.pid;
        assert!(signal(pid, "STOP"));
        nodes.set_faults(Faults::NONE).await;
        let source = PassphraseSource::new(Some(buyer.home().dir().join("passphrase")), None);
        let keys = Keystore::unlock(&buyer.home().key_file(), &source, Network::Devnet).expect("its keys");
        let view = self.until(Side::Provider, request, "the terms are known", |_| true).await;
        let terms = TimedTerms::new(
            view.binding.expect("it is agreed"),
            view.consumer,
            view.recipient.expect("it is agreed"),
            Asset::Native,
            view.amount.and_then(|amount| amount.minus(Stroops::new(1)?)).expect("more than a stroop"),
            view.deadlines.and_then(|d| d.refund_at).expect("a T").timestamp(),
        )
        .ok();
        let funding = Unsigned {
            source: view.consumer,
            sequence: self.market.buyer_on_the_ledger().await.sequence + 1,
            fee: 100,
            bounds: Bounds::until(Timestamp::from_secs(u64::from(u32::MAX))),
            memo: stellar_xdr::Memo::None,
            operations: vec![terms.and_then(|terms| terms.fund_operation().ok()).expect("an escrow")],
        };
        let ledger = nodes.ledger().await.expect("the ledger answers");
        let network = NetworkId::of_passphrase(&buyer.running().expect("it runs").ledger.passphrase);
        let key = keys.account().expect("the account's key");
        let envelope = funding.sign(&[&key], &network).expect("it is signed");
        ledger.submit(envelope.bytes()).await.expect("the ledger takes it");
        let until = Instant::now() + SOON;
        while !matches!(ledger.status(envelope.hash()).await.expect("the ledger answers"), TxStatus::Success(_)) {
            pause_before(until, "the ledger includes it").await;
        }
        // Told that its sequence number is used, the node would call its own funding dead before it looks for a balance.
        nodes.set_faults(Faults { submissions: Submissions::Dropped, ..Faults::NONE }).await;
        assert!(signal(pid, "CONT"));
    }

    /// Waits until both sides are at the binding's end, and say the same of it: that a provider gave the money back and
    /// didn't keep it, the consumer sees by the transaction, which it is told.
    ///
    /// # Panics
    /// Where it isn't in time.
    pub async fn end(&self, request: MessageId) -> (End, u64) {
        let over = |view: &BindingView| view.is_final;
        let consumer = self.until(Side::Consumer, request, "the binding's end", over).await;
        let all: BindingList = told(self.market.seller.get("/v1/bindings?all=true").await);
        if end_of(&consumer) == End::Void && all.items.iter().all(|binding| binding.request != request) {
            // The provider never agreed.
            return (End::Void, consumer.units);
        }
        let provider = self.until(Side::Provider, request, "the binding's end", over).await;
        let end = end_of(&provider);
        let same = |view: &BindingView| view.is_final && end_of(view) == end;
        self.until(Side::Consumer, request, "it says what the provider says", same).await;
        (end, consumer.units)
    }

    /// The seller's and the buyer's account, as the ledger has them.
    ///
    /// # Panics
    /// Where it can't be read.
    pub async fn accounts(&self) -> [AccountState; 2] {
        [
            self.market.on_the_ledger(self.market.seller_account).await,
            self.market.on_the_ledger(self.market.buyer_account).await,
        ]
    }

    /// That the accounts show this end, and no transaction but those that it takes.
    ///
    /// # Panics
    /// Where they show something else.
    pub async fn check_books(&self, case: &str, before: &[AccountState; 2], end: End, units: u64) {
        let after = self.accounts().await;
        let changes = |at: usize| {
            let (before, after) = (&before[at], &after[at]);
            assert_eq!((after.sub_entries, after.sponsoring), (before.sub_entries, before.sponsoring), "{case}: {at}");
            (after.sequence - before.sequence, after.balance.get() - before.balance.get())
        };
        let (provider, consumer) = (changes(0), changes(1));
        let (amount, fee) = (TERMS.price.get() * units as i64, 100);
        let expected = match end {
            End::Paid => ((1, amount - fee), (1, -amount - fee)),
            // Given back, by a claim and a payment in one transaction.
            End::Refunded if provider.0 > 0 => ((1, -2 * fee), (1, -fee)),
            End::Refunded => ((0, 0), (2, -2 * fee)),
            End::Void => ((0, 0), (0, 0)),
            End::Split => panic!("{case}: a timed escrow is never divided"),
        };
        assert_eq!(
            (provider, consumer),
            expected,
            "{case}: transactions and stroops of provider and consumer, {end:?}"
        );
    }

    /// That no service runs, none has a record, and the place is free.
    ///
    /// # Panics
    /// Where that isn't so in time.
    pub async fn check_that_nothing_is_left(&self, case: &str) {
        let left = || (self.market.service_records(), services_below(self.market.nodes.dir()).collect::<Vec<_>>());
        let until = Instant::now() + SOON;
        while left() != (Vec::new(), Vec::new()) {
            pause_before(until, &format!("{case}: nothing of the service is left, and not {:?}", left())).await;
        }
        let free = |list: &OwnOfferingList| (list.items[0].free == Some(TERMS.max_supply)).then_some(());
        told(self.market.seller.until("the place is free", SOON, "/v1/offerings/own", free).await);
    }
}

/// Waits until it is looked again; fails from a moment on.
async fn pause_before(until: Instant, what: &str) {
    assert!(Instant::now() < until, "waited in vain until {what}");
    tokio::time::sleep(LOOK).await;
}

fn end_of(view: &BindingView) -> End {
    match view.escrow.as_ref().map(|escrow| escrow.state.as_str()) {
        Some("paid") => End::Paid,
        Some("refunded") => End::Refunded,
        Some("split") => End::Split,
        _ if view.phase == Phase::Void.as_str() => End::Void,
        _ => panic!("no end: {view:#?}"),
    }
}
