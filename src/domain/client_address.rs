//! Which clients count as one, by their addresses.

use std::net::IpAddr;

/// Names the network that a client's address stands for: an IPv4 address itself, also one that is mapped into IPv6, and
/// the /64 of an IPv6 address, as one subscriber has at least that. Every text that is no address is one network.
#[must_use]
pub fn client_network(address: &str) -> String {
    match address.trim().parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V4(address)) => address.to_string(),
        Ok(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
        Err(_) => "unknown".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_subscriber_are_one_network() {
        for (one, other) in [
            ("2001:db8:1:2::1", "2001:0DB8:1:2:ffff:ffff:ffff:ffff"),
            ("198.51.100.7", "::ffff:198.51.100.7"),
            ("198.51.100.7", "::ffff:c633:6407"),
            ("", "nonsense"),
        ] {
            assert_eq!(client_network(one), client_network(other), "{one} {other}");
        }
    }

    #[test]
    fn addresses_of_different_subscribers_are_not() {
        let all = [
            "198.51.100.7",
            "198.51.100.8",
            "2001:db8:1:2::1",
            "2001:db8:1:3::1",
            "2001:db8:1::1",
            "::1",
            "nonsense",
        ];
        let networks: std::collections::BTreeSet<_> = all.map(client_network).into();
        assert_eq!(networks.len(), all.len(), "{networks:?}");
    }
}
