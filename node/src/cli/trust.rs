//! `tradepost wallet trust`: trustlines of the account.

use clap::Args;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;

use super::client::Client;
use super::failure::Failure;
use super::wallet::go_on;
use super::{Consent, Global, show};
use crate::api::request::NewTrust;
use crate::api::view::{Paid, TrustView};

/// Lets the account hold an issued asset, up to a limit; with the limit 0 it no longer does.
#[derive(Debug, Args)]
pub struct Trust {
    /// The asset: CODE:ISSUER.
    asset: Asset,
    /// The most that the account may hold of it, such as 500; as much as there can be unless told otherwise.
    #[arg(long, value_parser = Stroops::from_coins)]
    limit: Option<Stroops>,
    #[command(flatten)]
    consent: Consent,
}

impl Trust {
    pub(super) async fn run(self, global: &Global, client: &Client) -> Result<(), Failure> {
        let terminal = global.terminal_with(self.consent);
        let mut new = NewTrust { asset: self.asset, limit: self.limit.unwrap_or(Stroops::MAX), dry_run: true };
        let view: TrustView = client.post("/v1/wallet/trust", &new).await?;
        if !go_on(terminal.confirm(&question(&view))?)? {
            return Ok(terminal.print(&view, |_| String::new())?);
        }
        new.dry_run = false;
        let done: Paid = client.post("/v1/wallet/trust", &new).await?;
        let what = if new.limit.is_zero() { "removed" } else { "trusted" };
        Ok(terminal.print(&done, |done| format!("{what}  {}\n", done.transaction))?)
    }
}

/// What changes, what it costs, and what the issuer can do.
fn question(view: &TrustView) -> String {
    let act = match (view.before, view.limit) {
        (_, limit) if limit.is_zero() => format!("Remove the trustline for {}", view.asset),
        (None, limit) => format!("Trust {}, up to {}", view.asset, most(limit)),
        (Some(before), limit) => format!("Trust {}, up to {} instead of {}", view.asset, most(limit), most(before)),
    };
    let mut lines = vec![("  fee", format!("at most {}", show::native(view.fee)))];
    if view.limit.is_zero() {
        lines.push(("  reserve", format!("{} comes back", show::native(view.reserve))));
    } else if view.before.is_none() {
        let reserve = show::native(view.reserve);
        lines.push(("  reserve", format!("{reserve}, locked until the trustline is removed (--limit 0)")));
    } else {
        lines.push(("  holds", show::money(view.holds, &view.asset)));
    }
    if !view.limit.is_zero() {
        let powers = [
            (view.must_authorize, "must allow this account to hold it first"),
            (view.may_revoke, "may freeze what it holds"),
            (view.may_claw_back, "may take it back"),
        ];
        let powers: Vec<&str> = powers.into_iter().filter(|(may, _)| *may).map(|(_, what)| what).collect();
        if !powers.is_empty() {
            lines.push(("  issuer", powers.join("; ")));
        }
        if !view.accepted {
            let how = "not in this asset: it isn't among `assets` in the configuration";
            lines.push(("  trades", how.to_owned()));
        }
    }
    lines.push(("  free now", show::native(view.spendable_before)));
    format!("{act}\n{}", show::fields(lines).trim_end())
}

fn most(limit: Stroops) -> String {
    if limit == Stroops::MAX { "any amount".to_owned() } else { show::coins(limit) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::view::samples;

    #[test]
    fn the_question_says_reserve_fee_and_what_the_issuer_can_do() {
        let text = question(&samples::trust());
        for part in
            ["up to 5000", "0.00001 XLM", "0.5 XLM, locked until", "may freeze", "may take it back", "not in this"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(!text.contains("must allow"), "{text}");
    }

    #[test]
    fn a_removal_says_what_comes_back() {
        let view = TrustView { limit: Stroops::ZERO, before: Some(Stroops::MAX), ..samples::trust() };
        let text = question(&view);
        assert!(
            text.starts_with("Remove") && text.contains("0.5 XLM comes back") && !text.contains("issuer"),
            "{text}"
        );
        let raised = TrustView { limit: Stroops::MAX, before: Some(Stroops::whole(1)), ..samples::trust() };
        assert!(question(&raised).contains("up to any amount instead of 1"));
    }
}
