//! What arbiters and the owners of disputed bindings do in a day.

use serde_json::json;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::binding::dispute::{DisputeRecord, DisputeState};
use tradepost_protocol::binding::frames::Note;
use tradepost_protocol::binding::trade::Trade;
use tradepost_protocol::market::Market;
use tradepost_protocol::market::command::{Answer, Command, OfferingDraft};
use tradepost_protocol::message::BindingId;

use super::{Day, NODES, TRADERS};
use crate::world::arbiters_draft;

/// What an award costs, in native coins and in the issued asset.
const FEE: Stroops = match Stroops::new(1_000) {
    Some(fee) => fee,
    None => Stroops::ZERO,
};
/// Of cases whose id begins with less than this nobody ever thinks anything.
const SILENT_BELOW: u8 = 40;
/// An arbiter decides at one look of the judge in so many.
const DECIDES_AT_ONE_IN: usize = 6;
/// At one look in so many some owner may give in.
const GIVES_IN_AT_ONE_IN: usize = 16;

/// What an arbiter offers.
pub(super) fn draft_of_arbiter(issued: &Asset) -> OfferingDraft {
    let fees = [json!({ "asset": issued.to_string(), "fee": FEE.get().to_string() })];
    let parameters = json!({ "award_secs": 6, "policy": "What was agreed.", "fees": fees });
    let parameters = parameters.as_object().expect("an object").clone();
    OfferingDraft { parameters, ..arbiters_draft(Asset::Native, FEE) }
}

/// Whether most arbiters would give both sides a part, by the case's id.
pub(super) fn is_to_be_divided(binding: BindingId) -> bool {
    let [silent, fair, ..] = *binding.as_bytes();
    silent >= SILENT_BELOW && fair % 4 > 1
}

impl Day {
    /// Arbiters decide, some never, some wrongly.
    pub(super) fn arbiters_decide(&mut self) {
        for name in &NODES[TRADERS..] {
            if !self.world.is_up(name) || self.pick(DECIDES_AT_ONE_IN) != 0 {
                continue;
            }
            let now = self.world.now();
            let open = |market: &Market| {
                let cases = market.cases().filter(|case| case.award().is_none() && !case.is_over(now));
                cases.map(|case| (case.binding(), case.terms().amount)).collect::<Vec<_>>()
            };
            for (binding, amount) in open(self.world.market(name)) {
                let Some(to_provider) = self.opinion(binding, amount) else { continue };
                // The award before this one may have been its last commit for a while.
                if !self.world.is_up(name) {
                    break;
                }
                self.judge.award_typed(binding, name, to_provider);
                let note = Note::new("by what was shown");
                let id = self.world.give(name, Command::Award { binding, to_provider, note });
                if let Some(Ok(Answer::Awarded)) = self.world.answer(id) {
                    self.judge.award_given(&self.world, binding, name, to_provider);
                }
            }
        }
    }

    /// What an arbiter thinks of a case: mostly the same as the others; about some cases nobody ever thinks anything.
    fn opinion(&mut self, binding: BindingId, amount: Stroops) -> Option<Stroops> {
        let [silent, fair, ..] = *binding.as_bytes();
        if silent < SILENT_BELOW {
            return None;
        }
        let fair = if self.pick(8) == 0 { self.pick(256) as u8 } else { fair };
        let parts = |of: i64| Stroops::new(amount.get() / 4 * of);
        match fair % 4 {
            0 => Some(Stroops::ZERO),
            1 => Some(amount),
            quarters => parts(i64::from(quarters)),
        }
    }

    /// Whoever waited for the arbiters in vain may give the other side all.
    pub(super) fn somebody_gives_in(&mut self) {
        if self.pick(GIVES_IN_AT_ONE_IN) != 0 {
            return;
        }
        let lapsed = |t: &Trade| {
            let record = t.state.dispute.as_ref();
            let in_vain = |d: &DisputeRecord| d.state() == DisputeState::Lapsed && d.released(t.state.side).is_none();
            !t.phase().is_final() && record.is_some_and(in_vain)
        };
        let node = self.pick(TRADERS);
        if let Some(request) = self.trade_of(node, lapsed).map(|trade| trade.request_id()) {
            self.judge.release_typed(request);
            self.world.give(NODES[node], Command::Release { request, to_provider: None });
        }
    }

    /// The owner of a binding releases it, offers a part, or asks the arbiters.
    pub(super) fn somebody_decides(&mut self, node: usize) {
        // Who has given its word doesn't change it here: the judge knows the last one only.
        let quiet = |record: &DisputeRecord, side| record.settles().is_none() && record.released(side).is_none();
        let disputable = |t: &Trade| {
            let record = t.state.dispute.as_ref();
            !t.phase().is_final() && record.is_some_and(|record| quiet(record, t.state.side))
        };
        let Some(trade) = self.trade_of(node, disputable) else { return };
        let Some(amount) = trade.terms().map(|terms| terms.amount) else { return };
        let (request, half) = (trade.request_id(), Stroops::new(amount.get() / 2));
        self.judge.release_typed(request);
        let command = match self.pick(3) {
            0 => Command::Release { request, to_provider: None },
            1 => Command::Release { request, to_provider: half },
            _ => Command::OpenDispute { request, to_provider: half, text: "I want half".to_owned() },
        };
        self.world.give(NODES[node], command);
    }
}
