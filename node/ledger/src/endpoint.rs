//! One HTTP endpoint, asked once: bounded answers, deadlines.
//!
//! Everything here concerns one address and one try and knows no ledger; [`crate::endpoints`] tries again, and others.

pub(crate) mod address;

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use reqwest::header::{HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, StatusCode, redirect};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use url::Url;

use self::address::Address;
use crate::config::{Auth, Patience};
use crate::error::{LedgerError, brief};
use crate::wire::Answer;

/// The most bytes of an answer.
pub(crate) const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// Questions to one endpoint at the same time; more wait for their turn, within their own deadline.
pub(crate) const MAX_IN_FLIGHT: usize = 16;

/// An endpoint that can be asked.
pub(crate) struct Endpoint {
    address: Address,
    auth: Option<(HeaderName, HeaderValue)>,
    http: Client,
    next_id: AtomicU64,
    in_flight: Semaphore,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("name", &self.address.name).finish_non_exhaustive()
    }
}

/// An HTTP answer below 500 that isn't a redirect or a 429.
pub(crate) struct Reply {
    pub status: StatusCode,
    pub body: Vec<u8>,
}

impl Endpoint {
    /// An endpoint; nothing is sent yet.
    pub fn new(address: Address, auth: &Auth, patience: &Patience) -> Result<Self, LedgerError> {
        let bad_auth = || LedgerError::BadAuth { endpoint: address.name.clone() };
        let auth = match auth {
            Auth::None => None,
            Auth::Bearer(token) => Some(("authorization", format!("Bearer {token}"))),
            Auth::Header { name, value } => Some((name.as_str(), value.clone())),
        };
        let auth = match auth {
            None => None,
            Some((name, value)) => {
                let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad_auth())?;
                let mut value = HeaderValue::from_str(&value).map_err(|_| bad_auth())?;
                value.set_sensitive(true);
                Some((name, value))
            }
        };
        let mut builder = Client::builder()
            .user_agent(concat!("tradepost/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .referer(false)
            .connect_timeout(patience.connect)
            .read_timeout(patience.read)
            .timeout(patience.one_try);
        if address.private {
            // A proxy from the environment is for the world outside.
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|e| unreachable(&address.name, &e))?;
        Ok(Self { address, auth, http, next_id: AtomicU64::new(1), in_flight: Semaphore::new(MAX_IN_FLIGHT) })
    }

    /// How it is called in errors and logs.
    pub fn name(&self) -> &str {
        &self.address.name
    }

    /// Asks by JSON-RPC, once.
    pub async fn call<T: DeserializeOwned>(&self, method: &'static str, params: &Value) -> Result<T, LedgerError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let question = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let reply = self.exchange(self.http.post(self.address.url.clone()).json(&question)).await?;
        self.parse(method, id, &reply)
    }

    /// Fetches an address of this endpoint's by GET, once.
    pub async fn get(&self, url: &Url) -> Result<Reply, LedgerError> {
        self.exchange(self.http.get(url.clone())).await
    }

    /// Its own address.
    pub fn url(&self) -> &Url {
        &self.address.url
    }

    /// Whether it is this machine or on a private network.
    pub fn is_private(&self) -> bool {
        self.address.private
    }

    /// An answer that can't be read.
    pub fn garbled(&self, method: &'static str, why: impl fmt::Display) -> LedgerError {
        LedgerError::Garbled { endpoint: self.name().into(), method, why: brief(&why.to_string()) }
    }

    /// An answer that contradicts something; foreign text in `what` must be brief.
    pub fn contradiction(&self, what: impl fmt::Display) -> LedgerError {
        LedgerError::Contradiction { endpoint: self.name().into(), what: what.to_string() }
    }

    /// That there was no answer within the time of a try.
    pub fn silent(&self) -> LedgerError {
        unreachable_because(self.name(), "no answer in time")
    }

    async fn exchange(&self, request: RequestBuilder) -> Result<Reply, LedgerError> {
        let turn = self.in_flight.acquire().await;
        debug_assert!(turn.is_ok(), "the semaphore is never closed");
        let request = match &self.auth {
            Some((name, value)) => request.header(name, value),
            None => request,
        };
        let failed = |e: reqwest::Error| unreachable(self.name(), &e);
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status();
        if status.is_redirection() {
            let to = response.headers().get(LOCATION).map_or(b"" as &[u8], HeaderValue::as_bytes);
            let to = brief(&String::from_utf8_lossy(to));
            return Err(LedgerError::Redirected { endpoint: self.name().into(), to });
        }
        if status == StatusCode::TOO_MANY_REQUESTS {
            let wait = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
            let wait = wait.map(Duration::from_secs);
            return Err(LedgerError::Busy { endpoint: self.name().into(), wait, tries: 1 });
        }
        if status.is_server_error() {
            return Err(self.status_error(status));
        }
        let too_large = || LedgerError::TooLarge { endpoint: self.name().into(), limit: MAX_ANSWER_BYTES };
        if response.content_length().is_some_and(|length| length > MAX_ANSWER_BYTES as u64) {
            return Err(too_large());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status, body })
    }

    /// The result in a reply to the question with this number.
    pub(crate) fn parse<T: DeserializeOwned>(
        &self,
        method: &'static str,
        id: u64,
        reply: &Reply,
    ) -> Result<T, LedgerError> {
        if !reply.status.is_success() {
            return Err(self.status_error(reply.status));
        }
        let answer: Answer<T> = serde_json::from_slice(&reply.body).map_err(|e| self.garbled(method, e))?;
        if answer.jsonrpc != "2.0" {
            return Err(self.garbled(method, "it isn't JSON-RPC 2.0"));
        }
        // Only an error may come without the id, where the server could not read the question.
        let error_without_id = answer.id.is_null() && answer.error.is_some();
        if answer.id != json!(id) && !error_without_id {
            let said = brief(&answer.id.to_string());
            return Err(self.contradiction(format_args!("it answers question {said}, asked was {id}")));
        }
        match (answer.result, answer.error) {
            (Some(result), None) => Ok(result),
            (None, Some(error)) => Err(LedgerError::Rpc {
                endpoint: self.name().into(),
                method,
                code: error.code,
                message: brief(&error.message),
            }),
            (Some(_), Some(_)) => Err(self.garbled(method, "it has both a result and an error")),
            (None, None) => Err(self.garbled(method, "it has neither a result nor an error")),
        }
    }

    fn status_error(&self, status: StatusCode) -> LedgerError {
        let remedy = match status.as_u16() {
            401 | 403 => "it wants a token or header that it knows; configure one for this endpoint",
            404 | 405 => "there is no Stellar RPC at this path; check the address",
            413 => "the question is larger than it takes; use another RPC endpoint",
            500.. => "it has a problem of its own; try later, or use another RPC endpoint",
            _ => "it isn't a Stellar RPC endpoint, or refuses this node; check the address",
        };
        LedgerError::Status { endpoint: self.name().into(), status: status.as_u16(), remedy }
    }
}

/// What a transport error says, without the address that it carries along (which may hold a key).
fn unreachable(endpoint: &str, error: &reqwest::Error) -> LedgerError {
    let what = if error.is_timeout() {
        "no answer in time".into()
    } else {
        let mut deepest: &dyn core::error::Error = error;
        while let Some(source) = deepest.source() {
            deepest = source;
        }
        if core::ptr::addr_eq(deepest, error) { "the connection failed".into() } else { deepest.to_string() }
    };
    unreachable_because(endpoint, &what)
}

fn unreachable_because(endpoint: &str, why: &str) -> LedgerError {
    LedgerError::Unreachable { endpoint: endpoint.into(), why: brief(why), tries: 1 }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_is_none_is_refused() {
        let address = Address::parse("http://127.0.0.1:1", false).unwrap();
        let auth = Auth::Bearer("two\nlines".into());
        let error = Endpoint::new(address, &auth, &Patience::default()).unwrap_err();
        assert!(matches!(error, LedgerError::BadAuth { .. }));
        assert!(!error.to_string().contains("two"));
    }
}
