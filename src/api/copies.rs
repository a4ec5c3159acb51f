//! How backups and the live copy stand, in `GET /v1/status` and `GET /metrics`.

use clock::Timestamp;
use fiscal::wire::Object;

use super::answer::local;
use crate::backup::{LiveStanding, Phase, Standing};

/// What the live copy has not yet.
pub(super) struct Beyond {
    /// So many events.
    pub(super) events: i64,
    /// When the first of them was.
    pub(super) since: Option<Timestamp>,
}

/// How far the live copy is behind, in seconds: how long the oldest event has waited that it lacks. Where nobody knows what
/// is in it, since when it does not follow; none before the first try.
pub(super) fn lag(live: &LiveStanding, beyond: Option<&Beyond>, now: Timestamp) -> Option<i64> {
    let age = |since: Timestamp| now.duration_since(since).as_secs().max(0);
    match (beyond, &live.trouble) {
        (Some(beyond), _) => Some(beyond.since.map_or(0, age)),
        (None, Some((_, since))) => Some(age(*since)),
        (None, None) => None,
    }
}

/// Writes it; `now` is the trusted time.
pub(super) fn write(
    o: &mut Object<'_>,
    standing: &Standing,
    beyond: Option<Beyond>,
    now: Timestamp,
) {
    if let Some(folder) = &standing.folder {
        o.text("folder", &folder.display().to_string());
        o.optional_text("lastBackup", standing.last.map(local).as_deref());
        if let Some((phase, done, total)) = standing.running {
            let word = match phase {
                Phase::Copying => "copying",
                Phase::Checking => "checking",
            };
            o.text("running", word);
            o.number("percent", percent(done, total));
        }
        write_trouble(o, standing.trouble.as_ref());
    }
    if let Some(live) = &standing.live {
        o.object("live", |o| {
            o.text("path", &live.path.display().to_string());
            o.optional_text("upToDate", live.at.map(local).as_deref());
            if let Some(beyond) = &beyond {
                o.number("behind", beyond.events);
                if let Some(since) = beyond.since {
                    o.number("lagSeconds", now.duration_since(since).as_secs().max(0));
                }
            }
            if let Some((done, total)) = live.running {
                o.number("percent", percent(done, total));
            }
            write_trouble(o, live.trouble.as_ref());
        });
    }
}

fn write_trouble(o: &mut Object<'_>, trouble: Option<&(String, Timestamp)>) {
    if let Some((error, since)) = trouble {
        o.text("error", error);
        o.text("since", &local(*since));
    }
}

fn percent(done: u64, total: u64) -> u64 {
    (done.saturating_mul(100)).checked_div(total).unwrap_or(0)
}
