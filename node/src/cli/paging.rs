//! Long lists, shown in parts.

use clap::Args;

use super::show;
use crate::terminal::Terminal;

/// Which part of a list is shown.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Paging {
    /// How many to pass over.
    #[arg(long)]
    pub(super) offset: Option<usize>,
    /// How many to show, 1 to 200.
    #[arg(long)]
    pub(super) limit: Option<usize>,
}

/// Tells people that a list shows a part of all there is, or what they can do where there is nothing.
pub(super) fn say_part(terminal: Terminal, (offset, shown, total): (usize, usize, usize), nothing: &str) {
    if terminal.json {
        return;
    }
    if total == 0 {
        terminal.say(nothing);
    } else if let Some(part) = show::page(offset, shown, total) {
        terminal.say(&part);
    }
}
