//! A receipt's page: the rules it breaks, what should have been signed beside what was, its JSON.

use maud::{Markup, html};

use super::device::worst;
use super::layout::{self, chip, fact, text_fact};
use super::pretty::pretty;
use super::rules::broken_rule;
use crate::explain::{Before, Explained, Fit, Guess, Key};
use crate::signing::ReceiptParts;

pub(super) fn page(explained: &Explained) -> Markup {
    let receipt = &explained.stored;
    let (id, no) = (receipt.device_id, receipt.receipt_global_no);
    let body = html! {
        section class=(worst(receipt)) {
            h1 { (format!("{:?}", receipt.receipt_type)) " " (no) " of device " (id) }
            dl.facts {
                (fact("total", &html! { strong { (receipt.currency) " " (receipt.receipt_total.two_decimals()) } }))
                (text_fact("invoice no.", &receipt.invoice_no))
                (text_fact("date", &receipt.receipt_date.to_string().replace('T', " ")))
                (text_fact("day/counter", &format!("{}/{}", receipt.fiscal_day_no, receipt.receipt_counter)))
                (text_fact("receiptID", &receipt.receipt_id.to_string()))
                (text_fact("taken", &receipt.server_date.to_string().replace('T', " ")))
                (text_fact("times received", &receipt.times_received.to_string()))
            }
        }
        section {
            h2 { "Broken rules" }
            @if receipt.validation_errors.is_empty() { p { "None." } }
            ul.rules { @for finding in &receipt.validation_errors {
                li { (chip(finding)) " " (broken_rule(finding.code)) }
            } }
        }
        (signature(explained))
        section { h2 { "As received" } pre { (pretty(&receipt.raw)) } }
    };
    let way = html! {
        (layout::step(&format!("/devices/{id}/page"), &format!("device {id}")))
        (layout::step(&format!("/devices/{id}/receipts/{}/page", receipt.receipt_id), &format!("receipt {no}")))
    };
    layout::page(&format!("Receipt {no} of device {id}"), false, &way, &body)
}

fn signature(explained: &Explained) -> Markup {
    let receipt = &explained.stored;
    html! {
        section {
            h2 { "Hash and signature" }
            (verdict(explained))
            (before(explained))
            (parts(explained))
            dl.list {
                dt { "string to sign" } dd { code.long { (explained.parts.joined()) } }
                @if let Some(guess) = &explained.guess {
                    dt { "string that the received hash is of" } dd { code.long { (guess.text) } }
                }
                dt { "hash of the string to sign" } dd { code.long { (explained.expected_hash) } }
                dt { "hash received" } dd { code.long { (receipt.hash) } }
            }
        }
    }
}

/// Whether the hash and the signature are right, and what is wrong with them.
fn verdict(explained: &Explained) -> Markup {
    let is_unknown = explained.before == Before::Missing;
    html! {
        ul.verdict {
            @if explained.is_hash_right() {
                li.good { "The hash received is that of the string to sign." }
            } @else if let Some(guess) = &explained.guess {
                li.bad { "The hash received is that of another string: " (mistakes(guess)) "." }
            } @else if is_unknown {
                li.open { "The receipt before is missing, so the string to sign is not known yet; shown without a previous hash." }
            } @else {
                li.bad { "The hash received is not that of the string to sign, nor of one with a usual mistake or two in it." }
            }
            (signed(explained))
        }
    }
}

fn mistakes(guess: &Guess) -> String {
    let all: Vec<&str> = guess
        .deviations
        .iter()
        .map(|one| one.what.as_str())
        .collect();
    all.join("; ")
}

fn signed(explained: &Explained) -> Markup {
    let raw_pair = "The signature is the raw pair r and s; FDMS wants ASN.1 DER.";
    let twice = "The signature is over the hash: it was hashed twice. Sign the string itself, or the digest as a digest.";
    let text = "The signature is over the hash written in base64. Sign the string itself.";
    let (class, what, key) = match &explained.fit {
        Fit::Text(key) => ("good", "The signature fits the string to sign.", Some(key)),
        Fit::RevokedKey(key) => (
            "bad",
            "The signature fits the string to sign, but the certificate is revoked.",
            Some(key),
        ),
        Fit::GuessedText(key) => (
            "bad",
            "The signature fits that other string: only the string is wrong.",
            Some(key),
        ),
        Fit::RawPair(key) => ("bad", raw_pair, Some(key)),
        Fit::HashTwice(key) => ("bad", twice, Some(key)),
        Fit::HashText(key) => ("bad", text, Some(key)),
        Fit::Nothing if explained.before == Before::Missing => {
            ("open", "The signature cannot be checked yet.", None)
        }
        Fit::Nothing => (
            "bad",
            "The signature fits no string that is known here, with no key of the device.",
            None,
        ),
    };
    html! {
        li class=(class) {
            (what)
            @match key {
                Some(key) => { " " span.small { (described(key)) } }
                None => { " " span.small { (explained.keys) " keys tried" } }
            }
        }
    }
}

fn described(key: &Key) -> String {
    let till = clock::local(key.valid_till).date();
    format!(
        "{} key of the device's certificate no. {}, valid till {till}",
        key.key.kind(),
        key.number
    )
}

fn before(explained: &Explained) -> Markup {
    let id = explained.stored.device_id;
    html! {
        p {
            @match &explained.before {
                Before::Nothing => "It is the first of its day: no previous hash is signed.",
                Before::Missing => "The receipt before it has not arrived.",
                Before::OtherDay { global_no, .. } => {
                    "It is the first of its day: the hash of receipt " (global_no) " before it is not signed."
                }
                Before::There { receipt_id, global_no, .. } => {
                    "The receipt before it is "
                    a href={ "/devices/" (id) "/receipts/" (receipt_id) "/page" } { (global_no) } "."
                }
            }
        }
    }
}

/// The string part by part, and where what was signed differs.
fn parts(explained: &Explained) -> Markup {
    let rows = ReceiptParts::NAMES
        .iter()
        .zip(&explained.parts.0)
        .enumerate();
    let guess = explained.guess.as_ref();
    let other = |place: usize| {
        let mut deviations = guess.iter().flat_map(|guess| &guess.deviations);
        deviations.find(|one| one.part == place)
    };
    html! {
        div.scroll { table.parts {
            thead { tr {
                th { "part" } th { "to sign" }
                @if guess.is_some() { th { "signed" } }
            } }
            tbody { @for (place, (name, text)) in rows {
                tr class=[other(place).map(|_| "is-red")] {
                    th scope="row" { (name) }
                    td { (part(text)) }
                    @if guess.is_some() {
                        td { @match other(place) {
                            Some(one) => { (part(&one.text)) div.small { (one.what) } }
                            None => (part(text)),
                        } }
                    }
                }
            } }
        } }
    }
}

fn part(text: &str) -> Markup {
    html! { @if text.is_empty() { span.small { "nothing" } } @else { code.long { (text) } } }
}
