//! Receipts as they are answered.

use serde::Deserialize;
use utoipa::ToSchema;

use super::{Buyer, Exact};

/// A fiscal receipt, with everything that is needed to print it.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Receipt {
    /// The till.
    #[serde(rename = "deviceID")]
    pub device_id: u32,
    /// `test` or `production`.
    pub environment: String,
    /// The till's serial number.
    pub device_serial_no: String,
    /// The fiscal day.
    pub fiscal_day_no: u32,
    /// `FiscalInvoice`, `CreditNote` or `DebitNote`.
    pub receipt_type: String,
    /// Three letters.
    pub receipt_currency: String,
    /// Its number within the day.
    pub receipt_counter: u32,
    /// Its number for the till's life.
    pub receipt_global_no: u32,
    /// The shop's number, with the till's prefix.
    pub invoice_no: String,
    /// The buyer.
    pub buyer_data: Option<Buyer>,
    /// Remarks.
    pub receipt_notes: Option<String>,
    /// Local date and time.
    pub receipt_date: String,
    /// The original of a note.
    pub credit_debit_note: Option<Original>,
    /// Whether line totals contain tax.
    pub receipt_lines_tax_inclusive: bool,
    /// The lines as fiscalised.
    pub receipt_lines: Vec<Line>,
    /// A row for each tax.
    pub receipt_taxes: Vec<TaxRow>,
    /// The payments.
    pub receipt_payments: Vec<Payment>,
    /// The total, tax included.
    pub receipt_total: Exact,
    /// The paper it is meant for.
    pub receipt_print_form: Option<String>,
    /// On notes: whether the original was in this ledger, so that its limits could be judged.
    pub original_judged: Option<bool>,
    /// SHA-256 of what was signed, base64.
    pub hash: String,
    /// The till's signature, base64.
    pub signature: String,
    /// The verification code, in groups as it is printed.
    pub verification_code: String,
    /// What the QR code holds.
    pub qr_data: String,
    /// The receipt as paper.
    pub print: Print,
    /// Where it stands with FDMS.
    pub fdms: Fdms,
}

/// A receipt that has not been issued.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Preview {
    /// Always true.
    pub preview: bool,
    /// The till.
    #[serde(rename = "deviceID")]
    pub device_id: u32,
    /// `test` or `production`.
    pub environment: String,
    /// The till's serial number.
    pub device_serial_no: String,
    /// The fiscal day it would belong to.
    pub fiscal_day_no: u32,
    /// `FiscalInvoice`, `CreditNote` or `DebitNote`.
    pub receipt_type: String,
    /// Three letters.
    pub receipt_currency: String,
    /// The number it would have if it were the next.
    pub receipt_counter: u32,
    /// The number it would have if it were the next.
    pub receipt_global_no: u32,
    /// The shop's number, with the till's prefix.
    pub invoice_no: String,
    /// The buyer.
    pub buyer_data: Option<Buyer>,
    /// Remarks.
    pub receipt_notes: Option<String>,
    /// The date it would have.
    pub receipt_date: String,
    /// The original of a note.
    pub credit_debit_note: Option<Original>,
    /// Whether line totals contain tax.
    pub receipt_lines_tax_inclusive: bool,
    /// The lines.
    pub receipt_lines: Vec<Line>,
    /// A row for each tax.
    pub receipt_taxes: Vec<TaxRow>,
    /// The payments.
    pub receipt_payments: Vec<Payment>,
    /// The total, tax included.
    pub receipt_total: Exact,
    /// The paper it is meant for.
    pub receipt_print_form: Option<String>,
    /// On notes: whether the original is in this ledger, so that its limits could be judged.
    pub original_judged: Option<bool>,
    /// The paper, headed PREVIEW.
    pub print: Print,
}

/// A line as fiscalised.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Line {
    /// `Sale` or `Discount`.
    pub receipt_line_type: String,
    /// Its number, from 1.
    pub receipt_line_no: u32,
    /// The goods' code.
    #[serde(rename = "receiptLineHSCode")]
    pub receipt_line_hs_code: Option<String>,
    /// Name of the goods.
    pub receipt_line_name: String,
    /// Price of one.
    pub receipt_line_price: Option<Exact>,
    /// How many.
    pub receipt_line_quantity: Exact,
    /// Its total.
    pub receipt_line_total: Exact,
    /// The letter printed beside the tax.
    pub tax_code: Option<String>,
    /// The tax's percent; absent for exempt.
    pub tax_percent: Option<Exact>,
    /// The tax.
    #[serde(rename = "taxID")]
    pub tax_id: u32,
}

/// The sum of a tax.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TaxRow {
    /// The letter printed beside the tax.
    pub tax_code: Option<String>,
    /// The tax's percent; absent for exempt.
    pub tax_percent: Option<Exact>,
    /// The tax.
    #[serde(rename = "taxID")]
    pub tax_id: u32,
    /// The tax in money.
    pub tax_amount: Exact,
    /// The sales, tax included.
    pub sales_amount_with_tax: Exact,
}

/// A payment.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Payment {
    /// How.
    pub money_type_code: String,
    /// How much.
    pub payment_amount: Exact,
}

/// The original of a note.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Original {
    /// FDMS's own number of it.
    #[serde(rename = "receiptID")]
    pub receipt_id: Option<i64>,
    /// The till that issued it.
    #[serde(rename = "deviceID")]
    pub device_id: Option<u32>,
    /// Its number there.
    pub receipt_global_no: Option<u32>,
    /// Its fiscal day there.
    pub fiscal_day_no: Option<u32>,
}

/// A receipt or report as paper: blocks for a printer, text for a line printer or a screen.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Print {
    /// What stands there, from top to bottom.
    pub blocks: Vec<Block>,
    /// The width of the text in characters.
    pub columns: u32,
    /// The blocks as text; the QR code is only marked.
    pub text: String,
}

/// A piece of paper. Which members are there depends on `block`; new kinds may be added.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Block {
    /// `text`, `row`, `table`, `rule`, `qr`, `blank` or `cut`.
    pub block: String,
    /// Of `text`: the text.
    pub text: Option<String>,
    /// Of `text`: `center` or `right`; else it stands at the left.
    pub align: Option<String>,
    /// Of `text` and `row`: true if it is bold.
    pub bold: Option<bool>,
    /// Of `text`: `double` if it is twice as high and wide.
    pub size: Option<String>,
    /// Of `row`: what stands at the left edge.
    pub left: Option<String>,
    /// Of `row`: what stands at the right edge.
    pub right: Option<String>,
    /// Of `table`: heads of the columns; the first stands left, the others right.
    pub head: Option<Vec<String>>,
    /// Of `table`: the rows.
    pub rows: Option<Vec<Vec<String>>>,
    /// Of `qr`: what the code holds.
    pub content: Option<String>,
}

/// Where something stands with FDMS.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fdms {
    /// `queued`: it will be sent. `accepted`: FDMS has it. `parked`: nothing is sent until a person has acted.
    /// `passedOver`: never sent, the till went on from FDMS's own numbers.
    pub state: String,
    /// Of `queued`: how often the head of the queue was tried in vain.
    pub attempts: Option<u32>,
    /// Of `queued`: when it is tried next.
    pub next_attempt: Option<String>,
    /// Of `queued`: why the last try was in vain.
    pub last_error: Option<String>,
    /// Of `parked`: why.
    pub reason: Option<String>,
    /// Of `parked`: FDMS's code, or the HTTP status.
    pub code: Option<String>,
    /// Of `parked`: what a person may do.
    pub actions: Option<Vec<String>>,
    /// Of `parked`: whether the gateway itself asks FDMS now and then if it is over.
    pub probing: Option<bool>,
    /// Of `parked`: since when.
    pub since: Option<String>,
    /// Of `accepted`: when the answer came.
    pub accepted_at: Option<String>,
    /// Of `accepted`: FDMS's number of the operation.
    #[serde(rename = "operationID")]
    pub operation_id: Option<String>,
    /// Of `accepted`: the worst colour, if FDMS found anything: `Red`, `Grey` or `Yellow`.
    pub color: Option<String>,
    /// Of accepted receipts and closes: whether FDMS's own signature fits what it has taken: `valid`, `invalid`
    /// or `unchecked`.
    pub server_signature: Option<String>,
    /// Of accepted receipts: FDMS's own number of it.
    #[serde(rename = "receiptID")]
    pub receipt_id: Option<i64>,
    /// Of accepted receipts: FDMS's time.
    pub server_date: Option<String>,
    /// Of accepted receipts: what FDMS found.
    pub validation_errors: Option<Vec<ValidationError>>,
    /// Of `queued`: how the way to FDMS is.
    pub link: Option<super::Link>,
}

/// Something that FDMS found.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ValidationError {
    /// The broken rule, `RCPT…`.
    pub validation_error_code: String,
    /// Its colour.
    pub validation_error_color: String,
    /// FDMS's words, if it sent any.
    pub validation_error_description: Option<String>,
}

/// Receipts, newest first.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Receipts {
    /// The rows; with `invoiceNo` or `key` the one receipt, with all of its members.
    pub receipts: Vec<Row>,
    /// `before` of the next page, if there is one.
    pub next_before: Option<u32>,
}

/// A receipt in a list.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The till.
    #[serde(rename = "deviceID")]
    pub device_id: u32,
    /// `test` or `production`.
    pub environment: String,
    /// The till's serial number.
    pub device_serial_no: String,
    /// The fiscal day.
    pub fiscal_day_no: u32,
    /// What kind it is.
    pub receipt_type: String,
    /// Its currency.
    pub receipt_currency: String,
    /// Its number within the day.
    pub receipt_counter: u32,
    /// Its number for the till's life.
    pub receipt_global_no: u32,
    /// The shop's number.
    pub invoice_no: String,
    /// Local date and time.
    pub receipt_date: String,
    /// Its total.
    pub receipt_total: Exact,
    /// Where it stands with FDMS.
    pub fdms: Fdms,
}

/// What of a receipt can still be credited.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Creditable {
    /// The till.
    #[serde(rename = "deviceID")]
    pub device_id: u32,
    /// `test` or `production`.
    pub environment: String,
    /// The till's serial number.
    pub device_serial_no: String,
    /// The receipt.
    pub receipt_global_no: u32,
    /// The shop's number.
    pub invoice_no: String,
    /// Its currency.
    pub receipt_currency: String,
    /// Its total.
    pub receipt_total: Exact,
    /// The total, less credits, plus debits.
    pub remaining: Exact,
    /// Its notes so far.
    pub notes: Vec<CreditableNote>,
}

/// A note on a receipt.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreditableNote {
    /// Its number on its till.
    pub receipt_global_no: u32,
    /// `CreditNote` or `DebitNote`.
    pub receipt_type: String,
    /// Its total.
    pub receipt_total: Exact,
}
