//! The worked example in curl and openssl, as the read-me shows it.

use std::path::Path;
use std::process::Command;

use fdms_sandbox::{DeviceSpec, Sandbox};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const SCRIPT: &str = include_str!("../../examples/first-receipt.sh");

/// The example works as it stands, with curl and openssl alone: two receipts without a colour and a
/// closed day.
#[tokio::test]
async fn the_example_works() {
    let spec = DeviceSpec {
        serial_no: "SN0001".to_owned(),
        activation_key: "12AXC178".to_owned(),
        ..DeviceSpec::new(42)
    };
    let bind = async || TcpListener::bind("127.0.0.1:0").await.unwrap();
    let shutdown = CancellationToken::new();
    let sandbox = Sandbox::builder()
        .device(spec)
        .start(bind().await, Some(bind().await), shutdown)
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/first-receipt.sh");
    let mut command = Command::new("bash");
    command
        .arg(script)
        .env("FDMS", sandbox.url())
        .env("ADMIN", sandbox.admin_url().unwrap())
        .env("FOLDER", folder.path());
    let ran = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = ran.await.unwrap();
    let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(output.status.success(), "{told}");
    assert!(
        told.contains("registered, sold twice, day closed"),
        "{told}"
    );
    assert_eq!(sandbox.schema_violations(), [""; 0]);
    let days = sandbox.days(42);
    assert_eq!(days.len(), 1);
    assert!(days[0].fiscal_day_closed.is_some(), "{days:?}");
    let receipts = sandbox.receipts(42);
    assert_eq!(receipts.len(), 2);
    assert!(
        receipts
            .iter()
            .all(|receipt| receipt.validation_errors.is_empty())
    );
}

/// The read-me shows the example as it is.
#[test]
fn the_read_me_shows_the_example() {
    let read_me = include_str!("../../README.md");
    let (_, shown) = SCRIPT.split_once("set -euo pipefail\n").unwrap();
    assert!(
        read_me.contains(shown),
        "copy examples/first-receipt.sh into README.md again"
    );
}
