//! `tradepost run`: the node in the foreground, until a signal ends it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use multiaddr::{Multiaddr, Protocol};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::failure::{Exit, Failure};
use super::{Global, show, start_log};
use crate::api::{self, Api, ApiError, Bound};
use crate::config::{Config, Endpoint};
use crate::home::{Home, LedgerInfo, RunInfo};
use crate::keystore::{Keystore, PassphraseSource, Role};
use crate::ledger_access;
use crate::market::Ended;
use crate::node::{Node, NodeHandle, NodeSettings, StartError};
use crate::process_id::ProcessId;
use crate::shutdown::Shutdown;
use crate::telemetry::Metrics;
use crate::terminal::Terminal;

/// How long running calls may take to finish after the first signal.
const DRAIN: Duration = Duration::from_secs(30);
/// How long open connections to the API may take to end.
const CLOSE: Duration = Duration::from_secs(2);

/// How long a node may take to start again in the same process, and the pause between two tries.
const START_AGAIN: Duration = Duration::from_secs(60);
/// See [`START_AGAIN`].
const BETWEEN_STARTS: Duration = Duration::from_millis(500);

/// How long listening on all addresses may take, and how often it is looked.
const LISTEN: Duration = Duration::from_secs(5);
/// See [`LISTEN`].
const LOOK: Duration = Duration::from_millis(10);

/// Runs the node in the foreground. The first signal drains it: no new calls, sessions end, money is given back where
/// it is due; the second ends it at once.
#[derive(Debug, Args)]
pub struct Run {
    /// A first peer, as a multiaddress with its id; may be repeated.
    #[arg(long, value_name = "ADDRESS")]
    bootstrap: Vec<String>,
    /// Takes it that no other node with these keys runs: for one that was restored from a backup, and whose old node is
    /// surely gone.
    #[arg(long)]
    alone: bool,
}

impl Run {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let home = global.home()?;
        let bootstrap = (!self.bootstrap.is_empty()).then(|| ("bootstrap".to_owned(), self.bootstrap.join(",")));
        let mut config = global.config_with(&home, bootstrap.as_slice())?;
        start_log(&config, true)?;
        let terminal = global.terminal();
        let keys = unlock(&home, &config, terminal)?;
        let shutdown = Shutdown::on_signals()?;
        let mut patience = Duration::ZERO;
        loop {
            let begun = tokio::select! {
                begun = begin_within(patience, &home, &config, &keys, self.alone) => begun?,
                () = shutdown.drain().cancelled() => {
                    return Err(Failure::new(Exit::Interrupted, "stopped while starting"));
                }
            };
            // From here on services may run, which an orderly end alone stops.
            let (node, reached) = begun.reachable(shutdown.clone()).await;
            let (api, run) = match reached {
                Ok(reached) => reached,
                Err(failure) => {
                    node.shutdown(Duration::ZERO, shutdown.force()).await;
                    return Err(failure);
                }
            };
            terminal.print(&run, |run| text(run, &node))?;
            if config.bootstrap.is_empty() && !terminal.json {
                terminal.say(
                    "no peers: no first peer is configured; set `bootstrap` to the address of a node that you know, or \
                     give others one of the addresses above",
                );
            }
            let listening = node.handle().network.listen_addrs().await.unwrap_or_default();
            keep_ports(&mut config, &listening, api.address());
            match serve(node, api, &shutdown, terminal).await? {
                Served::ToTheEnd => return Ok(()),
                Served::UntilAReset => patience = START_AGAIN,
            }
            terminal.say("The network was reset: what was before is set aside, and the node starts anew.");
        }
    }
}

/// How a node's service ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Served {
    /// It was asked to end.
    ToTheEnd,
    /// Its network began anew.
    UntilAReset,
}

/// A node that works, and doesn't say yet where it is reached.
struct Begun {
    node: Node,
    api: Bound,
    service_keys: Keystore,
    token: Zeroizing<String>,
    ledger: LedgerInfo,
}

/// Starts the node, again for so long where that fails: in a process that ran one, the system may need a moment until its
/// ports are free, and a network that begins anew until it answers.
async fn begin_within(
    patience: Duration,
    home: &Home,
    config: &Config,
    keys: &Keystore,
    alone: bool,
) -> Result<Begun, Failure> {
    let until = Instant::now() + patience;
    loop {
        match begin(home, config.clone(), keys.clone(), alone).await {
            Err(failure) if matches!(failure.exit, Exit::Failed | Exit::Unreachable) && Instant::now() < until => {
                tracing::warn!(why = failure.what, "can't start again yet");
            }
            done => return done,
        }
        tokio::time::sleep(BETWEEN_STARTS).await;
    }
}

/// Puts the ports that the system chose into the configuration: who knows this node's addresses finds it again there.
fn keep_ports(config: &mut Config, listening: &[Multiaddr], api: SocketAddr) {
    config.api_listen = api;
    let mut free: Vec<&Multiaddr> = listening.iter().collect();
    for wanted in &mut config.listen {
        let meant =
            |actual: &Multiaddr| wanted.len() <= actual.len() && wanted.iter().zip(actual).all(|(w, a)| means(&w, &a));
        if let Some(at) = free.iter().position(|actual| meant(actual)) {
            let actual = free.swap_remove(at);
            let whole = wanted.iter().zip(actual).map(|(w, a)| if is_port(&w) { a } else { w });
            *wanted = whole.collect();
        }
    }
}

/// Whether a part of an address that was asked for became this one.
fn means(wanted: &Protocol<'_>, actual: &Protocol<'_>) -> bool {
    match (wanted, actual) {
        (Protocol::Tcp(0), Protocol::Tcp(_)) | (Protocol::Udp(0), Protocol::Udp(_)) => true,
        (Protocol::Ip4(ip), Protocol::Ip4(_)) if ip.is_unspecified() => true,
        (Protocol::Ip6(ip), Protocol::Ip6(_)) if ip.is_unspecified() => true,
        _ => wanted == actual,
    }
}

fn is_port(part: &Protocol<'_>) -> bool {
    matches!(part, Protocol::Tcp(_) | Protocol::Udp(_))
}

/// Starts the node; whatever fails leaves nothing behind.
async fn begin(home: &Home, config: Config, keys: Keystore, alone: bool) -> Result<Begun, Failure> {
    let lock = home.lock()?;
    let api = Api::bind(config.api_listen).await?;
    let ledger = ledger_access::connect(&config).await?;
    let token = lock.new_api_token()?;
    let service_keys = keys.only(&[Role::Service]);
    let info = LedgerInfo {
        network: config.network.to_string(),
        passphrase: ledger.passphrase.clone(),
        rpc_url: config.endpoints[0].name(),
    };
    let metrics = Arc::new(Metrics::new());
    let node = Node::start(NodeSettings { config, keys, home: lock, ledger, metrics, alone }).await?;
    Ok(Begun { node, api, service_keys, token, ledger: info })
}

impl Begun {
    /// Opens the API, and says in the home where all of it is reached.
    async fn reachable(self, shutdown: Shutdown) -> (Node, Result<(Api, RunInfo), Failure>) {
        let Self { node, api, service_keys, token, ledger } = self;
        let handle = node.handle();
        let p2p = match listening(&handle).await {
            Ok(p2p) => p2p,
            Err(failure) => return (node, Err(failure)),
        };
        let api = api.serve(api::Parts { node: handle.clone(), service_keys, token, shutdown });
        let run = RunInfo {
            process: ProcessId::current(),
            api: api.url(),
            peer_id: handle.peer_id.to_string(),
            p2p,
            ledger,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        };
        let announced = node.announce(&run);
        (node, announced.map(|()| (api, run)).map_err(Failure::from))
    }
}

/// The node's addresses, once it listens on all that the configuration names.
async fn listening(node: &NodeHandle) -> Result<Vec<String>, Failure> {
    let wanted = node.facts.config.listen.len() + node.facts.config.external.len();
    let until = Instant::now() + LISTEN;
    loop {
        let addresses = api::p2p_addresses(node).await.map_err(|e| Failure::of(Exit::Failed, &e))?;
        if addresses.len() >= wanted || Instant::now() >= until {
            return Ok(addresses);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Serves until the first signal, until the network is reset, or until the node has to end by itself.
async fn serve(node: Node, api: Api, shutdown: &Shutdown, terminal: Terminal) -> Result<Served, Failure> {
    let failed = tokio::select! {
        () = shutdown.drain().cancelled() => None,
        ended = node.failed() => Some(ended),
        () = node.network_reset() => return leave(node, api).await,
    };
    if failed.is_none() {
        terminal.say("Draining: running calls finish, then sessions end. Once more, and it ends at once.");
    }
    let ended = node.shutdown(DRAIN, shutdown.force()).await;
    api.close(CLOSE).await;
    if shutdown.force().is_cancelled() {
        let failure = Failure::new(Exit::Interrupted, "ended at once; what was under way goes on at the next start");
        return Err(failure);
    }
    match failed.unwrap_or(ended) {
        Ended::Asked => Ok(Served::ToTheEnd),
        ended => Err(Failure::of(Exit::Failed, &ended)),
    }
}

/// Ends a node whose network is gone, at once: there is no ledger left on which anything could come to its end.
async fn leave(node: Node, api: Api) -> Result<Served, Failure> {
    let at_once = CancellationToken::new();
    at_once.cancel();
    let ended = node.shutdown(Duration::ZERO, &at_once).await;
    api.close(CLOSE).await;
    match ended {
        Ended::Asked => Ok(Served::UntilAReset),
        ended => Err(Failure::of(Exit::Failed, &ended)),
    }
}

fn unlock(home: &Home, config: &Config, terminal: Terminal) -> Result<Keystore, Failure> {
    let source = PassphraseSource::from_environment(config.passphrase_file.clone())?;
    let keys = Keystore::unlock(&home.key_file(), &source, config.network)?;
    if keys.public().roles.is_empty() {
        terminal
            .say("no keys here: this node relays and shows the book, and trades nothing (`tradepost init` makes keys)");
    }
    Ok(keys)
}

fn text(run: &RunInfo, node: &Node) -> String {
    let facts = node.handle().facts;
    let account = facts.keys.account.map_or_else(|| "(no key here)".to_owned(), |account| account.to_string());
    let mut lines = vec![("network", format!("{} ({:?})", run.ledger.network, run.ledger.passphrase))];
    lines.extend(facts.config.endpoints.iter().map(|endpoint| ("ledger", server(endpoint))));
    lines.extend([("account", account), ("peer id", run.peer_id.clone())]);
    lines.extend(run.p2p.iter().map(|address| ("address", address.clone())));
    lines.push(("api", run.api.clone()));
    show::fields(lines)
}

/// A server of the ledger, as everybody may see it.
fn server(endpoint: &Endpoint) -> String {
    let operator = endpoint.operator.as_ref().map_or_else(String::new, |operator| format!("{operator}="));
    operator + &endpoint.name()
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        let exit = match error {
            ApiError::NotLoopback(_) => Exit::Usage,
            ApiError::Listen { .. } => Exit::Failed,
        };
        Self::of(exit, &error)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let error = match error {
            StartError::Home(home) => return home.into(),
            other => other,
        };
        let exit = match &error {
            StartError::Ledger(_) => Exit::Unreachable,
            StartError::Reset(_) => Exit::Refused,
            _ => Exit::Failed,
        };
        Self::of(exit, &error)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_starts_again_keeps_the_ports_that_the_system_chose() {
        let addresses = |all: &[&str]| all.iter().map(|a| a.parse().unwrap()).collect::<Vec<Multiaddr>>();
        let asked = "listen = [\"/ip4/0.0.0.0/tcp/0\", \"/ip4/127.0.0.1/udp/0/quic-v1\", \"/ip4/127.0.0.1/tcp/4610\"]";
        let mut config = Config::of_layers(Some((std::path::Path::new("/c"), asked)), [], &[]).unwrap();
        let chosen =
            ["/ip4/127.0.0.1/udp/7/quic-v1", "/ip4/127.0.0.1/tcp/5", "/ip4/10.0.0.1/tcp/5", "/ip4/127.0.0.1/tcp/4610"];
        let api = SocketAddr::from(([127, 0, 0, 1], 9));
        keep_ports(&mut config, &addresses(&chosen), api);
        let kept = ["/ip4/0.0.0.0/tcp/5", "/ip4/127.0.0.1/udp/7/quic-v1", "/ip4/127.0.0.1/tcp/4610"];
        assert_eq!((config.listen, config.api_listen), (addresses(&kept), api));
    }
}
