//! What goes wrong in the store itself: days, clock, ledger, tills.

use std::time::Duration;

use fiscald::alarms::AlarmCode as C;
use fiscald::keys::KeyKind;
use fiscald::submit::reconcile::adoption_from;
use jiff::SignedDuration;

use crate::adoption::put_back;
use crate::submit::bread;
use crate::support::alarms::Watch;
use crate::support::store::House;
use crate::support::suites::reboot;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A day that nears its longest, that is over it, that is closed.
pub(super) async fn a_day_that_lasts(watch: &mut Watch) {
    let house = House::new().await;
    house.sell(0).await;
    house.drain().await;
    house.pass(20 * HOUR).await;
    watch.house(&house, &[]).await;
    house.pass(3 * HOUR).await;
    watch.house(&house, &[C::DayEnding]).await;
    house.pass(2 * HOUR).await;
    watch.house(&house, &[C::DayOver]).await;
    house.close_day(0).await;
    watch.house(&house, &[]).await;
}

/// A clock that somebody has set, and set right again.
pub(super) async fn a_clock_that_was_set(watch: &mut Watch) {
    let house = House::new().await;
    house.sell(0).await;
    house.drain().await;
    house.set_wall(SignedDuration::from_hours(5));
    watch.house(&house, &[C::ClockOff]).await;
    house.set_wall(SignedDuration::from_hours(-5));
    watch.house(&house, &[]).await;
}

/// After a start of the machine without internet nobody can say whether its clock is right; the authority's next answer
/// does.
pub(super) async fn a_machine_that_was_started_anew(watch: &mut Watch) {
    let mut house = House::new().await;
    house.sell(0).await;
    house.drain().await;
    house.sandbox.set_offline(true);
    reboot(&mut house, 5 * MINUTE, SignedDuration::ZERO).await;
    watch.house(&house, &[C::ClockUnconfirmed]).await;
    house.sell(0).await;
    watch.house(&house, &[C::ClockUnconfirmed]).await;
    house.sandbox.set_offline(false);
    house.drain().await;
    watch.house_until(&house, &[]).await;
}

/// A ledger that was put back from an older copy: its till does not sell before the authority was asked, and as it has
/// more, not before a person has decided.
pub(super) async fn an_old_ledger_that_was_put_back(watch: &mut Watch) {
    let mut house = put_back(2).await;
    house.sandbox.set_offline(true);
    house.start();
    watch.house(&house, &[C::TillUnchecked]).await;
    house.sandbox.set_offline(false);
    house.drain().await;
    watch.house(&house, &[C::TillAhead, C::Parked]).await;
    let till = house.till(0);
    assert!(house.sandbox.close_by_hand(till.number()));
    let status = house.submitter().fdms_status(till.id).await.unwrap();
    let id = till.id;
    let own = house.ledger().write(move |core| core.last_numbers(id));
    let to = adoption_from(&status, own.await.unwrap(), None).unwrap();
    let adopted = house
        .ledger()
        .write(move |core| core.adopt(id, &to, "test"));
    adopted.await.unwrap();
    house.drain().await;
    watch.house(&house, &[]).await;
    house.sell(0).await;
    house.drain().await;
    watch.house(&house, &[]).await;
}

/// A till that is in the store and was not registered yet.
pub(super) async fn a_till_that_is_not_set_up(watch: &mut Watch) {
    let house = House::new().await;
    let second = house.new_till(102);
    let added = house
        .ledger()
        .write(move |core| core.add_till(&second, "test"));
    added.await.unwrap();
    watch.house(&house, &[C::TillNotReady]).await;
    house.register(KeyKind::EcP256).await;
    house.settle().await;
    watch.house(&house, &[]).await;
}

/// The ledger's tables contradict a sale: nothing is written any more, until the ledger was looked after and the gateway
/// started anew.
pub(super) async fn a_ledger_that_takes_no_writes(watch: &mut Watch) {
    let mut house = House::new().await;
    house.sell_json(0, &bread("1")).await.unwrap();
    house.drain().await;
    house.close_day(0).await;
    house.drain().await;
    watch.house(&house, &[]).await;
    by_hand(
        &house,
        "CREATE TRIGGER spoilt BEFORE INSERT ON receipt BEGIN SELECT RAISE(ABORT, 'spoilt'); END",
    );
    let refused = house.sell_json(0, &bread("2")).await.unwrap_err();
    assert!(refused.to_string().contains("spoilt"), "{refused}");
    watch.house(&house, &[C::LedgerFault]).await;
    let refused = house.sell_json(0, &bread("2")).await.unwrap_err();
    assert!(refused.to_string().contains("fiscald verify"), "{refused}");
    house.stop().await;
    by_hand(&house, "DROP TRIGGER spoilt");
    house.start();
    house.sell_json(0, &bread("2")).await.unwrap();
    house.drain().await;
    watch.house(&house, &[]).await;
}

/// Somebody does something to the ledger's file behind the gateway's back.
fn by_hand(house: &House, sql: &str) {
    let hand = rusqlite::Connection::open(house.path()).unwrap();
    hand.busy_timeout(MINUTE).unwrap();
    hand.execute_batch(sql).unwrap();
}
