//! `tradepost wallet`: what is there, what is locked and when it returns, and payments.

use clap::{Args, Subcommand};
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::binding::phase::Side;
use tradepost_protocol::message::TxHash;
use tradepost_protocol::stellar::memo::PaymentMemo;
use tradepost_protocol::time::Timestamp;

use super::client::Client;
use super::export::Export;
use super::failure::{Exit, Failure};
use super::link::Link;
use super::message::{Sign, Verify};
use super::recover::Recover;
use super::trust::Trust;
use super::{Consent, Global, show};
use crate::api::request::NewPayment;
use crate::api::view::{CONTROLLER, CostView, Funded, LockedView, Merging, Paid, SubmitterView, WalletView};
use crate::terminal::{Answer, Table, plain};

/// What to do with the wallet.
#[derive(Debug, Subcommand)]
pub enum WalletCommand {
    /// Shows balance, reserves, what is locked and when it returns, and open transactions.
    Show,
    /// Asks the network's friendbot for test money.
    Fund,
    /// Pays an account.
    Pay(Pay),
    /// Makes a link by which another wallet pays in what an offering, a request or a binding needs (SEP-7).
    Link(Link),
    /// Merges the accounts that carry transactions with deadlines back into the account.
    Merge,
    /// Finds escrows and bonds from the account's key alone, and takes them back when they are due.
    Recover(Recover),
    /// Lets the account hold an issued asset, or no longer: makes, changes or removes its trustline.
    Trust(Trust),
    /// Prints the account and public keys, and the secret key only where that is asked for. Needs no running node.
    Export(Export),
    /// Signs a message with the account's key (SEP-53). Needs no running node.
    Sign(Sign),
    /// Says whether a message is signed by an account's master key (SEP-53). Needs no running node.
    Verify(Verify),
}

/// Pays an account.
#[derive(Debug, Args)]
pub struct Pay {
    /// Whom (G…).
    to: AccountId,
    /// How much, in units of the asset, such as 2.5.
    #[arg(value_parser = Stroops::from_coins)]
    amount: Stroops,
    /// In what: native, or CODE:ISSUER.
    #[arg(long, default_value = "native")]
    asset: Asset,
    #[command(flatten)]
    memo: MemoFlags,
    #[command(flatten)]
    consent: Consent,
}

/// What a payment says besides its amount.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct MemoFlags {
    /// A memo of at most 28 bytes of text; some accounts ask for one, to know from whom a payment comes.
    #[arg(long, value_name = "TEXT")]
    memo: Option<String>,
    /// A memo that is a number.
    #[arg(long, value_name = "NUMBER")]
    memo_id: Option<u64>,
    /// A memo of 64 hex digits.
    #[arg(long, value_name = "HEX")]
    memo_hash: Option<TxHash>,
}

impl MemoFlags {
    fn memo(self) -> Option<PaymentMemo> {
        let text = self.memo.map(PaymentMemo::Text);
        text.or(self.memo_id.map(PaymentMemo::Id)).or(self.memo_hash.map(PaymentMemo::Hash))
    }
}

/// A memo for people.
fn told(memo: &PaymentMemo) -> String {
    match memo {
        PaymentMemo::Text(text) => format!("{:?}", plain(text)),
        PaymentMemo::Id(id) => id.to_string(),
        PaymentMemo::Hash(hash) => hash.to_string(),
    }
}

impl WalletCommand {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let terminal = global.terminal();
        let client = || Client::of(&global.home()?);
        match self {
            Self::Export(export) => export.run(global),
            Self::Sign(sign) => sign.run(global),
            Self::Verify(verify) => verify.run(global),
            Self::Show => {
                let client = client()?;
                let wallet: WalletView = client.get("/v1/wallet").await?;
                Ok(terminal.print(&wallet, |wallet| text(wallet, client.now()))?)
            }
            Self::Fund => {
                let funded: Funded = client()?.post("/v1/wallet/fund", &serde_json::json!({})).await?;
                Ok(terminal.print(&funded, |funded| match funded.created {
                    true => format!("{} is funded\n", funded.account),
                    false => format!("{} exists already; a friendbot gives to new accounts only\n", funded.account),
                })?)
            }
            Self::Trust(trust) => trust.run(global, &client()?).await,
            Self::Pay(pay) => pay.run(global, &client()?).await,
            Self::Link(link) => link.run(global, &client()?).await,
            Self::Merge => {
                let merging: Merging = client()?.post("/v1/wallet/merge", &serde_json::json!({})).await?;
                Ok(terminal.print(&merging, |merging| {
                    let accounts = merging.accounts.iter().map(|account| format!("{account} is on its way back\n"));
                    accounts.chain(["`tradepost wallet show` says when their coins are back\n".to_owned()]).collect()
                })?)
            }
            Self::Recover(recover) => recover.run(global, &client()?).await,
        }
    }
}

impl Pay {
    async fn run(self, global: &Global, client: &Client) -> Result<(), Failure> {
        let terminal = global.terminal_with(self.consent);
        let Self { to, amount, asset, memo, .. } = self;
        let mut payment = NewPayment { to, amount, asset, memo: memo.memo(), dry_run: true };
        let cost: CostView = client.post("/v1/wallet/pay", &payment).await?;
        let memo = payment.memo.as_ref().map(|memo| format!(", memo {}", told(memo))).unwrap_or_default();
        let act = format!("Pay {} to {to}{memo}\n{}", show::money(amount, &payment.asset), costs(&cost, client.now()));
        if !go_on(terminal.confirm(&act)?)? {
            return Ok(terminal.print(&cost, |_| String::new())?);
        }
        payment.dry_run = false;
        let paid: Paid = client.post("/v1/wallet/pay", &payment).await?;
        Ok(terminal.print(&paid, |paid| format!("paid  {}\n", paid.transaction))?)
    }
}

/// Whether to go on; `false` for a dry run.
///
/// # Errors
/// A [`Failure`] where the person, or nobody, said no.
pub(super) fn go_on(answer: Answer) -> Result<bool, Failure> {
    match answer {
        Answer::Yes => Ok(true),
        Answer::DryRun => Ok(false),
        Answer::No => Err(Failure::new(Exit::Refused, "you said no, and nothing was done")),
        Answer::NobodyThere => {
            let what = "nobody is there to agree, and nothing was done";
            Err(Failure::new(Exit::Refused, what).hint("say --yes where that is meant, or --dry-run to look only"))
        }
    }
}

/// What something costs, line by line.
pub(super) fn costs(cost: &CostView, now: Timestamp) -> String {
    let mut lines = vec![
        ("  amount", show::money(cost.amount, &cost.asset)),
        ("  fee", format!("at most {}", show::native(cost.fee))),
    ];
    let arbitrated = cost.held.as_ref().is_some_and(|held| !held.arbiters.is_empty());
    if !cost.reserve.is_zero() {
        let until = if arbitrated {
            "locked while the escrow is open; back once your node runs after T"
        } else {
            "locked beside it until then"
        };
        lines.push(("  reserve", format!("{}, {until}", show::native(cost.reserve))));
    }
    let at_the_latest = cost.returns_at.as_ref().map(|at| show::moment(at, now));
    lines.extend(at_the_latest.map(|at| match arbitrated {
        true => ("  T", at),
        false => ("  returns", format!("{at}, at the latest")),
    }));
    if let Some(held) = &cost.held {
        lines.push(("  escrow", held.kind.to_string()));
        lines.extend(held.arbiters.iter().map(|arbiter| {
            let fee = show::money(arbiter.fee, &cost.asset);
            ("  arbiter", format!("{}, {fee} for an award, out of the escrow", arbiter.account))
        }));
    }
    lines.extend(cost.protects.clone().map(|protects| ("  protects", protects)));
    if let Some(held) = &cost.held {
        let beneficiary = &held.beneficiary;
        lines.push((
            "  silence",
            format!("silence means the {beneficiary}: what isn't settled before T is the {beneficiary}'s"),
        ));
    }
    lines.extend(cost.issuer.iter().filter_map(|issuer| Some(("  issuer", issuer.warning()?))));
    lines.push(("  free now", show::native(cost.spendable_before)));
    show::fields(lines).trim_end().to_owned()
}

fn text(wallet: &WalletView, now: Timestamp) -> String {
    let Some(account) = wallet.account else {
        return "this node has no account key\n".to_owned();
    };
    if !wallet.exists {
        let missing = "doesn't exist on the ledger yet: `tradepost wallet fund`";
        return show::fields([("account", account.to_string()), ("", missing.to_owned())]);
    }
    let mut lines = vec![
        ("account", account.to_string()),
        ("balance", show::native(wallet.balance)),
        ("spendable", show::native(wallet.spendable)),
        ("reserved", show::native(wallet.reserved)),
    ];
    if !wallet.committed.is_zero() {
        lines.push(("committed", format!("{} by open transactions", show::native(wallet.committed))));
    }
    let mut text = show::fields(lines);
    let mut locked = Table::new(&["LOCKED", "FOR", "AMOUNT", "RESERVE", "RETURNS"]);
    for lock in &wallet.locked {
        let amount = if lock.what == CONTROLLER { "-".to_owned() } else { show::money(lock.amount, &lock.asset) };
        locked.row([lock.what.clone(), show::id(&lock.of), amount, show::native(lock.reserve), returns(lock, now)]);
    }
    let mut open = Table::new(&["TRANSACTION", "PURPOSE", "FOR", "STATE", "ENDS"]);
    for tx in &wallet.transactions {
        open.row([
            show::id(tx.hash),
            tx.purpose.clone(),
            show::id(&tx.of),
            tx.state.clone(),
            show::from_now(tx.max_time.timestamp(), now),
        ]);
    }
    let mut submitters = Table::new(&["SUBMITTER", "ACCOUNT", "BALANCE", "CARRIES"]);
    for submitter in &wallet.submitters {
        let SubmitterView { index, account, balance, busy } = submitter;
        submitters.row([index.to_string(), account.to_string(), show::native(*balance), busy.to_string()]);
    }
    for table in [locked.render(), open.render(), submitters.render()] {
        if !table.is_empty() {
            text.push('\n');
            text.push_str(&table);
        }
    }
    text
}

/// When something that is locked comes back, and if it does.
fn returns(lock: &LockedView, now: Timestamp) -> String {
    let at = lock.returns_at.timestamp();
    let from = show::from_now(at, now);
    let providers = lock.beneficiary.as_deref() == Some(Side::Provider.as_str());
    match (lock.may_be_collected, providers) {
        _ if lock.what == CONTROLLER && at > now => format!("{from}, by this node"),
        _ if lock.what == CONTROLLER => "soon, by this node".to_owned(),
        (true, true) => format!("the provider's {from}, unless settled"),
        (false, true) => "it is the provider's".to_owned(),
        (true, false) => format!("{from}, unless collected"),
        (false, false) => from,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::api::view::Moment;

    fn escrow(beneficiary: &str) -> LockedView {
        LockedView {
            what: "escrow".into(),
            of: "ab".repeat(32),
            balance: None,
            amount: Stroops::MAX,
            asset: Asset::Native,
            reserve: Stroops::new(15_000_000).unwrap(),
            returns_at: Moment::from(Timestamp::from_secs(1_090)),
            may_be_collected: true,
            beneficiary: Some(beneficiary.into()),
        }
    }

    fn wallet(locked: Vec<LockedView>) -> WalletView {
        WalletView {
            account: Some(AccountId::from_bytes([1; 32])),
            exists: true,
            balance: Stroops::whole(100),
            spendable: Stroops::whole(97),
            reserved: Stroops::whole(3),
            committed: Stroops::ZERO,
            locked,
            transactions: Vec::new(),
            submitters: vec![SubmitterView {
                index: 0,
                account: AccountId::from_bytes([2; 32]),
                balance: Stroops::new(12_500_000).unwrap(),
                busy: 1,
            }],
        }
    }

    #[test]
    fn what_is_locked_says_when_it_returns_within_100_columns() {
        let shown = text(&wallet(vec![escrow("consumer")]), Timestamp::from_secs(1_000));
        assert!(shown.contains("in 90 s, unless collected") && shown.contains("abababababab"), "{shown}");
        assert!(shown.contains("SUBMITTER") && shown.contains("1.25 XLM"), "{shown}");
        assert!(shown.contains("reserved    3 XLM") && !shown.contains("committed"), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
    }

    #[test]
    fn money_that_silence_gives_to_the_provider_is_not_said_to_return() {
        let shown = text(&wallet(vec![escrow("provider")]), Timestamp::from_secs(1_000));
        assert!(shown.contains("the provider's in 90 s, unless settled"), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
        let left = LockedView { may_be_collected: false, ..escrow("provider") };
        assert!(text(&wallet(vec![left]), Timestamp::from_secs(1_090)).contains("it is the provider's"));
    }

    #[test]
    fn a_controller_is_a_reserve_that_this_node_takes_back() {
        let left = LockedView {
            what: CONTROLLER.into(),
            amount: Stroops::ZERO,
            reserve: Stroops::whole(3),
            may_be_collected: false,
            beneficiary: None,
            ..escrow("consumer")
        };
        let wallet = wallet(vec![left]);
        for (now, says) in [(1_000, "3 XLM    in 90 s, by this node"), (1_090, "3 XLM    soon, by this node")] {
            let shown = text(&wallet, Timestamp::from_secs(now));
            assert!(shown.contains("controller  abababababab  -") && shown.contains(says), "{shown}");
        }
    }

    #[test]
    fn money_moves_only_on_a_yes() {
        assert_eq!(go_on(Answer::Yes), Ok(true));
        assert_eq!(go_on(Answer::DryRun), Ok(false));
        for answer in [Answer::No, Answer::NobodyThere] {
            assert_eq!(go_on(answer).unwrap_err().exit, Exit::Refused);
        }
    }
}
