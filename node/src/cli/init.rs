//! `tradepost init`: keys and configuration of a new node, and test money where there is some.

use std::io::{self, IsTerminal, Read};

use clap::Args;
use serde::Serialize;
use tradepost_ledger::Ledger as _;
use tradepost_protocol::account::AccountId;
use zeroize::Zeroizing;

use super::failure::{Exit, Failure};
use super::{Global, start_log};
use crate::config::{Config, Network, Origin};
use crate::home::Home;
use crate::keystore::{Cost, KeyFile, KeyFileError, Keystore, Mnemonic, PassphraseSource, PublicKeys, Role, Words};
use crate::ledger_access;
use crate::private_file;
use crate::terminal::Terminal;

/// Keys whose flags concern the call and not the node.
const OF_THIS_CALL: [&str; 3] = ["passphrase_file", "log", "log_format"];
/// Longest mnemonic that is read, bytes.
const MAX_MNEMONIC: u64 = 1_024;

/// Makes the keys and the configuration of a new node.
#[derive(Debug, Args)]
pub struct Init {
    /// Which sort of ledger: devnet, testnet or public.
    #[arg(long, value_name = "NETWORK")]
    network: Option<Network>,
    /// A Stellar RPC server.
    #[arg(long, value_name = "URL")]
    rpc_url: Option<String>,
    /// How many words the mnemonic has: 12 or 24.
    #[arg(long, value_name = "COUNT", value_parser = words, default_value = "24")]
    words: Words,
    /// Reads an existing mnemonic from standard input instead of making one.
    #[arg(long)]
    recover: bool,
    /// Keeps only these keys, for a machine that needs no more: account, serving, sealing, service, node.
    #[arg(long, value_name = "ROLE,…", value_delimiter = ',', value_parser = role)]
    roles: Vec<Role>,
    /// Asks no friendbot for test money.
    #[arg(long)]
    no_fund: bool,
}

/// What `init --json` prints.
#[derive(Serialize)]
struct InitView<'a> {
    home: String,
    network: Network,
    #[serde(flatten)]
    keys: PublicKeys,
    /// Only where it was made here; it is shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    mnemonic: Option<&'a str>,
    /// Whether a friendbot gave money.
    funded: bool,
}

impl Init {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let terminal = global.terminal();
        let home = global.home()?;
        let config = global.config_with(&home, &self.flags())?;
        start_log(&config, false)?;
        if home.key_file().exists() {
            return Err(KeyFileError::Exists(home.key_file()).into());
        }
        let mnemonic = if self.recover { read_mnemonic(terminal)? } else { Mnemonic::generate(self.words)? };
        let keys = self.store_keys(&home, &config, &mnemonic)?;
        self.store_config(&home, &config, terminal)?;
        let made = (!self.recover).then(|| mnemonic.phrase());
        // The words first: what comes after may fail, and they are shown only once.
        if let Some(words) = &made
            && !terminal.json
        {
            terminal.say(
                "These words are your keys. Write them down and keep them from everyone; they are not shown again:",
            );
            terminal.line(words)?;
        }
        let funded = self.fund(&config, keys.account, terminal).await;
        let home = home.dir().display().to_string();
        let view = InitView {
            home,
            network: config.network,
            keys,
            mnemonic: made.as_ref().map(|words| words.as_str()),
            funded,
        };
        Ok(terminal.print(&view, text)?)
    }

    /// What the flags say as keys of the configuration.
    fn flags(&self) -> Vec<(String, String)> {
        let network = self.network.map(|network| ("network".to_owned(), network.to_string()));
        let rpc_url = self.rpc_url.clone().map(|url| ("rpc_url".to_owned(), url));
        network.into_iter().chain(rpc_url).collect()
    }

    fn store_keys(&self, home: &Home, config: &Config, mnemonic: &Mnemonic) -> Result<PublicKeys, Failure> {
        let source = PassphraseSource::from_environment(config.passphrase_file.clone())?;
        let passphrase = source.get_new(config.network)?;
        let all = Keystore::from_mnemonic(mnemonic);
        let keys = if self.roles.is_empty() { all } else { all.only(&self.roles) };
        home.create()?;
        KeyFile::seal(&keys, &passphrase, Cost::default())?.write_new(&home.key_file())?;
        Ok(keys.public())
    }

    /// Writes what the flags said, so that later calls needn't repeat it; an existing file is its owner's.
    fn store_config(&self, home: &Home, config: &Config, terminal: Terminal) -> Result<(), Failure> {
        let path = home.config_file();
        let flags: Vec<_> = config.settings().iter().filter(|s| s.origin == Origin::Flag).collect();
        let kept = config.settings().iter().filter(|setting| match setting.key {
            "network" => true,
            key => setting.origin == Origin::Flag && !OF_THIS_CALL.contains(&key),
        });
        let mut text = String::from("# What this node's owner decided. `tradepost config keys` lists what there is.\n");
        for setting in kept {
            let value = toml::Value::try_from(&setting.value).map_err(|e| Failure::of(Exit::Failed, &e))?;
            text.push_str(&format!("{} = {value}\n", setting.key));
        }
        match private_file::write_new(&path, text.as_bytes()) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                if !flags.is_empty() {
                    terminal.say(&format!("{} stands already and was left as it is", path.display()));
                }
                Ok(())
            }
            written => Ok(written?),
        }
    }

    /// Asks the friendbot for money where money is made up. That it gives none is told, but the keys stand.
    async fn fund(&self, config: &Config, account: Option<AccountId>, terminal: Terminal) -> bool {
        let (Some(account), false) = (account, self.no_fund || config.network == Network::Public) else { return false };
        terminal.say("Asking the friendbot for test money …");
        let why = match ledger_access::connect(config).await {
            Ok(access) => match access.ledger.fund_by_friendbot(account).await {
                Ok(_) => return true,
                Err(e) => e.to_string(),
            },
            Err(e) => e.to_string(),
        };
        terminal.say(&format!("There is none yet: {why}\n  what to do: `tradepost wallet fund` asks again"));
        false
    }
}

fn text(view: &InitView<'_>) -> String {
    let mut text = format!("home     {}\nnetwork  {}\n", view.home, view.network);
    if let Some(account) = view.keys.account {
        text.push_str(&format!("account  {account}{}\n", if view.funded { " (funded)" } else { "" }));
    }
    if let Some(serving) = view.keys.serving {
        text.push_str(&format!("serving  {serving}\n"));
    }
    text
}

fn read_mnemonic(terminal: Terminal) -> Result<Mnemonic, Failure> {
    let stdin = io::stdin();
    let mut text = Zeroizing::new(String::new());
    if stdin.is_terminal() {
        terminal.say("Type the words (they are not shown), then Enter:");
        *text = rpassword::read_password()?;
    } else {
        stdin.lock().take(MAX_MNEMONIC).read_to_string(&mut text)?;
    }
    text.parse().map_err(|e: crate::keystore::MnemonicError| Failure::of(Exit::Refused, &e))
}

fn words(text: &str) -> Result<Words, String> {
    match text {
        "12" => Ok(Words::Twelve),
        "24" => Ok(Words::TwentyFour),
        _ => Err("12 or 24".to_owned()),
    }
}

fn role(text: &str) -> Result<Role, String> {
    let known = || Role::ALL.map(Role::name).join(", ");
    Role::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| format!("one of {}", known()))
}
