//! What a batch's lines say, as columns for one insert per table, and what else follows from them.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clock::Timestamp;
use jiff::civil::DateTime;
use serde::Deserialize;
use serde_json::value::RawValue;
use sync_wire::TillRef;
use sync_wire::command::CommandDone;
use sync_wire::entry::{
    Attempt, AttemptKind, AttemptOutcome, CertificateUsed, DayClosed, Fact, ReceiptIssued,
    TillAdded,
};

use super::kept;
use super::line::{Line, Unreadable, device};

/// Lines that are read before others have their turn: a millisecond's work.
const AT_A_TIME: usize = 128;

/// Rows of `receipts`.
#[derive(Debug, Default)]
pub(super) struct Receipts<'a> {
    pub(super) environment: Vec<&'static str>,
    pub(super) device: Vec<i32>,
    pub(super) number: Vec<i32>,
    pub(super) hash: Vec<Vec<u8>>,
    pub(super) seq: Vec<i64>,
    pub(super) at: Vec<Timestamp>,
    pub(super) day: Vec<i32>,
    pub(super) counter: Vec<i32>,
    pub(super) kind: Vec<String>,
    pub(super) currency: Vec<String>,
    pub(super) total: Vec<i64>,
    pub(super) date: Vec<DateTime>,
    pub(super) invoice: Vec<String>,
    pub(super) body: Vec<String>,
    pub(super) rest: Vec<String>,
    /// The entry's body, for what turns out to be another entry of the same receipt.
    pub(super) whole: Vec<&'a str>,
}

/// Rows of `fdms_submission_logs`.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    pub(super) at: Vec<Timestamp>,
    pub(super) seq: Vec<i64>,
    pub(super) environment: Vec<&'static str>,
    pub(super) device: Vec<i32>,
    pub(super) kind: Vec<&'static str>,
    pub(super) number: Vec<i32>,
    pub(super) item_seq: Vec<i64>,
    pub(super) attempt: Vec<i32>,
    pub(super) outcome: Vec<&'static str>,
    pub(super) http_status: Vec<Option<i32>>,
    pub(super) code: Vec<Option<String>>,
    pub(super) operation_id: Vec<Option<String>>,
    pub(super) color: Vec<Option<String>>,
    pub(super) error: Vec<Option<String>>,
    pub(super) duration: Vec<i32>,
    pub(super) answer: Vec<Option<String>>,
    pub(super) signature: Vec<Option<String>>,
    pub(super) raw: Vec<Option<String>>,
}

/// Rows of `store_events`.
#[derive(Debug, Default)]
pub(super) struct Events<'a> {
    pub(super) seq: Vec<i64>,
    pub(super) at: Vec<Timestamp>,
    pub(super) environment: Vec<Option<&'static str>>,
    pub(super) device: Vec<Option<i32>>,
    pub(super) kind: Vec<&'a str>,
    pub(super) body: Vec<&'a str>,
}

/// What a batch tells of a fiscal day.
#[derive(Debug, Default)]
pub(super) struct DayNews {
    pub(super) opened: Option<DateTime>,
    pub(super) closed: Option<DateTime>,
    pub(super) receipt_counter: Option<i32>,
    pub(super) counters: Option<String>,
    pub(super) confirmed_at: Option<Timestamp>,
    pub(super) error: Option<String>,
}

/// What a batch tells of the queues, in its order.
#[derive(Debug)]
pub(super) enum QueueNews {
    /// An attempt to send something.
    Tried {
        till: TillRef,
        at: Timestamp,
        attempt: Box<Attempt>,
    },
    /// Nothing of the till is sent until a person acts.
    Parked { till: TillRef, reason: String },
    /// The till's queue goes on.
    Resumed { till: TillRef },
}

/// A command that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) at: Timestamp,
    pub(super) done: CommandDone,
    pub(super) result: serde_json::Value,
}

/// A batch.
#[derive(Debug, Default)]
pub struct Batch<'a> {
    pub(super) receipts: Receipts<'a>,
    pub(super) attempts: Attempts,
    pub(super) events: Events<'a>,
    pub(super) days: BTreeMap<(TillRef, i32), DayNews>,
    pub(super) queues: Vec<QueueNews>,
    pub(super) ended: Vec<Ended>,
    pub(super) added: BTreeMap<TillRef, TillAdded>,
    pub(super) certificates: Vec<(TillRef, Timestamp, CertificateUsed)>,
    /// Tills of which FDMS has taken a receipt.
    pub(super) selling: BTreeSet<TillRef>,
}

impl<'a> Batch<'a> {
    /// Reads lines; `skipped` is how many of the batch are before them. A line of a `foreign` till is an event and
    /// nothing else, whatever it says: only the end of one of the store's own commands follows from it. Lets others
    /// run in between.
    ///
    /// # Errors
    /// A line does not say what its kind says, or a number does not fit.
    pub async fn read(
        lines: &[Line<'a>],
        skipped: usize,
        foreign: &BTreeSet<TillRef>,
    ) -> Result<Self, Unreadable> {
        let mut batch = Self::default();
        for (index, line) in lines.iter().enumerate() {
            let is_foreign = line.till.is_some_and(|till| foreign.contains(&till));
            batch.take(*line, is_foreign).map_err(|why| Unreadable {
                line: skipped + index + 1,
                seq: Some(line.seq),
                why: format!("({}) {why}", line.kind),
            })?;
            if index % AT_A_TIME == AT_A_TIME - 1 {
                tokio::task::yield_now().await;
            }
        }
        Ok(batch)
    }

    fn take(&mut self, line: Line<'a>, is_foreign: bool) -> Result<(), String> {
        let body: &RawValue =
            serde_json::from_str(line.body).map_err(|error| format!("is no JSON: {error}"))?;
        let fact =
            Fact::read(line.kind, body).map_err(|error| format!("cannot be read: {error}"))?;
        let till = || line.till.ok_or_else(|| "names no till".to_owned());
        let at = line.timestamp();
        if is_foreign && !matches!(fact, Fact::CommandDone(_)) {
            self.events.push(line);
            return Ok(());
        }
        match fact {
            Fact::ReceiptIssued(receipt) => return self.receipts.push(line, till()?, *receipt),
            Fact::Attempt(attempt) => return self.attempt(line, till()?, attempt),
            Fact::TillAdded(added) => {
                self.added.insert(till()?, added);
            }
            // What it has changed is in the snapshot.
            Fact::ConfigChanged(_) => {
                till()?;
            }
            Fact::CertificateUsed(used) => self.certificates.push((till()?, at, used)),
            Fact::DayOpened(day) => {
                let news = self.day(till()?, day.fiscal_day_no)?;
                news.opened = Some(date(&day.opened)?);
            }
            Fact::DayClosed(day) => self.closed(till()?, &day)?,
            Fact::CommandDone(done) => self.ended.push(Ended {
                at,
                result: json(line.body).unwrap_or_default(),
                done,
            }),
            Fact::Other => self.other(line),
        }
        self.events.push(line);
        Ok(())
    }

    fn day(&mut self, till: TillRef, number: u32) -> Result<&mut DayNews, String> {
        Ok(self.days.entry((till, int(number)?)).or_default())
    }

    fn closed(&mut self, till: TillRef, day: &DayClosed) -> Result<(), String> {
        let news = self.day(till, day.fiscal_day_no)?;
        news.closed = Some(date(&day.closed)?);
        news.receipt_counter = Some(int(day.receipt_counter)?);
        news.counters = counters(&day.body);
        Ok(())
    }

    fn other(&mut self, line: Line<'a>) {
        let Some(till) = line.till else { return };
        match line.kind {
            "stream.parked" => self.queues.push(QueueNews::Parked {
                till,
                reason: reason(line.body),
            }),
            "stream.resumed" => self.queues.push(QueueNews::Resumed { till }),
            _ => {}
        }
    }

    fn attempt(&mut self, line: Line<'a>, till: TillRef, attempt: Attempt) -> Result<(), String> {
        let at = line.timestamp();
        self.attempts.push(line, till, &attempt)?;
        let is_taken = attempt.outcome == AttemptOutcome::Accepted;
        match attempt.item {
            AttemptKind::SubmitReceipt if is_taken => {
                self.selling.insert(till);
            }
            AttemptKind::CloseDay => {
                let news = self.day(till, attempt.number)?;
                if is_taken {
                    (news.confirmed_at, news.error) = (Some(at), None);
                } else if attempt.outcome == AttemptOutcome::Refused {
                    news.error = Some(plain(attempt.error_message.clone().unwrap_or_default()));
                }
            }
            _ => {}
        }
        self.queues.push(QueueNews::Tried {
            till,
            at,
            attempt: Box::new(attempt),
        });
        Ok(())
    }
}

impl<'a> Receipts<'a> {
    fn push(
        &mut self,
        line: Line<'a>,
        till: TillRef,
        receipt: ReceiptIssued,
    ) -> Result<(), String> {
        let hash = STANDARD
            .decode(&receipt.hash)
            .ok()
            .filter(|hash| !hash.is_empty() && hash.len() <= 64)
            .ok_or("has a hash that is no Base64")?;
        self.hash.push(hash);
        self.number.push(int(receipt.receipt_global_no)?);
        self.day.push(int(receipt.fiscal_day_no)?);
        self.counter.push(int(receipt.receipt_counter)?);
        self.date.push(date(&receipt.receipt_date)?);
        self.environment.push(till.environment.as_str());
        self.device.push(device(till));
        self.seq.push(line.seq);
        self.at.push(line.timestamp());
        self.kind.push(plain(receipt.receipt_type));
        self.currency.push(plain(receipt.receipt_currency));
        self.total.push(receipt.receipt_total);
        self.invoice.push(plain(receipt.invoice_no));
        self.rest.push(kept::receipt_rest(line.body, &receipt.body));
        self.body.push(plain(receipt.body));
        self.whole.push(line.body);
        Ok(())
    }
}

impl Attempts {
    fn push(&mut self, line: Line<'_>, till: TillRef, attempt: &Attempt) -> Result<(), String> {
        let text = |text: &Option<String>| text.clone().map(plain);
        self.number.push(int(attempt.number)?);
        self.attempt.push(int(attempt.attempt)?);
        self.duration.push(int(attempt.duration_ms)?);
        self.at.push(line.timestamp());
        self.seq.push(line.seq);
        self.environment.push(till.environment.as_str());
        self.device.push(device(till));
        self.kind.push(attempt.item.as_str());
        self.item_seq.push(attempt.item_seq);
        self.outcome.push(attempt.outcome.as_str());
        self.http_status.push(attempt.http_status.map(i32::from));
        self.code.push(text(&attempt.code));
        self.operation_id.push(text(&attempt.operation_id));
        self.color.push(text(&attempt.color));
        self.error.push(text(&attempt.error_message));
        self.answer.push(text(&attempt.answer));
        self.signature.push(text(&attempt.server_signature));
        self.raw.push(kept::attempt_raw(line.body, attempt));
        Ok(())
    }
}

impl<'a> Events<'a> {
    fn push(&mut self, line: Line<'a>) {
        let (environment, device) = line.till_columns();
        self.seq.push(line.seq);
        self.at.push(line.timestamp());
        self.environment.push(environment);
        self.device.push(device);
        self.kind.push(line.kind);
        self.body.push(line.body);
    }

    /// An entry of a receipt that is there already, from another series of the same store.
    pub(super) fn push_receipt(&mut self, receipts: &Receipts<'a>, index: usize) -> Option<()> {
        self.environment
            .push(receipts.environment.get(index).copied());
        self.device.push(receipts.device.get(index).copied());
        self.seq.push(*receipts.seq.get(index)?);
        self.at.push(*receipts.at.get(index)?);
        self.kind.push("receipt.issued");
        self.body.push(receipts.whole.get(index)?);
        Some(())
    }
}

/// The counters of CloseDay.
#[derive(Deserialize)]
struct Counters<'a> {
    #[serde(borrow, rename = "fiscalDayCounters")]
    counters: &'a RawValue,
}

/// The counters as signed, where Postgres can read them; the entry is kept as it came all the same.
fn counters(body: &str) -> Option<String> {
    let text = serde_json::from_str::<Counters<'_>>(body)
        .ok()?
        .counters
        .get();
    let is_readable = json(text).is_some() && !text.contains("\\u0000");
    is_readable.then(|| text.to_owned())
}

/// JSON as `jsonb` takes it: without NUL, for which Postgres has no place.
pub(super) fn json(text: &str) -> Option<serde_json::Value> {
    serde_json::from_str(&text.replace("\\u0000", "\\ufffd")).ok()
}

/// A text as Postgres takes it: without NUL, which it has no place for. The entry is kept as it came.
pub(super) fn plain(text: String) -> String {
    match text.contains('\0') {
        true => text.replace('\0', "\u{fffd}"),
        false => text,
    }
}

fn int(number: u32) -> Result<i32, String> {
    i32::try_from(number).map_err(|_| format!("has a number that is too large: {number}"))
}

fn date(text: &str) -> Result<DateTime, String> {
    local(text).ok_or_else(|| {
        format!("has a date that is none, or is of a year outside 1970 to 9998: {text:?}")
    })
}

/// Local time, of a year that Postgres and whoever counts with it has a place for.
pub(super) fn local(text: &str) -> Option<DateTime> {
    let date: DateTime = text.parse().ok()?;
    (1970..=9998).contains(&date.year()).then_some(date)
}

/// The ledger's detail of `stream.parked`: a text, or JSON if it looks so.
fn reason(body: &str) -> String {
    plain(serde_json::from_str::<String>(body).unwrap_or_else(|_| body.to_owned()))
}
