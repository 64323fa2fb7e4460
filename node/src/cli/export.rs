//! `tradepost wallet export`: what its owner needs to use the account with another program.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use stellar_strkey::ed25519::PrivateKey;
use zeroize::Zeroizing;

use super::failure::{Exit, Failure};
use super::wallet::go_on;
use super::{Consent, Global};
use crate::config::Network;
use crate::keystore::{KeyFile, PublicKeys};
use crate::private_file;

/// Where the account stands among the keys of its words, as in any wallet that follows SEP-5.
const PATH: &str = "m/44'/148'/0'";

/// Prints the account and this node's public keys; its secret key only where that is asked for.
#[derive(Debug, Args)]
pub struct Export {
    /// The account's secret key, too: whoever sees it has the money.
    #[arg(long)]
    secret: bool,
    /// Writes to a new file that only you can read, instead of printing.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    consent: Consent,
}

/// What `wallet export` prints.
#[derive(Serialize)]
struct ExportView<'a> {
    network: Network,
    #[serde(flatten)]
    keys: &'a PublicKeys,
    /// The account's derivation path from the words.
    path: &'static str,
    /// The account's secret key, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
}

impl Export {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        let terminal = global.terminal_with(self.consent);
        let home = global.home()?;
        let config = global.config(&home)?;
        let public = KeyFile::read(&home.key_file())?.public().clone();
        let no_account = || Failure::new(Exit::NotFound, "this home holds no account key");
        let account = public.account.ok_or_else(no_account)?;
        let mut secret = None;
        if self.secret {
            if self.file.is_none() && readable_by_others(io::stdout())? {
                let what = "others can read the file that the secret key would go to";
                return Err(Failure::new(Exit::Refused, what).hint("let `--file FILE` write it for you alone"));
            }
            let act = format!(
                "Show the secret key of {account}.\n  Whoever sees it can take all the money, for ever. No honest person asks for it. Don't type it into a web page,\n  don't photograph it, and keep it out of mails and chats."
            );
            if go_on(terminal.confirm(&act)?)? {
                let keys = global.keys(&home, &config)?;
                let key = keys.account().ok_or_else(no_account)?;
                secret = Some(Zeroizing::new(PrivateKey(key.to_bytes()).as_unredacted().to_string()));
            }
        }
        let secret = secret.as_ref().map(|secret| secret.as_str());
        let view = ExportView { network: config.network, keys: &public, path: PATH, secret };
        let shown = match global.json {
            true => serde_json::to_string(&view).map_err(|e| Failure::of(Exit::Failed, &e))? + "\n",
            false => text(&view),
        };
        let shown = Zeroizing::new(shown);
        match &self.file {
            None => terminal.line(&shown)?,
            Some(path) => {
                private_file::write_new(path, shown.as_bytes())
                    .map_err(|e| Failure::new(Exit::Failed, format!("can't write {}", path.display())).because(&e))?;
                terminal.say(&format!("written to {}, which only you can read", path.display()));
            }
        }
        terminal.say(
            "Another wallet takes the secret key, or the words of `init` (which aren't stored here) as its first account.\n\
             What is still locked comes back to the account: `tradepost wallet show` says when. Until then keep this node,\n\
             and let only one program sign for the account at a time.",
        );
        Ok(())
    }
}

/// Whether what is written there is kept where others than its owner can read it.
fn readable_by_others(out: impl AsFd) -> io::Result<bool> {
    let place = File::from(out.as_fd().try_clone_to_owned()?).metadata()?;
    Ok(place.is_file() && place.permissions().mode() & 0o077 != 0)
}

fn text(view: &ExportView<'_>) -> String {
    let mut lines = vec![("network", view.network.to_string())];
    lines.extend(view.keys.account.map(|account| ("account", account.to_string())));
    lines.push(("path", format!("{} of the words (SEP-5)", view.path)));
    lines.extend(view.keys.serving.map(|serving| ("serving", serving.to_string())));
    lines.extend(view.keys.sealing.map(|sealing| ("sealing", sealing.to_string())));
    lines.extend(view.secret.map(|secret| ("secret", secret.to_owned())));
    super::show::fields(lines)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_others_can_read_is_noticed_and_a_private_one_or_no_file_is_not() {
        let dir = tempfile::tempdir().unwrap();
        for (mode, open) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true), (0o620, true)] {
            let path = dir.path().join(format!("{mode:o}"));
            private_file::write(&path, b"").unwrap();
            let file = File::options().write(true).open(&path).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(readable_by_others(&file).unwrap(), open, "{mode:o}");
        }
        let (_reader, writer) = io::pipe().unwrap();
        assert!(!readable_by_others(&writer).unwrap());
    }
}
