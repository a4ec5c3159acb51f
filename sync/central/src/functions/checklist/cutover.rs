//! Production cut-over, and rollback.

use clock::Timestamp;
use serde_json::{Value, json};
use sync_wire::Environment;

use super::{Facts, Verdict, audit_row};
use crate::problem::Problem;
use crate::sync::wanted;

pub(super) async fn freeze(facts: &Facts<'_>) -> Result<Verdict, Problem> {
    let profile = &facts.profile;
    // After the switch it counts what was so then.
    if profile.environment == Environment::Prod {
        let row = facts.audited("profile.cut_over", 0).await?;
        let missing = match &row {
            Some(_) => Vec::new(),
            None => vec!["the audit row of the cut-over".to_owned()],
        };
        let evidence = row
            .as_ref()
            .map(|row| json!({ "profile.cut_over": audit_row(row), "freeze": row.2["freeze"] }));
        return Ok(Verdict::of(missing, evidence.unwrap_or_default()));
    }
    let window = profile.freeze_from.zip(profile.freeze_until);
    let missing = match window {
        Some((from, until)) if from <= facts.now && facts.now < until => Vec::new(),
        Some((from, until)) => vec![format!("now is not in the declared window ({from} to {until}): declare one that is")],
        None => vec!["a declared window in which the tenant's POS release is frozen (`freeze_from`, `freeze_until`)".to_owned()],
    };
    let evidence =
        json!({ "freeze_from": profile.freeze_from, "freeze_until": profile.freeze_until });
    Ok(Verdict::of(missing, evidence))
}

pub(super) async fn credentials(facts: &Facts<'_>) -> Result<Verdict, Problem> {
    let mut missing = Vec::new();
    if facts.ceiling == Environment::Test {
        missing.push("this installation runs with FDMS_ENV=test".to_owned());
    }
    let tills = facts.tills(Environment::Prod);
    for test in facts.tills(Environment::Test) {
        let twin = tills
            .iter()
            .any(|prod| prod.store_id == test.store_id && prod.machine_name == test.machine_name);
        if !twin {
            missing.push(format!(
                "a production till on the cashier machine {} of {}",
                test.machine_name,
                test.shown()
            ));
        }
    }
    if tills.is_empty() {
        missing.push("no production till is recorded".to_owned());
    }
    missing.extend(unswitched(facts).await?);
    let select = facts
        .tx
        .prepare_cached(
            "SELECT device_id, version, label, thumbprint, delivered_at, sealed_key IS NOT NULL AS key_here
             FROM fdms_tenant_credentials WHERE tenant_id = $1 AND environment = 'prod' AND active",
        )
        .await?;
    let rows = facts.tx.query(&select, &[&facts.tenant.0]).await?;
    let mut evidence = Vec::new();
    for till in tills {
        let row = rows
            .iter()
            .find(|row| row.get::<_, i32>("device_id") == till.device_id);
        let Some(row) = row else {
            missing.push(format!("an active credential of {}", till.shown()));
            continue;
        };
        let (thumbprint, key_here): (String, bool) = (row.get("thumbprint"), row.get("key_here"));
        let delivered: Option<Timestamp> = row.get("delivered_at");
        let used = till
            .certificate_thumbprint
            .as_ref()
            .is_some_and(|used| used.eq_ignore_ascii_case(&thumbprint));
        if key_here && delivered.is_none() && !used {
            missing.push(format!(
                "the credential of {} has not reached its store",
                till.shown()
            ));
        }
        evidence.push(json!({ "device_id": till.device_id, "version": row.get::<_, i32>("version"),
            "label": row.get::<_, String>("label"), "thumbprint": thumbprint, "delivered_at": delivered, "in_use": used }));
    }
    Ok(Verdict::of(missing, Value::Array(evidence)))
}

/// Machines whose sales would go on at the test tills, judged as the stores' switches are made. After the cut-over alerts say so.
async fn unswitched(facts: &Facts<'_>) -> Result<Vec<String>, Problem> {
    if facts.profile.environment == Environment::Prod {
        return Ok(Vec::new());
    }
    let stuck = wanted::stuck_at(facts.tx, facts.tenant, Environment::Prod).await?;
    // One without any production till is told above.
    let stuck = stuck
        .iter()
        .filter(|stuck| !stuck.has_none || stuck.machine.is_empty());
    let told = stuck.map(|stuck| {
        let tills: Vec<_> = stuck
            .tills
            .iter()
            .map(|till| format!("till {till}"))
            .collect();
        let machine = if stuck.machine.is_empty() {
            String::new()
        } else {
            format!(" on the cashier machine {}", stuck.machine)
        };
        format!(
            "new sales of {}{machine} would stay in test: {}",
            tills.join(", "),
            stuck.why
        )
    });
    Ok(told.collect())
}

pub(super) async fn environment(facts: &Facts<'_>) -> Result<Verdict, Problem> {
    let row = facts.audited("profile.cut_over", 0).await?;
    let missing = if facts.profile.environment == Environment::Prod {
        Vec::new()
    } else {
        vec!["the profile's environment is test: cut over".to_owned()]
    };
    let evidence = json!({ "environment": facts.profile.environment, "profile.cut_over": row.as_ref().map(audit_row) });
    Ok(Verdict::of(missing, evidence))
}

pub(super) fn enabled(facts: &Facts<'_>) -> Verdict {
    let profile = &facts.profile;
    let done = profile.environment == Environment::Prod && profile.enabled;
    let missing = if done {
        Vec::new()
    } else {
        vec!["production is not enabled".to_owned()]
    };
    let evidence = json!({ "environment": profile.environment, "enabled": profile.enabled,
        "decided_prod_at": profile.decided_prod_at });
    Verdict::of(missing, evidence)
}

pub(super) async fn monitored(facts: &Facts<'_>) -> Result<Verdict, Problem> {
    let profile = &facts.profile;
    let Some(since) = profile.decided_prod_at.filter(|_| profile.enabled_prod) else {
        let missing =
            vec!["production is not enabled, so there is nothing to watch yet".to_owned()];
        return Ok(Verdict::of(missing, Value::Null));
    };
    let health = facts
        .tx
        .prepare_cached(
            "SELECT audit_no, at FROM fdms_audit_logs WHERE tenant_id = $1 AND action = 'health.check' AND at >= $2
               AND after->'environments'->>'prod' = 'up' ORDER BY audit_no LIMIT 1",
        )
        .await?;
    let row = facts
        .tx
        .query_opt(&health, &[&facts.tenant.0, &since])
        .await?;
    let health = row.map(
        |row| json!({ "fdms_audit_logs": row.get::<_, i64>(0), "at": row.get::<_, Timestamp>(1) }),
    );
    let first = facts
        .tx
        .prepare_cached(
            "SELECT device_id, kind, number, at, operation_id FROM fdms_submission_logs
             WHERE tenant_id = $1 AND environment = 'prod' AND kind IN ('submit_receipt', 'submit_file')
               AND outcome = 'accepted' AND at >= $2 ORDER BY at LIMIT 1",
        )
        .await?;
    let row = facts
        .tx
        .query_opt(&first, &[&facts.tenant.0, &since])
        .await?;
    let first = row.map(|row| {
        json!({ "device_id": row.get::<_, i32>(0), "kind": row.get::<_, String>(1), "number": row.get::<_, i32>(2),
            "at": row.get::<_, Timestamp>(3), "operation_id": row.get::<_, Option<String>>(4) })
    });
    let mut missing = Vec::new();
    if health.is_none() {
        missing.push("a call of fdms_health that finds the production FDMS reachable".to_owned());
    }
    if first.is_none() {
        missing.push("a first submission that the production FDMS has accepted".to_owned());
    }
    Ok(Verdict::of(
        missing,
        json!({ "fdms_health": health, "fdms_submission_logs": first }),
    ))
}

/// The four steps of a rollback, judged from its audit row on; before one there is nothing to do.
pub(super) async fn rollback(facts: &Facts<'_>, step: &str) -> Result<Verdict, Problem> {
    let cut = facts.audited("profile.cut_over", 0).await?;
    let since = cut.as_ref().map_or(0, |(no, _, _)| *no);
    let Some(row) = facts.audited("profile.rollback", since).await? else {
        return Ok(Verdict::not_applicable());
    };
    let (missing, found): (Option<String>, Value) = match step {
        "rollback.1" => (
            facts
                .profile
                .enabled_prod
                .then(|| "production is enabled".to_owned()),
            json!({ "enabled_prod": facts.profile.enabled_prod }),
        ),
        "rollback.2" => {
            // The store's own word overwrites last_error once it is paused; the audit keeps what was written.
            let unmarked = facts
                .tx
                .prepare_cached(
                    "SELECT d.device_id FROM fdms_devices d WHERE d.tenant_id = $1 AND d.environment = 'prod'
                       AND d.state <> 'retired' AND d.created_at <= $2 AND coalesce(d.last_error, '') = ''
                       AND NOT EXISTS (SELECT 1 FROM fdms_audit_logs a WHERE a.tenant_id = d.tenant_id AND a.at = $2
                         AND a.action = 'device.pause' AND a.subject = 'till prod ' || d.device_id
                         AND a.after->>'last_error' <> '')
                     ORDER BY d.device_id",
                )
                .await?;
            let tills = facts.tills(Environment::Prod);
            let unmarked = facts
                .tx
                .query(&unmarked, &[&facts.tenant.0, &row.1])
                .await?;
            let unmarked: Vec<_> = unmarked
                .iter()
                .map(|row| format!("till prod {}", row.get::<_, i32>(0)))
                .collect();
            let paused = facts
                .count(
                    "SELECT count(*) FROM fdms_submission_logs WHERE tenant_id = $1 AND environment = 'prod'
                       AND outcome = 'paused' AND error_message <> ''",
                )
                .await?;
            (
                (!unmarked.is_empty())
                    .then(|| format!("the reason in last_error of {}", unmarked.join(", "))),
                json!({ "fdms_devices": tills.len(), "fdms_submission_logs": paused }),
            )
        }
        "rollback.3" => {
            let open = facts
                .count(
                    "SELECT count(*) FROM fdms_retry_jobs WHERE tenant_id = $1 AND environment = 'prod'
                       AND (status IN ('pending', 'in_flight') OR (status = 'dead_letter' AND coalesce(reason, '') = ''))",
                )
                .await?;
            let paused = facts
                .count(
                    "SELECT count(*) FROM fdms_retry_jobs WHERE tenant_id = $1 AND environment = 'prod'
                       AND status = 'dead_letter'",
                )
                .await?;
            (
                (open > 0)
                    .then(|| format!("{open} jobs of production are not paused with a reason")),
                json!({ "dead_letter": paused }),
            )
        }
        _ => (
            (facts.profile.environment != Environment::Test)
                .then(|| "the environment is prod".to_owned()),
            json!({ "environment": facts.profile.environment }),
        ),
    };
    let evidence = json!({ "profile.rollback": audit_row(&row), "found": found });
    Ok(Verdict::of(missing.into_iter().collect(), evidence))
}
