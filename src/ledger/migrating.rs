//! A ledger of an older version is copied before its tables are changed: whatever goes wrong then, it is there as it
//! was, for the version that wrote it. The copy is made and checked like a backup, and `fiscald restore` puts it back.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::verify::verify_quick;
use super::{StorageError, copies, schema};
use crate::crash::{self, Point};

/// What the name of a copy begins with; it lies beside the ledger.
const PREFIX: &str = "ledger.before-step-";

/// A ledger that was brought to this version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// Its tables' step before.
    pub from: i64,
    /// Their step now.
    pub to: i64,
    /// The ledger as it was before.
    pub backup: PathBuf,
}

/// Brings the ledger at `path` to this version's tables; one that has any of another version is copied first.
///
/// # Errors
/// It cannot be copied, in which case it is as it was; it cannot be written; or a newer version has changed it.
pub(super) fn migrate(
    conn: &mut Connection,
    path: &Path,
) -> Result<Option<Migrated>, StorageError> {
    let (from, to) = (schema::version(conn)?, schema::newest());
    if from == 0 || from >= to {
        schema::migrate(conn)?;
        return Ok(None);
    }
    let backup = path.with_file_name(format!("{PREFIX}{to}.db"));
    copy(path, &backup).map_err(|why| StorageError::NotCopied {
        backup: backup.display().to_string(),
        why,
    })?;
    crash::at(Point::MigrateNamed);
    schema::migrate(conn)?;
    crash::at(Point::MigrateKept);
    // Of the steps before this one nothing is lost: the copy just made has come from them.
    remove_others(path, &backup);
    tracing::info!(from, to, backup = %backup.display(), "the ledger was brought to this version; a copy of it as it was is kept");
    Ok(Some(Migrated { from, to, backup }))
}

/// Copies and checks the ledger as a backup is; a copy that was broken off, or is not what was written, is no copy.
fn copy(ledger: &Path, to: &Path) -> Result<(), String> {
    let draft = to.with_extension("db.new");
    let _ = std::fs::remove_file(&draft);
    let say = |error: std::io::Error| error.to_string();
    let copied = checked(ledger, &draft)
        .inspect(|()| crash::at(Point::MigrateCopied))
        .and_then(|()| std::fs::rename(&draft, to).map_err(say))
        .and_then(|()| sync_folder(to).map_err(say));
    if copied.is_err() {
        // A full disk gets its room back.
        let _ = std::fs::remove_file(&draft);
    }
    copied
}

/// Nobody sells meanwhile, so nothing is paced.
fn checked(ledger: &Path, draft: &Path) -> Result<(), String> {
    let written =
        copies::copy(ledger, draft, &mut |_, _| true).map_err(|error| error.to_string())?;
    let found = verify_quick(draft).map_err(|error| error.to_string())?;
    match written == Some(found) {
        true => Ok(()),
        false => {
            Err("it is not what was written: the disk under it is not to be trusted".to_owned())
        }
    }
}

fn sync_folder(file: &Path) -> std::io::Result<()> {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => std::fs::File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

fn remove_others(ledger: &Path, kept: &Path) {
    let Some(entries) = ledger.parent().and_then(|dir| std::fs::read_dir(dir).ok()) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_copy = name.to_string_lossy().starts_with(PREFIX);
        if is_copy
            && Some(name.as_os_str()) != kept.file_name()
            && let Err(error) = std::fs::remove_file(entry.path())
        {
            tracing::warn!(%error, file = %entry.path().display(), "an older copy of the ledger stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::tests::Store;

    fn tables(path: &Path) -> (i64, i64) {
        let conn = Connection::open(path).unwrap();
        let count = "SELECT count(*) FROM sqlite_schema WHERE type = 'table'";
        (
            schema::version(&conn).unwrap(),
            conn.query_row(count, [], |row| row.get(0)).unwrap(),
        )
    }

    /// A ledger of the version before is there twice afterwards: as it was, and as it is now. Older copies go.
    #[test]
    fn it_is_copied_before_it_is_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.db");
        let mut conn = super::super::sql::open_writer(&path).unwrap();
        let to = schema::newest();
        schema::migrate_to(&mut conn, to - 1).unwrap();
        let before = tables(&path);
        let older = dir.path().join(format!("{PREFIX}1.db"));
        std::fs::write(&older, "").unwrap();
        let migrated = migrate(&mut conn, &path).unwrap().unwrap();
        assert_eq!((migrated.from, migrated.to), (to - 1, to));
        assert_eq!(tables(&migrated.backup), before);
        // As good as a backup: one file, whole.
        verify_quick(&migrated.backup).unwrap();
        assert!(!migrated.backup.with_extension("db-wal").exists());
        assert_eq!(tables(&path).0, to);
        assert!(!older.exists());
        // Of this version now: nothing is copied any more.
        assert_eq!(migrate(&mut conn, &path).unwrap(), None);
    }

    /// A shop that has sold in two days, with a note and a key of its own.
    fn sold() -> Store {
        let mut store = Store::new();
        let till = store.till;
        for invoice_no in ["A1", "A2"] {
            store.issue(store.sale(invoice_no)).unwrap();
        }
        store
            .issue(store.credit("A3", "A1", "-1.20", "-2.40"))
            .unwrap();
        let closed = store.core.write(|core| core.close_day(till, "test"));
        closed.unwrap();
        let mut keyed = store.sale("A4");
        keyed.key = Some("a key".to_owned());
        store.issue(keyed).unwrap();
        store
    }

    /// What an earlier version would have had of a ledger: its own tables with the columns that it knew, which are given
    /// back. A step that takes a column away, or gives it another name, has to say here where its values were before.
    fn as_of(step: i64, sold: &Path, to: &Path) -> Vec<(String, String)> {
        let mut conn = super::super::sql::open_writer(to).unwrap();
        schema::migrate_to(&mut conn, step).unwrap();
        conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        conn.execute("ATTACH ?1 AS sold", [sold.to_str()]).unwrap();
        let text = "SELECT t.name, group_concat(c.name, ', ')
             FROM sqlite_schema t JOIN pragma_table_info(t.name) c
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' GROUP BY t.name";
        let tables: Vec<(String, String)> = {
            let mut statement = conn.prepare(text).unwrap();
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
            rows.unwrap().map(Result::unwrap).collect()
        };
        for (table, columns) in &tables {
            let copy =
                format!("INSERT INTO main.{table} ({columns}) SELECT {columns} FROM sold.{table}");
            conn.execute_batch(&copy).unwrap();
        }
        tables
    }

    /// From every earlier step on: what a shop has sold is there afterwards, row by row, and nothing but events is added.
    #[test]
    fn no_row_is_lost_or_changed() {
        let store = sold();
        for step in 1..schema::newest() {
            let path = store.path().with_file_name(format!("step-{step}.db"));
            let before = as_of(step, &store.path(), &path);
            let mut conn = super::super::sql::open_writer(&path).unwrap();
            schema::migrate(&mut conn).unwrap();
            conn.execute("ATTACH ?1 AS sold", [store.path().to_str()])
                .unwrap();
            let count = |rows: &str| -> i64 {
                let text = format!("SELECT count(*) FROM ({rows})");
                conn.query_row(&text, [], |row| row.get(0)).unwrap()
            };
            assert!(before.len() >= 14, "{before:?}");
            assert_eq!(count("SELECT 1 FROM receipt"), 4);
            for (table, columns) in before {
                let lost = count(&format!(
                    "SELECT {columns} FROM sold.{table} EXCEPT SELECT {columns} FROM main.{table}"
                ));
                assert_eq!(lost, 0, "{table} from step {step}");
                let of = |schema: &str| count(&format!("SELECT 1 FROM {schema}.{table}"));
                let added = of("main") - of("sold");
                assert!(
                    added == 0 || (table == "event" && added > 0),
                    "{added} rows of {table} from step {step}"
                );
            }
        }
    }

    /// What tables and indexes a ledger has.
    fn shape(path: &Path) -> Vec<(String, Option<String>)> {
        let conn = Connection::open(path).unwrap();
        let text =
            "SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name";
        let mut statement = conn.prepare(text).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.unwrap().map(Result::unwrap).collect()
    }

    /// A shop that has sold with the version before is upgraded: every receipt verifies, it sells on where it was, and the
    /// copy holds what was sold.
    #[test]
    fn a_shop_sells_on_after_the_upgrade() {
        let mut store = sold();
        let sold = store.verify().unwrap();
        assert_eq!((sold.days, sold.receipts), (2, 4));
        let to = schema::newest();
        // The last step is undone. Whoever adds a step undoes that one instead.
        let undo = format!("DROP TABLE archive; PRAGMA user_version = {}", to - 1);
        store.core.conn.execute_batch(&undo).unwrap();
        let fresh = store.path().with_file_name("fresh.db");
        let mut conn = super::super::sql::open_writer(&fresh).unwrap();
        schema::migrate_to(&mut conn, to - 1).unwrap();
        assert_eq!(shape(&store.path()), shape(&fresh));

        store.reopen();
        assert_eq!(tables(&store.path()).0, to);
        let after = store.verify().unwrap();
        assert_eq!((after.days, after.receipts), (sold.days, sold.receipts));
        let copy = store.path().with_file_name(format!("{PREFIX}{to}.db"));
        let kept = verify_quick(&copy).unwrap();
        assert_eq!(kept.tills[0].last_receipt_global_no, 4);
        let next = store.issue(store.sale("A5")).unwrap();
        assert_eq!(
            (next.receipt.global_no.get(), next.fiscal_day_no.get()),
            (5, 2)
        );
        // What was sold under a key is known by it still.
        let mut again = store.sale("A4");
        again.key = Some("a key".to_owned());
        assert_eq!(store.issue(again).unwrap().receipt.global_no.get(), 4);
        assert_eq!(store.verify().unwrap().receipts, 5);
    }

    /// What was copied is put back as a backup is, by this version as well: it is there once more already.
    #[test]
    fn the_copy_is_put_back() {
        let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = old.path().join("ledger.db");
        let mut conn = super::super::sql::open_writer(&path).unwrap();
        schema::migrate_to(&mut conn, schema::newest() - 1).unwrap();
        let migrated = migrate(&mut conn, &path).unwrap().unwrap();
        let mut config = crate::config::Config::default();
        config.store.data_dir = Some(new.path().to_owned());
        crate::keys::SealingKey::generate(&config.sealing_key_path()).unwrap();
        let restored = crate::backup::restore(&mut crate::backup::Restoring {
            config: &config,
            backup: &migrated.backup,
            over: None,
            passphrase: &mut || panic!("its key is here"),
            progress: &mut |_, _| {},
            clock: std::sync::Arc::new(clock::SystemClock),
            actor: "test",
        });
        restored.unwrap();
        assert_eq!(tables(&config.ledger_path()).0, schema::newest());
        assert_eq!(copies_in(new.path()), 0);
    }

    fn copies_in(folder: &Path) -> usize {
        let entries = std::fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        names
            .filter(|name| name.to_string_lossy().starts_with(PREFIX))
            .count()
    }

    /// A ledger that cannot be copied whole stays as it is.
    #[test]
    fn a_damaged_ledger_is_not_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.db");
        let mut conn = super::super::sql::open_writer(&path).unwrap();
        let to = schema::newest();
        schema::migrate_to(&mut conn, to - 1).unwrap();
        conn.execute_batch(
            "PRAGMA foreign_keys = OFF; INSERT INTO sale_key (till_id, key, seq) VALUES (1, 'k', 1)",
        )
        .unwrap();
        let error = migrate(&mut conn, &path).unwrap_err().to_string();
        assert!(error.contains("sale_key"), "{error}");
        assert_eq!(tables(&path).0, to - 1);
        assert_eq!(copies_in(dir.path()), 0);
    }

    /// Without a copy nothing is changed, and the sentence names what is in the way.
    #[test]
    fn without_a_copy_nothing_is_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.db");
        let mut conn = super::super::sql::open_writer(&path).unwrap();
        let to = schema::newest();
        schema::migrate_to(&mut conn, to - 1).unwrap();
        // A folder cannot be replaced by a file.
        let taken = dir.path().join(format!("{PREFIX}{to}.db"));
        std::fs::create_dir(&taken).unwrap();
        let error = migrate(&mut conn, &path).unwrap_err().to_string();
        assert!(error.contains("before-step"), "{error}");
        assert_eq!(tables(&path).0, to - 1);
        assert!(!taken.with_extension("db.new").exists());
    }
}
