//! What ends by itself: series, requests, presences, waiting; and statuses that were kept back.

use super::catch_up::forget;
use super::{Book, BookEffect};
use crate::account::ServingKey;
use crate::limits::STATUS_RELAYED_EVERY;
use crate::message::SeriesId;
use crate::step::Step;
use crate::time::Now;

impl Book {
    /// Lets go of what is over, and passes on the statuses that were kept back. To be called every few seconds.
    pub fn expire(&mut self, now: Now) -> Step<BookEffect> {
        let mut step = Step::none();
        let over: Vec<SeriesId> =
            self.ends.iter().take_while(|(end, _)| *end < now.timestamp()).map(|(_, id)| *id).collect();
        for id in over {
            self.remove_series(&id, &mut step);
        }
        self.expire_requests(now, &mut step);
        self.waiting.expire(now).into_iter().for_each(|lacked| self.count(lacked));
        self.expire_presences(now, &mut step);
        self.relay_kept_back(now, &mut step);
        step
    }

    fn expire_presences(&mut self, now: Now, step: &mut Step<BookEffect>) {
        let stale = |at| now.timestamp().since(at) >= self.margins.presence_life;
        let gone: Vec<ServingKey> =
            self.presences.iter().filter(|(_, p)| stale(p.body().at)).map(|(key, _)| *key).collect();
        for key in gone {
            let Some(presence) = self.presences.remove(&key) else { continue };
            self.held.remove(presence.packed());
            forget(step, presence.packed());
            let served = self.serving.get(&key).into_iter().flatten();
            served.for_each(|id| step.then(BookEffect::Updated(*id)));
        }
    }

    fn relay_kept_back(&mut self, now: Now, step: &mut Step<BookEffect>) {
        let rested = |id: &SeriesId| {
            let at = self.series.get(id).and_then(|s| s.status_relayed_at);
            at.is_none_or(|at| now.since(at) >= STATUS_RELAYED_EVERY)
        };
        let due: Vec<SeriesId> = self.unrelayed.iter().filter(|id| rested(id)).copied().collect();
        for id in due {
            self.unrelayed.remove(&id);
            let Some(series) = self.series.get_mut(&id) else { continue };
            series.status_relayed_at = Some(now);
            if let Some(status) = &series.status {
                step.then(BookEffect::Relay(status.packed().clone()));
            }
        }
    }
}
