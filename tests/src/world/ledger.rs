//! The development ledger in process, spoken to through its JSON-RPC and read with the protocol's own types.

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use stellar_xdr::{LedgerHeader, OperationBody};
use tradepost_devnet::{Ledger, TransactionRecord};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::intent::queue::{SubmitAnswer, TxStatus};
use tradepost_protocol::message::{BalanceId, TxHash};
use tradepost_protocol::network_id::NetworkId;
use tradepost_protocol::stellar::entry::{AccountState, BalanceState, Entry};
use tradepost_protocol::stellar::envelope::SignedTransaction;
use tradepost_protocol::stellar::ledger_key::Key;
use tradepost_protocol::stellar::reserve::LedgerParams;
use tradepost_protocol::stellar::transaction::{Bounds, Unsigned};
use tradepost_protocol::stellar::{LedgerPoint, Memo, Operation, balance_id, xdr};
use tradepost_protocol::time::Timestamp;

/// The passphrase of every simulated world's network.
const PASSPHRASE: &str = "Tradepost simulated world ; 0";
/// How long a transaction of the world's own may wait.
const OWN_LIFE_SECS: u64 = 60;

/// The ledger of a world.
#[derive(Debug)]
pub struct WorldLedger {
    ledger: Ledger,
    network: NetworkId,
    root: SigningKey,
    root_sequence: i64,
    accounts: BTreeSet<AccountId>,
    balances: BTreeSet<BalanceId>,
    fees: BTreeMap<AccountId, i64>,
    included: Vec<TxHash>,
    newest: Vec<Included>,
}

/// A transaction that a ledger included.
#[derive(Debug, Clone)]
pub struct Included {
    /// The account that it is of.
    pub source: AccountId,
    /// The sequence number that it used.
    pub sequence: i64,
    /// Whether its operations took effect.
    pub succeeded: bool,
    /// What it cost, in stroops.
    pub fee: i64,
    /// What it does.
    pub operations: Vec<Operation>,
}

impl WorldLedger {
    /// A new network whose first ledger closed at this second.
    pub fn new(close_time: u64) -> Self {
        let ledger = Ledger::genesis(PASSPHRASE, close_time);
        let root = SigningKey::from_bytes(&ledger.root_secret());
        Self {
            network: NetworkId::of_passphrase(PASSPHRASE),
            accounts: BTreeSet::from([AccountId::of(&root)]),
            root,
            root_sequence: 0,
            ledger,
            balances: BTreeSet::new(),
            fees: BTreeMap::new(),
            included: Vec::new(),
            newest: Vec::new(),
        }
    }

    /// The network.
    pub fn network(&self) -> NetworkId {
        self.network
    }

    fn rpc(&mut self, method: &str, params: &Value) -> Value {
        self.ledger.rpc(method, params).unwrap_or_else(|e| panic!("{method} {params}: {e}"))
    }

    /// The newest ledger.
    pub fn point(&mut self) -> LedgerPoint {
        let latest = self.rpc("getLatestLedger", &Value::Null);
        LedgerPoint::new(int(&latest["sequence"]) as u32, Timestamp::from_secs(int(&latest["closeTime"])))
    }

    /// What the ledger charges, as its newest header says.
    pub fn params(&mut self) -> LedgerParams {
        let header = self.header();
        let stroops = |n: u32| Stroops::new(i64::from(n)).expect("not negative");
        LedgerParams { base_reserve: stroops(header.base_reserve), base_fee: stroops(header.base_fee) }
    }

    fn header(&mut self) -> LedgerHeader {
        let latest = self.rpc("getLatestLedger", &Value::Null);
        let bytes = xdr::from_base64(text(&latest["headerXdr"])).expect("base64");
        xdr::read("ledger header", &bytes).expect("a header")
    }

    /// Reads entries, as of the newest ledger.
    pub fn read(&mut self, keys: &[Key]) -> (LedgerPoint, Vec<Entry>) {
        let at = self.point();
        let keys: Vec<String> = keys.iter().map(|k| k.to_base64().expect("a key that the ledger may hold")).collect();
        let answer = self.rpc("getLedgerEntries", &json!({ "keys": keys }));
        let entries = answer["entries"].as_array().expect("entries").iter();
        let entries = entries.map(|e| Entry::from_base64(text(&e["xdr"]), e["extXdr"].as_str()).expect("an entry"));
        (at, entries.collect())
    }

    /// Hands an envelope over.
    pub fn submit(&mut self, envelope: &[u8]) -> SubmitAnswer {
        let sent = self.rpc("sendTransaction", &json!({ "transaction": xdr::to_base64(envelope) }));
        match text(&sent["status"]) {
            "PENDING" => SubmitAnswer::Pending,
            "DUPLICATE" => SubmitAnswer::Duplicate,
            "TRY_AGAIN_LATER" => SubmitAnswer::TryAgainLater,
            "ERROR" => {
                SubmitAnswer::Refused { result: xdr::from_base64(text(&sent["errorResultXdr"])).expect("base64") }
            }
            other => panic!("sendTransaction answers {other}"),
        }
    }

    /// What became of a transaction, and the envelope of one that took effect.
    pub fn status(&mut self, hash: TxHash) -> (TxStatus, Vec<u8>) {
        let found = self.rpc("getTransaction", &json!({ "hash": hash.to_string() }));
        let latest = LedgerPoint::new(
            int(&found["latestLedger"]) as u32,
            Timestamp::from_secs(int(&found["latestLedgerCloseTime"])),
        );
        let status = text(&found["status"]).to_owned();
        if status == "NOT_FOUND" {
            let oldest = int(&found["oldestLedger"]) as u32;
            return (TxStatus::NotFound { latest, oldest }, Vec::new());
        }
        let at = LedgerPoint::new(int(&found["ledger"]) as u32, Timestamp::from_secs(int(&found["createdAt"])));
        let result = xdr::from_base64(text(&found["resultXdr"])).expect("base64");
        if status != "SUCCESS" {
            return (TxStatus::Failed { at, result }, Vec::new());
        }
        (TxStatus::Success { at, result }, xdr::from_base64(text(&found["envelopeXdr"])).expect("base64"))
    }

    /// Closes the next ledger at this second, and checks that no stroop appeared or vanished.
    pub fn close(&mut self, close_time: u64) -> LedgerPoint {
        let closed = self.ledger.close(close_time).expect("the world's clock goes forward");
        self.newest.clear();
        for record in &closed.transactions {
            self.take_in(record);
        }
        self.audit();
        LedgerPoint::new(closed.sequence, Timestamp::from_secs(closed.close_time))
    }

    fn take_in(&mut self, record: &TransactionRecord) {
        let transaction = SignedTransaction::read(&record.envelope_xdr, &self.network).expect("nobody bumps fees here");
        self.included.push(transaction.hash());
        *self.fees.entry(transaction.source()).or_default() += record.result.fee_charged;
        self.newest.push(Included {
            source: transaction.source(),
            sequence: transaction.sequence(),
            succeeded: record.succeeded(),
            fee: record.result.fee_charged,
            operations: transaction.operations().to_vec(),
        });
        for (index, operation) in transaction.operations().iter().enumerate() {
            match &operation.body {
                OperationBody::CreateClaimableBalance(_) => {
                    let id = balance_id::of_operation(transaction.source(), transaction.sequence(), index as u32);
                    self.balances.insert(id);
                }
                OperationBody::CreateAccount(op) => {
                    self.accounts.insert(xdr::read_account(&op.destination));
                }
                _ => {}
            }
        }
    }

    /// Accounts + claimable balances + fee pool = total, counted entry by entry.
    fn audit(&mut self) {
        let keys: Vec<Key> = self.accounts.iter().map(|a| Key::Account(*a)).collect();
        let keys: Vec<Key> = keys.into_iter().chain(self.balances.iter().map(|b| Key::Balance(*b))).collect();
        let mut sum = 0i128;
        for page in keys.chunks(200) {
            for entry in self.read(page).1 {
                sum += i128::from(match entry {
                    Entry::Account(account) => account.balance.get(),
                    Entry::Balance(balance) => balance.amount.get(),
                    _ => 0,
                });
            }
        }
        let header = self.header();
        let (pool, total) = (i128::from(header.fee_pool), i128::from(header.total_coins));
        assert_eq!(sum + pool, total, "ledger {}: stroops appeared or vanished", header.ledger_seq);
    }

    /// Submits a transaction of an account that isn't a node's, or that a node's owner signs elsewhere.
    pub fn submit_signed(&mut self, key: &SigningKey, sequence: i64, operations: Vec<Operation>) -> TxHash {
        let until = Timestamp::from_secs(self.ledger.close_time() + OWN_LIFE_SECS);
        let transaction = Unsigned {
            source: AccountId::of(key),
            sequence,
            fee: 100 * operations.len() as u32,
            bounds: Bounds::until(until),
            memo: Memo::None,
            operations,
        };
        let envelope = transaction.sign(&[key], &self.network).expect("a transaction within XDR's bounds");
        let answer = self.submit(envelope.bytes());
        assert_eq!(answer, SubmitAnswer::Pending);
        envelope.hash()
    }

    /// Submits operations of the root account, which holds all coin at first.
    pub fn submit_from_root(&mut self, operations: Vec<Operation>) -> TxHash {
        self.root_sequence += 1;
        let root = self.root.clone();
        self.submit_signed(&root, self.root_sequence, operations)
    }

    /// An account as it stands, where it exists.
    pub fn account(&mut self, id: AccountId) -> Option<AccountState> {
        match self.read(&[Key::Account(id)]).1.pop() {
            Some(Entry::Account(account)) => Some(account),
            _ => None,
        }
    }

    /// A claimable balance as it stands, where it exists.
    pub fn balance(&mut self, id: BalanceId) -> Option<BalanceState> {
        match self.read(&[Key::Balance(id)]).1.pop() {
            Some(Entry::Balance(balance)) => Some(balance),
            _ => None,
        }
    }

    /// The claimable balances that stand now.
    pub fn standing(&mut self) -> Vec<BalanceState> {
        let all: Vec<BalanceId> = self.balances.iter().copied().collect();
        all.into_iter().filter_map(|id| self.balance(id)).collect()
    }

    /// What an account has paid in fees since the beginning.
    pub fn fees(&self, account: AccountId) -> i64 {
        self.fees.get(&account).copied().unwrap_or(0)
    }

    /// The transactions of the newest ledger, in their order.
    pub fn newest(&self) -> &[Included] {
        &self.newest
    }

    /// The transactions that ledgers included, in order.
    pub fn included(&self) -> &[TxHash] {
        &self.included
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// A number, or a text of digits, as the RPC mixes them.
fn int(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).expect("a number")
}
