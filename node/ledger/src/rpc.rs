//! The ledger over Stellar RPC, by one endpoint or several.

mod agreed;
mod asking;
mod heads;
mod movements;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod mutated;
mod read;
mod search;

use core::ops::RangeInclusive;
use core::time::Duration;
use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::{Value, json};
use stellar_xdr::{LedgerKey, TransactionEnvelope};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::limits::MAX_KEYS_PER_READ;
use tradepost_protocol::message::TxHash;
use tradepost_protocol::network_id::NetworkId;

use crate::agreement::Said;
use crate::config::{Auth, RpcConfig};
use crate::endpoint::Endpoint;
use crate::endpoint::address::Address;
use crate::endpoints::{EndpointHealth, Endpoints, Place};
use crate::error::{LedgerError, brief};
use crate::fees::FeeStats;
use crate::ledger::{
    Asked, ClosedLedger, EntriesSeen, Funded, Head, Ledger, LedgerRecord, Movements, NetworkFacts, Submitted, TxStatus,
    Wanted,
};
use crate::seen::Seen;
use crate::wire;

/// How often entries are read again because their ledger's close time could not be had before the next one closed.
const UNSTEADY_ROUNDS: u32 = 8;
/// The most bytes of a transaction's envelope; a hundred of the largest operations fit.
const MAX_ENVELOPE_BYTES: usize = 128 * 1024;
/// JSON-RPC's code for a question that the server can't answer, such as for a ledger beyond its history.
const INVALID_REQUEST: i64 = -32600;
/// How long a friendbot is waited for; it answers when its transaction is in a ledger.
const FRIENDBOT_TIMEOUT: Duration = Duration::from_secs(60);

/// The ledger over Stellar RPC.
#[derive(Debug)]
pub struct RpcLedger {
    endpoints: Endpoints,
    passphrase: String,
    network: NetworkId,
    config: RpcConfig,
    seen: Mutex<Seen>,
    /// What proved that the network was reset. From then on nothing is asked any more: there is nobody to ask.
    reset: OnceLock<LedgerError>,
}

impl RpcLedger {
    /// Connects and makes sure that every endpoint that answers serves the network with this passphrase. At least one
    /// must answer; the others prove it when they do.
    ///
    /// # Errors
    /// [`LedgerError::WrongNetwork`] with both passphrases where one doesn't, and the rest of [`LedgerError`].
    pub async fn connect(config: RpcConfig, passphrase: &str) -> Result<Self, LedgerError> {
        let ledger = Self {
            endpoints: Endpoints::new(&config)?,
            passphrase: passphrase.to_owned(),
            network: NetworkId::of_passphrase(passphrase),
            config,
            seen: Mutex::default(),
            reset: OnceLock::new(),
        };
        ledger.prove_all().await?;
        ledger.in_time(ledger.read_head()).await?;
        Ok(ledger)
    }

    /// Asks the endpoints which network they serve, for a configuration that doesn't say yet. Nobody vouches for the
    /// answer.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn ask_network(config: &RpcConfig) -> Result<NetworkFacts, LedgerError> {
        let endpoints = Endpoints::new(config)?;
        endpoints.ask(|place| network_of(endpoints.of(place))).await
    }

    /// The network that this ledger was made for.
    pub fn network_id(&self) -> NetworkId {
        self.network
    }

    /// How many different operators run the endpoints.
    pub fn operators(&self) -> usize {
        self.endpoints.operators()
    }

    /// How each endpoint does, in the order of the configuration.
    pub fn endpoints(&self) -> Vec<EndpointHealth> {
        self.endpoints.health()
    }

    /// How the endpoint is called that serves, which is the first that did when it was asked last: scheme, host and port.
    pub fn endpoint_name(&self) -> &str {
        let first = self.endpoints.places().find(|place| !self.endpoints.is_dropped(*place));
        let ready = self.endpoints.ready();
        let serves = ready.iter().find(|place| self.endpoints.fault(**place).is_none());
        let place = serves.or(ready.first()).copied().or(first);
        place.map_or("", |place| self.endpoints.of(place).name())
    }

    /// The newest head handed out so far, without asking.
    pub fn newest_seen(&self) -> Option<Head> {
        self.seen().newest()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Nothing panics while it is held, and every state of it is whole.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bounds one question with everything that it takes: tries, repeats where an endpoint lags, second reads.
    async fn in_time<T>(&self, question: impl Future<Output = Result<T, LedgerError>>) -> Result<T, LedgerError> {
        let deadline = self.config.patience.call;
        match tokio::time::timeout(deadline, question).await {
            Ok(answered) => answered,
            Err(_) => Err(LedgerError::Late { endpoint: self.endpoints.names(), deadline }),
        }
    }

    async fn network_at(&self, place: Place) -> Result<NetworkFacts, LedgerError> {
        let endpoint = self.endpoints.of(place);
        let facts = network_of(endpoint).await?;
        if facts.passphrase == self.passphrase {
            return Ok(facts);
        }
        Err(LedgerError::WrongNetwork {
            endpoint: endpoint.name().into(),
            expected: self.passphrase.clone(),
            found: brief(&facts.passphrase),
        })
    }

    async fn read_network(&self) -> Result<NetworkFacts, LedgerError> {
        self.ask(|place| self.network_at(place)).await
    }

    async fn record_at(&self, place: Place, sequence: u32) -> Result<LedgerRecord, LedgerError> {
        let (endpoint, method) = (self.endpoints.of(place), "getLedgers");
        let params = json!({ "startLedger": sequence, "pagination": { "limit": 1 } });
        let answer: wire::WholeLedgers = self.at(place, method, &params).await?;
        let whole = answer.ledgers.into_iter().next().filter(|ledger| ledger.sequence.0 == sequence);
        // A server that doesn't have it contradicts nobody.
        let lacks = || LedgerError::Rpc {
            endpoint: endpoint.name().into(),
            method,
            code: INVALID_REQUEST,
            message: format!("it doesn't have ledger {sequence}"),
        };
        let whole = whole.ok_or_else(lacks)?;
        whole.into_record().map_err(|why| endpoint.garbled(method, why))
    }

    /// Entries at one ledger, with that ledger's head.
    ///
    /// The answer names its ledger's number only. Its close time comes from that very ledger's header: from the heads
    /// seen, or from the newest one if that is it. If the ledger has moved on in between, the entries are read again,
    /// so that they are never paired with another ledger's time.
    async fn entries_at(&self, place: Place, keys: &[&LedgerKey], params: &Value) -> Result<Said, LedgerError> {
        let method = "getLedgerEntries";
        for _ in 0..UNSTEADY_ROUNDS {
            let ledger_of = |a: &wire::LedgerEntries| a.latest_ledger.0;
            let answer: wire::LedgerEntries = self.fresh(place, method, params, ledger_of).await?;
            let sequence = answer.latest_ledger.0;
            let entries = read::entries(self.endpoints.of(place), method, keys, answer)?;
            let known = self.seen().head(sequence);
            let head = match known {
                Some(head) => head,
                None => self.head_at(place).await?,
            };
            if head.ledger.sequence == sequence {
                return Ok(Said { head, entries });
            }
        }
        let endpoint = self.endpoints.of(place).name().into();
        Err(LedgerError::NotSteady { endpoint, rounds: UNSTEADY_ROUNDS })
    }

    async fn read_batch(&self, keys: &[&LedgerKey]) -> Result<Said, LedgerError> {
        let params = entries_params(keys)?;
        let said = self.ask(|place| self.entries_at(place, keys, &params)).await?;
        self.seen().raise(said.head.ledger.sequence);
        Ok(said)
    }

    async fn read_entries(&self, keys: &[LedgerKey], agreed: bool) -> Result<EntriesSeen, LedgerError> {
        let mut known = HashSet::new();
        let unique: Vec<&LedgerKey> = keys.iter().filter(|key| known.insert(*key)).collect();
        if unique.is_empty() {
            let head = self.in_time(self.read_head()).await?;
            return Ok(EntriesSeen { oldest: head, newest: head, entries: Vec::new() });
        }
        let mut heads = Vec::new();
        let mut entries = Vec::new();
        for batch in unique.chunks(MAX_KEYS_PER_READ) {
            let said = match agreed {
                true => self.in_time(self.read_batch_agreed(batch)).await?,
                false => self.in_time(self.read_batch(batch)).await?,
            };
            heads.push(said.head);
            entries.extend(said.entries);
        }
        // Each batch is read with the one before it as its floor, so the heads ascend.
        let (oldest, newest) = (heads[0], heads[heads.len() - 1]);
        Ok(EntriesSeen { oldest, newest, entries })
    }

    /// Hands a transaction to every endpoint that is well: each is another way into the ledger, and the same bytes are
    /// included once. The best answer counts.
    async fn send(&self, envelope: &[u8]) -> Result<Submitted, LedgerError> {
        let not_one = |why: String| LedgerError::NotATransaction { why };
        if envelope.len() > MAX_ENVELOPE_BYTES {
            return Err(not_one(format!("{} bytes, at most {MAX_ENVELOPE_BYTES}", envelope.len())));
        }
        let parsed: TransactionEnvelope = wire::xdr(envelope).map_err(not_one)?;
        let hash = parsed.hash(*self.network.as_bytes()).map_err(|e| not_one(e.to_string()))?;
        let params = json!({ "transaction": wire::base64(envelope) });
        let ready = self.endpoints.ready();
        self.still_there()?;
        if ready.len() > 1 {
            let answers = self.ask_all(ready, |place| self.send_at(place, hash, &params)).await;
            if let Some((_, best)) = answers.into_iter().min_by_key(|(_, answer)| rank(answer)) {
                return Ok(best);
            }
        }
        self.ask(|place| self.send_at(place, hash, &params)).await
    }

    async fn send_at(&self, place: Place, hash: [u8; 32], params: &Value) -> Result<Submitted, LedgerError> {
        let method = "sendTransaction";
        let answer: wire::Sent = self.at(place, method, params).await?;
        read::sent(self.endpoints.of(place), method, hash, answer)
    }

    /// What became of a transaction. "Not found" is believed only where no other operator's endpoint finds it, and for
    /// the ledgers that both know.
    async fn read_status(&self, hash: TxHash) -> Result<TxStatus, LedgerError> {
        let asked = async |place| Ok((place, self.status_at(place, hash).await?));
        let (place, status) = self.ask(asked).await?;
        let TxStatus::NotFound { latest, oldest } = status else { return Ok(status) };
        let operator = self.endpoints.operator(place);
        let other = self.endpoints.ready().into_iter().find(|other| self.endpoints.operator(*other) != operator);
        let Some(other) = other else { return Ok(status) };
        let second = self.ask_all(vec![other], |place| self.status_at(place, hash)).await;
        Ok(match second.into_iter().next() {
            None => status,
            Some((_, TxStatus::NotFound { latest: its_latest, oldest: its_oldest })) => TxStatus::NotFound {
                latest: if its_latest.sequence < latest.sequence { its_latest } else { latest },
                oldest: if its_oldest.sequence > oldest.sequence { its_oldest } else { oldest },
            },
            Some((_, found)) => found,
        })
    }

    async fn status_at(&self, place: Place, hash: TxHash) -> Result<TxStatus, LedgerError> {
        let method = "getTransaction";
        let params = json!({ "hash": hash.to_string() });
        let ledger_of = |a: &wire::Transaction| a.latest_ledger.0;
        let answer: wire::Transaction = self.fresh(place, method, &params, ledger_of).await?;
        let known = self.seen().head(answer.latest_ledger.0);
        read::status(self.endpoints.of(place), method, &self.network, hash, known, answer)
    }

    async fn fees_at(&self, place: Place) -> Result<FeeStats, LedgerError> {
        let method = "getFeeStats";
        let answer: wire::Fees = self.at(place, method, &json!({})).await?;
        read::fees(self.endpoints.of(place), method, &answer)
    }

    async fn ask_friendbot(&self, account: AccountId) -> Result<Funded, LedgerError> {
        let no_friendbot = || LedgerError::NoFriendbot { network: self.passphrase.clone() };
        let named = async |place| Ok((place, self.network_at(place).await?.friendbot_url.ok_or_else(no_friendbot)?));
        let (text, configured, by) = match &self.config.friendbot {
            Some(text) => (text.clone(), true, Place(0)),
            None => {
                let (place, url) = self.ask(named).await?;
                (url, false, place)
            }
        };
        let endpoint = self.endpoints.of(by);
        let allow_http = self.config.endpoints[by.0].allow_http;
        let address = Address::parse(&text, allow_http)?;
        if address.private && !endpoint.is_private() && !configured {
            let what = format!("it names {} as its friendbot, which is a private address", address.name);
            return Err(endpoint.contradiction(what));
        }
        let mut patience = self.config.patience.clone();
        patience.read = patience.read.max(FRIENDBOT_TIMEOUT);
        patience.one_try = patience.one_try.max(FRIENDBOT_TIMEOUT);
        patience.call = patience.call.max(FRIENDBOT_TIMEOUT);
        // The endpoint's secret isn't the friendbot's.
        let friendbot = Endpoint::new(address, &Auth::None, &patience)?;
        let mut url = friendbot.url().clone();
        url.query_pairs_mut().append_pair("addr", &account.to_string());
        let friendbot = Endpoints::only(friendbot, &patience);
        let asked = async |place| {
            let friendbot: &Endpoint = friendbot.of(place);
            read::funded(friendbot, &friendbot.get(&url).await?)
        };
        friendbot.ask(asked).await
    }
}

/// The best of several answers to one transaction comes first.
const fn rank(answer: &Submitted) -> u8 {
    match answer {
        Submitted::Pending => 0,
        Submitted::Duplicate => 1,
        Submitted::TryAgainLater => 2,
        Submitted::Refused { .. } => 3,
    }
}

fn entries_params(keys: &[&LedgerKey]) -> Result<Value, LedgerError> {
    let texts: Result<Vec<String>, String> = keys.iter().map(|key| wire::to_xdr64(*key)).collect();
    Ok(json!({ "keys": texts.map_err(|why| LedgerError::BadKey { why })? }))
}

impl Ledger for RpcLedger {
    fn head(&self) -> Asked<'_, Head> {
        Box::pin(self.in_time(self.read_head()))
    }

    fn entries<'a>(&'a self, keys: &'a [LedgerKey]) -> Asked<'a, EntriesSeen> {
        Box::pin(self.read_entries(keys, false))
    }

    fn entries_agreed<'a>(&'a self, keys: &'a [LedgerKey]) -> Asked<'a, EntriesSeen> {
        Box::pin(self.read_entries(keys, true))
    }

    fn confirm<'a>(&'a self, kept: &'a [ClosedLedger]) -> Asked<'a, ()> {
        Box::pin(self.in_time(self.confirm_all(kept)))
    }

    fn submit<'a>(&'a self, envelope: &'a [u8]) -> Asked<'a, Submitted> {
        Box::pin(self.send(envelope))
    }

    fn status(&self, hash: TxHash) -> Asked<'_, TxStatus> {
        Box::pin(self.in_time(self.read_status(hash)))
    }

    fn search<'a>(&'a self, ledgers: RangeInclusive<u32>, wanted: Wanted<'a>) -> Asked<'a, Option<Vec<u8>>> {
        Box::pin(async move { self.search_pages(&ledgers, wanted).await })
    }

    fn record(&self, sequence: u32) -> Asked<'_, LedgerRecord> {
        Box::pin(self.in_time(self.ask(move |place| self.record_at(place, sequence))))
    }

    fn movements<'a>(&'a self, assets: &'a [Asset], from: u32) -> Asked<'a, Movements> {
        Box::pin(self.in_time(self.read_movements(assets, from)))
    }

    fn fees(&self) -> Asked<'_, FeeStats> {
        Box::pin(self.ask(|place| self.fees_at(place)))
    }

    fn network(&self) -> Asked<'_, NetworkFacts> {
        Box::pin(self.read_network())
    }

    fn fund_by_friendbot(&self, account: AccountId) -> Asked<'_, Funded> {
        Box::pin(self.ask_friendbot(account))
    }
}

async fn network_of(endpoint: &Endpoint) -> Result<NetworkFacts, LedgerError> {
    let answer: wire::Network = endpoint.call("getNetwork", &json!({})).await?;
    Ok(NetworkFacts {
        passphrase: answer.passphrase,
        protocol_version: answer.protocol_version.0,
        friendbot_url: answer.friendbot_url.filter(|url| !url.is_empty()),
    })
}
