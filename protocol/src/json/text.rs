//! Strings of a document: escapes, and which characters may stand in them.

use unicode_normalization::is_nfc;

use super::{JsonError, JsonFault, Parser};

impl Parser<'_> {
    /// A string; `newline` says whether an escaped newline may stand in it.
    pub(super) fn string(&mut self, newline: bool) -> Result<String, JsonError> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            let plain = self.at;
            while self.peek().is_some_and(|b| b != b'"' && b != b'\\' && b >= 0x20) {
                self.at += 1;
            }
            // The input is UTF-8 and the bytes at both ends are ASCII, so the slice is too.
            text.push_str(core::str::from_utf8(&self.bytes[plain..self.at]).unwrap_or_default());
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => text.push(self.escape()?),
                Some(control) => return Err(self.fault(JsonFault::Control(u32::from(control)))),
                None => return Err(self.expected("the end of a string")),
            }
        }
        self.at += 1;
        if let Some(fault) = text.chars().find_map(|c| character_fault(c, newline)) {
            return Err(JsonError { at: start, fault });
        }
        if !text.is_ascii() && !is_nfc(&text) {
            return Err(JsonError { at: start, fault: JsonFault::NotNfc });
        }
        Ok(text)
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        self.at += 1;
        let plain = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            _ => return Err(self.fault(JsonFault::BadEscape)),
        };
        self.at += 1;
        Ok(plain)
    }

    /// `uXXXX`, with its second half where it is a high surrogate.
    fn unicode_escape(&mut self) -> Result<char, JsonError> {
        let first = self.four_digits()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first).ok_or_else(|| self.fault(JsonFault::NotACharacter));
        }
        if !self.bytes[self.at..].starts_with(b"\\u") {
            return Err(self.fault(JsonFault::NotACharacter));
        }
        self.at += 1;
        let second = self.four_digits()?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(self.fault(JsonFault::NotACharacter));
        }
        let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        char::from_u32(code).ok_or_else(|| self.fault(JsonFault::NotACharacter))
    }

    fn four_digits(&mut self) -> Result<u32, JsonError> {
        let mut code = 0;
        for i in 1..=4 {
            let digit = self.bytes.get(self.at + i).and_then(|&b| char::from(b).to_digit(16));
            code = code * 16 + digit.ok_or_else(|| self.fault(JsonFault::BadEscape))?;
        }
        self.at += 5;
        Ok(code)
    }
}

fn character_fault(c: char, newline: bool) -> Option<JsonFault> {
    let code = u32::from(c);
    match c {
        '\n' if newline => None,
        c if c.is_control() => Some(JsonFault::Control(code)),
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            Some(JsonFault::Bidi(code))
        }
        '\u{fdd0}'..='\u{fdef}' => Some(JsonFault::NotACharacter),
        _ if code & 0xfffe == 0xfffe => Some(JsonFault::NotACharacter),
        _ => None,
    }
}
