//! What the transactions of a run are for, in words: by the escrows that it knows, and by what earlier transactions made.

use std::collections::BTreeMap;

use stellar_xdr::{
    Claimant, CreateClaimableBalanceOp, FeeBumpTransactionInnerTx, OperationBody, Transaction, TransactionEnvelope,
};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::message::BalanceId;
use tradepost_protocol::stellar::{balance_id, xdr};

/// Reads transactions in the ledger's order.
#[derive(Debug)]
pub(super) struct Purposes {
    escrows: BTreeMap<BalanceId, String>,
    parties: BTreeMap<AccountId, String>,
    /// What settlements left, in words.
    left: BTreeMap<BalanceId, String>,
    /// The accounts that fundings made, by the trade.
    controllers: BTreeMap<AccountId, String>,
}

impl Purposes {
    /// With the names of escrows and of parties.
    pub(super) fn new(escrows: BTreeMap<BalanceId, String>, parties: BTreeMap<AccountId, String>) -> Self {
        Self { escrows, parties, left: BTreeMap::new(), controllers: BTreeMap::new() }
    }

    /// What a transaction is for; where that isn't known, its operations.
    pub(super) fn of(&mut self, envelope: &TransactionEnvelope) -> String {
        let transaction = match envelope {
            TransactionEnvelope::TxV0(v0) => return names(v0.tx.operations.iter().map(|op| &op.body)),
            TransactionEnvelope::Tx(v1) => &v1.tx,
            TransactionEnvelope::TxFeeBump(bump) => {
                let FeeBumpTransactionInnerTx::Tx(inner) = &bump.tx.inner_tx;
                &inner.tx
            }
        };
        self.known(transaction).unwrap_or_else(|| names(transaction.operations.iter().map(|op| &op.body)))
    }

    fn known(&mut self, transaction: &Transaction) -> Option<String> {
        let source = xdr::read_plain(&transaction.source_account)?;
        let first = transaction.operations.first()?;
        let acting = first.source_account.as_ref().map_or(Some(source), xdr::read_plain)?;
        let made = |index: usize| {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            balance_id::of_operation(source, transaction.seq_num.0, index)
        };
        let bodies = transaction.operations.iter().map(|op| &op.body);
        match &first.body {
            OperationBody::CreateClaimableBalance(_) => {
                let trade = self.escrows.get(&made(0))?.clone();
                for body in bodies {
                    if let OperationBody::CreateAccount(create) = body {
                        self.controllers.insert(xdr::read_account(&create.destination), trade.clone());
                    }
                }
                Some(format!("funding of {trade}, and the account that holds it"))
            }
            OperationBody::ClaimClaimableBalance(claim) => {
                let balance = balance_id::from_xdr(&claim.balance_id);
                if let Some(what) = self.left.get(&balance) {
                    return Some(what.clone());
                }
                let trade = self.escrows.get(&balance)?.clone();
                if transaction.operations.len() == 1 {
                    return Some(format!("{trade} taken back at T"));
                }
                for (index, body) in bodies.enumerate() {
                    if let OperationBody::CreateClaimableBalance(create) = body {
                        let whose = self.payee(create);
                        self.left.insert(made(index), format!("what {trade} left for {whose}"));
                    }
                }
                Some(format!("settlement of {trade}"))
            }
            OperationBody::SetOptions(_) => {
                Some(format!("unlocking of the account of {}", self.controllers.get(&acting)?))
            }
            OperationBody::AccountMerge(_) => {
                Some(format!("reserve back from the account of {}", self.controllers.get(&acting)?))
            }
            _ => None,
        }
    }

    fn payee(&self, create: &CreateClaimableBalanceOp) -> String {
        let whose = create.claimants.first().map(|Claimant::ClaimantTypeV0(v0)| xdr::read_account(&v0.destination));
        let name = whose.and_then(|account| self.parties.get(&account));
        name.map_or_else(|| "somebody".to_owned(), Clone::clone)
    }
}

fn names<'a>(bodies: impl Iterator<Item = &'a OperationBody>) -> String {
    let mut names: Vec<&str> = bodies.map(OperationBody::name).collect();
    names.dedup();
    names.join(", ")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use ed25519_dalek::SigningKey;
    use tradepost_protocol::amount::Stroops;
    use tradepost_protocol::asset::Asset;
    use tradepost_protocol::network_id::NetworkId;
    use tradepost_protocol::stellar::entry::BalanceClaimant;
    use tradepost_protocol::stellar::predicate::Predicate;
    use tradepost_protocol::stellar::transaction::{Bounds, Unsigned};
    use tradepost_protocol::stellar::{Memo, Operation, operation};
    use tradepost_protocol::time::Timestamp;

    use super::*;

    const BUYER: u8 = 1;
    const SELLER: u8 = 2;
    const ARBITER: u8 = 3;
    const CONTROLLER: u8 = 4;

    fn id(n: u8) -> AccountId {
        AccountId::of(&SigningKey::from_bytes(&[n; 32]))
    }

    fn envelope(by: u8, sequence: i64, operations: Vec<Operation>) -> TransactionEnvelope {
        let bounds = Bounds::until(Timestamp::from_secs(1));
        let unsigned = Unsigned { source: id(by), sequence, fee: 100, bounds, memo: Memo::None, operations };
        let signed = unsigned.sign(&[], &NetworkId::of_passphrase("purposes")).unwrap();
        stellar_xdr::ReadXdr::from_xdr(signed.bytes(), stellar_xdr::Limits::none()).unwrap()
    }

    fn balance(for_whom: u8) -> Operation {
        let claimant = BalanceClaimant { account: id(for_whom), predicate: Predicate::Always };
        operation::create_balance(&Asset::Native, Stroops::whole(1), &[claimant]).unwrap()
    }

    #[test]
    fn what_a_trade_does_on_the_ledger_has_words() {
        let [escrow, other] = [9, 10].map(|sequence| balance_id::of_operation(id(BUYER), sequence, 0));
        let left = balance_id::of_operation(id(SELLER), 5, 2);
        let escrows = [(escrow, "\"one\""), (other, "\"two\"")].map(|(id, name)| (id, name.to_owned()));
        let parties = [(id(ARBITER), "arbiter".to_owned())];
        let mut purposes = Purposes::new(BTreeMap::from(escrows), BTreeMap::from(parties));
        let of_controller = |operation| vec![operation::by(id(CONTROLLER), operation)];
        let settlement = vec![operation::claim(escrow), operation::pay(id(SELLER), &Asset::Native, Stroops::whole(1))];
        let settlement = settlement.into_iter().chain([balance(ARBITER)]).collect();
        let story = [
            (
                envelope(BUYER, 9, vec![balance(BUYER), operation::create_account(id(CONTROLLER), Stroops::ZERO)]),
                "funding of \"one\", and the account that holds it",
            ),
            (envelope(SELLER, 5, settlement), "settlement of \"one\""),
            (envelope(ARBITER, 2, vec![operation::claim(left)]), "what \"one\" left for arbiter"),
            (envelope(BUYER, 11, vec![operation::claim(other)]), "\"two\" taken back at T"),
            (
                envelope(BUYER, 12, of_controller(operation::set_master_weight(2))),
                "unlocking of the account of \"one\"",
            ),
            (
                envelope(BUYER, 13, of_controller(operation::merge(id(BUYER)))),
                "reserve back from the account of \"one\"",
            ),
            (envelope(BUYER, 14, vec![operation::merge(id(SELLER))]), "AccountMerge"),
        ];
        for (envelope, expected) in story {
            assert_eq!(purposes.of(&envelope), expected);
        }
    }
}
