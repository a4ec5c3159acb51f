//! How the store gets on with head office, in `GET /v1/status`.

use clock::Timestamp;
use fiscal::wire::Object;
use sync_agent::Standing;

use super::answer::local;
use crate::ledger::hq::HqState;

/// Writes it; `now` is the trusted time.
pub(super) fn write(o: &mut Object<'_>, hq: &HqState, standing: &Standing, now: Timestamp) {
    o.text("url", &hq.url);
    o.text("tenant", &hq.tenant);
    o.text("store", &hq.store);
    o.text("state", word(standing));
    o.number("waiting", hq.waiting);
    let age = hq
        .oldest
        .map(|oldest| now.duration_since(oldest).as_secs().max(0));
    if let Some(age) = age.filter(|_| hq.waiting > 0) {
        o.number("lagSeconds", age);
    }
    let heard = standing.heard.or(hq.last_contact);
    o.optional_text("lastContact", heard.map(local).as_deref());
    if !hq.wanted.settings.is_empty() {
        // Names and words always serialise.
        let set = serde_json::to_string(&hq.wanted.settings).unwrap_or_default();
        o.name("settings").push_str(&set);
    }
    if let Some(trouble) = &standing.trouble {
        o.text("error", &trouble.reason);
        o.text("since", &local(trouble.since));
    }
}

/// `connected`, `away`, or `unknown` before the first exchange since the start.
fn word(standing: &Standing) -> &'static str {
    match (&standing.trouble, standing.heard) {
        (Some(_), _) => "away",
        (None, Some(_)) => "connected",
        (None, None) => "unknown",
    }
}
