//! Bad input: each a clear 4xx with code and field; nothing numbered, nothing lost.

use fiscald::api::schema;

use crate::support::api::{Shop, post, sale, sale_with};

/// The end of a sale, where more members can be put in.
const END: &str = "}]}";
const PRICE: &str = "/receiptLines/0/receiptLinePrice";
const NAME: &str = "/receiptLines/0/receiptLineName";
const NOTES: &str = "/receiptNotes";

/// What is changed in a good sale, into what, and the status, code and pointer of the answer.
type Case = (&'static str, &'static str, u16, &'static str, &'static str);

/// No JSON, or none that a sale can be read from.
#[rustfmt::skip]
const UNREADABLE: &[Case] = &[
    ("1.20", "NaN", 400, "json_malformed", PRICE),
    ("1.20", "1,20", 400, "json_malformed", PRICE),
    ("1.20", "\"1,20\"", 422, "number_invalid", PRICE),
    ("1.20", "1e400", 422, "number_too_large", PRICE),
    ("1.20", "1.2000001", 422, "number_too_precise", PRICE),
    ("1.20", "[]", 422, "field_type", PRICE),
    ("true", "\"yes\"", 422, "field_type", "/receiptLinesTaxInclusive"),
    (END, r#"}], "discount": 1}"#, 422, "field_unknown", "/discount"),
    (END, r#"}], "receiptCurrency": "ZWG"}"#, 422, "field_repeated", "/receiptCurrency"),
    ("FiscalInvoice", "Invoice", 422, "word_unknown", "/receiptType"),
    ("Bread", "Bread 🍞", 422, "text_not_printable", NAME),
    ("Bread", "لحم", 422, "text_not_printable", NAME),
    ("Bread", "a\u{202e}b", 422, "text_not_printable", NAME),
    ("Bread", "a\\u0000b", 422, "text_not_printable", NAME),
    ("Bread", "a\0b", 400, "json_malformed", NAME),
    ("T1-1", "", 422, "text_empty", "/invoiceNo"),
    (END, r#"}], "receiptDate": "yesterday"}"#, 422, "format_invalid", "/receiptDate"),
];

/// Sales that break rules.
#[rustfmt::skip]
const WRONG: &[Case] = &[
    ("Quantity\": 2", "Quantity\": -2", 422, "RCPT023", "/receiptLines/0/receiptLineQuantity"),
    ("1.20", "-1.20", 422, "RCPT022", PRICE),
    ("517", "999", 422, "RCPT025", "/receiptLines/0/taxID"),
    ("517", "515", 422, "RCPT025", "/receiptLines/0/taxID"),
    ("\"taxID\": 517", "\"tax\": \"vat\"", 422, "tax_unknown", "/receiptLines/0/tax"),
    ("USD", "JPY", 422, "RCPT010", "/receiptCurrency"),
    ("USD", "dollars", 422, "RCPT010", "/receiptCurrency"),
    ("19059090", "190", 422, "RCPT048", "/receiptLines/0/receiptLineHSCode"),
    ("\"receiptLineHSCode\": \"19059090\",", "", 422, "RCPT047", "/receiptLines/0/receiptLineHSCode"),
    ("\"paymentAmount\": 2.40", "\"paymentAmount\": 2.41", 422, "RCPT039", "/receiptPayments"),
    (END, r#"}], "receiptTotal": 2.41}"#, 422, "RCPT019", "/receiptTotal"),
    (END, r#"}], "receiptGlobalNo": 9}"#, 422, "owned_by_gateway", "/receiptGlobalNo"),
    (END, r#"}], "receiptDeviceSignature": {}}"#, 422, "owned_by_gateway", "/receiptDeviceSignature"),
    ("\"USD\"", "null", 422, "field_missing", "/receiptCurrency"),
    ("FiscalInvoice", "CreditNote", 422, "RCPT022", PRICE),
];

/// Everything that is sent: what, status, code, pointer.
fn table() -> Vec<(String, u16, &'static str, &'static str)> {
    let good = sale("T1-1");
    let mut all = vec![
        (
            good[..good.len() / 2].to_owned(),
            400,
            "json_malformed",
            NAME,
        ),
        (String::new(), 400, "json_malformed", ""),
        ("[]".to_owned(), 422, "field_type", ""),
        (
            format!("{}{}", "[".repeat(100), "]".repeat(100)),
            400,
            "json_malformed",
            "",
        ),
        (without_lines(), 422, "RCPT016", "/receiptLines"),
    ];
    let notes = |length: usize| {
        let notes = "x".repeat(length);
        good.replace(END, &format!(r#"}}], "receiptNotes": "{notes}"}}"#))
    };
    all.push((notes(501), 422, "text_too_long", NOTES));
    for (from, to, status, code, pointer) in UNREADABLE.iter().chain(WRONG) {
        let body = good.replace(from, to);
        assert_ne!(body, good, "{from}");
        all.push((body, *status, code, pointer));
    }
    all
}

fn without_lines() -> String {
    let good = sale("T1-1");
    let begin = good.find("[{\"receiptLineType").unwrap();
    let end = good.find("}],").unwrap();
    format!("{}[]{}", &good[..begin], &good[end + 2..])
}

/// Every kind of bad input has its own status, code and field; the next good sale has the next number.
#[tokio::test]
async fn each_is_refused_clearly() {
    let shop = Shop::open().await;
    shop.sell("T1-0").await;
    for (body, status, code, pointer) in table() {
        let answer = shop.ask(&post("/v1/receipts", body.clone())).await;
        let problem: schema::Problem = answer.read(status);
        let got = (problem.code.as_str(), problem.pointer.as_deref());
        assert_eq!(got, (code, Some(pointer)), "{}: {body}", problem.detail);
        assert!(
            !problem.detail.is_empty() && problem.action.ends_with('.'),
            "{code}"
        );
        let findings = problem.findings.unwrap();
        assert_eq!(findings[0].code, code, "{code}");
        let preview = shop.ask(&post("/v1/receipts/preview", body)).await;
        assert_eq!(preview.status, status, "in a preview: {code}");
    }
    assert_eq!(shop.last_number().await, 1);
    let receipt = shop.sell("T1-1").await;
    assert_eq!((receipt.receipt_global_no, receipt.receipt_counter), (2, 2));
}

/// Bytes that are no text at all are refused with the place at which they stop being text.
#[tokio::test]
async fn bytes_that_are_no_text() {
    let shop = Shop::open().await;
    let mut body = sale("T1-1").into_bytes();
    let place = body.windows(5).position(|part| part == b"Bread").unwrap();
    body[place] = 0xff;
    let answer = shop.ask(&post("/v1/receipts", body)).await;
    let problem = answer.problem(400, "json_malformed");
    assert_eq!(
        problem.pointer.as_deref(),
        Some("/receiptLines/0/receiptLineName")
    );
    assert_eq!(shop.last_number().await, 0);
}

/// All faults of a sale are told at once.
#[tokio::test]
async fn all_faults_at_once() {
    let shop = Shop::open().await;
    let body = sale_with("T1-1", r#", "x": 1"#)
        .replace("USD", "dollars")
        .replace("1.20", "\"1,20\"");
    let problem = shop
        .ask(&post("/v1/receipts", body))
        .await
        .problem(422, "field_unknown");
    let codes: Vec<String> = problem
        .findings
        .unwrap()
        .into_iter()
        .map(|finding| finding.code)
        .collect();
    assert_eq!(codes, ["field_unknown", "RCPT010", "number_invalid"]);
}

/// Only JSON that is declared as such is read.
#[tokio::test]
async fn only_json_is_read() {
    let shop = Shop::open().await;
    let good = post("/v1/receipts", sale("T1-1"));
    for wrong in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "",
    ] {
        let ask = good.clone().header("content-type", wrong);
        shop.ask(&ask).await.problem(415, "content_type");
    }
    let ask = good.clone().without("content-type");
    shop.ask(&ask).await.problem(415, "content_type");
    let ask = good.clone().header("content-encoding", "gzip");
    shop.ask(&ask).await.problem(415, "content_type");
    let ask = good.header("content-type", "Application/JSON; charset=utf-8");
    shop.ask(&ask).await.receipt(201);
}
