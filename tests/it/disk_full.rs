//! The disk of the ledger is full: a clear 507, nothing half-written, and selling resumes with room.
//!
//! The store lives in a tmpfs of a few megabytes, mounted in a namespace of its own in which this test
//! runs itself again; without root it is a user namespace.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::support::namespace::inside;
use crate::support::process::{Http, HttpAnswer, Store};

/// Where a test finds itself on a disk of its own, of this size (`12m`): its folder. Else the test is run again there, and
/// none is given back once it has passed. `test` is its full name.
pub(crate) fn on_a_disk_of(size: &str, test: &str) -> Option<PathBuf> {
    let script = format!("mount -t tmpfs -o size={size} tmpfs \"$1\"");
    inside(&["--mount"], &script, test)
}

#[test]
fn a_full_disk_stops_selling_and_loses_nothing() {
    let test = "disk_full::a_full_disk_stops_selling_and_loses_nothing";
    if let Some(dir) = on_a_disk_of("12m", test) {
        fill_and_free(&dir);
    }
}

fn fill_and_free(dir: &Path) {
    let mut store = Store::set_up(dir, 77);
    store.start();
    let mut http = Http::open(store.address).unwrap();
    let mut sold = 0;
    for number in 0..20 {
        assert_eq!(sell(&mut http, &store, number).status, 201);
        sold += 1;
    }
    let filler = dir.join("filler");
    fill(&filler);

    // What is left in the log's last block still takes a few.
    let mut number = 20;
    let refused = loop {
        let answer = sell(&mut http, &store, number);
        if answer.status != 201 {
            break answer;
        }
        sold += 1;
        number += 1;
        assert!(number < 10_000, "the disk never fills");
    };
    assert_eq!(refused.status, 507, "{}", refused.body);
    assert_eq!(refused.member("code"), "disk_full");
    // Reading goes on, and nothing of the refused sale is there.
    assert_eq!(http.get("/v1/status", &store.token).unwrap().status, 200);
    assert_eq!(
        http.get("/v1/receipts/1", &store.token).unwrap().status,
        200
    );
    let there = store
        .reader()
        .by_key(store.till().id, &key(number))
        .unwrap();
    assert!(there.is_none());

    std::fs::remove_file(&filler).unwrap();
    let again = sell(&mut http, &store, number);
    assert_eq!(again.status, 201, "{}", again.body);
    sold += 1;
    assert_eq!(again.member("receiptGlobalNo"), sold.to_string());
    let verified = fiscald::ledger::verify::verify(&store.ledger(), &mut |_, _| {}).unwrap();
    assert_eq!(verified.receipts, sold);
    store.drain();
    assert_eq!(store.sandbox.receipts(store.device_id).len() as u64, sold);
}

/// Writes until there is no room at all.
fn fill(path: &Path) {
    let mut file = std::fs::File::create(path).unwrap();
    for size in [1 << 16, 1 << 12, 1] {
        let block = vec![0; size];
        while file.write_all(&block).is_ok() {}
    }
}

fn key(number: u32) -> String {
    format!("F{number}")
}

/// Sells a bread.
pub(crate) fn sell(http: &mut Http, store: &Store, number: u32) -> HttpAnswer {
    let body = format!(
        r#"{{"receiptType":"FiscalInvoice","receiptCurrency":"USD","invoiceNo":"{}",
        "receiptLinesTaxInclusive":true,"receiptLines":[{{"receiptLineType":"Sale",
        "receiptLineName":"Bread","receiptLineHSCode":"19059090","receiptLinePrice":1.20,
        "receiptLineQuantity":2,"taxID":517}}],
        "receiptPayments":[{{"moneyTypeCode":"Cash","paymentAmount":2.40}}]}}"#,
        key(number)
    );
    http.post("/v1/receipts", &store.token, &body).unwrap()
}
