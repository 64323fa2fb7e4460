//! What the help exchange's demo prints at its end.

use serde::{Deserialize, Serialize};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::message::TxHash;

use super::super::books::Signed;
use crate::terminal::Table;

/// Everything about one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HelpReport {
    /// All differences between what must be and what is, added up without their signs, in stroops.
    pub off_by_stroops: Signed,
    /// What each of the three held when all was paid, converted and taken back.
    pub members: Vec<MemberRow>,
    /// Both assets at that time.
    pub assets_then: Vec<AssetRow>,
    /// Both assets at the end.
    pub assets: Vec<AssetRow>,
    /// Each party's coins, from the friendbot and back.
    pub coins: Vec<CoinRow>,
    /// The transactions, each with the one that its memo names.
    pub chain: Vec<ChainRow>,
    /// Balances that still stand on the ledger.
    pub balances_left: usize,
    /// Accounts of theirs that are still there.
    pub accounts_left: usize,
    /// How long it took, seconds.
    pub elapsed_secs: u64,
}

/// What one member held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRow {
    /// Who.
    pub name: String,
    /// Of what.
    pub asset: Asset,
    /// What it must be.
    pub expected: Stroops,
    /// What the ledger says.
    pub found: Stroops,
}

/// One asset's books.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetRow {
    /// The asset.
    pub asset: Asset,
    /// All that its issuer ever gave.
    pub issued: Stroops,
    /// What is there now: in trustlines and in balances.
    pub held: Stroops,
    /// What was taken back, or came back to its issuer.
    pub burnt: Stroops,
}

/// One party's coins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoinRow {
    /// Who.
    pub name: String,
    /// Its account, which no longer exists.
    pub account: AccountId,
    /// What the friendbot gave.
    pub start: Stroops,
    /// What its transactions cost.
    pub fees: Stroops,
    /// What came back when the account ended: bonds and reserves are in it again.
    pub returned: Stroops,
    /// start − fees − returned.
    pub difference: Signed,
}

/// One transaction of the exchange's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainRow {
    /// Who.
    pub by: String,
    /// What it is.
    pub kind: String,
    /// Its hash.
    pub transaction: TxHash,
    /// What its memo names.
    pub memo: Option<TxHash>,
    /// The transaction before it, as the nodes draw it.
    pub previous: Option<TxHash>,
}

impl AssetRow {
    /// issued − held − burnt, in stroops.
    pub fn difference(&self) -> i128 {
        let of = |amount: Stroops| i128::from(amount.get());
        of(self.issued) - of(self.held) - of(self.burnt)
    }
}

impl HelpReport {
    /// The report for people.
    pub fn text(&self) -> String {
        let mut members = Table::new(&["WHEN ALL WAS PAID", "ASSET", "EXPECTED", "ON THE LEDGER"]);
        for MemberRow { name, asset, expected, found } in &self.members {
            members.row([name.clone(), asset.symbol().to_owned(), expected.coins(), found.coins()]);
        }
        let mut coins = Table::new(&["PARTY", "XLM AT FIRST", "- FEES", "= RETURNED", "DIFFERENCE"]);
        for CoinRow { name, start, fees, returned, difference, .. } in &self.coins {
            coins.row([name.clone(), start.coins(), fees.coins(), returned.coins(), difference.coins()]);
        }
        let mut chain = Table::new(&["TRANSACTION", "BY", "STEP", "ITS MEMO NAMES"]);
        let short = |hash: &TxHash| hash.to_string().chars().take(12).collect::<String>();
        for row in &self.chain {
            let named = row.memo.as_ref().map(short).unwrap_or_default();
            chain.row([short(&row.transaction), row.by.clone(), row.kind.clone(), named]);
        }
        let mut text = [members.render(), asset_table("WHEN ALL WAS PAID", &self.assets_then)].join("\n");
        for part in [chain.render(), coins.render(), asset_table("AT THE END", &self.assets)] {
            text.push('\n');
            text.push_str(&part);
        }
        text.push_str(&format!(
            "\nleft on the ledger: {} balances, {} accounts of theirs\noff by {} stroops, after {} s\n",
            self.balances_left, self.accounts_left, self.off_by_stroops.0, self.elapsed_secs
        ));
        text
    }
}

fn asset_table(when: &str, rows: &[AssetRow]) -> String {
    let mut table = Table::new(&[when, "ISSUED", "= HELD", "+ BURNT"]);
    for AssetRow { asset, issued, held, burnt } in rows {
        table.row([asset.symbol().to_owned(), issued.coins(), held.coins(), burnt.coins()]);
    }
    table.render()
}
