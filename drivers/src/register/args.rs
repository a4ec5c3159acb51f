//! The pieces of a command's data, named by a country's table.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use super::{Codes, Customer, DateTime, Field, Opening, Refusal, Storno, TextEncoding, amount};

/// Pieces by name. Empty ones are not there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Args(BTreeMap<Field, String>);

impl Args {
    /// Names pieces in the order of a table. A field that a table has twice is joined.
    pub(crate) fn read<'a>(
        table: &[Field],
        pieces: impl Iterator<Item = &'a [u8]>,
        text: TextEncoding,
    ) -> Self {
        let mut named: BTreeMap<Field, String> = BTreeMap::new();
        for (field, piece) in table.iter().zip(pieces) {
            let piece = text.read(piece).trim().to_owned();
            if piece.is_empty() {
                continue;
            }
            named
                .entry(*field)
                .and_modify(|before| {
                    before.push_str(", ");
                    before.push_str(&piece);
                })
                .or_insert(piece);
        }
        Self(named)
    }

    /// A piece.
    pub(crate) fn get(&self, field: Field) -> Option<&str> {
        self.0.get(&field).map(String::as_str)
    }

    fn owned(&self, field: Field) -> Option<String> {
        self.get(field).map(str::to_owned)
    }

    /// A piece that must be there.
    pub(crate) fn need(&self, field: Field) -> Result<&str, Refusal> {
        let missing = || Refusal::syntax(format!("{field:?} is missing"));
        self.get(field).ok_or_else(missing)
    }

    /// A number, if the piece is there.
    pub(crate) fn number(&self, field: Field, decimals: u32) -> Result<Option<Decimal>, Refusal> {
        let parse = |text| amount::parse(text, decimals);
        self.get(field).map(parse).transpose()
    }

    /// Who opens a receipt.
    pub(crate) fn opening(&self) -> Result<Opening, Refusal> {
        Ok(Opening {
            operator: self.need(Field::Operator)?.to_owned(),
            till: self.owned(Field::Till).unwrap_or_default(),
            sale_no: self.owned(Field::SaleNo),
            invoice: self.get(Field::Invoice).is_some_and(|i| i != "0"),
        })
    }

    /// What a storno takes back.
    pub(crate) fn storno(&self, codes: &Codes) -> Result<Storno, Refusal> {
        let reason = self.need(Field::Reason)?;
        let known = codes.reasons.get(reason);
        Ok(Storno {
            document: self.need(Field::Document)?.to_owned(),
            reason: *known.ok_or_else(|| Refusal::syntax(format!("no reason {reason:?}")))?,
            date: self.owned(Field::Date),
            fiscal_memory: self.owned(Field::FiscalMemory),
            words: self.owned(Field::Words),
        })
    }

    /// The customer.
    pub(crate) fn customer(&self) -> Customer {
        Customer {
            name: self.owned(Field::Name),
            taxpayer: self.owned(Field::Taxpayer),
            vat: self.owned(Field::Vat),
            address: self.owned(Field::Address),
        }
    }
}

/// Sums of payments in a language's order of codes; a money type that several codes stand for is told at the
/// first of them.
pub(crate) fn payments_in_order(
    codes: &Codes,
    meaning: impl Fn(&str) -> Option<super::MoneyType>,
    sums: &[(super::MoneyType, Decimal)],
) -> Vec<Decimal> {
    let mut told = Vec::new();
    let mut in_order = Vec::new();
    for code in &codes.payment_order {
        let money = meaning(code).filter(|money| !told.contains(money));
        told.extend(money);
        let of_money = sums.iter().filter(|(m, _)| Some(*m) == money);
        in_order.push(of_money.map(|(_, sum)| *sum).sum());
    }
    in_order
}

/// `27-11-26 13:05:00`.
pub(crate) fn short_date_time(at: &DateTime) -> String {
    format!(
        "{:02}-{:02}-{:02} {:02}:{:02}:{:02}",
        at.day,
        at.month,
        at.year % 100,
        at.hour,
        at.minute,
        at.second
    )
}
