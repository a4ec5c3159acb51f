//! Which addresses of the shop's network may connect.

use std::net::IpAddr;
use std::str::FromStr;

/// An entry of an allow-list that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is neither an address like 192.168.1.20 nor a network like 192.168.1.0/24")]
pub struct AllowListError(String);

/// Addresses and networks that may connect; an empty list lets nobody in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList(Vec<Network>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    prefix: u32,
}

impl AllowList {
    /// Reads the entries.
    ///
    /// # Errors
    /// One of them is neither an address nor a network.
    pub fn parse<S: AsRef<str>>(entries: &[S]) -> Result<Self, AllowListError> {
        let networks = entries.iter().map(|entry| entry.as_ref().parse());
        Ok(Self(networks.collect::<Result<_, _>>()?))
    }

    /// Whether an address is on the list. An IPv4 address that comes in mapped into IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(address))
    }
}

impl FromStr for Network {
    type Err = AllowListError;

    fn from_str(text: &str) -> Result<Self, AllowListError> {
        let wrong = || AllowListError(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| wrong())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(prefix) => prefix.trim().parse().map_err(|_| wrong())?,
        };
        if prefix > longest {
            return Err(wrong());
        }
        Ok(Self { address, prefix })
    }
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let shift = 32 - self.prefix;
                let differ = ours.to_bits() ^ theirs.to_bits();
                differ.checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let shift = 128 - self.prefix;
                let differ = ours.to_bits() ^ theirs.to_bits();
                differ.checked_shr(shift).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses and networks of both kinds; what is not on the list stays outside.
    #[test]
    fn membership() {
        let list = AllowList::parse(&["192.168.1.20", "10.1.0.0/16", "fd00::/8"]).unwrap();
        let table = [
            ("192.168.1.20", true),
            ("::ffff:192.168.1.20", true),
            ("192.168.1.21", false),
            ("10.1.255.255", true),
            ("10.2.0.0", false),
            ("fd12::1", true),
            ("fe80::1", false),
        ];
        for (address, expected) in table {
            assert_eq!(
                list.contains(address.parse().unwrap()),
                expected,
                "{address}"
            );
        }
        assert!(!AllowList::default().contains("127.0.0.1".parse().unwrap()));
        let all = AllowList::parse(&["0.0.0.0/0"]).unwrap();
        assert!(all.contains("8.8.8.8".parse().unwrap()));
        for bad in [
            "",
            "shop",
            "10.0.0.0/33",
            "10.0.0.0/x",
            "fd00::/129",
            "1.2.3",
        ] {
            assert!(AllowList::parse(&[bad]).is_err(), "{bad}");
        }
    }
}
