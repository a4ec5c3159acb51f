//! `/fiscal_devices`: the tills, and what they are asked to do.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use clock::Timestamp;
use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sync_wire::TillRef;
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use super::input::{Params, device, environment, id, text, till};
use super::reported;
use crate::access::{Caller, Role};
use crate::audit::{self, Deed};
use crate::db::{self, DbError, TenantId, till_of};
use crate::hq::SharedHq;
use crate::problem::{Body, Code, Problem};

/// A till: a row of `fdms_devices`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Device {
    /// `test` or `prod`: for life.
    pub environment: String,
    /// Its number at FDMS.
    pub device_id: i32,
    /// Its serial number.
    pub serial_no: String,
    /// `DeviceModelName` as registered.
    pub model_name: String,
    /// `DeviceModelVersion` as registered.
    pub model_version: String,
    /// The store that it stands in.
    #[schema(value_type = String)]
    pub store_id: Uuid,
    /// The cashier machine; its test and its production till share it.
    pub machine_name: String,
    /// How the client expects it to work: `online`, `offline`, `hybrid`.
    pub mode: String,
    /// `pending`, `registered`, `active`, `blocked`, `retired`.
    pub state: String,
    /// Put in front of every `invoiceNo`, unique in the tenant.
    pub invoice_prefix: String,
    /// `Online` or `Offline`, as FDMS has it.
    pub operating_mode: Option<String>,
    /// What keeps it from selling, in a word.
    pub hold: Option<String>,
    /// The same in a sentence.
    pub hold_reason: Option<String>,
    /// The open fiscal day.
    pub fiscal_day_no: Option<i32>,
    /// When it was opened, local time.
    #[schema(value_type = Option<String>)]
    pub fiscal_day_opened: Option<jiff::civil::DateTime>,
    /// The last fiscal day.
    pub last_day_no: i32,
    /// The last receipt.
    pub last_receipt_global_no: i32,
    /// The last receipt that FDMS has.
    pub sent_receipt_global_no: i32,
    /// So many things wait for FDMS.
    pub waiting: i32,
    /// The oldest of them.
    #[schema(value_type = Option<String>)]
    pub oldest_waiting_at: Option<Timestamp>,
    /// Why the queue stands still.
    pub parked: Option<String>,
    /// Whether FDMS can be reached from there: `up`, `down`, `unknown`.
    pub line: Option<String>,
    /// SHA-1 of the certificate in use.
    pub certificate_thumbprint: Option<String>,
    /// Valid from
    #[schema(value_type = Option<String>)]
    pub certificate_from: Option<Timestamp>,
    /// till.
    #[schema(value_type = Option<String>)]
    pub certificate_till: Option<Timestamp>,
    /// Why a person has blocked it.
    pub block_reason: Option<String>,
    /// What last went wrong.
    pub last_error: Option<String>,
    /// When its store last spoke of it.
    #[schema(value_type = Option<String>)]
    pub last_seen_at: Option<Timestamp>,
    /// Who made the record.
    pub created_by: String,
    /// When.
    #[schema(value_type = String)]
    pub created_at: Timestamp,
}

/// A till to be.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDevice {
    /// `test` or `prod`.
    pub environment: String,
    /// Its number at FDMS.
    pub device_id: i32,
    /// Its serial number, as the authority has it.
    pub serial_no: String,
    /// `DeviceModelName` as registered.
    #[serde(default)]
    pub model_name: String,
    /// `DeviceModelVersion` as registered.
    #[serde(default)]
    pub model_version: String,
    /// The store that it stands in.
    #[schema(value_type = String)]
    pub store_id: Uuid,
    /// The cashier machine.
    pub machine_name: String,
    /// `online`, `offline`, `hybrid`.
    pub mode: String,
    /// Put in front of every `invoiceNo`; left out: one is proposed and taken.
    pub invoice_prefix: Option<String>,
}

impl Device {
    fn of(row: &Row) -> Self {
        Self {
            environment: row.get("environment"),
            device_id: row.get("device_id"),
            serial_no: row.get("serial_no"),
            model_name: row.get("model_name"),
            model_version: row.get("model_version"),
            store_id: row.get("store_id"),
            machine_name: row.get("machine_name"),
            mode: row.get("mode"),
            state: row.get("state"),
            invoice_prefix: row.get("invoice_prefix"),
            operating_mode: row.get("operating_mode"),
            hold: row.get("hold"),
            hold_reason: row.get("hold_reason"),
            fiscal_day_no: row.get("fiscal_day_no"),
            fiscal_day_opened: row.get("fiscal_day_opened"),
            last_day_no: row.get("last_day_no"),
            last_receipt_global_no: row.get("last_receipt_global_no"),
            sent_receipt_global_no: row.get("sent_receipt_global_no"),
            waiting: row.get("waiting"),
            oldest_waiting_at: row.get("oldest_waiting_at"),
            parked: row.get("parked"),
            line: row.get("line"),
            certificate_thumbprint: row.get("certificate_thumbprint"),
            certificate_from: row.get("certificate_from"),
            certificate_till: row.get("certificate_till"),
            block_reason: row.get("block_reason"),
            last_error: row.get("last_error"),
            last_seen_at: row.get("last_seen_at"),
            created_by: row.get("created_by"),
            created_at: row.get("created_at"),
        }
    }

    /// Whether a person has said that it stands in its store: by making its record, or by naming its cashier machine.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        !self.created_by.starts_with("store:") || !self.machine_name.is_empty()
    }

    /// The till's name, for a sentence.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("till {} {}", self.environment, self.device_id)
    }
}

/// Reads a till; with `lock`, nobody else changes it until the transaction ends.
///
/// # Errors
/// `not_found`, or Postgres is away.
pub async fn read(
    tx: &Transaction<'_>,
    tenant: TenantId,
    till: TillRef,
    lock: bool,
) -> Result<Device, Problem> {
    if lock {
        // In the order in which a batch of the store takes them: its cursor, then its tills.
        let cursor = tx
            .prepare_cached(
                "SELECT 1 FROM store_cursors WHERE tenant_id = $1 AND store_id = (SELECT store_id FROM fdms_devices
                   WHERE tenant_id = $1 AND environment = $2 AND device_id = $3) FOR UPDATE",
            )
            .await?;
        let key = (till.environment.as_str(), device(till)?);
        tx.query_opt(&cursor, &[&tenant.0, &key.0, &key.1]).await?;
    }
    let select = tx
        .prepare_cached(if lock {
            "SELECT * FROM fdms_devices WHERE tenant_id = $1 AND environment = $2 AND device_id = $3 FOR UPDATE"
        } else {
            "SELECT * FROM fdms_devices WHERE tenant_id = $1 AND environment = $2 AND device_id = $3"
        })
        .await?;
    let row = tx
        .query_opt(
            &select,
            &[&tenant.0, &till.environment.as_str(), &device(till)?],
        )
        .await?;
    let row = row.ok_or_else(|| Problem::not_found("till"))?;
    Ok(Device::of(&row))
}

/// The tills that are not retired.
///
/// # Errors
/// Postgres is away.
pub async fn standing(tx: &Transaction<'_>, tenant: TenantId) -> Result<Vec<Device>, Problem> {
    let select = tx
        .prepare_cached(
            "SELECT * FROM fdms_devices WHERE tenant_id = $1 AND state <> 'retired'
             ORDER BY environment, device_id",
        )
        .await?;
    let rows = tx.query(&select, &[&tenant.0]).await?;
    Ok(rows.iter().map(Device::of).collect())
}

/// The tills of a store that are not retired; nobody else changes them until the transaction ends. Its cursor is locked before.
///
/// # Errors
/// Postgres is away.
pub(super) async fn of_store(
    tx: &Transaction<'_>,
    tenant: TenantId,
    store: Uuid,
) -> Result<Vec<Device>, Problem> {
    let select = tx
        .prepare_cached(
            "SELECT * FROM fdms_devices WHERE tenant_id = $1 AND store_id = $2 AND state <> 'retired'
             ORDER BY environment, device_id FOR UPDATE",
        )
        .await?;
    let rows = tx.query(&select, &[&tenant.0, &store]).await?;
    Ok(rows.iter().map(Device::of).collect())
}

/// The production tills that are not retired, with their stores; neither stores nor anybody else change them until the transaction
/// ends. Locks are taken as a store's batch takes them: cursors, then the tenant, then all else.
///
/// # Errors
/// Postgres is away.
pub(super) async fn prod_stores(
    tx: &Transaction<'_>,
    tenant: TenantId,
) -> Result<Vec<(TillRef, Uuid)>, Problem> {
    for sql in [
        "SELECT 1 FROM store_cursors WHERE tenant_id = $1 ORDER BY store_id FOR UPDATE",
        // Whoever writes a row that refers to the tenant need not wait.
        "SELECT 1 FROM tenants WHERE tenant_id = $1 FOR NO KEY UPDATE",
    ] {
        let lock = tx.prepare_cached(sql).await?;
        tx.query(&lock, &[&tenant.0]).await?;
    }
    let select = tx
        .prepare_cached(
            "SELECT environment, device_id, store_id FROM fdms_devices
             WHERE tenant_id = $1 AND environment = 'prod' AND state <> 'retired' ORDER BY device_id FOR UPDATE",
        )
        .await?;
    let rows = tx.query(&select, &[&tenant.0]).await?;
    let tills = rows.iter().filter_map(|row| {
        let till = till_of(row.get(0), row.get(1))?;
        Some((till, row.get(2)))
    });
    Ok(tills.collect())
}

/// The tills of a tenant.
#[utoipa::path(
    get,
    path = "/fiscal_devices",
    tag = "fiscal_devices",
    operation_id = "listDevices",
    params(
        ("environment" = Option<String>, Query, description = "`test` or `prod`."),
        ("store_id" = Option<String>, Query, description = "Of this store alone."),
        ("state" = Option<String>, Query, description = "In this state alone."),
    ),
    responses(
        (status = 200, description = "All of them, by store and machine.", body = Vec<Device>),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn list(
    State(hq): State<SharedHq>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<Vec<Device>>, Problem> {
    caller.at_least(Role::Viewer)?;
    let params = Params::of(&uri, &["environment", "store_id", "state"])?;
    let environment = params
        .environment()?
        .map(|environment| environment.as_str());
    let store = params
        .get("store_id")
        .map(|text| id(text, "store"))
        .transpose()?;
    let states = ["pending", "registered", "active", "blocked", "retired"];
    let state = params.word("state", &states)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let select = tx
        .prepare_cached(
            "SELECT * FROM fdms_devices WHERE tenant_id = $1 AND ($2::text IS NULL OR environment = $2)
               AND ($3::uuid IS NULL OR store_id = $3) AND ($4::text IS NULL OR state = $4)
             ORDER BY store_id, machine_name, environment, device_id",
        )
        .await?;
    let rows = tx
        .query(&select, &[&caller.tenant.0, &environment, &store, &state])
        .await?;
    Ok(Json(rows.iter().map(Device::of).collect()))
}

/// One till.
#[utoipa::path(
    get,
    path = "/fiscal_devices/{environment}/{device_id}",
    tag = "fiscal_devices",
    operation_id = "readDevice",
    params(
        ("environment" = String, Path, description = "`test` or `prod`."),
        ("device_id" = i32, Path, description = "Its number at FDMS."),
    ),
    responses(
        (status = 200, description = "The till.", body = Device),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn get(
    State(hq): State<SharedHq>,
    caller: Caller,
    Path((environment, device_id)): Path<(String, String)>,
) -> Result<Json<Device>, Problem> {
    caller.at_least(Role::Viewer)?;
    let till = till(&environment, &device_id)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    Ok(Json(read(&tx, caller.tenant, till, false).await?))
}

/// Make the record of a till, `pending` until its store has registered it.
#[utoipa::path(
    post,
    path = "/fiscal_devices",
    tag = "fiscal_devices",
    operation_id = "createDevice",
    request_body = NewDevice,
    responses(
        (status = 201, description = "The till.", body = Device),
        (status = 409, description = "There is one of that number, or of that prefix.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "Any other problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn create(
    State(hq): State<SharedHq>,
    caller: Caller,
    Body(new): Body<NewDevice>,
) -> Result<(StatusCode, Json<Device>), Problem> {
    caller.at_least(Role::Admin)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let made = insert(&tx, caller.tenant, &new, &caller.actor, hq.now()).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// The fields of a new till, as they must be.
fn checked(new: &NewDevice) -> Result<TillRef, Problem> {
    let device_id = u32::try_from(new.device_id)
        .ok()
        .filter(|device_id| *device_id > 0);
    let device_id = device_id
        .ok_or_else(|| Problem::field("/device_id", "FDMS numbers its devices from 1 on"))?;
    let environment = environment(&new.environment).map_err(|mut problem| {
        problem.pointer = Some("/environment".to_owned());
        problem
    })?;
    let serial = text("/serial_no", &new.serial_no, 1..=20)?;
    if serial != new.serial_no {
        return Err(Problem::field(
            "/serial_no",
            "there is a blank at the ends of the serial number; take the one that FDMS has for this device",
        ));
    }
    known_mode(&new.mode)?;
    Ok(TillRef {
        environment,
        device_id,
    })
}

/// Refuses a mode that is none.
pub(super) fn known_mode(mode: &str) -> Result<(), Problem> {
    if ["online", "offline", "hybrid"].contains(&mode) {
        return Ok(());
    }
    Err(Problem::field(
        "/mode",
        "mode must be `online`, `offline` or `hybrid`",
    ))
}

/// A till that is new.
const INSERT: &str = "INSERT INTO fdms_devices (tenant_id, environment, device_id, serial_no, model_name, model_version,
   store_id, machine_name, mode, state, invoice_prefix, created_by, created_at)
 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'pending', $10, $11, $12) RETURNING *";

/// A till that only a store has told of.
const CONFIRM: &str =
    "UPDATE fdms_devices SET serial_no = $4, model_name = $5, model_version = $6, store_id = $7,
   machine_name = $8, mode = $9, invoice_prefix = $10, created_by = $11, created_at = $12
 WHERE tenant_id = $1 AND environment = $2 AND device_id = $3 RETURNING *";

/// Makes the record, with its audit row. One that only a store has made is taken over, for the store where the till
/// really stands.
///
/// # Errors
/// A field is not as it must be, the number or the prefix is taken, there is no such store, or Postgres is away.
pub async fn insert(
    tx: &Transaction<'_>,
    tenant: TenantId,
    new: &NewDevice,
    actor: &str,
    now: Timestamp,
) -> Result<Device, Problem> {
    let till = checked(new)?;
    let store = tx
        .prepare_cached("SELECT retired_at FROM stores WHERE tenant_id = $1 AND store_id = $2")
        .await?;
    let row = tx.query_opt(&store, &[&tenant.0, &new.store_id]).await?;
    match row.map(|row| row.get::<_, Option<Timestamp>>(0)) {
        None => {
            return Err(Problem {
                pointer: Some("/store_id".to_owned()),
                ..Problem::not_found("store")
            });
        }
        Some(Some(_)) => return Err(Problem::field("/store_id", "this store is retired")),
        Some(None) => {}
    }
    let reported = reported::give(tx, tenant, till, new.store_id, now).await?;
    let own = reported.as_ref().filter(|told| told.store == new.store_id);
    let prefix = match (&new.invoice_prefix, own) {
        (None, Some(own)) => own.prefix.clone(),
        (wanted, _) => prefix(tx, tenant, till, wanted.as_deref()).await?,
    };
    let insert = tx
        .prepare_cached(match reported {
            Some(_) => CONFIRM,
            None => INSERT,
        })
        .await?;
    let made = tx
        .query_one(
            &insert,
            &[
                &tenant.0,
                &till.environment.as_str(),
                &new.device_id,
                &new.serial_no,
                &text("/model_name", &new.model_name, 0..=100)?,
                &text("/model_version", &new.model_version, 0..=50)?,
                &new.store_id,
                &text("/machine_name", &new.machine_name, 1..=100)?,
                &new.mode,
                &prefix,
                &actor,
                &now,
            ],
        )
        .await;
    let row = made.map_err(DbError::from).map_err(|error| {
        if error.is_duplicate() {
            let detail =
                format!("there is a till {till} already, or one with the prefix `{prefix}`");
            return Problem::new(Code::Conflict, detail);
        }
        error.into()
    })?;
    let made = Device::of(&row);
    let deed = Deed {
        actor,
        action: "device.create",
        subject: &made.shown(),
        before: reported.map(|told| json!({ "store_id": told.store, "created_by": told.by })),
        after: Some(
            json!({ "serial_no": made.serial_no, "store_id": made.store_id, "machine_name": made.machine_name,
            "mode": made.mode, "state": made.state, "invoice_prefix": made.invoice_prefix }),
        ),
    };
    audit::record(tx, tenant, now, &deed).await?;
    Ok(made)
}

/// The prefix that was wanted, if no other begins with it or it with another: `1` and `11` would make the same `invoiceNo` one
/// day. None wanted: the till's number and a dash, which nothing else begins with.
async fn prefix(
    tx: &Transaction<'_>,
    tenant: TenantId,
    till: TillRef,
    wanted: Option<&str>,
) -> Result<String, Problem> {
    let wanted = match wanted {
        Some(text) => text.to_owned(),
        None => format!("{}-", till.device_id),
    };
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-/._".contains(&byte);
    if wanted.is_empty() || wanted.len() > 16 || !wanted.bytes().all(good) {
        return Err(Problem::field(
            "/invoice_prefix",
            "a prefix has 1 to 16 letters, digits or - / . _",
        ));
    }
    // Two tills that are made at once wait for each other here.
    let lock = tx
        .prepare_cached(
            "SELECT pg_advisory_xact_lock(hashtextextended('invoice_prefix ' || $1, 0))",
        )
        .await?;
    tx.execute(&lock, &[&tenant.0.to_string()]).await?;
    let near = tx
        .prepare_cached(
            "SELECT device_id, invoice_prefix FROM fdms_devices
             WHERE tenant_id = $1 AND environment = $2 AND device_id <> $4 AND invoice_prefix <> ''
               AND (starts_with(invoice_prefix, $3) OR starts_with($3, invoice_prefix)) LIMIT 1",
        )
        .await?;
    let environment = till.environment.as_str();
    let row = tx
        .query_opt(&near, &[&tenant.0, &environment, &wanted, &device(till)?])
        .await?;
    let Some(row) = row else {
        return Ok(wanted);
    };
    let (other, taken): (i32, String) = (row.get(0), row.get(1));
    Err(Problem {
        pointer: Some("/invoice_prefix".to_owned()),
        ..Problem::new(
            Code::Conflict,
            format!(
                "till {environment} {other} has the prefix `{taken}`, and one of the two begins with the other: their \
                 `invoiceNo`s could be the same one day; choose another, or leave it out"
            ),
        )
    })
}
