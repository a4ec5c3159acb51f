//! The calls of the gateway API and where each is found (docs/FDMS.md section 2).

use std::fmt;

use hyper::Method;
use serde::{Deserialize, Serialize};

use crate::answer::Refusal;
use crate::json::Errors;

/// The calls of the gateway API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the authority's own names, which say it all")]
pub enum Call {
    VerifyTaxpayerInformation,
    RegisterDevice,
    GetServerCertificate,
    GetConfig,
    GetStatus,
    OpenDay,
    SubmitReceipt,
    CloseDay,
    IssueCertificate,
    Ping,
    SubmitFile,
    SubmittedFileList,
    GetUsersList,
    SendSecurityCodeToTaxpayer,
    CreateUser,
    Login,
    SendSecurityCodeToUserEmail,
    SendSecurityCodeToUserPhone,
    ConfirmUser,
    ChangePassword,
    ResetPassword,
    ConfirmContact,
    /// `/User/…/Update`.
    UpdateUser,
    ConfirmPasswordReset,
    /// `/ProductsStock/…/Search`.
    SearchStock,
    SearchBranches,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The one path that names no device.
const SERVER_CERTIFICATE: &str = "/Public/v1/GetServerCertificate";

/// Every other path: its first part and its last around the version and the device, its call.
const PATHS: [(&str, &str, Call); 25] = [
    (
        "Public",
        "VerifyTaxpayerInformation",
        Call::VerifyTaxpayerInformation,
    ),
    ("Public", "RegisterDevice", Call::RegisterDevice),
    ("Device", "GetConfig", Call::GetConfig),
    ("Device", "GetStatus", Call::GetStatus),
    ("Device", "OpenDay", Call::OpenDay),
    ("Device", "SubmitReceipt", Call::SubmitReceipt),
    ("Device", "CloseDay", Call::CloseDay),
    ("Device", "IssueCertificate", Call::IssueCertificate),
    ("Device", "Ping", Call::Ping),
    ("Device", "SubmitFile", Call::SubmitFile),
    ("Device", "SubmittedFileList", Call::SubmittedFileList),
    ("User", "GetUsersList", Call::GetUsersList),
    (
        "User",
        "SendSecurityCodeToTaxpayer",
        Call::SendSecurityCodeToTaxpayer,
    ),
    ("User", "CreateUser", Call::CreateUser),
    ("User", "Login", Call::Login),
    (
        "User",
        "SendSecurityCodeToUserEmail",
        Call::SendSecurityCodeToUserEmail,
    ),
    (
        "User",
        "SendSecurityCodeToUserPhone",
        Call::SendSecurityCodeToUserPhone,
    ),
    ("User", "ConfirmUser", Call::ConfirmUser),
    ("User", "ChangePassword", Call::ChangePassword),
    ("User", "ResetPassword", Call::ResetPassword),
    ("User", "ConfirmContact", Call::ConfirmContact),
    ("User", "Update", Call::UpdateUser),
    ("User", "ConfirmPasswordReset", Call::ConfirmPasswordReset),
    ("ProductsStock", "Search", Call::SearchStock),
    ("DeviceInformation", "SearchBranches", Call::SearchBranches),
];

impl Call {
    /// Every call that the sandbox answers.
    pub fn all() -> impl Iterator<Item = Self> {
        let of_devices = PATHS.iter().map(|(_, _, call)| *call);
        std::iter::once(Self::GetServerCertificate).chain(of_devices)
    }

    /// Where it is, with `{deviceID}` where the device's number goes.
    #[must_use]
    pub fn path(self) -> String {
        let known = PATHS.iter().find(|(_, _, call)| *call == self);
        known.map_or_else(
            || SERVER_CERTIFICATE.to_owned(),
            |(kind, name, _)| format!("/{kind}/v1/{{deviceID}}/{name}"),
        )
    }

    /// The call of a path, whatever device it names.
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        match parts.as_slice() {
            _ if path == SERVER_CERTIFICATE => Some(Self::GetServerCertificate),
            [kind, "v1", _, name] => {
                let mut paths = PATHS.iter();
                let known = paths.find(|path| path.0 == *kind && path.1 == *name);
                known.map(|(_, _, call)| *call)
            }
            _ => None,
        }
    }

    /// `GET` or `POST`.
    #[must_use]
    pub fn method(self) -> &'static str {
        if self.is_question() { "GET" } else { "POST" }
    }

    /// Whether it only asks: what it wants to know is in the query.
    pub(crate) fn is_question(self) -> bool {
        matches!(
            self,
            Self::GetServerCertificate
                | Self::GetConfig
                | Self::GetStatus
                | Self::SubmittedFileList
                | Self::GetUsersList
                | Self::SearchStock
                | Self::SearchBranches
        )
    }

    /// Whether it is under `/User/`.
    pub(crate) fn is_about_users(self) -> bool {
        let known = PATHS.iter().find(|(_, _, call)| *call == self);
        known.is_some_and(|(kind, _, _)| *kind == "User")
    }

    /// Whether its body must be JSON; Ping has none, and a file comes in forms of its own.
    pub(crate) fn takes_json(self) -> bool {
        !self.is_question() && !matches!(self, Self::Ping | Self::SubmitFile)
    }

    /// Whether a device that is not known is answered 404 instead of DEV01.
    pub(crate) fn answers_not_found(self) -> bool {
        matches!(self, Self::SubmitFile | Self::SearchStock)
    }

    /// The call of a path and whose it is (0 where it names nobody): 404 for a wrong path, 405 for a
    /// wrong method.
    pub(crate) fn find(method: &Method, path: &str) -> Result<(Self, u32), Refusal> {
        let call = Self::at(path).ok_or_else(|| Refusal::status(404, "There is no such path."))?;
        let device = match call {
            Self::GetServerCertificate => "0",
            _ => path.split('/').nth(3).unwrap_or_default(),
        };
        if method.as_str() != call.method() {
            let why = "The method is not allowed for this path.";
            return Err(Refusal::status(405, why));
        }
        let device = device.parse().map_err(|_| {
            let mut errors = Errors::default();
            errors.push("deviceID", format!("The value '{device}' is not valid."));
            Refusal::Fields(errors)
        })?;
        Ok((call, device))
    }
}
