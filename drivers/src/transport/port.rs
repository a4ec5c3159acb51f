//! A descriptor that never blocks, as a link: what all kinds of links have in common.
//!
//! Descriptors are non-blocking and waited for with `poll`: a printer that takes nothing holds up nobody. On
//! any link an errno other than "try again" means that it is lost; an end of file means so too, but on a USB
//! printer and a character device that may have nothing to say.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::{Link, LinkError};

/// What a read of no bytes means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zero {
    /// The other side is gone: sockets, serial ports.
    Lost,
    /// It has nothing to say now: USB printers.
    Idle,
}

/// How long a device that says "readable" and gives nothing is left alone.
const REST: Duration = Duration::from_millis(20);

/// An open descriptor with its name.
#[derive(Debug)]
pub(super) struct Port {
    name: String,
    fd: OwnedFd,
    zero: Zero,
    /// Nothing ever comes back: files, and devices opened for writing alone.
    one_way: bool,
}

impl Port {
    /// A link that answers. The descriptor must be non-blocking.
    pub(super) fn new(name: String, fd: OwnedFd, zero: Zero) -> Self {
        Self {
            name,
            fd,
            zero,
            one_way: false,
        }
    }

    /// A link that is only written to.
    pub(super) fn one_way(name: String, fd: OwnedFd) -> Self {
        Self {
            name,
            fd,
            zero: Zero::Idle,
            one_way: true,
        }
    }

    /// A loss, in the system's words.
    pub(super) fn lost(&self, why: impl std::fmt::Display) -> LinkError {
        LinkError::Lost {
            link: self.name.clone(),
            why: why.to_string(),
        }
    }

    /// An idle device: waits, but notices that it goes.
    fn rest(&self, at_most: Duration) -> Result<usize, LinkError> {
        let happened = wait(self.fd.as_fd(), PollFlags::empty(), at_most);
        if happened.intersects(PollFlags::HUP | PollFlags::ERR) && !self.one_way {
            return Err(self.lost("hung up"));
        }
        Ok(0)
    }
}

impl Link for Port {
    fn read(&mut self, buffer: &mut [u8], at_most: Duration) -> Result<usize, LinkError> {
        if self.one_way {
            pause(at_most);
            return Ok(0);
        }
        let mut left = at_most;
        loop {
            if wait(self.fd.as_fd(), PollFlags::IN, left).is_empty() {
                return Ok(0);
            }
            match rustix::io::read(&self.fd, &mut *buffer) {
                Ok(0) if self.zero == Zero::Lost => {
                    return Err(self.lost("closed by the other side"));
                }
                Ok(0) => {
                    let now = left.min(REST);
                    self.rest(now)?;
                    left = left.saturating_sub(now);
                    if left.is_zero() {
                        return Ok(0);
                    }
                }
                Ok(count) => return Ok(count),
                Err(Errno::AGAIN | Errno::INTR) => return Ok(0),
                Err(error) => return Err(self.lost(error)),
            }
        }
    }

    fn write(&mut self, bytes: &[u8], at_most: Duration) -> Result<usize, LinkError> {
        if bytes.is_empty() || wait(self.fd.as_fd(), PollFlags::OUT, at_most).is_empty() {
            return Ok(0);
        }
        match rustix::io::write(&self.fd, bytes) {
            Ok(count) => Ok(count),
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            // A line printer's driver says so where its paper is out.
            Err(Errno::NOSPC) if self.zero == Zero::Idle && !self.one_way => {
                self.rest(at_most.min(REST))
            }
            Err(error) => Err(self.lost(error)),
        }
    }
}

/// Waits for one descriptor. Empty: nothing happened in that time (or a signal came).
fn wait(fd: BorrowedFd<'_>, flags: PollFlags, at_most: Duration) -> PollFlags {
    let mut fds = [PollFd::from_borrowed_fd(fd, flags)];
    match poll(&mut fds, timeout(at_most).as_ref()) {
        Ok(_) => fds[0].revents(),
        Err(_) => PollFlags::empty(),
    }
}

/// Waits for one of two descriptors to become readable; whether the first one is.
pub(super) fn readable(
    fd: BorrowedFd<'_>,
    stop: Option<BorrowedFd<'_>>,
    at_most: Duration,
) -> bool {
    let mut fds = vec![PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    fds.extend(stop.map(|stop| PollFd::from_borrowed_fd(stop, PollFlags::IN)));
    match poll(&mut fds, timeout(at_most).as_ref()) {
        Ok(_) => fds.first().is_some_and(|first| !first.revents().is_empty()),
        Err(_) => false,
    }
}

/// Waits, at most until the stop signal is given.
pub(super) fn pause_or_stop(stop: Option<BorrowedFd<'_>>, at_most: Duration) {
    match stop {
        Some(stop) => {
            wait(stop, PollFlags::IN, at_most);
        }
        None => pause(at_most),
    }
}

/// Waits without a thing to wait for.
pub(super) fn pause(at_most: Duration) {
    // Cut short by a signal, it is as good.
    let _ = poll(&mut [], timeout(at_most).as_ref());
}

/// A time beyond the system's reckoning is no limit.
fn timeout(at_most: Duration) -> Option<Timespec> {
    Timespec::try_from(at_most).ok()
}
