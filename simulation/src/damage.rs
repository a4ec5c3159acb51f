//! A page that goes bad: `verify` finds it, or nothing that the ledger means was on it.

use std::path::Path;

use fiscal::testing::Random;
use fiscald::ledger::verify::verify;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use crate::store::Store;

/// Spoils a page of a copy of the ledger. True: `verify` named it; false: it was on nothing that counts.
///
/// # Errors
/// It was on something that counts and nobody found it: a sentence.
pub(crate) fn bad_page(store: &Store, random: &mut Random) -> Result<bool, String> {
    let Some(running) = &store.running else {
        return Ok(false);
    };
    running.ledger.fold_log("TRUNCATE");
    let said = |error: &dyn std::fmt::Display| format!("a copy cannot be made: {error}");
    let mut bytes = std::fs::read(store.path()).map_err(|error| said(&error))?;
    let pages = u64::try_from(bytes.len() / 4096).unwrap_or(0);
    if pages < 2 || store.disk.is_off() {
        return Ok(false);
    }
    // Beside the simulated disk: nothing of the copy outlives this.
    let beside = store.dir.path().parent().unwrap_or(store.dir.path());
    let beside = tempfile::tempdir_in(beside).map_err(|error| said(&error))?;
    let copy = beside.path().join("spoilt.db");
    std::fs::write(&copy, &bytes).map_err(|error| said(&error))?;
    let before = meaning(&copy)?;
    // Not the first: without its head no file is a database, which any program says.
    let page = usize::try_from(1 + random.below(pages - 1)).unwrap_or(1);
    let from = page * 4096 + usize::try_from(random.below(3584)).unwrap_or(0);
    let is_lost = random.chance(30);
    for byte in bytes.get_mut(from..from + 512).into_iter().flatten() {
        *byte = if is_lost {
            0
        } else {
            u8::try_from(random.below(256)).unwrap_or(0)
        };
    }
    std::fs::write(&copy, &bytes).map_err(|error| said(&error))?;
    let found = verify(&copy, &mut |_, _| {}).is_err();
    let is_same = meaning(&copy).is_ok_and(|after| after == before);
    if found || is_same {
        return Ok(found);
    }
    Err(format!(
        "page {page} of the ledger went bad, its meaning is another one, and `verify` says nothing"
    ))
}

/// A number that stands for every row of every table that the ledger rests on.
fn meaning(path: &Path) -> Result<u64, String> {
    let said = |error: rusqlite::Error| format!("the copy cannot be read: {error}");
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(said)?;
    let mut sum = Random::new(1);
    for table in TABLES {
        let mut statement = conn
            .prepare(&format!("SELECT * FROM {table}"))
            .map_err(said)?;
        let columns = statement.column_count();
        let mut rows = statement.query([]).map_err(said)?;
        while let Some(row) = rows.next().map_err(said)? {
            for column in 0..columns {
                let value = row.get_ref(column).map_err(said)?;
                let bits = match value {
                    ValueRef::Null => 1,
                    ValueRef::Integer(number) => number.cast_unsigned(),
                    ValueRef::Real(number) => number.to_bits(),
                    ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                        let mut all = Random::new(7);
                        for byte in bytes {
                            all = Random::new(all.bits() ^ u64::from(*byte));
                        }
                        all.bits()
                    }
                };
                sum = Random::new(sum.bits() ^ bits);
            }
        }
    }
    Ok(sum.bits())
}

/// The tables that hold what was sold and said.
const TABLES: &[&str] = &[
    "receipt",
    "sale_key",
    "day",
    "day_close",
    "head",
    "event",
    "submission",
    "audit",
];
