//! The core under a test clock: chains, keys, days, storage faults, and planted defects that the checks
//! must find.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clock::{Clock as _, TestClock, Timestamp};
use fiscal::DeviceId;
use fiscal::draft::Draft;

use super::core::{Core, Planted};
use super::verify::{VerifyError, verify};
use super::*;
use crate::keys::SealingKey;

pub(super) struct Store {
    dir: tempfile::TempDir,
    pub(super) clock: Arc<TestClock>,
    pub(super) core: Core,
    pub(super) till: TillId,
}

impl Store {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let start: Timestamp = "2026-05-28T05:00:00Z".parse().unwrap();
        let clock = TestClock::new(start);
        let key = SealingKey::random().unwrap();
        let path = dir.path().join("ledger.db");
        let mut core = Core::open(&path, key, clock.clone(), Settings::default()).unwrap();
        let till = crate::testing::add_till(&mut core, DeviceId::new(42).unwrap()).unwrap();
        Self {
            dir,
            clock,
            core,
            till,
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.dir.path().join("ledger.db")
    }

    pub(super) fn sale(&self, invoice_no: &str) -> Sale {
        self.sale_of(invoice_no, &line("1.20"), "2.40", "")
    }

    fn sale_of(&self, invoice_no: &str, lines: &str, paid: &str, more: &str) -> Sale {
        let text = format!(
            r#"{{"receiptType":"FiscalInvoice","receiptCurrency":"USD","invoiceNo":"{invoice_no}",
            "receiptLinesTaxInclusive":true,"receiptLines":[{lines}],
            "receiptPayments":[{{"moneyTypeCode":"Cash","paymentAmount":{paid}}}]{more}}}"#
        );
        self.parsed(&text)
    }

    pub(super) fn parsed(&self, text: &str) -> Sale {
        let (draft, findings) = Draft::read(text.as_bytes());
        assert_eq!(findings, []);
        let till = self.core.till(self.till).unwrap().info.ids();
        Sale::new(till, draft, None, "test".into())
    }

    pub(super) fn credit(
        &self,
        invoice_no: &str,
        original: &str,
        price: &str,
        total: &str,
    ) -> Sale {
        self.parsed(&format!(
            r#"{{"receiptType":"CreditNote","receiptCurrency":"USD","invoiceNo":"{invoice_no}",
            "receiptNotes":"returned","creditDebitNote":{{"invoiceNo":"{original}"}},
            "receiptLinesTaxInclusive":true,"receiptLines":[{}],
            "receiptPayments":[{{"moneyTypeCode":"Cash","paymentAmount":{total}}}]}}"#,
            line(price)
        ))
    }

    pub(super) fn issue(&mut self, sale: Sale) -> Result<Issued, Refusal> {
        match self.core.issue(vec![sale]).unwrap().pop().unwrap()? {
            SaleDone::Issued(issued) => Ok(*issued),
            SaleDone::Repeated(seq) => Ok(Reader::new(&self.path()).by_seq(seq).unwrap().unwrap()),
        }
    }

    /// As after a restart, or a power cut.
    pub(super) fn reopen(&mut self) {
        self.core = self.opened();
    }

    /// The ledger, opened once more.
    pub(super) fn opened(&self) -> Core {
        let key = self.core.sealing.clone();
        Core::open(&self.path(), key, self.clock.clone(), Settings::default()).unwrap()
    }

    pub(super) fn verify(&self) -> Result<verify::Verified, VerifyError> {
        verify(&self.path(), &mut |_, _| {})
    }
}

pub(super) fn line(price: &str) -> String {
    format!(
        r#"{{"receiptLineType":"Sale","receiptLineName":"Bread","receiptLineHSCode":"19059090",
        "receiptLinePrice":{price},"receiptLineQuantity":2,"taxID":517}}"#
    )
}

/// Receipts of a till are numbered, dated and chained; the first of a day starts the chain anew.
#[test]
fn receipts_are_chained() {
    let mut store = Store::new();
    let first = store.issue(store.sale("A1")).unwrap();
    let second = store.issue(store.sale("A2")).unwrap();
    assert_eq!(first.receipt.global_no.get(), 1);
    assert_eq!(second.receipt.global_no.get(), 2);
    assert!(second.receipt.date > first.receipt.date);
    let text = fiscal::sign::receipt_string(
        second.till.device_id,
        &second.receipt,
        Some(&first.signature.hash),
    );
    assert_eq!(second.signature.hash, fiscal::sign::hash(&text));
    store
        .core
        .write(|core| core.close_day(TillId(1), "test"))
        .unwrap();
    let third = store.issue(store.sale("A3")).unwrap();
    assert_eq!(
        (third.receipt.counter.get(), third.receipt.global_no.get()),
        (1, 3)
    );
    assert_eq!(third.fiscal_day_no.get(), 2);
    let text = fiscal::sign::receipt_string(third.till.device_id, &third.receipt, None);
    assert_eq!(third.signature.hash, fiscal::sign::hash(&text));
    let verified = store.verify().unwrap();
    assert_eq!((verified.days, verified.receipts), (2, 3));
}

/// What is read back is what was issued.
#[test]
fn what_is_read_is_what_was_issued() {
    let mut store = Store::new();
    let more = r#","cashier":"Rudo","tendered":5,"change":2.6,"footerLines":["Thank you"]"#;
    let issued = store
        .issue(store.sale_of("A1", &line("1.20"), "2.40", more))
        .unwrap();
    let reader = Reader::new(&store.path());
    for found in [
        reader.by_seq(issued.seq),
        reader.by_number(store.till, issued.receipt.global_no),
        reader.by_invoice_no(&issued.till, "A1"),
        reader.by_key(store.till, "A1"),
    ] {
        let found = found.unwrap().unwrap();
        assert_eq!(found.receipt, issued.receipt);
        assert_eq!(found.signature, issued.signature);
        assert_eq!(found.print, issued.print);
        assert_eq!(found.fiscal_day_no, issued.fiscal_day_no);
    }
}

/// The same key and sale is the same receipt, also within one batch; the key with another sale is refused.
#[test]
fn keys_are_durable() {
    let mut store = Store::new();
    let batch = vec![
        store.sale("A1"),
        store.sale("A1"),
        store.sale("A2"),
        store.sale("A1"),
    ];
    let done = store.core.issue(batch).unwrap();
    let seqs: Vec<Seq> = done
        .into_iter()
        .map(|done| match done.unwrap() {
            SaleDone::Issued(issued) => issued.seq,
            SaleDone::Repeated(seq) => seq,
        })
        .collect();
    assert_eq!(seqs[0], seqs[1]);
    assert_eq!(seqs[0], seqs[3]);
    assert_ne!(seqs[0], seqs[2]);
    let other = store.sale_of("A1", &line("1.30"), "2.60", "");
    assert!(matches!(
        store.issue(other),
        Err(Refusal::KeyConflict { .. })
    ));
    // Another key does not free the invoice number.
    let mut twice = store.sale("A1");
    twice.key = Some("another".to_owned());
    let Err(Refusal::Findings { findings }) = store.issue(twice) else {
        panic!("RCPT013 expected");
    };
    assert_eq!(findings[0].code, fiscal::Code::Rcpt013);
    assert_eq!(store.verify().unwrap().receipts, 2);
}

/// A refused sale keeps no key, takes no number and opens no day.
#[test]
fn refused_sales_leave_nothing() {
    let mut store = Store::new();
    let wrong = store.sale_of("A1", &line("1.20"), "2.39", "");
    assert!(matches!(store.issue(wrong), Err(Refusal::Findings { .. })));
    assert_eq!(
        store.verify().unwrap(),
        verify::Verified {
            tills: 1,
            days: 0,
            receipts: 0,
            audit: 4
        }
    );
    assert_eq!(
        store
            .issue(store.sale("A1"))
            .unwrap()
            .receipt
            .global_no
            .get(),
        1
    );
}

/// Credits never exceed the original, also when two of them come in one batch.
#[test]
fn credits_are_limited() {
    let mut store = Store::new();
    store.issue(store.sale("A1")).unwrap();
    let batch = vec![
        store.credit("C1", "A1", "-0.70", "-1.40"),
        store.credit("C2", "A1", "-0.70", "-1.40"),
        store.credit("C3", "A1", "-0.50", "-1.00"),
    ];
    let done = store.core.issue(batch).unwrap();
    assert!(done[0].is_ok());
    assert!(
        matches!(&done[1], Err(Refusal::Findings { findings }) if findings[0].code == fiscal::Code::Rcpt035)
    );
    assert!(done[2].is_ok());
    let reader = Reader::new(&store.path());
    let original = reader.by_key(store.till, "A1").unwrap().unwrap();
    assert_eq!(
        reader.creditable(original.seq).unwrap().remaining,
        fiscal::Cents::ZERO
    );
    store.verify().unwrap();
}

/// A day that has lasted its longest is closed and the next one opened by the sale that finds it so.
#[test]
fn long_days_roll_over() {
    let mut store = Store::new();
    store.issue(store.sale("A1")).unwrap();
    store.clock.advance(Duration::from_secs(25 * 3600));
    let next = store.issue(store.sale("A2")).unwrap();
    assert_eq!(
        (next.fiscal_day_no.get(), next.receipt.counter.get()),
        (2, 1)
    );
    assert_eq!(store.verify().unwrap().days, 2);
}

/// A ledger that is opened again goes on with its chain, and only with its sealing key.
#[test]
fn reopening_goes_on() {
    let mut store = Store::new();
    let first = store.issue(store.sale("A1")).unwrap();
    let key = store.core.sealing.clone();
    let reopen = |key| Core::open(&store.path(), key, store.clock.clone(), Settings::default());
    assert!(reopen(SealingKey::random().unwrap()).is_err());
    store.core = reopen(key).unwrap();
    let second = store.issue(store.sale("A2")).unwrap();
    assert_eq!(second.receipt.global_no, first.receipt.global_no.next());
    store.verify().unwrap();
}

/// An error from COMMIT is "unknown", never "refused": the sale may be there, and its key finds it.
#[test]
fn commit_errors_are_unknown() {
    let mut store = Store::new();
    store.core.plant(Planted::CommitFails);
    let sale = store.sale("A1");
    let error = store.core.issue(vec![sale]).unwrap_err();
    assert!(matches!(error, StorageError::CommitUnknown(_)), "{error}");
    assert!(
        Reader::new(&store.path())
            .by_key(store.till, "A1")
            .unwrap()
            .is_some()
    );
    // After a storage fault nothing more is written until a restart.
    store.core.plant(Planted::None);
    let sale = store.sale("A2");
    assert!(matches!(
        store.core.issue(vec![sale]),
        Err(StorageError::ReadOnly(_))
    ));
}

/// What every sale looks up is planned once, not anew for each value (a third of the writer's time once).
#[test]
fn look_ups_are_planned_once() {
    let mut store = Store::new();
    for number in 0..5 {
        let sale = store.sale(&format!("A{number}"));
        store.issue(sale).unwrap();
    }
    for query in [super::read::BY_KEY, super::read::BY_INVOICE_NO] {
        let statement = store.core.conn.prepare_cached(query).unwrap();
        assert!(statement.get_status(rusqlite::StatementStatus::Run) >= 5);
        assert_eq!(
            statement.get_status(rusqlite::StatementStatus::RePrepare),
            0
        );
    }
}

/// Each check finds the defect that is planted for it.
#[test]
fn planted_defects_are_found() {
    let table = [
        (Planted::NumberSkipped, "receiptGlobalNo"),
        (Planted::ChainBroken, "its hash"),
        (Planted::CountersForgotten, "the counters"),
        (Planted::DateNotRising, "receiptDate"),
        (Planted::None, ""),
    ];
    for (defect, expected) in table {
        let mut store = Store::new();
        store.core.plant(defect);
        let batch = (1..4).map(|n| store.sale(&format!("A{n}"))).collect();
        let issued = store.core.issue(batch);
        let closed = store.core.write(|core| core.close_day(TillId(1), "test"));
        let verified = store.verify();
        if defect == Planted::None {
            assert!(issued.is_ok() && closed.is_ok() && verified.is_ok());
            continue;
        }
        // Either the core stops by itself rather than sign, or verify names the defect.
        let told = match (issued, verified) {
            (Err(error), _) => error.to_string(),
            (_, Err(error)) => error.to_string(),
            (Ok(_), Ok(_)) => panic!("{defect:?} was not found"),
        };
        assert!(told.contains(expected), "{defect:?}: {told}");
    }
}

/// A forgotten key would make two receipts of one sale; the unique index does not let it.
#[test]
fn a_forgotten_key_makes_no_second_receipt() {
    let mut store = Store::new();
    store.issue(store.sale("A1")).unwrap();
    store.core.plant(Planted::KeyForgotten);
    assert!(store.issue(store.sale("A1")).is_err());
    assert_eq!(store.verify().unwrap().receipts, 1);
}

/// A day is closed while the clock, believed after a reboot, is two hours ahead, and FDMS puts it right: the next day
/// opens at the right time, before that close, and all is in order.
#[test]
fn a_close_by_a_wrong_clock_moves_no_later_day() {
    let mut store = Store::new();
    let till = store.till;
    store.issue(store.sale("A1")).unwrap();
    store.clock.advance(Duration::from_secs(60));
    let right = store.clock.wall();
    store.clock.set_wall(right + Duration::from_secs(7200));
    store.clock.reboot();
    store.reopen();
    let ahead = store
        .core
        .write(|core| core.close_day(till, "test"))
        .unwrap();
    store.core.time().learn(right, Duration::ZERO);
    let next = store
        .core
        .write(|core| core.open_day(till, "test"))
        .unwrap();
    assert!(next.opened < ahead.close.unwrap().closed);
    store.issue(store.sale("A2")).unwrap();
    store.verify().unwrap();
}
