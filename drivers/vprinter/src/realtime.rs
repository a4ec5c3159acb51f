//! Commands that a printer obeys while it receives them, wherever they stand: before a full line of text,
//! while it is out of paper, and amid the bytes of a picture too.

use crate::token::{DC4, DLE, ENQ, EOT};

/// A command obeyed at reception.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RealTime {
    /// `DLE EOT n`: answer status n.
    Status(u8),
    /// `DLE ENQ n`: go on after an error, 2: and forget the buffer.
    Recover(u8),
    /// `DLE DC4 1 m t`: pulse the drawer at pin 2 (m = 0) or 5.
    Pulse {
        /// m.
        pin: u8,
    },
    /// `DLE DC4 8 ...`: forget the buffer, and say so.
    Clear,
}

/// Watches the bytes as they come.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watcher {
    seen: Vec<u8>,
}

enum Found {
    Nothing,
    Perhaps,
    All(RealTime),
}

impl Watcher {
    pub(crate) fn clear(&mut self) {
        self.seen.clear();
    }

    /// One more byte: gives the command that it completes.
    pub(crate) fn feed(&mut self, byte: u8) -> Option<RealTime> {
        self.seen.push(byte);
        loop {
            match find(&self.seen) {
                Found::Perhaps => return None,
                Found::All(command) => {
                    self.seen.clear();
                    return Some(command);
                }
                Found::Nothing => {
                    self.seen.remove(0);
                }
            }
        }
    }
}

const CLEAR: [u8; 10] = [DLE, DC4, 8, 1, 3, 20, 1, 6, 2, 8];

fn find(seen: &[u8]) -> Found {
    match *seen {
        [DLE, EOT, n @ 1..=4] => Found::All(RealTime::Status(n)),
        [DLE, ENQ, n @ 0..=2] => Found::All(RealTime::Recover(n)),
        [DLE, DC4, 1, pin @ 0..=1, 1..=8] => Found::All(RealTime::Pulse { pin }),
        [] | [DLE] | [DLE, EOT | ENQ | DC4] | [DLE, DC4, 1] | [DLE, DC4, 1, 0..=1] => {
            Found::Perhaps
        }
        _ if *seen == CLEAR => Found::All(RealTime::Clear),
        _ if CLEAR.starts_with(seen) => Found::Perhaps,
        _ => Found::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_found_anywhere_and_nothing_else_is() {
        let mut watcher = Watcher::default();
        let bytes = b"ab\x10\x10\x04\x01\x10\x04\x09\x10\x05\x02\x10\x14\x01\x01\x02\x10\x14\x08\x01\x03\x10\x04\x04";
        let found: Vec<_> = bytes.iter().filter_map(|b| watcher.feed(*b)).collect();
        let wanted = [
            RealTime::Status(1),
            RealTime::Recover(2),
            RealTime::Pulse { pin: 1 },
            RealTime::Status(4),
        ];
        assert_eq!(found, wanted);
        let found: Vec<_> = CLEAR.iter().filter_map(|b| watcher.feed(*b)).collect();
        assert_eq!(found, [RealTime::Clear]);
    }
}
