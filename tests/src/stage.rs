//! An `arbitrated` escrow's cast on the development ledger in process: consumer, provider, arbiters, and whatever one of
//! them may try. Every transaction is built by the protocol's own code and judged by the ledger's.

pub mod flawed;

use core::time::Duration;

use ed25519_dalek::SigningKey;
use tradepost_protocol::account::{AccountId, ServingKey};
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::binding::phase::Side;
use tradepost_protocol::escrow::arbitrated::{Arbiter, ArbitratedTerms, Parties, Standing, TimeoutBeneficiary};
use tradepost_protocol::escrow::controller::{self, Unlock};
use tradepost_protocol::escrow::settlement::{Division, Settlement, SettlementError, Submitter};
use tradepost_protocol::escrow::shape::{EscrowMismatch, VerifiedEscrow};
use tradepost_protocol::intent::queue::{SubmitAnswer, TxStatus};
use tradepost_protocol::message::{BalanceId, BindingId};
use tradepost_protocol::network_id::NetworkId;
use tradepost_protocol::stellar::entry::{AccountState, BalanceState, Entry, TrustlineState};
use tradepost_protocol::stellar::ledger_key::Key;
use tradepost_protocol::stellar::result::ResultView;
use tradepost_protocol::stellar::transaction::{Bounds, Envelope, Unsigned};
use tradepost_protocol::stellar::{Memo, Operation, operation};
use tradepost_protocol::time::Timestamp;

use crate::world::WorldLedger;

/// Seconds between closes.
const CLOSE_SECS: u64 = 5;
/// From the funding to T.
const ESCROW_SECS: u64 = 3_600;
/// Claims before T end so much earlier.
const MARGIN: Duration = Duration::from_secs(60);
/// A funding must be in one of so many ledgers.
const FUNDING_LEDGERS: u32 = 3;
/// What everyone has at first.
const COINS: Stroops = Stroops::whole(1_000);

/// What the ledger made of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It took effect.
    Done,
    /// It was included and failed, with the ledger's word for it.
    Failed(String),
    /// It was never included, with the ledger's word for it.
    Refused(String),
}

/// An escrow that stands.
#[derive(Debug, Clone)]
pub struct Escrow {
    /// Its terms.
    pub terms: ArbitratedTerms,
    /// Its balance.
    pub balance: BalanceId,
    /// Its controller.
    pub controller: AccountId,
    /// The funding's sequence number.
    pub sequence: i64,
    /// What gives the controller back.
    pub unlock: Unlock,
}

/// The cast, with its ledger.
#[derive(Debug)]
pub struct Stage {
    ledger: WorldLedger,
    seconds: u64,
    /// The consumer's account.
    pub consumer: SigningKey,
    /// Signs for the consumer in this trade.
    pub consumer_key: SigningKey,
    /// The account that is paid.
    pub recipient: SigningKey,
    /// Signs for the provider.
    pub provider_key: SigningKey,
    /// The account from which the provider settles.
    pub submitter: SigningKey,
    /// The arbiters' keys.
    pub arbiters: Vec<SigningKey>,
    /// Issues the asset where it isn't the native coin.
    pub issuer: SigningKey,
    asset: Asset,
    bindings: u8,
}

fn secret(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

impl Stage {
    /// Everyone with an account and coins; with an issued asset where `issued`, for which all have trustlines.
    pub fn new(arbiters: usize, issued: bool) -> Self {
        let seconds = 1_800_000_000;
        let issuer = secret(0x15);
        let asset = if issued {
            Asset::issued("HOUR", AccountId::of(&issuer)).expect("a code of four letters")
        } else {
            Asset::Native
        };
        let mut stage = Self {
            ledger: WorldLedger::new(seconds),
            seconds,
            consumer: secret(1),
            consumer_key: secret(2),
            recipient: secret(3),
            provider_key: secret(4),
            submitter: secret(5),
            arbiters: (0..arbiters).map(|i| secret(0x20 + i as u8)).collect(),
            issuer: issuer.clone(),
            asset: asset.clone(),
            bindings: 0,
        };
        let holders = [stage.consumer.clone(), stage.recipient.clone(), stage.submitter.clone()];
        let others: Vec<SigningKey> = (0..arbiters).map(payee).chain([issuer.clone()]).collect();
        for key in holders.iter().chain(&others) {
            stage.ledger.submit_from_root(vec![operation::create_account(AccountId::of(key), COINS)]);
            stage.close();
        }
        if issued {
            let trust = operation::change_trust(&asset, Stroops::MAX).expect("an issued asset");
            for key in &holders {
                assert_eq!(stage.run(key, vec![trust.clone()]), Verdict::Done);
            }
            let issue = operation::pay(AccountId::of(&stage.consumer), &asset, COINS);
            assert_eq!(stage.run(&issuer, vec![issue]), Verdict::Done);
        }
        stage
    }

    /// The network.
    pub fn network(&self) -> NetworkId {
        self.ledger.network()
    }

    /// What is locked.
    pub fn asset(&self) -> Asset {
        self.asset.clone()
    }

    /// Closes a ledger.
    pub fn close(&mut self) {
        self.seconds += CLOSE_SECS;
        self.ledger.close(self.seconds);
    }

    /// Closes a ledger at this moment.
    pub fn close_at(&mut self, at: Timestamp) {
        self.seconds = at.secs();
        self.ledger.close(self.seconds);
    }

    /// An account as it stands.
    pub fn account(&mut self, id: AccountId) -> Option<AccountState> {
        self.ledger.account(id)
    }

    /// A balance as it stands.
    pub fn balance(&mut self, id: BalanceId) -> Option<BalanceState> {
        self.ledger.balance(id)
    }

    /// An account's trustline, where the asset needs one and it is there.
    pub fn line(&mut self, account: AccountId) -> Option<TrustlineState> {
        if self.asset.is_native() {
            return None;
        }
        let key = Key::Trustline(account, self.asset.clone());
        match self.ledger.read(&[key]).1.pop() {
            Some(Entry::Trustline(line)) => Some(line),
            _ => None,
        }
    }

    /// What an account holds of the asset, in stroops; nothing where it can't hold it.
    pub fn holds(&mut self, account: &SigningKey) -> i64 {
        let id = AccountId::of(account);
        match self.asset {
            Asset::Native => self.account(id).map_or(0, |state| state.balance.get()),
            Asset::Issued { .. } => self.line(id).map_or(0, |line| line.balance.get()),
        }
    }

    /// What an account has paid in fees.
    pub fn fees(&self, account: &SigningKey) -> i64 {
        self.ledger.fees(AccountId::of(account))
    }

    /// A transaction of this account's with its next sequence number and the least fee, unsigned.
    pub fn transaction(&mut self, account: &SigningKey, operations: Vec<Operation>) -> Unsigned {
        let source = AccountId::of(account);
        let sequence = self.account(source).expect("the account").sequence + 1;
        let bounds = Bounds::until(Timestamp::from_secs(self.seconds + 60));
        Unsigned { source, sequence, fee: 100 * operations.len() as u32, bounds, memo: Memo::None, operations }
    }

    /// Signs, submits and closes.
    pub fn run(&mut self, account: &SigningKey, operations: Vec<Operation>) -> Verdict {
        self.run_with(account, operations, &[])
    }

    /// As [`Stage::run`], with the signatures of others besides the account's own.
    pub fn run_with(&mut self, account: &SigningKey, operations: Vec<Operation>, others: &[&SigningKey]) -> Verdict {
        let transaction = self.transaction(account, operations);
        let keys: Vec<&SigningKey> = [account].into_iter().chain(others.iter().copied()).collect();
        let envelope = transaction.sign(&keys, &self.network()).expect("a transaction within XDR's bounds");
        self.submit(&envelope)
    }

    /// Submits an envelope and closes the ledger.
    pub fn submit(&mut self, envelope: &Envelope) -> Verdict {
        let word = |result: &[u8]| {
            let view = ResultView::read(result).expect("a result");
            view.failure.map_or(view.code.word.to_owned(), |failure| failure.word)
        };
        if let SubmitAnswer::Refused { result } = self.ledger.submit(envelope.bytes()) {
            return Verdict::Refused(word(&result));
        }
        self.close();
        match self.ledger.status(envelope.hash()).0 {
            TxStatus::Success { .. } => Verdict::Done,
            TxStatus::Failed { result, .. } => Verdict::Failed(word(&result)),
            TxStatus::NotFound { .. } => Verdict::Refused("dropped".into()),
        }
    }

    /// The terms of the next binding: 20 whole units, a fee of 1 for every arbiter.
    pub fn terms(&mut self, beneficiary: TimeoutBeneficiary) -> ArbitratedTerms {
        self.bindings += 1;
        let arbiter = |(i, key): (usize, &SigningKey)| Arbiter {
            key: ServingKey::of(key),
            payee: AccountId::of(&payee(i)),
            fee: Stroops::whole(1),
        };
        let parties = Parties {
            consumer: AccountId::of(&self.consumer),
            consumer_key: ServingKey::of(&self.consumer_key),
            recipient: AccountId::of(&self.recipient),
            provider_key: ServingKey::of(&self.provider_key),
            arbiters: self.arbiters.iter().enumerate().map(arbiter).collect(),
            beneficiary,
        };
        let binding = BindingId::from_bytes([0x80 + self.bindings; 32]);
        let deadline = Timestamp::from_secs(self.seconds + ESCROW_SECS);
        ArbitratedTerms::new(binding, parties, self.asset.clone(), Stroops::whole(20), deadline)
            .expect("terms within their rules")
    }

    /// The number below which the next funding's ledger has to be.
    pub fn before_ledger(&mut self) -> u32 {
        self.ledger.point().sequence + FUNDING_LEDGERS
    }

    /// Funds terms as the consumer's node does, checks the envelope as the provider's does, and what the ledger shows.
    pub fn fund(&mut self, terms: ArbitratedTerms) -> Escrow {
        let (consumer, network, params) = (self.consumer.clone(), self.network(), self.ledger.params());
        let before_ledger = self.before_ledger();
        let sequence = self.account(AccountId::of(&consumer)).expect("the consumer").sequence + 1;
        let key = controller::key(&consumer, &network, sequence);
        let controller = AccountId::of(&key);
        let operations = terms.fund_operations(controller, before_ledger, &network, &params).expect("operations");
        let fund_by = Timestamp::from_secs(self.seconds + 60);
        let funding =
            Unsigned { bounds: terms.fund_bounds(fund_by, before_ledger), ..self.transaction(&consumer, operations) };
        let envelope = funding.sign(&[&consumer, &key], &network).expect("a transaction within XDR's bounds");
        let seen = terms.check_funding(&network, envelope.bytes(), fund_by, &params).expect("as agreed");
        assert_eq!(self.submit(&envelope), Verdict::Done);
        let unlock = terms.controller(controller).unlock(controller::start(before_ledger));
        let escrow = Escrow { balance: seen.balance, controller, sequence, unlock, terms };
        self.verify(&escrow).expect("what stands is what was agreed");
        escrow
    }

    /// Funds the next binding whose timeout beneficiary is the consumer.
    pub fn funded(&mut self) -> Escrow {
        let terms = self.terms(TimeoutBeneficiary::Consumer);
        self.fund(terms)
    }

    /// Compares what stands with the terms.
    ///
    /// # Errors
    /// The first difference.
    pub fn verify(&mut self, escrow: &Escrow) -> Result<VerifiedEscrow, EscrowMismatch> {
        let balance = self.balance(escrow.balance).expect("the balance");
        let account = self.account(escrow.controller);
        let line = self.line(escrow.controller);
        let standing = Standing { balance: &balance, controller: account.as_ref(), line: line.as_ref() };
        escrow.terms.verify(&standing, &self.network())
    }

    /// The version of a settlement that this side submits now: the provider from its submitter account, the consumer from
    /// its own.
    ///
    /// # Errors
    /// As [`Settlement::new`].
    pub fn settlement(
        &mut self,
        escrow: &Escrow,
        division: &Division,
        side: Side,
    ) -> Result<Settlement, SettlementError> {
        let key = self.submitter_of(side);
        let account = AccountId::of(&key);
        let sequence = self.account(account).expect("the submitter").sequence + 1;
        let by = Submitter { side, account, sequence };
        let params = self.ledger.params();
        Settlement::new(&escrow.terms, (escrow.controller, escrow.balance), division, by, MARGIN, &params)
    }

    fn submitter_of(&self, side: Side) -> SigningKey {
        match side {
            Side::Provider => self.submitter.clone(),
            Side::Consumer => self.consumer.clone(),
        }
    }

    /// Signs a settlement by these, trims, and submits it.
    ///
    /// # Errors
    /// As [`Settlement::assemble`].
    pub fn settle(
        &mut self,
        settlement: &Settlement,
        side: Side,
        keys: &[&SigningKey],
    ) -> Result<Verdict, SettlementError> {
        let network = self.network();
        let mut signed = Vec::new();
        for key in keys {
            signed.push((ServingKey::of(key), settlement.sign(key, &network)?));
        }
        let envelope = settlement.assemble(&self.submitter_of(side), &signed, &network)?;
        Ok(self.submit(&envelope))
    }

    /// Submits the UNLOCK, its fee paid by this account.
    pub fn unlock(&mut self, unlock: &Unlock, payer: &SigningKey) -> Verdict {
        let network = self.network();
        let inner = unlock.envelope(&network).expect("one operation");
        let bumped = inner.bump_fee(200, payer, &network).expect("a plain transaction");
        self.submit(&bumped)
    }

    /// The controller's key, as its funder derives it.
    pub fn controller_key(&self, escrow: &Escrow) -> SigningKey {
        controller::key(&self.consumer, &self.network(), escrow.sequence)
    }
}

/// The account that an arbiter's fee goes to.
pub fn payee(arbiter: usize) -> SigningKey {
    secret(0x40 + arbiter as u8)
}
