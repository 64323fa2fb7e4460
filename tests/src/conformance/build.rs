//! Our builder: the product's code where the product sends such a thing, the types of `stellar-xdr` elsewhere.
//!
//! [`Tally`] says how much was whose. The devnet reads every envelope as well, with its own code, and has to find the
//! same hash and nothing malformed.

use core::fmt;
use core::str::FromStr;
use std::collections::BTreeMap;

use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest, Sha256};
use stellar_strkey::ed25519::PrivateKey;
use stellar_xdr as xdr;
use stellar_xdr::{TransactionResultResult, WriteXdr};
use tradepost_devnet::{Admission, Ledger};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::network_id::NetworkId;
use tradepost_protocol::stellar::entry::BalanceClaimant;
use tradepost_protocol::stellar::predicate::Predicate as OurPredicate;
use tradepost_protocol::stellar::transaction::{Bounds, Envelope, Unsigned};
use tradepost_protocol::stellar::xdr::{asset as asset_xdr, read, to_base64, trustline_asset, write};
use tradepost_protocol::stellar::{balance_id, operation as product};
use tradepost_protocol::time::Timestamp;

use super::description::{
    Body, Built, BuiltBump, Bump, Bytes, Claimant, Decimal, Description, LedgerBounds, Line, Memo, Operation, Options,
    Preconditions, Predicate, Signer, Sponsored,
};

/// Why a description can't be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("description {number}: {what}")]
pub struct BuildError {
    number: u64,
    what: String,
}

/// How much was built by whose code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Envelopes.
    pub envelopes: usize,
    /// Those that the product's code built, hashed and signed as a whole.
    pub envelopes_by_product: usize,
    /// Operations.
    pub operations: usize,
    /// Those that the product's code built.
    pub operations_by_product: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { envelopes, envelopes_by_product, operations, operations_by_product } = self;
        write!(
            f,
            "tradepost-protocol built {operations_by_product} of {operations} operations, and hashed and signed \
             {envelopes_by_product} of {envelopes} envelopes; the types of stellar-xdr built the rest"
        )
    }
}

/// Builds descriptions one after the other.
#[derive(Debug, Default)]
pub struct Builder {
    tally: Tally,
    ledgers: BTreeMap<String, Ledger>,
}

impl Builder {
    /// Builds an envelope and lets the devnet read it.
    ///
    /// # Errors
    /// [`BuildError`] where a parameter isn't one, or where the devnet finds another hash or something malformed.
    pub fn build(&mut self, description: &Description) -> Result<Built, BuildError> {
        let number = description.number;
        self.try_build(description).map_err(|Wrong(what)| BuildError { number, what })
    }

    /// How much was built so far, by whose code.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    fn try_build(&mut self, description: &Description) -> Result<Built, Wrong> {
        let network = NetworkId::of_passphrase(&description.network);
        let (bytes, by_product) = self.envelope(description, &network)?;
        self.tally.envelopes += 1;
        self.tally.envelopes_by_product += usize::from(by_product);
        let built = describe(description.number, &bytes, &network)?;
        self.devnet_agrees(&description.network, &bytes, &built)?;
        Ok(built)
    }

    fn envelope(&mut self, description: &Description, network: &NetworkId) -> Result<(Vec<u8>, bool), Wrong> {
        let operations = self.operations(&description.operations)?;
        let by_product = unsigned(description, &operations)?;
        if let Some((unsigned, keys)) = by_product {
            let envelope = unsigned.sign(&keys.iter().collect::<Vec<_>>(), network)?;
            let Some(bump) = &description.bump else { return Ok((envelope.into_bytes(), true)) };
            if let Some(bytes) = bump_by_product(&envelope, bump, &operations, network)? {
                return Ok((bytes, true));
            }
            let xdr::TransactionEnvelope::Tx(inner) = read("transaction", envelope.bytes())? else {
                return Err(Wrong("a transaction that is none".into()));
            };
            return Ok((bump_by_xdr(inner, bump, network)?, false));
        }
        let tx = transaction(description, operations)?;
        let hash = tx.hash(*network.as_bytes())?;
        let inner = xdr::TransactionV1Envelope { tx, signatures: signatures(&description.signatures, &hash)? };
        let bytes = match &description.bump {
            Some(bump) => bump_by_xdr(inner, bump, network)?,
            None => write(&xdr::TransactionEnvelope::Tx(inner))?,
        };
        Ok((bytes, false))
    }

    fn operations(&mut self, operations: &[Operation]) -> Result<Vec<xdr::Operation>, Wrong> {
        let mut built = Vec::new();
        for operation in operations {
            let ours = by_product(&operation.body)?;
            self.tally.operations += 1;
            self.tally.operations_by_product += usize::from(ours.is_some());
            let operation_xdr = match ours {
                Some(ours) => ours,
                None => xdr::Operation { source_account: None, body: body(&operation.body)? },
            };
            built.push(match operation.source.as_deref() {
                None => operation_xdr,
                Some(source) => match source.parse() {
                    Ok(source) => product::by(source, operation_xdr),
                    Err(_) => xdr::Operation { source_account: Some(parse(source)?), ..operation_xdr },
                },
            });
        }
        Ok(built)
    }

    /// The devnet finds the same hash, and nothing that could never be valid.
    fn devnet_agrees(&mut self, passphrase: &str, envelope: &[u8], built: &Built) -> Result<(), Wrong> {
        let ledger =
            self.ledgers.entry(passphrase.to_owned()).or_insert_with(|| Ledger::genesis(passphrase, 1_700_000_000));
        let submitted = ledger.submit(envelope).map_err(Wrong::of)?;
        let outer = built.bump.as_ref().map_or(&built.hash, |bump| &bump.hash);
        if hex::encode(submitted.hash) != *outer {
            return Err(Wrong(format!("its hash is {outer}, and the devnet says {}", hex::encode(submitted.hash))));
        }
        use TransactionResultResult as R;
        match submitted.admission {
            // The accounts aren't there, and its time isn't now.
            Admission::Error(result) if matches!(result.result, R::TxNoAccount | R::TxTooEarly | R::TxTooLate) => {
                Ok(())
            }
            Admission::Error(result) if matches!(result.result, R::TxFeeBumpInnerFailed(_)) => Ok(()),
            other => Err(Wrong(format!("the devnet answers {other:?} where an account that isn't there was all"))),
        }
    }
}

/// What is wrong with a description.
#[derive(Debug)]
struct Wrong(String);

impl Wrong {
    fn of(error: impl fmt::Display) -> Self {
        Self(error.to_string())
    }
}

impl<E: core::error::Error> From<E> for Wrong {
    fn from(error: E) -> Self {
        Self::of(error)
    }
}

fn parse<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T, Wrong> {
    text.parse().map_err(|e| Wrong(format!("{text:?}: {e}")))
}

fn fixed<const N: usize>(bytes: &Bytes) -> Result<[u8; N], Wrong> {
    bytes.0.as_slice().try_into().map_err(|_| Wrong(format!("{bytes:?} has not {N} bytes")))
}

fn signing_key(seed: &str) -> Result<SigningKey, Wrong> {
    PrivateKey::from_string(seed).map(|key| SigningKey::from_bytes(&key.0)).map_err(|_| Wrong("not a seed".into()))
}

// What the product builds.

/// The transaction in the product's form, with its keys, where it has that form: bounded in time, of a plain source,
/// signed by keys.
fn unsigned(
    description: &Description,
    operations: &[xdr::Operation],
) -> Result<Option<(Unsigned, Vec<SigningKey>)>, Wrong> {
    let Some(bounds) = bounds(&description.preconditions) else { return Ok(None) };
    let Ok(source) = description.source.parse() else { return Ok(None) };
    let Some(keys) = only_keys(&description.signatures)? else { return Ok(None) };
    let unsigned = Unsigned {
        source,
        sequence: description.sequence.0,
        fee: fee(description),
        bounds,
        memo: memo(&description.memo)?,
        operations: operations.to_vec(),
    };
    Ok(Some((unsigned, keys)))
}

fn bounds(preconditions: &Preconditions) -> Option<Bounds> {
    let (time, before_ledger) = match preconditions {
        Preconditions::Time(time) => (time, None),
        Preconditions::General {
            time: Some(time),
            ledgers: Some(LedgerBounds { min: 0, max }),
            min_sequence: None,
            min_sequence_age: Decimal(0),
            min_sequence_ledger_gap: 0,
            extra_signers,
        } if extra_signers.is_empty() => (time, Some(*max)),
        _ => return None,
    };
    let moment = |secs: Decimal<u64>| Timestamp::from_secs(secs.0);
    Some(Bounds { from: moment(time.min), until: moment(time.max), before_ledger })
}

fn only_keys(signers: &[Signer]) -> Result<Option<Vec<SigningKey>>, Wrong> {
    let mut keys = Vec::new();
    for signer in signers {
        let Signer::Key { seed } = signer else { return Ok(None) };
        keys.push(signing_key(seed)?);
    }
    Ok(Some(keys))
}

/// The fee bump, where it has the product's form: paid for and signed by one key's account.
fn bump_by_product(
    inner: &Envelope,
    bump: &Bump,
    operations: &[xdr::Operation],
    network: &NetworkId,
) -> Result<Option<Vec<u8>>, Wrong> {
    let Some(keys) = only_keys(&bump.signatures)? else { return Ok(None) };
    let [key] = keys.as_slice() else { return Ok(None) };
    if bump.source.parse() != Ok(AccountId::of(key)) {
        return Ok(None);
    }
    Ok(Some(inner.bump_fee(bump_fee(bump, operations.len())?, key, network)?.into_bytes()))
}

/// The operation, where the product sends such a thing.
fn by_product(body: &Body) -> Result<Option<xdr::Operation>, Wrong> {
    Ok(match body {
        Body::CreateAccount { destination, starting_balance } => {
            Some(product::create_account(parse(destination)?, amount(*starting_balance)?))
        }
        Body::Payment { destination, asset, amount: paid } => match destination.parse() {
            Ok(to) => Some(product::pay(to, &parse(asset)?, amount(*paid)?)),
            Err(_) => None,
        },
        Body::CreateClaimableBalance { asset, amount: locked, claimants } => {
            let claimants = claimants.iter().map(claimant).collect::<Result<Vec<_>, _>>()?;
            Some(product::create_balance(&parse(asset)?, amount(*locked)?, &claimants)?)
        }
        Body::ClaimClaimableBalance { balance: id } => Some(product::claim(balance_id::from_xdr(&balance(id)?))),
        Body::BumpSequence { bump_to } => Some(product::bump_sequence(bump_to.0)),
        Body::ChangeTrust { line: Line::Asset { asset }, limit } => {
            Some(product::change_trust(&parse(asset)?, amount(*limit)?)?)
        }
        Body::AccountMerge { destination } => destination.parse().ok().map(product::merge),
        Body::SetOptions(options) => options_by_product(options)?,
        _ => None,
    })
}

/// The options, where they are what makes or ends a controller: one signer, all of its power, or the master key's weight.
fn options_by_product(options: &Options) -> Result<Option<xdr::Operation>, Wrong> {
    if let Some(signer) = &options.signer {
        let (key, weight) = (parse(&signer.key)?, u8::try_from(signer.weight)?);
        let all = Some(signer.weight);
        let powers = Options {
            master_weight: Some(0),
            low_threshold: all,
            medium_threshold: all,
            high_threshold: all,
            ..Options::default()
        };
        let rest = Options { signer: None, ..options.clone() };
        return Ok(if rest == Options::default() {
            Some(product::add_signer(key, weight))
        } else if rest == powers {
            Some(product::hand_over(key, weight))
        } else {
            None
        });
    }
    let alone = Options { master_weight: options.master_weight, ..Options::default() };
    match options.master_weight {
        Some(weight) if *options == alone => Ok(Some(product::set_master_weight(u8::try_from(weight)?))),
        _ => Ok(None),
    }
}

fn amount(stroops: Decimal<i64>) -> Result<Stroops, Wrong> {
    Stroops::new(stroops.0).ok_or_else(|| Wrong("a negative amount".into()))
}

fn claimant(claimant: &Claimant) -> Result<BalanceClaimant, Wrong> {
    let moment = |time: &Decimal<i64>| u64::try_from(time.0).map(Timestamp::from_secs);
    let predicate = match &claimant.predicate {
        Predicate::Unconditional => OurPredicate::Always,
        Predicate::BeforeAbsoluteTime { time } => OurPredicate::Before(moment(time)?),
        Predicate::Not { of } => match of.as_ref() {
            Predicate::Unconditional => OurPredicate::Never,
            Predicate::BeforeAbsoluteTime { time } => OurPredicate::From(moment(time)?),
            _ => OurPredicate::Other(predicate(&claimant.predicate)?),
        },
        other => OurPredicate::Other(predicate(other)?),
    };
    Ok(BalanceClaimant { account: parse(&claimant.destination)?, predicate })
}

// What the types of `stellar-xdr` build.

fn transaction(description: &Description, operations: Vec<xdr::Operation>) -> Result<xdr::Transaction, Wrong> {
    Ok(xdr::Transaction {
        source_account: parse(&description.source)?,
        fee: fee(description),
        seq_num: xdr::SequenceNumber(description.sequence.0),
        cond: preconditions(&description.preconditions)?,
        memo: memo(&description.memo)?,
        operations: operations.try_into()?,
        ext: xdr::TransactionExt::V0,
    })
}

fn fee(description: &Description) -> u32 {
    description.base_fee.saturating_mul(u32::try_from(description.operations.len()).unwrap_or(u32::MAX))
}

fn bump_fee(bump: &Bump, operations: usize) -> Result<i64, Wrong> {
    let payers = i64::try_from(operations + 1)?;
    bump.base_fee.0.checked_mul(payers).ok_or_else(|| Wrong("a fee out of range".into()))
}

fn bump_by_xdr(inner: xdr::TransactionV1Envelope, bump: &Bump, network: &NetworkId) -> Result<Vec<u8>, Wrong> {
    let tx = xdr::FeeBumpTransaction {
        fee_source: parse(&bump.source)?,
        fee: bump_fee(bump, inner.tx.operations.len())?,
        inner_tx: xdr::FeeBumpTransactionInnerTx::Tx(inner),
        ext: xdr::FeeBumpTransactionExt::V0,
    };
    let hash = tx.hash(*network.as_bytes())?;
    let signatures = signatures(&bump.signatures, &hash)?;
    let envelope = xdr::TransactionEnvelope::TxFeeBump(xdr::FeeBumpTransactionEnvelope { tx, signatures });
    Ok(write(&envelope)?)
}

fn preconditions(preconditions: &Preconditions) -> Result<xdr::Preconditions, Wrong> {
    let bounds = |time: &super::description::TimeBounds| xdr::TimeBounds {
        min_time: xdr::TimePoint(time.min.0),
        max_time: xdr::TimePoint(time.max.0),
    };
    Ok(match preconditions {
        Preconditions::None => xdr::Preconditions::None,
        Preconditions::Time(time) => xdr::Preconditions::Time(bounds(time)),
        Preconditions::General {
            time,
            ledgers,
            min_sequence,
            min_sequence_age,
            min_sequence_ledger_gap,
            extra_signers,
        } => xdr::Preconditions::V2(xdr::PreconditionsV2 {
            time_bounds: time.as_ref().map(bounds),
            ledger_bounds: ledgers.map(|l| xdr::LedgerBounds { min_ledger: l.min, max_ledger: l.max }),
            min_seq_num: min_sequence.map(|n| xdr::SequenceNumber(n.0)),
            min_seq_age: xdr::Duration(min_sequence_age.0),
            min_seq_ledger_gap: *min_sequence_ledger_gap,
            extra_signers: extra_signers.iter().map(|key| parse(key)).collect::<Result<Vec<_>, _>>()?.try_into()?,
        }),
    })
}

fn memo(memo: &Memo) -> Result<xdr::Memo, Wrong> {
    Ok(match memo {
        Memo::None => xdr::Memo::None,
        Memo::Text { value } => xdr::Memo::Text(value.0.clone().try_into()?),
        Memo::Id { value } => xdr::Memo::Id(value.0),
        Memo::Hash { value } => xdr::Memo::Hash(xdr::Hash(fixed(value)?)),
        Memo::Return { value } => xdr::Memo::Return(xdr::Hash(fixed(value)?)),
    })
}

fn signatures(signers: &[Signer], hash: &[u8; 32]) -> Result<xdr::VecM<xdr::DecoratedSignature, 20>, Wrong> {
    let all = signers.iter().map(|signer| signature(signer, hash)).collect::<Result<Vec<_>, _>>()?;
    Ok(all.try_into()?)
}

/// A signature with its hint: the last four bytes of what it belongs to.
fn signature(signer: &Signer, hash: &[u8; 32]) -> Result<xdr::DecoratedSignature, Wrong> {
    let last = |bytes: &[u8]| [0, 1, 2, 3].map(|n| bytes[bytes.len() - 4 + n]);
    let (hint, signature) = match signer {
        Signer::Key { seed } => {
            let key = signing_key(seed)?;
            (last(&key.verifying_key().to_bytes()), key.sign(hash).to_bytes().to_vec())
        }
        Signer::Preimage { preimage } => (last(&Sha256::digest(&preimage.0)), preimage.0.clone()),
        Signer::Payload { seed, payload: Bytes(payload) } => {
            let key = signing_key(seed)?;
            let mut padded = payload.clone();
            padded.resize(payload.len().max(4), 0);
            let (of_key, of_payload) = (last(&key.verifying_key().to_bytes()), last(&padded));
            ([0, 1, 2, 3].map(|n| of_key[n] ^ of_payload[n]), key.sign(payload).to_bytes().to_vec())
        }
    };
    Ok(xdr::DecoratedSignature { hint: xdr::SignatureHint(hint), signature: xdr::Signature(signature.try_into()?) })
}

/// The bodies that the product doesn't send.
fn body(body: &Body) -> Result<xdr::OperationBody, Wrong> {
    use xdr::OperationBody as B;
    Ok(match body {
        Body::CreateAccount { .. }
        | Body::CreateClaimableBalance { .. }
        | Body::ClaimClaimableBalance { .. }
        | Body::ChangeTrust { line: Line::Asset { .. }, .. }
        | Body::BumpSequence { .. } => {
            return Err(Wrong("the product's code builds this".into()));
        }
        Body::Payment { destination, asset, amount } => {
            B::Payment(xdr::PaymentOp { destination: parse(destination)?, asset: asset_of(asset)?, amount: amount.0 })
        }
        Body::SetOptions(options) => B::SetOptions(set_options(options)?),
        Body::ChangeTrust { line: Line::Pool { a, b }, limit } => {
            B::ChangeTrust(xdr::ChangeTrustOp { line: xdr::ChangeTrustAsset::PoolShare(pool(a, b)?), limit: limit.0 })
        }
        Body::AccountMerge { destination } => B::AccountMerge(parse(destination)?),
        Body::ManageData { name, value } => B::ManageData(xdr::ManageDataOp {
            data_name: data_name(name)?,
            data_value: value.as_ref().map(|v| v.0.clone().try_into().map(xdr::DataValue)).transpose()?,
        }),
        Body::BeginSponsoringFutureReserves { sponsored } => {
            B::BeginSponsoringFutureReserves(xdr::BeginSponsoringFutureReservesOp { sponsored_id: parse(sponsored)? })
        }
        Body::EndSponsoringFutureReserves => B::EndSponsoringFutureReserves,
        Body::RevokeSponsorship { of } => B::RevokeSponsorship(revoke(of)?),
        Body::Clawback { from, asset, amount } => {
            B::Clawback(xdr::ClawbackOp { asset: asset_of(asset)?, from: parse(from)?, amount: amount.0 })
        }
        Body::ClawbackClaimableBalance { balance: id } => {
            B::ClawbackClaimableBalance(xdr::ClawbackClaimableBalanceOp { balance_id: balance(id)? })
        }
        Body::SetTrustLineFlags { trustor, asset, clear_flags, set_flags } => {
            B::SetTrustLineFlags(xdr::SetTrustLineFlagsOp {
                trustor: parse(trustor)?,
                asset: asset_of(asset)?,
                clear_flags: *clear_flags,
                set_flags: *set_flags,
            })
        }
    })
}

fn set_options(options: &Options) -> Result<xdr::SetOptionsOp, Wrong> {
    let signer = match &options.signer {
        Some(signer) => Some(xdr::Signer { key: parse(&signer.key)?, weight: signer.weight }),
        None => None,
    };
    let home_domain = match &options.home_domain {
        Some(domain) => Some(xdr::String32(domain.as_str().try_into()?)),
        None => None,
    };
    Ok(xdr::SetOptionsOp {
        inflation_dest: options.inflation_destination.as_deref().map(parse).transpose()?,
        clear_flags: options.clear_flags,
        set_flags: options.set_flags,
        master_weight: options.master_weight,
        low_threshold: options.low_threshold,
        med_threshold: options.medium_threshold,
        high_threshold: options.high_threshold,
        home_domain,
        signer,
    })
}

fn revoke(of: &Sponsored) -> Result<xdr::RevokeSponsorshipOp, Wrong> {
    let key = match of {
        Sponsored::Signer { account, key } => {
            return Ok(xdr::RevokeSponsorshipOp::Signer(xdr::RevokeSponsorshipOpSigner {
                account_id: parse(account)?,
                signer_key: parse(key)?,
            }));
        }
        Sponsored::Account { account } => {
            xdr::LedgerKey::Account(xdr::LedgerKeyAccount { account_id: parse(account)? })
        }
        Sponsored::Trustline { account, line } => xdr::LedgerKey::Trustline(xdr::LedgerKeyTrustLine {
            account_id: parse(account)?,
            asset: match line {
                Line::Asset { asset } => trustline_asset(&parse(asset)?),
                Line::Pool { a, b } => xdr::TrustLineAsset::PoolShare(pool_id(a, b)?),
            },
        }),
        Sponsored::Data { account, name } => {
            xdr::LedgerKey::Data(xdr::LedgerKeyData { account_id: parse(account)?, data_name: data_name(name)? })
        }
        Sponsored::ClaimableBalance { balance: id } => {
            xdr::LedgerKey::ClaimableBalance(xdr::LedgerKeyClaimableBalance { balance_id: balance(id)? })
        }
    };
    Ok(xdr::RevokeSponsorshipOp::LedgerEntry(key))
}

fn predicate(predicate: &Predicate) -> Result<xdr::ClaimPredicate, Wrong> {
    use xdr::ClaimPredicate as P;
    let both = |of: &[Predicate; 2]| -> Result<xdr::VecM<P, 2>, Wrong> {
        Ok(of.iter().map(self::predicate).collect::<Result<Vec<_>, _>>()?.try_into()?)
    };
    Ok(match predicate {
        Predicate::Unconditional => P::Unconditional,
        Predicate::And { of } => P::And(both(of)?),
        Predicate::Or { of } => P::Or(both(of)?),
        Predicate::Not { of } => P::Not(Some(Box::new(self::predicate(of)?))),
        Predicate::BeforeAbsoluteTime { time } => P::BeforeAbsoluteTime(time.0),
        Predicate::BeforeRelativeTime { seconds } => P::BeforeRelativeTime(seconds.0),
    })
}

fn asset_of(text: &str) -> Result<xdr::Asset, Wrong> {
    Ok(asset_xdr(&parse::<Asset>(text)?))
}

fn pool(a: &str, b: &str) -> Result<xdr::LiquidityPoolParameters, Wrong> {
    let parameters = xdr::LiquidityPoolConstantProductParameters {
        asset_a: asset_of(a)?,
        asset_b: asset_of(b)?,
        fee: xdr::LIQUIDITY_POOL_FEE_V18 as i32,
    };
    Ok(xdr::LiquidityPoolParameters::LiquidityPoolConstantProduct(parameters))
}

fn pool_id(a: &str, b: &str) -> Result<xdr::PoolId, Wrong> {
    let parameters = pool(a, b)?.to_xdr(xdr::Limits::none())?;
    Ok(xdr::PoolId(xdr::Hash(Sha256::digest(parameters).into())))
}

fn balance(id: &Bytes) -> Result<xdr::ClaimableBalanceId, Wrong> {
    Ok(read("claimable balance id", &id.0)?)
}

fn data_name(name: &str) -> Result<xdr::String64, Wrong> {
    Ok(xdr::String64(name.try_into()?))
}

// What is told of an envelope, from its bytes.

fn describe(number: u64, envelope: &[u8], network: &NetworkId) -> Result<Built, Wrong> {
    let told = |signatures: &[xdr::DecoratedSignature]| {
        signatures.iter().map(|s| hex::encode(s.hint.0) + &hex::encode(&s.signature.0)).collect::<Vec<_>>()
    };
    let (inner, bump) = match read::<xdr::TransactionEnvelope>("envelope", envelope)? {
        xdr::TransactionEnvelope::TxV0(_) => return Err(Wrong("a version 0 envelope".into())),
        xdr::TransactionEnvelope::Tx(inner) => (inner, None),
        xdr::TransactionEnvelope::TxFeeBump(bump) => {
            let hash = hex::encode(bump.tx.hash(*network.as_bytes())?);
            let xdr::FeeBumpTransactionInnerTx::Tx(inner) = bump.tx.inner_tx;
            (inner, Some(BuiltBump { hash, signatures: told(&bump.signatures) }))
        }
    };
    Ok(Built {
        number,
        xdr: to_base64(envelope),
        hash: hex::encode(inner.tx.hash(*network.as_bytes())?),
        signatures: told(&inner.signatures),
        bump,
    })
}
