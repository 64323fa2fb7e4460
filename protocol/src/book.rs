//! The book: what a node knows of the market, and the rules by which something gets into it.
//!
//! Pure: bytes go in with the time and the peer that delivered them, a verdict and a [`Step`] come out. What lacks its
//! bond, template, record or first revision waits in a bounded pool, unlisted and unrelayed, until it is complete. What
//! is listed is held by this node's own look at the ledger ([`Book::bonds_wanted`], [`Book::bond_checked`]).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::account::{AccountId, PeerId, ServiceKey, ServingKey};
use crate::document::{Offering, ServiceRecord, Template};
use crate::kind::Kind;
use crate::limits::Margins;
use crate::message::{BalanceId, MessageId, Packed, SeriesId, Signed, TemplateId};
use crate::network_id::NetworkId;
use crate::refusal::{Fault, Reason, Refusal};
use crate::status::Presence;
use crate::step::Step;
use crate::time::{Now, Timestamp};

mod admission;
mod bonds;
mod catch_up;
mod expiry;
mod frames;
mod heads;
mod listing;
mod quota;
mod requests;
mod restore;
mod series;
mod shelf;
mod waiting;
mod withdrawal;

pub use bonds::{BondVerdict, BondWanted};
pub use listing::{Filter, FindError, Listing, ListingError, ListingPage, Page};
pub use requests::{ConsumerVerdict, ConsumerWanted, Published};
pub use restore::Restored;
pub use withdrawal::WithdrawError;

use catch_up::Held;
use quota::Quotas;
use requests::Requests;
use series::Series;
use shelf::Shelf;
use waiting::Waiting;

/// What a message lacks before it can be listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Want {
    /// The series' bond, to be seen on the ledger.
    Bond(BalanceId),
    /// The template, to be fetched by its content id.
    Template(TemplateId),
    /// The service's current record.
    Record(ServiceKey),
    /// A service record that a later one follows on, where the one before it isn't the known one.
    PastRecord(MessageId),
    /// The first revision of a series, which says whose it is; its id is the series.
    FirstRevision(SeriesId),
    /// The offering that a request is for.
    Offering(MessageId),
    /// The account of a request's consumer, to be seen on the ledger.
    Consumer(AccountId),
    /// The request that is taken back.
    Request(MessageId),
}

impl Want {
    /// The 32 bytes by which a peer's [`Book::message`] finds it; nothing for what only the ledger has.
    pub fn name(&self) -> Option<MessageId> {
        self.item().map(|(_, name)| name)
    }

    /// The kind of message that is wanted, and its [`Want::name`].
    pub fn item(&self) -> Option<(Kind, MessageId)> {
        match self {
            Self::Bond(_) | Self::Consumer(_) => None,
            Self::Template(id) => Some((Kind::Template, MessageId::from_bytes(*id.as_bytes()))),
            Self::Record(key) => Some((Kind::ServiceRecord, MessageId::from_bytes(*key.as_bytes()))),
            Self::PastRecord(id) => Some((Kind::ServiceRecord, *id)),
            Self::FirstRevision(id) => Some((Kind::Offering, MessageId::from_bytes(*id.as_bytes()))),
            Self::Offering(id) => Some((Kind::Offering, *id)),
            Self::Request(id) => Some((Kind::BindingRequest, *id)),
        }
    }
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// In the book, and to be passed on.
    Accept,
    /// Not taken; whoever passed it on could have seen that.
    Reject(Refusal),
    /// Not passed on, and nobody's fault.
    Ignore(Refusal),
    /// Kept until what it lacks is there; not passed on until then.
    Wait {
        /// What it lacks, in words.
        refusal: Refusal,
        /// What the peer that delivered it can be asked for; a bond is asked for through [`Book::bonds_wanted`].
        wants: Vec<Want>,
    },
}

impl Verdict {
    fn refused(refusal: Refusal) -> Self {
        match refusal.reason.fault() {
            Fault::Relayer => Self::Reject(refusal),
            Fault::Author | Fault::Nobody => Self::Ignore(refusal),
        }
    }
}

/// A message's verdict, and what follows from it.
#[derive(Debug)]
#[must_use = "the step must be committed before the verdict is told"]
pub struct Admission {
    /// The message's id, where it has one.
    pub id: Option<MessageId>,
    /// The verdict, to be told to gossip once the step is committed.
    pub verdict: Verdict,
    /// What to store and do.
    pub step: Step<BookEffect>,
}

/// What follows from a change of the book, once it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BookEffect {
    /// Publish this; its gossip verdict alone doesn't pass it on, because it is our own or had to wait.
    Relay(Packed),
    /// A series is in the book.
    Listed(SeriesId),
    /// Something that a series' listing shows has changed.
    Updated(SeriesId),
    /// A series is withdrawn or over.
    Unlisted(SeriesId),
    /// A message that waited isn't taken after all.
    Refused {
        /// Which.
        id: MessageId,
        /// Why.
        refusal: Refusal,
    },
    /// A waiting message lacks something else now.
    Wanted {
        /// What.
        want: Want,
        /// Who delivered the message and can be asked.
        from: Option<PeerId>,
    },
}

/// What a node knows of the market.
#[derive(Debug)]
pub struct Book {
    network: NetworkId,
    margins: Margins,
    templates: Shelf<TemplateId, Template>,
    records: Shelf<ServiceKey, ServiceRecord>,
    /// Earlier records of the services on the shelf, oldest first.
    past_records: BTreeMap<ServiceKey, VecDeque<Arc<Signed<ServiceRecord>>>>,
    series: BTreeMap<SeriesId, Series>,
    /// When the newest revision of each series ends.
    ends: BTreeSet<(Timestamp, SeriesId)>,
    /// The series that each serving key serves.
    serving: BTreeMap<ServingKey, BTreeSet<SeriesId>>,
    /// The series of each author that aren't withdrawn.
    authors: BTreeMap<AccountId, BTreeSet<SeriesId>>,
    /// The newest presence of each serving key that serves something here.
    presences: BTreeMap<ServingKey, Signed<Presence>>,
    /// Series whose newest status was kept back for the relaying limit.
    unrelayed: BTreeSet<SeriesId>,
    requests: Requests,
    held: Held,
    waiting: Waiting,
    quotas: Quotas,
    refused: BTreeMap<Reason, u64>,
}

/// How the checks of one message ended, where none refused it.
enum Outcome {
    /// It is in the book.
    Taken,
    /// It is in the book and not to be passed on now.
    TakenQuietly(Refusal),
    /// It waits.
    Waits(Refusal, Vec<Want>),
}

/// Where a message came from and when: what every check may ask about its delivery.
struct Delivery<'a> {
    from: Option<&'a PeerId>,
    now: Now,
    random: u64,
}

impl Book {
    /// An empty book.
    pub fn new(network: NetworkId, margins: Margins) -> Self {
        Self {
            network,
            margins,
            templates: Shelf::new(),
            records: Shelf::new(),
            past_records: BTreeMap::new(),
            series: BTreeMap::new(),
            ends: BTreeSet::new(),
            serving: BTreeMap::new(),
            authors: BTreeMap::new(),
            presences: BTreeMap::new(),
            unrelayed: BTreeSet::new(),
            requests: Requests::default(),
            held: Held::default(),
            waiting: Waiting::default(),
            quotas: Quotas::default(),
            refused: BTreeMap::new(),
        }
    }

    /// Takes bytes that claim to be of a kind; the first check is their size.
    pub fn admit_bytes(
        &mut self,
        kind: Kind,
        bytes: Vec<u8>,
        from: Option<&PeerId>,
        now: Now,
        random: u64,
    ) -> Admission {
        match Packed::new(kind, &self.network, bytes) {
            Ok(packed) => self.admit(packed, from, now, random),
            Err(refusal) => {
                if from.is_some() {
                    self.count(refusal.reason);
                }
                Admission { id: None, verdict: Verdict::refused(refusal), step: Step::none() }
            }
        }
    }

    /// Takes a message that a peer delivered, or one of our own (`from` is `None`). `random` picks what has to give way
    /// where a peer's part of the waiting pool is full.
    pub fn admit(&mut self, packed: Packed, from: Option<&PeerId>, now: Now, random: u64) -> Admission {
        let mut step = Step::none();
        let delivery = Delivery { from, now, random };
        let id = Some(packed.id());
        let verdict = match self.check(packed, &delivery, &mut step) {
            Ok(Outcome::Taken) => {
                self.was_useful(from);
                Verdict::Accept
            }
            Ok(Outcome::TakenQuietly(refusal)) => Verdict::Ignore(refusal),
            Ok(Outcome::Waits(refusal, wants)) => Verdict::Wait { refusal, wants },
            Err(refusal) => Verdict::refused(refusal),
        };
        // What waits is counted once it doesn't any more; a second copy of it is one too many now.
        let refused = match &verdict {
            Verdict::Reject(refusal) | Verdict::Ignore(refusal) => Some(refusal.reason),
            Verdict::Wait { refusal, .. } => Some(refusal.reason).filter(|reason| *reason == Reason::Duplicate),
            Verdict::Accept => None,
        };
        if let Some(reason) = refused.filter(|_| from.is_some()) {
            self.count(reason);
        }
        Admission { id, verdict, step }
    }

    /// How often each reason refused a peer's message: each message once, one that waits when it is refused after all or
    /// has waited too long.
    pub fn refused(&self) -> &BTreeMap<Reason, u64> {
        &self.refused
    }

    /// How many series the book holds, withdrawn ones included.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether the book holds no series.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// How many messages wait for what they lack.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// A template by its content id: built in, in use, or waiting for its first use.
    pub fn template(&self, id: &TemplateId) -> Option<&Template> {
        if let Some(known) = crate::document::built_in().iter().find(|b| b.id == *id) {
            return Some(&known.template);
        }
        Some(self.templates.get(id).or_else(|| self.waiting.template(id))?.body())
    }

    /// A service's current record: in use, or waiting for its first use.
    pub fn record(&self, service: &ServiceKey) -> Option<&Arc<Signed<ServiceRecord>>> {
        self.records.get(service).or_else(|| self.waiting.record(service))
    }

    /// The newest accepted revision of a series.
    pub fn offering(&self, series: &SeriesId) -> Option<&Arc<Signed<Offering>>> {
        self.series.get(series).map(|s| &s.head)
    }

    fn count(&mut self, reason: Reason) {
        *self.refused.entry(reason).or_default() += 1;
    }
}

#[cfg(test)]
mod tests;
