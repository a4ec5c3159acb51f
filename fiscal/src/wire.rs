//! The JSON that FDMS is sent, written so that no number passes through a float.
//!
//! Absent fields are left out, amounts have two digits after the point, tax rows stand in the order in
//! which they are signed. The bytes are kept in the ledger and sent again unchanged on every try.

use std::fmt::Write as _;

use crate::counters::{By, Counters};
use crate::json::write_string;
use crate::receipt::{Line, Receipt, Signature, TaxKey};
use crate::{DateTime, DeviceId, FiscalDayNo, ReceiptCounter};

/// Writes `{"name":value,…}` with commas where they belong. Numbers keep every digit.
#[derive(Debug)]
pub struct Object<'o> {
    out: &'o mut String,
    first: bool,
}

impl<'o> Object<'o> {
    /// Begins an object at the end of `out`; [`Object::close`] ends it.
    pub fn open(out: &'o mut String) -> Self {
        out.push('{');
        Self { out, first: true }
    }

    /// Begins a member; its value, as JSON, is to be appended to what this returns.
    pub fn name(&mut self, name: &str) -> &mut String {
        if !self.first {
            self.out.push(',');
        }
        self.first = false;
        self.out.push('"');
        self.out.push_str(name);
        self.out.push_str("\":");
        self.out
    }

    /// A string.
    pub fn text(&mut self, name: &str, text: &str) {
        write_string(self.name(name), text);
    }

    /// A string, or nothing.
    pub fn optional_text(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    /// A value whose text is JSON already: a number, `true` or `false`.
    pub fn number(&mut self, name: &str, number: impl std::fmt::Display) {
        // Writing to a String cannot fail.
        let _ = write!(self.name(name), "{number}");
    }

    /// An object inside this one.
    pub fn object(&mut self, name: &str, write: impl FnOnce(&mut Object<'_>)) {
        let mut inner = Object::open(self.name(name));
        write(&mut inner);
        inner.close();
    }

    /// Ends the object.
    pub fn close(self) {
        self.out.push('}');
    }
}

/// Appends an array with an object for each row.
pub fn rows<T>(
    out: &mut String,
    rows: impl IntoIterator<Item = T>,
    write: impl Fn(&mut Object<'_>, T),
) {
    out.push('[');
    for (place, row) in rows.into_iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        let mut object = Object::open(out);
        write(&mut object, row);
        object.close();
    }
    out.push(']');
}

/// The whole body of SubmitReceipt: `{"receipt":{…}}`.
#[must_use]
pub fn submit_receipt_body(receipt: &Receipt, signature: &Signature) -> String {
    let mut out = String::with_capacity(1024 + 256 * receipt.lines.len());
    out.push_str("{\"receipt\":");
    write_receipt(&mut out, receipt, Some(signature));
    out.push('}');
    out
}

/// The receipt as FDMS wants it, with its signature if there is one.
pub fn write_receipt(out: &mut String, receipt: &Receipt, signature: Option<&Signature>) {
    let mut o = Object::open(out);
    receipt_fields(&mut o, receipt);
    if let Some(signature) = signature {
        write_signature(o.name("receiptDeviceSignature"), signature);
    }
    o.close();
}

/// The members of a receipt, less its signature, in an object that may hold others too.
pub fn receipt_fields(o: &mut Object<'_>, receipt: &Receipt) {
    o.text("receiptType", receipt.receipt_type.as_str());
    o.text("receiptCurrency", receipt.currency.as_str());
    o.number("receiptCounter", receipt.counter);
    o.number("receiptGlobalNo", receipt.global_no);
    o.text("invoiceNo", &receipt.invoice_no);
    if let Some(buyer) = &receipt.buyer {
        // A buyer holds only strings: it always serialises.
        let text = serde_json::to_string(buyer).unwrap_or_default();
        o.name("buyerData").push_str(&text);
    }
    o.optional_text("receiptNotes", receipt.notes.as_deref());
    o.text("receiptDate", &receipt.date.to_string());
    if let Some(original) = &receipt.credit_debit_note {
        // Integers only: it always serialises.
        let text = serde_json::to_string(original).unwrap_or_default();
        o.name("creditDebitNote").push_str(&text);
    }
    o.number("receiptLinesTaxInclusive", receipt.lines_tax_inclusive);
    rows(o.name("receiptLines"), &receipt.lines, write_line);
    rows(o.name("receiptTaxes"), &receipt.taxes, |o, row| {
        write_tax(o, &row.tax);
        o.number("taxAmount", row.tax_amount);
        o.number("salesAmountWithTax", row.sales_amount_with_tax);
    });
    rows(
        o.name("receiptPayments"),
        &receipt.payments,
        |o, payment| {
            o.text("moneyTypeCode", payment.money_type.as_str());
            o.number("paymentAmount", payment.amount);
        },
    );
    o.number("receiptTotal", receipt.total);
    o.optional_text("receiptPrintForm", receipt.print_form.map(|f| f.as_str()));
}

fn write_line(o: &mut Object<'_>, line: &Line) {
    o.text("receiptLineType", line.kind.as_str());
    o.number("receiptLineNo", line.no);
    o.optional_text("receiptLineHSCode", line.hs_code.as_deref());
    o.text("receiptLineName", &line.name);
    if let Some(price) = line.price {
        o.number("receiptLinePrice", price);
    }
    o.number("receiptLineQuantity", line.quantity);
    o.number("receiptLineTotal", line.total);
    write_tax(o, &line.tax);
}

fn write_tax(o: &mut Object<'_>, tax: &TaxKey) {
    o.optional_text("taxCode", tax.code.as_deref());
    if let Some(percent) = tax.percent {
        o.number("taxPercent", percent);
    }
    o.number("taxID", tax.id);
}

fn write_signature(out: &mut String, signature: &Signature) {
    let mut o = Object::open(out);
    o.text("hash", &signature.hash.to_string());
    o.text("signature", &signature.base64());
    o.close();
}

/// The tax rows alone, as `fiscald inspect` shows them.
pub fn write_taxes(out: &mut String, taxes: &[crate::receipt::TaxRow]) {
    rows(out, taxes, |o, row| {
        write_tax(o, &row.tax);
        o.number("taxAmount", row.tax_amount);
        o.number("salesAmountWithTax", row.sales_amount_with_tax);
    });
}

/// The counters of a day: those that are not zero, in the order in which they are signed.
pub fn write_counters(out: &mut String, counters: &Counters) {
    rows(out, counters.non_zero(), |o, (key, value)| {
        o.text("fiscalCounterType", key.counter_type.as_str());
        o.text("fiscalCounterCurrency", key.currency.as_str());
        match key.by {
            By::Tax(id, percent) => {
                if let Some(percent) = percent {
                    o.number("fiscalCounterTaxPercent", percent);
                }
                o.number("fiscalCounterTaxID", id);
            }
            By::Money(money) => o.text("fiscalCounterMoneyType", money.as_str()),
        }
        o.number("fiscalCounterValue", value);
    });
}

/// The whole body of CloseDay.
#[must_use]
pub fn close_day_body(
    day: FiscalDayNo,
    counters: &Counters,
    signature: &Signature,
    last_counter: Option<ReceiptCounter>,
) -> String {
    let mut out = String::with_capacity(512);
    let mut o = Object::open(&mut out);
    o.number("fiscalDayNo", day);
    write_counters(o.name("fiscalDayCounters"), counters);
    write_signature(o.name("fiscalDayDeviceSignature"), signature);
    o.number(
        "receiptCounter",
        last_counter.map_or(0, ReceiptCounter::get),
    );
    o.close();
    out
}

/// The whole body of OpenDay.
#[must_use]
pub fn open_day_body(day: FiscalDayNo, opened: DateTime) -> String {
    format!("{{\"fiscalDayNo\":{day},\"fiscalDayOpened\":\"{opened}\"}}")
}

/// What a file of an offline device says of its day (docs/FDMS.md section 7).
#[derive(Debug, Clone, Copy)]
pub struct FileFooter<'a> {
    /// The day's counters.
    pub counters: &'a Counters,
    /// The till's signature over the day.
    pub signature: &'a Signature,
    /// `receiptCounter` of the day's last receipt.
    pub last_counter: Option<ReceiptCounter>,
    /// When the day was closed.
    pub closed: DateTime,
}

/// A file of an offline device: `receipts` are bodies of SubmitReceipt, and go into it as they are.
#[must_use]
pub fn file_body(
    device: DeviceId,
    (day, opened): (FiscalDayNo, DateTime),
    sequence: u32,
    receipts: &[String],
    footer: Option<&FileFooter<'_>>,
) -> String {
    let length = receipts.iter().map(String::len).sum::<usize>();
    let mut out = String::with_capacity(length + 1024);
    let mut o = Object::open(&mut out);
    o.object("header", |o| {
        o.number("deviceId", device);
        o.number("fiscalDayNo", day);
        o.text("fiscalDayOpened", &opened.to_string());
        o.number("fileSequence", sequence);
    });
    if !receipts.is_empty() {
        o.object("content", |o| {
            let out = o.name("receipts");
            out.push('[');
            for (place, body) in receipts.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                let inner = body.strip_prefix("{\"receipt\":");
                out.push_str(
                    inner
                        .and_then(|rest| rest.strip_suffix('}'))
                        .unwrap_or(body),
                );
            }
            out.push(']');
        });
    }
    if let Some(footer) = footer {
        o.object("footer", |o| {
            write_counters(o.name("fiscalDayCounters"), footer.counters);
            write_signature(o.name("fiscalDayDeviceSignature"), footer.signature);
            let last = footer.last_counter.map_or(0, ReceiptCounter::get);
            o.number("receiptCounter", last);
            o.text("fiscalDayClosed", &footer.closed.to_string());
        });
    }
    o.close();
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::{CounterKey, CounterType};
    use crate::receipt::{Hash, TaxRow};
    use crate::{Cents, Currency, MoneyType, Percent, ReceiptGlobalNo, ReceiptType, TaxId};

    const SIGNATURE: &str =
        r#"{"hash":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=","signature":"c2lnbmVk"}"#;
    const COUNTERS: &str = r#"[{"fiscalCounterType":"SaleByTax","fiscalCounterCurrency":"USD","fiscalCounterTaxID":1,"fiscalCounterValue":-0.05},{"fiscalCounterType":"SaleByTax","fiscalCounterCurrency":"USD","fiscalCounterTaxPercent":15.5,"fiscalCounterTaxID":517,"fiscalCounterValue":115.50},{"fiscalCounterType":"BalanceByMoneyType","fiscalCounterCurrency":"USD","fiscalCounterMoneyType":"Cash","fiscalCounterValue":115.45}]"#;

    fn signature() -> Signature {
        Signature {
            hash: Hash([1; 32]),
            bytes: b"signed".to_vec(),
        }
    }

    fn key(id: u32, percent: Option<u32>) -> TaxKey {
        TaxKey {
            id: TaxId::new(id).unwrap(),
            code: None,
            percent: percent.and_then(Percent::from_hundredths),
        }
    }

    fn row(tax: TaxKey, tax_amount: i64, sales: i64) -> TaxRow {
        TaxRow {
            tax,
            tax_amount: Cents::new(tax_amount),
            sales_amount_with_tax: Cents::new(sales),
        }
    }

    fn counters() -> Counters {
        let mut counters = Counters::default();
        let currency = Currency::USD;
        let (exempt, vat) = (key(1, None), key(517, Some(1550)));
        for (counter_type, by, value) in [
            (
                CounterType::BalanceByMoneyType,
                By::Money(MoneyType::Cash),
                11_545,
            ),
            (CounterType::SaleByTax, By::Tax(vat.id, vat.percent), 11_550),
            (CounterType::SaleByTax, By::Tax(exempt.id, None), -5),
            (CounterType::SaleTaxByTax, By::Tax(exempt.id, None), 0),
        ] {
            counters.add(
                CounterKey {
                    counter_type,
                    currency,
                    by,
                },
                Cents::new(value),
            );
        }
        counters
    }

    fn number(no: u32) -> (FiscalDayNo, DateTime) {
        let opened = jiff::civil::date(2026, 2, 26).at(7, 0, 0, 0);
        (FiscalDayNo::new(no).unwrap(), opened)
    }

    /// A receipt on its way to FDMS, to the letter.
    #[test]
    fn a_receipts_body() {
        let receipt = Receipt {
            receipt_type: ReceiptType::FiscalInvoice,
            currency: Currency::USD,
            counter: ReceiptCounter::new(3).unwrap(),
            global_no: ReceiptGlobalNo::new(7).unwrap(),
            invoice_no: "T\"7".to_owned(),
            buyer: None,
            notes: None,
            date: jiff::civil::date(2026, 2, 26).at(12, 40, 34, 0),
            credit_debit_note: None,
            lines_tax_inclusive: true,
            lines: Vec::new(),
            taxes: vec![
                row(key(1, None), 0, -5),
                row(key(517, Some(1550)), 1550, 11_550),
            ],
            payments: Vec::new(),
            total: Cents::new(11_545),
            print_form: None,
        };
        let taxes = r#"[{"taxID":1,"taxAmount":0.00,"salesAmountWithTax":-0.05},{"taxPercent":15.5,"taxID":517,"taxAmount":15.50,"salesAmountWithTax":115.50}]"#;
        assert_eq!(
            submit_receipt_body(&receipt, &signature()),
            [
                r#"{"receipt":{"receiptType":"FiscalInvoice","receiptCurrency":"USD","receiptCounter":3,"receiptGlobalNo":7,"invoiceNo":"T\"7","receiptDate":"2026-02-26T12:40:34","receiptLinesTaxInclusive":true,"receiptLines":[],"receiptTaxes":"#,
                taxes,
                r#","receiptPayments":[],"receiptTotal":115.45,"receiptDeviceSignature":"#,
                SIGNATURE,
                "}}",
            ]
            .concat()
        );
        let mut alone = String::new();
        write_taxes(&mut alone, &receipt.taxes);
        assert_eq!(alone, taxes);
    }

    /// A day's opening and close, to the letter; a day without a receipt says 0.
    #[test]
    fn a_days_bodies() {
        let (day, opened) = number(12);
        assert_eq!(
            open_day_body(day, opened),
            r#"{"fiscalDayNo":12,"fiscalDayOpened":"2026-02-26T07:00:00"}"#
        );
        let close = |counters: &Counters, last| close_day_body(day, counters, &signature(), last);
        assert_eq!(
            close(&counters(), ReceiptCounter::new(45)),
            format!(
                r#"{{"fiscalDayNo":12,"fiscalDayCounters":{COUNTERS},"fiscalDayDeviceSignature":{SIGNATURE},"receiptCounter":45}}"#
            )
        );
        assert_eq!(
            close(&Counters::default(), None),
            format!(
                r#"{{"fiscalDayNo":12,"fiscalDayCounters":[],"fiscalDayDeviceSignature":{SIGNATURE},"receiptCounter":0}}"#
            )
        );
    }

    /// A file of an offline device: receipts go in as they were signed, the last file closes the day.
    #[test]
    fn files() {
        let device = DeviceId::new(322).unwrap();
        let head = r#"{"header":{"deviceId":322,"fiscalDayNo":12,"fiscalDayOpened":"2026-02-26T07:00:00","fileSequence":2}"#;
        let body = |receipts: &[&str], footer| {
            let receipts: Vec<String> = receipts.iter().map(|body| (*body).to_owned()).collect();
            file_body(device, number(12), 2, &receipts, footer)
        };
        assert_eq!(body(&[], None), format!("{head}}}"));
        let three = [
            r#"{"receipt":{"a":1}}"#,
            r#"{"receipt":{"a":2}}"#,
            r#"{"receipt":{"a":3}}"#,
        ];
        let content = r#","content":{"receipts":[{"a":1},{"a":2},{"a":3}]}"#;
        assert_eq!(body(&three, None), format!("{head}{content}}}"));
        let (counters, signature) = (counters(), signature());
        let footer = FileFooter {
            counters: &counters,
            signature: &signature,
            last_counter: ReceiptCounter::new(45),
            closed: jiff::civil::date(2026, 2, 26).at(19, 30, 0, 0),
        };
        assert_eq!(
            body(&three[..1], Some(&footer)),
            format!(
                r#"{head},"content":{{"receipts":[{{"a":1}}]}},"footer":{{"fiscalDayCounters":{COUNTERS},"fiscalDayDeviceSignature":{SIGNATURE},"receiptCounter":45,"fiscalDayClosed":"2026-02-26T19:30:00"}}}}"#
            )
        );
    }
}
