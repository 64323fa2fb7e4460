//! What nodes' steps do to the world: frames, the ledger, services.

use tradepost_protocol::market::event::{Ask, Effect, Event, KeptStamp, ServiceEvent};
use tradepost_protocol::message::{BindingId, Sha256Hash};
use tradepost_protocol::stellar::entry::Entry;
use tradepost_protocol::step::Step;
use tradepost_protocol::timestamp::BatchFile;

use super::{
    Address, Happening, LEDGER_LATENCY, Moment, Process, Question, Script, SecondEndpoint, Sight, World, ledger,
};

impl World {
    pub(super) fn carry_out(&mut self, index: usize, mut step: Step<Effect>) {
        let stored = !step.batch().is_empty();
        let effects = step.commit_to(&mut self.nodes[index].store).expect("a store in memory takes every batch");
        if stored {
            self.nodes[index].commits += 1;
            self.see_moves(index);
        }
        let crashes = |world: &mut Self, moment| world.springs(index, moment) || stored && world.crashes(index, moment);
        if crashes(self, Moment::BeforeEffects) {
            return;
        }
        for effect in effects {
            self.trace.note(self.millis, &self.nodes[index].name, format_args!("-> {effect:?}"));
            self.perform(index, effect);
        }
        crashes(self, Moment::AfterEffects);
    }

    /// Kills a node whose trap springs now.
    pub(super) fn springs(&mut self, index: usize, moment: Moment) -> bool {
        let node = &self.nodes[index];
        let springs = match (&node.trap, &node.life) {
            (Some(trap), Some(life)) => trap.moment == moment && (trap.when)(&life.market),
            _ => false,
        };
        if springs {
            let name = node.name.clone();
            self.kill(&name);
        }
        springs
    }

    pub(super) fn perform(&mut self, index: usize, effect: Effect) {
        let address = (index, self.nodes[index].generation);
        let ask = |world: &mut Self, question| {
            world.schedule_between(LEDGER_LATENCY, Happening::LedgerAsked(address, question));
        };
        match effect {
            Effect::Read { ask: what, keys } => ask(self, Question::Read { ask: what, keys }),
            Effect::Submit { hash, envelope } => {
                let envelope = self.mutated(index, envelope);
                ask(self, Question::Submit { hash, envelope });
            }
            Effect::AskStatus { hash } => ask(self, Question::Status { hash }),
            Effect::Search { balance, after, until } => ask(self, Question::Search { balance, after, until }),
            Effect::Follow { exchange, from, .. } => ask(self, Question::Follow { exchange, from }),
            Effect::StartService { binding, .. } => self.start_service(address, binding),
            Effect::StopService { binding } => {
                if let Some(life) = &mut self.nodes[index].life {
                    life.processes.remove(&binding);
                }
            }
            Effect::Answer { id, result } => {
                let before = self.answers.insert(id, result);
                assert!(before.is_none(), "seed {}: command {id:?} was answered twice", self.seed);
            }
            Effect::Misbehaved { peer, refusal } => {
                self.misbehaved.push((self.nodes[index].name.clone(), peer, refusal));
            }
            Effect::KeepStamp(stamp) => self.keep_stamp(address, *stamp),
            Effect::News(_) => {}
            outward => self.send_out(address, outward),
        }
    }

    /// What the ledger answers, and what its client makes of it.
    pub(super) fn answer_from_ledger(&mut self, address: Address, question: Question) -> Option<Event> {
        let event = match question {
            Question::Read { ask: what, keys } => {
                self.escrow_reads += usize::from(what == Ask::Escrows);
                let (at, mut entries) = self.ledger.read(&keys);
                if self.nodes[address.0].life.as_ref().is_some_and(|life| life.clock.is_ahead_of(at)) {
                    let why = "the ledger's endpoint is behind what it showed before".to_owned();
                    return Some(Event::ReadFailed { ask: what, why });
                }
                self.maybe_lie(address, &what, &mut entries);
                match self.second_opinion(&entries) {
                    Err(why) if what.gates_money() => Event::ReadFailed { ask: what, why: why.to_owned() },
                    _ => Event::Entries { ask: what, at, asked: keys, entries },
                }
            }
            Question::Submit { hash, envelope } => Event::Submitted { hash, answer: self.ledger.submit(&envelope) },
            Question::Status { hash } => {
                let (status, envelope) = self.ledger.status(hash);
                Event::Status { hash, status, envelope }
            }
            Question::Search { balance, after, until } => {
                Event::Searched { balance, found: self.ledger.search(balance, after, until) }
            }
            Question::Follow { exchange, from } => Event::Followed { exchange, result: Ok(self.ledger.follow(from)) },
        };
        Some(event)
    }

    /// Whether the second endpoint says the same.
    pub(super) fn second_opinion(&self, entries: &[Entry]) -> Result<(), &'static str> {
        let balances = entries.iter().any(|entry| matches!(entry, Entry::Balance(_)));
        match self.second {
            SecondEndpoint::Down => Err("only the first endpoint can be asked now"),
            SecondEndpoint::HidesBalances if balances => Err("the endpoints don't come to the same answer"),
            SecondEndpoint::Agrees | SecondEndpoint::HidesBalances => Ok(()),
        }
    }

    /// Files outlive their node, like its disk.
    pub(super) fn keep_stamp(&mut self, address: Address, stamp: KeptStamp) {
        let root = Sha256Hash::from_bytes(stamp.batch.root());
        let (header, results) = self.ledger.record(stamp.included.at.sequence);
        let file = BatchFile::new(&stamp.batch, ledger::PASSPHRASE, &stamp.included.envelope, &header, &results);
        let result = file.check().map(drop).map_err(|e| e.to_string());
        self.kept.insert(root, file);
        self.schedule_between(LEDGER_LATENCY, Happening::Reach(address, Event::StampKept { root, result }));
    }

    pub(super) fn start_service(&mut self, address: Address, binding: BindingId) {
        self.next_number += 1;
        let number = self.next_number;
        let node = &mut self.nodes[address.0];
        let Some(life) = &mut node.life else { return };
        if life.processes.contains_key(&binding) {
            return;
        }
        life.processes.insert(binding, Process { number, healthy: false });
        node.started.push(binding);
        let script = node.script.clone();
        let running = life.processes.keys().copied().collect();
        self.see_that(|| Sight::ServiceTold { node: address.0, binding, running });
        let (after, event) = match script {
            Script::Runs { after } => (after, ServiceEvent::Runs),
            Script::Fails { after, why } => (after, ServiceEvent::Failed(why)),
            Script::Silent => return,
        };
        self.schedule(after, Happening::Service { address, binding, number, event });
    }

    pub(super) fn service_event(&mut self, address: Address, binding: BindingId, number: u64, event: ServiceEvent) {
        if !self.lives(address) {
            return;
        }
        let Some(life) = &mut self.nodes[address.0].life else { return };
        match life.processes.get_mut(&binding).filter(|p| p.number == number) {
            Some(process) if event == ServiceEvent::Runs => process.healthy = true,
            Some(_) => drop(life.processes.remove(&binding)),
            None => return,
        }
        if event == ServiceEvent::Runs {
            self.see_that(|| Sight::ServiceHealthy { binding });
        }
        self.deliver(address, Event::Service { binding, event });
    }
}
