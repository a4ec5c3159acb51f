//! Gaps at FDMS (Grey) heal by themselves, and days that were closed by hand are compared.

use std::time::Duration;

use fiscald::ledger::stream::ItemKind;

use crate::support::store::House;

/// FDMS loses a receipt in the middle of a day, and one more before the close: both come again, and the day is closed by
/// the device.
#[tokio::test]
async fn what_fdms_has_lost_comes_again() {
    let house = House::new().await;
    let device = house.till(0).number();
    house.sell_many(0, 4).await;
    house.drain().await;
    assert!(house.sandbox.lose_receipt(device, 2));
    assert!(house.sandbox.lose_receipt(device, 4));
    // The fifth lies behind a gap: Grey, and all of the day is sent again.
    house.sell(0).await;
    house.drain().await;
    house
        .until("the gaps are filled", |house| house.at_fdms(0).len() == 5)
        .await;
    let grey = house.sandbox.summary(device).grey;
    assert_eq!(grey, 0);
    assert!(house.sandbox.lose_receipt(device, 3));
    house.close_day(0).await;
    house.drain().await;
    house
        .until("the day is closed", |house| {
            house.open_days_at_fdms(0).is_empty()
        })
        .await;
    assert_eq!(house.sandbox.receipt_count(device), 5);
    assert_eq!(house.sandbox.summary(device).red, 0);
}

/// A gap that does not heal parks the queue at the close, once, with the reason; selling goes on.
#[tokio::test]
async fn a_gap_that_stays_parks_the_close() {
    use fdms_sandbox::{GapSignature, Settings};
    let house = House::build(crate::support::store::Plan {
        fdms: Settings {
            gap_signature: GapSignature::RedForever,
            ..Settings::default()
        },
        ..Default::default()
    })
    .await;
    let device = house.till(0).number();
    house.sell_many(0, 3).await;
    house.drain().await;
    assert!(house.sandbox.lose_receipt(device, 3));
    house.sell(0).await;
    house.drain().await;
    house.close_day(0).await;
    house.drain().await;
    let (state, head) = house.stream(0);
    assert!(matches!(head.unwrap().kind, ItemKind::Close(_)));
    assert_eq!(state.parked.unwrap().code, "ReceiptsWithValidationErrors");
    house.advance(Duration::from_secs(60));
    house.sell(0).await;
}

/// FDMS is out of order for an hour: one till at a time asks for all of them, and when it is back all go on at once,
/// whatever pause each was in.
#[tokio::test]
async fn one_till_asks_for_all() {
    use fdms_sandbox::{Fault, FaultKind};
    use fiscald::keys::KeyKind;
    const TILLS: usize = 5;
    let house = House::build(crate::support::store::Plan {
        tills: vec![KeyKind::EcP256; TILLS],
        ..Default::default()
    })
    .await;
    let requests = |house: &House| {
        let all = house.sandbox.requests();
        all.iter().map(|count| count.count).sum::<u64>()
    };
    house.sandbox.add_fault(Fault::every(FaultKind::Status {
        status: 503,
        retry_after: None,
        processed: false,
    }));
    for place in 0..TILLS {
        house.sell(place).await;
    }
    house.pass(Duration::from_secs(60)).await;
    let before = requests(&house);
    house.pass(Duration::from_secs(3600)).await;
    let asked = requests(&house) - before;
    // One question each half a minute at most, whoever asks it.
    assert!((10..=125).contains(&asked), "{asked} questions in an hour");
    house.sandbox.clear_faults();
    let back = house.ledger().time().now();
    house.drain().await;
    // Half a minute; a minute more if whoever was trying for all is not heard of; and a question that was on its way.
    let took = house.ledger().time().now().duration_since(back);
    assert!(took <= jiff::SignedDuration::from_secs(155), "{took}");
    assert_eq!(house.disagreements(), [""; 0]);
}
