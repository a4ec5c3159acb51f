//! Assessing: a sale as the next receipt of its till, judged by every rule, with nothing written yet.
//!
//! The same function serves issuing and preview. What it needs of the ledger it reads; the fiscal day that
//! the receipt needs is a plan, carried out only for a sale that has passed.

use std::sync::Arc;

use fiscal::compose::{Known, Numbers, compose, in_signing_order};
use fiscal::day::last_moment;
use fiscal::receipt::{Hash, OriginalRef, Receipt, Signature};
use fiscal::rules::{Day, Facts, OriginalFact, Previous, judge};
use fiscal::taxpayer::Taxpayer;
use fiscal::{Code, DateTime, Finding, FiscalDayNo, ReceiptCounter};
use jiff::ToSpan as _;
use rusqlite::Connection;

use super::chain::{self, Head, OpenDay};
use super::holds::{load_gate, load_hold};
use super::read::{self, Original, Reader};
use super::{
    DayOpening, Issued, LedgerError, Refusal, Sale, Seq, Settings, StorageError, TillInfo, sql,
};

/// What must happen to the fiscal day before the receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DayPlan {
    /// The open day takes it.
    Keep(OpenDay),
    /// A day is opened for it.
    Open { no: FiscalDayNo, opened: DateTime },
    /// The open day has lasted its longest, or is of before the taxpayer paid VAT: it is closed and the next one
    /// opened.
    Rollover { no: FiscalDayNo, at: DateTime },
}

impl DayPlan {
    pub(super) fn no(self) -> FiscalDayNo {
        match self {
            Self::Keep(day) => day.no,
            Self::Open { no, .. } | Self::Rollover { no, .. } => no,
        }
    }

    pub(super) fn opened(self) -> DateTime {
        match self {
            Self::Keep(day) => day.opened,
            Self::Open { opened, .. } => opened,
            Self::Rollover { at, .. } => at,
        }
    }
}

/// Where the next receipt of a till would stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) plan: DayPlan,
    pub(super) numbers: Numbers,
}

/// The next receipt's day, numbers and date. The date is the latest of the trusted time, the last
/// receipt's date and a second, and the day's opening and a second: FDMS wants strictly rising seconds.
pub(super) fn next_moment(
    till: &TillInfo,
    head: &Head,
    taxpayer: &Taxpayer,
    settings: &Settings,
    now: DateTime,
) -> Result<Moment, Refusal> {
    let after = |date: DateTime| date.saturating_add(1.second());
    let floor = head.last_date.map_or(now, |date| now.max(date));
    let rising = head.last_date.map_or(now, |date| now.max(after(date)));
    let global_no = head.last_global_no.next();
    let fresh = |plan: DayPlan| Moment {
        plan,
        numbers: Numbers {
            counter: ReceiptCounter::ZERO.next(),
            global_no,
            date: after(plan.opened()),
        },
    };
    let no = head.last_day_no.next();
    let Some(day) = head.day else {
        if settings.policy(till).opening == DayOpening::ByHand {
            return Err(Refusal::DayNotOpen {
                device: till.device_id,
            });
        }
        return Ok(fresh(DayPlan::Open { no, opened: floor }));
    };
    let date = rising.max(after(day.opened));
    let rollover = DayPlan::Rollover {
        no,
        at: floor.max(day.opened),
    };
    // Whoever has become a VAT payer issues nothing before a new day (docs/FDMS.md section 4).
    if day.is_vat_payer == Some(false) && taxpayer.is_vat_payer() {
        return match settings.policy(till).opening {
            DayOpening::FirstSale => Ok(fresh(rollover)),
            DayOpening::ByHand => Err(Refusal::VatChanged {
                device: till.device_id,
                no: day.no,
            }),
        };
    }
    if date > last_moment(day.opened, taxpayer.day_max_hours) && settings.rollover_offline {
        return Ok(fresh(rollover));
    }
    Ok(Moment {
        plan: DayPlan::Keep(day),
        numbers: Numbers {
            counter: head.last_counter.next(),
            global_no,
            date,
        },
    })
}

/// A sale that has passed every rule, with its place in the chain.
#[derive(Debug)]
pub(super) struct Assessed {
    pub(super) receipt: Receipt,
    pub(super) plan: DayPlan,
    pub(super) original: Option<Original>,
}

/// What a sale is assessed against.
pub(super) struct Ground<'a> {
    pub(super) conn: &'a Connection,
    pub(super) till: &'a TillInfo,
    pub(super) taxpayer: &'a Taxpayer,
    pub(super) head: &'a Head,
    pub(super) settings: &'a Settings,
    pub(super) now: DateTime,
}

/// Everything but issuing: composes the receipt as the next one of its till and judges it.
pub(super) fn assess(ground: &Ground<'_>, sale: &Sale) -> Result<Assessed, LedgerError> {
    let Ground {
        conn,
        till,
        taxpayer,
        head,
        settings,
        now,
    } = *ground;
    let moment = next_moment(till, head, taxpayer, settings, now)?;
    let original = find_original(conn, till, sale)?;
    let known = Known {
        numbers: Some(moment.numbers),
        taxpayer: Some(taxpayer),
        aliases: Some(&settings.tax_aliases),
        invoice_prefix: &till.invoice_prefix,
        original: original.as_ref().map(|original| &original.judged),
    };
    let (mut receipt, mut findings) = compose(&sale.draft, &known);
    if let Some(original) = &original {
        receipt.credit_debit_note = Some(original.reference());
    }
    owned(till, sale, &moment, &mut findings);
    let is_new = read::by_invoice_no(conn, till.environment, &receipt.invoice_no)?.is_none();
    let fresh = !matches!(moment.plan, DayPlan::Keep(_));
    let facts = Facts {
        taxpayer: Some(taxpayer),
        currencies: Some(&settings.currencies),
        previous: Some(Previous {
            counter: if fresh {
                ReceiptCounter::ZERO
            } else {
                head.last_counter
            },
            global_no: head.last_global_no,
            date: head.last_date,
        }),
        day: Some(Day {
            opened: moment.plan.opened(),
            max_hours: taxpayer.day_max_hours,
        }),
        now: None,
        original: match (&original, sale.draft.original_elsewhere) {
            (Some(original), _) => OriginalFact::Found(&original.judged),
            (None, true) if !must_be_here(conn, till, sale)? => OriginalFact::Unknown,
            (None, _) => OriginalFact::Missing,
        },
        invoice_no_is_new: Some(is_new),
    };
    findings.extend(judge(&receipt, &facts));
    ours(&findings)?;
    if !findings.is_empty() {
        return Err(Refusal::Findings { findings }.into());
    }
    Ok(Assessed {
        receipt: in_signing_order(receipt),
        plan: moment.plan,
        original,
    })
}

/// The numbers and the date are ours: a finding about them is a defect of the gateway, which rather stops
/// than signs a wrong receipt.
fn ours(findings: &[Finding]) -> Result<(), StorageError> {
    let codes = [Code::Rcpt011, Code::Rcpt012, Code::Rcpt014, Code::Rcpt030];
    match findings
        .iter()
        .find(|finding| codes.contains(&finding.code))
    {
        Some(finding) => Err(sql::damaged(finding.to_string())),
        None => Ok(()),
    }
}

/// Values that the gateway sets must agree if the POS sends them.
fn owned(till: &TillInfo, sale: &Sale, moment: &Moment, findings: &mut Vec<Finding>) {
    let draft = &sale.draft;
    if let Some(device) = draft.device_id
        && device != till.device_id
    {
        let message = format!("is {device}, but this till is {}", till.device_id);
        findings.push(Finding::new(Code::DeviceMismatch, "/deviceID", message));
    }
    let mut differ = |field: &str, sent: Option<String>, ours: String| {
        if let Some(sent) = sent
            && sent != ours
        {
            let message = format!("is {sent}, but the gateway's is {ours}");
            findings.push(Finding::new(
                Code::OwnedByGateway,
                format!("/{field}"),
                message,
            ));
        }
    };
    let numbers = moment.numbers;
    differ(
        "receiptCounter",
        draft.receipt_counter.map(|n| n.to_string()),
        numbers.counter.to_string(),
    );
    differ(
        "receiptGlobalNo",
        draft.receipt_global_no.map(|n| n.to_string()),
        numbers.global_no.to_string(),
    );
    differ(
        "receiptDate",
        draft.receipt_date.map(|d| d.to_string()),
        numbers.date.to_string(),
    );
    if draft.receipt_device_signature.is_some() {
        let message = "was sent, but only the gateway can sign";
        findings.push(Finding::new(
            Code::OwnedByGateway,
            "/receiptDeviceSignature",
            message,
        ));
    }
}

/// The original of a note, by FDMS's numbers or by its `invoiceNo`, on any till of the same taxpayer.
fn find_original(
    conn: &Connection,
    till: &TillInfo,
    sale: &Sale,
) -> Result<Option<Original>, LedgerError> {
    let Some(named) = &sale.draft.credit_debit_note else {
        return Ok(None);
    };
    if let Some(invoice_no) = &named.invoice_no {
        let prefixed = format!("{}{invoice_no}", till.invoice_prefix);
        for name in [prefixed.as_str(), invoice_no] {
            if let Some(original) = readable(read::original_by_invoice(conn, till, name))? {
                agrees(&original, invoice_no, &named.by_number)?;
                return Ok(Some(original));
            }
        }
        return Ok(None);
    }
    let OriginalRef {
        device_id,
        receipt_global_no,
        fiscal_day_no,
        ..
    } = named.by_number;
    let (Some(device), Some(number), Some(day)) = (device_id, receipt_global_no, fiscal_day_no)
    else {
        return Ok(None);
    };
    Ok(
        readable(read::original_by_number(conn, till, device, number))?
            .filter(|original| original.fiscal_day_no == day),
    )
}

/// An original that cannot be read refuses the note; it is no reason to stop selling.
fn readable(
    original: Result<Option<Original>, StorageError>,
) -> Result<Option<Original>, LedgerError> {
    match original {
        Err(gone @ StorageError::ArchiveGone(_)) => {
            Err(refused(format!("the original cannot be read: {gone}")))
        }
        Err(StorageError::Damaged(what)) => {
            let message = format!("the original cannot be read: {what}");
            Err(refused(message))
        }
        other => Ok(other?),
    }
}

/// Numbers that are sent beside `invoiceNo` must be those of the same receipt.
fn agrees(original: &Original, invoice_no: &str, sent: &OriginalRef) -> Result<(), LedgerError> {
    let ours = original.reference();
    let differs = |sent: bool, same: bool| sent && !same;
    if differs(sent.device_id.is_some(), sent.device_id == ours.device_id)
        || differs(
            sent.receipt_global_no.is_some(),
            sent.receipt_global_no == ours.receipt_global_no,
        )
        || differs(
            sent.fiscal_day_no.is_some(),
            sent.fiscal_day_no == ours.fiscal_day_no,
        )
    {
        return Err(refused(format!(
            "invoiceNo \"{invoice_no}\" is receipt {} of day {}, but other numbers were sent beside it",
            original.facts.global_no, original.fiscal_day_no
        )));
    }
    Ok(())
}

fn refused(message: String) -> LedgerError {
    let finding = Finding::new(Code::Rcpt032, "/creditDebitNote", message);
    Refusal::Findings {
        findings: vec![finding],
    }
    .into()
}

/// Whether the POS names a receipt of a till that is in this ledger: then it is here or nowhere.
fn must_be_here(conn: &Connection, till: &TillInfo, sale: &Sale) -> Result<bool, StorageError> {
    let device = sale
        .draft
        .credit_debit_note
        .as_ref()
        .and_then(|named| named.by_number.device_id);
    match device {
        None => Ok(false),
        Some(device) => read::has_till(conn, till.environment, device),
    }
}

impl Original {
    /// The three numbers for FDMS. A `receiptID` of the POS would overrule them there, and may be wrong.
    fn reference(&self) -> OriginalRef {
        OriginalRef {
            receipt_id: None,
            device_id: Some(self.device_id),
            receipt_global_no: Some(self.facts.global_no),
            fiscal_day_no: Some(self.fiscal_day_no),
        }
    }
}

impl Reader {
    /// Everything but issuing: the receipt as it would be issued now.
    ///
    /// # Errors
    /// What issuing would refuse, or a fault of the storage.
    pub fn preview(
        &self,
        sale: &Sale,
        settings: &Settings,
        now: DateTime,
    ) -> Result<Issued, LedgerError> {
        self.with(|conn| {
            let till = read::till_info(conn, sale.till)?;
            let hold = match load_hold(conn, sale.till)? {
                None => load_gate(conn, sale.till)?,
                hold => hold,
            };
            if let Some(hold) = hold {
                return Err(hold.refusal(till.device_id).into());
            }
            let head = chain::load_head(conn, sale.till)?;
            let config = chain::load_config(conn, sale.till)?.ok_or(Refusal::NotReady {
                device: till.device_id,
                missing: "FDMS has not sent its configuration yet",
            })?;
            let ground = Ground {
                conn,
                till: &till,
                taxpayer: &config.taxpayer,
                head: &head,
                settings,
                now,
            };
            let assessed = assess(&ground, sale)?;
            Ok(Issued {
                seq: Seq(0),
                fiscal_day_no: assessed.plan.no(),
                till: Arc::new(till),
                taxpayer: config.taxpayer,
                signature: Signature {
                    hash: Hash([0; 32]),
                    bytes: Vec::new(),
                },
                receipt: assessed.receipt,
                print: sale.draft.print.clone(),
                original: assessed.original.map(|original| original.facts),
            })
        })
    }
}
