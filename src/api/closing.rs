//! A close that FDMS did not take, or that was done by hand: what differs, figure by figure.

use fiscal::counters::{CounterKey, DayTotals, Documents};
use fiscal::wire::{Object, rows};
use fiscal::{Cents, Currency, FiscalDayNo, ReceiptType};

use super::answer::strings;
use crate::fdms::wire::{ReconciliationMode, Reply as _, Status};
use crate::inspect::read_counters;
use crate::ledger::read::SubmissionRow;
use crate::ledger::stream::{ItemKind, Parked, ParkedKind};
use crate::ledger::{DayFacts, LedgerError, Reader, TillId};

/// What FDMS has of a closed day that this ledger has otherwise.
#[derive(Debug, Clone)]
pub(super) struct Reconciled {
    counters: Vec<(CounterKey, Cents, Cents)>,
    documents: Vec<(Currency, ReceiptType, Documents, Documents)>,
}

impl Reconciled {
    /// Of a day that was closed by hand: FDMS tells its counters and quantities then (docs/FDMS.md section 4).
    pub(super) fn of(day: &DayFacts, close: &SubmissionRow) -> Option<Self> {
        let status = Status::parse(&close.answer).ok()?;
        if status.reconciliation_mode != Some(ReconciliationMode::Manual) {
            return None;
        }
        let theirs = theirs(&close.answer, &status);
        Some(Self::between(&day.totals, &theirs))
    }

    fn between(ours: &DayTotals, theirs: &DayTotals) -> Self {
        let mut keys: Vec<CounterKey> = ours.counters.non_zero().map(|(key, _)| *key).collect();
        keys.extend(theirs.counters.non_zero().map(|(key, _)| *key));
        keys.sort_unstable();
        keys.dedup();
        let counters = keys
            .into_iter()
            .map(|key| (key, ours.counters.get(&key), theirs.counters.get(&key)))
            .filter(|(_, ours, theirs)| ours != theirs)
            .collect();
        let mut kinds: Vec<(Currency, ReceiptType)> = ours.documents.keys().copied().collect();
        kinds.extend(theirs.documents.keys().copied());
        kinds.sort_unstable();
        kinds.dedup();
        let of =
            |totals: &DayTotals, kind| totals.documents.get(&kind).copied().unwrap_or_default();
        let documents = kinds
            .into_iter()
            .map(|kind| (kind.0, kind.1, of(ours, kind), of(theirs, kind)))
            .filter(|(_, _, ours, theirs)| ours != theirs)
            .collect();
        Self {
            counters,
            documents,
        }
    }

    fn agrees(&self) -> bool {
        self.counters.is_empty() && self.documents.is_empty()
    }

    fn write(&self, o: &mut Object<'_>, theirs: &str) {
        o.number("agrees", self.agrees());
        rows(
            o.name("counters"),
            &self.counters,
            |o, (key, ours, other)| {
                o.text("counter", &key.signing_prefix());
                o.number("ours", ours);
                o.number(theirs, other);
            },
        );
        rows(o.name("documents"), &self.documents, |o, row| {
            let (currency, kind, ours, other) = row;
            o.text("receiptCurrency", currency.as_str());
            o.text("receiptType", kind.as_str());
            let mut side = |name: &str, documents: &Documents| {
                o.object(name, |o| {
                    o.number("quantity", documents.quantity);
                    o.number("total", documents.total);
                });
            };
            side("ours", ours);
            side(theirs, other);
        });
    }

    pub(super) fn write_by_hand(&self, o: &mut Object<'_>) {
        o.object("reconciliation", |o| {
            o.text("mode", "Manual");
            self.write(o, "fdms");
        });
    }
}

/// What GetStatus tells of a day that was closed by hand.
fn theirs(answer: &str, status: &Status) -> DayTotals {
    let mut totals = DayTotals::default();
    if let Ok(value) = fiscal::json::Value::parse(answer.as_bytes()) {
        let rows = ["fiscalDayCounter", "fiscalDayCounters"]
            .into_iter()
            .find_map(|name| match value.get(name) {
                Some(fiscal::json::Value::Array(rows)) => Some(rows),
                _ => None,
            });
        if let Some(rows) = rows {
            totals.counters = read_counters(rows).0;
        }
    }
    for row in &status.document_quantities {
        let total = Cents::parse(row.total.as_str()).ok();
        let kind = ReceiptType::parse(&row.receipt_type);
        if let (Some(currency), Some(kind), Some(total)) =
            (Currency::parse(&row.currency), kind, total)
        {
            let documents = totals.documents.entry((currency, kind)).or_default();
            documents.quantity += row.quantity;
            documents.total += total;
        }
    }
    totals
}

/// A close that FDMS has refused after looking at it.
#[derive(Debug, Clone)]
pub(super) struct CloseFailed {
    parked: Parked,
    /// The frozen counters against the sum of the receipts in this ledger.
    recounted: Reconciled,
    /// Receipts of the day that FDMS has marked: number, colour, marks.
    marked: Vec<(u32, String, Vec<String>)>,
    /// Receipts of the day that FDMS does not have.
    unsent: u32,
}

impl CloseFailed {
    /// Of a day whose close is at the head of a parked queue.
    pub(super) fn of(
        reader: &Reader,
        till: TillId,
        day: &DayFacts,
    ) -> Result<Option<Self>, LedgerError> {
        let (state, head) = reader.stream(till)?;
        let is_it = |no: FiscalDayNo| {
            head.as_ref()
                .is_some_and(|item| item.kind == ItemKind::Close(no))
        };
        let Some(parked) = state
            .parked
            .filter(|parked| parked.kind() == ParkedKind::CloseFailed)
        else {
            return Ok(None);
        };
        if day.close.is_none() || !is_it(day.fiscal_day_no) {
            return Ok(None);
        }
        let recount = reader.recount(day.day_id)?;
        Ok(Some(Self {
            parked,
            recounted: Reconciled::between(&day.totals, &recount.totals),
            marked: recount.marked,
            unsent: recount.unsent,
        }))
    }

    pub(super) fn write(&self, o: &mut Object<'_>) {
        o.object("closeFailed", |o| {
            o.text("fiscalDayClosingErrorCode", &self.parked.code);
            o.text("reason", &self.parked.reason);
            strings(o.name("actions"), &self.parked.actions);
            o.number("unsentReceipts", self.unsent);
            rows(
                o.name("markedReceipts"),
                &self.marked,
                |o, (no, color, marks)| {
                    o.number("receiptGlobalNo", no);
                    o.text("color", color);
                    strings(o.name("marks"), marks);
                },
            );
            o.object("counters", |o| self.recounted.write(o, "receipts"));
        });
    }
}
