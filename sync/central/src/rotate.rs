//! A new master key: all that is sealed under another one is sealed anew, a batch at a time, each with its audit
//! row. Broken off, it is started again and goes on where it was.

use deadpool_postgres::Transaction;
use sync_wire::{Environment, TillRef};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::access::totp;
use crate::audit::{self, Deed};
use crate::db::{self, DbError, TenantId};
use crate::functions::credentials;
use crate::hq::Hq;
use crate::keys::{KeyError, SealedBytes};
use crate::tenants;
use crate::worker::webhook;

/// Sealed anew in one transaction.
const BATCH: i64 = 100;

/// Why not all could be sealed anew. What was, stays so.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// One of them cannot be opened.
    #[error("{what} of tenant {tenant} cannot be sealed anew: {why}")]
    Key {
        /// What it is.
        what: String,
        /// Whose it is.
        tenant: TenantId,
        /// Why not.
        why: KeyError,
    },
    /// Postgres is away.
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<tokio_postgres::Error> for RotateError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error.into())
    }
}

/// Where something sealed is kept: how it is read, how it is written, and what it is bound to.
struct Kind {
    name: &'static str,
    select: &'static str,
    update: &'static str,
    /// Its place, and how to write it back.
    of: fn(TenantId, &Row) -> Result<Item, tokio_postgres::Error>,
}

/// Something sealed.
struct Item {
    what: String,
    place: String,
    sealed: Result<SealedBytes, KeyError>,
    key: ItemKey,
}

/// Which row it is.
enum ItemKey {
    Credential(String, i32, i32),
    Packed(Uuid),
}

const KINDS: [Kind; 4] = [
    Kind {
        name: "credentials",
        select: "SELECT environment, device_id, version, sealed_key, master_key_id FROM fdms_tenant_credentials
                 WHERE tenant_id = $1 AND sealed_key IS NOT NULL AND master_key_id IS DISTINCT FROM $2
                 ORDER BY environment, device_id, version LIMIT $3 FOR UPDATE",
        update: "UPDATE fdms_tenant_credentials SET sealed_key = $5, master_key_id = $6
                 WHERE tenant_id = $1 AND environment = $2 AND device_id = $3 AND version = $4",
        of: credential,
    },
    Kind {
        name: "second factors",
        select: "SELECT user_id, totp_secret FROM users WHERE tenant_id = $1 AND totp_secret IS NOT NULL
                   AND substr(totp_secret, 2, get_byte(totp_secret, 0)) <> convert_to($2, 'UTF8')
                 ORDER BY user_id LIMIT $3 FOR UPDATE",
        update: "UPDATE users SET totp_secret = $3 WHERE tenant_id = $1 AND user_id = $2",
        of: second_factor,
    },
    Kind {
        name: "second factors on their way",
        select: "SELECT user_id, totp_pending FROM users WHERE tenant_id = $1 AND totp_pending IS NOT NULL
                   AND substr(totp_pending, 2, get_byte(totp_pending, 0)) <> convert_to($2, 'UTF8')
                 ORDER BY user_id LIMIT $3 FOR UPDATE",
        update: "UPDATE users SET totp_pending = $3 WHERE tenant_id = $1 AND user_id = $2",
        of: second_factor,
    },
    Kind {
        name: "webhook secrets",
        select: "SELECT channel_id, secret FROM alert_channels WHERE tenant_id = $1 AND secret IS NOT NULL
                   AND substr(secret, 2, get_byte(secret, 0)) <> convert_to($2, 'UTF8')
                 ORDER BY channel_id LIMIT $3 FOR UPDATE",
        update: "UPDATE alert_channels SET secret = $3 WHERE tenant_id = $1 AND channel_id = $2",
        of: webhook_secret,
    },
];

/// Seals everything under the key in use; how many there were. `progress` is told after each batch.
///
/// # Errors
/// Something cannot be opened, or Postgres is away. Start it again then: what is done is done.
pub async fn rotate(
    hq: &Hq,
    actor: &str,
    mut progress: impl FnMut(&str, u64),
) -> Result<u64, RotateError> {
    let mut everybody = vec![(TenantId::OPERATOR, "Operator".to_owned())];
    everybody.extend(tenants::all(&hq.db).await?);
    let mut all = 0;
    for (tenant, name) in everybody {
        for kind in &KINDS {
            loop {
                let count = batch(hq, tenant, actor, kind).await?;
                if count == 0 {
                    break;
                }
                all += count;
                progress(&name, all);
            }
        }
    }
    Ok(all)
}

async fn batch(hq: &Hq, tenant: TenantId, actor: &str, kind: &Kind) -> Result<u64, RotateError> {
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, tenant).await?;
    let current = hq.keys.current_id();
    let select = tx.prepare_cached(kind.select).await?;
    let rows = tx.query(&select, &[&tenant.0, &current, &BATCH]).await?;
    for row in &rows {
        let item = (kind.of)(tenant, row)?;
        let failed = |why| RotateError::Key {
            what: item.what.clone(),
            tenant,
            why,
        };
        let sealed = item.sealed.map_err(|why| RotateError::Key {
            what: item.what.clone(),
            tenant,
            why,
        })?;
        let opened = hq.keys.open(&item.place, &sealed).map_err(failed)?;
        let sealed = hq.keys.seal(&item.place, &opened).map_err(failed)?;
        write(&tx, tenant, kind, &item.key, &sealed).await?;
    }
    let count = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    if count > 0 {
        let deed = Deed {
            actor,
            action: "master_key.rotate",
            subject: kind.name,
            before: None,
            after: Some(serde_json::json!({ "count": count, "masterKeyId": current })),
        };
        audit::record(&tx, tenant, hq.now(), &deed).await?;
    }
    tx.commit().await?;
    Ok(count)
}

async fn write(
    tx: &Transaction<'_>,
    tenant: TenantId,
    kind: &Kind,
    key: &ItemKey,
    sealed: &SealedBytes,
) -> Result<(), RotateError> {
    let update = tx.prepare_cached(kind.update).await?;
    match key {
        ItemKey::Credential(environment, device_id, version) => {
            tx.execute(
                &update,
                &[
                    &tenant.0,
                    environment,
                    device_id,
                    version,
                    &sealed.bytes,
                    &sealed.key_id,
                ],
            )
            .await?
        }
        ItemKey::Packed(id) => {
            tx.execute(&update, &[&tenant.0, id, &sealed.pack()])
                .await?
        }
    };
    Ok(())
}

fn credential(tenant: TenantId, row: &Row) -> Result<Item, tokio_postgres::Error> {
    let environment: String = row.try_get(0)?;
    let (device_id, version): (i32, i32) = (row.try_get(1)?, row.try_get(2)?);
    // The table's own check: it is one of the two, and the number is positive.
    let till = TillRef {
        environment: Environment::parse(&environment).unwrap_or(Environment::Test),
        device_id: u32::try_from(device_id).unwrap_or(0),
    };
    Ok(Item {
        what: format!("the key of till {till}, version {version},"),
        place: credentials::place(tenant, till, version),
        sealed: Ok(SealedBytes {
            key_id: row.try_get::<_, Option<String>>(4)?.unwrap_or_default(),
            bytes: row.try_get(3)?,
        }),
        key: ItemKey::Credential(environment, device_id, version),
    })
}

fn second_factor(tenant: TenantId, row: &Row) -> Result<Item, tokio_postgres::Error> {
    let user: Uuid = row.try_get(0)?;
    Ok(Item {
        what: format!("the second factor of user {user}"),
        place: totp::place(tenant, user),
        sealed: SealedBytes::unpack(row.try_get(1)?),
        key: ItemKey::Packed(user),
    })
}

fn webhook_secret(tenant: TenantId, row: &Row) -> Result<Item, tokio_postgres::Error> {
    let channel: Uuid = row.try_get(0)?;
    Ok(Item {
        what: format!("the secret of webhook {channel}"),
        place: webhook::place(tenant, channel),
        sealed: SealedBytes::unpack(row.try_get(1)?),
        key: ItemKey::Packed(channel),
    })
}
