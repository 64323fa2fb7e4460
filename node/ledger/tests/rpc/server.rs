//! A small HTTP server that says whatever a test wants, byte by byte if need be.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What was asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// The request line and headers.
    pub head: String,
    /// The JSON-RPC method; empty for a GET.
    pub method: String,
    pub id: Value,
    pub params: Value,
}

/// What to say.
pub enum Reply {
    /// A JSON-RPC result with the right id.
    Result(Value),
    /// A JSON-RPC error with the right id.
    Error(i64, &'static str),
    /// This body with this status and these header lines.
    Http(u16, &'static str, Vec<u8>),
    /// A body of this declared length that ends before.
    CutOff(usize, Vec<u8>),
    /// This body, a byte at a time.
    Trickle(Vec<u8>),
    /// Bytes without end and without a declared length.
    Endless,
    /// Nothing, with the connection left open.
    Silence,
}

type Script = Box<dyn FnMut(&Question) -> Reply + Send>;

/// The server; it ends when dropped.
pub struct Server {
    pub url: String,
    asked: Arc<Mutex<Vec<Question>>>,
    task: JoinHandle<()>,
}

impl Server {
    pub async fn start(script: impl FnMut(&Question) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(script)));
        let log = asked.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, script.clone(), log.clone()));
            }
        });
        Self { url, asked, task }
    }

    /// All questions so far.
    pub fn asked(&self) -> Vec<Question> {
        self.asked.lock().unwrap().clone()
    }

    /// How often a method was asked.
    pub fn count(&self, method: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|q| q.method == method).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Mutex<Script>>, log: Arc<Mutex<Vec<Question>>>) -> Option<()> {
    let question = read(&mut stream).await?;
    log.lock().unwrap().push(question.clone());
    let reply = (script.lock().unwrap())(&question);
    let body = |value: Value| value.to_string().into_bytes();
    let id = &question.id;
    match reply {
        Reply::Result(result) => {
            let body = body(json!({ "jsonrpc": "2.0", "id": id, "result": result }));
            answer(&mut stream, 200, "", body.len(), &body).await?;
        }
        Reply::Error(code, message) => {
            let body = body(json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } }));
            answer(&mut stream, 200, "", body.len(), &body).await?;
        }
        Reply::Http(status, headers, body) => answer(&mut stream, status, headers, body.len(), &body).await?,
        Reply::CutOff(length, body) => answer(&mut stream, 200, "", length, &body).await?,
        Reply::Trickle(body) => {
            answer(&mut stream, 200, "", body.len(), b"").await?;
            for byte in body {
                stream.write_all(&[byte]).await.ok()?;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        Reply::Endless => {
            stream.write_all(b"HTTP/1.1 200 x\r\nconnection: close\r\n\r\n").await.ok()?;
            loop {
                stream.write_all(&[b' '; 65_536]).await.ok()?;
            }
        }
        Reply::Silence => {
            stream.read_u8().await.ok()?;
        }
    }
    Some(())
}

async fn answer(stream: &mut TcpStream, status: u16, headers: &str, length: usize, body: &[u8]) -> Option<()> {
    let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(body).await.ok()
}

async fn read(stream: &mut TcpStream) -> Option<Question> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
    });
    while bytes.len() < end + length.unwrap_or(0) {
        stream.read_buf(&mut bytes).await.ok()?;
    }
    let mut body: Value = serde_json::from_slice(&bytes[end..]).unwrap_or(Value::Null);
    Some(Question {
        head,
        method: body["method"].as_str().unwrap_or_default().to_owned(),
        id: body["id"].take(),
        params: body["params"].take(),
    })
}
