//! The shop's address, which goes with a router and comes back with it: in a network of the test's own.

use std::process::Command;

use fiscald::alarms::AlarmCode as C;
use fiscald::api::ApiSettings;

use crate::support::alarms::{Watch, set};
use crate::support::namespace::inside;
use crate::support::store::House;

/// What [`a_router_that_is_off`] raises and clears.
pub(super) const TOLD: &[C] = &[C::LanAway];

/// An address for documents (RFC 5737).
const ADDRESS: &str = "192.0.2.7";

/// Tills on other machines find nobody at an address that this machine does not have; with it all is well.
#[test]
fn a_router_that_is_off() {
    let test = "alarms::network::a_router_that_is_off";
    if inside(&["--net"], "ip link set lo up", test).is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut watch = Watch::default();
        let house = House::new().await;
        let settings = ApiSettings {
            lan: Some(format!("{ADDRESS}:8488").parse().unwrap()),
            ..ApiSettings::default()
        };
        for (change, wanted) in [
            (None, TOLD),
            (Some("add"), &[]),
            (Some("del"), TOLD),
            (Some("add"), &[]),
        ] {
            if let Some(change) = change {
                address(change);
            }
            assert_eq!(
                watch.with(&house, settings.clone()).await,
                set(wanted),
                "{change:?}"
            );
        }
        watch.ended(TOLD);
    });
}

/// The router gives this machine its address, or takes it back.
fn address(change: &str) {
    let done = Command::new("ip")
        .args(["address", change, &format!("{ADDRESS}/32"), "dev", "lo"])
        .status();
    assert!(done.unwrap().success(), "{change}");
}
