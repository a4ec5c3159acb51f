//! What HQ asks a store to do. Each is executed once, in the order of its number, and answered through the
//! outbox by an entry `hq.command`.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::TillRef;
use crate::seal::Sealed;

/// A command on its way to a store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Command {
    /// Its name for ever: whoever sees it again has done it.
    pub id: Uuid,
    /// Commands of a store are numbered from 1 and executed in this order.
    pub no: i64,
    /// Who asked for it, for the store's audit: `hq:NAME`.
    pub actor: String,
    /// Not begun after this moment, milliseconds since 1970 on HQ's clock; then answered `expired`.
    pub expires: i64,
    /// What is to be done.
    pub order: Order,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Order {
    /// Issues one controlled test receipt and sends it to FDMS. Refused on a production till.
    SubmitTest {
        /// The till, in the test environment.
        till: TillRef,
    },
    /// Lets a parked queue go on.
    Retry {
        /// The till.
        till: TillRef,
    },
    /// Pauses the sending of a till with a reason. Nothing is removed.
    DeadLetter {
        /// The till.
        till: TillRef,
        /// Why, for the page and the audit.
        reason: String,
    },
    /// Fetches the till's configuration from FDMS.
    RefreshConfig {
        /// The till.
        till: TillRef,
    },
    /// Opens a fiscal day.
    OpenDay {
        /// The till.
        till: TillRef,
    },
    /// Closes the open fiscal day.
    CloseDay {
        /// The till.
        till: TillRef,
    },
    /// Renews the till's certificate now.
    RenewCertificate {
        /// The till.
        till: TillRef,
    },
    /// Takes a certificate and key that the authority or an earlier system issued.
    DeliverCredential {
        /// The till.
        till: TillRef,
        /// HQ's version of the credential.
        version: i32,
        /// The certificate, PEM.
        certificate: String,
        /// The private key, PEM, for this store's eyes only; bound to store, till and version
        /// ([`crate::seal::credential_context`]).
        key: Sealed,
        /// `DeviceModelName` and `DeviceModelVersion`, where the till is not in the ledger yet.
        model: Option<(String, String)>,
        /// Serial number of the device, where the till is not in the ledger yet.
        serial_no: Option<String>,
        /// The prefix of its `invoiceNo`s, where the till is not in the ledger yet.
        invoice_prefix: Option<String>,
    },
    /// Retires a till for good: refused while a day is open or something waits.
    Retire {
        /// The till.
        till: TillRef,
        /// Why, for the page and the audit; may be empty.
        #[serde(default)]
        reason: String,
    },
    /// Sends the last lines of the daemon's log.
    UploadLog {
        /// At most so many lines.
        lines: u32,
    },
}

impl Order {
    /// The word of its kind.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::SubmitTest { .. } => "submit_test",
            Self::Retry { .. } => "retry",
            Self::DeadLetter { .. } => "dead_letter",
            Self::RefreshConfig { .. } => "refresh_config",
            Self::OpenDay { .. } => "open_day",
            Self::CloseDay { .. } => "close_day",
            Self::RenewCertificate { .. } => "renew_certificate",
            Self::DeliverCredential { .. } => "deliver_credential",
            Self::Retire { .. } => "retire",
            Self::UploadLog { .. } => "upload_log",
        }
    }

    /// What of it stands in the audit, beside its kind and its till; never a secret.
    #[must_use]
    pub fn told(&self) -> serde_json::Map<String, serde_json::Value> {
        let told: Option<(&str, serde_json::Value)> = match self {
            Self::DeadLetter { reason, .. } | Self::Retire { reason, .. } => {
                (!reason.is_empty()).then(|| ("reason", reason.as_str().into()))
            }
            Self::DeliverCredential { version, .. } => Some(("version", (*version).into())),
            Self::UploadLog { lines } => Some(("lines", (*lines).into())),
            Self::SubmitTest { .. }
            | Self::Retry { .. }
            | Self::RefreshConfig { .. }
            | Self::OpenDay { .. }
            | Self::CloseDay { .. }
            | Self::RenewCertificate { .. } => None,
        };
        told.into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// The till that it is about.
    #[must_use]
    pub const fn till(&self) -> Option<TillRef> {
        match self {
            Self::SubmitTest { till }
            | Self::Retry { till }
            | Self::DeadLetter { till, .. }
            | Self::RefreshConfig { till }
            | Self::OpenDay { till }
            | Self::CloseDay { till }
            | Self::RenewCertificate { till }
            | Self::DeliverCredential { till, .. }
            | Self::Retire { till, .. } => Some(*till),
            Self::UploadLog { .. } => None,
        }
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandOutcome {
    /// Done.
    Done,
    /// Not done, for a reason that will not go away by itself.
    Refused,
    /// Tried, and not done.
    Failed,
    /// It came too late.
    Expired,
}

impl CommandOutcome {
    /// The word in messages and in HQ's tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Expired => "expired",
        }
    }
}

/// The body of an entry `hq.command`: a command has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandDone {
    /// Which.
    pub id: Uuid,
    /// Its number.
    pub no: i64,
    /// Its kind.
    pub kind: String,
    /// How it ended.
    pub outcome: CommandOutcome,
    /// A sentence for a person.
    pub detail: String,
    /// `receiptGlobalNo` of a test receipt, or `fiscalDayNo` of a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// Lines of a log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<Vec<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Environment;

    /// An order names its kind as its message does, its till, and of the rest what is no secret.
    #[test]
    fn what_is_told_of_an_order() {
        let till = TillRef {
            environment: Environment::Test,
            device_id: 42,
        };
        let reason = |text: &str| text.to_owned();
        let (public, context) = (crate::seal::SealKey::new().unwrap().1, "a");
        let key = crate::seal::seal(&public, context, b"secret").unwrap();
        let credential = Order::DeliverCredential {
            till,
            version: 3,
            certificate: "PEM".to_owned(),
            key,
            model: None,
            serial_no: None,
            invoice_prefix: None,
        };
        for (order, told) in [
            (Order::SubmitTest { till }, "{}"),
            (Order::Retry { till }, "{}"),
            (Order::RefreshConfig { till }, "{}"),
            (Order::OpenDay { till }, "{}"),
            (Order::CloseDay { till }, "{}"),
            (Order::RenewCertificate { till }, "{}"),
            (
                Order::DeadLetter {
                    till,
                    reason: reason("why"),
                },
                r#"{"reason":"why"}"#,
            ),
            (
                Order::Retire {
                    till,
                    reason: reason("old"),
                },
                r#"{"reason":"old"}"#,
            ),
            (
                Order::Retire {
                    till,
                    reason: reason(""),
                },
                "{}",
            ),
            (credential, r#"{"version":3}"#),
            (Order::UploadLog { lines: 9 }, r#"{"lines":9}"#),
        ] {
            let message = serde_json::to_value(&order).unwrap();
            assert_eq!(message["kind"], order.kind());
            assert_eq!(serde_json::to_string(&order.told()).unwrap(), told);
            let named = !matches!(order, Order::UploadLog { .. });
            assert_eq!(order.till(), named.then_some(till));
        }
        for outcome in [
            CommandOutcome::Done,
            CommandOutcome::Refused,
            CommandOutcome::Failed,
            CommandOutcome::Expired,
        ] {
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.as_str());
        }
    }
}
