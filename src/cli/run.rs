//! `fiscald run` and `fiscald check-config`.

use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clock::{SharedClock, SystemClock};
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;

use super::{Done, RunArgs};
use crate::api::Devices;
use crate::backup::Backups;
use crate::config::{Config, Plays, picture};
use crate::daemon::{
    ConfiguredConnector, Daemon, Lan, Listeners, api_settings, lan_parts, stop_signal,
};
use crate::hq::{HeadOffice, HqView};
use crate::keys::SealingKey;
use crate::ledger::Ledger;
use crate::ledger::core::Core;
use crate::ledger::lock::only_one;
use crate::pos::PosPorts;
use crate::print::Printers;
use crate::submit::Submitter;

pub(super) fn run(config: &Config, args: &RunArgs) -> Done {
    crate::private::shut_others_out();
    let _guard = crate::telemetry::start(&config.log)?;
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
    let core = Core::open(&path, sealing.clone(), clock, settings)?;
    let ledger = Ledger::start(core, &path)?;
    super::runtime()?.block_on(serve(config, ledger, sealing))
}

async fn serve(config: &Config, ledger: Ledger, sealing: SealingKey) -> Done {
    let stop = CancellationToken::new();
    let api = api_settings(config);
    let daemon = Daemon {
        listeners: Some(listen(config).await?),
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
        stop: stop.clone(),
    };
    tracing::info!(address = %config.api.listen, socket = %config.socket_path().display(), "fiscald runs");
    let mut running = tokio::spawn(daemon.run());
    tokio::select! {
        signal = stop_signal() => {
            signal?;
            stop.cancel();
            running.await??;
        }
        ended = &mut running => ended??,
    }
    tracing::info!("fiscald has stopped");
    Ok(ExitCode::SUCCESS)
}

#[cfg(feature = "test-clock")]
fn the_clock(args: &RunArgs) -> anyhow::Result<SharedClock> {
    match &args.test_clock {
        None => Ok(Arc::new(SystemClock)),
        Some(path) => Ok(clock::TestClock::connect(path)
            .with_context(|| format!("nobody serves a clock at {}", path.display()))?),
    }
}

#[cfg(not(feature = "test-clock"))]
fn the_clock(_: &RunArgs) -> anyhow::Result<SharedClock> {
    Ok(Arc::new(SystemClock))
}

async fn listen(config: &Config) -> anyhow::Result<Listeners> {
    let api = &config.api;
    let http = tcp(api.listen).await?;
    let lines = match api.lines_listen {
        None => None,
        Some(address) => Some(tcp(address).await?),
    };
    let lan = match &api.lan {
        None => None,
        Some(lan) => {
            let (tls, allowed) = lan_parts(lan)?;
            Some(Lan {
                listener: tcp(lan.listen).await?,
                tls,
                allowed,
            })
        }
    };
    Ok(Listeners {
        http,
        unix: Some(unix(&config.socket_path(), "socket")?),
        lines,
        lines_unix: match &api.lines_socket {
            None => None,
            Some(path) => Some(unix(path, "lines_socket")?),
        },
        lan,
    })
}

async fn tcp(address: std::net::SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("{address} cannot be listened on; is another fiscald running, or another program on this port?")
    })
}

/// A Unix socket that every local user may connect to; who may do what is decided by the peer's user.
/// `setting` is what named it, in `[api]`. Anything there that is no socket is left alone, and an error.
fn unix(path: &Path, setting: &str) -> anyhow::Result<UnixListener> {
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
    println!("{source}: good");
    println!("ledger          {}", config.ledger_path().display());
    println!("HTTP            http://{}", config.api.listen);
    println!("Unix socket     {}", config.socket_path().display());
    if let Some(address) = config.api.lines_listen {
        println!("JSON lines      {address}");
    }
    if let Some(lan) = &config.api.lan {
        println!(
            "other machines  https://{}, allowed: {}",
            lan.listen,
            lan.allow.join(", ")
        );
    }
    println!("FDMS test       {}", config.fdms.test_url);
    println!("FDMS production {}", config.fdms.production_url);
    println!("currencies      {}", config.store.currencies.join(", "));
    let settings = config.settings().map_err(anyhow::Error::msg)?;
    println!("fiscal days     {}", settings.days);
    for ((environment, device), days) in &settings.days_of {
        println!("  till {device} ({environment}): {days}");
    }
    let good = check_devices(config).map_err(anyhow::Error::msg)?;
    let key = config.sealing_key();
    match &key {
        Ok(key) => println!("sealing key     {}", key.name()),
        Err(error) => println!("sealing key     none yet: {error}"),
    }
    Ok(match good {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(super::EX_CONFIG),
    })
}

/// Printers and ports; false if one of them will not do what it is there for.
fn check_devices(config: &Config) -> Result<bool, String> {
    let mut good = true;
    if let Err(error) = config.logo() {
        println!("  {error}");
        good = false;
    }
    for printer in config.print_plan()?.printers {
        println!(
            "printer         {}: {}, {} columns",
            printer.name, printer.link, printer.profile.columns
        );
        if let Some(path) = printer.logo.as_deref()
            && let Err(error) = picture(path)
        {
            println!("  the logo {} cannot be used: {error}", path.display());
            good = false;
        }
    }
    for port in config.pos()? {
        let (environment, device) = port.till;
        println!(
            "port            {}: {}, till {device} ({environment}), printer {}",
            port.name, port.listen, port.printer
        );
        if let Plays::Printer(templates) = &port.plays
            && let Err(error) = templates.current()
        {
            println!("  {error}");
            good = false;
        }
    }
    Ok(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A socket that was left behind is replaced; a file or a link that the setting names by mistake stays.
    #[tokio::test]
    async fn only_sockets_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.sock");
        drop(unix(&path, "socket").unwrap());
        // Its file is still there, and nobody answers on it.
        let again = unix(&path, "socket").unwrap();
        assert!(unix(&path, "socket").is_err(), "somebody answers on it");
        drop(again);

        let ledger = dir.path().join("ledger.db");
        std::fs::write(&ledger, "receipts").unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&ledger, &link).unwrap();
        for wrong in [&ledger, &link] {
            let error = unix(wrong, "lines_socket").unwrap_err().to_string();
            assert!(error.contains("`lines_socket`"), "{error}");
            assert!(error.contains(&wrong.display().to_string()), "{error}");
            assert_eq!(std::fs::read_to_string(wrong).unwrap(), "receipts");
        }
        assert!(link.is_symlink());
    }
}
