//! People: invited with a code, who then choose a password; their role; closing an account.
//!
//! An email is known once in the whole installation, for it alone is what somebody signs in with.

use std::net::IpAddr;
use std::time::Duration;

use clock::Timestamp;
use deadpool_postgres::Transaction;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::caller::{look_up, role_of};
use super::secret::{Secret, hash};
use super::sessions::{drop_lookup, drop_where, put_lookup};
use super::{By, Role, password, tokens};
use crate::db::{self, TenantId};
use crate::hq::Hq;
use crate::problem::{Code, Problem};

/// How long an invitation is good.
const INVITATION: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long the code for a new password is good.
const RESET: Duration = Duration::from_secs(24 * 60 * 60);
/// How codes begin.
const PREFIX: &str = "fhqu_";

/// What a one-time code is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CodeKind {
    /// The first password.
    Invitation,
    /// Another password.
    Reset,
}

impl CodeKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Invitation => "invitation",
            Self::Reset => "reset",
        }
    }

    const fn good_for(self) -> Duration {
        match self {
            Self::Invitation => INVITATION,
            Self::Reset => RESET,
        }
    }
}

/// A one-time code, shown once; `/session/take_up` turns it into a password.
#[derive(Debug)]
pub struct OneTime {
    /// The code.
    pub code: Secret,
    /// What for.
    pub kind: CodeKind,
    /// Until when.
    pub expires_at: Timestamp,
}

/// A user, as admins see him.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct User {
    /// His name for ever.
    #[schema(value_type = String, format = "uuid")]
    pub user_id: Uuid,
    /// What he signs in with.
    pub email: String,
    /// His name.
    pub name: String,
    /// What he may do.
    pub role: Role,
    /// `invited`, `active` or `disabled`.
    pub state: &'static str,
    /// Whether his digits are asked for.
    pub second_factor: bool,
    /// Since when.
    #[schema(value_type = String, format = "date-time")]
    pub created_at: Timestamp,
    /// When he last signed in.
    #[schema(value_type = Option<String>, format = "date-time")]
    pub last_seen_at: Option<Timestamp>,
}

/// What is changed of a user; what is not named stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// His name.
    pub name: Option<String>,
    /// What he may do.
    pub role: Option<Role>,
    /// Whether his account is closed.
    pub disabled: Option<bool>,
}

/// An email as it is kept and compared.
#[must_use]
pub fn normal_email(email: &str) -> String {
    email.trim().to_ascii_lowercase()
}

fn checked_email(email: &str) -> Result<String, Problem> {
    let email = normal_email(email);
    let is_one = email.len() <= 254
        && email.bytes().all(|byte| byte.is_ascii_graphic())
        && email.split_once('@').is_some_and(|(name, host)| {
            !name.is_empty()
                && !host.contains('@')
                && host.split('.').filter(|part| !part.is_empty()).count() >= 2
        });
    if is_one {
        return Ok(email);
    }
    Err(Problem::field(
        "/email",
        "this is no email address such as rudo@shop.example",
    ))
}

fn checked_name(name: &str) -> Result<&str, Problem> {
    let name = name.trim();
    let is_one = (1..=200).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    is_one
        .then_some(name)
        .ok_or_else(|| Problem::field("/name", "a name has 1 to 200 characters"))
}

/// Makes a user who can sign in once he has taken up his invitation; who he is, and the code.
///
/// # Errors
/// The email or the name is none, or the email is known already.
pub async fn invite(
    tx: &Transaction<'_>,
    by: &By<'_>,
    email: &str,
    name: &str,
    role: Role,
) -> Result<(Uuid, OneTime), Problem> {
    let email = checked_email(email)?;
    let name = checked_name(name)?;
    let user = Uuid::new_v4();
    match put_lookup(tx, "login", &hash(&email), user).await {
        Err(error) if error.is_duplicate() => {
            let mut problem = Problem::new(
                Code::Conflict,
                "this email address is in use already: take another one, or ask whoever runs this service",
            );
            problem.pointer = Some("/email".to_owned());
            return Err(problem);
        }
        other => other?,
    }
    let insert = tx
        .prepare_cached(
            "INSERT INTO users (tenant_id, user_id, email, name, role, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .await?;
    tx.execute(
        &insert,
        &[&by.tenant.0, &user, &email, &name, &role.as_str(), &by.now],
    )
    .await?;
    let after = json!({ "user_id": user, "name": name, "role": role });
    by.record(tx, "user.invite", &subject(&email), None, Some(after))
        .await?;
    let code = make_code(tx, by, user, CodeKind::Invitation).await?;
    Ok((user, code))
}

/// A new one-time code for a user: an invitation while he has no password, else for another password. Earlier
/// codes are not good any more.
///
/// # Errors
/// There is no such user, or his account is closed.
pub async fn renew_code(tx: &Transaction<'_>, by: &By<'_>, user: Uuid) -> Result<OneTime, Problem> {
    let read = tx
        .prepare_cached(
            "SELECT email, password_hash IS NOT NULL, disabled_at IS NOT NULL FROM users
             WHERE tenant_id = $1 AND user_id = $2 FOR UPDATE",
        )
        .await?;
    let row = tx.query_opt(&read, &[&by.tenant.0, &user]).await?;
    let row = row.ok_or_else(|| Problem::not_found("user"))?;
    let (email, has_password, is_closed): (String, bool, bool) =
        (row.get(0), row.get(1), row.get(2));
    if is_closed {
        return Err(Problem::new(
            Code::Conflict,
            "the account is closed: open it first",
        ));
    }
    let kind = if has_password {
        CodeKind::Reset
    } else {
        CodeKind::Invitation
    };
    let code = make_code(tx, by, user, kind).await?;
    let after = json!({ "kind": kind, "expires_at": code.expires_at });
    by.record(tx, "user.code", &subject(&email), None, Some(after))
        .await?;
    Ok(code)
}

/// The email of an account that is open, and whether it has a password.
pub(super) async fn reached(
    tx: &Transaction<'_>,
    tenant: TenantId,
    user: Uuid,
) -> Result<Option<(String, bool)>, Problem> {
    let read = tx
        .prepare_cached(
            "SELECT email, password_hash IS NOT NULL FROM users
             WHERE tenant_id = $1 AND user_id = $2 AND disabled_at IS NULL",
        )
        .await?;
    let row = tx.query_opt(&read, &[&tenant.0, &user]).await?;
    Ok(row.map(|row| (row.get(0), row.get(1))))
}

async fn make_code(
    tx: &Transaction<'_>,
    by: &By<'_>,
    user: Uuid,
    kind: CodeKind,
) -> Result<OneTime, Problem> {
    spend_codes(tx, by.tenant, user, by.now).await?;
    let code = Secret::new(PREFIX)?;
    let id = Uuid::new_v4();
    let expires_at = by.now.saturating_add(kind.good_for()).unwrap_or(by.now);
    let insert = tx
        .prepare_cached(
            "INSERT INTO user_codes (tenant_id, code_id, user_id, kind, key_hash, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .await?;
    tx.execute(
        &insert,
        &[
            &by.tenant.0,
            &id,
            &user,
            &kind.as_str(),
            &code.hash(),
            &expires_at,
        ],
    )
    .await?;
    put_lookup(tx, "user_code", &code.hash(), id).await?;
    Ok(OneTime {
        code,
        kind,
        expires_at,
    })
}

async fn spend_codes(
    tx: &Transaction<'_>,
    tenant: TenantId,
    user: Uuid,
    now: Timestamp,
) -> Result<(), Problem> {
    let spend = tx
        .prepare_cached(
            "WITH spent AS (
               UPDATE user_codes SET used_at = $3
               WHERE tenant_id = $1 AND user_id = $2 AND kind <> 'recovery' AND used_at IS NULL
               RETURNING key_hash)
             SELECT hq_lookup_drop('user_code', key_hash) FROM spent",
        )
        .await?;
    tx.query(&spend, &[&tenant.0, &user, &now]).await?;
    Ok(())
}

/// Turns a one-time code into a password. All sessions of the user end; a second factor stays.
///
/// # Errors
/// The code is not good any more, or the password is not one.
pub async fn take_up(
    hq: &Hq,
    from: Option<IpAddr>,
    code: &str,
    new_password: String,
) -> Result<(), Problem> {
    let over = || {
        Problem::field(
            "/code",
            "this code is not good any more: ask an admin of your company for a new one",
        )
    };
    let key = hash(code.trim());
    let (tenant, id) = look_up(hq, "user_code", &key).await?.ok_or_else(over)?;
    let now = hq.now();
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, tenant).await?;
    let read = tx
        .prepare_cached(
            "SELECT c.user_id, u.email FROM user_codes c
               JOIN users u ON u.tenant_id = c.tenant_id AND u.user_id = c.user_id
             WHERE c.tenant_id = $1 AND c.code_id = $2 AND c.key_hash = $3 AND c.used_at IS NULL
               AND c.expires_at > $4 AND u.disabled_at IS NULL",
        )
        .await?;
    let row = tx
        .query_opt(&read, &[&tenant.0, &id, &key, &now])
        .await?
        .ok_or_else(over)?;
    let (user, email): (Uuid, String) = (row.get(0), row.get(1));
    tx.commit().await?;
    password::check(&new_password, &email, "/password")?;
    let kept = password::hashed(new_password).await?;
    let tx = db::tenant(&mut client, tenant).await?;
    // Good once, whoever is quicker.
    let use_up = tx
        .prepare_cached(
            "UPDATE user_codes SET used_at = $4 WHERE tenant_id = $1 AND code_id = $2 AND key_hash = $3 AND used_at IS NULL",
        )
        .await?;
    if tx.execute(&use_up, &[&tenant.0, &id, &key, &now]).await? == 0 {
        return Err(over());
    }
    drop_lookup(&tx, "user_code", &key).await?;
    let actor = actor(tenant, &email);
    let by = By {
        tenant,
        actor: &actor,
        now,
        from,
    };
    set_password(&tx, &by, user, &email, &kept).await?;
    tx.commit().await?;
    Ok(())
}

/// Gives a user another password; all his sessions end.
pub(super) async fn set_password(
    tx: &Transaction<'_>,
    by: &By<'_>,
    user: Uuid,
    email: &str,
    kept: &str,
) -> Result<(), Problem> {
    let write = tx
        .prepare_cached("UPDATE users SET password_hash = $3 WHERE tenant_id = $1 AND user_id = $2")
        .await?;
    tx.execute(&write, &[&by.tenant.0, &user, &kept]).await?;
    spend_codes(tx, by.tenant, user, by.now).await?;
    drop_where(tx, by.tenant, user, None, None).await?;
    by.record(tx, "password.set", &subject(email), None, None)
        .await?;
    Ok(())
}

/// Makes sure that there is such a user in the tenant.
///
/// # Errors
/// There is none.
pub async fn known(tx: &Transaction<'_>, tenant: TenantId, user: Uuid) -> Result<(), Problem> {
    let read = tx
        .prepare_cached("SELECT 1 FROM users WHERE tenant_id = $1 AND user_id = $2")
        .await?;
    let row = tx.query_opt(&read, &[&tenant.0, &user]).await?;
    row.map(|_| ()).ok_or_else(|| Problem::not_found("user"))
}

/// All users of a tenant, by email.
///
/// # Errors
/// Postgres is away.
pub async fn list(tx: &Transaction<'_>, tenant: TenantId) -> Result<Vec<User>, Problem> {
    let read = tx
        .prepare_cached(
            "SELECT user_id, email, name, role, password_hash IS NOT NULL, disabled_at IS NOT NULL,
               totp_secret IS NOT NULL, created_at, last_seen_at
             FROM users WHERE tenant_id = $1 ORDER BY email",
        )
        .await?;
    let rows = tx.query(&read, &[&tenant.0]).await?;
    rows.iter()
        .map(|row| {
            Ok(User {
                user_id: row.get(0),
                email: row.get(1),
                name: row.get(2),
                role: role_of(row, 3)?,
                state: match (row.get(5), row.get(4)) {
                    (true, _) => "disabled",
                    (false, true) => "active",
                    (false, false) => "invited",
                },
                second_factor: row.get(6),
                created_at: row.get(7),
                last_seen_at: row.get(8),
            })
        })
        .collect()
}

/// Changes a user. A closed account's sessions end; the last admin stays one. The tokens that he has made go with his
/// account, and with his role those that may more than he still may.
///
/// # Errors
/// There is no such user, nothing is changed, or nobody could administer the tenant any more.
pub async fn change(
    tx: &Transaction<'_>,
    by: &By<'_>,
    user: Uuid,
    change: &Change,
) -> Result<(), Problem> {
    if *change == Change::default() {
        return Err(Problem::field("", "nothing is changed by this"));
    }
    let name = change.name.as_deref().map(checked_name).transpose()?;
    // All admins are locked, so that two cannot demote each other at the same time.
    let lock = tx
        .prepare_cached(
            "SELECT user_id FROM users WHERE tenant_id = $1 AND role = 'admin' AND disabled_at IS NULL
               AND password_hash IS NOT NULL ORDER BY user_id FOR UPDATE",
        )
        .await?;
    let admins = tx.query(&lock, &[&by.tenant.0]).await?;
    let admins: Vec<Uuid> = admins.iter().map(|row| row.get(0)).collect();
    let read = tx
        .prepare_cached(
            "SELECT email, name, role, disabled_at IS NOT NULL FROM users
             WHERE tenant_id = $1 AND user_id = $2 FOR UPDATE",
        )
        .await?;
    let row = tx.query_opt(&read, &[&by.tenant.0, &user]).await?;
    let row = row.ok_or_else(|| Problem::not_found("user"))?;
    let (email, old_name, old_role, was_closed): (String, String, Role, bool) =
        (row.get(0), row.get(1), role_of(&row, 2)?, row.get(3));
    let role = change.role.unwrap_or(old_role);
    let is_closed = change.disabled.unwrap_or(was_closed);
    let stays_admin = role == Role::Admin && !is_closed;
    if !stays_admin && admins == [user] {
        return Err(Problem::new(
            Code::Conflict,
            "this is the last admin: make another one first",
        ));
    }
    let write = tx
        .prepare_cached(
            "UPDATE users SET name = $3, role = $4,
               disabled_at = CASE WHEN $5 THEN coalesce(disabled_at, $6) END
             WHERE tenant_id = $1 AND user_id = $2",
        )
        .await?;
    let name = name.unwrap_or(&old_name);
    tx.execute(
        &write,
        &[
            &by.tenant.0,
            &user,
            &name,
            &role.as_str(),
            &is_closed,
            &by.now,
        ],
    )
    .await?;
    if is_closed {
        drop_where(tx, by.tenant, user, None, None).await?;
        spend_codes(tx, by.tenant, user, by.now).await?;
    }
    let gone: Vec<Role> = Role::ALL
        .into_iter()
        .filter(|made| is_closed || *made > role)
        .collect();
    tokens::revoke_made_by(tx, by, &actor(by.tenant, &email), &gone).await?;
    let before = json!({ "name": old_name, "role": old_role, "disabled": was_closed });
    let after = json!({ "name": name, "role": role, "disabled": is_closed });
    by.record(
        tx,
        "user.change",
        &subject(&email),
        Some(before),
        Some(after),
    )
    .await?;
    Ok(())
}

/// As the audit names somebody who is signed in.
pub(super) fn actor(tenant: TenantId, email: &str) -> String {
    let kind = if tenant == TenantId::OPERATOR {
        "operator"
    } else {
        "user"
    };
    format!("{kind}:{email}")
}

fn subject(email: &str) -> String {
    format!("user {email}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is an email is kept in one way; what is none is refused with its place.
    #[test]
    fn emails() {
        assert_eq!(
            checked_email(" Rudo@Shop.Example ").unwrap(),
            "rudo@shop.example"
        );
        for bad in [
            "",
            "rudo",
            "@shop.example",
            "rudo@shop",
            "ru do@shop.example",
            "a@b@c.example",
            "rüdo@shop.example",
        ] {
            let problem = checked_email(bad).unwrap_err();
            assert_eq!(problem.pointer.as_deref(), Some("/email"), "{bad}");
        }
    }
}
