//! Calls: one long-lived stream per peer that carries HTTP/2, with hyper at both ends, so that requests, streaming
//! bodies and gRPC pass unchanged.
//!
//! libp2p drops streams that arrive in the same moment without a word. Therefore there is one stream per peer, the
//! accepting side says so with one byte, and an opening without that byte is made again.

mod body;
mod client;
mod server;

use std::fmt;

use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::{Request, Response};
use libp2p::PeerId;

use crate::handle::ConnectError;
pub(crate) use client::Calls;
pub(crate) use server::CallServer;

/// The accepting side's word: the stream is served.
const READY: u8 = 1;
/// The accepting side's word: a limit is reached.
const BUSY: u8 = 0;

/// Any error of a body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A body that streams.
pub type CallBody = UnsyncBoxBody<Bytes, BoxError>;

/// A body with these bytes.
pub fn full_body(bytes: impl Into<Bytes>) -> CallBody {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// A body with nothing in it.
pub fn empty_body() -> CallBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Answers calls.
pub trait CallHandler: Send + Sync + 'static {
    /// Answers one call of a peer. Runs beside others, at most [`Limits::calls_per_peer`](crate::Limits) of one peer
    /// at once; a response whose header takes longer than [`Limits::call_response`](crate::Limits) is cut off.
    fn call(&self, peer: PeerId, request: Request<CallBody>) -> BoxFuture<'static, Response<CallBody>>;
}

impl fmt::Debug for dyn CallHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CallHandler")
    }
}

/// Why a call has no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No connection; the peer didn't get the request.
    #[error("can't reach the peer: {0}")]
    Unreachable(#[from] ConnectError),
    /// The stream can't be opened; the peer didn't get the request.
    #[error("the peer doesn't accept a call stream: {0}; try again")]
    Stream(String),
    /// The peer answers no calls on this network.
    #[error("the peer answers no calls on this network")]
    Unsupported,
    /// Too many calls are under way, there or here; the peer didn't get the request.
    #[error("too many calls are under way: try later")]
    Busy,
    /// No response's header in time; the peer may have got the request.
    #[error("no response in time: the peer may or may not have got the request")]
    Timeout,
    /// The stream broke; the peer may have got the request.
    #[error("the stream broke before the response: the peer may or may not have got the request: {0}")]
    Broken(String),
    /// The request's address can't be sent.
    #[error("the request can't be sent: {0}")]
    Request(String),
    /// The actor has ended.
    #[error("the network is closed")]
    Closed,
}
