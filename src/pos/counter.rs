//! What becomes of a paper of an old POS: sold, recognised as sold before, passed on, or put aside with the reasons.
//!
//! A paper is kept before it is read. Whatever interrupts its way, it is walked again from the start and ends the
//! same: the sale has a key, the paper to be printed has one, and the last step closes both in one transaction.

use std::sync::Arc;

use drivers::capture::key::Key;
use drivers::capture::splice::parts;
use drivers::capture::template::Template;
use drivers::capture::{CapturedJob, EndedBy, Reading, read};
use drivers::job::JobId;
use fiscal::draft::Draft;
use sha2::{Digest as _, Sha256};

use super::{sale, words};
use crate::config::{Plays, PosSetup};
use crate::ledger::captured::CapturedState;
use crate::ledger::printing::{NewPrint, PrintWhat, subject_of};
use crate::ledger::{
    Ledger, LedgerError, Refusal, Sale, SaleDone, Seq, StorageError, TillId, TillInfo,
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
            actor: format!("pos:{}", setup.name).into(),
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

    /// Keeps a paper before anything else.
    ///
    /// # Errors
    /// It could not be kept.
    pub fn keep(&self, job: &CapturedJob) -> Result<i64, LedgerError> {
        let (port, body) = (self.setup.name.clone(), job.for_printer());
        let lost = job.lost;
        self.ledger.write_blocking(move |core| {
            let id = core.keep_captured(&port, &body)?;
            if lost > 0 {
                let why =
                    format!("the paper was longer than there is room for: {lost} bytes are lost");
                core.settle_captured(id, &CapturedState::Quarantined(why), None)?;
            }
            Ok(id)
        })
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
    /// person has read again: no slip comes out for it.
    ///
    /// # Errors
    /// A fault of the storage: to be tried again.
    pub fn settle(&self, id: i64, by_hand: bool) -> Result<Option<JobId>, LedgerError> {
        let row = self.ledger.reader().captured(id)?;
        let row = row.ok_or_else(|| missing(id))?;
        if row.state != "new" && !(by_hand && row.state == "quarantined") {
            // A paper that was too long is put aside as it comes.
            let put_aside =
                (row.state == "quarantined").then(|| row.reasons.clone().unwrap_or_default());
            return match put_aside {
                Some(why) if !by_hand => self.print(self.slip(id, &[why])),
                _ => Err(Refusal::Exists(format!(
                    "the paper {id} is not put aside: it is {}",
                    row.state
                ))
                .into()),
            };
        }
        let verdict = self.judge(id, &row.body)?;
        let print = verdict
            .print
            .filter(|print| !by_hand || print.subject.is_some());
        let ids = self.ledger.write_blocking(move |core| {
            let ids = core.queue_prints(print.as_slice())?;
            core.settle_captured(id, &verdict.state, verdict.template.as_deref())?;
            Ok(ids)
        })?;
        self.printers.ring(&self.setup.printer);
        Ok(ids.first().copied())
    }

    fn print(&self, job: NewPrint) -> Result<Option<JobId>, LedgerError> {
        let ids = self
            .ledger
            .write_blocking(move |core| core.queue_prints(&[job]))?;
        self.printers.ring(&self.setup.printer);
        Ok(ids.first().copied())
    }

    fn templates(&self) -> Arc<Vec<Template>> {
        match &self.setup.plays {
            Plays::Printer(templates) => templates.current(),
            Plays::Isl(_) | Plays::Zfp(_) => Arc::default(),
        }
    }

    fn judge(&self, id: i64, body: &[u8]) -> Result<Verdict, LedgerError> {
        let job = CapturedJob {
            number: 0,
            bytes: body.to_vec(),
            taken: Vec::new(),
            lost: 0,
            ended_by: EndedBy::File,
        };
        let read = read(&job, &self.templates());
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
                let till = self.selling()?;
                match self.ledger.reader().by_key(till.id, &key)? {
                    Some(issued) => {
                        let print = self.with_block(id, body, till.id, issued.seq);
                        Ok(verdict(CapturedState::Repeated(issued.seq), print))
                    }
                    None => {
                        let why = format!(
                            "the paper says that it is printed again, and no sale {} of {} for {} was made fiscal here",
                            reprint.receipt_no.text, reprint.date.text, reprint.total.value
                        );
                        Ok(self.aside(id, &[why], template))
                    }
                }
            }
            Reading::Sale(sale) => {
                let till = self.selling()?;
                let taxpayer = self.ledger.reader().taxpayer(till.id)?;
                let Some(taxpayer) = taxpayer else {
                    let why = "the configuration of the till is missing".to_owned();
                    return Ok(self.aside(id, &[why], template));
                };
                let now = self.ledger.time().local();
                let draft = match sale::captured(&sale, &self.setup, &taxpayer, now) {
                    Ok(draft) => draft,
                    Err(reasons) => return Ok(self.aside(id, &reasons, template)),
                };
                let key = name_of(&Key::of_sale(&self.setup.name, &sale));
                match self.sell(&till, draft, key)? {
                    Ok((seq, is_new)) => {
                        let state = match is_new {
                            true => CapturedState::Sold(seq),
                            false => CapturedState::Repeated(seq),
                        };
                        Ok(verdict(state, self.with_block(id, body, till.id, seq)))
                    }
                    Err(reasons) => Ok(self.aside(id, &reasons, template)),
                }
            }
        }
    }

    /// Sells through the ledger's queue, as the API does. The receipt's event and whether it is new; or why it was
    /// refused.
    ///
    /// # Errors
    /// The storage failed, or has no room now: to be tried again with the same key.
    pub(super) fn sell(
        &self,
        till: &TillInfo,
        draft: Draft,
        key: String,
    ) -> Result<Result<(Seq, bool), Vec<String>>, LedgerError> {
        let sale = Sale::new(till.ids(), draft, Some(key), Arc::clone(&self.actor));
        match self.ledger.issue_blocking(sale) {
            Ok(SaleDone::Issued(issued)) => Ok(Ok((issued.seq, true))),
            Ok(SaleDone::Repeated(seq)) => Ok(Ok((seq, false))),
            Err(LedgerError::Refused(Refusal::Findings { findings })) => {
                Ok(Err(findings.iter().map(sale::finding).collect()))
            }
            Err(LedgerError::Refused(refusal)) => Ok(Err(vec![refusal.to_string()])),
            Err(LedgerError::Storage(error)) => Err(error.into()),
        }
    }

    fn with_block(&self, id: i64, body: &[u8], till: TillId, seq: Seq) -> NewPrint {
        let (before, after) = parts(body);
        NewPrint {
            till: Some(till),
            subject: Some(subject_of(seq)),
            ..self.paper(id, "sold", before, Some(seq), after)
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
            reasons = reasons.join("; "),
            "a paper could not be sold"
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
            printer: self.setup.printer.clone(),
            till: Some(self.till.id),
            // Blocks hold only texts and words: they always serialise.
            what: PrintWhat::Blocks(serde_json::to_string(&blocks).unwrap_or_default()),
            subject: None,
            key: Some(format!("captured {id} aside")),
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

/// The idempotency key of a paper: visible characters, whatever stands on it.
fn name_of(key: &Key) -> String {
    let hash = Sha256::digest(key.text().as_bytes());
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("pos:{hex}")
}
