//! Which addresses may be asked.

use std::net::{IpAddr, Ipv6Addr};

use url::{Host, Url};

use crate::error::{LedgerError, brief};

/// An address that may be asked, with the name that it has in errors and logs.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// Where.
    pub url: Url,
    /// Scheme, host and port only: paths and queries of hosted endpoints carry access keys.
    pub name: String,
    /// The host alone.
    pub host: String,
    /// Whether it is this machine or a private network.
    pub private: bool,
}

impl Address {
    /// Reads a configured address.
    ///
    /// # Errors
    /// [`LedgerError::BadAddress`] for anything but https, or http to this machine or a private address (or with
    /// `allow_http`), and for credentials inside the address.
    pub fn parse(text: &str, allow_http: bool) -> Result<Self, LedgerError> {
        let url = Url::parse(text).map_err(|e| {
            bad(text, format!("{e}; write it like https://soroban-testnet.stellar.org or http://127.0.0.1:8000"))
        })?;
        let name = url.origin().ascii_serialization();
        let Some(host) = url.host() else {
            return Err(bad(text, "it names no host".into()));
        };
        let private = is_private(&host);
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad(&name, "it carries a user name or password; configure a token or header instead".into()));
        }
        match url.scheme() {
            "https" => {}
            "http" if private || allow_http => {}
            "http" => {
                let why = "plain http beyond this machine and private addresses can be read and changed by anyone on \
                           the way; use https, or allow http for this endpoint explicitly";
                return Err(bad(&name, why.into()));
            }
            other => return Err(bad(text, format!("{:?} isn't https or http", brief(other)))),
        }
        let host = host.to_string();
        Ok(Self { url, name, host, private })
    }
}

fn bad(address: &str, why: String) -> LedgerError {
    LedgerError::BadAddress { address: brief(address), why }
}

/// Whether a host is this machine or on a private network. Names other than localhost count as public, whatever they
/// resolve to.
fn is_private(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        Host::Ipv4(ip) => is_private_ip(IpAddr::V4(*ip)),
        Host::Ipv6(ip) => is_private_ip(IpAddr::V6(*ip)),
    }
}

fn is_private_ip(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(mapped) => is_private_ip(IpAddr::V4(mapped)),
            None => ip == Ipv6Addr::LOCALHOST || ip.is_unique_local() || ip.is_unicast_link_local(),
        },
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_and_private_addresses() {
        for url in [
            "http://127.0.0.1:8000",
            "http://[::1]:8000/rpc",
            "http://localhost",
            "http://10.1.2.3",
            "http://192.168.7.1",
            "http://[fd00::1]",
            "https://rpc.example",
        ] {
            assert!(Address::parse(url, false).is_ok(), "{url}");
        }
        for url in ["http://rpc.example", "http://8.8.8.8", "http://[2001:db8::1]", "http://localhost.example"] {
            let error = Address::parse(url, false).unwrap_err().to_string();
            assert!(error.contains("use https"), "{error}");
            assert!(Address::parse(url, true).is_ok(), "{url}");
        }
        for url in ["", "rpc.example", "ftp://rpc.example", "file:///etc/passwd", "unix:/run/rpc"] {
            assert!(Address::parse(url, true).is_err(), "{url}");
        }
    }

    #[test]
    fn the_name_shows_no_key_of_the_address() {
        let address = Address::parse("https://rpc.example/v1/sesame?apikey=sesame", false).unwrap();
        assert_eq!(address.name, "https://rpc.example");
        let error = Address::parse("https://me:sesame@rpc.example", false).unwrap_err().to_string();
        assert!(error.contains("configure a token") && !error.contains("sesame"), "{error}");
    }
}
