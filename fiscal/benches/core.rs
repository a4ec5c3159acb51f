//! What the core costs, each beside the least that it could cost: the same bytes hashed, signed, verified or read by the
//! library alone, in the same run. `cargo bench -p fiscal`; `scripts/bench core` keeps the ratios.
//!
//! Each group has two members: `ours`, and `floor`. What comes out is compared once with what must come out, so that
//! nothing is measured that does not work.
#![expect(
    clippy::unwrap_used,
    reason = "a measurement that cannot be set up must stop"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _,
    RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey,
};
use criterion::{Criterion, Throughput};
use fiscal::compose::{Known, Numbers, compose, in_signing_order};
use fiscal::counters::Counters;
use fiscal::draft::Draft;
use fiscal::receipt::Hash;
use fiscal::rules::{Day, Facts, Previous, judge};
use fiscal::taxpayer::Taxpayer;
use fiscal::testing::sample_taxpayer;
use fiscal::{
    Currency, DateTime, DeviceId, Finding, Receipt, ReceiptCounter, ReceiptGlobalNo, qr, sign,
};
use md5::Md5;
use sha2::{Digest as _, Sha256};

/// Lines of the sales that are checked.
const LINES: [usize; 3] = [1, 10, 100];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let shop = Shop::new();
    hash(&mut criterion, &shop);
    ec(&mut criterion, &shop);
    rsa(&mut criterion, &shop);
    qr_content(&mut criterion, &shop);
    for lines in LINES {
        check(&mut criterion, &shop, lines);
    }
    counters(&mut criterion, &shop);
    criterion.final_summary();
}

/// A till in the middle of its day.
struct Shop {
    taxpayer: Taxpayer,
    device: DeviceId,
    date: DateTime,
    previous: Hash,
}

impl Shop {
    fn new() -> Self {
        Self {
            taxpayer: sample_taxpayer(),
            device: DeviceId::new(321).unwrap(),
            date: jiff::civil::date(2026, 3, 2).at(10, 30, 0, 0),
            previous: sign::hash("the receipt before"),
        }
    }

    /// Reads a sale, puts it together and judges it, as the gateway does.
    fn checked(&self, json: &str) -> (Receipt, Vec<Finding>) {
        let (draft, mut findings) = Draft::read(json.as_bytes());
        let known = Known {
            numbers: Some(Numbers {
                counter: ReceiptCounter::new(8).unwrap(),
                global_no: ReceiptGlobalNo::new(108).unwrap(),
                date: self.date,
            }),
            taxpayer: Some(&self.taxpayer),
            ..Known::default()
        };
        let (receipt, more) = compose(&draft, &known);
        findings.extend(more);
        let facts = Facts {
            taxpayer: Some(&self.taxpayer),
            currencies: Some(&[Currency::USD]),
            previous: Some(Previous {
                counter: ReceiptCounter::new(7).unwrap(),
                global_no: ReceiptGlobalNo::new(107).unwrap(),
                date: Some(self.date.saturating_sub(jiff::Span::new().minutes(1))),
            }),
            day: Some(Day {
                opened: self.date.saturating_sub(jiff::Span::new().hours(2)),
                max_hours: 24,
            }),
            now: Some(self.date),
            invoice_no_is_new: Some(true),
            ..Facts::default()
        };
        findings.extend(judge(&receipt, &facts));
        (receipt, findings)
    }

    /// A sale of so many lines, as it is signed.
    fn receipt(&self, lines: usize) -> Receipt {
        let (receipt, findings) = self.checked(&sale(lines));
        assert_eq!(findings, [], "the sale is not one that FDMS accepts");
        in_signing_order(receipt)
    }

    fn signed(&self, receipt: &Receipt) -> String {
        sign::receipt_string(self.device, receipt, Some(&self.previous))
    }
}

/// A sale of so many lines of 1.20, of two taxes by turns.
fn sale(lines: usize) -> String {
    let mut json = String::from(
        r#"{"receiptType":"FiscalInvoice","receiptCurrency":"USD","invoiceNo":"T1-000108","receiptLinesTaxInclusive":true,"receiptLines":["#,
    );
    for line in 0..lines {
        let comma = if line > 0 { "," } else { "" };
        let tax = if line % 2 == 0 { 517 } else { 2 };
        // Writing to a String cannot fail.
        let _ = write!(
            json,
            r#"{comma}{{"receiptLineType":"Sale","receiptLineName":"Bread {line}","receiptLineHSCode":"19059090","receiptLinePrice":1.20,"receiptLineQuantity":1,"taxID":{tax}}}"#
        );
    }
    let cents = lines * 120;
    let _ = write!(
        json,
        r#"],"receiptPayments":[{{"moneyTypeCode":"Cash","paymentAmount":{}.{:02}}}]}}"#,
        cents / 100,
        cents % 100
    );
    json
}

/// Two functions of one group: what we do, and the least that it takes.
fn beside<A, B>(
    criterion: &mut Criterion,
    name: &str,
    bytes: usize,
    mut ours: impl FnMut() -> A,
    mut floor: impl FnMut() -> B,
) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(u64::try_from(bytes).unwrap()));
    group.bench_function("ours", |b| b.iter(|| black_box(ours())));
    group.bench_function("floor", |b| b.iter(|| black_box(floor())));
    group.finish();
}

/// The canonical string and its hash; floor: SHA-256 of the same bytes.
fn hash(criterion: &mut Criterion, shop: &Shop) {
    let receipt = shop.receipt(10);
    let text = shop.signed(&receipt);
    let raw = || <[u8; 32]>::from(Sha256::digest(black_box(text.as_bytes())));
    assert_eq!(sign::hash(&text).0, raw());
    let ours = || sign::hash(&shop.signed(black_box(&receipt)));
    beside(criterion, "hash", text.len(), ours, raw);
}

/// String and P-256 signature, and its verification; floor: the same by the library alone.
fn ec(criterion: &mut Criterion, shop: &Shop) {
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, pair.public_key());
    let receipt = shop.receipt(10);
    let text = shop.signed(&receipt);
    let raw = |text: &str| pair.sign(&random, text.as_bytes()).unwrap();
    let ours = || raw(&shop.signed(black_box(&receipt)));
    let signature = ours();
    let floor = || raw(black_box(&text));
    beside(criterion, "sign-p256", text.len(), ours, floor);

    let raw = |text: &str| public.verify(text.as_bytes(), signature.as_ref());
    assert!(raw(&text).is_ok() && raw("another").is_err());
    let ours = || raw(&shop.signed(black_box(&receipt)));
    let floor = || raw(black_box(&text));
    beside(criterion, "verify-p256", text.len(), ours, floor);
}

/// String and RSA signature of 2048 bits; floor: the library's signature of the same bytes.
fn rsa(criterion: &mut Criterion, shop: &Shop) {
    let random = SystemRandom::new();
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let receipt = shop.receipt(10);
    let text = shop.signed(&receipt);
    let raw = |text: &str| {
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature)
            .unwrap();
        signature
    };
    assert_eq!(raw(&shop.signed(&receipt)), raw(&text));
    let ours = || raw(&shop.signed(black_box(&receipt)));
    let floor = || raw(black_box(&text));
    beside(criterion, "sign-rsa2048", text.len(), ours, floor);
}

/// What the QR code holds; floor: MD5 of the same signature.
fn qr_content(criterion: &mut Criterion, shop: &Shop) {
    let signature = [0x5a; 71];
    let global_no = ReceiptGlobalNo::new(108).unwrap();
    let ours = || {
        let url = &shop.taxpayer.qr_url;
        let code = qr::verification_code(black_box(&signature));
        qr::content(url, shop.device, shop.date, global_no, &code)
    };
    assert!(ours().ends_with(&qr::verification_code(&signature)));
    let floor = || Md5::digest(black_box(&signature));
    beside(criterion, "qr", signature.len(), ours, floor);
}

/// A sale read, put together and judged by all rules; floor: its JSON read as a tree.
fn check(criterion: &mut Criterion, shop: &Shop, lines: usize) {
    let json = sale(lines);
    let (receipt, findings) = shop.checked(&json);
    assert_eq!(findings, []);
    assert_eq!(receipt.lines.len(), lines);
    let ours = || shop.checked(black_box(&json));
    let floor = || serde_json::from_str::<serde_json::Value>(black_box(&json)).unwrap();
    let name = format!("check-{lines}");
    beside(criterion, &name, json.len(), ours, floor);
}

/// A receipt added to the day's counters; floor: as many sums added to a map of numbers.
fn counters(criterion: &mut Criterion, shop: &Shop) {
    let receipt = shop.receipt(10);
    let mut day = Counters::default();
    day.add_receipt(&receipt);
    let sums = day.non_zero().count();
    assert!(sums >= 3, "taxes and money are counted");
    let ours = || {
        day.add_receipt(black_box(&receipt));
    };
    let mut map: BTreeMap<usize, i64> = (0..sums).map(|key| (key, 0)).collect();
    let floor = || {
        for key in 0..sums {
            *map.entry(black_box(key)).or_default() += 120;
        }
    };
    beside(criterion, "counters", sums, ours, floor);
}
