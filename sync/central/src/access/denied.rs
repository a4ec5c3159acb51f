//! Who is known and was refused, or asked for what is not there, is written down, in the audit of his own tenant.
//!
//! It is done in one place, after the request is answered (as JSON or as a page), so that no handler can forget it: the wrong role, another
//! tenant named in the address or a header, a write that another site has made the browser send. What is not there may be another tenant's,
//! which nobody can see from here: so each guess is written down, but no more than a person makes by mistake, and how many were left out.

use axum::http::{Method, Uri};
use serde_json::json;

use super::{By, Seen};
use crate::db;
use crate::hq::Hq;
use crate::problem::Problem;

/// Longest path that is written down.
const MAX_PATH: usize = 200;

/// What of a request is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// It was refused.
    Denied,
    /// What it has named is not there: a guess, perhaps at what is another tenant's. So many like it were left out
    /// before, because there were too many.
    NotFound {
        /// How many.
        left_out: u64,
    },
}

/// Writes down what came of a request whose caller is known.
pub async fn note(hq: &Hq, seen: &Seen, noted: Noted, asked: (&Method, &Uri)) {
    let Some(caller) = seen.caller() else {
        return;
    };
    let (method, uri) = asked;
    let path: String = uri.path().chars().take(MAX_PATH).collect();
    // Only the tenant is taken from the query: the rest may be anything.
    let query = uri.query().unwrap_or_default();
    let named = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "tenant");
    let named = named.map(|(_, value)| value.chars().take(MAX_PATH).collect::<String>());
    let (action, after) = match noted {
        Noted::Denied => (
            "access.denied",
            json!({ "tenant": named, "why": seen.refused() }),
        ),
        Noted::NotFound { left_out } => (
            "access.not_found",
            json!({ "tenant": named, "left_out": left_out }),
        ),
    };
    let by = By {
        tenant: caller.home,
        actor: &caller.actor,
        now: hq.now(),
        from: seen.address(),
    };
    let written: Result<(), Problem> = async {
        let mut client = hq.db.client().await?;
        let tx = db::tenant(&mut client, caller.home).await?;
        let subject = format!("{method} {path}");
        by.record(&tx, action, &subject, None, Some(after)).await?;
        tx.commit().await?;
        Ok(())
    }
    .await;
    if let Err(problem) = written {
        tracing::warn!(detail = %problem.detail, actor = %caller.actor, action, "this could not be written down");
    }
}
