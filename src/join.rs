//! A till joins the store: first set-up of the ledger, and the registration of a device with FDMS.
//!
//! Each step is kept before the next is taken, the private key before FDMS hears of it: whatever
//! interrupts a registration, it is run again and goes on where it was. The one thing that cannot be got
//! back is the answer of RegisterDevice: the activation key works once (docs/FDMS.md section 3).

use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use clock::SharedClock;
use fiscal::DeviceId;

use crate::config::Config;
use crate::fdms::{Answer, Asking, Fdms, HttpFdms, Identity, Outcome, wire};
use crate::keys::{
    Certificate, DeviceKey, KeyError, KeyKind, RecoveryPassphrase, RecoveryWrap, SealingKey,
    certificate_request,
};
use crate::ledger::core::Core;
use crate::ledger::holds::HoldKind;
use crate::ledger::replacing::may_begin;
use crate::ledger::tills::NewTill;
use crate::ledger::{Environment, Ledger, LedgerError, StorageError, TillId, TillInfo};
use crate::submit::Access;

mod import;

pub use import::import;

/// Why a till has not joined; each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// There is a ledger, but its sealing key is gone.
    #[error(
        "the ledger {ledger} is there, but its sealing key {key} is not; put the key back, or open the ledger with the recovery passphrase",
        ledger = ledger.display(), key = key.display()
    )]
    SealingKeyGone {
        /// The ledger.
        ledger: PathBuf,
        /// Where the key should be.
        key: PathBuf,
    },
    /// The folder of the ledger cannot be made.
    #[error("the folder {path} cannot be made ({why}); check its owner", path = path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// Keys.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The client cannot be made.
    #[error("{0}")]
    Client(String),
    /// The till is in this ledger with another serial number or model.
    #[error(
        "the till {device} is in this store already with {what} \"{kept}\", not \"{given}\"; a till never changes it: take the same, or check the device ID"
    )]
    OtherTill {
        /// The till.
        device: DeviceId,
        /// What differs.
        what: &'static str,
        /// What the ledger has.
        kept: String,
        /// What was given.
        given: String,
    },
    /// FDMS says no.
    #[error("{0}")]
    Refused(Box<crate::fdms::Refusal>),
    /// FDMS says that the activation key is used, and it may have been this store that used it.
    #[error(
        "FDMS does not take the activation key (DEV02). If it is typed correctly, an earlier try has used it up and its answer with the certificate was lost, which FDMS gives only once: ask the authority for a new activation key for the device {0} and register again. The till's key is kept, nothing else is lost"
    )]
    AnswerLost(DeviceId),
    /// FDMS was not reached, or was out of order; nothing happened there.
    #[error("{0}. Nothing was lost: register again when FDMS can be reached")]
    Later(String),
    /// RegisterDevice was sent and no answer came.
    #[error(
        "{0}. FDMS may have registered the device all the same: register again; if FDMS then says DEV02, ask the authority for a new activation key. The till's key is kept"
    )]
    Doubt(String),
    /// A certificate that is not ours.
    #[error(
        "FDMS issued a certificate for another key or device ({0}); it was not kept. Check serial number and device ID, and speak to the authority"
    )]
    WrongCertificate(String),
    /// A certificate of another device.
    #[error(
        "the certificate is of {found}, but this till's is of {expected}; check serial number and device ID"
    )]
    OthersCertificate {
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
    /// A certificate that is not valid now.
    #[error(
        "the certificate is not valid now (it ends at {0}); register the device with an activation key instead"
    )]
    CertificateEnded(String),
}

impl From<StorageError> for JoinError {
    fn from(error: StorageError) -> Self {
        Self::Ledger(error.into())
    }
}

/// A ledger that is set up.
#[derive(Debug)]
pub struct SetUp {
    /// The ledger.
    pub core: Core,
    /// The recovery passphrase, if it was made just now: to be shown to a person, once.
    pub passphrase: Option<RecoveryPassphrase>,
}

/// Opens the store's ledger; the first time it makes the folder, the sealing key and the recovery
/// passphrase. An interrupted first time is simply done again. It blocks, up to a second.
///
/// # Errors
/// The key of an existing ledger is gone, or folder, key or ledger cannot be used.
pub fn set_up(config: &Config, clock: SharedClock) -> Result<SetUp, JoinError> {
    let ledger = config.ledger_path();
    // Before a key is made that no ledger here is sealed with.
    may_begin(&ledger)?;
    let folder = config.data_dir();
    let mut private = std::fs::DirBuilder::new();
    private.recursive(true).mode(0o700);
    private.create(&folder).map_err(|error| JoinError::Folder {
        path: folder,
        why: error.to_string(),
    })?;
    let key_path = config.sealing_key_path();
    let sealing = match config.sealing_key() {
        Ok(key) => key,
        Err(KeyError::SealingKeyFile { .. }) if !key_path.exists() => {
            if ledger.exists() {
                let key = key_path;
                return Err(JoinError::SealingKeyGone { ledger, key });
            }
            SealingKey::generate(&key_path)?
        }
        Err(error) => return Err(error.into()),
    };
    let settings = config.settings().map_err(JoinError::Client)?;
    let mut core = Core::open(&ledger, sealing.clone(), clock, settings)?;
    let passphrase = match core.recovery()? {
        Some(_) => None,
        None => Some(renew_recovery(&mut core, &sealing)?),
    };
    Ok(SetUp { core, passphrase })
}

/// Makes a new recovery passphrase; the one before no longer opens this ledger (older backups it does).
///
/// # Errors
/// No randomness, or a fault of the storage.
pub fn renew_recovery(
    core: &mut Core,
    sealing: &SealingKey,
) -> Result<RecoveryPassphrase, JoinError> {
    let passphrase = RecoveryPassphrase::generate()?;
    let wrap = RecoveryWrap::wrap(sealing, &passphrase)?;
    core.write(|core| core.set_recovery(&wrap))?;
    Ok(passphrase)
}

/// How far the registration of a till has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The till is not in this ledger.
    New,
    /// The till and perhaps its key are here; FDMS may have heard of it.
    Begun,
    /// It has its certificate.
    Registered,
}

/// How far it has come, so that a person is not asked for what is no longer needed.
///
/// # Errors
/// A fault of the storage.
pub async fn progress(ledger: &Ledger, till: &NewTill) -> Result<Progress, JoinError> {
    let Some(info) = find(ledger, till).await? else {
        return Ok(Progress::New);
    };
    let certificate = ledger.ask(move |reader| reader.certificate_pem(info.id));
    Ok(match certificate.await? {
        Some(_) => Progress::Registered,
        None => Progress::Begun,
    })
}

/// Taxpayer and branch behind an activation key: shown to a person, who confirms before registering.
///
/// # Errors
/// FDMS says no or cannot be reached.
pub async fn verify_taxpayer(
    access: &Access,
    till: &NewTill,
    activation_key: &str,
) -> Result<wire::Taxpayer, JoinError> {
    let client = access
        .client(&info(till), None)
        .map_err(JoinError::Client)?;
    let answer = client
        .verify_taxpayer(activation_key, &till.serial_no)
        .await;
    yes(answer)
}

/// What a registration is given.
pub struct Registration<'a> {
    /// The till.
    pub till: NewTill,
    /// The activation key, from the taxpayer's portal.
    pub activation_key: &'a str,
    /// Which kind of key to make.
    pub kind: KeyKind,
    /// Registers anew a till that has a certificate: it was revoked, or has expired. The old certificate ends
    /// at once; the key stays, unless another kind is wanted.
    pub again: bool,
    /// Who does it, for the audit.
    pub actor: &'a str,
}

impl std::fmt::Debug for Registration<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The activation key is a secret until it is used.
        f.debug_struct("Registration")
            .field("till", &self.till)
            .field("kind", &self.kind)
            .field("again", &self.again)
            .field("actor", &self.actor)
            .finish_non_exhaustive()
    }
}

/// A till that can sell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// Its row.
    pub till: TillId,
    /// What FDMS has configured for it.
    pub config: wire::Config,
    /// Where its fiscal day stands at FDMS.
    /// None for a device that reports by file, which FDMS does not tell.
    pub status: Option<wire::Status>,
    /// Whether it had been registered before, and only its configuration was fetched.
    pub was_registered: bool,
    /// The device has days or receipts at FDMS that are not in this ledger, as a sentence: it was used
    /// with another gateway, or this ledger is new or an old copy. FDMS would not take numbers that start
    /// anew at 1.
    pub foreign_past: Option<String>,
}

/// Registers a till, from wherever an earlier try has ended. A person has confirmed the taxpayer before.
///
/// # Errors
/// See [`JoinError`]; run again after each of them.
pub async fn register(
    ledger: &Ledger,
    access: &Access,
    registration: &Registration<'_>,
) -> Result<Joined, JoinError> {
    let info = keep_till(ledger, &registration.till, registration.actor).await?;
    let id = info.id;
    let mut identity = ledger.write(move |core| core.identity(id)).await?;
    let was_registered = identity.is_some() && !registration.again;
    if !was_registered {
        let pem = register_key(ledger, access, &info, registration).await?;
        tracing::info!(till = %info.device_id, certificate = pem, "FDMS has registered the device");
        identity = ledger.write(move |core| core.identity(id)).await?;
    }
    let (key, pem) = identity.ok_or_else(|| {
        StorageError::Damaged(format!("the certificate of {} is gone", info.device_id))
    })?;
    let identity = Identity {
        certificate: Certificate::from_pem(&pem)?,
        key: Arc::new(key),
    };
    finish(ledger, access, &info, identity, was_registered).await
}

/// What follows once a till has its identity: configuration, and a look at where FDMS stands. A till with a past that
/// is not in this ledger does not sell before that is settled.
async fn finish(
    ledger: &Ledger,
    access: &Access,
    info: &TillInfo,
    identity: Identity,
    was_registered: bool,
) -> Result<Joined, JoinError> {
    let client = access
        .client(info, Some(identity))
        .map_err(JoinError::Client)?;
    let config = fetch_config(ledger, &client, info).await?;
    let (status, day, receipt) = if config.operating_mode == wire::OperatingMode::Offline {
        let files = list_files(ledger, &client).await?;
        (
            None,
            files.rows.iter().map(|row| row.day_no).max().unwrap_or(0),
            0,
        )
    } else {
        let status = yes(learning(ledger, client.get_status()).await)?;
        let day = status.last_fiscal_day_no.unwrap_or(0);
        let receipt = status.last_receipt_global_no.unwrap_or(0);
        (Some(status), day, receipt)
    };
    let foreign_past = foreign_past(ledger, info, (day, receipt)).await?;
    if let Some(past) = foreign_past.clone() {
        let id = info.id;
        ledger
            .write(move |core| core.hold_till(id, HoldKind::Ahead, &past, "fdms"))
            .await?;
    }
    Ok(Joined {
        till: info.id,
        foreign_past,
        config,
        status,
        was_registered,
    })
}

/// The till's row, made now or found from an earlier try.
async fn keep_till(ledger: &Ledger, till: &NewTill, actor: &str) -> Result<TillInfo, JoinError> {
    let till = till.clone();
    if let Some(kept) = find(ledger, &till).await? {
        let pairs = [
            ("serial number", &kept.serial_no, &till.serial_no),
            ("model name", &kept.model_name, &till.model_name),
            ("model version", &kept.model_version, &till.model_version),
        ];
        if let Some((what, kept, given)) = pairs.into_iter().find(|(_, kept, given)| kept != given)
        {
            return Err(JoinError::OtherTill {
                device: till.device_id,
                what,
                kept: kept.clone(),
                given: given.clone(),
            });
        }
        return Ok(kept);
    }
    let actor = actor.to_owned();
    let mut info = info(&till);
    info.id = ledger
        .write(move |core| core.add_till(&till, &actor))
        .await?;
    Ok(info)
}

/// Makes or finds the key, has it certified, and keeps the certificate; its thumbprint.
async fn register_key(
    ledger: &Ledger,
    access: &Access,
    info: &TillInfo,
    registration: &Registration<'_>,
) -> Result<String, JoinError> {
    let id = info.id;
    let (pending, in_use) = ledger
        .write(move |core| Ok((core.pending_key(id)?, core.key_in_use(id)?)))
        .await?;
    let was_tried = pending.is_some();
    let is_wanted = |(_, key): &(i64, DeviceKey)| key.kind() == registration.kind;
    // A till that is registered anew keeps its key: what it has signed and not sent yet stays valid.
    let (key_id, key) = match pending.or(in_use).filter(is_wanted) {
        Some((key_id, key)) => (key_id, Arc::new(key)),
        None => make_key(ledger, id, registration).await?,
    };
    let request = certificate_request(&key, &info.serial_no, info.device_id.get(), false)?;
    let client = access.client(info, None).map_err(JoinError::Client)?;
    let asking = client.register_device(registration.activation_key, &request);
    let pem = match learning(ledger, asking).await.outcome {
        Outcome::Accepted(issued) => issued.certificate,
        Outcome::Refused(refusal) if was_tried && refusal.code.as_deref() == Some("DEV02") => {
            return Err(JoinError::AnswerLost(info.device_id));
        }
        Outcome::Refused(refusal) => return Err(JoinError::Refused(Box::new(refusal))),
        Outcome::Later(delay) if delay.was_sent() => {
            return Err(JoinError::Doubt(delay.to_string()));
        }
        Outcome::Later(delay) => return Err(JoinError::Later(delay.to_string())),
        Outcome::Unknown(doubt) => return Err(JoinError::Doubt(doubt.to_string())),
    };
    let certificate = Certificate::from_pem(&pem)?;
    if !certificate.belongs_to(&*key) {
        return Err(JoinError::WrongCertificate(
            certificate.common_name().to_owned(),
        ));
    }
    let actor = registration.actor.to_owned();
    ledger
        .write(move |core| core.add_certificate(id, key_id, &pem, &actor))
        .await?;
    Ok(certificate.thumbprint().to_owned())
}

/// A new key, kept before anybody hears of it.
async fn make_key(
    ledger: &Ledger,
    till: TillId,
    registration: &Registration<'_>,
) -> Result<(i64, Arc<DeviceKey>), JoinError> {
    let kind = registration.kind;
    // An RSA key takes up to a second.
    let key = tokio::task::spawn_blocking(move || DeviceKey::generate(kind)).await;
    let key = Arc::new(key.unwrap_or(Err(KeyError::Crypto("making a key")))?);
    let kept = Arc::clone(&key);
    let actor = registration.actor.to_owned();
    let key_id = ledger
        .write(move |core| core.add_key(till, &kept, &actor))
        .await?;
    Ok((key_id, key))
}

async fn fetch_config(
    ledger: &Ledger,
    client: &HttpFdms,
    info: &TillInfo,
) -> Result<wire::Config, JoinError> {
    let answer = learning(ledger, client.get_config()).await;
    let body = answer.evidence.body.clone().unwrap_or_default();
    let config = yes(answer)?;
    let id = info.id;
    ledger
        .write(move |core| core.store_config(id, &body))
        .await?;
    Ok(config)
}

/// What FDMS has of a device that reports by file: its last three months.
async fn list_files(ledger: &Ledger, client: &HttpFdms) -> Result<wire::FileList, JoinError> {
    let now = ledger.time().now();
    let day = jiff::SignedDuration::from_hours(24);
    let (from, till) = (clock::local(now - day * 98), clock::local(now + day));
    yes(learning(ledger, client.list_files(from, till, 0)).await)
}

/// Compares FDMS's last numbers with this ledger's.
async fn foreign_past(
    ledger: &Ledger,
    info: &TillInfo,
    (day, receipt): (u64, u64),
) -> Result<Option<String>, JoinError> {
    let id = info.id;
    let own = ledger.ask(move |reader| {
        let day = reader
            .day(id, None)?
            .map_or(0, |day| day.fiscal_day_no.get());
        let (receipt, _) = reader.last_receipt(id)?;
        Ok((u64::from(day), u64::from(receipt.get())))
    });
    let (own_day, own_receipt) = own.await?;
    Ok((day > own_day || receipt > own_receipt).then(|| {
        format!(
            "FDMS has the device {} at day {day} and receipt {receipt}, this ledger at day {own_day} and \
             receipt {own_receipt}: the device was used with another gateway, or this ledger is new or an \
             old copy. It sells once that is settled: `fiscald till adopt` lets it go on from FDMS's numbers",
            info.device_id
        )
    }))
}

/// An answer tells what time it is at FDMS: at set-up nothing else vouches for the clock.
async fn learning<T>(ledger: &Ledger, asking: Asking<'_, T>) -> Answer<T> {
    let answer = asking.await;
    if let Some(date) = answer.evidence.server_date {
        ledger.time().learn(date, answer.evidence.round_trip);
    }
    answer
}

fn yes<T>(answer: Answer<T>) -> Result<T, JoinError> {
    match answer.outcome {
        Outcome::Accepted(value) => Ok(value),
        Outcome::Refused(refusal) => Err(JoinError::Refused(Box::new(refusal))),
        Outcome::Later(delay) => Err(JoinError::Later(delay.to_string())),
        Outcome::Unknown(doubt) => Err(JoinError::Later(doubt.to_string())),
    }
}

async fn find(ledger: &Ledger, till: &NewTill) -> Result<Option<TillInfo>, JoinError> {
    let (environment, device): (Environment, DeviceId) = (till.environment, till.device_id);
    let tills = ledger.ask(crate::ledger::Reader::tills).await?;
    let is_it = |info: &TillInfo| info.environment == environment && info.device_id == device;
    Ok(tills.into_iter().find(is_it))
}

/// A till's description before it has a row.
fn info(till: &NewTill) -> TillInfo {
    TillInfo {
        id: TillId(0),
        environment: till.environment,
        device_id: till.device_id,
        serial_no: till.serial_no.clone(),
        model_name: till.model_name.clone(),
        model_version: till.model_version.clone(),
        invoice_prefix: till.invoice_prefix.clone(),
    }
}
