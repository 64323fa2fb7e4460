//! Places where an answer of the market is waited for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tradepost_network::{DirectToken, FetchToken, IdsToken, ItemId, MessageToken};
use tradepost_protocol::market::event::Token;

/// How long a place is kept: the network has told the peer by then that there is no answer.
const KEPT: Duration = Duration::from_secs(20);
/// Most places; the network's own bounds are below it.
const MAX_PLACES: usize = 16_384;

/// A place where an answer is waited for. Dropping one tells the peer that there is none.
#[derive(Debug)]
pub(crate) enum Place {
    /// A gossiped message's verdict.
    Verdict(MessageToken),
    /// A frame's answer.
    Direct(DirectToken),
    /// A page of ids.
    Ids(IdsToken),
    /// Messages, and which were asked for.
    Messages(FetchToken, Vec<ItemId>),
}

/// The places by the number that the market knows them under.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    next: u64,
    places: BTreeMap<u64, (Place, Instant)>,
}

impl Tokens {
    /// Keeps a place; where there are too many, the oldest is given up.
    pub(crate) fn keep(&mut self, place: Place, now: Instant) -> Token {
        if self.places.len() >= MAX_PLACES {
            self.places.pop_first();
        }
        self.next += 1;
        self.places.insert(self.next, (place, now));
        Token(self.next)
    }

    /// Takes a place out; `None` where it was given up.
    pub(crate) fn take(&mut self, token: Token) -> Option<Place> {
        self.places.remove(&token.0).map(|(place, _)| place)
    }

    /// Gives up the places whose time is over.
    pub(crate) fn expire(&mut self, now: Instant) {
        // Numbers rise with time, so the oldest come first.
        while let Some(entry) = self.places.first_entry()
            && now.saturating_duration_since(entry.get().1) > KEPT
        {
            entry.remove();
        }
    }
}
