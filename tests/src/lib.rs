//! Multi-node scenarios of Tradepost, the simulated world that most of them run in, and real nodes as processes for
//! the others.

pub mod cluster;
pub mod world;
