//! The rules behind the codes, in a line each (docs/FDMS.md section 8).

use crate::finding::Code;

/// The rule that is broken.
pub(super) fn broken_rule(code: Code) -> &'static str {
    match code.0 {
        10 => "The currency must exist and be valid at receiptDate.",
        11 => "receiptCounter must continue the sequence of the day.",
        12 => "receiptGlobalNo must continue the sequence.",
        13 => "invoiceNo must be new in the whole taxpayer.",
        14 => "receiptDate must be after the day's opening.",
        15 => "A note must name its original in creditDebitNote.",
        16 => "There must be lines.",
        17 => "There must be tax rows.",
        18 => "There must be payments.",
        19 => "With inclusive lines receiptTotal must be the sum of the lines.",
        20 => "Hash and signature must fit the receipt, the one before it and the device's key.",
        21 => "Only a VAT payer may use VAT above 0 %.",
        22 => {
            "Prices must have the right sign: a sale above 0, below 0 on a credit note; a discount below 0 on an invoice."
        }
        23 => "Quantities must be above 0.",
        24 => "A line's total must be price times quantity.",
        25 => "Tax ID and percent must be as configured, and the tax valid at receiptDate.",
        26 => "taxAmount must be right.",
        27 => "salesAmountWithTax must be right.",
        28 => "Payments must have the sign of the receipt.",
        29 => "A plain invoice must have no creditDebitNote.",
        30 => "receiptDate must be later than that of the receipt before.",
        31 => "receiptDate must not be in the future.",
        32 => "The original of a note must exist and be of this taxpayer.",
        33 => "The original of a note must be at most 12 months old.",
        34 => "A note must have receiptNotes.",
        35 => "Credits must stay within the original, less earlier credits, plus debits.",
        36 => "A note must use only taxes of its original.",
        37 => "With exclusive lines receiptTotal must be lines plus taxes.",
        38 => "receiptTotal must be the sum of salesAmountWithTax.",
        39 => "receiptTotal must be the sum of the payments.",
        40 => "receiptTotal must have the sign of the receipt.",
        41 => "The receipt must be issued within the longest day after its opening.",
        42 => "A note must have its original's currency.",
        43 => "A buyer must have name and TIN.",
        47 => "A VAT payer's line must have an HS code.",
        48 => "An HS code must have the right length.",
        _ => "The authority has published no meaning.",
    }
}
