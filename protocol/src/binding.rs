//! One trade: from a request through its agreement, escrow and session to its end.
//!
//! Four small machines, each moved by its own world: [`negotiation`] by frames and the clock, the escrow
//! ([`crate::escrow`]) by the ledger only, [`session`] by streams, the supervisor and the clock, and [`dispute`], where the
//! escrow has arbiters, by frames and the clock. [`phase`] shows people where they together stand.
//! [`awards`] says which of the arbiters' awards stands. [`seen`] is what a consumer's node concedes of its own. [`trade`] is what a node stores of a binding.

pub mod agreement;
pub mod awards;
pub mod deadlines;
pub mod dispute;
pub mod evidence;
pub mod frames;
pub mod negotiation;
pub mod offers;
pub mod phase;
pub mod precheck;
pub mod seen;
pub mod session;
pub mod trade;
