//! The sandbox's own certification authority and signing key.
//!
//! A root, the certificate FDMS signs answers with (both RSA 2048, as the authority's are) and the TLS
//! server's certificate; devices are issued theirs from a PKCS#10 request (docs/FDMS.md section 3).
//! Keys are made when the sandbox starts, or kept in a folder when one is given.

use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clock::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, SanType, SerialNumber, SigningKey,
    SubjectPublicKeyInfo,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::csr::DeviceRequest;

/// A device's certificate is valid from a little before its issue, so that a clock which is set back in
/// a test does not make it invalid.
const BACKDATED: Duration = Duration::from_secs(24 * 3600);
/// The sandbox's own certificates last from 2020 to 2100: they must be valid by the machine's clock and
/// by any clock of a test.
const OWN_YEARS: (i32, i32) = (2020, 2100);

/// The root, the signing certificate and the TLS server's certificate, with their keys.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    signing: CertificateDer<'static>,
    signing_key: KeyPair,
    server: CertificateDer<'static>,
    server_key: PrivateKeyDer<'static>,
}

/// A certificate as issued to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IssuedCertificate {
    pub(crate) pem: String,
    /// SHA-256 of the DER: what the sandbox knows it by.
    pub(crate) fingerprint: [u8; 32],
    pub(crate) valid_from: Timestamp,
    pub(crate) valid_till: Timestamp,
}

impl fmt::Debug for Authority {
    /// Nothing of the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes everything anew, or takes root and signing key from `folder`, where they are kept.
    ///
    /// # Errors
    /// The folder cannot be read or written, or holds something else.
    pub(crate) fn open(folder: Option<&Path>) -> Result<Self> {
        let root_key = kept_key(folder, "ca-key.pem")?;
        let root_params = root_params();
        let root = kept_certificate(folder, "ca.pem", || Ok(root_params.self_signed(&root_key)?))?;
        let issuer = Issuer::from_ca_cert_der(&root, root_key)?;

        let signing_key = kept_key(folder, "signing-key.pem")?;
        let signing = kept_certificate(folder, "signing.pem", || {
            let mut params = own_params("FDMS sandbox signing")?;
            params.key_usages = vec![
                KeyUsagePurpose::DigitalSignature,
                KeyUsagePurpose::ContentCommitment,
            ];
            Ok(params.signed_by(&signing_key, &issuer)?)
        })?;

        let server_key = KeyPair::generate()?;
        let server = server_params()?.signed_by(&server_key, &issuer)?;
        let server_key = PrivatePkcs8KeyDer::from(server_key.serialize_der());
        Ok(Self {
            issuer,
            root,
            signing,
            signing_key,
            server: server.der().clone(),
            server_key: server_key.into(),
        })
    }

    /// The root, as PEM.
    pub(crate) fn root_pem(&self) -> String {
        pem_of(&self.root)
    }

    /// The TLS server's chain and key.
    pub(crate) fn server_identity(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (
            vec![self.server.clone(), self.root.clone()],
            self.server_key.clone_key(),
        )
    }

    /// The chain of the signing certificate, root first, each with its SHA-1 thumbprint in hex.
    pub(crate) fn signing_chain(&self) -> [(String, String); 2] {
        [&self.root, &self.signing].map(|der| (pem_of(der), thumbprint(der)))
    }

    /// SHA-1 of the signing certificate, in hex.
    pub(crate) fn signing_thumbprint(&self) -> String {
        thumbprint(&self.signing)
    }

    /// The last moment of the signing certificate.
    pub(crate) fn signing_valid_till(&self) -> Result<Timestamp> {
        let (_, certificate) = x509_parser::parse_x509_certificate(&self.signing)?;
        Ok(Timestamp::from_second(
            certificate.validity().not_after.timestamp(),
        )?)
    }

    /// RSA with SHA-256, PKCS#1 v1.5: the same signature for the same text, every time.
    ///
    /// # Errors
    /// The key does not sign; it always does.
    pub(crate) fn sign(&self, text: &str) -> Result<Vec<u8>> {
        Ok(self.signing_key.sign(text.as_bytes())?)
    }

    /// Issues a device's certificate for `days` days from `now`, with `serial` as its number.
    ///
    /// # Errors
    /// The request's key is of a kind that cannot be issued, or the end is beyond the calendar's.
    pub(crate) fn issue(
        &self,
        request: &DeviceRequest,
        now: Timestamp,
        days: u32,
        serial: [u8; 16],
    ) -> Result<IssuedCertificate> {
        let valid_from = whole_second(now.checked_sub(BACKDATED)?)?;
        let length = Duration::from_secs(u64::from(days) * 24 * 3600);
        let valid_till = whole_second(now.checked_add(length)?)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = authority_name(&request.common_name);
        params.not_before = rcgen::date_time_ymd(2000, 1, 1) + since_2000(valid_from)?;
        params.not_after = rcgen::date_time_ymd(2000, 1, 1) + since_2000(valid_till)?;
        params.serial_number = Some(positive(serial));
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::ContentCommitment,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let public_key = SubjectPublicKeyInfo::from_der(&request.public_key_info)?;
        let certificate = params.signed_by(&public_key, &self.issuer)?;
        Ok(IssuedCertificate {
            pem: certificate.pem(),
            fingerprint: fingerprint(certificate.der()),
            valid_from,
            valid_till,
        })
    }
}

impl IssuedCertificate {
    /// One that was issued before.
    ///
    /// # Errors
    /// It is no certificate.
    pub(crate) fn read(pem: &str) -> Result<Self> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .context("an issued certificate is no PEM")?;
        let (_, certificate) = x509_parser::parse_x509_certificate(&der)
            .context("an issued certificate cannot be read")?;
        let validity = certificate.validity();
        Ok(Self {
            pem: pem.to_owned(),
            fingerprint: fingerprint(&der),
            valid_from: Timestamp::from_second(validity.not_before.timestamp())?,
            valid_till: Timestamp::from_second(validity.not_after.timestamp())?,
        })
    }
}

/// SHA-256 of a certificate.
pub(crate) fn fingerprint(der: &CertificateDer<'_>) -> [u8; 32] {
    Sha256::digest(der).into()
}

fn thumbprint(der: &CertificateDer<'_>) -> String {
    let digest = Sha1::digest(der);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn pem_of(der: &CertificateDer<'_>) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for start in (0..text.len()).step_by(64) {
        let end = text.len().min(start + 64);
        pem.push_str(text.get(start..end).unwrap_or_default());
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

/// C, ST and O as FDMS fills them in, and the common name.
fn authority_name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CountryName, "ZW");
    name.push(DnType::StateOrProvinceName, "Zimbabwe");
    name.push(DnType::OrganizationName, "Zimbabwe Revenue Authority");
    name.push(DnType::CommonName, common_name);
    name
}

fn own_params(common_name: &str) -> Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = authority_name(common_name);
    params.not_before = rcgen::date_time_ymd(OWN_YEARS.0, 1, 1);
    params.not_after = rcgen::date_time_ymd(OWN_YEARS.1, 1, 1);
    params.serial_number = Some(positive(random()?));
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn root_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = authority_name("FDMS sandbox root, for tests only");
    params.not_before = rcgen::date_time_ymd(OWN_YEARS.0, 1, 1);
    params.not_after = rcgen::date_time_ymd(OWN_YEARS.1, 1, 1);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    params
}

fn server_params() -> Result<CertificateParams> {
    let mut params = own_params("localhost")?;
    params.subject_alt_names = vec![
        SanType::DnsName("localhost".try_into()?),
        SanType::IpAddress(IpAddr::from([127, 0, 0, 1])),
        SanType::IpAddress(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])),
    ];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

/// Sixteen random bytes.
pub(crate) fn random() -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).context("the system gives no randomness")?;
    Ok(bytes)
}

/// A serial number is positive and short.
fn positive(mut bytes: [u8; 16]) -> SerialNumber {
    bytes[0] = (bytes[0] & 0x3f) | 0x40;
    SerialNumber::from_slice(&bytes)
}

fn whole_second(at: Timestamp) -> Result<Timestamp> {
    Ok(Timestamp::from_second(at.as_second())?)
}

fn since_2000(at: Timestamp) -> Result<Duration> {
    let seconds = at.as_second() - 946_684_800;
    let seconds = u64::try_from(seconds).context("the sandbox's clock is before 2000")?;
    Ok(Duration::from_secs(seconds))
}

/// The key kept under `name`, or a new one, which is kept there.
fn kept_key(folder: Option<&Path>, name: &str) -> Result<KeyPair> {
    let Some(path) = folder.map(|folder| folder.join(name)) else {
        return Ok(KeyPair::generate_for(&PKCS_RSA_SHA256)?);
    };
    if path.exists() {
        let pem =
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let der = PrivateKeyDer::from_pem_slice(pem.as_bytes())
            .with_context(|| format!("{} is no private key", path.display()))?;
        return Ok(KeyPair::from_der_and_sign_algo(&der, &PKCS_RSA_SHA256)?);
    }
    let key = KeyPair::generate_for(&PKCS_RSA_SHA256)?;
    write_private(&path, &key.serialize_pem())
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(key)
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// The certificate kept under `name`, or a new one, which is kept there.
fn kept_certificate(
    folder: Option<&Path>,
    name: &str,
    make: impl FnOnce() -> Result<rcgen::Certificate>,
) -> Result<CertificateDer<'static>> {
    let Some(path) = folder.map(|folder| folder.join(name)) else {
        return Ok(make()?.der().clone());
    };
    if path.exists() {
        let pem = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let der = CertificateDer::from_pem_slice(&pem)
            .with_context(|| format!("{} is no certificate", path.display()))?;
        ensure!(!der.is_empty(), "{} is empty", path.display());
        return Ok(der);
    }
    let certificate = make()?;
    fs::write(&path, certificate.pem()).with_context(|| format!("writing {}", path.display()))?;
    Ok(certificate.der().clone())
}
