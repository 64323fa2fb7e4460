//! Whether a service answers: a GET with a deadline. Connecting isn't answering.

use std::io;
use std::time::Duration;

use reqwest::redirect::Policy;

/// How long one look may take.
const DEADLINE: Duration = Duration::from_secs(2);
/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// Looks at services. Its connections are its own: neither a proxy of the environment nor a redirect leads elsewhere.
#[derive(Debug, Clone)]
pub(super) struct HealthCheck {
    client: reqwest::Client,
}

impl HealthCheck {
    pub(super) fn new() -> io::Result<Self> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .timeout(DEADLINE)
            .pool_max_idle_per_host(0)
            .build()
            .map_err(io::Error::other)?;
        Ok(Self { client })
    }

    /// Returns when the service answers 2xx; until then `last` says what the last look found.
    pub(super) async fn wait(&self, url: &str, last: &mut String) {
        loop {
            match self.client.get(url).send().await {
                Ok(answer) if answer.status().is_success() => return,
                Ok(answer) => *last = format!("its health path answers {}", answer.status().as_u16()),
                Err(e) if e.is_timeout() => *last = "it accepts connections but doesn't answer".to_owned(),
                Err(e) if e.is_connect() => *last = "nothing accepts connections at its port".to_owned(),
                Err(_) => *last = "its answer is no HTTP".to_owned(),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
