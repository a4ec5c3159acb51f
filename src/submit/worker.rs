//! The worker of one till: walks its stream from head to head, one message at a time.
//!
//! It holds the head in memory and reads the ledger again only when that may have changed: after its own
//! writes it is handed the next head by the same transaction, while it waits it follows nudges at most
//! once a second. What to do is decided in [`plan`]; this is the part that waits and asks.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use clock::Timestamp;
use sync_wire::entry::Attempt;
use tokio::sync::futures::Notified;

use super::attempt::{Asked, Subject};
use super::heal::{self, Healed};
use super::line::{Doing, Line, is_cut};
use super::plan::{self, Facts, Tick, Todo, Verdict, Why};
use super::reconcile::{self, Theirs};
use super::{Jitter, announce, attempt, send};
use crate::crash::{self, Point};
use crate::fdms::{Evidence, Outcome, PROBE_EVERY, Refusal, backoff};
use crate::ledger::stream::{Item, ItemKind, Step, StreamState, Submission};
use crate::ledger::{LedgerError, Seq, StorageError};

#[cfg(any(test, feature = "simulation"))]
mod planted;
#[cfg(any(test, feature = "simulation"))]
pub use planted::Planted;

/// Nudges while waiting are followed no more often than this.
const NUDGE_EVERY: Duration = Duration::from_secs(1);
/// So often the ledger is looked at without a nudge: another process may have written to it.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// The same for a parked stream, which a technician may have let go on from the command line.
const LOOK_PARKED: Duration = Duration::from_secs(10);
/// So often a note looks whether its original has been sent.
const LOOK_HELD: Duration = Duration::from_secs(2);
/// So often a gap at FDMS is filled at most.
const HEAL_AGAIN: Duration = Duration::from_secs(3600);
/// Pause after a gap could not be filled up to its end, since the line was lost.
const HEAL_CUT: Duration = Duration::from_secs(60);
/// Pause after a fault of the storage.
const FAULT_PAUSE: Duration = Duration::from_secs(5);

/// The stream as last seen.
struct View {
    state: StreamState,
    head: Option<Item>,
}

/// Why a wait ended.
enum Rest {
    /// Its time has come.
    Over,
    /// The ledger may hold something else now.
    Look,
}

/// The ledger takes no more work: the daemon is stopping.
struct Stopping;

pub(super) struct Worker {
    line: Arc<Line>,
    jitter: Jitter,
    fresh: bool,
    /// FDMS has been asked whether it is ahead of this ledger.
    is_reconciled: bool,
    /// How often that was tried in vain.
    asked_in_vain: u32,
    /// The head pauses because FDMS could not be reached: how often the way had come back by then.
    cut_off: Option<u64>,
    /// How often the way had come back when the present step was chosen.
    back_seen: u64,
    /// The close for which FDMS was sent its day once more, or the receipt.
    healed: Option<Seq>,
    /// No gap is filled before this moment of the boot clock: one that does not heal is not filled at every receipt.
    heal_not_before: Duration,
    last_nudge: Option<Duration>,
    #[cfg(any(test, feature = "simulation"))]
    planted: Planted,
    #[cfg(any(test, feature = "simulation"))]
    looks: Arc<std::sync::atomic::AtomicU64>,
}

impl Worker {
    pub(super) fn new(line: Arc<Line>, jitter: Jitter) -> Self {
        Self {
            line,
            jitter,
            fresh: true,
            is_reconciled: false,
            asked_in_vain: 0,
            cut_off: None,
            back_seen: 0,
            healed: None,
            heal_not_before: Duration::ZERO,
            last_nudge: None,
            #[cfg(any(test, feature = "simulation"))]
            planted: Planted::None,
            #[cfg(any(test, feature = "simulation"))]
            looks: Arc::default(),
        }
    }

    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn plant(
        mut self,
        planted: Planted,
        looks: Arc<std::sync::atomic::AtomicU64>,
    ) -> Self {
        self.planted = planted;
        self.looks = looks;
        self
    }

    /// Runs until the ledger stops. Dropping it at any moment is safe: what was under way is resolved
    /// after the next start.
    pub(super) async fn run(mut self) {
        let bell = self.line.ledger.changes(self.line.till.id);
        let mut view = None;
        loop {
            // Listening begins before looking, so that no change falls between.
            let mut ring = pin!(bell.notified());
            ring.as_mut().enable();
            let seen = match view.take() {
                Some(seen) => seen,
                None => match self.look().await {
                    Ok(Some(seen)) => seen,
                    Ok(None) => continue,
                    Err(Stopping) => return,
                },
            };
            view = match self.step(seen, ring).await {
                Ok(view) => view,
                Err(Stopping) => return,
            };
        }
    }

    /// One step; the stream as it is then, if that is known.
    async fn step(
        &mut self,
        seen: View,
        ring: Pin<&mut Notified<'_>>,
    ) -> Result<Option<View>, Stopping> {
        let now = self.line.ledger.time().now();
        self.back_seen = *self.line.breaker.back().borrow();
        if seen.state.parked.is_some() {
            // Whatever it was: before anything is sent again, FDMS is compared with the ledger, and a gap is filled again.
            self.is_reconciled = false;
            self.healed = None;
        } else if !self.is_reconciled {
            return self.reconcile(seen, ring).await;
        }
        let todo = self.todo(&seen, now);
        if matches!(todo, Todo::Send | Todo::Ask | Todo::Poll | Todo::Probe)
            && let Err(pause) = self.line.breaker.pass(self.line.clock().boot())
        {
            let until = later(now, pause);
            self.line.doing(match seen.state.parked {
                Some(_) => Doing::Parked { until },
                None => Doing::Waiting { until },
            });
            self.rest(until, ring).await;
            return Ok(None);
        }
        let (until, doing) = match todo {
            Todo::Nothing => {
                // Nothing was under way when the worker started.
                self.fresh = false;
                self.line.doing(Doing::Idle);
                tokio::select! {
                    biased;
                    () = ring => {}
                    () = self.line.clock().sleep(LOOK_EVERY) => {}
                }
                return Ok(None);
            }
            Todo::Send => return self.send(seen).await,
            Todo::Ask | Todo::Poll | Todo::Probe => return self.ask_status(seen, None).await,
            Todo::Wait(until) if seen.state.parked.is_some() => (until, Doing::Parked { until }),
            Todo::Wait(until) => {
                // Whoever waits for the line tries for all when it is time, whatever his own pause. Where it is time
                // already, what is waited for is the head's date.
                let pause = self.next_try();
                let until = match pause.filter(|left| self.cut_off.is_some() && !left.is_zero()) {
                    Some(pause) => until.min(later(now, pause)),
                    None => until,
                };
                (until, Doing::Waiting { until })
            }
            Todo::Hold => {
                let until = later(now, LOOK_HELD);
                (until, Doing::Waiting { until })
            }
            Todo::Shut => {
                let until = later(now, LOOK_PARKED);
                (until, Doing::Waiting { until })
            }
            Todo::Parked => {
                let until = later(now, LOOK_PARKED);
                (until, Doing::Parked { until })
            }
        };
        self.line.doing(doing);
        let known = matches!(self.rest(until, ring).await, Rest::Over)
            && seen.state.parked.is_none()
            && seen
                .head
                .as_ref()
                .is_some_and(|item| item.waits_for.is_none());
        Ok(known.then_some(seen))
    }

    /// How long until somebody may try the line for all; none while it is not lost.
    fn next_try(&self) -> Option<Duration> {
        self.line.breaker.next_try(self.line.clock().boot())
    }

    fn todo(&self, seen: &View, now: Timestamp) -> Todo {
        let facts = Facts {
            now,
            lead: self.line.lead(),
            fresh: self.fresh,
            is_back: self.cut_off.is_some_and(|times| {
                times != *self.line.breaker.back().borrow()
                    || self.next_try().is_some_and(|pause| pause.is_zero())
            }),
        };
        #[cfg(any(test, feature = "simulation"))]
        let facts = match self.planted {
            Planted::TooEarly => Facts {
                lead: -jiff::SignedDuration::from_hours(10_000),
                ..facts
            },
            _ => facts,
        };
        let todo = plan::todo(&seen.state, seen.head.as_ref(), &facts);
        #[cfg(any(test, feature = "simulation"))]
        if self.planted == Planted::AsksNothing && todo == Todo::Ask {
            return Todo::Send;
        }
        todo
    }

    /// Waits for a moment of the trusted time, or a nudge; nudges are followed once a second at most.
    async fn rest(&mut self, until: Timestamp, ring: Pin<&mut Notified<'_>>) -> Rest {
        let time = Arc::clone(self.line.ledger.time());
        let clock = time.clock();
        let left = Duration::try_from(until.duration_since(time.now())).unwrap_or_default();
        let mut back = self.line.breaker.back();
        // That it came back before this step was chosen is no news: the step is what became of it.
        let known = self.cut_off.map(|times| times.max(self.back_seen));
        let is_back = async {
            match known {
                // The sender lives as long as the line.
                Some(times) => drop(back.wait_for(|now| *now != times).await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = is_back => return Rest::Look,
            () = clock.sleep(left.min(LOOK_EVERY)) => {
                return if left <= LOOK_EVERY { Rest::Over } else { Rest::Look };
            }
            () = ring => {}
        }
        let since = self
            .last_nudge
            .map(|last| clock.boot().saturating_sub(last));
        let soon = NUDGE_EVERY.saturating_sub(since.unwrap_or(NUDGE_EVERY));
        if !soon.is_zero() {
            let until = until.min(later(time.now(), soon));
            self.line.link.send_modify(|link| match &mut link.doing {
                Doing::Waiting { until: shown } | Doing::Parked { until: shown } => *shown = until,
                _ => {}
            });
            let left = Duration::try_from(until.duration_since(time.now())).unwrap_or_default();
            clock.sleep(left).await;
        }
        self.last_nudge = Some(clock.boot());
        Rest::Look
    }

    /// Compares FDMS with the ledger, before anything is sent; a till whose ledger may be a copy sells only then.
    async fn reconcile(
        &mut self,
        seen: View,
        ring: Pin<&mut Notified<'_>>,
    ) -> Result<Option<View>, Stopping> {
        let line = Arc::clone(&self.line);
        let till = line.till.id;
        let pause = match line.breaker.pass(line.clock().boot()) {
            Err(pause) => pause,
            Ok(()) => {
                line.doing(Doing::Busy);
                let answer = line.ask(line.fdms.get_status()).await;
                match answer.outcome {
                    Outcome::Accepted(status) => {
                        crash::at(Point::CompareAnswered);
                        let kept = line.ledger.write(move |core| {
                            reconcile::keep(core, till, &seen.state, Theirs::from(&status))?;
                            core.stream(till)
                        });
                        return match kept.await {
                            Ok((state, head)) => {
                                self.is_reconciled = state.parked.is_none();
                                self.asked_in_vain = 0;
                                Ok(Some(View { state, head }))
                            }
                            Err(error) => self.fault(error).await.map(|()| None),
                        };
                    }
                    // What keeps FDMS from answering keeps it from taking: the queue finds out, and parks.
                    Outcome::Refused(_) if seen.head.is_some() => {
                        self.is_reconciled = true;
                        return Ok(Some(seen));
                    }
                    Outcome::Refused(_) => PROBE_EVERY,
                    Outcome::Later(_) | Outcome::Unknown(_) => {
                        // Nothing is under way: whenever FDMS answers somebody, it is asked again.
                        self.asked_in_vain = self.asked_in_vain.saturating_add(1);
                        self.cut_off = Some(*line.breaker.back().borrow());
                        let own = backoff(self.asked_in_vain, (self.jitter)(), None);
                        self.next_try().map_or(own, |pause| pause.min(own))
                    }
                }
            }
        };
        let until = later(line.ledger.time().now(), pause);
        line.doing(Doing::Waiting { until });
        self.rest(until, ring).await;
        Ok(None)
    }

    async fn look(&self) -> Result<Option<View>, Stopping> {
        #[cfg(any(test, feature = "simulation"))]
        self.looks
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let till = self.line.till.id;
        let seen = self
            .line
            .ledger
            .ask(move |reader| reader.stream(till))
            .await;
        match seen {
            Ok((state, head)) => Ok(Some(View { state, head })),
            Err(error) => self.fault(error).await.map(|()| None),
        }
    }

    /// Sends the head and keeps what came of it.
    async fn send(&mut self, seen: View) -> Result<Option<View>, Stopping> {
        let Some(item) = seen.head.clone() else {
            return Ok(None);
        };
        self.fresh = false;
        self.line.doing(Doing::Busy);
        let line = Arc::clone(&self.line);
        crash::at(Point::SubmitBegun);
        #[cfg(any(test, feature = "simulation"))]
        self.send_before(&seen.state, &item).await;
        let sent = send::send(&line, &item).await;
        crash::at(Point::SubmitAnswered);
        let (outcome, evidence) = (sent.outcome, sent.evidence);
        self.note_cut(&outcome, &evidence);
        let tick = self.tick();
        let verdict = plan::after_send(&seen.state, &item, &outcome, &evidence, tick);
        #[cfg(any(test, feature = "simulation"))]
        let verdict = self.planted_verdict(verdict, &outcome, &evidence);
        #[cfg(any(test, feature = "simulation"))]
        self.stand_still(&verdict).await;
        let verdict = match verdict {
            Verdict::Finish(submission) => Verdict::Finish(Submission {
                marks: sent.marks,
                proof: sent.proof,
                tried: attempt::tried(&seen.state, &evidence),
                ..submission
            }),
            other => other,
        };
        let is_grey =
            matches!(&verdict, Verdict::Finish(taken) if taken.color.as_deref() == Some("Grey"));
        let seq = item.seq;
        let kept = match verdict {
            Verdict::AskStatus(refusal) => self.ask_status(seen, Some((*refusal, evidence))).await,
            verdict => {
                let subject = Subject::head(&item, &seen.state);
                let told = told(subject, Asked::ToTake, &outcome, &evidence, &verdict);
                self.keep(seen, item, verdict, told).await
            }
        }?;
        let boot = self.line.clock().boot();
        if is_grey && boot >= self.heal_not_before {
            self.heal_not_before = boot + HEAL_AGAIN;
            self.heal(seq).await;
        }
        Ok(kept)
    }

    /// Asks GetStatus about the head, which may just have been refused.
    async fn ask_status(
        &mut self,
        seen: View,
        refused: Option<(Refusal, Evidence)>,
    ) -> Result<Option<View>, Stopping> {
        let Some(item) = seen.head.clone() else {
            return Ok(None);
        };
        self.fresh = false;
        self.line.doing(Doing::Busy);
        let answer = self.line.ask(self.line.fdms.get_status()).await;
        crash::at(Point::StatusAnswered);
        self.note_cut(&answer.outcome, &answer.evidence);
        let why = match &refused {
            Some((refusal, evidence)) => Why::Refused(refusal, evidence),
            None => Why::Step,
        };
        let tick = self.tick();
        let (outcome, evidence) = (&answer.outcome, &answer.evidence);
        let verdict = plan::after_status(&seen.state, &item, why, outcome, evidence, tick);
        if let (ItemKind::Close(_), Verdict::Keep(next)) = (item.kind, &verdict)
            && next
                .parked
                .as_ref()
                .is_some_and(|parked| parked.code == "MissingReceipts")
            && self.healed != Some(item.seq)
        {
            // Once for each close: then it is tried again, and only then a person has to look.
            match self.heal(item.seq).await {
                Healed::Whole => {
                    self.healed = Some(item.seq);
                    let again = again(next, Timestamp::UNIX_EPOCH);
                    return self.keep(seen, item, again, None).await;
                }
                Healed::Cut => {
                    let again = again(next, later(tick.now, HEAL_CUT));
                    return self.keep(seen, item, again, None).await;
                }
                Healed::Refused => self.healed = Some(item.seq),
            }
        }
        let verdict = match (verdict, outcome) {
            (Verdict::Finish(submission), Outcome::Accepted(status)) => {
                let proof = self.line.judge_close(&item, status).await;
                Verdict::Finish(Submission {
                    proof,
                    tried: attempt::tried(&seen.state, evidence),
                    ..submission
                })
            }
            (verdict, _) => verdict,
        };
        let subject = Subject::head(&item, &seen.state);
        let told = match refused {
            Some((refusal, evidence)) => {
                let outcome = Outcome::<()>::Refused(refusal);
                told(subject, Asked::ToTake, &outcome, &evidence, &verdict)
            }
            None => told(subject, Asked::HowItIs, outcome, evidence, &verdict),
        };
        self.keep(seen, item, verdict, told).await
    }

    /// Fills a gap at FDMS.
    async fn heal(&self, seq: Seq) -> Healed {
        let day = self.line.ledger.ask(move |reader| reader.day_of(seq)).await;
        match day {
            Ok(Some(day)) => heal::heal(&self.line, day).await,
            Ok(None) => Healed::Refused,
            Err(_) => Healed::Cut,
        }
    }

    /// Keeps in mind whether the pause to come is the line's: it ends when the line is back.
    fn note_cut<T>(&mut self, outcome: &Outcome<T>, evidence: &Evidence) {
        self.cut_off = is_cut(outcome, evidence).then(|| *self.line.breaker.back().borrow());
    }

    /// Writes down what came of the head, until it is written: the same transaction tells what is next.
    async fn keep(
        &self,
        before: View,
        item: Item,
        verdict: Verdict,
        told: Option<Attempt>,
    ) -> Result<Option<View>, Stopping> {
        announce::log(self.line.till.device_id, &before.state, &item, &verdict);
        let till = self.line.till.id;
        loop {
            let (item, decided, told) = (item.clone(), verdict.clone(), told.clone());
            let kept = self.line.ledger.write(move |core| {
                match &decided {
                    Verdict::Finish(submission) => core.finish_item(till, &item, submission)?,
                    Verdict::Keep(state) => core.update_stream(state)?,
                    Verdict::AskStatus(_) => {}
                }
                if let Some(attempt) = &told {
                    core.log_attempt(till, attempt)?;
                }
                crash::at(Point::SubmitWritten);
                core.stream(till)
            });
            match kept.await {
                Ok((state, head)) => {
                    crash::at(Point::SubmitKept);
                    if matches!(verdict, Verdict::Finish(_)) {
                        self.count_sent();
                    }
                    return Ok(Some(View { state, head }));
                }
                Err(error @ LedgerError::Refused(_)) => {
                    tracing::warn!(till = %self.line.till.device_id, %error, "the queue was changed meanwhile");
                    return Ok(None);
                }
                Err(error) => self.fault(error).await?,
            }
        }
    }

    /// One more of a backlog is sent.
    fn count_sent(&self) {
        self.line.link.send_if_modified(|link| {
            let Some(catching_up) = &mut link.catching_up else {
                return false;
            };
            catching_up.sent = (catching_up.sent + 1).min(catching_up.of);
            true
        });
    }

    /// A fault of the storage: waits a little; whoever watches the ledger raises the alarm.
    async fn fault(&self, error: LedgerError) -> Result<(), Stopping> {
        if matches!(error, LedgerError::Storage(StorageError::Stopping)) {
            return Err(Stopping);
        }
        tracing::warn!(till = %self.line.till.device_id, %error, "the queue to FDMS waits for the ledger");
        self.line.clock().sleep(FAULT_PAUSE).await;
        Ok(())
    }

    fn tick(&self) -> Tick {
        Tick {
            now: self.line.ledger.time().now(),
            jitter: (self.jitter)(),
        }
    }
}

/// What is told of an attempt, beside what finishing the head tells by itself.
fn told<T>(
    subject: Subject,
    asked: Asked,
    outcome: &Outcome<T>,
    evidence: &Evidence,
    verdict: &Verdict,
) -> Option<Attempt> {
    match verdict {
        Verdict::Keep(next) => attempt::kept(subject, asked, outcome, evidence, next),
        Verdict::Finish(_) | Verdict::AskStatus(_) => None,
    }
}

/// The head to be sent again, not before this moment.
fn again(parked: &StreamState, next_attempt: Timestamp) -> Verdict {
    Verdict::Keep(StreamState {
        step: Step::Send,
        attempts: 0,
        next_attempt,
        last_error: None,
        parked: None,
        ..parked.clone()
    })
}

fn later(now: Timestamp, pause: Duration) -> Timestamp {
    now.checked_add(pause).unwrap_or(now)
}
