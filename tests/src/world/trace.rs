//! What happened, as a hash to compare and a tail to read.

use core::fmt;
use std::collections::VecDeque;

use sha2::{Digest, Sha256};

/// Lines that are kept for people.
const TAIL_LINES: usize = 60;
/// Characters of a line that are kept for people.
const LINE_CHARS: usize = 240;

/// Everything that happened in a world, in order.
#[derive(Debug, Default)]
pub struct Trace {
    silent: bool,
    whole: bool,
    hasher: Sha256,
    lines: u64,
    tail: VecDeque<String>,
}

impl Trace {
    /// A trace that keeps nothing: writing everything down takes longer than living through it.
    pub fn silent() -> Self {
        Self { silent: true, ..Self::default() }
    }

    /// A trace that keeps everything.
    pub fn whole() -> Self {
        Self { whole: true, ..Self::default() }
    }

    /// Adds something that happened at `millis` to `node`.
    pub fn note(&mut self, millis: u64, node: &str, what: fmt::Arguments<'_>) {
        if self.silent {
            return;
        }
        let line = format!("{}.{:03} {node} {what}", millis / 1_000, millis % 1_000);
        self.hasher.update((line.len() as u64).to_be_bytes());
        self.hasher.update(line.as_bytes());
        self.lines += 1;
        if self.whole {
            self.tail.push_back(line);
            return;
        }
        if self.tail.len() == TAIL_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(line.chars().take(LINE_CHARS).collect());
    }

    /// The hash of all of it.
    pub fn digest(&self) -> [u8; 32] {
        self.hasher.clone().finalize().into()
    }

    /// How many things happened.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// The lines that were kept, for people who look into a failure.
    pub fn tail(&self) -> String {
        self.tail.iter().map(|line| format!("{line}\n")).collect()
    }
}
