//! A clock that stands still until it is told otherwise.
//!
//! One process owns it ([`TestClock::new`], [`TestClock::serve`]); others follow
//! ([`TestClock::connect`]). Each change is a line `wall_ms boot_ms boot_id` that a follower answers
//! with `ok`, so that a change has reached everybody when the call that made it returns.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::Clock;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Reading {
    wall_ms: i64,
    boot_ms: u64,
    boot_id: String,
}

impl Reading {
    fn line(&self) -> String {
        format!("{} {} {}\n", self.wall_ms, self.boot_ms, self.boot_id)
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        Some(Self {
            wall_ms: words.next()?.parse().ok()?,
            boot_ms: words.next()?.parse().ok()?,
            boot_id: words.next()?.to_owned(),
        })
    }
}

/// A settable clock; see the module.
#[derive(Debug)]
pub struct TestClock {
    now: watch::Sender<Reading>,
    followers: Mutex<Followers>,
}

#[derive(Debug, Default)]
struct Followers {
    next: u64,
    streams: BTreeMap<u64, BufReader<UnixStream>>,
}

impl TestClock {
    /// A clock that stands at `start`, a minute after the machine's first boot.
    #[must_use]
    pub fn new(start: Timestamp) -> Arc<Self> {
        let reading = Reading {
            wall_ms: start.as_millisecond(),
            boot_ms: 60_000,
            boot_id: "boot-1".to_owned(),
        };
        Arc::new(Self {
            now: watch::Sender::new(reading),
            followers: Mutex::default(),
        })
    }

    /// Time passes: wall and boot clock advance together.
    pub fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.change(|now| {
            now.wall_ms = now
                .wall_ms
                .saturating_add(i64::try_from(millis).unwrap_or(i64::MAX));
            now.boot_ms = now.boot_ms.saturating_add(millis);
        });
    }

    /// Somebody sets the wall clock; the boot clock is not touched.
    pub fn set_wall(&self, wall: Timestamp) {
        self.change(|now| now.wall_ms = wall.as_millisecond());
    }

    /// The machine starts anew: another boot id, the boot clock begins again.
    pub fn reboot(&self) {
        self.change(|now| {
            let count: u64 = now
                .boot_id
                .rsplit('-')
                .next()
                .and_then(|n| n.parse().ok())
                .unwrap_or(0);
            now.boot_id = format!("boot-{}", count.saturating_add(1));
            now.boot_ms = 1_000;
        });
    }

    /// Lets other processes follow this clock over the Unix socket at `path`.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn serve(self: &Arc<Self>, path: &Path) -> std::io::Result<()> {
        let listener = UnixListener::bind(path)?;
        let clock = Arc::clone(self);
        std::thread::Builder::new()
            .name("test-clock".to_owned())
            .spawn(move || {
                for stream in listener.incoming().flatten() {
                    let mut followers = clock
                        .followers
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner);
                    let line = clock.now.borrow().line();
                    let mut reader = BufReader::new(stream);
                    if tell(&mut reader, &line) {
                        let id = followers.next;
                        followers.next += 1;
                        followers.streams.insert(id, reader);
                    }
                }
            })?;
        Ok(())
    }

    /// Follows the clock that another process serves at `path`.
    ///
    /// # Errors
    /// Nobody serves a clock there.
    pub fn connect(path: &Path) -> std::io::Result<Arc<Self>> {
        let mut reader = BufReader::new(UnixStream::connect(path)?);
        let first = read_reading(&mut reader)?;
        reader.get_mut().write_all(b"ok\n")?;
        let clock = Arc::new(Self {
            now: watch::Sender::new(first),
            followers: Mutex::default(),
        });
        let follower = Arc::clone(&clock);
        std::thread::Builder::new()
            .name("test-clock".to_owned())
            .spawn(move || {
                while let Ok(reading) = read_reading(&mut reader) {
                    follower.now.send_replace(reading);
                    if reader.get_mut().write_all(b"ok\n").is_err() {
                        break;
                    }
                }
            })?;
        Ok(clock)
    }

    fn change(&self, edit: impl FnOnce(&mut Reading)) {
        let mut followers = self
            .followers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.now.send_modify(edit);
        let line = self.now.borrow().line();
        followers.streams.retain(|_, stream| tell(stream, &line));
    }
}

/// Sends a reading and waits until it has been taken; false when the follower is gone.
fn tell(stream: &mut BufReader<UnixStream>, line: &str) -> bool {
    if stream.get_mut().write_all(line.as_bytes()).is_err() {
        return false;
    }
    let mut answer = String::new();
    matches!(stream.read_line(&mut answer), Ok(n) if n > 0)
}

fn read_reading(reader: &mut BufReader<UnixStream>) -> std::io::Result<Reading> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Reading::parse(&line).ok_or_else(|| std::io::ErrorKind::InvalidData.into())
}

impl Clock for TestClock {
    fn wall(&self) -> Timestamp {
        Timestamp::from_millisecond(self.now.borrow().wall_ms).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn boot(&self) -> Duration {
        Duration::from_millis(self.now.borrow().boot_ms)
    }

    fn boot_id(&self) -> String {
        self.now.borrow().boot_id.clone()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let mut readings = self.now.subscribe();
        let (start, boot_id) = {
            let now = readings.borrow();
            (now.boot_ms, now.boot_id.clone())
        };
        let until = start.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
        Box::pin(async move {
            // A simulated reboot ends every sleep: whoever slept looks at the time again.
            let _ = readings
                .wait_for(|now| now.boot_ms >= until || now.boot_id != boot_id)
                .await;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change made by the owner is seen by a follower as soon as the call returns.
    #[test]
    fn followers_see_every_change_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("clock");
        let owner = TestClock::new("2026-05-28T05:00:00Z".parse().unwrap());
        owner.serve(&path).unwrap();
        let follower = TestClock::connect(&path).unwrap();
        owner.advance(Duration::from_secs(3600));
        assert_eq!(follower.wall().to_string(), "2026-05-28T06:00:00Z");
        owner.set_wall("2026-05-28T05:30:00Z".parse().unwrap());
        assert_eq!(follower.wall(), owner.wall());
        assert_eq!(follower.boot(), owner.boot());
        owner.reboot();
        assert_eq!(follower.boot_id(), "boot-2");
    }
}
