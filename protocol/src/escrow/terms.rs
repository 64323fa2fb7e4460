//! The escrow of a binding, of whichever kind it is.

use core::time::Duration;

use crate::account::AccountId;
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::escrow::arbitrated::{ArbitratedTerms, Standing, TimeoutBeneficiary};
use crate::escrow::funding::{FundingRefused, FundingSeen};
use crate::escrow::outcome::{ByTime, Taken};
use crate::escrow::shape::{EscrowMismatch, VerifiedEscrow};
use crate::escrow::taking::{self, Payees, Taking};
use crate::escrow::timed::TimedTerms;
use crate::message::BalanceId;
use crate::network_id::NetworkId;
use crate::stellar::Operation;
use crate::stellar::entry::{BalanceState, Entry, LINE_CLAWBACK_ENABLED, TrustlineState};
use crate::stellar::envelope::{EnvelopeError, SignedTransaction};
use crate::stellar::ledger_key::Key;
use crate::stellar::reserve::LedgerParams;
use crate::stellar::transaction::Bounds;
use crate::time::Timestamp;

/// What a binding's escrow is to hold, as agreed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EscrowTerms {
    /// The recipient collects before T.
    Timed(TimedTerms),
    /// Both parties, or one and a majority of arbiters, say who is paid before T.
    Arbitrated(ArbitratedTerms),
}

impl EscrowTerms {
    /// Who pays, and holds the escrow's reserve.
    pub fn consumer(&self) -> AccountId {
        match self {
            Self::Timed(terms) => terms.consumer(),
            Self::Arbitrated(terms) => terms.consumer(),
        }
    }

    /// Who is paid.
    pub fn recipient(&self) -> AccountId {
        match self {
            Self::Timed(terms) => terms.recipient(),
            Self::Arbitrated(terms) => terms.recipient(),
        }
    }

    /// Who takes it from T on.
    pub fn beneficiary(&self) -> AccountId {
        match self {
            Self::Timed(terms) => terms.consumer(),
            Self::Arbitrated(terms) => terms.beneficiary(),
        }
    }

    /// What is locked.
    pub fn asset(&self) -> &Asset {
        match self {
            Self::Timed(terms) => terms.asset(),
            Self::Arbitrated(terms) => terms.asset(),
        }
    }

    /// How much is locked.
    pub fn amount(&self) -> Stroops {
        match self {
            Self::Timed(terms) => terms.amount(),
            Self::Arbitrated(terms) => terms.amount(),
        }
    }

    /// T.
    pub fn deadline(&self) -> Timestamp {
        match self {
            Self::Timed(terms) => terms.refund_at(),
            Self::Arbitrated(terms) => terms.deadline(),
        }
    }

    /// The balance that the consumer's funding with this sequence number creates.
    pub fn balance_at(&self, sequence: i64) -> BalanceId {
        match self {
            Self::Timed(terms) => terms.balance_at(sequence),
            Self::Arbitrated(terms) => terms.balance_at(sequence),
        }
    }

    /// Checks the signed funding that the consumer hands over before submitting it.
    ///
    /// # Errors
    /// The first difference from what was agreed.
    pub fn check_funding(
        &self,
        network: &NetworkId,
        envelope: &[u8],
        fund_by: Timestamp,
        params: &LedgerParams,
    ) -> Result<FundingSeen, FundingRefused> {
        match self {
            Self::Timed(terms) => terms.check_funding(network, envelope, fund_by, params),
            Self::Arbitrated(terms) => terms.check_funding(network, envelope, fund_by, params),
        }
    }

    /// What to read of the ledger to verify it, the balance first; `controller` is the account that its funding makes.
    pub fn keys(&self, balance: BalanceId, controller: Option<AccountId>) -> Vec<Key> {
        let mut keys = vec![Key::Balance(balance)];
        if let (Self::Arbitrated(terms), Some(controller)) = (self, controller) {
            keys.push(Key::Account(controller));
            if !terms.asset().is_native() {
                keys.push(Key::Trustline(controller, terms.asset().clone()));
            }
        }
        keys
    }

    /// Compares every field on the ledger with what was agreed: of the balance, and of what else was read with it. That the
    /// asset's issuer may claw it back is no difference where this node's owner accepts that of it, by name.
    ///
    /// # Errors
    /// The first difference.
    pub fn verify(
        &self,
        balance: &BalanceState,
        entries: &[Entry],
        accepts_clawback: bool,
        network: &NetworkId,
    ) -> Result<VerifiedEscrow, EscrowMismatch> {
        let clawback_enabled = balance.clawback_enabled && !accepts_clawback;
        let balance = &BalanceState { clawback_enabled, ..balance.clone() };
        let terms = match self {
            Self::Timed(terms) => return terms.verify(balance),
            Self::Arbitrated(terms) => terms,
        };
        let accepted = if accepts_clawback { LINE_CLAWBACK_ENABLED } else { 0 };
        let named = ArbitratedTerms::controller_of(balance);
        let controller = entries.iter().find_map(|entry| match entry {
            Entry::Account(account) if Some(account.id) == named => Some(account),
            _ => None,
        });
        let line = entries.iter().find_map(|entry| match entry {
            Entry::Trustline(line) if Some(line.account) == named && line.asset == *terms.asset() => {
                Some(TrustlineState { flags: line.flags & !accepted, ..line.clone() })
            }
            _ => None,
        });
        terms.verify(&Standing { balance, controller, line: line.as_ref() }, network)
    }

    /// What the timeout beneficiary sends to take it from T on.
    pub fn timeout_operations(&self, balance: BalanceId) -> Vec<Operation> {
        match self {
            Self::Timed(terms) => terms.refund_operations(balance),
            Self::Arbitrated(terms) => terms.timeout_operations(balance),
        }
    }

    /// When that may be included: from T on, `life` long from `now` or from T, whichever is later.
    pub fn timeout_bounds(&self, now: Timestamp, life: Duration) -> Bounds {
        match self {
            Self::Timed(terms) => terms.refund_bounds(now, life),
            Self::Arbitrated(terms) => terms.timeout_bounds(now, life),
        }
    }

    /// What the time of its absence tells.
    pub fn by_time(&self) -> ByTime {
        match self {
            Self::Timed(_) => ByTime::TIMED,
            Self::Arbitrated(terms) => ByTime {
                before: None,
                after: Some(match terms.timeout_beneficiary() {
                    TimeoutBeneficiary::Consumer => Taken::ByConsumer,
                    TimeoutBeneficiary::Recipient => Taken::ByRecipient,
                }),
            },
        }
    }

    /// What a successful transaction with this envelope did with the escrow in `balance`; `None` where it left it alone,
    /// or where nobody who may get the money has it.
    ///
    /// # Errors
    /// [`EnvelopeError`] where the envelope can't be read.
    pub fn taking(
        &self,
        balance: BalanceId,
        envelope: &[u8],
        network: &NetworkId,
    ) -> Result<Option<Taking>, EnvelopeError> {
        let transaction = SignedTransaction::read_included(envelope, network)?;
        if taking::claws_back(balance, &transaction) {
            return Ok(Some(Taking { taken: Taken::ByIssuer, paid: Vec::new() }));
        }
        Ok(match self {
            Self::Timed(terms) => terms.taken_by(balance, &transaction).map(|taken| Taking { taken, paid: Vec::new() }),
            Self::Arbitrated(terms) => {
                let (recipient, consumer) = (terms.recipient(), terms.consumer());
                Payees { recipient, consumer, asset: terms.asset() }.taking(balance, &transaction)
            }
        })
    }

    /// The `arbitrated` terms, where it is that kind.
    pub const fn arbitrated(&self) -> Option<&ArbitratedTerms> {
        match self {
            Self::Timed(_) => None,
            Self::Arbitrated(terms) => Some(terms),
        }
    }
}
