//! Who is known and was refused is written down, in the audit of his own tenant.
//!
//! It is done in one place, after the request is answered (as JSON or as a page), so that no handler can forget it: the wrong role, another
//! tenant named in the address or a header, a write that another site has made the browser send.

use axum::http::{Method, Uri};
use serde_json::json;

use super::{By, Seen};
use crate::db;
use crate::hq::Hq;
use crate::problem::Problem;

/// Longest path that is written down.
const MAX_PATH: usize = 200;

/// Writes down that a request was refused, if it was.
pub async fn note(hq: &Hq, seen: &Seen, asked: (&Method, &Uri)) {
    let (Some(caller), Some(why)) = (seen.caller(), seen.refused()) else {
        return;
    };
    let (method, uri) = asked;
    let path: String = uri.path().chars().take(MAX_PATH).collect();
    // Only the tenant is taken from the query: the rest may be anything.
    let query = uri.query().unwrap_or_default();
    let named = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "tenant");
    let named = named.map(|(_, value)| value.chars().take(MAX_PATH).collect::<String>());
    let after = json!({ "tenant": named, "why": why });
    let by = By {
        tenant: caller.home,
        actor: &caller.actor,
        now: hq.now(),
    };
    let written: Result<(), Problem> = async {
        let mut client = hq.db.client().await?;
        let tx = db::tenant(&mut client, caller.home).await?;
        let subject = format!("{method} {path}");
        by.record(&tx, "access.denied", &subject, None, Some(after))
            .await?;
        tx.commit().await?;
        Ok(())
    }
    .await;
    if let Err(problem) = written {
        tracing::warn!(detail = %problem.detail, actor = %caller.actor, "a refusal could not be written down");
    }
}
