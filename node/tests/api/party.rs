//! Nodes with their APIs on an in-process development ledger, and a client of each.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::timeout;
use tradepost::api::{self, Api};
use tradepost::config::Config;
use tradepost::home::Home;
use tradepost::keystore::{Keystore, Mnemonic, Role, Words};
use tradepost::ledger_access;
use tradepost::node::{Node, NodeSettings};
use tradepost::shutdown::Shutdown;
use tradepost::telemetry::Metrics;
use tradepost_devnet::{Close, Server};
use tradepost_ledger::Ledger as _;

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// A node with its API.
pub struct Party {
    pub base: String,
    pub token: String,
    pub shutdown: Shutdown,
    pub addresses: Vec<String>,
    pub home: TempDir,
    http: reqwest::Client,
    node: Node,
    _api: Api,
}

/// A ledger that closes by itself.
pub async fn ledger() -> Server {
    let close = Close::Every(Duration::from_millis(200));
    Server::spawn(tradepost_devnet::Config { close, ..tradepost_devnet::Config::default() }).await.unwrap()
}

impl Party {
    /// A node with all keys and money, that knows these first peers.
    pub async fn start(ledger: &Server, bootstrap: &[String]) -> Self {
        let keys = Keystore::from_mnemonic(&Mnemonic::generate(Words::Twelve).unwrap());
        Self::start_with(ledger, bootstrap, keys).await
    }

    /// A node with these keys.
    pub async fn start_with(ledger: &Server, bootstrap: &[String], keys: Keystore) -> Self {
        let home = tempfile::tempdir().unwrap();
        let text = format!(
            "network = \"devnet\"\nrpc_url = {:?}\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\nbootstrap = {bootstrap:?}\n",
            ledger.url()
        );
        let config = Config::of_layers(Some((Path::new("/config.toml"), &text)), [], &[]).unwrap();
        let access = ledger_access::connect(&config).await.unwrap();
        if let Some(account) = keys.account_id() {
            access.ledger.fund_by_friendbot(account).await.unwrap();
        }
        let lock = Home::at(home.path()).lock().unwrap();
        let bound = Api::bind(config.api_listen).await.unwrap();
        let token = lock.new_api_token().unwrap();
        let service_keys = keys.only(&[Role::Service]);
        let metrics = Arc::new(Metrics::new());
        let node = Node::start(NodeSettings { config, keys, home: lock, ledger: access, metrics, alone: false })
            .await
            .unwrap();
        let handle = node.handle();
        let shutdown = Shutdown::default();
        let parts = api::Parts { node: handle.clone(), service_keys, token: token.clone(), shutdown: shutdown.clone() };
        let api = bound.serve(parts);
        let addresses = within("the node listens", async {
            loop {
                let addresses = api::p2p_addresses(&handle).await.unwrap();
                if !addresses.is_empty() {
                    return addresses;
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
        let (base, http) = (api.url(), reqwest::Client::builder().no_proxy().build().unwrap());
        let party = Self { base, token: token.to_string(), shutdown, addresses, home, http, node, _api: api };
        if party.node.handle().facts.keys.account.is_some() {
            party.until("/v1/wallet", "the account is read", |wallet| wallet["exists"] == true).await;
        }
        party
    }

    /// A request with the token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path).bearer_auth(&self.token)
    }

    /// A request without the token.
    pub fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// Reads a resource.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.request(Method::GET, path)).await
    }

    /// Does something.
    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        answer(self.request(Method::POST, path).json(body)).await
    }

    /// Watches what changes; the stream has begun when this returns.
    pub async fn watch(&self) -> Changes {
        let response = self.request(Method::GET, "/v1/events").send().await.unwrap();
        assert_eq!(response.status(), 200);
        let mut changes = Changes { response, text: String::new() };
        changes.next_named("watching").await;
        changes
    }

    /// Waits until a resource is as it should be, looking again whenever something changes.
    pub async fn until(&self, path: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        within(what, async {
            let mut changes = self.watch().await;
            loop {
                let (_, value) = self.get(path).await;
                if is(&value) {
                    return value;
                }
                // Time too changes things, of which there is no word.
                let _ = timeout(Duration::from_millis(200), changes.next()).await;
            }
        })
        .await
    }

    /// The node itself.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// This node's account.
    pub fn account(&self) -> String {
        self.node.handle().facts.keys.account.unwrap().to_string()
    }
}

/// Server-sent events.
pub struct Changes {
    response: Response,
    text: String,
}

impl Changes {
    /// The data of the next event.
    pub async fn next(&mut self) -> Value {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let data = event.lines().find_map(|line| line.strip_prefix("data: ")).map(str::to_owned);
                self.text = rest.to_owned();
                if let Some(data) = data {
                    return serde_json::from_str(&data).unwrap();
                }
                continue;
            }
            let chunk = self.response.chunk().await.unwrap().expect("the stream goes on");
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The data of the next event of this name.
    pub async fn next_named(&mut self, name: &str) -> Value {
        within(name, async {
            loop {
                let change = self.next().await;
                if change["kind"] == name {
                    return change;
                }
            }
        })
        .await
    }
}

pub async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = within("an answer", request.send()).await.unwrap();
    let status = response.status().as_u16();
    let problem = status >= 400;
    let media_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    assert_eq!(media_type, if problem { "application/problem+json" } else { "application/json" });
    let value: Value = response.json().await.unwrap();
    if problem {
        assert_eq!(value["status"], status);
        assert_eq!(value["type"], format!("urn:tradepost:problem:{}", value["code"].as_str().unwrap()));
        assert!(value["title"].is_string() && value["detail"].is_string(), "{value}");
    }
    (status, value)
}

pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    timeout(DEADLINE, work).await.unwrap_or_else(|_| panic!("in vain: {what}"))
}
