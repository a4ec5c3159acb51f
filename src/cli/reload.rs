//! SIGHUP: the configuration is read anew, and what can be changed while the gateway runs is changed.
//!
//! That is who may come in and how much is logged. Everything else is named in the log as waiting for a restart. A
//! file that is wrong changes nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::api::Admission;
use crate::config::Config;
use crate::daemon::admitted;
use crate::telemetry::Logging;

/// The settings that are followed without a restart, and what they are read for.
const FOLLOWED: [&str; 6] = [
    "api.lan.allow",
    "api.lan.certificate",
    "api.lan.key",
    "api.lan.names",
    "api.unix_users",
    "log.level",
];

/// What a reload can reach.
pub(super) struct Reload<'a> {
    path: Option<PathBuf>,
    /// The file as the gateway was started on it.
    started: toml::Table,
    admission: Admission,
    logging: &'a Logging,
}

impl<'a> Reload<'a> {
    /// Remembers what the gateway was started on.
    pub(super) fn new(path: Option<&Path>, admission: Admission, logging: &'a Logging) -> Self {
        // It was read a moment ago; one that is gone by now makes everything differ, which is said at the reload.
        let started = path.and_then(|path| table(path).ok()).unwrap_or_default();
        Self {
            path: path.map(Path::to_owned),
            started,
            admission,
            logging,
        }
    }

    /// Reads the configuration anew and follows it; the log says what came of it.
    pub(super) fn now(&self) {
        crate::systemd::reloading();
        match self.follow() {
            Ok(()) => {}
            Err(error) => {
                tracing::error!("the configuration stays as it was: {error:#}");
            }
        }
        crate::systemd::ready();
    }

    fn follow(&self) -> anyhow::Result<()> {
        let Some(path) = self.path.as_deref() else {
            tracing::warn!("there is no configuration file to read anew; the defaults hold");
            return Ok(());
        };
        let config = Config::load(Some(path))?;
        // All that can fail comes first: half a reload would be like neither file.
        let admitted = admitted(&config)?;
        self.logging.set_level(&config.log.level)?;
        self.admission.replace(admitted);
        tracing::info!(
            file = %path.display(),
            "the configuration was read anew: unix_users, the certificate, names and addresses of [api.lan] and log.level are followed"
        );
        let waiting = needs_restart(&self.started, &table(path)?);
        if !waiting.is_empty() {
            tracing::warn!(
                settings = waiting.join(", "),
                "settings have changed that need a restart: systemctl restart fiscald"
            );
        }
        Ok(())
    }
}

fn table(path: &Path) -> anyhow::Result<toml::Table> {
    Ok(std::fs::read_to_string(path)?.parse()?)
}

/// The settings that differ and are not followed, in order.
fn needs_restart(started: &toml::Table, now: &toml::Table) -> Vec<String> {
    let (started, now) = (flat(started), flat(now));
    let differing: BTreeSet<&String> = started
        .symmetric_difference(&now)
        .map(|(name, _)| name)
        .collect();
    differing
        .into_iter()
        .filter(|name| !FOLLOWED.contains(&name.as_str()))
        .cloned()
        .collect()
}

/// Every setting by its whole name, with its value as text; a list is one setting.
fn flat(table: &toml::Table) -> BTreeSet<(String, String)> {
    fn walk(prefix: &str, table: &toml::Table, into: &mut BTreeSet<(String, String)>) {
        for (name, value) in table {
            let name = match prefix {
                "" => name.clone(),
                prefix => format!("{prefix}.{name}"),
            };
            match value {
                toml::Value::Table(inner) => walk(&name, inner, into),
                other => {
                    into.insert((name, other.to_string()));
                }
            }
        }
    }
    let mut settings = BTreeSet::new();
    walk("", table, &mut settings);
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differing(old: &str, new: &str) -> Vec<String> {
        needs_restart(&old.parse().unwrap(), &new.parse().unwrap())
    }

    /// What is followed needs no restart; all else is named, however it is written.
    #[test]
    fn what_needs_a_restart_is_named() {
        let old = "[log]\nlevel = \"info\"\n[store]\nprint = \"never\"\n";
        assert!(differing(old, "log.level = \"debug\"\nstore.print = \"never\"").is_empty());
        assert!(differing(old, &format!("{old}[[api.unix_users]]\nuid = 7\n")).is_empty());
        let more = "[log]\nkeep = 3\n[api]\nlisten = \"127.0.0.1:9\"\n[[printers]]\nname = \"a\"\n";
        assert_eq!(
            differing(old, more),
            ["api.listen", "log.keep", "printers", "store.print"]
        );
    }

    /// A reload lets others in and logs more; a file that is wrong changes nothing.
    #[test]
    fn a_reload_is_whole_or_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fiscald.toml");
        std::fs::write(&path, "").unwrap();
        let admission = Admission::new(admitted(&Config::default()).unwrap());
        let logging = crate::telemetry::start(&Config::default().log).unwrap();
        let reload = Reload::new(Some(&path), admission.clone(), &logging);
        let before = admission.now().unix_users.len();
        std::fs::write(&path, "[[api.unix_users]]\nuid = 4711\n").unwrap();
        reload.follow().unwrap();
        assert_eq!(admission.now().unix_users.len(), before + 1);
        for wrong in [
            "[api]\nuniks = 1\n",
            "[log]\nlevel = \"=,=\"\n",
            "[api.lan]\nlisten = \"127.0.0.1:1\"\nallow = []\ncertificate = \"/none\"\nkey = \"/none\"\n",
        ] {
            std::fs::write(&path, wrong).unwrap();
            reload.follow().unwrap_err();
            assert_eq!(admission.now().unix_users.len(), before + 1, "{wrong}");
        }
    }
}
