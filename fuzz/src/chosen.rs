//! What each of the two programs does: it plays the one target of its own that `FUZZ_TARGET` names.

use std::sync::OnceLock;

use crate::input::Target;
use crate::leak;

static TARGET: OnceLock<Target> = OnceLock::new();

/// Plays an input; `all` are the program's targets and their names.
pub(crate) fn play(all: &[(&str, Target)], data: &[u8]) {
    let target = TARGET.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
        let found = all.iter().find(|(known, _)| *known == name);
        let (_, run) = found.unwrap_or_else(|| panic!("FUZZ_TARGET: there is no target {name:?}"));
        *run
    });
    leak::watched(*target, data);
}
