//! `tradepost service`: identity and version of one's services, each under a key of its own.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use tradepost_protocol::account::ServiceKey;
use tradepost_protocol::document::{Commit, InterfaceHash, Repository, ServicePath};
use tradepost_protocol::message::keccak;

use super::client::Client;
use super::failure::{Exit, Failure};
use super::{Global, show};
use crate::api::request::NewService;
use crate::api::view::{ServiceList, ServiceView};
use crate::private_file;
use crate::terminal::{Table, plain};

/// Largest description of an interface, bytes.
const MAX_INTERFACE: u64 = 16 * 1024 * 1024;

/// What to do with services.
#[derive(Debug, Subcommand)]
pub enum ServiceCommand {
    /// Signs and publishes a service's record, or its next revision.
    Register(Register),
    /// Shows a service's record, or all of this node's.
    Show {
        /// The service's key (G…).
        service: Option<ServiceKey>,
    },
}

/// Signs and publishes a service's record. The same repository and path is the same service: a new commit then makes
/// the next revision.
#[derive(Debug, Args)]
pub struct Register {
    /// Its name for people.
    #[arg(long)]
    title: String,
    /// Where its source is: an https URL.
    #[arg(long, value_name = "URL")]
    repository: Repository,
    /// The version: a commit's whole hash.
    #[arg(long, value_name = "HASH")]
    commit: Commit,
    /// Its directory in the repository.
    #[arg(long, value_name = "PATH", default_value = "")]
    path: ServicePath,
    /// The description of its interface, such as an OpenAPI file; its hash goes into the record.
    #[arg(long, value_name = "FILE")]
    interface: Option<PathBuf>,
    /// The service, where its repository or path has changed.
    #[arg(long, value_name = "KEY")]
    service: Option<ServiceKey>,
}

impl ServiceCommand {
    pub(super) async fn run(self, global: &Global) -> Result<(), Failure> {
        let terminal = global.terminal();
        let client = Client::of(&global.home()?)?;
        match self {
            Self::Register(register) => {
                let view: ServiceView = client.post("/v1/services", &register.request()?).await?;
                Ok(terminal.print(&view, text)?)
            }
            Self::Show { service: Some(key) } => {
                let view: ServiceView = client.get(&format!("/v1/services/{key}")).await?;
                Ok(terminal.print(&view, text)?)
            }
            Self::Show { service: None } => {
                let list: ServiceList = client.get("/v1/services").await?;
                if list.items.is_empty() && !terminal.json {
                    terminal.say("no services yet: `tradepost service register` makes one");
                }
                Ok(terminal.print(&list, table)?)
            }
        }
    }
}

impl Register {
    fn request(self) -> Result<NewService, Failure> {
        let interface = match &self.interface {
            Some(path) => private_file::read(path, MAX_INTERFACE)
                .map_err(|e| Failure::new(Exit::Failed, format!("can't read {}", path.display())).because(&e))?,
            None => Vec::new(),
        };
        Ok(NewService {
            service: self.service,
            title: self.title,
            repository: self.repository,
            commit: self.commit,
            path: self.path,
            interface_hash: InterfaceHash::from_bytes(keccak(&[&interface])),
        })
    }
}

fn text(view: &ServiceView) -> String {
    let path = if view.path.as_str().is_empty() { "(the repository itself)" } else { view.path.as_str() };
    let lines = [
        ("service", view.service.to_string()),
        ("title", plain(&view.title)),
        ("repository", view.repository.to_string()),
        ("commit", view.commit.to_string()),
        ("path", path.to_owned()),
        ("interface", view.interface_hash.to_string()),
        ("revision", view.revision.to_string()),
        ("record", view.record.to_string()),
        ("key here", if view.own { "yes" } else { "no" }.to_owned()),
    ];
    show::fields(lines)
}

fn table(list: &ServiceList) -> String {
    let mut table = Table::new(&["SERVICE", "TITLE", "COMMIT", "REV"]);
    for view in &list.items {
        table.row([
            view.service.to_string(),
            show::cut(&view.title, 20),
            show::id(&view.commit),
            view.revision.to_string(),
        ]);
    }
    table.render()
}
