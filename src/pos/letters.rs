//! What the tax letters and the currencies of a fiscal printer's port mean by the configuration that FDMS sent last,
//! and which of them mean nothing: that is found before the first receipt is closed with one.

use std::collections::BTreeSet;

use drivers::register::Rules;
use fiscal::taxpayer::Taxpayer;
use fiscal::{Currency, DateTime, Percent, TaxId};

use crate::ledger::Settings;

/// The tax that a configured name stands for: `15.5%`, a taxID, or a name of `[taxes]`.
///
/// # Errors
/// It stands for none, or for more than one: why, in words.
pub(super) fn tax(
    name: &str,
    taxpayer: &Taxpayer,
    settings: &Settings,
    now: DateTime,
) -> Result<TaxId, String> {
    if let Some(percent) = name.strip_suffix('%') {
        let percent = Percent::parse(percent.trim()).map_err(|_| "it is no percent".to_owned())?;
        let fitting = taxpayer.taxes_by_percent(Some(percent), now);
        let ids: BTreeSet<TaxId> = fitting.iter().map(|tax| tax.id).collect();
        let mut ids = ids.into_iter();
        return match (ids.next(), ids.next()) {
            (Some(id), None) => Ok(id),
            (None, _) => Err("FDMS has no such tax for this taxpayer".to_owned()),
            (Some(one), Some(other)) => Err(format!(
                "FDMS has several such taxes: write {one} or {other}, the taxID"
            )),
        };
    }
    if let Ok(number) = name.parse() {
        return TaxId::new(number).ok_or_else(|| "it is no taxID".to_owned());
    }
    let alias = settings.tax_aliases.get(name).copied();
    alias.ok_or_else(|| "[taxes] has no such name".to_owned())
}

/// What is wrong with a port's letters and currencies today; nothing, if every receipt can be closed.
pub(super) fn doubts(
    rules: &Rules,
    taxpayer: &Taxpayer,
    settings: &Settings,
    now: DateTime,
) -> Vec<String> {
    let mut doubts = Vec::new();
    let register = &rules.settings;
    for (letter, name) in &register.taxes {
        let found = tax(name, taxpayer, settings, now).and_then(|id| {
            let is_valid = taxpayer
                .tax(id, now)
                .is_some_and(|tax| tax.is_valid_at(now));
            match is_valid {
                true => Ok(()),
                false => Err(format!("FDMS has no valid tax {id} for this taxpayer")),
            }
        });
        if let Err(why) = found {
            doubts.push(format!(
                "the tax letter {letter} means \"{name}\", and receipts with it are refused, here or by FDMS: {why}; mend `taxes` in \
                 [pos.register]"
            ));
        }
    }
    for (number, letter) in &register.departments {
        if !register.taxes.contains_key(letter) {
            doubts.push(format!(
                "the department {number} has the tax letter {letter}, which is not in `taxes` of [pos.register]: sales of \
                 it are refused"
            ));
        }
    }
    let of_codes = register
        .payments
        .values()
        .filter_map(|rule| rule.currency.as_ref());
    let currencies: BTreeSet<&String> = of_codes.chain([&register.currency]).collect();
    for currency in currencies {
        let known = Currency::parse(currency).filter(|known| settings.currencies.contains(known));
        if known.is_none() {
            let all: Vec<&str> = settings.currencies.iter().map(Currency::as_str).collect();
            doubts.push(format!(
                "the currency {currency} is none that is sold in, and receipts in it are refused: there are {}; mend \
                 [pos.register], or add it to `currencies` in [store]",
                all.join(", ")
            ));
        }
    }
    doubts
}

#[cfg(test)]
mod tests {
    use drivers::register::RegisterSettings;
    use fiscal::testing::sample_taxpayer;

    use super::*;

    fn found(settings: &str) -> Vec<String> {
        let register: RegisterSettings = toml::from_str(settings).unwrap();
        let rules = Rules::new(register).unwrap();
        let now = DateTime::constant(2026, 5, 28, 7, 0, 0, 0);
        doubts(&rules, &sample_taxpayer(), &Settings::default(), now)
    }

    /// Whatever would have a receipt refused at its close is named; what is sold with is not.
    #[test]
    fn what_means_nothing_is_named() {
        let good = found("currency = 'USD'\ntaxes = { A = '15.5%', B = '1', C = '0%' }");
        assert_eq!(good, Vec::<String>::new());
        for (settings, expected) in [
            (
                "currency = 'USD'\ntaxes = { A = '15%' }",
                "letter A means \"15%\"",
            ),
            (
                "currency = 'USD'\ntaxes = { A = '999' }",
                "no valid tax 999",
            ),
            (
                "currency = 'USD'\ntaxes = { A = 'standard' }",
                "[taxes] has no such name",
            ),
            ("currency = 'USD'\ntaxes = { A = 'x%' }", "no percent"),
            ("currency = 'KES'\ntaxes = { A = '15.5%' }", "currency KES"),
            (
                "currency = 'USD'\ntaxes = { A = '15.5%' }\ndepartments = { 1 = 'B' }",
                "department 1",
            ),
            (
                "currency = 'USD'\ntaxes = { A = '15.5%' }\npayments = { I = { money = 'Cash', currency = 'zwl' } }",
                "currency zwl",
            ),
        ] {
            let doubts = found(settings);
            assert_eq!(doubts.len(), 1, "{settings}: {doubts:?}");
            assert!(doubts[0].contains(expected), "{settings}: {doubts:?}");
        }
    }
}
