//! `tradepost call`: an HTTP request to the service behind a binding.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response};
use serde::Serialize;
use tokio_util::io::ReaderStream;

use super::Global;
use super::client::{Client, segment, unreachable};
use super::failure::{Exit, Failure};
use crate::api::BINDING_HEADER;

/// Largest body of an answer that `--json` shows, bytes; without it any size passes through.
const MAX_SHOWN: usize = 16 * 1024 * 1024;

/// Calls the service behind a binding; its answer's body goes to standard output as it comes.
#[derive(Debug, Args)]
pub struct Call {
    /// The binding, or the beginning of its id.
    binding: String,
    /// Path and query at the service, such as /weather?city=Bern.
    #[arg(default_value = "/")]
    path: String,
    /// The method: GET, or POST with data.
    #[arg(long = "request", short = 'X', value_name = "METHOD")]
    method: Option<Method>,
    /// The body: a text, @FILE, or @- for standard input.
    #[arg(long, short)]
    data: Option<String>,
    /// A header; may be repeated.
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Says the answer's status and headers, on standard error.
    #[arg(long, short)]
    include: bool,
}

/// What `call --json` prints.
#[derive(Debug, Serialize)]
struct AnswerView {
    status: u16,
    headers: Vec<(String, String)>,
    /// The body, where it is text.
    body: Option<String>,
    /// The body, where it isn't.
    body_base64: Option<String>,
}

impl Call {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let client = Client::of(&global.home()?)?;
        let slash = if self.path.starts_with('/') { "" } else { "/" };
        let path = format!("/v1/bindings/{}/call{slash}{}", segment(&self.binding), self.path);
        let usual = if self.data.is_some() { Method::POST } else { Method::GET };
        let headers: HeaderMap = self.headers.iter().cloned().collect();
        let mut request = client.call(self.method.clone().unwrap_or(usual), &path).headers(headers);
        if let Some(data) = &self.data {
            request = request.body(body(data).await?);
        }
        let mut response = request.send().await.map_err(|e| unreachable(&e))?;
        // What lacks the mark isn't the service's answer but the node's.
        if response.headers().get(BINDING_HEADER).is_none() {
            client.checked(response).await?;
            return Err(Failure::new(Exit::Failed, "the node's answer isn't the service's"));
        }
        let status = response.status();
        if self.include || (!status.is_success() && !global.json) {
            self.say_head(global, &response);
        }
        match global.json {
            true => print_json(global, response).await?,
            false => stream(&mut response).await?,
        }
        if status.is_client_error() || status.is_server_error() {
            let what = format!("the service answered {status}");
            return Err(Failure::new(Exit::Failed, what).code(format!("service-{}", status.as_u16())));
        }
        Ok(())
    }

    fn say_head(&self, global: &Global, response: &Response) {
        let mut head = response.status().to_string();
        if self.include {
            for (name, value) in response.headers() {
                head.push_str(&format!("\n{name}: {}", String::from_utf8_lossy(value.as_bytes())));
            }
        }
        global.terminal().say(&head.lines().map(crate::terminal::plain).collect::<Vec<_>>().join("\n"));
    }
}

async fn body(data: &str) -> Result<reqwest::Body, Failure> {
    let Some(file) = data.strip_prefix('@') else { return Ok(data.to_owned().into()) };
    if file == "-" {
        return Ok(reqwest::Body::wrap_stream(ReaderStream::new(tokio::io::stdin())));
    }
    let opened = tokio::fs::File::open(Path::new(file)).await;
    let opened = opened.map_err(|e| Failure::new(Exit::Usage, format!("can't read {file}")).because(&e))?;
    Ok(reqwest::Body::wrap_stream(ReaderStream::new(opened)))
}

async fn stream(response: &mut Response) -> Result<(), Failure> {
    let (mut last, terminal) = (b'\n', io::stdout().is_terminal());
    while let Some(chunk) = response.chunk().await.map_err(|e| unreachable(&e))? {
        last = chunk.last().copied().unwrap_or(last);
        let mut out = io::stdout().lock();
        out.write_all(&chunk)?;
        out.flush()?;
    }
    if terminal && last != b'\n' {
        io::stdout().lock().write_all(b"\n")?;
    }
    Ok(())
}

async fn print_json(global: &Global, mut response: Response) -> Result<(), Failure> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let status = response.status().as_u16();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| unreachable(&e))? {
        if bytes.len() + chunk.len() > MAX_SHOWN {
            let what = format!("the answer is larger than {MAX_SHOWN} bytes");
            return Err(Failure::new(Exit::Failed, what).hint("without --json it passes through, whatever its size"));
        }
        bytes.extend_from_slice(&chunk);
    }
    let (body, body_base64) = match String::from_utf8(bytes) {
        Ok(text) => (Some(text), None),
        Err(e) => (None, Some(STANDARD.encode(e.as_bytes()))),
    };
    Ok(global.terminal().print(&AnswerView { status, headers, body, body_base64 }, |_| String::new())?)
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let wrong = || format!("{text:?} is no header: write \"Name: value\"");
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    let name = name.trim().parse().map_err(|_| wrong())?;
    Ok((name, value.trim().parse().map_err(|_| wrong())?))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_a_name_and_a_value() {
        let (name, value) = header("Accept: text/plain; q=1").unwrap();
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("accept", "text/plain; q=1"));
        for wrong in ["Accept", ": x", "a b: c", "a: \u{7}"] {
            assert!(header(wrong).is_err(), "{wrong:?}");
        }
    }
}
