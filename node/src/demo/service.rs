//! The service that the demo sells: small, real, and a process of its own.
//!
//! ```text
//! POST /add    {"a":10,"b":32}    -> {"sum":42}
//! POST /upper  {"text":"help"}    -> {"text":"HELP"}
//! GET  /healthz                   -> ok
//! ```
//!
//! Told to be idle it is healthy, and does nothing that it is asked for.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use rustix::process::{Pid, getppid};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

/// Largest request body, bytes.
const MAX_BODY: usize = 16 * 1024;
/// How often it looks whether the node that started it still lives.
const PARENT_CHECKED_EVERY: Duration = Duration::from_millis(200);

/// What `/add` takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Terms {
    a: i64,
    b: i64,
}

/// What `/add` answers.
#[derive(Debug, Serialize)]
struct Sum {
    sum: i64,
}

/// What `/upper` takes and answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    text: String,
}

/// Serves on this port of the loopback address until the process that started it is gone: a node that is killed can't
/// stop its services, and nobody would start this one's node again.
///
/// # Errors
/// The system's, where the port is taken or can't be served.
pub async fn serve(port: u16, idle: bool) -> io::Result<()> {
    let parent = getppid();
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    tokio::select! {
        served = axum::serve(listener, router(idle)).into_future() => served,
        () = orphaned(parent) => Ok(()),
    }
}

fn router(idle: bool) -> Router {
    let healthy = Router::new().route("/healthz", get(|| async { "ok" }));
    if idle {
        return healthy.fallback(|| async { StatusCode::SERVICE_UNAVAILABLE });
    }
    healthy.route("/add", post(add)).route("/upper", post(upper)).layer(DefaultBodyLimit::max(MAX_BODY))
}

async fn add(Json(Terms { a, b }): Json<Terms>) -> Result<Json<Sum>, StatusCode> {
    a.checked_add(b).map(|sum| Json(Sum { sum })).ok_or(StatusCode::UNPROCESSABLE_ENTITY)
}

async fn upper(Json(words): Json<Words>) -> Json<Words> {
    Json(Words { text: words.text.to_uppercase() })
}

async fn orphaned(parent: Option<Pid>) {
    while getppid() == parent {
        tokio::time::sleep(PARENT_CHECKED_EVERY).await;
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    async fn started(idle: bool) -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, router(idle)).into_future());
        format!("http://{address}")
    }

    async fn post(url: String, body: &str) -> (u16, String) {
        let request = reqwest::Client::new().post(url).header("content-type", "application/json").body(body.to_owned());
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    #[tokio::test]
    async fn ten_and_thirty_two_are_forty_two() {
        let url = started(false).await;
        assert_eq!(post(format!("{url}/add"), r#"{"a":10,"b":32}"#).await, (200, r#"{"sum":42}"#.to_owned()));
        assert_eq!(post(format!("{url}/upper"), r#"{"text":"help"}"#).await, (200, r#"{"text":"HELP"}"#.to_owned()));
        assert_eq!(reqwest::get(format!("{url}/healthz")).await.unwrap().text().await.unwrap(), "ok");
    }

    #[tokio::test]
    async fn what_can_not_be_added_is_refused() {
        let url = format!("{}/add", started(false).await);
        let too_much = format!(r#"{{"a":{},"b":1}}"#, i64::MAX);
        for body in [too_much.as_str(), "{}", r#"{"a":1,"b":2,"c":3}"#, "no JSON"] {
            let (status, _) = post(url.clone(), body).await;
            assert!((400..500).contains(&status), "{body}: {status}");
        }
    }

    #[tokio::test]
    async fn an_idle_one_is_healthy_and_does_nothing() {
        let url = started(true).await;
        assert_eq!(reqwest::get(format!("{url}/healthz")).await.unwrap().status(), 200);
        assert_eq!(post(format!("{url}/add"), r#"{"a":10,"b":32}"#).await.0, 503);
    }

    #[tokio::test]
    async fn it_ends_with_the_process_that_started_it() {
        let another = Pid::from_raw(i32::MAX);
        tokio::time::timeout(Duration::from_secs(10), orphaned(another)).await.unwrap();
    }
}
