//! A node's orderly end.

use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tradepost_protocol::market::Market;
use tradepost_protocol::market::event::Event;
use tradepost_protocol::time::Now;

use super::Node;
use crate::market::Ended;

/// How long what is under way outside may still take once sessions have ended: last words to the other sides, money
/// given back.
pub const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long the network may take to close its connections.
pub const NETWORK_CLOSE: Duration = Duration::from_secs(2);
/// How long services that are killed may take to be gone.
const KILLED: Duration = Duration::from_secs(2);
/// How often it is looked whether everything is said; news make it sooner.
const LOOK: Duration = Duration::from_millis(200);

impl Node {
    /// Ends the node: takes no new call, waits up to `drain` for those that run, ends all sessions, stops the services,
    /// says the last words, closes the store. `force` cuts every wait short.
    pub async fn shutdown(mut self, drain: Duration, force: &CancellationToken) -> Ended {
        let handle = self.handle.clone();
        tokio::select! {
            () = Self::drain(&handle, drain) => {}
            () = force.cancelled() => {
                tracing::warn!("forced: what runs is cut off");
                if timeout(KILLED, handle.supervisor.kill()).await.is_err() {
                    tracing::warn!("a service doesn't end though it was killed; the next start looks for it again");
                }
            }
        }
        handle.network.close(if force.is_cancelled() { Duration::ZERO } else { NETWORK_CLOSE }).await;
        handle.market.stop();
        let why = handle.market.ended().await;
        self.tasks.shutdown().await;
        why
    }

    /// Waits until the node has to end by itself, which a sound node never does.
    pub async fn failed(&self) -> Ended {
        self.handle.market.ended().await
    }

    async fn drain(handle: &super::NodeHandle, drain: Duration) {
        let until = Instant::now() + drain;
        handle.served.drain();
        if timeout_at(until, handle.served.finished()).await.is_err() {
            tracing::warn!("calls still ran at the end of the time for them, and are cut off");
        }
        handle.market.send(Event::Stopping).await;
        handle.supervisor.close().await;
        if timeout(LAST_WORDS, Self::said(handle)).await.is_err() {
            tracing::info!("what is still open goes on at the next start");
        }
    }

    /// Waits until nothing is under way that can be finished now.
    async fn said(handle: &super::NodeHandle) {
        let mut news = handle.market.news();
        while handle.market.ask(is_busy).await.unwrap_or(false) {
            // Either way it is looked again.
            let _ = timeout(LOOK, news.recv()).await;
        }
    }
}

fn is_busy(market: &Market, _: Now) -> bool {
    let transactions = market.queue().is_some_and(|queue| queue.open().next().is_some() || queue.turn().is_some());
    transactions || market.trades().any(|trade| trade.owes_word())
}
