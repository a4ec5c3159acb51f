//! The loop: sends when there is something new, says how the store is when there is not, waits when HQ is away.

use std::sync::Arc;
use std::time::Duration;

use clock::{SharedClock, Timestamp};
use sync_wire::VERSION;
use sync_wire::chain::ChainHash;
use sync_wire::exchange::{Down, Fork, MAX_BYTES, MAX_ENTRIES, Up};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::plan::{Meaning, Place, Reading, Sent, looked, read};
use crate::store::{Line, Link, LinkError, Position, Store, StoreError};

/// Where random numbers for pauses come from.
pub type Random = Arc<dyn Fn() -> u64 + Send + Sync>;

/// How fast the agent goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// New lines are gathered for so long.
    pub gather: Duration,
    /// The store's state is sent at least so often.
    pub idle: Duration,
    /// The first pause when HQ is away.
    pub first_pause: Duration,
    /// The longest.
    pub longest_pause: Duration,
    /// Series are begun so far apart at least: two copies of a ledger that are both at work must not flood HQ.
    pub between_forks: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            gather: Duration::from_secs(1),
            idle: Duration::from_secs(30),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(5 * 60),
            between_forks: Duration::from_secs(5 * 60),
        }
    }
}

/// Why the store does not get on with HQ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// A sentence.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// So many tries in vain.
    pub tries: u32,
}

/// How the store gets on with HQ.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// When HQ last answered, by the store's wall clock.
    pub heard: Option<Timestamp>,
    /// HQ's clock then (milliseconds since 1970), and the boot clock.
    pub hq_clock: Option<(i64, Duration)>,
    /// What is wrong.
    pub trouble: Option<Trouble>,
}

impl Standing {
    /// HQ's clock now, milliseconds since 1970, where HQ has answered since the start.
    #[must_use]
    pub fn hq_now(&self, boot: Duration) -> Option<i64> {
        let (now, then) = self.hq_clock?;
        let passed = i64::try_from(boot.saturating_sub(then).as_millis()).ok()?;
        now.checked_add(passed)
    }
}

/// What the agent does after an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// There is more to send.
    Again,
    /// Everything up to this line is sent.
    Idle(i64),
    /// Nothing before so long.
    Pause(Duration),
    /// The store has left HQ.
    Left,
}

/// HQ is not where the store believes it to be: the place to go on from, for the store's series.
struct Elsewhere {
    epoch: Uuid,
    acked: i64,
    place: Place,
}

/// Sends a store's outbox.
pub struct Agent<S, L> {
    store: S,
    link: L,
    clock: SharedClock,
    random: Random,
    pace: Pace,
    standing: watch::Sender<Standing>,
    elsewhere: Option<Elsewhere>,
    forked: Option<Duration>,
    /// Bytes of a batch: less on a line that is slow.
    batch: usize,
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) planted: Planted,
}

/// Defects that tests plant, to show that their checks can fail.
#[cfg(any(test, feature = "simulation"))]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Planted {
    /// None.
    #[default]
    None,
    /// What was sent counts as acknowledged.
    SentIsAcknowledged,
    /// Hashes are not compared.
    HashesForgotten,
    /// A series is never begun anew.
    NeverForks,
}

/// A batch is never smaller than this, however slow the line is.
const LEAST_BATCH: usize = 16 << 10;
/// So many seconds' worth of bytes make a batch where bytes are limited.
const SECONDS_A_BATCH: usize = 10;

impl<S: Store, L: Link> Agent<S, L> {
    /// An agent of a store. It shows in `standing` how the store gets on with HQ.
    pub fn new(
        store: S,
        link: L,
        clock: SharedClock,
        random: Random,
        standing: watch::Sender<Standing>,
    ) -> Self {
        Self {
            store,
            link,
            clock,
            random,
            pace: Pace::default(),
            standing,
            elsewhere: None,
            forked: None,
            batch: MAX_BYTES,
            #[cfg(any(test, feature = "simulation"))]
            planted: Planted::None,
        }
    }

    /// How the store gets on with HQ.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// With another pace.
    #[must_use]
    pub fn paced(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// Plants a defect.
    #[cfg(any(test, feature = "simulation"))]
    #[must_use]
    pub fn plant(mut self, planted: Planted) -> Self {
        self.planted = planted;
        self
    }

    /// Runs until `stop`, or until the store has left HQ. It may be dropped between any two steps.
    pub async fn run(&mut self, stop: &CancellationToken) {
        loop {
            let next = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                next = self.turn() => next,
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                left = self.wait(next) => if left { return },
            }
        }
    }

    /// Waits for what comes next; true if nothing does.
    async fn wait(&self, next: Next) -> bool {
        match next {
            Next::Again => {}
            Next::Left => return true,
            Next::Pause(pause) => self.clock.sleep(pause).await,
            Next::Idle(sent) => {
                tokio::select! {
                    biased;
                    more = self.store.beyond(sent) => if !more { return true },
                    () = self.clock.sleep(self.pace.idle) => return false,
                }
                self.clock.sleep(self.pace.gather).await;
            }
        }
        false
    }

    /// One exchange, and what follows from it.
    pub async fn turn(&mut self) -> Next {
        match self.exchange().await {
            Ok(next) => next,
            Err(Stopped::Store(error)) => self.back_off(error.0),
            Err(Stopped::Link(error)) => {
                if matches!(error, LinkError::Slow(_)) {
                    self.batch = (self.batch / 4).max(LEAST_BATCH);
                }
                self.back_off(error.to_string())
            }
            Err(Stopped::Plan(reason)) => self.back_off(reason),
        }
    }

    async fn exchange(&mut self) -> Result<Next, Stopped> {
        let Some(position) = self.store.position().await? else {
            return Ok(Next::Left);
        };
        let (after, after_hash, fork) = self.start(&position);
        let state = self.store.state().await?;
        let room = self.room(&position);
        let lines = self.store.lines(after, MAX_ENTRIES, room).await?;
        let sent = describe(&position, fork, (after, after_hash), &lines);
        let up = Up {
            protocol: VERSION,
            epoch: sent.epoch,
            fork: sent.fork.clone(),
            after,
            after_hash,
            entries: u32::try_from(lines.len()).unwrap_or(u32::MAX),
            commands_seen: position.commands_seen,
            state,
        };
        let exchanged = self.link.exchange(&up, &lines).await?;
        let down = exchanged.down;
        #[cfg(any(test, feature = "simulation"))]
        let down = self.spoil(down, &sent);
        let Some(place) = self.settle(&position, &sent, &down).await? else {
            // What came down is for a ledger that is no more; what this one has not done comes again.
            self.heard(&down);
            return Ok(Next::Again);
        };
        if !down.commands.is_empty() {
            self.store.keep(down.commands.clone()).await?;
        }
        self.store.apply(down.wanted.clone()).await?;
        self.heard(&down);
        self.batch = self.batch.saturating_mul(2).min(MAX_BYTES);
        if let Some(pause) = pause_for(exchanged.sent, position.bytes_per_second)
            && !lines.is_empty()
        {
            return Ok(Next::Pause(pause));
        }
        let is_all = lines.is_empty() && place == after;
        Ok(if up.state.last_seq > place && !is_all {
            Next::Again
        } else {
            Next::Idle(place.max(up.state.last_seq))
        })
    }

    /// Where this batch begins.
    fn start(&self, position: &Position) -> (i64, ChainHash, Option<Fork>) {
        match &self.elsewhere {
            Some(known) if known.epoch == position.epoch && known.acked == position.acked => {
                (known.place.at, known.place.hash, known.place.fork.clone())
            }
            _ => (position.acked, position.hash, position.fork.clone()),
        }
    }

    /// Bytes of the next batch.
    fn room(&self, position: &Position) -> usize {
        let Some(limit) = position.bytes_per_second else {
            return self.batch;
        };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        limit
            .saturating_mul(SECONDS_A_BATCH)
            .max(LEAST_BATCH)
            .min(self.batch)
    }

    /// Puts into effect what the answer means; where HQ stands then, or none after a fork.
    async fn settle(
        &mut self,
        position: &Position,
        sent: &Sent,
        down: &Down,
    ) -> Result<Option<i64>, Stopped> {
        let meaning = match read(sent, down) {
            Reading::Clear(meaning) => meaning,
            Reading::Look { at } => {
                let own = self.own_hash(position, at).await?;
                #[cfg(any(test, feature = "simulation"))]
                let own = match self.planted {
                    Planted::HashesForgotten => Some(down.hash),
                    _ => own,
                };
                looked(sent, down, own)
            }
        };
        match meaning {
            Meaning::Taken(place) => {
                let at = place.at;
                self.acknowledged(position, place).await?;
                Ok(Some(at))
            }
            Meaning::Fork { reason } => {
                self.fork(&reason).await?;
                Ok(None)
            }
            Meaning::BackOff { reason } => Err(Stopped::Plan(reason)),
        }
    }

    /// The own hash at a line, walked from the nearest known one.
    async fn own_hash(&self, position: &Position, at: i64) -> Result<Option<ChainHash>, Stopped> {
        if at == position.acked {
            return Ok(Some(position.hash));
        }
        let (from, hash) = if at > position.acked {
            (position.acked, position.hash)
        } else {
            (0, ChainHash::START)
        };
        if at == 0 {
            return Ok(Some(ChainHash::START));
        }
        Ok(self.store.hash_at(from, hash, at).await?)
    }

    /// HQ has everything up to a place. One that is behind what HQ had acknowledged before (HQ's database was put
    /// back) is remembered here alone: what was acknowledged once stays so in the store.
    async fn acknowledged(&mut self, position: &Position, place: Place) -> Result<(), Stopped> {
        let is_news = place.at > position.acked || position.fork.is_some();
        if place.is_own && place.at >= position.acked {
            if is_news {
                let acknowledging = self.store.acknowledge(position.epoch, place.at, place.hash);
                acknowledging.await?;
            }
            self.elsewhere = None;
            return Ok(());
        }
        let is_known = place.at == position.acked && place.fork == position.fork;
        self.elsewhere = (!is_known).then_some(Elsewhere {
            epoch: position.epoch,
            acked: position.acked,
            place,
        });
        Ok(())
    }

    /// Begins a new series, unless one was begun just now.
    async fn fork(&mut self, reason: &str) -> Result<(), Stopped> {
        #[cfg(any(test, feature = "simulation"))]
        if self.planted == Planted::NeverForks {
            return Err(Stopped::Plan(reason.to_owned()));
        }
        let now = self.clock.boot();
        let is_soon = |then: Duration| now.saturating_sub(then) < self.pace.between_forks;
        if self.forked.is_some_and(is_soon) {
            return Err(Stopped::Plan(format!(
                "{reason}. A new series was begun just now; the next one waits. If another machine works with a copy \
                 of this ledger, stop it"
            )));
        }
        tracing::warn!(reason, "a new series of lines begins at head office");
        self.store.fork(reason).await?;
        self.forked = Some(now);
        self.elsewhere = None;
        Ok(())
    }

    fn heard(&self, down: &Down) {
        let (wall, boot) = (self.clock.wall(), self.clock.boot());
        self.standing.send_modify(|standing| {
            if let Some(trouble) = standing.trouble.take() {
                tracing::info!(tries = trouble.tries, "head office answers again");
            }
            standing.heard = Some(wall);
            standing.hq_clock = Some((down.now, boot));
        });
    }

    /// The pause before the next try; nothing ends it early.
    fn back_off(&self, reason: String) -> Next {
        let now = self.clock.wall();
        let mut tries = 1;
        self.standing.send_modify(|standing| {
            let before = standing.trouble.take();
            let is_same = before.as_ref().is_some_and(|b| b.reason == reason);
            tries = before.as_ref().map_or(1, |b| b.tries.saturating_add(1));
            let since = before.map_or(now, |before| before.since);
            if is_same {
                tracing::debug!(reason, tries, "still not with head office");
            } else {
                tracing::warn!(reason, "nothing goes to head office; selling goes on");
            }
            standing.trouble = Some(Trouble {
                reason,
                since,
                tries,
            });
        });
        Next::Pause(pause(&self.pace, tries, (self.random)()))
    }

    #[cfg(any(test, feature = "simulation"))]
    fn spoil(&self, mut down: Down, sent: &Sent) -> Down {
        if self.planted == Planted::SentIsAcknowledged {
            down.epoch = Some(sent.epoch);
            down.acked = sent.last;
            down.hash = sent.last_hash;
        }
        down
    }
}

impl<S, L> std::fmt::Debug for Agent<S, L> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Agent").finish_non_exhaustive()
    }
}

/// Why an exchange has not come about.
enum Stopped {
    Store(StoreError),
    Link(LinkError),
    Plan(String),
}

impl From<StoreError> for Stopped {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<LinkError> for Stopped {
    fn from(error: LinkError) -> Self {
        Self::Link(error)
    }
}

fn describe(
    position: &Position,
    fork: Option<Fork>,
    (after, after_hash): (i64, ChainHash),
    lines: &[Line],
) -> Sent {
    let chained = |hash: ChainHash, line: &Line| hash.then(&line.bytes);
    Sent {
        epoch: position.epoch,
        is_borrowed: fork != position.fork,
        fork,
        after,
        after_hash,
        entries: lines.len(),
        last: lines.last().map_or(after, |line| line.seq),
        last_hash: lines.iter().fold(after_hash, chained),
    }
}

/// How long the line rests after so many bytes.
fn pause_for(sent: usize, limit: Option<u32>) -> Option<Duration> {
    let limit = u64::from(limit?).max(1);
    let millis = u64::try_from(sent).unwrap_or(u64::MAX).saturating_mul(1000) / limit;
    (millis > 0).then(|| Duration::from_millis(millis))
}

/// Doubles from try to try; the jitter chooses between half of it and the whole, so that the stores of a tenant do not
/// come back in the same second.
fn pause(pace: &Pace, tries: u32, random: u64) -> Duration {
    let doublings = tries.saturating_sub(1).min(16);
    let ceiling = pace.first_pause.saturating_mul(1 << doublings);
    let ceiling = ceiling.min(pace.longest_pause);
    let half = ceiling / 2;
    let room = u64::try_from(half.as_millis()).unwrap_or(u64::MAX);
    half + Duration::from_millis(random % (room + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From a second to five minutes, never more, never less than half.
    #[test]
    fn pauses() {
        let pace = Pace::default();
        for (tries, seconds) in [(1, 1), (2, 2), (3, 4), (9, 256), (10, 300), (u32::MAX, 300)] {
            let ceiling = Duration::from_secs(seconds);
            for random in (0..2000).map(|step| step * 977) {
                let pause = pause(&pace, tries, random);
                assert!(
                    pause <= ceiling && pause >= ceiling / 2,
                    "{tries}: {pause:?}"
                );
            }
            let spread: std::collections::BTreeSet<_> = (0..100)
                .map(|random| pause(&pace, tries, random * 7919))
                .collect();
            assert!(spread.len() > 50);
        }
    }

    /// A limit of bytes is kept over the time; without one nothing waits.
    #[test]
    fn limits() {
        assert_eq!(pause_for(20_000, Some(1000)), Some(Duration::from_secs(20)));
        assert_eq!(pause_for(0, Some(1000)), None);
        assert_eq!(pause_for(1_000_000, None), None);
    }

    /// HQ's clock goes on with the boot clock, whatever the wall clock does.
    #[test]
    fn clock_of_hq() {
        let standing = Standing {
            hq_clock: Some((5_000, Duration::from_secs(10))),
            ..Standing::default()
        };
        assert_eq!(standing.hq_now(Duration::from_secs(12)), Some(7_000));
        assert_eq!(Standing::default().hq_now(Duration::from_secs(12)), None);
    }
}
