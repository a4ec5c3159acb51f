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

/// What somebody does to a till's files; the sums of the files are renewed afterwards.
const TAMPERS: [&str; 17] = [
    // Receipts: a total, a tax, a signature, the hash before, the payment, the number beside the body.
    r#"sed -i '1s/"receiptTotal":/&1/' receipts.jsonl"#,
    r#"sed -i '1s/"taxAmount":/&1/' receipts.jsonl"#,
    r#"sed -i '1s/"signature":"ME/"signature":"MF/g' receipts.jsonl"#,
    r#"sed -i '2s/"previousReceiptHash":"/&A/' receipts.jsonl"#,
    r#"sed -i '1s/"paymentAmount":/&1/' receipts.jsonl"#,
    r#"sed -i '21s/"receiptGlobalNo":21/"receiptGlobalNo":22/' receipts.jsonl"#,
    r#"sed -i '1s/"receiptDeviceSignature":{"hash":"/&A/' receipts.jsonl"#,
    // One is left out, in the middle or at the end, in every table.
    r"sed -i '5d' receipts.jsonl && sed -i '6d' receipts.csv && sed -i '/^101,5,/d' taxes.csv",
    r"sed -i '$d' receipts.jsonl receipts.csv && sed -i '/^101,21,/d' taxes.csv",
    // Closes: a counter, with and without the body's signature; the date; one is left out; another's number.
    r#"sed -i '1s/"fiscalCounterValue":/&1/' days.jsonl"#,
    r#"sed -i '1s/"fiscalDayDeviceSignature":{"hash":"/&A/' days.jsonl"#,
    r#"sed -i '1s/"fiscalDayOpened":"2/"fiscalDayOpened":"3/' days.jsonl && sed -i '2s/,2/,3/' days.csv"#,
    r"sed -i '1d' days.jsonl && sed -i '2d' days.csv",
    r#"sed -i '1s/"signature":"ME/"signature":"MF/g' days.jsonl"#,
    // Tables.
    r"sed -i '2s/,yes,/,no,/' receipts.csv",
    r"sed -i '2d' taxes.csv",
    r"sed -i '2s/,yes,/,no,/' days.csv",
];
/// What no signature covers.
const UNSIGNED: &str = r#"sed -i '1s/"receiptLineName":"/&X/' receipts.jsonl"#;

/// Runs a script in a folder.
fn bash(script: &str, folder: &Path) {
    let mut bash = Command::new("bash");
    let status = bash.args(["-ec", script]).current_dir(folder).status();
    assert!(status.unwrap().success(), "{script}");
}

/// A copy of an export in which something was done to the till 101.
fn tampered(export: &Path, bad: &Path, tamper: &str) {
    let copied = format!("rm -rf {bad:?} && cp -r {export:?} {bad:?}");
    bash(&copied, export);
    bash(tamper, &bad.join("test-101"));
    let differs = format!("! diff -rq {export:?} {bad:?} > /dev/null");
    bash(&differs, export);
}

/// Whoever can change the files can make their sums anew.
fn renew_sums(folder: &Path) {
    bash(
        "cut -c67- SHA256SUMS | xargs sha256sum > new && mv new SHA256SUMS",
        folder,
    );
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
        assert_eq!(said.matches("true").count(), 7, "{said}");
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

    for tamper in TAMPERS {
        let bad = dir.path().join("bad");
        tampered(&to, &bad, tamper);
        assert!(
            follow(&bad, "test-101").is_err(),
            "{tamper}: the sums of the files"
        );
        renew_sums(&bad);
        let said = follow(&bad, "test-101");
        assert!(said.is_err(), "{tamper}: {said:?}");
    }
    // The page says so: only the sums of the files, kept apart from it, tell of another name for what was sold.
    let bad = dir.path().join("bad");
    tampered(&to, &bad, UNSIGNED);
    assert!(follow(&bad, "test-101").is_err());
    renew_sums(&bad);
    follow(&bad, "test-101").unwrap_or_else(|error| panic!("{error}"));
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
