//! Requests with one response each: the direct ones, and what they share with fetch.

use bytes::Bytes;
use libp2p::request_response::OutboundFailure;
use tokio::sync::oneshot;

use crate::config::MAX_DIRECT;
use crate::frame_codec::Reply;
use crate::handle::ConnectError;
use crate::peers::PeerFault;

/// Names one direct request until it is answered. Dropping it tells the peer that there is no answer.
#[derive(Debug)]
pub struct DirectToken(pub(crate) Answerer);

/// The way back for one answer.
#[derive(Debug)]
pub(crate) struct Answerer(pub(crate) oneshot::Sender<Bytes>);

impl Answerer {
    pub(crate) fn answer(self, bytes: Bytes, max: usize) -> Result<(), AnswerError> {
        if bytes.len() > max {
            return Err(AnswerError::TooLarge { size: bytes.len(), max });
        }
        self.0.send(bytes).map_err(|_| AnswerError::TooLate)
    }
}

impl DirectToken {
    pub(crate) fn answer(self, bytes: Bytes) -> Result<(), AnswerError> {
        self.0.answer(bytes, MAX_DIRECT)
    }
}

/// Why an answer can't be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The peer would refuse it.
    #[error("an answer of {size} bytes is over the limit of {max}: make it smaller")]
    TooLarge {
        /// Its size, bytes.
        size: usize,
        /// The limit, bytes.
        max: usize,
    },
    /// The peer was told that there is no answer.
    #[error("the answer comes too late: the peer has been told that there is none")]
    TooLate,
}

/// Why a request has no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// No connection.
    #[error("can't reach the peer: {0}")]
    Unreachable(#[from] ConnectError),
    /// No response in time; the peer may have got the request.
    #[error("no response in time: the peer may or may not have got the request; ask again")]
    Timeout,
    /// The connection broke; the peer may have got the request.
    #[error("the connection broke before the response: the peer may or may not have got the request; ask again")]
    Broken,
    /// The request is larger than any peer accepts.
    #[error("a request of {size} bytes is over the limit of {max}: make it smaller")]
    TooLarge {
        /// Its size, bytes.
        size: usize,
        /// The limit, bytes.
        max: usize,
    },
    /// A list of ids is longer than any peer accepts.
    #[error("{ids} ids are over the limit of {max}: ask in parts")]
    TooManyIds {
        /// How many.
        ids: usize,
        /// The limit.
        max: usize,
    },
    /// A limit is reached, there or here.
    #[error("too many requests are under way: ask later")]
    Busy,
    /// The peer has no answer.
    #[error("the peer has no answer")]
    Unanswered,
    /// The peer doesn't speak the protocol on this network.
    #[error("the peer doesn't speak this protocol on this network")]
    Unsupported,
    /// The peer broke the rules.
    #[error("the peer is at fault: it {0}")]
    Fault(PeerFault),
    /// The actor has ended.
    #[error("the network is closed")]
    Closed,
}

impl RequestError {
    pub(crate) fn from_failure(failure: &OutboundFailure) -> Self {
        match failure {
            OutboundFailure::DialFailure => Self::Unreachable(ConnectError::Failed("dialling failed".to_owned())),
            OutboundFailure::Timeout => Self::Timeout,
            OutboundFailure::ConnectionClosed => Self::Broken,
            OutboundFailure::UnsupportedProtocols => Self::Unsupported,
            OutboundFailure::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                Self::Fault(PeerFault::Malformed)
            }
            OutboundFailure::Io(_) => Self::Broken,
        }
    }
}

/// Turns a reply into what the caller gets.
pub(crate) fn outcome(reply: Reply) -> Result<Bytes, RequestError> {
    match reply {
        Reply::Answer(bytes) => Ok(bytes),
        Reply::Busy => Err(RequestError::Busy),
        Reply::Unanswered => Err(RequestError::Unanswered),
    }
}
