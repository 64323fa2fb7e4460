use super::*;
use crate::asset::Asset;
use crate::community::role::{Holdings, Role, RoleSettings};
use crate::community::rules::{CommunityCode, Look};
use crate::community::tests::{account, terms};
use crate::stellar::{Memo, Operation, operation};

/// A ledger in the making: each transaction is in one of its own.
pub(crate) struct Story {
    pub(crate) terms: Terms,
    pub(crate) chain: Chain,
    pub(crate) now: Timestamp,
    sequence: u32,
}

const ANN: u8 = 10;
const BEN: u8 = 11;
const CYN: u8 = 12;
const SNAPPER: &str = "Freshly caught red snapper 4 lb. HEXA 800";

fn hash(n: u32) -> TxHash {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    TxHash::from_bytes(bytes)
}

impl Story {
    fn new() -> Self {
        Self { terms: terms(), chain: Chain::default(), now: Timestamp::from_secs(1_000), sequence: 100 }
    }

    fn tell(&mut self, who: AccountId, memo: Memo, operations: Vec<Operation>) -> TxHash {
        self.sequence += 1;
        self.now = self.now.plus(core::time::Duration::from_secs(1));
        let tx = Included {
            hash: hash(self.sequence),
            at: LedgerPoint::new(self.sequence, self.now),
            source: who,
            sequence: i64::from(self.sequence),
            memo,
            operations,
        };
        self.chain.take_in(&self.terms, &tx);
        tx.hash
    }

    fn look(&self) -> Look<'_> {
        Look { terms: &self.terms, chain: &self.chain, now: self.now }
    }

    fn join(&mut self, who: u8) {
        let operations = shape::join(&self.terms, account(who)).unwrap();
        self.tell(account(who), Memo::None, operations);
    }

    fn make(&mut self, who: u8, kind: MakeKind, text: &str) -> TxHash {
        let operations = shape::make(&self.terms, account(who), 300, text).unwrap();
        self.tell(account(who), shape::make_memo(kind, 300), operations)
    }

    fn take(&mut self, who: u8, make: TxHash, amount: Stroops) -> TxHash {
        let maker = self.chain.make_of(make).unwrap().maker;
        let operations = shape::take(&self.terms, account(who), maker, 300, amount).unwrap();
        self.tell(account(who), shape::naming(make), operations)
    }

    fn repay(&mut self, who: u8, payment: TxHash) -> TxHash {
        let operations = shape::repay(&self.terms, account(who)).unwrap();
        self.tell(account(who), shape::naming(payment), operations)
    }

    fn convert(&mut self, who: u8, payment: TxHash, amount: Stroops) -> TxHash {
        let operations = shape::convert(&self.terms, account(who), amount).unwrap();
        self.tell(account(who), shape::naming(payment), operations)
    }

    /// Ben's offer, taken by Cyn and claimed, and Ann's request, taken by Cyn and granted: the two paying transactions.
    fn paid() -> (Self, TxHash, TxHash) {
        let mut story = Self::new();
        for who in [ANN, BEN, CYN] {
            story.join(who);
        }
        let fee = story.terms.fee;
        let offer = story.make(BEN, MakeKind::Offer, SNAPPER);
        let request = story.make(ANN, MakeKind::Request, "Help with the harvest");
        let take = story.take(CYN, offer, Stroops::whole(800).plus(fee).unwrap());
        let other = story.take(CYN, request, fee);
        let balance = |story: &Self, take| story.chain.take_of(take).unwrap().balance;
        let claim = shape::claim(balance(&story, take));
        story.tell(account(BEN), shape::naming(take), claim);
        let grant =
            shape::grant(&story.terms, balance(&story, other), account(CYN), Stroops::whole(1_000).plus(fee).unwrap());
        let grant = story.tell(account(ANN), shape::naming(other), grant);
        (story, take, grant)
    }

    fn roles(&self) -> [RoleSettings; 2] {
        [Role::Issuer { issue: Stroops::whole(1) }, Role::Agent { members: None }]
            .map(|role| RoleSettings { role, terms: self.terms.clone() })
    }

    fn holdings(&self, who: u8, amount: Stroops) -> Holdings {
        Holdings::from([((account(who), self.terms.clawable.clone()), amount)])
    }
}

fn code<T: core::fmt::Debug>(result: Result<T, crate::community::rules::CommunityRefusal>) -> CommunityCode {
    result.unwrap_err().code
}

#[test]
fn who_paid_whom_is_read_from_what_was_done_and_every_memo_leads_back() {
    let (story, take, grant) = Story::paid();
    let chain = &story.chain;
    assert_eq!(chain.makes().map(|m| m.description.as_str()).max().unwrap(), "Help with the harvest");
    let (sold, granted) = (chain.payment_of(take).unwrap(), chain.payment_of(grant).unwrap());
    assert_eq!((sold.payer, sold.payee, sold.amount), (account(CYN), account(BEN), Stroops::whole(800)));
    assert_eq!((granted.payer, granted.payee, granted.amount), (account(ANN), account(CYN), Stroops::whole(1_000)));
    let root = chain.root_of(grant).unwrap();
    assert_eq!(root.kind, LinkKind::Make(MakeKind::Request));
    let path: Vec<LinkKind> = chain.links().iter().map(|link| link.kind).skip(3).collect();
    let (make, take) = (LinkKind::Make, LinkKind::Take);
    assert_eq!(path, [make(MakeKind::Offer), make(MakeKind::Request), take, take, LinkKind::Claim, LinkKind::Grant]);
    assert_eq!(chain.members().count(), 3);
}

#[test]
fn the_same_transaction_twice_changes_nothing() {
    let (mut story, take, _) = Story::paid();
    let links = story.chain.links().len();
    story.sequence -= 2;
    let claim = shape::claim(story.chain.take_of(take).unwrap().balance);
    story.tell(account(BEN), shape::naming(take), claim);
    assert_eq!(story.chain.links().len(), links);
}

#[test]
fn c24_a_repay_for_an_unclaimed_take_by_someone_else_or_twice_is_refused() {
    let (mut story, take, grant) = Story::paid();
    let fee = story.terms.fee;
    let offer = story.make(BEN, MakeKind::Offer, "bread");
    let unclaimed = story.take(CYN, offer, Stroops::whole(5).plus(fee).unwrap());
    assert_eq!(code(story.look().may_repay(unclaimed, account(CYN))), CommunityCode::NotPaid);
    assert_eq!(code(story.look().may_repay(grant, account(BEN))), CommunityCode::NotThePayer);
    assert!(story.look().may_repay(take, account(CYN)).is_ok());
    // Whoever asks all the same, past its own node's rules, gets nothing of the issuer.
    let [issuer, _] = story.roles();
    let rich = story.holdings(CYN, Stroops::whole(9_000));
    story.repay(CYN, unclaimed);
    story.repay(BEN, grant);
    assert_eq!(issuer.owed(&story.look(), &rich).len(), 0);
    story.repay(ANN, grant);
    assert_eq!(code(story.look().may_repay(grant, account(ANN))), CommunityCode::AlreadyRepaid);
    let due = issuer.owed(&story.look(), &rich);
    assert_eq!(due.len(), 1);
    let payment = story.chain.payment_of(grant).unwrap().clone();
    let answer = shape::repaid(&story.terms, shape::From::Holdings(payment.payee), payment.payer, payment.amount);
    story.tell(story.terms.issuer(), shape::naming(grant), answer);
    assert_eq!(code(story.look().may_repay(grant, account(ANN))), CommunityCode::AlreadyRepaid);
    story.repay(ANN, grant);
    assert!(issuer.owed(&story.look(), &rich).is_empty(), "once");
}

#[test]
fn a_repay_comes_before_the_conversion_and_in_time() {
    let (mut story, take, grant) = Story::paid();
    let [issuer, agent] = story.roles();
    story.convert(BEN, take, Stroops::whole(800));
    story.convert(CYN, grant, Stroops::whole(1_000));
    assert!(agent.owed(&story.look(), &Holdings::new()).is_empty(), "its payer may still ask for it back");
    story.repay(ANN, grant);
    // The payee has nothing left but what it wanted converted: that is where it comes from.
    let due = issuer.owed(&story.look(), &Holdings::new());
    assert_eq!(due.len(), 1);
    story.now = story.now.plus(core::time::Duration::from_secs(story.terms.repay_secs));
    let due = agent.owed(&story.look(), &Holdings::new());
    assert_eq!(due.len(), 1, "Ben's, and not the one that was asked back: {due:?}");
    assert_eq!(code(story.look().may_repay(take, account(CYN))), CommunityCode::TooLate);
    let payment = story.chain.payment_of(take).unwrap().clone();
    let asked = story.look().due_conversion(&payment).unwrap().balance;
    let answer = shape::converted(&story.terms, asked, payment.payee, payment.amount);
    story.tell(story.terms.agent, shape::naming(take), answer);
    assert!(agent.owed(&story.look(), &Holdings::new()).is_empty());
    assert_eq!(code(story.look().may_convert(take, account(BEN))), CommunityCode::AlreadyConverted);
}

#[test]
fn a_payee_with_less_than_the_amount_is_left_alone() {
    let (mut story, _, grant) = Story::paid();
    let [issuer, _] = story.roles();
    story.repay(ANN, grant);
    assert_eq!(issuer.wants(&story.look(), 0).len(), 3, "the agent's two trustlines, and the payee's");
    let just_short = Stroops::new(Stroops::whole(1_000).get() - 1).unwrap();
    assert!(issuer.owed(&story.look(), &story.holdings(CYN, just_short)).is_empty());
    assert_eq!(issuer.owed(&story.look(), &story.holdings(CYN, Stroops::whole(1_000))).len(), 1);
}

#[test]
fn a_conversion_by_another_of_another_amount_or_too_late_is_not_due() {
    let (mut story, take, grant) = Story::paid();
    let [_, agent] = story.roles();
    story.convert(CYN, take, Stroops::whole(800));
    story.convert(BEN, take, Stroops::whole(801));
    assert_eq!(code(story.look().may_convert(take, account(CYN))), CommunityCode::NotThePayee);
    let later = story.terms.repay_secs + story.terms.convert_secs;
    story.now = story.now.plus(core::time::Duration::from_secs(later));
    assert_eq!(code(story.look().may_convert(grant, account(CYN))), CommunityCode::TooLate);
    story.convert(CYN, grant, Stroops::whole(1_000));
    assert!(agent.owed(&story.look(), &Holdings::new()).is_empty());
}

#[test]
fn a_take_that_went_back_is_not_claimed_and_a_make_past_its_validity_is_not_taken() {
    let mut story = Story::new();
    for who in [ANN, BEN, CYN] {
        story.join(who);
    }
    let offer = story.make(BEN, MakeKind::Offer, SNAPPER);
    let price = Stroops::whole(800);
    let take = story.take(CYN, offer, price.plus(story.terms.fee).unwrap());
    assert_eq!(code(story.look().may_claim(take, account(ANN), MakeKind::Offer, price)), CommunityCode::NotTheMaker);
    assert_eq!(code(story.look().may_claim(take, account(BEN), MakeKind::Request, price)), CommunityCode::WrongKind);
    let less = Stroops::whole(799);
    assert_eq!(code(story.look().may_claim(take, account(BEN), MakeKind::Offer, less)), CommunityCode::WrongAmount);
    assert!(story.look().may_claim(take, account(BEN), MakeKind::Offer, price).is_ok());
    let back = vec![operation::claim(story.chain.take_of(take).unwrap().balance)];
    story.tell(account(CYN), Memo::None, back);
    assert_eq!(code(story.look().may_claim(take, account(BEN), MakeKind::Offer, price)), CommunityCode::TakeOver);
    assert_eq!(story.chain.links().last().unwrap().kind, LinkKind::Reclaim);
    assert_eq!(code(story.look().may_take(offer, account(BEN))), CommunityCode::OwnMake);
    assert!(story.look().may_take(offer, account(CYN)).is_ok());
    story.now = story.chain.make_of(offer).unwrap().ends().unwrap();
    assert_eq!(code(story.look().may_take(offer, account(CYN))), CommunityCode::MakeOver);
    let late = story.take(CYN, offer, price.plus(story.terms.fee).unwrap());
    assert!(story.chain.take_of(late).is_none(), "and the ledger's word on it is no link");
    assert_eq!(story.chain.standing_of(account(CYN)).count(), 1, "yet it returns to its owner");
}

#[test]
fn what_is_not_of_the_exchanges_shape_is_no_link() {
    let mut story = Story::new();
    for who in [BEN, CYN] {
        story.join(who);
    }
    let links = story.chain.links().len();
    let other = Asset::issued("OTHER", account(1)).unwrap();
    let wrong = Terms { plain: other, ..story.terms.clone() };
    let fake = shape::make(&wrong, account(BEN), 300, "x").unwrap();
    story.tell(account(BEN), shape::make_memo(MakeKind::Offer, 300), fake);
    let dear = Terms { fee: Stroops::whole(1), ..story.terms.clone() };
    let fake = shape::make(&dear, account(BEN), 300, "x").unwrap();
    story.tell(account(BEN), shape::make_memo(MakeKind::Offer, 300), fake);
    let other_validity = shape::make(&story.terms, account(BEN), 301, "x").unwrap();
    story.tell(account(BEN), shape::make_memo(MakeKind::Offer, 300), other_validity);
    let stray = shape::repay(&story.terms, account(CYN)).unwrap();
    story.tell(account(CYN), shape::naming(hash(7)), stray);
    assert_eq!(story.chain.links().len(), links);
    story.tell(
        account(CYN),
        Memo::None,
        shape::leave(&story.terms, (Stroops::ZERO, Stroops::ZERO), (account(3), account(3)), None).unwrap(),
    );
    assert!(!story.chain.is_member(account(CYN)) && story.chain.has_joined(account(CYN)));
    assert_eq!(code(story.look().may_take(hash(1), account(CYN))), CommunityCode::NotAMember);
}

#[test]
fn a_payment_is_not_taken_back_and_converted_though_its_payer_takes_the_fee_back() {
    let (mut story, _, grant) = Story::paid();
    let [issuer, agent] = story.roles();
    let ask = story.repay(ANN, grant);
    story.convert(CYN, grant, Stroops::whole(1_000));
    let fee = story.chain.repayments_of(grant).next().unwrap().balance;
    // The issuer's answer may be on its way already; the fee goes back to Ann before it, and the window is over.
    story.tell(account(ANN), Memo::None, vec![operation::claim(fee)]);
    story.now = story.now.plus(core::time::Duration::from_secs(story.terms.repay_secs));
    assert!(agent.owed(&story.look(), &Holdings::new()).is_empty(), "it was asked for in time");
    assert_eq!(issuer.owed(&story.look(), &Holdings::new()).len(), 1, "and is answered");
    assert_eq!(code(story.look().may_convert(grant, account(CYN))), CommunityCode::AlreadyConverted);
    assert_eq!(code(story.look().may_repay(grant, account(ANN))), CommunityCode::AlreadyRepaid);
    assert!(story.chain.contains(ask));
}

#[test]
fn a_stranger_that_drops_its_trustlines_has_not_left_and_can_still_join() {
    let mut story = Story::new();
    let drops = shape::trust(&story.terms, Stroops::ZERO).unwrap();
    story.tell(account(BEN), Memo::None, drops.clone());
    assert!(!story.chain.has_joined(account(BEN)) && story.chain.links().is_empty());
    story.join(BEN);
    assert!(story.chain.is_member(account(BEN)));
    // A member leaves by whichever transaction its trustline goes, and once.
    let by = |operation| operation::by(account(BEN), operation);
    story.tell(account(CYN), Memo::None, drops.clone().into_iter().map(by).collect());
    let last = story.chain.links().last().unwrap();
    assert_eq!((last.kind, last.by, story.chain.is_member(account(BEN))), (LinkKind::Leave, account(BEN), false));
    let links = story.chain.links().len();
    story.tell(account(BEN), Memo::None, drops);
    assert_eq!(story.chain.links().len(), links);
}

#[test]
fn the_agent_is_given_what_it_gives_out_once_and_only_while_it_has_none() {
    let mut story = Story::new();
    let [issuer, _] = story.roles();
    let terms = story.terms.clone();
    let holds = |clawable, plain| {
        Holdings::from([
            ((terms.agent, terms.clawable.clone()), Stroops::whole(clawable)),
            ((terms.agent, terms.plain.clone()), Stroops::whole(plain)),
        ])
    };
    assert!(issuer.owed(&story.look(), &Holdings::new()).is_empty(), "it trusts neither");
    for some in [holds(1, 0), holds(0, 1), holds(7, 7)] {
        assert!(issuer.owed(&story.look(), &some).is_empty(), "it was given something, whatever is remembered");
    }
    assert_eq!(issuer.owed(&story.look(), &holds(0, 0)).len(), 1);
    // What the issuer pays to somebody else's agent, or pays back, is no endowment.
    let clawable = operation::pay(terms.agent, &terms.clawable, Stroops::whole(5));
    story.tell(terms.issuer(), Memo::None, vec![clawable.clone()]);
    assert!(!story.chain.is_endowed());
    let plain = operation::by(terms.plain_issuer(), operation::pay(terms.agent, &terms.plain, Stroops::whole(5)));
    story.tell(terms.issuer(), Memo::None, vec![clawable, plain]);
    assert!(story.chain.is_endowed());
    assert!(issuer.owed(&story.look(), &holds(0, 0)).is_empty());
}
