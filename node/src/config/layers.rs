//! Flag over environment over file over default: which layer says what.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use toml::Value;

use super::keys::{KEYS, SERVICE_TABLE, edits, nearest};
use super::{ConfigError, invalid};

/// How the environment's names begin.
pub const PREFIX: &str = "TRADEPOST_";
/// Variables with that beginning that are no keys.
const OTHER_VARIABLES: [&str; 2] = [crate::home::VARIABLE, crate::keystore::PASSPHRASE_VARIABLE];
/// Edits within which an unknown variable is taken for a slip of the pen.
const VARIABLE_SLIP: usize = 2;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "origin", content = "at", rename_all = "snake_case")]
pub enum Origin {
    /// A flag of the command line.
    Flag,
    /// This variable of the environment.
    Environment(String),
    /// This file.
    File(PathBuf),
    /// Nobody said otherwise.
    Default,
}

impl Origin {
    /// Whose word counts more.
    pub(super) const fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File(_) => 1,
            Self::Environment(_) => 2,
            Self::Flag => 3,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// What each layer says, before anything is checked but the keys' names.
#[derive(Debug, Clone, Default)]
pub(super) struct Layers {
    values: BTreeMap<&'static str, (Value, Origin)>,
    /// The tables of one's services, as the file has them.
    pub(super) services: toml::Table,
    /// Where the services come from.
    pub(super) file: Option<PathBuf>,
    /// What is odd but no error.
    pub(super) warnings: Vec<String>,
}

impl Layers {
    /// Adds a file's text, which later layers override.
    pub(super) fn add_file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let origin = Origin::File(path.to_owned());
        let table: toml::Table = text
            .parse()
            .map_err(|e: toml::de::Error| ConfigError::NotToml { path: path.to_owned(), why: e.to_string() })?;
        self.file = Some(path.to_owned());
        for (name, value) in table {
            if name == SERVICE_TABLE {
                let Value::Table(services) = value else {
                    return Err(invalid(&name, &value, &origin, "it is no table", "tables such as [service.weather]"));
                };
                self.services = services;
                continue;
            }
            if is_table(&name) {
                let Value::Table(inner) = value else {
                    let right = format!("a table, such as [{name}]");
                    return Err(invalid(&name, &value, &origin, "it is no table", &right));
                };
                for (inner, value) in inner {
                    self.add_value(&format!("{name}.{inner}"), value, &origin)?;
                }
                continue;
            }
            self.add_value(&name, value, &origin)?;
        }
        Ok(())
    }

    fn add_value(&mut self, name: &str, value: Value, origin: &Origin) -> Result<(), ConfigError> {
        let key = known(name).ok_or_else(|| unknown(name, origin))?;
        self.values.insert(key, (value, origin.clone()));
        Ok(())
    }

    /// Adds the variables that name keys. What begins alike and is none is only warned of, for other programs name
    /// variables too.
    pub(super) fn add_environment(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        for (variable, text) in variables {
            let Some(name) = variable.strip_prefix(PREFIX) else { continue };
            let lower = name.to_lowercase();
            if let Some(key) = KEYS.iter().find(|key| key.variable() == lower) {
                self.values.insert(key.name, (Value::String(text), Origin::Environment(variable)));
            } else if !OTHER_VARIABLES.contains(&variable.as_str())
                && let Some(near) = KEYS.iter().find(|key| edits(&lower, &key.variable()) <= VARIABLE_SLIP)
            {
                let near = near.variable().to_uppercase();
                self.warnings.push(format!("{variable} is no key and is ignored; did you mean {PREFIX}{near}?"));
            }
        }
    }

    /// Adds the flags.
    pub(super) fn add_flags(&mut self, flags: &[(String, String)]) -> Result<(), ConfigError> {
        for (name, text) in flags {
            self.add_value(name, Value::String(text.clone()), &Origin::Flag)?;
        }
        Ok(())
    }

    /// What was said about a key, if anything was.
    pub(super) fn get(&self, key: &str) -> Option<&(Value, Origin)> {
        self.values.get(key)
    }
}

/// Whether a name is that of a table of keys.
fn is_table(name: &str) -> bool {
    KEYS.iter().any(|key| key.name.split_once('.').is_some_and(|(table, _)| table == name))
}

fn known(name: &str) -> Option<&'static str> {
    KEYS.iter().map(|key| key.name).find(|key| *key == name)
}

fn unknown(name: &str, origin: &Origin) -> ConfigError {
    let names = KEYS.iter().map(|key| key.name).chain([SERVICE_TABLE]);
    ConfigError::unknown(name, origin, nearest(name, names))
}
