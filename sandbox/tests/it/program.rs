//! The program by itself, the kept authority, and the authority's own examples.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use fdms_sandbox::{DeviceSpec, Sandbox};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::till::{Answer, Bench};

/// The program says where it is and which certificate to trust, knows the devices of its command line,
/// and ends when it is terminated.
#[tokio::test]
async fn the_program_runs_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("fdms");
    let child = std::process::Command::new(env!("CARGO_BIN_EXE_fdms-sandbox"))
        .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .args(["--device", "42:SN 00:01:12AXC178", "--data"])
        .arg(&data)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let mut told = Vec::new();
    for name in ["FDMS sandbox:", "admin port:", "trust:"] {
        let line = lines.next().unwrap().unwrap();
        told.push(line.strip_prefix(name).unwrap().trim().to_owned());
    }
    assert!(told[0].starts_with("https://127.0.0.1:"), "{told:?}");
    let ca_pem = std::fs::read(&told[2]).unwrap();
    let root = reqwest::Certificate::from_pem(&ca_pem).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([root])
        .build()
        .unwrap();
    let path = format!("{}/Public/v1/GetServerCertificate", told[0]);
    assert_eq!(client.get(path).send().await.unwrap().status(), 200);
    let sent = reqwest::get(format!("{}/devices", told[1])).await.unwrap();
    let devices = Answer::of(sent).await.body;
    assert_eq!(devices[0]["serialNo"], "SN 00:01");
    assert_eq!(devices[0]["activationKey"], "12AXC178");

    let pid = child.0.id().to_string();
    let killed = std::process::Command::new("kill")
        .arg(pid)
        .status()
        .unwrap();
    assert!(killed.success());
    assert!(child.0.wait().unwrap().success());
}

/// A child that does not outlive a failing test.
pub(crate) struct Killed(pub(crate) std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        let _ = self.0.kill();
    }
}

/// A kept authority is the same after a restart, and its keys are their owner's only.
#[tokio::test]
async fn the_authority_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let start = async || {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shutdown = CancellationToken::new();
        let builder = Sandbox::builder()
            .data_dir(folder.path())
            .device(DeviceSpec::new(1));
        let sandbox = builder
            .start(listener, None, shutdown.clone())
            .await
            .unwrap();
        assert_eq!(sandbox.admin_url(), None);
        let pem = sandbox.ca_pem();
        shutdown.cancel();
        sandbox.stopped().await;
        pem
    };
    let first = start().await;
    let second = start().await;
    assert_eq!(first, second);
    let kept = std::fs::read_to_string(folder.path().join("ca.pem")).unwrap();
    assert_eq!(kept.replace('\r', ""), first);
    for name in ["ca-key.pem", "signing-key.pem"] {
        let mode = std::fs::metadata(folder.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

/// A file of faults is read at the start; one that is wrong is refused with its line and field.
#[tokio::test]
async fn the_program_reads_faults() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("faults.jsonl");
    let program = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_fdms-sandbox"));
        let command_line = [
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
            "--faults",
        ];
        command.args(command_line).arg(&path);
        command
    };
    std::fs::write(&path, "{\"fault\": \"reset\"}\n{\"fault\": 7}\n").unwrap();
    let refused = program().output().unwrap();
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success());
    assert!(
        told.contains("faults.jsonl") && told.contains("line 2: fault: "),
        "{told}"
    );

    std::fs::write(&path, "[{\"per_mille\": 7, \"fault\": \"reset\"}]").unwrap();
    let mut child = Killed(program().stdout(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let admin = lines.map(Result::unwrap).nth(1).unwrap();
    let admin = admin.strip_prefix("admin port:").unwrap().trim();
    let sent = reqwest::get(format!("{admin}/faults")).await.unwrap();
    assert_eq!(Answer::of(sent).await.body[0]["per_mille"], 7);
}

fn vector(id: &str) -> Value {
    let file: Value = serde_json::from_str(include_str!("../vectors/signatures.json")).unwrap();
    let vectors = file["vectors"].as_array().unwrap();
    vectors.iter().find(|vector| vector["id"] == id).unwrap()["receipt"].clone()
}

/// The receipts that the authority's test server accepted are valid here too, sold anew in a chain of
/// our own.
#[tokio::test]
async fn the_authoritys_examples_are_valid() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let mut original = 0;
    for id in ["tax-exclusive-invoice-15.5", "credit-note-of-it"] {
        let draft = till.invoice();
        let mut receipt = vector(id);
        for field in ["receiptCounter", "receiptGlobalNo", "receiptDate"] {
            receipt[field] = draft[field].clone();
        }
        if !receipt["creditDebitNote"].is_null() {
            receipt["creditDebitNote"]["receiptID"] = original.into();
        }
        let answer = till.expect(receipt, &[]).await;
        original = answer.body["receiptID"].as_i64().unwrap();
    }
    assert_eq!(till.close_day().await, "FiscalDayClosed");
}

/// GetConfig has the fields of the test server's answer, each of the same kind.
#[tokio::test]
async fn the_config_is_shaped_like_the_authoritys() {
    let bench = Bench::start().await;
    let config = bench.till().await.get("GetConfig").await.body;
    let expected: Value =
        serde_json::from_str(include_str!("../vectors/getconfig-test-server.json")).unwrap();
    let shape = |value: &Value| {
        let fields = value.as_object().unwrap().iter();
        fields
            .map(|(key, value)| (key.clone(), std::mem::discriminant(value)))
            .collect::<Vec<_>>()
    };
    assert_eq!(shape(&config), shape(&expected));
    let of_517 = |config: &Value| {
        let taxes = config["applicableTaxes"].as_array().unwrap().clone();
        taxes.into_iter().find(|tax| tax["taxID"] == 517).unwrap()
    };
    assert_eq!(of_517(&config), of_517(&expected));
}
