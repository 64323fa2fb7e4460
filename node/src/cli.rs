//! The command line: nouns with verbs, data on standard output, talk on standard error.

pub mod backup;
pub mod bind;
pub mod binding;
pub mod call;
pub mod client;
pub mod community;
pub mod completions;
pub mod config;
pub mod demo;
pub mod devnet;
pub mod dispute;
pub mod export;
pub mod failure;
pub mod init;
pub mod link;
pub mod man;
pub mod message;
pub mod offering;
mod paging;
pub mod peers;
pub mod recover;
pub mod request;
pub mod run;
pub mod service;
mod show;
pub mod status;
pub mod store;
pub mod timestamp;
pub mod trust;
pub mod wallet;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, LogFormat};
use crate::home::Home;
use crate::keystore::{Keystore, PassphraseSource};
use crate::telemetry;
use crate::terminal::Terminal;
use failure::{Exit, Failure};

/// A marketplace node without a middleman.
#[derive(Debug, Parser)]
#[command(name = "tradepost", version, after_help = after_help(), arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags that every command takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// Directory of the node [default: $TRADEPOST_HOME, else tradepost in your data directory].
    #[arg(long, global = true, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Prints data as JSON, one object a line.
    #[arg(long, global = true)]
    pub json: bool,
    /// Sets a key of the configuration for this call; may be repeated. Lists with commas.
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", value_parser = key_value)]
    pub set: Vec<(String, String)>,
    /// File that holds the passphrase of the keys; else $TRADEPOST_PASSPHRASE, else a prompt.
    #[arg(long, global = true, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// What is logged: error, warn, info, debug, trace, or a filter such as info,tradepost=debug.
    #[arg(long, global = true, value_name = "FILTER")]
    pub log: Option<String>,
    /// How it is logged: text or json.
    #[arg(long, global = true, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
}

/// Flags of commands that move money or can't be undone.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Consent {
    /// Answers the question with yes.
    #[arg(long, short)]
    pub yes: bool,
    /// Shows what would be done and does nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Command {
    /// Makes the keys and the configuration of a new node.
    Init(init::Init),
    /// Runs a development ledger with an RPC server and a friendbot.
    Devnet(devnet::Devnet),
    /// Runs the node in the foreground.
    Run(run::Run),
    /// Says whether the node is all right.
    Status(status::Status),
    /// What is sold: list it, describe and publish one's own.
    #[command(subcommand)]
    Offering(offering::OfferingCommand),
    /// Buys: binds an offering, with the money in escrow.
    Bind(bind::Bind),
    /// Asks by gossip, where a provider can't be reached now.
    #[command(subcommand)]
    Request(request::RequestCommand),
    /// What was bought and sold.
    #[command(subcommand)]
    Binding(binding::BindingCommand),
    /// Who is paid, where the two sides of an arbitrated binding don't agree.
    #[command(subcommand)]
    Dispute(dispute::DisputeCommand),
    /// Calls the service behind a binding.
    Call(call::Call),
    /// Identity and version of one's services.
    #[command(subcommand)]
    Service(service::ServiceCommand),
    /// Money.
    #[command(subcommand)]
    Wallet(wallet::WalletCommand),
    /// Help exchanges: community currencies whose issuer can take a payment back.
    #[command(subcommand)]
    Community(community::CommunityCommand),
    /// Proves that something existed when a ledger closed.
    #[command(subcommand)]
    Timestamp(timestamp::TimestampCommand),
    /// Writes the running node's state, its encrypted keys and its configuration to one file.
    Backup(backup::BackupCommand),
    /// Makes a new home from a backup.
    Restore(backup::RestoreCommand),
    /// The database of a stopped node.
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Who is connected.
    Peers(peers::Peers),
    /// Shows a market at work on this machine.
    Demo(demo::Demo),
    /// Serves what the demo's providers sell.
    #[command(hide = true)]
    DemoService(demo::DemoService),
    /// The configuration.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Prints what a shell needs to complete these commands.
    Completions(completions::Completions),
    /// Writes the man pages.
    Man(man::Man),
}

impl Global {
    /// The home that is meant.
    ///
    /// # Errors
    /// A [`Failure`] where none is known.
    pub fn home(&self) -> Result<Home, Failure> {
        Ok(Home::resolve(self.home.clone())?)
    }

    /// The home's configuration under these flags; what is odd about it is said.
    ///
    /// # Errors
    /// A [`Failure`] that names key, value and what would be right.
    pub fn config(&self, home: &Home) -> Result<Config, Failure> {
        self.config_with(home, &[])
    }

    /// As [`Global::config`], under a command's own flags too.
    ///
    /// # Errors
    /// As for [`Global::config`].
    pub fn config_with(&self, home: &Home, flags: &[(String, String)]) -> Result<Config, Failure> {
        let mut all = self.set.clone();
        let mut add = |key: &str, value: Option<String>| all.extend(value.map(|value| (key.to_owned(), value)));
        add("log", self.log.clone());
        add("log_format", self.log_format.map(|format| format.to_string()));
        add("passphrase_file", self.passphrase_file.as_ref().map(|path| path.display().to_string()));
        all.extend_from_slice(flags);
        let config = Config::load(home, &all)?;
        config.warnings().iter().for_each(|warning| self.terminal().say(&format!("warning: {warning}")));
        Ok(config)
    }

    /// The home's keys, unlocked; none where it has none.
    ///
    /// # Errors
    /// A [`Failure`] where the file or the passphrase isn't right.
    pub fn keys(&self, home: &Home, config: &Config) -> Result<Keystore, Failure> {
        let source = PassphraseSource::from_environment(config.passphrase_file.clone())?;
        Ok(Keystore::unlock(&home.key_file(), &source, config.network)?)
    }

    /// How to speak.
    pub fn terminal(&self) -> Terminal {
        Terminal { json: self.json, ..Terminal::default() }
    }

    /// How to speak where something must be agreed to.
    pub fn terminal_with(&self, consent: Consent) -> Terminal {
        Terminal { json: self.json, yes: consent.yes, dry_run: consent.dry_run }
    }
}

/// Starts the log as the configuration says. Of ordinary commands, unlike of servers, only warnings are of interest
/// unless asked for more.
///
/// # Errors
/// A [`Failure`] where the log was started before.
pub fn start_log(config: &Config, server: bool) -> Result<(), Failure> {
    let asked = config.settings().iter().any(|s| s.key == "log" && s.origin != crate::config::Origin::Default);
    let filter = if server || asked { config.log.as_str() } else { "warn" };
    Ok(telemetry::start_log(filter, config.log_format)?)
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help that nobody reads to its end is fine.
            let _ = e.print();
            return if e.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    let terminal = cli.global.terminal();
    match execute(cli) {
        Ok(()) => Exit::Done.into(),
        Err(failure) => failure.tell(terminal),
    }
}

fn execute(cli: Cli) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        match cli.command {
            Command::Init(init) => init.run(&cli.global).await,
            Command::Devnet(devnet) => devnet.run(&cli.global).await,
            Command::Run(run) => run.run(&cli.global).await,
            Command::Status(status) => status.run(&cli.global).await,
            Command::Offering(offering) => offering.run(&cli.global).await,
            Command::Bind(bind) => bind.run(&cli.global).await,
            Command::Request(request) => request.run(&cli.global).await,
            Command::Binding(binding) => binding.run(&cli.global).await,
            Command::Dispute(dispute) => dispute.run(&cli.global).await,
            Command::Call(call) => call.run(&cli.global).await,
            Command::Service(service) => service.run(&cli.global).await,
            Command::Wallet(wallet) => wallet.run(&cli.global).await,
            Command::Community(community) => community.run(&cli.global).await,
            Command::Timestamp(timestamp) => timestamp.run(&cli.global).await,
            Command::Backup(backup) => backup.run(&cli.global).await,
            Command::Restore(restore) => restore.run(&cli.global),
            Command::Store(store) => store.run(&cli.global),
            Command::Peers(peers) => peers.run(&cli.global).await,
            Command::Demo(demo) => demo.run(&cli.global).await,
            Command::DemoService(service) => service.run().await,
            Command::Config(config) => config.run(&cli.global),
            Command::Completions(completions) => completions.run(&cli.global),
            Command::Man(man) => man.run(&cli.global),
        }
    });
    // A read of standard input that nobody answers must not hold the end up.
    runtime.shutdown_background();
    done
}

/// What `--help` says below the commands.
fn after_help() -> String {
    let codes: Vec<String> = Exit::ALL.iter().map(|exit| format!("{} {}", exit.code(), exit.meaning())).collect();
    format!("Exit codes: {}.\nData goes to standard output, everything else to standard error.", codes.join(" · "))
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text:?} has no `=`; write KEY=VALUE"))?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

/// Every command at every depth that help shows, with the words that lead to it.
#[cfg(test)]
fn every_command() -> Vec<(String, clap::Command)> {
    fn below(command: &clap::Command, path: String) -> Vec<(String, clap::Command)> {
        let shown = command.get_subcommands().filter(|below| !below.is_hide_set());
        let all = shown.flat_map(|next| below(next, format!("{path} {}", next.get_name())));
        let all: Vec<_> = all.collect();
        std::iter::once((path, command.clone())).chain(all).collect()
    }
    below(&<Cli as clap::CommandFactory>::command(), "tradepost".to_owned())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_tree_of_commands_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_stand_anywhere() {
        let cli = Cli::try_parse_from(["tradepost", "config", "show", "--json", "--home", "/h", "--set", "log=warn"]);
        let global = cli.unwrap().global;
        assert!(global.json && global.home == Some("/h".into()));
        assert_eq!(global.set, [("log".to_owned(), "warn".to_owned())]);
    }

    #[test]
    fn a_passphrase_is_never_an_argument() {
        let commands = every_command();
        assert!(commands.iter().any(|(path, _)| path == "tradepost wallet export"), "those below are looked at, too");
        for (path, command) in &commands {
            for arg in command.get_arguments() {
                let names = [arg.get_long(), Some(arg.get_id().as_str())];
                let secret = |name: &str| ["passphrase", "mnemonic", "secret_key"].contains(&name);
                assert!(!names.into_iter().flatten().any(secret), "{path} takes {arg}");
            }
        }
    }

    #[test]
    fn flags_become_the_highest_layer() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path());
        std::fs::write(home.config_file(), "log = \"warn\"\nmax_peers = 5\n").unwrap();
        let global = Global { log: Some("debug".to_owned()), ..Global::default() };
        let config = global.config_with(&home, &[("max_peers".to_owned(), "6".to_owned())]).unwrap();
        assert_eq!((config.log.as_str(), config.max_peers), ("debug", 6));
    }
}
