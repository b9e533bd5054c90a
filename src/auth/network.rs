//! Where a request comes from: networks that may post, and the proxies whose word counts.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

/// Who forwarded a request, and for whom.
const FORWARDED: &str = "x-forwarded-for";

/// Some networks.
#[derive(Debug, Clone, Default)]
pub(super) struct Networks(Vec<IpNet>);

impl Networks {
    /// Networks in CIDR notation; a single address is a network of one. What is neither was a problem of the
    /// configuration, and holds nobody.
    pub(super) fn new(texts: &[String]) -> Self {
        Self(texts.iter().filter_map(|text| parse(text)).collect())
    }

    /// Whether none is configured.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an address is in one of them.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// A network, or a single address.
fn parse(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// The address of the sender of a request: the peer, unless that is a trusted proxy. Then the last address that the
/// proxies wrote down and that is none of theirs; what stands before it anybody could have written.
pub(super) fn sender(peer: IpAddr, headers: &HeaderMap, proxies: &Networks) -> Option<IpAddr> {
    if !proxies.contains(peer) {
        return Some(peer);
    }
    let lines: Vec<_> = headers.get_all(FORWARDED).iter().collect();
    let mut sender = peer;
    for line in lines.iter().rev() {
        for text in line.to_str().ok()?.rsplit(',') {
            sender = address(text.trim())?;
            if !proxies.contains(sender) {
                return Some(sender);
            }
        }
    }
    Some(sender)
}

/// Some proxies add the port.
fn address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(with_port)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
    use super::*;

    fn networks(texts: &[&str]) -> Networks {
        Networks::new(&texts.map_to_strings())
    }

    trait Strings {
        fn map_to_strings(&self) -> Vec<String>;
    }

    impl Strings for [&str] {
        fn map_to_strings(&self) -> Vec<String> {
            self.iter().map(|text| (*text).to_owned()).collect()
        }
    }

    #[test]
    fn networks_hold_what_they_say() {
        let some = networks(&["167.150.224.0/23", "10.0.0.7", "2001:db8::/32"]);
        for inside in
            ["167.150.224.0", "167.150.225.255", "10.0.0.7", "2001:db8::1", "::ffff:10.0.0.7"]
        {
            assert!(some.contains(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["167.150.226.0", "10.0.0.8", "2001:db9::1", "::1"] {
            assert!(!some.contains(outside.parse().unwrap()), "{outside}");
        }
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let proxies = networks(&["10.0.0.0/8"]);
        let sender = |peer: &str, lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(FORWARDED, line.parse().unwrap());
            }
            sender(peer.parse().unwrap(), &headers, &proxies).map(|sender| sender.to_string())
        };
        assert_eq!(sender("1.2.3.4", &["5.6.7.8"]).unwrap(), "1.2.3.4");
        assert_eq!(sender("10.0.0.1", &["5.6.7.8"]).unwrap(), "5.6.7.8");
        assert_eq!(sender("10.0.0.1", &["9.9.9.9, 5.6.7.8, 10.0.0.2"]).unwrap(), "5.6.7.8");
        assert_eq!(
            sender("10.0.0.1", &["9.9.9.9", "5.6.7.8:1234", "10.0.0.2"]).unwrap(),
            "5.6.7.8"
        );
        assert_eq!(sender("10.0.0.1", &[]).unwrap(), "10.0.0.1");
        assert_eq!(sender("10.0.0.1", &["5.6.7.8, rubbish"]), None);
    }
}
