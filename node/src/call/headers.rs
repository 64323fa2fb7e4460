//! The headers that nodes add and take away.

use hyper::HeaderMap;
use hyper::header::{self, HeaderName, HeaderValue};
use tradepost_protocol::message::BindingId;

/// Names the binding of a call.
pub(super) const BINDING: HeaderName = HeaderName::from_static("tradepost-binding");
/// The sender's own `authorization`, on the call stream.
pub(super) const SENDERS: HeaderName = HeaderName::from_static("tradepost-authorization");
/// How the names begin that only nodes may use.
const RESERVED: &str = "tradepost-";
/// How the token is carried.
const BEARER: &str = "Bearer ";

/// Headers that end at each hop; those that `connection` names do, too.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TE,
];

/// Takes the headers away that end at this hop. `te: trailers` stays: gRPC needs it, and both sides pass trailers on.
pub(super) fn end_hop(headers: &mut HeaderMap) {
    let trailers = headers.get_all(header::TE).iter().any(|value| {
        let text = value.to_str().unwrap_or_default();
        text.split(',').any(|part| part.trim().eq_ignore_ascii_case("trailers"))
    });
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
}

/// Takes the headers away that only nodes may set.
pub(super) fn remove_reserved(headers: &mut HeaderMap) {
    let reserved: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with(RESERVED)).cloned().collect();
    for name in reserved {
        headers.remove(name);
    }
}

/// Makes a sender's headers those of the call stream.
pub(super) fn for_stream(headers: &mut HeaderMap, binding: &BindingId, token: &[u8; 32]) {
    end_hop(headers);
    remove_reserved(headers);
    headers.remove(header::HOST);
    if let Some(own) = headers.remove(header::AUTHORIZATION) {
        headers.insert(SENDERS, own);
    }
    let text = |text: String| HeaderValue::try_from(text).expect("hex digits are a header's value");
    headers.insert(BINDING, text(hex::encode(binding.as_bytes())));
    let mut bearer = text(format!("{BEARER}{}", hex::encode(token)));
    bearer.set_sensitive(true);
    headers.insert(header::AUTHORIZATION, bearer);
}

/// What a call on the stream is for; `None` where it doesn't say it properly.
pub(super) fn credentials(headers: &HeaderMap) -> Option<(BindingId, [u8; 32])> {
    let binding = digits(headers.get(BINDING)?.to_str().ok()?)?;
    let token = digits(headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix(BEARER)?)?;
    Some((BindingId::from_bytes(binding), token))
}

/// Makes the call stream's headers those of the service.
pub(super) fn for_service(headers: &mut HeaderMap, binding: &BindingId) {
    let own = headers.remove(SENDERS);
    headers.remove(header::AUTHORIZATION);
    end_hop(headers);
    remove_reserved(headers);
    headers.remove(header::HOST);
    if let Some(own) = own {
        headers.insert(header::AUTHORIZATION, own);
    }
    let id = HeaderValue::try_from(hex::encode(binding.as_bytes())).expect("hex digits are a header's value");
    headers.insert(BINDING, id);
}

fn digits(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn map(headers: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        headers.iter().map(pair).collect()
    }

    #[test]
    fn the_senders_authorization_reaches_the_service_and_the_token_does_not() {
        let (binding, token) = (BindingId::from_bytes([1; 32]), [2; 32]);
        let mut headers = map(&[("authorization", "Basic abc"), ("tradepost-authorization", "forged"), ("x", "y")]);
        for_stream(&mut headers, &binding, &token);
        assert_eq!(credentials(&headers), Some((binding, token)));
        for_service(&mut headers, &binding);
        assert_eq!(headers.get("authorization").unwrap(), "Basic abc");
        assert_eq!(headers.get("tradepost-binding").unwrap(), &hex::encode([1; 32]));
        assert_eq!(headers.get("x").unwrap(), "y");
        assert_eq!(headers.len(), 3, "{headers:?}");
    }

    #[test]
    fn without_own_authorization_the_service_sees_none() {
        let mut headers = HeaderMap::new();
        for_stream(&mut headers, &BindingId::from_bytes([1; 32]), &[2; 32]);
        for_service(&mut headers, &BindingId::from_bytes([1; 32]));
        assert!(!headers.contains_key("authorization"));
    }

    #[test]
    fn hop_by_hop_headers_end_here_with_those_that_connection_names() {
        let mut headers = map(&[
            ("connection", "close, X-Secret"),
            ("x-secret", "1"),
            ("upgrade", "websocket"),
            ("te", "gzip, trailers"),
            ("transfer-encoding", "chunked"),
            ("keep", "1"),
        ]);
        end_hop(&mut headers);
        assert_eq!(headers, map(&[("te", "trailers"), ("keep", "1")]));
    }

    #[test]
    fn credentials_are_exact() {
        let good = hex::encode([1; 32]);
        for (binding, bearer) in [
            (&good[..62], format!("Bearer {good}")),
            (&good[..], good.clone()),
            (&good[..], format!("Bearer {good}00")),
            (&good[..], format!("Basic {good}")),
        ] {
            let headers = map(&[("tradepost-binding", binding), ("authorization", &bearer)]);
            assert_eq!(credentials(&headers), None, "{headers:?}");
        }
    }
}
