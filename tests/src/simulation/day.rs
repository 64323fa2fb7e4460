//! One world's day: four traders who sell to each other, the arbiters whom they trust, and everything that goes wrong
//! meanwhile, from a seed.

mod arbitration;
mod cheating;
mod unseen;

use core::time::Duration;

use ed25519_dalek::SigningKey;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::{Price, Stroops, Unit};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::binding::phase::Side;
use tradepost_protocol::binding::session::Session;
use tradepost_protocol::binding::trade::Trade;
use tradepost_protocol::escrow::EscrowKind;
use tradepost_protocol::market::command::{Command, EscrowWish, OfferingDraft};
use tradepost_protocol::market::event::ServiceEvent;
use tradepost_protocol::message::{BalanceId, MessageId};
use tradepost_protocol::time::{Now, Timestamp};

use super::cheats::{Cheat, Cheats};
use super::judge::Judge;
use crate::world::{CrashPlan, FaultRates, Published, Script, Stranger, World, arbitrated_draft, keys_of};
use cheating::Decoy;
use unseen::Unseen;

/// The traders, then the arbiters. Each trader is a consumer; the first three are providers, too.
pub const NODES: [&str; 7] = ["anna", "bert", "dana", "cora", "ruth", "sven", "tess"];
/// How many of them trade.
const TRADERS: usize = 4;
/// How many arbiters each of those wants for a trade, in one half of all worlds and in the other: who sells for coins buys for
/// what is issued, and the other way round.
const ARBITERS_PER_TRADE: [[usize; TRADERS]; 2] = [[1, 3, 1, 3], [3, 1, 1, 3]];
/// How many of them sell.
const PROVIDERS: usize = 3;
/// The trader whose keys a crook has.
const CROOK: usize = 2;
/// The arbiter whose keys a crook has.
const CROOKED_ARBITER: usize = 6;
/// In one world of so many the issuer may take back what it issues.
const CLAWABLE_IN: u64 = 4;
/// In one world of so many, everybody has the endpoints of two operators.
const ASKS_TWO_IN: u64 = 2;
/// How many thousandths of the time that passes a clock tells, at least and at most.
const PACES: (u64, u64) = (970, 1_030);
/// What others pay for each operation where the ledger is crowded, in stroops.
const CROWDED_RATES: [i64; 3] = [150, 1_500, 60_000];
/// So often those who don't know who took an escrow are started again.
const STARTS: usize = 8;
/// One of their answers in so many is the crook's.
const LIES_IN: u64 = 24;
/// Offerings of each of those.
const OFFERINGS: usize = 2;
/// What each has at first, in coins, and in the issued asset.
const ENDOWMENT: u32 = 1_000;
/// What happens behind somebody's back waits for so many bindings at the most.
const UNSEEN_FROM: u64 = 9;
/// So often the crook is cut off of its own accord, one time in so many that anybody is.
const CROOK_CUT_OFF_IN: usize = 4;
/// It says something while somebody waits for its sign of life, at one event in so many.
const SPEAKS_UNHEARD_IN: usize = 3;
/// Between two looks of the judge.
const GLANCE: Duration = Duration::from_millis(250);
/// On a day that takes longer than this, something hangs.
const LONGEST: Duration = Duration::from_secs(3_000);

/// An offering that is out.
#[derive(Debug, Clone, Copy)]
struct Offered {
    provider: usize,
    published: Published,
    places: u32,
    free: bool,
}

/// Something that is put right later.
#[derive(Debug)]
enum Later {
    Connect(usize),
    Kill(usize),
    CallDone(usize, Box<Command>),
    TakeBack(Box<Takes>),
    Decoy(Box<Decoy>),
    NameDecoy(Box<Decoy>),
    Dispute { node: usize, request: MessageId, waits: u32 },
    ClawBack { balance: BalanceId, waits: u32 },
}

/// What a cheat locked and wants to have back.
#[derive(Debug)]
struct Takes {
    balance: BalanceId,
    controller: Option<AccountId>,
    /// Somebody else's key who may claim it from T on.
    beneficiary: Option<SigningKey>,
    /// Who was to be paid.
    recipient: AccountId,
    asset: Asset,
    amount: Stroops,
    /// What it weighs itself by the agreement.
    weight: u8,
    fund_by: Timestamp,
    tries: u32,
}

/// A day in progress.
#[derive(Debug)]
pub struct Day {
    /// The world that it happens in.
    pub world: World,
    /// Who watches.
    pub judge: Judge,
    dice: ChaCha20Rng,
    began: Now,
    offered: Vec<Offered>,
    later: Vec<(u64, Later)>,
    cheat: Stranger,
    /// What was tried.
    pub cheats: Cheats,
    /// The newest ledger when a transaction of the stranger's was handed in.
    handed_in_at: u32,
    /// Whether the issuer may take back what it issues.
    clawable: bool,
    /// The newest ledger when it did.
    clawed_at: u32,
    /// What waits for its occasion, from so many bindings on.
    unseen: Option<(usize, Unseen)>,
}

impl Day {
    /// The morning: the traders come.
    pub fn new(mut world: World, seed: u64, plan: impl Fn(usize) -> CrashPlan) -> Self {
        let endowment = Stroops::whole(ENDOWMENT);
        let issued = world.ledger().issued_asset();
        let mut judge = Judge::default();
        world.watch();
        world.let_clocks_go_wrong(PACES);
        if (seed >> 16).is_multiple_of(ASKS_TWO_IN) {
            world.let_all_ask_two(Stroops::ZERO);
        }
        let clawable = seed.is_multiple_of(CLAWABLE_IN);
        if clawable {
            world.let_issuer_claw_back();
        }
        for (node, name) in NODES.into_iter().enumerate() {
            if node < TRADERS {
                let (arbiters, per_trade) = (&NODES[TRADERS..], ARBITERS_PER_TRADE[(seed >> 8) as usize % 2][node]);
                world.add_crashing_buyer(name, endowment, plan(node), (arbiters, per_trade));
            } else {
                world.add_crashing_node(name, endowment, plan(node));
            }
            let key = keys_of(world.seed(), name).account.expect("a trader's keys");
            world.endow(&key, endowment);
            let holds = [(Asset::Native, endowment.get()), (issued.clone(), endowment.get())];
            if [CROOK, CROOKED_ARBITER].contains(&node) {
                world.let_lie(name, LIES_IN);
                judge.expect_forgery(&world, name);
            }
            if node == CROOK {
                judge.follow_crook(&world, name, &holds);
            } else {
                judge.follow(&world, name, &holds);
            }
        }
        let cheat = Stranger::new(&mut world, "cheat", endowment);
        world.endow(&cheat.key, endowment);
        judge.follow_stranger(cheat.account(), &[(Asset::Native, endowment.get()), (issued, endowment.get())]);
        let (mut dice, began) = (ChaCha20Rng::seed_from_u64(seed), world.now());
        let unseen = Unseen::drawn(&mut dice, clawable, UNSEEN_FROM);
        let (offered, later, cheats, handed_in_at, clawed_at) = Default::default();
        Self { world, judge, dice, began, offered, later, cheat, cheats, handed_in_at, clawable, clawed_at, unseen }
    }

    /// Lives through it until so many bindings were agreed on, and all have ended.
    ///
    /// # Errors
    /// What was violated, in words.
    pub fn live(&mut self, bindings: usize) -> Result<(), String> {
        self.publish()?;
        self.world.set_ledger_faults(FaultRates::TENTH);
        while self.judge.bindings() < bindings {
            self.something_happens();
            let pause = self.between(150, 900);
            self.pass(pause)?;
        }
        self.world.set_ledger_faults(FaultRates::default());
        self.unseen = None;
        for name in NODES {
            self.world.set_script(name, Script::default());
        }
        // Whoever is cut off is so until its time has come.
        while !self.later.is_empty() || self.judge.what_is_open(&self.world).is_some() {
            self.pass(GLANCE)?;
        }
        self.start_again_who_does_not_know()?;
        for (kind, times) in self.world.lies() {
            self.cheats.count(Cheat::Answer(*kind), *times);
        }
        self.judge.close_books(&self.world)
    }

    /// Whoever doesn't know who took an escrow asks endpoints that remember, once it is started again; a crash may come
    /// between.
    fn start_again_who_does_not_know(&mut self) -> Result<(), String> {
        self.world.remember_history();
        for _ in 0..STARTS {
            let unsure = self.judge.who_does_not_know(&self.world);
            if unsure.is_empty() {
                break;
            }
            for name in unsure {
                let down = self.between(200, 1_000);
                self.world.kill_for(name, down);
            }
            self.pass(Duration::from_secs(5))?;
            while self.judge.what_is_open(&self.world).is_some() {
                self.pass(GLANCE)?;
            }
        }
        Ok(())
    }

    fn pass(&mut self, time: Duration) -> Result<(), String> {
        let until = self.world.now().plus(time);
        while self.world.now() < until {
            self.world.run_for(GLANCE.min(until.since(self.world.now())));
            self.judge.look(&mut self.world)?;
            self.do_what_is_due();
        }
        if self.world.now().since(self.began) > LONGEST {
            // Who is down doesn't say what it has open.
            let is_up = |world: &mut World| NODES.iter().all(|name| world.is_up(name));
            self.world.run_until("a moment when all are up", LONGEST, is_up);
            let open = self.judge.what_is_open(&self.world).unwrap_or_default();
            let (bindings, later) = (self.judge.bindings(), self.later.len());
            return Err(format!("the day never ends: {bindings} bindings so far; {open}; {later} things to come"));
        }
        Ok(())
    }

    /// Publishes until everything is out: a node may crash in between, also more than once.
    fn publish(&mut self) -> Result<(), String> {
        let issued = self.world.ledger().issued_asset();
        let arbiters: Vec<AccountId> = NODES[TRADERS..].iter().map(|name| self.world.account(name)).collect();
        let drafts = |dice: &mut ChaCha20Rng, node: usize| -> Vec<OfferingDraft> {
            match node {
                0..PROVIDERS => {
                    (0..OFFERINGS).map(|n| draft_of(node * OFFERINGS + n, (&issued, &arbiters), dice)).collect()
                }
                PROVIDERS..TRADERS => Vec::new(),
                TRADERS.. => vec![arbitration::draft_of_arbiter(&issued)],
            }
        };
        let drafts: Vec<Vec<OfferingDraft>> = (0..NODES.len()).map(|node| drafts(&mut self.dice, node)).collect();
        let mut missing = true;
        while missing {
            missing = false;
            for (name, drafts) in NODES.iter().zip(&drafts) {
                if !self.world.is_up(name) {
                    missing = true;
                    continue;
                }
                let offers = self.world.market(name).offers();
                let all = offers.filter(|(_, offer)| offer.is_open()).count();
                missing |= all < drafts.len();
                if all < drafts.len() && self.world.unanswered().is_empty() {
                    self.world.give(name, Command::Publish(Box::new(drafts[all].clone())));
                }
            }
            self.pass(GLANCE)?;
        }
        for (provider, name) in NODES.iter().enumerate().take(PROVIDERS) {
            while !self.world.is_up(name) {
                self.pass(GLANCE)?;
            }
            for (series, offer) in self.world.market(name).offers().filter(|(_, offer)| offer.is_open()) {
                let body = offer.body();
                let published = Published { series: *series, offering: offer.id(), bond: body.bond };
                let (places, free) = (body.max_supply, body.price.amount.is_zero());
                self.judge.places(*series, places);
                self.offered.push(Offered { provider, published, places, free });
            }
        }
        Ok(())
    }

    fn between(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.dice.next_u64() % (most - least + 1))
    }

    fn pick(&mut self, count: usize) -> usize {
        (self.dice.next_u64() % count as u64) as usize
    }

    fn put_off(&mut self, by: Duration, what: Later) {
        self.later.push((self.world.now().plus(by).millis(), what));
    }

    fn something_happens(&mut self) {
        if !self.who_miss(CROOK).is_empty() && self.pick(SPEAKS_UNHEARD_IN) == 0 {
            return self.cheat();
        }
        let (node, provider) = (self.pick(TRADERS), self.pick(PROVIDERS));
        match self.pick(100) {
            0..42 => {
                let which = self.pick(self.offered.len());
                let offered = self.offered[which];
                self.bind(node, &offered);
            }
            42..48 => self.race(),
            48..57 => self.unbind(node),
            57..70 => self.call(provider),
            70..76 => {
                let node = if self.pick(CROOK_CUT_OFF_IN) == 0 { CROOK } else { self.pick(NODES.len()) };
                let cut_off = self.between(500, 9_000);
                self.cut_off_for(node, cut_off);
            }
            76..80 => self.change_script(provider),
            80..83 => self.service_stops(provider),
            83..85 if self.world.is_up(NODES[provider]) => {
                self.world.stop(NODES[provider]);
                self.put_off(Duration::from_secs(2), Later::Kill(provider));
            }
            85..97 => self.cheat(),
            97 => self.somebody_decides(node),
            99 if self.clawable && self.pick(3) > 0 => self.issuer_claws_back(),
            99 => self.servers_forget(),
            98 => self.ledger_is_slow(),
            _ => {}
        }
    }

    /// The ledger stands still, or others pay so much that it takes nothing cheaper.
    fn ledger_is_slow(&mut self) {
        let time = self.between(1_500, 8_000);
        if self.pick(2) == 0 {
            return self.world.halt_ledger(time);
        }
        let least_rate = CROWDED_RATES[self.pick(CROWDED_RATES.len())];
        self.world.crowd_ledger(Stroops::new(least_rate).expect("positive"), time);
    }

    /// No server remembers; now and then for longer than a node looks for who took an escrow, and then an arbiter and a
    /// trader, who could tell each other, don't hear anybody.
    fn servers_forget(&mut self) {
        if self.pick(3) > 0 {
            let forgotten = self.between(10_000, 60_000);
            return self.world.forget_history(forgotten);
        }
        let forgotten = self.between(150_000, 250_000);
        self.world.forget_history(forgotten);
        let (arbiter, trader) = (TRADERS + self.pick(NODES.len() - TRADERS), self.pick(TRADERS));
        for (node, cut_off) in [(arbiter, forgotten), (trader, self.between(20_000, 60_000))] {
            self.cut_off_for(node, cut_off);
        }
    }

    /// A node hears nobody for so long, or longer where it is cut off already.
    fn cut_off_for(&mut self, node: usize, time: Duration) {
        self.world.set_connected(NODES[node], false);
        let mut until = self.world.now().plus(time).millis();
        self.later.retain(|(at, what)| {
            let its = matches!(what, Later::Connect(of) if *of == node);
            if its {
                until = until.max(*at);
            }
            !its
        });
        self.later.push((until, Later::Connect(node)));
    }

    /// The issuer takes an escrow back, as it may where its asset says so.
    fn issuer_claws_back(&mut self) {
        let at = self.world.newest_ledger().sequence;
        let standing = self.judge.standing_for_issued();
        if !standing.is_empty() && at > self.clawed_at {
            let balance = standing[self.pick(standing.len())];
            self.clawed_at = at;
            self.world.ledger().try_clawback(balance);
        }
    }

    fn bind(&mut self, node: usize, offered: &Offered) {
        let units = 1 + self.pick(4) as u64;
        if node != offered.provider && self.world.is_up(NODES[node]) {
            let offering = offered.published.offering;
            let wish = match self.pick(6) {
                0 | 1 => EscrowWish { kind: Some(EscrowKind::Timed), pay_unless_disputed: false },
                2 if !offered.free => EscrowWish { kind: Some(EscrowKind::Arbitrated), pay_unless_disputed: true },
                _ => EscrowWish { kind: None, pay_unless_disputed: false },
            };
            self.world.give(NODES[node], Command::Bind { offering, units, wish, dry_run: false });
        }
    }

    /// All want the last place at the same time.
    fn race(&mut self) {
        let last = self.offered.iter().find(|o| o.places == 1).copied();
        for (node, last) in (0..TRADERS).zip(last.iter().cycle()) {
            self.bind(node, last);
        }
    }

    fn trade_of(&mut self, node: usize, which: impl Fn(&Trade) -> bool) -> Option<Trade> {
        if !self.world.is_up(NODES[node]) {
            return None;
        }
        let count = self.world.market(NODES[node]).trades().filter(|t| which(t)).count();
        let at = (count > 0).then(|| self.pick(count))?;
        self.world.market(NODES[node]).trades().filter(|t| which(t)).nth(at).cloned()
    }

    fn unbind(&mut self, node: usize) {
        if let Some(trade) = self.trade_of(node, |t| !t.phase().is_final()) {
            self.world.give(NODES[node], Command::Unbind(trade.request_id()));
        }
    }

    fn call(&mut self, provider: usize) {
        let served = |t: &Trade| t.state.side == Side::Provider && t.state.session == Session::Active;
        let Some(trade) = self.trade_of(provider, served) else { return };
        let Some((binding, access)) = trade.binding().zip(trade.state.access) else { return };
        let failed = self.pick(5) == 0;
        self.world.give(NODES[provider], Command::AdmitCall { binding, token: access.token });
        let took = self.between(10, 2_000);
        self.put_off(took, Later::CallDone(provider, Box::new(Command::CallDone { binding, failed })));
    }

    /// Whoever made the call knows, too, whether it was answered.
    fn consumer_sees(&mut self, done: &Command) {
        let Command::CallDone { binding, .. } = done else { return };
        let bought = |t: &Trade| t.state.side == Side::Consumer && t.binding() == Some(*binding);
        let up: Vec<&str> = NODES[..TRADERS].iter().copied().filter(|name| self.world.is_up(name)).collect();
        if let Some(name) = up.into_iter().find(|name| self.world.market(name).trades().any(bought)) {
            self.world.give(name, done.clone());
        }
    }

    fn change_script(&mut self, provider: usize) {
        let script = match self.pick(5) {
            0 => Script::Silent,
            1 => Script::Fails { after: self.between(50, 3_000), why: "out of memory".to_owned() },
            _ => Script::default(),
        };
        self.world.set_script(NODES[provider], script);
    }

    fn service_stops(&mut self, provider: usize) {
        let name = NODES[provider];
        if let Some(binding) = self.world.processes(name).keys().next().copied() {
            self.world.service_says(name, binding, ServiceEvent::Stopped("it crashed".to_owned()));
        }
    }

    fn do_what_is_due(&mut self) {
        self.arbiters_decide();
        self.somebody_gives_in();
        self.take_occasion();
        let now = self.world.now().millis();
        let (due, later): (Vec<_>, Vec<_>) =
            core::mem::take(&mut self.later).into_iter().partition(|(at, _)| *at <= now);
        self.later = later;
        for (_, what) in due {
            match what {
                Later::Connect(node) => self.world.set_connected(NODES[node], true),
                Later::Kill(node) if self.world.is_up(NODES[node]) => {
                    let down = self.between(200, 4_000);
                    self.world.kill_for(NODES[node], down);
                }
                Later::CallDone(node, command) if self.world.is_up(NODES[node]) => {
                    self.consumer_sees(&command);
                    self.world.give(NODES[node], *command);
                }
                Later::Kill(_) | Later::CallDone(..) => {}
                Later::TakeBack(takes) => self.takes_back(*takes),
                Later::Decoy(decoy) => self.locks_decoy(*decoy),
                Later::NameDecoy(decoy) => self.names_decoy(*decoy),
                Later::Dispute { node, request, waits } => self.disputes(node, request, waits),
                Later::ClawBack { balance, waits } => self.is_clawed_back(balance, waits),
            }
        }
    }
}

/// Calls, the last place, seconds for an issued asset, and what costs nothing; each with its own time.
fn draft_of(number: usize, (issued, arbiters): (&Asset, &[AccountId]), dice: &mut ChaCha20Rng) -> OfferingDraft {
    let deliver = Duration::from_secs(4 + dice.next_u64() % 10);
    let for_issued = dice.next_u64().is_multiple_of(2);
    let mut price = |asset: &Asset, unit, most: u64| {
        let amount = Stroops::new(1 + (dice.next_u64() % most) as i64).expect("positive");
        Price { asset: asset.clone(), amount, unit }
    };
    let (price, max_supply) = match number {
        0 => (price(&Asset::Native, Unit::Call, 30_000_000), 3),
        1 => (price(&Asset::Native, Unit::Call, 10_000_000), 1),
        2 => (price(issued, Unit::Second, 5_000_000), 3),
        4 => (price(issued, Unit::Second, 5_000_000), 3),
        5 if for_issued => (price(issued, Unit::Second, 5_000_000), 2),
        5 => (price(&Asset::Native, Unit::Call, 30_000_000), 2),
        _ => (Price { asset: Asset::Native, amount: Stroops::ZERO, unit: Unit::Call }, 2),
    };
    OfferingDraft { price, max_units: 4, max_supply, deliver, ..arbitrated_draft(arbiters.to_vec()) }
}
