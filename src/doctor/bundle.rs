//! The support bundle: what somebody elsewhere needs to find out what is wrong with a store, in one file.
//!
//! What goes in is chosen, not what stays out: the report, a few documents of the running gateway with the members
//! that are named here, the configuration with its settings but no value of one that could be a secret, and the lines
//! of the log. The ledger itself, receipts, buyers, keys, certificates and tokens are never read into it. Because a log
//! line may quote what somebody sent, long words that look like secrets, addresses of mail and telephone numbers are
//! blotted out of everything.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::{Doctor, Report, gateway};
use crate::config::Config;
use crate::ledger::Reader;

mod blot;

use blot::blot;

/// Bytes of each log file at most: its end.
const LOG_BYTES: u64 = 4 << 20;
/// Log files at most, the newest.
const LOG_FILES: usize = 4;
/// The longest that is waited for logs.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);
/// Between speed and size.
const LEVEL: i32 = 9;

/// Why a bundle could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the bundle {path} cannot be written: {why}", path = .path.display())]
pub struct BundleError {
    path: PathBuf,
    why: std::io::Error,
}

/// Writes the bundle, a compressed tar archive (`.tar.zst`), readable for its owner alone. An existing file is not
/// overwritten.
///
/// # Errors
/// The file exists or cannot be written.
pub async fn write(doctor: &Doctor, report: &Report, to: &Path) -> Result<(), BundleError> {
    let files = gather(doctor, report).await;
    pack(&files, to, doctor).map_err(|why| BundleError {
        path: to.to_owned(),
        why,
    })
}

/// A file of the bundle: its name and text.
type Part = (&'static str, String);

async fn gather(doctor: &Doctor, report: &Report) -> Vec<(String, String)> {
    let mut parts: Vec<Part> = vec![
        ("report.txt", report.text()),
        ("report.json", pretty(&json!(report))),
        ("versions.json", pretty(&versions(doctor))),
    ];
    let mut files = Vec::new();
    if let Some(path) = &doctor.config {
        parts.push(("config.toml", config_text(path)));
    }
    if let Ok(config) = Config::load(doctor.config.as_deref()) {
        for (name, path) in [
            ("status.json", "/v1/status"),
            ("queue.json", "/v1/queue"),
            ("printers.json", "/v1/printers"),
            ("ports.json", "/v1/pos/ports"),
        ] {
            if let Ok(answer) = gateway::ask(&config, path).await {
                parts.push((name, pretty(&chosen(&answer))));
            }
        }
        parts.push(("days.json", pretty(&figures(&config))));
        let read = tokio::task::spawn_blocking(move || logs(&config));
        // A log that nobody can read is missing, and the rest is there.
        if let Ok(Ok(logs)) = tokio::time::timeout(PATIENCE, read).await {
            files.extend(logs);
        }
    }
    let parts = parts
        .into_iter()
        .map(|(name, text)| (name.to_owned(), text));
    let all = parts.chain(files);
    all.map(|(name, text)| (name, blot(&text))).collect()
}

fn pretty(value: &Value) -> String {
    // Texts, numbers and maps with strings as keys always serialise.
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn versions(doctor: &Doctor) -> Value {
    let read = |path: &str| {
        std::fs::read_to_string(path)
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let release = read("/etc/os-release");
    let system = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    json!({
        "fiscald": env!("CARGO_PKG_VERSION"),
        "system": system.unwrap_or_default().trim_matches('"'),
        "kernel": read("/proc/sys/kernel/osrelease"),
        "machine": std::env::consts::ARCH,
        "bootSeconds": doctor.clock.boot().as_secs(),
        "wallClock": doctor.clock.wall().to_string(),
    })
}

/// The configuration as it is written, with its comments taken out and every value that could be a secret masked. None
/// of our settings holds a secret; a person may have put one there all the same.
fn config_text(path: &Path) -> String {
    let Ok(text) = std::fs::read_to_string(path) else {
        return "it cannot be read\n".to_owned();
    };
    match text.parse::<toml::Table>() {
        Ok(mut table) => {
            mask(&mut table);
            toml::to_string(&table).unwrap_or_default()
        }
        // Its lines may be anything; the report says what is wrong with it, and where.
        Err(_) => "it is no TOML; see the report\n".to_owned(),
    }
}

/// What a setting may be called that holds, or by mistake was given, a secret.
const SECRET: [&str; 8] = [
    "secret",
    "password",
    "passwd",
    "passphrase",
    "token",
    "activation",
    "credential",
    "pin",
];

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    // `sealing_key` and `key` are paths in our configuration; anything else that ends so may be the key itself.
    let is_key = name.ends_with("key") && name != "key" && name != "sealing_key";
    is_key
        || SECRET
            .iter()
            .any(|word| name.split(['_', '-']).any(|part| part == *word))
}

fn mask(table: &mut toml::Table) {
    for (name, value) in table.iter_mut() {
        if is_secret(name) {
            *value = toml::Value::String("masked".to_owned());
            continue;
        }
        match value {
            toml::Value::Table(inner) => mask(inner),
            toml::Value::Array(rows) => {
                for row in rows {
                    if let toml::Value::Table(inner) = row {
                        mask(inner);
                    }
                }
            }
            toml::Value::String(text) if text.contains("-----BEGIN") => {
                "masked".clone_into(text);
            }
            // An address may carry a password.
            toml::Value::String(text) if text.contains("://") && text.contains('@') => {
                "masked: an address with a name in it".clone_into(text);
            }
            _ => {}
        }
    }
}

/// Members of the gateway's documents that go into a bundle. Names that are not here are left out, whatever a later
/// version adds.
const CHOSEN: [&str; 61] = [
    "version",
    "time",
    "trusted",
    "wall",
    "skewSeconds",
    "flag",
    "ledger",
    "writable",
    "fault",
    "waiting",
    "tills",
    "deviceID",
    "environment",
    "deviceModelName",
    "deviceModelVersion",
    "invoicePrefix",
    "ready",
    "day",
    "fiscalDayNo",
    "opened",
    "closed",
    "closesAt",
    "warning",
    "notClosable",
    "lastReceipt",
    "receiptGlobalNo",
    "receiptDate",
    "certificate",
    "validTill",
    "daysLeft",
    "alarm",
    "hold",
    "kind",
    "reason",
    "since",
    "adopted",
    "lastFiscalDayNo",
    "lastReceiptGlobalNo",
    "link",
    "state",
    "error",
    "sent",
    "of",
    "fdms",
    "unsent",
    "unsentReceipts",
    "head",
    "what",
    "notBefore",
    "step",
    "attempts",
    "nextAttempt",
    "lastError",
    "parked",
    "code",
    "headOffice",
    "printers",
    "name",
    "connected",
    "linkError",
    "inDoubt",
];
/// The same for printers and ports.
const CHOSEN_TOO: [&str; 9] = [
    "paperLow",
    "columns",
    "action",
    "ports",
    "listen",
    "printer",
    "warnings",
    "quarantined",
    "lastContact",
];

/// A document with the chosen members alone.
fn chosen(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let is_chosen = |name: &str| CHOSEN.contains(&name) || CHOSEN_TOO.contains(&name);
            let kept = members.iter().filter(|(name, _)| is_chosen(name));
            let kept = kept.map(|(name, value)| (name.clone(), chosen(value)));
            Value::Object(kept.collect::<Map<_, _>>())
        }
        Value::Array(rows) => Value::Array(rows.iter().map(chosen).collect()),
        other => other.clone(),
    }
}

/// Numbers of each till's queue and days, read from the ledger itself: there without a running gateway too.
fn figures(config: &Config) -> Value {
    let path = config.ledger_path();
    if !path.exists() {
        return json!({ "ledger": "missing" });
    }
    let reader = Reader::new(&path);
    let (Ok(tills), Ok(state)) = (reader.tills(), reader.hq_store_state()) else {
        return json!({ "ledger": "cannot be read" });
    };
    let rows = tills.iter().zip(&state.tills).map(|(info, state)| {
        json!({
            "deviceID": info.device_id.get(),
            "environment": info.environment.as_str(),
            "operatingMode": state.operating_mode,
            "registered": state.registered,
            "hold": state.hold.as_ref().map(|hold| &hold.kind),
            "lastFiscalDayNo": state.last_day_no,
            "lastReceiptGlobalNo": state.last_global_no,
            "sentFiscalDayNo": state.sent_day_no,
            "sentReceiptGlobalNo": state.sent_global_no,
            "dayOpen": state.day.as_ref().map(|day| json!({
                "fiscalDayNo": day.fiscal_day_no,
                "opened": day.opened,
                "receipts": day.receipt_counter,
            })),
            "waiting": state.queue.waiting,
            "oldest": state.queue.oldest_at,
            "attempts": state.queue.head.as_ref().map(|head| head.attempts),
            "lastError": state.queue.head.as_ref().and_then(|head| head.last_error.clone()),
            "parked": state.queue.head.as_ref().and_then(|head| head.parked.as_ref().map(|parked| &parked.reason)),
            "certificateEnds": state.certificate.as_ref().map(|certificate| certificate.not_after),
        })
    });
    let size = std::fs::metadata(&path).map_or(0, |meta| meta.len() >> 20);
    json!({ "ledgerMegabytes": size, "lastEvent": state.last_seq, "tills": rows.collect::<Vec<_>>() })
}

/// The ends of the newest log files.
fn logs(config: &Config) -> Vec<(String, String)> {
    let Some(dir) = &config.log.directory else {
        let journal = journal().map(|text| ("log/journal.txt".to_owned(), text));
        return journal.into_iter().collect();
    };
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("fiscald.") && name.ends_with(".log"))
        .collect();
    // Their names hold their dates.
    names.sort_unstable_by(|a, b| b.cmp(a));
    names.truncate(LOG_FILES);
    let text = |name: String| {
        let end = end_of(&dir.join(&name)).ok()?;
        Some((format!("log/{name}"), end))
    };
    names.into_iter().filter_map(text).collect()
}

fn end_of(path: &Path) -> std::io::Result<String> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let mut file = std::fs::File::open(path)?;
    let from = file.metadata()?.len().saturating_sub(LOG_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(LOG_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    // Half a line has lost the words by which a secret is known.
    Ok(match text.split_once('\n') {
        Some((_, whole)) if from > 0 => whole.to_owned(),
        _ => text,
    })
}

/// What systemd's journal has of the gateway, where it writes no files of its own.
fn journal() -> Option<String> {
    let output = std::process::Command::new("/usr/bin/journalctl")
        .args([
            "--unit",
            "fiscald",
            "--lines",
            "5000",
            "--no-pager",
            "--quiet",
        ])
        .args(["--output", "short-iso"])
        .stdin(std::process::Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (!text.trim().is_empty()).then_some(text)
}

fn pack(files: &[(String, String)], to: &Path, doctor: &Doctor) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)?;
    let mut archive = tar::Builder::new(zstd::Encoder::new(file, LEVEL)?);
    let at = u64::try_from(doctor.clock.wall().as_second()).unwrap_or(0);
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(text.len()).unwrap_or(u64::MAX));
        header.set_mode(0o600);
        header.set_mtime(at);
        let path = format!("fiscald-support/{name}");
        archive.append_data(&mut header, path, text.as_bytes())?;
    }
    let mut file = archive.into_inner()?.finish()?;
    file.flush()?;
    file.sync_all()
}
