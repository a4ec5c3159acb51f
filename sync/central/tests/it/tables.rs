//! The tables as the database's catalogue has them: the documents name each, they can be distributed as docs/SCALING.md
//! says, and the check of the walls between tenants tries them all.

use std::collections::BTreeSet;

use fiscal_hq::db::APP_ROLE;
use serde_json::json;
use tokio_postgres::Client;

use crate::played::Admin;
use crate::support::Test;

const HQ: &str = include_str!("../../../../docs/HQ.md");
const SCALING: &str = include_str!("../../../../docs/SCALING.md");

/// All tables but partitions.
async fn catalogue(sql: &Client) -> BTreeSet<String> {
    let find =
        "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition";
    let rows = sql.query(find, &[]).await.unwrap();
    assert!(rows.len() > 20, "{}", rows.len());
    rows.iter().map(|row| row.get(0)).collect()
}

/// The part of a text between two others.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("no {from}"));
    rest.split_once(to).unwrap_or_else(|| panic!("no {to}")).0
}

/// Every second part: what stands between marks.
fn marked(text: &str, mark: char) -> Vec<String> {
    text.split(mark)
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// The list of tables in docs/HQ.md has each of them once, and none that is not there.
#[tokio::test]
async fn the_document_names_every_table() {
    let test = Test::start().await;
    let sql = test.database.connect("postgres").await;
    let list = between(HQ, "\n## Tables of HQ\n", "\n## ");
    let rows = list.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.map(|row| format!("`{}", row.split('|').next().unwrap()));
    let named: Vec<String> = cells.flat_map(|cell| marked(&cell, '`')).collect();
    let once: BTreeSet<String> = named.iter().cloned().collect();
    assert_eq!(once, catalogue(&sql).await);
    assert_eq!(once.len(), named.len(), "one is named twice: {named:?}");
}

/// What docs/SCALING.md has distributed: tables with their columns, in order; and what it leaves where it is.
fn distribution() -> (Vec<(String, &'static str)>, Vec<String>) {
    let block = between(SCALING, "SELECT create_distributed_table('tenants'", "```");
    let mut distributed = vec![("tenants".to_owned(), "tenant_id")];
    let list = between(block, "unnest(ARRAY[", "]) AS name");
    let by_tenant = marked(list, '\'').into_iter();
    distributed.extend(by_tenant.map(|name| (name, "tenant_id")));
    assert!(block.contains("create_distributed_table('lookups', 'key'"));
    distributed.push(("lookups".to_owned(), "key"));
    let local = between(block, "-- Local, on the coordinator: ", "\n");
    (distributed, marked(local, '\''))
}

/// Each table is distributed or named local. Unique keys have the column by which theirs is; so have foreign keys, which refer
/// to what is distributed before, and never from a local table to a distributed one: Citus refuses all else.
#[tokio::test]
async fn every_table_can_be_distributed() {
    let test = Test::start().await;
    let sql = test.database.connect("postgres").await;
    let (distributed, local) = distribution();
    let named = distributed.iter().map(|(name, _)| name).chain(&local);
    let named: Vec<&String> = named.collect();
    let once: BTreeSet<String> = named.iter().copied().cloned().collect();
    assert_eq!(once, catalogue(&sql).await);
    assert_eq!(once.len(), named.len(), "one is named twice: {named:?}");

    let keys = "SELECT c.relname::text, i.indexrelid::regclass::text, ARRAY(SELECT a.attname::text FROM pg_attribute a
          WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey::int2[]))
        FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'public' AND i.indisunique AND NOT c.relispartition";
    for row in sql.query(keys, &[]).await.unwrap() {
        let (table, key, columns): (String, String, Vec<String>) =
            (row.get(0), row.get(1), row.get(2));
        let by = distributed.iter().find(|(name, _)| *name == table);
        if let Some((_, by)) = by {
            assert!(
                columns.iter().any(|column| column == by),
                "{key}: {columns:?}"
            );
        }
    }
    let foreign = "SELECT k.conname::text, c.relname::text, f.relname::text,
          ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = ANY (k.conkey))
        FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class f ON f.oid = k.confrelid
        WHERE k.contype = 'f' AND NOT c.relispartition";
    let rows = sql.query(foreign, &[]).await.unwrap();
    assert!(rows.len() > 10, "{}", rows.len());
    let place = |name: &str| distributed.iter().position(|(table, _)| table == name);
    for row in rows {
        let (key, from, to): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        let columns: Vec<String> = row.get(3);
        let (from, to) = (place(&from), place(&to));
        assert!(
            from.is_some(),
            "{key} leads from a local table to a distributed one"
        );
        assert!(
            to.is_some() && to < from,
            "{key} refers to what is not distributed before"
        );
        assert!(
            columns.iter().any(|column| column == "tenant_id"),
            "{key}: {columns:?}"
        );
    }
}

/// The check of the walls tries every table, also one that was not there when it was written: a row of another company that can
/// be read, or written to, in any of them is seen.
#[tokio::test]
async fn the_walls_are_tried_in_every_table() {
    let test = Test::start().await;
    let control = Admin::of_new(&test, "Control").await;
    control.new_store("Elsewhere").await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let sql = test.database.connect("postgres").await;
    let check = async || {
        admin
            .post("/fiscal_profile/checklist/isolation", json!({}))
            .await
    };
    let held = check().await;
    assert_eq!(
        (&held["held"], &held["rows_seen"]),
        (&json!(true), &json!(0)),
        "{held}"
    );
    // All but the one that has no tenants.
    let tried = held["tables"].as_u64().unwrap() + held["closed"].as_u64().unwrap();
    assert_eq!(
        usize::try_from(tried).unwrap() + 1,
        catalogue(&sql).await.len()
    );
    assert_eq!(held["closed"], 2, "lookups and audit_heads");
    let table = format!(
        "CREATE TABLE later (tenant_id uuid NOT NULL, n integer); GRANT SELECT ON later TO {APP_ROLE};
         INSERT INTO later VALUES ('{}', 1)",
        control.tenant
    );
    sql.batch_execute(&table).await.unwrap();
    let fallen = check().await;
    assert_eq!(
        (
            &fallen["held"],
            &fallen["rows_seen"],
            &fallen["write_refused"]
        ),
        (&json!(false), &json!(1), &json!(true)),
        "{fallen}"
    );
    // A wall that lets nothing be read, and everything be written.
    let open = format!(
        "GRANT UPDATE ON later TO {APP_ROLE}; ALTER TABLE later ENABLE ROW LEVEL SECURITY;
         CREATE POLICY seen ON later FOR SELECT USING (true); CREATE POLICY written ON later FOR UPDATE USING (true)"
    );
    sql.batch_execute(&open).await.unwrap();
    let fallen = check().await;
    assert_eq!(fallen["write_refused"], false, "{fallen}");
    sql.batch_execute("DROP POLICY seen ON later; DROP POLICY written ON later")
        .await
        .unwrap();
    assert_eq!(
        check().await["held"],
        true,
        "nobody sees a row without a policy"
    );
}
