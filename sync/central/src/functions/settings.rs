//! The settings of a store that head office sets: written here, put into effect by the store with its next exchange
//! (docs/HQ.md, Settings).

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Uri;
use clock::Timestamp;
use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sync_wire::settings::{
    Answers, DayClosing, DayOpening, MAX_WAIT_MS, PrintPolicy, StoreSettings,
};
use utoipa::ToSchema;
use uuid::Uuid;

use super::input::{Params, id};
use crate::access::{Caller, Role};
use crate::audit::{self, Deed};
use crate::db;
use crate::hq::SharedHq;
use crate::problem::{Body, Code, Problem};
use crate::sync::wanted;

/// Currencies that may be named.
const MOST_CURRENCIES: usize = 20;

/// What head office sets in a store: `[store]` of its configuration file, by the same names and words. What is left out (or
/// null) stands in the store's own file; what that file says of a single till stands above both.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Currencies that may be sold in, three capital letters each.
    #[serde(default)]
    pub currencies: Option<Vec<String>>,
    /// `first_sale` or `by_hand`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub day_opening: Option<DayOpening>,
    /// `by_hand`, `before_longest`, or a time like `22:30`. One that is past already today closes the days that are open at
    /// once.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub day_closing: Option<DayClosing>,
    /// Whether a day that has lasted its longest is closed and the next opened by itself.
    #[serde(default)]
    pub rollover_offline: Option<bool>,
    /// `hybrid` (at once) or `online` (with FDMS's word, where it comes in time).
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub answers: Option<Answers>,
    /// How long an `online` answer waits, milliseconds; at most 60000.
    #[serde(default)]
    pub online_wait_ms: Option<u32>,
    /// `always`, `on_request` or `never`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub print: Option<PrintPolicy>,
}

impl Settings {
    fn checked(self) -> Result<StoreSettings, Problem> {
        if let Some(currencies) = &self.currencies {
            check_currencies(currencies)?;
        }
        if self.online_wait_ms.is_some_and(|ms| ms > MAX_WAIT_MS) {
            let text = format!("online_wait_ms must be at most {MAX_WAIT_MS}, a minute");
            return Err(Problem::field("/online_wait_ms", text));
        }
        Ok(self.plain())
    }

    fn plain(self) -> StoreSettings {
        StoreSettings {
            currencies: self.currencies,
            day_opening: self.day_opening,
            day_closing: self.day_closing,
            rollover_offline: self.rollover_offline,
            answers: self.answers,
            online_wait_ms: self.online_wait_ms,
            print: self.print,
        }
    }

    fn of(settings: StoreSettings) -> Self {
        Self {
            currencies: settings.currencies,
            day_opening: settings.day_opening,
            day_closing: settings.day_closing,
            rollover_offline: settings.rollover_offline,
            answers: settings.answers,
            online_wait_ms: settings.online_wait_ms,
            print: settings.print,
        }
    }
}

fn check_currencies(named: &[String]) -> Result<(), Problem> {
    let wrong = |text: String| Err(Problem::field("/currencies", text));
    if named.is_empty() || named.len() > MOST_CURRENCIES {
        return wrong(format!(
            "currencies must be 1 to {MOST_CURRENCIES}; leave it out and the store's own file holds"
        ));
    }
    for (place, name) in named.iter().enumerate() {
        if name.len() != 3 || !name.bytes().all(|byte| byte.is_ascii_uppercase()) {
            let shown: String = name.chars().take(20).collect();
            return wrong(format!("`{shown}` is not three capital letters, like USD"));
        }
        if named.iter().take(place).any(|other| other == name) {
            return wrong(format!("{name} is there twice"));
        }
    }
    Ok(())
}

/// The settings of a store.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Steered {
    /// The store's name.
    pub name: String,
    /// It was given up: nothing is set in it any more.
    pub is_retired: bool,
    /// What head office has set.
    pub set: Settings,
    /// Of what is set: it rises with each change.
    pub version: i64,
    /// The store has heard of the last change.
    pub in_effect: bool,
    /// What holds in the store, as it said itself with its last exchange; none before that, or from a gateway that is older than this.
    pub in_force: Option<Settings>,
}

/// Reads what is set in a store and what holds there.
///
/// # Errors
/// There is no such store, or Postgres is away.
pub async fn read(tx: &Transaction<'_>, caller: &Caller, store: Uuid) -> Result<Steered, Problem> {
    let select = tx
        .prepare_cached(
            "SELECT s.settings, c.state->'settings', s.name, s.retired_at IS NOT NULL, s.settings_version,
               coalesce(c.revision, 0) >= s.settings_revision
             FROM stores s
             LEFT JOIN store_cursors c ON c.tenant_id = s.tenant_id AND c.store_id = s.store_id
             WHERE s.tenant_id = $1 AND s.store_id = $2",
        )
        .await?;
    let row = tx
        .query_opt(&select, &[&caller.tenant.0, &store])
        .await?
        .ok_or_else(|| Problem::not_found("store"))?;
    let known = |value: Value| serde_json::from_value::<StoreSettings>(value).ok();
    let in_force: Option<Value> = row.get(1);
    Ok(Steered {
        name: row.get(2),
        is_retired: row.get(3),
        set: Settings::of(known(row.get(0)).unwrap_or_default()),
        version: row.get(4),
        in_effect: row.get(5),
        in_force: in_force.and_then(known).map(Settings::of),
    })
}

/// What is set in a store, and what holds there.
#[utoipa::path(
    get,
    path = "/fiscal_devices/stores/{store_id}/settings",
    tag = "fiscal_devices",
    operation_id = "storeSettings",
    params(("store_id" = String, Path, description = "The store.")),
    responses(
        (status = 200, description = "The settings.", body = Steered),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn get(
    State(hq): State<SharedHq>,
    caller: Caller,
    Path(store_id): Path<String>,
) -> Result<Json<Steered>, Problem> {
    caller.at_least(Role::Viewer)?;
    let store = id(&store_id, "store")?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    Ok(Json(read(&tx, &caller, store).await?))
}

/// What the caller has seen before, if he says so.
fn seen(uri: &Uri) -> Result<Option<i64>, Problem> {
    Params::of(uri, &["seen"])?.read("seen", "the number that `version` was")
}

/// Set a store's settings: all of them at once, what is left out is the store's own again.
///
/// The store puts them into effect with its next exchange, without a restart; `in_force` says when it has. A receipt, once
/// issued, and a fiscal day, once opened, stay as they are; when an open day closes follows what holds then.
#[utoipa::path(
    put,
    path = "/fiscal_devices/stores/{store_id}/settings",
    tag = "fiscal_devices",
    operation_id = "setStoreSettings",
    params(
        ("store_id" = String, Path, description = "The store."),
        ("seen" = Option<i64>, Query, description = "The `version` that was read before: a change that came in between is not overwritten."),
    ),
    request_body = Settings,
    responses(
        (status = 200, description = "The settings.", body = Steered),
        (status = 409, description = "The store is retired, or its settings are not those that were seen.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn put(
    State(hq): State<SharedHq>,
    caller: Caller,
    Path(store_id): Path<String>,
    uri: Uri,
    Body(settings): Body<Settings>,
) -> Result<Json<Steered>, Problem> {
    caller.at_least(Role::Admin)?;
    let seen = seen(&uri)?;
    let store = id(&store_id, "store")?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    wanted::lock(&tx, caller.tenant).await?;
    let before = read(&tx, &caller, store).await?;
    if before.is_retired {
        let detail = "the store is retired: nothing is set in it any more";
        return Err(Problem::new(Code::Conflict, detail));
    }
    if seen.is_some_and(|seen| seen != before.version) {
        let set = before.set.plain().to_string();
        let set = if set.is_empty() { "nothing" } else { &set };
        let detail = format!(
            "the store's settings were changed in between; set is now: {set}. Look at them and set again"
        );
        return Err(Problem::new(Code::Conflict, detail));
    }
    set(&tx, &caller, Some(store), settings, hq.now()).await?;
    let steered = read(&tx, &caller, store).await?;
    tx.commit().await?;
    Ok(Json(steered))
}

/// Settings as they are written down, if they make sense.
///
/// # Errors
/// They do not: which, and what is right.
pub fn checked(body: &Value) -> Result<Value, Problem> {
    let settings: Settings = serde_json::from_value(body.clone())
        .map_err(|error| Problem::new(Code::Invalid, error.to_string()))?;
    Ok(json!(settings.checked()?))
}

/// How many stores it was set in.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SetInAll {
    /// Stores that are not retired.
    pub stores: usize,
    /// The sum of their `version`s.
    pub version: i64,
}

/// Set the same settings in every store of the company that is not retired.
#[utoipa::path(
    put,
    path = "/fiscal_devices/settings",
    tag = "fiscal_devices",
    operation_id = "setAllSettings",
    params(
        ("seen" = Option<i64>, Query, description = "The sum of the `version`s of these stores that was read before: a change that came in between is not overwritten."),
    ),
    request_body = Settings,
    responses(
        (status = 200, description = "In how many stores.", body = SetInAll),
        (status = 409, description = "The settings are not those that were seen.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn put_all(
    State(hq): State<SharedHq>,
    caller: Caller,
    uri: Uri,
    Body(settings): Body<Settings>,
) -> Result<Json<SetInAll>, Problem> {
    caller.at_least(Role::Admin)?;
    let seen = seen(&uri)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    wanted::lock(&tx, caller.tenant).await?;
    if let Some(seen) = seen
        && seen != versions(&tx, &caller).await?
    {
        let detail = "the settings of a store were changed in between: look at them and set again";
        return Err(Problem::new(Code::Conflict, detail));
    }
    let stores = set(&tx, &caller, None, settings, hq.now()).await?;
    let version = versions(&tx, &caller).await?;
    tx.commit().await?;
    Ok(Json(SetInAll { stores, version }))
}

/// The sum of the versions of all stores that are not retired.
///
/// # Errors
/// Postgres is away.
pub async fn versions(tx: &Transaction<'_>, caller: &Caller) -> Result<i64, Problem> {
    let select = tx
        .prepare_cached(
            "SELECT coalesce(sum(settings_version), 0)::bigint FROM stores
             WHERE tenant_id = $1 AND retired_at IS NULL",
        )
        .await?;
    Ok(tx.query_one(&select, &[&caller.tenant.0]).await?.get(0))
}

/// The stores in which something else is set now: what [`put_all`] would change.
///
/// # Errors
/// Postgres is away.
pub async fn differing(
    tx: &Transaction<'_>,
    caller: &Caller,
    settings: &Value,
) -> Result<Vec<(String, Value)>, Problem> {
    let select = tx
        .prepare_cached(
            "SELECT name, settings FROM stores
             WHERE tenant_id = $1 AND retired_at IS NULL AND settings <> $2 ORDER BY name",
        )
        .await?;
    let rows = tx.query(&select, &[&caller.tenant.0, settings]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Sets them in one store or in all that are not retired; in how many. One audit row for each whose settings change.
async fn set(
    tx: &Transaction<'_>,
    caller: &Caller,
    store: Option<Uuid>,
    settings: Settings,
    now: Timestamp,
) -> Result<usize, Problem> {
    let settings = json!(settings.checked()?);
    let select = tx
        .prepare_cached(
            "SELECT store_id, settings FROM stores
             WHERE tenant_id = $1 AND ($2::uuid IS NULL OR store_id = $2) AND retired_at IS NULL
             ORDER BY store_id FOR NO KEY UPDATE",
        )
        .await?;
    let stores = tx.query(&select, &[&caller.tenant.0, &store]).await?;
    let update = tx
        .prepare_cached(
            "UPDATE stores SET settings = $3, settings_version = settings_version + 1,
               settings_revision = (SELECT revision FROM tenants WHERE tenant_id = $1)
             WHERE tenant_id = $1 AND store_id = $2",
        )
        .await?;
    let mut is_changed = false;
    for row in &stores {
        let (store, before): (Uuid, Value) = (row.get(0), row.get(1));
        if before == settings {
            continue;
        }
        if !std::mem::replace(&mut is_changed, true) {
            wanted::bump(tx, caller.tenant).await?;
        }
        tx.execute(&update, &[&caller.tenant.0, &store, &settings])
            .await?;
        let subject = format!("store {store}");
        let deed = Deed {
            actor: &caller.actor,
            action: "store.settings",
            subject: &subject,
            before: Some(before),
            after: Some(settings.clone()),
        };
        audit::record(tx, caller.tenant, now, &deed).await?;
    }
    Ok(stores.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What makes no sense in a store is refused here, by its field.
    #[test]
    fn only_what_makes_sense() {
        let check = |text: &str| {
            let settings: Settings = serde_json::from_str(text).unwrap();
            settings.checked().map_err(|problem| problem.detail)
        };
        assert_eq!(check("{}").unwrap(), StoreSettings::default());
        let good = check(r#"{"currencies":["USD","ZWG"],"online_wait_ms":60000}"#).unwrap();
        assert_eq!(good.currencies.unwrap().len(), 2);
        for (wrong, told) in [
            (r#"{"currencies":[]}"#, "1 to 20"),
            (r#"{"currencies":["usd"]}"#, "`usd` is not three"),
            (r#"{"currencies":["USD","USD"]}"#, "twice"),
            (r#"{"online_wait_ms":60001}"#, "60000"),
        ] {
            let why = check(wrong).unwrap_err();
            assert!(why.contains(told), "{why}");
        }
        for unread in [
            r#"{"day_closing":"25:00"}"#,
            r#"{"print":"sometimes"}"#,
            r#"{"footer":"x"}"#,
        ] {
            assert!(
                serde_json::from_str::<Settings>(unread).is_err(),
                "{unread}"
            );
        }
    }
}
