//! What a service writes, bounded: its last lines, each cut at a length.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Lines that are kept of one service, count.
pub const LINES: usize = 1_000;
/// Bytes that are kept of one line.
pub const LINE_BYTES: usize = 4 * 1024;
/// Bytes read at once.
const CHUNK_BYTES: usize = 8 * 1024;

/// Which of a process's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One line that a service wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// Its number among all lines of the service, from 0.
    pub number: u64,
    /// Where it was written.
    pub stream: Stream,
    /// The line without its end; what isn't UTF-8 is replaced, what is over [`LINE_BYTES`] is cut.
    pub text: String,
}

/// The last lines of one service.
#[derive(Debug, Default)]
pub(super) struct Log {
    lines: Mutex<VecDeque<LogLine>>,
}

impl Log {
    pub(super) fn lines(&self) -> Vec<LogLine> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Reads an output to its end. It must be read on even where lines are thrown away, or the service would stand still.
    pub(super) async fn read(&self, stream: Stream, mut output: impl AsyncRead + Unpin) {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut line = Vec::new();
        loop {
            let read = match output.read(&mut chunk).await {
                Ok(0) | Err(_) => break,
                Ok(read) => &chunk[..read],
            };
            for part in read.split_inclusive(|byte| *byte == b'\n') {
                let (text, ended) = part.strip_suffix(b"\n").map_or((part, false), |text| (text, true));
                let room = LINE_BYTES - line.len();
                line.extend_from_slice(&text[..text.len().min(room)]);
                if ended {
                    self.push(stream, &line);
                    line.clear();
                }
            }
        }
        if !line.is_empty() {
            self.push(stream, &line);
        }
    }

    fn push(&self, stream: Stream, line: &[u8]) {
        let text = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned();
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let number = lines.back().map_or(0, |last| last.number + 1);
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(LogLine { number, stream, text });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_split_cut_and_the_oldest_forgotten() {
        let log = Log::default();
        let written = "first\r\n".to_owned() + &"x".repeat(3 * LINE_BYTES) + "\nlast without an end";
        log.read(Stream::Stderr, written.as_bytes()).await;
        let lines = log.lines();
        assert_eq!(lines.iter().map(|line| line.number).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!((lines[0].text.as_str(), lines[1].text.len()), ("first", LINE_BYTES));
        assert_eq!(lines[2].text, "last without an end");
        log.read(Stream::Stdout, "y\n".repeat(LINES).as_bytes()).await;
        let lines = log.lines();
        assert_eq!((lines.len(), lines[0].number), (LINES, 3));
        assert!(lines.iter().all(|line| line.stream == Stream::Stdout));
    }
}
