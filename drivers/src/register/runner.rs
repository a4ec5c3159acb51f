//! Serves one link: bytes in, replies out, and a word in time while a command takes long.
//!
//! The commands run on a thread of their own, one after another, so that the loop of the link can say that we
//! are busy. A link that is lost ends the loop after the command under way is at its end: its reply is kept,
//! and given when the software asks again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::transport::{Link, LinkError, Monotonic};

/// How long an idle link is listened to before the stop signal is looked at.
const IDLE: Duration = Duration::from_millis(200);
/// How long a reply is waited for before the link is looked at again.
const BUSY: Duration = Duration::from_millis(5);
/// How long one write may wait.
const WRITE: Duration = Duration::from_secs(1);
/// After so many writes that moved nothing the other side is taken for gone.
const STALLED: u32 = 15;

/// What the bytes of a link lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Write this.
    Write(Vec<u8>),
    /// Carry out this frame, write its reply, and say so with [`Wire::done`].
    Execute(Vec<u8>),
}

/// A language's way of cutting a stream into frames, and of saying that we are busy.
pub trait Wire: Send {
    /// Takes bytes.
    fn receive(&mut self, now: Duration, bytes: &[u8]) -> Vec<Step>;

    /// Whether a frame is being carried out.
    fn busy(&self) -> bool;

    /// The frame is carried out.
    fn done(&mut self);

    /// What must be said now because we are busy.
    fn tick(&mut self, now: Duration) -> Option<u8>;
}

/// Serves a link until it is lost or `stop` is set; the thread belongs to it.
///
/// # Errors
/// The link is lost.
pub fn serve(
    link: &mut dyn Link,
    wire: &mut dyn Wire,
    answer: &mut (dyn FnMut(&[u8]) -> Vec<u8> + Send),
    time: &dyn Monotonic,
    stop: &AtomicBool,
) -> Result<(), LinkError> {
    let (commands, work) = channel::<Vec<u8>>();
    let (done, replies) = channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            for frame in work {
                if done.send(answer(&frame)).is_err() {
                    return;
                }
            }
        });
        // Owned here, so that the thread ends with the loop.
        let commands = commands;
        let mut buffer = [0; 1024];
        while !stop.load(Ordering::Relaxed) {
            let patience = if wire.busy() { Duration::ZERO } else { IDLE };
            let count = link.read(&mut buffer, patience)?;
            let bytes = buffer.get(..count).unwrap_or_default();
            for step in wire.receive(time.now(), bytes) {
                match step {
                    Step::Write(bytes) => write_all(link, &bytes)?,
                    Step::Execute(frame) => {
                        if commands.send(frame).is_err() {
                            return Ok(());
                        }
                    }
                }
            }
            if !wire.busy() {
                continue;
            }
            match replies.recv_timeout(BUSY) {
                Ok(reply) => {
                    wire.done();
                    write_all(link, &reply)?;
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(byte) = wire.tick(time.now()) {
                        write_all(link, &[byte])?;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
        Ok(())
    })
}

fn write_all(link: &mut dyn Link, mut bytes: &[u8]) -> Result<(), LinkError> {
    let mut stalled = 0;
    while !bytes.is_empty() {
        let count = link.write(bytes, WRITE)?;
        stalled = if count == 0 { stalled + 1 } else { 0 };
        if stalled == STALLED {
            return Err(LinkError::Lost {
                link: "fiscal printer's port".to_owned(),
                why: "the other side takes nothing".to_owned(),
            });
        }
        bytes = bytes.get(count..).unwrap_or_default();
    }
    Ok(())
}
