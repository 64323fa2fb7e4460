//! The judge's own books: what every account may hold, from the transactions that ledgers include.

use std::collections::BTreeMap;

use stellar_xdr::OperationBody;
use tradepost_protocol::account::AccountId;
use tradepost_protocol::message::{BalanceId, BindingId, MessageId};
use tradepost_protocol::stellar::{balance_id, xdr};
use tradepost_protocol::time::Timestamp;

use crate::world::Included;

/// What two sides agreed on, as far as money goes.
#[derive(Debug, Clone)]
pub struct Deal {
    /// The request that it answers.
    pub request: MessageId,
    /// Who pays.
    pub consumer: AccountId,
    /// Who is paid.
    pub recipient: AccountId,
    /// How much, in stroops.
    pub amount: i64,
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
    /// What it holds, in stroops.
    pub amount: i64,
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
    balances: BTreeMap<AccountId, i64>,
    cheats: Vec<AccountId>,
}

impl Accounts {
    /// An account that holds so much at first.
    pub fn open(&mut self, account: AccountId, stroops: i64) {
        self.balances.insert(account, stroops);
    }

    /// An account that locks what it likes, on purpose.
    pub fn open_cheat(&mut self, account: AccountId, stroops: i64) {
        self.open(account, stroops);
        self.cheats.push(account);
    }

    /// Takes in a transaction of a ledger that closed then.
    ///
    /// # Errors
    /// In words, where no rule allows it.
    pub fn take(&mut self, included: &Included, closed: Timestamp) -> Result<(), String> {
        let Some(balance) = self.balances.get_mut(&included.source) else { return Ok(()) };
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
                    self.locks(included.source, id, create.amount, &claimants)?;
                }
                OperationBody::ClaimClaimableBalance(claim) => {
                    let id = balance_id::from_xdr(&claim.balance_id);
                    claimed = Some((id, self.claims(included.source, id, closed)?));
                }
                OperationBody::Payment(payment) => {
                    let to = xdr::read_plain(&payment.destination).ok_or("a payment to nobody")?;
                    let (id, amount) = claimed.take().ok_or("a payment that gives back no escrow")?;
                    self.gives_back(included.source, to, payment.amount, id, amount)?;
                }
                other => return Err(format!("a transaction that no node has a reason for: {}", other.name())),
            }
        }
        Ok(())
    }

    fn locks(&mut self, by: AccountId, id: BalanceId, amount: i64, claimants: &[AccountId]) -> Result<(), String> {
        *self.balances.entry(by).or_default() -= amount;
        let binding =
            claimants.iter().map(|c| BindingId::from_bytes(*c.as_bytes())).find(|b| self.deals.contains_key(b));
        let Some(binding) = binding else {
            if claimants.len() != 2 || !claimants.contains(&by) {
                return Err("a balance was locked that is neither a bond nor an escrow of agreed terms".to_owned());
            }
            self.bonds.insert(id, (by, amount));
            return Ok(());
        };
        let deal = &self.deals[&binding];
        if !self.cheats.contains(&by) {
            if self.escrows.values().any(|e| e.binding == binding) {
                return Err(format!("binding {binding} was funded twice"));
            }
            if (deal.consumer, deal.amount) != (by, amount) {
                return Err(format!("binding {binding} over {} stroops was funded with {amount}", deal.amount));
            }
        }
        self.escrows.insert(id, Escrow { binding, funder: by, amount, holder: Holder::Ledger });
        Ok(())
    }

    fn claims(&mut self, by: AccountId, id: BalanceId, closed: Timestamp) -> Result<i64, String> {
        if let Some((owner, amount)) = self.bonds.remove(&id) {
            *self.balances.entry(by).or_default() += amount;
            return if owner == by { Ok(amount) } else { Err("somebody took another's bond".to_owned()) };
        }
        let escrow = self.escrows.get_mut(&id).ok_or("a balance was claimed that nobody locked")?;
        let deal = &self.deals[&escrow.binding];
        let early = deal.refund_at.is_some_and(|t| closed < t);
        escrow.holder = match (by == deal.recipient, by == escrow.funder) {
            (true, _) if early => Holder::Recipient,
            (_, true) if !early => Holder::Consumer,
            _ => return Err(format!("the escrow of binding {} was taken by whom it wasn't due to", escrow.binding)),
        };
        *self.balances.entry(by).or_default() += escrow.amount;
        Ok(escrow.amount)
    }

    fn gives_back(
        &mut self,
        from: AccountId,
        to: AccountId,
        paid: i64,
        id: BalanceId,
        claimed: i64,
    ) -> Result<(), String> {
        let escrow = self.escrows.get_mut(&id).ok_or("a payment that gives back no escrow")?;
        if to != escrow.funder || paid != claimed {
            return Err(format!("binding {} gave {paid} of {claimed} stroops back", escrow.binding));
        }
        escrow.holder = Holder::Consumer;
        *self.balances.entry(from).or_default() -= paid;
        *self.balances.entry(to).or_default() += paid;
        Ok(())
    }

    /// What an account has to hold, by these books.
    pub fn expected(&self, account: &AccountId) -> Option<i64> {
        self.balances.get(account).copied()
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

fn claimant(claimant: &stellar_xdr::Claimant) -> AccountId {
    let stellar_xdr::Claimant::ClaimantTypeV0(v0) = claimant;
    xdr::read_account(&v0.destination)
}
