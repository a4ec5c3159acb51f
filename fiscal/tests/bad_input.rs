//! What a POS can get wrong: each bad input is one finding, with the right code, at the right field.

use fiscal::compose::{Known, compose};
use fiscal::draft::Draft;
use fiscal::rules::{Facts, judge};
use fiscal::testing::sample_taxpayer;
use fiscal::{Code, Currency, Finding};

const SALE: &str = r#"{"receiptType": "FiscalInvoice", "receiptCurrency": "USD", "invoiceNo": "T1-7", "receiptLinesTaxInclusive": true,
  "receiptCounter": 1, "receiptGlobalNo": 1, "receiptDate": "2026-09-06T12:18:39", "receiptNotes": "fresh",
  "buyerData": {"buyerRegisterName": "Moyo", "buyerTIN": "1234567890", "vatNumber": "123456789",
    "buyerContacts": {"phoneNo": "0770", "email": "a@b.example"},
    "buyerAddress": {"province": "Harare", "city": "Harare", "street": "First Street", "houseNo": "1A"}},
  "receiptLines": [{"receiptLineType": "Sale", "receiptLineHSCode": "19059090", "receiptLineName": "Bread", "receiptLinePrice": 1.20, "receiptLineQuantity": 2, "taxID": 517}],
  "receiptPayments": [{"moneyTypeCode": "Cash", "paymentAmount": 2.40}],
  "cashier": "Tendai", "tendered": 3, "footerLines": ["Thank you", ""]}"#;

/// Reads, puts together and judges, as the gateway does; stops where something cannot be read.
fn findings(json: &[u8]) -> Vec<Finding> {
    let (draft, findings) = Draft::read(json);
    if !findings.is_empty() {
        return findings;
    }
    let taxpayer = sample_taxpayer();
    let known = Known {
        taxpayer: Some(&taxpayer),
        ..Known::default()
    };
    let (receipt, findings) = compose(&draft, &known);
    if !findings.is_empty() {
        return findings;
    }
    let facts = Facts {
        taxpayer: Some(&taxpayer),
        currencies: Some(&[Currency::USD]),
        ..Facts::default()
    };
    judge(&receipt, &facts)
}

fn assert_only(json: &[u8], code: Code, pointer: &str) {
    let findings = findings(json);
    let found: Vec<_> = findings
        .iter()
        .map(|f| (f.code, f.pointer.as_str()))
        .collect();
    let json = String::from_utf8_lossy(json);
    assert_eq!(found, [(code, pointer)], "{findings:#?}\n{json}");
}

/// One replacement in the good sale, the code and the field of the one finding.
fn assert_each(cases: &[(&str, &str, Code, &str)]) {
    for (old, new, code, pointer) in cases {
        assert!(SALE.contains(old), "{old}");
        assert_only(SALE.replacen(old, new, 1).as_bytes(), *code, pointer);
    }
}

const PRICE: &str = "/receiptLines/0/receiptLinePrice";
const QUANTITY: &str = "/receiptLines/0/receiptLineQuantity";
const NAME: &str = "/receiptLines/0/receiptLineName";
const TAX: &str = "/receiptLines/0/taxID";

/// The sale that every case starts from is good.
#[test]
fn the_good_sale_is_good() {
    assert_eq!(findings(SALE.as_bytes()), []);
}

/// What is no JSON is refused at the place where it breaks off.
#[test]
fn broken_json() {
    let malformed = Code::JsonMalformed;
    assert_only(b"", malformed, "");
    assert_only(b"{", malformed, "");
    assert_only(b"\xFF\xFE", malformed, "");
    assert_only(b"{} {}", malformed, "");
    assert_only(
        br#"{"receiptLines": [{"receiptLineName": "Bre"#,
        malformed,
        "/receiptLines/0/receiptLineName",
    );
    for number in ["NaN", "Infinity", ".5", "5.", "01", "+1", "0x10"] {
        let json = SALE.replacen("1.20", number, 1);
        assert_only(json.as_bytes(), malformed, PRICE);
    }
    let nested = format!("{{\"receiptLines\": {}{}}}", "[".repeat(50), "]".repeat(50));
    assert_eq!(findings(nested.as_bytes())[0].code, malformed);
    // Every truncation of a good sale is refused, none is half understood.
    for end in 0..SALE.len() {
        let findings = findings(&SALE.as_bytes()[..end]);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(findings[0].code, malformed, "{findings:?}");
    }
}

/// Numbers that cannot be read exactly, or mean nothing.
#[test]
fn bad_numbers() {
    assert_each(&[
        ("1.20", "1e400", Code::NumberTooLarge, PRICE),
        ("1.20", "10000000000000", Code::NumberTooLarge, PRICE),
        ("1.20", "1e-7", Code::NumberTooPrecise, PRICE),
        ("1.20", "0.1234567", Code::NumberTooPrecise, PRICE),
        ("1.20", r#""1,20""#, Code::NumberInvalid, PRICE),
        ("1.20", r#""NaN""#, Code::NumberInvalid, PRICE),
        ("1.20", r#"" 1.20""#, Code::NumberInvalid, PRICE),
        ("1.20", r#""""#, Code::NumberInvalid, PRICE),
        ("1.20", r#""$1.20""#, Code::NumberInvalid, PRICE),
        ("1.20", "true", Code::FieldType, PRICE),
        ("1.20", "[1.20]", Code::FieldType, PRICE),
        (
            "2.40",
            "2.401",
            Code::NumberTooPrecise,
            "/receiptPayments/0/paymentAmount",
        ),
        ("517", "517.5", Code::NumberInvalid, TAX),
        ("517", r#""""#, Code::NumberInvalid, TAX),
        ("517", r#""+517""#, Code::NumberInvalid, TAX),
        ("517", "-517", Code::NumberInvalid, TAX),
        ("517", "2147483648", Code::NumberTooLarge, TAX),
        ("517", "99999999999999999999", Code::NumberTooLarge, TAX),
        (
            "517",
            r#"517, "taxPercent": -15.5"#,
            Code::Rcpt025,
            "/receiptLines/0/taxPercent",
        ),
        (
            "517",
            r#"517, "taxPercent": 1000"#,
            Code::NumberTooLarge,
            "/receiptLines/0/taxPercent",
        ),
        (
            "517",
            r#"517, "taxPercent": 15.555"#,
            Code::NumberTooPrecise,
            "/receiptLines/0/taxPercent",
        ),
        (
            "\"tendered\": 3",
            "\"tendered\": \"3,00\"",
            Code::NumberInvalid,
            "/tendered",
        ),
    ]);
    let negative = SALE.replacen(
        "\"receiptLineQuantity\": 2",
        "\"receiptLineQuantity\": -2",
        1,
    );
    let findings = findings(negative.as_bytes());
    assert!(
        findings
            .iter()
            .any(|f| f.code == Code::Rcpt023 && f.pointer == QUANTITY),
        "{findings:#?}"
    );
}

/// Fields that are unknown, doubled, missing or of the wrong kind.
#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn bad_fields() {
    assert_each(&[
        (
            "\"invoiceNo\"",
            "\"invoiceNO\": 1, \"invoiceNo\"",
            Code::FieldUnknown,
            "/invoiceNO",
        ),
        (
            "\"taxID\"",
            "\"a/b~\": 1, \"taxID\"",
            Code::FieldUnknown,
            "/receiptLines/0/a~1b~0",
        ),
        (
            "\"invoiceNo\"",
            "\"invoiceNo\": \"1\", \"invoiceNo\"",
            Code::FieldRepeated,
            "/invoiceNo",
        ),
        ("\"T1-7\"", "17", Code::FieldType, "/invoiceNo"),
        ("\"T1-7\"", "null", Code::FieldMissing, "/invoiceNo"),
        ("\"T1-7\"", "\"\"", Code::TextEmpty, "/invoiceNo"),
        (
            "\"invoiceNo\": \"T1-7\", ",
            "",
            Code::FieldMissing,
            "/invoiceNo",
        ),
        (
            "\"receiptType\": \"FiscalInvoice\", ",
            "",
            Code::FieldMissing,
            "/receiptType",
        ),
        (
            "\"receiptCurrency\": \"USD\", ",
            "",
            Code::FieldMissing,
            "/receiptCurrency",
        ),
        (
            "true",
            "\"yes\"",
            Code::FieldType,
            "/receiptLinesTaxInclusive",
        ),
        (
            "\"receiptLinesTaxInclusive\": true,",
            "",
            Code::FieldMissing,
            "/receiptLinesTaxInclusive",
        ),
        (
            "\"receiptLineName\": \"Bread\", ",
            "",
            Code::FieldMissing,
            NAME,
        ),
        (
            "\"receiptLineQuantity\": 2, ",
            "",
            Code::FieldMissing,
            QUANTITY,
        ),
        (
            "\"receiptLinePrice\": 1.20, ",
            "",
            Code::FieldMissing,
            "/receiptLines/0/receiptLineTotal",
        ),
        (
            "\"receiptLineType\": \"Sale\", ",
            "",
            Code::FieldMissing,
            "/receiptLines/0/receiptLineType",
        ),
        (
            ", \"paymentAmount\": 2.40",
            "",
            Code::FieldMissing,
            "/receiptPayments/0/paymentAmount",
        ),
        (
            "\"houseNo\": \"1A\"",
            "\"district\": \"x\"",
            Code::FieldMissing,
            "/buyerData/buyerAddress/houseNo",
        ),
        (
            "[{\"moneyTypeCode\": \"Cash\", \"paymentAmount\": 2.40}]",
            "{}",
            Code::FieldType,
            "/receiptPayments",
        ),
        (
            "[\"Thank you\", \"\"]",
            "[7]",
            Code::FieldType,
            "/footerLines/0",
        ),
        (
            "\"taxID\": 517",
            "\"receiptLineNo\": 2, \"taxID\": 517",
            Code::OwnedByGateway,
            "/receiptLines/0/receiptLineNo",
        ),
    ]);
    assert_only(b"[]", Code::FieldType, "");
    assert_only(b"7", Code::FieldType, "");
}

/// Words and forms that FDMS does not take.
#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn bad_words() {
    assert_each(&[
        (
            "FiscalInvoice",
            "fiscalInvoice",
            Code::WordUnknown,
            "/receiptType",
        ),
        (
            "FiscalInvoice",
            "Invoice",
            Code::WordUnknown,
            "/receiptType",
        ),
        (
            "\"Sale\"",
            "\"Return\"",
            Code::WordUnknown,
            "/receiptLines/0/receiptLineType",
        ),
        (
            "Cash",
            "EcoCash",
            Code::WordUnknown,
            "/receiptPayments/0/moneyTypeCode",
        ),
        ("USD", "US$", Code::Rcpt010, "/receiptCurrency"),
        ("USD", "BWP", Code::Rcpt010, "/receiptCurrency"),
        (
            "1234567890",
            "123456789",
            Code::FormatInvalid,
            "/buyerData/buyerTIN",
        ),
        (
            "1234567890",
            "12345678x0",
            Code::FormatInvalid,
            "/buyerData/buyerTIN",
        ),
        (
            "\"123456789\"",
            "\"12345678\"",
            Code::FormatInvalid,
            "/buyerData/vatNumber",
        ),
        (
            "a@b.example",
            "a.b.example",
            Code::FormatInvalid,
            "/buyerData/buyerContacts/email",
        ),
        (
            "a@b.example",
            "a@b..example",
            Code::FormatInvalid,
            "/buyerData/buyerContacts/email",
        ),
        (
            "2026-09-06T12:18:39",
            "2026-09-06",
            Code::FormatInvalid,
            "/receiptDate",
        ),
        (
            "2026-09-06T12:18:39",
            "2026-02-30T12:18:39",
            Code::FormatInvalid,
            "/receiptDate",
        ),
        (
            "2026-09-06T12:18:39",
            "2026-09-06T12:18:39Z",
            Code::FormatInvalid,
            "/receiptDate",
        ),
        (
            "2026-09-06T12:18:39",
            "2026-09-06T12:18:39.5",
            Code::FormatInvalid,
            "/receiptDate",
        ),
        (
            "2026-09-06T12:18:39",
            "2026-09-06 12:18:39",
            Code::FormatInvalid,
            "/receiptDate",
        ),
        (
            "a@b.example",
            "a@example",
            Code::FormatInvalid,
            "/buyerData/buyerContacts/email",
        ),
        (
            "a@b.example",
            "a,b@c.example",
            Code::FormatInvalid,
            "/buyerData/buyerContacts/email",
        ),
        (
            "19059090",
            "1905.909",
            Code::Rcpt048,
            "/receiptLines/0/receiptLineHSCode",
        ),
        (
            "19059090",
            "190590",
            Code::Rcpt048,
            "/receiptLines/0/receiptLineHSCode",
        ),
    ]);
}

/// Texts that are too long or cannot stand on paper.
#[test]
fn bad_texts() {
    let long = |letters: usize| format!("\"{}\"", "x".repeat(letters));
    let cases: &[(&str, usize, &str)] = &[
        ("\"fresh\"", 500, "/receiptNotes"),
        ("\"T1-7\"", 50, "/invoiceNo"),
        ("\"Bread\"", 200, NAME),
        ("\"Moyo\"", 250, "/buyerData/buyerRegisterName"),
        ("\"Tendai\"", 100, "/cashier"),
        ("\"0770\"", 20, "/buyerData/buyerContacts/phoneNo"),
        ("\"First Street\"", 100, "/buyerData/buyerAddress/street"),
    ];
    for (old, most, pointer) in cases {
        let just = SALE.replacen(old, &long(*most), 1);
        assert_eq!(findings(just.as_bytes()), []);
        let over = SALE.replacen(old, &long(most + 1), 1);
        assert_only(over.as_bytes(), Code::TextTooLong, pointer);
    }
    let bad = [
        "a🍞",
        "☕",
        "שלום",
        "خبز",
        "a\u{202E}b",
        "a\u{200D}b",
        "\\u0000",
        "a\\u0000b",
        "a\\tb",
        "a\\nb",
        "\u{FEFF}a",
        "a\u{AD}b",
        "\u{2060}a",
    ];
    for text in bad {
        for (old, pointer) in [
            ("Bread", NAME),
            ("fresh", "/receiptNotes"),
            ("Thank you", "/footerLines/0"),
        ] {
            let json = SALE.replacen(old, text, 1);
            assert_only(json.as_bytes(), Code::TextNotPrintable, pointer);
        }
    }
}

/// Taxes that nobody has configured, named wrongly or not at all.
#[test]
fn bad_taxes() {
    assert_each(&[
        ("\"taxID\": 517", "\"taxID\": 999", Code::Rcpt025, TAX),
        ("\"taxID\": 517", "\"taxID\": 515", Code::Rcpt025, TAX),
        (
            "\"taxID\": 517",
            "\"taxID\": 517, \"taxPercent\": 15",
            Code::Rcpt025,
            TAX,
        ),
        (
            "\"taxID\": 517",
            "\"taxPercent\": 14.5",
            Code::Rcpt025,
            "/receiptLines/0/taxPercent",
        ),
        (
            "\"taxID\": 517",
            "\"tax\": \"vat\"",
            Code::TaxUnknown,
            "/receiptLines/0/tax",
        ),
        (", \"taxID\": 517", "", Code::TaxUnknown, TAX),
        (
            "\"taxID\": 517",
            "\"taxID\": 517, \"taxCode\": \"\"",
            Code::Rcpt025,
            "/receiptLines/0/taxCode",
        ),
        (
            "\"taxID\": 517",
            "\"taxID\": 517, \"taxCode\": \"ABCD\"",
            Code::TextTooLong,
            "/receiptLines/0/taxCode",
        ),
    ]);
}

/// More rows than a receipt may have.
#[test]
fn too_many_rows() {
    let start = SALE.find("[{\"receiptLineType").expect("lines");
    let end = SALE.find(",\n  \"receiptPayments").expect("their end");
    let line = &SALE[start + 1..end - 1];
    let sale = |count| {
        let lines = vec![line; count].join(",");
        format!("{}[{lines}]{}", &SALE[..start], &SALE[end..])
    };
    assert_eq!(Draft::read(sale(1000).as_bytes()).1, []);
    assert_only(sale(1001).as_bytes(), Code::TooMany, "/receiptLines");
    let payment = r#"{"moneyTypeCode": "Cash", "paymentAmount": 2.40}"#;
    let paid = |count| SALE.replacen(payment, &vec![payment; count].join(","), 1);
    assert_eq!(Draft::read(paid(100).as_bytes()).1, []);
    assert_only(paid(101).as_bytes(), Code::TooMany, "/receiptPayments");
    let footer = |count| SALE.replacen("\"Thank you\", \"\"", &vec!["\"\""; count].join(","), 1);
    assert_eq!(findings(footer(20).as_bytes()), []);
    assert_only(footer(21).as_bytes(), Code::TooMany, "/footerLines");
}

/// What was sent is shown in the message, cut and without control characters.
#[test]
fn messages_show_what_was_sent() {
    let long = "x".repeat(40);
    for (old, new, message) in [
        ("\"T1-7\"", "17", "is a number; a string is needed".to_owned()),
        ("1.20", "[]", "is an array; a number is needed".to_owned()),
        ("1.20", "\"1,20\"", "1,20 is not a number; write digits with a point, like 12.50".to_owned()),
        ("1.20", "1e-7", "1e-7 has more than 6 digits after the point".to_owned()),
        ("Cash", "a\\tb", "is \"a\u{FFFD}b\"; one of Cash, Card, MobileWallet, Coupon, Credit, BankTransfer, Other is needed".to_owned()),
        ("USD", &long, format!("\"{long}\" is not the three letters of a currency")),
        ("USD", &format!("{long}y"), format!("\"{long}…\" is not the three letters of a currency")),
        ("fresh", "tab\\t", "holds the control character U+0009 at character 4".to_owned()),
    ] {
        let found = findings(SALE.replacen(old, new, 1).as_bytes());
        let messages: Vec<&str> = found.iter().map(|f| f.message.as_str()).collect();
        assert_eq!(messages, [message]);
    }
    let all = format!(
        "{{{}}}",
        (0..150)
            .map(|no| format!("\"x{no}\": 1"))
            .collect::<Vec<_>>()
            .join(",")
    );
    assert_eq!(Draft::read(all.as_bytes()).1.len(), 100);
}

/// An e-mail address may hold what the standard lets it.
#[test]
fn email_addresses() {
    for email in [
        "a@b.example",
        "a.b+c_d@e-f.co.zw",
        "A1!#$%&'*=?^`{|}~@b.example",
    ] {
        let json = SALE.replacen("a@b.example", email, 1);
        let (draft, findings) = Draft::read(json.as_bytes());
        assert_eq!(findings, []);
        let contacts = draft.buyer_data.and_then(|buyer| buyer.buyer_contacts);
        assert_eq!(
            contacts.and_then(|contacts| contacts.email).as_deref(),
            Some(email)
        );
    }
}

/// Everything that is wrong is told at once.
#[test]
fn all_faults_at_once() {
    let json = SALE
        .replacen("1.20", "\"1,20\"", 1)
        .replacen("FiscalInvoice", "Invoice", 1)
        .replacen("fresh", "a\u{202E}b", 1);
    let pointers: Vec<String> = findings(json.as_bytes())
        .into_iter()
        .map(|f| f.pointer)
        .collect();
    assert_eq!(pointers, ["/receiptType", "/receiptNotes", PRICE]);
}

/// A buyer's name is cut to what FDMS holds, and never to blanks, which FDMS takes for no name (RCPT043).
#[test]
fn long_names_are_cut() {
    for (sent, kept) in [
        (format!("{}Moyo", " ".repeat(240)), "Moyo".to_owned()),
        ("M".repeat(250), "M".repeat(200)),
    ] {
        let json = SALE.replacen("\"Moyo\"", &format!("{sent:?}"), 1);
        let (draft, findings) = Draft::read(json.as_bytes());
        assert_eq!(findings, []);
        let buyer = draft.buyer_data.expect("a buyer");
        assert_eq!(buyer.buyer_register_name, Some(kept));
    }
}
