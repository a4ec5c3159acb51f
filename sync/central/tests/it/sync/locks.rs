//! Whoever locks more than one thing takes them in one order (docs/HQ.md, Locks): nobody has what another waits for
//! while he waits himself.

use fiscal_hq::audit::{self, Deed};
use fiscal_hq::{commands, db};
use sync_wire::command::Order;

use super::shop::{Dice, Shop};
use super::{again, one};
use crate::support::Test;

/// Somebody waits for a lock.
async fn one_waits(test: &Test) {
    let root = test.database.connect("postgres").await;
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while root.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        tokio::task::yield_now().await;
    }
}

/// A store that tells of a new till waits for a person who changes what the tenant wants, with nothing of the audit.
#[tokio::test]
async fn a_new_till_waits_before_the_audit() {
    let test = Test::start().await;
    let joined = one(&test).await;
    let mut dice = Dice::new(51);
    let shop = Shop::new(151, &mut dice);
    let mut client = test.hq.db.client().await.unwrap();
    let tx = db::tenant(&mut client, joined.tenant).await.unwrap();
    let sql = "UPDATE tenants SET revision = revision + 1 WHERE tenant_id = $1";
    tx.execute(sql, &[&joined.tenant.0]).await.unwrap();
    let (line, batch) = (joined.line.clone(), shop.batch(10));
    let sent = tokio::spawn(async move { line.say(batch).await });
    one_waits(&test).await;
    let deed = Deed {
        actor: "user:rudo",
        action: "profile.write",
        subject: "profile",
        before: None,
        after: None,
    };
    let written = audit::record(&tx, joined.tenant, test.hq.now(), &deed).await;
    written.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(sent.await.unwrap().unwrap().taken, 1);
}

/// A store that joins again waits for whoever has its cursor, with nothing of its row.
#[tokio::test]
async fn who_joins_waits_before_the_store() {
    let test = Test::start().await;
    let joined = one(&test).await;
    let mut client = test.hq.db.client().await.unwrap();
    let tx = db::tenant(&mut client, joined.tenant).await.unwrap();
    let sql = "SELECT FROM store_cursors WHERE tenant_id = $1 FOR UPDATE";
    tx.query(sql, &[&joined.tenant.0]).await.unwrap();
    let asked = async {
        one_waits(&test).await;
        let order = Order::UploadLog { lines: 10 };
        let now = test.hq.now();
        commands::order(&tx, joined.tenant, joined.store, &order, "user:rudo", now)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    };
    let ((), anew) = tokio::join!(asked, again(&test, joined.tenant, joined.store, vec![]));
    assert_ne!(anew.line.secret, joined.line.secret);
}
