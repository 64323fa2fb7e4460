//! Random transactions, valid and not: whatever comes, the ledger's books
//! agree with each other.

use std::collections::{BTreeMap, BTreeSet};

use stellar_xdr::*;
use tradepost_devnet::Admission;

use crate::world::*;

const ACCOUNTS: usize = 8;
const NAMES: [&str; 3] = ["one", "two", "three"];

/// A small generator of pseudo-random numbers; the seed is in each message.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        usize::try_from(z % u64::try_from(sides).unwrap()).unwrap()
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.roll(from.len())]
    }

    /// An amount that is often on the edge of something.
    fn amount(&mut self) -> i64 {
        *self.pick(&[0, 1, 99, RESERVE, 2 * RESERVE, XLM, 5 * XLM, 40 * XLM, i64::MAX])
    }
}

struct Play {
    world: World,
    dice: Dice,
    keys: Vec<Key>,
    assets: Vec<Asset>,
    /// Every balance that ever was.
    balances: BTreeSet<ClaimableBalanceId>,
}

impl Play {
    fn new(seed: u64) -> Self {
        let mut world = World::new();
        let keys: Vec<Key> = (0..ACCOUNTS).map(|n| world.account(&format!("k{n}"), 60 * XLM)).collect();
        let assets = vec![Asset::Native, keys[0].asset("USD"), keys[1].asset("EUR")];
        Self { world, dice: Dice(seed), keys, assets, balances: BTreeSet::new() }
    }

    fn body(&mut self) -> OperationBody {
        let dice = &mut self.dice;
        let other = dice.pick(&self.keys).clone();
        let asset = dice.pick(&self.assets).clone();
        let amount = dice.amount();
        match dice.roll(11) {
            0 => create_account(&other, amount),
            1 | 2 => pay(&other, asset, amount),
            3 => trust(&asset, amount),
            4 => {
                let value = [&b"v"[..]];
                data(NAMES[dice.roll(NAMES.len())], value.get(dice.roll(2)).copied())
            }
            5 => bump_to(i64::try_from(dice.roll(1_000)).unwrap() << dice.roll(44)),
            6 if dice.roll(4) == 0 => merge(&other),
            6 | 7 => {
                let now = self.world.ledger.close_time();
                let time = now + u64::try_from(dice.roll(40)).unwrap();
                let third = dice.pick(&self.keys).clone();
                let claimants =
                    vec![claimant(&other, before(time)), claimant(&third, not(ClaimPredicate::BeforeRelativeTime(9)))];
                create_balance(asset, amount, claimants)
            }
            8 => {
                let known: Vec<_> = self.balances.iter().cloned().collect();
                let missing = ClaimableBalanceId::ClaimableBalanceIdTypeV0(Hash([0; 32]));
                claim(known.get(dice.roll(known.len() + 1)).unwrap_or(&missing))
            }
            9 => {
                let key = match dice.roll(3) {
                    0 => SignerKey::HashX(Uint256([7; 32])),
                    1 => SignerKey::PreAuthTx(Uint256([8; 32])),
                    _ => other.signer(),
                };
                add_signer(key, u32::try_from(dice.roll(2)).unwrap())
            }
            _ => options(|o| {
                o.set_flags = Some(u32::try_from(dice.roll(4)).unwrap() << 2 & 0xb);
                o.low_threshold = Some(u32::try_from(dice.roll(2)).unwrap());
            }),
        }
    }

    /// Submits a transaction of one to four operations, signed by all whom it
    /// needs, sometimes by one more or one less.
    fn submit(&mut self) {
        let source = self.dice.pick(&self.keys).clone();
        let Some(entry) = self.world.entry(&source) else {
            return;
        };
        let mut tx = Tx::new(&source, entry.seq_num.0.saturating_add(1));
        let mut signers: BTreeMap<[u8; 32], Key> = BTreeMap::new();
        signers.insert(source.bytes(), source.clone());
        for index in 0..=self.dice.roll(4) {
            let body = self.body();
            if matches!(body, OperationBody::CreateClaimableBalance(_)) {
                let index = u32::try_from(index).unwrap();
                self.balances.insert(balance_id(&source, tx.tx.seq_num.0, index));
            }
            if self.dice.roll(3) == 0 {
                let other = self.dice.pick(&self.keys).clone();
                signers.insert(other.bytes(), other.clone());
                tx = tx.op_by(&other, body);
            } else {
                tx = tx.op(body);
            }
        }
        if self.dice.roll(20) == 0 {
            let stray = self.dice.pick(&self.keys).clone();
            signers.insert(stray.bytes(), stray);
        }
        let signers: Vec<&Key> = signers.values().collect();
        let bumped = self.dice.roll(5) == 0;
        let tx = if bumped { tx.fee(0) } else { tx };
        let mut envelope = tx.sign(&self.world, &signers);
        if bumped {
            let payer = self.dice.pick(&self.keys).clone();
            envelope = bump(&self.world, &payer, 10_000, &envelope, &[&payer]);
        }
        let _ = self.world.submit(&envelope);
    }

    fn check(&self, seed: u64) {
        let world = &self.world;
        let mut native = i128::from(world.balance(&world.root));
        let mut held: BTreeMap<AccountId, usize> = BTreeMap::new();
        for id in &self.balances {
            let Some((balance, ext)) = world.claimable(id) else {
                continue;
            };
            assert!(balance.amount > 0, "seed {seed}");
            if balance.asset == Asset::Native {
                native += i128::from(balance.amount);
            }
            let LedgerEntryExt::V1(ext) = ext else {
                panic!("a balance without sponsor, seed {seed}");
            };
            *held.entry(ext.sponsoring_id.0.unwrap()).or_default() += balance.claimants.len();
        }
        for key in &self.keys {
            let Some(entry) = world.entry(key) else {
                assert!(!held.contains_key(&key.id()), "a sponsor is gone, seed {seed}");
                continue;
            };
            assert!(entry.balance >= 0, "seed {seed}");
            native += i128::from(entry.balance);
            let lines = self.assets.iter().filter(|a| world.trustline(key, a).is_some());
            let data = NAMES.iter().filter(|n| world.has_data(key, n));
            let subentries = lines.count() + data.count() + entry.signers.len();
            assert_eq!(usize::try_from(entry.num_sub_entries).unwrap(), subentries, "seed {seed}");
            let sponsoring = held.get(&key.id()).copied().unwrap_or(0);
            assert_eq!(num_sponsoring(&entry), sponsoring, "seed {seed}");
            assert!(entry.signers.is_sorted_by(|a, b| a.key < b.key), "seed {seed}");
        }
        let header = world.ledger.header();
        assert_eq!(native + i128::from(header.fee_pool), i128::from(header.total_coins), "seed {seed}");
    }
}

fn num_sponsoring(entry: &AccountEntry) -> usize {
    let AccountEntryExt::V1(v1) = &entry.ext else {
        return 0;
    };
    let AccountEntryExtensionV1Ext::V2(v2) = &v1.ext else {
        return 0;
    };
    assert_eq!(v2.signer_sponsoring_i_ds.len(), entry.signers.len());
    usize::try_from(v2.num_sponsoring).unwrap()
}

#[test]
fn after_every_ledger_balances_reserves_and_sponsors_add_up() {
    let mut included = 0;
    let mut succeeded = 0;
    for seed in 0..40 {
        let mut play = Play::new(seed);
        for _ in 0..12 {
            for _ in 0..ACCOUNTS {
                play.submit();
            }
            let closed = play.world.close();
            included += closed.transactions.len();
            succeeded += closed.transactions.iter().filter(|r| r.succeeded()).count();
            play.check(seed);
        }
    }
    // The dice must not have lost all sense.
    assert!(succeeded > 300 && included - succeeded > 300, "{succeeded} of {included}");
}

#[test]
fn changed_bytes_never_break_the_ledger() {
    let mut play = Play::new(7);
    let a = play.keys[2].clone();
    let mut answers = BTreeSet::new();
    for _ in 0..3_000 {
        let mut tx = play.world.next(&a);
        for _ in 0..3 {
            tx = tx.op(play.body());
        }
        let mut bytes = tx.sign(&play.world, &[&a]).to_xdr(Limits::none()).unwrap();
        for _ in 0..=play.dice.roll(3) {
            let at = play.dice.roll(bytes.len());
            bytes[at] ^= 1 << play.dice.roll(8);
        }
        bytes.truncate(bytes.len() - play.dice.roll(20) / 19);
        answers.insert(match play.world.ledger.submit(&bytes) {
            Err(_) => "not xdr",
            Ok(submitted) => match submitted.admission {
                Admission::Error(_) => "refused",
                Admission::Pending => "pending",
                Admission::Duplicate | Admission::TryAgainLater => "later",
            },
        });
        if play.dice.roll(50) == 0 {
            play.world.close();
        }
    }
    assert!(answers.contains("not xdr") && answers.contains("refused"));
    play.world.close();
}
