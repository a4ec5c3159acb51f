//! Serial ports: speed, parity, flow control, and for ourselves alone.
//!
//! `serialport` sets the port up and reads its modem lines; bytes go through a descriptor of our own that
//! never blocks, because a printer that holds up its line would hold up a blocking write for ever. The kernel
//! is given few bytes at a time: what it has taken from us should be on its way, not wait for seconds, or
//! nobody knows whether a printer is silent or has not been asked yet. Linux knows no flow control by DTR and
//! DSR, so with it a chunk of 64 bytes is given to the kernel only while DSR is on and the chunk before has
//! left. With any other, a printer whose DSR goes off was switched off, and what it had in its buffer is lost:
//! the link is. A port without modem lines (a pseudo terminal) has them all on.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::termios::{QueueSelector, tcflush};
use serialport::{DataBits, FlowControl, SerialPort, StopBits, TTYPort};

use super::config::{Flow, Parity, SerialConfig};
use super::open::explain;
use super::port::{Port, Zero, pause};
use super::{Link, LinkError};

/// The most that is under way to a printer, and to one that may drop DSR at any time.
const UNDER_WAY: u32 = 256;
const CHUNK: u32 = 64;
/// How often a port that takes nothing is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// An open serial port.
pub(super) struct SerialLink {
    port: Port,
    /// The same port: its modem lines, and the lock that keeps others out for as long as it lives.
    lines: TTYPort,
    dtrdsr: bool,
    /// DSR has been on: the printer, or its cable, has that line.
    has_dsr: bool,
}

impl SerialLink {
    /// Opens a port by its name as it stands now. `fresh`: what came before is thrown away.
    pub(super) fn open(name: &str, config: &SerialConfig, fresh: bool) -> Result<Self, String> {
        let path =
            std::fs::canonicalize(&config.path).map_err(|error| explain_io(&error, config))?;
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let fd: OwnedFd = rustix::fs::open(&path, flags, Mode::empty())
            .map_err(|error| explain(error, &config.path, "the group `dialout`"))?;
        let lines = serialport::new(path.to_string_lossy(), config.speed())
            .data_bits(match config.data_bits {
                Some(7) => DataBits::Seven,
                _ => DataBits::Eight,
            })
            .stop_bits(match config.stop_bits {
                Some(2) => StopBits::Two,
                _ => StopBits::One,
            })
            .parity(match config.parity {
                Some(Parity::Odd) => serialport::Parity::Odd,
                Some(Parity::Even) => serialport::Parity::Even,
                Some(Parity::None) | None => serialport::Parity::None,
            })
            .flow_control(match config.flow {
                Some(Flow::RtsCts) => FlowControl::Hardware,
                Some(Flow::XonXoff) => FlowControl::Software,
                Some(Flow::None | Flow::DtrDsr) | None => FlowControl::None,
            })
            .dtr_on_open(true)
            .exclusive(true)
            .open_native()
            .map_err(|error| explain_serial(&error, config))?;
        if fresh {
            // A port that cannot forget is as good as one that has nothing to forget.
            let _ = tcflush(&fd, QueueSelector::IFlush);
        }
        Ok(Self {
            port: Port::new(name.to_owned(), fd, Zero::Lost),
            lines,
            dtrdsr: config.flow == Some(Flow::DtrDsr),
            has_dsr: false,
        })
    }

    /// How many bytes the other side takes now.
    fn room(&mut self) -> usize {
        let waiting = self.lines.bytes_to_write().unwrap_or(0);
        let room = if !self.dtrdsr {
            UNDER_WAY.saturating_sub(waiting)
        } else if waiting == 0 && self.lines.read_data_set_ready().unwrap_or(true) {
            CHUNK
        } else {
            0
        };
        usize::try_from(room).unwrap_or(0)
    }

    /// A printer that takes DSR away without that being its flow control has been switched off.
    fn switched_off(&mut self) -> Result<(), LinkError> {
        if self.dtrdsr {
            return Ok(());
        }
        match self.lines.read_data_set_ready() {
            Ok(true) => self.has_dsr = true,
            Ok(false) if self.has_dsr => return Err(self.port.lost("switched off (DSR)")),
            Ok(false) | Err(_) => {}
        }
        Ok(())
    }
}

impl Link for SerialLink {
    fn read(&mut self, buffer: &mut [u8], at_most: Duration) -> Result<usize, LinkError> {
        self.switched_off()?;
        self.port.read(buffer, at_most)
    }

    fn write(&mut self, bytes: &[u8], at_most: Duration) -> Result<usize, LinkError> {
        self.switched_off()?;
        let mut left = at_most;
        loop {
            let room = self.room();
            if room > 0 {
                let chunk = bytes.get(..room).unwrap_or(bytes);
                return self.port.write(chunk, left);
            }
            if left.is_zero() {
                return Ok(0);
            }
            let now = left.min(LOOK);
            pause(now);
            left = left.saturating_sub(now);
        }
    }
}

fn explain_io(error: &std::io::Error, config: &SerialConfig) -> String {
    let errno = error
        .raw_os_error()
        .map(rustix::io::Errno::from_raw_os_error);
    errno.map_or_else(
        || error.to_string(),
        |errno| explain(errno, &config.path, "the group `dialout`"),
    )
}

fn explain_serial(error: &serialport::Error, config: &SerialConfig) -> String {
    let path = config.path.display();
    match error.kind() {
        serialport::ErrorKind::NoDevice => format!("{path} is gone, or in use by another program"),
        serialport::ErrorKind::Io(std::io::ErrorKind::NotFound) => {
            format!("{path} is not there: unplugged, or switched off")
        }
        _ => format!("{path}: {error}"),
    }
}
