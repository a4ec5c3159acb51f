//! What systemd is told of a running gateway: ready, what a technician reads in `systemctl status`, and that the
//! writer of the ledger is alive, without which the watchdog starts the daemon anew.
//!
//! Started by hand there is no systemd to tell, and all of this does nothing.

use std::fmt::Write as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use fiscal::{DateTime, DeviceId, FiscalDayNo};
use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::ledger::{Environment, Ledger, LedgerError, Reader, StorageError, TillInfo};

/// How often the state is told, and the writer asked, unless the watchdog wants it more often.
const EVERY: Duration = Duration::from_secs(5);
/// Tills that the state names one by one; of more it gives numbers alone.
const NAMED: usize = 4;

/// The sockets that systemd has opened for us, so that tills find one also while the gateway is started anew.
pub struct Sockets(ListenFd);

impl std::fmt::Debug for Sockets {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_tuple("Sockets")
            .field(&self.0.len())
            .finish()
    }
}

impl Sockets {
    /// Takes them over. Called once, before any thread is started.
    #[must_use]
    pub fn take() -> Self {
        Self(ListenFd::from_env())
    }

    /// The socket at `path`, if it is one of them.
    ///
    /// # Errors
    /// One of them is no Unix socket that listens.
    pub fn unix(&mut self, path: &Path) -> std::io::Result<Option<UnixListener>> {
        for place in 0..self.0.len() {
            let Some(listener) = self.0.take_unix_listener(place)? else {
                continue;
            };
            if listener.local_addr()?.as_pathname() == Some(path) {
                listener.set_nonblocking(true)?;
                return Ok(Some(listener));
            }
            tracing::warn!(
                socket = ?listener.local_addr()?, configured = %path.display(),
                "systemd has opened a socket that is not the configured one; it is closed. Let `socket` in [api] and ListenStream= in fiscald.socket name the same path"
            );
        }
        Ok(None)
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd does not hear how the gateway is");
    }
}

/// Takes sales from now on.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Reads its configuration anew; [`ready`] says that it is done.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// Finishes what it has begun, and ends.
pub fn stopping() {
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("stopping: finishing what was begun"),
    ]);
}

/// Tells how the store is, and feeds the watchdog as long as the writer thread answers, healthy disk or not.
pub async fn keep(ledger: Ledger, stop: CancellationToken) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        stop.cancelled().await;
        return;
    }
    let watchdog = sd_notify::watchdog_enabled();
    // Three chances before systemd loses its patience.
    let every = watchdog.map_or(EVERY, |limit| EVERY.min(limit / 3));
    let mut said = String::new();
    loop {
        if writer_lives(&ledger, every).await {
            tell(&[NotifyState::Watchdog]);
        } else {
            tracing::warn!("the ledger's writer does not answer; the watchdog is not fed");
        }
        let now = state(&ledger).await;
        if now != said {
            tell(&[NotifyState::Status(&now)]);
            said = now;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = ledger.time().clock().sleep(every) => {}
        }
    }
}

/// Whether the writer thread does its rounds: it answers a task with nothing in it, or has begun others since.
async fn writer_lives(ledger: &Ledger, patience: Duration) -> bool {
    let before = ledger.heartbeat();
    match timeout(patience, ledger.write(|_| Ok(()))).await {
        // The thread has ended: the daemon does too.
        Ok(Err(LedgerError::Storage(StorageError::Stopping))) => false,
        // More work waits than it can take; whether it is being done shows at its heart.
        Ok(Err(LedgerError::Storage(StorageError::Busy))) | Err(_) => ledger.heartbeat() != before,
        // A disk that is full or broken is no reason to start anew: it would be found the same.
        Ok(_) => true,
    }
}

/// What is told of a till.
struct TillLine {
    device: DeviceId,
    environment: Environment,
    day: Option<(FiscalDayNo, DateTime, u32)>,
    unsent: u32,
    trouble: Option<&'static str>,
}

impl TillLine {
    fn read(reader: &Reader, till: &TillInfo) -> Result<Self, LedgerError> {
        let day = reader.day(till.id, None)?.filter(|day| day.close.is_none());
        let trouble = match (reader.hold(till.id)?, reader.stream(till.id)?.0.parked) {
            (Some(hold), _) => Some(hold.kind.as_str()),
            (None, Some(_)) => Some("its queue is parked"),
            (None, None) => None,
        };
        Ok(Self {
            device: till.device_id,
            environment: till.environment,
            day: day.map(|day| (day.fiscal_day_no, day.opened, day.receipt_counter)),
            unsent: reader.backlog(till.id)?.total(),
            trouble,
        })
    }
}

/// The state in one line.
async fn state(ledger: &Ledger) -> String {
    let tills = ledger.ask(|reader| {
        let tills = reader.tills()?;
        tills
            .iter()
            .map(|till| TillLine::read(reader, till))
            .collect::<Result<Vec<_>, _>>()
    });
    match tills.await {
        Ok(tills) => sentence(&tills, ledger.fault().as_deref()),
        Err(error) => format!("the ledger cannot be read: {error}").replace('\n', " "),
    }
}

fn sentence(tills: &[TillLine], fault: Option<&str>) -> String {
    let mut words = String::new();
    if let Some(fault) = fault {
        let _ = write!(
            words,
            "NOTHING IS SOLD, the ledger takes no writes: {fault}; "
        );
    }
    let unsent: u32 = tills.iter().map(|till| till.unsent).sum();
    let _ = match tills.len() {
        0 => write!(words, "no till yet, register one with `fiscald register`"),
        1 => write!(words, "1 till"),
        count => write!(words, "{count} tills"),
    };
    let _ = match (tills.is_empty(), unsent) {
        (true, _) => Ok(()),
        (false, 0) => write!(words, ", nothing waits for FDMS"),
        (false, 1) => write!(words, ", 1 item waits for FDMS"),
        (false, count) => write!(words, ", {count} items wait for FDMS"),
    };
    if tills.len() > NAMED {
        let open = tills.iter().filter(|till| till.day.is_some()).count();
        let _ = write!(words, ", {open} with an open day");
    }
    // Those that are well go without saying where there are many.
    let named = |till: &&TillLine| tills.len() <= NAMED || till.trouble.is_some();
    for till in tills.iter().filter(named).take(NAMED) {
        let _ = write!(words, "; {} {}: ", till.device, till.environment);
        let _ = match till.day {
            None => write!(words, "no day open"),
            Some((no, opened, receipts)) => {
                write!(words, "day {no} since {opened}, {receipts} receipts")
            }
        };
        if let Some(trouble) = till.trouble {
            let _ = write!(words, " ({trouble})");
        }
    }
    words.replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Settings;
    use crate::ledger::core::Core;

    fn till(device: u32, unsent: u32, trouble: Option<&'static str>) -> TillLine {
        TillLine {
            device: DeviceId::new(device).unwrap(),
            environment: Environment::Test,
            day: None,
            unsent,
            trouble,
        }
    }

    /// A technician reads tills, queue and day in one line, and trouble among many tills.
    #[test]
    fn one_line_says_how_the_store_is() {
        assert!(sentence(&[], None).contains("fiscald register"));
        let opened: DateTime = "2026-05-28T08:00:00".parse().unwrap();
        let mut one = till(7, 0, None);
        one.day = FiscalDayNo::new(3).map(|no| (no, opened, 12));
        assert_eq!(
            sentence(&[one], None),
            "1 till, nothing waits for FDMS; 7 test: day 3 since 2026-05-28T08:00:00, 12 receipts"
        );
        let mut many: Vec<_> = (1..=6).map(|device| till(device, 2, None)).collect();
        many[4].trouble = Some("its queue is parked");
        assert_eq!(
            sentence(&many, Some("I/O\nerror")),
            "NOTHING IS SOLD, the ledger takes no writes: I/O error; 6 tills, 12 items wait for FDMS, \
             0 with an open day; 5 test: no day open (its queue is parked)"
        );
    }

    /// The watchdog is fed while the writer answers, not while it hangs, and again afterwards.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_writer_that_hangs_starves_the_watchdog() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.db");
        let clock = std::sync::Arc::new(clock::SystemClock);
        let key = crate::keys::SealingKey::random().unwrap();
        let core = Core::open(&path, key, clock, Settings::default()).unwrap();
        let ledger = Ledger::start(core, &path).unwrap();
        let long = Duration::from_secs(60);
        assert!(writer_lives(&ledger, long).await);
        let (let_go, held) = std::sync::mpsc::channel::<()>();
        let (begin, begun) = tokio::sync::oneshot::channel();
        let other = ledger.clone();
        let hung = tokio::spawn(async move {
            let work = other.write(move |_| {
                let _ = begin.send(());
                let _ = held.recv();
                Ok(())
            });
            work.await
        });
        begun.await.unwrap();
        assert!(!writer_lives(&ledger, Duration::from_millis(100)).await);
        drop(let_go);
        hung.await.unwrap().unwrap();
        assert!(writer_lives(&ledger, long).await);
        tokio::task::spawn_blocking(move || ledger.stop())
            .await
            .unwrap();
    }
}
