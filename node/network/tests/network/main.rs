//! Several network actors in one process, with real sockets on ports of their own.
#![expect(clippy::unwrap_used, reason = "tests")]

mod calling;
mod catching_up;
mod discovering;
mod flooding;
mod gossiping;
mod limiting;
mod node;
mod requesting;
mod stalling;
