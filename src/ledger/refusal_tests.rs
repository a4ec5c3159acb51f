//! Sales that must be refused although each single figure looks right, each beside one that is taken.

use clock::{TestClock, Timestamp};
use fiscal::draft::Draft;
use fiscal::{Code, DeviceId};

use super::core::Core;
use super::*;
use crate::keys::SealingKey;

fn issue(core: &mut Core, json: &str) -> Result<Issued, Vec<Code>> {
    let (draft, findings) = Draft::read(json.as_bytes());
    assert_eq!(findings, []);
    let till = core.till(TillId(1)).unwrap().info.ids();
    let sale = Sale::new(till, draft, None, "test".into());
    match core.issue(vec![sale]).unwrap().remove(0) {
        Ok(SaleDone::Issued(issued)) => Ok(*issued),
        Ok(SaleDone::Repeated(seq)) => panic!("{seq} repeated"),
        Err(Refusal::Findings { findings }) => Err(findings.iter().map(|f| f.code).collect()),
        Err(other) => panic!("{other}"),
    }
}

fn store() -> (tempfile::TempDir, Core) {
    let dir = tempfile::tempdir().unwrap();
    let start: Timestamp = "2026-05-28T05:00:00Z".parse().unwrap();
    let mut core = Core::open(
        &dir.path().join("ledger.db"),
        SealingKey::random().unwrap(),
        TestClock::new(start),
        Settings::default(),
    )
    .unwrap();
    crate::testing::add_till(&mut core, DeviceId::new(42).unwrap()).unwrap();
    (dir, core)
}

fn invoice(number: &str, lines: &str, paid: &str) -> String {
    format!(
        r#"{{"receiptType":"FiscalInvoice","receiptCurrency":"USD","invoiceNo":"{number}",
        "receiptLinesTaxInclusive":true,"receiptLines":[{lines}],
        "receiptPayments":[{{"moneyTypeCode":"Cash","paymentAmount":{paid}}}]}}"#
    )
}

fn line(kind: &str, price: &str, tax: u32) -> String {
    format!(
        r#"{{"receiptLineType":"{kind}","receiptLineName":"Bread","receiptLineHSCode":"19059090",
        "receiptLinePrice":{price},"receiptLineQuantity":1,"taxID":{tax}}}"#
    )
}

fn credit(number: &str, reference: &str) -> String {
    let lines = line("Sale", "-1.00", 517);
    format!(
        r#"{{"receiptType":"CreditNote","receiptCurrency":"USD","invoiceNo":"{number}",
        "receiptNotes":"returned","receiptLinesTaxInclusive":true,"receiptLines":[{lines}],
        "receiptPayments":[{{"moneyTypeCode":"Cash","paymentAmount":-1.00}}],{reference}}}"#
    )
}

/// A small total over tax rows that FDMS's fields cannot hold is refused; what is issued can be read back.
#[test]
fn huge_rows_behind_a_small_total() {
    let (dir, mut core) = store();
    let huge = line("Sale", "9000000000000", 517);
    let back = line("Discount", "-9000000000000", 2);
    let ten = line("Sale", "10", 2);
    let lines = [huge.as_str(), &huge, &ten, &back, &back].join(",");
    let codes = issue(&mut core, &invoice("A1", &lines, "10")).unwrap_err();
    assert!(codes.contains(&Code::NumberTooLarge), "{codes:?}");
    let lines = [huge.as_str(), &ten, &back].join(",");
    let issued = issue(&mut core, &invoice("A1", &lines, "10")).unwrap();
    let reader = Reader::new(&dir.path().join("ledger.db"));
    assert_eq!(
        reader.by_seq(issued.seq).unwrap().unwrap().receipt,
        issued.receipt
    );
}

/// A reference by `invoiceNo` and by numbers must mean one receipt.
#[test]
fn references_that_contradict() {
    let (_dir, mut core) = store();
    for number in ["A1", "A2"] {
        issue(&mut core, &invoice(number, &line("Sale", "5", 517), "5")).unwrap();
    }
    let reference = |no: u32| {
        format!(
            r#""creditDebitNote":{{"invoiceNo":"A1","deviceID":42,"receiptGlobalNo":{no},"fiscalDayNo":1}}"#
        )
    };
    assert_eq!(
        issue(&mut core, &credit("C1", &reference(2))).unwrap_err(),
        [Code::Rcpt032]
    );
    issue(&mut core, &credit("C1", &reference(1))).unwrap();
}

/// `originalElsewhere` is for devices outside this store: a receipt of a till in it is here or nowhere.
#[test]
fn elsewhere_is_not_here() {
    let (_dir, mut core) = store();
    let reference = |device: u32| {
        format!(
            r#""originalElsewhere":true,
            "creditDebitNote":{{"deviceID":{device},"receiptGlobalNo":9999,"fiscalDayNo":1}}"#
        )
    };
    assert_eq!(
        issue(&mut core, &credit("C1", &reference(42))).unwrap_err(),
        [Code::Rcpt032]
    );
    issue(&mut core, &credit("C1", &reference(77))).unwrap();
}
