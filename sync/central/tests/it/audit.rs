//! The audit's chain: what a superuser does behind the triggers' back is found outside the database; a backup that
//! is restored passes.

use std::process::Command;

use fiscal_hq::audit::verify::{Broken, verify};
use fiscal_hq::audit::{self, Deed};
use fiscal_hq::db::{self, TenantId};
use serde_json::json;

use crate::support::{Database, Test};

/// Rows of each chain here: more than are read at once.
const ROWS: i64 = 1_203;

async fn with_rows() -> (Test, TenantId) {
    let test = Test::start().await;
    let tenant = test.tenant("Baobab Stores").await;
    let mut client = test.hq.db.client().await.unwrap();
    let tx = db::tenant(&mut client, tenant).await.unwrap();
    for no in 2..=ROWS {
        let deed = Deed {
            actor: "user:rudo@baobab.example",
            action: "profile.write",
            subject: "profile \u{1F333}",
            before: (no % 2 == 0).then(|| json!({ "b": 1.50, "a": "\u{1f}" })),
            after: Some(json!({ "no": no })),
        };
        audit::record(&tx, tenant, test.hq.now(), &deed)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    (test, tenant)
}

/// What the check finds after a superuser was here.
async fn found_after(statement: &str) -> Option<Broken> {
    let (test, tenant) = with_rows().await;
    let root = test.database.connect("postgres").await;
    let statement = statement.replace("OURS", &format!("tenant_id = '{tenant}'"));
    root.batch_execute(&format!(
        "SET session_replication_role = replica; {statement}"
    ))
    .await
    .unwrap();
    let report = verify(&test.hq.db, tenant, |_, _| {}).await.unwrap();
    report.broken
}

/// Every row is as it was written, the operator's too; progress reaches the end.
#[tokio::test]
async fn an_untouched_audit_passes() {
    let (test, tenant) = with_rows().await;
    let mut seen = Vec::new();
    let report = verify(&test.hq.db, tenant, |done, of| seen.push((done, of)))
        .await
        .unwrap();
    assert_eq!((report.rows, report.broken), (ROWS, None));
    assert_eq!(seen, [(500, ROWS), (1_000, ROWS), (ROWS, ROWS)]);
    let operator = verify(&test.hq.db, TenantId::OPERATOR, |_, _| {})
        .await
        .unwrap();
    assert_eq!(operator.broken, None);
}

/// A row that says something else is named; so is one whose hash was made to fit.
#[tokio::test]
async fn a_changed_row_is_found() {
    let found =
        found_after("UPDATE fdms_audit_logs SET actor = 'nobody' WHERE OURS AND audit_no = 700")
            .await;
    assert!(
        matches!(found, Some(Broken::Changed { audit_no: 700, .. })),
        "{found:?}"
    );
    let found = found_after(
        "UPDATE fdms_audit_logs SET after = '{}' WHERE OURS AND audit_no = 700;
         UPDATE fdms_audit_logs a SET hash = sha256(convert_to(hq_audit_text(a), 'UTF8')) WHERE OURS AND audit_no = 700",
    )
    .await;
    assert_eq!(found, Some(Broken::Unchained { audit_no: 701 }));
    let found = found_after(&format!(
        "UPDATE fdms_audit_logs SET after = '{{}}' WHERE OURS AND audit_no = {ROWS};
         UPDATE fdms_audit_logs a SET hash = sha256(convert_to(hq_audit_text(a), 'UTF8')) WHERE OURS AND audit_no = {ROWS}"
    ))
    .await;
    assert_eq!(found, Some(Broken::Unchained { audit_no: ROWS }));
}

/// A row that is gone is named, at the beginning, in the middle and at the end; one too many as well.
#[tokio::test]
async fn a_missing_row_is_found() {
    let found = found_after("DELETE FROM fdms_audit_logs WHERE OURS AND audit_no = 1").await;
    assert_eq!(found, Some(Broken::Missing { audit_no: 1 }));
    let found = found_after("DELETE FROM fdms_audit_logs WHERE OURS AND audit_no = 600").await;
    assert_eq!(found, Some(Broken::Missing { audit_no: 600 }));
    let found = found_after("DELETE FROM fdms_audit_logs WHERE OURS AND audit_no > 1200").await;
    assert_eq!(
        found,
        Some(Broken::CutOff {
            from: 1201,
            to: ROWS
        })
    );
    let found = found_after("DELETE FROM fdms_audit_logs WHERE OURS").await;
    assert_eq!(found, Some(Broken::CutOff { from: 1, to: ROWS }));
    let found = found_after(
        "INSERT INTO fdms_audit_logs SELECT tenant_id, audit_no + 10, at, actor, action, subject, before, after, previous, hash
         FROM fdms_audit_logs WHERE OURS AND audit_no = 1200",
    )
    .await;
    assert_eq!(found, Some(Broken::Beyond { audit_no: 1210 }));
}

/// The commands of docs/HQ_OPERATE.md: what was dumped is restored with its rights and walls, and the audit passes.
#[tokio::test]
async fn a_restored_backup_passes() {
    let (test, tenant) = with_rows().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("fiscal_hq.dump");
    let run = |program: &str, words: &[&str]| {
        let output = Command::new(program)
            .args(words)
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{program}: {said}");
    };
    run(
        "pg_dump",
        &[
            "--format=custom",
            "--dbname",
            &test.database.url("postgres"),
            "--file",
        ],
    );
    let other = Database::create_empty().await;
    run(
        "pg_restore",
        &["--exit-on-error", "--dbname", &other.url("postgres")],
    );
    let db = other.pool();
    db.check().await.unwrap();
    let report = verify(&db, tenant, |_, _| {}).await.unwrap();
    let before = verify(&test.hq.db, tenant, |_, _| {}).await.unwrap();
    assert_eq!(report, before);
    assert_eq!(report.rows, ROWS);
    // It goes on where it was.
    let mut client = db.client().await.unwrap();
    let tx = db::tenant(&mut client, tenant).await.unwrap();
    let deed = Deed {
        actor: "worker",
        action: "x",
        subject: "y",
        before: None,
        after: None,
    };
    audit::record(&tx, tenant, test.hq.now(), &deed)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let report = verify(&db, tenant, |_, _| {}).await.unwrap();
    assert_eq!((report.rows, report.broken), (ROWS + 1, None));
}
