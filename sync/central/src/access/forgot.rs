//! Links by mail that set a password: of an admin who gives somebody a new one, and of somebody who has forgotten his.
//!
//! Whoever asks for an email is answered before it is looked up, so neither answer nor time says who has an account. The
//! link holds the code behind `#`, which no server is sent; it is good once, and for a day.

use std::net::IpAddr;
use std::sync::Arc;

use uuid::Uuid;

use super::By;
use super::caller::look_up;
use super::pauses::Attempt;
use super::secret::hash;
use super::users::{self, CodeKind, OneTime, normal_email};
use crate::db;
use crate::hq::{Hq, SharedHq};
use crate::outbound::mail::{self, Mail};
use crate::problem::{Code, Problem};

/// Somebody has forgotten his password.
///
/// # Errors
/// No mail is sent here, or there were too many requests: `busy`.
pub(super) async fn ask(hq: &SharedHq, from: IpAddr, email: &str) -> Result<(), Problem> {
    if !hq.outbound.sends_mail() {
        return Err(Problem::new(
            Code::Conflict,
            "this service sends no mail: ask an admin of your company for a code",
        ));
    }
    let email = normal_email(email);
    // Never given back: whoever asks again and again waits longer each time, whoever he asks for.
    Attempt::charge(hq, &format!("forgot {email}"), from).await?;
    let hq = Arc::clone(hq);
    tokio::spawn(async move {
        if let Err(problem) = forgotten(&hq, from, &email).await {
            tracing::warn!(detail = %problem.detail, "a forgotten password could not be seen to");
        }
    });
    Ok(())
}

async fn forgotten(hq: &Hq, from: IpAddr, email: &str) -> Result<(), Problem> {
    let Some((tenant, user)) = look_up(hq, "login", &hash(email)).await? else {
        return Ok(());
    };
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, tenant).await?;
    let by = By {
        tenant,
        actor: "nobody",
        from: Some(from),
        now: hq.now(),
    };
    // Whoever has none yet has an invitation, which stays as it is; a closed account stays closed.
    let Some((email, true)) = users::reached(&tx, tenant, user).await? else {
        return Ok(());
    };
    let code = users::renew_code(&tx, &by, user).await?;
    tx.commit().await?;
    post(hq, &email, user, &code).await;
    Ok(())
}

/// Sends a code that an admin has made to whoever it is for, if mail is sent here.
pub(super) fn send(hq: &SharedHq, email: String, user: Uuid, code: OneTime) {
    if hq.outbound.sends_mail() {
        let hq = Arc::clone(hq);
        tokio::spawn(async move { post(&hq, &email, user, &code).await });
    }
}

async fn post(hq: &Hq, email: &str, user: Uuid, code: &OneTime) {
    let (subject, what) = match code.kind {
        CodeKind::Invitation => (
            "Your account at head office",
            "An account was made for you. Choose your password here:",
        ),
        CodeKind::Reset => (
            "A new password for head office",
            "A new password was asked for your account. Choose it here:",
        ),
    };
    let until = clock::local(code.expires_at).strftime("%Y-%m-%d %H:%M");
    let link = format!(
        "{}/choose-password#{}",
        hq.public_url.trim_end_matches('/'),
        code.code.reveal()
    );
    let body = format!(
        "{what}\r\n\r\n{link}\r\n\r\nThe link is good once, until {until}. If you have not asked for it, nothing has changed: leave \
         it alone, and tell an admin of your company.\r\n"
    );
    let sent = match mail::address(email) {
        Err(why) => Err(why),
        Ok(to) => {
            let mail = Mail {
                to,
                subject: subject.to_owned(),
                id: Uuid::new_v4().to_string(),
                body,
            };
            mail::send(&hq.outbound, mail).await
        }
    };
    match sent {
        Ok(()) => tracing::info!(%user, "a link to choose a password was mailed"),
        Err(why) => tracing::warn!(%user, %why, "a link to choose a password could not be mailed"),
    }
}
