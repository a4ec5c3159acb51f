//! What FDMS answers, and the few requests that are not ready-made (docs/FDMS.md sections 2 to 5).
//!
//! Every type reads itself from an answer by [`Reply::parse`], tolerantly: unknown fields land in
//! `extra`, unknown words of an enum in its `Other`. The same function reads an answer that was stored.

use clock::{DateTime, Timestamp};

pub use super::json::{Exact, Extra, LocalTime, WireError};
use super::json::{Object, need, texts};

#[macro_use]
mod words;
mod files;
pub use files::{FileError, FileList, FileRow, FileState, FileTaken, MarkedReceipt};
pub use words::{ClosingError, Color, DayStatus, OperatingMode, ReconciliationMode};

/// Something that FDMS answers with.
pub trait Reply: Sized {
    /// Reads an answer's body.
    ///
    /// # Errors
    /// It is no JSON object, or lacks something that we cannot do without.
    fn parse(body: &str) -> Result<Self, WireError>;
}

macro_rules! reply {
    ($($name:ident),+) => {$(
        impl Reply for $name {
            fn parse(body: &str) -> Result<Self, WireError> {
                let mut object = Object::parse(body)?;
                object.raw(&["operationID", "operationId"]);
                Self::read(&mut object)
            }
        }
    )+};
}
reply!(
    FileTaken,
    FileList,
    Taxpayer,
    DeviceCertificate,
    ServerCertificates,
    Config,
    Status,
    DayOpened,
    ReceiptAccepted,
    CloseStarted,
    Pong
);

/// A postal address. FDMS may leave any part out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Address {
    /// `province`
    pub province: Option<String>,
    /// `city`
    pub city: Option<String>,
    /// `street`
    pub street: Option<String>,
    /// `houseNo`
    pub house_no: Option<String>,
    /// `district`
    pub district: Option<String>,
    /// Unknown fields.
    pub extra: Extra,
}

impl Address {
    fn read(object: &mut Object) -> Result<Self, WireError> {
        Ok(Self {
            province: object.text(&["province"])?,
            city: object.text(&["city"])?,
            street: object.text(&["street"])?,
            house_no: object.text(&["houseNo"])?,
            district: object.text(&["district"])?,
            extra: object.rest(),
        })
    }
}

/// Phone and e-mail of a branch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contacts {
    /// `phoneNo`
    pub phone_no: Option<String>,
    /// `email`
    pub email: Option<String>,
    /// Unknown fields.
    pub extra: Extra,
}

impl Contacts {
    fn read(object: &mut Object) -> Result<Self, WireError> {
        Ok(Self {
            phone_no: object.text(&["phoneNo"])?,
            email: object.text(&["email"])?,
            extra: object.rest(),
        })
    }
}

/// Taxpayer and branch, as VerifyTaxpayerInformation and GetConfig have them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taxpayer {
    /// `taxPayerName`
    pub name: String,
    /// `taxPayerTIN`
    pub tin: String,
    /// `vatNumber`; none for a taxpayer who is no VAT payer.
    pub vat_number: Option<String>,
    /// `deviceBranchName`
    pub branch_name: String,
    /// `deviceBranchAddress`
    pub branch_address: Address,
    /// `deviceBranchContacts`
    pub branch_contacts: Contacts,
    /// Unknown fields (in a [`Config`] they are there instead).
    pub extra: Extra,
}

impl Taxpayer {
    fn read(object: &mut Object) -> Result<Self, WireError> {
        let mut taxpayer = Self::read_part(object)?;
        taxpayer.extra = object.rest();
        Ok(taxpayer)
    }

    fn read_part(object: &mut Object) -> Result<Self, WireError> {
        const NAME: &[&str] = &["taxPayerName", "taxpayerName"];
        const TIN: &[&str] = &["taxPayerTIN", "taxpayerTIN"];
        Ok(Self {
            name: need(NAME, object.text(NAME)?)?,
            tin: need(TIN, object.text(TIN)?)?,
            vat_number: object
                .text(&["vatNumber", "VATNumber"])?
                .filter(|number| !number.trim().is_empty()),
            branch_name: object.text(&["deviceBranchName"])?.unwrap_or_default(),
            branch_address: object
                .object(&["deviceBranchAddress"], Address::read)?
                .unwrap_or_default(),
            branch_contacts: object
                .object(&["deviceBranchContacts"], Contacts::read)?
                .unwrap_or_default(),
            extra: Extra::new(),
        })
    }
}

/// A new device certificate, from RegisterDevice or IssueCertificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceCertificate {
    /// PEM.
    pub certificate: String,
    /// Unknown fields.
    pub extra: Extra,
}

impl DeviceCertificate {
    fn read(object: &mut Object) -> Result<Self, WireError> {
        const CERTIFICATE: &[&str] = &["certificate"];
        Ok(Self {
            certificate: need(CERTIFICATE, object.text(CERTIFICATE)?)?,
            extra: object.rest(),
        })
    }
}

/// The chain of FDMS's signing certificate, in no fixed order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerCertificates {
    /// PEM of each.
    pub certificates: Vec<String>,
    /// End of the leaf's validity. The one time of the API that is UTC.
    pub valid_till: Option<Timestamp>,
    /// Unknown fields.
    pub extra: Extra,
}

impl ServerCertificates {
    fn read(object: &mut Object) -> Result<Self, WireError> {
        let valid_till = object.text(&["certificateValidTill"])?.and_then(|text| {
            let utc = text.parse::<DateTime>().ok();
            utc.and_then(|utc| jiff::tz::Offset::UTC.to_timestamp(utc).ok())
                .or_else(|| text.parse().ok())
        });
        Ok(Self {
            certificates: texts(object, &["certificate", "certificates"])?,
            valid_till,
            extra: object.rest(),
        })
    }
}

/// A tax of the config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tax {
    /// `taxID`
    pub tax_id: u32,
    /// `taxPercent`; none is exempt, `0` zero-rated.
    pub percent: Option<Exact>,
    /// `taxName`
    pub name: String,
    /// `validFrom` or `taxValidFrom`
    pub valid_from: Option<LocalTime>,
    /// `validTill` or `taxValidTill`
    pub valid_till: Option<LocalTime>,
    /// Unknown fields.
    pub extra: Extra,
}

impl Tax {
    fn read(object: &mut Object) -> Result<Self, WireError> {
        const TAX_ID: &[&str] = &["taxID", "taxId"];
        Ok(Self {
            tax_id: need(TAX_ID, object.int(TAX_ID)?)?,
            percent: object.exact(&["taxPercent"])?,
            name: object.text(&["taxName"])?.unwrap_or_default(),
            valid_from: object.time(&["validFrom", "taxValidFrom"])?,
            valid_till: object.time(&["validTill", "taxValidTill"])?,
            extra: object.rest(),
        })
    }
}

/// The answer of GetConfig.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Taxpayer and branch.
    pub taxpayer: Taxpayer,
    /// `deviceSerialNo`
    pub serial_no: String,
    /// `deviceOperatingMode`
    pub operating_mode: OperatingMode,
    /// `taxPayerDayMaxHrs`, hours
    pub day_max_hours: u32,
    /// `taxpayerDayEndNotificationHrs`, hours
    pub day_end_notification_hours: u32,
    /// `applicableTaxes`: valid now or later, not those of the past.
    pub taxes: Vec<Tax>,
    /// `certificateValidTill` of the device certificate, local time
    pub certificate_valid_till: Option<LocalTime>,
    /// `qrUrl`
    pub qr_url: String,
    /// Unknown fields.
    pub extra: Extra,
}

impl Config {
    fn read(object: &mut Object) -> Result<Self, WireError> {
        const SERIAL: &[&str] = &["deviceSerialNo"];
        const MAX: &[&str] = &["taxPayerDayMaxHrs", "taxpayerDayMaxHrs"];
        const NOTIFY: &[&str] = &[
            "taxpayerDayEndNotificationHrs",
            "taxPayerDayEndNotificationHrs",
        ];
        const QR: &[&str] = &["qrUrl", "qrURL"];
        const MODE: &[&str] = &["deviceOperatingMode"];
        Ok(Self {
            taxpayer: Taxpayer::read_part(object)?,
            serial_no: need(SERIAL, object.text(SERIAL)?)?,
            operating_mode: need(MODE, object.text(MODE)?)?.as_str().into(),
            day_max_hours: need(MAX, object.int(MAX)?)?,
            day_end_notification_hours: object.int(NOTIFY)?.unwrap_or(0),
            taxes: object.list(&["applicableTaxes"], Tax::read)?,
            certificate_valid_till: object.time(&["certificateValidTill"])?,
            qr_url: need(QR, object.text(QR)?)?,
            extra: object.rest(),
        })
    }
}

/// A signature by FDMS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSignature {
    /// `hash`, base64
    pub hash: String,
    /// `signature`, base64
    pub signature: String,
    /// `certificateThumbprint`, SHA-1 hex in any case
    pub thumbprint: String,
    /// Unknown fields.
    pub extra: Extra,
}

impl ServerSignature {
    fn read(object: &mut Object) -> Result<Self, WireError> {
        Ok(Self {
            hash: object.text(&["hash"])?.unwrap_or_default(),
            signature: object.text(&["signature"])?.unwrap_or_default(),
            thumbprint: object.text(&["certificateThumbprint"])?.unwrap_or_default(),
            extra: object.rest(),
        })
    }
}

/// A counter, as GetStatus shows it after a close by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    /// `fiscalCounterType`
    pub kind: String,
    /// `fiscalCounterCurrency`
    pub currency: String,
    /// `fiscalCounterTaxID`
    pub tax_id: Option<u32>,
    /// `fiscalCounterTaxPercent`
    pub tax_percent: Option<Exact>,
    /// `fiscalCounterMoneyType`
    pub money_type: Option<String>,
    /// `fiscalCounterValue`
    pub value: Exact,
    /// Unknown fields.
    pub extra: Extra,
}

impl Counter {
    fn read(object: &mut Object) -> Result<Self, WireError> {
        const VALUE: &[&str] = &["fiscalCounterValue"];
        Ok(Self {
            kind: object.text(&["fiscalCounterType"])?.unwrap_or_default(),
            currency: object.text(&["fiscalCounterCurrency"])?.unwrap_or_default(),
            tax_id: object.int(&["fiscalCounterTaxID", "fiscalCounterTaxId"])?,
            tax_percent: object.exact(&["fiscalCounterTaxPercent"])?,
            money_type: object.text(&["fiscalCounterMoneyType"])?,
            value: need(VALUE, object.exact(VALUE)?)?,
            extra: object.rest(),
        })
    }
}

/// How many documents of a type a day had, as GetStatus shows it after a close by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentQuantity {
    /// `receiptType`
    pub receipt_type: String,
    /// `receiptCurrency`
    pub currency: String,
    /// `receiptQuantity`
    pub quantity: u32,
    /// `receiptTotalAmount`
    pub total: Exact,
    /// Unknown fields.
    pub extra: Extra,
}

impl DocumentQuantity {
    fn read(object: &mut Object) -> Result<Self, WireError> {
        const QUANTITY: &[&str] = &["receiptQuantity"];
        const TOTAL: &[&str] = &["receiptTotalAmount"];
        Ok(Self {
            receipt_type: object.text(&["receiptType"])?.unwrap_or_default(),
            currency: object.text(&["receiptCurrency"])?.unwrap_or_default(),
            quantity: need(QUANTITY, object.int(QUANTITY)?)?,
            total: need(TOTAL, object.exact(TOTAL)?)?,
            extra: object.rest(),
        })
    }
}

/// The answer of GetStatus; what is present when: docs/FDMS.md section 4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// `fiscalDayStatus`
    pub day: DayStatus,
    /// `fiscalDayReconciliationMode`
    pub reconciliation_mode: Option<ReconciliationMode>,
    /// `fiscalDayServerSignature`
    pub server_signature: Option<ServerSignature>,
    /// `fiscalDayClosed`
    pub closed: Option<LocalTime>,
    /// `fiscalDayClosingErrorCode`
    pub closing_error: Option<ClosingError>,
    /// `fiscalDayCounter` or `fiscalDayCounters`
    pub counters: Vec<Counter>,
    /// `fiscalDayDocumentQuantities`
    pub document_quantities: Vec<DocumentQuantity>,
    /// `lastReceiptGlobalNo`: of the latest date, not always the highest number.
    pub last_receipt_global_no: Option<u64>,
    /// `lastFiscalDayNo`: the open day, else the last closed one.
    pub last_fiscal_day_no: Option<u64>,
    /// Unknown fields.
    pub extra: Extra,
}

impl Status {
    fn read(object: &mut Object) -> Result<Self, WireError> {
        const DAY: &[&str] = &["fiscalDayStatus"];
        let word = |text: Option<String>| text.filter(|text| !text.is_empty());
        Ok(Self {
            day: need(DAY, object.text(DAY)?)?.as_str().into(),
            reconciliation_mode: word(object.text(&["fiscalDayReconciliationMode"])?)
                .map(|mode| mode.as_str().into()),
            server_signature: object
                .object(&["fiscalDayServerSignature"], ServerSignature::read)?,
            closed: object.time(&["fiscalDayClosed"])?,
            closing_error: word(object.text(&["fiscalDayClosingErrorCode"])?)
                .map(|code| code.as_str().into()),
            counters: object.list(&["fiscalDayCounter", "fiscalDayCounters"], Counter::read)?,
            document_quantities: object
                .list(&["fiscalDayDocumentQuantities"], DocumentQuantity::read)?,
            last_receipt_global_no: object.int(&["lastReceiptGlobalNo"])?,
            last_fiscal_day_no: object.int(&["lastFiscalDayNo"])?,
            extra: object.rest(),
        })
    }
}

/// The answer of OpenDay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayOpened {
    /// `fiscalDayNo`: the number we sent, or the one FDMS chose.
    pub fiscal_day_no: Option<u64>,
    /// Unknown fields.
    pub extra: Extra,
}

impl DayOpened {
    fn read(object: &mut Object) -> Result<Self, WireError> {
        Ok(Self {
            fiscal_day_no: object.int(&["fiscalDayNo"])?,
            extra: object.rest(),
        })
    }
}

/// A broken rule of an accepted receipt (docs/FDMS.md section 8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidationError {
    /// `validationErrorCode`, such as `RCPT020`
    pub code: String,
    /// `validationErrorColor`
    pub color: Color,
    /// `validationErrorDescription`, which not every server sends
    pub description: Option<String>,
    /// Unknown fields.
    pub extra: Extra,
}

impl ValidationError {
    /// Rule and colour in a word: `RCPT025 Red`.
    #[must_use]
    pub fn mark(&self) -> String {
        format!("{} {}", self.code, self.color.as_str())
    }

    fn read(object: &mut Object) -> Result<Self, WireError> {
        let color = object.text(&["validationErrorColor"])?.unwrap_or_default();
        Ok(Self {
            code: object.text(&["validationErrorCode"])?.unwrap_or_default(),
            color: color.as_str().into(),
            description: object.text(&["validationErrorDescription"])?,
            extra: object.rest(),
        })
    }
}

/// The answer of SubmitReceipt: stored and signed, perhaps with validation errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptAccepted {
    /// `receiptID`
    pub receipt_id: i64,
    /// `serverDate`, local time, as FDMS wrote it: its signature is made over this text.
    pub server_date: String,
    /// `receiptServerSignature`
    pub server_signature: Option<ServerSignature>,
    /// `validationErrors`
    pub validation_errors: Vec<ValidationError>,
    /// Unknown fields.
    pub extra: Extra,
}

impl ReceiptAccepted {
    fn read(object: &mut Object) -> Result<Self, WireError> {
        const ID: &[&str] = &["receiptID", "receiptId"];
        Ok(Self {
            receipt_id: need(ID, object.int(ID)?)?,
            server_date: object.text(&["serverDate"])?.unwrap_or_default(),
            server_signature: object.object(&["receiptServerSignature"], ServerSignature::read)?,
            validation_errors: object.list(&["validationErrors"], ValidationError::read)?,
            extra: object.rest(),
        })
    }

    /// Whether FDMS marked the receipt Red: its day can then be closed by hand only.
    #[must_use]
    pub fn is_red(&self) -> bool {
        self.validation_errors
            .iter()
            .any(|error| error.color == Color::Red)
    }
}

/// The answer of CloseDay: closing has begun, GetStatus tells how it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseStarted {
    /// Unknown fields.
    pub extra: Extra,
}

impl CloseStarted {
    #[expect(
        clippy::unnecessary_wraps,
        reason = "all replies read themselves alike"
    )]
    fn read(object: &mut Object) -> Result<Self, WireError> {
        Ok(Self {
            extra: object.rest(),
        })
    }
}

/// The answer of Ping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pong {
    /// `reportingFrequency`, minutes until the next ping
    pub reporting_frequency_minutes: Option<u32>,
    /// Unknown fields.
    pub extra: Extra,
}

impl Pong {
    fn read(object: &mut Object) -> Result<Self, WireError> {
        Ok(Self {
            reporting_frequency_minutes: object.int(&["reportingFrequency"])?,
            extra: object.rest(),
        })
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
