//! The tills of a shop at work, and what they need for it.

use std::sync::mpsc::{Receiver, SyncSender, channel};
use std::thread::JoinHandle;

use super::gauge::quantile;
use super::shop::Kind;
use super::till::{Done, Till};
use crate::support::process::PATIENCE;

pub(super) struct Floor {
    jobs: Vec<SyncSender<Kind>>,
    threads: Vec<JoinHandle<Till>>,
    done: Receiver<Done>,
    /// Jobs that are not done.
    open: u64,
    /// Latencies since they were taken last, in microseconds; of sales alone.
    latencies: Vec<u64>,
    /// Receipts since they were taken last.
    receipts: u64,
}

/// Median, 99th of a hundred, and largest.
pub(super) struct Latency {
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    pub(super) max_us: u64,
}

impl Floor {
    pub(super) fn start(tills: Vec<Till>) -> Self {
        let (report, done) = channel();
        let started = tills.into_iter().map(|till| till.start(report.clone()));
        let (jobs, threads) = started.unzip();
        Self {
            jobs,
            threads,
            done,
            open: 0,
            latencies: Vec::new(),
            receipts: 0,
        }
    }

    /// Gives a till a job; waits where it has too many.
    pub(super) fn give(&mut self, place: usize, kind: Kind) {
        if self.jobs[place].send(kind).is_err() {
            self.fail();
        }
        self.open += 1;
        while let Ok(done) = self.done.try_recv() {
            self.count(done);
        }
    }

    fn count(&mut self, done: Done) {
        self.open -= 1;
        self.receipts += u64::from(done.is_new);
        if done.is_new {
            self.latencies
                .push(u64::try_from(done.took.as_micros()).unwrap());
        }
    }

    /// Waits until every job is done.
    pub(super) fn settle(&mut self) {
        while self.open > 0 {
            match self.done.recv_timeout(PATIENCE) {
                Ok(done) => self.count(done),
                Err(_) => self.fail(),
            }
            // One that has failed does no more, and the others would be waited for in vain.
            if self.threads.iter().any(JoinHandle::is_finished) {
                self.fail();
            }
        }
    }

    /// Each till sells the same basket once, one after the other, so many times.
    pub(super) fn probe(&mut self, rounds: u64) -> Latency {
        self.settle();
        self.latencies.clear();
        for _ in 0..rounds {
            for place in 0..self.jobs.len() {
                self.give(place, Kind::Probe);
                self.settle();
            }
        }
        self.take_latency()
    }

    /// The latency since it was taken last.
    pub(super) fn take_latency(&mut self) -> Latency {
        let mut all = std::mem::take(&mut self.latencies);
        Latency {
            p50_us: quantile(&mut all, 500),
            p99_us: quantile(&mut all, 990),
            max_us: quantile(&mut all, 1000),
        }
    }

    /// The receipts since they were taken last.
    pub(super) const fn take_receipts(&mut self) -> u64 {
        std::mem::replace(&mut self.receipts, 0)
    }

    /// The tills go home.
    pub(super) fn end(mut self) -> Vec<Till> {
        self.settle();
        self.jobs.clear();
        let threads = std::mem::take(&mut self.threads).into_iter();
        threads.map(|thread| thread.join().unwrap()).collect()
    }

    /// What a till has failed with is what the test fails with.
    fn fail(&mut self) -> ! {
        let finished = self.threads.extract_if(.., |thread| thread.is_finished());
        for thread in finished {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
        panic!("a till hangs");
    }
}
