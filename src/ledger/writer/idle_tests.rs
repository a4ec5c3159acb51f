//! What the writer does when nobody wants anything.

use sync_wire::settings::StoreSettings;
use sync_wire::state::Wanted;

use super::*;
use crate::ledger::PrintPolicy;
use crate::ledger::hq::tests::joined;

/// A gateway that has nothing to do takes up all the same what a command beside it has changed.
#[test]
fn an_idle_writer_sees_what_others_write() {
    let (mut store, _) = joined();
    let shared = Shared::new(&store.core);
    let mut changes = shared.tills_changed.subscribe();
    let print = |shared: &Shared| shared.settings.lock().unwrap().print;
    assert_eq!(print(&shared), PrintPolicy::Always);
    let wanted = Wanted {
        revision: 1,
        settings: StoreSettings {
            print: Some(PrintPolicy::Never),
            ..StoreSettings::default()
        },
        ..Wanted::default()
    };
    let mut other = store.opened();
    assert!(other.write(|core| core.hq_apply(&wanted)).unwrap());
    assert!(!changes.has_changed().unwrap());
    idle(&shared, &mut store.core);
    assert_eq!(print(&shared), PrintPolicy::Never);
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    idle(&shared, &mut store.core);
    assert!(!changes.has_changed().unwrap(), "nothing is new");
}
