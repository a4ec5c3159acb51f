//! The spool as the daemon keeps it, in memory: a receipt is an original on its first job, and whatever
//! follows an outcome that nobody knows is a copy.

use drivers::job::{JobId, JobState, Level, UnknownReason};
use drivers::page::{Bitmap, Item, Line, Page};

use crate::dice::Dice;

/// A receipt to be printed.
#[derive(Debug, Clone)]
pub(crate) struct Receipt {
    pub(crate) name: String,
    pub(crate) lines: Vec<String>,
    pub(crate) qr: bool,
    pub(crate) picture: bool,
}

impl Receipt {
    pub(crate) fn random(number: usize, dice: &mut Dice) -> Self {
        let name = format!("R{number:04}");
        let count = 1 + dice.place(25);
        let lines =
            (0..count).map(|line| format!("{name} item {line:02} {:05}", dice.below(100_000)));
        Self {
            lines: lines.collect(),
            name,
            qr: dice.chance(50),
            picture: dice.chance(15),
        }
    }

    /// The line that says which it is.
    pub(crate) fn head(&self, copy: bool) -> String {
        let kind = if copy { "COPY" } else { "ORIGINAL" };
        format!("{kind} {}", self.name)
    }

    /// The last line.
    pub(crate) fn foot(&self) -> String {
        format!("{} END", self.name)
    }

    pub(crate) fn page(&self, copy: bool) -> Page {
        let line = |text: &str| Item::Line(Line::plain(text));
        let mut items = vec![line(&self.head(copy))];
        if self.picture {
            let mut logo = Bitmap::white(200, 60);
            (0..60).for_each(|at| logo.blacken(at * 3, at));
            items.push(Item::Picture(logo));
        }
        items.extend(self.lines.iter().map(|text| line(text)));
        if self.qr {
            items.push(Item::Qr(format!("https://fdms.invalid/{}", self.name)));
        }
        items.push(line(&self.foot()));
        items.push(Item::Cut);
        Page { items }
    }
}

/// A job as it is kept.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) id: JobId,
    pub(crate) receipt: usize,
    pub(crate) copy: bool,
    pub(crate) state: JobState,
}

impl Row {
    pub(crate) fn is_over(&self) -> bool {
        matches!(
            self.state,
            JobState::Done(_) | JobState::Unknown(_) | JobState::Failed(_)
        )
    }

    /// Whether it is believed to be on paper.
    pub(crate) fn is_believed(&self) -> bool {
        matches!(
            self.state,
            JobState::Done(Level::Printed | Level::Processed)
        )
    }
}

/// The spool.
#[derive(Debug, Default)]
pub(crate) struct Spool {
    pub(crate) receipts: Vec<Receipt>,
    pub(crate) jobs: Vec<Row>,
    /// The job that was begun last.
    pub(crate) last: Option<JobId>,
    /// A planted defect: what follows an unknown outcome is an original again.
    pub(crate) resends_originals: bool,
}

impl Spool {
    pub(crate) fn add(&mut self, receipt: Receipt) {
        self.receipts.push(receipt);
        self.enqueue(self.receipts.len() - 1, false);
    }

    fn enqueue(&mut self, receipt: usize, copy: bool) {
        let id = JobId(i64::try_from(self.jobs.len()).expect("it is small") + 1);
        self.jobs.push(Row {
            id,
            receipt,
            copy,
            state: JobState::Queued,
        });
    }

    /// The oldest job that waits.
    pub(crate) fn next(&self) -> Option<&Row> {
        let waits = |row: &&Row| matches!(row.state, JobState::Queued | JobState::Held(_));
        self.jobs.iter().find(waits)
    }

    pub(crate) fn row(&self, id: JobId) -> &Row {
        self.jobs
            .iter()
            .find(|row| row.id == id)
            .expect("it is ours")
    }

    pub(crate) fn keep(&mut self, id: JobId, state: &JobState) -> Result<(), String> {
        let row = self.jobs.iter_mut().find(|row| row.id == id);
        let row = row.ok_or("a state for a job that is none")?;
        if row.is_over() {
            let same = row.state == *state;
            return same
                .then_some(())
                .ok_or(format!("{row:?} ended, and then {state:?}"));
        }
        row.state = state.clone();
        if *state == JobState::Sending {
            self.last = Some(id);
        }
        let receipt = row.receipt;
        if matches!(state, JobState::Unknown(_)) {
            self.enqueue(receipt, !self.resends_originals);
        }
        Ok(())
    }

    /// After a start: what was under way is unknown. Whether the last job that was begun was not done.
    pub(crate) fn restart(&mut self) -> Result<bool, String> {
        let cut_short = self
            .jobs
            .iter()
            .filter(|row| matches!(row.state, JobState::Sending | JobState::AwaitAck));
        let ids: Vec<JobId> = cut_short.map(|row| row.id).collect();
        for id in &ids {
            self.keep(*id, &JobState::Unknown(UnknownReason::Restarted))?;
        }
        let last = self.last.map(|id| &self.row(id).state);
        Ok(last.is_some_and(|state| !matches!(state, JobState::Done(_))))
    }
}
