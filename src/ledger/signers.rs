//! Signing beside the writer thread.
//!
//! A signature needs no other signature, so those of a batch are shared out over threads that stand ready.
//! Each is verified with the key's public half before it is handed out:
//! rather stop than give a shop a signature that FDMS would not accept.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::{StorageError, sql};
use crate::keys::Signer;

/// From so many signatures on, other threads are worth the way there.
const ELSEWHERE_FROM: usize = 4;

/// A signing string and the key that signs it.
pub(super) type SignJob = (Arc<dyn Signer>, String);

type Signed = Result<Vec<Vec<u8>>, StorageError>;

struct Chunk {
    place: usize,
    jobs: Vec<SignJob>,
    done: Sender<(usize, Signed)>,
}

/// The threads that sign; they end when this is dropped.
#[derive(Debug)]
pub(super) struct Signers {
    chunks: Option<SyncSender<Chunk>>,
    threads: usize,
}

/// Signatures that are being made.
#[derive(Debug)]
pub(super) enum Signing {
    /// Made already.
    Done(Signed),
    /// On their way, in so many chunks.
    Elsewhere(Receiver<(usize, Signed)>, usize),
}

impl Signers {
    /// One thread for each core of the machine, up to four; on a single core there are none.
    pub(super) fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = if cores < 2 { 0 } else { cores.min(4) };
        let (chunks, work) = sync_channel::<Chunk>(64);
        let work = Arc::new(Mutex::new(work));
        let started = (0..threads)
            .filter(|_| {
                let work = Arc::clone(&work);
                std::thread::Builder::new()
                    .name("sign".to_owned())
                    .spawn(move || sign_until_closed(&work))
                    .is_ok()
            })
            .count();
        Self {
            chunks: (started > 0).then_some(chunks),
            threads: started.max(1),
        }
    }

    /// Starts to sign. A few are signed at once, here.
    pub(super) fn start(&self, mut jobs: Vec<SignJob>) -> Signing {
        let Some(chunks) = self
            .chunks
            .as_ref()
            .filter(|_| jobs.len() >= ELSEWHERE_FROM)
        else {
            return Signing::Done(sign_each(&jobs));
        };
        let (done, results) = channel();
        let share = jobs.len().div_ceil(self.threads);
        let mut count = 0;
        while !jobs.is_empty() {
            let rest = jobs.split_off(share.min(jobs.len()));
            let chunk = Chunk {
                place: count,
                jobs: std::mem::replace(&mut jobs, rest),
                done: done.clone(),
            };
            count += 1;
            if let Err(failed) = chunks.send(chunk) {
                // The threads are gone: sign here.
                let chunk = failed.0;
                let _ = done.send((chunk.place, sign_each(&chunk.jobs)));
            }
        }
        Signing::Elsewhere(results, count)
    }
}

impl Signing {
    /// Waits for the signatures, in the order of their jobs.
    pub(super) fn wait(self) -> Signed {
        match self {
            Self::Done(signed) => signed,
            Self::Elsewhere(results, count) => {
                let mut chunks: Vec<Option<Vec<Vec<u8>>>> = vec![None; count];
                for _ in 0..count {
                    let (place, signed) = results
                        .recv()
                        .map_err(|_| sql::damaged("a signing thread has died"))?;
                    if let Some(slot) = chunks.get_mut(place) {
                        *slot = Some(signed?);
                    }
                }
                Ok(chunks.into_iter().flatten().flatten().collect())
            }
        }
    }
}

fn sign_until_closed(work: &Mutex<Receiver<Chunk>>) {
    loop {
        let next = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(chunk) = next else { return };
        // Nobody waits any more: the batch has failed meanwhile.
        let _ = chunk.done.send((chunk.place, sign_each(&chunk.jobs)));
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
