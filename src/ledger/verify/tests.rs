//! Whatever is changed in a copy of a ledger, verify names it: a row for each change.

use fiscal::DeviceId;

use crate::ledger::TillId;
use crate::ledger::stream::Submission;
use crate::ledger::tests::Store;

/// Two tills; receipts of the first with and without a key, a note, a closed day; some of it sent.
fn ledger() -> Store {
    let mut store = Store::new();
    let other = crate::testing::add_till(&mut store.core, DeviceId::new(43).unwrap()).unwrap();
    assert_eq!(other, TillId(2));
    for n in 1..3 {
        store.issue(store.sale(&format!("A{n}"))).unwrap();
    }
    let mut keyed = store.sale("A3");
    keyed.key = Some("K3".to_owned());
    store.issue(keyed).unwrap();
    store
        .issue(store.credit("C1", "A1", "-0.50", "-1.00"))
        .unwrap();
    store
        .core
        .write(|core| {
            core.close_day(TillId(1), "test")?;
            core.add_token("till-1", Some(TillId(1)), "one", "test")?;
            core.add_token("old", None, "two", "test")?;
            core.revoke_token("old", "test")?;
            // The opening and two receipts; FDMS calls the second one yellow.
            for color in [None, None, Some("Yellow".to_owned())] {
                let (_, item) = core.stream(TillId(1))?;
                let submission = Submission {
                    operation_id: Some("0HN:1".to_owned()),
                    color,
                    answer: "{}".to_owned(),
                    ..Submission::default()
                };
                core.finish_item(TillId(1), &item.unwrap(), &submission)?;
            }
            Ok(())
        })
        .unwrap();
    store.verify().unwrap();
    store
}

/// Makes each change in a ledger of its own; the error must name the place.
fn named(changes: &[(&str, &str)]) {
    for (change, place) in changes {
        let store = ledger();
        let conn = &store.core.conn;
        conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        conn.execute_batch(change).unwrap();
        let error = store.verify().expect_err(change);
        assert!(error.to_string().contains(place), "{change}: {error}");
    }
}

/// Whatever is changed in the file, verify names it.
#[test]
fn verify_names_every_change() {
    named(&[
        (
            "UPDATE receipt SET total = total + 1 WHERE global_no = 2",
            "receipt 2",
        ),
        (
            "UPDATE receipt SET body = replace(body, 'Bread', 'Broad') WHERE global_no = 2",
            "receipt 2",
        ),
        (
            "UPDATE receipt SET signature = x'00' WHERE global_no = 3",
            "receipt 3",
        ),
        (
            "UPDATE receipt SET date = '2030-01-01T00:00:00' WHERE global_no = 1",
            "receipt 1",
        ),
        ("DELETE FROM receipt WHERE global_no = 2", "receipt"),
        ("UPDATE head SET last_global_no = 9", "the end of its chain"),
        (
            "UPDATE day_close SET totals = replace(totals, '620', '621')",
            "its close",
        ),
        ("UPDATE day SET opened = '2026-01-01T00:00:00'", "day.open"),
        (
            "UPDATE audit SET actor = 'nobody' WHERE audit_id = 3",
            "audit row 3",
        ),
        ("DELETE FROM audit WHERE audit_id = 3", "audit row"),
        (
            "DELETE FROM event WHERE kind = 'receipt.issued' AND seq = 8",
            "event",
        ),
    ]);
}

/// Found: stream: set back or on.
#[test]
fn verify_names_changed_streams() {
    named(&[
        // Set back in every table that has a position: the event still tells of it.
        (
            "DELETE FROM submission WHERE seq = (SELECT seq FROM receipt WHERE global_no = 2);
             UPDATE stream SET cursor = cursor - 1, last_global_no = 1",
            "it tells of a submission",
        ),
        ("UPDATE stream SET last_global_no = 1", "its stream to FDMS"),
        ("UPDATE stream SET last_global_no = 3", "its stream to FDMS"),
        ("UPDATE stream SET last_day_no = 0", "its stream to FDMS"),
        ("UPDATE stream SET last_day_no = 2", "its stream to FDMS"),
        ("UPDATE stream SET cursor = cursor - 1", "receipt 2"),
        ("UPDATE stream SET cursor = cursor + 1", "receipt 3"),
        (
            "UPDATE stream SET cursor = 0",
            "fiscal day 1: FDMS has taken it",
        ),
        ("DELETE FROM stream", "fiscal day 1: FDMS has taken it"),
        (
            "DELETE FROM submission WHERE seq = (SELECT seq FROM receipt WHERE global_no = 2)",
            "it tells of a submission",
        ),
        (
            "UPDATE submission SET color = 'Red' WHERE seq = (SELECT seq FROM receipt WHERE global_no = 2)",
            "it tells of a submission",
        ),
        (
            "UPDATE submission SET till_id = 2 WHERE seq = (SELECT seq FROM receipt WHERE global_no = 2)",
            "it tells of a submission",
        ),
        (
            "INSERT INTO submission SELECT seq, till_id, 0, NULL, NULL, '', NULL FROM receipt WHERE global_no = 3 AND till_id = 1",
            "submission: the number of events",
        ),
    ]);
}

/// Found: what a receipt refers to.
#[test]
fn verify_names_changed_references() {
    named(&[
        (
            "UPDATE receipt SET original_seq = NULL WHERE receipt_type = 'CreditNote'",
            "its original",
        ),
        (
            "UPDATE receipt SET original_seq = (SELECT seq FROM receipt WHERE global_no = 2) WHERE receipt_type = 'CreditNote'",
            "its original",
        ),
        (
            "UPDATE receipt SET original_seq = (SELECT seq FROM receipt WHERE global_no = 1) WHERE global_no = 2",
            "receipt 2: its original",
        ),
        (
            "UPDATE receipt SET environment = 'production' WHERE global_no = 2",
            "receipt 2: its environment",
        ),
        (
            "UPDATE receipt SET config_id = (SELECT config_id FROM config WHERE till_id = 2) WHERE global_no = 2",
            "receipt 2: its configuration",
        ),
        (
            "UPDATE receipt SET config_id = 99 WHERE global_no = 2",
            "the config that it refers to is missing",
        ),
        (
            "UPDATE receipt SET key_id = (SELECT key_id FROM device_key WHERE till_id = 2) WHERE global_no = 2",
            "receipt 2: it is signed with another till's key",
        ),
        (
            "UPDATE event SET till_id = 2 WHERE kind = 'receipt.issued'",
            "receipt: the number of rows with their event",
        ),
        (
            "UPDATE config SET body = '{}' WHERE till_id = 1",
            "config 1",
        ),
    ]);
}

/// Found: keys of sales.
#[test]
fn verify_names_changed_sale_keys() {
    named(&[
        ("DELETE FROM sale_key WHERE key = 'K3'", "sale_key"),
        (
            "UPDATE sale_key SET seq = (SELECT seq FROM receipt WHERE global_no = 1) WHERE key = 'K3'",
            "sale_key",
        ),
        (
            "UPDATE sale_key SET till_id = 2 WHERE key = 'K3'",
            "sale_key",
        ),
        (
            "INSERT INTO sale_key SELECT till_id, 'K4', seq FROM sale_key",
            "sale_key",
        ),
        (
            "UPDATE receipt SET has_key = 0 WHERE has_key = 1",
            "sale_key",
        ),
        (
            "UPDATE receipt SET has_key = 1 WHERE global_no = 1",
            "sale_key",
        ),
    ]);
}

/// Found: the file's schema.
#[test]
fn verify_names_changed_schemas() {
    named(&[
        // The index reads as it should, but finds no row: only the full check of the file sees that.
        (
            "DROP INDEX receipt_invoice;
             CREATE UNIQUE INDEX receipt_invoice ON receipt (fingerprint, environment);
             PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET sql = replace(sql, 'fingerprint', 'invoice_no')
             WHERE name = 'receipt_invoice'",
            "database file: row",
        ),
        (
            "DROP INDEX receipt_invoice",
            "schema, index receipt_invoice",
        ),
        (
            "DROP INDEX receipt_number; CREATE INDEX receipt_number ON receipt (global_no, till_id)",
            "schema, index receipt_number",
        ),
        (
            "CREATE TRIGGER more AFTER INSERT ON receipt BEGIN DELETE FROM sale_key; END",
            "schema, trigger more",
        ),
        ("CREATE TABLE more (x)", "schema, table more"),
        ("CREATE VIEW more AS SELECT 1", "schema, view more"),
        ("PRAGMA user_version = 0", "user_version"),
        ("PRAGMA user_version = 99", "newer"),
    ]);
}

/// Found: times of closes.
#[test]
fn verify_names_changed_closing_times() {
    named(&[
        (
            "UPDATE day_close SET closed = '2026-05-28T07:00:00'",
            "its close",
        ),
        (
            "UPDATE day_close SET closed = '2026-05-28T09:00:00'",
            "its close: its time",
        ),
        (
            "UPDATE day_close SET closed = '2031-01-01T00:00:00'",
            "its close: its time",
        ),
    ]);
}

/// Found: what set the store up.
#[test]
fn verify_names_changed_setups() {
    named(&[
        (
            "DELETE FROM token WHERE name = 'till-1'",
            "token.add \"till-1\"",
        ),
        (
            "INSERT INTO token (name, hash, created_at) VALUES ('mine', x'00', 0)",
            "token.add \"mine\"",
        ),
        (
            "UPDATE token SET name = 'other' WHERE name = 'till-1'",
            "token.add",
        ),
        (
            "UPDATE token SET till_id = NULL WHERE name = 'till-1'",
            "token.add",
        ),
        (
            "UPDATE token SET revoked_at = NULL WHERE name = 'old'",
            "token.revoke \"old\"",
        ),
        (
            "UPDATE token SET revoked_at = 5 WHERE name = 'till-1'",
            "token.revoke \"till-1\"",
        ),
        (
            "UPDATE till SET device_id = 77 WHERE till_id = 2",
            "till.add",
        ),
        (
            "INSERT INTO device_key (till_id, sealed, public_key, created_at) SELECT till_id, sealed, public_key, created_at FROM device_key WHERE key_id = 2",
            "key.add",
        ),
        (
            "UPDATE device_key SET till_id = 1 WHERE key_id = 2",
            "certificate.add",
        ),
        (
            "DELETE FROM certificate WHERE key_id = 2",
            "certificate.add",
        ),
        (
            "INSERT INTO certificate (key_id, pem, created_at) SELECT key_id, pem, 0 FROM certificate WHERE key_id = 2",
            "certificate.add",
        ),
        ("DELETE FROM config WHERE till_id = 2", "config.change"),
    ]);
}
