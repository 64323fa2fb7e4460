//! The consumer's end of a call.

use hyper::{Method, Request, Response, StatusCode};
use tradepost_network::{CallBody, CallError};
use tradepost_protocol::binding::phase::Side;
use tradepost_protocol::binding::precheck::PrecheckCode;
use tradepost_protocol::binding::session::Session;
use tradepost_protocol::market::Market;
use tradepost_protocol::message::BindingId;
use tradepost_protocol::time::Now;

use super::problem::Problem;
use super::target::BadTarget;
use super::{headers, target};
use crate::market::{MarketHandle, MarketStopped, network_peer};
use crate::problem_code::{ProblemCode, StableCode};

/// Why a call has no response of the service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallFailure {
    /// This node has no such binding as a consumer.
    #[error("this node holds no binding {0}: `tradepost binding list` shows those it has")]
    UnknownBinding(BindingId),
    /// The binding's service can't be used now.
    #[error("the service of binding {binding} can't be called: the binding is {phase}")]
    NotActive {
        /// The binding.
        binding: BindingId,
        /// Where it stands.
        phase: String,
    },
    /// The request's address or method can't be passed on.
    #[error("the request can't be passed on: {0}")]
    Request(String),
    /// The provider isn't reached, or doesn't answer.
    #[error("the provider's node: {0}")]
    Provider(#[from] CallError),
    /// This node's market doesn't answer.
    #[error(transparent)]
    Market(#[from] MarketStopped),
}

impl CallFailure {
    /// The failure as a response's problem.
    pub fn problem(&self) -> Problem {
        let (status, code): (StatusCode, StableCode) = match self {
            Self::UnknownBinding(_) => (StatusCode::NOT_FOUND, ProblemCode::UnknownBinding.into()),
            Self::NotActive { .. } => (StatusCode::CONFLICT, ProblemCode::BindingNotActive.into()),
            Self::Request(_) => (StatusCode::BAD_REQUEST, ProblemCode::BadRequest.into()),
            Self::Provider(CallError::Timeout) => (StatusCode::GATEWAY_TIMEOUT, ProblemCode::ProviderTimeout.into()),
            Self::Provider(CallError::Busy) => (StatusCode::SERVICE_UNAVAILABLE, ProblemCode::ProviderBusy.into()),
            Self::Provider(_) => (StatusCode::BAD_GATEWAY, PrecheckCode::ProviderUnreachable.into()),
            Self::Market(_) => (StatusCode::SERVICE_UNAVAILABLE, ProblemCode::MarketStopped.into()),
        };
        Problem::new(status, code, self)
    }
}

/// Sends requests to the services that this node bound. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CallClient {
    market: MarketHandle,
    network: tradepost_network::Handle,
}

/// What a call needs to know of its binding.
struct Bound {
    peer: tradepost_network::PeerId,
    token: [u8; 32],
}

impl CallClient {
    pub(crate) fn new(market: MarketHandle, network: tradepost_network::Handle) -> Self {
        Self { market, network }
    }

    /// Sends a request to a binding's service and gives the response once its header is there; both bodies stream.
    /// Only path, query, method, headers and body of the request count. Its `authorization` is the service's to read;
    /// headers that begin with `tradepost-` don't leave this node. Whether the call was answered is counted: where arbiters
    /// may be asked, this node pays by what it saw.
    ///
    /// # Errors
    /// [`CallFailure`]. What the provider's node or the service itself answers is a response, whatever its status.
    pub async fn call(
        &self,
        binding: BindingId,
        mut request: Request<CallBody>,
    ) -> Result<Response<CallBody>, CallFailure> {
        if request.method() == Method::CONNECT {
            return Err(CallFailure::Request("CONNECT opens a tunnel, and this is none".to_owned()));
        }
        let refused = |bad: BadTarget| CallFailure::Request(bad.to_string());
        let path = target::path(request.uri()).map_err(refused)?;
        let uri = path.parse().map_err(|_| refused(BadTarget::NoUrl))?;
        let bound = self.market.ask(move |market, now| bound(market, binding, now)).await??;
        *request.uri_mut() = uri;
        headers::for_stream(request.headers_mut(), &binding, &bound.token);
        let mut response = match self.network.call(bound.peer, Vec::new(), request).await {
            Ok(response) => response,
            Err(failed) => {
                self.market.call_done(binding, true);
                return Err(failed.into());
            }
        };
        self.market.call_done(binding, response.status().is_server_error());
        headers::end_hop(response.headers_mut());
        headers::remove_reserved(response.headers_mut());
        Ok(response)
    }
}

fn bound(market: &Market, binding: BindingId, _: Now) -> Result<Bound, CallFailure> {
    let unknown = || CallFailure::UnknownBinding(binding);
    let trade = market.trade(binding.as_bytes()).filter(|t| t.state.side == Side::Consumer).ok_or_else(unknown)?;
    let terms = trade.terms().ok_or_else(unknown)?;
    let not_active = || CallFailure::NotActive { binding, phase: trade.phase().to_string() };
    if !matches!(trade.state.session, Session::Active | Session::Away) {
        return Err(not_active());
    }
    let token = trade.state.access.ok_or_else(not_active)?.token;
    let peer = network_peer(&terms.provider_peer).ok_or_else(unknown)?;
    Ok(Bound { peer, token })
}
