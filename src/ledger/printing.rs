//! The printers' queue: which paper is to be made, by which printer, and what became of it.
//!
//! A job's state is kept before the byte is sent, or after the reply has come, that it stands for. Jobs of one
//! *subject* (a receipt, a report, a slip) share an original: it is claimed when a job is taken to be sent, once
//! for ever, and whatever follows is headed COPY. A job that may have sent a byte is never sent again.

use drivers::job::{JobId, JobState, UnknownReason};
use fiscal::ReceiptGlobalNo;
use rusqlite::{OptionalExtension as _, Row, params};

use super::core::Core;
use super::{LedgerError, Refusal, Seq, StorageError, TillId, sql};

mod asked;
mod what;
mod words;

use asked::rows;
pub use asked::{PrintRow, PrintableEvent, PrintableEvents};
pub use what::{Heading, NewPrint, PrintWhat, TakenPrint, subject_of};
use words::Word;
pub use words::held;

/// Copies that are printed by themselves of a paper whose fate is not known; then a person is asked.
const COPIES_BY_THEMSELVES: i64 = 3;
/// What was printed of a slip or a captured paper is kept so long, milliseconds: 30 days.
const BODIES_KEPT: i64 = 30 * 24 * 3600 * 1000;
/// What `meta` keeps the printers' place among the events under.
const CURSOR: &str = "print_cursor";
/// Under this `meta` keeps up to which event another machine may have printed the originals.
const ELSEWHERE: &str = "printed_elsewhere";
/// Jobs that still have something before them.
const OPEN: &str = "state IN ('queued', 'held', 'sending', 'await_ack')";

impl Core {
    /// Puts jobs into the queue.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn queue_prints(&mut self, jobs: &[NewPrint]) -> Result<Vec<JobId>, LedgerError> {
        jobs.iter().map(|job| Ok(self.insert_print(job)?)).collect()
    }

    /// The same because somebody has asked for it: audited.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn queue_prints_for(
        &mut self,
        jobs: &[NewPrint],
        actor: &str,
    ) -> Result<Vec<JobId>, LedgerError> {
        let ids = self.queue_prints(jobs)?;
        for (job, id) in jobs.iter().zip(&ids) {
            let detail = format!("{} {}", id.0, job.printer);
            self.audit(actor, "print.ask", job.till, &detail)?;
        }
        Ok(ids)
    }

    /// Opens the drawer at a printer.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn queue_drawer(
        &mut self,
        printer: &str,
        till: Option<TillId>,
        key: Option<String>,
        actor: &str,
    ) -> Result<JobId, LedgerError> {
        let is_known = match &key {
            Some(key) => self.has_print_key(key)?,
            None => false,
        };
        if !is_known {
            self.audit(actor, "drawer.open", till, printer)?;
        }
        Ok(self.insert_print(&NewPrint {
            printer: printer.to_owned(),
            till,
            what: PrintWhat::Drawer,
            subject: None,
            key,
        })?)
    }

    /// Forgets what was printed of things that are in no other table, once it has long been on paper.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn forget_printed(&mut self) -> Result<usize, LedgerError> {
        let before = self.now_ms() - BODIES_KEPT;
        self.conn.execute(
            "UPDATE print_job SET body_id = NULL
             WHERE body_id IS NOT NULL AND state IN ('done', 'lost', 'failed') AND changed_at < ?1",
            [before],
        )?;
        Ok(self.conn.execute(
            "DELETE FROM print_body WHERE body_id NOT IN (SELECT body_id FROM print_job WHERE body_id IS NOT NULL)",
            [],
        )?)
    }

    /// The same, and the printers' place among the events moves on: in one transaction, so that no receipt is
    /// printed twice or left out, whenever the power goes.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn print_events(&mut self, jobs: &[NewPrint], upto: Seq) -> Result<(), LedgerError> {
        for job in jobs {
            // Whoever sold it may have seen to its paper already: an old POS prints its own, with our block.
            if !self.has_paper(job)? {
                self.insert_print(job)?;
            }
        }
        self.set_print_cursor(Some(upto))
    }

    /// Whether a job was queued under this key.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn has_print_key(&self, key: &str) -> Result<bool, LedgerError> {
        Ok(self
            .conn
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM print_job WHERE key = ?1)")?
            .query_row([key], |row| row.get(0))?)
    }

    fn has_paper(&self, job: &NewPrint) -> Result<bool, StorageError> {
        Ok(self
            .conn
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM print_job WHERE subject = ?1)")?
            .query_row([&job.subject], |row| row.get(0))?)
    }

    /// Where the printers stand among the events; none in a store without printers.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn set_print_cursor(&mut self, upto: Option<Seq>) -> Result<(), LedgerError> {
        let Some(upto) = upto else {
            self.conn
                .execute("DELETE FROM meta WHERE name = ?1", [CURSOR])?;
            return Ok(());
        };
        self.conn
            .prepare_cached(
                "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2",
            )?
            .execute(params![CURSOR, upto.0.to_be_bytes()])?;
        Ok(())
    }

    fn insert_print(&mut self, job: &NewPrint) -> Result<JobId, StorageError> {
        if let Some(key) = &job.key
            && let Some(id) = self
                .conn
                .prepare_cached("SELECT job_id FROM print_job WHERE key = ?1")?
                .query_row([key], |row| row.get(0))
                .optional()?
        {
            return Ok(JobId(id));
        }
        let body = self.insert_body(job.what.bodies())?;
        self.conn
            .prepare_cached(
                "INSERT INTO print_job (printer, kind, till_id, seq, subject, body_id, state, created_at, changed_at, key)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'queued', ?7, ?7, ?8)",
            )?
            .execute(params![
                job.printer,
                job.what.word(),
                job.till.map(|till| till.0),
                job.what.seq().map(|seq| seq.0),
                job.subject,
                body,
                self.now_ms(),
                job.key,
            ])?;
        let id = self.conn.last_insert_rowid();
        if job.subject.is_none() {
            self.conn
                .prepare_cached(
                    "UPDATE print_job SET subject = 'job ' || job_id WHERE job_id = ?1",
                )?
                .execute([id])?;
        }
        Ok(JobId(id))
    }

    fn insert_body(
        &mut self,
        (body, tail): (Option<&[u8]>, Option<&[u8]>),
    ) -> Result<Option<i64>, StorageError> {
        let Some(body) = body else { return Ok(None) };
        self.conn
            .prepare_cached("INSERT INTO print_body (body, tail) VALUES (?1, ?2)")?
            .execute(params![body, tail])?;
        Ok(Some(self.conn.last_insert_rowid()))
    }

    /// The next job of a printer, headed for good: a drawer's pulse, else the first that waits. The original goes to
    /// whichever job of its subject is taken first.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn take_print(&mut self, printer: &str) -> Result<Option<TakenPrint>, LedgerError> {
        self.take(printer, "1")
    }

    /// The next pulse of a printer's drawer, which waits for no paper.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn take_drawer(&mut self, printer: &str) -> Result<Option<TakenPrint>, LedgerError> {
        self.take(printer, "kind = 'drawer'")
    }

    fn take(&mut self, printer: &str, which: &str) -> Result<Option<TakenPrint>, LedgerError> {
        let found = self
            .conn
            .prepare_cached(&format!(
                "SELECT job_id, kind, till_id, seq, subject, body, tail, heading
                 FROM print_job LEFT JOIN print_body USING (body_id)
                 WHERE printer = ?1 AND {OPEN} AND state IN ('queued', 'held') AND {which}
                 ORDER BY kind <> 'drawer', job_id LIMIT 1"
            ))?
            .query_row([printer], taken_row)
            .optional()?;
        let Some((id, till, subject, what, heading)) = found else {
            return Ok(None);
        };
        let heading = match heading.as_deref() {
            Some("original") => Heading::Original,
            Some(_) => Heading::Copy,
            None => self.claim(id, &subject, what.as_ref().ok().and_then(PrintWhat::seq))?,
        };
        Ok(Some(TakenPrint {
            id: JobId(id),
            heading,
            till: till.map(TillId),
            what: what?,
        }))
    }

    /// The originals of what happened up to this event may be on paper, by a machine that is lost: from here there are
    /// copies of them.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn set_printed_elsewhere(&mut self, upto: Seq) -> Result<(), LedgerError> {
        Ok(self.set_meta(ELSEWHERE, &upto.0.to_be_bytes())?)
    }

    fn is_printed_elsewhere(&self, seq: Seq) -> Result<bool, StorageError> {
        let Some(upto) = sql::meta(&self.conn, ELSEWHERE)? else {
            return Ok(false);
        };
        let upto = <[u8; 8]>::try_from(upto.as_slice())
            .map_err(|_| sql::damaged(format!("meta.{ELSEWHERE}")))?;
        Ok(seq.0 <= i64::from_be_bytes(upto))
    }

    fn claim(&mut self, id: i64, subject: &str, seq: Option<Seq>) -> Result<Heading, StorageError> {
        let is_taken: bool = self
            .conn
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM print_job WHERE subject = ?1 AND heading = 'original')",
            )?
            .query_row([subject], |row| row.get(0))?;
        let is_elsewhere = match seq {
            Some(seq) => self.is_printed_elsewhere(seq)?,
            None => false,
        };
        let heading = if is_taken || is_elsewhere {
            Heading::Copy
        } else {
            Heading::Original
        };
        self.conn
            .prepare_cached("UPDATE print_job SET heading = ?2 WHERE job_id = ?1")?
            .execute(params![id, heading.as_str()])?;
        Ok(heading)
    }

    /// Keeps a job's state. What is worth telling becomes an event; a paper whose fate is not known is followed
    /// by a copy, if `copy_unknown` says so.
    ///
    /// # Errors
    /// No such job, or a fault of the storage.
    pub fn keep_print(
        &mut self,
        job: JobId,
        state: &JobState,
        copy_unknown: bool,
    ) -> Result<(), LedgerError> {
        let word = Word::of(state);
        let before: Option<(String, Option<String>)> = self
            .conn
            .prepare_cached("SELECT state, detail FROM print_job WHERE job_id = ?1")?
            .query_row([job.0], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some(before) = before else {
            return Err(no_job(job));
        };
        if (before.0.as_str(), before.1.as_deref()) == (word.state, word.detail.as_deref()) {
            return Ok(());
        }
        let is_over = ["done", "unknown", "failed", "lost"].contains(&before.0.as_str());
        if is_over {
            return Err(Refusal::NotNow(format!("the print job {} is at its end", job.0)).into());
        }
        // One that failed or is held has sent nothing: the original is free again.
        self.conn
            .prepare_cached(
                "UPDATE print_job SET state = ?2, detail = ?3, changed_at = ?4,
                   heading = CASE WHEN ?2 IN ('failed', 'held') THEN NULL ELSE heading END
                 WHERE job_id = ?1",
            )?
            .execute(params![job.0, word.state, word.detail, self.now_ms()])?;
        match state {
            JobState::Done(_) => self.print_event(job, "print.done")?,
            JobState::Held(_) => self.print_event(job, "print.held")?,
            JobState::Failed(_) => self.print_event(job, "print.failed")?,
            JobState::Unknown(_) => {
                self.print_event(job, "print.unknown")?;
                // A drawer is not opened a second time by itself.
                if copy_unknown && self.print_row(job)?.kind != "drawer" {
                    self.copy_of(job, COPIES_BY_THEMSELVES)?;
                }
            }
            JobState::Queued | JobState::Sending | JobState::AwaitAck => {}
        }
        Ok(())
    }

    fn print_event(&mut self, job: JobId, kind: &str) -> Result<(), StorageError> {
        let row = rows(&self.conn, "j.job_id = ?1", &[&job.0])?;
        let Some(row) = row.first() else {
            return Ok(());
        };
        let detail = serde_json::json!({
            "job": job.0,
            "printer": row.printer,
            "receiptGlobalNo": row.receipt.map(ReceiptGlobalNo::get),
            "heading": row.heading,
            "detail": row.detail,
        });
        let seq = self.take_seq();
        self.append_event(seq, row.till, kind, Some(&detail.to_string()))
    }

    /// Another job for the same paper, unless there are so many already.
    fn copy_of(&mut self, job: JobId, at_most: i64) -> Result<Option<JobId>, StorageError> {
        let copies: i64 = self
            .conn
            .prepare_cached(
                "SELECT count(*) FROM print_job WHERE heading = 'copy' AND state = 'unknown'
                 AND subject = (SELECT subject FROM print_job WHERE job_id = ?1)",
            )?
            .query_row([job.0], |row| row.get(0))?;
        if copies >= at_most {
            return Ok(None);
        }
        self.conn
            .prepare_cached(
                "INSERT INTO print_job (printer, kind, till_id, seq, subject, body_id, state, created_at, changed_at)
                 SELECT printer, kind, till_id, seq, subject, body_id, 'queued', ?2, ?2
                 FROM print_job WHERE job_id = ?1",
            )?
            .execute(params![job.0, self.now_ms()])?;
        Ok(Some(JobId(self.conn.last_insert_rowid())))
    }

    /// Jobs that were being sent when the daemon, or a printer's thread, was stopped: nobody knows whether they are on
    /// paper.
    ///
    /// # Errors
    /// A fault of the storage.
    pub fn recover_prints(
        &mut self,
        printer: Option<&str>,
        copy_unknown: impl Fn(&str) -> bool,
    ) -> Result<usize, LedgerError> {
        let open = rows(
            &self.conn,
            &format!("j.{OPEN} AND (?1 IS NULL OR j.printer = ?1)"),
            &[&printer],
        )?;
        let (cut_off, waiting): (Vec<_>, Vec<_>) = open
            .into_iter()
            .partition(|row| row.state == "sending" || row.state == "await_ack");
        // Taken, and nothing sent: whoever is taken next may be the original.
        for row in waiting.iter().filter(|row| row.heading.is_some()) {
            self.conn
                .prepare_cached("UPDATE print_job SET heading = NULL WHERE job_id = ?1")?
                .execute([row.id.0])?;
        }
        for row in &cut_off {
            let state = JobState::Unknown(UnknownReason::Restarted);
            self.keep_print(row.id, &state, copy_unknown(&row.printer))?;
        }
        Ok(cut_off.len())
    }

    /// A person says what became of a paper: it came out, or a copy is to be printed.
    ///
    /// # Errors
    /// No such job, or its fate is known.
    pub fn settle_print(
        &mut self,
        job: JobId,
        came_out: bool,
        actor: &str,
    ) -> Result<Option<JobId>, LedgerError> {
        let row = self.print_row(job)?;
        if row.state != "unknown" {
            return Err(Refusal::NotNow(format!(
                "the print job {} is not in doubt: it is {}",
                job.0, row.state
            ))
            .into());
        }
        let word = if came_out { "seen" } else { "lost" };
        self.audit(
            actor,
            "print.settle",
            row.till,
            &format!("{} {word}", job.0),
        )?;
        if came_out {
            self.set_print(job, "done", "seen")?;
            self.print_event(job, "print.done")?;
            return Ok(None);
        }
        self.set_print(job, "lost", "seen")?;
        // A copy that is on its way, or has come out by itself, is enough.
        let has_later: bool = self
            .conn
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM print_job later WHERE later.job_id > ?1 AND later.state <> 'failed'
                   AND later.subject = (SELECT subject FROM print_job WHERE job_id = ?1))",
            )?
            .query_row([job.0], |row| row.get(0))?;
        if has_later {
            return Ok(None);
        }
        Ok(self.copy_of(job, i64::MAX)?)
    }

    /// Takes a job out of the queue that has sent nothing.
    ///
    /// # Errors
    /// No such job, or it is not waiting.
    pub fn cancel_print(&mut self, job: JobId, actor: &str) -> Result<(), LedgerError> {
        let row = self.print_row(job)?;
        if row.state != "queued" && row.state != "held" {
            return Err(Refusal::NotNow(format!(
                "the print job {} does not wait any more: it is {}",
                job.0, row.state
            ))
            .into());
        }
        if row.heading.is_some() {
            let why = format!(
                "the print job {} is just being sent; ask again in a moment",
                job.0
            );
            return Err(Refusal::NotNow(why).into());
        }
        self.audit(actor, "print.cancel", row.till, &job.0.to_string())?;
        let why = JobState::Failed("taken out of the queue by a person".to_owned());
        self.keep_print(job, &why, false)
    }

    fn set_print(&mut self, job: JobId, state: &str, detail: &str) -> Result<(), StorageError> {
        self.conn
            .prepare_cached(
                "UPDATE print_job SET state = ?2, detail = ?3, changed_at = ?4 WHERE job_id = ?1",
            )?
            .execute(params![job.0, state, detail, self.now_ms()])?;
        Ok(())
    }

    fn print_row(&self, job: JobId) -> Result<PrintRow, LedgerError> {
        rows(&self.conn, "j.job_id = ?1", &[&job.0])?
            .pop()
            .ok_or_else(|| no_job(job))
    }
}

fn no_job(job: JobId) -> LedgerError {
    Refusal::Missing(format!("there is no print job {}", job.0)).into()
}

type Taken = (
    i64,
    Option<i64>,
    String,
    Result<PrintWhat, StorageError>,
    Option<String>,
);

fn taken_row(row: &Row<'_>) -> rusqlite::Result<Taken> {
    let kind: String = row.get(1)?;
    let seq = row.get::<_, Option<i64>>(3)?.map(Seq);
    let body: Option<Vec<u8>> = row.get(5)?;
    let tail: Option<Vec<u8>> = row.get(6)?;
    let what = match (kind.as_str(), seq, body) {
        ("drawer", ..) => Ok(PrintWhat::Drawer),
        ("receipt", Some(seq), _) => Ok(PrintWhat::Receipt(seq)),
        ("z_report", Some(seq), _) => Ok(PrintWhat::ZReport(seq)),
        ("captured", receipt, Some(before)) => Ok(PrintWhat::Captured {
            before,
            receipt,
            after: tail.unwrap_or_default(),
        }),
        ("blocks", _, Some(json)) => String::from_utf8(json)
            .map(PrintWhat::Blocks)
            .map_err(|_| sql::damaged("print_job.body is no text")),
        _ => Err(sql::damaged(format!("print_job.kind holds \"{kind}\""))),
    };
    Ok((row.get(0)?, row.get(2)?, row.get(4)?, what, row.get(7)?))
}
