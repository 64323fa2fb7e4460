//! The command line's way to the node: its API, found by the home's `run.json` and token.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use tradepost_protocol::time::Timestamp;
use zeroize::Zeroizing;

use super::failure::{Exit, Failure};
use crate::api::problem::Problem;
use crate::api::{COMMAND_TIMEOUT, Change, NOW_HEADER, READ_TIMEOUT};
use crate::home::{Home, RunState};

/// How long connecting with a process of this machine may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// What the client waits beyond the API's own deadlines.
const GRACE: Duration = Duration::from_secs(5);
/// Largest answer that is read whole, bytes.
const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// Largest part of a stream of events that is kept until an event is whole, bytes.
const MAX_EVENT: usize = 64 * 1024;

/// The running node of a home.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Zeroizing<String>,
    now: AtomicU64,
}

/// Has a connection for each request: the node closes one on which nothing is asked, and whoever took it at that moment
/// couldn't tell whether the node has done what it asked for.
fn http() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().no_proxy().connect_timeout(CONNECT_TIMEOUT).pool_max_idle_per_host(0).build()
}

impl Client {
    /// The client of the node that runs from this home.
    ///
    /// # Errors
    /// A [`Failure`] that says that none runs, and what to do.
    pub fn of(home: &Home) -> Result<Self, Failure> {
        let shown = home.dir().display();
        let run = match home.run_state()? {
            RunState::Running(run) => run,
            RunState::Stale(_) => {
                let what = format!("the node of {shown} has ended without a word");
                return Err(Failure::new(Exit::Unreachable, what).hint("start it again: `tradepost run`"));
            }
            RunState::Absent => {
                let what = format!("no node runs from {shown}");
                return Err(
                    Failure::new(Exit::Unreachable, what).hint("start it: `tradepost run`, in another terminal")
                );
            }
        };
        let no_token = || Failure::new(Exit::Failed, format!("the node's token is missing in {shown}"));
        let token = home.api_token()?.ok_or_else(|| no_token().hint("stop the node and start it again"))?;
        let http = http().map_err(|e| Failure::of(Exit::Failed, &e))?;
        Ok(Self { http, base: run.api, token, now: AtomicU64::new(0) })
    }

    /// The client of an API at this address.
    #[cfg(test)]
    pub(super) fn to(base: &str) -> Self {
        let http = http().expect("a client");
        Self { http, base: base.to_owned(), token: Zeroizing::default(), now: AtomicU64::new(0) }
    }

    /// Reads a resource.
    ///
    /// # Errors
    /// A [`Failure`] with what the node says.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.read(self.request(Method::GET, path).timeout(READ_TIMEOUT + GRACE)).await
    }

    /// Reads a resource with a query, whose fields are texts, numbers and truths.
    ///
    /// # Errors
    /// As for [`Client::get`].
    pub async fn get_with<T: DeserializeOwned>(&self, path: &str, query: &impl Serialize) -> Result<T, Failure> {
        self.get(&format!("{path}?{}", encoded(query))).await
    }

    /// Has the node do something, and waits for what that led to.
    ///
    /// # Errors
    /// A [`Failure`] with what the node says.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        self.read(self.request(Method::POST, path).json(body).timeout(COMMAND_TIMEOUT + GRACE)).await
    }

    /// A request to be completed by the caller. Without a deadline, for what streams.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(self.token.as_str())
    }

    /// As [`Client::request`], with the token apart, so that `Authorization` is the called service's.
    pub fn call(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        request.header(crate::api::access::TOKEN_HEADER, self.token.as_str())
    }

    /// Begins to watch what changes.
    ///
    /// # Errors
    /// A [`Failure`] with what the node says.
    pub async fn watch(&self) -> Result<Watch, Failure> {
        let response = self.request(Method::GET, "/v1/events").send().await.map_err(|e| unreachable(&e))?;
        Ok(Watch { response: self.checked(response).await?, read: Vec::new() })
    }

    /// The node's time as of its last answer; this machine's before there is one.
    pub fn now(&self) -> Timestamp {
        match self.now.load(Ordering::Relaxed) {
            0 => {
                let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                Timestamp::from_secs(since.map_or(0, |since| since.as_secs()))
            }
            secs => Timestamp::from_secs(secs),
        }
    }

    async fn read<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failure> {
        let response = request.send().await.map_err(|e| unreachable(&e))?;
        let bytes = whole(self.checked(response).await?).await?;
        serde_json::from_slice(&bytes).map_err(|e| {
            let what = "the node's answer makes no sense to this program";
            Failure::new(Exit::Failed, what).because(&e).hint("is the node of another version? start it again")
        })
    }

    /// Lets a good answer through and turns a problem into a failure.
    ///
    /// # Errors
    /// A [`Failure`] with what the node says.
    pub async fn checked(&self, response: Response) -> Result<Response, Failure> {
        let now = response.headers().get(NOW_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
        self.now.store(now.unwrap_or_else(|| self.now.load(Ordering::Relaxed)), Ordering::Relaxed);
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let bytes = whole(response).await?;
        match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) => Err(failure(problem)),
            Err(_) => Err(Failure::new(Exit::Failed, format!("the node answers {status}"))),
        }
    }
}

/// What changes, as it does.
#[derive(Debug)]
pub struct Watch {
    response: Response,
    /// What was read and isn't an event yet.
    read: Vec<u8>,
}

impl Watch {
    /// Returns when something changed, or at the deadline; what exactly, the caller asks the node.
    ///
    /// # Errors
    /// A [`Failure`] where the node has gone.
    pub async fn change(&mut self, by: Instant) -> Result<(), Failure> {
        match timeout_at(by, self.response.chunk()).await {
            Err(_) | Ok(Ok(Some(_))) => Ok(()),
            Ok(Ok(None)) => Err(Failure::new(Exit::Unreachable, "the node has stopped")),
            Ok(Err(e)) => Err(unreachable(&e)),
        }
    }

    /// The next change, whenever it comes. What a newer node tells and this program doesn't know is passed over.
    ///
    /// # Errors
    /// A [`Failure`] where the node has gone.
    pub async fn next(&mut self) -> Result<Change, Failure> {
        loop {
            while let Some(event) = take_event(&mut self.read) {
                if let Some(change) = change(&event) {
                    return Ok(change);
                }
            }
            let stopped = || Failure::new(Exit::Unreachable, "the node has stopped");
            let chunk = self.response.chunk().await.map_err(|e| unreachable(&e))?.ok_or_else(stopped)?;
            if self.read.len() + chunk.len() > MAX_EVENT {
                return Err(Failure::new(Exit::Failed, format!("an event is larger than {MAX_EVENT} bytes")));
            }
            self.read.extend_from_slice(&chunk);
        }
    }
}

/// Takes the first whole event out of what was read: an empty line ends it.
fn take_event(read: &mut Vec<u8>) -> Option<Vec<u8>> {
    let end = read.windows(2).position(|two| two == b"\n\n")?;
    Some(read.drain(..end + 2).collect())
}

/// What an event's data says; nothing for a comment that only keeps the stream alive.
fn change(event: &[u8]) -> Option<Change> {
    let text = std::str::from_utf8(event).ok()?;
    let data = text.lines().find_map(|line| line.strip_prefix("data:"))?;
    serde_json::from_str(data.trim_start()).ok()
}

/// The whole body of an answer of bounded size.
async fn whole(mut response: Response) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| unreachable(&e))? {
        if bytes.len() + chunk.len() > MAX_ANSWER {
            return Err(Failure::new(Exit::Failed, format!("the answer is larger than {MAX_ANSWER} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// No answer, or none to its end.
pub(super) fn unreachable(error: &reqwest::Error) -> Failure {
    let what = if error.is_timeout() { "the node doesn't answer in time" } else { "the node can't be reached" };
    Failure::new(Exit::Unreachable, what)
        .because(error)
        .hint("see whether it runs: `tradepost status`; start it: `tradepost run`")
}

/// What the node says as a failure, with the exit code of its sort.
pub(super) fn failure(problem: Problem) -> Failure {
    let exit = match StatusCode::from_u16(problem.status) {
        Ok(StatusCode::NOT_FOUND) => Exit::NotFound,
        Ok(StatusCode::BAD_REQUEST) if problem.code == "not-an-id" => Exit::Usage,
        Ok(StatusCode::SERVICE_UNAVAILABLE | StatusCode::UNAUTHORIZED) => Exit::Unreachable,
        Ok(status) if status.is_client_error() => Exit::Refused,
        _ => Exit::Failed,
    };
    let failure = Failure::new(exit, problem.detail).code(problem.code);
    match problem.remedy {
        Some(remedy) => failure.hint(remedy),
        None => failure,
    }
}

/// A text as one part of a path.
pub(super) fn segment(text: &str) -> String {
    // What isn't plain is no id, and the node says so; it must only not become another path.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if text.is_empty() { "_".to_owned() } else { text.chars().map(|c| if plain(c) { c } else { '_' }).collect() }
}

fn encoded(query: &impl Serialize) -> String {
    let mut pairs = url::form_urlencoded::Serializer::new(String::new());
    if let Ok(Value::Object(fields)) = serde_json::to_value(query) {
        for (name, value) in fields {
            match value {
                Value::Null => {}
                Value::String(text) => drop(pairs.append_pair(&name, &text)),
                other => drop(pairs.append_pair(&name, &other.to_string())),
            }
        }
    }
    pairs.finish()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::api::filter::OfferingFilter;
    use crate::problem_code::ProblemCode;

    #[test]
    fn a_home_without_a_node_says_how_to_start_one() {
        let dir = tempfile::tempdir().unwrap();
        let failure = Client::of(&Home::at(dir.path())).unwrap_err();
        assert_eq!(failure.exit, Exit::Unreachable);
        assert!(failure.hint.unwrap().contains("tradepost run"));
    }

    #[test]
    fn a_problem_keeps_its_code_and_gets_its_exit_code() {
        let of = |status: StatusCode| failure(Problem::new(status, ProblemCode::Busy, "d").remedy("r"));
        assert_eq!(of(StatusCode::NOT_FOUND).exit, Exit::NotFound);
        assert_eq!(of(StatusCode::CONFLICT).exit, Exit::Refused);
        assert_eq!(of(StatusCode::SERVICE_UNAVAILABLE).exit, Exit::Unreachable);
        assert_eq!(of(StatusCode::BAD_GATEWAY).exit, Exit::Failed);
        let failure = of(StatusCode::CONFLICT);
        assert_eq!((failure.code.as_deref(), failure.hint.as_deref()), (Some("busy"), Some("r")));
    }

    #[test]
    fn events_come_whole_however_they_were_cut() {
        let stream = b": alive\n\nevent: wallet\ndata: {\"kind\":\"wallet\"}\n\ndata: {\"kind\":\"newer\"}\n\ndata: {";
        let mut read = Vec::new();
        let mut seen = Vec::new();
        for byte in stream {
            read.push(*byte);
            seen.extend(take_event(&mut read).map(|event| change(&event)));
        }
        assert_eq!(seen, [None, Some(Change::Wallet), None]);
        assert_eq!(read, b"data: {");
    }

    #[tokio::test]
    async fn no_request_goes_by_a_connection_that_the_node_may_be_closing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client::to(&format!("http://{}", listener.local_addr().unwrap()));
        // As the node does: it answers what is asked at once, and leaves for good once nothing is.
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut asked = [0; 4096];
                let read = stream.read(&mut asked).await.unwrap();
                assert!(asked[..read].ends_with(b"\r\n\r\n"));
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n42").await.unwrap();
                tokio::spawn(async move { stream.read(&mut asked).await });
            }
        });
        for _ in 0..3 {
            assert_eq!(client.get::<u32>("/").await.unwrap(), 42);
        }
    }

    #[test]
    fn a_filter_is_a_query_of_what_is_set() {
        let filter =
            OfferingFilter { text: Some("a b&c".into()), limit: Some(5), all: true, ..OfferingFilter::default() };
        let mut pairs: Vec<String> = encoded(&filter).split('&').map(str::to_owned).collect();
        pairs.sort();
        assert_eq!(pairs, ["all=true", "limit=5", "text=a+b%26c"]);
    }
}
