//! What two operators say alike: for what gates money.

use stellar_xdr::LedgerKey;

use super::{RpcLedger, entries_params};
use crate::agreement::{Compared, Said, compare};
use crate::endpoints::Place;
use crate::error::LedgerError;

/// How often two endpoints are read until they say the same.
const ROUNDS: u32 = 3;

impl RpcLedger {
    /// Reads entries from endpoints of different operators until two say the same, which is then true of the older one's
    /// ledger. Who contradicts the others, or itself, is dropped.
    pub(super) async fn read_batch_agreed(&self, keys: &[&LedgerKey]) -> Result<Said, LedgerError> {
        if self.endpoints.operators() < 2 {
            return self.read_batch(keys).await;
        }
        self.still_there()?;
        let params = entries_params(keys)?;
        let mut heard: Vec<(Place, Said)> = Vec::new();
        for round in 1..=ROUNDS {
            let asked = self.one_an_operator();
            if asked.len() < 2 {
                return Err(self.alone());
            }
            let said = self.ask_all(asked, |place| self.entries_at(place, keys, &params)).await;
            heard.retain(|(place, _)| !self.endpoints.is_dropped(*place));
            self.drop_contradictions(&heard, &said);
            let said: Vec<(Place, Said)> =
                said.into_iter().filter(|(place, _)| !self.endpoints.is_dropped(*place)).collect();
            if let Some(agreed) = agreed(&said) {
                self.seen().raise(agreed.sequence());
                return Ok(agreed.clone());
            }
            heard.extend(said);
            tokio::time::sleep(self.config.patience.back_off(round, None)).await;
        }
        let mut places: Vec<Place> = heard.iter().map(|(place, _)| *place).collect();
        places.sort_unstable();
        places.dedup();
        match places[..] {
            [one, other, ..] => {
                let name = |place| self.endpoints.of(place).name().to_owned();
                Err(LedgerError::Disagree { endpoints: (name(one), name(other)) })
            }
            _ => Err(self.alone()),
        }
    }

    /// The first endpoint of each operator that is well.
    fn one_an_operator(&self) -> Vec<Place> {
        let mut chosen: Vec<Place> = Vec::new();
        for place in self.endpoints.ready() {
            let operator = self.endpoints.operator(place);
            if chosen.iter().all(|other| self.endpoints.operator(*other) != operator) {
                chosen.push(place);
            }
        }
        chosen
    }

    fn alone(&self) -> LedgerError {
        // Whose fault it is stays known while it may be asked again.
        let faulty = |place: &Place| self.endpoints.fault(*place).is_some();
        let ready = self.endpoints.ready();
        let well = ready.iter().find(|place| !faulty(place)).or(ready.first()).copied();
        let alone = well.map_or_else(|| "none".to_owned(), |place| self.endpoints.of(place).name().to_owned());
        let mut others = self.endpoints.places().filter(|place| Some(*place) != well);
        let fault = others.find_map(|place| self.endpoints.fault(place));
        LedgerError::Alone { alone, fault: fault.map(Box::new) }
    }

    /// Drops who contradicts itself, and of two that contradict each other the one that fewer agree with; the one that
    /// stands later in the configuration where that decides nothing.
    fn drop_contradictions(&self, heard: &[(Place, Said)], said: &[(Place, Said)]) {
        for (n, (place, one)) in said.iter().enumerate() {
            for (other_place, other) in said[..n].iter().chain(heard) {
                let Compared::Contradiction(what) = compare(one, other) else { continue };
                let support = |of: &Said, by: Place| {
                    said.iter().filter(|(p, s)| *p != by && compare(s, of) == Compared::Same).count()
                };
                let (own, its) = (support(one, *place), support(other, *other_place));
                let dropped = match own.cmp(&its) {
                    core::cmp::Ordering::Less => *place,
                    core::cmp::Ordering::Greater => *other_place,
                    core::cmp::Ordering::Equal => (*place).max(*other_place),
                };
                let endpoint = self.endpoints.of(dropped);
                self.endpoints.drop_out(dropped, &endpoint.contradiction(what));
                self.seen().forget(dropped);
            }
        }
    }
}

/// What two of them say alike, as of the older one's ledger.
fn agreed(said: &[(Place, Said)]) -> Option<&Said> {
    said.iter().enumerate().find_map(|(n, (_, one))| {
        let (_, other) = said[..n].iter().find(|(_, other)| compare(one, other) == Compared::Same)?;
        Some(if one.sequence() <= other.sequence() { one } else { other })
    })
}
