//! The spool as the daemon keeps it, in memory: a receipt is an original on its first job, and whatever follows
//! an outcome that nobody knows is a copy.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use drivers::job::{Condition, Job, JobId, JobState, Spool, SpoolError};

use crate::receipt::Receipt;

/// A job as it is kept.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) id: JobId,
    /// The number of its receipt.
    pub(crate) receipt: usize,
    pub(crate) copy: bool,
    pub(crate) state: JobState,
}

impl Entry {
    /// Whether nothing more happens to it.
    pub(crate) fn is_over(&self) -> bool {
        matches!(
            self.state,
            JobState::Done(_) | JobState::Unknown(_) | JobState::Failed(_)
        )
    }

    /// Whether bytes of it may be on their way.
    pub(crate) fn is_under_way(&self) -> bool {
        matches!(self.state, JobState::Sending | JobState::AwaitAck)
    }

    fn waits(&self) -> bool {
        matches!(self.state, JobState::Queued | JobState::Held(_))
    }
}

/// What is in the book.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    pub(crate) receipts: Vec<Receipt>,
    pub(crate) jobs: Vec<Entry>,
    /// How the printer is.
    pub(crate) condition: Condition,
    /// How often its link was opened.
    pub(crate) opened: u32,
    /// Times that a job was held.
    pub(crate) held: u32,
    /// What must not happen in a spool.
    pub(crate) errors: Vec<String>,
    /// A planted defect: what follows an unknown outcome is an original again.
    resend_original: bool,
}

impl Pages {
    /// The job of which bytes may be on their way.
    pub(crate) fn under_way(&self) -> Option<&Entry> {
        self.jobs.iter().find(|job| job.is_under_way())
    }

    /// Whether nothing is left to print.
    pub(crate) fn is_settled(&self) -> bool {
        self.jobs.iter().all(Entry::is_over)
    }

    /// Whether the printer has answered on its present link.
    pub(crate) fn is_reached(&self) -> bool {
        self.condition.connected && self.condition.answers == Some(true)
    }

    fn enqueue(&mut self, receipt: usize, copy: bool) {
        let number = i64::try_from(self.jobs.len()).unwrap_or(i64::MAX);
        self.jobs.push(Entry {
            id: JobId(number.saturating_add(1)),
            receipt,
            copy,
            state: JobState::Queued,
        });
    }

    fn keep(&mut self, id: JobId, state: &JobState) -> Result<(), String> {
        let Some(job) = self.jobs.iter_mut().find(|job| job.id == id) else {
            return Err(format!("a state for job {}, which is none", id.0));
        };
        if job.is_over() && job.state != *state {
            return Err(format!("{job:?} was over, and then {state:?}"));
        }
        let news = job.state != *state;
        job.state = state.clone();
        let receipt = job.receipt;
        if news && matches!(state, JobState::Held(_)) {
            self.held += 1;
        }
        if news && matches!(state, JobState::Unknown(_)) {
            self.enqueue(receipt, !self.resend_original);
        }
        Ok(())
    }
}

/// The book, which the printer's thread and the one that pulls the cable share.
#[derive(Debug, Clone)]
pub(crate) struct Book {
    shared: Arc<(Mutex<Pages>, Condvar)>,
}

impl Book {
    /// An empty one, with or without the defect.
    pub(crate) fn new(resend_original: bool) -> Self {
        let pages = Pages {
            resend_original,
            ..Pages::default()
        };
        Self {
            shared: Arc::new((Mutex::new(pages), Condvar::new())),
        }
    }

    /// A new receipt, to be printed as an original; gives its job.
    pub(crate) fn add(&self, receipt: Receipt) {
        let mut pages = self.read();
        pages.receipts.push(receipt);
        let number = pages.receipts.len() - 1;
        pages.enqueue(number, false);
        drop(pages);
        self.shared.1.notify_all();
    }

    /// Looks into it.
    pub(crate) fn read(&self) -> MutexGuard<'_, Pages> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something in it changes, at most so long.
    pub(crate) fn wait_for_news(&self, at_most: Duration) {
        drop(self.shared.1.wait_timeout(self.read(), at_most));
    }
}

impl Spool for Book {
    fn next(&mut self) -> Result<Option<Job>, SpoolError> {
        let pages = self.read();
        let Some(job) = pages.jobs.iter().find(|job| job.waits()) else {
            return Ok(None);
        };
        let receipt = pages.receipts.get(job.receipt);
        let receipt = receipt.ok_or_else(|| SpoolError("a job without a receipt".to_owned()))?;
        Ok(Some(Job {
            id: job.id,
            page: receipt.page(job.copy),
        }))
    }

    fn keep(&mut self, id: JobId, state: &JobState) -> Result<(), SpoolError> {
        let mut pages = self.read();
        let kept = pages.keep(id, state);
        if let Err(why) = &kept {
            pages.errors.push(why.clone());
        }
        drop(pages);
        self.shared.1.notify_all();
        kept.map_err(SpoolError)
    }

    fn wait(&mut self, at_most: Duration) {
        let pages = self.read();
        let idle = |pages: &mut Pages| !pages.jobs.iter().any(Entry::waits);
        drop(self.shared.1.wait_timeout_while(pages, at_most, idle));
    }

    fn condition(&mut self, condition: &Condition) {
        let mut pages = self.read();
        if condition.connected && !pages.condition.connected {
            pages.opened += 1;
        }
        pages.condition = condition.clone();
        drop(pages);
        self.shared.1.notify_all();
    }
}
