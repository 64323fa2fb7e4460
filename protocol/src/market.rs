//! The market as one machine: everything a node decides, without doing any of it.
//!
//! [`Market::handle`] takes an [`event::Event`] with the time and randomness that go with it and answers a
//! [`Step`]: what must be durable, then what may be done. The node's runner and the simulated world drive this same
//! type. Parts: `intake` turns bytes into the book, `offers` keeps one's own offerings and their bonds, `consumer`
//! and `provider` are the two sides of a binding, `escrows` watches the ledger for both, `wallet` spends.
//!
//! Work that depends on time is level-triggered: [`event::Event::Tick`] and every closed ledger look all open things
//! over, so that no timer can be lost by a restart.

mod absence;
mod approach;
mod arbiter;
mod commitments;
mod community;
mod consumer;
mod dispatch;
mod disputes;
mod engagement;
mod escrows;
mod first_sync;
mod held;
mod intake;
mod leftovers;
mod loader;
mod moves;
mod offers;
mod payees;
mod provider;
mod questions;
mod raising;
mod recovery;
mod settling;
mod stamps;
mod submitters;
mod trades;
mod trust;
mod twin;
mod versions;
mod wallet;

pub mod command;
pub mod event;

use std::collections::{BTreeMap, VecDeque};

use ed25519_dalek::SigningKey;
use rand_core::CryptoRng;

use crate::account::{AccountId, PeerId, ServingKey};
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::binding::phase::Side;
use crate::binding::session::SessionEvent;
use crate::binding::trade::Trade;
use crate::book::Book;
use crate::document::Transport;
use crate::escrow::EscrowKind;
use crate::intent::queue::QueueEffect;
use crate::intent::queues::Queues;
use crate::limits::Margins;
use crate::message::{BalanceId, BindingId, MessageId, SeriesId};
use crate::network_id::NetworkId;
use crate::refusal::{Reason, Refusal};
use crate::seal::{SealingKey, SealingSecret};
use crate::stellar::LedgerPoint;
use crate::stellar::entry::AccountState;
use crate::stellar::reserve::LedgerParams;
use crate::step::{Space, Step};
use crate::time::{Now, Timestamp};

use command::{CommandError, CommandId};
use event::{Effect, Event};

pub use arbiter::{Case, Given};
pub use community::{Deed, Exchange};
pub use consumer::EscrowChoice;
pub use disputes::DisputeWord;
pub use escrows::{LOOKED_AT_EVERY, NEAR, WAITS_FOR_WORD};
pub use first_sync::FirstSyncStanding;
pub use leftovers::LockedReserves;
pub use offers::{Offer, OfferState};
pub use recovery::RESTORED_KEY;
pub use stamps::{Inclusion, Stamp};
pub use twin::{Twin, TwinSight};

/// The keys that a node runs with; any subset, also none.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    /// Signs offerings, requests and money.
    pub account: Option<SigningKey>,
    /// Signs what an unattended provider must sign.
    pub serving: Option<SigningKey>,
    /// Opens what is sealed to the provider.
    pub sealing: Option<SealingSecret>,
}

impl Keys {
    /// The account, where its key is here.
    pub fn account_id(&self) -> Option<AccountId> {
        self.account.as_ref().map(AccountId::of)
    }

    /// The serving key, where it is here.
    pub fn serving_key(&self) -> Option<ServingKey> {
        self.serving.as_ref().map(ServingKey::of)
    }

    /// The public sealing key, where its secret is here.
    pub fn sealing_key(&self) -> Option<SealingKey> {
        self.sealing.as_ref().map(SealingSecret::public)
    }
}

/// What a node's owner allows.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Assets that it takes and pays.
    pub assets: Vec<Asset>,
    /// Transports that it uses.
    pub transports: Vec<Transport>,
    /// How its money may be held.
    pub escrow: EscrowPolicy,
    /// The most that one trade may cost.
    pub max_spend: Stroops,
    /// The most that an operation's fee may be bid.
    pub max_fee_per_operation: Stroops,
    /// The most that a transaction with a deadline may cost in fees where its worth in native coins can't be told.
    pub max_deadline_fee: Stroops,
    /// The most that a delivery, a funding or a payment may move on what the endpoints of one operator say; `None` where
    /// there is no other operator to ask.
    pub one_word_limit: Option<Stroops>,
    /// How many submitter accounts may carry transactions with deadlines; none, and the account carries them itself.
    pub submitters: u8,
    /// With how many open cases it engages itself for nothing more as an arbiter, at most
    /// [`MAX_CASES`](crate::limits::MAX_CASES).
    pub max_cases: usize,
}

/// How a node's owner lets its money be held while it buys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EscrowPolicy {
    /// Kinds of escrow that it accepts, the preferred one first.
    pub kinds: Vec<EscrowKind>,
    /// The most native coins that one trade may lock under `timed`, which doesn't protect against a provider that cheats.
    pub max_timed: Stroops,
    /// The same of issued assets. What a unit of one is worth nobody here knows, so one that isn't named isn't locked so.
    pub max_timed_issued: Vec<(Asset, Stroops)>,
    /// Arbiters that it trusts, the preferred ones first.
    pub arbiters: Vec<AccountId>,
    /// How many of them it wants for one trade: an odd number.
    pub arbiters_per_trade: usize,
}

impl EscrowPolicy {
    /// The most that one trade may lock under `timed` unless its owner says otherwise.
    pub const DEFAULT_MAX_TIMED: Stroops = Stroops::whole(10);

    /// The most of an asset that one trade may lock under `timed`; `None` where its owner has named no limit.
    pub fn most_timed(&self, asset: &Asset) -> Option<Stroops> {
        if asset.is_native() {
            return Some(self.max_timed);
        }
        self.max_timed_issued.iter().find(|(named, _)| named == asset).map(|(_, most)| *most)
    }
}

impl Default for EscrowPolicy {
    fn default() -> Self {
        Self {
            kinds: vec![EscrowKind::Arbitrated, EscrowKind::Timed],
            max_timed: Self::DEFAULT_MAX_TIMED,
            max_timed_issued: Vec::new(),
            arbiters: Vec::new(),
            arbiters_per_trade: 1,
        }
    }
}

/// Everything that doesn't change while a node runs.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Which network.
    pub network: NetworkId,
    /// Its margins.
    pub margins: Margins,
    /// This node's peer id.
    pub peer: PeerId,
    /// Its keys.
    pub keys: Keys,
    /// Its owner's policy.
    pub policy: Policy,
}

/// A stored value that can't be read back: the store is damaged, or of another version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the store holds a {what} that can't be read ({why}): run `tradepost store rebuild`, which makes the database anew from \
     the journal and from peers; if it says so again, `tradepost restore FILE --home NEW` makes a home from a backup"
)]
pub struct RestoreError {
    /// Of what sort.
    pub what: &'static str,
    /// Why.
    pub why: String,
}

/// One row of the store: space, key, value.
pub type StoredRow = (Space, Vec<u8>, Vec<u8>);

/// A node's market.
#[derive(Debug)]
pub struct Market {
    pub(crate) setup: Setup,
    pub(crate) book: Book,
    pub(crate) offers: BTreeMap<SeriesId, Offer>,
    pub(crate) drafts: VecDeque<offers::Draft>,
    pub(crate) trades: BTreeMap<MessageId, Trade>,
    pub(crate) by_binding: BTreeMap<BindingId, MessageId>,
    pub(crate) binds: BTreeMap<CommandId, consumer::PendingBind>,
    pub(crate) payments: BTreeMap<CommandId, wallet::PendingPayment>,
    pub(crate) trusts: BTreeMap<CommandId, trust::PendingTrust>,
    pub(crate) incoming: BTreeMap<MessageId, provider::Incoming>,
    pub(crate) approaches: BTreeMap<MessageId, approach::Approach>,
    pub(crate) engaging: BTreeMap<MessageId, engagement::Engaging>,
    pub(crate) evidence: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) cases: BTreeMap<BindingId, Case>,
    pub(crate) looking: BTreeMap<(BindingId, Side), arbiter::Looking>,
    pub(crate) inbox: arbiter::Inbox,
    pub(crate) outgoing: BTreeMap<(BindingId, ServingKey), disputes::Outgoing>,
    /// Settlements whose signatures are asked for.
    settling: BTreeMap<BindingId, settling::Settling>,
    /// Whom the transactions of bindings pay, as the ledger showed them.
    payees: BTreeMap<BindingId, payees::LookedAt>,
    /// Controllers that are back and not merged yet, by the sequence number of their funding.
    controllers: BTreeMap<i64, leftovers::ControllerSeen>,
    /// Balances that others' settlements left for this account and that the ledger shows.
    left: BTreeMap<BindingId, BalanceId>,
    pub(crate) held: held::HeldVerdicts,
    pub(crate) lapses: BTreeMap<AccountId, provider::Lapses>,
    pub(crate) waiting: BTreeMap<MessageId, CommandId>,
    pub(crate) queue: Option<Queues>,
    pub(crate) account: Option<AccountState>,
    /// Whether the ledger was asked for the account since the start.
    pub(crate) account_read: bool,
    pub(crate) point: Option<LedgerPoint>,
    /// When the newest ledger was heard of.
    closed_at: Now,
    pub(crate) params: Option<LedgerParams>,
    pub(crate) paid_of_late: Option<Stroops>,
    pub(crate) clock_skew: Option<i64>,
    pub(crate) presence_at: Now,
    pub(crate) caught_up_at: BTreeMap<PeerId, Now>,
    pub(crate) alive_at: Now,
    pub(crate) awake_at: Now,
    pub(crate) resumed: Option<Step<QueueEffect>>,
    questions: questions::Questions,
    stamps: stamps::Stamps,
    recovery: recovery::Recovery,
    twins: twin::Twins,
    first_sync: first_sync::FirstSync,
    communities: community::Communities,
    /// Refusals that aren't the book's.
    refused: BTreeMap<Reason, u64>,
    damaged: Vec<Refusal>,
    pub(crate) draining: bool,
}

const ALIVE_KEY: &[u8] = b"alive_at";

impl Market {
    /// A market from what was stored, at the present ledger time. A new node passes no rows.
    ///
    /// # Errors
    /// [`RestoreError`] where a row can't be read; nothing is guessed about money.
    pub fn restore(
        setup: Setup,
        rows: impl IntoIterator<Item = StoredRow>,
        now: Now,
    ) -> Result<(Self, Step<Effect>), RestoreError> {
        let mut loader = loader::Loader::default();
        for row in rows {
            loader.take(&setup.network, row, now)?;
        }
        loader.into_market(setup, now)
    }

    /// Takes an event and says what follows.
    pub fn handle(&mut self, event: Event, now: Now, rng: &mut dyn CryptoRng) -> Step<Effect> {
        let mut step = Step::none();
        self.notice_sleep(now, &mut step);
        match event {
            Event::Tick => self.look_over(now, rng, &mut step),
            Event::Closed(point) => self.ledger_closed(point, now, rng, &mut step),
            Event::Params(params) => self.params = Some(params),
            Event::FeesPaid(per_operation) => self.paid_of_late = Some(per_operation),
            Event::Entries { ask, at, asked, entries } => self.entries(ask, at, &asked, entries, now, rng, &mut step),
            Event::ReadFailed { ask, why } => self.read_failed(ask, why, now, &mut step),
            Event::Submitted { hash, answer } => self.submitted(hash, answer, now, rng, &mut step),
            Event::Status { hash, status, envelope } => {
                self.closing_read(hash, &envelope, &mut step);
                self.case_settlement_read(hash, &envelope, now, &mut step);
                self.funding_read(hash, &status, now, &mut step);
                self.status_read(hash, status, now, rng, &mut step);
            }
            Event::Searched { balance, found } => self.searched(balance, found, now, rng, &mut step),
            Event::Gossiped { token, kind, bytes, from } => {
                self.gossiped(token, kind, bytes, from, now, rng, &mut step)
            }
            Event::PeerMet(peer) => self.peer_met(peer, now, &mut step),
            Event::PeerLost(peer) => self.peer_lost(&peer),
            Event::Ids { peer, ids, more } => self.ids_listed(peer, &ids, more, &mut step),
            Event::Fetched { peer, asked, messages } => self.fetched(peer, &asked, messages, now, rng, &mut step),
            Event::IdsWanted { token, after } => self.serve_ids(token, after, &mut step),
            Event::MessagesWanted { token, ids } => self.serve_messages(token, &ids, &mut step),
            Event::Direct { token, peer, bytes } => self.direct(token, peer, &bytes, now, rng, &mut step),
            Event::Answered { call, result } => self.answered(call, result, now, rng, &mut step),
            Event::StampKept { root, result } => self.stamp_kept(root, result, now, &mut step),
            Event::Service { binding, event } => self.service(binding, event, now, rng, &mut step),
            Event::Followed { exchange, result } => {
                self.followed(&exchange, result, &mut step);
                self.tend_exchanges(now, &mut step);
                self.tend_queue(now, rng, &mut step);
            }
            Event::Command { id, command } => self.command(id, command, now, rng, &mut step),
            Event::Twin(sight) => self.twin_sought(sight, now, &mut step),
            Event::Stopping => self.stop(now, rng, &mut step),
        }
        step
    }

    /// The book.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// How many messages of peers were refused for this reason, however they came: each once, one that waits when it is
    /// refused after all or has waited too long.
    pub fn refused(&self, reason: Reason) -> u64 {
        let of = |counts: &BTreeMap<Reason, u64>| counts.get(&reason).copied().unwrap_or(0);
        of(&self.refused).saturating_add(of(self.book.refused()))
    }

    /// Why stored messages couldn't be read at the start; they are deleted with its first step, and peers have them.
    pub fn damaged(&self) -> &[Refusal] {
        &self.damaged
    }

    /// How many gossiped messages have no verdict yet, because what they lack may be here in a moment.
    pub fn verdicts_owed(&self) -> usize {
        self.held.len()
    }

    /// This node's setup.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// This node's own offerings by series.
    pub fn offers(&self) -> impl Iterator<Item = (&SeriesId, &Offer)> {
        self.offers.iter()
    }

    /// This node's bindings, either side, by request.
    pub fn trades(&self) -> impl Iterator<Item = &Trade> {
        self.trades.values()
    }

    /// The binding with this id, or the one begun by this request.
    pub fn trade(&self, id: &[u8; 32]) -> Option<&Trade> {
        let request = self.by_binding.get(&BindingId::from_bytes(*id)).copied();
        self.trades.get(&request.unwrap_or(MessageId::from_bytes(*id)))
    }

    /// This node's account as last read.
    pub fn account(&self) -> Option<&AccountState> {
        self.account.as_ref()
    }

    /// The newest ledger seen.
    pub fn point(&self) -> Option<LedgerPoint> {
        self.point
    }

    /// The ledger's fee and reserve, once read.
    pub fn params(&self) -> Option<LedgerParams> {
        self.params
    }

    /// The queues of this node's transactions, where it has an account key.
    pub fn queue(&self) -> Option<&Queues> {
        self.queue.as_ref()
    }

    /// Tells how far this machine's clock is ahead of the newest ledger (negative: behind), in seconds; `None` on a
    /// network without real time.
    pub fn set_clock_skew(&mut self, ahead: Option<i64>) {
        self.clock_skew = ahead;
    }

    fn ledger_closed(&mut self, point: LedgerPoint, now: Now, rng: &mut dyn CryptoRng, step: &mut Step<Effect>) {
        if self.point.is_some_and(|p| point.sequence <= p.sequence) {
            return;
        }
        let before = self.point.replace(point);
        self.closed_at = now;
        if before.is_some_and(|before| point.close_time.since(before.close_time) > self.setup.margins.grace) {
            self.look_again(now);
        }
        self.read_accounts(step);
        self.watch_escrows(before, point, step);
        self.watch_found(now, step);
        self.note_alive(now, step);
        self.look_over(now, rng, step);
        // Others' after this node's own.
        self.hand_in_joins(step);
    }

    /// Does whatever time or a new ledger makes due.
    fn look_over(&mut self, now: Now, rng: &mut dyn CryptoRng, step: &mut Step<Effect>) {
        self.expire_commands(now, step);
        self.resume(now, rng, step);
        self.tend_book(now, step);
        self.forget_void(now, step);
        self.tend_restored(now, step);
        self.walk_on(now, step);
        self.tend_offers(now, rng, step);
        self.tend_requests(now, rng, step);
        self.tend_stamps(now, step);
        self.tend_exchanges(now, step);
        self.tend_engaging(now, step);
        self.watch_found_controllers(now, step);
        self.tend_cases(now, step);
        self.watch_inbox(now, step);
        self.watch_fees(now, step);
        self.tend_outgoing();
        let requests: Vec<MessageId> = self
            .trades
            .iter()
            .filter(|(_, t)| {
                let owes = t.owes_word() || t.asks_for_closing() || t.has_leftovers() || t.owes_arbiters();
                !t.phase().is_final() || t.state.session.runs() || owes
            })
            .map(|(id, _)| *id)
            .collect();
        for request in requests {
            self.drive(request, now, rng, step);
        }
        self.tend_submitters();
        self.raise_offers(now, rng, step);
        self.tend_queue(now, rng, step);
    }

    /// What the stored transactions ask for after a restart, once.
    fn resume(&mut self, now: Now, rng: &mut dyn CryptoRng, step: &mut Step<Effect>) {
        if let Some(resumed) = self.resumed.take() {
            self.absorb(resumed, now, rng, step);
        }
    }

    /// Ends the sessions that this node was away from for longer than the grace time.
    fn end_what_was_missed(&mut self, now: Now, step: &mut Step<Effect>) {
        // Bindings without that time: the database was lost, and with it how long this node was gone.
        if now.since(self.alive_at) <= self.setup.margins.grace {
            return;
        }
        self.end_what_was_slept_through(step);
    }

    /// A provider may not collect what it didn't serve. A consumer that may have to pay by what it saw didn't see anything,
    /// and its owner decides; any other one listens anew.
    fn end_what_was_slept_through(&mut self, step: &mut Step<Effect>) {
        let counts = |t: &&Trade| t.state.side == Side::Provider || t.state.dispute.is_some();
        let concerned: Vec<MessageId> = self.trades.values().filter(counts).map(Trade::request_id).collect();
        for request in concerned {
            self.with_trade(request, step, |market, trade, step| {
                let (event, why) = match trade.state.side {
                    Side::Provider => {
                        (SessionEvent::ProviderSilent, "the provider's node was down for longer than the grace time")
                    }
                    Side::Consumer => {
                        (SessionEvent::ConsumerSilent, "this node was down for longer than the grace time")
                    }
                };
                market.move_session(trade, event, why, step);
            });
        }
    }

    /// A machine that slept was away like one that was down. Its own silence is nobody else's.
    fn notice_sleep(&mut self, now: Now, step: &mut Step<Effect>) {
        let slept = self.awake_at != Now::default() && now.since(self.awake_at) > self.setup.margins.grace;
        self.awake_at = now;
        if !slept {
            return;
        }
        if !self.stands_still() {
            self.end_what_was_slept_through(step);
        }
        for trade in self.trades.values_mut() {
            trade.volatile.heard_at = now;
            trade.volatile.in_touch = false;
        }
        self.look_again(now);
    }

    /// Keeps when this node was last running, so that a restart knows how long it was gone.
    fn note_alive(&mut self, now: Now, step: &mut Step<Effect>) {
        if !self.stands_still() && now.since(self.alive_at) * 4 >= self.setup.margins.grace {
            self.alive_at = now;
            step.batch().put(Space::Meta, ALIVE_KEY, now.millis().to_be_bytes());
        }
    }

    fn close_time(&self) -> Option<Timestamp> {
        self.point.map(|p| p.close_time)
    }

    fn answer(step: &mut Step<Effect>, id: CommandId, result: Result<command::Answer, impl Into<CommandError>>) {
        step.then(Effect::Answer { id, result: result.map_err(Into::into) });
    }
}

#[cfg(test)]
mod tests;
