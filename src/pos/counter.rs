//! What becomes of a paper of an old POS: sold, recognised as sold before, passed on, or put aside with the reasons.
//!
//! A paper is kept before it is read. Whatever interrupts its way, it is walked again from the start and ends the
//! same: the sale has a key, the paper to be printed has one, and the last step closes both in one transaction.

use std::sync::Arc;

use drivers::capture::key::Key;
use drivers::capture::sale::CapturedSale;
use drivers::capture::splice::parts;
use drivers::capture::template::Template;
use drivers::capture::{CapturedJob, EndedBy, Reading, read};
use drivers::job::JobId;
use fiscal::draft::Draft;
use rust_decimal::Decimal;
use sha2::{Digest as _, Sha256};

use super::{sale, words};
use crate::config::{Plays, PosSetup};
use crate::ledger::captured::{CapturedRow, CapturedState};
use crate::ledger::printing::{NewPrint, PrintWhat, subject_of};
use crate::ledger::{
    Issued, Ledger, LedgerError, Refusal, Sale, SaleDone, Seq, StorageError, TillInfo,
};
use crate::print::Printers;

/// A port with all that it sells by.
#[derive(Debug, Clone)]
pub struct Counter {
    pub(super) setup: PosSetup,
    pub(super) till: TillInfo,
    pub(super) ledger: Ledger,
    pub(super) printers: Printers,
    pub(super) actor: Arc<str>,
}

/// What is done with a paper.
struct Verdict {
    state: CapturedState,
    template: Option<String>,
    print: Option<NewPrint>,
}

impl Counter {
    /// A port's counter at its till.
    #[must_use]
    pub fn new(setup: &PosSetup, till: TillInfo, ledger: &Ledger, printers: &Printers) -> Self {
        Self {
            actor: super::actor(setup).into(),
            setup: setup.clone(),
            till,
            ledger: ledger.clone(),
            printers: printers.clone(),
        }
    }

    /// The till that sells now: another one may have been put in this one's place.
    ///
    /// # Errors
    /// A fault of the storage.
    pub(super) fn selling(&self) -> Result<TillInfo, LedgerError> {
        let reader = self.ledger.reader();
        let switches = reader.switches()?;
        let Some((_, to)) = switches.into_iter().find(|(from, _)| *from == self.till.id) else {
            return Ok(self.till.clone());
        };
        let found = reader.tills()?.into_iter().find(|till| till.id == to);
        Ok(found.unwrap_or_else(|| self.till.clone()))
    }

    /// The receipt that a key stands for, on whichever till it was sold: a switch moves new sales, not old ones.
    ///
    /// # Errors
    /// A fault of the storage.
    pub(super) fn known(&self, key: &str) -> Result<Option<Issued>, LedgerError> {
        let reader = self.ledger.reader();
        if let Some(issued) = reader.by_key(self.till.id, key)? {
            return Ok(Some(issued));
        }
        for till in reader.tills()? {
            if let Some(issued) = reader.by_key(till.id, key)? {
                return Ok(Some(issued));
            }
        }
        Ok(None)
    }

    /// Keeps a paper before anything else.
    ///
    /// # Errors
    /// It could not be kept.
    pub fn keep(&self, job: &CapturedJob) -> Result<i64, LedgerError> {
        let (port, body, lost) = (self.setup.name.clone(), job.for_printer(), job.lost);
        self.ledger
            .write_blocking(move |core| core.keep_captured(&port, &body, lost))
    }

    /// Papers that were kept and not read before the power went.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn unread(&self) -> Result<Vec<i64>, LedgerError> {
        let rows = self.ledger.reader().unread_captured(&self.setup.name)?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }

    /// Deals with a paper that has been kept; its print job, if something is printed. `by_hand` is a paper that a
    /// person has read again: no second slip comes out for one that was put aside before.
    ///
    /// # Errors
    /// A fault of the storage: to be tried again.
    pub fn settle(&self, id: i64, by_hand: bool) -> Result<Option<JobId>, LedgerError> {
        let row = self.ledger.reader().captured(id)?;
        let row = row.ok_or_else(|| missing(id))?;
        if row.state != "new" && !(by_hand && row.state == "quarantined") {
            let why = format!("the paper {id} is not put aside: it is {}", row.state);
            return Err(Refusal::NotNow(why).into());
        }
        // A paper that we cannot read for a defect of ours must not keep the others from being sold.
        let judged = std::panic::AssertUnwindSafe(|| self.judge(&row));
        let verdict = match std::panic::catch_unwind(judged) {
            Ok(verdict) => verdict?,
            Err(_) => {
                let why = "a defect of the gateway: report it, with the paper (fiscald capture learn --keep)";
                self.aside(id, &[why.to_owned()], None)
            }
        };
        let till = self.till.id;
        // One that was cut off before it was read has had no slip yet, whoever reads it now.
        let has_slip = by_hand && row.state == "quarantined";
        let print = verdict
            .print
            .filter(|print| !has_slip || print.subject.is_some());
        let ids = self.ledger.write_blocking(move |core| {
            let ids = core.queue_prints(print.as_slice())?;
            core.settle_captured(till, id, &verdict.state, verdict.template.as_deref())?;
            Ok(ids)
        })?;
        self.printers.ring(&self.setup.printer);
        Ok(ids.first().copied())
    }

    fn templates(&self) -> Result<Arc<Vec<Template>>, String> {
        match &self.setup.plays {
            Plays::Printer(templates) => templates.current(),
            Plays::Isl(_) | Plays::Zfp(_) => Ok(Arc::default()),
        }
    }

    fn judge(&self, row: &CapturedRow) -> Result<Verdict, LedgerError> {
        let (id, body) = (row.id, row.body.as_slice());
        let job = CapturedJob {
            number: 0,
            bytes: body.to_vec(),
            taken: Vec::new(),
            lost: row.lost,
            ended_by: EndedBy::File,
        };
        let templates = match self.templates() {
            Ok(templates) => templates,
            Err(why) => return Ok(self.aside(id, &[why], None)),
        };
        let read = read(&job, &templates);
        let template = read.template;
        let verdict = |state, print| Verdict {
            state,
            template: template.clone(),
            print: Some(print),
        };
        match read.reading {
            Reading::Passthrough => {
                let print = self.paper(id, "passed", body.to_vec(), None, Vec::new());
                Ok(verdict(CapturedState::Passed, print))
            }
            Reading::Quarantine(reasons) => {
                let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
                Ok(self.aside(id, &reasons, template))
            }
            Reading::Reprint(reprint) => {
                let key = name_of(&Key::of_reprint(&self.setup.name, &reprint));
                match self.known(&key)? {
                    Some(issued) => Ok(verdict(
                        CapturedState::Repeated(issued.seq),
                        self.with_block(id, body, &issued),
                    )),
                    None => {
                        let why = format!(
                            "the paper says that it is printed again, and no sale {} of {} for {} was made fiscal here",
                            reprint.receipt_no.text, reprint.date.text, reprint.total.value
                        );
                        Ok(self.aside(id, &[why], template))
                    }
                }
            }
            Reading::Sale(sale) => match self.sale(&sale)? {
                Ok(issued) => {
                    // Sold by this paper, or by an earlier one: one that was interrupted has settled nothing.
                    let state = match self.ledger.reader().has_captured(issued.seq)? {
                        true => CapturedState::Repeated(issued.seq),
                        false => CapturedState::Sold(issued.seq),
                    };
                    Ok(verdict(state, self.with_block(id, body, &issued)))
                }
                Err(reasons) => Ok(self.aside(id, &reasons, template)),
            },
        }
    }

    /// The receipt of a paper: the one that it was sold as, or a new one. Why not, if it cannot be sold.
    fn sale(&self, sale: &CapturedSale) -> Result<Result<Issued, Vec<String>>, LedgerError> {
        let key = name_of(&Key::of_sale(&self.setup.name, sale));
        if let Some(issued) = self.known(&key)? {
            if same_goods(sale, &issued) {
                return Ok(Ok(issued));
            }
            let why = format!(
                "the number {} of {} for {} was sold with other goods, as {}",
                sale.receipt_no.text, sale.date.text, sale.total.value, issued.receipt.invoice_no
            );
            return Ok(Err(vec![why]));
        }
        let till = self.selling()?;
        let taxpayer = self.ledger.reader().taxpayer(till.id)?;
        let Some(taxpayer) = taxpayer else {
            return Ok(Err(vec![
                "the configuration of the till is missing".to_owned(),
            ]));
        };
        let now = self.ledger.time().local();
        match sale::captured(sale, &self.setup, &taxpayer, now) {
            Ok(draft) => self.sell(&till, draft, key),
            Err(reasons) => Ok(Err(reasons)),
        }
    }

    /// Sells through the ledger's queue, as the API does; or says why it was refused.
    ///
    /// # Errors
    /// The storage failed, or has no room now: to be tried again with the same key.
    pub(super) fn sell(
        &self,
        till: &TillInfo,
        draft: Draft,
        key: String,
    ) -> Result<Result<Issued, Vec<String>>, LedgerError> {
        let sale = Sale::new(till.ids(), draft, Some(key), Arc::clone(&self.actor));
        match self.ledger.issue_blocking(sale) {
            Ok(SaleDone::Issued(issued)) => Ok(Ok(*issued)),
            Ok(SaleDone::Repeated(seq)) => {
                let found = self.ledger.reader().by_seq(seq)?;
                let lost =
                    || StorageError::Damaged(format!("the receipt of event {seq} is not there"));
                Ok(Ok(found.ok_or_else(lost)?))
            }
            Err(LedgerError::Refused(Refusal::Findings { findings })) => {
                Ok(Err(findings.iter().map(sale::finding).collect()))
            }
            Err(LedgerError::Refused(refusal)) => Ok(Err(vec![refusal.to_string()])),
            Err(LedgerError::Storage(error)) => Err(error.into()),
        }
    }

    fn with_block(&self, id: i64, body: &[u8], issued: &Issued) -> NewPrint {
        let (before, after) = parts(body);
        NewPrint {
            till: Some(issued.till.id),
            subject: Some(subject_of(issued.seq)),
            ..self.paper(id, "sold", before, Some(issued.seq), after)
        }
    }

    fn paper(
        &self,
        id: i64,
        how: &str,
        before: Vec<u8>,
        receipt: Option<Seq>,
        after: Vec<u8>,
    ) -> NewPrint {
        NewPrint {
            printer: self.setup.printer.clone(),
            till: Some(self.till.id),
            what: PrintWhat::Captured {
                before,
                receipt,
                after,
            },
            subject: None,
            key: Some(format!("captured {id} {how}")),
        }
    }

    fn aside(&self, id: i64, reasons: &[String], template: Option<String>) -> Verdict {
        tracing::warn!(
            port = self.setup.name,
            captured = id,
            reasons = reasons.len(),
            "a paper could not be sold; `fiscald capture show` says why"
        );
        Verdict {
            state: CapturedState::Quarantined(reasons.join("\n")),
            template,
            print: Some(self.slip(id, reasons)),
        }
    }

    fn slip(&self, id: i64, reasons: &[String]) -> NewPrint {
        let time = self.ledger.time().local().to_string();
        let blocks = words::slip(id, &self.setup.name, reasons, &time);
        NewPrint {
            key: Some(format!("captured {id} aside")),
            ..NewPrint::blocks(&self.setup.printer, Some(self.till.id), &blocks)
        }
    }

    /// Whether an error is one of the moment, and which one the thread ends with.
    pub(super) fn is_stopping(error: &LedgerError) -> bool {
        matches!(error, LedgerError::Storage(StorageError::Stopping))
    }
}

fn missing(id: i64) -> LedgerError {
    Refusal::Missing(format!("there is no captured paper {id}")).into()
}

/// Whether a paper has the goods of a receipt: a POS that prints again may name another cashier or time.
fn same_goods(sale: &CapturedSale, issued: &Issued) -> bool {
    let lines = issued.receipt.lines.iter();
    let mut ours: Vec<(String, i64)> = lines
        .map(|line| (line.name.clone(), line.total.get().abs()))
        .collect();
    let lines = sale.lines.iter().map(|line| {
        let cents = (line.total.value.abs() * Decimal::ONE_HUNDRED).normalize();
        (
            line.name.text.clone(),
            cents.to_string().parse().unwrap_or(-1),
        )
    });
    let mut theirs: Vec<(String, i64)> = lines.collect();
    ours.sort_unstable();
    theirs.sort_unstable();
    ours == theirs
}

/// The idempotency key of a paper: visible characters, whatever stands on it.
fn name_of(key: &Key) -> String {
    let hash = Sha256::digest(key.text().as_bytes());
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("pos:{hex}")
}
