//! How long the page of all stores takes where the submissions of years are, asked over HTTP by somebody who has signed in.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clock::{Clock as _, SystemClock};
use fiscal_hq::Hq;
use fiscal_hq::access::sign_in::{self, SignedIn};
use fiscal_hq::access::{By, Role, users};
use fiscal_hq::db::{self, TenantId};
use fiscal_hq::problem::Problem;
use uuid::Uuid;

/// So often it is asked for.
const TIMES: usize = 40;
const EMAIL: &str = "load@example.com";

/// How long the page took: half of the answers, and the slowest.
pub(crate) struct Seen {
    pub(crate) median: Duration,
    pub(crate) slowest: Duration,
}

/// Asks for the page of all stores of a tenant.
pub(crate) async fn measure(
    hq: &Arc<Hq>,
    tenant: TenantId,
    http: &reqwest::Client,
    base: &str,
) -> anyhow::Result<Seen> {
    let cookie = signed_in(hq, tenant).await.map_err(failed)?;
    let mut took = Vec::new();
    for _ in 0..TIMES {
        let began = SystemClock.boot();
        let answer = http
            .get(base)
            .header("cookie", format!("fhq={cookie}"))
            .send()
            .await?;
        let status = answer.status();
        let page = answer.text().await?;
        took.push(SystemClock.boot().saturating_sub(began));
        ensure!(
            status.is_success() && page.contains("Store "),
            "the page of all stores answers {status}"
        );
    }
    took.sort_unstable();
    let of = |index: usize| took.get(index).copied().context("nothing was asked");
    Ok(Seen {
        median: of(TIMES / 2)?,
        slowest: of(TIMES - 1)?,
    })
}

/// Somebody of the tenant; his session's cookie.
async fn signed_in(hq: &Arc<Hq>, tenant: TenantId) -> Result<String, Problem> {
    let password = format!("{} and so on", Uuid::new_v4());
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, tenant).await?;
    let by = By {
        tenant,
        actor: "load",
        now: hq.now(),
        from: None,
    };
    let (_, made) = users::invite(&tx, &by, EMAIL, "Load", Role::Viewer).await?;
    tx.commit().await?;
    drop(client);
    users::take_up(hq, None, made.code.reveal(), password.clone()).await?;
    let from = IpAddr::from([127, 0, 0, 1]);
    let SignedIn::Session(session) = sign_in::sign_in(hq, from, EMAIL, password, None).await?
    else {
        return Err(Problem::not_found("session"));
    };
    Ok(session.cookie.reveal().to_owned())
}

fn failed(problem: Problem) -> anyhow::Error {
    anyhow::anyhow!(problem.detail)
}
