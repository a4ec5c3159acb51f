//! Prerequisites, and onboarding a tenant in the test environment.

use clock::Timestamp;
use serde_json::{Value, json};
use sync_wire::Environment;
use uuid::Uuid;

use super::{Facts, Verdict, audit_row};
use crate::problem::Problem;

pub(super) fn profile_reviewed(facts: &Facts<'_>) -> Verdict {
    let profile = &facts.profile;
    let mut missing: Vec<String> = Vec::new();
    if profile.version == 0 {
        missing.push("the profile was never saved".to_owned());
    } else {
        missing.extend(profile.missing().into_iter().map(str::to_owned));
    }
    if profile.reviewed_at.is_none() {
        missing.push("nobody has reviewed the profile since it was last changed".to_owned());
    }
    let evidence = json!({ "tenant_fiscal_profiles": { "version": profile.version, "reviewed_by": profile.reviewed_by,
        "reviewed_at": profile.reviewed_at } });
    Verdict::of(missing, evidence)
}

pub(super) async fn tables(facts: &Facts<'_>) -> Result<Verdict, Problem> {
    let names = [
        "fdms_tenant_credentials",
        "fdms_devices",
        "fdms_submission_logs",
        "fdms_retry_jobs",
        "fdms_audit_logs",
    ];
    let select = facts
        .tx
        .prepare_cached(
            "SELECT name FROM unnest($1::text[]) name JOIN pg_class c ON c.oid = to_regclass('public.' || name)
             WHERE c.relrowsecurity AND c.relforcerowsecurity",
        )
        .await?;
    let rows = facts.tx.query(&select, &[&names.as_slice()]).await?;
    let there: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let missing = names
        .into_iter()
        .filter(|name| !there.iter().any(|there| there == name));
    let missing = missing.map(|name| format!("table {name} with row-level security"));
    Ok(Verdict::of(missing.collect(), json!({ "tables": there })))
}

pub(super) fn environment(facts: &Facts<'_>) -> Verdict {
    let mut missing = Vec::new();
    if !facts.has_worker_secret {
        missing.push("FDMS_WORKER_SECRET is not set".to_owned());
    }
    let evidence = json!({ "FDMS_ENV": facts.ceiling.as_str(), "FDMS_CRED_MASTER_KEY_B64": facts.master_key_id,
        "FDMS_WORKER_SECRET": facts.has_worker_secret });
    Verdict::of(missing, evidence)
}

/// That the others answer is seen by reading this; the worker is the one that nobody looks at.
pub(super) async fn functions(facts: &Facts<'_>) -> Result<Verdict, Problem> {
    let select = facts
        .tx
        .prepare_cached("SELECT updated_at FROM tenant_summaries WHERE tenant_id = $1")
        .await?;
    let row = facts.tx.query_opt(&select, &[&facts.tenant.0]).await?;
    let turn: Option<Timestamp> = row.map(|row| row.get(0));
    let lately = turn.is_some_and(|turn| facts.now.as_second() - turn.as_second() < 86_400);
    let missing = if lately {
        Vec::new()
    } else {
        vec!["fdms_worker has not run in the last day: POST /fdms_worker with FDMS_WORKER_SECRET, or let the service's own \
              timer run".to_owned()]
    };
    Ok(Verdict::of(missing, json!({ "fdms_worker": turn })))
}

pub(super) fn client_pack(facts: &Facts<'_>) -> Verdict {
    let profile = &facts.profile;
    let mut missing: Vec<String> = profile.missing().into_iter().map(str::to_owned).collect();
    let tills = facts.tills(Environment::Test);
    if tills.is_empty() {
        missing
            .push("the device inventory: no till of the test environment is recorded".to_owned());
    }
    for till in &tills {
        if till.machine_name.is_empty() {
            missing.push(format!("the cashier machine of {}", till.shown()));
        }
        if till.serial_no.is_empty() {
            missing.push(format!("the serial number of {}", till.shown()));
        }
    }
    let inventory = tills.iter().map(|till| {
        json!({ "device_id": till.device_id, "serial_no": till.serial_no, "machine_name": till.machine_name,
            "mode": till.mode })
    });
    let evidence = json!({ "tenant_fiscal_profiles": { "version": profile.version, "tin": profile.tin },
        "fdms_devices": inventory.collect::<Vec<_>>() });
    Verdict::of(missing, evidence)
}

pub(super) async fn profile_saved(facts: &Facts<'_>) -> Result<Verdict, Problem> {
    let saved = facts.audited("profile.write", 0).await?;
    let mut missing = Vec::new();
    if saved.is_none() {
        missing.push("the profile was never saved".to_owned());
    }
    let verified = smoke_tests(facts).await?.missing.is_empty();
    if facts.profile.enabled_test && !verified {
        missing.push("`enabled` is true although the test verification has not passed".to_owned());
    }
    let evidence = json!({ "profile.write": saved.as_ref().map(audit_row), "enabled_test": facts.profile.enabled_test,
        "verified": verified });
    Ok(Verdict::of(missing, evidence))
}

pub(super) async fn credentials(facts: &Facts<'_>) -> Result<Verdict, Problem> {
    let select = facts
        .tx
        .prepare_cached(
            "SELECT c.device_id, c.version, c.label, c.thumbprint, c.sealed_key IS NOT NULL AS key_here,
               (SELECT max(a.audit_no) FROM fdms_audit_logs a WHERE a.tenant_id = c.tenant_id AND a.action = 'credential.upload'
                  AND a.subject = 'credential test ' || c.device_id || ' version ' || c.version) AS audit_no
             FROM fdms_tenant_credentials c WHERE c.tenant_id = $1 AND c.environment = 'test' AND c.active",
        )
        .await?;
    let rows = facts.tx.query(&select, &[&facts.tenant.0]).await?;
    let mut missing = Vec::new();
    let mut evidence = Vec::new();
    for till in facts.tills(Environment::Test) {
        let row = rows
            .iter()
            .find(|row| row.get::<_, i32>("device_id") == till.device_id);
        match row {
            Some(row) => {
                let audit: Option<i64> = row.get("audit_no");
                let key_here: bool = row.get("key_here");
                if key_here && audit.is_none() {
                    missing.push(format!("the audit row of the upload for {}", till.shown()));
                }
                evidence.push(json!({ "device_id": till.device_id, "version": row.get::<_, i32>("version"),
                    "label": row.get::<_, String>("label"), "thumbprint": row.get::<_, String>("thumbprint"),
                    "encrypted": key_here, "fdms_audit_logs": audit }));
            }
            // The usual way: the key was made in the store and never left it.
            None if till.certificate_thumbprint.is_some() => {
                evidence.push(json!({ "device_id": till.device_id, "thumbprint": till.certificate_thumbprint,
                    "key": "made in the store" }));
            }
            None => missing.push(format!(
                "the credential of {}: upload it and activate it, or register the till in its store",
                till.shown()
            )),
        }
    }
    if evidence.is_empty() && missing.is_empty() {
        missing.push("no till of the test environment is recorded".to_owned());
    }
    Ok(Verdict::of(missing, Value::Array(evidence)))
}

pub(super) async fn devices(facts: &Facts<'_>) -> Result<Verdict, Problem> {
    let select = facts
        .tx
        .prepare_cached(
            "SELECT subject, min(audit_no) FROM fdms_audit_logs
             WHERE tenant_id = $1 AND action = 'device.create' AND after->>'state' = 'pending' GROUP BY subject",
        )
        .await?;
    let rows = facts.tx.query(&select, &[&facts.tenant.0]).await?;
    let mut missing = Vec::new();
    let mut evidence = Vec::new();
    for till in facts.tills(Environment::Test) {
        let row = rows
            .iter()
            .find(|row| row.get::<_, String>(0) == till.shown());
        match row.map(|row| row.get::<_, i64>(1)) {
            Some(audit) => evidence.push(json!({ "device_id": till.device_id, "fdms_audit_logs": audit, "initial": "pending" })),
            // It was in the ledger of its store before the store joined.
            None if till.created_by.starts_with("store:") => {
                evidence.push(json!({ "device_id": till.device_id, "brought_by": till.created_by }));
            }
            None => missing.push(format!("the audit row of making {}", till.shown())),
        }
    }
    if evidence.is_empty() && missing.is_empty() {
        missing.push("no till of the test environment is recorded".to_owned());
    }
    Ok(Verdict::of(missing, Value::Array(evidence)))
}

pub(super) async fn smoke_tests(facts: &Facts<'_>) -> Result<Verdict, Problem> {
    let mut missing = Vec::new();
    let health = facts
        .tx
        .prepare_cached(
            "SELECT audit_no, at FROM fdms_audit_logs WHERE tenant_id = $1 AND action = 'health.check'
               AND after->'environments'->>'test' = 'up' ORDER BY audit_no LIMIT 1",
        )
        .await?;
    let health = facts.tx.query_opt(&health, &[&facts.tenant.0]).await?;
    let health: Option<(i64, Timestamp)> = health.map(|row| (row.get(0), row.get(1)));
    if health.is_none() {
        missing.push("a call of fdms_health that finds the test FDMS reachable".to_owned());
    }
    let submission = facts
        .tx
        .prepare_cached(
            "SELECT c.command_id, c.device_id, c.number, l.at, l.operation_id, l.attempt, j.status
             FROM commands c
             JOIN receipts r ON r.tenant_id = c.tenant_id AND r.environment = 'test' AND r.device_id = c.device_id
               AND r.receipt_global_no = c.number AND r.store_id = c.store_id
             JOIN fdms_submission_logs l ON l.tenant_id = c.tenant_id AND l.environment = 'test'
               AND l.device_id = c.device_id AND l.kind = 'submit_receipt' AND l.number = c.number AND l.outcome = 'accepted'
               AND l.store_id = c.store_id
             JOIN fdms_retry_jobs j ON j.tenant_id = c.tenant_id AND j.environment = 'test'
               AND j.device_id = c.device_id AND j.kind = 'submit_receipt' AND j.number = c.number AND j.status = 'done'
             WHERE c.tenant_id = $1 AND c.kind = 'submit_test' AND c.environment = 'test' AND c.status = 'done'
             ORDER BY l.at LIMIT 1",
        )
        .await?;
    let row = facts.tx.query_opt(&submission, &[&facts.tenant.0]).await?;
    let submission = row.map(|row| {
        json!({ "commands": row.get::<_, Uuid>(0), "device_id": row.get::<_, Option<i32>>(1),
            "receipt_global_no": row.get::<_, Option<i32>>(2), "accepted_at": row.get::<_, Timestamp>(3),
            "operation_id": row.get::<_, Option<String>>(4), "attempt": row.get::<_, i32>(5),
            "fdms_retry_jobs": row.get::<_, String>(6) })
    });
    if submission.is_none() {
        missing.push(
            "one controlled fiscal_submissions test whose receipt FDMS has accepted and whose job is done".to_owned(),
        );
    }
    let evidence = json!({ "fdms_health": health.map(|(no, at)| json!({ "fdms_audit_logs": no, "at": at })),
        "fiscal_submissions": submission });
    Ok(Verdict::of(missing, evidence))
}
