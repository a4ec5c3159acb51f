//! The pure core's receipts at the sandbox, which judges them by its own reading of the rules.
//!
//! No ledger and no daemon between: what is put together, judged clean and signed here must be taken
//! there without any colour, and the day must close on the counters. `CORE_SALES` sets how many sales.
#![cfg(feature = "demo")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up may end")]

use std::sync::Arc;
use std::time::Duration;

use clock::{Clock as _, TestClock, local};
use fdms_sandbox::{DeviceSpec, RunningSandbox, Sandbox};
use fiscal::compose::{Known, Numbers, compose, in_signing_order};
use fiscal::counters::DayTotals;
use fiscal::draft::Draft;
use fiscal::json::Value;
use fiscal::receipt::{Hash, OriginalRef, Signature};
use fiscal::rules::{Facts, Original, OriginalFact, judge};
use fiscal::taxpayer::Taxpayer;
use fiscal::testing::{
    GenOptions, Issued, Random, random_sale, sample_taxpayer, sample_taxpayer_without_vat,
};
use fiscal::{
    Currency, DeviceId, FiscalDayNo, Receipt, ReceiptCounter, ReceiptGlobalNo, ReceiptType, sign,
    wire,
};
use fiscald::fdms::wire::DayStatus;
use fiscald::fdms::{
    Answer, ClientSettings, Fdms as _, HttpFdms, Identity, Limits, Outcome, TrustRoots,
};
use fiscald::keys::{Certificate, DeviceKey, KeyKind, Signer as _, certificate_request};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

const VAT_PAYER: u32 = 42;
const WITHOUT_VAT: u32 = 43;

const VECTORS: &[u8] = include_bytes!("../fiscal/tests/vectors/signatures.json");

struct House {
    sandbox: RunningSandbox,
    clock: Arc<TestClock>,
    _stop: DropGuard,
}

async fn house() -> House {
    let clock = TestClock::new("2026-05-28T05:00:00Z".parse().unwrap());
    let stop = CancellationToken::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let without_vat = DeviceSpec {
        vat_number: None,
        tax_payer_tin: "2000000001".to_owned(),
        ..DeviceSpec::new(WITHOUT_VAT)
    };
    let sandbox = Sandbox::builder()
        .clock(clock.clone())
        .device(DeviceSpec::new(VAT_PAYER))
        .device(without_vat)
        .start(listener, None, stop.clone())
        .await
        .unwrap();
    House {
        sandbox,
        clock,
        _stop: stop.drop_guard(),
    }
}

fn accepted<T: std::fmt::Debug>(answer: Answer<T>) -> T {
    match answer.outcome {
        Outcome::Accepted(value) => value,
        other => panic!("expected yes, got {other:?} from {:?}", answer.evidence),
    }
}

/// A till made of the core alone, with one fiscal day.
struct Till<'h> {
    house: &'h House,
    device: DeviceId,
    taxpayer: Taxpayer,
    key: Arc<DeviceKey>,
    client: HttpFdms,
    count: u32,
    previous: Option<Hash>,
    totals: DayTotals,
    opened: fiscal::DateTime,
}

fn day_no() -> FiscalDayNo {
    FiscalDayNo::new(1).unwrap()
}

impl<'h> Till<'h> {
    /// Registers the device and opens its first day.
    async fn open(house: &'h House, device_id: u32, taxpayer: Taxpayer) -> Self {
        let spec = DeviceSpec::new(device_id);
        let client = |identity| {
            HttpFdms::new(&ClientSettings {
                environment: house.sandbox.url(),
                device_id,
                model_name: "Server".to_owned(),
                model_version: "v1".to_owned(),
                identity,
                roots: TrustRoots::load(Some(&house.sandbox.ca_pem())).unwrap(),
                clock: house.clock.clone(),
                limits: Limits::default(),
                files: fiscald::fdms::FileTransport::default(),
            })
            .unwrap()
        };
        let key = Arc::new(DeviceKey::generate(KeyKind::EcP256).unwrap());
        let request = certificate_request(&key, &spec.serial_no, device_id, false).unwrap();
        let answer = client(None)
            .register_device(&spec.activation_key, &request)
            .await;
        let certificate = Certificate::from_pem(&accepted(answer).certificate).unwrap();
        let client = client(Some(Identity {
            certificate,
            key: key.clone(),
        }));
        let opened = local(house.clock.wall());
        let body = wire::open_day_body(day_no(), opened);
        accepted(client.open_day(body.as_bytes()).await);
        Self {
            house,
            device: DeviceId::new(device_id).unwrap(),
            taxpayer,
            key,
            client,
            count: 0,
            previous: None,
            totals: DayTotals::default(),
            opened,
        }
    }

    fn date(&self) -> fiscal::DateTime {
        local(self.house.clock.wall())
    }

    fn sign(&self, string: &str) -> Signature {
        Signature {
            hash: sign::hash(string),
            bytes: self.key.sign(string.as_bytes()).unwrap(),
        }
    }

    /// Issues and submits one sale; neither judge may find anything.
    async fn sell(&mut self, draft: &Draft, original: Option<&Original>) -> Receipt {
        self.count += 1;
        let known = Known {
            numbers: Some(Numbers {
                counter: ReceiptCounter::new(self.count).unwrap(),
                global_no: ReceiptGlobalNo::new(self.count).unwrap(),
                date: self.date(),
            }),
            taxpayer: Some(&self.taxpayer),
            original,
            ..Known::default()
        };
        let (receipt, findings) = compose(draft, &known);
        assert_eq!(findings, []);
        let receipt = in_signing_order(receipt);
        let facts = Facts {
            taxpayer: Some(&self.taxpayer),
            original: original.map_or(OriginalFact::Unknown, OriginalFact::Found),
            ..Facts::default()
        };
        assert_eq!(judge(&receipt, &facts), []);
        let string = sign::receipt_string(self.device, &receipt, self.previous.as_ref());
        let signature = self.sign(&string);
        let body = wire::submit_receipt_body(&receipt, &signature);
        let answer = accepted(self.client.submit_receipt(body.as_bytes()).await);
        assert_eq!(answer.validation_errors, [], "{body}");
        self.previous = Some(signature.hash);
        self.totals.add_receipt(&receipt);
        self.house.clock.advance(Duration::from_secs(1));
        receipt
    }

    /// Closes the day; FDMS must agree with every counter.
    async fn close(&self) {
        let counters = &self.totals.counters;
        let string = sign::day_string(self.device, day_no(), self.opened, counters);
        let last = ReceiptCounter::new(self.count);
        let body = wire::close_day_body(day_no(), counters, &self.sign(&string), last);
        accepted(self.client.close_day(body.as_bytes()).await);
        self.house.clock.advance(Duration::from_secs(60));
        let status = accepted(self.client.get_status().await);
        assert_eq!(status.day, DayStatus::Closed, "{:?}", status.closing_error);
    }
}

/// Random valid sales of all kinds, of a VAT payer and of somebody who pays none.
#[tokio::test]
async fn random_sales_have_no_colour() {
    let sales: u32 = std::env::var("CORE_SALES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(400);
    let house = house().await;
    let zar = Currency::parse("ZAR").unwrap();
    let currencies = [Currency::USD, Currency::ZWG, zar];
    for (device, taxpayer) in [
        (VAT_PAYER, sample_taxpayer()),
        (WITHOUT_VAT, sample_taxpayer_without_vat()),
    ] {
        house.clock.advance(Duration::from_secs(5));
        let mut till = Till::open(&house, device, taxpayer).await;
        house.clock.advance(Duration::from_secs(5));
        let mut random = Random::new(u64::from(device));
        let mut invoices: Vec<Issued> = Vec::new();
        for count in 0..sales / 2 {
            let sale = random_sale(
                &mut random,
                &till.taxpayer,
                &GenOptions {
                    device: Some(till.device),
                    invoice_no: &format!("{device}-{count}"),
                    date: till.date(),
                    currencies: &currencies,
                    originals: &invoices,
                },
            );
            let (draft, findings) = Draft::read(sale.json.as_bytes());
            assert_eq!(findings, [], "{}", sale.json);
            let original = sale.original.and_then(|place| invoices.get(place));
            let original = original.map(Issued::as_original);
            let receipt = till.sell(&draft, original.as_ref()).await;
            match sale.original.and_then(|place| invoices.get_mut(place)) {
                Some(issued) => issued.noted(receipt.total),
                None => invoices.push(Issued::of(&receipt, till.device, day_no())),
            }
        }
        till.close().await;
    }
    assert_eq!(house.sandbox.schema_violations(), [""; 0]);
}

/// The receipts that the authority accepted, sold anew in a chain of our own.
#[tokio::test]
async fn accepted_receipts_sold_anew() {
    let root = Value::parse(VECTORS).unwrap();
    let Some(Value::Array(vectors)) = root.get("vectors") else {
        panic!("no vectors")
    };
    let house = house().await;
    let mut till = Till::open(&house, VAT_PAYER, sample_taxpayer()).await;
    house.clock.advance(Duration::from_secs(5));
    let mut invoice: Option<Issued> = None;
    for value in vectors.iter().filter_map(|vector| vector.get("receipt")) {
        let (mut draft, findings) = Draft::from_value(value);
        assert_eq!(findings, []);
        if let (Some(note), Some(invoice)) = (&mut draft.credit_debit_note, &invoice) {
            note.by_number = OriginalRef {
                receipt_id: None,
                device_id: Some(invoice.device_id),
                receipt_global_no: Some(invoice.receipt_global_no),
                fiscal_day_no: Some(invoice.fiscal_day_no),
            };
        }
        let original = invoice.as_ref().map(Issued::as_original);
        let receipt = till.sell(&draft, original.as_ref()).await;
        if receipt.receipt_type == ReceiptType::FiscalInvoice {
            invoice = Some(Issued::of(&receipt, till.device, day_no()));
        }
    }
    assert_eq!(till.count, 2, "an invoice and its credit note");
    till.close().await;
    assert_eq!(house.sandbox.schema_violations(), [""; 0]);
}
