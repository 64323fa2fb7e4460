//! Errors of the API: problem details (RFC 9457) with a stable code and a remedy.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize, Serializer};
use tradepost_ledger::LedgerError;
use tradepost_network::NetworkError;
use tradepost_protocol::binding::precheck::PrecheckCode;
use tradepost_protocol::book::{FindError, ListingError};
use tradepost_protocol::market::command::CommandCode;
use tradepost_protocol::market::command::CommandError;
use tradepost_protocol::refusal::Refusal;

use crate::config::ConfigError;
use crate::problem_code::{ProblemCode, StableCode};

/// What a problem's type begins with; its code follows.
const TYPE: &str = "urn:tradepost:problem:";
/// What to do when an offering isn't found.
const LIST_ALL: &str = "`tradepost offering list --all` shows them all";
/// The media type of problem details.
const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request led to nothing. In JSON it also has a `type`, `urn:tradepost:problem:` and the code, and a `title`, the
/// HTTP status in words.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// A stable code for programs.
    pub code: String,
    /// What went wrong, for people.
    pub detail: String,
    /// What to do about it, where `detail` doesn't say.
    #[serde(default)]
    pub remedy: Option<String>,
}

impl Problem {
    /// A problem with its code and what went wrong.
    pub fn new(status: StatusCode, code: impl Into<StableCode>, detail: impl Into<String>) -> Self {
        Self { status: status.as_u16(), code: code.into().as_str().to_owned(), detail: detail.into(), remedy: None }
    }

    /// A request that makes no sense.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ProblemCode::BadRequest, detail)
    }

    /// Something that isn't here.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, CommandCode::NotFound, detail)
    }

    /// A part of the node that has ended or doesn't answer.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, ProblemCode::Unavailable, detail)
    }

    fn http_status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Adds what to do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Problem", 6)?;
        fields.serialize_field("type", &format!("{TYPE}{}", self.code))?;
        fields.serialize_field("title", self.http_status().canonical_reason().unwrap_or("Problem"))?;
        fields.serialize_field("status", &self.status)?;
        fields.serialize_field("code", &self.code)?;
        fields.serialize_field("detail", &self.detail)?;
        match &self.remedy {
            Some(remedy) => fields.serialize_field("remedy", remedy)?,
            None => fields.skip_field("remedy")?,
        }
        fields.end()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.http_status();
        let media_type = HeaderValue::from_static(MEDIA_TYPE);
        (status, [(header::CONTENT_TYPE, media_type)], Json(self)).into_response()
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        let status = match (&error, error.code()) {
            (_, "unknown-offering" | "not-found") => StatusCode::NOT_FOUND,
            (_, "ledger-unavailable") => StatusCode::SERVICE_UNAVAILABLE,
            (_, "units-out-of-bounds" | "price-overflow") => StatusCode::UNPROCESSABLE_ENTITY,
            (CommandError::Refused(_), _) => StatusCode::UNPROCESSABLE_ENTITY,
            (CommandError::Ledger(_), _) => StatusCode::BAD_GATEWAY,
            (CommandError::Timeout { .. }, _) => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::CONFLICT,
        };
        let remedy = match (&error, error.code()) {
            (CommandError::Refused(refusal), _) => Some(refusal.reason.remedy()),
            (CommandError::Community(refusal), _) => Some(refusal.code.rule().remedy),
            (_, "wallet-short") => Some(
                "add coins (`tradepost wallet fund` on a test network, `tradepost wallet link` from another wallet), or wait for locked ones",
            ),
            (_, "not-live" | "no-free-supply") => Some("`tradepost offering list` shows what can be bound now"),
            (_, "ledger-unavailable") => {
                Some("see `tradepost status`; the servers are `rpc_url` or `ledger.endpoints` in the configuration")
            }
            (_, "provider-unreachable") => {
                Some("try later, ask by gossip with `tradepost request publish`, or take another offering")
            }
            (_, "above-limit") => Some("`max_spend_per_trade` in the configuration is the limit"),
            (_, "ledger-refused") => Some("`tradepost wallet show` shows balance, reserves and open transactions"),
            _ => None,
        };
        let problem = Self::new(status, &error, error.to_string());
        Self { remedy: remedy.map(str::to_owned), ..problem }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        CommandError::Refused(refusal).into()
    }
}

impl From<FindError> for Problem {
    fn from(error: FindError) -> Self {
        let detail = error.to_string();
        match error {
            FindError::NotAnId(_) => Self::new(StatusCode::BAD_REQUEST, ProblemCode::NotAnId, detail).remedy(LIST_ALL),
            FindError::NotFound(_) => Self::not_found(detail).remedy(LIST_ALL),
            FindError::Ambiguous { .. } => Self::new(StatusCode::CONFLICT, ProblemCode::AmbiguousId, detail),
        }
    }
}

impl From<ListingError> for Problem {
    fn from(error: ListingError) -> Self {
        let bad = |code: ProblemCode, detail: String| Self::new(StatusCode::BAD_REQUEST, code, detail);
        match error {
            ListingError::PriceRange { from, to } => {
                let detail = format!("the prices from {} to {} hold nothing", from.coins(), to.coins());
                bad(ProblemCode::PriceRange, detail).remedy("give the lower one first")
            }
            ListingError::PageLimit(_) => bad(ProblemCode::PageLimit, error.to_string()),
        }
    }
}

impl From<ConfigError> for Problem {
    fn from(error: ConfigError) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, ProblemCode::InvalidService, error.to_string())
    }
}

impl From<NetworkError> for Problem {
    fn from(error: NetworkError) -> Self {
        Self::unavailable(error.to_string())
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        let (status, code) = match error {
            LedgerError::NoFriendbot { .. } => (StatusCode::CONFLICT, StableCode::from(ProblemCode::NoFriendbot)),
            _ => (StatusCode::SERVICE_UNAVAILABLE, PrecheckCode::LedgerUnavailable.into()),
        };
        Self::new(status, code, error.to_string())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use tradepost_protocol::amount::Stroops;
    use tradepost_protocol::binding::precheck::PrecheckFailure;

    fn of(failure: PrecheckFailure) -> Problem {
        CommandError::from(failure).into()
    }

    #[test]
    fn a_problem_has_its_golden_shape() {
        let short = PrecheckFailure::WalletShort {
            missing: Stroops::whole(1),
            needed: Stroops::whole(5),
            free: Stroops::whole(4),
        };
        let json = serde_json::to_string(&of(short)).unwrap();
        let golden = concat!(
            r#"{"type":"urn:tradepost:problem:wallet-short","title":"Conflict","status":409,"code":"wallet-short","#,
            r#""detail":"the wallet is 1.0000000 XLM short: amount, reserves and fees together need 5.0000000 XLM, "#,
            r#"what is free is 4.0000000 XLM","#,
            r#""remedy":"add coins (`tradepost wallet fund` on a test network, `tradepost wallet link` from another wallet), or wait for locked ones"}"#
        );
        assert_eq!(json, golden);
    }

    #[test]
    fn the_status_tells_what_is_absent_from_what_is_refused() {
        assert_eq!(of(PrecheckFailure::UnknownOffering("ab".into())).status, 404);
        assert_eq!(of(PrecheckFailure::OwnOffering).status, 409);
        assert_eq!(of(PrecheckFailure::LedgerUnavailable("down".into())).status, 503);
        assert_eq!(Problem::from(CommandError::Ledger("no".into())).status, 502);
        assert_eq!(Problem::from(FindError::NotAnId("x".into())).code, "not-an-id");
    }
}
