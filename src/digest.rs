//! SHA-256 of files, as `sha256sum` prints it.

use std::path::Path;

use sha2::{Digest as _, Sha256};

/// The hash of a file and its length; `go_on` hears of bytes done, of so many. None if it wanted no more.
///
/// Never of a ledger that is open in this process: closing a second handle to a database takes SQLite's locks away.
pub(crate) fn of_file(
    path: &Path,
    go_on: &mut dyn FnMut(u64, u64) -> bool,
) -> std::io::Result<Option<(String, u64)>> {
    use std::io::Read as _;
    let mut file = std::fs::File::open(path)?;
    let total = file.metadata()?.len();
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut done = 0_u64;
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(Some((hex(&hash.finalize()), done)));
        }
        hash.update(buffer.get(..count).unwrap_or_default());
        done += u64::try_from(count).unwrap_or(0);
        if !go_on(done, total) {
            return Ok(None);
        }
    }
}

/// Bytes as hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
