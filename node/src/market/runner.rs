//! The market's thread: events in, one commit for several of them, then their effects.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use rand_chacha::ChaCha20Rng;
use tokio::sync::oneshot;
use tradepost_ledger::clock::LedgerClock;
use tradepost_protocol::binding::phase::Phase;
use tradepost_protocol::kind::Kind;
use tradepost_protocol::market::Market;
use tradepost_protocol::market::command::{Answer, Command, CommandError, CommandId};
use tradepost_protocol::market::event::{Effect, Event, News};
use tradepost_protocol::message::MessageId;
use tradepost_protocol::step::{Commit, Step, Write};

use super::effects::Outside;
use super::inbox::Work;
use super::tokens::{Place, Tokens};
use super::{Ended, Mailbox};

/// Events that share one commit, at most.
const EVENTS_PER_COMMIT: usize = 64;
/// Bytes from which on a commit waits for no further event; far below what the store takes at once.
const BYTES_PER_COMMIT: usize = 1024 * 1024;
/// Commands that wait for their answer, count.
const MAX_COMMANDS: usize = 1_024;

/// What the thread is made of.
#[derive(Debug)]
pub(crate) struct RunnerParts<S> {
    /// The market, restored.
    pub(crate) market: Market,
    /// What its restoring led to.
    pub(crate) first: Step<Effect>,
    /// Where its state is kept; closed when the thread ends.
    pub(crate) store: S,
    /// The present.
    pub(crate) clock: Arc<LedgerClock>,
    /// Randomness for keys and nonces.
    pub(crate) rng: ChaCha20Rng,
    /// Where effects go.
    pub(crate) outside: Outside,
    /// Where events come from.
    pub(crate) mailbox: Mailbox,
}

type Reply = oneshot::Sender<Result<Answer, CommandError>>;

/// The thread's state.
pub(crate) struct Runner<S> {
    market: Market,
    store: S,
    clock: Arc<LedgerClock>,
    rng: ChaCha20Rng,
    outside: Outside,
    mailbox: Mailbox,
    tokens: Tokens,
    commands: HashMap<CommandId, Reply>,
    next_command: u64,
    /// Where open bindings stood when that was logged.
    phases: HashMap<MessageId, Phase>,
    /// Events that effects led to at once.
    due: VecDeque<Event>,
}

impl<S: Commit> Runner<S> {
    /// Runs until it is told to stop, or can't commit; then closes the store and says so.
    pub(crate) fn run(parts: RunnerParts<S>) {
        let ended = parts.mailbox.ended.clone();
        // Effects begin tasks.
        let runtime = parts.outside.runtime().clone();
        let _context = runtime.enter();
        // A panic below must not leave others waiting for ever.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| Self::run_to_end(parts)));
        let why = outcome.unwrap_or(Ended::Fault);
        match &why {
            Ended::Asked => tracing::debug!("the market has ended"),
            why => tracing::error!(%why, "the market has ended"),
        }
        ended.send_replace(Some(why));
    }

    fn run_to_end(parts: RunnerParts<S>) -> Ended {
        let RunnerParts { market, first, store, clock, rng, outside, mailbox } = parts;
        let mut runner = Self {
            market,
            store,
            clock,
            rng,
            outside,
            mailbox,
            tokens: Tokens::default(),
            commands: HashMap::new(),
            next_command: 0,
            phases: HashMap::new(),
            due: VecDeque::new(),
        };
        match runner.turns(first) {
            Ok(()) => Ended::Asked,
            Err(why) => Ended::Store(why),
        }
    }

    fn turns(&mut self, first: Step<Effect>) -> Result<(), String> {
        self.commit(first)?;
        while !self.mailbox.stopping.load(Ordering::Acquire) {
            if !self.due.is_empty() {
                self.turn(None)?;
                continue;
            }
            match self.mailbox.inbox.blocking_recv() {
                Some(work) => self.turn(Some(work))?,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Handles what waits, within bounds, and commits once.
    fn turn(&mut self, mut next: Option<Work>) -> Result<(), String> {
        let mut step = Step::none();
        let (mut events, mut bytes) = (0, 0);
        while events < EVENTS_PER_COMMIT && bytes < BYTES_PER_COMMIT {
            let mut one = match self.due.pop_front() {
                Some(event) => self.handle(event),
                None => match next.take().or_else(|| self.mailbox.inbox.try_recv().ok()) {
                    Some(Work::Question(question)) => {
                        // Nobody may learn what isn't durable.
                        self.commit(std::mem::take(&mut step))?;
                        question(&self.market, self.clock.now());
                        continue;
                    }
                    Some(work) => self.take(work),
                    None => break,
                },
            };
            events += 1;
            bytes += one.batch().writes().iter().map(size).sum::<usize>();
            step.append(one);
        }
        self.commit(step)?;
        self.outside.metrics.refused(|reason| self.market.refused(reason));
        Ok(())
    }

    fn handle(&mut self, event: Event) -> Step<Effect> {
        self.outside.metrics.events.inc();
        let now = self.clock.now();
        self.market.handle(event, now, &mut self.rng)
    }

    fn take(&mut self, work: Work) -> Step<Effect> {
        let at = Instant::now();
        match work {
            Work::Event(event) => self.handle(event),
            Work::Tick => self.tick(at),
            Work::Ledger { closed, params, skew } => {
                self.market.set_clock_skew(skew);
                let mut step = Step::none();
                if self.market.params() != Some(params) {
                    step.append(self.handle(Event::Params(params)));
                }
                step.append(self.handle(Event::Closed(closed.point())));
                step
            }
            Work::Command { command, reply } => self.command(command, reply),
            Work::CallDone { binding, failed } => self.unanswered(Command::CallDone { binding, failed }),
            Work::Gossiped { token, kind, bytes, from } => {
                let token = self.tokens.keep(Place::Verdict(token), at);
                self.handle(Event::Gossiped { token, kind, bytes: bytes.into(), from })
            }
            Work::Direct { token, peer, bytes } => {
                let token = self.tokens.keep(Place::Direct(token), at);
                self.handle(Event::Direct { token, peer, bytes: bytes.into() })
            }
            Work::IdsWanted { token, after } => {
                let token = self.tokens.keep(Place::Ids(token), at);
                self.handle(Event::IdsWanted { token, after })
            }
            Work::MessagesWanted { token, ids } => {
                // Kinds that aren't known here end the list: what comes after them is asked for again.
                let known = |item: &tradepost_network::ItemId| {
                    Some((Kind::from_number(item.kind)?, MessageId::from_bytes(item.id)))
                };
                let wanted: Vec<_> = ids.iter().map_while(known).collect();
                let token = self.tokens.keep(Place::Messages(token, ids), at);
                self.handle(Event::MessagesWanted { token, ids: wanted })
            }
            Work::Question(_) | Work::Wake => Step::none(),
        }
    }

    fn tick(&mut self, at: Instant) -> Step<Effect> {
        self.outside.tick_taken();
        self.tokens.expire(at);
        self.commands.retain(|_, reply| !reply.is_closed());
        self.handle(Event::Tick)
    }

    fn command(&mut self, command: Command, reply: Reply) -> Step<Effect> {
        if self.commands.len() >= MAX_COMMANDS {
            let busy = CommandError::NotNow("too many commands wait for their answers; try again shortly".to_owned());
            // Whoever no longer waits for the answer doesn't want it.
            let _ = reply.send(Err(busy));
            return Step::none();
        }
        let id = self.next_id();
        self.commands.insert(id, reply);
        self.handle(Event::Command { id, command })
    }

    fn unanswered(&mut self, command: Command) -> Step<Effect> {
        let id = self.next_id();
        self.handle(Event::Command { id, command })
    }

    fn next_id(&mut self) -> CommandId {
        self.next_command += 1;
        CommandId(self.next_command)
    }

    /// Tells the log where a binding stands now, once for each phase.
    fn log(&mut self, news: &News) {
        let News::Binding(request) = news else { return };
        let Some(trade) = self.market.trade(request.as_bytes()) else { return };
        let phase = trade.phase();
        let moved = if phase.is_final() {
            // Logged once: where it stood before is known until then.
            self.phases.remove(request).is_some()
        } else {
            self.phases.insert(*request, phase) != Some(phase)
        };
        if moved {
            let (side, next) = (trade.state.side, phase.next_action(trade.state.side));
            tracing::info!(%request, ?side, %phase, next, "a binding moved");
        }
    }

    /// The only way to effects: through a commit.
    fn commit(&mut self, step: Step<Effect>) -> Result<(), String> {
        let effects = step.commit_to(&mut self.store).map_err(|e| e.to_string())?;
        for effect in effects {
            self.run_effect(effect);
        }
        Ok(())
    }

    fn run_effect(&mut self, effect: Effect) {
        match effect {
            Effect::Answer { id, result } => {
                if let Some(reply) = self.commands.remove(&id) {
                    // Whoever no longer waits for the answer doesn't want it.
                    let _ = reply.send(result);
                }
            }
            Effect::News(news) => {
                self.log(&news);
                // No watcher, no harm.
                let _ = self.mailbox.news.send(news);
            }
            Effect::Verdict { token, verdict, refusal } => {
                if let Some(Place::Verdict(place)) = self.tokens.take(token) {
                    self.outside.verdict(place, verdict, refusal);
                }
            }
            Effect::Respond { token, bytes } => {
                if let Some(Place::Direct(place)) = self.tokens.take(token) {
                    self.outside.respond(place, bytes);
                }
            }
            Effect::ServeIds { token, ids, more } => {
                if let Some(Place::Ids(place)) = self.tokens.take(token) {
                    self.outside.serve_ids(place, &ids, more);
                }
            }
            Effect::ServeMessages { token, found } => {
                if let Some(Place::Messages(place, asked)) = self.tokens.take(token) {
                    self.outside.serve_messages(place, &asked, found);
                }
            }
            other => self.due.extend(self.outside.run(other)),
        }
    }
}

fn size(write: &Write) -> usize {
    match write {
        Write::Put { key, value, .. } => key.len() + value.len(),
        Write::Delete { key, .. } => key.len(),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;
    use std::thread;
    use std::time::Duration;

    use ed25519_dalek::SigningKey;
    use rand_core::SeedableRng;
    use tradepost_devnet::Server;
    use tradepost_ledger::clock::WallClock;
    use tradepost_ledger::{Ledger, RpcConfig, RpcLedger};
    use tradepost_protocol::account::ServiceKey;
    use tradepost_protocol::document::{InterfaceHash, ServiceRecord};
    use tradepost_protocol::limits::Margins;
    use tradepost_protocol::market::{EscrowPolicy, Keys, Policy, Setup};
    use tradepost_protocol::message::Signed;
    use tradepost_protocol::network_id::NetworkId;
    use tradepost_protocol::step::Batch;

    use super::*;
    use crate::home::Home;
    use crate::market::metrics::MarketMetrics;
    use crate::market::{MarketHandle, MarketStopped, market_peer};
    use crate::supervisor::Supervisor;
    use crate::timestamps::Timestamps;

    /// A store that takes so many commits, then is full.
    #[derive(Debug, Clone)]
    struct Disk {
        room: Arc<Mutex<usize>>,
    }

    impl Disk {
        fn with_room(commits: usize) -> Self {
            Self { room: Arc::new(Mutex::new(commits)) }
        }

        fn room(&self) -> usize {
            *self.room.lock().unwrap()
        }
    }

    impl Commit for Disk {
        type Error = &'static str;
        fn commit(&mut self, _: Batch) -> Result<(), Self::Error> {
            let mut room = self.room.lock().unwrap();
            *room = room.checked_sub(1).ok_or("the disk is full")?;
            Ok(())
        }
    }

    const PASSPHRASE: &str = "Tradepost Devnet ; runner";

    /// A market on a disk, not running yet.
    async fn parts(disk: &Disk, home: &tempfile::TempDir) -> (MarketHandle, RunnerParts<Disk>, Server) {
        let config = tradepost_devnet::Config { passphrase: Some(PASSPHRASE.into()), ..Default::default() };
        let server = Server::spawn(config).await.unwrap();
        let ledger = RpcLedger::connect(RpcConfig::new(server.url()), PASSPHRASE).await.unwrap();
        let clock = Arc::new(LedgerClock::new(ledger.latest().await.unwrap(), WallClock::Ignored));
        let (network, _, actor) =
            tradepost_network::spawn(tradepost_network::Config::new([1; 32], "0123abcd", Vec::new())).unwrap();
        tokio::spawn(actor);
        let home = Home::at(home.path());
        home.create().unwrap();
        let (supervisor, _) = Supervisor::new(&home).await.unwrap();
        let (handle, mailbox) = MarketHandle::new();
        let setup = Setup {
            network: NetworkId::of_passphrase(PASSPHRASE),
            margins: Margins::DEVNET,
            peer: market_peer(network.local_peer_id()).unwrap(),
            keys: Keys::default(),
            policy: Policy {
                assets: Vec::new(),
                transports: Vec::new(),
                escrow: EscrowPolicy::default(),
                max_spend: tradepost_protocol::amount::Stroops::ZERO,
                max_fee_per_operation: tradepost_protocol::amount::Stroops::ZERO,
                max_deadline_fee: tradepost_protocol::amount::Stroops::ZERO,
                one_word_limit: None,
                submitters: 0,
                max_cases: tradepost_protocol::limits::MAX_CASES,
            },
        };
        let (market, first) = Market::restore(setup, [], clock.now()).unwrap();
        let metrics = MarketMetrics::default();
        let timestamps = Timestamps::of(&home, PASSPHRASE);
        let services = BTreeMap::new();
        let ledger: (Arc<dyn Ledger>, NetworkId) = (Arc::new(ledger), NetworkId::of_passphrase(PASSPHRASE));
        let outside = Outside::new(handle.clone(), network, ledger, supervisor, timestamps, services, metrics);
        let rng = ChaCha20Rng::from_seed([3; 32]);
        (handle, RunnerParts { market, first, store: disk.clone(), clock, rng, outside, mailbox }, server)
    }

    /// A command that is stored and answered at once.
    fn register(service: u8) -> Command {
        let key = SigningKey::from_bytes(&[service; 32]);
        let record = ServiceRecord {
            service: ServiceKey::of(&key),
            repository: "https://example.org/s.git".parse().unwrap(),
            commit: "ab".repeat(20).parse().unwrap(),
            path: "services/echo".parse().unwrap(),
            interface_hash: InterfaceHash::from_bytes([2; 32]),
            title: "Echo".into(),
            revision: 1,
            previous: None,
        };
        let signed = Signed::sign(record, &NetworkId::of_passphrase(PASSPHRASE), &key).unwrap();
        Command::Register(signed.packed().bytes().to_vec())
    }

    #[tokio::test]
    async fn what_cannot_be_stored_is_not_answered_and_ends_the_market() {
        let (disk, home) = (Disk::with_room(1), tempfile::tempdir().unwrap());
        let (handle, parts, _server) = parts(&disk, &home).await;
        thread::spawn(move || Runner::run(parts));
        assert!(handle.command(register(1)).await.unwrap().is_ok());
        let failed = handle.command(register(2)).await.unwrap_err();
        assert_eq!(failed, MarketStopped::Ended(Ended::Store("the disk is full".into())));
        assert!(matches!(handle.ask(|_, _| ()).await, Err(MarketStopped::Ended(Ended::Store(_)))));
    }

    #[tokio::test]
    async fn events_that_wait_share_one_commit_and_questions_see_what_is_durable() {
        let (disk, home) = (Disk::with_room(10), tempfile::tempdir().unwrap());
        let (handle, parts, _server) = parts(&disk, &home).await;
        let mut answers = Vec::new();
        for service in 1..=5 {
            let (reply, answer) = oneshot::channel();
            let command = register(service);
            assert!(handle.inbox().try_send(Work::Command { command, reply }).is_ok());
            answers.push(answer);
        }
        let (reply, room_then) = oneshot::channel();
        let seen = disk.clone();
        let question = Work::Question(Box::new(move |_, _| reply.send(seen.room()).unwrap()));
        assert!(handle.inbox().try_send(question).is_ok());
        thread::spawn(move || Runner::run(parts));
        for answer in answers {
            assert!(answer.await.unwrap().is_ok());
        }
        assert_eq!(room_then.await.unwrap(), 9, "one commit for all five, before the question");
        handle.stop();
        assert_eq!(handle.ended().await, Ended::Asked);
    }

    #[tokio::test]
    async fn a_panic_on_the_markets_thread_leaves_nobody_waiting() {
        let (disk, home) = (Disk::with_room(10), tempfile::tempdir().unwrap());
        let (handle, parts, _server) = parts(&disk, &home).await;
        thread::spawn(move || Runner::run(parts));
        let asked = handle.ask(|_, _| panic!("a fault, as this test wants it"));
        let answer: Result<(), _> = tokio::time::timeout(Duration::from_secs(10), asked).await.unwrap();
        assert_eq!(answer, Err(MarketStopped::Ended(Ended::Fault)));
    }
}
