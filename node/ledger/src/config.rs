//! How an RPC endpoint is reached: address, authentication, patience.

use core::fmt;
use core::time::Duration;

/// How long a connection may take to open.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an endpoint may be silent in the middle of an answer.
pub const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one try may take, from the first byte sent to the last byte received.
pub const TRY_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a question may take with all its tries and pauses.
pub const CALL_DEADLINE: Duration = Duration::from_secs(45);
/// How often a question is tried.
pub const MAX_TRIES: u32 = 5;
/// The longest pause after the first failed try; it doubles with each, and a random part of it is taken.
pub const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause between two tries, also where the endpoint asks for a longer one.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// An RPC endpoint as a configuration names it.
#[derive(Debug, Clone)]
pub struct RpcConfig {
    /// Its address, such as `https://soroban-testnet.stellar.org`.
    pub url: String,
    /// What it wants to see before it answers.
    pub auth: Auth,
    /// Whether plain http may be used beyond this machine and private addresses.
    pub allow_http: bool,
    /// The friendbot's address, where it isn't the one that the endpoint names.
    pub friendbot: Option<String>,
    /// How long it is waited for.
    pub patience: Patience,
}

impl RpcConfig {
    /// An endpoint without authentication, with the usual patience.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), auth: Auth::None, allow_http: false, friendbot: None, patience: Patience::default() }
    }
}

/// How we show an endpoint that we may ask it. Its `Debug` hides the secret.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// `Authorization: Bearer …`.
    Bearer(String),
    /// A header of the endpoint's own, such as `x-api-key`.
    Header {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bearer(_) => f.write_str("Bearer(hidden)"),
            Self::Header { name, .. } => write!(f, "Header({name}: hidden)"),
        }
    }
}

/// How long and how often an endpoint is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patience {
    /// See [`CONNECT_TIMEOUT`].
    pub connect: Duration,
    /// See [`READ_TIMEOUT`].
    pub read: Duration,
    /// See [`TRY_TIMEOUT`].
    pub one_try: Duration,
    /// See [`CALL_DEADLINE`].
    pub call: Duration,
    /// See [`MAX_TRIES`]; at least one try is made.
    pub tries: u32,
    /// See [`FIRST_PAUSE`].
    pub first_pause: Duration,
    /// See [`LONGEST_PAUSE`].
    pub longest_pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: CONNECT_TIMEOUT,
            read: READ_TIMEOUT,
            one_try: TRY_TIMEOUT,
            call: CALL_DEADLINE,
            tries: MAX_TRIES,
            first_pause: FIRST_PAUSE,
            longest_pause: LONGEST_PAUSE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_show_in_debug_output() {
        let mut config = RpcConfig::new("https://rpc.example");
        for auth in [Auth::Bearer("sesame".into()), Auth::Header { name: "x-api-key".into(), value: "sesame".into() }] {
            config.auth = auth;
            assert!(!format!("{config:?}").contains("sesame"));
        }
    }
}
