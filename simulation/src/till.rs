//! What the tills know: which sales were answered, and how; which are in doubt; what notes may refer to.
//!
//! This is the other side of every promise of the gateway. It is written down when the answer has reached the till, and
//! not when the ledger says so.

use std::collections::{BTreeMap, VecDeque};

use fiscal::receipt::Hash;
use fiscal::testing::Issued as Original;
use fiscal::{Cents, ReceiptGlobalNo};
use fiscald::ledger::Issued;

/// How many of a till's latest invoices its notes refer to.
const MOST_ORIGINALS: usize = 60;

/// A sale as it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) number: ReceiptGlobalNo,
    pub(crate) hash: Hash,
    pub(crate) total: Cents,
    pub(crate) json: String,
}

/// A till's memory.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// By key: what was answered.
    pub(crate) answered: BTreeMap<String, Answered>,
    /// By number: the key.
    pub(crate) by_number: BTreeMap<u32, String>,
    /// By key: asked, and never answered for certain. The JSON to ask with again.
    pub(crate) in_doubt: BTreeMap<String, String>,
    pub(crate) originals: VecDeque<Original>,
    pub(crate) drawn: u64,
}

impl Memory {
    /// The highest number that was answered.
    pub(crate) fn last_number(&self) -> u32 {
        self.by_number.keys().next_back().copied().unwrap_or(0)
    }

    /// The till is told that its sale is a receipt now.
    ///
    /// # Errors
    /// The number was told of another sale, or is behind one that was told: a sentence.
    pub(crate) fn told(&mut self, key: &str, json: &str, issued: &Issued) -> Result<(), String> {
        let number = issued.receipt.global_no;
        let answered = Answered {
            number,
            hash: issued.signature.hash,
            total: issued.receipt.total,
            json: json.to_owned(),
        };
        if let Some(before) = self.answered.get(key) {
            return Err(format!(
                "the sale {key} was answered as receipt {} and now as a new one, {number}",
                before.number
            ));
        }
        if let Some(other) = self.by_number.get(&number.get()) {
            return Err(format!(
                "the number {number} was given to {other} and now to {key}"
            ));
        }
        if number.get() <= self.last_number() {
            return Err(format!(
                "{key} got the number {number}, but {} was given out before",
                self.last_number()
            ));
        }
        self.keep(key, answered, issued);
        Ok(())
    }

    /// The till hears that its sale is a receipt already.
    ///
    /// # Errors
    /// It was told otherwise before, or never asked: a sentence.
    pub(crate) fn repeated(
        &mut self,
        key: &str,
        json: &str,
        issued: &Issued,
    ) -> Result<(), String> {
        let number = issued.receipt.global_no;
        if let Some(before) = self.answered.get(key) {
            let is_same = before.number == number && before.hash == issued.signature.hash;
            return if is_same {
                Ok(())
            } else {
                Err(format!(
                    "the sale {key} was answered as receipt {}, and asked again as {number}",
                    before.number
                ))
            };
        }
        if !self.in_doubt.contains_key(key) {
            return Err(format!(
                "{key} is said to be receipt {number}, and was never asked for"
            ));
        }
        let answered = Answered {
            number,
            hash: issued.signature.hash,
            total: issued.receipt.total,
            json: json.to_owned(),
        };
        if let Some(other) = self.by_number.get(&number.get()) {
            return Err(format!(
                "the number {number} was given to {other} and now to {key}"
            ));
        }
        self.keep(key, answered, issued);
        Ok(())
    }

    /// The till does not know what became of its sale.
    pub(crate) fn doubt(&mut self, key: String, json: String) {
        if !self.answered.contains_key(&key) {
            self.in_doubt.insert(key, json);
        }
    }

    fn keep(&mut self, key: &str, answered: Answered, issued: &Issued) {
        self.in_doubt.remove(key);
        self.by_number.insert(answered.number.get(), key.to_owned());
        self.answered.insert(key.to_owned(), answered);
        let receipt = &issued.receipt;
        if receipt.credit_debit_note.is_none() {
            let device = issued.till.device_id;
            self.originals
                .push_back(Original::of(receipt, device, issued.fiscal_day_no));
            if self.originals.len() > MOST_ORIGINALS {
                self.originals.pop_front();
            }
        }
    }

    /// A note was issued, on this or another till: less is left of its original, or more.
    pub(crate) fn noted(&mut self, note: &Issued) {
        let Some(reference) = &note.receipt.credit_debit_note else {
            return;
        };
        let original = self.originals.iter_mut().find(|original| {
            reference.device_id == Some(original.device_id)
                && reference.receipt_global_no == Some(original.receipt_global_no)
        });
        if let Some(original) = original {
            original.noted(note.receipt.total);
        }
    }
}
