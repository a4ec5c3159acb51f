//! Commands on their way down, and what came of them.

use clock::Timestamp;
use deadpool_postgres::Transaction;
use sync_wire::TillRef;
use sync_wire::command::{Command, Order};
use uuid::Uuid;

use super::StoreCaller;
use super::batch::{Batch, Ended, plain};
use super::deeds::Deeds;
use super::jobs;
use crate::db::{DbError, till_of};

/// So many go down at a time.
const AT_A_TIME: i64 = 100;

/// Keeps how commands have ended, each once.
pub(super) async fn finish(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    deeds: &mut Deeds,
    batch: &Batch<'_>,
    now: Timestamp,
) -> Result<(), DbError> {
    for ended in &batch.ended {
        one(tx, caller, deeds, ended, now).await?;
    }
    Ok(())
}

/// What head office has given up as expired may have been kept and done by the store all the same: the store's word
/// is the last one.
async fn one(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    deeds: &mut Deeds,
    ended: &Ended,
    now: Timestamp,
) -> Result<(), DbError> {
    let done = &ended.done;
    let update = tx
        .prepare_cached(
            "UPDATE commands SET status = $4, finished_at = $5, detail = $6, number = $7, result = $8
             WHERE tenant_id = $1 AND store_id = $2 AND command_id = $3
               AND (status IN ('queued', 'delivered') OR status = 'expired' AND result IS NULL)
             RETURNING kind, environment, device_id, (body->>'version')::integer",
        )
        .await?;
    let number = done.number.and_then(|number| i32::try_from(number).ok());
    let row = tx
        .query_opt(
            &update,
            &[
                &caller.tenant.0,
                &caller.store,
                &done.id,
                &done.outcome.as_str(),
                &ended.at,
                &plain(done.detail.clone()),
                &number,
                &ended.result,
            ],
        )
        .await?;
    let Some(row) = row else {
        return Ok(());
    };
    let kind: &str = row.get(0);
    let environment: Option<&str> = row.get(1);
    let till = environment.zip(row.get(2));
    let till = till.and_then(|(environment, device)| till_of(environment, device));
    let is_done = done.outcome == sync_wire::command::CommandOutcome::Done;
    if let (true, "submit_test", Some(till), Some(number)) = (is_done, kind, till, done.number) {
        jobs::tie(tx, caller, till, number, done.id, now).await?;
    }
    if let (true, "deliver_credential", Some(till), Some(version)) =
        (is_done, kind, till, row.get::<_, Option<i32>>(3))
    {
        delivered(tx, caller, till, version, ended.at).await?;
    }
    deeds.note(
        format!("command.{kind}.{}", done.outcome.as_str()),
        subject(caller, till),
        serde_json::json!({ "command": done.id, "no": done.no, "detail": plain(done.detail.clone()) }),
    );
    Ok(())
}

/// What the audit says that a command is about.
fn subject(caller: StoreCaller, till: Option<TillRef>) -> String {
    till.map_or_else(
        || format!("store {}", caller.store),
        |till| format!("till {till}"),
    )
}

async fn delivered(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    till: TillRef,
    version: i32,
    at: Timestamp,
) -> Result<(), DbError> {
    let update = tx
        .prepare_cached(
            "UPDATE fdms_tenant_credentials SET delivered_at = coalesce(delivered_at, $5)
             WHERE tenant_id = $1 AND environment = $2 AND device_id = $3 AND version = $4",
        )
        .await?;
    let (environment, number) = (till.environment.as_str(), super::line::device(till));
    tx.execute(
        &update,
        &[&caller.tenant.0, &environment, &number, &version, &at],
    )
    .await?;
    Ok(())
}

/// What the store has not kept yet, in order. Those that have expired do not go down any more.
pub(super) async fn hand_down(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    deeds: &mut Deeds,
    seen: i64,
    now: Timestamp,
) -> Result<Vec<Command>, DbError> {
    let select = tx
        .prepare_cached(
            "SELECT command_no, command_id, issued_by, expires_at, body FROM commands
             WHERE tenant_id = $1 AND store_id = $2 AND command_no > $3 AND status IN ('queued', 'delivered')
             ORDER BY command_no LIMIT $4",
        )
        .await?;
    let rows = tx
        .query(
            &select,
            &[&caller.tenant.0, &caller.store, &seen, &AT_A_TIME],
        )
        .await?;
    let (mut commands, mut down, mut late) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let no: i64 = row.get(0);
        let expires: Timestamp = row.get(3);
        let is_late = expires <= now;
        if is_late {
            late.push(no);
        }
        // Written by this program from the same type.
        let Ok(order) = serde_json::from_value::<Order>(row.get(4)) else {
            tracing::error!(store = %caller.store, no, "a command cannot be read");
            continue;
        };
        if is_late {
            let subject = subject(caller, order.till());
            let action = format!("command.{}.expired", order.kind());
            let after = serde_json::json!({ "command": row.get::<_, Uuid>(1), "no": no, "by": "head office" });
            deeds.note(action, subject, after);
            continue;
        }
        down.push(no);
        commands.push(Command {
            id: row.get(1),
            no,
            actor: format!("hq:{}", row.get::<_, &str>(2)),
            expires: expires.as_millisecond(),
            order,
        });
    }
    if !down.is_empty() {
        let update = tx
            .prepare_cached(
                "UPDATE commands SET status = 'delivered', delivered_at = $4
                 WHERE tenant_id = $1 AND store_id = $2 AND command_no = ANY ($3) AND status = 'queued'",
            )
            .await?;
        tx.execute(&update, &[&caller.tenant.0, &caller.store, &down, &now])
            .await?;
    }
    if !late.is_empty() {
        let update = tx
            .prepare_cached(
                "UPDATE commands SET status = 'expired', finished_at = $4,
                   detail = 'the store was not there in time; order it again if it is still wanted'
                 WHERE tenant_id = $1 AND store_id = $2 AND command_no = ANY ($3)",
            )
            .await?;
        tx.execute(&update, &[&caller.tenant.0, &caller.store, &late, &now])
            .await?;
    }
    Ok(commands)
}
