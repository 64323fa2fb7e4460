//! `tradepost backup` and `tradepost restore`: a node's state in one file, and a home from it.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use tradepost_protocol::account::AccountId;

use super::client::Client;
use super::failure::{Exit, Failure};
use super::wallet::go_on;
use super::{Consent, Global, show};
use crate::api::request::NewBackup;
use crate::api::view::{BackupView, Moment};
use crate::backup::{Backup, BackupError};

/// Writes the running node's state, its encrypted keys and its configuration to one file.
#[derive(Debug, Args)]
pub struct BackupCommand {
    /// A new file; only its owner may read it.
    file: PathBuf,
}

/// Makes a new home from a backup.
#[derive(Debug, Args)]
pub struct RestoreCommand {
    /// The backup.
    file: PathBuf,
    #[command(flatten)]
    consent: Consent,
}

/// What `restore --json` prints.
#[derive(Serialize)]
struct RestoredView {
    home: String,
    account: Option<AccountId>,
    made_at: Moment,
    rows: u64,
}

impl BackupCommand {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let client = Client::of(&global.home()?)?;
        let file = std::path::absolute(&self.file)?;
        let made: BackupView = client.post("/v1/backup", &NewBackup { file }).await?;
        Ok(global.terminal().print(&made, |made| {
            let state = format!("{} rows of the store, as of {}", made.rows, made.made_at.text);
            show::fields([("backup", made.file.clone()), ("state", state)])
        })?)
    }
}

impl RestoreCommand {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        let terminal = global.terminal_with(self.consent);
        let home = global.home()?;
        let backup = Backup::read(&self.file)?;
        let dir = home.dir().display().to_string();
        let header = &backup.header;
        let of = header.account.map_or_else(|| "a node without an account".to_owned(), |account| account.to_string());
        terminal.say(&format!(
            "Restores {of} as of {} into {dir}.\nThe node that it was made of must not run any more: two of them would \
             sign for one account without knowing of each other.",
            header.made_at.text
        ));
        if !go_on(terminal.confirm("Is that node stopped for good?")?)? {
            return Ok(());
        }
        backup.restore(&home)?;
        let rows = backup.rows() as u64;
        let view = RestoredView { home: dir, account: header.account, made_at: header.made_at.clone(), rows };
        Ok(terminal.print(&view, |view| {
            let next = "`tradepost run`: it makes sure that the other node is gone, compares what it knows with the ledger, then \
                        goes on with what is open";
            show::fields([("home", view.home.clone()), ("next", next.to_owned())])
        })?)
    }
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        let exit = match error {
            BackupError::Damaged { .. } | BackupError::NewerFormat { .. } | BackupError::NotEmpty { .. } => {
                Exit::Refused
            }
            _ => Exit::Failed,
        };
        Self::of(exit, &error)
    }
}
