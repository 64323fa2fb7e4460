//! What every handler gets at: the running node, and what is the API's own.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::StatusCode;
use multiaddr::Multiaddr;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tradepost_protocol::market::Market;
use tradepost_protocol::market::command::{Answer, Command};
use tradepost_protocol::time::Now;
use zeroize::Zeroizing;

use super::problem::Problem;
use crate::config::Config;
use crate::keystore::{Keystore, PublicKeys};
use crate::market::MarketStopped;
use crate::node::NodeHandle;
use crate::problem_code::ProblemCode;
use crate::shutdown::Shutdown;

/// Watchers of `/v1/events` at once.
const MAX_WATCHERS: usize = 32;

/// What the API is made from.
#[derive(Debug)]
pub struct Parts {
    /// The running node.
    pub node: NodeHandle,
    /// The keys of one's services, which the API signs records with; may hold none.
    pub service_keys: Keystore,
    /// What clients must show.
    pub token: Zeroizing<String>,
    /// How the process is ended.
    pub shutdown: Shutdown,
}

/// What every handler gets at; cheap to clone.
#[derive(Debug, Clone)]
pub struct Context {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    node: NodeHandle,
    service_keys: Keystore,
    shutdown: Shutdown,
    address: SocketAddr,
    watchers: Arc<Semaphore>,
    closing: CancellationToken,
}

impl Context {
    pub(super) fn new(parts: Parts, address: SocketAddr, closing: CancellationToken) -> Self {
        let Parts { node, service_keys, token: _, shutdown } = parts;
        let watchers = Arc::new(Semaphore::new(MAX_WATCHERS));
        Self { shared: Arc::new(Shared { node, service_keys, shutdown, address, watchers, closing }) }
    }

    /// The running node.
    pub(super) fn node(&self) -> &NodeHandle {
        &self.shared.node
    }

    /// Asks the market.
    pub(super) async fn ask<R: Send + 'static>(
        &self,
        question: impl FnOnce(&Market, Now) -> R + Send + 'static,
    ) -> Result<R, Problem> {
        Ok(self.node().market.ask(question).await?)
    }

    /// Has the market do something and waits for what it led to.
    pub(super) async fn command(&self, command: Command) -> Result<Answer, Problem> {
        Ok(self.node().market.command(command).await??)
    }

    /// An answer to another question than was asked.
    pub(super) fn unexpected(answer: &Answer) -> Problem {
        tracing::error!(?answer, "the market answered another question");
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            ProblemCode::Fault,
            "a fault in this program: see the node's log",
        )
    }

    /// The node's public keys.
    pub(super) fn keys(&self) -> &PublicKeys {
        &self.node().facts.keys
    }

    /// The keys of one's services.
    pub(super) fn service_keys(&self) -> &Keystore {
        &self.shared.service_keys
    }

    /// What the node was told.
    pub(super) fn config(&self) -> &Config {
        &self.node().facts.config
    }

    /// Where this node listens, which no service of its own may be.
    pub(super) fn own_addresses(&self) -> (SocketAddr, &[Multiaddr]) {
        (self.shared.address, &self.config().listen)
    }

    /// How the process is ended.
    pub(super) fn shutdown(&self) -> &Shutdown {
        &self.shared.shutdown
    }

    /// A watcher's place.
    pub(super) fn watcher(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.shared.watchers).try_acquire_owned().map_err(|_| {
            let detail = format!("{MAX_WATCHERS} clients watch already");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, ProblemCode::TooManyWatchers, detail)
                .remedy("close one of them")
        })
    }

    /// Ends when the API closes.
    pub(super) fn closing(&self) -> WaitForCancellationFutureOwned {
        self.shared.closing.clone().cancelled_owned()
    }

    /// Addresses under which peers reach this node, each with its id.
    pub(super) async fn p2p_addresses(&self) -> Result<Vec<String>, Problem> {
        Ok(p2p_addresses(self.node()).await?)
    }
}

/// Addresses under which peers reach a node, each with its id; those told by its owner first.
///
/// # Errors
/// Where its network doesn't answer.
pub async fn p2p_addresses(node: &NodeHandle) -> Result<Vec<String>, tradepost_network::NetworkError> {
    let id = format!("/p2p/{}", node.peer_id);
    let told = node.facts.config.external.iter().map(ToString::to_string);
    let own = node.network.listen_addrs().await?;
    let all = told.chain(own.iter().map(ToString::to_string));
    Ok(all.map(|address| if address.ends_with(&id) { address } else { address + &id }).collect())
}

impl From<MarketStopped> for Problem {
    fn from(error: MarketStopped) -> Self {
        let remedy = match error {
            MarketStopped::Ended(_) => "see the node's log, and start it again",
            MarketStopped::Late(_) => "try again",
        };
        Self::unavailable(error.to_string()).remedy(remedy)
    }
}
