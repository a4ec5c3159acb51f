//! Makes backups at their times, beside the running daemon, and shows how that goes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clock::Timestamp;
use fiscal::DateTime;
use jiff::ToSpan as _;
use jiff::civil::Time;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{BackupError, LiveStanding, Manifest, Pause, Phase, aside, list, live, take};
use crate::config::BackupConfig;
use crate::ledger::Ledger;

/// How often it is looked whether a backup is due.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// After a failure it is tried again so much later.
const AGAIN_AFTER: Duration = Duration::from_secs(10 * 60);

/// How the backups stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// The folder, where one is configured.
    pub folder: Option<PathBuf>,
    /// Since when this run of the gateway makes them, and keeps the live copy.
    pub kept_since: Option<Timestamp>,
    /// When the latest backup was made.
    pub last: Option<Timestamp>,
    /// One is being made: what it is at, done, of so many.
    pub running: Option<(Phase, u64, u64)>,
    /// Why the last one failed, and when.
    pub trouble: Option<(String, Timestamp)>,
    /// The live copy, where one is configured.
    pub live: Option<LiveStanding>,
}

impl Standing {
    /// Since when the live copy is not what the ledger is, and why. A stick that hangs says nothing: the copy is compared
    /// with the ledger all the time, also when nothing is sold, so this is never long ago while all is well.
    #[must_use]
    pub fn still(&self) -> Option<(String, Timestamp)> {
        let live = self.live.as_ref()?;
        if live.trouble.is_some() {
            return live.trouble.clone();
        }
        let why = match live.running {
            Some((done, total)) => format!("it is being made anew: {done} of {total} pages"),
            None => "its disk or stick does not answer".to_owned(),
        };
        Some((why, live.at.or(self.kept_since)?))
    }
}

/// How the backups stand, to be looked at. Clones show the same.
#[derive(Debug, Clone)]
pub struct BackupView(watch::Sender<Standing>);

impl Default for BackupView {
    fn default() -> Self {
        Self(watch::Sender::new(Standing::default()))
    }
}

impl BackupView {
    /// How they stand now.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.0.borrow().clone()
    }

    /// Hears when that changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Standing> {
        self.0.subscribe()
    }

    pub(super) fn live(&self, change: impl FnOnce(&mut LiveStanding)) {
        self.change(|standing| change(standing.live.get_or_insert_default()));
    }

    fn change(&self, change: impl FnOnce(&mut Standing)) {
        self.0.send_modify(change);
    }
}

/// What the part is made of.
#[derive(Debug, Clone, Default)]
pub struct Backups {
    /// Where backups go and when.
    pub config: BackupConfig,
    /// Where it is shown how they stand.
    pub view: BackupView,
}

impl Backups {
    /// Makes backups of the ledger at `path` at their times, and keeps its live copy, until the stop signal.
    pub async fn run(&self, ledger: &Ledger, path: &Path, stop: &CancellationToken) {
        let now = ledger.time().now();
        self.view.change(|standing| standing.kept_since = Some(now));
        let live = async {
            if let Some(to) = &self.config.live {
                live::keep(&self.view, ledger, path, to, stop).await;
            }
        };
        tokio::join!(self.keep(ledger, path, stop), live);
    }

    async fn keep(&self, ledger: &Ledger, path: &Path, stop: &CancellationToken) {
        let Some(folder) = &self.config.folder else {
            stop.cancelled().await;
            return;
        };
        self.view
            .change(|standing| standing.folder = Some(folder.clone()));
        let clock = ledger.time().clock();
        loop {
            let pause = match self.turn(ledger, path, folder, stop).await {
                Ok(()) => LOOK_EVERY,
                Err(BackupError::Stopped) => return,
                Err(error) => {
                    tracing::error!(%error, "no backup was made");
                    let trouble = Some((error.to_string(), ledger.time().now()));
                    self.view.change(|standing| standing.trouble = trouble);
                    AGAIN_AFTER
                }
            };
            if stop.run_until_cancelled(clock.sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    /// Makes a backup if one is due.
    async fn turn(
        &self,
        ledger: &Ledger,
        path: &Path,
        folder: &Path,
        stop: &CancellationToken,
    ) -> Result<(), BackupError> {
        let (ledger_path, folder) = (path.to_owned(), folder.to_owned());
        let now = ledger.time().now();
        let (config, view) = (self.config.clone(), self.view.clone());
        let (mut pause, stopper) = Pause::new(ledger.time().clock());
        let work = aside("backup", move || {
            let last = latest(&folder, now);
            view.change(|standing| standing.last = last);
            let times: Vec<Time> = config.at.iter().map(|at| at.0).collect();
            if !is_due(clock::local(now), &times, last.map(clock::local)) {
                // One that was made by hand ends the trouble as well.
                view.change(|standing| standing.trouble = None);
                return Ok(None);
            }
            let result = take(
                &ledger_path,
                &folder,
                now,
                config.keep(),
                &mut |phase, done, total| {
                    view.change(|standing| standing.running = Some((phase, done, total)));
                    pause.rest()
                },
            );
            view.change(|standing| standing.running = None);
            result.map(Some)
        });
        tokio::pin!(work);
        let done = tokio::select! {
            done = &mut work => done,
            () = stop.cancelled() => {
                drop(stopper);
                work.await
            }
        };
        let made = done.map_err(|why| BackupError::File {
            path: path.to_owned(),
            why,
        })??;
        if let Some(manifest) = made {
            self.made(&manifest);
        }
        Ok(())
    }

    fn made(&self, manifest: &Manifest) {
        tracing::info!(
            file = manifest.file,
            bytes = manifest.bytes,
            "a backup was made and checked"
        );
        self.view.change(|standing| {
            standing.last = Some(manifest.made);
            standing.trouble = None;
        });
    }
}

/// When the latest backup was made. One from the future was made under a wrong clock and says nothing.
fn latest(folder: &Path, now: Timestamp) -> Option<Timestamp> {
    let made = list(folder).into_iter().map(|one| one.made);
    made.filter(|made| *made <= now).max()
}

/// Whether a time of day has passed since the last backup. One that was missed, because the machine was off, is due at
/// once.
fn is_due(now: DateTime, times: &[Time], last: Option<DateTime>) -> bool {
    let days = [now.date(), now.date().saturating_sub(1.day())];
    let moments = days
        .iter()
        .flat_map(|day| times.iter().map(move |time| day.to_datetime(*time)));
    let passed = moments.filter(|moment| *moment <= now).max();
    passed.is_some_and(|passed| last.is_none_or(|last| last < passed))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A copy that does not follow says why; one that says nothing stands still since it was last compared, or begun.
    #[test]
    fn since_when_a_copy_stands_still() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let (begun, compared) = (at("2026-05-28T08:00:00Z"), at("2026-05-28T09:00:00Z"));
        let mut standing = Standing {
            kept_since: Some(begun),
            ..Standing::default()
        };
        assert_eq!(standing.still(), None, "there is none");
        standing.live = Some(LiveStanding {
            running: Some((1, 9)),
            ..LiveStanding::default()
        });
        let (why, since) = standing.still().unwrap();
        assert!(why.contains("1 of 9 pages") && since == begun, "{why}");
        let live = standing.live.as_mut().unwrap();
        (live.running, live.at) = (None, Some(compared));
        let (why, since) = standing.still().unwrap();
        assert!(
            why.contains("does not answer") && since == compared,
            "{why}"
        );
        let trouble = Some(("no stick".to_owned(), at("2026-05-28T08:30:00Z")));
        standing.live.as_mut().unwrap().trouble.clone_from(&trouble);
        assert_eq!(standing.still(), trouble);
    }

    /// Once for each time of day, and made up for when the machine was off.
    #[test]
    fn when_it_is_due() {
        let date = |text: &str| -> DateTime { text.parse().unwrap() };
        let times = [Time::constant(2, 30, 0, 0), Time::constant(14, 0, 0, 0)];
        for (now, last, due) in [
            ("2026-05-28T08:00:00", None, true),
            ("2026-05-28T08:00:00", Some("2026-05-28T02:30:00"), false),
            ("2026-05-28T08:00:00", Some("2026-05-27T23:00:00"), true),
            ("2026-05-28T14:00:00", Some("2026-05-28T02:30:05"), true),
            ("2026-05-28T14:00:01", Some("2026-05-28T14:00:00"), false),
            ("2026-05-28T01:00:00", Some("2026-05-27T14:00:02"), false),
            ("2026-05-28T01:00:00", Some("2026-05-27T13:00:00"), true),
        ] {
            assert_eq!(
                is_due(date(now), &times, last.map(date)),
                due,
                "{now} {last:?}"
            );
        }
        assert!(!is_due(date("2026-05-28T08:00:00"), &[], None));
    }
}
