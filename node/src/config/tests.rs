#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

const FILE: &str = "/etc/tradepost/config.toml";

fn of_file(text: &str) -> Result<Config, ConfigError> {
    Config::of_layers(Some((Path::new(FILE), text)), [], &[])
}

fn error(text: &str) -> String {
    of_file(text).unwrap_err().to_string()
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn origin<'a>(config: &'a Config, key: &str) -> &'a Origin {
    &config.settings().iter().find(|setting| setting.key == key).unwrap().origin
}

#[test]
fn a_flag_rules_over_the_environment_over_the_file_over_the_default() {
    let file = "max_peers = 3\nlog = \"warn\"\nlocal = false\n";
    let environment = [pair("TRADEPOST_MAX_PEERS", "4"), pair("TRADEPOST_LOG", "debug")];
    let flags = [pair("log", "error")];
    let config = Config::of_layers(Some((Path::new(FILE), file)), environment, &flags).unwrap();
    assert_eq!((config.log.as_str(), config.max_peers, config.local), ("error", 4, false));
    assert_eq!(*origin(&config, "log"), Origin::Flag);
    assert_eq!(*origin(&config, "max_peers"), Origin::Environment("TRADEPOST_MAX_PEERS".into()));
    assert_eq!(*origin(&config, "local"), Origin::File(FILE.into()));
    assert_eq!(*origin(&config, "assets"), Origin::Default);
}

#[test]
fn every_key_of_the_table_is_read_and_shown_once() {
    let config = of_file("").unwrap();
    let shown: Vec<_> = config.settings().iter().map(|setting| setting.key).collect();
    let known: Vec<_> = keys::KEYS.iter().map(|key| key.name).collect();
    assert_eq!(shown, known);
}

#[test]
fn an_empty_configuration_is_a_devnets() {
    let config = of_file("").unwrap();
    assert_eq!(config.network, Network::Devnet);
    assert_eq!(config.network_passphrase, None);
    assert!(config.local && config.bootstrap.is_empty());
    let servers: Vec<&str> = config.endpoints.iter().map(|endpoint| endpoint.url.as_str()).collect();
    assert_eq!(servers, ["http://127.0.0.1:8000/"]);
    assert!(config.listen.iter().all(|address| address.to_string().starts_with("/ip4/127.0.0.1/")));
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    let refused = error("bootstraps = []");
    assert!(refused.contains("`bootstraps`") && refused.contains("`bootstrap`") && refused.contains(FILE), "{refused}");
    let refused = Config::of_layers(None, [], &[pair("rpc-url", "x")]).unwrap_err().to_string();
    assert!(refused.contains("`rpc_url`") && refused.contains("flag"), "{refused}");
    let refused = error("[service.weather]\nstart = [\"x\"]\nstart_timeuot = 5");
    assert!(refused.contains("service.weather.start_timeuot") && refused.contains("`start_timeout`"), "{refused}");
}

#[test]
fn a_slip_in_a_variables_name_is_a_warning_and_foreign_variables_are_not() {
    let environment = [
        pair("TRADEPOST_LISTENN", "x"),
        pair("TRADEPOST_SERVICE_HOST", "10.0.0.1"),
        pair("TRADEPOST_HOME", "/h"),
        pair("PATH", "/bin"),
    ];
    let config = Config::of_layers(None, environment, &[]).unwrap();
    assert_eq!(config.warnings().len(), 1, "{:?}", config.warnings());
    assert!(config.warnings()[0].contains("TRADEPOST_LISTENN") && config.warnings()[0].contains("TRADEPOST_LISTEN?"));
}

#[test]
fn g50_each_error_names_the_key_the_value_and_what_would_be_right() {
    let cases = [
        ("network = \"mainnet\"", ["network", "mainnet", "\"public\""]),
        ("max_peers = 0", ["max_peers", "0", "from 1 to 1000"]),
        ("max_peers = 100000", ["max_peers", "100000", "from 1 to 1000"]),
        ("max_peers = \"many\"", ["max_peers", "many", "whole number"]),
        ("listen = [\"0.0.0.0:4610\"]", ["listen", "0.0.0.0:4610", "/ip4/0.0.0.0/tcp/4610"]),
        ("listen = [\"/ip4/1.2.3.4/udp/1\"]", ["listen", "/udp/1", "quic-v1"]),
        ("bootstrap = [\"/ip4/1.2.3.4/tcp/1\"]", ["bootstrap", "/tcp/1", "/p2p/"]),
        ("rpc_url = \"soroban\"", ["rpc_url", "soroban", "https://"]),
        ("rpc_url = \"http://rpc.example\"", ["rpc_url", "http://rpc.example", "https://"]),
        ("rpc_url = \"ftp://rpc.example\"", ["rpc_url", "ftp", "https://"]),
        ("ledger = 5", ["ledger", "5", "[ledger]"]),
        ("ledger.endpoint = []", ["`ledger.endpoint`", "`ledger.endpoints`", FILE]),
        ("ledger.endpoints = []", ["ledger.endpoints", "0 servers", "from 1 to 8"]),
        ("ledger.endpoints = [\"a=https://x.y\", \"b=https://x.y\"]", ["ledger.endpoints", "twice", "each once"]),
        ("ledger.endpoints = [\"a\\u0007=https://x.y\"]", ["ledger.endpoints", "operator's name", "letters"]),
        ("ledger.endpoints = [\"a=http://x.y\"]", ["ledger.endpoints", "http://x.y", "https://"]),
        ("ledger.endpoints = [{ operator = \"a\" }]", ["ledger.endpoints", "no url", "OPERATOR=URL"]),
        (
            "ledger.endpoints = [{ url = \"https://x.y\", key = \"s\" }]",
            ["ledger.endpoints", "\"key\"", "OPERATOR=URL"],
        ),
        (
            "rpc_url = \"https://x.y\"\nledger.endpoints = [\"https://x.y\"]",
            ["ledger.endpoints", "rpc_url is set", "no rpc_url"],
        ),
        ("api_listen = \"0.0.0.0:80\"", ["api_listen", "0.0.0.0:80", "127.0.0.1:0"]),
        ("assets = [\"USD\"]", ["assets", "USD", "CODE:ISSUER"]),
        ("assets = []", ["assets", "[]", "native"]),
        ("transports = [\"carrier-pigeon\"]", ["transports", "carrier-pigeon", "quic"]),
        ("max_spend_per_trade = \"-1\"", ["max_spend_per_trade", "-1", "2.5"]),
        ("max_spend_per_trade = 5", ["max_spend_per_trade", "5", "in quotes"]),
        ("max_timed = \"0\"", ["max_timed", "0", "above 0"]),
        ("max_timed_issued = [\"USD=5\"]", ["max_timed_issued", "USD", "CODE:ISSUER"]),
        ("max_timed_issued = [\"native=5\"]", ["max_timed_issued", "no issued asset", "max_timed"]),
        ("escrow = []", ["escrow", "[]", "arbitrated"]),
        ("escrow = [\"trust\"]", ["escrow", "trust", "timed"]),
        ("escrow = [\"timed\", \"timed\"]", ["escrow", "twice", "at least one"]),
        ("arbiters = [\"judge\"]", ["arbiters", "judge", "begin with G"]),
        (
            "arbiters = \"GDRXE2BQUC3AZNPVFSCEZ76NJ3WWL25FYFK6RGZGIEKWE4SOOHSUJUJ6, \
             GDRXE2BQUC3AZNPVFSCEZ76NJ3WWL25FYFK6RGZGIEKWE4SOOHSUJUJ6\"",
            ["arbiters", "twice", "each account once"],
        ),
        ("arbiters_per_trade = 2", ["arbiters_per_trade", "even number", "odd number up to 9"]),
        ("arbiters_per_trade = 11", ["arbiters_per_trade", "11", "odd number up to 9"]),
        ("max_cases = 0", ["max_cases", "0", "from 1 to 256"]),
        ("local = \"perhaps\"", ["local", "perhaps", "true or false"]),
        ("log = \"loud=very\"", ["log", "loud", "debug"]),
        ("log_format = \"xml\"", ["log_format", "xml", "json"]),
        ("network_passphrase = \"Test SDF Network ; September 2015\"", ["network_passphrase", "Test", "`network`"]),
        ("service = 5", ["service", "5", "[service."]),
        ("[service.Big_Name]\nurl = \"http://127.0.0.1:1\"", ["service", "Big_Name", "lower-case"]),
        ("[service.a]\nhealth = \"/\"", ["service.a", "health", "exactly one of"]),
        ("[service.a]\nstart = \"python3 -m http.server\"", ["service.a.start", "python3", "a list"]),
        ("[service.a]\nstart = []", ["service.a.start", "[]", "program"]),
        ("[service.a]\nurl = \"http://127.0.0.1:1\"\ndir = \"/\"", ["service.a.dir", "/", "without it"]),
        ("[service.a]\nstart = [\"x\"]\nstart_timeout = 9999", ["service.a.start_timeout", "9999", "from 1 to 600"]),
        ("[service.a]\nstart = [\"x\"]\nhealth = \"health\"", ["service.a.health", "health", "begins with /"]),
        ("[service.a]\nstart = [\"x\"]\nenv = { A = 1 }", ["service.a.env", "A", "table of texts"]),
    ];
    for (file, parts) in cases {
        let refused = error(file);
        for part in parts {
            assert!(refused.contains(part), "{file}: {part:?} is missing from {refused:?}");
        }
    }
}

#[test]
fn g50_the_nodes_own_address_is_no_service() {
    for (own, service) in [
        ("api_listen = \"127.0.0.1:9000\"", "http://127.0.0.1:9000/"),
        ("api_listen = \"127.0.0.1:9000\"", "http://localhost:9000/x"),
        ("listen = [\"/ip4/0.0.0.0/tcp/9000\"]", "http://127.0.0.1:9000"),
        ("listen = [\"/ip4/192.168.1.5/tcp/9000\"]", "http://192.168.1.5:9000"),
    ] {
        let refused = error(&format!("{own}\n[service.mine]\nurl = \"{service}\""));
        assert!(refused.contains("service.mine.url") && refused.contains("own address"), "{refused}");
    }
    let fine = "api_listen = \"127.0.0.1:9000\"\n[service.mine]\nurl = \"http://127.0.0.1:9001\"";
    assert_eq!(of_file(fine).unwrap().services.len(), 1);
}

#[test]
fn the_public_network_needs_the_sentence_and_a_server() {
    assert!(error("network = \"public\"").contains(CONSENT));
    assert!(error("network = \"public\"\npublic_network_consent = \"yes\"").contains(CONSENT));
    let consented = format!("network = \"public\"\npublic_network_consent = {CONSENT:?}\n");
    assert!(error(&consented).contains("rpc_url"));
    let config = of_file(&format!("{consented}rpc_url = \"https://rpc.example\"")).unwrap();
    assert_eq!(config.network_passphrase.as_deref(), Network::Public.passphrase());
    assert!(!config.local);
}

#[test]
fn several_servers_are_named_with_who_runs_them_in_a_file_a_variable_or_a_flag() {
    let shown = |config: &Config| config.endpoints.iter().map(ToString::to_string).collect::<Vec<_>>();
    let both = ["sdf=https://rpc.example/", "http://127.0.0.1:8000/"];
    let texts = "ledger.endpoints = [\"sdf = https://rpc.example\", \"http://127.0.0.1:8000\"]";
    let tables =
        "[ledger]\nendpoints = [{ url = \"https://rpc.example\", operator = \"sdf\" }, \"http://127.0.0.1:8000\"]";
    for file in [texts, tables] {
        assert_eq!(shown(&of_file(file).unwrap()), both, "{file}");
    }
    let text = "sdf=https://rpc.example, http://127.0.0.1:8000";
    let file = Some((Path::new(FILE), "rpc_url = \"https://other.example\""));
    let variable = || [pair("TRADEPOST_LEDGER_ENDPOINTS", text)];
    assert_eq!(
        shown(&Config::of_layers(file, variable(), &[]).unwrap()),
        both,
        "a variable rules over a file's rpc_url"
    );
    assert_eq!(shown(&Config::of_layers(None, [], &[pair("ledger.endpoints", text)]).unwrap()), both);
    let flag = [pair("rpc_url", "https://third.example")];
    assert_eq!(shown(&Config::of_layers(file, variable(), &flag).unwrap()), ["https://third.example/"]);
    let slip = Config::of_layers(None, [pair("TRADEPOST_LEDGER_ENDPOINT", "x")], &[]).unwrap();
    assert!(slip.warnings()[0].contains("TRADEPOST_LEDGER_ENDPOINTS?"), "{:?}", slip.warnings());
}

#[test]
fn a_service_has_its_bounds_and_paths_from_the_files_directory() {
    let text = "[service.weather]\nstart = [\"./weather\", \"{port}\"]\ndir = \"weather\"\nenv = { CITY = \"Bern\" }\n";
    let config = of_file(text).unwrap();
    let service = &config.services["weather"];
    assert_eq!((service.health.as_str(), service.start_timeout), ("/", std::time::Duration::from_secs(30)));
    let ServiceSource::Started { command, env, dir, max_runs, .. } = &service.source else { unreachable!() };
    assert_eq!(command, &["./weather", "{port}"]);
    assert_eq!(env["CITY"], "Bern");
    assert_eq!(dir, Path::new("/etc/tradepost/weather"));
    assert_eq!(*max_runs, 16);
}

#[test]
fn lists_from_the_environment_are_split_at_commas() {
    let variables = [pair("TRADEPOST_LISTEN", "/ip4/127.0.0.1/tcp/1, /ip4/127.0.0.1/udp/1/quic-v1")];
    assert_eq!(Config::of_layers(None, variables, &[]).unwrap().listen.len(), 2);
}

#[test]
fn a_file_that_is_no_toml_says_where() {
    let refused = error("network = ");
    assert!(refused.contains(FILE) && refused.contains("line 1"), "{refused}");
}

#[test]
fn testnet_toml_is_valid_and_documents_every_key() {
    let text = include_str!("../../../testnet.toml");
    let config = of_file(text).unwrap();
    assert_eq!(config.network, Network::Testnet);
    assert!(config.bootstrap.is_empty());
    for key in keys::KEYS {
        let documented = text.lines().any(|line| {
            let line = line.strip_prefix("# ").unwrap_or(line);
            line.split_once(" = ").is_some_and(|(name, _)| name == key.name)
        });
        assert!(documented, "{} is missing from testnet.toml", key.name);
    }
    for key in keys::SERVICE_KEYS {
        assert!(text.contains(&format!("# {} = ", key.name)), "service key {} is missing", key.name);
    }
}

#[test]
fn the_commented_lines_of_testnet_toml_are_valid_too() {
    let text = include_str!("../../../testnet.toml");
    // A commented key is a line "# key = value"; taken in, the file still stands, but for what excludes each other.
    let keys: Vec<_> = keys::KEYS.iter().chain(&keys::SERVICE_KEYS).map(|key| format!("# {} = ", key.name)).collect();
    let taken_in: String = text
        .lines()
        .filter(|line| !line.starts_with("# url = ") && !line.starts_with("rpc_url = "))
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.starts_with("[service.") || keys.iter().any(|key| line.starts_with(key)) => rest,
            _ => line,
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    let config = of_file(&taken_in).unwrap();
    assert_eq!(config.services.len(), 1);
    let taken = config.settings().iter().filter(|setting| setting.origin != Origin::Default).count();
    assert_eq!(taken, keys::KEYS.len() - 1);
}
