//! The controller: an account that the funding itself makes, which both parties, or one and a majority of arbiters, move
//! together before the deadline, and which its funder gets back from the deadline on.
//!
//! Its key follows from the funder's key and the funding's sequence number, so it is found again from the key alone and
//! is never used twice. From the moment when it exists its master key has no weight. One transaction of its own is
//! authorised beforehand, the [`Unlock`]: from the deadline on it gives the master key the weight of all thresholds, and
//! the funder merges the account.

use core::time::Duration;

use bincode::{Decode, Encode};
use ed25519_dalek::SigningKey;
use stellar_xdr::{SignerKey, Uint256};

use crate::account::{AccountId, ServingKey};
use crate::amount::Stroops;
use crate::asset::Asset;
use crate::escrow::TermsError;
use crate::limits::MAX_ARBITERS;
use crate::message::{TxHash, keccak};
use crate::network_id::NetworkId;
use crate::stellar::entry::{AUTH_REQUIRED, AccountState, Entry, LINE_CLAWBACK_ENABLED, TrustlineState};
use crate::stellar::reserve::LedgerParams;
use crate::stellar::transaction::{Bounds, Envelope, Unsigned};
use crate::stellar::xdr::XdrError;
use crate::stellar::{Memo, Operation, operation};
use crate::time::Timestamp;

/// The most that a trustline may hold: any amount.
const NO_LIMIT: Stroops = Stroops::MAX;
/// Base reserves of an account without entries.
const ACCOUNT_RESERVES: u32 = 2;

/// The key of the controller that the funding with this sequence number of `account` makes.
///
/// keccak-256(`"tradepost/1/controller"` ‖ `0x00` ‖ network id ‖ the account's seed ‖ sequence number, 8 bytes, big
/// endian), taken as an ed25519 seed.
pub fn key(account: &SigningKey, network: &NetworkId, sequence: i64) -> SigningKey {
    let seed =
        keccak(&[b"tradepost/1/controller", &[0], network.as_bytes(), &account.to_bytes(), &sequence.to_be_bytes()]);
    SigningKey::from_bytes(&seed)
}

/// The keys that move a controller, and how many of them it takes: provider and consumer weigh `a`, each of the n
/// arbiters 1, every threshold is `2a` with a = (n + 1) / 2. So both parties can, one party and a majority of arbiters
/// can, and all arbiters together fall one short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signers {
    provider: ServingKey,
    consumer: ServingKey,
    arbiters: Vec<ServingKey>,
}

impl Signers {
    /// The signers of one binding.
    ///
    /// # Errors
    /// [`TermsError::ArbiterCount`] unless there is an odd number of arbiters within the bound,
    /// [`TermsError::SameSigner`] where a key has two roles.
    pub fn new(provider: ServingKey, consumer: ServingKey, arbiters: Vec<ServingKey>) -> Result<Self, TermsError> {
        if arbiters.len().is_multiple_of(2) || arbiters.len() > MAX_ARBITERS {
            return Err(TermsError::ArbiterCount(arbiters.len()));
        }
        let mut all = vec![provider, consumer];
        all.extend(&arbiters);
        all.sort();
        if let Some(twice) = all.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(TermsError::SameSigner(twice[0]));
        }
        Ok(Self { provider, consumer, arbiters })
    }

    /// Signs for the provider.
    pub const fn provider(&self) -> ServingKey {
        self.provider
    }

    /// Signs for the consumer.
    pub const fn consumer(&self) -> ServingKey {
        self.consumer
    }

    /// Sign for the arbiters.
    pub fn arbiters(&self) -> &[ServingKey] {
        &self.arbiters
    }

    /// How many arbiters it takes beside one party, and what a party weighs.
    pub fn majority(&self) -> u8 {
        self.arbiters.len().div_ceil(2) as u8
    }

    /// The weight that everything takes.
    pub fn threshold(&self) -> u8 {
        2 * self.majority()
    }

    /// What a key weighs; 0 where it has no part.
    pub fn weight(&self, key: ServingKey) -> u8 {
        self.weights().find(|(known, _)| *known == key).map_or(0, |(_, weight)| weight)
    }

    /// Every key with its weight, in the order in which the funding adds them.
    pub fn weights(&self) -> impl Iterator<Item = (ServingKey, u8)> + '_ {
        let parties = [self.provider, self.consumer].map(|key| (key, self.majority()));
        parties.into_iter().chain(self.arbiters.iter().map(|key| (*key, 1)))
    }

    fn count(&self) -> u32 {
        2 + self.arbiters.len() as u32
    }

    /// Base reserves that such a controller locks in its own balance, in this asset.
    pub fn reserves(&self, asset: &Asset) -> u32 {
        // The UNLOCK is a signer too.
        ACCOUNT_RESERVES + self.count() + 1 + u32::from(!asset.is_native())
    }

    /// Operations of a funding that makes such a controller: the balance, the account, its sequence number, its signers,
    /// its trustline, and the last one that hands it over.
    pub fn operations(&self, asset: &Asset) -> u32 {
        4 + self.count() + u32::from(!asset.is_native())
    }
}

/// The transaction that gives a controller back to its funder from the deadline on. It can't fail and changes no entry
/// but a weight. It needs no signature and pays no fee: whoever submits it wraps it in a fee bump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unlock {
    /// The controller.
    pub controller: AccountId,
    /// The controller's sequence number before it.
    pub start: i64,
    /// The deadline, T.
    pub deadline: Timestamp,
    /// The controller's threshold.
    pub threshold: u8,
}

impl Unlock {
    fn transaction(&self) -> Unsigned {
        Unsigned {
            source: self.controller,
            sequence: self.start.saturating_add(1),
            fee: 0,
            bounds: Bounds::from_on(self.deadline),
            memo: Memo::None,
            operations: vec![operation::set_master_weight(self.threshold)],
        }
    }

    /// Its hash, which is the controller's signer that authorises it.
    ///
    /// # Errors
    /// Never in practice: one operation fits.
    pub fn hash(&self, network: &NetworkId) -> Result<TxHash, XdrError> {
        self.transaction().hash(network)
    }

    /// The transaction without any signature; [`Envelope::bump_fee`] makes it fit to be submitted.
    ///
    /// # Errors
    /// Never in practice: one operation fits.
    pub fn envelope(&self, network: &NetworkId) -> Result<Envelope, XdrError> {
        self.transaction().sign(&[], network)
    }

    fn signer(&self, network: &NetworkId) -> Result<SignerKey, XdrError> {
        Ok(SignerKey::PreAuthTx(Uint256(*self.hash(network)?.as_bytes())))
    }
}

/// One controller as it was agreed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Controller<'a> {
    /// Which account.
    pub account: AccountId,
    /// Who moves it.
    pub signers: &'a Signers,
    /// What it has to be able to hold.
    pub asset: &'a Asset,
    /// The deadline, T.
    pub deadline: Timestamp,
}

/// The deadline for which a controller's [`Unlock`] is authorised, among so many seconds from `from` on: for whoever has the
/// account's key alone.
pub fn deadline_of(state: &AccountState, network: &NetworkId, from: Timestamp, seconds: u32) -> Option<Timestamp> {
    let authorised = |hash: &TxHash| {
        let key = SignerKey::PreAuthTx(Uint256(*hash.as_bytes()));
        state.signers.iter().any(|signer| signer.key == key)
    };
    let (controller, start, threshold) = (state.id, state.sequence, state.thresholds.high);
    (0..seconds).map(|n| from.plus(Duration::from_secs(u64::from(n)))).find(|deadline| {
        let unlock = Unlock { controller, start, deadline: *deadline, threshold };
        unlock.hash(network).is_ok_and(|hash| authorised(&hash))
    })
}

/// How a controller on the ledger differs from the one that was agreed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Encode, Decode)]
pub enum ControllerMismatch {
    /// It isn't there.
    #[error("the escrow's controller {0} is not on the ledger")]
    Missing(AccountId),
    /// Another account was looked at.
    #[error("the account that was looked at is {found}, the escrow's controller is {expected}")]
    Account {
        /// Who may claim the escrow.
        expected: AccountId,
        /// Which account it is.
        found: AccountId,
    },
    /// Its sequence number isn't one that a funding gives.
    #[error("the controller's sequence number {0} is not the one that its funding gave it")]
    Sequence(i64),
    /// Not exactly the agreed thresholds, or its master key has a say.
    #[error(
        "the controller's weights are master {}, low {}, medium {}, high {}; expected 0 and {expected} three times",
        .found[0], .found[1], .found[2], .found[3]
    )]
    Thresholds {
        /// What each threshold should be.
        expected: u8,
        /// Master weight and thresholds as they are.
        found: [u8; 4],
    },
    /// Another number of signers.
    #[error("the controller has {found} signers, expected exactly {expected}")]
    SignerCount {
        /// How many it should have.
        expected: u32,
        /// How many it has.
        found: u32,
    },
    /// A party or an arbiter has no say.
    #[error("{0} is not among the controller's signers")]
    SignerMissing(ServingKey),
    /// The transaction that gives it back isn't authorised, or another one is.
    #[error("the transaction that gives the controller back at the deadline is not authorised")]
    UnlockMissing,
    /// A signer weighs something else.
    #[error("the controller's signer {signer} weighs {found}, expected {expected}")]
    Weight {
        /// Which; the UNLOCK by that name.
        signer: String,
        /// What it should weigh.
        expected: u8,
        /// What it weighs.
        found: u32,
    },
    /// Offers, data or trustlines besides what it needs.
    #[error("the controller has {found} entries, expected exactly {expected}: its signers and what it has to hold")]
    SubEntries {
        /// How many it should have.
        expected: u32,
        /// How many it has.
        found: u32,
    },
    /// Others hold reserves for it, or it for others: whoever does can take that back.
    #[error("the controller has sponsorships ({sponsored} for it, {sponsoring} by it), expected none")]
    Sponsorship {
        /// Reserves that others hold for it.
        sponsored: u32,
        /// Reserves that it holds for others.
        sponsoring: u32,
    },
    /// Offers bind its coins.
    #[error("offers bind the controller's money")]
    Liabilities,
    /// It is an issuer of some sort, or can't be merged.
    #[error("the controller's flags are {0}, expected none")]
    Flags(u32),
    /// It can't hold the asset.
    #[error("the controller can't hold the asset: it has no trustline")]
    TrustlineMissing,
    /// Another trustline was looked at.
    #[error("the trustline that was looked at isn't the controller's for the asset")]
    Trustline,
    /// It may not move the asset.
    #[error("the asset's issuer does not let the controller hold it")]
    NotAuthorized,
    /// The issuer may take what it holds.
    #[error("the asset's issuer may claw back what the controller holds, which was not agreed")]
    Clawback,
    /// It can't hold enough of it.
    #[error("the controller's trustline is limited to {0} stroops, expected no limit")]
    Limit(Stroops),
    /// What is compared can't be built.
    #[error("the controller can't be compared: {0}")]
    Unbuildable(String),
}

/// Whether a controller could hold an asset, which is an account that nobody can have authorised before: the asset's issuer
/// must be among `entries`, and ask for no authorisation.
///
/// # Errors
/// Why not.
pub fn may_hold(asset: &Asset, entries: &[Entry]) -> Result<(), &'static str> {
    let Some(issuer) = asset.issuer() else { return Ok(()) };
    let issuer = entries.iter().find_map(|entry| match entry {
        Entry::Account(account) if account.id == issuer => Some(account),
        _ => None,
    });
    match issuer {
        None => Err("its issuer isn't on the ledger"),
        Some(issuer) if issuer.flags & AUTH_REQUIRED != 0 => Err("its issuer must allow each account that holds it"),
        Some(_) => Ok(()),
    }
}

/// The sequence number that a controller starts with whose funding must be in a ledger below this one.
///
/// A new account starts with its ledger's number in the upper half, which nobody knows beforehand. A number above it,
/// which the same transaction sets, makes the [`Unlock`] known before the account exists.
pub const fn start(before_ledger: u32) -> i64 {
    (before_ledger as i64) << 32
}

impl Controller<'_> {
    /// The transaction that gives it back, where its sequence number starts here.
    pub fn unlock(&self, start: i64) -> Unlock {
        Unlock { controller: self.account, start, deadline: self.deadline, threshold: self.signers.threshold() }
    }

    /// The operations that make it, in their order; they follow the one that locks the money.
    ///
    /// # Errors
    /// Never in practice.
    pub fn operations(
        &self,
        before_ledger: u32,
        network: &NetworkId,
        params: &LedgerParams,
    ) -> Result<Vec<Operation>, XdrError> {
        let start = start(before_ledger);
        let mut operations =
            vec![operation::create_account(self.account, params.reserves(self.signers.reserves(self.asset)))];
        let mut its = |op| operations.push(operation::by(self.account, op));
        its(operation::bump_sequence(start));
        for (key, weight) in self.signers.weights() {
            its(operation::add_signer(SignerKey::Ed25519(Uint256(*key.as_bytes())), weight));
        }
        if !self.asset.is_native() {
            its(operation::change_trust(self.asset, NO_LIMIT)?);
        }
        its(operation::hand_over(self.unlock(start).signer(network)?, self.signers.threshold()));
        Ok(operations)
    }

    /// Compares every field of the account on the ledger, and of its trustline where the asset needs one.
    ///
    /// # Errors
    /// The first difference.
    pub fn verify(
        &self,
        found: &AccountState,
        line: Option<&TrustlineState>,
        network: &NetworkId,
    ) -> Result<(), ControllerMismatch> {
        use ControllerMismatch as M;
        if found.id != self.account {
            return Err(M::Account { expected: self.account, found: found.id });
        }
        if found.sequence <= 0 || found.sequence & 0xffff_ffff != 0 {
            return Err(M::Sequence(found.sequence));
        }
        let (expected, t) = (self.signers.threshold(), found.thresholds);
        if (t.master, t.low, t.medium, t.high) != (0, expected, expected, expected) {
            return Err(M::Thresholds { expected, found: [t.master, t.low, t.medium, t.high] });
        }
        self.verify_signers(found, network)?;
        let expected = self.signers.reserves(self.asset) - ACCOUNT_RESERVES;
        if found.sub_entries != expected {
            return Err(M::SubEntries { expected, found: found.sub_entries });
        }
        if found.sponsored != 0 || found.sponsoring != 0 {
            return Err(M::Sponsorship { sponsored: found.sponsored, sponsoring: found.sponsoring });
        }
        if !found.selling.is_zero() || !found.buying.is_zero() {
            return Err(M::Liabilities);
        }
        if found.flags != 0 {
            return Err(M::Flags(found.flags));
        }
        if self.asset.is_native() { Ok(()) } else { self.verify_line(line.ok_or(M::TrustlineMissing)?) }
    }

    fn verify_signers(&self, found: &AccountState, network: &NetworkId) -> Result<(), ControllerMismatch> {
        use ControllerMismatch as M;
        let (expected, count) = (self.signers.count() + 1, found.signers.len() as u32);
        if count != expected {
            return Err(M::SignerCount { expected, found: count });
        }
        let weight = |key: &SignerKey| found.signers.iter().find(|s| s.key == *key).map(|s| s.weight);
        let compare = |signer: String, expected: u8, found: u32| {
            if found == u32::from(expected) { Ok(()) } else { Err(M::Weight { signer, expected, found }) }
        };
        for (key, expected) in self.signers.weights() {
            let found = weight(&SignerKey::Ed25519(Uint256(*key.as_bytes()))).ok_or(M::SignerMissing(key))?;
            compare(key.to_string(), expected, found)?;
        }
        let unlock = self.unlock(found.sequence).signer(network).map_err(|e| M::Unbuildable(e.to_string()))?;
        compare("UNLOCK".into(), self.signers.threshold(), weight(&unlock).ok_or(M::UnlockMissing)?)
    }

    fn verify_line(&self, line: &TrustlineState) -> Result<(), ControllerMismatch> {
        use ControllerMismatch as M;
        if line.account != self.account || line.asset != *self.asset {
            return Err(M::Trustline);
        }
        if !line.is_authorized() {
            return Err(M::NotAuthorized);
        }
        if line.flags & LINE_CLAWBACK_ENABLED != 0 {
            return Err(M::Clawback);
        }
        if line.limit != NO_LIMIT {
            return Err(M::Limit(line.limit));
        }
        if !line.selling.is_zero() || !line.buying.is_zero() {
            return Err(M::Liabilities);
        }
        Ok(())
    }
}
