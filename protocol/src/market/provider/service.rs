//! What a provider sells, running: services started, calls admitted and counted.

use rand_core::CryptoRng;

use crate::amount::Unit;
use crate::binding::frames::Sealed;
use crate::binding::phase::Side;
use crate::binding::session::{Session, SessionEvent};
use crate::binding::trade::{Told, Trade};
use crate::market::Market;
use crate::market::command::{Answer, CommandError, CommandId};
use crate::market::consumer::ACCESS_INFO;
use crate::market::event::{Effect, ServiceEvent};
use crate::message::BindingId;
use crate::seal;
use crate::step::Step;
use crate::time::Now;

impl Market {
    /// Starts the service, also again after a restart of this node.
    pub(super) fn start_service(&self, trade: &mut Trade, step: &mut Step<Effect>) {
        let (Some(binding), true) = (trade.binding(), trade.state.session.runs() && !trade.volatile.starting) else {
            return;
        };
        if let Some(offer) = self.offers.get(&trade.series()) {
            trade.volatile.starting = true;
            step.then(Effect::StartService { binding, spec: offer.spec.clone() });
        }
    }

    /// A binding's service says something of itself.
    pub(in crate::market) fn service(
        &mut self,
        binding: BindingId,
        event: ServiceEvent,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let Some(request) = self.by_binding.get(&binding).copied() else {
            return step.then(Effect::StopService { binding });
        };
        self.with_trade(request, step, |market, trade, step| match event {
            ServiceEvent::Runs if !trade.state.session.runs() => step.then(Effect::StopService { binding }),
            ServiceEvent::Runs => market.service_runs(trade, binding, now, rng, step),
            ServiceEvent::Failed(why) => market.move_session(trade, SessionEvent::ServiceFailed, &why, step),
            ServiceEvent::Stopped(why) => market.move_session(trade, SessionEvent::ServiceStopped, &why, step),
        });
        self.drive(request, now, rng, step);
    }

    fn service_runs(
        &mut self,
        trade: &mut Trade,
        binding: BindingId,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        trade.session(SessionEvent::ServiceRuns);
        trade.state.active_since.get_or_insert(now.timestamp());
        trade.volatile.heard_at = now;
        if trade.state.sealed.is_some() {
            return;
        }
        let sealed = trade.terms().zip(trade.state.access).and_then(|(terms, access)| {
            let bytes = crate::frame::encode(&access).ok()?;
            seal::seal(rng, &terms.consumer_sealing, ACCESS_INFO, binding.as_bytes(), &bytes).ok()
        });
        match sealed.and_then(Sealed::new) {
            Some(sealed) => {
                trade.state.sealed = Some(sealed);
                trade.state.told = Told::StartPending;
                trade.volatile.retry_at = Now::default();
            }
            None => {
                let why = "access details can't be sealed to the consumer's key";
                self.move_session(trade, SessionEvent::ServiceFailed, why, step);
            }
        }
    }

    /// A consumer's call wants in: its token must be the binding's, a unit must be left, and no money be on its way back. The
    /// unit is counted before the call goes on, and given back by [`Market::call_done`] where the service failed.
    pub(in crate::market) fn admit_call(
        &mut self,
        id: CommandId,
        binding: BindingId,
        token: &[u8; 32],
        step: &mut Step<Effect>,
    ) {
        let refused = |why: &str| Err(CommandError::NotNow(why.to_owned()));
        let request = self.by_binding.get(&binding).copied();
        let answer = request.and_then(|request| {
            self.with_trade(request, step, |market, trade, _| {
                if market.draining {
                    return refused("the provider's node is stopping");
                }
                if !trade.state.access.is_some_and(|a| same(&a.token, token)) || trade.state.side != Side::Provider {
                    return Err(unknown_binding(binding));
                }
                if !matches!(trade.state.session, Session::Active | Session::Away) {
                    return refused(&format!("the binding is {}, its service doesn't run", trade.phase()));
                }
                if let Some(why) = trade.why_served_no_more() {
                    return refused(why);
                }
                let Some(agreed) = trade.terms() else { return Err(unknown_binding(binding)) };
                if agreed.unit == Unit::Call {
                    if trade.state.used >= agreed.units {
                        return refused("all calls of this binding are used");
                    }
                    trade.state.used += 1;
                }
                trade.volatile.calls += 1;
                Ok(Answer::Admitted)
            })
        });
        Self::answer(step, id, answer.unwrap_or_else(|| Err(unknown_binding(binding))));
    }

    /// A call is over: one that was served here, or one that this node made. What a consumer saw of a service counts where
    /// arbiters may be asked about it.
    pub(in crate::market) fn call_done(
        &mut self,
        binding: BindingId,
        failed: bool,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let Some(request) = self.by_binding.get(&binding).copied() else { return };
        self.with_trade(request, step, |_, trade, _| {
            if trade.state.side == Side::Consumer {
                if trade.state.dispute.is_some() {
                    trade.state.seen.call(!failed);
                }
                return;
            }
            trade.volatile.calls = trade.volatile.calls.saturating_sub(1);
            if failed && trade.terms().is_some_and(|a| a.unit == Unit::Call) {
                trade.state.used = trade.state.used.saturating_sub(1);
            }
        });
        self.drive(request, now, rng, step);
    }
}

fn unknown_binding(binding: BindingId) -> CommandError {
    CommandError::NotFound {
        what: "binding",
        id: binding.to_string(),
        hint: "the binding or its token is wrong, or it ended long ago",
    }
}

/// Compares two tokens in a time that doesn't depend on where they differ.
fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.iter().zip(b).fold(0, |differs, (x, y)| differs | (x ^ y)) == 0
}
