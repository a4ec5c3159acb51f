//! `/alert_channels`: where alerts are told.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clock::Timestamp;
use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::deliver::{self, Message};
use super::webhook;
use crate::access::{Caller, Role};
use crate::audit::{self, Deed};
use crate::db::{self, TenantId};
use crate::functions::input::{id, text};
use crate::hq::{Hq, SharedHq};
use crate::outbound::mail;
use crate::problem::{Body, Code, Problem};

/// Channels of a tenant at most.
const MOST: i64 = 20;

/// Where alerts are told.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Channel {
    /// Its name for ever.
    #[schema(value_type = String)]
    pub channel_id: Uuid,
    /// `webhook` or `email`.
    pub kind: String,
    /// The address.
    pub target: String,
    /// Whether it is told anything.
    pub enabled: bool,
    /// Who made it.
    pub created_by: String,
    /// When.
    #[schema(value_type = String)]
    pub created_at: Timestamp,
    /// Messages that have not arrived yet.
    pub waiting: i64,
    /// Why the last of them has not.
    pub last_error: Option<String>,
}

/// A channel to be.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewChannel {
    /// `webhook` or `email`.
    pub kind: String,
    /// `https://…`, or an address of mail.
    pub target: String,
}

/// A channel that was made.
#[derive(Clone, Serialize, ToSchema)]
pub struct MadeChannel {
    /// The channel.
    pub channel: Channel,
    /// What a webhook's messages are signed with (header `Fiscal-Hq-Signature: t=SECONDS,v1=HEX`, HMAC-SHA256 over `SECONDS.BODY`):
    /// shown this once.
    pub secret: Option<String>,
}

/// A change of a channel.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeChannel {
    /// Whether it is told anything.
    pub enabled: bool,
}

/// What came of a test message.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Tested {
    /// Whether it has arrived.
    pub delivered: bool,
    /// Why not.
    pub error: Option<String>,
}

const COLUMNS: &str = "c.channel_id, c.kind, c.target, c.enabled, c.created_by, c.created_at,
  (SELECT count(*) FROM alert_deliveries d WHERE d.tenant_id = c.tenant_id AND d.channel_id = c.channel_id
     AND d.delivered_at IS NULL) AS waiting,
  (SELECT d.last_error FROM alert_deliveries d WHERE d.tenant_id = c.tenant_id AND d.channel_id = c.channel_id
     AND d.delivered_at IS NULL AND d.last_error IS NOT NULL ORDER BY d.next_attempt_at DESC LIMIT 1) AS last_error";

impl Channel {
    fn of(row: &Row) -> Self {
        Self {
            channel_id: row.get("channel_id"),
            kind: row.get("kind"),
            target: row.get("target"),
            enabled: row.get("enabled"),
            created_by: row.get("created_by"),
            created_at: row.get("created_at"),
            waiting: row.get("waiting"),
            last_error: row.get("last_error"),
        }
    }
}

/// The channels of a tenant.
#[utoipa::path(
    get,
    path = "/alert_channels",
    tag = "alerts",
    operation_id = "listChannels",
    responses(
        (status = 200, description = "The oldest first.", body = Vec<Channel>),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn list(
    State(hq): State<SharedHq>,
    caller: Caller,
) -> Result<Json<Vec<Channel>>, Problem> {
    caller.at_least(Role::Viewer)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let sql = format!(
        "SELECT {COLUMNS} FROM alert_channels c WHERE c.tenant_id = $1 ORDER BY c.created_at, c.channel_id"
    );
    let select = tx.prepare_cached(&sql).await?;
    let rows = tx.query(&select, &[&caller.tenant.0]).await?;
    Ok(Json(rows.iter().map(Channel::of).collect()))
}

async fn read(tx: &Transaction<'_>, tenant: TenantId, channel: Uuid) -> Result<Channel, Problem> {
    let sql = format!(
        "SELECT {COLUMNS} FROM alert_channels c WHERE c.tenant_id = $1 AND c.channel_id = $2"
    );
    let select = tx.prepare_cached(&sql).await?;
    let row = tx.query_opt(&select, &[&tenant.0, &channel]).await?;
    row.as_ref()
        .map(Channel::of)
        .ok_or_else(|| Problem::not_found("channel"))
}

/// Make a channel.
#[utoipa::path(
    post,
    path = "/alert_channels",
    tag = "alerts",
    operation_id = "createChannel",
    request_body = NewChannel,
    responses(
        (status = 201, description = "The channel; a webhook's secret is shown this once.", body = MadeChannel),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn create(
    State(hq): State<SharedHq>,
    caller: Caller,
    Body(new): Body<NewChannel>,
) -> Result<(StatusCode, Json<MadeChannel>), Problem> {
    caller.at_least(Role::Admin)?;
    let target = text("/target", &new.target, 3..=1000)?;
    let good = match new.kind.as_str() {
        "webhook" => webhook::address(&target, hq.outbound.webhooks_to_private).map(|_| ()),
        "email" => mail::address(&target).map(|_| ()),
        _ => return Err(Problem::field("/kind", "kind must be `webhook` or `email`")),
    };
    good.map_err(|why| Problem::field("/target", why))?;
    let channel = Uuid::new_v4();
    let secret = (new.kind == "webhook")
        .then(|| secret(&hq, caller.tenant, channel))
        .transpose()?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let insert = tx
        .prepare_cached(
            "INSERT INTO alert_channels (tenant_id, channel_id, kind, target, secret, created_by, created_at)
             SELECT $1, $2, $3, $4, $5, $6, $7
             WHERE (SELECT count(*) FROM alert_channels WHERE tenant_id = $1) < $8",
        )
        .await?;
    let now = hq.now();
    let sealed = secret.as_ref().map(|(_, sealed)| sealed);
    let made = tx
        .execute(
            &insert,
            &[
                &caller.tenant.0,
                &channel,
                &new.kind,
                &target,
                &sealed,
                &caller.actor,
                &now,
                &MOST,
            ],
        )
        .await?;
    if made == 0 {
        let detail = format!("a tenant has at most {MOST} channels; remove one first");
        return Err(Problem::new(Code::Conflict, detail));
    }
    audited(
        &tx,
        &caller,
        "channel.create",
        channel,
        json!({ "kind": new.kind, "target": target }),
        now,
    )
    .await?;
    let channel = read(&tx, caller.tenant, channel).await?;
    tx.commit().await?;
    let secret = secret.map(|(shown, _)| shown.as_str().to_owned());
    Ok((StatusCode::CREATED, Json(MadeChannel { channel, secret })))
}

/// A webhook's secret: as it is shown, and sealed.
fn secret(
    hq: &Hq,
    tenant: TenantId,
    channel: Uuid,
) -> Result<(Zeroizing<String>, Vec<u8>), Problem> {
    let failed = |error: String| Problem::new(Code::Internal, error);
    let mut random = Zeroizing::new([0_u8; 32]);
    getrandom::fill(random.as_mut_slice())
        .map_err(|_| failed("the machine has no random numbers".to_owned()))?;
    let shown = Zeroizing::new(format!(
        "whsec_{}",
        URL_SAFE_NO_PAD.encode(random.as_slice())
    ));
    let sealed = hq
        .keys
        .seal(&webhook::place(tenant, channel), shown.as_bytes());
    let sealed = sealed.map_err(|error| failed(error.to_string()))?;
    Ok((shown, sealed.pack()))
}

async fn audited(
    tx: &Transaction<'_>,
    caller: &Caller,
    action: &str,
    channel: Uuid,
    after: serde_json::Value,
    now: Timestamp,
) -> Result<(), Problem> {
    let deed = Deed {
        actor: &caller.actor,
        action,
        subject: &format!("alert channel {channel}"),
        before: None,
        after: Some(after),
    };
    audit::record(tx, caller.tenant, now, &deed).await?;
    Ok(())
}

/// Switch a channel on or off.
#[utoipa::path(
    put,
    path = "/alert_channels/{channel_id}",
    tag = "alerts",
    operation_id = "changeChannel",
    params(("channel_id" = String, Path, description = "The channel.")),
    request_body = ChangeChannel,
    responses(
        (status = 200, description = "The channel.", body = Channel),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn change(
    State(hq): State<SharedHq>,
    caller: Caller,
    Path(channel_id): Path<String>,
    Body(change): Body<ChangeChannel>,
) -> Result<Json<Channel>, Problem> {
    caller.at_least(Role::Admin)?;
    let channel = id(&channel_id, "channel")?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let update = tx
        .prepare_cached(
            "UPDATE alert_channels SET enabled = $3 WHERE tenant_id = $1 AND channel_id = $2",
        )
        .await?;
    tx.execute(&update, &[&caller.tenant.0, &channel, &change.enabled])
        .await?;
    let changed = read(&tx, caller.tenant, channel).await?;
    let after = json!({ "enabled": change.enabled });
    audited(&tx, &caller, "channel.change", channel, after, hq.now()).await?;
    tx.commit().await?;
    Ok(Json(changed))
}

/// Remove a channel.
#[utoipa::path(
    delete,
    path = "/alert_channels/{channel_id}",
    tag = "alerts",
    operation_id = "removeChannel",
    params(("channel_id" = String, Path, description = "The channel.")),
    responses(
        (status = 204, description = "It is gone."),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn remove(
    State(hq): State<SharedHq>,
    caller: Caller,
    Path(channel_id): Path<String>,
) -> Result<StatusCode, Problem> {
    caller.at_least(Role::Admin)?;
    let channel = id(&channel_id, "channel")?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let gone = read(&tx, caller.tenant, channel).await?;
    for sql in [
        "DELETE FROM alert_deliveries WHERE tenant_id = $1 AND channel_id = $2",
        "DELETE FROM alert_channels WHERE tenant_id = $1 AND channel_id = $2",
    ] {
        let delete = tx.prepare_cached(sql).await?;
        tx.execute(&delete, &[&caller.tenant.0, &channel]).await?;
    }
    let after = json!({ "kind": gone.kind, "target": gone.target });
    audited(&tx, &caller, "channel.remove", channel, after, hq.now()).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Send a test message to a channel, now.
#[utoipa::path(
    post,
    path = "/alert_channels/{channel_id}/test",
    tag = "alerts",
    operation_id = "testChannel",
    params(("channel_id" = String, Path, description = "The channel.")),
    responses(
        (status = 200, description = "Whether it has arrived, and if not, why.", body = Tested),
        (status = "default", description = "A problem.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn test(
    State(hq): State<SharedHq>,
    caller: Caller,
    Path(channel_id): Path<String>,
) -> Result<Json<Tested>, Problem> {
    caller.at_least(Role::Admin)?;
    let channel = id(&channel_id, "channel")?;
    let mut client = hq.db.client().await?;
    let (target, message) = {
        let tx = db::tenant(&mut client, caller.tenant).await?;
        let select = tx
            .prepare_cached(
                "SELECT c.channel_id, c.kind AS channel_kind, c.target, c.secret, t.name FROM alert_channels c
                 JOIN tenants t ON t.tenant_id = c.tenant_id WHERE c.tenant_id = $1 AND c.channel_id = $2",
            )
            .await?;
        let row = tx.query_opt(&select, &[&caller.tenant.0, &channel]).await?;
        let row = row.ok_or_else(|| Problem::not_found("channel"))?;
        audited(&tx, &caller, "channel.test", channel, json!({}), hq.now()).await?;
        tx.commit().await?;
        let message = Message {
            id: format!("test.{}", Uuid::new_v4()),
            event: "test".to_owned(),
            tenant: caller.tenant,
            tenant_name: row.get("name"),
            at: hq.now(),
            alert: None,
        };
        (deliver::Channel::of(&row), message)
    };
    drop(client);
    let sent = deliver::send(&hq, &target, &message).await;
    Ok(Json(Tested {
        delivered: sent.is_ok(),
        error: sent.err(),
    }))
}
