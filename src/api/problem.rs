//! Problem documents (RFC 9457): every answer that is not what was asked for.
//!
//! One table holds the gateway's own codes; the codes of what can be wrong with a receipt are
//! [`fiscal::Code`]'s. Together they are `docs/ERRORS.md`, which a test keeps in step. A code, once
//! published, keeps its meaning.

use std::borrow::Cow;
use std::fmt::Write as _;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use fiscal::finding::Finding;
use fiscal::wire::{Object, rows};

use crate::ledger::holds::HoldKind;
use crate::ledger::{LedgerError, Refusal, StorageError};

/// Media type of a problem document.
pub const PROBLEM_JSON: &str = "application/problem+json";

macro_rules! problems {
    ($($variant:ident $text:literal $status:ident $title:literal => $action:literal;)*) => {
        /// What can be wrong with a request, beside what can be wrong with a receipt.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ProblemCode {
            $(#[doc = $title] $variant,)*
        }

        impl ProblemCode {
            /// All of them, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The code as outsiders see it; never changed once published.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// The HTTP status it comes with.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status),* }
            }

            /// What is wrong, in a sentence.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),* }
            }

            /// What to do about it.
            #[must_use]
            pub const fn action(self) -> &'static str {
                match self { $(Self::$variant => $action),* }
            }
        }
    };
}

problems! {
    PathUnknown "path_unknown" NOT_FOUND "There is nothing at this path." => "Look the path up in /openapi.json or on the page at /docs.";
    MethodNotAllowed "method_not_allowed" METHOD_NOT_ALLOWED "The path is known, but not with this method." => "Use a method that the `Allow` header names.";
    ContentType "content_type" UNSUPPORTED_MEDIA_TYPE "The body is not declared as JSON." => "Send the header `Content-Type: application/json`, and no `Content-Encoding`.";
    BodyTooLarge "body_too_large" PAYLOAD_TOO_LARGE "The body is larger than the gateway reads." => "Split the sale over several receipts.";
    BodyIncomplete "body_incomplete" BAD_REQUEST "The body broke off, or did not arrive in time." => "Send the request again with the same key.";
    ParameterUnknown "parameter_unknown" BAD_REQUEST "The address has a parameter that this path does not know." => "Check the spelling, or leave the parameter out.";
    ParameterInvalid "parameter_invalid" BAD_REQUEST "A parameter of the address does not have the form it needs." => "Send it in the form that the detail names.";
    KeyInvalid "key_invalid" BAD_REQUEST "The Idempotency-Key header cannot be used." => "Send one key of 1 to 200 visible ASCII characters, a new one for every sale.";
    LineMalformed "line_malformed" BAD_REQUEST "The line is not a request." => "Send one JSON object a line: {\"id\":1,\"method\":\"GET\",\"path\":\"/v1/status\",\"headers\":{},\"body\":{}}.";
    LineTooLong "line_too_long" PAYLOAD_TOO_LARGE "The line is longer than the gateway reads." => "Split the sale over several receipts.";
    NeedsHttp "needs_http" NOT_ACCEPTABLE "Streams of events are not sent as JSON lines." => "Ask for /v1/events over HTTP, or ask for /v1/status from time to time.";
    BodyInvalid "body_invalid" BAD_REQUEST "The body does not have the form that this path needs." => "Send it in the form that /openapi.json shows.";
    TokenMissing "token_missing" UNAUTHORIZED "The request carries no token." => "Send `Authorization: Bearer TOKEN`; `fiscald token add` makes one. On the Unix socket the configuration may let a user in without.";
    TokenUnknown "token_unknown" UNAUTHORIZED "The token is not one of this store, or has been revoked." => "Check the token for missing characters, or make a new one with `fiscald token add`.";
    HostRefused "host_refused" FORBIDDEN "The request was addressed to a name that is not this gateway's." => "Address the gateway as localhost, 127.0.0.1 or [::1], or add the name to the configuration of the shop's listener.";
    OriginRefused "origin_refused" FORBIDDEN "The request comes from a web page of another origin." => "Call the gateway from the POS itself, not from a page in a browser.";
    WrongTill "wrong_till" FORBIDDEN "The token is for another till." => "Use the token of the till that you name, or leave deviceID out.";
    NotAllowed "not_allowed" FORBIDDEN "A till's own token may not do this." => "Use a token for every till (`fiscald token add NAME --every-till`), or the command line on the gateway's machine.";
    TillNeeded "till_needed" BAD_REQUEST "The token is for every till, and the request names none." => "Add ?deviceID= (and &environment= where a device is in both), or deviceID in the sale.";
    TillUnknown "till_unknown" NOT_FOUND "There is no such till in this store." => "Ask GET /v1/status for the tills, or register the device with `fiscald register`.";
    ReceiptUnknown "receipt_unknown" NOT_FOUND "The till has issued no such receipt." => "Look the receipt up with GET /v1/receipts?invoiceNo= or ?key=.";
    DayUnknown "day_unknown" NOT_FOUND "The till has had no such fiscal day." => "Ask GET /v1/days/current.";
    NothingLeft "nothing_left" CONFLICT "Nothing is left of the receipt to credit." => "See GET /v1/receipts/{receiptGlobalNo}/creditable for the notes that took it.";
    KeyConflict "key_conflict" CONFLICT "The key was used for another sale." => "Send a new key (or invoiceNo) for a new sale; to repeat a sale, send just what was sent before.";
    DayNotOpen "day_not_open" CONFLICT "No fiscal day is open on the till." => "Open one with POST /v1/days/open.";
    VatChanged "vat_changed" CONFLICT "The taxpayer has become a VAT payer while the fiscal day was open." => "Close the day with POST /v1/days/close and open a new one with POST /v1/days/open; then send the sale again.";
    DayOpen "day_open" CONFLICT "A fiscal day is open on the till." => "Close it with POST /v1/days/close first; its figures so far are the X report.";
    DayClosed "day_closed" CONFLICT "The fiscal day is closed." => "Ask for its Z report.";
    NotNow "not_now" CONFLICT "That cannot be done as things are." => "Do what the detail says; nothing was changed.";
    FdmsUnreachable "fdms_unreachable" SERVICE_UNAVAILABLE "FDMS cannot be reached, or is out of order." => "Try again when the store is connected; selling goes on meanwhile.";
    FdmsRefused "fdms_refused" BAD_GATEWAY "FDMS has refused." => "Do what the detail says.";
    QueueMoved "queue_moved" CONFLICT "The queue to FDMS is not where it was." => "Ask GET /v1/queue and decide again.";
    NotPermitted "not_permitted" FORBIDDEN "The configuration does not permit it." => "Change the configuration as the detail says, and restart the gateway.";
    Missing "missing" NOT_FOUND "There is no such thing." => "Ask for the list: GET /v1/printers, /v1/prints, /v1/captures.";
    Exists "exists" CONFLICT "There is such a thing already." => "Take another name, or use what is there.";
    TillNotReady "till_not_ready" SERVICE_UNAVAILABLE "The till cannot sell yet." => "Do what the detail says; nothing was issued.";
    TillUnchecked "till_unchecked" SERVICE_UNAVAILABLE "The ledger may be an older copy: FDMS has to be asked before the till sells." => "Connect the store: it sells as soon as FDMS has answered. Without a line see `fiscald till confirm`; nothing was issued.";
    TillAhead "till_ahead" CONFLICT "FDMS has days or receipts of the till that this ledger has not." => "Find out who used the device (or from when the backup is), then let the till go on with `fiscald till adopt`; nothing was issued.";
    TillRetired "till_retired" CONFLICT "The till has been retired." => "Sell on another till of the store.";
    Blocked "blocked" CONFLICT "Head office has blocked the till." => "Ask head office why, and to unblock it; nothing was issued, and what waits for FDMS is kept. Sell at another till meanwhile.";
    Disabled "disabled" CONFLICT "Head office has switched the till's environment off." => "Ask head office why, and to switch it on again; nothing was issued, and what waits for FDMS is kept.";
    Busy "busy" SERVICE_UNAVAILABLE "Too much is waiting." => "Wait as long as `Retry-After` says and send the request again with the same key; nothing was issued.";
    TooManyConnections "too_many_connections" SERVICE_UNAVAILABLE "Too many connections are open." => "Keep one connection open and use it again; close those that are idle.";
    Stopping "stopping" SERVICE_UNAVAILABLE "The gateway is stopping." => "Send the request again with the same key once it runs.";
    Timeout "timeout" GATEWAY_TIMEOUT "The ledger did not answer in time; it is not known whether the request was done." => "Ask again with the same key: a sale is never issued twice under one key. If it lasts, look after the disk.";
    CommitUnknown "commit_unknown" INTERNAL_SERVER_ERROR "The ledger could not confirm the write; it is not known whether the sale was issued." => "Ask again with the same key: a sale is never issued twice under one key. The gateway must be restarted; run `fiscald verify` first.";
    DiskFull "disk_full" INSUFFICIENT_STORAGE "The disk of the ledger is full; nothing was issued." => "Make room on that disk; selling goes on by itself. Then send the request again with the same key.";
    LedgerReadOnly "ledger_read_only" SERVICE_UNAVAILABLE "After a fault of the storage the ledger takes no writes." => "Look after the disk, run `fiscald verify`, then restart the gateway.";
    LedgerFault "ledger_fault" SERVICE_UNAVAILABLE "The ledger cannot be read or written." => "Do what the detail says; nothing was issued. If it lasts, run `fiscald verify`.";
    Defect "defect" INTERNAL_SERVER_ERROR "The gateway has a defect." => "Ask again with the same key: a sale is never issued twice under one key. Send the gateway's log to its maker.";
}

/// A problem on its way to the caller.
#[derive(Debug)]
pub struct Problem(Box<Inner>);

#[derive(Debug)]
struct Inner {
    code: &'static str,
    status: StatusCode,
    title: &'static str,
    action: &'static str,
    detail: Cow<'static, str>,
    pointer: Option<String>,
    parameter: Option<&'static str>,
    findings: Vec<Finding>,
    retry_after: Option<u32>,
    /// FDMS's own code.
    error_code: Option<String>,
}

/// What a caller is told to wait, in seconds, when the queue is full: it drains in less.
const RETRY_AFTER: u32 = 1;

impl Problem {
    /// A problem of the table.
    #[must_use]
    pub fn new(code: ProblemCode, detail: impl Into<Cow<'static, str>>) -> Self {
        let busy = matches!(code, ProblemCode::Busy | ProblemCode::TooManyConnections);
        Self(Box::new(Inner {
            code: code.as_str(),
            status: code.status(),
            title: code.title(),
            action: code.action(),
            detail: detail.into(),
            pointer: None,
            parameter: None,
            findings: Vec::new(),
            retry_after: busy.then_some(RETRY_AFTER),
            error_code: None,
        }))
    }

    /// A parameter of the address that cannot be read.
    #[must_use]
    pub fn parameter(name: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        let mut problem = Self::new(ProblemCode::ParameterInvalid, detail);
        problem.0.parameter = Some(name);
        problem
    }

    /// What is wrong with a sale. The first finding gives the problem its code; JSON that cannot be read
    /// is 400, anything else 422.
    #[must_use]
    pub fn findings(findings: Vec<Finding>) -> Self {
        let Some(first) = findings.first() else {
            return Self::new(ProblemCode::Defect, "a refusal without a reason");
        };
        let status = if first.code == fiscal::Code::JsonMalformed {
            StatusCode::BAD_REQUEST
        } else {
            StatusCode::UNPROCESSABLE_ENTITY
        };
        Self(Box::new(Inner {
            code: first.code.as_str(),
            status,
            title: first.code.meaning(),
            action: first.code.action(),
            detail: first.message.clone().into(),
            pointer: Some(first.pointer.clone()),
            parameter: None,
            findings,
            retry_after: None,
            error_code: None,
        }))
    }

    /// What FDMS has refused of a call that was passed on to it: with FDMS's own status, words and code.
    #[must_use]
    pub(super) fn of_fdms(status: StatusCode, body: &str) -> Self {
        let document: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
        let text = |name: &str| document.get(name).and_then(|text| text.as_str());
        let said = text("detail").or_else(|| text("title")).unwrap_or_default();
        let code = text("errorCode").map(str::to_owned);
        let detail = match &code {
            Some(code) => format!("FDMS says {code}: {said}"),
            None => format!("FDMS answered {}: {said}", status.as_u16()),
        };
        let mut problem = Self::new(ProblemCode::FdmsRefused, detail);
        if status.is_client_error() {
            problem.0.status = status;
        }
        problem.0.error_code = code;
        problem
    }

    /// The same problem, pointing at a field of the body.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.0.pointer = Some(pointer.into());
        self
    }

    /// Its code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// Its status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The document.
    #[must_use]
    pub fn to_json(&self) -> String {
        let Inner {
            code,
            title,
            action,
            detail,
            pointer,
            parameter,
            findings,
            error_code,
            ..
        } = &*self.0;
        let mut out = String::with_capacity(512);
        let mut o = Object::open(&mut out);
        o.text("type", &format!("urn:fiscald:error:{code}"));
        o.text("title", title);
        o.number("status", self.0.status.as_u16());
        o.text("detail", detail);
        o.text("code", code);
        o.optional_text("pointer", pointer.as_deref());
        o.optional_text("parameter", *parameter);
        o.optional_text("errorCode", error_code.as_deref());
        o.text("action", action);
        if !findings.is_empty() {
            rows(o.name("findings"), findings, |o, finding| {
                o.text("code", finding.code.as_str());
                o.text("color", finding.code.color().as_str());
                o.text("pointer", &finding.pointer);
                o.text("message", &finding.message);
                o.text("action", finding.code.action());
            });
        }
        o.close();
        out
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.to_json()));
        *response.status_mut() = self.0.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(seconds) = self.0.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.0.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Refused(refusal) => refusal.into(),
            LedgerError::Storage(error) => error.into(),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        use ProblemCode as P;
        let detail = refusal.to_string();
        match refusal {
            Refusal::Findings { findings } => Self::findings(findings),
            Refusal::KeyConflict { .. } => Self::new(P::KeyConflict, detail),
            Refusal::NoSuchTill => Self::new(P::TillUnknown, detail),
            Refusal::Held { kind, .. } => Self::new(
                match kind {
                    HoldKind::Unchecked => P::TillUnchecked,
                    HoldKind::Ahead => P::TillAhead,
                    HoldKind::Retired => P::TillRetired,
                    HoldKind::Blocked => P::Blocked,
                    HoldKind::Disabled => P::Disabled,
                },
                detail,
            ),
            Refusal::NotReady { .. } => Self::new(P::TillNotReady, detail),
            Refusal::DayNotOpen { .. } => Self::new(P::DayNotOpen, detail),
            Refusal::VatChanged { .. } => Self::new(P::VatChanged, detail),
            Refusal::DayOpen { .. } => Self::new(P::DayOpen, detail),
            Refusal::Stream(_) => Self::new(P::QueueMoved, detail),
            Refusal::Exists(_) => Self::new(P::Exists, detail),
            Refusal::Missing(_) => Self::new(P::Missing, detail),
            Refusal::NotNow(_) => Self::new(P::NotNow, detail),
        }
    }
}

impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Self {
        use ProblemCode as P;
        let code = match error {
            StorageError::Full => P::DiskFull,
            StorageError::CommitUnknown(_) => P::CommitUnknown,
            StorageError::ReadOnly(_) => P::LedgerReadOnly,
            StorageError::Busy => P::Busy,
            StorageError::Stopping => P::Stopping,
            StorageError::Newer { .. }
            | StorageError::NotCopied { .. }
            | StorageError::Unwritable { .. }
            | StorageError::SetAside { .. }
            | StorageError::Damaged(_)
            | StorageError::ArchiveGone(_)
            | StorageError::Key(_)
            | StorageError::Sqlite(_) => P::LedgerFault,
        };
        Self::new(code, error.to_string())
    }
}

/// `docs/ERRORS.md`, made from the two tables.
#[must_use]
pub fn errors_markdown() -> String {
    let mut out = String::from(INTRO);
    out.push_str("\n| code | status | what is wrong | what to do |\n|---|---|---|---|\n");
    for code in ProblemCode::ALL {
        let status = code.status().as_u16();
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "| `{}` | {status} | {} | {} |",
            code.as_str(),
            cell(code.title()),
            cell(code.action())
        );
    }
    out.push_str(RECEIPTS);
    out.push_str("\n| code | colour | what is wrong | what to do |\n|---|---|---|---|\n");
    for code in fiscal::Code::ALL {
        let _ = writeln!(
            out,
            "| `{code}` | {} | {} | {} |",
            code.color().as_str(),
            cell(code.meaning()),
            cell(code.action())
        );
    }
    out
}

/// A text as a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

const INTRO: &str = "\
<!-- Made from src/api/problem.rs and fiscal/src/finding.rs. Renew: UPDATE_DOCS=1 cargo nextest run -p fiscald errors_md -->
# Errors

Every answer that is not what was asked for is a problem document (RFC 9457, `application/problem+json`):

```json
{
  \"type\": \"urn:fiscald:error:RCPT023\",
  \"title\": \"A quantity is not above zero.\",
  \"status\": 422,
  \"detail\": \"-2 is not above zero\",
  \"code\": \"RCPT023\",
  \"pointer\": \"/receiptLines/0/receiptLineQuantity\",
  \"action\": \"Send a quantity above zero; what is taken back goes on a credit note with a negative price.\",
  \"findings\": [ { \"code\": \"RCPT023\", \"color\": \"Red\", \"pointer\": \"/receiptLines/0/receiptLineQuantity\", \"message\": \"…\", \"action\": \"…\" } ]
}
```

`code` is what programs decide by: it keeps its meaning for ever, and new codes may be added. `detail` is for people and may change.
`pointer` names the field of the body (RFC 6901), `parameter` the parameter of the address. `findings` are all faults of a sale
at once, the first of them being the problem itself.

A refusal (4xx) changes nothing: no number is used up, no key is kept. After `timeout`, `commit_unknown`, `defect`, or a connection
that broke, ask again with the same key: the same sale is never issued twice under one key.

## Of requests
";

const RECEIPTS: &str = "
## Of receipts

Status 422; `json_malformed` is 400. `RCPT…` are the authority's own codes: the gateway refuses beforehand what FDMS would mark Red
or Yellow. *Refused* is what FDMS would not take at all.
";

#[cfg(test)]
mod tests {
    use super::*;

    /// No two problems share a code, nor one with a receipt's, and each says what to do.
    #[test]
    fn codes_are_unique() {
        let mut seen: std::collections::BTreeSet<&str> =
            fiscal::Code::ALL.iter().map(|code| code.as_str()).collect();
        for code in ProblemCode::ALL {
            assert!(seen.insert(code.as_str()), "{code:?} twice");
            assert!(code.title().ends_with('.') && code.action().ends_with('.'));
            assert!(!code.status().is_success());
        }
    }

    /// docs/ERRORS.md says what the code says. `UPDATE_DOCS=1` writes it anew.
    #[test]
    fn errors_md_is_in_step() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/ERRORS.md");
        let wanted = errors_markdown();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &wanted).unwrap();
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert!(found == wanted, "docs/ERRORS.md is stale: UPDATE_DOCS=1");
    }

    /// A full disk is a 507 and an unconfirmed commit a 500 of its own: never taken for a refusal.
    #[test]
    fn storage_faults_are_told_apart() {
        let full = Problem::from(StorageError::Full);
        assert_eq!((full.status().as_u16(), full.code()), (507, "disk_full"));
        let unknown = Problem::from(StorageError::CommitUnknown("disk I/O error".to_owned()));
        assert_eq!(
            (unknown.status().as_u16(), unknown.code()),
            (500, "commit_unknown")
        );
        let busy = Problem::from(StorageError::Busy).into_response();
        assert_eq!(busy.headers().get("retry-after").unwrap(), "1");
    }
}
