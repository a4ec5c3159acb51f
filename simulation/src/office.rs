//! Head office as the store sees it: takes batches by the rule of `sync_wire::exchange`, behind a line like FDMS's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clock::Clock as _;
use fiscal::testing::Random;
use sync_agent::{Exchanged, Line, Link, LinkError};
use sync_wire::chain::ChainHash;
use sync_wire::exchange::{Down, Up};
use sync_wire::state::Wanted;
use uuid::Uuid;

use crate::Defect;
use crate::disk::Disk;
use crate::time::Hours;
use crate::weather::{Fate, Weather};

/// A series: all lines of it from the very first on, with the hash after each.
type Series = Vec<(Line, ChainHash)>;

/// What head office has.
#[derive(Debug, Clone, Default)]
pub(crate) struct Books {
    series: BTreeMap<Uuid, Series>,
    newest: Option<Uuid>,
    /// A line that was taken again, the first of them.
    pub(crate) doubled: Option<i64>,
}

impl Books {
    /// Its end: the newest series, its last line, the hash up to it.
    pub(crate) fn end(&self) -> (Option<Uuid>, i64, ChainHash) {
        let series = self.newest.and_then(|epoch| self.series.get(&epoch));
        let last = series.and_then(|series| series.last());
        let last = last.map_or((0, ChainHash::START), |(line, hash)| (line.seq, *hash));
        (self.newest, last.0, last.1)
    }

    /// The lines of the newest series.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &Line> {
        let series = self.newest.and_then(|epoch| self.series.get(&epoch));
        series.into_iter().flatten().map(|(line, _)| line)
    }

    /// The rule: only what begins where the past ends, by number and by hash.
    fn take(&mut self, up: &Up, lines: &[Line], compares: bool) -> usize {
        if lines.is_empty() {
            return 0;
        }
        let goes_on = self.end() == (Some(up.epoch), up.after, up.after_hash);
        let is_known = self.series.contains_key(&up.epoch);
        if goes_on || (is_known && !compares) {
            self.append(up.epoch, lines);
            return lines.len();
        }
        if is_known {
            return 0;
        }
        let before: Series = match (&up.fork, self.newest) {
            (None, None) if up.after == 0 && up.after_hash == ChainHash::START => Vec::new(),
            (Some(fork), Some(_)) if (fork.at, fork.hash) == (up.after, up.after_hash) => {
                let Some(parent) = self.series.get(&fork.parent) else {
                    return 0;
                };
                let common = parent.iter().filter(|(line, _)| line.seq <= fork.at);
                let common: Series = common.cloned().collect();
                let last = common.last();
                let last = last.map_or((0, ChainHash::START), |(line, hash)| (line.seq, *hash));
                if last != (fork.at, fork.hash) {
                    return 0;
                }
                common
            }
            _ => return 0,
        };
        self.series.insert(up.epoch, before);
        self.newest = Some(up.epoch);
        self.append(up.epoch, lines);
        lines.len()
    }

    fn append(&mut self, epoch: Uuid, lines: &[Line]) {
        let series = self.series.entry(epoch).or_default();
        let mut hash = series.last().map_or(ChainHash::START, |(_, hash)| *hash);
        for line in lines {
            if series.last().is_some_and(|(last, _)| last.seq >= line.seq) {
                self.doubled.get_or_insert(line.seq);
            }
            hash = hash.then(&line.bytes);
            series.push((line.clone(), hash));
        }
    }
}

#[derive(Debug)]
struct State {
    books: Books,
    copy: Option<Books>,
    weather: Weather,
    random: Random,
    late: Vec<(Duration, Up, Vec<Line>)>,
    defect: Defect,
}

/// Head office and the line to it. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Office {
    hours: Hours,
    disk: Disk,
    state: Arc<Mutex<State>>,
}

impl Office {
    pub(crate) fn new(hours: Hours, disk: Disk, defect: Defect) -> Self {
        Self {
            hours,
            disk,
            state: Arc::new(Mutex::new(State {
                books: Books::default(),
                copy: None,
                weather: Weather::Fair,
                random: Random::new(0),
                late: Vec::new(),
                defect,
            })),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_weather(&self, weather: Weather) {
        self.lock().weather = weather;
    }

    pub(crate) fn reseed(&self, seed: u64) {
        self.lock().random = Random::new(seed);
    }

    /// Looks at the books.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Books) -> T) -> T {
        look(&self.lock().books)
    }

    /// The books are copied.
    pub(crate) fn back_up(&self) {
        let mut state = self.lock();
        state.copy = Some(state.books.clone());
    }

    /// The books are put back from their copy; false if there is none.
    pub(crate) fn put_back(&self) -> bool {
        let mut state = self.lock();
        match state.copy.take() {
            Some(copy) => {
                state.books = copy;
                true
            }
            None => false,
        }
    }

    /// When the next late batch arrives.
    pub(crate) fn next_late(&self) -> Option<Duration> {
        self.lock().late.iter().map(|(at, ..)| *at).min()
    }

    /// Late batches whose time has come arrive.
    pub(crate) fn deliver_late(&self) {
        let now = self.hours.passed();
        let mut state = self.lock();
        let (due, later) = std::mem::take(&mut state.late)
            .into_iter()
            .partition(|(at, ..)| *at <= now);
        state.late = later;
        for (_, up, lines) in due {
            // Nobody hears the answer.
            let _ = self.answer(&mut state, &up, &lines);
        }
    }

    fn answer(&self, state: &mut State, up: &Up, lines: &[Line]) -> Down {
        let taken = state
            .books
            .take(up, lines, state.defect != Defect::OfficeDoubles);
        let (epoch, acked, hash) = state.books.end();
        let now = self.hours.true_clock().wall().as_millisecond();
        Down {
            epoch,
            acked,
            hash,
            taken: u32::try_from(taken).unwrap_or(u32::MAX),
            commands: Vec::new(),
            wanted: Wanted::default(),
            now,
        }
    }

    async fn pass(&self, time: Duration) {
        self.hours.true_clock().sleep(time).await;
        if self.disk.is_off() {
            std::future::pending::<()>().await;
        }
    }
}

impl Link for Office {
    async fn exchange(&self, up: &Up, lines: &[Line]) -> Result<Exchanged, LinkError> {
        let away = || LinkError::Away("the line is cut".to_owned());
        if self.disk.is_off() {
            std::future::pending::<()>().await;
        }
        let (fate, there, back) = {
            let mut state = self.lock();
            let State {
                weather, random, ..
            } = &mut *state;
            (
                weather.draw(random),
                weather.way(random),
                weather.way(random),
            )
        };
        self.pass(there).await;
        match fate {
            Fate::NotReached | Fate::RequestLost | Fate::Status(_, false) => return Err(away()),
            Fate::Late(later) => {
                let at = self.hours.passed() + later;
                self.lock().late.push((at, up.clone(), lines.to_vec()));
                return Err(LinkError::Slow("no answer in time".to_owned()));
            }
            _ => {}
        }
        let down = {
            let mut state = self.lock();
            let first = self.answer(&mut state, up, lines);
            if fate == Fate::Twice {
                self.answer(&mut state, up, lines)
            } else {
                first
            }
        };
        self.pass(back).await;
        match fate {
            Fate::Answered | Fate::Twice => Ok(Exchanged {
                down,
                sent: lines.iter().map(|line| line.bytes.len()).sum(),
            }),
            _ => Err(away()),
        }
    }
}
