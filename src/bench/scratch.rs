//! A folder for a measurement, which goes when the measurement ends: in good order, by an error, or by Ctrl-C. Ledgers
//! with the keys of their tills are made in it, and nobody wants to find those in his working directory.

use std::cell::OnceCell;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clock::{Clock as _, SystemClock};
use tempfile::TempDir;

use super::machine;
use crate::daemon::stop_signal;

/// How the folders' names begin.
const PREFIX: &str = "fiscald-bench-";
/// How long what still runs may write into a folder that is to go.
const PATIENCE: Duration = Duration::from_secs(10);
/// How soon it is tried again.
const AGAIN: Duration = Duration::from_millis(20);

/// A new folder inside `base`, which goes when it is dropped.
pub(super) fn folder(base: &Path) -> anyhow::Result<TempDir> {
    let made = tempfile::Builder::new().prefix(PREFIX).tempdir_in(base);
    made.with_context(|| format!("no folder can be made in {}", base.display()))
}

/// Measures in a folder of its own inside `base`, which is on a disk.
pub(super) fn within<T>(
    base: &Path,
    work: impl AsyncFnOnce(&Path) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    std::fs::create_dir_all(base).with_context(|| format!("{} cannot be made", base.display()))?;
    machine::refuse_tmpfs(base)?;
    on_a_runtime(async || {
        // Made once the signals are listened to, so that no moment is left at which it would stay.
        let dir = OnceCell::new();
        let result = or_signal(async {
            let made = folder(base)?;
            work(dir.get_or_init(|| made).path()).await
        });
        let result = result.await;
        if let Some(dir) = dir.get() {
            clear(dir.path()).await?;
        }
        result
    })
}

/// Measures until that is done, or until a signal.
pub(super) fn or_interrupted<T>(
    work: impl AsyncFnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    on_a_runtime(async || or_signal(work()).await)
}

async fn or_signal<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::select! {
        biased;
        signal = stop_signal() => {
            signal?;
            bail!("it was interrupted, and nothing is told")
        }
        result = work => result,
    }
}

fn on_a_runtime<T>(work: impl AsyncFnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(work());
    // What still runs after an interruption is waited for by nobody.
    runtime.shutdown_background();
    result
}

/// Takes the folder away, also under a daemon that is just stopping and may lay one more file there.
async fn clear(dir: &Path) -> anyhow::Result<()> {
    let start = SystemClock.boot();
    loop {
        match std::fs::remove_dir_all(dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                if SystemClock.boot().saturating_sub(start) > PATIENCE {
                    return Err(error).with_context(|| {
                        format!("{} is left behind; take it away", dir.display())
                    });
                }
            }
            _ => return Ok(()),
        }
        SystemClock.sleep(AGAIN).await;
    }
}
