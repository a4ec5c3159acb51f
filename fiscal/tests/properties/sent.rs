//! What is written for FDMS and what is signed.

use fiscal::compose::{Known, compose, in_signing_order};
use fiscal::counters::{By, CounterKey, CounterType, Counters};
use fiscal::draft::Draft;
use fiscal::receipt::{Hash, TaxRow};
use fiscal::{Cents, DeviceId, MoneyType, Percent, Receipt, TaxId, sign, wire};
use proptest::prelude::*;

use crate::shop::{Shop, currencies, device};
use crate::{Verdict, assert_caught, fail, same};

type WriteFn = fn(&Receipt) -> String;

/// What is written for FDMS reads back as the same receipt, without knowing anything else.
fn check_wire(seed: u64, write: WriteFn) -> Verdict {
    let mut shop = Shop::new(seed);
    for _ in 0..8 {
        let receipt = shop.sell().receipt;
        let json = write(&receipt);
        let (draft, findings) = Draft::read(json.as_bytes());
        same(&json, &findings, &Vec::new())?;
        let (again, findings) = compose(&draft, &Known::default());
        same(&json, &findings, &Vec::new())?;
        same(&json, &again, &receipt)?;
    }
    Ok(())
}

fn written(receipt: &Receipt) -> String {
    let mut json = String::new();
    wire::write_receipt(&mut json, receipt, None);
    json
}

/// A writer that loses or changes something is seen.
#[test]
fn defective_writers_are_caught() {
    let defects: [(&str, WriteFn); 4] = [
        ("zero-rated written as exempt", |receipt| {
            written(receipt).replace("\"taxPercent\":0,", "")
        }),
        ("amounts without their last digit", |receipt| {
            let mut receipt = receipt.clone();
            receipt.total = Cents::new(receipt.total.get() / 10 * 10);
            written(&receipt)
        }),
        ("codes lost", |receipt| {
            let mut receipt = receipt.clone();
            for line in &mut receipt.lines {
                line.tax.code = None;
            }
            written(&receipt)
        }),
        ("tax rows in another order", |receipt| {
            let mut receipt = receipt.clone();
            receipt.taxes.reverse();
            written(&receipt)
        }),
    ];
    for (defect, write) in defects {
        assert_caught(defect, |seed| check_wire(seed, write));
    }
}

type StringFn = fn(DeviceId, &Receipt, Option<&Hash>) -> String;

/// The signing string does not depend on the order in which tax rows came, and any change of what it
/// covers changes it.
fn check_signing(seed: u64, string: StringFn) -> Verdict {
    let mut shop = Shop::new(seed);
    let mut previous = None;
    for _ in 0..8 {
        let receipt = shop.sell().receipt;
        let ours = string(device(), &receipt, previous.as_ref());
        let mut turned = receipt.clone();
        turned.taxes.reverse();
        let other = string(device(), &turned, previous.as_ref());
        same("string of turned rows", &other, &ours)?;
        let turned = in_signing_order(turned);
        same("rows put in order", &turned.taxes, &receipt.taxes)?;
        let changes: [fn(&mut Receipt); 4] = [
            |r| r.total += Cents::new(1),
            |r| r.global_no = r.global_no.next(),
            |r| r.date = r.date.saturating_add(jiff::Span::new().seconds(1)),
            |r| {
                if let Some(row) = r.taxes.last_mut() {
                    row.tax_amount += Cents::new(1);
                }
            },
        ];
        for change in changes {
            let mut changed = receipt.clone();
            change(&mut changed);
            if string(device(), &changed, previous.as_ref()) == ours {
                return Err(format!("{ours} does not cover {changed:?}"));
            }
        }
        if string(device(), &receipt, Some(&sign::hash("another"))) == ours {
            return Err(format!("{ours} does not cover the hash before"));
        }
        previous = Some(sign::hash(&ours));
    }
    Ok(())
}

/// A signing string that depends on the order of rows, or leaves something out, is seen.
#[test]
fn defective_signing_strings_are_caught() {
    assert_caught("rows as they came", |seed| {
        check_signing(seed, |device, receipt, previous| {
            let one_by_one = |row: &TaxRow| {
                let mut alone = receipt.clone();
                alone.taxes = vec![row.clone()];
                sign::receipt_string(device, &alone, None)
            };
            let rows: String = receipt.taxes.iter().map(one_by_one).collect();
            format!(
                "{rows}{}",
                previous.map(Hash::to_string).unwrap_or_default()
            )
        })
    });
    assert_caught("chain left out", |seed| {
        check_signing(seed, |device, receipt, _| {
            sign::receipt_string(device, receipt, None)
        })
    });
    assert_caught("total left out", |seed| {
        check_signing(seed, |device, receipt, previous| {
            let mut receipt = receipt.clone();
            receipt.total = Cents::ZERO;
            sign::receipt_string(device, &receipt, previous)
        })
    });
}

proptest! {
    /// What is sent reads back as what was sold.
    #[test]
    fn receipts_round_trip(seed: u64) {
        check_wire(seed, written).map_err(fail)?;
    }

    /// What is signed covers the receipt and nothing accidental.
    #[test]
    fn signing_strings(seed: u64) {
        check_signing(seed, sign::receipt_string).map_err(fail)?;
    }

    /// A day's string has only counters that are not zero, in one order whatever the order of feeding.
    #[test]
    fn day_strings(entries in proptest::collection::vec((0..7_usize, 0..3_usize, 0..7_usize, -5..5_i64), 0..40)) {
        let string = |entries: &[(usize, usize, usize, i64)]| {
            let mut counters = Counters::default();
            for (kind, currency, by, value) in entries {
                counters.add(counter_key(*kind, *currency, *by), Cents::new(*value));
            }
            let opened = jiff::civil::date(2026, 2, 26).at(7, 0, 0, 0);
            let day = fiscal::FiscalDayNo::new(12).expect("a day");
            (sign::day_string(device(), day, opened, &counters), counters)
        };
        let (ours, counters) = string(&entries);
        let mut turned = entries.clone();
        turned.reverse();
        prop_assert_eq!(&ours, &string(&turned).0);
        let rows: Vec<_> = counters.non_zero().collect();
        prop_assert!(rows.iter().all(|(_, value)| *value != Cents::ZERO));
        let mut rest = ours.strip_prefix("37367122026-02-26").expect("the head");
        for (key, value) in rows {
            rest = rest.strip_prefix(&key.signing_prefix()).expect("the counter");
            rest = rest.strip_prefix(&value.get().to_string()).expect("its value");
        }
        prop_assert_eq!(rest, "");
    }
}

fn counter_key(kind: usize, currency: usize, by: usize) -> CounterKey {
    let counter_type = CounterType::ALL[kind];
    let by = if counter_type == CounterType::BalanceByMoneyType {
        By::Money(MoneyType::ALL[by])
    } else {
        let id = u32::try_from(by).expect("small");
        let percent = (by > 0)
            .then(|| Percent::from_hundredths(id * 500))
            .flatten();
        By::Tax(TaxId::new(id).expect("a tax"), percent)
    };
    CounterKey {
        counter_type,
        currency: currencies()[currency],
        by,
    }
}
