//! `/v1/bindings/{id}/call/…`: the provider's real service, through the network. Both bodies stream.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use http_body_util::BodyExt as _;
use tradepost_network::CallBody;

use super::access::TOKEN_HEADER;
use super::bindings::find;
use super::context::Context;
use super::problem::Problem;
use crate::call::CallFailure;
use crate::problem_code::ProblemCode;

/// Marks what comes from the provider, whatever its status; what lacks it is this node's own answer.
pub const BINDING_HEADER: HeaderName = HeaderName::from_static("x-tradepost-binding");
/// What follows a binding's id in the path of a call.
const CALL: &str = "/call";

pub(super) async fn call(State(context): State<Context>, request: Request) -> Result<Response, Problem> {
    let (name, target) = split(request.uri())?;
    let binding =
        context.ask(move |market, _| find(market, &name).map(|trade| trade.binding())).await??.ok_or_else(|| {
            Problem::new(StatusCode::CONFLICT, ProblemCode::BindingNotActive, "the provider hasn't agreed yet")
        })?;
    let (mut parts, body) = request.into_parts();
    parts.uri = target;
    // With the token in its own header, `authorization` is the service's; otherwise it is ours, and stays here.
    if parts.headers.remove(TOKEN_HEADER).is_none() {
        parts.headers.remove(header::AUTHORIZATION);
    }
    for own in [header::HOST, header::ORIGIN] {
        parts.headers.remove(own);
    }
    let body: CallBody = body.map_err(Into::into).boxed_unsync();
    let response = context.node().calls.call(binding, Request::from_parts(parts, body)).await?;
    let mut response = response.map(Body::new);
    let mark = HeaderValue::from_str(&binding.to_string()).expect("hex digits are a header's value");
    response.headers_mut().insert(BINDING_HEADER, mark);
    Ok(response)
}

/// The binding's name, and path and query as the service gets them, unchanged.
fn split(uri: &Uri) -> Result<(String, Uri), Problem> {
    let bad = || Problem::bad_request("the path of a call is /v1/bindings/{id}/call/ and the service's own path");
    let rest = uri.path().strip_prefix("/v1/bindings/").ok_or_else(bad)?;
    let (name, rest) = rest.split_once('/').ok_or_else(bad)?;
    let path = rest.strip_prefix(CALL.trim_start_matches('/')).ok_or_else(bad)?;
    let path = if path.is_empty() { "/" } else { path };
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let target = format!("{path}{query}").parse().map_err(|_| bad())?;
    Ok((name.to_owned(), target))
}

impl From<CallFailure> for Problem {
    fn from(failure: CallFailure) -> Self {
        let told = failure.problem();
        let status = StatusCode::from_u16(told.status).unwrap_or(StatusCode::BAD_GATEWAY);
        Self::new(status, told.code, told.detail)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn split_text(uri: &str) -> Option<(String, String)> {
        split(&uri.parse().unwrap()).ok().map(|(name, target)| (name, target.to_string()))
    }

    #[test]
    fn a_services_path_and_query_pass_unchanged() {
        let cases = [
            ("/v1/bindings/abcdef/call", "/"),
            ("/v1/bindings/abcdef/call/", "/"),
            ("/v1/bindings/abcdef/call/a/b", "/a/b"),
            ("/v1/bindings/abcdef/call/a%2Fb%20c?x=1&y=%26", "/a%2Fb%20c?x=1&y=%26"),
            ("/v1/bindings/abcdef/call//double", "//double"),
            ("/v1/bindings/abcdef/call?q", "/?q"),
        ];
        for (uri, target) in cases {
            assert_eq!(split_text(uri), Some(("abcdef".to_owned(), target.to_owned())), "{uri}");
        }
        assert_eq!(split_text("/v1/bindings/abcdef"), None);
    }
}
