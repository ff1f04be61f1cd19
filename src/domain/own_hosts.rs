//! The hosts that belong to the operator (`OWN_HOSTS`): no webhook may post to them.

use url::Host;

/// Hosts of the operator, each alone or with all below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnHosts(Vec<OwnHost>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum OwnHost {
    Exactly(String),
    /// Every name below this one.
    Below(String),
}

impl OwnHosts {
    /// The required form.
    pub const ALLOWED: &'static str = "empty, or a comma-separated list of host names such as hooks.example.com; \
         *.example.com stands for all below example.com";

    /// Reads a comma-separated list; spaces around an entry are ignored. None if an entry is no host name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.trim().is_empty() {
            return Some(Self::default());
        }
        let entries = text.split(',').map(|entry| OwnHost::parse(entry.trim()));
        entries.collect::<Option<_>>().map(Self)
    }

    /// These hosts and one more, which is written as `contain` takes it.
    #[must_use]
    pub fn and(mut self, host: &str) -> Self {
        self.0.push(OwnHost::Exactly(host.to_owned()));
        self
    }

    /// Whether a host belongs to the operator: in lower case, IDN as punycode, without a trailing dot.
    #[must_use]
    pub fn contain(&self, host: &str) -> bool {
        self.0.iter().any(|own| match own {
            OwnHost::Exactly(name) => name == host,
            OwnHost::Below(name) => host
                .strip_suffix(name.as_str())
                .is_some_and(|rest| rest.ends_with('.')),
        })
    }
}

impl OwnHost {
    fn parse(entry: &str) -> Option<Self> {
        match entry.strip_prefix("*.") {
            Some(name) => host_name(name).map(Self::Below),
            None => host_name(entry).map(Self::Exactly),
        }
    }
}

/// A host name as the `url` crate writes it, so that it equals that of an endpoint.
fn host_name(text: &str) -> Option<String> {
    let Ok(Host::Domain(name)) = Host::parse(text) else {
        return None;
    };
    let name = name.strip_suffix('.').unwrap_or(&name);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_label = |label: &str| !label.is_empty() && label.bytes().all(is_plain);
    (name.contains('.') && name.split('.').all(is_label)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_is_a_host_like_the_others() {
        let own = OwnHosts::default().and("hooks.example.com");
        assert!(own.contain("hooks.example.com") && !own.contain("a.hooks.example.com"));
    }

    #[test]
    fn a_name_stands_for_itself_and_a_star_for_all_below() {
        let own =
            OwnHosts::parse(" Hooks.Example.com. ,*.acme.example.net,b\u{fc}cher.example.org")
                .unwrap();
        for host in [
            "hooks.example.com",
            "a.acme.example.net",
            "a.b.acme.example.net",
            "xn--bcher-kva.example.org",
        ] {
            assert!(own.contain(host), "{host}");
        }
        for host in [
            "a.hooks.example.com",
            "example.com",
            "acme.example.net",
            "notacme.example.net",
            "hooks.example.com.example.org",
        ] {
            assert!(!own.contain(host), "{host}");
        }
        for empty in ["", " "] {
            assert_eq!(OwnHosts::parse(empty), Some(OwnHosts::default()));
        }
    }

    #[test]
    fn whatever_is_no_host_name_is_refused() {
        for text in [
            ",",
            "a.example.com,",
            "com",
            "*",
            "*.",
            "*.com",
            "a.*.com",
            "**.example.com",
            "https://a.example.com",
            "a.example.com:443",
            "a.example.com/",
            "a b.example.com",
            "a..example.com",
            "127.0.0.1",
            "[::1]",
        ] {
            assert_eq!(OwnHosts::parse(text), None, "{text}");
        }
    }
}
