//! What reaches the market's thread.

use bytes::Bytes;
use tokio::sync::oneshot;
use tradepost_ledger::ClosedLedger;
use tradepost_network::{DirectToken, FetchToken, IdsToken, ItemId, MessageToken};
use tradepost_protocol::account::PeerId;
use tradepost_protocol::kind::Kind;
use tradepost_protocol::market::Market;
use tradepost_protocol::market::command::{Answer, Command, CommandError};
use tradepost_protocol::market::event::Event;
use tradepost_protocol::message::{BindingId, MessageId};
use tradepost_protocol::stellar::reserve::LedgerParams;
use tradepost_protocol::time::Now;

/// What may wait for the market's thread, count; without the reserve more than one peer may have without a verdict.
pub(crate) const INBOX: usize = 3_072;
/// Places of the inbox that gossip may not take, so that money, users and trades still pass a flood.
pub(crate) const INBOX_RESERVED: usize = 1_024;
/// Places of the inbox that other peers' requests may not take.
pub(crate) const INBOX_RESERVED_FROM_PEERS: usize = 512;

/// Something that somebody wants to know; it sends the answer itself.
pub(crate) type Question = Box<dyn FnOnce(&Market, Now) + Send>;

const _: () = assert!(INBOX - INBOX_RESERVED > tradepost_network::config::PENDING_VERDICTS_PER_PEER);

/// Something for the market's thread.
pub(crate) enum Work {
    /// An event, ready for the market.
    Event(Event),
    /// A ledger closed.
    Ledger {
        /// Which.
        closed: ClosedLedger,
        /// Its fee and reserve.
        params: LedgerParams,
        /// How far this machine's clock is ahead of it, in seconds; `None` where the network has no real time.
        skew: Option<i64>,
    },
    /// Time passed.
    Tick,
    /// A user wants something.
    Command {
        /// What.
        command: Command,
        /// Where the answer goes.
        reply: oneshot::Sender<Result<Answer, CommandError>>,
    },
    /// A call that was let through is over.
    CallDone {
        /// Whose.
        binding: BindingId,
        /// Whether the service failed it.
        failed: bool,
    },
    /// Somebody wants to know something.
    Question(Question),
    /// A gossiped message.
    Gossiped {
        /// Where the verdict goes.
        token: MessageToken,
        /// The topic's kind.
        kind: Kind,
        /// The message.
        bytes: Bytes,
        /// Who relayed it.
        from: PeerId,
    },
    /// A frame.
    Direct {
        /// Where the answer goes.
        token: DirectToken,
        /// Who sent it.
        peer: PeerId,
        /// The frame.
        bytes: Bytes,
    },
    /// A peer asks for a page of ids.
    IdsWanted {
        /// Where the page goes.
        token: IdsToken,
        /// The last id of the page before.
        after: Option<(Kind, MessageId)>,
    },
    /// A peer asks for messages.
    MessagesWanted {
        /// Where they go.
        token: FetchToken,
        /// Which.
        ids: Vec<ItemId>,
    },
    /// Nothing; the thread looks whether it should end.
    Wake,
}
