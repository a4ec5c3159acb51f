//! The configuration: strict, and what is wrong is told with a line that is there.

use std::path::Path;

use fiscald::config::{Config, ConfigError};

use crate::damage::damaged;
use crate::input::Input;

/// The file that the package ships.
const SAMPLE: &str = include_str!("../../../packaging/fiscald/fiscald.toml");

/// A text; or a byte 01, and what is done to the shipped file with every setting in effect.
pub(crate) fn run(data: &[u8]) {
    let Some((1, choices)) = data.split_first() else {
        read(&String::from_utf8_lossy(data));
        return;
    };
    let mut input = Input::new(choices);
    let text = damaged(uncommented().into_bytes(), &mut input);
    read(&String::from_utf8_lossy(&text));
}

/// A setting stands right behind its #, a sentence behind a blank.
fn uncommented() -> String {
    let mut text = String::new();
    for line in SAMPLE.lines() {
        let setting = line
            .strip_prefix('#')
            .filter(|rest| rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()));
        text.push_str(setting.unwrap_or(line));
        text.push('\n');
    }
    text
}

/// Templates that are files would be read from this machine's disk.
fn opens_files(text: &str) -> bool {
    if !text.contains("templates") {
        return false;
    }
    let Ok(table) = toml::from_str::<toml::Table>(text) else {
        return false;
    };
    let ports = table.get("pos").and_then(toml::Value::as_array);
    let names = ports
        .into_iter()
        .flatten()
        .filter_map(|port| port.get("templates"));
    let mut names = names.filter_map(toml::Value::as_array).flatten();
    names.any(|name| name.as_str().is_some_and(|name| name.contains(['/', '.'])))
}

fn read(text: &str) {
    // A mark at the very beginning of a file is nothing, and in the middle of it a fault.
    let text = text.trim_start_matches('\u{feff}');
    if opens_files(text) {
        return;
    }
    let path = Path::new("fiscald.toml");
    let read = Config::parse(path, text);
    let lines = text.split('\n').count();
    // Two lines more above: the same, two lines lower.
    let below = format!("# a shop\n\n{text}");
    match (read, Config::parse(path, &below)) {
        (Ok(config), Ok(again)) => {
            assert_eq!(format!("{config:?}"), format!("{again:?}"));
            taken(&config, text);
        }
        (Err(error), Err(lower)) => {
            let at = line(&error, text);
            assert!(at.is_none_or(|at| (1..=lines).contains(&at)), "{error}");
            assert_eq!(line(&lower, &below), at.map(|at| at + 2), "{error}\n{text}");
            if let ConfigError::Value { what, .. } = &error {
                assert!(!what.is_empty());
            }
            if let ConfigError::Parse { meant, .. } = &error {
                assert!(meant.as_ref().is_none_or(|name| !name.is_empty()));
            }
            assert!(error.to_string().starts_with("fiscald.toml"));
        }
        (read, lower) => panic!("lines above matter: {read:?}, {lower:?}: {text:?}"),
    }
}

/// The line, from 1 on, that an error is about.
fn line(error: &ConfigError, text: &str) -> Option<usize> {
    match error {
        ConfigError::Value { line, .. } => *line,
        ConfigError::Parse { source, .. } => {
            let span = source.span()?;
            assert!(span.start <= span.end && span.end <= text.len());
            Some(
                text.as_bytes()[..span.start]
                    .iter()
                    .filter(|b| **b == b'\n')
                    .count()
                    + 1,
            )
        }
        ConfigError::Read { .. } => panic!("nothing is read from a disk"),
    }
}

/// What is taken holds together, and would not be taken with a name that nobody knows.
fn taken(config: &Config, text: &str) {
    config.settings().expect("it was looked at");
    let plan = config.print_plan().expect("it was looked at");
    let ports = config.pos().expect("it was looked at");
    assert_eq!(plan.printers.len(), config.printers.len());
    assert_eq!(ports.len(), config.pos.len());
    assert!(config.api.listen.ip().is_loopback());
    assert!(config.fdms.test_url.starts_with("https://"));
    assert!(config.fdms.production_url.starts_with("https://"));
    let misspelt = format!("{text}\n[backups]\nfolder = \"/x\"\n");
    assert!(Config::parse(Path::new("fiscald.toml"), &misspelt).is_err());
}
