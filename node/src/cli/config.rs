//! `tradepost config`: what rules, and where it comes from.

use std::collections::BTreeMap;

use clap::Subcommand;
use serde::Serialize;

use super::Global;
use super::failure::Failure;
use crate::config::keys::{KEYS, SERVICE_KEYS, SERVICE_TABLE};
use crate::config::{ServiceConfig, ServiceSource, Setting};
use crate::terminal::Table;

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Prints every key with its value and where that comes from.
    Show,
    /// Lists the keys that there are.
    Keys,
}

/// What `config show --json` prints.
#[derive(Debug, Serialize)]
struct ConfigView<'a> {
    home: String,
    file: String,
    settings: &'a [Setting],
    services: &'a BTreeMap<String, ServiceConfig>,
}

/// One element of what `config keys --json` prints.
#[derive(Debug, Serialize)]
struct KeyView {
    key: String,
    about: &'static str,
}

impl ConfigCommand {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Show => show(global),
            Self::Keys => keys(global),
        }
    }
}

fn show(global: &Global) -> Result<(), Failure> {
    let home = global.home()?;
    let config = global.config(&home)?;
    let view = ConfigView {
        home: home.dir().display().to_string(),
        file: home.config_file().display().to_string(),
        settings: config.settings(),
        services: &config.services,
    };
    Ok(global.terminal().print(&view, text)?)
}

fn keys(global: &Global) -> Result<(), Failure> {
    let service =
        SERVICE_KEYS.map(|key| KeyView { key: format!("{SERVICE_TABLE}.NAME.{}", key.name), about: key.about });
    let plain = KEYS.map(|key| KeyView { key: key.name.to_owned(), about: key.about });
    let all: Vec<KeyView> = plain.into_iter().chain(service).collect();
    let text = |all: &Vec<KeyView>| {
        let mut table = Table::new(&["KEY", "WHAT IT DECIDES"]);
        all.iter().for_each(|key| table.row([key.key.as_str(), key.about]));
        table.render()
    };
    Ok(global.terminal().print(&all, text)?)
}

fn text(view: &ConfigView<'_>) -> String {
    let mut table = Table::new(&["KEY", "VALUE", "ORIGIN"]);
    for setting in view.settings {
        table.row([setting.key.to_owned(), value(&setting.value), setting.origin.to_string()]);
    }
    for (name, service) in view.services {
        let source = match &service.source {
            ServiceSource::Running { url } => url.to_string(),
            ServiceSource::Started { command, .. } => command.join(" "),
        };
        table.row([format!("service.{name}"), source, format!("file {}", view.file)]);
    }
    table.render()
}

fn value(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => "(not set)".to_owned(),
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(items) if items.is_empty() => "(none)".to_owned(),
        serde_json::Value::Array(items) => items.iter().map(self::value).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn every_key_is_a_row_with_its_origin() {
        let flags = [("log".to_owned(), "debug".to_owned())];
        let config = Config::of_layers(None, [], &flags).unwrap();
        let services = BTreeMap::new();
        let (home, file) = (String::new(), String::new());
        let view = ConfigView { home, file, settings: config.settings(), services: &services };
        let shown = text(&view);
        let row = |key: &str| shown.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
        assert!(row("log ").contains("debug") && row("log ").ends_with("flag"));
        assert!(row("assets").contains("native") && row("assets").ends_with("default"));
        assert!(row("bootstrap").contains("(none)") && row("public_network_consent").contains("(not set)"));
        let json = serde_json::to_value(&view).unwrap();
        let log = json["settings"].as_array().unwrap().iter().find(|s| s["key"] == "log").unwrap();
        assert_eq!((&log["value"], &log["origin"]), (&"debug".into(), &"flag".into()));
    }
}
