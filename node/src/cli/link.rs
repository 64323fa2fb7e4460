//! `tradepost wallet link`: what another wallet signs, to pay in what is missing here.

use clap::Args;
use serde::Serialize;
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::stellar::link::{self, LinkError};
use tradepost_protocol::stellar::reserve::LedgerParams;

use super::client::Client;
use super::failure::{Exit, Failure};
use super::{Global, show};
use crate::api::view::StatusView;

/// Reserves that an account needs to exist.
const OWN_RESERVES: u32 = 2;

/// Makes a link by which another wallet pays coins in; where the account doesn't exist yet, by which it makes it.
#[derive(Debug, Args)]
pub struct Link {
    /// How much, in units of the asset, such as 2.5: what `bind` or `offering publish` says is missing. Left out, the
    /// other wallet asks for it.
    #[arg(value_parser = Stroops::from_coins)]
    amount: Option<Stroops>,
    /// In what: native, or CODE:ISSUER.
    #[arg(long, default_value = "native")]
    asset: Asset,
    /// What the other wallet shows with it, at most 300 characters. It isn't part of the payment.
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
}

/// What `wallet link --json` prints.
#[derive(Debug, Serialize)]
struct LinkView {
    link: String,
    account: AccountId,
    /// Whether it makes the account.
    makes_account: bool,
}

impl Link {
    pub(super) async fn run(self, global: &Global, client: &Client) -> Result<(), Failure> {
        let terminal = global.terminal();
        let status: StatusView = client.get("/v1/status").await?;
        let no_account = || Failure::new(Exit::NotFound, "this node has no account key");
        let wallet = status.wallet.ok_or_else(no_account)?;
        let account = wallet.account.ok_or_else(no_account)?;
        let passphrase = &status.network.passphrase;
        let wanted = link::Link { account, passphrase, message: self.message.as_deref() };
        let text = match wallet.exists {
            true => wanted.pay(self.amount, &self.asset).map_err(refused)?,
            false => wanted.create(self.first_coins()?).map_err(refused)?,
        };
        let view = LinkView { link: text, account, makes_account: !wallet.exists };
        terminal.print(&view, |view| format!("{}\n", view.link))?;
        let act = if view.makes_account { "makes the account and pays" } else { "pays" };
        terminal.say(&format!("Open it with the wallet that {act}; `tradepost wallet show` says when it is there."));
        if !self.asset.is_native() {
            terminal.say("The account must trust the asset before: `tradepost wallet trust`.");
        }
        Ok(())
    }

    /// What an account begins with that doesn't exist yet.
    fn first_coins(&self) -> Result<Stroops, Failure> {
        if !self.asset.is_native() {
            let what = format!("the account doesn't exist yet, and begins with XLM, not with {}", self.asset.symbol());
            return Err(Failure::new(Exit::Usage, what).hint("make a link for some XLM first"));
        }
        let least = LedgerParams::USUAL.reserves(OWN_RESERVES);
        let what = "the account doesn't exist yet, and a link that makes it must say how much it begins with";
        let hint = format!("at least {}, and what you want to lock or spend beside it", show::native(least));
        self.amount.filter(|amount| *amount >= least).ok_or_else(|| Failure::new(Exit::Usage, what).hint(hint))
    }
}

fn refused(error: LinkError) -> Failure {
    Failure::of(Exit::Usage, &error)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn an_account_that_is_not_there_begins_with_its_reserves_at_least() {
        let link = |amount: Option<&str>, asset: &str| Link {
            amount: amount.map(|amount| Stroops::from_coins(amount).unwrap()),
            asset: asset.parse().unwrap(),
            message: None,
        };
        assert_eq!(link(Some("1"), "native").first_coins(), Ok(Stroops::whole(1)));
        let issued = format!("HEXA:{}", AccountId::from_bytes([1; 32]));
        for (amount, asset) in [(None, "native"), (Some("0.9999999"), "native"), (Some("5"), issued.as_str())] {
            assert_eq!(link(amount, asset).first_coins().unwrap_err().exit, Exit::Usage, "{amount:?} {asset}");
        }
    }
}
