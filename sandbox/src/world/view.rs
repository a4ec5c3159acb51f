//! What the pages show: devices as they are, and what the sandbox itself would have signed for a
//! receipt.

use clock::Timestamp;

use super::World;
use crate::explain::{Before, Explained, Key};
use crate::model::{Device, Kept, ReceiptSummary, StoredDay};
use crate::receipt::Receipt;
use crate::spec::DeviceSpec;

/// A device to look at.
#[derive(Debug, Clone)]
pub(crate) struct DeviceView {
    pub(crate) spec: DeviceSpec,
    pub(crate) tax_payer_name: String,
    pub(crate) vat_number: Option<String>,
    pub(crate) is_active: bool,
    pub(crate) is_tax_payer_active: bool,
    pub(crate) is_activation_key_used: bool,
    /// How many certificates it has that are not revoked, and until when the last of them is valid.
    pub(crate) certificates: usize,
    pub(crate) certified_till: Option<Timestamp>,
    /// Its latest day.
    pub(crate) day: Option<StoredDay>,
    pub(crate) summary: ReceiptSummary,
}

impl World {
    /// All devices, to look at. Closes whose time has come are done first.
    pub(crate) fn device_views(&mut self, now: Timestamp) -> Vec<DeviceView> {
        let ids: Vec<u32> = self.devices.keys().copied().collect();
        let views = ids.into_iter().map(|id| self.device_view(id, now));
        views.flatten().collect()
    }

    /// A device to look at, if there is one.
    pub(crate) fn device_view(&mut self, device_id: u32, now: Timestamp) -> Option<DeviceView> {
        let day = self.days(device_id, now).pop();
        let summary = self.summary(device_id);
        let device = self.devices.get(&device_id)?;
        let taxpayer = self.taxpayers.get(&device.spec.tax_payer_tin)?;
        let valid = || device.certificates.iter().filter(|c| !c.is_revoked);
        Some(DeviceView {
            spec: device.spec.clone(),
            tax_payer_name: taxpayer.name.clone(),
            vat_number: taxpayer.vat_number().map(str::to_owned),
            is_active: device.is_active,
            is_tax_payer_active: taxpayer.is_active,
            is_activation_key_used: device.is_activation_key_used,
            certificates: valid().count(),
            certified_till: valid().map(|certificate| certificate.valid_till).max(),
            day,
            summary,
        })
    }

    /// A receipt of the device, and what the sandbox would have signed for it.
    pub(crate) fn explained(&self, device_id: u32, receipt_id: i64) -> Option<Explained> {
        let index = receipt_id.checked_sub(self.first_receipt_id)?;
        let index = usize::try_from(index).ok()?;
        let kept = self.receipts.get(index)?;
        let device = self.devices.get(&device_id)?;
        let place = device.receipts.iter().position(|known| *known == index)?;
        let receipt = Receipt::parse(&kept.raw).ok()?;
        let stored = self.receipts(device_id, place, 1).pop()?;
        let before = self.before(device, index, kept);
        Some(Explained::new(
            stored,
            receipt,
            before,
            keys(device),
            self.hashes_around(device, place),
        ))
    }

    /// The receipt before this one, as the judge saw it.
    fn before(&self, device: &Device, index: usize, kept: &Kept) -> Before {
        // Numbers restart in a new run; a run's receipts come after those of the runs before.
        let begins = |run: &&std::collections::BTreeMap<i32, usize>| {
            run.values().min().is_some_and(|first| *first <= index)
        };
        let run = device.runs.iter().rposition(|run| begins(&run));
        let run = run.and_then(|place| Some((place, device.runs.get(place)?)));
        let Some((place, run)) = run else {
            return Before::Nothing;
        };
        let earlier = kept.global_no.checked_sub(1);
        let mut found = earlier.and_then(|no| run.get(&no).copied());
        if kept.global_no == 1
            && let Some(last_run) = place.checked_sub(1).and_then(|at| device.runs.get(at))
        {
            found = last_run.last_key_value().map(|(_, index)| *index);
        }
        match found.and_then(|index| Some((index, self.receipts.get(index)?))) {
            Some((_, before)) if before.day_no != kept.day_no => Before::OtherDay {
                global_no: before.global_no,
            },
            Some((index, before)) => Before::There {
                receipt_id: self.first_receipt_id + i64::try_from(index).unwrap_or(0),
                global_no: before.global_no,
                hash: before.hash.clone(),
            },
            None if kept.global_no <= 1 || kept.counter == 1 => Before::Nothing,
            None => Before::Missing,
        }
    }

    /// Hashes and numbers of the receipts that came shortly before and after.
    fn hashes_around(&self, device: &Device, place: usize) -> Vec<(i32, String)> {
        const NEAR: usize = 10;
        let near = device.receipts.iter().skip(place.saturating_sub(NEAR));
        let near = near.take(2 * NEAR).filter_map(|at| self.receipts.get(*at));
        near.map(|kept| (kept.global_no, kept.hash.clone()))
            .collect()
    }
}

fn keys(device: &Device) -> Vec<Key> {
    let certificates = device.certificates.iter().zip(1..);
    let keys = certificates.map(|(certificate, number)| Key {
        key: certificate.key.clone(),
        number,
        valid_till: certificate.valid_till,
        is_revoked: certificate.is_revoked,
    });
    keys.collect()
}
