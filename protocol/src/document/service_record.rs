//! Service records: the identity and version of a service, under the service's own key.

use serde::{Deserialize, Serialize};

use super::{Commit, InterfaceHash, Repository, RuleError, Rules, ServicePath, ServiceRef};
use crate::account::{ServiceKey, SignerKey};
use crate::kind::Kind;
use crate::message::{MessageId, Payload};
use crate::refusal::Refusal;

/// What a service is and which version of it is current. Revisions chain: each names the one before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceRecord {
    /// `SERVICE_PK`: the service's own key, which signs this.
    pub service: ServiceKey,
    /// Where its source is.
    pub repository: Repository,
    /// The version that is current.
    pub commit: Commit,
    /// Its directory in the repository.
    pub path: ServicePath,
    /// The hash of its interface description.
    pub interface_hash: InterfaceHash,
    /// Its name for people.
    pub title: String,
    /// 1 for the first record, then one more each time.
    pub revision: u64,
    /// The id of the revision before; absent in the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<MessageId>,
}

impl ServiceRecord {
    /// Whether an offering's reference names exactly this version.
    pub fn matches(&self, reference: &ServiceRef) -> bool {
        self.service == reference.service
            && self.repository == reference.repository
            && self.commit == reference.commit
            && self.path == reference.path
    }

    /// The reference that an offering of this version carries.
    pub fn reference(&self) -> ServiceRef {
        ServiceRef {
            service: self.service,
            repository: self.repository.clone(),
            commit: self.commit.clone(),
            path: self.path.clone(),
        }
    }
}

impl Rules for ServiceRecord {
    fn check(&self) -> Result<(), RuleError> {
        super::title("title", &self.title)?;
        match (self.revision, self.previous) {
            (0, _) => Err(RuleError::new("revision", "must be at least 1")),
            (1, Some(_)) => Err(RuleError::new("previous", "must be absent in the first revision")),
            (2.., None) => Err(RuleError::new("previous", "must name the revision before this one")),
            _ => Ok(()),
        }
    }
}

impl Payload for ServiceRecord {
    const KIND: Kind = Kind::ServiceRecord;

    fn decode(payload: &[u8]) -> Result<Self, Refusal> {
        super::decode(Self::KIND, payload)
    }

    fn encode(&self) -> Result<Vec<u8>, Refusal> {
        super::encode(Self::KIND, self)
    }

    fn signer(&self) -> SignerKey {
        self.service.into()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn record(revision: u64, previous: Option<MessageId>) -> ServiceRecord {
        ServiceRecord {
            service: ServiceKey::from_bytes([1; 32]),
            repository: "https://example.org/s.git".parse().unwrap(),
            commit: "ab".repeat(20).parse().unwrap(),
            path: "services/echo".parse().unwrap(),
            interface_hash: InterfaceHash::from_bytes([2; 32]),
            title: "Echo".into(),
            revision,
            previous,
        }
    }

    #[test]
    fn a_record_has_its_golden_bytes() {
        let golden = concat!(
            r#"{"service":"GAAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQDZ7H","repository":"https://example.org/s.git","#,
            r#""commit":"abababababababababababababababababababab","path":"services/echo","#,
            r#""interface_hash":"0202020202020202020202020202020202020202020202020202020202020202","#,
            r#""title":"Echo","revision":2,"previous":"0303030303030303030303030303030303030303030303030303030303030303"}"#
        );
        let record = record(2, Some(MessageId::from_bytes([3; 32])));
        assert_eq!(String::from_utf8(record.encode().unwrap()).unwrap(), golden);
        assert_eq!(ServiceRecord::decode(golden.as_bytes()).unwrap(), record);
    }

    #[test]
    fn a_revision_names_the_one_before_it() {
        let id = Some(MessageId::from_bytes([3; 32]));
        assert!(record(1, None).encode().is_ok());
        for (revision, previous) in [(0, None), (1, id), (2, None)] {
            assert!(record(revision, previous).encode().is_err(), "{revision}");
        }
    }
}
