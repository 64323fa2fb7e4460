//! Services: identity and version, under a service's own key.

use serde::{Deserialize, Serialize};
use tradepost_protocol::account::ServiceKey;
use tradepost_protocol::document::{Commit, InterfaceHash, Repository, ServicePath, ServiceRecord};
use tradepost_protocol::message::{MessageId, Signed};

/// A service's current record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceView {
    /// `SERVICE_PK`: the service's own key, by which offerings name it.
    pub service: ServiceKey,
    /// Its name for people.
    pub title: String,
    /// Where its source is.
    pub repository: Repository,
    /// The version that is current.
    pub commit: Commit,
    /// Its directory in the repository.
    pub path: ServicePath,
    /// The hash of its interface description.
    pub interface_hash: InterfaceHash,
    /// Which revision of the record, from 1.
    pub revision: u64,
    /// The record's id.
    pub record: MessageId,
    /// Whether this node holds the service's key.
    pub own: bool,
}

impl ServiceView {
    /// A signed record.
    pub fn of(record: &Signed<ServiceRecord>, own: bool) -> Self {
        let body = record.body();
        Self {
            service: body.service,
            title: body.title.clone(),
            repository: body.repository.clone(),
            commit: body.commit.clone(),
            path: body.path.clone(),
            interface_hash: body.interface_hash,
            revision: body.revision,
            record: record.id(),
            own,
        }
    }
}

/// One's own services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceList {
    /// All of them.
    pub items: Vec<ServiceView>,
}
