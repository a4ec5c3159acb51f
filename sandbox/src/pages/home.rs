//! The first page: all devices, faults, requests, switches.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::layout::{self, count, fact, text_fact};
use crate::fault::{Fault, FaultKind};
use crate::finding::Color;
use crate::sandbox::{RequestCount, RunningSandbox};
use crate::world::DeviceView;

pub(super) fn page(sandbox: &RunningSandbox) -> Markup {
    let devices = sandbox.device_views();
    let body = html! {
        section {
            dl.facts {
                (fact("gateway API", &html! { code { (sandbox.url()) } }))
                (fact("trust", &html! { a href="/ca.pem" { "ca.pem" } }))
                (text_fact("its clock", &clock::local(sandbox.now()).to_string().replace('T', " ")))
                (text_fact("handshakes", &sandbox.handshakes().to_string()))
                @if sandbox.is_offline() {
                    (fact("line", &html! { span.chip.red { "offline" } }))
                }
            }
        }
        section {
            h1 { "Devices" }
            @if devices.is_empty() {
                p { "There are none yet: " code { "POST /devices" } " adds one." }
            }
            div.cards { @for device in &devices { (card(device)) } }
        }
        (faults(&sandbox.faults()))
        (requests(&sandbox.requests()))
        (violations(&sandbox.schema_violations()))
        (settings(sandbox))
    };
    layout::page("Devices", true, &html! {}, &body)
}

fn card(device: &DeviceView) -> Markup {
    let spec = &device.spec;
    let summary = &device.summary;
    html! {
        a.card href={ "/devices/" (spec.device_id) "/page" } {
            div.row { strong.big { (spec.device_id) } (mode(device)) }
            div { (device.tax_payer_name) }
            div.small { "TIN " (spec.tax_payer_tin) " · serial number " (spec.serial_no) }
            div.day {
                @match &device.day {
                    Some(day) => {
                        "Day " (day.fiscal_day_no) " " (layout::day_chip(day))
                        div.small { "opened " (day.fiscal_day_opened.to_string().replace('T', " ")) }
                    }
                    None => span.small { "no day yet" }
                }
            }
            div.row {
                span { (summary.receipts) @if summary.receipts == 1 { " receipt" } @else { " receipts" } }
                (count(Color::Red, summary.red))
                (count(Color::Grey, summary.grey))
                (count(Color::Yellow, summary.yellow))
            }
        }
    }
}

/// The mode of a device, and what keeps it from working.
pub(super) fn mode(device: &DeviceView) -> Markup {
    html! {
        span.chip { (format!("{:?}", device.spec.operating_mode)) }
        @if !device.is_active { span.chip.red { "blocked" } }
        @if !device.is_tax_payer_active { span.chip.red { "taxpayer blocked" } }
        @if device.certificates == 0 { span.chip.yellow { "not registered" } }
    }
}

fn faults(faults: &[Fault]) -> Markup {
    html! {
        section {
            h2 { "Faults" }
            @if faults.is_empty() {
                p.small { "None: " code { "POST /faults" } " adds some." }
            } @else {
                div.scroll { table {
                    thead { tr { th { "what" } th { "device" } th { "call" } th { "when" } th.number { "how often" } } }
                    tbody { @for fault in faults { (fault_row(fault)) } }
                } }
            }
        }
    }
}

fn fault_row(fault: &Fault) -> Markup {
    let local = |at| clock::local(at).to_string().replace('T', " ");
    html! {
        tr {
            td { (kind(&fault.fault)) }
            td { @match fault.device { Some(device) => (device), None => "every" } }
            td { @match fault.call { Some(call) => (call), None => "every" } }
            td {
                @if fault.skip > 0 { "after " (fault.skip) " more " }
                @if let Some(from) = fault.from { "from " (local(from)) " " }
                @if let Some(till) = fault.till { "till " (local(till)) " " }
                @if let Some(per_mille) = fault.per_mille { (per_mille) " ‰ of them" }
            }
            td.number { @if fault.times == u32::MAX { "always" } @else { (fault.times) } }
        }
    }
}

fn kind(kind: &FaultKind) -> String {
    match kind {
        FaultKind::LoseRequest => "request lost".to_owned(),
        FaultKind::LoseAnswer => "answer lost".to_owned(),
        FaultKind::Reset => "connection reset".to_owned(),
        FaultKind::Offline => "offline".to_owned(),
        FaultKind::Delay(time) => format!("processed {} ms late", time.as_millis()),
        FaultKind::DelayAnswer(time) => format!("answered {} ms late", time.as_millis()),
        FaultKind::Status {
            status, processed, ..
        } => format!(
            "status {status}{}",
            if *processed { ", but processed" } else { "" }
        ),
        FaultKind::Refuse(code) => format!("refused with {code}"),
    }
}

fn requests(counts: &[RequestCount]) -> Markup {
    let mut by_call: BTreeMap<_, Vec<&RequestCount>> = BTreeMap::new();
    for count in counts {
        by_call.entry(count.call).or_default().push(count);
    }
    html! {
        section {
            h2 { "Requests" }
            @if counts.is_empty() { p.small { "None since the start." } } @else {
                div.scroll { table {
                    thead { tr { th { "call" } th.number { "in all" } th { "by device" } } }
                    tbody { @for (call, counts) in &by_call {
                        tr {
                            td { (call) }
                            td.number { (counts.iter().map(|one| one.count).sum::<u64>()) }
                            td.small { (by_device(counts)) }
                        }
                    } }
                } }
            }
        }
    }
}

/// What was sent against the schema, the last of it first.
fn violations(violations: &[String]) -> Markup {
    const SHOWN: usize = 20;
    html! {
        @if !violations.is_empty() {
            section {
                h2 { "Against the schema" }
                ul { @for what in violations.iter().rev().take(SHOWN) { li.break { (what) } } }
                @if violations.len() > SHOWN {
                    p.small { (violations.len() - SHOWN) " more: " a href="/schema-violations" { "all" } }
                }
            }
        }
    }
}

fn by_device(counts: &[&RequestCount]) -> String {
    // GetServerCertificate is nobody's.
    let named = counts.iter().filter(|one| one.device != 0);
    let each: Vec<String> = named
        .map(|one| format!("{}: {}", one.device, one.count))
        .collect();
    each.join(" · ")
}

fn settings(sandbox: &RunningSandbox) -> Markup {
    let value = serde_json::to_value(sandbox.settings()).unwrap_or_default();
    let fields = value.as_object().into_iter().flatten();
    html! {
        section {
            h2 { "Switches" }
            dl.list { @for (name, value) in fields {
                dt { (name) }
                dd { @match value.as_str() {
                    Some(text) => (text),
                    None => @if name == "currencies" { (currencies(value)) } @else { (value.to_string()) },
                } }
            } }
        }
    }
}

fn currencies(value: &serde_json::Value) -> String {
    let codes = value.as_array().into_iter().flatten();
    let codes: Vec<&str> = codes
        .filter_map(|currency| currency["code"].as_str())
        .collect();
    codes.join(", ")
}
