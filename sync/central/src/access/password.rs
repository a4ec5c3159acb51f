//! Passwords: what is taken as one, and how it is kept (argon2id).

use std::sync::OnceLock;

use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::problem::Problem;

/// Fewest characters.
pub const MIN: usize = 12;
/// Most characters.
pub const MAX: usize = 200;

/// Costs: what OWASP names as the least (19 MiB, two passes), so that a sign-in takes tens of milliseconds.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
/// Passwords that are worked on at once; more wait, so that sign-ins take neither all memory nor all cores.
static TURNS: Semaphore = Semaphore::const_new(4);

/// Refuses what is easily guessed.
///
/// # Errors
/// Too short, too long, or the email itself.
pub fn check(password: &str, email: &str, pointer: &str) -> Result<(), Problem> {
    let length = password.chars().count();
    if length < MIN {
        return Err(Problem::field(
            pointer,
            format!("a password has at least {MIN} characters; a sentence is a good one"),
        ));
    }
    if length > MAX {
        let detail = format!("a password has at most {MAX} characters");
        return Err(Problem::field(pointer, detail));
    }
    let lower = password.trim().to_lowercase();
    let first = lower.chars().next();
    if lower == email || lower.chars().all(|c| Some(c) == first) {
        return Err(Problem::field(
            pointer,
            "the password is the email address, or one character again and again: take another",
        ));
    }
    Ok(())
}

/// What is kept of a password.
///
/// # Errors
/// The machine has no randomness.
pub async fn hashed(password: String) -> Result<String, Problem> {
    on_a_thread(move || {
        let hash: argon2::password_hash::phc::PasswordHash = argon2()?
            .hash_password(password.as_bytes())
            .map_err(|error| Problem::defect(&error))?;
        Ok(hash.to_string())
    })
    .await
}

/// Whether it is the password. Without one to compare with, the same work is done for nothing, so that
/// nobody can tell by the time which emails are known.
///
/// # Errors
/// What was kept cannot be read.
pub async fn is_right(password: String, kept: Option<String>) -> Result<bool, Problem> {
    on_a_thread(move || {
        let argon2 = argon2()?;
        let is_known = kept.is_some();
        let kept = match kept {
            Some(kept) => kept,
            None => nobody(&argon2)?,
        };
        let parsed = argon2::password_hash::phc::PasswordHash::new(&kept)
            .map_err(|error| Problem::defect(&error))?;
        let is_same = argon2.verify_password(password.as_bytes(), &parsed).is_ok();
        Ok(is_same && is_known)
    })
    .await
}

/// The hash of a password that nobody has.
fn nobody(argon2: &Argon2<'_>) -> Result<String, Problem> {
    static NOBODY: OnceLock<String> = OnceLock::new();
    if let Some(known) = NOBODY.get() {
        return Ok(known.clone());
    }
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| Problem::defect(&error))?;
    let hash: argon2::password_hash::phc::PasswordHash = argon2
        .hash_password(&random)
        .map_err(|error| Problem::defect(&error))?;
    Ok(NOBODY.get_or_init(|| hash.to_string()).clone())
}

fn argon2() -> Result<Argon2<'static>, Problem> {
    let params =
        Params::new(MEMORY_KIB, PASSES, 1, None).map_err(|error| Problem::defect(&error))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    // The semaphore is never closed.
    let _turn = TURNS.acquire().await;
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Problem::defect(&error))?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Short ones, the email and a row of one character are refused.
    #[test]
    fn what_is_taken() {
        for bad in [
            "short",
            "elevenchars",
            "rudo@shop.example",
            "RUDO@shop.example",
            "aaaaaaaaaaaaaa",
        ] {
            assert!(
                check(bad, "rudo@shop.example", "/password").is_err(),
                "{bad}"
            );
        }
        assert!(check(&"ab".repeat(101), "a@b.example", "/password").is_err());
        assert!(check("twelve chars", "rudo@shop.example", "/password").is_ok());
    }

    /// The right one opens, another does not, and nobody's never does.
    #[tokio::test]
    async fn kept_as_argon2id() {
        let kept = hashed("correct horse battery".into()).await.unwrap();
        assert!(
            kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{kept}"
        );
        let again = hashed("correct horse battery".into()).await.unwrap();
        assert_ne!(kept, again, "each has a salt of its own");
        assert!(
            is_right("correct horse battery".into(), Some(kept.clone()))
                .await
                .unwrap()
        );
        assert!(
            !is_right("correct horse batterz".into(), Some(kept))
                .await
                .unwrap()
        );
        assert!(
            !is_right("correct horse battery".into(), None)
                .await
                .unwrap()
        );
        assert!(
            is_right("x".into(), Some("not a hash".into()))
                .await
                .is_err()
        );
    }
}
