//! What the running node was told, without anything secret.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::Config;

/// The configuration of the running node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigView {
    /// Each key with its value and where that comes from.
    pub settings: BTreeMap<String, SettingView>,
    /// Names of the configured services.
    pub services: Vec<String>,
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingView {
    /// Its value; `null` where it is neither set nor has a default.
    pub value: Value,
    /// default, file, environment or flag, in words.
    pub origin: String,
}

impl From<&Config> for ConfigView {
    fn from(config: &Config) -> Self {
        let shown = config.settings().iter().map(|setting| {
            let view = SettingView { value: setting.value.clone(), origin: setting.origin.to_string() };
            (setting.key.to_owned(), view)
        });
        Self { settings: shown.collect(), services: config.services.keys().cloned().collect() }
    }
}
