//! What head office wants a store to be: gates, blocked tills and switches, from the tenant's profile and the store's tills, and
//! the settings of the store (docs/HQ.md, Gates; docs/HQ.md, Settings).

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;
use sync_wire::state::{Blocked, Gate, Switch, Wanted};
use sync_wire::{Environment, TillRef};
use tokio_postgres::Row;
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

/// A till that is not retired.
#[derive(Debug, Clone)]
struct Place {
    store: Uuid,
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
               p.enabled_prod, p.decided_prod_at IS NOT NULL, s.was_selling_prod, p.reason, p.bytes_per_second,
               s.settings
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
    let select = tx.prepare_cached(PLACES_OF_STORE).await?;
    let places = places(&tx.query(&select, &[&tenant.0, &store]).await?);
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
        // They were checked when they were written.
        settings: serde_json::from_value(row.get(10)).unwrap_or_default(),
    })
}

/// A cashier machine whose new sales do not follow the environment, so they stay at the tills of the other one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// Its store.
    pub store: Uuid,
    /// Its name; empty: tills of which nobody has said where they stand.
    pub machine: String,
    /// The tills that new sales stay at.
    pub tills: Vec<TillRef>,
    /// Why, for people: "it has no prod till".
    pub why: String,
    /// It has no till of the environment at all, so perhaps it is not meant to follow.
    pub has_none: bool,
}

/// Where new sales of all stores shall go.
#[derive(Debug)]
pub struct Everywhere {
    /// The environment that they shall go to.
    pub target: Environment,
    /// Of what is said here.
    pub revision: i64,
    /// What each store is told.
    pub switches: BTreeMap<Uuid, Vec<Switch>>,
    /// The machines that no store can be told of.
    pub stuck: Vec<Stuck>,
}

/// Where new sales of all stores shall go, as things are; none before anybody has decided on production.
///
/// # Errors
/// Postgres is away.
pub async fn everywhere(
    tx: &Transaction<'_>,
    tenant: TenantId,
) -> Result<Option<Everywhere>, DbError> {
    let select = tx
        .prepare_cached(
            "SELECT t.revision, p.environment FROM tenants t
             JOIN tenant_fiscal_profiles p ON p.tenant_id = t.tenant_id
             WHERE t.tenant_id = $1 AND p.decided_prod_at IS NOT NULL",
        )
        .await?;
    let Some(row) = tx.query_opt(&select, &[&tenant.0]).await? else {
        return Ok(None);
    };
    let target = Environment::parse(row.get(1)).unwrap_or(Environment::Test);
    let places = all_places(tx, tenant).await?;
    let mut switches: BTreeMap<Uuid, Vec<Switch>> = BTreeMap::new();
    for ((store, machine), tills) in machines(&places) {
        if let Ok(pair) = pair(machine, &tills) {
            switches.entry(store).or_default().extend(pair.to(target));
        }
    }
    Ok(Some(Everywhere {
        target,
        revision: row.get(0),
        switches,
        stuck: stuck(&places, target),
    }))
}

/// The cashier machines of all stores whose new sales would not follow to an environment, judged as the switches are made.
///
/// # Errors
/// Postgres is away.
pub async fn stuck_at(
    tx: &Transaction<'_>,
    tenant: TenantId,
    target: Environment,
) -> Result<Vec<Stuck>, DbError> {
    Ok(stuck(&all_places(tx, tenant).await?, target))
}

/// The tills of one store (`$2`).
const PLACES_OF_STORE: &str =
    "SELECT environment, device_id, machine_name, state IN ('registered', 'active'),
   CASE state WHEN 'blocked' THEN coalesce(block_reason, '') END, store_id
 FROM fdms_devices WHERE tenant_id = $1 AND store_id = $2 AND state <> 'retired' ORDER BY environment, device_id";

/// The tills of all stores.
const PLACES: &str =
    "SELECT environment, device_id, machine_name, state IN ('registered', 'active'),
   CASE state WHEN 'blocked' THEN coalesce(block_reason, '') END, store_id
 FROM fdms_devices WHERE tenant_id = $1 AND state <> 'retired' ORDER BY environment, device_id";

async fn all_places(tx: &Transaction<'_>, tenant: TenantId) -> Result<Vec<Place>, DbError> {
    let select = tx.prepare_cached(PLACES).await?;
    Ok(places(&tx.query(&select, &[&tenant.0]).await?))
}

fn places(rows: &[Row]) -> Vec<Place> {
    let places = rows.iter().filter_map(|row| {
        Some(Place {
            store: row.get(5),
            till: till_of(row.get(0), row.get(1))?,
            machine: row.get(2),
            is_usable: row.get(3),
            blocked: row.get(4),
        })
    });
    places.collect()
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
    let machines = machines(places).into_iter();
    let pairs = machines.filter_map(|((_, machine), tills)| pair(machine, &tills).ok());
    pairs.flat_map(|pair| pair.to(target)).collect()
}

/// The machines that have usable tills of the other environment, and no pair of tills to switch between.
fn stuck(places: &[Place], target: Environment) -> Vec<Stuck> {
    let machines = machines(places).into_iter();
    let stuck = machines.filter_map(|((store, machine), tills)| {
        let why = pair(machine, &tills).err()?;
        let left = tills
            .iter()
            .filter(|place| place.is_usable && place.till.environment != target);
        let left: Vec<TillRef> = left.map(|place| place.till).collect();
        let mut there = tills.iter().map(|place| place.till.environment);
        (!left.is_empty()).then(|| Stuck {
            store,
            machine: machine.to_owned(),
            tills: left,
            why,
            has_none: !there.any(|environment| environment == target),
        })
    });
    stuck.collect()
}

/// The cashier machines of each store, with their tills.
fn machines(places: &[Place]) -> BTreeMap<(Uuid, &str), Vec<&Place>> {
    let mut machines: BTreeMap<(Uuid, &str), Vec<&Place>> = BTreeMap::new();
    for place in places {
        let machine = machines
            .entry((place.store, place.machine.as_str()))
            .or_default();
        machine.push(place);
    }
    machines
}

/// The tills between which new sales of a machine are switched.
struct Pair {
    test: TillRef,
    prod: TillRef,
}

impl Pair {
    /// New sales go to the one of this environment.
    const fn to(&self, target: Environment) -> [Switch; 2] {
        let (from, to) = match target {
            Environment::Test => (self.prod, self.test),
            Environment::Prod => (self.test, self.prod),
        };
        [Switch { from, to: Some(to) }, Switch { from: to, to: None }]
    }
}

/// The one usable till of a machine in each environment, or why there is none.
fn pair(machine: &str, tills: &[&Place]) -> Result<Pair, String> {
    if machine.is_empty() {
        return Err("no cashier machine is written down for it".to_owned());
    }
    Ok(Pair {
        test: only(tills, Environment::Test)?,
        prod: only(tills, Environment::Prod)?,
    })
}

fn only(tills: &[&Place], environment: Environment) -> Result<TillRef, String> {
    let of = tills.iter();
    let of: Vec<&Place> = of
        .copied()
        .filter(|place| place.till.environment == environment)
        .collect();
    let usable = of.iter().filter(|place| place.is_usable);
    let usable: Vec<TillRef> = usable.map(|place| place.till).collect();
    match usable.as_slice() {
        [only] => Ok(*only),
        [] => Err(of.first().map_or_else(
            || format!("it has no {environment} till"),
            |place| match &place.blocked {
                Some(reason) => format!("its till {} is blocked: {reason}", place.till),
                None => format!("its till {} is not in the store's ledger yet", place.till),
            },
        )),
        several => {
            let named: Vec<String> = several.iter().map(ToString::to_string).collect();
            Err(format!(
                "{} tills of the environment {environment} are written down for it ({}); there must be one",
                several.len(),
                named.join(", ")
            ))
        }
    }
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
            store: Uuid::nil(),
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

    /// What would not follow is named, with the reason: just those machines for which no switch is made.
    #[test]
    fn machines_that_are_stuck_say_why() {
        let (test, prod) = (Environment::Test, Environment::Prod);
        let mut places = vec![
            place(test, 1, "Pair", true),
            place(prod, 2, "Pair", true),
            place(test, 3, "Alone", true),
            place(test, 5, "Two tests", true),
            place(test, 6, "Two tests", true),
            place(prod, 7, "Two tests", true),
            place(test, 8, "Two prods", true),
            place(prod, 9, "Two prods", true),
            place(prod, 10, "Two prods", true),
            place(test, 11, "Blocked", true),
            place(prod, 12, "Blocked", false),
            place(test, 13, "Waits", true),
            place(prod, 14, "Waits", false),
            place(test, 15, "", true),
            place(prod, 16, "New", true),
        ];
        places[10].blocked = Some("stolen".to_owned());
        let found = stuck(&places, prod);
        let why = |machine: &str| {
            let found = found.iter().find(|stuck| stuck.machine == machine);
            found.map(|stuck| (stuck.why.as_str(), stuck.tills.len(), stuck.has_none))
        };
        assert_eq!(why("Pair"), None);
        assert_eq!(why("New"), None, "it sells in production already");
        assert_eq!(why("Alone"), Some(("it has no prod till", 1, true)));
        let (told, tills, _) = why("Two tests").unwrap();
        assert!(told.contains("test 5, test 6") && tills == 2, "{told}");
        assert!(why("Two prods").unwrap().0.contains("prod 9, prod 10"));
        let blocked = "its till prod 12 is blocked: stolen";
        assert_eq!(why("Blocked"), Some((blocked, 1, false)));
        assert!(why("Waits").unwrap().0.contains("not in the store's"));
        assert!(why("").unwrap().0.contains("no cashier machine"));
        assert_eq!(found.len(), 6);
        let back = stuck(&places, test);
        let back: Vec<_> = back.iter().map(|stuck| stuck.machine.as_str()).collect();
        assert_eq!(back, ["New", "Two prods", "Two tests"]);
    }
}
