//! The judge of a run: what is in head office's tables, read past it, against the ledgers. It shares no code with head
//! office: it reads the lines and walks their hashes by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use tokio_postgres::Client;
use uuid::Uuid;

use super::super::shop::Line;
use super::world::World;
use super::{LOST, PUT_BACK, Told};

/// What is kept of lines, as often as it is there.
type Bag = BTreeMap<String, u64>;

/// A line as this judge reads it.
#[derive(Deserialize)]
struct Read<'a> {
    seq: i64,
    kind: &'a str,
    #[serde(borrow)]
    body: &'a RawValue,
}

/// The commands of a store that head office knows to be done.
pub(super) async fn commands_done(world: &World, store: Uuid) -> BTreeSet<Uuid> {
    let _quiet = world.quiet.read().await;
    let sql = "SELECT command_id FROM commands WHERE store_id = $1 AND status = 'done'";
    let root = world.test.database.connect("postgres").await;
    let rows = root.query(sql, &[&store]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// What a run came to in which nothing was wrong.
#[derive(Serialize)]
pub(super) struct Figures {
    stores: usize,
    /// Lines that are at head office once.
    events: usize,
    /// Commands that were carried out once.
    commands: usize,
    /// Rows of the audit.
    audit: i64,
    exchanges: u64,
    /// How often each thing went wrong on the way.
    mishaps: BTreeMap<&'static str, u64>,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} lines of {} stores are there once, {} commands were carried out once, {} rows of the audit are whole.\n\
             {} exchanges;",
            self.events, self.stores, self.commands, self.audit, self.exchanges
        )?;
        for (what, count) in &self.mishaps {
            write!(f, " {what}: {count};")?;
        }
        Ok(())
    }
}

/// Judges; figures, or what is wrong.
pub(super) async fn judge(world: &World, stores: &[Told]) -> Result<Figures, String> {
    let root = world.test.database.connect("postgres").await;
    let events = union(&root, stores).await?;
    numbers(&root, stores).await?;
    for (index, told) in stores.iter().enumerate() {
        past(&root, told)
            .await
            .map_err(|why| format!("store {index}: {why}"))?;
    }
    series(&root).await?;
    let commands = commands(&root, stores).await?;
    let audit = audit(world, &root).await?;
    alerts(&root).await?;
    postgres_log(&root).await?;
    Ok(Figures {
        stores: stores.len(),
        events,
        commands,
        audit,
        exchanges: world.proxy.exchanges.load(Ordering::Relaxed),
        mishaps: world.mishaps.all(),
    })
}

/// How a line is to be found: which store's, its number, what it says.
fn shown(store: Uuid, line: &Line) -> String {
    let read: Read<'_> = serde_json::from_str(&line.text).unwrap();
    let whole: Value = serde_json::from_str(&line.text).unwrap();
    let body = &whole["body"];
    let word = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let till = format!(
        "{} {}",
        whole["environment"].as_str().unwrap_or("-"),
        whole["deviceID"]
    );
    let said = match read.kind {
        "receipt.issued" => format!(
            "receipt {till} {} {} {}",
            body["receiptGlobalNo"],
            word("hash"),
            word("body"),
        ),
        "fdms.attempt" => format!(
            "attempt {till} {} {} {} {}",
            word("item"),
            body["number"],
            body["attempt"],
            word("outcome")
        ),
        kind => format!("{kind} {}", read.body.get()),
    };
    format!("{store} {} {said}", read.seq)
}

/// Everything that is in the tables, as [`shown`] shows it.
async fn tables(root: &Client) -> Bag {
    let mut bag = Bag::new();
    for sql in [
        "SELECT concat_ws(' ', store_id, seq, 'receipt', environment, device_id, receipt_global_no,
           translate(encode(hash, 'base64'), E'\n', ''), body) FROM receipts",
        "SELECT concat_ws(' ', store_id, seq, 'attempt', environment, device_id, kind, number, attempt, outcome)
         FROM fdms_submission_logs",
        "SELECT concat_ws(' ', store_id, seq, kind, body) FROM store_events",
    ] {
        for row in root.query(sql, &[]).await.unwrap() {
            *bag.entry(row.get(0)).or_default() += 1;
        }
    }
    bag
}

/// The tables are the union of the ledgers, each line once. What a ledger had that is no more, and head office had not
/// acknowledged, may be there; without a gap.
async fn union(root: &Client, stores: &[Told]) -> Result<usize, String> {
    let mut there = tables(root).await;
    let mut found = 0;
    let mut take = |line: &String| match there.get_mut(line) {
        Some(1) => {
            there.remove(line);
            found += 1;
            true
        }
        Some(count) => {
            *count -= 1;
            true
        }
        None => false,
    };
    for told in stores {
        let store = told.joined.store;
        for line in &told.ledger.shop.lines {
            if !take(&shown(store, line)) {
                return Err(format!("a line is not at head office: {}", line.text));
            }
        }
        let mut is_cut = false;
        for (line, is_acknowledged) in &told.gone {
            let is_there = take(&shown(store, line));
            if is_there && is_cut {
                return Err(format!("lines before this one are missing: {}", line.text));
            }
            if *is_acknowledged && !is_there {
                return Err(format!(
                    "a line was acknowledged and is missing: {}",
                    line.text
                ));
            }
            is_cut |= !is_there;
        }
    }
    match there.first_key_value() {
        None => Ok(found),
        Some((line, count)) => Err(format!(
            "{} lines are there too often, or are no ledger's; {count} times: {line}",
            there.len()
        )),
    }
}

/// Each till's numbers are all there, from the first to the last; only a ledger that is no more has one twice.
async fn numbers(root: &Client, stores: &[Told]) -> Result<(), String> {
    let sql = "SELECT device_id, min(receipt_global_no), max(receipt_global_no),
        count(DISTINCT receipt_global_no)::integer, count(*)::integer FROM receipts GROUP BY device_id ORDER BY device_id";
    let rows = root.query(sql, &[]).await.unwrap();
    if rows.len() != stores.len() {
        return Err(format!("{} tills have receipts", rows.len()));
    }
    for (row, told) in rows.iter().zip(stores) {
        let (first, last, numbers, count): (i32, i32, i32, i32) =
            (row.get(1), row.get(2), row.get(3), row.get(4));
        let device: i32 = row.get(0);
        if (first, numbers) != (1, last) {
            return Err(format!(
                "till {device} has {numbers} numbers from {first} to {last}"
            ));
        }
        if told.gone.is_empty() && count != numbers {
            return Err(format!(
                "till {device} has {count} receipts of {numbers} numbers"
            ));
        }
    }
    Ok(())
}

/// What head office gives back is the ledger, to the byte; the hash over it is the one that both know.
async fn past(root: &Client, told: &Told) -> Result<(), String> {
    let shop = &told.ledger.shop;
    let past = told.joined.line.past().await;
    if !past.iter().eq(shop.lines.iter().map(|line| &line.text)) {
        return Err("the past at head office is another one than the ledger".to_owned());
    }
    let mut hash = [0_u8; 32];
    let mut hashes = BTreeMap::new();
    for line in &shop.lines {
        let mut digest = Sha256::new();
        digest.update(hash);
        digest.update(&line.text);
        hash = digest.finalize().into();
        hashes.insert(line.seq, hash.to_vec());
    }
    let store = told.joined.store;
    let sql = "SELECT epoch_no, acked, hash, epoch FROM store_cursors WHERE store_id = $1";
    let row = root.query_one(sql, &[&store]).await.unwrap();
    let (no, acked, at, epoch): (i32, i64, Vec<u8>, Uuid) =
        (row.get(0), row.get(1), row.get(2), row.get(3));
    let is_own = acked == shop.last_seq() && at == hash && epoch == shop.epoch;
    if !is_own || shop.hash.0 != hash || shop.acked != acked {
        return Err(format!(
            "the chains part: head office is at {acked}, the store at {}",
            shop.acked
        ));
    }
    let sql = "SELECT seq, hash FROM store_points WHERE store_id = $1 AND epoch_no = $2";
    for row in root.query(sql, &[&store, &no]).await.unwrap() {
        let (seq, kept): (i64, Vec<u8>) = (row.get(0), row.get(1));
        if hashes.get(&seq) != Some(&kept) {
            return Err(format!("the hash that is kept at {seq} is another one"));
        }
    }
    Ok(())
}

/// Whoever was put back, and whoever was lost, has begun one series; nobody else has.
async fn series(root: &Client) -> Result<(), String> {
    let sql = "SELECT s.name, count(*)::integer FROM store_epochs e JOIN stores s USING (store_id) GROUP BY s.name
        ORDER BY s.name";
    let rows = root.query(sql, &[]).await.unwrap();
    for (index, row) in rows.iter().enumerate() {
        let (name, count): (&str, i32) = (row.get(0), row.get(1));
        let expected = if index == PUT_BACK || index == LOST {
            2
        } else {
            1
        };
        if count != expected {
            return Err(format!("{name} has {count} series, not {expected}"));
        }
    }
    Ok(())
}

/// Each command has been carried out once and has one answer.
async fn commands(root: &Client, stores: &[Told]) -> Result<usize, String> {
    let sql = "SELECT c.command_id, c.kind, c.status,
        (SELECT count(*) FROM receipts r WHERE r.store_id = c.store_id
           AND position('hq:' || c.command_id::text IN r.rest) > 0)::integer,
        (SELECT count(*) FROM store_events e WHERE e.store_id = c.store_id AND e.kind = 'hq.command'
           AND position(c.command_id::text IN e.body) > 0)::integer,
        (SELECT count(*) FROM fdms_audit_logs a WHERE a.tenant_id = c.tenant_id
           AND a.action = 'command.' || c.kind || '.done' AND a.after->>'command' = c.command_id::text)::integer
        FROM commands c";
    let rows = root.query(sql, &[]).await.unwrap();
    for row in &rows {
        let (id, kind, status): (Uuid, &str, &str) = (row.get(0), row.get(1), row.get(2));
        let (receipts, answers, audited): (i32, i32, i32) = (row.get(3), row.get(4), row.get(5));
        let wanted = i32::from(kind == "submit_test");
        // A ledger that had done it, and could not say so, is no more.
        let is_torn = stores.iter().any(|told| told.torn.contains(&id));
        let is_once = receipts == wanted || is_torn && receipts == 2;
        if !is_once || (status, answers, audited) != ("done", 1, 1) {
            return Err(format!(
                "the command {id} ({kind}) is {status}: {receipts} receipts, {answers} answers, {audited} rows of the audit"
            ));
        }
    }
    if rows.len() < stores.len() {
        return Err(format!("there were only {} commands", rows.len()));
    }
    Ok(rows.len())
}

/// The audit's chain is whole, and has each fork once.
async fn audit(world: &World, root: &Client) -> Result<i64, String> {
    let checked = fiscal_hq::audit::verify::verify(&world.test.hq.db, world.tenant, |_, _| ());
    let report = checked.await.map_err(|error| error.to_string())?;
    if let Some(broken) = report.broken {
        return Err(broken.to_string());
    }
    let sql = "SELECT count(*) FROM fdms_audit_logs WHERE action = 'store.fork'";
    let forks: i64 = root.query_one(sql, &[]).await.unwrap().get(0);
    match forks {
        2 => Ok(report.rows),
        other => Err(format!("the audit has {other} forks")),
    }
}

/// Nothing has stopped a store, and no fork was refused.
async fn alerts(root: &Client) -> Result<(), String> {
    let sql =
        "SELECT kind || ': ' || detail FROM alerts WHERE kind IN ('sync_stopped', 'fork_refused')";
    match root.query_opt(sql, &[]).await.unwrap() {
        None => Ok(()),
        Some(row) => Err(row.get(0)),
    }
}

/// Transactions have never waited for each other in a circle, and no row was refused by the tables alone.
async fn postgres_log(root: &Client) -> Result<(), String> {
    let row = root.query_one("SHOW data_directory", &[]).await.unwrap();
    let path = std::path::Path::new(row.get::<_, &str>(0)).join("log");
    let log = std::fs::read_to_string(path).unwrap();
    let is_wrong = |line: &&str| line.contains("deadlock detected") || line.contains("violates");
    match log.lines().find(is_wrong) {
        None => Ok(()),
        Some(line) => Err(format!("Postgres has written: {line}")),
    }
}
