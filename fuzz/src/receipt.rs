//! Receipts of a POS, whole and damaged, under the shipped templates: whatever is read stands on the paper.

use std::sync::LazyLock;

use drivers::capture::grid::{Grid, Span};
use drivers::capture::job::{CapturedJob, EndedBy};
use drivers::capture::key::{Key, text_hash};
use drivers::capture::read::{Doubtful, Read, Reading, by_template, read};
use drivers::capture::sale::{CapturedSale, Number, Text};
use drivers::capture::template::{SHIPPED, Template};
use rust_decimal::Decimal;

use crate::input::Input;
use crate::paper::{self, Made};

static TEMPLATES: LazyLock<Vec<Template>> = LazyLock::new(|| {
    let parse = |(_, text): &(&str, &str)| Template::parse(text).expect("it is shipped");
    SHIPPED.iter().map(parse).collect()
});

/// A byte that says how: bytes as they are under one template or under all, or a receipt that is made up.
pub(crate) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let how = input.byte();
    if how & 0x80 != 0 {
        let made = paper::made(&mut input);
        let whole = made.bytes.clone();
        let damaged = paper::damaged(whole, &mut input);
        let is_whole = damaged == made.bytes;
        let found = match TEMPLATES.iter().find(|t| t.name() == made.template) {
            Some(template) if how & 1 == 0 => by(template, &damaged),
            _ => read(&job(damaged), &TEMPLATES),
        };
        judge(&found, &TEMPLATES);
        if is_whole {
            as_made(&found, &made);
        }
        return;
    }
    let bytes = input.rest().to_vec();
    match TEMPLATES.get(usize::from(how)) {
        Some(template) => judge(&by(template, &bytes), &TEMPLATES),
        None => judge(&read(&job(bytes), &TEMPLATES), &TEMPLATES),
    }
}

/// Reads by one template, whether it fits or not.
pub(crate) fn by(template: &Template, bytes: &[u8]) -> Read {
    let grid = Grid::new(bytes, template.paper());
    Read {
        reading: by_template(template, &grid),
        template: Some(template.name().to_owned()),
        grid,
    }
}

pub(crate) fn job(bytes: Vec<u8>) -> CapturedJob {
    CapturedJob {
        number: 1,
        bytes,
        taken: Vec::new(),
        lost: 0,
        ended_by: EndedBy::Cut,
    }
}

/// A receipt that was not damaged is read as it was made, or not at all.
fn as_made(found: &Read, made: &Made) {
    if let Reading::Sale(sale) = &found.reading {
        assert_eq!(sale.total.value, Decimal::new(made.total, 2));
        let lines: Vec<Decimal> = sale.lines.iter().map(|line| line.total.value).collect();
        let wanted: Vec<Decimal> = made.lines.iter().map(|c| Decimal::new(*c, 2)).collect();
        assert_eq!(lines, wanted);
    }
}

/// All that was read stands on the paper, digit for digit, and adds up.
pub(crate) fn judge(found: &Read, templates: &[Template]) {
    let _ = text_hash(&found.grid);
    let grid = &found.grid;
    match &found.reading {
        Reading::Sale(sale) => {
            let name = found.template.as_deref();
            let template = templates.iter().find(|t| Some(t.name()) == name);
            let template = template.expect("a template decided");
            for number in sale.numbers() {
                printed(grid, number, template);
            }
            for text in sale.texts() {
                stands(grid, text);
            }
            adds_up(sale);
            assert!(grid.doubts().is_empty(), "a sale from a doubtful paper");
            assert!(!Key::of_sale("p", sale).text().is_empty());
        }
        Reading::Reprint(reprint) => {
            let name = found.template.as_deref();
            let template = templates.iter().find(|t| Some(t.name()) == name);
            printed(grid, reprint.total, template.expect("a template decided"));
            stands(grid, &reprint.receipt_no);
            stands(grid, &reprint.date);
            assert!(!Key::of_reprint("p", reprint).text().is_empty());
        }
        Reading::Quarantine(reasons) => {
            assert!(!reasons.is_empty(), "doubted without a reason");
            // What is far beyond the paper's edge makes no row, but a doubt in it.
            let rows = |doubt| grid.rows().len() + usize::from(doubt == Doubtful::Paper);
            for reason in reasons {
                let lines = 1..=rows(reason.doubt);
                assert!(reason.line.is_none_or(|n| lines.contains(&n)));
                assert!(!reason.text.is_empty());
            }
        }
        Reading::Passthrough => {}
    }
}

fn stands(grid: &Grid, text: &Text) {
    assert_eq!(grid.at(text.at), text.text);
    assert!(!text.text.is_empty() && !text.text.contains(char::REPLACEMENT_CHARACTER));
}

/// The digits of a number are those at its place, and no further digit stands beside them.
fn printed(grid: &Grid, number: Number, template: &Template) {
    let text = grid.at(number.at);
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let digits: i128 = digits.parse().expect("there are digits on the paper");
    assert_eq!(digits, number.value.mantissa().abs(), "{text:?}");
    let read = template.numbers().read(text).expect("a number");
    assert_eq!(read.abs(), number.value.abs());
    let Span { row, from, to } = number.at;
    let row = &grid.rows()[row];
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let before = row[..from].chars().next_back();
    let after = row[to..].chars().next();
    assert!(
        !digit(before) && !digit(after),
        "{text:?} is a part of a longer number in {row:?}"
    );
}

/// Lines and total, payments and total, quantities and lines.
fn adds_up(sale: &CapturedSale) {
    let total = sale.total.value;
    let lines: Decimal = sale.lines.iter().map(|line| line.total.value).sum();
    let tax: Decimal = sale.taxes.iter().map(|row| row.amount.value).sum();
    let tax = if sale.tax_inclusive {
        Decimal::ZERO
    } else {
        tax
    };
    assert_eq!(lines + tax, total);
    assert!(!sale.lines.is_empty());
    assert!(total >= Decimal::ZERO);
    if !sale.payments.is_empty() {
        let paid: Decimal = sale.payments.iter().map(|p| p.amount.value).sum();
        let change = sale.change.map_or(Decimal::ZERO, |c| c.value);
        assert_eq!(paid - change, total);
    }
    for line in &sale.lines {
        assert!(line.total.value.scale() <= 2);
        if let (Some(quantity), Some(price)) = (line.quantity, line.price) {
            let off = quantity.value * price.value - line.total.value;
            assert!(off.abs() <= Decimal::new(15, 3), "{line:?}");
        }
    }
}
