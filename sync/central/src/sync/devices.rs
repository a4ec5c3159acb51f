//! The stores' tills as rows: made when a store first tells of one, kept as the store says they are.

use std::collections::{BTreeMap, BTreeSet};

use clock::Timestamp;
use deadpool_postgres::Transaction;
use jiff::civil::DateTime;
use sync_wire::TillRef;
use sync_wire::state::{StoreState, TillState};
use uuid::Uuid;

use super::batch::{Batch, local, plain};
use super::deeds::Deeds;
use super::line::{Line, device, moment};
use super::trouble::{self, Trouble};
use super::{StoreCaller, wanted};
use crate::db::{DbError, till_of};

/// A till as a store tells of it.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) till: TillRef,
    pub(super) serial_no: String,
    pub(super) model_name: String,
    pub(super) model_version: String,
    pub(super) invoice_prefix: String,
}

/// The tills of a store, with their states.
#[derive(Debug)]
pub(super) struct Devices(BTreeMap<TillRef, String>);

impl Devices {
    pub(super) async fn of(tx: &Transaction<'_>, caller: StoreCaller) -> Result<Self, DbError> {
        let select = tx
            .prepare_cached(
                "SELECT environment, device_id, state FROM fdms_devices WHERE tenant_id = $1 AND store_id = $2",
            )
            .await?;
        let rows = tx
            .query(&select, &[&caller.tenant.0, &caller.store])
            .await?;
        let tills = rows
            .iter()
            .filter_map(|row| Some((till_of(row.get(0), row.get(1))?, row.get(2))));
        Ok(Self(tills.collect()))
    }

    /// Whether it belongs to the store.
    pub(super) fn has(&self, till: TillRef) -> bool {
        self.0.contains_key(&till)
    }

    /// Whether a batch and a snapshot may make tills, or change the state of some: then the tenant's revision rises.
    pub(super) fn may_change(&self, batch: &Batch<'_>, state: &StoreState) -> bool {
        let added = batch.added.keys().copied();
        let reported = state.tills.iter().map(|till| till.till);
        added.chain(reported).any(|till| !self.has(till))
            || !self.next(batch, Some(state)).is_empty()
    }

    /// Makes rows for tills that are new. One that belongs to another store stays there.
    pub(super) async fn learn(
        &mut self,
        tx: &Transaction<'_>,
        caller: StoreCaller,
        deeds: &mut Deeds,
        known: impl Iterator<Item = Known>,
        now: Timestamp,
    ) -> Result<(), DbError> {
        for known in known {
            if self.has(known.till) {
                continue;
            }
            if learn(tx, caller, deeds, &known, now).await? {
                self.0.insert(known.till, "registered".to_owned());
                wanted::bump(tx, caller.tenant).await?;
            }
        }
        Ok(())
    }

    /// Tills that lines are of and that are not the store's: an alert for each. To be asked when [`Devices::learn`]
    /// has made those that are new.
    pub(super) async fn foreign(
        &self,
        tx: &Transaction<'_>,
        caller: StoreCaller,
        lines: &[Line<'_>],
        now: Timestamp,
    ) -> Result<BTreeSet<TillRef>, DbError> {
        let tills = lines.iter().filter_map(|line| line.till);
        let foreign: BTreeSet<TillRef> = tills.filter(|till| !self.has(*till)).collect();
        for till in &foreign {
            let owner = owner(tx, caller, *till).await?;
            elsewhere(tx, caller, *till, owner, now).await?;
        }
        Ok(foreign)
    }

    /// What a batch and a snapshot say of the tills' states: in the store's ledger, selling, retired.
    pub(super) async fn advance(
        &mut self,
        tx: &Transaction<'_>,
        caller: StoreCaller,
        batch: &Batch<'_>,
        state: Option<&StoreState>,
    ) -> Result<(), DbError> {
        let next = self.next(batch, state);
        if next.is_empty() {
            return Ok(());
        }
        let update = tx
            .prepare_cached(
                "UPDATE fdms_devices d SET state = n.state
                 FROM unnest($3::text[], $4::int4[], $5::text[]) AS n (environment, device, state)
                 WHERE d.tenant_id = $1 AND d.store_id = $2 AND d.environment = n.environment AND d.device_id = n.device",
            )
            .await?;
        let environments: Vec<_> = next.keys().map(|till| till.environment.as_str()).collect();
        let devices: Vec<_> = next.keys().map(|till| device(*till)).collect();
        let states: Vec<_> = next.values().copied().collect();
        tx.execute(
            &update,
            &[
                &caller.tenant.0,
                &caller.store,
                &environments,
                &devices,
                &states,
            ],
        )
        .await?;
        self.0.extend(
            next.into_iter()
                .map(|(till, state)| (till, state.to_owned())),
        );
        wanted::bump(tx, caller.tenant).await
    }

    /// The tills' states that a batch and a snapshot bring about.
    fn next(
        &self,
        batch: &Batch<'_>,
        state: Option<&StoreState>,
    ) -> BTreeMap<TillRef, &'static str> {
        let mut next: BTreeMap<TillRef, &'static str> = BTreeMap::new();
        let tills = state
            .map(|state| state.tills.as_slice())
            .unwrap_or_default();
        let certified = batch.certificates.iter().map(|(till, ..)| *till);
        let registered = tills.iter().filter(|till| till.registered);
        next.extend(batch.added.keys().map(|till| (*till, "registered")));
        next.extend(certified.map(|till| (till, "registered")));
        next.extend(registered.map(|till| (till.till, "registered")));
        next.extend(batch.selling.iter().map(|till| (*till, "active")));
        next.extend(
            tills
                .iter()
                .filter(|till| is_retired(till))
                .map(|till| (till.till, "retired")),
        );
        next.retain(|till, next| {
            let now = self.0.get(till).map(String::as_str);
            matches!(
                (now, *next),
                (Some("pending"), _)
                    | (Some("registered"), "active" | "retired")
                    | (Some("active" | "blocked"), "retired")
            )
        });
        next
    }
}

fn is_retired(till: &TillState) -> bool {
    till.hold
        .as_ref()
        .is_some_and(|hold| hold.kind == "retired")
}

/// True if the till is this store's now.
async fn learn(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    deeds: &mut Deeds,
    known: &Known,
    now: Timestamp,
) -> Result<bool, DbError> {
    let mut prefix = plain(known.invoice_prefix.clone());
    if !insert(tx, caller, deeds.actor(), known, &prefix, now).await? {
        if let Some(owner) = owner(tx, caller, known.till).await? {
            if owner != caller.store {
                elsewhere(tx, caller, known.till, Some(owner), now).await?;
            }
            return Ok(owner == caller.store);
        }
        let shared = prefix;
        let environment = known.till.environment.as_str();
        prefix = format!("{shared}~{environment}-{}", device(known.till));
        same_prefix(tx, caller, known.till, &shared, now).await?;
        if !insert(tx, caller, deeds.actor(), known, &prefix, now).await? {
            // Somebody has that one too, by chance or to keep this till out.
            prefix = format!("{shared}~{}", Uuid::new_v4());
            if !insert(tx, caller, deeds.actor(), known, &prefix, now).await? {
                return Ok(false);
            }
        }
    }
    let after = serde_json::json!({ "store": caller.store, "invoicePrefix": prefix });
    deeds.note("device.report", format!("till {}", known.till), after);
    Ok(true)
}

/// The store that a till belongs to; none: nobody has told of it yet.
async fn owner(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    till: TillRef,
) -> Result<Option<Uuid>, DbError> {
    let select = tx
        .prepare_cached(
            "SELECT store_id FROM fdms_devices WHERE tenant_id = $1 AND environment = $2 AND device_id = $3",
        )
        .await?;
    let (environment, number) = (till.environment.as_str(), device(till));
    let row = tx
        .query_opt(&select, &[&caller.tenant.0, &environment, &number])
        .await?;
    Ok(row.map(|row| row.get(0)))
}

async fn insert(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    actor: &str,
    known: &Known,
    prefix: &str,
    now: Timestamp,
) -> Result<bool, DbError> {
    let insert = tx
        .prepare_cached(
            "INSERT INTO fdms_devices (tenant_id, store_id, environment, device_id, serial_no, model_name, model_version,
               invoice_prefix, state, created_by, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'registered', $9, $10) ON CONFLICT DO NOTHING",
        )
        .await?;
    let made = tx
        .execute(
            &insert,
            &[
                &caller.tenant.0,
                &caller.store,
                &known.till.environment.as_str(),
                &device(known.till),
                &plain(known.serial_no.clone()),
                &plain(known.model_name.clone()),
                &plain(known.model_version.clone()),
                &prefix,
                &actor,
                &now,
            ],
        )
        .await?;
    Ok(made == 1)
}

async fn elsewhere(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    till: TillRef,
    owner: Option<Uuid>,
    now: Timestamp,
) -> Result<(), DbError> {
    let whose = owner.map_or_else(
        || "which no store has added".to_owned(),
        |owner| format!("which belongs to store {owner}"),
    );
    let detail = format!(
        "store {} reports till {till}, {whose}. What it says of the till is kept as it came, among the store's events; \
         it counts neither as receipts nor in figures. Find out why this store speaks of a till that is not its own: \
         was its machine taken over, or was the till set up in the wrong store? A till that has sold stays in its \
         store: retire it there, and give the new place a till of its own number",
        caller.store
    );
    let trouble = Trouble {
        kind: trouble::TILL_ELSEWHERE,
        subject: &format!("{} {till}", caller.store),
        is_fault: true,
        store: caller.store,
        till: Some(till),
        detail: &detail,
    };
    trouble::raise(tx, caller.tenant, now, &trouble).await
}

async fn same_prefix(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    till: TillRef,
    prefix: &str,
    now: Timestamp,
) -> Result<(), DbError> {
    let detail = format!(
        "till {till} writes invoice numbers with the prefix {prefix:?}, as another till of the same environment does: the \
         same invoice number can be there twice. Give one of the two another prefix"
    );
    let trouble = Trouble {
        kind: trouble::PREFIX_CONFLICT,
        subject: &till.to_string(),
        is_fault: false,
        store: caller.store,
        till: Some(till),
        detail: &detail,
    };
    trouble::raise(tx, caller.tenant, now, &trouble).await
}

/// Keeps how the store says that its tills are. Those of other stores stay as they are.
pub(super) async fn snapshot(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    state: &StoreState,
    now: Timestamp,
) -> Result<(), DbError> {
    let update = tx.prepare_cached(SNAPSHOT).await?;
    let rows: Vec<Row> = state.tills.iter().map(Row::of).collect();
    let each = || rows.iter();
    let environment: Vec<_> = each().map(|row| row.till.environment.as_str()).collect();
    let number: Vec<_> = each().map(|row| device(row.till)).collect();
    let serial: Vec<_> = each().map(|row| row.serial.as_str()).collect();
    let model: Vec<_> = each().map(|row| row.model.as_str()).collect();
    let model_version: Vec<_> = each().map(|row| row.model_version.as_str()).collect();
    let mode: Vec<_> = each().map(|row| row.mode.as_deref()).collect();
    let hold: Vec<_> = each().map(|row| row.hold.as_deref()).collect();
    let hold_reason: Vec<_> = each().map(|row| row.hold_reason.as_deref()).collect();
    let day: Vec<_> = each().map(|row| row.day).collect();
    let opened: Vec<_> = each().map(|row| row.opened).collect();
    let last_day: Vec<_> = each().map(|row| row.last_day).collect();
    let last: Vec<_> = each().map(|row| row.last).collect();
    let sent: Vec<_> = each().map(|row| row.sent).collect();
    let waiting: Vec<_> = each().map(|row| row.waiting).collect();
    let oldest: Vec<_> = each().map(|row| row.oldest).collect();
    let parked: Vec<_> = each().map(|row| row.parked.as_deref()).collect();
    let line: Vec<_> = each().map(|row| row.line.as_str()).collect();
    let thumbprint: Vec<_> = each().map(|row| row.thumbprint.as_deref()).collect();
    let from: Vec<_> = each().map(|row| row.from).collect();
    let till: Vec<_> = each().map(|row| row.until).collect();
    let error: Vec<_> = each().map(|row| row.error.as_deref()).collect();
    tx.execute(
        &update,
        &[
            &caller.tenant.0,
            &caller.store,
            &now,
            &state.revision,
            &environment,
            &number,
            &serial,
            &model,
            &model_version,
            &mode,
            &hold,
            &hold_reason,
            &day,
            &opened,
            &last_day,
            &last,
            &sent,
            &waiting,
            &oldest,
            &parked,
            &line,
            &thumbprint,
            &from,
            &till,
            &error,
        ],
    )
    .await?;
    Ok(())
}

/// What head office itself wrote down as the error stays until the store has done what was wanted.
const SNAPSHOT: &str = "UPDATE fdms_devices d SET last_seen_at = $3, serial_no = coalesce(nullif(d.serial_no, ''), n.serial),
   model_name = n.model, model_version = n.model_version, operating_mode = n.mode, hold = n.hold,
   hold_reason = n.hold_reason, fiscal_day_no = n.day, fiscal_day_opened = n.opened, last_day_no = n.last_day,
   last_receipt_global_no = n.last, sent_receipt_global_no = n.sent, waiting = n.waiting, oldest_waiting_at = n.oldest,
   parked = n.parked, line = n.line, certificate_thumbprint = n.thumbprint, certificate_from = n.valid_from,
   certificate_till = n.valid_till,
   last_error = CASE WHEN n.error IS NULL AND t.revision > $4 THEN d.last_error ELSE n.error END
 FROM unnest($5::text[], $6::int4[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[],
   $13::int4[], $14::timestamp[], $15::int4[], $16::int4[], $17::int4[], $18::int4[], $19::timestamptz[], $20::text[],
   $21::text[], $22::text[], $23::timestamptz[], $24::timestamptz[], $25::text[])
   AS n (environment, device, serial, model, model_version, mode, hold, hold_reason, day, opened, last_day, last, sent,
   waiting, oldest, parked, line, thumbprint, valid_from, valid_till, error), tenants t
 WHERE d.tenant_id = $1 AND d.store_id = $2 AND d.environment = n.environment AND d.device_id = n.device
   AND t.tenant_id = $1";

/// A till's columns of its snapshot.
struct Row {
    till: TillRef,
    serial: String,
    model: String,
    model_version: String,
    mode: Option<String>,
    hold: Option<String>,
    hold_reason: Option<String>,
    day: Option<i32>,
    opened: Option<DateTime>,
    last_day: i32,
    last: i32,
    sent: i32,
    waiting: i32,
    oldest: Option<Timestamp>,
    parked: Option<String>,
    line: String,
    thumbprint: Option<String>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    error: Option<String>,
}

impl Row {
    fn of(till: &TillState) -> Self {
        let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let text = |text: &str| plain(text.to_owned());
        let head = till.queue.head.as_ref();
        let parked = head.and_then(|head| head.parked.as_ref());
        let parked = parked.map(|parked| text(&parked.reason));
        let hold = till.hold.as_ref();
        let failed = head.and_then(|head| head.last_error.as_deref().map(text));
        let hold_reason = hold.map(|hold| text(&hold.reason));
        Self {
            till: till.till,
            serial: text(&till.serial_no),
            model: text(&till.model_name),
            model_version: text(&till.model_version),
            mode: till.operating_mode.as_deref().map(text),
            hold: hold.map(|hold| text(&hold.kind)),
            day: till.day.as_ref().map(|day| number(day.fiscal_day_no)),
            opened: till.day.as_ref().and_then(|day| local(&day.opened)),
            last_day: number(till.last_day_no),
            last: number(till.last_global_no),
            sent: number(till.sent_global_no),
            waiting: number(till.queue.waiting),
            oldest: till.queue.oldest_at.and_then(moment),
            line: text(&till.line),
            thumbprint: till.certificate.as_ref().map(|used| text(&used.thumbprint)),
            from: till
                .certificate
                .as_ref()
                .and_then(|used| moment(used.not_before)),
            until: till
                .certificate
                .as_ref()
                .and_then(|used| moment(used.not_after)),
            error: parked.clone().or(failed).or_else(|| hold_reason.clone()),
            parked,
            hold_reason,
        }
    }
}
