//! A store put back from yesterday's copy of its folder.

use std::path::{Path, PathBuf};

use fiscal_hq::testing::Admin;
use fiscald::ledger::holds::HoldKind;
use serde_json::json;

use super::shop::{Shop, at_fdms, at_hq};
use super::story::{TILL, enable, joined};
use super::world::World;

/// The folder as it is, kept elsewhere; the daemon does not run.
fn copy(from: &Path, to: &Path) {
    // Not there the first time.
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
}

/// A store that has sold four receipts, and yesterday's copy of its folder.
async fn copied<'a>(world: &'a World, admin: &Admin<'_>) -> (Shop<'a>, PathBuf) {
    let (mut shop, _) = joined(world, admin).await;
    enable(world, admin, &shop).await;
    shop.sell_many(TILL.1, "before-", 3).await;
    shop.drain().await;
    shop.stop().await;
    let kept = world.dir.path().join("yesterday");
    copy(&shop.config.data_dir(), &kept);
    shop.start().await;
    (shop, kept)
}

/// What keeps the till from selling.
fn hold(shop: &Shop<'_>) -> Option<HoldKind> {
    let till = shop.till(TILL.0, TILL.1).id;
    shop.reader().hold(till).unwrap().map(|hold| hold.kind)
}

/// Where each fork left the series before it, as head office has them.
async fn forks(admin: &Admin<'_>) -> Vec<i64> {
    let client = admin.test.database.connect("postgres").await;
    let rows = client
        .query(
            "SELECT forked_at FROM store_epochs WHERE tenant_id = $1 AND parent_no IS NOT NULL ORDER BY epoch_no",
            &[&admin.tenant.0],
        )
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn alerts(admin: &Admin<'_>, kind: &str) -> i64 {
    let sql = format!(
        "SELECT count(*) FROM alerts WHERE tenant_id = $1 AND kind = '{kind}' AND ended_at IS NULL"
    );
    admin.count(&sql).await
}

/// Head office shows the fork, and has what both sides of it have sold: FDMS has all of it too, so no number is used twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_copy_forks_and_nothing_is_lost() {
    let world = World::new().await;
    let admin = world.admin().await;
    let (mut shop, kept) = copied(&world, &admin).await;
    shop.sell_many(TILL.1, "lost-", 4).await;
    shop.drain().await;
    shop.stop().await;
    let mut union = shop.receipts();
    assert_eq!(union, at_hq(&admin).await);
    copy(&kept, &shop.config.data_dir());
    shop.start().await;
    world
        .until("that FDMS is ahead", async || {
            hold(&shop) == Some(HoldKind::Ahead)
        })
        .await;
    assert!(world.fdms(TILL.0).close_by_hand(TILL.1));
    shop.command(TILL.1, "/v1/tills/adopt", &json!({ "confirm": TILL.1 }))
        .await;
    let sold = shop.sell(TILL.1, "after").await;
    assert_eq!(sold.receipt_global_no, 9, "FDMS has eight");
    shop.drain().await;
    union.extend(shop.receipts());
    assert_eq!(union.len(), 9);
    assert_eq!(at_hq(&admin).await, union);
    let numbers: Vec<u32> = at_fdms(&world, TILL.0, TILL.1)
        .into_iter()
        .map(|(number, _)| number)
        .collect();
    assert_eq!(numbers, (1..=9).collect::<Vec<_>>());
    assert_eq!(forks(&admin).await.len(), 1);
    assert_eq!(alerts(&admin, "fork").await, 1);
    assert_eq!(alerts(&admin, "number_conflict").await, 0);
    shop.stop().await;
    shop.verified();
}

/// What FDMS had never been sent is known to head office alone: the same numbers with other hashes are there side by side,
/// and somebody is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_given_twice_are_both_kept_and_told() {
    let world = World::new().await;
    let admin = world.admin().await;
    let (mut shop, kept) = copied(&world, &admin).await;
    world.fdms(TILL.0).set_offline(true);
    shop.sell_many(TILL.1, "lost-", 2).await;
    world
        .until("that head office has them", async || {
            shop.reader().hq().unwrap().unwrap().waiting == 0
        })
        .await;
    shop.stop().await;
    let mut union = shop.receipts();
    copy(&kept, &shop.config.data_dir());
    world.fdms(TILL.0).set_offline(false);
    shop.start().await;
    world
        .until("that FDMS was asked", async || hold(&shop).is_none())
        .await;
    shop.sell_many(TILL.1, "after-", 3).await;
    shop.drain().await;
    union.extend(shop.receipts());
    assert_eq!(union.len(), 4 + 2 + 3);
    assert_eq!(at_hq(&admin).await, union);
    assert_eq!(at_fdms(&world, TILL.0, TILL.1).len(), 7);
    assert_eq!(forks(&admin).await.len(), 1);
    assert!(alerts(&admin, "number_conflict").await > 0);
    shop.stop().await;
    shop.verified();
}
