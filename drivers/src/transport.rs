//! The links to devices: serial, USB printer class, TCP, Unix socket, file. All I/O of the crate is here.
//!
//! A link is named in the configuration by a [`LinkConfig`], opened by an [`Opener`] when we print, and
//! handed out by an [`Acceptor`] when an old POS speaks to us. A link that is lost is dropped at once and
//! opened anew by its stable name: a device that comes back often has another node. [`discover()`] reads from
//! sysfs what is there.

use std::time::Duration;

mod accept;
mod browser;
mod config;
mod discover;
mod folder;
mod monotonic;
mod open;
mod port;
mod probe;
mod serial;
mod stop;

pub use accept::{Acceptor, MayConnect, TcpAcceptor, UnixAcceptor};
pub use config::{Flow, LinkConfig, LinkSyntax, Parity, SerialConfig, UsbName};
pub use discover::{Found, SerialFound, UsbPrinter, discover};
pub use folder::{Dropped, Folder};
pub use monotonic::SystemMonotonic;
pub use probe::{PROBE_SPEEDS, SpeedAnswer, probe_link, probe_serial};
pub use stop::Stop;

/// A link failed. Every one of them is open for another try, but for what a person must mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The device is gone: unplugged, switched off, closed by the other side.
    #[error("{link}: the link is lost ({why})")]
    Lost {
        /// The link.
        link: String,
        /// What the system said.
        why: String,
    },
    /// It cannot be opened.
    #[error("{link} cannot be opened: {why}")]
    Open {
        /// The link.
        link: String,
        /// What is wrong, and what to do.
        why: String,
    },
}

/// A link that is open. Reads and writes never block longer than they are told.
pub trait Link: Send {
    /// Reads what has come, waiting for it at most so long. 0: nothing came.
    ///
    /// # Errors
    /// The link is lost.
    fn read(&mut self, buffer: &mut [u8], at_most: Duration) -> Result<usize, LinkError>;

    /// Writes as much as the link takes, waiting for it at most so long. 0: it takes nothing now.
    ///
    /// # Errors
    /// The link is lost.
    fn write(&mut self, bytes: &[u8], at_most: Duration) -> Result<usize, LinkError>;
}

/// How a link is opened, again after each loss.
pub trait Opener: Send {
    /// The link's name, for people.
    fn name(&self) -> String;

    /// Opens it, found anew by its stable name.
    ///
    /// # Errors
    /// It is not there, is in use, or may not be opened.
    fn open(&mut self) -> Result<Box<dyn Link>, LinkError>;
}

/// Time that only moves forwards, since some beginning.
pub trait Monotonic: Send + Sync {
    /// How long since the beginning.
    fn now(&self) -> Duration;
}
