//! The stream of a ZFP link: frames by their length, NACK for broken ones, single bytes that ask how we are,
//! and the password of a connection.

use std::time::Duration;

use super::frame::{END, Frame, HELLO, NACK, PING, READY, RETRY, STX, whole_length};
use crate::register::{Step, Wire};

/// Shortest length byte of a frame.
const SHORTEST: u8 = 0x23;
/// Longest password that is listened to.
const MAX_PASSWORD: usize = 64;
/// A frame whose rest does not come for so long is given up. The software waits longer before it tries again.
const GAP: Duration = Duration::from_millis(200);

/// Whether a connection may speak.
#[derive(Debug, PartialEq, Eq)]
enum Door {
    Open,
    Waiting,
    Wrong,
}

/// The state of the stream.
#[derive(Debug)]
pub struct ZfpWire {
    password: Vec<u8>,
    door: Door,
    bytes: Vec<u8>,
    heard: Duration,
    busy: bool,
}

impl ZfpWire {
    /// A new connection; with a password, it must be sent first.
    #[must_use]
    pub fn new(password: Option<&str>) -> Self {
        Self {
            password: password.unwrap_or_default().as_bytes().to_vec(),
            door: match password {
                Some(_) => Door::Waiting,
                None => Door::Open,
            },
            bytes: Vec::new(),
            heard: Duration::ZERO,
            busy: false,
        }
    }

    fn byte(&mut self, byte: u8) -> Option<Step> {
        if self.door != Door::Open {
            return self.knock(byte);
        }
        if self.bytes.is_empty() {
            return match byte {
                STX => {
                    self.bytes.push(STX);
                    None
                }
                HELLO => Some(Step::Write(vec![HELLO])),
                PING if self.busy => Some(Step::Write(vec![READY | 1])),
                PING => {
                    self.busy = true;
                    Some(Step::Execute(vec![PING]))
                }
                _ => None,
            };
        }
        self.bytes.push(byte);
        if self.bytes.len() == 2 && byte < SHORTEST {
            self.bytes.clear();
            return Some(Step::Write(vec![NACK]));
        }
        let whole = whole_length(&self.bytes).is_some_and(|whole| self.bytes.len() >= whole);
        whole.then(|| self.whole())
    }

    fn whole(&mut self) -> Step {
        let frame = std::mem::take(&mut self.bytes);
        if Frame::decode(&frame).is_none() {
            return Step::Write(vec![NACK]);
        }
        if self.busy {
            return Step::Write(vec![RETRY]);
        }
        self.busy = true;
        Step::Execute(frame)
    }

    fn knock(&mut self, byte: u8) -> Option<Step> {
        let waiting = READY | if self.door == Door::Wrong { 0x30 } else { 0x10 };
        match byte {
            PING => return Some(Step::Write(vec![waiting])),
            END => {
                let right = self.bytes == self.password;
                self.door = if right { Door::Open } else { Door::Wrong };
                self.bytes.clear();
            }
            _ if self.bytes.len() == MAX_PASSWORD => self.bytes.clear(),
            byte => self.bytes.push(byte),
        }
        None
    }
}

impl Wire for ZfpWire {
    fn receive(&mut self, now: Duration, bytes: &[u8]) -> Vec<Step> {
        if !bytes.is_empty() {
            if self.door == Door::Open && now.saturating_sub(self.heard) > GAP {
                self.bytes.clear();
            }
            self.heard = now;
        }
        bytes.iter().filter_map(|byte| self.byte(*byte)).collect()
    }

    fn busy(&self) -> bool {
        self.busy
    }

    fn done(&mut self) {
        self.busy = false;
    }

    fn tick(&mut self, _: Duration) -> Option<u8> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: [u8; 7] = [0x02, 0x23, 0x21, 0x20, 0x32, 0x32, 0x0A];

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_password_opens_the_door() {
        let mut wire = ZfpWire::new(Some("1234"));
        let say = |byte| vec![Step::Write(vec![byte])];
        assert_eq!(wire.receive(at(0), &[PING]), say(0x50));
        assert_eq!(wire.receive(at(0), b"999\n\x09"), say(0x70));
        assert_eq!(wire.receive(at(0), &STATUS), [], "nothing is carried out");
        assert_eq!(wire.receive(at(0), b"1234\n"), []);
        assert_eq!(wire.receive(at(0), &[PING]), [Step::Execute(vec![PING])]);
    }

    #[test]
    fn who_is_busy_says_so() {
        let mut wire = ZfpWire::new(None);
        assert_eq!(
            wire.receive(at(0), &STATUS),
            [Step::Execute(STATUS.to_vec())]
        );
        let said = wire.receive(at(9), &[&STATUS[..], &[PING, HELLO]].concat());
        assert_eq!(
            said,
            [vec![RETRY], vec![0x41], vec![HELLO]].map(Step::Write)
        );
        wire.done();
        assert_eq!(wire.receive(at(9), &STATUS).len(), 1);
    }

    #[test]
    fn broken_and_cut_frames_are_left_behind() {
        let mut wire = ZfpWire::new(None);
        let mut broken = STATUS;
        broken[3] = 0x21;
        assert_eq!(wire.receive(at(0), &broken), [Step::Write(vec![NACK])]);
        assert_eq!(wire.receive(at(0), &[2, 0x11]), [Step::Write(vec![NACK])]);
        assert_eq!(wire.receive(at(0), &[2, 0xFF, 0x21]), []);
        assert_eq!(
            wire.receive(at(500), &STATUS),
            [Step::Execute(STATUS.to_vec())]
        );
    }
}
