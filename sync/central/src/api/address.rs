//! Where a request comes from. Behind a proxy that is trusted, it is whom the proxy names.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap};

/// Addresses that begin alike: `10.0.0.0/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// A text that is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no network such as 10.0.0.0/8, and no address")]
pub struct NetworkError(String);

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let wrong = || NetworkError(text.to_owned());
        let (address, bits) = match text.trim().split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text.trim(), None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().map_err(|_| wrong())?,
            None => most,
        };
        (bits <= most)
            .then_some(Self { address, bits })
            .ok_or_else(wrong)
    }
}

impl Network {
    /// Whether an address is one of them.
    #[must_use]
    pub fn contains(&self, other: IpAddr) -> bool {
        let apart = match (self.address, other.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                (own.to_bits() ^ other.to_bits()).leading_zeros()
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                (own.to_bits() ^ other.to_bits()).leading_zeros()
            }
            _ => return false,
        };
        apart >= u32::from(self.bits)
    }
}

/// The client of a request. `X-Forwarded-For` is read from its end, where our own proxies write, and only as far
/// as those who wrote are trusted.
pub(super) fn client(extensions: &Extensions, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let peer = extensions.get::<ConnectInfo<SocketAddr>>();
    let mut client = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| {
        peer.0.ip().to_canonical()
    });
    let all = headers
        .get_all("x-forwarded-for")
        .iter()
        .map(|value| value.to_str().unwrap_or_default())
        .collect::<Vec<_>>()
        .join(",");
    for named in all.rsplit(',') {
        if !is_trusted(client) {
            break;
        }
        let Ok(named) = named.trim().parse::<IpAddr>() else {
            break;
        };
        client = named.to_canonical();
    }
    client
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(peer: &str, forwarded: &[&'static str], trusted: &[&str]) -> String {
        let mut extensions = Extensions::new();
        let peer: IpAddr = peer.parse().unwrap();
        extensions.insert(ConnectInfo(SocketAddr::new(peer, 1)));
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted: Vec<Network> = trusted.iter().map(|text| text.parse().unwrap()).collect();
        client(&extensions, &headers, &trusted).to_string()
    }

    /// A stranger's word counts for nothing; a proxy's does, as far back as only proxies speak.
    #[test]
    fn proxies_are_believed_if_trusted() {
        assert_eq!(seen("196.1.1.1", &["1.2.3.4"], &[]), "196.1.1.1");
        assert_eq!(
            seen("196.1.1.1", &["1.2.3.4"], &["10.0.0.0/8"]),
            "196.1.1.1"
        );
        assert_eq!(seen("10.1.1.1", &["1.2.3.4"], &["10.0.0.0/8"]), "1.2.3.4");
        assert_eq!(
            seen("10.1.1.1", &["9.9.9.9, 1.2.3.4"], &["10.0.0.0/8"]),
            "1.2.3.4"
        );
        assert_eq!(
            seen(
                "10.1.1.1",
                &["9.9.9.9, 1.2.3.4", "10.2.2.2"],
                &["10.0.0.0/8"]
            ),
            "1.2.3.4"
        );
        assert_eq!(
            seen("10.1.1.1", &["1.2.3.4, rubbish"], &["10.0.0.0/8"]),
            "10.1.1.1"
        );
        assert_eq!(seen("10.1.1.1", &[], &["10.0.0.0/8"]), "10.1.1.1");
        assert_eq!(
            seen("::ffff:10.1.1.1", &["2001:db8::1"], &["10.0.0.0/8"]),
            "2001:db8::1"
        );
    }

    /// Networks are read strictly.
    #[test]
    fn networks_are_read() {
        let network = |text: &str| text.parse::<Network>();
        assert!(
            network("2001:db8::/32")
                .unwrap()
                .contains("2001:db8:1::1".parse().unwrap())
        );
        assert!(
            !network("2001:db8::/32")
                .unwrap()
                .contains("2001:db9::1".parse().unwrap())
        );
        assert!(
            network("0.0.0.0/0")
                .unwrap()
                .contains("8.8.8.8".parse().unwrap())
        );
        assert!(
            !network("10.0.0.1")
                .unwrap()
                .contains("10.0.0.2".parse().unwrap())
        );
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/x", "::/129"] {
            assert!(network(bad).is_err(), "{bad}");
        }
    }
}
