//! An RPC endpoint of a test's own in front of the development ledger: it passes on, is down, or lies.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The most bytes of a question; the ledger's own bound is lower.
const MAX_QUESTION: usize = 1024 * 1024;

/// Changes an honest answer: the method, its parameters, and the result to change.
pub type Bend = fn(method: &str, params: &Value, result: &mut Value);

#[derive(Debug, Clone, Copy)]
enum Mood {
    Honest,
    Down,
    Lying(Bend),
}

/// The endpoint; it ends when dropped.
#[derive(Debug)]
pub struct Endpoint {
    url: String,
    mood: Arc<Mutex<Mood>>,
    task: JoinHandle<()>,
}

impl Endpoint {
    /// Opens one on a free port, in front of this RPC server.
    ///
    /// # Panics
    /// Where no port is free.
    pub async fn open(ledger: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound address"));
        let mood = Arc::new(Mutex::new(Mood::Honest));
        let (seen, ledger) = (Arc::clone(&mood), ledger.to_owned());
        let task = tokio::spawn(async move {
            let http = reqwest::Client::new();
            while let Ok((stream, _)) = listener.accept().await {
                let mood = *locked(&seen);
                tokio::spawn(answer(stream, http.clone(), ledger.clone(), mood));
            }
        });
        Self { url, mood, task }
    }

    /// Where it is reached.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on it answers nobody.
    pub fn goes_down(&self) {
        *locked(&self.mood) = Mood::Down;
    }

    /// From now on it passes on what the ledger says.
    pub fn is_honest(&self) {
        *locked(&self.mood) = Mood::Honest;
    }

    /// From now on it changes what the ledger says.
    pub fn lies(&self, bend: Bend) {
        *locked(&self.mood) = Mood::Lying(bend);
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn locked(mood: &Mutex<Mood>) -> MutexGuard<'_, Mood> {
    mood.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers one request; the connection ends with it.
async fn answer(mut stream: TcpStream, http: reqwest::Client, ledger: String, mood: Mood) -> Option<()> {
    if matches!(mood, Mood::Down) {
        return None;
    }
    let (head, body) = request(&mut stream).await?;
    let answer = match head.starts_with("POST") {
        true => {
            let question: Value = serde_json::from_slice(&body).ok()?;
            let reply = http.post(&ledger).header("content-type", "application/json").body(body).send().await.ok()?;
            let mut reply: Value = serde_json::from_slice(&reply.bytes().await.ok()?).ok()?;
            if let (Mood::Lying(bend), Some(result)) = (mood, reply.get_mut("result")) {
                bend(question["method"].as_str()?, &question["params"], result);
            }
            serde_json::to_vec(&reply).ok()?
        }
        // The friendbot is named by its own address and asked there.
        false => return None,
    };
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(&answer).await.ok()
}

/// A request's head and body.
async fn request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        if bytes.len() > MAX_QUESTION || stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let length = length.unwrap_or(0).min(MAX_QUESTION);
    while bytes.len() < end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some((head, bytes.split_off(end)))
}
