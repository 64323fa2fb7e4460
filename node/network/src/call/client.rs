//! The end that opens call streams and asks.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::AsyncReadExt;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::{Request, Response, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol};
use libp2p_stream::{Control, OpenStreamError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::compat::FuturesAsyncReadCompatExt;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::body::Watched;
use super::{CallBody, CallError, READY};
use crate::config::{
    CALL_HEADER_BYTES, CALL_OPEN_ATTEMPTS, CALL_OPEN_PAUSE, CALL_OPEN_TIMEOUT, CALL_PING_INTERVAL, CALL_PING_TIMEOUT,
    CALL_SEND_BUFFER, CALL_STREAM_WINDOW, Limits,
};
use crate::discovery::jitter;
use crate::handle::Handle;
use crate::stats::Counters;

/// Times that a request is sent at most; only one that surely didn't leave is sent again.
const SEND_ATTEMPTS: u32 = 3;

/// The call streams that we opened, one per peer.
#[derive(Clone)]
pub(crate) struct Calls(Arc<Shared>);

struct Shared {
    control: Control,
    protocol: StreamProtocol,
    limits: Limits,
    counters: Arc<Counters>,
    peers: Mutex<HashMap<PeerId, Arc<Line>>>,
    closing: CancellationToken,
}

/// The line to one peer.
struct Line {
    /// Held while the stream is opened, so that it is opened once.
    sender: tokio::sync::Mutex<Option<SendRequest<CallBody>>>,
    permits: Arc<Semaphore>,
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").finish_non_exhaustive()
    }
}

impl Calls {
    pub(crate) fn new(control: Control, protocol: StreamProtocol, limits: &Limits, counters: Arc<Counters>) -> Self {
        Self(Arc::new(Shared {
            control,
            protocol,
            limits: limits.clone(),
            counters,
            peers: Mutex::default(),
            closing: CancellationToken::new(),
        }))
    }

    /// Cancelled when the actor ends.
    pub(crate) fn closing(&self) -> CancellationToken {
        self.0.closing.clone()
    }

    pub(crate) fn close(&self) {
        self.0.closing.cancel();
    }

    pub(crate) async fn call(
        &self,
        handle: &Handle,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        request: Request<CallBody>,
    ) -> Result<Response<CallBody>, CallError> {
        if self.0.closing.is_cancelled() {
            return Err(CallError::Closed);
        }
        let request = addressed(peer, request)?;
        let line = self.line(peer)?;
        let exchange = async {
            // The semaphore is never closed.
            let permit = line.permits.clone().acquire_owned().await.map_err(|_| CallError::Closed)?;
            let response = self.exchange(handle, &line, peer, addresses, request).await?;
            Ok(self.watched(response, permit))
        };
        tokio::select! {
            done = timeout(self.0.limits.call_response, exchange) => done.map_err(|_| CallError::Timeout)?,
            () = self.0.closing.cancelled() => Err(CallError::Closed),
        }
    }

    async fn exchange(
        &self,
        handle: &Handle,
        line: &Line,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        mut request: Request<CallBody>,
    ) -> Result<Response<Incoming>, CallError> {
        for attempt in 1.. {
            let mut sender = self.sender(handle, line, peer, &addresses).await?;
            let mut refused = match sender.try_send_request(request).await {
                Ok(response) => return Ok(response),
                Err(refused) => refused,
            };
            match refused.take_message() {
                // It is back unsent: the stream had ended. A new one may do.
                Some(unsent) if attempt < SEND_ATTEMPTS => request = unsent,
                Some(_) => return Err(CallError::Stream(refused.into_error().to_string())),
                None => return Err(CallError::Broken(refused.into_error().to_string())),
            }
            line.forget_closed().await;
        }
        unreachable!("the loop returns")
    }

    /// Gives the open stream's sender, or opens one.
    async fn sender(
        &self,
        handle: &Handle,
        line: &Line,
        peer: PeerId,
        addresses: &[Multiaddr],
    ) -> Result<SendRequest<CallBody>, CallError> {
        let mut slot = line.sender.lock().await;
        if let Some(sender) = slot.as_ref()
            && !sender.is_closed()
        {
            return Ok(sender.clone());
        }
        handle.dial(peer, addresses.to_vec()).await?;
        let stream = self.open(peer).await?;
        let sender = self.handshake(peer, stream).await?;
        *slot = Some(sender.clone());
        Ok(sender)
    }

    /// Opens a stream that the peer says it serves; makes lost openings again.
    async fn open(&self, peer: PeerId) -> Result<Stream, CallError> {
        let mut pause = CALL_OPEN_PAUSE;
        let mut last = String::new();
        for attempt in 1..=CALL_OPEN_ATTEMPTS {
            match timeout(CALL_OPEN_TIMEOUT, self.open_once(peer)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(Opening::Final(error))) => return Err(error),
                Ok(Err(Opening::Lost(why))) => last = why,
                Err(_) => last = "it doesn't answer".to_owned(),
            }
            if attempt < CALL_OPEN_ATTEMPTS {
                debug!(%peer, attempt, why = last, "a call stream was lost: it is opened again");
                self.0.counters.call_open_retries.increment();
                sleep(jitter(pause)).await;
                pause *= 2;
            }
        }
        Err(CallError::Stream(last))
    }

    async fn open_once(&self, peer: PeerId) -> Result<Stream, Opening> {
        let opened = self.0.control.clone().open_stream(peer, self.0.protocol.clone()).await;
        let mut stream = opened.map_err(|error| match error {
            OpenStreamError::UnsupportedProtocol(_) => Opening::Final(CallError::Unsupported),
            other => Opening::Lost(other.to_string()),
        })?;
        let mut word = [0];
        stream.read_exact(&mut word).await.map_err(|error| Opening::Lost(error.to_string()))?;
        if word[0] == READY { Ok(stream) } else { Err(Opening::Final(CallError::Busy)) }
    }

    async fn handshake(&self, peer: PeerId, stream: Stream) -> Result<SendRequest<CallBody>, CallError> {
        let handshake = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_header_list_size(CALL_HEADER_BYTES)
            .initial_stream_window_size(CALL_STREAM_WINDOW)
            .initial_connection_window_size(self.0.limits.answers_window())
            .keep_alive_interval(CALL_PING_INTERVAL)
            .keep_alive_timeout(CALL_PING_TIMEOUT)
            .max_send_buf_size(CALL_SEND_BUFFER)
            .handshake(TokioIo::new(stream.compat()));
        let shaken = timeout(CALL_OPEN_TIMEOUT, handshake).await.map_err(|_| CallError::Timeout)?;
        let (sender, connection) = shaken.map_err(|error| CallError::Stream(error.to_string()))?;
        let closing = self.closing();
        tokio::spawn(async move {
            tokio::select! {
                ended = connection => debug!(%peer, ?ended, "a call stream ended"),
                () = closing.cancelled() => {}
            }
        });
        Ok(sender)
    }

    fn watched(&self, response: Response<Incoming>, permit: OwnedSemaphorePermit) -> Response<CallBody> {
        let idle: Duration = self.0.limits.call_body_idle;
        response.map(|body| Watched::new(body, idle, permit).boxed_unsync())
    }

    /// The line to a peer; makes room by forgetting lines that nobody uses.
    fn line(&self, peer: PeerId) -> Result<Arc<Line>, CallError> {
        let mut peers = self.0.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = peers.get(&peer) {
            return Ok(line.clone());
        }
        if peers.len() >= self.0.limits.call_peers {
            let all = self.0.limits.calls_per_peer;
            peers.retain(|_, line| Arc::strong_count(line) > 1 || line.permits.available_permits() < all);
            if peers.len() >= self.0.limits.call_peers {
                return Err(CallError::Busy);
            }
        }
        let permits = Arc::new(Semaphore::new(self.0.limits.calls_per_peer));
        let line = Arc::new(Line { sender: tokio::sync::Mutex::new(None), permits });
        peers.insert(peer, line.clone());
        Ok(line)
    }
}

impl Line {
    async fn forget_closed(&self) {
        let mut slot = self.sender.lock().await;
        if slot.as_ref().is_some_and(SendRequest::is_closed) {
            *slot = None;
        }
    }
}

/// Why one opening failed.
enum Opening {
    /// Another may succeed.
    Lost(String),
    /// Another would fail as well.
    Final(CallError),
}

/// Gives a request what HTTP/2 wants: a scheme and a host. A request without them gets the peer's id as host.
fn addressed(peer: PeerId, mut request: Request<CallBody>) -> Result<Request<CallBody>, CallError> {
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    if parts.authority.is_none() {
        let host = Authority::try_from(peer.to_base58()).map_err(|e| CallError::Request(e.to_string()))?;
        parts.authority = Some(host);
        parts.scheme = None;
    }
    parts.scheme.get_or_insert(Scheme::HTTP);
    parts.path_and_query.get_or_insert(PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from_parts(parts).map_err(|e| CallError::Request(e.to_string()))?;
    *request.version_mut() = hyper::Version::HTTP_2;
    Ok(request)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::call::empty_body;

    #[test]
    fn a_request_without_a_host_gets_the_peers() {
        let peer = PeerId::random();
        let sent = |uri: &str| {
            let request = Request::builder().uri(uri).body(empty_body()).unwrap();
            addressed(peer, request).unwrap().uri().to_string()
        };
        assert_eq!(sent("/a/b?c=d"), format!("http://{peer}/a/b?c=d"));
        assert_eq!(sent("https://example.org/a"), "https://example.org/a");
        assert_eq!(sent("http://example.org"), "http://example.org/");
    }
}
