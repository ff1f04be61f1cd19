//! The address at which people reach the relay (`PUBLIC_ORIGIN`): links are made with it, and no webhook may post to it.

use url::{Host, Url};

/// The relay's own origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicOrigin {
    origin: String,
    host: String,
}

impl PublicOrigin {
    /// The required form.
    pub const ALLOWED: &'static str =
        "empty, or https:// and a host name without a path, such as https://hooks.example.com";

    /// Reads an origin, with a slash behind it or without; http only on this machine, for development. None if it has
    /// not the form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok()?;
        let is_local = match url.host()? {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        let is_named = matches!(url.host(), Some(Host::Domain(name)) if name.contains('.'));
        let fits = match url.scheme() {
            "https" => is_named || is_local,
            "http" => is_local,
            _ => false,
        };
        let origin = url.origin().ascii_serialization();
        let rest = text.strip_prefix(&origin)?;
        (fits && matches!(rest, "" | "/")).then(|| Self {
            host: url.host_str().unwrap_or_default().into(),
            origin,
        })
    }

    /// Scheme, host and port, without a slash behind them.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.origin
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_a_scheme_and_a_host_and_maybe_a_port() {
        for (text, origin, host) in [
            (
                "https://hooks.example.com",
                "https://hooks.example.com",
                "hooks.example.com",
            ),
            (
                "https://hooks.example.com/",
                "https://hooks.example.com",
                "hooks.example.com",
            ),
            (
                "https://hooks.example.com:8443",
                "https://hooks.example.com:8443",
                "hooks.example.com",
            ),
            (
                "http://localhost:8787",
                "http://localhost:8787",
                "localhost",
            ),
            (
                "http://127.0.0.1:8787",
                "http://127.0.0.1:8787",
                "127.0.0.1",
            ),
        ] {
            let parsed = PublicOrigin::parse(text).unwrap();
            assert_eq!((parsed.as_str(), parsed.host()), (origin, host), "{text}");
        }
    }

    #[test]
    fn nothing_else_is_taken() {
        for text in [
            "",
            "hooks.example.com",
            "http://hooks.example.com",
            "https://hooks.example.com/relay",
            "https://hooks.example.com/?a",
            "https://user@hooks.example.com",
            "https://Hooks.example.com",
            "https://hooks.example.com:443",
            "https://192.0.2.1",
            "https://example",
            "ftp://hooks.example.com",
            " https://hooks.example.com",
        ] {
            assert_eq!(PublicOrigin::parse(text), None, "{text}");
        }
    }
}
