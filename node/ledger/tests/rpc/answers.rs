//! What an honest server says, for tests to bend.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use stellar_xdr::{
    AccountEntry, AccountEntryExt, AccountId, Asset, Hash, LedgerEntryData, LedgerEntryExt, LedgerEntryExtensionV1,
    LedgerEntryExtensionV1Ext, LedgerHeader, LedgerKey, LedgerKeyAccount, Limits, Memo, MuxedAccount, Operation,
    OperationBody, PaymentOp, Preconditions, PublicKey, SequenceNumber, SponsorshipDescriptor, Thresholds, TimeBounds,
    TimePoint, Transaction, TransactionEnvelope, TransactionExt, TransactionResult, TransactionResultExt,
    TransactionResultResult, TransactionV1Envelope, Uint256, WriteXdr,
};
use tradepost_ledger::{Patience, RpcConfig, RpcLedger};
use tradepost_protocol::message::TxHash;
use tradepost_protocol::network_id::NetworkId;

use crate::server::{Question, Reply, Server};

pub const PASSPHRASE: &str = "A test's own network";
/// The first ledger closed then; each later one five seconds later.
pub const GENESIS: u64 = 1_800_000_000;

pub fn close_time(sequence: u32) -> u64 {
    GENESIS + u64::from(sequence) * 5
}

pub fn base64(value: &impl WriteXdr) -> String {
    STANDARD.encode(value.to_xdr(Limits::none()).unwrap())
}

pub fn header(sequence: u32) -> LedgerHeader {
    let mut header = LedgerHeader {
        ledger_version: 27,
        ledger_seq: sequence,
        total_coins: 1_000_000_000_000_000_000,
        fee_pool: 700,
        base_fee: 100,
        base_reserve: 5_000_000,
        max_tx_set_size: 200,
        ..LedgerHeader::default()
    };
    header.scp_value.close_time = TimePoint(close_time(sequence));
    // Each names the one before it, as far back as a test looks.
    if (2..100).contains(&sequence) {
        header.previous_ledger_hash = Hash(hash_of(&self::header(sequence - 1)));
    }
    header
}

pub fn hash_of(header: &LedgerHeader) -> [u8; 32] {
    Sha256::digest(header.to_xdr(Limits::none()).unwrap()).into()
}

pub fn latest_of(header: &LedgerHeader) -> Value {
    let bytes = header.to_xdr(Limits::none()).unwrap();
    json!({
        "id": hex::encode(hash_of(header)),
        "sequence": header.ledger_seq,
        "protocolVersion": header.ledger_version,
        "closeTime": header.scp_value.close_time.0.to_string(),
        "headerXdr": STANDARD.encode(&bytes),
        "metadataXdr": "AAAA",
    })
}

pub fn latest(sequence: u32) -> Value {
    latest_of(&header(sequence))
}

pub fn network() -> Value {
    json!({ "passphrase": PASSPHRASE, "protocolVersion": 27 })
}

pub fn id(n: u8) -> AccountId {
    AccountId(PublicKey::PublicKeyTypeEd25519(Uint256([n; 32])))
}

pub fn account_key(n: u8) -> LedgerKey {
    LedgerKey::Account(LedgerKeyAccount { account_id: id(n) })
}

pub fn account(n: u8) -> LedgerEntryData {
    LedgerEntryData::Account(AccountEntry {
        account_id: id(n),
        balance: 1_000 + i64::from(n),
        seq_num: SequenceNumber(7),
        num_sub_entries: 0,
        inflation_dest: None,
        flags: 0,
        home_domain: Default::default(),
        thresholds: Thresholds([1, 0, 0, 0]),
        signers: Default::default(),
        ext: AccountEntryExt::V0,
    })
}

pub fn entry(n: u8) -> Value {
    json!({
        "key": base64(&account_key(n)),
        "xdr": base64(&account(n)),
        "extXdr": base64(&LedgerEntryExt::V0),
        "lastModifiedLedgerSeq": 3,
    })
}

pub fn sponsored_by(n: u8) -> LedgerEntryExt {
    LedgerEntryExt::V1(LedgerEntryExtensionV1 {
        sponsoring_id: SponsorshipDescriptor(Some(id(n))),
        ext: LedgerEntryExtensionV1Ext::V0,
    })
}

/// A transaction with this maxTime.
pub fn envelope(max_time: u64) -> TransactionEnvelope {
    let payment = PaymentOp { destination: MuxedAccount::Ed25519(Uint256([2; 32])), asset: Asset::Native, amount: 5 };
    TransactionEnvelope::Tx(TransactionV1Envelope {
        tx: Transaction {
            source_account: MuxedAccount::Ed25519(Uint256([1; 32])),
            fee: 100,
            seq_num: SequenceNumber(8),
            cond: Preconditions::Time(TimeBounds { min_time: TimePoint(0), max_time: TimePoint(max_time) }),
            memo: Memo::None,
            operations: vec![Operation { source_account: None, body: OperationBody::Payment(payment) }]
                .try_into()
                .unwrap(),
            ext: TransactionExt::V0,
        },
        signatures: Default::default(),
    })
}

pub fn hash(envelope: &TransactionEnvelope) -> TxHash {
    TxHash::from_bytes(envelope.hash(*NetworkId::of_passphrase(PASSPHRASE).as_bytes()).unwrap())
}

pub fn result(result: TransactionResultResult) -> TransactionResult {
    TransactionResult { fee_charged: 100, result, ext: TransactionResultExt::V0 }
}

pub fn sent(status: &str, envelope: &TransactionEnvelope) -> Value {
    json!({ "status": status, "hash": hash(envelope), "latestLedger": 9, "latestLedgerCloseTime": "1800000045" })
}

pub fn refused(envelope: &TransactionEnvelope, why: TransactionResultResult) -> Value {
    let mut answer = sent("ERROR", envelope);
    answer["errorResultXdr"] = base64(&result(why)).into();
    answer
}

pub fn not_found(oldest: u32, latest: u32) -> Value {
    json!({
        "status": "NOT_FOUND",
        "latestLedger": latest,
        "latestLedgerCloseTime": close_time(latest).to_string(),
        "oldestLedger": oldest,
        "oldestLedgerCloseTime": close_time(oldest).to_string(),
    })
}

pub fn found(envelope: &TransactionEnvelope, ledger: u32, success: bool) -> Value {
    let operations = Default::default();
    let (status, why) = match success {
        true => ("SUCCESS", TransactionResultResult::TxSuccess(operations)),
        false => ("FAILED", TransactionResultResult::TxFailed(operations)),
    };
    let mut answer = not_found(1, ledger + 1);
    answer["status"] = status.into();
    answer["ledger"] = ledger.into();
    answer["createdAt"] = close_time(ledger).to_string().into();
    answer["applicationOrder"] = 1.into();
    answer["envelopeXdr"] = base64(envelope).into();
    answer["resultXdr"] = base64(&result(why)).into();
    answer
}

pub fn fees() -> Value {
    json!({
        "latestLedger": 9,
        "inclusionFee": {
            "max": "900", "min": "100", "mode": "100", "p10": "100", "p50": "100", "p90": "300", "p95": "400",
            "p99": "900", "transactionCount": "12", "ledgerCount": 10,
        },
        "sorobanInclusionFee": {},
    })
}

/// The honest answers as of a ledger; anything else is an error.
pub fn honest(question: &Question, sequence: u32) -> Reply {
    match question.method.as_str() {
        "getNetwork" => Reply::Result(network()),
        "getLatestLedger" => Reply::Result(latest(sequence)),
        "getFeeStats" => Reply::Result(fees()),
        _ => Reply::Error(-32601, "method not found"),
    }
}

/// Short waits, so that what fails does so within the test's patience.
pub fn quick() -> Patience {
    Patience {
        connect: Duration::from_secs(2),
        read: Duration::from_secs(2),
        one_try: Duration::from_secs(2),
        call: Duration::from_secs(8),
        tries: 3,
        first_pause: Duration::from_millis(2),
        longest_pause: Duration::from_millis(20),
        switch: Duration::from_secs(1),
        longest_rest: Duration::from_millis(50),
    }
}

pub fn config(server: &Server) -> RpcConfig {
    RpcConfig { patience: quick(), ..RpcConfig::new(&server.url) }
}

pub async fn connect(server: &Server) -> RpcLedger {
    RpcLedger::connect(config(server), PASSPHRASE).await.unwrap()
}
