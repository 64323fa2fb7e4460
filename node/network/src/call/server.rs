//! The end that accepts call streams and answers.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{AsyncWriteExt, StreamExt};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use libp2p::{PeerId, Stream, StreamProtocol};
use libp2p_stream::{Control, IncomingStreams};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::compat::FuturesAsyncReadCompatExt;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::body::Watched;
use super::{BUSY, CallBody, CallHandler, READY, empty_body};
use crate::config::{
    CALL_CONNECTION_WINDOW, CALL_HEADER_BYTES, CALL_LEAVE, CALL_OPEN_TIMEOUT, CALL_PING_INTERVAL, CALL_PING_TIMEOUT,
    CALL_SEND_BUFFER, CALL_STREAM_WINDOW, Limits,
};
use crate::stats::Counters;

/// Call streams that one peer may hold open: the one in use, and one that replaces it after the peer restarted.
const STREAMS_PER_PEER: usize = 2;

/// Accepts call streams of all peers.
pub(crate) struct CallServer {
    incoming: IncomingStreams,
    serving: Serving,
    open: Arc<Mutex<HashMap<PeerId, usize>>>,
}

/// What one served stream needs to know.
#[derive(Clone)]
struct Serving {
    handler: Arc<dyn CallHandler>,
    limits: Limits,
    counters: Arc<Counters>,
}

/// Calls under way on one stream, and since when there is none.
#[derive(Debug)]
struct Activity {
    calls: AtomicUsize,
    idle_since: Mutex<Instant>,
}

/// One call under way.
#[derive(Debug)]
struct Active(Arc<Activity>);

/// One of the places for streams.
struct Place {
    open: Arc<Mutex<HashMap<PeerId, usize>>>,
    counters: Arc<Counters>,
    peer: PeerId,
}

impl CallServer {
    pub(crate) fn new(
        control: &mut Control,
        protocol: StreamProtocol,
        handler: Arc<dyn CallHandler>,
        limits: &Limits,
        counters: Arc<Counters>,
    ) -> Result<Self, String> {
        let incoming = control.accept(protocol).map_err(|e| e.to_string())?;
        let serving = Serving { handler, limits: limits.clone(), counters };
        Ok(Self { incoming, serving, open: Arc::default() })
    }

    /// Serves until `closing`. The streams end with it.
    pub(crate) async fn run(mut self, closing: CancellationToken) {
        let mut streams = JoinSet::new();
        loop {
            tokio::select! {
                () = closing.cancelled() => break,
                Some(_) = streams.join_next(), if !streams.is_empty() => {}
                arrived = self.incoming.next() => {
                    let Some((peer, stream)) = arrived else { break };
                    match self.place(peer) {
                        Some(place) => drop(streams.spawn(self.serving.clone().serve(place, stream, closing.clone()))),
                        None => drop(streams.spawn(refuse(stream))),
                    }
                }
            }
        }
        // Calls under way may end; who closes decides for how long.
        while streams.join_next().await.is_some() {}
    }

    fn place(&self, peer: PeerId) -> Option<Place> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let full = open.len() >= self.serving.limits.call_peers && !open.contains_key(&peer);
        let streams = open.get(&peer).copied().unwrap_or(0);
        if full || streams >= STREAMS_PER_PEER {
            self.serving.counters.calls_refused.increment();
            return None;
        }
        *open.entry(peer).or_default() += 1;
        self.serving.counters.calls_serving.increment();
        Some(Place { open: self.open.clone(), counters: self.serving.counters.clone(), peer })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.counters.calls_serving.decrement();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(streams) = open.get_mut(&self.peer) {
            *streams -= 1;
            if *streams == 0 {
                open.remove(&self.peer);
            }
        }
    }
}

async fn refuse(mut stream: Stream) {
    let _ = timeout(CALL_OPEN_TIMEOUT, async {
        stream.write_all(&[BUSY]).await?;
        stream.close().await
    })
    .await;
}

impl Serving {
    async fn serve(self, place: Place, mut stream: Stream, closing: CancellationToken) {
        let greeting = async {
            stream.write_all(&[READY]).await?;
            stream.flush().await
        };
        if !matches!(timeout(CALL_OPEN_TIMEOUT, greeting).await, Ok(Ok(()))) {
            return;
        }
        let peer = place.peer;
        let activity = Arc::new(Activity::new());
        let (serving, active) = (self.clone(), activity.clone());
        let service = service_fn(move |request| serving.clone().answer(peer, request, Active::begin(&active)));
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(u32::try_from(self.limits.calls_per_peer).unwrap_or(u32::MAX))
            .max_header_list_size(CALL_HEADER_BYTES)
            .initial_stream_window_size(CALL_STREAM_WINDOW)
            .initial_connection_window_size(CALL_CONNECTION_WINDOW)
            .keep_alive_interval(CALL_PING_INTERVAL)
            .keep_alive_timeout(CALL_PING_TIMEOUT)
            .max_send_buf_size(CALL_SEND_BUFFER)
            .serve_connection(TokioIo::new(stream.compat()), service);
        tokio::pin!(connection);
        let idle = self.limits.call_idle;
        let mut look = tokio::time::interval(idle / 4);
        let mut leaving = false;
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        debug!(%peer, %error, "a call stream broke");
                    }
                    return;
                }
                () = closing.cancelled(), if !leaving => {
                    leaving = true;
                    connection.as_mut().graceful_shutdown();
                }
                _ = look.tick() => {
                    let idle_for = activity.idle_for();
                    if idle_for >= idle && !leaving {
                        leaving = true;
                        connection.as_mut().graceful_shutdown();
                    }
                    if idle_for >= idle + CALL_LEAVE {
                        debug!(%peer, "a call stream that doesn't end is cut off");
                        return;
                    }
                }
            }
        }
    }

    async fn answer(
        self,
        peer: PeerId,
        request: Request<Incoming>,
        active: Active,
    ) -> Result<Response<CallBody>, Infallible> {
        let idle = self.limits.call_body_idle;
        let request = request.map(|body| Watched::new(body, idle, ()).boxed_unsync());
        let answer = timeout(self.limits.call_response, self.handler.call(peer, request)).await;
        let response = answer.unwrap_or_else(|_| {
            let mut late = Response::new(empty_body());
            *late.status_mut() = StatusCode::GATEWAY_TIMEOUT;
            late
        });
        Ok(response.map(|body| Watched::new(body, idle, active).boxed_unsync()))
    }
}

impl Activity {
    fn new() -> Self {
        Self { calls: AtomicUsize::new(0), idle_since: Mutex::new(Instant::now()) }
    }

    fn idle_for(&self) -> Duration {
        if self.calls.load(Ordering::Acquire) > 0 {
            return Duration::ZERO;
        }
        self.idle_since.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

impl Active {
    fn begin(activity: &Arc<Activity>) -> Self {
        activity.calls.fetch_add(1, Ordering::AcqRel);
        Self(activity.clone())
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        *self.0.idle_since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.calls.fetch_sub(1, Ordering::AcqRel);
    }
}
