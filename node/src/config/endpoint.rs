//! One of several Stellar RPC servers, and who runs it.

use std::fmt;

use serde::{Serialize, Serializer};
use toml::Value;
use tradepost_ledger::MAX_ENDPOINTS;
use url::Url;

use super::values::{self, Read, wrong};

/// Most characters of an operator's name.
const MAX_OPERATOR_CHARS: usize = 40;
/// What is right for one of them.
const RIGHT: &str = "OPERATOR=URL, such as \"sdf=https://soroban-testnet.stellar.org\", or a table of url and operator";

/// A Stellar RPC server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where.
    pub url: Url,
    /// Who runs it, in a word; its host where nobody says.
    pub operator: Option<String>,
}

impl Endpoint {
    /// Scheme, host and port only: paths and queries of hosted servers carry access keys.
    pub fn name(&self) -> String {
        self.url.origin().ascii_serialization()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.operator {
            Some(operator) => write!(f, "{operator}={}", self.url),
            None => write!(f, "{}", self.url),
        }
    }
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The servers of a list, each another one.
pub(super) fn list(value: &Value) -> Read<Vec<Endpoint>> {
    let tables = matches!(value, Value::Array(items) if items.iter().any(Value::is_table));
    let endpoints = match value {
        Value::Array(items) if tables => items.iter().map(either).collect::<Read<Vec<Endpoint>>>()?,
        _ => values::items(value, of_text)?,
    };
    let right = || format!("from 1 to {MAX_ENDPOINTS} servers, each once");
    if endpoints.is_empty() || endpoints.len() > MAX_ENDPOINTS {
        return wrong(format!("it names {} servers", endpoints.len()), right());
    }
    let twice = endpoints.iter().enumerate().find(|(n, one)| endpoints[..*n].iter().any(|other| other.url == one.url));
    match twice {
        Some((_, one)) => wrong(format!("it names {} twice", one.url), right()),
        None => Ok(endpoints),
    }
}

fn either(value: &Value) -> Read<Endpoint> {
    let Value::Table(table) = value else { return of_text(&values::text(value)?) };
    if let Some(other) = table.keys().find(|key| !["url", "operator"].contains(&key.as_str())) {
        return wrong(format!("a server has no {other:?}"), RIGHT);
    }
    let Some(url) = table.get("url") else { return wrong("a server has no url", RIGHT) };
    let operator = table.get("operator").map(values::text).transpose()?;
    made(url, operator)
}

fn of_text(text: &str) -> Read<Endpoint> {
    let is_url = text.starts_with("http://") || text.starts_with("https://");
    match text.split_once('=') {
        Some((operator, url)) if !is_url => {
            made(&Value::String(url.trim().to_owned()), Some(operator.trim().to_owned()))
        }
        _ => made(&Value::String(text.to_owned()), None),
    }
}

fn made(url: &Value, operator: Option<String>) -> Read<Endpoint> {
    let fits = |name: &String| {
        let plain = |c: char| c.is_alphanumeric() || " .-_".contains(c);
        !name.trim().is_empty() && name.chars().count() <= MAX_OPERATOR_CHARS && name.chars().all(plain)
    };
    if let Some(name) = operator.as_ref().filter(|name| !fits(name)) {
        let right = format!("1 to {MAX_OPERATOR_CHARS} letters, digits, spaces, dots, dashes and underscores");
        return wrong(format!("{name:?} is no operator's name"), right);
    }
    Ok(Endpoint { url: values::http_url(url)?, operator })
}
