//! `/session`: signing in and out, and what somebody does to his own account.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use clock::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::access::sessions::{self, NewSession};
use crate::access::sign_in::{self, SignedIn};
use crate::access::{Caller, ClientAddress, Role, forgot, same_origin, totp, users};
use crate::db;
use crate::hq::{Hq, SharedHq};
use crate::problem::{Body, Problem};

/// Who wants in.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignIn {
    /// His email.
    email: String,
    /// His password.
    password: String,
    /// The digits of his second factor, or a recovery code, if he knows that they are asked for.
    #[serde(default)]
    digits: Option<String>,
}

/// The second step.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SecondStep {
    /// What the first step has answered.
    ticket: String,
    /// The digits of his second factor, or a recovery code.
    digits: String,
}

/// A session has begun: the cookie is in the header.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Begun {
    /// What writes must carry as `X-CSRF-Token`.
    csrf: String,
    /// Until when at most.
    #[schema(value_type = String, format = "date-time")]
    expires_at: Timestamp,
}

/// The password is right; the digits are missing.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct NeedsDigits {
    /// For `/session/second_step`, good for five minutes.
    ticket: String,
}

/// Who is calling.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Current {
    /// As the audit names him.
    actor: String,
    /// What he may do.
    role: Role,
    /// The tenant that he belongs to.
    #[schema(value_type = String, format = "uuid")]
    home: Uuid,
    /// The tenant that this request is about.
    #[schema(value_type = String, format = "uuid")]
    tenant: Uuid,
    /// Whether he may name other tenants.
    operator: bool,
    /// What writes must carry as `X-CSRF-Token`; empty for a token.
    csrf: String,
}

/// Who has forgotten his password.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Forgot {
    /// His email.
    email: String,
}

/// A code becomes a password.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TakeUp {
    /// The invitation, or the code for a new password.
    code: String,
    /// The password: at least twelve characters.
    password: String,
}

/// Another password.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangePassword {
    /// The present one.
    password: String,
    /// The new one.
    new_password: String,
}

/// The password once more.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OnceMore {
    /// The present password.
    password: String,
}

/// The password and the digits once more.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BothOnceMore {
    /// The present password.
    password: String,
    /// What the app shows now, or a recovery code.
    digits: String,
}

/// The digits.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Digits {
    /// What the app shows now.
    digits: String,
}

/// A second factor in the making.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct Enrolment {
    /// To be typed into the app.
    secret: String,
    /// For the app.
    uri: String,
    /// For the app's camera: SVG.
    qr_svg: String,
}

/// The codes for a lost phone, shown once.
#[derive(Serialize, utoipa::ToSchema)]
pub(super) struct RecoveryCodes {
    /// Each good once, instead of the digits.
    recovery_codes: Vec<String>,
}

/// Signs in.
#[utoipa::path(
    post,
    path = "/session",
    tag = "access",
    operation_id = "signIn",
    security(()),
    request_body = SignIn,
    responses(
        (status = 201, description = "He is in: the cookie is in Set-Cookie.", body = Begun),
        (status = 202, description = "The digits are missing.", body = NeedsDigits),
        (status = "default", description = "Not.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn begin(
    State(hq): State<SharedHq>,
    ClientAddress(from): ClientAddress,
    headers: HeaderMap,
    Body(asked): Body<SignIn>,
) -> Result<Response, Problem> {
    same_origin(&headers, &hq)?;
    let digits = asked.digits.as_deref();
    let signed_in = sign_in::sign_in(&hq, from, &asked.email, asked.password, digits).await?;
    Ok(match signed_in {
        SignedIn::Session(session) => begun(&hq, &session),
        SignedIn::NeedsDigits(ticket) => {
            (StatusCode::ACCEPTED, Json(NeedsDigits { ticket })).into_response()
        }
    })
}

/// Signs in: the second step.
#[utoipa::path(
    post,
    path = "/session/second_step",
    tag = "access",
    operation_id = "signInSecondStep",
    security(()),
    request_body = SecondStep,
    responses(
        (status = 201, description = "He is in: the cookie is in Set-Cookie.", body = Begun),
        (status = "default", description = "Not.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn second_step(
    State(hq): State<SharedHq>,
    ClientAddress(from): ClientAddress,
    headers: HeaderMap,
    Body(asked): Body<SecondStep>,
) -> Result<Response, Problem> {
    same_origin(&headers, &hq)?;
    let session = sign_in::second_step(&hq, from, &asked.ticket, &asked.digits).await?;
    Ok(begun(&hq, &session))
}

fn begun(hq: &Hq, session: &NewSession) -> Response {
    let body = Begun {
        csrf: session.csrf.reveal().to_owned(),
        expires_at: session.expires_at,
    };
    let cookie = [(header::SET_COOKIE, sessions::set_cookie(hq, session))];
    (StatusCode::CREATED, cookie, Json(body)).into_response()
}

/// Who is calling, and for which tenant.
#[utoipa::path(
    get,
    path = "/session",
    tag = "access",
    operation_id = "whoAmI",
    responses(
        (status = 200, description = "He.", body = Current),
        (status = "default", description = "Not.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn current(caller: Caller) -> Json<Current> {
    Json(Current {
        csrf: caller.csrf().to_owned(),
        role: caller.role,
        home: caller.home.0,
        tenant: caller.tenant.0,
        operator: caller.is_operator,
        actor: caller.actor,
    })
}

/// Signs out.
#[utoipa::path(
    delete,
    path = "/session",
    tag = "access",
    operation_id = "signOut",
    responses(
        (status = 204, description = "Out."),
        (status = "default", description = "Not.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn end(State(hq): State<SharedHq>, caller: Caller) -> Result<Response, Problem> {
    let (user, _, session) = caller.person()?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.home).await?;
    sessions::end(&tx, &caller.own(hq.now()), user, session).await?;
    tx.commit().await?;
    Ok(out(&hq))
}

/// Signs out everywhere.
#[utoipa::path(
    post,
    path = "/session/end_all",
    tag = "access",
    operation_id = "signOutEverywhere",
    responses(
        (status = 204, description = "Out, wherever he was."),
        (status = "default", description = "Not.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn end_all(
    State(hq): State<SharedHq>,
    caller: Caller,
) -> Result<Response, Problem> {
    let (user, _, _) = caller.person()?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.home).await?;
    sessions::end_all(&tx, &caller.own(hq.now()), user).await?;
    tx.commit().await?;
    Ok(out(&hq))
}

fn out(hq: &Hq) -> Response {
    let cookie = [(header::SET_COOKIE, sessions::clear_cookie(hq))];
    (StatusCode::NO_CONTENT, cookie).into_response()
}

/// Asks for a link by mail with which a forgotten password is chosen anew.
///
/// The answer is the same whether anybody has the email.
#[utoipa::path(
    post,
    path = "/session/forgot",
    tag = "access",
    operation_id = "forgotPassword",
    security(()),
    request_body = Forgot,
    responses(
        (status = 202, description = "If the email has an account, a link is on its way: good once, for a day."),
        (status = 409, description = "This service sends no mail.", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "Not.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn forgot(
    State(hq): State<SharedHq>,
    ClientAddress(from): ClientAddress,
    headers: HeaderMap,
    Body(asked): Body<Forgot>,
) -> Result<StatusCode, Problem> {
    same_origin(&headers, &hq)?;
    forgot::ask(&hq, from, &asked.email).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Takes up an invitation, or chooses a new password with a code.
#[utoipa::path(
    post,
    path = "/session/take_up",
    tag = "access",
    operation_id = "takeUp",
    security(()),
    request_body = TakeUp,
    responses(
        (status = 204, description = "It is the password now: sign in with it."),
        (status = "default", description = "Not.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn take_up(
    State(hq): State<SharedHq>,
    ClientAddress(from): ClientAddress,
    headers: HeaderMap,
    Body(asked): Body<TakeUp>,
) -> Result<StatusCode, Problem> {
    same_origin(&headers, &hq)?;
    users::take_up(&hq, Some(from), &asked.code, asked.password).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Changes one's own password; all sessions end.
#[utoipa::path(
    post,
    path = "/session/password",
    tag = "access",
    operation_id = "changePassword",
    request_body = ChangePassword,
    responses(
        (status = 204, description = "Changed: sign in with it."),
        (status = "default", description = "Not.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn change_password(
    State(hq): State<SharedHq>,
    ClientAddress(from): ClientAddress,
    caller: Caller,
    Body(asked): Body<ChangePassword>,
) -> Result<Response, Problem> {
    sign_in::change_password(&hq, from, &caller, asked.password, asked.new_password).await?;
    Ok(out(&hq))
}

/// Begins to set up one's own second factor.
#[utoipa::path(
    post,
    path = "/session/second_factor",
    tag = "access",
    operation_id = "secondFactor",
    request_body = OnceMore,
    responses(
        (status = 201, description = "For the app; it counts when its digits are confirmed.", body = Enrolment),
        (status = "default", description = "Not.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn second_factor(
    State(hq): State<SharedHq>,
    ClientAddress(from): ClientAddress,
    caller: Caller,
    Body(asked): Body<OnceMore>,
) -> Result<(StatusCode, Json<Enrolment>), Problem> {
    let (user, email, _) = caller.person()?;
    sign_in::once_more(&hq, from, &caller, asked.password).await?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.home).await?;
    let shown = totp::begin(&tx, &hq, &caller.own(hq.now()), user, email).await?;
    tx.commit().await?;
    let shown = Enrolment {
        secret: shown.secret.to_string(),
        uri: shown.uri.to_string(),
        qr_svg: shown.qr_svg.to_string(),
    };
    Ok((StatusCode::CREATED, Json(shown)))
}

/// Confirms the second factor with the app's digits; all other sessions end, for they began without it.
#[utoipa::path(
    post,
    path = "/session/second_factor/confirm",
    tag = "access",
    operation_id = "confirmSecondFactor",
    request_body = Digits,
    responses(
        (status = 200, description = "From now on the digits are asked for.", body = RecoveryCodes),
        (status = "default", description = "Not.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn confirm_second_factor(
    State(hq): State<SharedHq>,
    caller: Caller,
    Body(asked): Body<Digits>,
) -> Result<Json<RecoveryCodes>, Problem> {
    let (user, _, session) = caller.person()?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.home).await?;
    let by = caller.own(hq.now());
    let codes = totp::confirm(&tx, &hq, &by, user, &asked.digits).await?;
    sessions::end_others(&tx, &by, user, session).await?;
    tx.commit().await?;
    let recovery_codes = codes.iter().map(|code| code.to_string()).collect();
    Ok(Json(RecoveryCodes { recovery_codes }))
}

/// Removes one's own second factor: with the password, and with its digits or a recovery code.
#[utoipa::path(
    post,
    path = "/session/second_factor/remove",
    tag = "access",
    operation_id = "removeOwnSecondFactor",
    request_body = BothOnceMore,
    responses(
        (status = 204, description = "Removed."),
        (status = "default", description = "Not.", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn remove_second_factor(
    State(hq): State<SharedHq>,
    ClientAddress(from): ClientAddress,
    caller: Caller,
    Body(asked): Body<BothOnceMore>,
) -> Result<StatusCode, Problem> {
    sign_in::remove_second_factor(&hq, from, &caller, asked.password, &asked.digits).await?;
    Ok(StatusCode::NO_CONTENT)
}
