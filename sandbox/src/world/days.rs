//! The fiscal day: open, close, the states between, and what GetStatus says of them
//! (docs/FDMS.md section 4).

use std::collections::BTreeMap;
use std::time::Duration;

use clock::Timestamp;
use jiff::civil::DateTime;
use serde::Serialize;

use super::World;
use crate::answer::Refusal;
use crate::counters::{CounterRow, Counters, ReportedCounters};
use crate::failure::ClosingError;
use crate::finding::Color;
use crate::json::{self, Errors, Object};
use crate::micro::Micro;
use crate::model::{Closed, Closing, Day, DayStatus, Device, ReconciliationMode, StoredDay};
use crate::receipt::{Receipt, ReceiptType, Signature};
use crate::settings::CloseWithBadReceipts;
use crate::signing;

/// What GetStatus answers; each part is there only when docs/FDMS.md section 4 says so.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    fiscal_day_status: Option<DayStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fiscal_day_reconciliation_mode: Option<ReconciliationMode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fiscal_day_server_signature: Option<Box<serde_json::value::RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fiscal_day_closed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fiscal_day_counter: Option<Vec<CounterRow>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_receipt_global_no: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_fiscal_day_no: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fiscal_day_closing_error_code: Option<ClosingError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fiscal_day_document_quantities: Option<Vec<DocumentQuantity>>,
    /// What FDMS signs for the closed day.
    #[serde(skip)]
    pub(crate) to_sign: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DocumentQuantity {
    receipt_type: ReceiptType,
    receipt_currency: String,
    receipt_quantity: u32,
    receipt_total_amount: Micro,
}

impl World {
    /// OpenDay; the day's number.
    pub(crate) fn open_day(
        &mut self,
        device_id: u32,
        message: &str,
        now: Timestamp,
    ) -> Result<i32, Refusal> {
        let mut errors = Errors::default();
        let object = Object::outermost(message, &mut errors);
        let no = object.optional(&mut errors, "fiscalDayNo", json::integer);
        let opened = object.required(&mut errors, "fiscalDayOpened", json::date_time);
        errors
            .finish(())
            .map_err(|errors| self.wrong_fields(errors, None))?;

        let device = self.settled(device_id, now)?;
        let last = device.days.last();
        if last.is_some_and(|day| day.status != DayStatus::FiscalDayClosed) {
            return Err(Refusal::code(
                "FISC01",
                "The previous fiscal day is not closed.",
            ));
        }
        let next = last.map_or(0, |day| day.no).saturating_add(1);
        if no.is_some_and(|no| no != next) {
            let why = format!("The fiscal day number must be {next}.");
            return Err(Refusal::code("FISC01", why));
        }
        device.days.push(Day::new(next, opened));
        Ok(next)
    }

    /// CloseDay: checked now, done later.
    pub(crate) fn close_day(
        &mut self,
        device_id: u32,
        message: &str,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let request = CloseRequest::read(message).map_err(|e| self.wrong_fields(e, None))?;
        let at_once = self.settings.close_with_bad_receipts == CloseWithBadReceipts::RefusedAtOnce;
        let device = self.settled(device_id, now)?;
        let day = device.days.last().filter(|day| day.no == request.day_no);
        match day.map(|day| day.status) {
            None | Some(DayStatus::FiscalDayClosed) => {
                return Err(Refusal::code("FISC04", "This fiscal day is not open."));
            }
            Some(DayStatus::FiscalDayCloseInitiated) => {
                return Err(Refusal::code("FISC03", "The fiscal day is being closed."));
            }
            Some(DayStatus::FiscalDayOpened | DayStatus::FiscalDayCloseFailed) => {}
        }
        let is_bad = day.is_some_and(|day| day.grey_count + day.red_count > 0);
        if at_once && is_bad {
            let why = "The fiscal day has Grey or Red receipts.";
            return Err(Refusal::Unprocessable(why.to_owned()));
        }
        let outcome = self.judge_close(device_id, &request)?;
        let due = Duration::from_millis(self.settings.close_delay_ms);
        let closing = Closing {
            due: now.checked_add(due).unwrap_or(Timestamp::MAX),
            polls_left: self.settings.close_polls,
            outcome: outcome.map_or(Ok(request.signature.text), Err),
        };
        let device = self.settled(device_id, now)?;
        if let Some(day) = device.days.last_mut() {
            day.status = DayStatus::FiscalDayCloseInitiated;
            day.closing_error = None;
            day.closing = Some(closing);
        }
        Ok(())
    }

    /// The first thing that is wrong with a close, in the authority's order.
    pub(super) fn judge_close(
        &self,
        device_id: u32,
        request: &CloseRequest,
    ) -> Result<Option<ClosingError>, Refusal> {
        if let Some(error) = self.settings.close_error {
            return Ok(Some(error));
        }
        let device = self.device(device_id)?;
        let Some(day) = device.days.last() else {
            return Ok(None);
        };
        let settings = &self.settings;
        let reported = &request.reported;
        let text = signing::day_string(device_id, day.no, day.opened.date(), &reported.counters);
        let signature = &request.signature;
        let is_signed = signing::hash(&text) == *signature.hash
            && device
                .keys()
                .iter()
                .any(|key| key.verifies(&text, &signature.bytes));
        let compared = settings.check_close_receipt_counter;
        let own = self.own_counters(device, day);
        let agree = reported.agree_with(&own)
            && !(settings.zero_counter_is_mismatch && reported.has_zero)
            && !(compared && request.receipt_counter < day.last_counter);
        Ok(if !is_signed {
            Some(ClosingError::BadCertificateSignature)
        } else if day.grey_count > 0 || (compared && request.receipt_counter > day.last_counter) {
            Some(ClosingError::MissingReceipts)
        } else if day.red_count > 0 {
            Some(ClosingError::ReceiptsWithValidationErrors)
        } else if !agree {
            Some(ClosingError::CountersMismatch)
        } else {
            None
        })
    }

    /// The day's sums, with or without Red receipts as the setting says.
    fn own_counters(&self, device: &Device, day: &Day) -> Counters {
        if self.settings.red_receipts_count || day.red_count == 0 {
            return day.counters.clone();
        }
        let mut counters = Counters::default();
        for index in device.receipts.iter().rev() {
            let Some(kept) = self.receipts.get(*index) else {
                break;
            };
            if kept.day_no < day.no {
                break;
            }
            if !kept.has(Color::Red)
                && let Ok(receipt) = Receipt::parse(&kept.raw)
            {
                counters.add(&receipt);
            }
        }
        counters
    }

    /// Closes the open day by hand, as an officer does in the portal; false if none is open.
    pub(crate) fn close_by_hand(
        &mut self,
        device_id: u32,
        now: Timestamp,
    ) -> Result<bool, Refusal> {
        let device = self.settled(device_id, now)?;
        let Some(day) = device.days.last_mut() else {
            return Ok(false);
        };
        if day.status == DayStatus::FiscalDayClosed {
            return Ok(false);
        }
        day.close(ReconciliationMode::Manual, clock::local(now), None);
        Ok(true)
    }

    /// GetStatus. A close under way is one answer nearer to its end after it.
    pub(crate) fn status(&mut self, device_id: u32, now: Timestamp) -> Result<Status, Refusal> {
        let device = self.settled(device_id, now)?;
        if let Some(closing) = device.days.last_mut().and_then(|day| day.closing.as_mut()) {
            closing.polls_left = closing.polls_left.saturating_sub(1);
        }
        let device = self.device(device_id)?;
        let mut status = Status {
            fiscal_day_status: Some(DayStatus::FiscalDayClosed),
            last_receipt_global_no: device.latest.map(|(_, no)| no),
            ..Status::default()
        };
        let Some(day) = device.days.last() else {
            return Ok(status);
        };
        status.fiscal_day_status = Some(day.status);
        status.last_fiscal_day_no = Some(day.no);
        status.fiscal_day_closing_error_code = day.closing_error;
        if let Some(closed) = &day.closed {
            self.describe_closed(device, day, closed, &mut status);
        }
        Ok(status)
    }

    fn describe_closed(&self, device: &Device, day: &Day, closed: &Closed, status: &mut Status) {
        let counters = self.own_counters(device, day);
        status.fiscal_day_reconciliation_mode = Some(closed.mode);
        status.fiscal_day_closed = Some(closed.at.to_string());
        status.to_sign = Some(signing::day_server_string(
            device.spec.device_id,
            day.no,
            day.opened.date(),
            closed.at,
            &counters,
            closed.device_signature.as_deref(),
        ));
        if closed.mode == ReconciliationMode::Manual {
            status.fiscal_day_counter = Some(counters.list());
            let quantities = day
                .documents
                .iter()
                .map(|((kind, currency), (count, total))| DocumentQuantity {
                    receipt_type: *kind,
                    receipt_currency: currency.clone(),
                    receipt_quantity: *count,
                    receipt_total_amount: *total,
                });
            status.fiscal_day_document_quantities = Some(quantities.collect());
        }
    }

    /// The device's days, to look at.
    pub(crate) fn days(&mut self, device_id: u32, now: Timestamp) -> Vec<StoredDay> {
        let Ok(device) = self.settled(device_id, now) else {
            return Vec::new();
        };
        device.days.iter().map(Day::stored).collect()
    }
}

/// Ends a close whose time has come.
pub(super) fn settle(device: &mut Device, now: Timestamp) {
    let Some(day) = device.days.last_mut() else {
        return;
    };
    let is_due = |closing: &Closing| closing.due <= now && closing.polls_left == 0;
    if !day.closing.as_ref().is_some_and(is_due) {
        return;
    }
    let Some(closing) = day.closing.take() else {
        return;
    };
    match closing.outcome {
        Ok(signature) => {
            day.close(
                ReconciliationMode::Auto,
                clock::local(closing.due),
                Some(signature),
            );
        }
        Err(error) => day.fail(error),
    }
}

impl Day {
    pub(super) fn new(no: i32, opened: DateTime) -> Self {
        Self {
            no,
            opened,
            status: DayStatus::FiscalDayOpened,
            counters: Counters::default(),
            documents: BTreeMap::new(),
            receipt_count: 0,
            grey_count: 0,
            red_count: 0,
            last_counter: 0,
            closing: None,
            closing_error: None,
            closed: None,
        }
    }

    /// The close has failed; the day goes on.
    pub(super) fn fail(&mut self, error: ClosingError) {
        self.status = DayStatus::FiscalDayCloseFailed;
        self.closing_error = Some(error);
    }

    pub(super) fn close(
        &mut self,
        mode: ReconciliationMode,
        at: DateTime,
        signature: Option<String>,
    ) {
        self.status = DayStatus::FiscalDayClosed;
        self.closing = None;
        self.closing_error = None;
        self.closed = Some(Closed {
            mode,
            at,
            device_signature: signature,
        });
    }

    /// As if it had no receipts; they are counted anew.
    pub(super) fn forget_receipts(&mut self) {
        let empty = Self::new(self.no, self.opened);
        self.counters = empty.counters;
        self.documents = empty.documents;
        self.receipt_count = 0;
        self.grey_count = 0;
        self.red_count = 0;
        self.last_counter = 0;
    }

    fn stored(&self) -> StoredDay {
        StoredDay {
            fiscal_day_no: self.no,
            fiscal_day_opened: self.opened,
            status: self.status,
            receipt_count: self.receipt_count,
            grey_count: self.grey_count,
            red_count: self.red_count,
            closing_error: self.closing_error,
            reconciliation_mode: self.closed.as_ref().map(|closed| closed.mode),
            fiscal_day_closed: self.closed.as_ref().map(|closed| closed.at),
        }
    }
}

/// A CloseDay message, or the footer of a file.
pub(super) struct CloseRequest {
    day_no: i32,
    reported: ReportedCounters,
    pub(super) signature: Signature,
    receipt_counter: i32,
}

impl CloseRequest {
    fn read(message: &str) -> Result<Self, Errors> {
        let mut errors = Errors::default();
        let object = Object::outermost(message, &mut errors);
        let signature = object.required_object(&mut errors, "fiscalDayDeviceSignature");
        let request = Self {
            day_no: object.required(&mut errors, "fiscalDayNo", json::integer),
            reported: ReportedCounters::read(&object, &mut errors),
            signature: Signature::read(&signature, &mut errors),
            receipt_counter: object.required(&mut errors, "receiptCounter", json::integer),
        };
        errors.finish(request)
    }

    /// The footer of a file, and when the device closed the day. Counters may be left out.
    pub(super) fn of_footer(day_no: i32, footer: &str) -> Result<(Self, DateTime), Errors> {
        let mut errors = Errors::default();
        let object = Object::outermost(footer, &mut errors);
        let signature = object.required_object(&mut errors, "fiscalDayDeviceSignature");
        let reported = if object.text_of("fiscalDayCounters").is_empty() {
            ReportedCounters::default()
        } else {
            ReportedCounters::read(&object, &mut errors)
        };
        let request = Self {
            day_no,
            reported,
            signature: Signature::read(&signature, &mut errors),
            receipt_counter: object.required(&mut errors, "receiptCounter", json::integer),
        };
        let closed = object.required(&mut errors, "fiscalDayClosed", json::date_time);
        errors.finish((request, closed))
    }
}
