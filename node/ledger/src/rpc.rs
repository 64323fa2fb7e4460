//! The ledger over Stellar RPC.

mod read;

use core::time::Duration;
use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use stellar_xdr::{LedgerKey, TransactionEnvelope};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::limits::MAX_KEYS_PER_READ;
use tradepost_protocol::message::TxHash;
use tradepost_protocol::network_id::NetworkId;

use crate::config::{Auth, RpcConfig};
use crate::endpoint::Endpoint;
use crate::endpoint::address::Address;
use crate::error::{LedgerError, brief};
use crate::fees::FeeStats;
use crate::ledger::{
    Asked, ClosedLedger, EntriesSeen, EntrySeen, Funded, Head, Ledger, NetworkFacts, Submitted, TxStatus,
};
use crate::reset::{Verdict, judge};
use crate::seen::{Misfit, Seen};
use crate::wire;

/// How often a question is repeated where the answer is from an older ledger than one already shown: behind a
/// balancer, the next server may be up to date.
const BEHIND_TRIES: u32 = 4;
/// How often entries are read again because their ledger's close time could not be had before the next one closed.
const UNSTEADY_ROUNDS: u32 = 8;
/// The most bytes of a transaction's envelope; a hundred of the largest operations fit.
const MAX_ENVELOPE_BYTES: usize = 128 * 1024;
/// How long a friendbot is waited for; it answers when its transaction is in a ledger.
const FRIENDBOT_TIMEOUT: Duration = Duration::from_secs(60);

/// The ledger over one Stellar RPC endpoint.
#[derive(Debug)]
pub struct RpcLedger {
    endpoint: Endpoint,
    passphrase: String,
    network: NetworkId,
    config: RpcConfig,
    seen: Mutex<Seen>,
    /// What proved that the network was reset. From then on nothing is asked any more: there is nobody to ask.
    reset: OnceLock<LedgerError>,
}

impl RpcLedger {
    /// Connects to an endpoint and makes sure that it serves the network with this passphrase.
    ///
    /// # Errors
    /// [`LedgerError::WrongNetwork`] with both passphrases where it doesn't, and the rest of [`LedgerError`].
    pub async fn connect(config: RpcConfig, passphrase: &str) -> Result<Self, LedgerError> {
        let endpoint = endpoint_of(&config)?;
        let ledger = Self {
            endpoint,
            passphrase: passphrase.to_owned(),
            network: NetworkId::of_passphrase(passphrase),
            config,
            seen: Mutex::default(),
            reset: OnceLock::new(),
        };
        ledger.read_network().await?;
        ledger.in_time(ledger.read_head()).await?;
        Ok(ledger)
    }

    /// Asks an endpoint which network it serves, for a configuration that doesn't say yet. Nobody vouches for the
    /// answer.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn ask_network(config: &RpcConfig) -> Result<NetworkFacts, LedgerError> {
        network_of(&endpoint_of(config)?).await
    }

    /// The network that this ledger was made for.
    pub fn network_id(&self) -> NetworkId {
        self.network
    }

    /// How the endpoint is called in errors: scheme, host and port.
    pub fn endpoint_name(&self) -> &str {
        self.endpoint.name()
    }

    /// The newest head seen so far, without asking.
    pub fn newest_seen(&self) -> Option<Head> {
        self.seen().newest()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Nothing panics while it is held, and every state of it is whole.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks until the answer is of a ledger at least as new as the newest head that was known when it was asked.
    async fn ask<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: Value,
        ledger_of: fn(&T) -> u32,
    ) -> Result<T, LedgerError> {
        let mut tries = 0;
        loop {
            self.still_there()?;
            let floor = self.seen().floor();
            let answer: T = self.endpoint.call(method, &params).await?;
            let now = ledger_of(&answer);
            if now >= floor {
                return Ok(answer);
            }
            tries += 1;
            if tries >= BEHIND_TRIES {
                self.look_for_reset().await?;
                return Err(LedgerError::Backwards { endpoint: self.endpoint.name().into(), shown: floor, now });
            }
            self.endpoint.pause(tries).await;
        }
    }

    /// Bounds one question with everything that it takes: tries, repeats where the endpoint lags, second reads.
    async fn in_time<T>(&self, question: impl Future<Output = Result<T, LedgerError>>) -> Result<T, LedgerError> {
        let deadline = self.config.patience.call;
        match tokio::time::timeout(deadline, question).await {
            Ok(answered) => answered,
            Err(_) => Err(LedgerError::Late { endpoint: self.endpoint.name().into(), deadline }),
        }
    }

    async fn read_network(&self) -> Result<NetworkFacts, LedgerError> {
        let facts = network_of(&self.endpoint).await?;
        if facts.passphrase == self.passphrase {
            return Ok(facts);
        }
        Err(LedgerError::WrongNetwork {
            endpoint: self.endpoint.name().into(),
            expected: self.passphrase.clone(),
            found: brief(&facts.passphrase),
        })
    }

    async fn read_head(&self) -> Result<Head, LedgerError> {
        let method = "getLatestLedger";
        let answer: wire::LatestLedger = self.ask(method, json!({}), |a: &wire::LatestLedger| a.sequence.0).await?;
        let head = read::head(&self.endpoint, method, &answer)?;
        let remembered = self.seen().remember(head);
        remembered.map_err(|misfit| match misfit {
            Misfit::Reset(what) => self.was_reset(what),
            Misfit::Contradiction(what) => self.endpoint.contradiction(what),
        })?;
        Ok(head)
    }

    fn was_reset(&self, what: String) -> LedgerError {
        let error = LedgerError::Reset { endpoint: self.endpoint.name().into(), what };
        self.reset.get_or_init(|| error).clone()
    }

    fn still_there(&self) -> Result<(), LedgerError> {
        self.reset.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// The endpoint's newest ledger, whether or not it goes with what was seen.
    async fn read_whatever_is_newest(&self) -> Result<ClosedLedger, LedgerError> {
        self.still_there()?;
        let method = "getLatestLedger";
        let answer: wire::LatestLedger = self.endpoint.call(method, &json!({})).await?;
        Ok(read::head(&self.endpoint, method, &answer)?.ledger)
    }

    /// Looks at the newest ledger, however old, after answers that were older than what was seen.
    async fn look_for_reset(&self) -> Result<(), LedgerError> {
        let now = self.read_whatever_is_newest().await?;
        let same_number = self.seen().head(now.sequence);
        for kept in [same_number, self.newest_seen()].into_iter().flatten() {
            if let Verdict::Reset(what) = judge(&kept.ledger, &now) {
                return Err(self.was_reset(what));
            }
        }
        Ok(())
    }

    async fn confirm_all(&self, kept: &[ClosedLedger]) -> Result<(), LedgerError> {
        let now = self.read_whatever_is_newest().await?;
        for kept in kept {
            match judge(kept, &now) {
                Verdict::Same => {}
                Verdict::Reset(what) => return Err(self.was_reset(what)),
                Verdict::Behind => {
                    let endpoint = self.endpoint.name().into();
                    return Err(LedgerError::Backwards { endpoint, shown: kept.sequence, now: now.sequence });
                }
                Verdict::Later => {
                    let then = self.read_past(kept.sequence).await?;
                    if let Some(Verdict::Reset(what)) = then.map(|then| judge(kept, &then)) {
                        return Err(self.was_reset(what));
                    }
                }
            }
        }
        Ok(())
    }

    /// A ledger of the past, where the endpoint still has it and tells.
    async fn read_past(&self, sequence: u32) -> Result<Option<ClosedLedger>, LedgerError> {
        let method = "getLedgers";
        let params = json!({ "startLedger": sequence, "pagination": { "limit": 1 } });
        let answer: wire::Ledgers = match self.endpoint.call(method, &params).await {
            Ok(answer) => answer,
            // Beyond its history, not among its methods, or with more of the ledger's changes than are read.
            Err(LedgerError::Rpc { .. } | LedgerError::TooLarge { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(info) = answer.ledgers.into_iter().next() else { return Ok(None) };
        let then = info.into_latest().map_err(|why| self.endpoint.garbled(method, why))?;
        let head = read::head(&self.endpoint, method, &then)?;
        if head.ledger.sequence != sequence {
            let what = format!("asked for ledger {sequence}, it answers with {}", head.ledger.sequence);
            return Err(self.endpoint.contradiction(what));
        }
        Ok(Some(head.ledger))
    }

    /// Entries at one ledger, with that ledger's head.
    ///
    /// The answer names its ledger's number only. Its close time comes from that very ledger's header: from the heads
    /// seen, or from the newest one if that is it. If the ledger has moved on in between, the entries are read again,
    /// so that they are never paired with another ledger's time.
    async fn read_batch(&self, keys: &[&LedgerKey]) -> Result<(Head, Vec<EntrySeen>), LedgerError> {
        let method = "getLedgerEntries";
        let texts: Result<Vec<String>, String> = keys.iter().map(|key| wire::to_xdr64(*key)).collect();
        let texts = texts.map_err(|why| LedgerError::BadKey { why })?;
        let params = json!({ "keys": texts });
        for _ in 0..UNSTEADY_ROUNDS {
            let answer: wire::LedgerEntries =
                self.ask(method, params.clone(), |a: &wire::LedgerEntries| a.latest_ledger.0).await?;
            let sequence = answer.latest_ledger.0;
            let entries = read::entries(&self.endpoint, method, keys, answer)?;
            let known = self.seen().head(sequence);
            let head = match known {
                Some(head) => head,
                None => self.read_head().await?,
            };
            if head.ledger.sequence == sequence {
                return Ok((head, entries));
            }
        }
        Err(LedgerError::NotSteady { endpoint: self.endpoint.name().into(), rounds: UNSTEADY_ROUNDS })
    }

    async fn read_entries(&self, keys: &[LedgerKey]) -> Result<EntriesSeen, LedgerError> {
        let mut known = HashSet::new();
        let unique: Vec<&LedgerKey> = keys.iter().filter(|key| known.insert(*key)).collect();
        if unique.is_empty() {
            let head = self.in_time(self.read_head()).await?;
            return Ok(EntriesSeen { oldest: head, newest: head, entries: Vec::new() });
        }
        let mut heads = Vec::new();
        let mut entries = Vec::new();
        for batch in unique.chunks(MAX_KEYS_PER_READ) {
            let (head, seen) = self.in_time(self.read_batch(batch)).await?;
            heads.push(head);
            entries.extend(seen);
        }
        // Each batch is read with the one before it as its floor, so the heads ascend.
        let (oldest, newest) = (heads[0], heads[heads.len() - 1]);
        Ok(EntriesSeen { oldest, newest, entries })
    }

    async fn send(&self, envelope: &[u8]) -> Result<Submitted, LedgerError> {
        let not_one = |why: String| LedgerError::NotATransaction { why };
        if envelope.len() > MAX_ENVELOPE_BYTES {
            return Err(not_one(format!("{} bytes, at most {MAX_ENVELOPE_BYTES}", envelope.len())));
        }
        let parsed: TransactionEnvelope = wire::xdr(envelope).map_err(not_one)?;
        let hash = parsed.hash(*self.network.as_bytes()).map_err(|e| not_one(e.to_string()))?;
        self.still_there()?;
        let method = "sendTransaction";
        let params = json!({ "transaction": wire::base64(envelope) });
        let answer: wire::Sent = self.endpoint.call(method, &params).await?;
        read::sent(&self.endpoint, method, hash, answer)
    }

    async fn read_status(&self, hash: TxHash) -> Result<TxStatus, LedgerError> {
        let method = "getTransaction";
        let params = json!({ "hash": hash.to_string() });
        let answer: wire::Transaction = self.ask(method, params, |a: &wire::Transaction| a.latest_ledger.0).await?;
        let known = self.seen().head(answer.latest_ledger.0);
        read::status(&self.endpoint, method, &self.network, hash, known, answer)
    }

    async fn read_fees(&self) -> Result<FeeStats, LedgerError> {
        let method = "getFeeStats";
        let answer: wire::Fees = self.endpoint.call(method, &json!({})).await?;
        read::fees(&self.endpoint, method, &answer)
    }

    async fn ask_friendbot(&self, account: AccountId) -> Result<Funded, LedgerError> {
        let no_friendbot = || LedgerError::NoFriendbot { network: self.passphrase.clone() };
        let (text, configured) = match &self.config.friendbot {
            Some(text) => (text.clone(), true),
            None => (self.read_network().await?.friendbot_url.ok_or_else(no_friendbot)?, false),
        };
        let address = Address::parse(&text, self.config.allow_http)?;
        if address.private && !self.endpoint.is_private() && !configured {
            let what = format!("it names {} as its friendbot, which is a private address", address.name);
            return Err(self.endpoint.contradiction(what));
        }
        let mut patience = self.config.patience.clone();
        patience.read = patience.read.max(FRIENDBOT_TIMEOUT);
        patience.one_try = patience.one_try.max(FRIENDBOT_TIMEOUT);
        patience.call = patience.call.max(FRIENDBOT_TIMEOUT);
        // The endpoint's secret isn't the friendbot's.
        let friendbot = Endpoint::new(address, &Auth::None, &patience)?;
        let mut url = friendbot.url().clone();
        url.query_pairs_mut().append_pair("addr", &account.to_string());
        let reply = friendbot.get(&url).await?;
        read::funded(&friendbot, &reply)
    }
}

impl Ledger for RpcLedger {
    fn head(&self) -> Asked<'_, Head> {
        Box::pin(self.in_time(self.read_head()))
    }

    fn entries<'a>(&'a self, keys: &'a [LedgerKey]) -> Asked<'a, EntriesSeen> {
        Box::pin(self.read_entries(keys))
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

    fn fees(&self) -> Asked<'_, FeeStats> {
        Box::pin(self.read_fees())
    }

    fn network(&self) -> Asked<'_, NetworkFacts> {
        Box::pin(self.read_network())
    }

    fn fund_by_friendbot(&self, account: AccountId) -> Asked<'_, Funded> {
        Box::pin(self.ask_friendbot(account))
    }
}

fn endpoint_of(config: &RpcConfig) -> Result<Endpoint, LedgerError> {
    Endpoint::new(Address::parse(&config.url, config.allow_http)?, &config.auth, &config.patience)
}

async fn network_of(endpoint: &Endpoint) -> Result<NetworkFacts, LedgerError> {
    let answer: wire::Network = endpoint.call("getNetwork", &json!({})).await?;
    Ok(NetworkFacts {
        passphrase: answer.passphrase,
        protocol_version: answer.protocol_version.0,
        friendbot_url: answer.friendbot_url.filter(|url| !url.is_empty()),
    })
}
