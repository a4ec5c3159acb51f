//! Figures that people take away: the VAT return of a number that was given twice, and CSV of what was searched for.

use reqwest::Method;
use serde_json::{Value, json};
use sync_wire::Environment;
use sync_wire::entry::AttemptOutcome;

use crate::played::{Admin, Store, certificate, till};
use crate::support::Test;

const MONTH: &str = "/fiscal_submissions/vat_return?month=2026-05";

/// The ledger was put back from a backup and gave number 2 again, for another sale: the month has it once, the newest
/// series' one, and says so; what the Z report of that series counts agrees.
#[tokio::test]
async fn a_number_that_was_given_twice_is_counted_once() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let (store, code) = admin.new_store("Harare").await;
    admin.new_device("prod", 42, &store).await;
    let mut shop = Store::join(&test, &code).await;
    let which = till(Environment::Prod, 42);
    shop.add(which, certificate("ab"));
    shop.open_day(which);
    for cents in [11_500, 2_300, 115] {
        shop.sell(which, cents);
        shop.send(which, AttemptOutcome::Accepted);
    }
    shop.close_day(which);
    shop.sync().await;
    let before = admin.get(MONTH).await;
    assert_eq!(
        (&before["rows"][0]["sales"], &before["reconciled"]),
        (&json!("139.15"), &json!(true)),
        "{before}"
    );
    // An older series had sold something else under the same number, in another day too.
    let client = test.database.connect("postgres").await;
    client
        .batch_execute(
            "INSERT INTO receipts SELECT tenant_id, environment, device_id, receipt_global_no, '\\x01', store_id, epoch_no - 1,
               seq, at, fiscal_day_no + d, receipt_counter, receipt_type, receipt_currency, 99900, receipt_date, invoice_no,
               replace(body, '23.00', '999.00'), rest
             FROM receipts, (VALUES (0), (5)) AS days (d) WHERE receipt_global_no = 2 + (d / 5)",
        )
        .await
        .unwrap();
    let after = admin.get(MONTH).await;
    assert_eq!(after["rows"], before["rows"], "each is counted once");
    assert_eq!(after["receipts"], before["receipts"]);
    let differences = after["differences"].as_array().unwrap();
    let told = |kind: &str| -> Vec<&Value> {
        let of_kind = differences.iter().filter(|told| told["kind"] == kind);
        of_kind.collect()
    };
    let twice = told("number_conflict");
    assert_eq!(twice.len(), 2, "{after}");
    assert!(twice[0]["detail"].as_str().unwrap().contains("receipt 2"));
    assert_eq!(twice[0]["fiscal_day_no"], 1);
    assert_eq!(twice[1]["fiscal_day_no"], 6);
    assert!(
        told("counter").is_empty() && told("missing_receipts").is_empty(),
        "{after}"
    );
    assert_eq!(after["reconciled"], false, "a person must look at it");
}

/// The CSV of a search has just what the search finds: amount and currency are obeyed, and nonsense is refused.
#[tokio::test]
async fn csv_has_what_was_searched_for() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let (store, code) = admin.new_store("Harare").await;
    admin.new_device("test", 42, &store).await;
    let mut shop = Store::join(&test, &code).await;
    let which = till(Environment::Test, 42);
    shop.add(which, certificate("ab"));
    shop.open_day(which);
    for cents in [11_500, 2_300, 11_500, 115] {
        shop.sell(which, cents);
    }
    shop.sync().await;
    let path = "/fiscal_submissions/receipts";
    for (query, numbers) in [
        ("?amount=115.00", vec![3, 1]),
        ("?amount=115", vec![3, 1]),
        ("?amount=1.15&currency=USD", vec![4]),
        ("?amount=115.00&number=3", vec![3]),
        ("?currency=ZWG", vec![]),
        ("?currency=USD", vec![4, 3, 2, 1]),
    ] {
        let page = admin.get(&format!("{path}{query}")).await;
        let rows = page["rows"].as_array().unwrap();
        let mut found: Vec<i64> = rows
            .iter()
            .map(|row| row["receipt_global_no"].as_i64().unwrap())
            .collect();
        assert_eq!(found, numbers, "{query}");
        let (status, csv) = admin
            .text(Method::GET, &format!("{path}.csv{query}"), None)
            .await;
        assert_eq!(status, 200, "{csv}");
        let mut exported: Vec<i64> = csv
            .lines()
            .skip(1)
            .map(|line| line.split(',').nth(3).unwrap().parse().unwrap())
            .collect();
        found.sort_unstable();
        exported.sort_unstable();
        assert_eq!(exported, found, "{query}");
    }
    for bad in ["1.155", "one", "1,15"] {
        for kind in ["", ".csv"] {
            let (status, answer) = admin
                .ask(Method::GET, &format!("{path}{kind}?amount={bad}"), None)
                .await;
            assert_eq!(
                (status, &answer["pointer"]),
                (422, &json!("amount")),
                "{bad}"
            );
        }
    }
}
