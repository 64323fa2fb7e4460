//! How the money of a trade will be held: what offering, policy and the user's word have in common.

use crate::account::AccountId;
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::binding::deadlines::Terms;
use crate::binding::precheck::PrecheckFailure;
use crate::document::Offering;
use crate::escrow::{EscrowKind, controller, timed};
use crate::market::Market;
use crate::market::command::EscrowWish;
use crate::market::engagement::{NoArbiter, odd};
use crate::market::wallet::Lock;
use crate::stellar::entry::Entry;
use crate::time::Now;

/// How the money of a trade will be held.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EscrowChoice {
    /// The kind; none where there is no money.
    pub kind: Option<EscrowKind>,
    /// The arbiters with their fees, in order.
    pub arbiters: Vec<(AccountId, Stroops)>,
    /// Whether the recipient is paid at T unless a dispute was won.
    pub pay_unless_disputed: bool,
}

impl EscrowChoice {
    /// What funding it takes besides the amount.
    pub(in crate::market) fn lock(&self, asset: &Asset) -> Lock {
        lock(self.kind, self.arbiters.len() as u32, asset)
    }
}

/// What funding an escrow takes besides its amount: operations, and base reserves.
pub(in crate::market) fn lock(kind: Option<EscrowKind>, arbiters: u32, asset: &Asset) -> Lock {
    match kind {
        None => Lock { operations: 0, reserves: 0 },
        Some(EscrowKind::Timed) => Lock { operations: 1, reserves: timed::RESERVES },
        Some(EscrowKind::Arbitrated) => {
            // The controller: an account, a signer for each party, each arbiter and its own release, a trustline.
            let (signers, line) = (2 + arbiters, u32::from(!asset.is_native()));
            Lock { operations: 4 + signers + line, reserves: timed::RESERVES + 2 + signers + 1 + line }
        }
    }
}

impl Market {
    /// Pre-check 7: the first kind of this node's that the offering has and for which everything is there, also on the
    /// ledger, of which the asset's issuer was read.
    pub(in crate::market) fn choose_escrow(
        &self,
        offering: &Offering,
        amount: Stroops,
        wish: EscrowWish,
        entries: &[Entry],
        now: Now,
    ) -> Result<EscrowChoice, PrecheckFailure> {
        if amount.is_zero() {
            return Ok(EscrowChoice::default());
        }
        let wished = |kind: &EscrowKind| match wish {
            EscrowWish { pay_unless_disputed: true, .. } => *kind == EscrowKind::Arbitrated,
            EscrowWish { kind: Some(wished), .. } => *kind == wished,
            _ => true,
        };
        let accepted: Vec<EscrowKind> = self.setup.policy.escrow.kinds.iter().copied().filter(wished).collect();
        let mut failure =
            PrecheckFailure::NoCommonEscrow { offered: words(&offering.escrow), accepted: words(&accepted) };
        for kind in accepted.into_iter().filter(|kind| offering.escrow.contains(kind)) {
            let chosen = match kind {
                EscrowKind::Timed => self.choose_timed(offering, amount),
                EscrowKind::Arbitrated => Self::precheck_controller(&offering.price.asset, entries)
                    .and_then(|()| self.choose_arbitrated(offering, amount, wish.pay_unless_disputed, now)),
            };
            match chosen {
                Ok(choice) => return Ok(choice),
                Err(why) => failure = why,
            }
        }
        Err(failure)
    }

    fn precheck_controller(asset: &Asset, entries: &[Entry]) -> Result<(), PrecheckFailure> {
        let cannot = |why| PrecheckFailure::ControllerCannotHold { asset: asset.clone(), why };
        controller::may_hold(asset, entries).map_err(cannot)
    }

    fn choose_timed(&self, offering: &Offering, amount: Stroops) -> Result<EscrowChoice, PrecheckFailure> {
        let asset = &offering.price.asset;
        let Some(limit) = self.setup.policy.escrow.most_timed(asset) else {
            return Err(PrecheckFailure::NoTimedLimit { asset: asset.clone(), cost: amount.coins() });
        };
        if amount > limit {
            let key = if asset.is_native() { "max_timed" } else { "max_timed_issued" };
            let (cost, limit) = (amount.coins(), limit.coins());
            return Err(PrecheckFailure::AboveTimedLimit { cost, asset: asset.symbol().to_owned(), limit, key });
        }
        Ok(EscrowChoice { kind: Some(EscrowKind::Timed), ..EscrowChoice::default() })
    }

    fn choose_arbitrated(
        &self,
        offering: &Offering,
        amount: Stroops,
        pay_unless_disputed: bool,
        now: Now,
    ) -> Result<EscrowChoice, PrecheckFailure> {
        let policy = &self.setup.policy.escrow;
        let own = self.setup.keys.account_id();
        let is_party = |a: &AccountId| Some(*a) == own || *a == offering.account || *a == offering.recipient;
        let trusted: Vec<AccountId> = policy.arbiters.iter().filter(|a| !is_party(a)).copied().collect();
        let accepted = offering.arbitration.as_ref().map_or(&[][..], |a| &a.arbiters);
        let none = || PrecheckFailure::NoCommonArbiter { offered: accounts(accepted), trusted: accounts(&trusted) };
        let terms = Terms::counted(now.timestamp(), &self.setup.margins, offering, Some(EscrowKind::Arbitrated));
        let deadlines = terms.as_ref().and_then(Terms::arbitrated).ok_or_else(none)?;
        let (mut usable, mut unusable) = (Vec::new(), None);
        for account in &trusted {
            match self.arbiters_for(&[*account], offering, deadlines, now) {
                Ok(arbiters) => usable.extend(arbiters.into_iter().map(|a| (a.account, a.fee))),
                Err(NoArbiter::NoneCommon) => {}
                Err(NoArbiter::Unusable { account, why }) => {
                    unusable.get_or_insert(PrecheckFailure::ArbiterUnavailable { account, why });
                }
            }
        }
        usable.truncate(odd(usable.len().min(policy.arbiters_per_trade)));
        if usable.is_empty() {
            return Err(unusable.unwrap_or_else(none));
        }
        let fees = usable.iter().try_fold(Stroops::ZERO, |sum, (_, fee)| sum.plus(*fee)).unwrap_or(Stroops::MAX);
        if fees >= amount {
            return Err(PrecheckFailure::FeesTakeAll { fees: fees.coins(), amount: amount.coins() });
        }
        Ok(EscrowChoice { kind: Some(EscrowKind::Arbitrated), arbiters: usable, pay_unless_disputed })
    }
}

fn words(kinds: &[EscrowKind]) -> String {
    if kinds.is_empty() {
        return "none".to_owned();
    }
    kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ")
}

fn accounts(accounts: &[AccountId]) -> String {
    if accounts.is_empty() {
        return "none".to_owned();
    }
    accounts.iter().map(AccountId::to_string).collect::<Vec<_>>().join(", ")
}
