//! From a schema's JSON to its nodes; whatever isn't of the profile ends here.

use serde_json::{Map, Value};

use super::validate::short;
use super::{Additional, Choices, Node, Path, SchemaError, SchemaFault, Type};
use crate::limits::{MAX_SCHEMA_DEPTH, MAX_SCHEMA_NODES};

pub(super) fn root(source: &Map<String, Value>) -> Result<Node, SchemaError> {
    walk(source).0
}

/// Compiles a schema, and counts the subschemas that were looked at for it.
pub(super) fn walk(source: &Map<String, Value>) -> (Result<Node, SchemaError>, usize) {
    let mut compiler = Compiler { nodes: 0 };
    let root = compiler.node(source, &Path::root(), 1);
    (root, compiler.nodes)
}

struct Compiler {
    nodes: usize,
}

impl Compiler {
    /// Recursion ends at [`MAX_SCHEMA_DEPTH`].
    fn node(&mut self, source: &Map<String, Value>, path: &Path, depth: usize) -> Result<Node, SchemaError> {
        let fault = |fault| Err(SchemaError { path: path.clone(), fault });
        if depth > MAX_SCHEMA_DEPTH {
            return fault(SchemaFault::TooDeep);
        }
        self.nodes += 1;
        if self.nodes > MAX_SCHEMA_NODES {
            return fault(SchemaFault::TooManyNodes);
        }
        let mut node = Node::default();
        for (keyword, value) in source {
            let form = |keyword, expected| SchemaError {
                path: path.clone(),
                fault: SchemaFault::WrongForm { keyword, expected },
            };
            match keyword.as_str() {
                "type" => node.kind = Some(type_named(value).ok_or_else(|| form("type", "the name of one JSON type"))?),
                "properties" => {
                    let members = value.as_object().ok_or_else(|| form("properties", "an object of schemas"))?;
                    for (name, sub) in members {
                        let sub = self.sub(sub, &path.join("properties").join(name), depth)?;
                        node.properties.push((name.clone(), sub));
                    }
                    node.properties.sort_by(|a, b| a.0.cmp(&b.0));
                }
                "required" => {
                    node.required = names(value).ok_or_else(|| form("required", "a list of distinct names"))?
                }
                "additionalProperties" => {
                    node.additional = match value {
                        Value::Bool(true) => Additional::Any,
                        Value::Bool(false) => Additional::None,
                        sub => Additional::Of(Box::new(self.sub(sub, &path.join("additionalProperties"), depth)?)),
                    }
                }
                "items" => node.items = Some(Box::new(self.sub(value, &path.join("items"), depth)?)),
                "enum" => {
                    let values = value.as_array().filter(|v| !v.is_empty());
                    node.one_of = Some(choices(values.ok_or_else(|| form("enum", "a list of at least one value"))?));
                }
                "const" => node.constant = Some(value.clone()),
                "minimum" => node.minimum = Some(value.as_i64().ok_or_else(|| form("minimum", "an integer"))?),
                "maximum" => node.maximum = Some(value.as_i64().ok_or_else(|| form("maximum", "an integer"))?),
                "minLength" => node.min_length = Some(value.as_u64().ok_or_else(|| form("minLength", "a count"))?),
                "maxLength" => node.max_length = Some(value.as_u64().ok_or_else(|| form("maxLength", "a count"))?),
                "minItems" => node.min_items = Some(value.as_u64().ok_or_else(|| form("minItems", "a count"))?),
                "maxItems" => node.max_items = Some(value.as_u64().ok_or_else(|| form("maxItems", "a count"))?),
                "title" if !value.is_string() => return Err(form("title", "a text")),
                "description" if !value.is_string() => return Err(form("description", "a text")),
                "title" | "description" => {}
                other => return fault(SchemaFault::UnknownKeyword(other.chars().take(40).collect())),
            }
        }
        Ok(node)
    }

    fn sub(&mut self, source: &Value, path: &Path, depth: usize) -> Result<Node, SchemaError> {
        let source = source.as_object().ok_or_else(|| SchemaError {
            path: path.clone(),
            fault: SchemaFault::WrongForm { keyword: "a schema", expected: "an object" },
        })?;
        self.node(source, path, depth + 1)
    }
}

fn choices(values: &[Value]) -> Choices {
    let shown: Vec<String> = values.iter().take(8).map(short).collect();
    Choices { shown: shown.join(", "), texts: values.iter().map(Value::to_string).collect() }
}

fn type_named(name: &Value) -> Option<Type> {
    match name.as_str()? {
        "object" => Some(Type::Object),
        "array" => Some(Type::Array),
        "string" => Some(Type::String),
        "integer" | "number" => Some(Type::Integer),
        "boolean" => Some(Type::Boolean),
        "null" => Some(Type::Null),
        _ => None,
    }
}

fn names(list: &Value) -> Option<Vec<String>> {
    let mut names: Vec<String> =
        list.as_array()?.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<_>>()?;
    let count = names.len();
    names.sort();
    names.dedup();
    (names.len() == count).then_some(names)
}
