//! Taking receipts: where one belongs in the chain, what it is marked with, what it changes, and the
//! healing of gaps.

use clock::Timestamp;
use jiff::civil::DateTime;

use super::World;
use crate::answer::Refusal;
use crate::finding::{Color, Finding};
use crate::judge::{self, ChainFacts, Facts, Original, Previous};
use crate::micro::Micro;
use crate::model::{DayStatus, Device, Kept, ReceiptSummary, StoredReceipt};
use crate::receipt::{NoteReference, Receipt, ReceiptType, read_submission};
use crate::settings::GapSignature;

/// A receipt that was taken, now or before.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub(crate) receipt_id: i64,
    pub(crate) server_date: DateTime,
    pub(crate) findings: Vec<Finding>,
    /// The device's signature as first sent.
    pub(crate) device_signature: String,
}

/// Where a receipt belongs.
struct Place {
    /// The numbers start at 1 again.
    restarts: bool,
    number_taken: bool,
    previous: Previous,
}

impl World {
    /// SubmitReceipt. The same receipt again (device, number, hash) is answered as the first time.
    pub(crate) fn submit(
        &mut self,
        device_id: u32,
        message: &str,
        now: Timestamp,
    ) -> Result<Taken, Refusal> {
        let (receipt, raw) =
            read_submission(message).map_err(|e| self.wrong_fields(e, Some("RCPT02")))?;
        if let Some(taken) = self.repeated(device_id, &receipt)? {
            return Ok(taken);
        }
        let device = self.settled(device_id, now)?;
        let day = device.days.last();
        if !day.is_some_and(|day| takes_receipts(day.status)) {
            return Err(Refusal::code(
                "RCPT01",
                "The fiscal day is closed or being closed.",
            ));
        }
        self.take(device_id, &receipt, raw, now)
    }

    /// Judges and keeps a receipt that belongs to the device's open day and is not there yet.
    pub(super) fn take(
        &mut self,
        device_id: u32,
        receipt: &Receipt,
        raw: &str,
        now: Timestamp,
    ) -> Result<Taken, Refusal> {
        let device = self.device(device_id)?;
        let place = self.place_of(device, receipt);
        let original = receipt
            .reference
            .as_ref()
            .filter(|_| receipt.kind.is_note());
        let original = original.and_then(|reference| self.find_original(device, reference));
        let alone = self.judge_alone(device, receipt, original, now)?;
        let chain = judge::chain(
            receipt,
            &ChainFacts {
                device_id,
                keys: &device.keys(),
                number_taken: place.number_taken,
                previous: &place.previous,
                gap_signature: self.settings.gap_signature,
            },
        );
        let kept = keep(device, receipt, raw, clock::local(now), alone, chain);
        let index = self.store(device_id, receipt, kept, &place, original)?;
        self.heal_after(device_id, receipt.global_no)?;
        self.taken(index)
    }

    fn taken(&self, index: usize) -> Result<Taken, Refusal> {
        let kept = self.receipts.get(index);
        let kept = kept.ok_or_else(|| Refusal::status(500, "a receipt is lost"))?;
        Ok(Taken {
            receipt_id: self.receipt_id(index),
            server_date: kept.server_date,
            findings: kept.findings(),
            device_signature: kept.device_signature.clone(),
        })
    }

    /// The receipt as it was taken before, if it was (device, number, hash).
    pub(super) fn repeated(
        &mut self,
        device_id: u32,
        receipt: &Receipt,
    ) -> Result<Option<Taken>, Refusal> {
        let device = self.device(device_id)?;
        let Some(index) = hash_key(receipt).and_then(|key| device.by_hash.get(&key).copied())
        else {
            return Ok(None);
        };
        if let Some(kept) = self.receipts.get_mut(index) {
            kept.times_received += 1;
        }
        self.taken(index).map(Some)
    }

    fn receipt_id(&self, index: usize) -> i64 {
        let index = i64::try_from(index).unwrap_or(i64::MAX);
        self.first_receipt_id.saturating_add(index)
    }

    /// Which receipt comes before this one, and whether its number is free.
    fn place_of(&self, device: &Device, receipt: &Receipt) -> Place {
        let run = device.runs.last();
        let taken = run.is_some_and(|run| run.contains_key(&receipt.global_no));
        let day_is_empty = device.days.last().is_some_and(|day| day.receipt_count == 0);
        let restarts = receipt.global_no == 1 && receipt.counter == 1 && day_is_empty;
        let (number_taken, index) = if restarts {
            let last = run.and_then(|run| run.last_key_value());
            (false, last.map(|(_, index)| *index))
        } else {
            let before = receipt.global_no.checked_sub(1);
            let before = before.and_then(|no| run?.get(&no).copied());
            (taken, before)
        };
        let previous = match index {
            Some(index) => self.previous_at(device, index),
            None if receipt.global_no <= 1 => Previous::None,
            None => Previous::Missing,
        };
        Place {
            restarts,
            number_taken,
            previous,
        }
    }

    /// A stored receipt as the one before another of the device's current day.
    fn previous_at(&self, device: &Device, index: usize) -> Previous {
        let current_day = device.days.last().map(|day| day.no);
        self.previous_in(index, current_day)
    }

    fn previous_in(&self, index: usize, day_no: Option<i32>) -> Previous {
        match self.receipts.get(index) {
            Some(kept) => Previous::There {
                hash: kept.hash.clone(),
                counter: kept.counter,
                date: kept.date,
                same_day: Some(kept.day_no) == day_no,
            },
            None => Previous::Missing,
        }
    }

    fn judge_alone(
        &self,
        device: &Device,
        receipt: &Receipt,
        original: Option<usize>,
        now: Timestamp,
    ) -> Result<Vec<Finding>, Refusal> {
        let taxpayer = self.taxpayer_of(device)?;
        let original = original.and_then(|index| self.receipts.get(index));
        let opened = device.days.last().map(|day| day.opened);
        let facts = Facts {
            settings: &self.settings,
            now: clock::local(now),
            opened: opened.unwrap_or(DateTime::MIN),
            day_max_hrs: device.spec.day_max_hrs,
            taxes: &device.spec.taxes,
            vat_payer: taxpayer.was_vat_payer_at(receipt.date),
            invoice_no_taken: taxpayer.invoice_nos.contains(&receipt.invoice_no),
            original: original.map(|kept| Original {
                date: kept.date,
                currency: kept.currency.clone(),
                left: kept.total - kept.credited + kept.debited,
                taxes: kept.taxes.clone(),
            }),
        };
        let mut findings = judge::alone(receipt, &facts);
        let marks = self.settings.marks.iter().map(|rule| Finding::of(*rule));
        findings.extend(marks);
        Ok(findings)
    }

    /// The invoice of the same taxpayer that a note refers to: by receiptID, else by all three of the
    /// others.
    fn find_original(&self, device: &Device, reference: &NoteReference) -> Option<usize> {
        let index = match reference.receipt_id {
            Some(receipt_id) => {
                let index = receipt_id.checked_sub(self.first_receipt_id)?;
                usize::try_from(index).ok()?
            }
            None => {
                let owner = u32::try_from(reference.device_id?).ok()?;
                let (global_no, day_no) = (reference.global_no?, reference.day_no?);
                let runs = self.devices.get(&owner)?.runs.iter().rev();
                let mut found = runs.filter_map(|run| run.get(&global_no).copied());
                found.find(|index| {
                    self.receipts
                        .get(*index)
                        .is_some_and(|r| r.day_no == day_no)
                })?
            }
        };
        let kept = self.receipts.get(index)?;
        let owner = self.devices.get(&kept.device_id)?;
        let same_taxpayer = owner.spec.tax_payer_tin == device.spec.tax_payer_tin;
        (same_taxpayer && kept.kind == ReceiptType::FiscalInvoice).then_some(index)
    }

    /// Keeps a judged receipt and all that follows from it.
    fn store(
        &mut self,
        device_id: u32,
        receipt: &Receipt,
        kept: Kept,
        place: &Place,
        original: Option<usize>,
    ) -> Result<usize, Refusal> {
        let index = self.receipts.len();
        if let Some(original) = original.and_then(|original| self.receipts.get_mut(original)) {
            count_note(original, receipt, receipt.total);
        }
        let device = self
            .devices
            .get_mut(&device_id)
            .ok_or_else(super::unknown_device)?;
        if let Some(taxpayer) = self.taxpayers.get_mut(&device.spec.tax_payer_tin) {
            taxpayer.invoice_nos.insert(receipt.invoice_no.clone());
        }
        count_in_day(device, receipt, &kept);
        if place.restarts || device.runs.is_empty() {
            device.runs.push(std::collections::BTreeMap::new());
        }
        if !place.number_taken
            && let Some(run) = device.runs.last_mut()
        {
            run.insert(receipt.global_no, index);
        }
        if let Some(key) = hash_key(receipt) {
            device.by_hash.insert(key, index);
        }
        if device.latest.is_none_or(|(date, _)| date <= receipt.date) {
            device.latest = Some((receipt.date, receipt.global_no));
        }
        device.receipts.push(index);
        self.receipts.push(kept);
        Ok(index)
    }

    /// Judges the receipt after a new one again, if it was waiting for it.
    fn heal_after(&mut self, device_id: u32, global_no: i32) -> Result<(), Refusal> {
        let device = self.device(device_id)?;
        let run = device.runs.last();
        let next_no = global_no.checked_add(1);
        let Some(next) = next_no.and_then(|no| run?.get(&no).copied()) else {
            return Ok(());
        };
        let (Some(waiting), Some(here)) = (
            self.receipts.get(next),
            run.and_then(|run| run.get(&global_no)),
        ) else {
            return Ok(());
        };
        if !waiting.chain.contains(&Finding::grey(11)) {
            return Ok(());
        }
        let Ok(receipt) = Receipt::parse(&waiting.raw) else {
            return Ok(());
        };
        let day_no = waiting.day_no;
        let mut chain = judge::chain(
            &receipt,
            &ChainFacts {
                device_id,
                keys: &device.keys(),
                number_taken: false,
                previous: &self.previous_in(*here, Some(day_no)),
                gap_signature: self.settings.gap_signature,
            },
        );
        let unhealed = Finding::of(20);
        if self.settings.gap_signature == GapSignature::RedForever
            && waiting.chain.contains(&unhealed)
            && !chain.contains(&unhealed)
        {
            chain.push(unhealed);
        }
        self.replace_chain(device_id, next, chain)
    }

    /// Puts new findings of the chain in the place of the old ones and counts the day's colours anew.
    fn replace_chain(
        &mut self,
        device_id: u32,
        index: usize,
        chain: Vec<Finding>,
    ) -> Result<(), Refusal> {
        let device = self
            .devices
            .get_mut(&device_id)
            .ok_or_else(super::unknown_device)?;
        let Some(kept) = self.receipts.get_mut(index) else {
            return Ok(());
        };
        let day_no = kept.day_no;
        let Some(day) = device.days.iter_mut().rev().find(|day| day.no == day_no) else {
            return Ok(());
        };
        day.grey_count -= u32::from(kept.has(Color::Grey));
        day.red_count -= u32::from(kept.has(Color::Red));
        kept.chain = chain;
        day.grey_count += u32::from(kept.has(Color::Grey));
        day.red_count += u32::from(kept.has(Color::Red));
        Ok(())
    }

    /// The device's receipts in the order they came, from the `from`th on, at most `limit`.
    pub(crate) fn receipts(&self, device_id: u32, from: usize, limit: usize) -> Vec<StoredReceipt> {
        let Some(device) = self.devices.get(&device_id) else {
            return Vec::new();
        };
        let indexes = device.receipts.iter().skip(from).take(limit);
        indexes
            .filter_map(|index| Some(self.stored(*index, self.receipts.get(*index)?)))
            .collect()
    }

    /// Loses a receipt of the open day, as an accident at the authority would; false if it is not there. The receipt
    /// after it is Grey then, until the lost one has come again.
    pub(crate) fn lose_receipt(&mut self, device_id: u32, global_no: i32) -> Option<()> {
        let device = self.devices.get(&device_id)?;
        let open = device.days.last();
        let open = open.filter(|day| day.status != DayStatus::FiscalDayClosed)?;
        let lost = *device.runs.last()?.get(&global_no)?;
        if self.receipts.get(lost)?.day_no != open.no {
            return None;
        }
        self.forget_note(device_id, lost);
        let device = self.devices.get_mut(&device_id)?;
        let run = device.runs.last_mut()?;
        run.remove(&global_no);
        let next = run.get(&(global_no + 1)).copied();
        device.receipts.retain(|index| *index != lost);
        device.by_hash.retain(|_, index| *index != lost);
        let kept = self.receipts.get(lost)?;
        let (tin, invoice_no) = (&device.spec.tax_payer_tin, &kept.invoice_no);
        self.taxpayers.get_mut(tin)?.invoice_nos.remove(invoice_no);
        let left = device.receipts.clone();
        let day = device.days.last_mut()?;
        day.forget_receipts();
        let no = day.no;
        for index in left {
            let kept = self.receipts.get(index)?;
            if kept.day_no == no
                && let Ok(receipt) = Receipt::parse(&kept.raw)
            {
                count_in_day(device, &receipt, kept);
            }
        }
        let Some(next) = next else { return Some(()) };
        let device = self.devices.get(&device_id)?;
        let receipt = Receipt::parse(&self.receipts.get(next)?.raw).ok()?;
        let chain = judge::chain(
            &receipt,
            &ChainFacts {
                device_id,
                keys: &device.keys(),
                number_taken: false,
                previous: &Previous::Missing,
                gap_signature: self.settings.gap_signature,
            },
        );
        self.replace_chain(device_id, next, chain).ok()
    }

    /// What a note that is lost has credited or debited can be again.
    fn forget_note(&mut self, device_id: u32, lost: usize) -> Option<()> {
        let note = Receipt::parse(&self.receipts.get(lost)?.raw).ok()?;
        let original =
            self.find_original(self.devices.get(&device_id)?, note.reference.as_ref()?)?;
        let original = self.receipts.get_mut(original)?;
        count_note(original, &note, -note.total);
        Some(())
    }

    /// All the device's receipts in a few figures.
    pub(crate) fn summary(&self, device_id: u32) -> ReceiptSummary {
        let mut summary = ReceiptSummary::default();
        let Some(device) = self.devices.get(&device_id) else {
            return summary;
        };
        let kept = device
            .receipts
            .iter()
            .filter_map(|index| self.receipts.get(*index));
        for kept in kept {
            summary.receipts += 1;
            summary.yellow += usize::from(kept.has(Color::Yellow));
            summary.grey += usize::from(kept.has(Color::Grey));
            summary.red += usize::from(kept.has(Color::Red));
            summary.repeated += usize::from(kept.times_received > 1);
            summary.highest_global_no = summary.highest_global_no.max(Some(kept.global_no));
        }
        summary
    }

    /// How many receipts the device has.
    pub(crate) fn receipt_count(&self, device_id: u32) -> usize {
        self.devices
            .get(&device_id)
            .map_or(0, |device| device.receipts.len())
    }

    fn stored(&self, index: usize, kept: &Kept) -> StoredReceipt {
        StoredReceipt {
            device_id: kept.device_id,
            receipt_id: self.receipt_id(index),
            fiscal_day_no: kept.day_no,
            receipt_type: kept.kind,
            receipt_counter: kept.counter,
            receipt_global_no: kept.global_no,
            invoice_no: kept.invoice_no.clone(),
            receipt_date: kept.date,
            server_date: kept.server_date,
            currency: kept.currency.clone(),
            receipt_total: kept.total,
            hash: kept.hash.clone(),
            validation_errors: kept.findings(),
            is_grey: kept.has(Color::Grey),
            times_received: kept.times_received,
            raw: kept.raw.to_string(),
        }
    }
}

fn takes_receipts(status: DayStatus) -> bool {
    matches!(
        status,
        DayStatus::FiscalDayOpened | DayStatus::FiscalDayCloseFailed
    )
}

fn hash_key(receipt: &Receipt) -> Option<(i32, [u8; 32])> {
    let hash = receipt.signature.hash.as_slice().try_into().ok()?;
    Some((receipt.global_no, hash))
}

fn keep(
    device: &Device,
    receipt: &Receipt,
    raw: &str,
    server_date: DateTime,
    alone: Vec<Finding>,
    chain: Vec<Finding>,
) -> Kept {
    Kept {
        device_id: device.spec.device_id,
        day_no: device.days.last().map_or(0, |day| day.no),
        kind: receipt.kind,
        counter: receipt.counter,
        global_no: receipt.global_no,
        date: receipt.date,
        currency: receipt.currency.clone(),
        total: receipt.total,
        taxes: receipt
            .taxes
            .iter()
            .map(|row| (row.tax.id, row.tax.percent))
            .collect(),
        hash: receipt.signature.hash_text.clone(),
        device_signature: receipt.signature.text.clone(),
        server_date,
        invoice_no: receipt.invoice_no.clone(),
        credited: Micro::ZERO,
        debited: Micro::ZERO,
        alone,
        chain,
        times_received: 1,
        raw: raw.into(),
    }
}

/// What a note of so much takes from its original, or adds to it.
fn count_note(original: &mut Kept, note: &Receipt, total: Micro) {
    if original.currency != note.currency {
        return;
    }
    match note.kind {
        ReceiptType::CreditNote => original.credited = original.credited - total,
        _ => original.debited = original.debited + total,
    }
}

fn count_in_day(device: &mut Device, receipt: &Receipt, kept: &Kept) {
    let Some(day) = device.days.last_mut() else {
        return;
    };
    day.counters.add(receipt);
    day.receipt_count += 1;
    day.last_counter = day.last_counter.max(receipt.counter);
    day.grey_count += u32::from(kept.has(Color::Grey));
    day.red_count += u32::from(kept.has(Color::Red));
    let key = (receipt.kind, receipt.currency.clone());
    let (count, total) = day.documents.entry(key).or_default();
    *count += 1;
    *total = *total + receipt.total;
}
