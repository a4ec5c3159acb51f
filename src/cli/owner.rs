//! Root's commands on an installed store are done as the user whose store it is.
//!
//! Files that root makes in the ledger's folder would be root's, and the daemon could not write them. And what
//! belongs to a lesser user must not be written by root: a link in there could lead anywhere. The sealing key that
//! systemd keeps encrypted can be opened by root alone, so that is done first.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, anyhow, bail};
use nix::unistd::{Gid, Uid, User, initgroups, setgid, setuid};
use zeroize::Zeroizing;

use crate::config::{CREDENTIAL_STORE, Config, SEALING_CREDENTIAL};
use crate::keys::SealingKey;

/// What a command needs of an installed store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// To read the ledger; a sealing key that cannot be opened is no hindrance.
    Ledger,
    /// The sealing key as well.
    Key,
}

/// Becomes the owner of the store's folder, if we are root and he is not. Before any thread is started.
///
/// # Errors
/// The encrypted sealing key cannot be opened, or the user cannot be changed to.
pub(super) fn become_owner(mut config: Config, needs: Needs) -> anyhow::Result<Config> {
    if !Uid::effective().is_root() {
        return Ok(config);
    }
    let folder = config.data_dir();
    // Not there yet: whoever sets the store up will own it.
    let Ok(about) = std::fs::symlink_metadata(&folder) else {
        return Ok(config);
    };
    if about.uid() == 0 || !about.is_dir() {
        return Ok(config);
    }
    let encrypted = Path::new(CREDENTIAL_STORE).join(SEALING_CREDENTIAL);
    let by_systemd = std::env::var_os("CREDENTIALS_DIRECTORY").is_some();
    if needs == Needs::Key && !by_systemd && encrypted.exists() {
        config.unsealed = Some(decrypted(&encrypted)?);
    }
    let uid = Uid::from_raw(about.uid());
    let user = User::from_uid(uid)?
        .with_context(|| format!("{} belongs to nobody: user {uid}", folder.display()))?;
    let name = std::ffi::CString::new(user.name.as_bytes())?;
    change_to(uid, user.gid, &name).with_context(|| {
        format!(
            "{} belongs to {}, and this could not go on as that user",
            folder.display(),
            user.name
        )
    })?;
    Ok(config)
}

/// Groups first: once the user is changed nothing else may be.
fn change_to(uid: Uid, gid: Gid, name: &std::ffi::CStr) -> nix::Result<()> {
    initgroups(name, gid)?;
    setgid(gid)?;
    setuid(uid)
}

/// The key that the service gets by `LoadCredentialEncrypted=`. Root starts the program that opens it by its path, and
/// not whatever `PATH` finds.
fn decrypted(file: &Path) -> anyhow::Result<SealingKey> {
    let opened = Command::new("/usr/bin/systemd-creds")
        .arg("decrypt")
        .arg(format!("--name={SEALING_CREDENTIAL}"))
        .arg(file)
        .arg("-")
        .stdin(Stdio::null())
        .output()
        .context("/usr/bin/systemd-creds, which opens the sealing key, cannot be started")?;
    let content = Zeroizing::new(opened.stdout);
    if !opened.status.success() {
        bail!(
            "the sealing key {} cannot be opened: {}. It opens on the machine alone that it was made on; elsewhere the \
             ledger is opened with the recovery passphrase",
            file.display(),
            String::from_utf8_lossy(&opened.stderr).trim()
        );
    }
    SealingKey::parse(&content).ok_or_else(|| anyhow!("{} holds no sealing key", file.display()))
}
