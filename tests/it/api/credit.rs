//! Credit notes by reference, and what is left.

use fiscald::api::schema;

use crate::support::api::{Shop, get, post, sale};

/// Two lines, one of them two pieces, two taxes, a discount, tax-exclusive or not; 10 and 2 cents.
fn basket(invoice_no: &str, inclusive: bool) -> String {
    let payments = if inclusive { "12.34" } else { "13.89" };
    format!(
        r#"{{"receiptType": "FiscalInvoice", "receiptCurrency": "USD", "invoiceNo": "{invoice_no}",
        "receiptLinesTaxInclusive": {inclusive},
        "buyerData": {{"buyerRegisterName": "Buyer Ltd", "buyerTIN": "2000000001"}},
        "receiptLines": [
          {{"receiptLineType": "Sale", "receiptLineName": "Shirt", "receiptLineHSCode": "61091000",
            "receiptLinePrice": 5.50, "receiptLineQuantity": 2, "taxID": 517}},
          {{"receiptLineType": "Discount", "receiptLineName": "Shirt", "receiptLineHSCode": "61091000",
            "receiptLinePrice": -1.00, "receiptLineQuantity": 1, "taxID": 517}},
          {{"receiptLineType": "Sale", "receiptLineName": "Book", "receiptLineHSCode": "49019900",
            "receiptLineTotal": 2.34, "receiptLineQuantity": 1, "taxID": 1}}],
        "receiptPayments": [{{"moneyTypeCode": "Card", "paymentAmount": {payments}}}]}}"#
    )
}

fn credit(number: u32, body: &str) -> crate::support::api::Ask {
    post(format!("/v1/receipts/{number}/credit"), body)
}

async fn left(shop: &Shop, number: u32) -> schema::Creditable {
    let path = format!("/v1/receipts/{number}/creditable");
    shop.ask(&get(path)).await.read(200)
}

/// All of a receipt, tax-inclusive or -exclusive, is taken back line by line, once.
#[tokio::test]
async fn the_whole_receipt() {
    let shop = Shop::open().await;
    for (number, inclusive) in [(1, true), (3, false)] {
        let sold = shop
            .ask(&post(
                "/v1/receipts",
                basket(&format!("T1-{number}"), inclusive),
            ))
            .await
            .receipt(201);
        assert_eq!(sold.receipt_global_no, number);
        let total = sold.receipt_total.as_str().to_owned();
        assert_eq!(left(&shop, number).await.remaining, total.as_str());
        let body = format!(r#"{{"invoiceNo": "C{number}", "receiptNotes": "returned"}}"#);
        let answer = shop.ask(&credit(number, &body)).await;
        let note = answer.receipt(201);
        assert_eq!(note.receipt_type, "CreditNote");
        assert_eq!(note.receipt_total, format!("-{total}").as_str());
        assert_eq!(note.receipt_lines_tax_inclusive, inclusive);
        assert_eq!(note.receipt_lines.len(), 3);
        assert_eq!(note.receipt_payments[0].money_type_code, "Card");
        assert_eq!(note.original_judged, Some(true));
        let original = note.credit_debit_note.unwrap();
        assert_eq!(original.receipt_global_no, Some(number));
        let buyer = note.buyer_data.unwrap();
        assert_eq!(buyer.buyer_register_name.as_deref(), Some("Buyer Ltd"));
        assert!(note.print.text.contains("CREDITED INVOICE"));
        assert_eq!(left(&shop, number).await.remaining, "0.00");
        // The same request gives the same note, another one finds nothing left.
        let again = shop.ask(&credit(number, &body)).await;
        assert_eq!(again.status, 200);
        assert_eq!(again.text(), answer.text());
        let more = format!(r#"{{"invoiceNo": "D{number}", "receiptNotes": "again"}}"#);
        shop.ask(&credit(number, &more))
            .await
            .problem(409, "nothing_left");
    }
}

/// Some lines, part of a line, then all that is left, to the cent; each repeated with the same result.
#[tokio::test]
async fn lines_and_the_rest() {
    let shop = Shop::open().await;
    for (number, inclusive, rest) in [(1, true, "-6.84"), (4, false, "-7.54")] {
        let body = basket(&format!("T1-{number}"), inclusive);
        shop.ask(&post("/v1/receipts", body)).await.receipt(201);
        let first = format!(
            r#"{{"invoiceNo": "C{number}", "receiptNotes": "one shirt", "cashier": "Rudo",
                "lines": [{{"receiptLineNo": 1, "quantity": "1"}}]}}"#
        );
        let answer = shop.ask(&credit(number, &first)).await;
        let note = answer.receipt(201);
        let total = if inclusive { "-5.50" } else { "-6.35" };
        assert_eq!(note.receipt_total, total);
        assert_eq!(note.receipt_lines[0].receipt_line_quantity, "1");
        let all = format!(r#"{{"invoiceNo": "D{number}", "receiptNotes": "the rest"}}"#);
        let last = shop.ask(&credit(number, &all)).await;
        let note = last.receipt(201);
        assert_eq!(note.receipt_total, rest);
        assert_eq!(note.receipt_taxes.len(), 2);
        let left = left(&shop, number).await;
        assert_eq!(left.remaining, "0.00");
        assert_eq!(left.notes.len(), 2);
        for (body, before) in [(&first, &answer), (&all, &last)] {
            let again = shop.ask(&credit(number, body)).await;
            assert_eq!((again.status, again.text()), (200, before.text()));
        }
        // The key of one note is no key for another.
        let other = first.replace("one shirt", "another shirt");
        shop.ask(&credit(number, &other))
            .await
            .problem(409, "key_conflict");
    }
}

/// The lines asked for, and the code and pointer of the answer.
#[rustfmt::skip]
const WRONG_LINES: &[(&str, &str, &str)] = &[
    (r#"[{"receiptLineNo": 9}]"#, "word_unknown", "/lines/0/receiptLineNo"),
    (r#"[{"receiptLineNo": "one"}]"#, "number_invalid", "/lines/0/receiptLineNo"),
    (r#"[{"receiptLineNo": 1, "quantity": 3}]"#, "RCPT035", "/lines/0/quantity"),
    (r#"[{"receiptLineNo": 1, "quantity": 0}]"#, "RCPT023", "/lines/0/quantity"),
    (r#"[{"receiptLineNo": 1, "quantity": "1,5"}]"#, "number_invalid", "/lines/0/quantity"),
    (r#"[{"receiptLineNo": 3, "quantity": 0.5}]"#, "field_missing", "/lines/0/quantity"),
    (r#"[{"receiptLineNo": 1}, {"receiptLineNo": 1}]"#, "field_repeated", "/lines/1/receiptLineNo"),
    (r#"[{"quantity": 1}]"#, "field_missing", "/lines/0/receiptLineNo"),
    (r#"[{"receiptLineNo": 1, "price": 1}]"#, "field_unknown", "/lines/0/price"),
    (r#"[1]"#, "field_type", "/lines/0"),
    ("[]", "RCPT016", "/lines"),
    ("{}", "field_type", "/lines"),
];

/// Whole requests, and the code and pointer of the answer.
#[rustfmt::skip]
const WRONG_NOTES: &[(&str, &str, &str)] = &[
    (r#"{"invoiceNo": "C1"}"#, "RCPT034", "/receiptNotes"),
    (r#"{"receiptNotes": "x"}"#, "field_missing", "/invoiceNo"),
    (r#"{"invoiceNo": "C1", "receiptNotes": "x", "receiptTotal": -1}"#, "field_unknown", "/receiptTotal"),
    (r#"{"invoiceNo": "C1", "receiptNotes": "x", "lines": null, "lines": null}"#, "field_repeated", "/lines"),
    ("[]", "field_type", ""),
];

/// What cannot be credited is refused with the place in the request; nothing is numbered.
#[tokio::test]
async fn what_cannot_be_credited() {
    let shop = Shop::open().await;
    let body = basket("T1-1", true);
    shop.ask(&post("/v1/receipts", body)).await.receipt(201);
    let with_lines = |lines: &str| {
        format!(r#"{{"invoiceNo": "C1", "receiptNotes": "returned", "lines": {lines}}}"#)
    };
    let lines = WRONG_LINES.iter();
    let lines = lines.map(|(lines, code, at)| (with_lines(lines), *code, *at));
    let notes = WRONG_NOTES.iter();
    let notes = notes.map(|(body, code, at)| ((*body).to_owned(), *code, *at));
    for (body, code, pointer) in lines.chain(notes) {
        let answer = shop.ask(&credit(1, &body)).await;
        let problem = answer.problem(422, code);
        assert_eq!(problem.pointer.as_deref(), Some(pointer), "{body}");
    }
    let taken = with_lines("null").replace("C1", "T1-1");
    let answer = shop.ask(&credit(1, &taken)).await;
    answer.problem(409, "key_conflict");
    let answer = shop.ask(&credit(1, "{")).await;
    answer.problem(400, "json_malformed");
    let good = r#"{"invoiceNo": "C1", "receiptNotes": "returned"}"#;
    let answer = shop.ask(&credit(2, good)).await;
    answer.problem(404, "receipt_unknown");
    let answer = shop.ask(&credit(1, good).token("two")).await;
    answer.problem(404, "receipt_unknown");
    assert_eq!(shop.last_number().await, 1);
    shop.ask(&credit(1, good)).await.receipt(201);
}

/// A note on an original that is elsewhere says that it could not be judged.
#[tokio::test]
async fn originals_elsewhere() {
    let shop = Shop::open().await;
    let note = sale("C1")
        .replace("FiscalInvoice", "DebitNote")
        .replace(
            "\"receiptPayments\"",
            r#""receiptNotes": "more", "creditDebitNote": {"deviceID": 7, "receiptGlobalNo": 8, "fiscalDayNo": 9},
               "receiptPayments""#,
        );
    let ask = post("/v1/receipts", note.clone());
    shop.ask(&ask).await.problem(422, "RCPT032");
    let elsewhere = note.replacen('{', r#"{"originalElsewhere": true, "#, 1);
    let receipt = shop
        .ask(&post("/v1/receipts", elsewhere))
        .await
        .receipt(201);
    assert_eq!(receipt.original_judged, Some(false));
}

/// A note on a receipt whose tax is no longer configured is read back as it was printed.
#[tokio::test]
async fn taxes_of_the_past() {
    let shop = Shop::open().await;
    let till = shop.tills[0];
    let sample = fiscald::testing::sample_config("till-101");
    let named = sample.replace("\"Exempt\"", "\"Exempt by law\"");
    let exempt = r#"{"taxID":1,"taxName":"Exempt by law","validFrom":"2023-01-01T00:00:00"},"#;
    let without = named.replace(exempt, "");
    assert_ne!(without, named);
    let store = async |config: String| {
        let stored = shop
            .ledger
            .write(move |core| core.store_config(till, &config));
        assert!(stored.await.unwrap());
    };
    store(named).await;
    let body = basket("T1-1", true);
    shop.ask(&post("/v1/receipts", body)).await.receipt(201);
    store(without).await;
    let body = r#"{"invoiceNo": "C1", "receiptNotes": "returned"}"#;
    let note = shop.ask(&credit(1, body)).await;
    assert!(note.receipt(201).print.text.contains("Exempt by law"));
    let again = shop.ask(&credit(1, body)).await;
    assert_eq!((again.status, again.text()), (200, note.text()));
}
