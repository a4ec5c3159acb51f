//! The stream of an ISL link: frames from 01 to 03, NAK for broken ones, SYN while busy.

use std::time::Duration;

use super::frame::{Frame, NAK, SYN};
use crate::register::{Step, Wire};

/// How often SYN is said. The software may give up after 60 ms of silence.
const SYN_EVERY: Duration = Duration::from_millis(50);
/// Longest frame that is waited for.
const MAX_FRAME: usize = 1200;

/// The state of the stream.
#[derive(Debug, Default)]
pub struct IslWire {
    frame: Vec<u8>,
    busy: Option<Duration>,
}

impl Wire for IslWire {
    fn receive(&mut self, now: Duration, bytes: &[u8]) -> Vec<Step> {
        let mut steps = Vec::new();
        for byte in bytes {
            match *byte {
                // No 01 or 03 can stand inside a frame: its rest was lost.
                0x01 => self.frame = vec![0x01],
                _ if self.frame.is_empty() => {}
                0x03 => {
                    self.frame.push(0x03);
                    let frame = std::mem::take(&mut self.frame);
                    steps.extend(self.whole(now, frame));
                }
                _ if self.frame.len() == MAX_FRAME => self.frame.clear(),
                byte => self.frame.push(byte),
            }
        }
        steps
    }

    fn busy(&self) -> bool {
        self.busy.is_some()
    }

    fn done(&mut self) {
        self.busy = None;
    }

    fn tick(&mut self, now: Duration) -> Option<u8> {
        let last = self.busy?;
        if now.saturating_sub(last) < SYN_EVERY {
            return None;
        }
        self.busy = Some(now);
        Some(SYN)
    }
}

impl IslWire {
    /// A frame that comes while we are busy is dropped: it is the same one again, or will come again.
    fn whole(&mut self, now: Duration, frame: Vec<u8>) -> Option<Step> {
        if self.busy() {
            return None;
        }
        if Frame::decode(&frame).is_none() {
            return Some(Step::Write(vec![NAK]));
        }
        self.busy = Some(now);
        Some(Step::Execute(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: [u8; 10] = [1, 0x24, 0x21, 0x4A, 5, 0x30, 0x30, 0x39, 0x34, 3];

    #[test]
    fn syn_is_said_in_time_for_as_long_as_a_command_takes() {
        let at = Duration::from_millis;
        let mut wire = IslWire::default();
        let steps = wire.receive(at(0), &STATUS);
        assert_eq!(steps, [Step::Execute(STATUS.to_vec())]);
        let said: Vec<u64> = (0..=200)
            .filter(|ms| wire.tick(at(*ms)).is_some())
            .collect();
        assert_eq!(said, [50, 100, 150, 200]);
        assert_eq!(wire.receive(at(200), &STATUS), []);
        wire.done();
        assert_eq!(wire.tick(at(900)), None);
        assert_eq!(wire.receive(at(900), &STATUS).len(), 1);
    }

    #[test]
    fn a_broken_frame_is_answered_by_nak_and_a_lost_end_by_nothing() {
        let mut wire = IslWire::default();
        let mut broken = STATUS;
        broken[3] = 0x4B;
        let steps = wire.receive(Duration::ZERO, &broken);
        assert_eq!(steps, [Step::Write(vec![0x15])]);
        let cut = [&[0xFF, 0x16], &STATUS[..6], &STATUS[..]].concat();
        let steps = wire.receive(Duration::ZERO, &cut);
        assert_eq!(steps, [Step::Execute(STATUS.to_vec())]);
    }
}
