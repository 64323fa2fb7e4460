//! Escrow: money locked for one binding in one claimable balance.

pub mod arbitrated;
pub mod controller;
pub mod funding;
pub mod outcome;
pub mod settlement;
pub mod shape;
pub mod taking;
pub mod terms;
pub mod timed;

use core::fmt;
use core::str::FromStr;

use bincode::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::account::{AccountId, ServingKey};
use crate::amount::Stroops;
use crate::limits::MAX_ARBITERS;
use crate::message::BindingId;

/// How a binding's money is held, and thereby whom it protects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "snake_case")]
pub enum EscrowKind {
    /// Paid in advance, refunded unless the recipient collects before T.
    Timed,
    /// Held by a controller until both parties, or one and a majority of arbiters, say who is paid.
    Arbitrated,
}

impl EscrowKind {
    /// The word that documents use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timed => "timed",
            Self::Arbitrated => "arbitrated",
        }
    }

    /// What it protects against, and what not, for people.
    pub const fn protects(self) -> &'static str {
        match self {
            Self::Timed => {
                "against a provider that disappears, not against one that cheats: \
                 paid in advance, refunded unless collected before the deadline"
            }
            Self::Arbitrated => {
                "both sides against one that cheats: paid when both agree, or one and a majority of the arbiters that \
                 both chose; neither side alone and no arbiters alone can take it"
            }
        }
    }
}

/// A word that is no kind of escrow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no kind of escrow: timed or arbitrated")]
pub struct UnknownKind(String);

impl FromStr for EscrowKind {
    type Err = UnknownKind;
    fn from_str(word: &str) -> Result<Self, UnknownKind> {
        let known = [Self::Timed, Self::Arbitrated].into_iter().find(|kind| kind.as_str() == word);
        known.ok_or_else(|| UnknownKind(word.to_owned()))
    }
}

impl fmt::Display for EscrowKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Terms that can't be an escrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TermsError {
    /// Nothing to lock.
    #[error("an amount of 0 needs no escrow")]
    NothingToHold,
    /// The ledger refuses the same claimant twice.
    #[error("consumer and recipient are the same account; an escrow needs two")]
    SameParty,
    /// Money can't be locked in favour of a key that is the binding's id.
    #[error("a party's account equals the binding's id")]
    PartyIsHash,
    /// An even number of arbiters can stand still; more than the most don't fit.
    #[error("{0} arbiters; expected an odd number from 1 to {MAX_ARBITERS}")]
    ArbiterCount(usize),
    /// A key would count twice.
    #[error("{0} signs in two roles; provider, consumer and each arbiter need a key of their own")]
    SameSigner(ServingKey),
    /// Nothing would be left to divide.
    #[error("the arbiters' fees take up the whole amount")]
    FeesTakeAll,
}

impl TermsError {
    /// What every kind of escrow needs.
    fn check(binding: BindingId, consumer: AccountId, recipient: AccountId, amount: Stroops) -> Result<(), TermsError> {
        if amount.is_zero() {
            return Err(Self::NothingToHold);
        }
        if consumer == recipient {
            return Err(Self::SameParty);
        }
        if [consumer, recipient].iter().any(|party| party.as_bytes() == binding.as_bytes()) {
            return Err(Self::PartyIsHash);
        }
        Ok(())
    }
}
