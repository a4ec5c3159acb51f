//! Whether anybody answers, and at which speed: for the technician who sets a printer up.
//!
//! What is sent prints nothing: the real-time status request `10 04 01`, which a printer answers with one
//! byte, whatever it is doing. At a wrong speed a printer may take it for other bytes, so a probe belongs on
//! scrap paper.

use std::time::Duration;

use super::config::SerialConfig;
use super::serial::SerialLink;
use super::{Link, LinkError, Monotonic};

/// The speeds that receipt printers are set to, the usual ones first.
pub const PROBE_SPEEDS: [u32; 7] = [9600, 19_200, 38_400, 115_200, 57_600, 4800, 2400];

/// The harmless question.
const QUESTION: [u8; 3] = [0x10, 0x04, 0x01];
/// The most that is kept of an answer.
const LIMIT: usize = 64;

/// What came back at one speed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpeedAnswer {
    /// Bits per second.
    pub speed: u32,
    /// What was received, or why the port could not be used.
    pub received: Result<Vec<u8>, LinkError>,
}

impl SpeedAnswer {
    /// Whether this is the answer of a printer: one status byte `0xx1xx10`, and nothing else.
    #[must_use]
    pub fn is_printer(&self) -> bool {
        matches!(&self.received, Ok(bytes) if matches!(bytes.as_slice(), [one] if one & 0x93 == 0x12))
    }
}

/// Asks at each speed in turn, waiting so long for an answer; ends with the first printer that answers.
pub fn probe_serial(
    config: &SerialConfig,
    speeds: &[u32],
    at_most: Duration,
    time: &dyn Monotonic,
) -> Vec<SpeedAnswer> {
    let mut answers = Vec::new();
    for speed in speeds {
        let mut config = config.clone();
        config.baud = Some(*speed);
        let name = format!("serial:{config}");
        let received = match SerialLink::open(&name, &config, true) {
            Ok(mut link) => probe_link(&mut link, at_most, time),
            Err(why) => Err(LinkError::Open { link: name, why }),
        };
        let answer = SpeedAnswer {
            speed: *speed,
            received,
        };
        let found = answer.is_printer();
        answers.push(answer);
        if found {
            break;
        }
    }
    answers
}

/// Asks over an open link and gives what came until the time was over, or shortly after the first byte.
///
/// # Errors
/// The link is lost.
pub fn probe_link(
    link: &mut dyn Link,
    at_most: Duration,
    time: &dyn Monotonic,
) -> Result<Vec<u8>, LinkError> {
    let end = time.now().saturating_add(at_most);
    let mut rest: &[u8] = &QUESTION;
    while !rest.is_empty() {
        let left = end.saturating_sub(time.now());
        if left.is_zero() {
            return Ok(Vec::new());
        }
        let count = link.write(rest, left)?;
        rest = rest.get(count..).unwrap_or_default();
    }
    let mut received = Vec::new();
    let mut buffer = [0; LIMIT];
    let mut end = end;
    while received.len() < LIMIT {
        let left = end.saturating_sub(time.now());
        let count = link.read(&mut buffer, left)?;
        if count > 0 && received.is_empty() {
            // What belongs to it comes at once; more is noise, and tells of a wrong speed.
            end = end.min(time.now().saturating_add(Duration::from_millis(100)));
        }
        received.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if end <= time.now() {
            break;
        }
    }
    received.truncate(LIMIT);
    Ok(received)
}
