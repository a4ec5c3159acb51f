//! Head office: the way there, and whether it knows the store. What waits for it.

use std::sync::Arc;
use std::time::Duration;

use sync_agent::LinkError;
use sync_agent::entrance::Entrance;

use super::ledger::Store;
use super::line::{Server, go};
use super::{Area, Finding};
use crate::fdms::{TrustRoots, server_only};
use crate::ledger::hq::HqState;
use crate::submit::trusted_clock;
use crate::time::TimeKeeper;

/// The longest that an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
/// A store that has not been heard for longer is missing at head office.
const LONG: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);

/// Asks head office whether it knows the store, by the page of its past after the last there can be: none.
pub(super) async fn look(store: &Store, keeper: &Arc<TimeKeeper>, found: &mut Vec<Finding>) {
    let Some(hq) = &store.hq else {
        found.push(Finding::ok(Area::Hq, "the store belongs to no head office"));
        return;
    };
    // A key that is not this ledger's has been told of.
    let sealed_otherwise = found.iter().any(|f| f.code == "sealing_key_other");
    let finding = match ask(store, hq, keeper, sealed_otherwise).await {
        Ok(()) => standing(hq, keeper),
        Err(finding) => finding,
    };
    found.push(finding.about(&hq.url));
}

fn standing(hq: &HqState, keeper: &TimeKeeper) -> Finding {
    let text = format!(
        "it knows the store \"{}\"; {} lines wait for it",
        hq.store, hq.waiting
    );
    let old = hq
        .oldest
        .filter(|oldest| keeper.now().duration_since(*oldest) > LONG);
    match old {
        Some(oldest) => Finding::warning(
            Area::Hq,
            "hq_lags",
            format!("{text}, the oldest since {}", clock::local(oldest)),
            "See that the gateway runs; `fiscald hq status` says what head office answers.",
        ),
        None => Finding::ok(Area::Hq, text),
    }
}

async fn ask(
    store: &Store,
    hq: &HqState,
    keeper: &Arc<TimeKeeper>,
    sealed_otherwise: bool,
) -> Result<(), Finding> {
    let fault = |code, text: String, next: &str| Finding::fault(Area::Hq, code, text, next);
    let join = format!(
        "Have a new code made at head office and join again: `fiscald hq join - --url {}`.",
        hq.url
    );
    let join = join.as_str();
    let Some(sealing) = &store.sealing else {
        let why = "the sealing key, which opens the store's secret, cannot be used";
        return Err(Finding::skipped(Area::Hq, why));
    };
    let secret = match store.reader.hq_secret(sealing) {
        Ok(Some((secret, _))) => secret,
        Ok(None) => {
            return Err(fault(
                "hq_secret_missing",
                "it has no secret".to_owned(),
                join,
            ));
        }
        Err(error) if sealed_otherwise => {
            return Err(Finding::skipped(Area::Hq, &error.to_string()));
        }
        Err(error) => return Err(fault("hq_secret_sealed", error.to_string(), join)),
    };
    let roots = TrustRoots::load(hq.ca.as_deref());
    let clock = trusted_clock(Arc::clone(keeper));
    let tls = roots.and_then(|roots| server_only(&roots, &clock));
    let tls = tls.map_err(|error| fault("hq_untrusted", error.to_string(), join))?;
    let way = go(&Server {
        name: hq.url.clone(),
        url: hq.url.clone(),
        tls: hq.url.starts_with("https:").then(|| tls.clone()),
    })
    .await;
    if way.broken.is_some() {
        let broken = way
            .findings
            .into_iter()
            .find(|finding| finding.next.is_some());
        let (step, why, next) = match broken {
            Some(finding) => (finding.code, finding.text, finding.next.unwrap_or_default()),
            None => ("", "it is not reached".to_owned(), String::new()),
        };
        let next = format!("{next} The store sells on without it; all of it is sent later.");
        return Err(fault("hq_away", format!("{why} ({step})"), &next));
    }
    let entrance = Entrance::new(&hq.url, tls);
    let entrance = entrance.map_err(|error| fault("hq_address", error.to_string(), join))?;
    let asked = tokio::time::timeout(PATIENCE, entrance.past(&secret, i64::MAX)).await;
    match asked {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(LinkError::Refused(why))) => Err(fault("hq_secret_refused", why, join)),
        Ok(Err(error)) => Err(fault(
            "hq_trouble",
            error.to_string(),
            "Head office is out of order: tell its operator. The store sells on; all of it is sent later.",
        )),
        Err(_) => Err(fault(
            "hq_trouble",
            format!("no answer within {} s", PATIENCE.as_secs()),
            "Head office is out of order: tell its operator. The store sells on; all of it is sent later.",
        )),
    }
}
