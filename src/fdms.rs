//! FDMS, the tax authority's side, as the gateway sees it.
//!
//! [`Fdms`] is what a till can ask; [`HttpFdms`] asks over mutual TLS, a simulation answers by itself.
//! An answer is never an error here: it is an [`Outcome`], decided by one function
//! ([`classify::classify`]), together with the [`Evidence`] of what came over the wire. Nothing in here
//! retries; [`backoff()`] says how long to wait, the submit worker decides. Rules: docs/FDMS.md.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use clock::Timestamp;
use fiscal::DateTime;
use serde::Serialize;

mod backoff;
pub mod classify;
mod client;
mod file_transport;
mod json;
mod tls;
pub mod wire;

pub use backoff::backoff;
pub use classify::{
    Action, Delay, DelayCause, Doubt, DoubtCause, Next, Outcome, PROBE_EVERY, Refusal, Scope,
};
pub use client::{ClientSettings, HttpFdms, Identity, Limits};
pub use file_transport::FileTransport;
pub use tls::{TlsError, TrustRoots, server_only};
use wire::{
    CloseStarted, Config, DayOpened, DeviceCertificate, FileList, FileTaken, Pong, ReceiptAccepted,
    ServerCertificates, Status, Taxpayer,
};

/// Files in a page of the list: FDMS gives no more.
pub const FILES_A_PAGE: u32 = 100;

/// An answer that is on its way.
pub type Asking<'a, T> = Pin<Box<dyn Future<Output = Answer<T>> + Send + 'a>>;

/// What a till asks of FDMS (docs/FDMS.md section 2). One object serves one till in one environment.
///
/// Whoever drops the future gives up waiting; the message may have been sent all the same.
pub trait Fdms: Send + Sync {
    /// Taxpayer and branch behind an activation key, to be confirmed by a person before registering.
    fn verify_taxpayer<'a>(
        &'a self,
        activation_key: &'a str,
        serial_no: &'a str,
    ) -> Asking<'a, Taxpayer>;

    /// Registers the device with a certificate request in PEM. The activation key works once.
    fn register_device<'a>(
        &'a self,
        activation_key: &'a str,
        request_pem: &'a str,
    ) -> Asking<'a, DeviceCertificate>;

    /// The chain that FDMS signs with: the one with this thumbprint in it, or the current one.
    fn get_server_certificate<'a>(
        &'a self,
        thumbprint: Option<&'a str>,
    ) -> Asking<'a, ServerCertificates>;

    /// Taxpayer, taxes, hours, QR address.
    fn get_config(&self) -> Asking<'_, Config>;

    /// State of the fiscal day at FDMS.
    fn get_status(&self) -> Asking<'_, Status>;

    /// Opens a day; `body` (see [`fiscal::wire::open_day_body`]) is sent exactly as given.
    fn open_day<'a>(&'a self, body: &'a [u8]) -> Asking<'a, DayOpened>;

    /// Submits a receipt; `body` is sent exactly as given, each time the same bytes.
    fn submit_receipt<'a>(&'a self, body: &'a [u8]) -> Asking<'a, ReceiptAccepted>;

    /// Begins to close a day; `body` is sent exactly as given. The result is in GetStatus.
    fn close_day<'a>(&'a self, body: &'a [u8]) -> Asking<'a, CloseStarted>;

    /// A new certificate for a new request in PEM, while the old one is valid.
    fn issue_certificate<'a>(&'a self, request_pem: &'a str) -> Asking<'a, DeviceCertificate>;

    /// Says that the device is on.
    fn ping(&self) -> Asking<'_, Pong>;

    /// Hands in a file of an offline device; how FDMS judges it is in the list.
    fn submit_file<'a>(&'a self, body: &'a str) -> Asking<'a, FileTaken>;

    /// The files that were handed in within a span of time (at most 100 days), from the `offset`th on.
    fn list_files(&self, from: DateTime, till: DateTime, offset: u32) -> Asking<'_, FileList>;

    /// Passes on a call of an optional part, which the gateway has no opinion about (docs/FDMS.md section 10).
    /// The error is a sentence: FDMS was not reached, or nobody knows what it did.
    fn pass_on<'a>(&'a self, call: &'a Passing) -> PassingOn<'a>;
}

/// A call of an optional part, as POS software sends it.
#[derive(Clone)]
pub struct Passing {
    /// `GET`, `POST` or `PUT`.
    pub method: &'static str,
    /// `User` or `ProductsStock`.
    pub part: &'static str,
    /// What is called, such as `Login`.
    pub name: String,
    /// The query, as it came.
    pub query: Option<String>,
    /// The header `Token`, of a user who is signed in.
    pub token: Option<String>,
    /// The body, as it came.
    pub body: Option<Vec<u8>>,
}

impl std::fmt::Debug for Passing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Query, token and body may hold passwords and names.
        f.debug_struct("Passing")
            .field("part", &self.part)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What FDMS answered to it, as it came.
#[derive(Clone, PartialEq, Eq)]
pub struct PassedOn {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// FDMS's `operationID`.
    pub operation_id: Option<String>,
    /// The body.
    pub body: String,
}

/// An answer to [`Fdms::pass_on`] that is on its way.
pub type PassingOn<'a> = Pin<Box<dyn Future<Output = Result<PassedOn, String>> + Send + 'a>>;

/// The calls that the gateway makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum Call {
    /// VerifyTaxpayerInformation
    VerifyTaxpayerInformation,
    /// RegisterDevice
    RegisterDevice,
    /// GetServerCertificate
    GetServerCertificate,
    /// GetConfig
    GetConfig,
    /// GetStatus
    GetStatus,
    /// OpenDay
    OpenDay,
    /// SubmitReceipt
    SubmitReceipt,
    /// CloseDay
    CloseDay,
    /// IssueCertificate
    IssueCertificate,
    /// Ping
    Ping,
    /// SubmitFile
    SubmitFile,
    /// SubmittedFileList
    SubmittedFileList,
}

impl Call {
    /// FDMS's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::VerifyTaxpayerInformation => "VerifyTaxpayerInformation",
            Self::RegisterDevice => "RegisterDevice",
            Self::GetServerCertificate => "GetServerCertificate",
            Self::GetConfig => "GetConfig",
            Self::GetStatus => "GetStatus",
            Self::OpenDay => "OpenDay",
            Self::SubmitReceipt => "SubmitReceipt",
            Self::CloseDay => "CloseDay",
            Self::IssueCertificate => "IssueCertificate",
            Self::Ping => "Ping",
            Self::SubmitFile => "SubmitFile",
            Self::SubmittedFileList => "SubmittedFileList",
        }
    }

    /// The path below the environment's address.
    #[must_use]
    pub fn path(self, device_id: u32) -> String {
        let name = self.name();
        match self {
            Self::GetServerCertificate => format!("/Public/v1/{name}"),
            Self::VerifyTaxpayerInformation | Self::RegisterDevice => {
                format!("/Public/v1/{device_id}/{name}")
            }
            _ => format!("/Device/v1/{device_id}/{name}"),
        }
    }

    /// Whether it is a GET; the others are POSTs.
    #[must_use]
    pub fn is_get(self) -> bool {
        matches!(
            self,
            Self::GetServerCertificate
                | Self::GetConfig
                | Self::GetStatus
                | Self::SubmittedFileList
        )
    }
}

/// An outcome and what came over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// What it means.
    pub outcome: Outcome<T>,
    /// What it was.
    pub evidence: Evidence,
}

/// What came over the wire, for the ledger, support and the clock watch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evidence {
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// FDMS's `operationID`, from the body or the header.
    pub operation_id: Option<String>,
    /// The answer's `Date` header: FDMS's clock, in whole seconds, at some moment within `round_trip`.
    pub server_date: Option<Timestamp>,
    /// From before sending to the end of the answer, on the boot clock.
    pub round_trip: Duration,
    /// The answer's body as it came.
    pub body: Option<String>,
}
