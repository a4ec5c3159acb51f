//! `fdms-sandbox`: an FDMS of one's own, on its own.
//!
//! Prints where it listens, where its admin port is and which certificate to trust, and runs until it
//! is interrupted.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Parser;
use clock::{SharedClock, SystemClock};
use fdms_sandbox::{DeviceSpec, Fault, Sandbox, Settings, read_faults};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long a close takes when nothing is said: what the authority's test server takes.
const USUAL_CLOSE_DELAY_MS: u64 = 5000;

/// A faithful FDMS to develop and test against. For tests only: it keeps nothing secret.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where the gateway API listens (HTTPS).
    #[arg(long, default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// Where the admin port listens (plain HTTP, loopback only).
    #[arg(long, default_value = "127.0.0.1:8444")]
    admin: SocketAddr,
    /// Folder for the authority's keys and certificates; without it they are new at each start.
    #[arg(long)]
    data: Option<PathBuf>,
    /// A device that is there from the start, as ID:SERIAL:ACTIVATIONKEY; may be given several times.
    #[arg(long, value_name = "ID:SERIAL:KEY", value_parser = read_device)]
    device: Vec<DeviceSpec>,
    /// How long closing a day takes, in milliseconds.
    #[arg(long, default_value_t = USUAL_CLOSE_DELAY_MS)]
    close_delay_ms: u64,
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
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    run(arguments).await
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
            close_delay_ms: arguments.close_delay_ms,
            ..Settings::default()
        });
    let ca = arguments.data.as_ref().map(|folder| folder.join("ca.pem"));
    if let Some(folder) = arguments.data {
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("making the folder {}", folder.display()))?;
        builder = builder.data_dir(folder);
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
