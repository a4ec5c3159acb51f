//! How many requests somebody may make: a bucket that is emptied by asking and fills with time.
//!
//! The buckets are in memory, each instance has its own: two instances let through twice as much, which is what a
//! guard against floods may do. What must not be counted twice, failed sign-ins, is kept in Postgres.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Buckets at once. Full ones are forgotten first: they say nothing.
const MOST: usize = 50_000;
/// Parts of a request that are counted, so that filling is exact.
const PARTS: u64 = 1000;

/// How large a bucket is and how fast it fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests at once.
    pub burst: u32,
    /// Requests for each second that passes.
    pub per_second: u32,
}

/// Buckets of one size, one for each `K`.
#[derive(Debug)]
pub(super) struct Buckets<K> {
    rate: Rate,
    all: Mutex<HashMap<K, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    parts: u64,
    at: Duration,
}

impl<K: Hash + Eq> Buckets<K> {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            rate,
            all: Mutex::default(),
        }
    }

    /// Takes so many requests out of a bucket. If it is empty: the seconds until there is one again.
    pub(super) fn take(&self, key: K, cost: u32, now: Duration) -> Result<(), u64> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST && !all.contains_key(&key) {
            let rate = self.rate;
            all.retain(|_, bucket| bucket.filled(rate, now).parts < full(rate));
            if all.len() >= MOST {
                tracing::warn!("more callers at once than are counted: counting begins anew");
                all.clear();
            }
        }
        let fresh = Bucket {
            parts: full(self.rate),
            at: now,
        };
        let bucket = all.entry(key).or_insert(fresh);
        *bucket = bucket.filled(self.rate, now);
        if bucket.parts < PARTS {
            let per_second = u64::from(self.rate.per_second.max(1)) * PARTS;
            return Err((PARTS - bucket.parts).div_ceil(per_second).max(1));
        }
        bucket.parts = bucket.parts.saturating_sub(u64::from(cost) * PARTS);
        Ok(())
    }
}

impl<K: Hash + Eq> Buckets<K> {
    /// Gives back what was taken for nothing. A bucket that was forgotten is full anyway.
    pub(super) fn give(&self, key: &K, count: u32) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = all.get_mut(key) {
            let parts = bucket.parts.saturating_add(u64::from(count) * PARTS);
            bucket.parts = parts.min(full(self.rate));
        }
    }
}

fn full(rate: Rate) -> u64 {
    u64::from(rate.burst) * PARTS
}

impl Bucket {
    /// As it is by now.
    fn filled(self, rate: Rate, now: Duration) -> Self {
        let passed = now.saturating_sub(self.at).as_millis();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        // A thousand parts a request, a thousand milliseconds a second.
        let gained = passed.saturating_mul(u64::from(rate.per_second));
        Self {
            parts: self.parts.saturating_add(gained).min(full(rate)),
            at: now.max(self.at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Emptied by asking, filled by time, each on its own, never more than full.
    #[test]
    fn buckets_fill_with_time() {
        let buckets = Buckets::new(Rate {
            burst: 3,
            per_second: 2,
        });
        let at = Duration::from_millis;
        for _ in 0..3 {
            assert_eq!(buckets.take("a", 1, at(0)), Ok(()));
        }
        assert_eq!(buckets.take("a", 1, at(0)), Err(1));
        assert_eq!(buckets.take("b", 1, at(0)), Ok(()));
        assert_eq!(buckets.take("a", 1, at(499)), Err(1));
        assert_eq!(buckets.take("a", 1, at(500)), Ok(()));
        assert_eq!(buckets.take("a", 1, at(500)), Err(1));
        for _ in 0..3 {
            assert_eq!(buckets.take("a", 1, at(3_600_000)), Ok(()));
        }
        assert_eq!(buckets.take("a", 1, at(3_600_000)), Err(1));
        // A clock that went back takes nothing away and gives nothing.
        assert_eq!(buckets.take("a", 1, at(0)), Err(1));
        // What is given back can be taken again, and no bucket is more than full.
        buckets.give(&"a", 1);
        assert_eq!(buckets.take("a", 1, at(0)), Ok(()));
        assert_eq!(buckets.take("a", 1, at(0)), Err(1));
        buckets.give(&"b", 7);
        buckets.give(&"nobody", 1);
        for expected in [Ok(()), Ok(()), Ok(()), Err(1)] {
            assert_eq!(buckets.take("b", 1, at(0)), expected);
        }
    }

    /// Whoever comes under ever new names fills no memory, and counting goes on.
    #[test]
    fn memory_is_bounded() {
        let buckets = Buckets::new(Rate {
            burst: 1,
            per_second: 1,
        });
        for name in 0..MOST + 10 {
            assert_eq!(buckets.take(name, 1, Duration::ZERO), Ok(()));
        }
        assert!(buckets.all.lock().unwrap().len() <= MOST);
        assert_eq!(buckets.take(MOST + 9, 1, Duration::ZERO), Err(1));
    }
}
