//! A fixed, small profile of JSON Schema, compiled once a template.
//!
//! Known are type, properties, required, additionalProperties, enum, const, minimum and maximum, minLength and
//! maxLength, items, minItems and maxItems, title and description. References, combinators, patterns and formats are
//! refused when a schema is compiled, so that validating costs time linear in the value. A property test holds that
//! schemas of this profile mean what the `jsonschema` crate takes them for.

use core::fmt;
use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::limits::{MAX_SCHEMA_DEPTH, MAX_SCHEMA_NODES};

mod compile;
mod validate;

/// A compiled schema, with the JSON that it came from.
#[derive(Debug, Clone)]
pub struct Schema {
    source: Map<String, Value>,
    root: Node,
}

/// Why a schema isn't of the profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schema at {path}: {fault}")]
pub struct SchemaError {
    /// Where in the schema, as a JSON pointer.
    pub path: Path,
    /// What is wrong there.
    pub fault: SchemaFault,
}

/// What can be wrong with a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaFault {
    /// A keyword outside the profile.
    #[error("the keyword {0:?} isn't one of the profile")]
    UnknownKeyword(String),
    /// A keyword with a value of another form than it has.
    #[error("{keyword} must be {expected}")]
    WrongForm {
        /// The keyword.
        keyword: &'static str,
        /// What its value must be.
        expected: &'static str,
    },
    /// Nested deeper than [`MAX_SCHEMA_DEPTH`].
    #[error("nested deeper than {MAX_SCHEMA_DEPTH} levels")]
    TooDeep,
    /// More subschemas than [`MAX_SCHEMA_NODES`].
    #[error("more than {MAX_SCHEMA_NODES} subschemas")]
    TooManyNodes,
}

/// A JSON pointer (RFC 6901) to a field; the whole value is `/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(String);

impl Path {
    /// The whole value.
    pub const fn root() -> Self {
        Self(String::new())
    }

    /// A member or item below this one.
    pub fn join(&self, name: impl fmt::Display) -> Self {
        let name = name.to_string().replace('~', "~0").replace('/', "~1");
        Self(format!("{}/{name}", self.0))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "/" } else { &self.0 })
    }
}

/// One thing that a schema has against a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {what}")]
pub struct Violation {
    /// The field, as a JSON pointer.
    pub path: Path,
    /// What is wrong with it.
    pub what: String,
}

/// All that a schema has against a value, up to [`Violations::MAX`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violations(pub Vec<Violation>);

impl Violations {
    /// The most violations that one validation collects.
    pub const MAX: usize = 8;
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, violation) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(f, "{separator}{violation}")?;
        }
        Ok(())
    }
}

impl core::error::Error for Violations {}

/// The types of JSON values; `number` and `integer` are one, because documents hold integers only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Object,
    Array,
    String,
    Integer,
    Boolean,
    Null,
}

/// One subschema.
#[derive(Debug, Clone, Default)]
struct Node {
    kind: Option<Type>,
    properties: Vec<(String, Node)>,
    required: Vec<String>,
    additional: Additional,
    one_of: Option<Choices>,
    constant: Option<Value>,
    minimum: Option<i64>,
    maximum: Option<i64>,
    min_length: Option<u64>,
    max_length: Option<u64>,
    items: Option<Box<Node>>,
    min_items: Option<u64>,
    max_items: Option<u64>,
}

/// The values of an `enum`, looked up by their text: a long list of values against a long list of choices costs little.
#[derive(Debug, Clone)]
struct Choices {
    /// The first few, for people.
    shown: String,
    /// Each one's JSON, which is the same for the same value.
    texts: BTreeSet<String>,
}

/// What members may stand in an object besides its properties.
#[derive(Debug, Clone, Default)]
enum Additional {
    #[default]
    Any,
    None,
    Of(Box<Node>),
}

impl Schema {
    /// Compiles a schema of the profile.
    ///
    /// # Errors
    /// [`SchemaError`] where it is outside the profile or its bounds.
    pub fn compile(source: Map<String, Value>) -> Result<Self, SchemaError> {
        let root = compile::root(&source)?;
        Ok(Self { source, root })
    }

    /// Checks a value.
    ///
    /// # Errors
    /// What is wrong with it, each with its field's path below `at`.
    pub fn validate(&self, value: &Map<String, Value>, at: &Path) -> Result<(), Violations> {
        validate::object(&self.root, value, at)
    }

    /// The JSON that it was compiled from.
    pub fn source(&self) -> &Map<String, Value> {
        &self.source
    }
}

impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Schema {}

impl Serialize for Schema {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.source.serialize(s)
    }
}

impl<'de> Deserialize<'de> for Schema {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::compile(Map::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
