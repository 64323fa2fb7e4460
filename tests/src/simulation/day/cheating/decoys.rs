//! A second balance for one binding: the stranger funds it as it should, locks the same once more, and asks the arbiters about
//! that.

use core::time::Duration;

use tradepost_protocol::account::{AccountId, ServingKey};
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::binding::agreement::{self, Agreement};
use tradepost_protocol::binding::dispute::Split;
use tradepost_protocol::binding::frames::{self, Dispute};
use tradepost_protocol::binding::phase::Side;
use tradepost_protocol::message::{BalanceId, Signed};

use super::super::{CROOK, CROOKED_ARBITER, Day, Later, NODES, TRADERS, Takes};
use crate::simulation::cheats::Change;
use crate::world::keys_of;

/// The stranger's account has one transaction in each ledger.
const NEXT_LEDGER: Duration = Duration::from_millis(1_300);
/// It asks the arbiters again after this time, and so often, for one may be off.
const ASKS_EVERY: Duration = Duration::from_secs(2);
const MAX_ASKED: u32 = 4;
/// So often it tries to lock it, while others of its transactions take their turn.
const MAX_TRIES: u32 = 5;

/// A balance beside the one that was agreed.
#[derive(Debug)]
pub(in super::super) struct Decoy {
    agreement: Signed<Agreement>,
    /// Whether it is right in everything.
    twin: bool,
    /// It, once it is handed in.
    balance: Option<BalanceId>,
    tries: u32,
}

impl Day {
    /// Binds under arbiters and funds it as agreed; the decoy follows with the next ledger.
    pub(super) fn fund_beside_a_decoy(&mut self, twin: bool) -> Option<bool> {
        let paid: Vec<_> = self.offered.iter().filter(|o| !o.free && o.provider != CROOK).copied().collect();
        let offered = paid[self.pick(paid.len())];
        let provider = NODES[offered.provider];
        let honest = TRADERS + self.pick(CROOKED_ARBITER - TRADERS);
        let all = if self.pick(3) == 0 { TRADERS..NODES.len() } else { honest..honest + 1 };
        let arbiters = all.map(|node| keys_of(self.world.seed(), NODES[node]).account_id());
        let arbiters: Vec<AccountId> = arbiters.collect::<Option<_>>()?;
        let agreement = self.cheat.request_under(&mut self.world, provider, &offered.published, 2, &arbiters).ok()?;
        let sequence = self.world.ledger().account(self.cheat.account())?.sequence + 1;
        let funding = self.funding_with(&agreement, sequence, None)?;
        self.cheat.try_hand_over(&mut self.world, provider, &agreement, &funding);
        self.world.ledger().submit(funding.bytes());
        self.handed_in_at = self.world.newest_ledger().sequence;
        let balance = agreement::escrow_terms(&agreement)?.balance_at(sequence);
        self.wants_back(balance, &agreement)?;
        self.put_off(NEXT_LEDGER, Later::Decoy(Box::new(Decoy { agreement, twin, balance: None, tries: 0 })));
        Some(true)
    }

    /// Locks the decoy, once the funding is in a ledger.
    pub(in super::super) fn locks_decoy(&mut self, mut decoy: Decoy) {
        decoy.tries += 1;
        let busy = self.handed_in_at == self.world.newest_ledger().sequence;
        if busy && decoy.tries <= MAX_TRIES {
            return self.put_off(NEXT_LEDGER, Later::Decoy(Box::new(decoy)));
        }
        let Some(account) = self.world.ledger().account(self.cheat.account()) else { return };
        let sequence = account.sequence + 1;
        let change = (!decoy.twin).then_some(Change::Controller);
        let Some(terms) = agreement::escrow_terms(&decoy.agreement) else { return };
        let Some(funding) = self.funding_with(&decoy.agreement, sequence, change) else { return };
        self.world.ledger().submit(funding.bytes());
        self.handed_in_at = self.world.newest_ledger().sequence;
        let balance = terms.balance_at(sequence);
        self.wants_back(balance, &decoy.agreement);
        decoy.balance = Some(balance);
        decoy.tries = 0;
        self.put_off(NEXT_LEDGER, Later::NameDecoy(Box::new(decoy)));
    }

    /// Asks every arbiter about the decoy.
    pub(in super::super) fn names_decoy(&mut self, mut decoy: Decoy) {
        let Some(balance) = decoy.balance else { return };
        let (network, at) = (self.world.ledger().network(), self.world.now().timestamp());
        let (binding, key) = (agreement::binding_id(&decoy.agreement), ServingKey::of(&self.cheat.signing));
        let claim = Split::all_to(Side::Consumer, decoy.agreement.body().amount);
        let bytes = decoy.agreement.packed().bytes().to_vec();
        let dispute = Dispute { key, binding, at, claim, balance, agreement: bytes, receipt: None };
        let Ok(frame) = Signed::sign(dispute, &network, &self.cheat.signing) else { return };
        self.judge.dispute_said(frame.body());
        for arbiter in &decoy.agreement.body().arbiters {
            let node = NODES.iter().find(|name| self.world.account(name) == arbiter.account);
            if let Some(node) = node {
                let peer = self.cheat.peer.clone();
                self.world.say(&peer, node, frames::to_stream(frame.packed()));
            }
        }
        decoy.tries += 1;
        if decoy.tries < MAX_ASKED {
            self.put_off(ASKS_EVERY, Later::NameDecoy(Box::new(decoy)));
        }
    }

    fn wants_back(&mut self, balance: BalanceId, agreement: &Signed<Agreement>) -> Option<()> {
        let terms = agreement::escrow_terms(agreement)?;
        let (controller, beneficiary, recipient) = (None, None, terms.recipient());
        let (asset, amount): (_, Stroops) = (terms.asset().clone(), terms.amount());
        let (weight, fund_by, tries) = (0, agreement.body().terms.fund_by(), 0);
        let takes = Takes { balance, controller, beneficiary, recipient, asset, amount, weight, fund_by, tries };
        let after = self.between(3_000, 12_000);
        self.put_off(after, Later::TakeBack(Box::new(takes)));
        Some(())
    }
}
