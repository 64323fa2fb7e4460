//! How figures are written for people: ids short, amounts in coins, times from now.

use std::time::Duration;

use tradepost_protocol::amount::{Stroops, Unit};
use tradepost_protocol::asset::Asset;
use tradepost_protocol::time::Timestamp;

use crate::api::view::{Moment, PriceView};
use crate::terminal::plain;

/// Hex digits of an id that are shown.
const ID_DIGITS: usize = 12;

/// Columns of a line.
const WIDTH: usize = 100;
/// Columns of a field's name.
const NAME: usize = 12;

/// An id's first digits: enough to name it again.
pub fn id(id: impl ToString) -> String {
    id.to_string().chars().take(ID_DIGITS).collect()
}

/// An account's or a key's first and last characters.
pub fn key(key: impl ToString) -> String {
    let text = key.to_string();
    match (text.get(..6), text.get(text.len().saturating_sub(6)..)) {
        (Some(first), Some(last)) if text.len() > 16 => format!("{first}…{last}"),
        _ => text,
    }
}

/// An amount in coins, without zeros that say nothing: `2.5`.
pub fn coins(amount: Stroops) -> String {
    let text = amount.coins();
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// An amount with its asset's symbol: `2.5 XLM`.
pub fn money(amount: Stroops, asset: &Asset) -> String {
    format!("{} {}", coins(amount), asset.symbol())
}

/// An amount of the native coin.
pub fn native(amount: Stroops) -> String {
    money(amount, &Asset::Native)
}

/// A price: `0.5 XLM per call`, or `free`.
pub fn price(price: &PriceView) -> String {
    if price.amount.is_zero() {
        return "free".to_owned();
    }
    format!("{} per {}", money(price.amount, &price.asset), unit(price.unit))
}

/// So many of a unit: `1 call`, `10 calls`, `3 MiB`.
pub fn units(count: u64, of: Option<Unit>) -> String {
    match of {
        None => format!("{count} units"),
        Some(Unit::MiB) => format!("{count} MiB"),
        Some(of) => format!("{count} {}{}", unit(of), if count == 1 { "" } else { "s" }),
    }
}

fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::MiB => "MiB",
        other => other.as_str(),
    }
}

/// How far a moment is from now: `in 12 s`, `3 min ago`.
pub fn from_now(at: Timestamp, now: Timestamp) -> String {
    if at >= now { format!("in {}", span(at.since(now))) } else { format!("{} ago", span(now.since(at))) }
}

/// A moment, from now and absolutely: `in 12 s (2026-11-21 07:35:00 UTC)`.
pub fn moment(at: &Moment, now: Timestamp) -> String {
    let absolute = at.text.replace('T', " ").replace('Z', " UTC");
    format!("{} ({absolute})", from_now(at.timestamp(), now))
}

/// A span in its two largest units at the most: `12 s`, `5 min`, `2 h 10 min`, `3 d 4 h`.
pub fn span(span: Duration) -> String {
    let secs = span.as_secs();
    let two = |large: u64, name: &str, small: u64, other: &str| match small {
        0 => format!("{large} {name}"),
        _ => format!("{large} {name} {small} {other}"),
    };
    match secs {
        0..=119 => format!("{secs} s"),
        120..=7_199 => format!("{} min", secs / 60),
        7_200..=172_799 => two(secs / 3_600, "h", secs % 3_600 / 60, "min"),
        _ => two(secs / 86_400, "d", secs % 86_400 / 3_600, "h"),
    }
}

/// Names and values, one below the other, in lines that fit the width where their words let them.
pub fn fields<N: AsRef<str>, V: AsRef<str>>(fields: impl IntoIterator<Item = (N, V)>) -> String {
    let mut text = String::new();
    for (name, value) in fields {
        let mut line = format!("{:<NAME$}", name.as_ref());
        let mut empty = true;
        for word in value.as_ref().split(' ') {
            if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
                text.push_str(line.trim_end());
                text.push('\n');
                line = " ".repeat(NAME);
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            line.push_str(word);
            empty = false;
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Which part of a long list is shown; nothing where it is all.
pub fn page(offset: usize, shown: usize, total: usize) -> Option<String> {
    match shown {
        _ if shown >= total => None,
        0 => Some(format!("there are {total}, none from number {} on", offset + 1)),
        _ => Some(format!("{} to {} of {total}; --offset shows more", offset + 1, offset + shown)),
    }
}

/// A stranger's text in at most so many characters of one line.
pub fn cut(text: &str, most: usize) -> String {
    let line = plain(text);
    match line.char_indices().nth(most) {
        Some(_) => format!("{}…", line.chars().take(most.saturating_sub(1)).collect::<String>()),
        None => line,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn amounts_lose_no_stroop_and_no_meaning() {
        for (stroops, text) in [(0, "0"), (1, "0.0000001"), (25_000_000, "2.5"), (1_000_000_000, "100")] {
            assert_eq!(coins(Stroops::new(stroops).unwrap()), text);
        }
        let issued = Asset::issued("HEXA", tradepost_protocol::account::AccountId::from_bytes([3; 32])).unwrap();
        assert_eq!(money(Stroops::whole(8), &issued), "8 HEXA");
        assert_eq!((units(1, Some(Unit::Call)), units(2, Some(Unit::Call))), ("1 call".into(), "2 calls".into()));
        assert_eq!(units(2, Some(Unit::MiB)), "2 MiB");
    }

    #[test]
    fn times_are_told_from_now() {
        let now = Timestamp::from_secs(1_000_000);
        let at = |secs: i64| Timestamp::from_secs(1_000_000_u64.checked_add_signed(secs).unwrap());
        let cases = [
            (0, "in 0 s"),
            (12, "in 12 s"),
            (-90, "90 s ago"),
            (600, "in 10 min"),
            (7_800, "in 2 h 10 min"),
            (-7_200, "2 h ago"),
            (180_000, "in 2 d 2 h"),
        ];
        for (secs, text) in cases {
            assert_eq!(from_now(at(secs), now), text);
        }
        let later = Moment::from(Timestamp::from_secs(1_000_012));
        assert_eq!(moment(&later, now), "in 12 s (1970-01-12 13:46:52 UTC)");
    }

    #[test]
    fn a_page_says_which_part_it_is() {
        assert_eq!(page(0, 3, 3), None);
        assert_eq!(page(0, 50, 70).as_deref(), Some("1 to 50 of 70; --offset shows more"));
        assert_eq!(page(50, 20, 70).as_deref(), Some("51 to 70 of 70; --offset shows more"));
        assert_eq!(page(70, 0, 70).as_deref(), Some("there are 70, none from number 71 on"));
    }

    #[test]
    fn a_long_value_goes_on_below_its_beginning() {
        let long = "word ".repeat(40);
        let shown = fields([("name", long.trim_end()), ("key", &"k".repeat(120)), ("", "end")]);
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[0].starts_with("name        word") && lines[1].starts_with("            word"), "{shown}");
        assert!(lines.iter().filter(|line| line.contains("word")).all(|line| line.len() <= WIDTH), "{shown}");
        assert_eq!(lines[lines.len() - 1], "            end");
        assert_eq!(shown.matches("word").count(), 40);
        assert!(shown.contains(&"k".repeat(120)), "what has no words is never cut");
    }

    #[test]
    fn ids_keys_and_titles_are_short() {
        assert_eq!(id("ab".repeat(32)), "abababababab");
        assert_eq!(key("GAAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQDZ7H"), "GAAQCA…AQDZ7H");
        assert_eq!((key("é"), key("short")), ("é".to_owned(), "short".to_owned()));
        assert_eq!(cut("weather\u{1b}[2J", 30), "weather\u{fffd}[2J");
        assert_eq!(cut("a long title", 6), "a lon…");
    }
}
