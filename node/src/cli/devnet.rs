//! `tradepost devnet`: a development ledger in the foreground, until a signal ends it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tradepost_devnet::{Close, Config, Server, ServerError, StateError};

use super::failure::{Exit, Failure};
use super::{Global, start_log};
use crate::config::DEVNET_PORT;
use crate::shutdown::Shutdown;

/// Longest time between two ledgers.
const MAX_INTERVAL: Duration = Duration::from_secs(3_600);

/// Runs a development ledger with an RPC server and a friendbot.
#[derive(Debug, Args)]
pub struct Devnet {
    /// Port on the loopback address; 0 lets the system choose.
    #[arg(long, value_name = "PORT", default_value_t = DEVNET_PORT)]
    port: u16,
    /// How often a ledger closes, such as 5s or 500ms; 0 for only when asked (POST /devnet/close).
    #[arg(long, value_name = "TIME", value_parser = interval, default_value = "1s")]
    close_every: Close,
    /// How many operations a ledger takes: past that, the best paid go first and all pay more [default: 1000, or as kept].
    #[arg(long, value_name = "OPERATIONS")]
    ledger_size: Option<u32>,
    /// The network's passphrase [default: one that ends in random bytes, or the kept one].
    #[arg(long, value_name = "TEXT")]
    network_passphrase: Option<String>,
    /// A directory that keeps the ledger, each before anybody hears of it; the next start with it goes on from there.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

/// What `devnet --json` prints, once it serves.
#[derive(Debug, Serialize)]
struct DevnetView {
    rpc_url: String,
    passphrase: String,
    friendbot_url: String,
    friendbot_account: String,
    /// Where the ledger is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<PathBuf>,
    pid: u32,
}

impl Devnet {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let home = global.home()?;
        start_log(&global.config(&home)?, true)?;
        let shutdown = Shutdown::on_signals()?;
        let terminal = global.terminal();
        let server = Server::spawn(Config {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)),
            passphrase: self.network_passphrase,
            close: self.close_every,
            ledger_operations: self.ledger_size,
            state: self.state.clone(),
            ..Config::default()
        })
        .await
        .map_err(failure)?;
        let view = DevnetView {
            rpc_url: server.url(),
            passphrase: server.passphrase(),
            friendbot_url: format!("{}/friendbot", server.url()),
            friendbot_account: server.friendbot_address().to_owned(),
            state: self.state,
            pid: std::process::id(),
        };
        terminal.print(&view, text)?;
        let fate = if view.state.is_some() { "and kept in that directory" } else { "and gone when it ends" };
        terminal.say(&format!("Its money is made up {fate}. Ctrl-C ends it."));
        shutdown.drain().cancelled().await;
        tokio::select! {
            () = server.shutdown() => Ok(()),
            () = shutdown.force().cancelled() => Err(Failure::new(Exit::Interrupted, "ended at once, as asked twice")),
        }
    }
}

fn failure(error: ServerError) -> Failure {
    let exit = match error {
        ServerError::FriendbotAmount(_) | ServerError::LedgerOperations(_) | ServerError::Interval(_) => Exit::Usage,
        ServerError::State(StateError::OtherNetwork { .. } | StateError::OtherLedgerSize { .. }) => Exit::Usage,
        ServerError::State(_) => Exit::Failed,
        ServerError::Bind { .. } | ServerError::Random(_) | ServerError::Friendbot(_) => Exit::Failed,
    };
    Failure::of(exit, &error)
}

fn text(view: &DevnetView) -> String {
    let DevnetView { rpc_url, passphrase, friendbot_url, state, .. } = view;
    let state = state.as_ref().map(|dir| format!("state      {}\n", dir.display())).unwrap_or_default();
    format!("rpc        {rpc_url}\npassphrase {passphrase}\nfriendbot  {friendbot_url}\n{state}")
}

fn interval(text: &str) -> Result<Close, String> {
    let wrong = || format!("{text:?} is no time: write 5s, 500ms, or 0");
    if text == "0" {
        return Ok(Close::OnDemand);
    }
    let (number, unit): (&str, fn(u64) -> Duration) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, Duration::from_millis),
        (None, Some(number)) => (number, Duration::from_secs),
        (None, None) => return Err(wrong()),
    };
    let time = unit(number.parse().map_err(|_| wrong())?);
    if time.is_zero() || time > MAX_INTERVAL { Err(wrong()) } else { Ok(Close::Every(time)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_milliseconds() {
        assert_eq!(interval("5s"), Ok(Close::Every(Duration::from_secs(5))));
        assert_eq!(interval("500ms"), Ok(Close::Every(Duration::from_millis(500))));
        assert_eq!(interval("0"), Ok(Close::OnDemand));
        for wrong in ["", "5", "s", "-1s", "0s", "1h", "99999s"] {
            assert!(interval(wrong).is_err(), "{wrong}");
        }
    }
}
