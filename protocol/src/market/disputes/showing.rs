//! What a party shows the arbiters: by its node what it saw and what the other side signed, by its owner whatever it likes.

use crate::binding::dispute::{DisputeRecord, DisputeState};
use crate::binding::evidence::{self, Attachment, Chain};
use crate::binding::frames;
use crate::binding::phase::Side;
use crate::binding::trade::Trade;
use crate::kind::Kind;
use crate::limits::MAX_EVIDENCE_ITEMS;
use crate::market::Market;
use crate::market::command::CommandError;
use crate::market::event::Effect;
use crate::step::{Space, Step};
use crate::time::Now;

impl Market {
    /// Who was asked while the service ran is shown once more what this node knows and what the other side signed, once the
    /// session has ended: with that one's word on the end, where it comes within the grace time.
    pub(super) fn show_the_end(&mut self, trade: &mut Trade, now: Now, step: &mut Step<Effect>) {
        if trade.state.session.end().is_some() {
            trade.volatile.end_shown_at.get_or_insert(now.plus(self.setup.margins.grace));
        }
        let open = |record: &DisputeRecord| record.opening().is_some() && record.state() != DisputeState::Awarded;
        let waits = trade.state.dispute.as_ref().is_some_and(|record| open(record) && !record.shown_end);
        if waits && Self::end_is_known(trade, now) {
            self.show_all(trade, now, step);
        }
    }

    /// Whether the session has ended, and the other side has said what it will say about that.
    fn end_is_known(trade: &Trade, now: Now) -> bool {
        let waited = trade.volatile.end_shown_at.is_some_and(|until| now >= until);
        trade.state.session.end().is_some() && (waited || !trade.owes_word())
    }

    /// The first item of evidence is the node's own.
    pub(super) fn show_what_is_known(&mut self, trade: &mut Trade, now: Now, step: &mut Step<Effect>) {
        if trade.state.dispute.as_ref().is_some_and(|record| record.shown.next == 0) {
            self.show_all(trade, now, step);
        }
    }

    /// Shows what this node saw, and what the other side signed.
    fn show_all(&mut self, trade: &mut Trade, now: Now, step: &mut Step<Effect>) {
        let ended = Self::end_is_known(trade, now);
        let Some(record) = &mut trade.state.dispute else { return };
        record.shown_end |= ended;
        let attachment = |bytes: &Vec<u8>| {
            let kind = bytes.first().copied().and_then(Kind::from_number);
            let name = kind.map_or("frame", Kind::name);
            Attachment { name: format!("{name}, signed by the other side"), bytes: bytes.clone() }
        };
        let attachments = record.kept().iter().map(attachment).collect();
        let text = what_is_known(trade);
        if let Err(error) = self.show(trade, text, attachments, now, step) {
            trade.state.note = Some(frames::Note::new(error.to_string()));
        }
    }

    /// Adds an item of its owner's to this side's evidence; while the session runs the last one is kept for its end.
    pub(super) fn show_for_owner(
        &mut self,
        trade: &mut Trade,
        (text, attachments): (String, Vec<Attachment>),
        now: Now,
        step: &mut Step<Effect>,
    ) -> Result<u32, CommandError> {
        let kept = |record: &DisputeRecord| !record.shown_end && record.shown.next + 1 == MAX_EVIDENCE_ITEMS;
        if trade.state.dispute.as_ref().is_some_and(kept) {
            return Err(CommandError::NotNow(format!(
                "of {MAX_EVIDENCE_ITEMS} items of evidence one is left, by which this node shows how the session ended"
            )));
        }
        self.show(trade, text, attachments, now, step)
    }

    /// Adds an item to this side's evidence.
    fn show(
        &mut self,
        trade: &mut Trade,
        text: String,
        attachments: Vec<Attachment>,
        now: Now,
        step: &mut Step<Effect>,
    ) -> Result<u32, CommandError> {
        let (Some(binding), Some(record)) = (trade.binding(), trade.state.dispute.as_mut()) else {
            return Err(CommandError::NotNow("the binding's escrow has no arbiters".into()));
        };
        if record.shown.next >= MAX_EVIDENCE_ITEMS {
            return Err(CommandError::NotNow(format!(
                "all {MAX_EVIDENCE_ITEMS} items of evidence are shown already, and the arbiters decide by those; `tradepost \
                 binding release` still offers the other side a division"
            )));
        }
        let Chain { next: number, last: previous } = record.shown;
        let item = evidence::Evidence { number, previous, at: now.timestamp(), text, attachments };
        let bytes = item.to_bytes().map_err(|e| CommandError::NotNow(e.to_string()))?;
        record.shown = record.shown.with(&bytes);
        let key = Chain::key(binding, trade.state.side, number);
        step.batch().put(Space::Evidence, key.clone(), bytes.clone());
        self.evidence.insert(key, bytes);
        Ok(number)
    }
}

/// What this node knows of a binding, for people.
fn what_is_known(trade: &Trade) -> String {
    let side = trade.state.side.as_str();
    let ended = trade.state.session.end().map_or("the session has not ended", |end| end.as_str());
    let since = trade.state.active_since.map_or("it never became active".to_owned(), |at| format!("active since {at}"));
    let units = trade.request.body().units;
    let note = trade.state.note.as_ref().map_or(String::new(), |note| format!("; {note}"));
    let used = match trade.state.side {
        Side::Provider => format!("{} of {units} units used", trade.state.used),
        Side::Consumer => {
            let seen = &trade.state.seen;
            let there = if seen.was_there { "; it was there when the other side said that it was gone" } else { "" };
            format!(
                "of {units} units it saw {} calls answered, {} failed, {} s{there}",
                seen.answered, seen.failed, seen.seconds
            )
        }
    };
    let balance = trade.state.balance.map_or_else(|| "none".to_owned(), |balance| balance.to_string());
    format!("By the {side}'s node: {ended}; {since}; {used}; the escrow is balance {balance}{note}.")
}
