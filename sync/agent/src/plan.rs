//! What HQ's answer to a batch means. Pure: no store, no line, no time.
//!
//! HQ says where the store's past at HQ ends: series, number and hash. Either that is where this batch ended, or the
//! store's own line there is looked at: with the same hash an answer was lost, with another one the ledger was put
//! back from a backup, and it begins a new series.

use sync_wire::chain::ChainHash;
use sync_wire::exchange::{Down, Fork};
use uuid::Uuid;

/// What was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The series.
    pub epoch: Uuid,
    /// Where it leaves the one before, if HQ was told so.
    pub fork: Option<Fork>,
    /// This is not what the store has kept of it, but follows from HQ's last answer ([`Place`]).
    pub is_borrowed: bool,
    /// The line before the first one.
    pub after: i64,
    /// The hash over all lines up to it.
    pub after_hash: ChainHash,
    /// So many lines.
    pub entries: usize,
    /// The last line; `after` where there is none.
    pub last: i64,
    /// The hash over all lines up to it.
    pub last_hash: ChainHash,
}

/// A place that HQ's past of this store ends at, and that is the store's own past too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub at: i64,
    /// The hash over all lines up to it.
    pub hash: ChainHash,
    /// What HQ is told of the series from here on.
    pub fork: Option<Fork>,
    /// HQ has acknowledged it for the store's series.
    pub is_own: bool,
}

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// HQ stands where the batch ended.
    Taken(Place),
    /// The store's series cannot go on at HQ.
    Fork {
        /// A sentence.
        reason: String,
    },
    /// It cannot go on now: wait and try again.
    BackOff {
        /// A sentence.
        reason: String,
    },
}

/// What an answer means, or what must be known first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// It is clear.
    Clear(Meaning),
    /// HQ stands at another line: the store's own hash there says which of them is right ([`looked`]).
    Look {
        /// The line.
        at: i64,
    },
}

/// Reads an answer.
#[must_use]
pub fn read(sent: &Sent, down: &Down) -> Reading {
    match down.epoch {
        Some(epoch) if epoch == sent.epoch => own_series(sent, down),
        None => no_series(sent, down),
        Some(epoch) if is_parent(sent, epoch) => parent_series(sent, down),
        Some(_) => Reading::Look { at: down.acked },
    }
}

fn own_series(sent: &Sent, down: &Down) -> Reading {
    if down.acked == sent.last && down.hash == sent.last_hash {
        return taken(Place {
            at: down.acked,
            hash: down.hash,
            fork: None,
            is_own: true,
        });
    }
    if down.acked == sent.after && down.hash == sent.after_hash {
        return not_taken(sent);
    }
    Reading::Look { at: down.acked }
}

/// HQ has nothing of this store.
fn no_series(sent: &Sent, down: &Down) -> Reading {
    match (sent.after, sent.entries) {
        (0, 0) => taken(Place {
            at: 0,
            hash: ChainHash::START,
            fork: None,
            is_own: false,
        }),
        (0, _) => not_taken(sent),
        _ => Reading::Look { at: down.acked },
    }
}

/// HQ is still at the series that this one leaves.
fn parent_series(sent: &Sent, down: &Down) -> Reading {
    if down.acked < sent.after {
        return Reading::Look { at: down.acked };
    }
    if sent.entries > 0 && sent.is_borrowed {
        // HQ knows this series by other lines: only a new one can leave the one that HQ is at.
        let reason =
            "head office has this series with other lines: this ledger was put back from a backup";
        return Reading::Clear(Meaning::Fork {
            reason: reason.to_owned(),
        });
    }
    if sent.entries > 0 {
        return not_taken(sent);
    }
    taken(Place {
        at: sent.after,
        hash: sent.after_hash,
        fork: sent.fork.clone(),
        is_own: false,
    })
}

fn is_parent(sent: &Sent, epoch: Uuid) -> bool {
    sent.fork.as_ref().is_some_and(|fork| fork.parent == epoch)
}

fn taken(place: Place) -> Reading {
    Reading::Clear(Meaning::Taken(place))
}

fn not_taken(sent: &Sent) -> Reading {
    Reading::Clear(Meaning::BackOff {
        reason: format!(
            "head office does not take the lines after {} and does not say why; its log does",
            sent.after
        ),
    })
}

/// What it means that the store's own hash at HQ's line is `own`; none where it has no such line.
#[must_use]
pub fn looked(sent: &Sent, down: &Down, own: Option<ChainHash>) -> Meaning {
    let Some(epoch) = down.epoch else {
        return beginning(down, own);
    };
    let is_own = epoch == sent.epoch;
    if own == Some(down.hash) {
        return Meaning::Taken(Place {
            at: down.acked,
            hash: down.hash,
            fork: (!is_own).then(|| leaving(sent, down, epoch)),
            is_own,
        });
    }
    if is_parent(sent, epoch) && !is_own {
        return Meaning::BackOff { reason: lost(down) };
    }
    if !is_own && sent.fork.as_ref().is_some_and(|fork| fork.at == 0) {
        return from_the_start(sent, epoch);
    }
    let at = down.acked;
    let what = match (is_own, own) {
        (false, _) => "head office has a newer series of this store".to_owned(),
        (true, None) => {
            format!("head office has this store up to line {at}, and this ledger has no such line")
        }
        (true, Some(_)) => format!("line {at} is another one at head office than in this ledger"),
    };
    Meaning::Fork {
        reason: format!("{what}: this ledger was put back from a backup, or it is at work twice"),
    }
}

/// A new series that has nothing in common with what HQ has: all of it is sent.
fn from_the_start(sent: &Sent, parent: Uuid) -> Meaning {
    let fork = sent.fork.clone().map(|fork| Fork { parent, ..fork });
    Meaning::Taken(Place {
        at: 0,
        hash: ChainHash::START,
        fork,
        is_own: false,
    })
}

/// HQ has nothing: all begins anew.
fn beginning(down: &Down, own: Option<ChainHash>) -> Meaning {
    if own != Some(down.hash) {
        return Meaning::BackOff { reason: lost(down) };
    }
    Meaning::Taken(Place {
        at: down.acked,
        hash: down.hash,
        fork: None,
        is_own: false,
    })
}

/// HQ stands at a line of the store's own past, in a series before the store's: it goes on from there.
fn leaving(sent: &Sent, down: &Down, parent: Uuid) -> Fork {
    let reason = match &sent.fork {
        Some(fork) => fork.reason.clone(),
        None => "head office no longer has the newest lines of this store; they are sent again"
            .to_owned(),
    };
    Fork {
        parent,
        at: down.acked,
        hash: down.hash,
        reason,
    }
}

fn lost(down: &Down) -> String {
    format!(
        "head office has lost what it had of this store after line {}, and that line is not in this ledger either; its \
         database was put back from a backup that does not fit this store",
        down.acked
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use sync_wire::state::Wanted;

    const OWN: Uuid = Uuid::from_u128(1);
    const PARENT: Uuid = Uuid::from_u128(2);
    const OTHER: Uuid = Uuid::from_u128(3);

    fn hash(of: u8) -> ChainHash {
        ChainHash::START.then(&[of])
    }

    fn sent(after: i64, entries: usize, fork: bool) -> Sent {
        let last = after + i64::try_from(entries).unwrap();
        Sent {
            epoch: OWN,
            fork: fork.then(|| Fork {
                parent: PARENT,
                at: after,
                hash: hash(1),
                reason: "put back".to_owned(),
            }),
            is_borrowed: false,
            after,
            after_hash: if after == 0 {
                ChainHash::START
            } else {
                hash(1)
            },
            entries,
            last,
            last_hash: if entries == 0 && after == 0 {
                ChainHash::START
            } else if entries == 0 {
                hash(1)
            } else {
                hash(2)
            },
        }
    }

    fn down(epoch: Option<Uuid>, acked: i64, hash: ChainHash, taken: u32) -> Down {
        Down {
            epoch,
            acked,
            hash,
            taken,
            commands: Vec::new(),
            wanted: Wanted::default(),
            now: 0,
        }
    }

    fn word(meaning: &Meaning) -> String {
        match meaning {
            Meaning::Taken(place) => format!(
                "at {}{}{}",
                place.at,
                if place.is_own { "" } else { " not own" },
                place
                    .fork
                    .as_ref()
                    .map_or(String::new(), |fork| format!(" fork {}", fork.at)),
            ),
            Meaning::Fork { .. } => "fork".to_owned(),
            Meaning::BackOff { .. } => "back off".to_owned(),
        }
    }

    /// Every kind of answer to every kind of batch.
    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn answers() {
        let table = [
            // The usual: all taken; nothing to take.
            (sent(10, 5, false), down(Some(OWN), 15, hash(2), 5), "at 15"),
            (sent(10, 0, false), down(Some(OWN), 10, hash(1), 0), "at 10"),
            // `taken` alone says nothing: the number and the hash do.
            (
                sent(10, 5, false),
                down(Some(OWN), 15, hash(9), 5),
                "look 15",
            ),
            (sent(10, 5, false), down(Some(OWN), 15, hash(2), 0), "at 15"),
            // An answer was lost, HQ is behind, HQ is ahead of the batch.
            (
                sent(10, 5, false),
                down(Some(OWN), 12, hash(3), 0),
                "look 12",
            ),
            (
                sent(10, 5, false),
                down(Some(OWN), 30, hash(3), 0),
                "look 30",
            ),
            (sent(10, 5, false), down(Some(OWN), 4, hash(3), 0), "look 4"),
            (
                sent(10, 5, false),
                down(Some(OWN), 10, hash(3), 0),
                "look 10",
            ),
            // HQ is where the batch begins, and does not take it.
            (
                sent(10, 5, false),
                down(Some(OWN), 10, hash(1), 0),
                "back off",
            ),
            // A store that is new to HQ, or that HQ has lost.
            (
                sent(0, 0, false),
                down(None, 0, ChainHash::START, 0),
                "at 0 not own",
            ),
            (
                sent(0, 5, false),
                down(None, 0, ChainHash::START, 0),
                "back off",
            ),
            (
                sent(10, 5, false),
                down(None, 0, ChainHash::START, 0),
                "look 0",
            ),
            (
                sent(10, 5, true),
                down(None, 0, ChainHash::START, 0),
                "look 0",
            ),
            // Another series.
            (
                sent(10, 5, false),
                down(Some(OTHER), 15, hash(2), 0),
                "look 15",
            ),
            (
                sent(10, 5, true),
                down(Some(OTHER), 4, hash(2), 0),
                "look 4",
            ),
            // A new series that HQ has not begun.
            (
                sent(10, 0, true),
                down(Some(PARENT), 40, hash(7), 0),
                "at 10 not own fork 10",
            ),
            (
                sent(10, 5, true),
                down(Some(PARENT), 40, hash(7), 0),
                "back off",
            ),
            (
                sent(10, 5, true),
                down(Some(PARENT), 6, hash(7), 0),
                "look 6",
            ),
            (
                sent(10, 0, true),
                down(Some(PARENT), 10, hash(1), 0),
                "at 10 not own fork 10",
            ),
            // And one that it has.
            (sent(10, 5, true), down(Some(OWN), 15, hash(2), 5), "at 15"),
        ];
        for (sent, down, expected) in table {
            let read = match read(&sent, &down) {
                Reading::Clear(meaning) => word(&meaning),
                Reading::Look { at } => format!("look {at}"),
            };
            assert_eq!(read, expected, "{sent:?} {down:?}");
        }
    }

    /// A fork that follows from HQ's last answer, and that HQ does not take, is tried with a new series.
    #[test]
    fn borrowed_forks() {
        let borrowed = Sent {
            is_borrowed: true,
            ..sent(10, 5, true)
        };
        let read = read(&borrowed, &down(Some(PARENT), 40, hash(7), 0));
        assert!(
            matches!(read, Reading::Clear(Meaning::Fork { .. })),
            "{read:?}"
        );
    }

    /// Nothing that is borrowed is sent where there is nothing to send; what comes next is told all the same.
    #[test]
    fn borrowed_and_empty() {
        let borrowed = Sent {
            is_borrowed: true,
            ..sent(10, 0, true)
        };
        let Reading::Clear(meaning) = read(&borrowed, &down(Some(PARENT), 10, hash(1), 0)) else {
            panic!("it is clear");
        };
        assert_eq!(word(&meaning), "at 10 not own fork 10");
    }

    /// A new series leaves the one that HQ is at, whatever it meant to leave, and its reason stays; a sentence that tells
    /// of a loss names the line.
    #[test]
    fn what_is_told() {
        let fork = |meaning| match meaning {
            Meaning::Taken(Place {
                fork: Some(fork), ..
            }) => fork,
            other => panic!("{other:?}"),
        };
        let elsewhere = down(Some(OTHER), 14, hash(3), 0);
        let anew = fork(looked(&sent(0, 5, true), &elsewhere, None));
        assert_eq!(
            (anew.parent, anew.at, &*anew.reason),
            (OTHER, 0, "put back")
        );
        let behind = fork(looked(&sent(10, 5, true), &elsewhere, Some(hash(3))));
        assert_eq!(
            (behind.parent, behind.at, behind.hash, &*behind.reason),
            (OTHER, 14, hash(3), "put back")
        );
        for (down, own) in [
            (down(Some(PARENT), 6, hash(3), 0), Some(hash(4))),
            (down(None, 6, hash(3), 0), None),
        ] {
            let Meaning::BackOff { reason } = looked(&sent(10, 5, true), &down, own) else {
                panic!("nothing fits");
            };
            assert!(reason.contains("after line 6,"), "{reason}");
        }
    }

    /// What the own line says.
    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn own_lines() {
        let table = [
            (
                sent(10, 5, false),
                down(Some(OWN), 12, hash(3), 0),
                Some(hash(3)),
                "at 12",
            ),
            (
                sent(10, 5, false),
                down(Some(OWN), 12, hash(3), 0),
                Some(hash(4)),
                "fork",
            ),
            (
                sent(10, 5, false),
                down(Some(OWN), 99, hash(3), 0),
                None,
                "fork",
            ),
            (
                sent(10, 5, false),
                down(None, 0, ChainHash::START, 0),
                Some(ChainHash::START),
                "at 0 not own",
            ),
            (
                sent(10, 5, true),
                down(None, 0, ChainHash::START, 0),
                Some(ChainHash::START),
                "at 0 not own",
            ),
            (
                sent(10, 5, true),
                down(Some(PARENT), 6, hash(3), 0),
                Some(hash(3)),
                "at 6 not own fork 6",
            ),
            (
                sent(10, 5, true),
                down(Some(PARENT), 6, hash(3), 0),
                Some(hash(4)),
                "back off",
            ),
            // A newer series at HQ; and an older one, since HQ's database was put back.
            (
                sent(10, 5, false),
                down(Some(OTHER), 14, hash(3), 0),
                Some(hash(4)),
                "fork",
            ),
            (
                sent(10, 5, false),
                down(Some(OTHER), 14, hash(3), 0),
                None,
                "fork",
            ),
            (
                sent(10, 5, false),
                down(Some(OTHER), 6, hash(3), 0),
                Some(hash(3)),
                "at 6 not own fork 6",
            ),
            // A new series without a common line, that leaves a series which HQ does not know.
            (
                sent(0, 5, true),
                down(Some(OTHER), 14, hash(3), 0),
                None,
                "at 0 not own fork 0",
            ),
            // A series that HQ has begun, of which this ledger knows only the beginning.
            (
                sent(10, 5, true),
                down(Some(OWN), 14, hash(3), 0),
                Some(hash(4)),
                "fork",
            ),
            (
                sent(10, 5, true),
                down(Some(OWN), 14, hash(3), 0),
                Some(hash(3)),
                "at 14",
            ),
        ];
        for (sent, down, own, expected) in table {
            assert_eq!(
                word(&looked(&sent, &down, own)),
                expected,
                "{sent:?} {down:?} {own:?}"
            );
        }
    }
}
