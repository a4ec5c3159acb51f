//! Logs: a sentence that stands alone plus fields with units; never keys, tokens, buyers or bodies.

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_appender::rolling::{InitError, RollingFileAppender, Rotation};
use tracing_subscriber::EnvFilter;

use crate::config::LogConfig;

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
    #[error("log.directory: {0}")]
    Directory(#[from] InitError),
}

/// Starts logging. Logs are written by a thread of their own until the guard is dropped.
///
/// # Errors
/// The configuration makes no sense, or the folder cannot be written.
pub fn start(config: &LogConfig) -> Result<WorkerGuard, TelemetryError> {
    let filter = EnvFilter::try_new(&config.level).map_err(|error| TelemetryError::Level {
        level: config.level.clone(),
        why: error.to_string(),
    })?;
    let builder = NonBlockingBuilder::default().buffered_lines_limit(WAITING_LINES);
    let (writer, guard) = match &config.directory {
        None => builder.finish(std::io::stderr()),
        Some(directory) => {
            let files = RollingFileAppender::builder()
                .rotation(Rotation::DAILY)
                .filename_prefix("fiscald")
                .filename_suffix("log")
                .max_log_files(config.keep)
                .build(directory)?;
            builder.finish(files)
        }
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(writer);
    // A second start (in tests) keeps the first one's writer.
    let _ = if config.json {
        builder.json().try_init()
    } else {
        builder.try_init()
    };
    Ok(guard)
}
