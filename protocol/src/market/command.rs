//! What users ask of the market, and what it answers.

use core::time::Duration;

use crate::account::AccountId;
use crate::amount::{Price, Stroops};
use crate::asset::Asset;
use crate::binding::evidence::Attachment;
use crate::binding::frames::Note;
use crate::binding::precheck::PrecheckFailure;
use crate::book::WithdrawError;
use crate::community::rules::CommunityRefusal;
use crate::document::{Arbitration, ServiceRef, Transport};
use crate::escrow::EscrowKind;
use crate::market::EscrowChoice;
use crate::market::community::Deed;
use crate::message::{BalanceId, BindingId, MessageId, SeriesId, Sha256Hash, TemplateId, TxHash};
use crate::refusal::{Reason, Refusal, rules};
use crate::stellar::memo::{MemoTooLong, PaymentMemo};
use crate::time::Timestamp;
use crate::timestamp::BatchError;

/// A command's number, chosen by the runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

/// An offering as its owner describes it; the node adds keys, bond, nonce and lifetime.
#[derive(Debug, Clone, PartialEq)]
pub struct OfferingDraft {
    /// Its template.
    pub template: TemplateId,
    /// What the template's schema asks for.
    pub parameters: serde_json::Map<String, serde_json::Value>,
    /// One line.
    pub title: String,
    /// More.
    pub description: String,
    /// The service's version, where the template requires one.
    pub service: Option<ServiceRef>,
    /// Who is paid; this node's account where `None`.
    pub recipient: Option<AccountId>,
    /// What a unit costs.
    pub price: Price,
    /// The fewest units a binding may have.
    pub min_units: u64,
    /// The most.
    pub max_units: u64,
    /// How many bindings at once.
    pub max_supply: u32,
    /// From start_by to deliver_by.
    pub deliver: Duration,
    /// From deliver_by to T under `timed`.
    pub collect: Duration,
    /// Escrow kinds that it accepts.
    pub escrow: Vec<EscrowKind>,
    /// Who decides disputes, and how long they may take: exactly where `escrow` has `arbitrated`.
    pub arbitration: Option<Arbitration>,
    /// Which transports reach this node.
    pub transports: Vec<Transport>,
    /// How long the offering stands.
    pub life: Duration,
    /// How the service is started; opaque here.
    pub spec: Vec<u8>,
}

/// What a user says about a binding's escrow; the node's policy decides the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EscrowWish {
    /// This kind and no other.
    pub kind: Option<EscrowKind>,
    /// The user's word that from T on the escrow is the provider's, unless a dispute was won.
    pub pay_unless_disputed: bool,
}

/// What a user wants.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Lock a bond, then publish.
    Publish(Box<OfferingDraft>),
    /// What publishing would cost, without doing it.
    QuotePublish(Box<OfferingDraft>),
    /// Take a series of one's own back, for good.
    Withdraw(SeriesId),
    /// Store and gossip a signed service record of one's own.
    Register(Vec<u8>),
    /// Run the pre-checks and, unless it is a dry run, bind.
    Bind {
        /// The offering's current revision.
        offering: MessageId,
        /// How many units.
        units: u64,
        /// How its money is to be held.
        wish: EscrowWish,
        /// Only look.
        dry_run: bool,
    },
    /// Run the pre-checks that need no answer of the provider's and, unless it is a dry run, gossip a request.
    PublishRequest {
        /// The offering's current revision.
        offering: MessageId,
        /// How many units.
        units: u64,
        /// How its money is to be held.
        wish: EscrowWish,
        /// For how long it may be agreed to.
        life: Duration,
        /// Only look.
        dry_run: bool,
    },
    /// Take a request back that nobody has agreed to yet.
    CancelRequest(MessageId),
    /// End a binding's session, or take a request back.
    Unbind(MessageId),
    /// Let a consumer's call through to a service.
    AdmitCall {
        /// The binding.
        binding: BindingId,
        /// The token that the call carries.
        token: [u8; 32],
    },
    /// A call is over that was let through to a service, or that this node made of another's; not answered.
    CallDone {
        /// The binding.
        binding: BindingId,
        /// Whether the service failed it: no header of a response, or a 5xx.
        failed: bool,
    },
    /// Pay an account.
    Pay {
        /// Whom.
        to: AccountId,
        /// In what.
        asset: Asset,
        /// How much.
        amount: Stroops,
        /// What it says besides, where it says something.
        memo: Option<PaymentMemo>,
        /// Only look.
        dry_run: bool,
    },
    /// Let the account hold an issued asset, up to a limit, or no longer.
    Trust {
        /// Which.
        asset: Asset,
        /// How much of it; 0 removes the trustline.
        limit: Stroops,
        /// Only look.
        dry_run: bool,
    },
    /// Put the root over hashes into the ledger, and keep what proves each of them.
    Stamp {
        /// What is stamped, SHA-256.
        hashes: Vec<[u8; 32]>,
        /// Only look.
        dry_run: bool,
    },
    /// Sign for a division of an escrow that has arbiters: all for the other side, or so much for the provider.
    Release {
        /// The binding's request.
        request: MessageId,
        /// The provider's share; everything for the other side where it isn't said.
        to_provider: Option<Stroops>,
    },
    /// Ask the arbiters who is paid.
    OpenDispute {
        /// The binding's request.
        request: MessageId,
        /// What the provider should get; everything for this side where it isn't said.
        to_provider: Option<Stroops>,
        /// What the arbiters should know.
        text: String,
    },
    /// Show the arbiters something.
    ShowEvidence {
        /// The binding's request.
        request: MessageId,
        /// What it says.
        text: String,
        /// Files with it.
        attachments: Vec<Attachment>,
    },
    /// Decide a case as its arbiter.
    Award {
        /// The binding.
        binding: BindingId,
        /// The provider's share, before the fees; the rest is the consumer's.
        to_provider: Stroops,
        /// Why.
        note: Note,
    },
    /// Do something in a help exchange.
    Community {
        /// Which, by its asset; the only one that this node is in where it isn't said.
        exchange: Option<Asset>,
        /// What.
        deed: Deed,
        /// Only look.
        dry_run: bool,
    },
    /// Look for everything that the account has locked, from its key alone; or take back what was found, each when it is
    /// due.
    Recover {
        /// Take back what was found.
        take: bool,
    },
    /// Merge the submitter accounts back into the account, where no open binding may need them.
    MergeSubmitters,
}

/// What something costs, before it is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// What is paid or locked, in its asset.
    pub amount: Stroops,
    /// That asset.
    pub asset: Asset,
    /// The most that transactions cost in fees, native.
    pub fee: Stroops,
    /// What is locked as reserve, native.
    pub reserve: Stroops,
    /// When what is locked returns, at the latest.
    pub returns_at: Option<Timestamp>,
    /// What was free before, native.
    pub free_before: Stroops,
}

/// What a trustline costs, before it is made, changed or removed, and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustCost {
    /// The asset.
    pub asset: Asset,
    /// How much of it may be held; 0 removes the trustline.
    pub limit: Stroops,
    /// The limit until now, where there is a trustline.
    pub before: Option<Stroops>,
    /// How much it holds.
    pub holds: Stroops,
    /// The most that the transaction costs in fees, native.
    pub fee: Stroops,
    /// A trustline's reserve, native: locked by a new one, given back by a removed one.
    pub reserve: Stroops,
    /// What was free before, native.
    pub free_before: Stroops,
    /// Whether the issuer must allow the account to hold it first.
    pub must_authorize: bool,
    /// Whether the issuer may freeze what the account holds.
    pub may_revoke: bool,
    /// Whether the issuer may take it back.
    pub may_claw_back: bool,
    /// Whether the configuration lets this node trade in it.
    pub accepted: bool,
}

/// What a command led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The bond stands and the offering is out.
    Published {
        /// The series.
        series: SeriesId,
        /// Its first revision.
        offering: MessageId,
        /// Its bond.
        bond: BalanceId,
        /// The bond's transaction.
        transaction: TxHash,
    },
    /// What it would cost.
    Cost(Cost),
    /// What a binding would cost, and how its money would be held.
    Quoted {
        /// What it costs.
        cost: Cost,
        /// How the money is held.
        escrow: EscrowChoice,
    },
    /// The series is withdrawn; its bond stays locked until then.
    Withdrawn {
        /// The series.
        series: SeriesId,
        /// When the bond can be reclaimed, which the node does by itself.
        bond_until: Timestamp,
    },
    /// The record is out.
    Registered(MessageId),
    /// The provider has agreed and knows the funding; it is on its way to the ledger.
    Bound {
        /// The binding.
        binding: BindingId,
        /// The request that began it.
        request: MessageId,
        /// The funding transaction, where there is money.
        transaction: Option<TxHash>,
    },
    /// The request is out; the provider may agree to it from now on.
    Requested {
        /// The request.
        request: MessageId,
        /// The last second in which it may be agreed to.
        valid_until: Timestamp,
    },
    /// The session is over, or the request taken back.
    Unbound,
    /// The call may go on.
    Admitted,
    /// The payment is in the ledger.
    Paid(TxHash),
    /// What the trustline would cost, and what it means.
    Trust(TrustCost),
    /// The trustline is as wanted in the ledger.
    Trusted(TxHash),
    /// The batch's root is in the ledger; its proof is kept in a moment.
    Stamped {
        /// The root.
        root: Sha256Hash,
        /// Its transaction.
        transaction: TxHash,
    },
    /// A step in a help exchange is in the ledger.
    Helped {
        /// Its transaction.
        transaction: TxHash,
        /// What it locked, where it locked something.
        balance: Option<BalanceId>,
    },
    /// The word is stored, and on its way to the other side.
    Released,
    /// The arbiters are being asked.
    Disputed,
    /// The item of this number is stored, and on its way to the arbiters.
    Shown(u32),
    /// The award is stored, and on its way to the parties.
    Awarded,
    /// The search goes on, or what it found will be taken back: see [`Market::found`](crate::market::Market::found).
    Recovering,
    /// These submitter accounts are on their way back.
    Merging(Vec<AccountId>),
}

/// Why a command led to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// A pre-check said no.
    #[error(transparent)]
    Precheck(#[from] PrecheckFailure),
    /// A rule said no.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The series can't be withdrawn with this node's keys.
    #[error(transparent)]
    Withdraw(#[from] WithdrawError),
    /// The other side said no.
    #[error("the provider refused: {0}")]
    ByProvider(String),
    /// There is no such thing here.
    #[error("no {what} {id} is known here: {hint}")]
    NotFound {
        /// Of what sort.
        what: &'static str,
        /// Its id, as given.
        id: String,
        /// Where to look.
        hint: &'static str,
    },
    /// It can't be done in this state.
    #[error("{0}")]
    NotNow(String),
    /// The ledger didn't take the transaction.
    #[error("the ledger didn't take it: {0}")]
    Ledger(String),
    /// The account that is paid asks for a memo (SEP-29).
    #[error(
        "{0} asks for a memo with every payment, and this has none: its owner can't tell from whom it comes; pay with --memo and what the owner told you"
    )]
    MemoRequired(AccountId),
    /// The hashes are no batch.
    #[error(transparent)]
    Batch(#[from] BatchError),
    /// A rule of a help exchange said no.
    #[error(transparent)]
    Community(#[from] CommunityRefusal),
    /// The memo isn't one.
    #[error(transparent)]
    Memo(#[from] MemoTooLong),
    /// The answer didn't come in time.
    #[error("{what} didn't come in time; {consequence}")]
    Timeout {
        /// What was waited for.
        what: &'static str,
        /// What that means.
        consequence: &'static str,
    },
}

impl CommandError {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Precheck(failure) => failure.code(),
            Self::Refused(refusal) => refusal.reason.code(),
            Self::Withdraw(WithdrawError::Unknown(_)) => Reason::UnknownSeries.code(),
            Self::Withdraw(WithdrawError::Foreign { .. }) => CommandCode::ForeignSeries.code(),
            Self::Withdraw(WithdrawError::AlreadyWithdrawn(_)) => CommandCode::AlreadyWithdrawn.code(),
            Self::ByProvider(_) => CommandCode::RefusedByProvider.code(),
            Self::NotFound { .. } => CommandCode::NotFound.code(),
            Self::NotNow(_) => CommandCode::NotNow.code(),
            Self::Ledger(_) => CommandCode::LedgerRefused.code(),
            Self::MemoRequired(_) => CommandCode::MemoRequired.code(),
            Self::Memo(_) => CommandCode::MemoTooLong.code(),
            Self::Batch(_) => CommandCode::NoBatch.code(),
            Self::Timeout { .. } => CommandCode::Timeout.code(),
            Self::Community(refusal) => refusal.code.code(),
        }
    }
}

rules! {
    /// Why a command led to nothing, where neither a pre-check nor a message's refusal says it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    CommandCode {
        ForeignSeries = "foreign-series", Author, "The series belongs to another account.", "withdraw it with one of its own keys";
        AlreadyWithdrawn = "already-withdrawn", Nobody, "The series is withdrawn already.", "nothing to do";
        RefusedByProvider = "refused-by-provider", Nobody, "The provider refused the request, for the reason that it gave.", "see the reason among those of binding requests";
        NotFound = "not-found", Author, "There is no such thing here.", "look where the error's hint says";
        NotNow = "not-now", Nobody, "It can't be done in this state.", "try again when the state that the error names is over";
        LedgerRefused = "ledger-refused", Nobody, "The ledger didn't take the transaction.", "see the ledger's reason in the error";
        MemoRequired = "memo-required", Author, "The account that is paid asks for a memo, and the payment has none.", "pay with the memo that the account's owner told you";
        MemoTooLong = "memo-too-long", Author, "The memo's text is longer than 28 bytes.", "shorten it";
        NoBatch = "no-batch", Author, "The hashes are no batch of timestamps, or the account's entry isn't this program's.", "correct what the error names";
        Timeout = "timeout", Nobody, "The answer didn't come in time.", "try again; the error says what became of the money";
    }
}
