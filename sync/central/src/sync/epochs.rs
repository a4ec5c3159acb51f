//! Series of a store's lines: the first one, and those that fork off when its ledger was put back from a backup or
//! built again.

use clock::Timestamp;
use deadpool_postgres::Transaction;
use sync_wire::chain::ChainHash;
use sync_wire::exchange::{Fork, Up};

use super::StoreCaller;
use super::cursor::Cursor;
use super::deeds::Deeds;
use super::line::{self, Line};
use super::past::{self, Kept};
use super::trouble::{self, Trouble};
use crate::db::DbError;

/// Finds the place for a batch: true if it begins where the cursor then is. A series that is declared rightly is
/// begun.
pub(super) async fn place(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    cursor: &mut Cursor,
    up: &Up,
    deeds: &mut Deeds,
    now: Timestamp,
) -> Result<bool, DbError> {
    if cursor.is_at(up) {
        return Ok(true);
    }
    // A series without a line is none, and one that has begun goes on or is over.
    if up.entries == 0 || cursor.epoch == up.epoch || is_known(tx, caller, up).await? {
        return Ok(false);
    }
    match &up.fork {
        None if cursor.epoch_no == 0 && up.after == 0 && up.after_hash == ChainHash::START => {
            begin(tx, caller, cursor, up, None, deeds, now).await?;
            Ok(true)
        }
        None => Ok(false),
        Some(fork) => forked(tx, caller, cursor, up, fork, deeds, now).await,
    }
}

async fn is_known(tx: &Transaction<'_>, caller: StoreCaller, up: &Up) -> Result<bool, DbError> {
    Ok(number(tx, caller, up.epoch).await?.is_some())
}

async fn number(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    epoch: uuid::Uuid,
) -> Result<Option<i32>, DbError> {
    let select = tx
        .prepare_cached(
            "SELECT epoch_no FROM store_epochs WHERE tenant_id = $1 AND store_id = $2 AND epoch = $3",
        )
        .await?;
    let row = tx
        .query_opt(&select, &[&caller.tenant.0, &caller.store, &epoch])
        .await?;
    Ok(row.map(|row| row.get(0)))
}

async fn forked(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    cursor: &mut Cursor,
    up: &Up,
    fork: &Fork,
    deeds: &mut Deeds,
    now: Timestamp,
) -> Result<bool, DbError> {
    let parent = number(tx, caller, fork.parent).await?;
    let hash = match parent {
        None => None,
        Some(_) if fork.at == 0 => Some(ChainHash::START),
        Some(no) if no == cursor.epoch_no && fork.at == cursor.acked => Some(cursor.hash),
        Some(no) => past::hash_at(tx, caller, no, fork.at).await?,
    };
    let is_declared = (up.after, up.after_hash) == (fork.at, fork.hash);
    if hash != Some(fork.hash) || !is_declared {
        let detail = format!(
            "the store begins a new series after line {} of its series {}, which is not there at head office; nothing of \
             the store is taken. Was head office put back from a backup? Make a code for the store, and let it join again",
            fork.at, fork.parent
        );
        let trouble = Trouble {
            kind: trouble::FORK_REFUSED,
            subject: &caller.store.to_string(),
            is_fault: true,
            store: caller.store,
            till: None,
            detail: &detail,
        };
        trouble::raise(tx, caller.tenant, now, &trouble).await?;
        tracing::warn!(store = %caller.store, at = fork.at, parent = %fork.parent, "a fork is refused");
        return Ok(false);
    }
    let place = (parent.unwrap_or(0), fork);
    begin(tx, caller, cursor, up, Some(place), deeds, now).await?;
    Ok(true)
}

async fn begin(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    cursor: &mut Cursor,
    up: &Up,
    fork: Option<(i32, &Fork)>,
    deeds: &mut Deeds,
    now: Timestamp,
) -> Result<(), DbError> {
    cursor.begin(cursor.epoch_no + 1, up.epoch);
    (cursor.acked, cursor.hash) = (up.after, up.after_hash);
    cursor.parent_no = fork.map(|(no, _)| no);
    cursor.forked_at = fork.map(|(_, fork)| fork.at);
    let reason = fork.map_or("the store's first series", |(_, fork)| fork.reason.as_str());
    let reason = super::batch::plain(reason.chars().take(500).collect());
    let insert = tx
        .prepare_cached(
            "INSERT INTO store_epochs (tenant_id, store_id, epoch_no, epoch, parent_no, forked_at, fork_hash, reason,
               began_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .await?;
    let fork_hash = fork.map(|(_, fork)| fork.hash.0.to_vec());
    tx.execute(
        &insert,
        &[
            &caller.tenant.0,
            &caller.store,
            &cursor.epoch_no,
            &cursor.epoch,
            &cursor.parent_no,
            &cursor.forked_at,
            &fork_hash,
            &reason,
            &now,
        ],
    )
    .await?;
    let Some((parent, fork)) = fork else {
        return Ok(());
    };
    deeds.note(
        "store.fork",
        format!("store {}", caller.store),
        serde_json::json!({ "epoch": cursor.epoch_no, "parent": parent, "at": fork.at, "reason": reason }),
    );
    tell(tx, caller, cursor, parent, fork, &reason, now).await
}

/// A fork is something to look at: an alert.
async fn tell(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    cursor: &Cursor,
    parent: i32,
    fork: &Fork,
    reason: &str,
    now: Timestamp,
) -> Result<(), DbError> {
    let detail = format!(
        "the store goes on in series {} after line {} of series {parent}: {reason}. Look at its page: receipts that only \
         one side has are marked there; ask FDMS which of them it has",
        cursor.epoch_no, fork.at
    );
    let trouble = Trouble {
        kind: trouble::FORK,
        subject: &format!("{} {}", caller.store, cursor.epoch_no),
        is_fault: false,
        store: caller.store,
        till: None,
        detail: &detail,
    };
    trouble::raise(tx, caller.tenant, now, &trouble).await?;
    let subject = caller.store.to_string();
    trouble::settle(tx, caller.tenant, now, trouble::FORK_REFUSED, &subject).await
}

/// How many of a batch's first lines the parent has too. They are there already; the fork moves on past them.
pub(super) async fn share(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    cursor: &mut Cursor,
    lines: &[Line<'_>],
) -> Result<usize, DbError> {
    let Some(parent) = cursor.parent_no.filter(|_| cursor.is_shared()) else {
        return Ok(0);
    };
    let pieces = past::pieces(tx, caller, parent, i64::MAX).await?;
    let (mut shared, mut seq) = (0, cursor.acked);
    while let Some(rest) = lines.get(shared..).filter(|rest| !rest.is_empty()) {
        let theirs: Vec<Kept> = past::lines(tx, caller, &pieces, seq).await?;
        let same = rest
            .iter()
            .zip(&theirs)
            .take_while(|(ours, theirs)| ours.text == theirs.text)
            .count();
        shared += same;
        seq = lines
            .get(shared.wrapping_sub(1))
            .map_or(cursor.acked, |line| line.seq);
        if same < theirs.len() || theirs.is_empty() {
            break;
        }
    }
    if shared > 0 {
        let common = lines.get(..shared).unwrap_or_default();
        let hash = line::chain(cursor.hash, common);
        let update = tx
            .prepare_cached(
                "UPDATE store_epochs SET forked_at = $4, fork_hash = $5
                 WHERE tenant_id = $1 AND store_id = $2 AND epoch_no = $3",
            )
            .await?;
        tx.execute(
            &update,
            &[
                &caller.tenant.0,
                &caller.store,
                &cursor.epoch_no,
                &seq,
                &hash.0.as_slice(),
            ],
        )
        .await?;
        cursor.forked_at = Some(seq);
    }
    Ok(shared)
}
