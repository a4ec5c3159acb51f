//! ZFP seen from outside: golden frames, and every command in words of the software that sends it. The
//! client's codec is the test's own.

use std::time::Duration;

use crate::shop::{Shop, rules};
use drivers::job::HeldReason;
use drivers::register::{Kind, Reason};
use drivers::zfp::Session;

struct Till {
    shop: Shop,
    session: Session,
    number: u8,
}

fn frame(number: u8, command: u8, data: &[u8]) -> Vec<u8> {
    let length = 0x23 + u8::try_from(data.len()).expect("short data");
    let mut bytes = vec![0x02, length, number, command];
    bytes.extend(data);
    let xor = bytes[1..].iter().fold(0_u8, |a, b| a ^ b);
    bytes.extend([0x30 + xor / 16, 0x30 + xor % 16, 0x0A]);
    bytes
}

impl Till {
    fn new() -> Self {
        let mut shop = Shop::new(1);
        let session = Session::start(rules("generic"), &mut shop).expect("a start");
        Self {
            shop,
            session,
            number: 0x20,
        }
    }

    fn raw(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.session.receive(Duration::ZERO, bytes, &mut self.shop)
    }

    /// Sends a command: its acknowledgement's two digits, or its data.
    fn send(&mut self, command: u8, data: &str) -> String {
        self.number = if self.number == 0x9F {
            0x20
        } else {
            self.number + 1
        };
        let reply = self.raw(&frame(self.number, command, data.as_bytes()));
        if reply[0] == 0x06 {
            assert_eq!((reply.len(), reply[1]), (7, self.number));
            return String::from_utf8_lossy(&reply[2..4]).into_owned();
        }
        let data = &reply[4..reply.len() - 3];
        assert_eq!(reply, frame(self.number, command, data));
        String::from_utf8_lossy(data).into_owned()
    }

    fn ok(&mut self, command: u8, data: &str) {
        assert_eq!(self.send(command, data), "00", "{command:02X} {data:?}");
    }
}

#[test]
fn golden_frames() {
    let mut till = Till::new();
    let status = [0x02, 0x23, 0x21, 0x20, 0x32, 0x32, 0x0A];
    assert_eq!(frame(0x21, 0x20, b""), status);
    let reply = till.raw(&status);
    assert_eq!(reply[..4], [0x02, 0x2A, 0x21, 0x20]);
    assert_eq!(reply[4..11], [0x80, 0x80, 0x80, 0xF0, 0x80, 0x80, 0x80]);
    let open = frame(0x21, 0x30, b"1;0000;1;1;4");
    assert_eq!(till.raw(&open), [0x06, 0x21, 0x30, 0x30, 0x32, 0x31, 0x0A]);
    assert_eq!(till.raw(&[0x04, 0x09]), [0x04, 0x40]);
    till.shop.condition.fault = Some(HeldReason::PaperOut);
    assert_eq!(till.raw(&[0x09]), [0x42]);
    let open = till.raw(&frame(0x22, 0x20, b""));
    assert_eq!(
        open[4..7],
        [0x80, 0x81, 0x86],
        "no paper, a receipt is open"
    );
    till.shop.condition.fault = Some(HeldReason::Hot);
    assert_eq!(till.raw(&[0x09]), [0x44]);
}

#[test]
fn a_sale_from_open_to_close() {
    let mut till = Till::new();
    till.ok(0x30, "1;0000;1;1;4$DT000001-0001-0000001");
    till.ok(0x31, "Bread; brown                        ;A;2.00*2");
    till.ok(
        0x31,
        "Milk                                ;B;1.25*0.500,-10.00",
    );
    till.ok(0x34, "Soap                                ;1;3.00:-0.50");
    till.ok(0x37, "Thank you");
    // 4.00 + (0.63 - 0.06) + 2.50 = 7.07; 10 percent off: 0.71.
    assert_eq!(till.send(0x33, "1;1,-10.00"), "6.36");
    assert_eq!(till.send(0x38, ""), "42", "not paid");
    till.ok(0x35, "7;1;2.00*");
    assert_eq!(till.send(0x31, "Late;A;1.00"), "42");
    assert_eq!(till.send(0x72, ""), "1;3;6.36;2.00");
    till.ok(0x35, "0;0;5.00");
    till.ok(0x38, "");
    let signed = till.shop.signed.values().next().unwrap();
    assert_eq!(format!("{:.2}", signed.total), "6.36");
    assert_eq!(
        signed.receipt.sale_no.as_deref(),
        Some("DT000001-0001-0000001")
    );
    assert_eq!(till.send(0x71, ""), "000001");
    assert!(till.send(0x72, "B").starts_with("https://"));
}

#[test]
fn paid_in_cash_and_closed_at_once_and_a_frame_is_executed_once() {
    let mut till = Till::new();
    till.ok(0x30, "1;0000;1;1;4");
    till.ok(0x31, "Bread;A;2.00");
    let close = frame(0x70, 0x36, b"");
    let mut broken = close.clone();
    broken[4] ^= 1;
    assert_eq!(till.raw(&broken), [0x15]);
    let first = till.raw(&close);
    assert_eq!(first[..4], [0x06, 0x70, 0x30, 0x30]);
    assert_eq!(till.raw(&close), first);
    till.session = Session::start(rules("generic"), &mut till.shop).unwrap();
    assert_eq!(till.raw(&close), first);
    assert_eq!(till.shop.signed.len(), 1);
}

#[test]
fn a_storno_names_its_original() {
    let mut till = Till::new();
    till.ok(
        0x30,
        "1;0000;1;1;D;0;123;27-11-26 13:05:00;02000001;DT000001-0001-0000001",
    );
    till.ok(0x31, "Bread;A;2.00");
    till.ok(0x35, "0;0;\"");
    till.ok(0x38, "");
    let receipt = &till.shop.signed.values().next().unwrap().receipt;
    let Kind::Storno(storno) = &receipt.kind else {
        panic!("no storno");
    };
    assert_eq!(
        (storno.document.as_str(), storno.reason),
        ("123", Reason::Refund)
    );
    assert_eq!(storno.fiscal_memory.as_deref(), Some("02000001"));
}

#[test]
fn service_receipts_reports_and_questions() {
    let mut till = Till::new();
    till.ok(0x2E, "1;0000;0");
    till.ok(0x37, "Hello");
    till.ok(0x2F, "");
    assert_eq!(till.shop.slips.values().next().unwrap(), &["Hello"]);
    till.ok(0x7C, "X");
    till.ok(0x7C, "Z");
    assert_eq!(till.send(0x68, ""), "27-11-2026 13:05");
    assert_eq!(till.send(0x48, "27-11-26 13:05:00"), "02");
    assert_eq!(
        till.send(0x21, ""),
        "1;0;01-01-2026 00:00;FP-2000;1.00BG 23NOV18;"
    );
    assert_eq!(till.send(0x60, ""), "DT000001;02000001");
    assert_eq!(till.send(0x61, ""), "2000123456");
    assert!(till.send(0x6E, "0").starts_with("10.50;0.00;"));
    till.ok(0x3A, "");
    till.ok(0x2A, "");
    till.ok(0x25, "TOTAL");
    till.ok(0x27, "TOTAL               2.00");
    assert_eq!(till.shop.shown[1].1.as_deref(), Some("2.00"));
    till.ok(0x30, "1;0000;1;1;4");
    assert_eq!(till.send(0x31, "Bread;Q;1.00"), "04");
    assert_eq!(till.send(0x31, "Bread"), "04");
    assert_eq!(till.send(0x35, "0;1;1.00"), "42", "nothing sold");
    assert_eq!(till.send(0x7C, "Z"), "42");
    till.ok(0x39, "");
    assert_eq!(till.send(0x55, ""), "01");
}
