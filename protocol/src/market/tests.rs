#![expect(clippy::unwrap_used, reason = "tests")]

mod absence;
mod arbiter;
mod assets;
mod away;
mod closing;
mod community;
mod disputes;
mod endings;
mod engagement;
mod funding;
mod gone;
mod intake;
mod ledger;
mod named;
mod pair;
mod places;
mod published;
mod seen;
mod settling;
mod shares;
mod showing;
mod stamps;
mod twin;
mod unasked;
mod unreadable;
mod wallet;
