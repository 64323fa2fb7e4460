//! Where a call goes at the service: the base URL and the call's own path, joined so that it can't leave the base.

use hyper::Uri;
use hyper::http::uri::PathAndQuery;

/// A call's address that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadTarget {
    /// It isn't an absolute path.
    #[error("a call's address is a path that begins with one slash")]
    NotAPath,
    /// It has a segment that climbs.
    #[error("a call's path has no `.` or `..` segments")]
    Climbs,
    /// Together with the base it is no URL.
    #[error("the call's path doesn't make a URL of the service")]
    NoUrl,
}

/// The path and query of a call, refused where it could mean another place than it says.
pub(super) fn path(uri: &Uri) -> Result<&str, BadTarget> {
    let whole = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let path = uri.path();
    if !path.starts_with('/') || path.starts_with("//") {
        return Err(BadTarget::NotAPath);
    }
    // Servers differ in whether they decode before they climb.
    let plain = path.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "\\");
    let climbs = |segment: &str| matches!(segment, "." | "..");
    if plain.split(['/', '\\']).any(climbs) {
        return Err(BadTarget::Climbs);
    }
    Ok(whole)
}

/// The URL of a call at the service behind `base`, which ends without a slash.
pub(super) fn join(base: &str, uri: &Uri) -> Result<Uri, BadTarget> {
    let path = path(uri)?;
    format!("{base}{path}").parse().map_err(|_| BadTarget::NoUrl)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_path_and_its_query_stand_behind_the_base() {
        let joined = |base, uri: &str| join(base, &uri.parse().unwrap()).map(|u| u.to_string());
        assert_eq!(joined("http://127.0.0.1:9", "/a/b?c=d"), Ok("http://127.0.0.1:9/a/b?c=d".into()));
        assert_eq!(joined("http://h/api", "http://x/v1"), Ok("http://h/api/v1".into()), "the call's authority is moot");
        assert_eq!(joined("http://h/api", "/"), Ok("http://h/api/".into()));
        assert_eq!(joined("http://h", "/a..b/..c"), Ok("http://h/a..b/..c".into()));
    }

    #[test]
    fn no_path_leaves_the_base() {
        for climbing in ["/..", "/a/../b", "/%2e%2E/x", "/a/.%2e", "/./a", "/a%2f..%2fb", "/a/..%5Cb"] {
            assert_eq!(join("http://h/api", &climbing.parse().unwrap()), Err(BadTarget::Climbs), "{climbing}");
        }
        assert_eq!(join("http://h/api", &Uri::from_static("//evil/x")), Err(BadTarget::NotAPath));
        assert_eq!(join("http://h", &Uri::from_static("*")), Err(BadTarget::NotAPath));
    }
}
