//! Datecs ISL, both kinds of frames.

use std::sync::Arc;
use std::time::Duration;

use drivers::isl::{Frame, Session, Variant};
use drivers::register::{OpenReceipt, Refusal, Rules};
use rust_decimal::Decimal;

use crate::register::Shop;
use crate::till::{self, Language, Verdict, cents, number, product};

/// Records as [`till`] has them, and the same bytes once more without any frame around them.
pub(crate) fn run(data: &[u8]) {
    till::run::<Isl>(data);
    let _ = Frame::decode(data);
}

struct Isl;

impl Language for Isl {
    type Session = Session;

    fn start(rules: Arc<Rules>, shop: &mut Shop) -> Result<Session, Refusal> {
        Session::start(rules, shop)
    }

    fn receive(session: &mut Session, now: Duration, bytes: &[u8], shop: &mut Shop) -> Vec<u8> {
        session.receive(now, bytes, shop)
    }

    fn receipt(session: &Session) -> Option<&OpenReceipt> {
        session.desk().kept().receipt.as_ref()
    }

    fn frame(x: u8, seq: u8, command: u8, data: &[u8]) -> Option<Vec<u8>> {
        let data = escaped(data);
        let body = if x == 0 {
            let length = u8::try_from(0x24 + data.len()).ok()?;
            // A command that is a control byte cannot stand in a frame.
            let command = command.max(0x20);
            [&[length, seq, command], &data[..], &[5]].concat()
        } else {
            let length = nibbles(u32::try_from(0x2A + data.len()).ok()?);
            [
                &length[..],
                &[seq],
                &nibbles(command.into()),
                &data[..],
                &[5],
            ]
            .concat()
        };
        let frame = [&[1], &body[..], &check(&body), &[3]].concat();
        let variant = if x == 0 { Variant::P } else { Variant::X };
        let read = Frame::decode(&frame).expect("a sound frame is read");
        // Four bytes of length can be one of length, number, command and data.
        if read.variant == variant {
            assert_eq!(read.seq, seq);
        }
        (frame.len() < 1000).then_some(frame)
    }

    fn judge(frame: &[u8], reply: &[u8]) -> Verdict {
        let frame = Frame::decode(frame).expect("the frame is sound");
        let inner = reply
            .strip_prefix(&[1])
            .and_then(|rest| rest.strip_suffix(&[3]))
            .expect("one frame is the reply");
        let no_control = |b: &u8| !matches!(*b, 0..=3 | 6..=8);
        assert!(inner.iter().all(no_control), "{reply:02X?}");
        let (body, sum) = inner.split_at(inner.len() - 4);
        assert_eq!(sum, check(body));
        let count = u32::try_from(body.len()).expect("short") + 0x20;
        let (head, status) = match frame.variant {
            Variant::P => {
                assert_eq!(u32::from(body[0]), count);
                assert_eq!(body[1..3], [frame.seq, frame.command]);
                (3, 6)
            }
            Variant::X => {
                assert_eq!(body[..4], nibbles(count));
                assert_eq!(body[4], frame.seq);
                assert_eq!(body[5..9], nibbles(frame.command.into()));
                (9, 8)
            }
        };
        let tail = body.len() - status - 2;
        assert!(tail >= head);
        assert_eq!((body[tail], body[body.len() - 1]), (4, 5));
        let status = &body[tail + 1..body.len() - 1];
        assert!(status.iter().all(|byte| byte & 0x80 != 0));
        let refused = status[0] & 0x03 != 0 || status[1] & 0x03 != 0;
        if frame.variant == Variant::X {
            let error = body[head..tail].starts_with(b"-");
            assert_eq!(error, refused, "error code and status differ");
        }
        if refused {
            Verdict::Refused
        } else {
            Verdict::Accepted
        }
    }

    fn sale(x: u8, command: u8, data: &[u8]) -> Option<Decimal> {
        if !matches!(command, 0x31 | 0x34) {
            return None;
        }
        let pieces: Vec<&[u8]> = data.split(|byte| *byte == b'\t').collect();
        if x == 0 {
            let [_, [letter, goods @ ..]] = pieces[..] else {
                return None;
            };
            return letter.is_ascii_alphabetic().then(|| product(goods))?;
        }
        match pieces[..] {
            [_, _, price] | [_, _, price, b""] => Some(cents(number(price)?)),
            [_, _, price, quantity, b"" | b"0"] | [_, _, price, quantity, b"" | b"0", b""] => {
                Some(cents(number(price)? * number(quantity)?))
            }
            _ => None,
        }
    }
}

fn escaped(data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    for byte in data {
        match *byte {
            0x09 | 0x0A | 0x20.. => out.push(*byte),
            control => out.extend([0x10, control + 0x40]),
        }
    }
    out
}

fn nibbles(number: u32) -> [u8; 4] {
    [12, 8, 4, 0].map(|shift| 0x30 + u8::try_from(number >> shift & 15).unwrap_or(0))
}

fn check(body: &[u8]) -> [u8; 4] {
    nibbles(body.iter().map(|byte| u32::from(*byte)).sum())
}
