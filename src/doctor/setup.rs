//! The configuration, the files that it names, and who may do what with the store's folder.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::Access as May;
use tracing_subscriber::EnvFilter;

use super::{Area, Finding};
use crate::config::{Config, ConfigError, Plays, picture};
use crate::daemon::lan_door;
use crate::fdms::TrustRoots;
use crate::keys::SealingKey;
use crate::telemetry::check_folder;

const SAMPLE: &str =
    "Correct the file; `fiscald check-config --config FILE` says when it is right.";

/// Reads the configuration and what it names.
pub(super) fn load(path: Option<&Path>, found: &mut Vec<Finding>) -> Option<Config> {
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(error) => {
            found.push(unusable(&error));
            return None;
        }
    };
    let wrong = configured(&config);
    if wrong.is_empty() {
        let source = path.map_or("no file: the defaults hold".to_owned(), |path| {
            path.display().to_string()
        });
        found.push(Finding::ok(Area::Config, source));
    }
    found.extend(wrong);
    Some(config)
}

fn unusable(error: &ConfigError) -> Finding {
    let text = format!("{:#}", Chain(error));
    let text = text.trim().replace('\n', "\n                      ");
    match error {
        ConfigError::Read { source, path } if source.kind() == std::io::ErrorKind::NotFound => {
            Finding::fault(
                Area::Config,
                "config_missing",
                format!("there is no file {}", path.display()),
                "Name the configuration with --config, or put it back where it was.",
            )
        }
        ConfigError::Read { .. } => Finding::fault(
            Area::Config,
            "config_unreadable",
            text,
            "See that it is a file and that the gateway's user may read it (`ls -l`).",
        ),
        ConfigError::Parse { .. } => Finding::fault(Area::Config, "config_invalid", text, SAMPLE),
        ConfigError::Value { .. } => Finding::fault(Area::Config, "config_value", text, SAMPLE),
    }
}

/// An error with what it comes from.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(source) = next {
            write!(formatter, ": {source}")?;
            next = source.source();
        }
        Ok(())
    }
}

/// What a configuration that reads well names and nothing can be done with: settings that the gateway would not start
/// on, and files that are not there or not what they should be. Empty if all is well.
#[must_use]
pub fn configured(config: &Config) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut fault = |code, text: String, next: &str| {
        found.push(Finding::fault(Area::Config, code, text, next));
    };
    if let Err(error) = EnvFilter::try_new(&config.log.level) {
        fault(
            "log_level",
            format!("log.level: \"{}\": {error}", config.log.level),
            "Write `info` or `fiscald=debug`; the gateway does not start with this.",
        );
    }
    if let Err(why) = check_folder(&config.log) {
        fault(
            "log_dir_unwritable",
            why,
            "Give the folder to the gateway's user, or name another one; the gateway does not start with this.",
        );
    }
    if let Some(why) = extra_ca(config) {
        fault(
            "trust_unusable",
            why,
            "Name a file with a CA certificate in PEM, or leave `extra_ca` out where FDMS is reached directly.",
        );
    }
    if let Some(lan) = &config.api.lan
        && let Err(error) = lan_door(lan)
    {
        fault(
            "lan_certificate",
            format!("{error:#}"),
            "Correct [api.lan]: certificate, key and addresses; the gateway does not start with this.",
        );
    }
    for port in config.pos().unwrap_or_default() {
        if let Plays::Printer(templates) = &port.plays
            && let Err(error) = templates.current()
        {
            fault(
                "template_unusable",
                format!("pos: {}: templates: {error}", port.name),
                "Correct the template (/usr/share/doc/fiscald/POS.md); until then nothing that comes in at this port is sold.",
            );
        }
    }
    let logos = config.print_plan().unwrap_or_default().printers;
    let logos = logos.iter().filter_map(|printer| {
        let error = picture(printer.logo.as_deref()?).err()?;
        Some(format!("the logo of printer {}: {error}", printer.name))
    });
    for text in logos.chain(config.logo().err()) {
        found.push(Finding::warning(
            Area::Config,
            "logo_unusable",
            text,
            "Name a PNG, or leave the logo out; papers come without it.",
        ));
    }
    found
}

/// Why the certificate authorities cannot be used.
fn extra_ca(config: &Config) -> Option<String> {
    let pem = match &config.fdms.extra_ca {
        None => None,
        Some(path) => match std::fs::read_to_string(path) {
            Ok(pem) => Some(pem),
            Err(error) => {
                return Some(format!(
                    "fdms.extra_ca: {} cannot be read: {error}",
                    path.display()
                ));
            }
        },
    };
    let error = TrustRoots::load(pem.as_deref()).err()?;
    Some(error.to_string())
}

/// Folders, owners and rights; the sealing key, if it can be used.
pub(super) fn permissions(config: &Config, found: &mut Vec<Finding>) -> Option<SealingKey> {
    let before = found.len();
    let dir = config.data_dir();
    let Ok(meta) = std::fs::metadata(&dir) else {
        found.push(Finding::fault(
            Area::Permissions,
            "data_dir_missing",
            format!("there is no folder {}, or it may not be looked into", dir.display()),
            "Set the store up with `fiscald register`, correct `data_dir` in [store], or mount the disk it is on.",
        ));
        return None;
    };
    if !meta.is_dir() {
        found.push(Finding::fault(
            Area::Permissions,
            "data_dir_no_folder",
            format!("{} is no folder", dir.display()),
            "Name a folder as `data_dir` in [store].",
        ));
        return None;
    }
    folder(&dir, &meta, found);
    files(config, &meta, found);
    let key = sealing_key(config, found);
    let socket = config.socket_path();
    if let Some(parent) = socket.parent()
        && parent != dir
        && !is_of_systemd(&socket)
    {
        writable(parent, found);
    }
    if found.len() == before {
        found.push(Finding::ok(
            Area::Permissions,
            format!("{}: owners and rights are right", dir.display()),
        ));
    }
    key
}

fn folder(dir: &Path, meta: &std::fs::Metadata, found: &mut Vec<Finding>) {
    if rustix::fs::access(dir, May::WRITE_OK | May::EXEC_OK).is_err() {
        found.push(Finding::fault(
            Area::Permissions,
            "data_dir_unwritable",
            format!("{} may not be written by this user", dir.display()),
            format!(
                "Run this as the gateway's user; if it is that, give it the folder: chown -R USER: {}",
                dir.display()
            ),
        ));
    }
    if meta.permissions().mode() & 0o002 != 0 {
        found.push(Finding::warning(
            Area::Permissions,
            "data_dir_open",
            format!("every user of this machine may write in {}", dir.display()),
            format!("chmod o-w {}", dir.display()),
        ));
    }
    if rustix::process::geteuid().is_root() && meta.uid() != 0 {
        found.push(Finding::warning(
            Area::Permissions,
            "run_as_root",
            format!(
                "run as root, while the store belongs to user {}: root may do what the gateway may not",
                meta.uid()
            ),
            format!("Run it as that user: sudo -u '#{}' fiscald doctor", meta.uid()),
        ));
    }
}

/// The files of the ledger belong to the folder's owner, and to nobody else's eyes.
fn files(config: &Config, folder: &std::fs::Metadata, found: &mut Vec<Finding>) {
    let ledger = config.ledger_path();
    let beside = |end: &str| {
        let mut name = ledger.clone().into_os_string();
        name.push(end);
        std::path::PathBuf::from(name)
    };
    let of_the_store = [
        ledger.clone(),
        beside("-wal"),
        beside("-shm"),
        ledger.with_extension("epoch"),
        config.sealing_key_path(),
    ];
    for path in of_the_store {
        let Ok(meta) = std::fs::metadata(&path) else {
            continue;
        };
        if meta.uid() != folder.uid() {
            found.push(Finding::fault(
                Area::Permissions,
                "other_owner",
                format!(
                    "{} belongs to user {}, its folder to user {}",
                    path.display(),
                    meta.uid(),
                    folder.uid()
                ),
                format!(
                    "chown --reference={} {}",
                    config.data_dir().display(),
                    path.display()
                ),
            ));
        }
    }
    if let Ok(meta) = std::fs::metadata(&ledger)
        && meta.permissions().mode() & 0o077 != 0
    {
        found.push(Finding::warning(
            Area::Permissions,
            "ledger_open",
            format!(
                "others than its owner may read {}: sales, buyers",
                ledger.display()
            ),
            format!("chmod 600 {}", ledger.display()),
        ));
    }
}

fn sealing_key(config: &Config, found: &mut Vec<Finding>) -> Option<SealingKey> {
    let error = match config.sealing_key() {
        Ok(key) => return Some(key),
        Err(error) => error,
    };
    let path = config.sealing_key_path();
    let open = std::fs::metadata(&path).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0);
    let (code, next) = if !path.exists() {
        (
            "sealing_key_missing",
            "Put the store's sealing key back, from the other disk or the safe. Without it no till can sign; the recovery \
             passphrase opens the ledger, and a new key alone never does."
                .to_owned(),
        )
    } else if open {
        (
            "sealing_key_open",
            format!(
                "chmod 600 {}; if others had access to it, register the tills anew.",
                path.display()
            ),
        )
    } else {
        (
            "sealing_key_unusable",
            "Put the store's own sealing key there, readable for the gateway's user alone."
                .to_owned(),
        )
    };
    found.push(Finding::fault(
        Area::Permissions,
        code,
        error.to_string(),
        next,
    ));
    None
}

/// A socket of root's was opened by systemd for the gateway, which then need not make one.
fn is_of_systemd(socket: &Path) -> bool {
    let found = std::fs::symlink_metadata(socket);
    found.is_ok_and(|meta| meta.file_type().is_socket() && meta.uid() == 0)
}

fn writable(dir: &Path, found: &mut Vec<Finding>) {
    if rustix::fs::access(dir, May::WRITE_OK | May::EXEC_OK).is_ok() && dir.is_dir() {
        return;
    }
    found.push(Finding::fault(
        Area::Permissions,
        "socket_dir_unwritable",
        format!(
            "{} (api.socket) is no folder that this user may write",
            dir.display()
        ),
        "Make the folder, give it to the gateway's user, or name another one.",
    ));
}
