//! Looks from outside for another node with this one's identity: as a peer of its own, which nobody knows.
//!
//! Two nodes with one identity are one peer to everybody else: what is meant for the one reaches the other. So a node that
//! was restored from a backup keeps apart until the one that the backup was made of was looked for and doesn't answer.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tradepost_network::{Config, ConnectError, Event, EventReceiver, Handle, IdPage, Multiaddr, PeerId};
use tradepost_protocol::market::TwinSight;
use tradepost_protocol::market::event::Event as MarketEvent;
use zeroize::Zeroizing;

use super::{StartError, random_bytes};
use crate::market::MarketHandle;

/// How long the first peers may take to be met before it counts that there is nobody to ask.
const MEET: Duration = Duration::from_secs(10);
/// How long one look may take.
const LOOK: Duration = Duration::from_secs(20);
/// So many looks in a row must find nobody.
const QUIET_LOOKS: u32 = 2;
/// Between two of them.
const BETWEEN_QUIET: Duration = Duration::from_secs(1);
/// Between two looks otherwise.
const BETWEEN: Duration = Duration::from_secs(5);
/// How long a connection with oneself may take to show at the other end.
const BOTH_ENDS: Duration = Duration::from_secs(1);
/// How often that is looked at.
const ENDS_LOOKED_AT: Duration = Duration::from_millis(50);

/// Who looks, for whom, and whom it tells.
pub(super) struct Lookout {
    probe: Handle,
    met: Arc<Notify>,
    /// Its own network, which ends with it.
    _tasks: JoinSet<()>,
    twin: PeerId,
    external: Vec<Multiaddr>,
    /// Whether there are first peers who may know the other one.
    asks: bool,
    network: Handle,
    market: MarketHandle,
}

impl Lookout {
    /// One that looks for the node of this network's configuration. Must be called in a runtime.
    pub(super) fn new(of: &Config, network: Handle, market: MarketHandle) -> Result<Self, StartError> {
        let mut seed = Zeroizing::new([0; 32]);
        random_bytes(seed.as_mut_slice())?;
        let mut config = Config::new(*seed, of.network_prefix.clone(), Vec::new());
        config.bootstrap = of.bootstrap.clone();
        config.known = of.known.clone();
        config.local = of.local;
        let (probe, events, swarm) = tradepost_network::spawn(config)?;
        let met = Arc::new(Notify::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(swarm);
        tasks.spawn(have_nothing(probe.clone(), events, Arc::clone(&met)));
        Ok(Self {
            probe,
            met,
            _tasks: tasks,
            twin: network.local_peer_id(),
            external: of.external.clone(),
            asks: !of.bootstrap.is_empty() || !of.known.is_empty(),
            network,
            market,
        })
    }

    /// Looks until the other node is silent; from then on this one takes part in the network.
    pub(super) async fn run(self) {
        let (mut quiet, mut told) = (0, None);
        while quiet < QUIET_LOOKS {
            let sight = self.look().await;
            quiet = if sight == TwinSight::Silent { quiet + 1 } else { 0 };
            if sight != TwinSight::Silent && told.replace(sight) != Some(sight) {
                tell(sight);
                self.market.send(MarketEvent::Twin(sight)).await;
            }
            match sight {
                TwinSight::Silent if quiet < QUIET_LOOKS => sleep(BETWEEN_QUIET).await,
                TwinSight::Silent => {}
                _ => sleep(BETWEEN).await,
            }
        }
        tell(TwinSight::Silent);
        // It has ended where the node is stopping.
        if self.network.join().await.is_ok() {
            self.market.send(MarketEvent::Twin(TwinSight::Silent)).await;
        }
    }

    async fn look(&self) -> TwinSight {
        if self.asks && !self.meets_anybody().await {
            return TwinSight::NobodyToAsk;
        }
        let dialled = timeout(LOOK, self.probe.dial(self.twin, self.external.clone())).await;
        let answers = matches!(dialled, Ok(Ok(()))) && !self.reached_itself().await;
        // Whether it was connected makes no difference.
        let _ = self.probe.disconnect(self.twin).await;
        match dialled {
            Ok(Ok(())) if answers => TwinSight::Answers,
            Ok(Err(ConnectError::Busy | ConnectError::Closed)) => TwinSight::NobodyToAsk,
            _ => TwinSight::Silent,
        }
    }

    async fn meets_anybody(&self) -> bool {
        until(MEET, || async {
            let met = self.met.notified();
            self.probe.stats().peers_met > 0 || timeout(BETWEEN_QUIET, met).await.is_ok()
        })
        .await
    }

    /// Whether it was this very node that answered: at the address where the other one was.
    async fn reached_itself(&self) -> bool {
        let probe = self.probe.local_peer_id();
        until(BOTH_ENDS, || async {
            let peers = self.network.peers().await;
            let seen = peers.is_ok_and(|peers| peers.iter().any(|peer| peer.peer == probe));
            if !seen {
                sleep(ENDS_LOOKED_AT).await;
            }
            seen
        })
        .await
    }
}

/// Looks again until it is so, but not for ever.
async fn until<F: Future<Output = bool>>(patience: Duration, mut is_so: impl FnMut() -> F) -> bool {
    let looking = async { while !is_so().await {} };
    timeout(patience, looking).await.is_ok()
}

/// Tells whoever asks that nothing is here, and notices whom it meets.
async fn have_nothing(probe: Handle, mut events: EventReceiver, met: Arc<Notify>) {
    while let Some(event) = events.recv().await {
        match event {
            Event::IdsWanted { token, .. } => {
                // Too late an answer is no answer.
                let _ = probe.serve_ids(token, &IdPage::default());
            }
            Event::PeerMet { .. } => met.notify_waiters(),
            _ => {}
        }
    }
}

fn tell(sight: TwinSight) {
    match sight {
        TwinSight::Answers => tracing::warn!(
            "the node that the backup was made of answers: this one serves nothing while it does; stop one of the two"
        ),
        TwinSight::NobodyToAsk => tracing::warn!(
            "no first peer can be asked whether the node that the backup was made of still runs; it is tried again"
        ),
        TwinSight::Silent => tracing::info!("no other node answers with this one's identity"),
        TwinSight::SurelyGone => {}
    }
}
