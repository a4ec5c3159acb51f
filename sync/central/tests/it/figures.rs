//! Figures that people take away: the VAT return of a number that was given twice, and CSV of what was searched for.

use reqwest::Method;
use serde_json::{Value, json};
use sync_wire::Environment;
use sync_wire::entry::AttemptOutcome;

use crate::played::{Admin, Store, certificate, till};
use crate::support::Test;

const MONTH: &str = "/fiscal_submissions/vat_return?month=2026-05";

/// Those of a kind among the differences or notes of a return.
fn told<'a>(of: &'a Value, kind: &str) -> Vec<&'a Value> {
    let all = of.as_array().unwrap().iter();
    all.filter(|told| told["kind"] == kind).collect()
}

/// A store whose production till 42 has sold and closed a day in May.
async fn shop_of_a_day<'a>(test: &'a Test, admin: &Admin<'_>) -> Store<'a> {
    let (store, code) = admin.new_store("Harare").await;
    admin.new_device("prod", 42, &store).await;
    let mut shop = Store::join(test, &code).await;
    let which = till(Environment::Prod, 42);
    shop.add(which, certificate("ab"));
    shop.open_day(which);
    for cents in [11_500, 2_300, 115] {
        shop.sell(which, cents);
        shop.send(which, AttemptOutcome::Accepted);
    }
    shop.close_day(which);
    shop.sync().await;
    shop
}

/// A fiscal day whose Z report has come and none of whose receipts has: the month does not agree, and says what is missing,
/// whether the day was opened in it, closed in it or both. A day of another month is none of it.
#[tokio::test]
async fn a_z_report_without_receipts_is_a_difference() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let _shop = shop_of_a_day(&test, &admin).await;
    assert_eq!(admin.get(MONTH).await["reconciled"], true);
    let client = test.database.connect("postgres").await;
    let plant = async |day: i32, opened: &str, closed: &str| {
        let sql = "INSERT INTO fiscal_days (tenant_id, environment, device_id, fiscal_day_no, store_id, opened, closed, receipt_counter, counters)
            SELECT tenant_id, environment, device_id, $1, store_id, $2::text::timestamp, $3::text::timestamp, receipt_counter, counters
            FROM fiscal_days WHERE fiscal_day_no = 1";
        assert_eq!(
            client
                .execute(sql, &[&day, &opened, &closed])
                .await
                .unwrap(),
            1
        );
    };
    plant(7, "2026-06-01 08:00", "2026-06-01 18:00").await;
    plant(8, "2026-04-30 08:00", "2026-04-30 23:59:59").await;
    let made = admin.get(MONTH).await;
    assert_eq!(
        (&made["reconciled"], &made["days"]),
        (&json!(true), &json!(1)),
        "{made}"
    );
    plant(2, "2026-05-29 08:00", "2026-05-29 18:00").await;
    plant(3, "2026-05-31 20:00", "2026-06-01 02:00").await;
    plant(4, "2026-04-30 20:00", "2026-05-01 00:00").await;
    let made = admin.get(MONTH).await;
    assert_eq!(
        (&made["reconciled"], &made["days"], &made["receipts"]),
        (&json!(false), &json!(4), &json!(3)),
        "{made}"
    );
    let missing = told(&made["differences"], "missing_receipts");
    let days: Vec<_> = missing.iter().map(|told| &told["fiscal_day_no"]).collect();
    assert_eq!(days, [2, 3, 4], "{made}");
    let detail = "the Z report counts 3 receipts, 0 are here";
    assert!(
        missing.iter().all(|told| told["detail"] == detail),
        "{made}"
    );
    // Sales and tax of each.
    assert_eq!(told(&made["differences"], "counter").len(), 6, "{made}");
    // One that nobody has closed and nothing is known of: it is said, and nothing agrees yet.
    client
        .execute("DELETE FROM fiscal_days WHERE fiscal_day_no IN (3, 4)", &[])
        .await
        .unwrap();
    let open = "UPDATE fiscal_days SET closed = NULL, counters = NULL, receipt_counter = NULL WHERE fiscal_day_no = 2";
    client.execute(open, &[]).await.unwrap();
    let made = admin.get(MONTH).await;
    assert_eq!(told(&made["differences"], "not_closed").len(), 1, "{made}");
    assert_eq!(made["reconciled"], false);
}

/// A shop that is open past midnight at the month's end: each sale is in the return of its own month, both months agree
/// with the day's Z report, and a note says that the day is of both.
#[tokio::test]
async fn a_day_of_two_months_agrees_in_both() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let mut shop = shop_of_a_day(&test, &admin).await;
    let which = till(Environment::Prod, 42);
    let evening = clock::instant(jiff::civil::date(2026, 5, 31).at(23, 0, 0, 0));
    let until = evening.duration_since(test.hq.now()).unsigned_abs();
    test.clock.advance(until);
    shop.open_day(which);
    shop.sell(which, 4_600);
    test.clock.advance(std::time::Duration::from_secs(2 * 3600));
    shop.sell(which, 6_900);
    shop.sell(which, 115);
    shop.close_day(which);
    shop.sync().await;
    let june = "/fiscal_submissions/vat_return?month=2026-06";
    for (month, sales, receipts, days, outside) in [
        (MONTH, "185.15", 4, 2, "2 of the day's 3 receipts"),
        (june, "70.15", 2, 1, "1 of the day's 3 receipts"),
    ] {
        let made = admin.get(month).await;
        assert_eq!(
            (&made["reconciled"], &made["differences"]),
            (&json!(true), &json!([])),
            "{made}"
        );
        assert_eq!(
            (&made["rows"][0]["sales"], &made["receipts"], &made["days"]),
            (&json!(sales), &json!(receipts), &json!(days)),
            "{made}"
        );
        let notes = told(&made["notes"], "crosses_month");
        assert_eq!(notes.len(), 1, "{made}");
        assert_eq!(notes[0]["fiscal_day_no"], 2);
        let detail = notes[0]["detail"].as_str().unwrap();
        assert!(detail.contains(outside), "{detail}");
    }
    let (status, page) = admin
        .text(Method::GET, "/vat?month=2026-05&environment=prod", None)
        .await;
    assert_eq!(status, 200);
    for words in [
        "Everything agrees",
        "with the Z reports",
        "1 past the month",
        "crosses month",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("differences from the Z reports"), "{page}");
}

/// The ledger was put back from a backup and gave number 2 again, for another sale: the month has it once, the newest
/// series' one, and says so; what the Z report of that series counts agrees.
#[tokio::test]
async fn a_number_that_was_given_twice_is_counted_once() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let _shop = shop_of_a_day(&test, &admin).await;
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
    let differences = &after["differences"];
    let twice = told(differences, "number_conflict");
    assert_eq!(twice.len(), 2, "{after}");
    assert!(twice[0]["detail"].as_str().unwrap().contains("receipt 2"));
    assert_eq!(twice[0]["fiscal_day_no"], 1);
    assert_eq!(twice[1]["fiscal_day_no"], 6);
    assert!(
        told(differences, "counter").is_empty() && told(differences, "missing_receipts").is_empty(),
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
