//! What the API says in words of a program, in words of the page: lights, queues, printers, amounts.

use maud::{Markup, html};

use super::ask::TillName;
use super::layout::tag;
use super::visit::Visit;
use crate::alarms::AlarmCode;
use crate::api::schema::{Alarm, Exact, Fdms, Link, Printer, Queue, TillState};

/// A traffic light.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Light {
    /// It does not sell.
    Red,
    /// It sells, and somebody must look after something.
    Yellow,
    /// All is well.
    Green,
    /// It is out of use for good.
    Off,
}

impl Light {
    /// A till's light, out of the alarms that concern it.
    pub(super) fn of(till: &TillState, alarms: &[Alarm]) -> Self {
        if till
            .hold
            .as_ref()
            .is_some_and(|hold| hold.kind == "retired")
        {
            return Self::Off;
        }
        let own = || alarms.iter().filter(|alarm| concerns(alarm, till));
        if own().any(|alarm| alarm.severity == "stops") {
            Self::Red
        } else if own().any(|alarm| alarm.severity == "attend") {
            Self::Yellow
        } else {
            Self::Green
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Red => "red",
            Self::Yellow => "yellow",
            Self::Green => "green",
            Self::Off => "off",
        }
    }

    /// The light, with what it means.
    pub(super) fn show(self, visit: &Visit) -> Markup {
        let word = self.word();
        html! {
            p class={ "light " (word) } {
                span class="lamp" aria-hidden="true" {}
                span { (visit.t(&format!("light.{word}"))) }
            }
        }
    }
}

/// Whether an alarm concerns a till: one of its own, or one of the whole store that stops sales.
pub(super) fn concerns(alarm: &Alarm, till: &TillState) -> bool {
    match (&alarm.environment, alarm.device_id) {
        (Some(environment), Some(device)) => {
            *environment == till.environment && device == till.device_id
        }
        _ => alarm.severity == "stops",
    }
}

/// What the alarm is, and what to do.
pub(super) fn alarm(visit: &Visit, alarm: &Alarm) -> (String, String) {
    // Names of values are few and known; those that come from elsewhere stay as they are.
    let known = |name: &str| {
        [
            "free", "day", "until", "receipts", "since", "days", "printer", "count", "port",
        ]
        .into_iter()
        .find(|known| *known == name)
    };
    let values: Vec<(&'static str, String)> = alarm
        .values
        .iter()
        .filter_map(|(name, value)| Some((known(name)?, visit.when(value))))
        .collect();
    let text = |end: &str| {
        visit
            .words()
            .with(&format!("alarm.{}_{end}", alarm.code), &values)
    };
    let what = if is_one(alarm) { "what_one" } else { "what" };
    (text(what), text("do"))
}

/// Whether an alarm counts things, and there is one of them.
fn is_one(alarm: &Alarm) -> bool {
    let mut known = AlarmCode::ALL.iter();
    let code = known.find(|code| code.as_str() == alarm.code);
    let counted = code.and_then(|code| code.one());
    counted.is_some_and(|(name, _)| alarm.values.get(name).is_some_and(|count| count == "1"))
}

/// A till, by its number.
pub(super) fn till_title(visit: &Visit, till: &TillName) -> Markup {
    html! { (visit.t("till.till")) " " (till.device_id) (test_tag(visit, till)) }
}

/// That its receipts are not valid, where they are not.
pub(super) fn test_tag(visit: &Visit, till: &TillName) -> Markup {
    html! { @if till.environment == "test" { " " (tag("warn", visit.t("till.test"))) } }
}

/// How the way to the authority is.
pub(super) fn link(visit: &Visit, link: Option<&Link>) -> Markup {
    let Some(link) = link else { return html! {} };
    let since = link.since.as_deref().unwrap_or_default();
    match link.state.as_str() {
        "online" => html! { (visit.t("link.online")) },
        "offline" => html! { (visit.with("link.offline", &[("since", &since)])) },
        "catchingUp" => {
            let (sent, of) = (link.sent.unwrap_or(0), link.of.unwrap_or(0));
            html! { (visit.with("link.catching_up", &[("sent", &sent), ("of", &of)])) }
        }
        _ => html! { (visit.t("link.unknown")) },
    }
}

/// How a queue is, in a sentence.
pub(super) fn queue(visit: &Visit, queue: &Queue) -> String {
    let unsent = &queue.unsent;
    match queue.state.as_str() {
        "sent" => visit.t("queue.sent").to_owned(),
        "parked" => visit.counted("queue.parked", "count", unsent),
        "retrying" => visit.counted("queue.retrying", "count", unsent),
        _ => visit.counted("queue.waiting", "count", unsent),
    }
}

/// Where a receipt stands with the authority.
pub(super) fn fdms(visit: &Visit, fdms: &Fdms) -> Markup {
    match (fdms.state.as_str(), fdms.color.as_deref()) {
        ("accepted", Some("Red")) => tag("bad", visit.t("fdms.red")),
        ("accepted", Some("Grey")) => tag("warn", visit.t("fdms.grey")),
        ("accepted", Some(_)) => tag("warn", visit.t("fdms.yellow")),
        ("accepted", None) => tag("ok", visit.t("fdms.accepted")),
        ("parked", _) => tag("warn", visit.t("fdms.parked")),
        ("passedOver", _) => tag("warn", visit.t("fdms.passed_over")),
        _ => tag("", visit.t("fdms.queued")),
    }
}

/// What kind of receipt it is.
pub(super) fn kind<'a>(visit: &'a Visit, kind: &'a str) -> &'a str {
    match kind {
        "FiscalInvoice" => visit.t("receipt.invoice"),
        "CreditNote" => visit.t("receipt.credit"),
        "DebitNote" => visit.t("receipt.debit"),
        other => other,
    }
}

/// How a printer is.
pub(super) fn printer(visit: &Visit, printer: &Printer) -> Markup {
    let (tone, key) = match printer.state.as_str() {
        "ready" => ("ok", "printer.ready"),
        "starting" => ("", "printer.starting"),
        "unreachable" => ("bad", "printer.unreachable"),
        "paper_out" => ("bad", "printer.paper_out"),
        "cover_open" => ("bad", "printer.cover_open"),
        "paper_low" => ("warn", "printer.paper_low"),
        _ => ("bad", "printer.fault"),
    };
    tag(tone, visit.t(key))
}

/// How a print job is.
pub(super) fn job_state<'a>(visit: &'a Visit, state: &'a str) -> &'a str {
    match state {
        "queued" => visit.t("job.queued"),
        "held" => visit.t("job.held"),
        "sending" | "await_ack" => visit.t("job.sending"),
        "done" => visit.t("job.done"),
        "unknown" => visit.t("job.unknown"),
        "failed" => visit.t("job.failed"),
        "lost" => visit.t("job.lost"),
        other => other,
    }
}

/// What a print job prints.
pub(super) fn job_kind<'a>(visit: &'a Visit, kind: &'a str) -> &'a str {
    match kind {
        "receipt" => visit.t("job.receipt"),
        "z_report" => visit.t("job.z_report"),
        "drawer" => visit.t("job.drawer"),
        _ => visit.t("job.other"),
    }
}

/// An amount, its thousands apart.
pub(super) fn money(amount: &Exact) -> String {
    let text = amount.as_str();
    let (whole, cents) = text.split_once('.').unwrap_or((text, "00"));
    let (sign, digits) = match whole.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", whole),
    };
    let mut out = String::from(sign);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            // A narrow space that does not break.
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out.push('.');
    out.push_str(cents);
    if cents.len() == 1 {
        out.push('0');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Thousands are apart, cents are two.
    #[test]
    fn amounts() {
        for (text, expected) in [
            ("0.00", "0.00"),
            ("2.4", "2.40"),
            ("1234567.89", "1\u{202f}234\u{202f}567.89"),
            ("-1200.00", "-1\u{202f}200.00"),
            ("999", "999.00"),
        ] {
            let exact: Exact = serde_json::from_str(text).unwrap();
            assert_eq!(money(&exact), expected);
        }
    }
}
