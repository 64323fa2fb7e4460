//! A value against a schema's nodes.

use core::fmt;

use serde_json::{Map, Value};

use super::{Additional, Node, Path, Type, Violation, Violations};

pub(super) fn object(root: &Node, value: &Map<String, Value>, at: &Path) -> Result<(), Violations> {
    let mut found = Found(Vec::new());
    found.type_of(root, Type::Object, at);
    if root.constant.is_some() || root.one_of.is_some() {
        found.choice(root, &Value::Object(value.clone()), at);
    }
    found.members(root, value, at);
    if found.0.is_empty() { Ok(()) } else { Err(Violations(found.0)) }
}

struct Found(Vec<Violation>);

impl Found {
    fn say(&mut self, path: &Path, what: impl fmt::Display) {
        if self.0.len() < Violations::MAX {
            self.0.push(Violation { path: path.clone(), what: what.to_string() });
        }
    }

    /// Recursion follows the schema, which is bounded when it is compiled.
    fn value(&mut self, node: &Node, value: &Value, at: &Path) {
        if self.0.len() >= Violations::MAX {
            return;
        }
        self.type_of(node, kind(value), at);
        self.choice(node, value, at);
        match value {
            Value::Object(members) => self.members(node, members, at),
            Value::Array(items) => self.items(node, items, at),
            Value::String(text) => self.length(node, text, at),
            Value::Number(number) => self.range(node, number.as_i64(), at),
            Value::Bool(_) | Value::Null => {}
        }
    }

    fn type_of(&mut self, node: &Node, found: Type, at: &Path) {
        match node.kind {
            Some(expected) if expected != found => {
                self.say(at, format_args!("expected {}, found {}", article(expected), article(found)));
            }
            _ => {}
        }
    }

    fn choice(&mut self, node: &Node, value: &Value, at: &Path) {
        if let Some(constant) = &node.constant
            && constant != value
        {
            self.say(at, format_args!("must be {}", short(constant)));
        }
        if let Some(choices) = &node.one_of
            && !choices.texts.contains(&value.to_string())
        {
            self.say(at, format_args!("must be one of {}", choices.shown));
        }
    }

    fn members(&mut self, node: &Node, members: &Map<String, Value>, at: &Path) {
        for name in &node.required {
            if !members.contains_key(name) {
                self.say(&at.join(name), "is missing");
            }
        }
        for (name, value) in members {
            match node.properties.binary_search_by(|(known, _)| known.as_str().cmp(name)) {
                Ok(i) => self.value(&node.properties[i].1, value, &at.join(name)),
                Err(_) => match &node.additional {
                    Additional::Any => {}
                    Additional::None => self.say(&at.join(name), "is not a field of this template"),
                    Additional::Of(sub) => self.value(sub, value, &at.join(name)),
                },
            }
        }
    }

    fn items(&mut self, node: &Node, items: &[Value], at: &Path) {
        let count = items.len() as u64;
        if let Some(least) = node.min_items.filter(|&n| count < n) {
            self.say(at, format_args!("has {count} items, at least {least} are needed"));
        }
        if let Some(most) = node.max_items.filter(|&n| count > n) {
            self.say(at, format_args!("has {count} items, at most {most} are allowed"));
        }
        if let Some(sub) = &node.items {
            for (i, item) in items.iter().enumerate() {
                self.value(sub, item, &at.join(i));
            }
        }
    }

    fn length(&mut self, node: &Node, text: &str, at: &Path) {
        let chars = text.chars().count() as u64;
        if let Some(least) = node.min_length.filter(|&n| chars < n) {
            self.say(at, format_args!("has {chars} characters, at least {least} are needed"));
        }
        if let Some(most) = node.max_length.filter(|&n| chars > n) {
            self.say(at, format_args!("has {chars} characters, at most {most} are allowed"));
        }
    }

    fn range(&mut self, node: &Node, number: Option<i64>, at: &Path) {
        let Some(number) = number else { return self.say(at, "is not an integer") };
        if let Some(least) = node.minimum.filter(|&n| number < n) {
            self.say(at, format_args!("is {number}, must be at least {least}"));
        }
        if let Some(most) = node.maximum.filter(|&n| number > n) {
            self.say(at, format_args!("is {number}, must be at most {most}"));
        }
    }
}

fn kind(value: &Value) -> Type {
    match value {
        Value::Object(_) => Type::Object,
        Value::Array(_) => Type::Array,
        Value::String(_) => Type::String,
        Value::Number(_) => Type::Integer,
        Value::Bool(_) => Type::Boolean,
        Value::Null => Type::Null,
    }
}

fn article(kind: Type) -> &'static str {
    match kind {
        Type::Object => "an object",
        Type::Array => "a list",
        Type::String => "a text",
        Type::Integer => "an integer",
        Type::Boolean => "true or false",
        Type::Null => "null",
    }
}

pub(super) fn short(value: &Value) -> String {
    value.to_string().chars().take(40).collect()
}
