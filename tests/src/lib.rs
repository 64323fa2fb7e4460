//! Multi-node scenarios of Tradepost, the simulated world that most of them run in, and real nodes as processes for
//! the others; the commands of our pages, typed; and envelopes, compared with those of other people's libraries.

pub mod cluster;
pub mod conformance;
pub mod exchange;
pub mod measure;
pub mod page;
pub mod simulation;
pub mod stage;
pub mod world;
