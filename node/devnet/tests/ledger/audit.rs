//! Checks every closed ledger as somebody would who has its `metadataXdr` only:
//! hashes, order, changes and events must prove each other. Nothing here is
//! the ledger's own code.

use std::collections::BTreeMap;

use serde_json::json;
use stellar_xdr::*;

use crate::asking::*;
use crate::world::*;

/// All entries as the changes told so far leave them.
#[derive(Default)]
pub struct Audit {
    entries: BTreeMap<LedgerKey, LedgerEntry>,
    last: Option<LedgerHeaderHistoryEntry>,
    /// How many movements events told of.
    pub movements: usize,
}

impl Audit {
    /// Begins with a network's first ledger, whose one entry nobody tells of.
    pub fn new(world: &mut World) -> Self {
        let mut audit = Self::default();
        assert_eq!(world.ledger.sequence(), 1);
        let key = account_key(&world.root);
        audit.entries.insert(key.clone(), world.ledger.entry(&key).unwrap().clone());
        let meta = close_meta(world, 1);
        assert!(meta.tx_processing.is_empty());
        audit.last = Some(meta.ledger_header);
        audit
    }

    /// Goes through all ledgers that closed since, and compares the entries.
    pub fn catch_up(&mut self, world: &mut World) {
        let next = self.last.as_ref().unwrap().header.ledger_seq + 1;
        for sequence in next..=world.ledger.sequence() {
            let meta = close_meta(world, sequence);
            self.ledger(world, &meta);
        }
        for (key, entry) in &self.entries {
            assert_eq!(world.ledger.entry(key), Some(entry));
        }
        let native: i128 = self.entries.values().map(native).sum();
        let fees = i128::from(self.last.as_ref().unwrap().header.fee_pool);
        assert_eq!(native + fees, world.ledger.totals().total);
    }

    fn ledger(&mut self, world: &World, meta: &LedgerCloseMetaV2) {
        let entry = &meta.ledger_header;
        let header = &entry.header;
        let last = self.last.replace(entry.clone()).unwrap();
        assert_eq!(entry.hash.0, hash(header));
        assert_eq!(header.previous_ledger_hash, last.hash);
        assert_eq!(header.scp_value.tx_set_hash.0, hash(&meta.tx_set));
        let results: Vec<_> = meta.tx_processing.iter().map(|tx| tx.result.clone()).collect();
        let results = TransactionResultSet { results: results.try_into().unwrap() };
        assert_eq!(header.tx_set_result_hash.0, hash(&results));

        let executed: Vec<[u8; 32]> = meta.tx_processing.iter().map(|tx| tx.result.transaction_hash.0).collect();
        assert_eq!(in_order(world, meta), executed);
        for tx in meta.tx_processing.iter() {
            self.apply(&tx.fee_processing);
        }
        let mut fees = 0;
        for tx in meta.tx_processing.iter() {
            fees += tx.result.result.fee_charged;
            self.transaction(world, tx);
        }
        assert_eq!(header.fee_pool - last.header.fee_pool, fees);
    }

    fn transaction(&mut self, world: &World, tx: &TransactionResultMetaV1) {
        let TransactionMeta::V4(meta) = &tx.tx_apply_processing else {
            panic!("an old meta");
        };
        let fee = tx.result.result.fee_charged;
        assert_eq!(paid(&tx.fee_processing), fee);
        let told: i64 = meta.events.iter().map(|event| told_fee(world, event)).sum();
        assert_eq!(told, fee);
        self.apply(&meta.tx_changes_before);
        let moved = movements_of(&meta.tx_changes_before);
        assert!(moved.is_empty(), "money moves in operations only: {moved:?}");
        let (succeeded, operations) = match &tx.result.result.result {
            TransactionResultResult::TxSuccess(results) => (true, results.len()),
            TransactionResultResult::TxFeeBumpInnerSuccess(pair) => match &pair.result.result {
                InnerTransactionResultResult::TxSuccess(results) => (true, results.len()),
                _ => unreachable!(),
            },
            _ => (false, 0),
        };
        assert_eq!(meta.operations.len(), operations, "{succeeded}");
        for operation in meta.operations.iter() {
            assert_eq!(told_movements(world, &operation.events), movements_of(&operation.changes));
            self.movements += operation.events.len();
            self.apply(&operation.changes);
        }
        assert!(meta.tx_changes_after.0.is_empty() && tx.post_tx_apply_fee_processing.0.is_empty());
    }

    fn apply(&mut self, changes: &LedgerEntryChanges) {
        for change in changes.0.iter() {
            match change {
                LedgerEntryChange::State(before) => {
                    assert_eq!(self.entries.get(&before.data.to_key()), Some(before));
                }
                LedgerEntryChange::Created(made) => {
                    assert_eq!(self.entries.insert(made.data.to_key(), made.clone()), None);
                }
                LedgerEntryChange::Updated(now) => {
                    assert!(self.entries.insert(now.data.to_key(), now.clone()).is_some());
                }
                LedgerEntryChange::Removed(key) => assert!(self.entries.remove(key).is_some()),
                LedgerEntryChange::Restored(_) => panic!("nothing is ever restored"),
            }
        }
    }
}

/// A ledger's own account of itself.
pub fn close_meta(world: &mut World, sequence: u32) -> LedgerCloseMetaV2 {
    let params = json!({ "startLedger": sequence, "pagination": { "limit": 1 } });
    let page = rpc(world, "getLedgers", params);
    let ledger = &page["ledgers"][0];
    let LedgerCloseMeta::V2(meta) = from_b64(&ledger["metadataXdr"]) else {
        panic!("an old meta");
    };
    assert_eq!(meta.ledger_header, from_b64(&ledger["headerXdr"]));
    assert_eq!(ledger["hash"], hex::encode(meta.ledger_header.hash.0));
    assert_eq!(ledger["sequence"], sequence);
    let time = meta.ledger_header.header.scp_value.close_time.0;
    assert_eq!(ledger["ledgerCloseTime"], time.to_string());
    meta
}

fn hash<T: WriteXdr>(value: &T) -> [u8; 32] {
    sha256(&value.to_xdr(Limits::none()).unwrap())
}

/// The hashes of a set's transactions in the order in which they must run.
fn in_order(world: &World, meta: &LedgerCloseMetaV2) -> Vec<[u8; 32]> {
    let GeneralizedTransactionSet::V1(set) = &meta.tx_set;
    assert_eq!(set.previous_ledger_hash, meta.ledger_header.header.previous_ledger_hash);
    let [TransactionPhase::V0(classic), TransactionPhase::V1(contracts)] = set.phases.as_slice() else {
        panic!("{:?}", set.phases);
    };
    assert!(contracts.execution_stages.is_empty());
    let [TxSetComponent::TxsetCompTxsMaybeDiscountedFee(component)] = classic.as_slice() else {
        assert!(classic.is_empty());
        return Vec::new();
    };
    assert!(component.base_fee.unwrap() >= 100);
    let full: Vec<[u8; 32]> = component.txs.iter().map(hash).collect();
    assert!(full.is_sorted());
    let set_hash = hash(&meta.tx_set);
    let mut order: Vec<_> = component
        .txs
        .iter()
        .zip(full)
        .map(|(envelope, full)| {
            let at: [u8; 32] = std::array::from_fn(|i| full[i] ^ set_hash[i]);
            (at, envelope.hash(world.ledger.network_id()).unwrap())
        })
        .collect();
    order.sort_unstable();
    order.into_iter().map(|(_, hash)| hash).collect()
}

fn native(entry: &LedgerEntry) -> i128 {
    match &entry.data {
        LedgerEntryData::Account(account) => i128::from(account.balance),
        LedgerEntryData::ClaimableBalance(b) if b.asset == Asset::Native => i128::from(b.amount),
        _ => 0,
    }
}

fn paid(changes: &LedgerEntryChanges) -> i64 {
    movements_of(changes).into_values().map(|moved| -i64::try_from(moved).unwrap()).sum()
}

type Movements = BTreeMap<(ScAddress, String), i128>;

fn add(movements: &mut Movements, whose: ScAddress, asset: &str, amount: i128) {
    let key = (whose, asset.to_owned());
    let sum = movements.entry(key.clone()).or_default();
    *sum += amount;
    if *sum == 0 {
        movements.remove(&key);
    }
}

/// What changes of entries say of who has how much more or less of what.
fn movements_of(changes: &LedgerEntryChanges) -> Movements {
    let mut moved = Movements::new();
    let mut before: Option<&LedgerEntry> = None;
    for change in changes.0.iter() {
        match change {
            LedgerEntryChange::State(entry) => {
                before = Some(entry);
                continue;
            }
            LedgerEntryChange::Created(entry) => count(&mut moved, entry, 1),
            LedgerEntryChange::Updated(entry) => {
                count(&mut moved, before.unwrap(), -1);
                count(&mut moved, entry, 1);
            }
            LedgerEntryChange::Removed(key) => {
                assert_eq!(before.unwrap().data.to_key(), *key);
                count(&mut moved, before.unwrap(), -1);
            }
            LedgerEntryChange::Restored(_) => unreachable!(),
        }
        before = None;
    }
    moved
}

fn count(moved: &mut Movements, entry: &LedgerEntry, sign: i128) {
    match &entry.data {
        LedgerEntryData::Account(account) => {
            let amount = sign * i128::from(account.balance);
            add(moved, ScAddress::Account(account.account_id.clone()), "native", amount);
        }
        LedgerEntryData::Trustline(line) => {
            let asset = match &line.asset {
                TrustLineAsset::CreditAlphanum4(a) => Asset::CreditAlphanum4(a.clone()),
                TrustLineAsset::CreditAlphanum12(a) => Asset::CreditAlphanum12(a.clone()),
                TrustLineAsset::Native | TrustLineAsset::PoolShare(_) => return,
            };
            let amount = sign * i128::from(line.balance);
            add(moved, ScAddress::Account(line.account_id.clone()), &text_of(&asset), amount);
        }
        LedgerEntryData::ClaimableBalance(balance) => {
            let amount = sign * i128::from(balance.amount);
            add(moved, ScAddress::ClaimableBalance(balance.balance_id.clone()), &text_of(&balance.asset), amount);
        }
        _ => {}
    }
}

/// What events say of the same. Who issues an asset has none of it.
fn told_movements(world: &World, events: &[ContractEvent]) -> Movements {
    let mut moved = Movements::new();
    for event in events {
        let ContractEventBody::V0(body) = &event.body;
        assert_eq!(event.type_, ContractEventType::Contract);
        let [ScVal::Symbol(name), parties @ .., ScVal::String(asset)] = body.topics.as_slice() else {
            panic!("{:?}", body.topics);
        };
        let asset = asset.0.to_utf8_string().unwrap();
        assert_eq!(event.contract_id, Some(contract_of(world, &asset)));
        let who = |at: usize| match &parties[at] {
            ScVal::Address(address) => address.clone(),
            other => panic!("{other:?}"),
        };
        match name.0.to_utf8_string().unwrap().as_str() {
            "transfer" => {
                add(&mut moved, who(0), &asset, -amount(&body.data));
                add(&mut moved, who(1), &asset, amount(&body.data));
            }
            "mint" => add(&mut moved, who(0), &asset, amount(&body.data)),
            "burn" | "clawback" => add(&mut moved, who(0), &asset, -amount(&body.data)),
            "set_authorized" => assert!(matches!(body.data, ScVal::Bool(_))),
            other => panic!("{other}"),
        }
    }
    moved
}

fn told_fee(world: &World, event: &TransactionEvent) -> i64 {
    let ContractEventBody::V0(body) = &event.event.body;
    assert_eq!(event.stage, TransactionEventStage::BeforeAllTxs);
    assert_eq!(event.event.contract_id, Some(contract_of(world, "native")));
    assert!(matches!(body.topics.as_slice(), [ScVal::Symbol(name), ScVal::Address(_)] if name.0 == *b"fee"));
    i64::try_from(amount(&body.data)).unwrap()
}

fn amount(value: &ScVal) -> i128 {
    match value {
        ScVal::I128(parts) => (i128::from(parts.hi) << 64) | i128::from(parts.lo),
        ScVal::Map(Some(map)) => {
            let entry = map.0.iter().find(|e| matches!(&e.key, ScVal::Symbol(s) if s.0 == *b"amount"));
            amount(&entry.unwrap().val)
        }
        other => panic!("{other:?}"),
    }
}

/// An asset in the text of SEP-11.
pub fn text_of(asset: &Asset) -> String {
    let (code, issuer) = match asset {
        Asset::Native => return "native".to_owned(),
        Asset::CreditAlphanum4(a) => (a.asset_code.0.to_vec(), &a.issuer),
        Asset::CreditAlphanum12(a) => (a.asset_code.0.to_vec(), &a.issuer),
    };
    let code = String::from_utf8(code).unwrap();
    format!("{}:{issuer}", code.trim_end_matches('\0'))
}

/// The id of an asset's contract by the XDR crate's preimage.
fn contract_of(world: &World, text: &str) -> ContractId {
    let asset = match text.split_once(':') {
        None => Asset::Native,
        Some((code, issuer)) => {
            let mut padded = [0; 4];
            padded[..code.len()].copy_from_slice(code.as_bytes());
            Asset::CreditAlphanum4(AlphaNum4 { asset_code: AssetCode4(padded), issuer: issuer.parse().unwrap() })
        }
    };
    let preimage = HashIdPreimage::ContractId(HashIdPreimageContractId {
        network_id: Hash(world.ledger.network_id()),
        contract_id_preimage: ContractIdPreimage::Asset(asset),
    });
    ContractId(Hash(hash(&preimage)))
}
