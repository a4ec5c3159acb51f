//! Postgres stops while the store sells.

use std::os::unix::fs::PermissionsExt as _;

use fiscal_hq::testing::{Server, Test};

use super::shop::agree;
use super::story::{TILL, enable, joined};
use super::world::World;

/// The store sells on while head office has no database, and catches up by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn head_office_loses_its_database_for_a_while() {
    let (dir, server) = server().await;
    let world = World::over(Test::start_on(&server).await).await;
    let admin = world.admin().await;
    let (mut shop, _) = joined(&world, &admin).await;
    enable(&world, &admin, &shop).await;
    shop.sell_many(TILL.1, "before-", 3).await;
    shop.drain().await;
    let server = stopped(server).await;
    assert_ne!(ready(&world).await, 200);
    shop.sell_many(TILL.1, "meanwhile-", 20).await;
    let fdms = world.fdms(TILL.0);
    world
        .until("that FDMS has them", async || {
            fdms.receipt_count(TILL.1) == 24
        })
        .await;
    let waiting = shop.reader().hq().unwrap().unwrap().waiting;
    assert!(waiting >= 35, "receipts and attempts: {waiting}");
    let till = shop.till(TILL.0, TILL.1).id;
    assert_eq!(shop.reader().hold(till).unwrap(), None);
    let server = started(server).await;
    assert_eq!(ready(&world).await, 200);
    shop.drain().await;
    shop.sell_many(TILL.1, "after-", 3).await;
    shop.drain().await;
    agree(&world, &admin, &shop, TILL).await;
    let twice = "SELECT count(*) - count(DISTINCT seq) FROM (
        SELECT seq FROM receipts WHERE tenant_id = $1 UNION ALL
        SELECT seq FROM fdms_submission_logs WHERE tenant_id = $1 AND epoch_no > 0 UNION ALL
        SELECT seq FROM store_events WHERE tenant_id = $1) all_entries";
    assert_eq!(admin.count(twice).await, 0, "no entry is there twice");
    let entries = "SELECT count(*) FROM (
        SELECT seq FROM receipts WHERE tenant_id = $1 UNION ALL
        SELECT seq FROM fdms_submission_logs WHERE tenant_id = $1 AND epoch_no > 0 UNION ALL
        SELECT seq FROM store_events WHERE tenant_id = $1) all_entries";
    shop.stop().await;
    let lines = shop.reader().hq_lines(0, usize::MAX, usize::MAX).unwrap();
    let sent = shop.reader().hq().unwrap().unwrap().acked;
    let sent = lines.iter().filter(|line| line.seq <= sent).count();
    assert_eq!(
        admin.count(entries).await,
        i64::try_from(sent).unwrap(),
        "and every entry is there"
    );
    shop.verified();
    // The service's database goes before its server.
    drop((admin, shop));
    drop(world);
    drop((server, dir));
}

/// A Postgres that this test alone uses.
async fn server() -> (tempfile::TempDir, Server) {
    let made = tokio::task::spawn_blocking(|| {
        let dir = tempfile::tempdir().unwrap();
        // Whoever runs the server must come to its folder.
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(dir.path(), open).unwrap();
        let server = Server::start(&dir.path().join("postgres"));
        (dir, server)
    });
    made.await.unwrap()
}

async fn stopped(server: Server) -> Server {
    let stopping = tokio::task::spawn_blocking(move || {
        server.stop();
        server
    });
    stopping.await.unwrap()
}

async fn started(server: Server) -> Server {
    let starting = tokio::task::spawn_blocking(move || {
        server.start_again();
        server
    });
    starting.await.unwrap()
}

async fn ready(world: &World) -> u16 {
    let asked = world.hq.http.get(world.hq.url("/readyz"));
    asked.send().await.unwrap().status().as_u16()
}
