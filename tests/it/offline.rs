//! Devices in operating mode Offline: closed days reach FDMS as files, whatever happens to them.

use std::time::Duration;

use fdms_sandbox::{
    Call, DayStatus, DeviceChange, Fault, FaultKind, FileStatus, FileTransport, OperatingMode,
    Settings,
};
use fiscald::ledger::files::CONTENT_MAX;
use fiscald::ledger::verify;

use crate::support::pass::pass_until;
use crate::support::store::{House, Plan};

const MINUTE: Duration = Duration::from_secs(60);

/// A till that the authority has set to report by file.
async fn offline(fdms: Settings) -> House {
    let house = House::build(Plan {
        fdms,
        ..Plan::default()
    })
    .await;
    set_mode(&house, OperatingMode::Offline).await;
    house
}

async fn set_mode(house: &House, mode: OperatingMode) {
    let change = DeviceChange {
        operating_mode: Some(mode),
        ..DeviceChange::default()
    };
    let till = house.till(0);
    house.sandbox.change_device(till.number(), change).unwrap();
    house.submitter().fetch_config(till.id).await.unwrap();
}

fn is_sent(house: &House) -> bool {
    house.stream(0).1.is_none()
}

async fn sent(house: &House) {
    pass_until(house, MINUTE, "everything is sent", is_sent).await;
}

/// Every receipt is at FDMS once, unmarked, and every day was closed by the device.
fn nothing_is_wrong(house: &House) {
    assert_eq!(house.disagreements(), [""; 0]);
    assert_eq!(house.open_days_at_fdms(0), [""; 0]);
    assert_eq!(house.sandbox.schema_violations(), [""; 0]);
}

fn fault(call: Call, kind: FaultKind) -> Fault {
    Fault::next(call, kind)
}

/// Two days in each way that a file may travel; an open day is not sent.
#[tokio::test]
async fn days_become_files() {
    for transport in [
        FileTransport::JsonTextPlain,
        FileTransport::Base64TextPlain,
        FileTransport::MultipartBase64,
    ] {
        let mut house = offline(Settings {
            file_transport: transport,
            file_delay_ms: 3000,
            file_polls: 2,
            ..Settings::default()
        })
        .await;
        if transport != FileTransport::JsonTextPlain {
            house.stop().await;
            house.travel_as(match transport {
                FileTransport::Base64TextPlain => fiscald::fdms::FileTransport::Base64TextPlain,
                _ => fiscald::fdms::FileTransport::MultipartBase64,
            });
            house.start();
        }
        for _ in 0..2 {
            house.sell_many(0, 5).await;
            house.close_day(0).await;
            sent(&house).await;
        }
        house.sell(0).await;
        house.close_day(0).await;
        sent(&house).await;
        nothing_is_wrong(&house);
        let files = house.sandbox.files(house.till(0).number());
        assert_eq!(files.len(), 3);
        house.stop().await;
        verify::verify(&house.path(), &mut |_, _| {}).unwrap();
    }
}

/// A day that is too large for a file is cut, the footer comes last, and no file is too large for any encoding.
#[tokio::test]
async fn a_large_day_is_cut() {
    let house = offline(Settings::default()).await;
    let mut bytes = 0;
    while bytes < CONTENT_MAX * 3 / 2 {
        bytes += house
            .burst(0, 100)
            .await
            .iter()
            .map(|issued| {
                fiscal::wire::submit_receipt_body(&issued.receipt, &issued.signature).len()
            })
            .sum::<usize>();
        house.advance(Duration::from_secs(100));
    }
    house.close_day(0).await;
    sent(&house).await;
    nothing_is_wrong(&house);
    let files = house.sandbox.files(house.till(0).number());
    assert_eq!(files.len(), 2, "{bytes}");
    assert!(
        files
            .iter()
            .all(|file| file.status == FileStatus::CompleteSuccessful)
    );
    assert!(files.iter().all(|file| file.raw.len() < 2_250_000));
}

/// Requests and answers are lost, the server is out of order, the store restarts: each file is there once.
#[tokio::test]
async fn faults_on_the_way() {
    let kinds = [
        FaultKind::LoseRequest,
        FaultKind::LoseAnswer,
        FaultKind::Status {
            status: 500,
            retry_after: None,
            processed: true,
        },
    ];
    for kind in kinds {
        for call in [Call::SubmitFile, Call::SubmittedFileList] {
            let mut house = offline(Settings {
                file_polls: 1,
                ..Settings::default()
            })
            .await;
            house.sandbox.add_fault(fault(call, kind.clone()));
            house.sell_many(0, 3).await;
            house.close_day(0).await;
            sent(&house).await;
            house.sandbox.add_fault(fault(call, kind.clone()));
            house.sell_many(0, 2).await;
            house.close_day(0).await;
            house.stop().await;
            house.start();
            sent(&house).await;
            nothing_is_wrong(&house);
        }
    }
}

/// The authority switches a till between its modes, with a day in between each time.
#[tokio::test]
async fn modes_change() {
    let house = House::new().await;
    for mode in [
        OperatingMode::Offline,
        OperatingMode::Online,
        OperatingMode::Offline,
    ] {
        house.sell_many(0, 3).await;
        house.close_day(0).await;
        sent(&house).await;
        set_mode(&house, mode).await;
    }
    house.sell_many(0, 2).await;
    house.close_day(0).await;
    sent(&house).await;
    nothing_is_wrong(&house);
}

/// A Red receipt lets everything else in; its day is closed by hand, and the next one goes on.
#[tokio::test]
async fn red_in_a_file() {
    let house = offline(Settings::default()).await;
    let device = house.till(0).number();
    house.sell(0).await;
    // The authority ends every tax, and says so only after the sale.
    let spec = house
        .sandbox
        .devices()
        .into_iter()
        .find(|d| d.device_id == device)
        .unwrap();
    let mut taxes = spec.taxes.clone();
    for tax in &mut taxes {
        tax.valid_till = Some("2026-01-02T00:00:00".parse().unwrap());
    }
    let change = |taxes| DeviceChange {
        taxes: Some(taxes),
        ..DeviceChange::default()
    };
    house.sandbox.change_device(device, change(taxes)).unwrap();
    house.close_day(0).await;
    // For a moment it may be refused for the mode that was just changed, if the opening was on its way.
    pass_until(&house, MINUTE, "it is parked", |house| {
        let parked = house.stream(0).0.parked;
        parked.is_some_and(|parked| parked.code != "DEV01")
    })
    .await;
    house
        .sandbox
        .change_device(device, change(spec.taxes))
        .unwrap();
    let parked = house.stream(0).0.parked.unwrap();
    assert_eq!(
        parked.code, "ReceiptsWithValidationErrors",
        "{}",
        parked.reason
    );
    let reader = house.ledger().reader();
    let red = reader.red_receipts(house.day(0).unwrap().day_id).unwrap();
    assert_eq!(red.len(), 1);
    house.sell_many(0, 2).await;
    house.close_day(0).await;
    assert!(house.sandbox.close_by_hand(device));
    house.retry(0).await;
    sent(&house).await;
    let days = house.sandbox.days(device);
    assert_eq!(days.len(), 2);
    assert!(
        days.iter()
            .all(|day| day.status == DayStatus::FiscalDayClosed)
    );
    assert_eq!(house.at_fdms(0).len(), 3);
}
