//! The printer as a host meets it: text, sheets, answers, faults.

use std::time::Duration;

use crate::common::{CUT, feed, lines, printed, suffer};
use vprinter::{
    Dialect, Fault, Printer, PrinterSetup, RealTime, Rule, SheetEnd, When, rules_from_seed,
};

/// Long enough for anything to be printed.
const LATER: Duration = Duration::from_secs(3600);

const CONFIRM: &[u8] = b"\x1d(H\x06\x0000abcd";
const CONFIRMED: &[u8] = b"\x37\x22abcd\x00";

/// A clone on whose paper the Chinese mode plays no part.
fn clone() -> PrinterSetup {
    PrinterSetup {
        starts_in_kanji: false,
        ..PrinterSetup::clone_80()
    }
}

fn job(text: &[u8]) -> Vec<u8> {
    [b"\x1b@", text, CUT].concat()
}

#[test]
fn text_stands_where_it_was_sent_to() {
    let text = b"\x1ba\x01Shop\n\x1ba\x00Bread\x1b$\xe0\x01 2.00\nA\tB\n\x1ba\x02right\n\x1ba\x00\x1d!\x11TOTAL\x1d!\x00 5\n";
    let printer = printed(PrinterSetup::epson_80(), &job(text));
    let wanted = vec![
        "                      Shop".to_owned(),
        format!("Bread{}2.00", " ".repeat(36)),
        "A       B".to_owned(),
        format!("{}right", " ".repeat(43)),
        "TOTAL 5".to_owned(),
    ];
    assert_eq!(lines(&printer), [wanted]);
    let sheet = &printer.sheets()[0];
    assert!(sheet.complete);
    assert_eq!((sheet.end, sheet.pieces), (SheetEnd::Cut, 1));
    let total = &sheet.rows[4].cells;
    assert_eq!((total[0].width, total[0].height), (24, 48));
    assert_eq!(total[6].style.width, 1);
}

#[test]
fn a_line_that_is_too_long_goes_on_in_the_next_one() {
    for setup in [
        PrinterSetup::clone_58(),
        PrinterSetup::epson_42(),
        PrinterSetup::epson_80(),
    ] {
        let columns = setup.columns;
        let text = [&[b'x'; 50][..], b"\n\n\n\n\n\n\n", CUT].concat();
        let printer = printed(setup, &text);
        let sheet = &lines(&printer)[0];
        assert_eq!(sheet[..2], ["x".repeat(columns), "x".repeat(50 - columns)]);
    }
}

#[test]
fn modes_are_seen_and_reset() {
    let text = b"\x1bE\x01\x1b-\x01b\x1b!\x31w\x1b@\x1dB\x01\x1b{\x01r\n";
    let text = [&text[..], b"\x1b@plain\n", CUT].concat();
    let printer = printed(PrinterSetup::epson_80(), &text);
    let sheet = &printer.sheets()[0];
    // ESC @ has thrown the first line's beginning away.
    assert_eq!(sheet.lines(), ["r", "plain"]);
    assert!(sheet.rows[0].cells[0].style.reverse && sheet.rows[0].cells[0].style.upside_down);
    assert_eq!(sheet.rows[1].cells[0].style, vprinter::Style::default());
}

#[test]
fn a_printer_in_chinese_mode_eats_the_byte_behind_a_high_one() {
    let text = b"\x1bt\x00\x9c12\n\x1c.\x9c12\n";
    let printer = printed(PrinterSetup::clone_80(), &job(text));
    assert_eq!(lines(&printer)[0], ["\u{FFFD}2", "£12"]);
}

#[test]
fn paper_between_head_and_cutter_is_not_cut_off() {
    let text = [
        &b"one\ntwo\nthree\nfour\nfive\nsix\n"[..],
        b"\x1dV\x00",
        CUT,
    ]
    .concat();
    let printer = printed(PrinterSetup::epson_80(), &text);
    assert_eq!(
        lines(&printer),
        [vec!["one", "two", "three"], vec!["four", "five", "six"]]
    );
}

#[test]
fn without_a_cutter_a_sheet_ends_where_it_can_be_torn() {
    let setup = PrinterSetup::clone_58();
    let mut printer = printed(setup, b"one\ntwo\n\x1bd\x06\x1dVB\x00three\n");
    assert_eq!(lines(&printer), [["one", "two"]]);
    assert_eq!(printer.hanging().unwrap().lines(), ["three"]);
    suffer(&mut printer, Fault::Tear);
    assert_eq!(lines(&printer)[1], ["three"]);
    assert_eq!(printer.sheets()[1].end, SheetEnd::Torn);
    assert_eq!(printer.hanging(), None);
}

#[test]
fn two_originals_are_seen() {
    let original = job(b"Receipt 7\nORIGINAL\n");
    let printer = printed(
        PrinterSetup::epson_80(),
        &[original.clone(), original].concat(),
    );
    let originals = printer
        .sheets()
        .iter()
        .filter(|s| s.says("Receipt 7") && s.says("ORIGINAL"));
    assert_eq!(originals.count(), 2);
}

#[test]
fn the_process_id_is_confirmed_only_once_all_before_is_printed() {
    let mut printer = Printer::new(PrinterSetup::epson_80());
    let bytes = [&job(&b"line\n".repeat(40))[..], CONFIRM, b"\x1dr\x01"].concat();
    assert_eq!(printer.receive(Duration::ZERO, &bytes), bytes.len());
    let mut at = Duration::ZERO;
    while let Some(next) = printer.next_event() {
        assert_eq!(printer.sheets().len(), 0, "unconfirmed, but cut");
        assert!(!printer.take_replies().starts_with(CONFIRMED));
        at = next;
        printer.advance(at);
    }
    // GS r may be answered earlier: it is read ahead.
    let replies = printer.take_replies();
    assert_eq!(lines(&printer), [["line"; 40]]);
    assert!(replies.ends_with(CONFIRMED), "{replies:02x?}");
    // 40 lines of 33 rows, 96 rows to the cutter, 203 rows in 25.4 mm, 150 mm/s.
    assert!(
        at > Duration::from_millis(1160) && at < Duration::from_millis(1300),
        "{at:?}"
    );
}

#[test]
fn gs_r_is_answered_before_all_is_printed() {
    let mut printer = Printer::new(PrinterSetup::epson_80());
    printer.receive(
        Duration::ZERO,
        &[&job(b"line\n")[..], b"\x1dr\x01"].concat(),
    );
    assert_eq!(printer.take_replies(), [0]);
    assert_eq!(printer.sheets().len(), 0);
    printer.suffer(Duration::ZERO, Fault::PowerCycle);
    printer.advance(LATER);
    assert_eq!(printer.sheets().len(), 0, "answered, and never printed");
}

#[test]
fn a_clone_prints_the_process_id() {
    let bytes = [CONFIRM, b"\n", CUT].concat();
    let mut printer = printed(clone(), &bytes);
    assert_eq!(lines(&printer), [["H00abcd"]]);
    assert_eq!(printer.take_replies(), b"");
}

#[test]
fn a_mute_printer_prints_and_says_nothing() {
    for dialect in [Dialect::Mute, Dialect::OneWay] {
        let setup = PrinterSetup {
            dialect,
            ..PrinterSetup::epson_80()
        };
        let bytes = [
            &b"\x10\x04\x01\x1da\x0f"[..],
            &job(b"x\n"),
            CONFIRM,
            b"\x1dr\x01\x1dIC",
        ]
        .concat();
        let mut printer = printed(setup, &bytes);
        assert_eq!(lines(&printer), [["x"]]);
        assert_eq!(printer.take_replies(), b"");
    }
}

#[test]
fn it_tells_its_name_and_its_state() {
    let mut printer = printed(
        PrinterSetup::epson_80(),
        b"\x1dIC\x1dr\x01\x1dr\x02\x10\x04\x01",
    );
    // The real-time status comes first: it overtakes.
    assert_eq!(printer.take_replies(), b"\x12_TM-T20II\x00\x00\x00");
    suffer(&mut printer, Fault::PaperLow);
    feed(&mut printer, b"\x1dr\x01\x10\x04\x04");
    assert_eq!(printer.take_replies(), [0x1E, 0x03]);
}

#[test]
fn changes_are_told_by_itself_when_asked_for() {
    let mut printer = printed(PrinterSetup::epson_80(), b"\x1da\x0f");
    assert_eq!(printer.take_replies(), [0x10, 0, 0, 0]);
    suffer(&mut printer, Fault::CoverOpen);
    assert_eq!(printer.take_replies(), [0x38, 0, 0, 0]);
    suffer(&mut printer, Fault::CoverClose);
    suffer(&mut printer, Fault::PaperOut);
    assert_eq!(printer.take_replies(), [0x10, 0, 0, 0, 0x18, 0, 0x0F, 0]);
    suffer(&mut printer, Fault::NewPaper { mm: 9000 });
    feed(&mut printer, b"\x1da\x02");
    printer.take_replies().clear();
    suffer(&mut printer, Fault::Drawer { high: true });
    assert_eq!(printer.take_replies(), b"", "the drawer was not asked for");
}

#[test]
fn real_time_commands_are_obeyed_amid_a_picture() {
    let raster = b"\x1dv0\x00\x04\x00\x04\x00\x10\x04\x01\xff\x10\x14\x01\x00\x01\xff\x10\x05\x01\xff\xff\xff";
    let mut printer = printed(PrinterSetup::epson_80(), &[&raster[..], CUT].concat());
    assert_eq!(printer.take_replies(), [0x12]);
    let wanted = [
        RealTime::Status(1),
        RealTime::Pulse { pin: 0 },
        RealTime::Recover(1),
    ];
    assert_eq!(printer.counts().real_time, wanted);
    assert_eq!(printer.counts().pulses, [1, 0]);
    // They belong to the picture all the same.
    let sheet = &printer.sheets()[0];
    assert_eq!(sheet.lines(), [""; 0]);
    let picture = sheet.pictures().next().unwrap();
    assert!(picture.dots.is_black(3, 0) && picture.dots.is_black(31, 3));
}

#[test]
fn clearing_amid_a_picture_loses_it_and_prints_the_rest_as_text() {
    let raster =
        b"before\n\x1dv0\x00\x02\x00\x0b\x00\x10\x14\x08\x01\x03\x14\x01\x06\x02\x08garbagegar!!";
    let mut printer = printed(PrinterSetup::epson_80(), b"first\n");
    feed(&mut printer, &[&raster[..], b"\n", CUT].concat());
    assert_eq!(printer.take_replies(), [0x37, 0x25, 0]);
    let sheet = &printer.sheets()[0];
    assert!(sheet.says("garbagegar!!") && !sheet.complete && !sheet.says("before"));
    assert_eq!(printer.counts().cleared, 1);
}

#[test]
fn drawer_pulses_are_counted_per_pin() {
    let printer = printed(
        PrinterSetup::epson_80(),
        b"\x1bp\x00\x32\x32\x1bp\x01\x32\x32\x10\x14\x01\x01\x02",
    );
    assert_eq!(printer.counts().pulses, [1, 2]);
}

#[test]
fn a_full_buffer_stalls_the_link_but_not_the_real_time_commands() {
    let setup = PrinterSetup {
        buffer_bytes: 100,
        ..PrinterSetup::epson_80()
    };
    let mut printer = Printer::new(setup);
    printer.suffer(Duration::ZERO, Fault::CoverOpen);
    assert_eq!(printer.receive(Duration::ZERO, &[b'x'; 300]), 100);
    assert_eq!(printer.receive(LATER, b"x"), 0);
    assert_eq!(printer.receive(LATER, b"\x10\x04\x02x"), 3);
    assert_eq!(printer.take_replies(), [0x16]);
    assert_eq!(printer.buffered(), 100);
    printer.suffer(LATER, Fault::CoverClose);
    assert!(printer.receive(LATER, &[b'x'; 200]) > 0);
    assert_eq!(printer.receive(LATER, b""), 0);
}

#[test]
fn questions_between_commands_take_no_room_in_the_buffer() {
    let mut printer = Printer::new(PrinterSetup::clone_58());
    printer.suffer(Duration::ZERO, Fault::PaperOut);
    for _ in 0..2000 {
        for byte in b"\x10\x04\x04" {
            assert_eq!(printer.receive(Duration::ZERO, &[*byte]), 1);
        }
        assert_eq!(printer.take_replies(), [0x7E]);
    }
    assert_eq!(printer.buffered(), 0);
}

#[test]
fn after_new_paper_it_goes_on_where_it_stopped() {
    let mut printer = Printer::new(PrinterSetup::epson_80());
    printer.schedule([Rule::once(When::Line(3), Fault::PaperOut)]);
    let bytes = [&job(b"1\n2\n3\n4\n5\n")[..], CONFIRM].concat();
    feed(&mut printer, &bytes);
    assert_eq!(printer.sheets().len(), 0);
    assert_eq!(printer.hanging().unwrap().lines(), ["1", "2", "3"]);
    assert_eq!(printer.take_replies(), b"");
    suffer(&mut printer, Fault::NewPaper { mm: 80_000 });
    assert_eq!(lines(&printer), [["1", "2", "3", "4", "5"]]);
    assert_eq!(
        (printer.sheets()[0].complete, printer.sheets()[0].pieces),
        (true, 2)
    );
    assert_eq!(printer.take_replies(), CONFIRMED);
}

#[test]
fn a_roll_ends_after_as_much_paper_as_it_has() {
    let setup = PrinterSetup {
        paper_left_mm: 100,
        near_end_mm: 50,
        ..PrinterSetup::epson_80()
    };
    let mut printer = printed(setup, &b"line\n".repeat(12));
    assert!(!printer.condition().paper_low);
    feed(&mut printer, b"line\n");
    assert!(printer.condition().paper_low && !printer.condition().paper_out);
    feed(&mut printer, &b"line\n".repeat(20));
    // 25 lines of 33 rows at 203 rows in 25.4 mm are 103 mm.
    assert!(printer.condition().paper_out);
    assert_eq!(printer.counts().lines, 25);
}

#[test]
fn clearing_the_buffer_while_out_of_paper_loses_the_rest() {
    let mut printer = Printer::new(PrinterSetup::epson_80());
    printer.schedule([Rule::once(When::Line(2), Fault::PaperOut)]);
    feed(&mut printer, &job(b"1\n2\n3\n"));
    feed(&mut printer, b"\x10\x05\x02");
    suffer(&mut printer, Fault::NewPaper { mm: 80_000 });
    feed(&mut printer, &job(b"next\n"));
    assert_eq!(lines(&printer), [["1", "2", "next"]]);
    assert!(!printer.sheets()[0].complete);
}

#[test]
fn a_power_cycle_loses_buffer_and_modes_and_leaves_half_a_sheet() {
    let text = b"\x1bE\x01one\ntwo\nthree\n";
    let mut printer = Printer::new(PrinterSetup::epson_80());
    printer.receive(Duration::ZERO, &job(text));
    // Long enough for the first line, too short for the second.
    printer.advance(Duration::from_millis(40));
    printer.suffer(Duration::from_millis(40), Fault::PowerCycle);
    assert!(printer.is_idle());
    feed(&mut printer, &[b"after\n", CUT].concat());
    assert_eq!(lines(&printer), [["one"], ["after"]]);
    let sheets = printer.sheets();
    assert_eq!(
        (sheets[0].complete, sheets[0].end),
        (false, SheetEnd::PowerLost)
    );
    assert!(sheets[1].complete && !sheets[1].rows[0].cells[0].style.bold);
    assert_eq!(printer.counts().power_losses, 1);
}

#[test]
fn a_power_cycle_at_a_byte_loses_exactly_what_came_before() {
    let mut printer = Printer::new(PrinterSetup::epson_80());
    printer.schedule([Rule::once(When::Byte(4), Fault::PowerCycle)]);
    feed(&mut printer, &[b"abcdefg\n", CUT].concat());
    assert_eq!(lines(&printer), [["efg"]]);
}

#[test]
fn a_blocked_cutter_stops_it_until_it_is_freed() {
    let mut printer = Printer::new(PrinterSetup::epson_80());
    suffer(&mut printer, Fault::CutterBlocked);
    feed(
        &mut printer,
        &[&job(b"x\n")[..], CONFIRM, b"\x10\x04\x03"].concat(),
    );
    assert_eq!(printer.take_replies(), [0x12], "the cut is still to come");
    feed(
        &mut printer,
        b"\x10\x04\x01\x10\x04\x02\x10\x04\x03\x10\x05\x01\x10\x04\x03",
    );
    assert_eq!(printer.take_replies(), [0x1A, 0x52, 0x1A, 0x12]);
    assert_eq!(printer.sheets().len(), 0);
    assert!(
        printer.condition().cutter_error,
        "tried again, failed again"
    );
    suffer(&mut printer, Fault::CutterFree);
    assert_eq!(lines(&printer), [["x"]]);
    assert_eq!(printer.take_replies(), CONFIRMED);
}

#[test]
fn a_hot_head_only_takes_time() {
    let mut printer = Printer::new(PrinterSetup::epson_80());
    let second = Duration::from_secs(1);
    printer.schedule([Rule::mended(
        When::Line(1),
        Fault::HeadHot,
        60 * second,
        Fault::HeadCool,
    )]);
    printer.receive(Duration::ZERO, &job(b"1\n2\n"));
    printer.advance(60 * second);
    assert_eq!(printer.sheets().len(), 0);
    printer.advance(62 * second);
    assert_eq!(lines(&printer), [["1", "2"]]);
}

#[test]
fn a_printer_that_is_off_swallows_everything() {
    let mut printer = Printer::new(PrinterSetup::epson_80());
    suffer(&mut printer, Fault::PowerOff);
    feed(
        &mut printer,
        &[&job(b"lost\n")[..], b"\x10\x04\x01"].concat(),
    );
    suffer(&mut printer, Fault::PowerOn);
    feed(&mut printer, &job(b"kept\n"));
    assert_eq!(lines(&printer), [["kept"]]);
    assert_eq!(printer.take_replies(), b"");
}

#[test]
fn an_unselected_printer_ignores_all_but_real_time_commands() {
    let mut printer = printed(
        PrinterSetup::epson_80(),
        &[&b"\x1b=\x00lost\n\x10\x04\x01\x1b=\x01kept\n"[..], CUT].concat(),
    );
    assert_eq!(lines(&printer), [["kept"]]);
    assert_eq!(printer.take_replies(), [0x12]);
}

#[test]
fn an_impact_printer_knows_neither_raster_nor_large_letters() {
    let printer = printed(
        PrinterSetup::impact(),
        &job(b"\x1d!\x11big\n\x1dv0\x00\x01\x00\x01\x00A\n\x1b!\x30BIG\n"),
    );
    assert_eq!(lines(&printer), [["big", "0A", "BIG"]]);
    assert_eq!(printer.sheets()[0].rows[2].cells[0].style.width, 2);
}

#[test]
fn seeds_give_the_same_faults_again_and_all_kinds_of_them() {
    assert_eq!(rules_from_seed(7, 1000), rules_from_seed(7, 1000));
    let mut kinds: Vec<_> = (0..200)
        .flat_map(|seed| rules_from_seed(seed, 1000))
        .map(|rule| std::mem::discriminant(&rule.fault))
        .collect();
    kinds.dedup();
    let different: std::collections::HashSet<_> = kinds.into_iter().collect();
    assert_eq!(different.len(), 6);
}

#[test]
fn whatever_happens_a_confirmed_sheet_came_out_whole_and_once() {
    let text: Vec<u8> = (0..60)
        .flat_map(|n| format!("line {n}\n").into_bytes())
        .collect();
    let bytes = [&job(&text)[..], CONFIRM].concat();
    let (mut confirmed, mut lost) = (0, 0);
    for seed in 0..300 {
        let mut printer = Printer::new(PrinterSetup::epson_80());
        printer.schedule(rules_from_seed(seed, 600));
        // Twenty bytes every 20 ms, as a slow serial line gives them.
        let mut now = Duration::ZERO;
        for chunk in bytes.chunks(20) {
            now += Duration::from_millis(20);
            assert_eq!(printer.receive(now, chunk), chunk.len());
        }
        printer.advance(now + LATER);
        let answered = printer.take_replies();
        let whole = printer
            .sheets()
            .iter()
            .filter(|s| s.complete && s.lines().len() == 60);
        if answered == CONFIRMED && printer.counts().power_losses == 0 {
            assert_eq!(whole.count(), 1, "seed {seed}");
            confirmed += 1;
        } else {
            assert!(printer.counts().power_losses > 0, "seed {seed}");
            assert!(whole.count() <= 1, "seed {seed}");
            lost += 1;
        }
    }
    assert!(confirmed > 50 && lost > 50, "{confirmed} {lost}");
}
