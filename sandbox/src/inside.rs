//! A sandbox without a network: whoever has one of his own asks it by calls.
//!
//! What comes in is looked at as over the line, headers and schema included; only TLS is left out, so the caller says
//! which certificate was shown. Nothing is written down, and no faults happen: they are the caller's.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, PoisonError};

use anyhow::{Context as _, Result};
use clock::{Clock as _, Timestamp};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Uri};
use rustls::pki_types::CertificateDer;

use crate::ca::{self, Authority};
use crate::http::Line;
use crate::journal::{Arrival, Change, HeldClock, Start};
use crate::model::{StoredDay, StoredReceipt};
use crate::opening::{self, Plan};
use crate::spec::DeviceChange;
use crate::world::DeviceError;

/// An authority's keys, made once for many sandboxes: that takes a good part of a second.
#[derive(Debug, Clone)]
pub struct Keys(Arc<Authority>);

impl Keys {
    /// New ones. Blocks.
    ///
    /// # Errors
    /// The cryptographic library failed.
    pub fn generate() -> Result<Self> {
        Ok(Self(Arc::new(Authority::open(None)?)))
    }
}

/// A request.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// `GET` or `POST`.
    pub method: &'a str,
    /// Path and query.
    pub path: &'a str,
    /// `DeviceModelName` and `DeviceModelVersion`.
    pub model: (&'a str, &'a str),
    /// The certificate that the client has shown, in DER.
    pub certificate: Option<&'a [u8]>,
    /// The body.
    pub body: &'a [u8],
}

/// The answer to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
    /// `operationId`.
    pub operation_id: String,
    /// `Date`, by FDMS's clock; whole seconds on the line.
    pub date: Timestamp,
}

/// A sandbox without a network. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Inside(Arc<Line>);

impl Inside {
    pub(crate) fn open(plan: Plan, keys: &Keys) -> Result<Self> {
        let clock = HeldClock::new(plan.clock);
        let start = Start::new(clock.wall(), plan.seed, Some(plan.settings));
        let service = opening::new_service(&start, Arc::clone(&keys.0), &clock);
        let line = Line::new(service, None, plan.seed);
        for device in plan.devices {
            line.change(Change::AddDevice(Box::new(device)))?;
        }
        Ok(Self(Arc::new(line)))
    }

    /// Answers a request.
    ///
    /// # Errors
    /// It is none of HTTP's.
    pub fn ask(&self, asked: &Asked<'_>) -> Result<Told> {
        let uri: Uri = asked.path.parse().context("the path")?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("DeviceModelName", HeaderValue::from_str(asked.model.0)?);
        headers.insert("DeviceModelVersion", HeaderValue::from_str(asked.model.1)?);
        let shown = asked.certificate.map(CertificateDer::from);
        let arrival = Arrival {
            method: Method::from_bytes(asked.method.as_bytes())?,
            uri,
            headers,
            fingerprint: shown.as_ref().map(ca::fingerprint),
            sender: IpAddr::V4(Ipv4Addr::LOCALHOST),
            body: Some(Bytes::copy_from_slice(asked.body)),
        };
        let (document, operation_id) = self.0.ask(&arrival);
        Ok(Told {
            status: document.status,
            body: document.body,
            operation_id,
            date: self.0.service.now(),
        })
    }

    /// The device's receipts from the `from`th on, at most `limit`, in the order they came.
    #[must_use]
    pub fn receipts_from(&self, device_id: u32, from: usize, limit: usize) -> Vec<StoredReceipt> {
        self.0.service.world().receipts(device_id, from, limit)
    }

    /// How many receipts the device has.
    #[must_use]
    pub fn receipt_count(&self, device_id: u32) -> usize {
        self.0.service.world().receipt_count(device_id)
    }

    /// The device's fiscal days. A close whose time has come is done first.
    #[must_use]
    pub fn days(&self, device_id: u32) -> Vec<StoredDay> {
        let now = self.0.service.now();
        self.0.service.world().days(device_id, now)
    }

    /// Changes a device and its taxpayer.
    ///
    /// # Errors
    /// There is no such device, or a field cannot be.
    pub fn change_device(&self, device_id: u32, change: DeviceChange) -> Result<(), DeviceError> {
        self.0.change(Change::UpdateDevice {
            device: device_id,
            change: Box::new(change),
        })?;
        Ok(())
    }

    /// Loses a receipt of the open day, as an accident at the authority would; false if it is not there.
    #[must_use]
    pub fn lose_receipt(&self, device_id: u32, receipt_global_no: i32) -> bool {
        let lost = self.0.change(Change::LoseReceipt {
            device: device_id,
            global_no: receipt_global_no,
        });
        lost.unwrap_or(false)
    }

    /// What was wrong with requests by the schema, the first so many.
    #[must_use]
    pub fn schema_violations(&self) -> Vec<String> {
        let violations = self.0.schema_violations.lock();
        violations.unwrap_or_else(PoisonError::into_inner).clone()
    }
}
