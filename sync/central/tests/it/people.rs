//! Callers: people who are signed in, machines with a token, nobody. They ask over HTTP, as anybody does.

use fiscal_hq::access::sign_in::{self, SignedIn};
use fiscal_hq::access::{By, Role, tokens, users};
use fiscal_hq::db::{self, TenantId};
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use uuid::Uuid;

use crate::support::Test;

/// The password of everybody in the tests.
pub(crate) const PASSWORD: &str = "a good long password";

/// Somebody who asks.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    base: String,
    http: reqwest::Client,
    /// Who he is, if he is a person.
    pub(crate) user: Option<Uuid>,
    /// What he shows.
    pub(crate) shows: Shows,
}

/// What somebody shows.
#[derive(Debug, Clone)]
pub(crate) enum Shows {
    /// Nothing.
    Nothing,
    /// A session: the cookie's value, and what his writes carry.
    Session {
        /// The cookie.
        cookie: String,
        /// The token of his writes.
        csrf: String,
    },
    /// `Authorization: Bearer`.
    Bearer(String),
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: u16,
    /// Its headers.
    pub(crate) headers: HeaderMap,
    /// Its body as it came.
    pub(crate) text: String,
}

impl Answer {
    /// Its body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text))
    }

    /// Its body, after a look at the status.
    #[track_caller]
    pub(crate) fn read(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()
    }

    /// That it is a problem of this kind; its pointer, or nothing.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> String {
        let problem = self.read(status);
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert!(problem["detail"].as_str().unwrap().len() > 10, "{problem}");
        problem["pointer"].as_str().unwrap_or_default().to_owned()
    }
}

impl Asker {
    /// Nobody.
    pub(crate) fn nobody(test: &Test) -> Self {
        Self {
            base: test.base.clone(),
            http: test.http.clone(),
            user: None,
            shows: Shows::Nothing,
        }
    }

    /// Somebody with a bearer of some kind.
    pub(crate) fn bearer(test: &Test, token: &str) -> Self {
        Self {
            shows: Shows::Bearer(token.to_owned()),
            ..Self::nobody(test)
        }
    }

    /// A machine with a fresh token.
    pub(crate) async fn machine(test: &Test, tenant: TenantId, role: Role, name: &str) -> Self {
        let mut client = test.hq.db.client().await.unwrap();
        let tx = db::tenant(&mut client, tenant).await.unwrap();
        let (_, token) = tokens::create(&tx, &by(test, tenant), name, role, None)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        Self::bearer(test, token.reveal())
    }

    /// Somebody who was invited and has signed in.
    pub(crate) async fn person(test: &Test, tenant: TenantId, role: Role, email: &str) -> Self {
        let user = add_user(test, tenant, role, email).await;
        let mut asker = Self::sign_in(test, email).await;
        asker.user = Some(user);
        asker
    }

    /// Somebody who signs in with the password of the tests.
    pub(crate) async fn sign_in(test: &Test, email: &str) -> Self {
        Self::with_password(test, email, PASSWORD).await
    }

    /// Somebody who signs in with a password of his own.
    pub(crate) async fn with_password(test: &Test, email: &str, password: &str) -> Self {
        let from = "192.0.2.1".parse().unwrap();
        let signed_in = sign_in::sign_in(&test.hq, from, email, password.into(), None)
            .await
            .unwrap();
        let SignedIn::Session(session) = signed_in else {
            panic!("{email} has a second factor");
        };
        Self {
            shows: Shows::Session {
                cookie: session.cookie.reveal().to_owned(),
                csrf: session.csrf.reveal().to_owned(),
            },
            ..Self::nobody(test)
        }
    }

    /// A request that shows what he has.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.shows {
            Shows::Nothing => request,
            Shows::Session { cookie, csrf } => request
                .header("cookie", format!("fhq={cookie}"))
                .header("x-csrf-token", csrf),
            Shows::Bearer(token) => request.bearer_auth(token),
        }
    }

    /// Reads.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    /// Posts JSON.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        send(self.request(Method::POST, path).json(&body)).await
    }

    /// Posts nothing.
    pub(crate) async fn poke(&self, path: &str) -> Answer {
        send(self.request(Method::POST, path)).await
    }

    /// Changes something.
    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        send(self.request(Method::PATCH, path).json(&body)).await
    }

    /// Removes something.
    pub(crate) async fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path)).await
    }

    /// Whether what he shows is good.
    pub(crate) async fn is_in(&self) -> bool {
        let answer = self.get("/session").await;
        assert!([200, 401].contains(&answer.status), "{}", answer.text);
        answer.status == 200
    }
}

/// Sends a request and reads the answer whole.
pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.bytes().await.unwrap();
    Answer {
        status,
        headers,
        text: String::from_utf8_lossy(&bytes).into_owned(),
    }
}

/// In the tests' own name.
pub(crate) fn by(test: &Test, tenant: TenantId) -> By<'static> {
    By {
        tenant,
        actor: "operator:test",
        now: test.hq.now(),
        from: None,
    }
}

/// A user who has taken up his invitation.
pub(crate) async fn add_user(test: &Test, tenant: TenantId, role: Role, email: &str) -> Uuid {
    let (user, code) = invite(test, tenant, role, email).await;
    users::take_up(&test.hq, None, &code, PASSWORD.to_owned())
        .await
        .unwrap();
    user
}

/// A user who has not; who, and his code.
pub(crate) async fn invite(
    test: &Test,
    tenant: TenantId,
    role: Role,
    email: &str,
) -> (Uuid, String) {
    let mut client = test.hq.db.client().await.unwrap();
    let tx = db::tenant(&mut client, tenant).await.unwrap();
    let (user, made) = users::invite(&tx, &by(test, tenant), email, email, role)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    (user, made.code.reveal().to_owned())
}

/// The audit of a tenant: actor, action, subject, in order.
pub(crate) async fn audit(test: &Test, tenant: TenantId) -> Vec<(String, String, String)> {
    let mut client = test.hq.db.client().await.unwrap();
    let tx = db::tenant(&mut client, tenant).await.unwrap();
    let rows = tx
        .query(
            "SELECT actor, action, subject FROM fdms_audit_logs WHERE tenant_id = $1 ORDER BY audit_no",
            &[&tenant.0],
        )
        .await
        .unwrap();
    rows.iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect()
}

/// How often somebody has done something, as the audit of a tenant has it.
pub(crate) async fn times(test: &Test, tenant: TenantId, actor: &str, action: &str) -> usize {
    let all = audit(test, tenant).await;
    all.iter()
        .filter(|(who, what, _)| who == actor && what == action)
        .count()
}
