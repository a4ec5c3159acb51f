//! What the documents look like, frozen as text: what a customer gets must not change by accident.

use fiscal::counters::DayTotals;
use fiscal::paper::{Marks, OriginalOnPaper};
use fiscal::report::DayReport;
use fiscal::testing::{sample_taxpayer, sample_taxpayer_without_vat};

use super::samples::{
    CREDIT, DEBIT, EXCLUSIVE, INCLUSIVE, Sample, date, day_no, device, logo, random_samples,
};
use super::tools::File;

/// The lines of the pages; how much blank space is in them depends on the program that reads them.
fn shown(file: &File) -> String {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = file.layout().lines().map(words).collect();
    let lines = lines.into_iter().filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn inclusive_invoice() {
    let sample = Sample::new(INCLUSIVE, &sample_taxpayer());
    let bytes = a4::invoice(&sample.paper(), Some(&logo())).expect("a PDF");
    let file = File::new("inclusive", &bytes);
    file.check();
    insta::assert_snapshot!("inclusive", shown(&file));
}

#[test]
fn exclusive_invoice() {
    let mut sample = Sample::new(EXCLUSIVE, &sample_taxpayer());
    sample.marks = Marks {
        copy: true,
        test: true,
        preview: false,
    };
    let file = File::new("exclusive", &sample.pdf());
    file.check();
    insta::assert_snapshot!("exclusive", shown(&file));
}

#[test]
fn credit_note() {
    let mut sample = Sample::new(CREDIT, &sample_taxpayer());
    sample.original = Some(OriginalOnPaper {
        global_no: None,
        date: Some(jiff::civil::date(2026, 5, 28).at(7, 42, 19, 0)),
        invoice_no: Some("INV0593".to_owned()),
        device_serial_no: Some("till-7".to_owned()),
    });
    let file = File::new("credit_note", &sample.pdf());
    file.check();
    insta::assert_snapshot!("credit_note", shown(&file));
}

#[test]
fn debit_note() {
    let sample = Sample::new(DEBIT, &sample_taxpayer());
    let file = File::new("debit_note", &sample.pdf());
    file.check();
    insta::assert_snapshot!("debit_note", shown(&file));
}

/// A seller without VAT: another title, no VAT number, no tax table. A preview shows no number and no code.
#[test]
fn preview_without_vat() {
    let json = INCLUSIVE.replace("517", "514");
    let mut sample = Sample::new(&json, &sample_taxpayer_without_vat());
    sample.marks.preview = true;
    sample.proof = None;
    let file = File::new("preview", &sample.pdf());
    file.check();
    let text = shown(&file);
    for absent in ["VAT No: 2", "Net.Amt", "451", "06/09/26", "erification"] {
        assert!(!text.contains(absent), "{absent}\n{text}");
    }
    insta::assert_snapshot!("preview", text);
}

/// A Z report of a day in two currencies with all types of receipts, and an X report of an empty day.
#[test]
fn reports() {
    let taxpayer = sample_taxpayer();
    let mut totals = DayTotals::default();
    for sample in random_samples(11, 60, &taxpayer) {
        totals.add_receipt(&sample.receipt);
    }
    let empty = DayTotals::default();
    let mut day = DayReport {
        taxpayer: &taxpayer,
        device: device(),
        fiscal_day: day_no(),
        opened: jiff::civil::date(2026, 9, 6).at(8, 0, 0, 0),
        closed: Some(jiff::civil::date(2026, 9, 6).at(18, 30, 0, 0)),
        totals: &totals,
        test: true,
    };
    let file = File::new("z_report", &a4::report(&day).expect("a PDF"));
    file.check();
    insta::assert_snapshot!("z_report", shown(&file));
    day = DayReport {
        totals: &empty,
        closed: None,
        test: false,
        opened: date(),
        ..day
    };
    let file = File::new("x_report", &a4::report(&day).expect("a PDF"));
    file.check();
    let text = shown(&file);
    assert!(
        text.contains("X REPORT") && text.contains("Total documents: 0"),
        "{text}"
    );
    assert!(!text.contains("TEST") && !text.contains("closed"), "{text}");
}
