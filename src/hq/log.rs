//! The last lines of the daemon's log. Secrets are never in it (see [`crate::telemetry`]).

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// So much is read of the newest files at most: what HQ takes in one line, and some more.
const MOST_BYTES: u64 = 1 << 20;
/// A longer line is cut.
const LONGEST_LINE: usize = 2_000;

/// The last lines of the files in a folder, oldest first, so many at most.
///
/// # Errors
/// There is no log, or it cannot be read; a sentence.
pub(super) fn last_lines(folder: &Path, most: usize) -> Result<Vec<String>, String> {
    let mut files = files(folder)
        .map_err(|error| format!("the log in {} cannot be read: {error}", folder.display()))?;
    files.sort();
    let mut lines = Vec::new();
    for file in files.iter().rev() {
        let text =
            tail(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
        let mut older: Vec<String> = text.lines().map(shortened).collect();
        older.append(&mut lines);
        lines = older;
        if lines.len() >= most {
            break;
        }
    }
    let excess = lines.len().saturating_sub(most);
    lines.drain(..excess);
    Ok(lines)
}

fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("fiscald") && name.ends_with(".log") && entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    Ok(files)
}

/// The end of a file, from the beginning of a line on.
fn tail(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(MOST_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(match (from, text.split_once('\n')) {
        (1.., Some((_, whole))) => whole.to_owned(),
        _ => text.into_owned(),
    })
}

fn shortened(line: &str) -> String {
    match line.char_indices().nth(LONGEST_LINE) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The newest lines, across files, and of a huge file only its end.
    #[test]
    fn newest_lines() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(last_lines(dir.path(), 3).unwrap(), Vec::<String>::new());
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("fiscald.2026-11-26.log", "a\nb\nc\n");
        write("fiscald.2026-11-27.log", "d\n");
        write("other.txt", "x\n");
        assert_eq!(last_lines(dir.path(), 3).unwrap(), ["b", "c", "d"]);
        assert_eq!(last_lines(dir.path(), 9).unwrap(), ["a", "b", "c", "d"]);
        let huge = format!("{}\nlast\n", "é".repeat(1 << 20));
        write("fiscald.2026-11-28.log", &huge);
        assert_eq!(last_lines(dir.path(), 1).unwrap(), ["last"]);
        let long = format!("{}\n", "é".repeat(5_000));
        write("fiscald.2026-11-29.log", &long);
        let lines = last_lines(dir.path(), 1).unwrap();
        assert_eq!(lines[0].chars().count(), LONGEST_LINE + 1);
        assert!(last_lines(&dir.path().join("nothing"), 1).is_err());
    }
}
