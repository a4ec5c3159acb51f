//! Where a host finds the printer: a pty, a TCP port, a Unix socket.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

/// Where a host finds the printer.
#[derive(Debug)]
pub(crate) enum Port {
    Pty(Option<Pty>, PtyName),
    Tcp(Option<TcpListener>, SocketAddr),
    Unix(Option<UnixListener>, PathBuf),
}

/// The names of a pty.
#[derive(Debug, Clone, Default)]
pub(crate) struct PtyName {
    /// A symbolic link that always leads to the pty that is plugged in.
    pub(crate) stable: Option<PathBuf>,
    pub(crate) baud: u32,
}

/// A pty. As long as no host has opened it, we hold its other end ourselves: without that a read at our end
/// fails at once, and what a host sends first would be echoed.
#[derive(Debug)]
pub(crate) struct Pty {
    pub(crate) master: OwnedFd,
    held: Option<OwnedFd>,
    path: PathBuf,
    baud: u32,
}

impl Pty {
    fn open(baud: u32) -> io::Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags)?;
        rustix::pty::grantpt(&master)?;
        rustix::pty::unlockpt(&master)?;
        let name = rustix::pty::ptsname(&master, Vec::new())?;
        let path = PathBuf::from(name.to_string_lossy().into_owned());
        rustix::fs::fcntl_setfl(&master, OFlags::RDWR | OFlags::NONBLOCK)?;
        let mut pty = Self {
            master,
            held: None,
            path,
            baud,
        };
        pty.hold()?;
        Ok(pty)
    }

    /// No host has it open: it is as it was when it was new.
    pub(crate) fn hold(&mut self) -> io::Result<()> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::open(&self.path, flags, Mode::empty())?;
        let mut settings = tcgetattr(&slave)?;
        settings.make_raw();
        settings.set_speed(self.baud)?;
        tcsetattr(&slave, OptionalActions::Now, &settings)?;
        self.held = Some(slave);
        Ok(())
    }

    /// A host has opened it: from now on we see when it closes it.
    pub(crate) fn release(&mut self) {
        self.held = None;
    }

    /// Whether the host has set the speed that the printer's switches have.
    pub(crate) fn is_at_our_speed(&self) -> bool {
        tcgetattr(&self.master).is_ok_and(|settings| settings.output_speed() == self.baud)
    }
}

impl Port {
    pub(crate) fn pty(name: PtyName) -> io::Result<Self> {
        let mut port = Self::Pty(None, name);
        port.plug()?;
        Ok(port)
    }

    pub(crate) fn tcp(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self::Tcp(Some(listener), address))
    }

    pub(crate) fn unix(path: &Path) -> io::Result<Self> {
        let mut port = Self::Unix(None, path.to_owned());
        port.plug()?;
        Ok(port)
    }

    /// What a host opens.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Pty(pty, _) => {
                let path = pty.as_ref().map(|pty| pty.path.display().to_string());
                path.unwrap_or_default()
            }
            Self::Tcp(_, address) => address.to_string(),
            Self::Unix(_, path) => path.display().to_string(),
        }
    }

    /// Gone, as after the cable is pulled out.
    pub(crate) fn unplug(&mut self) {
        match self {
            Self::Pty(pty, name) => {
                *pty = None;
                if let Some(link) = &name.stable {
                    let _gone = std::fs::remove_file(link);
                }
            }
            Self::Tcp(listener, _) => *listener = None,
            Self::Unix(listener, path) => {
                *listener = None;
                let _gone = std::fs::remove_file(path);
            }
        }
    }

    /// There, if it was gone. A pty gets another name than the one that a host may still hold open.
    pub(crate) fn plug(&mut self) -> io::Result<()> {
        match self {
            Self::Pty(old, name) => {
                let new = Pty::open(name.baud)?;
                if let Some(link) = &name.stable {
                    let _gone = std::fs::remove_file(link);
                    std::os::unix::fs::symlink(&new.path, link)?;
                }
                *old = Some(new);
            }
            Self::Tcp(listener @ None, address) => {
                let new = TcpListener::bind(*address)?;
                new.set_nonblocking(true)?;
                *listener = Some(new);
            }
            Self::Unix(listener @ None, path) => {
                let new = UnixListener::bind(path)?;
                new.set_nonblocking(true)?;
                *listener = Some(new);
            }
            Self::Tcp(..) | Self::Unix(..) => {}
        }
        Ok(())
    }

    /// What tells that a host wants to connect.
    pub(crate) fn listener(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Pty(..) => None,
            Self::Tcp(listener, _) => listener.as_ref().map(AsFd::as_fd),
            Self::Unix(listener, _) => listener.as_ref().map(AsFd::as_fd),
        }
    }

    /// The next host that wants to connect.
    pub(crate) fn accept(&self) -> io::Result<Option<OwnedFd>> {
        match self {
            Self::Tcp(Some(listener), _) => {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                Ok(Some(stream.into()))
            }
            Self::Unix(Some(listener), _) => {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                Ok(Some(stream.into()))
            }
            _ => Ok(None),
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.unplug();
    }
}
