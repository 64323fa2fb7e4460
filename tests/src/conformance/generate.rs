//! Random descriptions of valid envelopes, from a seed.
//!
//! Valid is what no check of form refuses (CAP-21, CAP-23, CAP-33, CAP-35, CAP-40 and the operations' own): amounts,
//! bounds, depths and lengths are within their ranges, with the edges of the ranges more often than chance has it.
//! Whether the accounts exist is the ledger's affair.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use stellar_strkey::ed25519::{MuxedAccount, PrivateKey, PublicKey, SignedPayload};
use stellar_strkey::{HashX, PreAuthTx, Strkey};
use stellar_xdr::OperationType;

use super::description::{
    Body, Bump, Bytes, Claimant, Decimal, Description, LedgerBounds, Line, Memo, Operation, Options, Preconditions,
    Predicate, Signer, Sponsored, TimeBounds, Weighted,
};
use tradepost_protocol::account::AccountId;

/// How many keys sign in a run; more than an envelope has signatures.
const KEYS: usize = 48;
/// The networks whose passphrases are signed for.
const NETWORKS: [&str; 3] = [
    "Public Global Stellar Network ; September 2015",
    "Test SDF Network ; September 2015",
    "Tradepost Devnet ; 0123456789abcdef",
];
/// The deepest nesting of a predicate, the outermost one counted.
const PREDICATE_DEPTH: u32 = 4;
/// The most operations of a transaction.
const MOST_OPERATIONS: u64 = 100;
/// The most signatures of an envelope.
const MOST_SIGNATURES: u64 = 20;

/// Random descriptions without end; the same seed gives the same ones.
#[derive(Debug)]
pub struct Generator {
    rng: ChaCha20Rng,
    keys: Vec<Key>,
    number: u64,
}

#[derive(Debug, Clone)]
struct Key {
    seed: String,
    public: [u8; 32],
}

impl Iterator for Generator {
    type Item = Description;

    fn next(&mut self) -> Option<Description> {
        let description = self.description();
        self.number += 1;
        Some(description)
    }
}

/// The operations that are described: those that the devnet carries out.
pub fn kinds() -> Vec<OperationType> {
    let mut generator = Generator::new(0);
    OperationType::VARIANTS.into_iter().filter(|kind| generator.body(*kind).is_some()).collect()
}

impl Generator {
    /// A generator that starts from `seed`.
    pub fn new(seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let keys = core::iter::repeat_with(|| Key::random(&mut rng)).take(KEYS).collect();
        Self { rng, keys, number: 0 }
    }

    fn description(&mut self) -> Description {
        let network = NETWORKS[self.below(NETWORKS.len() as u64) as usize].to_owned();
        let key = self.key();
        let source = self.maybe_muxed(&key);
        let sequence = self.sequence();
        let bumped = self.one_in(3);
        let base_fee = self.base_fee(bumped);
        Description {
            number: self.number,
            network,
            source,
            sequence: Decimal(sequence),
            base_fee,
            preconditions: self.preconditions(sequence),
            memo: self.memo(),
            operations: self.operations(),
            signatures: self.signers(&key),
            bump: bumped.then(|| self.bump(base_fee)),
        }
    }

    fn bump(&mut self, inner_base_fee: u32) -> Bump {
        let key = self.key();
        let least = i64::from(inner_base_fee.max(100));
        let most = i64::MAX / (MOST_OPERATIONS as i64 + 1);
        let base_fee = match self.below(4) {
            0 => least,
            1 => most,
            _ => least.max(self.amount() % most),
        };
        Bump { source: self.maybe_muxed(&key), base_fee: Decimal(base_fee), signatures: self.signers(&key) }
    }

    /// Nothing may be paid only where somebody else pays.
    fn base_fee(&mut self, bumped: bool) -> u32 {
        let most = u64::from(u32::MAX) / MOST_OPERATIONS;
        match self.below(4) {
            0 | 1 if bumped => 0,
            0 => 100,
            1 => most as u32,
            _ => 100 + self.below(most - 100) as u32,
        }
    }

    fn sequence(&mut self) -> i64 {
        match self.below(8) {
            0 => 1,
            1 => i64::MAX,
            2 => self.amount(),
            _ => ((self.below(80_000_000) << 32) | (1 + self.below(1_000))) as i64,
        }
    }

    fn operations(&mut self) -> Vec<Operation> {
        let count = match self.below(100) {
            0 => MOST_OPERATIONS,
            1..15 => 5 + self.below(16),
            _ => 1 + self.below(4),
        };
        let kinds = OperationType::VARIANTS;
        // The first ones take turns, so that each kind is there in any run.
        let mut kind = self.number as usize % kinds.len();
        let mut operations = Vec::new();
        while operations.len() < count as usize {
            if let Some(body) = self.body(kinds[kind]) {
                operations.push(Operation { source: self.operation_source(), body });
            }
            kind = self.below(kinds.len() as u64) as usize;
        }
        operations
    }

    fn operation_source(&mut self) -> Option<String> {
        let key = self.key();
        self.one_in(3).then(|| self.maybe_muxed(&key))
    }

    fn body(&mut self, kind: OperationType) -> Option<Body> {
        use OperationType as T;
        Some(match kind {
            T::CreateAccount => {
                let starting_balance = if self.one_in(8) { 0 } else { self.amount() };
                Body::CreateAccount { destination: self.account(), starting_balance: Decimal(starting_balance) }
            }
            T::Payment => {
                Body::Payment { destination: self.destination(), asset: self.asset(), amount: Decimal(self.amount()) }
            }
            T::SetOptions => Body::SetOptions(self.options()),
            T::ChangeTrust => {
                let limit = if self.one_in(4) { 0 } else { self.amount() };
                Body::ChangeTrust { line: self.line(), limit: Decimal(limit) }
            }
            T::AccountMerge => Body::AccountMerge { destination: self.destination() },
            T::ManageData => {
                Body::ManageData { name: self.printable(1, 64), value: self.mostly(|g| g.bytes_up_to(64)) }
            }
            T::BumpSequence => Body::BumpSequence { bump_to: Decimal(self.sequence() - 1) },
            T::CreateClaimableBalance => Body::CreateClaimableBalance {
                asset: self.asset(),
                amount: Decimal(self.amount()),
                claimants: self.claimants(),
            },
            T::ClaimClaimableBalance => Body::ClaimClaimableBalance { balance: self.balance() },
            T::BeginSponsoringFutureReserves => Body::BeginSponsoringFutureReserves { sponsored: self.account() },
            T::EndSponsoringFutureReserves => Body::EndSponsoringFutureReserves,
            T::RevokeSponsorship => Body::RevokeSponsorship { of: self.sponsored() },
            T::Clawback => {
                Body::Clawback { from: self.destination(), asset: self.issued_asset(), amount: Decimal(self.amount()) }
            }
            T::ClawbackClaimableBalance => Body::ClawbackClaimableBalance { balance: self.balance() },
            T::SetTrustLineFlags => {
                // Authorised, authorised to maintain, neither; the issuer can only take away clawback.
                let set_flags = self.below(3) as u32;
                let clear_flags = self.below(8) as u32 & !set_flags;
                Body::SetTrustLineFlags { trustor: self.account(), asset: self.issued_asset(), clear_flags, set_flags }
            }
            T::PathPaymentStrictReceive
            | T::PathPaymentStrictSend
            | T::ManageSellOffer
            | T::ManageBuyOffer
            | T::CreatePassiveSellOffer
            | T::AllowTrust
            | T::Inflation
            | T::LiquidityPoolDeposit
            | T::LiquidityPoolWithdraw
            | T::InvokeHostFunction
            | T::ExtendFootprintTtl
            | T::RestoreFootprint => return None,
        })
    }

    /// Half of them are what makes or ends a controller, the others anything.
    fn options(&mut self) -> Options {
        let signer = Weighted { key: self.signer_key(), weight: self.weight() };
        let all = Some(signer.weight);
        match self.below(6) {
            0 => Options { signer: Some(signer), ..Options::default() },
            1 => Options {
                master_weight: Some(0),
                low_threshold: all,
                medium_threshold: all,
                high_threshold: all,
                signer: Some(signer),
                ..Options::default()
            },
            2 => Options { master_weight: Some(self.weight()), ..Options::default() },
            _ => self.any_options(signer),
        }
    }

    fn any_options(&mut self, signer: Weighted) -> Options {
        let clear_flags = self.half(|g| g.below(16) as u32);
        Options {
            inflation_destination: self.half(Self::account),
            clear_flags,
            set_flags: self.half(|g| g.below(16) as u32 & !clear_flags.unwrap_or(0)),
            master_weight: self.half(Self::weight),
            low_threshold: self.half(Self::weight),
            medium_threshold: self.half(Self::weight),
            high_threshold: self.half(Self::weight),
            home_domain: self.half(|g| g.printable(0, 32)),
            signer: self.half(|_| signer),
        }
    }

    fn sponsored(&mut self) -> Sponsored {
        let account = self.account();
        match self.below(5) {
            0 => Sponsored::Account { account },
            1 => Sponsored::Trustline { account, line: self.line() },
            2 => Sponsored::Data { account, name: self.printable(1, 64) },
            3 => Sponsored::ClaimableBalance { balance: self.balance() },
            _ => Sponsored::Signer { account, key: self.signer_key() },
        }
    }

    fn claimants(&mut self) -> Vec<Claimant> {
        let count = if self.one_in(8) { 10 } else { 1 + self.below(4) };
        let start = self.below(KEYS as u64);
        let mut claimants: Vec<Claimant> = (start..start + count)
            .map(|n| Claimant {
                destination: account(self.keys[n as usize % KEYS].public),
                predicate: self.predicate(PREDICATE_DEPTH),
            })
            .collect();
        if self.one_in(4) {
            // A hash claimant: its id is no point of the curve, or by chance one.
            let destination = account(self.bytes());
            let never = Predicate::Not { of: Box::new(Predicate::Unconditional) };
            claimants.pop();
            claimants.push(Claimant { destination, predicate: never });
        }
        claimants
    }

    /// A predicate at most `depth` deep.
    fn predicate(&mut self, depth: u32) -> Predicate {
        let kinds = if depth == 1 { 3 } else { 6 };
        match self.below(kinds) {
            0 => Predicate::Unconditional,
            1 => Predicate::BeforeAbsoluteTime { time: Decimal(self.amount() - 1) },
            2 => Predicate::BeforeRelativeTime { seconds: Decimal(self.amount() - 1) },
            3 => Predicate::And { of: Box::new([self.predicate(depth - 1), self.predicate(depth - 1)]) },
            4 => Predicate::Or { of: Box::new([self.predicate(depth - 1), self.predicate(depth - 1)]) },
            _ => Predicate::Not { of: Box::new(self.predicate(depth - 1)) },
        }
    }

    fn preconditions(&mut self, sequence: i64) -> Preconditions {
        match self.below(8) {
            0 => Preconditions::None,
            1..5 => Preconditions::Time(self.time_bounds()),
            _ => self.general(sequence),
        }
    }

    /// Where it says no more than two times, it is written as those: this is always more. Some say no more than a ledger
    /// besides, as what makes a controller does.
    fn general(&mut self, sequence: i64) -> Preconditions {
        if self.one_in(3) {
            return Preconditions::General {
                time: Some(self.time_bounds()),
                ledgers: Some(LedgerBounds { min: 0, max: 1 + self.rng.next_u32() / 2 }),
                min_sequence: None,
                min_sequence_age: Decimal(0),
                min_sequence_ledger_gap: 0,
                extra_signers: Vec::new(),
            };
        }
        let always = self.below(5);
        let min_sequence_age = if always == 2 || self.one_in(3) { 1 + self.rng.next_u64() / 2 } else { 0 };
        let min_sequence_ledger_gap = if always == 3 || self.one_in(3) { 1 + self.rng.next_u32() / 2 } else { 0 };
        let extra = if always == 4 { 1 + self.below(2) } else { self.below(3) };
        let mut extra_signers: Vec<String> = (0..extra).map(|_| self.signer_key()).collect();
        extra_signers.dedup(); // The same one twice is malformed.
        Preconditions::General {
            time: self.mostly(Self::time_bounds),
            ledgers: if always == 0 { Some(self.ledger_bounds()) } else { self.half(Self::ledger_bounds) },
            min_sequence: (always == 1 || self.one_in(2)).then(|| Decimal(self.amount() % sequence)),
            min_sequence_age: Decimal(min_sequence_age),
            min_sequence_ledger_gap,
            extra_signers,
        }
    }

    fn time_bounds(&mut self) -> TimeBounds {
        let min = if self.one_in(2) { 0 } else { 1_700_000_000 + self.below(1 << 30) };
        let max = match self.below(8) {
            0 => 0,
            1 => u64::MAX,
            _ => min + self.below(1 << 30),
        };
        TimeBounds { min: Decimal(min), max: Decimal(max) }
    }

    fn ledger_bounds(&mut self) -> LedgerBounds {
        let min = self.rng.next_u32() >> 1;
        let max = match self.below(4) {
            0 => 0,
            1 => u32::MAX,
            _ => min + 1 + (self.rng.next_u32() >> 2),
        };
        LedgerBounds { min: if self.one_in(2) { 0 } else { min }, max }
    }

    fn memo(&mut self) -> Memo {
        match self.below(5) {
            0 => Memo::None,
            1 => Memo::Text { value: self.bytes_up_to(28) },
            2 => Memo::Id { value: Decimal(self.rng.next_u64()) },
            3 => Memo::Hash { value: Bytes(self.bytes::<32>().into()) },
            _ => Memo::Return { value: Bytes(self.bytes::<32>().into()) },
        }
    }

    /// One of the shapes that the signatures of an envelope can have; `key` is the source's.
    fn signers(&mut self, key: &Key) -> Vec<Signer> {
        let own = Signer::Key { seed: key.seed.clone() };
        match self.below(8) {
            // What a pre-authorised transaction needs.
            0 => Vec::new(),
            1 => {
                let count = if self.one_in(4) { MOST_SIGNATURES } else { 2 + self.below(3) };
                let start = self.below(KEYS as u64);
                let keys = (start..start + count).map(|n| &self.keys[n as usize % KEYS].seed);
                keys.map(|seed| Signer::Key { seed: seed.clone() }).collect()
            }
            2 => vec![self.preimage()],
            3 => vec![self.payload()],
            4 => vec![own, self.preimage()],
            5 => vec![self.payload(), self.preimage(), own],
            _ => vec![own],
        }
    }

    fn preimage(&mut self) -> Signer {
        let preimage = if self.one_in(2) { Bytes(self.bytes::<32>().into()) } else { self.bytes_up_to(64) };
        Signer::Preimage { preimage }
    }

    fn payload(&mut self) -> Signer {
        Signer::Payload { seed: self.key().seed, payload: self.payload_bytes() }
    }

    /// A signer of any kind.
    fn signer_key(&mut self) -> String {
        let key = match self.below(4) {
            0 => Strkey::PublicKeyEd25519(PublicKey(self.key().public)),
            1 => Strkey::PreAuthTx(PreAuthTx(self.bytes())),
            2 => Strkey::HashX(HashX(self.bytes())),
            _ => {
                let (ed25519, Bytes(payload)) = (self.key().public, self.payload_bytes());
                let signed = SignedPayload::new(ed25519, &payload).expect("1 to 64 bytes are a payload");
                Strkey::SignedPayloadEd25519(signed)
            }
        };
        format!("{key}")
    }

    fn payload_bytes(&mut self) -> Bytes {
        let length = if self.one_in(4) { 64 } else { 1 + self.below(64) };
        Bytes(self.bytes::<64>()[..length as usize].into())
    }

    fn line(&mut self) -> Line {
        if !self.one_in(4) {
            return Line::Asset { asset: self.issued_asset() };
        }
        let b = self.issued_asset();
        if self.one_in(4) {
            return Line::Pool { a: "native".to_owned(), b };
        }
        loop {
            // Short codes come before long ones. Codes that are equal are left out: the issuers would decide.
            let (a, b) = (self.issued_asset(), self.issued_asset());
            let [(code_a, _), (code_b, _)] = [&a, &b].map(|asset| asset.split_once(':').expect("an issued asset"));
            let order = |code: &str| (code.len() > 4, code.to_owned());
            match order(code_a).cmp(&order(code_b)) {
                core::cmp::Ordering::Less => return Line::Pool { a, b },
                core::cmp::Ordering::Greater => return Line::Pool { a: b, b: a },
                core::cmp::Ordering::Equal => {}
            }
        }
    }

    fn asset(&mut self) -> String {
        if self.one_in(3) { "native".to_owned() } else { self.issued_asset() }
    }

    fn issued_asset(&mut self) -> String {
        const CODE: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let length = 1 + self.below(12);
        let code: String = (0..length).map(|_| char::from(CODE[self.below(CODE.len() as u64) as usize])).collect();
        format!("{code}:{}", self.account())
    }

    /// A balance's id with its version before it.
    fn balance(&mut self) -> Bytes {
        Bytes([&[0; 4], self.bytes::<32>().as_slice()].concat())
    }

    fn account(&mut self) -> String {
        account(self.key().public)
    }

    fn destination(&mut self) -> String {
        let key = self.key();
        self.maybe_muxed(&key)
    }

    fn maybe_muxed(&mut self, key: &Key) -> String {
        if !self.one_in(6) {
            return account(key.public);
        }
        let id = if self.one_in(4) { u64::MAX } else { self.rng.next_u64() };
        format!("{}", MuxedAccount { ed25519: key.public, id })
    }

    fn key(&mut self) -> Key {
        let n = self.below(KEYS as u64);
        self.keys[n as usize].clone()
    }

    fn weight(&mut self) -> u32 {
        [0, 1, 2, 255, self.below(256) as u32][self.below(5) as usize]
    }

    /// 1 to the largest, small ones as often as large ones.
    fn amount(&mut self) -> i64 {
        match self.below(8) {
            0 => 1,
            1 => i64::MAX,
            _ => {
                let bits = 1 + self.below(62);
                1 + (self.rng.next_u64() >> (64 - bits)) as i64
            }
        }
    }

    fn printable(&mut self, shortest: u64, longest: u64) -> String {
        let length = if self.one_in(4) { longest } else { shortest + self.below(longest - shortest + 1) };
        (0..length).map(|_| char::from(b' ' + self.below(95) as u8)).collect()
    }

    fn bytes_up_to(&mut self, longest: u64) -> Bytes {
        let length = if self.one_in(4) { longest } else { self.below(longest + 1) };
        Bytes(self.bytes::<64>()[..length as usize].into())
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    fn half<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.one_in(2).then(|| make(self))
    }

    fn mostly<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (!self.one_in(4)).then(|| make(self))
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    /// A number below `end`; the bias of so small ends doesn't matter here.
    fn below(&mut self, end: u64) -> u64 {
        self.rng.next_u64() % end
    }
}

impl Key {
    fn random(rng: &mut ChaCha20Rng) -> Self {
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        let key = ed25519_dalek::SigningKey::from_bytes(&seed);
        Self { seed: format!("{}", PrivateKey(seed).as_unredacted()), public: key.verifying_key().to_bytes() }
    }
}

fn account(key: [u8; 32]) -> String {
    AccountId::from_bytes(key).to_string()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::conformance::build::Builder;

    #[test]
    fn the_same_seed_describes_the_same_and_another_one_something_else() {
        let described = |seed| Generator::new(seed).take(50).collect::<Vec<_>>();
        assert_eq!(described(1), described(1));
        assert_ne!(described(1), described(2));
    }

    #[test]
    fn what_is_described_survives_its_line_and_is_built_by_both_of_our_builders() {
        let mut builder = Builder::default();
        for description in Generator::new(1).take(500) {
            let line = serde_json::to_string(&description).unwrap();
            assert_eq!(serde_json::from_str::<Description>(&line).unwrap(), description);
            builder.build(&description).unwrap();
        }
        let tally = builder.tally();
        assert_eq!(tally.envelopes, 500);
        assert!(tally.envelopes_by_product > 50 && tally.operations_by_product > 200, "{tally}");
        assert!(tally.envelopes_by_product < tally.envelopes, "{tally}");
        assert!(tally.operations_by_product < tally.operations, "{tally}");
    }
}
