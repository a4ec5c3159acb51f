//! ISL seen from outside: the golden frames of the protocol, and every command in words of the software
//! that sends it. The client's codec is the test's own.

use std::time::Duration;

use crate::shop::{Shop, rules};
use drivers::isl::Session;
use drivers::job::HeldReason;
use drivers::register::{Kind, Reason};

/// A till's software, P frames.
struct Till {
    shop: Shop,
    session: Session,
    seq: u8,
}

/// The client's own frame.
fn frame_p(seq: u8, command: u8, data: &[u8]) -> Vec<u8> {
    let length = 0x24 + u8::try_from(data.len()).expect("short data");
    let body = [&[length, seq, command], data, &[5]].concat();
    let sum: u32 = body.iter().map(|b| u32::from(*b)).sum();
    let bcc = format!("{sum:04x}").into_bytes();
    let bcc = bcc
        .iter()
        .map(|c| if *c > b'9' { c - b'a' + 0x3A } else { *c });
    [&[1], &body[..], &bcc.collect::<Vec<_>>(), &[3]].concat()
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |p: &[u8]| u8::from_str_radix(&String::from_utf8_lossy(p), 16).expect("hex");
    digits.chunks(2).map(pair).collect()
}

impl Till {
    fn new() -> Self {
        Self::with("generic")
    }

    fn with(profile: &str) -> Self {
        let mut shop = Shop::new(1);
        let session = Session::start(rules(profile), &mut shop).expect("a start");
        Self {
            shop,
            session,
            seq: 0x20,
        }
    }

    fn raw(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.session.receive(Duration::ZERO, bytes, &mut self.shop)
    }

    /// Sends a command; data and status of the reply.
    fn send(&mut self, command: u8, data: &str) -> (String, Vec<u8>) {
        self.seq = if self.seq == 0x7F { 0x20 } else { self.seq + 1 };
        let reply = self.raw(&frame_p(self.seq, command, data.as_bytes()));
        assert_eq!((reply[0], reply[2], reply[3]), (1, self.seq, command));
        let end = reply.len() - 6;
        assert_eq!(usize::from(reply[1]) - 0x20, end);
        assert_eq!((reply[end - 7], reply[end]), (4, 5));
        let data = String::from_utf8_lossy(&reply[4..end - 7]).into_owned();
        (data, reply[end - 6..end].to_vec())
    }

    /// A command that must go well.
    fn ok(&mut self, command: u8, data: &str) -> String {
        let (answer, status) = self.send(command, data);
        assert_eq!(status[0], 0x80, "{command:02X} {data:?}: {status:02X?}");
        answer
    }

    fn refused(&mut self, command: u8, data: &str) -> Vec<u8> {
        let (_, status) = self.send(command, data);
        assert_eq!(
            status[0] & 0x20,
            0x20,
            "{command:02X} {data:?}: {status:02X?}"
        );
        status
    }

    fn total(&self) -> String {
        let last = self.shop.order.last().expect("a receipt");
        format!("{:.2}", self.shop.signed[last].total)
    }
}

#[test]
fn golden_frames() {
    let mut till = Till::new();
    let status = hex("01 24 21 4A 05 30 30 39 34 03");
    assert_eq!(status, frame_p(0x21, 0x4A, b""));
    let reply = till.raw(&status);
    assert_eq!(reply, hex("012b214a0480808080869a0530333b3f03"));
    let time = hex("01 24 21 3E 05 30 30 38 38 03");
    assert_eq!(&till.raw(&time)[4..21], b"27-11-26 13:05:09");
    let sale = hex("01 31 23 31 42 72 65 61 64 09 41 32 2E 30 30 2A 32 05 30 33 3C 3E 03");
    assert_eq!(sale, frame_p(0x23, 0x31, b"Bread\tA2.00*2"));
    till.ok(0x30, "1,0000,1");
    assert_eq!(till.raw(&sale)[3], 0x31);
    assert_eq!(till.ok(0x4C, "").split(',').nth(2).unwrap(), "0000000400");
    let x = hex("01 30 30 32 3A 21 30 30 34 3A 05 30 31 3C 30 03");
    let reply = till.raw(&x);
    assert_eq!(reply[..10], hex("01 30 30 33 3E 21 30 30 34 3A")[..]);
    assert_eq!(&reply[10..12], b"0\t");
}

#[test]
fn a_broken_frame_gets_nak_and_the_same_frame_is_not_executed_again() {
    let mut till = Till::new();
    till.ok(0x30, "1,0000,1");
    let sale = frame_p(0x50, 0x31, b"Bread\tA2.00*2");
    let mut broken = sale.clone();
    broken[5] ^= 1;
    assert_eq!(till.raw(&broken), [0x15]);
    let first = till.raw(&sale);
    assert_eq!(till.raw(&sale), first);
    // Another start of ours does not make it new.
    till.session = Session::start(rules("generic"), &mut till.shop).unwrap();
    assert_eq!(till.raw(&sale), first);
    assert_eq!(till.ok(0x4C, ""), "1,0001,0000000400,0000000000");
    assert_eq!(
        till.raw(&sale)[2..4],
        [0x50, 0x31],
        "no longer the last frame: a sale like any other"
    );
    assert_eq!(till.ok(0x4C, ""), "1,0002,0000000800,0000000000");
}

#[test]
fn a_sale_from_open_to_close() {
    let mut till = Till::new();
    assert_eq!(till.ok(0x30, "1,0000,7,I"), "0000,0000");
    till.ok(0x31, "Bread\nbrown\tA2.00*2");
    till.ok(0x31, "Milk\tB1.25*0.500#l,-10.00");
    till.ok(0x34, "Soap\tA3.00;-0.50");
    till.ok(0x31, "\t2\t1.00");
    till.ok(0x31, "Soap back\tA-1.00");
    till.ok(0x36, "Thank you");
    till.ok(
        0x39,
        "2000999999\tseller\treceiver\tAcme Ltd\t220111222\t1 Main St",
    );
    // 4.00 + (0.63 - 0.06) + 2.50 + 1.00 - 1.00 = 7.07; 10 percent off: 0.71.
    let subtotal = till.ok(0x33, "11,-10.00");
    let zeros = ",0000000000".repeat(6);
    assert_eq!(subtotal, format!("0000000636,0000000495,0000000141{zeros}"));
    assert_eq!(till.shop.shown.last().unwrap().1.as_deref(), Some("6.36"));
    assert_eq!(till.ok(0x35, "Card no. 1\tD2.00"), "D0000000436");
    assert_eq!(till.refused(0x31, "Late\tA1.00")[1], 0x82);
    assert_eq!(till.refused(0x38, "")[1], 0x82, "not paid yet");
    assert_eq!(till.ok(0x35, "\tP5.00"), "R0000000064");
    assert_eq!(till.ok(0x67, "").split(',').next(), Some("0"));
    assert_eq!(till.ok(0x38, ""), "0001,0001");
    assert_eq!(till.total(), "6.36");
    let signed = till.shop.signed.values().next().unwrap();
    let receipt = &signed.receipt;
    assert!(receipt.invoice);
    assert_eq!(
        (receipt.operator.as_str(), receipt.till.as_str()),
        ("1", "7")
    );
    let customer = receipt.customer.as_ref().unwrap();
    assert_eq!(customer.taxpayer.as_deref(), Some("2000999999"));
    assert_eq!(customer.name.as_deref(), Some("Acme Ltd"));
    assert_eq!(customer.vat.as_deref(), Some("220111222"));
    let cash = receipt.settled();
    assert_eq!(cash[1].amount.to_string(), "4.36");
    assert_eq!(till.ok(0x4C, ""), "0,0000,0000000000,0000000000");
    assert_eq!(till.ok(0x71, ""), "0000001");
    assert!(till.ok(0x74, "").starts_with("https://example.invalid/"));
}

#[test]
fn a_storno_names_its_original_and_a_payment_code_its_currency() {
    let mut till = Till::with("bg");
    till.ok(
        0x2E,
        "1,0000,1,R0000123,DT000001-0001-0000001,271126130500,02000001#came back",
    );
    assert_eq!(till.send(0x4A, "").1[1..3], [0x90, 0x88]);
    till.ok(0x31, "Bread\tA2.00");
    assert_eq!(till.ok(0x35, "\tI"), "R0000000000");
    till.ok(0x38, "");
    let receipt = &till.shop.signed.values().next().unwrap().receipt;
    assert_eq!(receipt.currency, "ZWG");
    let Kind::Storno(storno) = &receipt.kind else {
        panic!("no storno");
    };
    assert_eq!(storno.document, "0000123");
    assert_eq!(storno.reason, Reason::Refund);
    assert_eq!(storno.date.as_deref(), Some("271126130500"));
    assert_eq!(storno.words.as_deref(), Some("came back"));
    assert_eq!(receipt.sale_no.as_deref(), Some("DT000001-0001-0000001"));
}

#[test]
fn service_receipts_reports_and_questions() {
    let mut till = Till::new();
    till.ok(0x26, "");
    assert_eq!(till.send(0x2A, "Hello").1[2], 0xA0);
    assert_eq!(till.refused(0x31, "Bread\tA1.00")[1], 0x82);
    till.ok(0x27, "");
    assert_eq!(till.shop.slips.values().next().unwrap(), &["Hello"]);
    assert!(till.ok(0x45, "2").starts_with("0000,0000001150,"));
    assert!(till.ok(0x45, "0").starts_with("0001,"));
    assert_eq!(till.ok(0x3E, ""), "27-11-26 13:05:09");
    assert_eq!(till.refused(0x3D, "27-11-26 13:05:09")[1], 0x82);
    assert_eq!(
        till.ok(0x61, ""),
        "15.50,0.00,0.00,0.00,0.00,0.00,0.00,0.00"
    );
    assert_eq!(till.ok(0x63, ""), "2000123456");
    assert_eq!(
        till.ok(0x5A, "1"),
        "FP-2000,1.00BG 23NOV18,0000,00000000,DT000001,02000001"
    );
    assert!(
        till.ok(0x6E, "")
            .starts_with("0000001050,0000000000,0000000100,")
    );
    till.ok(0x6A, "100");
    till.ok(0x6D, "1");
    till.ok(0x2F, "TOTAL");
    till.ok(0x23, "2.00");
    assert_eq!(till.shop.shown.len(), 2);
    assert_eq!(
        (till.shop.drawers.len(), till.shop.duplicates.len()),
        (1, 1)
    );
    till.ok(0x30, "1,0000,1");
    for (command, data) in [
        (0x45, "0"),
        (0x45, "2"),
        (0x6D, "1"),
        (0x26, ""),
        (0x30, "1,0000,1"),
    ] {
        assert_eq!(till.refused(command, data)[1], 0x82, "a receipt is open");
    }
    till.ok(0x3C, "");
    assert_eq!(till.shop.cancelled.len(), 1);
    assert_eq!(till.refused(0x99, "")[0], 0xA2, "an unknown command");
}

#[test]
fn what_cannot_be_read_is_a_syntax_error_and_changes_nothing() {
    let mut till = Till::new();
    till.ok(0x30, "1,0000,1");
    for bad in [
        "Bread",
        "Bread\t",
        "Bread\tQ1.00",
        "Bread\tA",
        "Bread\tA1.001",
        "Bread\tA1.00*",
        "Bread\tA1.00*0",
        "Bread\tA1.00,",
        "Bread\tA1.00,-101",
        "Bread\tA1.00;-2.00",
        "Bread\t9\t1.00",
        "Bread\tA1,00*2*2",
    ] {
        assert_eq!(till.refused(0x31, bad)[0], 0xA1, "{bad}");
    }
    assert_eq!(
        till.refused(0x31, "Gold\tA99999999.99*2")[1],
        0x83,
        "too large"
    );
    assert_eq!(till.refused(0x31, "Back\tA-1.00")[1], 0x82, "below zero");
    assert_eq!(till.refused(0x33, "00,-10")[1], 0x82, "nothing to discount");
    assert_eq!(till.send(0x35, "\tZ1.00").0, "F");
    till.ok(0x31, "Bread\tA1.00");
    assert_eq!(till.send(0x35, "\tZ1.00").0, "F", "an unmapped code");
    assert_eq!(till.ok(0x4C, ""), "1,0001,0000000100,0000000000");
}

#[test]
fn a_receipt_holds_512_sales() {
    let mut till = Till::new();
    till.ok(0x30, "1,0000,1");
    for _ in 0..512 {
        till.ok(0x31, "Bread\tA1.00");
    }
    assert_eq!(till.refused(0x31, "Bread\tA1.00")[1], 0x82);
    assert_eq!(till.ok(0x35, ""), "R0000000000");
    till.ok(0x38, "");
    assert_eq!(till.total(), "512.00");
}

#[test]
fn paper_shows_in_the_status_and_does_not_stop_the_sale() {
    let mut till = Till::new();
    till.shop.condition.fault = Some(HeldReason::PaperOut);
    let (_, status) = till.send(0x4A, "");
    assert_eq!((status[0], status[2]), (0xA0, 0x81));
    till.send(0x30, "1,0000,1");
    till.send(0x31, "Bread\tA2.00");
    till.send(0x35, "");
    assert_eq!(till.send(0x38, "").0, "0001,0001");
    assert_eq!(till.total(), "2.00");
}

#[test]
fn a_close_whose_outcome_nobody_knows_is_settled_before_anything_else() {
    let mut till = Till::new();
    till.ok(0x30, "1,0000,1");
    till.ok(0x31, "Bread\tA2.00");
    till.ok(0x35, "");
    // Signed, or not: the answer is lost every time, and so nothing else is done either.
    till.shop.deaf = true;
    for command in [0x38, 0x38, 0x3C] {
        let (_, status) = till.send(command, "");
        assert_eq!((status[0], status[4]), (0xA0, 0xA7), "{command:02X}");
    }
    assert_eq!(till.shop.signed.len(), 1);
    till.shop.deaf = false;
    // Too late to cancel; whoever asks for the close once more hears how it ended.
    assert_eq!(till.refused(0x3C, "")[1], 0x82);
    assert_eq!(till.ok(0x4C, ""), "0,0000,0000000000,0000000000");
    assert_eq!(till.ok(0x38, ""), "0001,0001");
    assert_eq!((till.shop.signed.len(), till.shop.cancelled.len()), (1, 0));
}

#[test]
fn nothing_is_answered_as_done_that_could_not_be_kept() {
    let mut till = Till::new();
    till.ok(0x30, "1,0000,1");
    till.shop.failing = 1000;
    let sale = frame_p(0x70, 0x31, b"Bread\tA2.00");
    assert_eq!(till.raw(&sale)[9] & 1, 1, "S4.0: the store refuses");
    till.shop.failing = 0;
    assert_eq!(till.ok(0x4C, ""), "1,0000,0000000000,0000000000");
}

/// Data of the reply to an X frame.
fn x(till: &mut Till, command: u8, data: &str) -> String {
    till.seq += 1;
    let nibbles =
        |n: usize| [12, 8, 4, 0].map(|s| u8::try_from(n >> s & 15).expect("a nibble") + 0x30);
    let head = [
        &nibbles(0x2A + data.len())[..],
        &[till.seq],
        &nibbles(command.into()),
    ]
    .concat();
    let body = [&head[..], data.as_bytes(), &[5]].concat();
    let sum = body.iter().map(|b| usize::from(*b)).sum();
    let reply = till.raw(&[&[1], &body[..], &nibbles(sum), &[3]].concat());
    assert_eq!(
        (reply[5], &reply[6..10]),
        (till.seq, &nibbles(command.into())[..])
    );
    let end = reply.len() - 6;
    assert_eq!((reply[end - 9], reply[end]), (4, 5));
    assert_eq!(reply[1..5], nibbles(end + 0x20));
    String::from_utf8_lossy(&reply[10..end - 9]).into_owned()
}

#[test]
fn a_sale_and_questions_in_x_frames() {
    let mut till = Till::with("bg");
    let mut say = |command, data: &str| x(&mut till, command, data);
    assert_eq!(
        say(0x30, "1\t0000\tDT000001-0001-0000001\t7\tI\t"),
        "0\t0\t"
    );
    assert_eq!(say(0x31, "Bread\t1\t2.00\t2.000\t0\t\t0\tpc\t"), "0\t");
    assert_eq!(say(0x31, "Milk\t2\t1.25\t0.500\t2\t10\t0\t\t"), "0\t");
    assert_eq!(say(0x31, "Soap\t\t3.00\t\t4\t0.50\t1\t\t"), "0\t");
    assert_eq!(say(0x31, "Soap\t9\t3.00\t"), "-112002\t");
    assert_eq!(say(0x36, "Thank you\t"), "0\t");
    assert_eq!(
        say(
            0x39,
            "s\tr\tAcme Ltd\t1 Main St\tHarare\t0\t2000999999\t220111222\t"
        ),
        "0\t"
    );
    let zeros = "0.00\t".repeat(6);
    assert_eq!(
        say(0x33, "1\t1\t2\t10\t"),
        format!("0\t\t6.36\t5.85\t0.51\t{zeros}")
    );
    assert_eq!(say(0x67, ""), format!("0\t5.85\t0.51\t{zeros}1\t0\t0\t"));
    assert_eq!(say(0x35, "1\t2.00\t1\t"), "0\tD\t4.36\t");
    assert_eq!(say(0x4C, ""), "0\t1\t0\t3\t6.36\t2.00\t");
    assert_eq!(say(0x35, "0\t5.00\t1\t"), "0\tR\t0.64\t");
    assert_eq!(say(0x38, ""), "0\t1\t");
    assert_eq!(
        say(0x5A, "1"),
        "FP-2000,1.00BG 23NOV18,0000,00000000,DT000001,02000001"
    );
    assert!(say(0x5A, "1\t").ends_with("\tDT000001\t02000001\t"));
    assert_eq!(say(0x3E, ""), "0\t27-11-26 13:05:09\t");
    assert_eq!(say(0x63, ""), "0\t2000123456\t");
    assert!(say(0x45, "Z\t").starts_with("0\t1\t11.50\t"));
    assert_eq!(say(0x99, ""), "-112001\t");
    assert_eq!(till.total(), "6.36");
    let receipt = &till.shop.signed.values().next().unwrap().receipt;
    let customer = receipt.customer.as_ref().unwrap();
    assert_eq!(customer.address.as_deref(), Some("1 Main St, Harare"));
    assert_eq!(receipt.till, "7");
    assert_eq!(receipt.sale_no.as_deref(), Some("DT000001-0001-0000001"));
}
