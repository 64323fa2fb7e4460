//! The roles of an exchange: what its issuer and its agent owe, by what the ledger shows.
//!
//! A role keeps no list of what it did. What it owes follows from the chain, and whatever it did is in the chain; so it can
//! be killed anywhere and owes the same afterwards, less what it did.

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use crate::account::AccountId;
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::community::Terms;
use crate::community::act::What;
use crate::community::chain::Chain;
use crate::community::rules::Look;
use crate::community::shape;
use crate::message::keccak;
use crate::stellar::Memo;
use crate::stellar::envelope::SignedTransaction;
use crate::stellar::ledger_key::Key;
use crate::time::Timestamp;

/// Answers that a role gives at once; more wait for their turn.
pub const MAX_DUE: usize = 32;

/// The most accounts that an agent ever lets in: it remembers each of them for good.
pub const MAX_MEMBERS: usize = 4_096;

/// A node's part in running an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// It issues the asset that it can take back.
    Issuer {
        /// How much of each asset the agent is given.
        issue: Stroops,
    },
    /// It gives out both assets and converts.
    Agent {
        /// Who may join; anyone where there is no list.
        members: Option<Vec<AccountId>>,
    },
}

/// A role with the terms of its exchange, as its owner's configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleSettings {
    /// Which.
    pub role: Role,
    /// The exchange.
    pub terms: Terms,
}

impl Role {
    /// The word for people and programs.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Issuer { .. } => "issuer",
            Self::Agent { .. } => "agent",
        }
    }
}

/// The key of the account that issues the asset which stays, from the issuer's own: that account does nothing but be there.
pub fn plain_issuer_key(issuer: &SigningKey) -> SigningKey {
    let seed = Zeroizing::new(issuer.to_bytes());
    let derived = Zeroizing::new(keccak(&[b"tradepost/1/plain-issuer\0", seed.as_slice()]));
    SigningKey::from_bytes(&derived)
}

/// What accounts hold of an exchange's assets, as far as it was read: a trustline that isn't there is missing.
pub type Holdings = BTreeMap<(AccountId, Asset), Stroops>;

/// The part of what waits that is looked at now: at most so many, and with every `turn` the next ones, so that the first
/// ones, which may fail for ever, never keep the others from their turn.
pub fn window<T>(mut waiting: Vec<T>, most: usize, turn: u32) -> Vec<T> {
    if waiting.len() > most {
        let parts = waiting.len().div_ceil(most);
        let from = (turn as usize % parts) * most;
        waiting.rotate_left(from);
        waiting.truncate(most);
    }
    waiting
}

impl RoleSettings {
    /// What must be read of the ledger before it can be told what this role owes.
    pub fn wants(&self, look: &Look<'_>, turn: u32) -> Vec<Key> {
        let Role::Issuer { .. } = self.role else { return Vec::new() };
        let terms = &self.terms;
        let mut keys = Vec::new();
        if !look.chain.is_endowed() {
            keys.extend([&terms.clawable, &terms.plain].map(|asset| Key::Trustline(terms.agent, asset.clone())));
        }
        let waiting = look.chain.payments().filter(|payment| look.waiting_repayment(payment).is_some());
        let payees: BTreeSet<AccountId> = waiting.map(|payment| payment.payee).collect();
        for payee in window(payees.into_iter().collect(), MAX_DUE, turn) {
            let key = Key::Trustline(payee, terms.clawable.clone());
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    /// All that this role owes now; it does a [`window`] of it at once.
    pub fn owed(&self, look: &Look<'_>, holdings: &Holdings) -> Vec<What> {
        match &self.role {
            Role::Agent { .. } => {
                let due = look.chain.payments().filter(|payment| look.due_conversion(payment).is_some());
                due.map(|payment| What::AnswerConversion { payment: payment.hash }).collect()
            }
            Role::Issuer { issue } => {
                let terms = &self.terms;
                // An agent that holds anything was given it, whatever this node remembers.
                let has_none = |asset: &Asset| holdings.get(&(terms.agent, asset.clone())) == Some(&Stroops::ZERO);
                let endow = !look.chain.is_endowed() && has_none(&terms.clawable) && has_none(&terms.plain);
                let endow = endow.then_some(What::Endow { amount: *issue });
                let holds = |payee| holdings.get(&(payee, terms.clawable.clone())).copied().unwrap_or_default();
                let due = look.chain.payments().filter(|p| look.repaid_from(p, holds(p.payee)).is_some());
                let due = due.map(|payment| What::AnswerRepayment { payment: payment.hash });
                endow.into_iter().chain(due).collect()
            }
        }
    }

    /// Whether this is an agent that only lets in whom its owner lists.
    pub const fn lists_members(&self) -> bool {
        matches!(&self.role, Role::Agent { members: Some(_) })
    }

    /// Whether the agent signs this transaction, by which somebody joins; else why not, in words for whoever asked.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn admits(
        &self,
        chain: &Chain,
        transaction: &SignedTransaction,
        who: AccountId,
        latest: Timestamp,
    ) -> Result<(), String> {
        let Role::Agent { members } = &self.role else { return Err("this node is no agent".to_owned()) };
        if members.as_ref().is_some_and(|listed| !listed.contains(&who)) {
            return Err("the account isn't among those who may join".to_owned());
        }
        if chain.has_joined(who) {
            return Err("the account has joined before; it is given its start once".to_owned());
        }
        if chain.joined() >= MAX_MEMBERS {
            return Err("as many have joined this exchange as its agent can keep in mind".to_owned());
        }
        let expected = shape::join(&self.terms, who).map_err(|e| e.to_string())?;
        let until = transaction.time_bounds().and_then(|(_, until)| until);
        if transaction.source() != who || transaction.operations() != expected || *transaction.memo() != Memo::None {
            return Err("the transaction isn't the one by which an account joins this exchange".to_owned());
        }
        if until.is_none_or(|until| until > latest) {
            return Err("the transaction could be included later than an ordinary one".to_owned());
        }
        if transaction.signature_count() != 1 || !transaction.is_signed_by(who) {
            return Err("the transaction isn't signed by the account that joins, and by it alone".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_waits_has_its_turn_however_many_wait_before_it() {
        for many in [0, 1, MAX_DUE, MAX_DUE + 1, 2 * MAX_DUE, 5 * MAX_DUE + 7] {
            let all: BTreeSet<usize> = (0..many).collect();
            let turns = many.div_ceil(MAX_DUE).max(1) as u32;
            // From whichever turn on.
            for first in [0, 3, u32::MAX - 20] {
                let looks = (0..turns).map(|n| window((0..many).collect(), MAX_DUE, first + n));
                let looks: Vec<Vec<usize>> = looks.collect();
                assert!(looks.iter().all(|part| part.len() == many.min(MAX_DUE)), "{many}");
                assert_eq!(looks.into_iter().flatten().collect::<BTreeSet<_>>(), all, "{many} from {first}");
            }
        }
    }

    #[test]
    fn the_other_issuers_key_follows_from_the_issuers_and_stays_the_same() {
        let key = |n| plain_issuer_key(&SigningKey::from_bytes(&[n; 32]));
        assert_ne!(key(1).to_bytes(), key(2).to_bytes());
        // Written down: a change would lose the account.
        let first = hex::encode(key(1).verifying_key().as_bytes());
        assert_eq!(first, "1d4ece86dcb5171db2f5503a506d7807432a40d41a90b3a2e73a5990000077e7");
    }
}
