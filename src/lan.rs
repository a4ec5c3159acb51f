//! The shop's address, which tills on other machines come in by.
//!
//! It comes and goes with the network: from a router that was switched on later than this machine, over a cable that is
//! out. A gateway that waited for it would sell for nobody, not even at its own till. So its port is opened before the
//! address is there; who asks by it is answered from the moment at which it is.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use rustix::net::sockopt::{set_ip_freebind, set_ipv6_freebind};
use tokio::net::{TcpListener, TcpSocket};

/// Connections that may wait to be taken, as everywhere else.
const BACKLOG: u32 = 128;

/// Listens at an address, should no interface have it yet.
///
/// # Errors
/// Another program has the port, this user may not listen on it, or the machine knows no such kind of addresses.
pub fn listen_ahead(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    // Loopback is always there, and every address (0.0.0.0) covers those that come.
    if !address.ip().is_loopback() && !address.ip().is_unspecified() {
        match address {
            SocketAddr::V4(_) => set_ip_freebind(&socket, true)?,
            SocketAddr::V6(_) => set_ipv6_freebind(&socket, true)?,
        }
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Whether an interface of this machine has the address at this moment.
#[must_use]
pub fn is_here(address: SocketAddr) -> bool {
    let mut any_port = address;
    any_port.set_port(0);
    match UdpSocket::bind(any_port) {
        Ok(_) => true,
        Err(error) => error.kind() != io::ErrorKind::AddrNotAvailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An address of documents (RFC 5737, RFC 3849): no machine has it.
    const NOWHERE: [&str; 2] = ["192.0.2.1:0", "[2001:db8::1]:0"];

    /// A machine without IPv6 has no such sockets.
    fn knows(address: SocketAddr) -> bool {
        let loopback = match address {
            SocketAddr::V4(_) => "127.0.0.1:0",
            SocketAddr::V6(_) => "[::1]:0",
        };
        std::net::TcpListener::bind(loopback).is_ok()
    }

    /// A port at an address that is not there is opened all the same, and taken then.
    #[tokio::test]
    async fn an_address_may_come_later() {
        for text in NOWHERE {
            let address: SocketAddr = text.parse().unwrap();
            if !knows(address) {
                continue;
            }
            assert!(!is_here(address), "{text}");
            let plain = std::net::TcpListener::bind(address).unwrap_err();
            assert_eq!(plain.kind(), io::ErrorKind::AddrNotAvailable, "{text}");
            let listener = listen_ahead(address).unwrap();
            let taken = listen_ahead(listener.local_addr().unwrap()).unwrap_err();
            assert_eq!(taken.kind(), io::ErrorKind::AddrInUse, "{text}");
        }
    }

    /// What is there, and every address, are listened on as ever.
    #[tokio::test]
    async fn what_is_there() {
        for text in ["127.0.0.1:0", "0.0.0.0:0"] {
            let address = text.parse().unwrap();
            assert!(is_here(address), "{text}");
            let port = listen_ahead(address).unwrap().local_addr().unwrap().port();
            assert_ne!(port, 0);
        }
    }
}
