//! Who may do what next in an exchange, by what the ledger shows; each refusal has a stable code.

use core::fmt;

use crate::account::AccountId;
use crate::amount::Stroops;
use crate::community::Terms;
use crate::community::chain::{Asked, Chain, Held, Make, Payment, Take};
use crate::community::shape::{From, MakeKind};
use crate::message::TxHash;
use crate::refusal::rules;
use crate::time::Timestamp;

rules! {
    /// Why a step of a help exchange was refused.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    CommunityCode {
        UnknownExchange = "unknown-exchange", Author, "No such help exchange is known here.", "name it as CODE:ISSUER; `community list` shows those that agents offer";
        IssuerNotAccepted = "issuer-not-accepted", Author, "The issuer can take the exchange's asset back, and isn't accepted by name.", "put the asset into `assets` of the configuration if that issuer is to be trusted with it";
        NotAMember = "not-a-member", Author, "The account hasn't joined the exchange, or has left it.", "join it first";
        AlreadyAMember = "already-a-member", Author, "The account has joined the exchange already.", "nothing to do";
        JoinRefused = "join-refused", Nobody, "The exchange's agent doesn't let the account in.", "ask whoever runs the exchange";
        WrongAgent = "wrong-agent", Author, "Another account than the one that was named runs the exchange here, or none does.", "name the agent with `--agent`, as somebody you trust has told you";
        AgentUnreachable = "agent-unreachable", Nobody, "The exchange's agent can't be reached.", "try again when its node runs";
        NoSuchMake = "no-such-make", Author, "The ledger shows no such offer or request in this exchange.", "see `community show` for what stands";
        NoSuchTake = "no-such-take", Author, "The ledger shows no such take in this exchange.", "see `community show` for what stands";
        MakeOver = "make-over", Author, "The offer or request is past its validity, or was taken back.", "take another one";
        OwnMake = "own-make", Author, "The offer or request is one's own.", "take somebody else's";
        NotTheMaker = "not-the-maker", Author, "Only the maker can claim or grant what was taken of its own.", "leave it to the maker";
        WrongKind = "wrong-kind-of-make", Author, "A take of an offer is claimed, a take of a request is granted.", "use the other command";
        TakeOver = "take-over", Nobody, "The take went back to its taker, or is past its validity.", "wait for another take";
        AlreadyClaimed = "already-claimed", Author, "The take was claimed before.", "nothing to do";
        WrongAmount = "wrong-amount", Author, "The ledger shows another amount than the one that was asked for.", "leave it unclaimed, so that its owner takes it back";
        NotPaid = "not-paid", Author, "The take was never claimed, so nothing was paid.", "reclaim the take where it is one's own";
        NotThePayer = "not-the-payer", Author, "Only the payer can ask for a payment back.", "leave it to the payer";
        NotThePayee = "not-the-payee", Author, "Only whom was paid can have it converted.", "leave it to the payee";
        AlreadyRepaid = "already-repaid", Author, "The payment was taken back before, or that is asked for already.", "nothing to do";
        AlreadyConverted = "already-converted", Author, "The payment was converted before, or that is asked for already.", "nothing to do";
        RepaymentAsked = "repayment-asked", Nobody, "The payer has asked in time for the payment back.", "wait for the issuer's answer";
        TooLate = "too-late", Author, "The exchange's window for it is over.", "be earlier next time";
        NothingToReclaim = "nothing-to-reclaim", Author, "No such balance of one's own stands.", "see `community show` for what stands";
        AssetShort = "asset-short", Author, "The account holds less of an asset than the step takes.", "wait until more of it comes in";
        StillStanding = "still-standing", Nobody, "The account still has balances, bonds or entries that must return first.", "reclaim what the error names, and withdraw offerings until their bonds are back";
        NotYetSeen = "not-yet-seen", Nobody, "The ledger hasn't been followed up to now.", "try again shortly";
        NoRole = "no-role", Author, "The node has no role in an exchange by its configuration.", "set `community.role` in it";
        DearerThanSaid = "dearer-than-said", Author, "The offer costs more than the command allows.", "look at it again, and take it for what it costs now";
        TakeInstead = "take-instead", Author, "It is an offer or request of a help exchange, which isn't bound.", "use `community take` instead";
    }
}

/// A refusal with what exactly was wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct CommunityRefusal {
    /// Which rule.
    pub code: CommunityCode,
    /// What exactly, in a sentence.
    pub detail: String,
}

impl CommunityRefusal {
    /// A refusal with its detail.
    pub fn new(code: CommunityCode, detail: impl fmt::Display) -> Self {
        Self { code, detail: detail.to_string() }
    }
}

fn no<T>(code: CommunityCode, detail: impl fmt::Display) -> Result<T, CommunityRefusal> {
    Err(CommunityRefusal::new(code, detail))
}

/// What the ledger shows of an exchange, as somebody looks at it.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// What was agreed to.
    pub terms: &'a Terms,
    /// What the ledger has shown.
    pub chain: &'a Chain,
    /// When its newest ledger closed.
    pub now: Timestamp,
}

impl<'a> Look<'a> {
    /// Whether somebody is a member.
    ///
    /// # Errors
    /// [`CommunityCode::NotAMember`].
    pub fn member(&self, who: AccountId) -> Result<(), CommunityRefusal> {
        if self.chain.is_member(who) {
            return Ok(());
        }
        no(CommunityCode::NotAMember, format_args!("{who} is no member of this help exchange"))
    }

    /// Whether somebody may take a make.
    ///
    /// # Errors
    /// [`CommunityRefusal`].
    pub fn may_take(&self, make: TxHash, who: AccountId) -> Result<&'a Make, CommunityRefusal> {
        self.member(who)?;
        let Some(make) = self.chain.make_of(make) else {
            return no(CommunityCode::NoSuchMake, format_args!("the ledger shows no offer or request {make}"));
        };
        if make.maker == who {
            return no(CommunityCode::OwnMake, "it is your own: somebody else takes it");
        }
        if let Some(end) = make.ends().filter(|end| self.now >= *end) {
            return no(CommunityCode::MakeOver, format_args!("it stood until {end} and no longer does"));
        }
        if !self.chain.stands(make.balance) {
            return no(CommunityCode::MakeOver, "its maker has taken it back");
        }
        Ok(make)
    }

    /// Whether the maker may claim a take of an offer for this price, or grant one of a request.
    ///
    /// # Errors
    /// [`CommunityRefusal`].
    pub fn may_claim(
        &self,
        take: TxHash,
        who: AccountId,
        kind: MakeKind,
        price: Stroops,
    ) -> Result<&'a Take, CommunityRefusal> {
        let found = self.chain.take_of(take).and_then(|take| Some((take, self.chain.make_of(take.make)?)));
        let Some((take, make)) = found else {
            return no(CommunityCode::NoSuchTake, format_args!("the ledger shows no take {take}"));
        };
        if make.maker != who {
            return no(CommunityCode::NotTheMaker, format_args!("what was taken is {}'s", make.maker));
        }
        if make.kind != kind {
            let what = match make.kind {
                MakeKind::Offer => "an offer was taken: claim it",
                MakeKind::Request => "a request was taken: grant it",
            };
            return no(CommunityCode::WrongKind, what);
        }
        if take.paid_by.is_some() {
            return no(CommunityCode::AlreadyClaimed, "it was claimed before");
        }
        if !self.chain.stands(take.balance) {
            return no(CommunityCode::TakeOver, "its taker has taken it back before it was claimed");
        }
        let ends = take.at.close_time.plus(core::time::Duration::from_secs(take.validity));
        if take.validity > 0 && self.now >= ends {
            return no(CommunityCode::TakeOver, format_args!("it could be claimed until {ends} and no longer can"));
        }
        let wanted = match kind {
            MakeKind::Offer => price.plus(self.terms.fee).unwrap_or(Stroops::MAX),
            MakeKind::Request => self.terms.fee,
        };
        if take.amount != wanted {
            let (asked, locked) = (wanted.coins(), take.amount.coins());
            return no(CommunityCode::WrongAmount, format_args!("it locks {locked} where {asked} was asked for"));
        }
        Ok(take)
    }

    /// The payment that a transaction stands for.
    fn payment(&self, hash: TxHash) -> Result<&'a Payment, CommunityRefusal> {
        match self.chain.payment_of(hash) {
            Some(payment) => Ok(payment),
            None if self.chain.take_of(hash).is_some() => {
                no(CommunityCode::NotPaid, "the take was never claimed, so nothing was paid for it")
            }
            None => no(CommunityCode::NoSuchTake, format_args!("the ledger shows no take or grant {hash}")),
        }
    }

    /// Whether somebody may ask for a payment back.
    ///
    /// # Errors
    /// [`CommunityRefusal`].
    pub fn may_repay(&self, payment: TxHash, who: AccountId) -> Result<&'a Payment, CommunityRefusal> {
        let payment = self.payment(payment)?;
        if payment.payer != who {
            return no(
                CommunityCode::NotThePayer,
                format_args!("{} paid it, and nobody else gets it back", payment.payer),
            );
        }
        self.not_settled(payment)?;
        if self.waiting_repayment(payment).is_some() {
            return no(CommunityCode::AlreadyRepaid, "that was asked for already, and the issuer hasn't answered yet");
        }
        let until = payment.repay_by(self.terms);
        if self.now > until {
            return no(CommunityCode::TooLate, format_args!("it could be asked for back until {until}"));
        }
        Ok(payment)
    }

    /// Whether somebody may have a payment converted.
    ///
    /// # Errors
    /// [`CommunityRefusal`].
    pub fn may_convert(&self, payment: TxHash, who: AccountId) -> Result<&'a Payment, CommunityRefusal> {
        let payment = self.payment(payment)?;
        if payment.payee != who {
            return no(CommunityCode::NotThePayee, format_args!("{} was paid, and nobody else", payment.payee));
        }
        self.not_settled(payment)?;
        if self.chain.conversions_of(payment.hash).any(|asked| self.is_right(payment, asked)) {
            return no(
                CommunityCode::AlreadyConverted,
                "that was asked for already, and the agent hasn't answered yet",
            );
        }
        if self.waiting_repayment(payment).is_some() {
            return no(CommunityCode::RepaymentAsked, "its payer has asked for it back in time");
        }
        if let Some(until) = payment.convert_by(self.terms).filter(|until| self.now > *until) {
            return no(CommunityCode::TooLate, format_args!("it could be converted until {until}"));
        }
        Ok(payment)
    }

    fn not_settled(&self, payment: &Payment) -> Result<(), CommunityRefusal> {
        match (payment.repaid, payment.converted) {
            (Some(by), _) => no(CommunityCode::AlreadyRepaid, format_args!("{by} took it back")),
            (_, Some(by)) => no(CommunityCode::AlreadyConverted, format_args!("{by} converted it")),
            (None, None) => Ok(()),
        }
    }

    /// What of somebody's own returns when it is asked for: what one transaction locked, or everything.
    ///
    /// # Errors
    /// [`CommunityCode::NothingToReclaim`] where there is nothing.
    pub fn may_reclaim(&self, of: Option<TxHash>, who: AccountId) -> Result<Vec<&'a Held>, CommunityRefusal> {
        let standing = self.chain.standing_of(who).filter(|held| held.returns && of.is_none_or(|of| held.by == of));
        let standing: Vec<&Held> = standing.collect();
        match (standing.is_empty(), of) {
            (false, _) => Ok(standing),
            (true, None) => no(CommunityCode::NothingToReclaim, "nothing of yours stands in this help exchange"),
            (true, Some(of)) => no(CommunityCode::NothingToReclaim, format_args!("nothing of yours stands by {of}")),
        }
    }

    /// Whether a conversion is by the payee, of the very amount, and stands.
    fn is_right(&self, payment: &Payment, asked: &Asked) -> bool {
        asked.by == payment.payee && asked.amount == payment.amount && self.chain.stands(asked.balance)
    }

    /// A repayment that the payer asked for in time and that waits for the issuer.
    ///
    /// It waits whether or not the payer takes back the fee by which it asked: were it withdrawn with that, the agent
    /// could convert what the issuer is taking back at that very moment.
    pub fn waiting_repayment(&self, payment: &Payment) -> Option<&'a Asked> {
        let in_time = |asked: &&Asked| {
            asked.by == payment.payer && asked.at >= payment.at && asked.at.close_time <= payment.repay_by(self.terms)
        };
        let open = payment.repaid.is_none() && payment.converted.is_none();
        self.chain.repayments_of(payment.hash).find(in_time).filter(|_| open)
    }

    /// The conversion that the agent owes an answer, once nobody can ask for the payment back any more.
    pub fn due_conversion(&self, payment: &Payment) -> Option<&'a Asked> {
        let open = payment.repaid.is_none() && payment.converted.is_none();
        let over = self.now > payment.repay_by(self.terms);
        let in_time = |asked: &&Asked| payment.convert_by(self.terms).is_none_or(|by| asked.at.close_time <= by);
        if !open || !over || self.waiting_repayment(payment).is_some() {
            return None;
        }
        self.chain.conversions_of(payment.hash).filter(in_time).find(|asked| self.is_right(payment, asked))
    }

    /// From where the issuer takes back a payment that its payer asked for: out of what the payee holds, else out of the
    /// balance in which the payee wanted it converted. `None` where both are less than the amount.
    pub fn repaid_from(&self, payment: &Payment, payee_holds: Stroops) -> Option<From> {
        self.waiting_repayment(payment)?;
        if payee_holds >= payment.amount {
            return Some(From::Holdings(payment.payee));
        }
        let conversion = self.chain.conversions_of(payment.hash).find(|asked| self.is_right(payment, asked));
        conversion.map(|asked| From::Conversion(asked.balance))
    }
}
