//! Files that read well, and on which the gateway cannot start or cannot send: `check-config` says so beforehand, and `run`
//! ends with the code that keeps systemd from trying again.

use std::path::{Path, PathBuf};

use crate::support::api::sale;
use crate::support::printer::front;
use crate::support::process::{Http, Store};

/// A configuration that cannot be used.
const UNUSABLE: Option<i32> = Some(78);

/// The section for tills on other machines.
fn lan(listen: &str, certificate: &Path, key: &Path, allow: &str) -> String {
    format!(
        "[api.lan]\nlisten = {listen:?}\ncertificate = {certificate:?}\nkey = {key:?}\nallow = [{allow:?}]\n"
    )
}

/// A certificate of the gateway's own, and its key.
fn certified(dir: &Path) -> (PathBuf, PathBuf) {
    let (certificate, key) = (dir.join("lan.pem"), dir.join("lan.key"));
    let pair = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["gateway.shop".to_owned()]).unwrap();
    std::fs::write(&certificate, params.self_signed(&pair).unwrap().pem()).unwrap();
    std::fs::write(&key, pair.serialize_pem()).unwrap();
    (certificate, key)
}

/// What cannot work is not called good, and is not tried again and again.
#[test]
fn what_cannot_work_is_not_good() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::set_up(dir.path(), 76);
    let path = dir.path().join("fiscald.toml");
    let good = std::fs::read_to_string(&path).unwrap();
    let (certificate, key) = certified(dir.path());
    let here = "127.0.0.1:0";
    let with_lan = good.clone() + &lan(here, &certificate, &key, "127.0.0.0/8");
    let taken = dir.path().join("taken");
    std::fs::write(&taken, "no socket").unwrap();

    for text in [&good, &with_lan] {
        std::fs::write(&path, text).unwrap();
        let checked = store.fiscald(&["check-config"]);
        let said = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert!(checked.status.success(), "{said}");
        assert!(
            said.starts_with(&format!("{}: good\n", path.display())),
            "{said}"
        );
    }
    let gone = Path::new("/none.pem");
    let port = good.clone()
        + &front(
            "127.0.0.1:9",
            "[[pos]]\nname = \"old\"\nkind = \"printer\"\nlisten = \"tcp:127.0.0.1:9100\"\ndevice_id = 76\n\
             environment = \"test\"\nprinter = \"front\"\ntemplates = [\"/dev/zero\"]\n",
        );
    let wrong = [
        (
            "/none.pem",
            good.clone() + &lan(here, gone, &key, "127.0.0.1"),
        ),
        (
            "1.2.3.0/99",
            good.clone() + &lan(here, &certificate, &key, "1.2.3.0/99"),
        ),
        ("log.level", good.replace("\"warn\"", "\"=,=\"")),
        ("extra_ca", good.replace("ca.pem", "none.pem")),
        // It never ends, and is not begun with.
        (": pos: old: templates: template /dev/zero: ", port),
    ];
    for (named, text) in wrong {
        assert_ne!(text, good);
        std::fs::write(&path, text).unwrap();
        let checked = store.fiscald(&["check-config"]);
        assert_eq!(checked.status.code(), UNUSABLE, "{named}: {checked:?}");
        let said = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert!(
            said.contains(": not good\n") && said.contains(named),
            "{named}: {said}"
        );
        // Without a way to FDMS it sells, without a template too; without the others it does not start.
        if named != "extra_ca" && !named.contains("templates") {
            let run = store.fiscald(&["run"]);
            assert_eq!(run.status.code(), UNUSABLE, "{named}: {run:?}");
        }
    }
    let socket = format!("[api]\nsocket = {taken:?}\n");
    std::fs::write(&path, good.replace("[api]\n", &socket)).unwrap();
    let run = store.fiscald(&["run"]);
    assert_eq!(run.status.code(), UNUSABLE, "{run:?}");
}

/// A port that another program has may be free at the next start.
#[test]
fn a_port_that_is_taken_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::set_up(dir.path(), 77);
    let _other = std::net::TcpListener::bind(store.address).unwrap();
    let run = store.fiscald(&["run"]);
    assert_eq!(run.status.code(), Some(1), "{run:?}");
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(said.contains(&store.address.to_string()), "{said}");
}

/// The shop's address is on no interface yet (the router is off): that is no fault of the file, the gateway sells on its
/// own machine, and the doctor names it.
#[test]
fn an_address_that_is_not_there_yet() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut store = Store::set_up(dir.path(), 78);
    let (certificate, key) = certified(dir.path());
    let path = dir.path().join("fiscald.toml");
    let good = std::fs::read_to_string(&path).unwrap();
    // Of documents: no machine has it.
    let section = lan("192.0.2.1:8488", &certificate, &key, "192.0.2.0/24");
    std::fs::write(&path, good + &section).unwrap();
    let checked = store.fiscald(&["check-config"]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(
        checked.status.success() && said.contains("no interface has this address"),
        "{said}"
    );
    let found = |store: &Store| {
        let report = store.fiscald(&["doctor", "--json"]).stdout;
        String::from_utf8(report).unwrap()
    };
    assert!(found(&store).contains("\"lan_address_away\""));
    store.start();
    let mut http = Http::open(store.address).unwrap();
    let sold = http
        .post("/v1/receipts", &store.token, &sale("K1"))
        .unwrap();
    assert_eq!(sold.status, 201, "{}", sold.body);
    let report = found(&store);
    assert!(
        report.contains("\"lan_address_away\"") && !report.contains("api_port_shut"),
        "{report}"
    );
}

/// A folder for logs that cannot be written is named with its line, and the gateway does not start on it; one that is not
/// there yet is made by the start, and by nothing else.
#[test]
fn a_folder_for_logs() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::set_up(dir.path(), 79);
    let path = dir.path().join("fiscald.toml");
    let good = std::fs::read_to_string(&path).unwrap();
    let logging = |to: &Path| good.replace("[log]\n", &format!("[log]\ndirectory = {to:?}\n"));
    let no_folder = dir.path().join("taken");
    std::fs::write(&no_folder, "no folder").unwrap();
    for wrong in [no_folder.clone(), no_folder.join("logs")] {
        let text = logging(&wrong);
        std::fs::write(&path, &text).unwrap();
        let line = 1 + text
            .lines()
            .position(|line| line.starts_with("directory"))
            .unwrap();
        let checked = store.fiscald(&["check-config"]);
        assert_eq!(checked.status.code(), UNUSABLE, "{checked:?}");
        let said = String::from_utf8_lossy(&checked.stdout).into_owned();
        let named = format!("line {line}: log.directory: {}", no_folder.display());
        assert!(said.contains(&named), "{said}");
        assert!(said.contains("name another one"), "{said}");
        let run = store.fiscald(&["run"]);
        assert_eq!(run.status.code(), UNUSABLE, "{run:?}");
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert!(said.contains("log.directory"), "{said}");
    }
    let new = dir.path().join("var/logs");
    std::fs::write(&path, logging(&new)).unwrap();
    let checked = store.fiscald(&["check-config"]);
    assert!(checked.status.success(), "{checked:?}");
    assert!(!new.exists());
    store.start();
    store.stop();
    assert_eq!(std::fs::read_dir(&new).unwrap().count(), 1);
}
