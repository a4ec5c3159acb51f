//! Alerts: begun when something is found wrong, ended when it is no more.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Uri;
use clock::Timestamp;
use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access::{Caller, Role};
use crate::audit::{self, Deed};
use crate::db::{self, TenantId};
use crate::functions::input::{Params, id, reason};
use crate::functions::watch::{self, Found, KINDS};
use crate::hq::SharedHq;
use crate::problem::{Body, Code, Problem};

/// A row of `alerts`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Alert {
    /// Its name for ever.
    #[schema(value_type = String)]
    pub alert_id: Uuid,
    /// What kind of thing.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// `warning` or `fault`.
    pub severity: String,
    /// The store.
    #[schema(value_type = Option<String>)]
    pub store_id: Option<Uuid>,
    /// The environment of the till.
    pub environment: Option<String>,
    /// The till.
    pub device_id: Option<i32>,
    /// What is wrong and what to do.
    pub detail: String,
    /// Since when.
    #[schema(value_type = String)]
    pub since: Timestamp,
    /// Until when; none: it lasts.
    #[schema(value_type = Option<String>)]
    pub ended_at: Option<Timestamp>,
}

/// A page of alerts.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Alerts {
    /// The rows, the newest first.
    pub rows: Vec<Alert>,
    /// Where the next page begins: `after=`. None: this is the last.
    pub next: Option<String>,
}

/// Why an alert is ended by hand.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// What was done about it, a sentence.
    pub reason: String,
}

impl Alert {
    pub(super) fn of(row: &Row) -> Self {
        Self {
            alert_id: row.get("alert_id"),
            kind: row.get("kind"),
            subject: row.get("subject"),
            severity: row.get("severity"),
            store_id: row.get("store_id"),
            environment: row.get("environment"),
            device_id: row.get("device_id"),
            detail: row.get("detail"),
            since: row.get("since"),
            ended_at: row.get("ended_at"),
        }
    }
}

/// Begins what is found and not open yet, ends what is open and not found any more. How many of each.
pub(super) async fn update(
    tx: &Transaction<'_>,
    tenant: TenantId,
    now: Timestamp,
) -> Result<(u32, u32), Problem> {
    let found = watch::find(tx, tenant, now).await?;
    let own = found
        .iter()
        .filter(|found| KINDS.contains(&found.kind.as_ref()));
    let open = open(tx, tenant).await?;
    let mut began = 0;
    let mut lasting = Vec::new();
    for found in own {
        let known = open
            .iter()
            .find(|alert| alert.kind == found.kind && alert.subject == found.subject);
        match known {
            Some(alert) => {
                lasting.push(alert.alert_id);
                if alert.detail != found.detail || alert.severity != found.severity.as_str() {
                    tell(tx, tenant, alert.alert_id, found).await?;
                }
            }
            None => {
                begin(tx, tenant, found, now).await?;
                began += 1;
            }
        }
    }
    let over = open
        .iter()
        .filter(|alert| KINDS.contains(&alert.kind.as_str()) && !lasting.contains(&alert.alert_id));
    let over: Vec<Uuid> = over.map(|alert| alert.alert_id).collect();
    let end = tx
        .prepare_cached(
            "UPDATE alerts SET ended_at = $3 WHERE tenant_id = $1 AND alert_id = ANY ($2) AND ended_at IS NULL",
        )
        .await?;
    let ended = tx.execute(&end, &[&tenant.0, &over, &now]).await?;
    Ok((began, u32::try_from(ended).unwrap_or(u32::MAX)))
}

async fn open(tx: &Transaction<'_>, tenant: TenantId) -> Result<Vec<Alert>, Problem> {
    let select = tx
        .prepare_cached("SELECT * FROM alerts WHERE tenant_id = $1 AND ended_at IS NULL")
        .await?;
    let rows = tx.query(&select, &[&tenant.0]).await?;
    Ok(rows.iter().map(Alert::of).collect())
}

async fn tell(
    tx: &Transaction<'_>,
    tenant: TenantId,
    alert: Uuid,
    found: &Found,
) -> Result<(), Problem> {
    let update = tx
        .prepare_cached(
            "UPDATE alerts SET detail = $3, severity = $4 WHERE tenant_id = $1 AND alert_id = $2",
        )
        .await?;
    let severity = found.severity.as_str();
    tx.execute(&update, &[&tenant.0, &alert, &found.detail, &severity])
        .await?;
    Ok(())
}

async fn begin(
    tx: &Transaction<'_>,
    tenant: TenantId,
    found: &Found,
    now: Timestamp,
) -> Result<(), Problem> {
    let insert = tx
        .prepare_cached(
            "INSERT INTO alerts (tenant_id, alert_id, kind, subject, severity, store_id, environment, device_id, detail, since)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .await?;
    tx.execute(
        &insert,
        &[
            &tenant.0,
            &Uuid::new_v4(),
            &found.kind.as_ref(),
            &found.subject,
            &found.severity.as_str(),
            &found.store_id,
            &found.environment,
            &found.device_id,
            &found.detail,
            &now,
        ],
    )
    .await?;
    Ok(())
}

/// The alerts of a tenant.
#[utoipa::path(
    get,
    path = "/alerts",
    tag = "alerts",
    operation_id = "listAlerts",
    params(
        ("state" = Option<String>, Query, description = "`open` or `ended`; left out: all."),
        ("limit" = Option<i32>, Query, description = "Rows, at most 500; 50 if left out."),
        ("after" = Option<String>, Query, description = "`next` of the page before."),
    ),
    responses(
        (status = 200, description = "The newest first.", body = Alerts),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn list(
    State(hq): State<SharedHq>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<Alerts>, Problem> {
    caller.at_least(Role::Viewer)?;
    let params = Params::of(&uri, &["state", "limit", "after"])?;
    let state = params.word("state", &["open", "ended"])?;
    let limit = params.limit()?;
    let wrong = || {
        Problem::field(
            "after",
            "after must be `next` of the page before, unchanged",
        )
    };
    let after = params.get("after").map(|text| {
        let (since, id) = text.split_once(',').ok_or_else(wrong)?;
        let since: Timestamp = since.parse().map_err(|_| wrong())?;
        let id: Uuid = id.parse().map_err(|_| wrong())?;
        Ok::<_, Problem>((since, id))
    });
    let after = after.transpose()?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let select = tx
        .prepare_cached(
            "SELECT * FROM alerts WHERE tenant_id = $1
               AND (CASE $2 WHEN 'open' THEN ended_at IS NULL WHEN 'ended' THEN ended_at IS NOT NULL ELSE true END)
               AND ($3::timestamptz IS NULL OR (since, alert_id) < ($3, $4))
             ORDER BY since DESC, alert_id DESC LIMIT $5",
        )
        .await?;
    let rows = tx
        .query(
            &select,
            &[
                &caller.tenant.0,
                &state.unwrap_or_default(),
                &after.map(|(since, _)| since),
                &after.map(|(_, id)| id),
                &i64::try_from(limit + 1).unwrap_or(501),
            ],
        )
        .await?;
    let mut rows: Vec<_> = rows.iter().map(Alert::of).collect();
    let more = rows.len() > limit;
    rows.truncate(limit);
    let last = rows.last().filter(|_| more);
    Ok(Json(Alerts {
        next: last.map(|last| format!("{},{}", last.since, last.alert_id)),
        rows,
    }))
}

/// End an alert by hand.
///
/// Only those that do not end by themselves: a fork, a number that was given twice, a till of another store. The others end when what they are about is put
/// right.
#[utoipa::path(
    post,
    path = "/alerts/{alert_id}/end",
    tag = "alerts",
    operation_id = "endAlert",
    params(("alert_id" = String, Path, description = "The alert.")),
    request_body = End,
    responses(
        (status = 200, description = "The alert.", body = Alert),
        (status = 409, description = "It ends by itself.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn end(
    State(hq): State<SharedHq>,
    caller: Caller,
    Path(alert_id): Path<String>,
    Body(body): Body<End>,
) -> Result<Json<Alert>, Problem> {
    caller.at_least(Role::Operator)?;
    let why = reason(&body.reason)?;
    let alert_id = id(&alert_id, "alert")?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let select = tx
        .prepare_cached("SELECT * FROM alerts WHERE tenant_id = $1 AND alert_id = $2 FOR UPDATE")
        .await?;
    let row = tx
        .query_opt(&select, &[&caller.tenant.0, &alert_id])
        .await?;
    let mut alert = row
        .as_ref()
        .map(Alert::of)
        .ok_or_else(|| Problem::not_found("alert"))?;
    if KINDS.contains(&alert.kind.as_str()) {
        return Err(Problem::new(
            Code::Conflict,
            format!(
                "this alert ends by itself as soon as it is put right: {}",
                alert.detail
            ),
        ));
    }
    if alert.ended_at.is_some() {
        return Ok(Json(alert));
    }
    let now = hq.now();
    let update = tx
        .prepare_cached("UPDATE alerts SET ended_at = $3 WHERE tenant_id = $1 AND alert_id = $2")
        .await?;
    tx.execute(&update, &[&caller.tenant.0, &alert_id, &now])
        .await?;
    alert.ended_at = Some(now);
    let deed = Deed {
        actor: &caller.actor,
        action: "alert.end",
        subject: &format!("alert {alert_id}"),
        before: None,
        after: Some(json!({ "kind": alert.kind, "about": alert.subject, "reason": why })),
    };
    audit::record(&tx, caller.tenant, now, &deed).await?;
    tx.commit().await?;
    Ok(Json(alert))
}
