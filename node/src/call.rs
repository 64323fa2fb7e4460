//! A consumer's HTTP requests to the service that it bound, over the provider's call stream; both ends.
//!
//! On the stream a request carries, besides what its sender wrote:
//! - `tradepost-binding: <64 hex digits>`, the binding;
//! - `authorization: Bearer <64 hex digits>`, the binding's token, which only its consumer knows;
//! - `tradepost-authorization: …`, the sender's own `authorization`, where it had one. The provider's node puts it back
//!   under its proper name, so that a service's own log-in passes unchanged, and the service never sees the token.
//!
//! Whatever else begins with `tradepost-` is taken out at both ends: these names say what the nodes vouch for. The
//! service finds the binding in `tradepost-binding`. Hop-by-hop headers end at each hop (RFC 9110, 7.6.1); both bodies
//! stream.

mod consumer;
mod headers;
mod problem;
mod provider;
mod target;

pub use consumer::{CallClient, CallFailure};
pub use problem::{PROBLEM_JSON, Problem};
pub use provider::{MAX_REQUEST_BODY, MAX_RESPONSE_BODY, ProviderCalls, UPSTREAM_TIMEOUT};
