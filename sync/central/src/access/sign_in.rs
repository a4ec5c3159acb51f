//! Signing in: email and password, then the second factor where there is one.
//!
//! For an email that nobody has, the same is done as for one with a wrong password: the same look-ups, the same
//! hashing, an audit row (the operator's), the same answer. So nobody learns who has an account.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clock::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::caller::look_up;
use super::pauses::{Attempt, Ended};
use super::secret::hash;
use super::sessions::{self, NewSession};
use super::users::{self, normal_email};
use super::{By, Caller, password, totp};
use crate::db::{self, TenantId};
use crate::hq::Hq;
use crate::keys::SealedBytes;
use crate::problem::{Code, Problem};

/// How long the second step may take.
const TICKET: Duration = Duration::from_secs(5 * 60);
/// What tickets are bound to.
const PLACE: &str = "sign-in ticket";

/// How a right password has ended.
#[derive(Debug)]
pub enum SignedIn {
    /// He is in.
    Session(NewSession),
    /// His digits are asked for: show this ticket with them to [`second_step`], within five minutes.
    NeedsDigits(String),
}

/// A user as he is when he signs in.
struct Account {
    tenant: TenantId,
    user: Uuid,
    email: String,
    /// Whether he may sign in at all.
    is_open: bool,
    password: Option<String>,
    has_second: bool,
}

/// What somebody shows at his second step: who has shown the right password, and until when that counts.
#[derive(Serialize, Deserialize)]
struct Ticket {
    tenant: TenantId,
    user: Uuid,
    until: Timestamp,
    /// Of the password's hash: a changed password ends it.
    password: String,
}

fn refused() -> Problem {
    Problem::new(
        Code::Unauthenticated,
        "the email or the password is wrong, or the account is closed; an admin of your company can give you a new password",
    )
}

fn digits_wrong() -> Problem {
    Problem::new(
        Code::SecondFactor,
        "the digits are wrong, or were used already: wait for the app's next ones",
    )
}

/// Signs in with email and password, and with the digits (or a recovery code) if they are given at once.
///
/// # Errors
/// `unauthenticated`, the same for an unknown email, a wrong password and a closed account; `busy` after too many
/// failures; `second_factor` for wrong digits.
pub async fn sign_in(
    hq: &Hq,
    from: IpAddr,
    email: &str,
    shown: String,
    digits: Option<&str>,
) -> Result<SignedIn, Problem> {
    let email = normal_email(email);
    let attempt = Attempt::charge(hq, &email, from).await?;
    let found = look_up(hq, "login", &hash(&email)).await?;
    let account = read(hq, found, &email).await?;
    // Longer than any that is kept: not worth the work.
    let shown = if shown.len() > password::MAX * 4 {
        String::new()
    } else {
        shown
    };
    let is_right = password::is_right(shown, account.password.clone()).await?;
    if !is_right || !account.is_open {
        note(hq, &account, from, "session.refused").await?;
        return Err(refused());
    }
    if !account.has_second {
        return enter(hq, &account, from, attempt, None).await;
    }
    match digits {
        Some(digits) => enter(hq, &account, from, attempt, Some(digits)).await,
        None => {
            attempt.end(hq, Ended::HalfWay).await?;
            ticket(hq, &account).map(SignedIn::NeedsDigits)
        }
    }
}

/// The second step: the ticket of the first, and the digits or a recovery code.
///
/// # Errors
/// `unauthenticated` for a ticket that is not good any more, `second_factor` for wrong digits, `busy`.
pub async fn second_step(
    hq: &Hq,
    from: IpAddr,
    ticket: &str,
    digits: &str,
) -> Result<NewSession, Problem> {
    let over = || Problem::new(Code::Unauthenticated, "that took too long: sign in again");
    let ticket = read_ticket(hq, ticket)
        .filter(|ticket| ticket.until > hq.now())
        .ok_or_else(over)?;
    let account = read(hq, Some((ticket.tenant, ticket.user)), "").await?;
    let kept = account.password.as_deref().map(fingerprint);
    if !account.is_open || kept != Some(ticket.password) {
        return Err(over());
    }
    let attempt = Attempt::charge(hq, &account.email, from).await?;
    match enter(hq, &account, from, attempt, Some(digits)).await? {
        SignedIn::Session(session) => Ok(session),
        SignedIn::NeedsDigits(_) => Err(over()),
    }
}

/// Makes sure that it is still the same person who is at the keyboard: his password once more.
///
/// # Errors
/// It is wrong (`invalid`, at `/password`), `busy`, or the caller is a token.
pub async fn once_more(
    hq: &Hq,
    from: IpAddr,
    caller: &Caller,
    shown: String,
) -> Result<(), Problem> {
    let (user, email, _) = caller.person()?;
    let attempt = Attempt::charge(hq, email, from).await?;
    let account = read(hq, Some((caller.home, user)), email).await?;
    if password::is_right(shown, account.password.clone()).await? {
        return attempt.end(hq, Ended::In).await;
    }
    note(hq, &account, from, "password.refused").await?;
    Err(Problem::field("/password", "this is not your password"))
}

/// Takes one's own second factor away: who has found a browser open and knows the password cannot.
///
/// # Errors
/// The password is wrong (`invalid`, at `/password`), the digits are (at `/digits`), there is none, `busy`, or the
/// caller is a token.
pub async fn remove_second_factor(
    hq: &Hq,
    from: IpAddr,
    caller: &Caller,
    shown: String,
    digits: &str,
) -> Result<(), Problem> {
    let (user, email, _) = caller.person()?;
    let attempt = Attempt::charge(hq, email, from).await?;
    let account = read(hq, Some((caller.home, user)), email).await?;
    if !password::is_right(shown, account.password.clone()).await? {
        note(hq, &account, from, "password.refused").await?;
        return Err(Problem::field("/password", "this is not your password"));
    }
    let by = caller.own(hq.now());
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.home).await?;
    if account.has_second && !totp::is_good(&tx, hq, &by, user, digits).await? {
        let subject = format!("user {user}");
        by.record(&tx, "second_factor.refused", &subject, None, None)
            .await?;
        tx.commit().await?;
        return Err(Problem::field(
            "/digits",
            "these are not the digits that your app shows now, nor a recovery code that is still good; if both are lost, an \
             admin of your company takes the second factor away",
        ));
    }
    let removed = totp::remove(&tx, &by, user).await;
    if removed.is_ok() {
        tx.commit().await?;
    }
    attempt.end(hq, Ended::In).await?;
    removed
}

/// Another password for oneself; all sessions end.
///
/// # Errors
/// The present one is wrong, the new one is none, or the caller is a token.
pub async fn change_password(
    hq: &Hq,
    from: IpAddr,
    caller: &Caller,
    shown: String,
    new: String,
) -> Result<(), Problem> {
    let (user, email, _) = caller.person()?;
    password::check(&new, email, "/new_password")?;
    once_more(hq, from, caller, shown).await?;
    let kept = password::hashed(new).await?;
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, caller.home).await?;
    users::set_password(&tx, &caller.own(hq.now()), user, email, &kept).await?;
    tx.commit().await?;
    Ok(())
}

async fn read(hq: &Hq, found: Option<(TenantId, Uuid)>, email: &str) -> Result<Account, Problem> {
    let (tenant, user) = found.unwrap_or((TenantId::OPERATOR, Uuid::new_v4()));
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, tenant).await?;
    let read = tx
        .prepare_cached(
            "SELECT email, disabled_at IS NULL, password_hash, totp_secret IS NOT NULL FROM users
             WHERE tenant_id = $1 AND user_id = $2",
        )
        .await?;
    let row = tx.query_opt(&read, &[&tenant.0, &user]).await?;
    tx.commit().await?;
    Ok(match row {
        Some(row) => Account {
            tenant,
            user,
            email: row.get(0),
            is_open: row.get(1),
            password: row.get(2),
            has_second: row.get(3),
        },
        None => Account {
            tenant,
            user,
            email: email.to_owned(),
            is_open: false,
            password: None,
            has_second: false,
        },
    })
}

/// Begins the session, with the digits checked in the same transaction.
async fn enter(
    hq: &Hq,
    account: &Account,
    from: IpAddr,
    attempt: Attempt,
    digits: Option<&str>,
) -> Result<SignedIn, Problem> {
    let now = hq.now();
    let actor = actor(account);
    let by = By {
        tenant: account.tenant,
        actor: &actor,
        now,
        from: Some(from),
    };
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, account.tenant).await?;
    // Closed, or given another password or a second factor, since it was looked at?
    let still = tx
        .prepare_cached(
            "SELECT 1 FROM users WHERE tenant_id = $1 AND user_id = $2 AND disabled_at IS NULL
               AND password_hash = $3 AND (totp_secret IS NOT NULL) = $4 FOR UPDATE",
        )
        .await?;
    let same = tx
        .query_opt(
            &still,
            &[
                &account.tenant.0,
                &account.user,
                &account.password,
                &account.has_second,
            ],
        )
        .await?;
    if same.is_none() {
        return Err(refused());
    }
    let subject = format!("user {}", account.user);
    if account.has_second {
        let shown = digits.unwrap_or_default();
        if !totp::is_good(&tx, hq, &by, account.user, shown).await? {
            by.record(&tx, "second_factor.refused", &subject, None, None)
                .await?;
            tx.commit().await?;
            return Err(digits_wrong());
        }
    }
    let session = sessions::begin(&tx, account.tenant, account.user, now).await?;
    by.record(&tx, "session.begin", &subject, None, None)
        .await?;
    tx.commit().await?;
    attempt.end(hq, Ended::In).await?;
    Ok(SignedIn::Session(session))
}

fn actor(account: &Account) -> String {
    users::actor(account.tenant, &account.email)
}

/// Writes down that somebody was refused. What was typed as an email that nobody has may be a password: it is
/// not kept.
async fn note(hq: &Hq, account: &Account, from: IpAddr, action: &str) -> Result<(), Problem> {
    let is_known = account.password.is_some() || account.is_open;
    let actor = if is_known {
        actor(account)
    } else {
        "nobody".to_owned()
    };
    let subject = if is_known {
        format!("user {}", account.user)
    } else {
        "an unknown email".to_owned()
    };
    let by = By {
        tenant: account.tenant,
        actor: &actor,
        now: hq.now(),
        from: Some(from),
    };
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, account.tenant).await?;
    by.record(&tx, action, &subject, None, None).await?;
    tx.commit().await?;
    Ok(())
}

fn fingerprint(kept: &str) -> String {
    URL_SAFE_NO_PAD.encode(hash(kept))
}

fn ticket(hq: &Hq, account: &Account) -> Result<String, Problem> {
    let ticket = Ticket {
        tenant: account.tenant,
        user: account.user,
        until: hq.now().saturating_add(TICKET).unwrap_or(Timestamp::MAX),
        password: fingerprint(account.password.as_deref().unwrap_or_default()),
    };
    let text = serde_json::to_vec(&ticket).map_err(|error| Problem::defect(&error))?;
    let sealed = hq
        .keys
        .seal(PLACE, &text)
        .map_err(|error| Problem::defect(&error))?;
    Ok(URL_SAFE_NO_PAD.encode(sealed.pack()))
}

fn read_ticket(hq: &Hq, text: &str) -> Option<Ticket> {
    let packed = URL_SAFE_NO_PAD.decode(text).ok()?;
    let sealed = SealedBytes::unpack(&packed).ok()?;
    let opened = hq.keys.open(PLACE, &sealed).ok()?;
    serde_json::from_slice(&opened).ok()
}
