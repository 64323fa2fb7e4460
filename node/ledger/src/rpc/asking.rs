//! How the endpoints are asked: one after the other, or several at once, each within its proof and the floor.

use core::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::RpcLedger;
use crate::endpoints::Place;
use crate::error::LedgerError;

/// How long the others are waited for once one of several endpoints has answered.
const GRACE: Duration = Duration::from_secs(2);

impl RpcLedger {
    /// Puts a question to one endpoint after the other until one answers.
    pub(super) async fn ask<T, F>(&self, question: impl Fn(Place) -> F) -> Result<T, LedgerError>
    where
        F: Future<Output = Result<T, LedgerError>>,
    {
        self.still_there()?;
        self.endpoints.ask(question).await.map_err(|error| self.settled(error))
    }

    /// Asks an endpoint once, which proves first that it is of our network where it owes that.
    pub(super) async fn at<T: DeserializeOwned>(
        &self,
        place: Place,
        method: &'static str,
        params: &Value,
    ) -> Result<T, LedgerError> {
        self.still_there()?;
        if self.endpoints.owes_proof(place) {
            self.prove(place).await?;
        }
        self.endpoints.of(place).call(method, params).await
    }

    /// Asks an endpoint once; the answer is of a ledger at least as new as what was handed out when it was asked.
    pub(super) async fn fresh<T: DeserializeOwned>(
        &self,
        place: Place,
        method: &'static str,
        params: &Value,
        ledger_of: impl Fn(&T) -> u32,
    ) -> Result<T, LedgerError> {
        let floor = self.seen().floor();
        let answer = self.at(place, method, params).await?;
        let now = ledger_of(&answer);
        if now < floor {
            self.look_for_reset(place).await?;
            return Err(self.backwards(place, floor, now));
        }
        Ok(answer)
    }

    pub(super) fn backwards(&self, place: Place, shown: u32, now: u32) -> LedgerError {
        LedgerError::Backwards { endpoint: self.endpoints.of(place).name().into(), shown, now }
    }

    /// Asks several endpoints at once and gives what can be used. The first usable answer is waited for as long as a
    /// question may take, the others a little longer than that.
    pub(super) async fn ask_all<T, F>(&self, places: Vec<Place>, question: impl Fn(Place) -> F) -> Vec<(Place, T)>
    where
        F: Future<Output = Result<T, LedgerError>>,
    {
        let mut until = Instant::now() + self.config.patience.call;
        let mut silent = places.clone();
        let question = &question;
        let mut waiting: FuturesUnordered<_> =
            places.into_iter().map(async |place| (place, question(place).await)).collect();
        let mut usable = Vec::new();
        while let Ok(Some((place, answer))) = timeout_at(until, waiting.next()).await {
            silent.retain(|other| *other != place);
            match answer {
                Ok(answer) => {
                    self.endpoints.answered(place);
                    until = until.min(Instant::now() + GRACE);
                    usable.push((place, answer));
                }
                Err(error) => self.endpoints.failed(place, &error),
            }
        }
        for place in silent {
            self.endpoints.failed(place, &self.endpoints.of(place).silent());
        }
        usable.sort_by_key(|(place, _)| *place);
        usable
    }

    /// That the network is gone, once nobody is left who says otherwise; any other error as it is.
    fn settled(&self, error: LedgerError) -> LedgerError {
        let reset = match &error {
            LedgerError::Reset { .. } => Some(&error),
            LedgerError::NoneAnswers { faults } if faults.iter().all(is_reset) => faults.first(),
            _ => None,
        };
        match reset.cloned() {
            Some(reset) => self.reset.get_or_init(|| reset).clone(),
            None => error,
        }
    }

    pub(super) fn still_there(&self) -> Result<(), LedgerError> {
        self.reset.get().map_or(Ok(()), |error| Err(error.clone()))
    }
}

const fn is_reset(error: &LedgerError) -> bool {
    matches!(error, LedgerError::Reset { .. })
}
