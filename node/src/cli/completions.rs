//! `tradepost completions`: what a shell needs to complete commands and flags.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::failure::Failure;
use super::{Cli, Global};

/// Prints what a shell needs to complete these commands, such as for bash:
/// `source <(tradepost completions bash)`.
#[derive(Debug, Args)]
pub struct Completions {
    /// Which shell.
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        Ok(global.terminal().line(&script(self.shell))?)
    }
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tradepost", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::every_command;
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn every_shell_learns_every_command_and_every_flag() {
        for shell in Shell::value_variants() {
            let script = script(*shell);
            for (path, command) in every_command() {
                assert!(script.contains(command.get_name()), "{shell}: {path}");
                for flag in command.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(|arg| arg.get_long()) {
                    assert!(script.contains(flag), "{shell}: {path} --{flag}");
                }
            }
        }
    }
}
