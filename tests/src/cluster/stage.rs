//! What a market can be brought to from outside: a binding in any phase, held there; and what must be so at its end.
//!
//! A phase is held by the ledger, which takes nothing or throws away what it is given, by the way to it, which is shut, by
//! a service that doesn't get healthy, by the buyer's own money, spent behind its node's back; never by the program.

mod fees;
pub mod trial;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tradepost::api::request::NewBinding;
use tradepost::api::view::{BindingList, BindingView, Bound, OfferingList, OwnOfferingList};
use tradepost::demo::actor::Actor;
use tradepost::keystore::Keystore;
use tradepost_devnet::faults::{Faults, Submissions};
use tradepost_ledger::Ledger as _;
use tradepost_protocol::amount::{Stroops, Unit};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::binding::phase::{Phase, Side};
use tradepost_protocol::binding::session;
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
const TO_THE_END: Duration = Duration::from_secs(300);
/// So often a binding is begun until one is seen in the phase that is wanted.
const ATTEMPTS: usize = 8;
/// Submissions are thrown away, and the ledger remembers no transaction: so a node that reads that its sequence number is
/// used can't tell that its own funding never will be included, and goes on looking for the escrow.
const FORGETFUL: Faults = Faults { submissions: Submissions::Dropped, history_ledgers: Some(1), ..Faults::NONE };
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

/// What the accounts had before a binding.
#[derive(Debug)]
pub struct Before<const N: usize> {
    /// The seller's, the buyer's and, where there is one, the arbiter's.
    pub accounts: [AccountState; N],
    /// A ledger that shows them so.
    ledger: u32,
}

/// What isn't seen any more of a binding: a slow machine lets a deadline pass, or one side is on before the other is there.
#[derive(Debug)]
pub struct Missed(String);

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

    /// Has the buyer bind, and brings that into a phase in which something from outside keeps it; what the accounts had
    /// before, and its request. Where a binding is past the phase before both sides are seen in it, another one is begun.
    ///
    /// # Panics
    /// Where none gets there.
    pub async fn bring_to(&self, phase: Phase) -> (Before<2>, MessageId) {
        let mut missed = Vec::new();
        for _ in 0..ATTEMPTS {
            let before = self.before().await;
            match self.try_to(phase).await {
                Ok(request) => return (before, request),
                Err(Missed(how)) => {
                    println!("not seen {phase}, once more: {how}");
                    missed.push(how);
                }
            }
            self.let_go().await;
            self.market.nodes.advance_clock(PAST_T).await;
            self.wait_until_all_is_over().await;
        }
        panic!("{ATTEMPTS} bindings, and none seen {phase}: {missed:?}");
    }

    async fn try_to(&self, phase: Phase) -> Result<MessageId, Missed> {
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
                market.nodes.set_faults(FORGETFUL).await;
                let request = self.begin(SHORT).await;
                self.wait_intended(request).await?;
                self.lock_a_stroop_less(request).await;
                request
            }
            Phase::Active => self.begin(LONG).await,
            Phase::Delivered => {
                let request = Box::pin(self.try_to(Phase::Funded)).await?;
                market.nodes.set_faults(stuck).await;
                market.hold_services(false);
                request
            }
            Phase::Failed => {
                let request = Box::pin(self.try_to(Phase::Funded)).await?;
                market.nodes.set_faults(stuck).await;
                self.kill_the_service(request).await;
                request
            }
            Phase::Disputed | Phase::Closing => {
                panic!("only an arbitrated escrow is ever {phase}: a trial brings it there")
            }
            Phase::Timeout => {
                let request = Box::pin(self.try_to(Phase::Failed)).await?;
                market.nodes.advance_clock(PAST_T).await;
                request
            }
            Phase::Closed => self.begin(SHORT).await,
            Phase::Void => {
                market.nodes.set_faults(dropped).await;
                let request = self.begin(SHORT).await;
                self.wait_intended(request).await?;
                market.nodes.advance_clock(PAST_FUND_BY).await;
                request
            }
        };
        let submits = matches!(phase, Phase::Agreed | Phase::Delivered | Phase::Failed);
        self.wait(request, phase, submits).await?;
        Ok(request)
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

    async fn view(&self, side: Side, request: MessageId) -> Option<BindingView> {
        let list: BindingList = told(self.node(side).get("/v1/bindings?all=true").await);
        list.items.into_iter().find(|binding| binding.request == request)
    }

    async fn views(&self, request: MessageId) -> [Option<BindingView>; 2] {
        [self.view(Side::Provider, request).await, self.view(Side::Consumer, request).await]
    }

    /// Waits until both sides' views are in a phase, and a transaction is `submitted` that the ledger keeps waiting.
    ///
    /// # Errors
    /// Where a side is past it, or can't come to it any more.
    ///
    /// # Panics
    /// Where nothing of that comes about in time.
    pub async fn wait(&self, request: MessageId, phase: Phase, submitted: bool) -> Result<(), Missed> {
        let until = Instant::now() + TO_THE_END;
        loop {
            let views = self.views(request).await;
            let [provider, consumer] = views.each_ref().map(|view| view.as_ref().map(|view| view.phase.as_str()));
            // A provider that hasn't agreed keeps nothing of it.
            let known = provider.or((phase == Phase::Requested).then_some(phase.as_str()));
            let there = [known, consumer].iter().all(|seen| *seen == Some(phase.as_str()));
            if there && (!submitted || self.market.nodes.pending().await > 0) {
                return Ok(());
            }
            let on_its_way = |seen: &str| seen == phase.as_str() || way_to(phase).iter().any(|p| p.as_str() == seen);
            let unagreed = provider.is_none() && consumer.is_some_and(|seen| seen == Phase::Void.as_str());
            if unagreed || ![provider, consumer].into_iter().flatten().all(on_its_way) {
                return Err(Missed(format!("it isn't {phase}: {}", shown(&views))));
            }
            pause_before(until, &format!("it is {phase}: {}", shown(&views))).await;
        }
    }

    /// Until both know the funding, which the ledger doesn't.
    async fn wait_intended(&self, request: MessageId) -> Result<(), Missed> {
        let until = Instant::now() + TO_THE_END;
        loop {
            let views = self.views(request).await;
            let intended = |view: &Option<BindingView>| {
                view.as_ref().and_then(|view| view.escrow.as_ref()).is_some_and(|escrow| escrow.state == "intended")
            };
            if views.iter().all(intended) {
                return Ok(());
            }
            if views.iter().flatten().any(|view| view.is_final) {
                return Err(Missed(format!("its funding isn't on its way: {}", shown(&views))));
            }
            pause_before(until, &format!("the funding is known: {}", shown(&views))).await;
        }
    }

    /// Waits until no binding has anything open on either side.
    async fn wait_until_all_is_over(&self) {
        for side in [Side::Provider, Side::Consumer] {
            let over = |list: &BindingList| list.items.iter().all(|binding| binding.is_final).then_some(());
            told(self.node(side).until("all is over", TO_THE_END, "/v1/bindings?all=true", over).await);
        }
        self.check_that_nothing_is_left("a phase that was missed").await;
    }

    /// Ends the service as soon as there is one, unless it failed by itself.
    async fn kill_the_service(&self, request: MessageId) {
        let all = || services_below(self.market.nodes.dir());
        let until = Instant::now() + TO_THE_END;
        while all().next().is_none() {
            let starting = self.view(Side::Provider, request).await.is_some_and(|v| v.phase == Phase::Funded.as_str());
            if !starting {
                return;
            }
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
        let words = self.market.buyer_words.parse().expect("the buyer's words");
        let key = Keystore::from_mnemonic(&words).account().expect("the account's key");
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
        let buyer = nodes.node(BUYER).and_then(|buyer| buyer.running()).expect("it runs");
        let (pid, network) = (buyer.process.pid, NetworkId::of_passphrase(&buyer.ledger.passphrase));
        let sequence = self.market.buyer_on_the_ledger().await.sequence + 1;
        let funding = Unsigned {
            source: view.consumer,
            sequence,
            fee: 100,
            bounds: Bounds::until(Timestamp::from_secs(u64::from(u32::MAX))),
            memo: stellar_xdr::Memo::None,
            operations: vec![terms.and_then(|terms| terms.fund_operation().ok()).expect("an escrow")],
        };
        let envelope = funding.sign(&[&key], &network).expect("it is signed");
        let ledger = nodes.ledger().await.expect("the ledger answers");
        assert!(signal(pid, "STOP"));
        nodes.set_faults(Faults { submissions: Submissions::Taken, ..FORGETFUL }).await;
        ledger.submit(envelope.bytes()).await.expect("the ledger takes it");
        let until = Instant::now() + TO_THE_END;
        while self.market.buyer_on_the_ledger().await.sequence < sequence {
            pause_before(until, "the ledger includes it").await;
        }
        // So long after the funding was signed that a ledger which remembers one can't say that it wasn't included.
        for _ in 0..2 {
            nodes.advance_clock(Duration::from_secs(1)).await;
        }
        nodes.set_faults(FORGETFUL).await;
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
        let earned = session::End::ALL.iter().any(|e| e.earned() && Some(e.as_str()) == provider.ended.as_deref());
        assert_eq!(end == End::Paid, earned, "a provider is paid for what it has earned: {}", shown(&[Some(provider)]));
        if let (End::Void, Some(deadlines)) = (end, &consumer.deadlines) {
            let ledger = self.market.nodes.ledger().await.expect("the ledger answers");
            let now = ledger.head().await.expect("the ledger answers").ledger.close_time;
            assert!(now > deadlines.fund_by.timestamp(), "given up before {:?}", deadlines.fund_by);
        }
        let same = |view: &BindingView| view.is_final && end_of(view) == end;
        self.until(Side::Consumer, request, "it says what the provider says", same).await;
        (end, consumer.units)
    }

    /// What the accounts have.
    async fn before(&self) -> Before<2> {
        let ledger = self.market.nodes.ledger().await.expect("the ledger answers");
        let head = ledger.head().await.expect("the ledger answers");
        Before { accounts: self.accounts().await, ledger: head.ledger.sequence }
    }

    /// The seller's and the buyer's account, as the ledger has them.
    async fn accounts(&self) -> [AccountState; 2] {
        [
            self.market.on_the_ledger(self.market.seller_account).await,
            self.market.on_the_ledger(self.market.buyer_account).await,
        ]
    }

    /// That the accounts show this end, and no transaction but those that it takes.
    ///
    /// # Panics
    /// Where they show something else.
    pub async fn check_books(&self, case: &str, before: &Before<2>, end: End, units: u64) {
        let mut changes = Vec::new();
        for (after, before_it) in self.accounts().await.iter().zip(&before.accounts) {
            let entries = |state: &AccountState| (state.sub_entries, state.sponsoring);
            assert_eq!(entries(after), entries(before_it), "{case}: {}", after.id);
            let fees = fees::fees(&self.market.nodes, after.id, before.ledger).await;
            changes.push((after.sequence - before_it.sequence, after.balance.get() - before_it.balance.get() + fees));
        }
        let amount = TERMS.price.get() * units as i64;
        let expected = match end {
            End::Paid => [(1, amount), (1, -amount)],
            // Given back, by a claim and a payment in one transaction.
            End::Refunded if changes[0].0 > 0 => [(1, 0), (1, 0)],
            End::Refunded => [(0, 0), (2, 0)],
            End::Void => [(0, 0), (0, 0)],
            End::Split => panic!("{case}: a timed escrow is never divided"),
        };
        assert_eq!(
            changes, expected,
            "{case}: transactions of provider and consumer, and stroops besides the fees, {end:?}"
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

/// The phases in which a binding may be that is still to come to another one.
const fn way_to(phase: Phase) -> &'static [Phase] {
    use Phase::{Active, Agreed, Delivered, Disputed, Failed, Funded, Requested};
    match phase {
        Phase::Requested => &[],
        Phase::Agreed => &[Requested],
        Phase::Funded | Phase::Refused | Phase::Void => &[Requested, Agreed],
        Phase::Active => &[Requested, Agreed, Funded],
        Phase::Delivered | Phase::Failed => &[Requested, Agreed, Funded, Active],
        Phase::Timeout => &[Failed],
        Phase::Closed => &[Requested, Agreed, Funded, Active, Delivered],
        Phase::Disputed => &[Requested, Agreed, Funded, Active, Delivered, Failed],
        Phase::Closing => &[Disputed],
    }
}

/// What both sides' views say, in short.
fn shown(views: &[Option<BindingView>]) -> String {
    let one = |view: &Option<BindingView>| match view {
        Some(BindingView { side, phase, negotiation, ended, note, escrow, .. }) => {
            let escrow = escrow.as_ref().map(|escrow| escrow.state.as_str()).unwrap_or_default();
            format!(
                "{side} {phase}, {negotiation}, {escrow}, {}, {}",
                ended.as_deref().unwrap_or("not ended"),
                note.as_deref().unwrap_or_default()
            )
        }
        None => "nothing known".to_owned(),
    };
    views.iter().map(one).collect::<Vec<_>>().join("; ")
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
