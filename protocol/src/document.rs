//! Documents: signed I-JSON for people and templates.
//!
//! Every document is read in one way: the bytes are checked as I-JSON, the tree becomes the type (unknown members
//! are refused outside of `parameters`), and the type's own rules are checked. What exists is therefore valid, as far
//! as that can be said without knowing anything else.

use core::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::json;
use crate::kind::{Form, Kind};
use crate::limits::{MAX_DESCRIPTION_CHARS, MAX_DOCUMENT_BYTES, MAX_TITLE_CHARS};
use crate::refusal::{Reason, Refusal};

mod arbitration;
mod binding_request;
mod field;
mod offering;
mod service_record;
mod template;

pub use arbitration::{ArbiterService, Arbitration};
pub use binding_request::BindingRequest;
pub use field::{Commit, FieldError, InterfaceHash, Nonce, Repository, ServicePath};
pub use offering::{Offering, ServiceRef, Transport, Windows, series_of};
pub use service_record::ServiceRecord;
pub use template::{BuiltIn, Template, built_in, template_id};

#[cfg(test)]
pub(crate) use offering::tests::offering_with_arbiters;

/// Rules that a document's type can't express.
trait Rules {
    /// Checks them.
    fn check(&self) -> Result<(), RuleError>;
}

/// A rule of a document's own that a field breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("/{field}: {what}")]
struct RuleError {
    field: &'static str,
    what: String,
}

impl RuleError {
    fn new(field: &'static str, what: impl fmt::Display) -> Self {
        Self { field, what: what.to_string() }
    }
}

impl From<RuleError> for Refusal {
    fn from(error: RuleError) -> Self {
        Refusal::new(Reason::InvalidDocument, error)
    }
}

/// Reads a document's payload.
fn decode<T: DeserializeOwned + Rules>(kind: Kind, payload: &[u8]) -> Result<T, Refusal> {
    debug_assert!(matches!(kind.form(), Form::Document));
    let tree = json::parse(payload).map_err(|e| Refusal::new(Reason::Malformed, format_args!("{kind}: {e}")))?;
    let body: T = serde_json::from_value(Value::Object(tree)).map_err(|e| {
        // Read once more for the error alone: the text has lines and columns, the tree has none.
        let placed = serde_json::from_slice::<T>(payload).err().unwrap_or(e);
        Refusal::new(Reason::Malformed, format_args!("{kind}: {placed}"))
    })?;
    body.check()?;
    Ok(body)
}

/// Writes a document's payload; refuses what [`decode`] would.
fn encode<T: Serialize + DeserializeOwned + Rules>(kind: Kind, body: &T) -> Result<Vec<u8>, Refusal> {
    body.check()?;
    let bytes = serde_json::to_vec(body).map_err(|e| Refusal::new(Reason::InvalidDocument, e))?;
    if bytes.len() > MAX_DOCUMENT_BYTES {
        let detail = format!("a {kind} of {} bytes, at most {MAX_DOCUMENT_BYTES}", bytes.len());
        return Err(Refusal::new(Reason::TooLarge, detail));
    }
    decode::<T>(kind, &bytes)?;
    Ok(bytes)
}

/// A title or name: 1 to [`MAX_TITLE_CHARS`] characters in one line.
fn title(field: &'static str, text: &str) -> Result<(), RuleError> {
    if text.trim().is_empty() || text.chars().count() > MAX_TITLE_CHARS || text.contains('\n') {
        return Err(RuleError::new(field, format_args!("must be 1 to {MAX_TITLE_CHARS} characters in one line")));
    }
    Ok(())
}

/// A description: at most [`MAX_DESCRIPTION_CHARS`] characters, newlines allowed.
fn description(field: &'static str, text: &str) -> Result<(), RuleError> {
    if text.chars().count() > MAX_DESCRIPTION_CHARS {
        return Err(RuleError::new(field, format_args!("must be at most {MAX_DESCRIPTION_CHARS} characters")));
    }
    Ok(())
}

/// A list of distinct things, at least one and at most `most`.
fn distinct<T: Ord>(field: &'static str, list: &[T], most: usize) -> Result<(), RuleError> {
    let set: std::collections::BTreeSet<&T> = list.iter().collect();
    if list.is_empty() || list.len() > most || set.len() != list.len() {
        return Err(RuleError::new(field, format_args!("must list 1 to {most} different ones")));
    }
    Ok(())
}
