//! What comes from head office, or does not come.

use std::time::Duration;

use fiscald::alarms::AlarmCode as C;
use fiscald::ledger::holds::HoldKind;
use sync_wire::Environment;
use sync_wire::state::{Blocked, Gate, Wanted};

use crate::hq::{arrives, joined, run, till};
use crate::support::alarms::Watch;
use crate::support::hq::Hq;
use crate::support::pass::pass_until;
use crate::support::store::House;

const STEP: Duration = Duration::from_secs(2);
const MINUTE: Duration = Duration::from_secs(60);

/// Head office does not answer for a while.
pub(super) async fn head_office_is_away(watch: &mut Watch) {
    let (house, hq) = joined().await;
    let (view, _stop) = run(&house);
    house.sell(0).await;
    house.drain().await;
    arrives(&house, &hq).await;
    watch.joined(&house, &view, &[]).await;
    hq.lock().away = true;
    pass_until(&house, STEP, "a question in vain", |_| {
        view.standing().trouble.is_some()
    })
    .await;
    watch.joined(&house, &view, &[]).await;
    house.pass(16 * MINUTE).await;
    watch.joined(&house, &view, &[C::HeadOfficeSilent]).await;
    hq.lock().away = false;
    pass_until(&house, MINUTE, "an answer", |_| {
        view.standing().trouble.is_none()
    })
    .await;
    watch.joined(&house, &view, &[]).await;
}

/// Head office switches an environment off and on, and blocks a till and frees it.
pub(super) async fn tills_that_head_office_stops(watch: &mut Watch) {
    let (house, hq) = joined().await;
    let (view, _stop) = run(&house);
    house.sell(0).await;
    house.drain().await;
    watch.joined(&house, &view, &[]).await;
    let reason = || "under review".to_owned();
    let gate = |enabled| Wanted {
        gates: vec![Gate {
            environment: Environment::Test,
            enabled,
            reason: reason(),
        }],
        ..Wanted::default()
    };
    wants(&house, &hq, gate(false), Some(HoldKind::Disabled)).await;
    watch.joined(&house, &view, &[C::TillDisabled]).await;
    let mut blocks = gate(true);
    blocks.blocked.push(Blocked {
        till: till(&house),
        reason: reason(),
    });
    wants(&house, &hq, blocks, Some(HoldKind::Blocked)).await;
    watch.joined(&house, &view, &[C::TillBlocked]).await;
    wants(&house, &hq, gate(true), None).await;
    watch.joined(&house, &view, &[]).await;
    house.sell(0).await;
}

/// Head office wants something, and the store does it: its till is held like this then.
async fn wants(house: &House, hq: &Hq, wanted: Wanted, then: Option<HoldKind>) {
    {
        let mut kept = hq.lock();
        let revision = kept.wanted.revision + 1;
        kept.wanted = Wanted { revision, ..wanted };
    }
    pass_until(house, STEP, "what head office wants", |house| {
        let hold = house.ledger().reader().hold(house.till(0).id).unwrap();
        hold.map(|hold| hold.kind) == then
    })
    .await;
}
