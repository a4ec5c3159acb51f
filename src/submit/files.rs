//! The sender of an offline device: closed days reach FDMS as files, one after the other (docs/FDMS.md section 7).
//!
//! FDMS takes a file at once and judges it later; what came of it is in its list. Whenever it is not known whether a
//! file has arrived, the list is asked before it is sent again. A till changes between this and the worker that sends
//! message by message as the authority changes its operating mode.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use clock::Timestamp;
use jiff::SignedDuration;

use sync_wire::entry::{Attempt, AttemptKind, AttemptOutcome};

use super::Jitter;
use super::attempt::{self, Asked, Subject};
use super::file_outcome::{Then, closed_before, is_closed_by_file, judge};
use super::line::{Doing, Line, is_cut};
use super::plan::{self, Tick};
use super::reconcile::{self, Theirs};
use crate::crash::{self, Point};
use crate::fdms::wire::{FileList, FileRow as Listed};
use crate::fdms::{Answer, Evidence, FILES_A_PAGE, Outcome, Refusal, backoff};
use crate::ledger::core::Core;
use crate::ledger::files::{File, FileOutcome, FileStep};
use crate::ledger::stream::StreamState;
use crate::ledger::{LedgerError, StorageError};

/// So often the ledger is looked at without a nudge.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// The same while the queue is parked.
const LOOK_PARKED: Duration = Duration::from_secs(10);
/// Pause after a fault of the storage.
const FAULT_PAUSE: Duration = Duration::from_secs(5);
/// The longest span of FDMS's list, and how far back a till's past is looked at.
const LIST_SPAN: SignedDuration = SignedDuration::from_hours(99 * 24);
/// Clocks may differ by so much: files are looked for in a wider span than they were sent in.
const MARGIN: SignedDuration = SignedDuration::from_hours(24);

/// The ledger takes no more work: the daemon is stopping.
struct Stopping;

/// How long nothing is to be done.
#[derive(Debug, Clone, Copy)]
enum Rest {
    /// There is more to do.
    None,
    /// Until this moment of the trusted time, which is shown to whoever watches.
    Until(Timestamp),
    /// Until something happens.
    Idle,
}

pub(super) struct FileSender {
    line: Arc<Line>,
    jitter: Jitter,
    /// FDMS has been asked whether it has later days than this ledger.
    is_reconciled: bool,
    /// It is not known whether the file under way has arrived.
    in_doubt: bool,
    /// How often the list was asked about the file under way.
    polls: u32,
    /// Failures in a row, of the line or of FDMS itself.
    failures: u32,
    /// No question before this moment.
    not_before: Timestamp,
    /// The pause is the line's: how often the line had come back by then.
    cut_off: Option<u64>,
}

impl FileSender {
    pub(super) fn new(line: Arc<Line>, jitter: Jitter) -> Self {
        Self {
            line,
            jitter,
            is_reconciled: false,
            in_doubt: true,
            polls: 0,
            failures: 0,
            not_before: Timestamp::UNIX_EPOCH,
            cut_off: None,
        }
    }

    /// Runs until the ledger stops; dropping it at any moment is safe.
    pub(super) async fn run(mut self) {
        let bell = self.line.ledger.changes(self.line.till.id);
        loop {
            let mut ring = pin!(bell.notified());
            ring.as_mut().enable();
            // What is left is reckoned last: time may have passed since the moment was chosen.
            let pause = match self.step().await {
                Ok(Rest::None) => continue,
                Ok(Rest::Until(until)) => {
                    left(until, self.line.ledger.time().now()).min(LOOK_EVERY)
                }
                Ok(Rest::Idle) => LOOK_EVERY,
                Err(Stopping) => return,
            };
            let mut back = self.line.breaker.back();
            let cut_off = self.cut_off;
            let is_back = async {
                match cut_off {
                    // The sender lives as long as the line.
                    Some(times) => drop(back.wait_for(|now| *now != times).await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = ring => {}
                () = is_back => self.not_before = Timestamp::UNIX_EPOCH,
                () = self.line.clock().sleep(pause) => {}
            }
        }
    }

    /// One step; how long to rest after it.
    async fn step(&mut self) -> Result<Rest, Stopping> {
        let till = self.line.till.id;
        let now = self.line.ledger.time().now();
        let looked = self.line.ledger.write(move |core| {
            let (state, _) = core.stream(till)?;
            Ok((state, core.next_file(till)?))
        });
        let (state, file) = match looked.await {
            Ok(found) => found,
            Err(error) => return self.fault(&error),
        };
        if let Some(parked) = &state.parked {
            let until = if parked.probing {
                state.next_attempt
            } else {
                later(now, LOOK_PARKED)
            };
            self.is_reconciled = false;
            self.in_doubt = true;
            if !parked.probing || until > now {
                self.line.doing(Doing::Parked { until });
                return Ok(Rest::Until(until));
            }
        }
        let until = match &file {
            Some(file) => self.not_before.max(clock::instant(file.due)),
            None => self.not_before,
        };
        if until > now {
            return Ok(self.wait(until));
        }
        if file.is_none() && self.is_reconciled {
            self.in_doubt = false;
            self.line.doing(Doing::Idle);
            return Ok(Rest::Idle);
        }
        if let Err(pause) = self.line.breaker.pass(self.line.clock().boot()) {
            return Ok(self.wait(later(now, pause)));
        }
        let is_shut = |file: &File| state.is_shut_for(file.close);
        if self.is_reconciled && file.as_ref().is_some_and(is_shut) {
            return Ok(self.wait(later(now, LOOK_PARKED)));
        }
        self.line.doing(Doing::Busy);
        match file {
            _ if !self.is_reconciled => self.reconcile(state).await,
            Some(file) if file.row.step == FileStep::Sent || self.in_doubt => {
                self.look_up(state, file).await
            }
            Some(file) => self.submit(state, file).await,
            None => Ok(Rest::Idle),
        }
    }

    /// Compares FDMS's list with the ledger's days, before anything is sent or sold.
    async fn reconcile(&mut self, state: StreamState) -> Result<Rest, Stopping> {
        let now = self.line.ledger.time().now();
        let answer = self.list(now - LIST_SPAN + MARGIN).await;
        let list = match answer.outcome {
            Outcome::Accepted(list) => list,
            other => return self.failed(state, None, &other, &answer.evidence).await,
        };
        self.succeeded();
        let day = list.rows.iter().map(|row| row.day_no).max().unwrap_or(0);
        let till = self.line.till.id;
        let kept = self
            .line
            .ledger
            .write(move |core| reconcile::keep(core, till, &state, Theirs { day, receipt: 0 }));
        match kept.await {
            Ok(()) => self.is_reconciled = true,
            Err(error) => return self.fault(&error),
        }
        Ok(Rest::None)
    }

    async fn submit(&mut self, state: StreamState, file: File) -> Result<Rest, Stopping> {
        let line = Arc::clone(&self.line);
        self.in_doubt = true;
        crash::at(Point::FileBegun);
        let answer = line.ask(line.fdms.submit_file(&file.body)).await;
        crash::at(Point::FileAnswered);
        let till = line.till.id;
        match answer.outcome {
            Outcome::Accepted(_) => {
                self.succeeded();
                self.in_doubt = false;
                self.polls = 0;
                let (id, operation) = (file.row.file_id, answer.evidence.operation_id.clone());
                let subject = self.subject(&file);
                let (outcome, evidence) = (&answer.outcome, &answer.evidence);
                let goes_on = StreamState {
                    parked: None,
                    ..state
                };
                let told = attempt::kept(subject, Asked::ToTake, outcome, evidence, &goes_on);
                let kept = line.ledger.write(move |core| {
                    if let Some(attempt) = &told {
                        core.log_attempt(till, attempt)?;
                    }
                    core.file_sent(till, id, operation.as_deref())
                });
                match kept.await {
                    Ok(()) => Ok(self.poll_pause()),
                    Err(error) => self.fault(&error),
                }
            }
            Outcome::Refused(refusal) if refusal.code.as_deref() == Some("FILE04") => {
                self.day_is_closed(state, file, &refusal, &answer.evidence)
                    .await
            }
            other => {
                let subject = (self.subject(&file), Asked::ToTake);
                self.failed(state, Some(subject), &other, &answer.evidence)
                    .await
            }
        }
    }

    /// Asks FDMS's list about the file under way.
    async fn look_up(&mut self, state: StreamState, file: File) -> Result<Rest, Stopping> {
        let answer = self.list(file.row.created_at - MARGIN).await;
        let (list, evidence) = match answer.outcome {
            Outcome::Accepted(list) => (list, answer.evidence),
            other => {
                let subject = (self.subject(&file), Asked::HowItIs);
                return self
                    .failed(state, Some(subject), &other, &answer.evidence)
                    .await;
            }
        };
        self.succeeded();
        crash::at(Point::FileListed);
        let till = self.line.till.id;
        let day = file.row.day_id;
        let earlier = self
            .line
            .ledger
            .ask(move |reader| reader.day_files(till, day));
        let earlier = match earlier.await {
            Ok(earlier) => earlier,
            Err(error) => return self.fault(&error),
        };
        let is_earlier = |row: &Listed| {
            earlier.iter().any(|other| {
                other.file_id != file.row.file_id
                    && other.operation_id.is_some()
                    && other.operation_id == row.operation_id
            })
        };
        let found = list.rows.iter().find(|row| {
            row.day_no == u64::from(file.row.day_no.get())
                && row.sequence == file.row.sequence
                && !is_earlier(row)
        });
        let Some(row) = found else {
            // It never arrived, or FDMS has not listed it yet: what is known to have arrived is only asked about.
            if file.row.step == FileStep::Sent && self.polls < 5 {
                return Ok(self.poll_pause());
            }
            self.in_doubt = false;
            return self.submit(state, file).await;
        };
        self.in_doubt = false;
        if file.row.step == FileStep::Sending {
            let (id, operation) = (file.row.file_id, row.operation_id.clone());
            let kept = self
                .line
                .ledger
                .write(move |core| core.file_sent(till, id, operation.as_deref()));
            if let Err(error) = kept.await {
                return self.fault(&error);
            }
        }
        let closed_by_file = is_closed_by_file(&list, row);
        let body = evidence.body.as_deref().unwrap_or_default();
        let Some((outcome, then)) = judge(row, &file, closed_by_file, body) else {
            return Ok(self.poll_pause());
        };
        self.keep(state, &file, outcome, then, &evidence).await
    }

    /// FDMS says that the file's day is closed, or being closed.
    async fn day_is_closed(
        &mut self,
        state: StreamState,
        file: File,
        refusal: &Refusal,
        evidence: &Evidence,
    ) -> Result<Rest, Stopping> {
        let body = evidence.body.clone().unwrap_or_default();
        if file.row.receipts.is_none() {
            // All receipts are there and the day is closed: by hand, or by a file whose answer was lost.
            let outcome = FileOutcome {
                footer_taken: true,
                content_taken: true,
                answer: body,
                ..FileOutcome::default()
            };
            return self.keep(state, &file, outcome, Then::GoOn, evidence).await;
        }
        let (code, reason) = closed_before(&file, &refusal.to_string());
        let outcome = FileOutcome {
            error: Some(code.clone()),
            answer: body,
            ..FileOutcome::default()
        };
        self.keep(state, &file, outcome, Then::Park(code, reason), evidence)
            .await
    }

    async fn keep(
        &mut self,
        state: StreamState,
        file: &File,
        outcome: FileOutcome,
        then: Then,
        evidence: &Evidence,
    ) -> Result<Rest, Stopping> {
        let (till, id) = (self.line.till.id, file.row.file_id);
        let tick = self.tick();
        let told = ended(self.subject(file), &outcome, &then, evidence);
        let evidence = Evidence {
            body: evidence.body.clone(),
            ..Evidence::default()
        };
        self.polls = 0;
        let pause = match then {
            Then::Again => {
                self.failures += 1;
                backoff(self.failures, (self.jitter)(), None)
            }
            _ => Duration::ZERO,
        };
        let kept = self.line.ledger.write(move |core: &mut Core| {
            core.file_done(till, id, &outcome)?;
            core.log_attempt(till, &told)?;
            if let Then::Park(code, reason) = then {
                let (now, _) = core.stream(till)?;
                core.update_stream(&plan::park(&now, reason, code, &evidence, false, tick))?;
            } else if state.parked.is_some() {
                core.retry_stream(till, "system")?;
            }
            crash::at(Point::FileWritten);
            Ok(())
        });
        match kept.await {
            Ok(()) => {
                self.not_before = later(self.line.ledger.time().now(), pause);
                Ok(match pause {
                    Duration::ZERO => Rest::None,
                    _ => self.wait(self.not_before),
                })
            }
            Err(error) => self.fault(&error),
        }
    }

    /// All files since a moment, newest first.
    async fn list(&self, since: Timestamp) -> Answer<FileList> {
        let line = &self.line;
        let till = line.ledger.time().now() + MARGIN;
        let from = since.max(till - LIST_SPAN);
        let (from, till) = (clock::local(from), clock::local(till));
        let mut all = Vec::new();
        loop {
            let offset = u32::try_from(all.len()).unwrap_or(u32::MAX);
            let mut answer = line.ask(line.fdms.list_files(from, till, offset)).await;
            let Outcome::Accepted(list) = &mut answer.outcome else {
                return answer;
            };
            let page = list.rows.len();
            all.append(&mut list.rows);
            let is_last = page == 0 || u32::try_from(all.len()).unwrap_or(u32::MAX) >= list.total;
            if is_last || u32::try_from(page).unwrap_or(0) < FILES_A_PAGE.min(list.total) {
                list.rows = all;
                return answer;
            }
        }
    }

    /// FDMS did not answer, or said no.
    async fn failed<T>(
        &mut self,
        state: StreamState,
        subject: Option<(Subject, Asked)>,
        outcome: &Outcome<T>,
        evidence: &Evidence,
    ) -> Result<Rest, Stopping> {
        let tick = self.tick();
        let next = match outcome {
            Outcome::Refused(refusal) => plan::park_refused(&state, refusal, evidence, tick),
            other => {
                let is_cut = is_cut(other, evidence);
                self.cut_off = is_cut.then(|| *self.line.breaker.back().borrow());
                self.failures += 1;
                let attempts = self.failures - 1;
                let wish = match other {
                    Outcome::Later(delay) => delay.retry_after,
                    _ => None,
                };
                let state = StreamState { attempts, ..state };
                plan::retry(&state, state.step, wish, other.to_string(), tick)
            }
        };
        let told = subject
            .and_then(|(subject, asked)| attempt::kept(subject, asked, outcome, evidence, &next));
        self.not_before = next.next_attempt;
        if let (Some(_), Some(pause)) = (
            self.cut_off,
            self.line.breaker.next_try(self.line.clock().boot()),
        ) {
            self.not_before = self.not_before.min(later(tick.now, pause));
        }
        let till = self.line.till.id;
        let kept = self.line.ledger.write(move |core| {
            core.update_stream(&next)?;
            told.map_or(Ok(()), |attempt| core.log_attempt(till, &attempt))
        });
        match kept.await {
            Ok(()) => {
                let until = self.not_before;
                Ok(self.wait(until))
            }
            Err(error) => self.fault(&error),
        }
    }

    fn subject(&self, file: &File) -> Subject {
        Subject {
            kind: AttemptKind::SubmitFile,
            seq: file.close.0,
            number: file.row.sequence,
            before: self.failures,
        }
    }

    fn succeeded(&mut self) {
        self.failures = 0;
        self.cut_off = None;
        self.not_before = Timestamp::UNIX_EPOCH;
    }

    fn poll_pause(&mut self) -> Rest {
        let pause = plan::poll_pause(self.polls);
        self.polls = self.polls.saturating_add(1);
        self.not_before = later(self.line.ledger.time().now(), pause);
        self.wait(self.not_before)
    }

    fn wait(&self, until: Timestamp) -> Rest {
        self.line.doing(Doing::Waiting { until });
        Rest::Until(until)
    }

    fn tick(&self) -> Tick {
        Tick {
            now: self.line.ledger.time().now(),
            jitter: (self.jitter)(),
        }
    }

    /// What the storage says: the end, or a pause. Something refused is looked at anew.
    fn fault(&self, error: &LedgerError) -> Result<Rest, Stopping> {
        if matches!(error, LedgerError::Storage(StorageError::Stopping)) {
            return Err(Stopping);
        }
        tracing::warn!(till = %self.line.till.device_id, %error, "the files to FDMS wait for the ledger");
        Ok(self.wait(later(self.line.ledger.time().now(), FAULT_PAUSE)))
    }
}

/// What is told of a file that FDMS has come to an end with.
fn ended(subject: Subject, outcome: &FileOutcome, then: &Then, evidence: &Evidence) -> Attempt {
    let word = match then {
        Then::GoOn => AttemptOutcome::Accepted,
        Then::Again => AttemptOutcome::Later,
        Then::Park(..) => AttemptOutcome::Refused,
    };
    let error = match then {
        Then::Park(_, reason) => Some(reason.clone()),
        _ => outcome.error.clone(),
    };
    Attempt {
        code: outcome.error.clone(),
        operation_id: outcome.operation_id.clone(),
        ..subject.ended(word, evidence, error)
    }
}

fn later(now: Timestamp, pause: Duration) -> Timestamp {
    now.checked_add(pause).unwrap_or(now)
}

fn left(until: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(now)).unwrap_or_default()
}
