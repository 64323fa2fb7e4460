//! Another node with this one's keys: what a backup was made of, and lives on beside what was restored from it.
//!
//! Two such nodes would agree to one request twice, sell a place twice and give back what the other one earns. So a
//! restored node serves nothing, and leaves its sessions as they stand, before it knows that no other node answers. It
//! has two ways to know: whoever runs it seeks the other one ([`Event::Twin`](crate::market::event::Event::Twin)), and a
//! node that serves says its presence, which gets to this one from any peer's book. What the ledger alone can finish goes
//! on meanwhile: a refund from T on, an escrow whose session was earned before the backup, a bond that is due.
//!
//! Once alone it begins anew, and yields again whenever it hears of the other one. A node that wasn't restored yields to
//! nobody: it only says that there are two.

use core::time::Duration;

use crate::account::ServingKey;
use crate::binding::phase::Side;
use crate::binding::trade::Trade;
use crate::market::Market;
use crate::market::event::Effect;
use crate::step::{Space, Step};
use crate::time::{Now, Timestamp};

/// Where a node that was restored once keeps that it yields, in [`Space::Mark`].
pub(super) const YIELDS_KEY: &[u8] = b"yields";

/// What a look for another node with this one's keys came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TwinSight {
    /// No peer could be asked where it is.
    NobodyToAsk,
    /// It answers.
    Answers,
    /// It doesn't answer.
    Silent,
    /// Its owner says that it is gone for good, whatever is heard of it.
    SurelyGone,
}

/// What is known of another node with this one's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Twin {
    /// There is none, as far as anybody knows.
    None,
    /// This node was restored, and the other one is being sought.
    Sought {
        /// Whether there is somebody to ask for it.
        anybody: bool,
    },
    /// It answers.
    Answers,
    /// It didn't answer; were it there all the same, its presence would be heard until then.
    ListenedFor {
        /// When this node believes that it is alone.
        until: Timestamp,
    },
    /// Its presence was heard.
    Heard {
        /// When it said so.
        at: Timestamp,
        /// Whether this node yields to it.
        yields: bool,
    },
}

/// What a node remembers of it.
#[derive(Debug, Default)]
pub(super) struct Twins {
    /// Whether this node was restored, and so isn't the first of two.
    pub(super) yields: bool,
    sight: Option<TwinSight>,
    /// Whether the sessions of a restored node are its own again.
    resumed: bool,
    /// Since when it is silent.
    silent_since: Now,
    /// The presence that isn't another node's.
    own_presence: Option<Timestamp>,
}

impl Market {
    /// What is known of another node with this one's keys.
    pub fn twin(&self, now: Now) -> Twin {
        let yields = self.recovery.restored || self.twins.yields;
        if self.twins.sight == Some(TwinSight::Answers) {
            return Twin::Answers;
        }
        if self.recovery.restored && !matches!(self.twins.sight, Some(TwinSight::Silent | TwinSight::SurelyGone)) {
            return Twin::Sought { anybody: self.twins.sight.is_none() };
        }
        if let Some(at) = self.twin_heard(now) {
            return Twin::Heard { at, yields };
        }
        let until = self.twins.silent_since.plus(self.listening());
        if self.recovery.restored && self.twins.sight == Some(TwinSight::Silent) && now < until {
            return Twin::ListenedFor { until: until.timestamp() };
        }
        Twin::None
    }

    /// Whether this node begins nothing new now: it was restored and isn't done with that, or yields to its twin.
    pub fn holds_back(&self, now: Now) -> bool {
        self.recovery.restored || matches!(self.twin(now), Twin::Heard { yields: true, .. })
    }

    /// Why it doesn't, for whoever wants something of it.
    pub(super) fn why_held_back(&self, now: Now) -> String {
        let why = match self.twin(now) {
            Twin::Answers | Twin::Heard { .. } => {
                "another node answers with this one's keys, and this one was restored from a backup: stop one of the two"
            }
            Twin::Sought { .. } | Twin::ListenedFor { .. } => {
                "this node was restored from a backup and doesn't know yet whether the node that it was made of still runs; \
                 `tradepost status` tells how far it is"
            }
            Twin::None => {
                "this node was restored from a backup and still compares it with the ledger; try again shortly"
            }
        };
        why.to_owned()
    }

    /// Whether sessions are left as they stand: they may be another node's.
    pub(super) fn stands_still(&self) -> bool {
        self.recovery.restored && !self.twins.resumed
    }

    fn is_alone(&self, now: Now) -> bool {
        self.twins.sight == Some(TwinSight::SurelyGone) || self.twin(now) == Twin::None
    }

    /// A living twin with something on offer says its presence at least that often.
    fn listening(&self) -> Duration {
        match self.offers.values().any(|offer| offer.is_open()) {
            true => self.presence_fresh(),
            false => Duration::ZERO,
        }
    }

    /// Younger than this, a presence may be of a node that lives.
    fn presence_fresh(&self) -> Duration {
        self.setup.margins.presence_every * 3 / 2
    }

    /// When another node said that it serves under this one's key, where that isn't long ago.
    fn twin_heard(&self, now: Now) -> Option<Timestamp> {
        let key = self.setup.keys.serving.as_ref().map(ServingKey::of)?;
        let at = self.book.present(&key, now).filter(|at| Some(*at) != self.twins.own_presence)?;
        (now.timestamp().since(at) < self.presence_fresh()).then_some(at)
    }

    /// Takes the presence in a node's own store for its own; a backup has none.
    pub(super) fn recognise_presence(&mut self, now: Now) {
        let key = self.setup.keys.serving.as_ref().map(ServingKey::of);
        self.twins.own_presence = key.filter(|_| !self.recovery.restored).and_then(|key| self.book.present(&key, now));
    }

    /// This node said its presence.
    pub(super) fn said_presence(&mut self, at: Timestamp) {
        self.twins.own_presence = Some(at);
    }

    /// Somebody looked for another node with this one's keys.
    pub(super) fn twin_sought(&mut self, sight: TwinSight, now: Now, step: &mut Step<Effect>) {
        if self.twins.sight == Some(TwinSight::SurelyGone) {
            return;
        }
        if sight == TwinSight::Silent && self.twins.sight != Some(TwinSight::Silent) {
            self.twins.silent_since = now;
        }
        self.twins.sight = Some(sight);
        if sight == TwinSight::SurelyGone {
            self.twins.yields = false;
            // Whatever of it is still going round is its last.
            let key = self.setup.keys.serving.as_ref().map(ServingKey::of);
            self.twins.own_presence = key.and_then(|key| self.book.present(&key, now));
            step.batch().delete(Space::Mark, YIELDS_KEY);
        }
    }

    /// A restored node that is alone has its sessions for its own again, and what it missed counts as missed.
    pub(super) fn resume_sessions(&mut self, now: Now, step: &mut Step<Effect>) {
        if !self.stands_still() || !self.is_alone(now) {
            return;
        }
        self.twins.resumed = true;
        self.end_what_was_missed(now, step);
        for trade in self.trades.values_mut() {
            trade.volatile.heard_at = now;
        }
    }

    /// Ends being restored, where this node is alone.
    pub(super) fn take_over(&mut self, now: Now, step: &mut Step<Effect>) {
        if self.stands_still() || !self.is_alone(now) {
            return;
        }
        self.recovery.restored = false;
        step.batch().delete(Space::Mark, super::RESTORED_KEY);
        if self.twins.sight != Some(TwinSight::SurelyGone) {
            self.twins.yields = true;
            step.batch().put(Space::Mark, YIELDS_KEY, []);
        }
    }

    /// What the ledger alone can finish, whoever else has this node's keys.
    pub(super) fn finish_on_the_ledger(&mut self, trade: &Trade, now: Now, step: &mut Step<Effect>) {
        match trade.state.side {
            Side::Provider => self.settle(trade, now, step),
            Side::Consumer => self.want_refund(trade, now, step),
        }
    }
}
