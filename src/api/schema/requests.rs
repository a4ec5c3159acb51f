//! What a POS sends.

use utoipa::ToSchema;

use super::Exact;

/// A sale: the receipt as the authority's protocol has it, less what the gateway sets. Numbers may be JSON
/// numbers or strings; they are read exactly. What the gateway sets (numbers, date, line numbers, taxes,
/// total, hash, signature) may be sent and must then agree.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase", example = json!({
    "receiptType": "FiscalInvoice", "receiptCurrency": "USD", "invoiceNo": "T1-000123",
    "receiptLinesTaxInclusive": true,
    "receiptLines": [ { "receiptLineType": "Sale", "receiptLineName": "Bread", "receiptLineHSCode": "19059090",
                        "receiptLinePrice": 1.2, "receiptLineQuantity": 2, "taxID": 517 } ],
    "receiptPayments": [ { "moneyTypeCode": "Cash", "paymentAmount": 2.4 } ]
}))]
pub struct Sale {
    /// The till; left out where the token names it.
    #[schema(rename = "deviceID")]
    pub device_id: Option<u32>,
    /// `FiscalInvoice`, `CreditNote` or `DebitNote`.
    pub receipt_type: String,
    /// Three letters, such as `USD`; `ZIG` is read as `ZWG`.
    pub receipt_currency: String,
    /// The shop's own number, at most 50 characters, never used before.
    pub invoice_no: String,
    /// The buyer.
    pub buyer_data: Option<Buyer>,
    /// Remarks, at most 500 characters; on a note the reason.
    pub receipt_notes: Option<String>,
    /// The original of a note.
    pub credit_debit_note: Option<SaleOriginal>,
    /// Whether line totals contain tax.
    pub receipt_lines_tax_inclusive: bool,
    /// The lines, at most 1000.
    pub receipt_lines: Vec<SaleLine>,
    /// The payments, at most 100: together the total; cash without the change.
    pub receipt_payments: Vec<SalePayment>,
    /// The total; computed if left out.
    pub receipt_total: Option<Exact>,
    /// `Receipt48` or `InvoiceA4`.
    pub receipt_print_form: Option<String>,
    /// The note's original is in another ledger: its limits are not judged.
    pub original_elsewhere: Option<bool>,
    /// Printed only: who sold.
    pub cashier: Option<String>,
    /// Printed only: what the customer gave.
    pub tendered: Option<Exact>,
    /// Printed only: what the customer got back.
    pub change: Option<Exact>,
    /// Printed only: lines under the receipt, at most 20.
    pub footer_lines: Option<Vec<String>>,
    /// Whether the gateway prints the receipt by itself; left out, the till's policy decides.
    pub print: Option<bool>,
}

/// A line of a sale. Its tax is `taxID`, or `taxPercent` where only one tax has it, or an alias in `tax`.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct SaleLine {
    /// `Sale` or `Discount`.
    pub receipt_line_type: String,
    /// Name of the goods, at most 200 characters.
    pub receipt_line_name: String,
    /// The goods' code, 4 or 8 digits; a VAT payer needs it.
    #[schema(rename = "receiptLineHSCode")]
    pub receipt_line_hs_code: Option<String>,
    /// Price of one, up to 6 digits after the point; below zero on discounts and credit notes.
    pub receipt_line_price: Option<Exact>,
    /// How many, up to 6 digits after the point, above zero.
    pub receipt_line_quantity: Exact,
    /// Price times quantity, rounded to cents; needed where there is no price.
    pub receipt_line_total: Option<Exact>,
    /// The tax's number.
    #[schema(rename = "taxID")]
    pub tax_id: Option<u32>,
    /// The tax's percent; left out for exempt.
    pub tax_percent: Option<Exact>,
    /// The letter printed beside the tax, at most 3 characters; on all lines or on none.
    pub tax_code: Option<String>,
    /// The tax's name in the configuration.
    pub tax: Option<String>,
}

/// A payment.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct SalePayment {
    /// `Cash`, `Card`, `MobileWallet`, `Coupon`, `Credit`, `BankTransfer` or `Other`.
    pub money_type_code: String,
    /// How much; zero or below on credit notes.
    pub payment_amount: Exact,
}

/// The original of a note: by the three numbers, or by its `invoiceNo`.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct SaleOriginal {
    /// FDMS's own number of it.
    #[schema(rename = "receiptID")]
    pub receipt_id: Option<i64>,
    /// The till that issued it.
    #[schema(rename = "deviceID")]
    pub device_id: Option<u32>,
    /// Its number there.
    pub receipt_global_no: Option<u32>,
    /// Its fiscal day there.
    pub fiscal_day_no: Option<u32>,
    /// The shop's number of it, if it is in this ledger.
    pub invoice_no: Option<String>,
}

/// The buyer.
#[derive(Debug, Clone, serde::Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Buyer {
    /// Registered name, at most 250 characters, of which FDMS keeps 200.
    pub buyer_register_name: Option<String>,
    /// Trade name.
    pub buyer_trade_name: Option<String>,
    /// VAT number, 9 digits.
    pub vat_number: Option<String>,
    /// Taxpayer identification number, 10 digits.
    #[serde(rename = "buyerTIN")]
    pub buyer_tin: Option<String>,
    /// Telephone and e-mail.
    pub buyer_contacts: Option<Contacts>,
    /// Address.
    pub buyer_address: Option<Address>,
}

/// Telephone and e-mail.
#[derive(Debug, Clone, serde::Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Contacts {
    /// Telephone, at most 20 characters.
    pub phone_no: Option<String>,
    /// E-mail.
    pub email: Option<String>,
}

/// An address.
#[derive(Debug, Clone, serde::Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Address {
    /// Province.
    pub province: String,
    /// City.
    pub city: String,
    /// Street.
    pub street: String,
    /// Number of the house.
    pub house_no: String,
    /// District.
    pub district: Option<String>,
}

/// A credit note by reference.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase", example = json!({
    "invoiceNo": "T1-000124", "receiptNotes": "returned", "lines": [ { "receiptLineNo": 1, "quantity": 1 } ]
}))]
pub struct Credit {
    /// The shop's own number of the note.
    pub invoice_no: String,
    /// The reason.
    pub receipt_notes: String,
    /// The lines to credit; left out: all that is left.
    pub lines: Option<Vec<CreditLine>>,
    /// How the money goes back, below zero; left out: the way most of it came.
    pub receipt_payments: Option<Vec<SalePayment>>,
    /// `Receipt48` or `InvoiceA4`.
    pub receipt_print_form: Option<String>,
    /// Printed only: who sold.
    pub cashier: Option<String>,
    /// Printed only: what the customer gave.
    pub tendered: Option<Exact>,
    /// Printed only: what the customer got back.
    pub change: Option<Exact>,
    /// Printed only: lines under the receipt, at most 20.
    pub footer_lines: Option<Vec<String>>,
    /// Whether the gateway prints the receipt by itself; left out, the till's policy decides.
    pub print: Option<bool>,
}

/// A line of the original to credit.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct CreditLine {
    /// Its number on the original.
    pub receipt_line_no: u32,
    /// How much of it; left out: all of it.
    pub quantity: Option<Exact>,
}
