//! Tremol ZFP.

use std::sync::Arc;
use std::time::Duration;

use drivers::register::{OpenReceipt, Refusal, Rules};
use drivers::zfp::{Frame, Session};
use rust_decimal::Decimal;

use crate::register::Shop;
use crate::till::{self, Language, Verdict, product};

/// Records as [`till`] has them, and the same bytes once more without any frame around them.
pub(crate) fn run(data: &[u8]) {
    till::run::<Zfp>(data);
    let _ = Frame::decode(data);
}

struct Zfp;

impl Language for Zfp {
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

    fn frame(_: u8, number: u8, command: u8, data: &[u8]) -> Option<Vec<u8>> {
        let length = u8::try_from(0x23 + data.len()).ok()?;
        let body = [&[length, number, command], data].concat();
        let frame = [&[2], &body[..], &check(&body), &[0x0A]].concat();
        let read = Frame::decode(&frame).expect("a sound frame is read");
        assert_eq!((read.number, read.command), (number, command));
        assert_eq!(read.data, data);
        Some(frame)
    }

    fn judge(frame: &[u8], reply: &[u8]) -> Verdict {
        let frame = Frame::decode(frame).expect("the frame is sound");
        if let Some(read) = Frame::decode(reply) {
            assert_eq!((read.number, read.command), (frame.number, frame.command));
            assert!(!read.data.contains(&0x0A));
            return Verdict::Accepted;
        }
        let [6, number, printer, command, high, low, 0x0A] = *reply else {
            panic!("{reply:02X?} is no reply");
        };
        assert_eq!([high, low], check(&[number, printer, command]));
        assert_eq!(number, frame.number);
        if (printer, command) == (b'0', b'0') {
            Verdict::Accepted
        } else {
            Verdict::Refused
        }
    }

    fn sale(_: u8, command: u8, data: &[u8]) -> Option<Decimal> {
        let pieces: Vec<&[u8]> = data.split(|byte| *byte == b';').collect();
        match pieces[..] {
            [_, _, goods] if matches!(command, 0x31 | 0x34) => product(goods),
            _ => None,
        }
    }
}

fn check(body: &[u8]) -> [u8; 2] {
    let xor = body.iter().fold(0, |a, b| a ^ b);
    [0x30 + (xor >> 4), 0x30 + (xor & 15)]
}
