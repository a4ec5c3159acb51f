//! Signing beside the writer thread.
//!
//! A signature needs no other signature, so those of a batch are shared out, a few at a time and while the
//! batch is still being walked, over threads that stand ready; the writer lends a hand when it has nothing
//! else to do. Signatures are verified with the key's public half before they are handed out: rather stop than give
//! a shop a signature that FDMS would not accept. That takes four times as long as signing, so in a rush (more sales
//! in one commit than a shop has tills) it is done to a sample of each key's: one that has gone wrong is found by its
//! first signature if it began so, else before it has made as many as a sample is taken of.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{StorageError, sql};
use crate::keys::Signer;

/// So many signatures travel together at least: fewer are not worth waking another thread for.
const CHUNK: usize = 4;

/// More sales at once are a rush.
const RUSH: usize = 8;
/// In a rush a key's first signature is verified, and then one of so many.
const SAMPLE: usize = 32;

/// A signing key in use.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) key_id: i64,
    pub(super) signer: Arc<dyn Signer>,
    /// Signatures since one was verified.
    unverified: Arc<AtomicUsize>,
}

impl Key {
    pub(super) fn new(key_id: i64, signer: impl Signer + 'static) -> Self {
        Self {
            key_id,
            signer: Arc::new(signer),
            unverified: Arc::new(AtomicUsize::new(SAMPLE - 1)),
        }
    }

    /// It makes one more; whether that is to be verified.
    fn is_due(&self, is_rush: bool) -> bool {
        let since = self.unverified.load(Ordering::Relaxed) + 1;
        let is_due = !is_rush || since >= SAMPLE;
        let left = if is_due { 0 } else { since };
        self.unverified.store(left, Ordering::Relaxed);
        is_due
    }
}

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
    sent: usize,
    done: Sender<(usize, Signed)>,
    results: Receiver<(usize, Signed)>,
}

impl Signing {
    /// One more; every few are sent to the other threads.
    pub(super) fn add(&mut self, key: &Key, text: String) {
        self.jobs.push(SignJob {
            signer: Arc::clone(&key.signer),
            text,
            is_verified: key.is_due(self.is_rush),
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

    /// A key, and another one that signs in its place after so many signatures: as a damaged one would.
    #[derive(Debug)]
    struct Damaged {
        own: DeviceKey,
        other: DeviceKey,
        good: AtomicUsize,
    }

    impl Signer for Damaged {
        fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
            let good = self.good.load(Ordering::Relaxed);
            self.good.store(good.saturating_sub(1), Ordering::Relaxed);
            if good > 0 { &self.own } else { &self.other }.sign(message)
        }

        fn public_key(&self) -> &PublicKey {
            self.own.public_key()
        }
    }

    fn device_key() -> DeviceKey {
        DeviceKey::generate(KeyKind::EcP256).unwrap()
    }

    fn key(signer: impl Signer + 'static) -> Key {
        Key::new(1, signer)
    }

    fn damaged_after(good: usize) -> Key {
        key(Damaged {
            own: device_key(),
            other: device_key(),
            good: good.into(),
        })
    }

    /// Signs so many, `damaged` of them with a damaged key; the texts are the places.
    fn signed(signers: &Signers, sales: usize, damaged: &[usize]) -> Signed {
        let (bad, good) = (damaged_after(0), key(device_key()));
        let mut signing = signers.begin(sales);
        for place in 0..sales {
            let key = if damaged.contains(&place) {
                &bad
            } else {
                &good
            };
            signing.add(key, place.to_string());
        }
        let signatures = signing.finish()?;
        for (place, signature) in signatures.iter().enumerate() {
            let is_good = good.signer.verify(place.to_string().as_bytes(), signature);
            assert!(is_good, "{place} of {sales}");
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

    /// No signature of a damaged key is handed out, in a rush neither, wherever among those of other keys it stands.
    #[test]
    fn a_damaged_key_is_found() {
        let signers = Signers::of(1);
        for sales in [RUSH, RUSH + 1, SAMPLE, SAMPLE * 4] {
            for place in 0..sales {
                assert!(
                    signed(&signers, sales, &[place]).is_err(),
                    "{place} of {sales}"
                );
            }
            let all: Vec<usize> = (0..sales).collect();
            assert!(signed(&signers, sales, &all).is_err(), "{sales}");
        }
    }

    /// A key that goes wrong between two samples hands out fewer than there are from one to the next, however few of a
    /// commit are its own; without a rush none.
    #[test]
    fn a_key_that_goes_wrong_is_found_by_the_next_sample() {
        let signers = Signers::of(0);
        for (sales, own, most) in [(RUSH + 1, 1, SAMPLE), (SAMPLE, 5, SAMPLE), (RUSH, 1, 0)] {
            for good in [1, 2, SAMPLE, SAMPLE + 1] {
                let (bad, other) = (damaged_after(good), key(device_key()));
                let mut handed_out = 0;
                loop {
                    let mut signing = signers.begin(sales);
                    for place in 0..sales {
                        let key = if place < own { &bad } else { &other };
                        signing.add(key, place.to_string());
                    }
                    if signing.finish().is_err() {
                        break;
                    }
                    handed_out += own;
                    assert!(
                        handed_out < good + most.max(1),
                        "{good} good of {own} in {sales}"
                    );
                }
            }
        }
    }
}
