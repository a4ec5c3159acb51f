//! What the writer does when nobody wants anything.

use clock::{TestClock, Timestamp};

use super::*;
use crate::keys::SealingKey;
use crate::ledger::PrintPolicy;

/// A gateway that has nothing to do takes up all the same what a command beside it has changed.
#[test]
fn an_idle_writer_sees_what_others_write() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let start: Timestamp = "2026-05-28T05:00:00Z".parse().unwrap();
    let clock = TestClock::new(start);
    let key = SealingKey::random().unwrap();
    let open = || Core::open(&path, key.clone(), clock.clone(), Settings::default()).unwrap();
    let mut core = open();
    let shared = Shared::new(&core);
    let mut changes = shared.tills_changed.subscribe();
    let print = |shared: &Shared| shared.settings.lock().unwrap().print;
    assert_eq!(print(&shared), PrintPolicy::Always);
    open()
        .write(|core| {
            let wanted = r#"{"revision":1,"gates":[],"switches":[],"settings":{"print":"never"}}"#;
            let row = "INSERT INTO hq VALUES (1, 'https://hq', NULL, ?1, ?1, 't', 's', x'00', x'00', ?1, NULL, 0,
                         zeroblob(32), 0, ?2, NULL, 0)";
            let id = uuid::Uuid::nil().to_string();
            core.conn.execute(row, rusqlite::params![id, wanted])?;
            Ok(())
        })
        .unwrap();
    assert!(!changes.has_changed().unwrap());
    idle(&shared, &mut core);
    assert_eq!(print(&shared), PrintPolicy::Never);
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    idle(&shared, &mut core);
    assert!(!changes.has_changed().unwrap(), "nothing is new");
}
