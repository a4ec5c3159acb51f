//! A disk that fills and is emptied: a small one, in memory, whose size is changed under the gateway.

use std::path::Path;
use std::process::Command;

use clock::{Clock as _, SystemClock};
use fiscald::alarms::AlarmCode as C;

use crate::disk_full::{on_a_disk_of, sell};
use crate::support::alarms::{Watch, set};
use crate::support::process::{Http, PATIENCE, Store};

/// What [`a_disk_that_fills`] raises and clears.
pub(super) const TOLD: &[C] = &[C::DiskNearlyFull, C::DiskFull];

const MB: u64 = 1024 * 1024;

/// Little room is told of, hardly any stops the light, and with room all is well.
#[test]
fn a_disk_that_fills() {
    let Some(dir) = on_a_disk_of("1g", "alarms::disk::a_disk_that_fills") else {
        return;
    };
    let mut store = Store::set_up(&dir, 78);
    store.start();
    let mut http = Http::open(store.address).unwrap();
    assert_eq!(sell(&mut http, &store, 1).status, 201);
    let mut watch = Watch::default();
    let mut told = || {
        let answer = http.get("/v1/alarms", &store.token).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        watch.heard(answer.body.as_bytes())
    };
    // The first answer of FDMS confirms the clock.
    let started = SystemClock.boot();
    while !told().is_empty() {
        assert!(SystemClock.boot() - started < PATIENCE, "{:?}", told());
        std::thread::yield_now();
    }
    let mut tells = |wanted: &[C]| assert_eq!(told(), set(wanted));
    leave(&dir, 300 * MB);
    tells(&[C::DiskNearlyFull]);
    leave(&dir, 4 * MB);
    tells(&[C::DiskFull]);
    leave(&dir, 300 * MB);
    tells(&[C::DiskNearlyFull]);
    leave(&dir, 900 * MB);
    tells(&[]);
    watch.ended(TOLD);
}

/// Makes the disk so large that so many bytes are left.
fn leave(dir: &Path, free: u64) {
    let disk = rustix::fs::statvfs(dir).unwrap();
    let used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize;
    let done = Command::new("mount")
        .args(["-o", &format!("remount,size={}", used + free)])
        .arg(dir)
        .status();
    assert!(done.unwrap().success());
}
