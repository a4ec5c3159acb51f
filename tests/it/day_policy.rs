//! Days that close by themselves, and the warning before one lasts too long.

use std::time::Duration;

use fiscald::days::keep;
use fiscald::ledger::{DayClosing, DayPolicy, Environment, Seq, Settings};
use tokio_util::sync::{CancellationToken, DropGuard};

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
    let by_hand = closing("by_hand");
    settings
        .days_of
        .insert((Environment::Test, second), by_hand);
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
