//! Events as the lines that HQ is sent: rendered from rows that never change, so the same line each time.
//!
//! A line holds all that the ledger has of its event, so that a ledger that is lost can be built again from its
//! lines. What is longer than a line may be is cut in the same way each time; a receipt never is.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sync_wire::TillRef;
use sync_wire::chain::ChainHash;
use sync_wire::entry::{
    Attempt, AttemptKind, AttemptOutcome, CertificateUsed, ConfigChanged, DayClosed, DayOpened,
    Entry, MAX_LINE, ReceiptIssued, TillAdded,
};

use super::till_ref;
use crate::keys::Certificate;
use crate::ledger::{LedgerError, Reader, StorageError, TillInfo, archived, chain, sql};

/// A text that JSON may make six times as long still fits in a line with this length.
const LONGEST_TEXT: usize = MAX_LINE / 8;
/// So many lines are walked in one snapshot: a longer one would keep the write-ahead log from being begun anew.
const WALK: usize = 4_000;

/// An event as a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The number of the event.
    pub seq: i64,
    /// The line, without its end.
    pub bytes: Vec<u8>,
}

/// The body of `till.adopted`: all that the ledger keeps of an adoption (see [`crate::ledger::adoption`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdoptedBody {
    /// The ledger's own last day until then.
    pub own_day_no: u32,
    /// The ledger's own last receipt until then.
    pub own_global_no: u32,
    /// The last fiscal day that is over.
    pub last_day_no: u32,
    /// The last receipt.
    pub last_global_no: u32,
    /// The last receipt's date, local time.
    pub last_date: Option<String>,
    /// When the day was opened that was open then, local time.
    pub day_opened: Option<String>,
    /// `receiptCounter` of its last receipt.
    pub last_counter: Option<u32>,
    /// Hash of its last receipt, Base64.
    pub last_hash: Option<String>,
    /// Its sums so far, in the ledger's own text.
    pub totals: Option<String>,
}

/// The body of `fdms.opened`, `fdms.receipt` and `fdms.closed` where no accepted attempt tells the same: an event of
/// a version that kept no attempts. The last two are then there.
#[derive(Serialize, Deserialize)]
pub(in crate::ledger) struct TakenBody {
    pub(in crate::ledger) seq: i64,
    #[serde(rename = "operationID")]
    pub(in crate::ledger) operation_id: Option<String>,
    pub(in crate::ledger) color: Option<String>,
    pub(in crate::ledger) answer: String,
    #[serde(rename = "serverSignature")]
    pub(in crate::ledger) server_signature: Option<String>,
}

/// What of such an event's detail decides how it is rendered.
#[derive(Deserialize)]
struct TakenDetail {
    seq: i64,
    attempt: Option<u32>,
}

/// An event as it is kept.
struct Event {
    seq: i64,
    at: i64,
    till: Option<i64>,
    kind: String,
    detail: Option<String>,
}

/// Renders events on one connection, in one snapshot.
struct Renderer<'c> {
    conn: &'c Connection,
    tills: BTreeMap<i64, TillInfo>,
    /// Public halves by their row, Base64.
    keys: BTreeMap<i64, String>,
    receipt: CachedStatement<'c>,
    submission: CachedStatement<'c>,
}

impl<'c> Renderer<'c> {
    fn new(conn: &'c Connection) -> Result<Self, StorageError> {
        let infos = chain::till_infos(conn)?;
        let mut statement = conn.prepare_cached("SELECT key_id, public_key FROM device_key")?;
        let keys = statement.query_map([], |row| {
            Ok((row.get(0)?, STANDARD.encode(row.get::<_, Vec<u8>>(1)?)))
        })?;
        Ok(Self {
            conn,
            keys: keys.collect::<Result<_, _>>()?,
            tills: infos.into_iter().map(|info| (info.id.0, info)).collect(),
            receipt: conn.prepare_cached(
                "SELECT d.fiscal_day_no, r.global_no, r.counter, r.receipt_type, r.currency, r.total, r.date,
                        r.invoice_no, r.hash, r.signature, r.key_id, r.body, r.has_key, r.fingerprint,
                        r.original_seq, r.print
                 FROM receipt r JOIN day d USING (day_id) WHERE r.seq = ?1",
            )?,
            submission: conn.prepare_cached(
                "SELECT operation_id, color, answer, server_signature FROM submission WHERE seq = ?1",
            )?,
        })
    }

    fn line(&mut self, event: Event) -> Result<Line, StorageError> {
        let seq = event.seq;
        let at = event.at;
        let kind = event.kind.clone();
        let till = self.till_of(&event)?.map(till_ref);
        let bytes = match kind.as_str() {
            "receipt.issued" => {
                let body = self.receipt(event)?;
                written(seq, at, till, &kind, &body)?
            }
            "day.opened" => written(seq, at, till, &kind, &self.day_opened(seq)?)?,
            "day.closed" => written(seq, at, till, &kind, &self.day_closed(seq)?)?,
            "till.added" => written(seq, at, till, &kind, &self.till_added(&event)?)?,
            "till.adopted" => written(seq, at, till, &kind, &self.adopted(seq)?)?,
            "config.changed" => {
                let body = self.config(event)?;
                written(seq, at, till, &kind, &body)?
            }
            "certificate.used" => written(seq, at, till, &kind, &self.certificate(&event)?)?,
            "fdms.attempt" => {
                let body = self.attempt(&event)?;
                written(seq, at, till, &kind, &body)?
            }
            "fdms.opened" | "fdms.receipt" | "fdms.closed" => match self.taken(&event)? {
                Some(body) => written(seq, at, till, &kind, &body)?,
                None => written(seq, at, till, &kind, &detail(event.detail)?)?,
            },
            _ => written(seq, at, till, &kind, &detail(event.detail)?)?,
        };
        Ok(Line { seq, bytes })
    }

    fn till_of(&self, event: &Event) -> Result<Option<&TillInfo>, StorageError> {
        let till = event.till.map(|till| {
            let found = self.tills.get(&till);
            found.ok_or_else(|| sql::damaged(format!("event {} is of no till", event.seq)))
        });
        till.transpose()
    }

    fn public_key(&self, key_id: i64) -> Result<String, StorageError> {
        let key = self.keys.get(&key_id).cloned();
        key.ok_or_else(|| sql::damaged(format!("key {key_id} is missing")))
    }

    fn receipt(&mut self, event: Event) -> Result<ReceiptIssued, StorageError> {
        let seq = event.seq;
        let (mut receipt, key_id, has_key) = one(&mut self.receipt, seq, |row| {
            let receipt = ReceiptIssued {
                fiscal_day_no: row.get(0)?,
                receipt_global_no: row.get(1)?,
                receipt_counter: row.get(2)?,
                receipt_type: row.get(3)?,
                receipt_currency: row.get(4)?,
                receipt_total: row.get(5)?,
                receipt_date: row.get(6)?,
                invoice_no: row.get(7)?,
                hash: base64(row, 8)?,
                signature: base64(row, 9)?,
                public_key: String::new(),
                body: row.get(11)?,
                key: None,
                fingerprint: base64(row, 13)?,
                original_seq: row.get(14)?,
                print: row.get(15)?,
            };
            Ok((receipt, row.get(10)?, row.get::<_, bool>(12)?))
        })?;
        if receipt.body.is_empty() {
            let kept = (String::new(), Vec::new(), None);
            let (body, signature, print) = archived::whole(self.conn, seq, kept)?;
            receipt.body = body;
            receipt.signature = STANDARD.encode(signature);
            receipt.print = print;
        }
        receipt.public_key = self.public_key(key_id)?;
        receipt.key = event.detail.filter(|_| has_key);
        Ok(receipt)
    }

    fn day_opened(&self, seq: i64) -> Result<DayOpened, StorageError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT fiscal_day_no, opened, is_vat_payer FROM day WHERE day_id = ?1",
        )?;
        one(&mut statement, seq, |row| {
            Ok(DayOpened {
                fiscal_day_no: row.get(0)?,
                opened: row.get(1)?,
                is_vat_payer: row.get(2)?,
            })
        })
    }

    fn day_closed(&self, seq: i64) -> Result<DayClosed, StorageError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT d.fiscal_day_no, c.day_id, c.closed, c.receipt_counter, c.totals, c.hash, c.signature, c.key_id,
                    c.body
             FROM day_close c JOIN day d USING (day_id) WHERE c.seq = ?1",
        )?;
        let (mut close, key_id) = one(&mut statement, seq, |row| {
            let close = DayClosed {
                fiscal_day_no: row.get(0)?,
                day_seq: row.get(1)?,
                closed: row.get(2)?,
                receipt_counter: row.get(3)?,
                totals: row.get(4)?,
                hash: base64(row, 5)?,
                signature: base64(row, 6)?,
                public_key: String::new(),
                body: row.get(8)?,
            };
            Ok((close, row.get(7)?))
        })?;
        close.public_key = self.public_key(key_id)?;
        Ok(close)
    }

    fn till_added(&self, event: &Event) -> Result<TillAdded, StorageError> {
        let till = self.till_of(event)?;
        let till =
            till.ok_or_else(|| sql::damaged(format!("event {} is of no till", event.seq)))?;
        Ok(TillAdded {
            serial_no: till.serial_no.clone(),
            model_name: till.model_name.clone(),
            model_version: till.model_version.clone(),
            invoice_prefix: till.invoice_prefix.clone(),
        })
    }

    fn adopted(&self, seq: i64) -> Result<AdoptedBody, StorageError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT own_day_no, own_global_no, last_day_no, last_global_no, last_date, day_opened, last_counter,
                    last_hash, totals
             FROM adoption WHERE seq = ?1",
        )?;
        one(&mut statement, seq, |row| {
            Ok(AdoptedBody {
                own_day_no: row.get(0)?,
                own_global_no: row.get(1)?,
                last_day_no: row.get(2)?,
                last_global_no: row.get(3)?,
                last_date: row.get(4)?,
                day_opened: row.get(5)?,
                last_counter: row.get(6)?,
                last_hash: row
                    .get::<_, Option<Vec<u8>>>(7)?
                    .map(|hash| STANDARD.encode(hash)),
                totals: row.get(8)?,
            })
        })
    }

    fn config(&self, event: Event) -> Result<ConfigChanged, StorageError> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT body FROM config WHERE seq = ?1")?;
        let config = one(&mut statement, event.seq, |row| row.get(0))?;
        Ok(ConfigChanged {
            config,
            changes: event.detail,
        })
    }

    /// Earlier versions did not write down which certificate: it is the one that was used since then.
    fn certificate(&self, event: &Event) -> Result<CertificateUsed, StorageError> {
        let named: Option<i64> = event.detail.as_ref().and_then(|id| id.parse().ok());
        let row: Option<(String, i64)> = self
            .conn
            .prepare_cached(
                "SELECT c.pem, c.key_id FROM certificate c JOIN device_key k USING (key_id)
                 WHERE k.till_id = ?1 AND CASE WHEN ?2 IS NULL THEN c.used_since = ?3
                                               ELSE c.certificate_id = ?2 END
                 ORDER BY c.certificate_id LIMIT 1",
            )?
            .query_row(params![event.till, named, event.at], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        let (pem, key_id) = row.ok_or_else(|| {
            sql::damaged(format!("the certificate of event {} is gone", event.seq))
        })?;
        let thumbprint = Certificate::from_pem(&pem)?.thumbprint().to_owned();
        Ok(CertificateUsed {
            certificate: pem,
            thumbprint,
            public_key: self.public_key(key_id)?,
        })
    }

    /// An accepted item's attempt comes with what FDMS finally answered.
    fn attempt(&mut self, event: &Event) -> Result<Attempt, StorageError> {
        let detail = event.detail.as_deref().unwrap_or_default();
        let mut attempt: Attempt = serde_json::from_str(detail)
            .map_err(|_| sql::damaged(format!("event {} is no attempt", event.seq)))?;
        let is_item = attempt.item != AttemptKind::SubmitFile;
        if is_item && attempt.outcome == AttemptOutcome::Accepted {
            let taken = submission(self.conn, &mut self.submission, attempt.item_seq)?;
            if let Some(taken) = taken {
                attempt.operation_id = taken.operation_id;
                attempt.color = taken.color;
                attempt.answer = Some(taken.answer);
                attempt.server_signature = taken.server_signature;
            }
        }
        Ok(attempt)
    }

    fn taken(&mut self, event: &Event) -> Result<Option<TakenBody>, StorageError> {
        let detail = event.detail.as_deref().unwrap_or_default();
        let detail: TakenDetail = serde_json::from_str(detail)
            .map_err(|_| sql::damaged(format!("event {} names no item", event.seq)))?;
        match detail.attempt {
            Some(_) => Ok(None),
            None => submission(self.conn, &mut self.submission, detail.seq),
        }
    }
}

fn one<T>(
    statement: &mut CachedStatement<'_>,
    seq: i64,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<T, StorageError> {
    let found = statement.query_row([seq], read).optional()?;
    found.ok_or_else(|| sql::damaged(format!("what event {seq} tells of is missing")))
}

fn base64(row: &Row<'_>, place: usize) -> rusqlite::Result<String> {
    Ok(STANDARD.encode(row.get_ref(place)?.as_blob()?))
}

fn submission(
    conn: &Connection,
    statement: &mut CachedStatement<'_>,
    seq: i64,
) -> Result<Option<TakenBody>, StorageError> {
    let found = statement.query_row([seq], |row| {
        Ok(TakenBody {
            seq,
            operation_id: row.get(0)?,
            color: row.get(1)?,
            answer: row.get(2)?,
            server_signature: row.get(3)?,
        })
    });
    let Some(mut found) = found.optional()? else {
        return Ok(None);
    };
    found.answer = cut(archived::answer(conn, seq, found.answer)?);
    Ok(Some(found))
}

/// A text that fits in a line: what is longer is cut, and says so.
fn cut(mut text: String) -> String {
    if text.len() > LONGEST_TEXT {
        let end = text.floor_char_boundary(LONGEST_TEXT);
        text.truncate(end);
        text.push('…');
    }
    text
}

/// A detail as it is: JSON if it is JSON, else a text.
fn detail(detail: Option<String>) -> Result<Box<RawValue>, StorageError> {
    let Some(detail) = detail else {
        return Ok(RawValue::NULL.to_owned());
    };
    let is_json =
        detail.len() <= LONGEST_TEXT && serde_json::from_str::<&RawValue>(&detail).is_ok();
    let json = match is_json {
        // Within a text of JSON there is no line end: it is between its parts.
        true => detail.replace(['\n', '\r'], " "),
        false => super::text(&cut(detail)),
    };
    RawValue::from_string(json).map_err(|_| sql::damaged("event.detail"))
}

fn written(
    seq: i64,
    at: i64,
    till: Option<TillRef>,
    kind: &str,
    body: &impl Serialize,
) -> Result<Vec<u8>, StorageError> {
    Entry::new(seq, at, till, kind, body)
        .and_then(|entry| entry.line())
        .map_err(|_| sql::damaged(format!("event {seq} cannot be written as JSON")))
}

/// Renders the events after a number, in their order, as long as `take` wants more.
fn walk(
    conn: &Connection,
    after: i64,
    most: usize,
    mut take: impl FnMut(Line) -> bool,
) -> Result<(), StorageError> {
    let mut renderer = Renderer::new(conn)?;
    let mut statement = conn.prepare_cached(
        "SELECT seq, at, till_id, kind, detail FROM event WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    )?;
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut rows = statement.query([after, most])?;
    while let Some(row) = rows.next()? {
        let line = renderer.line(Event {
            seq: row.get(0)?,
            at: row.get(1)?,
            till: row.get(2)?,
            kind: row.get(3)?,
            detail: row.get(4)?,
        })?;
        if !take(line) {
            break;
        }
    }
    Ok(())
}

/// How far a walk along the lines has come.
struct Walked {
    seq: i64,
    hash: ChainHash,
}

/// The hash over all lines up to `at`, walked on from one that is known; none: there is no such line.
fn walked(
    from: i64,
    hash: ChainHash,
    at: i64,
    mut lines: impl FnMut(i64, &mut dyn FnMut(Line) -> bool) -> Result<(), LedgerError>,
) -> Result<Option<ChainHash>, LedgerError> {
    let mut walked = Walked { seq: from, hash };
    while walked.seq < at {
        let before = walked.seq;
        lines(before, &mut |line| {
            if line.seq > at {
                return false;
            }
            walked.hash = walked.hash.then(&line.bytes);
            walked.seq = line.seq;
            line.seq < at
        })?;
        if walked.seq == before {
            return Ok(None);
        }
    }
    Ok((walked.seq == at).then_some(walked.hash))
}

/// The hash over all lines up to one of them, in the running snapshot.
pub(in crate::ledger) fn hash_at(
    conn: &Connection,
    at: i64,
) -> Result<Option<ChainHash>, LedgerError> {
    walked(0, ChainHash::START, at, |after, take| {
        Ok(walk(conn, after, usize::MAX, take)?)
    })
}

impl Reader {
    /// The lines of the events after a number, in their order: so many, and so many bytes with their ends, at most;
    /// one at least if there is one.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn hq_lines(
        &self,
        after: i64,
        max_entries: usize,
        max_bytes: usize,
    ) -> Result<Vec<Line>, LedgerError> {
        let (mut lines, mut bytes) = (Vec::new(), 0_usize);
        self.with(|conn| {
            walk(conn, after, max_entries, |line| {
                bytes = bytes.saturating_add(line.bytes.len()).saturating_add(1);
                let fits = bytes <= max_bytes || lines.is_empty();
                if fits {
                    lines.push(line);
                }
                fits
            })?;
            Ok(())
        })?;
        Ok(lines)
    }

    /// The hash over all lines up to `at`, walked on from `from` and its hash; none: there is no such line here.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn hq_hash_at(
        &self,
        from: i64,
        from_hash: ChainHash,
        at: i64,
    ) -> Result<Option<ChainHash>, LedgerError> {
        walked(from, from_hash, at, |after, take| {
            self.with(|conn| Ok(walk(conn, after, WALK, take)?))
        })
    }
}
