//! The newest ledger, who showed it, and whether it goes with what was seen before.

use core::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use tradepost_protocol::time::Timestamp;

use super::{RpcLedger, read};
use crate::endpoints::Place;
use crate::error::LedgerError;
use crate::ledger::{ClosedLedger, Head};
use crate::reset::{Verdict, judge};
use crate::seen::{Misfit, Why};
use crate::vouch::{self, Showing};
use crate::wire;

/// A ledger that closes so much after this machine's time is of the future, on networks with real time.
const FUTURE: Duration = Duration::from_secs(60);

impl RpcLedger {
    /// Every endpoint proves that it is of our network, as far as it answers; one at least does.
    pub(super) async fn prove_all(&self) -> Result<(), LedgerError> {
        if !self.endpoints.is_single() {
            let proved = self.ask_all(self.endpoints.places().collect(), |place| self.prove(place)).await;
            let foreign = |place| self.endpoints.fault(place).filter(|e| matches!(e, LedgerError::WrongNetwork { .. }));
            if let Some(error) = self.endpoints.places().find_map(foreign) {
                return Err(error);
            }
            if !proved.is_empty() {
                return Ok(());
            }
        }
        self.ask(|place| self.prove(place)).await
    }

    /// An endpoint proves that it is of our network, and of what was seen of it before.
    pub(super) async fn prove(&self, place: Place) -> Result<(), LedgerError> {
        self.network_at(place).await?;
        let newest = self.newest_seen();
        if let Some(head) = newest {
            match self.confirm_at(place, &[head.ledger]).await {
                // It has yet to catch up, and is measured by the floor until then.
                Ok(()) | Err(LedgerError::Backwards { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.endpoints.proved(place);
        Ok(())
    }

    /// The newest ledger that two operators vouch for; the newest one where one operator alone can be asked.
    pub(super) async fn read_head(&self) -> Result<Head, LedgerError> {
        self.still_there()?;
        let ready = self.endpoints.ready();
        if ready.len() < 2 {
            let head = self.ask(|place| self.new_head_at(place)).await?;
            self.seen().raise(head.ledger.sequence);
            return Ok(head);
        }
        let shown = self.ask_all(ready, |place| self.head_at(place)).await;
        let shown: Vec<(Place, Head)> =
            shown.into_iter().filter(|(place, _)| !self.endpoints.is_dropped(*place)).collect();
        let showing: Vec<Showing<'_>> = shown
            .iter()
            .map(|(place, head)| Showing {
                operator: self.endpoints.operator(*place),
                newest: head.ledger,
                stuck: self.endpoints.is_stuck(*place),
            })
            .collect();
        let floor = self.seen().floor();
        match vouch::newest(&showing, floor, self.latest_plausible()).map(|n| shown[n]) {
            Some((_, head)) if head.ledger.sequence >= floor => {
                self.seen().raise(head.ledger.sequence);
                Ok(head)
            }
            Some((place, head)) => Err(self.backwards(place, floor, head.ledger.sequence)),
            None => {
                let head = self.ask(|place| self.new_head_at(place)).await?;
                self.seen().raise(head.ledger.sequence);
                Ok(head)
            }
        }
    }

    fn latest_plausible(&self) -> Option<Timestamp> {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + FUTURE;
        self.config.real_time.then(|| Timestamp::from_secs(wall.as_secs()))
    }

    /// An endpoint's newest ledger, which must not be older than what was handed out.
    async fn new_head_at(&self, place: Place) -> Result<Head, LedgerError> {
        let floor = self.seen().floor();
        let head = self.head_at(place).await?;
        if head.ledger.sequence < floor {
            return Err(self.backwards(place, floor, head.ledger.sequence));
        }
        Ok(head)
    }

    /// An endpoint's newest ledger, however old, that goes with what was seen before.
    pub(super) async fn head_at(&self, place: Place) -> Result<Head, LedgerError> {
        let method = "getLatestLedger";
        let answer: wire::LatestLedger = self.at(place, method, &json!({})).await?;
        let head = read::head(self.endpoints.of(place), method, &answer)?;
        self.judged(place, &head.ledger)?;
        let remembered = self.seen().remember(place, head);
        if let Err(misfit) = remembered {
            self.decide(place, head, misfit).await?;
        }
        self.endpoints.showed(place, head.ledger);
        Ok(head)
    }

    /// Two endpoints show ledgers that don't go together: who is believed? What most of those who can tell say; else who
    /// stands first in the configuration. The other one is dropped.
    async fn decide(&self, place: Place, head: Head, misfit: Misfit) -> Result<(), LedgerError> {
        let endpoint = self.endpoints.of(place);
        let others: Vec<Place> =
            misfit.against.into_iter().filter(|other| *other != place && !self.endpoints.is_dropped(*other)).collect();
        let (error, what) = match misfit.why {
            Why::Reset(what) => (LedgerError::Reset { endpoint: endpoint.name().into(), what: what.clone() }, what),
            Why::Contradiction(what) => (endpoint.contradiction(&what), what),
        };
        let Some(first) = others.first().copied() else { return Err(error) };
        let (mut with, mut against) = (1, others.len());
        for third in self.endpoints.ready().into_iter().filter(|third| *third != place && !others.contains(third)) {
            match self.past_at(third, head.ledger.sequence).await {
                Ok(Some(same)) if same == head.ledger => with += 1,
                Ok(Some(_)) => against += 1,
                Ok(None) | Err(_) => {}
            }
        }
        if with < against || with == against && place > first {
            return Err(error);
        }
        for other in others {
            let endpoint = self.endpoints.of(other);
            self.endpoints.drop_out(other, &endpoint.contradiction(&what));
            self.seen().forget(other);
        }
        let remembered = self.seen().remember(place, head);
        remembered.map_err(|_| error)
    }

    /// Whether an endpoint's newest ledger speaks of a reset.
    fn judged(&self, place: Place, newest: &ClosedLedger) -> Result<(), LedgerError> {
        if newest.sequence >= self.seen().floor() {
            return Ok(());
        }
        let same_number = self.seen().head(newest.sequence);
        for kept in [same_number, self.newest_seen()].into_iter().flatten() {
            if let Verdict::Reset(what) = judge(&kept.ledger, newest) {
                return Err(self.reset_at(place, what));
            }
        }
        Ok(())
    }

    /// Looks at the newest ledger, however old, after an answer that was older than what was handed out.
    pub(super) async fn look_for_reset(&self, place: Place) -> Result<(), LedgerError> {
        self.judged(place, &self.newest_at(place).await?)
    }

    async fn newest_at(&self, place: Place) -> Result<ClosedLedger, LedgerError> {
        let (endpoint, method) = (self.endpoints.of(place), "getLatestLedger");
        let answer: wire::LatestLedger = endpoint.call(method, &json!({})).await?;
        Ok(read::head(endpoint, method, &answer)?.ledger)
    }

    fn reset_at(&self, place: Place, what: String) -> LedgerError {
        LedgerError::Reset { endpoint: self.endpoints.of(place).name().into(), what }
    }

    /// Whether ledgers seen earlier are still part of the network: what those say that know, unless none is left who
    /// does.
    pub(super) async fn confirm_all(&self, kept: &[ClosedLedger]) -> Result<(), LedgerError> {
        self.still_there()?;
        let ready = self.endpoints.ready();
        if ready.len() > 1 && !self.ask_all(ready, |place| self.confirm_at(place, kept)).await.is_empty() {
            return Ok(());
        }
        self.ask(|place| self.confirm_at(place, kept)).await
    }

    async fn confirm_at(&self, place: Place, kept: &[ClosedLedger]) -> Result<(), LedgerError> {
        let now = self.newest_at(place).await?;
        for kept in kept {
            match judge(kept, &now) {
                Verdict::Same => {}
                Verdict::Reset(what) => return Err(self.reset_at(place, what)),
                Verdict::Behind => return Err(self.backwards(place, kept.sequence, now.sequence)),
                Verdict::Later => {
                    let then = self.past_at(place, kept.sequence).await?;
                    if let Some(Verdict::Reset(what)) = then.map(|then| judge(kept, &then)) {
                        return Err(self.reset_at(place, what));
                    }
                }
            }
        }
        Ok(())
    }

    /// A ledger of the past, where the endpoint still has it and tells.
    async fn past_at(&self, place: Place, sequence: u32) -> Result<Option<ClosedLedger>, LedgerError> {
        let (endpoint, method) = (self.endpoints.of(place), "getLedgers");
        let params = json!({ "startLedger": sequence, "pagination": { "limit": 1 } });
        let answer: wire::Ledgers = match endpoint.call(method, &params).await {
            Ok(answer) => answer,
            // Beyond its history, not among its methods, or with more of the ledger's changes than are read.
            Err(LedgerError::Rpc { .. } | LedgerError::TooLarge { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(info) = answer.ledgers.into_iter().next() else { return Ok(None) };
        let then = info.into_latest().map_err(|why| endpoint.garbled(method, why))?;
        let head = read::head(endpoint, method, &then)?;
        if head.ledger.sequence != sequence {
            let what = format!("asked for ledger {sequence}, it answers with {}", head.ledger.sequence);
            return Err(endpoint.contradiction(what));
        }
        Ok(Some(head.ledger))
    }
}
