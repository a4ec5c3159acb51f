//! How far head office has a store's lines: one row, locked while a batch is taken.

use std::borrow::Cow;

use clock::Timestamp;
use deadpool_postgres::Transaction;
use sync_wire::chain::ChainHash;
use sync_wire::exchange::Up;
use sync_wire::state::StoreState;
use uuid::Uuid;

use super::StoreCaller;
use super::batch::json;
use super::deeds::Deeds;
use super::planted;
use crate::db::DbError;
use crate::problem::{Code, Problem};

/// A clock that was set back by more than this is believed: no request is under way for so long.
const LATE_MS: i64 = 600_000;
/// A point of the chain is kept whenever lines pass a multiple of this.
const POINT_EVERY: i64 = 1_024;

/// Where a store's past ends at head office.
#[derive(Debug, Clone)]
pub(super) struct Cursor {
    /// 0: there is nothing yet.
    pub(super) epoch_no: i32,
    pub(super) epoch: Uuid,
    pub(super) acked: i64,
    pub(super) hash: ChainHash,
    /// Where the series leaves its parent.
    pub(super) parent_no: Option<i32>,
    pub(super) forked_at: Option<i64>,
    /// Of the newest snapshot.
    state_at: Option<Timestamp>,
    state_seq: Option<i64>,
    /// The tenant's revision.
    pub(super) revision: i64,
    /// So much more is what the store is sent (docs/HQ.md, Gates).
    pub(super) ahead: i64,
    /// The alert that it is stopped is open.
    pub(super) is_stopped: bool,
    /// For the audit: `store:NAME`.
    pub(super) actor: String,
}

/// Locks it.
///
/// # Errors
/// The store was retired, or Postgres is away.
pub(super) async fn lock(tx: &Transaction<'_>, caller: StoreCaller) -> Result<Cursor, Problem> {
    let mut sql =
        "SELECT epoch_no, epoch, acked, hash, state_at, (state->>'lastSeq')::bigint, revision_ahead
       FROM store_cursors WHERE tenant_id = $1 AND store_id = $2 FOR UPDATE";
    if planted::is("cursor-not-locked") {
        sql = sql.trim_end_matches("FOR UPDATE");
    }
    let select = tx.prepare_cached(sql).await?;
    let keys: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&caller.tenant.0, &caller.store];
    let row = tx.query_opt(&select, &keys).await?;
    let row = row.ok_or_else(|| Problem::not_found("store"))?;
    // What whoever had the lock before has written is seen only by a statement that begins under it.
    let select = tx
        .prepare_cached(
            "SELECT s.name, s.retired_at IS NOT NULL, e.parent_no, e.forked_at,
               EXISTS (SELECT FROM alerts a WHERE a.tenant_id = $1 AND a.kind = 'sync_stopped'
                 AND a.subject = $2::uuid::text AND a.ended_at IS NULL), t.revision
             FROM stores s JOIN tenants t ON t.tenant_id = s.tenant_id
             LEFT JOIN store_epochs e ON e.tenant_id = s.tenant_id AND e.store_id = s.store_id AND e.epoch_no = $3
             WHERE s.tenant_id = $1 AND s.store_id = $2",
        )
        .await?;
    let epoch_no: i32 = row.get(0);
    let store = tx
        .query_one(&select, &[&caller.tenant.0, &caller.store, &epoch_no])
        .await?;
    if store.get(1) {
        return Err(Problem::new(
            Code::Forbidden,
            "this store was retired at head office, and stays so: nothing is taken from it any more. It sells on by itself and \
             reports to FDMS",
        ));
    }
    let hash: &[u8] = row.get(3);
    Ok(Cursor {
        epoch_no,
        epoch: row.get(1),
        acked: row.get(2),
        hash: ChainHash::from_bytes(hash).unwrap_or_default(),
        parent_no: store.get(2),
        forked_at: store.get(3),
        state_at: row.get(4),
        state_seq: row.get(5),
        revision: store.get(5),
        ahead: row.get(6),
        actor: format!("store:{}", store.get::<_, &str>(0)),
        is_stopped: store.get(4),
    })
}

impl Cursor {
    /// Whether a batch of the cursor's own series begins where it is.
    pub(super) fn is_at(&self, up: &Up) -> bool {
        if planted::is("cursor-not-compared") {
            return self.epoch_no > 0 && up.epoch == self.epoch;
        }
        self.epoch_no > 0
            && up.epoch == self.epoch
            && up.after == self.acked
            && up.after_hash == self.hash
    }

    /// What the store says, its revision as this database counts them.
    pub(super) fn in_own_numbers<'a>(&self, up: &'a Up) -> Cow<'a, Up> {
        let mut up = Cow::Borrowed(up);
        if self.ahead > 0 {
            let state = &mut up.to_mut().state;
            state.revision = state.revision.saturating_sub(self.ahead);
        }
        up
    }

    /// Whether the series so far has only lines that its parent has too.
    pub(super) fn is_shared(&self) -> bool {
        self.forked_at == Some(self.acked)
    }

    /// Whether a snapshot of the cursor's own series is newer than the one that is kept: by the ledger's own
    /// numbers first; by the store's clock only where these are the same.
    pub(super) fn is_newer(&self, state: &StoreState) -> bool {
        let (Some(at), Some(seq)) = (self.state_at, self.state_seq) else {
            return true;
        };
        let at = at.as_millisecond();
        state.last_seq > seq
            || state.last_seq == seq && (state.at > at || state.at < at.saturating_sub(LATE_MS))
    }

    /// Forgets the snapshot of another series: any of this one is newer.
    pub(super) fn begin(&mut self, epoch_no: i32, epoch: Uuid) {
        (self.epoch_no, self.epoch) = (epoch_no, epoch);
        (self.state_at, self.state_seq) = (None, None);
    }
}

/// The store follows a revision that this database has never given it: it was put back from a backup. What the store
/// follows stays, and what is decided from now on is news to it.
pub(super) async fn look_ahead(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    cursor: &mut Cursor,
    state: &StoreState,
    deeds: &mut Deeds,
) -> Result<(), DbError> {
    let ahead = state.revision.saturating_sub(cursor.revision);
    if ahead <= cursor.ahead {
        return Ok(());
    }
    cursor.ahead = ahead;
    let update = tx
        .prepare_cached(
            "UPDATE store_cursors SET revision_ahead = $3, ahead_since = $4 WHERE tenant_id = $1 AND store_id = $2",
        )
        .await?;
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
        [&caller.tenant.0, &caller.store, &ahead, &cursor.revision];
    tx.execute(&update, &values).await?;
    deeds.note(
        "store.ahead",
        format!("store {}", caller.store),
        serde_json::json!({ "follows": state.revision, "known": cursor.revision }),
    );
    Ok(())
}

/// Keeps how far a batch has brought it.
pub(super) async fn advance(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    before: i64,
    cursor: &Cursor,
    now: Timestamp,
) -> Result<(), DbError> {
    let (tenant, store) = (caller.tenant.0, caller.store);
    let hash = cursor.hash.0.as_slice();
    let update = tx
        .prepare_cached(
            "UPDATE store_cursors SET epoch_no = $3, epoch = $4, acked = $5, hash = $6, last_seen_at = $7,
               last_entry_at = $7
             WHERE tenant_id = $1 AND store_id = $2",
        )
        .await?;
    tx.execute(
        &update,
        &[
            &tenant,
            &store,
            &cursor.epoch_no,
            &cursor.epoch,
            &cursor.acked,
            &hash,
            &now,
        ],
    )
    .await?;
    if before / POINT_EVERY == cursor.acked / POINT_EVERY {
        return Ok(());
    }
    let insert = tx
        .prepare_cached(
            "INSERT INTO store_points (tenant_id, store_id, epoch_no, seq, hash) VALUES ($1, $2, $3, $4, $5)",
        )
        .await?;
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
        [&tenant, &store, &cursor.epoch_no, &cursor.acked, &hash];
    tx.execute(&insert, &values).await?;
    Ok(())
}

/// The store was heard of.
pub(super) async fn seen(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    now: Timestamp,
) -> Result<(), DbError> {
    let update = tx
        .prepare_cached(
            "UPDATE store_cursors SET last_seen_at = $3 WHERE tenant_id = $1 AND store_id = $2",
        )
        .await?;
    tx.execute(&update, &[&caller.tenant.0, &caller.store, &now])
        .await?;
    Ok(())
}

/// Keeps a snapshot.
pub(super) async fn snapshot(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    up: &Up,
    now: Timestamp,
) -> Result<(), DbError> {
    let update = tx
        .prepare_cached(
            "UPDATE store_cursors SET last_seen_at = $3, state_at = $4, state = $5, version = $6, clock_skew_ms = $7,
               revision = $8, seen_command = $9
             WHERE tenant_id = $1 AND store_id = $2",
        )
        .await?;
    let state = &up.state;
    let at = super::line::moment(state.at).unwrap_or(Timestamp::UNIX_EPOCH);
    let whole = serde_json::to_string(state).ok();
    let whole = whole.and_then(|text| json(&text));
    let version = super::batch::plain(state.version.clone());
    tx.execute(
        &update,
        &[
            &caller.tenant.0,
            &caller.store,
            &now,
            &at,
            &whole,
            &version,
            &state.clock_skew_ms,
            &state.revision,
            &up.commands_seen,
        ],
    )
    .await?;
    Ok(())
}
