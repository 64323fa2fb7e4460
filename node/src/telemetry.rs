//! What the node tells its operator: a log on standard error, and one registry of metrics. Never standard output, which
//! belongs to data.

use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};

use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// How every metric's name begins.
const PREFIX: &str = "tradepost";

/// What libraries say that helps nobody who runs a node; a filter that names them says it all the same.
const QUIET: &str = "libp2p_swarm=warn,libp2p_kad=error,libp2p_gossipsub=error,";

/// Why the log can't be written as asked.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter makes no sense.
    #[error("{0:?} is no log filter: try info, or info,tradepost=debug")]
    Filter(String),
    /// Somebody in this process logs already.
    #[error("the log of this process was started before")]
    Started,
}

/// Starts the log of this process.
///
/// # Errors
/// [`TelemetryError`].
pub fn start_log(filter: &str, format: LogFormat) -> Result<(), TelemetryError> {
    let parsed = EnvFilter::builder()
        .parse(format!("{QUIET}{filter}"))
        .map_err(|_| TelemetryError::Filter(filter.to_owned()))?;
    // A log that can't be written must not end the node, as it would where that is complained of on standard error.
    let log = tracing_subscriber::fmt().with_env_filter(parsed).with_writer(io::stderr).log_internal_errors(false);
    let started = match format {
        LogFormat::Text => log.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    started.map_err(|_| TelemetryError::Started)
}

/// The node's metrics, in Prometheus' text form.
pub struct Metrics {
    registry: Mutex<Registry>,
}

impl Metrics {
    /// A registry that knows the program's version.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The program", build);
        Self { registry: Mutex::new(registry) }
    }

    /// Lets a part of the node add its metrics; it keeps clones of them to count with.
    pub fn register<T>(&self, add: impl FnOnce(&mut Registry) -> T) -> T {
        add(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// All metrics as text, for `/metrics`.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("writing to a String can't fail");
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::metrics::counter::Counter;

    #[test]
    fn what_is_registered_and_counted_is_in_the_text() {
        let metrics = Metrics::new();
        let trades: Counter = metrics.register(|registry| {
            let counter = Counter::default();
            registry.register("trades", "Trades begun", counter.clone());
            counter
        });
        trades.inc_by(3);
        let text = metrics.encode();
        assert!(text.contains("tradepost_trades_total 3"), "{text}");
        assert!(text.contains(env!("CARGO_PKG_VERSION")) && text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn a_filter_that_makes_no_sense_is_named() {
        let refused = start_log("loud=very", LogFormat::Text).map_err(|e| e.to_string());
        assert!(refused.is_err_and(|text| text.contains("loud=very")));
    }
}
