//! Disputes: those of one's own bindings, and those that this node decides.

use serde::{Deserialize, Serialize};
use tradepost_protocol::account::{AccountId, ServingKey};
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::binding::agreement::Agreement;
use tradepost_protocol::binding::dispute::{self, Decision, DisputeRecord, DisputeState, Split};
use tradepost_protocol::binding::evidence::{Attachment, Evidence};
use tradepost_protocol::binding::phase::Side;
use tradepost_protocol::binding::trade::Trade;
use tradepost_protocol::market::{Case, Market};
use tradepost_protocol::message::{BindingId, MessageId};
use tradepost_protocol::time::Now;

use super::Moment;
use crate::api::base64::Base64;

/// What the role of an arbiter is called.
pub const ARBITER: &str = "arbiter";

/// How an escrow is divided, before any arbiter's fee, in stroops of its asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitView {
    /// The provider's share.
    pub to_provider: Stroops,
    /// The consumer's share.
    pub to_consumer: Stroops,
}

impl From<Split> for SplitView {
    fn from(split: Split) -> Self {
        Self { to_provider: split.to_provider, to_consumer: split.to_consumer }
    }
}

impl SplitView {
    /// What is left of both shares once the arbiters have their fees.
    pub fn after(&self, fees: Stroops) -> Option<Self> {
        let split = Split { to_provider: self.to_provider, to_consumer: self.to_consumer };
        split.after(fees).map(Self::from)
    }
}

/// The same of both parties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BySide<T> {
    /// Of the provider.
    pub provider: T,
    /// Of the consumer.
    pub consumer: T,
}

impl<T> BySide<T> {
    fn of(of: impl Fn(Side) -> T) -> Self {
        Self { provider: of(Side::Provider), consumer: of(Side::Consumer) }
    }
}

/// One of a binding's arbiters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArbiterView {
    /// Its account, by which both sides list it, and which its fee is paid to.
    pub account: AccountId,
    /// What any award pays it, in stroops of the escrow's asset.
    pub fee: Stroops,
    /// What it has decided, as far as this node knows.
    pub award: Option<AwardView>,
}

/// What one arbiter decided last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwardView {
    /// How the escrow is to be divided, before the arbiters' fees.
    pub split: SplitView,
    /// Why.
    pub note: String,
}

/// Something that a party shows the arbiters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvidenceView {
    /// provider or consumer.
    pub by: String,
    /// 0 for that side's first item.
    pub number: u32,
    /// When it was made, by that side's own word.
    pub at: Moment,
    /// What it says.
    pub text: String,
    /// Files with it.
    pub files: Vec<FileView>,
}

/// A file that is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileView {
    /// Its name, as whoever shows it calls it.
    pub name: String,
    /// What is in it.
    pub bytes: Base64,
}

impl EvidenceView {
    fn of(by: Side, item: Evidence) -> Self {
        let file = |Attachment { name, bytes }| FileView { name, bytes: Base64(bytes) };
        Self {
            by: by.as_str().to_owned(),
            number: item.number,
            at: item.at.into(),
            text: item.text,
            files: item.attachments.into_iter().map(file).collect(),
        }
    }
}

/// A dispute that may be had about a binding's escrow, is under way, or was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisputeView {
    /// The binding.
    pub binding: BindingId,
    /// The request that began it.
    pub request: MessageId,
    /// provider, consumer or arbiter: what this node is in it.
    pub role: String,
    /// The offering's title, where the book still has it.
    pub title: Option<String>,
    /// What the escrow holds, in stroops of `asset`.
    pub amount: Stroops,
    /// What it holds.
    pub asset: Asset,
    /// none, released (both agree), opened, awarded, lapsed (`award_by` passed without an award) or over.
    pub state: String,
    /// provider or consumer: who asked the arbiters first.
    pub opened_by: Option<String>,
    /// What each side asks for, where it said so.
    pub asks: BySide<Option<SplitView>>,
    /// What each side gave its word for, where it did; an arbiter's node isn't told.
    pub released: BySide<Option<SplitView>>,
    /// How many items of evidence each side has shown, as far as this node knows: a party knows its own.
    pub shown: BySide<u32>,
    /// Who decides.
    pub arbiters: Vec<ArbiterView>,
    /// How many of them must say the same.
    pub majority: usize,
    /// What a majority decided, before the fees.
    pub award: Option<SplitView>,
    /// All arbiters' fees together, which any award pays out of the escrow.
    pub fees: Stroops,
    /// Until when a side may ask the arbiters.
    pub dispute_by: Moment,
    /// Until when the arbiters decide.
    pub award_by: Moment,
    /// T: from here on the escrow is the beneficiary's.
    pub refund_at: Moment,
    /// provider or consumer: whose it is from T on. Silence means this side.
    pub beneficiary: String,
    /// What the owner of this node can do, or what it does by itself.
    pub next_action: String,
    /// Whether it waits for this node's owner: a case for an award.
    pub needs_you: bool,
    /// Whether something may still come of it.
    pub is_open: bool,
}

impl DisputeView {
    /// The one about a binding of this node's; nothing where its escrow has no arbiters.
    pub fn of_trade(trade: &Trade, market: &Market) -> Option<Self> {
        let (record, terms, binding) = (trade.state.dispute.as_ref()?, trade.terms()?, trade.binding()?);
        let own = trade.state.side;
        let over = trade.phase().is_final() || trade.state.timed_out;
        let state = if over && record.state() != DisputeState::Awarded { "over" } else { record.state().as_str() };
        let asks = |side| record.asked_by(side).map(|opening| opening.claim.into());
        let mut view = Self::between(terms, binding, own.as_str(), record.decisions(), market)?;
        view.state = state.to_owned();
        view.opened_by = record.opening().map(|opening| opening.by.as_str().to_owned());
        view.asks = BySide::of(asks);
        view.released = BySide::of(|side| record.released(side).map(SplitView::from));
        view.shown = BySide::of(|side| if side == own { record.shown.next } else { 0 });
        view.award = record.settles().filter(|settles| settles.awarded).map(|settles| settles.split.into());
        view.is_open = !over;
        view.next_action = of_party(record, own, over).to_owned();
        Some(view)
    }

    /// A case that this node decides.
    pub fn of_case(case: &Case, market: &Market, now: Now) -> Option<Self> {
        let own = market.setup().keys.serving_key();
        let given = case.award().zip(own).map(|(given, arbiter)| Decision {
            arbiter,
            number: given.number,
            split: given.split,
            note: given.note.clone(),
        });
        let decisions: Vec<Decision> = given.into_iter().chain(case.fellows().iter().cloned()).collect();
        let mut view = Self::between(case.terms(), case.binding(), ARBITER, &decisions, market)?;
        view.award = case.standing(own).map(SplitView::from);
        let over = case.is_over(now);
        let late = now.timestamp() >= view.award_by.timestamp();
        let (state, next) = match (over, view.award.is_some(), case.award().is_some()) {
            (true, ..) => ("over", "nothing: T has passed, and the ledger has decided"),
            (_, true, _) => ("awarded", "nothing: a majority has decided, and the award stands"),
            (_, _, true) => (
                "opened",
                "waits for the other arbiters, of whom a majority must award the same; until then yours can be changed",
            ),
            (_, _, false) if late => (
                "lapsed",
                "award_by has passed; an award still counts if it is settled before T: `tradepost dispute award`",
            ),
            _ => ("opened", "look at both sides (`tradepost dispute show`), then decide: `tradepost dispute award`"),
        };
        view.state = state.to_owned();
        view.next_action = next.to_owned();
        view.opened_by = Some(case.opened_by().as_str().to_owned());
        view.asks = BySide::of(|side| case.claim(side).map(SplitView::from));
        view.shown = BySide::of(|side| case.shown(side));
        view.is_open = !over;
        view.needs_you = !over && case.award().is_none() && view.award.is_none();
        Some(view)
    }

    /// What follows from the terms, with what the arbiters are known to have decided.
    fn between(
        terms: &Agreement,
        binding: BindingId,
        role: &str,
        decisions: &[Decision],
        market: &Market,
    ) -> Option<Self> {
        let deadlines = terms.terms.arbitrated()?;
        let majority = dispute::majority(terms.arbiters.len());
        Some(Self {
            binding,
            request: terms.request,
            role: role.to_owned(),
            title: market.book().offering(&terms.series).map(|o| o.body().title.clone()),
            amount: terms.amount,
            asset: terms.asset.clone(),
            state: String::new(),
            opened_by: None,
            asks: BySide::default(),
            released: BySide::default(),
            shown: BySide::default(),
            arbiters: arbiters(terms, decisions),
            majority,
            award: None,
            fees: terms.fees().unwrap_or_default(),
            dispute_by: deadlines.dispute_by().into(),
            award_by: deadlines.award_by().into(),
            refund_at: deadlines.timeout_at().into(),
            beneficiary: Side::by_timeout(terms.pay_unless_disputed).as_str().to_owned(),
            next_action: String::new(),
            needs_you: false,
            is_open: false,
        })
    }

    /// What both sides have shown, as far as this node has it: a party its own, an arbiter both sides'.
    pub fn evidence(binding: BindingId, market: &Market) -> Vec<EvidenceView> {
        let of = |side| market.evidence(binding, side).map(move |item| EvidenceView::of(side, item));
        [Side::Provider, Side::Consumer].into_iter().flat_map(of).collect()
    }

    /// Whether somebody has asked the arbiters and it isn't over.
    pub fn is_under_way(&self) -> bool {
        self.is_open && self.opened_by.is_some()
    }

    /// Whether this node decides it.
    pub fn is_arbiters(&self) -> bool {
        self.role == ARBITER
    }
}

/// The arbiters of a binding in the agreement's order, each with what it decided.
pub(super) fn arbiters(terms: &Agreement, decisions: &[Decision]) -> Vec<ArbiterView> {
    let decided = |key: ServingKey| decisions.iter().find(|d| d.arbiter == key);
    let view = |d: &Decision| AwardView { split: d.split.into(), note: d.note.as_str().to_owned() };
    let each = |a: &tradepost_protocol::binding::agreement::AgreedArbiter| ArbiterView {
        account: a.account,
        fee: a.fee,
        award: decided(a.key).map(view),
    };
    terms.arbiters.iter().map(each).collect()
}

/// What a party's owner can do, or what its node does by itself.
fn of_party(record: &DisputeRecord, own: Side, over: bool) -> &'static str {
    let opened_here = record.opening().is_some_and(|opening| opening.by == own);
    match record.state() {
        _ if over => "nothing: it is over",
        DisputeState::None => {
            "nobody has asked the arbiters: `tradepost binding release` gives way, `tradepost dispute open` asks them"
        }
        DisputeState::Released => "the side that gains settles it on the ledger",
        DisputeState::Opened if opened_here => {
            "waits for the award; `tradepost dispute evidence` shows the arbiters more, `tradepost binding release` gives way"
        }
        DisputeState::Opened => {
            "waits for the award; `tradepost dispute evidence` answers, `tradepost binding release` gives way"
        }
        DisputeState::Awarded => "the side that gains settles it on the ledger",
        DisputeState::Lapsed => "no award came in time: from T on it is the beneficiary's, unless one comes before",
    }
}

/// A dispute with what was shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisputeDetails {
    /// It.
    #[serde(flatten)]
    pub dispute: DisputeView,
    /// What was shown, as far as this node has it: a party its own, an arbiter both sides'.
    pub evidence: Vec<EvidenceView>,
}

/// Disputes of one's bindings, and those that this node decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisputeList {
    /// How many there are in all.
    pub total: usize,
    /// Those asked for, by their deadlines.
    pub items: Vec<DisputeView>,
}

/// An item of evidence is on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Its number in this side's row, from 0.
    pub number: u32,
}
