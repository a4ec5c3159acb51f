//! All stores at a glance: one statement over tills, cursors, dead letters and alerts. Nothing that grows with
//! the sales is read here (docs/SCALING.md, Overview).

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use clock::Timestamp;
use maud::{Markup, html};
use uuid::Uuid;

use super::fail::Failed;
use super::layout::{Nav, Page, empty, live, tile};
use super::query::Query;
use super::visit::{Visit, see};
use super::words::{self, Tone, tag};
use crate::db::{self, TenantId};
use crate::hq::SharedHq;

/// Stores on one page.
const SHOWN: usize = 100;
/// A certificate that ends within so many days is expiring.
pub(super) const EXPIRING_DAYS: i64 = 30;

/// After so many seconds without a turn of the worker, alerts are not to be relied on.
const WORKER_LATE: i64 = 30 * 60;

/// Everything that the overview says of the stores of a tenant (`$1`), at a moment (`$2`).
pub const OVERVIEW: &str = "
WITH till AS (
  SELECT store_id, count(*) FILTER (WHERE state <> 'retired') AS tills, count(fiscal_day_no) AS open_days,
    min(fiscal_day_opened) AS oldest_day, coalesce(sum(waiting), 0)::bigint AS waiting,
    min(oldest_waiting_at) FILTER (WHERE waiting > 0) AS oldest,
    count(*) FILTER (WHERE hold IS NOT NULL AND state NOT IN ('retired', 'blocked')) AS held,
    count(*) FILTER (WHERE certificate_till < $2::timestamptz + interval '30 days' AND state <> 'retired') AS expiring,
    min(certificate_till) FILTER (WHERE state <> 'retired') AS certificate_till,
    count(*) FILTER (WHERE state = 'blocked') AS blocked
  FROM fdms_devices WHERE tenant_id = $1 GROUP BY store_id),
dead AS (
  SELECT store_id, count(*) AS dead FROM fdms_retry_jobs
  WHERE tenant_id = $1 AND status = 'dead_letter' GROUP BY store_id),
alert AS (
  SELECT store_id, count(*) AS alerts, count(*) FILTER (WHERE severity = 'fault') AS faults FROM alerts
  WHERE tenant_id = $1 AND ended_at IS NULL AND store_id IS NOT NULL GROUP BY store_id)
SELECT s.store_id, s.name, s.joined_at, c.last_seen_at, c.version, c.clock_skew_ms, t.tills, t.open_days, t.oldest_day,
  t.waiting, t.oldest, t.held, t.expiring, t.certificate_till, d.dead, a.alerts, a.faults, t.blocked
FROM stores s
LEFT JOIN store_cursors c ON c.tenant_id = s.tenant_id AND c.store_id = s.store_id
LEFT JOIN till t ON t.store_id = s.store_id
LEFT JOIN dead d ON d.store_id = s.store_id
LEFT JOIN alert a ON a.store_id = s.store_id
WHERE s.tenant_id = $1 AND s.retired_at IS NULL
ORDER BY s.name";

/// After how much waiting and silence a tenant wants to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    unsent_hours: i64,
    silent_minutes: i64,
}

/// A store as the overview knows it.
#[derive(Debug)]
struct Store {
    id: Uuid,
    name: String,
    joined: bool,
    last_seen: Option<Timestamp>,
    version: Option<String>,
    clock_skew_ms: i64,
    tills: i64,
    open_days: i64,
    oldest_day: Option<clock::DateTime>,
    waiting: i64,
    oldest: Option<Timestamp>,
    held: i64,
    blocked: i64,
    expiring: i64,
    certificate_till: Option<Timestamp>,
    dead: i64,
    alerts: i64,
    faults: i64,
    is_silent: bool,
    is_late: bool,
}

impl Store {
    fn read(row: &tokio_postgres::Row, limits: Limits, now: Timestamp) -> Self {
        let number = |place: usize| row.get::<_, Option<i64>>(place).unwrap_or_default();
        let last_seen: Option<Timestamp> = row.get(3);
        let oldest: Option<Timestamp> = row.get(10);
        let older = |at: Option<Timestamp>, seconds: i64| {
            at.is_some_and(|at| now.duration_since(at).as_secs() > seconds)
        };
        Self {
            id: row.get(0),
            name: row.get(1),
            joined: row.get::<_, Option<Timestamp>>(2).is_some(),
            last_seen,
            version: row.get(4),
            clock_skew_ms: number(5),
            tills: number(6),
            open_days: number(7),
            oldest_day: row.get(8),
            waiting: number(9),
            oldest,
            held: number(11),
            blocked: number(17),
            expiring: number(12),
            certificate_till: row.get(13),
            dead: number(14),
            alerts: number(15),
            faults: number(16),
            is_silent: older(last_seen, limits.silent_minutes.saturating_mul(60)),
            is_late: older(oldest, limits.unsent_hours.saturating_mul(3600)),
        }
    }

    /// Whether its clock is so wrong that it is an alert.
    const fn clock_is_off(&self) -> bool {
        self.clock_skew_ms.unsigned_abs() > 60_000
    }

    /// How much it wants attention: the worst stands first.
    const fn weight(&self) -> i64 {
        let mut weight = 0;
        if self.dead > 0 || self.faults > 0 {
            weight += 8
        }
        if self.is_late {
            weight += 4
        }
        if self.is_silent {
            weight += 2
        }
        if self.alerts > 0
            || self.expiring > 0
            || self.held > 0
            || self.blocked > 0
            || self.clock_is_off()
        {
            weight += 1
        }
        weight
    }
}

/// `GET /`
pub(super) async fn page(
    visit: Visit,
    State(hq): State<SharedHq>,
    uri: Uri,
) -> Result<Response, Failed> {
    if visit.is_at_operator() {
        return Ok(see("/companies"));
    }
    let query = Query::of(&uri);
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, visit.caller.tenant).await?;
    let limits = limits(&tx, visit.caller.tenant).await?;
    let find = tx.prepare_cached(OVERVIEW).await?;
    let rows = tx
        .query(&find, &[&visit.caller.tenant.0, &visit.now])
        .await?;
    let turn = last_turn(&tx, visit.caller.tenant).await?;
    let mut stores: Vec<Store> = rows
        .iter()
        .map(|row| Store::read(row, limits, visit.now))
        .collect();
    stores.sort_by_key(|store| std::cmp::Reverse(store.weight()));
    let body = html! {
        (live(&visit, "overview", &html! {
            (worker_is_late(&visit, turn))
            (tiles(&visit, &stores))
            (table(&visit, &query, &stores))
        }))
    };
    let mut shown = Page::new(Nav::Overview, "Overview");
    shown.under = Some(
        html! { (words::count(count(&stores), "store", "stores")) ", those that want attention first" },
    );
    shown.beside = Some(search(&visit, &query));
    Ok(shown.show(&visit, &body))
}

/// When the periodic work has last looked at the tenant; before the first time, when the tenant was made.
async fn last_turn(
    tx: &deadpool_postgres::Transaction<'_>,
    tenant: TenantId,
) -> Result<Option<Timestamp>, Failed> {
    let find = tx
        .prepare_cached(
            "SELECT coalesce(s.updated_at, t.created_at) FROM tenants t LEFT JOIN tenant_summaries s USING (tenant_id)
             WHERE t.tenant_id = $1",
        )
        .await?;
    let row = tx.query_opt(&find, &[&tenant.0]).await?;
    Ok(row.map(|row| row.get(0)))
}

/// Says so if the periodic work stands still: no alert begins or ends, and nobody is told.
fn worker_is_late(visit: &Visit, turn: Option<Timestamp>) -> Markup {
    let late = turn.filter(|turn| visit.now.duration_since(*turn).as_secs() > WORKER_LATE);
    html! {
        @if let Some(turn) = late {
            div class="note warn" {
                p { b { "The periodic work has not looked at this company since " (words::when(visit.now, turn)) "." } }
                p { "Until it does, no alert begins or ends and nobody is told of one. Whoever runs this service looks into its log, or calls /fdms_worker." }
            }
        }
    }
}

fn count(stores: &[Store]) -> i64 {
    i64::try_from(stores.len()).unwrap_or(i64::MAX)
}

/// After how much waiting and silence the tenant wants to know.
pub(super) async fn limits(
    tx: &deadpool_postgres::Transaction<'_>,
    tenant: TenantId,
) -> Result<Limits, Failed> {
    let find = tx
        .prepare_cached(
            "SELECT unsent_hours, silent_minutes FROM tenant_fiscal_profiles WHERE tenant_id = $1",
        )
        .await?;
    let row = tx.query_opt(&find, &[&tenant.0]).await?;
    let (hours, minutes) = row.map_or((24, 30), |row| (row.get::<_, i32>(0), row.get::<_, i32>(1)));
    Ok(Limits {
        unsent_hours: hours.into(),
        silent_minutes: minutes.into(),
    })
}

fn tiles(visit: &Visit, stores: &[Store]) -> Markup {
    let sum = |of: fn(&Store) -> i64| stores.iter().map(of).sum::<i64>();
    let (unsent, dead) = (sum(|s| s.waiting), sum(|s| s.dead));
    let oldest = stores.iter().filter_map(|store| store.oldest).min();
    let age = oldest.map(|at| format!("oldest {}", words::relative(visit.now, at)));
    let late = stores.iter().any(|store| store.is_late);
    let silent = sum(|s| s.is_silent.into());
    let (expiring, alerts) = (sum(|s| s.expiring), sum(|s| s.alerts));
    let days = sum(|s| s.open_days);
    let figure = words::thousands;
    html! {
        div class="tiles" {
            (tile(Tone::Quiet, &figure(days), "open days", Some(&format!("of {}", words::count(sum(|s| s.tills), "till", "tills"))), None))
            (tile(if late { Tone::Warn } else { Tone::Quiet }, &figure(unsent), "unsent", age.as_deref(), Some(&visit.href("/queue"))))
            (tile(Tone::bad_if_any(dead), &figure(dead), "dead letters", None, Some(&visit.href("/queue"))))
            (tile(Tone::warn_if_any(expiring), &figure(expiring), "expiring certificates", Some(&format!("within {EXPIRING_DAYS} days")), Some(&visit.href("/credentials"))))
            (tile(Tone::bad_if_any(silent), &figure(silent), "silent stores", None, Some(&visit.href("/?only=silent"))))
            (tile(Tone::warn_if_any(alerts), &figure(alerts), "open alerts", None, Some(&visit.href("/alarms"))))
        }
    }
}

fn search(visit: &Visit, query: &Query) -> Markup {
    html! {
        form class="row" method="get" action="/" role="search" {
            @if visit.caller.is_operator { input type="hidden" name="tenant" value=(visit.caller.tenant); }
            input type="search" name="name" aria-label="Name of a store" placeholder="Name of a store" value=(query.shown("name"));
            select name="only" aria-label="Which stores" {
                @for (value, word) in [("", "All stores"), ("trouble", "With trouble"), ("silent", "Silent")] {
                    option value=(value) selected[query.shown("only") == value] { (word) }
                }
            }
            button { "Show" }
        }
    }
}

fn table(visit: &Visit, query: &Query, stores: &[Store]) -> Markup {
    let name = query.shown("name").to_lowercase();
    let wanted = |store: &&Store| {
        let named = name.is_empty() || store.name.to_lowercase().contains(&name);
        named
            && match query.text("only") {
                Some("trouble") => store.weight() > 0,
                Some("silent") => store.is_silent,
                _ => true,
            }
    };
    let found: Vec<&Store> = stores.iter().filter(wanted).collect();
    let first: usize = query.parsed("from").unwrap_or_default();
    let shown = found.get(first..).unwrap_or_default();
    html! {
        section class="card" {
            div class="scroll" {
                @if stores.is_empty() {
                    (empty("No store yet", "Add the first one under Stores and tills: it gets a code that is good once, to join with."))
                } @else if shown.is_empty() {
                    (empty("No store like that", "Change the name, or show all stores."))
                } @else {
                    table class="fold" {
                        thead { tr {
                            th { "Store" } th { "State" } th class="num" { "Open days" } th class="num" { "Unsent" } th { "Oldest" }
                            th class="num" { "Dead letters" } th { "Certificate till" } th { "Last seen" }
                        } }
                        tbody { @for store in shown.iter().take(SHOWN) { (row(visit, store)) } }
                    }
                }
            }
            @if found.len() > SHOWN {
                div class="pager" {
                    @if first > 0 { a href=(visit.href(&query.with("/", "from", &first.saturating_sub(SHOWN).to_string()))) { "Before" } } @else { span {} }
                    span class="soft" { (first + 1) "–" (found.len().min(first + SHOWN)) " of " (found.len()) }
                    @if first + SHOWN < found.len() { a href=(visit.href(&query.with("/", "from", &(first + SHOWN).to_string()))) { "Next" } } @else { span {} }
                }
            }
        }
    }
}

fn row(visit: &Visit, store: &Store) -> Markup {
    let now = visit.now;
    html! {
        tr {
            td data-name="Store" {
                a href=(visit.href(&format!("/stores/{}", store.id))) { (store.name) }
                span class="second" { (words::count(store.tills, "till", "tills")) @if let Some(version) = &store.version { " · " (version) } }
            }
            td data-name="State" { (state(store)) }
            td data-name="Open days" class="num" {
                (store.open_days)
                @if let Some(oldest) = store.oldest_day { span class="second" { "since " (words::civil_short(now, oldest)) } }
            }
            td data-name="Unsent" class="num" { (words::thousands(store.waiting)) }
            td data-name="Oldest" { (words::when_or(now, store.oldest, "–")) }
            td data-name="Dead letters" class="num" { @if store.dead > 0 { (tag(Tone::Bad, &store.dead.to_string())) } @else { "0" } }
            td data-name="Certificate till" { (words::when_or(now, store.certificate_till, "none")) }
            td data-name="Last seen" { (words::when_or(now, store.last_seen, "never")) }
        }
    }
}

fn state(store: &Store) -> Markup {
    html! {
        span class="tags" {
            @if !store.joined { (tag(Tone::Quiet, "not joined")) }
            @if store.is_silent { (tag(Tone::Bad, "silent")) }
            @if store.dead > 0 { (tag(Tone::Bad, "dead letter")) }
            @if store.is_late { (tag(Tone::Warn, "unsent for long")) }
            @if store.held > 0 { (tag(Tone::Warn, &words::count(store.held, "till held", "tills held"))) }
            @if store.expiring > 0 { (tag(Tone::Warn, "certificate ends")) }
            @if store.clock_is_off() { (tag(Tone::Warn, &format!("clock off by {}", words::span(store.clock_skew_ms / 1000)))) }
            @if store.blocked > 0 { (tag(Tone::Bad, &words::count(store.blocked, "till blocked", "tills blocked"))) }
            @if store.alerts > 0 { (tag(if store.faults > 0 { Tone::Bad } else { Tone::Warn }, &words::count(store.alerts, "alert", "alerts"))) }
            @if store.joined && store.weight() == 0 { (tag(Tone::Ok, "well")) }
        }
    }
}

/// `GET /companies`: the operator's overview, one row per tenant.
pub(super) async fn tenants(visit: Visit, State(hq): State<SharedHq>) -> Result<Response, Failed> {
    if !visit.caller.is_operator {
        return Ok(see("/"));
    }
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, TenantId::OPERATOR).await?;
    let find = tx
        .prepare_cached(
            "SELECT t.tenant_id, t.name, s.stores, s.tills, s.silent_stores, s.open_days, s.unsent, s.oldest_unsent,
               s.dead_letters, s.expiring, s.alerts, s.updated_at
             FROM tenants t LEFT JOIN tenant_summaries s USING (tenant_id)
             WHERE t.tenant_id <> $1 ORDER BY t.name",
        )
        .await?;
    let rows = tx.query(&find, &[&TenantId::OPERATOR.0]).await?;
    let body = live(
        &visit,
        "tenants",
        &html! {
            section class="card" {
                div class="scroll" {
                    @if rows.is_empty() {
                        (empty("No tenant yet", "Make one with: fiscal-hq tenant add NAME"))
                    } @else {
                        table class="fold" {
                            thead { tr {
                                th { "Tenant" } th class="num" { "Stores" } th class="num" { "Tills" } th class="num" { "Open days" } th class="num" { "Unsent" } th { "Oldest" }
                                th class="num" { "Dead letters" } th class="num" { "Expiring" } th class="num" { "Silent" } th class="num" { "Alerts" } th { "As of" }
                            } }
                            tbody { @for row in &rows { (tenant_row(&visit, row)) } }
                        }
                    }
                }
            }
        },
    );
    let mut shown = Page::new(Nav::Tenants, "Tenants");
    shown.under = Some(
        html! { (words::count(i64::try_from(rows.len()).unwrap_or(i64::MAX), "tenant", "tenants")) },
    );
    Ok(shown.show(&visit, &body))
}

fn tenant_row(visit: &Visit, row: &tokio_postgres::Row) -> Markup {
    let tenant: Uuid = row.get(0);
    let number = |place: usize| i64::from(row.get::<_, Option<i32>>(place).unwrap_or_default());
    let figure = |tone: fn(i64) -> Tone, place: usize, name: &str| {
        let number = number(place);
        html! {
            td class="num" data-name=(name) {
                @if tone(number) == Tone::Quiet { (number) } @else { (tag(tone(number), &number.to_string())) }
            }
        }
    };
    let quiet = |_| Tone::Quiet;
    html! {
        tr {
            td data-name="Tenant" { a href={ "/?tenant=" (tenant) } { (row.get::<_, String>(1)) } }
            (figure(quiet, 2, "Stores"))
            (figure(quiet, 3, "Tills"))
            (figure(quiet, 5, "Open days"))
            td class="num" data-name="Unsent" { (words::thousands(row.get::<_, Option<i64>>(6).unwrap_or_default())) }
            td data-name="Oldest" { (words::when_or(visit.now, row.get(7), "–")) }
            (figure(Tone::bad_if_any, 8, "Dead letters"))
            (figure(Tone::warn_if_any, 9, "Expiring"))
            (figure(Tone::bad_if_any, 4, "Silent"))
            (figure(Tone::warn_if_any, 10, "Alerts"))
            td data-name="As of" { (words::when_or(visit.now, row.get(11), "not counted yet")) }
        }
    }
}
