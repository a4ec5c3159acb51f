//! The second factor: six digits of an app (TOTP, RFC 6238), and recovery codes for a lost phone.
//!
//! The secret is sealed for its place. It counts once it was confirmed with digits; from then on they are asked
//! for at each sign-in. A step of thirty seconds is good once, so digits that were looked over a shoulder are not.

use clock::Timestamp;
use deadpool_postgres::Transaction;
use qrcode::QrCode;
use qrcode::render::svg;
use totp_rs::{Algorithm, TOTP};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::By;
use super::secret::hash;
use crate::db::TenantId;
use crate::hq::Hq;
use crate::keys::SealedBytes;
use crate::problem::{Code, Problem};

/// Bytes of a secret, as RFC 4226 recommends.
const SECRET: usize = 20;
const DIGITS: usize = 6;
/// Seconds of a step.
const STEP: u64 = 30;
/// Recovery codes at once.
const RECOVERY: usize = 10;
/// Letters and digits that are not misread.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// What somebody who sets up his second factor is shown, once.
pub struct Enrolment {
    /// The secret in Base32, to be typed.
    pub secret: Zeroizing<String>,
    /// The same for an app: `otpauth://totp/…`.
    pub uri: Zeroizing<String>,
    /// The same as a picture.
    pub qr_svg: Zeroizing<String>,
}

impl std::fmt::Debug for Enrolment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Enrolment")
    }
}

/// What a user's secret is bound to, for [`crate::keys::MasterKeys::seal`].
#[must_use]
pub fn place(tenant: TenantId, user: Uuid) -> String {
    format!("totp {tenant} {user}")
}

/// Makes a secret and shows it; it counts when [`confirm`] has seen its digits.
///
/// # Errors
/// There is no such user, or he has a second factor already.
pub async fn begin(
    tx: &Transaction<'_>,
    hq: &Hq,
    by: &By<'_>,
    user: Uuid,
    email: &str,
) -> Result<Enrolment, Problem> {
    let mut secret = Zeroizing::new(vec![0; SECRET]);
    getrandom::fill(&mut secret).map_err(|error| Problem::defect(&error))?;
    let sealed = hq
        .keys
        .seal(&place(by.tenant, user), &secret)
        .map_err(|error| Problem::defect(&error))?;
    let write = tx
        .prepare_cached(
            "UPDATE users SET totp_pending = $3 WHERE tenant_id = $1 AND user_id = $2 AND totp_secret IS NULL",
        )
        .await?;
    let written = tx
        .execute(&write, &[&by.tenant.0, &user, &sealed.pack()])
        .await?;
    if written == 0 {
        return Err(Problem::new(
            Code::Conflict,
            "there is a second factor already: remove it first, then set up the new one",
        ));
    }
    let subject = format!("user {user}");
    by.record(tx, "second_factor.begin", &subject, None, None)
        .await?;
    enrolment(&secret, email)
}

fn enrolment(secret: &[u8], email: &str) -> Result<Enrolment, Problem> {
    let base32 = Zeroizing::new(totp(secret)?.get_secret_base32());
    let account: String = form_urlencoded::byte_serialize(email.as_bytes()).collect();
    let uri = Zeroizing::new(format!(
        "otpauth://totp/fiscal-hq:{account}?secret={}&issuer=fiscal-hq&algorithm=SHA1&digits={DIGITS}&period={STEP}",
        base32.as_str()
    ));
    let qr = QrCode::new(uri.as_bytes()).map_err(|error| Problem::defect(&error))?;
    let qr_svg = qr
        .render::<svg::Color<'_>>()
        .min_dimensions(240, 240)
        .build();
    Ok(Enrolment {
        secret: base32,
        uri,
        qr_svg: Zeroizing::new(qr_svg),
    })
}

/// Makes the pending secret count, if these are its digits; the recovery codes, shown once.
///
/// # Errors
/// Nothing is pending, or the digits are wrong.
pub async fn confirm(
    tx: &Transaction<'_>,
    hq: &Hq,
    by: &By<'_>,
    user: Uuid,
    digits: &str,
) -> Result<Vec<Zeroizing<String>>, Problem> {
    let read = tx
        .prepare_cached(
            "SELECT totp_pending FROM users WHERE tenant_id = $1 AND user_id = $2 AND totp_secret IS NULL FOR UPDATE",
        )
        .await?;
    let row = tx.query_opt(&read, &[&by.tenant.0, &user]).await?;
    let pending: Option<Vec<u8>> = row.and_then(|row| row.get(0));
    let Some(pending) = pending else {
        return Err(Problem::new(
            Code::Conflict,
            "no second factor is being set up: begin again",
        ));
    };
    let secret = open(hq, by.tenant, user, &pending)?;
    let Some(step) = step_of(&secret, digits, by.now, None)? else {
        return Err(Problem::field(
            "/digits",
            "these are not the digits that the app should show now: is the phone's clock right?",
        ));
    };
    let write = tx
        .prepare_cached(
            "UPDATE users SET totp_secret = totp_pending, totp_pending = NULL, totp_last = $3
             WHERE tenant_id = $1 AND user_id = $2",
        )
        .await?;
    tx.execute(&write, &[&by.tenant.0, &user, &step]).await?;
    let subject = format!("user {user}");
    by.record(tx, "second_factor.confirm", &subject, None, None)
        .await?;
    recovery_codes(tx, by, user).await
}

/// Whether these digits, or this recovery code, are good now for a user; then they are not any more.
pub(super) async fn is_good(
    tx: &Transaction<'_>,
    hq: &Hq,
    by: &By<'_>,
    user: Uuid,
    shown: &str,
) -> Result<bool, Problem> {
    let read = tx
        .prepare_cached(
            "SELECT totp_secret, totp_last FROM users WHERE tenant_id = $1 AND user_id = $2 FOR UPDATE",
        )
        .await?;
    let row = tx.query_opt(&read, &[&by.tenant.0, &user]).await?;
    let Some((Some(packed), last)) = row.map(|row| {
        (
            row.get::<_, Option<Vec<u8>>>(0),
            row.get::<_, Option<i64>>(1),
        )
    }) else {
        return Ok(false);
    };
    let secret = open(hq, by.tenant, user, &packed)?;
    if let Some(step) = step_of(&secret, shown, by.now, last)? {
        let write = tx
            .prepare_cached("UPDATE users SET totp_last = $3 WHERE tenant_id = $1 AND user_id = $2")
            .await?;
        tx.execute(&write, &[&by.tenant.0, &user, &step]).await?;
        return Ok(true);
    }
    let spend = tx
        .prepare_cached(
            "UPDATE user_codes SET used_at = $4
             WHERE tenant_id = $1 AND user_id = $2 AND kind = 'recovery' AND key_hash = $3 AND used_at IS NULL
               AND expires_at > $4",
        )
        .await?;
    let key = hash(&normal(shown));
    let spent = tx
        .execute(&spend, &[&by.tenant.0, &user, &key, &by.now])
        .await?;
    if spent > 0 {
        let subject = format!("user {user}");
        by.record(tx, "second_factor.recovery", &subject, None, None)
            .await?;
    }
    Ok(spent > 0)
}

/// Takes a user's second factor away.
///
/// # Errors
/// He has none.
pub async fn remove(tx: &Transaction<'_>, by: &By<'_>, user: Uuid) -> Result<(), Problem> {
    let write = tx
        .prepare_cached(
            "UPDATE users SET totp_secret = NULL, totp_pending = NULL, totp_last = NULL
             WHERE tenant_id = $1 AND user_id = $2 AND totp_secret IS NOT NULL",
        )
        .await?;
    if tx.execute(&write, &[&by.tenant.0, &user]).await? == 0 {
        return Err(Problem::new(Code::Conflict, "there is no second factor"));
    }
    spend_all(tx, by, user).await?;
    let subject = format!("user {user}");
    by.record(tx, "second_factor.remove", &subject, None, None)
        .await?;
    Ok(())
}

async fn recovery_codes(
    tx: &Transaction<'_>,
    by: &By<'_>,
    user: Uuid,
) -> Result<Vec<Zeroizing<String>>, Problem> {
    /// As long as anybody keeps a sheet of paper.
    const YEARS: std::time::Duration = std::time::Duration::from_secs(20 * 365 * 24 * 60 * 60);
    spend_all(tx, by, user).await?;
    let insert = tx
        .prepare_cached(
            "INSERT INTO user_codes (tenant_id, code_id, user_id, kind, key_hash, expires_at)
             VALUES ($1, $2, $3, 'recovery', $4, $5)",
        )
        .await?;
    let expires = by.now.saturating_add(YEARS).unwrap_or(Timestamp::MAX);
    let mut codes = Vec::with_capacity(RECOVERY);
    for _ in 0..RECOVERY {
        let code = recovery_code()?;
        let key = hash(&normal(&code));
        tx.execute(
            &insert,
            &[&by.tenant.0, &Uuid::new_v4(), &user, &key, &expires],
        )
        .await?;
        codes.push(code);
    }
    Ok(codes)
}

async fn spend_all(tx: &Transaction<'_>, by: &By<'_>, user: Uuid) -> Result<(), Problem> {
    let spend = tx
        .prepare_cached(
            "UPDATE user_codes SET used_at = $3
             WHERE tenant_id = $1 AND user_id = $2 AND kind = 'recovery' AND used_at IS NULL",
        )
        .await?;
    tx.execute(&spend, &[&by.tenant.0, &user, &by.now]).await?;
    Ok(())
}

/// Four groups of four: 80 random bits.
fn recovery_code() -> Result<Zeroizing<String>, Problem> {
    let mut random = Zeroizing::new([0_u8; 16]);
    getrandom::fill(random.as_mut_slice()).map_err(|error| Problem::defect(&error))?;
    let mut code = Zeroizing::new(String::with_capacity(19));
    for (place, byte) in random.iter().enumerate() {
        if place > 0 && place % 4 == 0 {
            code.push('-');
        }
        // 256 is a multiple of 32: each is equally likely.
        let letter = ALPHABET.get(usize::from(byte % 32)).copied();
        code.push(char::from(letter.unwrap_or(b'a')));
    }
    Ok(code)
}

/// As it is compared: without hyphens, blanks and capitals.
fn normal(code: &str) -> String {
    code.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

fn open(
    hq: &Hq,
    tenant: TenantId,
    user: Uuid,
    packed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Problem> {
    SealedBytes::unpack(packed)
        .and_then(|sealed| hq.keys.open(&place(tenant, user), &sealed))
        .map_err(|error| Problem::defect(&error))
}

fn totp(secret: &[u8]) -> Result<TOTP, Problem> {
    TOTP::new(Algorithm::SHA1, DIGITS, 0, STEP, secret.to_vec())
        .map_err(|error| Problem::defect(&error))
}

/// The step whose digits these are: the present one, or the one before or after, if it is later than the last
/// that was used.
fn step_of(
    secret: &[u8],
    digits: &str,
    now: Timestamp,
    last: Option<i64>,
) -> Result<Option<i64>, Problem> {
    let digits: String = digits.chars().filter(|c| !c.is_whitespace()).collect();
    let totp = totp(secret)?;
    let present = u64::try_from(now.as_second()).unwrap_or(0) / STEP;
    let mut found = None;
    for step in present.saturating_sub(1)..=present.saturating_add(1) {
        let kept = i64::try_from(step).unwrap_or(i64::MAX);
        // With no skew of its own, this compares one step, in constant time.
        let is_same = totp.check(&digits, step * STEP);
        if is_same && last.is_none_or(|last| kept > last) {
            found = Some(kept);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// The table of RFC 6238 (its eight digits cut to six), one step of tolerance on both sides, and no step twice.
    #[test]
    fn digits_are_good_once() {
        let secret = b"12345678901234567890";
        for (second, digits) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (2_000_000_000, "279037"),
        ] {
            let step = second / 30;
            assert_eq!(
                step_of(secret, digits, at(second), None).unwrap(),
                Some(step)
            );
            assert_eq!(
                step_of(secret, digits, at(second + 30), None).unwrap(),
                Some(step)
            );
            assert_eq!(
                step_of(secret, digits, at(second - 30), None).unwrap(),
                Some(step)
            );
            assert_eq!(
                step_of(secret, digits, at(second + 60), None).unwrap(),
                None
            );
            assert_eq!(
                step_of(secret, digits, at(second), Some(step)).unwrap(),
                None
            );
            assert_eq!(
                step_of(secret, digits, at(second), Some(step - 1)).unwrap(),
                Some(step)
            );
        }
        assert_eq!(step_of(secret, "287 082", at(59), None).unwrap(), Some(1));
        assert_eq!(step_of(secret, "", at(59), None).unwrap(), None);
    }

    /// What an app reads.
    #[test]
    fn uri_and_picture() {
        let shown = enrolment(b"12345678901234567890", "rudo+1@shop.example").unwrap();
        assert_eq!(shown.secret.as_str(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(
            shown.uri.as_str(),
            "otpauth://totp/fiscal-hq:rudo%2B1%40shop.example?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=fiscal-hq&algorithm=SHA1&digits=6&period=30"
        );
        assert!(shown.qr_svg.contains("<svg") && !format!("{shown:?}").contains("GEZD"));
    }

    /// Recovery codes are read as people type them.
    #[test]
    fn recovery_codes_are_read_kindly() {
        let code = recovery_code().unwrap();
        assert_eq!(code.len(), 19);
        assert_eq!(
            normal(&code.to_uppercase().replace('-', " ")),
            normal(&code)
        );
        assert_ne!(normal(&code), normal(&recovery_code().unwrap()));
    }
}
