//! Whatever comes over the line: nothing panics, everything ends, and what is closed comes to what the frames
//! said. The harness puts lengths and checksums right, so that the bytes get behind them.

use std::time::Duration;

use crate::shop::{Shop, rules};
use proptest::collection::vec;
use proptest::prelude::*;
use rust_decimal::Decimal;

fn isl_p(seq: u8, command: u8, data: &[u8]) -> Vec<u8> {
    let length = 0x24 + u8::try_from(data.len()).expect("short data");
    let body = [&[length, seq, command], data, &[5]].concat();
    [&[1], &body[..], &sum(&body), &[3]].concat()
}

fn isl_x(seq: u8, command: u8, data: &[u8]) -> Vec<u8> {
    let length = nibbles(0x2A + u32::try_from(data.len()).expect("short data"));
    let body = [&length[..], &[seq], &nibbles(command.into()), data, &[5]].concat();
    [&[1], &body[..], &sum(&body), &[3]].concat()
}

fn zfp(number: u8, command: u8, data: &[u8]) -> Vec<u8> {
    let length = 0x23 + u8::try_from(data.len()).expect("short data");
    let body = [&[length, number, command], data].concat();
    let xor = body.iter().fold(0_u8, |a, b| a ^ b);
    [&[2], &body[..], &[0x30 + xor / 16, 0x30 + xor % 16, 0x0A]].concat()
}

fn nibbles(number: u32) -> [u8; 4] {
    [12, 8, 4, 0].map(|shift| 0x30 + u8::try_from(number >> shift & 15).expect("a nibble"))
}

fn sum(body: &[u8]) -> [u8; 4] {
    nibbles(body.iter().map(|b| u32::from(*b)).sum())
}

/// Data of the kind that commands read: digits, letters and separators more often than the rest.
fn data() -> impl Strategy<Value = Vec<u8>> {
    let likely = prop::sample::select(b"0123456789.,;*\t-#$:IERPND\nA".to_vec());
    let byte = prop_oneof![8 => likely, 1 => any::<u8>()];
    vec(byte, 0..80)
}

fn frames() -> impl Strategy<Value = Vec<(u8, Vec<u8>, u8)>> {
    vec((0x20_u8..=0x80, data(), any::<u8>()), 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes_at_all(bytes in vec(any::<u8>(), 0..600)) {
        let mut shop = Shop::new(1);
        let mut isl = drivers::isl::Session::start(rules("bg"), &mut shop).unwrap();
        isl.receive(Duration::ZERO, &bytes, &mut shop);
        let mut shop = Shop::new(1);
        let mut zfp = drivers::zfp::Session::start(rules("bg"), &mut shop).unwrap();
        zfp.receive(Duration::ZERO, &bytes, &mut shop);
        prop_assert!(shop.signed.is_empty());
    }

    #[test]
    fn any_sound_frames_over_isl(frames in frames()) {
        let mut shop = Shop::new(1);
        let mut session = drivers::isl::Session::start(rules("bg"), &mut shop).unwrap();
        for (command, data, x) in frames {
            let kind = if x % 2 == 0 { isl_p } else { isl_x };
            let before = session.desk().kept().receipt.clone();
            let reply = session.receive(Duration::ZERO, &kind(0x20 + x / 2, command, &data), &mut shop);
            prop_assert!(!reply.is_empty());
            let closed = before.zip(shop.order.last());
            if let Some((before, key)) = closed.filter(|(before, key)| before.key == **key) {
                prop_assert_eq!(before.total(), shop.signed[key].total);
            }
        }
    }

    #[test]
    fn any_sound_frames_over_zfp(frames in frames()) {
        let mut shop = Shop::new(1);
        let mut session = drivers::zfp::Session::start(rules("bg"), &mut shop).unwrap();
        for (command, data, x) in frames {
            let reply = session.receive(Duration::ZERO, &zfp(0x20 + x / 2, command, &data), &mut shop);
            prop_assert!(!reply.is_empty());
        }
    }

    /// Sales whose frames say what they come to, then payment and close: the sum is theirs.
    #[test]
    fn a_closed_receipt_comes_to_what_the_frames_said(
        sales in vec((0_usize..3, 1_i64..1_000_000, 1_i64..5_000, -100_i64..=100, 0_u8..3), 1..30),
        off in prop::option::of(-100_i64..=100),
        noise in vec(data(), 0..6),
        x in any::<bool>(),
    ) {
        let mut shop = Shop::new(1);
        let mut session = drivers::isl::Session::start(rules("generic"), &mut shop).unwrap();
        let mut seq = 0x20;
        let mut send = |command: u8, p: String, tabs: String| {
            seq += 1;
            let frame = if x {
                isl_x(seq, command, tabs.as_bytes())
            } else {
                isl_p(seq, command, p.as_bytes())
            };
            session.receive(Duration::ZERO, &frame, &mut shop);
        };
        send(0x30, "1,0,1".into(), "1\t0\t1\t\t".into());
        let mut total = Decimal::ZERO;
        let cents = |d: Decimal| d.round_dp_with_strategy(
            2, rust_decimal::RoundingStrategy::MidpointAwayFromZero);
        for (tax, price, quantity, adjust, kind) in sales {
            let (price, quantity) = (Decimal::new(price, 2), Decimal::new(quantity, 3));
            let letter = ['A', 'B', 'C'][tax];
            let mut line = cents(price * quantity);
            let sale = format!("Goods\t{letter}{price}*{quantity}");
            let tabs = format!("Goods\t{}\t{price}\t{quantity}\t", tax + 1);
            let off = Decimal::new(adjust.abs(), 2);
            match kind {
                0 => send(0x31, sale, format!("{tabs}0\t\t0\t\t")),
                1 => {
                    line += cents(line * Decimal::from(adjust) / Decimal::ONE_HUNDRED);
                    let kind = if adjust < 0 { 2 } else { 1 };
                    let tabs = format!("{tabs}{kind}\t{}\t0\t\t", adjust.abs());
                    send(0x31, format!("{sale},{adjust}"), tabs);
                }
                _ => {
                    // A discount of more than the line is refused, and the line with it.
                    let by = if adjust < 0 { -off } else { off };
                    line = if line + by < Decimal::ZERO { Decimal::ZERO } else { line + by };
                    let kind = if adjust < 0 { 4 } else { 3 };
                    let tabs = format!("{tabs}{kind}\t{off}\t0\t\t");
                    send(0x31, format!("{sale};{by}"), tabs);
                }
            }
            total += line;
        }
        // What cannot be read changes nothing: no TAB, no sale.
        for noise in noise {
            let junk: String = noise.iter().filter(|b| b.is_ascii_digit()).map(|b| char::from(*b)).collect();
            send(0x31, junk.clone(), junk);
        }
        if let Some(percent) = off.filter(|_| total > Decimal::ZERO) {
            total += cents(total * Decimal::from(percent) / Decimal::ONE_HUNDRED);
            let kind = if percent < 0 { 2 } else { 1 };
            send(0x33, format!("00,{percent}"), format!("0\t0\t{kind}\t{}\t", percent.abs()));
        }
        send(0x35, String::new(), "0\t\t1\t".into());
        send(0x38, String::new(), String::new());
        if let Some(signed) = shop.signed.values().next() {
            prop_assert_eq!(signed.total, total);
        } else {
            // Every line was refused.
            prop_assert!(total.is_zero());
        }
    }
}
