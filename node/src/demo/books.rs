//! The demo's books: what each party must have by the terms that were signed, beside what the ledger says.
//!
//! They are kept by nobody's party: everything is read over RPC, by asking for every key that the run made, at one
//! ledger, whose own header has the last word on the sums.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stellar_xdr::{Limits, MuxedAccount, ReadXdr as _, TransactionEnvelope, TransactionResultSet};
use tradepost_ledger::keyed::KeysRead;
use tradepost_ledger::{Found, Head, Ledger, LedgerError, TxStatus};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::message::{BalanceId, TxHash};
use tradepost_protocol::stellar::entry::Entry;
use tradepost_protocol::stellar::ledger_key::Key;

use super::purpose::Purposes;

/// Most entries of one read that is true of one ledger (the RPC's bound).
const MAX_KEYS: usize = 200;
/// How the purpose of a transaction begins that failed.
pub(super) const FAILED: &str = "failed: ";
/// Base reserves of an account without anything.
const ACCOUNT_RESERVES: i128 = 2;

/// Why the books can't be closed.
#[derive(Debug, thiserror::Error)]
pub enum BooksError {
    /// The ledger didn't answer.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A transaction that a node told of isn't in the ledger as it should be.
    #[error("the ledger has the transaction {hash} ({purpose}) not as a success: {state}")]
    NotASuccess {
        /// Which.
        hash: TxHash,
        /// What it was for.
        purpose: String,
        /// What it is instead.
        state: &'static str,
    },
    /// An account that must be there isn't.
    #[error("the ledger has no account {0}")]
    NoAccount(AccountId),
    /// Something that such a small run can't have.
    #[error("the run made {0} entries, more than one read of a ledger shows")]
    TooMany(usize),
    /// A ledger's own word that makes no sense.
    #[error("what ledger {0} says of itself can't be read: {1}")]
    Unreadable(u32, String),
    /// Someone else's transaction, whose fee is nobody's here.
    #[error("the transaction {0} is paid by an account that takes no part")]
    Stranger(TxHash),
}

/// An amount with a sign, in stroops; in JSON a decimal string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Signed(pub i128);

impl Signed {
    fn of(amount: Stroops) -> Self {
        Self(i128::from(amount.get()))
    }

    /// The amount for people: `-2.5000000`.
    pub fn coins(self) -> String {
        let (stroops, per_coin) = (self.0.unsigned_abs(), u128::from(Stroops::PER_COIN.unsigned_abs()));
        format!("{}{}.{:07}", if self.0 < 0 { "-" } else { "" }, stroops / per_coin, stroops % per_coin)
    }
}

impl Serialize for Signed {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Signed {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// What the signed terms do to one party's money; fees and reserves come from its transactions and entries.
#[derive(Debug, Clone, Default)]
struct Effects {
    paid: i128,
    received: i128,
    locked: i128,
    reserves: i128,
}

/// A party while the run goes on.
#[derive(Debug, Clone)]
struct Party {
    name: String,
    account: AccountId,
    start: Stroops,
    effects: Effects,
}

/// A claimable balance that the run made.
#[derive(Debug, Clone)]
struct Balance {
    what: String,
    id: BalanceId,
    expected: Stroops,
}

/// The books while the run goes on.
#[derive(Debug, Default)]
pub struct Books {
    parties: Vec<Party>,
    balances: Vec<Balance>,
    transactions: Vec<(TxHash, String)>,
    /// The escrows of trades, by the trade's name.
    escrows: BTreeMap<BalanceId, String>,
    /// Transactions that were found in ledgers, whoever made them and whatever they came to.
    found: Vec<TxHash>,
    /// The first ledger whose transactions aren't gathered yet.
    gathered_to: u32,
    fee_pool_at_start: Stroops,
}

impl Books {
    /// Books of these accounts, with what they have now. The fees that the ledger took before are none of ours.
    ///
    /// # Errors
    /// [`BooksError`].
    pub async fn open(ledger: &impl Ledger, accounts: &[(&str, AccountId)]) -> Result<Self, BooksError> {
        let keys: Vec<Key> = accounts.iter().map(|(_, account)| Key::Account(*account)).collect();
        let read = ledger.read(&keys).await?;
        let (fee_pool_at_start, gathered_to) = (read.newest.totals.fee_pool, read.newest.ledger.sequence + 1);
        let mut books = Self { fee_pool_at_start, gathered_to, ..Self::default() };
        for (name, account) in accounts {
            books.enter(name, *account, balance_of(&read, *account)?);
        }
        Ok(books)
    }

    /// Adds an account that another one made with this amount.
    pub fn newcomer(&mut self, name: &str, account: AccountId, by: &str, amount: Stroops) {
        self.effects(by).paid += Signed::of(amount).0;
        self.enter(name, account, amount);
    }

    fn enter(&mut self, name: &str, account: AccountId, start: Stroops) {
        self.parties.push(Party { name: name.to_owned(), account, start, effects: Effects::default() });
    }

    /// Notes a transaction that a node told of.
    pub fn transaction(&mut self, hash: TxHash, purpose: impl Into<String>) {
        // One transaction of the friendbot may make several accounts.
        if !self.transactions.iter().any(|(known, _)| *known == hash) {
            self.transactions.push((hash, purpose.into()));
        }
    }

    /// Takes in every transaction of the ledgers that closed since, also those that nobody told of.
    ///
    /// # Errors
    /// [`BooksError`] where a ledger can't be read.
    pub async fn gather(&mut self, ledger: &impl Ledger) -> Result<(), BooksError> {
        let newest = ledger.head().await?.ledger.sequence;
        while self.gathered_to <= newest {
            let record = ledger.record(self.gathered_to).await?;
            let results = TransactionResultSet::from_xdr(&record.results, Limits::none())
                .map_err(|e| BooksError::Unreadable(self.gathered_to, e.to_string()))?;
            for pair in results.results.iter() {
                let hash = TxHash::from_bytes(pair.transaction_hash.0);
                if !self.found.contains(&hash) && !self.transactions.iter().any(|(known, _)| *known == hash) {
                    self.found.push(hash);
                }
            }
            self.gathered_to += 1;
        }
        Ok(())
    }

    /// `amount` went from one party to another for good.
    pub fn paid(&mut self, from: &str, to: &str, amount: Stroops) {
        self.effects(from).paid += Signed::of(amount).0;
        self.effects(to).received += Signed::of(amount).0;
    }

    /// A party locked `amount` in a balance that still stands, with so many base reserves.
    pub fn locked(&mut self, by: &str, what: impl Into<String>, id: BalanceId, amount: Stroops, reserves: u32) {
        let effects = self.effects(by);
        effects.locked += Signed::of(amount).0;
        effects.reserves += i128::from(reserves);
        self.balances.push(Balance { what: what.into(), id, expected: amount });
    }

    /// A balance that was made and must be gone, with its reserves given back.
    pub fn closed(&mut self, what: impl Into<String>, id: BalanceId) {
        self.balances.push(Balance { what: what.into(), id, expected: Stroops::ZERO });
    }

    /// What the transactions are called that are found about an escrow.
    pub fn escrow(&mut self, trade: &str, id: BalanceId) {
        self.escrows.insert(id, format!("\"{trade}\""));
    }

    fn effects(&mut self, name: &str) -> &mut Effects {
        let index = self.parties.iter().position(|party| party.name == name);
        &mut self.parties[index.expect("the script names parties that it entered")].effects
    }

    /// Closes the books: reads every key of the run at one ledger and every transaction, and compares.
    ///
    /// # Errors
    /// [`BooksError`] where something can't be read; a difference is no error but a finding.
    pub async fn close(&self, ledger: &impl Ledger) -> Result<Findings, BooksError> {
        let mut transactions = Vec::with_capacity(self.transactions.len());
        let mut charges = Vec::with_capacity(self.transactions.len());
        for (hash, purpose) in &self.transactions {
            let found = success(ledger, *hash, purpose).await?;
            charges.push(Charge::of(&found));
            transactions.push((*hash, purpose.clone(), found));
        }
        let parties = self.parties.iter().map(|party| (party.account, party.name.clone())).collect();
        let mut purposes = Purposes::new(self.escrows.clone(), parties);
        for hash in &self.found {
            let (found, failed) = whatever_it_came_to(ledger, *hash).await?;
            let purpose = purposes.of(&found.envelope);
            charges.push(Charge::of(&found));
            transactions.push((*hash, if failed { format!("{FAILED}{purpose}") } else { purpose }, found));
        }
        let accounts = self.parties.iter().map(|party| Key::Account(party.account));
        let keys: Vec<Key> = accounts.chain(self.balances.iter().map(|balance| Key::Balance(balance.id))).collect();
        if keys.len() > MAX_KEYS {
            return Err(BooksError::TooMany(keys.len()));
        }
        let read = ledger.read(&keys).await?;
        self.compare(&read, &transactions, &charges)
    }

    fn compare(
        &self,
        read: &KeysRead,
        transactions: &[(TxHash, String, Found)],
        charges: &[Charge],
    ) -> Result<Findings, BooksError> {
        let head = &read.newest;
        let base_fee = i128::from(head.params.base_fee.get());
        let mut fees: BTreeMap<AccountId, i128> = BTreeMap::new();
        let mut shown = Vec::with_capacity(transactions.len());
        for ((hash, purpose, found), charge) in transactions.iter().zip(charges) {
            let party = self.parties.iter().find(|party| party.account == charge.payer);
            let party = party.ok_or(BooksError::Stranger(*hash))?;
            let expected = charge.operations * base_fee;
            *fees.entry(charge.payer).or_default() += expected;
            shown.push(TransactionFinding {
                hash: *hash,
                purpose: purpose.clone(),
                party: party.name.clone(),
                ledger: found.at.sequence,
                fee_expected: Signed(expected),
                fee_found: Signed(i128::from(found.result.fee_charged)),
            });
        }
        shown.sort_by_key(|row| row.ledger);
        let parties = self.parties.iter().map(|party| party.finding(read, &fees)).collect::<Result<Vec<_>, _>>()?;
        let mut balances: Vec<_> = self.balances.iter().map(|balance| balance.finding(read)).collect();
        let all_fees: i128 = fees.values().sum();
        let pool = Signed(Signed::of(self.fee_pool_at_start).0 + all_fees);
        balances.push(BalanceFinding::of("fee pool of the ledger", None, pool, Signed::of(head.totals.fee_pool)));
        Ok(Findings::sum_up(head, parties, balances, shown))
    }
}

impl Party {
    fn finding(&self, read: &KeysRead, fees: &BTreeMap<AccountId, i128>) -> Result<PartyFinding, BooksError> {
        let params = &read.newest.params;
        let Some(Entry::Account(state)) = entry(read, &Key::Account(self.account)) else {
            return Err(BooksError::NoAccount(self.account));
        };
        let Effects { paid, received, locked, reserves } = self.effects;
        let fees = fees.get(&self.account).copied().unwrap_or_default();
        let start = Signed::of(self.start).0;
        let expected = start + received - paid - locked - fees;
        let reserve = (ACCOUNT_RESERVES + reserves) * i128::from(params.base_reserve.get());
        let (found, reserve_found) = (Signed::of(state.balance), Signed::of(params.min_balance(state)));
        Ok(PartyFinding {
            name: self.name.clone(),
            account: self.account,
            start: Signed(start),
            received: Signed(received),
            paid: Signed(paid),
            locked: Signed(locked),
            fees: Signed(fees),
            expected: Signed(expected),
            found,
            difference: Signed(found.0 - expected),
            reserve_expected: Signed(reserve),
            reserve_found,
            reserve_difference: Signed(reserve_found.0 - reserve),
        })
    }
}

impl Balance {
    fn finding(&self, read: &KeysRead) -> BalanceFinding {
        let found = match entry(read, &Key::Balance(self.id)) {
            Some(Entry::Balance(state)) => state.amount,
            _ => Stroops::ZERO,
        };
        BalanceFinding::of(&self.what, Some(self.id), Signed::of(self.expected), Signed::of(found))
    }
}

/// Who pays for a transaction, and for how many operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Charge {
    payer: AccountId,
    operations: i128,
}

impl Charge {
    fn of(found: &Found) -> Self {
        let (source, operations) = match &found.envelope {
            TransactionEnvelope::TxV0(v0) => {
                return Self {
                    payer: AccountId::from_bytes(v0.tx.source_account_ed25519.0),
                    operations: v0.tx.operations.len() as i128,
                };
            }
            TransactionEnvelope::Tx(v1) => (&v1.tx.source_account, v1.tx.operations.len()),
            TransactionEnvelope::TxFeeBump(bump) => {
                let stellar_xdr::FeeBumpTransactionInnerTx::Tx(inner) = &bump.tx.inner_tx;
                // A fee bump counts as one operation more (CAP-15).
                (&bump.tx.fee_source, inner.tx.operations.len() + 1)
            }
        };
        let payer = match source {
            MuxedAccount::Ed25519(key) => key.0,
            MuxedAccount::MuxedEd25519(muxed) => muxed.ed25519.0,
        };
        Self { payer: AccountId::from_bytes(payer), operations: operations as i128 }
    }
}

async fn success(ledger: &impl Ledger, hash: TxHash, purpose: &str) -> Result<Found, BooksError> {
    let not = |state| BooksError::NotASuccess { hash, purpose: purpose.to_owned(), state };
    match ledger.status(hash).await? {
        TxStatus::Success(found) => Ok(*found),
        TxStatus::Failed(_) => Err(not("it failed")),
        TxStatus::NotFound { .. } => Err(not("it isn't found")),
    }
}

/// A transaction of a ledger, and whether it failed: that has cost its fee all the same.
async fn whatever_it_came_to(ledger: &impl Ledger, hash: TxHash) -> Result<(Found, bool), BooksError> {
    let missing = || BooksError::NotASuccess { hash, purpose: "found in a ledger".to_owned(), state: "it isn't found" };
    match ledger.status(hash).await? {
        TxStatus::Success(found) => Ok((*found, false)),
        TxStatus::Failed(found) => Ok((*found, true)),
        TxStatus::NotFound { .. } => Err(missing()),
    }
}

fn entry<'a>(read: &'a KeysRead, key: &Key) -> Option<&'a Entry> {
    read.get(key)?.entry.as_ref().ok()
}

fn balance_of(read: &KeysRead, account: AccountId) -> Result<Stroops, BooksError> {
    match entry(read, &Key::Account(account)) {
        Some(Entry::Account(state)) => Ok(state.balance),
        _ => Err(BooksError::NoAccount(account)),
    }
}

/// The closed books.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// All differences together, each without its sign; 0 is right.
    pub off_by_stroops: Signed,
    /// The ledger's own sums.
    pub ledger: LedgerSums,
    /// Which ledger all of this is true of.
    pub ledger_sequence: u32,
    /// One row a party.
    pub parties: Vec<PartyFinding>,
    /// One row a balance that the run made, and one for the fees.
    pub balances: Vec<BalanceFinding>,
    /// Every transaction of the run.
    pub transactions: Vec<TransactionFinding>,
}

/// The ledger's own sums, in stroops: the first three are the fourth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerSums {
    /// In all accounts.
    pub accounts: Signed,
    /// In all claimable balances.
    pub claimable: Signed,
    /// Fees, taken and kept by the ledger.
    pub fee_pool: Signed,
    /// All there is, as the ledger's header says.
    pub total: Signed,
}

/// One party: what it must have, and what it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartyFinding {
    /// Who.
    pub name: String,
    /// Its account.
    pub account: AccountId,
    /// What it had when the books were opened.
    pub start: Signed,
    /// What it must have got.
    pub received: Signed,
    /// What it must have spent.
    pub paid: Signed,
    /// What it must have locked and not back yet.
    pub locked: Signed,
    /// What its transactions cost by the ledger's base fee.
    pub fees: Signed,
    /// What it must have now.
    pub expected: Signed,
    /// What the ledger says.
    pub found: Signed,
    /// Found less expected.
    pub difference: Signed,
    /// What must stay in the account, for itself and the balances that it made.
    pub reserve_expected: Signed,
    /// What must, as the ledger says.
    pub reserve_found: Signed,
    /// Found less expected.
    pub reserve_difference: Signed,
}

/// One balance: what it must hold, and what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceFinding {
    /// What it is.
    pub what: String,
    /// Its id; `null` for what is no claimable balance.
    pub balance: Option<BalanceId>,
    /// What it must hold; 0 is gone.
    pub expected: Signed,
    /// What the ledger says.
    pub found: Signed,
    /// Found less expected.
    pub difference: Signed,
}

impl BalanceFinding {
    fn of(what: &str, balance: Option<BalanceId>, expected: Signed, found: Signed) -> Self {
        Self { what: what.to_owned(), balance, expected, found, difference: Signed(found.0 - expected.0) }
    }
}

/// One transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionFinding {
    /// Its hash.
    pub hash: TxHash,
    /// What it was for.
    pub purpose: String,
    /// Who paid its fee.
    pub party: String,
    /// The ledger that has it.
    pub ledger: u32,
    /// What its operations cost by the ledger's base fee.
    pub fee_expected: Signed,
    /// What it was charged.
    pub fee_found: Signed,
}

impl Findings {
    fn sum_up(
        head: &Head,
        parties: Vec<PartyFinding>,
        balances: Vec<BalanceFinding>,
        transactions: Vec<TransactionFinding>,
    ) -> Self {
        let claimable = balances.iter().filter(|row| row.balance.is_some()).map(|row| row.found.0).sum();
        let ledger = LedgerSums {
            accounts: Signed(parties.iter().map(|row| row.found.0).sum()),
            claimable: Signed(claimable),
            fee_pool: Signed::of(head.totals.fee_pool),
            total: Signed::of(head.totals.total_coins),
        };
        let lost = ledger.accounts.0 + ledger.claimable.0 + ledger.fee_pool.0 - ledger.total.0;
        let of_parties = parties.iter().flat_map(|row| [row.difference.0, row.reserve_difference.0]);
        let of_balances = balances.iter().map(|row| row.difference.0);
        let off = of_parties.chain(of_balances).chain([lost]).map(i128::abs).sum();
        let ledger_sequence = head.ledger.sequence;
        Self { off_by_stroops: Signed(off), ledger, ledger_sequence, parties, balances, transactions }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::time::Duration;

    use tradepost_devnet::{Close, Config, Server};
    use tradepost_ledger::{Funded, RpcConfig, RpcLedger};

    use super::*;

    const GIVEN: Stroops = Stroops::whole(10_000);

    async fn devnet() -> (Server, RpcLedger, AccountId, AccountId) {
        let close = Close::Every(Duration::from_millis(50));
        let server = Server::spawn(Config { close, ..Config::default() }).await.unwrap();
        let config = RpcConfig::new(server.url());
        let ledger = RpcLedger::connect(config, &server.passphrase()).await.unwrap();
        let status = reqwest::get(format!("{}/devnet/status", server.url())).await.unwrap();
        let status: serde_json::Value = serde_json::from_str(&status.text().await.unwrap()).unwrap();
        let account = |key: &str| status[key].as_str().unwrap().parse::<AccountId>().unwrap();
        (server, ledger, account("root"), account("friendbot"))
    }

    async fn one_account(ledger: &RpcLedger, books: &mut Books, by: &str, given: Stroops) {
        // Any key of the curve; nobody signs with it.
        let account = AccountId::from_bytes(ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key().to_bytes());
        let Funded::Created(Some(hash)) = ledger.fund_by_friendbot(account).await.unwrap() else { unreachable!() };
        books.newcomer("ann", account, by, given);
        books.transaction(hash, "friendbot");
    }

    #[tokio::test]
    async fn right_books_are_off_by_nothing_and_the_ledger_adds_up() {
        let (_server, ledger, root, friendbot) = devnet().await;
        let mut books = Books::open(&ledger, &[("root", root), ("friendbot", friendbot)]).await.unwrap();
        one_account(&ledger, &mut books, "friendbot", GIVEN).await;
        let found = books.close(&ledger).await.unwrap();
        assert_eq!(found.off_by_stroops, Signed(0), "{found:#?}");
        let sums = &found.ledger;
        assert_eq!(sums.accounts.0 + sums.claimable.0 + sums.fee_pool.0, sums.total.0);
        let ann = &found.parties[2];
        assert_eq!((ann.found, ann.reserve_found), (Signed::of(GIVEN), Signed(10_000_000)));
        assert_eq!(found.transactions[0].fee_found, Signed(100));
    }

    #[tokio::test]
    async fn every_stroop_that_is_missing_shows() {
        let (_server, ledger, root, friendbot) = devnet().await;
        let mut books = Books::open(&ledger, &[("root", root), ("friendbot", friendbot)]).await.unwrap();
        one_account(&ledger, &mut books, "root", GIVEN.minus(Stroops::new(3).unwrap()).unwrap()).await;
        let found = books.close(&ledger).await.unwrap();
        let by_party: Vec<i128> = found.parties.iter().map(|row| row.difference.0).collect();
        let given = Signed::of(GIVEN).0;
        assert_eq!(by_party, [given - 3, -given, 3]);
        assert_eq!(found.off_by_stroops, Signed(2 * given));
    }

    #[tokio::test]
    async fn an_account_that_was_forgotten_shows_in_the_sums() {
        let (_server, ledger, root, friendbot) = devnet().await;
        let mut books = Books::open(&ledger, &[("root", root), ("friendbot", friendbot)]).await.unwrap();
        let mut complete = Books::open(&ledger, &[("root", root), ("friendbot", friendbot)]).await.unwrap();
        one_account(&ledger, &mut complete, "friendbot", GIVEN).await;
        books.transactions = complete.transactions;
        books.effects("friendbot").paid = Signed::of(GIVEN).0;
        assert_eq!(books.close(&ledger).await.unwrap().off_by_stroops, Signed::of(GIVEN));
    }

    #[tokio::test]
    async fn a_transaction_that_the_ledger_does_not_have_is_an_error() {
        let (_server, ledger, root, _) = devnet().await;
        let mut books = Books::open(&ledger, &[("root", root)]).await.unwrap();
        books.transaction(TxHash::from_bytes([1; 32]), "made up");
        let refused = books.close(&ledger).await.unwrap_err().to_string();
        assert!(refused.contains("made up") && refused.contains("isn't found"), "{refused}");
    }

    #[test]
    fn amounts_with_a_sign_are_decimal_strings() {
        assert_eq!(serde_json::to_string(&Signed(-25)).unwrap(), "\"-25\"");
        assert_eq!(serde_json::from_str::<Signed>("\"-25\"").unwrap(), Signed(-25));
        assert_eq!(Signed(-25_000_000).coins(), "-2.5000000");
    }
}
