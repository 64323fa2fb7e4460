//! Trustlines of this node's account: which issued assets it can hold, and how much of each.

use core::time::Duration;

use rand_core::CryptoRng;

use crate::account::AccountId;
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::binding::precheck::PrecheckFailure;
use crate::intent::precheck::{Needs, affordable};
use crate::intent::{IntentOutcome, Purpose};
use crate::market::Market;
use crate::market::command::{Answer, CommandError, CommandId, TrustCost};
use crate::market::event::{Ask, Effect};
use crate::message::TxHash;
use crate::stellar::entry::{AUTH_CLAWBACK_ENABLED, AUTH_REQUIRED, AUTH_REVOCABLE, AccountState, Entry};
use crate::stellar::ledger_key::Key;
use crate::stellar::reserve::LedgerParams;
use crate::stellar::{Operation, operation};
use crate::step::Step;
use crate::time::Now;

/// How long the look at the ledger may take.
const LOOK_LIFE: Duration = Duration::from_secs(30);

/// A trustline that a user wants made, changed or removed.
#[derive(Debug)]
pub struct PendingTrust {
    asset: Asset,
    issuer: AccountId,
    limit: Stroops,
    dry_run: bool,
    id: [u8; 16],
    reserves: Option<u32>,
    until: Now,
}

impl Market {
    /// A user wants to trust an asset up to a limit, or no longer (limit 0).
    pub(super) fn trust(
        &mut self,
        id: CommandId,
        (asset, limit): (Asset, Stroops),
        dry_run: bool,
        now: Now,
        rng: &mut dyn CryptoRng,
        step: &mut Step<Effect>,
    ) {
        let Some(own) = self.setup.keys.account_id() else {
            return Self::answer(step, id, Err(PrecheckFailure::NoAccountKey));
        };
        let refuse = |step: &mut Step<Effect>, why: &str| {
            Self::answer(step, id, Err(CommandError::NotNow(why.to_owned())));
        };
        let issuer = match &asset {
            Asset::Native => return refuse(step, "every account holds XLM: it needs no trustline"),
            Asset::Issued { issuer, .. } if *issuer == own => {
                return refuse(step, "this account issues the asset itself: it needs no trustline");
            }
            Asset::Issued { issuer, .. } => *issuer,
        };
        let mut purpose = [0; 16];
        rng.fill_bytes(&mut purpose);
        let keys = vec![Key::Account(own), Key::Account(issuer), Key::Trustline(own, asset.clone())];
        let until = now.plus(LOOK_LIFE);
        self.trusts.insert(id, PendingTrust { asset, issuer, limit, dry_run, id: purpose, reserves: None, until });
        self.ask_once(Ask::Trust(id), keys, step);
    }

    /// What the ledger says about account, issuer and trustline was read.
    pub(super) fn trust_read(&mut self, id: CommandId, entries: &[Entry], step: &mut Step<Effect>) {
        let Some(mut trust) = self.trusts.remove(&id) else { return };
        match self.trust_cost(&trust, entries) {
            Err(error) => Self::answer(step, id, Err(error)),
            Ok(cost) if trust.dry_run => Self::answer(step, id, Ok::<_, CommandError>(Answer::Trust(cost))),
            Ok(cost) => {
                trust.reserves = Some(u32::from(cost.before.is_none()));
                let purpose = Purpose::Trust { id: trust.id };
                self.trusts.insert(id, trust);
                self.want(purpose);
            }
        }
    }

    fn trust_cost(&self, trust: &PendingTrust, entries: &[Entry]) -> Result<TrustCost, CommandError> {
        let own = self.setup.keys.account_id().ok_or(PrecheckFailure::NoAccountKey)?;
        let account = |id| -> Option<&AccountState> {
            entries.iter().find_map(|e| match e {
                Entry::Account(a) if a.id == id => Some(a),
                _ => None,
            })
        };
        let line = entries.iter().find_map(|e| match e {
            Entry::Trustline(t) if t.account == own && t.asset == trust.asset => Some(t),
            _ => None,
        });
        let state = account(own).ok_or(PrecheckFailure::NoOwnAccount(own))?;
        let refuse = |why: String| Err(CommandError::NotNow(why));
        let symbol = trust.asset.symbol();
        let bound = line.and_then(|line| line.balance.plus(line.buying)).unwrap_or_default();
        match line {
            None if trust.limit.is_zero() => {
                return refuse(format!("this account has no trustline for {symbol}: there is none to remove"));
            }
            Some(line) if line.limit == trust.limit => {
                return refuse(format!("this account trusts {symbol} up to {} already", trust.limit.coins()));
            }
            Some(_) if trust.limit.is_zero() && !bound.is_zero() => {
                let holds = bound.coins();
                return refuse(format!("the trustline holds {holds} {symbol}: pay that away before it is removed"));
            }
            Some(_) if trust.limit < bound => {
                return refuse(format!("the trustline holds {} {symbol}: its limit can't be lower", bound.coins()));
            }
            _ => {}
        }
        let issuer = account(trust.issuer);
        if issuer.is_none() && !trust.limit.is_zero() {
            let why = format!("the issuer {} doesn't exist on this ledger: compare the asset's name", trust.issuer);
            return refuse(why);
        }
        let params = self.params.unwrap_or(LedgerParams::USUAL);
        let (fee, taken) = (self.fee(1), self.committed(&Asset::Native));
        let reserves = u32::from(line.is_none());
        let needs = Needs { amount: Stroops::ZERO, reserves, fees: fee };
        affordable(state, &params, taken, &needs).map_err(PrecheckFailure::from)?;
        let issuer_may = |flag: u32| issuer.is_some_and(|issuer| issuer.flags & flag != 0);
        Ok(TrustCost {
            asset: trust.asset.clone(),
            limit: trust.limit,
            before: line.map(|line| line.limit),
            holds: line.map(|line| line.balance).unwrap_or_default(),
            fee,
            reserve: params.reserves(1),
            free_before: params.available(state).minus(taken).unwrap_or_default(),
            must_authorize: issuer_may(AUTH_REQUIRED),
            may_revoke: issuer_may(AUTH_REVOCABLE),
            may_claw_back: issuer_may(AUTH_CLAWBACK_ENABLED),
            accepted: self.setup.policy.assets.contains(&trust.asset),
        })
    }

    /// What a trustline that is wanted does.
    pub(super) fn plan_trust(&self, id: [u8; 16]) -> Option<Operation> {
        let trust = self.trusts.values().find(|trust| trust.id == id)?;
        operation::change_trust(&trust.asset, trust.limit).ok()
    }

    /// What trustlines that aren't signed yet take, native.
    pub(super) fn promised_to_trust(&self, params: &LedgerParams) -> Stroops {
        let wanted = self.trusts.values().filter_map(|t| Some((Purpose::Trust { id: t.id }, t.reserves?)));
        let unsigned = wanted.filter(|(purpose, _)| self.is_unsigned(*purpose));
        unsigned.fold(Stroops::ZERO, |sum, (_, reserves)| {
            let native = self.fee(1).plus(params.reserves(reserves));
            native.and_then(|native| sum.plus(native)).unwrap_or(Stroops::MAX)
        })
    }

    /// The command that waits for a trustline's transaction, which it no longer does then.
    pub(super) fn command_of_trust(&mut self, id: [u8; 16]) -> Option<CommandId> {
        let command = self.trusts.iter().find(|(_, trust)| trust.id == id).map(|(command, _)| *command)?;
        self.trusts.remove(&command);
        Some(command)
    }

    /// Reading what a trustline depends on failed.
    pub(super) fn trust_unreadable(&mut self, id: CommandId, why: String, step: &mut Step<Effect>) {
        if self.trusts.remove(&id).is_some() {
            Self::answer(step, id, Err(PrecheckFailure::LedgerUnavailable(why)));
        }
    }

    /// Looks at the ledger that were never answered.
    pub(super) fn expire_trusts(&mut self, now: Now, step: &mut Step<Effect>) {
        let late = |t: &PendingTrust| t.reserves.is_none() && now > t.until;
        let ids: Vec<CommandId> = self.trusts.iter().filter(|(_, t)| late(t)).map(|(id, _)| *id).collect();
        for id in ids {
            self.trust_unreadable(id, "the ledger didn't answer in time".into(), step);
        }
    }
}

/// What a user hears of a trustline's transaction.
pub(super) fn trust_result(outcome: &IntentOutcome, hash: TxHash) -> Result<Answer, CommandError> {
    super::wallet::included(outcome).map(|()| Answer::Trusted(hash))
}
