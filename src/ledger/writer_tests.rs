//! The writer thread among others: another process that writes to the same ledger, and a rush of sales.

use std::sync::Arc;

use clock::{SystemClock, TestClock, Timestamp};
use fiscal::DeviceId;
use fiscal::draft::Draft;

use super::core::Core;
use super::verify::verify;
use super::*;
use crate::keys::SealingKey;

const SALES: u32 = 600;

fn sale(till: (TillId, DeviceId), number: u32) -> Sale {
    let text = format!(
        r#"{{"receiptType":"FiscalInvoice","receiptCurrency":"USD","invoiceNo":"W-{number}",
        "receiptLinesTaxInclusive":true,"receiptLines":[{{"receiptLineType":"Sale",
        "receiptLineName":"Bread","receiptLineHSCode":"19059090","receiptLinePrice":1.20,
        "receiptLineQuantity":2,"taxID":517}}],
        "receiptPayments":[{{"moneyTypeCode":"Cash","paymentAmount":2.40}}]}}"#
    );
    let (draft, findings) = Draft::read(text.as_bytes());
    assert_eq!(findings, []);
    Sale::new(till, draft, None, "test".into())
}

/// A technician's commands write beside a rush of sales on several tills: every sale is answered with its
/// own number, none is missing, everything verifies, and a restart sells on.
#[tokio::test(flavor = "multi_thread")]
async fn commands_beside_a_rush_move_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let start: Timestamp = "2026-05-28T05:00:00Z".parse().unwrap();
    let clock = TestClock::new(start);
    let key = SealingKey::random().unwrap();
    let open = || Core::open(&path, key.clone(), clock.clone(), Settings::default()).unwrap();
    let mut core = open();
    let tills: Vec<(TillId, DeviceId)> = (1..=3)
        .map(|n| DeviceId::new(n).unwrap())
        .map(|device| (crate::testing::add_till(&mut core, device).unwrap(), device))
        .collect();
    let ledger = Ledger::start(core, &path).unwrap();

    let other = (path.clone(), key.clone());
    let commands = std::thread::spawn(move || {
        for number in 0..40 {
            let clock = Arc::new(SystemClock);
            let mut core =
                Core::open(&other.0, other.1.clone(), clock, Settings::default()).unwrap();
            let name = format!("t{number}");
            core.write(|core| core.add_token(&name, None, &name, "cli"))
                .unwrap();
        }
    });
    let mut waiting = tokio::task::JoinSet::new();
    for number in 0..SALES {
        let till = tills[number as usize % tills.len()];
        let ledger = ledger.clone();
        waiting.spawn(async move { ledger.issue(sale(till, number)).await });
    }
    let mut numbers = std::collections::BTreeSet::new();
    while let Some(done) = waiting.join_next().await {
        match done.unwrap().unwrap() {
            SaleDone::Issued(issued) => {
                assert!(numbers.insert((issued.till.id, issued.receipt.global_no)));
            }
            SaleDone::Repeated(seq) => panic!("{seq} twice"),
        }
    }
    commands.join().unwrap();
    for (till, _) in &tills {
        let of_till = numbers.iter().filter(|(id, _)| id == till);
        let of_till: Vec<u32> = of_till.map(|(_, no)| no.get()).collect();
        let whole: Vec<u32> = (1..).take(of_till.len()).collect();
        assert_eq!(of_till, whole, "numbers without a gap");
    }
    ledger.stop();
    assert_eq!(
        verify(&path, &mut |_, _| {}).unwrap().receipts,
        u64::from(SALES)
    );
    let sold = open().issue(vec![sale(tills[0], SALES)]).unwrap();
    assert!(matches!(sold[0], Ok(SaleDone::Issued(_))), "{sold:?}");
}
