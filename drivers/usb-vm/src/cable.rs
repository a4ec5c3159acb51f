//! The printer's side of the cable: a printer gadget of the kernel, plugged in and pulled at will.

use std::fs::{create_dir_all, write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// The gadget's directory.
const GADGET: &str = "/sys/kernel/config/usb_gadget/printer";
/// Where bytes of the host come out.
const NODE: &str = "/dev/g_printer0";
/// The controller of the gadget, whose other side is the host's.
const CONTROLLER: &str = "dummy_udc.0";
/// The printer's serial number.
pub(crate) const SERIAL: &str = "J8KF012345";

/// The cable.
#[derive(Debug)]
pub(crate) struct Cable {
    plugged: bool,
    /// What the printer reads and writes; none: the cable is pulled, or the host has not made the printer's
    /// acquaintance yet.
    wire: Option<OwnedFd>,
}

impl Cable {
    /// A gadget that looks like a TM-T20III, not plugged in. As little as possible waits in the kernel: a
    /// printer that takes nothing holds its host up.
    pub(crate) fn new() -> Result<Self, String> {
        let at = |path: &str| Path::new(GADGET).join(path);
        let function = at("functions/printer.g0");
        let config = at("configs/c.1");
        let strings = at("strings/0x409");
        for dir in [&strings, &function, &config] {
            create_dir_all(dir).map_err(|error| failed(dir, &error))?;
        }
        set(&at("idVendor"), "0x04b8")?;
        set(&at("idProduct"), "0x0e28")?;
        set(&strings.join("manufacturer"), "EPSON")?;
        set(&strings.join("product"), "TM-T20III")?;
        set(&strings.join("serialnumber"), SERIAL)?;
        set(
            &function.join("pnp_string"),
            "MFG:EPSON;CMD:ESC/POS;MDL:TM-T20III;CLS:PRINTER;",
        )?;
        set(&function.join("q_len"), "1")?;
        let link = config.join("printer.g0");
        symlink(&function, &link).map_err(|error| failed(&link, &error))?;
        Ok(Self {
            plugged: false,
            wire: None,
        })
    }

    /// Plugs it in.
    pub(crate) fn plug(&mut self) -> Result<(), String> {
        set(&udc(), CONTROLLER)?;
        self.plugged = true;
        Ok(())
    }

    /// Pulls it: what the kernel still has is lost, in both directions.
    pub(crate) fn pull(&mut self) -> Result<(), String> {
        // The kernel does not like a printer's node that is open while the gadget goes.
        self.wire = None;
        self.plugged = false;
        set(&udc(), "")
    }

    /// Reads what has come.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, String> {
        match self.wire()? {
            Some(wire) => quiet(rustix::io::read(wire, buffer)),
            None => Ok(0),
        }
    }

    /// Writes as much as goes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<usize, String> {
        match self.wire()? {
            Some(wire) if !bytes.is_empty() => quiet(rustix::io::write(wire, bytes)),
            _ => Ok(0),
        }
    }

    fn wire(&mut self) -> Result<Option<&OwnedFd>, String> {
        if self.plugged && self.wire.is_none() {
            let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
            match rustix::fs::open(NODE, flags, Mode::empty()) {
                Ok(wire) => self.wire = Some(wire),
                Err(Errno::NODEV) => {}
                Err(error) => return Err(format!("{NODE}: {error}")),
            }
        }
        Ok(self.wire.as_ref())
    }

    /// Waits for bytes of the host; whether that could be waited for.
    pub(crate) fn wait(&self, at_most: Duration) -> bool {
        let Some(wire) = &self.wire else { return false };
        let mut fds = [PollFd::from_borrowed_fd(wire.as_fd(), PollFlags::IN)];
        let timeout = Timespec::try_from(at_most).ok();
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => !fds
                .iter()
                .any(|fd| fd.revents().intersects(PollFlags::ERR | PollFlags::HUP)),
            Err(_) => false,
        }
    }
}

fn udc() -> PathBuf {
    Path::new(GADGET).join("UDC")
}

fn quiet(result: Result<usize, Errno>) -> Result<usize, String> {
    match result {
        Ok(count) => Ok(count),
        Err(Errno::AGAIN | Errno::INTR | Errno::NODEV | Errno::SHUTDOWN) => Ok(0),
        Err(error) => Err(format!("{NODE}: {error}")),
    }
}

fn set(path: &Path, value: &str) -> Result<(), String> {
    write(path, format!("{value}\n")).map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}
