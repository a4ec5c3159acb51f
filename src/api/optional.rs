//! The optional parts of FDMS, passed on for POS software: users and the stock list (docs/FDMS.md section 10).
//!
//! The gateway lends its certificate and its tokens and has no opinion of its own: what FDMS answers comes back as
//! it is, what it refuses as a problem document.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use super::access::{Caller, TillChoice};
use super::params::{Params, TILL};
use super::problem::{Problem, ProblemCode as P};
use super::{Shared, schema};
use crate::fdms::{PassedOn, Passing};

/// What POS software may ask, beside `GetUsersList`.
const USER_CALLS: [&str; 11] = [
    "CreateUser",
    "SendSecurityCodeToTaxpayer",
    "SendSecurityCodeToUserEmail",
    "SendSecurityCodeToUserPhone",
    "ConfirmUser",
    "ConfirmContact",
    "Login",
    "ChangePassword",
    "ResetPassword",
    "ConfirmPasswordReset",
    "Update",
];
/// The parameters of lists, as FDMS names them.
const LIST_PARAMS: [&str; 8] = [
    "Sort", "Order", "Offset", "Limit", "Operator", "HsCode", "GoodName", "BranchId",
];

/// A call about users, passed on to FDMS: `Login`, `CreateUser`, `ConfirmUser` …
///
/// Body and answer are FDMS's own. The header `Token`, where the call needs one, is passed on too.
#[utoipa::path(
    post,
    path = "/v1/fdms/User/{call}",
    tag = "optional",
    operation_id = "userCall",
    params(schema::CallPath, schema::TillParams),
    request_body = schema::Passed,
    responses(
        (status = 200, description = "What FDMS answered.", body = schema::Passed),
        (status = "default", description = "Any problem; FDMS's own code is `errorCode`.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn user_call(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(call): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    if !USER_CALLS.contains(&call.as_str()) {
        let shown: String = call.chars().take(50).collect();
        let names = USER_CALLS.join(", ");
        let detail = format!("FDMS has no call {shown} about users; it has {names}");
        return Err(Problem::new(P::PathUnknown, detail));
    }
    shared.pass(&caller, "POST", "User", call, request).await
}

/// The users of the taxpayer, as FDMS lists them.
#[utoipa::path(
    get,
    path = "/v1/fdms/User/GetUsersList",
    tag = "optional",
    operation_id = "userList",
    params(schema::FdmsListParams, schema::TillParams),
    responses(
        (status = 200, description = "What FDMS answered.", body = schema::Passed),
        (status = "default", description = "Any problem; FDMS's own code is `errorCode`.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn user_list(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let call = "GetUsersList".to_owned();
    shared.pass(&caller, "GET", "User", call, request).await
}

/// Goods in stock at the till's branch, as FDMS lists them.
#[utoipa::path(
    get,
    path = "/v1/fdms/ProductsStock/Search",
    tag = "optional",
    operation_id = "stock",
    params(schema::FdmsListParams, schema::TillParams),
    responses(
        (status = 200, description = "What FDMS answered.", body = schema::Passed),
        (status = "default", description = "Any problem; FDMS's own code is `errorCode`.", body = schema::Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn stock(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let call = "Search".to_owned();
    shared
        .pass(&caller, "GET", "ProductsStock", call, request)
        .await
}

impl Shared {
    async fn pass(
        &self,
        caller: &Caller,
        method: &'static str,
        part: &'static str,
        name: String,
        request: Request,
    ) -> Result<Response, Problem> {
        let (parts, body) = request.into_parts();
        let params = Params::of(&parts.uri, &LIST_PARAMS)?;
        let till = self.till(caller, TillChoice::of(&params)?).await?;
        let body = match method {
            "GET" => None,
            _ => Some(self.body(&parts.headers, body).await?.to_vec()),
        };
        let token = parts.headers.get("token");
        let token = token.and_then(|token| token.to_str().ok());
        let call = Passing {
            method,
            part,
            name,
            query: parts.uri.query().and_then(without_till),
            token: token.map(str::to_owned),
            body,
        };
        answer(self.submitter.pass_on(till.id, &call).await?)
    }
}

/// FDMS's answer as ours: a success as it came, anything else as a problem document.
fn answer(passed: PassedOn) -> Result<Response, Problem> {
    let status = StatusCode::from_u16(passed.status).unwrap_or(StatusCode::BAD_GATEWAY);
    if !status.is_success() {
        return Err(Problem::of_fdms(status, &passed.body));
    }
    let mut response = Response::new(Body::from(passed.body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let kind = passed.content_type.as_deref().unwrap_or("application/json");
    if let Ok(kind) = HeaderValue::from_str(kind) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    if let Some(id) = passed.operation_id
        && let Ok(id) = HeaderValue::from_str(&id)
    {
        headers.insert("operationId", id);
    }
    Ok(response)
}

/// The query, less the parameters that are for us.
fn without_till(query: &str) -> Option<String> {
    let theirs: Vec<&str> = query
        .split('&')
        .filter(|pair| !TILL.contains(&pair.split('=').next().unwrap_or_default()))
        .collect();
    (!theirs.is_empty()).then(|| theirs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What names the till is ours, the rest goes on as it came.
    #[test]
    fn queries_go_on_as_they_came() {
        let table = [
            ("deviceID=42", None),
            ("Offset=0&deviceID=42&Limit=10", Some("Offset=0&Limit=10")),
            ("GoodName=a%20b&environment=test", Some("GoodName=a%20b")),
        ];
        for (query, expected) in table {
            assert_eq!(without_till(query).as_deref(), expected, "{query}");
        }
    }
}
