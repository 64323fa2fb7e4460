//! The client and the development ledger, which shares no code with it: both must have the protocol right.

use std::time::Duration;

use ed25519_dalek::SigningKey;
use tradepost_devnet::{Close, Config, Server};
use tradepost_ledger::{Funded, Ledger, LedgerError, RpcConfig, RpcLedger, Submitted, TxStatus};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::network_id::NetworkId;
use tradepost_protocol::stellar::entry::{AccountState, BalanceClaimant, Entry};
use tradepost_protocol::stellar::ledger_key::Key;
use tradepost_protocol::stellar::predicate::Predicate;
use tradepost_protocol::stellar::transaction::{Bounds, Envelope, Unsigned};
use tradepost_protocol::stellar::{LedgerPoint, Memo, Operation, balance_id, operation};
use tradepost_protocol::time::Timestamp;

/// A network that closes when told to, and the client.
struct World {
    server: Server,
    ledger: RpcLedger,
    network: NetworkId,
}

impl World {
    async fn new() -> Self {
        let server = Server::spawn(Config { close: Close::OnDemand, ..Config::default() }).await.unwrap();
        let ledger = RpcLedger::connect(RpcConfig::new(server.url()), &server.passphrase()).await.unwrap();
        let network = NetworkId::of_passphrase(&server.passphrase());
        Self { server, ledger, network }
    }

    /// An account with the friendbot's coins.
    async fn account(&self, seed: u8) -> SigningKey {
        let key = SigningKey::from_bytes(&[seed; 32]);
        self.ledger.fund_by_friendbot(AccountId::of(&key)).await.unwrap();
        key
    }

    async fn state(&self, id: AccountId) -> AccountState {
        let key = Key::Account(id);
        let read = self.ledger.read(std::slice::from_ref(&key)).await.unwrap();
        match &read.get(&key).unwrap().entry {
            Ok(Entry::Account(account)) => account.clone(),
            other => panic!("{other:?}"),
        }
    }

    async fn signed(&self, key: &SigningKey, operation: Operation, until: Timestamp) -> Envelope {
        let source = AccountId::of(key);
        let unsigned = Unsigned {
            source,
            sequence: self.state(source).await.sequence + 1,
            fee: 100,
            bounds: Bounds::until(until),
            memo: Memo::None,
            operations: vec![operation],
        };
        unsigned.sign(&[key], &self.network).unwrap()
    }

    /// A moment that no test reaches.
    async fn later(&self) -> Timestamp {
        self.ledger.latest().await.unwrap().close_time.plus(Duration::from_secs(3_600))
    }

    /// Submits, closes a ledger, and asks what became of it.
    async fn settle(&self, envelope: &Envelope) -> TxStatus {
        assert_eq!(self.ledger.submit(envelope.bytes()).await.unwrap(), Submitted::Pending);
        self.server.close();
        self.ledger.status(envelope.hash()).await.unwrap()
    }
}

fn amount(coins: u32) -> Stroops {
    Stroops::whole(coins)
}

#[tokio::test]
async fn a_network_with_another_passphrase_is_refused() {
    let world = World::new().await;
    let error = RpcLedger::connect(RpcConfig::new(world.server.url()), "Another network").await.unwrap_err();
    assert!(
        matches!(&error, LedgerError::WrongNetwork { found, .. } if *found == world.server.passphrase()),
        "{error}"
    );
    let facts = RpcLedger::ask_network(&RpcConfig::new(world.server.url())).await.unwrap();
    assert_eq!(facts.passphrase, world.server.passphrase());
}

#[tokio::test]
async fn a_payment_is_pending_then_included_and_moves_the_money() {
    let world = World::new().await;
    let (ann, ben) = (world.account(1).await, world.account(2).await);
    assert_eq!(world.ledger.fund_by_friendbot(AccountId::of(&ann)).await.unwrap(), Funded::Already);
    let before = world.state(AccountId::of(&ben)).await.balance;
    let until = world.later().await;
    let envelope = world.signed(&ann, operation::pay(AccountId::of(&ben), &Asset::Native, amount(7)), until).await;

    let since = world.ledger.latest().await.unwrap().sequence;
    assert_eq!(world.ledger.submit(envelope.bytes()).await.unwrap(), Submitted::Pending);
    assert_eq!(world.ledger.submit(envelope.bytes()).await.unwrap(), Submitted::Duplicate);
    let status = world.ledger.status(envelope.hash()).await.unwrap();
    assert!(matches!(status, TxStatus::NotFound { latest, .. } if latest.sequence == since), "{status:?}");

    world.server.close();
    let status = world.ledger.status(envelope.hash()).await.unwrap();
    assert!(matches!(&status, TxStatus::Success(found) if found.at.sequence == since + 1), "{status:?}");
    let after = world.state(AccountId::of(&ben)).await.balance;
    assert_eq!(after.minus(before), Some(amount(7)));
    let fees = world.ledger.fees().await.unwrap();
    assert!(fees.max.get() >= 100 && fees.transactions > 0, "{fees:?}");
}

#[tokio::test]
async fn a_failed_payment_is_included() {
    let world = World::new().await;
    let (ann, ben) = (world.account(1).await, world.account(2).await);
    let until = world.later().await;
    let pay = operation::pay(AccountId::of(&ben), &Asset::Native, amount(1_000_000));
    let envelope = world.signed(&ann, pay, until).await;
    match world.settle(&envelope).await {
        TxStatus::Failed(found) => assert_eq!(found.result.result.name(), "TxFailed"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_used_sequence_number_is_refused() {
    let world = World::new().await;
    let ann = world.account(1).await;
    let until = world.later().await;
    let pay = operation::pay(AccountId::of(&ann), &Asset::Native, amount(1));
    let first = world.signed(&ann, pay.clone(), until).await;
    let second = world.signed(&ann, pay, until.plus(Duration::from_secs(1))).await;
    assert!(matches!(world.settle(&first).await, TxStatus::Success(_)));
    match world.ledger.submit(second.bytes()).await.unwrap() {
        Submitted::Refused { result } => assert_eq!(result.result.name(), "TxBadSeq"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_pending_transaction_whose_max_time_passes_is_in_no_ledger_that_could_have_it() {
    let world = World::new().await;
    let ann = world.account(1).await;
    let begun = world.ledger.latest().await.unwrap();
    let (since, until) = (begun.sequence, begun.close_time);
    let pay = operation::pay(AccountId::of(&ann), &Asset::Native, amount(1));
    let envelope = world.signed(&ann, pay, until).await;
    let status = world.settle(&envelope).await;
    let dead = |latest: LedgerPoint, oldest: LedgerPoint| latest.close_time > until && oldest.sequence <= since + 1;
    assert!(matches!(status, TxStatus::NotFound { latest, oldest } if dead(latest, oldest)), "{status:?}");
}

#[tokio::test]
async fn a_claimable_balance_is_seen_with_its_sponsor_and_its_absence_with_its_ledger() {
    let world = World::new().await;
    let (ann, ben) = (world.account(1).await, world.account(2).await);
    let (ann_id, ben_id) = (AccountId::of(&ann), AccountId::of(&ben));
    let until = world.later().await;
    let id = balance_id::of_operation(ann_id, world.state(ann_id).await.sequence + 1, 0);
    let key = [Key::Balance(id)];
    assert_eq!(world.ledger.read(&key).await.unwrap().get(&key[0]), None);

    let claimants = [BalanceClaimant { account: ben_id, predicate: Predicate::Always }];
    let lock = operation::create_balance(&Asset::Native, amount(3), &claimants).unwrap();
    let envelope = world.signed(&ann, lock, until).await;
    assert!(matches!(world.settle(&envelope).await, TxStatus::Success(_)));
    let read = world.ledger.read(&key).await.unwrap();
    let Ok(Entry::Balance(balance)) = &read.get(&key[0]).unwrap().entry else { panic!("{read:?}") };
    assert_eq!((balance.amount, balance.sponsor), (amount(3), Some(ann_id)));
    assert_eq!(read.get(&key[0]).unwrap().last_modified, read.at().sequence);

    let envelope = world.signed(&ben, operation::claim(id), until).await;
    assert!(matches!(world.settle(&envelope).await, TxStatus::Success(_)));
    let gone = world.ledger.read(&key).await.unwrap();
    assert_eq!(gone.get(&key[0]), None);
    assert_eq!(gone.at().sequence, read.at().sequence + 1);
    assert!(gone.at().close_time > read.at().close_time);
}

#[tokio::test]
async fn accounts_balances_and_the_fee_pool_of_one_ledger_are_all_coins() {
    let world = World::new().await;
    let (ann, ben) = (world.account(1).await, world.account(2).await);
    let (ann_id, ben_id) = (AccountId::of(&ann), AccountId::of(&ben));
    let until = world.later().await;
    let id = balance_id::of_operation(ann_id, world.state(ann_id).await.sequence + 1, 0);
    let claimants = [BalanceClaimant { account: ben_id, predicate: Predicate::Always }];
    let lock = operation::create_balance(&Asset::Native, amount(3), &claimants).unwrap();
    let envelope = world.signed(&ann, lock, until).await;
    assert!(matches!(world.settle(&envelope).await, TxStatus::Success(_)));

    let root = AccountId::of(&SigningKey::from_bytes(world.network.as_bytes()));
    let friendbot = world.server.friendbot_address().parse().unwrap();
    let mut keys: Vec<Key> = [root, friendbot, ann_id, ben_id].map(Key::Account).into();
    keys.push(Key::Balance(id));
    let read = world.ledger.read(&keys).await.unwrap();
    assert_eq!(read.entries.len(), keys.len());
    let sum: i64 = read
        .entries
        .iter()
        .map(|read| match &read.entry {
            Ok(Entry::Account(account)) => account.balance.get(),
            Ok(Entry::Balance(balance)) => balance.amount.get(),
            other => panic!("{other:?}"),
        })
        .sum();
    let totals = read.oldest.totals;
    assert!(totals.fee_pool.get() > 0);
    assert_eq!(sum + totals.fee_pool.get(), totals.total_coins.get());
}

#[tokio::test]
async fn what_moved_an_asset_is_told_once_and_in_order_and_nothing_else() {
    let world = World::new().await;
    let (issuer, holder, later) = (world.account(1).await, world.account(2).await, world.later().await);
    let [issues, holds] = [&issuer, &holder].map(AccountId::of);
    let asset = Asset::issued("HEXA", issues).unwrap();
    let other = Asset::issued("OTHER", issues).unwrap();
    let begun = world.ledger.latest().await.unwrap().sequence;
    let mut moved = Vec::new();
    for (key, operation, counts) in [
        (&holder, operation::change_trust(&asset, Stroops::MAX).unwrap(), false),
        (&holder, operation::change_trust(&other, Stroops::MAX).unwrap(), false),
        (&issuer, operation::pay(holds, &asset, Stroops::whole(5)), true),
        (&issuer, operation::pay(holds, &other, Stroops::whole(5)), false),
        (&holder, operation::pay(issues, &Asset::Native, Stroops::whole(1)), false),
        (&holder, operation::pay(issues, &asset, Stroops::whole(6)), false),
        (&holder, operation::pay(issues, &asset, Stroops::whole(2)), true),
    ] {
        let envelope = world.signed(key, operation, later).await;
        world.settle(&envelope).await;
        if counts {
            moved.push(envelope.hash());
        }
    }
    let latest = world.ledger.latest().await.unwrap().sequence;
    let assets = [asset];
    let all = world.ledger.movements(&assets, 0).await.unwrap();
    assert_eq!((all.transactions, all.through, all.gap), (moved.clone(), latest, false));
    let from_the_last = world.ledger.movements(&assets, latest).await.unwrap();
    assert_eq!(from_the_last.transactions, moved[1..]);
    let none = world.ledger.movements(&assets, begun).await.unwrap().transactions;
    assert_eq!(none.len(), 2, "all of it came after");
    let nothing_new = world.ledger.movements(&assets, latest + 1).await.unwrap();
    assert_eq!((nothing_new.transactions, nothing_new.through), (Vec::new(), latest));
}
