//! What happens outside, brought to the market's thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use tradepost_ledger::clock::LedgerClock;
use tradepost_ledger::{Head, Ledger};
use tradepost_network::{Event as NetworkEvent, EventReceiver};
use tradepost_protocol::kind::Kind;
use tradepost_protocol::market::event::{Event, ServiceEvent};
use tradepost_protocol::time::Now;

use super::MarketHandle;
use super::effects::{market_peer, read_cursor};
use super::inbox::{INBOX_RESERVED, INBOX_RESERVED_FROM_PEERS, Work};
use super::metrics::MarketMetrics;
use crate::supervisor;

/// After so many ledgers it is asked again what others pay.
const FEES_EVERY: u32 = 5;

/// Says every so often that time has passed, at most one such word waiting.
pub(crate) async fn tick(market: MarketHandle, waits: Arc<AtomicBool>, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if !waits.swap(true, Ordering::AcqRel) && market.inbox().send(Work::Tick).await.is_err() {
            return;
        }
    }
}

/// Tells of each new ledger, with its fee and reserve.
pub(crate) async fn follow_ledger(
    market: MarketHandle,
    clock: Arc<LedgerClock>,
    mut heads: watch::Receiver<Option<Head>>,
    real_time: bool,
) {
    while heads.changed().await.is_ok() {
        let Some(head) = *heads.borrow_and_update() else { continue };
        let skew = real_time.then(|| seconds_ahead(clock.now()));
        let work = Work::Ledger { closed: head.ledger, params: head.params, skew };
        if market.inbox().send(work).await.is_err() {
            return;
        }
    }
}

/// Tells now and then what most transactions paid of late.
pub(crate) async fn follow_fees(
    market: MarketHandle,
    ledger: Arc<dyn Ledger>,
    mut heads: watch::Receiver<Option<Head>>,
) {
    let mut next = 0;
    while heads.changed().await.is_ok() {
        let Some(sequence) = heads.borrow_and_update().map(|head| head.ledger.sequence) else { continue };
        if sequence < next {
            continue;
        }
        next = sequence.saturating_add(FEES_EVERY);
        match ledger.fees().await {
            Ok(stats) => market.send(Event::FeesPaid(stats.p90)).await,
            Err(error) => tracing::debug!(%error, "what others pay can't be read; offers stay as they are"),
        }
    }
}

/// How far this machine's clock is ahead of ledger time, in seconds.
fn seconds_ahead(now: Now) -> i64 {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let wall = i64::try_from(wall.as_secs()).unwrap_or(i64::MAX);
    wall.saturating_sub(i64::try_from(now.timestamp().secs()).unwrap_or(i64::MAX))
}

/// Brings what services say.
pub(crate) async fn follow_services(market: MarketHandle, mut events: mpsc::Receiver<supervisor::ServiceEvent>) {
    while let Some(event) = events.recv().await {
        let (binding, event) = match event {
            supervisor::ServiceEvent::Started { binding, .. } => (binding, ServiceEvent::Runs),
            supervisor::ServiceEvent::StartFailed { binding, why } => (binding, ServiceEvent::Failed(why.to_string())),
            supervisor::ServiceEvent::Exited { binding, code } => {
                let how = code.map_or_else(|| "by a signal".to_owned(), |code| format!("with exit code {code}"));
                (binding, ServiceEvent::Stopped(format!("the service ended {how}")))
            }
            // The market asked for that.
            supervisor::ServiceEvent::Stopped { .. } => continue,
        };
        market.send(Event::Service { binding, event }).await;
    }
}

/// Brings what peers send. Where the market has too much to do, gossip is ignored first, then requests are answered
/// empty; both are counted.
pub(crate) async fn follow_network(
    market: MarketHandle,
    network: tradepost_network::Handle,
    metrics: MarketMetrics,
    mut events: EventReceiver,
) {
    let intake = Intake { market, network, metrics };
    while let Some(event) = events.recv().await {
        intake.take(event).await;
    }
}

struct Intake {
    market: MarketHandle,
    network: tradepost_network::Handle,
    metrics: MarketMetrics,
}

impl Intake {
    async fn take(&self, event: NetworkEvent) {
        match event {
            NetworkEvent::Gossip { token, kind, bytes, from } => {
                let known = Kind::from_name(kind).zip(market_peer(from));
                let room = self.market.inbox().capacity() > INBOX_RESERVED;
                match known.filter(|_| room) {
                    Some((kind, from)) => self.hand_over(Work::Gossiped { token, kind, bytes, from }),
                    None => self.ignored(token),
                }
            }
            NetworkEvent::Direct { token, peer, bytes } => match market_peer(peer).filter(|_| self.room_for_peers()) {
                Some(peer) => self.hand_over(Work::Direct { token, peer, bytes }),
                None => {
                    self.metrics.overload("frame");
                    // Too late an answer is no answer.
                    let _ = self.network.respond(token, Bytes::new());
                }
            },
            NetworkEvent::IdsWanted { token, cursor, .. } if self.room_for_peers() => {
                // What isn't our cursor is no place in our list: begin at the start.
                let after = cursor.as_ref().and_then(read_cursor);
                self.hand_over(Work::IdsWanted { token, after });
            }
            NetworkEvent::FetchWanted { token, ids, .. } if self.room_for_peers() => {
                self.hand_over(Work::MessagesWanted { token, ids });
            }
            NetworkEvent::IdsWanted { .. } | NetworkEvent::FetchWanted { .. } => self.metrics.overload("catch-up"),
            NetworkEvent::PeerMet { peer } => {
                tracing::debug!(%peer, "met");
                if let Some(peer) = market_peer(peer) {
                    self.market.send(Event::PeerMet(peer)).await;
                }
            }
            NetworkEvent::PeerLost { peer } => {
                tracing::debug!(%peer, "lost");
                if let Some(peer) = market_peer(peer) {
                    self.market.send(Event::PeerLost(peer)).await;
                }
            }
            NetworkEvent::Listening(address) => tracing::info!(%address, "listening for peers"),
            other => tracing::debug!(?other, "an event of the network without meaning here"),
        }
    }

    fn room_for_peers(&self) -> bool {
        self.market.inbox().capacity() > INBOX_RESERVED_FROM_PEERS
    }

    fn ignored(&self, token: tradepost_network::MessageToken) {
        self.metrics.overload("gossip");
        self.network.verdict(token, tradepost_network::Verdict::Ignore);
    }

    /// Others fill the inbox meanwhile, but not so many that the room just seen is gone; else the peer has no answer.
    fn hand_over(&self, work: Work) {
        if self.market.inbox().try_send(work).is_err() {
            self.metrics.overload("any");
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use tradepost_network::{Config, Handle, KindConfig};

    use super::super::inbox::INBOX;
    use super::*;

    const KIND: Kind = Kind::Status;
    const PATIENCE: Duration = Duration::from_secs(20);

    fn network(seed: u8) -> (Handle, EventReceiver) {
        let kind = KindConfig { number: KIND.number(), name: KIND.name(), max_bytes: KIND.max_bytes(), gossiped: true };
        let mut config = Config::new([seed; 32], "0123abcd", vec![kind]);
        config.local = true;
        config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
        let (handle, events, actor) = tradepost_network::spawn(config).unwrap();
        tokio::spawn(actor);
        (handle, events)
    }

    async fn address(events: &mut EventReceiver) -> tradepost_network::Multiaddr {
        loop {
            if let Some(NetworkEvent::Listening(address)) = events.recv().await {
                return address;
            }
        }
    }

    /// Leaves so many places in the inbox of a market that doesn't run.
    fn leave(market: &MarketHandle, places: usize) {
        while market.inbox().capacity() > places {
            assert!(market.inbox().try_send(Work::Wake).is_ok());
        }
    }

    #[tokio::test]
    async fn a_flood_takes_gossips_places_first_then_requests_and_never_the_rest() {
        let (busy, mut events) = network(1);
        let (peer, mut heard) = network(2);
        let at = tokio::time::timeout(PATIENCE, address(&mut events)).await.unwrap();
        let (market, mailbox) = MarketHandle::new();
        let metrics = MarketMetrics::default();
        tokio::spawn(follow_network(market.clone(), busy.clone(), metrics.clone(), events));
        let count = |sort| metrics.overloaded.get_or_create(&[("sort", sort)]).get();

        leave(&market, INBOX_RESERVED);
        peer.dial(busy.local_peer_id(), vec![at]).await.unwrap();
        let met = async { while !matches!(heard.recv().await, Some(NetworkEvent::PeerMet { .. })) {} };
        tokio::time::timeout(PATIENCE, met).await.unwrap();
        peer.publish(KIND.name(), Bytes::from_static(b"gossip")).await.unwrap();
        let ignored = async {
            while count("gossip") == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, ignored).await.unwrap();

        leave(&market, INBOX_RESERVED_FROM_PEERS);
        let answer = peer.direct(busy.local_peer_id(), Vec::new(), Bytes::from_static(b"frame"), PATIENCE).await;
        assert_eq!(answer.unwrap(), Bytes::new());
        assert_eq!(count("frame"), 1);
        market.send(Event::Tick).await;
        assert!(mailbox.inbox.len() > INBOX - INBOX_RESERVED_FROM_PEERS, "what isn't a peer's still has room");
    }

    #[tokio::test]
    async fn ticks_do_not_pile_up() {
        let (market, mut mailbox) = MarketHandle::new();
        let waits = Arc::new(AtomicBool::new(false));
        tokio::spawn(tick(market, Arc::clone(&waits), Duration::from_millis(1)));
        assert!(matches!(mailbox.inbox.recv().await, Some(Work::Tick)));
        let second = tokio::time::timeout(Duration::from_millis(50), mailbox.inbox.recv()).await;
        assert!(second.is_err(), "some fifty ticks later, the first is still the only one");
        waits.store(false, Ordering::Release);
        assert!(matches!(mailbox.inbox.recv().await, Some(Work::Tick)));
    }
}
