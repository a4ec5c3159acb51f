//! Gateway and authority judge the same sales alike (docs/FDMS.md section 8).
//!
//! What the gateway issues, the sandbox takes without a mark: ten thousand random sales ([`random_sales`]),
//! the authority's own examples ([`examples`]), notes on any till's receipts ([`originals`]), whatever a POS
//! or a clock does to the fields that the gateway owns ([`owned_fields`]). What breaks a rule is refused by
//! the gateway with the code that the sandbox would give: each rule alone ([`broken_rules`]), and sales that
//! were changed at random ([`mutated_sales`]).

mod broken_rules;
mod examples;
mod mutate;
mod mutated_sales;
mod originals;
mod owned_fields;
mod planted;
mod random_sales;

use serde_json::{Value, json};

/// A line with its total; the percent as JSON, null for exempt.
fn line(total: impl Into<Value>, tax_id: u32, percent: impl Into<Value>) -> Value {
    let total = total.into();
    json!({
        "receiptLineType": "Sale",
        "receiptLineHSCode": "19059090",
        "receiptLineName": "Bread",
        "receiptLinePrice": total,
        "receiptLineQuantity": 1,
        "receiptLineTotal": total,
        "taxID": tax_id,
        "taxPercent": percent.into(),
    })
}

fn row(
    tax_id: u32,
    percent: impl Into<Value>,
    tax: impl Into<Value>,
    sales: impl Into<Value>,
) -> Value {
    json!({
        "taxID": tax_id,
        "taxPercent": percent.into(),
        "taxAmount": tax.into(),
        "salesAmountWithTax": sales.into(),
    })
}

fn cash(amount: impl Into<Value>) -> Value {
    json!([{"moneyTypeCode": "Cash", "paymentAmount": amount.into()}])
}

/// 10.00 at 15.5 % and 5.00 zero-rated, tax included.
fn invoice() -> Value {
    json!({
        "receiptType": "FiscalInvoice",
        "receiptCurrency": "USD",
        "receiptLinesTaxInclusive": true,
        "receiptLines": [line(10, 517, 15.5), line(5, 2, 0)],
        "receiptPayments": cash(15),
    })
}

/// An invoice of 10.00 at 15.5 % with the tax on top.
fn exclusive() -> Value {
    json!({
        "receiptType": "FiscalInvoice",
        "receiptCurrency": "USD",
        "receiptLinesTaxInclusive": false,
        "receiptLines": [line(10, 517, 15.5)],
        "receiptPayments": cash(11.55),
    })
}

/// Takes 10.00 of the till's first invoice back; `deviceID` is put in later.
fn credit_note() -> Value {
    json!({
        "receiptType": "CreditNote",
        "receiptCurrency": "USD",
        "creditDebitNote": {"receiptGlobalNo": 1, "fiscalDayNo": 1},
        "receiptNotes": "Brought back",
        "receiptLinesTaxInclusive": true,
        "receiptLines": [line(-10, 517, 15.5)],
        "receiptPayments": cash(-10),
    })
}

/// A sale with members changed; null takes one out.
fn with(mut sale: Value, members: Value) -> Value {
    for (name, value) in members.as_object().unwrap() {
        sale[name] = value.clone();
    }
    sale
}
