//! Who looks at a page: the caller, his company's name, what has just been done, the token of his forms.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use clock::Timestamp;
use maud::{Markup, html};

use super::fail::Failed;
use crate::access::{Caller, Role};
use crate::db::{self, TenantId};
use crate::hq::SharedHq;
use crate::problem::{Code, Problem};

/// What has just been done, for the next page.
const MESSAGE: &str = "hq_message";
/// The longest message that is carried over, in characters.
const LONGEST: usize = 600;

/// A company as its papers name it; what its profile does not have is empty.
#[derive(Debug, Default)]
pub(super) struct Papers {
    /// Its legal name.
    pub(super) legal_name: String,
    /// Its TIN.
    pub(super) tin: String,
    /// Its VAT number.
    pub(super) vat_number: String,
}

/// A person at a page.
#[derive(Debug)]
pub(super) struct Visit {
    /// Who it is, for which tenant.
    pub(super) caller: Caller,
    /// The tenant's name.
    pub(super) tenant_name: String,
    /// What stands in the tenant's papers.
    pub(super) papers: Papers,
    /// Now.
    pub(super) now: Timestamp,
    /// Whether the main part alone is wanted.
    pub(super) fragment: bool,
    /// What the browser sent.
    pub(super) headers: HeaderMap,
    /// What is known of the connection.
    pub(super) extensions: Extensions,
    message: Option<String>,
}

impl FromRequestParts<SharedHq> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, hq: &SharedHq) -> Result<Self, Response> {
        let caller = match Caller::from_request_parts(parts, hq).await {
            Ok(caller) => caller,
            Err(problem) if problem.code == Code::Unauthenticated => return Err(to_sign_in(parts)),
            Err(problem) => return Err(Failed(problem).into_response()),
        };
        let (tenant_name, papers) = company(hq, caller.tenant)
            .await
            .map_err(IntoResponse::into_response)?;
        Ok(Self {
            caller,
            tenant_name,
            papers,
            now: hq.now(),
            fragment: parts.headers.contains_key("x-fragment"),
            headers: parts.headers.clone(),
            extensions: parts.extensions.clone(),
            message: cookie(&parts.headers, MESSAGE).map(|text| decoded(&text)),
        })
    }
}

/// What a tenant is called, here and in its papers.
async fn company(hq: &SharedHq, tenant: TenantId) -> Result<(String, Papers), Failed> {
    if tenant == TenantId::OPERATOR {
        return Ok(("Operator".to_owned(), Papers::default()));
    }
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, tenant).await?;
    let find = tx
        .prepare_cached(
            "SELECT t.name, coalesce(p.legal_name, ''), coalesce(p.tin, ''), coalesce(p.vat_number, '')
             FROM tenants t LEFT JOIN tenant_fiscal_profiles p ON p.tenant_id = t.tenant_id WHERE t.tenant_id = $1",
        )
        .await?;
    let row = tx.query_opt(&find, &[&tenant.0]).await?;
    let row = row.ok_or_else(|| Problem::not_found("tenant"))?;
    let papers = Papers {
        legal_name: row.get(1),
        tin: row.get(2),
        vat_number: row.get(3),
    };
    Ok((row.get(0), papers))
}

/// To the page of signing in, and back here after it.
fn to_sign_in(parts: &Parts) -> Response {
    if parts.headers.contains_key("x-fragment") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let wanted = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    if parts.method != axum::http::Method::GET || wanted == "/" {
        return see("/sign-in");
    }
    let next: String = form_urlencoded::byte_serialize(wanted.as_bytes()).collect();
    see(&format!("/sign-in?next={next}"))
}

/// The value of a cookie.
pub(super) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(header::COOKIE).iter();
    let pairs = all
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(';'));
    let mut found = pairs.filter_map(|pair| pair.trim().split_once('='));
    found
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
}

fn decoded(text: &str) -> String {
    let mut parsed = form_urlencoded::parse(text.as_bytes());
    parsed
        .next()
        .map_or(String::new(), |(key, _)| key.into_owned())
}

/// To another page.
pub(super) fn see(path: &str) -> Response {
    let place = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
}

impl Visit {
    /// A path of this service, for the same tenant.
    pub(super) fn href(&self, path: &str) -> String {
        if !self.caller.is_operator || self.is_at_operator() {
            return path.to_owned();
        }
        let sign = if path.contains('?') { '&' } else { '?' };
        format!("{path}{sign}tenant={}", self.caller.tenant)
    }

    /// Whether no tenant has been chosen: the operator at his own pages.
    pub(super) fn is_at_operator(&self) -> bool {
        self.caller.tenant == TenantId::OPERATOR
    }

    /// Whether he may do this much.
    pub(super) fn may(&self, role: Role) -> bool {
        self.caller.role >= role
    }

    /// Who he is, without the kind in front.
    pub(super) fn who(&self) -> &str {
        let actor = &self.caller.actor;
        actor
            .split_once(':')
            .map_or(actor.as_str(), |(_, name)| name)
    }

    /// The hidden field that proves that a form is ours.
    pub(super) fn token(&self) -> Markup {
        html! { input type="hidden" name="csrf" value=(self.caller.csrf()); }
    }

    /// What has just been done: whether it went well, and the words.
    pub(super) fn message(&self) -> Option<(bool, &str)> {
        let text = self.message.as_deref()?;
        Some(match text.strip_prefix('!') {
            Some(text) => (false, text),
            None => (true, text),
        })
    }

    /// A message is shown once.
    pub(super) fn clear_message(&self, response: &mut Response) {
        if self.message.is_some() {
            let gone = HeaderValue::from_static(
                "hq_message=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict",
            );
            response.headers_mut().append(header::SET_COOKIE, gone);
        }
    }

    /// After a form: to a page, which says how it went.
    pub(super) fn back(&self, path: &str, outcome: Result<String, String>) -> Response {
        let text = match outcome {
            Ok(text) => text,
            Err(text) => format!("!{text}"),
        };
        let text: String = text.chars().take(LONGEST).collect();
        let text: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let mut response = see(&self.href(path));
        let kept = format!("{MESSAGE}={text}; Path=/; Max-Age=60; HttpOnly; SameSite=Strict");
        if let Ok(kept) = HeaderValue::from_str(&kept) {
            response.headers_mut().append(header::SET_COOKIE, kept);
        }
        response
    }
}
