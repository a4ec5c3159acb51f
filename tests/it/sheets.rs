//! Sheets of every kind of receipt and report, on every width of paper, as the printer made of software draws them.
//!
//! The pictures in `tests/it/sheets/` were looked at by people; what differs from them by a dot is a change of what
//! shops see. `UPDATE_SHEETS=1` draws them anew, to be looked at again. On each the QR code is read by zbarimg.

use std::path::{Path, PathBuf};
use std::time::Duration;

use drivers::escpos::encode;
use drivers::page::Page;
use drivers::profile::{Profile, Qr};
use fiscal::compose::{Known, Numbers, compose, in_signing_order};
use fiscal::counters::DayTotals;
use fiscal::draft::Draft;
use fiscal::paper::{
    Block, Marks, OriginalOnPaper, Proof, ReceiptOnPaper, fiscal_block, receipt48,
};
use fiscal::receipt::Signature;
use fiscal::report::{DayReport, report};
use fiscal::testing::sample_taxpayer;
use fiscal::{DateTime, DeviceId, FiscalDayNo, Receipt, ReceiptCounter, ReceiptGlobalNo};
use fiscald::paper::warn;
use fiscald::print::pages::lay_out;
use vprinter::{Printer, PrinterSetup};

use crate::support::paper::scan_png;

const INVOICE: &str = r#"{
  "receiptType": "FiscalInvoice", "receiptCurrency": "USD", "invoiceNo": "T1-000123",
  "receiptLinesTaxInclusive": true, "receiptNotes": "Goods once sold are taken back within 7 days with this paper only.",
  "buyerData": {"buyerRegisterName": "Moyo & Sons (Pvt) Ltd", "buyerTradeName": "Moyo's", "buyerTIN": "1234567890",
    "vatNumber": "123456789", "buyerContacts": {"phoneNo": "+263 770 000000", "email": "shop@moyo.example"},
    "buyerAddress": {"province": "Harare", "city": "Harare", "street": "First Street", "houseNo": "1A"}},
  "receiptLines": [
    {"receiptLineType": "Sale", "receiptLineName": "Bread", "receiptLineHSCode": "19059090", "receiptLinePrice": 1.2, "receiptLineQuantity": 1, "taxID": 517, "taxCode": "A"},
    {"receiptLineType": "Sale", "receiptLineName": "Generator, petrol, 5 kVA, with wheels and a cover against the rain", "receiptLineHSCode": "85022000", "receiptLinePrice": 5000, "receiptLineQuantity": 3, "taxID": 517, "taxCode": "A"},
    {"receiptLineType": "Discount", "receiptLineName": "Generator", "receiptLineHSCode": "85022000", "receiptLinePrice": -100, "receiptLineQuantity": 1, "taxID": 517, "taxCode": "A"},
    {"receiptLineType": "Sale", "receiptLineName": "Beef", "receiptLineHSCode": "02013000", "receiptLinePrice": 1081.08, "receiptLineQuantity": 0.555, "taxID": 2, "taxCode": "B"}],
  "receiptPayments": [{"moneyTypeCode": "Cash", "paymentAmount": 501.20}, {"moneyTypeCode": "MobileWallet", "paymentAmount": 15000}],
  "cashier": "Tendai", "tendered": 510, "change": 8.80, "footerLines": ["Thank you", "Come again"]}"#;

const EXCLUSIVE: &str = r#"{
  "receiptType": "FiscalInvoice", "receiptCurrency": "ZWG", "invoiceNo": "T1-000124", "receiptLinesTaxInclusive": false,
  "receiptLines": [
    {"receiptLineType": "Sale", "receiptLineName": "Kikuyu Lawn - sqm", "receiptLineHSCode": "12092500", "receiptLinePrice": 2.5974, "receiptLineQuantity": 100, "taxID": 517},
    {"receiptLineType": "Sale", "receiptLineName": "Seeds", "receiptLineHSCode": "12099100", "receiptLinePrice": 4, "receiptLineQuantity": 1, "taxID": 1}],
  "receiptPayments": [{"moneyTypeCode": "Card", "paymentAmount": 304}]}"#;

const CREDIT: &str = r#"{
  "receiptType": "CreditNote", "receiptCurrency": "USD", "invoiceNo": "CRN0054", "receiptLinesTaxInclusive": true,
  "receiptNotes": "Brought back", "creditDebitNote": {"deviceID": 35224, "receiptGlobalNo": 34, "fiscalDayNo": 3},
  "receiptLines": [
    {"receiptLineType": "Sale", "receiptLineName": "Bread", "receiptLineHSCode": "19059090", "receiptLinePrice": -1.2, "receiptLineQuantity": 2, "taxID": 517}],
  "receiptPayments": [{"moneyTypeCode": "Cash", "paymentAmount": -2.4}]}"#;

const DEBIT: &str = r#"{
  "receiptType": "DebitNote", "receiptCurrency": "USD", "invoiceNo": "DBN0007", "receiptLinesTaxInclusive": true,
  "receiptNotes": "Weighed too little", "creditDebitNote": {"deviceID": 35224, "receiptGlobalNo": 34, "fiscalDayNo": 3},
  "receiptLines": [
    {"receiptLineType": "Sale", "receiptLineName": "Beef", "receiptLineHSCode": "02013000", "receiptLinePrice": 10.8108, "receiptLineQuantity": 0.555, "taxID": 2}],
  "receiptPayments": [{"moneyTypeCode": "Cash", "paymentAmount": 6}]}"#;

/// What comes out, and the code on it.
struct Wanted {
    name: &'static str,
    blocks: Vec<Block>,
    code: Option<String>,
}

fn at(hour: i8) -> DateTime {
    "2026-09-06T00:18:39"
        .parse::<DateTime>()
        .unwrap()
        .with()
        .hour(hour)
        .build()
        .unwrap()
}

fn device() -> DeviceId {
    DeviceId::new(37367).unwrap()
}

fn issued(json: &str) -> (Receipt, fiscal::draft::PrintOnly) {
    let taxpayer = sample_taxpayer();
    let (draft, findings) = Draft::read(json.as_bytes());
    assert_eq!(findings, [], "{json}");
    let known = Known {
        numbers: Some(Numbers {
            counter: ReceiptCounter::new(15).unwrap(),
            global_no: ReceiptGlobalNo::new(451).unwrap(),
            date: at(12),
        }),
        taxpayer: Some(&taxpayer),
        ..Known::default()
    };
    let (receipt, findings) = compose(&draft, &known);
    assert_eq!(findings, [], "{json}");
    (in_signing_order(receipt), draft.print)
}

fn receipt(
    name: &'static str,
    json: &str,
    marks: Marks,
    make: impl FnOnce(&ReceiptOnPaper<'_>) -> Vec<Block>,
) -> Wanted {
    let taxpayer = sample_taxpayer();
    let (receipt, print) = issued(json);
    let signature = Signature {
        hash: fiscal::sign::hash("sheet"),
        bytes: b"a signature".to_vec(),
    };
    let proof = Proof::new(&taxpayer.qr_url, device(), &receipt, &signature);
    let original = OriginalOnPaper {
        global_no: ReceiptGlobalNo::new(34),
        date: Some(at(7)),
        invoice_no: Some("INV0593".to_owned()),
        device_serial_no: Some("till-7".to_owned()),
    };
    let blocks = make(&ReceiptOnPaper {
        receipt: &receipt,
        taxpayer: &taxpayer,
        device: device(),
        fiscal_day: FiscalDayNo::new(45),
        proof: Some(&proof),
        print: &print,
        original: receipt.receipt_type.is_note().then_some(&original),
        marks,
    });
    Wanted {
        name,
        blocks,
        code: Some(proof.qr_content),
    }
}

fn day(closed: bool) -> Vec<Block> {
    let mut totals = DayTotals::default();
    for json in [INVOICE, EXCLUSIVE, CREDIT, DEBIT] {
        totals.add_receipt(&issued(json).0);
    }
    report(&DayReport {
        taxpayer: &sample_taxpayer(),
        device: device(),
        fiscal_day: FiscalDayNo::new(45).unwrap(),
        opened: at(7),
        closed: closed.then(|| at(20)),
        totals: &totals,
        test: false,
    })
}

fn all() -> Vec<Wanted> {
    let plain = Marks::default();
    let test_copy = Marks {
        copy: true,
        test: true,
        preview: false,
    };
    let mut x = day(false);
    warn(
        &mut x,
        "Close the day before 07:18: FDMS takes no receipts after that.".to_owned(),
    );
    vec![
        receipt("invoice", INVOICE, plain, receipt48),
        receipt("exclusive", EXCLUSIVE, plain, receipt48),
        receipt("credit-note", CREDIT, plain, receipt48),
        receipt("debit-note-test-copy", DEBIT, test_copy, receipt48),
        receipt("fiscal-block", INVOICE, plain, |paper| {
            let mut blocks = fiscal_block(paper);
            blocks.push(Block::Cut);
            blocks
        }),
        Wanted {
            name: "x-report",
            blocks: x,
            code: None,
        },
        Wanted {
            name: "z-report",
            blocks: day(true),
            code: None,
        },
    ]
}

/// Profiles of the three widths, with the printer that each is for.
fn papers() -> Vec<(&'static str, Profile, PrinterSetup)> {
    let profile = |name: &str, qr| Profile {
        qr,
        ..Profile::named(name).unwrap()
    };
    let dull = |setup: PrinterSetup| PrinterSetup {
        native_qr: false,
        speed_mm_per_s: 0,
        ..setup
    };
    let quick = |setup: PrinterSetup| PrinterSetup {
        native_qr: true,
        speed_mm_per_s: 0,
        ..setup
    };
    vec![
        (
            "48-native",
            profile("epson-tm-t20", Qr::Native),
            quick(PrinterSetup::epson_80()),
        ),
        (
            "48-raster",
            profile("epson-tm-t20", Qr::Raster),
            dull(PrinterSetup::epson_80()),
        ),
        (
            "42-native",
            profile("epson-tm-t88", Qr::Native),
            quick(PrinterSetup::epson_42()),
        ),
        (
            "42-raster",
            profile("epson-tm-t88", Qr::Raster),
            dull(PrinterSetup::epson_42()),
        ),
        (
            "32-native",
            profile("generic-58", Qr::Native),
            quick(PrinterSetup::clone_58()),
        ),
        (
            "32-raster",
            profile("generic-58", Qr::Raster),
            dull(PrinterSetup::clone_58()),
        ),
    ]
}

fn drawn(blocks: &[Block], profile: &Profile, setup: &PrinterSetup) -> Vec<u8> {
    let mut page = Page::default();
    lay_out(blocks, profile, &mut page);
    let bytes = encode(&page, profile).unwrap();
    let mut printer = Printer::new(setup.clone());
    let mut now = Duration::ZERO;
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let taken = printer.receive(now, rest);
        rest = &rest[taken..];
        now += Duration::from_millis(10);
        printer.advance(now);
    }
    printer.advance(now + Duration::from_secs(60));
    if printer.sheets().is_empty() {
        printer.suffer(now, vprinter::Fault::Tear);
    }
    assert_eq!(printer.sheets().len(), 1, "one sheet");
    printer.sheets()[0].to_png().unwrap()
}

/// Every sheet is the one that was looked at, and its code scans.
#[test]
fn sheets_are_as_reviewed() {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/sheets");
    let update = std::env::var_os("UPDATE_SHEETS").is_some();
    let mut differing = Vec::new();
    for wanted in all() {
        for (paper, profile, setup) in papers() {
            let name = format!("{}-{paper}.png", wanted.name);
            // Without a code there is nothing that native and raster would do otherwise.
            if wanted.code.is_none() && paper.ends_with("raster") {
                continue;
            }
            let png = drawn(&wanted.blocks, &profile, &setup);
            if let Some(code) = &wanted.code {
                assert_eq!(scan_png(&png), [code.as_str()], "{name}");
            }
            let path = folder.join(&name);
            if update {
                std::fs::write(&path, &png).unwrap();
            } else if std::fs::read(&path).ok().as_deref() != Some(&png) {
                differing.push(name);
            }
        }
    }
    assert!(
        differing.is_empty(),
        "differ from what was reviewed: {differing:?}; draw them with UPDATE_SHEETS=1 and look at them"
    );
}
