#![expect(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn compile(source: Value) -> Result<Schema, SchemaError> {
    Schema::compile(source.as_object().unwrap().clone())
}

fn violations(schema: &Value, value: &Value) -> Vec<String> {
    let schema = compile(schema.clone()).unwrap();
    match schema.validate(value.as_object().unwrap(), &Path::root().join("parameters")) {
        Ok(()) => Vec::new(),
        Err(Violations(list)) => list.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a3_a_schema_names_the_path_of_each_field_that_it_refuses() {
    let schema = json!({
        "type": "object", "required": ["unit", "paths"], "additionalProperties": false,
        "properties": {
            "unit": {"type": "string", "enum": ["call", "second"]},
            "paths": {"type": "array", "minItems": 1, "maxItems": 2, "items":
                {"type": "object", "properties": {"a/b": {"type": "integer", "minimum": 1, "maximum": 9}}}},
            "name": {"type": "string", "minLength": 2, "maxLength": 3},
        }
    });
    assert_eq!(violations(&schema, &json!({"unit": "call", "paths": [{"a/b": 1}], "name": "héé"})), [""; 0]);
    assert_eq!(
        violations(&schema, &json!({"unit": "hour", "paths": [], "extra": 1})),
        [
            "/parameters/extra: is not a field of this template",
            "/parameters/paths: has 0 items, at least 1 are needed",
            "/parameters/unit: must be one of \"call\", \"second\"",
        ]
    );
    assert_eq!(
        violations(&schema, &json!({"paths": [{}, {"a/b": 10}], "name": "x"})),
        [
            "/parameters/unit: is missing",
            "/parameters/name: has 1 characters, at least 2 are needed",
            "/parameters/paths/1/a~1b: is 10, must be at most 9",
        ]
    );
    assert_eq!(violations(&schema, &json!({"unit": 1, "paths": [{}]})).len(), 2, "type and enum");
}

#[test]
fn what_is_outside_the_profile_is_refused_when_compiled() {
    for keyword in [
        "$ref",
        "$id",
        "$schema",
        "$defs",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "if",
        "pattern",
        "format",
        "patternProperties",
        "uniqueItems",
        "multipleOf",
        "exclusiveMinimum",
        "default",
        "dependentRequired",
        "contains",
    ] {
        let error = compile(json!({"properties": {"x": {keyword: {}}}})).unwrap_err();
        assert_eq!(error.fault, SchemaFault::UnknownKeyword(keyword.into()));
        assert_eq!(error.path.to_string(), "/properties/x");
    }
    for bad in [
        json!({"type": "text"}),
        json!({"type": ["string"]}),
        json!({"required": ["a", "a"]}),
        json!({"required": [1]}),
        json!({"enum": []}),
        json!({"minLength": -1}),
        json!({"minimum": "1"}),
        json!({"items": true}),
        json!({"properties": []}),
        json!({"properties": {"x": false}}),
        json!({"title": 1}),
    ] {
        assert!(matches!(compile(bad.clone()).unwrap_err().fault, SchemaFault::WrongForm { .. }), "{bad}");
    }
}

#[test]
fn depth_and_nodes_are_bounded() {
    let nested = |depth: usize| (1..depth).fold(json!({}), |inner, _| json!({"items": inner}));
    assert!(compile(nested(MAX_SCHEMA_DEPTH)).is_ok());
    assert_eq!(compile(nested(MAX_SCHEMA_DEPTH + 1)).unwrap_err().fault, SchemaFault::TooDeep);
    let wide = |n: usize| {
        let members: Map<String, Value> = (1..n).map(|i| (format!("p{i}"), json!({}))).collect();
        json!({"properties": members})
    };
    assert!(compile(wide(MAX_SCHEMA_NODES)).is_ok());
    assert_eq!(compile(wide(MAX_SCHEMA_NODES + 1)).unwrap_err().fault, SchemaFault::TooManyNodes);
}

#[test]
fn a_hostile_schema_is_refused_after_a_few_steps() {
    let doubling =
        |depth: usize| (0..depth).fold(json!({}), |inner, _| json!({"properties": {"a": inner, "b": inner}}));
    let nested = (0..100).fold(json!({}), |inner, _| json!({"items": inner}));
    let references = json!({"properties": {"a": {"$ref": "https://example.org/schema.json"}, "b": {"$ref": "#"}}});
    let combined = |word: &str| json!({"properties": {"a": {word: vec![json!({}); 1_000]}}});
    let definitions = json!({"$defs": {"a": doubling(6)}, "properties": {"a": {"$ref": "#/$defs/a"}}});
    for (what, schema, most) in [
        ("doubling until it is too many", doubling(8), MAX_SCHEMA_NODES + 1),
        ("doubling until it is too deep", doubling(12), MAX_SCHEMA_NODES + 1),
        ("deep", nested, MAX_SCHEMA_DEPTH),
        ("remote and recursive references", references, 2),
        ("definitions", definitions, 1),
        ("allOf", combined("allOf"), 2),
        ("anyOf", combined("anyOf"), 2),
        ("oneOf", combined("oneOf"), 2),
        ("not", json!({"not": {"not": {"not": {}}}}), 1),
    ] {
        let (compiled, nodes) = super::compile::walk(schema.as_object().unwrap());
        assert!(compiled.is_err(), "{what}");
        assert!(nodes <= most, "{what}: {nodes} subschemas looked at");
    }
}

#[test]
fn a_choice_is_the_same_value_however_it_is_written() {
    let schema = json!({"properties": {"x": {"enum": [{"a": 1, "b": [2, "é"]}, 7, "7"]}}});
    for (value, allowed) in [
        (r#"{"x":{"b":[2,"\u00e9"],"a":1}}"#, true),
        (r#"{"x":7}"#, true),
        (r#"{"x":"7"}"#, true),
        (r#"{"x":{"b":["é",2],"a":1}}"#, false),
        (r#"{"x":[7]}"#, false),
    ] {
        let value = Value::Object(crate::json::parse(value.as_bytes()).unwrap());
        assert_eq!(violations(&schema, &value).is_empty(), allowed, "{value}");
    }
}

#[test]
fn violations_are_bounded() {
    let value: Map<String, Value> = (0..100).map(|i| (format!("x{i}"), json!(1))).collect();
    let found = violations(&json!({"additionalProperties": {"type": "string"}}), &Value::Object(value));
    assert_eq!(found.len(), Violations::MAX);
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3i64..4).prop_map(Value::from),
        "[aé]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[abc]", inner, 0..3).prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

/// A keyword with a value; several make a schema.
fn keyword(sub: impl Strategy<Value = Value> + Clone + 'static) -> impl Strategy<Value = (&'static str, Value)> {
    let types = prop::sample::select(vec!["object", "array", "string", "integer", "number", "boolean", "null"]);
    prop_oneof![
        3 => types.prop_map(|t| ("type", json!(t))),
        2 => prop::collection::btree_map("[abc]", sub.clone(), 0..3).prop_map(|m| ("properties", json!(m))),
        1 => prop::collection::btree_set("[abc]", 0..3).prop_map(|names| ("required", json!(names))),
        1 => any::<bool>().prop_map(|b| ("additionalProperties", json!(b))),
        1 => sub.clone().prop_map(|s| ("additionalProperties", s)),
        2 => sub.prop_map(|s| ("items", s)),
        1 => prop::collection::vec(any_value(), 1..4).prop_map(|v| ("enum", json!(v))),
        1 => any_value().prop_map(|v| ("const", v)),
        1 => (-3i64..4).prop_map(|n| ("minimum", json!(n))),
        1 => (-3i64..4).prop_map(|n| ("maximum", json!(n))),
        1 => (0u64..3).prop_map(|n| ("minLength", json!(n))),
        1 => (0u64..3).prop_map(|n| ("maxLength", json!(n))),
        1 => (0u64..3).prop_map(|n| ("minItems", json!(n))),
        1 => (0u64..3).prop_map(|n| ("maxItems", json!(n))),
    ]
}

fn any_schema() -> impl Strategy<Value = Value> {
    let whole =
        |words: Vec<(&'static str, Value)>| Value::Object(words.into_iter().map(|(k, v)| (k.to_owned(), v)).collect());
    Just(json!({}))
        .prop_recursive(3, 24, 3, move |inner| prop::collection::vec(keyword(inner.boxed()), 0..4).prop_map(whole))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn schemas_of_the_profile_mean_what_others_take_them_for(
        schema in any_schema(),
        value in prop::collection::btree_map("[abc]", any_value(), 0..3),
    ) {
        let value: Map<String, Value> = value.into_iter().collect();
        let ours = compile(schema.clone()).unwrap();
        let theirs = jsonschema::validator_for(&schema).unwrap();
        let found = ours.validate(&value, &Path::root());
        let agreed = theirs.is_valid(&Value::Object(value));
        prop_assert_eq!(found.is_ok(), agreed, "{:?}", found);
    }
}
