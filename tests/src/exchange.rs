//! A help exchange in the simulated world: issuer, agent, Ann, Ben and Cyn, whom no crash keeps from what they want.
//!
//! Whoever gives a command to a node that dies gives it again, but only once the node is back, is through with what it had
//! begun, and the ledger shows that it came to nothing: as a person would.

mod sweep;

use core::time::Duration;

use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::community::chain::{Chain, LinkKind};
use tradepost_protocol::community::included::Included;
use tradepost_protocol::community::role::{Role, RoleSettings, plain_issuer_key};
use tradepost_protocol::community::shape::MakeKind;
use tradepost_protocol::community::{DEFAULT_FEE, Terms};
use tradepost_protocol::market::Deed;
use tradepost_protocol::market::OfferState;
use tradepost_protocol::market::command::{Answer, Command, CommandError};
use tradepost_protocol::message::TxHash;
use tradepost_protocol::stellar::entry::Entry;
use tradepost_protocol::stellar::ledger_key::Key;

use crate::world::{CrashPlan, Moment, World, keys_of};

pub use sweep::{Lived, Tally, crashes_of, live, missed_points, sweep};

/// Everybody, in the order in which they come.
pub const NAMES: [&str; 5] = ["issuer", "agent", "ann", "ben", "cyn"];
/// From one crash of a node to its next, in commits.
pub const STRIDE: u64 = 25;
/// What Ben offers.
pub const SNAPPER: &str = "Freshly caught red snapper 4 lb. HEXA 800";

/// For how long a payment may be asked back, seconds.
const REPAY_SECS: u64 = 90;
/// For how long an offer or request stands, seconds.
const VALID_SECS: u64 = 240;
/// What each account holds at first: enough for its reserves and a bond, and no more than that.
const COINS: Stroops = Stroops::whole(30);
/// How long anything may take that a person waits for.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often a person tries.
const TRIES: usize = 40;

/// A world with a help exchange in it.
#[derive(Debug)]
pub struct ExchangeWorld {
    world: World,
    terms: Terms,
    chain: Chain,
    looked: u32,
}

impl ExchangeWorld {
    /// A world from a seed; where it is given, every node crashes at each [`STRIDE`]th commit from that number on.
    pub fn new(seed: u64, crashes: Option<(u64, Moment)>) -> Self {
        let account = |name| keys_of(seed, name).account.expect("a trader has an account");
        let issuer = account("issuer");
        let issued = |code, issuer| Asset::issued(code, issuer).expect("a code");
        let terms = Terms {
            clawable: issued("ClawableHexa", AccountId::of(&issuer)),
            plain: issued("HEXA", AccountId::of(&plain_issuer_key(&issuer))),
            agent: AccountId::of(&account("agent")),
            fee: DEFAULT_FEE,
            start: Stroops::whole(5_000),
            repay_secs: REPAY_SECS,
            convert_secs: 0,
        };
        let mut exchange = Self { world: World::new(seed), terms, chain: Chain::default(), looked: 0 };
        for name in NAMES {
            exchange.add(name, crashes);
        }
        exchange
    }

    fn add(&mut self, name: &'static str, crashes: Option<(u64, Moment)>) {
        match crashes {
            None => self.world.add_node(name, COINS),
            Some((first, moment)) => {
                let down = [1, 2, 7].map(Duration::from_secs).to_vec();
                self.world.add_crashing_node(name, COINS, CrashPlan { first, every: STRIDE, moment, down });
            }
        }
        if self.world.is_up(name) {
            self.world.kill(name);
        }
        let role = match name {
            "issuer" => Some(Role::Issuer { issue: Stroops::whole(1_000_000) }),
            "agent" => Some(Role::Agent { members: None }),
            _ => None,
        };
        match role {
            Some(role) => self.world.set_role(name, RoleSettings { role, terms: self.terms.clone() }),
            None => self.world.accept(name, self.terms.clawable.clone()),
        }
        if !self.world.is_up(name) {
            self.world.start(name);
        }
    }

    /// The world.
    pub fn world(&mut self) -> &mut World {
        &mut self.world
    }

    /// The exchange's terms.
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// What the ledger shows, folded by nobody's node.
    pub fn chain(&mut self) -> &Chain {
        let page = self.world.ledger().follow(self.looked);
        let network = self.world.ledger().network();
        for found in page.transactions {
            if let Ok(included) = Included::read(&found.envelope, found.at, &network) {
                self.chain.take_in(&self.terms, &included);
            }
        }
        self.looked = page.through + 1;
        &self.chain
    }

    /// Gives a command once.
    ///
    /// # Errors
    /// What the node says.
    pub fn try_to(&mut self, name: &str, deed: Deed) -> Result<Answer, CommandError> {
        let exchange = Some(self.terms.clawable.clone());
        self.world.command(name, Command::Community { exchange, deed, dry_run: false })
    }

    /// Wants something until the ledger shows it, whatever crashes.
    pub fn insist(&mut self, name: &str, deed: &Deed, mut done: impl FnMut(&mut Self) -> bool) {
        let mut said = String::new();
        for _ in 0..TRIES {
            self.be_idle(name);
            if done(self) {
                return;
            }
            if !self.world.is_up(name) {
                continue;
            }
            let command =
                Command::Community { exchange: Some(self.terms.clawable.clone()), deed: deed.clone(), dry_run: false };
            let id = self.world.give(name, command);
            self.world.run_until("an answer, or a crash", PATIENCE, |world| {
                world.answer(id).is_some() || !world.unanswered().contains(&id)
            });
            if let Some(Err(error)) = self.world.answer(id) {
                said.push_str(&format!("{:?}: {error}; ", self.world.now()));
                self.world.run_for(Duration::from_secs(3));
            }
        }
        panic!(
            "seed {}: {name} didn't get through with {deed:?}: {said}\n{}",
            self.world.seed(),
            self.world.trace().tail()
        );
    }

    /// Wants something that no rule allows, until it is told so, whatever crashes.
    ///
    /// # Panics
    /// Where it is done, or refused for another reason.
    pub fn is_refused(&mut self, name: &str, deed: &Deed, code: &str) {
        let mut said = String::new();
        for _ in 0..TRIES {
            self.be_idle(name);
            if !self.world.is_up(name) {
                continue;
            }
            let exchange = Some(self.terms.clawable.clone());
            let id = self.world.give(name, Command::Community { exchange, deed: deed.clone(), dry_run: false });
            self.world.run_until("an answer, or a crash", PATIENCE, |world| {
                world.answer(id).is_some() || !world.unanswered().contains(&id)
            });
            match self.world.answer(id) {
                Some(Err(error)) if error.code() == code => return,
                Some(Err(error)) => said.push_str(&format!("{:?}: {error}; ", self.world.now())),
                Some(Ok(_)) => panic!("seed {}: {name} got through with {deed:?}", self.world.seed()),
                None => {}
            }
            self.world.run_for(Duration::from_secs(3));
        }
        panic!("seed {}: {name} isn't refused as {code}: {said}", self.world.seed());
    }

    /// Waits until a node is up, has nothing under way, and has seen the newest ledger.
    fn be_idle(&mut self, name: &str) {
        let newest = self.world.newest_ledger().sequence;
        let clawable = self.terms.clawable.clone();
        self.world.run_until("a node with nothing under way", PATIENCE, |world| {
            if !world.is_up(name) {
                return false;
            }
            let market = world.market(name);
            let open = market.queue().is_some_and(|queue| queue.open().next().is_some());
            let followed = market.exchange(&clawable).is_none_or(|exchange| exchange.followed() >= newest);
            market.help_acts().next().is_none() && !open && followed && market.point().is_some()
        });
    }

    /// Waits until the ledger shows something.
    pub fn wait(&mut self, what: &str, mut shown: impl FnMut(&Chain) -> bool) {
        for _ in 0..PATIENCE.as_secs() {
            if shown(self.chain()) {
                return;
            }
            self.world.run_for(Duration::from_secs(1));
        }
        panic!("seed {}: {what} didn't come\n{}", self.world.seed(), self.world.trace().tail());
    }

    /// Sets the exchange up, and lets all three join.
    pub fn set_up(&mut self) {
        let plain = self.terms.plain_issuer();
        self.insist("issuer", &Deed::Create { life_secs: 0 }, |e| e.world.ledger().account(plain).is_some());
        let agent = self.terms.agent;
        self.insist("agent", &Deed::Create { life_secs: VALID_SECS }, |e| e.holds(agent).is_some());
        self.wait("the endowment", Chain::is_endowed);
        for name in ["ann", "ben", "cyn"] {
            let account = self.world.account(name);
            self.insist(name, &Deed::Join { agent }, |e| e.chain().is_member(account));
        }
    }

    /// Scenario C23, and C24 within it, up to where all was paid, converted and taken back. Returns the two paying transactions: what Ben
    /// claimed, and what Ann granted.
    pub fn help_each_other(&mut self) -> (TxHash, TxHash) {
        let offer = self.make("ben", MakeKind::Offer, SNAPPER, Stroops::whole(800));
        let request = self.make("ann", MakeKind::Request, "Help with the harvest", Stroops::whole(1_000));
        let snapper = self.take("cyn", offer);
        let harvest = self.take("cyn", request);
        // Scenario C24 on the way: for a take that wasn't claimed, by someone else, and twice.
        self.is_refused("cyn", &Deed::Repay { payment: snapper }, "not-paid");
        self.insist("ben", &Deed::Claim { take: snapper }, |e| e.chain().payment_of(snapper).is_some());
        self.insist("ann", &Deed::Grant { take: harvest }, |e| e.chain().payment_of(harvest).is_some());
        let grant = self.chain().payment_of(harvest).expect("it was granted").hash;
        self.is_refused("ben", &Deed::Repay { payment: grant }, "not-the-payer");
        let asked = |chain: &Chain, of| chain.following(of).any(|link| link.kind == LinkKind::Repayment);
        self.insist("ann", &Deed::Repay { payment: grant }, |e| asked(e.chain(), grant));
        let wants = |chain: &Chain, of| chain.following(of).any(|link| link.kind == LinkKind::Conversion);
        self.insist("ben", &Deed::Convert { payment: snapper }, |e| wants(e.chain(), snapper));
        self.wait("the issuer's answer", |chain| chain.payment_of(grant).is_some_and(|p| p.repaid.is_some()));
        self.is_refused("ann", &Deed::Repay { payment: grant }, "already-repaid");
        self.wait("the agent's answer", |chain| chain.payment_of(snapper).is_some_and(|p| p.converted.is_some()));
        (snapper, grant)
    }

    /// Offers or asks, until the ledger has it and the book tells of it.
    pub fn make(&mut self, name: &str, kind: MakeKind, text: &str, price: Stroops) -> TxHash {
        let account = self.world.account(name);
        let deed = Deed::Make { kind, description: text.to_owned(), price, validity: VALID_SECS };
        let of = |chain: &Chain| {
            chain.makes().find(|make| make.maker == account && make.description == text).map(|m| m.hash)
        };
        self.insist(name, &deed, |e| of(e.chain()).is_some());
        of(self.chain()).expect("it is on the ledger")
    }

    /// Takes a make, once the taker has heard of it.
    pub fn take(&mut self, name: &str, make: TxHash) -> TxHash {
        let account = self.world.account(name);
        let of = |chain: &Chain| chain.takes().find(|take| take.make == make && take.taker == account).map(|t| t.hash);
        self.insist(name, &Deed::Take { make, at_most: None }, |e| of(e.chain()).is_some());
        of(self.chain()).expect("it is on the ledger")
    }

    /// What an account holds of both assets; nothing where it trusts neither.
    pub fn holds(&mut self, account: AccountId) -> Option<(Stroops, Stroops)> {
        let keys = [&self.terms.clawable, &self.terms.plain].map(|asset| Key::Trustline(account, asset.clone()));
        let (_, entries) = self.world.ledger().read(&keys);
        let of = |asset: &Asset| {
            entries.iter().find_map(|entry| match entry {
                Entry::Trustline(line) if line.asset == *asset => Some(line.balance),
                _ => None,
            })
        };
        Some((of(&self.terms.clawable)?, of(&self.terms.plain)?))
    }

    /// Everything goes back, and everybody leaves: no account of theirs is left.
    pub fn close(&mut self) {
        for name in ["ann", "ben", "cyn"] {
            let account = self.world.account(name);
            let standing: Vec<_> = self.chain().standing_of(account).map(|held| held.balance).collect();
            for balance in standing {
                self.insist(name, &Deed::Reclaim { balance }, |e| !e.chain().stands(balance));
            }
        }
        let free = |world: &World, name| {
            world.is_up(name)
                && world
                    .market(name)
                    .offers()
                    .all(|(_, o)| matches!(o.state, OfferState::Reclaimed | OfferState::Failed))
        };
        self.world.run_until("everybody's bonds", PATIENCE, |world| NAMES.iter().all(|name| free(world, name)));
        // Where the coins go: the world's other issuer exists wherever somebody was endowed; here the ledger's root does.
        let into = self.world.ledger().root();
        for name in ["ann", "ben", "cyn", "agent", "issuer"] {
            let account = self.world.account(name);
            self.insist_on_leaving(name, account, into);
        }
        let plain = self.terms.plain_issuer();
        assert!(self.world.ledger().account(plain).is_none(), "the other issuer ends with its owner");
        assert!(self.world.ledger().standing().is_empty(), "nothing is left in any balance");
    }

    fn insist_on_leaving(&mut self, name: &str, account: AccountId, into: AccountId) {
        let mut said = String::new();
        for _ in 0..TRIES {
            if self.world.ledger().account(account).is_none() {
                return;
            }
            if self.world.is_up(name) {
                let exchange = Some(self.terms.clawable.clone());
                let deed = Deed::Leave { into: Some(into) };
                let id = self.world.give(name, Command::Community { exchange, deed, dry_run: false });
                self.world.run_until("an answer, or a crash", PATIENCE, |world| {
                    world.answer(id).is_some() || !world.unanswered().contains(&id)
                });
                if let Some(Err(error)) = self.world.answer(id) {
                    said = error.to_string();
                }
            }
            self.world.run_for(Duration::from_secs(3));
        }
        panic!("seed {}: {name} doesn't get away: {said}\n{}", self.world.seed(), self.world.trace().tail());
    }

    /// How many batches each node stored so far.
    pub fn commits(&self) -> [u64; NAMES.len()] {
        NAMES.map(|name| self.world.commits(name))
    }
}

/// C23's numbers, its memos, and that nothing was done twice.
fn is_c23(exchange: &mut ExchangeWorld, snapper: TxHash, grant: TxHash) {
    let whole = Stroops::whole;
    let fee = exchange.terms().fee;
    let [ann, ben, cyn] = ["ann", "ben", "cyn"].map(|name| exchange.world.account(name));
    // Fees that stand come back to those who locked them; what is in balances now counts as theirs.
    let mut with_standing = |account| {
        let standing: Vec<(bool, i64)> =
            exchange.chain().standing_of(account).map(|held| (held.clawable, held.amount.get())).collect();
        let (clawable, plain) = exchange.holds(account).expect("a member");
        let sum = |of| standing.iter().filter(|(is, _)| *is == of).map(|(_, amount)| amount).sum::<i64>();
        (clawable.get() + sum(true), plain.get() + sum(false))
    };
    assert_eq!(with_standing(ann), (whole(5_000).get(), whole(5_000).get()));
    assert_eq!(with_standing(ben), (whole(5_000).get() + fee.get(), whole(5_800).get()));
    assert_eq!(with_standing(cyn), (whole(4_200).get() - fee.get(), whole(5_000).get()));
    let chain = exchange.chain();
    let count = |kind| chain.links().iter().filter(|link| link.kind == kind).count();
    assert_eq!((count(LinkKind::Claim), count(LinkKind::Grant)), (1, 1));
    assert_eq!((count(LinkKind::Repaid), count(LinkKind::Converted)), (1, 1), "once each, whatever crashed");
    assert_eq!((count(LinkKind::Endowment), count(LinkKind::Join)), (1, 3));
    assert_eq!(chain.root_of(grant).map(|link| link.kind), Some(LinkKind::Make(MakeKind::Request)));
    assert_eq!(chain.root_of(snapper).map(|link| link.kind), Some(LinkKind::Make(MakeKind::Offer)));
}
