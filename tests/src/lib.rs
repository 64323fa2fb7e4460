//! Multi-node scenarios of Tradepost, and the simulated world that most of them run in.

pub mod world;
