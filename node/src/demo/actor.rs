//! One node as the script sees it: through its API alone, with a deadline for everything that it waits for.

use std::fmt::Debug;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::cluster::{ClusterError, Node};
use crate::cli::client::Client;
use crate::cli::failure::Failure;

/// How often a node is asked whether something has come about.
const ASKED_EVERY: Duration = Duration::from_millis(100);
/// How long a call of a service may take.
const CALL_PATIENCE: Duration = Duration::from_secs(20);
/// Most characters of what was last seen that an error tells.
const MAX_SEEN: usize = 600;

/// A running node's API, and what to name where it fails.
#[derive(Debug)]
pub struct Actor {
    name: String,
    log: PathBuf,
    client: Client,
}

impl Actor {
    /// The node as it runs now.
    ///
    /// # Errors
    /// [`ClusterError`] where it doesn't.
    pub fn of(node: &Node) -> Result<Self, ClusterError> {
        let client = Client::of(node.home()).map_err(|failure| node.error(words(&failure)))?;
        Ok(Self { name: node.name().to_owned(), log: node.log().to_owned(), client })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads a resource.
    ///
    /// # Errors
    /// [`ClusterError`] with the path and the node's words.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClusterError> {
        self.client.get(path).await.map_err(|failure| self.failed(path, &failure))
    }

    /// Has the node do something.
    ///
    /// # Errors
    /// [`ClusterError`] with the path and the node's words.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ClusterError> {
        self.client.post(path, body).await.map_err(|failure| self.failed(path, &failure))
    }

    /// Asks for something that has to be refused; the refusal's code.
    ///
    /// # Errors
    /// [`ClusterError`] where it isn't refused, or not by a rule.
    pub async fn refused(&self, path: &str, body: &impl Serialize) -> Result<String, ClusterError> {
        match self.client.post::<serde_json::Value>(path, body).await {
            Err(Failure { code: Some(code), .. }) => Ok(code),
            Err(failure) => Err(self.failed(path, &failure)),
            Ok(done) => Err(self.error(format!("{path}: {done} where it should have been refused"))),
        }
    }

    /// Posts JSON to the service of a binding and returns its answer.
    ///
    /// # Errors
    /// [`ClusterError`] where there is none, or not a good one.
    pub async fn call<T: DeserializeOwned>(
        &self,
        binding: &str,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClusterError> {
        let at = format!("/v1/bindings/{binding}/call{path}");
        let body = serde_json::to_vec(body).map_err(|e| self.error(e.to_string()))?;
        let call = self.client.call(Method::POST, &at).header(CONTENT_TYPE, "application/json").body(body);
        let answer = call.timeout(CALL_PATIENCE).send().await.map_err(|e| self.error(format!("{at}: {e}")))?;
        let answer = self.client.checked(answer).await.map_err(|failure| self.failed(&at, &failure))?;
        let bytes = answer.bytes().await.map_err(|e| self.error(format!("{at}: {e}")))?;
        serde_json::from_slice(&bytes)
            .map_err(|e| self.error(format!("{at}: {e}: {}", String::from_utf8_lossy(&bytes))))
    }

    /// Asks until `look` finds what it looks for, for so long; `what` names that in the error.
    ///
    /// # Errors
    /// [`ClusterError`] with what was seen last.
    pub async fn until<T: DeserializeOwned + Debug, U>(
        &self,
        what: &str,
        patience: Duration,
        path: &str,
        look: impl Fn(&T) -> Option<U>,
    ) -> Result<U, ClusterError> {
        let deadline = Instant::now() + patience;
        loop {
            let seen: T = self.get(path).await?;
            if let Some(found) = look(&seen) {
                return Ok(found);
            }
            if Instant::now() >= deadline {
                let seen: String = format!("{seen:?}").chars().take(MAX_SEEN).collect();
                let secs = patience.as_secs();
                return Err(self.error(format!("waited {secs} s in vain until {what}; {path} last said {seen}")));
            }
            tokio::time::sleep(ASKED_EVERY).await;
        }
    }

    /// An error about this node, with the end of its log.
    pub fn error(&self, what: impl Into<String>) -> ClusterError {
        ClusterError::new(&self.name, what).with_log(&self.log)
    }

    fn failed(&self, path: &str, failure: &Failure) -> ClusterError {
        self.error(format!("{path}: {}", words(failure)))
    }
}

fn words(failure: &Failure) -> String {
    std::iter::once(failure.what.as_str())
        .chain(failure.caused_by.iter().map(String::as_str))
        .collect::<Vec<_>>()
        .join(": ")
}
