//! The judge's own books: what every account may hold, from the transactions that ledgers include.

mod settled;
mod strange;

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};

use stellar_xdr::{CreateClaimableBalanceOp, OperationBody, SetOptionsOp, Signer, SignerKey};
use tradepost_protocol::account::{AccountId, ServingKey};
use tradepost_protocol::amount::Unit;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::message::{BalanceId, BindingId, MessageId};
use tradepost_protocol::stellar::predicate::Predicate;
use tradepost_protocol::stellar::{Operation, balance_id, xdr};
use tradepost_protocol::time::Timestamp;

use crate::world::Included;

/// How often a node may claim in a day what it has: endpoints that remember a few ledgers only are rare.
const MAX_IN_VAIN: u32 = 1;

/// So much of an asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    /// Of what.
    pub asset: Asset,
    /// How much, in stroops.
    pub stroops: i64,
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} stroops of {}", self.stroops, self.asset.symbol())
    }
}

/// What two sides agreed on, as far as money goes.
#[derive(Debug, Clone)]
pub struct Deal {
    /// The request that it answers.
    pub request: MessageId,
    /// Who pays.
    pub consumer: AccountId,
    /// Who is paid.
    pub recipient: AccountId,
    /// How much.
    pub price: Sum,
    /// What is sold.
    pub unit: Unit,
    /// How many of them.
    pub units: u64,
    /// T, where there is money.
    pub refund_at: Option<Timestamp>,
    /// Who takes it from T on.
    pub beneficiary: AccountId,
    /// Who decides, and what any award pays each; none under `timed`.
    pub arbiters: Vec<(AccountId, i64)>,
    /// The keys with which provider and consumer speak.
    pub parties: [ServingKey; 2],
    /// Who moves the controller, with which weight.
    pub signers: BTreeMap<[u8; 32], u32>,
}

impl Deal {
    /// The weights of a controller's master key and its thresholds: none, and twice what a party weighs.
    fn thresholds(&self) -> Thresholds {
        let all = Some(2 * self.arbiters.len().div_ceil(2) as u32);
        if self.arbiters.is_empty() { [None; 4] } else { [Some(0), all, all, all] }
    }
}

/// Master weight, low, medium, high threshold, where they were set.
type Thresholds = [Option<u32>; 4];

/// Who got an escrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// It still stands.
    Ledger,
    /// The recipient.
    Recipient,
    /// The consumer, by itself or by way of the recipient.
    Consumer,
    /// Each a part.
    Both {
        /// The recipient's.
        recipient: i64,
        /// The consumer's.
        consumer: i64,
    },
    /// The asset's issuer took it back.
    Issuer,
}

/// An escrow that a ledger showed.
#[derive(Debug, Clone)]
pub struct Escrow {
    /// Its binding.
    pub binding: BindingId,
    /// Who locked it.
    pub funder: AccountId,
    /// Who may take it before T.
    pub controller: AccountId,
    /// What it holds.
    pub locked: Sum,
    /// Who has the money.
    pub holder: Holder,
    /// When it was taken, where that was at T or later.
    pub late_at: Option<Timestamp>,
    /// Whether its arbiters were paid.
    pub awarded: bool,
    /// Whether it may be claimed, and its controller be moved, by whom it was agreed and when.
    pub sound: bool,
}

/// What a settlement left for somebody.
#[derive(Debug, Clone)]
pub struct Share {
    /// For whom.
    pub payee: AccountId,
    /// Of which binding's escrow.
    pub binding: BindingId,
    /// How much.
    pub sum: Sum,
}

/// Everything that was locked and paid, transaction by transaction.
#[derive(Debug, Default)]
pub struct Accounts {
    /// The terms that providers signed, by binding.
    pub deals: BTreeMap<BindingId, Deal>,
    escrows: BTreeMap<BalanceId, Escrow>,
    bonds: BTreeMap<BalanceId, (AccountId, i64)>,
    /// What settlements left for others than their submitters.
    shares: BTreeMap<BalanceId, Share>,
    /// The accounts that fundings made and that stand, with who made them.
    controllers: BTreeMap<AccountId, AccountId>,
    balances: BTreeMap<(AccountId, Asset), i64>,
    /// Whose money is nobody's concern but their own.
    strangers: BTreeSet<AccountId>,
    /// The accounts of honest nodes.
    honest: BTreeSet<AccountId>,
    /// What strangers locked that is no escrow of agreed terms.
    strange: BTreeMap<BalanceId, Sum>,
    /// How the controllers of strangers' escrows are set up, where those are shaped as agreed.
    setups: BTreeMap<AccountId, (BalanceId, Setup)>,
    /// How often each honest node claimed what it had.
    in_vain: BTreeMap<AccountId, u32>,
    /// Who has claimed what.
    claimed: BTreeSet<(AccountId, BalanceId)>,
}

/// How far a transaction is.
#[derive(Debug, Default)]
struct Course {
    /// The escrow that it claimed for its recipient or beneficiary.
    claimed: Option<BalanceId>,
    /// The escrow that it claimed for its controller.
    settled: Option<BalanceId>,
    /// What each account won or lost in it since.
    flows: BTreeMap<AccountId, i64>,
    /// The escrow that it locked, and who may take that before T.
    locked: Option<(BalanceId, AccountId)>,
    /// Whether that may be claimed by exactly whom it was agreed, and when.
    shaped: bool,
    /// What it does to a controller.
    setup: Setup,
}

/// How a controller is set up.
#[derive(Debug, Clone, Default)]
struct Setup {
    /// Who moves it, with which weight.
    signers: BTreeMap<[u8; 32], u32>,
    /// How many signers it has besides: the transactions that are authorised beforehand.
    authorised: usize,
    /// What everything about it takes.
    thresholds: Thresholds,
    /// Whether it has, or is, something that no funding makes.
    odd: bool,
}

impl Setup {
    fn sets(&mut self, set: &SetOptionsOp) {
        match &set.signer {
            Some(Signer { key: SignerKey::Ed25519(key), weight }) => drop(self.signers.insert(key.0, *weight)),
            Some(_) => self.authorised += 1,
            None => {}
        }
        let found = [set.master_weight, set.low_threshold, set.med_threshold, set.high_threshold];
        for (known, found) in self.thresholds.iter_mut().zip(found) {
            *known = found.or(*known);
        }
        self.odd |= set.set_flags.is_some() || set.home_domain.is_some();
    }

    fn is_sound(&self, deal: &Deal) -> bool {
        let moved = (&self.signers, self.thresholds) == (&deal.signers, deal.thresholds());
        !self.odd && moved && self.authorised == usize::from(!deal.arbiters.is_empty())
    }
}

impl Accounts {
    /// An account that holds so much of an asset at first.
    pub fn open(&mut self, account: AccountId, asset: Asset, stroops: i64) {
        self.balances.insert((account, asset), stroops);
    }

    /// An account is a stranger's, which does what it likes with its own.
    pub fn expect_anything(&mut self, account: AccountId) {
        self.strangers.insert(account);
    }

    /// An account is an honest node's.
    pub fn expect_honesty(&mut self, account: AccountId) {
        self.honest.insert(account);
    }

    fn add(&mut self, account: AccountId, asset: &Asset, stroops: i64) {
        *self.balances.entry((account, asset.clone())).or_default() += stroops;
    }

    fn is_followed(&self, account: AccountId) -> bool {
        self.balances.contains_key(&(account, Asset::Native))
    }

    /// Takes in a transaction of a ledger that closed then.
    ///
    /// # Errors
    /// In words, where no rule allows it.
    pub fn take(&mut self, included: &Included, closed: Timestamp) -> Result<(), String> {
        if self.is_followed(included.payer) {
            self.add(included.payer, &Asset::Native, -included.fee);
        }
        if self.honest.contains(&included.source) && included.until.is_none() {
            return Err(format!("{} handed in what may be included at any time", included.source));
        }
        if !included.succeeded {
            return self.was_in_vain(included);
        }
        if !self.is_followed(included.source) {
            self.claws_back(included);
            return Ok(());
        }
        let strange = self.strangers.contains(&included.source);
        let mut course = Course::default();
        for (index, operation) in included.operations.iter().enumerate() {
            let id = balance_id::of_operation(included.source, included.sequence, index as u32);
            let acting = operation.source_account.as_ref().and_then(xdr::read_plain).unwrap_or(included.source);
            if strange {
                self.take_anything(operation, acting, id, closed, &mut course)?;
            } else {
                self.take_operation(operation, acting, id, closed, &mut course)?;
            }
        }
        if let Some((id, _)) = course.locked
            && let Some(escrow) = self.escrows.get_mut(&id)
        {
            escrow.sound = course.shaped && course.setup.is_sound(&self.deals[&escrow.binding]);
            if strange && course.shaped {
                self.setups.insert(escrow.controller, (id, course.setup.clone()));
            }
        }
        match course.settled {
            Some(id) => self.settles(id, &course.flows),
            None => Ok(()),
        }
    }

    /// The issuer takes back what it issued.
    fn claws_back(&mut self, included: &Included) {
        for operation in &included.operations {
            if let OperationBody::ClawbackClaimableBalance(clawback) = &operation.body
                && let Some(escrow) = self.escrows.get_mut(&balance_id::from_xdr(&clawback.balance_id))
            {
                escrow.holder = Holder::Issuer;
            }
        }
    }

    /// A transaction that failed has cost its fee. An honest node doesn't pay it for what it has already, but once in a while where
    /// an endpoint has forgotten what became of its claim.
    fn was_in_vain(&mut self, included: &Included) -> Result<(), String> {
        for operation in &included.operations {
            let acting = operation.source_account.as_ref().and_then(xdr::read_plain).unwrap_or(included.source);
            if let OperationBody::ClaimClaimableBalance(claim) = &operation.body
                && self.honest.contains(&acting)
                && self.claimed.contains(&(acting, balance_id::from_xdr(&claim.balance_id)))
            {
                let times = self.in_vain.entry(acting).or_default();
                *times += 1;
                if *times > MAX_IN_VAIN {
                    return Err(format!("{acting} claims again and again what it has claimed before"));
                }
            }
        }
        Ok(())
    }

    fn take_operation(
        &mut self,
        operation: &Operation,
        acting: AccountId,
        id: BalanceId,
        closed: Timestamp,
        course: &mut Course,
    ) -> Result<(), String> {
        match &operation.body {
            OperationBody::CreateClaimableBalance(create) if course.settled.is_some() => {
                self.leaves(acting, id, create, course)
            }
            OperationBody::CreateClaimableBalance(create) => {
                course.locked = create.claimants.first().map(|first| (id, claimant(first)));
                self.locks(acting, id, create, course)
            }
            OperationBody::CreateAccount(create) => {
                let made = xdr::read_account(&create.destination);
                if course.locked.map(|(_, controller)| controller) != Some(made) {
                    return Err("an account was made that is no escrow's controller".to_owned());
                }
                self.controllers.insert(made, acting);
                self.add(acting, &Asset::Native, -create.starting_balance);
                self.add(made, &Asset::Native, create.starting_balance);
                Ok(())
            }
            OperationBody::BumpSequence(_) if self.controllers.contains_key(&acting) => Ok(()),
            OperationBody::SetOptions(set) if self.controllers.contains_key(&acting) => {
                course.setup.sets(set);
                Ok(())
            }
            // A trader's owner trusts the issued asset before the trades, a controller what it has to hold.
            OperationBody::ChangeTrust(_) => Ok(()),
            OperationBody::ClaimClaimableBalance(claim) => {
                self.claims(acting, balance_id::from_xdr(&claim.balance_id), closed, course)
            }
            OperationBody::Payment(payment) => {
                let to = xdr::read_plain(&payment.destination).ok_or("a payment to nobody")?;
                let paid = sum_of(&payment.asset, payment.amount)?;
                if course.settled.is_some() {
                    self.moves(acting, to, &paid, course);
                    return Ok(());
                }
                let id = course.claimed.take().ok_or("a payment that gives back no escrow")?;
                self.gives_back(acting, to, paid, id)
            }
            OperationBody::AccountMerge(to) if self.controllers.contains_key(&acting) => {
                let left = self.balances.remove(&(acting, Asset::Native)).unwrap_or_default();
                self.balances.retain(|(account, _), _| *account != acting);
                self.controllers.remove(&acting);
                self.add(xdr::read_plain(to).ok_or("a merge into nobody")?, &Asset::Native, left);
                Ok(())
            }
            other => Err(format!("a transaction that no node has a reason for: {}", other.name())),
        }
    }

    fn locks(
        &mut self,
        by: AccountId,
        id: BalanceId,
        create: &CreateClaimableBalanceOp,
        course: &mut Course,
    ) -> Result<(), String> {
        let locked = sum_of(&create.asset, create.amount)?;
        let claimants: Vec<AccountId> = create.claimants.iter().map(claimant).collect();
        self.add(by, &locked.asset, -locked.stroops);
        let Some(binding) = self.binding_among(&claimants) else {
            if claimants.len() != 2 || !claimants.contains(&by) || !locked.asset.is_native() {
                return Err("a balance was locked that is neither a bond nor an escrow of agreed terms".to_owned());
            }
            self.bonds.insert(id, (by, locked.stroops));
            return Ok(());
        };
        let deal = &self.deals[&binding];
        if self.escrows.values().any(|e| e.binding == binding) {
            return Err(format!("binding {binding} was funded twice"));
        }
        if (deal.consumer, &deal.price) != (by, &locked) {
            return Err(format!("binding {binding} over {} was funded with {locked}", deal.price));
        }
        course.shaped = is_shaped(create, binding, deal);
        self.locked_for(binding, by, id, locked, claimants[0]);
        Ok(())
    }

    /// Which deal a balance says that it is for.
    fn binding_among(&self, claimants: &[AccountId]) -> Option<BindingId> {
        let mut all = claimants.iter().map(|c| BindingId::from_bytes(*c.as_bytes()));
        all.find(|binding| self.deals.contains_key(binding))
    }

    fn locked_for(&mut self, binding: BindingId, funder: AccountId, id: BalanceId, locked: Sum, controller: AccountId) {
        let (holder, late_at, awarded, sound) = (Holder::Ledger, None, false, false);
        self.escrows.insert(id, Escrow { binding, funder, controller, locked, holder, late_at, awarded, sound });
    }

    fn claims(&mut self, by: AccountId, id: BalanceId, closed: Timestamp, course: &mut Course) -> Result<(), String> {
        self.claimed.insert((by, id));
        if let Some((owner, stroops)) = self.bonds.remove(&id) {
            self.add(by, &Asset::Native, stroops);
            return if owner == by { Ok(()) } else { Err("somebody took another's bond".to_owned()) };
        }
        if let Some(Share { payee, sum, .. }) = self.shares.remove(&id) {
            self.add(by, &sum.asset, sum.stroops);
            return if payee == by { Ok(()) } else { Err("somebody took another's share".to_owned()) };
        }
        let escrow = self.escrows.get_mut(&id).ok_or("a balance was claimed that nobody locked")?;
        let deal = &self.deals[&escrow.binding];
        let early = deal.refund_at.is_some_and(|t| closed < t);
        escrow.late_at = (!early).then_some(closed);
        let arbitrated = !deal.arbiters.is_empty();
        escrow.holder = if early && arbitrated && by == escrow.controller {
            course.settled = Some(id);
            Holder::Ledger
        } else if by == deal.recipient && (early && !arbitrated || !early && by == deal.beneficiary) {
            Holder::Recipient
        } else if !early && (by == deal.beneficiary || by == escrow.funder) {
            Holder::Consumer
        } else {
            return Err(format!("the escrow of binding {} was taken by whom it wasn't due to", escrow.binding));
        };
        course.claimed = Some(id);
        let locked = escrow.locked.clone();
        self.add(by, &locked.asset, locked.stroops);
        Ok(())
    }

    fn gives_back(&mut self, from: AccountId, to: AccountId, paid: Sum, id: BalanceId) -> Result<(), String> {
        let escrow = self.escrows.get_mut(&id).ok_or("a payment that gives back no escrow")?;
        if to != escrow.funder || paid != escrow.locked {
            return Err(format!("binding {} gave {paid} of {} back", escrow.binding, escrow.locked));
        }
        escrow.holder = Holder::Consumer;
        self.add(from, &paid.asset, -paid.stroops);
        self.add(to, &paid.asset, paid.stroops);
        Ok(())
    }

    /// What every account has to hold of each asset, by these books.
    pub const fn expected(&self) -> &BTreeMap<(AccountId, Asset), i64> {
        &self.balances
    }

    /// Every escrow so far.
    pub fn escrows(&self) -> impl Iterator<Item = &Escrow> {
        self.escrows.values()
    }

    /// Those that stand, with their balances.
    pub fn standing(&self) -> impl Iterator<Item = (BalanceId, &Escrow)> {
        self.escrows.iter().filter(|(_, escrow)| escrow.holder == Holder::Ledger).map(|(id, escrow)| (*id, escrow))
    }

    /// The balances of those that don't.
    pub fn gone(&self) -> impl Iterator<Item = BalanceId> {
        self.escrows.iter().filter(|(_, escrow)| escrow.holder != Holder::Ledger).map(|(id, _)| *id)
    }

    /// The balances of what settlements left.
    pub fn share_balances(&self) -> impl Iterator<Item = BalanceId> {
        self.shares.keys().copied()
    }

    /// The balances of bonds.
    pub fn bonds(&self) -> impl Iterator<Item = BalanceId> {
        self.bonds.keys().copied()
    }

    /// The escrow of a binding, where a ledger showed one: of a stranger's several, one that is as agreed.
    pub fn escrow_of(&self, binding: &BindingId) -> Option<&Escrow> {
        let all = self.escrows.values().filter(|e| &e.binding == binding);
        all.reduce(|known, other| if other.sound && !known.sound { other } else { known })
    }

    /// The escrow with this balance, where a ledger showed it.
    pub fn escrow(&self, balance: &BalanceId) -> Option<&Escrow> {
        self.escrows.get(balance)
    }

    /// What settlements left and nobody claimed yet.
    pub fn shares(&self) -> impl Iterator<Item = &Share> {
        self.shares.values()
    }

    /// Controllers that stand, but those that strangers made.
    pub fn controllers(&self) -> usize {
        self.controllers.values().filter(|funder| !self.strangers.contains(funder)).count()
    }
}

fn sum_of(asset: &stellar_xdr::Asset, stroops: i64) -> Result<Sum, String> {
    let asset = xdr::read_asset(asset).map_err(|e| e.to_string())?;
    Ok(Sum { asset, stroops })
}

fn claimant(claimant: &stellar_xdr::Claimant) -> AccountId {
    let stellar_xdr::Claimant::ClaimantTypeV0(v0) = claimant;
    xdr::read_account(&v0.destination)
}

/// Whether a balance may be claimed by the controller before T, by the beneficiary from then on, by nobody else ever.
fn is_shaped(create: &CreateClaimableBalanceOp, binding: BindingId, deal: &Deal) -> bool {
    let Some(refund_at) = deal.refund_at else { return false };
    let found: Vec<(AccountId, Predicate)> = create
        .claimants
        .iter()
        .map(|each| {
            let stellar_xdr::Claimant::ClaimantTypeV0(v0) = each;
            (claimant(each), Predicate::from_xdr(&v0.predicate))
        })
        .collect();
    let [(first, before), (second, after), (third, never)] = found.as_slice() else { return false };
    let times =
        [before, after, never] == [&Predicate::Before(refund_at), &Predicate::From(refund_at), &Predicate::Never];
    let timed = !deal.arbiters.is_empty() || *first == deal.recipient;
    times && timed && *second == deal.beneficiary && third.as_bytes() == binding.as_bytes()
}

/// Who may claim a balance that a settlement leaves: one account, at any time.
fn only_claimant(create: &CreateClaimableBalanceOp) -> Option<AccountId> {
    let [only] = create.claimants.as_slice() else { return None };
    let stellar_xdr::Claimant::ClaimantTypeV0(v0) = only;
    (v0.predicate == stellar_xdr::ClaimPredicate::Unconditional).then(|| claimant(only))
}
