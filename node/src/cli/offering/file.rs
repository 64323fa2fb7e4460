//! The file that describes an offering: TOML, prices in coins, times in seconds.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};
use tradepost_protocol::account::{AccountId, ServiceKey};
use tradepost_protocol::amount::{Price, Stroops, Unit};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::document::{Arbitration, Transport, Windows};
use tradepost_protocol::escrow::EscrowKind;

use crate::api::request::{NewOffering, ServedBy};
use crate::cli::failure::{Exit, Failure};
use crate::private_file;

/// Largest file, bytes.
const MAX_FILE: u64 = 64 * 1024;
/// Seconds of a day.
const DAY: u64 = 86_400;
/// Longest that an offering stands, days; the protocol allows no longer.
const MAX_DAYS: u64 = tradepost_protocol::limits::MAX_OFFERING_LIFE.as_secs() / DAY;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfferingFile {
    template: String,
    title: String,
    #[serde(default)]
    description: String,
    price: String,
    #[serde(default = "one")]
    min_units: u64,
    max_units: u64,
    #[serde(default = "one_place")]
    max_supply: u32,
    deliver_secs: u64,
    collect_secs: u64,
    #[serde(default = "crate::api::request::timed")]
    escrow: Vec<EscrowKind>,
    arbitration: Option<Arbitration>,
    #[serde(default = "week")]
    valid_days: u64,
    recipient: Option<AccountId>,
    transports: Option<Vec<Transport>>,
    record: Option<ServiceKey>,
    service: Option<toml::Value>,
    #[serde(default)]
    parameters: toml::Table,
}

const fn one() -> u64 {
    1
}

const fn one_place() -> u32 {
    1
}

const fn week() -> u64 {
    7
}

/// Reads an offering's file.
///
/// # Errors
/// A [`Failure`] that names the file, the field, and what would be right.
pub(super) fn read(path: &Path) -> Result<NewOffering, Failure> {
    let shown = path.display();
    let bytes = private_file::read(path, MAX_FILE)
        .map_err(|e| Failure::new(Exit::Usage, format!("can't read {shown}")).because(&e))?;
    let text = String::from_utf8(bytes).map_err(|e| wrong(path, e.utf8_error()))?;
    let dir = std::path::absolute(path)?.parent().map(Path::to_owned).unwrap_or_default();
    parse(&text, &dir).map_err(|why| wrong(path, why))
}

fn wrong(path: &Path, why: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Usage, format!("{}: {}", path.display(), why.to_string().trim_end()))
        .hint("`tradepost offering new` writes a file with every key explained")
}

fn parse(text: &str, dir: &Path) -> Result<NewOffering, String> {
    let file: OfferingFile = toml::from_str(text).map_err(|e| e.to_string())?;
    if !(1..=MAX_DAYS).contains(&file.valid_days) {
        return Err(format!("valid_days: {} is out of range; 1 to {MAX_DAYS} are right", file.valid_days));
    }
    Ok(NewOffering {
        template: file.template,
        title: file.title,
        description: file.description,
        parameters: object(file.parameters, "parameters")?,
        record: file.record,
        recipient: file.recipient,
        price: price(&file.price)?,
        min_units: file.min_units,
        max_units: file.max_units,
        max_supply: file.max_supply,
        windows: Windows { deliver_secs: file.deliver_secs, collect_secs: file.collect_secs },
        escrow: file.escrow,
        arbitration: file.arbitration,
        transports: file.transports,
        life_secs: file.valid_days * DAY,
        service: file.service.map(|service| served_by(service, dir)).transpose()?,
    })
}

fn served_by(service: toml::Value, dir: &Path) -> Result<ServedBy, String> {
    let mut table = match service {
        toml::Value::String(name) => return Ok(ServedBy::Configured(name)),
        toml::Value::Table(table) => table,
        _ => return Err("service: expected a table with `start` or `url`, or a configured service's name".to_owned()),
    };
    // The node has another working directory than the person who wrote the file.
    if table.contains_key("start") {
        let told = table.get("dir").and_then(toml::Value::as_str).unwrap_or_default();
        let dir = dir.join(told).display().to_string();
        table.insert("dir".to_owned(), toml::Value::String(dir));
    }
    object(table, "service").map(ServedBy::Described)
}

fn object(table: toml::Table, at: &str) -> Result<Map<String, Value>, String> {
    table.into_iter().map(|(key, value)| Ok((key.clone(), json(value, &format!("{at}.{key}"))?))).collect()
}

fn json(value: toml::Value, at: &str) -> Result<Value, String> {
    Ok(match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Boolean(truth) => Value::Bool(truth),
        toml::Value::Array(items) => {
            Value::Array(items.into_iter().map(|item| json(item, at)).collect::<Result<_, _>>()?)
        }
        toml::Value::Table(table) => Value::Object(object(table, at)?),
        toml::Value::Float(_) => return Err(format!("{at}: documents know no fractions; write a text instead")),
        toml::Value::Datetime(_) => return Err(format!("{at}: write dates as texts, in quotes")),
    })
}

/// Reads a price as people write it: `0.5 XLM per call`, `2 CODE:ISSUER per job`, `free per call`.
///
/// # Errors
/// What would be right.
pub(super) fn price(text: &str) -> Result<Price, String> {
    let right = || {
        format!("price: {text:?} is none; write \"0.5 XLM per call\", \"2 CODE:ISSUER per job\" or \"free per call\"")
    };
    let (paid, per) = text.split_once(" per ").or_else(|| text.split_once('/')).ok_or_else(right)?;
    let mut words = paid.split_whitespace();
    let (amount, asset) = match (words.next(), words.next(), words.next()) {
        (Some("free"), None, _) => (Stroops::ZERO, Asset::Native),
        (Some(amount), Some(asset), None) => {
            let amount = Stroops::from_coins(amount).map_err(|e| format!("price: {e}"))?;
            let asset = match asset {
                "XLM" | "xlm" | "native" => Asset::Native,
                other => other.parse().map_err(|e: tradepost_protocol::asset::AssetError| format!("price: {e}"))?,
            };
            (amount, asset)
        }
        _ => return Err(right()),
    };
    Ok(Price { asset, amount, unit: unit(per.trim()).map_err(|e| format!("price: {e}"))? })
}

/// Reads a unit: call, second, MiB, job, item.
///
/// # Errors
/// What would be right.
pub(super) fn unit(text: &str) -> Result<Unit, String> {
    match text.to_lowercase().as_str() {
        "call" => Ok(Unit::Call),
        "second" => Ok(Unit::Second),
        "mib" => Ok(Unit::MiB),
        "job" => Ok(Unit::Job),
        "item" => Ok(Unit::Item),
        _ => Err(format!("{text:?} is no unit: call, second, MiB, job or item")),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const FILE: &str = r#"
        template = "http-api"
        title = "Weather"
        price = "0.5 XLM per call"
        max_units = 100
        deliver_secs = 60
        collect_secs = 12
        [service]
        start = ["python3", "-m", "http.server", "{port}"]
        health = "/"
        [parameters]
        endpoints = [{ method = "GET", path = "/weather" }]
    "#;

    #[test]
    fn a_file_becomes_an_offering_with_paths_from_its_directory() {
        let new = parse(FILE, Path::new("/offers")).unwrap();
        assert_eq!((new.price.amount.get(), new.price.unit, new.min_units), (5_000_000, Unit::Call, 1));
        assert_eq!((new.life_secs, new.max_supply), (7 * DAY, 1));
        assert_eq!(new.parameters["endpoints"][0]["path"], "/weather");
        let Some(ServedBy::Described(service)) = new.service else { panic!("a table") };
        assert_eq!(service["dir"], "/offers/");
        assert_eq!(service["start"][0], "python3");
    }

    #[test]
    fn arbiters_stand_in_a_table_of_their_own() {
        let arbiter = AccountId::from_bytes([4; 32]);
        let table = format!(
            "escrow = [\"arbitrated\", \"timed\"]\n[arbitration]\narbiters = [\"{arbiter}\"]\ndispute_secs = 8\naward_secs = 6\n\
             settle_secs = 8\n[service]"
        );
        let new = parse(&FILE.replace("[service]", &table), Path::new("/")).unwrap();
        assert_eq!(new.escrow, [EscrowKind::Arbitrated, EscrowKind::Timed]);
        assert_eq!(new.arbitration.map(|a| (a.arbiters, a.award_secs)), Some((vec![arbiter], 6)));
        assert_eq!(parse(FILE, Path::new("/")).unwrap().escrow, [EscrowKind::Timed]);
        let refused =
            parse(&FILE.replace("[service]", &table.replace("\"timed\"", "\"trust\"")), Path::new("/")).unwrap_err();
        assert!(refused.contains("trust") && refused.contains("timed"), "{refused}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let refused = |from: &str, to: &str| parse(&FILE.replace(from, to), Path::new("/")).unwrap_err();
        assert!(refused("title", "titel").contains("titel"));
        assert!(refused("0.5 XLM per call", "0.5 XLM").contains("0.5 XLM per call"));
        assert!(refused("\"/weather\"", "1.5").contains("parameters.endpoints"));
        assert!(refused("max_units = 100", "max_units = -1").contains("max_units"));
    }

    #[test]
    fn a_price_is_an_amount_an_asset_and_a_unit() {
        let issuer = AccountId::from_bytes([3; 32]);
        let issued = price(&format!("2 HEXA:{issuer} per job")).unwrap();
        assert_eq!((issued.asset.symbol(), issued.amount, issued.unit), ("HEXA", Stroops::whole(2), Unit::Job));
        assert_eq!(price("free per second").unwrap().amount, Stroops::ZERO);
        assert_eq!(price("0.0000001 native/MiB").unwrap().unit, Unit::MiB);
        for wrong in
            ["", "5", "5 XLM", "XLM per call", "5 XLM per day", "5 XLM extra per call", "0.00000001 XLM per call"]
        {
            assert!(price(wrong).is_err(), "{wrong}");
        }
    }
}
