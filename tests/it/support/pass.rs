//! Waiting for what happens beside the streams, on the test clock.

use std::time::Duration;

use fiscald::submit::Doing;

use super::store::House;

/// What happens beside the streams is given so long after each step.
const MOMENT: Duration = Duration::from_millis(50);

/// Lets time pass, a step at a time, until something is so. What happens beside the streams announces itself
/// to nobody: after each step it is given a moment.
pub(crate) async fn pass_until(
    house: &House,
    step: Duration,
    what: &str,
    is_so: impl Fn(&House) -> bool,
) {
    for _ in 0..24 * 3 {
        let seen = tokio::time::timeout(MOMENT, house.until(what, &is_so));
        if seen.await.is_ok() {
            return;
        }
        // Whoever is at work is let finish: a large file takes its time.
        house
            .until("whoever is at work finishes", |house| {
                (0..house.count()).all(|till| house.link(till).doing != Doing::Busy) || is_so(house)
            })
            .await;
        house.advance(step);
    }
    let streams: Vec<_> = (0..house.count())
        .map(|till| (house.stream(till), house.link(till)))
        .collect();
    panic!("{what} does not come: {streams:#?}");
}
