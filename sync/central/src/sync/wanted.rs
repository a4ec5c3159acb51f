//! What head office wants a store to be: gates, blocked tills and switches, from the tenant's profile and the store's tills
//! (docs/HQ.md, Gates).

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;
use sync_wire::state::{Blocked, Gate, Switch, Wanted};
use sync_wire::{Environment, TillRef};
use uuid::Uuid;

use crate::db::{DbError, TenantId, till_of};

/// Locks the tenant's row for [`bump`]: before anything that others may hold while they wait for it (docs/HQ.md, Locks).
///
/// # Errors
/// Postgres is away.
pub async fn lock(tx: &Transaction<'_>, tenant: TenantId) -> Result<(), DbError> {
    let select = tx
        .prepare_cached("SELECT 1 FROM tenants WHERE tenant_id = $1 FOR NO KEY UPDATE")
        .await?;
    tx.query_opt(&select, &[&tenant.0]).await?;
    Ok(())
}

/// Whoever has changed a profile, or which tills there are, says so: stores put only a higher revision into effect.
///
/// # Errors
/// Postgres is away.
pub async fn bump(tx: &Transaction<'_>, tenant: TenantId) -> Result<(), DbError> {
    let update = tx
        .prepare_cached("UPDATE tenants SET revision = revision + 1 WHERE tenant_id = $1")
        .await?;
    tx.execute(&update, &[&tenant.0]).await?;
    Ok(())
}

/// What a person has decided about one environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Decision {
    is_enabled: bool,
    is_decided: bool,
    /// The store was selling there when it joined.
    was_selling: bool,
}

impl Decision {
    /// A store that was selling is left as it is until somebody decides.
    const fn is_left_alone(self) -> bool {
        self.was_selling && !self.is_decided
    }
}

/// A till of the store.
#[derive(Debug, Clone)]
struct Place {
    till: TillRef,
    machine: String,
    /// It is in the store's ledger and may sell.
    is_usable: bool,
    /// A person has blocked it, and why.
    blocked: Option<String>,
}

/// What a store shall be, as things are.
///
/// # Errors
/// Postgres is away.
pub async fn of(tx: &Transaction<'_>, tenant: TenantId, store: Uuid) -> Result<Wanted, DbError> {
    let select = tx
        .prepare_cached(
            "SELECT t.revision, p.environment, p.enabled_test, p.decided_test_at IS NOT NULL, s.was_selling_test,
               p.enabled_prod, p.decided_prod_at IS NOT NULL, s.was_selling_prod, p.reason, p.bytes_per_second
             FROM tenants t
             JOIN stores s ON s.tenant_id = t.tenant_id AND s.store_id = $2
             JOIN tenant_fiscal_profiles p ON p.tenant_id = t.tenant_id
             WHERE t.tenant_id = $1",
        )
        .await?;
    let Some(row) = tx.query_opt(&select, &[&tenant.0, &store]).await? else {
        return Ok(Wanted::default());
    };
    // After the revision, so that it is never higher than what comes with it.
    let places = places(tx, tenant, store).await?;
    let decision = |at: usize| Decision {
        is_enabled: row.get(at),
        is_decided: row.get(at + 1),
        was_selling: row.get(at + 2),
    };
    let (test, prod) = (decision(2), decision(5));
    let target = Environment::parse(row.get(1)).unwrap_or(Environment::Test);
    let bytes: Option<i32> = row.get(9);
    Ok(Wanted {
        revision: row.get(0),
        gates: gates(test, prod, row.get(8)),
        switches: switches(&places, target, prod),
        blocked: blocked(&places),
        bytes_per_second: bytes.and_then(|bytes| u32::try_from(bytes).ok()),
    })
}

async fn places(
    tx: &Transaction<'_>,
    tenant: TenantId,
    store: Uuid,
) -> Result<Vec<Place>, DbError> {
    let select = tx
        .prepare_cached(
            "SELECT environment, device_id, machine_name, state IN ('registered', 'active'),
               CASE state WHEN 'blocked' THEN coalesce(block_reason, '') END
             FROM fdms_devices WHERE tenant_id = $1 AND store_id = $2 ORDER BY environment, device_id",
        )
        .await?;
    let rows = tx.query(&select, &[&tenant.0, &store]).await?;
    let places = rows.iter().filter_map(|row| {
        Some(Place {
            till: till_of(row.get(0), row.get(1))?,
            machine: row.get(2),
            is_usable: row.get(3),
            blocked: row.get(4),
        })
    });
    Ok(places.collect())
}

fn gates(test: Decision, prod: Decision, reason: &str) -> Vec<Gate> {
    let both = [(Environment::Test, test), (Environment::Prod, prod)];
    let decided = both
        .into_iter()
        .filter(|(_, decision)| !decision.is_left_alone());
    decided
        .map(|(environment, decision)| Gate {
            environment,
            enabled: decision.is_enabled,
            reason: match (decision.is_enabled, reason) {
                (true, _) => String::new(),
                (false, "") => format!(
                    "head office has not enabled sales in the environment {environment}: ask there"
                ),
                (false, reason) => reason.to_owned(),
            },
        })
        .collect()
}

fn blocked(places: &[Place]) -> Vec<Blocked> {
    let blocked = places.iter().filter_map(|place| {
        Some(Blocked {
            till: place.till,
            reason: place.blocked.clone()?,
        })
    });
    blocked.collect()
}

/// Where new sales go, for each cashier machine that has one usable till in both environments. Production tills
/// that were selling when the store joined keep selling until somebody decides on production: `environment` is
/// `test` until then because nobody has said otherwise.
fn switches(places: &[Place], target: Environment, prod: Decision) -> Vec<Switch> {
    if target == Environment::Test && prod.is_left_alone() {
        return Vec::new();
    }
    let mut machines: BTreeMap<&str, (Vec<TillRef>, Vec<TillRef>)> = BTreeMap::new();
    let named = |place: &&Place| place.is_usable && !place.machine.is_empty();
    for place in places.iter().filter(named) {
        let (test, prod) = machines.entry(&place.machine).or_default();
        match place.till.environment {
            Environment::Test => test.push(place.till),
            Environment::Prod => prod.push(place.till),
        }
    }
    let mut switches = Vec::new();
    for (test, prod) in machines.values() {
        let ([test], [prod]) = (test.as_slice(), prod.as_slice()) else {
            continue;
        };
        let (from, to) = match target {
            Environment::Test => (*prod, *test),
            Environment::Prod => (*test, *prod),
        };
        switches.push(Switch { from, to: Some(to) });
        switches.push(Switch { from: to, to: None });
    }
    switches
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn decision(is_enabled: bool, is_decided: bool, was_selling: bool) -> Decision {
        Decision {
            is_enabled,
            is_decided,
            was_selling,
        }
    }

    fn place(environment: Environment, device_id: u32, machine: &str, is_usable: bool) -> Place {
        Place {
            till: TillRef {
                environment,
                device_id,
            },
            machine: machine.to_owned(),
            is_usable,
            blocked: None,
        }
    }

    /// Of blocked tills each is named with its reason, whatever its machine.
    #[test]
    fn blocked_tills_are_named() {
        let mut places = [
            place(Environment::Test, 1, "", false),
            place(Environment::Prod, 2, "A", true),
        ];
        places[0].blocked = Some("stolen".to_owned());
        let named = blocked(&places);
        assert_eq!(named.len(), 1);
        assert_eq!(
            (named[0].till.device_id, named[0].reason.as_str()),
            (1, "stolen")
        );
        let fresh = decision(false, false, false);
        places[1].machine = String::new();
        places[0].is_usable = true;
        let switches = switches(&places, Environment::Prod, fresh);
        assert!(switches.is_empty(), "no machine is no machine in common");
    }

    /// Joining stops no shop: what was selling has no gate until a person decides, new stores have closed ones.
    #[test]
    fn joining_stops_no_shop() {
        let new = gates(
            decision(false, false, false),
            decision(false, false, false),
            "",
        );
        assert!(
            new.iter()
                .all(|gate| !gate.enabled && gate.reason.contains("ask there"))
        );
        assert_eq!(new.len(), 2);
        let selling = gates(
            decision(true, true, false),
            decision(false, false, true),
            "",
        );
        assert_eq!(selling.len(), 1);
        assert_eq!(
            (selling[0].environment, selling[0].enabled),
            (Environment::Test, true)
        );
        let decided = gates(
            decision(true, true, false),
            decision(false, true, true),
            "why",
        );
        assert_eq!(
            (decided[1].enabled, decided[1].reason.as_str()),
            (false, "why")
        );
    }

    /// New sales go to the till of the profile's environment on the same machine, where there is exactly one.
    #[test]
    fn sales_follow_the_environment() {
        let (test, prod) = (Environment::Test, Environment::Prod);
        let places = [
            place(test, 1, "A", true),
            place(prod, 2, "A", true),
            place(test, 3, "B", true),
            place(prod, 4, "B", false),
            place(test, 5, "C", true),
            place(prod, 6, "C", true),
            place(prod, 7, "C", true),
        ];
        let fresh = decision(false, false, false);
        let pairs = |target, decision| {
            let switches = switches(&places, target, decision);
            let pair = |switch: &Switch| (switch.from.device_id, switch.to.map(|to| to.device_id));
            switches.iter().map(pair).collect::<Vec<_>>()
        };
        assert_eq!(pairs(prod, fresh), [(1, Some(2)), (2, None)]);
        assert_eq!(pairs(test, fresh), [(2, Some(1)), (1, None)]);
        assert_eq!(pairs(test, decision(false, false, true)), []);
        assert_eq!(pairs(test, decision(false, true, true)).len(), 2);
    }
}
