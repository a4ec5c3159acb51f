//! How the store does it: what it sells in, how its days open and close, when it answers, what it prints.
//!
//! The configuration file says so, and head office may say otherwise of the store as a whole (docs/HQ.md, Settings). What
//! the file says of a single till stands above both.

use std::collections::BTreeMap;
use std::time::Duration;

use fiscal::{Currency, DeviceId, TaxId};
use sync_wire::settings::StoreSettings;

use super::policy::{Answers, DayClosing, DayOpening, DayPolicy, PrintPolicy};
use super::{Environment, TillInfo};

/// How the store does it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Currencies that may be sold in.
    pub currencies: Vec<Currency>,
    /// The configuration's names for taxes.
    pub tax_aliases: BTreeMap<String, TaxId>,
    /// How days open and close.
    pub days: DayPolicy,
    /// Whether a day that has lasted its longest is closed, and the next opened, by the sale that finds it
    /// so, also without a connection (docs/FDMS.md section 4).
    pub rollover_offline: bool,
    /// When a sale is answered.
    pub answers: Answers,
    /// How long an `online` answer waits for FDMS, milliseconds.
    pub online_wait_ms: u32,
    /// Whether receipts are printed by themselves.
    pub print: PrintPolicy,
    /// Tills that do it otherwise.
    pub tills: BTreeMap<(Environment, DeviceId), TillSettings>,
}

/// What a till does otherwise than its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TillSettings {
    /// How its days open.
    pub opening: Option<DayOpening>,
    /// How they close.
    pub closing: Option<DayClosing>,
    /// Whether its receipts are printed by themselves.
    pub print: Option<PrintPolicy>,
}

impl Default for Settings {
    fn default() -> Self {
        let currencies = ["USD", "ZWG", "ZAR", "BWP", "GBP", "EUR"];
        Self {
            currencies: currencies
                .iter()
                .filter_map(|c| Currency::parse(c))
                .collect(),
            tax_aliases: BTreeMap::new(),
            days: DayPolicy::default(),
            rollover_offline: true,
            answers: Answers::default(),
            online_wait_ms: 5000,
            print: PrintPolicy::default(),
            tills: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// How a till's days open and close.
    #[must_use]
    pub fn policy(&self, till: &TillInfo) -> DayPolicy {
        self.days((till.environment, till.device_id))
    }

    /// The same by the till's name.
    #[must_use]
    pub fn days(&self, till: (Environment, DeviceId)) -> DayPolicy {
        let own = self.of(till);
        DayPolicy {
            opening: own.opening.unwrap_or(self.days.opening),
            closing: own.closing.unwrap_or(self.days.closing),
        }
    }

    /// Whether a till's receipts are printed by themselves.
    #[must_use]
    pub fn print(&self, till: (Environment, DeviceId)) -> PrintPolicy {
        self.of(till).print.unwrap_or(self.print)
    }

    fn of(&self, till: (Environment, DeviceId)) -> TillSettings {
        self.tills.get(&till).copied().unwrap_or_default()
    }

    /// How long a sale's answer waits for FDMS, where the sale does not say.
    #[must_use]
    pub fn wait(&self) -> Duration {
        match self.answers {
            Answers::Hybrid => Duration::ZERO,
            Answers::Online => Duration::from_millis(self.online_wait_ms.into()),
        }
    }

    /// These, and in the store as a whole what head office has set.
    #[must_use]
    pub fn steered(&self, by: &StoreSettings) -> Self {
        let mut steered = self.clone();
        let named = by.currencies.iter().flatten();
        let named: Vec<Currency> = named.filter_map(|name| Currency::parse(name)).collect();
        // A store that may sell in no currency is nothing that anybody can have meant.
        if !named.is_empty() {
            steered.currencies = named;
        }
        let days = &mut steered.days;
        days.opening = by.day_opening.unwrap_or(days.opening);
        days.closing = by.day_closing.unwrap_or(days.closing);
        steered.rollover_offline = by.rollover_offline.unwrap_or(steered.rollover_offline);
        steered.answers = by.answers.unwrap_or(steered.answers);
        let wait = by.online_wait_ms.unwrap_or(steered.online_wait_ms);
        steered.online_wait_ms = wait.min(sync_wire::settings::MAX_WAIT_MS);
        steered.print = by.print.unwrap_or(steered.print);
        steered
    }

    /// What holds in the store as a whole, as head office is told.
    #[must_use]
    pub fn told(&self) -> StoreSettings {
        StoreSettings {
            currencies: Some(self.currencies.iter().map(ToString::to_string).collect()),
            day_opening: Some(self.days.opening),
            day_closing: Some(self.days.closing),
            rollover_offline: Some(self.rollover_offline),
            answers: Some(self.answers),
            online_wait_ms: Some(self.online_wait_ms),
            print: Some(self.print),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What head office sets holds, what it leaves out stays the file's, and a till's own word stands above both.
    #[test]
    fn who_says_what() {
        let till = (Environment::Test, DeviceId::new(7).unwrap());
        let own = TillSettings {
            print: Some(PrintPolicy::Never),
            ..TillSettings::default()
        };
        let file = Settings {
            tills: BTreeMap::from([(till, own)]),
            ..Settings::default()
        };
        assert_eq!(file.steered(&StoreSettings::default()), file);
        let by = StoreSettings {
            currencies: Some(vec!["USD".to_owned()]),
            day_closing: Some(DayClosing::BeforeLongest),
            answers: Some(Answers::Online),
            online_wait_ms: Some(u32::MAX),
            print: Some(PrintPolicy::OnRequest),
            ..StoreSettings::default()
        };
        let steered = file.steered(&by);
        assert_eq!(steered.currencies.len(), 1);
        assert_eq!(steered.days.closing, DayClosing::BeforeLongest);
        assert_eq!(steered.days.opening, file.days.opening);
        assert_eq!(steered.wait(), Duration::from_secs(60));
        assert_eq!(file.wait(), Duration::ZERO);
        assert_eq!(steered.print(till), PrintPolicy::Never);
        let other = (Environment::Test, DeviceId::new(8).unwrap());
        assert_eq!(steered.print(other), PrintPolicy::OnRequest);
        // What is told is all of it, and to set just that changes nothing.
        assert_eq!(steered.steered(&steered.told()), steered);
        let told = serde_json::to_value(steered.told()).unwrap();
        assert_eq!(told.as_object().unwrap().len(), 7);
    }
}
