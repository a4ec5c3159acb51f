//! Rules that need the previous receipt: counters, numbers, rising dates, and the signature, whose
//! string holds the previous receipt's hash.

use jiff::civil::DateTime;

use crate::finding::Finding;
use crate::receipt::Receipt;
use crate::settings::GapSignature;
use crate::signing::{self, DeviceKey};

/// The receipt before the one that is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Previous {
    /// There is none: the device's very first number.
    None,
    /// It has not arrived.
    Missing,
    /// It is there.
    There {
        /// The hash it was sent with, base64.
        hash: String,
        counter: i32,
        date: DateTime,
        /// Whether it belongs to the same fiscal day.
        same_day: bool,
    },
}

/// What must be known to judge a receipt's place in the chain.
pub(crate) struct ChainFacts<'a> {
    pub(crate) device_id: u32,
    /// The device's keys that are not revoked.
    pub(crate) keys: &'a [DeviceKey],
    /// Whether the global number has been used by another receipt.
    pub(crate) number_taken: bool,
    pub(crate) previous: &'a Previous,
    pub(crate) gap_signature: GapSignature,
}

/// The findings of the chain, in the order of their codes.
pub(crate) fn chain(receipt: &Receipt, facts: &ChainFacts<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let expected_counter = match facts.previous {
        Previous::None => Some(1),
        Previous::There {
            same_day: false, ..
        } => Some(1),
        Previous::There { counter, .. } => counter.checked_add(1),
        Previous::Missing => None,
    };
    if *facts.previous == Previous::Missing {
        findings.push(Finding::grey(11));
    } else if expected_counter != Some(receipt.counter) {
        findings.push(Finding::of(11));
    }
    if facts.number_taken || receipt.global_no < 1 {
        findings.push(Finding::of(12));
    }
    findings.extend(judge_signature(receipt, facts));
    if let Previous::There { date, .. } = facts.previous
        && receipt.date <= *date
    {
        findings.push(Finding::of(30));
    }
    findings
}

fn judge_signature(receipt: &Receipt, facts: &ChainFacts<'_>) -> Option<Finding> {
    let previous_hash = match facts.previous {
        Previous::There {
            hash,
            same_day: true,
            ..
        } => Some(hash.as_str()),
        // A day's first receipt is signed without a previous hash, so that it can be checked at once.
        Previous::Missing if receipt.counter != 1 => return unknown(facts.gap_signature),
        _ => None,
    };
    let text = signing::receipt_string(facts.device_id, receipt, previous_hash);
    let signature = &receipt.signature;
    let valid = signing::hash(&text) == *signature.hash
        && facts
            .keys
            .iter()
            .any(|key| key.verifies(&text, &signature.bytes));
    (!valid).then(|| Finding::of(20))
}

fn unknown(setting: GapSignature) -> Option<Finding> {
    match setting {
        GapSignature::RedUntilHealed | GapSignature::RedForever => Some(Finding::of(20)),
        GapSignature::Grey => Some(Finding::grey(20)),
        GapSignature::Nothing => None,
    }
}
