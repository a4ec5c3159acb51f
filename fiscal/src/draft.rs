//! A receipt as somebody sent it: every field optional, read with all faults noted at once.
//!
//! The same reader serves the POS's sale (docs/API.md) and a whole receipt given to `fiscald inspect`.
//! Numbers come as JSON numbers or as strings and are read exactly; `null` is absent; unknown and doubled
//! fields are findings. [`Draft::fingerprint`] is what idempotency compares.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::json::Value;
use crate::receipt::{Buyer, Hash, LineType, OriginalRef, PrintForm, ReceiptType};
use crate::{
    Cents, Currency, DateTime, DeviceId, Finding, MoneyType, Percent, Price, Quantity,
    ReceiptCounter, ReceiptGlobalNo, TaxId,
};

mod read;

/// Most lines of a receipt (gateway's limit: it keeps a sum of amounts within 64 bits).
pub const MAX_LINES: usize = 1000;
/// Most payments of a receipt (gateway's limit).
pub const MAX_PAYMENTS: usize = 100;
/// Most lines of text under a printed receipt (gateway's limit).
pub const MAX_FOOTER_LINES: usize = 20;

/// A receipt as it was sent. Field names are FDMS's; what is not FDMS's says so.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Draft {
    /// The till; left out where the token names it.
    #[serde(rename = "deviceID", skip_serializing_if = "Option::is_none")]
    pub device_id: Option<DeviceId>,
    /// What kind of receipt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_type: Option<ReceiptType>,
    /// Its currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_currency: Option<Currency>,
    /// The gateway's; must agree if sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_counter: Option<ReceiptCounter>,
    /// The gateway's; must agree if sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_global_no: Option<ReceiptGlobalNo>,
    /// The shop's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invoice_no: Option<String>,
    /// The buyer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buyer_data: Option<Buyer>,
    /// Remarks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_notes: Option<String>,
    /// The gateway's; must agree if sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_date: Option<DateTime>,
    /// The original of a note.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credit_debit_note: Option<DraftOriginal>,
    /// Whether line totals contain tax.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_lines_tax_inclusive: Option<bool>,
    /// The lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_lines: Option<Vec<DraftLine>>,
    /// Tax rows; must agree if sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_taxes: Option<Vec<DraftTax>>,
    /// The payments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_payments: Option<Vec<DraftPayment>>,
    /// The total; must agree if sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_total: Option<Cents>,
    /// The paper it is meant for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_print_form: Option<PrintForm>,
    /// The gateway's; must agree if sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_device_signature: Option<DraftSignature>,
    /// Not FDMS's: the original is in another ledger, its limits cannot be judged here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub original_elsewhere: bool,
    /// Not FDMS's: printed only.
    #[serde(flatten)]
    pub print: PrintOnly,
}

/// What is printed and never reaches FDMS.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PrintOnly {
    /// Who sold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cashier: Option<String>,
    /// What the customer gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tendered: Option<Cents>,
    /// What the customer got back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<Cents>,
    /// Lines under the receipt.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub footer_lines: Vec<String>,
    /// Whether the gateway prints the receipt by itself; without it the till's own policy decides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub print: Option<bool>,
}

/// The original of a note, by FDMS's numbers or by the shop's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DraftOriginal {
    /// FDMS's fields.
    #[serde(flatten)]
    pub by_number: OriginalRef,
    /// Not FDMS's: the original's `invoiceNo`, in this ledger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invoice_no: Option<String>,
}

/// How a line or a tax row names its tax.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DraftTaxName {
    /// FDMS's number of the tax.
    #[serde(rename = "taxID", skip_serializing_if = "Option::is_none")]
    pub tax_id: Option<TaxId>,
    /// The letter printed beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tax_code: Option<String>,
    /// Its percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tax_percent: Option<Percent>,
    /// Not FDMS's: an alias from the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tax: Option<String>,
}

/// A line as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DraftLine {
    /// Sale or discount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_line_type: Option<LineType>,
    /// Its number; must agree if sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_line_no: Option<u32>,
    /// The goods' code.
    #[serde(rename = "receiptLineHSCode", skip_serializing_if = "Option::is_none")]
    pub receipt_line_hs_code: Option<String>,
    /// The goods' name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_line_name: Option<String>,
    /// Price of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_line_price: Option<Price>,
    /// How many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_line_quantity: Option<Quantity>,
    /// The line's total; must agree if sent with a price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_line_total: Option<Cents>,
    /// Its tax.
    #[serde(flatten)]
    pub tax: DraftTaxName,
}

/// A tax row as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DraftTax {
    /// The tax.
    #[serde(flatten)]
    pub tax: DraftTaxName,
    /// The tax in money.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tax_amount: Option<Cents>,
    /// The sales, tax included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sales_amount_with_tax: Option<Cents>,
}

/// A payment as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DraftPayment {
    /// How.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub money_type_code: Option<MoneyType>,
    /// How much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment_amount: Option<Cents>,
}

/// A signature as it was sent: two texts in base64.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct DraftSignature {
    /// The hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// The signature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

impl Draft {
    /// Reads a receipt from JSON. Everything that is wrong is a finding; what can be read is kept.
    #[must_use]
    pub fn read(bytes: &[u8]) -> (Self, Vec<Finding>) {
        match Value::parse(bytes) {
            Ok(value) => Self::from_value(&value),
            Err(error) => {
                let message = format!(
                    "line {}, column {}: {}",
                    error.line, error.column, error.message
                );
                let finding = Finding::new(crate::Code::JsonMalformed, error.pointer, message);
                (Self::default(), vec![finding])
            }
        }
    }

    /// Reads a receipt from a JSON tree.
    #[must_use]
    pub fn from_value(value: &Value<'_>) -> (Self, Vec<Finding>) {
        read::draft(value)
    }

    /// What idempotency compares: SHA-256 of the sale as it was understood (numbers normalised, fields in
    /// fixed order), with the till it was for. It must stay the same in later versions: new optional
    /// fields are left out when absent.
    #[must_use]
    pub fn fingerprint(&self, device: DeviceId) -> Hash {
        let named;
        let sale = if self.device_id == Some(device) {
            self
        } else {
            named = Self {
                device_id: Some(device),
                ..self.clone()
            };
            &named
        };
        let mut text =
            Vec::with_capacity(256 + 256 * self.receipt_lines.as_ref().map_or(0, Vec::len));
        // A draft always serialises: it has no maps with other keys than strings.
        let _ = serde_json::to_writer(&mut text, sale);
        Hash(Sha256::digest(&text).into())
    }
}
