//! The listener of the API: loopback only, bounded in connections and in how long a request's head may take.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::access::Guard;
use super::context::{Context, Parts};

/// Connections at once.
const MAX_CONNECTIONS: usize = 256;
/// How long the head of a request may take to arrive.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after the system refused to accept, as it does when it has no file handles left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the API can't be served.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The configuration's address isn't loopback.
    #[error("api_listen = {0} isn't a loopback address: the API is for this machine alone")]
    NotLoopback(SocketAddr),
    /// The port is taken, or the system refuses.
    #[error("can't listen for the API on {address}: {source}; choose another `api_listen`, or port 0 for any free one")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// A bound port that nobody serves yet.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

/// The API at work. Dropping it ends it at once.
#[derive(Debug)]
pub struct Api {
    address: SocketAddr,
    closing: CancellationToken,
    connections: TaskTracker,
}

impl Api {
    /// Binds the port, so that its number is known before anything is served.
    ///
    /// # Errors
    /// [`ApiError`].
    pub async fn bind(address: SocketAddr) -> Result<Bound, ApiError> {
        if !address.ip().is_loopback() {
            return Err(ApiError::NotLoopback(address));
        }
        let failed = |source| ApiError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Bound { listener, address })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Takes no new connections and returns when those that are open have ended, at the latest after `within`.
    pub async fn close(self, within: Duration) {
        self.closing.cancel();
        self.connections.close();
        let _ = tokio::time::timeout(within, self.connections.wait()).await;
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

impl Bound {
    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves the API from now on.
    pub fn serve(self, parts: Parts) -> Api {
        let closing = CancellationToken::new();
        let connections = TaskTracker::new();
        let guard = Guard::new(&parts.token, self.address);
        let context = Context::new(parts, self.address, closing.clone());
        let router = super::router(context, guard);
        let api = Api { address: self.address, closing: closing.clone(), connections: connections.clone() };
        tokio::spawn(accept(self.listener, router, connections, closing));
        api
    }
}

async fn accept(listener: TcpListener, router: Router, connections: TaskTracker, closing: CancellationToken) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let accepted = tokio::select! {
            biased;
            () = closing.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (router, closing) = (router.clone(), closing.clone());
                connections.spawn(async move {
                    serve(stream, router, closing).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the API can't accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, router: Router, closing: CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection to the API broke");
    }
}
