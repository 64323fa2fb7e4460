//! Bindings, from either side.

use serde::{Deserialize, Serialize};
use tradepost_protocol::account::{AccountId, PeerId};
use tradepost_protocol::amount::{Stroops, Unit};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::binding::dispute::Split;
use tradepost_protocol::binding::negotiation::Negotiation;
use tradepost_protocol::binding::phase::{Phase, Side};
use tradepost_protocol::binding::seen::Seen;
use tradepost_protocol::binding::session::Session;
use tradepost_protocol::binding::trade::Trade;
use tradepost_protocol::escrow::EscrowKind;
use tradepost_protocol::escrow::outcome::EscrowState;
use tradepost_protocol::market::Market;
use tradepost_protocol::message::{BalanceId, BindingId, MessageId, SeriesId, TxHash};

use super::dispute::{ArbiterView, arbiters};
use super::{IssuerView, Moment, SplitView};

/// One binding, as this node sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindingView {
    /// Its id, once the provider has agreed.
    pub binding: Option<BindingId>,
    /// The request that began it: its name until there is a binding, and still one after.
    pub request: MessageId,
    /// provider or consumer: which side this node is on.
    pub side: String,
    /// requested, agreed, funded, refused, active, delivered, failed, disputed, closing, timeout, closed or void.
    pub phase: String,
    /// How far the two agreed: requested, agreed, rejected, lapsed or cancelled.
    pub negotiation: String,
    /// idle, starting, active, away or ended.
    pub session: String,
    /// How the session ended, if it did.
    pub ended: Option<String>,
    /// The offering's title, where the book still has it.
    pub title: Option<String>,
    /// The offering's series.
    pub series: SeriesId,
    /// The offering's revision.
    pub offering: MessageId,
    /// Who buys.
    pub consumer: AccountId,
    /// Who is paid, once it is agreed.
    pub recipient: Option<AccountId>,
    /// Where the other side's node was last.
    pub peer: PeerId,
    /// How many units were asked for.
    pub units: u64,
    /// How many of them are used; the provider's node counts.
    pub used: u64,
    /// What this node saw of the service itself, where it is the consumer's and arbiters may be asked: by that it pays.
    pub seen: Option<SeenView>,
    /// What this node would hold to be right about the money if its owner ended it now: it signs by itself for what gives all
    /// to the other side. `null` where its owner decides, where there is nothing to end, and in lists.
    pub if_unbound: Option<SplitView>,
    /// What a unit is, once it is agreed.
    pub unit: Option<Unit>,
    /// The whole price, in stroops of `asset`; before the agreement what the consumer expects.
    pub amount: Option<Stroops>,
    /// What is paid with, once it is agreed.
    pub asset: Option<Asset>,
    /// How the money is held; `null` where there is none or nothing is agreed yet.
    pub escrow: Option<EscrowView>,
    /// What the issuer of the asset may do with it, where it is an issued one and was looked up: for one binding only.
    pub issuer: Option<IssuerView>,
    /// All deadlines, once it is agreed.
    pub deadlines: Option<DeadlinesView>,
    /// The next one that matters.
    pub next_deadline: Option<DeadlineView>,
    /// What this node does next by itself, or what its owner can do.
    pub next_action: String,
    /// The transactions on the ledger.
    pub transactions: TransactionsView,
    /// The newest word on why it stands where it stands.
    pub note: Option<String>,
    /// Whether nothing will happen any more.
    pub is_final: bool,
}

/// How a binding's money is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscrowView {
    /// timed or arbitrated.
    pub kind: EscrowKind,
    /// What it protects against and what not.
    pub protects: String,
    /// none, intended, locked, refused, paid, refunded, split, clawed_back (by the asset's issuer) or unknown, as the ledger
    /// shows it.
    pub state: String,
    /// What each side got, where it was split.
    pub division: Option<SplitView>,
    /// What differs from the agreement, where it is refused.
    pub mismatch: Option<String>,
    /// The balance, once it is known.
    pub balance: Option<BalanceId>,
    /// provider or consumer: whose it is from T on. Silence means this side.
    pub beneficiary: String,
    /// Who decides disputes; none where the kind knows none.
    pub arbiters: Vec<ArbiterView>,
    /// none, released, opened, awarded or lapsed: what was said about the money; `null` where the kind knows no disputes.
    pub dispute: Option<String>,
}

/// A binding's deadlines, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadlinesView {
    /// Until when the escrow must stand.
    pub fund_by: Moment,
    /// Until when the service must run.
    pub start_by: Moment,
    /// Until when the service is owed.
    pub deliver_by: Moment,
    /// Until when a side may ask the arbiters; `null` where there are none.
    pub dispute_by: Option<Moment>,
    /// Until when the arbiters decide; `null` where there are none.
    pub award_by: Option<Moment>,
    /// T: from here on the money is the escrow's beneficiary's; `null` where there is none.
    pub refund_at: Option<Moment>,
}

/// One deadline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadlineView {
    /// valid_until, fund_by, start_by, deliver_by, dispute_by, award_by or T.
    pub name: String,
    /// When.
    pub at: Moment,
}

/// A binding's transactions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionsView {
    /// It locked the money.
    pub funding: Option<TxHash>,
    /// It took the money out, where this node made or saw it.
    pub closing: Option<TxHash>,
}

impl BindingView {
    /// A trade of this market.
    pub fn of(trade: &Trade, market: &Market) -> Self {
        let request = trade.request.body();
        let terms = trade.terms();
        let phase = trade.phase();
        let state = &trade.state;
        Self {
            binding: trade.binding(),
            request: trade.request_id(),
            side: state.side.as_str().to_owned(),
            phase: phase.as_str().to_owned(),
            negotiation: negotiation(state.negotiation).to_owned(),
            session: session(state.session).to_owned(),
            ended: state.session.end().map(|end| end.as_str().to_owned()),
            title: market.book().offering(&request.series).map(|o| o.body().title.clone()),
            series: request.series,
            offering: request.offering,
            consumer: request.account,
            recipient: terms.map(|t| t.recipient),
            peer: state.peer.clone(),
            units: request.units,
            used: state.used,
            seen: SeenView::of(trade),
            if_unbound: None,
            unit: terms.map(|t| t.unit),
            amount: terms.map(|t| t.amount).or(request.budget),
            asset: terms.map(|t| t.asset.clone()),
            escrow: escrow(trade),
            issuer: None,
            deadlines: terms.map(|t| DeadlinesView {
                fund_by: t.terms.fund_by().into(),
                start_by: t.terms.start_by().into(),
                deliver_by: t.terms.deliver_by().into(),
                dispute_by: t.terms.arbitrated().map(|d| d.dispute_by().into()),
                award_by: t.terms.arbitrated().map(|d| d.award_by().into()),
                refund_at: t.terms.refund_at().map(Moment::from),
            }),
            next_deadline: trade
                .next_deadline()
                .map(|(name, at)| DeadlineView { name: name.to_owned(), at: at.into() }),
            next_action: next_action(trade, market).to_owned(),
            transactions: TransactionsView { funding: state.funding, closing: state.closing },
            note: state.note.as_ref().map(|note| note.as_str().to_owned()),
            is_final: phase.is_final(),
        }
    }

    /// The id that people use for it: the binding's, else the request's.
    pub fn name(&self) -> String {
        self.binding.map_or_else(|| self.request.to_string(), |id| id.to_string())
    }

    /// Whether this node buys.
    pub fn is_consumers(&self) -> bool {
        self.side == Side::Consumer.as_str()
    }
}

fn escrow(trade: &Trade) -> Option<EscrowView> {
    let terms = trade.terms()?;
    let kind = terms.terms.kind()?;
    let (state, mismatch) = match trade.escrow() {
        EscrowState::Free => return None,
        EscrowState::None => ("none", None),
        EscrowState::Intended => ("intended", None),
        EscrowState::Locked => ("locked", None),
        EscrowState::Refused(mismatch) => ("refused", Some(mismatch.to_string())),
        EscrowState::Paid => ("paid", None),
        EscrowState::Refunded => ("refunded", None),
        EscrowState::Split { .. } => ("split", None),
        EscrowState::ClawedBack => ("clawed_back", None),
        EscrowState::Unknown => ("unknown", None),
    };
    let beneficiary = Side::by_timeout(terms.pay_unless_disputed);
    let record = trade.state.dispute.as_ref();
    Some(EscrowView {
        kind,
        protects: kind.protects().to_owned(),
        state: state.to_owned(),
        division: division(trade.escrow()),
        mismatch,
        balance: trade.state.balance,
        beneficiary: beneficiary.as_str().to_owned(),
        arbiters: arbiters(terms, record.map_or(&[], |record| record.decisions())),
        dispute: record.map(|record| record.state().as_str().to_owned()),
    })
}

fn division(state: &EscrowState) -> Option<SplitView> {
    match *state {
        EscrowState::Split { recipient, consumer } => Some(SplitView { to_provider: recipient, to_consumer: consumer }),
        _ => None,
    }
}

/// What this node does next by itself, or what its owner can do. Where the escrow has arbiters, that depends on whom T
/// favours, too.
fn next_action(trade: &Trade, market: &Market) -> &'static str {
    let (phase, side) = (trade.phase(), trade.state.side);
    let Some(terms) = trade.terms().filter(|terms| terms.terms.arbitrated().is_some()) else {
        return phase.next_action(side);
    };
    if phase == Phase::Closed && market.reserves_locked(trade).controller > 0 {
        return "nothing: it is settled; the reserve that was locked beside it comes back after T, once your node runs then";
    }
    let as_agreed = !matches!(trade.escrow(), EscrowState::Refused(_));
    let favoured = Side::by_timeout(terms.pay_unless_disputed);
    next_under_arbiters((phase, as_agreed), side, favoured, market.claims(trade))
}

/// What a node does next by itself where the escrow, which is as agreed or not, has arbiters, or what its owner can do.
fn next_under_arbiters(
    (phase, as_agreed): (Phase, bool),
    side: Side,
    favoured: Side,
    claims: Option<Split>,
) -> &'static str {
    match (phase, side) {
        (Phase::Refused, side) => refused(side, favoured),
        (Phase::Timeout, side) if !as_agreed => refused_at_t(side, favoured),
        (Phase::Active, Side::Consumer) => {
            "use it: tradepost call; where it isn't what was agreed, `tradepost dispute open` before it is used up"
        }
        (Phase::Delivered, Side::Provider) if favoured == Side::Provider => {
            "waits for the consumer's release, or takes the money from T on"
        }
        (Phase::Delivered, Side::Provider) => {
            "waits for the consumer's release; without one it asks the arbiters by itself before dispute_by"
        }
        (Phase::Delivered, Side::Consumer) => match claims.map(|claim| claim.to_consumer.is_zero()) {
            Some(true) => "signs for the provider",
            Some(false) if favoured == Side::Provider => {
                "your node saw less than was agreed, and asks the arbiters by itself before dispute_by; `tradepost binding \
                 release` pays all the same"
            }
            Some(false) => {
                "your node saw less than was agreed, and pays nothing by itself: `tradepost binding release` pays, \
                 `tradepost dispute open` asks the arbiters"
            }
            None => undecided(favoured),
        },
        (Phase::Failed, Side::Provider) => "signs for the consumer",
        (Phase::Failed, Side::Consumer) if favoured == Side::Provider => {
            "waits for the provider's release; without one it asks the arbiters by itself before dispute_by"
        }
        (Phase::Failed, Side::Consumer) => "waits for the provider's release, or takes the money back from T on",
        (Phase::Timeout, side) if side == favoured => "takes the money",
        (Phase::Timeout, _) => "nothing to do: the escrow is the other side's now",
        _ => phase.next_action(side),
    }
}

/// What becomes of an escrow that isn't the one agreed, before T: both sides sign it back where they can.
const fn refused(side: Side, favoured: Side) -> &'static str {
    match (side, favoured) {
        (Side::Provider, _) => {
            "never starts the service: the escrow isn't the one agreed; signs it back to the consumer where that can be"
        }
        (Side::Consumer, Side::Consumer) => {
            "both nodes sign the money back to you before T where that can be; else your node takes it back from T on"
        }
        (Side::Consumer, Side::Provider) => {
            "both nodes sign the money back to you before T where that can be; from T on it is the provider's, whose node gives \
             it back or leaves it where it is"
        }
    }
}

/// What becomes of it from T on.
const fn refused_at_t(side: Side, favoured: Side) -> &'static str {
    match (side, favoured) {
        (Side::Consumer, Side::Consumer) => "takes the money back",
        (Side::Consumer, Side::Provider) => {
            "nothing to do: the provider's node gives the money back where it knows what the escrow holds, else leaves it there"
        }
        (Side::Provider, Side::Consumer) => "nothing to do: the escrow is the other side's now",
        (Side::Provider, Side::Provider) => {
            "gives the money back where it knows what the escrow holds, else leaves it there: it isn't the one agreed"
        }
    }
}

/// What the owner of a consumer's node can do where that can't tell what was served, and what doing nothing means.
const fn undecided(favoured: Side) -> &'static str {
    match favoured {
        Side::Provider => {
            "your node can't tell what was served, so you decide: `tradepost binding release` pays, `tradepost dispute open` \
             asks the arbiters until dispute_by; doing nothing pays at T"
        }
        Side::Consumer => {
            "your node can't tell what was served, so you decide: `tradepost binding release` pays, `tradepost dispute open` \
             asks the arbiters until dispute_by; doing nothing brings the money back from T on, unless the provider asks them"
        }
    }
}

const fn negotiation(state: Negotiation) -> &'static str {
    match state {
        Negotiation::Requested => "requested",
        Negotiation::Agreed => "agreed",
        Negotiation::Rejected => "rejected",
        Negotiation::Lapsed => "lapsed",
        Negotiation::Cancelled => "cancelled",
    }
}

const fn session(state: Session) -> &'static str {
    match state {
        Session::Idle => "idle",
        Session::Starting => "starting",
        Session::Active => "active",
        Session::Away => "away",
        Session::Ended(_) => "ended",
    }
}

/// What a consumer's node saw of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenView {
    /// Calls of its own that were answered, without a 5xx.
    pub answered: u64,
    /// Calls of its own that were not.
    pub failed: u64,
}

impl SeenView {
    fn of(trade: &Trade) -> Option<Self> {
        let Seen { answered, failed, .. } = trade.state.seen;
        (trade.state.side == Side::Consumer && trade.state.dispute.is_some()).then_some(Self { answered, failed })
    }
}

/// This node's bindings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindingList {
    /// How many there are in all.
    pub total: usize,
    /// Those asked for, the open ones first.
    pub items: Vec<BindingView>,
}

/// The provider has agreed and knows the funding, which is on its way to the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// The binding.
    pub binding: BindingId,
    /// The request that began it.
    pub request: MessageId,
    /// The funding transaction, where there is money.
    pub transaction: Option<TxHash>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_to_decide_is_told_what_doing_nothing_means() {
        assert!(undecided(Side::Provider).ends_with("doing nothing pays at T"));
        assert!(undecided(Side::Consumer).contains("doing nothing brings the money back from T on"));
    }

    #[test]
    fn of_an_escrow_with_arbiters_that_is_not_the_one_agreed_each_side_hears_who_gets_it_and_when() {
        let next = |side, favoured| next_under_arbiters((Phase::Refused, false), side, favoured, None);
        let at_t = |side, favoured| next_under_arbiters((Phase::Timeout, false), side, favoured, None);
        for favoured in [Side::Consumer, Side::Provider] {
            assert!(next(Side::Consumer, favoured).contains("sign the money back to you before T"), "{favoured:?}");
            assert!(next(Side::Provider, favoured).contains("never starts the service"), "{favoured:?}");
            assert!(next(Side::Provider, favoured).contains("signs it back"), "{favoured:?}");
        }
        let promises = "your node takes it back from T on";
        assert!(next(Side::Consumer, Side::Consumer).contains(promises));
        let silent = next(Side::Consumer, Side::Provider);
        assert!(!silent.contains(promises) && silent.contains("from T on it is the provider's"), "{silent}");
        assert_eq!(at_t(Side::Consumer, Side::Consumer), "takes the money back");
        for side in [Side::Consumer, Side::Provider] {
            assert!(at_t(side, Side::Provider).contains("gives the money back where"), "{side:?}");
            assert!(at_t(side, Side::Provider).contains("leaves it there"), "it takes nothing that it doesn't know");
        }
    }
}
