//! The body of an exchange: unpacked, within its limits, as lines.

use std::io::Read as _;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use sync_wire::entry::MAX_LINE;
use sync_wire::exchange::{MAX_BYTES, MAX_ENTRIES, Up};
use tokio::time::timeout;

use crate::problem::{Code, Problem};

/// Bytes of a request at most, unpacked: the entries, and a line for how the store is.
const MAX_UNPACKED: usize = MAX_BYTES + MAX_LINE;
/// The longest that a body may pause: whoever sends nothing keeps no place.
const PATIENCE: Duration = Duration::from_secs(20);
/// 8 MiB: what zstd may look back at; more is memory that a stranger would make us take.
const WINDOW_LOG: u32 = 23;

/// A request as it came.
#[derive(Debug)]
pub struct Packed {
    bytes: Vec<u8>,
    is_zstd: bool,
}

/// Reads a request to its end.
///
/// # Errors
/// It is too long, of another kind, or was cut off.
pub(super) async fn receive(headers: &HeaderMap, body: Body) -> Result<Packed, Problem> {
    let encoding = headers.get(header::CONTENT_ENCODING);
    let is_zstd = match encoding.map(|value| value.as_bytes()) {
        None | Some(b"identity") => false,
        Some(b"zstd") => true,
        Some(_) => {
            return Err(Problem {
                pointer: Some("Content-Encoding".to_owned()),
                ..Problem::new(
                    Code::MediaType,
                    "a batch is lines of JSON, plain or compressed with zstd",
                )
            });
        }
    };
    let bytes = whole(Limited::new(body, MAX_UNPACKED), PATIENCE).await?;
    Ok(Packed::new(bytes, is_zstd))
}

/// A large batch over a slow line takes long, but something of it arrives all the while.
async fn whole<B>(mut body: B, patience: Duration) -> Result<Vec<u8>, Problem>
where
    B: HttpBody<Data = Bytes, Error = Box<dyn std::error::Error + Send + Sync>> + Unpin,
{
    let mut bytes = Vec::new();
    loop {
        let frame = timeout(patience, body.frame()).await.map_err(|_| {
            let detail = format!(
                "nothing more of the batch came for {} s",
                patience.as_secs()
            );
            Problem::new(Code::Timeout, detail)
        })?;
        let Some(frame) = frame else {
            return Ok(bytes);
        };
        let frame = frame.map_err(|error| match error.downcast::<LengthLimitError>() {
            Ok(_) => too_large(),
            Err(error) => Problem::new(Code::Invalid, format!("the batch was cut off: {error}")),
        })?;
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
}

impl Packed {
    /// What came whole.
    #[must_use]
    pub fn new(bytes: Vec<u8>, is_zstd: bool) -> Self {
        Self { bytes, is_zstd }
    }

    /// The text. Takes processor time, no waiting.
    ///
    /// # Errors
    /// It is not zstd, not UTF-8, or longer than a batch may be.
    pub fn unpack(self) -> Result<String, Problem> {
        let bytes = match self.is_zstd {
            false => self.bytes,
            true => unzip(&self.bytes)?,
        };
        String::from_utf8(bytes).map_err(|_| Problem::new(Code::Invalid, "the batch is not UTF-8"))
    }
}

fn unzip(packed: &[u8]) -> Result<Vec<u8>, Problem> {
    let broken = |error: std::io::Error| {
        Problem::new(Code::Invalid, format!("the batch is not zstd: {error}"))
    };
    let mut decoder = zstd::stream::read::Decoder::with_buffer(packed).map_err(broken)?;
    decoder.window_log_max(WINDOW_LOG).map_err(broken)?;
    let limit = u64::try_from(MAX_UNPACKED).unwrap_or(u64::MAX);
    let mut bytes = Vec::with_capacity(packed.len().saturating_mul(8).min(MAX_UNPACKED));
    decoder
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(broken)?;
    if bytes.len() > MAX_UNPACKED {
        return Err(too_large());
    }
    Ok(bytes)
}

fn too_large() -> Problem {
    Problem::new(
        Code::TooLarge,
        format!("a batch has {MAX_BYTES} bytes before compression at most; send fewer lines"),
    )
}

/// The first line, and the entries after it.
///
/// # Errors
/// The first line is not what it must be, or the entries are not as many as it says.
pub fn split(text: &str) -> Result<(Up, Vec<&str>), Problem> {
    // Not `str::lines`, which would also take a carriage return away from under the hash.
    let mut lines = text.strip_suffix('\n').unwrap_or(text).split('\n');
    let first = lines.next().unwrap_or_default();
    let version: Version = serde_json::from_str(first).map_err(|error| first_line(&error))?;
    if version.protocol != sync_wire::VERSION {
        return Err(Problem::field(
            "/protocol",
            format!(
                "this head office speaks version {}, the store speaks {}: update whichever is older",
                sync_wire::VERSION,
                version.protocol
            ),
        ));
    }
    let up: Up = serde_json::from_str(first).map_err(|error| first_line(&error))?;
    let entries: Vec<&str> = lines.collect();
    if usize::try_from(up.entries) != Ok(entries.len()) {
        return Err(Problem::field(
            "/entries",
            format!(
                "{} lines are announced, {} came: the batch was cut off; send it again",
                up.entries,
                entries.len()
            ),
        ));
    }
    if entries.len() > MAX_ENTRIES {
        return Err(Problem::new(
            Code::TooLarge,
            format!("a batch has {MAX_ENTRIES} lines at most; send fewer"),
        ));
    }
    if up.after < 0 || up.epoch.is_nil() {
        return Err(Problem::field(
            "/after",
            "a batch begins after line 0 or a later one, in a series with a name",
        ));
    }
    Ok((up, entries))
}

#[derive(serde::Deserialize)]
struct Version {
    protocol: u32,
}

fn first_line(error: &serde_json::Error) -> Problem {
    Problem::new(
        Code::Invalid,
        format!("the first line of the batch cannot be read: {error}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(text: &[u8]) -> Packed {
        Packed {
            bytes: zstd::bulk::compress(text, 1).unwrap(),
            is_zstd: true,
        }
    }

    /// What is unpacked is limited before it is there; what is no zstd or no text is told apart.
    #[test]
    fn unpacking_is_limited() {
        assert_eq!(packed(b"a\nb").unpack().unwrap(), "a\nb");
        let bomb = packed(&vec![b' '; MAX_UNPACKED + 1]);
        assert!(bomb.bytes.len() < 10_000);
        assert_eq!(bomb.unpack().unwrap_err().code, Code::TooLarge);
        assert_eq!(packed(b"\xff").unpack().unwrap_err().code, Code::Invalid);
        let none = Packed {
            bytes: b"{}".to_vec(),
            is_zstd: true,
        };
        assert!(none.unpack().unwrap_err().detail.contains("not zstd"));
    }

    /// Who stops in the middle is not waited for; who goes on is.
    #[tokio::test]
    async fn a_body_does_not_pause_for_long() {
        let stuck = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        let stuck = Limited::new(Body::from_stream(stuck), MAX_UNPACKED);
        let problem = whole(stuck, Duration::from_millis(1)).await.unwrap_err();
        assert_eq!(problem.code, Code::Timeout);
        let short = Limited::new(Body::from("abc"), 3);
        assert_eq!(whole(short, PATIENCE).await.unwrap(), b"abc");
        let long = Limited::new(Body::from("abcd"), 3);
        let problem = whole(long, PATIENCE).await.unwrap_err();
        assert_eq!(problem.code, Code::TooLarge);
    }

    /// A version that is not spoken here is named as such, whatever else the line holds.
    #[test]
    fn another_version_is_named() {
        let problem = split("{\"protocol\":99,\"new\":1}").unwrap_err();
        assert!(problem.detail.contains("speaks 99"));
        assert!(split("").unwrap_err().detail.contains("first line"));
    }
}
