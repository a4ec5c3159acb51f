//! Opening links: each time by the stable name, never by what the device was called last time.

use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};

use super::config::{LinkConfig, UsbName};
use super::discover::{Found, UsbPrinter, discover};
use super::port::{Port, Zero};
use super::serial::SerialLink;
use super::{Link, LinkError, Opener};

/// How long a host may take to answer a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// How long a connection may be quiet before the system asks whether the other side lives, how long it waits
/// between two questions, and how many may go unanswered.
const KEEPALIVE: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 3;
/// How long closing a connection waits for what was written to arrive.
const LINGER: Duration = Duration::from_secs(2);

impl LinkConfig {
    /// How to open it.
    #[must_use]
    pub fn opener(&self) -> Box<dyn Opener> {
        self.opener_at(Path::new("/"))
    }

    /// As [`LinkConfig::opener`], with `/sys` and `/dev` of USB printers looked up under another root.
    #[must_use]
    pub fn opener_at(&self, root: &Path) -> Box<dyn Opener> {
        Box::new(ConfigOpener {
            link: self.clone(),
            root: root.to_owned(),
        })
    }
}

#[derive(Debug)]
struct ConfigOpener {
    link: LinkConfig,
    root: PathBuf,
}

impl Opener for ConfigOpener {
    fn name(&self) -> String {
        self.link.to_string()
    }

    fn open(&mut self) -> Result<Box<dyn Link>, LinkError> {
        let name = self.name();
        let opened: Result<Box<dyn Link>, String> = match &self.link {
            LinkConfig::Tcp { host, port } => tcp(&name, host, *port).map(boxed),
            LinkConfig::Serial(serial) => SerialLink::open(&name, serial, true)
                .map(|link| -> Box<dyn Link> { Box::new(link) }),
            LinkConfig::Usb(usb) => usb_printer(&name, usb, &self.root).map(boxed),
            LinkConfig::Unix(path) => unix(&name, path).map(boxed),
            LinkConfig::File(path) => file(&name, path).map(boxed),
        };
        opened.map_err(|why| LinkError::Open { link: name, why })
    }
}

fn boxed(port: Port) -> Box<dyn Link> {
    Box::new(port)
}

fn tcp(name: &str, host: &str, port: u16) -> Result<Port, String> {
    let addresses = (host, port)
        .to_socket_addrs()
        .map_err(|error| format!("no address is known for {host}: {error}"))?;
    let mut last = format!("no address is known for {host}");
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => {
                return tcp_port(name.to_owned(), stream).map_err(|error| error.to_string());
            }
            Err(error) => last = error.to_string(),
        }
    }
    Err(format!("{last}; is it switched on and in this network?"))
}

/// A connection as a link: non-blocking, without delay, watched, and not cut off at its end.
///
/// There is no limit for data that the other side acknowledges but does not take: a printer without paper
/// does just that, and finishes its receipt when it has some.
pub(super) fn tcp_port(name: String, stream: TcpStream) -> std::io::Result<Port> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(&stream, true)?;
    sockopt::set_tcp_keepidle(&stream, KEEPALIVE)?;
    sockopt::set_tcp_keepintvl(&stream, KEEPALIVE)?;
    sockopt::set_tcp_keepcnt(&stream, KEEPALIVE_PROBES)?;
    sockopt::set_socket_linger(&stream, Some(LINGER))?;
    Ok(Port::new(name, OwnedFd::from(stream), Zero::Lost))
}

fn unix(name: &str, path: &Path) -> Result<Port, String> {
    let open = || -> Result<OwnedFd, Errno> {
        let socket = rustix::net::socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
        Ok(socket)
    };
    open()
        .map(|fd| Port::new(name.to_owned(), fd, Zero::Lost))
        .map_err(|error| match error {
            Errno::CONNREFUSED => format!("nobody listens at {}", path.display()),
            Errno::AGAIN => format!("who listens at {} is busy", path.display()),
            other => explain(other, path, "the group that owns the socket"),
        })
}

fn file(name: &str, path: &Path) -> Result<Port, String> {
    let flags = OFlags::WRONLY
        | OFlags::APPEND
        | OFlags::CREATE
        | OFlags::NONBLOCK
        | OFlags::NOCTTY
        | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::from_raw_mode(0o640))
        .map(|fd| Port::one_way(name.to_owned(), fd))
        .map_err(|error| explain(error, path, "the group that owns it"))
}

fn usb_printer(name: &str, usb: &UsbName, root: &Path) -> Result<Port, String> {
    let node = match usb {
        UsbName::Node(path) => path.clone(),
        other => root.join(usb_node(other, root)?.trim_start_matches('/')),
    };
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(&node, flags, Mode::empty())
        .map(|fd| Port::new(name.to_owned(), fd, Zero::Idle))
        .map_err(|error| explain(error, &node, "the group `lp`"))
}

/// The device node of the one printer that is meant.
fn usb_node(usb: &UsbName, root: &Path) -> Result<String, String> {
    let printers: Vec<UsbPrinter> = discover(root)
        .into_iter()
        .filter_map(|found| match found {
            Found::Usb(printer) => Some(printer),
            Found::Serial(_) => None,
        })
        .collect();
    let mut meant = printers.iter().filter(|printer| match usb {
        UsbName::Serial(serial) => printer.serial.as_deref() == Some(serial),
        UsbName::Port(port) => printer.port == *port,
        UsbName::Node(_) | UsbName::Any => true,
    });
    let Some(printer) = meant.next() else {
        return Err(if printers.is_empty() {
            "no USB printer is plugged in and switched on".to_owned()
        } else {
            format!("it is not plugged in; there is {}", list(printers.iter()))
        });
    };
    let others: Vec<&UsbPrinter> = meant.collect();
    if !others.is_empty() {
        let all = list(std::iter::once(printer).chain(others));
        return Err(format!("more than one fits: {all}; name one by its port"));
    }
    printer.node.clone().ok_or_else(|| {
        format!(
            "{printer} has no /dev/usb/lp node: the module usblp is not loaded, or another program (CUPS, \
             ipp-usb) holds the printer"
        )
    })
}

fn list<'a>(printers: impl Iterator<Item = &'a UsbPrinter>) -> String {
    let all: Vec<String> = printers.map(ToString::to_string).collect();
    all.join(", ")
}

/// What the system said on opening a device, and what to do.
pub(super) fn explain(error: Errno, path: &Path, group: &str) -> String {
    let path = path.display();
    match error {
        Errno::NOENT | Errno::NODEV | Errno::NXIO => {
            format!("{path} is not there: unplugged, or switched off")
        }
        Errno::BUSY | Errno::AGAIN => format!("{path} is in use by another program"),
        Errno::ACCESS | Errno::PERM => {
            format!("{path} may not be opened: we need to be in {group}")
        }
        other => format!("{path}: {other}"),
    }
}
