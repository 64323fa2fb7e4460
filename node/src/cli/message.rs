//! `tradepost wallet sign` and `verify`: messages signed by the account's key, as SEP-53 says.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use tradepost_protocol::account::AccountId;
use tradepost_protocol::stellar::{signed_message, xdr};

use super::Global;
use super::failure::{Exit, Failure};

/// Longest message, bytes.
const MAX_MESSAGE: u64 = 1024 * 1024;

/// Signs a message with the account's key (SEP-53); it can't be taken for a transaction.
#[derive(Debug, Args)]
pub struct Sign {
    #[command(flatten)]
    message: Message,
}

/// Says whether a message is signed by an account's master key (SEP-53).
#[derive(Debug, Args)]
pub struct Verify {
    /// Whose signature it should be (G…).
    account: AccountId,
    /// The signature, base64 or hex.
    signature: String,
    #[command(flatten)]
    message: Message,
}

/// What is signed.
#[derive(Debug, Args)]
struct Message {
    /// The message; - reads it from standard input.
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    message: Option<String>,
    /// A file that holds it, byte for byte.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// What `wallet sign` prints.
#[derive(Serialize)]
struct SignedView {
    account: AccountId,
    /// Base64.
    signature: String,
}

/// What `wallet verify` prints.
#[derive(Serialize)]
struct VerifiedView {
    account: AccountId,
    valid: bool,
}

impl Sign {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        let home = global.home()?;
        let config = global.config(&home)?;
        let message = self.message.read()?;
        let key = global.keys(&home, &config)?.account();
        let key = key.ok_or_else(|| Failure::new(Exit::NotFound, "this home holds no account key"))?;
        let signature = xdr::to_base64(&signed_message::sign(&message, &key));
        let view = SignedView { account: AccountId::of(&key), signature };
        Ok(global.terminal().print(&view, |view| format!("{}\n", view.signature))?)
    }
}

impl Verify {
    pub(super) fn run(self, global: &Global) -> Result<(), Failure> {
        let message = self.message.read()?;
        let bytes = hex::decode(&self.signature).ok().or_else(|| xdr::from_base64(&self.signature).ok());
        let signature: Option<[u8; 64]> = bytes.and_then(|bytes| bytes.try_into().ok());
        let signature =
            signature.ok_or_else(|| Failure::new(Exit::Usage, "a signature is 64 bytes, in base64 or hex"))?;
        let account = self.account;
        let valid = signed_message::is_signed_by(&message, &signature, account);
        global.terminal().print(&VerifiedView { account, valid }, |view| match view.valid {
            true => format!("valid    signed by the master key of {account}\n"),
            false => String::new(),
        })?;
        if valid {
            return Ok(());
        }
        let what = format!("the message is not signed by the master key of {account}");
        Err(Failure::new(Exit::Refused, what).hint("every byte counts, a line end too"))
    }
}

impl Message {
    fn read(&self) -> Result<Vec<u8>, Failure> {
        match (&self.file, self.message.as_deref()) {
            (Some(path), _) => read_file(path),
            (None, Some("-")) => bounded(io::stdin().lock()).map_err(|e| Failure::of(Exit::Failed, &e)),
            (None, message) => Ok(message.unwrap_or_default().as_bytes().to_vec()),
        }
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable =
        |e: io::Error| Failure::new(Exit::Failed, format!("can't read the message {}", path.display())).because(&e);
    bounded(File::open(path).map_err(unreadable)?).map_err(unreadable)
}

fn bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_MESSAGE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_MESSAGE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("longer than {MAX_MESSAGE} bytes")));
    }
    Ok(bytes)
}
