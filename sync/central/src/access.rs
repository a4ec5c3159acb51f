//! Who is calling: a person with a session, a machine with a token, a store with its secret.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};

use crate::db::TenantId;
use crate::hq::SharedHq;
use crate::problem::{Code, Problem};

/// What somebody may do; each may do what the one before it may.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Looks.
    Viewer,
    /// Acts on stores and tills: retry, days, test submissions.
    Operator,
    /// Changes who may do what, credentials, profile, cut-over and rollback.
    Admin,
}

/// Whoever is calling, for one tenant.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The tenant that this request is about.
    pub tenant: TenantId,
    /// What he may do there.
    pub role: Role,
    /// For the audit: `user:EMAIL`, `token:NAME`, `operator:EMAIL`.
    pub actor: String,
    /// Whether he belongs to the operator, who may name any tenant (`?tenant=`).
    pub is_operator: bool,
}

impl Caller {
    /// Refuses who may not do this much.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn at_least(&self, role: Role) -> Result<(), Problem> {
        if self.role >= role {
            return Ok(());
        }
        Err(Problem::new(
            Code::Forbidden,
            format!(
                "this takes the role {role:?}; yours is {:?}: ask an admin of your company",
                self.role
            ),
        ))
    }
}

impl FromRequestParts<SharedHq> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(_parts: &mut Parts, _hq: &SharedHq) -> Result<Self, Problem> {
        Err(Problem::new(Code::Unauthenticated, "sign in first"))
    }
}
