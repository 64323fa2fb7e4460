//! `[service.NAME]`: what this node runs, or already has running, to serve those who bound it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use multiaddr::{Multiaddr, Protocol};
use serde::{Deserialize, Serialize};
use toml::Value;
use url::{Host, Url};

use super::keys::{SERVICE_KEYS, SERVICE_TABLE, nearest};
use super::layers::Origin;
use super::values::{self, Read, Wrong, wrong};
use super::{ConfigError, invalid};

/// Most services of a node.
pub const MAX_SERVICES: usize = 64;
/// Longest name of a service, characters.
pub const MAX_NAME: usize = 32;
/// Default and bounds of the time that a service may take to become healthy, seconds.
const START_TIMEOUT: (u32, u32, u32) = (30, 1, 600);
/// Default and bounds of the time that a service may take to end, seconds.
const STOP_TIMEOUT: (u32, u32, u32) = (10, 1, 300);
/// Default and bounds of the processes of one service at once.
const MAX_RUNS: (u32, u32, u32) = (16, 1, 1_024);

/// One service of this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceConfig {
    /// How it comes to run.
    pub source: ServiceSource,
    /// Path that answers 2xx when it is healthy.
    pub health: String,
    /// How long it may take to become healthy.
    pub start_timeout: Duration,
}

/// What is stored with an offering of how its service runs can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("how the offering's service runs can't be read ({0}); withdraw the offering and publish it again")]
pub struct SpecError(String);

impl ServiceConfig {
    /// A service's table, of the keys of `[service.NAME]`, that stands in another file of its owner's: an offering's.
    /// Relative paths start from that file's directory; `name` is for errors.
    ///
    /// # Errors
    /// A [`ConfigError`] that names the key and what would be right.
    pub fn from_table(name: &str, table: &toml::Table, file: &Path) -> Result<Self, ConfigError> {
        let own = OwnAddresses { api: SocketAddr::from(([127, 0, 0, 1], 0)), listen: &[] };
        let origin = Origin::File(file.to_owned());
        let base = file.parent().unwrap_or(Path::new(""));
        Table { name, origin: &origin, base, own: &own }.read(&Value::Table(table.clone()))
    }

    /// Whether its URL is where the node itself listens, for the API or for peers: a service there would call itself.
    /// The addresses are the bound ones, which the configuration can't know where it leaves the port to the system.
    pub fn is_nodes_own(&self, api: SocketAddr, listen: &[Multiaddr]) -> bool {
        match &self.source {
            ServiceSource::Running { url } => OwnAddresses { api, listen }.is(url),
            ServiceSource::Started { .. } => false,
        }
    }

    /// The program that can't be started, where it isn't there or may not be run; `None` where it can, where nothing is
    /// started, or where its name depends on the binding.
    pub fn missing_program(&self) -> Option<&str> {
        let ServiceSource::Started { command, env, dir, .. } = &self.source else { return None };
        let program = command.first().filter(|program| !program.contains(['{', '}']))?;
        let found = if program.contains('/') {
            is_program(&dir.join(program))
        } else {
            let path = env.get("PATH").map(OsString::from).or_else(|| std::env::var_os("PATH")).unwrap_or_default();
            std::env::split_paths(&path).any(|place| is_program(&dir.join(place).join(program)))
        };
        (!found).then_some(program)
    }

    /// The stored form: what an offering keeps of how its service runs.
    pub fn to_spec(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers are JSON")
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`SpecError`] where it isn't one.
    pub fn from_spec(spec: &[u8]) -> Result<Self, SpecError> {
        serde_json::from_slice(spec).map_err(|e| SpecError(e.to_string()))
    }
}

/// How a service comes to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceSource {
    /// It already runs, and every binding uses the same.
    Running {
        /// Where.
        url: Url,
    },
    /// A process of its own for each binding.
    Started {
        /// Program and arguments; `{port}` and `{binding}` in them are filled in. There is no shell.
        command: Vec<String>,
        /// Environment variables, besides those that the node sets.
        env: BTreeMap<String, String>,
        /// Working directory: the configuration file's, unless told otherwise.
        dir: PathBuf,
        /// How long it may take to end after SIGTERM; then comes SIGKILL.
        stop_timeout: Duration,
        /// How many may run at once.
        max_runs: u32,
    },
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// Where this node itself listens, which no service may be.
#[derive(Debug)]
pub(super) struct OwnAddresses<'a> {
    pub(super) api: SocketAddr,
    pub(super) listen: &'a [Multiaddr],
}

impl OwnAddresses<'_> {
    fn is(&self, url: &Url) -> bool {
        let Some(port) = url.port_or_known_default().filter(|port| *port != 0) else { return false };
        let here = match url.host() {
            Some(Host::Ipv4(ip)) => ip.is_loopback() || ip.is_unspecified(),
            Some(Host::Ipv6(ip)) => ip.is_loopback() || ip.is_unspecified(),
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            None => false,
        };
        let ip = match url.host() {
            Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
            _ => None,
        };
        let api = self.api.port() == port && (here || ip == Some(self.api.ip()));
        api || self
            .listen
            .iter()
            .filter_map(tcp)
            .any(|(at, p)| p == port && (ip == Some(at) || (here && (at.is_loopback() || at.is_unspecified()))))
    }
}

fn tcp(address: &Multiaddr) -> Option<(IpAddr, u16)> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::V4(ip),
        Protocol::Ip6(ip) => IpAddr::V6(ip),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) => Some((ip, port)),
        _ => None,
    }
}

/// Reads all tables `[service.NAME]`.
pub(super) fn read(
    tables: &toml::Table,
    file: &Path,
    own: &OwnAddresses<'_>,
) -> Result<BTreeMap<String, ServiceConfig>, ConfigError> {
    let origin = Origin::File(file.to_owned());
    if tables.len() > MAX_SERVICES {
        let count = Value::Integer(i64::try_from(tables.len()).unwrap_or(i64::MAX));
        return Err(invalid(SERVICE_TABLE, &count, &origin, "there are too many", &format!("at most {MAX_SERVICES}")));
    }
    tables
        .iter()
        .map(|(name, value)| {
            let table = Table { name, origin: &origin, base: file.parent().unwrap_or(Path::new("")), own };
            Ok((name.clone(), table.read(value)?))
        })
        .collect()
}

/// One service's table while it is read.
struct Table<'a> {
    name: &'a str,
    origin: &'a Origin,
    base: &'a Path,
    own: &'a OwnAddresses<'a>,
}

impl Table<'_> {
    fn read(&self, value: &Value) -> Result<ServiceConfig, ConfigError> {
        let named = (1..=MAX_NAME).contains(&self.name.len())
            && self.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !named {
            let right = format!("1 to {MAX_NAME} lower-case letters, digits and hyphens");
            let name = Value::String(self.name.to_owned());
            return Err(invalid(SERVICE_TABLE, &name, self.origin, "it is no name for a service", &right));
        }
        let Value::Table(table) = value else {
            return Err(invalid(&self.key(""), value, self.origin, "it is no table", "a table with its keys"));
        };
        let names = || SERVICE_KEYS.iter().map(|key| key.name);
        if let Some(unknown) = table.keys().find(|key| !names().any(|name| name == *key)) {
            return Err(ConfigError::unknown(&self.key(unknown), self.origin, nearest(unknown, names())));
        }
        let source = match (table.get("start"), table.get("url")) {
            (Some(start), None) => self.started(table, start)?,
            (None, Some(url)) => self.running(table, url)?,
            _ => {
                let right = "exactly one of `start` (a command) and `url` (a service that already runs)";
                return Err(invalid(&self.key(""), value, self.origin, "it has both or neither of them", right));
            }
        };
        let health = self.get(table, "health", health)?.unwrap_or_else(|| "/".to_owned());
        let start_timeout = self.seconds(table, "start_timeout", START_TIMEOUT)?;
        Ok(ServiceConfig { source, health, start_timeout })
    }

    fn started(&self, table: &toml::Table, start: &Value) -> Result<ServiceSource, ConfigError> {
        let command = self.checked("start", start, command)?;
        let env = self.get(table, "env", env)?.unwrap_or_default();
        let dir = self.get(table, "dir", |v| values::path(v, self.base))?.unwrap_or_else(|| self.base.to_owned());
        let stop_timeout = self.seconds(table, "stop_timeout", STOP_TIMEOUT)?;
        let (default, min, max) = MAX_RUNS;
        let max_runs = self.get(table, "max_runs", |v| values::count(v, min, max, "processes"))?.unwrap_or(default);
        Ok(ServiceSource::Started { command, env, dir, stop_timeout, max_runs })
    }

    fn running(&self, table: &toml::Table, url: &Value) -> Result<ServiceSource, ConfigError> {
        for key in ["env", "dir", "stop_timeout", "max_runs"] {
            if let Some(value) = table.get(key) {
                let why = "it is for a service that the node starts, and this one has a `url`";
                return Err(invalid(&self.key(key), value, self.origin, why, "a table without it"));
            }
        }
        let url = self.checked("url", url, |value| {
            let url = values::http_url(value)?;
            if self.own.is(&url) {
                return wrong("this is the node's own address", "the address of the service itself");
            }
            Ok(url)
        })?;
        Ok(ServiceSource::Running { url })
    }

    fn seconds(&self, table: &toml::Table, key: &str, bounds: (u32, u32, u32)) -> Result<Duration, ConfigError> {
        let (default, min, max) = bounds;
        let read = self.get(table, key, |value| values::count(value, min, max, "seconds"))?;
        Ok(Duration::from_secs(u64::from(read.unwrap_or(default))))
    }

    fn get<T>(
        &self,
        table: &toml::Table,
        key: &str,
        read: impl FnOnce(&Value) -> Read<T>,
    ) -> Result<Option<T>, ConfigError> {
        table.get(key).map(|value| self.checked(key, value, read)).transpose()
    }

    fn checked<T>(&self, key: &str, value: &Value, read: impl FnOnce(&Value) -> Read<T>) -> Result<T, ConfigError> {
        read(value).map_err(|Wrong { why, right }| invalid(&self.key(key), value, self.origin, &why, &right))
    }

    fn key(&self, key: &str) -> String {
        let dot = if key.is_empty() { "" } else { "." };
        format!("{SERVICE_TABLE}.{}{dot}{key}", self.name)
    }
}

fn command(value: &Value) -> Read<Vec<String>> {
    let right = "a list of the program and its arguments, such as [\"./weather\", \"--port\", \"{port}\"]";
    match value {
        Value::Array(_) => match values::list(value) {
            Ok(argv) if argv.first().is_some_and(|program| !program.is_empty()) => Ok(argv),
            Ok(_) => wrong("it names no program", right),
            Err(w) => wrong(w.why, right),
        },
        _ => wrong("it is no list, and there is no shell to split it", right),
    }
}

fn env(value: &Value) -> Read<BTreeMap<String, String>> {
    let right = "a table of texts, such as { CITY = \"Bern\" }";
    let Value::Table(table) = value else { return wrong("it is no table", right) };
    table
        .iter()
        .map(|(name, value)| {
            let named = !name.is_empty() && !name.contains(['=', '\0']);
            match value {
                Value::String(text) if named && !text.contains('\0') => Ok((name.clone(), text.clone())),
                _ => wrong(format!("{name} is no variable with a text"), right),
            }
        })
        .collect()
}

fn health(value: &Value) -> Read<String> {
    let text = values::text(value)?;
    let plain = text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    if text.starts_with('/') && plain {
        Ok(text)
    } else {
        wrong("it is no path of a URL", "a path that begins with /, such as /health")
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn table(text: &str) -> Result<ServiceConfig, ConfigError> {
        ServiceConfig::from_table("weather", &text.parse().unwrap(), Path::new("/offers/weather.toml"))
    }

    #[test]
    fn a_service_survives_its_stored_form() {
        let started = table("start = [\"./weather\", \"{port}\"]\nenv = { CITY = \"Bern\" }\nmax_runs = 3").unwrap();
        let running = table("url = \"http://127.0.0.1:9000\"\nhealth = \"/health\"").unwrap();
        for service in [started, running] {
            assert_eq!(ServiceConfig::from_spec(&service.to_spec()).unwrap(), service);
        }
        assert!(ServiceConfig::from_spec(b"{}").unwrap_err().to_string().contains("publish it again"));
    }

    #[test]
    fn a_program_that_is_not_there_or_may_not_be_run_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("text"), "no program").unwrap();
        let missing = |start: &str| {
            let table = format!("start = [{start}]\ndir = {:?}", dir.path()).parse().unwrap();
            let service = ServiceConfig::from_table("weather", &table, Path::new("/offers/weather.toml")).unwrap();
            service.missing_program().map(str::to_owned)
        };
        for fine in ["\"sh\", \"-c\"", "\"/bin/sh\"", "\"./{binding}\""] {
            assert_eq!(missing(fine), None, "{fine}");
        }
        for gone in ["./weather", "/nowhere/weather", "no-program-of-this-name", "./text", "."] {
            assert_eq!(missing(&format!("{gone:?}")).as_deref(), Some(gone));
        }
        std::fs::set_permissions(dir.path().join("text"), PermissionsExt::from_mode(0o700)).unwrap();
        assert_eq!(missing("\"./text\""), None);
    }

    #[test]
    fn g50_a_service_at_a_bound_address_of_the_node_is_known() {
        let service = table("url = \"http://localhost:9000\"").unwrap();
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let peers = ["/ip4/127.0.0.1/tcp/9000".parse().unwrap()];
        assert!(service.is_nodes_own(at(9000), &[]) && service.is_nodes_own(at(1), &peers));
        assert!(!service.is_nodes_own(at(9001), &[]));
        assert!(!table("start = [\"x\"]").unwrap().is_nodes_own(at(9000), &peers));
    }

    #[test]
    fn an_offerings_service_is_read_as_the_configurations_are() {
        let service = table("start = [\"./weather\"]").unwrap();
        assert!(matches!(&service.source, ServiceSource::Started { dir, .. } if dir == Path::new("/offers")));
        let refused = table("start = [\"./weather\"]\nhelth = \"/\"").unwrap_err().to_string();
        assert!(refused.contains("service.weather.helth") && refused.contains("`health`"), "{refused}");
        assert!(table("start = [\"x\"]\nurl = \"http://127.0.0.1:1\"").is_err());
    }
}
