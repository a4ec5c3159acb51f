//! What a printer is asked, and the bytes that ask it.
//!
//! DLE EOT is answered at once, out of turn, even while the printer stands still; all others wait in the
//! printer's buffer for what was sent before them.

use crate::job::JobId;

/// The digits of a process ID. Of the bytes 20 to 7E that a printer gives back, these are the ones that no
/// status byte looks like, so that a status in the middle of the answer is told apart from it.
const DIGITS: &[u8; 71] =
    b" !\"#$%&'()*+,-./13579;=?@ABCDEFGHIJKLMNOQSUWY[]_`abcdefghijklmnoqsuwy{}";

/// The mark that a printer gives back once all before it has been printed. Different for each job, so that a
/// late answer to an older job confirms no newer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProcessId(pub [u8; 4]);

impl ProcessId {
    /// A job's mark. It is the same again after 71⁴ jobs, 25 million.
    #[must_use]
    pub fn of(job: JobId) -> Self {
        let base = 71;
        let mut rest = job.0.rem_euclid(base * base * base * base);
        let mut digits = [b' '; 4];
        for digit in digits.iter_mut().rev() {
            let place = usize::try_from(rest % base).unwrap_or(0);
            *digit = DIGITS.get(place).copied().unwrap_or(b' ');
            rest /= base;
        }
        Self(digits)
    }
}

/// What DLE EOT asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RealTime {
    /// On line or off, and the drawer (n = 1).
    Printer,
    /// Why it is off line (n = 2).
    Offline,
    /// Which error (n = 3).
    Error,
    /// Paper (n = 4).
    Paper,
}

impl RealTime {
    /// All four, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Printer, Self::Offline, Self::Error, Self::Paper];

    /// Its number.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Printer => 1,
            Self::Offline => 2,
            Self::Error => 3,
            Self::Paper => 4,
        }
    }
}

/// What a printer tells of itself as text (GS I).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum About {
    /// The version of its program.
    Firmware,
    /// Its maker.
    Maker,
    /// Its model.
    Model,
    /// Its serial number.
    Serial,
}

/// Something that a printer is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Request {
    /// DLE EOT: answered at once.
    RealTime(RealTime),
    /// GS r 1 after a job: answered when the printer has worked through all before it.
    Worked(JobId),
    /// GS ( H after a job: answered when all before it has been printed.
    Printed(ProcessId),
    /// GS I 1: the number of its model.
    ModelNumber,
    /// GS I 65 to 68.
    About(About),
}

impl Request {
    /// The bytes that ask it.
    #[must_use]
    pub fn bytes(self) -> Vec<u8> {
        match self {
            Self::RealTime(what) => vec![0x10, 0x04, what.number()],
            Self::Worked(_) => vec![0x1D, b'r', 1],
            Self::Printed(ProcessId([a, b, c, d])) => {
                vec![0x1D, b'(', b'H', 6, 0, 0x30, 0x30, a, b, c, d]
            }
            Self::ModelNumber => vec![0x1D, b'I', 1],
            Self::About(About::Firmware) => vec![0x1D, b'I', 65],
            Self::About(About::Maker) => vec![0x1D, b'I', 66],
            Self::About(About::Model) => vec![0x1D, b'I', 67],
            Self::About(About::Serial) => vec![0x1D, b'I', 68],
        }
    }
}
