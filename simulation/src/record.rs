//! What has been simulated so far: a file, so that a long simulation can be stopped and gone on with, and that several
//! machines' parts can be added up.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Done;

/// The totals of many runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    /// The first seed.
    pub first: u64,
    /// How many seeds have been run from there on.
    pub seeds: u64,
    /// Sales wanted of each.
    pub sales_each: u64,
    /// The code that ran, as git names it.
    #[serde(default)]
    pub commit: String,
    /// Which of how many shards this is, counted from zero.
    #[serde(default = "whole")]
    pub shard: (u64, u64),
    /// What happened.
    pub done: Done,
    /// Real time that it took, milliseconds.
    pub millis: u64,
    /// The seeds that failed, with what broke.
    pub failed: Vec<(u64, String)>,
}

fn whole() -> (u64, u64) {
    (0, 1)
}

impl Record {
    /// Whether a seed, counted from the first, is one of this shard's.
    #[must_use]
    pub fn has(&self, place: u64) -> bool {
        place % self.shard.1.max(1) == self.shard.0
    }

    /// How many seeds of this shard have been run.
    #[must_use]
    pub fn ran(&self) -> u64 {
        let (part, of) = self.shard;
        self.seeds.saturating_sub(part).div_ceil(of.max(1))
    }

    /// Whether both are parts, or the same part, of one simulation of one code.
    #[must_use]
    pub fn is_kin(&self, other: &Self) -> bool {
        let kin = |record: &Self| {
            (
                record.first,
                record.sales_each,
                record.commit.clone(),
                record.shard.1,
            )
        };
        kin(self) == kin(other)
    }

    /// The figures of all shards of a simulation together.
    ///
    /// # Errors
    /// They are not of one simulation, or one is there twice.
    pub fn total(records: &[Self]) -> Result<Value> {
        let first = records.first().context("there is nothing to add up")?;
        let mut parts = BTreeSet::new();
        let (mut seeds, mut millis, mut failures) = (0, 0, 0);
        let mut done = Done::default();
        for record in records {
            ensure!(
                record.is_kin(first),
                "these are not of one simulation: other seeds, sales, shards or another commit"
            );
            ensure!(
                parts.insert(record.shard.0),
                "shard {}/{} is there twice",
                record.shard.0 + 1,
                record.shard.1
            );
            seeds += record.ran();
            millis += record.millis;
            failures += record.failed.len();
            done += record.done;
        }
        Ok(json!({
            "firstSeed": first.first,
            "seeds": seeds,
            "shards": records.len(),
            "sales": done.sales,
            "steps": done.steps,
            "askedAgain": done.repeated,
            "refused": done.refused,
            "fullDisk": done.failed,
            "held": done.held,
            "acts": done.acts,
            "crashes": done.crashes,
            "failedSyncs": done.faults,
            "starts": done.starts,
            "requests": done.asked,
            "badExchanges": done.hurt,
            "lostAtFdms": done.lost_at_fdms,
            "badPages": done.bad_pages,
            "simulatedHours": done.seconds / 3600,
            "seconds": millis / 1000,
            "failures": failures,
        }))
    }

    /// Reads what an earlier simulation has left; none if there is no file.
    ///
    /// # Errors
    /// The file cannot be read, or is none of these.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        if !path.exists() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        let record = serde_json::from_str(&text).with_context(|| {
            format!(
                "{} is no record of a simulation; name another file",
                path.display()
            )
        })?;
        Ok(Some(record))
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let draft = path.with_extension("new");
        let said = || format!("{} cannot be written", path.display());
        std::fs::write(&draft, serde_json::to_vec_pretty(self)?).with_context(said)?;
        std::fs::rename(&draft, path).with_context(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(part: u64, of: u64, seeds: u64) -> Record {
        Record {
            first: 1,
            seeds,
            sales_each: 10,
            commit: "abc".to_owned(),
            shard: (part, of),
            done: Done {
                sales: 5,
                ..Done::default()
            },
            ..Record::default()
        }
    }

    /// A shard counts the seeds that it has run, not those that it went past.
    #[test]
    fn seeds_are_counted_where_they_ran() {
        for seeds in 0..12 {
            let shards = [0, 1, 2, 3].map(|part| shard(part, 4, seeds));
            for record in &shards {
                let ran = (0..seeds).filter(|place| record.has(*place)).count();
                assert_eq!(usize::try_from(record.ran()).unwrap(), ran, "{record:?}");
            }
            assert_eq!(shards.iter().map(Record::ran).sum::<u64>(), seeds);
        }
    }

    /// Shards of one simulation are added up; a failure of any is one of all; what is not of one, or twice, is not added.
    #[test]
    fn shards_are_added_up() {
        let total = |records: &[Record]| Record::total(records);
        let mut failed = shard(1, 2, 9);
        failed.failed.push((4, "a receipt is gone".to_owned()));
        let figures = total(&[shard(0, 2, 9), failed]).unwrap();
        assert_eq!(
            [&figures["seeds"], &figures["sales"], &figures["failures"]],
            [9, 10, 1]
        );
        let other = Record {
            commit: "def".to_owned(),
            ..shard(1, 2, 9)
        };
        assert!(total(&[shard(0, 2, 9), other]).is_err());
        assert!(total(&[shard(0, 2, 9), shard(0, 2, 9)]).is_err());
        assert!(total(&[shard(0, 2, 9), shard(1, 3, 9)]).is_err());
        assert!(total(&[]).is_err());
    }

    /// A record that was written before it named its code is read, and is of no code.
    #[test]
    fn older_records_are_read() {
        let mut old = serde_json::to_value(shard(0, 1, 3)).unwrap();
        let fields = old.as_object_mut().unwrap();
        fields.remove("commit");
        fields.remove("shard");
        let read: Record = serde_json::from_value(old).unwrap();
        assert_eq!((read.shard, read.commit.as_str()), ((0, 1), ""));
    }
}
