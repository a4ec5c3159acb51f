//! `fiscald run` and `fiscald check-config`.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clock::{SharedClock, SystemClock};
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::reload::Reload;
use super::terminal::printable;
use super::{Done, Failure, RunArgs};
use crate::api::{ApiSettings, Devices};
use crate::backup::Backups;
use crate::config::{Config, INSTALLED};
use crate::daemon::{ConfiguredConnector, Daemon, Listeners, api_settings, stop_signal};
use crate::doctor::{Finding, configured};
use crate::hq::{HeadOffice, HqView};
use crate::keys::SealingKey;
use crate::lan::{is_here, listen_ahead};
use crate::ledger::core::Core;
use crate::ledger::lock::only_one;
use crate::ledger::{Ledger, StorageError};
use crate::pos::PosPorts;
use crate::print::Printers;
use crate::submit::Submitter;
use crate::systemd::Sockets;

pub(super) fn run(config: &Config, file: Option<&Path>, args: &RunArgs) -> Done {
    crate::private::shut_others_out();
    let sockets = Sockets::take();
    let logging = crate::telemetry::start(&config.log).map_err(Failure::configured)?;
    let clock = the_clock(args)?;
    let settings = config.settings().map_err(anyhow::Error::msg)?;
    let path = config.ledger_path();
    let sealing = config.sealing_key().with_context(|| {
        format!(
            "the ledger in {} cannot be opened; a new store is set up by `fiscald register`",
            config.data_dir().display()
        )
    })?;
    let _lock = only_one(&config.data_dir())?;
    let core =
        Core::open(&path, sealing.clone(), clock, settings).map_err(|error| match error {
            // Only a person can say how a restore goes on.
            StorageError::SetAside { .. } => Failure::configured(error),
            other => other.into(),
        })?;
    let ledger = Ledger::start(core, &path)?;
    super::runtime()?.block_on(async {
        let api = api_settings(config).map_err(Failure::configured)?;
        let reload = Reload::new(file, api.admission.clone(), &logging);
        let listeners = listen(config, sockets).await?;
        let daemon = daemon(config, ledger, sealing, listeners, api)?;
        serve(config, daemon, &reload).await
    })
}

fn daemon(
    config: &Config,
    ledger: Ledger,
    sealing: SealingKey,
    listeners: Listeners,
    api: ApiSettings,
) -> anyhow::Result<Daemon> {
    Ok(Daemon {
        listeners: Some(listeners),
        connector: Some(Arc::new(ConfiguredConnector::new(config, &ledger))),
        submitter: Submitter::default(),
        devices: Devices {
            printers: Printers::new(config.print_plan().map_err(anyhow::Error::msg)?),
            pos: PosPorts::new(config.pos().map_err(anyhow::Error::msg)?),
        },
        hq: Some(HeadOffice {
            sealing,
            fdms: config.fdms.clone(),
            log: config.log.directory.clone(),
            view: HqView::default(),
        }),
        ledger_path: Some(config.ledger_path()),
        backups: Backups {
            config: config.backup.clone(),
            view: api.backup.clone(),
        },
        api,
        ledger,
        stop: CancellationToken::new(),
    })
}

async fn serve(config: &Config, daemon: Daemon, reload: &Reload<'_>) -> Done {
    let stop = daemon.stop.clone();
    // Before systemd hears that we are ready: a reload it then asks for finds somebody who listens.
    let mut hang_up = signal(SignalKind::hangup())?;
    tracing::info!(address = %config.api.listen, socket = %config.socket_path().display(), "fiscald runs");
    let mut running = tokio::spawn(daemon.run());
    let told = stop_signal();
    tokio::pin!(told);
    loop {
        tokio::select! {
            signal = &mut told => {
                signal?;
                stop.cancel();
                running.await??;
                break;
            }
            ended = &mut running => {
                ended??;
                break;
            }
            Some(()) = hang_up.recv() => reload.now(),
        }
    }
    tracing::info!("fiscald has stopped");
    Ok(ExitCode::SUCCESS)
}

#[cfg(feature = "test-clock")]
pub(super) fn clock_at(socket: Option<&Path>) -> anyhow::Result<SharedClock> {
    match socket {
        None => Ok(Arc::new(SystemClock)),
        Some(path) => Ok(clock::TestClock::connect(path)
            .with_context(|| format!("nobody serves a clock at {}", path.display()))?),
    }
}

#[cfg(feature = "test-clock")]
fn the_clock(args: &RunArgs) -> anyhow::Result<SharedClock> {
    clock_at(args.test_clock.as_deref())
}

#[cfg(not(feature = "test-clock"))]
fn the_clock(_: &RunArgs) -> anyhow::Result<SharedClock> {
    Ok(Arc::new(SystemClock))
}

async fn listen(config: &Config, mut sockets: Sockets) -> Result<Listeners, Failure> {
    let api = &config.api;
    let http = tcp(api.listen).await?;
    let lines = match api.lines_listen {
        None => None,
        Some(address) => Some(tcp(address).await?),
    };
    let lan = match &api.lan {
        None => None,
        Some(lan) => Some(at_shops_address(lan.listen)?),
    };
    let path = config.socket_path();
    // systemd's, if it has opened it for us: tills that connect while we are away then wait instead of failing.
    let unix = match sockets.unix(&path)? {
        Some(listener) => UnixListener::from_std(listener)?,
        None => make_socket(&path, "socket").map_err(Failure::configured)?,
    };
    Ok(Listeners {
        http,
        unix: Some(unix),
        lines,
        lines_unix: match &api.lines_socket {
            None => None,
            Some(path) => Some(make_socket(path, "lines_socket").map_err(Failure::configured)?),
        },
        lan,
    })
}

async fn tcp(address: SocketAddr) -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|error| not_listened_on(address, error))
}

/// The port for other machines. That the network has not given the address yet keeps nobody on this machine from selling.
fn at_shops_address(address: SocketAddr) -> Result<TcpListener, Failure> {
    let listener = listen_ahead(address).map_err(|error| not_listened_on(address, error))?;
    if !is_here(address) {
        tracing::warn!(
            %address,
            "no interface of this machine has the address of [api.lan]: tills on other machines come in as soon as it is there"
        );
    }
    Ok(listener)
}

/// A port that is still another's, or an address that is not ready yet, may be there at the next start.
fn not_listened_on(address: SocketAddr, error: std::io::Error) -> Failure {
    let passes = matches!(
        error.kind(),
        ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable
    );
    let error = anyhow::Error::new(error).context(format!(
        "{address} cannot be listened on; is another fiscald running, or another program on this port? Is the address this machine's?"
    ));
    match passes {
        true => error.into(),
        false => Failure::configured(error),
    }
}

/// A Unix socket that every local user may connect to; who may do what is decided by the peer's user.
/// `setting` is what named it, in `[api]`. Anything there that is no socket is left alone, and an error.
fn make_socket(path: &Path, setting: &str) -> anyhow::Result<UnixListener> {
    // A socket that a killed daemon left behind takes no connections; a living one does.
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        anyhow::bail!("another fiscald answers on {}", path.display());
    }
    if let Ok(found) = std::fs::symlink_metadata(path) {
        if !found.file_type().is_socket() {
            anyhow::bail!(
                "`{setting}` in [api] names {}, which is there and is no socket; it is left as it is. \
                 Name another path, or move what is there away",
                path.display()
            );
        }
        std::fs::remove_file(path).with_context(|| {
            format!(
                "the socket {} that an earlier fiscald left (`{setting}` in [api]) cannot be removed",
                path.display()
            )
        })?;
    }
    let listener = UnixListener::bind(path).with_context(|| {
        format!(
            "{} (`{setting}` in [api]) cannot be listened on",
            path.display()
        )
    })?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

pub(super) fn check(config: &Config, path: Option<&Path>) -> Done {
    let source = path.map_or("the defaults".to_owned(), |path| path.display().to_string());
    let faults = configured(config);
    match faults.is_empty() {
        true => println!("{source}: good"),
        false => println!("{source}: not good"),
    }
    for Finding { text, next, .. } in &faults {
        let next = next.as_deref().unwrap_or_default();
        let line = path.and_then(|path| Config::line_of(path, text));
        let line = line.map_or(String::new(), |line| format!("line {line}: "));
        println!("  {}", printable(&format!("{line}{text}. {next}")));
    }
    for warning in beside_the_unit(config, path) {
        println!("  take care: {warning}");
    }
    println!("ledger          {}", config.ledger_path().display());
    check_doors(config);
    println!("FDMS test       {}", config.fdms.test_url);
    println!("FDMS production {}", config.fdms.production_url);
    println!("currencies      {}", config.store.currencies.join(", "));
    let settings = config.settings().map_err(anyhow::Error::msg)?;
    println!("fiscal days     {}", settings.days);
    for till in settings.tills.keys() {
        let ((environment, device), days) = (till, settings.days(*till));
        println!("  till {device} ({environment}): {days}");
    }
    check_copies(config);
    check_devices(config).map_err(anyhow::Error::msg)?;
    match &config.sealing_key() {
        Ok(key) => println!("sealing key     {}", key.name()),
        Err(error) => println!("sealing key     none yet: {error}"),
    }
    Ok(match faults.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(super::EX_CONFIG),
    })
}

fn check_doors(config: &Config) {
    println!("HTTP            http://{}", config.api.listen);
    println!("Unix socket     {}", config.socket_path().display());
    if let Some(address) = config.api.lines_listen {
        println!("JSON lines      {address}");
    }
    if let Some(lan) = &config.api.lan {
        let away = match is_here(lan.listen) {
            true => "",
            false => " (no interface has this address at the moment)",
        };
        println!(
            "other machines  https://{}{away}, allowed: {}",
            lan.listen,
            lan.allow.join(", ")
        );
    }
}

/// The package's units start on a ledger in this folder alone.
const UNIT_DATA_DIR: &str = "/var/lib/fiscald";

/// Below these, and nowhere else, they let the gateway write.
const UNIT_FOLDERS: [&str; 4] = [UNIT_DATA_DIR, "/var/log/fiscald", "/mnt", "/media"];

/// What the package's units will not go along with, in the package's configuration.
fn beside_the_unit(config: &Config, path: Option<&Path>) -> Vec<String> {
    let mut warnings = Vec::new();
    if path != Some(Path::new(INSTALLED)) {
        return warnings;
    }
    let folder = config.data_dir();
    if folder != Path::new(UNIT_DATA_DIR) {
        warnings.push(format!(
            "fiscald.service starts on a ledger in {UNIT_DATA_DIR} alone, and may not write in {}. For a ledger on another disk \
             mount that disk on {UNIT_DATA_DIR} and leave data_dir as it was",
            folder.display()
        ));
    }
    let is_open = |folder: &Path| UNIT_FOLDERS.iter().any(|open| folder.starts_with(open));
    if let Some(logs) = config
        .log
        .directory
        .as_deref()
        .filter(|logs| !is_open(logs))
    {
        let logs = logs.display();
        warnings.push(format!(
            "fiscald.service may not write in {logs} (log.directory), and does not start unless a drop-in lets it: \
             `systemctl edit fiscald` with `ReadWritePaths=-{logs}` in [Service]"
        ));
    }
    warnings
}

/// Where copies go. A disk that is not in its place is no fault of the configuration.
fn check_copies(config: &Config) {
    match &config.backup.folder {
        None => println!("backups         none: `folder` in [backup] names where they go"),
        Some(folder) if folder.is_dir() => println!("backups         {}", folder.display()),
        Some(folder) => println!(
            "backups         {} (it is not there, or may not be looked into: is the disk mounted?)",
            folder.display()
        ),
    }
    if let Some(live) = &config.backup.live {
        println!("live copy       {}", live.display());
    }
}

/// Printers and ports.
fn check_devices(config: &Config) -> Result<(), String> {
    for printer in config.print_plan()?.printers {
        println!(
            "printer         {}: {}, {} columns",
            printer.name, printer.link, printer.profile.columns
        );
    }
    for port in config.pos()? {
        let (environment, device) = port.till;
        println!(
            "port            {}: {}, till {device} ({environment}), printer {}",
            port.name, port.listen, port.printer
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ledger elsewhere is warned of where the package's units would not start on it, and nowhere else.
    #[test]
    fn the_units_know_one_folder() {
        let of = |folder: &str| {
            let text = format!("[store]\ndata_dir = {folder:?}\n");
            Config::parse(Path::new(INSTALLED), &text).unwrap()
        };
        let installed = Some(Path::new(INSTALLED));
        assert_eq!(beside_the_unit(&of(UNIT_DATA_DIR), installed), [""; 0]);
        let warned = beside_the_unit(&of("/srv/fiscald"), installed);
        assert_eq!(warned.len(), 1);
        assert!(
            warned[0].contains("/srv/fiscald") && warned[0].contains("mount"),
            "{warned:?}"
        );
        let own = Some(Path::new("fiscald.toml"));
        assert_eq!(beside_the_unit(&of("/srv/fiscald"), own), [""; 0]);
        let logging = |to: &str| {
            let mut config = of(UNIT_DATA_DIR);
            config.log.directory = Some(to.into());
            beside_the_unit(&config, installed)
        };
        for open in ["/var/log/fiscald", "/mnt/logs"] {
            assert_eq!(logging(open), [""; 0], "{open}");
        }
        let warned = logging("/var/log/fiscald-2");
        assert!(
            warned.len() == 1 && warned[0].contains("ReadWritePaths=-/var/log/fiscald-2"),
            "{warned:?}"
        );
        // It is the folder that the units name.
        for unit in ["fiscald.service", "fiscald.socket"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("packaging/fiscald")
                .join(unit);
            let text = std::fs::read_to_string(path).unwrap();
            let condition = format!("ConditionPathExists={UNIT_DATA_DIR}/ledger.db\n");
            assert!(text.contains(&condition), "{unit}");
        }
    }

    /// A socket that was left behind is replaced; a file or a link that the setting names by mistake stays.
    #[tokio::test]
    async fn only_sockets_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.sock");
        drop(make_socket(&path, "socket").unwrap());
        // Its file is still there, and nobody answers on it.
        let again = make_socket(&path, "socket").unwrap();
        assert!(
            make_socket(&path, "socket").is_err(),
            "somebody answers on it"
        );
        drop(again);

        let ledger = dir.path().join("ledger.db");
        std::fs::write(&ledger, "receipts").unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&ledger, &link).unwrap();
        for wrong in [&ledger, &link] {
            let error = make_socket(wrong, "lines_socket").unwrap_err().to_string();
            assert!(error.contains("`lines_socket`"), "{error}");
            assert!(error.contains(&wrong.display().to_string()), "{error}");
            assert_eq!(std::fs::read_to_string(wrong).unwrap(), "receipts");
        }
        assert!(link.is_symlink());
    }
}
