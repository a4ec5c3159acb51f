//! What head office may set in a store. What it does not set stands in the store's own configuration file, and what that
//! says of a single till stands above both: how a till differs from its store is known there.

use std::fmt;

use jiff::civil::Time;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// Longest that an answer waits for FDMS, milliseconds.
pub const MAX_WAIT_MS: u32 = 60_000;

/// Settings of a store, each of them or none: those of `[store]` in its configuration file, by the same names and words.
///
/// A word that the reader does not know, since the other side is newer, is as if it were not there: it must not stop the
/// exchange of everything else.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StoreSettings {
    /// Currencies that may be sold in: three letters each.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "known")]
    pub currencies: Option<Vec<String>>,
    /// Who opens fiscal days.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "known")]
    pub day_opening: Option<DayOpening>,
    /// Who closes them.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "known")]
    pub day_closing: Option<DayClosing>,
    /// Whether a day that has lasted its longest is closed and the next opened by itself.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "known")]
    pub rollover_offline: Option<bool>,
    /// When a sale is answered.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "known")]
    pub answers: Option<Answers>,
    /// How long an `online` answer waits for FDMS, milliseconds; at most [`MAX_WAIT_MS`].
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "known")]
    pub online_wait_ms: Option<u32>,
    /// Whether receipts are printed by themselves.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "known")]
    pub print: Option<PrintPolicy>,
}

/// A setting whose word is known.
fn known<'de, D: Deserializer<'de>, T: DeserializeOwned>(read: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(read)?).ok())
}

impl StoreSettings {
    /// Nothing is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What is set, for people: `day_opening "by_hand", print "never"`; empty if nothing is.
impl fmt::Display for StoreSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = serde_json::to_value(self).map_err(|_| fmt::Error)?;
        let set = all.as_object().into_iter().flatten();
        let set: Vec<String> = set.map(|(name, value)| format!("{name} {value}")).collect();
        formatter.write_str(&set.join(", "))
    }
}

/// How days open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DayOpening {
    /// The first sale opens the day.
    #[default]
    FirstSale,
    /// A person opens it.
    ByHand,
}

/// How days close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DayClosing {
    /// A person closes it. One that has lasted its longest is closed by the next sale.
    #[default]
    ByHand,
    /// At this time of day, but never later than before its longest.
    At(Time),
    /// Ten minutes before its longest.
    BeforeLongest,
}

impl TryFrom<String> for DayClosing {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.as_str() {
            "by_hand" => Ok(Self::ByHand),
            "before_longest" => Ok(Self::BeforeLongest),
            time => Time::strptime("%H:%M", time).map(Self::At).map_err(|_| {
                format!(
                    "day_closing = \"{time}\" is not known; write \"by_hand\", \"before_longest\" or a time like \"22:30\""
                )
            }),
        }
    }
}

impl fmt::Display for DayClosing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByHand => formatter.write_str("by_hand"),
            Self::BeforeLongest => formatter.write_str("before_longest"),
            Self::At(time) => write!(formatter, "{:02}:{:02}", time.hour(), time.minute()),
        }
    }
}

impl From<DayClosing> for String {
    fn from(closing: DayClosing) -> Self {
        closing.to_string()
    }
}

/// When a sale is answered. That a device reports by file is the authority's word, not a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answers {
    /// At once; FDMS hears of it later.
    #[default]
    Hybrid,
    /// With FDMS's result, where it comes within the wait; else as `hybrid`.
    Online,
}

/// Whether receipts are printed by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrintPolicy {
    /// Each, unless the sale says `"print": false`.
    #[default]
    Always,
    /// Those whose sale says `"print": true`, and any later by command.
    OnRequest,
    /// None but by command.
    Never,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is not set is not in the message, what is set comes back the same; a time of day is minutes of a clock.
    #[test]
    fn settings_travel() {
        let nothing = serde_json::to_string(&StoreSettings::default()).unwrap();
        assert_eq!(nothing, "{}");
        let text = r#"{"currencies":["USD"],"day_opening":"by_hand","day_closing":"07:05","rollover_offline":false,"answers":"online","online_wait_ms":3000,"print":"on_request"}"#;
        let all: StoreSettings = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&all).unwrap(), text);
        assert!(!all.is_empty() && StoreSettings::default().is_empty());
        // What is not known here is left out, and nothing else with it.
        let newer = r#"{"print":"on_tuesdays","day_closing":"at_dusk","answers":7,"currencies":"USD","online_wait_ms":-1,
            "rollover_offline":"x","day_opening":"by_hand","footer":{}}"#;
        let newer: StoreSettings = serde_json::from_str(newer).unwrap();
        let only = StoreSettings {
            day_opening: Some(DayOpening::ByHand),
            ..StoreSettings::default()
        };
        assert_eq!(newer, only);
        assert_eq!(only.to_string(), r#"day_opening "by_hand""#);
        assert_eq!(StoreSettings::default().to_string(), "");
        for closing in ["by_hand", "before_longest", "22:30", "00:00"] {
            let read = DayClosing::try_from(closing.to_owned()).unwrap();
            assert_eq!(read.to_string(), closing);
        }
        for wrong in ["25:00", "22.30", "", "never"] {
            let why = DayClosing::try_from(wrong.to_owned()).unwrap_err();
            assert!(why.contains("22:30"), "{wrong}");
        }
    }
}
