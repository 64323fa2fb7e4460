//! The provider's end of a call: admitted by the market, passed on to the service, counted.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use http_body_util::{BodyExt, Limited};
use hyper::body::Body as _;
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tradepost_network::{BoxError, CallBody, CallHandler, PeerId};
use tradepost_protocol::market::command::{Answer, Command, CommandError};
use tradepost_protocol::message::BindingId;

use super::problem::Problem;
use super::{headers, target};
use crate::market::MarketHandle;
use crate::problem_code::ProblemCode;
use crate::supervisor::Supervisor;

/// How long a service may take for a response's header; below the call stream's own 60 s, so that the consumer hears
/// whose fault it was.
pub const UPSTREAM_TIMEOUT: Duration = Duration::from_secs(50);
/// How long the connection to a service may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest body of a request, bytes.
pub const MAX_REQUEST_BODY: u64 = 64 * 1024 * 1024;
/// Largest body of a response, bytes.
pub const MAX_RESPONSE_BODY: u64 = 1024 * 1024 * 1024;
/// Calls that wait for the market's word, count; more are sent away, so that the market hears of other things too.
const MAX_ADMISSIONS: usize = 256;
/// Idle connections kept to one service, count.
const IDLE_CONNECTIONS: usize = 16;
/// How long an idle connection to a service is kept.
const IDLE_TIME: Duration = Duration::from_secs(30);

type Upstream = Client<HttpConnector, CallBody>;

/// Answers consumers' calls. Clones are the same.
#[derive(Clone)]
pub struct ProviderCalls {
    shared: Arc<Shared>,
}

struct Shared {
    market: MarketHandle,
    supervisor: Supervisor,
    /// HTTP/1.1, which every service speaks.
    plain: Upstream,
    /// HTTP/2 without TLS, for gRPC, which speaks nothing else.
    grpc: Upstream,
    running: TaskTracker,
    admissions: Arc<Semaphore>,
    draining: CancellationToken,
}

impl std::fmt::Debug for ProviderCalls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (running, draining) = (self.shared.running.len(), self.is_draining());
        f.debug_struct("ProviderCalls").field("running", &running).field("draining", &draining).finish_non_exhaustive()
    }
}

impl ProviderCalls {
    /// Calls that this market admits, for services that this supervisor runs.
    pub fn new(market: MarketHandle, supervisor: Supervisor) -> Self {
        let shared = Shared {
            market,
            supervisor,
            plain: upstream(false),
            grpc: upstream(true),
            running: TaskTracker::new(),
            admissions: Arc::new(Semaphore::new(MAX_ADMISSIONS)),
            draining: CancellationToken::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Takes no new calls from now on.
    pub fn drain(&self) {
        self.shared.draining.cancel();
        self.shared.running.close();
    }

    /// Whether no new calls are taken.
    pub fn is_draining(&self) -> bool {
        self.shared.draining.is_cancelled()
    }

    /// Cancelled from then on.
    pub(crate) fn draining(&self) -> &CancellationToken {
        &self.shared.draining
    }

    /// Waits until no call runs; after [`ProviderCalls::drain`].
    pub async fn finished(&self) {
        self.shared.running.wait().await;
    }
}

impl CallHandler for ProviderCalls {
    fn call(&self, peer: PeerId, request: Request<CallBody>) -> BoxFuture<'static, Response<CallBody>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            match shared.answer(request).await {
                Ok(response) => response,
                Err(problem) => {
                    tracing::debug!(%peer, code = problem.code.as_str(), detail = problem.detail, "a call is refused");
                    problem.into_response()
                }
            }
        })
    }
}

impl Shared {
    async fn answer(&self, request: Request<CallBody>) -> Result<Response<CallBody>, Problem> {
        // Counted before the look, so that a drain that begins now waits for it.
        let running = self.running.token();
        if self.draining.is_cancelled() {
            let detail = "the provider's node is stopping";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, ProblemCode::Unavailable, detail));
        }
        let unauthorized = "a call carries tradepost-binding and authorization: Bearer, 64 hex digits each";
        let credentials = headers::credentials(request.headers());
        let (binding, token) = credentials
            .ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, ProblemCode::NoCredentials, unauthorized))?;
        check_request(&request)?;
        let mut call = self.admit(binding, token, running).await?;
        // From here on a consumer that hangs up has been served.
        call.failed = false;
        let answered = self.pass_on(binding, request).await;
        // Only a response that says nothing of a fault of the service's counts as served.
        call.failed = answered.as_ref().map_or(true, |response| response.status().is_server_error());
        Ok(answered?.map(|body| Counted { body, call: Some(call) }.boxed_unsync()))
    }

    /// Once this returns, the call is counted durably. Whoever hangs up before gives it back.
    async fn admit(&self, binding: BindingId, token: [u8; 32], running: TaskTrackerToken) -> Result<Admitted, Problem> {
        let busy = || {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, ProblemCode::Busy, "too many calls arrive at once; try again")
        };
        let place = Arc::clone(&self.admissions).try_acquire_owned().map_err(|_| busy())?;
        let market = self.market.clone();
        // A task of its own, for it must hear the market's answer although nobody waits for it any more.
        let admission = tokio::spawn(async move {
            let _place = place;
            let internal =
                |detail: &str| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, ProblemCode::Internal, detail);
            match market.command(Command::AdmitCall { binding, token }).await {
                Ok(Ok(Answer::Admitted)) => Ok(Admitted { market, binding, failed: true, _running: running }),
                Ok(Ok(_)) => Err(internal("the market answered something else")),
                Ok(Err(error @ CommandError::NotFound { .. })) => {
                    Err(Problem::new(StatusCode::UNAUTHORIZED, ProblemCode::UnknownBinding, error))
                }
                Ok(Err(error)) => Err(Problem::new(StatusCode::CONFLICT, &error, &error)),
                Err(error) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, ProblemCode::Unavailable, error)),
            }
        });
        let failed = |error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, ProblemCode::Internal, error);
        admission.await.map_err(failed)?
    }

    async fn pass_on(&self, binding: BindingId, mut request: Request<CallBody>) -> Result<Response<CallBody>, Problem> {
        let gone =
            || Problem::new(StatusCode::BAD_GATEWAY, ProblemCode::ServiceDown, "the binding's service doesn't run now");
        let base = self.supervisor.base_url(&binding).ok_or_else(gone)?;
        let bad = |e| Problem::new(StatusCode::BAD_REQUEST, ProblemCode::BadPath, e);
        *request.uri_mut() = target::join(&base, request.uri()).map_err(bad)?;
        headers::for_service(request.headers_mut(), &binding);
        let grpc = is_grpc(&request);
        *request.version_mut() = if grpc { Version::HTTP_2 } else { Version::HTTP_11 };
        let request = request.map(|body| bounded(body, MAX_REQUEST_BODY));
        let client = if grpc { &self.grpc } else { &self.plain };
        let answer = timeout(UPSTREAM_TIMEOUT, client.request(request)).await.map_err(|_| {
            let detail = format!("the service sent no response within {} s", UPSTREAM_TIMEOUT.as_secs());
            Problem::new(StatusCode::GATEWAY_TIMEOUT, ProblemCode::ServiceTimeout, detail)
        })?;
        let mut response = answer.map_err(|error| {
            // The error's text may name the provider's machine.
            tracing::warn!(%binding, error = %chain(&error), "a service doesn't answer a call");
            Problem::new(
                StatusCode::BAD_GATEWAY,
                ProblemCode::ServiceFailed,
                "the service broke off before it responded",
            )
        })?;
        headers::end_hop(response.headers_mut());
        headers::remove_reserved(response.headers_mut());
        Ok(response.map(|body| bounded(body.map_err(BoxError::from).boxed_unsync(), MAX_RESPONSE_BODY)))
    }
}

/// What is refused before it is counted.
fn check_request(request: &Request<CallBody>) -> Result<(), Problem> {
    if request.method() == Method::CONNECT {
        let detail = "CONNECT opens a tunnel, and this is none";
        return Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, ProblemCode::NoTunnel, detail));
    }
    target::path(request.uri()).map_err(|e| Problem::new(StatusCode::BAD_REQUEST, ProblemCode::BadPath, e))?;
    if request.body().size_hint().lower() > MAX_REQUEST_BODY {
        let detail = format!("a request's body has at most {MAX_REQUEST_BODY} bytes");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, ProblemCode::BodyTooLarge, detail));
    }
    Ok(())
}

fn is_grpc(request: &Request<CallBody>) -> bool {
    let content = request.headers().get(hyper::header::CONTENT_TYPE);
    content.and_then(|value| value.to_str().ok()).is_some_and(|value| value.starts_with("application/grpc"))
}

fn upstream(grpc: bool) -> Upstream {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new())
        .http2_only(grpc)
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .pool_idle_timeout(IDLE_TIME)
        .build(connector)
}

fn bounded(body: CallBody, max: u64) -> CallBody {
    Limited::new(body, usize::try_from(max).unwrap_or(usize::MAX)).boxed_unsync()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}

/// A call that was let through. However it ends, the market is told, once. A consumer that hangs up has been served.
struct Admitted {
    market: MarketHandle,
    binding: BindingId,
    failed: bool,
    _running: TaskTrackerToken,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.market.call_done(self.binding, self.failed);
    }
}

/// A response's body that ends its call.
struct Counted {
    body: CallBody,
    call: Option<Admitted>,
}

impl hyper::body::Body for Counted {
    type Data = bytes::Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, BoxError>>> {
        let frame = std::task::ready!(std::pin::Pin::new(&mut self.body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            self.call = None;
        }
        std::task::Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use http_body_util::StreamBody;
    use hyper::HeaderMap;
    use hyper::body::{Frame, Incoming};
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use tokio::net::TcpListener;
    use tradepost_network::{empty_body, full_body};

    use super::*;
    use crate::home::Home;
    use crate::market::Work;

    /// A gRPC server's part that matters here: HTTP/2 without TLS, and its word in the trailers.
    async fn grpc_service() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/svc/Method", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let answer = service_fn(|request: Request<Incoming>| async move {
                assert_eq!(request.version(), Version::HTTP_2);
                let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
                let frames = [Frame::data(Bytes::from_static(b"reply")), Frame::trailers(trailers)];
                let body = StreamBody::new(futures::stream::iter(frames.map(Ok::<_, Infallible>)));
                Ok::<_, Infallible>(Response::new(body))
            });
            hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), answer)
                .await
        });
        url
    }

    #[tokio::test]
    async fn who_hangs_up_before_the_call_is_admitted_gives_it_back() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        home.create().unwrap();
        let (market, mut mailbox) = MarketHandle::new();
        let calls = ProviderCalls::new(market, Supervisor::new(&home).await.unwrap().0);
        let mut request = Request::get("/").body(empty_body()).unwrap();
        let id = BindingId::from_bytes([1; 32]);
        headers::for_stream(request.headers_mut(), &id, &[2; 32]);
        let caller = tokio::spawn(calls.call(PeerId::random(), request));
        let Some(Work::Command { command: Command::AdmitCall { binding, .. }, reply }) = mailbox.inbox.recv().await
        else {
            panic!("the market is asked")
        };
        assert_eq!(binding, id);
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        assert!(reply.send(Ok(Answer::Admitted)).is_ok());
        let done = mailbox.inbox.recv().await;
        assert!(matches!(done, Some(Work::CallDone { binding, failed: true }) if binding == id));
        calls.drain();
        calls.finished().await;
    }

    #[tokio::test]
    async fn grpc_reaches_its_service_over_http2_and_its_trailers_come_back() {
        let request = Request::post(grpc_service().await).header("content-type", "application/grpc+proto");
        let request = request.version(Version::HTTP_2).body(full_body("call")).unwrap();
        assert!(is_grpc(&request));
        let response = upstream(true).request(request).await.unwrap();
        let body = response.into_body().map_err(BoxError::from).boxed_unsync();
        let collected = bounded(body, MAX_RESPONSE_BODY).collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
        assert_eq!(collected.to_bytes(), "reply");
    }

    #[tokio::test]
    async fn a_body_over_its_bound_is_cut_off() {
        assert!(bounded(full_body("12345"), 4).collect().await.is_err());
        assert!(bounded(full_body("1234"), 4).collect().await.is_ok());
    }

    #[test]
    fn what_cannot_be_passed_on_is_refused_before_it_counts() {
        let code = |request: Request<CallBody>| check_request(&request).map_err(|problem| problem.code.as_str());
        let tunnel = Request::connect("host:1").body(empty_body()).unwrap();
        assert_eq!(code(tunnel), Err("no-tunnel"));
        assert_eq!(code(Request::get("/a/..").body(empty_body()).unwrap()), Err("bad-path"));
        assert_eq!(code(Request::get("/a").body(empty_body()).unwrap()), Ok(()));
        let large = CountedAs(MAX_REQUEST_BODY + 1).boxed_unsync();
        assert_eq!(code(Request::post("/a").body(large).unwrap()), Err("body-too-large"));
    }

    /// A body that says how large it is.
    struct CountedAs(u64);

    impl hyper::body::Body for CountedAs {
        type Data = Bytes;
        type Error = BoxError;
        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            std::task::Poll::Ready(None)
        }
        fn size_hint(&self) -> hyper::body::SizeHint {
            hyper::body::SizeHint::with_exact(self.0)
        }
    }
}
