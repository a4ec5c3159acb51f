//! How many connections each address has open. They are counted at the door, before anything is read: whoever opens
//! many and says nothing on them cannot take all places.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::access::pauses;
use crate::api::Network;

/// The connections that are open, by address.
#[derive(Debug, Clone)]
pub(super) struct Callers {
    most: usize,
    trusted: Arc<Vec<Network>>,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A place at the door; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    /// None: a trusted proxy, which is not counted.
    of: Option<(Callers, IpAddr)>,
}

impl Callers {
    /// So many for each address; as many as there are for these proxies, behind which everybody is.
    pub(super) fn new(most: usize, trusted: Vec<Network>) -> Self {
        Self {
            most,
            trusted: Arc::new(trusted),
            open: Arc::default(),
        }
    }

    /// A place for a connection from there; none: there are too many already.
    pub(super) fn let_in(&self, from: IpAddr) -> Option<Place> {
        if self.trusted.iter().any(|network| network.contains(from)) {
            return Some(Place { of: None });
        }
        let from = pauses::network(from);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(from).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Place {
            of: Some((self.clone(), from)),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((callers, from)) = &self.of else {
            return;
        };
        let mut open = callers.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(from) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each address has its own places, an IPv6 network shares them, proxies have no limit; what ends is free again.
    #[test]
    fn places_are_counted_by_address() {
        let callers = Callers::new(2, vec!["10.0.0.0/8".parse().unwrap()]);
        let from = |text: &str| callers.let_in(text.parse().unwrap());
        let (first, second) = (
            from("196.1.1.1").unwrap(),
            from("::ffff:196.1.1.1").unwrap(),
        );
        assert!(from("196.1.1.1").is_none());
        let _others = [
            from("196.1.1.2").unwrap(),
            from("2001:db8::1").unwrap(),
            from("2001:db8::2").unwrap(),
        ];
        assert!(from("2001:db8::3").is_none());
        let _proxies: Vec<Place> = (0..5).map(|_| from("10.1.1.1").unwrap()).collect();
        drop(first);
        let again = from("196.1.1.1");
        assert!(again.is_some() && from("196.1.1.1").is_none());
        drop((again, second));
        assert!(
            !callers
                .open
                .lock()
                .unwrap()
                .contains_key(&"196.1.1.1".parse().unwrap())
        );
    }
}
