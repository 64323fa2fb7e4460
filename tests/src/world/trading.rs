//! The ordinary steps of a trade, as users would type them.

use core::time::Duration;

use serde_json::json;
use tradepost_protocol::amount::{Price, Stroops, Unit};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::binding::phase::Phase;
use tradepost_protocol::book::Listing;
use tradepost_protocol::document::{BuiltIn, Transport};
use tradepost_protocol::escrow::EscrowKind;
use tradepost_protocol::market::command::{Answer, Command, CommandError, EscrowWish, OfferingDraft};
use tradepost_protocol::message::{BalanceId, BindingId, MessageId, SeriesId};

use super::World;

/// How long gossip and the look at the bond may take.
const SPREADING: Duration = Duration::from_secs(20);

/// An offering that is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Its series.
    pub series: SeriesId,
    /// Its revision.
    pub offering: MessageId,
    /// Its bond.
    pub bond: BalanceId,
}

/// A binding that was agreed and whose funding the provider knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// The binding.
    pub binding: BindingId,
    /// The request that began it.
    pub request: MessageId,
}

/// An HTTP service at 2 coins a call, two bindings at once, delivered within 20 s.
pub fn draft() -> OfferingDraft {
    let parameters = json!({ "endpoints": [{ "method": "GET", "path": "/" }] });
    OfferingDraft {
        template: BuiltIn::named("http-api").expect("a built-in template").id,
        parameters: parameters.as_object().expect("an object").clone(),
        title: "Echo".into(),
        description: "Says what it hears.".into(),
        service: None,
        recipient: None,
        price: Price { asset: Asset::Native, amount: Stroops::whole(2), unit: Unit::Call },
        min_units: 1,
        max_units: 100,
        max_supply: 2,
        deliver: Duration::from_secs(20),
        collect: Duration::from_secs(12),
        escrow: vec![EscrowKind::Timed],
        arbitration: None,
        transports: vec![Transport::Tcp],
        life: Duration::from_secs(3_600),
        spec: b"echo".to_vec(),
    }
}

impl World {
    /// A world with a provider that offers [`draft`] and a consumer that sees it, each with 100 coins.
    pub fn with_offering(seed: u64) -> (Self, Published) {
        let mut world = Self::new(seed);
        world.add_node("provider", Stroops::whole(100));
        world.add_node("consumer", Stroops::whole(100));
        let published = world.publish("provider", draft());
        world.see("consumer", published.series);
        (world, published)
    }

    /// Publishes a draft.
    ///
    /// # Panics
    /// Where it is refused.
    pub fn publish(&mut self, name: &str, draft: OfferingDraft) -> Published {
        match self.command(name, Command::Publish(Box::new(draft))) {
            Ok(Answer::Published { series, offering, bond, .. }) => Published { series, offering, bond },
            other => panic!("seed {}: publishing led to {other:?}", self.seed),
        }
    }

    /// Waits until a node lists a series as live with at least one free place.
    pub fn see(&mut self, name: &str, series: SeriesId) {
        self.run_until("the offering at the other node", SPREADING, |world| {
            world.listing(name, series).is_some_and(|l| l.live && l.bonded && l.free > 0)
        });
    }

    /// A series as a node lists it.
    pub fn listing(&self, name: &str, series: SeriesId) -> Option<Listing> {
        self.market(name).book().by_series(&series, self.now())
    }

    /// Binds so many units.
    ///
    /// # Errors
    /// What the node says.
    pub fn bind(&mut self, name: &str, offering: MessageId, units: u64) -> Result<Bound, CommandError> {
        match self.command(name, Command::Bind { offering, units, wish: EscrowWish::default(), dry_run: false })? {
            Answer::Bound { binding, request, .. } => Ok(Bound { binding, request }),
            other => panic!("seed {}: binding led to {other:?}", self.seed),
        }
    }

    /// A consumer's node made a call of a binding's service, and it was answered or not.
    pub fn called(&mut self, consumer: &str, binding: BindingId, answered: bool) {
        self.give(consumer, Command::CallDone { binding, failed: !answered });
    }

    /// Where a binding stands at a node.
    pub fn phase(&self, name: &str, request: MessageId) -> Phase {
        let trade = self.market(name).trade(request.as_bytes());
        trade.unwrap_or_else(|| panic!("{name} doesn't know {request}")).phase()
    }

    /// Waits until a binding is in a phase at a node.
    pub fn wait_phase(&mut self, name: &str, request: MessageId, phase: Phase) {
        let what = format!("phase {phase} at {name}");
        self.run_until(&what, Duration::from_secs(120), |world| {
            world.market(name).trade(request.as_bytes()).is_some_and(|t| t.phase() == phase)
        });
    }
}
