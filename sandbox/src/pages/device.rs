//! A device's page: what it is, its days, its receipts.

use maud::{Markup, html};

use super::RECEIPTS_ON_A_PAGE;
use super::home::mode;
use super::layout::{self, chip, count, text_fact};
use crate::finding::Color;
use crate::model::{FileStatus, StoredDay, StoredFile, StoredReceipt};
use crate::sandbox::RunningSandbox;
use crate::world::DeviceView;

/// The page, which shows the receipts of part `part`, from 1, newest first.
pub(super) fn page(sandbox: &RunningSandbox, id: u32, part: usize) -> Option<Markup> {
    let device = sandbox.device_view(id)?;
    let total = device.summary.receipts;
    let parts = total.div_ceil(RECEIPTS_ON_A_PAGE).max(1);
    let part = part.min(parts);
    let end = total.saturating_sub((part - 1) * RECEIPTS_ON_A_PAGE);
    let from = end.saturating_sub(RECEIPTS_ON_A_PAGE);
    let receipts = sandbox.receipts_from(id, from, end - from);
    let body = html! {
        section {
            div.row { h1 { "Device " (id) } (mode(&device)) }
            (facts(&device))
        }
        (days(&sandbox.days(id)))
        (files(&sandbox.files(id)))
        section {
            div.row {
                h2 { "Receipts" }
                (count(Color::Red, device.summary.red))
                (count(Color::Grey, device.summary.grey))
                (count(Color::Yellow, device.summary.yellow))
            }
            @if receipts.is_empty() { p.small { "None yet." } } @else {
                (table(id, &receipts))
                (pager(id, part, parts, total))
            }
        }
    };
    let way = layout::step(&format!("/devices/{id}/page"), &format!("device {id}"));
    let title = format!("Device {id}");
    // An older part stays as it is while somebody reads it.
    Some(layout::page(&title, part == 1, &way, &body))
}

fn facts(device: &DeviceView) -> Markup {
    let spec = &device.spec;
    let key = if device.is_activation_key_used {
        "used"
    } else {
        "not used yet"
    };
    let till = device.certified_till.map(clock::local);
    let certificates = match till {
        Some(till) => format!("{}, till {}", device.certificates, till.date()),
        None => "none".to_owned(),
    };
    let taxes: Vec<String> = spec
        .taxes
        .iter()
        .map(|tax| format!("{} {}", tax.tax_id, tax.tax_name))
        .collect();
    html! {
        dl.facts {
            (text_fact("taxpayer", &device.tax_payer_name))
            (text_fact("TIN", &spec.tax_payer_tin))
            (text_fact("VAT number", device.vat_number.as_deref().unwrap_or("none")))
            (text_fact("branch", &spec.branch_name))
            (text_fact("serial number", &spec.serial_no))
            (text_fact("activation key", key))
            (text_fact("certificates", &certificates))
            (text_fact("longest day", &format!("{} hours", spec.day_max_hrs)))
            (text_fact("taxes", &taxes.join(", ")))
        }
    }
}

/// How many days and files are shown, the latest.
const SHOWN: usize = 10;

/// What is said where there are more than are shown.
fn earlier(total: usize) -> Markup {
    html! {
        @if total > SHOWN { p.small { (total - SHOWN) " earlier ones are not shown." } }
    }
}

/// The latest files of an offline device, newest first.
fn files(files: &[StoredFile]) -> Markup {
    html! {
        @if !files.is_empty() {
            section {
                h2 { "Files" }
                div.scroll { table {
                    thead { tr {
                        th.number { "day/file" } th { "state" } th { "taken" } th { "closes the day" } th { "marked receipts" }
                    } }
                    tbody { @for file in files.iter().rev().take(SHOWN) { tr {
                        td.number { (file.fiscal_day_no) "/" (file.file_sequence) }
                        td { (file_state(file)) }
                        td { (file.uploaded.to_string().replace('T', " ")) }
                        td { @if file.has_footer { "yes" } @else { "no" } }
                        td { @for bad in &file.bad_receipts {
                            (bad.receipt_global_no) ": "
                            @for finding in &bad.validation_errors { (chip(finding)) " " }
                        } }
                    } } }
                } }
                (earlier(files.len()))
            }
        }
    }
}

fn file_state(file: &StoredFile) -> Markup {
    let (class, word) = match file.status {
        FileStatus::InProgress => ("chip", "in progress"),
        FileStatus::WaitingForPreviousFile => ("chip yellow", "waiting for the file before"),
        FileStatus::CompleteSuccessful => ("chip open", "complete"),
        FileStatus::FailedWithErrors => ("chip red", "failed"),
    };
    html! {
        span class=(class) { (word) }
        @if let Some(error) = file.error { " " span.small { (format!("{error:?}")) } }
    }
}

/// The latest days, newest first.
fn days(days: &[StoredDay]) -> Markup {
    html! {
        section {
            h2 { "Days" }
            @if days.is_empty() { p.small { "None yet." } } @else {
                div.scroll { table {
                    thead { tr {
                        th.number { "day" } th { "state" } th { "opened" } th { "closed" }
                        th.number { "receipts" } th { "of these" }
                    } }
                    tbody { @for day in days.iter().rev().take(SHOWN) { tr {
                        td.number { (day.fiscal_day_no) }
                        td { (layout::day_chip(day)) }
                        td { (day.fiscal_day_opened.to_string().replace('T', " ")) }
                        td {
                            @if let Some(closed) = day.fiscal_day_closed { (closed.to_string().replace('T', " ")) }
                            @if let Some(mode) = day.reconciliation_mode { " " span.small { (format!("{mode:?}")) } }
                        }
                        td.number { (day.receipt_count) }
                        td {
                            (count(Color::Red, usize::try_from(day.red_count).unwrap_or(0))) " "
                            (count(Color::Grey, usize::try_from(day.grey_count).unwrap_or(0)))
                        }
                    } } }
                } }
                (earlier(days.len()))
            }
        }
    }
}

fn table(id: u32, receipts: &[StoredReceipt]) -> Markup {
    html! {
        div.scroll { table.receipts {
            thead { tr {
                th.number { "no." } th.number { "day/counter" } th { "type" } th { "invoice no." }
                th { "date" } th.number { "total" } th { "broken rules" }
            } }
            tbody { @for receipt in receipts.iter().rev() { tr class=(worst(receipt)) {
                td.number { a href={ "/devices/" (id) "/receipts/" (receipt.receipt_id) "/page" } { (receipt.receipt_global_no) } }
                td.number { (receipt.fiscal_day_no) "/" (receipt.receipt_counter) }
                td { (format!("{:?}", receipt.receipt_type)) }
                td.break { (receipt.invoice_no) }
                td { (receipt.receipt_date.to_string().replace('T', " ")) }
                td.number { (receipt.currency) " " (receipt.receipt_total.two_decimals()) }
                td {
                    @for finding in &receipt.validation_errors { (chip(finding)) " " }
                    @if receipt.times_received > 1 { span.small { "received " (receipt.times_received) " times" } }
                }
            } } }
        } }
    }
}

/// The class of a receipt's row: its worst colour.
pub(super) fn worst(receipt: &StoredReceipt) -> &'static str {
    let worst = receipt.validation_errors.iter().map(|f| f.color).max();
    match worst {
        Some(Color::Red) => "is-red",
        Some(Color::Grey) => "is-grey",
        Some(Color::Yellow) => "is-yellow",
        None => "is-clean",
    }
}

fn pager(id: u32, part: usize, parts: usize, total: usize) -> Markup {
    let link = |to: usize| format!("/devices/{id}/page?page={to}");
    html! {
        @if parts > 1 {
            div.row.pager {
                @if part > 1 { a href=(link(part - 1)) { "← newer" } }
                span.small { "page " (part) " of " (parts) ", " (total) " receipts" }
                @if part < parts { a href=(link(part + 1)) { "older →" } }
            }
        }
    }
}
