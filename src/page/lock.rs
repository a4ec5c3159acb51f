//! The lock before everything that changes something: the PIN, how often it may be tried, and for how long a browser
//! that knew it may go on.
//!
//! Tries are counted for the whole page, not for a browser: a browser is soon another one. After a few wrong ones
//! there are pauses that double, on the boot clock, which nobody can set. The count is kept in the ledger: after a
//! restart the last pause begins anew, so that switching the machine off and on gains nothing. What is unlocked is in
//! memory only.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::{Page, pin};
use crate::ledger::LedgerError;
use crate::ledger::core::Core;

/// How long a browser may go on after its last change.
const OPEN_FOR: Duration = Duration::from_secs(10 * 60);
/// Wrong tries without a pause.
const FREE_TRIES: u32 = 3;
/// The first pause.
const PAUSE: Duration = Duration::from_secs(30);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// Browsers that are unlocked at once; a shop has one or two.
const MAX_OPEN: usize = 64;

/// A browser's number: random, known to it and to us alone.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Browser([u8; 32]);

impl std::fmt::Debug for Browser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Browser(redacted)")
    }
}

impl Browser {
    /// A new one.
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Out of a cookie.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// For a cookie.
    pub(super) fn text(self) -> String {
        hex(&self.0)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Why the lock stays shut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shut {
    /// No PIN has been set.
    NotSet,
    /// It was another one.
    Wrong,
    /// Too many wrong ones: no try for so many seconds.
    Pause(u64),
    /// The ledger cannot be asked.
    Fault(String),
}

/// Wrong tries, and when the next may be made.
#[derive(Debug, Default)]
struct Tries {
    /// Whether the ledger was asked for what was typed before this start.
    is_known: bool,
    wrong: u32,
    not_before: Duration,
}

impl Tries {
    /// As they were left before a start, which is noticed at `now`.
    fn left(wrong: u32, now: Duration) -> Self {
        let mut tries = Self {
            is_known: true,
            wrong: wrong.saturating_sub(1),
            not_before: Duration::ZERO,
        };
        if wrong > 0 {
            tries.failed(now);
        }
        tries
    }

    /// None, for the right PIN was typed.
    fn forgiven() -> Self {
        Self {
            is_known: true,
            ..Self::default()
        }
    }

    /// Seconds until the next try.
    fn pause(&self, now: Duration) -> Option<u64> {
        let left = self.not_before.checked_sub(now)?;
        (!left.is_zero()).then(|| left.as_secs().max(1))
    }

    fn failed(&mut self, now: Duration) {
        self.wrong = self.wrong.saturating_add(1);
        let Some(over) = self.wrong.checked_sub(FREE_TRIES) else {
            return;
        };
        let doubled = PAUSE.saturating_mul(1 << over.min(16));
        self.not_before = now.saturating_add(doubled.min(LONGEST_PAUSE));
    }
}

/// The page's locks.
pub(super) struct Locks {
    /// What tokens of forms are made with.
    key: [u8; 32],
    open: Mutex<HashMap<Browser, Duration>>,
    /// Held while a PIN is compared: never two at once.
    tries: tokio::sync::Mutex<Tries>,
}

impl std::fmt::Debug for Locks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Locks").finish_non_exhaustive()
    }
}

impl Locks {
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        Ok(Self {
            key: Browser::new()?.0,
            open: Mutex::default(),
            tries: tokio::sync::Mutex::default(),
        })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Browser, Duration>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token that the forms of a browser carry: no page elsewhere can know it.
    pub(super) fn form_token(&self, browser: Browser) -> String {
        // Both are of fixed length: nothing can be appended.
        let digest = Sha256::new()
            .chain_update(self.key)
            .chain_update(browser.0)
            .finalize();
        hex(&digest)
    }

    /// Whether a form's token is this browser's.
    pub(super) fn knows(&self, browser: Browser, token: &str) -> bool {
        let own = self.form_token(browser);
        aws_lc_rs::constant_time::verify_slices_are_equal(own.as_bytes(), token.as_bytes()).is_ok()
    }

    /// Whether a browser may change something at a moment of the boot clock.
    pub(super) fn is_open(&self, browser: Browser, now: Duration) -> bool {
        self.open().get(&browser).is_some_and(|until| now < *until)
    }

    /// It goes on: the time runs anew.
    pub(super) fn go_on(&self, browser: Browser, now: Duration) {
        if let Some(until) = self.open().get_mut(&browser) {
            *until = now.saturating_add(OPEN_FOR);
        }
    }

    /// Locks a browser.
    pub(super) fn close(&self, browser: Browser) {
        self.open().remove(&browser);
    }

    fn enter(&self, now: Duration) -> Result<Browser, Shut> {
        let browser = Browser::new().map_err(|error| Shut::Fault(error.to_string()))?;
        let mut open = self.open();
        open.retain(|_, until| now < *until);
        if open.len() >= MAX_OPEN {
            open.clear();
        }
        open.insert(browser, now.saturating_add(OPEN_FOR));
        Ok(browser)
    }
}

impl Page {
    /// The boot clock.
    pub(super) fn boot(&self) -> Duration {
        self.ledger.time().clock().boot()
    }

    /// Whether a PIN has been set.
    pub(super) async fn has_pin(&self) -> Result<bool, Shut> {
        let kept = self.ledger.ask(crate::ledger::Reader::page_pin).await;
        let kept = kept.map_err(|error| Shut::Fault(error.to_string()))?;
        Ok(kept.is_some())
    }

    /// Seconds for which no PIN is looked at.
    pub(super) async fn pause(&self) -> Option<u64> {
        // Where the ledger cannot be asked, unlocking says so.
        let tries = self.tries().await.ok()?;
        tries.pause(self.boot())
    }

    /// The tries, with those from before this start.
    async fn tries(&self) -> Result<tokio::sync::MutexGuard<'_, Tries>, Shut> {
        let mut tries = self.locks.tries.lock().await;
        if !tries.is_known {
            let kept = self.ledger.ask(crate::ledger::Reader::wrong_pins).await;
            let kept = kept.map_err(|error| Shut::Fault(error.to_string()))?;
            *tries = Tries::left(kept, self.boot());
        }
        Ok(tries)
    }

    /// Opens the lock with the PIN: a browser with a new number, so that nobody who knew the old one comes in with it.
    pub(super) async fn unlock(&self, typed: String) -> Result<Browser, Shut> {
        let mut tries = self.tries().await?;
        if let Some(seconds) = tries.pause(self.boot()) {
            return Err(Shut::Pause(seconds));
        }
        let kept = self.ledger.ask(crate::ledger::Reader::page_pin).await;
        let kept = kept.map_err(|error| Shut::Fault(error.to_string()))?;
        let kept = kept.ok_or(Shut::NotSet)?;
        // It is meant to be slow.
        let compared = tokio::task::spawn_blocking(move || pin::fits(&typed, &kept)).await;
        if compared.unwrap_or(false) {
            let had_failed = tries.wrong > 0;
            *tries = Tries::forgiven();
            if had_failed {
                self.note(Core::forget_wrong_pins).await;
            }
            return self.locks.enter(self.boot());
        }
        tries.failed(self.boot());
        let (actor, wrong) = (self.actor.clone(), tries.wrong);
        self.note(move |core| core.note_wrong_pin(wrong, &actor))
            .await;
        match tries.pause(self.boot()) {
            Some(seconds) => Err(Shut::Pause(seconds)),
            None => Err(Shut::Wrong),
        }
    }

    /// Writes down what came of a try. Where the ledger takes nothing, memory counts all the same.
    async fn note(&self, work: impl FnOnce(&mut Core) -> Result<(), LedgerError> + Send + 'static) {
        if let Err(error) = self.ledger.write(work).await {
            tracing::warn!(%error, "a try of the PIN could not be written down");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A few slips are free; then pauses double, up to an hour.
    #[test]
    fn pauses_double() {
        let mut tries = Tries::default();
        let mut now = Duration::from_secs(100);
        let mut pauses = Vec::new();
        for _ in 0..12 {
            tries.failed(now);
            let pause = tries.pause(now).unwrap_or(0);
            pauses.push(pause);
            now += Duration::from_secs(pause);
            assert_eq!(tries.pause(now), None, "the pause is over");
        }
        assert_eq!(
            pauses,
            [0, 0, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
        );
    }

    /// A restart gives no tries back: the pause that was due begins anew, and the next is longer.
    #[test]
    fn a_restart_gains_nothing() {
        let now = Duration::from_secs(7);
        for (wrong, pause) in [
            (0, None),
            (2, None),
            (3, Some(30)),
            (5, Some(120)),
            (u32::MAX, Some(3600)),
        ] {
            assert_eq!(Tries::left(wrong, now).pause(now), pause, "{wrong}");
        }
        let mut tries = Tries::left(3, now);
        let later = now + Duration::from_secs(30);
        assert_eq!(tries.pause(later), None);
        tries.failed(later);
        assert_eq!(tries.pause(later), Some(60));
    }

    /// A browser stays unlocked for some minutes after its last change, and no other is.
    #[test]
    fn a_session_ends() {
        let locks = Locks::new().unwrap();
        let (now, later) = (Duration::from_secs(5), Duration::from_secs(5) + OPEN_FOR);
        let browser = locks.enter(now).unwrap();
        assert!(locks.is_open(browser, now) && !locks.is_open(Browser::new().unwrap(), now));
        locks.go_on(browser, now + Duration::from_secs(60));
        assert!(locks.is_open(browser, later));
        assert!(!locks.is_open(browser, later + Duration::from_secs(60)));
        locks.close(browser);
        assert!(!locks.is_open(browser, now));
    }

    /// A form's token belongs to one browser; a cookie is read as it was written.
    #[test]
    fn tokens_belong_to_browsers() {
        let locks = Locks::new().unwrap();
        let (one, two) = (Browser::new().unwrap(), Browser::new().unwrap());
        let token = locks.form_token(one);
        assert!(locks.knows(one, &token) && !locks.knows(two, &token) && !locks.knows(one, ""));
        assert_eq!(Browser::parse(&one.text()), Some(one));
        for bad in ["", "zz", &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(Browser::parse(bad), None);
        }
        assert_eq!(format!("{one:?}"), "Browser(redacted)");
    }
}
