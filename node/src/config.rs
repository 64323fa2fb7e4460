//! What a node's owner decided: flag over environment over file over default, each value with its origin.
//!
//! Every error names the key, the value, and what would be right.

mod arbitration;
mod community;
mod endpoint;
mod issued_limit;
pub mod keys;
mod layers;
mod network;
mod service;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use multiaddr::Multiaddr;
use serde::Serialize;
use toml::Value;
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::document::Transport;
use tradepost_protocol::escrow::EscrowKind;
use tradepost_protocol::intent::submitter::MAX_SUBMITTERS;
use tradepost_protocol::limits::MAX_CASES;
use tradepost_protocol::market::EscrowPolicy;
use url::Url;

use crate::home::Home;
use crate::private_file;
pub use community::CommunityConfig;
pub use endpoint::Endpoint;
pub use issued_limit::IssuedLimit;
use layers::Layers;
pub use layers::{Origin, PREFIX};
pub use network::Network;
use service::OwnAddresses;
pub use service::{MAX_SERVICES, ServiceConfig, ServiceSource, SpecError};
use values::{Read, Wrong, wrong};

/// Largest configuration file, bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// Most characters of a value that an error repeats.
const MAX_SHOWN: usize = 120;
/// What `public_network_consent` must say.
pub const CONSENT: &str = "I understand that real money moves";
/// Port on which `tradepost devnet` listens unless told otherwise.
pub const DEVNET_PORT: u16 = 8000;
/// Port on which nodes meet unless told otherwise.
pub const PEER_PORT: u16 = 4610;

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("can't read the configuration {path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file isn't TOML.
    #[error("the configuration {path} is not TOML: {why}")]
    NotToml {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        why: String,
    },
    /// No such key.
    #[error("unknown key `{key}` ({origin}){hint}; `tradepost config keys` lists them all")]
    UnknownKey {
        /// The key.
        key: String,
        /// Where it was set.
        origin: Origin,
        /// The nearest known one, as a sentence's end.
        hint: String,
    },
    /// A value that can't be.
    #[error(transparent)]
    Invalid(Box<InvalidValue>),
    /// A key that must be set isn't.
    #[error("{key} is not set: {why}; right would be {right}")]
    Missing {
        /// The key.
        key: &'static str,
        /// Why it is needed.
        why: String,
        /// What would be right.
        right: String,
    },
}

/// A value that can't be: where it stands, what is wrong with it, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} = {value} ({origin}): {why}; right would be {right}")]
pub struct InvalidValue {
    /// The key.
    pub key: String,
    /// Its value, shortened.
    pub value: String,
    /// Where it was set.
    pub origin: Origin,
    /// What is wrong with it.
    pub why: String,
    /// What would be right.
    pub right: String,
}

impl ConfigError {
    fn unknown(key: &str, origin: &Origin, nearest: Option<&str>) -> Self {
        let hint = nearest.map(|name| format!(": the nearest known one is `{name}`")).unwrap_or_default();
        Self::UnknownKey { key: shortened(key), origin: origin.clone(), hint }
    }
}

fn invalid(key: &str, value: &Value, origin: &Origin, why: &str, right: &str) -> ConfigError {
    ConfigError::Invalid(Box::new(InvalidValue {
        key: key.to_owned(),
        value: shortened(&value.to_string()),
        origin: origin.clone(),
        why: why.to_owned(),
        right: right.to_owned(),
    }))
}

fn shortened(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

impl FromStr for LogFormat {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("\"text\" or \"json\"".to_owned()),
        }
    }
}

/// One value of the configuration, as `config show` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// The key.
    pub key: &'static str,
    /// Its value; `null` where it is neither set nor has a default.
    pub value: serde_json::Value,
    /// Where that comes from.
    #[serde(flatten)]
    pub origin: Origin,
    /// What the key decides.
    pub about: &'static str,
}

/// A configuration that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Which sort of ledger.
    pub network: Network,
    /// The network's passphrase; `None` on a devnet means to ask its RPC server.
    pub network_passphrase: Option<String>,
    /// The Stellar RPC servers, in the order in which they are asked; one at least.
    pub endpoints: Vec<Endpoint>,
    /// Most that is delivered, funded or paid on one operator's word where there are several, in stroops of its asset.
    pub one_word_limit: Stroops,
    /// Who gives test money; `None` means to ask the RPC server, or that there is nobody.
    pub friendbot_url: Option<Url>,
    /// Addresses to listen on for peers.
    pub listen: Vec<Multiaddr>,
    /// Addresses under which peers reach this node from outside.
    pub external: Vec<Multiaddr>,
    /// First peers.
    pub bootstrap: Vec<Multiaddr>,
    /// Whether loopback and private ranges are the network.
    pub local: bool,
    /// By which transports trades may be carried.
    pub transports: Vec<Transport>,
    /// Most connections that others may open.
    pub max_peers: u32,
    /// Where the local API listens.
    pub api_listen: SocketAddr,
    /// What this node takes and pays with.
    pub assets: Vec<Asset>,
    /// Most that one trade may cost, in stroops of its asset.
    pub max_spend_per_trade: Stroops,
    /// Kinds of escrow that this node accepts when it buys, the preferred one first.
    pub escrow: Vec<EscrowKind>,
    /// Most that one trade may lock under `timed`, in stroops of XLM.
    pub max_timed: Stroops,
    /// The same of issued assets; of one that isn't named, nothing.
    pub max_timed_issued: Vec<IssuedLimit>,
    /// Accounts that may decide disputes of this node's trades, the preferred ones first.
    pub arbiters: Vec<AccountId>,
    /// How many of them one trade gets: an odd number.
    pub arbiters_per_trade: usize,
    /// Most disputes that this node has open as an arbiter.
    pub max_cases: usize,
    /// Most that one ordinary transaction may pay as fee.
    pub max_fee: Stroops,
    /// Most that a transaction with a deadline may pay as fee, where its worth in XLM can't be told.
    pub max_deadline_fee: Stroops,
    /// How many submitter accounts may carry transactions with deadlines.
    pub submitters: u8,
    /// This node's role in a help exchange, where it has one.
    pub community: Option<CommunityConfig>,
    /// File that holds the passphrase of the keys.
    pub passphrase_file: Option<PathBuf>,
    /// What is logged, as a filter of the `tracing` crates.
    pub log: String,
    /// How it is written.
    pub log_format: LogFormat,
    /// One's services, by name.
    pub services: BTreeMap<String, ServiceConfig>,
    settings: Vec<Setting>,
    warnings: Vec<String>,
}

impl Config {
    /// The configuration of a home, of the process's environment, and of these flags (key, value).
    ///
    /// # Errors
    /// The first [`ConfigError`].
    pub fn load(home: &Home, flags: &[(String, String)]) -> Result<Self, ConfigError> {
        let path = home.config_file();
        let text = match private_file::read(&path, MAX_FILE_BYTES) {
            Ok(bytes) => Some(
                String::from_utf8(bytes)
                    .map_err(|e| ConfigError::NotToml { path: path.clone(), why: e.utf8_error().to_string() })?,
            ),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(ConfigError::Io { path, source }),
        };
        // Names and values that aren't UTF-8 are no keys and no values of any key.
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::of_layers(text.as_deref().map(|text| (path.as_path(), text)), variables, flags)
    }

    /// The configuration of these layers, lowest first.
    ///
    /// # Errors
    /// The first [`ConfigError`].
    pub fn of_layers(
        file: Option<(&Path, &str)>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: &[(String, String)],
    ) -> Result<Self, ConfigError> {
        let mut layers = Layers::default();
        if let Some((path, text)) = file {
            layers.add_file(path, text)?;
        }
        layers.add_environment(environment);
        layers.add_flags(flags)?;
        Reader { layers, settings: Vec::new() }.read()
    }

    /// Every key with its value and origin, in the order of the table of keys.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// What is odd but no error, for the log.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// Reads one key after the other and keeps what `config show` tells.
struct Reader {
    layers: Layers,
    settings: Vec<Setting>,
}

impl Reader {
    fn read(mut self) -> Result<Config, ConfigError> {
        let network = self.or("network", values::word, Network::default())?;
        let network_passphrase = self.network_passphrase(network)?;
        self.consent(network)?;
        let endpoints = self.endpoints(network)?;
        let one_word_limit = self.coins("ledger.one_word_limit", default_one_word(network))?;
        let friendbot = (network == Network::Testnet).then(|| known_url("https://friendbot.stellar.org/"));
        let friendbot_url = self.or_maybe("friendbot_url", values::http_url, friendbot)?;
        let listen = self.or("listen", |v| values::items(v, values::multiaddr), default_listen(network))?;
        let external = self.or("external", |v| values::items(v, values::multiaddr), Vec::new())?;
        let bootstrap = self.or("bootstrap", |v| values::items(v, values::peer_address), Vec::new())?;
        let local = self.or("local", values::boolean, network == Network::Devnet)?;
        let transports = self.or("transports", transports, vec![Transport::Tcp, Transport::Quic])?;
        let max_peers = self.or("max_peers", |v| values::count(v, 1, 1_000, "connections"), 128)?;
        let api_listen = self.or("api_listen", values::loopback, SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let assets = self.or("assets", assets, vec![Asset::Native])?;
        let max_spend_per_trade = self.coins("max_spend_per_trade", default_spend(network))?;
        let default = EscrowPolicy::default();
        let escrow = self.or("escrow", arbitration::kinds, default.kinds)?;
        let max_timed = self.coins("max_timed", default.max_timed)?;
        let max_timed_issued = self.or("max_timed_issued", issued_limit::list, Vec::new())?;
        let arbiters = self.or("arbiters", arbitration::accounts, default.arbiters)?;
        let arbiters_per_trade = self.or("arbiters_per_trade", arbitration::odd, default.arbiters_per_trade)?;
        let max_cases = self.or("max_cases", arbitration::cases, MAX_CASES)?;
        let max_fee = self.coins("max_fee", DEFAULT_MAX_FEE)?;
        let max_deadline_fee = self.coins("max_deadline_fee", DEFAULT_MAX_DEADLINE_FEE)?;
        let submitters = self.submitters(network)?;
        let community = self.community()?;
        // In a file a path starts where the file is; in a flag or variable, where the command was typed.
        let base = match self.layers.get("passphrase_file") {
            Some((_, Origin::File(path))) => path.parent().unwrap_or(Path::new("")).to_owned(),
            _ => PathBuf::new(),
        };
        let passphrase_file = self.or_maybe("passphrase_file", |v| values::path(v, &base), None)?;
        let log = self.or("log", log_filter, "info".to_owned())?;
        let log_format = self.or("log_format", values::word, LogFormat::Text)?;
        let own = OwnAddresses { api: api_listen, listen: &listen };
        let file = self.layers.file.clone().unwrap_or_default();
        let services = service::read(&self.layers.services, &file, &own)?;
        Ok(Config {
            network,
            network_passphrase,
            endpoints,
            one_word_limit,
            friendbot_url,
            listen,
            external,
            bootstrap,
            local,
            transports,
            max_peers,
            api_listen,
            assets,
            max_spend_per_trade,
            escrow,
            max_timed,
            max_timed_issued,
            arbiters,
            arbiters_per_trade,
            max_cases,
            max_fee,
            max_deadline_fee,
            submitters,
            community,
            passphrase_file,
            log,
            log_format,
            services,
            settings: self.settings,
            warnings: self.layers.warnings,
        })
    }

    fn network_passphrase(&mut self, network: Network) -> Result<Option<String>, ConfigError> {
        let fixed = network.passphrase();
        let read = |value: &Value| {
            let text = values::text(value)?;
            match fixed {
                _ if text.is_empty() => wrong("it is empty", "the network's passphrase"),
                Some(right) if right != text => {
                    wrong(format!("{network} has another one"), format!("{right:?}, or another `network`"))
                }
                None if Network::ALL.iter().any(|other| other.passphrase() == Some(text.as_str())) => {
                    wrong("that is no devnet's", "the `network` whose passphrase this is")
                }
                _ => Ok(text),
            }
        };
        self.or_maybe("network_passphrase", read, fixed.map(str::to_owned))
    }

    fn consent(&mut self, network: Network) -> Result<(), ConfigError> {
        let given = self.or_maybe("public_network_consent", values::text, None)?;
        let right = || format!("public_network_consent = {CONSENT:?}");
        match (network, given) {
            (Network::Public, None) => Err(ConfigError::Missing {
                key: "public_network_consent",
                why: "network = \"public\" moves real money".to_owned(),
                right: right(),
            }),
            (Network::Public, Some(text)) if text != CONSENT => {
                let (value, origin) = self.layers.get("public_network_consent").expect("it was just read");
                Err(invalid("public_network_consent", value, origin, "that is not the sentence", &right()))
            }
            _ => Ok(()),
        }
    }

    /// The servers of `ledger.endpoints`, or the one of `rpc_url`: whichever of the two keys the higher layer has.
    fn endpoints(&mut self, network: Network) -> Result<Vec<Endpoint>, ConfigError> {
        const ONE: &str = "rpc_url";
        const SEVERAL: &str = "ledger.endpoints";
        let default = match network {
            Network::Devnet => Some(known_url(&format!("http://127.0.0.1:{DEVNET_PORT}/"))),
            Network::Testnet => Some(known_url("https://soroban-testnet.stellar.org/")),
            Network::Public => None,
        };
        let rank = |layers: &Layers, key| layers.get(key).map(|(_, origin)| origin.rank());
        let (one, several) = (rank(&self.layers, ONE), rank(&self.layers, SEVERAL));
        if let (true, Some((value, origin))) = (one == several, self.layers.get(SEVERAL)) {
            let why = "rpc_url is set at the same place, and only one of the two can rule";
            return Err(invalid(SEVERAL, value, origin, why, "all servers in ledger.endpoints, and no rpc_url"));
        }
        if several > one {
            self.show::<Url>(ONE, None);
            let endpoints = self.value(SEVERAL, endpoint::list)?.unwrap_or_default();
            self.show(SEVERAL, Some(&endpoints));
            return Ok(endpoints);
        }
        let url = self.or_maybe(ONE, values::http_url, default)?.ok_or_else(|| ConfigError::Missing {
            key: ONE,
            why: "no server is the obvious one for the public network".to_owned(),
            right: "the URL of a Stellar RPC server that you trust, such as rpc_url = \"https://rpc.example\", or \
                    several in ledger.endpoints"
                .to_owned(),
        })?;
        self.show::<Vec<Endpoint>>(SEVERAL, None);
        Ok(vec![Endpoint { url, operator: None }])
    }

    /// A devnet's coins are nobody's, and its books are easier to read without accounts that come by themselves.
    fn submitters(&mut self, network: Network) -> Result<u8, ConfigError> {
        let default = u32::from(network != Network::Devnet);
        let read = |value: &Value| values::count(value, 0, MAX_SUBMITTERS.into(), "accounts");
        let count = self.or("submitters", read, default)?;
        Ok(u8::try_from(count).unwrap_or(MAX_SUBMITTERS))
    }

    /// An amount, shown in units as people write it.
    fn coins(&mut self, key: &'static str, default: Stroops) -> Result<Stroops, ConfigError> {
        let read = self.value(key, values::coins)?;
        let amount = read.unwrap_or(default);
        self.show(key, Some(&amount.coins()));
        Ok(amount)
    }

    fn or<T: Serialize>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Value) -> Read<T>,
        default: T,
    ) -> Result<T, ConfigError> {
        let value = self.value(key, read)?.unwrap_or(default);
        self.show(key, Some(&value));
        Ok(value)
    }

    fn or_maybe<T: Serialize>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&Value) -> Read<T>,
        default: Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let value = self.value(key, read)?.or(default);
        self.show(key, value.as_ref());
        Ok(value)
    }

    fn value<T>(&self, key: &'static str, read: impl FnOnce(&Value) -> Read<T>) -> Result<Option<T>, ConfigError> {
        let Some((value, origin)) = self.layers.get(key) else { return Ok(None) };
        read(value).map(Some).map_err(|Wrong { why, right }| invalid(key, value, origin, &why, &right))
    }

    fn show<T: Serialize>(&mut self, key: &'static str, value: Option<&T>) {
        let about = keys::KEYS.iter().find(|k| k.name == key).expect("every key that is read is in the table").about;
        let origin = self.layers.get(key).map_or(Origin::Default, |(_, origin)| origin.clone());
        let value = serde_json::to_value(value).expect("values of keys are JSON");
        self.settings.push(Setting { key, value, origin, about });
    }
}

/// Most that an ordinary transaction pays as fee unless told otherwise: 0.1 XLM.
const DEFAULT_MAX_FEE: Stroops = match Stroops::new(1_000_000) {
    Some(amount) => amount,
    None => Stroops::ZERO,
};

/// Most that a transaction with a deadline pays as fee unless told otherwise, where its worth can't be told: 5 XLM.
const DEFAULT_MAX_DEADLINE_FEE: Stroops = Stroops::whole(5);

/// Most that one trade may cost unless told otherwise: little where money is real.
const fn default_spend(network: Network) -> Stroops {
    match network {
        Network::Devnet | Network::Testnet => Stroops::whole(1_000),
        Network::Public => Stroops::whole(10),
    }
}

/// Most that one operator's word is enough for unless told otherwise: less where money is real.
const fn default_one_word(network: Network) -> Stroops {
    match network {
        Network::Devnet | Network::Testnet => Stroops::whole(10),
        Network::Public => Stroops::whole(1),
    }
}

/// A devnet's nodes share a machine, so the system chooses their ports.
fn default_listen(network: Network) -> Vec<Multiaddr> {
    let (host, port) = match network {
        Network::Devnet => ("127.0.0.1", 0),
        Network::Testnet | Network::Public => ("0.0.0.0", PEER_PORT),
    };
    [format!("/ip4/{host}/tcp/{port}"), format!("/ip4/{host}/udp/{port}/quic-v1")]
        .iter()
        .map(|address| address.parse().expect("a multiaddress that is written above"))
        .collect()
}

fn known_url(text: &str) -> Url {
    text.parse().expect("a URL that stands in this program")
}

fn transports(value: &Value) -> Read<Vec<Transport>> {
    let right = "a list of \"tcp\" and \"quic\" with at least one of them";
    let mut read = values::items(value, |text| match text {
        "tcp" => Ok(Transport::Tcp),
        "quic" => Ok(Transport::Quic),
        _ => wrong("there is no such transport", right),
    })?;
    read.sort_unstable();
    read.dedup();
    if read.is_empty() { wrong("it is empty", right) } else { Ok(read) }
}

fn assets(value: &Value) -> Read<Vec<Asset>> {
    let mut read = values::items(value, values::asset)?;
    read.sort_unstable();
    read.dedup();
    if read.is_empty() { wrong("it is empty", "a list with at least \"native\"") } else { Ok(read) }
}

fn log_filter(value: &Value) -> Read<String> {
    let text = values::text(value)?;
    match tracing_subscriber::EnvFilter::builder().parse(&text) {
        Ok(_) => Ok(text),
        Err(e) => wrong(
            e.to_string(),
            "a level (error, warn, info, debug, trace), or a filter such as \"info,tradepost=debug\"",
        ),
    }
}
