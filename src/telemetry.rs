//! Logs: a sentence that stands alone plus fields with units; never keys, tokens, buyers or bodies.
//!
//! Under systemd they go to the journal, each line with its priority; with a folder configured they go to daily files,
//! too. Files are limited in number and each in size: a log must never take the room that sales need.

use std::io::Write;
use std::path::Path;

use clock::{Clock as _, SystemClock};
use rustix::fs::Access;
use tracing::{Event, Level, Subscriber};
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_appender::rolling::{InitError, RollingFileAppender, Rotation};
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::config::LogConfig;

/// How the names of the files begin; their day follows.
const PREFIX: &str = "fiscald";
/// How they end.
const SUFFIX: &str = "log";
/// Lines that may wait to be written; more are dropped rather than waited for. Their places are taken from
/// memory at once, 32 bytes each.
const WAITING_LINES: usize = 4096;

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `log.level` is no filter.
    #[error("log.level = \"{level}\" cannot be read: {why}; write `info` or `fiscald=debug`")]
    Level {
        /// What was configured.
        level: String,
        /// Why it is none.
        why: String,
    },
    /// The folder for the files cannot be written.
    #[error("{0}. Give it to the gateway's user, or name another folder")]
    Folder(String),
    /// The same, found only when it was tried.
    #[error("log.directory: {0}")]
    Directory(#[from] InitError),
}

/// Logging, as long as it is held; what waits is written when it is dropped.
#[derive(Debug)]
pub struct Logging {
    _threads: Vec<WorkerGuard>,
    filter: reload::Handle<EnvFilter, Registry>,
}

impl Logging {
    /// Logs more or less from now on.
    ///
    /// # Errors
    /// `level` is no filter; what is logged stays as it was.
    pub fn set_level(&self, level: &str) -> Result<(), TelemetryError> {
        let filter = filter(level)?;
        // It fails only where another logging was started before this one (in tests).
        if let Err(error) = self.filter.reload(filter) {
            tracing::warn!(%error, "what is logged stays as it was");
        }
        Ok(())
    }
}

fn filter(level: &str) -> Result<EnvFilter, TelemetryError> {
    EnvFilter::try_new(level).map_err(|error| TelemetryError::Level {
        level: level.to_owned(),
        why: error.to_string(),
    })
}

/// Whether log files can be written where the configuration has them, as far as that is seen without writing. A folder that
/// is not there is made at the start.
///
/// # Errors
/// Which folder or file is in the way, and why.
pub fn check_folder(config: &LogConfig) -> Result<(), String> {
    let why = config.directory.as_deref().and_then(unwritable);
    why.map_or(Ok(()), |why| Err(format!("log.directory: {why}")))
}

fn unwritable(folder: &Path) -> Option<String> {
    let there = folder.ancestors().find(|path| path.exists());
    let there = there.unwrap_or(Path::new("."));
    if !there.is_dir() {
        return Some(format!("{} is no folder", there.display()));
    }
    let user = rustix::process::geteuid().as_raw();
    let today = SystemClock.wall().strftime("%Y-%m-%d");
    let file = folder.join(format!("{PREFIX}.{today}.{SUFFIX}"));
    let may_write = |path: &Path, how: Access| rustix::fs::access(path, how).is_ok();
    let kept_out: &Path = if !may_write(there, Access::WRITE_OK | Access::EXEC_OK) {
        there
    } else if file.exists() && !may_write(&file, Access::WRITE_OK) {
        &file
    } else {
        return None;
    };
    Some(format!(
        "{} may not be written by user {user}, or its disk is write-protected",
        kept_out.display()
    ))
}

/// Starts logging. Logs are written by threads of their own until what this gives is dropped.
///
/// # Errors
/// The configuration makes no sense, or the folder cannot be written.
pub fn start(config: &LogConfig) -> Result<Logging, TelemetryError> {
    let (filter, handle) = reload::Layer::new(filter(&config.level)?);
    let mut threads = Vec::new();
    let mut layers: Vec<Box<dyn Layer<_> + Send + Sync>> = Vec::new();
    if let Some(directory) = &config.directory {
        check_folder(config).map_err(TelemetryError::Folder)?;
        let files = RollingFileAppender::builder()
            .rotation(Rotation::DAILY)
            .filename_prefix(PREFIX)
            .filename_suffix(SUFFIX)
            .max_log_files(config.keep)
            .build(directory)?;
        let most = u64::from(config.max_mb) << 20;
        let writer = beside(Limited::new(files, most), &mut threads);
        layers.push(plain(writer, config.json));
    }
    // systemd says where its journal is to whoever writes there.
    let is_journal = std::env::var_os("JOURNAL_STREAM").is_some();
    if is_journal || config.directory.is_none() {
        let writer = beside(std::io::stderr(), &mut threads);
        layers.push(match is_journal && !config.json {
            true => tracing_subscriber::fmt::layer()
                .with_ansi(false)
                .with_writer(writer)
                .event_format(Journal::default())
                .boxed(),
            false => plain(writer, config.json),
        });
    }
    // A second start (in tests) keeps the first one's writers.
    let _ = tracing_subscriber::registry()
        .with(filter)
        .with(layers)
        .try_init();
    Ok(Logging {
        _threads: threads,
        filter: handle,
    })
}

fn beside(writer: impl Write + Send + 'static, threads: &mut Vec<WorkerGuard>) -> NonBlocking {
    let builder = NonBlockingBuilder::default().buffered_lines_limit(WAITING_LINES);
    let (writer, guard) = builder.finish(writer);
    threads.push(guard);
    writer
}

fn plain<S>(writer: NonBlocking, json: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(writer);
    match json {
        true => layer.json().boxed(),
        false => layer.boxed(),
    }
}

/// Lines for the journal: the priority in front, and no time, for the journal has its own.
#[derive(Debug)]
struct Journal(Format<Full, ()>);

impl Default for Journal {
    fn default() -> Self {
        Self(Format::default().without_time().with_ansi(false))
    }
}

/// The journal's number for it (`sd-daemon(3)`).
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

impl<S, N> FormatEvent<S, N> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        write!(writer, "<{}>", priority(*event.metadata().level()))?;
        self.0.format_event(context, writer, event)
    }
}

/// Writes so many bytes a day at most. What is beyond is dropped, and said once.
struct Limited<W> {
    writer: W,
    most: u64,
    day: i64,
    written: u64,
    today: fn() -> i64,
}

/// The day of the files' names, counted from 1970 in UTC.
fn utc_day() -> i64 {
    SystemClock.wall().as_second().div_euclid(24 * 3600)
}

impl<W: Write> Limited<W> {
    fn new(writer: W, most: u64) -> Self {
        Self {
            writer,
            most,
            day: utc_day(),
            written: 0,
            today: utc_day,
        }
    }
}

impl<W: Write> Write for Limited<W> {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let today = (self.today)();
        if today != self.day {
            (self.day, self.written) = (today, 0);
        }
        let before = self.written;
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        self.written = before.saturating_add(length);
        if self.written <= self.most {
            self.writer.write_all(line)?;
        } else if before <= self.most {
            let words = "the log of this day has reached its limit (log.max_mb); nothing more of it is kept\n";
            self.writer.write_all(words.as_bytes())?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Whole lines up to the limit, one that says so, nothing more; the next day begins anew.
    #[test]
    fn a_day_has_a_limit() {
        static DAY: AtomicI64 = AtomicI64::new(1);
        let mut limited = Limited {
            today: || DAY.load(Ordering::Relaxed),
            day: 1,
            ..Limited::new(Vec::new(), 20)
        };
        for _ in 0..5 {
            assert_eq!(limited.write(b"12345678\n").unwrap(), 9);
        }
        DAY.store(2, Ordering::Relaxed);
        limited.write_all(b"next day\n").unwrap();
        let text = String::from_utf8(limited.writer).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            (lines[0], lines[1], lines[3]),
            ("12345678", "12345678", "next day")
        );
        assert!(lines[2].contains("log.max_mb"), "{text}");
        assert_eq!(lines.len(), 4);
    }

    /// What the journal gets: priority, no time, the sentence and its fields.
    #[test]
    fn the_journal_gets_priorities() {
        let text = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&text);
        struct Sink(Arc<Mutex<Vec<u8>>>);
        impl Write for Sink {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let layer = tracing_subscriber::fmt::layer()
            .with_ansi(false)
            .with_writer(move || Sink(Arc::clone(&sink)))
            .event_format(Journal::default());
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            tracing::error!(seconds = 3, "the disk is full");
            tracing::info!("fiscald runs");
        });
        let text = String::from_utf8(text.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("<3>"), "{text}");
        assert!(lines[0].ends_with("the disk is full seconds=3"), "{text}");
        assert!(
            lines[1].starts_with("<6>") && !text.contains("T0"),
            "{text}"
        );
    }
}
