//! FDMS without its network: a request comes in, a document goes out.
//!
//! Holds the world behind one lock, the authority's keys and the clock. What is decided under the lock
//! is decided once; signing is done after it, and since FDMS's signatures are the same for the same
//! text every time, a repeated receipt gets the original one.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clock::{SharedClock, Timestamp};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::answer::{Answer, Document, Refusal};
use crate::ca::{self, Authority, IssuedCertificate};
use crate::call::Call;
use crate::csr::DeviceRequest;
use crate::finding::{ValidationError, validation_errors};
use crate::query::Query;
use crate::signing;
use crate::world::{FileMessage, ModelHeaders, World};

/// A request that has found its call.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) call: Call,
    /// 0 for GetServerCertificate, which is nobody's.
    pub(crate) device_id: u32,
    /// SHA-256 of the client's certificate, if it showed one.
    pub(crate) fingerprint: Option<[u8; 32]>,
    /// The address it came from.
    pub(crate) sender: IpAddr,
    pub(crate) model: ModelHeaders,
    pub(crate) content_type: Option<String>,
    /// A user's.
    pub(crate) token: Option<String>,
    pub(crate) query: Query,
    pub(crate) body: String,
    /// The certificate that it got when it was processed for the first time, if it is played again.
    pub(crate) issued: Option<IssuedCertificate>,
}

/// The whole of FDMS but its network.
#[derive(Debug)]
pub(crate) struct Service {
    world: Mutex<World>,
    authority: Arc<Authority>,
    clock: SharedClock,
    operation_prefix: String,
    operations: AtomicU64,
    /// Off while requests are played again: nobody reads those signatures, and each takes its time.
    signs: AtomicBool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ServerSignature {
    certificate_thumbprint: String,
    hash: String,
    signature: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SubmitAnswer {
    #[serde(rename = "receiptID")]
    receipt_id: i64,
    server_date: String,
    receipt_server_signature: ServerSignature,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    validation_errors: Vec<ValidationError>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ServerCertificate {
    certificate: Vec<String>,
    certificate_valid_till: String,
}

impl Service {
    pub(crate) fn new(
        world: World,
        authority: impl Into<Arc<Authority>>,
        clock: SharedClock,
        seed: u64,
    ) -> Self {
        Self {
            world: Mutex::new(world),
            authority: authority.into(),
            clock,
            operation_prefix: operation_prefix(seed),
            operations: AtomicU64::new(0),
            signs: AtomicBool::new(true),
        }
    }

    /// Whether answers are signed.
    pub(crate) fn set_signing(&self, signs: bool) {
        self.signs.store(signs, Ordering::Relaxed);
    }

    /// Operations are numbered from behind `last` on.
    pub(crate) fn continue_operations(&self, last: u64) {
        self.operations.store(last, Ordering::Relaxed);
    }

    /// The world as it is now: files whose time has come are processed first.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.process_files(self.now());
        world
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.wall()
    }

    pub(crate) fn clock(&self) -> &SharedClock {
        &self.clock
    }

    pub(crate) fn ca_pem(&self) -> String {
        self.authority.root_pem()
    }

    /// A new operation ID.
    pub(crate) fn operation_id(&self) -> String {
        let count = self.operations.fetch_add(1, Ordering::Relaxed) + 1;
        format!("{}:{count:08}", self.operation_prefix)
    }

    /// Processes a request.
    pub(crate) fn answer(&self, request: &Request, operation_id: &str) -> Document {
        let answer = self.process(request, operation_id);
        let answer = answer.unwrap_or_else(Answer::Refused);
        answer.document(operation_id)
    }

    fn process(&self, request: &Request, operation_id: &str) -> Result<Answer, Refusal> {
        match request.call {
            Call::GetServerCertificate => self.server_certificate(request.query.get("thumbprint")),
            Call::VerifyTaxpayerInformation => {
                let world = self.world();
                let information = world.verify_taxpayer(request.device_id, &request.body)?;
                Ok(Answer::success(&information))
            }
            Call::RegisterDevice => self.register(request),
            _ => self.process_for_device(request, operation_id),
        }
    }

    /// The calls of a registered device.
    fn process_for_device(&self, request: &Request, operation_id: &str) -> Result<Answer, Refusal> {
        let now = self.now();
        let device = request.device_id;
        let mut world = self.world();
        let valid_till = world.authenticate(device, request.fingerprint, now);
        let valid_till = valid_till.map_err(|refusal| match refusal {
            Refusal::Code(..) if request.call.answers_not_found() => {
                Refusal::status(404, "Not existing device with provided device id")
            }
            refusal => refusal,
        })?;
        world.admit(device, &request.model)?;
        match request.call {
            Call::GetConfig => Ok(Answer::success(&world.config(device, valid_till, now)?)),
            Call::Ping => {
                #[derive(Serialize)]
                #[serde(rename_all = "camelCase")]
                struct PingAnswer {
                    reporting_frequency: u32,
                }
                let reporting_frequency = world.reporting_frequency(device)?;
                Ok(Answer::success(&PingAnswer {
                    reporting_frequency,
                }))
            }
            Call::IssueCertificate => {
                drop(world);
                self.renew(request)
            }
            Call::SubmitFile => {
                let message = FileMessage {
                    body: &request.body,
                    content_type: request.content_type.as_deref(),
                    sender: Some(request.sender),
                    operation_id,
                };
                world.submit_file(device, message, now)?;
                Ok(Answer::success(&serde_json::Map::new()))
            }
            Call::SubmittedFileList => {
                let list = world.submitted_files(device, &request.query)?;
                Ok(Answer::list(&list))
            }
            Call::SearchStock => Ok(Answer::list(&world.search_stock(device, &request.query)?)),
            Call::SearchBranches => Ok(Answer::list(
                &world.search_branches(device, &request.query)?,
            )),
            Call::GetUsersList => Ok(Answer::success(&world.users(device, &request.query)?)),
            call if call.is_about_users() => {
                let token = request.token.as_deref();
                let done = world.user_call(device, call, token, &request.body, now)?;
                Ok(Answer::success(&done))
            }
            _ => {
                world.admit_online(device)?;
                self.process_online(request, world, now)
            }
        }
    }

    /// The calls of a device that reports receipt by receipt.
    fn process_online(
        &self,
        request: &Request,
        mut world: MutexGuard<'_, World>,
        now: Timestamp,
    ) -> Result<Answer, Refusal> {
        let (device, body) = (request.device_id, &request.body);
        match request.call {
            Call::OpenDay => {
                #[derive(Serialize)]
                #[serde(rename_all = "camelCase")]
                struct OpenAnswer {
                    fiscal_day_no: i32,
                }
                let fiscal_day_no = world.open_day(device, body, now)?;
                Ok(Answer::success(&OpenAnswer { fiscal_day_no }))
            }
            Call::SubmitReceipt => {
                let taken = world.submit(device, body, now)?;
                let grey = world.settings.grey_spelling;
                drop(world);
                let text = signing::receipt_server_string(
                    &taken.device_signature,
                    taken.receipt_id,
                    taken.server_date,
                );
                Ok(Answer::success(&SubmitAnswer {
                    receipt_id: taken.receipt_id,
                    server_date: taken.server_date.to_string(),
                    receipt_server_signature: self.sign(&text)?,
                    validation_errors: validation_errors(&taken.findings, grey),
                }))
            }
            Call::CloseDay => {
                world.close_day(device, body, now)?;
                Ok(Answer::success(&serde_json::Map::new()))
            }
            _ => {
                let mut status = world.status(device, now)?;
                drop(world);
                if let Some(text) = &status.to_sign {
                    let signature = self.sign(text)?;
                    let signature = serde_json::value::to_raw_value(&signature);
                    status.fiscal_day_server_signature = signature.ok();
                }
                Ok(Answer::success(&status))
            }
        }
    }

    fn register(&self, request: &Request) -> Result<Answer, Refusal> {
        let mut world = self.world();
        let device = request.device_id;
        let wanted = world.check_registration(device, &request.model, &request.body)?;
        let issued = self.issue(request, &wanted, world.settings.certificate_valid_days)?;
        world.register(device, &request.model, wanted, &issued)?;
        certificate_answer(&issued.pem)
    }

    fn renew(&self, request: &Request) -> Result<Answer, Refusal> {
        let mut world = self.world();
        let wanted = world.check_renewal(request.device_id, &request.body)?;
        let issued = self.issue(request, &wanted, world.settings.certificate_valid_days)?;
        world.renew(request.device_id, wanted, &issued)?;
        certificate_answer(&issued.pem)
    }

    /// A new certificate for so many days, or the one that this request got before.
    fn issue(
        &self,
        request: &Request,
        wanted: &DeviceRequest,
        days: u32,
    ) -> Result<IssuedCertificate, Refusal> {
        if let Some(issued) = &request.issued {
            return Ok(issued.clone());
        }
        let serial = ca::random().map_err(internal)?;
        let issued = self.authority.issue(wanted, self.now(), days, serial);
        issued.map_err(internal)
    }

    fn server_certificate(&self, thumbprint: Option<&str>) -> Result<Answer, Refusal> {
        let chain = self.authority.signing_chain();
        if let Some(wanted) = thumbprint.filter(|wanted| !wanted.is_empty()) {
            let is_hex = wanted.len() == 40 && wanted.bytes().all(|c| c.is_ascii_hexdigit());
            if !is_hex {
                let mut errors = crate::json::Errors::default();
                errors.push("thumbprint", "The field must be 40 hexadecimal digits.");
                return Err(Refusal::Fields(errors));
            }
            if !chain
                .iter()
                .any(|(_, known)| known.eq_ignore_ascii_case(wanted))
            {
                return Err(Refusal::status(
                    404,
                    "Certificate requested by thumbprint not found",
                ));
            }
        }
        let valid_till = self.authority.signing_valid_till().map_err(internal)?;
        Ok(Answer::success(&ServerCertificate {
            certificate: chain.map(|(pem, _)| pem).to_vec(),
            certificate_valid_till: valid_till.to_string(),
        }))
    }

    fn sign(&self, text: &str) -> Result<ServerSignature, Refusal> {
        let signature = if self.signs.load(Ordering::Relaxed) {
            self.authority.sign(text).map_err(internal)?
        } else {
            Vec::new()
        };
        Ok(ServerSignature {
            certificate_thumbprint: self.authority.signing_thumbprint(),
            hash: signing::hash_base64(text),
            signature: STANDARD.encode(signature),
        })
    }
}

fn certificate_answer(pem: &str) -> Result<Answer, Refusal> {
    #[derive(Serialize)]
    struct CertificateAnswer<'a> {
        certificate: &'a str,
    }
    let body: Box<RawValue> =
        serde_json::value::to_raw_value(&CertificateAnswer { certificate: pem })
            .map_err(|error| Refusal::status(500, error.to_string()))?;
    Ok(Answer::Success(body))
}

fn internal(error: anyhow::Error) -> Refusal {
    Refusal::status(500, format!("{error:#}"))
}

/// Thirteen letters and digits, as FDMS's operation IDs begin; the same for the same seed.
fn operation_prefix(seed: u64) -> String {
    const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHIJKLMNOPQRSTUV";
    // Spread over all bits, so that neighbouring seeds do not look alike (SplitMix64's finish).
    let mut bits = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let mut prefix = String::from("0H");
    for place in 0..11 {
        let index = usize::try_from((bits >> (place * 5)) & 31).unwrap_or(0);
        prefix.push(char::from(LETTERS[index]));
    }
    prefix
}
