//! What goes wrong with the copies of the ledger.

use std::time::Duration;

use fiscald::alarms::AlarmCode as C;
use fiscald::config::BackupConfig;

use crate::live_copy::{Running, stick};
use crate::support::alarms::Watch;
use crate::support::api::Shop;

const MINUTE: Duration = Duration::from_secs(60);

/// The stick of the live copy is pulled out for a moment, and for longer; put back, the copy follows again.
pub(super) async fn a_stick_that_is_pulled_out(watch: &mut Watch) {
    let shop = Shop::open().await;
    let dir = stick();
    let (folder, away) = (dir.path().join("stick"), dir.path().join("away"));
    std::fs::create_dir(&folder).unwrap();
    let running = Running::beside(&shop, &folder.join("live.db"));
    shop.sell("T1-1").await;
    running.up_to_date().await;
    watch.shop(&shop, &[]).await;
    std::fs::rename(&folder, &away).unwrap();
    shop.sell("T1-2").await;
    running
        .until("it is missed", |live| live.trouble.is_some())
        .await;
    watch.shop(&shop, &[]).await;
    shop.clock.advance(16 * MINUTE);
    watch.shop(&shop, &[C::CopyStill]).await;
    std::fs::rename(&away, &folder).unwrap();
    running.up_to_date().await;
    watch.shop(&shop, &[]).await;
    running.stop().await;
}

/// The folder for backups is not there when one is due; it is tried again once it is.
pub(super) async fn a_backup_that_fails(watch: &mut Watch) {
    let shop = Shop::open().await;
    shop.sell("T1-1").await;
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("stick");
    let config = BackupConfig {
        folder: Some(folder.clone()),
        ..BackupConfig::default()
    };
    let running = Running::with(&shop, config);
    watch.shop(&shop, &[C::BackupFailed]).await;
    std::fs::create_dir(&folder).unwrap();
    // It is tried again ten minutes later.
    let second = || shop.clock.advance(Duration::from_secs(1));
    watch.shop_while(&shop, &[], second).await;
    running.stop().await;
    let backups = std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(backups, 2, "a backup and its manifest");
}
