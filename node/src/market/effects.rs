//! What the market wants done outside: on the ledger, in the network, by services. Nothing here waits on the market's
//! thread; what takes time is a task of its own, bounded in number and time, and answers with an event.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tradepost_ledger::{Ledger, TxStatus};
use tradepost_network::{
    Cursor, DirectToken, FetchAnswer, FetchPage, FetchToken, IdPage, IdsToken, ItemId, MessageToken, PeerFault,
};
use tradepost_protocol::account::PeerId;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::escrow::taking;
use tradepost_protocol::intent::queue::SubmitAnswer;
use tradepost_protocol::kind::Kind;
use tradepost_protocol::limits::FRAME_TIMEOUT;
use tradepost_protocol::market::event::{Ask, Call, Effect, Event, KeptStamp, ServiceEvent, Verdict};
use tradepost_protocol::message::{BalanceId, BindingId, MessageId, Sha256Hash, TxHash};
use tradepost_protocol::network_id::NetworkId;
use tradepost_protocol::refusal::{Fault, Reason, Refusal};
use tradepost_protocol::stellar::ledger_key::Key;
use tradepost_protocol::stellar::xdr;

use super::MarketHandle;
use super::follower;
use super::in_flight::{Flight, InFlight};
use super::metrics::MarketMetrics;
use crate::config::ServiceConfig;
use crate::supervisor::{ServiceSpec, Supervisor, SupervisorError};
use crate::timestamps::Timestamps;

/// Reads of the ledger under way, count.
const MAX_READS: usize = 32;
/// Submissions under way, count; apart from all questions, which they must not wait for.
const MAX_SUBMISSIONS: usize = 32;
/// Questions for a transaction's status under way, count; apart from reads.
const MAX_STATUSES: usize = 32;
/// Frames whose answer is waited for, count, and of one peer: a heartbeat a second for ten seconds, and the trade's own.
const FRAMES: (usize, usize) = (1_024, 16);
/// Pages of ids and of messages that are waited for, count, and of one peer: a page of ids leads to eight fetches and the
/// next page.
const FETCHES: (usize, usize) = (64, 12);
/// Messages of one's own that wait for the network, count.
const MAX_PUBLISHES: usize = 1_024;
/// Answers in which a peer may serve one fetch.
const MAX_FETCH_ROUNDS: usize = 64;
/// Pages of ids that are asked of one peer after it was met.
const MAX_ID_PAGES: u32 = 512;
/// Peers whose pages are counted.
const MAX_PAGED_PEERS: usize = 1_024;

/// The world outside the market.
#[derive(Debug)]
pub(crate) struct Outside {
    pub(crate) metrics: MarketMetrics,
    runtime: runtime::Handle,
    market: MarketHandle,
    network: tradepost_network::Handle,
    ledger: Arc<dyn Ledger>,
    network_id: NetworkId,
    supervisor: Supervisor,
    timestamps: Timestamps,
    services: BTreeMap<String, ServiceConfig>,
    publishes: mpsc::Sender<(Kind, Bytes)>,
    reads: Arc<Semaphore>,
    submissions: Arc<Semaphore>,
    statuses: Arc<Semaphore>,
    frames: InFlight,
    fetches: InFlight,
    pages: BTreeMap<PeerId, u32>,
    tick_waits: Arc<AtomicBool>,
}

impl Outside {
    /// The way to everything outside. Must be called in a runtime, on which it works from then on.
    pub(crate) fn new(
        market: MarketHandle,
        network: tradepost_network::Handle,
        (ledger, network_id): (Arc<dyn Ledger>, NetworkId),
        supervisor: Supervisor,
        timestamps: Timestamps,
        services: BTreeMap<String, ServiceConfig>,
        metrics: MarketMetrics,
    ) -> Self {
        let runtime = runtime::Handle::current();
        let (publishes, waiting) = mpsc::channel(MAX_PUBLISHES);
        runtime.spawn(publish(network.clone(), waiting));
        Self {
            metrics,
            runtime,
            market,
            network,
            ledger,
            network_id,
            supervisor,
            timestamps,
            services,
            publishes,
            reads: Arc::new(Semaphore::new(MAX_READS)),
            submissions: Arc::new(Semaphore::new(MAX_SUBMISSIONS)),
            statuses: Arc::new(Semaphore::new(MAX_STATUSES)),
            frames: InFlight::new(FRAMES),
            fetches: InFlight::new(FETCHES),
            pages: BTreeMap::new(),
            tick_waits: Arc::default(),
        }
    }

    /// Where it works.
    pub(crate) fn runtime(&self) -> &runtime::Handle {
        &self.runtime
    }

    /// Set while a tick waits in the inbox, so that ticks don't pile up there.
    pub(crate) fn tick_waits(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.tick_waits)
    }

    /// A tick was taken out of the inbox.
    pub(crate) fn tick_taken(&self) {
        self.tick_waits.store(false, Ordering::Release);
    }

    /// Does what an effect asks for; gives the event that follows at once, where one does.
    pub(crate) fn run(&mut self, effect: Effect) -> Option<Event> {
        match effect {
            Effect::Read { ask, keys } => self.read(ask, keys),
            Effect::Submit { hash, envelope } => self.submit(hash, envelope),
            Effect::AskStatus { hash } => self.ask_status(hash),
            Effect::Search { balance, after, until } => self.search(balance, after, until),
            Effect::Publish { kind, bytes } => self.publish(kind, bytes),
            Effect::ListIds { peer, after } => self.list_ids(peer, after),
            Effect::Fetch { peer, ids } => self.fetch(peer, ids),
            Effect::Send { peer, call, bytes } => self.send(&peer, call, bytes),
            Effect::StartService { binding, spec } => self.start_service(binding, &spec),
            Effect::StopService { binding } => {
                self.supervisor.stop(&binding);
                None
            }
            Effect::KeepStamp(stamp) => self.keep_stamp(*stamp),
            Effect::Follow { exchange, assets, from } => self.follow(exchange, assets, from),
            Effect::Misbehaved { peer, refusal } => self.misbehaved(&peer, &refusal),
            Effect::Verdict { .. }
            | Effect::Respond { .. }
            | Effect::ServeIds { .. }
            | Effect::ServeMessages { .. }
            | Effect::Answer { .. }
            | Effect::News(_) => None,
        }
    }

    fn read(&self, ask: Ask, keys: Vec<Key>) -> Option<Event> {
        let Some(permit) = self.permit(&self.reads) else {
            return Some(Event::ReadFailed { ask, why: "too many reads of the ledger are under way".to_owned() });
        };
        let ledger = Arc::clone(&self.ledger);
        self.answer_later(permit, async move {
            let read = match ask.gates_money() {
                true => ledger.read_agreed(&keys).await,
                false => ledger.read(&keys).await,
            };
            let read = match read {
                Ok(read) => read,
                Err(error) => return Some(Event::ReadFailed { ask, why: error.to_string() }),
            };
            let at = read.at();
            let mut asked = keys;
            let mut entries = Vec::new();
            for found in read.entries {
                match found.entry {
                    Ok(entry) => entries.push(entry),
                    Err(error) => {
                        // It is there, and not as a thing that this program reads: nothing is concluded from it.
                        tracing::debug!(key = ?found.key, %error, "an entry of the ledger can't be read");
                        asked.retain(|key| *key != found.key);
                    }
                }
            }
            Some(Event::Entries { ask, at, asked, entries })
        })
    }

    fn submit(&self, hash: TxHash, envelope: Vec<u8>) -> Option<Event> {
        let Some(permit) = self.permit(&self.submissions) else {
            return Some(Event::Submitted { hash, answer: SubmitAnswer::TryAgainLater });
        };
        let ledger = Arc::clone(&self.ledger);
        self.answer_later(permit, async move {
            let answer = match ledger.submit(&envelope).await {
                Ok(submitted) => submitted.into(),
                Err(error) => {
                    tracing::warn!(%hash, %error, "a transaction could not be handed in; it is tried again");
                    SubmitAnswer::TryAgainLater
                }
            };
            Some(Event::Submitted { hash, answer })
        })
    }

    /// Reads the ledger that included a batch and keeps what proves it.
    fn keep_stamp(&self, stamp: KeptStamp) -> Option<Event> {
        let root = Sha256Hash::from_bytes(stamp.batch.root());
        let Some(permit) = self.permit(&self.reads) else {
            return Some(Event::StampKept {
                root,
                result: Err("too many reads of the ledger are under way".to_owned()),
            });
        };
        let (ledger, keeper) = (Arc::clone(&self.ledger), self.timestamps.clone());
        self.answer_later(permit, async move {
            let result = match ledger.record(stamp.included.at.sequence).await {
                Ok(record) => match tokio::task::spawn_blocking(move || keeper.keep(&stamp, &record)).await {
                    Ok(kept) => kept,
                    Err(error) => Err(error.to_string()),
                },
                Err(error) => Err(error.to_string()),
            };
            if let Err(why) = &result {
                tracing::warn!(%root, why, "a timestamp is in the ledger, and its proof can't be kept yet; it is tried again");
            }
            Some(Event::StampKept { root, result })
        })
    }

    /// Reads the transactions that moved an exchange's assets, each by its hash.
    fn follow(&self, exchange: Asset, assets: Vec<Asset>, from: u32) -> Option<Event> {
        let Some(permit) = self.permit(&self.reads) else {
            return Some(Event::Followed {
                exchange,
                result: Err("too many reads of the ledger are under way".to_owned()),
            });
        };
        let ledger = Arc::clone(&self.ledger);
        self.answer_later(permit, async move {
            let result = follower::read(&*ledger, &assets, from).await;
            if let Err(error) = &result {
                tracing::debug!(%exchange, %error, "a help exchange can't be followed now; it is tried again");
            }
            Some(Event::Followed { exchange, result })
        })
    }

    /// Without an answer, the market asks again by itself.
    fn ask_status(&self, hash: TxHash) -> Option<Event> {
        let permit = self.permit(&self.statuses)?;
        let ledger = Arc::clone(&self.ledger);
        self.answer_later(permit, async move {
            match ledger.status(hash).await {
                Ok(status) => {
                    let envelope = envelope_of(&status);
                    Some(Event::Status { hash, status: status.into(), envelope })
                }
                Err(error) => {
                    tracing::debug!(%hash, %error, "a transaction's status can't be read");
                    None
                }
            }
        })
    }

    /// Looks into the ledgers after one up to another for the transaction that took a balance.
    fn search(&self, balance: BalanceId, after: u32, until: u32) -> Option<Event> {
        let permit = self.permit(&self.reads)?;
        let (ledger, network) = (Arc::clone(&self.ledger), self.network_id);
        self.answer_later(permit, async move {
            let takes = |envelope: &[u8]| taking::touches(balance, envelope, &network).unwrap_or(false);
            let found = ledger.search(after.saturating_add(1)..=until, &takes).await;
            if let Err(error) = &found {
                tracing::debug!(%balance, %error, "ledgers can't be searched");
            }
            Some(Event::Searched { balance, found: found.map_err(|e| e.to_string()) })
        })
    }

    fn publish(&self, kind: Kind, bytes: Vec<u8>) -> Option<Event> {
        if self.publishes.try_send((kind, bytes.into())).is_err() {
            self.metrics.publishes_dropped.inc();
            tracing::warn!(%kind, "a message of one's own is not gossiped: too many wait; peers still find it in the book");
        }
        None
    }

    fn list_ids(&mut self, peer: PeerId, after: Option<(Kind, MessageId)>) -> Option<Event> {
        let to = network_peer(&peer)?;
        let pages = self.page_count(&peer, after.is_none());
        if pages > MAX_ID_PAGES {
            tracing::info!(%peer, "its list of ids doesn't end; the rest is left out");
            return None;
        }
        let permit = self.begin_fetch(&peer)?;
        let network = self.network.clone();
        self.answer_later(permit, async move {
            match network.list_ids(to, after.map(cursor)).await {
                Ok(page) => Some(ids_event(peer, &page)),
                Err(error) => {
                    tracing::debug!(%peer, %error, "no list of ids");
                    None
                }
            }
        })
    }

    /// How many pages were asked of a peer since it was met.
    fn page_count(&mut self, peer: &PeerId, first: bool) -> u32 {
        if first && self.pages.len() >= MAX_PAGED_PEERS && !self.pages.contains_key(peer) {
            self.pages.pop_first();
        }
        let pages = self.pages.entry(peer.clone()).or_default();
        *pages = if first { 1 } else { pages.saturating_add(1) };
        *pages
    }

    fn fetch(&self, peer: PeerId, ids: Vec<(Kind, MessageId)>) -> Option<Event> {
        let to = network_peer(&peer)?;
        let permit = self.begin_fetch(&peer)?;
        let (network, market) = (self.network.clone(), self.market.clone());
        self.runtime.spawn(async move {
            let _permit = permit;
            let mut rest = &ids[..];
            for _ in 0..MAX_FETCH_ROUNDS {
                if rest.is_empty() {
                    return;
                }
                let items: Vec<ItemId> = rest.iter().map(item).collect();
                let page = match network.fetch(to, &items).await {
                    Ok(page) => page,
                    Err(error) => return tracing::debug!(%peer, %error, "messages could not be fetched"),
                };
                let (asked, left) = rest.split_at(page.processed.min(rest.len()));
                rest = left;
                market.send(fetched(peer.clone(), asked.to_vec(), page)).await;
            }
        });
        None
    }

    fn send(&self, peer: &PeerId, call: Call, bytes: Vec<u8>) -> Option<Event> {
        let failed = |call, why: &str| Some(Event::Answered { call, result: Err(why.to_owned()) });
        let Some(to) = network_peer(peer) else { return failed(call, "that is no peer's id") };
        let Some(flight) = self.frames.begin(peer) else {
            self.metrics.effects_dropped.inc();
            return failed(call, "too many frames wait for their answers");
        };
        let network = self.network.clone();
        self.answer_later(flight, async move {
            let answer = network.direct(to, Vec::new(), bytes.into(), FRAME_TIMEOUT).await;
            let result = answer.map(Vec::from).map_err(|e| e.to_string());
            Some(Event::Answered { call, result })
        })
    }

    fn start_service(&self, binding: BindingId, spec: &[u8]) -> Option<Event> {
        if spec.is_empty() {
            // People serve, and no process.
            return Some(Event::Service { binding, event: ServiceEvent::Runs });
        }
        let failed = |why: String| Some(Event::Service { binding, event: ServiceEvent::Failed(why) });
        let config = match ServiceConfig::from_spec(spec) {
            Ok(config) => config,
            Err(error) => {
                tracing::error!(%binding, %error, "a service can't be started");
                return failed("the provider's node can't read how the service is started".to_owned());
            }
        };
        let spec = ServiceSpec { name: self.service_name(&config, spec), config, env: BTreeMap::new() };
        match self.supervisor.start(binding, spec) {
            Ok(()) => None,
            Err(SupervisorError::Running(_)) => {
                let up = self.supervisor.base_url(&binding).is_some();
                up.then_some(Event::Service { binding, event: ServiceEvent::Runs })
            }
            Err(error) => failed(error.to_string()),
        }
    }

    /// What a service is called: its name in the configuration, or one that follows from how it is started.
    fn service_name(&self, config: &ServiceConfig, spec: &[u8]) -> String {
        let configured = self.services.iter().find(|(_, known)| *known == config).map(|(name, _)| name.clone());
        configured.unwrap_or_else(|| format!("service-{}", hex::encode(&Sha256::digest(spec)[..4])))
    }

    fn misbehaved(&self, peer: &PeerId, refusal: &Refusal) -> Option<Event> {
        tracing::debug!(%peer, %refusal, "a peer's message is refused");
        if refusal.reason.fault() == Fault::Relayer
            && let Some(peer) = network_peer(peer)
        {
            self.network.blame(peer, fault(refusal.reason));
        }
        None
    }

    /// Gives the verdict on a gossiped message.
    pub(crate) fn verdict(&self, token: MessageToken, verdict: Verdict, refusal: Option<Refusal>) {
        if let Some(refusal) = refusal {
            tracing::debug!(%refusal, "a gossiped message is not taken");
        } else {
            self.metrics.accepted.inc();
        }
        self.network.verdict(token, network_verdict(verdict));
    }

    /// Answers a frame. Where the peer was told that there is no answer, there is nothing left to do.
    pub(crate) fn respond(&self, token: DirectToken, bytes: Vec<u8>) {
        if let Err(error) = self.network.respond(token, bytes.into()) {
            tracing::debug!(%error, "a frame's answer isn't sent");
        }
    }

    /// Answers a request for ids.
    pub(crate) fn serve_ids(&self, token: IdsToken, ids: &[(Kind, MessageId)], more: bool) {
        let next = ids.last().copied().filter(|_| more).map(cursor);
        let page = IdPage { ids: ids.iter().map(item).collect(), next };
        if let Err(error) = self.network.serve_ids(token, &page) {
            tracing::debug!(%error, "a page of ids isn't sent");
        }
    }

    /// Answers a fetch.
    pub(crate) fn serve_messages(&self, token: FetchToken, asked: &[ItemId], found: Vec<Option<Vec<u8>>>) {
        let mut answer = FetchAnswer::new();
        for (id, message) in asked.iter().zip(found) {
            match message {
                Some(bytes) => {
                    if !answer.found(*id, bytes.into()) {
                        break;
                    }
                }
                None => answer.missing(),
            }
        }
        if let Err(error) = self.network.serve_fetch(token, answer) {
            tracing::debug!(%error, "fetched messages aren't sent");
        }
    }

    fn begin_fetch(&self, peer: &PeerId) -> Option<Flight> {
        let place = self.fetches.begin(peer);
        if place.is_none() {
            self.metrics.effects_dropped.inc();
        }
        place
    }

    fn permit(&self, of: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        let permit = Arc::clone(of).try_acquire_owned().ok();
        if permit.is_none() {
            self.metrics.effects_dropped.inc();
        }
        permit
    }

    fn answer_later(
        &self,
        place: impl Send + 'static,
        work: impl Future<Output = Option<Event>> + Send + 'static,
    ) -> Option<Event> {
        let market = self.market.clone();
        self.runtime.spawn(async move {
            let event = work.await;
            drop(place);
            if let Some(event) = event {
                market.send(event).await;
            }
        });
        None
    }
}

/// Hands one's own messages to the network, one after the other.
async fn publish(network: tradepost_network::Handle, mut waiting: mpsc::Receiver<(Kind, Bytes)>) {
    while let Some((kind, bytes)) = waiting.recv().await {
        if let Err(error) = network.publish(kind.name(), bytes).await {
            tracing::warn!(%kind, %error, "a message of one's own is not gossiped; peers still find it in the book");
        }
    }
}

/// The envelope of a transaction that took effect.
fn envelope_of(status: &TxStatus) -> Vec<u8> {
    match status {
        // One that was decoded fits its bounds again.
        TxStatus::Success(found) => xdr::write(&found.envelope).unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// A peer's id as the network takes it.
pub(crate) fn network_peer(peer: &PeerId) -> Option<tradepost_network::PeerId> {
    peer.as_str().parse().ok()
}

/// A peer's id as the market takes it.
pub(crate) fn market_peer(peer: tradepost_network::PeerId) -> Option<PeerId> {
    peer.to_base58().parse().ok()
}

fn item((kind, id): &(Kind, MessageId)) -> ItemId {
    ItemId { kind: kind.number(), id: *id.as_bytes() }
}

fn cursor((kind, id): (Kind, MessageId)) -> Cursor {
    let mut bytes = vec![kind.number()];
    bytes.extend_from_slice(id.as_bytes());
    Cursor::new(bytes).expect("33 bytes fit a cursor")
}

/// Where a page ended, as [`cursor`] wrote it.
pub(crate) fn read_cursor(cursor: &Cursor) -> Option<(Kind, MessageId)> {
    let (number, id) = cursor.as_bytes().split_first()?;
    Some((Kind::from_number(*number)?, MessageId::from_bytes(id.try_into().ok()?)))
}

fn ids_event(peer: PeerId, page: &IdPage) -> Event {
    let known = |item: &ItemId| Some((Kind::from_number(item.kind)?, MessageId::from_bytes(item.id)));
    let ids: Vec<(Kind, MessageId)> = page.ids.iter().filter_map(known).collect();
    // A page that goes on elsewhere than after its last id would be asked for for ever.
    let more = page.next.as_ref().is_some_and(|next| read_cursor(next) == ids.last().copied());
    Event::Ids { peer, ids, more }
}

fn fetched(peer: PeerId, asked: Vec<(Kind, MessageId)>, page: FetchPage) -> Event {
    let message = |(item, bytes): (ItemId, Bytes)| Some((Kind::from_number(item.kind)?, bytes.into()));
    Event::Fetched { peer, asked, messages: page.items.into_iter().filter_map(message).collect() }
}

fn network_verdict(verdict: Verdict) -> tradepost_network::Verdict {
    match verdict {
        Verdict::Accept => tradepost_network::Verdict::Accept,
        Verdict::Reject => tradepost_network::Verdict::Reject,
        Verdict::Ignore => tradepost_network::Verdict::Ignore,
    }
}

fn fault(reason: Reason) -> PeerFault {
    match reason {
        Reason::Unasked => PeerFault::Unasked,
        Reason::TooShort | Reason::TooLarge => PeerFault::WrongSize,
        Reason::BadSignature | Reason::WrongAuthor => PeerFault::Mismatch,
        _ => PeerFault::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_id() {
        let last = (Kind::Offering, MessageId::from_bytes([7; 32]));
        assert_eq!(read_cursor(&cursor(last)), Some(last));
        assert_eq!(Cursor::new(vec![3]).as_ref().and_then(read_cursor), None);
    }

    #[test]
    fn a_page_that_goes_on_elsewhere_is_the_last() {
        let peer = market_peer(tradepost_network::PeerId::random());
        let id = |n| (Kind::Offering, MessageId::from_bytes([n; 32]));
        let page = |next| IdPage { ids: vec![item(&id(1)), item(&id(2))], next: Some(cursor(next)) };
        let goes_on = |next| {
            let event = ids_event(peer.clone().expect("a libp2p id has a text"), &page(id(next)));
            matches!(event, Event::Ids { more, .. } if more)
        };
        assert!(goes_on(2));
        assert!(!goes_on(1));
    }
}
