//! Which backups are kept: the latest of each of the last days and weeks.

use std::collections::BTreeSet;

use super::Manifest;
use crate::config::Keep;

/// The backups that are kept no longer; `all` is oldest first. The latest one of all always stays, and another ledger's
/// backups are never touched.
#[must_use]
pub fn surplus(all: &[Manifest], keep: Keep) -> Vec<Manifest> {
    let Some(latest) = all.last() else {
        return Vec::new();
    };
    let ours = all
        .iter()
        .filter(|one| one.ends.ledger == latest.ends.ledger);
    let mut days = BTreeSet::new();
    let mut weeks = BTreeSet::new();
    let mut gone = Vec::new();
    for one in ours.rev() {
        let date = clock::local(one.made).date();
        let week = date.iso_week_date();
        let is_new_day = !days.contains(&date) && days.len() < size(keep.daily);
        let week = (week.year(), week.week());
        let is_new_week = !weeks.contains(&week) && weeks.len() < size(keep.weekly);
        if is_new_day {
            days.insert(date);
        }
        if is_new_week {
            weeks.insert(week);
        }
        if !is_new_day && !is_new_week && one != latest {
            gone.push(one.clone());
        }
    }
    gone.reverse();
    gone
}

fn size(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::copies::Ends;

    fn made(at: &str, ledger: &str) -> Manifest {
        Manifest {
            file: format!("ledger-{at}.db"),
            made: at.parse().unwrap(),
            version: String::new(),
            sha256: String::new(),
            bytes: 0,
            archives: std::collections::BTreeMap::new(),
            ends: Ends {
                ledger: ledger.to_owned(),
                last_event: 0,
                last_audit: 0,
                audit_hash: None,
                tills: Vec::new(),
            },
        }
    }

    /// Twice a day for ten weeks: of the last three days and four weeks one each is left, the latest of each.
    #[test]
    fn one_of_each_day_and_week() {
        let start: clock::Timestamp = "2026-03-02T10:00:00Z".parse().unwrap();
        let mut all = vec![made("2026-01-01T00:00:00Z", "another")];
        for half_day in 0..140_i64 {
            let at = start + jiff::SignedDuration::from_hours(12 * half_day);
            all.push(made(&at.to_string(), "ours"));
        }
        let keep = Keep {
            daily: 3,
            weekly: 4,
        };
        let gone = surplus(&all, keep);
        let left: Vec<_> = all.iter().filter(|one| !gone.contains(one)).collect();
        let names: Vec<&str> = left.iter().map(|one| one.file.as_str()).collect();
        assert_eq!(
            names,
            [
                "ledger-2026-01-01T00:00:00Z.db",
                "ledger-2026-04-26T10:00:00Z.db",
                "ledger-2026-05-03T10:00:00Z.db",
                "ledger-2026-05-09T10:00:00Z.db",
                "ledger-2026-05-10T10:00:00Z.db",
                // Local time is two hours ahead: this is the 11th, a Monday.
                "ledger-2026-05-10T22:00:00Z.db",
            ]
        );
        // Rotating again takes nothing more away.
        let left: Vec<_> = left.into_iter().cloned().collect();
        assert_eq!(surplus(&left, keep), []);
    }

    /// The last one stays, whatever is asked for.
    #[test]
    fn the_latest_stays() {
        let all = [
            made("2026-03-02T10:00:00Z", "a"),
            made("2026-03-03T10:00:00Z", "a"),
        ];
        let none = Keep {
            daily: 0,
            weekly: 0,
        };
        assert_eq!(surplus(&all, none), [all[0].clone()]);
        assert_eq!(surplus(&[], none), []);
    }
}
