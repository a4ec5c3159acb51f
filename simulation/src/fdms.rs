//! FDMS as the store sees it: the sandbox behind a line that loses, delays, doubles and garbles.
//!
//! The sandbox judges by its own reading of the rules; what an answer means is decided by the gateway's own
//! `classify`. Only HTTP and TLS between them are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clock::Clock as _;
use fdms_sandbox::{Asked, Inside, ReceiptType};
use fiscal::DateTime;
use fiscal::testing::Random;
use fiscald::fdms::classify::{Seen, classify};
use fiscald::fdms::wire::{
    CloseStarted, Config, DayOpened, DeviceCertificate, FileList, FileTaken, Pong, ReceiptAccepted,
    Reply, ServerCertificates, Status, Taxpayer,
};
use fiscald::fdms::{Answer, Asking, Call, Evidence, Fdms, Identity, Passing, PassingOn};
use fiscald::keys::Certificate;
use fiscald::ledger::{Ledger, TillInfo};
use fiscald::submit::{ConnectError, Connecting, Connector};

use crate::disk::Disk;
use crate::time::Hours;
use crate::weather::{Fate, Weather};

/// The sender gives up after so long, as the real client does.
const PATIENCE: Duration = Duration::from_secs(35);

/// A request on its way.
#[derive(Debug, Clone)]
struct Request {
    call: Call,
    device_id: u32,
    path: String,
    model: (String, String),
    certificate: Vec<u8>,
    body: Vec<u8>,
}

#[derive(Debug)]
struct State {
    weather: Weather,
    random: Random,
    late: Vec<(Duration, Request)>,
    asked: u64,
    hurt: u64,
    /// The highest receipt of each device that FDMS has heard of.
    heard: BTreeMap<u32, u64>,
    /// Devices of which FDMS has lost something.
    forgetful: BTreeSet<u32>,
    disorder: Option<String>,
}

/// The line between the store and FDMS, and FDMS.
#[derive(Debug)]
pub(crate) struct FdmsLine {
    pub(crate) inside: Inside,
    hours: Hours,
    disk: Disk,
    state: Mutex<State>,
}

impl FdmsLine {
    pub(crate) fn new(inside: Inside, hours: Hours, disk: Disk) -> Self {
        Self {
            inside,
            hours,
            disk,
            state: Mutex::new(State {
                weather: Weather::Fair,
                random: Random::new(0),
                late: Vec::new(),
                asked: 0,
                hurt: 0,
                heard: BTreeMap::new(),
                forgetful: BTreeSet::new(),
                disorder: None,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_weather(&self, weather: Weather) {
        self.lock().weather = weather;
    }

    /// What happens to messages from now on is drawn from this.
    pub(crate) fn reseed(&self, seed: u64) {
        self.lock().random = Random::new(seed);
    }

    /// How many requests there were, and how many of them met something bad.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let state = self.lock();
        (state.asked, state.hurt)
    }

    /// What came out of its order, the first of it: a sentence.
    pub(crate) fn disorder(&self) -> Option<String> {
        self.lock().disorder.clone()
    }

    /// FDMS loses a credit note of the open day (what is lost must be no note's original). True if there was one.
    pub(crate) fn lose_note(&self, device_id: u32, random: &mut Random) -> bool {
        let count = self.inside.receipt_count(device_id);
        let latest = self
            .inside
            .receipts_from(device_id, count.saturating_sub(30), 30);
        let notes: Vec<i32> = latest
            .iter()
            .filter(|receipt| receipt.receipt_type == ReceiptType::CreditNote)
            .map(|receipt| receipt.receipt_global_no)
            .collect();
        let Some(number) = random.pick(&notes) else {
            return false;
        };
        let is_lost = self.inside.lose_receipt(device_id, *number);
        if is_lost {
            self.lock().forgetful.insert(device_id);
        }
        is_lost
    }

    /// Whether FDMS has lost something of the device: what it said of later receipts then was Grey.
    pub(crate) fn is_forgetful(&self, device_id: u32) -> bool {
        self.lock().forgetful.contains(&device_id)
    }

    /// Receipts arrive in the order of their numbers, and a close after all of its day.
    fn watch(&self, request: &Request) {
        let number = |name: &[&str]| {
            let body: serde_json::Value = serde_json::from_slice(&request.body).ok()?;
            let value = name.iter().try_fold(&body, |value, name| value.get(name));
            value.and_then(serde_json::Value::as_u64)
        };
        let device = request.device_id;
        let found = match request.call {
            Call::SubmitReceipt => number(&["receipt", "receiptGlobalNo"]).and_then(|number| {
                let mut state = self.lock();
                let heard = state.heard.entry(device).or_default();
                let before = *heard;
                *heard = before.max(number);
                (number > before + 1).then(|| {
                    format!("FDMS hears of receipt {number} of device {device} after {before}")
                })
            }),
            Call::CloseDay if !self.lock().forgetful.contains(&device) => {
                let day = number(&["fiscalDayNo"]).and_then(|day| i32::try_from(day).ok());
                let receipts = self.inside.receipts_from(device, 0, usize::MAX);
                let there = receipts.iter().filter(|one| Some(one.fiscal_day_no) == day);
                let there = u64::try_from(there.count()).unwrap_or(0);
                number(&["receiptCounter"])
                    .filter(|counter| there < *counter)
                    .map(|counter| {
                        format!("FDMS shall close a day of device {device} with {counter} receipts and has {there}")
                    })
            }
            _ => None,
        };
        if let Some(found) = found {
            self.lock().disorder.get_or_insert(found);
        }
    }

    /// When the next late request arrives.
    pub(crate) fn next_late(&self) -> Option<Duration> {
        self.lock().late.iter().map(|(at, _)| *at).min()
    }

    /// Late requests whose time has come arrive.
    pub(crate) fn deliver_late(&self) {
        let now = self.hours.passed();
        let mut due = Vec::new();
        self.lock().late.retain(|(at, request)| {
            if *at <= now {
                due.push(request.clone());
            }
            *at > now
        });
        for request in due {
            // Nobody hears the answer.
            let _ = self.process(&request, &mut Evidence::default());
        }
    }

    fn process(&self, request: &Request, evidence: &mut Evidence) -> Seen {
        self.watch(request);
        let told = self.inside.ask(&Asked {
            method: if request.call.is_get() { "GET" } else { "POST" },
            path: &request.path,
            model: (&request.model.0, &request.model.1),
            certificate: Some(&request.certificate),
            body: &request.body,
        });
        match told {
            Ok(told) => {
                evidence.status = Some(told.status);
                evidence.operation_id = Some(told.operation_id);
                let second = told.date.as_second();
                evidence.server_date = clock::Timestamp::from_second(second).ok();
                Seen::Answered {
                    status: told.status,
                    retry_after: None,
                    body: told.body,
                }
            }
            Err(error) => Seen::NoConnection(error.to_string()),
        }
    }

    /// The message goes its way; what the sender sees of it.
    async fn travel(&self, request: Request, evidence: &mut Evidence) -> Seen {
        let (fate, there, back) = {
            let mut state = self.lock();
            state.asked += 1;
            let State {
                weather, random, ..
            } = &mut *state;
            let fate = weather.draw(random);
            let (there, back) = (weather.way(random), weather.way(random));
            state.hurt += u64::from(fate != Fate::Answered || there + back > PATIENCE);
            (fate, there, back)
        };
        if fate == Fate::NotReached {
            self.pass(there.min(Duration::from_secs(10))).await;
            return Seen::NoConnection("the line is cut".to_owned());
        }
        if let Fate::Late(later) = fate {
            let at = self.hours.passed() + PATIENCE + later;
            self.lock().late.push((at, request));
            self.pass(PATIENCE).await;
            return Seen::TimedOut(PATIENCE);
        }
        if there > PATIENCE {
            let at = self.hours.passed() + there;
            self.lock().late.push((at, request));
            self.pass(PATIENCE).await;
            return Seen::TimedOut(PATIENCE);
        }
        self.pass(there).await;
        let is_processed = !matches!(fate, Fate::RequestLost | Fate::Status(_, false));
        let mut seen = Seen::ConnectionLost("the line is cut".to_owned());
        if is_processed {
            if fate == Fate::Twice {
                let _ = self.process(&request, evidence);
            }
            seen = self.process(&request, evidence);
        }
        if there + back > PATIENCE {
            self.pass(PATIENCE - there).await;
            *evidence = Evidence::default();
            return Seen::TimedOut(PATIENCE);
        }
        self.pass(back).await;
        self.spoil(fate, seen, evidence)
    }

    fn spoil(&self, fate: Fate, seen: Seen, evidence: &mut Evidence) -> Seen {
        match fate {
            Fate::RequestLost | Fate::AnswerLost => {
                *evidence = Evidence::default();
                Seen::ConnectionLost("the line is cut".to_owned())
            }
            Fate::Status(status, _) => {
                let second = self.hours.true_clock().wall().as_second();
                *evidence = Evidence {
                    status: Some(status),
                    server_date: clock::Timestamp::from_second(second).ok(),
                    ..Evidence::default()
                };
                Seen::Answered {
                    status,
                    retry_after: None,
                    body: "<html>out of order</html>".to_owned(),
                }
            }
            Fate::Garbage | Fate::CutShort => match seen {
                Seen::Answered {
                    status,
                    retry_after,
                    body,
                } if status == 200 => Seen::Answered {
                    status,
                    retry_after,
                    body: if fate == Fate::Garbage {
                        "\u{0}\u{1}no JSON".to_owned()
                    } else {
                        body.chars().take(body.len() / 2).collect()
                    },
                },
                other => other,
            },
            _ => seen,
        }
    }

    /// Time passes on the line; if the power went meanwhile, nobody waits any more.
    async fn pass(&self, time: Duration) {
        self.hours.true_clock().sleep(time).await;
        if self.disk.is_off() {
            std::future::pending::<()>().await;
        }
    }
}

/// A till's FDMS.
struct SimFdms {
    line: Arc<FdmsLine>,
    device_id: u32,
    model: (String, String),
    certificate: Vec<u8>,
}

impl SimFdms {
    fn ask<'a, T: Reply + Send + 'a>(
        &'a self,
        call: Call,
        query: Option<String>,
        body: Vec<u8>,
    ) -> Asking<'a, T> {
        Box::pin(async move {
            let clock = self.line.hours.machine();
            let started = clock.boot();
            let mut evidence = Evidence::default();
            let mut path = call.path(self.device_id);
            if let Some(query) = query {
                path.push('?');
                path.push_str(&query);
            }
            let request = Request {
                call,
                device_id: self.device_id,
                path,
                model: self.model.clone(),
                certificate: self.certificate.clone(),
                body,
            };
            if self.line.disk.is_off() {
                std::future::pending::<()>().await;
            }
            let seen = self.line.travel(request, &mut evidence).await;
            evidence.round_trip = clock.boot().saturating_sub(started);
            let outcome = classify(call, &seen);
            if let Seen::Answered { body, .. } = seen {
                evidence.body = Some(body);
            }
            Answer { outcome, evidence }
        })
    }

    fn post<'a, T: Reply + Send + 'a>(
        &'a self,
        call: Call,
        fields: &[(&str, &str)],
    ) -> Asking<'a, T> {
        let object: serde_json::Map<String, serde_json::Value> = fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).into()))
            .collect();
        let body = serde_json::Value::Object(object).to_string();
        self.ask(call, None, body.into_bytes())
    }
}

impl Fdms for SimFdms {
    fn verify_taxpayer<'a>(
        &'a self,
        activation_key: &'a str,
        serial_no: &'a str,
    ) -> Asking<'a, Taxpayer> {
        self.post(
            Call::VerifyTaxpayerInformation,
            &[
                ("activationKey", activation_key),
                ("deviceSerialNo", serial_no),
            ],
        )
    }

    fn register_device<'a>(
        &'a self,
        activation_key: &'a str,
        request_pem: &'a str,
    ) -> Asking<'a, DeviceCertificate> {
        self.post(
            Call::RegisterDevice,
            &[
                ("certificateRequest", request_pem),
                ("activationKey", activation_key),
            ],
        )
    }

    fn get_server_certificate<'a>(
        &'a self,
        thumbprint: Option<&'a str>,
    ) -> Asking<'a, ServerCertificates> {
        let query = thumbprint.map(|thumbprint| format!("thumbprint={thumbprint}"));
        self.ask(Call::GetServerCertificate, query, Vec::new())
    }

    fn get_config(&self) -> Asking<'_, Config> {
        self.ask(Call::GetConfig, None, Vec::new())
    }

    fn get_status(&self) -> Asking<'_, Status> {
        self.ask(Call::GetStatus, None, Vec::new())
    }

    fn open_day<'a>(&'a self, body: &'a [u8]) -> Asking<'a, DayOpened> {
        self.ask(Call::OpenDay, None, body.to_vec())
    }

    fn submit_receipt<'a>(&'a self, body: &'a [u8]) -> Asking<'a, ReceiptAccepted> {
        self.ask(Call::SubmitReceipt, None, body.to_vec())
    }

    fn close_day<'a>(&'a self, body: &'a [u8]) -> Asking<'a, CloseStarted> {
        self.ask(Call::CloseDay, None, body.to_vec())
    }

    fn issue_certificate<'a>(&'a self, request_pem: &'a str) -> Asking<'a, DeviceCertificate> {
        self.post(
            Call::IssueCertificate,
            &[("certificateRequest", request_pem)],
        )
    }

    fn ping(&self) -> Asking<'_, Pong> {
        self.ask(Call::Ping, None, Vec::new())
    }

    fn submit_file<'a>(&'a self, body: &'a str) -> Asking<'a, FileTaken> {
        self.ask(Call::SubmitFile, None, body.as_bytes().to_vec())
    }

    fn list_files(&self, from: DateTime, till: DateTime, offset: u32) -> Asking<'_, FileList> {
        let query = format!("Offset={offset}&FileUploadedFrom={from}&FileUploadedTill={till}");
        self.ask(Call::SubmittedFileList, Some(query), Vec::new())
    }

    fn pass_on<'a>(&'a self, _: &'a Passing) -> PassingOn<'a> {
        Box::pin(async { Err("the optional parts are not simulated".to_owned()) })
    }
}

/// Connects tills with the simulated FDMS.
pub(crate) struct SimConnector {
    pub(crate) line: Arc<FdmsLine>,
    pub(crate) ledger: Ledger,
}

impl SimConnector {
    fn fdms(&self, till: &TillInfo, certificate: &Certificate) -> Arc<dyn Fdms> {
        Arc::new(SimFdms {
            line: Arc::clone(&self.line),
            device_id: till.device_id.get(),
            model: (till.model_name.clone(), till.model_version.clone()),
            certificate: certificate.chain_der().first().cloned().unwrap_or_default(),
        })
    }
}

impl Connector for SimConnector {
    fn connect<'a>(&'a self, till: &'a TillInfo) -> Connecting<'a> {
        Box::pin(async move {
            let pem = self.ledger.reader().certificate_pem(till.id)?;
            let pem = pem.ok_or(ConnectError::NotRegistered(till.device_id))?;
            let certificate = Certificate::from_pem(&pem);
            let certificate = certificate.map_err(|error| ConnectError::Client {
                device: till.device_id,
                why: error.to_string(),
            })?;
            Ok(self.fdms(till, &certificate))
        })
    }

    fn connect_as<'a>(&'a self, till: &'a TillInfo, identity: Identity) -> Connecting<'a> {
        Box::pin(async move { Ok(self.fdms(till, &identity.certificate)) })
    }
}
