//! Receipts are read to the cent, or quarantined with a reason that names the line.

use std::sync::LazyLock;

use drivers::capture::job::{CapturedJob, EndedBy};
use drivers::capture::key::Key;
use drivers::capture::read::{Doubtful, Read, Reading, Reason, read};
use drivers::capture::sale::{CapturedSale, Rate, SaleKind};
use drivers::capture::template::{SHIPPED, Template};
use proptest::prelude::*;
use rust_decimal::Decimal;

const SALE: &str = "\
                 CORNER SHOP
                 TAX INVOICE
Receipt No: INV-0042                    Till: 02
Date: 27/11/2026 13:22            Cashier: Rudo
Customer: ACME (Pvt) Ltd
Customer TIN: 2001234567
------------------------------------------------
DESCRIPTION           QTY     PRICE       AMOUNT
------------------------------------------------
Bread 700g            2 x      1.10       2.20 A
Rice 10kg x2          1 x  1,200.00   1,200.00 B
VOID Rice 10kg x2                     1,200.00 B
Cooking oil           1 x      4.00       4.00 A
Discount 10%                             -0.40
Milk                  3 x      0.50       1.50 B
------------------------------------------------
TOTAL USD                                   7.30
CASH                                       10.00
CHANGE                                      2.70
VAT A 15.5%              5.02               0.78
VAT B  0.0%              1.50               0.00
";

fn job(bytes: impl Into<Vec<u8>>) -> CapturedJob {
    CapturedJob {
        number: 1,
        bytes: bytes.into(),
        taken: Vec::new(),
        lost: 0,
        ended_by: EndedBy::Cut,
    }
}

fn shipped() -> &'static [Template] {
    static TEMPLATES: LazyLock<Vec<Template>> = LazyLock::new(parse_shipped);
    &TEMPLATES
}

fn parse_shipped() -> Vec<Template> {
    SHIPPED
        .iter()
        .map(|(name, text)| {
            let template = Template::parse(text).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(template.name(), *name);
            template
        })
        .collect()
}

fn reading(text: &str) -> Read {
    read(&job(text), shipped())
}

fn sale(text: &str) -> CapturedSale {
    match reading(text).reading {
        Reading::Sale(sale) => *sale,
        other => panic!("{other:?}"),
    }
}

fn reasons(text: &str) -> Vec<Reason> {
    match reading(text).reading {
        Reading::Quarantine(reasons) => reasons,
        other => panic!("{other:?}"),
    }
}

fn cents(n: i64) -> Decimal {
    Decimal::new(n, 2)
}

#[test]
fn a_sale_is_read_to_the_cent() {
    let sale = sale(SALE);
    assert_eq!(sale.kind, SaleKind::Sale);
    assert_eq!(sale.receipt_no.text, "INV-0042");
    assert_eq!(sale.date.text, "27/11/2026");
    assert_eq!(sale.time.as_ref().map(|t| t.text.as_str()), Some("13:22"));
    assert_eq!(sale.till.as_ref().map(|t| t.text.as_str()), Some("02"));
    assert_eq!(
        sale.buyer.tin.as_ref().map(|t| t.text.as_str()),
        Some("2001234567")
    );
    assert_eq!(sale.currency.code, "USD");
    let lines: Vec<(&str, Decimal, Option<Decimal>)> = sale
        .lines
        .iter()
        .map(|l| {
            (
                l.name.text.as_str(),
                l.total.value,
                l.quantity.map(|q| q.value),
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            ("Bread 700g", cents(220), Some(Decimal::TWO)),
            ("Cooking oil", cents(400), Some(Decimal::ONE)),
            ("Discount 10%", cents(-40), None),
            ("Milk", cents(150), Some(Decimal::from(3))),
        ]
    );
    assert_eq!(sale.lines[2].tax.rate, Rate::Percent(Decimal::new(155, 1)));
    assert_eq!(sale.total.value, cents(730));
    assert_eq!(sale.payments[0].method, "cash");
    assert_eq!(sale.change.map(|c| c.value), Some(cents(270)));
    assert_eq!(
        Key::of_sale("pos1", &sale).text(),
        "4:pos1 8:INV-0042 10:27/11/2026 7.3"
    );
}

/// One changed character of the paper each, and the reason that must come of it.
#[test]
fn every_doubt_is_told() {
    let cases: [(&str, &str, Doubtful, Option<usize>); 14] = [
        ("   7.30", "   7.31", Doubtful::Total, Some(17)),
        (
            "10.00\nCHANGE",
            "11.00\nCHANGE",
            Doubtful::Payments,
            Some(17),
        ),
        ("CASH ", "CA$H ", Doubtful::Payments, None),
        ("TOTAL USD", "TOTAL EUR", Doubtful::Missing, None),
        ("2.20 A", "2.20 Q", Doubtful::NoItem, Some(10)),
        (
            "3 x      0.50",
            "4 x      0.50",
            Doubtful::Product,
            Some(15),
        ),
        (
            "5.02               0.78",
            "5.02               0.80",
            Doubtful::Tax,
            Some(20),
        ),
        ("VAT A", "VAT C", Doubtful::Tax, Some(20)),
        ("Date: 27", "Dat: 27", Doubtful::Missing, None),
        (
            "VOID Rice 10kg x2                     1,200.00",
            "VOID Rice 10kg x2                     1,200.01",
            Doubtful::NoItem,
            Some(12),
        ),
        (
            "TOTAL USD                                   7.30",
            "TOTAL USD                                   7,30",
            Doubtful::Missing,
            None,
        ),
        (
            "Milk                  3 x",
            "\x1b$\0\0M\x1b$\0\0ilk                  3 x",
            Doubtful::Paper,
            Some(15),
        ),
        (
            "Till: 02",
            "Till: 02\nReceipt No: INV-0043",
            Doubtful::Differs,
            Some(4),
        ),
        (
            "Milk ",
            "\x1bt\x63M\u{e9}k ",
            Doubtful::NotUnderstood,
            Some(15),
        ),
    ];
    for (from, to, doubt, line) in cases {
        let text = SALE.replacen(from, to, 1);
        assert_ne!(text, SALE, "{from}");
        let reasons = reasons(&text);
        assert!(
            reasons
                .iter()
                .any(|r| r.doubt == doubt && (line.is_none() || r.line == line)),
            "{from} -> {to}: {reasons:?}"
        );
    }
}

/// Prices without tax: the printed taxes make the rest of the total, and must be right. A discount on the whole
/// receipt is a line of its only tax.
#[test]
fn prices_without_tax_and_a_discount_on_all() {
    let template = SHIPPED[0]
        .1
        .replace("\"inclusive\"", "\"exclusive\"")
        .replace(
            "[payments]",
            "discount = '{name}{gap}-(?<discount>[0-9.]+)'\n\n[payments]",
        );
    let templates = [Template::parse(&template).unwrap()];
    let text = "TAX INVOICE\nReceipt No: 1\nDate: 1/1/2026\nDESCRIPTION QTY\nSoap   4 x  3.00  12.00 A\nSUBTOTAL   12.00\nLOYALTY   -2.00\nVAT A 15.5%    10.00    1.55\nTOTAL USD   11.55\nCASH   11.55\n";
    let Reading::Sale(sale) = read(&job(text), &templates).reading else {
        panic!("not read");
    };
    assert!(!sale.tax_inclusive);
    assert_eq!(sale.lines[1].name.text, "LOYALTY");
    assert_eq!(sale.lines[1].total.value, cents(-200));
    assert_eq!(sale.taxes[0].amount.value, cents(155));
    for wrong in [
        text.replace("1.55", "1.58").replace("11.55", "11.58"),
        text.replace("VAT A 15.5%    10.00    1.55\n", "")
            .replace("11.55", "10.00"),
        text.replace(
            "Soap   4 x  3.00  12.00 A",
            "Soap   4 x  2.00   8.00 A\nPie   1 x  4.00   4.00 B",
        ),
    ] {
        assert!(matches!(
            read(&job(wrong), &templates).reading,
            Reading::Quarantine(_)
        ));
    }
}

/// Items that begin in the last row and never end: the reason names that row.
#[test]
fn items_without_an_end() {
    let reasons = reasons("TAX INVOICE\nDESCRIPTION   QTY");
    let missing = |r: &&Reason| r.doubt == Doubtful::Missing && r.text.contains("ends the items");
    assert_eq!(reasons.iter().find(missing).unwrap().line, Some(2));
}

/// A narrow receipt with decimal commas, where the second row of an item is optional.
#[test]
fn commas_and_optional_rows() {
    let text = "Bon: 77\nLe 27.11.2026 a 09:15\nCaisse 3\n================================\nSucre brun 2kg        1.234,50 1\n  2 x 617,25\nRabais 10%               -0,50\nPain                      0,80 2\n================================\nSOMME USD             1.234,80\nESPECES               1.240,00\nRENDU                     5,20\n";
    let sale = sale(text);
    assert_eq!(sale.total.value, cents(123_480));
    assert_eq!(sale.lines[0].price.map(|p| p.value), Some(cents(61_725)));
    assert_eq!(sale.lines[2].quantity, None);
}

/// A credit note below zero is read as what is given back, with the receipt it belongs to.
#[test]
fn a_refund() {
    let text = "                 CREDIT NOTE\nReceipt No: CN-7    Till: 1\nDate: 28/11/2026 08:00\nOriginal Receipt: INV-0042\nDESCRIPTION           QTY     PRICE       AMOUNT\nBread 700g           -2 x      1.10      -2.20 A\nTOTAL USD                                  -2.20\nCASH                                       -2.20\n";
    let sale = sale(text);
    assert_eq!(sale.kind, SaleKind::Refund);
    assert_eq!(sale.original.map(|t| t.text).as_deref(), Some("INV-0042"));
    assert_eq!(sale.total.value, cents(220));
    assert_eq!(sale.lines[0].quantity.map(|q| q.value), Some(Decimal::TWO));
    let without = text.replace("Original Receipt: INV-0042\n", "");
    assert_eq!(reasons(&without)[0].doubt, Doubtful::Missing);
}

/// What is no receipt passes; what says that it is a copy is one; what nobody knows is not let through.
#[test]
fn kinds() {
    assert_eq!(
        reading("  KITCHEN ORDER 12\n2 Sadza\n").reading,
        Reading::Passthrough
    );
    assert_eq!(reading("\n\n\n").reading, Reading::Passthrough);
    assert_eq!(reasons("Hello\n")[0].doubt, Doubtful::NoTemplate);
    let copy = SALE.replace("TAX INVOICE", "*** DUPLICATE ***");
    let Reading::Reprint(reprint) = reading(&copy).reading else {
        panic!("a copy is read as a sale");
    };
    assert_eq!(
        Key::of_reprint("p", &reprint),
        Key::of_sale("p", &sale(SALE))
    );
    let mut picture = b"\x1dv0\0\x30\0\x40\0".to_vec();
    picture.extend([0x55; 0x30 * 0x40]);
    let read = read(&job(picture), shipped());
    assert!(matches!(&read.reading, Reading::Quarantine(r) if r[0].doubt == Doubtful::Picture));
    let mut long = job(SALE);
    long.lost = 1;
    let read = drivers::capture::read::read(&long, shipped());
    assert!(matches!(&read.reading, Reading::Quarantine(r) if r[0].doubt == Doubtful::TooLong));
}

/// A template that is wrong says where and how.
#[test]
fn wrong_templates() {
    let good = SHIPPED[0].1;
    for (from, to, line, what) in [
        (
            "kind = \"fiscal_sale\"",
            "kind = \"sale\"",
            Some(3),
            "fiscal_sale",
        ),
        ("[match]", "[match]\nany = []", Some(7), "any"),
        (
            "receipt_no = '^Receipt No: {receipt_no}'",
            "receipt_no = '^Receipt No: (\\S+)'",
            Some(15),
            "{receipt_no}",
        ),
        (
            "'^DESCRIPTION\\s+QTY'\nend",
            "'^(DESCRIPTION'\nend",
            Some(22),
            "unclosed",
        ),
        ("A = \"15.5\"", "A = \"high\"", Some(39), "exempt"),
        (
            "number = \"decimal . group ,\"",
            "number = \"decimal . group .\"",
            Some(4),
            "number format",
        ),
        ("ZWG = \"ZWG\"", "ZWG = \"dollar\"", Some(51), "currency"),
        ("total = '^TOTAL \\w+\\s+{total}$'", "", None, "total"),
    ] {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{from}");
        let error = Template::parse(&text).unwrap_err();
        assert!(error.what.contains(what), "{error}");
        if line.is_some() {
            assert_eq!(error.line, line, "{error}");
        }
    }
}

/// Receipts with a few bytes changed, added or lost.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 0..8);
    let digits = prop::collection::vec((any::<prop::sample::Index>(), b'0'..=b'9'), 0..4);
    (changes, digits).prop_map(|(changes, digits)| {
        let mut bytes = SALE.as_bytes().to_vec();
        for (at, byte, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => {
                    bytes.remove(at);
                }
            }
        }
        let places: Vec<usize> = (0..bytes.len())
            .filter(|n| bytes[*n].is_ascii_digit())
            .collect();
        for (at, digit) in digits {
            if let Some(place) = places.get(at.index(places.len().max(1))) {
                bytes[*place] = digit;
            }
        }
        bytes
    })
}

/// All that was read stands on the paper, digit for digit, and adds up.
fn holds(read: &Read, templates: &[Template]) {
    let Reading::Sale(sale) = &read.reading else {
        return;
    };
    let template = templates
        .iter()
        .find(|t| Some(t.name()) == read.template.as_deref())
        .expect("a template decided");
    for number in sale.numbers() {
        let printed = template
            .numbers()
            .read(read.grid.at(number.at))
            .expect("a number");
        assert_eq!(printed.abs(), number.value.abs(), "{number:?}");
    }
    for text in sale.texts() {
        assert_eq!(read.grid.at(text.at), text.text);
    }
    let lines: Decimal = sale.lines.iter().map(|l| l.total.value).sum();
    assert_eq!(lines, sale.total.value);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn never_a_number_that_is_not_on_the_paper(bytes in damaged()) {
        let templates = shipped();
        holds(&read(&job(bytes), templates), templates);
    }

    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        let templates = shipped();
        for template in templates {
            let grid = drivers::capture::grid::Grid::new(&bytes, template.paper());
            let reading = drivers::capture::read::by_template(template, &grid);
            holds(&Read { reading, template: Some(template.name().to_owned()), grid }, templates);
        }
    }
}
