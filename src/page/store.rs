//! The store: clock, ledger and its copies, certificates, head office, PIN.

use axum::response::Response;
use maud::{Markup, html};

use super::ask::{Failed, TillName};
use super::layout::{Nav, Sheet, card, facts, failed, tag};
use super::lock::Shut;
use super::till;
use super::visit::Visit;
use super::words::till_title;
use crate::api::schema::{BackupState, HeadOffice, LiveCopyState, Status};

/// The page.
pub(super) async fn show(visit: Visit) -> Response {
    match sheet(&visit).await {
        Ok(response) => response,
        Err(error) => failed(&visit, &error),
    }
}

async fn sheet(visit: &Visit) -> Result<Response, Failed> {
    let (status, alarms) = (visit.page.status().await?, visit.page.alarms().await?);
    let has_pin = visit.page.has_pin().await.map_err(|shut| match shut {
        Shut::Fault(why) => Failed::words(why),
        _ => Failed::words(""),
    })?;
    let disk = visit.page.ledger.reader().disk_free();
    let live = html! {
        div class="two" {
            (card(&html! { (visit.t("store.clock")) }, &clock(visit, &status)))
            (card(&html! { (visit.t("store.ledger")) }, &ledger(visit, &status, disk)))
            @if let Some(office) = &status.head_office {
                (card(&html! { (visit.t("store.head_office")) }, &head_office(visit, office)))
            }
            @if let Some(backup) = &status.backup {
                (card(&html! { (visit.t("store.copies")) }, &copies(visit, backup)))
            }
            (card(&html! { "PIN" }, &html! {
                @if has_pin { p { (tag("ok", visit.t("pin.set"))) } p class="soft" { (visit.t("pin.about")) } }
                @else { p { (visit.t("pin.not_set")) } }
                p { code { "fiscald pin set" } }
            }))
        }
        @for one in &status.tills {
            @let name = TillName::of(one);
            (card(&html! { (till_title(visit, &name)) " · " (visit.t("till.certificate")) }, &till::certificate(visit, one, &name)))
        }
        p class="soft" { "fiscald " (status.version) }
    };
    let sheet = Sheet {
        nav: Nav::Store,
        title: visit.t("nav.store"),
        alarms: alarms.len(),
        still: None,
        live,
    };
    Ok(sheet.show(visit))
}

fn clock(visit: &Visit, status: &Status) -> Markup {
    let time = &status.time;
    let is_right = time.flag.is_none();
    let shown = |text: &str| html! { time { (text.replace('T', " ")) } };
    html! {
        p { @if is_right { (tag("ok", visit.t("store.clock_right"))) } @else { (tag("warn", visit.t("store.clock_wrong"))) } }
        (facts(&[
            (visit.t("store.trusted"), shown(&time.trusted)),
            (visit.t("store.machine"), shown(&time.wall)),
            (visit.t("store.skew"), html! { @if time.skew_seconds != 0 { (time.skew_seconds) " s" } }),
        ]))
    }
}

fn ledger(visit: &Visit, status: &Status, disk: Option<u64>) -> Markup {
    let megabytes = disk.map(|free| free / (1024 * 1024));
    html! {
        p {
            @if status.ledger.writable { (tag("ok", visit.t("store.writable"))) }
            @else { (tag("bad", visit.t("store.read_only"))) }
        }
        (facts(&[
            (visit.t("store.disk"), html! { @if let Some(free) = megabytes { (free) " MB" } }),
            (visit.t("store.waiting"), html! { (status.ledger.waiting) }),
            (visit.t("queue.error"), html! { @if let Some(fault) = &status.ledger.fault { span lang="en" { (fault) } } }),
        ]))
    }
}

fn head_office(visit: &Visit, office: &HeadOffice) -> Markup {
    let state = match office.state.as_str() {
        "connected" => tag("ok", visit.t("link.online")),
        "away" => tag("warn", visit.t("store.away")),
        _ => tag("", visit.t("link.unknown")),
    };
    let when = |text: Option<&str>| html! { @if let Some(text) = text { (visit.when(text)) } };
    html! {
        p { (state) }
        (facts(&[
            (visit.t("store.tenant"), html! { (office.tenant) }),
            (visit.t("store.name"), html! { (office.store) }),
            (visit.t("store.waiting"), html! { (office.waiting) }),
            (visit.t("store.heard"), when(office.last_contact.as_deref())),
            (visit.t("queue.error"), html! { @if let Some(error) = &office.error { span lang="en" { (error) } } }),
        ]))
    }
}

fn copies(visit: &Visit, backup: &BackupState) -> Markup {
    let live = backup.live.as_ref();
    let when = |text: Option<&String>| html! { @if let Some(text) = text { (visit.when(text)) } };
    let of_live = |text: fn(&LiveCopyState) -> Option<&String>| when(live.and_then(text));
    let lag = live.and_then(|live| {
        live.lag_seconds
            .or(live.behind.filter(|behind| *behind == 0))
    });
    let wrong = |error: Option<&String>| html! { @if let Some(error) = error { span lang="en" { (error) } } };
    html! {
        @if let Some(live) = live {
            p {
                @if live.error.is_some() { (tag("warn", visit.t("store.copy_stuck"))) }
                @else if live.up_to_date.is_none() { (tag("", visit.t("store.copy_starts"))) }
                @else { (tag("ok", visit.t("store.copy_follows"))) }
            }
        }
        (facts(&[
            (visit.t("store.copy"), html! { @if let Some(live) = live { code { (live.path) } } }),
            (visit.t("store.copy_lag"), html! { @if let Some(seconds) = lag { (span(seconds)) } }),
            (visit.t("store.copy_same"), of_live(|live| live.up_to_date.as_ref())),
            (visit.t("store.copy_since"), of_live(|live| live.since.as_ref())),
            (visit.t("queue.error"), wrong(live.and_then(|live| live.error.as_ref()))),
            (visit.t("store.backup"), when(backup.last_backup.as_ref())),
            (visit.t("queue.error"), wrong(backup.error.as_ref())),
        ]))
    }
}

/// A span of time, in seconds, as short as it can be read.
fn span(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3600),
    }
}
