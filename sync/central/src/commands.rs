//! Asking a store to do something: a row with a number, handed down with the next exchange, carried out once.

use std::time::Duration;

use clock::Timestamp;
use deadpool_postgres::Transaction;
use sync_wire::command::Order;
use uuid::Uuid;

use crate::audit::{self, Deed};
use crate::db::TenantId;
use crate::problem::{Code, Problem};

/// A command that a store has not begun by then is not carried out.
pub const GOOD_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// A pause holds for whoever comes back, however late: what is paused here is not to go out there.
const STANDING: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);

/// How long a command is good: what a store would do late, and nobody would expect any more, is not done.
const fn good_for(order: &Order) -> Duration {
    match order {
        Order::DeadLetter { .. } => STANDING,
        _ => GOOD_FOR,
    }
}

/// A store that has not joined can be asked nothing.
#[must_use]
pub fn not_joined() -> Problem {
    Problem::new(
        Code::Conflict,
        "the store has not joined yet: make it a code, and run there the command that the code is shown with (of a store \
         that is retired nothing is asked any more)",
    )
}

/// Puts a command into a store's queue, with an audit row; its id.
///
/// # Errors
/// There is no such store, it has not joined or is retired, or Postgres is away.
pub async fn order(
    tx: &Transaction<'_>,
    tenant: TenantId,
    store: Uuid,
    order: &Order,
    actor: &str,
    now: Timestamp,
) -> Result<Uuid, Problem> {
    let number = tx
        .prepare_cached(
            "UPDATE store_cursors c SET last_command = last_command + 1
             WHERE c.tenant_id = $1 AND c.store_id = $2 AND NOT EXISTS (SELECT 1 FROM stores s
               WHERE s.tenant_id = $1 AND s.store_id = $2 AND s.retired_at IS NOT NULL)
             RETURNING last_command",
        )
        .await?;
    let row = tx.query_opt(&number, &[&tenant.0, &store]).await?;
    let row = row.ok_or_else(not_joined)?;
    let no: i64 = row.get(0);
    let id = Uuid::new_v4();
    let body = serde_json::to_value(order).map_err(|error| {
        Problem::new(
            Code::Internal,
            format!("the command cannot be written: {error}"),
        )
    })?;
    let till = order.till();
    let insert = tx
        .prepare_cached(
            "INSERT INTO commands (tenant_id, store_id, command_no, command_id, kind, environment, device_id, body,
               issued_by, issued_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .await?;
    let device = till.and_then(|till| i32::try_from(till.device_id).ok());
    tx.execute(
        &insert,
        &[
            &tenant.0,
            &store,
            &no,
            &id,
            &order.kind(),
            &till.map(|till| till.environment.as_str()),
            &device,
            &body,
            &actor,
            &now,
            &now.saturating_add(good_for(order))
                .unwrap_or(Timestamp::MAX),
        ],
    )
    .await?;
    let action = format!("command.{}", order.kind());
    let subject = till.map_or_else(|| format!("store {store}"), |till| format!("till {till}"));
    let mut after = order.told();
    after.insert("command".to_owned(), id.to_string().into());
    after.insert("no".to_owned(), no.into());
    audit::record(
        tx,
        tenant,
        now,
        &Deed {
            actor,
            action: &action,
            subject: &subject,
            before: None,
            after: Some(after.into()),
        },
    )
    .await?;
    Ok(id)
}
