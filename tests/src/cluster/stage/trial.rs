//! An `arbitrated` binding brought to where the arbiter's word, or the ledger's, is waited for, and held there.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stellar_xdr::{FeeBumpTransaction, Limits, MuxedAccount, ReadXdr, TransactionEnvelope, TransactionResult};
use tokio::task::JoinHandle;
use tradepost::api::request::{NewAward, NewDispute};
use tradepost::api::view::{BindingView, DisputeList, Done};
use tradepost::demo::actor::Actor;
use tradepost_devnet::faults::{Faults, Submissions};
use tradepost_ledger::Ledger as _;
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::{Stroops, Unit};
use tradepost_protocol::binding::phase::{Phase, Side};
use tradepost_protocol::document::Windows;
use tradepost_protocol::message::MessageId;
use tradepost_protocol::stellar::entry::AccountState;
use tradepost_protocol::stellar::xdr;

use super::{End, LOOK, Stage, TO_THE_END, pause_before};
use crate::cluster::court::{Court, Deciding, FEE};
use crate::cluster::market::{SOON, Terms, start_to_hold, texts, told};
use crate::cluster::{Nodes, signal};

/// Twenty coins for a second, so that the session ends by itself.
const TERMS: Terms =
    Terms { price: AMOUNT, unit: Unit::Second, windows: Windows { deliver_secs: 60, collect_secs: 12 }, max_supply: 1 };
const AMOUNT: Stroops = Stroops::whole(20);
/// So long that no deadline comes between; where T is waited for, the ledger's clock is moved.
const WINDOWS: Deciding = Deciding { dispute_secs: 120, award_secs: 150, settle_secs: 120 };
/// From the agreement to after T.
const PAST_T: Duration = Duration::from_secs(20 + 10 + 60 + 120 + 150 + 120 + 30);
/// Ledgers from a funding to the one from which on its controller can be merged.
const TO_THE_MERGE: u32 = 45;
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

/// What the accounts had before a binding.
#[derive(Debug)]
pub struct Before {
    /// The seller's, the buyer's and the arbiter's.
    accounts: [AccountState; 3],
    /// The ledger as of which they had it.
    ledger: u32,
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
            Court::open_in(nodes, TERMS, WINDOWS, 1, &texts(&start)).await;
        Self { stage: Stage { market }, arbiter: arbiters.remove(0), account: accounts[0], awarding: None }
    }

    /// What the accounts have.
    ///
    /// # Panics
    /// Where the ledger can't be read.
    pub async fn before(&self) -> Before {
        let ledger = self.stage.market.nodes.ledger().await.expect("the ledger answers");
        let head = ledger.head().await.expect("the ledger answers");
        Before { accounts: self.accounts().await, ledger: head.ledger.sequence }
    }

    async fn accounts(&self) -> [AccountState; 3] {
        let [seller, buyer] = self.stage.accounts().await;
        [seller, buyer, self.stage.market.on_the_ledger(self.account).await]
    }

    /// Has the buyer bind and ask the arbiter, and brings that to where something from outside keeps it.
    ///
    /// # Panics
    /// Where it doesn't get there in time.
    pub async fn bring_to(&mut self, held: Held) -> MessageId {
        let market = &self.stage.market;
        // The buyer asks before its node, once the session is over, would concede everything.
        market.hold_services(true);
        let request = self.stage.begin(1).await;
        self.stage.wait(request, Phase::Funded).await;
        let view = self.stage.until(Side::Consumer, request, "it is bound", |view| view.binding.is_some()).await;
        let binding = view.binding.expect("it is bound");
        let new = NewDispute { to_provider: None, text: "It came to nothing.".to_owned() };
        let _: Done = told(market.buyer.post(&format!("/v1/disputes/{binding}/open"), &new).await);
        market.hold_services(false);
        let shown = |list: &DisputeList| list.items.iter().any(|dispute| dispute.binding == binding).then_some(());
        told(self.arbiter.until("it has the case", SOON, "/v1/disputes", shown).await);
        self.stage.wait(request, Phase::Disputed).await;
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
            Held::Disputed => self.stage.wait(request, Phase::Disputed).await,
            Held::Closing => {
                self.stage.wait(request, Phase::Closing).await;
                let until = Instant::now() + SOON;
                while self.stage.market.nodes.pending().await == 0 {
                    pause_before(until, "a settlement is submitted").await;
                }
            }
        }
        request
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
        let nodes = &self.stage.market.nodes;
        nodes.advance_clock(PAST_T).await;
        for _ in 0..TO_THE_MERGE {
            nodes.advance_clock(Duration::from_secs(1)).await;
        }
    }

    /// Waits until the accounts of seller, buyer and arbiter show this end to the stroop, fees by the ledger's own account
    /// of them, and nothing of anybody's is locked.
    ///
    /// # Panics
    /// Where they don't in time.
    pub async fn check_books(&self, case: &str, before: &Before, end: End) {
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
                let fees = self.fees(account.id, before.ledger).await;
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

    /// What an account has paid in fees in the ledgers after this one.
    async fn fees(&self, account: AccountId, after: u32) -> i64 {
        let url = self.stage.market.nodes.rpc_url().to_owned();
        let mut fees = 0;
        let mut cursor: Option<Value> = None;
        loop {
            let params = match &cursor {
                Some(cursor) => json!({ "pagination": { "limit": PAGE, "cursor": cursor } }),
                None => json!({ "startLedger": after + 1, "pagination": { "limit": PAGE } }),
            };
            let question = json!({ "jsonrpc": "2.0", "id": 1, "method": "getTransactions", "params": params });
            let answer = reqwest::Client::new().post(&url).header("content-type", "application/json");
            let answer = answer.body(question.to_string()).send().await.expect("the ledger answers");
            let mut answer: Value = serde_json::from_str(&answer.text().await.expect("a text")).expect("JSON");
            let page = answer["result"]["transactions"].as_array().cloned().unwrap_or_default();
            fees += page.iter().filter(|listed| fee_source(listed) == account).map(fee_charged).sum::<i64>();
            if page.len() < PAGE {
                return fees;
            }
            cursor = Some(answer["result"]["cursor"].take());
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

/// Transactions in one page.
const PAGE: usize = 100;

fn fee_source(listed: &Value) -> AccountId {
    let text = listed["envelopeXdr"].as_str().expect("an envelope");
    let source = match TransactionEnvelope::from_xdr_base64(text, Limits::none()).expect("an envelope") {
        TransactionEnvelope::TxFeeBump(bump) => {
            let FeeBumpTransaction { fee_source, .. } = bump.tx;
            fee_source
        }
        TransactionEnvelope::Tx(plain) => plain.tx.source_account,
        TransactionEnvelope::TxV0(old) => MuxedAccount::Ed25519(old.tx.source_account_ed25519),
    };
    xdr::read_plain(&source).expect("a plain account")
}

fn fee_charged(listed: &Value) -> i64 {
    let text = listed["resultXdr"].as_str().expect("a result");
    TransactionResult::from_xdr_base64(text, Limits::none()).expect("a result").fee_charged
}
