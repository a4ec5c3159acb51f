//! What was sent to FDMS: a till's stream and its submissions, derived again from its chain.

use std::collections::BTreeMap;

use fiscal::{FiscalDayNo, ReceiptGlobalNo};
use rusqlite::{Connection, OptionalExtension as _};

use super::{Checked, VerifyError, same, wrong};
use crate::ledger::adoption::adoptions;
use crate::ledger::stream::{ItemKind, load_stream};
use crate::ledger::{Seq, TillId};

/// How far a till's stream has come, counted along its chain.
pub(super) struct Sent {
    till: TillId,
    /// Where the stream says it is.
    cursor: Seq,
    /// The last item of the chain, sent or not.
    last_item: Seq,
    /// The last item that FDMS has taken.
    last_taken: Seq,
    day_no: FiscalDayNo,
    global_no: ReceiptGlobalNo,
    count: i64,
    /// The last event at which the till went on from other numbers.
    last_adoption: Seq,
    /// Something was left unsent, for ever, by the adoption to come.
    is_passing: bool,
}

impl Sent {
    pub(super) fn new(conn: &Connection, till: TillId) -> Result<Self, VerifyError> {
        Ok(Self {
            till,
            cursor: load_stream(conn, till)?.cursor,
            last_item: Seq(0),
            last_taken: Seq(0),
            day_no: FiscalDayNo::ZERO,
            global_no: ReceiptGlobalNo::ZERO,
            count: 0,
            last_adoption: adoptions(conn, till)?
                .last()
                .map_or(Seq(0), |last| last.seq),
            is_passing: false,
        })
    }

    /// The next item of the chain: FDMS has taken it exactly if the cursor has passed it.
    pub(super) fn item(
        &mut self,
        conn: &Connection,
        place: &str,
        seq: Seq,
        kind: ItemKind,
    ) -> Checked {
        if seq <= self.last_item {
            return Err(wrong(place, "its event is not after the one before it"));
        }
        self.last_item = seq;
        let owner: Option<i64> = conn
            .prepare_cached("SELECT till_id FROM submission WHERE seq = ?1")?
            .query_row([seq.0], |row| row.get(0))
            .optional()?;
        match (owner, seq <= self.cursor) {
            (None, false) => return Ok(()),
            (None, true) if seq < self.last_adoption => {
                self.is_passing = true;
                return Ok(());
            }
            (Some(_), true) if self.is_passing => {
                let text = "FDMS has taken it, but not what is before it";
                return Err(wrong(place, text));
            }
            (None, true) => {
                let text = "its stream has passed it, but no submission to FDMS is there";
                return Err(wrong(place, text));
            }
            (Some(_), false) => {
                let text = "FDMS has taken it, but its stream has not come so far";
                return Err(wrong(place, text));
            }
            (Some(owner), true) => {
                same(place, "its submission's till", &TillId(owner), &self.till)?
            }
        }
        self.count += 1;
        self.last_taken = seq;
        match kind {
            ItemKind::Open(no) => self.day_no = no,
            ItemKind::Receipt(no) => self.global_no = no,
            ItemKind::Close(_) => {}
        }
        Ok(())
    }

    /// The till went on from other numbers: what was not sent before is passed over.
    pub(super) fn adopt(&mut self, seq: Seq, day: FiscalDayNo, receipt: ReceiptGlobalNo) {
        self.last_item = seq;
        self.last_taken = seq;
        self.day_no = day;
        self.global_no = receipt;
        self.is_passing = false;
    }

    /// A day that FDMS has opened for other software.
    pub(super) fn adopt_day(&mut self, seq: Seq, no: FiscalDayNo) {
        self.last_item = seq;
        self.last_taken = seq;
        self.day_no = no;
    }

    /// The stream stands where the submissions lead to, and has no others.
    pub(super) fn end(
        &self,
        conn: &Connection,
        place: &str,
        submissions: &BTreeMap<TillId, i64>,
    ) -> Checked {
        let place = format!("{place}, its stream to FDMS");
        let stored = load_stream(conn, self.till)?;
        same(&place, "the cursor", &stored.cursor, &self.last_taken)?;
        same(&place, "the last day", &stored.last_day_no, &self.day_no)?;
        same(
            &place,
            "the last receipt",
            &stored.last_global_no,
            &self.global_no,
        )?;
        let found = submissions.get(&self.till).copied().unwrap_or(0);
        same(&place, "the number of submissions", &found, &self.count)
    }
}

/// How many submissions each till has. Each must agree with the event that told of it.
pub(super) fn verify_submissions(conn: &Connection) -> Result<BTreeMap<TillId, i64>, VerifyError> {
    let mut statement =
        conn.prepare("SELECT till_id, count(*) FROM submission GROUP BY till_id")?;
    let rows = statement.query_map([], |row| Ok((TillId(row.get(0)?), row.get(1)?)))?;
    let counts: BTreeMap<TillId, i64> = rows.collect::<Result<_, _>>()?;
    let unlike: Option<i64> = conn
        .query_row(
            "SELECT e.seq FROM event e LEFT JOIN submission s
                ON s.seq = CASE WHEN json_valid(e.detail) THEN json_extract(e.detail, '$.seq') END
             WHERE e.kind IN ('fdms.opened', 'fdms.receipt', 'fdms.closed')
               AND (s.seq IS NULL OR s.till_id IS NOT e.till_id OR s.finished_at <> e.at
                    OR s.color IS NOT json_extract(e.detail, '$.color')
                    OR s.operation_id IS NOT json_extract(e.detail, '$.operationID'))
             LIMIT 1",
            [],
            |row| row.get(0),
        )
        .optional()?;
    if let Some(seq) = unlike {
        return Err(wrong(
            format!("event {seq}"),
            "it tells of a submission to FDMS that is missing or another",
        ));
    }
    let told: i64 = conn.query_row(
        "SELECT count(*) FROM event WHERE kind IN ('fdms.opened', 'fdms.receipt', 'fdms.closed')",
        [],
        |row| row.get(0),
    )?;
    let rows = counts.values().sum();
    same("submission", "the number of events", &told, &rows)?;
    Ok(counts)
}
