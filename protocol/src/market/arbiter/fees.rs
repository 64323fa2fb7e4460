//! An arbiter's signature under a settlement of what it awarded, and the fee that the settlement leaves for it.

use rand_core::CryptoRng;

use super::{Case, CaseFile, index};
use crate::account::{AccountId, ServingKey};
use crate::binding::agreement;
use crate::binding::dispute::{self, Settles};
use crate::binding::frames::{Closing, Cosign, Cosigned};
use crate::binding::phase::Side;
use crate::escrow::arbitrated::ArbitratedTerms;
use crate::escrow::settlement::Submitter;
use crate::escrow::taking;
use crate::escrow::terms::EscrowTerms;
use crate::intent::Purpose;
use crate::kind::Kind;
use crate::market::Market;
use crate::market::event::{Ask, Effect};
use crate::market::leftovers::pause_after;
use crate::market::settling::division;
use crate::market::trades::CLOSING_TOLD_FOR;
use crate::message::{BalanceId, BindingId, Packed, TxHash};
use crate::refusal::{Reason, Refusal};
use crate::stellar::LedgerPoint;
use crate::stellar::entry::{BalanceState, Entry};
use crate::stellar::ledger_key::Key;
use crate::step::Step;
use crate::time::Now;

/// Versions of a settlement by one side whose fees are looked for, the newest: a new one is needed where a sequence number
/// went elsewhere.
const MAX_VERSIONS: usize = 32;

/// When a case's fee is looked for again; a restart begins anew.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Looks {
    count: u32,
    next_at: Now,
}

impl CaseFile {
    /// The balances by which this arbiter may be paid.
    pub(super) fn fees(&self) -> impl Iterator<Item = BalanceId> + Clone + '_ {
        self.fees.iter().flatten().copied()
    }

    /// Looks for a fee that a settlement by this side leaves, from now on; whether that is news. Of too many versions the
    /// oldest of the same side's is forgotten: what one side asks for costs the other one nothing.
    fn look_for(&mut self, fee: BalanceId, side: Side) -> bool {
        if self.fees().any(|known| known == fee) {
            return false;
        }
        let versions = &mut self.fees[index(side)];
        if versions.len() >= MAX_VERSIONS {
            versions.remove(0);
        }
        versions.push(fee);
        true
    }
}

impl Case {
    fn is_collectable_by(&self, account: Option<AccountId>, key: Option<ServingKey>) -> bool {
        let seat = self.terms().arbiters.iter().find(|arbiter| Some(arbiter.key) == key);
        let open = self.file.fees().next().is_some() || self.file.settlements.iter().any(Option::is_some);
        open && seat.is_some_and(|seat| Some(seat.account) == account)
    }
}

impl Market {
    /// A party wants an arbiter's signature under the settlement of its award.
    pub(in crate::market) fn arbiter_cosigns(
        &mut self,
        (packed, cosign): (&Packed, Cosign),
        now: Now,
        step: &mut Step<Effect>,
    ) -> Result<Vec<u8>, Refusal> {
        let unknown = || Refusal::new(Reason::UnknownSeries, "no case about this binding is here");
        let binding = cosign.binding;
        let Some(mut case) = self.cases.remove(&binding) else { return self.case_unknown(binding) };
        let before = case.file.clone();
        let signed = self.sign_award(&mut case, &cosign, now, step);
        if case.side_of(cosign.key).is_some() {
            self.is_there(binding, cosign.key);
        }
        if let (Ok(_), Some(side)) = (&signed, case.side_of(cosign.key)) {
            // Where it leaves the other party nothing, that one has nothing to look for.
            let settles = Settles { split: cosign.split, awarded: cosign.awarded };
            let terms = agreement::escrow_terms(&case.agreement);
            let division = terms.as_ref().and_then(|terms| division(terms.arbitrated()?, &settles));
            if division.is_some_and(|division| !division.of(dispute::other(side)).is_zero()) {
                case.keep_version(packed, side);
            }
        }
        self.keep_if_changed(case, &before, step);
        let key = self.setup.keys.serving.as_ref().ok_or_else(unknown)?;
        let answer = match signed {
            Ok(cosigned) => self.frame(cosigned, key),
            Err(Unsigned::NotNow(why)) => self.case_not_now(binding, why),
            Err(Unsigned::Refused(why)) => self.case_rejected(binding, &why),
            Err(Unsigned::Stranger) => return Err(Refusal::new(Reason::BadSignature, "not a party of the case")),
        };
        answer.ok_or_else(unknown)
    }

    fn sign_award(
        &mut self,
        case: &mut Case,
        cosign: &Cosign,
        now: Now,
        step: &mut Step<Effect>,
    ) -> Result<Cosigned, Unsigned> {
        let side = case.side_of(cosign.key).ok_or(Unsigned::Stranger)?;
        if now.timestamp() >= case.timeout_at() {
            return Err(Unsigned::NotNow("T has passed: the escrow is the timeout beneficiary's"));
        }
        let Some(place) = case.file.place(cosign.balance) else {
            self.look_at_place(cosign.binding, side, cosign.balance, step);
            return Err(Unsigned::NotNow("the arbiter looks at the balance that is named: ask again"));
        };
        let place = (place.controller, place.balance);
        let key = self.setup.keys.serving.as_ref().ok_or(Unsigned::Stranger)?;
        let Some(EscrowTerms::Arbitrated(terms)) = agreement::escrow_terms(&case.agreement) else {
            return Err(Unsigned::Refused("the binding's escrow has no arbiters".into()));
        };
        let cosigned = self.cosigned(&terms, place, side, cosign, key).map_err(Unsigned::Refused)?;
        // The others may sign it all the same, and pay this arbiter's fee by it.
        if let Some(fee) = self.fee_by(&terms, place, side, cosign)
            && case.file.look_for(fee, side)
        {
            case.looks = Looks::default();
        }
        match case.has_awarded(cosign.split) && cosign.awarded {
            true => Ok(cosigned),
            false => Err(Unsigned::NotNow("the arbiter didn't award that")),
        }
    }

    /// The balance by which this arbiter is paid in a version.
    fn fee_by(
        &self,
        terms: &ArbitratedTerms,
        place: (AccountId, BalanceId),
        side: Side,
        cosign: &Cosign,
    ) -> Option<BalanceId> {
        let settles = Settles { split: cosign.split, awarded: cosign.awarded };
        let submitter = Submitter { side, account: cosign.account, sequence: cosign.sequence };
        let settlement = self.settlement(terms, place, &settles, submitter).ok()?;
        let own = terms.arbiters().iter().find(|a| Some(a.key) == self.setup.keys.serving_key())?;
        settlement.balances().iter().find(|paid| paid.payee == own.payee).map(|paid| paid.balance)
    }

    /// Looks for the fees of signed awards, now and then.
    pub(in crate::market) fn watch_fees(&mut self, now: Now, step: &mut Step<Effect>) {
        let (account, key) = (self.setup.keys.account_id(), self.setup.keys.serving_key());
        let heartbeat = self.setup.margins.heartbeat_every;
        let due = |case: &&mut Case| case.looks.next_at <= now && case.is_collectable_by(account, key);
        for case in self.cases.values_mut().filter(due) {
            let pause = pause_after(heartbeat, case.looks.count);
            case.looks = Looks { count: case.looks.count.saturating_add(1), next_at: now.plus(pause) };
            let keys: Vec<Key> = case.file.fees().map(Key::Balance).collect();
            if !keys.is_empty() {
                step.then(Effect::Read { ask: Ask::Leftovers(case.binding()), keys });
            }
            case.file.settlements.iter().flatten().for_each(|hash| step.then(Effect::AskStatus { hash: *hash }));
        }
    }

    /// A party says which transaction settled a case: the ledger is asked.
    pub(in crate::market) fn case_settled(
        &mut self,
        closing: &Closing,
        now: Now,
        step: &mut Step<Effect>,
    ) -> Result<Vec<u8>, Refusal> {
        let unknown = || Refusal::new(Reason::UnknownSeries, "no case about this binding is here");
        let mut case = self.cases.remove(&closing.binding).ok_or_else(unknown)?;
        let (before, side) = (case.file.clone(), case.side_of(closing.key));
        if let Some(side) = side.filter(|_| now.timestamp() < case.timeout_at().plus(CLOSING_TOLD_FOR)) {
            case.file.settlements[index(side)] = Some(closing.transaction);
            case.looks = Looks::default();
        }
        self.keep_if_changed(case, &before, step);
        if side.is_none() {
            return Err(Refusal::new(Reason::BadSignature, "not a party of the case"));
        }
        self.case_ack(closing.binding, Kind::Closing).ok_or_else(unknown)
    }

    /// A transaction was read that a party says settled a case: whether it took the escrow, and which balance is the fee.
    pub(in crate::market) fn case_settlement_read(
        &mut self,
        hash: TxHash,
        envelope: &[u8],
        now: Now,
        step: &mut Step<Effect>,
    ) {
        let its = |case: &&Case| case.file.settlements.contains(&Some(hash));
        let concerned: Vec<BindingId> = self.cases.values().filter(its).map(Case::binding).collect();
        for binding in concerned {
            let Some(mut case) = self.cases.remove(&binding) else { continue };
            let (before, own) = (case.file.clone(), self.setup.keys.account_id());
            // Which of the binding's balances it took, an arbiter may never have heard: what it pays this account, counts.
            let claimed = taking::claimed(envelope, &self.setup.network).unwrap_or_default();
            let taking = agreement::escrow_terms(&case.agreement).and_then(|terms| {
                let of = |balance: BalanceId| terms.taking(balance, envelope, &self.setup.network).ok().flatten();
                claimed.into_iter().find_map(of)
            });
            let paid = taking.iter().flat_map(|taking| &taking.paid).find(|(account, _)| Some(*account) == own);
            let over = now.timestamp() >= case.timeout_at().plus(CLOSING_TOLD_FOR);
            let by = if case.file.settlements[0] == Some(hash) { Side::Provider } else { Side::Consumer };
            if !envelope.is_empty() || over {
                case.file.settlements = case.file.settlements.map(|known| known.filter(|known| *known != hash));
            }
            if let Some((_, fee)) = paid
                && case.file.look_for(*fee, by)
            {
                case.looks = Looks::default();
            }
            self.keep_if_changed(case, &before, step);
        }
    }

    /// The fees of a case were looked for: one that is there is claimed; where none can come any more, that is the end.
    #[expect(clippy::too_many_arguments, reason = "the event's own fields, with time and randomness")]
    pub(in crate::market) fn fees_read(
        &mut self,
        binding: BindingId,
        at: LedgerPoint,
        asked: &[Key],
        entries: &[Entry],
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let Some(case) = self.cases.get(&binding) else { return };
        let asked = |id: &BalanceId| asked.contains(&Key::Balance(*id));
        let fees = case.file.fees().filter(asked);
        // A number that a version named may have served another transaction, whose balance is somebody else's.
        let own = self.setup.keys.account_id();
        let is_own = |balance: &BalanceState| balance.claimants.iter().any(|claimant| Some(claimant.account) == own);
        let is_there = |fee: &BalanceId| {
            entries.iter().any(|entry| matches!(entry, Entry::Balance(b) if b.id == *fee && is_own(b)))
        };
        let there = fees.clone().find(is_there);
        let all_asked = fees.count() == case.file.fees().count();
        let over = at.close_time >= case.timeout_at();
        let purpose = Purpose::Receive { binding };
        match there {
            // Versions for two cases may have had the same sequence number, and so the same balance: it is claimed once.
            Some(fee) if self.left.iter().any(|(other, taken)| *other != binding && *taken == fee) => {}
            // What a server that is behind shows may be claimed already.
            Some(_) if !self.knows_all_of(at) => {}
            Some(fee) => {
                self.left.insert(binding, fee);
                self.want(purpose);
                self.tend_queue(now, rng, step);
            }
            None if over && all_asked && self.is_unsigned(purpose) => self.fee_received(binding, step),
            None => {}
        }
    }

    /// A case's fee is in this account, or none will come.
    pub(in crate::market) fn fee_received(&mut self, binding: BindingId, step: &mut Step<Effect>) {
        if let Some(mut case) = self.cases.remove(&binding) {
            case.file.fees = [Vec::new(), Vec::new()];
            self.left.remove(&binding);
            self.keep_case(case, step);
        }
    }
}

/// Why a settlement isn't signed.
enum Unsigned {
    /// Not now, or not any more.
    NotNow(&'static str),
    /// It can't be.
    Refused(String),
    /// Nobody who may ask.
    Stranger,
}
