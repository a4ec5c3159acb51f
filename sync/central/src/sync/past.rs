//! A store's lines as they came, from the columns that they are kept in; the way back along its series, and the
//! hash at any of its lines.

use deadpool_postgres::Transaction;
use sync_wire::chain::ChainHash;
use sync_wire::entry::{Attempt, AttemptKind, AttemptOutcome};
use tokio_postgres::{Row, Statement};

use super::StoreCaller;
use super::{kept, line};
use crate::db::DbError;

/// Lines that are fetched at a time.
pub(super) const AT_A_TIME: usize = 500;
/// Bytes of a page at most; a line more, if it is the first.
pub(super) const PAGE_BYTES: usize = 6 << 20;

/// A line as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) seq: i64,
    /// Without its end.
    pub(super) text: String,
}

/// A piece of a store's past: the lines of one series after one number, up to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) epoch_no: i32,
    pub(super) after: i64,
    pub(super) to: i64,
}

/// The pieces that lead up to a line of a series, the oldest first.
pub(super) async fn pieces(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    epoch_no: i32,
    to: i64,
) -> Result<Vec<Piece>, DbError> {
    let select = tx
        .prepare_cached(
            "SELECT epoch_no, parent_no, forked_at FROM store_epochs WHERE tenant_id = $1 AND store_id = $2
             AND epoch_no <= $3 ORDER BY epoch_no DESC",
        )
        .await?;
    let rows = tx
        .query(&select, &[&caller.tenant.0, &caller.store, &epoch_no])
        .await?;
    let (mut wanted, mut to, mut pieces) = (Some(epoch_no), to, Vec::new());
    for row in rows {
        let epoch_no: i32 = row.get(0);
        if wanted != Some(epoch_no) {
            continue;
        }
        let after: i64 = row.get::<_, Option<i64>>(2).unwrap_or(0);
        if after < to {
            pieces.push(Piece {
                epoch_no,
                after,
                to,
            });
        }
        to = to.min(after);
        wanted = row.get(1);
    }
    pieces.reverse();
    Ok(pieces)
}

/// The lines after a number, of the first piece that has any: so many at most.
pub(super) async fn lines(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    pieces: &[Piece],
    after: i64,
) -> Result<Vec<Kept>, DbError> {
    for piece in pieces.iter().filter(|piece| after < piece.to) {
        let found = of_piece(tx, caller, piece, after.max(piece.after)).await?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

/// The hash over all lines up to a line of a series; none: it has no such line.
pub(super) async fn hash_at(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    epoch_no: i32,
    at: i64,
) -> Result<Option<ChainHash>, DbError> {
    let pieces = pieces(tx, caller, epoch_no, at).await?;
    let (mut seq, mut hash) = nearest(tx, caller, &pieces).await?;
    while seq < at {
        let lines = lines(tx, caller, &pieces, seq).await?;
        let Some(last) = lines.last() else {
            return Ok(None);
        };
        seq = last.seq;
        hash = lines
            .iter()
            .fold(hash, |hash, line| hash.then(line.text.as_bytes()));
    }
    Ok((seq == at).then_some(hash))
}

/// The last point of the chain that was kept on the way.
async fn nearest(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    pieces: &[Piece],
) -> Result<(i64, ChainHash), DbError> {
    let select = tx
        .prepare_cached(
            "SELECT seq, hash FROM store_points WHERE tenant_id = $1 AND store_id = $2 AND epoch_no = $3 AND seq <= $4
             ORDER BY seq DESC LIMIT 1",
        )
        .await?;
    for piece in pieces.iter().rev() {
        let row = tx
            .query_opt(
                &select,
                &[&caller.tenant.0, &caller.store, &piece.epoch_no, &piece.to],
            )
            .await?;
        let point = row.and_then(|row| {
            let hash: &[u8] = row.get(1);
            Some((row.get(0), ChainHash::from_bytes(hash)?))
        });
        if let Some(point) = point {
            return Ok(point);
        }
    }
    Ok((0, ChainHash::START))
}

async fn of_piece(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    piece: &Piece,
    after: i64,
) -> Result<Vec<Kept>, DbError> {
    let receipts = tx
        .prepare_cached(
            "SELECT seq, at, environment, device_id, rest, body FROM receipts
             WHERE tenant_id = $1 AND store_id = $2 AND epoch_no = $3 AND seq > $4 AND seq <= $5
             ORDER BY seq LIMIT $6",
        )
        .await?;
    let attempts = tx
        .prepare_cached(
            "SELECT seq, at, environment, device_id, raw, kind, number, item_seq, attempt, outcome, http_status,
               fdms_code, operation_id, color, error_message, duration_ms, answer, server_signature
             FROM fdms_submission_logs
             WHERE tenant_id = $1 AND store_id = $2 AND epoch_no = $3 AND seq > $4 AND seq <= $5
             ORDER BY seq LIMIT $6",
        )
        .await?;
    let events = tx
        .prepare_cached(
            "SELECT seq, at, environment, device_id, kind, body FROM store_events
             WHERE tenant_id = $1 AND store_id = $2 AND epoch_no = $3 AND seq > $4 AND seq <= $5
             ORDER BY seq LIMIT $6",
        )
        .await?;
    let mut lines = Vec::new();
    for row in rows(tx, caller, piece, after, &receipts).await? {
        let body = kept::receipt_entry(row.get(4), row.get(5));
        lines.push(written(&row, "receipt.issued", &body));
    }
    for row in rows(tx, caller, piece, after, &attempts).await? {
        lines.push(written(&row, "fdms.attempt", &attempt(&row)));
    }
    for row in rows(tx, caller, piece, after, &events).await? {
        lines.push(written(&row, row.get(4), row.get(5)));
    }
    lines.sort_unstable_by_key(|line| line.seq);
    lines.truncate(AT_A_TIME);
    Ok(lines)
}

async fn rows(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    piece: &Piece,
    after: i64,
    statement: &Statement,
) -> Result<Vec<Row>, DbError> {
    let limit = i64::try_from(AT_A_TIME).unwrap_or(i64::MAX);
    let rows = tx
        .query(
            statement,
            &[
                &caller.tenant.0,
                &caller.store,
                &piece.epoch_no,
                &after,
                &piece.to,
                &limit,
            ],
        )
        .await?;
    Ok(rows)
}

fn written(row: &Row, kind: &str, body: &str) -> Kept {
    let (seq, at): (i64, clock::Timestamp) = (row.get(0), row.get(1));
    let (environment, device): (Option<&str>, Option<i32>) = (row.get(2), row.get(3));
    let mut text = String::with_capacity(body.len() + 128);
    line::write(
        &mut text,
        seq,
        at.as_millisecond(),
        environment.zip(device),
        kind,
        body,
    );
    Kept { seq, text }
}

fn attempt(row: &Row) -> String {
    if let Some(raw) = row.get::<_, Option<String>>(4) {
        return raw;
    }
    let number = |place| u32::try_from(row.get::<_, i32>(place)).unwrap_or(0);
    let attempt = Attempt {
        item: item(row.get(5)),
        number: number(6),
        item_seq: row.get(7),
        attempt: number(8),
        outcome: outcome(row.get(9)),
        http_status: row
            .get::<_, Option<i32>>(10)
            .and_then(|status| u16::try_from(status).ok()),
        code: row.get(11),
        operation_id: row.get(12),
        color: row.get(13),
        error_message: row.get(14),
        duration_ms: number(15),
        answer: row.get(16),
        server_signature: row.get(17),
    };
    serde_json::to_string(&attempt).unwrap_or_default()
}

/// The kind of a thing that is sent, from its column. Only these four are ever written to it.
pub(super) fn item(word: &str) -> AttemptKind {
    match word {
        "open_day" => AttemptKind::OpenDay,
        "close_day" => AttemptKind::CloseDay,
        "submit_file" => AttemptKind::SubmitFile,
        _ => AttemptKind::SubmitReceipt,
    }
}

fn outcome(word: &str) -> AttemptOutcome {
    match word {
        "accepted" => AttemptOutcome::Accepted,
        "refused" => AttemptOutcome::Refused,
        "later" => AttemptOutcome::Later,
        _ => AttemptOutcome::Unknown,
    }
}
