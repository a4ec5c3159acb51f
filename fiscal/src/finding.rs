//! What can be wrong with a receipt: one table of codes, with colour, meaning and what to do.
//!
//! `RCPT…` are FDMS's own (docs/FDMS.md section 8); the others are the gateway's, for what FDMS would
//! answer with a bare 400. The table is the source of `docs/ERRORS.md`.

use std::fmt;

/// FDMS's colour of a broken rule (docs/FDMS.md section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Color {
    /// The fiscal day can no longer be closed by the device.
    Red,
    /// Stored with a remark; never blocks.
    Yellow,
    /// FDMS would not take the receipt at all.
    Refused,
}

impl Color {
    /// The word: FDMS's own for the first two.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Red => "Red",
            Self::Yellow => "Yellow",
            Self::Refused => "Refused",
        }
    }
}

macro_rules! codes {
    ($($variant:ident $text:literal $color:ident $meaning:literal => $action:literal;)*) => {
        /// The stable code of a finding.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $meaning] $variant,)*
        }

        impl Code {
            /// All codes, FDMS's first.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The code as outsiders see it; never changed once published.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// The colour FDMS would give it.
            #[must_use]
            pub const fn color(self) -> Color {
                match self { $(Self::$variant => Color::$color),* }
            }

            /// The broken rule in a sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning),* }
            }

            /// What to do about it.
            #[must_use]
            pub const fn action(self) -> &'static str {
                match self { $(Self::$variant => $action),* }
            }
        }
    };
}

codes! {
    Rcpt010 "RCPT010" Red "The currency is not one that this store sells in." => "Send one of the store's currencies, or add this one where they are set: `currencies` in the configuration, or the store's settings at head office.";
    Rcpt011 "RCPT011" Red "receiptCounter does not follow the day's previous receipt." => "Leave receiptCounter out: the gateway numbers receipts.";
    Rcpt012 "RCPT012" Red "receiptGlobalNo does not follow the previous receipt." => "Leave receiptGlobalNo out: the gateway numbers receipts.";
    Rcpt013 "RCPT013" Red "invoiceNo has been used before." => "Send a new invoiceNo; to ask for a sale that was already made, repeat it with its Idempotency-Key or get it by its invoiceNo.";
    Rcpt014 "RCPT014" Yellow "receiptDate is not after the opening of the fiscal day." => "Leave receiptDate out: the gateway dates receipts.";
    Rcpt015 "RCPT015" Red "A credit or debit note without creditDebitNote." => "Name the original in creditDebitNote: deviceID, receiptGlobalNo and fiscalDayNo, or invoiceNo.";
    Rcpt016 "RCPT016" Red "The receipt has no lines." => "Send at least one line in receiptLines.";
    Rcpt017 "RCPT017" Red "The receipt has no tax rows." => "Leave receiptTaxes out: the gateway computes them from the lines.";
    Rcpt018 "RCPT018" Red "The receipt has no payments." => "Send at least one payment; a receipt of 0.00 has one payment of 0.00.";
    Rcpt019 "RCPT019" Red "Tax-inclusive: receiptTotal is not the sum of the lines." => "Leave receiptTotal out, or send the sum of receiptLineTotal.";
    Rcpt020 "RCPT020" Red "The device signature is not valid." => "Leave receiptDeviceSignature out: the gateway signs.";
    Rcpt021 "RCPT021" Red "VAT above 0 % is used by a taxpayer who is not registered for VAT." => "Use a tax without VAT; if the taxpayer has been registered, fetch the configuration, close the day and open a new one.";
    Rcpt022 "RCPT022" Red "The sign of a line's price is wrong." => "Sales are above zero on invoices and debit notes and below zero on credit notes; discounts are below zero on invoices.";
    Rcpt023 "RCPT023" Red "A quantity is not above zero." => "Send a quantity above zero; what is taken back goes on a credit note with a negative price.";
    Rcpt024 "RCPT024" Red "A line's total is not price times quantity." => "Leave receiptLineTotal out, or send price times quantity rounded half away from zero to cents.";
    Rcpt025 "RCPT025" Red "A tax is not as configured, or not valid at the receipt's date." => "Use a taxID with its percent from GET /v1/status; leave taxPercent out for exempt, and send taxCode on all lines or on none.";
    Rcpt026 "RCPT026" Red "A tax row's taxAmount is wrong." => "Leave receiptTaxes out: the gateway computes them.";
    Rcpt027 "RCPT027" Red "A tax row's salesAmountWithTax is wrong." => "Leave receiptTaxes out: the gateway computes them.";
    Rcpt028 "RCPT028" Red "The sign of a payment is wrong." => "Payments are zero or above on invoices and debit notes, zero or below on credit notes.";
    Rcpt029 "RCPT029" Red "An invoice carries creditDebitNote." => "Leave creditDebitNote out, or send receiptType CreditNote or DebitNote.";
    Rcpt030 "RCPT030" Red "receiptDate is not later than the previous receipt's." => "Leave receiptDate out: the gateway dates receipts.";
    Rcpt031 "RCPT031" Yellow "receiptDate is in the future." => "Leave receiptDate out: the gateway dates receipts.";
    Rcpt032 "RCPT032" Red "The note's original does not exist." => "Check the numbers in creditDebitNote; only if the original was issued on a device outside this store, add \"originalElsewhere\": true (it is then not judged here, and a wrong one keeps the day from closing).";
    Rcpt033 "RCPT033" Red "The note's original is more than 12 months old." => "Such an invoice can no longer be credited or debited on the device; ask the tax authority.";
    Rcpt034 "RCPT034" Red "A credit or debit note without receiptNotes." => "Send the reason in receiptNotes.";
    Rcpt035 "RCPT035" Red "Credits exceed what is left of the original." => "Credit at most what GET /v1/receipts/{receiptGlobalNo}/creditable says is left.";
    Rcpt036 "RCPT036" Red "The note uses a tax that the original has not." => "Use only the taxes of the original's receiptTaxes.";
    Rcpt037 "RCPT037" Red "Tax-exclusive: receiptTotal is not the sum of the lines and the taxes." => "Leave receiptTotal out, or send the sum of receiptLineTotal and taxAmount.";
    Rcpt038 "RCPT038" Red "receiptTotal is not the sum of salesAmountWithTax." => "Leave receiptTotal and receiptTaxes out: the gateway computes them.";
    Rcpt039 "RCPT039" Red "receiptTotal is not the sum of the payments." => "Send payments that add up to the receipt's total; cash without the change.";
    Rcpt040 "RCPT040" Red "The sign of receiptTotal is wrong." => "The total is zero or above on invoices and debit notes, zero or below on credit notes.";
    Rcpt041 "RCPT041" Yellow "The receipt is later than the longest fiscal day." => "Close the fiscal day and open a new one.";
    Rcpt042 "RCPT042" Red "The note's currency is not the original's." => "Send the note in the original's currency.";
    Rcpt043 "RCPT043" Red "A buyer without name or TIN." => "Send buyerRegisterName and buyerTIN, or no buyerData.";
    Rcpt047 "RCPT047" Red "A VAT payer's line has no HS code." => "Send receiptLineHSCode, 4 or 8 digits; 8 on zero-rated and exempt lines.";
    Rcpt048 "RCPT048" Red "The length of an HS code is wrong." => "An HS code has 4 or 8 digits; 8 on a VAT payer's zero-rated and exempt lines.";
    JsonMalformed "json_malformed" Refused "The body is not valid JSON." => "Mend the JSON at the place named.";
    FieldMissing "field_missing" Refused "A field that is needed is missing." => "Send the field.";
    FieldUnknown "field_unknown" Refused "The field is not one the gateway knows." => "Check the spelling, or leave the field out.";
    FieldRepeated "field_repeated" Refused "A field is there twice in one object." => "Send each field once.";
    FieldType "field_type" Refused "The field has the wrong JSON type." => "Send the type that the OpenAPI document shows.";
    NumberInvalid "number_invalid" Refused "The number cannot be read exactly." => "Send digits with a point, like 12.50; no commas, no letters.";
    NumberTooPrecise "number_too_precise" Refused "The number has more digits after the point than the field holds." => "Round it: amounts to 2 digits, prices and quantities to 6.";
    NumberTooLarge "number_too_large" Refused "The number is larger than the field holds." => "Send a smaller number.";
    WordUnknown "word_unknown" Refused "The word is not one that the field takes." => "Send one of the words named in the message, spelt just so.";
    TextTooLong "text_too_long" Refused "The text is longer than the field." => "Shorten it.";
    TextEmpty "text_empty" Refused "The text is empty." => "Send a text, or leave the field out.";
    TextNotPrintable "text_not_printable" Refused "The text holds characters that cannot stand on a receipt." => "Use plain left-to-right letters, digits and punctuation; no control characters, emoji or right-to-left script.";
    FormatInvalid "format_invalid" Refused "The text does not have the form that the field wants." => "Send it in the form named in the message.";
    TooMany "too_many" Refused "There are more rows than a receipt may have." => "Split the sale over several receipts.";
    TaxAmbiguous "tax_ambiguous" Refused "Several taxes have this percent." => "Send taxID instead of taxPercent.";
    TaxUnknown "tax_unknown" Refused "No tax is named by this line." => "Send taxID, taxPercent, or an alias from the configuration in `tax`.";
    LineSign "line_sign" Refused "The sign of a line's total is wrong." => "A discount on a credit note is above zero, on a debit note below zero; a line's total has the sign of its price.";
    OwnedByGateway "owned_by_gateway" Refused "The POS sent a value that the gateway sets, and it differs." => "Leave the field out.";
    DeviceMismatch "device_mismatch" Refused "deviceID is not this till's." => "Leave deviceID out, or use the token of the till that you name.";
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// One thing that is wrong: which rule, where, and in what way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub code: Code,
    /// JSON pointer of the field, from the receipt's root.
    pub pointer: String,
    /// What is wrong here, with the values.
    pub message: String,
}

impl Finding {
    /// A finding at a field.
    #[must_use]
    pub fn new(code: Code, pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code,
            pointer: pointer.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} at {}: {}",
            self.code, self.pointer, self.message
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No two findings share a code, and every RCPT code has FDMS's form.
    #[test]
    fn codes_are_unique() {
        let mut seen = std::collections::BTreeSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.as_str()), "{code} twice");
            assert!(
                code.meaning().ends_with('.') && code.action().ends_with('.'),
                "{code}"
            );
        }
    }

    /// Colours have FDMS's words, and a finding is told in one line.
    #[test]
    fn words() {
        let colors = [Color::Red, Color::Yellow, Color::Refused].map(Color::as_str);
        assert_eq!(colors, ["Red", "Yellow", "Refused"]);
        assert_eq!(Code::Rcpt031.color(), Color::Yellow);
        let finding = Finding::new(Code::Rcpt010, "/receiptCurrency", "BWP is not one of USD");
        assert_eq!(
            finding.to_string(),
            "RCPT010 at /receiptCurrency: BWP is not one of USD"
        );
    }
}
