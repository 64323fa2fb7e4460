//! Transactions about what stands on the ledger, by those whom it doesn't belong to or at the wrong time.

use ed25519_dalek::SigningKey;
use stellar_xdr::{
    ClaimPredicate, LedgerKey, LedgerKeyClaimableBalance, OperationBody, RevokeSponsorshipOp, SignerKey, Uint256,
};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::binding::phase::Side;
use tradepost_protocol::binding::trade::Trade;
use tradepost_protocol::escrow::controller::{self, Unlock};
use tradepost_protocol::stellar::entry::BalanceClaimant;
use tradepost_protocol::stellar::predicate::Predicate;
use tradepost_protocol::stellar::transaction::{Bounds, Envelope, Unsigned};
use tradepost_protocol::stellar::{Memo, Operation, balance_id, operation};

use super::super::{CROOK, CROOKED_ARBITER, Day, NODES};
use super::RAISED_FEE;
use crate::simulation::cheats::Trick;
use crate::simulation::judge::Target;
use crate::world::{keys_of, trade_key};

/// What is paid where a payment means nothing, in stroops.
const LITTLE: Stroops = Stroops::whole(0);

impl Day {
    /// Plays a trick; `None` where there is nothing to play it on, else whether a transaction was handed in.
    pub(super) fn play(&mut self, trick: Trick) -> Option<bool> {
        let own = self.cheat.account();
        let one = Stroops::new(1).unwrap_or(LITTLE);
        match trick {
            Trick::ClaimAsNobody => {
                let target = self.target(|_| true)?;
                Some(self.hand_in(vec![operation::claim(target.balance)], &[]))
            }
            Trick::ClaimAsParty => {
                let account = self.world.account(NODES[CROOK]);
                let target = self.target(|t| [t.consumer, t.recipient].contains(&account))?;
                let key = self.keys(CROOK).0;
                Some(self.hand_in(vec![operation::by(account, operation::claim(target.balance))], &[&key]))
            }
            Trick::ClaimAsArbiter => {
                let (target, key) = (self.target(|t| !t.arbiters.is_empty())?, self.keys(CROOKED_ARBITER).0);
                let claim = operation::by(AccountId::of(&key), operation::claim(target.balance));
                Some(self.hand_in(vec![claim], &[&key]))
            }
            Trick::ClaimAsController => {
                let (target, key) = self.own_target()?;
                Some(self.hand_in(self.payout(&target, own), &[&key]))
            }
            Trick::ClaimByArbiter => {
                let target = self.target(|t| !t.arbiters.is_empty())?;
                let key = self.keys(CROOKED_ARBITER).1;
                Some(self.hand_in(self.payout(&target, own), &[&key]))
            }
            Trick::AwardToAThird => {
                let (target, key) = self.own_target()?;
                // Whom both sides trust alone decides alone: that is no cheating, by what both said.
                let arbiter = self.keys(CROOKED_ARBITER);
                if target.arbiters == [AccountId::of(&arbiter.0)] {
                    return None;
                }
                let third = self.world.ledger().root();
                let mut operations = self.payout(&target, own);
                let claimant = BalanceClaimant { account: third, predicate: Predicate::Always };
                operations.push(operation::create_balance(&target.sum.asset, one, &[claimant]).ok()?);
                Some(self.hand_in(operations, &[&key, &arbiter.1]))
            }
            Trick::ClaimAgain => {
                let gone = self.judge.gone();
                let balance = *gone.get(self.pick(gone.len().max(1)))?;
                let (account, key) = (self.world.account(NODES[CROOK]), self.keys(CROOK).0);
                Some(self.hand_in(vec![operation::by(account, operation::claim(balance))], &[&key]))
            }
            Trick::DrainController => {
                let (target, key) = self.own_target()?;
                let pay = operation::pay(own, &tradepost_protocol::asset::Asset::Native, one);
                Some(self.hand_in(vec![operation::by(target.controller, pay)], &[&key]))
            }
            Trick::MergeController => {
                let (target, key) = self.own_target()?;
                Some(self.hand_in(vec![operation::by(target.controller, operation::merge(own))], &[&key]))
            }
            Trick::MergeByMaster => {
                let (_, trade) =
                    self.crooks_trade(|t| t.state.side == Side::Consumer && t.state.controller.is_some())?;
                let made = trade.state.controller?;
                let network = self.world.ledger().network();
                let master = controller::key(&self.keys(CROOK).0, &network, made.sequence);
                if self.world.close_time() >= trade.terms()?.terms.refund_at()? {
                    return None;
                }
                let merge = operation::merge(self.world.account(NODES[CROOK]));
                Some(self.hand_in(vec![operation::by(made.account, merge)], &[&master]))
            }
            Trick::WeighMaster => {
                let (target, key) = self.own_target()?;
                Some(self.hand_in(vec![operation::by(target.controller, operation::set_master_weight(255))], &[&key]))
            }
            Trick::AddSigner => {
                let (target, key) = self.own_target()?;
                let signer = SignerKey::Ed25519(Uint256(*own.as_bytes()));
                Some(self.hand_in(vec![operation::by(target.controller, operation::add_signer(signer, 255))], &[&key]))
            }
            Trick::BumpController => {
                let (target, key) = self.own_target()?;
                Some(self.hand_in(vec![operation::by(target.controller, operation::bump_sequence(i64::MAX))], &[&key]))
            }
            Trick::Unlock => self.unlock(|_| {}),
            Trick::BurnUnlock => self.unlock(|unsigned| unsigned.operations.push(operation::bump_sequence(i64::MAX))),
            Trick::RevokeSponsorship => {
                let account = self.world.account(NODES[CROOK]);
                let (target, key) = (self.target(|t| t.consumer == account)?, self.keys(CROOK).0);
                let balance_id = balance_id::to_xdr(target.balance);
                let entry = LedgerKey::ClaimableBalance(LedgerKeyClaimableBalance { balance_id });
                let body = OperationBody::RevokeSponsorship(RevokeSponsorshipOp::LedgerEntry(entry));
                Some(self.hand_in(vec![operation::by(account, Operation { source_account: None, body })], &[&key]))
            }
            Trick::ClaimShare => self.claim_of(self.judge.shares()),
            Trick::ClaimBond => self.claim_of(self.judge.bonds()),
            Trick::PayInstead => {
                let offered = self.offered.iter().find(|o| !o.free && o.provider != CROOK)?;
                let to = self.world.account(NODES[offered.provider]);
                Some(self.hand_in(vec![operation::pay(to, &tradepost_protocol::asset::Asset::Native, one)], &[]))
            }
            Trick::MakeController => {
                let (_, trade) =
                    self.crooks_trade(|t| t.state.side == Side::Provider && t.state.controller.is_some())?;
                let made = trade.state.controller?.account;
                if self.world.ledger().account(made).is_some() {
                    return None;
                }
                Some(self.hand_in(vec![operation::create_account(made, Stroops::whole(30))], &[]))
            }
            Trick::HandIn => {
                let envelope = self.overheard()?;
                self.world.ledger().submit(&envelope);
                Some(true)
            }
            Trick::BumpFunding => {
                let network = self.world.ledger().network();
                let envelope = Envelope::read(&self.overheard()?, &network).ok()?;
                let bumped = envelope.bump_fee(RAISED_FEE, &self.cheat.key, &network).ok()?;
                self.world.ledger().submit(bumped.bytes());
                Some(true)
            }
            Trick::Spam => {
                let to = self.pick(NODES.len());
                let account = self.world.account(NODES[to]);
                let claimant =
                    BalanceClaimant { account, predicate: Predicate::Other(ClaimPredicate::BeforeRelativeTime(9)) };
                let native = tradepost_protocol::asset::Asset::Native;
                Some(self.hand_in(vec![operation::create_balance(&native, one, &[claimant]).ok()?], &[]))
            }
            Trick::Decoy => self.fund_beside_a_decoy(false),
            Trick::Twin => self.fund_beside_a_decoy(true),
            Trick::Dust => {
                let target = self.target(|t| !t.arbiters.is_empty())?;
                let native = tradepost_protocol::asset::Asset::Native;
                Some(self.hand_in(vec![operation::pay(target.controller, &native, one)], &[]))
            }
        }
    }

    /// The account's and the serving key of a node.
    fn keys(&self, node: usize) -> (SigningKey, SigningKey) {
        let keys = keys_of(self.world.seed(), NODES[node]);
        (keys.account.expect("a trader's keys"), keys.serving.expect("a trader's keys"))
    }

    /// An escrow that stands.
    fn target(&mut self, which: impl Fn(&Target) -> bool) -> Option<Target> {
        let mut all: Vec<Target> = self.judge.standing().into_iter().filter(|target| which(target)).collect();
        let at = self.pick(all.len().max(1));
        (!all.is_empty()).then(|| all.swap_remove(at))
    }

    fn crooks_trade(&mut self, which: impl Fn(&Trade) -> bool) -> Option<(usize, Trade)> {
        self.trade_of(CROOK, which).map(|trade| (CROOK, trade))
    }

    /// An `arbitrated` escrow that stands and that the crook is a party of, with the key by which it moves the controller.
    fn own_target(&mut self) -> Option<(Target, SigningKey)> {
        let account = self.world.account(NODES[CROOK]);
        let target = self.target(|t| !t.arbiters.is_empty() && [t.consumer, t.recipient].contains(&account))?;
        let trade = self.trade_of(CROOK, |t| t.binding() == Some(target.binding))?;
        let keys = self.keys(CROOK);
        let key = if self.crook_is(Side::Consumer, &trade) { trade_key(&keys.0, &trade) } else { keys.1 };
        Some((target, key))
    }

    fn payout(&self, target: &Target, to: AccountId) -> Vec<Operation> {
        let amount = Stroops::new(target.sum.stroops).unwrap_or_default();
        vec![
            operation::by(target.controller, operation::claim(target.balance)),
            operation::by(target.controller, operation::pay(to, &target.sum.asset, amount)),
        ]
    }

    fn claim_of(&mut self, all: Vec<tradepost_protocol::message::BalanceId>) -> Option<bool> {
        let balance = *all.get(self.pick(all.len().max(1)))?;
        Some(self.hand_in(vec![operation::claim(balance)], &[]))
    }

    /// The transaction that gives a controller back, or what `change` makes of it, for the stranger's fee.
    fn unlock(&mut self, change: impl Fn(&mut Unsigned)) -> Option<bool> {
        let target = self.target(|t| !t.arbiters.is_empty())?;
        let account = self.world.ledger().account(target.controller)?;
        let threshold = 2 * target.arbiters.len().div_ceil(2) as u8;
        let (controller, deadline) = (target.controller, target.refund_at);
        let unlock = Unlock { controller, start: account.sequence, deadline, threshold };
        let network = self.world.ledger().network();
        let mut unsigned = Unsigned {
            source: controller,
            sequence: account.sequence + 1,
            fee: 0,
            bounds: Bounds::from_on(deadline),
            memo: Memo::None,
            operations: vec![operation::set_master_weight(threshold)],
        };
        debug_assert_eq!(unsigned.hash(&network).ok(), unlock.hash(&network).ok());
        change(&mut unsigned);
        let envelope = unsigned.sign(&[], &network).ok()?;
        let bumped = envelope.bump_fee(RAISED_FEE, &self.cheat.key, &network).ok()?;
        self.world.ledger().submit(bumped.bytes());
        Some(true)
    }

    /// A funding envelope that the crook has seen.
    fn overheard(&mut self) -> Option<Vec<u8>> {
        let facts = self.world.some_facts(NODES[CROOK])?;
        let mut all = facts.envelopes();
        let at = self.pick(all.len().max(1));
        (!all.is_empty()).then(|| all.swap_remove(at))
    }
}
