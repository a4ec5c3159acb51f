//! Sign-off in the test environment.

use clock::Timestamp;
use serde_json::json;

use super::{Facts, Verdict, audit_row};
use crate::problem::Problem;

pub(super) async fn day_lifecycle(facts: &Facts<'_>) -> Result<Verdict, Problem> {
    // A till of mode Offline sends no OpenDay, SubmitReceipt or CloseDay: its files say all three.
    let select = facts
        .tx
        .prepare_cached(
            "SELECT d.device_id, d.fiscal_day_no, d.confirmed_at,
               (SELECT count(DISTINCT r.receipt_global_no) FROM receipts r JOIN fdms_submission_logs l
                  ON l.tenant_id = r.tenant_id AND l.environment = r.environment AND l.device_id = r.device_id
                  AND l.kind = 'submit_receipt' AND l.number = r.receipt_global_no AND l.outcome = 'accepted'
                  AND l.store_id = r.store_id
                WHERE r.tenant_id = d.tenant_id AND r.environment = d.environment AND r.device_id = d.device_id
                  AND r.fiscal_day_no = d.fiscal_day_no) AS receipts,
               EXISTS (SELECT 1 FROM fdms_submission_logs l WHERE l.tenant_id = d.tenant_id AND l.environment = d.environment
                  AND l.device_id = d.device_id AND l.kind = 'open_day' AND l.number = d.fiscal_day_no
                  AND l.store_id = d.store_id AND l.outcome = 'accepted') AS opened,
               (SELECT count(*) FROM fdms_submission_logs l WHERE l.tenant_id = d.tenant_id
                  AND l.environment = d.environment AND l.device_id = d.device_id AND l.kind = 'submit_file'
                  AND l.store_id = d.store_id AND l.outcome = 'accepted' AND l.at <= d.confirmed_at) AS files
             FROM fiscal_days d
             WHERE d.tenant_id = $1 AND d.environment = 'test' AND d.closed IS NOT NULL AND d.confirmed_at IS NOT NULL
               AND d.receipt_counter > 0
             ORDER BY d.confirmed_at LIMIT 100",
        )
        .await?;
    let rows = facts.tx.query(&select, &[&facts.tenant.0]).await?;
    let whole = rows.iter().find(|row| {
        let (receipts, files): (i64, i64) = (row.get("receipts"), row.get("files"));
        (row.get::<_, bool>("opened") && receipts > 0) || files > 0
    });
    let Some(row) = whole else {
        let missing = "a fiscal day of a test till that was opened, whose receipts or files FDMS has accepted, and whose close \
                       it has confirmed";
        return Ok(Verdict::of(
            vec![missing.to_owned()],
            json!({ "days_confirmed": rows.len() }),
        ));
    };
    let evidence = json!({ "fiscal_days": { "device_id": row.get::<_, i32>("device_id"),
        "fiscal_day_no": row.get::<_, i32>("fiscal_day_no"), "confirmed_at": row.get::<_, Option<Timestamp>>("confirmed_at"),
        "receipts_accepted": row.get::<_, i64>("receipts"), "files_accepted": row.get::<_, i64>("files") } });
    Ok(Verdict::of(Vec::new(), evidence))
}

pub(super) async fn reconciliation(facts: &Facts<'_>) -> Result<Verdict, Problem> {
    let logs = facts
        .count("SELECT count(*) FROM fdms_submission_logs WHERE tenant_id = $1 AND environment = 'test'")
        .await?;
    let jobs = facts
        .count("SELECT count(*) FROM fdms_retry_jobs WHERE tenant_id = $1 AND environment = 'test'")
        .await?;
    let unproved = facts
        .count(
            "SELECT count(*) FROM fdms_retry_jobs j WHERE j.tenant_id = $1 AND j.environment = 'test' AND j.status = 'done'
               AND NOT EXISTS (SELECT 1 FROM fdms_submission_logs l WHERE l.tenant_id = j.tenant_id
                 AND l.environment = j.environment AND l.device_id = j.device_id AND l.kind = j.kind AND l.number = j.number
                 AND l.outcome = 'accepted')",
        )
        .await?;
    let unfinished = facts
        .count(
            "SELECT count(*) FROM fdms_retry_jobs j WHERE j.tenant_id = $1 AND j.environment = 'test' AND j.status <> 'done'
               AND EXISTS (SELECT 1 FROM fdms_submission_logs l WHERE l.tenant_id = j.tenant_id
                 AND l.environment = j.environment AND l.device_id = j.device_id AND l.kind = j.kind AND l.number = j.number
                 AND l.outcome = 'accepted')",
        )
        .await?;
    let mut missing = Vec::new();
    if logs == 0 {
        missing.push("rows of the test environment in fdms_submission_logs".to_owned());
    }
    if jobs == 0 {
        missing.push("rows of the test environment in fdms_retry_jobs".to_owned());
    }
    if unproved > 0 {
        missing.push(format!(
            "{unproved} jobs are done without an accepted attempt in the log"
        ));
    }
    if unfinished > 0 {
        missing.push(format!(
            "{unfinished} jobs are open although the log has an accepted attempt"
        ));
    }
    let evidence = json!({ "fdms_submission_logs": logs, "fdms_retry_jobs": jobs, "done_without_log": unproved,
        "open_with_log": unfinished });
    Ok(Verdict::of(missing, evidence))
}

pub(super) async fn isolation(facts: &Facts<'_>) -> Result<Verdict, Problem> {
    let row = facts.audited("isolation.check", 0).await?;
    let held = row
        .as_ref()
        .is_some_and(|(_, _, found)| found["held"] == json!(true));
    let missing = match &row {
        None => vec!["the check with another tenant as control: press `Wall between companies` on the right".to_owned()],
        Some(_) if !held => vec![
            "the last check has seen rows of another tenant: stop, and tell whoever runs this service".to_owned(),
        ],
        Some(_) => Vec::new(),
    };
    let evidence = row
        .as_ref()
        .map(|row| json!({ "check": audit_row(row), "found": row.2 }));
    Ok(Verdict::of(missing, evidence.unwrap_or_default()))
}
