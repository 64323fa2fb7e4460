//! Fundings that are otherwise than agreed, in one thing at a time.

use core::time::Duration;

use ed25519_dalek::SigningKey;
use stellar_xdr::{
    BeginSponsoringFutureReservesOp, ClaimPredicate, Claimant, ClaimantV0, CreateClaimableBalanceOp, OperationBody,
    SetOptionsOp, Signer, SignerKey, Uint256,
};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::binding::agreement::{self, Agreement};
use tradepost_protocol::escrow::controller;
use tradepost_protocol::escrow::terms::EscrowTerms;
use tradepost_protocol::limits::Margins;
use tradepost_protocol::message::Signed;
use tradepost_protocol::stellar::predicate::Predicate;
use tradepost_protocol::stellar::transaction::{Bounds, Envelope, Unsigned};
use tradepost_protocol::stellar::{Memo, Operation, operation, xdr};

use super::super::{CROOK, Day, Later, NODES, TRADERS, Takes};
use crate::simulation::cheats::Change;
use crate::world::keys_of;

/// How much later or earlier than agreed somebody may claim.
const OFF_BY: Duration = Duration::from_secs(20);

/// Keys that a cheat has besides its own.
struct Others {
    /// Of the crook's account.
    crook: SigningKey,
    /// Of nobody's.
    spare: SigningKey,
}

impl Day {
    /// Binds, hands the right funding over or the wrong one where it is to be shown, and submits the wrong one. `None` where
    /// it comes to nothing, or where the change makes no difference to what was agreed.
    pub(super) fn fund_otherwise(&mut self, change: Change, shown: bool) -> Option<()> {
        let paid: Vec<_> = self.offered.iter().filter(|o| !o.free && o.provider != CROOK).copied().collect();
        let offered = paid[self.pick(paid.len())];
        let provider = NODES[offered.provider];
        let arbiters = match self.pick(4) {
            0 if change < Change::NoController => TRADERS..TRADERS,
            // With one arbiter everybody weighs the same.
            1 => TRADERS..NODES.len(),
            _ => {
                let which = TRADERS + self.pick(NODES.len() - TRADERS);
                which..which + 1
            }
        };
        let arbiters = arbiters.map(|node| keys_of(self.world.seed(), NODES[node]).account_id());
        let arbiters: Vec<AccountId> = arbiters.collect::<Option<_>>()?;
        let agreement = self.cheat.request_under(&mut self.world, provider, &offered.published, 2, &arbiters).ok()?;
        let sequence = self.world.ledger().account(self.cheat.account())?.sequence + 1;
        let right = self.funding_with(&agreement, sequence, None)?;
        let wrong = self.funding_with(&agreement, sequence, Some(change))?;
        if right == wrong {
            return None;
        }
        let handed_over = if shown { &wrong } else { &right };
        self.cheat.try_hand_over(&mut self.world, provider, &agreement, handed_over);
        self.world.ledger().submit(wrong.bytes());
        self.handed_in_at = self.world.newest_ledger().sequence;
        let terms = agreement::escrow_terms(&agreement)?;
        let network = self.world.ledger().network();
        let made = AccountId::of(&controller::key(&self.cheat.key, &network, sequence));
        let takes = Takes {
            balance: terms.balance_at(sequence),
            controller: terms.arbitrated().map(|_| made),
            beneficiary: (change == Change::Beneficiary).then(|| self.others().crook),
            recipient: terms.recipient(),
            asset: terms.asset().clone(),
            amount: terms.amount(),
            weight: terms.arbitrated().map_or(0, |terms| terms.signers().majority()),
            fund_by: agreement.body().terms.fund_by(),
            tries: 0,
        };
        if self.clawable && !takes.asset.is_native() && self.pick(2) == 0 {
            let after = self.between(2_000, 6_000);
            self.put_off(after, Later::ClawBack { balance: takes.balance, waits: 0 });
        }
        let after = self.between(3_000, 12_000);
        self.put_off(after, Later::TakeBack(Box::new(takes)));
        Some(())
    }

    fn others(&self) -> Others {
        let crook = keys_of(self.world.seed(), NODES[CROOK]).account.expect("a trader's keys");
        Others { crook, spare: SigningKey::from_bytes(&[0x77; 32]) }
    }

    /// The funding of an agreement, with one thing changed.
    pub(super) fn funding_with(
        &mut self,
        agreement: &Signed<Agreement>,
        sequence: i64,
        change: Option<Change>,
    ) -> Option<Envelope> {
        let (network, params) = (self.world.ledger().network(), self.world.ledger().params());
        let fund_by = agreement.body().terms.fund_by();
        let key = controller::key(&self.cheat.key, &network, sequence);
        let others = self.others();
        let own = self.cheat.key.clone();
        let mut keys = vec![&own];
        let (mut operations, bounds) = match agreement::escrow_terms(agreement)? {
            EscrowTerms::Timed(terms) => (vec![terms.fund_operation().ok()?], Bounds::until(fund_by)),
            EscrowTerms::Arbitrated(terms) => {
                let before = self.world.newest_ledger().sequence + Margins::DEVNET.funding_ledgers;
                let operations = terms.fund_operations(AccountId::of(&key), before, &network, &params).ok()?;
                keys.push(&key);
                (operations, terms.fund_bounds(fund_by, before))
            }
        };
        if let Some(change) = change {
            self.change(change, &mut operations, AccountId::of(&key), &others)?;
            match change {
                Change::NoController => keys.truncate(1),
                Change::Sponsored => keys.push(&others.crook),
                _ => {}
            }
        }
        let fee = 100 * operations.len() as u32;
        let (source, memo) = (self.cheat.account(), Memo::None);
        Unsigned { source, sequence, fee, bounds, memo, operations }.sign(&keys, &network).ok()
    }

    /// Changes one thing; `None` where there is no such thing.
    fn change(
        &mut self,
        change: Change,
        operations: &mut Vec<Operation>,
        made: AccountId,
        others: &Others,
    ) -> Option<()> {
        let issued = xdr::asset(&self.world.ledger().issued_asset());
        let crook = AccountId::of(&others.crook);
        let of_made = |operation| operation::by(made, operation);
        let create = match &mut operations.first_mut()?.body {
            OperationBody::CreateClaimableBalance(create) => create,
            _ => return None,
        };
        match change {
            Change::AmountLess => create.amount -= 1,
            Change::AmountMore => create.amount += 1,
            Change::Asset if create.asset == stellar_xdr::Asset::Native => create.asset = issued,
            Change::Asset => create.asset = stellar_xdr::Asset::Native,
            Change::Controller => {
                claimants(create, |all| all[0].destination = xdr::account(AccountId::of(&others.spare)))
            }
            Change::Beneficiary => claimants(create, |all| all[1].destination = xdr::account(crook)),
            Change::Hash => claimants(create, |all| all[2].destination = xdr::account(AccountId::from_bytes([9; 32]))),
            Change::ControllerLater => claimants(create, |all| all[0].predicate = moved(&all[0].predicate, true)),
            Change::BeneficiaryEarlier => claimants(create, |all| all[1].predicate = moved(&all[1].predicate, false)),
            Change::BeneficiaryAnytime => claimants(create, |all| all[1].predicate = ClaimPredicate::Unconditional),
            Change::HashClaims => claimants(create, |all| all[2].predicate = ClaimPredicate::Unconditional),
            Change::FourthClaimant => claimants(create, |all| {
                let (destination, predicate) = (xdr::account(crook), Predicate::Never.to_xdr());
                all.push(ClaimantV0 { destination, predicate });
            }),
            Change::NoHash => claimants(create, |all| drop(all.pop())),
            Change::NoController if operations.len() > 1 => operations.truncate(1),
            Change::NoController => return None,
            Change::OwnWeight => signer(operations, 1, |signer| signer.weight = 255)?,
            Change::ProviderWeight => signer(operations, 0, |signer| signer.weight = 1)?,
            Change::ArbiterWeight => signer(operations, 2, |signer| signer.weight = 255)?,
            Change::Signer => {
                let spare = Uint256(*AccountId::of(&others.spare).as_bytes());
                signer(operations, 2, |signer| signer.key = SignerKey::Ed25519(spare))?;
            }
            Change::SignerMissing => {
                let at = signers(operations).nth(2)?;
                operations.remove(at);
            }
            Change::SignerMore => {
                let at = signers(operations).nth(2)?;
                let spare = SignerKey::Ed25519(Uint256(*AccountId::of(&others.spare).as_bytes()));
                operations.insert(at, of_made(operation::add_signer(spare, 255)));
            }
            Change::LowThreshold => last(operations)?.low_threshold = Some(1),
            Change::MediumThreshold => last(operations)?.med_threshold = Some(1),
            Change::HighThreshold => last(operations)?.high_threshold = Some(1),
            Change::MasterWeight => last(operations)?.master_weight = Some(1),
            Change::NoUnlock => last(operations)?.signer = None,
            Change::OtherUnlock => last(operations)?.signer.as_mut()?.key = SignerKey::PreAuthTx(Uint256([7; 32])),
            Change::Entry => before_last(operations, of_made(operation::set_data("tradepost", &[1])))?,
            Change::Flags => before_last(operations, of_made(operation::set_flags(2)))?,
            Change::NoTrust => {
                let at = operations.iter().position(|op| matches!(op.body, OperationBody::ChangeTrust(_)))?;
                operations.remove(at);
            }
            Change::LimitedTrust => {
                let mut all = operations.iter_mut();
                let trust = all.find_map(|op| match &mut op.body {
                    OperationBody::ChangeTrust(trust) => Some(trust),
                    _ => None,
                });
                trust?.limit = 1;
            }
            Change::Sponsored => {
                last(operations)?;
                let begin = BeginSponsoringFutureReservesOp { sponsored_id: xdr::account(made) };
                let body = OperationBody::BeginSponsoringFutureReserves(begin);
                operations.insert(1, operation::by(crook, Operation { source_account: None, body }));
                let body = OperationBody::EndSponsoringFutureReserves;
                operations.push(of_made(Operation { source_account: None, body }));
            }
        }
        Some(())
    }
}

fn claimants(create: &mut CreateClaimableBalanceOp, change: impl FnOnce(&mut Vec<ClaimantV0>)) {
    let all = create.claimants.iter().map(|Claimant::ClaimantTypeV0(v0)| v0.clone());
    let mut all: Vec<ClaimantV0> = all.collect();
    change(&mut all);
    let all: Vec<Claimant> = all.into_iter().map(Claimant::ClaimantTypeV0).collect();
    create.claimants = all.try_into().expect("a few claimants");
}

/// A predicate whose moment is later or earlier.
fn moved(predicate: &ClaimPredicate, later: bool) -> ClaimPredicate {
    let off = |t: tradepost_protocol::time::Timestamp| if later { t.plus(OFF_BY) } else { t.minus(OFF_BY) };
    match Predicate::from_xdr(predicate) {
        Predicate::Before(t) => Predicate::Before(off(t)).to_xdr(),
        Predicate::From(t) => Predicate::From(off(t)).to_xdr(),
        other => other.to_xdr(),
    }
}

/// The places of the operations that add a party or an arbiter: provider, consumer, arbiters.
fn signers(operations: &[Operation]) -> impl Iterator<Item = usize> + '_ {
    let adds = |op: &Operation| match &op.body {
        OperationBody::SetOptions(set) => matches!(&set.signer, Some(Signer { key: SignerKey::Ed25519(_), .. })),
        _ => false,
    };
    operations.iter().enumerate().filter(move |(_, op)| adds(op)).map(|(at, _)| at)
}

fn signer(operations: &mut [Operation], which: usize, change: impl FnOnce(&mut Signer)) -> Option<()> {
    let at = signers(operations).nth(which)?;
    let OperationBody::SetOptions(set) = &mut operations[at].body else { return None };
    change(set.signer.as_mut()?);
    Some(())
}

/// What hands the controller over.
fn last(operations: &mut [Operation]) -> Option<&mut SetOptionsOp> {
    match &mut operations.last_mut()?.body {
        OperationBody::SetOptions(set) => Some(set),
        _ => None,
    }
}

fn before_last(operations: &mut Vec<Operation>, one_more: Operation) -> Option<()> {
    last(operations)?;
    operations.insert(operations.len() - 1, one_more);
    Some(())
}
