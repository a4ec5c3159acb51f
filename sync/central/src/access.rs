//! Who is calling: a person with a session, a machine with a token. (Stores have secrets of their own:
//! [`crate::sync`].)
//!
//! Both are found by the hash of what they show. A caller belongs to one tenant, and what he asks for is about
//! that tenant. The operator alone may name another with `?tenant=UUID`, in every request, so that it is seen in
//! the address which tenant a page is of. Whoever else names one is refused, and it is written down.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use clock::Timestamp;
use deadpool_postgres::Transaction;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::audit::{self, Deed};
use crate::db::{DbError, TenantId};
use crate::problem::{Code, Problem};

mod caller;
pub mod denied;
mod forgot;
pub mod password;
pub mod paths;
pub(crate) mod pauses;
pub mod secret;
pub mod sessions;
pub mod sign_in;
pub mod tenants;
pub mod tokens;
pub mod totp;
pub mod users;

pub(crate) use caller::bearer;
pub use caller::{ClientAddress, FormCsrf, cookie_of, same_origin};
pub use secret::Secret;

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

impl Role {
    /// All, from the least.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// As it is kept and written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// From its name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Whoever is calling, for one tenant.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The tenant that this request is about.
    pub tenant: TenantId,
    /// What he may do there.
    pub role: Role,
    /// For the audit: `user:EMAIL`, `token:NAME`, `operator:EMAIL`, `operator:token:NAME`.
    pub actor: String,
    /// Whether he belongs to the operator, who may name any tenant (`?tenant=`).
    pub is_operator: bool,
    /// The tenant that he belongs to.
    pub home: TenantId,
    /// The person, or the machine.
    pub who: Who,
    /// Where a refusal is told.
    seen: Seen,
}

/// What a caller has shown.
#[derive(Debug, Clone)]
pub enum Who {
    /// A person, signed in.
    Person {
        /// The user.
        user: Uuid,
        /// His email.
        email: String,
        /// His session.
        session: Uuid,
        /// What his forms and writes must carry: field `csrf`, or header `X-CSRF-Token`.
        csrf: Secret,
    },
    /// A machine with an API token.
    Machine {
        /// The token.
        token: Uuid,
    },
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
        Err(self.seen.refuse(format!(
            "this takes the role {role}; yours is {}: ask an admin of your company",
            self.role
        )))
    }

    /// Refuses everybody but the operator, who runs the service.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn is_the_operator(&self, role: Role) -> Result<(), Problem> {
        if self.is_operator {
            return self.at_least(role);
        }
        Err(self
            .seen
            .refuse("only whoever runs this service may do this"))
    }

    /// The person, for what only a person does.
    ///
    /// # Errors
    /// `forbidden` for a token.
    pub fn person(&self) -> Result<(Uuid, &str, Uuid), Problem> {
        match &self.who {
            Who::Person {
                user,
                email,
                session,
                ..
            } => Ok((*user, email, *session)),
            Who::Machine { .. } => Err(self
                .seen
                .refuse("this is for people who are signed in, not for tokens")),
        }
    }

    /// What his forms must carry in the field `csrf`; nothing for a token.
    #[must_use]
    pub fn csrf(&self) -> &str {
        match &self.who {
            Who::Person { csrf, .. } => csrf.reveal(),
            Who::Machine { .. } => "",
        }
    }
}

/// Kinds of audit rows that say from where it was done.
const PLACED: [&str; 3] = ["session.", "password.", "second_factor."];

/// In whose name something is changed, where, and when: what each audit row says.
#[derive(Debug, Clone, Copy)]
pub struct By<'a> {
    /// The tenant whose rows are changed.
    pub tenant: TenantId,
    /// As the audit names whoever does it.
    pub actor: &'a str,
    /// When.
    pub now: Timestamp,
    /// From where, if it was asked for over the network.
    pub from: Option<IpAddr>,
}

impl By<'_> {
    /// Writes an audit row, in the transaction of what was done. Of sessions, passwords and second factors it says
    /// from where.
    pub(crate) async fn record(
        &self,
        tx: &Transaction<'_>,
        action: &str,
        subject: &str,
        before: Option<Value>,
        mut after: Option<Value>,
    ) -> Result<(), DbError> {
        let is_of_signing_in = PLACED.iter().any(|kind| action.starts_with(kind));
        if let Some(from) = self.from.filter(|_| is_of_signing_in) {
            let after = after.get_or_insert_with(|| Value::Object(serde_json::Map::new()));
            if let Some(fields) = after.as_object_mut() {
                fields.insert("from".to_owned(), from.to_string().into());
            }
        }
        let deed = Deed {
            actor: self.actor,
            action,
            subject,
            before,
            after,
        };
        audit::record(tx, self.tenant, self.now, &deed).await
    }
}

impl Caller {
    /// In his name, for the tenant that the request is about.
    #[must_use]
    pub fn by(&self, now: Timestamp) -> By<'_> {
        By {
            tenant: self.tenant,
            actor: &self.actor,
            now,
            from: self.seen.address(),
        }
    }

    /// In his name, for the tenant that he belongs to: what he does to his own account.
    #[must_use]
    pub fn own(&self, now: Timestamp) -> By<'_> {
        By {
            tenant: self.home,
            ..self.by(now)
        }
    }
}

/// Where a request leaves word of who made it, and whether he was refused, for what is done after it is answered.
#[derive(Debug, Clone, Default)]
pub struct Seen(Arc<Word>);

#[derive(Debug, Default)]
struct Word {
    from: Option<IpAddr>,
    caller: OnceLock<SeenCaller>,
    refused: OnceLock<String>,
    missed: OnceLock<()>,
    proved: OnceLock<()>,
    guessed: OnceLock<()>,
}

/// Who made a request, whether or not it was let through.
#[derive(Debug, Clone)]
pub struct SeenCaller {
    /// The tenant that he belongs to.
    pub home: TenantId,
    /// As the audit names him.
    pub actor: String,
}

impl Seen {
    /// For a request from this address.
    #[must_use]
    pub fn at(from: IpAddr) -> Self {
        Self(Arc::new(Word {
            from: Some(from),
            ..Word::default()
        }))
    }

    /// Where it came from, if that is known.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.0.from
    }

    /// It has shown a token or a store's secret that is good.
    pub fn prove(&self) {
        let _ = self.0.proved.set(());
    }

    /// Whether it has shown a token or a store's secret that is good.
    #[must_use]
    pub fn has_proved(&self) -> bool {
        self.0.proved.get().is_some()
    }

    /// It has shown a token, a secret, a password or a code that is none.
    pub fn guess(&self) {
        let _ = self.0.guessed.set(());
    }

    /// Whether it has shown a token, a secret, a password or a code that is none.
    #[must_use]
    pub fn has_guessed(&self) -> bool {
        self.0.guessed.get().is_some()
    }

    /// Who it was; none where nobody was known.
    #[must_use]
    pub fn caller(&self) -> Option<&SeenCaller> {
        self.0.caller.get()
    }

    /// Why he was refused, if he was.
    #[must_use]
    pub fn refused(&self) -> Option<&str> {
        self.0.refused.get().map(String::as_str)
    }

    /// What the request has named was not found; perhaps it is another tenant's.
    pub fn miss(&self) {
        let _ = self.0.missed.set(());
    }

    /// Whether what the request has named was not found.
    #[must_use]
    pub fn has_missed(&self) -> bool {
        self.0.missed.get().is_some()
    }

    fn tell(&self, caller: SeenCaller) {
        // A request has one caller: a second extraction finds the same.
        let _ = self.0.caller.set(caller);
    }

    fn refuse(&self, why: impl Into<String>) -> Problem {
        let problem = Problem::new(Code::Forbidden, why);
        // The first reason is the one that counts.
        let _ = self.0.refused.set(problem.detail.clone());
        problem
    }
}
