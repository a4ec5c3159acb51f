//! Faults on demand: what a bad line and a tired server do, exactly when a test wants it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::call::Call;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "KindJson", into = "KindJson")]
pub enum FaultKind {
    /// The connection is dropped before the request is processed.
    LoseRequest,
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
}

/// A rule: which requests, when, what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Whose requests; none: everybody's.
    #[serde(default)]
    pub device: Option<u32>,
    /// Which call; none: every call.
    #[serde(default)]
    pub call: Option<Call>,
    /// How many matching requests pass unharmed first.
    #[serde(default)]
    pub skip: u32,
    /// How many are hit then.
    #[serde(default = "once")]
    pub times: u32,
    /// What goes wrong with them.
    pub fault: FaultKind,
}

fn once() -> u32 {
    1
}

impl Fault {
    /// The next request of this call by any device goes wrong.
    #[must_use]
    pub fn next(call: Call, fault: FaultKind) -> Self {
        Self {
            device: None,
            call: Some(call),
            skip: 0,
            times: 1,
            fault,
        }
    }

    fn matches(&self, device: u32, call: Call) -> bool {
        self.device.is_none_or(|wanted| wanted == device)
            && self.call.is_none_or(|wanted| wanted == call)
    }
}

/// The rules in force, in the order they were given.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn list(&self) -> Vec<Fault> {
        self.0.clone()
    }

    /// What goes wrong with this request. The first rule that hits it is used up by one; rules that
    /// let it pass count it.
    pub(crate) fn take(&mut self, device: u32, call: Call) -> Option<FaultKind> {
        let mut hit = None;
        for rule in &mut self.0 {
            if !rule.matches(device, call) {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if rule.times > 0 {
                rule.times -= 1;
                hit = Some(rule.fault.clone());
                break;
            }
        }
        self.0.retain(|rule| rule.times > 0);
        hit
    }
}

/// As it is written: `"lose_request"`, `{"delay_ms": 50}`, `{"status": 429, "retry_after": 3}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum KindJson {
    Word(Word),
    Delay(DelayJson),
    DelayAnswer(DelayAnswerJson),
    Status(StatusJson),
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    LoseRequest,
    LoseAnswer,
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

    /// A rule passes its first requests, hits as many as it says, and is gone.
    #[test]
    fn rules_skip_hit_and_end() {
        let mut faults = Faults::default();
        faults.add(Fault {
            device: Some(7),
            skip: 1,
            times: 2,
            ..Fault::next(Call::SubmitReceipt, FaultKind::LoseAnswer)
        });
        let mut hits = |device, call| faults.take(device, call).is_some();
        assert!(!hits(8, Call::SubmitReceipt));
        assert!(!hits(7, Call::Ping));
        assert!(!hits(7, Call::SubmitReceipt));
        assert!(hits(7, Call::SubmitReceipt));
        assert!(hits(7, Call::SubmitReceipt));
        assert!(!hits(7, Call::SubmitReceipt));
        assert!(faults.list().is_empty());
    }

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
        assert!(read(r#"{"fault": "explode"}"#).is_err());
    }
}
