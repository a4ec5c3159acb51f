//! A store speaks of a till that belongs to another one: what it says is kept, and changes nothing of that till.

use reqwest::StatusCode;
use serde_json::{Value, json};
use sync_wire::Environment;
use sync_wire::entry::{AttemptOutcome, DayOpened};

use super::shop::{Dice, Shop};
use super::{alerts, all, count, exchange, joined, one, receipts, rows};
use crate::played::{Admin, Store, certificate, till};
use crate::support::Test;

/// All that head office has of till 150 but events, as text.
async fn of_the_till(test: &Test, tenant: fiscal_hq::db::TenantId) -> Vec<String> {
    let sql = "SELECT to_jsonb(r)::text FROM receipts r WHERE tenant_id = $1 AND device_id = 150
        UNION ALL SELECT to_jsonb(l)::text FROM fdms_submission_logs l WHERE tenant_id = $1 AND device_id = 150
        UNION ALL SELECT to_jsonb(j)::text FROM fdms_retry_jobs j WHERE tenant_id = $1 AND device_id = 150
        UNION ALL SELECT to_jsonb(d)::text FROM fiscal_days d WHERE tenant_id = $1 AND device_id = 150
        UNION ALL SELECT to_jsonb(t)::text FROM fdms_devices t WHERE tenant_id = $1 AND device_id = 150
        UNION ALL SELECT to_jsonb(c)::text FROM fdms_tenant_credentials c WHERE tenant_id = $1 AND device_id = 150
        ORDER BY 1";
    let rows = rows(test, tenant, sql).await;
    rows.iter().map(|row| row.get(0)).collect()
}

/// Receipts, attempts, dead letters, days and the state of a till are its own store's. Another store's lines of it are
/// events, whole: that store's chain and its past go on, and somebody is told.
#[tokio::test]
async fn another_stores_till_stays_as_it_is() {
    let test = Test::start().await;
    let first = one(&test).await;
    let mut dice = Dice::new(50);
    let mut shop = Shop::new(150, &mut dice);
    shop.sell(&mut dice);
    shop.close();
    (0..3).for_each(|_| shop.sell(&mut dice));
    shop.send(AttemptOutcome::Accepted, 1, &mut dice);
    shop.send(AttemptOutcome::Refused, 1, &mut dice);
    all(&first.line, &mut shop).await;
    let before = of_the_till(&test, first.tenant).await;
    assert!(!before.is_empty());

    let second = joined(&test, first.tenant, "Harare 2").await;
    let mut other = Shop::new(151, &mut dice);
    other.sell(&mut dice);
    other.close();
    all(&second.line, &mut other).await;
    assert_eq!(alerts(&test, first.tenant).await, [""; 0]);
    let own = other.lines.len();
    // From here on it says the same of the first store's till: the same day, numbers that are there and new ones.
    other.till = shop.till;
    (0..4).for_each(|_| other.sell(&mut dice));
    other.send(AttemptOutcome::Accepted, 1, &mut dice);
    other.send(AttemptOutcome::Accepted, 1, &mut dice);
    other.send(AttemptOutcome::Refused, 1, &mut dice);
    all(&second.line, &mut other).await;
    other.close();
    other.certify("no certificate", "cc33");
    all(&second.line, &mut other).await;
    assert_eq!(of_the_till(&test, first.tenant).await, before);
    assert_eq!(alerts(&test, first.tenant).await, ["till_elsewhere"]);

    let past: Vec<String> = other.lines.iter().map(|line| line.text.clone()).collect();
    assert_eq!(second.line.past().await, past);
    let events = "SELECT count(*) FROM store_events WHERE tenant_id = $1 AND device_id = 150
        AND store_id = (SELECT store_id FROM stores s WHERE s.tenant_id = $1 AND s.name = 'Harare 2')";
    let foreign = i64::try_from(other.lines.len() - own).unwrap();
    assert_eq!(count(&test, first.tenant, events).await, foreign);
    let sold = receipts(&test, first.tenant).await;
    assert_eq!(sold.len(), shop.receipts.len() + 1);

    // Ended by a person, it is told again as long as it goes on; the till itself sells on in its store.
    super::change(
        &test,
        first.tenant,
        "UPDATE alerts SET ended_at = since WHERE tenant_id = $1",
    )
    .await;
    shop.sell(&mut dice);
    all(&first.line, &mut shop).await;
    assert_eq!(alerts(&test, first.tenant).await, [""; 0]);
    other.sell(&mut dice);
    exchange(&second.line, &mut other, 500).await;
    assert_eq!(alerts(&test, first.tenant).await, ["till_elsewhere"]);
    let sold = receipts(&test, first.tenant).await;
    assert_eq!(sold.len(), shop.receipts.len() + 1);
}

/// A date that no calendar of ours has stops the store with words, as any line does that cannot be read.
#[tokio::test]
async fn a_date_out_of_all_time_cannot_be_read() {
    let test = Test::start().await;
    let store = one(&test).await;
    for (device, year) in [(152, "-009998"), (153, "1969"), (154, "9999")] {
        let mut dice = Dice::new(u64::from(device));
        let mut shop = Shop::new(device, &mut dice);
        let opened = DayOpened {
            fiscal_day_no: 1,
            opened: format!("{year}-12-31T23:59:59"),
            is_vat_payer: Some(true),
        };
        shop.tell("day.opened", &opened);
        let (status, problem) = store.line.say(shop.batch(10)).await.unwrap_err();
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains("1970 to 9998"));
        assert_eq!(alerts(&test, store.tenant).await, ["sync_stopped"]);
    }
    // The same in a snapshot is left out of it.
    let mut dice = Dice::new(155);
    let mut shop = Shop::new(155, &mut dice);
    shop.sell(&mut dice);
    all(&store.line, &mut shop).await;
    let kept = "SELECT fiscal_day_opened IS NULL, oldest_waiting_at IS NULL FROM fdms_devices WHERE tenant_id = $1";
    let row = &rows(&test, store.tenant, kept).await[0];
    assert!(!row.get::<_, bool>(0));
    let mut up = shop.up(0);
    up.state.at = i64::from(i32::MIN) * 86_400;
    up.state.tills[0].day.as_mut().unwrap().opened = "-009998-01-01T00:00:00".to_owned();
    up.state.tills[0].queue.oldest_at = Some(i64::MIN);
    let text = serde_json::to_string(&up).unwrap();
    store.line.say(text).await.unwrap();
    let row = &rows(&test, store.tenant, kept).await[0];
    assert_eq!((row.get(0), row.get(1)), (true, true));
}

/// A till that a store has made up keeps nobody from making its record for the store where it stands. What a person has
/// made stays as it is.
#[tokio::test]
async fn a_till_that_only_a_store_reports_is_given_to_its_own() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let (wrong, code) = admin.new_store("Harare").await;
    let mut liar = Store::join(&test, &code).await;
    let which = till(Environment::Test, 160);
    liar.add(which, certificate("ab"));
    liar.sync().await;
    let before = admin.get("/fiscal_devices/test/160").await;
    assert_eq!(before["store_id"].as_str(), Some(wrong.as_str()));
    let (right, code) = admin.new_store("Gweru").await;
    let made = admin.new_device("test", 160, &right).await;
    assert_eq!(made["state"], "pending");
    assert_eq!(made["store_id"].as_str(), Some(right.as_str()));
    assert_eq!(made["last_seen_at"], Value::Null);

    let mut store = Store::join(&test, &code).await;
    store.add(which, certificate("cd"));
    store.open_day(which);
    store.sell(which, 11_500);
    store.send(which, AttemptOutcome::Accepted);
    store.sync().await;
    liar.open_day(which);
    liar.sell(which, 99_900);
    liar.sync().await;
    let now = admin.get("/fiscal_devices/test/160").await;
    assert_eq!(
        (&now["store_id"], &now["state"]),
        (&made["store_id"], &"active".into())
    );
    let client = test.database.connect("postgres").await;
    let sold = "SELECT store_id::text, receipt_total, count(*) OVER () FROM receipts";
    let sold = client.query_one(sold, &[]).await.unwrap();
    assert_eq!((sold.get(0), sold.get(1)), (right.as_str(), 11_500_i64));
    let day = "SELECT store_id::text FROM fiscal_days";
    let day = client.query_one(day, &[]).await.unwrap();
    assert_eq!(day.get::<_, &str>(0), right);

    let again = json!({ "environment": "test", "device_id": 160, "serial_no": "SN-160", "store_id": wrong,
        "machine_name": "Till 1", "mode": "online" });
    let (refused, _) = admin.refused("/fiscal_devices", again).await;
    assert_eq!(refused, "409 conflict");
}
