//! A drawn sale as a POS would write it: members in any order, numbers spelt in any way.

use super::{Choice, GenOptions, Random, Row, Sale};
use crate::json::write_string;
use crate::taxpayer::Taxpayer;
use crate::testing::Issued;
use crate::{Currency, MoneyType};

/// What is written.
pub(super) struct Parts<'a> {
    pub(super) taxpayer: &'a Taxpayer,
    pub(super) options: &'a GenOptions<'a>,
    pub(super) issued: Option<&'a Issued>,
    pub(super) sale: &'a Sale,
    pub(super) rows: &'a [Row],
    pub(super) payments: &'a [(MoneyType, i64)],
}

/// An object's members, name and value as JSON.
#[derive(Default)]
struct Object(Vec<(&'static str, String)>);

impl Object {
    fn raw(&mut self, name: &'static str, json: impl Into<String>) {
        self.0.push((name, json.into()));
    }

    fn text(&mut self, name: &'static str, text: &str) {
        let mut json = String::new();
        write_string(&mut json, text);
        self.raw(name, json);
    }

    fn write(mut self, random: &mut Random) -> String {
        if random.chance(30) {
            for place in (1..self.0.len()).rev() {
                let other = random.below(place as u64 + 1);
                self.0.swap(place, usize::try_from(other).unwrap_or(0));
            }
        }
        let space = if random.chance(30) { "\n  " } else { "" };
        let members: Vec<String> = self
            .0
            .iter()
            .map(|(name, json)| format!("{space}\"{name}\":{space}{json}"))
            .collect();
        format!("{{{}}}", members.join(","))
    }
}

/// A number of `units`, each `10^-decimals`, in one of the spellings that say the same.
fn spell(random: &mut Random, units: i64, decimals: u32) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let power = 10_u64.pow(decimals);
    let (whole, rest) = (units.unsigned_abs() / power, units.unsigned_abs() % power);
    let width = usize::try_from(decimals).unwrap_or(0);
    let plain = format!("{sign}{whole}.{rest:0width$}");
    match random.below(6) {
        0 => format!("\"{plain}\""),
        1 => format!("{plain}00"),
        2 => plain.trim_end_matches('0').trim_end_matches('.').to_owned(),
        3 => format!("{units}e-{decimals}"),
        _ => plain,
    }
}

fn array(rows: Vec<String>) -> String {
    format!("[{}]", rows.join(","))
}

pub(super) fn write(random: &mut Random, parts: &Parts<'_>) -> String {
    let Parts { options, sale, .. } = parts;
    let mut object = Object::default();
    if let Some(device) = options.device {
        object.raw("deviceID", device.to_string());
    }
    object.text("receiptType", sale.receipt_type.as_str());
    let currency = match sale.currency {
        Currency::ZWG if random.chance(20) => "ZIG",
        ref other => other.as_str(),
    };
    object.text("receiptCurrency", currency);
    object.text("invoiceNo", options.invoice_no);
    object.raw("receiptLinesTaxInclusive", sale.inclusive.to_string());
    let lines = parts
        .rows
        .iter()
        .enumerate()
        .map(|(place, row)| line(random, parts, place, row))
        .collect();
    object.raw("receiptLines", array(lines));
    let payments = parts.payments.iter().map(|(money_type, amount)| {
        let mut object = Object::default();
        object.text("moneyTypeCode", money_type.as_str());
        object.raw("paymentAmount", spell(random, *amount, 2));
        object.write(random)
    });
    let payments = payments.collect();
    object.raw("receiptPayments", array(payments));
    if let Some(original) = parts.issued {
        object.raw("creditDebitNote", reference(random, original));
        object.text("receiptNotes", "Brought back: not what was wanted");
    } else if random.chance(20) {
        object.text("receiptNotes", "Thank you – no refunds on \"specials\"");
    }
    given_sums(random, sale, &mut object);
    extras(random, &mut object);
    object.write(random)
}

/// Sums that a POS may send if they agree.
fn given_sums(random: &mut Random, sale: &Sale, object: &mut Object) {
    if random.chance(20) {
        object.raw("receiptTotal", spell(random, sale.total, 2));
    }
    if random.chance(10) {
        let mut rows = Vec::new();
        for row in &sale.taxes {
            let mut object = Object::default();
            if let Some(code) = &row.code {
                object.text("taxCode", code);
            }
            object.raw("taxID", row.id.to_string());
            if let Some(percent) = row.percent {
                object.raw("taxPercent", spell(random, i64::from(percent), 2));
            }
            object.raw("taxAmount", spell(random, row.amount, 2));
            object.raw("salesAmountWithTax", spell(random, row.with_tax, 2));
            rows.push(object.write(random));
        }
        rows.reverse();
        object.raw("receiptTaxes", array(rows));
    }
}

fn line(random: &mut Random, parts: &Parts<'_>, place: usize, row: &Row) -> String {
    let mut object = Object::default();
    let kind = if row.is_discount { "Discount" } else { "Sale" };
    object.text("receiptLineType", kind);
    if random.chance(20) {
        object.raw("receiptLineNo", (place + 1).to_string());
    }
    if let Some(code) = hs_code(random, parts.taxpayer, row.tax) {
        object.text("receiptLineHSCode", code);
    }
    let names = [
        "Bread",
        "Maheu 500ml",
        "Kikuyu Lawn - sqm",
        "Crème fraîche 2 €",
        "A very long name of goods that no till roll in the world will ever show on one line of it",
    ];
    object.text("receiptLineName", random.pick(&names).unwrap_or(&"Bread"));
    if let Some(price) = row.price {
        object.raw("receiptLinePrice", spell(random, price, 4));
    }
    object.raw("receiptLineQuantity", spell(random, row.quantity, 3));
    if row.price.is_none() || random.chance(20) {
        object.raw("receiptLineTotal", spell(random, row.total, 2));
    }
    if let Some(code) = &row.code {
        object.text("taxCode", code);
    }
    let by_percent = row.tax.percent_is_enough && random.chance(20);
    if !by_percent {
        object.raw("taxID", row.tax.id.to_string());
    }
    if let Some(percent) = row.tax.percent
        && (by_percent || random.chance(30))
    {
        object.raw("taxPercent", spell(random, i64::from(percent), 2));
    }
    object.write(random)
}

fn hs_code(random: &mut Random, taxpayer: &Taxpayer, tax: Choice) -> Option<&'static str> {
    if !taxpayer.is_vat_payer() && random.chance(70) {
        return None;
    }
    let untaxed = tax.percent.unwrap_or(0) == 0;
    if !untaxed && random.chance(20) {
        return Some("1905");
    }
    random.pick(&["19059090", "99001000", "12092500"]).copied()
}

fn reference(random: &mut Random, original: &Issued) -> String {
    let mut object = Object::default();
    object.raw("deviceID", original.device_id.to_string());
    object.raw("receiptGlobalNo", original.receipt_global_no.to_string());
    object.raw("fiscalDayNo", original.fiscal_day_no.to_string());
    object.write(random)
}

fn extras(random: &mut Random, object: &mut Object) {
    if random.chance(30) {
        object.raw("buyerData", buyer(random));
    }
    if random.chance(20) {
        let form = if random.chance(50) {
            "Receipt48"
        } else {
            "InvoiceA4"
        };
        object.text("receiptPrintForm", form);
    }
    if random.chance(20) {
        object.text("cashier", "Tendai");
        object.raw("tendered", spell(random, 100_000, 2));
        object.raw("change", "0");
        object.raw("footerLines", "[\"Thank you\",\"\",\"Come again\"]");
        object.raw("print", "true");
    }
    if random.chance(10) {
        object.raw("receiptDeviceSignature", "null");
    }
}

fn buyer(random: &mut Random) -> String {
    let mut object = Object::default();
    object.text("buyerRegisterName", "Moyo & Sons (Pvt) Ltd");
    object.text("buyerTIN", "1234567890");
    if random.chance(50) {
        object.text("buyerTradeName", "Moyo's");
    }
    if random.chance(50) {
        object.text("vatNumber", "123456789");
    }
    if random.chance(50) {
        object.raw(
            "buyerContacts",
            r#"{"phoneNo":"+263 770 000000","email":"shop@moyo.example"}"#,
        );
    }
    if random.chance(50) {
        object.raw(
            "buyerAddress",
            r#"{"province":"Harare","city":"Harare","street":"First Street","houseNo":"1A"}"#,
        );
    }
    object.write(random)
}
