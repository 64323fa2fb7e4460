//! A dispute about an `arbitrated` escrow: what the parties released, who opened, what the arbiters say. Moved by frames
//! and the clock; the ledger alone decides what became of the money.

use bincode::{Decode, Encode};

use crate::account::ServingKey;
use crate::amount::Stroops;
use crate::binding::awards::Awards;
use crate::binding::evidence::Chain;
use crate::binding::frames::{Note, Receipt};
use crate::binding::offers::Offers;
use crate::binding::phase::Side;
use crate::binding::session::Session;
use crate::message::TxHash;
use crate::time::Timestamp;

mod split;

pub use split::Split;

/// The states of a dispute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum DisputeState {
    /// Nobody has said anything about the money yet.
    None,
    /// Both parties agree on how it is divided; the gaining one settles.
    Released,
    /// One of them asked the arbiters.
    Opened,
    /// A majority of the arbiters gave the same award; the gaining party settles.
    Awarded,
    /// `award_by` passed without one; the timeout decides unless something comes until then.
    Lapsed,
}

/// What moves a dispute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DisputeEvent {
    /// The parties agree on how the escrow is divided.
    Agree,
    /// A party asks the arbiters, in time.
    Open,
    /// A majority of the arbiters has given the same award, and a side had asked them.
    Award,
    /// `award_by` passed.
    AwardByPassed,
}

impl DisputeState {
    /// Every state.
    pub const ALL: [Self; 5] = [Self::None, Self::Released, Self::Opened, Self::Awarded, Self::Lapsed];

    /// The table: the next state, or `None` where the event changes nothing here.
    ///
    /// Who agreed may still go back on it by silence, so a release doesn't keep the other side from the arbiters. An
    /// award stands, whoever protests; it can come late, for only the ledger's T ends the matter. What nobody asked the
    /// arbiters for is none.
    pub const fn on(self, event: DisputeEvent) -> Option<Self> {
        use DisputeEvent::*;
        match (self, event) {
            (Self::None | Self::Opened | Self::Lapsed, Agree) => Some(Self::Released),
            (Self::None | Self::Released, Open) => Some(Self::Opened),
            (Self::Released | Self::Opened | Self::Lapsed, Award) => Some(Self::Awarded),
            (Self::Opened, AwardByPassed) => Some(Self::Lapsed),
            (Self::Released, Agree | AwardByPassed) | (Self::None, Award | AwardByPassed) => None,
            (Self::Opened | Self::Lapsed, Open) | (Self::Lapsed, AwardByPassed) => None,
            (Self::Awarded, Agree | Open | Award | AwardByPassed) => None,
        }
    }

    /// The word for people and programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Released => "released",
            Self::Opened => "opened",
            Self::Awarded => "awarded",
            Self::Lapsed => "lapsed",
        }
    }
}

impl DisputeEvent {
    /// Every event.
    pub const ALL: [Self; 4] = [Self::Agree, Self::Open, Self::Award, Self::AwardByPassed];
}

/// What a provider holds to be right by its own view of the session: what it earned, and nothing else. What a consumer's
/// node does, it saw itself ([`Seen::claim`](crate::binding::seen::Seen::claim)).
pub const fn earned(session: Session, amount: Stroops) -> Option<Split> {
    match session.end() {
        None => None,
        Some(end) if end.earned() => Some(Split::all_to(Side::Provider, amount)),
        Some(_) => Some(Split::all_to(Side::Consumer, amount)),
    }
}

/// Who opened a dispute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Opening {
    /// Which side.
    pub by: Side,
    /// When, by its own word.
    pub at: Timestamp,
    /// What it asks for.
    pub claim: Split,
}

/// What one arbiter decided last.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct Decision {
    /// Which arbiter.
    pub arbiter: ServingKey,
    /// The higher one of two rules.
    pub number: u32,
    /// How the escrow is to be divided.
    pub split: Split,
    /// Why.
    pub note: Note,
}

/// How many of so many arbiters decide together.
pub const fn majority(arbiters: usize) -> usize {
    arbiters.div_ceil(2)
}

/// What is to be settled, and on whose word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settles {
    /// How the escrow is divided.
    pub split: Split,
    /// By a majority of the arbiters, who are paid for it; else by both parties.
    pub awarded: bool,
}

/// What a party keeps of the dispute about one binding.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct DisputeRecord {
    amount: Stroops,
    majority: u8,
    state: DisputeState,
    released: [Option<Split>; 2],
    opening: Option<Opening>,
    answer: Option<Opening>,
    /// Whether that answer is what its side holds to be right, and not only there to be heard.
    claims: bool,
    awards: Awards,
    decided: Option<Split>,
    kept: Vec<Vec<u8>>,
    /// The versions by which the other side may have settled.
    pub offers: Offers,
    /// Where one's own chain of evidence stands.
    pub shown: Chain,
    /// Whether the node itself showed what it knows after the session had ended: only then is that all.
    pub shown_end: bool,
    /// What of all this its addressees have.
    pub heard: Heard,
}

/// What of a dispute its addressees have acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Heard {
    /// The division that the other party knows this side to sign for.
    pub released: Option<Split>,
    /// Whether the other party knows that this side asked the arbiters.
    pub opening: bool,
    /// What each arbiter has, in the agreement's order.
    pub arbiters: Vec<HeardByArbiter>,
    /// The settlement that pays the arbiters, while one of them has to hear of it.
    pub settlement: Option<TxHash>,
}

/// What one arbiter has acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Encode, Decode)]
pub struct HeardByArbiter {
    /// Whether it has the case.
    pub opening: bool,
    /// How many items of evidence it has.
    pub evidence: u32,
    /// Whether it knows which transaction pays it.
    pub settlement: bool,
    /// What it acknowledged first, by which it takes the case again should it lose it.
    pub receipt: Option<Receipt>,
    /// Whether it lost the case, or a part of it, and has to be told whatever became of the dispute meanwhile.
    pub lost: bool,
}

impl HeardByArbiter {
    /// Takes in what the arbiter says to have; what it lacks it is to be sent again. `asked_here` says whether this side asked the arbiters.
    pub fn has_only(&mut self, opened: bool, items: u32, asked_here: bool) {
        if opened && items >= self.evidence {
            return;
        }
        self.lost = true;
        self.evidence = self.evidence.min(items);
        // Whoever asked says again what it asks for, also where the other side brought the case back.
        self.opening = opened && !asked_here;
    }
}

/// Signed frames of the other side that are kept for the arbiters.
const MAX_KEPT: usize = 8;
/// The most bytes of such a frame.
const MAX_KEPT_BYTES: usize = 1_100;

impl DisputeRecord {
    /// For an escrow of this amount with so many arbiters.
    pub fn new(amount: Stroops, arbiters: usize) -> Self {
        Self {
            amount,
            majority: majority(arbiters) as u8,
            state: DisputeState::None,
            released: [None; 2],
            opening: None,
            answer: None,
            claims: false,
            awards: Awards::default(),
            decided: None,
            kept: Vec::new(),
            offers: Offers::default(),
            shown: Chain::default(),
            shown_end: false,
            heard: Heard { arbiters: vec![HeardByArbiter::default(); arbiters], ..Heard::default() },
        }
    }

    /// A side gives its word that it signs for this division. A later word of the same side rules.
    /// `claims` is what this node holds to be right: a word that gives it as much needs no other, and one that gives
    /// everything never does.
    pub fn release(&mut self, by: Side, split: Split, own: Side, claims: Option<Split>) -> bool {
        if !split.divides(self.amount) || self.released[index(by)] == Some(split) {
            return false;
        }
        self.released[index(by)] = Some(split);
        let gives_all = split.share(other(by)) == self.amount;
        let agreed = if gives_all { Some(split) } else { self.agreed(own, claims) };
        if agreed.is_some() {
            self.released = [agreed; 2];
            self.step(DisputeEvent::Agree);
        }
        true
    }

    /// The division that both sides agree on: the other's word, where it is one's own too or gives as much as one claims.
    fn agreed(&self, own: Side, claims: Option<Split>) -> Option<Split> {
        let theirs = self.released[index(other(own))]?;
        let enough = claims.is_some_and(|claim| theirs.share(own) >= claim.share(own));
        (enough || self.released[index(own)] == Some(theirs)).then_some(theirs)
    }

    /// A side asks the arbiters; whether anything changed. In time is before `dispute_by`. Where the other side asked first, this
    /// one's claim is its own from now on all the same, and its arbiters hear it.
    pub fn open(&mut self, opening: Opening) -> bool {
        let second = self.opening.is_some_and(|first| first.by != opening.by) && !self.claims;
        if second
            && opening.claim.divides(self.amount)
            && !matches!(self.state, DisputeState::Awarded | DisputeState::Lapsed)
        {
            self.step(DisputeEvent::Open);
            self.answer = Some(opening);
            self.claims = true;
            self.heard.arbiters.iter_mut().for_each(|arbiter| arbiter.opening = false);
            return true;
        }
        let opened = opening.claim.divides(self.amount) && self.step(DisputeEvent::Open);
        if opened {
            self.opening.get_or_insert(opening);
            self.weigh();
        }
        opened
    }

    /// This side asks the arbiters, too, where the other one says that it does: only they know whether it did, and about which
    /// balance.
    pub fn answer(&mut self, answer: Opening) {
        if self.opening.is_some_and(|opening| opening.by != answer.by) && answer.claim.divides(self.amount) {
            self.answer.get_or_insert(answer);
        }
    }

    /// With what a side asks the arbiters, first or second.
    pub fn asked_by(&self, side: Side) -> Option<&Opening> {
        self.opening.iter().chain(&self.answer).find(|opening| opening.by == side)
    }

    /// What a side claims because it asked the arbiters for it, and not only because the other side did.
    pub fn claimed_by(&self, side: Side) -> Option<Split> {
        let first = self.opening.filter(|opening| opening.by == side);
        let second = self.answer.filter(|answer| answer.by == side && self.claims);
        first.or(second).map(|opening| opening.claim)
    }

    /// An arbiter of the binding decided; whether that is news. A majority for one division is an award, and stands; where
    /// changes crossed, which one does may still turn out ([`Awards::standing`]). It is kept, and counts only once this side
    /// knows that one of the two asked the arbiters: nobody else makes them judges of this money.
    pub fn decide(&mut self, decision: Decision) -> bool {
        let news = decision.split.divides(self.amount) && self.awards.hear(decision);
        if news {
            self.weigh();
        }
        news
    }

    fn weigh(&mut self) {
        self.decided = self.opening.and_then(|_| self.awards.standing(usize::from(self.majority)));
        if self.decided.is_some() {
            self.step(DisputeEvent::Award);
        }
    }

    /// Whether a division is one of what this escrow holds.
    pub fn is_divided_by(&self, split: Split) -> bool {
        split.divides(self.amount)
    }

    /// `award_by` passed; whether that changes anything.
    pub fn award_by_passed(&mut self) -> bool {
        self.step(DisputeEvent::AwardByPassed)
    }

    /// Keeps a frame that the other side signed, as it came over the stream, for the arbiters.
    pub fn keep(&mut self, frame: &[u8]) {
        let known = self.kept.iter().any(|kept| kept == frame);
        if !known && self.kept.len() < MAX_KEPT && frame.len() <= MAX_KEPT_BYTES {
            self.kept.push(frame.to_vec());
        }
    }

    /// Frames that the other side signed.
    pub fn kept(&self) -> &[Vec<u8>] {
        &self.kept
    }

    fn step(&mut self, event: DisputeEvent) -> bool {
        let next = self.state.on(event);
        self.state = next.unwrap_or(self.state);
        next.is_some()
    }

    /// Where it stands.
    pub const fn state(&self) -> DisputeState {
        self.state
    }

    /// Who opened it, once somebody has.
    pub const fn opening(&self) -> Option<&Opening> {
        self.opening.as_ref()
    }

    /// What a side gave its word for last.
    pub const fn released(&self, by: Side) -> Option<Split> {
        self.released[index(by)]
    }

    /// What each arbiter decided last.
    pub fn decisions(&self) -> &[Decision] {
        self.awards.last()
    }

    /// What can be settled: what the arbiters decided, else what both agree on.
    pub fn settles(&self) -> Option<Settles> {
        if let Some(split) = self.decided {
            return Some(Settles { split, awarded: true });
        }
        let [provider, consumer] = self.released;
        provider.filter(|split| consumer == Some(*split)).map(|split| Settles { split, awarded: false })
    }

    /// Why a provider owes nothing more for it, for people: money goes back to the consumer by an award, by what both agree on, or
    /// as soon as the consumer takes what the provider signed for.
    pub fn why_it_goes_back(&self) -> Option<&'static str> {
        let gives = |split: &Split| !split.to_consumer.is_zero();
        match self.settles().filter(|settles| gives(&settles.split)) {
            Some(Settles { awarded: true, .. }) => Some("the arbiters awarded money of this binding to the consumer"),
            Some(_) => Some("both sides signed for giving money of this binding back to the consumer"),
            None if self.released(Side::Provider).as_ref().is_some_and(gives) => {
                Some("the provider signed for giving money of this binding back to the consumer")
            }
            None => None,
        }
    }

    /// Whether this side signs for a division without arbiters: it gave its word, or it claims no more.
    pub fn concedes(&self, own: Side, split: Split, claims: Option<Split>) -> bool {
        let enough = claims.is_some_and(|claim| split.share(own) >= claim.share(own));
        split.divides(self.amount) && (enough || self.released[index(own)] == Some(split))
    }
}

const fn index(side: Side) -> usize {
    match side {
        Side::Provider => 0,
        Side::Consumer => 1,
    }
}

/// The other side.
pub const fn other(side: Side) -> Side {
    match side {
        Side::Provider => Side::Consumer,
        Side::Consumer => Side::Provider,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::binding::session::End;

    const AMOUNT: Stroops = Stroops::whole(20);

    fn split(to_provider: u32) -> Split {
        Split::of(AMOUNT, Stroops::whole(to_provider)).unwrap()
    }

    /// Each state with what each event makes of it; events that change nothing are left out.
    const TABLE: &str = "\
None: Agree → Released, Open → Opened
Released: Open → Opened, Award → Awarded
Opened: Agree → Released, Award → Awarded, AwardByPassed → Lapsed
Awarded:
Lapsed: Agree → Released, Award → Awarded
";

    #[test]
    fn every_state_and_event_is_as_the_table_says() {
        let mut table = String::new();
        for state in DisputeState::ALL {
            let moves: Vec<String> = DisputeEvent::ALL
                .into_iter()
                .filter_map(|event| Some(format!(" {event:?} → {:?}", state.on(event)?)))
                .collect();
            table += &format!("{state:?}:{}\n", moves.join(","));
        }
        assert_eq!(table, TABLE);
    }

    fn decision(arbiter: u8, number: u32, to_provider: u32) -> Decision {
        let arbiter = ServingKey::from_bytes([arbiter; 32]);
        Decision { arbiter, number, split: split(to_provider), note: Note::new("") }
    }

    fn opening(by: Side) -> Opening {
        Opening { by, at: Timestamp::from_secs(1), claim: Split::all_to(by, AMOUNT) }
    }

    #[test]
    fn a_majority_for_the_same_division_is_an_award_and_fewer_are_none() {
        for arbiters in [1usize, 3, 5, 7, 9] {
            let mut record = DisputeRecord::new(AMOUNT, arbiters);
            assert!(record.open(opening(Side::Provider)));
            for n in 0..arbiters.div_ceil(2) - 1 {
                assert!(record.decide(decision(n as u8, 1, 15)));
                assert_eq!((record.state(), record.settles()), (DisputeState::Opened, None), "{n} of {arbiters}");
            }
            assert!(record.decide(decision(100, 1, 5)), "another's opinion doesn't count for it");
            assert!(record.decide(decision(101, 1, 15)));
            let expected = if arbiters == 1 { 5 } else { 15 };
            assert_eq!(record.settles(), Some(Settles { split: split(expected), awarded: true }));
            assert_eq!(record.state(), DisputeState::Awarded);
        }
    }

    #[test]
    fn an_arbiter_counts_once_and_its_newest_word_rules() {
        let mut record = DisputeRecord::new(AMOUNT, 3);
        assert!(record.open(opening(Side::Consumer)));
        assert!(record.decide(decision(1, 1, 15)));
        assert!(!record.decide(decision(1, 1, 15)), "twice");
        assert!(record.decide(decision(1, 2, 5)));
        assert!(!record.decide(decision(1, 1, 15)), "late");
        assert_eq!((record.settles(), record.decisions()[0].split), (None, split(5)));
        assert!(record.decide(decision(2, 1, 5)));
        assert_eq!(record.settles().map(|s| s.split), Some(split(5)));
        record.decide(decision(3, 3, 15));
        record.decide(decision(1, 3, 15));
        assert_eq!(record.settles().map(|s| s.split), Some(split(5)), "an award stands");
    }

    #[test]
    fn an_award_that_crossed_others_stands_for_both_sides_whichever_they_heard_first() {
        let crossed = [decision(1, 1, 20), decision(2, 1, 0), decision(1, 2, 0), decision(2, 2, 20)];
        let settles = |order: [usize; 4]| {
            let mut record = DisputeRecord::new(AMOUNT, 3);
            record.open(opening(Side::Consumer));
            for i in order {
                record.decide(crossed[i].clone());
            }
            (record.state(), record.settles())
        };
        let stands = (DisputeState::Awarded, Some(Settles { split: split(20), awarded: true }));
        assert_eq!([settles([0, 1, 2, 3]), settles([1, 0, 3, 2]), settles([0, 3, 1, 2])], [stands; 3]);
    }

    #[test]
    fn what_arbiters_say_of_an_escrow_counts_once_a_side_asked_them_and_never_before() {
        let award = Some(Settles { split: split(5), awarded: true });
        for arbiters in [1usize, 3, 9] {
            for by in [Side::Provider, Side::Consumer] {
                let mut record = DisputeRecord::new(AMOUNT, arbiters);
                for n in 0..arbiters {
                    assert!(record.decide(decision(n as u8, 1, 5)));
                    assert_eq!((record.state(), record.settles()), (DisputeState::None, None), "{n} of {arbiters}");
                }
                let mut agreed = record.clone();
                assert!(agreed.release(Side::Consumer, split(20), Side::Provider, Some(split(20))));
                agreed.decide(decision(0, 2, 5));
                assert_eq!(agreed.settles(), Some(Settles { split: split(20), awarded: false }));
                assert_eq!(agreed.state(), DisputeState::Released);
                for mut record in [record, agreed] {
                    assert!(record.open(opening(by)));
                    assert_eq!((record.state(), record.settles()), (DisputeState::Awarded, award));
                }
            }
        }
    }

    #[test]
    fn the_losers_protest_changes_nothing() {
        let mut record = DisputeRecord::new(AMOUNT, 1);
        record.open(opening(Side::Provider));
        record.decide(decision(1, 1, 15));
        let awarded = record.clone();
        assert!(!record.open(opening(Side::Consumer)));
        assert!(!record.award_by_passed());
        record.release(Side::Consumer, split(0), Side::Provider, Some(split(20)));
        assert_eq!((record.state(), record.settles()), (awarded.state(), awarded.settles()));
    }

    #[test]
    fn a_word_that_gives_all_that_is_claimed_is_an_agreement_and_less_is_an_offer() {
        let claims = Some(split(20));
        let mut provider = DisputeRecord::new(AMOUNT, 1);
        assert!(provider.release(Side::Consumer, split(12), Side::Provider, claims));
        assert_eq!((provider.state(), provider.settles()), (DisputeState::None, None), "less than claimed");
        assert!(provider.release(Side::Provider, split(12), Side::Provider, claims), "its owner takes it");
        assert_eq!(provider.settles(), Some(Settles { split: split(12), awarded: false }));
        let mut all = DisputeRecord::new(AMOUNT, 1);
        assert!(all.release(Side::Consumer, split(20), Side::Provider, claims));
        assert!(!all.release(Side::Consumer, split(20), Side::Provider, claims), "twice");
        assert_eq!((all.state(), all.settles().map(|s| s.split)), (DisputeState::Released, claims));
        let mut wrong = DisputeRecord::new(AMOUNT, 1);
        let more = Split { to_provider: Stroops::whole(21), to_consumer: Stroops::ZERO };
        assert!(!wrong.release(Side::Consumer, more, Side::Provider, claims));
        assert_eq!(wrong.settles(), None);
    }

    #[test]
    fn who_released_and_falls_silent_can_still_be_taken_to_the_arbiters() {
        let mut record = DisputeRecord::new(AMOUNT, 1);
        record.release(Side::Consumer, split(20), Side::Provider, Some(split(20)));
        assert!(record.open(opening(Side::Provider)));
        assert_eq!(record.state(), DisputeState::Opened);
        assert_eq!(record.settles().map(|s| s.awarded), Some(false), "what both agreed on can still be signed");
        assert!(record.award_by_passed());
        assert!(record.decide(decision(1, 1, 20)), "late, and before T all the same");
        assert_eq!(record.settles().map(|s| s.awarded), Some(true));
    }

    #[test]
    fn frames_are_kept_once_and_within_bounds() {
        let mut record = DisputeRecord::new(AMOUNT, 1);
        for n in 0..20 {
            record.keep(&[n; 10]);
            record.keep(&[n; 10]);
        }
        record.keep(&[99; MAX_KEPT_BYTES + 1]);
        assert_eq!(record.kept().len(), MAX_KEPT);
        assert_eq!(record.kept()[7], [7; 10]);
    }

    #[test]
    fn each_side_concedes_what_it_does_not_claim_and_what_it_gave_its_word_for() {
        let record = DisputeRecord::new(AMOUNT, 1);
        let (all, nothing) = (split(20), split(0));
        assert!(record.concedes(Side::Consumer, all, Some(all)), "the consumer's own rule holds");
        assert!(!record.concedes(Side::Consumer, all, Some(nothing)));
        assert!(!record.concedes(Side::Consumer, all, None), "it can't tell");
        assert!(record.concedes(Side::Provider, nothing, Some(nothing)));
        assert!(!record.concedes(Side::Provider, split(15), Some(all)));
        let mut record = record;
        record.release(Side::Consumer, split(15), Side::Consumer, None);
        assert!(record.concedes(Side::Consumer, split(15), None));
        assert!(!record.concedes(Side::Consumer, split(16), None));
    }

    #[test]
    fn what_a_provider_earned_follows_from_the_end_of_the_session() {
        for end in End::ALL {
            let all = if end.earned() { split(20) } else { split(0) };
            assert_eq!(earned(Session::Ended(end), AMOUNT), Some(all), "{end:?}");
        }
        for session in Session::all().filter(|s| s.end().is_none()) {
            assert_eq!(earned(session, AMOUNT), None);
        }
    }
}
