//! Who may use the API: this machine, with the token of the home, and no page of a browser but the node's own.
//!
//! A hostile page can make a browser send requests to the loopback address. It can't read the token, so it gets
//! nothing; the checks of `Host` (DNS rebinding) and `Origin` (cross-site requests) refuse it before that.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::problem::Problem;
use crate::problem_code::ProblemCode;

/// A header that may carry the token instead of `Authorization`, which then goes through to a called service.
pub const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-tradepost-token");
/// Paths for whoever watches the process; they show no secret and need no token.
const OPEN: [&str; 3] = ["/healthy", "/ready", "/metrics"];

/// What a request must show.
#[derive(Clone)]
pub struct Guard {
    token: [u8; 32],
    hosts: Arc<[String]>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("hosts", &self.hosts).finish_non_exhaustive()
    }
}

impl Guard {
    /// Asks for this token, at this address and the usual names of this machine's own.
    pub fn new(token: &Zeroizing<String>, address: SocketAddr) -> Self {
        let port = address.port();
        let usual = ["127.0.0.1", "localhost", "[::1]"].map(|host| format!("{host}:{port}"));
        Self { token: digest(token.as_str()), hosts: usual.into_iter().chain([address.to_string()]).collect() }
    }

    fn check(&self, path: &str, headers: &HeaderMap) -> Result<(), Problem> {
        let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        let host = text(&header::HOST).unwrap_or_default();
        if !self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host)) {
            let detail = "the request names another host than this node's address on the loopback interface";
            return Err(Problem::new(StatusCode::FORBIDDEN, ProblemCode::ForeignHost, detail));
        }
        let origin = text(&header::ORIGIN);
        let own = |origin: &str| self.hosts.iter().any(|host| origin == format!("http://{host}"));
        if origin.is_some_and(|origin| !own(origin)) {
            let detail = "the request comes from a page of another site";
            return Err(Problem::new(StatusCode::FORBIDDEN, ProblemCode::ForeignOrigin, detail));
        }
        if OPEN.contains(&path) {
            return Ok(());
        }
        let bearer = text(&header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        // Comparing digests takes the same time wherever a wrong token differs.
        match text(&TOKEN_HEADER).or(bearer) {
            Some(token) if digest(token.trim()) == self.token => Ok(()),
            _ => {
                let detail = "the request doesn't carry this node's token";
                let problem = Problem::new(StatusCode::UNAUTHORIZED, ProblemCode::NoToken, detail);
                Err(problem.remedy("send `Authorization: Bearer` with the content of the home's api-token file"))
            }
        }
    }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Lets through what the guard allows.
pub async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.check(request.uri().path(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn code(path: &str, headers: &[(&str, &str)]) -> Option<String> {
        code_at("127.0.0.1:4000", path, headers)
    }

    fn code_at(address: &str, path: &str, headers: &[(&str, &str)]) -> Option<String> {
        let guard = Guard::new(&Zeroizing::new("secret".to_owned()), address.parse().unwrap());
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        guard.check(path, &map).err().map(|problem| problem.code)
    }

    #[test]
    fn the_token_opens_and_nothing_else_does() {
        let host = ("host", "127.0.0.1:4000");
        assert_eq!(code("/v1/status", &[host, ("authorization", "Bearer secret")]), None);
        assert_eq!(code("/v1/status", &[host, ("x-tradepost-token", "secret")]), None);
        for wrong in ["Bearer Secret", "Bearer ", "secret", "Basic secret", "Bearer secretx"] {
            assert_eq!(code("/v1/status", &[host, ("authorization", wrong)]).as_deref(), Some("no-token"), "{wrong}");
        }
        assert_eq!(code("/v1/status", &[host]).as_deref(), Some("no-token"));
    }

    #[test]
    fn every_loopback_address_that_it_listens_on_is_its_own() {
        let token = ("authorization", "Bearer secret");
        for address in ["127.0.0.2:4000", "127.0.0.1:4000", "[::1]:4000"] {
            assert_eq!(code_at(address, "/v1/status", &[("host", address), token]), None, "{address}");
            assert_eq!(code_at(address, "/v1/status", &[("host", "localhost:4000"), token]), None, "{address}");
        }
        let foreign = code_at("127.0.0.2:4000", "/v1/status", &[("host", "127.0.0.3:4000"), token]);
        assert_eq!(foreign.as_deref(), Some("foreign-host"));
    }

    #[test]
    fn another_host_or_origin_is_refused_even_with_the_token() {
        let token = ("authorization", "Bearer secret");
        for host in ["evil.example:4000", "127.0.0.1", "127.0.0.1:4001", "localhost.evil.example:4000", ""] {
            assert_eq!(code("/v1/status", &[("host", host), token]).as_deref(), Some("foreign-host"), "{host}");
        }
        assert_eq!(code("/v1/status", &[token]).as_deref(), Some("foreign-host"));
        let host = ("host", "localhost:4000");
        for origin in ["http://evil.example", "null", "http://localhost:4001", "https://localhost:4000", ""] {
            let refused = code("/healthy", &[host, token, ("origin", origin)]);
            assert_eq!(refused.as_deref(), Some("foreign-origin"), "{origin}");
        }
        assert_eq!(code("/v1/status", &[host, token, ("origin", "http://localhost:4000")]), None);
    }

    #[test]
    fn whoever_watches_the_process_needs_no_token() {
        for path in OPEN {
            assert_eq!(code(path, &[("host", "[::1]:4000")]), None, "{path}");
        }
        assert_eq!(code("/healthy/../v1/status", &[("host", "[::1]:4000")]).as_deref(), Some("no-token"));
    }
}
