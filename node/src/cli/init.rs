//! `tradepost init`: keys and configuration of a new node, and test money where there is some.

use std::fs;
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
        let passphrase = PassphraseSource::from_environment(config.passphrase_file.clone())?.get_new(config.network)?;
        let all = Keystore::from_mnemonic(&mnemonic);
        let keys = if self.roles.is_empty() { all } else { all.only(&self.roles) };
        let file = KeyFile::seal(&keys, &passphrase, Cost::default())?;
        home.create()?;
        self.store_config(&home, &config, terminal)?;
        let made = (!self.recover).then(|| mnemonic.phrase());
        let mut view = InitView {
            home: home.dir().display().to_string(),
            network: config.network,
            keys: keys.public(),
            mnemonic: made.as_ref().map(|words| words.as_str()),
            funded: false,
        };
        // No key stands whose words weren't shown: there is no second chance to see them.
        if terminal.json {
            // They are part of the one line at the end, so what may take long or be broken off comes before the keys.
            view.funded = self.fund(&config, view.keys.account, terminal).await;
            file.write_new(&home.key_file())?;
            let shown = terminal.print(&view, text);
            return match shown {
                Err(error) if made.is_some() => Err(take_back(&home, &error)),
                shown => Ok(shown?),
            };
        }
        if let Some(words) = view.mnemonic {
            terminal.say(
                "These words are your keys. Write them down and keep them from everyone; they are not shown again:",
            );
            terminal.line(words).map_err(|error| not_shown(&error))?;
        }
        let written = file.write_new(&home.key_file());
        if written.is_err() && view.mnemonic.is_some() {
            terminal.say(
                "No keys were made, and the words above are worth nothing: the next `tradepost init` makes others.",
            );
        }
        written?;
        view.funded = self.fund(&config, view.keys.account, terminal).await;
        Ok(terminal.print(&view, text)?)
    }

    /// What the flags say as keys of the configuration.
    fn flags(&self) -> Vec<(String, String)> {
        let network = self.network.map(|network| ("network".to_owned(), network.to_string()));
        let rpc_url = self.rpc_url.clone().map(|url| ("rpc_url".to_owned(), url));
        network.into_iter().chain(rpc_url).collect()
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

/// That the words couldn't be shown, and so no keys were made. A reader who has gone isn't one who has seen enough here.
fn not_shown(error: &io::Error) -> Failure {
    Failure::new(Exit::Failed, "the words couldn't be shown, so no keys were made")
        .because(error)
        .hint("let standard output go where it can be read, then try again")
}

/// Takes the key file that was just written away again, for its words weren't shown.
fn take_back(home: &Home, error: &io::Error) -> Failure {
    match fs::remove_file(home.key_file()) {
        Ok(()) => not_shown(error),
        Err(stays) => {
            let path = home.key_file();
            let what = format!("the words couldn't be shown ({error}), and {} can't be removed", path.display());
            Failure::new(Exit::Failed, what).because(&stays).hint("remove it: nobody has its words")
        }
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
