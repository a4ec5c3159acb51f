//! Playing a record on a new world, to see whether FDMS's answers are still the same.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clock::SystemClock;

use crate::ca::Authority;
use crate::journal::{Difference, Entry, Exchange, HeldClock, Lines, Played, Player};

/// What came of playing a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// How many requests were played and answered as recorded.
    pub same: usize,
    /// How many there was nothing to compare of: those that a fault kept from being processed, those
    /// whose body could not be recorded, and those for certificates by thumbprint.
    pub skipped: usize,
    /// The first answer that is another one; playing ends there.
    pub different: Option<Different>,
}

/// A request that is answered otherwise than it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Different {
    /// The line of the record, from 1.
    pub line: usize,
    /// The request, as method and path.
    pub request: String,
    /// When it was processed.
    pub at: clock::Timestamp,
    /// How the answers differ.
    pub difference: Difference,
}

impl fmt::Display for Different {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            request,
            at,
            difference,
        } = self;
        write!(f, "line {line}, {request} at {at}: {difference}")
    }
}

/// Plays a record, or the journal of a data folder, on a new world: the same requests and changes in the
/// same order at the same moments, until an answer differs. Operation IDs, certificates and FDMS's own
/// signatures are not compared. Blocks.
///
/// # Errors
/// The file cannot be read, or is no record, or begins in the middle of a world's life.
pub fn replay(path: &Path) -> Result<Replay> {
    let mut lines = Lines::open(path)?;
    let name = path.display();
    let mut player: Option<Player> = None;
    let mut replay = Replay {
        same: 0,
        skipped: 0,
        different: None,
    };
    while let Some(entry) = lines.next_entry()? {
        let place = || format!("{name} line {}", lines.number);
        if let Entry::Start(start) = &entry
            && (start.settings.is_some() || player.is_none())
        {
            let clock = HeldClock::new(Arc::new(SystemClock));
            player = Some(Player::begin(start, Authority::open(None)?, clock).with_context(place)?);
            continue;
        }
        let Some(player) = &mut player else {
            bail!("{} is no start of a sandbox: this is no record", place());
        };
        let request = match &entry {
            Entry::Exchange(exchange) => Some(request_of(exchange)),
            _ => None,
        };
        match player.play(entry).with_context(place)? {
            Played::Done => {}
            Played::Same => replay.same += 1,
            Played::Skipped => replay.skipped += 1,
            Played::Different(difference) => {
                let (request, at) = request.unwrap_or_default();
                replay.different = Some(Different {
                    line: lines.number,
                    request,
                    at,
                    difference,
                });
                break;
            }
        }
    }
    Ok(replay)
}

fn request_of(exchange: &Exchange) -> (String, clock::Timestamp) {
    (
        format!("{} {}", exchange.method, exchange.path),
        exchange.at,
    )
}
