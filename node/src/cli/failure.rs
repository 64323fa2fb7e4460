//! Errors for people: what, why, what to do; and the exit code that tells machines.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use serde::Serialize;
use tradepost_ledger::LedgerError;

use crate::config::ConfigError;
use crate::home::HomeError;
use crate::keystore::{KeyFileError, MnemonicError, PassphraseError, UnlockError};
use crate::ledger_access::AccessError;
use crate::telemetry::TelemetryError;
use crate::terminal::Terminal;

/// How the program ends. The numbers are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: it failed.
    Failed,
    /// 2: wrong usage or configuration.
    Usage,
    /// 3: a rule, a check before money moves, or the person refused.
    Refused,
    /// 4: there is no such thing.
    NotFound,
    /// 5: the node, or the ledger's server, can't be reached.
    Unreachable,
    /// 130: ended by a second signal.
    Interrupted,
}

impl Exit {
    /// Every way to end.
    pub const ALL: [Self; 7] =
        [Self::Done, Self::Failed, Self::Usage, Self::Refused, Self::NotFound, Self::Unreachable, Self::Interrupted];

    /// What it tells, in a few words.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Usage => "wrong usage or configuration",
            Self::Refused => "refused by a rule, by a check before money moves, or by you",
            Self::NotFound => "not found",
            Self::Unreachable => "the node, or the ledger's server, can't be reached",
            Self::Interrupted => "interrupted",
        }
    }

    /// The code for the system.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::NotFound => 4,
            Self::Unreachable => 5,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// Why a command didn't do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The exit code, by name.
    #[serde(rename = "error")]
    pub exit: Exit,
    /// What went wrong.
    pub what: String,
    /// Why, from near to far.
    pub caused_by: Vec<String>,
    /// What to do about it, where that isn't part of `what`.
    pub hint: Option<String>,
    /// A stable code for programs, where the node gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

impl Failure {
    /// A failure of this sort.
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), caused_by: Vec::new(), hint: None, code: None }
    }

    /// A failure that an error tells, with its causes.
    pub fn of(exit: Exit, error: &dyn Error) -> Self {
        Self::new(exit, error.to_string()).with_causes(error.source())
    }

    /// Adds why it is.
    #[must_use]
    pub fn because(self, cause: &dyn Error) -> Self {
        self.with_causes(Some(cause))
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the node's code.
    #[must_use]
    pub fn code(self, code: impl Into<String>) -> Self {
        Self { code: Some(code.into()), ..self }
    }

    fn with_causes(mut self, first: Option<&dyn Error>) -> Self {
        let mut next = first;
        while let Some(cause) = next {
            next = cause.source();
            let text = cause.to_string();
            // Many errors repeat their cause in their own words.
            if !self.what.contains(&text) && !self.caused_by.iter().any(|told| told.contains(&text)) {
                self.caused_by.push(text);
            }
        }
        self
    }

    /// Tells it on standard error and returns the code to end with.
    pub fn tell(&self, terminal: Terminal) -> ExitCode {
        if self.exit != Exit::Done {
            terminal.say(&if terminal.json { self.json() } else { self.text() });
        }
        self.exit.into()
    }

    fn json(&self) -> String {
        serde_json::to_string(self).expect("texts are JSON")
    }

    fn text(&self) -> String {
        let causes = self.caused_by.iter().map(|cause| format!("\n  caused by: {cause}"));
        let hint = self.hint.iter().map(|hint| format!("\n  what to do: {hint}"));
        std::iter::once(format!("error: {}", self.what)).chain(causes).chain(hint).collect()
    }
}

impl From<io::Error> for Failure {
    /// A reader who has seen enough (`| head`) is no failure: the program then ends quietly.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(Exit::Done, ""),
            _ => Self::of(Exit::Failed, &error),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::of(Exit::Usage, &error)
    }
}

impl From<HomeError> for Failure {
    fn from(error: HomeError) -> Self {
        let exit = match error {
            HomeError::Unknown => Exit::Usage,
            HomeError::InUse { .. } => Exit::Refused,
            HomeError::Io { .. } | HomeError::Malformed { .. } => Exit::Failed,
        };
        let failure = Self::of(exit, &error);
        match &error {
            HomeError::Io { source, .. } => Self { hint: of_the_disk(source).map(str::to_owned), ..failure },
            _ => failure,
        }
    }
}

/// What to do where a disk takes nothing.
fn of_the_disk(error: &io::Error) -> Option<&'static str> {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Some("make room on that disk, then try again")
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            Some("make that file system writable, then try again; the system's log says whether the disk is failing")
        }
        io::ErrorKind::PermissionDenied => Some("let this user write there, then try again"),
        _ => None,
    }
}

impl From<KeyFileError> for Failure {
    fn from(error: KeyFileError) -> Self {
        let exit = match error {
            KeyFileError::Missing(_) => Exit::NotFound,
            KeyFileError::Exists(_) | KeyFileError::OpenToOthers(_) | KeyFileError::WrongPassphrase => Exit::Refused,
            KeyFileError::Io { .. } | KeyFileError::Malformed { .. } | KeyFileError::NoRandomness(_) => Exit::Failed,
        };
        Self::of(exit, &error)
    }
}

impl From<PassphraseError> for Failure {
    fn from(error: PassphraseError) -> Self {
        let exit = match error {
            PassphraseError::Terminal(_) => Exit::Failed,
            PassphraseError::Empty(_) | PassphraseError::TooShort(_) | PassphraseError::Differ => Exit::Refused,
            _ => Exit::Usage,
        };
        Self::of(exit, &error)
    }
}

impl From<UnlockError> for Failure {
    fn from(error: UnlockError) -> Self {
        match error {
            UnlockError::File(e) => e.into(),
            UnlockError::Passphrase(e) => e.into(),
        }
    }
}

impl From<AccessError> for Failure {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Ledger(e) => e.into(),
            AccessError::NoDevnet { .. } => Self::of(Exit::Usage, &error),
        }
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        let exit = match error {
            LedgerError::BadAddress { .. } | LedgerError::BadAuth { .. } | LedgerError::WrongNetwork { .. } => {
                Exit::Usage
            }
            _ => Exit::Unreachable,
        };
        Self::of(exit, &error)
    }
}

impl From<MnemonicError> for Failure {
    fn from(error: MnemonicError) -> Self {
        Self::of(Exit::Refused, &error)
    }
}

impl From<TelemetryError> for Failure {
    fn from(error: TelemetryError) -> Self {
        Self::of(Exit::Usage, &error)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("can't pay")]
    struct Outer(#[source] Inner);
    #[derive(Debug, thiserror::Error)]
    #[error("the balance is 3")]
    struct Inner;

    #[test]
    fn the_page_of_exit_codes_has_each_with_its_name_and_meaning() {
        let page = include_str!("../../../docs/exit-codes.md");
        let rows: Vec<&str> =
            page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Code")).collect();
        assert_eq!(rows.len(), Exit::ALL.len(), "{rows:?}");
        for (row, exit) in rows.iter().zip(Exit::ALL) {
            let name = serde_json::to_value(exit).unwrap();
            let begins = format!("| {} | `{}` | {} | ", exit.code(), name.as_str().unwrap(), exit.meaning());
            assert!(row.starts_with(&begins), "{begins} in {row}");
        }
        let codes: Vec<u8> = Exit::ALL.map(Exit::code).to_vec();
        assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
    }

    #[test]
    fn a_failure_says_what_why_and_what_to_do() {
        let failure = Failure::of(Exit::Refused, &Outer(Inner)).hint("add 2");
        assert_eq!(failure.text(), "error: can't pay\n  caused by: the balance is 3\n  what to do: add 2");
        let json = r#"{"error":"refused","what":"can't pay","caused_by":["the balance is 3"],"hint":"add 2"}"#;
        assert_eq!(failure.json(), json);
    }

    #[test]
    fn a_cause_that_was_told_is_not_repeated() {
        let source = io::Error::other("no space");
        let failure = Failure::from(HomeError::Io { path: "/h".into(), source });
        assert_eq!(failure.text(), "error: can't use /h: no space");
    }

    #[test]
    fn a_disk_that_takes_nothing_is_said_with_what_to_do() {
        let told = |kind: io::ErrorKind| {
            Failure::from(HomeError::Io { path: "/h/api-token".into(), source: kind.into() }).text()
        };
        assert!(
            told(io::ErrorKind::StorageFull)
                .contains("can't use /h/api-token: no storage space\n  what to do: make room")
        );
        assert!(told(io::ErrorKind::ReadOnlyFilesystem).contains("what to do: make that file system writable"));
        assert!(told(io::ErrorKind::PermissionDenied).contains("what to do: let this user write"));
        assert!(!told(io::ErrorKind::NotFound).contains("what to do"));
    }

    #[test]
    fn a_reader_who_has_gone_is_no_failure() {
        assert_eq!(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)).exit.code(), 0);
        assert_eq!(Failure::from(io::Error::from(io::ErrorKind::StorageFull)).exit.code(), 1);
    }
}
