//! The frame around every page: navigation, who is signed in, what has just been done.

use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::assets::GUARDS;
use super::visit::Visit;
use super::words;
use crate::access::Role;

/// Which entry of the navigation a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nav {
    /// The operator's tenants.
    Tenants,
    /// All stores at a glance.
    Overview,
    /// Receipts.
    Receipts,
    /// VAT return.
    Vat,
    /// Dead letters and what waits.
    Queue,
    /// Attempts to send.
    Submissions,
    /// Stores and their codes.
    Stores,
    /// Certificates and keys.
    Credentials,
    /// Alerts and channels.
    Alerts,
    /// The checklist.
    GoLive,
    /// The fiscal profile.
    Profile,
    /// Users and tokens.
    People,
    /// Who did what.
    Audit,
    /// One's own account.
    Account,
}

impl Nav {
    /// Who may see it.
    const fn takes(self) -> Role {
        match self {
            Self::People | Self::Audit => Role::Admin,
            _ => Role::Viewer,
        }
    }
}

/// A page, its path, its word.
type Entry = (Nav, &'static str, &'static str);

const GROUPS: [(&str, &[Entry]); 3] = [
    (
        "Shops",
        &[
            (Nav::Overview, "/", "Overview"),
            (Nav::Receipts, "/receipts", "Receipts"),
            (Nav::Vat, "/vat", "VAT return"),
        ],
    ),
    (
        "Authority",
        &[
            (Nav::Queue, "/queue", "Dead letters"),
            (Nav::Submissions, "/submissions", "Submissions"),
            (Nav::Credentials, "/credentials", "Credentials"),
            (Nav::GoLive, "/go-live", "Go-live"),
        ],
    ),
    (
        "Company",
        &[
            (Nav::Stores, "/stores", "Stores and tills"),
            (Nav::Alerts, "/alarms", "Alerts"),
            (Nav::Profile, "/profile", "Fiscal profile"),
            (Nav::People, "/people", "Users and tokens"),
            (Nav::Audit, "/audit", "Audit"),
        ],
    ),
];

/// A page inside the frame.
#[derive(Debug)]
pub(super) struct Page<'a> {
    /// What it is called.
    pub(super) title: &'a str,
    /// What stands under the title.
    pub(super) under: Option<Markup>,
    /// The way here: words and paths.
    pub(super) crumbs: &'a [(String, String)],
    /// Where it belongs.
    pub(super) nav: Nav,
    /// What stands at the right of the title.
    pub(super) beside: Option<Markup>,
}

impl<'a> Page<'a> {
    /// A page with a title and nothing else.
    pub(super) const fn new(nav: Nav, title: &'a str) -> Self {
        Self {
            title,
            under: None,
            crumbs: &[],
            nav,
            beside: None,
        }
    }

    /// The whole answer. A fragment is the main part alone.
    pub(super) fn show(self, visit: &Visit, body: &Markup) -> Response {
        let main = html! {
            main id="main" {
                (letterhead(visit))
                @if !self.crumbs.is_empty() {
                    nav class="crumbs" aria-label="Where you are" {
                        @for (word, path) in self.crumbs { a href=(visit.href(path)) { (word) } }
                    }
                }
                div class="head" {
                    div {
                        h1 { (self.title) }
                        @if let Some(under) = &self.under { div class="under" { (under) } }
                    }
                    @if let Some(beside) = &self.beside { div class="row no-print" { (beside) } }
                }
                @if let Some((is_good, text)) = visit.message() {
                    div class={ "note " (if is_good { "ok" } else { "bad" }) } role="status" { (text) }
                }
                (body)
            }
        };
        if visit.fragment {
            return answer(&html! { (DOCTYPE) html { body { (main) } } });
        }
        let rail = self.rail(visit);
        let frame = html! {
            a class="skip" href="#main" { "To the content" }
            div class="bar" {
                details {
                    summary { span { (visit.tenant_name) } span { "Menu" } }
                    (rail)
                }
            }
            div class="frame" {
                (rail)
                (main)
            }
        };
        let title = format!("{} – {}", self.title, visit.tenant_name);
        let mut response = bare(&title, &frame);
        visit.clear_message(&mut response);
        response
    }

    fn rail(&self, visit: &Visit) -> Markup {
        html! {
            div class="rail" {
                (mark())
                div class="tenant" {
                    (visit.tenant_name)
                    @if visit.caller.is_operator {
                        " " a class="small nowrap" href="/companies" { "change" }
                    }
                }
                nav aria-label="Pages" {
                    @if !visit.is_at_operator() {
                        @for (group, entries) in &GROUPS {
                            h2 { (group) }
                            @for (nav, path, word) in entries.iter().filter(|(nav, ..)| visit.may(nav.takes())) {
                                a href=(visit.href(path)) aria-current=[(*nav == self.nav).then_some("page")] { (word) }
                            }
                        }
                    } @else {
                        a href="/companies" aria-current=[(self.nav == Nav::Tenants).then_some("page")] { "Tenants" }
                        @if visit.may(Role::Admin) {
                            a href="/people" aria-current=[(self.nav == Nav::People).then_some("page")] { "Users and tokens" }
                            a href="/audit" aria-current=[(self.nav == Nav::Audit).then_some("page")] { "Audit" }
                        }
                    }
                }
                div class="who" {
                    div { a href=(visit.href("/account")) aria-current=[(self.nav == Nav::Account).then_some("page")] { (visit.who()) } }
                    div class="soft" { (role(visit.caller.role)) }
                    form method="post" action="/sign-out" {
                        (visit.token())
                        button { "Sign out" }
                    }
                }
            }
        }
    }
}

/// On paper: whose page it is, and from when.
fn letterhead(visit: &Visit) -> Markup {
    let papers = &visit.papers;
    let name = match papers.legal_name.trim() {
        "" => &visit.tenant_name,
        name => name,
    };
    html! {
        div class="letterhead" {
            div {
                b { (name) }
                @if !papers.tin.is_empty() { span { "TIN " (papers.tin) } }
                @if !papers.vat_number.is_empty() { span { "VAT number " (papers.vat_number) } }
            }
            div { span { "Head office, as of " (words::exact(visit.now)) " (UTC+2)" } }
        }
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Viewer => "Viewer",
        Role::Operator => "Operator",
        Role::Admin => "Admin",
    }
}

/// The product's mark.
pub(super) fn mark() -> Markup {
    html! {
        div class="mark" {
            (PreEscaped(r##"<svg width="26" height="26" viewBox="0 0 24 24" aria-hidden="true"><rect width="24" height="24" rx="6" fill="currentColor"/><path d="M7 5h10v14l-2.5-1.6L12 19l-2.5-1.6L7 19zm2.4 4h5.2M9.4 12h5.2" fill="none" stroke="#fff" stroke-width="1.6" stroke-linejoin="round"/></svg>"##))
            span { "Head office" }
        }
    }
}

/// A page without the frame: signing in, and what is wrong.
pub(super) fn bare(title: &str, body: &Markup) -> Response {
    answer(&html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="robots" content="noindex";
                title { (title) }
                link rel="icon" type="image/svg+xml" href="/assets/icon.svg";
                link rel="stylesheet" href="/assets/hq.css";
                script src="/assets/hq.js" defer {}
            }
            body {
                (body)
                div id="away" role="alert" hidden {}
            }
        }
    })
}

fn answer(page: &Markup) -> Response {
    (GUARDS, Html(page.0.clone())).into_response()
}

/// A part that is kept fresh by itself, with the moment at which it was true.
pub(super) fn live(visit: &Visit, id: &str, body: &Markup) -> Markup {
    html! { div id=(id) class="stack" data-live { (body) p class="live" { "as of " (words::exact(visit.now)) } } }
}

/// A card with a heading.
pub(super) fn card(title: &str, body: &Markup) -> Markup {
    html! { section class="card" { header { h2 { (title) } } div class="in" { (body) } } }
}

/// A card whose body goes to its edges: a table or a list.
pub(super) fn sheet(title: &str, beside: Option<&Markup>, body: &Markup) -> Markup {
    html! {
        section class="card" {
            header { h2 { (title) } @if let Some(beside) = beside { div class="small" { (beside) } } }
            div class="scroll" { (body) }
        }
    }
}

/// Nothing there: what would stand here, and how it comes.
pub(super) fn empty(what: &str, how: &str) -> Markup {
    html! { div class="empty" { b { (what) } (how) } }
}

/// A figure at a glance; a link where it leads somewhere.
pub(super) fn tile(
    tone: words::Tone,
    figure: &str,
    word: &str,
    more: Option<&str>,
    href: Option<&str>,
) -> Markup {
    let inner = html! {
        b { (figure) }
        span { (word) }
        @if let Some(more) = more { small { (more) } }
    };
    html! {
        @if let Some(href) = href { a class={ "tile " (tone.class()) } href=(href) { (inner) } }
        @else { div class={ "tile " (tone.class()) } { (inner) } }
    }
}
