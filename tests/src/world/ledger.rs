//! The development ledger in process, spoken to through its JSON-RPC and read with the protocol's own types.

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::SigningKey;
use serde_json::{Value, json};
use stellar_xdr::{
    AlphaNum4, AssetCode4, ChangeTrustAsset, ChangeTrustOp, ClawbackClaimableBalanceOp, FeeBumpTransactionInnerTx,
    LedgerCloseMeta, LedgerHeader, OperationBody, SetOptionsOp, SetTrustLineFlagsOp, TransactionEnvelope,
    TransactionResultPair, TransactionResultSet,
};
use tradepost_devnet::{Faults, Ledger, TransactionRecord};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::escrow::taking;
use tradepost_protocol::intent::queue::{SubmitAnswer, TxStatus};
use tradepost_protocol::market::event::{FollowedPage, FollowedTransaction};
use tradepost_protocol::message::{BalanceId, TxHash};
use tradepost_protocol::network_id::NetworkId;
use tradepost_protocol::stellar::entry::{AccountState, BalanceState, Entry, LINE_AUTHORIZED};
use tradepost_protocol::stellar::envelope::SignedTransaction;
use tradepost_protocol::stellar::ledger_key::Key;
use tradepost_protocol::stellar::reserve::LedgerParams;
use tradepost_protocol::stellar::transaction::{Bounds, Unsigned};
use tradepost_protocol::stellar::{LedgerPoint, Memo, Operation, balance_id, operation, xdr};
use tradepost_protocol::time::Timestamp;

/// The passphrase of every simulated world's network.
pub(super) const PASSPHRASE: &str = "Tradepost simulated world ; 0";
/// How long a transaction of the world's own may wait.
const OWN_LIFE_SECS: u64 = 60;
/// The code of the asset that every world's issuer issues: an hour of somebody's help.
const ISSUED_CODE: [u8; 4] = *b"HOUR";

/// The ledger of a world.
#[derive(Debug)]
pub struct WorldLedger {
    ledger: Ledger,
    network: NetworkId,
    root: SigningKey,
    root_sequence: i64,
    issuer: SigningKey,
    issued: i128,
    /// What is about to be clawed back.
    clawed: BTreeMap<BalanceId, i128>,
    accounts: BTreeSet<AccountId>,
    trusting: BTreeSet<AccountId>,
    balances: BTreeSet<BalanceId>,
    fees: BTreeMap<AccountId, i64>,
    included: Vec<TxHash>,
    newest: Vec<Included>,
    /// The transactions that took effect, in order.
    effective: Vec<FollowedTransaction>,
    /// The newest ledger, where the endpoint isn't behind it.
    newest_point: Option<LedgerPoint>,
    /// What a ledger includes at the least, in stroops for each operation.
    least_rate: i64,
    bumps: usize,
}

/// A transaction that a ledger included.
#[derive(Debug, Clone)]
pub struct Included {
    /// The account that it is of.
    pub source: AccountId,
    /// Who paid for it.
    pub payer: AccountId,
    /// The sequence number that it used.
    pub sequence: i64,
    /// Whether its operations took effect.
    pub succeeded: bool,
    /// The latest close time that it allowed.
    pub until: Option<Timestamp>,
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
            issuer: SigningKey::from_bytes(&[0x15; 32]),
            issued: 0,
            clawed: BTreeMap::new(),
            ledger,
            trusting: BTreeSet::new(),
            balances: BTreeSet::new(),
            fees: BTreeMap::new(),
            included: Vec::new(),
            newest: Vec::new(),
            effective: Vec::new(),
            newest_point: None,
            least_rate: 0,
            bumps: 0,
        }
    }

    /// From now on a ledger includes only what offers so much for each operation; the rest waits in vain, as where others
    /// offer more.
    pub fn fees_rise_to(&mut self, least_rate: i64) {
        self.least_rate = least_rate;
    }

    /// How many fee bumps ledgers included.
    pub fn bumps(&self) -> usize {
        self.bumps
    }

    /// What an envelope offers for each operation; a fee bump counts as one more.
    fn rate(envelope: &[u8]) -> i64 {
        match xdr::read::<TransactionEnvelope>("transaction envelope", envelope) {
            Ok(TransactionEnvelope::Tx(v1)) => i64::from(v1.tx.fee) / v1.tx.operations.len() as i64,
            Ok(TransactionEnvelope::TxFeeBump(bump)) => {
                let FeeBumpTransactionInnerTx::Tx(inner) = &bump.tx.inner_tx;
                bump.tx.fee / (inner.tx.operations.len() as i64 + 1)
            }
            _ => i64::MAX,
        }
    }

    /// The network.
    pub fn network(&self) -> NetworkId {
        self.network
    }

    /// The account that all coins are of at first.
    pub fn root(&self) -> AccountId {
        AccountId::of(&self.root)
    }

    /// The asset that this world's issuer issues.
    pub fn issued_asset(&self) -> Asset {
        let code = core::str::from_utf8(&ISSUED_CODE).expect("ASCII");
        Asset::issued(code, self.issuer()).expect("a code of four letters")
    }

    /// Who issues it.
    pub fn issuer(&self) -> AccountId {
        AccountId::of(&self.issuer)
    }

    /// How the ledger's RPC misbehaves from now on.
    pub fn set_faults(&mut self, faults: Faults) {
        self.newest_point = None;
        self.ledger.set_faults(faults).expect("faults within their bounds");
    }

    fn rpc(&mut self, method: &str, params: &Value) -> Value {
        self.ledger.rpc(method, params).unwrap_or_else(|e| panic!("{method} {params}: {e}"))
    }

    /// The newest ledger.
    pub fn point(&mut self) -> LedgerPoint {
        if let Some(point) = self.newest_point {
            return point;
        }
        let latest = self.rpc("getLatestLedger", &Value::Null);
        let point = LedgerPoint::new(int(&latest["sequence"]) as u32, Timestamp::from_secs(int(&latest["closeTime"])));
        self.newest_point = Some(point);
        point
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
        if Self::rate(envelope) < self.least_rate {
            return SubmitAnswer::Pending;
        }
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

    /// The envelope of the transaction that took a balance in the ledgers after one up to another; nothing where they are
    /// forgotten.
    ///
    /// # Errors
    /// Why they can't be read yet.
    pub fn search(&mut self, balance: BalanceId, after: u32, until: u32) -> Result<Option<Vec<u8>>, String> {
        let params = json!({ "startLedger": after + 1, "pagination": { "limit": 200 } });
        let page = match self.ledger.rpc("getTransactions", &params) {
            Ok(page) => page,
            Err(_) if self.point().sequence < until => return Err("the ledger's endpoint is behind".to_owned()),
            Err(_) => return Ok(None),
        };
        let network = self.network;
        let took = |transaction: &&Value| {
            let envelope = xdr::from_base64(text(&transaction["envelopeXdr"])).expect("base64");
            int(&transaction["ledger"]) <= u64::from(until)
                && text(&transaction["status"]) == "SUCCESS"
                && taking::touches(balance, &envelope, &network).expect("an envelope")
        };
        let found = page["transactions"].as_array().expect("transactions").iter().find(took);
        Ok(found.map(|transaction| xdr::from_base64(text(&transaction["envelopeXdr"])).expect("base64")))
    }

    /// The transactions that took effect from a ledger on, as an endpoint tells of them that moved some asset.
    pub fn follow(&mut self, from: u32) -> FollowedPage {
        let through = self.point().sequence;
        let transactions = self.effective.iter().filter(|found| (from..=through).contains(&found.at.sequence));
        FollowedPage { transactions: transactions.cloned().collect(), through, gap: false }
    }

    /// A closed ledger's header behind its hash, and the results of its transactions, as XDR.
    pub fn record(&mut self, sequence: u32) -> (Vec<u8>, Vec<u8>) {
        let params = json!({ "startLedger": sequence, "pagination": { "limit": 1 } });
        let answer = self.rpc("getLedgers", &params);
        let closed = &answer["ledgers"][0];
        let meta = xdr::from_base64(text(&closed["metadataXdr"])).expect("base64");
        let LedgerCloseMeta::V2(meta) = xdr::read("ledger's meta", &meta).expect("a meta") else {
            panic!("a meta of another version");
        };
        let results: Vec<TransactionResultPair> = meta.tx_processing.iter().map(|tx| tx.result.clone()).collect();
        let results = TransactionResultSet { results: results.try_into().expect("as many as were read") };
        (xdr::from_base64(text(&closed["headerXdr"])).expect("base64"), xdr::write(&results).expect("what was read"))
    }

    /// Closes the next ledger at this second, and checks that nothing appeared or vanished of any asset.
    pub fn close(&mut self, close_time: u64) -> LedgerPoint {
        let closed = self.ledger.close(close_time).expect("the world's clock goes forward");
        self.newest.clear();
        self.newest_point = None;
        let point = LedgerPoint::new(closed.sequence, Timestamp::from_secs(closed.close_time));
        for record in &closed.transactions {
            self.take_in(record);
            if record.succeeded() {
                self.effective.push(FollowedTransaction { at: point, envelope: record.envelope_xdr.clone() });
            }
        }
        if !self.newest.is_empty() {
            self.audit();
        }
        LedgerPoint::new(closed.sequence, Timestamp::from_secs(closed.close_time))
    }

    fn take_in(&mut self, record: &TransactionRecord) {
        let transaction = SignedTransaction::read_included(&record.envelope_xdr, &self.network).expect("a transaction");
        self.included.push(transaction.hash());
        let payer = self.payer(&record.envelope_xdr).unwrap_or_else(|| transaction.source());
        *self.fees.entry(payer).or_default() += record.result.fee_charged;
        self.newest.push(Included {
            source: transaction.source(),
            payer,
            sequence: transaction.sequence(),
            succeeded: record.succeeded(),
            until: transaction.bounds().map(|bounds| bounds.until).filter(|until| until.secs() > 0),
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
                OperationBody::ChangeTrust(_) => {
                    let own = operation.source_account.as_ref().and_then(xdr::read_plain);
                    self.trusting.insert(own.unwrap_or(transaction.source()));
                }
                OperationBody::ClawbackClaimableBalance(op) if record.succeeded() => {
                    self.issued -= self.clawed.remove(&balance_id::from_xdr(&op.balance_id)).unwrap_or_default();
                }
                OperationBody::Payment(op) if record.succeeded() && op.asset == xdr::asset(&self.issued_asset()) => {
                    let source = operation.source_account.as_ref().and_then(xdr::read_plain);
                    if source.unwrap_or(transaction.source()) == self.issuer() {
                        self.issued += i128::from(op.amount);
                    }
                    if xdr::read_plain(&op.destination) == Some(self.issuer()) {
                        self.issued -= i128::from(op.amount);
                    }
                }
                _ => {}
            }
        }
    }

    /// Who pays for a fee bump.
    fn payer(&mut self, envelope: &[u8]) -> Option<AccountId> {
        let Ok(TransactionEnvelope::TxFeeBump(bump)) = xdr::read("transaction envelope", envelope) else { return None };
        self.bumps += 1;
        xdr::read_plain(&bump.tx.fee_source)
    }

    /// Accounts + claimable balances + fee pool = total, and trustlines + claimable balances = issued, counted entry by
    /// entry.
    fn audit(&mut self) {
        let issued = self.issued_asset();
        let lines = self.trusting.iter().map(|a| Key::Trustline(*a, issued.clone()));
        let others =
            self.accounts.iter().map(|a| Key::Account(*a)).chain(self.balances.iter().map(|b| Key::Balance(*b)));
        let keys: Vec<Key> = lines.chain(others).collect();
        let (mut native, mut hours) = (0i128, 0i128);
        for page in keys.chunks(200) {
            for entry in self.read(page).1 {
                match entry {
                    Entry::Account(account) => native += i128::from(account.balance.get()),
                    Entry::Balance(balance) if balance.asset.is_native() => native += i128::from(balance.amount.get()),
                    Entry::Balance(balance) if balance.asset == issued => hours += i128::from(balance.amount.get()),
                    Entry::Trustline(line) => hours += i128::from(line.balance.get()),
                    _ => {}
                }
            }
        }
        let header = self.header();
        let (pool, total) = (i128::from(header.fee_pool), i128::from(header.total_coins));
        assert_eq!(native + pool, total, "ledger {}: stroops appeared or vanished", header.ledger_seq);
        assert_eq!(hours, self.issued, "ledger {}: some of the issued asset appeared or vanished", header.ledger_seq);
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

    /// Lets an account trust the issued asset.
    pub fn submit_trust(&mut self, key: &SigningKey) -> TxHash {
        let sequence = self.account(AccountId::of(key)).expect("the account").sequence + 1;
        let asset = AlphaNum4 { asset_code: AssetCode4(ISSUED_CODE), issuer: xdr::account(self.issuer()) };
        let trust = ChangeTrustOp { line: ChangeTrustAsset::CreditAlphanum4(asset), limit: i64::MAX };
        let body = OperationBody::ChangeTrust(trust);
        self.submit_signed(key, sequence, vec![Operation { source_account: None, body }])
    }

    /// Issues so much to an account that trusts it.
    pub fn submit_issue(&mut self, to: AccountId, amount: Stroops) -> TxHash {
        let sequence = self.account(self.issuer()).expect("the issuer's account").sequence + 1;
        let (key, asset) = (self.issuer.clone(), self.issued_asset());
        self.submit_signed(&key, sequence, vec![operation::pay(to, &asset, amount)])
    }

    /// Sets flags of the issuer's account.
    pub fn submit_issuer_flags(&mut self, flags: u32) -> TxHash {
        self.submit_by_issuer(OperationBody::SetOptions(SetOptionsOp { set_flags: Some(flags), ..Default::default() }))
    }

    /// Freezes what an account holds of the issued asset.
    pub fn submit_freeze(&mut self, trustor: AccountId) -> TxHash {
        let (trustor, asset) = (xdr::account(trustor), xdr::asset(&self.issued_asset()));
        let op = SetTrustLineFlagsOp { trustor, asset, clear_flags: LINE_AUTHORIZED, set_flags: 0 };
        self.submit_by_issuer(OperationBody::SetTrustLineFlags(op))
    }

    /// Claws a balance of the issued asset back where it can; whether that was handed in.
    pub fn try_clawback(&mut self, balance: BalanceId) -> bool {
        let its = |state: BalanceState| state.clawback_enabled && !state.asset.is_native();
        let claws = self.balance(balance).is_some_and(its);
        if claws {
            self.submit_clawback(balance);
        }
        claws
    }

    /// Claws a balance of the issued asset back.
    pub fn submit_clawback(&mut self, balance: BalanceId) -> TxHash {
        let amount = self.balance(balance).expect("the balance").amount;
        self.clawed.insert(balance, i128::from(amount.get()));
        let balance_id = balance_id::to_xdr(balance);
        self.submit_by_issuer(OperationBody::ClawbackClaimableBalance(ClawbackClaimableBalanceOp { balance_id }))
    }

    fn submit_by_issuer(&mut self, body: OperationBody) -> TxHash {
        let sequence = self.account(self.issuer()).expect("the issuer's account").sequence + 1;
        let key = self.issuer.clone();
        self.submit_signed(&key, sequence, vec![Operation { source_account: None, body }])
    }

    /// What accounts hold of assets, in stroops, where they can hold any.
    pub fn holdings(&mut self, wanted: &[(AccountId, Asset)]) -> BTreeMap<(AccountId, Asset), i64> {
        let key = |(id, asset): &(AccountId, Asset)| match asset {
            Asset::Native => Key::Account(*id),
            Asset::Issued { .. } => Key::Trustline(*id, asset.clone()),
        };
        let keys: Vec<Key> = wanted.iter().map(key).collect();
        let found = self.read(&keys).1.into_iter().filter_map(|entry| match entry {
            Entry::Account(account) => Some(((account.id, Asset::Native), account.balance.get())),
            Entry::Trustline(line) => Some(((line.account, line.asset), line.balance.get())),
            _ => None,
        });
        found.collect()
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
