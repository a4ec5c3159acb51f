//! Telling people: what is due is claimed, sent outside of any transaction, and noted. A message that may have arrived is sent
//! again rather than not at all; it carries an id by which the receiver knows it.

use std::time::Duration;

use clock::Timestamp;
use deadpool_postgres::Transaction;
use futures_util::future::join_all;
use tokio_postgres::Row;
use uuid::Uuid;

use super::alerts::Alert;
use super::{mail, webhook};
use crate::db::{self, TenantId};
use crate::hq::Hq;
use crate::problem::Problem;

/// Messages that a turn sends at most for one tenant.
const AT_ONCE: i64 = 20;
/// Tries after which nobody is told any more: with the pauses below about two days.
const MOST: i32 = 50;
/// A message that was claimed and not noted is free again after so many seconds.
const CLAIMED: i64 = 120;

/// What is told.
#[derive(Debug)]
pub(super) struct Message {
    /// By which the receiver knows it again.
    pub(super) id: String,
    /// `alert.began`, `alert.ended`, `test`.
    pub(super) event: String,
    pub(super) tenant: TenantId,
    pub(super) tenant_name: String,
    pub(super) at: Timestamp,
    pub(super) alert: Option<Alert>,
}

impl Message {
    /// In one line, for a subject.
    pub(super) fn title(&self) -> String {
        match &self.alert {
            Some(alert) => format!(
                "{}: {} {} ({})",
                self.tenant_name, alert.kind, self.event, alert.severity
            ),
            None => format!("{}: test message", self.tenant_name),
        }
    }
}

/// Where it is told.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) id: Uuid,
    pub(super) kind: String,
    pub(super) target: String,
    /// Sealed, packed.
    pub(super) secret: Option<Vec<u8>>,
}

impl Channel {
    pub(super) fn of(row: &Row) -> Self {
        Self {
            id: row.get("channel_id"),
            kind: row.get("channel_kind"),
            target: row.get("target"),
            secret: row.get("secret"),
        }
    }
}

/// Sends a message.
///
/// # Errors
/// Why it has not arrived, a sentence without secrets.
pub(super) async fn send(hq: &Hq, channel: &Channel, message: &Message) -> Result<(), String> {
    match channel.kind.as_str() {
        "webhook" => webhook::send(hq, channel, message).await,
        _ => mail::send(hq, channel, message).await,
    }
}

/// Notes who is to be told of what has begun and ended.
pub(super) async fn plan(
    tx: &Transaction<'_>,
    tenant: TenantId,
    now: Timestamp,
) -> Result<(), Problem> {
    let began = tx
        .prepare_cached(
            "INSERT INTO alert_deliveries (tenant_id, alert_id, channel_id, what, next_attempt_at)
             SELECT a.tenant_id, a.alert_id, c.channel_id, 'began', $2
             FROM alerts a JOIN alert_channels c ON c.tenant_id = a.tenant_id AND c.enabled
             WHERE a.tenant_id = $1 AND a.ended_at IS NULL
             ON CONFLICT DO NOTHING",
        )
        .await?;
    tx.execute(&began, &[&tenant.0, &now]).await?;
    // Who has not heard that it began need not hear that it ended.
    let ended = tx
        .prepare_cached(
            "INSERT INTO alert_deliveries (tenant_id, alert_id, channel_id, what, next_attempt_at)
             SELECT a.tenant_id, a.alert_id, d.channel_id, 'ended', $2
             FROM alerts a
             JOIN alert_deliveries d ON d.tenant_id = a.tenant_id AND d.alert_id = a.alert_id AND d.what = 'began'
             JOIN alert_channels c ON c.tenant_id = d.tenant_id AND c.channel_id = d.channel_id AND c.enabled
             WHERE a.tenant_id = $1 AND a.ended_at > $2::timestamptz - interval '2 days' AND d.delivered_at IS NOT NULL
             ON CONFLICT DO NOTHING",
        )
        .await?;
    tx.execute(&ended, &[&tenant.0, &now]).await?;
    Ok(())
}

/// Sends what is due; how much has arrived and how much has not.
pub(super) async fn all(hq: &Hq, tenant: TenantId) -> Result<(u32, u32), Problem> {
    let claimed = claim(hq, tenant).await?;
    let sent = join_all(
        claimed
            .iter()
            .map(|(channel, message, _)| send(hq, channel, message)),
    )
    .await;
    let (mut delivered, mut undelivered) = (0, 0);
    if claimed.is_empty() {
        return Ok((0, 0));
    }
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, tenant).await?;
    for ((channel, message, attempts), sent) in claimed.iter().zip(sent) {
        match &sent {
            Ok(()) => delivered += 1,
            Err(_) => undelivered += 1,
        }
        note(&tx, hq, channel, message, *attempts, sent.err()).await?;
    }
    tx.commit().await?;
    Ok((delivered, undelivered))
}

type Claimed = (Channel, Message, i32);

async fn claim(hq: &Hq, tenant: TenantId) -> Result<Vec<Claimed>, Problem> {
    let now = hq.now();
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, tenant).await?;
    let claim = tx
        .prepare_cached(
            "WITH due AS (
               SELECT tenant_id, alert_id, channel_id, what FROM alert_deliveries
               WHERE tenant_id = $1 AND delivered_at IS NULL AND attempts < $3 AND next_attempt_at <= $2
               ORDER BY next_attempt_at LIMIT $4 FOR UPDATE SKIP LOCKED),
             claimed AS (
               UPDATE alert_deliveries d SET attempts = d.attempts + 1,
                 next_attempt_at = $2::timestamptz + make_interval(secs => $5::bigint)
               FROM due WHERE d.tenant_id = due.tenant_id AND d.alert_id = due.alert_id
                 AND d.channel_id = due.channel_id AND d.what = due.what
               RETURNING d.alert_id, d.channel_id, d.what, d.attempts)
             SELECT a.*, c.channel_id, c.kind AS channel_kind, c.target, c.secret, claimed.what, claimed.attempts, t.name
             FROM claimed JOIN alerts a ON a.tenant_id = $1 AND a.alert_id = claimed.alert_id
             JOIN alert_channels c ON c.tenant_id = $1 AND c.channel_id = claimed.channel_id AND c.enabled
             JOIN tenants t ON t.tenant_id = $1",
        )
        .await?;
    let rows = tx
        .query(&claim, &[&tenant.0, &now, &MOST, &AT_ONCE, &CLAIMED])
        .await?;
    tx.commit().await?;
    let claimed = rows.iter().map(|row| {
        let alert = Alert::of(row);
        let what: String = row.get("what");
        let at = if what == "ended" {
            alert.ended_at
        } else {
            None
        };
        let message = Message {
            id: format!("{}.{what}", alert.alert_id),
            event: format!("alert.{what}"),
            tenant,
            tenant_name: row.get("name"),
            at: at.unwrap_or(alert.since),
            alert: Some(alert),
        };
        (Channel::of(row), message, row.get("attempts"))
    });
    Ok(claimed.collect())
}

/// Pauses grow from a minute to an hour.
fn pause(attempts: i32) -> Duration {
    let doublings = u32::try_from(attempts.clamp(1, 7) - 1).unwrap_or_default();
    Duration::from_secs((60_u64 << doublings).min(3600))
}

async fn note(
    tx: &Transaction<'_>,
    hq: &Hq,
    channel: &Channel,
    message: &Message,
    attempts: i32,
    error: Option<String>,
) -> Result<(), Problem> {
    let update = tx
        .prepare_cached(
            "UPDATE alert_deliveries SET delivered_at = CASE WHEN $5::text IS NULL THEN $6::timestamptz END, last_error = $5,
               next_attempt_at = $7
             WHERE tenant_id = $1 AND alert_id = $2 AND channel_id = $3 AND what = $4",
        )
        .await?;
    let now = hq.now();
    let alert = message.alert.as_ref().map(|alert| alert.alert_id);
    let what = message.event.strip_prefix("alert.").unwrap_or_default();
    let next = now
        .saturating_add(pause(attempts))
        .unwrap_or(Timestamp::MAX);
    let error = error.map(|error| error.chars().take(500).collect::<String>());
    tx.execute(
        &update,
        &[
            &message.tenant.0,
            &alert,
            &channel.id,
            &what,
            &error,
            &now,
            &next,
        ],
    )
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pauses grow, and never beyond an hour.
    #[test]
    fn pauses() {
        let minutes = |attempts| pause(attempts).as_secs() / 60;
        assert_eq!([1, 2, 3, 7, 50].map(minutes), [1, 2, 4, 60, 60]);
    }
}
