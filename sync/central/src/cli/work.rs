//! What the operator does beside the service: checking the audit, a new master key, companies and people.

use std::process::ExitCode;

use clock::{Clock as _, SystemClock};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use uuid::Uuid;

use super::{Failed, settings};
use crate::access::{By, Role, users};
use crate::audit::verify::{self, Report};
use crate::db::{self, TenantId};
use crate::problem::Problem;
use crate::{rotate, tenants, worker};

/// Who acts at the command line, for the audit.
fn actor() -> String {
    let name = settings::text("SUDO_USER").or_else(|| settings::text("USER"));
    format!("operator:console:{}", name.as_deref().unwrap_or("unknown"))
}

fn refused(problem: Problem) -> Failed {
    Failed::Done(problem.detail)
}

/// A bar on a terminal; nothing elsewhere.
fn bar(what: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(what.to_owned());
    bar
}

pub(super) async fn verify(only: Option<Uuid>) -> Result<ExitCode, Failed> {
    let db = settings::pool()?;
    let mut all = vec![(TenantId::OPERATOR, "Operator".to_owned())];
    all.extend(tenants::all(&db).await.map_err(Failed::done)?);
    if let Some(id) = only {
        all.retain(|(tenant, _)| tenant.0 == id);
        if all.is_empty() {
            return Err(Failed::Done(format!("there is no tenant {id}")));
        }
    }
    let mut is_whole = true;
    for (tenant, name) in all {
        let bar = bar(&name);
        let report = verify::verify(&db, tenant, |done, of| {
            bar.set_length(u64::try_from(of).unwrap_or(0));
            bar.set_position(u64::try_from(done).unwrap_or(0));
        })
        .await;
        bar.finish_and_clear();
        let report = report.map_err(Failed::done)?;
        println!("{tenant} {name}: {}", say(&report));
        is_whole &= report.broken.is_none();
    }
    if is_whole {
        return Ok(ExitCode::SUCCESS);
    }
    Err(Failed::done(
        "the audit is not as it was written. Keep the database as it is, restore a backup beside it, and compare the rows from the first bad one on",
    ))
}

fn say(report: &Report) -> String {
    match &report.broken {
        Some(broken) => format!("BROKEN after {} good rows: {broken}", report.rows),
        None => {
            let hash: String = report
                .end
                .hash
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            format!(
                "{} rows are as they were written; the end is {hash}",
                report.rows
            )
        }
    }
}

pub(super) async fn rotate() -> Result<ExitCode, Failed> {
    let hq = settings::hq()?;
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let done = rotate::rotate(&hq, &actor(), |tenant, count| {
        bar.set_message(tenant.to_owned());
        bar.set_position(count);
    })
    .await;
    bar.finish_and_clear();
    let count = done.map_err(|error| {
        Failed::Done(format!(
            "{error}. What was sealed anew stays so; mend this and start it again"
        ))
    })?;
    println!(
        "{count} were sealed anew; all is under the key {} now. When all instances run with it, FDMS_CRED_MASTER_KEY_OLD_B64 can go",
        hq.keys.current_id()
    );
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn create_tenant(name: &str) -> Result<ExitCode, Failed> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > 200 || name.chars().any(char::is_control) {
        return Err(Failed::done("a tenant's name has 1 to 200 characters"));
    }
    let db = settings::pool()?;
    let tenant = tenants::create(&db, name, &actor(), SystemClock.wall())
        .await
        .map_err(Failed::done)?;
    println!("{tenant}");
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn list_tenants() -> Result<ExitCode, Failed> {
    let db = settings::pool()?;
    for (tenant, name) in tenants::all(&db).await.map_err(Failed::done)? {
        println!("{tenant} {name}");
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn create_user(
    email: &str,
    name: &str,
    tenant: Option<Uuid>,
    role: Role,
) -> Result<ExitCode, Failed> {
    let hq = settings::hq()?;
    let tenant = tenant.map_or(TenantId::OPERATOR, TenantId);
    let actor = actor();
    let mut client = hq.db.client().await.map_err(Failed::done)?;
    let tx = db::tenant(&mut client, tenant)
        .await
        .map_err(Failed::done)?;
    let there = tx
        .query_opt("SELECT FROM tenants WHERE tenant_id = $1", &[&tenant.0])
        .await
        .map_err(Failed::done)?;
    if there.is_none() {
        return Err(Failed::Done(format!(
            "there is no tenant {tenant}; `fiscal-hq tenant list` lists them"
        )));
    }
    let by = By {
        tenant,
        actor: &actor,
        now: hq.now(),
        from: None,
    };
    let (_, code) = users::invite(&tx, &by, email, name, role)
        .await
        .map_err(refused)?;
    tx.commit().await.map_err(Failed::done)?;
    eprintln!("Good once, until {}:", code.expires_at);
    println!("{}/choose-password#{}", hq.public_url, code.code.reveal());
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn partitions() -> Result<ExitCode, Failed> {
    let hq = settings::hq()?;
    let made = worker::partitions(&hq).await.map_err(refused)?;
    println!("{made} partitions were made");
    Ok(ExitCode::SUCCESS)
}
