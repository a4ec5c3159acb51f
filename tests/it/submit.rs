//! The way to FDMS: whole lives, faults on the line, outages, refusals, and who is delayed by whom.

use std::time::Duration;

use clock::Clock as _;
use fdms_sandbox::{
    Call, CloseWithBadReceipts, DeviceChange, Fault, FaultKind, TaxSpec, usual_taxes,
};
use fiscald::fdms::wire::ClosingError;
use fiscald::join::{self, Registration};
use fiscald::keys::KeyKind;
use fiscald::ledger::stream::{ItemKind, Parked};
use fiscald::ledger::verify::verify;
use fiscald::ledger::{Issued, Seq};
use fiscald::submit::{Connection, Doing};

use crate::support::pass::pass_until;
use crate::support::store::{House, Plan};
use crate::support::suites;

const NOTHING: [&str; 0] = [];
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn kinds(count: usize) -> Plan {
    Plan {
        tills: vec![KeyKind::EcP256; count],
        ..Plan::default()
    }
}

fn status(status: u16) -> FaultKind {
    FaultKind::Status {
        status,
        retry_after: None,
        processed: false,
    }
}

fn parked(house: &House, place: usize) -> Parked {
    let (state, _) = house.stream(place);
    state.parked.expect("parked")
}

/// One bread for 1.20, on one till or the other.
pub(crate) fn bread(invoice_no: &str) -> String {
    format!(
        r#"{{"receiptType":"FiscalInvoice","receiptCurrency":"USD","invoiceNo":"{invoice_no}",
        "receiptLinesTaxInclusive":true,"receiptLines":[{{"receiptLineType":"Sale","receiptLineName":"Bread",
        "receiptLineHSCode":"19059090","receiptLinePrice":1.20,"receiptLineQuantity":1,"taxID":517}}],
        "receiptPayments":[{{"moneyTypeCode":"Cash","paymentAmount":1.20}}]}}"#
    )
}

/// Two tills, one with each kind of key, live through two days: FDMS holds the same receipts, no colour.
#[tokio::test]
async fn two_days_in_the_life_of_two_tills() {
    let house = House::build(Plan {
        tills: vec![KeyKind::EcP256, KeyKind::Rsa2048],
        ..Plan::default()
    })
    .await;
    for _ in 0..2 {
        for place in 0..2 {
            house.open_day(place).await;
            house.sell_many(place, 25).await;
        }
        house.pass(HOUR).await;
        for place in 0..2 {
            house.sell_many(place, 5).await;
        }
        assert_eq!(suites::ended(&house).await, NOTHING);
        house.pass(10 * HOUR).await;
    }
    for place in 0..2 {
        let closes = house
            .sandbox
            .request_count(house.till(place).number(), Call::CloseDay);
        assert_eq!((house.at_fdms(place).len(), closes), (60, 2));
        let first = house
            .ledger()
            .reader()
            .events(Seq(0), Some(house.till(place).id), 500);
        let kinds: Vec<String> = first.unwrap().into_iter().map(|event| event.kind).collect();
        for kind in ["fdms.opened", "fdms.receipt", "fdms.closed"] {
            assert!(kinds.iter().any(|found| found == kind), "{kind}: {kinds:?}");
        }
    }
    assert_eq!(verify(&house.path(), &mut |_, _| {}).unwrap().receipts, 120);
    assert_eq!(
        fdms_signatures(&house),
        [(None, 4), (Some("valid".to_owned()), 124)],
        "openings are not signed; receipts and closes are, and fit"
    );
}

/// How many answers of FDMS have a signature of its own, and whether it fits.
fn fdms_signatures(house: &House) -> Vec<(Option<String>, i64)> {
    let conn = rusqlite::Connection::open(house.path()).unwrap();
    let query = "SELECT server_signature, count(*) FROM submission GROUP BY 1 ORDER BY 1";
    let mut statement = conn.prepare(query).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

/// FDMS's certificate cannot be had: receipts are taken all the same, unchecked, and nobody waits for it again
/// and again; an hour later they are checked.
#[tokio::test]
async fn unchecked_signatures_hold_nothing_up() {
    let house = House::new().await;
    house.sandbox.add_fault(Fault {
        times: u32::MAX,
        ..Fault::next(Call::GetServerCertificate, status(500))
    });
    house.open_day(0).await;
    house.sell_many(0, 5).await;
    house.drain().await;
    let unchecked = (Some("unchecked".to_owned()), 5);
    assert_eq!(fdms_signatures(&house), [(None, 1), unchecked.clone()]);
    let asked = |house: &House| {
        let all = house.sandbox.requests();
        let of_call = all.iter().filter(|r| r.call == Call::GetServerCertificate);
        of_call.map(|r| r.count).sum::<u64>()
    };
    assert_eq!(asked(&house), 1);
    house.sandbox.clear_faults();
    house.pass(2 * HOUR).await;
    house.sell_many(0, 2).await;
    assert_eq!(suites::ended(&house).await, NOTHING);
    let valid = (Some("valid".to_owned()), 3);
    assert_eq!(fdms_signatures(&house), [(None, 1), unchecked, valid]);
}

/// Lost request, lost answer, 500, 502, 503 and 429, before and after FDMS did it, on each message.
#[tokio::test]
async fn every_fault_on_every_message() {
    let house = House::build(Plan {
        tills: suites::tills_for_faults(),
        ..Plan::default()
    })
    .await;
    assert_eq!(suites::every_fault_on_every_message(&house).await, NOTHING);
}

/// FDMS says how long to wait, and is given that long.
#[tokio::test]
async fn retry_after_is_honoured() {
    for call in [Call::OpenDay, Call::SubmitReceipt, Call::CloseDay] {
        let house = House::new().await;
        let fault = FaultKind::Status {
            status: 429,
            retry_after: Some(90),
            processed: false,
        };
        house.sandbox.add_fault(Fault::next(call, fault));
        house.sell(0).await;
        house.close_day(0).await;
        while house.stream(0).0.last_error.is_none() {
            house.pass(Duration::from_secs(1)).await;
        }
        let asked = house.sandbox.requests();
        house.pass(Duration::from_secs(88)).await;
        assert_eq!(house.sandbox.requests(), asked, "{call}");
        assert_eq!(suites::ended(&house).await, NOTHING, "{call}");
    }
}

/// Certificate refused: the till is shut out, sells on, looks again every quarter of an hour by itself.
#[tokio::test]
async fn shut_out_and_let_in_again() {
    for call in [Call::OpenDay, Call::SubmitReceipt, Call::CloseDay] {
        let house = House::build(kinds(2)).await;
        let device = house.till(0).number();
        let shut_out = |call| Fault {
            device: Some(device),
            ..Fault::next(call, status(401))
        };
        house.sandbox.add_fault(shut_out(call));
        house.sandbox.add_fault(shut_out(Call::GetStatus));
        for place in 0..2 {
            house.sell_many(place, 2).await;
            house.close_day(place).await;
        }
        house.drain().await;
        let reason = parked(&house, 0);
        assert_eq!(
            (reason.code.as_str(), reason.probing),
            ("HTTP 401", true),
            "{call}"
        );
        assert!(reason.reason.contains("certificate"), "{}", reason.reason);
        assert_eq!(house.stream(1).1, None, "the other till is not delayed");
        house.sell_many(0, 2).await;
        house.pass(14 * MINUTE).await;
        assert_eq!(
            house.sandbox.request_count(device, Call::GetStatus),
            2,
            "at registration and at the start"
        );
        house.pass(3 * MINUTE).await;
        assert_eq!(
            parked(&house, 0).since,
            reason.since,
            "the first probe is refused too"
        );
        house.pass(16 * MINUTE).await;
        assert_eq!(suites::ended(&house).await, NOTHING, "{call}");
    }
}

/// A device that the authority has switched off says so in its own code, and goes on once it is on again.
#[tokio::test]
async fn switched_off_by_the_authority() {
    let house = House::new().await;
    let device = house.till(0).number();
    let switch = |active| {
        let change = DeviceChange {
            active: Some(active),
            ..DeviceChange::default()
        };
        house.sandbox.change_device(device, change).unwrap();
    };
    switch(false);
    house.sell_many(0, 3).await;
    house.pass(MINUTE).await;
    assert_eq!(parked(&house, 0).code, "DEV01");
    assert!(house.link(0).last_refusal.is_some());
    switch(true);
    house.pass(20 * MINUTE).await;
    assert_eq!(suites::ended(&house).await, NOTHING);
}

/// A slow answer delays its own till only, and is waited for.
#[tokio::test]
async fn slow_answers_delay_nobody_else() {
    for kind in [FaultKind::Delay, FaultKind::DelayAnswer] {
        let house = House::build(kinds(2)).await;
        house.sandbox.add_fault(Fault {
            device: Some(house.till(0).number()),
            ..Fault::next(Call::SubmitReceipt, kind(Duration::from_secs(3)))
        });
        for place in 0..2 {
            house.open_day(place).await;
        }
        house.advance(Duration::from_secs(5));
        house.sell(0).await;
        house
            .until("the delayed call", |house| {
                house.sandbox.faults().is_empty() && house.link(0).doing == Doing::Busy
            })
            .await;
        house.sell(1).await;
        house
            .until("the other till's receipt", |house| {
                house.at_fdms(1).len() == 1
            })
            .await;
        assert_eq!(house.link(0).doing, Doing::Busy);
        house.advance(Duration::from_secs(3));
        assert_eq!(suites::ended(&house).await, NOTHING);
    }
}

/// Offline for hours: the link says so, sales queue, and all is sent in order within minutes of its end.
#[tokio::test]
async fn hours_offline() {
    let house = House::new().await;
    house.sell(0).await;
    house.drain().await;
    assert!(matches!(
        house.link(0).connection,
        Connection::Online { .. }
    ));
    let cut = house.clock.wall();
    house.sandbox.set_offline(true);
    for _ in 0..6 {
        house.sell_many(0, 5).await;
        house.pass(HOUR / 2).await;
    }
    let Connection::Offline { since, error } = house.link(0).connection else {
        panic!("offline: {:?}", house.link(0));
    };
    assert!(since.duration_since(cut).as_secs() <= 5, "{since} {cut}");
    assert!(
        error.contains("no connection") || error.contains("broke"),
        "{error}"
    );
    house.sandbox.set_offline(false);
    house.pass(6 * MINUTE).await;
    assert_eq!(house.stream(0).1, None, "drained within the longest pause");
    assert_eq!(suites::ended(&house).await, NOTHING);
}

/// A day closes and the next opens while FDMS is away: both are sent in their order afterwards.
#[tokio::test]
async fn two_days_queued() {
    let house = House::new().await;
    house.sandbox.set_offline(true);
    house.sell_many(0, 6).await;
    house.pass(8 * HOUR).await;
    house.close_day(0).await;
    house.pass(12 * HOUR).await;
    house.sell_many(0, 6).await;
    house.pass(HOUR).await;
    house.sandbox.set_offline(false);
    assert_eq!(suites::ended(&house).await, NOTHING);
    assert_eq!(house.sandbox.days(house.till(0).number()).len(), 2);
}

/// A refusal for good parks the stream with its reason; selling goes on; a person lets it go on.
#[tokio::test]
async fn park_and_retry() {
    let house = House::new().await;
    assert_eq!(suites::a_refused_receipt(&house).await, NOTHING);
}

/// The day is marked as one that the device cannot close, with the receipt and the rule, and an event says so.
fn alarm_is_raised(house: &House, red: &Issued) {
    let reader = house.ledger().reader();
    let day = house.day(0).unwrap();
    let marked = reader.red_receipts(day.day_id).unwrap();
    assert_eq!(marked.len(), 1);
    assert_eq!(marked[0].receipt_global_no, red.receipt.global_no);
    assert_eq!(marked[0].marks, ["RCPT025 Red"]);
    let events = reader.events(Seq(0), None, 500).unwrap();
    let alarms: Vec<_> = events.iter().filter(|e| e.kind == "receipt.red").collect();
    assert_eq!(alarms.len(), 1);
    let detail = alarms[0].detail.as_deref().unwrap();
    assert!(
        detail.contains("RCPT025 Red") && detail.contains("portal"),
        "{detail}"
    );
}

/// A Red receipt: the stream goes on, the close fails and is parked with FDMS's code, the day is closed by
/// hand, and after a retry the next day is as good as any.
#[tokio::test]
async fn red_receipt_and_close_by_hand() {
    for refusal in [
        CloseWithBadReceipts::CloseFailed,
        CloseWithBadReceipts::RefusedAtOnce,
    ] {
        let house = House::build(Plan {
            fdms: fdms_sandbox::Settings {
                close_with_bad_receipts: refusal,
                ..fdms_sandbox::Settings::default()
            },
            ..Plan::default()
        })
        .await;
        house.sell_json(0, &bread("1")).await.unwrap();
        house.drain().await;
        // The authority changes the tax and the till has not heard of it yet.
        taxes(
            &house,
            usual_taxes()
                .into_iter()
                .filter(|tax| tax.tax_id != 517)
                .collect(),
        );
        let red = house.sell_json(0, &bread("2")).await.unwrap();
        house.drain().await;
        taxes(&house, usual_taxes());
        house.sell_json(0, &bread("3")).await.unwrap();
        house.drain().await;
        let kept = house
            .ledger()
            .reader()
            .submission(red.seq)
            .unwrap()
            .unwrap();
        assert_eq!(kept.color.as_deref(), Some("Red"));
        alarm_is_raised(&house, &red);
        house.close_day(0).await;
        house.drain().await;
        let code = match refusal {
            CloseWithBadReceipts::CloseFailed => "ReceiptsWithValidationErrors",
            CloseWithBadReceipts::RefusedAtOnce => "HTTP 422",
        };
        let why = parked(&house, 0);
        assert_eq!(
            (why.code.as_str(), why.probing),
            (code, false),
            "{}",
            why.reason
        );
        assert!(why.answer.is_some(), "the evidence is kept");
        house.sell_json(0, &bread("4")).await.unwrap();
        assert!(house.sandbox.close_by_hand(house.till(0).number()));
        house.retry(0).await;
        house.pass(MINUTE).await;
        house.drain().await;
        assert_eq!(
            house.stream(0),
            (house.stream(0).0, None),
            "all of it is sent"
        );
        assert_eq!(house.at_fdms(0).len(), 4);
        let wrong = suites::ended(&house).await;
        assert_eq!(
            wrong.len(),
            2,
            "the Red receipt and its day, nothing else: {wrong:?}"
        );
    }
    assert_eq!(
        ClosingError::ReceiptsWithValidationErrors.as_str(),
        "ReceiptsWithValidationErrors"
    );
}

pub(crate) fn taxes(house: &House, taxes: Vec<TaxSpec>) {
    let change = DeviceChange {
        taxes: Some(taxes),
        ..DeviceChange::default()
    };
    house
        .sandbox
        .change_device(house.till(0).number(), change)
        .unwrap();
}

/// An officer closes the day while receipts are queued: parked with an explanation, nothing passed over.
#[tokio::test]
async fn day_closed_by_hand_under_queued_receipts() {
    let house = House::new().await;
    house.sell_many(0, 2).await;
    house.drain().await;
    assert!(house.sandbox.close_by_hand(house.till(0).number()));
    house.sell_many(0, 2).await;
    house.pass(MINUTE).await;
    let why = parked(&house, 0);
    assert_eq!(why.code, "RCPT01");
    assert!(why.reason.contains("by hand"), "{}", why.reason);
    house.sell(0).await;
    house.retry(0).await;
    house.pass(MINUTE).await;
    assert_eq!(
        parked(&house, 0).code,
        "FiscalDayClosed",
        "a retry finds the same"
    );
    assert_eq!(house.at_fdms(0).len(), 2);
    let (_, head) = house.stream(0);
    assert!(matches!(head.unwrap().kind, ItemKind::Receipt(_)));
}

/// A slow close is asked about at growing intervals until it is done.
#[tokio::test]
async fn closes_are_polled() {
    let house = House::build(Plan {
        fdms: fdms_sandbox::Settings {
            close_delay_ms: 20_000,
            ..fdms_sandbox::Settings::default()
        },
        ..Plan::default()
    })
    .await;
    house.sell(0).await;
    house.drain().await;
    let device = house.till(0).number();
    let before = house.sandbox.request_count(device, Call::GetStatus);
    house.close_day(0).await;
    assert_eq!(suites::ended(&house).await, NOTHING);
    let polls = house.sandbox.request_count(device, Call::GetStatus) - before;
    assert_eq!(polls, 5, "after 1, 3, 7, 15 and 31 s");
}

/// The daemon is stopped while an OpenDay is under way: after the start GetStatus is asked, and the day is
/// not opened a second time.
#[tokio::test]
async fn stopped_in_the_middle_of_an_opening() {
    let mut house = House::new().await;
    let device = house.till(0).number();
    let slow = FaultKind::DelayAnswer(HOUR);
    house.sandbox.add_fault(Fault::next(Call::OpenDay, slow));
    house.sell(0).await;
    house
        .until("the opening", |house| {
            !house.sandbox.days(device).is_empty()
        })
        .await;
    house.stop().await;
    house.advance(MINUTE);
    house.start();
    assert_eq!(suites::ended(&house).await, NOTHING);
    assert_eq!(house.sandbox.request_count(device, Call::OpenDay), 1);
}

/// A note on another till's invoice waits until FDMS has that: sent before, it would be Red (RCPT032).
#[tokio::test]
async fn notes_wait_for_originals_of_other_tills() {
    let house = House::build(kinds(2)).await;
    for place in 0..2 {
        house.open_day(place).await;
    }
    house.drain().await;
    house.sandbox.add_fault(Fault {
        device: Some(house.till(0).number()),
        times: 4,
        ..Fault::next(Call::SubmitReceipt, status(500))
    });
    let invoice = house.sell_json(0, &bread("1")).await.unwrap();
    let note = format!(
        r#"{{"receiptType":"CreditNote","receiptCurrency":"USD","invoiceNo":"C1","receiptNotes":"returned",
        "creditDebitNote":{{"deviceID":{},"receiptGlobalNo":{},"fiscalDayNo":{}}},
        "receiptLinesTaxInclusive":true,"receiptLines":[{{"receiptLineType":"Sale","receiptLineName":"Bread",
        "receiptLineHSCode":"19059090","receiptLinePrice":-1.20,"receiptLineQuantity":1,"taxID":517}}],
        "receiptPayments":[{{"moneyTypeCode":"Cash","paymentAmount":-1.20}}]}}"#,
        house.till(0).device,
        invoice.receipt.global_no,
        invoice.fiscal_day_no
    );
    house.sell_json(1, &note).await.unwrap();
    house.settle().await;
    assert_eq!(
        (house.at_fdms(0).len(), house.at_fdms(1).len()),
        (0, 0),
        "both wait"
    );
    assert_eq!(suites::ended(&house).await, NOTHING);
}

/// A till registered anew while it is shut out goes on at once, with its new certificate.
#[tokio::test]
async fn registered_again_with_a_new_key() {
    let house = House::new().await;
    let number = house.till(0).number();
    let change = DeviceChange {
        revoke_certificates: Some(true),
        activation_key: Some("NEWKEY01".to_owned()),
        ..DeviceChange::default()
    };
    house.sandbox.change_device(number, change).unwrap();
    house.open_day(0).await;
    house.drain().await;
    assert!(parked(&house, 0).probing);
    let registration = Registration {
        till: house.new_till(number),
        activation_key: "NEWKEY01",
        kind: KeyKind::Rsa2048,
        again: true,
        actor: "test",
    };
    let joined = join::register(house.ledger(), &house.access(), &registration)
        .await
        .unwrap();
    assert!(!joined.was_registered);
    house
        .until("the new certificate at work", |house| {
            house.stream(0).1.is_none()
        })
        .await;
    house.sell_many(0, 3).await;
    assert_eq!(suites::ended(&house).await, NOTHING);
}

/// Pings at FDMS's period, and a configuration that is fresh when a day opens.
#[tokio::test]
async fn pings_and_configuration() {
    let house = House::new().await;
    let till = house.till(0);
    let pings = |house: &House| house.sandbox.request_count(till.number(), Call::Ping);
    house
        .until("the first ping", |house| pings(house) == 1)
        .await;
    // The till may still be reading the answer when time goes on: its five minutes begin after that.
    let start = house.clock.wall();
    for count in 2..5 {
        pass_until(&house, MINUTE, "the next ping", |house| {
            pings(house) == count
        })
        .await;
    }
    let passed = house.clock.wall().duration_since(start);
    let least = jiff::SignedDuration::from_mins(15);
    assert!(passed >= least, "three pings within {passed}");
    let change = DeviceChange {
        qr_url: Some("https://other.example".to_owned()),
        ..DeviceChange::default()
    };
    house.sandbox.change_device(till.number(), change).unwrap();
    house.open_day(0).await;
    house.drain().await;
    let taxpayer = house.ledger().reader().taxpayer(till.id).unwrap().unwrap();
    assert_eq!(taxpayer.qr_url, "https://other.example");
}
