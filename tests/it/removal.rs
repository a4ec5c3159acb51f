//! The package's script that is asked before the program is removed, with the real program: the authority forbids to remove
//! a device that has not told everything, and a script that cannot find out must not say that it has.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::process::Store;

/// What dpkg does before it removes the package from the system in `root`, under this configuration.
fn removed(root: &Path, config: &Path, forced: bool) -> Output {
    let bin = root.join("bin");
    if !bin.exists() {
        std::fs::create_dir(&bin).unwrap();
        symlink(env!("CARGO_BIN_EXE_fiscald"), bin.join("fiscald")).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/fiscald/scripts/prerm");
    let mut command = Command::new("sh");
    command
        .arg(script)
        .arg("remove")
        .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
        .env("DPKG_ROOT", root)
        .env("FISCALD_CONFIG", config);
    if forced {
        command.env("FISCALD_REMOVE_UNSENT", "yes");
    }
    command.output().unwrap()
}

/// What the script said when it refused.
fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A package on which no store was ever set up goes without a word; a ledger that is away, and a configuration that is
/// broken, hold it, and neither is called unsent.
#[test]
fn a_ledger_that_is_away_holds_the_package() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let (data, logs) = (root.join("var/lib/fiscald"), root.join("var/log/fiscald"));
    for folder in [&data, &logs] {
        std::fs::create_dir_all(folder).unwrap();
    }
    let config = root.join("fiscald.toml");
    std::fs::write(&config, format!("[store]\ndata_dir = {data:?}\n")).unwrap();
    let fresh = removed(root, &config, false);
    assert!(fresh.status.success(), "{fresh:?}");

    // Either tells that there was a gateway: what else lies in its folder, and that one has run.
    for trace in [data.join("ledger.epoch"), logs.join(".has-run")] {
        std::fs::write(&trace, "").unwrap();
        let said = refusal(&removed(root, &config, false));
        assert!(said.contains("There is no ledger at"), "{said}");
        assert!(said.contains("Mount its disk"), "{said}");
        assert!(!said.contains("has not been told"), "{said}");
        std::fs::remove_file(&trace).unwrap();
    }
    std::fs::write(&config, "[store]\ndata_dri = 1\n").unwrap();
    let said = refusal(&removed(root, &config, false));
    assert!(said.contains("did you mean `data_dir`"), "{said}");
    assert!(said.contains("could not be found out"), "{said}");
    assert!(!said.contains("has not been told"), "{said}");
}

/// A store goes when FDMS has all of it and no day is open, or by force, which leaves a note of what was not told.
#[test]
fn what_is_untold_holds_the_package() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let config = root.join("fiscald.toml");
    let mut store = Store::set_up(root, 78);
    let sent = store.fiscald(&["unsent"]);
    let said = String::from_utf8(sent.stdout).unwrap();
    assert_eq!(said, "FDMS has everything; no day is open.\n");
    let output = removed(root, &config, false);
    assert!(output.status.success(), "{output:?}");

    store.start();
    assert!(store.fiscald(&["day", "open"]).status.success());
    store.kill();
    let said = refusal(&removed(root, &config, false));
    assert!(said.contains("FDMS has not been told everything"), "{said}");
    assert!(said.contains("the fiscal day 1 is open"), "{said}");
    let data = root.join("var/lib/fiscald");
    std::fs::create_dir_all(&data).unwrap();
    let output = removed(root, &config, true);
    assert!(output.status.success(), "{output:?}");
    let note = std::fs::read_to_string(data.join("REMOVED_WITH_UNSENT")).unwrap();
    assert!(note.contains("the fiscal day 1 is open"), "{note}");
}
