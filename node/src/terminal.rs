//! Manners at the terminal: data on standard output, talk on standard error, and no panic when a reader has seen enough.

use std::fmt::Write as _;
use std::io::{self, BufRead, IsTerminal, Write};

use serde::Serialize;

/// Longest answer to a question that is read, bytes.
const MAX_ANSWER: u64 = 1_024;
/// Most characters of one cell of a table; what is longer is cut, for it may come from a stranger.
const MAX_CELL: usize = 200;

/// How this call of the program speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terminal {
    /// Data as JSON, with a stable schema, instead of text for people.
    pub json: bool,
    /// Questions are answered with yes.
    pub yes: bool,
    /// Nothing is changed; what would be is shown.
    pub dry_run: bool,
}

/// The answer to a question about an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Do it.
    Yes,
    /// Leave it.
    No,
    /// Only say what would be done.
    DryRun,
    /// Nobody is there to ask, and `--yes` wasn't given.
    NobodyThere,
}

impl Terminal {
    /// Prints data: as one line of JSON where that was asked for, else as its text.
    ///
    /// # Errors
    /// The system's, above all `BrokenPipe` where the reader has gone; that is no failure of ours.
    pub fn print<T: Serialize>(&self, data: &T, text: impl FnOnce(&T) -> String) -> io::Result<()> {
        let shown = if self.json { serde_json::to_string(data).map_err(io::Error::other)? } else { text(data) };
        self.line(&shown)
    }

    /// Prints one line, or several, of data; no data is no line.
    ///
    /// # Errors
    /// As for [`Terminal::print`].
    pub fn line(&self, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            out.write_all(b"\n")?;
        }
        out.flush()
    }

    /// Says something to the person: progress, hints, warnings. Where nobody can hear it, it is lost.
    pub fn say(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Shows what an act costs and asks whether to do it.
    ///
    /// # Errors
    /// The terminal's.
    pub fn confirm(&self, act: &str) -> io::Result<Answer> {
        let stdin = io::stdin();
        self.confirm_with(act, stdin.is_terminal(), &mut stdin.lock())
    }

    fn confirm_with(&self, act: &str, somebody: bool, answers: &mut impl BufRead) -> io::Result<Answer> {
        self.say(act);
        if self.dry_run {
            return Ok(Answer::DryRun);
        }
        if self.yes {
            return Ok(Answer::Yes);
        }
        if !somebody {
            return Ok(Answer::NobodyThere);
        }
        self.say("Go on? [y/N]");
        let mut answer = String::new();
        io::Read::take(answers, MAX_ANSWER).read_line(&mut answer)?;
        let yes = matches!(answer.trim().to_lowercase().as_str(), "y" | "yes");
        Ok(if yes { Answer::Yes } else { Answer::No })
    }
}

/// Text from a stranger, made safe to show: without control characters, which could move the cursor or hide text.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || is_bidi_control(c) { '\u{fffd}' } else { c }).collect()
}

/// Characters that reverse the order of what is shown (UAX 9).
fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Rows under a header, for people.
#[derive(Debug, Clone, Default)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub fn new(header: &[&str]) -> Self {
        Self { header: header.iter().map(|&name| name.to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row: one cell a column; what is missing is empty, what is too much is left out.
    pub fn row<I: IntoIterator<Item: ToString>>(&mut self, cells: I) {
        let mut row: Vec<String> = cells.into_iter().map(|cell| cut(&plain(&cell.to_string()))).collect();
        row.resize(self.header.len(), String::new());
        self.rows.push(row);
    }

    /// The table as text; columns are two spaces apart. Without rows it is empty.
    pub fn render(&self) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let lines = || std::iter::once(&self.header).chain(&self.rows);
        let width = |column: usize| lines().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.header.len()).map(width).collect();
        let mut text = String::new();
        for row in lines() {
            let mut line = String::new();
            for (cell, &width) in row.iter().zip(&widths) {
                let _ = write!(line, "{cell:<width$}  ");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_CELL) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn answer(terminal: Terminal, somebody: bool, typed: &str) -> Answer {
        terminal.confirm_with("pay 5 XLM", somebody, &mut typed.as_bytes()).unwrap()
    }

    #[test]
    fn only_yes_is_yes() {
        let asks = Terminal::default();
        for (typed, expected) in [("y\n", Answer::Yes), ("YES\n", Answer::Yes), ("\n", Answer::No), ("", Answer::No)] {
            assert_eq!(answer(asks, true, typed), expected, "{typed:?}");
        }
        assert_eq!(answer(asks, true, "yes please\n"), Answer::No);
        assert_eq!(answer(asks, false, "y\n"), Answer::NobodyThere);
    }

    #[test]
    fn a_dry_run_rules_over_yes() {
        let yes = Terminal { yes: true, ..Terminal::default() };
        assert_eq!(answer(yes, false, ""), Answer::Yes);
        assert_eq!(answer(Terminal { dry_run: true, ..yes }, true, "y\n"), Answer::DryRun);
    }

    #[test]
    fn a_tables_columns_stand_below_each_other() {
        let mut table = Table::new(&["NAME", "PRICE"]);
        table.row(["snapper", "8"]);
        table.row(["é", "12.5"]);
        assert_eq!(table.render(), "NAME     PRICE\nsnapper  8\né        12.5\n");
        assert_eq!(Table::new(&["NAME"]).render(), "");
    }

    #[test]
    fn a_strangers_text_moves_no_cursor_and_fills_no_screen() {
        let mut table = Table::new(&["TITLE"]);
        table.row(["\u{1b}[2Jfree\u{202e}money\n"]);
        table.row(["x".repeat(10_000)]);
        let text = table.render();
        assert!(!text.contains(['\u{1b}', '\u{202e}']) && text.lines().count() == 3);
        assert!(text.len() < 1_000);
    }
}
