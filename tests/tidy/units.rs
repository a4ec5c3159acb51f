//! Rules about what is installed: how much of the machine the services reach, and that the scripts can be read.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Each service with the exposure, in tenths, that systemd may find at most.
const EXPOSURE: [(&str, u32); 3] = [("fiscald", 15), ("fiscal-hq", 12), ("fdms-sandbox", 15)];

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging")
}

/// A file tree with one unit as it is installed, and what systemd then says of its exposure; none without systemd.
fn judged(name: &str, unit: &str, most: u32) -> Option<std::process::Output> {
    let root = tempfile::tempdir().unwrap();
    let units = root.path().join("usr/lib/systemd/system");
    std::fs::create_dir_all(&units).unwrap();
    std::fs::create_dir_all(root.path().join("etc")).unwrap();
    std::fs::write(units.join(format!("{name}.service")), unit).unwrap();
    let judged = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(format!("--threshold={most}"))
        .arg(format!("--root={}", root.path().display()))
        .arg(format!("{name}.service"))
        .output();
    match judged {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("systemd-analyze is not here; scripts/test installs it");
            None
        }
        judged => Some(judged.unwrap()),
    }
}

/// The services reach no more of the machine than they are allowed to. A wall that is taken out is noticed.
#[test]
fn exposure() {
    for (name, most) in EXPOSURE {
        let path = packaging().join(name).join(format!("{name}.service"));
        let unit = std::fs::read_to_string(path).unwrap();
        let Some(good) = judged(name, &unit, most) else {
            return;
        };
        let said = String::from_utf8_lossy(&good.stdout).into_owned();
        assert!(good.status.success(), "{name}: above {most} tenths: {said}");
        assert!(said.contains("Overall exposure level"), "{name}: {said}");
        let open = unit
            .replace("SystemCallFilter=", "#")
            .replace("ProtectSystem=", "#");
        let bad = judged(name, &open, most).unwrap();
        assert!(
            !bad.status.success(),
            "{name}: with its walls open it passes too"
        );
    }
}

/// Services of the products are told apart from hung ones and from wrong configurations.
#[test]
fn services_are_watched() {
    for name in ["fiscald", "fiscal-hq"] {
        let path = packaging().join(name).join(format!("{name}.service"));
        let unit = std::fs::read_to_string(path).unwrap();
        for line in [
            "Type=notify",
            "WatchdogSec=60s",
            "Restart=on-failure",
            "RestartPreventExitStatus=78",
            "NoNewPrivileges=yes",
        ] {
            assert!(
                unit.lines().any(|found| found == line),
                "{name}: {line} is missing"
            );
        }
    }
}

/// Walls that must stay open: the gateway sees who connects and reaches USB printers, reads what is in /proc, writes
/// backups to other disks, and lowers its own priority for them.
#[test]
fn what_the_gateway_needs() {
    let path = packaging().join("fiscald/fiscald.service");
    let unit = std::fs::read_to_string(path).unwrap();
    for wall in ["PrivateUsers=", "ProcSubset=", "PrivateDevices="] {
        let line = unit.lines().find(|line| line.starts_with(wall));
        assert_eq!(line, None);
    }
    for line in [
        "ReadWritePaths=-/mnt -/media",
        "SystemCallFilter=setpriority",
        "LoadCredentialEncrypted=fiscald.key",
    ] {
        assert!(unit.lines().any(|found| found == line), "{line} is missing");
    }
}

/// What the packages are made of is there; what is built first comes later.
#[test]
fn assets() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for manifest in [
        "Cargo.toml",
        "sync/central/Cargo.toml",
        "sandbox/Cargo.toml",
    ] {
        let path = root.join(manifest);
        let folder = path.parent().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let manifest: toml::Table = text.parse().unwrap();
        let deb = &manifest["package"]["metadata"]["deb"];
        let scripts = deb["maintainer-scripts"].as_str().unwrap();
        assert!(folder.join(scripts).join("postinst").exists(), "{scripts}");
        for asset in deb["assets"].as_array().unwrap() {
            let source = asset[0].as_str().unwrap();
            if !source.contains("target/") {
                assert!(folder.join(source).exists(), "{source} is not there");
                seen += 1;
            }
        }
    }
    assert!(seen >= 20, "only {seen} files");
}

/// The package's scripts are for a plain shell, stop at the first failure, and can be read by one.
#[test]
fn maintainer_scripts() {
    let mut seen = 0;
    for (name, _) in EXPOSURE {
        for entry in std::fs::read_dir(packaging().join(name).join("scripts")).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.starts_with("#!/bin/sh\n"), "{}", path.display());
            assert!(text.contains("\nset -e\n"), "{}: no set -e", path.display());
            let read = Command::new("sh").arg("-n").arg(&path).output().unwrap();
            assert!(read.status.success(), "{}: {read:?}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 11, "only {seen} scripts");
}
