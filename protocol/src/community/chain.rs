//! What the ledger shows of an exchange, folded from its transactions in their order.
//!
//! Nothing is taken from texts: who paid whom and how much is what the operations did. A transaction that isn't one of the
//! exchange's shapes, or doesn't fit where its memo says it belongs, is no link; what it locks is still known, so that its
//! owner finds it again.

use std::collections::BTreeMap;

use crate::account::AccountId;
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::community::Terms;
use crate::community::included::Included;
use crate::community::shape::{self, Deed, Locked, MakeKind};
use crate::message::{BalanceId, TxHash};
use crate::stellar::LedgerPoint;
use crate::stellar::entry::BalanceClaimant;
use crate::stellar::predicate::Predicate;
use crate::time::Timestamp;

/// What one transaction is in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkKind {
    /// The issuer gives the agent what it gives out.
    Endowment,
    /// Someone joins.
    Join,
    /// Help is offered or wanted.
    Make(MakeKind),
    /// A make is taken.
    Take,
    /// The maker of an offer claims a take, and is paid.
    Claim,
    /// The maker of a request claims a take, and pays.
    Grant,
    /// What was paid is to be converted.
    Conversion,
    /// The agent converts it.
    Converted,
    /// The payer asks for what it paid.
    Repayment,
    /// The issuer takes it back.
    Repaid,
    /// A balance returns to its owner.
    Reclaim,
    /// Someone leaves.
    Leave,
}

impl LinkKind {
    /// The word for people and programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Endowment => "endowment",
            Self::Join => "join",
            Self::Make(kind) => kind.as_str(),
            Self::Take => "take",
            Self::Claim => "claim",
            Self::Grant => "grant",
            Self::Conversion => "convert",
            Self::Converted => "converted",
            Self::Repayment => "repay",
            Self::Repaid => "repaid",
            Self::Reclaim => "reclaim",
            Self::Leave => "leave",
        }
    }
}

/// One transaction of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its hash.
    pub hash: TxHash,
    /// In which ledger.
    pub at: LedgerPoint,
    /// Whose.
    pub by: AccountId,
    /// What it is.
    pub kind: LinkKind,
    /// The transaction before it in the chain.
    pub previous: Option<TxHash>,
    /// What it locks, pays or brings, where it is one amount.
    pub amount: Stroops,
    /// Whether that is of the asset that can be taken back.
    pub clawable: bool,
}

/// Help that is offered or wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Make {
    /// Its transaction.
    pub hash: TxHash,
    /// In which ledger.
    pub at: LedgerPoint,
    /// Whose.
    pub maker: AccountId,
    /// Which way help goes.
    pub kind: MakeKind,
    /// For how long it stands, seconds; for ever where 0.
    pub validity: u64,
    /// In words.
    pub description: String,
    /// Where its fee is.
    pub balance: BalanceId,
}

impl Make {
    /// When it no longer stands; never where there is no end.
    pub fn ends(&self) -> Option<Timestamp> {
        (self.validity > 0).then(|| self.at.close_time.plus(core::time::Duration::from_secs(self.validity)))
    }
}

/// A make that somebody takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Take {
    /// Its transaction.
    pub hash: TxHash,
    /// In which ledger.
    pub at: LedgerPoint,
    /// The make.
    pub make: TxHash,
    /// Who takes it.
    pub taker: AccountId,
    /// What it locks for the maker: an offer's price and the fee, or a request's fee alone.
    pub amount: Stroops,
    /// Where that is.
    pub balance: BalanceId,
    /// For how long the maker may claim it, seconds; for ever where 0.
    pub validity: u64,
    /// The claim or grant by which somebody was paid.
    pub paid_by: Option<TxHash>,
}

/// A payment for help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// The paying transaction, which what follows names: an offer's take, or a request's grant.
    pub hash: TxHash,
    /// The take that it is for.
    pub take: TxHash,
    /// When it was paid.
    pub at: LedgerPoint,
    /// Who paid.
    pub payer: AccountId,
    /// Who was paid.
    pub payee: AccountId,
    /// How much, the fee excluded.
    pub amount: Stroops,
    /// The agent's answer by which it was converted.
    pub converted: Option<TxHash>,
    /// The issuer's answer by which it was taken back.
    pub repaid: Option<TxHash>,
}

impl Payment {
    /// Until when its payer may ask for it back, and from when on it is converted.
    pub fn repay_by(&self, terms: &Terms) -> Timestamp {
        self.at.close_time.plus(core::time::Duration::from_secs(terms.repay_secs))
    }

    /// Until when it may be converted; for ever where the exchange has no such window.
    pub fn convert_by(&self, terms: &Terms) -> Option<Timestamp> {
        let window = core::time::Duration::from_secs(terms.convert_secs);
        (terms.convert_secs > 0).then(|| self.repay_by(terms).plus(window))
    }
}

/// What one asks of the agent or the issuer about a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its transaction.
    pub hash: TxHash,
    /// In which ledger.
    pub at: LedgerPoint,
    /// Who asks.
    pub by: AccountId,
    /// The paying transaction that it names.
    pub payment: TxHash,
    /// What it locks.
    pub amount: Stroops,
    /// Where that is.
    pub balance: BalanceId,
}

/// Something that a transaction locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Where.
    pub balance: BalanceId,
    /// By which transaction.
    pub by: TxHash,
    /// Whose it was.
    pub owner: AccountId,
    /// Whether it is of the asset that can be taken back.
    pub clawable: bool,
    /// How much.
    pub amount: Stroops,
    /// Whether its owner may take it at any time.
    pub returns: bool,
    /// The transaction that took it.
    pub gone: Option<TxHash>,
}

/// All of an exchange that the ledger has shown.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    links: Vec<Link>,
    places: BTreeMap<TxHash, usize>,
    makes: BTreeMap<TxHash, Make>,
    takes: BTreeMap<TxHash, Take>,
    payments: BTreeMap<TxHash, Payment>,
    /// By the paying transaction that they name.
    conversions: BTreeMap<TxHash, Vec<Asked>>,
    repayments: BTreeMap<TxHash, Vec<Asked>>,
    held: BTreeMap<BalanceId, Held>,
    members: BTreeMap<AccountId, bool>,
    endowed: bool,
}

/// What is kept of a transaction once it is known what it is.
type Known = (LinkKind, Option<TxHash>, Stroops, bool);

impl Chain {
    /// Takes a transaction in; again does no harm. Whether the exchange is concerned.
    pub fn take_in(&mut self, terms: &Terms, tx: &Included) -> bool {
        if self.places.contains_key(&tx.hash) {
            return true;
        }
        let deeds: Vec<(AccountId, Deed)> =
            tx.operations.iter().map(|op| (tx.source_of(op), shape::deed(op))).collect();
        let left = self.leavers(terms, &deeds);
        let known = match left {
            Some(_) => Some((LinkKind::Leave, None, Stroops::ZERO, true)),
            None => self.recognise(terms, tx, &deeds),
        };
        let touched = self.move_balances(terms, tx, &deeds);
        let Some((kind, previous, amount, clawable)) = known else { return touched };
        let by = left.unwrap_or(tx.source);
        let link = Link { hash: tx.hash, at: tx.at, by, kind, previous, amount, clawable };
        self.places.insert(tx.hash, self.links.len());
        self.links.push(link);
        true
    }

    /// What is locked and what is taken, by whatever transaction.
    fn move_balances(&mut self, terms: &Terms, tx: &Included, deeds: &[(AccountId, Deed)]) -> bool {
        let mut touched = false;
        for (index, (source, deed)) in deeds.iter().enumerate() {
            match (deed, source) {
                (Deed::Lock(locked), owner) if [&terms.clawable, &terms.plain].contains(&&locked.asset) => {
                    let balance = tx.balance_of(index);
                    let own = BalanceClaimant { account: *owner, predicate: Predicate::Always };
                    let held = Held {
                        balance,
                        by: tx.hash,
                        owner: *owner,
                        clawable: locked.asset == terms.clawable,
                        amount: locked.amount,
                        returns: locked.claimants.contains(&own),
                        gone: None,
                    };
                    self.held.insert(balance, held);
                    touched = true;
                }
                (Deed::Claim(balance) | Deed::ClawbackBalance(balance), _) => {
                    if let Some(held) = self.held.get_mut(balance) {
                        held.gone = Some(tx.hash);
                        touched = true;
                    }
                }
                _ => {}
            }
        }
        touched
    }

    /// What a transaction is in the chain, if anything; what it changes is noted.
    fn recognise(&mut self, terms: &Terms, tx: &Included, deeds: &[(AccountId, Deed)]) -> Option<Known> {
        if let Some(known) = self.membership(terms, tx, deeds) {
            return Some(known);
        }
        let own = deeds.iter().all(|(source, _)| *source == tx.source);
        let plain: Vec<&Deed> = deeds.iter().map(|(_, deed)| deed).filter(|_| own).collect();
        if let Some((kind, validity)) = shape::read_make_memo(&tx.memo) {
            return self.make(terms, tx, &plain, kind, validity);
        }
        let named = tx.names().and_then(|named| self.answer(terms, tx, &plain, named));
        named.or_else(|| self.reclaim(tx, &plain))
    }

    /// Members whose trustline goes, by whatever transaction; the first of them. Whoever never joined doesn't leave.
    fn leavers(&mut self, terms: &Terms, deeds: &[(AccountId, Deed)]) -> Option<AccountId> {
        let gone = Deed::Trust { asset: terms.clawable.clone(), limit: Stroops::ZERO };
        let mut first = None;
        for (source, _) in deeds.iter().filter(|(_, deed)| *deed == gone) {
            if let Some(stays @ true) = self.members.get_mut(source) {
                *stays = false;
                first = first.or(Some(*source));
            }
        }
        first
    }

    /// Who comes in, and what the agent gets to give out.
    fn membership(&mut self, terms: &Terms, tx: &Included, deeds: &[(AccountId, Deed)]) -> Option<Known> {
        let own = &tx.source;
        let gives = |deed: &(AccountId, Deed), (by, whom, what): (AccountId, AccountId, &Asset)| match deed {
            (source, Deed::Pay { to, asset, amount }) => {
                (*source == by && *to == whom && asset == what).then_some(*amount)
            }
            _ => None,
        };
        if let [(a, Deed::Trust { asset: x, .. }), (b, Deed::Trust { asset: y, .. }), one, other] = deeds
            && (a, b) == (own, own)
            && (x, y) == (&terms.clawable, &terms.plain)
        {
            let amount = gives(one, (terms.agent, *own, &terms.clawable))?;
            gives(other, (terms.agent, *own, &terms.plain))?;
            self.members.insert(*own, true);
            return Some((LinkKind::Join, None, amount, true));
        }
        let [one, other] = deeds else { return None };
        let amount = gives(one, (terms.issuer(), terms.agent, &terms.clawable))?;
        gives(other, (terms.plain_issuer(), terms.agent, &terms.plain))?;
        (*own == terms.issuer()).then(|| self.endowed = true)?;
        Some((LinkKind::Endowment, None, amount, true))
    }

    fn make(&mut self, terms: &Terms, tx: &Included, deeds: &[&Deed], kind: MakeKind, validity: u64) -> Option<Known> {
        let (Deed::Lock(locked), said) = deeds.split_first().map(|(first, rest)| (*first, rest))? else { return None };
        if locked.asset != terms.plain
            || locked.amount != terms.fee
            || !is_for(locked, terms.agent, validity, tx.source)
            || !said.iter().all(|deed| matches!(deed, Deed::Say(_) | Deed::Unsay))
        {
            return None;
        }
        let said: Vec<u8> = said
            .iter()
            .filter_map(|deed| if let Deed::Say(part) = deed { Some(part) } else { None })
            .flatten()
            .copied()
            .take(shape::MAX_DESCRIPTION)
            .collect();
        let make = Make {
            hash: tx.hash,
            at: tx.at,
            maker: tx.source,
            kind,
            validity,
            description: String::from_utf8_lossy(&said).into_owned(),
            balance: tx.balance_of(0),
        };
        self.makes.insert(tx.hash, make);
        Some((LinkKind::Make(kind), None, locked.amount, false))
    }

    /// A transaction whose memo names another one.
    fn answer(&mut self, terms: &Terms, tx: &Included, deeds: &[&Deed], named: TxHash) -> Option<Known> {
        if self.makes.contains_key(&named) {
            return self.take(terms, tx, deeds, named);
        }
        let paying = self.pay(terms, tx, deeds, named);
        paying.or_else(|| self.ask(terms, tx, deeds, named)).or_else(|| self.settle(terms, tx, deeds, named))
    }

    fn take(&mut self, terms: &Terms, tx: &Included, deeds: &[&Deed], named: TxHash) -> Option<Known> {
        let make = self.makes.get(&named)?;
        let [Deed::Lock(locked)] = deeds else { return None };
        let right = match make.kind {
            MakeKind::Offer => locked.amount > terms.fee,
            MakeKind::Request => locked.amount == terms.fee,
        };
        let stands = make.ends().is_none_or(|end| tx.at.close_time < end);
        if !right
            || !stands
            || locked.asset != terms.clawable
            || make.maker == tx.source
            || !is_for(locked, make.maker, make.validity, tx.source)
        {
            return None;
        }
        let take = Take {
            hash: tx.hash,
            at: tx.at,
            make: named,
            taker: tx.source,
            amount: locked.amount,
            balance: tx.balance_of(0),
            validity: make.validity,
            paid_by: None,
        };
        self.takes.insert(tx.hash, take);
        Some((LinkKind::Take, Some(named), locked.amount, true))
    }

    /// A claim or a grant.
    fn pay(&mut self, terms: &Terms, tx: &Included, deeds: &[&Deed], named: TxHash) -> Option<Known> {
        let take = self.takes.get_mut(&named)?;
        let make = self.makes.get(&take.make)?;
        if tx.source != make.maker {
            return None;
        }
        let (kind, payment) = match (make.kind, deeds) {
            (MakeKind::Offer, [Deed::Claim(claimed)]) if *claimed == take.balance => {
                (LinkKind::Claim, (named, take.taker, make.maker, take.amount))
            }
            (MakeKind::Request, [Deed::Claim(claimed), Deed::Pay { to, asset, amount }])
                if *claimed == take.balance && *to == take.taker && *asset == terms.clawable =>
            {
                (LinkKind::Grant, (tx.hash, make.maker, take.taker, *amount))
            }
            _ => return None,
        };
        let (hash, payer, payee, whole) = payment;
        let amount = whole.minus(terms.fee)?;
        take.paid_by = Some(tx.hash);
        let payment = Payment { hash, take: named, at: tx.at, payer, payee, amount, converted: None, repaid: None };
        self.payments.insert(hash, payment);
        Some((kind, Some(named), whole, true))
    }

    /// A conversion or a repayment that somebody, whoever it is, asks for.
    fn ask(&mut self, terms: &Terms, tx: &Included, deeds: &[&Deed], named: TxHash) -> Option<Known> {
        if !self.payments.contains_key(&named) && !self.takes.contains_key(&named) {
            return None;
        }
        let [Deed::Lock(locked)] = deeds else { return None };
        let asked = Asked {
            hash: tx.hash,
            at: tx.at,
            by: tx.source,
            payment: named,
            amount: locked.amount,
            balance: tx.balance_of(0),
        };
        if locked.asset == terms.clawable && is_for(locked, terms.agent, 0, tx.source) {
            self.conversions.entry(named).or_default().push(asked);
            return Some((LinkKind::Conversion, Some(named), locked.amount, true));
        }
        if locked.asset == terms.plain && locked.amount == terms.fee && is_for(locked, terms.issuer(), 0, tx.source) {
            self.repayments.entry(named).or_default().push(asked);
            return Some((LinkKind::Repayment, Some(named), locked.amount, false));
        }
        None
    }

    /// The agent's or the issuer's answer.
    fn settle(&mut self, terms: &Terms, tx: &Included, deeds: &[&Deed], named: TxHash) -> Option<Known> {
        let payment = self.payments.get_mut(&named)?;
        let [taken, Deed::Pay { to, asset, amount }] = deeds else { return None };
        match taken {
            Deed::Claim(_) if tx.source == terms.agent && *to == payment.payee && *asset == terms.plain => {
                payment.converted = Some(tx.hash);
                Some((LinkKind::Converted, Some(named), *amount, false))
            }
            Deed::Clawback { .. } | Deed::ClawbackBalance(_)
                if tx.source == terms.issuer() && *to == payment.payer && *asset == terms.clawable =>
            {
                payment.repaid = Some(tx.hash);
                Some((LinkKind::Repaid, Some(named), *amount, true))
            }
            _ => None,
        }
    }

    /// Someone takes back what is its own.
    fn reclaim(&self, tx: &Included, deeds: &[&Deed]) -> Option<Known> {
        let [Deed::Claim(balance)] = deeds else { return None };
        let held = self.held.get(balance).filter(|held| held.owner == tx.source)?;
        Some((LinkKind::Reclaim, Some(held.by), held.amount, held.clawable))
    }

    /// A make.
    pub fn make_of(&self, hash: TxHash) -> Option<&Make> {
        self.makes.get(&hash)
    }

    /// A take.
    pub fn take_of(&self, hash: TxHash) -> Option<&Take> {
        self.takes.get(&hash)
    }

    /// A payment by its paying transaction, or by the take that it is for.
    pub fn payment_of(&self, hash: TxHash) -> Option<&Payment> {
        self.payments.get(&hash).or_else(|| self.payments.values().find(|payment| payment.take == hash))
    }

    /// All makes.
    pub fn makes(&self) -> impl Iterator<Item = &Make> {
        self.makes.values()
    }

    /// All takes.
    pub fn takes(&self) -> impl Iterator<Item = &Take> {
        self.takes.values()
    }

    /// All payments.
    pub fn payments(&self) -> impl Iterator<Item = &Payment> {
        self.payments.values()
    }

    /// The conversions that were asked for of a payment.
    pub fn conversions_of(&self, payment: TxHash) -> impl Iterator<Item = &Asked> {
        self.conversions.get(&payment).into_iter().flatten()
    }

    /// The repayments that were asked for of a payment.
    pub fn repayments_of(&self, payment: TxHash) -> impl Iterator<Item = &Asked> {
        self.repayments.get(&payment).into_iter().flatten()
    }

    /// A balance that a transaction of the exchange's made.
    pub fn held(&self, balance: BalanceId) -> Option<&Held> {
        self.held.get(&balance)
    }

    /// What somebody locked and nobody took yet.
    pub fn standing_of(&self, owner: AccountId) -> impl Iterator<Item = &Held> {
        self.held.values().filter(move |held| held.owner == owner && held.gone.is_none())
    }

    /// Whether nobody has taken a balance.
    pub fn stands(&self, balance: BalanceId) -> bool {
        self.held.get(&balance).is_some_and(|held| held.gone.is_none())
    }

    /// Whether an account joined and hasn't left.
    pub fn is_member(&self, account: AccountId) -> bool {
        self.members.get(&account) == Some(&true)
    }

    /// Whether an account has ever joined.
    pub fn has_joined(&self, account: AccountId) -> bool {
        self.members.contains_key(&account)
    }

    /// How many have ever joined.
    pub fn joined(&self) -> usize {
        self.members.len()
    }

    /// Who is a member.
    pub fn members(&self) -> impl Iterator<Item = AccountId> {
        self.members.iter().filter(|(_, stays)| **stays).map(|(account, _)| *account)
    }

    /// Whether a transaction says who came, who left or what there is to give out: such are never forgotten, because
    /// nobody is given its start twice, and the agent neither.
    pub fn is_membership(&self, hash: TxHash) -> bool {
        let kept = [LinkKind::Endowment, LinkKind::Join, LinkKind::Leave];
        self.link(hash).is_some_and(|link| kept.contains(&link.kind))
    }

    /// Whether the agent has got what it gives out.
    pub const fn is_endowed(&self) -> bool {
        self.endowed
    }

    /// Whether a transaction is a link.
    pub fn contains(&self, hash: TxHash) -> bool {
        self.places.contains_key(&hash)
    }

    /// A link.
    pub fn link(&self, hash: TxHash) -> Option<&Link> {
        self.links.get(*self.places.get(&hash)?)
    }

    /// All links in the ledger's order.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// The first link of the chain that a transaction belongs to: the make, where it goes back to one.
    pub fn root_of(&self, hash: TxHash) -> Option<&Link> {
        let mut link = self.link(hash)?;
        // A link names one that was there before it, so this ends.
        while let Some(previous) = link.previous.and_then(|previous| self.link(previous)) {
            link = previous;
        }
        Some(link)
    }

    /// The links that name this one, in the ledger's order.
    pub fn following(&self, hash: TxHash) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(move |link| link.previous == Some(hash))
    }

    /// The links whose hash begins like this.
    pub fn find<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Link> {
        self.links.iter().filter(move |link| link.hash.to_string().starts_with(prefix))
    }
}

/// Whether a balance is for `first` within `validity` and for its owner at any time, and for nobody else.
fn is_for(locked: &Locked, first: AccountId, validity: u64, owner: AccountId) -> bool {
    let [a, b] = locked.claimants.as_slice() else { return false };
    a.account == first
        && a.predicate == shape::within(validity)
        && b.account == owner
        && b.predicate == Predicate::Always
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
pub(crate) mod tests;
