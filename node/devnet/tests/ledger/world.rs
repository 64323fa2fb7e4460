//! A ledger in which tests build, sign and execute transactions. Hashes come
//! from the XDR crate's own helper, so that they check the ledger's.

use std::path::Path;

use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest, Sha256};
use stellar_xdr::*;
use tradepost_devnet::{Admission, Ledger, LedgerClosed};

/// One XLM, in stroops.
pub const XLM: i64 = 10_000_000;
/// One reserve, in stroops.
pub const RESERVE: i64 = 5_000_000;
/// The name of a test's network.
pub const PASSPHRASE: &str = "Test network ; of a test";
/// When the network of a test begins, in seconds since 1970.
pub const START: u64 = 1_700_000_000;

/// A key pair, and the account of the same key.
#[derive(Clone)]
pub struct Key(SigningKey);

impl Key {
    /// Makes a key from a name.
    pub fn of(name: &str) -> Self {
        Self(SigningKey::from_bytes(&sha256(name.as_bytes())))
    }

    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    pub fn bytes(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    pub fn id(&self) -> AccountId {
        AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(self.bytes())))
    }

    pub fn muxed(&self) -> MuxedAccount {
        MuxedAccount::Ed25519(Uint256(self.bytes()))
    }

    pub fn signer(&self) -> SignerKey {
        SignerKey::Ed25519(Uint256(self.bytes()))
    }

    pub fn asset(&self, code: &str) -> Asset {
        let mut padded = [0; 4];
        padded[..code.len()].copy_from_slice(code.as_bytes());
        Asset::CreditAlphanum4(AlphaNum4 { asset_code: AssetCode4(padded), issuer: self.id() })
    }

    pub fn sign(&self, message: &[u8]) -> DecoratedSignature {
        let public = self.bytes();
        DecoratedSignature {
            hint: SignatureHint(public[28..].try_into().unwrap()),
            signature: Signature(self.0.sign(message).to_bytes().try_into().unwrap()),
        }
    }
}

pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// A decorated preimage.
pub fn preimage(preimage: &[u8]) -> DecoratedSignature {
    DecoratedSignature {
        hint: SignatureHint(sha256(preimage)[28..].try_into().unwrap()),
        signature: Signature(preimage.to_vec().try_into().unwrap()),
    }
}

/// A transaction in the making.
#[derive(Clone)]
pub struct Tx {
    pub tx: Transaction,
    extra: Vec<DecoratedSignature>,
    operations: Vec<Operation>,
    fee: Option<u32>,
}

impl Tx {
    pub fn new(source: &Key, sequence: i64) -> Self {
        Self {
            tx: Transaction {
                source_account: source.muxed(),
                fee: 0,
                seq_num: SequenceNumber(sequence),
                cond: Preconditions::None,
                memo: Memo::None,
                operations: VecM::default(),
                ext: TransactionExt::V0,
            },
            extra: Vec::new(),
            operations: Vec::new(),
            fee: None,
        }
    }

    /// Adds an operation of the transaction's source.
    pub fn op(mut self, body: OperationBody) -> Self {
        self.operations.push(Operation { source_account: None, body });
        self
    }

    /// Adds an operation of another source.
    pub fn op_by(mut self, source: &Key, body: OperationBody) -> Self {
        self.operations.push(Operation { source_account: Some(source.muxed()), body });
        self
    }

    /// Bids a fee; without, it is the least.
    pub fn fee(mut self, fee: u32) -> Self {
        self.fee = Some(fee);
        self
    }

    /// Sets a memo, so that the hash differs.
    pub fn memo(mut self, id: u64) -> Self {
        self.tx.memo = Memo::Id(id);
        self
    }

    pub fn times(self, min: u64, max: u64) -> Self {
        self.v2(|v2| {
            v2.time_bounds = Some(TimeBounds { min_time: TimePoint(min), max_time: TimePoint(max) });
        })
    }

    pub fn v2(mut self, set: impl FnOnce(&mut PreconditionsV2)) -> Self {
        let mut v2 = match self.tx.cond {
            Preconditions::V2(v2) => v2,
            _ => PreconditionsV2 {
                time_bounds: None,
                ledger_bounds: None,
                min_seq_num: None,
                min_seq_age: Duration(0),
                min_seq_ledger_gap: 0,
                extra_signers: VecM::default(),
            },
        };
        set(&mut v2);
        self.tx.cond = Preconditions::V2(v2);
        self
    }

    /// Adds a signature that no key of [`Tx::sign`] makes.
    pub fn with(mut self, signature: DecoratedSignature) -> Self {
        self.extra.push(signature);
        self
    }

    /// The transaction without signatures.
    pub fn build(&self) -> Transaction {
        let mut tx = self.tx.clone();
        let least = 100 * u32::try_from(self.operations.len().max(1)).unwrap();
        tx.fee = self.fee.unwrap_or(least);
        tx.operations = self.operations.clone().try_into().unwrap();
        tx
    }

    pub fn hash(&self, world: &World) -> [u8; 32] {
        self.build().hash(world.ledger.network_id()).unwrap()
    }

    pub fn sign(&self, world: &World, keys: &[&Key]) -> TransactionEnvelope {
        let tx = self.build();
        let hash = tx.hash(world.ledger.network_id()).unwrap();
        let mut signatures: Vec<_> = keys.iter().map(|key| key.sign(&hash)).collect();
        signatures.extend(self.extra.clone());
        TransactionEnvelope::Tx(TransactionV1Envelope { tx, signatures: signatures.try_into().unwrap() })
    }
}

/// Wraps a signed transaction in a fee bump.
pub fn bump(world: &World, source: &Key, fee: i64, inner: &TransactionEnvelope, keys: &[&Key]) -> TransactionEnvelope {
    let TransactionEnvelope::Tx(inner) = inner.clone() else {
        panic!("only plain transactions can be wrapped");
    };
    let tx = FeeBumpTransaction {
        fee_source: source.muxed(),
        fee,
        inner_tx: FeeBumpTransactionInnerTx::Tx(inner),
        ext: FeeBumpTransactionExt::V0,
    };
    let hash = tx.hash(world.ledger.network_id()).unwrap();
    let signatures: Vec<_> = keys.iter().map(|key| key.sign(&hash)).collect();
    TransactionEnvelope::TxFeeBump(FeeBumpTransactionEnvelope { tx, signatures: signatures.try_into().unwrap() })
}

/// A network with its root's key.
pub struct World {
    pub ledger: Ledger,
    pub root: Key,
}

impl World {
    pub fn new() -> Self {
        Self::of_size(1_000)
    }

    /// A network whose ledgers take so many operations.
    pub fn of_size(operations: u32) -> Self {
        Self::of(Ledger::genesis_of_size(PASSPHRASE, START, operations))
    }

    /// The network that a directory keeps, a new one where it is empty.
    pub fn kept_in(dir: &Path) -> Self {
        Self::of(Ledger::open(dir, Some(PASSPHRASE), START, None).unwrap())
    }

    fn of(ledger: Ledger) -> Self {
        let root = Key::from_seed(ledger.root_secret());
        Self { ledger, root }
    }

    /// Makes an account.
    pub fn account(&mut self, name: &str, balance: i64) -> Key {
        let key = Key::of(name);
        self.create(&key, balance);
        key
    }

    pub fn create(&mut self, key: &Key, balance: i64) {
        let root = self.root.clone();
        let done = self.run(self.next(&root).op(create_account(key, balance)), &[&root]);
        assert_eq!(done, ok(1), "{done:?}");
    }

    /// A transaction with the source's next sequence number.
    pub fn next(&self, source: &Key) -> Tx {
        Tx::new(source, self.sequence(source) + 1)
    }

    pub fn submit(&mut self, envelope: &TransactionEnvelope) -> Admission {
        let xdr = envelope.to_xdr(Limits::none()).unwrap();
        let submitted = self.ledger.submit(&xdr).unwrap();
        let expected = envelope.hash(self.ledger.network_id()).unwrap();
        assert_eq!(submitted.hash, expected);
        submitted.admission
    }

    /// Submits what must be admitted.
    pub fn admit(&mut self, envelope: &TransactionEnvelope) {
        assert_eq!(self.submit(envelope), Admission::Pending);
    }

    /// Closes a ledger five seconds after the last.
    pub fn close(&mut self) -> LedgerClosed {
        self.close_at(self.ledger.close_time() + 5)
    }

    pub fn close_at(&mut self, time: u64) -> LedgerClosed {
        let closed = self.ledger.close(time).unwrap();
        assert!(self.ledger.totals().conserved());
        closed
    }

    /// Executes a transaction in a ledger of its own.
    pub fn run(&mut self, tx: Tx, keys: &[&Key]) -> Outcome {
        let envelope = tx.sign(self, keys);
        self.run_envelope(&envelope)
    }

    pub fn run_envelope(&mut self, envelope: &TransactionEnvelope) -> Outcome {
        match self.submit(envelope) {
            Admission::Pending => {}
            Admission::Error(result) => return Outcome::Refused(result.result),
            other => panic!("{other:?}"),
        }
        let closed = self.close();
        let hash = envelope.hash(self.ledger.network_id()).unwrap();
        match closed.transactions.iter().find(|r| r.hash == hash) {
            Some(record) => Outcome::Included(record.result.result.clone()),
            None => Outcome::Dropped,
        }
    }

    /// Executes one operation of an account.
    pub fn one(&mut self, source: &Key, body: OperationBody) -> OperationResult {
        let outcome = self.run(self.next(source).op(body), &[source]);
        outcome.operations()[0].clone()
    }

    /// Executes one operation that must succeed.
    pub fn must(&mut self, source: &Key, body: OperationBody) {
        let outcome = self.run(self.next(source).op(body), &[source]);
        assert!(matches!(outcome, Outcome::Included(TransactionResultResult::TxSuccess(_))), "{outcome:?}");
    }

    pub fn entry(&self, key: &Key) -> Option<AccountEntry> {
        match &self.ledger.entry(&account_key(key))?.data {
            LedgerEntryData::Account(account) => Some(account.clone()),
            _ => unreachable!(),
        }
    }

    pub fn balance(&self, key: &Key) -> i64 {
        self.entry(key).unwrap().balance
    }

    pub fn sequence(&self, key: &Key) -> i64 {
        self.entry(key).unwrap().seq_num.0
    }

    pub fn trustline(&self, key: &Key, asset: &Asset) -> Option<TrustLineEntry> {
        match &self.ledger.entry(&line_key(key, asset))?.data {
            LedgerEntryData::Trustline(line) => Some(line.clone()),
            _ => unreachable!(),
        }
    }

    pub fn has_data(&self, key: &Key, name: &str) -> bool {
        self.ledger.entry(&data_key(key, name)).is_some()
    }

    /// Returns a claimable balance with its sponsor.
    pub fn claimable(&self, id: &ClaimableBalanceId) -> Option<(ClaimableBalanceEntry, LedgerEntryExt)> {
        let entry = self.ledger.entry(&balance_key(id))?;
        match &entry.data {
            LedgerEntryData::ClaimableBalance(b) => Some((b.clone(), entry.ext.clone())),
            _ => unreachable!(),
        }
    }

    /// Returns who holds the reserves of an entry in its owner's place.
    pub fn sponsor(&self, key: &LedgerKey) -> Option<AccountId> {
        match &self.ledger.entry(key)?.ext {
            LedgerEntryExt::V0 => None,
            LedgerEntryExt::V1(v1) => v1.sponsoring_id.0.clone(),
        }
    }

    /// Returns (numSubEntries, numSponsored, numSponsoring).
    pub fn counters(&self, key: &Key) -> (u32, u32, u32) {
        let entry = self.entry(key).unwrap();
        match &entry.ext {
            AccountEntryExt::V1(AccountEntryExtensionV1 { ext: AccountEntryExtensionV1Ext::V2(v2), .. }) => {
                (entry.num_sub_entries, v2.num_sponsored, v2.num_sponsoring)
            }
            _ => (entry.num_sub_entries, 0, 0),
        }
    }

    /// Gives away coin until exactly so much is left.
    pub fn drain_to(&mut self, key: &Key, left: i64) {
        let over = self.balance(key) - left - 100;
        let root = self.root.clone();
        self.must(key, pay(&root, Asset::Native, over));
        assert_eq!(self.balance(key), left);
    }
}

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It wasn't admitted.
    Refused(TransactionResultResult),
    /// It was admitted, and left out of the ledger.
    Dropped,
    /// A ledger included it.
    Included(TransactionResultResult),
}

impl Outcome {
    /// The results of its operations.
    pub fn operations(&self) -> Vec<OperationResult> {
        match self {
            Self::Refused(TransactionResultResult::TxFailed(results))
            | Self::Included(
                TransactionResultResult::TxFailed(results) | TransactionResultResult::TxSuccess(results),
            ) => results.to_vec(),
            other => panic!("no operation results in {other:?}"),
        }
    }

    pub fn succeeded(&self) -> bool {
        matches!(self, Self::Included(TransactionResultResult::TxSuccess(_)))
    }
}

/// Success of so many CreateAccount operations.
pub fn ok(count: usize) -> Outcome {
    let result = OperationResult::OpInner(OperationResultTr::CreateAccount(CreateAccountResult::Success));
    Outcome::Included(TransactionResultResult::TxSuccess(vec![result; count].try_into().unwrap()))
}

pub fn create_account(destination: &Key, balance: i64) -> OperationBody {
    OperationBody::CreateAccount(CreateAccountOp { destination: destination.id(), starting_balance: balance })
}

pub fn pay(destination: &Key, asset: Asset, amount: i64) -> OperationBody {
    OperationBody::Payment(PaymentOp { destination: destination.muxed(), asset, amount })
}

pub fn trust(asset: &Asset, limit: i64) -> OperationBody {
    OperationBody::ChangeTrust(ChangeTrustOp {
        line: match asset.clone() {
            Asset::Native => ChangeTrustAsset::Native,
            Asset::CreditAlphanum4(a) => ChangeTrustAsset::CreditAlphanum4(a),
            Asset::CreditAlphanum12(a) => ChangeTrustAsset::CreditAlphanum12(a),
        },
        limit,
    })
}

/// The pool of native coin and an issued asset.
pub fn pool_of(asset: &Asset) -> LiquidityPoolParameters {
    LiquidityPoolParameters::LiquidityPoolConstantProduct(LiquidityPoolConstantProductParameters {
        asset_a: Asset::Native,
        asset_b: asset.clone(),
        fee: 30,
    })
}

pub fn trust_pool(pool: LiquidityPoolParameters, limit: i64) -> OperationBody {
    OperationBody::ChangeTrust(ChangeTrustOp { line: ChangeTrustAsset::PoolShare(pool), limit })
}

pub fn data(name: &str, value: Option<&[u8]>) -> OperationBody {
    OperationBody::ManageData(ManageDataOp {
        data_name: String64(name.try_into().unwrap()),
        data_value: value.map(|v| DataValue(v.to_vec().try_into().unwrap())),
    })
}

pub fn bump_to(sequence: i64) -> OperationBody {
    OperationBody::BumpSequence(BumpSequenceOp { bump_to: SequenceNumber(sequence) })
}

pub fn merge(destination: &Key) -> OperationBody {
    OperationBody::AccountMerge(destination.muxed())
}

pub fn options(set: impl FnOnce(&mut SetOptionsOp)) -> OperationBody {
    let mut op = SetOptionsOp {
        inflation_dest: None,
        clear_flags: None,
        set_flags: None,
        master_weight: None,
        low_threshold: None,
        med_threshold: None,
        high_threshold: None,
        home_domain: None,
        signer: None,
    };
    set(&mut op);
    OperationBody::SetOptions(op)
}

pub fn add_signer(key: SignerKey, weight: u32) -> OperationBody {
    options(|o| o.signer = Some(Signer { key, weight }))
}

pub fn thresholds(master: u32, all: u32) -> OperationBody {
    options(|o| {
        o.master_weight = Some(master);
        o.low_threshold = Some(all);
        o.med_threshold = Some(all);
        o.high_threshold = Some(all);
    })
}

pub fn claimant(key: &Key, predicate: ClaimPredicate) -> Claimant {
    Claimant::ClaimantTypeV0(ClaimantV0 { destination: key.id(), predicate })
}

pub fn create_balance(asset: Asset, amount: i64, claimants: Vec<Claimant>) -> OperationBody {
    OperationBody::CreateClaimableBalance(CreateClaimableBalanceOp {
        asset,
        amount,
        claimants: claimants.try_into().unwrap(),
    })
}

pub fn claim(id: &ClaimableBalanceId) -> OperationBody {
    OperationBody::ClaimClaimableBalance(ClaimClaimableBalanceOp { balance_id: id.clone() })
}

pub fn set_trust_flags(trustor: &Key, asset: &Asset, clear: u32, set: u32) -> OperationBody {
    OperationBody::SetTrustLineFlags(SetTrustLineFlagsOp {
        trustor: trustor.id(),
        asset: asset.clone(),
        clear_flags: clear,
        set_flags: set,
    })
}

pub fn claw_back(from: &Key, asset: &Asset, amount: i64) -> OperationBody {
    OperationBody::Clawback(ClawbackOp { asset: asset.clone(), from: from.muxed(), amount })
}

pub fn claw_back_balance(id: &ClaimableBalanceId) -> OperationBody {
    OperationBody::ClawbackClaimableBalance(ClawbackClaimableBalanceOp { balance_id: id.clone() })
}

pub fn begin(sponsored: &Key) -> OperationBody {
    OperationBody::BeginSponsoringFutureReserves(BeginSponsoringFutureReservesOp { sponsored_id: sponsored.id() })
}

pub fn end() -> OperationBody {
    OperationBody::EndSponsoringFutureReserves
}

pub fn revoke(key: LedgerKey) -> OperationBody {
    OperationBody::RevokeSponsorship(RevokeSponsorshipOp::LedgerEntry(key))
}

pub fn revoke_signer(account: &Key, key: SignerKey) -> OperationBody {
    OperationBody::RevokeSponsorship(RevokeSponsorshipOp::Signer(RevokeSponsorshipOpSigner {
        account_id: account.id(),
        signer_key: key,
    }))
}

pub fn account_key(key: &Key) -> LedgerKey {
    LedgerKey::Account(LedgerKeyAccount { account_id: key.id() })
}

pub fn line_key(key: &Key, asset: &Asset) -> LedgerKey {
    let asset = match asset.clone() {
        Asset::Native => TrustLineAsset::Native,
        Asset::CreditAlphanum4(a) => TrustLineAsset::CreditAlphanum4(a),
        Asset::CreditAlphanum12(a) => TrustLineAsset::CreditAlphanum12(a),
    };
    LedgerKey::Trustline(LedgerKeyTrustLine { account_id: key.id(), asset })
}

pub fn data_key(key: &Key, name: &str) -> LedgerKey {
    LedgerKey::Data(LedgerKeyData { account_id: key.id(), data_name: String64(name.try_into().unwrap()) })
}

pub fn balance_key(id: &ClaimableBalanceId) -> LedgerKey {
    LedgerKey::ClaimableBalance(LedgerKeyClaimableBalance { balance_id: id.clone() })
}

pub fn before(time: u64) -> ClaimPredicate {
    ClaimPredicate::BeforeAbsoluteTime(i64::try_from(time).unwrap())
}

pub fn not(predicate: ClaimPredicate) -> ClaimPredicate {
    ClaimPredicate::Not(Some(Box::new(predicate)))
}

/// The id that the balance of operation `index` gets.
pub fn balance_id(source: &Key, sequence: i64, index: u32) -> ClaimableBalanceId {
    let preimage = HashIdPreimage::OpId(HashIdPreimageOperationId {
        source_account: source.id(),
        seq_num: SequenceNumber(sequence),
        op_num: index,
    });
    let bytes = preimage.to_xdr(Limits::none()).unwrap();
    ClaimableBalanceId::ClaimableBalanceIdTypeV0(Hash(sha256(&bytes)))
}
