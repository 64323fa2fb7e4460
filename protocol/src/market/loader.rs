//! Reading a market back from what its store has.

use std::collections::{BTreeMap, VecDeque};

use crate::binding::trade::Trade;
use crate::book::Book;
use crate::intent::Intent;
use crate::intent::queues::Queues;
use crate::market::event::Effect;
use crate::market::offers::Offer;
use crate::market::{ALIVE_KEY, Case, Market, RestoreError, Setup, StoredRow};
use crate::message::{BindingId, SeriesId};
use crate::network_id::NetworkId;
use crate::step::{Space, Step};
use crate::time::Now;

/// Sorts stored rows at start.
#[derive(Default)]
pub(super) struct Loader {
    offers: BTreeMap<SeriesId, Offer>,
    trades: Vec<Trade>,
    intents: Vec<Intent>,
    messages: Vec<(Vec<u8>, Vec<u8>)>,
    heads: Vec<(Vec<u8>, Vec<u8>)>,
    stamps: super::stamps::Stamps,
    recovery: super::recovery::Recovery,
    twins: super::twin::Twins,
    evidence: BTreeMap<Vec<u8>, Vec<u8>>,
    cases: BTreeMap<BindingId, Case>,
    communities: super::community::Communities,
    alive_at: Now,
}

impl Loader {
    pub(super) fn take(&mut self, network: &NetworkId, row: StoredRow, now: Now) -> Result<(), RestoreError> {
        let (space, key, value) = row;
        let bad = |what, why: String| RestoreError { what, why };
        match space {
            Space::Offer => {
                let offer = Offer::read(network, &value).map_err(|why| bad("offering of one's own", why))?;
                self.offers.insert(offer.series(), offer);
            }
            Space::Binding => {
                let trade = Trade::from_bytes(network, &value, now).map_err(|e| bad("binding", e.to_string()))?;
                self.trades.push(trade);
            }
            Space::Intent => {
                let intent = Intent::from_bytes(&value).map_err(|e| bad("transaction", e.to_string()))?;
                self.intents.push(intent);
            }
            Space::Message => {
                self.messages.push((key, value));
            }
            Space::Head => self.heads.push((key, value)),
            Space::Meta if key == ALIVE_KEY => {
                let bytes: [u8; 8] = value.try_into().map_err(|_| bad("time", "it hasn't eight bytes".into()))?;
                self.alive_at = Now::from_millis(u64::from_be_bytes(bytes));
            }
            Space::Mark if key == super::RESTORED_KEY => self.recovery.restored = true,
            Space::Mark if key == super::twin::YIELDS_KEY => self.twins.yields = true,
            Space::Found => self.recovery.take(&key, &value)?,
            Space::Stamp => self.stamps.take(&key, &value)?,
            Space::Case => {
                let case = Case::from_bytes(network, &value)?;
                self.cases.insert(case.binding(), case);
            }
            Space::Evidence => drop(self.evidence.insert(key, value)),
            Space::Community => self.communities.take(network, key, value)?,
            Space::Meta | Space::Mark | Space::Request => {}
        }
        Ok(())
    }

    pub(super) fn into_market(mut self, setup: Setup, now: Now) -> Result<(Market, Step<Effect>), RestoreError> {
        if self.recovery.restored {
            // A backup is as good as whoever kept it.
            let forged = |e: crate::binding::trade::TradeError| RestoreError { what: "binding", why: e.to_string() };
            self.trades.iter().try_for_each(|trade| trade.verify(&setup.network)).map_err(forged)?;
        }
        self.communities.fold(&setup.network)?;
        let restored = Book::restore(setup.network, setup.margins.clone(), self.messages, self.heads, now);
        let mut step = Step::none();
        let key = setup.keys.account.as_ref();
        let queue = key.map(|key| Queues::new(key, setup.network, setup.margins.poll_every));
        let mut market = Market {
            setup,
            book: restored.book,
            offers: self.offers,
            drafts: VecDeque::new(),
            trades: BTreeMap::new(),
            by_binding: BTreeMap::new(),
            binds: BTreeMap::new(),
            payments: BTreeMap::new(),
            trusts: BTreeMap::new(),
            incoming: BTreeMap::new(),
            approaches: BTreeMap::new(),
            engaging: BTreeMap::new(),
            evidence: self.evidence,
            cases: self.cases,
            looking: BTreeMap::new(),
            inbox: Default::default(),
            outgoing: BTreeMap::new(),
            settling: BTreeMap::new(),
            payees: BTreeMap::new(),
            controllers: BTreeMap::new(),
            left: BTreeMap::new(),
            held: super::held::HeldVerdicts::default(),
            lapses: BTreeMap::new(),
            waiting: BTreeMap::new(),
            queue,
            account: None,
            account_read: false,
            point: None,
            closed_at: Now::default(),
            params: None,
            paid_of_late: None,
            clock_skew: None,
            presence_at: Now::default(),
            caught_up_at: BTreeMap::new(),
            alive_at: self.alive_at,
            awake_at: Now::default(),
            resumed: None,
            questions: super::questions::Questions::default(),
            stamps: self.stamps,
            recovery: self.recovery,
            twins: self.twins,
            first_sync: super::first_sync::FirstSync::default(),
            communities: self.communities,
            refused: BTreeMap::new(),
            damaged: restored.damaged,
            draining: false,
        };
        market.absorb_book(restored.step, &mut step);
        for trade in self.trades {
            market.insert_trade(trade);
        }
        market.look_again(now);
        market.recognise_presence(now);
        if !market.is_recovering() {
            market.end_what_was_missed(now, &mut step);
        }
        if let Some(queue) = &mut market.queue {
            let resumed = queue.restore(&self.intents, now);
            market.resumed = Some(resumed);
        }
        Ok((market, step))
    }
}
