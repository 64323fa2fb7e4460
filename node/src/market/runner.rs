//! The market's thread: events in, one commit for several of them, then their effects.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use rand_chacha::ChaCha20Rng;
use tokio::sync::oneshot;
use tradepost_ledger::clock::LedgerClock;
use tradepost_protocol::kind::Kind;
use tradepost_protocol::market::Market;
use tradepost_protocol::market::command::{Answer, Command, CommandError, CommandId};
use tradepost_protocol::market::event::{Effect, Event};
use tradepost_protocol::message::MessageId;
use tradepost_protocol::step::{Step, Write};
use tradepost_store::Store;

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
pub(crate) struct RunnerParts {
    /// The market, restored.
    pub(crate) market: Market,
    /// What its restoring led to.
    pub(crate) first: Step<Effect>,
    /// Where its state is kept; closed when the thread ends.
    pub(crate) store: Store,
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
pub(crate) struct Runner {
    market: Market,
    store: Store,
    clock: Arc<LedgerClock>,
    rng: ChaCha20Rng,
    outside: Outside,
    mailbox: Mailbox,
    tokens: Tokens,
    commands: HashMap<CommandId, Reply>,
    next_command: u64,
    /// Events that effects led to at once.
    due: VecDeque<Event>,
}

impl Runner {
    /// Runs until it is told to stop, or can't commit; then closes the store and says so.
    pub(crate) fn run(parts: RunnerParts) {
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

    fn run_to_end(parts: RunnerParts) -> Ended {
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
        self.commit(step)
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
