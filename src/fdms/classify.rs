//! The one place that decides what an answer of FDMS means.
//!
//! Every row of docs/FDMS.md section 1's table and every refusal of section 8 ends in one of four
//! outcomes: accepted, refused, later, unknown. The functions are pure: what was seen goes in, the
//! outcome comes out. What to do about it is decided by the submit plan, from `scope` and `next`.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::Call;
use super::json::{Object, messages};
use super::wire::Reply;

/// What the transport saw of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// No connection came about, so nothing was sent. The text says why.
    NoConnection(String),
    /// FDMS's TLS certificate was not accepted by us, so nothing was sent. The text says why.
    ServerNotTrusted(String),
    /// FDMS ended the TLS handshake because of our certificate, so nothing was processed.
    CertificateRefused(String),
    /// The connection broke after sending had begun.
    ConnectionLost(String),
    /// No whole answer within this time after sending had begun.
    TimedOut(Duration),
    /// The answer was longer than this many bytes and was not read.
    TooLong(usize),
    /// A whole answer.
    Answered {
        /// HTTP status.
        status: u16,
        /// `Retry-After`, already turned into a duration.
        retry_after: Option<Duration>,
        /// The body as text.
        body: String,
    },
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<T> {
    /// FDMS did it. A receipt may still carry validation errors.
    Accepted(T),
    /// FDMS says no; sending the same again changes nothing.
    Refused(Refusal),
    /// Not now; the same message is sent again later.
    Later(Delay),
    /// It was sent and nobody knows whether FDMS did it. A receipt is sent again byte by byte the
    /// same; before an OpenDay or CloseDay is repeated, GetStatus is asked.
    Unknown(Doubt),
}

impl<T> Outcome<T> {
    /// Whether FDMS may have acted on the message although we have no yes.
    ///
    /// True for everything unknown, and for a "later" that came as an answer: a 500 or 502 does not
    /// say how far the message got. GetStatus settles it for OpenDay and CloseDay.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        match self {
            Self::Accepted(_) | Self::Unknown(_) => true,
            Self::Refused(_) => false,
            Self::Later(delay) => delay.was_sent(),
        }
    }

    /// The same outcome with another value inside.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Accepted(value) => Outcome::Accepted(change(value)),
            Self::Refused(refusal) => Outcome::Refused(refusal),
            Self::Later(delay) => Outcome::Later(delay),
            Self::Unknown(doubt) => Outcome::Unknown(doubt),
        }
    }

    /// The value, if FDMS accepted.
    pub fn accepted(self) -> Option<T> {
        match self {
            Self::Accepted(value) => Some(value),
            _ => None,
        }
    }
}

impl<T> fmt::Display for Outcome<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted(_) => f.write_str("accepted"),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Later(delay) => delay.fmt(f),
            Self::Unknown(doubt) => doubt.fmt(f),
        }
    }
}

/// Why a message has to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delay {
    /// The kind of obstacle.
    pub cause: DelayCause,
    /// A sentence for a person.
    pub detail: String,
    /// FDMS asked for at least this pause.
    pub retry_after: Option<Duration>,
}

impl Delay {
    /// Whether the message left this machine.
    #[must_use]
    pub fn was_sent(&self) -> bool {
        match self.cause {
            DelayCause::NoConnection | DelayCause::ServerNotTrusted => false,
            DelayCause::TooManyRequests | DelayCause::ServerTrouble(_) => true,
        }
    }
}

impl fmt::Display for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

/// Kinds of [`Delay`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DelayCause {
    /// No way to FDMS: the shop is offline, or FDMS is.
    NoConnection,
    /// Whoever answers cannot prove to be FDMS, or this machine's clock is wrong.
    ServerNotTrusted,
    /// 429 and its kin.
    TooManyRequests,
    /// 500 and above, or a redirection: something on the way is out of order.
    ServerTrouble(u16),
}

/// Why nobody knows whether FDMS did what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// The kind of doubt.
    pub cause: DoubtCause,
    /// A sentence for a person.
    pub detail: String,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

/// Kinds of [`Doubt`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DoubtCause {
    /// No answer in time.
    TimedOut,
    /// The connection broke.
    ConnectionLost,
    /// FDMS said 200 with something that we cannot read.
    AnswerNotUnderstood,
}

/// What a refusal stands in the way of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// This message only.
    Message,
    /// Everything the till sends: certificate, model, device or taxpayer.
    Till,
}

/// What the gateway itself does next about a refusal. The stream waits in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Next {
    /// Wait for a person.
    Park,
    /// Ask GetStatus: the message may have been done before, or the day's state explains it.
    AskStatus,
    /// Try a GetStatus every [`PROBE_EVERY`]; when it works again, go on.
    Probe,
}

/// Pause between probes of a till that FDMS has shut out: rare enough for FDMS, soon enough for a shop
/// whose device the authority has just activated.
pub const PROBE_EVERY: Duration = Duration::from_secs(15 * 60);

/// What a person may do about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Send the same message again, after the cause was removed.
    SendAgain,
    /// Compare GetStatus with the ledger.
    CompareStatus,
    /// Correct the configuration: environment, device ID, model name or version.
    FixConfiguration,
    /// Have a new certificate issued, while the old one is still valid.
    RenewCertificate,
    /// Type the activation key again, or ask for a new one.
    EnterActivationKey,
    /// Speak to the tax authority.
    ContactAuthority,
    /// Close the day by hand in the authority's portal.
    CloseByHand,
    /// Send the support bundle to the maker: this should not have been sent.
    ReportDefect,
}

/// A no from FDMS (or from the way to it).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// What was asked.
    pub call: Call,
    /// HTTP status; none when the TLS handshake already failed over our certificate.
    pub status: Option<u16>,
    /// `errorCode`, such as `RCPT01`.
    pub code: Option<String>,
    /// What it stands in the way of.
    pub scope: Scope,
    /// What the gateway does next.
    pub next: Next,
    /// What it means, in our words.
    pub meaning: &'static str,
    /// FDMS's own words, shortened.
    pub detail: String,
    /// Field by field, for a 400.
    pub fields: BTreeMap<String, Vec<String>>,
    /// What a person may do.
    pub actions: &'static [Action],
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FDMS refused {}", self.call.name())?;
        match (self.status, &self.code) {
            (Some(status), Some(code)) => write!(f, " ({status} {code})")?,
            (Some(status), None) => write!(f, " ({status})")?,
            _ => {}
        }
        write!(f, ": {}", self.meaning)?;
        if !self.detail.is_empty() {
            write!(f, "; it says: {}", self.detail)?;
        }
        for (field, texts) in &self.fields {
            write!(f, "; {field}: {}", texts.join(", "))?;
        }
        Ok(())
    }
}

/// Decides what was seen. See the module.
pub fn classify<T: Reply>(call: Call, seen: &Seen) -> Outcome<T> {
    match seen {
        Seen::NoConnection(why) => later(
            DelayCause::NoConnection,
            format!("no connection to FDMS: {why}"),
        ),
        Seen::ServerNotTrusted(why) => later(
            DelayCause::ServerNotTrusted,
            format!("the server that answers cannot prove to be FDMS: {why}"),
        ),
        Seen::CertificateRefused(why) => {
            Outcome::Refused(refusal(call, None, None, CERTIFICATE, Problem::saying(why)))
        }
        Seen::ConnectionLost(why) => doubt(
            DoubtCause::ConnectionLost,
            format!("the connection to FDMS broke before its answer was there: {why}"),
        ),
        Seen::TimedOut(after) => doubt(
            DoubtCause::TimedOut,
            format!("FDMS did not answer within {} s", after.as_secs()),
        ),
        Seen::TooLong(limit) => doubt(
            DoubtCause::AnswerNotUnderstood,
            format!("FDMS's answer is longer than {limit} bytes and was not read"),
        ),
        Seen::Answered {
            status,
            retry_after,
            body,
        } => classify_answer(call, *status, *retry_after, body),
    }
}

fn classify_answer<T: Reply>(
    call: Call,
    status: u16,
    retry_after: Option<Duration>,
    body: &str,
) -> Outcome<T> {
    let wait = |cause, detail| {
        Outcome::Later(Delay {
            cause,
            detail,
            retry_after,
        })
    };
    match status {
        200..=299 => match T::parse(body) {
            Ok(value) => Outcome::Accepted(value),
            Err(error) => doubt(
                DoubtCause::AnswerNotUnderstood,
                format!(
                    "FDMS accepted {}, but its answer is not understood: {error}",
                    call.name()
                ),
            ),
        },
        // 408 and 425 are a proxy's; none of the three says anything about the message.
        408 | 425 | 429 => wait(
            DelayCause::TooManyRequests,
            format!("FDMS asks to wait ({status})"),
        ),
        400..=499 => {
            let problem = Problem::read(body);
            let code = problem.code.clone();
            let reading = match &code {
                Some(code) if status == 422 => reading_of_code(call, code),
                _ => reading_of_status(call, status),
            };
            Outcome::Refused(refusal(call, Some(status), code, reading, problem))
        }
        _ => wait(
            DelayCause::ServerTrouble(status),
            format!("FDMS is out of order ({status})"),
        ),
    }
}

fn later<T>(cause: DelayCause, detail: String) -> Outcome<T> {
    Outcome::Later(Delay {
        cause,
        detail,
        retry_after: None,
    })
}

fn doubt<T>(cause: DoubtCause, detail: String) -> Outcome<T> {
    Outcome::Unknown(Doubt { cause, detail })
}

fn refusal(
    call: Call,
    status: Option<u16>,
    code: Option<String>,
    (scope, next, meaning, actions): Reading,
    problem: Problem,
) -> Refusal {
    Refusal {
        call,
        status,
        code,
        scope,
        next,
        meaning,
        detail: problem.detail,
        fields: problem.fields,
        actions,
    }
}

/// An RFC 7807 document, or whatever came instead.
struct Problem {
    code: Option<String>,
    detail: String,
    fields: BTreeMap<String, Vec<String>>,
}

/// Longest text of FDMS that is carried in a refusal; the whole body is kept beside it.
const DETAIL_MAX: usize = 300;

impl Problem {
    fn saying(text: &str) -> Self {
        let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        Self {
            code: None,
            detail: clean.take(DETAIL_MAX).collect::<String>().trim().to_owned(),
            fields: BTreeMap::new(),
        }
    }

    fn read(body: &str) -> Self {
        let Ok(mut object) = Object::parse(body) else {
            return Self::saying(body);
        };
        let mut text = |name| object.text(&[name]).ok().flatten();
        let code = text("errorCode").map(|code| code.trim().to_ascii_uppercase());
        let detail = text("detail").or_else(|| text("title")).unwrap_or_default();
        Self {
            code: code.filter(|code| !code.is_empty()),
            fields: messages(&mut object, &["errors"]),
            ..Self::saying(&detail)
        }
    }
}

type Reading = (Scope, Next, &'static str, &'static [Action]);

use Action::{
    CloseByHand, CompareStatus, ContactAuthority, EnterActivationKey, FixConfiguration,
    RenewCertificate, ReportDefect, SendAgain,
};

const CERTIFICATE: Reading = (
    Scope::Till,
    Next::Probe,
    "the device certificate is not accepted: revoked, expired, or of another device (was the device registered again elsewhere?)",
    &[
        FixConfiguration,
        RenewCertificate,
        ContactAuthority,
        SendAgain,
    ],
);
const MODEL: Reading = (
    Scope::Till,
    Next::Probe,
    "the device model's name or version is not the registered one",
    &[FixConfiguration, ContactAuthority, SendAgain],
);
const DEFECT: Reading = (
    Scope::Message,
    Next::Park,
    "the message is malformed; that is a defect of this gateway, and sending it again would not help",
    &[ReportDefect, SendAgain],
);

/// Rows of docs/FDMS.md section 1 that have no code of their own.
fn reading_of_status(call: Call, status: u16) -> Reading {
    match status {
        400 | 405 => DEFECT,
        401 => CERTIFICATE,
        403 => MODEL,
        404 if call == Call::GetServerCertificate => (
            Scope::Message,
            Next::Park,
            "FDMS knows no certificate with this thumbprint",
            &[ReportDefect],
        ),
        404 => (
            Scope::Till,
            Next::Probe,
            "FDMS has nothing at this address: wrong environment URL, or a device ID that it does not know",
            &[FixConfiguration, ReportDefect, SendAgain],
        ),
        422 if call == Call::CloseDay => (
            Scope::Message,
            Next::AskStatus,
            "the day cannot be closed; it probably has receipts that are Grey (missing ones before them) or Red",
            &[CompareStatus, SendAgain, CloseByHand],
        ),
        422 => UNKNOWN_CODE,
        _ => (
            Scope::Till,
            Next::Probe,
            "something between here and FDMS (proxy, firewall, provider) refuses to let the message through",
            &[FixConfiguration, SendAgain],
        ),
    }
}

const UNKNOWN_CODE: Reading = (
    Scope::Message,
    Next::Park,
    "for a reason that this version does not know",
    &[CompareStatus, SendAgain, ContactAuthority, ReportDefect],
);

/// The refusals of docs/FDMS.md section 8.
#[expect(clippy::too_many_lines, reason = "one table, best read in one piece")]
fn reading_of_code(call: Call, code: &str) -> Reading {
    let message = Scope::Message;
    match code {
        "DEV01" => (
            Scope::Till,
            Next::Probe,
            "the device is not known, not active, or in the wrong operating mode",
            &[FixConfiguration, ContactAuthority, SendAgain],
        ),
        "DEV02" => (
            message,
            Next::Park,
            "the activation key is wrong or has been used already",
            &[EnterActivationKey, ContactAuthority],
        ),
        "DEV03" => (
            message,
            Next::Park,
            "the certificate request is not accepted; check serial number and device ID",
            &[FixConfiguration, ReportDefect],
        ),
        "DEV04" => (
            Scope::Till,
            Next::Probe,
            "the device model is blacklisted",
            &[ContactAuthority, SendAgain],
        ),
        "DEV05" => (
            Scope::Till,
            Next::Probe,
            "the taxpayer is not active",
            &[ContactAuthority, SendAgain],
        ),
        "DEV06" => MODEL,
        "DEV07" | "DEV08" | "DEV09" | "DEV10" | "DEV11" | "DEV12" | "DEV13" | "DEV14" | "DEV15" => {
            (
                message,
                Next::Park,
                "the user or the code is not accepted",
                &[SendAgain],
            )
        }
        "RCPT01" => (
            message,
            Next::AskStatus,
            "the fiscal day is closed or closing",
            &[CompareStatus, SendAgain, ContactAuthority],
        ),
        "FISC01" => (
            message,
            Next::AskStatus,
            "a day cannot be opened now: the one before is not closed, or this one is open already",
            &[CompareStatus, SendAgain, CloseByHand],
        ),
        "FISC03" => (
            message,
            Next::AskStatus,
            "the day is being closed already",
            &[CompareStatus, SendAgain],
        ),
        "FISC04" => (
            message,
            Next::AskStatus,
            "the day is not open at FDMS: closed already, or never opened",
            &[CompareStatus, SendAgain, ContactAuthority],
        ),
        "FILE03" => (
            Scope::Till,
            Next::Probe,
            "the device does not report by file: its operating mode is not Offline",
            &[FixConfiguration, ContactAuthority],
        ),
        "FILE04" => (
            message,
            Next::AskStatus,
            "the file's day is closed or closing",
            &[CompareStatus, ContactAuthority],
        ),
        "RCPT02" | "FILE01" | "FILE02" | "FILE05" => DEFECT,
        _ if call == Call::CloseDay => reading_of_status(call, 422),
        _ => UNKNOWN_CODE,
    }
}

#[cfg(test)]
#[path = "classify_tests.rs"]
mod tests;
