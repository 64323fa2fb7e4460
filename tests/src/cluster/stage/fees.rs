//! What accounts paid in fees, by the ledger's own account of it.

use serde_json::{Value, json};
use stellar_xdr::{
    FeeBumpTransaction, FeeBumpTransactionInnerTx, Limits, MuxedAccount, ReadXdr, TransactionEnvelope,
    TransactionResult,
};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::stellar::reserve::LedgerParams;
use tradepost_protocol::stellar::xdr;

use crate::cluster::Nodes;

/// Transactions in one page.
const PAGE: usize = 100;

/// What an account has paid in fees in the ledgers after this one, the least that each of its transactions costs: how many
/// operations they have depends on how long the ledger kept them waiting, for an offer that is raised is one more.
pub(super) async fn fees(nodes: &Nodes, account: AccountId, after: u32) -> i64 {
    let mut fees = 0;
    let mut cursor: Option<Value> = None;
    loop {
        let params = match &cursor {
            Some(cursor) => json!({ "pagination": { "limit": PAGE, "cursor": cursor } }),
            None => json!({ "startLedger": after + 1, "pagination": { "limit": PAGE } }),
        };
        let question = json!({ "jsonrpc": "2.0", "id": 1, "method": "getTransactions", "params": params });
        let answer = reqwest::Client::new().post(nodes.rpc_url()).header("content-type", "application/json");
        let answer = answer.body(question.to_string()).send().await.expect("the ledger answers");
        let mut answer: Value = serde_json::from_str(&answer.text().await.expect("a text")).expect("JSON");
        let page = answer["result"]["transactions"].as_array().cloned().unwrap_or_default();
        for listed in &page {
            let (source, operations) = source_and_operations(listed);
            if source == account {
                let charged = fee_charged(listed);
                assert_eq!(charged, LedgerParams::USUAL.fee(operations).get(), "no more than it costs: {listed}");
                fees += charged;
            }
        }
        if page.len() < PAGE {
            return fees;
        }
        cursor = Some(answer["result"]["cursor"].take());
    }
}

/// Who pays a transaction's fee, and for how many operations.
fn source_and_operations(listed: &Value) -> (AccountId, u32) {
    let text = listed["envelopeXdr"].as_str().expect("an envelope");
    let (source, operations) = match TransactionEnvelope::from_xdr_base64(text, Limits::none()).expect("an envelope") {
        TransactionEnvelope::TxFeeBump(bump) => {
            let FeeBumpTransaction { fee_source, inner_tx: FeeBumpTransactionInnerTx::Tx(inner), .. } = bump.tx;
            (fee_source, inner.tx.operations.len() + 1)
        }
        TransactionEnvelope::Tx(plain) => (plain.tx.source_account, plain.tx.operations.len()),
        TransactionEnvelope::TxV0(old) => {
            (MuxedAccount::Ed25519(old.tx.source_account_ed25519), old.tx.operations.len())
        }
    };
    (xdr::read_plain(&source).expect("a plain account"), u32::try_from(operations).expect("a few"))
}

fn fee_charged(listed: &Value) -> i64 {
    let text = listed["resultXdr"].as_str().expect("a result");
    TransactionResult::from_xdr_base64(text, Limits::none()).expect("a result").fee_charged
}
