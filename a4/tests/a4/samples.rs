//! Receipts to make documents of: a few written by hand, others drawn at random.

use fiscal::compose::{Known, Numbers, compose, in_signing_order};
use fiscal::draft::{Draft, PrintOnly};
use fiscal::paper::{Marks, OriginalOnPaper, Proof, ReceiptOnPaper};
use fiscal::receipt::Signature;
use fiscal::taxpayer::Taxpayer;
use fiscal::testing::{GenOptions, Issued, Random, random_sale};
use fiscal::{Currency, DateTime, DeviceId, FiscalDayNo, Receipt, ReceiptCounter, ReceiptGlobalNo};

pub(crate) fn device() -> DeviceId {
    DeviceId::new(37367).expect("a device ID")
}

pub(crate) fn day_no() -> FiscalDayNo {
    FiscalDayNo::new(45).expect("a day's number")
}

pub(crate) fn date() -> DateTime {
    jiff::civil::date(2026, 9, 6).at(12, 18, 39, 0)
}

/// A receipt and all that its paper needs.
#[derive(Clone)]
pub(crate) struct Sample {
    pub(crate) receipt: Receipt,
    pub(crate) taxpayer: Taxpayer,
    pub(crate) print: PrintOnly,
    pub(crate) proof: Option<Proof>,
    pub(crate) original: Option<OriginalOnPaper>,
    pub(crate) marks: Marks,
}

impl Sample {
    pub(crate) fn new(json: &str, taxpayer: &Taxpayer) -> Self {
        let (draft, findings) = Draft::read(json.as_bytes());
        assert_eq!(findings, [], "{json}");
        let known = Known {
            numbers: Some(Numbers {
                counter: ReceiptCounter::new(15).expect("a counter"),
                global_no: ReceiptGlobalNo::new(451).expect("a number"),
                date: date(),
            }),
            taxpayer: Some(taxpayer),
            ..Known::default()
        };
        let (receipt, findings) = compose(&draft, &known);
        assert_eq!(findings, [], "{json}");
        Self::of(in_signing_order(receipt), draft.print, taxpayer)
    }

    pub(crate) fn of(receipt: Receipt, print: PrintOnly, taxpayer: &Taxpayer) -> Self {
        let signature = Signature {
            hash: fiscal::sign::hash("paper"),
            bytes: b"a signature".to_vec(),
        };
        let proof = Proof::new(&taxpayer.qr_url, device(), &receipt, &signature);
        Self {
            receipt,
            taxpayer: taxpayer.clone(),
            print,
            proof: Some(proof),
            original: None,
            marks: Marks::default(),
        }
    }

    pub(crate) fn paper(&self) -> ReceiptOnPaper<'_> {
        ReceiptOnPaper {
            receipt: &self.receipt,
            taxpayer: &self.taxpayer,
            device: device(),
            fiscal_day: Some(day_no()),
            proof: self.proof.as_ref(),
            print: &self.print,
            original: self.original.as_ref(),
            marks: self.marks,
        }
    }

    pub(crate) fn pdf(&self) -> Vec<u8> {
        a4::invoice(&self.paper(), None).expect("a PDF")
    }
}

/// Random valid sales, invoices first and notes on them later.
pub(crate) fn random_samples(seed: u64, count: usize, taxpayer: &Taxpayer) -> Vec<Sample> {
    let mut random = Random::new(seed);
    let mut issued: Vec<Issued> = Vec::new();
    let mut samples = Vec::new();
    while samples.len() < count {
        let options = GenOptions {
            device: None,
            invoice_no: "an-invoice-number-of-fifty-characters-xxxxxxxxxxxx",
            date: date(),
            currencies: &[Currency::ZWG, Currency::USD],
            originals: &issued,
        };
        let sale = random_sale(&mut random, taxpayer, &options);
        let sample = Sample::new(&sale.json, taxpayer);
        issued.push(Issued::of(&sample.receipt, device(), day_no()));
        samples.push(sample);
    }
    samples
}

/// A small picture: a company's sign in two colours on nothing.
pub(crate) fn logo() -> Vec<u8> {
    let (width, height) = (240_u32, 90_u32);
    let mut pixels = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let in_ring = {
                let (dx, dy) = (i64::from(x) - 45, i64::from(y) - 45);
                (900..1900).contains(&(dx * dx + dy * dy))
            };
            let in_bar = x > 100 && (20..34).contains(&(y % 45));
            pixels.extend(match (in_ring, in_bar) {
                (true, _) => [0x1D, 0x3A, 0x5F, 0xFF],
                (_, true) => [0xC0, 0x7A, 0x10, 0xFF],
                _ => [0, 0, 0, 0],
            });
        }
    }
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().expect("a PNG");
    writer.write_image_data(&pixels).expect("a PNG");
    writer.finish().expect("a PNG");
    bytes
}

pub(crate) const INCLUSIVE: &str = r#"{
  "receiptType": "FiscalInvoice", "receiptCurrency": "USD", "invoiceNo": "T1-000123",
  "receiptLinesTaxInclusive": true, "receiptNotes": "Goods once sold are taken back within 7 days with this paper only.",
  "buyerData": {"buyerRegisterName": "Moyo & Sons (Pvt) Ltd", "buyerTradeName": "Moyo's", "buyerTIN": "1234567890",
    "vatNumber": "123456789", "buyerContacts": {"phoneNo": "+263 770 000000", "email": "shop@moyo.example"},
    "buyerAddress": {"province": "Harare", "city": "Harare", "street": "First Street", "houseNo": "1A"}},
  "receiptLines": [
    {"receiptLineType": "Sale", "receiptLineName": "Bread", "receiptLineHSCode": "19059090", "receiptLinePrice": 1.2, "receiptLineQuantity": 1, "taxID": 517, "taxCode": "A"},
    {"receiptLineType": "Sale", "receiptLineName": "Generator, petrol, 5 kVA, with wheels and a cover against the rain", "receiptLineHSCode": "85022000", "receiptLinePrice": 5000, "receiptLineQuantity": 3, "taxID": 517, "taxCode": "A"},
    {"receiptLineType": "Discount", "receiptLineName": "Generator", "receiptLineHSCode": "85022000", "receiptLinePrice": -100, "receiptLineQuantity": 1, "taxID": 517, "taxCode": "A"},
    {"receiptLineType": "Sale", "receiptLineName": "Beef", "receiptLineHSCode": "02013000", "receiptLinePrice": 1081.08, "receiptLineQuantity": 0.555, "taxID": 2, "taxCode": "B"},
    {"receiptLineType": "Sale", "receiptLineName": "Sweets", "receiptLineHSCode": "17049000", "receiptLineQuantity": 3, "receiptLineTotal": 1.00, "taxID": 1, "taxCode": "C"}],
  "receiptPayments": [{"moneyTypeCode": "Cash", "paymentAmount": 502.20}, {"moneyTypeCode": "MobileWallet", "paymentAmount": 15000}],
  "cashier": "Tendai", "tendered": 510, "change": 7.80, "footerLines": ["Thank you", "Come again"]}"#;

pub(crate) const EXCLUSIVE: &str = r#"{
  "receiptType": "FiscalInvoice", "receiptCurrency": "ZWG", "invoiceNo": "INV-2026-0815",
  "receiptLinesTaxInclusive": false,
  "buyerData": {"buyerRegisterName": "Great Zimbabwe Hardware and Building Supplies (Private) Limited", "buyerTIN": "1234567890"},
  "receiptLines": [
    {"receiptLineType": "Sale", "receiptLineName": "Cement PC15, 50 kg", "receiptLineHSCode": "25232900", "receiptLinePrice": 311.11, "receiptLineQuantity": 11, "taxID": 517},
    {"receiptLineType": "Sale", "receiptLineName": "Labour, per hour", "receiptLineHSCode": "99001000", "receiptLinePrice": 77.03, "receiptLineQuantity": 1.5, "taxID": 517},
    {"receiptLineType": "Sale", "receiptLineName": "School books", "receiptLineHSCode": "49019900", "receiptLinePrice": 40, "receiptLineQuantity": 2, "taxID": 2},
    {"receiptLineType": "Sale", "receiptLineName": "Bus fare", "receiptLineHSCode": "99003000", "receiptLinePrice": 3.5, "receiptLineQuantity": 1, "taxID": 1}],
  "receiptPayments": [{"moneyTypeCode": "BankTransfer", "paymentAmount": 4169.61}]}"#;

pub(crate) const CREDIT: &str = r#"{
  "receiptType": "CreditNote", "receiptCurrency": "USD", "invoiceNo": "CRN0054", "receiptLinesTaxInclusive": false,
  "receiptNotes": "Brought back", "creditDebitNote": {"deviceID": 35224, "receiptGlobalNo": 34, "fiscalDayNo": 3},
  "receiptLines": [
    {"receiptLineType": "Sale", "receiptLineName": "Kikuyu Lawn - sqm", "receiptLineHSCode": "12092500", "receiptLinePrice": -2.5974, "receiptLineQuantity": 100, "taxID": 517},
    {"receiptLineType": "Sale", "receiptLineName": "Seeds", "receiptLineHSCode": "12099100", "receiptLinePrice": -4, "receiptLineQuantity": 1, "taxID": 1}],
  "receiptPayments": [{"moneyTypeCode": "BankTransfer", "paymentAmount": -304}]}"#;

pub(crate) const DEBIT: &str = r#"{
  "receiptType": "DebitNote", "receiptCurrency": "USD", "invoiceNo": "DBN0007", "receiptLinesTaxInclusive": true,
  "receiptNotes": "Transport was forgotten", "creditDebitNote": {"receiptID": 880077},
  "receiptLines": [
    {"receiptLineType": "Sale", "receiptLineName": "Transport", "receiptLineHSCode": "99001000", "receiptLinePrice": 57.75, "receiptLineQuantity": 1, "taxID": 517}],
  "receiptPayments": [{"moneyTypeCode": "Card", "paymentAmount": 57.75}]}"#;
