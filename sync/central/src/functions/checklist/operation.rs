//! Operational controls: judged anew each time.

use std::time::Duration;

use clock::Timestamp;
use serde_json::json;

use super::{Facts, Verdict};
use crate::problem::Problem;

/// A dead letter that nobody has done anything about for a day was not reviewed. What HQ has paused itself waits on purpose, and
/// what a retired store had waits for nobody.
pub(super) async fn dead_letters(facts: &Facts<'_>) -> Result<Verdict, Problem> {
    let select = facts
        .tx
        .prepare_cached(
            "SELECT count(*), count(*) FILTER (WHERE j.updated_at < $2 AND NOT EXISTS (
                 SELECT 1 FROM commands c WHERE c.tenant_id = j.tenant_id AND c.environment = j.environment
                   AND c.device_id = j.device_id AND c.kind IN ('retry', 'dead_letter') AND c.issued_at >= $2)),
               min(j.updated_at)
             FROM fdms_retry_jobs j
             WHERE j.tenant_id = $1 AND j.status = 'dead_letter' AND j.code IS DISTINCT FROM 'paused' AND NOT EXISTS (
               SELECT 1 FROM stores s WHERE s.tenant_id = $1 AND s.store_id = j.store_id AND s.retired_at IS NOT NULL)",
        )
        .await?;
    let day = Duration::from_secs(86_400);
    let yesterday = facts.now.saturating_sub(day).unwrap_or(Timestamp::MIN);
    let row = facts
        .tx
        .query_one(&select, &[&facts.tenant.0, &yesterday])
        .await?;
    let (all, old): (i64, i64) = (row.get(0), row.get(1));
    let oldest: Option<Timestamp> = row.get(2);
    let missing = if old == 0 {
        Vec::new()
    } else {
        vec![format!(
            "{old} dead letters wait for more than a day and nobody has acted: let them go on, or say why not"
        )]
    };
    let evidence = json!({ "dead_letter": all, "older_than_a_day": old, "oldest": oldest });
    Ok(Verdict::of(missing, evidence))
}

pub(super) async fn audit(facts: &Facts<'_>) -> Result<Verdict, Problem> {
    let credentials = facts
        .count(
            "SELECT count(*) FROM fdms_tenant_credentials c WHERE c.tenant_id = $1 AND NOT EXISTS (
               SELECT 1 FROM fdms_audit_logs a WHERE a.tenant_id = c.tenant_id AND a.action LIKE 'credential.%'
                 AND a.subject = 'credential ' || c.environment || ' ' || c.device_id || ' version ' || c.version)
               AND c.created_by NOT LIKE 'store:%'",
        )
        .await?;
    let devices = facts
        .count(
            "SELECT count(*) FROM fdms_devices d WHERE d.tenant_id = $1 AND d.created_by NOT LIKE 'store:%' AND NOT EXISTS (
               SELECT 1 FROM fdms_audit_logs a WHERE a.tenant_id = d.tenant_id AND a.action = 'device.create'
                 AND a.subject = 'till ' || d.environment || ' ' || d.device_id)",
        )
        .await?;
    let broken = facts
        .count(
            "SELECT count(*) FROM fdms_audit_logs a WHERE a.tenant_id = $1 AND a.audit_no >
                 (SELECT coalesce(max(audit_no), 0) - 1000 FROM fdms_audit_logs WHERE tenant_id = $1)
               AND a.hash <> sha256(convert_to(hq_audit_text(a), 'UTF8'))",
        )
        .await?;
    let mut missing = Vec::new();
    if credentials > 0 {
        missing.push(format!(
            "{credentials} versions of credentials have no audit row"
        ));
    }
    if devices > 0 {
        missing.push(format!("{devices} tills have no audit row"));
    }
    if broken > 0 {
        missing.push(format!(
            "{broken} rows of the audit do not fit their hash: run `fiscal-hq audit verify`"
        ));
    }
    let rows = facts
        .count("SELECT coalesce(max(audit_no), 0) FROM fdms_audit_logs WHERE tenant_id = $1")
        .await?;
    Ok(Verdict::of(
        missing,
        json!({ "fdms_audit_logs": rows, "checked": rows.min(1000) }),
    ))
}

pub(super) async fn rotation(facts: &Facts<'_>) -> Result<Verdict, Problem> {
    let select = facts
        .tx
        .prepare_cached(
            "SELECT environment, device_id, version FROM fdms_tenant_credentials
             WHERE tenant_id = $1 AND active AND activated_at < $2 ORDER BY environment, device_id",
        )
        .await?;
    let days = u64::from(facts.profile.rotation_days.unsigned_abs());
    let age = Duration::from_secs(days.saturating_mul(86_400));
    let due = facts.now.saturating_sub(age).unwrap_or(Timestamp::MIN);
    let rows = facts.tx.query(&select, &[&facts.tenant.0, &due]).await?;
    let missing = rows.iter().map(|row| {
        let (environment, device, version): (String, i32, i32) =
            (row.get(0), row.get(1), row.get(2));
        format!(
            "version {version} of till {environment} {device} is older than {days} days: replace it"
        )
    });
    Ok(Verdict::of(
        missing.collect(),
        json!({ "rotation_days": days, "overdue": rows.len() }),
    ))
}

pub(super) async fn labels(facts: &Facts<'_>) -> Result<Verdict, Problem> {
    let select = facts
        .tx
        .prepare_cached(
            "SELECT count(*), count(*) FILTER (WHERE label = ''),
               (SELECT count(*) FROM fdms_tenant_credentials t JOIN fdms_tenant_credentials p
                  ON p.tenant_id = t.tenant_id AND lower(p.thumbprint) = lower(t.thumbprint)
                WHERE t.tenant_id = $1 AND t.environment = 'test' AND p.environment = 'prod')
             FROM fdms_tenant_credentials WHERE tenant_id = $1",
        )
        .await?;
    let row = facts.tx.query_one(&select, &[&facts.tenant.0]).await?;
    let (all, unlabelled, shared): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    if all == 0 {
        return Ok(Verdict::not_applicable());
    }
    let mut missing = Vec::new();
    if unlabelled > 0 {
        missing.push(format!("{unlabelled} versions have no label"));
    }
    if shared > 0 {
        missing.push(format!("{shared} certificates are in both environments"));
    }
    Ok(Verdict::of(
        missing,
        json!({ "versions": all, "unlabelled": unlabelled, "in_both": shared }),
    ))
}
