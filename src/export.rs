//! An export for auditors: whole fiscal days as JSON lines and CSV, with everything that proves them.
//!
//! Whoever has it needs none of our software: `SHA256SUMS` is read by `sha256sum`, the certificates by `openssl`, the
//! lines by `jq`. The recipe is docs/AUDIT.md; a copy lies in each export. An export is one folder, and appears under
//! its name only when it is whole.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clock::Timestamp;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::backup::sync_folder;
use crate::digest::hex;
use crate::ledger::extract::Piece;
use crate::ledger::{LedgerError, Reader, TillInfo};
use crate::private;

mod lines;

use lines::Writers;

/// Why there is no export; each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// There is something of that name already.
    #[error("{path} is there already; name a folder that is not there yet", path = path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// Nothing to export.
    #[error("no fiscal day of these tills lies within what was asked for")]
    Nothing,
    /// The system.
    #[error("{path}: {why}", path = path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        why: std::io::Error,
    },
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> ExportError + use<> {
    let path = path.to_owned();
    move |why| ExportError::File { path, why }
}

/// What is exported: the days of a till from one number to another.
#[derive(Debug, Clone)]
pub struct Span {
    /// The till.
    pub till: TillInfo,
    /// First and last day.
    pub days: (u32, u32),
}

/// What an export holds: `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The ledger's own name.
    pub ledger: String,
    /// When it was made, local.
    pub made: String,
    /// The version that made it.
    pub version: String,
    /// Its tills.
    pub tills: Vec<TillManifest>,
    /// Its files, this one aside.
    pub files: Vec<FileManifest>,
}

/// What an export holds of a till, and the ends of its chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TillManifest {
    /// Its folder in the export.
    pub folder: String,
    /// Its number at FDMS.
    #[serde(rename = "deviceID")]
    pub device_id: u32,
    /// Test or production.
    pub environment: String,
    /// Its serial number.
    pub serial_no: String,
    /// The first fiscal day.
    pub first_fiscal_day_no: u32,
    /// The last one.
    pub last_fiscal_day_no: u32,
    /// How many receipts there are.
    pub receipts: u64,
    /// The first receipt's number.
    pub first_receipt_global_no: Option<u32>,
    /// Its hash.
    pub first_hash: Option<String>,
    /// The last receipt's number.
    pub last_receipt_global_no: Option<u32>,
    /// Its hash.
    pub last_hash: Option<String>,
}

/// A file of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileManifest {
    /// Its path in the export.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// SHA-256, as `sha256sum` prints it.
    pub sha256: String,
}

/// Writes an export into the new folder `to`; `progress` hears of receipts done. It blocks.
///
/// # Errors
/// See [`ExportError`]; then there is no such folder.
pub fn export(
    reader: &Reader,
    spans: &[Span],
    to: &Path,
    now: Timestamp,
    progress: &mut dyn FnMut(u64),
) -> Result<Manifest, ExportError> {
    if to.exists() {
        return Err(ExportError::Exists {
            path: to.to_owned(),
        });
    }
    if spans.is_empty() {
        return Err(ExportError::Nothing);
    }
    let mut draft = to.as_os_str().to_owned();
    draft.push(".part");
    let draft = PathBuf::from(draft);
    if draft.exists() {
        // What an interrupted export has left.
        std::fs::remove_dir_all(&draft).map_err(file_error(&draft))?;
    }
    private::new_folder(&draft).map_err(file_error(&draft))?;
    let written = write(reader, spans, &draft, now, progress);
    let manifest = match written {
        Ok(manifest) => manifest,
        Err(error) => {
            // The error is what is told; what stays is cleared the next time.
            let _ = std::fs::remove_dir_all(&draft);
            return Err(error);
        }
    };
    std::fs::rename(&draft, to).map_err(file_error(to))?;
    if let Some(parent) = to.parent().filter(|parent| parent.is_dir()) {
        sync_folder(parent).map_err(file_error(parent))?;
    }
    Ok(manifest)
}

fn write(
    reader: &Reader,
    spans: &[Span],
    draft: &Path,
    now: Timestamp,
    progress: &mut dyn FnMut(u64),
) -> Result<Manifest, ExportError> {
    let mut manifest = Manifest {
        ledger: reader.ends()?.ledger,
        made: clock::local(now).to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        tills: Vec::new(),
        files: Vec::new(),
    };
    let mut done = 0;
    for span in spans {
        let till = write_till(reader, span, draft, &mut manifest.files, &mut |receipts| {
            progress(done + receipts);
        })?;
        done += till.receipts;
        manifest.tills.push(till);
    }
    let mut page = Output::create(draft, "AUDIT.md")?;
    page.write(include_str!("../docs/AUDIT.md"))?;
    manifest.files.push(page.end()?);
    let mut out = Output::create(draft, "manifest.json")?;
    let text = serde_json::to_string_pretty(&manifest).unwrap_or_default();
    out.write(&format!("{text}\n"))?;
    let own = out.end()?;
    let mut sums = Output::create(draft, "SHA256SUMS")?;
    for file in manifest.files.iter().chain([&own]) {
        sums.write(&format!("{}  {}\n", file.sha256, file.path))?;
    }
    sums.end()?;
    sync_folder(draft).map_err(file_error(draft))?;
    Ok(manifest)
}

fn write_till(
    reader: &Reader,
    span: &Span,
    draft: &Path,
    files: &mut Vec<FileManifest>,
    progress: &mut dyn FnMut(u64),
) -> Result<TillManifest, ExportError> {
    let till = &span.till;
    let folder = format!("{}-{}", till.environment, till.device_id);
    let path = draft.join(&folder);
    private::new_folder(&path).map_err(file_error(&path))?;
    let mut keys = std::collections::BTreeMap::new();
    for certificate in reader.certificates_of(till)? {
        keys.insert(certificate.key_id, certificate.pem);
    }
    for (key, pem) in &keys {
        let mut out = Output::create(draft, &format!("{folder}/{}", certificate_name(*key)))?;
        out.write(pem)?;
        files.push(out.end()?);
    }
    let mut writers = Writers::create(draft, &folder, till)?;
    let mut ends = TillManifest {
        folder,
        device_id: till.device_id.get(),
        environment: till.environment.to_string(),
        serial_no: till.serial_no.clone(),
        first_fiscal_day_no: span.days.0,
        last_fiscal_day_no: span.days.1,
        receipts: 0,
        first_receipt_global_no: None,
        first_hash: None,
        last_receipt_global_no: None,
        last_hash: None,
    };
    reader.extract(till, span.days, &mut |piece| -> Result<(), ExportError> {
        if let Piece::Receipt(receipt) = &piece {
            let (no, hash) = (
                receipt.receipt.global_no.get(),
                receipt.signature.hash.to_string(),
            );
            ends.first_receipt_global_no.get_or_insert(no);
            ends.first_hash.get_or_insert(hash.clone());
            ends.last_receipt_global_no = Some(no);
            ends.last_hash = Some(hash);
            ends.receipts += 1;
            if ends.receipts.is_multiple_of(256) {
                progress(ends.receipts);
            }
        }
        writers.piece(piece)
    })?;
    progress(ends.receipts);
    files.extend(writers.end()?);
    Ok(ends)
}

/// The name of the file with the certificate of a key.
fn certificate_name(key_id: i64) -> String {
    format!("certificate-{key_id}.pem")
}

/// A file of an export in the making, its hash taken as it is written.
struct Output {
    path: PathBuf,
    name: String,
    file: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

impl Output {
    fn create(draft: &Path, name: &str) -> Result<Self, ExportError> {
        let path = draft.join(name);
        let file = private::new_file(&path).map_err(file_error(&path))?;
        Ok(Self {
            name: name.to_owned(),
            file: BufWriter::new(file),
            hash: Sha256::new(),
            bytes: 0,
            path,
        })
    }

    fn write(&mut self, text: &str) -> Result<(), ExportError> {
        self.hash.update(text.as_bytes());
        self.bytes += u64::try_from(text.len()).unwrap_or(0);
        self.file
            .write_all(text.as_bytes())
            .map_err(file_error(&self.path))
    }

    /// The file is on disk.
    fn end(self) -> Result<FileManifest, ExportError> {
        let failed = file_error(&self.path);
        let synced = self
            .file
            .into_inner()
            .map_err(std::io::IntoInnerError::into_error)
            .and_then(|file| file.sync_all());
        synced.map_err(failed)?;
        Ok(FileManifest {
            path: self.name,
            bytes: self.bytes,
            sha256: hex(&self.hash.finalize()),
        })
    }
}

/// A signature as it is written.
fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
