//! Several endpoints of one network: who is asked, who is left alone for a while, who is believed no more.
//!
//! A question goes to the first endpoint, in the order of the configuration, that isn't resting after a fault; where that
//! has no answer, to the next one. An endpoint that contradicts itself or the others is dropped until the node starts
//! again, as long as there is another one.

mod standing;

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::{Instant, timeout_at};

use self::standing::Standing;
use crate::config::{MAX_ENDPOINTS, Patience, RpcConfig};
use crate::endpoint::Endpoint;
use crate::endpoint::address::Address;
use crate::error::LedgerError;
use crate::ledger::ClosedLedger;

pub(crate) use self::standing::MAX_LAG;
pub use self::standing::{EndpointHealth, EndpointState};

/// One of the endpoints, by its place in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place(pub usize);

/// The endpoints.
#[derive(Debug)]
pub(crate) struct Endpoints {
    members: Vec<Member>,
    patience: Patience,
}

#[derive(Debug)]
struct Member {
    endpoint: Endpoint,
    operator: String,
    standing: Mutex<Standing>,
}

impl Endpoints {
    /// The endpoints of a configuration; nothing is sent yet.
    pub fn new(config: &RpcConfig) -> Result<Self, LedgerError> {
        if config.endpoints.is_empty() || config.endpoints.len() > MAX_ENDPOINTS {
            let count = config.endpoints.len();
            let why = format!("{count} endpoints are configured: name one to {MAX_ENDPOINTS}");
            return Err(LedgerError::BadAddress { address: String::new(), why });
        }
        let mut members = Vec::new();
        for one in &config.endpoints {
            let address = Address::parse(&one.url, one.allow_http)?;
            let operator = one.operator.clone().unwrap_or_else(|| address.host.clone());
            members.push(Member::new(Endpoint::new(address, &one.auth, &config.patience)?, operator));
        }
        Ok(Self { members, patience: config.patience.clone() })
    }

    /// A single one.
    pub fn only(endpoint: Endpoint, patience: &Patience) -> Self {
        Self { members: vec![Member::new(endpoint, String::new())], patience: patience.clone() }
    }

    /// Puts a question to one after the other until one answers, there is no time left, or trying again is in vain.
    ///
    /// # Errors
    /// The only endpoint's last fault, or all of them.
    pub async fn ask<T, F>(&self, question: impl Fn(Place) -> F) -> Result<T, LedgerError>
    where
        F: Future<Output = Result<T, LedgerError>>,
    {
        let deadline = Instant::now() + self.patience.call;
        let mut faults: Vec<Option<LedgerError>> = vec![None; self.members.len()];
        let mut round = 0;
        loop {
            round += 1;
            for (place, limit) in self.turns(deadline).await {
                match timeout_at(limit, question(place)).await.unwrap_or_else(|_| Err(self.of(place).silent())) {
                    Ok(answer) => {
                        self.answered(place);
                        return Ok(answer);
                    }
                    Err(error) if error.is_the_questions() => return Err(error),
                    Err(error) => {
                        let error = error.after(round);
                        self.failed(place, &error);
                        faults[place.0] = Some(error);
                    }
                }
                if Instant::now() >= deadline {
                    return Err(self.all_of(faults));
                }
            }
            let passing = faults.iter().flatten().any(LedgerError::is_passing);
            let asked = faults.iter().flatten().filter_map(LedgerError::wants_rest).min();
            let pause = self.patience.back_off(round, asked);
            if !passing || round >= self.patience.tries || Instant::now() + pause >= deadline {
                return Err(self.all_of(faults));
            }
            tracing::debug!(round, ?pause, faults = %self.all_of(faults.clone()), "asking again");
            tokio::time::sleep(pause).await;
        }
    }

    /// Who is asked in one round, in turn, and until when: those that are well; else the one whose rest is over first,
    /// after the time that it asked for.
    async fn turns(&self, deadline: Instant) -> Vec<(Place, Instant)> {
        let now = Instant::now();
        let ready = self.ready();
        if ready.is_empty() {
            let Some((place, at)) = self.next_to_wake() else { return Vec::new() };
            if let Some(at) = at {
                tokio::time::sleep_until(at.min(deadline)).await;
            }
            return vec![(place, deadline)];
        }
        let last = ready.len() - 1;
        let limit =
            |n: usize| if n == last { deadline } else { deadline.min(now + self.patience.switch * (n as u32 + 1)) };
        ready.into_iter().enumerate().map(|(n, place)| (place, limit(n))).collect()
    }

    fn next_to_wake(&self) -> Option<(Place, Option<Instant>)> {
        let usable = self.places().filter(|place| !self.standing(*place).is_dropped());
        let place = usable.min_by_key(|place| self.standing(*place).rest_until())?;
        Some((place, self.standing(place).busy_until()))
    }

    /// The faults of all as one. Who wasn't asked is named with what it was set aside for.
    fn all_of(&self, faults: Vec<Option<LedgerError>>) -> LedgerError {
        let known =
            |(n, fault): (usize, Option<LedgerError>)| fault.or_else(|| self.standing(Place(n)).fault().cloned());
        let mut faults: Vec<LedgerError> = faults.into_iter().enumerate().filter_map(known).collect();
        if faults.len() == 1 { faults.remove(0) } else { LedgerError::NoneAnswers { faults } }
    }

    /// Those that are neither resting nor dropped, in their order.
    pub fn ready(&self) -> Vec<Place> {
        let now = Instant::now();
        self.places().filter(|place| self.standing(*place).is_ready(now)).collect()
    }

    /// All, in their order.
    pub fn places(&self) -> impl Iterator<Item = Place> + use<> {
        (0..self.members.len()).map(Place)
    }

    /// Whether there is one only.
    pub fn is_single(&self) -> bool {
        self.members.len() == 1
    }

    /// One of them.
    pub fn of(&self, place: Place) -> &Endpoint {
        &self.members[place.0].endpoint
    }

    /// Who runs it.
    pub fn operator(&self, place: Place) -> &str {
        &self.members[place.0].operator
    }

    /// How many different operators are configured.
    pub fn operators(&self) -> usize {
        let mut names: Vec<&str> = self.members.iter().map(|member| member.operator.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names.len()
    }

    /// How all are called in errors.
    pub fn names(&self) -> String {
        self.places().map(|place| self.of(place).name()).collect::<Vec<_>>().join(", ")
    }

    /// Notes an answer.
    pub fn answered(&self, place: Place) {
        let recovered = self.standing(place).answer(Instant::now());
        if recovered {
            tracing::info!(endpoint = self.of(place).name(), "answers again");
        }
    }

    /// Notes that there was none, or none that can be used.
    pub fn failed(&self, place: Place, error: &LedgerError) {
        if error.is_disbelief() && self.drop_out(place, error) {
            return;
        }
        let noteworthy = match error {
            // Behind, or no answer to this question, or more of one than is read: nothing against its next one.
            LedgerError::Backwards { .. } | LedgerError::TooLarge { .. } => false,
            LedgerError::Rpc { .. } => error.is_passing(),
            _ => true,
        };
        if noteworthy {
            let first = self.standing(place).fail(error, &self.patience, Instant::now());
            if first && !self.is_single() {
                tracing::warn!(%error, "an RPC endpoint has no answer; the others are asked");
            }
        }
    }

    /// Believes an endpoint no more, where there is another one; whether there is.
    pub fn drop_out(&self, place: Place, why: &LedgerError) -> bool {
        let others = self.places().any(|other| other != place && !self.standing(other).is_dropped());
        if others && self.standing(place).drop_out(why, Instant::now()) {
            let operator = self.operator(place);
            tracing::error!(operator, error = %why, "an RPC endpoint is dropped until the node starts again");
        }
        others
    }

    /// Whether it was dropped.
    pub fn is_dropped(&self, place: Place) -> bool {
        self.standing(place).is_dropped()
    }

    /// Whether it must prove first that it is of our network.
    pub fn owes_proof(&self, place: Place) -> bool {
        self.standing(place).owes_proof()
    }

    /// It proved to be of our network.
    pub fn proved(&self, place: Place) {
        self.standing(place).prove();
    }

    /// It showed this as its newest ledger.
    pub fn showed(&self, place: Place, ledger: ClosedLedger) {
        self.standing(place).show(ledger, Instant::now());
    }

    /// Whether its newest ledger has stood still for a while.
    pub fn is_stuck(&self, place: Place) -> bool {
        self.standing(place).is_stuck(Instant::now())
    }

    /// The last fault of one that doesn't answer or was dropped.
    pub fn fault(&self, place: Place) -> Option<LedgerError> {
        self.standing(place).fault().cloned()
    }

    /// How each does.
    pub fn health(&self) -> Vec<EndpointHealth> {
        let newest = self.places().filter_map(|place| self.standing(place).newest()).max();
        let one = |(n, member): (usize, &Member)| {
            let (name, operator) = (member.endpoint.name().to_owned(), member.operator.clone());
            self.standing(Place(n)).health(name, operator, newest, Instant::now())
        };
        self.members.iter().enumerate().map(one).collect()
    }

    fn standing(&self, place: Place) -> MutexGuard<'_, Standing> {
        // Nothing panics while it is held, and every state of it is whole.
        self.members[place.0].standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    fn new(endpoint: Endpoint, operator: String) -> Self {
        Self { endpoint, operator, standing: Mutex::default() }
    }
}
