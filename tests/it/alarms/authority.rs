//! What goes wrong between a till and the authority.

use std::time::Duration;

use fdms_sandbox::{Call, Fault, FaultKind, GapSignature, Settings, TaxSpec, usual_taxes};
use fiscald::alarms::AlarmCode as C;
use fiscald::ledger::stream::{Proof, Submission};

use crate::certificates::{certificate, days_left};
use crate::submit::{bread, taxes};
use crate::support::alarms::Watch;
use crate::support::api::Shop;
use crate::support::pass::pass_until;
use crate::support::store::{House, Plan};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Without internet: after some hours the receipts that wait are alarming, until they are sent.
pub(super) async fn receipts_that_wait_long(watch: &mut Watch) {
    let house = House::new().await;
    house.sell(0).await;
    house.drain().await;
    watch.house(&house, &[]).await;
    house.sandbox.set_offline(true);
    house.sell(0).await;
    house.pass(3 * HOUR).await;
    watch.house(&house, &[]).await;
    house.pass(2 * HOUR).await;
    watch.house(&house, &[C::UnsentLong]).await;
    house.sandbox.set_offline(false);
    house.drain().await;
    watch.house(&house, &[]).await;
}

/// A receipt that the authority marks red: it costs the day, whose close fails, until it is closed by hand.
pub(super) async fn a_red_receipt(watch: &mut Watch) {
    let house = House::new().await;
    house.sell_json(0, &bread("1")).await.unwrap();
    house.drain().await;
    // The authority changes the tax and the till has not heard of it yet.
    let others = usual_taxes().into_iter().filter(|tax| tax.tax_id != 517);
    taxes(&house, others.collect());
    house.sell_json(0, &bread("2")).await.unwrap();
    house.drain().await;
    taxes(&house, usual_taxes());
    watch.house(&house, &[C::ReceiptRed]).await;
    house.close_day(0).await;
    house.drain().await;
    watch.house(&house, &[C::CloseFailed, C::ReceiptRed]).await;
    assert!(house.sandbox.close_by_hand(house.till(0).number()));
    house.retry(0).await;
    house.pass(MINUTE).await;
    house.drain().await;
    watch.house(&house, &[]).await;
}

/// The authority has lost a receipt, and says so with the next one; the day cannot be sent again at once. An hour later it
/// has lost another one; then the day is sent again, and nothing is missing.
pub(super) async fn a_receipt_that_is_missed(watch: &mut Watch) {
    let house = House::build(Plan {
        fdms: Settings {
            gap_signature: GapSignature::Grey,
            ..Settings::default()
        },
        ..Plan::default()
    })
    .await;
    let device = house.till(0).number();
    for number in ["1", "2", "3"] {
        house.sell_json(0, &bread(number)).await.unwrap();
    }
    house.drain().await;
    assert!(house.sandbox.lose_receipt(device, 3));
    let away = FaultKind::Status {
        status: 500,
        retry_after: None,
        processed: false,
    };
    // The next receipt is taken; what is sent again after it is not.
    house.sandbox.add_fault(Fault {
        skip: 1,
        ..Fault::next(Call::SubmitReceipt, away)
    });
    house.sell_json(0, &bread("4")).await.unwrap();
    house.drain().await;
    watch.house_until(&house, &[C::ReceiptGrey]).await;
    assert_eq!(house.at_fdms(0).len(), 3);
    house.pass(HOUR + MINUTE).await;
    watch.house(&house, &[C::ReceiptGrey]).await;
    assert!(house.sandbox.lose_receipt(device, 4));
    house.sell_json(0, &bread("5")).await.unwrap();
    house.drain().await;
    house
        .until("the gap is filled", |house| house.at_fdms(0).len() == 5)
        .await;
    assert_eq!(house.sandbox.summary(device).grey, 0);
    watch.house_until(&house, &[]).await;
}

/// A till that the authority shuts out, and lets in again.
pub(super) async fn a_till_that_is_shut_out(watch: &mut Watch) {
    let house = House::new().await;
    for call in [Call::OpenDay, Call::GetStatus] {
        let refused = FaultKind::Status {
            status: 401,
            retry_after: None,
            processed: false,
        };
        house.sandbox.add_fault(Fault::next(call, refused));
    }
    house.sell(0).await;
    house.drain().await;
    watch.house(&house, &[C::Parked]).await;
    house.pass(40 * MINUTE).await;
    house.drain().await;
    watch.house(&house, &[]).await;
}

/// A queue that a person pauses and lets go on.
pub(super) async fn a_paused_queue(watch: &mut Watch) {
    let house = House::new().await;
    house.sell(0).await;
    house.drain().await;
    let till = house.till(0).id;
    let paused = house
        .ledger()
        .write(move |core| core.pause_stream(till, "inventory", "test"));
    paused.await.unwrap();
    watch.house(&house, &[C::Paused]).await;
    house.retry(0).await;
    watch.house(&house, &[]).await;
}

/// The authority takes a receipt and signs something else; it is over with the day. What the authority answers is played
/// here: the sandbox signs rightly.
pub(super) async fn a_signature_that_does_not_fit(watch: &mut Watch) {
    let shop = Shop::open().await;
    let till = shop.tills[0];
    shop.sell("T1-1").await;
    watch.shop(&shop, &[]).await;
    take(&shop, r#"{"fiscalDayNo":1,"operationID":"op-0"}"#, None).await;
    let taken = r#"{"receiptID":77,"serverDate":"2026-05-28T07:00:02","operationID":"op-1"}"#;
    take(&shop, taken, Some(Proof::Invalid)).await;
    watch.shop(&shop, &[C::SignatureInvalid]).await;
    let closed = shop.ledger.write(move |core| core.close_day(till, "test"));
    closed.await.unwrap();
    watch.shop(&shop, &[C::SignatureInvalid]).await;
    take(&shop, r#"{"operationID":"op-2"}"#, Some(Proof::Valid)).await;
    watch.shop(&shop, &[]).await;
}

/// The authority has taken what the first till sends next.
async fn take(shop: &Shop, answer: &str, proof: Option<Proof>) {
    let till = shop.tills[0];
    let (_, head) = shop.ledger.ask(move |r| r.stream(till)).await.unwrap();
    let submission = Submission {
        operation_id: Some("op".to_owned()),
        answer: answer.to_owned(),
        proof,
        ..Submission::default()
    };
    let taken = shop
        .ledger
        .write(move |core| core.finish_item(till, &head.unwrap(), &submission));
    taken.await.unwrap();
}

/// Without a connection a certificate nears its end; with one it is renewed. The next one ends, and the till is registered
/// anew.
pub(super) async fn a_certificate_that_ends(watch: &mut Watch) {
    let house = House::new().await;
    house.sell(0).await;
    house.close_day(0).await;
    house.drain().await;
    watch.house(&house, &[]).await;
    let old = certificate(&house).thumbprint().to_owned();
    house.sandbox.set_offline(true);
    days_left(&house, 20);
    watch.house(&house, &[C::CertificateEnding]).await;
    house.sandbox.set_offline(false);
    pass_until(&house, HOUR, "the new certificate", |house| {
        certificate(house).thumbprint() != old
    })
    .await;
    watch.house(&house, &[]).await;
    house.sandbox.set_offline(true);
    days_left(&house, 0);
    watch.house(&house, &[C::CertificateEnded]).await;
    house.sandbox.set_offline(false);
    house.register_again(0).await;
    watch.house(&house, &[]).await;
}

/// The authority sends settings with a tax that cannot be; the till sells on with those before, until they are mended.
pub(super) async fn settings_that_are_of_no_use(watch: &mut Watch) {
    let house = House::new().await;
    let till = house.till(0).id;
    let mut wrong = usual_taxes();
    wrong.push(TaxSpec::new(99, Some(-550), "A gift"));
    taxes(&house, wrong);
    let refused = house.submitter().fetch_config(till).await;
    assert!(refused.is_err(), "{refused:?}");
    watch.house(&house, &[C::ConfigUnusable]).await;
    house.sell_json(0, &bread("1")).await.unwrap();
    taxes(&house, usual_taxes());
    house.submitter().fetch_config(till).await.unwrap();
    watch.house(&house, &[]).await;
}
