//! Receipts and reports on paper, frozen as text: what a shop sees must not change by accident.

use fiscal::compose::{Known, Numbers, compose, in_signing_order};
use fiscal::counters::DayTotals;
use fiscal::draft::{Draft, PrintOnly};
use fiscal::paper::{
    Block, Marks, OriginalOnPaper, Proof, ReceiptOnPaper, facts, fiscal_block, receipt48,
    render_block, render_text,
};
use fiscal::receipt::Signature;
use fiscal::report::{DayReport, figures, report};
use fiscal::taxpayer::Taxpayer;
use fiscal::testing::{
    GenOptions, Random, random_sale, sample_taxpayer, sample_taxpayer_without_vat,
};
use fiscal::{
    Cents, Currency, DateTime, DeviceId, FiscalDayNo, Receipt, ReceiptCounter, ReceiptGlobalNo,
};

fn device() -> DeviceId {
    DeviceId::new(37367).expect("a device ID")
}

fn day_no() -> FiscalDayNo {
    FiscalDayNo::new(45).expect("a day's number")
}

fn date() -> DateTime {
    jiff::civil::date(2026, 9, 6).at(12, 18, 39, 0)
}

fn issue(json: &str, taxpayer: &Taxpayer) -> (Receipt, PrintOnly) {
    let (draft, findings) = Draft::read(json.as_bytes());
    assert_eq!(findings, [], "{json}");
    let known = Known {
        numbers: Some(Numbers {
            counter: ReceiptCounter::new(15).expect("a counter"),
            global_no: ReceiptGlobalNo::new(451).expect("a number"),
            date: date(),
        }),
        taxpayer: Some(taxpayer),
        ..Known::default()
    };
    let (receipt, findings) = compose(&draft, &known);
    assert_eq!(findings, [], "{json}");
    (in_signing_order(receipt), draft.print)
}

fn print(
    json: &str,
    taxpayer: &Taxpayer,
    original: Option<&OriginalOnPaper>,
    marks: Marks,
) -> Vec<Block> {
    let (receipt, print) = issue(json, taxpayer);
    let signature = Signature {
        hash: fiscal::sign::hash("paper"),
        bytes: b"a signature".to_vec(),
    };
    let proof = Proof::new(&taxpayer.qr_url, device(), &receipt, &signature);
    receipt48(&ReceiptOnPaper {
        receipt: &receipt,
        taxpayer,
        device: device(),
        fiscal_day: Some(day_no()),
        proof: (!marks.preview).then_some(&proof),
        print: &print,
        original,
        marks,
    })
}

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
    {"receiptLineType": "Sale", "receiptLineName": "Beef", "receiptLineHSCode": "02013000", "receiptLinePrice": 1081.08, "receiptLineQuantity": 0.555, "taxID": 2, "taxCode": "B"},
    {"receiptLineType": "Sale", "receiptLineName": "Sweets", "receiptLineHSCode": "17049000", "receiptLineQuantity": 3, "receiptLineTotal": 1.00, "taxID": 1, "taxCode": "C"}],
  "receiptPayments": [{"moneyTypeCode": "Cash", "paymentAmount": 502.20}, {"moneyTypeCode": "MobileWallet", "paymentAmount": 15000}],
  "cashier": "Tendai", "tendered": 510, "change": 7.80, "footerLines": ["Thank you", "Come again"]}"#;

const EXCLUSIVE_CREDIT: &str = r#"{
  "receiptType": "CreditNote", "receiptCurrency": "USD", "invoiceNo": "CRN0054", "receiptLinesTaxInclusive": false,
  "receiptNotes": "Brought back", "creditDebitNote": {"deviceID": 35224, "receiptGlobalNo": 34, "fiscalDayNo": 3},
  "receiptLines": [
    {"receiptLineType": "Sale", "receiptLineName": "Kikuyu Lawn - sqm", "receiptLineHSCode": "12092500", "receiptLinePrice": -2.5974, "receiptLineQuantity": 100, "taxID": 517},
    {"receiptLineType": "Sale", "receiptLineName": "Seeds", "receiptLineHSCode": "12099100", "receiptLinePrice": -4, "receiptLineQuantity": 1, "taxID": 1}],
  "receiptPayments": [{"moneyTypeCode": "BankTransfer", "paymentAmount": -304}]}"#;

fn no_marks() -> Marks {
    Marks::default()
}

/// A tax invoice with everything on it, on the three widths of paper.
#[test]
fn invoice() {
    let taxpayer = sample_taxpayer();
    let blocks = print(INVOICE, &taxpayer, None, no_marks());
    for columns in [48, 42, 32] {
        insta::assert_snapshot!(format!("invoice_{columns}"), render_text(&blocks, columns));
    }
}

/// A tax-exclusive credit note, with and without knowledge of its original; a reprint of a test till's.
#[test]
fn exclusive_credit_note() {
    let taxpayer = sample_taxpayer();
    let original = OriginalOnPaper {
        global_no: None,
        date: Some(jiff::civil::date(2026, 5, 28).at(7, 42, 19, 0)),
        invoice_no: Some("INV0593".to_owned()),
        device_serial_no: Some("till-7".to_owned()),
    };
    let blocks = print(EXCLUSIVE_CREDIT, &taxpayer, Some(&original), no_marks());
    insta::assert_snapshot!("credit_note_48", render_text(&blocks, 48));
    insta::assert_snapshot!("credit_note_32", render_text(&blocks, 32));
    let marks = Marks {
        copy: true,
        test: true,
        preview: false,
    };
    let text = render_text(&print(EXCLUSIVE_CREDIT, &taxpayer, None, marks), 48);
    let head: Vec<&str> = text.lines().take(2).map(str::trim).collect();
    assert_eq!(head, ["TEST", "COPY"]);
    assert!(
        text.contains("Invoice No: 34\nDevice ID: 35224\n"),
        "{text}"
    );
}

/// A seller without VAT: another title, no VAT number, no tax table. A preview shows no number and no code.
#[test]
fn preview_without_vat() {
    let taxpayer = sample_taxpayer_without_vat();
    let json = INVOICE.replace("517", "514");
    let marks = Marks {
        preview: true,
        ..no_marks()
    };
    let text = render_text(&print(&json, &taxpayer, None, marks), 48);
    insta::assert_snapshot!("preview_48", text);
    for absent in ["VAT No: 2", "Net.Amt", "451", "QR", "06/09/26"] {
        assert!(!text.contains(absent), "{absent}\n{text}");
    }
}

/// The seller's name is a title, what follows is not; a branch of the same name, or of none, is not named.
#[test]
fn the_head_of_a_paper() {
    let mut taxpayer = sample_taxpayer();
    let head = |taxpayer: &Taxpayer| {
        let blocks = print(INVOICE, taxpayer, None, no_marks());
        let end = blocks.iter().position(|block| *block == Block::Rule);
        blocks
            .into_iter()
            .take(end.expect("a rule"))
            .collect::<Vec<_>>()
    };
    let mut wanted = vec![
        Block::title("Example Traders (Pvt) Ltd"),
        Block::center("TIN: 2000000000"),
        Block::center("VAT No: 220000000"),
        Block::center("Example Traders Samora Machel"),
        Block::center("147 Samora Machel Ave"),
        Block::center("HARARE, HARARE"),
        Block::center("accounts@example.co.zw"),
        Block::center("0770000000"),
    ];
    assert_eq!(head(&taxpayer), wanted);
    let _ = wanted.remove(3);
    for branch in ["", "Example Traders (Pvt) Ltd"] {
        taxpayer.branch_name = branch.to_owned();
        assert_eq!(head(&taxpayer), wanted);
    }
    taxpayer.branch_address = fiscal::taxpayer::Address {
        district: Some("Avondale".to_owned()),
        ..Default::default()
    };
    wanted.splice(3..5, [Block::center("Avondale")]);
    assert_eq!(head(&taxpayer), wanted);
}

/// Taxes of each rate above zero, the highest first; what is no VAT has its own name.
#[test]
fn taxes_of_an_exclusive_invoice() {
    let taxpayer = sample_taxpayer();
    let line = |name: &str, price: u32, tax: u32| {
        format!(
            r#"{{"receiptLineType": "Sale", "receiptLineName": "{name}", "receiptLineHSCode": "12092500", "receiptLinePrice": {price}, "receiptLineQuantity": 1, "taxID": {tax}}}"#
        )
    };
    let lines = [
        line("A", 100, 2),
        line("B", 100, 514),
        line("C", 100, 1),
        line("D", 200, 517),
    ];
    let json = format!(
        r#"{{"receiptType": "FiscalInvoice", "receiptCurrency": "USD", "invoiceNo": "1", "receiptLinesTaxInclusive": false,
        "receiptLines": [{}], "receiptPayments": [{{"moneyTypeCode": "Cash", "paymentAmount": 536}}]}}"#,
        lines.join(",")
    );
    let (receipt, _) = issue(&json, &taxpayer);
    let sums: Vec<(String, i64)> = facts::exclusive_sums(&receipt, &taxpayer)
        .into_iter()
        .map(|(label, amount)| (label, amount.get()))
        .collect();
    let wanted = [
        ("Total (excl. tax)", 50_000),
        ("Total 15.5% VAT", 3100),
        ("Total 5% Non-VAT Withholding Tax", 500),
    ];
    assert_eq!(
        sums,
        wanted.map(|(label, amount)| (label.to_owned(), amount))
    );
    assert_eq!(facts::total_label(&receipt), "Invoice total, USD");
}

/// What stands under a POS' own print: who sold, which receipt, what it comes to, and its code.
#[test]
fn fiscal_block_under_another_paper() {
    let block = |json: &str, taxpayer: &Taxpayer| {
        let (receipt, print) = issue(json, taxpayer);
        let proof = Proof {
            verification_code: "1FFFFBC7516CDF86".to_owned(),
            qr_content: "https://example.invalid/1".to_owned(),
        };
        let blocks = fiscal_block(&ReceiptOnPaper {
            receipt: &receipt,
            taxpayer,
            device: device(),
            fiscal_day: Some(day_no()),
            proof: Some(&proof),
            print: &print,
            original: None,
            marks: no_marks(),
        });
        render_text(&blocks, 48)
    };
    let text = block(EXCLUSIVE_CREDIT, &sample_taxpayer());
    let rule = "-".repeat(48);
    let squeezed: Vec<String> = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let wanted = [
        rule.as_str(),
        "CREDIT NOTE",
        "Example Traders (Pvt) Ltd",
        "TIN: 2000000000",
        "VAT No: 220000000",
        &rule,
        "Invoice No: 15/451 Fiscal day No: 45",
        "Customer reference No: CRN0054",
        "Device Serial No: till-2",
        "Device ID: 37367",
        "Date: 06/09/26 12:18",
        "CREDITED INVOICE",
        "Invoice No: 34",
        "Device ID: 35224",
        &rule,
        "Total USD -304.00",
        "VAT % Net.Amt VAT Amount",
        "Exempt -4.00 0.00 -4.00",
        "15.5% -259.74 -40.26 -300.00",
        &rule,
        "[QR code]",
        "Verification code:",
        "1FFF-FBC7-516C-DF86",
        "You can verify this receipt manually at",
        "https://fdmstest.zimra.co.zw",
    ];
    assert_eq!(squeezed, wanted);
    let json = INVOICE.replace("517", "514");
    let without = block(&json, &sample_taxpayer_without_vat());
    assert!(without.contains("Moyo & Sons (Pvt) Ltd"), "{without}");
    assert!(
        !without.contains("VAT No: 2") && !without.contains("Net.Amt"),
        "{without}"
    );
}

/// What POS software reads from the API keeps its names.
#[test]
fn blocks_as_json() {
    let blocks = [
        Block::banner("TEST"),
        Block::row("Bread", "1.20 A"),
        Block::Table {
            head: vec!["VAT %".into(), "Amount".into()],
            rows: vec![vec!["15.5%".into(), "1.20".into()]],
        },
        Block::Rule,
        Block::Qr {
            content: "https://example.invalid/1".into(),
        },
        Block::Blank,
        Block::Cut,
    ];
    let json = serde_json::to_string_pretty(&blocks).expect("blocks are JSON");
    insta::assert_snapshot!("blocks", json);
    let again: Vec<Block> = serde_json::from_str(&json).expect("and back");
    assert_eq!(again, blocks);
}

fn sell_many(seed: u64, count: u32, mut each: impl FnMut(&Receipt, PrintOnly)) {
    let taxpayer = sample_taxpayer();
    let mut random = Random::new(seed);
    let currencies = [Currency::ZWG, Currency::USD];
    for _ in 0..count {
        let options = GenOptions {
            device: None,
            invoice_no: "an-invoice-number-of-fifty-characters-xxxxxxxxxxxx",
            date: date(),
            currencies: &currencies,
            originals: &[],
        };
        let sale = random_sale(&mut random, &taxpayer, &options);
        let (receipt, print) = issue(&sale.json, &taxpayer);
        each(&receipt, print);
    }
}

/// Whatever is sold, no line is wider than the paper, and the total, the code and every name stand on it.
#[test]
fn paper_never_overflows() {
    let taxpayer = sample_taxpayer();
    sell_many(7, 300, |receipt, print| {
        let signature = Signature {
            hash: fiscal::sign::hash("x"),
            bytes: vec![1, 2, 3],
        };
        let proof = Proof::new(&taxpayer.qr_url, device(), receipt, &signature);
        let blocks = receipt48(&ReceiptOnPaper {
            receipt,
            taxpayer: &taxpayer,
            device: device(),
            fiscal_day: Some(day_no()),
            proof: Some(&proof),
            print: &print,
            original: None,
            marks: no_marks(),
        });
        for columns in [16, 24, 32, 42, 48, 64] {
            for block in &blocks {
                for line in render_block(block, columns) {
                    assert!(line.chars().count() <= columns, "{columns}: {line}");
                }
            }
            let text = render_text(&blocks, columns);
            assert!(text.contains(&receipt.total.to_string()), "{text}");
            let squeezed: String = text.split_whitespace().collect();
            let code = fiscal::qr::grouped(&proof.verification_code);
            assert!(squeezed.contains(&code), "{text}");
        }
    });
}

/// X and Z report of a day in two currencies with all types of receipts.
#[test]
fn reports() {
    let taxpayer = sample_taxpayer();
    let mut totals = DayTotals::default();
    sell_many(11, 40, |receipt, _| totals.add_receipt(receipt));
    totals.add_receipt(&issue(EXCLUSIVE_CREDIT, &taxpayer).0);
    let mut day = DayReport {
        taxpayer: &taxpayer,
        device: device(),
        fiscal_day: day_no(),
        opened: jiff::civil::date(2026, 9, 6).at(8, 0, 0, 0),
        closed: None,
        totals: &totals,
        test: false,
    };
    insta::assert_snapshot!("x_report_48", render_text(&report(&day), 48));
    day.closed = Some(jiff::civil::date(2026, 9, 6).at(18, 30, 0, 0));
    day.test = true;
    insta::assert_snapshot!("z_report_32", render_text(&report(&day), 32));
    for figures in figures(&taxpayer, day.opened, &totals) {
        assert_eq!(figures.net + figures.tax, figures.gross);
        assert_eq!(figures.gross, figures.documents.total);
    }
}

/// A day without a sale, and one whose only tax is zero: no tax block.
#[test]
fn empty_reports() {
    let taxpayer = sample_taxpayer();
    let text = |totals: &DayTotals| {
        let day = DayReport {
            taxpayer: &taxpayer,
            device: device(),
            fiscal_day: day_no(),
            opened: date(),
            closed: Some(date()),
            totals,
            test: false,
        };
        render_text(&report(&day), 48)
    };
    let empty = text(&DayTotals::default());
    assert!(empty.contains("Total documents"), "{empty}");
    let mut totals = DayTotals::default();
    let sale = r#"{"receiptType": "FiscalInvoice", "receiptCurrency": "ZWG", "invoiceNo": "1", "receiptLinesTaxInclusive": true,
        "receiptLines": [{"receiptLineType": "Sale", "receiptLineName": "Bread", "receiptLineHSCode": "19059090", "receiptLinePrice": 1234.5, "receiptLineQuantity": 1, "taxID": 2}],
        "receiptPayments": [{"moneyTypeCode": "Cash", "paymentAmount": 1234.5}]}"#;
    totals.add_receipt(&issue(sale, &taxpayer).0);
    let untaxed = text(&totals);
    assert!(!untaxed.contains("Total taxes"), "{untaxed}");
    assert!(untaxed.contains("1,234.50"), "{untaxed}");
    assert_eq!(
        figures(&taxpayer, date(), &totals).first().map(|f| f.gross),
        Some(Cents::new(123_450))
    );
}
