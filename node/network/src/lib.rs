//! The libp2p swarm of a Tradepost node as one actor.
//!
//! It carries frames as bytes with a kind; it knows no market and no ledger. The owner calls [`spawn`], drives the
//! returned future on tokio, talks to the swarm through a [`Handle`] and hears from it through an [`EventReceiver`].
//!
//! Four ways lead through it:
//! - **gossip**: [`Handle::publish`], [`Event::Gossip`], [`Handle::verdict`]; one topic per kind;
//! - **direct**: one request and one response of at most 64 KiB, [`Handle::direct`], [`Event::Direct`];
//! - **fetch**: a newcomer's lists of ids and messages by id, [`Handle::list_ids`], [`Handle::fetch`];
//! - **call**: one long-lived stream per peer that carries HTTP/2, [`Handle::call`], [`CallHandler`].
//!
//! Everything that a peer can send is bounded in size, count and time before it is looked at. Every bound stands in
//! [`config`] with its unit.

mod actor;
mod behaviour;
mod call;
pub mod config;
mod discovery;
mod event;
mod fetch;
mod frame_codec;
mod gossip;
mod handle;
mod names;
mod peers;
mod per_ip;
mod rate;
mod request;
mod stats;

pub use actor::spawn;
pub use behaviour::peer_id;
pub use call::{BoxError, CallBody, CallError, CallHandler, empty_body, full_body};
pub use config::{Config, ConfigError, KindConfig, Limits};
pub use event::{Event, EventReceiver};
pub use fetch::{Cursor, FetchAnswer, FetchPage, FetchToken, IdPage, IdsToken, ItemId};
pub use gossip::{MessageToken, PublishError, Verdict};
pub use handle::{ConnectError, Handle, NetworkError};
pub use libp2p::{Multiaddr, PeerId};
pub use peers::{Direction, Origin, PeerFault, PeerInfo};
pub use request::{AnswerError, DirectToken, RequestError};
pub use stats::Stats;
