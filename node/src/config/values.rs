//! From a layer's value to a type: each reader says what would be right.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use multiaddr::{Multiaddr, Protocol};
use toml::Value;
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use url::{Host, Url};

/// Most items of a list.
const MAX_ITEMS: usize = 64;

/// Why a value isn't right, and what would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) why: String,
    pub(super) right: String,
}

/// A value, or what is wrong with it.
pub(super) type Read<T> = Result<T, Wrong>;

pub(super) fn wrong<T>(why: impl Into<String>, right: impl Into<String>) -> Read<T> {
    Err(Wrong { why: why.into(), right: right.into() })
}

pub(super) fn text(value: &Value) -> Read<String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        _ => wrong("it is no text", "a text in quotes"),
    }
}

/// A text that parses as one of a few words.
pub(super) fn word<T: FromStr<Err = String>>(value: &Value) -> Read<T> {
    text(value)?.parse().or_else(|right: String| wrong("there is no such choice", right))
}

pub(super) fn boolean(value: &Value) -> Read<bool> {
    match value {
        Value::Boolean(b) => Ok(*b),
        Value::String(s) if s == "true" => Ok(true),
        Value::String(s) if s == "false" => Ok(false),
        _ => wrong("it is neither true nor false", "true or false"),
    }
}

/// A whole number within bounds, both included.
pub(super) fn count(value: &Value, min: u32, max: u32, unit: &str) -> Read<u32> {
    let right = || format!("a whole number of {unit} from {min} to {max}");
    let number = match value {
        Value::Integer(n) => Some(*n),
        Value::String(s) => s.parse().ok(),
        _ => None,
    };
    match number {
        None => wrong("it is no whole number", right()),
        Some(n) => match u32::try_from(n) {
            Ok(n) if (min..=max).contains(&n) => Ok(n),
            _ => wrong("it is out of range", right()),
        },
    }
}

/// A list of texts; one text is split at its commas, for the environment and flags have no lists.
pub(super) fn list(value: &Value) -> Read<Vec<String>> {
    let items: Vec<String> = match value {
        Value::String(s) => s.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect(),
        Value::Array(items) => items.iter().map(text).collect::<Read<_>>()?,
        _ => return wrong("it is no list", "a list of texts, such as [\"…\", \"…\"]"),
    };
    if items.len() > MAX_ITEMS {
        return wrong(format!("it has {} items", items.len()), format!("at most {MAX_ITEMS}"));
    }
    Ok(items)
}

/// A list whose items all parse.
pub(super) fn items<T>(value: &Value, item: impl Fn(&str) -> Read<T>) -> Read<Vec<T>> {
    list(value)?
        .iter()
        .map(|text| item(text).map_err(|Wrong { why, right }| Wrong { why: format!("at {text:?}, {why}"), right }))
        .collect()
}

/// An address that can be listened on or reached: an IP or DNS name, and TCP or QUIC.
pub(super) fn multiaddr(text: &str) -> Read<Multiaddr> {
    let right = "a multiaddress such as /ip4/0.0.0.0/tcp/4610 or /ip4/0.0.0.0/udp/4610/quic-v1";
    let Ok(address) = text.parse::<Multiaddr>() else { return wrong("it is no multiaddress", right) };
    let mut parts = address.iter();
    let host = matches!(
        parts.next(),
        Some(Protocol::Ip4(_) | Protocol::Ip6(_) | Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_))
    );
    let carried = match parts.next() {
        Some(Protocol::Tcp(_)) => true,
        Some(Protocol::Udp(_)) => matches!(parts.next(), Some(Protocol::QuicV1)),
        _ => false,
    };
    if host && carried { Ok(address) } else { wrong("it isn't an address over TCP or QUIC", right) }
}

/// A first peer's address, which must name the peer too.
pub(super) fn peer_address(text: &str) -> Read<Multiaddr> {
    let right = "a multiaddress that ends in the peer's id, such as /dns4/peer.example/tcp/4610/p2p/12D3KooW…";
    let address = multiaddr(text).map_err(|w| Wrong { right: right.to_owned(), ..w })?;
    match address.iter().last() {
        Some(Protocol::P2p(_)) => Ok(address),
        _ => wrong("it doesn't name the peer", right),
    }
}

/// An address of this machine alone.
pub(super) fn loopback(value: &Value) -> Read<SocketAddr> {
    let right = "a loopback address and port such as 127.0.0.1:0, where port 0 lets the system choose";
    match text(value)?.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Ok(address),
        Ok(_) => wrong("others than this machine could reach it", right),
        Err(_) => wrong("it is no address with a port", right),
    }
}

/// An HTTP URL; without TLS only to this machine or a private network, for what it says is trusted.
pub(super) fn http_url(value: &Value) -> Read<Url> {
    let right = "a URL such as https://rpc.example or http://127.0.0.1:8000";
    let Ok(url) = text(value)?.parse::<Url>() else { return wrong("it is no URL", right) };
    match url.scheme() {
        _ if url.host().is_none() => wrong("it names no host", right),
        _ if !url.username().is_empty() || url.password().is_some() => wrong("it holds a password", right),
        "https" => Ok(url),
        "http" if is_near(&url) => Ok(url),
        "http" => wrong("over the open internet http can be read and changed on its way", right),
        _ => wrong("its scheme is neither https nor http", right),
    }
}

/// Whether the URL's host is this machine, a private address, or a name without a dot, as container networks give.
fn is_near(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback() || ip.is_private(),
        Some(Host::Ipv6(ip)) => ip.is_loopback() || ip.is_unique_local(),
        Some(Host::Domain(name)) => !name.contains('.') || name.ends_with(".localhost") || name.ends_with(".internal"),
        None => false,
    }
}

pub(super) fn asset(text: &str) -> Read<Asset> {
    text.parse().or_else(|_| {
        wrong("it is no asset", "\"native\" or CODE:ISSUER, with a code of 1 to 12 letters and digits and a G… account")
    })
}

/// An account, by its public key.
pub(super) fn account(text: &str) -> Read<AccountId> {
    text.parse().or_else(|_| {
        wrong("it is no account", "an account's public key: 56 letters and digits that begin with G, such as GDRXE2BQ…")
    })
}

/// An amount in whole units with up to seven decimals, more than nothing.
pub(super) fn coins(value: &Value) -> Read<Stroops> {
    let right = "an amount above 0 in quotes with at most seven decimals, such as \"2.5\"";
    match Stroops::from_coins(&text(value).map_err(|w| Wrong { right: right.to_owned(), ..w })?) {
        Ok(amount) if !amount.is_zero() => Ok(amount),
        Ok(_) => wrong("it is nothing", right),
        Err(e) => wrong(e.to_string(), right),
    }
}

/// A file; a relative one is taken from the directory of the configuration.
pub(super) fn path(value: &Value, base: &std::path::Path) -> Read<PathBuf> {
    let text = text(value)?;
    if text.is_empty() { wrong("it is empty", "the path of a file") } else { Ok(base.join(text)) }
}
