//! Bad input: each a clear 4xx with code and field; nothing numbered, nothing lost.

use fiscald::api::schema;

use crate::support::api::{Shop, post, sale, sale_with};

const LINE: &str = "/receiptLines/0";

/// What is sent, and what it must be answered with: status, code, pointer.
fn table() -> Vec<(&'static str, String, u16, &'static str, String)> {
    let change = |from: &str, to: &str| sale("T1-1").replace(from, to);
    let notes = |text: &str| sale_with("T1-1", &format!(r#", "receiptNotes": "{text}""#));
    let price = format!("{LINE}/receiptLinePrice");
    let quantity = format!("{LINE}/receiptLineQuantity");
    let name = format!("{LINE}/receiptLineName");
    let at = |pointer: &str| pointer.to_owned();
    let whole = sale("T1-1");
    vec![
        (
            "truncated",
            whole[..whole.len() / 2].to_owned(),
            400,
            "json_malformed",
            at("/receiptLines/0/receiptLineName"),
        ),
        ("empty", String::new(), 400, "json_malformed", at("")),
        (
            "NaN",
            change("1.20", "NaN"),
            400,
            "json_malformed",
            price.clone(),
        ),
        (
            "comma in a number",
            change("1.20", "1,20"),
            400,
            "json_malformed",
            price.clone(),
        ),
        (
            "comma in a string",
            change("1.20", "\"1,20\""),
            422,
            "number_invalid",
            price.clone(),
        ),
        (
            "1e400",
            change("1.20", "1e400"),
            422,
            "number_too_large",
            price.clone(),
        ),
        (
            "seven decimals",
            change("1.20", "1.2000001"),
            422,
            "number_too_precise",
            price.clone(),
        ),
        (
            "negative quantity",
            change("\"receiptLineQuantity\": 2", "\"receiptLineQuantity\": -2"),
            422,
            "RCPT023",
            quantity,
        ),
        (
            "unknown field",
            sale_with("T1-1", r#", "discount": 1"#),
            422,
            "field_unknown",
            at("/discount"),
        ),
        (
            "field twice",
            sale_with("T1-1", r#", "receiptCurrency": "ZWG""#),
            422,
            "field_repeated",
            at("/receiptCurrency"),
        ),
        (
            "wrong type",
            change("true", "\"yes\""),
            422,
            "field_type",
            at("/receiptLinesTaxInclusive"),
        ),
        (
            "unknown tax",
            change("517", "999"),
            422,
            "RCPT025",
            format!("{LINE}/taxID"),
        ),
        (
            "tax of the past",
            change("517", "515"),
            422,
            "RCPT025",
            format!("{LINE}/taxID"),
        ),
        (
            "wrong currency",
            change("USD", "JPY"),
            422,
            "RCPT010",
            at("/receiptCurrency"),
        ),
        (
            "no currency",
            change("USD", "dollars"),
            422,
            "RCPT010",
            at("/receiptCurrency"),
        ),
        (
            "unknown word",
            change("FiscalInvoice", "Invoice"),
            422,
            "word_unknown",
            at("/receiptType"),
        ),
        (
            "501 characters",
            notes(&"x".repeat(501)),
            422,
            "text_too_long",
            at("/receiptNotes"),
        ),
        (
            "emoji",
            change("Bread", "Bread 🍞"),
            422,
            "text_not_printable",
            name.clone(),
        ),
        (
            "right to left",
            change("Bread", "لحم"),
            422,
            "text_not_printable",
            name.clone(),
        ),
        (
            "a mark that turns text",
            change("Bread", "a\u{202e}b"),
            422,
            "text_not_printable",
            name.clone(),
        ),
        (
            "NUL",
            change("Bread", "a\\u0000b"),
            422,
            "text_not_printable",
            name,
        ),
        (
            "a raw NUL",
            change("Bread", "a\0b"),
            400,
            "json_malformed",
            at("/receiptLines/0/receiptLineName"),
        ),
        (
            "wrong total",
            sale_with("T1-1", r#", "receiptTotal": 2.41"#),
            422,
            "RCPT019",
            at("/receiptTotal"),
        ),
        (
            "wrong payment",
            change("\"paymentAmount\": 2.40", "\"paymentAmount\": 2.41"),
            422,
            "RCPT039",
            at("/receiptPayments"),
        ),
        (
            "no lines",
            change(&whole_lines(), "[]"),
            422,
            "RCPT016",
            at("/receiptLines"),
        ),
        (
            "no HS code",
            change(r#""receiptLineHSCode": "19059090","#, ""),
            422,
            "RCPT047",
            format!("{LINE}/receiptLineHSCode"),
        ),
        (
            "own number",
            sale_with("T1-1", r#", "receiptGlobalNo": 9"#),
            422,
            "owned_by_gateway",
            at("/receiptGlobalNo"),
        ),
        ("an array", "[]".to_owned(), 422, "field_type", at("")),
        (
            "not UTF-8",
            "\u{1}".to_owned(),
            400,
            "json_malformed",
            at(""),
        ),
        (
            "too deep",
            format!("{}{}", "[".repeat(100), "]".repeat(100)),
            400,
            "json_malformed",
            at(""),
        ),
    ]
}

fn whole_lines() -> String {
    let whole = sale("T1-1");
    let begin = whole.find("[{\"receiptLineType").unwrap();
    let end = whole.find("}],").unwrap();
    whole[begin..end + 2].to_owned()
}

/// Every kind of bad input has its own status, code and field; the next good sale has the next number.
#[tokio::test]
async fn each_is_refused_clearly() {
    let shop = Shop::open().await;
    shop.sell("T1-0").await;
    for (what, body, status, code, pointer) in table() {
        let answer = shop.ask(&post("/v1/receipts", body.clone())).await;
        let problem: schema::Problem = answer.read(status);
        let got = (problem.code.as_str(), problem.pointer.as_deref());
        assert_eq!(
            got,
            (code, Some(pointer.as_str())),
            "{what}: {}",
            problem.detail
        );
        assert!(
            !problem.detail.is_empty() && problem.action.ends_with('.'),
            "{what}"
        );
        let findings = problem.findings.unwrap();
        assert_eq!(findings[0].code, code, "{what}");
        let preview = shop.ask(&post("/v1/receipts/preview", body)).await;
        assert_eq!(preview.status, status, "{what} in a preview");
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
