//! `fiscal-hq serve` and `fiscal-hq migrate`.

use std::process::ExitCode;

use clock::{Clock as _, SystemClock};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::{Failed, settings, systemd};
use crate::migrate;
use crate::serve;

pub(super) async fn serve() -> Result<ExitCode, Failed> {
    let hq = settings::hq()?;
    let (address, how) = settings::serving(&hq.public_url)?;
    serve::may_serve(&hq).await.map_err(Failed::settings)?;
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Failed::Settings(format!(
            "HQ_LISTEN: {address} cannot be listened on: {error}"
        ))
    })?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Failed::done)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failed::done)?;
    let mut renewed = signal(SignalKind::hangup()).map_err(Failed::done)?;
    let certificates = how.tls.clone();
    let tls = certificates.is_some();
    let database = hq.db.clone();
    let running = serve::start_with(hq, listener, how).map_err(Failed::done)?;
    tracing::info!(address = %running.address, tls, "fiscal-hq runs");
    systemd::ready(running.address);
    let told = systemd::keep(&database);
    tokio::pin!(told);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = renewed.recv() => read_again(certificates.as_deref()),
            () = &mut told => break,
        }
    }
    systemd::stopping();
    running.stop().await;
    tracing::info!("fiscal-hq has stopped");
    Ok(ExitCode::SUCCESS)
}

/// SIGHUP: somebody has renewed the certificate.
fn read_again(certificates: Option<&serve::Certificates>) {
    match certificates.map(serve::Certificates::read_again) {
        None => tracing::info!("SIGHUP: there is no certificate here to be read again"),
        Some(Ok(())) => {
            tracing::info!("SIGHUP: the certificate was read again and is shown from now on");
        }
        Some(Err(error)) => {
            tracing::error!(%error, "SIGHUP: the certificate stays as it was; put the files right and send it again");
        }
    }
}

pub(super) async fn migrate() -> Result<ExitCode, Failed> {
    let address = settings::database()?;
    let mut owner = address
        .connect()
        .await
        .map_err(|error| Failed::Done(format!("the database says: {}", crate::db::say(&error))))?;
    let steps = migrate::migrate(&mut owner, SystemClock.wall())
        .await
        .map_err(Failed::done)?;
    for step in &steps {
        println!("step {} ({}) is done", step.no, step.name);
    }
    if steps.is_empty() {
        println!("the database is of this version already");
    }
    Ok(ExitCode::SUCCESS)
}
