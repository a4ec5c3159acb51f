//! FDMS: the way there, each till's certificate, and what FDMS answers to it.

use std::sync::Arc;
use std::time::Duration;

use clock::Timestamp;
use fiscal::taxpayer::Taxpayer;

use super::ledger::{Store, till_name};
use super::line::{Server, go};
use super::{Area, Finding, time};
use crate::config::Config;
use crate::fdms::wire::{OperatingMode, Status};
use crate::fdms::{
    Answer, DelayCause, DoubtCause, Evidence, Fdms as _, HttpFdms, Identity, Limits, Outcome,
    Refusal, server_only,
};
use crate::keys::{Certificate, DeviceKey};
use crate::ledger::{Environment, TillInfo};
use crate::submit::{Access, alarm_of, trusted_clock};
use crate::time::TimeKeeper;

/// Shorter than the gateway's own: somebody waits for the report.
const LIMITS: Limits = Limits {
    connect: Duration::from_secs(8),
    total: Duration::from_secs(20),
    answer_bytes: 1 << 20,
};
const SECONDS_A_DAY: i64 = 24 * 3600;
const AGAIN: &str = "Register it again with a new activation key: `fiscald register --again`.";

/// Way, certificates and answers.
pub(super) async fn look(
    config: &Config,
    store: &Store,
    keeper: &Arc<TimeKeeper>,
    found: &mut Vec<Finding>,
) {
    let clock = trusted_clock(Arc::clone(keeper));
    let access = match Access::from_config(&config.fdms, clock) {
        Ok(access) => Access {
            limits: LIMITS,
            ..access
        },
        Err(_) => {
            let rest = [
                Area::Dns,
                Area::Tcp,
                Area::Tls,
                Area::Certificate,
                Area::Fdms,
            ];
            let why = "nobody is trusted (see config)";
            found.extend(rest.map(|area| Finding::skipped(area, why)));
            return;
        }
    };
    if store.living().next().is_none() {
        let rest = [
            Area::Dns,
            Area::Tcp,
            Area::Tls,
            Area::Certificate,
            Area::Fdms,
        ];
        found.extend(rest.map(|area| Finding::skipped(area, "there is no till")));
    }
    for environment in [Environment::Test, Environment::Production] {
        if !store.uses(environment) {
            continue;
        }
        let broken = way(&access, environment, found).await;
        for (info, _) in store.living() {
            if info.environment != environment {
                continue;
            }
            let usable = certificate(store, info, keeper.now(), found);
            match (&broken, usable) {
                (Some(area), _) => {
                    let why = format!("{} has failed", area.as_str());
                    found.push(Finding::skipped(Area::Fdms, &why).about(till_name(info)));
                }
                (None, None) => {
                    let why = "its key or its certificate cannot be used";
                    found.push(Finding::skipped(Area::Fdms, why).about(till_name(info)));
                }
                (None, Some(identity)) => {
                    answer(&access, store, info, identity, keeper, found).await;
                }
            }
        }
    }
}

async fn way(access: &Access, environment: Environment, found: &mut Vec<Finding>) -> Option<Area> {
    let name = format!("FDMS ({environment})");
    let tls = match server_only(&access.roots, &access.clock) {
        Ok(tls) => tls,
        Err(error) => {
            let next = "Restart the machine; if it comes back, report it.";
            let finding = Finding::fault(Area::Tls, "tls_untrusted", error.to_string(), next);
            found.push(finding.about(name));
            return Some(Area::Tls);
        }
    };
    let way = go(&Server {
        name,
        url: access.addresses.url(environment).to_owned(),
        tls: Some(tls),
    })
    .await;
    found.extend(way.findings);
    way.broken
}

/// Judges a till's certificate; key and certificate if FDMS can be asked with them.
fn certificate<'a>(
    store: &'a Store,
    info: &TillInfo,
    now: Timestamp,
    found: &mut Vec<Finding>,
) -> Option<(&'a DeviceKey, Certificate)> {
    let name = till_name(info);
    let own = store.identities.iter().find(|(id, ..)| *id == info.id);
    let pem = match store.reader.certificate_pem(info.id) {
        Ok(Some(pem)) => pem,
        Ok(None) | Err(_) => {
            let finding = Finding::fault(
                Area::Certificate,
                "certificate_missing",
                "it has no certificate: it was never registered to its end, or its key was lost with another machine",
                "Register it: `fiscald register`, with a new activation key if FDMS asks for one.",
            );
            found.push(finding.about(name));
            return None;
        }
    };
    let key = own.map(|(_, key, _)| key);
    match Certificate::from_pem(&pem) {
        Ok(certificate) => {
            let finding = judge(&certificate, key, info, now);
            let usable = finding.verdict != super::Verdict::Fault;
            found.push(finding.about(name));
            key.filter(|_| usable).map(|key| (key, certificate))
        }
        Err(error) => {
            let finding = Finding::fault(
                Area::Certificate,
                "certificate_unreadable",
                error.to_string(),
                AGAIN,
            );
            found.push(finding.about(name));
            None
        }
    }
}

fn judge(
    certificate: &Certificate,
    key: Option<&DeviceKey>,
    info: &TillInfo,
    now: Timestamp,
) -> Finding {
    let fault =
        |code, text: String, next: &str| Finding::fault(Area::Certificate, code, text, next);
    let common_name = certificate.common_name();
    let end = clock::local(certificate.not_after());
    let days = certificate
        .not_after()
        .duration_since(now)
        .as_secs()
        .div_euclid(SECONDS_A_DAY);
    if !common_name.ends_with(&format!("-{:010}", info.device_id.get())) {
        return fault(
            "certificate_other_device",
            format!("it is {common_name}'s, and not this till's"),
            AGAIN,
        );
    }
    if key.is_some_and(|key| !certificate.belongs_to(key)) {
        return fault(
            "certificate_other_key",
            "it does not belong to the till's key".to_owned(),
            AGAIN,
        );
    }
    if now < certificate.not_before() {
        return fault(
            "certificate_not_yet_valid",
            format!(
                "it is valid from {} on",
                clock::local(certificate.not_before())
            ),
            "Look at this machine's clock: it stands before the day on which the till was registered.",
        );
    }
    if certificate.not_after() < now {
        return fault(
            "certificate_expired",
            format!("it has ended at {end}"),
            AGAIN,
        );
    }
    if let Some(action) = alarm_of(certificate.not_after(), now) {
        return Finding::warning(
            Area::Certificate,
            "certificate_ends_soon",
            format!("it ends at {end}, in {days} days"),
            action,
        );
    }
    Finding::ok(
        Area::Certificate,
        format!("{common_name}, valid till {end} ({days} days)"),
    )
}

async fn answer(
    access: &Access,
    store: &Store,
    info: &TillInfo,
    (key, certificate): (&DeviceKey, Certificate),
    keeper: &TimeKeeper,
    found: &mut Vec<Finding>,
) {
    let identity = DeviceKey::from_pkcs8(key.pkcs8()).map(|key| Identity {
        certificate,
        key: Arc::new(key),
    });
    let identity = identity.map_err(|error| error.to_string());
    let client = identity.and_then(|identity| access.client(info, Some(identity)));
    let client = match client {
        Ok(client) => client,
        Err(why) => {
            let next = "Correct the configuration; if it is the key, register the till again.";
            let finding = Finding::fault(Area::Fdms, "fdms_client", why, next);
            found.push(finding.about(till_name(info)));
            return;
        }
    };
    let state = store.living().find(|(till, _)| till.id == info.id);
    let mode = state.and_then(|(_, state)| state.operating_mode.as_deref());
    let (finding, evidence) = ask(&client, store, info, mode == Some("Offline")).await;
    found.push(with_proof(finding, &evidence).about(till_name(info)));
    if let Some(date) = evidence.server_date {
        time::against_fdms(keeper, date, found);
    }
    never_configured(store, info, found);
}

/// Asks what a till of its mode may ask: one that reports by file has no GetStatus.
async fn ask(
    client: &HttpFdms,
    store: &Store,
    info: &TillInfo,
    by_file: bool,
) -> (Finding, Evidence) {
    if by_file {
        let answer = client.get_config().await;
        let good = |_: &_| Finding::ok(Area::Fdms, "it answers (GetConfig)");
        return (judged(&answer, good), answer.evidence);
    }
    let answer = client.get_status().await;
    let good = |status: &Status| compared(store, info, status);
    let finding = judged(&answer, good);
    // Of a device that has become one that reports by file FDMS says the same as of one that it has blocked.
    if finding.code == "fdms_device_blocked"
        && let Outcome::Accepted(config) = client.get_config().await.outcome
        && config.operating_mode == OperatingMode::Offline
    {
        let changed = Finding::warning(
            Area::Fdms,
            "fdms_mode_changed",
            "the authority has set it to Offline: it reports by file from now on",
            "Nothing, if that is wanted: the gateway takes it over when it fetches the configuration; `fiscald till config --fetch` does so now.",
        );
        return (changed, answer.evidence);
    }
    (finding, answer.evidence)
}

/// A till that never heard its configuration cannot sell.
fn never_configured(store: &Store, info: &TillInfo, found: &mut Vec<Finding>) {
    let known: Option<Arc<Taxpayer>> = store.reader.taxpayer(info.id).ok().flatten();
    if known.is_none() {
        let finding = Finding::fault(
            Area::Fdms,
            "fdms_no_config",
            "its configuration was never fetched: taxpayer and taxes are not known",
            "Start the gateway: it fetches them; `fiscald till config --fetch` asks now.",
        );
        found.push(finding.about(till_name(info)));
    }
}

fn with_proof(mut finding: Finding, evidence: &Evidence) -> Finding {
    finding
        .text
        .push_str(&format!(", after {} ms", evidence.round_trip.as_millis()));
    if let Some(id) = &evidence.operation_id {
        finding.text.push_str(&format!(" (operationID {id})"));
    }
    finding
}

/// What FDMS has, beside what the ledger has. The ledger is read after FDMS was asked: it only grows.
fn compared(store: &Store, info: &TillInfo, status: &Status) -> Finding {
    let last = store.reader.last_receipt(info.id);
    let own = last.map_or(0, |(number, _)| u64::from(number.get()));
    let theirs = status.last_receipt_global_no.unwrap_or(0);
    if theirs > own {
        return Finding::fault(
            Area::Fdms,
            "fdms_ahead",
            format!("FDMS has receipt {theirs} of it, this ledger ends at {own}"),
            "Is the original ledger still there? Stop the gateway and put it back. Else `fiscald till adopt`.",
        );
    }
    Finding::ok(
        Area::Fdms,
        format!(
            "it answers: {:?}, its last receipt {theirs} of {own}",
            status.day
        ),
    )
}

fn judged<T>(answer: &Answer<T>, good: impl FnOnce(&T) -> Finding) -> Finding {
    let fault = |code, text: String, next: &str| Finding::fault(Area::Fdms, code, text, next);
    match &answer.outcome {
        Outcome::Accepted(value) => good(value),
        Outcome::Refused(refusal) => refused(refusal),
        Outcome::Later(delay) => {
            let text = delay.detail.clone();
            match delay.cause {
                DelayCause::TooManyRequests => Finding::warning(
                    Area::Fdms,
                    "fdms_busy",
                    text,
                    "Wait; the gateway sends by itself when FDMS takes it.",
                ),
                DelayCause::ServerTrouble(_) => fault(
                    "fdms_trouble",
                    text,
                    "FDMS itself is out of order. Sell on: all of it is kept and sent when FDMS is well; if it lasts for days, speak to the authority.",
                ),
                DelayCause::NoConnection | DelayCause::ServerNotTrusted => fault(
                    "fdms_away",
                    text,
                    "The line was there a moment ago and is not now: try again, and look at the router.",
                ),
            }
        }
        Outcome::Unknown(doubt) => match doubt.cause {
            DoubtCause::TimedOut => fault(
                "fdms_silent",
                doubt.detail.clone(),
                "FDMS takes connections and does not answer: wait; nothing is lost meanwhile.",
            ),
            DoubtCause::ConnectionLost => fault(
                "fdms_breaks_off",
                doubt.detail.clone(),
                "The line breaks in the middle of an answer: try again, look at router and mobile data.",
            ),
            DoubtCause::AnswerNotUnderstood => fault(
                "fdms_not_understood",
                doubt.detail.clone(),
                "It may not be FDMS that answers (a proxy, a sign-in page): correct the address. If it is, report it with a support bundle.",
            ),
        },
    }
}

fn refused(refusal: &Refusal) -> Finding {
    let (code, next) = match (refusal.status, refusal.code.as_deref()) {
        (None | Some(401), _) => ("fdms_certificate_refused", AGAIN),
        (_, Some("DEV01")) => (
            "fdms_device_blocked",
            "FDMS does not know the device or has blocked it: compare the device ID with the authority's letter, then speak to the authority.",
        ),
        (_, Some("DEV05")) => (
            "fdms_taxpayer_inactive",
            "The taxpayer is not active at the authority: speak to it.",
        ),
        (Some(403), _) | (_, Some("DEV04" | "DEV06")) => (
            "fdms_model_refused",
            "Model name and version are not those that are registered with the authority: have them corrected there.",
        ),
        _ => (
            "fdms_refuses",
            "Do as FDMS says; if that is not clear, report it with a support bundle (`fiscald doctor --bundle FILE`).",
        ),
    };
    Finding::fault(Area::Fdms, code, refusal.to_string(), next)
}
