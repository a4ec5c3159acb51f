//! How a file of an offline device travels: nobody public knows (docs/FDMS.md section 11), so it is a setting.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// What separates the parts of a multipart body; it is in no base64.
const BOUNDARY: &str = "fiscald-file-boundary";

/// How a file travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileTransport {
    /// JSON as `text/plain`, as the OpenAPI document shows it.
    #[default]
    JsonTextPlain,
    /// Base64 as `text/plain`.
    Base64TextPlain,
    /// Multipart with base64, as the text says.
    MultipartBase64,
}

impl FileTransport {
    /// Content type and body.
    pub(super) fn pack(self, file: &str) -> (String, Vec<u8>) {
        let plain = "text/plain; charset=utf-8".to_owned();
        match self {
            Self::JsonTextPlain => (plain, file.as_bytes().to_vec()),
            Self::Base64TextPlain => (plain, STANDARD.encode(file).into_bytes()),
            Self::MultipartBase64 => {
                let body = format!(
                    "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"receipts.json\"\r\n\
                     Content-Transfer-Encoding: base64\r\n\r\n{}\r\n--{BOUNDARY}--\r\n",
                    STANDARD.encode(file)
                );
                let kind = format!("multipart/form-data; boundary={BOUNDARY}");
                (kind, body.into_bytes())
            }
        }
    }
}
