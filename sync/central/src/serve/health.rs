//! Whether the service lives, whether it can serve, and what it counts.

use std::net::SocketAddr;

use axum::Json;
use axum::extract::{ConnectInfo, Extension, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::lag;
use crate::access::bearer;
use crate::db::{self, DbError, TenantId};
use crate::hq::{Hq, SharedHq};
use crate::metrics::{self, METRICS};
use crate::problem::{Code, Problem};

/// How it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
struct Health {
    status: &'static str,
    version: &'static str,
}

/// Whoever shows this may read the metrics.
#[derive(Debug, Clone)]
pub(super) struct MetricsToken(pub(super) Option<SecretString>);

/// The paths that machines watch.
#[must_use]
pub fn routes() -> OpenApiRouter<SharedHq> {
    OpenApiRouter::new()
        .routes(routes!(healthz))
        .routes(routes!(readyz))
        .routes(routes!(read_metrics))
}

fn health(status: &'static str) -> Json<Health> {
    Json(Health {
        status,
        version: env!("CARGO_PKG_VERSION"),
    })
}

/// Whether the process lives; it does not look at the database.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "service",
    operation_id = "alive",
    security(()),
    responses((status = 200, description = "It lives.", body = Health)),
)]
async fn healthz() -> Json<Health> {
    health("alive")
}

/// Whether it can serve: Postgres answers, its schema is of this version, the role may no more than it should.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "service",
    operation_id = "ready",
    security(()),
    responses(
        (status = 200, description = "It can serve.", body = Health),
        (status = 503, description = "It cannot, just now or until somebody acts.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn readyz(State(hq): State<SharedHq>) -> Result<Json<Health>, Problem> {
    match hq.db.check().await {
        Ok(()) => Ok(health("ready")),
        Err(why) => {
            tracing::warn!(%why, "not ready");
            // What is wrong inside is for the log: anybody may ask here.
            let detail = if why.may_pass() {
                "the database cannot be reached just now"
            } else {
                "the database or its role is not as it must be; the log says what to do"
            };
            Err(Problem::new(Code::Unavailable, detail))
        }
    }
}

/// What the service counts, for Prometheus: for this machine, or with the token in HQ_METRICS_TOKEN.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "service",
    operation_id = "metrics",
    security((), ("metrics" = [])),
    responses(
        (status = 200, description = "Prometheus text.", body = String, content_type = "text/plain"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
async fn read_metrics(
    State(hq): State<SharedHq>,
    token: Option<Extension<MetricsToken>>,
    request: Request,
) -> Result<Response, Problem> {
    let token = token.map_or(MetricsToken(None), |token| token.0);
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    if !may_read(peer.map(|peer| peer.0), request.headers(), &token) {
        return Err(Problem::new(
            Code::Forbidden,
            "metrics are for this machine, or with the token in HQ_METRICS_TOKEN as Authorization: Bearer",
        ));
    }
    let mut text = String::new();
    METRICS.write(&mut text);
    let read = match of_stores(&hq, &mut text).await {
        Ok(()) => lag::write(&hq, &mut text).await,
        away => away,
    };
    metrics::head(
        &mut text,
        "fiscal_hq_database_up",
        "gauge",
        "Whether the database answers.",
    );
    metrics::line(
        &mut text,
        "fiscal_hq_database_up",
        "",
        u8::from(read.is_ok()),
    );
    let (open, free) = hq.db.connections();
    metrics::head(
        &mut text,
        "fiscal_hq_database_connections",
        "gauge",
        "Connections to the database.",
    );
    for (state, count) in [("open", open), ("free", free)] {
        metrics::line(
            &mut text,
            "fiscal_hq_database_connections",
            &format!("state=\"{state}\""),
            count,
        );
    }
    let kind = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    Ok((kind, text).into_response())
}

/// From this machine, and not for somebody else: a proxy that sits here too says for whom.
fn may_read(peer: Option<SocketAddr>, headers: &HeaderMap, token: &MetricsToken) -> bool {
    let is_forwarded = ["x-forwarded-for", "forwarded", "x-real-ip"]
        .iter()
        .any(|name| headers.contains_key(*name));
    if peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback()) && !is_forwarded {
        return true;
    }
    let (Some(shown), Some(token)) = (bearer(headers), &token.0) else {
        return false;
    };
    // Hashes are compared, so that the time taken says nothing of the token.
    Sha256::digest(shown) == Sha256::digest(token.expose_secret())
}

/// How the stores are, over all tenants, as the worker has last seen them.
async fn of_stores(hq: &Hq, text: &mut String) -> Result<(), DbError> {
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, TenantId::OPERATOR).await?;
    let sum = tx
        .prepare_cached(
            "SELECT count(*), coalesce(sum(stores - silent_stores), 0)::bigint, coalesce(sum(silent_stores), 0)::bigint,
               coalesce(sum(tills), 0)::bigint, coalesce(sum(open_days), 0)::bigint, coalesce(sum(unsent), 0)::bigint,
               coalesce(sum(dead_letters), 0)::bigint, coalesce(sum(expiring), 0)::bigint,
               coalesce(sum(alerts), 0)::bigint, min(oldest_unsent), min(updated_at)
             FROM tenant_summaries",
        )
        .await?;
    let row = tx.query_one(&sum, &[]).await?;
    tx.commit().await?;
    let gauges = [
        (1, "fiscal_hq_stores", "state=\"heard\"", "Stores by state."),
        (2, "fiscal_hq_stores", "state=\"silent\"", ""),
        (0, "fiscal_hq_tenants", "", "Tenants with a summary."),
        (3, "fiscal_hq_tills", "", "Tills."),
        (4, "fiscal_hq_open_days", "", "Fiscal days that are open."),
        (
            5,
            "fiscal_hq_unsent",
            "",
            "What waits at the stores for FDMS.",
        ),
        (
            6,
            "fiscal_hq_dead_letters",
            "",
            "What is not tried any more until a person decides.",
        ),
        (
            7,
            "fiscal_hq_expiring_certificates",
            "",
            "Certificates that end soon.",
        ),
        (8, "fiscal_hq_alerts", "", "Alerts that last."),
    ];
    for (column, name, labels, about) in gauges {
        if !about.is_empty() {
            metrics::head(text, name, "gauge", about);
        }
        metrics::line(text, name, labels, row.try_get::<_, i64>(column)?);
    }
    let ages = [
        (
            9,
            "fiscal_hq_oldest_unsent_seconds",
            "Age of the oldest that waits.",
        ),
        (
            10,
            "fiscal_hq_summary_age_seconds",
            "Age of the oldest summary: how far the worker is behind.",
        ),
    ];
    for (column, name, about) in ages {
        if let Some(at) = row.try_get::<_, Option<clock::Timestamp>>(column)? {
            metrics::head(text, name, "gauge", about);
            metrics::line(text, name, "", hq.now().duration_since(at).as_secs().max(0));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Loopback may read, unless a proxy asks for somebody else; others need the token.
    #[test]
    fn metrics_are_not_for_everybody() {
        let near: SocketAddr = "127.0.0.1:5".parse().unwrap();
        let far: SocketAddr = "10.0.0.9:5".parse().unwrap();
        let none = MetricsToken(None);
        let some = MetricsToken(Some(SecretString::from("t0ken")));
        let with = |name: &'static str, value: &'static str| {
            HeaderMap::from_iter([(
                header::HeaderName::from_static(name),
                header::HeaderValue::from_static(value),
            )])
        };
        assert!(may_read(Some(near), &HeaderMap::new(), &none));
        assert!(!may_read(
            Some(near),
            &with("x-forwarded-for", "1.2.3.4"),
            &none
        ));
        assert!(!may_read(Some(far), &HeaderMap::new(), &some));
        assert!(!may_read(
            Some(far),
            &with("authorization", "Bearer other"),
            &some
        ));
        assert!(!may_read(
            Some(far),
            &with("authorization", "Bearer "),
            &none
        ));
        assert!(may_read(
            Some(far),
            &with("authorization", "Bearer t0ken"),
            &some
        ));
        assert!(!may_read(None, &HeaderMap::new(), &none));
    }
}
