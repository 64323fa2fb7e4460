//! Worlds that break a promise that the product relies on, or in which the nodes forget one of their rules.
//!
//! Nothing of it is in the product: a mutant lies in what the world keeps for its nodes, tells them of the ledger, or hands in
//! for them.

use stellar_xdr::{
    Claimant, DecoratedSignature, Operation, OperationBody, Preconditions, Signature, SignerKey, Transaction,
    TransactionEnvelope, TransactionV1Envelope, Uint256,
};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::binding::phase::Side;
use tradepost_protocol::binding::trade::Trade;
use tradepost_protocol::escrow::terms::EscrowTerms;
use tradepost_protocol::market::event::Ask;
use tradepost_protocol::stellar::entry::Entry;
use tradepost_protocol::stellar::xdr;
use tradepost_store::MemoryStore;
use tradepost_store::memory::Syncing;

use ed25519_dalek::{Signer as _, SigningKey};

use super::{Address, World, trade_key};

/// A promise that the world breaks, or a rule that its nodes lack then. The product can't hold its own, and whoever judges
/// the world has to notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// The store acknowledges a batch before it is on disk; only a ledger's close brings it there.
    AcknowledgesEarly,
    /// The runner sets no timer after a restart: neither ticks nor the look at the newest ledger.
    DropsTimers,
    /// Nodes don't compare an escrow's amount: the ledger's client says that each holds what was agreed.
    AmountNotCompared,
    /// Nodes don't compare what the signers of a controller weigh: the ledger's client says that each weighs what was agreed.
    WeightNotCompared,
    /// Nodes set no latest time for their claims: what they hand in is signed anew without one.
    ClaimsAtAnyTime,
    /// A node that starts again claims again what it claimed before.
    ClaimsAgain,
    /// Nobody who signs a settlement compares whom it pays: a share of each goes to a third account.
    PaysAThird,
}

impl Mutant {
    /// Every mutant.
    pub const ALL: [Self; 7] = [
        Self::AcknowledgesEarly,
        Self::DropsTimers,
        Self::AmountNotCompared,
        Self::WeightNotCompared,
        Self::ClaimsAtAnyTime,
        Self::ClaimsAgain,
        Self::PaysAThird,
    ];
}

impl World {
    /// Breaks a promise from now on, for the nodes that are added after this.
    pub fn break_promise(&mut self, mutant: Mutant) {
        self.mutant = Some(mutant);
    }

    pub(super) fn new_store(&self) -> MemoryStore {
        match self.mutant {
            Some(Mutant::AcknowledgesEarly) => MemoryStore::new(Syncing::ByHand),
            _ => MemoryStore::default(),
        }
    }

    pub(super) fn sync_late_disks(&self) {
        if self.mutant == Some(Mutant::AcknowledgesEarly) {
            self.nodes.iter().for_each(|node| node.store.sync());
        }
    }

    /// Whether a node's runner wakes it up.
    pub(super) fn has_timers(&self, (_, generation): Address) -> bool {
        self.mutant != Some(Mutant::DropsTimers) || generation == 1
    }

    pub(super) fn maybe_lie(&self, (index, _): Address, ask: &Ask, entries: &mut [Entry]) {
        let Some(mutant @ (Mutant::AmountNotCompared | Mutant::WeightNotCompared)) = self.mutant else { return };
        let Some(life) = self.nodes[index].life.as_ref().filter(|_| *ask.plain() == Ask::Escrows) else { return };
        for entry in entries {
            let mut trades = life.market.trades();
            match entry {
                Entry::Balance(balance) if mutant == Mutant::AmountNotCompared => {
                    if let Some(terms) = trades.find(|t| t.state.balance == Some(balance.id)).and_then(|t| t.terms()) {
                        balance.amount = terms.amount;
                    }
                }
                Entry::Account(account) if mutant == Mutant::WeightNotCompared => {
                    let its = |t: &&Trade| t.state.controller.is_some_and(|c| c.account == account.id);
                    let Some(EscrowTerms::Arbitrated(terms)) = trades.find(its).and_then(|t| t.escrow_terms()) else {
                        continue;
                    };
                    for (key, weight) in terms.signers().weights() {
                        let key = SignerKey::Ed25519(Uint256(*key.as_bytes()));
                        for signer in account.signers.iter_mut().filter(|signer| signer.key == key) {
                            signer.weight = u32::from(weight);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// What a node hands in, as its mutant makes it.
    pub(super) fn mutated(&mut self, index: usize, envelope: Vec<u8>) -> Vec<u8> {
        let (Some(mutant), Ok(TransactionEnvelope::Tx(v1))) =
            (self.mutant, xdr::read::<TransactionEnvelope>("transaction envelope", &envelope))
        else {
            return envelope;
        };
        let first = v1.tx.operations.first().cloned();
        let Some(first @ Operation { body: OperationBody::ClaimClaimableBalance(_), .. }) = first else {
            return envelope;
        };
        let own = first.source_account.is_none();
        let mut tx = v1.tx.clone();
        match mutant {
            Mutant::ClaimsAtAnyTime if own => tx.cond = Preconditions::None,
            Mutant::PaysAThird if !own => {
                let third = xdr::account(self.ledger.root());
                let mut operations = tx.operations.to_vec();
                let share = operations.iter_mut().find_map(|op| match &mut op.body {
                    OperationBody::CreateClaimableBalance(create) => Some(create),
                    _ => None,
                });
                let Some(share) = share else { return envelope };
                let mut claimants = share.claimants.to_vec();
                claimants.iter_mut().for_each(|Claimant::ClaimantTypeV0(v0)| v0.destination = third.clone());
                share.claimants = claimants.try_into().expect("as many as before");
                tx.operations = operations.try_into().expect("as many as before");
            }
            Mutant::ClaimsAgain => {
                self.nodes[index].claimed = Some(v1);
                return envelope;
            }
            _ => return envelope,
        }
        self.signed_anew(tx, &v1.signatures).unwrap_or(envelope)
    }

    /// A transaction signed by those who signed another one; nothing where their keys aren't the world's.
    fn signed_anew(&mut self, tx: Transaction, signatures: &[DecoratedSignature]) -> Option<Vec<u8>> {
        let hash = tx.hash(*self.ledger.network().as_bytes()).ok()?;
        let keys = self.all_keys();
        let anew = signatures.iter().map(|old| {
            let its = |key: &&SigningKey| key.verifying_key().to_bytes()[28..] == old.hint.0;
            let signature = keys.iter().find(its)?.sign(&hash).to_bytes().to_vec();
            Some(DecoratedSignature { hint: old.hint.clone(), signature: Signature(signature.try_into().ok()?) })
        });
        let signatures: Vec<DecoratedSignature> = anew.collect::<Option<_>>()?;
        let signatures = signatures.try_into().ok()?;
        xdr::write(&TransactionEnvelope::Tx(TransactionV1Envelope { tx, signatures })).ok()
    }

    /// The keys of all nodes, those for single trades among them.
    fn all_keys(&self) -> Vec<SigningKey> {
        let mut keys = Vec::new();
        for node in &self.nodes {
            let own = &node.setup.keys;
            keys.extend(own.account.iter().chain(&own.serving).cloned());
            let trades = node.life.iter().flat_map(|life| life.market.trades());
            let consumed = trades.filter(|trade| trade.state.side == Side::Consumer);
            keys.extend(consumed.zip(own.account.iter().cycle()).map(|(trade, key)| trade_key(key, trade)));
        }
        keys
    }

    /// What a node does at its start that claims again.
    pub(super) fn claim_again(&mut self, index: usize) {
        let Some(TransactionV1Envelope { mut tx, signatures }) = self.nodes[index].claimed.clone() else { return };
        let account = xdr::read_plain(&tx.source_account).and_then(|source: AccountId| self.ledger.account(source));
        let Some(account) = account else { return };
        tx.seq_num.0 = account.sequence + 1;
        if let Some(envelope) = self.signed_anew(tx, &signatures) {
            self.ledger.submit(&envelope);
        }
    }
}
