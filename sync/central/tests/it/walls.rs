//! The walls between tenants: row-level security on every table, keys that begin with the tenant, a role that may
//! no more than it should. The tables are read from the database, so that a new one is looked at too.

use fiscal_hq::db::{APP_ROLE, TenantId};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use crate::support::{OWNER, START, Test};

/// The one table without a tenant: which migrations were done.
const WITHOUT_TENANT: &str = "schema_migrations";
/// What is only appended to.
const APPEND_ONLY: [&str; 3] = ["fdms_audit_logs", "receipts", "fdms_submission_logs"];
/// What the service reads through functions alone.
const HIDDEN: [&str; 2] = ["lookups", "audit_heads"];

/// A table of head office.
struct Table {
    name: String,
    is_partition: bool,
}

async fn tables(client: &Client) -> Vec<Table> {
    let rows = client
        .query(
            "SELECT c.relname::text, c.relispartition FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND c.relname <> $1 ORDER BY 1",
            &[&WITHOUT_TENANT],
        )
        .await
        .unwrap();
    let table = |row: &tokio_postgres::Row| Table {
        name: row.get(0),
        is_partition: row.get(1),
    };
    rows.iter().map(table).collect()
}

/// One row for a tenant, whatever the table: columns are filled by their types and checks.
async fn insert(client: &Client, table: &str, tenant: TenantId) -> String {
    let columns = client
        .query(
            "SELECT a.attname::text, format_type(a.atttypid, NULL),
               (SELECT substring(pg_get_constraintdef(k.oid) FROM $q$'([^']+)'::text$q$) FROM pg_constraint k
                WHERE k.conrelid = a.attrelid AND k.contype = 'c' AND k.conkey = ARRAY[a.attnum] LIMIT 1)
             FROM pg_attribute a WHERE a.attrelid = to_regclass('public.' || $1) AND a.attnum > 0
               AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum",
            &[&table],
        )
        .await
        .unwrap();
    let mut names = Vec::new();
    let mut values = Vec::new();
    for column in &columns {
        let (name, kind): (String, String) = (column.get(0), column.get(1));
        let allowed: Option<String> = column.get(2);
        values.push(match kind.as_str() {
            _ if name == "tenant_id" => format!("'{tenant}'"),
            "uuid" => "gen_random_uuid()".to_owned(),
            "text" => format!("'{}'", allowed.as_deref().unwrap_or("x")),
            "integer" | "bigint" | "smallint" => "1".to_owned(),
            "boolean" => "false".to_owned(),
            "bytea" => "'\\x00'".to_owned(),
            "jsonb" => "'{}'".to_owned(),
            "timestamp with time zone" | "timestamp without time zone" | "date" => {
                format!("'{START}'")
            }
            other => panic!("{table}.{name} is {other}: say here what to put into it"),
        });
        names.push(name);
    }
    format!(
        "INSERT INTO {table} ({}) VALUES ({})",
        names.join(", "),
        values.join(", ")
    )
}

/// Runs a statement as a tenant; the rows that it touched. It is taken back.
async fn as_tenant(client: &mut Client, tenant: TenantId, statement: &str) -> Result<u64, Error> {
    let tx = client.transaction().await.unwrap();
    tx.execute(
        "SELECT set_config('app.tenant', $1, true)",
        &[&tenant.to_string()],
    )
    .await
    .unwrap();
    let done = tx.execute(statement, &[]).await;
    tx.rollback().await.unwrap();
    done
}

/// Nothing was touched, or it is not allowed at all.
fn assert_nothing(done: Result<u64, Error>, statement: &str) {
    match done {
        Ok(count) => assert_eq!(count, 0, "{statement}"),
        Err(error) => assert_eq!(
            error.code(),
            Some(&SqlState::INSUFFICIENT_PRIVILEGE),
            "{statement}: {error:?}"
        ),
    }
}

/// Row-level security is on and forced everywhere, and every key begins with the tenant.
#[tokio::test]
async fn every_table_is_walled() {
    let test = Test::start().await;
    let root = test.database.connect("postgres").await;
    let bare = root
        .query(
            "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND c.relname <> $1
               AND NOT (c.relrowsecurity AND c.relforcerowsecurity)",
            &[&WITHOUT_TENANT],
        )
        .await
        .unwrap();
    let bare: Vec<String> = bare.iter().map(|row| row.get(0)).collect();
    assert!(
        bare.is_empty(),
        "without forced row-level security: {bare:?}"
    );
    // A lookup answers whose a hash is: it cannot begin with the tenant.
    let keys = root
        .query(
            "SELECT c.relname::text, i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
               JOIN pg_namespace n ON n.oid = c.relnamespace
               LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
             WHERE n.nspname = 'public' AND i.indisunique AND c.relname NOT IN ($1, 'lookups')
               AND a.attname IS DISTINCT FROM 'tenant_id'",
            &[&WITHOUT_TENANT],
        )
        .await
        .unwrap();
    let keys: Vec<(String, String)> = keys.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert!(
        keys.is_empty(),
        "keys that do not begin with tenant_id: {keys:?}"
    );
    let all = tables(&root).await;
    assert!(all.len() > 20, "{}", all.len());
    for table in all {
        let has = root
            .query_opt(
                "SELECT FROM pg_index i WHERE i.indrelid = to_regclass('public.' || $1) AND i.indisprimary",
                &[&table.name],
            )
            .await
            .unwrap();
        assert!(has.is_some(), "{} has no primary key", table.name);
    }
}

/// The service's role owns nothing, cannot step over the walls, and appends where it must not change.
#[tokio::test]
async fn the_role_may_no_more_than_it_should() {
    let test = Test::start().await;
    let root = test.database.connect("postgres").await;
    let owned = root
        .query_one(
            "SELECT count(*) FROM pg_class WHERE relowner = (SELECT oid FROM pg_roles WHERE rolname = $1)",
            &[&APP_ROLE],
        )
        .await
        .unwrap();
    assert_eq!(owned.get::<_, i64>(0), 0);
    let role = root
        .query_one(
            "SELECT rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname = $1",
            &[&APP_ROLE],
        )
        .await
        .unwrap();
    assert!(!role.get::<_, bool>(0));
    let may = async |table: &str, what: &str| -> bool {
        root.query_one(
            "SELECT has_table_privilege($1, $2, $3)",
            &[&APP_ROLE, &table, &what],
        )
        .await
        .unwrap()
        .get(0)
    };
    for table in tables(&root).await {
        for what in ["TRUNCATE", "TRIGGER", "REFERENCES"] {
            assert!(!may(&table.name, what).await, "{what} on {}", table.name);
        }
        let is_hidden = table.is_partition || HIDDEN.contains(&table.name.as_str());
        for what in ["SELECT", "INSERT", "UPDATE", "DELETE"] {
            let is_append =
                APPEND_ONLY.contains(&table.name.as_str()) && matches!(what, "UPDATE" | "DELETE");
            if is_hidden || is_append {
                assert!(!may(&table.name, what).await, "{what} on {}", table.name);
            }
        }
    }
    assert!(may("schema_migrations", "SELECT").await);
    assert!(!may("schema_migrations", "INSERT").await);
    let app = test.database.connect(APP_ROLE).await;
    for statement in [
        "CREATE TABLE mine (a integer)",
        "ALTER TABLE users DISABLE ROW LEVEL SECURITY",
        "SET session_replication_role = replica",
        "SELECT * FROM lookups",
        "TRUNCATE receipts",
    ] {
        let refused = app.batch_execute(statement).await.unwrap_err();
        assert_eq!(
            refused.code(),
            Some(&SqlState::INSUFFICIENT_PRIVILEGE),
            "{statement}"
        );
    }
}

/// Not even the owner changes what is only appended to.
#[tokio::test]
async fn what_was_written_stays() {
    let test = Test::start().await;
    let tenant = test.tenant("Baobab Stores").await;
    let mut owner = test.database.connect(OWNER).await;
    for table in ["fdms_audit_logs", "receipts"] {
        for statement in [
            format!("UPDATE {table} SET tenant_id = tenant_id"),
            format!("DELETE FROM {table}"),
            format!("TRUNCATE {table}"),
        ] {
            let refused = as_tenant(&mut owner, tenant, &statement).await.unwrap_err();
            assert_eq!(
                refused.code(),
                Some(&SqlState::RAISE_EXCEPTION),
                "{statement}"
            );
        }
    }
}

/// As one tenant, every table answers nothing of another's, to reading, changing, removing and adding.
#[tokio::test]
async fn no_table_answers_anything_of_another_tenant() {
    let test = Test::start().await;
    let ours = test.tenant("Baobab Stores").await;
    let theirs = test.tenant("Msasa Traders").await;
    let root = test.database.connect("postgres").await;
    root.batch_execute("SET session_replication_role = replica")
        .await
        .unwrap();
    let all = tables(&root).await;
    for table in all.iter().filter(|table| !table.is_partition) {
        let row = insert(&root, &table.name, theirs).await;
        let row = format!("{row} ON CONFLICT DO NOTHING");
        root.batch_execute(&row)
            .await
            .unwrap_or_else(|error| panic!("{row}: {error:?}"));
    }
    let mut app = test.database.connect(APP_ROLE).await;
    for table in &all {
        let name = &table.name;
        let there = format!("SELECT FROM {name} WHERE tenant_id = '{theirs}'");
        if !table.is_partition {
            let count = root.query(&there, &[]).await.unwrap().len();
            assert!(
                count > 0,
                "no row of the other tenant in {name}: nothing is tested there"
            );
        }
        let statements = [
            there.clone(),
            format!("SELECT FROM {name} WHERE tenant_id <> '{ours}'"),
            format!("UPDATE {name} SET tenant_id = tenant_id WHERE tenant_id <> '{ours}'"),
            format!("UPDATE {name} SET tenant_id = '{ours}' WHERE tenant_id = '{theirs}'"),
            format!("DELETE FROM {name} WHERE tenant_id <> '{ours}'"),
        ];
        for statement in &statements {
            assert_nothing(as_tenant(&mut app, ours, statement).await, statement);
        }
        let row = insert(&root, name, theirs).await;
        let added = as_tenant(&mut app, ours, &row).await;
        let code = added.expect_err(&row).code().cloned();
        let is_refused = matches!(
            code,
            Some(SqlState::INSUFFICIENT_PRIVILEGE | SqlState::RAISE_EXCEPTION)
        );
        assert!(is_refused, "{row}: {code:?}");
        // Nobody in particular sees nothing at all.
        assert_nothing(app.execute(&there, &[]).await, &there);
        // The operator sees who the tenants are, not what they have.
        if !matches!(name.as_str(), "tenants" | "tenant_summaries") {
            assert_nothing(
                as_tenant(&mut app, TenantId::OPERATOR, &there).await,
                &there,
            );
        }
    }
}
