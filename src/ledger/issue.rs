//! Issuing: from a sale to a numbered, chained, signed receipt in the ledger.
//!
//! A batch of sales is walked in order. Each is assessed against the end of its till's chain, which moves
//! on in memory; signatures are made in parallel, checked, and only then are rows written. A sale that
//! depends on one still waiting (same key, same `invoiceNo`, a note) first lets those be written.

use std::collections::HashSet;
use std::sync::Arc;

use fiscal::compose::{Known, Numbers, compose, in_signing_order};
use fiscal::day::last_moment;
use fiscal::receipt::{Hash, OriginalRef, Receipt, Signature};
use fiscal::rules::{Day, Facts, OriginalFact, Previous, judge};
use fiscal::taxpayer::Taxpayer;
use fiscal::{Code, DateTime, Finding, FiscalDayNo, ReceiptCounter, sign, wire};
use jiff::ToSpan as _;
use rusqlite::{Connection, params};

use super::chain::{Config, Head, Key, OpenDay};
use super::core::Core;
use super::read::{self, Original};
use super::{
    DayOpening, Issued, LedgerError, Refusal, Sale, SaleDone, Seq, Settings, StorageError, TillId,
    TillInfo, sql,
};
use crate::keys::Signer;

/// From so many signatures on, a second thread is worth its start.
const PARALLEL_FROM: usize = 8;

/// What must happen to the fiscal day before the receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DayPlan {
    /// The open day takes it.
    Keep(OpenDay),
    /// A day is opened for it.
    Open { no: FiscalDayNo, opened: DateTime },
    /// The open day has lasted its longest: it is closed and the next one opened.
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
    max_hours: u32,
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
        if settings.day_opening == DayOpening::ByHand {
            return Err(Refusal::DayNotOpen {
                device: till.device_id,
            });
        }
        return Ok(fresh(DayPlan::Open { no, opened: floor }));
    };
    let date = rising.max(after(day.opened));
    if date > last_moment(day.opened, max_hours) && settings.rollover_offline {
        return Ok(fresh(DayPlan::Rollover {
            no,
            at: floor.max(day.opened),
        }));
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
    let moment = next_moment(till, head, taxpayer.day_max_hours, settings, now)?;
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
    let is_new = !read::invoice_no_used(conn, till.environment, &receipt.invoice_no)?;
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
            (None, true) => OriginalFact::Unknown,
            (None, false) => OriginalFact::Missing,
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
            if let Some(original) = read::original_by_invoice(conn, till, name)? {
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
    Ok(read::original_by_number(conn, till, device, number)?
        .filter(|original| original.fiscal_day_no == day))
}

/// A receipt that is numbered and chained, and waits for its signature and its rows.
struct Pending {
    place: usize,
    sale: Sale,
    till: Arc<TillInfo>,
    key: Key,
    config: Config,
    seq: Seq,
    day: OpenDay,
    idempotency_key: String,
    fingerprint: Hash,
    original: Option<Original>,
    receipt: Receipt,
    signing_string: String,
    hash: Hash,
}

/// The walk through a batch.
#[derive(Default)]
struct Walk {
    pending: Vec<Pending>,
    keys: HashSet<(TillId, String)>,
    invoices: HashSet<String>,
    done: Vec<Option<Result<SaleDone, Refusal>>>,
}

impl Core {
    /// Issues sales within the running transaction. Refused ones leave nothing behind.
    pub(super) fn issue_all(
        &mut self,
        sales: Vec<Sale>,
    ) -> Result<Vec<Result<SaleDone, Refusal>>, StorageError> {
        let mut walk = Walk::default();
        for (place, sale) in sales.into_iter().enumerate() {
            walk.done.push(None);
            let done = match self.prepare(&mut walk, place, sale) {
                Ok(None) => continue,
                Ok(Some(seq)) => Ok(SaleDone::Repeated(seq)),
                Err(LedgerError::Refused(refusal)) => Err(refusal),
                Err(LedgerError::Storage(error)) => return Err(error),
            };
            if let Some(slot) = walk.done.last_mut() {
                *slot = Some(done);
            }
        }
        self.flush(&mut walk)?;
        walk.done
            .into_iter()
            .map(|done| done.ok_or_else(|| sql::damaged("a sale was left without an answer")))
            .collect()
    }

    /// Assesses one sale and moves its till's chain on; answers the earlier receipt of a repeated one.
    fn prepare(
        &mut self,
        walk: &mut Walk,
        place: usize,
        sale: Sale,
    ) -> Result<Option<Seq>, LedgerError> {
        let till_id = sale.till;
        let till = self.till(till_id)?;
        let info = Arc::clone(&till.info);
        let key_text = sale.key.clone().or_else(|| sale.draft.invoice_no.clone());
        let key_text = key_text.unwrap_or_default();
        let invoice_no = sale.draft.invoice_no.as_deref().unwrap_or_default();
        let invoice_no = format!("{}{invoice_no}", info.invoice_prefix);
        let waits = walk.keys.contains(&(till_id, key_text.clone()))
            || walk.invoices.contains(&invoice_no)
            || sale.draft.credit_debit_note.is_some();
        if waits {
            self.flush(walk)?;
        }
        let fingerprint = sale.draft.fingerprint(info.device_id);
        if let Some(earlier) = self.earlier(till_id, &key_text, &fingerprint)? {
            return Ok(Some(earlier));
        }
        let till = self.till(till_id)?;
        let (key, config) = till.ready()?;
        let ground = Ground {
            conn: &self.conn,
            till: &info,
            taxpayer: &config.taxpayer,
            head: &till.head,
            settings: &self.settings,
            now: self.now_local(),
        };
        let assessed = assess(&ground, &sale)?;
        let day = self.carry_out(till_id, assessed.plan, &sale.actor)?;
        let seq = self.take_seq();
        let previous = self.till(till_id)?.head.last_hash;
        #[cfg(test)]
        let previous = previous.filter(|_| self.planted != super::core::Planted::ChainBroken);
        let signing_string =
            sign::receipt_string(info.device_id, &assessed.receipt, previous.as_ref());
        let hash = sign::hash(&signing_string);
        self.move_on(till_id, &assessed.receipt, hash)?;
        walk.keys.insert((till_id, key_text.clone()));
        walk.invoices.insert(invoice_no);
        let is_note = assessed.receipt.receipt_type.is_note();
        walk.pending.push(Pending {
            place,
            sale,
            till: info,
            key,
            config,
            seq,
            day,
            idempotency_key: key_text,
            fingerprint,
            original: assessed.original,
            receipt: assessed.receipt,
            signing_string,
            hash,
        });
        if is_note {
            // The next note on the same original must see this one.
            self.flush(walk)?;
        }
        Ok(None)
    }

    /// The receipt that a key already stands for.
    fn earlier(
        &self,
        till: TillId,
        key: &str,
        fingerprint: &Hash,
    ) -> Result<Option<Seq>, LedgerError> {
        #[cfg(test)]
        if self.planted == super::core::Planted::KeyForgotten {
            return Ok(None);
        }
        let Some(earlier) = read::by_key(&self.conn, till, key)? else {
            return Ok(None);
        };
        if earlier.fingerprint == *fingerprint {
            return Ok(Some(earlier.seq));
        }
        Err(Refusal::KeyConflict {
            key: key.to_owned(),
            invoice_no: earlier.invoice_no,
        }
        .into())
    }

    /// Opens, or closes and opens, the day that the receipt needs.
    fn carry_out(
        &mut self,
        till: TillId,
        plan: DayPlan,
        actor: &str,
    ) -> Result<OpenDay, LedgerError> {
        match plan {
            DayPlan::Keep(day) => Ok(day),
            DayPlan::Open { opened, .. } => self.open_day_at(till, opened, actor),
            DayPlan::Rollover { at, .. } => {
                self.close_day_at(till, at, actor)?;
                self.open_day_at(till, at, actor)
            }
        }
    }

    /// The chain goes on from this receipt.
    fn move_on(&mut self, till: TillId, receipt: &Receipt, hash: Hash) -> Result<(), LedgerError> {
        #[cfg(test)]
        let planted = self.planted;
        let till = self.tills.get_mut(&till).ok_or(Refusal::NoSuchTill)?;
        let head = &mut till.head;
        head.last_counter = receipt.counter;
        head.last_global_no = receipt.global_no;
        head.last_date = Some(receipt.date);
        head.last_hash = Some(hash);
        head.dirty = true;
        #[cfg(test)]
        match planted {
            super::core::Planted::CountersForgotten => return Ok(()),
            super::core::Planted::NumberSkipped => {
                head.last_global_no = receipt.global_no.next();
            }
            super::core::Planted::DateNotRising => head.last_date = None,
            _ => {}
        }
        head.totals.add_receipt(receipt);
        Ok(())
    }

    /// Signs what waits, checks the signatures, and writes the rows.
    fn flush(&mut self, walk: &mut Walk) -> Result<(), StorageError> {
        let pending = std::mem::take(&mut walk.pending);
        walk.keys.clear();
        walk.invoices.clear();
        let signatures = sign_all(&pending)?;
        for (pending, bytes) in pending.into_iter().zip(signatures) {
            let place = pending.place;
            let issued = self.insert(pending, bytes)?;
            if let Some(slot) = walk.done.get_mut(place) {
                *slot = Some(Ok(SaleDone::Issued(Box::new(issued))));
            }
        }
        Ok(())
    }

    fn insert(&mut self, p: Pending, bytes: Vec<u8>) -> Result<Issued, StorageError> {
        let signature = Signature {
            hash: p.hash,
            bytes,
        };
        let receipt = p.receipt;
        let till_id = p.till.id;
        self.append_event(p.seq, Some(till_id), "receipt.issued", None)?;
        let body = wire::submit_receipt_body(&receipt, &signature);
        let body_hash = sign::hash(&body);
        let print = (p.sale.draft.print != fiscal::draft::PrintOnly::default())
            // Print-only fields always serialise.
            .then(|| serde_json::to_string(&p.sale.draft.print).unwrap_or_default());
        self.conn
            .prepare_cached(
                "INSERT INTO receipt VALUES
                 (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)",
            )?
            .execute(params![
                p.seq.0,
                till_id.0,
                p.day.day_id.0,
                receipt.global_no.get(),
                receipt.counter.get(),
                receipt.receipt_type.as_str(),
                receipt.currency.as_str(),
                receipt.total.get(),
                receipt.date.to_string(),
                p.till.environment.as_str(),
                receipt.invoice_no,
                p.idempotency_key,
                p.fingerprint.0,
                p.original.as_ref().map(|original| original.seq.0),
                p.config.config_id,
                p.key.key_id,
                signature.hash.0,
                signature.bytes,
                body,
                print,
            ])?;
        // The signature covers the sums; this covers every name and note as well.
        let detail = format!("{} {body_hash}", receipt.global_no);
        self.audit(&p.sale.actor, "receipt.issue", Some(till_id), &detail)?;
        Ok(Issued {
            seq: p.seq,
            till: p.till,
            taxpayer: p.config.taxpayer,
            fiscal_day_no: p.day.no,
            receipt,
            signature,
            print: p.sale.draft.print,
            original: p.original.map(|original| original.facts),
        })
    }
}

/// Signs each signing string and checks the signature; many are shared out over the processor's cores.
fn sign_all(pending: &[Pending]) -> Result<Vec<Vec<u8>>, StorageError> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if pending.len() < PARALLEL_FROM || cores < 2 {
        return pending.iter().map(sign_one).collect();
    }
    let share = pending.len().div_ceil(cores.min(4));
    std::thread::scope(|scope| {
        let threads: Vec<_> = pending
            .chunks(share)
            .map(|chunk| {
                scope.spawn(move || chunk.iter().map(sign_one).collect::<Result<Vec<_>, _>>())
            })
            .collect();
        let mut all = Vec::with_capacity(pending.len());
        for thread in threads {
            let chunk = thread
                .join()
                .map_err(|_| sql::damaged("a signing thread panicked"))?;
            all.extend(chunk?);
        }
        Ok(all)
    })
}

fn sign_one(pending: &Pending) -> Result<Vec<u8>, StorageError> {
    sign_checked(&*pending.key.signer, &pending.signing_string)
}

/// Signs and verifies: rather stop than hand out a signature that FDMS would not accept.
pub(super) fn sign_checked(signer: &dyn Signer, text: &str) -> Result<Vec<u8>, StorageError> {
    let signature = signer.sign(text.as_bytes())?;
    if !signer.verify(text.as_bytes(), &signature) {
        return Err(sql::damaged(
            "the device key made a signature that does not verify",
        ));
    }
    Ok(signature)
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
