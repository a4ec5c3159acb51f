//! How a till's fiscal days open and close, as the shop wants it.

use std::fmt;

use fiscal::DateTime;
use fiscal::day::last_moment;
use jiff::{Span, ToSpan as _};

pub use sync_wire::settings::{Answers, DayClosing, DayOpening, PrintPolicy};

/// So long before its longest a day is closed that nobody has closed: sales that are on their way still
/// belong to it, and the clock may be a little off.
const BEFORE_LONGEST_MINUTES: i64 = 10;

/// How a till's days open and close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DayPolicy {
    /// How they open.
    pub opening: DayOpening,
    /// How they close.
    pub closing: DayClosing,
}

impl DayPolicy {
    /// When a day that was opened at `opened` is closed by itself; `None`: a person closes it.
    #[must_use]
    pub fn closes_at(&self, opened: DateTime, max_hours: u32) -> Option<DateTime> {
        let margin = Span::new().minutes(BEFORE_LONGEST_MINUTES);
        let longest = last_moment(opened, max_hours).saturating_sub(margin);
        let longest = longest.max(opened);
        match self.closing {
            DayClosing::ByHand => None,
            DayClosing::BeforeLongest => Some(longest),
            DayClosing::At(time) => {
                let today = opened.date().to_datetime(time);
                let next = if today > opened {
                    today
                } else {
                    today.saturating_add(1.day())
                };
                Some(next.min(longest))
            }
        }
    }
}

impl fmt::Display for DayPolicy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let opened = match self.opening {
            DayOpening::FirstSale => "opened by the first sale",
            DayOpening::ByHand => "opened by hand",
        };
        match self.closing {
            DayClosing::ByHand => write!(formatter, "{opened}, closed by hand"),
            DayClosing::At(time) => {
                write!(formatter, "{opened}, closed at {}", time.strftime("%H:%M"))
            }
            DayClosing::BeforeLongest => {
                write!(
                    formatter,
                    "{opened}, closed {BEFORE_LONGEST_MINUTES} minutes before its longest"
                )
            }
        }
    }
}

/// From when on the cashier is warned that the day nears its longest (docs/FDMS.md section 4).
#[must_use]
pub fn warned_from(opened: DateTime, max_hours: u32, notification_hours: u32) -> DateTime {
    let before = Span::new().hours(i64::from(notification_hours.min(max_hours)));
    last_moment(opened, max_hours).saturating_sub(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> DateTime {
        text.parse().unwrap()
    }

    fn closing(text: &str) -> Result<DayPolicy, String> {
        let closing = DayClosing::try_from(text.to_owned())?;
        Ok(DayPolicy {
            closing,
            ..DayPolicy::default()
        })
    }

    /// By hand never; at the time of day that comes next; before the longest in any case.
    #[test]
    fn when_days_close() {
        for (policy, opened, hours, expected) in [
            ("by_hand", "2026-05-28T07:00:00", 24, None),
            (
                "22:30",
                "2026-05-28T07:00:00",
                24,
                Some("2026-05-28T22:30:00"),
            ),
            (
                "22:30",
                "2026-05-28T22:30:00",
                24,
                Some("2026-05-29T22:20:00"),
            ),
            (
                "22:30",
                "2026-05-28T23:00:00",
                24,
                Some("2026-05-29T22:30:00"),
            ),
            (
                "22:30",
                "2026-05-28T07:00:00",
                12,
                Some("2026-05-28T18:50:00"),
            ),
            (
                "02:00",
                "2026-05-28T18:00:00",
                24,
                Some("2026-05-29T02:00:00"),
            ),
            (
                "before_longest",
                "2026-05-28T07:00:00",
                24,
                Some("2026-05-29T06:50:00"),
            ),
            (
                "before_longest",
                "2026-05-28T07:00:00",
                0,
                Some("2026-05-28T07:00:00"),
            ),
        ] {
            let at = closing(policy).unwrap().closes_at(date(opened), hours);
            assert_eq!(at, expected.map(date), "{policy} {opened} {hours}");
        }
        assert_eq!(
            closing("22:30").unwrap().to_string(),
            "opened by the first sale, closed at 22:30"
        );
    }

    /// So many hours before the longest, and never before the opening.
    #[test]
    fn when_the_cashier_is_warned() {
        let opened = date("2026-05-28T07:00:00");
        assert_eq!(warned_from(opened, 24, 2), date("2026-05-29T05:00:00"));
        assert_eq!(warned_from(opened, 24, 100), opened);
    }
}
