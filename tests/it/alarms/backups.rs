//! Backups that are not made, though none fails.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use fiscald::alarms::AlarmCode as C;
use fiscald::backup::{Keep, take};
use fiscald::config::BackupConfig;

use crate::live_copy::Running;
use crate::support::alarms::Watch;
use crate::support::api::{PATIENCE, Shop};

const HOUR: Duration = Duration::from_secs(3600);

/// Makes a backup by hand.
async fn by_hand(shop: &Shop, folder: &Path) {
    let (ledger, folder) = (shop.ledger_path(), folder.to_owned());
    let now = shop.ledger.time().now();
    let taken = tokio::task::spawn_blocking(move || {
        take(&ledger, &folder, now, Keep::default(), &mut |_, _, _| {
            ControlFlow::Continue(())
        })
    });
    taken.await.unwrap().unwrap();
}

/// No time of day is named, so none is made by itself: after a day, and some time to make one, that is told of, until
/// somebody makes one.
pub(super) async fn none_for_long(watch: &mut Watch) {
    let shop = Shop::open().await;
    let folder = tempfile::tempdir().unwrap();
    by_hand(&shop, folder.path()).await;
    let config = BackupConfig {
        folder: Some(folder.path().to_owned()),
        at: Vec::new(),
        ..BackupConfig::default()
    };
    let running = Running::with(&shop, config);
    let mut standing = shop.copies.watch();
    let seen = standing.wait_for(|standing| standing.last.is_some());
    tokio::time::timeout(PATIENCE, seen).await.unwrap().unwrap();
    shop.clock.advance(26 * HOUR);
    watch.shop(&shop, &[]).await;
    shop.clock.advance(HOUR / 60);
    watch.shop(&shop, &[C::BackupOld]).await;
    by_hand(&shop, folder.path()).await;
    let second = || shop.clock.advance(Duration::from_secs(1));
    watch.shop_while(&shop, &[], second).await;
    running.stop().await;
}
