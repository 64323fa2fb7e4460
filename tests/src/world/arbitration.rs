//! Trades under `arbitrated`, as users would begin them: arbiters that both sides list.

use core::time::Duration;

use serde_json::json;
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::{Price, Stroops, Unit};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::document::{Arbitration, BuiltIn};
use tradepost_protocol::escrow::EscrowKind;
use tradepost_protocol::market::command::{Command, CommandError, EscrowWish, OfferingDraft};
use tradepost_protocol::message::{BindingId, MessageId};
use tradepost_protocol::{binding::frames::Note, market::command::Answer};

use super::{Bound, CrashPlan, Published, World, draft, keys_of};

/// The arbiters' names, in the order in which they are listed.
pub const ARBITERS: [&str; 3] = ["ruth", "sven", "tess"];

/// An arbiter's offering: so much of an asset an award, for which it wants six seconds.
pub fn arbiters_draft(asset: Asset, fee: Stroops) -> OfferingDraft {
    let parameters = json!({ "award_secs": 6, "policy": "What was agreed." });
    OfferingDraft {
        template: BuiltIn::named("arbiter").expect("a built-in template").id,
        parameters: parameters.as_object().expect("an object").clone(),
        title: "Arbiter".into(),
        description: "Decides by what was agreed.".into(),
        price: Price { asset, amount: fee, unit: Unit::Job },
        max_units: 1,
        ..draft()
    }
}

/// [`draft`], held by these arbiters: 8 s for a dispute, 8 s for an award, 10 s to settle it.
pub fn arbitrated_draft(arbiters: Vec<AccountId>) -> OfferingDraft {
    let arbitration = Arbitration { arbiters, dispute_secs: 8, award_secs: 8, settle_secs: 10 };
    OfferingDraft { escrow: vec![EscrowKind::Arbitrated, EscrowKind::Timed], arbitration: Some(arbitration), ..draft() }
}

impl World {
    /// A world with a provider, a consumer and the first so many of [`ARBITERS`], each with 100 coins; the provider offers
    /// [`arbitrated_draft`], and the consumer sees it.
    pub fn with_arbiters(seed: u64, count: usize) -> (Self, Published) {
        let mut world = Self::new(seed);
        let names = &ARBITERS[..count];
        for name in names {
            world.add_node(name, Stroops::whole(100));
        }
        world.add_node("provider", Stroops::whole(100));
        world.add_buyer("consumer", Stroops::whole(100), names);
        for name in names {
            let published = world.publish(name, arbiters_draft(Asset::Native, Stroops::whole(1)));
            world.see("provider", published.series);
            world.see("consumer", published.series);
        }
        let accounts = names.iter().map(|name| world.account(name)).collect();
        let published = world.publish("provider", arbitrated_draft(accounts));
        world.see("consumer", published.series);
        (world, published)
    }

    /// Adds a trader that trusts these arbiters, all of them for each trade, and starts it.
    pub fn add_buyer(&mut self, name: &str, balance: Stroops, arbiters: &[&str]) {
        let account = |name: &&str| keys_of(self.seed, name).account_id().expect("a trader's keys");
        let accounts: Vec<AccountId> = arbiters.iter().map(account).collect();
        self.add_trader(name, balance, None, |policy| {
            policy.escrow.arbiters_per_trade = accounts.len();
            policy.escrow.arbiters = accounts;
        });
    }

    /// As [`World::add_buyer`], one that crashes by a plan, and that wants so many of the arbiters for a trade.
    pub fn add_crashing_buyer(
        &mut self,
        name: &str,
        balance: Stroops,
        plan: CrashPlan,
        (arbiters, per_trade): (&[&str], usize),
    ) {
        let account = |name: &&str| keys_of(self.seed, name).account_id().expect("a trader's keys");
        let accounts: Vec<AccountId> = arbiters.iter().map(account).collect();
        self.add_trader(name, balance, Some(plan), |policy| {
            policy.escrow.arbiters_per_trade = per_trade;
            policy.escrow.arbiters = accounts;
        });
    }

    /// Binds so many units under `arbitrated`.
    ///
    /// # Errors
    /// What the node says.
    pub fn bind_arbitrated(
        &mut self,
        name: &str,
        offering: MessageId,
        units: u64,
        pay_unless_disputed: bool,
    ) -> Result<Bound, CommandError> {
        let wish = EscrowWish { kind: Some(EscrowKind::Arbitrated), pay_unless_disputed };
        match self.command(name, Command::Bind { offering, units, wish, dry_run: false })? {
            Answer::Bound { binding, request, .. } => Ok(Bound { binding, request }),
            other => panic!("seed {}: binding led to {other:?}", self.seed),
        }
    }

    /// An arbiter awards so much to the provider once it has the case.
    pub fn award(&mut self, arbiter: &str, binding: BindingId, to_provider: Stroops) {
        self.run_until("the case", Duration::from_secs(60), |world| world.market(arbiter).case(&binding).is_some());
        let award = Command::Award { binding, to_provider, note: Note::new("by what was shown") };
        assert_eq!(self.command(arbiter, award), Ok(Answer::Awarded));
    }

    /// Runs to a deadline of a node's only binding, by its name.
    pub fn run_to_deadline(&mut self, name: &str, deadline: &str) {
        let named = self.trade(name).terms().expect("an agreement").terms.named();
        let (_, at) = named.into_iter().find(|(known, _)| *known == deadline).expect("a deadline of that name");
        self.run_to(at);
    }

    /// The base reserves that an account holds for itself and for others' entries.
    pub fn reserves(&mut self, name: &str) -> u32 {
        let account = self.account(name);
        let state = self.ledger.account(account).expect("the account");
        2 + state.sub_entries + state.sponsoring
    }
}
