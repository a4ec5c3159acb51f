//! Files that somebody brings: what `fiscald inspect` is given, a backup's manifest, a sealing key, a passphrase that is
//! typed, a logo.

use drivers::page::{Bitmap, Shades};
use fiscal::json::Value;
use fiscald::backup::Manifest;
use fiscald::inspect::{inspect_day, inspect_qr, inspect_receipt, read_counters};
use fiscald::keys::{RecoveryPassphrase, SealingKey};

/// A letter for the kind of file, then the file.
pub(crate) fn run(data: &[u8]) {
    let Some((kind, file)) = data.split_first() else {
        return;
    };
    match kind {
        b'r' => inspected(inspect_receipt(file, None), file),
        b'd' => {
            inspected(inspect_day(file, None), file);
            if let Ok(Value::Array(rows)) = Value::parse(file) {
                let (_, findings) = read_counters(&rows);
                assert!(findings.iter().all(|finding| !finding.message.is_empty()));
            }
        }
        b'q' => inspected(inspect_qr(file), file),
        b'm' => manifest(file),
        b'k' => key(file),
        b'p' => passphrase(&String::from_utf8_lossy(file)),
        b'l' => logo(file),
        _ => json(file),
    }
}

/// An answer is JSON, says the same again, and comes of JSON alone.
fn inspected<E: std::fmt::Debug + std::fmt::Display>(answer: Result<String, E>, file: &[u8]) {
    match answer {
        Ok(answer) => {
            assert!(matches!(Value::parse(file), Ok(Value::Object(_))));
            assert!(
                matches!(Value::parse(answer.as_bytes()), Ok(Value::Object(_))),
                "{answer}"
            );
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// JSON of any kind is the same when it is written and read again.
fn json(file: &[u8]) {
    match Value::parse(file) {
        Ok(value) => {
            let text = value.to_string();
            assert_eq!(Value::parse(text.as_bytes()).as_ref(), Ok(&value), "{text}");
            // Another reader takes it for JSON too.
            serde_json::from_slice::<serde::de::IgnoredAny>(file).expect("it is JSON");
        }
        Err(error) => {
            let text = String::from_utf8_lossy(file);
            assert!(
                (1..=text.split('\n').count()).contains(&error.line),
                "{error}"
            );
            assert!(error.column >= 1, "{error}");
            assert!(error.pointer.is_empty() || error.pointer.starts_with('/'));
        }
    }
}

fn manifest(file: &[u8]) {
    if let Ok(manifest) = serde_json::from_slice::<Manifest>(file) {
        let written = serde_json::to_vec(&manifest).expect("a manifest can be written");
        let again: Manifest = serde_json::from_slice(&written).expect("what was written is read");
        assert_eq!(again, manifest);
    }
}

/// A key in any spelling that is read is 32 bytes, and no key is made of too few.
fn key(file: &[u8]) {
    let Some(key) = SealingKey::parse(file) else {
        return;
    };
    assert!(file.len() >= 32);
    let again = SealingKey::parse(file).expect("it was read before");
    assert_eq!(key.name(), again.name());
    let mut another = file.to_vec();
    let first = another.iter().position(u8::is_ascii_alphanumeric);
    if let Some(place) = first.filter(|_| file.len() == 32) {
        another[place] ^= 1;
        let other = SealingKey::parse(&another).map(|key| key.name());
        assert_ne!(other, Some(key.name()));
    }
}

/// What is shown of a passphrase is read as the same.
fn passphrase(typed: &str) {
    let Ok(passphrase) = RecoveryPassphrase::parse(typed) else {
        return;
    };
    let shown = passphrase.reveal();
    let again = RecoveryPassphrase::parse(&shown).expect("what is shown is read");
    assert_eq!(*again.reveal(), *shown);
    let small = RecoveryPassphrase::parse(&shown.to_lowercase().replace('-', " "));
    assert_eq!(*small.expect("small letters do").reveal(), *shown);
    let short = shown.get(1..).unwrap_or_default();
    assert!(RecoveryPassphrase::parse(short).is_err());
}

/// A picture has the dots that it says, and no more than a receipt.
fn logo(file: &[u8]) {
    for shades in [Shades::Spread, Shades::Threshold] {
        if let Ok(picture) = Bitmap::from_png(file, shades) {
            assert_eq!(
                picture.bits.len(),
                picture.width.div_ceil(8) * picture.height
            );
            assert!(picture.width.max(picture.height) <= 4096);
        }
    }
}
