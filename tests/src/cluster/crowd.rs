//! Others on the ledger, who fill it and pay more for their place than a node offers at first.

use ed25519_dalek::SigningKey;
use tradepost_ledger::{Ledger as _, RpcLedger};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::network_id::NetworkId;
use tradepost_protocol::stellar::entry::Entry;
use tradepost_protocol::stellar::ledger_key::Key;
use tradepost_protocol::stellar::operation;
use tradepost_protocol::stellar::transaction::{Bounds, Unsigned};
use tradepost_protocol::time::Timestamp;

use super::Nodes;

/// Operations of each of their transactions.
const OPERATIONS: u32 = 10;

/// Accounts that nobody's node runs with.
#[derive(Debug)]
pub struct Crowd {
    keys: Vec<SigningKey>,
    ledger: RpcLedger,
    network: NetworkId,
}

impl Crowd {
    /// So many of them, with the friendbot's money.
    ///
    /// # Panics
    /// Where the ledger doesn't answer.
    pub async fn of(nodes: &Nodes, count: u8) -> Self {
        let ledger = nodes.ledger().await.expect("the ledger answers");
        let passphrase = ledger.network().await.expect("the ledger answers").passphrase;
        let keys: Vec<SigningKey> = (1..=count).map(|n| SigningKey::from_bytes(&[n; 32])).collect();
        for key in &keys {
            ledger.fund_by_friendbot(AccountId::of(key)).await.expect("the friendbot gives");
        }
        Self { keys, ledger, network: NetworkId::of_passphrase(&passphrase) }
    }

    /// Each of them hands in a transaction that does nothing and offers so much for each of its operations. Whose last one
    /// still waits is refused, and that's fine.
    ///
    /// # Panics
    /// Where the ledger doesn't answer.
    pub async fn press(&self, fee_per_operation: u32) {
        let accounts: Vec<Key> = self.keys.iter().map(|key| Key::Account(AccountId::of(key))).collect();
        let read = self.ledger.read(&accounts).await.expect("the ledger answers");
        for (key, account) in self.keys.iter().zip(&accounts) {
            let Some(Ok(Entry::Account(state))) = read.get(account).map(|found| found.entry.clone()) else { continue };
            let idle = Unsigned {
                source: state.id,
                sequence: state.sequence + 1,
                fee: fee_per_operation * OPERATIONS,
                bounds: Bounds::until(Timestamp::from_secs(u64::from(u32::MAX))),
                memo: stellar_xdr::Memo::None,
                operations: (0..OPERATIONS).map(|_| operation::bump_sequence(0)).collect(),
            };
            let envelope = idle.sign(&[key], &self.network).expect("it is signed");
            self.ledger.submit(envelope.bytes()).await.expect("the ledger answers");
        }
    }
}
