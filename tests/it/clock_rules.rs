//! The clock rules of docs/ARCHITECTURE.md, Time: dates rise, nothing is sent before its date, no clock
//! stops the selling. Each test is a suite of `support::suites` that must find nothing; that each of them
//! can find something is shown with planted defects in `src/submit/tests.rs`.

use jiff::SignedDuration;

use crate::support::store::House;
use crate::support::suites;

const NOTHING: [&str; 0] = [];

/// Sixty sales in one second on one till.
#[tokio::test]
async fn sixty_sales_in_one_second() {
    let house = House::new().await;
    assert_eq!(suites::sixty_in_a_second(&house).await, NOTHING);
}

/// The wall clock is set back an hour.
#[tokio::test]
async fn clock_set_back_an_hour() {
    let house = House::new().await;
    let back = SignedDuration::from_hours(-1);
    assert_eq!(suites::wall_set_by(&house, back).await, NOTHING);
}

/// The wall clock leaps a day ahead.
#[tokio::test]
async fn clock_leaps_a_day_ahead() {
    let house = House::new().await;
    let ahead = SignedDuration::from_hours(24);
    assert_eq!(suites::wall_set_by(&house, ahead).await, NOTHING);
}

/// The wall clock is set back ten years, before any certificate: FDMS is reached by the trusted time.
#[tokio::test]
async fn clock_set_back_ten_years() {
    let house = House::new().await;
    let back = SignedDuration::from_hours(-10 * 365 * 24);
    assert_eq!(suites::wall_set_by(&house, back).await, NOTHING);
}

/// Restarts of the daemon and reboots of the machine in between, with a right clock and a wrong one.
#[tokio::test]
async fn restart_and_reboot_in_between() {
    let mut house = House::new().await;
    assert_eq!(suites::restarts_and_reboots(&mut house).await, NOTHING);
}

/// A reboot into tomorrow while FDMS is away.
#[tokio::test]
async fn reboot_into_tomorrow() {
    let mut house = House::new().await;
    assert_eq!(suites::rebooted_into_tomorrow(&mut house).await, NOTHING);
}

/// An outage of three days.
#[tokio::test]
async fn outage_of_three_days() {
    let house = House::new().await;
    assert_eq!(suites::three_days_without_fdms(&house).await, NOTHING);
}
