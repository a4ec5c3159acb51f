//! Signatures of a chain, checked many at a time on all cores.

use std::collections::BTreeMap;

use super::{Checked, wrong};
use crate::keys::PublicKey;
use crate::ledger::TillId;

/// A signature that waits to be checked together with others.
pub(super) struct Waiting {
    pub(super) place: String,
    pub(super) key_id: i64,
    pub(super) text: String,
    pub(super) signature: Vec<u8>,
}

/// Checks them all.
pub(super) fn check_all(
    waiting: &[Waiting],
    keys: &BTreeMap<i64, (TillId, PublicKey)>,
    till: TillId,
) -> Checked {
    if waiting.is_empty() {
        return Ok(());
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = waiting.len().div_ceil(cores);
    std::thread::scope(|scope| {
        let threads: Vec<_> = waiting
            .chunks(share)
            .map(|chunk| scope.spawn(move || check_signatures(chunk, keys, till)))
            .collect();
        for thread in threads {
            thread
                .join()
                .map_err(|_| wrong("verification", "a thread panicked"))??;
        }
        Ok(())
    })
}

fn check_signatures(
    waiting: &[Waiting],
    keys: &BTreeMap<i64, (TillId, PublicKey)>,
    till: TillId,
) -> Checked {
    for one in waiting {
        let Some((owner, key)) = keys.get(&one.key_id) else {
            return Err(wrong(
                &*one.place,
                format!("its key {} is not there", one.key_id),
            ));
        };
        if *owner != till {
            return Err(wrong(&*one.place, "it is signed with another till's key"));
        }
        if !key.verify(one.text.as_bytes(), &one.signature) {
            return Err(wrong(&*one.place, "its signature does not verify"));
        }
    }
    Ok(())
}
