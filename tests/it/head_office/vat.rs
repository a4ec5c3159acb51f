//! The VAT return of head office, from sales, credit notes and debit notes that a POS has made.

use serde_json::{Value, json};

use super::shop::{Receipts, agree};
use super::story::{TILL, enable, joined};
use super::world::World;
use crate::support::api::sale;

/// A cent amount of the return.
fn cents(row: &Value, name: &str) -> i64 {
    let text = row[name].as_str().unwrap();
    fiscal::Cents::parse(text).unwrap().get()
}

/// Totals and tax of tax 517 over all receipts as FDMS was sent them, added up by themselves.
fn summed(receipts: &Receipts) -> (i64, i64) {
    let (mut total, mut tax) = (0, 0);
    for body in receipts.values() {
        let body: Value = serde_json::from_str(body).unwrap();
        for part in body["receipt"]["receiptTaxes"].as_array().unwrap() {
            let read = |name: &str| fiscal::Cents::parse(&part[name].to_string()).unwrap().get();
            if part["taxID"] == 517 {
                total += read("salesAmountWithTax");
                tax += read("taxAmount");
            }
        }
    }
    (total, tax)
}

/// Notes count with their signs, in columns of their own, and all of it agrees with the Z report, to the cent: FDMS takes
/// its counters, and so does head office.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notes_are_in_the_vat_return() {
    let world = World::new().await;
    let admin = world.admin().await;
    let (mut shop, _) = joined(&world, &admin).await;
    enable(&world, &admin, &shop).await;
    shop.sell_many(TILL.1, "sale-", 3).await;
    let sold = shop.sell(TILL.1, "credited").await;
    let path = format!("/v1/receipts/{}/credit", sold.receipt_global_no);
    let one = json!({ "invoiceNo": "note", "receiptNotes": "one came back",
        "lines": [{ "receiptLineNo": 1, "quantity": "1" }] });
    let credit = shop.command(TILL.1, &path, &one).await;
    assert_eq!(
        (&credit["receiptType"], &credit["receiptTotal"]),
        (&json!("CreditNote"), &json!(-1.20))
    );
    let mut debit: Value = serde_json::from_str(&sale("debit")).unwrap();
    debit["receiptType"] = json!("DebitNote");
    debit["receiptNotes"] = json!("sold too cheap");
    debit["creditDebitNote"] = json!({ "deviceID": TILL.1, "receiptGlobalNo": sold.receipt_global_no - 1, "fiscalDayNo": 1 });
    let debit = shop.command(TILL.1, "/v1/receipts", &debit).await;
    assert_eq!(debit["receiptType"], "DebitNote", "{debit}");
    let close = format!("/fiscal_devices/test/{}/close_day", TILL.1);
    let closed = admin.post(&close, json!({})).await;
    let ended = world.ended(&admin, &closed).await;
    assert_eq!(ended["command"]["status"], "done", "{ended}");
    shop.drain().await;
    agree(&world, &admin, &shop, TILL).await;

    let month = "/fiscal_submissions/vat_return?environment=test&month=2026-05";
    let made = admin.get(month).await;
    assert_eq!(
        (&made["reconciled"], &made["differences"]),
        (&json!(true), &json!([])),
        "{made}"
    );
    let receipts = shop.receipts();
    assert_eq!(made["receipts"], receipts.len());
    let row = made["rows"].as_array().unwrap();
    let row = row.iter().find(|row| row["tax_id"] == "517").unwrap();
    assert_eq!(cents(row, "credits"), -120, "{row}");
    assert_eq!(cents(row, "debits"), 240, "{row}");
    let (total, tax) = summed(&receipts);
    assert_eq!(
        (cents(row, "total"), cents(row, "total_tax")),
        (total, tax),
        "{row}"
    );
    let parts = ["sales", "credits", "debits"];
    let sum = |suffix: &str| -> i64 {
        let names = parts.iter().map(|part| format!("{part}{suffix}"));
        names.map(|name| cents(row, &name)).sum()
    };
    assert_eq!((sum(""), sum("_tax")), (total, tax));
    // And the counters that the till has signed, as the days' CSV shows them.
    let (_, csv) = admin
        .text(reqwest::Method::GET, "/fiscal_submissions/days.csv", None)
        .await;
    for (counter, name) in [
        ("SaleByTax", "sales"),
        ("SaleTaxByTax", "sales_tax"),
        ("CreditNoteByTax", "credits"),
        ("CreditNoteTaxByTax", "credits_tax"),
        ("DebitNoteByTax", "debits"),
        ("DebitNoteTaxByTax", "debits_tax"),
    ] {
        let line = csv
            .lines()
            .find(|line| line.contains(&format!(",{counter},USD,517,")));
        let signed = line.and_then(|line| line.rsplit(',').next());
        assert_eq!(signed, row[name].as_str(), "{counter}: {csv}");
    }
    shop.stop().await;
    shop.verified();
}
