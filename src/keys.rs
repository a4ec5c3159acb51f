//! Keys: a till's signing key and certificate, and the sealing of secrets in the ledger.
//!
//! A till has one private key for both its TLS connection and its signatures (docs/FDMS.md section 3).
//! It is made here, kept in memory that is wiped, and stored only sealed under the store's
//! [`SealingKey`], which lives outside the ledger. The [`RecoveryPassphrase`] made at set-up is the one
//! way to open a backup on another machine. Nothing in here prints a secret, not even `Debug`.

use std::path::PathBuf;

mod certificate;
mod device;
mod import;
mod recovery;
mod sealing;

pub use certificate::{Certificate, certificate_request};
pub use device::{DeviceKey, KeyKind, PublicKey, Signer};
pub use import::Imported;
pub use recovery::{RecoveryPassphrase, RecoveryWrap};
pub use sealing::{SealedCell, SealingKey};

/// What can go wrong with keys; each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The crypto library refused; the machine is out of memory or randomness.
    #[error(
        "{0} failed in the cryptographic library; restart the daemon, and if it happens again check the machine's memory"
    )]
    Crypto(&'static str),
    /// A private key that is neither P-256 nor RSA 2048, or no PKCS#8 at all.
    #[error(
        "this is not a private key that FDMS accepts (ECC P-256 or RSA 2048, as PKCS#8 DER); make a new key and register with it"
    )]
    PrivateKey,
    /// A public key of another kind than EC P-256 or RSA.
    #[error("{0} holds a public key that is neither EC P-256 nor RSA of at least 2048 bits")]
    PublicKey(&'static str),
    /// A certificate that cannot be read.
    #[error("the certificate cannot be read ({0}); it must be X.509 in PEM, as FDMS returned it")]
    Certificate(String),
    /// A certificate and key that were made elsewhere cannot be used.
    #[error("{0}")]
    Import(String),
    /// A subject that FDMS would answer with DEV03.
    #[error("{0}")]
    Subject(String),
    /// A sealed value that is no sealed value of ours.
    #[error(
        "the sealed value in {place} is damaged or was made by a newer version ({why}); restore the ledger from a backup"
    )]
    Sealed {
        /// Table, row and column.
        place: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Sealed under a key that is not the one we were given.
    #[error(
        "the sealed value in {place} was sealed with key {sealed_with}, but the key in use is {in_use}; use the sealing key that belongs to this ledger, or open it with the recovery passphrase"
    )]
    OtherKey {
        /// Table, row and column.
        place: String,
        /// Name of the key that is needed.
        sealed_with: String,
        /// Name of the key that was given.
        in_use: String,
    },
    /// The right key, but the value was changed or moved from another place.
    #[error(
        "the sealed value in {0} does not open: it was changed, or moved there from another row; restore the ledger from a backup"
    )]
    Tampered(String),
    /// The file of the sealing key cannot be used.
    #[error("the sealing key {path}: {why}", path = path.display())]
    SealingKeyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        why: String,
    },
    /// The service manager passed no credential of that name.
    #[error(
        "there is no systemd credential `{0}`; add `LoadCredential={0}:/path/to/the/file` to the unit, or name the sealing key's file in the configuration"
    )]
    NoCredential(String),
    /// A passphrase with a slip of the pen.
    #[error("the recovery passphrase is not typed correctly: {0}")]
    Passphrase(String),
    /// A well-formed passphrase, but of another store.
    #[error(
        "this recovery passphrase does not belong to this ledger; take the one that was shown when the store was set up"
    )]
    WrongPassphrase,
    /// The recovery record is damaged.
    #[error("the recovery record of the ledger is damaged ({0}); take another backup")]
    RecoveryRecord(&'static str),
}

/// Fills `target` with the operating system's randomness.
fn fill_random(target: &mut [u8]) -> Result<(), KeyError> {
    getrandom::fill(target).map_err(|_| KeyError::Crypto("reading random bytes"))
}
