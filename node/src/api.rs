//! The node's only door for its owner: HTTP on the loopback interface. The command line is its first client.
//!
//! Every request carries the bearer token of the home, but for `/healthy`, `/ready` and `/metrics`. What is refused is
//! answered with problem details and a stable code. Reading takes a bounded time; commands wait for what they lead to,
//! on the ledger too.
//!
//! | Resource | What |
//! |---|---|
//! | `GET /v1/status`, `/v1/config` | how the node is, what it was told |
//! | `GET /v1/offerings`, `/v1/offerings/{id}`, `/v1/offerings/own` | the book, and one's own part of it |
//! | `POST /v1/offerings`, `/v1/offerings/quote` | publish, or only say what that costs |
//! | `POST /v1/offerings/{series}/withdraw` | take back, for good |
//! | `GET`, `POST /v1/services`, `GET /v1/services/{key}` | records of one's services |
//! | `GET`, `POST /v1/bindings`, `GET /v1/bindings/{id}` | bindings; bind, or only look |
//! | `POST /v1/bindings/{id}/unbind` | end one |
//! | `POST /v1/bindings/{id}/release` | sign for a division of its escrow |
//! | `GET /v1/disputes`, `/v1/disputes/{id}` | disputes of one's bindings, and those that this node decides |
//! | `POST /v1/disputes/{id}/open`, `/evidence`, `/award` | ask the arbiters, show them something, decide as one |
//! | `GET`, `POST /v1/requests`, `POST /v1/requests/{id}/cancel` | published requests; publish, or only look; take back |
//! | `ANY /v1/bindings/{id}/call/…` | the provider's service, through the network |
//! | `GET /v1/wallet`, `POST /v1/wallet/pay`, `/v1/wallet/fund`, `/v1/wallet/trust` | money |
//! | `POST /v1/wallet/merge` | the submitter accounts' coins back into the account |
//! | `GET`, `POST /v1/wallet/recover` | what the account's key alone finds; look for it, or take it back |
//! | `GET`, `POST /v1/timestamps` | batches of timestamps; make one, or only look |
//! | `GET`, `POST /v1/community`, `GET /v1/community/{id}` | help exchanges; act in one, or only look; a chain |
//! | `GET /v1/peers` | who is connected |
//! | `GET /v1/events` | what changes, as server-sent events |
//! | `POST /v1/backup` | the node's state in one file |
//! | `POST /v1/shutdown` | drain and end, as the first signal does |

pub mod access;
mod backup;
pub mod base64;
mod bindings;
mod call;
mod community;
mod context;
mod disputes;
mod events;
pub mod filter;
mod health;
pub mod id;
mod offerings;
mod peers;
pub mod problem;
mod reject;
pub mod request;
mod requests;
mod server;
mod services;
mod status;
mod timestamps;
pub mod view;
mod wallet;

use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};

use access::Guard;
pub use call::BINDING_HEADER;
pub use context::{Context, Parts, p2p_addresses};
pub use events::Change;
pub use health::Well;
use problem::Problem;
pub use server::{Api, ApiError, Bound};
use tradepost_protocol::market::command::CommandCode;

/// Header of every answer that names the node's time, seconds since 1970: the ledger's, which isn't always this machine's.
pub const NOW_HEADER: HeaderName = HeaderName::from_static("x-tradepost-now");
/// Largest body of a request that isn't passed on to a service, bytes.
pub const MAX_BODY: usize = 64 * 1024;
/// How long reading may take.
pub const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a command may take: it waits for what it leads to on the ledger.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(600);

/// All resources, behind the guard.
pub(crate) fn router(context: Context, guard: Guard) -> Router {
    let reads = Router::new()
        .route("/healthy", get(health::healthy))
        .route("/ready", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/v1/status", get(status::status))
        .route("/v1/config", get(status::config))
        .route("/v1/offerings/own", get(offerings::own))
        .route("/v1/offerings/{id}", get(offerings::show))
        .route("/v1/services/{key}", get(services::show))
        .route("/v1/bindings/{id}", get(bindings::show))
        .route("/v1/disputes", get(disputes::list))
        .route("/v1/disputes/{id}", get(disputes::show))
        .route("/v1/wallet", get(wallet::show))
        .route("/v1/community/{id}", get(community::chain))
        .route("/v1/peers", get(peers::list))
        .layer(middleware::from_fn(within_read));
    let commands = Router::new()
        .route("/v1/offerings", get(offerings::list).post(offerings::publish))
        .route("/v1/offerings/quote", post(offerings::quote))
        .route("/v1/offerings/{id}/withdraw", post(offerings::withdraw))
        .route("/v1/services", get(services::list).post(services::register))
        .route("/v1/bindings", get(bindings::list).post(bindings::bind))
        .route("/v1/bindings/{id}/unbind", post(bindings::unbind))
        .route("/v1/bindings/{id}/release", post(bindings::release))
        .route("/v1/disputes/{id}/open", post(disputes::open))
        .route("/v1/disputes/{id}/evidence", post(disputes::show_evidence))
        .route("/v1/disputes/{id}/award", post(disputes::award))
        .route("/v1/requests", get(requests::list).post(requests::publish))
        .route("/v1/requests/{id}/cancel", post(requests::cancel))
        .route("/v1/wallet/pay", post(wallet::pay))
        .route("/v1/wallet/fund", post(wallet::fund))
        .route("/v1/wallet/merge", post(wallet::merge))
        .route("/v1/wallet/trust", post(wallet::trust))
        .route("/v1/wallet/recover", get(wallet::recovery).post(wallet::recover))
        .route("/v1/timestamps", get(timestamps::list).post(timestamps::stamp))
        .route("/v1/community", get(community::list).post(community::act))
        .route("/v1/backup", post(backup::make))
        .route("/v1/shutdown", post(status::shutdown))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(within_command));
    // Neither has an end by itself: their time and size are the caller's and the provider's.
    let streams = Router::new()
        .route("/v1/events", get(events::events))
        .route("/v1/bindings/{id}/call", any(call::call))
        .route("/v1/bindings/{id}/call/", any(call::call))
        .route("/v1/bindings/{id}/call/{*path}", any(call::call))
        .layer(DefaultBodyLimit::disable());
    reads
        .merge(commands)
        .merge(streams)
        .fallback(reject::no_such_resource)
        .method_not_allowed_fallback(reject::no_such_method)
        .layer(middleware::from_fn_with_state(context.clone(), tell_time))
        .layer(middleware::from_fn_with_state(guard, access::check))
        .with_state(context)
}

async fn tell_time(State(context): State<Context>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let now = context.node().clock.now().timestamp().secs();
    response.headers_mut().insert(NOW_HEADER, HeaderValue::from(now));
    response
}

async fn within_read(request: Request, next: Next) -> Response {
    within(READ_TIMEOUT, request, next).await
}

async fn within_command(request: Request, next: Next) -> Response {
    within(COMMAND_TIMEOUT, request, next).await
}

async fn within(time: Duration, request: Request, next: Next) -> Response {
    match tokio::time::timeout(time, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = format!("no answer within {} s; a command may be carried out all the same", time.as_secs());
            Problem::new(StatusCode::GATEWAY_TIMEOUT, CommandCode::Timeout, detail)
                .remedy("look at `tradepost status`")
                .into_response()
        }
    }
}
