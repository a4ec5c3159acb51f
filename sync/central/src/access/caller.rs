//! The caller of a request, found by his cookie or his token.

use std::net::{IpAddr, Ipv4Addr};

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use clock::Timestamp;
use tokio_postgres::Row;
use uuid::Uuid;

use super::secret::hash;
use super::sessions::{self, IDLE, SEEN_EVERY, csrf_of};
use super::tokens::PREFIX;
use super::{Caller, Role, Seen, SeenCaller, Who};
use crate::db::{self, TenantId};
use crate::hq::{Hq, SharedHq};
use crate::problem::{Code, Problem};

/// Longest cookie or token that is looked at.
const MAX_SHOWN: usize = 200;
/// Headers with which other services are told a tenant. Here they mean nothing, so whoever sends one that is not
/// his own tenant is refused rather than misunderstood.
const TENANT_HEADERS: [&str; 4] = ["x-tenant", "x-tenant-id", "x-hq-tenant", "tenant"];

/// Where a request came from: behind a trusted proxy, whom the proxy names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// The field `csrf` of a form, read before the handler.
#[derive(Debug, Clone)]
pub struct FormCsrf(pub String);

impl<S: Send + Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        // Whoever has no address shares one.
        let unknown = Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        Ok(parts.extensions.get().copied().unwrap_or(unknown))
    }
}

impl FromRequestParts<SharedHq> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, hq: &SharedHq) -> Result<Self, Problem> {
        find(parts, hq).await
    }
}

impl OptionalFromRequestParts<SharedHq> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, hq: &SharedHq) -> Result<Option<Self>, Problem> {
        match find(parts, hq).await {
            Ok(caller) => Ok(Some(caller)),
            Err(problem) if problem.code == Code::Unauthenticated => Ok(None),
            Err(problem) => Err(problem),
        }
    }
}

async fn find(parts: &Parts, hq: &Hq) -> Result<Caller, Problem> {
    let seen = parts.extensions.get::<Seen>().cloned().unwrap_or_default();
    let mut caller = if parts.headers.contains_key(header::AUTHORIZATION) {
        let found = by_token(&parts.headers, hq).await;
        match &found {
            Ok(_) => seen.prove(),
            Err(problem) if problem.code == Code::Unauthenticated => seen.guess(),
            Err(_) => {}
        }
        found?
    } else {
        by_cookie(&parts.headers, hq).await?
    };
    caller.seen = seen;
    caller.seen.tell(SeenCaller {
        home: caller.home,
        actor: caller.actor.clone(),
    });
    if !parts.method.is_safe() {
        check_csrf(parts, hq, &caller)?;
    }
    caller.tenant = chosen_tenant(parts, hq, &caller).await?;
    Ok(caller)
}

fn unauthenticated() -> Problem {
    Problem::new(
        Code::Unauthenticated,
        "nobody is signed in, or what was shown is not good any more: sign in, or send a token as Authorization: Bearer",
    )
}

/// What is shown as `Authorization: Bearer`: none where there are two such headers, as [`sync_wire::bearer`] says.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::AUTHORIZATION).iter();
    sync_wire::bearer::shown(all.map(HeaderValue::as_bytes))
}

async fn by_token(headers: &HeaderMap, hq: &Hq) -> Result<Caller, Problem> {
    let shown = bearer(headers)
        .filter(|token| token.starts_with(PREFIX) && token.len() <= MAX_SHOWN)
        .ok_or_else(unauthenticated)?;
    let key = hash(shown);
    let (home, token) = look_up(hq, "token", &key)
        .await?
        .ok_or_else(unauthenticated)?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, home).await?;
    let read = tx
        .prepare_cached(
            "SELECT name, role FROM api_tokens WHERE tenant_id = $1 AND token_id = $2 AND key_hash = $3
               AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $4)",
        )
        .await?;
    let row = tx
        .query_opt(&read, &[&home.0, &token, &key, &hq.now()])
        .await?
        .ok_or_else(unauthenticated)?;
    tx.commit().await?;
    let name: String = row.get(0);
    Ok(Caller {
        tenant: home,
        role: role_of(&row, 1)?,
        actor: if home == TenantId::OPERATOR {
            format!("operator:token:{name}")
        } else {
            format!("token:{name}")
        },
        is_operator: home == TenantId::OPERATOR,
        home,
        who: Who::Machine { token },
        seen: Seen::default(),
    })
}

async fn by_cookie(headers: &HeaderMap, hq: &Hq) -> Result<Caller, Problem> {
    let cookie = cookie_of(headers, sessions::cookie_name(hq)).ok_or_else(unauthenticated)?;
    let key = hash(cookie);
    let (home, session) = look_up(hq, "session", &key)
        .await?
        .ok_or_else(unauthenticated)?;
    let now = hq.now();
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, home).await?;
    let read = tx
        .prepare_cached(
            "SELECT s.user_id, s.seen_at, u.email, u.role FROM sessions s
               JOIN users u ON u.tenant_id = s.tenant_id AND u.user_id = s.user_id
             WHERE s.tenant_id = $1 AND s.session_id = $2 AND s.key_hash = $3 AND s.expires_at > $4
               AND s.seen_at > $5 AND u.disabled_at IS NULL",
        )
        .await?;
    let idle_since = now.saturating_sub(IDLE).unwrap_or(Timestamp::MIN);
    let row = tx
        .query_opt(&read, &[&home.0, &session, &key, &now, &idle_since])
        .await?
        .ok_or_else(unauthenticated)?;
    let (user, seen_at, email): (Uuid, Timestamp, String) = (row.get(0), row.get(1), row.get(2));
    let again_at = seen_at.saturating_add(SEEN_EVERY).unwrap_or(Timestamp::MAX);
    if again_at <= now {
        let touch = tx
            .prepare_cached(
                "UPDATE sessions SET seen_at = greatest(seen_at, $3) WHERE tenant_id = $1 AND session_id = $2",
            )
            .await?;
        tx.execute(&touch, &[&home.0, &session, &now]).await?;
    }
    tx.commit().await?;
    let is_operator = home == TenantId::OPERATOR;
    let kind = if is_operator { "operator" } else { "user" };
    Ok(Caller {
        tenant: home,
        role: role_of(&row, 3)?,
        actor: format!("{kind}:{email}"),
        is_operator,
        home,
        who: Who::Person {
            user,
            email,
            session,
            csrf: csrf_of(cookie),
        },
        seen: Seen::default(),
    })
}

/// Whose hash this is, before the tenant is known.
pub(super) async fn look_up(
    hq: &Hq,
    kind: &str,
    key: &[u8],
) -> Result<Option<(TenantId, Uuid)>, Problem> {
    let client = hq.db.client().await?;
    let ask = client
        .prepare_cached("SELECT tenant_id, id FROM hq_lookup($1, $2)")
        .await?;
    let row = client.query_opt(&ask, &[&kind, &key]).await?;
    Ok(row.map(|row| (TenantId(row.get(0)), row.get(1))))
}

pub(super) fn role_of(row: &Row, column: usize) -> Result<Role, Problem> {
    let text: &str = row.get(column);
    Role::parse(text).ok_or_else(|| Problem::defect(&format!("the role {text}")))
}

/// The value of a cookie.
#[must_use]
pub fn cookie_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
        .filter(|value| value.len() <= MAX_SHOWN)
}

/// A browser sends the cookie whoever made it ask. So a write must come from a page of ours and carry what only
/// our pages know.
fn check_csrf(parts: &Parts, hq: &Hq, caller: &Caller) -> Result<(), Problem> {
    let Who::Person { csrf, .. } = &caller.who else {
        return Ok(());
    };
    same_origin(&parts.headers, hq).map_err(|problem| caller.seen.refuse(problem.detail))?;
    let in_header = parts
        .headers
        .get("x-csrf-token")
        .and_then(|value| value.to_str().ok());
    let in_form = parts
        .extensions
        .get::<FormCsrf>()
        .map(|form| form.0.as_str());
    // Compared by their hashes: how much of a guess was right cannot be told by the time.
    match in_header.or(in_form) {
        Some(shown) if hash(shown) == csrf.hash() => Ok(()),
        _ => Err(caller.seen.refuse(
            "the page is too old, or is not ours: load it again and repeat (X-CSRF-Token is missing or wrong)",
        )),
    }
}

/// Refuses what a browser says that another site made it send.
///
/// # Errors
/// `forbidden`.
pub fn same_origin(headers: &HeaderMap, hq: &Hq) -> Result<(), Problem> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let site_is_ours = matches!(text("sec-fetch-site"), None | Some("same-origin" | "none"));
    let origin_is_ours = text("origin").is_none_or(|origin| {
        let host = origin.split_once("://").map(|(_, host)| host);
        origin == hq.public_url.trim_end_matches('/') || (host.is_some() && host == text("host"))
    });
    if site_is_ours && origin_is_ours {
        return Ok(());
    }
    Err(Problem::new(
        Code::Forbidden,
        "another site has made your browser send this: open the page here and do it again",
    ))
}

/// The tenant that the request is about.
async fn chosen_tenant(parts: &Parts, hq: &Hq, caller: &Caller) -> Result<TenantId, Problem> {
    let named = named_tenant(parts)?;
    let chosen = match named {
        None => caller.home,
        Some(named) if named == caller.home => named,
        Some(named) if caller.is_operator => {
            known_tenant(hq, named).await?;
            named
        }
        Some(_) => return Err(foreign(caller)),
    };
    let is_forged = TENANT_HEADERS.iter().any(|name| {
        let mut values = parts.headers.get_all(*name).iter();
        let wanted = chosen.to_string();
        values.any(|value| !value.as_bytes().eq_ignore_ascii_case(wanted.as_bytes()))
    });
    if is_forged {
        return Err(foreign(caller));
    }
    Ok(chosen)
}

fn foreign(caller: &Caller) -> Problem {
    caller.seen.refuse(
        "you belong to one company and see that one alone; only whoever runs this service names others, with ?tenant=",
    )
}

/// `?tenant=`, once.
fn named_tenant(parts: &Parts) -> Result<Option<TenantId>, Problem> {
    let query = parts.uri.query().unwrap_or_default();
    let mut all = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "tenant");
    let Some((_, text)) = all.next() else {
        return Ok(None);
    };
    if all.next().is_some() {
        return Err(Problem::field("tenant", "the tenant is named twice"));
    }
    let id = Uuid::try_parse(&text)
        .map_err(|_| Problem::field("tenant", "a tenant is named by its UUID"))?;
    Ok(Some(TenantId(id)))
}

async fn known_tenant(hq: &Hq, named: TenantId) -> Result<(), Problem> {
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, TenantId::OPERATOR).await?;
    let ask = tx
        .prepare_cached("SELECT 1 FROM tenants WHERE tenant_id = $1")
        .await?;
    let row = tx.query_opt(&ask, &[&named.0]).await?;
    tx.commit().await?;
    row.map(|_| ()).ok_or_else(|| Problem::not_found("tenant"))
}
