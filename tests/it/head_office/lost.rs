//! A store that has lost its machine.

use fdms_sandbox::{DayStatus, DeviceChange};
use serde_json::json;

use super::shop::{Shop, agree};
use super::story::{TILL, enable, joined};
use super::world::World;

/// With a new code and an empty folder the ledger is built again from head office's lines, registered again, and sells on
/// where it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_machine_comes_back() {
    let world = World::new().await;
    let admin = world.admin().await;
    let (mut shop, store) = joined(&world, &admin).await;
    enable(&world, &admin, &shop).await;
    shop.sell_many(TILL.1, "day1-", 3).await;
    let close = format!("/fiscal_devices/test/{}/close_day", TILL.1);
    let asked = admin.post(&close, json!({})).await;
    world.ended(&admin, &asked).await;
    shop.sell_many(TILL.1, "day2-", 3).await;
    shop.drain().await;
    shop.stop().await;
    let old = shop.receipts();
    std::fs::remove_dir_all(shop.config.data_dir()).unwrap();

    let code = admin
        .post(&format!("/fiscal_devices/stores/{store}/code"), json!({}))
        .await;
    let mut shop = Shop::new(&world, "new machine");
    let joined = shop.join(code["code"].as_str().unwrap()).await.unwrap();
    assert!(joined.rebuilt.is_some_and(|events| events > 10));
    assert!(
        joined.tills[0].next.contains("register --again"),
        "{}",
        joined.tills[0].next
    );
    assert_eq!(shop.receipts(), old);
    shop.verified();
    shop.start().await;
    let (status, refused) = shop.offer(TILL.1, "too early").await;
    assert!(status >= 400, "there is no key yet: {refused}");
    let change = DeviceChange {
        activation_key: Some("SECOND01".to_owned()),
        ..DeviceChange::default()
    };
    world.fdms(TILL.0).change_device(TILL.1, change).unwrap();
    let again = shop.register(TILL, "SECOND01", true).await;
    assert_eq!(again.foreign_past, None);
    let till = shop.till(TILL.0, TILL.1).id;
    world
        .until("that FDMS was asked", async || {
            shop.reader().hold(till).unwrap().is_none()
        })
        .await;
    let sold = shop.sell(TILL.1, "day2-on-the-new-machine").await;
    assert_eq!(
        (sold.receipt_global_no, sold.fiscal_day_no),
        (u32::try_from(old.len()).unwrap() + 1, 2)
    );
    shop.drain().await;
    agree(&world, &admin, &shop, TILL).await;
    let asked = admin.post(&close, json!({})).await;
    let ended = world.ended(&admin, &asked).await;
    assert_eq!(ended["command"]["status"], "done", "{ended}");
    shop.drain().await;
    let days = world.fdms(TILL.0).days(TILL.1);
    assert_eq!(days.len(), 2);
    assert!(
        days.iter()
            .all(|day| day.status == DayStatus::FiscalDayClosed),
        "{days:?}"
    );
    agree(&world, &admin, &shop, TILL).await;
    shop.stop().await;
    shop.verified();
}
