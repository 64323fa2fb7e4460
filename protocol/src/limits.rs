//! Every bound on the wire and every margin of the protocol, with its unit, in one page.

use core::time::Duration;

use crate::amount::Stroops;

/// The most bytes of a document's payload.
pub const MAX_DOCUMENT_BYTES: usize = 16 * 1024;
/// Bytes of the ed25519 signature that ends every signed message.
pub const SIGNATURE_BYTES: usize = 64;
/// The deepest nesting of a document.
pub const MAX_JSON_DEPTH: usize = 16;
/// The most members and array items in a document, all depths together.
pub const MAX_JSON_MEMBERS: usize = 1_024;
/// The largest integer in a document; the smallest is its negative.
pub const MAX_JSON_INTEGER: i64 = (1 << 53) - 1;
/// The most bytes that gossip carries in one message.
pub const MAX_GOSSIP_BYTES: usize = 60 * 1024;

/// The most nodes of a template's schema.
pub const MAX_SCHEMA_NODES: usize = 256;
/// The deepest nesting of a template's schema.
pub const MAX_SCHEMA_DEPTH: usize = 8;

/// The most characters of a title or a name, one line.
pub const MAX_TITLE_CHARS: usize = 120;
/// The most characters of a description.
pub const MAX_DESCRIPTION_CHARS: usize = 4_000;
/// The most characters of a repository's URL or of a path in it.
pub const MAX_REPOSITORY_CHARS: usize = 256;
/// The most peer ids in an offering.
pub const MAX_PEER_IDS: usize = 8;
/// The most escrow kinds in an offering or request.
pub const MAX_ESCROW_KINDS: usize = 4;
/// The most arbiters that an offering or request lists.
pub const MAX_LISTED_ARBITERS: usize = 32;
/// The most arbiters of a binding; there is always an odd number of them.
pub const MAX_ARBITERS: usize = 9;
/// The most items of evidence that a party shows about one binding.
pub const MAX_EVIDENCE_ITEMS: u32 = 16;
/// The most bytes of an item of evidence, its files among them.
pub const MAX_EVIDENCE_BYTES: usize = 16 * 1024;
/// The most bytes of an item of evidence once it is sealed.
pub const MAX_SEALED_EVIDENCE: usize = MAX_EVIDENCE_BYTES + 48;
/// The most files in an item of evidence.
pub const MAX_ATTACHMENTS: usize = 8;
/// The most characters of such a file's name.
pub const MAX_ATTACHMENT_NAME: usize = 64;
/// With how many open cases an arbiter's node engages itself for nothing more, at most.
pub const MAX_CASES: usize = 256;
/// The longest of an offering's windows.
pub const MAX_WINDOW: Duration = Duration::from_secs(30 * 86_400);

/// The longest life of an offering's revision.
pub const MAX_OFFERING_LIFE: Duration = Duration::from_secs(30 * 86_400);
/// The longest life of a binding request.
pub const MAX_REQUEST_LIFE: Duration = Duration::from_secs(3_600);
/// Published binding requests that an account may have live at once.
pub const MAX_LIVE_REQUESTS: usize = 4;
/// Published binding requests of one account that are kept until they end, those that were taken back included.
pub const MAX_KEPT_REQUESTS: usize = 16;
/// Published binding requests known to the book.
pub const MAX_REQUESTS: usize = 16_384;
/// How far into the future a presence or status may be dated.
pub const MAX_FRAME_LEAD: Duration = Duration::from_secs(60);
/// Live offering series that one author may have in the book.
pub const MAX_SERIES_PER_AUTHOR: usize = 256;
/// Messages a delivering peer may have in the waiting pool.
pub const MAX_WAITING_PER_PEER: usize = 64;
/// Messages in the waiting pool in all.
pub const MAX_WAITING: usize = 4_096;
/// New messages that one peer may deliver, by gossip and fetch together. What ends in the book doesn't count: the rate
/// bounds what leads nowhere.
pub const PEER_RATE: Rate = Rate { at_once: 4_096, per_second: 512 };
/// Peers that have a rate of their own; more share one.
pub const MAX_RATED_PEERS: usize = 1_024;
/// New messages that one key may sign for the book.
pub const AUTHOR_RATE: Rate = Rate { at_once: 1_024, per_second: 32 };
/// Keys that have a rate of their own; more share one.
pub const MAX_RATED_AUTHORS: usize = 16_384;
/// How long a message waits for its bond, template or record.
pub const WAITING_TIME: Duration = Duration::from_secs(600);
/// How often a status of one series is passed on; withdrawals and our own always are.
pub const STATUS_RELAYED_EVERY: Duration = Duration::from_secs(10);
/// Services known to the book.
pub const MAX_RECORDS: usize = 100_000;
/// Earlier records of a service that are kept for peers that missed some.
pub const MAX_PAST_RECORDS: usize = 16;
/// Templates known to the book.
pub const MAX_TEMPLATES: usize = 10_000;
/// How long an offering on a service's old commit is still shown, as outdated.
pub const OUTDATED_TIME: Duration = Duration::from_secs(7 * 86_400);
/// So many peers' books are read to their ends before a newcomer's own is worth trusting.
pub const FIRST_SYNC_PEERS: usize = 3;
/// For so long a peer that was met may take for it before nobody waits for it any more.
pub const FIRST_SYNC_PATIENCE: Duration = Duration::from_secs(30);
/// Ids or messages in one page of a catch-up with a peer's book.
pub const MAX_IDS_PER_PAGE: usize = 1_000;
/// Ledger keys in one read (the RPC's own limit).
pub const MAX_KEYS_PER_READ: usize = 200;
/// Unfunded agreements a provider grants in all.
pub const MAX_UNFUNDED_AGREEMENTS: usize = 64;
/// Unfunded agreements a provider grants to one peer.
pub const MAX_UNFUNDED_PER_PEER: usize = 4;
/// The most hashes of one batch of timestamps.
pub const MAX_HASHES: usize = 1_024;
/// The most text in a reason that goes over the wire, in bytes.
pub const MAX_REASON_BYTES: usize = 256;
/// The most bytes of sealed access details.
pub const MAX_ACCESS_BYTES: usize = 4_096;
/// How long a frame sent to a peer may wait for its answer.
pub const FRAME_TIMEOUT: Duration = Duration::from_secs(10);

/// How many at once, and how many a second refill that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The most at once.
    pub at_once: u32,
    /// The most over a long time, a second.
    pub per_second: u32,
}

/// What differs between networks: reserves for a bond, and every margin of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Margins {
    /// The least bond behind a series.
    pub min_bond: Stroops,
    /// How old a presence may be before its offerings are no longer live.
    pub presence_life: Duration,
    /// How often a serving node announces its presence.
    pub presence_every: Duration,
    /// From the agreement to `fund_by`.
    pub fund_window: Duration,
    /// From `fund_by` to `start_by`.
    pub start_window: Duration,
    /// The shortest window between `start_by` and `deliver_by`.
    pub min_delivery: Duration,
    /// The longest window between `start_by` and `deliver_by`.
    pub max_delivery: Duration,
    /// From `deliver_by` to T: when a `timed` escrow is collected.
    pub collecting_window: Duration,
    /// The shortest window between `deliver_by` and `dispute_by`.
    pub min_dispute: Duration,
    /// Whom the timeout doesn't favour opens the dispute by itself so long before `dispute_by`.
    pub dispute_lead: Duration,
    /// The shortest window between `dispute_by` and `award_by`, in which arbiters decide.
    pub min_award: Duration,
    /// The shortest window between `award_by` and T, in which an award is settled.
    pub min_settle: Duration,
    /// Claims before T carry a maxTime so much earlier.
    pub claim_margin: Duration,
    /// How often each side of an active binding sends a heartbeat.
    pub heartbeat_every: Duration,
    /// Without a heartbeat for so long, the other side is gone.
    pub grace: Duration,
    /// A funding that makes a controller must be in one of so many ledgers.
    pub funding_ledgers: u32,
    /// From submission to the maxTime of an ordinary transaction.
    pub transaction_life: Duration,
    /// How often an open question to the ledger is asked again.
    pub poll_every: Duration,
    /// How old the newest ledger may be before the network counts as halted, or the way to it as cut.
    pub ledger_life: Duration,
    /// How far the local clock may be behind the newest ledger.
    pub clock_behind: Duration,
    /// How far the local clock may be ahead of the newest ledger, which is always a little old.
    pub clock_ahead: Duration,
}

const fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

impl Margins {
    /// The margins of the embedded development ledger, scaled to its closes of about a second.
    pub const DEVNET: Self = Self {
        min_bond: Stroops::whole(1),
        presence_life: secs(30),
        presence_every: secs(8),
        fund_window: secs(20),
        start_window: secs(10),
        min_delivery: secs(1),
        max_delivery: secs(86_400),
        collecting_window: secs(12),
        min_dispute: secs(8),
        dispute_lead: secs(4),
        min_award: secs(6),
        min_settle: secs(8),
        claim_margin: secs(3),
        heartbeat_every: secs(1),
        grace: secs(5),
        funding_ledgers: 40,
        transaction_life: secs(15),
        poll_every: Duration::from_millis(300),
        ledger_life: secs(15),
        clock_behind: secs(30),
        clock_ahead: secs(60),
    };

    /// The margins of Stellar's test network.
    pub const TESTNET: Self = Self {
        min_bond: Stroops::whole(10),
        presence_life: secs(1_800),
        presence_every: secs(600),
        fund_window: secs(180),
        start_window: secs(180),
        min_delivery: secs(3_600),
        max_delivery: secs(30 * 86_400),
        collecting_window: secs(3_600),
        min_dispute: secs(7_200),
        dispute_lead: secs(3_600),
        min_award: secs(86_400),
        min_settle: secs(3_600),
        claim_margin: secs(60),
        heartbeat_every: secs(15),
        grace: secs(120),
        funding_ledgers: 100,
        transaction_life: secs(120),
        poll_every: secs(3),
        ledger_life: secs(60),
        clock_behind: secs(30),
        clock_ahead: secs(60),
    };

    /// The margins of Stellar's public network.
    pub const PUBLIC: Self = Self::TESTNET;
}
