//! `tradepost man`: the man pages, one a command.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory};
use serde::Serialize;

use super::failure::{Exit, Failure};
use super::{Cli, Global};

/// Writes the man pages, one a command, into a directory: `man -l DIR/tradepost.1` shows the first.
#[derive(Debug, Args)]
pub struct Man {
    /// Where to; it is made if it isn't there.
    dir: PathBuf,
}

/// What `man --json` prints.
#[derive(Debug, Serialize)]
struct ManView {
    dir: String,
}

impl Man {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        let dir = self.dir.display().to_string();
        write(&self.dir)
            .map_err(|e| Failure::new(Exit::Failed, format!("can't write the man pages into {dir}")).because(&e))?;
        Ok(global.terminal().print(&ManView { dir }, |view| format!("{}\n", view.dir))?)
    }
}

fn write(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    clap_mangen::generate_to(Cli::command(), dir)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::super::every_command;
    use super::*;

    #[test]
    fn every_command_has_a_page_and_hidden_ones_have_none() {
        let dir = tempfile::tempdir().unwrap();
        let pages = dir.path().join("man1");
        write(&pages).unwrap();
        let read = |name: &str| fs::read_to_string(pages.join(name));
        assert!(read("tradepost.1").unwrap().contains("Exit codes"));
        let commands = every_command();
        for (path, command) in &commands {
            let page = read(&format!("{}.1", path.replace(' ', "-"))).unwrap_or_else(|e| panic!("{path}: {e}"));
            for flag in command.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(|arg| arg.get_long()) {
                assert!(page.replace("\\-", "-").contains(&format!("--{flag}")), "{path} lacks --{flag}");
            }
        }
        assert_eq!(fs::read_dir(&pages).unwrap().count(), commands.len(), "hidden ones have none");
    }
}
