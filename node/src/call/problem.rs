//! Errors of calls, as programs read them (RFC 9457).

use std::fmt;

use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use tradepost_network::{CallBody, full_body};

use crate::problem_code::StableCode;

/// The media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// What went wrong with a call, with a stable code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The stable code.
    pub code: StableCode,
    /// What happened, and what to do.
    pub detail: String,
}

impl Problem {
    /// A problem.
    pub fn new(status: StatusCode, code: impl Into<StableCode>, detail: impl fmt::Display) -> Self {
        Self { status: status.as_u16(), code: code.into(), detail: detail.to_string() }
    }

    /// The problem as a response.
    pub fn into_response(self) -> Response<CallBody> {
        let body = serde_json::to_vec(&self).expect("texts and numbers are JSON");
        let mut response = Response::new(full_body(body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        response
    }
}
