//! Ids as people type them: whole, or the beginning of exactly one.

use axum::http::StatusCode;

use super::problem::Problem;
use crate::problem_code::ProblemCode;

/// The fewest hex digits that name something.
pub const MIN_PREFIX: usize = 6;
/// Hex digits of a whole id.
const WHOLE: usize = 64;

/// The one thing that has an id which begins like this. A thing may have several ids.
///
/// # Errors
/// A [`Problem`] that says whether the text is no id, nothing has it, or more than one.
pub fn resolve<T>(
    what: &str,
    text: &str,
    hint: &str,
    things: impl IntoIterator<Item = (T, Vec<String>)>,
) -> Result<T, Problem> {
    let hex = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if !hex || !(MIN_PREFIX..=WHOLE).contains(&text.len()) {
        let shown: String = text.chars().take(80).collect();
        let detail = format!("{shown:?} is no id: give at least {MIN_PREFIX} of its first lower-case hex digits");
        return Err(Problem::new(StatusCode::BAD_REQUEST, ProblemCode::NotAnId, detail).remedy(hint));
    }
    let mut found = things.into_iter().filter(|(_, ids)| ids.iter().any(|id| id.starts_with(text)));
    match (found.next(), found.count()) {
        (Some((thing, _)), 0) => Ok(thing),
        (Some(_), more) => {
            let detail = format!("{} {what}s have ids that begin with {text}: give more digits", more + 1);
            Err(Problem::new(StatusCode::CONFLICT, ProblemCode::AmbiguousId, detail).remedy(hint))
        }
        (None, _) => Err(Problem::not_found(format!("no {what} here has an id that begins with {text}")).remedy(hint)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(text: &str) -> Result<u8, String> {
        let things =
            [(1, vec![format!("{:a<64}", "abcdef01")]), (2, vec![format!("{:b<64}", "abcdef02"), "9".repeat(64)])];
        resolve("binding", text, "look", things).map_err(|problem| problem.code)
    }

    #[test]
    fn a_prefix_must_be_the_beginning_of_exactly_one() {
        assert_eq!(find("abcdef01"), Ok(1));
        assert_eq!(find("999999"), Ok(2));
        assert_eq!(find("abcdef"), Err("ambiguous-id".to_owned()));
        assert_eq!(find("abcdef03"), Err("not-found".to_owned()));
        for bad in ["abcde", "", "ABCDEF01", "../../x", &"a".repeat(65)] {
            assert_eq!(find(bad), Err("not-an-id".to_owned()), "{bad}");
        }
    }
}
