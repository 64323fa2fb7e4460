//! Reads parameters: what isn't there is null, what isn't known is passed
//! over, what has the wrong type is refused with its name.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::RpcError;

/// The most ledgers or transactions on one page.
pub const MAX_PAGE: u64 = 200;
/// How many there are unless told otherwise.
const USUAL_PAGE: u64 = 50;

/// The members of a JSON object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Params<'a>(&'a Map<String, Value>);

impl<'a> Params<'a> {
    pub(super) fn new(members: &'a Map<String, Value>) -> Self {
        Self(members)
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, RpcError> {
        self.get(name).map(|value| value.as_str().ok_or_else(|| wrong(name, "a string"))).transpose()
    }

    pub(super) fn number<T: TryFrom<u64>>(&self, name: &str) -> Result<Option<T>, RpcError> {
        let parse = |value: &Value| value.as_u64().and_then(|number| T::try_from(number).ok());
        self.get(name).map(|value| parse(value).ok_or_else(|| wrong(name, "a number in range"))).transpose()
    }

    pub(super) fn object(&self, name: &str) -> Result<Option<Params<'a>>, RpcError> {
        let parse = |value: &'a Value| value.as_object().map(Self::new);
        self.get(name).map(|value| parse(value).ok_or_else(|| wrong(name, "an object"))).transpose()
    }

    /// Returns the elements of a list; none where there is no list.
    pub(super) fn list(&self, name: &str) -> Result<&'a [Value], RpcError> {
        match self.get(name) {
            None => Ok(&[]),
            Some(value) => value.as_array().map(Vec::as_slice).ok_or_else(|| wrong(name, "a list")),
        }
    }

    /// Only the base64 form of XDR is spoken here.
    pub(super) fn check_format(&self) -> Result<(), RpcError> {
        match self.text("xdrFormat")? {
            None | Some("" | "base64") => Ok(()),
            Some(format) => {
                Err(RpcError::params(format!("xdrFormat {format:?}: the development ledger speaks \"base64\" only")))
            }
        }
    }

    /// Reads where a page of ledgers or transactions begins and how long it
    /// is. A page that begins outside of the ledgers that are kept is a wrong
    /// request.
    pub(super) fn page(&self, kept: RangeInclusive<u32>) -> Result<Page<'a>, RpcError> {
        let start: u32 = self.number("startLedger")?.unwrap_or(0);
        let pagination = self.object("pagination")?;
        let (cursor, limit) = match pagination {
            None => (None, 0),
            Some(p) => (p.text("cursor")?.filter(|cursor| !cursor.is_empty()), p.number("limit")?.unwrap_or(0)),
        };
        self.check_format()?;
        match cursor {
            Some(cursor) if start != 0 => {
                let message = format!("startLedger ({start}) and cursor ({cursor}) cannot both be set");
                return Err(RpcError::request(message));
            }
            None if !kept.contains(&start) => {
                let (oldest, latest) = kept.into_inner();
                return Err(RpcError::request(format!(
                    "start ledger ({start}) must be between the oldest ledger: {oldest} and the latest ledger: \
                     {latest} for this rpc instance"
                )));
            }
            _ => {}
        }
        if limit > MAX_PAGE {
            return Err(RpcError::request(format!("limit must not exceed {MAX_PAGE}")));
        }
        let limit = if limit == 0 { USUAL_PAGE } else { limit };
        Ok(Page { start, cursor, limit: usize::try_from(limit).expect("a small number") })
    }
}

/// A page that is asked for.
#[derive(Debug)]
pub(super) struct Page<'a> {
    /// Its first ledger, where there is no cursor.
    pub(super) start: u32,
    /// Where the page before ended.
    pub(super) cursor: Option<&'a str>,
    pub(super) limit: usize,
}

fn wrong(name: &str, wanted: &str) -> RpcError {
    RpcError::params(format!("invalid parameters: {name} must be {wanted}"))
}
