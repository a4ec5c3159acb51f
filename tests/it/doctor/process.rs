//! The doctor as a technician runs it: beside a running gateway, as another user, for a program to read.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output};

use clock::{Clock as _, SystemClock};
use serde_json::Value;

use crate::support::process::{Store, free_address};

/// The warnings and faults of a report in JSON, and its exit code.
fn codes(output: &Output) -> (Vec<String>, Option<i32>) {
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let findings = report["findings"].as_array().unwrap();
    let bad = findings
        .iter()
        .filter(|finding| finding["verdict"] == "warning" || finding["verdict"] == "fault");
    let codes = bad.map(|finding| {
        assert!(finding["next"].as_str().unwrap().len() > 10, "{finding}");
        finding["code"].as_str().unwrap().to_owned()
    });
    (codes.collect(), output.status.code())
}

/// Types a new recovery passphrase in from the note, as the doctor asks for.
fn test_recovery(store: &Store) {
    let shown = store.fiscald(&["recovery", "renew", "--yes"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    let mut lines = shown.lines().map(str::trim);
    let typed = lines.find(|line| line.len() == 39).unwrap();
    let note = store.dir.join("note");
    std::fs::write(&note, typed).unwrap();
    let note = note.to_str().unwrap();
    let tested = store.fiscald(&["recovery", "test", "--passphrase-file", note]);
    assert!(tested.status.success(), "{tested:?}");
}

/// Beside a running gateway it asks for a test of the recovery passphrase, and then all is ok; a configuration that is not
/// the gateway's is found.
#[test]
fn beside_a_running_gateway() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut store = Store::set_up(dir.path(), 4301);
    store.start();
    // The sandbox goes by the store's clock, which stands; the doctor by the machine's.
    store.clock.set_wall(SystemClock.wall());
    let (found, exit) = codes(&store.fiscald(&["doctor", "--json"]));
    assert_eq!(
        (found, exit),
        (vec!["recovery_untested".to_owned()], Some(0))
    );
    test_recovery(&store);
    let (found, exit) = codes(&store.fiscald(&["doctor", "--json"]));
    assert_eq!((found.as_slice(), exit), (&[] as &[String], Some(0)));
    let text = String::from_utf8(store.fiscald(&["doctor"]).stdout).unwrap();
    assert!(text.contains("it runs and takes sales"), "{text}");
    assert!(text.contains(" 0 warnings, 0 faults,"), "{text}");

    let path = dir.path().join("fiscald.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let other = config.replace(&store.address.to_string(), &free_address().to_string());
    std::fs::write(&path, other).unwrap();
    let (found, exit) = codes(&store.fiscald(&["doctor", "--json"]));
    assert_eq!((found, exit), (vec!["api_port_shut".to_owned()], Some(1)));
}

/// Who may do nothing in the store's folder is told so, and not what would follow from it.
#[test]
fn as_a_user_who_may_nothing() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let store = Store::set_up(dir.path(), 4302);
    let device = dir.path().join("printer");
    std::fs::write(&device, "").unwrap();
    let mode = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(&device, 0o400);
    mode(dir.path(), 0o755);
    mode(&dir.path().join("data"), 0o555);
    let backups = dir.path().join("backups");
    std::fs::create_dir(&backups).unwrap();
    mode(&backups, 0o555);
    let path = dir.path().join("fiscald.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let printer = format!(
        "[backup]\nfolder = {backups:?}\n[[printers]]\nname = \"front\"\nlink = \"file:{}\"\nprofile = {{ name = \"generic-80\", ack = \"one_way\" }}\n",
        device.display()
    );
    std::fs::write(&path, format!("{config}{printer}")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_fiscald"));
    command
        .arg("--config")
        .arg(&path)
        .args(["doctor", "--json"]);
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        command.uid(65534).gid(65534);
    }
    let (found, exit) = codes(&command.output().unwrap());
    mode(&dir.path().join("data"), 0o755);
    drop(store);
    for code in [
        "data_dir_unwritable",
        "backup_folder_unwritable",
        "printer_no_permission",
    ] {
        assert!(found.iter().any(|found| found == code), "{found:?}");
    }
    if is_root {
        for code in ["sealing_key_unusable", "ledger_unreadable"] {
            assert!(found.iter().any(|found| found == code), "{found:?}");
        }
    }
    assert_eq!(exit, Some(1));
}

/// What a running gateway holds it is asked for: a printer that is away, a port that another program has.
#[test]
fn devices_of_a_running_gateway() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut store = Store::set_up(dir.path(), 4303);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let path = dir.path().join("fiscald.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let devices = format!(
        "[[printers]]\nname = \"front\"\nlink = \"tcp:{}\"\nprofile = \"generic-80\"\n\
         [[pos]]\nname = \"old\"\nkind = \"zfp\"\nlisten = \"tcp:{}\"\ndevice_id = 4303\nenvironment = \"test\"\n\
         printer = \"front\"\nhs_code = \"19059090\"\n[pos.register]\ncurrency = \"USD\"\ntaxes = {{ A = \"15.5%\" }}\n",
        free_address(),
        taken.local_addr().unwrap()
    );
    std::fs::write(&path, format!("{config}{devices}")).unwrap();
    store.start();
    store.clock.set_wall(SystemClock.wall());
    let wanted = ["recovery_untested", "printer_unreachable", "pos_port_shut"];
    // The gateway has to have tried both once.
    let mut tries = 0;
    loop {
        let (found, exit) = codes(&store.fiscald(&["doctor", "--json"]));
        if found == wanted {
            assert_eq!(exit, Some(1));
            break;
        }
        tries += 1;
        assert!(tries < 40, "{found:?}");
    }
}
