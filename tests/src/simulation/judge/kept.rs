//! Whoever wins by an award that was made in time gets what it says: silence and slowness at other ends are no excuse.

use core::time::Duration;

use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::binding::dispute::{Split, majority};
use tradepost_protocol::binding::phase::Side;
use tradepost_protocol::message::BindingId;
use tradepost_protocol::time::{Now, Timestamp};

use super::{Deal, Holder, Judge};
use crate::world::World;

/// An award is settled within this time, where nothing is in the way: it is told, signed, submitted and included, and the side
/// that gains less waits first.
const SETTLED_WITHIN: Duration = Duration::from_secs(14);
/// Whoever has a part in it hears the others for so much longer: what one of them was told in vain is told again.
const HEARD_BEFORE: Duration = Duration::from_secs(6);
/// So long before, the winner had nothing lost on its way to the ledger, which might take until then to be tried again.
const UNTROUBLED_BEFORE: Duration = Duration::from_secs(16);

/// What an honest arbiter has awarded.
#[derive(Debug, Clone, Copy)]
pub struct Awarded {
    arbiter: &'static str,
    to_provider: Stroops,
    at: Now,
}

impl Judge {
    /// An arbiter's node has taken its owner's award.
    pub fn award_given(&mut self, world: &World, binding: BindingId, arbiter: &'static str, to_provider: Stroops) {
        let forged = world.keys(arbiter).serving_key().is_some_and(|key| self.crooked_keys.contains(&key));
        if !forged {
            let awarded = Awarded { arbiter, to_provider, at: world.now() };
            self.awarded.entry(binding).or_default().push(awarded);
        }
    }

    /// What a majority of honest arbiters awarded is settled before T, as soon as those who have a part in it had the time.
    pub(super) fn awards_are_kept(&mut self, world: &World, closed: Timestamp) -> Result<(), String> {
        let deals = &self.accounts.deals;
        self.awarded.retain(|binding, _| deals[binding].refund_at.is_some_and(|t| closed < t));
        let mut due = Vec::new();
        for (binding, awarded) in &self.awarded {
            if self.award_is_kept(world, *binding, awarded)? {
                due.push(*binding);
            }
        }
        self.awards_due += due.len();
        due.iter().for_each(|binding| drop(self.awarded.remove(binding)));
        Ok(())
    }

    /// Whether there was time to settle an award; if so, it was.
    fn award_is_kept(&self, world: &World, binding: BindingId, awarded: &[Awarded]) -> Result<bool, String> {
        let deal = &self.accounts.deals[&binding];
        let needed = majority(deal.arbiters.len());
        let alike = |share| awarded.iter().filter(move |one| one.to_provider == share).take(needed);
        let mut shares = awarded.iter().map(|one| one.to_provider);
        let Some(to_provider) = shares.find(|share| alike(*share).count() == needed) else { return Ok(false) };
        let decided: Vec<&Awarded> = alike(to_provider).collect();
        let since = decided.iter().map(|one| one.at).max().unwrap_or_default();
        let hears = |name: &str| world.in_touch_for(name) >= SETTLED_WITHIN + HEARD_BEFORE;
        if world.now().since(since) < SETTLED_WITHIN || !decided.iter().all(|one| hears(one.arbiter)) {
            return Ok(false);
        }
        for (side, account) in [(Side::Provider, deal.recipient), (Side::Consumer, deal.consumer)] {
            let Some(name) = self.honest_node_of(account).filter(|name| hears(name)) else { continue };
            let Some(share) = share(deal, to_provider, side).filter(|share| !share.is_zero()) else { continue };
            // It settles what it follows; what was never handed to it, it doesn't know, and owes nothing for.
            let followed = world.market(name).trade(deal.request.as_bytes()).and_then(|trade| trade.state.balance);
            let escrow = followed.and_then(|balance| self.accounts.escrow(&balance)).filter(|e| e.binding == binding);
            let sound = escrow.filter(|e| e.sound && e.locked == deal.price && e.holder != Holder::Issuer);
            let untroubled = world.untroubled_for(name) >= SETTLED_WITHIN + UNTROUBLED_BEFORE;
            let Some(escrow) = sound.filter(|_| untroubled) else { continue };
            if escrow.holder == Holder::Ledger {
                let arbiters: Vec<&str> = decided.iter().map(|one| one.arbiter).collect();
                let (arbiters, share, early) =
                    (arbiters.join(" and "), share.coins(), world.now().since(since).as_secs());
                return Err(format!(
                    "{name} has nothing of the {share} of {binding} that {arbiters} awarded it {early} s ago"
                ));
            }
            return Ok(true);
        }
        Ok(false)
    }

    fn honest_node_of(&self, account: AccountId) -> Option<&'static str> {
        let known = self.nodes.iter().find(|(_, known)| *known == account && !self.crooks.contains(known));
        known.map(|(name, _)| *name)
    }
}

/// What an award gives a side, the arbiters' fees taken off.
fn share(deal: &Deal, to_provider: Stroops, side: Side) -> Option<Stroops> {
    let fees = Stroops::new(deal.arbiters.iter().map(|(_, fee)| fee).sum())?;
    let split = Split::of(Stroops::new(deal.price.stroops)?, to_provider)?;
    split.after(fees).map(|split| split.share(side))
}
