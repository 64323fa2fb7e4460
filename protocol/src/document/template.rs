//! Templates: a schema for one kind of offering, with hints for people.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::{Offering, RuleError, Rules};
use crate::account::{AccountId, SignerKey};
use crate::amount::Unit;
use crate::kind::Kind;
use crate::message::{Payload, TemplateId, keccak};
use crate::refusal::{Reason, Refusal};
use crate::schema::{Path, Schema};

/// What offerings of one kind say, and which of them need a service. Offerings name it by its content id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Who signs it.
    pub author: AccountId,
    /// A short name, such as `http-api`.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// Tells versions of one name apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Whether offerings must name a service.
    pub requires_service: bool,
    /// The units in which they may be priced.
    pub units: Vec<Unit>,
    /// The schema of their `parameters`.
    pub schema: Schema,
}

impl Template {
    /// Checks an offering against it: unit, service, parameters.
    ///
    /// # Errors
    /// [`Reason::InvalidDocument`] with the path of each field that is wrong.
    pub fn check(&self, offering: &Offering) -> Result<(), Refusal> {
        let invalid = |detail: String| Refusal::new(Reason::InvalidDocument, detail);
        if !self.units.contains(&offering.price.unit) {
            let units: Vec<&str> = self.units.iter().map(|u| u.as_str()).collect();
            let (unit, name) = (offering.price.unit.as_str(), &self.name);
            return Err(invalid(format!("/price/unit: {unit} isn't a unit of {name}: {}", units.join(", "))));
        }
        if self.requires_service && offering.service.is_none() {
            return Err(invalid(format!("/service: is missing; {} requires one", self.name)));
        }
        let at = Path::root().join("parameters");
        self.schema.validate(&offering.parameters, &at).map_err(|found| invalid(found.to_string()))
    }
}

/// A template's content id.
pub fn template_id(payload: &[u8]) -> TemplateId {
    TemplateId::from_bytes(keccak(&[payload]))
}

impl Rules for Template {
    fn check(&self) -> Result<(), RuleError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=40).contains(&self.name.len()) || !self.name.bytes().all(plain) {
            return Err(RuleError::new("name", "must be 1 to 40 lower-case letters, digits and hyphens"));
        }
        super::title("title", &self.title)?;
        super::distinct("units", &self.units, 5)
    }
}

impl Payload for Template {
    const KIND: Kind = Kind::Template;

    fn decode(payload: &[u8]) -> Result<Self, Refusal> {
        super::decode(Self::KIND, payload)
    }

    fn encode(&self) -> Result<Vec<u8>, Refusal> {
        super::encode(Self::KIND, self)
    }

    fn signer(&self) -> SignerKey {
        self.author.into()
    }
}

/// A template that every node knows by its content id; nobody signed it, its author is the account of 32 zero bytes.
#[derive(Debug, Clone)]
pub struct BuiltIn {
    /// Its content id.
    pub id: TemplateId,
    /// Its payload.
    pub payload: &'static [u8],
    /// The template.
    pub template: Template,
}

/// The templates that every node knows: `http-api`, `process`, `help`, `arbiter`, `help-exchange`.
pub fn built_in() -> &'static [BuiltIn] {
    static ALL: LazyLock<Vec<BuiltIn>> = LazyLock::new(|| {
        let payloads: [&'static [u8]; 5] = [
            include_bytes!("templates/http-api.json"),
            include_bytes!("templates/process.json"),
            include_bytes!("templates/help.json"),
            include_bytes!("templates/arbiter.json"),
            include_bytes!("templates/help-exchange.json"),
        ];
        let read = |payload| {
            let template = Template::decode(payload).expect("built-in templates are valid: a test reads each");
            BuiltIn { id: template_id(payload), payload, template }
        };
        payloads.into_iter().map(read).collect()
    });
    &ALL
}

impl BuiltIn {
    /// The built-in template of this name.
    pub fn named(name: &str) -> Option<&'static BuiltIn> {
        built_in().iter().find(|b| b.template.name == name)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn built_in_templates_are_found_by_their_golden_ids() {
        let ids: Vec<(&str, String)> =
            built_in().iter().map(|b| (b.template.name.as_str(), b.id.to_string())).collect();
        let golden = [
            ("http-api", "be687d0d660ceafdd6c07e2bbe69444664ea5f2548c0c4634483ea388fc3ae0b".to_owned()),
            ("process", "b8756be67dada5a6ab0edc661de4de4af55ca8b81a93b79ea524cd7995867618".to_owned()),
            ("help", "167e034244cdc624580954c7214f1bca413be47dec5d79b26a039a80a9761e99".to_owned()),
            ("arbiter", "a3a109d0facc127da2bbda5f68151233ef98c112c4d4fde3591f826d39c1816d".to_owned()),
            ("help-exchange", "3362c20a6db5072df190f334e960553c5a9a27b42d433d8fc1a6579e46f1b78f".to_owned()),
        ];
        assert_eq!(ids, golden);
        assert!(BuiltIn::named("process").unwrap().template.requires_service);
        assert!(!BuiltIn::named("help").unwrap().template.requires_service);
        assert!(BuiltIn::named("none").is_none());
    }

    #[test]
    fn a_template_has_its_golden_bytes() {
        let golden = concat!(
            r#"{"author":"GAAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQDZ7H","name":"own-kind","title":"Mine","#,
            r#""version":2,"requires_service":false,"units":["item","mib"],"schema":{"required":["a"],"type":"object"}}"#
        );
        let template = Template::decode(golden.as_bytes()).unwrap();
        assert_eq!(template.units, [Unit::Item, Unit::MiB]);
        assert_eq!(String::from_utf8(template.encode().unwrap()).unwrap(), golden);
        assert_eq!(template_id(golden.as_bytes()).as_bytes(), &keccak(&[golden.as_bytes()]));
    }

    #[test]
    fn a_template_with_a_schema_outside_the_profile_or_a_bad_name_is_refused() {
        let with = |name: &str, units: &str, schema: &str| {
            let author = AccountId::from_bytes([1; 32]);
            let text = format!(
                r#"{{"author":"{author}","name":"{name}","title":"T","requires_service":false,"units":{units},"schema":{schema}}}"#
            );
            Template::decode(text.as_bytes()).map_err(|r| r.detail)
        };
        assert!(with("ok", r#"["job"]"#, "{}").is_ok());
        assert!(with("ok", r#"["job"]"#, r##"{"items":{"$ref":"#"}}"##).unwrap_err().contains("/items"));
        assert!(with("Bad Name", r#"["job"]"#, "{}").unwrap_err().contains("/name"));
        assert!(with("ok", "[]", "{}").unwrap_err().contains("/units"));
        assert!(with("ok", r#"["job","job"]"#, "{}").unwrap_err().contains("/units"));
    }
}
