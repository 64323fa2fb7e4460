//! A node's orderly end.

use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tradepost_protocol::market::Market;
use tradepost_protocol::market::event::Event;
use tradepost_protocol::time::Now;

use super::Node;
use crate::market::{Ended, MarketHandle};

/// How long what is under way outside may still take once sessions have ended: last words to the other sides, money
/// given back.
pub const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long the network may take to close its connections.
pub const NETWORK_CLOSE: Duration = Duration::from_secs(2);
/// How long the market may take to close its store, and once that was forced.
const STORE_CLOSE: Duration = Duration::from_secs(30);
/// See [`STORE_CLOSE`].
const STORE_CLOSE_FORCED: Duration = Duration::from_secs(3);
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
        let why = ended(&handle.market, force, (STORE_CLOSE, STORE_CLOSE_FORCED)).await;
        self.tasks.shutdown().await;
        why
    }

    /// Waits until the node has to end by itself, which a sound node never does.
    pub async fn failed(&self) -> Ended {
        tokio::select! {
            why = self.handle.market.ended() => why,
            () = self.network_gone.cancelled() => {
                tracing::error!("the network has ended: no peer is heard, and none hears this node");
                Ended::Network
            }
        }
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

/// Waits until the market has closed its store, for so long, and once it is forced. A disk that doesn't answer holds
/// nobody here for ever.
async fn ended(market: &MarketHandle, force: &CancellationToken, patience: (Duration, Duration)) -> Ended {
    let too_long = async {
        let forced = async {
            force.cancelled().await;
            tokio::time::sleep(patience.1).await;
        };
        // Whichever it is.
        let _ = timeout(patience.0, forced).await;
    };
    tokio::select! {
        biased;
        why = market.ended() => why,
        () = too_long => {
            tracing::error!("the store doesn't close: the process ends without it");
            Ended::Stuck
        }
    }
}

fn is_busy(market: &Market, _: Now) -> bool {
    let transactions = market.queue().is_some_and(|queue| queue.open().next().is_some() || queue.turn().is_some());
    transactions || market.trades().any(|trade| trade.owes_word())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);
    const NEVER: Duration = Duration::from_secs(3_600);

    #[tokio::test]
    async fn a_store_that_does_not_close_holds_nobody_for_ever_and_a_second_signal_cuts_it() {
        // A market that nobody runs never ends.
        let (market, _mailbox) = MarketHandle::new();
        let force = CancellationToken::new();
        assert_eq!(ended(&market, &force, (SOON, NEVER)).await, Ended::Stuck, "without a second signal");
        force.cancel();
        assert_eq!(ended(&market, &force, (NEVER, SOON)).await, Ended::Stuck, "with one");
    }

    #[tokio::test]
    async fn a_market_that_ends_is_not_cut() {
        let (market, mailbox) = MarketHandle::new();
        mailbox.ended.send_replace(Some(Ended::Asked));
        let force = CancellationToken::new();
        force.cancel();
        assert_eq!(ended(&market, &force, (Duration::ZERO, Duration::ZERO)).await, Ended::Asked);
    }
}
