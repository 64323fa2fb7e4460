//! What somebody who sees the whole world sees happen, for those who judge it.

use tradepost_protocol::binding::agreement::Agreement;
use tradepost_protocol::binding::dispute::{DisputeRecord, DisputeState, Split};
use tradepost_protocol::binding::frames;
use tradepost_protocol::binding::negotiation::Negotiation;
use tradepost_protocol::binding::session::Session;
use tradepost_protocol::binding::trade::Trade;
use tradepost_protocol::escrow::outcome::EscrowState;
use tradepost_protocol::kind::Kind;
use tradepost_protocol::message::{BindingId, MessageId, Signed};
use tradepost_protocol::stellar::LedgerPoint;
use tradepost_protocol::time::Now;

use super::{Included, Moment, Trace, World};

/// Where a binding stands at a node, machine by machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// How far the two agreed.
    pub negotiation: Negotiation,
    /// What the ledger showed.
    pub escrow: EscrowState,
    /// Where the service is.
    pub session: Session,
    /// Where the dispute about its money is.
    pub dispute: DisputeState,
    /// What was agreed on.
    pub binding: Option<BindingId>,
    /// Whether this side asked its arbiters itself, and not only because it heard that the other one did.
    pub asked: bool,
}

impl Standing {
    /// Where a binding stands.
    pub fn of(trade: &Trade) -> Self {
        let (negotiation, escrow, session) = (trade.state.negotiation, trade.escrow().clone(), trade.state.session);
        let record = trade.state.dispute.as_ref();
        let dispute = record.map_or(DisputeState::None, DisputeRecord::state);
        let claim = record.and_then(|record| record.claimed_by(trade.state.side));
        Self { negotiation, escrow, session, dispute, binding: trade.binding(), asked: claim.is_some() }
    }
}

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Sight {
    /// A ledger closed.
    Closed {
        /// Which.
        point: LedgerPoint,
        /// Its transactions, in their order.
        included: Vec<Included>,
    },
    /// A node stored that a binding moved; without `before`, it is new to it.
    Moved {
        /// The node's number.
        node: usize,
        /// The binding's request.
        request: MessageId,
        /// Where it stood.
        before: Option<Box<Standing>>,
        /// Where it stands.
        after: Box<Standing>,
        /// When, by the node's own clock: one that starts while the ledger stands still is late until the next one closes.
        at: Now,
    },
    /// A node started again and no longer knows a binding that it had stored.
    Lost {
        /// The node's number.
        node: usize,
        /// The binding's request.
        request: MessageId,
    },
    /// A node crashed by its plan.
    Crashed {
        /// The node's number.
        node: usize,
        /// The commit that was its last, counted from 1.
        commit: u64,
        /// Before or after what follows from it.
        moment: Moment,
    },
    /// A provider answers with its signed terms, or brings them.
    Agreed(Box<Signed<Agreement>>),
    /// A node is told that a call is over, which it made or answered.
    CallOver {
        /// The node's number.
        node: usize,
        /// The call's binding.
        binding: BindingId,
        /// Whether the service didn't answer it.
        failed: bool,
    },
    /// A service is told to start.
    ServiceTold {
        /// By this node.
        node: usize,
        /// Its binding.
        binding: BindingId,
        /// The bindings whose services run there now, this one among them.
        running: Vec<BindingId>,
    },
    /// A service is healthy.
    ServiceHealthy {
        /// Its binding.
        binding: BindingId,
    },
}

impl World {
    /// Keeps what happens from now on for [`World::take_sights`].
    pub fn watch(&mut self) {
        self.sights = Some(Vec::new());
    }

    /// Writes down from now on as this trace does.
    pub fn write_to(&mut self, trace: Trace) {
        self.trace = trace;
    }

    /// What happened since this was last asked.
    pub fn take_sights(&mut self) -> Vec<Sight> {
        self.sights.as_mut().map(core::mem::take).unwrap_or_default()
    }

    pub(super) fn see_that(&mut self, sight: impl FnOnce() -> Sight) {
        if let Some(sights) = &mut self.sights {
            sights.push(sight());
        }
    }

    /// Whether a node's side of a binding ever gave its word for a division of its money.
    pub fn gave_its_word(&self, name: &str, request: MessageId, split: Split) -> bool {
        self.nodes[self.index(name)].words.contains(&(request, split))
    }

    /// For which divisions of which bindings' money a node's side ever gave its word.
    pub fn words(&self, name: &str) -> impl Iterator<Item = (MessageId, Split)> + '_ {
        self.nodes[self.index(name)].words.iter().copied()
    }

    /// Which bindings a commit of a node moved.
    pub(super) fn see_moves(&mut self, index: usize) {
        let millis = self.millis;
        let Some(sights) = &mut self.sights else { return };
        let node = &mut self.nodes[index];
        let Some(life) = &mut node.life else { return };
        let at = life.clock.now(millis);
        for trade in life.market.trades() {
            let record = trade.state.dispute.as_ref();
            let word = record.and_then(|record| record.released(trade.state.side));
            node.words.extend(word.map(|split| (trade.request_id(), split)));
            let (request, after) = (trade.request_id(), Standing::of(trade));
            if node.standings.get(&request) != Some(&after) {
                let before = node.standings.insert(request, after.clone()).map(Box::new);
                let after = Box::new(after);
                sights.push(Sight::Moved { node: index, request, before, after, at });
            }
        }
    }

    /// Which bindings a node has forgotten by a restart.
    pub(super) fn look_for_losses(&mut self, index: usize) {
        let Some(sights) = &mut self.sights else { return };
        let node = &self.nodes[index];
        let Some(life) = &node.life else { return };
        let lost = node.standings.keys().filter(|request| life.market.trade(request.as_bytes()).is_none());
        sights.extend(lost.map(|request| Sight::Lost { node: index, request: *request }));
    }

    pub(super) fn see_agreement(&mut self, bytes: &[u8]) {
        if self.sights.is_none() {
            return;
        }
        let network = self.ledger.network();
        let Ok(packed) = frames::from_stream(&network, bytes) else { return };
        if packed.kind() == Kind::Agreement
            && let Ok(agreement) = packed.open::<Agreement>(&network)
        {
            self.see_that(|| Sight::Agreed(Box::new(agreement)));
        }
    }
}
