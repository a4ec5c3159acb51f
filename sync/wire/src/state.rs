//! How a store is at this moment: sent with each exchange, never kept in the outbox. And what HQ wants it to be.

use serde::{Deserialize, Serialize};

use crate::settings::StoreSettings;
use crate::{Environment, TillRef};

/// A store as it is now. HQ keeps the newest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreState {
    /// When this was true, milliseconds since 1970, on the store's wall clock.
    pub at: i64,
    /// The newest event of the ledger.
    pub last_seq: i64,
    /// Version of `fiscald`.
    pub version: String,
    /// How far the store's clock is ahead of FDMS's, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_skew_ms: Option<i64>,
    /// Why the ledger takes no writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// The last [`Wanted::revision`] that was put into effect.
    pub revision: i64,
    /// What holds in the store as a whole, wherever it was set; none from a gateway that does not tell it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<StoreSettings>,
    /// Its tills.
    pub tills: Vec<TillState>,
}

/// A till as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TillState {
    /// Which.
    pub till: TillRef,
    /// Serial number of the device.
    pub serial_no: String,
    /// `DeviceModelName` as registered.
    pub model_name: String,
    /// `DeviceModelVersion` as registered.
    pub model_version: String,
    /// Put in front of every `invoiceNo`.
    pub invoice_prefix: String,
    /// `Online` or `Offline`, as FDMS has configured it; none before the first configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operating_mode: Option<String>,
    /// Whether it has a certificate.
    pub registered: bool,
    /// What keeps it from selling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldState>,
    /// The till that its new sales go to instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<TillRef>,
    /// The open fiscal day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<DayState>,
    /// The last fiscal day.
    pub last_day_no: u32,
    /// The last receipt.
    pub last_global_no: u32,
    /// The last opening that FDMS has taken.
    pub sent_day_no: u32,
    /// The last receipt that FDMS has taken.
    pub sent_global_no: u32,
    /// What waits for FDMS.
    pub queue: QueueState,
    /// The certificate in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateState>,
    /// Whether FDMS can be reached, in one word: `up`, `down`, `unknown`.
    pub line: String,
}

/// What keeps a till from selling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldState {
    /// `unchecked`, `ahead`, `retired`, `blocked`, `disabled`.
    pub kind: String,
    /// Why, and what to do.
    pub reason: String,
}

/// An open fiscal day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DayState {
    /// Its number.
    pub fiscal_day_no: u32,
    /// When it was opened, local time.
    pub opened: String,
    /// `receiptCounter` of its last receipt.
    pub receipt_counter: u32,
}

/// What waits for FDMS.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueState {
    /// So many things: openings, receipts, closes.
    pub waiting: u32,
    /// When the oldest was made, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_at: Option<i64>,
    /// The first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<HeadState>,
}

/// The first thing in a till's queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeadState {
    /// What it is.
    pub item: crate::entry::AttemptKind,
    /// Its event.
    pub item_seq: i64,
    /// `receiptGlobalNo` or `fiscalDayNo`.
    pub number: u32,
    /// How often it was tried in vain.
    pub attempts: u32,
    /// When it is tried next, milliseconds since 1970.
    pub next_attempt: i64,
    /// Why the last try was in vain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Why nothing is sent until a person has acted: `dead_letter`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked: Option<ParkedState>,
}

/// Why nothing is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedState {
    /// A sentence.
    pub reason: String,
    /// FDMS's code, or `HTTP 401` and its kin, or `paused`.
    pub code: String,
}

/// A certificate in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateState {
    /// SHA-1 of it, hex.
    pub thumbprint: String,
    /// Valid from, milliseconds since 1970.
    pub not_before: i64,
    /// Valid until, milliseconds since 1970.
    pub not_after: i64,
}

/// What HQ wants the store to be. The whole of it comes with every answer; a store puts a revision that is
/// higher than its own into effect, in one transaction, with an audit row and an event `hq.wanted`; and of its own
/// revision the settings that it did not know before it was updated.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wanted {
    /// Rises with each change; 0: HQ has decided nothing yet, the store goes on as it is.
    pub revision: i64,
    /// Whether tills of an environment may sell and send. An environment that is not named is left as it is.
    pub gates: Vec<Gate>,
    /// Where new sales of a till go: to another till of the same cashier machine, or (none) to itself.
    pub switches: Vec<Switch>,
    /// The tills that neither sell nor send, whatever their gate says: all of them, one that is not named does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocked: Vec<Blocked>,
    /// At most so many bytes a second go up; none: as many as the line carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u32>,
    /// What is set in the store from here; the rest stands in its own file.
    #[serde(default, skip_serializing_if = "StoreSettings::is_empty")]
    pub settings: StoreSettings,
}

impl Wanted {
    /// The same, its revision so much higher: for a store that follows revisions which HQ has lost (docs/HQ.md, Gates).
    #[must_use]
    pub const fn after(mut self, ahead: i64) -> Self {
        self.revision = self.revision.saturating_add(ahead);
        self
    }
}

/// Whether tills of an environment may sell and send (`enabled` of the tenant's profile).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// Which environment.
    pub environment: Environment,
    /// False: no new sales but controlled test receipts; what waits is kept and shown, and nothing but these
    /// is sent.
    pub enabled: bool,
    /// Why, for the POS and the page.
    pub reason: String,
}

/// A till that a person at HQ has blocked: no new sales, no day opened, nothing sent; what waits is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocked {
    /// Which; it may not be in the store yet.
    pub till: TillRef,
    /// Why, for the POS and the page.
    pub reason: String,
}

/// Where new sales of a till go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switch {
    /// This till's new sales
    pub from: TillRef,
    /// go to this one; none: to itself.
    pub to: Option<TillRef>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A revision that is put behind others is higher by so much, and nothing else is changed; it has an end.
    #[test]
    fn a_revision_behind_others() {
        let wanted = Wanted {
            revision: 3,
            bytes_per_second: Some(9),
            ..Wanted::default()
        };
        let later = wanted.clone().after(4);
        assert_eq!(later.revision, 7);
        assert_eq!(
            Wanted {
                revision: 3,
                ..later
            },
            wanted
        );
        assert_eq!(wanted.after(i64::MAX).revision, i64::MAX);
    }
}
