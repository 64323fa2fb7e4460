//! Multi-node scenarios of Tradepost, the simulated world that most of them run in, and real nodes as processes for
//! the others; and the commands of our pages, typed.

pub mod cluster;
pub mod page;
pub mod simulation;
pub mod stage;
pub mod world;
