//! One JSON-RPC 2.0 request in a POST, as stellar-rpc takes it.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::Shared;
use crate::rpc::{INVALID_REQUEST, PARSE_ERROR, RpcError};

pub(super) async fn answer(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.trim_start().starts_with("application/json"));
    if !json {
        let reason = "send the content type application/json";
        return (StatusCode::UNSUPPORTED_MEDIA_TYPE, reason).into_response();
    }
    let request = match serde_json::from_slice::<Value>(&body) {
        Ok(request) => request,
        Err(error) => {
            let error = RpcError::new(PARSE_ERROR, format!("not JSON: {error}"));
            return reply(&Value::Null, Err(error));
        }
    };
    let request = match Call::parse(request) {
        Ok(request) => request,
        Err((id, error)) => return reply(&id, Err(error)),
    };
    let result = shared.client.rpc(&request.method, &request.params);
    match request.id {
        Some(id) => reply(&id, result),
        // Notifications get no answer.
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

struct Call {
    id: Option<Value>,
    method: String,
    params: Value,
}

impl Call {
    fn parse(request: Value) -> Result<Self, (Value, RpcError)> {
        let invalid = |id: Value, message: &str| (id, RpcError::new(INVALID_REQUEST, message));
        let Value::Object(mut request) = request else {
            return Err(invalid(Value::Null, "send one request object, no batch"));
        };
        let id = request.remove("id");
        if matches!(id, Some(Value::Bool(_) | Value::Array(_) | Value::Object(_))) {
            return Err(invalid(Value::Null, "id must be a string or a number"));
        }
        let told = id.clone().unwrap_or(Value::Null);
        if request.get("jsonrpc") != Some(&Value::from("2.0")) {
            return Err(invalid(told, "jsonrpc must be \"2.0\""));
        }
        let Some(Value::String(method)) = request.remove("method") else {
            return Err(invalid(told, "method must be a string"));
        };
        let params = request.remove("params").unwrap_or(Value::Null);
        Ok(Self { id, method, params })
    }
}

fn reply(id: &Value, result: Result<Value, RpcError>) -> Response {
    let mut answer = Map::new();
    answer.insert("jsonrpc".into(), json!("2.0"));
    answer.insert("id".into(), id.clone());
    match result {
        Ok(result) => answer.insert("result".into(), result),
        Err(error) => {
            let mut told = json!({ "code": error.code, "message": error.message });
            if let Some(data) = error.data {
                told["data"] = data;
            }
            answer.insert("error".into(), told)
        }
    };
    Json(Value::Object(answer)).into_response()
}
