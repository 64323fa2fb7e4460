//! The judge's own books: what every account may hold, from the transactions that ledgers include.

use core::fmt;
use std::collections::BTreeMap;

use stellar_xdr::OperationBody;
use tradepost_protocol::account::AccountId;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::message::{BalanceId, BindingId, MessageId};
use tradepost_protocol::stellar::{balance_id, xdr};
use tradepost_protocol::time::Timestamp;

use crate::world::Included;

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
    /// T, where there is money.
    pub refund_at: Option<Timestamp>,
}

/// Who got an escrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// It still stands.
    Ledger,
    /// The recipient.
    Recipient,
    /// The consumer, by itself or by way of the recipient.
    Consumer,
}

/// An escrow that a ledger showed.
#[derive(Debug, Clone)]
pub struct Escrow {
    /// Its binding.
    pub binding: BindingId,
    /// Who locked it.
    pub funder: AccountId,
    /// What it holds.
    pub locked: Sum,
    /// Who has the money.
    pub holder: Holder,
}

/// Everything that was locked and paid, transaction by transaction.
#[derive(Debug, Default)]
pub struct Accounts {
    /// The terms that providers signed, by binding.
    pub deals: BTreeMap<BindingId, Deal>,
    escrows: BTreeMap<BalanceId, Escrow>,
    bonds: BTreeMap<BalanceId, (AccountId, i64)>,
    balances: BTreeMap<(AccountId, Asset), i64>,
    cheats: Vec<AccountId>,
}

impl Accounts {
    /// An account that holds so much of an asset at first.
    pub fn open(&mut self, account: AccountId, asset: Asset, stroops: i64) {
        self.balances.insert((account, asset), stroops);
    }

    /// Expects that an account locks what it likes, on purpose.
    pub fn expect_cheating(&mut self, account: AccountId) {
        self.cheats.push(account);
    }

    fn add(&mut self, account: AccountId, asset: &Asset, stroops: i64) {
        *self.balances.entry((account, asset.clone())).or_default() += stroops;
    }

    /// Takes in a transaction of a ledger that closed then.
    ///
    /// # Errors
    /// In words, where no rule allows it.
    pub fn take(&mut self, included: &Included, closed: Timestamp) -> Result<(), String> {
        let Some(balance) = self.balances.get_mut(&(included.source, Asset::Native)) else { return Ok(()) };
        *balance -= included.fee;
        if !included.succeeded {
            return Ok(());
        }
        let mut claimed = None;
        for (index, operation) in included.operations.iter().enumerate() {
            match &operation.body {
                OperationBody::CreateClaimableBalance(create) => {
                    let id = balance_id::of_operation(included.source, included.sequence, index as u32);
                    let claimants: Vec<AccountId> = create.claimants.iter().map(claimant).collect();
                    self.locks(included.source, id, sum_of(&create.asset, create.amount)?, &claimants)?;
                }
                OperationBody::ClaimClaimableBalance(claim) => {
                    let id = balance_id::from_xdr(&claim.balance_id);
                    self.claims(included.source, id, closed)?;
                    claimed = Some(id);
                }
                OperationBody::Payment(payment) => {
                    let to = xdr::read_plain(&payment.destination).ok_or("a payment to nobody")?;
                    let id = claimed.take().ok_or("a payment that gives back no escrow")?;
                    self.gives_back(included.source, to, sum_of(&payment.asset, payment.amount)?, id)?;
                }
                // A trader's owner trusts the issued asset before the trades.
                OperationBody::ChangeTrust(_) => {}
                other => return Err(format!("a transaction that no node has a reason for: {}", other.name())),
            }
        }
        Ok(())
    }

    fn locks(&mut self, by: AccountId, id: BalanceId, locked: Sum, claimants: &[AccountId]) -> Result<(), String> {
        self.add(by, &locked.asset, -locked.stroops);
        let binding =
            claimants.iter().map(|c| BindingId::from_bytes(*c.as_bytes())).find(|b| self.deals.contains_key(b));
        let Some(binding) = binding else {
            if claimants.len() != 2 || !claimants.contains(&by) || !locked.asset.is_native() {
                return Err("a balance was locked that is neither a bond nor an escrow of agreed terms".to_owned());
            }
            self.bonds.insert(id, (by, locked.stroops));
            return Ok(());
        };
        let deal = &self.deals[&binding];
        if !self.cheats.contains(&by) {
            if self.escrows.values().any(|e| e.binding == binding) {
                return Err(format!("binding {binding} was funded twice"));
            }
            if (deal.consumer, &deal.price) != (by, &locked) {
                return Err(format!("binding {binding} over {} was funded with {locked}", deal.price));
            }
        }
        self.escrows.insert(id, Escrow { binding, funder: by, locked, holder: Holder::Ledger });
        Ok(())
    }

    fn claims(&mut self, by: AccountId, id: BalanceId, closed: Timestamp) -> Result<(), String> {
        if let Some((owner, stroops)) = self.bonds.remove(&id) {
            self.add(by, &Asset::Native, stroops);
            return if owner == by { Ok(()) } else { Err("somebody took another's bond".to_owned()) };
        }
        let escrow = self.escrows.get_mut(&id).ok_or("a balance was claimed that nobody locked")?;
        let deal = &self.deals[&escrow.binding];
        let early = deal.refund_at.is_some_and(|t| closed < t);
        escrow.holder = match (by == deal.recipient, by == escrow.funder) {
            (true, _) if early => Holder::Recipient,
            (_, true) if !early => Holder::Consumer,
            _ => return Err(format!("the escrow of binding {} was taken by whom it wasn't due to", escrow.binding)),
        };
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

    /// The escrow of a binding, where a ledger showed one.
    pub fn escrow_of(&self, binding: &BindingId) -> Option<&Escrow> {
        self.escrows.values().find(|e| &e.binding == binding)
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
