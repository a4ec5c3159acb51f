//! Days that close by themselves, and the warning before one lasts too long.

use std::time::Duration;

use fdms_sandbox::DeviceChange;
use fiscald::days::keep;
use fiscald::ledger::verify::verify;
use fiscald::ledger::{
    DayClosing, DayOpening, DayPolicy, Environment, Seq, Settings, TillSettings,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::pass::pass_until;
use crate::support::store::{House, Plan};
use crate::support::suites;

const NOTHING: [&str; 0] = [];
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn closing(text: &str) -> DayPolicy {
    DayPolicy {
        closing: DayClosing::try_from(text.to_owned()).unwrap(),
        ..DayPolicy::default()
    }
}

/// A house, at seven in the morning, whose days are kept.
async fn house(policy: DayPolicy, tills: usize) -> (House, DropGuard) {
    let settings = Settings {
        days: policy,
        ..Settings::default()
    };
    house_with(settings, tills).await
}

async fn house_with(settings: Settings, tills: usize) -> (House, DropGuard) {
    let house = House::build(Plan {
        tills: vec![fiscald::keys::KeyKind::EcP256; tills],
        settings,
        ..Plan::default()
    })
    .await;
    let guard = keeper(&house);
    (house, guard)
}

fn keeper(house: &House) -> DropGuard {
    let stop = CancellationToken::new();
    tokio::spawn(keep(house.ledger().clone(), stop.clone()));
    stop.drop_guard()
}

fn is_closed(house: &House, place: usize) -> bool {
    house.day(place).is_some_and(|day| day.close.is_some())
}

fn warnings(house: &House) -> Vec<String> {
    let events = house.ledger().reader().events(Seq(0), None, 1000).unwrap();
    let warnings = events
        .into_iter()
        .filter(|event| event.kind == "day.ending");
    warnings.filter_map(|event| event.detail).collect()
}

/// At its time the day closes, not before, with FDMS away or not; the next sale opens the next one.
#[tokio::test]
async fn closed_at_a_time_of_day() {
    let (house, _keeper) = house(closing("22:30"), 1).await;
    for (day, is_away) in [(1, false), (2, true), (3, false)] {
        house.sell_many(0, 3).await;
        assert_eq!(house.day(0).unwrap().fiscal_day_no.get(), day);
        house.sandbox.set_offline(is_away);
        // From a few seconds past seven to 22:29; sales run ahead by a second each.
        house.pass(15 * HOUR + 29 * MINUTE).await;
        assert!(!is_closed(&house, 0), "day {day}");
        house.pass(2 * MINUTE).await;
        house.until("the close", |house| is_closed(house, 0)).await;
        let closed = house.day(0).unwrap().close.unwrap().closed.to_string();
        assert_eq!(&closed[11..15], "22:3", "{closed}");
        house.sandbox.set_offline(false);
        house.pass(8 * HOUR + 29 * MINUTE).await;
    }
    assert_eq!(suites::ended(&house).await, NOTHING);
    assert_eq!(house.open_days_at_fdms(0), NOTHING);
}

/// A day that nobody closes is closed before it has lasted its longest; the cashier was warned two hours
/// before that, once, also across a restart of the keeper. Another till may do it by hand.
#[tokio::test]
async fn closed_before_its_longest() {
    let mut settings = Settings {
        days: closing("before_longest"),
        ..Settings::default()
    };
    let second = fiscal::DeviceId::new(102).unwrap();
    let by_hand = TillSettings {
        closing: Some(DayClosing::ByHand),
        ..TillSettings::default()
    };
    settings.tills.insert((Environment::Test, second), by_hand);
    let (house, first_keeper) = house_with(settings, 2).await;
    for place in 0..2 {
        house.sell_many(place, 2).await;
    }
    house.pass(21 * HOUR + 55 * MINUTE).await;
    assert_eq!(warnings(&house), NOTHING);
    house.pass(10 * MINUTE).await;
    house
        .until("the warnings", |house| warnings(house).len() == 2)
        .await;
    assert!(
        warnings(&house)[0].contains("2026-05-29T07:00:"),
        "{:?}",
        warnings(&house)
    );
    drop(first_keeper);
    let _keeper = keeper(&house);
    house.pass(HOUR).await;
    assert!(!is_closed(&house, 0));
    house.pass(HOUR).await;
    house.until("the close", |house| is_closed(house, 0)).await;
    assert!(!is_closed(&house, 1), "by hand");
    assert_eq!(warnings(&house).len(), 2);
    assert_eq!(suites::ended(&house).await, NOTHING);
}

/// The configuration that the till has, with a VAT number: FDMS has sent it in the middle of the day.
async fn becomes_a_vat_payer(house: &House) {
    let conn = rusqlite::Connection::open(house.path()).unwrap();
    let newest = "SELECT body FROM config ORDER BY config_id DESC LIMIT 1";
    let body: String = conn.query_row(newest, [], |row| row.get(0)).unwrap();
    let body = body.replacen('{', "{\"vatNumber\":\"220000000\",", 1);
    vat_number(house, "220000000");
    let till = house.till(0).id;
    let stored = house
        .ledger()
        .write(move |core| core.store_config(till, &body));
    assert!(stored.await.unwrap(), "it is new");
}

fn vat_number(house: &House, number: &str) {
    let change = DeviceChange {
        vat_number: Some(number.to_owned()),
        ..DeviceChange::default()
    };
    let till = house.till(0).number();
    house.sandbox.change_device(till, change).unwrap();
}

/// A house whose taxpayer pays no VAT.
async fn without_vat(opening: DayOpening) -> House {
    let policy = DayPolicy {
        opening,
        ..DayPolicy::default()
    };
    let (house, _keeper) = house(policy, 1).await;
    vat_number(&house, "");
    pass_until(
        &house,
        20 * MINUTE,
        "a configuration without VAT",
        |house| {
            let taxpayer = house.ledger().reader().taxpayer(house.till(0).id);
            let taxpayer = taxpayer.unwrap();
            taxpayer.is_some_and(|taxpayer| !taxpayer.is_vat_payer())
        },
    )
    .await;
    house
}

/// Who becomes a VAT payer in the middle of a day sells on in a new one, which the next sale opens by itself.
#[tokio::test]
async fn a_vat_payer_needs_a_new_day() {
    let house = without_vat(DayOpening::FirstSale).await;
    house.sell_many(0, 2).await;
    house.drain().await;
    becomes_a_vat_payer(&house).await;
    let sold = house.sell(0).await;
    assert_eq!(
        (sold.fiscal_day_no.get(), sold.receipt.counter.get()),
        (2, 1)
    );
    house.sell_many(0, 2).await;
    assert_eq!(suites::ended(&house).await, NOTHING);
    assert_eq!(verify(&house.path(), &mut |_, _| {}).unwrap().receipts, 5);
}

/// Where days are opened by hand nothing is sold before a person has done so.
#[tokio::test]
async fn a_vat_payer_is_told_to_open_a_new_day() {
    let house = without_vat(DayOpening::ByHand).await;
    house.open_day(0).await;
    house.sell_many(0, 2).await;
    house.drain().await;
    becomes_a_vat_payer(&house).await;
    let sale = house.draw(0);
    let refused = house.sell_json(0, &sale).await.unwrap_err();
    assert!(refused.to_string().contains("pays VAT since"), "{refused}");
    house.close_day(0).await;
    house.open_day(0).await;
    house.sell_json(0, &sale).await.unwrap();
    assert_eq!(suites::ended(&house).await, NOTHING);
}
