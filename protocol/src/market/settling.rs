//! Settling an `arbitrated` escrow before T: the side that gains has the others sign, and submits.
//!
//! A settlement is worth nothing without its submitter's signature, so asking for the others' needs nothing stored: whoever
//! dies asks again, with the sequence number that is the next one then. What is signed for the other side is a word that is
//! stored before it is given.

use ed25519_dalek::SigningKey;

use crate::account::{AccountId, PeerId, ServingKey};
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::binding::dispute::{self, DisputeRecord, Settles, Split};
use crate::binding::frames::{Cosign, Cosigned, Note, Rejected};
use crate::binding::offers::{MAX_OFFERED, Offered};
use crate::binding::phase::Side;
use crate::binding::trade::Trade;
use crate::escrow::arbitrated::ArbitratedTerms;
use crate::escrow::outcome::EscrowState;
use crate::escrow::settlement::{Division, Settlement, SettlementError, Submitter};
use crate::intent::Purpose;
use crate::kind::Kind;
use crate::limits::FRAME_TIMEOUT;
use crate::market::event::{Call, Effect};
use crate::market::{Market, payees};
use crate::message::{BalanceId, BindingId, Packed};
use crate::refusal::{Reason, Refusal};
use crate::stellar::entry::AccountState;
use crate::stellar::reserve::LedgerParams;
use crate::step::Step;
use crate::time::Now;

/// Between two rounds of asking the pause doubles up to the heartbeat's interval times two to this.
const MAX_PAUSE_DOUBLINGS: u32 = 4;
/// For so many heartbeats a sequence number is kept while others are asked to sign.
const KEPT_HEARTBEATS: u32 = 2;

/// What keeps a settlement waiting on this side.
const NO_MEANS: &str =
    "the settlement waits: no account here has the coins for its fee and reserves, or it can't hold the asset";

/// No account has what a settlement takes.
struct NoMeans;

/// A settlement whose signatures are being asked for.
#[derive(Debug)]
pub struct Settling {
    settles: Settles,
    settlement: Settlement,
    signed: Vec<(ServingKey, [u8; 64])>,
    asked: Vec<ServingKey>,
    until: Now,
}

/// How an escrow is divided, the arbiters' fees taken off where they decided.
pub(super) fn division(terms: &ArbitratedTerms, settles: &Settles) -> Option<Division> {
    if !settles.awarded {
        let Split { to_provider: recipient, to_consumer: consumer } = settles.split;
        return Some(Division { recipient, consumer, arbiters: Vec::new() });
    }
    let fees = terms.arbiters().iter().try_fold(Stroops::ZERO, |sum, arbiter| sum.plus(arbiter.fee))?;
    let Split { to_provider: recipient, to_consumer: consumer } = settles.split.after(fees)?;
    Some(Division { recipient, consumer, arbiters: terms.arbiters().iter().map(|a| a.key).collect() })
}

/// The account by which a side is paid.
pub(super) const fn payee(terms: &ArbitratedTerms, side: Side) -> AccountId {
    match side {
        Side::Provider => terms.recipient(),
        Side::Consumer => terms.consumer(),
    }
}

/// That a signer's signature isn't under what it was asked to sign.
fn signed_something_else(trade: &Trade, signer: ServingKey) -> Note {
    let arbiter = trade.terms().and_then(|agreed| agreed.arbiters.iter().find(|arbiter| arbiter.key == signer));
    let who = arbiter.map_or("the other side".to_owned(), |arbiter| format!("the arbiter {}", arbiter.account));
    Note::new(format!("{who} signed something else than the settlement that it was asked for"))
}

impl Market {
    /// One version of a binding's settlement.
    pub(super) fn settlement(
        &self,
        terms: &ArbitratedTerms,
        (controller, balance): (AccountId, BalanceId),
        settles: &Settles,
        submitter: Submitter,
    ) -> Result<Settlement, SettlementError> {
        let params = self.params.unwrap_or(LedgerParams::USUAL);
        let nothing = SettlementError::NothingToGain(submitter.side);
        let division = division(terms, settles).ok_or(nothing)?;
        let margin = self.setup.margins.claim_margin;
        Settlement::new(terms, (controller, balance), &division, submitter, margin, &params)
    }

    /// Has the settlement signed that is due, where this side gains by it.
    pub(super) fn drive_settlement(&mut self, trade: &mut Trade, now: Now, step: &mut Step<Effect>) {
        let Some(binding) = trade.binding() else { return };
        let Some((terms, settles)) = self.settlement_due(trade, now) else { return self.stop_settling(binding) };
        if let Some(settling) = self.settling.get(&binding) {
            if settling.settles == settles && now < settling.until {
                return self.settle_if_signed(trade, binding, now, step);
            }
            self.pause_settling(trade, binding, now);
        }
        if now >= trade.volatile.settle_at
            && self.is_our_turn(trade, &settles, now)
            && self.is_still_there(trade, &settles, now)
            && self.can_be_paid(trade, self.paid_directly(&terms, &settles, trade.state.side), now, step)
        {
            self.ask_to_cosign(trade, binding, (&terms, settles), now, step);
        }
    }

    /// What is to be settled on which terms, where it is this side's to do and there is time for it.
    fn settlement_due(&self, trade: &Trade, now: Now) -> Option<(ArbitratedTerms, Settles)> {
        let (terms, settles) = Self::to_settle(trade)?;
        let in_time = now.timestamp() < terms.deadline().minus(self.setup.margins.claim_margin);
        let stands = !trade.is_gone() && !trade.state.timed_out;
        let gains = !division(&terms, &settles)?.of(trade.state.side).is_zero();
        let open = self.is_unsigned(Purpose::Settle { binding: trade.binding()? });
        (in_time && stands && gains && open && trade.may_claim(now)).then_some((terms, settles))
    }

    /// Whom a side's version pays directly: its own payee, and the account through which the whole sum of an asset goes.
    fn paid_directly(&self, terms: &ArbitratedTerms, settles: &Settles, side: Side) -> payees::Payees {
        let share = division(terms, settles).map_or(Stroops::ZERO, |division| division.of(side));
        let through = self.setup.keys.account_id().filter(|_| !terms.asset().is_native());
        let payee = Some(payee(terms, side)).filter(|payee| Some(*payee) != through);
        let each = [through.map(|account| (account, terms.amount())), payee.map(|account| (account, share))];
        each.into_iter().flatten().collect()
    }

    /// What was said about the money, and what there is: an escrow that isn't as agreed goes back whole, by what it holds.
    fn to_settle(trade: &Trade) -> Option<(ArbitratedTerms, Settles)> {
        let terms = trade.escrow_terms()?.arbitrated()?.clone();
        let settles = trade.state.dispute.as_ref()?.settles()?;
        match trade.escrow() {
            EscrowState::Locked => Some((terms, settles)),
            EscrowState::Refused(mismatch) if settles.split.to_provider.is_zero() && !settles.awarded => {
                let amount = mismatch.holds(terms.amount())?;
                let split = Split::all_to(Side::Consumer, amount);
                Some((terms.holding(amount), Settles { split, awarded: false }))
            }
            _ => None,
        }
    }

    /// Where both sides gain, the one that gains more goes first; the other one follows where that didn't help.
    fn is_our_turn(&self, trade: &mut Trade, settles: &Settles, now: Now) -> bool {
        Self::goes_first(trade, settles) || self.is_anybodys_turn(trade, now)
    }

    fn goes_first(trade: &Trade, settles: &Settles) -> bool {
        let own = trade.state.side;
        let (ours, theirs) = (settles.split.share(own), settles.split.share(dispute::other(own)));
        ours > theirs || (ours == theirs && own == Side::Provider)
    }

    fn is_anybodys_turn(&self, trade: &mut Trade, now: Now) -> bool {
        now >= trade.volatile.settles_since.get_or_insert(now).plus(self.setup.margins.grace)
    }

    /// Once the other side may have settled, the newest ledger has to show the escrow, or nobody have answered for so long that
    /// it goes without: what is gone already only costs a fee.
    fn is_still_there(&self, trade: &mut Trade, settles: &Settles, now: Now) -> bool {
        let both = !settles.split.to_provider.is_zero() && !settles.split.to_consumer.is_zero();
        if !both || (Self::goes_first(trade, settles) && !self.is_anybodys_turn(trade, now)) {
            return true;
        }
        let seen_at = trade.volatile.seen_at;
        seen_at >= self.closed_at || now >= seen_at.plus(self.setup.margins.grace)
    }

    fn ask_to_cosign(
        &mut self,
        trade: &mut Trade,
        binding: BindingId,
        (terms, settles): (&ArbitratedTerms, Settles),
        now: Now,
        step: &mut Step<Effect>,
    ) {
        let (Some(key), Some(controller), Some(balance)) =
            (self.own_key(trade), trade.state.controller, trade.state.balance)
        else {
            return;
        };
        let side = trade.state.side;
        let kept = self.keep_for_settling(terms, binding, &settles, side);
        let waits = trade.state.note.as_ref().is_some_and(|note| note.as_str() == NO_MEANS);
        match (&kept, waits) {
            (Err(NoMeans), false) => trade.state.note = Some(Note::new(NO_MEANS)),
            (Ok(_), true) => trade.state.note = None,
            _ => {}
        }
        let Ok(Some((account, sequence))) = kept else { return };
        let submitter = Submitter { side, account, sequence };
        let settlement = self.settlement(terms, (controller.account, balance), &settles, submitter);
        let own = settlement.and_then(|settlement| Ok((settlement.sign(&key, &self.setup.network)?, settlement)));
        let (signature, settlement) = match own {
            Ok(own) => own,
            Err(why) => {
                trade.state.note = Some(Note::new(why.to_string()));
                return self.pause_settling(trade, binding, now);
            }
        };
        let signed = vec![(ServingKey::of(&key), signature)];
        let until = now.plus(FRAME_TIMEOUT.min(self.setup.margins.heartbeat_every * KEPT_HEARTBEATS));
        let whom = Self::cosigners(trade, &settles);
        let asked = whom.iter().map(|(key, _)| *key).collect();
        self.settling.insert(binding, Settling { settles, settlement, signed, asked, until });
        let Settles { split, awarded } = settles;
        // Whoever is paid by a balance should know where it will be.
        let paid = division(terms, &settles).is_some_and(|division| !division.of(dispute::other(side)).is_zero());
        let told = Self::other_key(trade).filter(|_| awarded && paid).map(|to| (to, trade.state.peer.clone()));
        for (to, peer) in whom.into_iter().chain(told) {
            let cosign = Cosign { key: ServingKey::of(&key), binding, split, awarded, balance, account, sequence };
            if let Some(bytes) = self.frame(cosign, &key) {
                step.then(Effect::Send { peer, call: Call::Cosign { binding, to, sequence }, bytes });
            }
        }
    }

    /// Who is asked to sign beside this side: the other one where both agree, else the arbiters. Those that decided
    /// otherwise, or not at all, don't sign, and hear where their fee will be.
    fn cosigners(trade: &Trade, settles: &Settles) -> Vec<(ServingKey, PeerId)> {
        let Some(agreed) = trade.terms() else { return Vec::new() };
        if !settles.awarded {
            return Self::other_key(trade).map(|key| (key, trade.state.peer.clone())).into_iter().collect();
        }
        agreed.arbiters.iter().map(|a| (a.key, a.peer.clone())).collect()
    }

    /// An account with the means for a settlement, and its next sequence number; `None` while those that have them are busy.
    fn keep_for_settling(
        &mut self,
        terms: &ArbitratedTerms,
        binding: BindingId,
        settles: &Settles,
        side: Side,
    ) -> Result<Option<(AccountId, i64)>, NoMeans> {
        let params = self.params.unwrap_or(LedgerParams::USUAL);
        let division = division(terms, settles).ok_or(NoMeans)?;
        let other = u32::from(!division.of(dispute::other(side)).is_zero());
        let balances = other + division.arbiters.len() as u32;
        let needed = params.fee(4 + balances).plus(params.reserves(balances)).ok_or(NoMeans)?;
        let own = self.setup.keys.account_id();
        let payee = payee(terms, side);
        let gained = if terms.asset().is_native() { division.of(side) } else { Stroops::ZERO };
        let committed = self.committed(&Asset::Native);
        let means = |state: &AccountState| {
            // The whole sum passes through the submitter, and a submitter account has no trustline.
            if !terms.asset().is_native() && Some(state.id) != own {
                return false;
            }
            let (promised, gained) = match Some(state.id) == own {
                true => (committed, if state.id == payee { gained } else { Stroops::ZERO }),
                false => (Stroops::ZERO, Stroops::ZERO),
            };
            let free = params.available(state).minus(promised).unwrap_or_default();
            free.plus(gained).is_none_or(|free| free >= needed) && free >= params.fee(4 + balances)
        };
        let queue = self.queue.as_mut().ok_or(NoMeans)?;
        if queue.has(means) { Ok(queue.keep(Purpose::Settle { binding }, means)) } else { Err(NoMeans) }
    }

    fn stop_settling(&mut self, binding: BindingId) {
        if self.settling.remove(&binding).is_some()
            && let Some(queue) = &mut self.queue
        {
            queue.let_go(Purpose::Settle { binding });
        }
    }

    fn pause_settling(&mut self, trade: &mut Trade, binding: BindingId, now: Now) {
        if let Some(queue) = &mut self.queue {
            queue.let_go(Purpose::Settle { binding });
        }
        self.settling.remove(&binding);
        let doublings = trade.volatile.settle_tries.min(MAX_PAUSE_DOUBLINGS);
        trade.volatile.settle_tries = trade.volatile.settle_tries.saturating_add(1);
        trade.volatile.settle_at = now.plus(self.setup.margins.heartbeat_every / 2 * (1 << doublings));
    }

    /// A signer answers, or doesn't.
    pub(super) fn cosign_answered(
        &mut self,
        (binding, to, asked): (BindingId, ServingKey, i64),
        result: Result<Vec<u8>, String>,
        now: Now,
        step: &mut Step<Effect>,
    ) {
        let Some(request) = self.by_binding.get(&binding).copied() else { return };
        let bytes = result.unwrap_or_default();
        let cosigned = self.open_answer::<Cosigned>(&bytes).filter(|c| (c.key, c.binding) == (to, binding));
        let rejected = self.open_answer::<Rejected>(&bytes).filter(|r| (r.key, r.binding) == (to, binding));
        self.with_trade(request, step, |market, trade, step| {
            let network = market.setup.network;
            let Some(settling) = market.settling.get_mut(&binding) else { return };
            let transaction = settling.settlement.transaction();
            let ours = (transaction.source, transaction.sequence);
            // An answer to an earlier round ends nothing of this one.
            if asked != transaction.sequence {
                return;
            }
            settling.asked.retain(|key| *key != to);
            let new = cosigned.filter(|c| (c.account, c.sequence) == ours);
            if let Some(cosigned) = new.filter(|_| settling.signed.iter().all(|(key, _)| *key != to)) {
                match settling.settlement.check_signature(to, &cosigned.signature, &network) {
                    Ok(_) => settling.signed.push((to, cosigned.signature)),
                    Err(_) => trade.state.note = Some(signed_something_else(trade, to)),
                }
            }
            market.hear_what_it_has(trade, to, &bytes);
            if let Some(rejected) = rejected {
                trade.state.note = Some(Note::new(format!("a signer doesn't sign: {}", rejected.note)));
            }
            market.settle_if_signed(trade, binding, now, step);
        });
    }

    /// Signs and submits once enough others have signed; pauses where nobody is left who might.
    fn settle_if_signed(&mut self, trade: &mut Trade, binding: BindingId, now: Now, step: &mut Step<Effect>) {
        let Some(settling) = self.settling.get(&binding) else { return };
        if !settling.settlement.is_enough(&settling.signed) {
            if settling.asked.is_empty() {
                self.pause_settling(trade, binding, now);
            }
            return;
        }
        let settles = settling.settles;
        if !self.is_still_there(trade, &settles, now) {
            return;
        }
        let (Some(settling), Some(queue)) = (self.settling.get(&binding), &mut self.queue) else { return };
        let purpose = Purpose::Settle { binding };
        match queue.settle(purpose, &settling.settlement, &settling.signed, now) {
            Ok(signed) => {
                self.settling.remove(&binding);
                self.absorb_outward(signed, step);
            }
            Err(_) => self.pause_settling(trade, binding, now),
        }
    }

    /// Another signer of a controller wants this node's signature: as a party's, or as an arbiter's.
    pub(super) fn cosign_received(
        &mut self,
        packed: Packed,
        from: &PeerId,
        now: Now,
        step: &mut Step<Effect>,
    ) -> Result<Vec<u8>, Refusal> {
        let cosign = packed.clone().open::<Cosign>(&self.setup.network)?.into_body();
        if !self.by_binding.contains_key(&cosign.binding) {
            return self.arbiter_cosigns((&packed, cosign), now, step);
        }
        let request = self.trade_of(cosign.binding, cosign.key)?;
        let answer = self.with_trade(request, step, |market, trade, _| {
            let key = market.own_key(trade)?;
            if trade.state.balance != Some(cosign.balance) {
                if cosign.awarded {
                    // What an arbiter passes on is heard, and leaves nothing here.
                    return market.ack(trade, Kind::Cosign);
                }
                let note = Note::new("the binding's money is in another balance than the one that is named");
                return market.frame(Rejected { key: ServingKey::of(&key), binding: cosign.binding, note }, &key);
            }
            if cosign.awarded
                && let Some(answer) = market.version_offered(trade, &cosign, from)
            {
                return Some(answer);
            }
            match market.party_cosigns(trade, &cosign, &key) {
                Ok(Some(answer)) => market.frame(answer, &key),
                Ok(None) => market.not_now(trade),
                Err(why) => {
                    let (key_id, note) = (ServingKey::of(&key), Note::new(why));
                    market.frame(Rejected { key: key_id, binding: cosign.binding, note }, &key)
                }
            }
        });
        let unknown = || Refusal::new(Reason::UnknownSeries, "no key for this binding is here any more");
        answer.flatten().ok_or_else(unknown)
    }

    /// A party signs what it gave its word for, or concedes; awards are the arbiters' to sign. `None` where there is nothing
    /// to sign any more, or not yet.
    fn party_cosigns(&self, trade: &mut Trade, cosign: &Cosign, key: &SigningKey) -> Result<Option<Cosigned>, String> {
        let (own, claims) = (trade.state.side, self.claims(trade));
        let (stands, other) = (!trade.state.timed_out, dispute::other(own));
        let (Some(terms), Some(controller), Some(balance)) =
            (trade.escrow_terms(), trade.state.controller, trade.state.balance)
        else {
            return Ok(None);
        };
        let (Some(terms), true) = (terms.arbitrated(), stands) else { return Ok(None) };
        let place = (controller.account, balance);
        if cosign.awarded {
            return Err("the arbiters sign what they awarded".to_owned());
        }
        let (escrow, split) = (trade.escrow().clone(), cosign.split);
        match (escrow, &mut trade.state.dispute) {
            // Nothing of an escrow that isn't as agreed is the provider's, however much it holds.
            (EscrowState::Refused(_), Some(_)) if own == Side::Provider && split.to_provider.is_zero() => {
                return self.cosigned(&terms.holding(split.to_consumer), place, other, cosign, key).map(Some);
            }
            (EscrowState::Locked, Some(record)) => Self::concede(record, own, split, claims)?,
            _ => return Ok(None),
        }
        let signed = self.cosigned(terms, place, other, cosign, key)?;
        // What this side gets by it, it finds there, whether anybody remembers the transaction or not.
        let version = Offered { split, awarded: false, account: cosign.account, sequence: cosign.sequence };
        match self.keep_signed(trade, version) {
            true => Ok(Some(signed)),
            false => Err(format!("{MAX_OFFERED} versions of a settlement are signed, and one of those can be sent")),
        }
    }

    /// Whether this side signs for a division without arbiters; then both have given their word for it.
    fn concede(record: &mut DisputeRecord, own: Side, split: Split, claims: Option<Split>) -> Result<(), String> {
        if !record.concedes(own, split, claims) {
            return Err("this side didn't give its word for that division".to_owned());
        }
        let awarded = record.settles().filter(|settles| settles.awarded);
        if awarded.is_some_and(|award| award.split.share(own) > split.share(own)) {
            return Err("the arbiters decided, and gave this side more".to_owned());
        }
        // Whoever asks for it agrees to it.
        record.release(dispute::other(own), split, own, claims);
        record.release(own, split, own, claims);
        Ok(())
    }

    /// The signature for the version that a side wants to submit.
    pub(super) fn cosigned(
        &self,
        terms: &ArbitratedTerms,
        place: (AccountId, BalanceId),
        side: Side,
        cosign: &Cosign,
        key: &SigningKey,
    ) -> Result<Cosigned, String> {
        let Cosign { binding, split, awarded, account, sequence, .. } = *cosign;
        let settles = Settles { split, awarded };
        let settlement = self.settlement(terms, place, &settles, Submitter { side, account, sequence });
        let signature = settlement.and_then(|settlement| Ok(settlement.sign(key, &self.setup.network)?));
        match signature {
            Ok(signature) => Ok(Cosigned { key: ServingKey::of(key), binding, account, sequence, signature }),
            Err(why) => Err(why.to_string()),
        }
    }
}
