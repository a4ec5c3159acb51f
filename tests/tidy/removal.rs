//! What the gateway's package does to a store's configuration when it is removed by force, purged, installed again.
//!
//! dpkg deletes the configuration before it asks whether the package may be purged. So the package's own scripts are
//! run here in the order in which dpkg runs them, on folders of their own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What the scripts call of the machine, which is not to be touched.
const STAND_INS: [&str; 8] = [
    "chown",
    "deb-systemd-helper",
    "deb-systemd-invoke",
    "install",
    "systemctl",
    "systemd-creds",
    "systemd-sysusers",
    "udevadm",
];
const CONFIG: &str = "etc/fiscald/fiscald.toml";

/// A machine of a few folders, with a store in it that FDMS has not been told everything of.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let machine = Self(tempfile::tempdir().unwrap());
        machine.write("var/lib/fiscald/ledger.db", "receipts");
        machine.write(CONFIG, "of this shop");
        let unsent = "#!/bin/sh\nif [ \"$1\" = unsent ]; then echo '1 receipts'; exit 3; fi\n";
        machine.write("bin/fiscald", unsent);
        for name in STAND_INS {
            machine.write(&format!("bin/{name}"), "#!/bin/sh\n");
        }
        for entry in std::fs::read_dir(machine.path("bin")).unwrap() {
            let executable = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(entry.unwrap().path(), executable).unwrap();
        }
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn config(&self) -> String {
        std::fs::read_to_string(self.path(CONFIG)).unwrap()
    }

    /// What is in the folder of the configuration.
    fn in_etc(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path("etc/fiscald")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A script of the package, with `force` set to yes, on these folders in place of the machine's.
    fn script(&self, name: &str, arguments: &[&str], force: Option<&str>) -> Output {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/fiscald/scripts");
        let mut text = std::fs::read_to_string(scripts.join(name)).unwrap();
        for folder in ["etc/", "var/", "run/"] {
            text = text.replace(&format!("/{folder}"), &format!("@{folder}"));
        }
        let root = format!("{}/", self.0.path().display());
        let text = text.replace('@', &root);
        // The dollar and its at sign, if there were any, would be gone.
        assert!(!text.contains(&format!("${root}")), "{name}");
        let mut command = Command::new("sh");
        command.arg("-c").arg(text).arg(name).args(arguments);
        command.env(
            "PATH",
            format!("{}:/usr/bin:/bin", self.path("bin").display()),
        );
        if let Some(force) = force {
            command.env(force, "yes");
        }
        command.output().unwrap()
    }

    /// The same, which must succeed.
    fn done(&self, name: &str, arguments: &[&str], force: Option<&str>) {
        let output = self.script(name, arguments, force);
        assert!(output.status.success(), "{name} {arguments:?}: {output:?}");
    }

    /// Removed by force, as dpkg does it.
    fn remove(&self) {
        assert!(!self.script("prerm", &["remove"], None).status.success());
        self.done("prerm", &["remove"], Some("FISCALD_REMOVE_UNSENT"));
        self.done("postrm", &["remove"], None);
        assert_eq!(self.config(), "of this shop");
    }

    /// Purged, as dpkg does it: the configuration is deleted before anybody is asked.
    fn purge(&self, force: Option<&str>) -> bool {
        let _ = std::fs::remove_file(self.path(CONFIG));
        self.script("postrm", &["purge"], force).status.success()
    }

    /// Installed again, as dpkg does it: a configuration is put where there is none.
    fn install(&self) {
        if !self.path(CONFIG).exists() {
            self.write(CONFIG, "as shipped");
        }
        self.done("postinst", &["configure", "1.0"], None);
        assert_eq!(self.in_etc(), ["fiscald.toml"]);
    }
}

/// A purge that is refused costs the store nothing, however often it is tried: it goes on with its own configuration.
#[test]
fn a_refused_purge_keeps_the_configuration() {
    let machine = Machine::new();
    machine.remove();
    for _ in 0..2 {
        assert!(!machine.purge(None));
        assert!(machine.path("var/lib/fiscald/ledger.db").exists());
    }
    machine.install();
    assert_eq!(machine.config(), "of this shop");
}

/// Without a purge nothing is put back over what a technician has written meanwhile.
#[test]
fn without_a_purge_the_configuration_is_left_alone() {
    let machine = Machine::new();
    machine.remove();
    machine.write(CONFIG, "written since");
    machine.install();
    assert_eq!(machine.config(), "written since");
}

/// Whoever forces the purge, too, is left with nothing; also after it was refused.
#[test]
fn a_forced_purge_leaves_nothing() {
    for refused_before in [false, true] {
        let machine = Machine::new();
        machine.remove();
        if refused_before {
            assert!(!machine.purge(None));
        }
        assert!(machine.purge(Some("FISCALD_PURGE_UNSENT")));
        assert!(!machine.path("etc/fiscald").exists());
        assert!(!machine.path("var/lib/fiscald").exists());
    }
}
