//! Names and enum values of a file in FDMS's own spelling, whatever case they were written in.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// How deep a file may be nested; receipts reach five.
const DEEPEST: usize = 16;

/// Every name in a file.
const NAMES: [&str; 63] = [
    "header",
    "content",
    "footer",
    "deviceID",
    "fiscalDayNo",
    "fiscalDayOpened",
    "fileSequence",
    "receipts",
    "fiscalDayCounters",
    "fiscalDayDeviceSignature",
    "fiscalDayClosed",
    "fiscalCounterType",
    "fiscalCounterCurrency",
    "fiscalCounterTaxPercent",
    "fiscalCounterTaxID",
    "fiscalCounterMoneyType",
    "fiscalCounterValue",
    "receiptType",
    "receiptCurrency",
    "receiptCounter",
    "receiptGlobalNo",
    "invoiceNo",
    "buyerData",
    "buyerRegisterName",
    "buyerTradeName",
    "vatNumber",
    "buyerTIN",
    "buyerContacts",
    "buyerAddress",
    "phoneNo",
    "email",
    "province",
    "city",
    "street",
    "houseNo",
    "district",
    "receiptNotes",
    "receiptDate",
    "creditDebitNote",
    "receiptID",
    "receiptLinesTaxInclusive",
    "receiptLines",
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
    "receiptTaxes",
    "taxAmount",
    "salesAmountWithTax",
    "receiptPayments",
    "moneyTypeCode",
    "paymentAmount",
    "receiptTotal",
    "receiptPrintForm",
    "receiptDeviceSignature",
    "hash",
    "signature",
];

/// The names whose values are one of a list, and the list.
const ENUMS: [(&[&str], &[&str]); 5] = [
    (
        &["receiptType"],
        &["FiscalInvoice", "CreditNote", "DebitNote"],
    ),
    (&["receiptLineType"], &["Sale", "Discount"]),
    (&["receiptPrintForm"], &["Receipt48", "InvoiceA4"]),
    (
        &["moneyTypeCode", "fiscalCounterMoneyType"],
        &[
            "Cash",
            "Card",
            "MobileWallet",
            "Coupon",
            "Credit",
            "BankTransfer",
            "Other",
        ],
    ),
    (
        &["fiscalCounterType"],
        &[
            "SaleByTax",
            "SaleTaxByTax",
            "CreditNoteByTax",
            "CreditNoteTaxByTax",
            "DebitNoteByTax",
            "DebitNoteTaxByTax",
            "BalanceByMoneyType",
            "PayoutByTax",
            "PayoutTaxByTax",
        ],
    ),
];

/// The JSON with every known name and enum value as FDMS writes it; all else as it was.
pub(crate) fn as_fdms_spells_it(text: &str) -> Result<String, String> {
    let value: &RawValue =
        serde_json::from_str(text).map_err(|error| format!("The file is not JSON: {error}"))?;
    let mut out = String::with_capacity(text.len());
    write(value.get(), None, DEEPEST, &mut out)?;
    Ok(out)
}

fn write(raw: &str, name: Option<&str>, depth: usize, out: &mut String) -> Result<(), String> {
    let deeper = || depth.checked_sub(1).ok_or("The file is nested too deep.");
    match raw.bytes().next() {
        Some(b'{') => {
            let depth = deeper()?;
            let mut before = '{';
            for (key, value) in members(raw)? {
                let known = NAMES.iter().find(|name| name.eq_ignore_ascii_case(&key));
                let key = known.map_or(key.as_str(), |name| *name);
                out.push(before);
                out.push_str(&serde_json::Value::from(key).to_string());
                out.push(':');
                write(value.get(), Some(key), depth, out)?;
                before = ',';
            }
            out.push_str(if before == '{' { "{}" } else { "}" });
        }
        Some(b'[') => {
            let depth = deeper()?;
            let items: Vec<&RawValue> = serde_json::from_str(raw).map_err(|e| e.to_string())?;
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item.get(), name, depth, out)?;
            }
            out.push(']');
        }
        Some(b'"') => match name.and_then(|name| enum_value(name, raw)) {
            Some(value) => {
                out.push('"');
                out.push_str(value);
                out.push('"');
            }
            None => out.push_str(raw),
        },
        _ => out.push_str(raw),
    }
    Ok(())
}

fn enum_value(name: &str, raw: &str) -> Option<&'static str> {
    let (_, values) = ENUMS.iter().find(|(names, _)| names.contains(&name))?;
    let value = raw.trim_matches('"');
    let mut values = values.iter();
    values
        .find(|known| known.eq_ignore_ascii_case(value))
        .copied()
}

/// The members of a JSON object in the order they stand in, repeated ones included.
pub(crate) fn members(raw: &str) -> Result<Vec<(String, &RawValue)>, String> {
    let members: Members<'_> = serde_json::from_str(raw).map_err(|error| error.to_string())?;
    Ok(members.0)
}

struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Gather<'a>(std::marker::PhantomData<&'a ()>);

        impl<'de: 'a, 'a> Visitor<'de> for Gather<'a> {
            type Value = Members<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry::<String, &'a RawValue>()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Gather(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names and enum values are respelt; numbers, other texts and unknown names stay as they are.
    #[test]
    fn names_and_values_are_respelt() {
        let text = r#"{"ReceiptType": "creditNote", "receiptlines": [{"TaxId": 1.10,
            "receiptLineName": "cash"}], "moneytypecode": "mobileWallet", "Own": null, "a": {}}"#;
        let expected = r#"{"receiptType":"CreditNote","receiptLines":[{"taxID":1.10,"receiptLineName":"cash"}],"moneyTypeCode":"MobileWallet","Own":null,"a":{}}"#;
        assert_eq!(as_fdms_spells_it(text).as_deref(), Ok(expected));
    }
}
