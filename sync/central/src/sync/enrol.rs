//! How a store joins: a person makes a code for it, which is good once and for a day; the store shows it and is given
//! a secret of its own. Joining again, on another machine, ends the secret before.

use std::net::IpAddr;
use std::time::Duration;

use clock::Timestamp;
use deadpool_postgres::Transaction;
use secrecy::SecretString;
use sync_wire::chain::ChainHash;
use sync_wire::enrol::{Enrol, Enrolled, ExpectedTill, Past};
use sync_wire::{Environment, seal};
use uuid::Uuid;

use super::deeds::Deeds;
use super::devices::{Devices, Known};
use super::{StoreCaller, wanted};
use crate::access::Seen;
use crate::access::secret::{Secret, hash};
use crate::audit::{self, Deed};
use crate::db::{self, TenantId, till_of};
use crate::hq::Hq;
use crate::problem::{Code, Problem};

/// How long a code is good.
pub const CODE_GOOD_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// Tills in one store at most.
const MAX_TILLS: usize = 1_000;
/// What a store's secret begins with.
const SECRET_PREFIX: &str = "hqs_";
/// What a code is written with: nothing that looks like something else.
const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Letters of a code: 100 bits.
const LENGTH: usize = 20;

/// Makes a code for a store, in groups of four letters; one that was made before and not used is not good any more.
/// It is shown once: only its hash is kept.
///
/// # Errors
/// There is no such store, it was retired, or Postgres is away.
pub async fn new_code(
    tx: &Transaction<'_>,
    tenant: TenantId,
    store: Uuid,
    actor: &str,
    now: Timestamp,
) -> Result<SecretString, Problem> {
    let select = tx
        .prepare_cached(
            "SELECT name, retired_at IS NOT NULL FROM stores WHERE tenant_id = $1 AND store_id = $2 FOR NO KEY UPDATE",
        )
        .await?;
    let row = tx.query_opt(&select, &[&tenant.0, &store]).await?;
    let row = row.ok_or_else(|| Problem::not_found("store"))?;
    if row.get(1) {
        let detail =
            "the store was retired, and stays so: make a new store, with tills of new numbers";
        return Err(Problem::new(Code::Conflict, detail));
    }
    let end = tx
        .prepare_cached(
            "UPDATE enrolment_codes SET expires_at = $3
             WHERE tenant_id = $1 AND store_id = $2 AND used_at IS NULL AND expires_at > $3",
        )
        .await?;
    tx.execute(&end, &[&tenant.0, &store, &now]).await?;
    let code = random_code()?;
    let hash = hash(&letters(&code));
    let id = Uuid::new_v4();
    let expires = now.saturating_add(CODE_GOOD_FOR).unwrap_or(Timestamp::MAX);
    let insert = tx
        .prepare_cached(
            "INSERT INTO enrolment_codes (tenant_id, code_id, store_id, key_hash, created_by, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .await?;
    tx.execute(
        &insert,
        &[&tenant.0, &id, &store, &hash.as_slice(), &actor, &expires],
    )
    .await?;
    lookup_put(tx, "enrolment", &hash, id).await?;
    let deed = Deed {
        actor,
        action: "store.code",
        subject: &format!("store {store}"),
        before: None,
        after: Some(serde_json::json!({ "expires": expires.to_string() })),
    };
    audit::record(tx, tenant, now, &deed).await?;
    Ok(SecretString::from(code))
}

/// A store joins, or joins again.
///
/// # Errors
/// The code is none, was used, or is too old; Postgres is away.
pub(super) async fn join(
    hq: &Hq,
    enrol: &Enrol,
    from: IpAddr,
    seen: &Seen,
) -> Result<Enrolled, Problem> {
    check(enrol)?;
    let now = hq.now();
    let hash = hash(&letters(&enrol.code));
    let mut client = hq.db.client().await?;
    let lookup = client
        .prepare_cached("SELECT tenant_id, id FROM hq_lookup('enrolment', $1)")
        .await?;
    let row = client.query_opt(&lookup, &[&hash.as_slice()]).await?;
    // What is no code goes the same way, to find nothing.
    let (tenant, code) = row.map_or((Uuid::nil(), Uuid::nil()), |row| (row.get(0), row.get(1)));
    let tenant = TenantId(tenant);
    let tx = db::tenant(&mut client, tenant).await?;
    lock(&tx, tenant, code, enrol).await?;
    let store = match use_code(&tx, tenant, code, now).await? {
        Shown::Good(store) => store,
        Shown::Spent(store, why) => {
            seen.guess();
            let subject = format!("store {store}");
            let deed = Deed {
                actor: "nobody",
                action: "store.code_refused",
                subject: &subject,
                before: None,
                after: Some(serde_json::json!({ "from": from.to_string(), "why": why.detail })),
            };
            audit::record(&tx, tenant, now, &deed).await?;
            tx.commit().await?;
            return Err(why);
        }
        Shown::None => {
            seen.guess();
            return Err(Problem::new(
                Code::Unauthenticated,
                "this is no code of this head office: look for a slip, or make a new one there",
            ));
        }
    };
    let caller = StoreCaller { tenant, store };
    let joined = let_in(&tx, caller, enrol, (now, from)).await?;
    tx.commit().await?;
    Ok(joined)
}

fn check(enrol: &Enrol) -> Result<(), Problem> {
    if enrol.protocol != sync_wire::VERSION {
        return Err(Problem::field(
            "/protocol",
            format!(
                "this head office speaks version {}, the store speaks {}: update whichever is older",
                sync_wire::VERSION,
                enrol.protocol
            ),
        ));
    }
    if enrol.tills.len() > MAX_TILLS {
        return Err(Problem::field(
            "/tills",
            format!("a store has {MAX_TILLS} tills at most"),
        ));
    }
    if seal::seal(&enrol.seal_key, "probe", b"probe").is_err() {
        return Err(Problem::field(
            "/sealKey",
            "the store's sealing key is no X25519 key in Base64",
        ));
    }
    Ok(())
}

/// Locks the store that a code is for, in the order of docs/HQ.md, Locks.
async fn lock(
    tx: &Transaction<'_>,
    tenant: TenantId,
    code: Uuid,
    enrol: &Enrol,
) -> Result<(), Problem> {
    let cursor = tx
        .prepare_cached(
            "SELECT 1 FROM store_cursors c JOIN enrolment_codes e ON e.tenant_id = c.tenant_id AND e.store_id = c.store_id
             WHERE e.tenant_id = $1 AND e.code_id = $2 FOR UPDATE OF c",
        )
        .await?;
    tx.query_opt(&cursor, &[&tenant.0, &code]).await?;
    // Tills that come along change what the tenant wants.
    if !enrol.tills.is_empty() {
        wanted::lock(tx, tenant).await?;
    }
    let store = tx
        .prepare_cached(
            "SELECT 1 FROM stores s JOIN enrolment_codes e ON e.tenant_id = s.tenant_id AND e.store_id = s.store_id
             WHERE e.tenant_id = $1 AND e.code_id = $2 FOR NO KEY UPDATE OF s",
        )
        .await?;
    tx.query_opt(&store, &[&tenant.0, &code]).await?;
    Ok(())
}

/// What a code turned out to be.
enum Shown {
    /// Good, for this store; from now on it is used.
    Good(Uuid),
    /// This store's, but used or too old.
    Spent(Uuid, Problem),
    /// No code of ours.
    None,
}

/// Uses up a code.
async fn use_code(
    tx: &Transaction<'_>,
    tenant: TenantId,
    code: Uuid,
    now: Timestamp,
) -> Result<Shown, Problem> {
    let select = tx
        .prepare_cached(
            "SELECT store_id, used_at, expires_at FROM enrolment_codes WHERE tenant_id = $1 AND code_id = $2 FOR UPDATE",
        )
        .await?;
    let row = tx.query_opt(&select, &[&tenant.0, &code]).await?;
    let Some(row) = row else {
        return Ok(Shown::None);
    };
    let store = row.get(0);
    let used: Option<Timestamp> = row.get(1);
    if let Some(used) = used {
        let detail = format!(
            "the code was used at {used}: it is good once. If that was not you, tell head office; make a new one there"
        );
        return Ok(Shown::Spent(store, Problem::new(Code::Conflict, detail)));
    }
    if row.get::<_, Timestamp>(2) <= now {
        let detail = "the code is too old, or a newer one was made: make a new one at head office";
        return Ok(Shown::Spent(store, Problem::new(Code::Conflict, detail)));
    }
    let update = tx
        .prepare_cached(
            "UPDATE enrolment_codes SET used_at = $3 WHERE tenant_id = $1 AND code_id = $2",
        )
        .await?;
    tx.execute(&update, &[&tenant.0, &code, &now]).await?;
    Ok(Shown::Good(store))
}

/// The secret that a store had is good no more: by its hash.
///
/// # Errors
/// Postgres is away.
pub async fn drop_secret(tx: &Transaction<'_>, old: &[u8]) -> Result<(), Problem> {
    let drop = tx
        .prepare_cached("SELECT hq_lookup_drop('store', $1)")
        .await?;
    tx.execute(&drop, &[&old]).await?;
    Ok(())
}

async fn let_in(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    enrol: &Enrol,
    (now, from): (Timestamp, IpAddr),
) -> Result<Enrolled, Problem> {
    let (tenant, store) = (caller.tenant.0, caller.store);
    let select = tx
        .prepare_cached(
            "SELECT s.name, t.name, s.key_hash, s.joined_at IS NOT NULL, s.retired_at IS NOT NULL
             FROM stores s JOIN tenants t ON t.tenant_id = s.tenant_id
             WHERE s.tenant_id = $1 AND s.store_id = $2",
        )
        .await?;
    let row = tx.query_one(&select, &[&tenant, &store]).await?;
    if row.get(4) {
        return Err(Problem::new(
            Code::Conflict,
            "the store that this code is for was retired at head office",
        ));
    }
    let (name, is_again): (String, bool) = (row.get(0), row.get(3));
    if let Some(old) = row.get::<_, Option<&[u8]>>(2) {
        drop_secret(tx, old).await?;
    }
    let secret = Secret::new(SECRET_PREFIX)?;
    let key_hash = secret.hash();
    lookup_put(tx, "store", &key_hash, store).await?;
    // What was selling when the store first joined is what counts.
    let selling = |environment| {
        let mut tills = enrol.tills.iter();
        tills.any(|till| till.till.environment == environment && till.last_global_no > 0)
    };
    let update = tx
        .prepare_cached(
            "UPDATE stores SET key_hash = $3, seal_key = $4, joined_at = $5,
               was_selling_test = CASE WHEN $8 THEN was_selling_test ELSE $6 END,
               was_selling_prod = CASE WHEN $8 THEN was_selling_prod ELSE $7 END
             WHERE tenant_id = $1 AND store_id = $2",
        )
        .await?;
    tx.execute(
        &update,
        &[
            &tenant,
            &store,
            &key_hash.as_slice(),
            &enrol.seal_key,
            &now,
            &selling(Environment::Test),
            &selling(Environment::Prod),
            &is_again,
        ],
    )
    .await?;
    let past = begin(tx, caller, now).await?;
    let mut deeds = Deeds::of(format!("store:{name}"));
    tills(tx, caller, &mut deeds, enrol, now).await?;
    deeds.note(
        if is_again {
            "store.join_again"
        } else {
            "store.join"
        },
        format!("store {store}"),
        serde_json::json!({ "version": super::batch::plain(enrol.version.clone()), "from": from.to_string() }),
    );
    deeds.write(tx, caller.tenant, now).await?;
    Ok(Enrolled {
        store_id: store,
        tenant_id: tenant,
        tenant: row.get(1),
        store: name,
        secret: secret.reveal().to_owned(),
        tills: expected(tx, caller).await?,
        past,
    })
}

/// The store's cursor: made, or where it is.
async fn begin(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    now: Timestamp,
) -> Result<Option<Past>, Problem> {
    let insert = tx
        .prepare_cached(
            "INSERT INTO store_cursors (tenant_id, store_id, epoch_no, epoch, acked, hash, last_seen_at)
             VALUES ($1, $2, 0, $3, 0, $4, $5)
             ON CONFLICT (tenant_id, store_id) DO UPDATE SET last_seen_at = excluded.last_seen_at
             RETURNING epoch_no, epoch, acked, hash",
        )
        .await?;
    let start = ChainHash::START.0.as_slice();
    let row = tx
        .query_one(
            &insert,
            &[&caller.tenant.0, &caller.store, &Uuid::nil(), &start, &now],
        )
        .await?;
    let hash: &[u8] = row.get(3);
    Ok((row.get::<_, i32>(0) > 0).then(|| Past {
        epoch: row.get(1),
        acked: row.get(2),
        hash: ChainHash::from_bytes(hash).unwrap_or_default(),
    }))
}

/// Tills that the store has already.
async fn tills(
    tx: &Transaction<'_>,
    caller: StoreCaller,
    deeds: &mut Deeds,
    enrol: &Enrol,
    now: Timestamp,
) -> Result<(), Problem> {
    let mut devices = Devices::of(tx, caller).await?;
    let fits =
        |till: &sync_wire::TillRef| till.device_id > 0 && i32::try_from(till.device_id).is_ok();
    if let Some(wrong) = enrol.tills.iter().position(|known| !fits(&known.till)) {
        return Err(Problem::field(
            format!("/tills/{wrong}/deviceID"),
            "this is no deviceID",
        ));
    }
    let known = enrol.tills.iter().map(|till| Known {
        till: till.till,
        serial_no: String::new(),
        model_name: String::new(),
        model_version: String::new(),
        invoice_prefix: till.invoice_prefix.clone(),
    });
    devices.learn(tx, caller, deeds, known, now).await?;
    Ok(())
}

/// The tills that head office expects in the store.
async fn expected(tx: &Transaction<'_>, caller: StoreCaller) -> Result<Vec<ExpectedTill>, Problem> {
    let select = tx
        .prepare_cached(
            "SELECT environment, device_id, serial_no, invoice_prefix, machine_name FROM fdms_devices
             WHERE tenant_id = $1 AND store_id = $2 AND state <> 'retired' ORDER BY environment, device_id",
        )
        .await?;
    let rows = tx
        .query(&select, &[&caller.tenant.0, &caller.store])
        .await?;
    let tills = rows.iter().filter_map(|row| {
        Some(ExpectedTill {
            till: till_of(row.get(0), row.get(1))?,
            serial_no: row.get(2),
            invoice_prefix: row.get(3),
            machine_name: row.get(4),
        })
    });
    Ok(tills.collect())
}

async fn lookup_put(
    tx: &Transaction<'_>,
    kind: &str,
    hash: &[u8],
    id: Uuid,
) -> Result<(), Problem> {
    let put = tx
        .prepare_cached("SELECT hq_lookup_put($1, $2, $3)")
        .await?;
    tx.execute(&put, &[&kind, &hash, &id]).await?;
    Ok(())
}

/// A code as it was meant: capitals, without what was put between them.
fn letters(code: &str) -> String {
    let letters = code.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|letter| letter.to_ascii_uppercase()).collect()
}

fn random_code() -> Result<String, Problem> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(|error| Problem::defect(&error))?;
    let mut code = String::new();
    for (index, byte) in bytes.into_iter().enumerate() {
        if index > 0 && index % 4 == 0 {
            code.push('-');
        }
        let letter = LETTERS.get(usize::from(byte % 32)).copied();
        code.extend(letter.map(char::from));
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A code is read back however it is typed, and no two are the same.
    #[test]
    fn codes_are_read_back() {
        let code = random_code().unwrap();
        assert_eq!(code.len(), LENGTH + LENGTH / 4 - 1);
        assert_eq!(
            letters(&code.to_lowercase().replace('-', " ")),
            letters(&code)
        );
        assert_ne!(random_code().unwrap(), code);
    }
}
