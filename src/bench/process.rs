//! The daemon as a process of its own, as systemd starts it: what it takes of the machine, and how soon it is ready.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clock::{Clock as _, SystemClock};

use super::load::Connection;

/// A daemon that takes longer to start has failed.
const START: Duration = Duration::from_secs(60);
/// A tick of the processor time that Linux tells, in seconds.
const TICK_S: f64 = 0.01;

/// A running daemon; dropped, it is killed.
pub(super) struct Daemon {
    child: Child,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // One that has ended already is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Daemon {
    /// Starts this program on a configuration, and on the clock that is served at `clock`, or the machine's.
    pub(super) fn start(config: &Path, clock: Option<&Path>) -> anyhow::Result<Self> {
        Self::start_of(&std::env::current_exe()?, config, clock)
    }

    fn start_of(program: &Path, config: &Path, clock: Option<&Path>) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.arg("--config").arg(config).arg("run");
        if let Some(clock) = clock {
            command.arg("--test-clock").arg(clock);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let child = child.with_context(|| format!("{}", program.display()))?;
        Ok(Self { child })
    }

    fn proc(&self, file: &str) -> anyhow::Result<String> {
        let path = PathBuf::from(format!("/proc/{}/{file}", self.child.id()));
        std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))
    }

    /// Resident memory in KiB.
    pub(super) fn rss_kib(&self) -> anyhow::Result<u32> {
        let status = self.proc("status")?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number.context("no VmRSS")?.parse().context("VmRSS")
    }

    /// Processor time so far, of all its threads, in seconds.
    #[expect(clippy::float_arithmetic, reason = "a time of a report, no money")]
    pub(super) fn cpu_s(&self) -> anyhow::Result<f64> {
        let stat = self.proc("stat")?;
        // The name in parentheses may hold anything; utime and stime are the 12th and 13th after it.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let mut fields = fields.split_whitespace().skip(11);
        let mut next = || -> anyhow::Result<u32> { Ok(fields.next().context("stat")?.parse()?) };
        Ok((f64::from(next()?) + f64::from(next()?)) * TICK_S)
    }

    /// Stops it in order.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let ended = self.child.wait()?;
        ensure!(ended.success(), "the daemon ended with {ended}");
        Ok(())
    }

    /// Waits for a good answer of /readyz.
    pub(super) async fn ready(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let start = SystemClock.boot();
        loop {
            if let Ok(mut connection) = Connection::open(address, None).await
                && connection.get("/readyz").await.unwrap_or(false)
            {
                return Ok(());
            }
            if let Some(ended) = self.child.try_wait()? {
                anyhow::bail!("the daemon ended at its start with {ended}");
            }
            ensure!(
                SystemClock.boot().saturating_sub(start) < START,
                "the daemon is not ready"
            );
            SystemClock.sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Starts it, and waits until it takes sales; milliseconds from the one to the other.
#[expect(clippy::float_arithmetic, reason = "a time of a report, no money")]
pub(super) async fn started(
    config: &Path,
    clock: Option<&Path>,
    address: SocketAddr,
) -> anyhow::Result<(Daemon, f64)> {
    let start = SystemClock.boot();
    let mut daemon = Daemon::start(config, clock)?;
    daemon.ready(address).await?;
    let took = SystemClock.boot().saturating_sub(start);
    Ok((daemon, took.as_secs_f64() * 1e3))
}

/// Starts another build of it on the machine's clock, and waits until it takes sales.
pub(super) async fn started_of(
    program: &Path,
    config: &Path,
    address: SocketAddr,
) -> anyhow::Result<Daemon> {
    let mut daemon = Daemon::start_of(program, config, None)?;
    daemon.ready(address).await?;
    Ok(daemon)
}

/// An address on loopback where nobody listens yet.
pub(super) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// The configuration of a store whose FDMS is out of reach.
pub(super) fn config(data_dir: &Path, address: SocketAddr) -> String {
    format!(
        "[store]\ndata_dir = {data_dir:?}\n[api]\nlisten = \"{address}\"\n\
         [fdms]\ntest_url = \"https://127.0.0.1:1\"\n[log]\nlevel = \"off\"\n"
    )
}
