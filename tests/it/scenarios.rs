//! Scenarios: files with steps in and what is expected out, run through the API against the sandbox.
//!
//! `tests/scenarios/README.md` says how they are written. Each scenario has a store and an FDMS of its own.

use std::path::Path;

use crate::support::script::{Scenario, play, read};

/// Plays every scenario of a file; all that went wrong is told at once.
async fn file(name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let path = folder.join(format!("{name}.txt"));
    let text = std::fs::read_to_string(&path).unwrap();
    let scenarios = read(&text);
    assert!(!scenarios.is_empty(), "{name} holds no scenario");
    let mut complaints = Vec::new();
    for scenario in &scenarios {
        complaints.extend(played(name, scenario).await);
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n\n"));
}

async fn played(name: &str, scenario: &Scenario) -> Option<String> {
    let error = play(scenario).await.err()?;
    Some(format!("{name}.txt, \"{}\", {error}", scenario.title))
}

macro_rules! files {
    ($($name:ident),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $name() {
                file(stringify!($name)).await;
            }
        )+

        /// No file is left out.
        #[test]
        fn every_file_is_played() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
            let mut found: Vec<String> = std::fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.extension().is_some_and(|ending| ending == "txt"))
                .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
                .collect();
            found.sort();
            let mut known = vec![$(stringify!($name).to_owned()),+];
            known.sort();
            assert_eq!(found, known);
        }
    };
}

files!(joining, config, days, queue, codes, files, switches, links);

/// A scenario whose expectation is wrong is told, with its line.
#[tokio::test]
async fn a_wrong_expectation_is_told() {
    let text = "== wrong\nsell\ndrain\nGET /v1/queue\n  /tills/0/state = \"parked\"\n";
    let error = play(&read(text)[0]).await.unwrap_err();
    assert!(
        error.contains("line 5") && error.contains("sent"),
        "{error}"
    );
    let text = "== nothing happens\nsell\nagree\n";
    assert!(play(&read(text)[0]).await.is_err(), "FDMS has nothing yet");
    assert!(play(&read("== what\nfly\n")[0]).await.is_err());
}
