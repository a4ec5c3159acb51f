//! Signing beside the writer thread.
//!
//! A signature needs no other signature, so those of a batch are shared out, a few at a time and while the
//! batch is still being walked, over threads that stand ready; the writer lends a hand when it has nothing
//! else to do. Each signature is verified with the key's public half before it is handed out:
//! rather stop than give a shop a signature that FDMS would not accept.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{StorageError, sql};
use crate::keys::Signer;

/// So many signatures travel together: fewer are not worth waking another thread for.
const CHUNK: usize = 4;

/// A signing string and the key that signs it.
pub(super) type SignJob = (Arc<dyn Signer>, String);

type Signed = Result<Vec<Vec<u8>>, StorageError>;

struct Chunk {
    place: usize,
    jobs: Vec<SignJob>,
    done: Sender<(usize, Signed)>,
}

impl Chunk {
    fn sign(self) {
        // Nobody waits any more: the batch has failed meanwhile.
        let _ = self.done.send((self.place, sign_each(&self.jobs)));
    }
}

/// The threads that sign; they end when this is dropped.
#[derive(Debug)]
pub(super) struct Signers {
    work: Arc<Work>,
    threads: usize,
}

#[derive(Default)]
struct Work {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

#[derive(Default)]
struct Waiting {
    chunks: VecDeque<Chunk>,
    is_over: bool,
}

impl std::fmt::Debug for Work {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Work").finish_non_exhaustive()
    }
}

impl Work {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, chunk: Chunk) {
        self.lock().chunks.push_back(chunk);
        self.wake.notify_one();
    }

    fn sign_until_over(&self) {
        let mut waiting = self.lock();
        while !waiting.is_over {
            if let Some(chunk) = waiting.chunks.pop_front() {
                drop(waiting);
                chunk.sign();
                waiting = self.lock();
            } else {
                waiting = self
                    .wake
                    .wait(waiting)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

impl Signers {
    /// One thread less than the machine has cores, up to four: the writer is one too.
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let work = Arc::<Work>::default();
        let threads = (0..(cores - 1).min(4))
            .filter(|_| {
                let work = Arc::clone(&work);
                std::thread::Builder::new()
                    .name("sign".to_owned())
                    .spawn(move || work.sign_until_over())
                    .is_ok()
            })
            .count();
        Self { work, threads }
    }

    /// Begins to sign for a batch.
    pub(super) fn begin(&self) -> Signing {
        let (done, results) = channel();
        Signing {
            work: (self.threads > 0).then(|| Arc::clone(&self.work)),
            jobs: Vec::new(),
            sent: 0,
            done,
            results,
        }
    }
}

impl Drop for Signers {
    fn drop(&mut self) {
        self.work.lock().is_over = true;
        self.work.wake.notify_all();
    }
}

/// The signatures of a batch: some made, some being made, some not begun.
#[derive(Debug)]
pub(super) struct Signing {
    work: Option<Arc<Work>>,
    jobs: Vec<SignJob>,
    sent: usize,
    done: Sender<(usize, Signed)>,
    results: Receiver<(usize, Signed)>,
}

impl Signing {
    /// One more; every few are sent to the other threads.
    pub(super) fn add(&mut self, job: SignJob) {
        self.jobs.push(job);
        if let Some(work) = &self.work
            && self.jobs.len() >= CHUNK
        {
            let chunk = Chunk {
                place: self.sent,
                jobs: std::mem::take(&mut self.jobs),
                done: self.done.clone(),
            };
            self.sent += 1;
            work.push(chunk);
        }
    }

    /// Makes what nobody has begun, and waits for the rest; in the order in which they were added.
    pub(super) fn finish(self) -> Signed {
        let rest = sign_each(&self.jobs)?;
        while let Some(chunk) = self
            .work
            .as_ref()
            .and_then(|work| work.lock().chunks.pop_back())
        {
            chunk.sign();
        }
        // Were a thread to die, nobody else could send, and this would not wait for ever.
        drop(self.done);
        let mut chunks: Vec<Vec<Vec<u8>>> = vec![Vec::new(); self.sent];
        for _ in 0..self.sent {
            let (place, signed) = self
                .results
                .recv()
                .map_err(|_| sql::damaged("a signing thread has died"))?;
            if let Some(slot) = chunks.get_mut(place) {
                *slot = signed?;
            }
        }
        Ok(chunks.into_iter().flatten().chain(rest).collect())
    }
}

fn sign_each(jobs: &[SignJob]) -> Signed {
    jobs.iter()
        .map(|(signer, text)| sign_checked(&**signer, text))
        .collect()
}

/// Signs and verifies.
pub(super) fn sign_checked(signer: &dyn Signer, text: &str) -> Result<Vec<u8>, StorageError> {
    let signature = signer.sign(text.as_bytes())?;
    if !signer.verify(text.as_bytes(), &signature) {
        return Err(sql::damaged(
            "the device key made a signature that does not verify",
        ));
    }
    Ok(signature)
}
