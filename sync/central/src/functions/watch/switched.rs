//! New sales that do not go where they shall: cashier machines that no store can be told to switch, and what a store has
//! left out.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use deadpool_postgres::Transaction;
use serde::Deserialize;
use serde_json::Value;
use sync_wire::TillRef;
use sync_wire::state::Switch;
use uuid::Uuid;

use super::{Found, Severity};
use crate::db::{DbError, TenantId};
use crate::problem::Problem;
use crate::sync::wanted::{self, Everywhere, Stuck};

/// How a store says that new sales go.
struct Standing {
    name: String,
    /// It has not put into effect yet what is wanted now.
    is_behind: bool,
    /// What it calls the revision that is wanted now.
    revision: i64,
    /// Its tills, each with the till that its new sales go to instead.
    successors: BTreeMap<TillRef, Option<TillRef>>,
}

/// What the event `hq.wanted` of a store tells.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Applied {
    revision: i64,
    #[serde(default)]
    left_out: Vec<LeftOut>,
}

#[derive(Deserialize)]
struct LeftOut {
    from: TillRef,
    reason: String,
}

/// Compares what is wanted with what the stores say of themselves. A store that has not heard of it yet is given its time (one
/// that is not heard of at all is silent), but what is told already goes on until it agrees.
pub(super) async fn find(
    tx: &Transaction<'_>,
    tenant: TenantId,
    found: &mut Vec<Found>,
) -> Result<(), Problem> {
    let Some(wanted) = wanted::everywhere(tx, tenant).await? else {
        return Ok(());
    };
    let stores = standing(tx, tenant, wanted.revision).await?;
    let told = told(tx, tenant).await?;
    for (store, switches) in &wanted.switches {
        let Some(standing) = stores.get(store) else {
            continue;
        };
        let astray = switches.iter().filter(|switch| {
            let now = standing.successors.get(&switch.from);
            now.is_some_and(|now| *now != switch.to)
                && (!standing.is_behind || told.contains(&subject(switch.from)))
        });
        for switch in astray {
            let why = left_out(tx, tenant, *store, (standing.revision, switch.from)).await?;
            found.push(otherwise(*store, standing, *switch, why.as_deref()));
        }
    }
    for stuck in &wanted.stuck {
        let Some(standing) = stores.get(&stuck.store) else {
            continue;
        };
        let stay = stuck.tills.iter().copied();
        let stay = stay.filter(|till| standing.successors.get(till) == Some(&None));
        found.extend(stay.map(|till| stays(&wanted, stuck, standing, till)));
    }
    Ok(())
}

async fn standing(
    tx: &Transaction<'_>,
    tenant: TenantId,
    revision: i64,
) -> Result<BTreeMap<Uuid, Standing>, DbError> {
    let select = tx
        .prepare_cached(
            "SELECT c.store_id, s.name, c.revision < $2, t.value->'till', t.value->'successor', c.revision_ahead
             FROM store_cursors c JOIN stores s ON s.tenant_id = c.tenant_id AND s.store_id = c.store_id
             CROSS JOIN LATERAL jsonb_array_elements(c.state->'tills') t
             WHERE c.tenant_id = $1 AND s.retired_at IS NULL",
        )
        .await?;
    let mut stores: BTreeMap<Uuid, Standing> = BTreeMap::new();
    for row in tx.query(&select, &[&tenant.0, &revision]).await? {
        let till = |place: usize| {
            let value: Option<Value> = row.get(place);
            value.and_then(|value| serde_json::from_value::<TillRef>(value).ok())
        };
        let Some(of) = till(3) else { continue };
        let standing = stores.entry(row.get(0)).or_insert_with(|| Standing {
            name: row.get(1),
            is_behind: row.get(2),
            // A store may say what it likes of its revision.
            revision: revision.saturating_add(row.get(5)),
            successors: BTreeMap::new(),
        });
        standing.successors.insert(of, till(4));
    }
    Ok(stores)
}

/// What is told already.
async fn told(tx: &Transaction<'_>, tenant: TenantId) -> Result<BTreeSet<String>, DbError> {
    let select = tx
        .prepare_cached(
            "SELECT subject FROM alerts WHERE tenant_id = $1 AND kind = 'not_switched' AND ended_at IS NULL",
        )
        .await?;
    let rows = tx.query(&select, &[&tenant.0]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// Why a store has left a switch out, in its own words; none: it has not said so of this revision.
async fn left_out(
    tx: &Transaction<'_>,
    tenant: TenantId,
    store: Uuid,
    (revision, from): (i64, TillRef),
) -> Result<Option<String>, DbError> {
    let select = tx
        .prepare_cached(
            "SELECT body FROM store_events WHERE tenant_id = $1 AND store_id = $2 AND kind = 'hq.wanted'
             ORDER BY epoch_no DESC, seq DESC LIMIT 1",
        )
        .await?;
    let row = tx.query_opt(&select, &[&tenant.0, &store]).await?;
    let applied = row.and_then(|row| serde_json::from_str::<Applied>(row.get(0)).ok());
    let applied = applied.filter(|applied| applied.revision == revision);
    let mut left_out = applied.into_iter().flat_map(|applied| applied.left_out);
    Ok(left_out
        .find(|left_out| left_out.from == from)
        .map(|left_out| left_out.reason))
}

/// A switch that is not in effect although the store has put into effect what is wanted.
fn otherwise(store: Uuid, standing: &Standing, switch: Switch, why: Option<&str>) -> Found {
    let Standing {
        name, successors, ..
    } = standing;
    let shown = |to: Option<TillRef>| {
        to.map_or_else(|| "to itself".to_owned(), |to| format!("to till {to}"))
    };
    let now = shown(successors.get(&switch.from).copied().flatten());
    let why = why.map_or_else(
        || "the store has not said why: perhaps it was switched by hand".to_owned(),
        |why| format!("the store could not do it: {why}"),
    );
    let detail = format!(
        "new sales of till {} in store {name} go {now}, and shall go {} ({why}). Put that right in the store; then save the \
         till's cashier machine here once more, and the store tries again",
        switch.from,
        shown(switch.to)
    );
    about(store, switch.from, Severity::Fault, detail)
}

/// A till at which new sales stay because its machine cannot be switched.
fn stays(wanted: &Everywhere, stuck: &Stuck, standing: &Standing, till: TillRef) -> Found {
    let (machine, target, why) = (&stuck.machine, wanted.target, &stuck.why);
    let at = if machine.is_empty() {
        String::new()
    } else {
        format!(" (cashier machine {machine})")
    };
    let detail = format!(
        "new sales of till {till}{at} in store {} stay there, and shall go to {target}: {why}. Put that right; the store is told \
         by itself then. A till that is needed no more is retired",
        standing.name
    );
    let severity = if stuck.has_none {
        Severity::Warning
    } else {
        Severity::Fault
    };
    about(stuck.store, till, severity, detail)
}

fn about(store: Uuid, till: TillRef, severity: Severity, detail: String) -> Found {
    Found {
        kind: Cow::Borrowed("not_switched"),
        subject: subject(till),
        severity,
        store_id: Some(store),
        environment: Some(till.environment.as_str().to_owned()),
        device_id: i32::try_from(till.device_id).ok(),
        detail,
    }
}

fn subject(till: TillRef) -> String {
    format!("till {till}")
}
