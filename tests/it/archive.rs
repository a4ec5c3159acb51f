//! Old years in files beside the ledger: found again, verified with it, and nothing can be used twice.

use std::ops::ControlFlow;
use std::path::PathBuf;

use clock::SharedClock;
use fiscal::ReceiptGlobalNo;
use fiscal::draft::Draft;
use fiscald::archive::{ArchiveError, Phase, archive, due, verify as verify_archive};
use fiscald::keys::KeyKind;
use fiscald::ledger::archiving::Archive;
use fiscald::ledger::verify::{VerifyError, verify};
use fiscald::ledger::{LedgerError, Refusal, Sale, SaleDone, StorageError};

use crate::support::store::{House, Plan};

mod head_office;

/// The year that everything here happens in.
const YEAR: i16 = 2026;

/// Two tills with closed days, everything sent; and what was sold on each.
async fn shop() -> (House, Vec<String>) {
    let house = House::build(Plan {
        tills: vec![KeyKind::EcP256, KeyKind::Rsa2048],
        seed: 3,
        ..Plan::default()
    })
    .await;
    let mut sold = Vec::new();
    for _ in 0..2 {
        for _ in 0..10 {
            let json = house.draw(0);
            house.sell_json(0, &json).await.unwrap();
            sold.push(json);
        }
        house.sell_many(1, 10).await;
        for place in 0..2 {
            house.close_day(place).await;
        }
        house.drain().await;
    }
    (house, sold)
}

/// Archives the year beside the running ledger.
async fn move_year(
    house: &House,
    mut flow: impl FnMut(Phase) -> ControlFlow<()> + Send + 'static,
) -> Result<Archive, ArchiveError> {
    let (mut core, path) = (house.core(), house.path());
    let clock: SharedClock = house.clock.clone();
    let work = tokio::task::spawn_blocking(move || {
        archive(
            &mut core,
            &path,
            YEAR,
            &clock,
            "test",
            &mut |phase, _, _| flow(phase),
        )
    });
    work.await.unwrap()
}

fn all(_: Phase) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Everything that can be asked of the receipts, as text.
fn seen(house: &House) -> Vec<String> {
    let reader = house.ledger().reader();
    let mut seen = Vec::new();
    for place in 0..2 {
        for no in 1..=20 {
            let number = ReceiptGlobalNo::new(no).unwrap();
            let issued = reader
                .by_number(house.till(place).id, number)
                .unwrap()
                .unwrap();
            seen.push(format!(
                "{issued:?} {:?}",
                reader.submission(issued.seq).unwrap()
            ));
        }
    }
    let lines = reader.hq_lines(0, 10_000, usize::MAX).unwrap();
    // The archive's own event comes at the end.
    let lines = lines
        .iter()
        .filter(|line| !line.bytes.windows(15).any(|w| w == b"ledger.archived"));
    seen.extend(lines.map(|line| String::from_utf8_lossy(&line.bytes).into_owned()));
    seen
}

fn receipts(house: &House) -> Result<u64, VerifyError> {
    verify(&house.path(), &mut |_, _| {}).map(|verified| verified.receipts)
}

async fn sell(house: &House, json: &str) -> Result<SaleDone, LedgerError> {
    let (draft, findings) = Draft::read(json.as_bytes());
    assert_eq!(findings, []);
    let till = house.till(0);
    let sale = Sale::new((till.id, till.device), draft, None, "test".into());
    house.ledger().issue(sale).await
}

/// Bytes of receipts' bodies in the ledger itself.
fn bodies(house: &House) -> i64 {
    let conn = rusqlite::Connection::open(house.path()).unwrap();
    let sum = "SELECT coalesce(sum(length(body)), 0) FROM receipt";
    conn.query_row(sum, [], |row| row.get(0)).unwrap()
}

fn file(house: &House) -> PathBuf {
    house.path().with_file_name("archive-2026.db")
}

/// After a year was moved, every question has the same answer as before, what was sold is known, and selling goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moved_and_found_again() {
    let (mut house, sold) = shop().await;
    let before = seen(&house);
    assert!(bodies(&house) > 40 * 200, "each has hundreds of bytes");
    let reader = house.ledger().reader().clone();
    assert_eq!(due(&reader, 2029, 2).unwrap(), [YEAR]);
    assert_eq!(due(&reader, 2028, 2).unwrap(), [0_i16; 0]);
    let made = move_year(&house, all).await.unwrap();
    assert_eq!(
        (made.file.as_str(), made.receipts, made.is_emptied),
        ("archive-2026.db", 40, true)
    );
    assert_eq!(reader.archives().unwrap(), [made]);
    assert_eq!(due(&reader, 2029, 2).unwrap(), [0_i16; 0]);
    assert_eq!(verify_archive(&file(&house), &mut |_| {}).unwrap(), 40);
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(file(&house))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o400);
    assert!(seen(&house) == before, "the answers differ");
    assert_eq!(receipts(&house).unwrap(), 40);
    assert_eq!(bodies(&house), 0, "the ledger has become small");

    // What was sold is the same sale; another one under its number is refused.
    for json in &sold {
        let again = sell(&house, json).await;
        assert!(matches!(again, Ok(SaleDone::Repeated(_))), "{again:?}");
    }
    let other = house.draw(0);
    let no = |text: &str| {
        text.split("\"invoiceNo\":\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .to_owned()
    };
    let stolen = other.replacen(&no(&other), &no(&sold[0]), 1);
    let refused = sell(&house, &stolen).await;
    assert!(
        matches!(refused, Err(LedgerError::Refused(_))),
        "{refused:?}"
    );
    // Random sales credit and debit what is in the archive too.
    house.sell_many(0, 20).await;
    house.sell_many(1, 15).await;
    house.drain().await;
    assert_eq!(house.disagreements(), [""; 0]);
    assert_eq!(receipts(&house).unwrap(), 75);
    house.stop().await;
    house.start();
    house.sell(0).await;
    assert_eq!(receipts(&house).unwrap(), 76);
}

/// Stopped anywhere, the ledger is whole, and the next try goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_and_gone_on_with() {
    let (house, _) = shop().await;
    let before = seen(&house);
    let stopped = move_year(&house, |_| ControlFlow::Break(())).await;
    assert!(matches!(stopped, Err(ArchiveError::Stopped)), "{stopped:?}");
    assert!(!file(&house).exists());
    assert_eq!(receipts(&house).unwrap(), 40);
    let stopped = move_year(&house, |phase| match phase {
        Phase::Writing => ControlFlow::Continue(()),
        Phase::Emptying => ControlFlow::Break(()),
    })
    .await;
    assert!(matches!(stopped, Err(ArchiveError::Stopped)), "{stopped:?}");
    assert!(!house.ledger().reader().archives().unwrap()[0].is_emptied);
    assert_eq!(receipts(&house).unwrap(), 40);
    assert!(seen(&house) == before);
    // A file that is not the one that was written stops it.
    let good = std::fs::read(file(&house)).unwrap();
    let put = |bytes: &[u8]| {
        std::fs::remove_file(file(&house)).unwrap();
        std::fs::write(file(&house), bytes).unwrap();
    };
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    put(&bad);
    let changed = move_year(&house, all).await;
    assert!(
        matches!(changed, Err(ArchiveError::Changed { .. })),
        "{changed:?}"
    );
    assert!(matches!(receipts(&house), Err(VerifyError::Wrong { .. })));
    put(&good);
    assert!(move_year(&house, all).await.unwrap().is_emptied);
    assert_eq!(receipts(&house).unwrap(), 40);
    assert!(seen(&house) == before);
}

/// What FDMS has not, or what is open, is not moved.
#[tokio::test]
async fn only_what_is_closed_and_sent() {
    let house = House::new().await;
    house.sell_many(0, 3).await;
    let why = |result: Result<Archive, ArchiveError>| result.unwrap_err().to_string();
    let text = why(move_year(&house, all).await);
    assert!(text.contains("still open"), "{text}");
    house.sandbox.set_offline(true);
    house.close_day(0).await;
    let text = why(move_year(&house, all).await);
    assert!(text.contains("not sent everything"), "{text}");
    house.sandbox.set_offline(false);
    house.drain().await;
    assert_eq!(move_year(&house, all).await.unwrap().receipts, 3);
}

/// An archive that is not there is named, keeps nobody from selling, and a backup takes it along.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_or_carried_along() {
    let (mut house, sold) = shop().await;
    move_year(&house, all).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let manifest = {
        let (ledger, to, now) = (
            house.path(),
            folder.path().to_owned(),
            clock::Clock::wall(&*house.clock),
        );
        tokio::task::spawn_blocking(move || {
            let keep = fiscald::backup::Keep::default();
            fiscald::backup::take(&ledger, &to, now, keep, &mut |_, _, _| {
                ControlFlow::Continue(())
            })
        })
        .await
        .unwrap()
        .unwrap()
    };
    let away = file(&house).with_extension("away");
    std::fs::rename(file(&house), &away).unwrap();
    let reader = house.ledger().reader().clone();
    let number = ReceiptGlobalNo::new(1).unwrap();
    let gone = reader.by_number(house.till(0).id, number).unwrap_err();
    assert!(
        matches!(gone, LedgerError::Storage(StorageError::ArchiveGone(_))),
        "{gone}"
    );
    assert!(receipts(&house).is_err());
    // The same sale is known without its body.
    let again = sell(&house, &sold[0]).await;
    assert!(matches!(again, Ok(SaleDone::Repeated(_))), "{again:?}");
    let no = sold[0]
        .split("\"invoiceNo\":\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let note = format!(
        r#"{{"receiptType":"CreditNote","receiptCurrency":"USD","invoiceNo":"CN-1","receiptNotes":"back",
        "creditDebitNote":{{"invoiceNo":"{no}"}},"receiptLinesTaxInclusive":true,"receiptLines":[{{"receiptLineType":"Sale",
        "receiptLineName":"Bread","receiptLineHSCode":"19059090","receiptLinePrice":-1.20,"receiptLineQuantity":1,"taxID":517}}],
        "receiptPayments":[{{"moneyTypeCode":"Cash","paymentAmount":-1.20}}]}}"#
    );
    let (draft, _) = Draft::read(note.as_bytes());
    let till = house.till(0);
    let refused = house
        .ledger()
        .issue(Sale::new(
            (till.id, till.device),
            draft,
            None,
            "test".into(),
        ))
        .await;
    match refused {
        Err(LedgerError::Refused(Refusal::Findings { findings })) => {
            let told = findings
                .iter()
                .any(|finding| finding.to_string().contains("archive-2026.db"));
            assert!(told, "{findings:?}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(house.ledger().fault(), None);
    std::fs::rename(&away, file(&house)).unwrap();
    assert_eq!(receipts(&house).unwrap(), 40);
    house.stop().await;

    let backup = folder.path().join(&manifest.file);
    assert_eq!(manifest.archives.len(), 1);
    let verified = verify(&backup, &mut |_, _| {}).unwrap();
    assert_eq!(verified.receipts, 40);
}
