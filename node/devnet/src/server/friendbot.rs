//! Gives coin to new accounts.
//!
//! One account can source one transaction in a ledger, so requests queue and
//! one transaction serves up to a hundred of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ed25519_dalek::{Signer as _, SigningKey};
use serde::Deserialize;
use serde_json::json;
use stellar_strkey::ed25519::PublicKey as Address;
use stellar_xdr::{
    AccountId, CreateAccountOp, CreateAccountResult, DecoratedSignature, Memo, MuxedAccount, Operation, OperationBody,
    OperationResult, OperationResultTr, Preconditions, PublicKey, SequenceNumber, Signature, SignatureHint,
    Transaction, TransactionEnvelope, TransactionExt, TransactionResultResult, TransactionV1Envelope, Uint256,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep;

use super::{Close, ServerError, Shared};
use crate::genesis;
use crate::hash;
use crate::history::TransactionRecord;
use crate::ledger::Ledger;
use crate::queue::Admission;
use crate::state::account_key;

/// The most requests that wait.
pub(super) const MAX_WAITING: usize = 256;
/// The most accounts that one transaction makes.
const MAX_BATCH: usize = 100;
/// How long a request waits for others to share its transaction.
const GATHER: Duration = Duration::from_millis(20);
/// How often a batch is tried.
const MAX_ATTEMPTS: u32 = 5;
/// How many ledgers a submitted batch is looked for before it is tried again.
const MAX_LEDGERS: u32 = 3;
/// What it starts with, in stroops: half of all coin.
const ENDOWMENT: i64 = genesis::TOTAL_COINS / 2;

/// A wish for an account, and where to say what came of it.
#[derive(Debug)]
pub(super) struct Request {
    account: AccountId,
    answer: oneshot::Sender<Outcome>,
}

/// What came of a wish.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    Created { hash: [u8; 32], ledger: u32 },
    Exists,
    Unavailable,
}

/// The query of `GET /friendbot`.
#[derive(Debug, Deserialize)]
pub(super) struct Wish {
    addr: String,
}

/// `GET` or `POST /friendbot?addr=G…`: makes the account, and answers once a
/// ledger has it.
pub(super) async fn fund(State(shared): State<Arc<Shared>>, Query(wish): Query<Wish>) -> Response {
    let Ok(address) = Address::from_string(&wish.addr) else {
        return problem(StatusCode::BAD_REQUEST, "addr must be an account's address (G…)");
    };
    let account = AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(address.0)));
    let (answer, answered) = oneshot::channel();
    if shared.friendbot.try_send(Request { account, answer }).is_err() {
        let reason = "the friendbot has too many requests: try again in a few seconds";
        return problem(StatusCode::SERVICE_UNAVAILABLE, reason);
    }
    match answered.await.unwrap_or(Outcome::Unavailable) {
        Outcome::Created { hash, ledger } => Json(json!({
            "hash": hex::encode(hash),
            "ledger": ledger,
            "successful": true,
        }))
        .into_response(),
        Outcome::Exists => problem(StatusCode::BAD_REQUEST, "the account exists already (createAccountAlreadyExist)"),
        Outcome::Unavailable => {
            problem(StatusCode::SERVICE_UNAVAILABLE, "the friendbot couldn't make the account: see GET /devnet/status")
        }
    }
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let body = json!({
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": detail,
    });
    (status, Json(body)).into_response()
}

/// The account that gives.
#[derive(Debug)]
pub(super) struct Friendbot {
    key: SigningKey,
    account: AccountId,
    amount: i64,
}

impl Friendbot {
    /// Makes the friendbot's account with half of the root's coin, in a
    /// ledger of its own, where a ledger that goes on doesn't have it.
    pub(super) fn endow(ledger: &mut Ledger, now: u64, amount: i64) -> Result<Self, ServerError> {
        let seed = genesis::friendbot_seed(&ledger.network_id());
        let account = genesis::account_of(&seed);
        let bot = Self { key: SigningKey::from_bytes(&seed), account, amount };
        if ledger.entry(&account_key(&bot.account)).is_some() {
            return Ok(bot);
        }
        let now = now.max(ledger.close_time() + 1);
        let root = SigningKey::from_bytes(&ledger.root_secret());
        let envelope = create_accounts(ledger, &root, std::slice::from_ref(&bot.account), ENDOWMENT);
        let closed = envelope
            .ok_or_else(|| "the network has no root account".to_owned())
            .and_then(|xdr| ledger.submit(&xdr).map_err(|e| e.to_string()))
            .and_then(|_| ledger.close(now).map_err(|e| e.to_string()))
            .map_err(ServerError::Friendbot)?;
        match closed.transactions.as_slice() {
            [made] if made.succeeded() => Ok(bot),
            other => Err(ServerError::Friendbot(format!("{other:?}"))),
        }
    }

    /// Returns its account's address.
    pub(super) fn address(&self) -> String {
        let key = Address(*hash::key_bytes(&self.account));
        key.to_string().as_str().to_owned()
    }

    /// Serves requests as they come.
    pub(super) async fn run(self, shared: Arc<Shared>, mut requests: mpsc::Receiver<Request>) {
        while let Some(first) = requests.recv().await {
            sleep(GATHER).await;
            let mut batch = vec![first];
            while batch.len() < MAX_BATCH
                && let Ok(next) = requests.try_recv()
            {
                batch.push(next);
            }
            self.serve(&shared, batch).await;
        }
    }

    /// Makes the accounts of a batch. Where some can't be made (they came
    /// into being meanwhile), the others are tried again.
    async fn serve(&self, shared: &Shared, mut batch: Vec<Request>) {
        for _ in 0..MAX_ATTEMPTS {
            // From before the submission, so that no ledger is missed.
            let mut closed = shared.closed.subscribe();
            if shared.client.ledger().unsaved().is_some() {
                wait_for_ledger(shared, &mut closed).await;
                continue;
            }
            batch = answer_existing(&shared.client.ledger(), batch);
            if batch.is_empty() {
                return;
            }
            let accounts: Vec<AccountId> = batch.iter().map(|r| r.account.clone()).collect();
            let submitted = self.submit(&mut shared.client.ledger(), &accounts);
            let record = match submitted {
                Some(hash) => wait_for(shared, &mut closed, hash).await,
                None => {
                    wait_for_ledger(shared, &mut closed).await;
                    None
                }
            };
            let Some(record) = record else {
                continue;
            };
            if record.succeeded() {
                for request in batch {
                    let made = Outcome::Created { hash: record.hash, ledger: record.ledger };
                    // A requester that left doesn't mind.
                    let _ = request.answer.send(made);
                }
                return;
            }
            batch = answer_failed(&record, batch);
        }
        for request in batch {
            let _ = request.answer.send(Outcome::Unavailable);
        }
    }

    fn submit(&self, ledger: &mut Ledger, accounts: &[AccountId]) -> Option<[u8; 32]> {
        let envelope = create_accounts(ledger, &self.key, accounts, self.amount)?;
        let submitted = ledger.submit(&envelope).ok()?;
        match submitted.admission {
            Admission::Pending | Admission::Duplicate => Some(submitted.hash),
            refused => {
                tracing::warn!(?refused, "the friendbot's transaction was refused");
                None
            }
        }
    }
}

/// Tells who asks for an account that exists, or that another of the batch
/// asks for, and returns the others.
fn answer_existing(ledger: &Ledger, batch: Vec<Request>) -> Vec<Request> {
    let mut seen = BTreeSet::new();
    let mut left = Vec::with_capacity(batch.len());
    for request in batch {
        let exists = ledger.entry(&account_key(&request.account)).is_some();
        if exists || !seen.insert(request.account.clone()) {
            let _ = request.answer.send(Outcome::Exists);
        } else {
            left.push(request);
        }
    }
    left
}

/// Tells who can't be served and returns whom a next try may serve.
fn answer_failed(record: &TransactionRecord, batch: Vec<Request>) -> Vec<Request> {
    let TransactionResultResult::TxFailed(results) = &record.result.result else {
        return batch;
    };
    let existed = OperationResult::OpInner(OperationResultTr::CreateAccount(CreateAccountResult::AlreadyExist));
    let mut left = Vec::with_capacity(batch.len());
    for (request, result) in batch.into_iter().zip(results.iter()) {
        if *result == existed {
            let _ = request.answer.send(Outcome::Exists);
        } else {
            left.push(request);
        }
    }
    left
}

/// Waits until a ledger that is saved has the transaction, or enough of them haven't.
async fn wait_for(shared: &Shared, closed: &mut watch::Receiver<u32>, hash: [u8; 32]) -> Option<TransactionRecord> {
    for _ in 0..MAX_LEDGERS {
        wait_for_ledger(shared, closed).await;
        let ledger = shared.client.ledger();
        if let Some(record) = ledger.transaction(&hash).filter(|_| ledger.unsaved().is_none()) {
            return Some(record.clone());
        }
    }
    None
}

/// Waits for the next ledger; on demand, that is now.
async fn wait_for_ledger(shared: &Shared, closed: &mut watch::Receiver<u32>) {
    match shared.close {
        Close::OnDemand => {
            // Halted it closes none, and the batch is given up after its tries.
            let _ = shared.close_now();
        }
        Close::Every(_) => {
            // The sender lives as long as `shared`.
            let _ = closed.changed().await;
        }
    }
}

/// Builds and signs a transaction that makes accounts.
fn create_accounts(ledger: &Ledger, key: &SigningKey, accounts: &[AccountId], amount: i64) -> Option<Vec<u8>> {
    let public = key.verifying_key().to_bytes();
    let source = AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(public)));
    let stellar_xdr::LedgerEntryData::Account(entry) = &ledger.entry(&account_key(&source))?.data else {
        return None;
    };
    let operations: Vec<Operation> = accounts
        .iter()
        .map(|account| Operation {
            source_account: None,
            body: OperationBody::CreateAccount(CreateAccountOp {
                destination: account.clone(),
                starting_balance: amount,
            }),
        })
        .collect();
    let tx = Transaction {
        source_account: MuxedAccount::Ed25519(Uint256(public)),
        fee: genesis::BASE_FEE * u32::try_from(operations.len()).ok()?,
        seq_num: SequenceNumber(entry.seq_num.0 + 1),
        cond: Preconditions::None,
        memo: Memo::None,
        operations: operations.try_into().ok()?,
        ext: TransactionExt::V0,
    };
    let signature = key.sign(&hash::transaction(&ledger.network_id(), &tx));
    let hint = [public[28], public[29], public[30], public[31]];
    let decorated =
        DecoratedSignature { hint: SignatureHint(hint), signature: Signature(signature.to_bytes().try_into().ok()?) };
    Some(hash::xdr(&TransactionEnvelope::Tx(TransactionV1Envelope {
        tx,
        signatures: vec![decorated].try_into().ok()?,
    })))
}
