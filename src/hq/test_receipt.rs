//! The controlled test receipt: as small as a receipt can be, made of the till's own configuration.

use std::sync::Arc;

use fiscal::draft::Draft;
use fiscal::taxpayer::{Tax, Taxpayer};
use fiscal::{Currency, DateTime};
use serde_json::json;
use sync_wire::command::Command;

use crate::ledger::{Sale, TillInfo};

/// A product code of eight digits, for taxpayers who need one on every line: "other".
const HS_CODE: &str = "99001000";

/// The key of the receipt that a command orders: whoever carries the command out again finds it.
pub(super) fn key(command: &Command) -> String {
    format!("hq:{}", command.id)
}

/// The sale of a command: one line of 1.00 in the store's first currency, with the first tax that is valid now.
///
/// # Errors
/// The till has no tax that is valid, or the store no currency; a sentence.
pub(super) fn sale(
    command: &Command,
    till: &TillInfo,
    taxpayer: &Taxpayer,
    currencies: &[Currency],
    now: DateTime,
) -> Result<Sale, String> {
    let is_valid = |tax: &&Tax| tax.is_valid_at(now);
    let tax = taxpayer.taxes.iter().find(is_valid).ok_or_else(|| {
        format!(
            "the till {} has no tax that is valid today; let it fetch its configuration",
            till.device_id
        )
    })?;
    let currency = currencies
        .first()
        .ok_or("no currency is configured in [store]")?;
    let text = json!({
        "receiptType": "FiscalInvoice",
        "receiptCurrency": currency.to_string(),
        "invoiceNo": format!("HQ-{}", command.id.simple()),
        "receiptLinesTaxInclusive": true,
        "receiptLines": [{
            "receiptLineType": "Sale",
            "receiptLineName": "Test of head office",
            "receiptLineHSCode": HS_CODE,
            "receiptLinePrice": 1,
            "receiptLineQuantity": 1,
            "taxID": tax.id.get(),
        }],
        "receiptPayments": [{ "moneyTypeCode": "Cash", "paymentAmount": 1 }],
    });
    let (draft, findings) = Draft::read(text.to_string().as_bytes());
    if let Some(finding) = findings.first() {
        return Err(format!("the test receipt cannot be made: {finding}"));
    }
    let actor = Arc::from(command.actor.as_str());
    let mut sale = Sale::new(till.ids(), draft, Some(key(command)), actor);
    sale.controlled = true;
    Ok(sale)
}
