//! The side of a link that an old POS speaks to: a printer that is always there.
//!
//! One POS at a time; who connects meanwhile waits. After an error the next call waits a little first, longer
//! each time, so that a runner may simply ask again.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::browser::NoBrowser;
use super::config::{LinkConfig, SerialConfig};
use super::open::tcp_port;
use super::port::{Port, Zero, pause_or_stop, readable};
use super::serial::SerialLink;
use super::stop::Stop;
use super::{Link, LinkError};

/// How long a wait lasts before the stop signal is looked at once more, should its descriptor be missing.
const LOOK: Duration = Duration::from_millis(500);
/// The pauses after the first and after many errors.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Where POS software connects to.
pub trait Acceptor: Send {
    /// Its name, for people.
    fn name(&self) -> String;

    /// Waits until a POS is there, or until the stop signal is given: then `None`.
    ///
    /// # Errors
    /// The port cannot be opened, or the listener failed. Asking again is right, and waits first.
    fn accept(&mut self, stop: &Stop) -> Result<Option<Box<dyn Link>>, LinkError>;
}

impl LinkConfig {
    /// Listens where this link says: a TCP address, a Unix socket, or a serial port, which is opened when it
    /// is there. Of a TCP address only those who `may` can connect.
    ///
    /// # Errors
    /// The address is taken or not ours, or this is no kind of link to listen at.
    pub fn acceptor(&self, may: Option<MayConnect>) -> Result<Box<dyn Acceptor>, LinkError> {
        match self {
            Self::Tcp { host, port } => {
                let acceptor = TcpAcceptor::bind((host.as_str(), *port));
                let mut acceptor = acceptor.map_err(|error| cannot(self, &error))?;
                acceptor.may = may;
                Ok(Box::new(acceptor))
            }
            Self::Unix(path) => {
                let acceptor = UnixAcceptor::bind(path);
                Ok(Box::new(acceptor.map_err(|error| cannot(self, &error))?))
            }
            Self::Serial(serial) => Ok(Box::new(SerialAcceptor {
                config: serial.clone(),
                pause: Pause::default(),
            })),
            Self::Usb(_) | Self::File(_) => Err(LinkError::Open {
                link: self.to_string(),
                why: "a POS connects to tcp:, unix: or serial:".to_owned(),
            }),
        }
    }
}

fn cannot(link: &LinkConfig, error: &std::io::Error) -> LinkError {
    let why = match error.kind() {
        ErrorKind::AddrInUse => "another program listens there".to_owned(),
        ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
        ErrorKind::PermissionDenied => "we may not listen there".to_owned(),
        _ => error.to_string(),
    };
    LinkError::Open {
        link: link.to_string(),
        why,
    }
}

/// The pause that is due after an error.
#[derive(Debug, Default)]
struct Pause {
    due: Option<Duration>,
}

impl Pause {
    /// Waits if the last attempt failed.
    fn take(&self, stop: &Stop) {
        if let Some(due) = self.due {
            pause_or_stop(stop.wake(), due);
        }
    }

    fn failed(&mut self) {
        let next = self.due.map_or(FIRST_PAUSE, |due| due.saturating_mul(2));
        self.due = Some(next.min(LONGEST_PAUSE));
    }

    fn worked(&mut self) {
        self.due = None;
    }
}

/// A TCP port that POS software prints to.
#[derive(Debug)]
pub struct TcpAcceptor {
    listener: TcpListener,
    address: SocketAddr,
    pause: Pause,
    may: Option<MayConnect>,
}

/// Which addresses may connect.
pub struct MayConnect(pub Box<dyn Fn(IpAddr) -> bool + Send>);

impl std::fmt::Debug for MayConnect {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("MayConnect")
    }
}

impl TcpAcceptor {
    /// Listens; port 0 is any free one.
    ///
    /// # Errors
    /// The address is taken, or not ours.
    pub fn bind(address: impl ToSocketAddrs) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            pause: Pause::default(),
            may: None,
        })
    }

    /// Only these addresses may connect; the others are hung up on, with a line in the log.
    #[must_use]
    pub fn only(mut self, may: MayConnect) -> Self {
        self.may = Some(may);
        self
    }

    fn tells_off(&self, peer: IpAddr) -> bool {
        let is_stranger = self.may.as_ref().is_some_and(|may| !(may.0)(peer));
        if is_stranger {
            tracing::warn!(port = %self.address, %peer, "an address that is not allowed has connected; it was hung up on");
        }
        is_stranger
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Acceptor for TcpAcceptor {
    fn name(&self) -> String {
        format!("tcp:{}", self.address)
    }

    fn accept(&mut self, stop: &Stop) -> Result<Option<Box<dyn Link>>, LinkError> {
        self.pause.take(stop);
        while !stop.is_set() {
            let accepted = self.listener.accept();
            let accepted = match accepted {
                Ok((_, peer)) if self.tells_off(peer.ip()) => continue,
                Ok((stream, peer)) => tcp_port(format!("tcp:{peer}"), stream),
                Err(error) => Err(error),
            };
            match accepted {
                Ok(port) => {
                    self.pause.worked();
                    return Ok(Some(Box::new(NoBrowser::new(port, self.name()))));
                }
                Err(error) if passing(&error) => {
                    readable(self.listener.as_fd(), stop.wake(), LOOK);
                }
                Err(error) => {
                    self.pause.failed();
                    return Err(LinkError::Lost {
                        link: self.name(),
                        why: error.to_string(),
                    });
                }
            }
        }
        Ok(None)
    }
}

/// A Unix socket that POS software, or a print filter, prints to.
#[derive(Debug)]
pub struct UnixAcceptor {
    listener: UnixListener,
    path: PathBuf,
    pause: Pause,
}

impl UnixAcceptor {
    /// Listens. A socket that is left over from an earlier run, with nobody behind it, is replaced.
    ///
    /// # Errors
    /// Something else stands there, or another program listens.
    pub fn bind(path: &Path) -> std::io::Result<Self> {
        let left_over = std::fs::symlink_metadata(path)
            .is_ok_and(|found| found.file_type().is_socket())
            && UnixStream::connect(path)
                .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
        if left_over {
            std::fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            pause: Pause::default(),
        })
    }
}

impl Acceptor for UnixAcceptor {
    fn name(&self) -> String {
        format!("unix:{}", self.path.display())
    }

    fn accept(&mut self, stop: &Stop) -> Result<Option<Box<dyn Link>>, LinkError> {
        self.pause.take(stop);
        while !stop.is_set() {
            let accepted = self.listener.accept().and_then(|(stream, _)| {
                stream.set_nonblocking(true)?;
                Ok(Port::new(self.name(), OwnedFd::from(stream), Zero::Lost))
            });
            match accepted {
                Ok(port) => {
                    self.pause.worked();
                    return Ok(Some(Box::new(port)));
                }
                Err(error) if passing(&error) => {
                    readable(self.listener.as_fd(), stop.wake(), LOOK);
                }
                Err(error) => {
                    self.pause.failed();
                    return Err(LinkError::Lost {
                        link: self.name(),
                        why: error.to_string(),
                    });
                }
            }
        }
        Ok(None)
    }
}

/// Nobody is there yet, or somebody left before we came.
fn passing(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionAborted
    )
}

/// A serial port with a POS at its other end, or not: that cannot be seen.
struct SerialAcceptor {
    config: SerialConfig,
    pause: Pause,
}

impl Acceptor for SerialAcceptor {
    fn name(&self) -> String {
        format!("serial:{}", self.config)
    }

    fn accept(&mut self, stop: &Stop) -> Result<Option<Box<dyn Link>>, LinkError> {
        self.pause.take(stop);
        if stop.is_set() {
            return Ok(None);
        }
        // A port may open and be lost at once, again and again: so the shortest pause is due in any case.
        match SerialLink::open(&self.name(), &self.config, false) {
            Ok(link) => {
                self.pause.due = Some(FIRST_PAUSE);
                Ok(Some(Box::new(link)))
            }
            Err(why) => {
                self.pause.failed();
                Err(LinkError::Open {
                    link: self.name(),
                    why,
                })
            }
        }
    }
}
