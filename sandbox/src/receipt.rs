//! A receipt as a device sends it, read and measured.
//!
//! Here only the shape is judged: what must be there, types, lengths, digits (docs/FDMS.md section 5).
//! A receipt that fails here is not taken at all; what is wrong *in* a well-shaped one is the judge's
//! business and the receipt is kept with its colours.

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

use crate::json::{self, Errors, Object};
use crate::micro::Micro;

/// What a receipt is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum ReceiptType {
    /// A sale.
    #[default]
    FiscalInvoice,
    /// Takes back some or all of an invoice; its amounts are negative.
    CreditNote,
    /// Adds to an invoice.
    DebitNote,
}

impl ReceiptType {
    pub(crate) const NAMES: [(&'static str, Self); 3] = [
        ("FiscalInvoice", Self::FiscalInvoice),
        ("CreditNote", Self::CreditNote),
        ("DebitNote", Self::DebitNote),
    ];

    /// As the signing string writes it.
    pub(crate) fn upper_case(self) -> &'static str {
        match self {
            Self::FiscalInvoice => "FISCALINVOICE",
            Self::CreditNote => "CREDITNOTE",
            Self::DebitNote => "DEBITNOTE",
        }
    }

    /// 1 where amounts are positive, -1 where they are negative.
    pub(crate) fn sign(self) -> i128 {
        if self == Self::CreditNote { -1 } else { 1 }
    }

    pub(crate) fn is_note(self) -> bool {
        self != Self::FiscalInvoice
    }
}

/// How something was paid.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[expect(missing_docs, reason = "the authority's own names, which say it all")]
pub enum MoneyType {
    #[default]
    Cash,
    Card,
    MobileWallet,
    Coupon,
    Credit,
    BankTransfer,
    Other,
}

impl MoneyType {
    pub(crate) const NAMES: [(&'static str, Self); 7] = [
        ("Cash", Self::Cash),
        ("Card", Self::Card),
        ("MobileWallet", Self::MobileWallet),
        ("Coupon", Self::Coupon),
        ("Credit", Self::Credit),
        ("BankTransfer", Self::BankTransfer),
        ("Other", Self::Other),
    ];

    /// The authority's name of it.
    pub(crate) fn name(self) -> &'static str {
        Self::NAMES[self as usize].0
    }
}

/// A sold thing, or what was taken off a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum LineType {
    #[default]
    Sale,
    Discount,
}

/// Hash and signature, as text and as bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Signature {
    pub(crate) hash_text: String,
    pub(crate) hash: Vec<u8>,
    pub(crate) text: String,
    pub(crate) bytes: Vec<u8>,
}

impl Signature {
    pub(crate) fn read(object: &Object<'_>, errors: &mut Errors) -> Self {
        let (hash_text, hash) = object.required(errors, "hash", json::base64_bytes(32));
        let (text, bytes) = object.required(errors, "signature", json::base64_bytes(256));
        Self {
            hash_text,
            hash,
            text,
            bytes,
        }
    }
}

/// The tax of a line or of a tax row: what makes two of them the same tax.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TaxKey {
    pub(crate) id: i32,
    /// None for exempt.
    pub(crate) percent: Option<Micro>,
    /// Some("") where an empty code was sent.
    pub(crate) code: Option<String>,
}

impl TaxKey {
    fn read(object: &Object<'_>, errors: &mut Errors) -> Self {
        Self {
            id: object.required(errors, "taxID", json::integer),
            percent: object.optional(errors, "taxPercent", json::percent),
            code: object.optional(errors, "taxCode", json::text(3)),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) kind: LineType,
    pub(crate) hs_code: Option<String>,
    pub(crate) price: Option<Micro>,
    pub(crate) quantity: Micro,
    pub(crate) total: Micro,
    pub(crate) tax: TaxKey,
}

#[derive(Debug, Clone)]
pub(crate) struct TaxRow {
    pub(crate) tax: TaxKey,
    pub(crate) tax_amount: Micro,
    pub(crate) sales_with_tax: Micro,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Payment {
    pub(crate) money: MoneyType,
    pub(crate) amount: Micro,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Buyer {
    pub(crate) name: Option<String>,
    pub(crate) tin: Option<String>,
}

/// Which receipt a note belongs to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NoteReference {
    pub(crate) receipt_id: Option<i64>,
    pub(crate) device_id: Option<i32>,
    pub(crate) global_no: Option<i32>,
    pub(crate) day_no: Option<i32>,
}

/// A well-shaped receipt.
#[derive(Debug, Clone)]
pub(crate) struct Receipt {
    pub(crate) kind: ReceiptType,
    pub(crate) currency: String,
    pub(crate) counter: i32,
    pub(crate) global_no: i32,
    pub(crate) invoice_no: String,
    pub(crate) buyer: Option<Buyer>,
    pub(crate) notes: Option<String>,
    pub(crate) date: DateTime,
    pub(crate) reference: Option<NoteReference>,
    pub(crate) inclusive: bool,
    pub(crate) lines: Vec<Line>,
    pub(crate) taxes: Vec<TaxRow>,
    pub(crate) payments: Vec<Payment>,
    pub(crate) total: Micro,
    pub(crate) signature: Signature,
}

/// The message of SubmitReceipt; the receipt and its own text.
pub(crate) fn read_submission(text: &str) -> Result<(Receipt, &str), Errors> {
    let mut errors = Errors::default();
    let message = Object::outermost(text, &mut errors);
    let object = message.required_object(&mut errors, "receipt");
    let receipt = Receipt::read(&object, &mut errors);
    let raw = message.text_of("receipt");
    errors.finish((receipt, raw))
}

impl Receipt {
    /// Reads a receipt from its own JSON text.
    pub(crate) fn parse(text: &str) -> Result<Self, Errors> {
        let mut errors = Errors::default();
        let object = Object::outermost(text, &mut errors);
        let receipt = Self::read(&object, &mut errors);
        errors.finish(receipt)
    }

    fn read(object: &Object<'_>, errors: &mut Errors) -> Self {
        let signature = object.required_object(errors, "receiptDeviceSignature");
        object.optional(
            errors,
            "receiptPrintForm",
            json::one_of(&[("Receipt48", ()), ("InvoiceA4", ())]),
        );
        let buyer = object.optional_object(errors, "buyerData");
        let reference = object.optional_object(errors, "creditDebitNote");
        Self {
            kind: object.required(errors, "receiptType", json::one_of(&ReceiptType::NAMES)),
            currency: object.required(errors, "receiptCurrency", json::text(3)),
            counter: object.required(errors, "receiptCounter", json::integer),
            global_no: object.required(errors, "receiptGlobalNo", json::integer),
            invoice_no: object.required(errors, "invoiceNo", json::text(50)),
            buyer: buyer.map(|buyer| read_buyer(&buyer, errors)),
            notes: object.optional(errors, "receiptNotes", json::text(500)),
            date: object.required(errors, "receiptDate", json::date_time),
            reference: reference.map(|reference| read_reference(&reference, errors)),
            inclusive: object.required(errors, "receiptLinesTaxInclusive", json::boolean),
            lines: object.required_list(errors, "receiptLines", read_line),
            taxes: object.required_list(errors, "receiptTaxes", read_tax_row),
            payments: object.required_list(errors, "receiptPayments", |item, errors| Payment {
                money: item.required(errors, "moneyTypeCode", json::one_of(&MoneyType::NAMES)),
                amount: item.required(errors, "paymentAmount", json::amount),
            }),
            total: object.required(errors, "receiptTotal", json::amount),
            signature: Signature::read(&signature, errors),
        }
    }
}

fn read_line(item: &Object<'_>, errors: &mut Errors) -> Line {
    item.required(errors, "receiptLineNo", json::integer);
    item.required(errors, "receiptLineName", json::text(200));
    let kinds = [("Sale", LineType::Sale), ("Discount", LineType::Discount)];
    Line {
        kind: item.required(errors, "receiptLineType", json::one_of(&kinds)),
        hs_code: item.optional(errors, "receiptLineHSCode", json::text(8)),
        price: item.optional(errors, "receiptLinePrice", json::decimal(25, 6)),
        quantity: item.required(errors, "receiptLineQuantity", json::decimal(25, 6)),
        total: item.required(errors, "receiptLineTotal", json::amount),
        tax: TaxKey::read(item, errors),
    }
}

fn read_tax_row(item: &Object<'_>, errors: &mut Errors) -> TaxRow {
    TaxRow {
        tax: TaxKey::read(item, errors),
        tax_amount: item.required(errors, "taxAmount", json::amount),
        sales_with_tax: item.required(errors, "salesAmountWithTax", json::amount),
    }
}

fn read_buyer(object: &Object<'_>, errors: &mut Errors) -> Buyer {
    object.optional(errors, "buyerTradeName", json::text(200));
    let vat = object.either("vatNumber", "VATNumber");
    object.optional(errors, vat, exactly(9));
    if let Some(contacts) = object.optional_object(errors, "buyerContacts") {
        contacts.optional(errors, "phoneNo", json::text(20));
        contacts.optional(errors, "email", json::text(100));
    }
    if let Some(address) = object.optional_object(errors, "buyerAddress") {
        for key in ["province", "city", "street"] {
            address.required(errors, key, json::text(100));
        }
        address.required(errors, "houseNo", json::text(250));
        address.optional(errors, "district", json::text(100));
    }
    Buyer {
        name: object.optional(errors, "buyerRegisterName", json::text(200)),
        tin: object.optional(errors, "buyerTIN", exactly(10)),
    }
}

/// A text of just `length` characters; an empty one is let pass, the judge takes it for a missing one.
fn exactly(length: usize) -> impl Fn(&str) -> Result<String, String> {
    move |raw| {
        let value = json::text(length)(raw)?;
        if value.is_empty() || value.encode_utf16().count() == length {
            return Ok(value);
        }
        Err(format!(
            "The field must be a string with a length of {length}."
        ))
    }
}

fn read_reference(object: &Object<'_>, errors: &mut Errors) -> NoteReference {
    NoteReference {
        receipt_id: object.optional(errors, "receiptID", json::long_integer),
        device_id: object.optional(errors, "deviceID", json::integer),
        global_no: object.optional(errors, "receiptGlobalNo", json::integer),
        day_no: object.optional(errors, "fiscalDayNo", json::integer),
    }
}
