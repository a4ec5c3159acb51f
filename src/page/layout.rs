//! The frame around every page: where one can go, which language, whether it is unlocked, what was just done.

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse as _, Response};
use maud::{DOCTYPE, Markup, html};

use super::acts::Act;
use super::ask::Failed;
use super::assets::GUARDS;
use super::text::Language;
use super::visit::Visit;

/// Which entry of the navigation a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nav {
    /// The tills at a glance.
    Tills,
    /// Receipts.
    Receipts,
    /// What waits for the authority, and what could not be sold.
    Queue,
    /// Printers.
    Printers,
    /// Alarms.
    Alarms,
    /// Clock, certificates, head office.
    Store,
}

/// Where one can go: path and word.
const ENTRIES: [(Nav, &str, &str); 6] = [
    (Nav::Tills, "/operator", "nav.tills"),
    (Nav::Receipts, "/operator/receipts", "nav.receipts"),
    (Nav::Queue, "/operator/queue", "nav.queue"),
    (Nav::Printers, "/operator/printers", "nav.printers"),
    (Nav::Alarms, "/operator/alarms", "nav.alarms"),
    (Nav::Store, "/operator/store", "nav.store"),
];

/// A page.
pub(super) struct Sheet<'a> {
    /// Where it belongs.
    pub(super) nav: Nav,
    /// What it is called.
    pub(super) title: &'a str,
    /// Alarms, for the number beside the word.
    pub(super) alarms: usize,
    /// What stays as it is: forms.
    pub(super) still: Option<Markup>,
    /// What is kept fresh.
    pub(super) live: Markup,
}

impl Sheet<'_> {
    /// The whole answer.
    pub(super) fn show(&self, visit: &Visit) -> Response {
        let live = html! { div id="live" class="stack" data-live { (self.live) } };
        let nav = self.nav(visit);
        if visit.is_fragment {
            return finish(
                visit,
                StatusCode::OK,
                &html! { (DOCTYPE) html { body { (nav) (live) } } },
            );
        }
        let main = html! {
            main id="main" tabindex="-1" {
                h1 { (self.title) }
                (said(visit))
                @if let Some(still) = &self.still { (still) }
                (live)
            }
        };
        finish(
            visit,
            StatusCode::OK,
            &whole(visit, self.title, &nav, &main),
        )
    }

    fn nav(&self, visit: &Visit) -> Markup {
        nav(visit, Some(self.nav), self.alarms)
    }
}

fn nav(visit: &Visit, here: Option<Nav>, alarms: usize) -> Markup {
    html! {
        nav id="nav" data-live[here.is_some()] aria-label=(visit.t("nav.label")) {
            @for (nav, path, word) in ENTRIES {
                a id={ "nav-" (word.trim_start_matches("nav.")) } href=(path) aria-current=[(Some(nav) == here).then_some("page")] {
                    (visit.t(word))
                    @if nav == Nav::Alarms && alarms > 0 { " " b class="count" { (alarms) } }
                }
            }
        }
    }
}

/// A page without anything to keep fresh: a question, or what is wrong.
pub(super) fn still(visit: &Visit, status: StatusCode, title: &str, body: &Markup) -> Response {
    let main = html! { main id="main" tabindex="-1" { h1 { (title) } (body) } };
    finish(
        visit,
        status,
        &whole(visit, title, &nav(visit, None, 0), &main),
    )
}

/// What has just been done.
fn said(visit: &Visit) -> Markup {
    let done = visit.param("said").and_then(Act::parse);
    html! {
        @if let Some(act) = done {
            p class="note ok" role="status" { (visit.t(&format!("done.{}", act.as_str()))) }
        }
    }
}

fn whole(visit: &Visit, title: &str, nav: &Markup, main: &Markup) -> Markup {
    let words = visit.words();
    html! {
        (DOCTYPE)
        html lang=(words.language.code()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · fiscald" }
                link rel="icon" type="image/svg+xml" href="/operator/icon.svg";
                link rel="stylesheet" href="/operator/operator.css";
                script src="/operator/operator.js" defer {}
            }
            body {
                a class="skip" href="#main" { (visit.t("nav.skip")) }
                header class="top" {
                    (nav)
                    (locked(visit))
                }
                (main)
                (foot(visit))
                p id="away" role="alert" hidden { (visit.t("page.away")) }
            }
        }
    }
}

/// Whether this browser may change something, and a button to end that.
fn locked(visit: &Visit) -> Markup {
    html! {
        @if visit.is_open() {
            form class="lock" method="post" action="/operator/lock" {
                (visit.token())
                button id="lock" { (visit.t("page.lock")) }
            }
        }
    }
}

fn foot(visit: &Visit) -> Markup {
    let words = visit.words();
    html! {
        footer {
            nav class="languages" aria-label=(visit.t("page.language")) {
                @for language in Language::ALL {
                    @let code = language.code();
                    a id={ "language-" (code) } href=(visit.href("lang", Some(code))) lang=(code)
                        aria-current=[(language == words.language).then_some("true")] {
                        (visit.page.texts.of(language).about.name)
                    }
                }
            }
            @if !words.about.read_by_a_native_speaker {
                p class="unread" { (words.about.notice) }
            }
        }
    }
}

fn finish(visit: &Visit, status: StatusCode, page: &Markup) -> Response {
    let mut response = (status, GUARDS, Html(page.0.clone())).into_response();
    visit.set_cookies(&mut response);
    response
}

/// What is wrong, with what to do. What the API says is English.
pub(super) fn wrong(visit: &Visit, failed: &Failed) -> Markup {
    html! {
        div class="note bad" role="alert" {
            p { b { (visit.t("page.refused")) } }
            @for text in [&failed.title, &failed.detail, &failed.action] {
                @if !text.is_empty() { p lang="en" { (text) } }
            }
        }
    }
}

/// A page that cannot be shown.
pub(super) fn failed(visit: &Visit, failed: &Failed) -> Response {
    if failed.status == StatusCode::NOT_FOUND && failed.detail.is_empty() {
        let body = html! { p { (visit.t("page.nothing")) } p { a class="button" href="/operator" { (visit.t("page.back")) } } };
        return still(visit, failed.status, visit.t("page.nothing_title"), &body);
    }
    still(
        visit,
        failed.status,
        visit.t("page.failed"),
        &wrong(visit, failed),
    )
}

/// Nothing is at this address.
pub(super) async fn nothing_here(visit: Visit) -> Response {
    failed(&visit, &Failed::missing())
}

/// A card with a heading.
pub(super) fn card(title: &Markup, body: &Markup) -> Markup {
    html! { section class="card" { h2 { (title) } (body) } }
}

/// Facts, each under its name; those that are empty are left out.
pub(super) fn facts(facts: &[(&str, Markup)]) -> Markup {
    html! {
        dl class="facts" {
            @for (name, value) in facts {
                @if !value.0.is_empty() { div { dt { (name) } dd { (value) } } }
            }
        }
    }
}

/// A word with a colour and a shape.
pub(super) fn tag(tone: &str, word: &str) -> Markup {
    html! { span class={ "tag " (tone) } { (word) } }
}
