//! Broken ways to FDMS, certificates, answers, head office, printers and ports.

use std::net::TcpListener;
use std::time::Duration;

use fdms_sandbox::{DeviceChange, Fault as SandboxFault, FaultKind, Model, OperatingMode};
use fiscald::doctor::Verdict::{Fault, Warning};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::clinic::{Clinic, SetUp, examine};
use crate::support::process::free_address;

const DAY: Duration = Duration::from_secs(24 * 3600);

const LINES: &[SetUp] = &[
    SetUp {
        what: "the name is not found",
        breaks: |clinic| {
            let url = clinic.house.sandbox.url();
            clinic.configure(&url, &format!("https://{}.example", "x".repeat(64)));
        },
        verdict: Fault,
        codes: &["dns_fails"],
    },
    SetUp {
        what: "the port is refused",
        breaks: |clinic| clinic.fdms_at(free_address()),
        verdict: Fault,
        codes: &["tcp_refused"],
    },
    SetUp {
        what: "the server's authority is not known",
        breaks: |clinic| clinic.serve_tls("localhost", (2000, 2100), false),
        verdict: Fault,
        codes: &["tls_unknown_authority"],
    },
    SetUp {
        what: "the server's certificate has ended",
        breaks: |clinic| clinic.serve_tls("localhost", (2000, 2020), true),
        verdict: Fault,
        codes: &["tls_expired"],
    },
    SetUp {
        what: "the server's certificate is not valid yet",
        breaks: |clinic| clinic.serve_tls("localhost", (2080, 2100), true),
        verdict: Fault,
        codes: &["tls_not_yet_valid"],
    },
    SetUp {
        what: "it is another server",
        breaks: |clinic| clinic.serve_tls("login.example", (2000, 2100), true),
        verdict: Fault,
        codes: &["tls_wrong_name"],
    },
    SetUp {
        what: "what answers speaks no TLS",
        breaks: |clinic| {
            let address = clinic.serve(|mut stream| {
                tokio::spawn(async move {
                    let _ = stream.read(&mut [0; 1000]).await;
                    let _ = stream.write_all(b"HTTP/1.1 302 Found\r\n\r\n").await;
                });
            });
            clinic.fdms_at(address);
        },
        verdict: Fault,
        codes: &["tls_none"],
    },
    SetUp {
        what: "the connection is ended at once",
        breaks: |clinic| {
            let address = clinic.serve(drop);
            clinic.fdms_at(address);
        },
        verdict: Fault,
        codes: &["tls_breaks_off"],
    },
    SetUp {
        what: "the connection is taken and nothing follows",
        breaks: |clinic| {
            let mut kept = Vec::new();
            let address = clinic.serve(move |stream| kept.push(stream));
            clinic.fdms_at(address);
        },
        verdict: Fault,
        codes: &["tls_silent"],
    },
];

#[tokio::test]
async fn broken_lines() {
    examine(LINES).await;
}

/// A certificate in the place of the till's.
fn put_certificate(clinic: &Clinic, common_name: &str) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, common_name);
    let pem = params.self_signed(&key).unwrap().pem();
    clinic.sql(&format!("UPDATE certificate SET pem = '{pem}'"));
}

const CERTIFICATES: &[SetUp] = &[
    SetUp {
        what: "the certificate has ended",
        breaks: |clinic| clinic.house.advance(500 * DAY),
        verdict: Fault,
        codes: &["certificate_expired", "hq_lags"],
    },
    SetUp {
        what: "the certificate ends soon",
        breaks: |clinic| clinic.house.advance(355 * DAY),
        verdict: Warning,
        codes: &["certificate_ends_soon", "hq_lags"],
    },
    SetUp {
        what: "the certificate is another device's",
        breaks: |clinic| put_certificate(clinic, "ZIMRA-till-999-0000000999"),
        verdict: Fault,
        codes: &["ledger_contradicts", "certificate_other_device"],
    },
    SetUp {
        what: "the certificate does not belong to the key",
        breaks: |clinic| put_certificate(clinic, "ZIMRA-till-101-0000000101"),
        verdict: Fault,
        codes: &["ledger_contradicts", "certificate_other_key"],
    },
    SetUp {
        what: "the certificate cannot be read",
        breaks: |clinic| clinic.sql("UPDATE certificate SET pem = 'none'"),
        verdict: Fault,
        codes: &["ledger_contradicts", "certificate_unreadable"],
    },
    SetUp {
        what: "the till was never registered to its end",
        breaks: |clinic| clinic.sql("UPDATE certificate SET used_since = NULL"),
        verdict: Fault,
        codes: &["certificate_missing"],
    },
];

#[tokio::test]
async fn broken_certificates() {
    examine(CERTIFICATES).await;
}

fn every(clinic: &Clinic, fault: FaultKind) {
    clinic.house.sandbox.add_fault(SandboxFault::every(fault));
}

fn status(status: u16) -> FaultKind {
    FaultKind::Status {
        status,
        retry_after: None,
        processed: false,
    }
}

fn change(clinic: &Clinic, change: DeviceChange) {
    clinic.house.sandbox.change_device(101, change).unwrap();
}

const ANSWERS: &[SetUp] = &[
    SetUp {
        what: "FDMS answers 500",
        breaks: |clinic| every(clinic, status(500)),
        verdict: Fault,
        codes: &["fdms_trouble"],
    },
    SetUp {
        what: "FDMS asks to wait",
        breaks: |clinic| every(clinic, status(429)),
        verdict: Warning,
        codes: &["fdms_busy"],
    },
    SetUp {
        what: "FDMS answers what nobody understands",
        breaks: |clinic| every(clinic, status(200)),
        verdict: Fault,
        codes: &["fdms_not_understood"],
    },
    SetUp {
        what: "the line breaks before the answer",
        breaks: |clinic| every(clinic, FaultKind::LoseAnswer),
        verdict: Fault,
        codes: &["fdms_breaks_off"],
    },
    SetUp {
        what: "FDMS has blocked the device",
        breaks: |clinic| {
            change(
                clinic,
                DeviceChange {
                    active: Some(false),
                    ..DeviceChange::default()
                },
            );
        },
        verdict: Fault,
        codes: &["fdms_device_blocked"],
    },
    SetUp {
        what: "the authority has set the device to reporting by file",
        breaks: |clinic| {
            change(
                clinic,
                DeviceChange {
                    operating_mode: Some(OperatingMode::Offline),
                    ..DeviceChange::default()
                },
            );
        },
        verdict: Warning,
        codes: &["fdms_mode_changed"],
    },
    SetUp {
        what: "the taxpayer is not active",
        breaks: |clinic| {
            change(
                clinic,
                DeviceChange {
                    tax_payer_active: Some(false),
                    ..DeviceChange::default()
                },
            );
        },
        verdict: Fault,
        codes: &["fdms_taxpayer_inactive"],
    },
    SetUp {
        what: "the certificate is revoked",
        breaks: |clinic| {
            change(
                clinic,
                DeviceChange {
                    revoke_certificates: Some(true),
                    ..DeviceChange::default()
                },
            );
        },
        verdict: Fault,
        codes: &["fdms_certificate_refused"],
    },
    SetUp {
        what: "the model is another one",
        breaks: |clinic| {
            let model = Some(Model {
                name: "Other".to_owned(),
                version: "v9".to_owned(),
            });
            change(
                clinic,
                DeviceChange {
                    model,
                    ..DeviceChange::default()
                },
            );
        },
        verdict: Fault,
        codes: &["fdms_model_refused"],
    },
];

#[tokio::test]
async fn broken_answers() {
    examine(ANSWERS).await;
}

const HEAD_OFFICES: &[SetUp] = &[
    SetUp {
        what: "head office is away",
        breaks: |clinic| {
            clinic.sql(&format!("UPDATE hq SET url = 'http://{}'", free_address()));
        },
        verdict: Fault,
        codes: &["hq_away"],
    },
    SetUp {
        what: "head office does not know the store any more",
        breaks: |clinic| clinic.hq.forget(),
        verdict: Fault,
        codes: &["hq_secret_refused"],
    },
];

#[tokio::test]
async fn broken_head_offices() {
    examine(HEAD_OFFICES).await;
}

/// The printer is at this link instead.
fn printer_at(clinic: &mut Clinic, link: &str) {
    let name = format!("tcp:{}", clinic.printer.name());
    clinic.configure(&name, link);
}

const DEVICES: &[SetUp] = &[
    SetUp {
        what: "the printer's port is not there",
        breaks: |clinic| printer_at(clinic, "serial:/dev/serial/by-id/none?baud=9600"),
        verdict: Fault,
        codes: &["printer_absent"],
    },
    SetUp {
        what: "no USB printer is plugged in",
        breaks: |clinic| printer_at(clinic, "usb:serial=NONE0001"),
        verdict: Fault,
        codes: &["printer_absent"],
    },
    SetUp {
        what: "nobody is at the printer's address",
        breaks: |clinic| printer_at(clinic, &format!("tcp:{}", free_address())),
        verdict: Fault,
        codes: &["printer_unreachable"],
    },
    SetUp {
        what: "the printer answers nothing",
        breaks: |clinic| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            clinic.keep(listener);
            printer_at(clinic, &format!("tcp:{address}"));
        },
        verdict: Fault,
        codes: &["printer_silent"],
    },
    SetUp {
        what: "the printer has no paper",
        breaks: |clinic| clinic.printer.set_paper(0),
        verdict: Fault,
        codes: &["printer_no_paper"],
    },
    SetUp {
        what: "the printer's cover is open",
        breaks: |clinic| clinic.printer.open_cover(),
        verdict: Fault,
        codes: &["printer_cover_open"],
    },
    SetUp {
        what: "another program has the gateway's port",
        breaks: |clinic| {
            let taken = TcpListener::bind(clinic.api).unwrap();
            clinic.keep(taken);
        },
        verdict: Fault,
        codes: &["api_port_taken"],
    },
    SetUp {
        what: "another program has the port for old POS software",
        breaks: |clinic| {
            let taken = TcpListener::bind(clinic.pos).unwrap();
            clinic.keep(taken);
        },
        verdict: Fault,
        codes: &["pos_port_taken"],
    },
    SetUp {
        what: "a port sells on a till that is not here",
        breaks: |clinic| clinic.configure("device_id = 101", "device_id = 999"),
        verdict: Fault,
        codes: &["pos_till_unknown"],
    },
    SetUp {
        what: "a file is in the socket's place",
        breaks: |clinic| std::fs::write(clinic.file("fiscald.sock"), "notes").unwrap(),
        verdict: Fault,
        codes: &["socket_no_socket"],
    },
    SetUp {
        what: "a gateway holds the folder and answers nobody",
        breaks: |clinic| {
            let lock = std::fs::File::create(clinic.file("run.lock")).unwrap();
            rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
            clinic.keep(lock);
        },
        verdict: Fault,
        codes: &["gateway_silent"],
    },
];

#[tokio::test]
async fn broken_devices() {
    examine(DEVICES).await;
}
