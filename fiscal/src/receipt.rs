//! A whole receipt: every field that FDMS wants, in types that cannot be wrong (docs/FDMS.md section 5).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::word_type;
use crate::taxpayer::{Address, Contacts};
use crate::{
    Cents, Currency, DateTime, DeviceId, FiscalDayNo, MoneyType, Percent, Price, Quantity,
    ReceiptCounter, ReceiptGlobalNo, TaxId,
};

word_type!(
    /// What kind of receipt it is (`receiptType`).
    ReceiptType {
        /// A sale.
        FiscalInvoice,
        /// Takes back (part of) an earlier receipt; its amounts are negative or zero.
        CreditNote,
        /// Adds to an earlier receipt.
        DebitNote,
    }
);

word_type!(
    /// What kind of line it is (`receiptLineType`).
    LineType {
        /// Goods or a service.
        Sale,
        /// A discount on what stands above it.
        Discount,
    }
);

word_type!(
    /// The paper the receipt is meant for (`receiptPrintForm`).
    PrintForm {
        /// A till roll of 48 characters; taken when left out.
        Receipt48,
        /// A page.
        InvoiceA4,
    }
);

impl ReceiptType {
    /// The sign that sales, taxes, payments and the total of this type have: -1 on a credit note.
    #[must_use]
    pub const fn sign(self) -> i64 {
        match self {
            Self::FiscalInvoice | Self::DebitNote => 1,
            Self::CreditNote => -1,
        }
    }

    /// Whether it is a credit or debit note.
    #[must_use]
    pub const fn is_note(self) -> bool {
        !matches!(self, Self::FiscalInvoice)
    }
}

/// What a line or a tax row is taxed with.
///
/// The order is FDMS's for tax rows: by taxID, then taxCode with the empty one first (docs/FDMS.md
/// section 6).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaxKey {
    /// The tax.
    pub id: TaxId,
    /// The letter printed beside it, at most 3 characters.
    pub code: Option<String>,
    /// Its percent; `None` is exempt.
    pub percent: Option<Percent>,
}

/// A line of a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Sale or discount.
    pub kind: LineType,
    /// Its number, from 1.
    pub no: u32,
    /// The goods' code in the Harmonised System.
    pub hs_code: Option<String>,
    /// Name of the goods.
    pub name: String,
    /// Price of one; may be left out where only the total makes sense.
    pub price: Option<Price>,
    /// How many.
    pub quantity: Quantity,
    /// The line's total, with tax or without as the receipt's flag says.
    pub total: Cents,
    /// Its tax.
    pub tax: TaxKey,
}

/// A row of `receiptTaxes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaxRow {
    /// The tax.
    pub tax: TaxKey,
    /// The tax in money.
    pub tax_amount: Cents,
    /// The sales it was taken from, tax included.
    pub sales_amount_with_tax: Cents,
}

/// A row of `receiptPayments`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Payment {
    /// How it was paid.
    pub money_type: MoneyType,
    /// How much, cash without the change.
    pub amount: Cents,
}

/// The buyer (`buyerData`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Buyer {
    /// Registered name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buyer_register_name: Option<String>,
    /// Trade name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buyer_trade_name: Option<String>,
    /// VAT number, 9 digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vat_number: Option<String>,
    /// Taxpayer identification number, 10 digits.
    #[serde(rename = "buyerTIN", skip_serializing_if = "Option::is_none")]
    pub buyer_tin: Option<String>,
    /// Telephone and e-mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buyer_contacts: Option<Contacts>,
    /// Address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buyer_address: Option<Address>,
}

/// The original of a credit or debit note (`creditDebitNote`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OriginalRef {
    /// FDMS's own number of the original; with it the others are ignored by FDMS.
    #[serde(rename = "receiptID", skip_serializing_if = "Option::is_none")]
    pub receipt_id: Option<u64>,
    /// The device that issued it.
    #[serde(rename = "deviceID", skip_serializing_if = "Option::is_none")]
    pub device_id: Option<DeviceId>,
    /// Its number there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt_global_no: Option<ReceiptGlobalNo>,
    /// Its fiscal day there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fiscal_day_no: Option<FiscalDayNo>,
}

/// A whole receipt, less its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// What kind it is.
    pub receipt_type: ReceiptType,
    /// Its currency.
    pub currency: Currency,
    /// Its number within the day.
    pub counter: ReceiptCounter,
    /// Its number for the device's life.
    pub global_no: ReceiptGlobalNo,
    /// The shop's own number, unique in the taxpayer.
    pub invoice_no: String,
    /// The buyer.
    pub buyer: Option<Buyer>,
    /// Remarks; the reason on a note.
    pub notes: Option<String>,
    /// Local date and time of issuing.
    pub date: DateTime,
    /// The original of a note.
    pub credit_debit_note: Option<OriginalRef>,
    /// Whether line totals contain tax.
    pub lines_tax_inclusive: bool,
    /// The lines.
    pub lines: Vec<Line>,
    /// One row per tax, in FDMS's order.
    pub taxes: Vec<TaxRow>,
    /// The payments.
    pub payments: Vec<Payment>,
    /// The total, tax included.
    pub total: Cents,
    /// The paper it is meant for.
    pub print_form: Option<PrintForm>,
}

/// A SHA-256 hash, as FDMS exchanges it: base64.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Reads base64 of 32 bytes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(text)
            .ok()?;
        Some(Self(bytes.try_into().ok()?))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        use base64::Engine as _;
        formatter.write_str(&base64::engine::general_purpose::STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The device's signature of a receipt or a fiscal day.
#[derive(Clone, PartialEq, Eq)]
pub struct Signature {
    /// SHA-256 of the signing string.
    pub hash: Hash,
    /// The signature over the same string: ASN.1 DER for ECDSA, PKCS#1 v1.5 for RSA.
    pub bytes: Vec<u8>,
}

impl Signature {
    /// The signature in base64.
    #[must_use]
    pub fn base64(&self) -> String {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(&self.bytes)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Signature({}, {})", self.hash, self.base64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hash and signature show themselves in base64, in a log too; what is no hash is not read as one.
    #[test]
    fn base64() {
        let hash = Hash([1; 32]);
        let text = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
        assert_eq!(
            (hash.to_string(), format!("{hash:?}")),
            (text.to_owned(), text.to_owned())
        );
        assert_eq!(Hash::parse(text), Some(hash));
        assert_eq!(Hash::parse("AQE="), None);
        assert_eq!(Hash::parse("no base64"), None);
        let signature = Signature {
            hash,
            bytes: b"signed".to_vec(),
        };
        assert_eq!(signature.base64(), "c2lnbmVk");
        assert_eq!(
            format!("{signature:?}"),
            format!("Signature({text}, c2lnbmVk)")
        );
    }

    /// Credit notes alone are negative; invoices alone are no notes.
    #[test]
    fn types() {
        let of = |receipt_type: &ReceiptType| (receipt_type.sign(), receipt_type.is_note());
        let all: Vec<_> = ReceiptType::ALL.iter().map(of).collect();
        assert_eq!(all, [(1, false), (-1, true), (1, true)]);
    }
}
