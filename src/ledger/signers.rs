//! Signing beside the writer thread.
//!
//! A signature needs no other signature, so those of a batch are shared out, a few at a time and while the
//! batch is still being walked, over threads that stand ready; the writer lends a hand when it has nothing
//! else to do. Signatures are verified with the key's public half before they are handed out: rather stop than give
//! a shop a signature that FDMS would not accept. That takes four times as long as signing, so in a rush (more sales
//! in one commit than a shop has tills) it is done to a sample: a key or a processor gone wrong is found soon, not at
//! once. The sample counts sales, not keys.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{StorageError, sql};
use crate::keys::Signer;

/// So many signatures travel together at least: fewer are not worth waking another thread for.
const CHUNK: usize = 4;

/// More sales at once are a rush.
const RUSH: usize = 8;
/// In a rush the first of so many signatures is verified.
const SAMPLE: usize = 32;

/// A signature to make.
#[derive(Debug)]
struct SignJob {
    signer: Arc<dyn Signer>,
    text: String,
    is_verified: bool,
}

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
    /// Threads that sleep.
    asleep: usize,
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
        let mut waiting = self.lock();
        waiting.chunks.push_back(chunk);
        let is_heard = waiting.asleep > 0;
        drop(waiting);
        if is_heard {
            self.wake.notify_one();
        }
    }

    fn sign_until_over(&self) {
        let mut waiting = self.lock();
        while !waiting.is_over {
            if let Some(chunk) = waiting.chunks.pop_front() {
                drop(waiting);
                chunk.sign();
                waiting = self.lock();
            } else {
                waiting.asleep += 1;
                waiting = self
                    .wake
                    .wait(waiting)
                    .unwrap_or_else(PoisonError::into_inner);
                waiting.asleep -= 1;
            }
        }
    }
}

impl Signers {
    /// Two threads less than the machine has cores, up to four: the writer needs one core, whoever asks another.
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::of(cores.saturating_sub(2).min(4))
    }

    fn of(threads: usize) -> Self {
        let work = Arc::<Work>::default();
        let threads = (0..threads)
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

    /// Begins to sign for a batch of so many sales.
    pub(super) fn begin(&self, sales: usize) -> Signing {
        let (done, results) = channel();
        Signing {
            work: (self.threads > 0).then(|| Arc::clone(&self.work)),
            jobs: Vec::new(),
            // Everybody's share, so that each thread is woken once.
            chunk: CHUNK.max(sales.div_ceil(self.threads + 1)),
            is_rush: sales > RUSH,
            added: 0,
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
    /// How many travel together.
    chunk: usize,
    is_rush: bool,
    added: usize,
    sent: usize,
    done: Sender<(usize, Signed)>,
    results: Receiver<(usize, Signed)>,
}

impl Signing {
    /// One more; every few are sent to the other threads.
    pub(super) fn add(&mut self, signer: Arc<dyn Signer>, text: String) {
        let is_verified = !self.is_rush || self.added.is_multiple_of(SAMPLE);
        self.added += 1;
        self.jobs.push(SignJob {
            signer,
            text,
            is_verified,
        });
        if let Some(work) = &self.work
            && self.jobs.len() >= self.chunk
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
        .map(|job| {
            if job.is_verified {
                sign_checked(&*job.signer, &job.text)
            } else {
                Ok(job.signer.sign(job.text.as_bytes())?)
            }
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{DeviceKey, KeyError, KeyKind, PublicKey};

    /// A key, and another one that signs in its place: as a damaged one would.
    #[derive(Debug)]
    struct Damaged(DeviceKey, DeviceKey);

    impl Signer for Damaged {
        fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
            self.1.sign(message)
        }

        fn public_key(&self) -> &PublicKey {
            self.0.public_key()
        }
    }

    fn key() -> DeviceKey {
        DeviceKey::generate(KeyKind::EcP256).unwrap()
    }

    /// Signs so many, `damaged` of them with a damaged key; the texts are the places.
    fn signed(signers: &Signers, sales: usize, damaged: &[usize]) -> Signed {
        let bad: Arc<dyn Signer> = Arc::new(Damaged(key(), key()));
        let good: Arc<dyn Signer> = Arc::new(key());
        let mut signing = signers.begin(sales);
        for place in 0..sales {
            let signer = if damaged.contains(&place) {
                &bad
            } else {
                &good
            };
            signing.add(Arc::clone(signer), place.to_string());
        }
        let signatures = signing.finish()?;
        for (place, signature) in signatures.iter().enumerate() {
            let is_good = good.verify(place.to_string().as_bytes(), signature);
            assert_eq!(is_good, !damaged.contains(&place), "{place} of {sales}");
        }
        assert_eq!(signatures.len(), sales);
        Ok(signatures)
    }

    /// Signatures come in the order of their sales, whoever makes them.
    #[test]
    fn in_their_order() {
        for threads in [0, 1, 3] {
            let signers = Signers::of(threads);
            for sales in [0, 1, 4, 5, 8, 9, 33, 128] {
                signed(&signers, sales, &[]).unwrap();
            }
        }
    }

    /// No signature of a damaged key is handed out. In a rush it is found by the first that it should have made, and by
    /// one of each [`SAMPLE`].
    #[test]
    fn a_damaged_key_is_found() {
        let signers = Signers::of(1);
        for place in 0..RUSH {
            assert!(signed(&signers, RUSH, &[place]).is_err(), "{place}");
        }
        for sales in [RUSH + 1, SAMPLE, SAMPLE * 4] {
            let all: Vec<usize> = (0..sales).collect();
            assert!(signed(&signers, sales, &all).is_err(), "{sales}");
            assert!(signed(&signers, sales, &[0]).is_err(), "{sales}");
        }
        assert!(signed(&signers, SAMPLE * 4, &[SAMPLE * 3]).is_err());
        // What the sample leaves out; FDMS would refuse it, and `verify` names it.
        signed(&signers, SAMPLE, &[1]).unwrap();
    }
}
