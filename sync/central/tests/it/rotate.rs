//! A new master key: everything sealed is sealed anew, and nothing needs the old one any more.

use std::process::{Command, Stdio};
use std::sync::Arc;

use fiscal_hq::Hq;
use fiscal_hq::access::totp;
use fiscal_hq::db::{APP_ROLE, TenantId};
use fiscal_hq::hq::SharedHq;
use fiscal_hq::keys::{MasterKeys, SealedBytes};
use fiscal_hq::rotate::{RotateError, rotate};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::cli::program;
use crate::support::{MASTER_KEY, START, Test};

const NEW_KEY: &str = "CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=";

/// The same service under other keys.
fn under(test: &Test, current: &str, old: Option<&str>) -> SharedHq {
    Arc::new(Hq {
        db: test.hq.db.clone(),
        clock: Arc::clone(&test.hq.clock),
        ceiling: test.hq.ceiling,
        keys: MasterKeys::parse(current, old).unwrap(),
        worker_secret: None,
        secure_cookies: false,
        public_url: String::new(),
        outbound: test.hq.outbound.clone(),
    })
}

/// What is sealed: 150 credentials, a second factor and one on its way, a webhook's secret.
struct Sealed {
    tenant: TenantId,
    user: Uuid,
    channel: Uuid,
    root: Client,
}

impl Sealed {
    async fn under_the_old_key(test: &Test) -> Self {
        let tenant = test.tenant("Baobab Stores").await;
        let root = test.database.connect("postgres").await;
        root.batch_execute("SET session_replication_role = replica")
            .await
            .unwrap();
        let seal = |place: &str, text: &str| test.hq.keys.seal(place, text.as_bytes()).unwrap();
        let at: clock::Timestamp = START.parse().unwrap();
        // More than are sealed anew in one transaction.
        for version in 1..=150_i32 {
            let sealed = seal(
                &format!("credential {tenant}, prod, 321, {version}"),
                &format!("key {version}"),
            );
            root.execute(
                "INSERT INTO fdms_tenant_credentials (tenant_id, environment, device_id, version, label, thumbprint, certificate,
                   sealed_key, master_key_id, valid_from, valid_till, created_by, created_at)
                 VALUES ($1, 'prod', 321, $2, 'x', 'x', 'x', $3, $4, $5, $5, 'x', $5)",
                &[&tenant.0, &version, &sealed.bytes, &sealed.key_id, &at],
            )
            .await
            .unwrap();
        }
        let (user, channel) = (Uuid::new_v4(), Uuid::new_v4());
        let (factor, pending) = (
            seal(&totp::place(tenant, user), "factor").pack(),
            seal(&totp::place(tenant, user), "pending").pack(),
        );
        root.execute(
            "INSERT INTO users (tenant_id, user_id, email, name, role, totp_secret, totp_pending, created_at)
             VALUES ($1, $2, 'a@b.example', 'A', 'admin', $3, $4, $5)",
            &[&tenant.0, &user, &factor, &pending, &at],
        )
        .await
        .unwrap();
        let secret = seal(&format!("alert channel {tenant} {channel}"), "secret").pack();
        root.execute(
            "INSERT INTO alert_channels (tenant_id, channel_id, kind, target, secret, created_by, created_at)
             VALUES ($1, $2, 'webhook', 'https://x.example', $3, 'x', $4)",
            &[&tenant.0, &channel, &secret, &at],
        )
        .await
        .unwrap();
        Self {
            tenant,
            user,
            channel,
            root,
        }
    }

    /// All of it opens with these keys, and is what it was; so many credentials are sealed under the new one.
    async fn opens(&self, keys: &MasterKeys) -> usize {
        let Self {
            tenant,
            user,
            channel,
            root,
        } = self;
        let rows = root
            .query(
                "SELECT version, sealed_key, master_key_id FROM fdms_tenant_credentials",
                &[],
            )
            .await
            .unwrap();
        assert_eq!(rows.len(), 150);
        let new = MasterKeys::parse(NEW_KEY, None).unwrap();
        let mut done = 0;
        for row in rows {
            let version: i32 = row.get(0);
            let sealed = SealedBytes {
                key_id: row.get(2),
                bytes: row.get(1),
            };
            done += usize::from(sealed.key_id == new.current_id());
            let opened = keys
                .open(
                    &format!("credential {tenant}, prod, 321, {version}"),
                    &sealed,
                )
                .unwrap();
            assert_eq!(opened.as_slice(), format!("key {version}").as_bytes());
        }
        let row = root
            .query_one("SELECT totp_secret, totp_pending FROM users", &[])
            .await
            .unwrap();
        for (column, text) in [(0, "factor"), (1, "pending")] {
            let sealed = SealedBytes::unpack(row.get(column)).unwrap();
            let opened = keys.open(&totp::place(*tenant, *user), &sealed).unwrap();
            assert_eq!(opened.as_slice(), text.as_bytes());
        }
        let row = root
            .query_one("SELECT secret FROM alert_channels", &[])
            .await
            .unwrap();
        let sealed = SealedBytes::unpack(row.get(0)).unwrap();
        let opened = keys
            .open(&format!("alert channel {tenant} {channel}"), &sealed)
            .unwrap();
        assert_eq!(opened.as_slice(), b"secret");
        done
    }
}

/// Credentials, second factors and webhook secrets; told of in the audit, and nothing is left for a second time.
#[tokio::test]
async fn everything_is_sealed_anew() {
    let test = Test::start().await;
    let sealed = Sealed::under_the_old_key(&test).await;
    // Without the old key nothing is lost: it says which key is missing.
    let refused = rotate(
        &under(&test, NEW_KEY, None),
        "operator:console:x",
        |_, _| {},
    )
    .await;
    assert!(
        matches!(refused, Err(RotateError::Key { .. })),
        "{refused:?}"
    );

    let both = under(&test, NEW_KEY, Some(MASTER_KEY));
    let mut steps = Vec::new();
    let count = rotate(&both, "operator:console:x", |_, count| steps.push(count))
        .await
        .unwrap();
    assert_eq!(count, 153);
    assert_eq!(steps, [100, 150, 151, 152, 153]);
    assert_eq!(
        rotate(&both, "operator:console:x", |_, _| {})
            .await
            .unwrap(),
        0
    );

    let alone = MasterKeys::parse(NEW_KEY, None).unwrap();
    assert_eq!(sealed.opens(&alone).await, 150);
    let told = sealed
        .root
        .query_one(
            "SELECT sum((after->>'count')::integer) FROM fdms_audit_logs WHERE action = 'master_key.rotate' AND tenant_id = $1",
            &[&sealed.tenant.0],
        )
        .await
        .unwrap();
    assert_eq!(told.get::<_, i64>(0), 153);
}

/// The program that seals anew, under both keys.
fn program_of(test: &Test) -> Command {
    let mut command = program(&test.database, APP_ROLE, &["rotate-master-key"]);
    command
        .env("FDMS_CRED_MASTER_KEY_B64", NEW_KEY)
        .env("FDMS_CRED_MASTER_KEY_OLD_B64", MASTER_KEY)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Starts it, and kills it when it waits for what `lock` holds.
async fn killed_at(test: &Test, lock: &str) {
    let holder = test.database.connect("postgres").await;
    holder
        .batch_execute(&format!("BEGIN; {lock}"))
        .await
        .unwrap();
    let mut child = program_of(test).spawn().unwrap();
    let waits = "SELECT count(*) FROM pg_stat_activity
       WHERE datname = current_database() AND usename = 'fiscal_hq_app' AND wait_event_type = 'Lock'";
    let watcher = test.database.connect("postgres").await;
    while count(&watcher, waits).await == 0 {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it has ended by itself"
        );
    }
    child.kill().unwrap();
    child.wait().unwrap();
    holder.batch_execute("ROLLBACK").await.unwrap();
    // The server notices that nobody is there any more, and takes back what was not committed.
    let busy = "SELECT count(*) FROM pg_stat_activity
       WHERE datname = current_database() AND usename = 'fiscal_hq_app' AND state <> 'idle'";
    while count(&watcher, busy).await > 0 {}
}

async fn count(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// Killed between two batches, and in the middle of one: everything can be read all along, with both keys, and the next
/// run finishes.
#[tokio::test]
async fn broken_off_it_goes_on() {
    let test = Test::start().await;
    let sealed = Sealed::under_the_old_key(&test).await;
    let both = MasterKeys::parse(NEW_KEY, Some(MASTER_KEY)).unwrap();
    // In the middle of the first batch: it is sealed anew and not told of yet.
    killed_at(&test, "LOCK TABLE audit_heads IN EXCLUSIVE MODE").await;
    assert_eq!(sealed.opens(&both).await, 0, "taken back whole");
    // In the second batch, when the first one is done.
    killed_at(
        &test,
        "SELECT 1 FROM fdms_tenant_credentials WHERE version = 120 FOR UPDATE",
    )
    .await;
    assert_eq!(sealed.opens(&both).await, 100);
    assert!(program_of(&test).status().unwrap().success());
    let alone = MasterKeys::parse(NEW_KEY, None).unwrap();
    assert_eq!(sealed.opens(&alone).await, 150);
    let told = "SELECT sum((after->>'count')::integer) FROM fdms_audit_logs WHERE action = 'master_key.rotate'";
    let row = sealed.root.query_one(told, &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 153, "each is told of once");
}
