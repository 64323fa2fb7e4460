//! How RPC endpoints are reached: address, operator, authentication, patience.

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
/// The longest pause between two tries of one question, also where the endpoint asks for a longer one.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// How long one try may take where another endpoint could be asked instead.
pub const SWITCH_AFTER: Duration = Duration::from_secs(5);
/// The longest that an endpoint is left alone after its faults, also where it asks for a longer time.
pub const LONGEST_REST: Duration = Duration::from_secs(60);
/// The most endpoints that one node asks.
pub const MAX_ENDPOINTS: usize = 8;

/// The RPC endpoints of one network as a configuration names them.
#[derive(Debug, Clone)]
pub struct RpcConfig {
    /// From the one that is asked first to the one that is asked last, at most [`MAX_ENDPOINTS`]. Where two contradict
    /// each other and nobody decides, the one that stands first is believed.
    pub endpoints: Vec<EndpointConfig>,
    /// The friendbot's address, where it isn't the one that the endpoints name.
    pub friendbot: Option<String>,
    /// How long they are waited for.
    pub patience: Patience,
    /// Whether the network's time is the world's: then an endpoint whose newest ledger is of the future isn't believed
    /// as long as another one's isn't.
    pub real_time: bool,
}

impl RpcConfig {
    /// One endpoint without authentication, with the usual patience.
    pub fn new(url: impl Into<String>) -> Self {
        Self::of([EndpointConfig::new(url)])
    }

    /// These endpoints, with the usual patience.
    pub fn of(endpoints: impl IntoIterator<Item = EndpointConfig>) -> Self {
        let endpoints = endpoints.into_iter().collect();
        Self { endpoints, friendbot: None, patience: Patience::default(), real_time: false }
    }
}

/// One RPC endpoint.
#[derive(Debug, Clone)]
pub struct EndpointConfig {
    /// Its address, such as `https://soroban-testnet.stellar.org`.
    pub url: String,
    /// Who runs it; its host where nothing is said. What two endpoints of one operator say is one word, not two.
    pub operator: Option<String>,
    /// What it wants to see before it answers.
    pub auth: Auth,
    /// Whether plain http may be used beyond this machine and private addresses.
    pub allow_http: bool,
}

impl EndpointConfig {
    /// An endpoint without authentication.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), operator: None, auth: Auth::None, allow_http: false }
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
    /// See [`SWITCH_AFTER`].
    pub switch: Duration,
    /// See [`LONGEST_REST`].
    pub longest_rest: Duration,
}

impl Patience {
    /// The pause after so many failed tries: a random part of a bound that doubles, at least what was asked for.
    pub(crate) fn back_off(&self, tries: u32, asked: Option<Duration>) -> Duration {
        self.jittered(tries, asked, self.longest_pause)
    }

    /// How long an endpoint is left alone after so many questions that it didn't answer.
    pub(crate) fn rest(&self, failures: u32, asked: Option<Duration>) -> Duration {
        self.jittered(failures, asked, self.longest_rest)
    }

    fn jittered(&self, count: u32, asked: Option<Duration>, longest: Duration) -> Duration {
        let bound = self.first_pause.saturating_mul(1 << count.saturating_sub(1).min(16)).min(longest);
        let pause = bound.mul_f64(0.5 + random_fraction() / 2.0);
        pause.max(asked.unwrap_or_default().min(longest))
    }
}

/// A number from 0 to 1. Where the system has no randomness left, nodes pause in step; that is no reason to stop.
fn random_fraction() -> f64 {
    f64::from(getrandom::u32().unwrap_or(u32::MAX)) / f64::from(u32::MAX)
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
            switch: SWITCH_AFTER,
            longest_rest: LONGEST_REST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_show_in_debug_output() {
        let mut config = EndpointConfig::new("https://rpc.example");
        for auth in [Auth::Bearer("sesame".into()), Auth::Header { name: "x-api-key".into(), value: "sesame".into() }] {
            config.auth = auth;
            assert!(!format!("{config:?}").contains("sesame"));
        }
    }

    #[test]
    fn pauses_double_to_a_bound_and_heed_what_was_asked_for() {
        let patience = Patience {
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(1),
            longest_rest: Duration::from_secs(9),
            ..Patience::default()
        };
        for (tries, least, most) in
            [(1, 50, 100), (2, 100, 200), (3, 200, 400), (9, 500, 1_000), (u32::MAX, 500, 1_000)]
        {
            let pause = patience.back_off(tries, None).as_millis();
            assert!((least..=most).contains(&pause), "{tries}: {pause}");
        }
        assert_eq!(patience.back_off(1, Some(Duration::from_millis(900))).as_millis(), 900);
        assert_eq!(patience.back_off(1, Some(Duration::from_secs(3600))).as_millis(), 1_000);
        assert_eq!(patience.rest(1, Some(Duration::from_secs(3600))).as_millis(), 9_000);
    }
}
