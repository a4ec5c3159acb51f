//! One event of a store's ledger, as HQ hears of it.
//!
//! An entry is rendered when it is sent, from rows that never change, so it is the same line each time. It
//! holds all that the ledger has of its event: a ledger that is lost is built again from its entries.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{Environment, TillRef};

/// The longest line that is sent or taken, in bytes.
pub const MAX_LINE: usize = 1 << 20;

/// An event. `kind` names what happened; [`Fact`] reads `body`.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// The number of the event in the ledger. It rises, not always by one.
    pub seq: i64,
    /// When, milliseconds since 1970, on the store's clock.
    pub at: i64,
    /// Of which till; none for what is of the whole store.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub till: Option<TillRef>,
    /// What happened, in the ledger's words: `receipt.issued`, `day.closed`, `stream.parked`.
    pub kind: String,
    /// All that the ledger has of it; see [`Fact`].
    pub body: Box<RawValue>,
}

/// What an entry says. Kinds that are not listed are kept and shown as they are.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// `till.added`
    TillAdded(TillAdded),
    /// `config.changed`
    ConfigChanged(ConfigChanged),
    /// `certificate.used`
    CertificateUsed(CertificateUsed),
    /// `day.opened`
    DayOpened(DayOpened),
    /// `receipt.issued`
    ReceiptIssued(Box<ReceiptIssued>),
    /// `day.closed`
    DayClosed(DayClosed),
    /// `fdms.attempt`
    Attempt(Attempt),
    /// `hq.command`
    CommandDone(crate::command::CommandDone),
    /// Any other: the ledger's own detail, a text or JSON.
    Other,
}

impl Fact {
    /// Reads a body by its kind.
    ///
    /// # Errors
    /// The body is not what the kind says.
    pub fn read(kind: &str, body: &RawValue) -> Result<Self, serde_json::Error> {
        let text = body.get();
        Ok(match kind {
            "till.added" => Self::TillAdded(serde_json::from_str(text)?),
            "config.changed" => Self::ConfigChanged(serde_json::from_str(text)?),
            "certificate.used" => Self::CertificateUsed(serde_json::from_str(text)?),
            "day.opened" => Self::DayOpened(serde_json::from_str(text)?),
            "receipt.issued" => Self::ReceiptIssued(serde_json::from_str(text)?),
            "day.closed" => Self::DayClosed(serde_json::from_str(text)?),
            "fdms.attempt" => Self::Attempt(serde_json::from_str(text)?),
            "hq.command" => Self::CommandDone(serde_json::from_str(text)?),
            _ => Self::Other,
        })
    }
}

/// A till joined the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TillAdded {
    /// Serial number of the device.
    pub serial_no: String,
    /// `DeviceModelName` as registered.
    pub model_name: String,
    /// `DeviceModelVersion` as registered.
    pub model_version: String,
    /// Put in front of every `invoiceNo`.
    pub invoice_prefix: String,
}

/// FDMS answered GetConfig otherwise than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigChanged {
    /// The answer, as received.
    pub config: String,
    /// What changed, as the ledger tells it: JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<String>,
}

/// A till signs with this certificate's key from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateUsed {
    /// The certificate, PEM.
    pub certificate: String,
    /// SHA-1 of it, hex, as FDMS names certificates.
    pub thumbprint: String,
    /// The public key (SubjectPublicKeyInfo or point as the ledger keeps it), Base64.
    pub public_key: String,
}

/// A fiscal day was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DayOpened {
    /// Its number.
    pub fiscal_day_no: u32,
    /// When, local time as FDMS is told.
    pub opened: String,
    /// Whether the taxpayer paid VAT then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_vat_payer: Option<bool>,
}

/// A receipt was issued: everything that the ledger keeps of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceiptIssued {
    /// Its fiscal day.
    pub fiscal_day_no: u32,
    /// `receiptGlobalNo`
    pub receipt_global_no: u32,
    /// `receiptCounter`
    pub receipt_counter: u32,
    /// `receiptType`
    pub receipt_type: String,
    /// `receiptCurrency`
    pub receipt_currency: String,
    /// `receiptTotal`, in cents.
    pub receipt_total: i64,
    /// `receiptDate`
    pub receipt_date: String,
    /// `invoiceNo`, with the till's prefix.
    pub invoice_no: String,
    /// Hash of the receipt, Base64.
    pub hash: String,
    /// The device's signature, Base64.
    pub signature: String,
    /// Which of the till's public keys it was made with, Base64, as in [`CertificateUsed::public_key`].
    pub public_key: String,
    /// What FDMS is sent, byte for byte.
    pub body: String,
    /// `Idempotency-Key`, where one was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What idempotency compares, Base64.
    pub fingerprint: String,
    /// The event of a note's original in the same ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_seq: Option<i64>,
    /// What is only printed, JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub print: Option<String>,
}

/// A fiscal day was closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DayClosed {
    /// Its number.
    pub fiscal_day_no: u32,
    /// The event of its opening.
    pub day_seq: i64,
    /// When, local time.
    pub closed: String,
    /// `receiptCounter` of its last receipt.
    pub receipt_counter: u32,
    /// Its sums, in the ledger's own text.
    pub totals: String,
    /// Hash of the close, Base64.
    pub hash: String,
    /// The device's signature, Base64.
    pub signature: String,
    /// As in [`ReceiptIssued::public_key`].
    pub public_key: String,
    /// What FDMS is sent: CloseDay with `fiscalDayCounters`, byte for byte.
    pub body: String,
}

/// What an attempt was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptKind {
    /// OpenDay.
    OpenDay,
    /// SubmitReceipt.
    SubmitReceipt,
    /// CloseDay, or asking how it ended.
    CloseDay,
    /// SubmitFile, or asking how it ended.
    SubmitFile,
}

impl AttemptKind {
    /// The word in messages and in HQ's tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenDay => "open_day",
            Self::SubmitReceipt => "submit_receipt",
            Self::CloseDay => "close_day",
            Self::SubmitFile => "submit_file",
        }
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// FDMS has it.
    Accepted,
    /// FDMS will not take it: the stream is parked (`dead_letter`).
    Refused,
    /// Not now.
    Later,
    /// Nobody knows: it is asked, or sent again with the same bytes.
    Unknown,
}

impl AttemptOutcome {
    /// The word in messages and in HQ's tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Later => "later",
            Self::Unknown => "unknown",
        }
    }
}

/// Something of a till's stream was sent to FDMS, and this came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// What was sent.
    pub item: AttemptKind,
    /// The event of what was sent.
    pub item_seq: i64,
    /// `receiptGlobalNo`, `fiscalDayNo`, or the file's sequence.
    pub number: u32,
    /// How often it has been tried, this time included.
    pub attempt: u32,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// HTTP status, where there was an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// FDMS's own code (`RCPT020`, `DEV01`), where it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// `operationID`
    #[serde(
        default,
        rename = "operationID",
        skip_serializing_if = "Option::is_none"
    )]
    pub operation_id: Option<String>,
    /// The worst colour among the answer's validation errors: `Red`, `Grey`, `Yellow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// What went wrong, a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// How long it took.
    pub duration_ms: u32,
    /// What FDMS finally answered, as received: of an accepted item alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Whether FDMS's own signature fits: `valid`, `invalid`, `unchecked`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_signature: Option<String>,
}

impl Entry {
    /// An entry of a till's, or of the store's.
    ///
    /// # Errors
    /// The body cannot be written as JSON.
    pub fn new(
        seq: i64,
        at: i64,
        till: Option<TillRef>,
        kind: &str,
        body: &impl Serialize,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self {
            seq,
            at,
            till,
            kind: kind.to_owned(),
            body: serde_json::value::to_raw_value(body)?,
        })
    }

    /// Reads a line.
    ///
    /// # Errors
    /// It is no entry.
    pub fn read(line: &[u8]) -> Result<Self, serde_json::Error> {
        let read: Read<'_> = serde_json::from_slice(line)?;
        let till = match (read.environment, read.device_id) {
            (Some(environment), Some(device_id)) => Some(TillRef {
                environment,
                device_id,
            }),
            (None, None) => None,
            _ => {
                return Err(serde::de::Error::custom(
                    "environment and deviceID come together",
                ));
            }
        };
        Ok(Self {
            seq: read.seq,
            at: read.at,
            till,
            kind: read.kind.into_owned(),
            body: read.body.to_owned(),
        })
    }

    /// The line that is sent, without its end.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn line(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// What it says.
    ///
    /// # Errors
    /// The body is not what the kind says.
    pub fn fact(&self) -> Result<Fact, serde_json::Error> {
        Fact::read(&self.kind, &self.body)
    }
}

/// An entry as it is read: `RawValue` does not go through `flatten`.
#[derive(Deserialize)]
struct Read<'a> {
    seq: i64,
    at: i64,
    environment: Option<Environment>,
    #[serde(rename = "deviceID")]
    device_id: Option<u32>,
    #[serde(borrow)]
    kind: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    body: &'a RawValue,
}

#[cfg(test)]
mod tests {
    use super::*;

    const TILL: TillRef = TillRef {
        environment: Environment::Test,
        device_id: 37367,
    };

    /// A line read back is the same entry, with and without a till.
    #[test]
    fn lines_read_back() {
        let opened = DayOpened {
            fiscal_day_no: 3,
            opened: "2026-11-27T08:00:00".to_owned(),
            is_vat_payer: Some(true),
        };
        let entry = Entry::new(7, 1_000, Some(TILL), "day.opened", &opened).unwrap();
        let line = entry.line().unwrap();
        let read = Entry::read(&line).unwrap();
        assert_eq!(read.line().unwrap(), line);
        assert_eq!(read.till, Some(TILL));
        assert_eq!(read.fact().unwrap(), Fact::DayOpened(opened));
        let store = Entry::new(8, 1_000, None, "hq.joined", &()).unwrap();
        let read = Entry::read(&store.line().unwrap()).unwrap();
        assert_eq!((read.till, read.fact().unwrap()), (None, Fact::Other));
    }

    /// Each kind is read as what it is, and none is taken for another.
    #[test]
    fn kinds_are_told_apart() {
        let added = r#"{"serialNo":"s","modelName":"m","modelVersion":"1","invoicePrefix":"T1-"}"#;
        let receipt = r#"{"fiscalDayNo":3,"receiptGlobalNo":7,"receiptCounter":2,"receiptType":"FiscalInvoice",
            "receiptCurrency":"USD","receiptTotal":240,"receiptDate":"2026-11-27T08:01:00","invoiceNo":"T1-7","hash":"h",
            "signature":"s","publicKey":"k","body":"{}","fingerprint":"f"}"#;
        let closed = r#"{"fiscalDayNo":3,"daySeq":5,"closed":"2026-11-27T19:00:00","receiptCounter":2,"totals":"","hash":"h",
            "signature":"s","publicKey":"k","body":"{}"}"#;
        let attempt = r#"{"item":"submit_receipt","itemSeq":6,"number":7,"attempt":1,"outcome":"accepted","durationMs":20}"#;
        let command = r#"{"id":"00000000-0000-0000-0000-000000000001","no":1,"kind":"retry","outcome":"done","detail":""}"#;
        let certificate = r#"{"certificate":"c","thumbprint":"t","publicKey":"k"}"#;
        let opened = r#"{"fiscalDayNo":3,"opened":"2026-11-27T08:00:00"}"#;
        for (kind, body, wanted) in [
            ("till.added", added, "TillAdded"),
            ("config.changed", r#"{"config":"{}"}"#, "ConfigChanged"),
            ("certificate.used", certificate, "CertificateUsed"),
            ("day.opened", opened, "DayOpened"),
            ("receipt.issued", receipt, "ReceiptIssued"),
            ("day.closed", closed, "DayClosed"),
            ("fdms.attempt", attempt, "Attempt"),
            ("hq.command", command, "CommandDone"),
            ("stream.parked", added, "Other"),
        ] {
            let raw = RawValue::from_string(body.to_owned()).unwrap();
            let fact = format!("{:?}", Fact::read(kind, &raw).unwrap());
            assert_eq!(fact.split('(').next(), Some(wanted));
        }
    }

    /// Words in messages are the words in tables.
    #[test]
    fn words() {
        fn same<T: Serialize>(value: T, word: &str) {
            assert_eq!(serde_json::to_value(value).unwrap(), word);
        }
        for kind in [
            AttemptKind::OpenDay,
            AttemptKind::SubmitReceipt,
            AttemptKind::CloseDay,
            AttemptKind::SubmitFile,
        ] {
            same(kind, kind.as_str());
        }
        for outcome in [
            AttemptOutcome::Accepted,
            AttemptOutcome::Refused,
            AttemptOutcome::Later,
            AttemptOutcome::Unknown,
        ] {
            same(outcome, outcome.as_str());
        }
        for environment in [Environment::Test, Environment::Prod] {
            same(environment, environment.as_str());
            assert_eq!(Environment::parse(environment.as_str()), Some(environment));
        }
        assert_eq!(Environment::parse("Test"), None);
        assert_eq!(
            format!("{TILL}|{:>6}", Environment::Prod),
            "test 37367|  prod"
        );
    }

    /// Half a till is none, and a body must be what its kind says.
    #[test]
    fn broken_lines_are_refused() {
        assert!(Entry::read(br#"{"seq":1,"at":1,"deviceID":2,"kind":"a","body":null}"#).is_err());
        assert!(Entry::read(br#"{"seq":1,"at":1,"kind":"a"}"#).is_err());
        let line = br#"{"seq":1,"at":1,"kind":"day.opened","body":{"fiscalDayNo":"x"}}"#;
        assert!(Entry::read(line).unwrap().fact().is_err());
    }
}
