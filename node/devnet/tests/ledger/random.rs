//! Random transactions, valid and not: whatever comes, the ledger's books
//! agree with each other.

use std::collections::{BTreeMap, BTreeSet};

use stellar_xdr::*;
use tradepost_devnet::Admission;

use crate::audit::Audit;
use crate::world::*;

pub const ACCOUNTS: usize = 8;
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

pub struct Play {
    pub world: World,
    audit: Audit,
    dice: Dice,
    keys: Vec<Key>,
    assets: Vec<Asset>,
    /// Every balance that ever was.
    balances: BTreeSet<ClaimableBalanceId>,
}

impl Play {
    pub fn new(seed: u64) -> Self {
        Self::of(World::new(), seed)
    }

    /// Plays in a network that has just begun.
    pub fn of(mut world: World, seed: u64) -> Self {
        let audit = Audit::new(&mut world);
        let keys: Vec<Key> = (0..ACCOUNTS).map(|n| world.account(&format!("k{n}"), 60 * XLM)).collect();
        let assets = vec![Asset::Native, keys[0].asset("USD"), keys[1].asset("EUR")];
        let flags = AccountFlags::RevocableFlag as u32 | AccountFlags::ClawbackEnabledFlag as u32;
        world.must(&keys[0], options(|o| o.set_flags = Some(flags)));
        Self { world, audit, dice: Dice(seed), keys, assets, balances: BTreeSet::new() }
    }

    fn body(&mut self) -> OperationBody {
        let dice = &mut self.dice;
        let other = dice.pick(&self.keys).clone();
        let asset = dice.pick(&self.assets).clone();
        let amount = dice.amount();
        match dice.roll(24) {
            0 => create_account(&other, amount),
            1 | 2 | 17 => pay(&other, asset, amount),
            3 => trust(&asset, amount),
            4 | 18 | 19 | 20 => {
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
            10 => begin(&other),
            11 => end(),
            12 => self.revocation(&other),
            13 => match asset {
                Asset::Native => end(),
                _ => trust_pool(pool_of(&asset), amount.min(1)),
            },
            14 => claw_back(&other, &asset, amount),
            15 => {
                let known: Vec<_> = self.balances.iter().cloned().collect();
                let missing = ClaimableBalanceId::ClaimableBalanceIdTypeV0(Hash([0; 32]));
                claw_back_balance(known.get(dice.roll(known.len() + 1)).unwrap_or(&missing))
            }
            16 => {
                let flags = [(0, 1), (1, 2), (3, 0), (2, 1), (4, 0)];
                let (clear, set) = *dice.pick(&flags);
                set_trust_flags(&other, &asset, clear, set)
            }
            _ => options(|o| {
                o.set_flags = Some(u32::try_from(dice.roll(4)).unwrap() << 2 & 0xb);
                o.low_threshold = Some(u32::try_from(dice.roll(2)).unwrap());
            }),
        }
    }

    fn revocation(&mut self, owner: &Key) -> OperationBody {
        let asset = self.dice.pick(&self.assets).clone();
        match self.dice.roll(6) {
            0 => revoke(account_key(owner)),
            1 => revoke(line_key(owner, &asset)),
            2 => revoke(data_key(owner, NAMES[self.dice.roll(NAMES.len())])),
            3 => revoke(share_key(owner, &asset)),
            4 => revoke_signer(owner, SignerKey::HashX(Uint256([7; 32]))),
            _ => {
                let known: Vec<_> = self.balances.iter().cloned().collect();
                let missing = ClaimableBalanceId::ClaimableBalanceIdTypeV0(Hash([0; 32]));
                revoke(balance_key(known.get(self.dice.roll(known.len() + 1)).unwrap_or(&missing)))
            }
        }
    }

    /// Submits a transaction of one to three operations, signed by all whom it
    /// needs, sometimes by one more or one less.
    pub fn submit(&mut self) {
        let source = self.dice.pick(&self.keys).clone();
        let Some(entry) = self.world.entry(&source) else {
            return;
        };
        let mut tx = Tx::new(&source, entry.seq_num.0.saturating_add(1));
        let mut signers: BTreeMap<[u8; 32], Key> = BTreeMap::new();
        signers.insert(source.bytes(), source.clone());
        // A third of them run on another's reserves.
        let sponsored = self.dice.roll(3) == 0;
        if sponsored {
            let sponsor = self.dice.pick(&self.keys).clone();
            tx = tx.op_by(&sponsor, begin(&source));
            signers.insert(sponsor.bytes(), sponsor);
        }
        for index in 0..=self.dice.roll(3) {
            let index = index + usize::from(sponsored);
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
        if sponsored {
            tx = tx.op(end());
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
        let mut books = Books::default();
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
            *books.sponsoring.entry(ext.sponsoring_id.0.unwrap()).or_default() += balance.claimants.len();
        }
        for key in &self.keys {
            self.add_entries(key, &mut books);
        }
        for key in &self.keys {
            let Some(entry) = world.entry(key) else {
                assert!(!books.sponsoring.contains_key(&key.id()), "a sponsor is gone, seed {seed}");
                continue;
            };
            assert!(entry.balance >= 0, "seed {seed}");
            native += i128::from(entry.balance);
            let counted = [&books.subentries, &books.sponsored, &books.sponsoring]
                .map(|counts| u32::try_from(counts.get(&key.id()).copied().unwrap_or(0)).unwrap());
            let (subentries, sponsored, sponsoring) = world.counters(key);
            assert_eq!([subentries, sponsored, sponsoring], counted, "seed {seed}");
            assert!(entry.signers.is_sorted_by(|a, b| a.key < b.key), "seed {seed}");
        }
        let header = world.ledger.header();
        assert_eq!(native + i128::from(header.fee_pool), i128::from(header.total_coins), "seed {seed}");
    }
}

/// Reserves by account, counted from the entries.
#[derive(Default)]
struct Books {
    subentries: BTreeMap<AccountId, usize>,
    sponsored: BTreeMap<AccountId, usize>,
    sponsoring: BTreeMap<AccountId, usize>,
}

impl Books {
    fn add(&mut self, owner: &Key, reserves: usize, sponsor: Option<AccountId>) {
        if let Some(sponsor) = sponsor {
            *self.sponsored.entry(owner.id()).or_default() += reserves;
            *self.sponsoring.entry(sponsor).or_default() += reserves;
        }
    }
}

impl Play {
    /// Counts an account and everything of it.
    fn add_entries(&self, key: &Key, books: &mut Books) {
        let world = &self.world;
        let Some(entry) = world.entry(key) else {
            return;
        };
        books.add(key, 2, world.sponsor(&account_key(key)));
        let lines = self.assets.iter().map(|asset| (line_key(key, asset), 1));
        let shares = self.assets.iter().map(|asset| (share_key(key, asset), 2));
        let data = NAMES.iter().map(|name| (data_key(key, name), 1));
        let mut subentries = entry.signers.len();
        for (under, reserves) in lines.chain(shares).chain(data) {
            if world.ledger.entry(&under).is_some() {
                subentries += reserves;
                books.add(key, reserves, world.sponsor(&under));
            }
        }
        books.subentries.insert(key.id(), subentries);
        for sponsor in signer_sponsors(&entry) {
            books.add(key, 1, sponsor);
        }
    }
}

fn signer_sponsors(entry: &AccountEntry) -> Vec<Option<AccountId>> {
    let AccountEntryExt::V1(v1) = &entry.ext else {
        return Vec::new();
    };
    let AccountEntryExtensionV1Ext::V2(v2) = &v1.ext else {
        return Vec::new();
    };
    assert_eq!(v2.signer_sponsoring_i_ds.len(), entry.signers.len());
    v2.signer_sponsoring_i_ds.iter().map(|descriptor| descriptor.0.clone()).collect()
}

fn share_key(owner: &Key, asset: &Asset) -> LedgerKey {
    let id = sha256(&pool_of(asset).to_xdr(Limits::none()).unwrap());
    LedgerKey::Trustline(LedgerKeyTrustLine {
        account_id: owner.id(),
        asset: TrustLineAsset::PoolShare(PoolId(Hash(id))),
    })
}

#[test]
fn after_every_ledger_balances_reserves_and_sponsors_add_up_and_its_account_of_itself_is_true() {
    let mut included = 0;
    let mut succeeded = 0;
    let mut sponsored = 0;
    let mut movements = 0;
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
            let keys = play.keys.iter().filter(|key| play.world.entry(key).is_some());
            sponsored += keys.filter(|key| play.world.counters(key).1 > 0).count();
        }
        play.audit.catch_up(&mut play.world);
        movements += play.audit.movements;
    }
    // The dice must not have lost all sense.
    assert!(succeeded > 300 && included - succeeded > 300, "{succeeded} of {included}");
    assert!(sponsored > 100, "{sponsored} sponsored accounts");
    assert!(movements > 300, "{movements} movements told");
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
