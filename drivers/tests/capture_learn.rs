//! A template can be written by looking: the paper is shown with what was found, and a draft reads it.

use drivers::capture::learn::learn;
use drivers::capture::template::{SHIPPED, Template};

const SHOP: &str = "\
            MUSASA HARDWARE
Invoice No: 000817
Date 27/11/2026  13:22   Cashier: Tino
------------------------------------------
Item                                 Price
------------------------------------------
Hammer 500g               2 x 7.50   15.00 V
Nails 2in                 1 x 3.20    3.20 V
------------------------------------------
TOTAL USD                            18.20
CASH                                 20.00
CHANGE                                1.80
";

/// The draft of a plain receipt reads it, and others of its kind.
#[test]
fn a_draft_reads_what_it_was_made_from() {
    let two_rows = "Receipt #A-17\n27-11-2026 10:00\n========\nMaize meal\n  2 @ 6.50        13.00\n========\nAmount due      13.00\nEcoCash         13.00\n";
    let second_row = "Sale No 88\n27.11.2026\n*****\nSucre 2kg   1.234,50 B\n  2 x 617,25\nPain      1,00 B\n*****\nTOTAL ZWG   1.235,50\nCash   1.235,50\n";
    for shop in [SHOP, two_rows, second_row] {
        let learned = learn(&[shop.as_bytes().to_vec()], None);
        let draft = learned.draft.expect("a draft");
        assert!(
            learned.report.contains("read: Sale"),
            "{draft}\n{}",
            learned.report
        );
    }
    let draft = learn(&[SHOP.as_bytes().to_vec()], None)
        .draft
        .expect("a draft");
    let template = Template::parse(&draft).expect("a template");
    let other = SHOP
        .replace("000817", "000818")
        .replace("Nails 2in ", "Rope 10m x2");
    let report = learn(&[other.into_bytes()], Some(&template)).report;
    assert!(report.contains("read: Sale 000818"), "{report}");
}

/// Places are marked below their row; what does not fit and what is not understood is told.
#[test]
fn the_paper_is_shown() {
    let template = Template::parse(SHIPPED[0].1).expect("shipped");
    let text = "TAX INVOICE\nReceipt No: 7\nDate: 27/11/2026\nDESCRIPTION  QTY\nBread    2 x  1.10  2.20 A\nnonsense\nTOTAL USD  2.20\nCASH  2.20\n";
    let report = learn(&[text.into()], Some(&template)).report;
    let lines: Vec<&str> = report.lines().collect();
    assert_eq!(lines[2], "   2 |Receipt No: 7");
    assert_eq!(lines[3], "     |            ^  receipt_no");
    assert_eq!(
        lines[8],
        "     |^^^^^    ^    ^^^^  ^^^^ ^  name, qty, price, total, tax"
    );
    assert!(
        report.contains("  line 6: `nonsense` is no item"),
        "{report}"
    );
    let report = learn(&[b"Hello\n".to_vec()], Some(&template)).report;
    assert!(report.contains("does not fit: match.all"), "{report}");
    assert_eq!(learn(&[b"Hello\n".to_vec()], None).draft, None);
}
