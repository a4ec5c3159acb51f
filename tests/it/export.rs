//! An export is verified by the recipe of docs/AUDIT.md, with the tools that an auditor has.

use std::path::Path;
use std::process::Command;

use clock::Clock as _;
use fiscald::export::{ExportError, Span, export};
use fiscald::keys::KeyKind;

use crate::support::store::{House, Plan};

/// The commands of the page, for the folder of a till.
fn recipe(till: &str) -> Vec<String> {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/AUDIT.md"));
    let mut commands: Vec<String> = Vec::new();
    for line in page.unwrap().lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push(command.replace("production-42", till));
        } else if let Some(more) = line.strip_prefix("> ") {
            let command = commands.last_mut().unwrap();
            command.push('\n');
            command.push_str(more);
        }
    }
    assert!(commands.len() >= 7, "{commands:?}");
    commands
}

/// Follows the recipe; what it printed, or which command has failed.
fn follow(folder: &Path, till: &str) -> Result<String, String> {
    let mut script = "set -o pipefail\n".to_owned();
    // Nothing of it has a fixed name in a folder that others can write to.
    let scratch = tempfile::tempdir().unwrap();
    for command in recipe(till) {
        assert!(!command.contains("/tmp"), "{command}");
        script.push_str(&format!(
            "{command} || {{ echo \"failed: $?\"; exit 1; }}\n"
        ));
    }
    let output = Command::new("bash")
        .arg("-c")
        .arg(&script)
        .current_dir(folder)
        .env("TMPDIR", scratch.path())
        .output()
        .unwrap();
    let text =
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    match output.status.success() && !text.contains("wrong ") {
        true => Ok(text),
        false => Err(text),
    }
}

/// Two tills, with keys of both kinds, over two days and an open one.
async fn shop() -> House {
    let house = House::build(Plan {
        tills: vec![KeyKind::EcP256, KeyKind::Rsa2048],
        seed: 7,
        ..Plan::default()
    })
    .await;
    for _ in 0..2 {
        for place in 0..2 {
            house.sell_many(place, 9).await;
            house.close_day(place).await;
        }
        house.drain().await;
    }
    house.sell_many(0, 3).await;
    house
}

fn spans(house: &House) -> Vec<Span> {
    let reader = house.ledger().reader();
    let tills = reader.tills_named(None, None).unwrap().into_iter();
    let with_days = tills.filter_map(|till| {
        let days = reader.days_within(&till, None, None).unwrap()?;
        Some(Span { till, days })
    });
    with_days.collect()
}

/// Everything agrees, for both kinds of keys; and whoever changes a figure, even with new sums of the files, is found.
#[tokio::test]
async fn the_recipe_verifies_it() {
    let house = shop().await;
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("export");
    let (reader, now) = (house.ledger().reader().clone(), house.clock.wall());
    let mut seen = 0;
    let manifest = export(&reader, &spans(&house), &to, now, &mut |done| seen = done).unwrap();
    assert_eq!(seen, 39);
    let counts: Vec<u64> = manifest.tills.iter().map(|till| till.receipts).collect();
    assert_eq!(counts, [21, 18]);
    assert_eq!(manifest.tills[0].last_receipt_global_no, Some(21));
    for till in ["test-101", "test-102"] {
        let said = follow(&to, till).unwrap_or_else(|error| panic!("{till}: {error}"));
        assert_eq!(said.matches("true").count(), 3, "{said}");
    }
    // Whoever is handed the folder has the recipe, too.
    let page = std::fs::read_to_string(to.join("AUDIT.md")).unwrap();
    assert_eq!(page, include_str!("../../docs/AUDIT.md"));
    assert!(manifest.files.iter().any(|file| file.path == "AUDIT.md"));
    // The CSV has a row for each receipt, and says what FDMS has.
    let csv = std::fs::read_to_string(to.join("test-101/receipts.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + 21);
    assert_eq!(csv.matches(",yes,").count(), 18);
    let days = std::fs::read_to_string(to.join("test-101/days.csv")).unwrap();
    assert_eq!(days.lines().count(), 1 + 3);

    let error = export(&reader, &spans(&house), &to, now, &mut |_| {}).unwrap_err();
    assert!(matches!(error, ExportError::Exists { .. }), "{error}");

    let path = to.join("test-101/receipts.jsonl");
    let good = std::fs::read_to_string(&path).unwrap();
    let tampers: [&dyn Fn(&str) -> String; 4] = [
        &|text| text.replacen("\"receiptTotal\":", "\"receiptTotal\":1", 1),
        &|text| {
            let mut lines: Vec<&str> = text.lines().collect();
            lines.remove(4);
            lines.join("\n") + "\n"
        },
        &|text| text.replacen("\"signature\":\"ME", "\"signature\":\"MF", 1),
        &|text| {
            text.replacen(
                "\"previousReceiptHash\":\"",
                "\"previousReceiptHash\":\"A",
                1,
            )
        },
    ];
    for (place, tamper) in tampers.iter().enumerate() {
        let bad = tamper(&good);
        assert_ne!(bad, good, "{place}");
        std::fs::write(&path, bad).unwrap();
        assert!(
            follow(&to, "test-101").is_err(),
            "{place}: the sums of the files"
        );
        let sums = "sed -i '/SHA256SUMS/d' SHA256SUMS; cut -c67- SHA256SUMS | xargs sha256sum > new && mv new SHA256SUMS";
        let renewed = Command::new("bash")
            .arg("-c")
            .arg(sums)
            .current_dir(&to)
            .status()
            .unwrap();
        assert!(renewed.success());
        let said = follow(&to, "test-101");
        assert!(said.is_err(), "{place}: {said:?}");
    }
}

/// Days are chosen by the dates on which they were opened.
#[tokio::test]
async fn days_by_date() {
    let house = shop().await;
    house.close_day(0).await;
    house
        .pass(std::time::Duration::from_secs(3 * 24 * 3600))
        .await;
    house.sell(0).await;
    let reader = house.ledger().reader();
    let till = reader.tills_named(Some(101), None).unwrap().remove(0);
    let date = |text: &str| Some(text.parse().unwrap());
    let within = |from, until| reader.days_within(&till, from, until).unwrap();
    assert_eq!(within(None, None), Some((1, 4)));
    assert_eq!(within(None, date("2026-05-30")), Some((1, 3)));
    assert_eq!(within(date("2026-05-31"), None), Some((4, 4)));
    assert_eq!(within(date("2026-06-05"), None), None);
}
