//! The files of a till: JSON lines that hold everything, CSV for spreadsheets.
//!
//! Amounts are decimals with two digits, dates local. In JSON a receipt stands byte for byte as FDMS was sent it.

use std::path::Path;

use fiscal::text::cell_text;
use fiscal::wire::Object;
use fiscal::{Cents, DateTime};

use super::{ExportError, FileManifest, Output, base64, certificate_name};
use crate::ledger::TillInfo;
use crate::ledger::extract::{ClosePiece, Piece, ReceiptPiece, Taken};

/// The head of `receipts.csv`.
const RECEIPTS: &str = "deviceID,fiscalDayNo,receiptGlobalNo,receiptCounter,receiptType,receiptCurrency,invoiceNo,receiptDate,receiptTotal,hash,sent,operationID,validation\r\n";
/// The head of `taxes.csv`: a row for each tax of each receipt.
const TAXES: &str = "deviceID,receiptGlobalNo,receiptCurrency,taxID,taxCode,taxPercent,taxAmount,salesAmountWithTax\r\n";
/// The head of `days.csv`.
const DAYS: &str = "deviceID,fiscalDayNo,fiscalDayOpened,fiscalDayClosed,receipts,hash,sent,operationID,validation\r\n";

/// The files of a till in the making.
pub(super) struct Writers {
    till: TillInfo,
    receipts: Output,
    receipts_csv: Output,
    taxes_csv: Output,
    days: Output,
    days_csv: Output,
    /// The day that has begun and is not closed yet.
    open: Option<(u32, DateTime)>,
}

impl Writers {
    pub(super) fn create(draft: &Path, folder: &str, till: &TillInfo) -> Result<Self, ExportError> {
        let file = |name: &str| Output::create(draft, &format!("{folder}/{name}"));
        let mut writers = Self {
            till: till.clone(),
            receipts: file("receipts.jsonl")?,
            receipts_csv: file("receipts.csv")?,
            taxes_csv: file("taxes.csv")?,
            days: file("days.jsonl")?,
            days_csv: file("days.csv")?,
            open: None,
        };
        writers.receipts_csv.write(RECEIPTS)?;
        writers.taxes_csv.write(TAXES)?;
        writers.days_csv.write(DAYS)?;
        Ok(writers)
    }

    pub(super) fn piece(&mut self, piece: Piece) -> Result<(), ExportError> {
        match piece {
            Piece::Day { no, opened } => {
                self.day_left_open()?;
                self.open = Some((no.get(), opened));
                Ok(())
            }
            Piece::Receipt(receipt) => self.receipt(&receipt),
            Piece::Close(close) => self.close(&close),
        }
    }

    fn receipt(&mut self, piece: &ReceiptPiece) -> Result<(), ExportError> {
        let (receipt, device) = (&piece.receipt, self.till.device_id);
        let mut line = String::with_capacity(piece.body.len() + 1024);
        let mut o = Object::open(&mut line);
        o.number("deviceID", device);
        o.number("fiscalDayNo", piece.day_no);
        o.number("receiptGlobalNo", receipt.global_no);
        o.text("signed", &piece.signed);
        let previous = piece.previous.map(|hash| hash.to_string());
        o.optional_text("previousReceiptHash", previous.as_deref());
        o.text("hash", &piece.signature.hash.to_string());
        o.text("signature", &base64(&piece.signature.bytes));
        o.text("certificate", &certificate_name(piece.key_id));
        write_taken(&mut o, piece.taken.as_ref());
        // As it was sent: an object as it stands.
        o.name("body").push_str(&piece.body);
        o.close();
        line.push('\n');
        self.receipts.write(&line)?;
        let (sent, operation, color) = cells(piece.taken.as_ref());
        self.receipts_csv.write(&row(&[
            &device.to_string(),
            &piece.day_no.to_string(),
            &receipt.global_no.to_string(),
            &receipt.counter.to_string(),
            receipt.receipt_type.as_str(),
            &receipt.currency.to_string(),
            &cell_text(&receipt.invoice_no),
            &receipt.date.to_string(),
            &money(receipt.total),
            &piece.signature.hash.to_string(),
            sent,
            &cell_text(operation),
            &cell_text(color),
        ]))?;
        for tax in &receipt.taxes {
            self.taxes_csv.write(&row(&[
                &device.to_string(),
                &receipt.global_no.to_string(),
                &receipt.currency.to_string(),
                &tax.tax.id.to_string(),
                &cell_text(tax.tax.code.as_deref().unwrap_or_default()),
                &tax.tax
                    .percent
                    .map_or_else(String::new, |percent| percent.fixed()),
                &money(tax.tax_amount),
                &money(tax.sales_amount_with_tax),
            ]))?;
        }
        Ok(())
    }

    fn close(&mut self, close: &ClosePiece) -> Result<(), ExportError> {
        let device = self.till.device_id;
        let opened = self.open.take().map(|(_, opened)| opened.to_string());
        let opened = opened.unwrap_or_default();
        let mut line = String::with_capacity(close.body.len() + 1024);
        let mut o = Object::open(&mut line);
        o.number("deviceID", device);
        o.number("fiscalDayNo", close.day_no);
        o.text("fiscalDayOpened", &opened);
        o.text("fiscalDayClosed", &close.closed.to_string());
        o.text("signed", &close.signed);
        o.text("hash", &close.signature.hash.to_string());
        o.text("signature", &base64(&close.signature.bytes));
        o.text("certificate", &certificate_name(close.key_id));
        write_taken(&mut o, close.taken.as_ref());
        o.name("body").push_str(&close.body);
        o.close();
        line.push('\n');
        self.days.write(&line)?;
        let (sent, operation, color) = cells(close.taken.as_ref());
        self.days_csv.write(&row(&[
            &device.to_string(),
            &close.day_no.to_string(),
            &opened,
            &close.closed.to_string(),
            &close.receipt_counter.to_string(),
            &close.signature.hash.to_string(),
            sent,
            &cell_text(operation),
            &cell_text(color),
        ]))
    }

    /// A day that is still open has no signature; it is told all the same.
    fn day_left_open(&mut self) -> Result<(), ExportError> {
        let Some((no, opened)) = self.open.take() else {
            return Ok(());
        };
        let (device, opened) = (self.till.device_id.to_string(), opened.to_string());
        self.days_csv.write(&row(&[
            &device,
            &no.to_string(),
            &opened,
            "",
            "",
            "",
            "no",
            "",
            "",
        ]))
    }

    pub(super) fn end(mut self) -> Result<Vec<FileManifest>, ExportError> {
        self.day_left_open()?;
        let files = [
            self.receipts,
            self.receipts_csv,
            self.taxes_csv,
            self.days,
            self.days_csv,
        ];
        files.into_iter().map(Output::end).collect()
    }
}

fn write_taken(o: &mut Object<'_>, taken: Option<&Taken>) {
    o.number("sent", taken.is_some());
    if let Some(taken) = taken {
        o.optional_text("operationID", taken.operation_id.as_deref());
        o.optional_text("validation", taken.color.as_deref());
    }
}

fn cells(taken: Option<&Taken>) -> (&'static str, &str, &str) {
    match taken {
        None => ("no", "", ""),
        Some(taken) => (
            "yes",
            taken.operation_id.as_deref().unwrap_or_default(),
            taken.color.as_deref().unwrap_or_default(),
        ),
    }
}

/// An amount with two digits.
fn money(cents: Cents) -> String {
    let value = cents.get();
    let sign = if value < 0 { "-" } else { "" };
    let value = value.unsigned_abs();
    format!("{sign}{}.{:02}", value / 100, value % 100)
}

/// A row of CSV (RFC 4180): fields with a comma, a quote or a line end stand in quotes.
fn row(fields: &[&str]) -> String {
    let quoted: Vec<String> = fields
        .iter()
        .map(|field| {
            if field.contains(['"', ',', '\r', '\n']) {
                format!("\"{}\"", field.replace('"', "\"\""))
            } else {
                (*field).to_owned()
            }
        })
        .collect();
    format!("{}\r\n", quoted.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a shop calls its invoice cannot break a row, and amounts keep their sign below one.
    #[test]
    fn rows_and_amounts() {
        assert_eq!(
            row(&["a", "b,c", "say \"x\"", "d\ne"]),
            "a,\"b,c\",\"say \"\"x\"\"\",\"d\ne\"\r\n"
        );
        assert_eq!(money(Cents::new(-5)), "-0.05");
        assert_eq!(money(Cents::new(123_456)), "1234.56");
    }
}
