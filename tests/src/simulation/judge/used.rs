//! What consumers used of what they bought, as the world saw it, and what their nodes concede for it by themselves.

use core::time::Duration;

use tradepost_protocol::amount::Unit;
use tradepost_protocol::binding::session::{End, Session};
use tradepost_protocol::message::{BindingId, MessageId};
use tradepost_protocol::time::Now;

use super::{Deal, Judge};
use crate::world::{Standing, World};

/// By so much a node's count may be off its clock: it counts whole seconds.
const CLOCKS_OFF: Duration = Duration::from_secs(1);
/// That a service began is heard so many seconds later at the most, and never half of what was bought.
const HEARD_WITHIN: u64 = 2;

/// What a consumer used of a binding's service.
#[derive(Debug, Clone, Copy, Default)]
pub struct Used {
    answered: u64,
    failed: u64,
    since: Option<Now>,
    until: Option<(Now, End)>,
}

impl Judge {
    /// A consumer's node knows since when, and until when, the service ran.
    pub(super) fn session_moved(&mut self, node: usize, request: MessageId, after: &Standing, at: Now) {
        let deal = self.agreed.get(&request).and_then(|binding| self.accounts.deals.get(binding));
        if deal.is_none_or(|deal| deal.consumer != self.nodes[node].1) {
            return;
        }
        let used = self.used.entry(request).or_default();
        match after.session {
            Session::Active | Session::Away => drop(used.since.get_or_insert(at)),
            Session::Ended(end) => drop(used.until.get_or_insert((at, end))),
            Session::Idle | Session::Starting => {}
        }
    }

    /// A consumer's node made a call that is over.
    pub(super) fn call_over(&mut self, node: usize, binding: BindingId, failed: bool) {
        let deal = self.accounts.deals.get(&binding).filter(|deal| deal.consumer == self.nodes[node].1);
        if let Some(deal) = deal {
            let used = self.used.entry(deal.request).or_default();
            used.answered += u64::from(!failed);
            used.failed += u64::from(failed);
        }
    }

    /// A consumer's node never gives more by itself than what was used; its owner may.
    pub(super) fn concedes_what_was_used(&self, world: &World, name: &str) -> Result<(), String> {
        let account = world.account(name);
        for (request, split) in world.words(name).filter(|(request, _)| !self.given.contains(request)) {
            let deal = self.agreed.get(&request).and_then(|binding| self.accounts.deals.get(binding));
            let Some(deal) = deal.filter(|deal| deal.consumer == account) else { continue };
            let used = self.used.get(&request).copied().unwrap_or_default();
            let most = used.is_worth(deal);
            if i128::from(split.to_provider.get()) > most {
                let conceded = split.to_provider.get();
                return Err(format!(
                    "{name} concedes {conceded} stroops of {request} by itself, at most {most}: {used:?}"
                ));
            }
        }
        Ok(())
    }
}

impl Used {
    /// What may be conceded for it at the most, in stroops.
    fn is_worth(&self, deal: &Deal) -> i128 {
        let Some((until, end)) = self.until.filter(|(_, end)| end.earned()) else { return 0 };
        let seconds = self.since.map_or(0, |since| (until.since(since) + CLOCKS_OFF).as_secs());
        let (all, units) = (i128::from(deal.price.stroops), i128::from(deal.units));
        let part = |counted: u64| all * i128::from(counted.min(deal.units)) / units.max(1);
        match (deal.unit, end) {
            // Where the provider says that it was away and it wasn't, it gives what it used.
            (Unit::Call, End::Done | End::UnitsUsed | End::ConsumerGone) => part(self.answered),
            // A package is there to be used until its end, and whoever used it knows that it worked.
            (Unit::Call, _) if self.answered > 0 => all,
            (Unit::Second, _) if seconds > 0 => {
                let covered = seconds + HEARD_WITHIN.min(deal.units / 2) >= deal.units;
                if covered { all } else { part(seconds) }
            }
            _ => 0,
        }
    }
}
