//! What reaches the market, and what it wants done.

use crate::account::{AccountId, PeerId, ServingKey};
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::binding::phase::Side;
use crate::book::{BondWanted, ConsumerWanted};
use crate::community::act::ActId;
use crate::intent::queue::{SubmitAnswer, TxStatus};
use crate::kind::Kind;
use crate::market::command::{Answer, Command, CommandError, CommandId};
use crate::market::stamps::Inclusion;
use crate::market::{DisputeWord, TwinSight};
use crate::message::{BalanceId, BindingId, MessageId, SeriesId, Sha256Hash, TxHash};
use crate::refusal::Refusal;
use crate::stellar::LedgerPoint;
use crate::stellar::entry::Entry;
use crate::stellar::ledger_key::Key;
use crate::stellar::reserve::LedgerParams;
use crate::timestamp::Batch;

/// A place where an answer is waited for, kept by the runner: a gossiped message's verdict, a direct request's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// What a read of the ledger is for; the answer carries it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// This node's own account, and its submitters.
    Account,
    /// The bonds of offerings that wait for it, and their authors' accounts.
    Bonds(Vec<BondWanted>),
    /// The balances of open bindings.
    Escrows,
    /// The consumer of a request.
    Request(MessageId),
    /// The consumers of published requests that wait for it.
    Consumers(Vec<ConsumerWanted>),
    /// All that a binding's pre-checks look at.
    Precheck(CommandId),
    /// What a payment's pre-checks look at.
    Payment(CommandId),
    /// What a trustline depends on.
    Trust(CommandId),
    /// What a batch of timestamps depends on.
    Stamp(CommandId),
    /// A page of the walk down the account's sequence numbers.
    Walk {
        /// Its highest sequence number.
        at: i64,
    },
    /// Balances that were found and are wanted back.
    Found,
    /// A controller that was found and is wanted back, by the sequence number of its funding.
    FoundController(i64),
    /// The money that a side's dispute is about, which this node is to decide.
    Case(BindingId, Side),
    /// A balance that a side of a case, which this node is to decide, names.
    Place(BindingId, Side),
    /// The escrows of cases that this node is to decide.
    Cases,
    /// What a binding has left for this account.
    Leftovers(BindingId),
    /// Those whom a binding's next transaction pays directly.
    Payees(BindingId),
    /// What a command in a help exchange depends on.
    Help(CommandId),
    /// What the issuer of a help exchange, named by its asset, looks at.
    Holdings(Asset),
    /// An account that asks a help exchange's agent to let it in.
    Joiner(AccountId),
    /// One of the others, which gates money: it counts as the endpoints of two operators say it.
    Agreed(Box<Ask>),
}

impl Ask {
    /// Whether it gates money, and so has to be asked of the endpoints of two operators.
    pub const fn gates_money(&self) -> bool {
        matches!(self, Self::Agreed(_))
    }

    /// The question, whether it gates money or not.
    pub const fn plain(&self) -> &Self {
        match self {
            Self::Agreed(ask) => ask,
            ask => ask,
        }
    }

    /// Whether its answer is judged as a whole; of the others each key by itself, and they are asked again anyway.
    pub const fn is_asked_once(&self) -> bool {
        match self {
            Self::Precheck(_) | Self::Payment(_) | Self::Trust(_) | Self::Stamp(_) => true,
            Self::Walk { .. } | Self::Case(..) | Self::Place(..) | Self::Help(_) | Self::Joiner(_) => true,
            Self::Account | Self::Bonds(_) | Self::Escrows | Self::Request(_) | Self::Consumers(_) => false,
            Self::Cases
            | Self::Found
            | Self::FoundController(_)
            | Self::Leftovers(_)
            | Self::Payees(_)
            | Self::Holdings(_) => false,
            Self::Agreed(_) => false,
        }
    }
}

/// What a frame sent to a peer is for; the answer carries it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// The ping among the pre-checks.
    Precheck(CommandId),
    /// A binding request.
    Request(MessageId),
    /// A provider's ping of the consumer of a published request.
    Approach(MessageId),
    /// The agreement to a published request.
    Agreement(BindingId),
    /// A consumer's ping of the provider before it funds.
    Reach(BindingId),
    /// An arbiter's engagement.
    Engage {
        /// The request that it is for.
        request: MessageId,
        /// The arbiter's serving key.
        arbiter: ServingKey,
    },
    /// A settlement to be signed by another signer, too.
    Cosign {
        /// The binding.
        binding: BindingId,
        /// Who is to sign.
        to: ServingKey,
        /// The sequence number of the version.
        sequence: i64,
    },
    /// A funding envelope.
    Fund(BindingId),
    /// Started, start failed, unbound or delivered.
    Tell(BindingId),
    /// A heartbeat.
    Heartbeat(BindingId),
    /// The transaction by which this node's account joins a help exchange.
    Join(ActId),
    /// A word about a binding's money.
    Dispute {
        /// The binding.
        binding: BindingId,
        /// Who must hear it.
        to: ServingKey,
        /// What.
        word: DisputeWord,
    },
}

/// What a provider's service says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceEvent {
    /// It is healthy.
    Runs,
    /// It didn't start, or didn't get healthy in time.
    Failed(String),
    /// It ran and stopped by itself.
    Stopped(String),
}

/// Something that happened outside.
#[derive(Debug)]
pub enum Event {
    /// Time passed; level-triggered work is looked over.
    Tick,
    /// The ledger closed.
    Closed(LedgerPoint),
    /// The ledger's fee and reserve were read.
    Params(LedgerParams),
    /// What nine of ten transactions paid of late was read, for each of their operations.
    FeesPaid(Stroops),
    /// Entries were read; those asked for and missing don't exist at that ledger.
    Entries {
        /// What they were read for.
        ask: Ask,
        /// The ledger that they were read at.
        at: LedgerPoint,
        /// The keys that were asked for.
        asked: Vec<Key>,
        /// What exists of them.
        entries: Vec<Entry>,
    },
    /// Entries could not be read.
    ReadFailed {
        /// What they were wanted for.
        ask: Ask,
        /// Why not.
        why: String,
    },
    /// A transaction was handed to the ledger.
    Submitted {
        /// The transaction.
        hash: TxHash,
        /// What the endpoint said.
        answer: SubmitAnswer,
    },
    /// A transaction's status was read.
    Status {
        /// The transaction.
        hash: TxHash,
        /// Where it is.
        status: TxStatus,
        /// The envelope of a transaction that took effect; empty otherwise.
        envelope: Vec<u8>,
    },
    /// What [`Effect::Search`] asked for was looked for.
    Searched {
        /// The balance.
        balance: BalanceId,
        /// The envelope of the transaction that took it; nothing where none of the ledgers has it, or they are forgotten; why,
        /// where they couldn't be read.
        found: Result<Option<Vec<u8>>, String>,
    },
    /// A gossiped message that wants a verdict.
    Gossiped {
        /// Where the verdict goes.
        token: Token,
        /// The topic's kind.
        kind: Kind,
        /// The bytes.
        bytes: Vec<u8>,
        /// Who passed it on.
        from: PeerId,
    },
    /// A peer that speaks the protocol was met.
    PeerMet(PeerId),
    /// A peer is no longer connected.
    PeerLost(PeerId),
    /// A peer's page of ids.
    Ids {
        /// The peer.
        peer: PeerId,
        /// Its ids.
        ids: Vec<(Kind, MessageId)>,
        /// Whether there are more after the last of them.
        more: bool,
    },
    /// Messages fetched from a peer: those asked for, no others.
    Fetched {
        /// The peer.
        peer: PeerId,
        /// What was asked for.
        asked: Vec<(Kind, MessageId)>,
        /// What came.
        messages: Vec<(Kind, Vec<u8>)>,
    },
    /// A peer asks for a page of ids.
    IdsWanted {
        /// Where the page goes.
        token: Token,
        /// The last id of the page before; at the start where `None`.
        after: Option<(Kind, MessageId)>,
    },
    /// A peer asks for messages.
    MessagesWanted {
        /// Where they go.
        token: Token,
        /// Which; templates and service records also by their content id and service key.
        ids: Vec<(Kind, MessageId)>,
    },
    /// A frame came over a direct stream.
    Direct {
        /// Where the answer goes.
        token: Token,
        /// Who sent it.
        peer: PeerId,
        /// Kind and signed message.
        bytes: Vec<u8>,
    },
    /// A frame that was sent is answered, or isn't.
    Answered {
        /// What it was for.
        call: Call,
        /// The answer's bytes, or why there is none.
        result: Result<Vec<u8>, String>,
    },
    /// What [`Effect::KeepStamp`] asked for is durable, or can't be had yet.
    StampKept {
        /// The batch's root.
        root: Sha256Hash,
        /// Why not.
        result: Result<(), String>,
    },
    /// A service says something.
    Service {
        /// Its binding.
        binding: BindingId,
        /// What.
        event: ServiceEvent,
    },
    /// What [`Effect::Follow`] asked for, or why it can't be had yet.
    Followed {
        /// The exchange, by its asset.
        exchange: Asset,
        /// The page.
        result: Result<FollowedPage, String>,
    },
    /// A user wants something.
    Command {
        /// Where the answer goes.
        id: CommandId,
        /// What.
        command: Command,
    },
    /// Another node with this one's keys was looked for.
    Twin(TwinSight),
    /// The node is stopping: sessions end, nothing new begins.
    Stopping,
}

/// A verdict on a gossiped message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Good, and passed on.
    Accept,
    /// Bad, and its relayer scored.
    Reject,
    /// Neither.
    Ignore,
}

/// News for whoever watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A series appeared, changed or went.
    Offering(SeriesId),
    /// A binding moved; the request's id, since it may not have an agreement yet.
    Binding(MessageId),
    /// Money of this node's account moved or was reserved.
    Wallet,
}

/// What the market wants done, once what it depends on is durable.
#[derive(Debug)]
pub enum Effect {
    /// Read entries; answered by [`Event::Entries`] or [`Event::ReadFailed`].
    Read {
        /// What for.
        ask: Ask,
        /// Which, at most 200.
        keys: Vec<Key>,
    },
    /// Hand a signed envelope to the ledger; answered by [`Event::Submitted`].
    Submit {
        /// Its hash.
        hash: TxHash,
        /// The envelope, XDR.
        envelope: Vec<u8>,
    },
    /// Read a transaction's status; answered by [`Event::Status`].
    AskStatus {
        /// Its hash.
        hash: TxHash,
    },
    /// Look into ledgers for the transaction that took a balance; answered by [`Event::Searched`].
    Search {
        /// The balance.
        balance: BalanceId,
        /// The last ledger that still showed it.
        after: u32,
        /// The first one that didn't.
        until: u32,
    },
    /// Gossip a message of one's own.
    Publish {
        /// Its topic.
        kind: Kind,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Say what to do with a gossiped message.
    Verdict {
        /// Which.
        token: Token,
        /// What.
        verdict: Verdict,
        /// Why it wasn't taken.
        refusal: Option<Refusal>,
    },
    /// Ask a peer for a page of its ids.
    ListIds {
        /// The peer.
        peer: PeerId,
        /// The last id of the page before; at the start where `None`.
        after: Option<(Kind, MessageId)>,
    },
    /// Ask a peer for messages.
    Fetch {
        /// The peer.
        peer: PeerId,
        /// Which; templates and service records also by their content id and service key.
        ids: Vec<(Kind, MessageId)>,
    },
    /// Answer [`Event::IdsWanted`].
    ServeIds {
        /// Where.
        token: Token,
        /// The page.
        ids: Vec<(Kind, MessageId)>,
        /// Whether there are more after the last of them.
        more: bool,
    },
    /// Answer [`Event::MessagesWanted`].
    ServeMessages {
        /// Where.
        token: Token,
        /// For each of the first of those asked for, in their order: the message, where it is here.
        found: Vec<Option<Vec<u8>>>,
    },
    /// Send a frame; answered by [`Event::Answered`].
    Send {
        /// To whom.
        peer: PeerId,
        /// What for.
        call: Call,
        /// Kind and signed message.
        bytes: Vec<u8>,
    },
    /// Answer [`Event::Direct`].
    Respond {
        /// Where.
        token: Token,
        /// Kind and signed message; empty where there is nothing to say to it.
        bytes: Vec<u8>,
    },
    /// Start a binding's service; answered by [`Event::Service`].
    StartService {
        /// The binding.
        binding: BindingId,
        /// How, as the offering's owner configured it.
        spec: Vec<u8>,
    },
    /// Stop a binding's service, if it runs.
    StopService {
        /// The binding.
        binding: BindingId,
    },
    /// Answer a command.
    Answer {
        /// Which.
        id: CommandId,
        /// With what.
        result: Result<Answer, CommandError>,
    },
    /// A peer broke a rule outside gossip.
    Misbehaved {
        /// The peer.
        peer: PeerId,
        /// How.
        refusal: Refusal,
    },
    /// Read the ledger that included a batch, check that it proves it, and keep all of it in a file; answered by
    /// [`Event::StampKept`].
    KeepStamp(Box<KeptStamp>),
    /// Read the transactions that moved any of an exchange's assets, from a ledger on; answered by [`Event::Followed`].
    Follow {
        /// The exchange, by its asset.
        exchange: Asset,
        /// Its assets.
        assets: Vec<Asset>,
        /// The first ledger.
        from: u32,
    },
    /// Something changed that people watch.
    News(News),
}

/// A part of the ledger's history, as far as an exchange is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowedPage {
    /// The transactions that took effect, in the ledger's order.
    pub transactions: Vec<FollowedTransaction>,
    /// The last ledger that was looked at.
    pub through: u32,
    /// Whether ledgers before the first one that was looked at are no longer remembered.
    pub gap: bool,
}

/// A transaction that took effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowedTransaction {
    /// In which ledger.
    pub at: LedgerPoint,
    /// Its envelope, XDR.
    pub envelope: Vec<u8>,
}

/// A batch of timestamps that is in a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptStamp {
    /// The batch.
    pub batch: Batch,
    /// Its transaction.
    pub included: Inclusion,
}
