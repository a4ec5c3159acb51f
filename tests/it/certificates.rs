//! The certificate: renewed by itself before it ends, tried before it is used, and what comes if it ends.

use std::time::Duration;

use clock::Clock as _;
use fdms_sandbox::{Call, Fault, FaultKind};
use fiscald::keys::Certificate;
use fiscald::ledger::Seq;
use fiscald::ledger::verify::verify;

use crate::support::pass::pass_until;
use crate::support::store::{House, Plan};
use crate::support::suites;

const NOTHING: [&str; 0] = [];
const DAY: Duration = Duration::from_secs(24 * 3600);
const MINUTES: Duration = Duration::from_secs(5 * 60);
const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn certificate(house: &House) -> Certificate {
    let pem = house.ledger().reader().certificate_pem(house.till(0).id);
    Certificate::from_pem(&pem.unwrap().unwrap()).unwrap()
}

fn asked(house: &House) -> u64 {
    let number = house.till(0).number();
    house.sandbox.request_count(number, Call::IssueCertificate)
}

/// Kinds of the events about certificates, with their details.
fn told(house: &House) -> Vec<(String, String)> {
    let events = house.ledger().reader().events(Seq(0), None, 1000).unwrap();
    events
        .into_iter()
        .filter(|event| event.kind.starts_with("certificate."))
        .map(|event| (event.kind, event.detail.unwrap_or_default()))
        .collect()
}

fn steps(house: &House) -> Vec<i64> {
    let step = |detail: &str| {
        let detail: serde_json::Value = serde_json::from_str(detail).unwrap();
        detail["step"].as_i64().unwrap()
    };
    let told = told(house);
    let alarms = told.iter().filter(|(kind, _)| kind != "certificate.used");
    alarms.map(|(_, detail)| step(detail)).collect()
}

/// Sells a little, closes the day, and waits until FDMS has all of it.
async fn a_day(house: &House) {
    house.open_day(0).await;
    house.sell_many(0, 3).await;
    assert_eq!(suites::ended(house).await, NOTHING);
}

/// Lets time pass until so many days of the certificate are left.
pub(crate) fn days_left(house: &House, days: i32) {
    let now = house.fdms_clock.wall();
    let left = certificate(house).not_after().duration_since(now);
    let left = Duration::try_from(left).unwrap();
    house.advance(left - DAY * u32::try_from(days).unwrap() + HOUR);
}

/// A house at an FDMS that ends the old certificate when it issues a new one, or does not.
async fn house(issue_revokes_old: bool) -> House {
    House::build(Plan {
        fdms: fdms_sandbox::Settings {
            issue_revokes_old,
            ..fdms_sandbox::Settings::default()
        },
        ..Plan::default()
    })
    .await
}

/// Thirty days before its end it is renewed between two days: another certificate, the same key, nothing
/// coloured, and no alarm that lasts.
#[tokio::test]
async fn renewed_between_two_days() {
    for revokes in [false, true] {
        renewed(revokes).await;
    }
}

async fn renewed(issue_revokes_old: bool) {
    let house = house(issue_revokes_old).await;
    a_day(&house).await;
    let old = certificate(&house);
    days_left(&house, 30);
    pass_until(&house, MINUTES, "the new certificate", |house| {
        certificate(house).thumbprint() != old.thumbprint()
    })
    .await;
    assert_eq!(asked(&house), 1);
    let new = certificate(&house);
    assert!(new.not_after() > old.not_after());
    assert!(new.public_key() == old.public_key(), "the same key");
    a_day(&house).await;
    assert_eq!(asked(&house), 1, "renewed once");
    assert_eq!(verify(&house.path(), &mut |_, _| {}).unwrap().receipts, 6);
}

/// With a day open or something unsent it waits for a quiet moment, until two weeks before its end.
#[tokio::test]
async fn an_open_day_is_waited_for_two_weeks() {
    for revokes in [false, true] {
        waited(revokes).await;
    }
}

async fn waited(issue_revokes_old: bool) {
    let house = house(issue_revokes_old).await;
    house.open_day(0).await;
    house.drain().await;
    let old = certificate(&house);
    days_left(&house, 29);
    pass_until(&house, MINUTES, "the alarm", |house| steps(house) == [30]).await;
    assert_eq!(asked(&house), 0);
    days_left(&house, 14);
    pass_until(&house, MINUTES, "the new certificate", |house| {
        certificate(house).thumbprint() != old.thumbprint()
    })
    .await;
    house.sell_many(0, 3).await;
    assert_eq!(suites::ended(&house).await, NOTHING);
}

/// The answer is lost: it is asked for again an hour later, and one certificate is used.
#[tokio::test]
async fn a_lost_answer_costs_nothing() {
    let house = House::new().await;
    a_day(&house).await;
    let old = certificate(&house);
    house
        .sandbox
        .add_fault(Fault::next(Call::IssueCertificate, FaultKind::LoseAnswer));
    days_left(&house, 30);
    pass_until(&house, MINUTES, "the first try", |house| asked(house) == 1).await;
    pass_until(&house, HOUR, "the new certificate", |house| {
        certificate(house).thumbprint() != old.thumbprint()
    })
    .await;
    assert_eq!(asked(&house), 2);
    a_day(&house).await;
}

/// FDMS does not take the certificate that it issued: the old one stays in use, and a day later another one
/// is asked for.
#[tokio::test]
async fn a_certificate_that_does_not_work_is_not_used() {
    let house = House::new().await;
    a_day(&house).await;
    let old = certificate(&house);
    // The first question that comes after IssueCertificate is the trial.
    let refused = FaultKind::Status {
        status: 401,
        retry_after: None,
        processed: false,
    };
    house.sandbox.add_fault(Fault {
        skip: 1,
        ..Fault::next(Call::GetConfig, refused)
    });
    days_left(&house, 29);
    pass_until(&house, MINUTES, "the alarm", |house| steps(house) == [30]).await;
    assert_eq!(asked(&house), 1);
    assert_eq!(certificate(&house).thumbprint(), old.thumbprint());
    a_day(&house).await;
    pass_until(&house, HOUR, "another one", |house| {
        certificate(house).thumbprint() != old.thumbprint()
    })
    .await;
    assert_eq!(asked(&house), 2);
    a_day(&house).await;
}

/// Without a connection there is an alarm at every step; once it has ended selling goes on, nothing is sent, and
/// registering anew, with the same key, sends all that waits.
#[tokio::test]
async fn an_ended_certificate_stops_the_sending_only() {
    let house = House::new().await;
    a_day(&house).await;
    house.sandbox.set_offline(true);
    for (days, expected) in [(30, 30), (14, 14), (7, 7), (3, 3), (1, 1)] {
        days_left(&house, days);
        pass_until(&house, MINUTES, "the next alarm", |house| {
            steps(house).last() == Some(&expected)
        })
        .await;
    }
    days_left(&house, 0);
    pass_until(&house, MINUTES, "the last alarm", |house| {
        steps(house).last() == Some(&0)
    })
    .await;
    assert_eq!(steps(&house), [30, 14, 7, 3, 1, 0]);
    let (_, detail) = told(&house).pop().unwrap();
    assert!(detail.contains("fiscald register --again"), "{detail}");
    house.sandbox.set_offline(false);
    house.sell_many(0, 3).await;
    pass_until(&house, HOUR, "FDMS's refusal", |house| {
        house.stream(0).0.parked.is_some()
    })
    .await;
    house.sell_many(0, 2).await;
    house.register_again(0).await;
    pass_until(&house, HOUR, "everything sent", |house| {
        house.stream(0).1.is_none()
    })
    .await;
    assert_eq!(house.at_fdms(0).len(), 8);
    assert_eq!(suites::ended(&house).await, NOTHING);
}
