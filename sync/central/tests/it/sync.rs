//! The stores' channel: what simulated stores send, and what head office has of it.

use fiscal_hq::db::{self, TenantId};
use fiscal_hq::sync::enrol;
use reqwest::StatusCode;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use sync_wire::enrol::{Enrol, Enrolled, KnownTill};
use sync_wire::exchange::Down;
use sync_wire::seal::SealKey;
use uuid::Uuid;

use crate::support::Test;
use shop::{ReceiptKey, Shop};

mod effects;
mod exactly_once;
mod exchanging;
mod foreign;
mod forks;
mod joining;
mod locks;
pub(crate) mod shop;

/// A store's way to head office.
#[derive(Clone)]
pub(crate) struct Line {
    http: reqwest::Client,
    pub(crate) base: String,
    pub(crate) secret: String,
}

impl Line {
    /// One exchange with this text.
    pub(crate) async fn say(&self, text: String) -> Result<Down, (StatusCode, Value)> {
        let packed = zstd::bulk::compress(text.as_bytes(), 1).unwrap();
        self.send(packed, Some("zstd")).await.unwrap()
    }

    /// One exchange; none: no answer came.
    pub(crate) async fn send(
        &self,
        body: Vec<u8>,
        encoding: Option<&str>,
    ) -> Option<Result<Down, (StatusCode, Value)>> {
        let mut request = self
            .http
            .post(format!("{}/sync", self.base))
            .bearer_auth(&self.secret)
            .body(body);
        if let Some(encoding) = encoding {
            request = request.header("content-encoding", encoding);
        }
        let answer = request.send().await.ok()?;
        let status = answer.status();
        let body = answer.bytes().await.ok()?;
        if status == StatusCode::OK {
            return Some(Ok(serde_json::from_slice(&body).unwrap()));
        }
        Some(Err((
            status,
            serde_json::from_slice(&body).unwrap_or_default(),
        )))
    }

    /// All pages of the past.
    pub(crate) async fn past(&self) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        loop {
            let after = lines.last().map_or(0, |line| seq_of(line));
            let request = self
                .http
                .get(format!("{}/sync/past?after={after}", self.base))
                .bearer_auth(&self.secret);
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            let page = answer.text().await.unwrap();
            if page.is_empty() {
                return lines;
            }
            lines.extend(page.lines().map(str::to_owned));
        }
    }
}

pub(crate) fn seq_of(line: &str) -> i64 {
    sync_wire::entry::Entry::read(line.as_bytes()).unwrap().seq
}

/// A store that has joined.
pub(crate) struct Joined {
    pub(crate) tenant: TenantId,
    pub(crate) store: Uuid,
    pub(crate) line: Line,
    pub(crate) answer: Enrolled,
}

/// A store at head office, not joined yet.
pub(crate) async fn new_store(test: &Test, tenant: TenantId, name: &str) -> Uuid {
    let store = Uuid::new_v4();
    let mut client = test.hq.db.client().await.unwrap();
    let tx = db::tenant(&mut client, tenant).await.unwrap();
    tx.execute(
        "INSERT INTO stores (tenant_id, store_id, name, created_at) VALUES ($1, $2, $3, $4)",
        &[&tenant.0, &store, &name, &test.hq.now()],
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    store
}

/// A code for it.
pub(crate) async fn new_code(test: &Test, tenant: TenantId, store: Uuid) -> String {
    let mut client = test.hq.db.client().await.unwrap();
    let tx = db::tenant(&mut client, tenant).await.unwrap();
    let code = enrol::new_code(&tx, tenant, store, "user:admin@example.com", test.hq.now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    code.expose_secret().to_owned()
}

/// What a store says to join.
pub(crate) fn asking(code: &str, tills: Vec<KnownTill>) -> Enrol {
    Enrol {
        protocol: sync_wire::VERSION,
        code: code.to_owned(),
        seal_key: SealKey::new().unwrap().1,
        version: "0.1.0".to_owned(),
        tills,
    }
}

/// Joins; or why not.
pub(crate) async fn enrol(test: &Test, enrol: &Enrol) -> Result<Enrolled, (StatusCode, Value)> {
    let request = test.http.post(test.url("/sync/enrol")).json(enrol);
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let body = answer.bytes().await.unwrap();
    match status {
        StatusCode::OK => Ok(serde_json::from_slice(&body).unwrap()),
        _ => Err((status, serde_json::from_slice(&body).unwrap_or_default())),
    }
}

/// A store of this tenant that has joined.
pub(crate) async fn joined(test: &Test, tenant: TenantId, name: &str) -> Joined {
    let store = new_store(test, tenant, name).await;
    again(test, tenant, store, vec![]).await
}

/// Joins with a new code.
pub(crate) async fn again(
    test: &Test,
    tenant: TenantId,
    store: Uuid,
    tills: Vec<KnownTill>,
) -> Joined {
    let code = new_code(test, tenant, store).await;
    let answer = enrol(test, &asking(&code, tills)).await.unwrap();
    Joined {
        tenant,
        store,
        line: Line {
            http: test.http.clone(),
            base: test.base.clone(),
            secret: answer.secret.clone(),
        },
        answer,
    }
}

/// A tenant with one store.
pub(crate) async fn one(test: &Test) -> Joined {
    let tenant = test.tenant("Baobab Stores").await;
    joined(test, tenant, "Harare 1").await
}

/// A shop's next batch goes up, and the shop hears the answer.
pub(crate) async fn exchange(line: &Line, shop: &mut Shop, most: usize) -> Down {
    let down = line.say(shop.batch(most)).await.unwrap();
    heard(shop, &down);
    down
}

/// All that a shop has goes up.
pub(crate) async fn all(line: &Line, shop: &mut Shop) {
    while shop.acked < shop.last_seq() {
        let before = shop.acked;
        exchange(line, shop, 500).await;
        assert!(shop.acked > before, "head office takes nothing");
    }
}

/// What an answer means for a shop, as docs/HQ.md says it. False: its ledger must begin a new series.
pub(crate) fn heard(shop: &mut Shop, down: &Down) -> bool {
    shop.commands_seen = down
        .commands
        .last()
        .map_or(shop.commands_seen, |command| command.no);
    shop.revision = shop.revision.max(down.wanted.revision);
    if down.epoch == Some(shop.epoch) {
        if shop.hash_at(down.acked) != Some(down.hash) {
            return false;
        }
        (shop.acked, shop.hash, shop.fork) = (down.acked, down.hash, None);
        return true;
    }
    match &shop.fork {
        // Head office is at the series before.
        Some(fork) if Some(fork.parent) == down.epoch => true,
        Some(_) => false,
        None => down.epoch.is_none() && shop.acked == 0,
    }
}

/// All receipts that head office has of a tenant.
pub(crate) async fn receipts(test: &Test, tenant: TenantId) -> Vec<ReceiptKey> {
    let rows = rows(
        test,
        tenant,
        "SELECT environment, device_id, receipt_global_no, hash FROM receipts WHERE tenant_id = $1 ORDER BY 1, 2, 3, 4",
    )
    .await;
    rows.iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3)))
        .collect()
}

/// What a statement with the tenant as `$1` finds.
pub(crate) async fn rows(test: &Test, tenant: TenantId, sql: &str) -> Vec<tokio_postgres::Row> {
    let mut client = test.hq.db.client().await.unwrap();
    let tx = db::tenant(&mut client, tenant).await.unwrap();
    tx.query(sql, &[&tenant.0]).await.unwrap()
}

/// One number that a statement with the tenant as `$1` finds.
pub(crate) async fn count(test: &Test, tenant: TenantId, sql: &str) -> i64 {
    rows(test, tenant, sql).await[0].get(0)
}

/// Does something in a transaction of the tenant's.
pub(crate) async fn change(test: &Test, tenant: TenantId, sql: &str) {
    let mut client = test.hq.db.client().await.unwrap();
    let tx = db::tenant(&mut client, tenant).await.unwrap();
    tx.execute(sql, &[&tenant.0]).await.unwrap();
    tx.commit().await.unwrap();
}

/// The kinds of the alerts that are open.
pub(crate) async fn alerts(test: &Test, tenant: TenantId) -> Vec<String> {
    let sql = "SELECT kind FROM alerts WHERE tenant_id = $1 AND ended_at IS NULL ORDER BY 1";
    let rows = rows(test, tenant, sql).await;
    rows.iter().map(|row| row.get(0)).collect()
}
