//! A file of an offline device, as it travels and as it is read (docs/FDMS.md section 7).
//!
//! What is judged at once is the outermost shape: the parts, their order, the header. Receipts and
//! footer are read when the file is processed. Names and enum values may be in any case; the text is
//! first spelt as FDMS spells it, numbers untouched, and then read like any other message.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::civil::DateTime;

use crate::json::{self, Errors, Object};
use crate::settings::FileTransport;

mod spelling;

pub(crate) use spelling::{as_fdms_spells_it, members};

/// The longest a file may be in whatever form it travels: 3 MB.
pub(crate) const LONGEST: usize = 3 << 20;

/// Why no file could be got out of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unpacked {
    /// The content type is not the one of this way to travel.
    ContentType(&'static str),
    /// The body is not what the way to travel promises.
    Body(&'static str),
}

/// Gets the file's text out of a body.
pub(crate) fn unpack(
    body: &str,
    content_type: Option<&str>,
    transport: FileTransport,
) -> Result<String, Unpacked> {
    let content_type = content_type.unwrap_or_default();
    let (kind, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    let kind = kind.trim().to_ascii_lowercase();
    let is_text = matches!(kind.as_str(), "text/plain" | "text/binary");
    match transport {
        FileTransport::JsonTextPlain if is_text => Ok(body.to_owned()),
        FileTransport::Base64TextPlain if is_text => from_base64(body),
        FileTransport::JsonTextPlain | FileTransport::Base64TextPlain => Err(
            Unpacked::ContentType("The content type must be text/plain."),
        ),
        FileTransport::MultipartBase64 if kind == "multipart/form-data" => {
            let part = boundary(parameters).and_then(|boundary| first_part(body, boundary));
            from_base64(part.ok_or(Unpacked::Body("The body has no part with a file."))?)
        }
        FileTransport::MultipartBase64 => Err(Unpacked::ContentType(
            "The content type must be multipart/form-data.",
        )),
    }
}

fn from_base64(text: &str) -> Result<String, Unpacked> {
    let packed: String = text.split_ascii_whitespace().collect();
    let bytes = STANDARD.decode(packed);
    let bytes = bytes.map_err(|_| Unpacked::Body("The file is not base64."))?;
    String::from_utf8(bytes).map_err(|_| Unpacked::Body("The file is not UTF-8."))
}

fn boundary(parameters: &str) -> Option<&str> {
    let mut all = parameters
        .split(';')
        .filter_map(|pair| pair.split_once('='));
    let (_, value) = all.find(|(name, _)| name.trim().eq_ignore_ascii_case("boundary"))?;
    Some(value.trim().trim_matches('"'))
}

/// What the first part of a multipart body holds.
fn first_part<'a>(body: &'a str, boundary: &str) -> Option<&'a str> {
    let (_, rest) = body.split_once(&format!("--{boundary}\r\n"))?;
    let (_, rest) = rest.split_once("\r\n\r\n")?;
    let (part, _) = rest.split_once(&format!("\r\n--{boundary}"))?;
    Some(part)
}

/// Which file it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileHeader {
    pub(crate) device_id: i32,
    pub(crate) day_no: i32,
    pub(crate) opened: DateTime,
    /// Its place among the files of the day, from 1.
    pub(crate) sequence: i32,
}

/// A file whose outermost shape is right.
#[derive(Debug, Clone)]
pub(crate) struct SubmittedFile {
    pub(crate) header: FileHeader,
    /// The JSON of each receipt, spelt as FDMS spells it.
    pub(crate) receipts: Vec<String>,
    /// The JSON of the footer, likewise.
    pub(crate) footer: Option<String>,
}

impl SubmittedFile {
    /// Reads a file's text; what is wrong with its outermost shape, by field.
    pub(crate) fn read(text: &str) -> Result<Self, Errors> {
        let mut errors = Errors::default();
        let text = match as_fdms_spells_it(text.trim_start_matches('\u{feff}')) {
            Ok(text) => text,
            Err(what) => {
                errors.push("$", what);
                return Err(errors);
            }
        };
        check_order(&text, &mut errors);
        let file = Object::outermost(&text, &mut errors);
        let header = file.required_object(&mut errors, "header");
        let header = FileHeader {
            device_id: header.required(&mut errors, "deviceID", json::integer),
            day_no: header.required(&mut errors, "fiscalDayNo", json::integer),
            opened: header.required(&mut errors, "fiscalDayOpened", json::date_time),
            sequence: header.required(&mut errors, "fileSequence", positive),
        };
        let content = file.optional_object(&mut errors, "content");
        let receipts = content.map(|content| content.texts(&mut errors, "receipts"));
        let footer = file.optional_object(&mut errors, "footer");
        let footer = footer.map(|_| file.text_of("footer").to_owned());
        errors.finish(Self {
            header,
            receipts: receipts.unwrap_or_default(),
            footer,
        })
    }
}

/// A number from 1 on.
fn positive(text: &str) -> Result<i32, String> {
    match json::integer(text)? {
        number if number > 0 => Ok(number),
        _ => Err("The field must be above 0.".to_owned()),
    }
}

/// Header, content, footer stand in this order, each at most once.
fn check_order(text: &str, errors: &mut Errors) {
    const ORDER: [&str; 3] = ["header", "content", "footer"];
    let Ok(parts) = members(text) else {
        return;
    };
    let places = parts.iter().filter_map(|(name, _)| {
        let mut order = ORDER.iter();
        order.position(|part| part == name)
    });
    let places: Vec<usize> = places.collect();
    if !places.is_sorted_by(|a, b| a < b) {
        let what = "The parts must be header, content and footer, in this order, each once.";
        errors.push("$", what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#""header": {"deviceId": 42, "fiscalDayNo": 1,
        "fiscalDayOpened": "2026-05-28T07:00:00", "fileSequence": 1}"#;

    /// A file is got out of each of the three ways to travel, and out of no other.
    #[test]
    fn files_are_unpacked() {
        let text = format!("{{{HEADER}}}");
        let packed = STANDARD.encode(&text);
        let multipart = format!(
            "--b1\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n{packed}\r\n--b1--\r\n"
        );
        let form = "multipart/form-data; boundary=\"b1\"";
        for (body, kind, transport) in [
            (&text, "text/plain", FileTransport::JsonTextPlain),
            (&text, "Text/Binary", FileTransport::JsonTextPlain),
            (
                &packed,
                "text/plain; charset=utf-8",
                FileTransport::Base64TextPlain,
            ),
            (&multipart, form, FileTransport::MultipartBase64),
        ] {
            assert_eq!(unpack(body, Some(kind), transport).as_ref(), Ok(&text));
        }
        for (body, kind, transport) in [
            (&text, "application/json", FileTransport::JsonTextPlain),
            (&text, "text/plain", FileTransport::Base64TextPlain),
            (&packed, form, FileTransport::MultipartBase64),
            (&multipart, "text/plain", FileTransport::MultipartBase64),
        ] {
            assert!(unpack(body, Some(kind), transport).is_err());
        }
        assert!(unpack(&text, None, FileTransport::JsonTextPlain).is_err());
    }

    /// The parts are read in any case, in their order only, and a header has all its fields.
    #[test]
    fn the_outermost_shape_is_read() {
        let upper = HEADER
            .replace("header", "HEADER")
            .replace("fiscalDayNo", "fiscaldayno");
        let text = format!(
            r#"{{{upper}, "Content": {{"Receipts": [{{"RECEIPTTOTAL": 1.10}}]}}, "footer": {{}}}}"#
        );
        let file = SubmittedFile::read(&text).unwrap();
        assert_eq!((file.header.device_id, file.header.day_no), (42, 1));
        assert_eq!(file.receipts, [r#"{"receiptTotal":1.10}"#]);
        assert_eq!(file.footer.as_deref(), Some("{}"));
        for wrong in [
            format!(r#"{{"content": {{"receipts": []}}, {HEADER}}}"#),
            format!("{{{HEADER}, {HEADER}}}"),
            format!(r#"{{{HEADER}, "content": {{"receipts": 7}}}}"#),
            format!(r#"{{{HEADER}, "content": {{}}}}"#),
            format!(
                "{{{}}}",
                HEADER.replace("\"fileSequence\": 1", "\"fileSequence\": 0")
            ),
            "[]".to_owned(),
            "{\"header\": {}}".to_owned(),
            format!("{{{HEADER}, \"x\": {}}}", "[".repeat(1 << 20)),
        ] {
            assert!(SubmittedFile::read(&wrong).is_err(), "{:.80}", wrong);
        }
    }
}
