//! `/users`, `/tokens` and `/tenants`.
//!
//! Who gets in is decided by people: a token makes no users, no codes and no tokens, else whoever once had one could
//! keep a way in.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use clock::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::access::tenants::{self, Tenant};
use crate::access::tokens::{self, Token};
use crate::access::users::{self, Change, CodeKind, OneTime, User};
use crate::access::{Caller, Role, forgot, sessions, totp};
use crate::db;
use crate::hq::SharedHq;
use crate::problem::{At, Body, Problem};

/// Somebody new.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Invite {
    /// What he will sign in with; known once in the whole installation.
    email: String,
    /// His name.
    name: String,
    /// What he may do.
    role: Role,
}

/// A code, shown once. He takes it to `/session/take_up`.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct UserCode {
    /// Whose.
    #[schema(value_type = String, format = "uuid")]
    user_id: Uuid,
    /// What for.
    kind: CodeKind,
    /// The code.
    code: String,
    /// Until when it is good.
    #[schema(value_type = String, format = "date-time")]
    expires_at: Timestamp,
    /// Whether a mail with a link is on its way to him: where the service sends mail.
    mailed: bool,
}

/// What is changed of a user.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeUser {
    /// His name.
    #[serde(default)]
    name: Option<String>,
    /// What he may do.
    #[serde(default)]
    role: Option<Role>,
    /// Whether his account is closed.
    #[serde(default)]
    disabled: Option<bool>,
}

/// A token to be made.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateToken {
    /// What it is called in the audit.
    name: String,
    /// What it may do.
    role: Role,
    /// Until when it is good; none: until it is revoked.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "date-time")]
    expires_at: Option<Timestamp>,
}

/// A new token, shown once.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct NewToken {
    /// Its name for ever.
    #[schema(value_type = String, format = "uuid")]
    token_id: Uuid,
    /// The token itself.
    token: String,
}

/// A tenant to be made.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateTenant {
    /// Its name for people.
    name: String,
}

/// A new tenant.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct NewTenant {
    /// Its name for ever.
    #[schema(value_type = String, format = "uuid")]
    tenant_id: Uuid,
}

/// Shows the code, and mails it where mail is sent.
fn shown(hq: &SharedHq, user_id: Uuid, email: String, made: OneTime) -> Json<UserCode> {
    let shown = UserCode {
        user_id,
        kind: made.kind,
        code: made.code.reveal().to_owned(),
        expires_at: made.expires_at,
        mailed: hq.outbound.sends_mail(),
    };
    forgot::send(hq, email, user_id, made);
    Json(shown)
}

/// All users of the tenant.
#[utoipa::path(
    get,
    path = "/users",
    tag = "access",
    operation_id = "users",
    responses(
        (status = 200, description = "All, by email.", body = Vec<User>),
        (status = "default", description = "Not.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn users(
    State(hq): State<SharedHq>,
    caller: Caller,
) -> Result<Json<Vec<User>>, Problem> {
    caller.at_least(Role::Admin)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let all = users::list(&tx, caller.tenant).await?;
    tx.commit().await?;
    Ok(Json(all))
}

/// Makes a user, with an invitation.
#[utoipa::path(
    post,
    path = "/users",
    tag = "access",
    operation_id = "inviteUser",
    request_body = Invite,
    responses(
        (status = 201, description = "Made; the code is shown once.", body = UserCode),
        (status = "default", description = "Not.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn invite(
    State(hq): State<SharedHq>,
    caller: Caller,
    Body(asked): Body<Invite>,
) -> Result<(StatusCode, Json<UserCode>), Problem> {
    caller.at_least(Role::Admin)?;
    caller.person()?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let by = caller.by(hq.now());
    let (user, made) = users::invite(&tx, &by, &asked.email, &asked.name, asked.role).await?;
    tx.commit().await?;
    let email = users::normal_email(&asked.email);
    Ok((StatusCode::CREATED, shown(&hq, user, email, made)))
}

/// Changes a user's name or role, closes or opens his account.
#[utoipa::path(
    patch,
    path = "/users/{user}",
    tag = "access",
    operation_id = "changeUser",
    params(("user" = String, Path, description = "Which.", format = "uuid")),
    request_body = ChangeUser,
    responses(
        (status = 204, description = "Changed."),
        (status = "default", description = "Not.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn change_user(
    State(hq): State<SharedHq>,
    caller: Caller,
    At(user): At<Uuid>,
    Body(asked): Body<ChangeUser>,
) -> Result<StatusCode, Problem> {
    caller.at_least(Role::Admin)?;
    let change = Change {
        name: asked.name,
        role: asked.role,
        disabled: asked.disabled,
    };
    // A machine may close an account, no more: it gives nobody anything.
    let closes = Change {
        disabled: Some(true),
        ..Change::default()
    };
    if change != closes {
        caller.person()?;
    }
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    users::change(&tx, &caller.by(hq.now()), user, &change).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a user a new code: an invitation while he has no password, else for a new password.
#[utoipa::path(
    post,
    path = "/users/{user}/code",
    tag = "access",
    operation_id = "renewUserCode",
    params(("user" = String, Path, description = "Which.", format = "uuid")),
    responses(
        (status = 201, description = "Made; the code is shown once. Earlier ones are not good any more.", body = UserCode),
        (status = "default", description = "Not.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn renew_code(
    State(hq): State<SharedHq>,
    caller: Caller,
    At(user): At<Uuid>,
) -> Result<(StatusCode, Json<UserCode>), Problem> {
    caller.at_least(Role::Admin)?;
    caller.person()?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let made = users::renew_code(&tx, &caller.by(hq.now()), user).await?;
    let reached = users::reached(&tx, caller.tenant, user).await?;
    let (email, _) = reached.ok_or_else(|| Problem::not_found("user"))?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, shown(&hq, user, email, made)))
}

/// Ends all sessions of a user.
#[utoipa::path(
    post,
    path = "/users/{user}/end_sessions",
    tag = "access",
    operation_id = "endUserSessions",
    params(("user" = String, Path, description = "Which.", format = "uuid")),
    responses(
        (status = 204, description = "Ended."),
        (status = "default", description = "Not.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn end_sessions(
    State(hq): State<SharedHq>,
    caller: Caller,
    At(user): At<Uuid>,
) -> Result<StatusCode, Problem> {
    caller.at_least(Role::Admin)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    users::known(&tx, caller.tenant, user).await?;
    sessions::end_all(&tx, &caller.by(hq.now()), user).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a user's second factor: his phone is lost, and his recovery codes too.
#[utoipa::path(
    delete,
    path = "/users/{user}/second_factor",
    tag = "access",
    operation_id = "removeSecondFactor",
    params(("user" = String, Path, description = "Which.", format = "uuid")),
    responses(
        (status = 204, description = "Removed; all his sessions have ended."),
        (status = "default", description = "Not.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn remove_second_factor(
    State(hq): State<SharedHq>,
    caller: Caller,
    At(user): At<Uuid>,
) -> Result<StatusCode, Problem> {
    caller.at_least(Role::Admin)?;
    caller.person()?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let by = caller.by(hq.now());
    users::known(&tx, caller.tenant, user).await?;
    totp::remove(&tx, &by, user).await?;
    sessions::end_all(&tx, &by, user).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// All tokens of the tenant.
#[utoipa::path(
    get,
    path = "/tokens",
    tag = "access",
    operation_id = "tokens",
    responses(
        (status = 200, description = "All, the newest first.", body = Vec<Token>),
        (status = "default", description = "Not.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn tokens(
    State(hq): State<SharedHq>,
    caller: Caller,
) -> Result<Json<Vec<Token>>, Problem> {
    caller.at_least(Role::Admin)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let all = tokens::list(&tx, caller.tenant).await?;
    tx.commit().await?;
    Ok(Json(all))
}

/// Makes a token for a machine.
#[utoipa::path(
    post,
    path = "/tokens",
    tag = "access",
    operation_id = "createToken",
    request_body = CreateToken,
    responses(
        (status = 201, description = "Made; it is shown once.", body = NewToken),
        (status = "default", description = "Not.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn create_token(
    State(hq): State<SharedHq>,
    caller: Caller,
    Body(asked): Body<CreateToken>,
) -> Result<(StatusCode, Json<NewToken>), Problem> {
    caller.at_least(Role::Admin)?;
    caller.person()?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    let by = caller.by(hq.now());
    let (token_id, token) =
        tokens::create(&tx, &by, &asked.name, asked.role, asked.expires_at).await?;
    tx.commit().await?;
    let token = token.reveal().to_owned();
    Ok((StatusCode::CREATED, Json(NewToken { token_id, token })))
}

/// Revokes a token.
#[utoipa::path(
    delete,
    path = "/tokens/{token}",
    tag = "access",
    operation_id = "revokeToken",
    params(("token" = String, Path, description = "Which.", format = "uuid")),
    responses(
        (status = 204, description = "Not good any more."),
        (status = "default", description = "Not.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn revoke_token(
    State(hq): State<SharedHq>,
    caller: Caller,
    At(token): At<Uuid>,
) -> Result<StatusCode, Problem> {
    caller.at_least(Role::Admin)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.tenant).await?;
    tokens::revoke(&tx, &caller.by(hq.now()), token).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// All tenants and how they are: the operator alone.
#[utoipa::path(
    get,
    path = "/tenants",
    tag = "access",
    operation_id = "tenants",
    responses(
        (status = 200, description = "All, by name.", body = Vec<Tenant>),
        (status = "default", description = "Not.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn tenants(
    State(hq): State<SharedHq>,
    caller: Caller,
) -> Result<Json<Vec<Tenant>>, Problem> {
    caller.is_the_operator(Role::Viewer)?;
    let mut client = hq.db.client().await?;
    Ok(Json(tenants::list(&mut client).await?))
}

/// Makes a tenant: the operator alone.
#[utoipa::path(
    post,
    path = "/tenants",
    tag = "access",
    operation_id = "createTenant",
    request_body = CreateTenant,
    responses(
        (status = 201, description = "Made.", body = NewTenant),
        (status = "default", description = "Not.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn create_tenant(
    State(hq): State<SharedHq>,
    caller: Caller,
    Body(asked): Body<CreateTenant>,
) -> Result<(StatusCode, Json<NewTenant>), Problem> {
    caller.is_the_operator(Role::Admin)?;
    let tenant = tenants::create(&hq.db, &caller, &asked.name, hq.now()).await?;
    let made = NewTenant {
        tenant_id: tenant.0,
    };
    Ok((StatusCode::CREATED, Json(made)))
}
