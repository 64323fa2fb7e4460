//! What the parties of a case show its arbiter.

use super::index;
use crate::binding::evidence::{self, Chain, EvidenceError};
use crate::binding::frames::Evidence;
use crate::binding::phase::Side;
use crate::kind::Kind;
use crate::limits::MAX_EVIDENCE_ITEMS;
use crate::market::Market;
use crate::market::event::Effect;
use crate::message::BindingId;
use crate::refusal::{Reason, Refusal};
use crate::step::{Space, Step};
use crate::time::Now;

impl Market {
    /// A party shows something.
    pub(in crate::market) fn evidence_received(
        &mut self,
        shown: Evidence,
        now: Now,
        step: &mut Step<Effect>,
    ) -> Result<Vec<u8>, Refusal> {
        let Evidence { key, binding, number, sealed } = shown;
        let unknown = || Refusal::new(Reason::UnknownSeries, "no case about this binding is here");
        let Some(case) = self.cases.get(&binding) else { return self.case_unknown(binding) };
        let side = case.side_of(key).ok_or_else(|| Refusal::new(Reason::BadSignature, "not a party of the case"))?;
        let chain = case.file.chains[index(side)];
        let until = case.terms().terms.arbitrated().map(|d| d.award_by()).unwrap_or_default();
        let is_over = case.file.award.is_some() || now.timestamp() >= until;
        self.is_there(binding, key);
        let answer = if number < chain.next {
            self.case_ack(binding, Kind::Evidence)
        } else if is_over {
            self.case_not_now(binding, "the case is decided, or its time is over")
        } else if number > chain.next {
            self.case_held(binding, true, chain.next)
        } else if number >= MAX_EVIDENCE_ITEMS {
            self.case_not_now(binding, "all items of evidence are shown already")
        } else {
            match self.open_evidence(binding, side, sealed.as_bytes(), &chain) {
                Ok(bytes) => {
                    self.take_evidence(binding, side, bytes, step);
                    self.case_ack(binding, Kind::Evidence)
                }
                Err(why) => self.case_rejected(binding, &why.to_string()),
            }
        };
        answer.ok_or_else(unknown)
    }

    fn open_evidence(
        &self,
        binding: BindingId,
        side: Side,
        sealed: &[u8],
        chain: &Chain,
    ) -> Result<Vec<u8>, EvidenceError> {
        let closed = EvidenceError::Sealed(crate::seal::SealError::DoesNotOpen);
        let secret = self.setup.keys.sealing.as_ref().ok_or(closed)?;
        evidence::open(secret, binding, side, sealed, chain)
    }

    fn take_evidence(&mut self, binding: BindingId, side: Side, bytes: Vec<u8>, step: &mut Step<Effect>) {
        let Some(mut case) = self.cases.remove(&binding) else { return };
        let chain = &mut case.file.chains[index(side)];
        let key = Chain::key(binding, side, chain.next);
        *chain = chain.with(&bytes);
        step.batch().put(Space::Evidence, key.clone(), bytes.clone());
        self.evidence.insert(key, bytes);
        self.keep_case(case, step);
    }
}
