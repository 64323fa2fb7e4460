//! Progress for people: who does what, and how long after the start.

use std::time::Instant;

use crate::terminal::Terminal;

/// Tells what happens on standard error.
#[derive(Debug)]
pub struct Narrator {
    terminal: Terminal,
    started: Instant,
}

impl Narrator {
    /// One that begins to count now.
    pub fn new(terminal: Terminal) -> Self {
        Self { terminal, started: Instant::now() }
    }

    /// Says what someone does; without a name it goes on from the last line.
    pub fn say(&self, who: &str, what: &str) {
        self.terminal.say(&line(self.elapsed_secs(), who, what));
    }

    /// Whole seconds since the beginning.
    pub fn elapsed_secs(&self) -> u64 {
        self.started.elapsed().as_secs()
    }
}

fn line(secs: u64, who: &str, what: &str) -> String {
    let time = format!("{:02}:{:02}", secs / 60, secs % 60);
    if who.is_empty() { format!("      {what}") } else { format!("{time} {who}: {what}") }
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_line_says_when_who_and_what() {
        assert_eq!(line(67, "consumer", "found \"adder\""), "01:07 consumer: found \"adder\"");
        assert_eq!(line(67, "", "more"), "      more");
    }
}
