//! What waits for FDMS at the stores, as it is seen here: from attempts, from queues that were parked or go on, and
//! from how the store says it is now.

use std::collections::BTreeMap;

use clock::Timestamp;
use deadpool_postgres::Transaction;
use sync_wire::TillRef;
use sync_wire::entry::{Attempt, AttemptKind, AttemptOutcome};
use sync_wire::state::TillState;
use uuid::Uuid;

use super::StoreCaller;
use super::batch::{QueueNews, plain};
use super::line::moment;
use super::past::item;
use crate::db::{DbError, till_of};

/// How one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    /// Not sent, or sent in vain: it is tried again.
    Pending,
    /// Sent, and the store does not know what became of it: FDMS may have it, and is asked.
    InFlight,
    Done,
    DeadLetter,
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InFlight => "in_flight",
            Self::Done => "done",
            Self::DeadLetter => "dead_letter",
        }
    }
}

/// What it is about: till, kind, number.
type Key = (TillRef, AttemptKind, u32);

#[derive(Debug, Clone)]
struct Job {
    status: Status,
    item_seq: i64,
    attempts: u32,
    next: Option<Timestamp>,
    reason: Option<String>,
    code: Option<String>,
    since: Timestamp,
    is_changed: bool,
}

/// The open ones of a store, and what becomes of them.
#[derive(Debug, Default)]
pub(super) struct Jobs(BTreeMap<Key, Job>);

impl Jobs {
    /// Those that are open.
    pub(super) async fn open(tx: &Transaction<'_>, caller: StoreCaller) -> Result<Self, DbError> {
        let select = tx
            .prepare_cached(
                "SELECT environment, device_id, kind, number, status, item_seq, attempts, next_attempt_at, reason, code,
                   created_at
                 FROM fdms_retry_jobs WHERE tenant_id = $1 AND store_id = $2 AND status <> 'done'",
            )
            .await?;
        let rows = tx
            .query(&select, &[&caller.tenant.0, &caller.store])
            .await?;
        let jobs = rows.iter().filter_map(|row| {
            let till = till_of(row.get(0), row.get(1))?;
            let number = u32::try_from(row.get::<_, i32>(3)).ok()?;
            let status = match row.get(4) {
                "dead_letter" => Status::DeadLetter,
                "in_flight" => Status::InFlight,
                _ => Status::Pending,
            };
            let job = Job {
                status,
                item_seq: row.get(5),
                attempts: u32::try_from(row.get::<_, i32>(6)).unwrap_or(0),
                next: row.get(7),
                reason: row.get(8),
                code: row.get(9),
                since: row.get(10),
                is_changed: false,
            };
            Some(((till, item(row.get(2)), number), job))
        });
        Ok(Self(jobs.collect()))
    }

    /// What a batch tells, in its order.
    pub(super) fn hear(&mut self, news: &[QueueNews]) {
        for news in news {
            match news {
                QueueNews::Tried { till, at, attempt } => self.tried(*till, *at, attempt),
                QueueNews::Parked { till, reason } => self.parked(*till, reason),
                QueueNews::Resumed { till } => self.resumed(*till),
            }
        }
    }

    fn tried(&mut self, till: TillRef, at: Timestamp, attempt: &Attempt) {
        let key = (till, attempt.item, attempt.number);
        let status = match attempt.outcome {
            AttemptOutcome::Accepted => Status::Done,
            AttemptOutcome::Refused => Status::DeadLetter,
            AttemptOutcome::Later => Status::Pending,
            AttemptOutcome::Unknown => Status::InFlight,
        };
        let known = self.0.get(&key);
        if status == Status::Done && known.is_none() {
            return;
        }
        let since = known.map_or(at, |job| job.since);
        let job = Job {
            status,
            item_seq: attempt.item_seq,
            attempts: attempt.attempt,
            next: None,
            reason: attempt.error_message.clone().map(plain),
            code: attempt.code.clone().map(plain),
            since,
            is_changed: true,
        };
        self.0.insert(key, job);
    }

    fn parked(&mut self, till: TillRef, reason: &str) {
        for job in self.of(till) {
            if job.status != Status::DeadLetter {
                job.status = Status::DeadLetter;
                job.reason = Some(reason.to_owned());
                job.is_changed = true;
            }
        }
    }

    fn resumed(&mut self, till: TillRef) {
        for job in self.of(till) {
            if job.status == Status::DeadLetter {
                job.status = Status::Pending;
                job.is_changed = true;
            }
        }
    }

    fn of(&mut self, till: TillRef) -> impl Iterator<Item = &mut Job> {
        let jobs = self.0.iter_mut();
        jobs.filter(move |(key, job)| key.0 == till && job.status != Status::Done)
            .map(|(_, job)| job)
    }

    /// How the store says that its own tills are. `is_whole`: head office has all of its lines, so what its ledger does not know
    /// is of another one.
    pub(super) fn look<'a>(&mut self, own: impl Iterator<Item = &'a TillState>, is_whole: bool) {
        for till in own {
            self.settle(till, is_whole);
            self.head(till);
        }
    }

    fn settle(&mut self, till: &TillState, is_whole: bool) {
        for ((of, kind, number), job) in &mut self.0 {
            if *of != till.till || job.status == Status::Done {
                continue;
            }
            let (last, sent) = match kind {
                AttemptKind::SubmitReceipt => (till.last_global_no, till.sent_global_no),
                AttemptKind::OpenDay => (till.last_day_no, till.sent_day_no),
                // A day that was opened at FDMS ends the one before.
                AttemptKind::CloseDay => (till.last_day_no, till.sent_day_no.saturating_sub(1)),
                AttemptKind::SubmitFile => continue,
            };
            if *number <= sent || (till.queue.waiting == 0 && *number <= last) {
                job.status = Status::Done;
                job.is_changed = true;
            } else if is_whole && *number > last && job.code.as_deref() != Some(LOST) {
                job.status = Status::DeadLetter;
                job.code = Some(LOST.to_owned());
                job.reason = Some(
                    "the store's ledger was put back from a backup and does not have this any more; ask FDMS whether \
                     it has it"
                        .to_owned(),
                );
                job.is_changed = true;
            }
        }
    }

    fn head(&mut self, till: &TillState) {
        let Some(head) = &till.queue.head else { return };
        let key = (till.till, head.item, head.number);
        let known = self.0.get(&key);
        if known.is_none() && head.attempts == 0 && head.parked.is_none() {
            return;
        }
        let oldest = till.queue.oldest_at.and_then(moment);
        let since = known.map_or(oldest.unwrap_or(Timestamp::UNIX_EPOCH), |job| job.since);
        let parked = head.parked.as_ref();
        // Only an attempt says what became of the one before.
        let in_flight = known.is_some_and(|known| known.status == Status::InFlight);
        let job = Job {
            status: match parked {
                Some(_) => Status::DeadLetter,
                None if in_flight => Status::InFlight,
                None => Status::Pending,
            },
            item_seq: head.item_seq,
            attempts: head.attempts,
            next: moment(head.next_attempt).filter(|_| parked.is_none()),
            reason: parked
                .map(|parked| &parked.reason)
                .or(head.last_error.as_ref())
                .cloned()
                .map(plain)
                .or_else(|| known.and_then(|job| job.reason.clone())),
            code: parked
                .map(|parked| plain(parked.code.clone()))
                .or_else(|| known.and_then(|job| job.code.clone())),
            since,
            is_changed: true,
        };
        let is_same = known.is_some_and(|known| {
            (
                known.status,
                known.attempts,
                known.next,
                &known.reason,
                &known.code,
            ) == (job.status, job.attempts, job.next, &job.reason, &job.code)
        });
        if !is_same {
            self.0.insert(key, job);
        }
    }

    /// Writes what has changed of the store's own tills.
    pub(super) async fn write(
        &self,
        tx: &Transaction<'_>,
        caller: StoreCaller,
        now: Timestamp,
    ) -> Result<(), DbError> {
        let changed: Vec<(&Key, &Job)> = self.0.iter().filter(|(_, job)| job.is_changed).collect();
        if changed.is_empty() {
            return Ok(());
        }
        let upsert = tx
            .prepare_cached(
                "INSERT INTO fdms_retry_jobs (tenant_id, store_id, environment, device_id, kind, number, item_seq, status,
                   attempts, next_attempt_at, reason, code, created_at, updated_at)
                 SELECT $1, $2, n.*, $14
                 FROM unnest($3::text[], $4::int4[], $5::text[], $6::int4[], $7::int8[], $8::text[], $9::int4[],
                   $10::timestamptz[], $11::text[], $12::text[], $13::timestamptz[]) AS n (environment, device, kind,
                   number, item_seq, status, attempts, next, reason, code, since)
                 JOIN fdms_devices d ON d.tenant_id = $1 AND d.store_id = $2 AND d.environment = n.environment
                   AND d.device_id = n.device
                 ON CONFLICT (tenant_id, environment, device_id, kind, number) DO UPDATE SET store_id = excluded.store_id,
                   item_seq = excluded.item_seq, status = excluded.status, attempts = excluded.attempts,
                   next_attempt_at = excluded.next_attempt_at, reason = excluded.reason, code = excluded.code,
                   updated_at = excluded.updated_at",
            )
            .await?;
        let small = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let each = || changed.iter();
        let environment: Vec<_> = each().map(|(key, _)| key.0.environment.as_str()).collect();
        let device: Vec<_> = each().map(|(key, _)| super::line::device(key.0)).collect();
        let kind: Vec<_> = each().map(|(key, _)| key.1.as_str()).collect();
        let number: Vec<_> = each().map(|(key, _)| small(key.2)).collect();
        let item_seq: Vec<_> = each().map(|(_, job)| job.item_seq).collect();
        let status: Vec<_> = each().map(|(_, job)| job.status.as_str()).collect();
        let attempts: Vec<_> = each().map(|(_, job)| small(job.attempts)).collect();
        let next: Vec<_> = each().map(|(_, job)| job.next).collect();
        let reason: Vec<_> = each().map(|(_, job)| job.reason.as_deref()).collect();
        let code: Vec<_> = each().map(|(_, job)| job.code.as_deref()).collect();
        let since: Vec<_> = each().map(|(_, job)| job.since).collect();
        tx.execute(
            &upsert,
            &[
                &caller.tenant.0,
                &caller.store,
                &environment,
                &device,
                &kind,
                &number,
                &item_seq,
                &status,
                &attempts,
                &next,
                &reason,
                &code,
                &since,
                &now,
            ],
        )
        .await?;
        Ok(())
    }
}

/// The code of what a ledger does not know any more.
const LOST: &str = "lost";

/// Ties a controlled test submission to what it issued: to its job, which is made if there is none.
pub(super) async fn tie(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    till: TillRef,
    number: u32,
    command: Uuid,
    now: Timestamp,
) -> Result<(), DbError> {
    let upsert = tx
        .prepare_cached(
            "INSERT INTO fdms_retry_jobs (tenant_id, store_id, environment, device_id, kind, number, status, command_id,
               created_at, updated_at)
             SELECT $1, $2, $3, $4, 'submit_receipt', $5, CASE WHEN EXISTS (SELECT FROM fdms_submission_logs l
                 WHERE l.tenant_id = $1 AND l.environment = $3 AND l.device_id = $4 AND l.kind = 'submit_receipt'
                   AND l.number = $5 AND l.outcome = 'accepted') THEN 'done' ELSE 'pending' END, $6, $7, $7
             ON CONFLICT (tenant_id, environment, device_id, kind, number) DO UPDATE SET command_id = excluded.command_id",
        )
        .await?;
    let number = i32::try_from(number).unwrap_or(i32::MAX);
    let (environment, device) = (till.environment.as_str(), super::line::device(till));
    tx.execute(
        &upsert,
        &[
            &caller.tenant.0,
            &caller.store,
            &environment,
            &device,
            &number,
            &command,
            &now,
        ],
    )
    .await?;
    Ok(())
}
