//! Sealing of secrets in the ledger: AES-256-GCM under a key that is not in the ledger.
//!
//! A sealed value is bound to its place (table, row, column), so that it cannot be moved to another
//! row, and carries the name of its key, so that the wrong key is told from damage. The key comes from
//! a file or a systemd credential, never from a command line or the environment.
//!
//! Blob: version 1 · key name (8 bytes) · nonce (12 bytes) · ciphertext and tag.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{KeyError, fill_random};

/// Version of the blob format.
const VERSION: u8 = 1;
const KEY_LEN: usize = 32;
const NAME_LEN: usize = 8;
const NONCE_LEN: usize = 12;
const TAG_LEN: usize = 16;
/// A key file holds 64 hex digits at most; more than this is some other file.
const FILE_MAX: u64 = 4096;

/// The place of a sealed value: it opens nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedCell<'a> {
    /// Table.
    pub table: &'a str,
    /// The row's identity, written as text.
    pub row: &'a str,
    /// Column.
    pub column: &'a str,
}

impl SealedCell<'_> {
    /// Unambiguous bytes for the associated data: each part preceded by its length.
    fn associated_data(&self) -> Vec<u8> {
        let mut bytes = b"fiscald sealed cell".to_vec();
        for part in [self.table, self.row, self.column] {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend(part.as_bytes());
        }
        bytes
    }
}

impl fmt::Display for SealedCell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} of row {}", self.table, self.column, self.row)
    }
}

/// The key under which a store's secrets are sealed.
#[derive(Clone)]
pub struct SealingKey {
    bytes: Zeroizing<[u8; KEY_LEN]>,
}

impl SealingKey {
    /// A new random key, held in memory only.
    ///
    /// # Errors
    /// No randomness.
    pub fn random() -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new([0; KEY_LEN]);
        fill_random(bytes.as_mut_slice())?;
        Ok(Self { bytes })
    }

    /// Makes a key at set-up and writes it to a new file (hex, mode 0600, on disk when this returns).
    ///
    /// # Errors
    /// The file exists already (it is never overwritten: what it seals would be lost), or cannot be
    /// written.
    pub fn generate(path: &Path) -> Result<Self, KeyError> {
        let key = Self::random()?;
        key.write_new(path)?;
        Ok(key)
    }

    /// Writes the key to a new file, as [`SealingKey::generate`] does; for a key that was recovered.
    ///
    /// # Errors
    /// As [`SealingKey::generate`].
    pub fn write_new(&self, path: &Path) -> Result<(), KeyError> {
        let failed = |error: std::io::Error| {
            file_error(path, match error.kind() {
                std::io::ErrorKind::AlreadyExists => {
                    "the file exists already and is not overwritten; keep it, or choose another path"
                        .to_owned()
                }
                _ => format!("cannot be written ({error}); check the folder and its owner"),
            })
        };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        let mut text = Zeroizing::new(String::with_capacity(2 * KEY_LEN + 1));
        for byte in self.bytes.iter() {
            use std::fmt::Write as _;
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text.push('\n');
        file.write_all(text.as_bytes()).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(failed)
    }

    /// Reads a key from a file that nobody but its owner may read: 32 bytes, or hex, or base64.
    ///
    /// # Errors
    /// The file is missing, readable for group or others, or holds no key.
    pub fn from_file(path: &Path) -> Result<Self, KeyError> {
        Self::read(path, 0o077)
    }

    /// Reads a key from the systemd credential `name` (`LoadCredential=` or
    /// `LoadCredentialEncrypted=`).
    ///
    /// systemd lets a service's own user in by an access list, which shows as a group's right; so only
    /// the rights of others are judged here.
    ///
    /// # Errors
    /// There is no such credential, or it holds no key.
    pub fn from_credential(name: &str) -> Result<Self, KeyError> {
        let folder = std::env::var_os("CREDENTIALS_DIRECTORY")
            .map(PathBuf::from)
            .ok_or_else(|| KeyError::NoCredential(name.to_owned()))?;
        Self::from_credential_in(&folder, name)
    }

    fn from_credential_in(folder: &Path, name: &str) -> Result<Self, KeyError> {
        let path = folder.join(name);
        // A name is one path element: it cannot lead out of the folder.
        if Path::new(name).file_name() != Some(name.as_ref()) || !path.exists() {
            return Err(KeyError::NoCredential(name.to_owned()));
        }
        Self::read(&path, 0o007)
    }

    fn read(path: &Path, forbidden: u32) -> Result<Self, KeyError> {
        let failed = |error: std::io::Error| {
            file_error(
                path,
                match error.kind() {
                    std::io::ErrorKind::NotFound => {
                        "there is no such file; make one at set-up, or put the store's key back"
                            .to_owned()
                    }
                    _ => format!("cannot be read ({error}); check that the daemon's user owns it"),
                },
            )
        };
        let file = File::open(path).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        if !about.is_file() || about.len() > FILE_MAX {
            return Err(file_error(
                path,
                "is not a key file; check the path".to_owned(),
            ));
        }
        if about.mode() & forbidden != 0 {
            return Err(file_error(
                path,
                format!(
                    "others than its owner may read it (mode {:03o}); run: chmod 600 {}",
                    about.mode() & 0o777,
                    path.display()
                ),
            ));
        }
        let room = usize::try_from(FILE_MAX).unwrap_or_default();
        let mut content = Zeroizing::new(Vec::with_capacity(room));
        file.take(FILE_MAX)
            .read_to_end(&mut content)
            .map_err(failed)?;
        Self::parse(&content).ok_or_else(|| {
            file_error(
                path,
                "holds no key; a sealing key is 32 bytes, raw, as 64 hex digits or in base64"
                    .to_owned(),
            )
        })
    }

    /// Reads a key: 32 bytes, or hex, or base64. None is what holds no key.
    #[must_use]
    pub fn parse(content: &[u8]) -> Option<Self> {
        let decoded = if content.len() == KEY_LEN {
            Zeroizing::new(content.to_vec())
        } else {
            let text = std::str::from_utf8(content).ok()?.trim();
            let bare = text.trim_end_matches('=');
            Zeroizing::new(if text.len() == 2 * KEY_LEN {
                unhex(text)?
            } else {
                STANDARD_NO_PAD
                    .decode(bare)
                    .or_else(|_| URL_SAFE_NO_PAD.decode(bare))
                    .ok()?
            })
        };
        let bytes: [u8; KEY_LEN] = decoded.as_slice().try_into().ok()?;
        // All bytes the same is what a file that was never written looks like, not a key.
        (bytes.iter().any(|byte| *byte != bytes[0])).then(|| Self {
            bytes: Zeroizing::new(bytes),
        })
    }

    /// The key's name: says which key is needed without telling anything about it.
    #[must_use]
    pub fn name(&self) -> String {
        hex(&self.name_bytes())
    }

    fn name_bytes(&self) -> [u8; NAME_LEN] {
        let hash = Sha256::new()
            .chain_update(b"fiscald sealing key name")
            .chain_update(self.bytes.as_slice())
            .finalize();
        let mut name = [0; NAME_LEN];
        name.copy_from_slice(&hash[..NAME_LEN]);
        name
    }

    /// Seals `plaintext` for one place.
    ///
    /// # Errors
    /// No randomness, or a plaintext of more than 64 GiB.
    pub fn seal(&self, plaintext: &[u8], cell: SealedCell<'_>) -> Result<Vec<u8>, KeyError> {
        let mut nonce = [0; NONCE_LEN];
        fill_random(&mut nonce)?;
        let name = self.name_bytes();
        let mut blob = Vec::with_capacity(1 + NAME_LEN + NONCE_LEN + plaintext.len() + TAG_LEN);
        blob.push(VERSION);
        blob.extend(name);
        blob.extend(nonce);
        blob.extend(self.encrypt(&nonce, plaintext, &cell.associated_data())?);
        Ok(blob)
    }

    /// Opens what [`SealingKey::seal`] made for the same place.
    ///
    /// # Errors
    /// Another key, another place, or a changed blob; each says which.
    pub fn open(&self, blob: &[u8], cell: SealedCell<'_>) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let damaged = |why| KeyError::Sealed {
            place: cell.to_string(),
            why,
        };
        let (version, rest) = blob.split_first().ok_or_else(|| damaged("it is empty"))?;
        if *version != VERSION {
            return Err(damaged("its format is unknown"));
        }
        let (name, rest) = rest
            .split_first_chunk::<NAME_LEN>()
            .ok_or_else(|| damaged("it is too short"))?;
        let (nonce, ciphertext) = rest
            .split_first_chunk::<NONCE_LEN>()
            .ok_or_else(|| damaged("it is too short"))?;
        if *name != self.name_bytes() {
            return Err(KeyError::OtherKey {
                place: cell.to_string(),
                sealed_with: hex(name),
                in_use: self.name(),
            });
        }
        self.decrypt(nonce, ciphertext, &cell.associated_data())
            .ok_or_else(|| KeyError::Tampered(cell.to_string()))
    }

    pub(super) fn from_bytes(bytes: Zeroizing<[u8; KEY_LEN]>) -> Self {
        Self { bytes }
    }

    pub(super) fn expose(&self) -> &[u8; KEY_LEN] {
        &self.bytes
    }

    /// AES-256-GCM with a nonce that the caller never uses twice under one key.
    pub(super) fn encrypt(
        &self,
        nonce: &[u8; NONCE_LEN],
        msg: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, KeyError> {
        Aes256Gcm::new(self.expose().into())
            .encrypt(nonce.into(), Payload { msg, aad })
            .map_err(|_| KeyError::Crypto("sealing"))
    }

    pub(super) fn decrypt(
        &self,
        nonce: &[u8; NONCE_LEN],
        msg: &[u8],
        aad: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        Aes256Gcm::new(self.expose().into())
            .decrypt(nonce.into(), Payload { msg, aad })
            .ok()
            .map(Zeroizing::new)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingKey")
            .field("name", &self.name())
            .field("key", &"redacted")
            .finish()
    }
}

fn file_error(path: &Path, why: String) -> KeyError {
    KeyError::SealingKeyFile {
        path: path.to_owned(),
        why,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| {
            let digits = std::str::from_utf8(pair).ok()?;
            // `from_str_radix` would take a sign.
            digits
                .bytes()
                .all(|digit| digit.is_ascii_hexdigit())
                .then(|| u8::from_str_radix(digits, 16).ok())?
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const CELL: SealedCell<'static> = SealedCell {
        table: "till",
        row: "7",
        column: "private_key",
    };

    fn write(path: &Path, content: &[u8], mode: u32) {
        std::fs::write(path, content).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// What is sealed opens in its place, with its key, and nowhere else.
    #[test]
    fn sealed_values_open_only_in_their_place() {
        let key = SealingKey::random().unwrap();
        let blob = key.seal(b"secret", CELL).unwrap();
        assert_eq!(key.open(&blob, CELL).unwrap().as_slice(), b"secret");
        assert!(!blob.windows(6).any(|part| part == b"secret"));
        assert_ne!(
            blob,
            key.seal(b"secret", CELL).unwrap(),
            "a nonce is used once"
        );
        for moved in [
            SealedCell { row: "8", ..CELL },
            SealedCell {
                column: "token",
                ..CELL
            },
            SealedCell {
                table: "user",
                ..CELL
            },
            SealedCell {
                table: "till7",
                row: "",
                ..CELL
            },
        ] {
            let error = key.open(&blob, moved).unwrap_err();
            assert!(matches!(error, KeyError::Tampered(_)), "{moved}: {error}");
        }
        let error = SealingKey::random().unwrap().open(&blob, CELL).unwrap_err();
        assert!(matches!(error, KeyError::OtherKey { .. }), "{error}");
    }

    /// Any changed byte and any cut is noticed.
    #[test]
    fn damage_is_noticed() {
        let key = SealingKey::random().unwrap();
        let blob = key.seal(b"secret", CELL).unwrap();
        for at in 0..blob.len() {
            let mut changed = blob.clone();
            changed[at] ^= 1;
            assert!(key.open(&changed, CELL).is_err(), "byte {at}");
            assert!(key.open(&blob[..at], CELL).is_err(), "cut at {at}");
        }
    }

    /// A key is written for its owner alone, is never overwritten, and reads back.
    #[test]
    fn generated_keys_are_private_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sealing.key");
        let key = SealingKey::generate(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let again = SealingKey::from_file(&path).unwrap();
        assert_eq!(again.name(), key.name());
        let error = SealingKey::generate(&path).unwrap_err().to_string();
        assert!(error.contains("not overwritten"), "{error}");
        assert_eq!(SealingKey::from_file(&path).unwrap().name(), key.name());
    }

    /// Raw bytes, hex and base64 of both alphabets are the same key.
    #[test]
    fn every_notation_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let bytes: Vec<u8> = (200..232).collect();
        let notations = [
            bytes.clone(),
            format!("{}\n", hex(&bytes)).into_bytes(),
            hex(&bytes).to_uppercase().into_bytes(),
            format!("{}\n", STANDARD.encode(&bytes)).into_bytes(),
            URL_SAFE_NO_PAD.encode(&bytes).into_bytes(),
        ];
        for notation in notations {
            write(&path, &notation, 0o600);
            let key = SealingKey::from_file(&path).unwrap();
            assert_eq!(key.expose().as_slice(), bytes.as_slice());
        }
    }

    /// A file that is no key, or that others can read, is refused with what to do.
    #[test]
    fn unfit_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        assert!(
            SealingKey::from_file(&path)
                .unwrap_err()
                .to_string()
                .contains("no such file")
        );
        for content in [&b""[..], b"password", &[0; 32], &[b'z'; 64], &[7; 5000]] {
            write(&path, content, 0o600);
            assert!(SealingKey::from_file(&path).is_err(), "{content:?}");
        }
        let good = hex(&(1..33).collect::<Vec<u8>>());
        for mode in [0o640, 0o604, 0o666] {
            write(&path, good.as_bytes(), mode);
            let error = SealingKey::from_file(&path).unwrap_err().to_string();
            assert!(error.contains("chmod 600"), "{error}");
        }
    }

    /// A credential may show a group's right (systemd's access list), but none for others.
    #[test]
    fn credentials_are_read_as_systemd_leaves_them() {
        let dir = tempfile::tempdir().unwrap();
        let good = hex(&(1..33).collect::<Vec<u8>>());
        write(&dir.path().join("sealing-key"), good.as_bytes(), 0o440);
        assert!(SealingKey::from_credential_in(dir.path(), "sealing-key").is_ok());
        write(&dir.path().join("sealing-key"), good.as_bytes(), 0o444);
        assert!(SealingKey::from_credential_in(dir.path(), "sealing-key").is_err());
        for name in ["other", "../sealing-key", "", "."] {
            let error = SealingKey::from_credential_in(dir.path(), name).unwrap_err();
            assert!(
                matches!(error, KeyError::NoCredential(_)),
                "{name}: {error}"
            );
        }
    }

    /// Neither Debug nor an error shows the key.
    #[test]
    fn the_key_is_never_shown() {
        let key = SealingKey::random().unwrap();
        let text = format!("{key:?}");
        assert!(
            text.contains("redacted") && !text.contains(&hex(key.expose())),
            "{text}"
        );
    }
}
