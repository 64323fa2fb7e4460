//! I-JSON (RFC 7493) checked on the bytes, before anything else looks at a document.
//!
//! One pass over the bytes, linear in their number and bounded in depth and members, gives the one tree that the typed
//! parse and the schema both see. Stricter than RFC 7493 where a document needs it: integers only, text in NFC.

use serde_json::{Map, Number, Value};

use crate::limits::{MAX_JSON_DEPTH, MAX_JSON_INTEGER, MAX_JSON_MEMBERS};

mod text;

/// Why bytes are no document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at byte {at}: {fault}")]
pub struct JsonError {
    /// The byte at which it showed, from 0.
    pub at: usize,
    /// What is wrong there.
    pub fault: JsonFault,
}

/// What can be wrong with a document's bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    /// Not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// Something else than this was expected.
    #[error("expected {0}")]
    Expected(&'static str),
    /// A name twice in one object.
    #[error("the name {0:?} stands twice in one object")]
    DuplicateName(String),
    /// Nested deeper than [`MAX_JSON_DEPTH`].
    #[error("nested deeper than {MAX_JSON_DEPTH} levels")]
    TooDeep,
    /// More members and items than [`MAX_JSON_MEMBERS`].
    #[error("more than {MAX_JSON_MEMBERS} members and items")]
    TooManyMembers,
    /// A number with a fraction or an exponent, −0, or one with a leading zero.
    #[error("a number that isn't a plain integer: write amounts as strings, and no fraction, exponent or -0")]
    NotAnInteger,
    /// An integer outside ±(2^53 − 1).
    #[error("an integer outside of -(2^53-1) to 2^53-1")]
    IntegerTooLarge,
    /// A control character other than newline, or a newline in a name.
    #[error("the control character U+{0:04X}")]
    Control(u32),
    /// A character that changes the direction of text and so can make it look like another one.
    #[error("the bidirectional control character U+{0:04X}")]
    Bidi(u32),
    /// A surrogate without its other half, or a noncharacter.
    #[error("a code point that is no character")]
    NotACharacter,
    /// An escape that JSON doesn't know.
    #[error("an unknown escape in a string")]
    BadEscape,
    /// Text that isn't in Unicode's normal form C.
    #[error("text that isn't in Unicode normal form C")]
    NotNfc,
}

/// Reads one object.
///
/// # Errors
/// [`JsonError`] for anything but one I-JSON object within the bounds of [`crate::limits`].
pub fn parse(bytes: &[u8]) -> Result<Map<String, Value>, JsonError> {
    if let Err(e) = core::str::from_utf8(bytes) {
        return Err(JsonError { at: e.valid_up_to(), fault: JsonFault::NotUtf8 });
    }
    let mut parser = Parser { bytes, at: 0, members: 0 };
    parser.skip_space();
    if parser.peek() != Some(b'{') {
        return Err(parser.expected("one object, beginning with {"));
    }
    let object = parser.object(1)?;
    parser.skip_space();
    if parser.at != bytes.len() {
        return Err(parser.expected("nothing after the object"));
    }
    Ok(object)
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    members: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn fault(&self, fault: JsonFault) -> JsonError {
        JsonError { at: self.at, fault }
    }

    fn expected(&self, what: &'static str) -> JsonError {
        self.fault(JsonFault::Expected(what))
    }

    /// Counts one more member or item.
    fn count(&mut self) -> Result<(), JsonError> {
        self.members += 1;
        if self.members > MAX_JSON_MEMBERS { Err(self.fault(JsonFault::TooManyMembers)) } else { Ok(()) }
    }

    /// A value whose containers, if it is one, stand at `depth`; recursion ends at [`MAX_JSON_DEPTH`].
    fn value(&mut self, depth: usize) -> Result<Value, JsonError> {
        match self.peek() {
            Some(b'{') => self.object(depth).map(Value::Object),
            Some(b'[') => self.array(depth).map(Value::Array),
            Some(b'"') => self.string(true).map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.integer().map(|n| Value::Number(Number::from(n))),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => Err(self.expected("a value")),
        }
    }

    fn word(&mut self, word: &'static str, value: Value) -> Result<Value, JsonError> {
        if self.bytes[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(value)
        } else {
            Err(self.expected("a value"))
        }
    }

    fn object(&mut self, depth: usize) -> Result<Map<String, Value>, JsonError> {
        if depth > MAX_JSON_DEPTH {
            return Err(self.fault(JsonFault::TooDeep));
        }
        self.at += 1;
        let mut object = Map::new();
        self.skip_space();
        if self.eat(b'}') {
            return Ok(object);
        }
        loop {
            self.skip_space();
            let start = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.expected("a name in quotes"));
            }
            let name = self.string(false)?;
            self.count()?;
            if object.contains_key(&name) {
                return Err(JsonError { at: start, fault: JsonFault::DuplicateName(name.chars().take(80).collect()) });
            }
            self.skip_space();
            if !self.eat(b':') {
                return Err(self.expected("a colon"));
            }
            self.skip_space();
            let value = self.value(depth + 1)?;
            object.insert(name, value);
            self.skip_space();
            if self.eat(b'}') {
                return Ok(object);
            }
            if !self.eat(b',') {
                return Err(self.expected("a comma or }"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Value>, JsonError> {
        if depth > MAX_JSON_DEPTH {
            return Err(self.fault(JsonFault::TooDeep));
        }
        self.at += 1;
        let mut items = Vec::new();
        self.skip_space();
        if self.eat(b']') {
            return Ok(items);
        }
        loop {
            self.skip_space();
            self.count()?;
            items.push(self.value(depth + 1)?);
            self.skip_space();
            if self.eat(b']') {
                return Ok(items);
            }
            if !self.eat(b',') {
                return Err(self.expected("a comma or ]"));
            }
        }
    }

    fn integer(&mut self) -> Result<i64, JsonError> {
        let start = self.at;
        let negative = self.eat(b'-');
        let digits = self.at;
        let mut value: i64 = 0;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            // Sixteen digits hold 2^53 and can't overflow an i64; more are too large anyway.
            if self.at - digits >= 16 {
                return Err(JsonError { at: start, fault: JsonFault::IntegerTooLarge });
            }
            value = value * 10 + i64::from(digit - b'0');
            self.at += 1;
        }
        let leading_zero = self.at - digits > 1 && self.bytes[digits] == b'0';
        let plain = self.at > digits && !leading_zero && !matches!(self.peek(), Some(b'.' | b'e' | b'E'));
        if !plain || (negative && value == 0) {
            return Err(JsonError { at: start, fault: JsonFault::NotAnInteger });
        }
        if value > MAX_JSON_INTEGER {
            return Err(JsonError { at: start, fault: JsonFault::IntegerTooLarge });
        }
        Ok(if negative { -value } else { value })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fault(text: &str) -> JsonFault {
        parse(text.as_bytes()).unwrap_err().fault
    }

    #[test]
    fn what_serde_reads_is_read_the_same() {
        let text =
            r#" { "a" : [ 1 , -2, true, false, null, "x\n\"\\\/\u00e9\ud83d\ude00é" ], "b": {"c":{}} , "d":[] } "#;
        let ours = Value::Object(parse(text.as_bytes()).unwrap());
        assert_eq!(ours, serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn a_name_stands_once_in_an_object_at_any_depth() {
        assert_eq!(fault(r#"{"a":1,"a":2}"#), JsonFault::DuplicateName("a".into()));
        assert_eq!(fault(r#"{"x":[{"a":1,"\u0061":2}]}"#), JsonFault::DuplicateName("a".into()));
        assert!(parse(br#"{"a":{"a":1}}"#).is_ok());
    }

    #[test]
    fn numbers_are_plain_integers_within_two_to_the_53() {
        for good in ["0", "-1", "9007199254740991", "-9007199254740991"] {
            assert!(parse(format!("{{\"n\":{good}}}").as_bytes()).is_ok(), "{good}");
        }
        for bad in ["1.0", "1e3", "1E3", "-0", "01", "-", "-01", "0.5"] {
            assert_eq!(fault(&format!("{{\"n\":{bad}}}")), JsonFault::NotAnInteger, "{bad}");
        }
        for bad in ["9007199254740992", "9007199254740993", "-9007199254740992", "99999999999999999999999"] {
            assert_eq!(fault(&format!("{{\"n\":{bad}}}")), JsonFault::IntegerTooLarge, "{bad}");
        }
    }

    #[test]
    fn control_and_bidi_characters_are_refused_however_they_are_written() {
        for bad in ["\t", "\\t", "\\r", "\\u0000", "\u{7f}", "\\u007f", "\u{85}", "\u{1}"] {
            assert!(matches!(fault(&format!("{{\"a\":\"{bad}\"}}")), JsonFault::Control(_)), "{bad:?}");
        }
        for bad in ["\u{202e}", "\\u202e", "\u{2066}", "\u{200f}", "\u{61c}"] {
            assert!(matches!(fault(&format!("{{\"a\":\"{bad}\"}}")), JsonFault::Bidi(_)), "{bad:?}");
        }
        assert!(parse(br#"{"a":"two\nlines"}"#).is_ok());
        assert_eq!(fault(r#"{"a\nb":1}"#), JsonFault::Control(0x0a), "no newline in a name");
        assert_eq!(fault("{\"a\":\"raw\nnewline\"}"), JsonFault::Control(0x0a), "JSON writes newlines as \\n");
    }

    #[test]
    fn text_is_made_of_characters_in_normal_form_c() {
        assert_eq!(fault("{\"a\":\"e\u{301}\"}"), JsonFault::NotNfc);
        assert_eq!(fault(r#"{"a":"e\u0301"}"#), JsonFault::NotNfc);
        assert!(parse("{\"a\":\"\u{e9}\"}".as_bytes()).is_ok());
        for bad in [r"\ud800", r"\udc00", r"\ud800A", r"\ud800\ud800", r"\uffff", r"\ufdd0", "\u{1fffe}"] {
            assert_eq!(fault(&format!("{{\"a\":\"{bad}\"}}")), JsonFault::NotACharacter, "{bad}");
        }
        assert_eq!(parse(b"{\"a\":\"\xff\"}").unwrap_err(), JsonError { at: 6, fault: JsonFault::NotUtf8 });
        assert_eq!(fault(r#"{"a":"\x41"}"#), JsonFault::BadEscape);
    }

    #[test]
    fn depth_and_members_are_bounded() {
        let nested = |n: usize| format!("{}1{}", "{\"a\":".repeat(n), "}".repeat(n));
        assert!(parse(nested(MAX_JSON_DEPTH).as_bytes()).is_ok());
        assert_eq!(fault(&nested(MAX_JSON_DEPTH + 1)), JsonFault::TooDeep);
        assert_eq!(fault(&format!("{{\"a\":{}", "[".repeat(100_000))), JsonFault::TooDeep);
        let items = |n: usize| format!("{{\"a\":[{}]}}", vec!["1"; n].join(","));
        assert!(parse(items(MAX_JSON_MEMBERS - 1).as_bytes()).is_ok());
        assert_eq!(fault(&items(MAX_JSON_MEMBERS)), JsonFault::TooManyMembers);
    }

    #[test]
    fn only_one_object_and_nothing_else_is_a_document() {
        for bad in
            ["", "1", "[]", "\"a\"", "{} {}", "{}x", "{", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "\u{feff}{}"]
        {
            assert!(matches!(fault(bad), JsonFault::Expected(_)), "{bad}");
        }
        assert_eq!(fault("{\"a\":\"x"), JsonFault::Expected("the end of a string"));
        assert_eq!(fault("{\"a\":[1,]}"), JsonFault::Expected("a value"));
        assert_eq!(fault("{\"a\":tru}"), JsonFault::Expected("a value"));
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_tree_that_serde_agrees_with_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(tree) = parse(&bytes) {
                prop_assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), Value::Object(tree));
            }
        }

        #[test]
        fn jsonish_text_gives_a_tree_that_serde_agrees_with_or_an_error(
            text in r#"\{"a":(\[|\]|\{|\}|"[a-z\\u0"]{0,4}"|-?[0-9]{1,3}|,|:|true|null| ){0,12}\}"#) {
            if let Ok(tree) = parse(text.as_bytes()) {
                prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), Value::Object(tree));
            }
        }
    }
}
