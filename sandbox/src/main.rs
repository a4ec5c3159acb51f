//! `fdms-sandbox`: an FDMS of one's own, on its own.
//!
//! Prints where it listens, where its admin port is and which certificate to trust, and runs until it
//! is interrupted.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::{CommandFactory as _, Parser, Subcommand};
use clock::{SharedClock, SystemClock};
use fdms_sandbox::{DeviceSpec, Fault, RunningSandbox, Sandbox, Settings, read_faults};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long a close takes when nothing is said: what the authority's test server takes.
const USUAL_CLOSE_DELAY_MS: u64 = 5000;

/// A faithful FDMS to develop and test against. For tests only: it keeps nothing secret.
#[derive(Debug, Parser)]
#[command(name = "fdms-sandbox", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Where the gateway API listens (HTTPS).
    #[arg(long, default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// Where the admin port listens (plain HTTP, loopback only).
    #[arg(long, default_value = "127.0.0.1:8444")]
    admin: SocketAddr,
    /// Folder where all is kept: a sandbox that is started on it again goes on where it was. Without it
    /// keys, certificates and all that has happened are gone with the program.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// File to which each request and its answer are added as a line of JSON, secrets blanked.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// A device that is there from the start, as ID:SERIAL:ACTIVATIONKEY; may be given several times.
    #[arg(long, value_name = "ID:SERIAL:KEY", value_parser = read_device)]
    device: Vec<DeviceSpec>,
    /// How long closing a day takes, in milliseconds [default: 5000, or what the data folder says].
    #[arg(long)]
    close_delay_ms: Option<u64>,
    /// Where operation IDs and receiptIDs begin, and what the chances of faults are drawn from.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// File of faults that are there from the start: a JSON list of rules, or one rule in each line.
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// Follow the test clock that another process serves on this Unix socket.
    #[cfg(feature = "test-clock")]
    #[arg(long)]
    clock: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Plays a record, or the journal of a data folder, on a new world, without network, and says where
    /// an answer is another one first; ends with 1 then.
    Replay {
        /// What `--record` has written, or `journal.jsonl`.
        file: PathBuf,
    },
    /// Write manual pages and shell completions into a folder.
    #[command(hide = true)]
    Manual {
        /// The folder.
        folder: PathBuf,
    },
}

/// The serial number may hold colons itself: the ID is before the first, the key behind the last.
fn read_device(text: &str) -> Result<DeviceSpec> {
    let parts = text.split_once(':');
    let parts = parts.and_then(|(id, rest)| Some((id, rest.rsplit_once(':')?)));
    let Some((id, (serial_no, key))) = parts else {
        bail!("a device is written ID:SERIAL:ACTIVATIONKEY, for example 42:SN0001:12AXC178");
    };
    Ok(DeviceSpec {
        device_id: id
            .parse()
            .with_context(|| format!("{id} is no device ID"))?,
        serial_no: serial_no.to_owned(),
        activation_key: key.to_owned(),
        ..DeviceSpec::default()
    })
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let mut arguments = Arguments::parse();
    let usual = tracing_subscriber::filter::LevelFilter::WARN.into();
    let filter = tracing_subscriber::EnvFilter::builder().with_default_directive(usual);
    tracing_subscriber::fmt()
        .with_env_filter(filter.from_env_lossy())
        .with_writer(std::io::stderr)
        .init();
    match arguments.command.take() {
        Some(Command::Replay { file }) => replay(&file),
        Some(Command::Manual { folder }) => {
            manual::write(&Arguments::command(), &folder)?;
            Ok(ExitCode::SUCCESS)
        }
        None => run(arguments).await.map(|()| ExitCode::SUCCESS),
    }
}

fn replay(file: &Path) -> Result<ExitCode> {
    let replay = fdms_sandbox::replay(file)?;
    if let Some(different) = replay.different {
        println!("{}: {different}", file.display());
        return Ok(ExitCode::from(1));
    }
    let (same, skipped) = (replay.same, replay.skipped);
    println!("{same} answers as recorded, {skipped} not compared");
    Ok(ExitCode::SUCCESS)
}

async fn run(arguments: Arguments) -> Result<()> {
    if !arguments.admin.ip().is_loopback() {
        bail!(
            "--admin must be a loopback address such as 127.0.0.1:8444: the admin port is open to all"
        );
    }
    let listener = bind(arguments.listen).await?;
    let admin = bind(arguments.admin).await?;
    let mut builder = Sandbox::builder()
        .clock(shared_clock(&arguments)?)
        .seed(arguments.seed)
        .settings(Settings {
            close_delay_ms: arguments.close_delay_ms.unwrap_or(USUAL_CLOSE_DELAY_MS),
            ..Settings::default()
        });
    let ca = arguments.data.as_ref().map(|folder| folder.join("ca.pem"));
    if let Some(folder) = arguments.data {
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("making the folder {}", folder.display()))?;
        builder = builder.data_dir(folder);
    }
    if let Some(path) = arguments.record {
        builder = builder.record(path);
    }
    for device in arguments.device {
        builder = builder.device(device);
    }
    if let Some(path) = arguments.faults {
        builder = builder.faults(fault_file(&path)?);
    }
    let shutdown = CancellationToken::new();
    let sandbox = builder
        .start(listener, Some(admin), shutdown.clone())
        .await?;
    if let Some(close_delay_ms) = arguments.close_delay_ms {
        set_close_delay(&sandbox, close_delay_ms);
    }
    let admin_url = sandbox.admin_url().unwrap_or_default();
    println!("FDMS sandbox: {}", sandbox.url());
    println!("admin port:   {admin_url}");
    match ca {
        Some(path) => println!("trust:        {}", path.display()),
        None => println!("trust:        {admin_url}/ca.pem"),
    }
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminated.recv() => {}
    }
    shutdown.cancel();
    sandbox.stopped().await;
    Ok(())
}

/// What the command line says counts, though a data folder keeps something else.
fn set_close_delay(sandbox: &RunningSandbox, close_delay_ms: u64) {
    let settings = sandbox.settings();
    if settings.close_delay_ms != close_delay_ms {
        sandbox.set_settings(Settings {
            close_delay_ms,
            ..settings
        });
    }
}

fn fault_file(path: &Path) -> Result<Vec<Fault>> {
    let name = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {name}"))?;
    read_faults(&text).with_context(|| format!("{name} is no file of faults"))
}

async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}: is another program there?"))
}

#[cfg(feature = "test-clock")]
fn shared_clock(arguments: &Arguments) -> Result<SharedClock> {
    match &arguments.clock {
        Some(path) => Ok(clock::TestClock::connect(path)
            .with_context(|| format!("nobody serves a clock at {}", path.display()))?),
        None => Ok(Arc::new(SystemClock)),
    }
}

#[cfg(not(feature = "test-clock"))]
fn shared_clock(_arguments: &Arguments) -> Result<SharedClock> {
    Ok(Arc::new(SystemClock))
}
