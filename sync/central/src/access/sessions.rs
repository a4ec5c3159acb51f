//! Sessions: a cookie of 256 random bits, of which the database has the hash.

use std::time::Duration;

use axum::http::HeaderValue;
use clock::Timestamp;
use deadpool_postgres::Transaction;
use uuid::Uuid;

use super::By;
use super::secret::Secret;
use crate::db::TenantId;
use crate::hq::Hq;
use crate::problem::Problem;

/// A session that nothing was asked with for so long is over.
pub const IDLE: Duration = Duration::from_secs(2 * 60 * 60);
/// However busy it is, a session is over after this.
pub const ABSOLUTE: Duration = Duration::from_secs(24 * 60 * 60);
/// How often it is written down that a session is in use.
pub(super) const SEEN_EVERY: Duration = Duration::from_secs(60);

/// A session that has begun.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// The cookie's value.
    pub cookie: Secret,
    /// What writes must carry.
    pub csrf: Secret,
    /// Until when at most.
    pub expires_at: Timestamp,
}

/// The cookie's name. With HTTPS it begins so that no other host and no plain HTTP can set it.
#[must_use]
pub fn cookie_name(hq: &Hq) -> &'static str {
    if hq.secure_cookies {
        "__Host-fhq"
    } else {
        "fhq"
    }
}

/// The header that gives a browser its session.
#[must_use]
pub fn set_cookie(hq: &Hq, session: &NewSession) -> HeaderValue {
    cookie(hq, session.cookie.reveal(), ABSOLUTE.as_secs())
}

/// The header that takes it away.
#[must_use]
pub fn clear_cookie(hq: &Hq) -> HeaderValue {
    cookie(hq, "", 0)
}

fn cookie(hq: &Hq, value: &str, max_age: u64) -> HeaderValue {
    let name = cookie_name(hq);
    let secure = if hq.secure_cookies { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age}{secure}");
    let mut header = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
    header.set_sensitive(true);
    header
}

/// What writes of this session must carry.
pub(super) fn csrf_of(cookie: &str) -> Secret {
    Secret::derived(cookie, "fiscal-hq csrf")
}

/// Begins a session; what has run out of this user's goes.
pub(super) async fn begin(
    tx: &Transaction<'_>,
    tenant: TenantId,
    user: Uuid,
    now: Timestamp,
) -> Result<NewSession, Problem> {
    drop_where(tx, tenant, user, None, Some(now)).await?;
    let cookie = Secret::new("")?;
    let session = NewSession {
        csrf: csrf_of(cookie.reveal()),
        expires_at: now.saturating_add(ABSOLUTE).unwrap_or(now),
        cookie,
    };
    let id = Uuid::new_v4();
    let insert = tx
        .prepare_cached(
            "INSERT INTO sessions (tenant_id, session_id, user_id, key_hash, csrf_hash, created_at, seen_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $6, $7)",
        )
        .await?;
    tx.execute(
        &insert,
        &[
            &tenant.0,
            &id,
            &user,
            &session.cookie.hash(),
            &session.csrf.hash(),
            &now,
            &session.expires_at,
        ],
    )
    .await?;
    put_lookup(tx, "session", &session.cookie.hash(), id).await?;
    let seen = tx
        .prepare_cached("UPDATE users SET last_seen_at = $3 WHERE tenant_id = $1 AND user_id = $2")
        .await?;
    tx.execute(&seen, &[&tenant.0, &user, &now]).await?;
    Ok(session)
}

/// Ends one session.
///
/// # Errors
/// Postgres is away.
pub async fn end(
    tx: &Transaction<'_>,
    by: &By<'_>,
    user: Uuid,
    session: Uuid,
) -> Result<(), Problem> {
    drop_where(tx, by.tenant, user, Some(session), None).await?;
    let subject = format!("user {user}");
    by.record(tx, "session.end", &subject, None, None).await?;
    Ok(())
}

/// Ends all sessions of a user; how many there were.
///
/// # Errors
/// Postgres is away.
pub async fn end_all(tx: &Transaction<'_>, by: &By<'_>, user: Uuid) -> Result<usize, Problem> {
    let ended = drop_where(tx, by.tenant, user, None, None).await?;
    let after = serde_json::json!({ "ended": ended });
    let subject = format!("user {user}");
    by.record(tx, "session.end_all", &subject, None, Some(after))
        .await?;
    Ok(ended)
}

/// Ends all sessions of a user but the one that he is in.
///
/// # Errors
/// Postgres is away.
pub async fn end_others(
    tx: &Transaction<'_>,
    by: &By<'_>,
    user: Uuid,
    session: Uuid,
) -> Result<(), Problem> {
    let drop = tx
        .prepare_cached(
            "WITH gone AS (
               DELETE FROM sessions WHERE tenant_id = $1 AND user_id = $2 AND session_id <> $3 RETURNING key_hash)
             SELECT hq_lookup_drop('session', key_hash) FROM gone",
        )
        .await?;
    let ended = tx.query(&drop, &[&by.tenant.0, &user, &session]).await?;
    let after = serde_json::json!({ "ended": ended.len() });
    let subject = format!("user {user}");
    by.record(tx, "session.end_others", &subject, None, Some(after))
        .await?;
    Ok(())
}

/// Removes a user's sessions: one, or all, or all that have run out.
pub(super) async fn drop_where(
    tx: &Transaction<'_>,
    tenant: TenantId,
    user: Uuid,
    session: Option<Uuid>,
    run_out: Option<Timestamp>,
) -> Result<usize, Problem> {
    let idle_since = run_out.map(|now| now.saturating_sub(IDLE).unwrap_or(Timestamp::MIN));
    let drop = tx
        .prepare_cached(
            "WITH gone AS (
               DELETE FROM sessions WHERE tenant_id = $1 AND user_id = $2
                 AND ($3::uuid IS NULL OR session_id = $3)
                 AND ($4::timestamptz IS NULL OR expires_at <= $4 OR seen_at <= $5)
               RETURNING key_hash)
             SELECT hq_lookup_drop('session', key_hash) FROM gone",
        )
        .await?;
    let rows = tx
        .query(&drop, &[&tenant.0, &user, &session, &run_out, &idle_since])
        .await?;
    Ok(rows.len())
}

/// Lets a hash be found before the tenant is known.
pub(super) async fn put_lookup(
    tx: &Transaction<'_>,
    kind: &str,
    key: &[u8],
    id: Uuid,
) -> Result<(), crate::db::DbError> {
    let put = tx
        .prepare_cached("SELECT hq_lookup_put($1, $2, $3)")
        .await?;
    tx.execute(&put, &[&kind, &key, &id]).await?;
    Ok(())
}

/// Takes it away again.
pub(super) async fn drop_lookup(
    tx: &Transaction<'_>,
    kind: &str,
    key: &[u8],
) -> Result<(), crate::db::DbError> {
    let drop = tx.prepare_cached("SELECT hq_lookup_drop($1, $2)").await?;
    tx.execute(&drop, &[&kind, &key]).await?;
    Ok(())
}
