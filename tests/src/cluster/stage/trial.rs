//! An `arbitrated` binding brought to where the arbiter's word, or the ledger's, is waited for, and held there.

use std::time::Instant;

use tokio::task::JoinHandle;
use tradepost::api::request::{NewAward, NewDispute};
use tradepost::api::view::{BindingView, DisputeList, Done};
use tradepost::demo::actor::Actor;
use tradepost_devnet::faults::{Faults, Submissions};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::{Stroops, Unit};
use tradepost_protocol::binding::phase::{Phase, Side};
use tradepost_protocol::document::Windows;
use tradepost_protocol::message::MessageId;
use tradepost_protocol::stellar::entry::AccountState;

use super::fees::fees;
use super::{ATTEMPTS, Before, End, LOOK, Missed, Stage, TO_THE_END};
use crate::cluster::court::{Court, Deciding, FEE, pass_t};
use crate::cluster::market::{Terms, start_to_hold, texts, told};
use crate::cluster::{Nodes, signal};

/// Twenty coins for a second, so that the session ends by itself.
const TERMS: Terms =
    Terms { price: AMOUNT, unit: Unit::Second, windows: Windows { deliver_secs: 60, collect_secs: 12 }, max_supply: 1 };
const AMOUNT: Stroops = Stroops::whole(20);
/// What the arbiter awards to the provider.
const AWARD: Stroops = Stroops::whole(15);
/// The arbiter's node.
const ARBITER: &str = "arbiter-1";

/// Where a binding is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// The arbiters are asked, and the one that there is stands still, with its owner's award on the way to it.
    Disputed,
    /// The award is given, and the ledger includes nothing.
    Closing,
}

/// A stage with an arbiter.
#[derive(Debug)]
pub struct Trial {
    /// The market in which it is.
    pub stage: Stage,
    arbiter: Actor,
    account: AccountId,
    awarding: Option<JoinHandle<Result<Done, String>>>,
}

impl Trial {
    /// A new one, with an offering.
    ///
    /// # Panics
    /// Where that fails, as everything here does that doesn't come about in time.
    pub async fn open(program: &str) -> Self {
        let nodes = Nodes::start(program).await;
        let start = start_to_hold(&nodes);
        let Court { market, mut arbiters, accounts, .. } =
            Court::open_in(nodes, TERMS, Deciding::UNHURRIED, 1, &texts(&start)).await;
        Self { stage: Stage { market }, arbiter: arbiters.remove(0), account: accounts[0], awarding: None }
    }

    async fn before(&self) -> Before<3> {
        let Before { accounts: [seller, buyer], ledger } = self.stage.before().await;
        Before { accounts: [seller, buyer, self.stage.market.on_the_ledger(self.account).await], ledger }
    }

    async fn accounts(&self) -> [AccountState; 3] {
        let [seller, buyer] = self.stage.accounts().await;
        [seller, buyer, self.stage.market.on_the_ledger(self.account).await]
    }

    /// Has the buyer bind and ask the arbiter, and brings that to where something from outside keeps it; what the accounts
    /// had before, and its request. Where a binding is past that before both sides are seen in it, another one is begun.
    ///
    /// # Panics
    /// Where none gets there.
    pub async fn bring_to(&mut self, held: Held) -> (Before<3>, MessageId) {
        let mut missed = Vec::new();
        for _ in 0..ATTEMPTS {
            let before = self.before().await;
            match self.try_to(held).await {
                Ok(request) => return (before, request),
                Err(Missed(how)) => {
                    println!("not seen {held:?}, once more: {how}");
                    missed.push(how);
                }
            }
            self.let_go().await;
            self.pass_t().await;
            self.stage.wait_until_all_is_over().await;
        }
        panic!("{ATTEMPTS} bindings, and none seen {held:?}: {missed:?}");
    }

    async fn try_to(&mut self, held: Held) -> Result<MessageId, Missed> {
        let market = &self.stage.market;
        // The buyer asks before its node, once the session is over, would concede everything.
        market.hold_services(true);
        let request = self.stage.begin(1).await;
        self.stage.wait(request, Phase::Funded, false).await?;
        let view = self.stage.until(Side::Consumer, request, "it is bound", |view| view.binding.is_some()).await;
        let binding = view.binding.expect("it is bound");
        let new = NewDispute { to_provider: None, text: "It came to nothing.".to_owned() };
        let asked: Result<Done, _> = market.buyer.post(&format!("/v1/disputes/{binding}/open"), &new).await;
        asked.map_err(|e| Missed(e.to_string()))?;
        market.hold_services(false);
        self.stage.wait(request, Phase::Disputed, false).await?;
        let shown = |list: &DisputeList| list.items.iter().any(|dispute| dispute.binding == binding).then_some(());
        told(self.arbiter.until("it has the case", TO_THE_END, "/v1/disputes", shown).await);
        match held {
            Held::Disputed => assert!(signal(self.arbiters_pid(), "STOP")),
            Held::Closing => {
                let stuck = Faults { submissions: Submissions::Stuck, ..Faults::NONE };
                self.stage.market.nodes.set_faults(stuck).await;
            }
        }
        let arbiter = told(self.stage.market.nodes.node(ARBITER).and_then(Actor::of));
        self.awarding = Some(tokio::spawn(async move {
            let new = NewAward { to_provider: AWARD, note: "By what was shown.".to_owned() };
            arbiter.post(&format!("/v1/disputes/{binding}/award"), &new).await.map_err(|e| e.to_string())
        }));
        match held {
            Held::Disputed => self.stage.wait(request, Phase::Disputed, false).await?,
            Held::Closing => self.stage.wait(request, Phase::Closing, true).await?,
        }
        Ok(request)
    }

    fn arbiters_pid(&self) -> u32 {
        let arbiter = self.stage.market.nodes.node(ARBITER).expect("there is an arbiter");
        arbiter.running().expect("it runs").process.pid
    }

    /// Takes away whatever keeps a binding where it is; what its owner told the arbiter meanwhile reaches it.
    ///
    /// # Panics
    /// Where the arbiter doesn't award.
    pub async fn let_go(&mut self) {
        assert!(signal(self.arbiters_pid(), "CONT"));
        self.stage.let_go().await;
        if let Some(awarding) = self.awarding.take() {
            awarding.await.expect("it doesn't panic").expect("the arbiter awards");
        }
    }

    /// Moves the ledger on to after T, and as many ledgers further as a controller's return takes.
    ///
    /// # Panics
    /// Where the ledger doesn't listen.
    pub async fn pass_t(&self) {
        pass_t(&self.stage.market.nodes, &TERMS, Deciding::UNHURRIED).await;
    }

    /// Waits until the accounts of seller, buyer and arbiter show this end to the stroop, fees by the ledger's own account
    /// of them, and nothing of anybody's is locked.
    ///
    /// # Panics
    /// Where they don't in time.
    pub async fn check_books(&self, case: &str, before: &Before<3>, end: End) {
        let of = |amount: Stroops| amount.get();
        // The fee is taken from both shares alike: three quarters of it from the provider's.
        let fee = of(FEE);
        let changes = match end {
            End::Split => [of(AWARD) - fee * 3 / 4, -of(AWARD) - fee / 4, fee],
            End::Refunded => [0; 3],
            End::Paid | End::Void => panic!("{case}: {end:?} isn't what the arbiter said, and not silence either"),
        };
        let until = Instant::now() + TO_THE_END;
        loop {
            let after = self.accounts().await;
            let mut expected = Vec::new();
            for (account, change) in before.accounts.iter().zip(changes) {
                let fees = fees(&self.stage.market.nodes, account.id, before.ledger).await;
                expected.push((account.balance.get() + change - fees, account.sub_entries, account.sponsoring));
            }
            let found = after.iter().map(|a| (a.balance.get(), a.sub_entries, a.sponsoring)).collect::<Vec<_>>();
            if found == expected {
                return;
            }
            assert!(
                Instant::now() < until,
                "{case}, {end:?}: stroops, entries and sponsored entries of seller, buyer and arbiter are {found:?}, \
                 not {expected:?}"
            );
            tokio::time::sleep(LOOK * 4).await;
        }
    }

    /// Waits until both sides are at the binding's end, and say the same of it.
    ///
    /// # Panics
    /// Where it isn't in time.
    pub async fn end(&self, request: MessageId) -> End {
        let over = |view: &BindingView| view.is_final;
        let [provider, consumer] = [
            self.stage.until(Side::Provider, request, "the binding's end", over).await,
            self.stage.until(Side::Consumer, request, "the binding's end", over).await,
        ];
        let (end, other) = (super::end_of(&provider), super::end_of(&consumer));
        assert_eq!(end, other, "both sides say the same");
        end
    }
}
