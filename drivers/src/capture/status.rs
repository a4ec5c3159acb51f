//! What a printer says of itself, said in its place.
//!
//! An old POS asks before it prints and prints nothing without an answer. The answers are made from what the
//! real printer last told. Fixed bits tell the kinds apart (DLE EOT `0xx1xx10`, ASB `0xx1xx00`, GS r and GS I
//! `0xx0xxxx`). The drawer's sensor reads high where nothing is known: so it does with no drawer attached, and
//! some POS software waits for exactly that byte (16h).

use crate::job::{Condition, HeldReason};

/// Who we say that we are (GS I).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Maker.
    pub maker: String,
    /// Model.
    pub model: String,
    /// Firmware version.
    pub version: String,
    /// Serial number.
    pub serial: String,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            maker: "EPSON".into(),
            model: "TM-T20II".into(),
            version: "1.00".into(),
            serial: "0".into(),
        }
    }
}

/// The causes, as the three kinds of answers have them.
#[derive(Debug, Clone, Copy, Default)]
struct Bits {
    offline: bool,
    cover: bool,
    paper_out: bool,
    error: bool,
    cutter: bool,
    unrecoverable: bool,
    hot: bool,
    low: bool,
    drawer_high: bool,
}

fn bits(condition: &Condition) -> Bits {
    let fault = match condition.fault {
        None if !condition.connected => Some(HeldReason::Unreachable),
        fault => fault,
    };
    Bits {
        offline: fault.is_some(),
        cover: fault == Some(HeldReason::CoverOpen),
        paper_out: fault == Some(HeldReason::PaperOut),
        error: matches!(
            fault,
            Some(
                HeldReason::Cutter | HeldReason::Hot | HeldReason::Fault | HeldReason::Unreachable
            )
        ),
        cutter: fault == Some(HeldReason::Cutter),
        unrecoverable: matches!(fault, Some(HeldReason::Fault | HeldReason::Unreachable)),
        hot: fault == Some(HeldReason::Hot),
        low: condition.paper_low || fault == Some(HeldReason::PaperOut),
        drawer_high: condition.drawer_high.unwrap_or(true),
    }
}

fn set(base: u8, flags: &[(bool, u8)]) -> u8 {
    flags
        .iter()
        .filter(|(on, _)| *on)
        .fold(base, |byte, (_, bit)| byte | bit)
}

/// The answer to DLE EOT `n`; `None` for an `n` that no receipt printer answers.
#[must_use]
pub fn real_time(condition: &Condition, n: u8) -> Option<u8> {
    let b = bits(condition);
    Some(match n {
        1 => set(0x12, &[(b.drawer_high, 0x04), (b.offline, 0x08)]),
        2 => set(
            0x12,
            &[(b.cover, 0x04), (b.paper_out, 0x20), (b.error, 0x40)],
        ),
        3 => set(
            0x12,
            &[(b.cutter, 0x08), (b.unrecoverable, 0x20), (b.hot, 0x40)],
        ),
        4 => set(0x12, &[(b.low, 0x0C), (b.paper_out, 0x60)]),
        _ => return None,
    })
}

/// The four bytes of automatic status back (GS a).
#[must_use]
pub fn automatic(condition: &Condition) -> [u8; 4] {
    let b = bits(condition);
    [
        set(
            0x10,
            &[(b.drawer_high, 0x04), (b.offline, 0x08), (b.cover, 0x20)],
        ),
        set(
            0,
            &[(b.cutter, 0x08), (b.unrecoverable, 0x20), (b.hot, 0x40)],
        ),
        set(0, &[(b.low, 0x03), (b.paper_out, 0x0C)]),
        0,
    ]
}

/// The answer to GS r 1: paper.
#[must_use]
pub fn paper(condition: &Condition) -> u8 {
    let b = bits(condition);
    set(0, &[(b.low, 0x03), (b.paper_out, 0x0C)])
}

/// The answer to GS r 2: the drawer.
#[must_use]
pub fn drawer(condition: &Condition) -> u8 {
    set(0, &[(bits(condition).drawer_high, 0x01)])
}

/// The answer to GS I `n`; `None` where a printer would be silent.
#[must_use]
pub fn identity(identity: &Identity, n: u8) -> Option<Vec<u8>> {
    let text = match n {
        1 | 49 => return Some(vec![0x20]),
        2 | 50 => return Some(vec![0x02]),
        3 | 51 => return Some(vec![0x00]),
        65 => &identity.version,
        66 => &identity.maker,
        67 => &identity.model,
        68 => &identity.serial,
        _ => return None,
    };
    let mut reply = vec![0x5F];
    reply.extend(text.bytes().filter(|b| (0x20..0x7F).contains(b)));
    reply.push(0);
    Some(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes that printers in the field were seen to answer, and the fixed bits in every condition.
    #[test]
    fn answers_are_those_of_a_printer() {
        let fine = Condition {
            connected: true,
            ..Condition::default()
        };
        assert_eq!(real_time(&fine, 1), Some(0x16));
        assert_eq!(real_time(&fine, 2), Some(0x12));
        assert_eq!(automatic(&fine), [0x14, 0, 0, 0]);
        assert_eq!(real_time(&fine, 9), None);
        for fault in [
            HeldReason::PaperOut,
            HeldReason::CoverOpen,
            HeldReason::Cutter,
            HeldReason::Hot,
            HeldReason::Offline,
            HeldReason::Fault,
            HeldReason::Unreachable,
        ] {
            let bad = Condition {
                fault: Some(fault),
                ..fine.clone()
            };
            assert_eq!(real_time(&bad, 1), Some(0x1E), "{fault:?}");
            for n in 1..=4 {
                assert_eq!(real_time(&bad, n).map(|b| b & 0x93), Some(0x12));
            }
            let [a, b, c, d] = automatic(&bad);
            assert_eq!((a & 0x93, b & 0x90, c & 0x90, d & 0x90), (0x10, 0, 0, 0));
        }
    }
}
