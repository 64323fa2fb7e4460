//! What goes wrong between a node and the ledger: questions and answers that are lost or late, an endpoint that is busy,
//! behind, forgetful, lies or throws away what it took, a ledger that stands still or takes only what offers more.
//!
//! Each fault is what the ledger's client makes of it: a question without an answer is a failed read, a submission that
//! is tried again, or no status; and an answer older than what the node has seen is a failed read, because the client
//! drops it.

use core::time::Duration;

use tradepost_devnet::{Faults, Submissions};
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::intent::queue::SubmitAnswer;
use tradepost_protocol::market::event::{Ask, Event};
use tradepost_protocol::stellar::reserve::LedgerParams;

use super::{Address, Happening, LEDGER_LATENCY, Question, World};

/// How long a node waits for an answer of the ledger.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a slow answer takes: least and most, in milliseconds.
const SLOW: (u64, u64) = (1_000, 8_000);
/// When a node hears of what others pay, after that has changed, in milliseconds.
const FEES_HEARD_WITHIN: (u64, u64) = (100, 3_000);
/// The most ledgers that an endpoint is behind, or remembers.
const LEDGERS: u64 = 4;

/// How many questions of a thousand meet each fault.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FaultRates {
    /// The question never arrives.
    pub lost: u64,
    /// It arrives and is done; its answer doesn't come back.
    pub unanswered: u64,
    /// The answer is late, and so may be overtaken.
    pub slow: u64,
    /// The endpoint is a few ledgers behind.
    pub behind: u64,
    /// The endpoint remembers the transactions of a few ledgers only.
    pub forgetful: u64,
    /// The endpoint says `TRY_AGAIN_LATER`.
    pub busy: u64,
    /// The endpoint says `PENDING` and throws the transaction away.
    pub dropped: u64,
    /// The endpoint that answers lies about what the ledger holds; where a second one is asked, it doesn't.
    pub lying: u64,
}

impl FaultRates {
    /// About every tenth question meets something.
    pub const TENTH: Self =
        Self { lost: 15, unanswered: 15, slow: 20, behind: 20, forgetful: 10, busy: 10, dropped: 10, lying: 10 };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Lost,
    Unanswered,
    Slow,
    Lying,
    Endpoint(Faults),
}

impl World {
    /// From now on so many questions to the ledger meet faults.
    pub fn set_ledger_faults(&mut self, rates: FaultRates) {
        self.fault_rates = rates;
    }

    /// How many questions met a fault, and how often the ledger stood still or was crowded.
    pub const fn ledger_faults(&self) -> u64 {
        self.ledger_faults
    }

    /// For how long a node's questions to the ledger have met no fault, and the ledger hasn't stood still: those apart that
    /// it asks again anyway.
    pub fn untroubled_for(&self, name: &str) -> Duration {
        let troubled = self.nodes[self.index(name)].troubled_at.unwrap_or_default();
        Duration::from_millis(self.millis.saturating_sub(troubled.max(self.halted_until).max(self.surging_until)))
    }

    /// Lets no ledger close for so long.
    pub fn halt_ledger(&mut self, time: Duration) {
        self.ledger_faults += 1;
        self.halted_until = self.halted_until.max(self.millis + time.as_millis() as u64);
    }

    /// For so long ledgers include only what offers so much for each operation, and everybody hears of it.
    pub fn crowd_ledger(&mut self, least_rate: Stroops, time: Duration) {
        self.ledger_faults += 1;
        self.surging_until = self.surging_until.max(self.millis + time.as_millis() as u64);
        self.ledger.fees_rise_to(least_rate.get());
        self.tell_fees(least_rate);
        self.schedule(time, Happening::FeesFall);
    }

    /// What others pay falls back, where nothing else keeps it up.
    pub(super) fn fees_fall(&mut self) {
        if self.millis >= self.surging_until {
            self.ledger.fees_rise_to(0);
            self.tell_fees(LedgerParams::USUAL.base_fee);
        }
    }

    fn tell_fees(&mut self, paid: Stroops) {
        for index in 0..self.nodes.len() {
            let address = (index, self.nodes[index].generation);
            self.schedule_between(FEES_HEARD_WITHIN, Happening::Reach(address, Event::FeesPaid(paid)));
        }
    }

    /// For so long no endpoint remembers the transactions of more than a few ledgers.
    pub fn forget_history(&mut self, time: Duration) {
        self.ledger_faults += 1;
        self.forgetful_until = self.forgetful_until.max(self.millis + time.as_millis() as u64);
    }

    /// Endpoints remember everything again.
    pub fn remember_history(&mut self) {
        self.forgetful_until = 0;
    }

    /// A question reaches the ledger, or meets what the dice say.
    pub(super) fn ask_ledger(&mut self, address: Address, question: Question) {
        let fault = self.fault().filter(|fault| *fault != Fault::Lying || self.can_be_lied_to(address, &question));
        self.ledger_faults += u64::from(fault.is_some());
        if fault.is_some() && !question.only_watches() {
            self.nodes[address.0].troubled_at = Some(self.millis);
        }
        let fault = fault.or_else(|| self.forgets());
        let answer = match fault {
            None | Some(Fault::Slow) => self.answer_from_ledger(address, question),
            Some(Fault::Lost) => question.without_answer(),
            Some(Fault::Unanswered) => {
                let nothing = question.without_answer();
                self.answer_from_ledger(address, question);
                nothing
            }
            Some(Fault::Lying) => self.answer_of_a_liar(address, question),
            Some(Fault::Endpoint(faults)) => {
                self.ledger.set_faults(faults);
                let answer = self.answer_from_ledger(address, question);
                self.ledger.set_faults(Faults::NONE);
                answer
            }
        };
        let Some(event) = answer else { return };
        let patience = PATIENCE.as_millis() as u64;
        let takes = match fault {
            Some(Fault::Lost | Fault::Unanswered) => (patience, patience),
            Some(Fault::Slow) => SLOW,
            _ => LEDGER_LATENCY,
        };
        self.schedule_between(takes, Happening::Reach(address, event));
    }

    /// What an endpoint does that has forgotten, while nothing else is the matter with it.
    fn forgets(&self) -> Option<Fault> {
        let history_ledgers = Some(LEDGERS as u32);
        (self.millis < self.forgetful_until).then_some(Fault::Endpoint(Faults { history_ledgers, ..Faults::NONE }))
    }

    fn fault(&mut self) -> Option<Fault> {
        let rates = self.fault_rates;
        if rates == FaultRates::default() {
            return None;
        }
        let (dice, ledgers) = (self.between(0, 999), self.between(1, LEDGERS) as u32);
        let endpoint = |faults| Fault::Endpoint(faults);
        let all = [
            (rates.lost, Fault::Lost),
            (rates.unanswered, Fault::Unanswered),
            (rates.slow, Fault::Slow),
            (rates.behind, endpoint(Faults { lag_ledgers: ledgers, ..Faults::NONE })),
            (rates.forgetful, endpoint(Faults { history_ledgers: Some(ledgers), ..Faults::NONE })),
            (rates.busy, endpoint(Faults { submissions: Submissions::TryAgainLater, ..Faults::NONE })),
            (rates.dropped, endpoint(Faults { submissions: Submissions::Dropped, ..Faults::NONE })),
            (rates.lying, Fault::Lying),
        ];
        let mut least = 0;
        all.into_iter().find_map(|(rate, fault)| {
            least += rate;
            (dice < least).then_some(fault)
        })
    }
}

impl Question {
    /// Whether it only looks at what stands, as the node does with every ledger or poll.
    const fn only_watches(&self) -> bool {
        match self {
            Self::Read { ask, .. } => matches!(ask, Ask::Account | Ask::Escrows | Ask::Leftovers(_)),
            Self::Status { .. } | Self::Search { .. } | Self::Follow { .. } => true,
            Self::Submit { .. } => false,
        }
    }

    /// What a node makes of it where no answer comes.
    fn without_answer(&self) -> Option<Event> {
        match self {
            Self::Read { ask, .. } => {
                let why = format!("the ledger gave no answer within {} s", PATIENCE.as_secs());
                Some(Event::ReadFailed { ask: ask.clone(), why })
            }
            Self::Submit { hash, .. } => Some(Event::Submitted { hash: *hash, answer: SubmitAnswer::TryAgainLater }),
            Self::Status { .. } | Self::Search { .. } => None,
            Self::Follow { exchange, .. } => {
                let why = format!("the ledger gave no answer within {} s", PATIENCE.as_secs());
                Some(Event::Followed { exchange: exchange.clone(), result: Err(why) })
            }
        }
    }
}
