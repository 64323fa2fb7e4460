//! `community.*`: this node's role in a help exchange, and the exchange's terms.

use serde::Serialize;
use toml::Value;
use tradepost_protocol::account::AccountId;
use tradepost_protocol::amount::Stroops;
use tradepost_protocol::asset::Asset;
use tradepost_protocol::community::role::{Role, RoleSettings, plain_issuer_key};
use tradepost_protocol::community::{DEFAULT_FEE, Terms};

use super::values::{self, Read, wrong};
use super::{ConfigError, Reader, invalid};
use ed25519_dalek::SigningKey;

/// What each who joins gets unless told otherwise.
const DEFAULT_START: Stroops = Stroops::whole(5_000);
/// What the agent is given unless told otherwise.
const DEFAULT_ISSUE: Stroops = Stroops::whole(1_000_000);
/// For how long a payment may be asked back unless told otherwise, seconds: a week.
const DEFAULT_REPAY: u32 = 7 * 86_400;
/// The longest such window, seconds: a year.
const MAX_WINDOW: u32 = 366 * 86_400;

/// A role in a help exchange, before the node's keys are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommunityConfig {
    issuer: bool,
    clawable: String,
    plain: String,
    agent: Option<AccountId>,
    members: Vec<AccountId>,
    issue: Stroops,
    start: Stroops,
    fee: Stroops,
    repay_secs: u32,
    convert_secs: u32,
}

impl CommunityConfig {
    /// The role and the exchange's terms, for the node with this account.
    ///
    /// # Errors
    /// What doesn't fit together, in words.
    pub fn settings(&self, key: &SigningKey) -> Result<RoleSettings, String> {
        let own = AccountId::of(key);
        let code = |code: &str, issuer| Asset::issued(code, issuer).map_err(|e| format!("community: {e}"));
        let named = |name: &str, text: &str| text.parse::<Asset>().map_err(|e| format!("community.{name}: {e}"));
        let (clawable, plain, agent, role) = if self.issuer {
            let agent = self.agent.ok_or("community.agent is not set: an issuer gives what it issues to an agent")?;
            let plain = code(&self.plain, AccountId::of(&plain_issuer_key(key)))?;
            (code(&self.clawable, own)?, plain, agent, Role::Issuer { issue: self.issue })
        } else {
            let members = (!self.members.is_empty()).then(|| self.members.clone());
            (named("clawable", &self.clawable)?, named("plain", &self.plain)?, own, Role::Agent { members })
        };
        let terms = Terms {
            clawable,
            plain,
            agent,
            fee: self.fee,
            start: self.start,
            repay_secs: self.repay_secs.into(),
            convert_secs: self.convert_secs.into(),
        };
        terms.check().map_err(|e| e.to_string())?;
        Ok(RoleSettings { role, terms })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum RoleWord {
    Issuer,
    Agent,
}

fn role(value: &Value) -> Read<RoleWord> {
    match values::text(value)?.as_str() {
        "issuer" => Ok(RoleWord::Issuer),
        "agent" => Ok(RoleWord::Agent),
        _ => wrong("there is no such role", "\"issuer\" or \"agent\""),
    }
}

fn account(text: &str) -> Read<AccountId> {
    text.parse().or_else(|_| wrong("it is no account", "an account, G…"))
}

fn window(value: &Value) -> Read<u32> {
    values::count(value, 0, MAX_WINDOW, "seconds")
}

/// A code alone where the node issues the asset, CODE:ISSUER where another account does.
fn asset(value: &Value, issuer: bool) -> Read<String> {
    let text = values::text(value)?;
    let nobody = AccountId::from_bytes([0; 32]);
    match issuer {
        true if Asset::issued(&text, nobody).is_ok() => Ok(text),
        true => wrong("it is no code", "a code of 1 to 12 letters and digits, without issuer: that is this node"),
        false => values::asset(&text).map(|asset| asset.to_string()),
    }
}

impl Reader {
    /// The keys `community.*`, in the table's order.
    pub(super) fn community(&mut self) -> Result<Option<CommunityConfig>, ConfigError> {
        let word = self.or_maybe("community.role", role, None)?;
        let issuer = word == Some(RoleWord::Issuer);
        let clawable = self.or_maybe("community.clawable", |v| asset(v, issuer), None)?;
        let plain = self.or_maybe("community.plain", |v| asset(v, issuer), None)?;
        let agent = self.or_maybe("community.agent", |v| account(&values::text(v)?), None)?;
        let members = self.or("community.members", |v| values::items(v, account), Vec::new())?;
        let issue = self.coins("community.issue", DEFAULT_ISSUE)?;
        let start = self.coins("community.start", DEFAULT_START)?;
        let fee = self.coins("community.fee", DEFAULT_FEE)?;
        let repay_secs = self.or("community.repay_secs", window, DEFAULT_REPAY)?;
        let convert_secs = self.or("community.convert_secs", window, 0)?;
        if word.is_none() {
            return Ok(None);
        }
        let missing = |key: &'static str, right: &str| ConfigError::Missing {
            key,
            why: "community.role is set".to_owned(),
            right: right.to_owned(),
        };
        if issuer && agent.is_none() {
            return Err(missing("community.agent", "the account of whoever gives out what this node issues, G…"));
        }
        let right =
            if issuer { "a code such as \"ClawableHexa\"" } else { "CODE:ISSUER, as the issuer's node shows it" };
        let clawable = clawable.ok_or_else(|| missing("community.clawable", right))?;
        let plain = plain.ok_or_else(|| missing("community.plain", right))?;
        if clawable == plain {
            let (value, origin) = self.layers.get("community.plain").expect("it was just read");
            return Err(invalid("community.plain", value, origin, "it is community.clawable", "another asset"));
        }
        Ok(Some(CommunityConfig {
            issuer,
            clawable,
            plain,
            agent,
            members,
            issue,
            start,
            fee,
            repay_secs,
            convert_secs,
        }))
    }
}
