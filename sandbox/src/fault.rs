//! Faults on demand: what a bad line and a tired server do, exactly when a test wants it.
//!
//! A rule hits the next so many requests, or each with a chance that is drawn from a seed, or all that
//! come in a span of time. [`Faults`] holds the rules in force, [`read_faults`] reads them from a file.

use std::time::Duration;

use clock::Timestamp;
use serde::{Deserialize, Serialize};

use crate::call::Call;

mod rules;
mod script;

pub(crate) use rules::Faults;
pub use script::{FaultError, read_faults};

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "KindJson", into = "KindJson")]
pub enum FaultKind {
    /// The connection is dropped before the request is processed.
    LoseRequest,
    /// As [`FaultKind::LoseRequest`], but the client is told so by a TCP reset.
    Reset,
    /// FDMS cannot be reached: requests are lost, and where the rule is for all devices and calls, no
    /// connection is taken either.
    Offline,
    /// The request is processed, then the connection is dropped.
    LoseAnswer,
    /// The request is processed late, on the sandbox's clock, even if the caller has given up.
    Delay(Duration),
    /// The request is processed at once and answered late, on the sandbox's clock.
    DelayAnswer(Duration),
    /// Another status is answered.
    Status {
        /// 500, 502, 429, 401 …
        status: u16,
        /// The header `Retry-After`, in seconds.
        retry_after: Option<u32>,
        /// Whether the request is processed before.
        processed: bool,
    },
    /// 422 with this `errorCode`, and nothing is processed (docs/FDMS.md section 8).
    Refuse(String),
}

/// A rule: which requests, when, what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "FaultJson")]
pub struct Fault {
    /// Whose requests; none: everybody's.
    pub device: Option<u32>,
    /// Which call; none: every call.
    pub call: Option<Call>,
    /// How many matching requests pass unharmed first.
    pub skip: u32,
    /// How many are hit then; [`u32::MAX`] is without end. Where it is left out in JSON: 1, or without
    /// end for a rule with a chance or a span of time.
    pub times: u32,
    /// The chance of each matching request to be hit, in thousandths (0 to 1000); none: each is hit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_mille: Option<u16>,
    /// Where the chances are drawn from; none: from the sandbox's seed and the rule's place. The same
    /// seed hits the same requests of each device and call, however those of several devices mingle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The first moment of the sandbox's clock at which the rule holds; none: since ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// The moment at which it no longer holds; none: for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub till: Option<Timestamp>,
    /// What goes wrong with them.
    pub fault: FaultKind,
}

impl Fault {
    /// The next request of this call by any device goes wrong.
    #[must_use]
    pub fn next(call: Call, fault: FaultKind) -> Self {
        Self {
            call: Some(call),
            times: 1,
            ..Self::every(fault)
        }
    }

    /// Every request goes wrong, without end.
    #[must_use]
    pub fn every(fault: FaultKind) -> Self {
        Self {
            device: None,
            call: None,
            skip: 0,
            times: u32::MAX,
            per_mille: None,
            seed: None,
            from: None,
            till: None,
            fault,
        }
    }

    /// Each request goes wrong with a chance of so many thousandths, without end.
    #[must_use]
    pub fn chance(per_mille: u16, fault: FaultKind) -> Self {
        Self {
            per_mille: Some(per_mille.min(1000)),
            ..Self::every(fault)
        }
    }

    /// FDMS cannot be reached from one moment of the sandbox's clock to another.
    #[must_use]
    pub fn outage(from: Timestamp, till: Timestamp) -> Self {
        Self {
            from: Some(from),
            till: Some(till),
            ..Self::every(FaultKind::Offline)
        }
    }

    fn matches(&self, device: u32, call: Call, now: Timestamp) -> bool {
        self.device.is_none_or(|wanted| wanted == device)
            && self.call.is_none_or(|wanted| wanted == call)
            && self.holds_at(now)
    }

    fn holds_at(&self, now: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= now) && !self.is_over_at(now)
    }

    fn is_over_at(&self, now: Timestamp) -> bool {
        self.times == 0 || self.till.is_some_and(|till| till <= now)
    }
}

/// How many requests something has gone wrong with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FaultCount {
    /// What went wrong.
    pub fault: FaultKind,
    /// How often.
    pub count: u64,
}

/// A rule as it is written; everything but the fault may be left out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultJson {
    device: Option<u32>,
    call: Option<Call>,
    #[serde(default)]
    skip: u32,
    times: Option<u32>,
    per_mille: Option<u16>,
    seed: Option<u64>,
    from: Option<Moment>,
    till: Option<Moment>,
    fault: Option<FaultKind>,
}

impl TryFrom<FaultJson> for Fault {
    type Error = String;

    fn try_from(json: FaultJson) -> Result<Self, String> {
        let fault = json.fault.ok_or("the field fault is missing")?;
        if json.per_mille.is_some_and(|per_mille| per_mille > 1000) {
            return Err("per_mille must be between 0 and 1000".to_owned());
        }
        let (from, till) = (json.from.map(|at| at.0), json.till.map(|at| at.0));
        if let (Some(from), Some(till)) = (from, till)
            && till <= from
        {
            return Err(format!("till must be later than from, which is {from}"));
        }
        let is_single = fault != FaultKind::Offline
            && json.per_mille.is_none()
            && from.is_none()
            && till.is_none();
        Ok(Self {
            device: json.device,
            call: json.call,
            skip: json.skip,
            times: json.times.unwrap_or(if is_single { 1 } else { u32::MAX }),
            per_mille: json.per_mille,
            seed: json.seed,
            from,
            till,
            fault,
        })
    }
}

/// A moment: `2026-05-28T05:42:19Z`, or without a zone in local time.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct Moment(Timestamp);

impl TryFrom<String> for Moment {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if let Ok(at) = text.parse() {
            return Ok(Self(at));
        }
        let local = text.parse().map(clock::instant);
        local.map(Self).map_err(|_| {
            format!("{text} is no moment: write 2026-05-28T05:42:19Z, or 2026-05-28T07:42:19 for local time")
        })
    }
}

/// As it is written: `"lose_request"`, `{"delay_ms": 50}`, `{"status": 429, "retry_after": 3}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "must be lose_request, lose_answer, reset, offline, {\"delay_ms\": 500}, \
                 {\"delay_answer_ms\": 500}, {\"status\": 503} or {\"refuse\": \"RCPT01\"}"
)]
enum KindJson {
    Word(Word),
    Delay(DelayJson),
    DelayAnswer(DelayAnswerJson),
    Status(StatusJson),
    Refuse(RefuseJson),
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    LoseRequest,
    LoseAnswer,
    Reset,
    Offline,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RefuseJson {
    refuse: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DelayJson {
    delay_ms: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DelayAnswerJson {
    delay_answer_ms: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatusJson {
    status: u16,
    #[serde(default)]
    retry_after: Option<u32>,
    #[serde(default)]
    processed: bool,
}

impl TryFrom<KindJson> for FaultKind {
    type Error = String;

    fn try_from(json: KindJson) -> Result<Self, String> {
        Ok(match json {
            KindJson::Word(Word::LoseRequest) => Self::LoseRequest,
            KindJson::Word(Word::LoseAnswer) => Self::LoseAnswer,
            KindJson::Word(Word::Reset) => Self::Reset,
            KindJson::Word(Word::Offline) => Self::Offline,
            KindJson::Refuse(RefuseJson { refuse }) if !refuse.is_empty() => Self::Refuse(refuse),
            KindJson::Refuse(_) => return Err("refuse must name an error code".to_owned()),
            KindJson::Delay(delay) => Self::Delay(Duration::from_millis(delay.delay_ms)),
            KindJson::DelayAnswer(delay) => {
                Self::DelayAnswer(Duration::from_millis(delay.delay_answer_ms))
            }
            KindJson::Status(status) if (400..600).contains(&status.status) => Self::Status {
                status: status.status,
                retry_after: status.retry_after,
                processed: status.processed,
            },
            KindJson::Status(_) => return Err("status must be between 400 and 599".to_owned()),
        })
    }
}

impl From<FaultKind> for KindJson {
    fn from(kind: FaultKind) -> Self {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        match kind {
            FaultKind::LoseRequest => Self::Word(Word::LoseRequest),
            FaultKind::LoseAnswer => Self::Word(Word::LoseAnswer),
            FaultKind::Reset => Self::Word(Word::Reset),
            FaultKind::Offline => Self::Word(Word::Offline),
            FaultKind::Refuse(refuse) => Self::Refuse(RefuseJson { refuse }),
            FaultKind::Delay(time) => Self::Delay(DelayJson {
                delay_ms: millis(time),
            }),
            FaultKind::DelayAnswer(time) => Self::DelayAnswer(DelayAnswerJson {
                delay_answer_ms: millis(time),
            }),
            FaultKind::Status {
                status,
                retry_after,
                processed,
            } => Self::Status(StatusJson {
                status,
                retry_after,
                processed,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rules are written as the read-me shows.
    #[test]
    fn rules_are_read_from_json() {
        let read = |text: &str| serde_json::from_str::<Fault>(text);
        let lost = read(r#"{"device": null, "call": "SubmitReceipt", "fault": "lose_answer"}"#);
        assert_eq!(
            lost.unwrap(),
            Fault::next(Call::SubmitReceipt, FaultKind::LoseAnswer)
        );
        let busy = read(r#"{"times": 3, "fault": {"status": 429, "retry_after": 2}}"#).unwrap();
        let kind = FaultKind::Status {
            status: 429,
            retry_after: Some(2),
            processed: false,
        };
        assert_eq!((busy.times, busy.fault.clone()), (3, kind));
        assert_eq!(read(&serde_json::to_string(&busy).unwrap()).unwrap(), busy);
        assert!(read(r#"{"fault": {"status": 200}}"#).is_err());
        let refused = read(r#"{"fault": {"refuse": "RCPT01"}}"#).unwrap();
        assert_eq!(
            (refused.times, refused.fault),
            (1, FaultKind::Refuse("RCPT01".into()))
        );
        assert!(read(r#"{"fault": {"refuse": ""}}"#).is_err());
        assert!(read(r#"{"fault": "explode"}"#).is_err());
    }

    /// A rule with a chance or a span of time goes on without end; one that says how often does not.
    #[test]
    fn rules_over_time_are_read_from_json() {
        let read = |text: &str| serde_json::from_str::<Fault>(text);
        let flaky = read(r#"{"per_mille": 50, "seed": 3, "fault": "reset"}"#).unwrap();
        let expected = Fault {
            seed: Some(3),
            ..Fault::chance(50, FaultKind::Reset)
        };
        assert_eq!(flaky, expected);
        assert_eq!(
            read(&serde_json::to_string(&flaky).unwrap()).unwrap(),
            flaky
        );
        let (from, till) = ("2026-05-28T07:00:00", "2026-05-28T06:00:00Z");
        let text = format!(r#"{{"from": "{from}", "till": "{till}", "fault": "offline"}}"#);
        let outage = read(&text).unwrap();
        let utc = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(
            outage,
            Fault::outage(utc("2026-05-28T05:00:00Z"), utc(till))
        );
        assert_eq!(
            read(&serde_json::to_string(&outage).unwrap()).unwrap(),
            outage
        );
        let twice = read(r#"{"per_mille": 1000, "times": 2, "fault": "reset"}"#);
        assert_eq!(twice.unwrap().times, 2);
        for wrong in [
            r#"{"per_mille": 1001, "fault": "reset"}"#,
            r#"{"from": "yesterday", "fault": "reset"}"#,
            r#"{"from": "2026-05-28T07:00:00", "till": "2026-05-28T07:00:00", "fault": "reset"}"#,
            r#"{"per_mille": 5}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
