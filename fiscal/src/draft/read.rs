//! The reader behind [`Draft`]: a JSON tree in, typed fields and findings out.

use super::{
    Draft, DraftLine, DraftOriginal, DraftPayment, DraftSignature, DraftTax, DraftTaxName,
    MAX_FOOTER_LINES, MAX_LINES, MAX_PAYMENTS, PrintOnly,
};
use crate::json::{Value, escape};
use crate::number::NumberError;
use crate::receipt::{Buyer, LineType, OriginalRef, PrintForm, ReceiptType};
use crate::taxpayer::{Address, Contacts};
use crate::text::{self, TextError};
use crate::{
    Cents, Code, Currency, DateTime, DeviceId, Finding, FiscalDayNo, MoneyType, Percent, Price,
    Quantity, ReceiptCounter, ReceiptGlobalNo, TaxId,
};

/// Lengths of text fields in characters (docs/FDMS.md section 5).
mod length {
    pub(super) const INVOICE_NO: usize = 50;
    pub(super) const LINE_NAME: usize = 200;
    pub(super) const TAX_CODE: usize = 3;
    pub(super) const NOTES: usize = 500;
    /// What FDMS's schema holds; longer names (up to 250, as the prose allows) are cut.
    pub(super) const BUYER_NAME: usize = 200;
    pub(super) const BUYER_NAME_SENT: usize = 250;
    pub(super) const PHONE: usize = 20;
    pub(super) const EMAIL: usize = 100;
    pub(super) const ADDRESS: usize = 100;
    pub(super) const SIGNATURE: usize = 400;
    /// One printed line, folded by the printer's width (gateway's limit).
    pub(super) const FOOTER: usize = 200;
    pub(super) const CASHIER: usize = 100;
}

/// An object being read: its members, where it stands, and the findings of the whole document.
struct Fields<'f, 'v> {
    value: &'v Value<'v>,
    pointer: String,
    findings: &'f mut Vec<Finding>,
}

impl<'f, 'v> Fields<'f, 'v> {
    /// Starts on an object; anything else, and every unknown or doubled member, is a finding.
    fn of(
        value: &'v Value<'v>,
        pointer: String,
        known: &[&str],
        findings: &'f mut Vec<Finding>,
    ) -> Option<Self> {
        let Value::Object(members) = value else {
            let message = format!("is {}; an object is needed", value.kind());
            findings.push(Finding::new(Code::FieldType, pointer, message));
            return None;
        };
        // Somebody may send a hundred thousand members: each is looked at once, and a hundred are told of.
        let mut seen = vec![false; known.len()];
        for (name, _) in members {
            let place = known.iter().position(|known| known == name);
            let seen = place.and_then(|place| seen.get_mut(place));
            let (code, what) = match seen.map(|seen| std::mem::replace(seen, true)) {
                None => (Code::FieldUnknown, "is not a field of this object"),
                Some(true) => (Code::FieldRepeated, "is there twice"),
                Some(false) => continue,
            };
            if findings.len() >= MAX_FINDINGS {
                break;
            }
            let shown = show(name);
            let at = format!("{pointer}/{}", escape(&shown));
            findings.push(Finding::new(code, at, format!("`{shown}` {what}")));
        }
        Some(Self {
            value,
            pointer,
            findings,
        })
    }

    fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.pointer)
    }

    fn fault(&mut self, code: Code, name: &str, message: impl Into<String>) {
        let at = self.at(name);
        self.findings.push(Finding::new(code, at, message));
    }

    fn wrong_type(&mut self, name: &str, value: &Value<'_>, wanted: &str) {
        let message = format!("is {}; {wanted} is needed", value.kind());
        self.fault(Code::FieldType, name, message);
    }

    fn str(&mut self, name: &str) -> Option<&'v str> {
        match self.value.get(name)? {
            Value::String(text) => Some(text.as_ref()),
            other => {
                self.wrong_type(name, other, "a string");
                None
            }
        }
    }

    fn text(&mut self, name: &str, max: usize) -> Option<String> {
        let text = self.str(name)?;
        match text::check(text, max) {
            Ok(()) => Some(text.to_owned()),
            Err(error) => {
                self.text_fault(name, error);
                None
            }
        }
    }

    fn text_fault(&mut self, name: &str, error: TextError) {
        let code = match error {
            TextError::TooLong(..) => Code::TextTooLong,
            TextError::Empty => Code::TextEmpty,
            _ => Code::TextNotPrintable,
        };
        self.fault(code, name, error.to_string());
    }

    /// A text of digits of a fixed length.
    fn digits(&mut self, name: &str, length: usize) -> Option<String> {
        let text = self.str(name)?;
        if text.len() == length && text.bytes().all(|b| b.is_ascii_digit()) {
            return Some(text.to_owned());
        }
        self.fault(
            Code::FormatInvalid,
            name,
            format!("is \"{}\"; exactly {length} digits are needed", show(text)),
        );
        None
    }

    /// A number, as JSON number or as string.
    fn number<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, NumberError>,
    ) -> Option<T> {
        let text: &str = match self.value.get(name)? {
            Value::Number(text) => text,
            Value::String(text) => text.as_ref(),
            other => {
                self.wrong_type(name, other, "a number");
                return None;
            }
        };
        match parse(text) {
            Ok(number) => Some(number),
            Err(error) => {
                let code = match error {
                    NumberError::NotANumber | NumberError::NotAnInteger => Code::NumberInvalid,
                    NumberError::TooManyDecimals(_) => Code::NumberTooPrecise,
                    NumberError::TooLarge => Code::NumberTooLarge,
                    NumberError::Negative => Code::Rcpt025,
                };
                self.fault(code, name, format!("{} {error}", show(text)));
                None
            }
        }
    }

    fn integer<T>(&mut self, name: &str, make: impl FnOnce(u32) -> Option<T>) -> Option<T> {
        let number: u32 = self.number(name, |text| {
            if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
                return Err(NumberError::NotAnInteger);
            }
            text.parse().map_err(|_| NumberError::TooLarge)
        })?;
        let made = make(number);
        if made.is_none() {
            self.fault(Code::NumberTooLarge, name, format!("{number} is too large"));
        }
        made
    }

    fn word<T: Copy + std::fmt::Display>(
        &mut self,
        name: &str,
        all: &[T],
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.str(name)?;
        let word = parse(text);
        if word.is_none() {
            let all: Vec<String> = all.iter().map(ToString::to_string).collect();
            let message = format!("is \"{}\"; one of {} is needed", show(text), all.join(", "));
            self.fault(Code::WordUnknown, name, message);
        }
        word
    }

    fn bool(&mut self, name: &str) -> Option<bool> {
        match self.value.get(name)? {
            Value::Bool(value) => Some(*value),
            other => {
                self.wrong_type(name, other, "true or false");
                None
            }
        }
    }

    fn date(&mut self, name: &str) -> Option<DateTime> {
        let text = self.str(name)?;
        let form = text.len() == 19 && text.as_bytes().get(10) == Some(&b'T');
        match text.parse() {
            Ok(date) if form => Some(date),
            _ => {
                let message = format!(
                    "is \"{}\"; a date like 2026-05-28T07:42:19 is needed",
                    show(text)
                );
                self.fault(Code::FormatInvalid, name, message);
                None
            }
        }
    }

    /// Reads the rows of an array, at most `max`.
    fn rows<T>(
        &mut self,
        name: &str,
        max: usize,
        known: &[&str],
        read: impl Fn(&mut Fields<'_, 'v>) -> T,
    ) -> Option<Vec<T>> {
        let rows = match self.value.get(name)? {
            Value::Array(rows) => rows,
            other => {
                self.wrong_type(name, other, "an array");
                return None;
            }
        };
        if rows.len() > max {
            let message = format!("has {} rows; at most {max} are allowed", rows.len());
            self.fault(Code::TooMany, name, message);
            return None;
        }
        let mut all = Vec::with_capacity(rows.len());
        for (place, row) in rows.iter().enumerate() {
            let pointer = format!("{}/{place}", self.at(name));
            if let Some(mut fields) = Fields::of(row, pointer, known, self.findings) {
                all.push(read(&mut fields));
            }
        }
        Some(all)
    }

    /// Reads an object inside this one.
    fn object<T>(
        &mut self,
        name: &str,
        known: &[&str],
        read: impl FnOnce(&mut Fields<'_, 'v>) -> T,
    ) -> Option<T> {
        let value = self.value.get(name)?;
        let pointer = self.at(name);
        let mut fields = Fields::of(value, pointer, known, self.findings)?;
        Some(read(&mut fields))
    }
}

/// Findings that are told at once; somebody who gets a hundred wrong mends those first.
const MAX_FINDINGS: usize = 100;

/// A value shown in a message, cut where somebody sent a novel.
fn show(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(40)
        .map(|c| if c.is_control() { '\u{FFFD}' } else { c })
        .collect();
    if text.chars().nth(40).is_some() {
        shown.push('…');
    }
    shown
}

const RECEIPT: &[&str] = &[
    "deviceID",
    "receiptType",
    "receiptCurrency",
    "receiptCounter",
    "receiptGlobalNo",
    "invoiceNo",
    "buyerData",
    "receiptNotes",
    "receiptDate",
    "creditDebitNote",
    "receiptLinesTaxInclusive",
    "receiptLines",
    "receiptTaxes",
    "receiptPayments",
    "receiptTotal",
    "receiptPrintForm",
    "receiptDeviceSignature",
    "originalElsewhere",
    "cashier",
    "tendered",
    "change",
    "footerLines",
    "print",
];

pub(super) fn draft(value: &Value<'_>) -> (Draft, Vec<Finding>) {
    let mut findings = Vec::new();
    let draft = Fields::of(value, String::new(), RECEIPT, &mut findings)
        .map(|mut fields| receipt(&mut fields))
        .unwrap_or_default();
    findings.truncate(MAX_FINDINGS);
    (draft, findings)
}

fn receipt(f: &mut Fields<'_, '_>) -> Draft {
    Draft {
        device_id: f.integer("deviceID", DeviceId::new),
        receipt_type: f.word("receiptType", ReceiptType::ALL, ReceiptType::parse),
        receipt_currency: currency(f),
        receipt_counter: f.integer("receiptCounter", ReceiptCounter::new),
        receipt_global_no: f.integer("receiptGlobalNo", ReceiptGlobalNo::new),
        invoice_no: f.text("invoiceNo", length::INVOICE_NO),
        buyer_data: f.object("buyerData", BUYER, buyer),
        receipt_notes: f.text("receiptNotes", length::NOTES),
        receipt_date: f.date("receiptDate"),
        credit_debit_note: f.object("creditDebitNote", ORIGINAL, original),
        receipt_lines_tax_inclusive: f.bool("receiptLinesTaxInclusive"),
        receipt_lines: f.rows("receiptLines", MAX_LINES, LINE, line),
        receipt_taxes: f.rows("receiptTaxes", MAX_LINES, TAX, tax_row),
        receipt_payments: f.rows("receiptPayments", MAX_PAYMENTS, PAYMENT, payment),
        receipt_total: f.number("receiptTotal", Cents::parse),
        receipt_print_form: f.word("receiptPrintForm", PrintForm::ALL, PrintForm::parse),
        receipt_device_signature: f.object(
            "receiptDeviceSignature",
            &["hash", "signature"],
            signature,
        ),
        original_elsewhere: f.bool("originalElsewhere").unwrap_or(false),
        print: PrintOnly {
            cashier: f.text("cashier", length::CASHIER),
            tendered: f.number("tendered", Cents::parse),
            change: f.number("change", Cents::parse),
            footer_lines: footer_lines(f),
            print: f.bool("print"),
        },
    }
}

fn currency(f: &mut Fields<'_, '_>) -> Option<Currency> {
    let text = f.str("receiptCurrency")?;
    let currency = Currency::parse(text);
    if currency.is_none() {
        let message = format!("\"{}\" is not the three letters of a currency", show(text));
        f.fault(Code::Rcpt010, "receiptCurrency", message);
    }
    currency
}

fn footer_lines(f: &mut Fields<'_, '_>) -> Vec<String> {
    let Some(value) = f.value.get("footerLines") else {
        return Vec::new();
    };
    let Value::Array(lines) = value else {
        f.wrong_type("footerLines", value, "an array of strings");
        return Vec::new();
    };
    if lines.len() > MAX_FOOTER_LINES {
        let message = format!(
            "has {} rows; at most {MAX_FOOTER_LINES} are allowed",
            lines.len()
        );
        f.fault(Code::TooMany, "footerLines", message);
        return Vec::new();
    }
    let mut all = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        let name = format!("footerLines/{place}");
        match line {
            Value::String(line) if line.is_empty() => all.push(String::new()),
            Value::String(line) => match text::check(line, length::FOOTER) {
                Ok(()) => all.push(line.to_string()),
                Err(error) => f.text_fault(&name, error),
            },
            other => f.wrong_type(&name, other, "a string"),
        }
    }
    all
}

const LINE: &[&str] = &[
    "receiptLineType",
    "receiptLineNo",
    "receiptLineHSCode",
    "receiptLineName",
    "receiptLinePrice",
    "receiptLineQuantity",
    "receiptLineTotal",
    "taxCode",
    "taxPercent",
    "taxID",
    "tax",
];

fn line(f: &mut Fields<'_, '_>) -> DraftLine {
    DraftLine {
        receipt_line_type: f.word("receiptLineType", LineType::ALL, LineType::parse),
        receipt_line_no: f.integer("receiptLineNo", Some),
        receipt_line_hs_code: hs_code(f),
        receipt_line_name: f.text("receiptLineName", length::LINE_NAME),
        receipt_line_price: f.number("receiptLinePrice", Price::parse),
        receipt_line_quantity: f.number("receiptLineQuantity", Quantity::parse),
        receipt_line_total: f.number("receiptLineTotal", Cents::parse),
        tax: tax_name(f),
    }
}

/// Any length is read, so that a wrong one is judged as FDMS does (RCPT048).
fn hs_code(f: &mut Fields<'_, '_>) -> Option<String> {
    let text = f.str("receiptLineHSCode")?;
    if text.len() <= 20 && text.bytes().all(|b| b.is_ascii_digit()) {
        return Some(text.to_owned());
    }
    let message = format!("is \"{}\"; an HS code has 4 or 8 digits", show(text));
    f.fault(Code::Rcpt048, "receiptLineHSCode", message);
    None
}

fn tax_name(f: &mut Fields<'_, '_>) -> DraftTaxName {
    let empty_code = matches!(f.value.get("taxCode"), Some(Value::String(text)) if text.is_empty());
    if empty_code {
        let message = "is empty; a tax without a code leaves taxCode out";
        f.fault(Code::Rcpt025, "taxCode", message);
    }
    DraftTaxName {
        tax_id: f.integer("taxID", TaxId::new),
        tax_code: if empty_code {
            None
        } else {
            f.text("taxCode", length::TAX_CODE)
        },
        tax_percent: f.number("taxPercent", Percent::parse),
        tax: f.text("tax", length::LINE_NAME),
    }
}

const TAX: &[&str] = &[
    "taxCode",
    "taxPercent",
    "taxID",
    "tax",
    "taxAmount",
    "salesAmountWithTax",
];

fn tax_row(f: &mut Fields<'_, '_>) -> DraftTax {
    DraftTax {
        tax: tax_name(f),
        tax_amount: f.number("taxAmount", Cents::parse),
        sales_amount_with_tax: f.number("salesAmountWithTax", Cents::parse),
    }
}

const PAYMENT: &[&str] = &["moneyTypeCode", "paymentAmount"];

fn payment(f: &mut Fields<'_, '_>) -> DraftPayment {
    DraftPayment {
        money_type_code: f.word("moneyTypeCode", MoneyType::ALL, MoneyType::parse),
        payment_amount: f.number("paymentAmount", Cents::parse),
    }
}

fn signature(f: &mut Fields<'_, '_>) -> DraftSignature {
    DraftSignature {
        hash: f.text("hash", length::SIGNATURE),
        signature: f.text("signature", length::SIGNATURE),
    }
}

const ORIGINAL: &[&str] = &[
    "receiptID",
    "deviceID",
    "receiptGlobalNo",
    "fiscalDayNo",
    "invoiceNo",
];

fn original(f: &mut Fields<'_, '_>) -> DraftOriginal {
    DraftOriginal {
        by_number: OriginalRef {
            receipt_id: f.number("receiptID", |text| {
                if text.starts_with('+') {
                    return Err(NumberError::NotAnInteger);
                }
                text.parse().map_err(|_| NumberError::NotAnInteger)
            }),
            device_id: f.integer("deviceID", DeviceId::new),
            receipt_global_no: f.integer("receiptGlobalNo", ReceiptGlobalNo::new),
            fiscal_day_no: f.integer("fiscalDayNo", FiscalDayNo::new),
        },
        invoice_no: f.text("invoiceNo", length::INVOICE_NO),
    }
}

const BUYER: &[&str] = &[
    "buyerRegisterName",
    "buyerTradeName",
    "vatNumber",
    "VATNumber",
    "buyerTIN",
    "buyerContacts",
    "buyerAddress",
];

fn buyer(f: &mut Fields<'_, '_>) -> Buyer {
    // Cut from its first letter on: of a name that begins with blanks something must be left.
    let cut = |name: String| name.trim_start().chars().take(length::BUYER_NAME).collect();
    Buyer {
        buyer_register_name: f
            .text("buyerRegisterName", length::BUYER_NAME_SENT)
            .map(cut),
        buyer_trade_name: f.text("buyerTradeName", length::BUYER_NAME_SENT).map(cut),
        vat_number: f
            .digits("vatNumber", 9)
            .or_else(|| f.digits("VATNumber", 9)),
        buyer_tin: f.digits("buyerTIN", 10),
        buyer_contacts: f.object("buyerContacts", &["phoneNo", "email"], |f| Contacts {
            phone_no: f.text("phoneNo", length::PHONE),
            email: email(f),
        }),
        buyer_address: f.object("buyerAddress", ADDRESS, address),
    }
}

fn email(f: &mut Fields<'_, '_>) -> Option<String> {
    let email = f.text("email", length::EMAIL)?;
    let is_email = email.split_once('@').is_some_and(|(name, host)| {
        let part = |s: &str| {
            !s.is_empty()
                && s.split('.')
                    .all(|p| !p.is_empty() && p.chars().all(is_email_char))
        };
        part(name) && part(host) && host.contains('.')
    });
    if !is_email {
        let message = format!("\"{}\" is not an e-mail address", show(&email));
        f.fault(Code::FormatInvalid, "email", message);
        return None;
    }
    Some(email)
}

fn is_email_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+/=?^_`{|}~-".contains(c)
}

const ADDRESS: &[&str] = &["province", "city", "street", "houseNo", "district"];

/// FDMS's schema needs the first four (docs/FDMS.md section 5).
fn address(f: &mut Fields<'_, '_>) -> Address {
    let mut needed = |name: &str| {
        if f.value.get(name).is_none() {
            f.fault(
                Code::FieldMissing,
                name,
                "is missing from the buyer's address",
            );
        }
        f.text(name, length::ADDRESS).unwrap_or_default()
    };
    Address {
        province: needed("province"),
        city: needed("city"),
        street: needed("street"),
        house_no: needed("houseNo"),
        district: f.text("district", length::ADDRESS),
    }
}
