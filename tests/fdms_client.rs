//! The FDMS client against the sandbox, over real mutual TLS on a port of the system's choice.
//!
//! What the authority would answer, the client must take for what it is: accepted, refused, later or
//! unknown (docs/FDMS.md section 1). Receipts are written by hand here, so that nothing but client and
//! sandbox is on trial.
#![cfg(feature = "demo")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up may end")]

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clock::{Clock as _, TestClock, local};
use fdms_sandbox::{
    Call, DeviceChange, DeviceSpec, Fault, FaultKind, Model, RunningSandbox, Sandbox, Settings,
};
use fiscal::FiscalDayNo;
use fiscal::wire::open_day_body;
use fiscald::fdms::wire::{self, DayStatus};
use fiscald::fdms::{
    Answer, ClientSettings, DelayCause, DoubtCause, Fdms as _, HttpFdms, Identity, Limits, Next,
    Outcome, Refusal, Scope, TrustRoots,
};
use fiscald::keys::{Certificate, DeviceKey, KeyKind, Signer as _, certificate_request};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

const DEVICE: u32 = 42;

struct House {
    sandbox: RunningSandbox,
    clock: Arc<TestClock>,
    _stop: DropGuard,
}

impl House {
    async fn build(settings: Settings) -> Self {
        let clock = TestClock::new("2026-05-28T05:00:00Z".parse().unwrap());
        let stop = CancellationToken::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let model = Model {
            name: "Server".to_owned(),
            version: "v1".to_owned(),
        };
        let device = |id| DeviceSpec {
            model: Some(model.clone()),
            ..DeviceSpec::new(id)
        };
        let sandbox = Sandbox::builder()
            .clock(clock.clone())
            .settings(settings)
            .device(device(DEVICE))
            .device(device(DEVICE + 1))
            .start(listener, None, stop.clone())
            .await
            .unwrap();
        Self {
            sandbox,
            clock,
            _stop: stop.drop_guard(),
        }
    }

    fn settings(&self, device_id: u32, identity: Option<Identity>) -> ClientSettings {
        ClientSettings {
            environment: self.sandbox.url(),
            device_id,
            model_name: "Server".to_owned(),
            model_version: "v1".to_owned(),
            identity,
            roots: TrustRoots::load(Some(&self.sandbox.ca_pem())).unwrap(),
            clock: self.clock.clone(),
            limits: Limits::default(),
            files: fiscald::fdms::FileTransport::default(),
        }
    }

    fn client(&self, device_id: u32, identity: Option<Identity>) -> HttpFdms {
        HttpFdms::new(&self.settings(device_id, identity)).unwrap()
    }

    /// Registers a device with a new key, the way the command line does.
    async fn register(&self, device_id: u32, kind: KeyKind) -> Identity {
        let spec = DeviceSpec::new(device_id);
        let key = Arc::new(DeviceKey::generate(kind).unwrap());
        let request = certificate_request(&key, &spec.serial_no, device_id, false).unwrap();
        let client = self.client(device_id, None);
        let answer = client.register_device(&spec.activation_key, &request).await;
        let certificate = Certificate::from_pem(&accepted(answer).certificate).unwrap();
        Identity { certificate, key }
    }
}

fn accepted<T: std::fmt::Debug>(answer: Answer<T>) -> T {
    match answer.outcome {
        Outcome::Accepted(value) => value,
        other => panic!("expected yes, got {other:?} from {:?}", answer.evidence),
    }
}

fn refused<T: std::fmt::Debug>(answer: Answer<T>) -> Refusal {
    match answer.outcome {
        Outcome::Refused(refusal) => refusal,
        other => panic!("expected no, got {other:?}"),
    }
}

fn later<T: std::fmt::Debug>(answer: Answer<T>) -> DelayCause {
    match answer.outcome {
        Outcome::Later(delay) => delay.cause,
        other => panic!("expected later, got {other:?}"),
    }
}

fn unknown<T: std::fmt::Debug>(answer: Answer<T>) -> DoubtCause {
    match answer.outcome {
        Outcome::Unknown(doubt) => doubt.cause,
        other => panic!("expected unknown, got {other:?}"),
    }
}

fn signed(key: &DeviceKey, text: &str) -> String {
    let hash = STANDARD.encode(Sha256::digest(text));
    let signature = STANDARD.encode(key.sign(text.as_bytes()).unwrap());
    format!(r#"{{"hash":"{hash}","signature":"{signature}"}}"#)
}

/// The first receipt of the first day: one exempt line of 5.81, written and signed by hand.
fn first_receipt(house: &House, key: &DeviceKey) -> String {
    let date = local(house.clock.wall());
    let signature = signed(key, &format!("{DEVICE}FISCALINVOICEUSD1{date}5810581"));
    format!(
        r#"{{"receipt":{{"receiptType":"FiscalInvoice","receiptCurrency":"USD","receiptCounter":1,"receiptGlobalNo":1,
        "invoiceNo":"T-1","receiptDate":"{date}","receiptLinesTaxInclusive":true,"receiptLines":[{{"receiptLineType":"Sale",
        "receiptLineNo":1,"receiptLineHSCode":"99003000","receiptLineName":"Bread","receiptLinePrice":5.81,
        "receiptLineQuantity":1,"receiptLineTotal":5.81,"taxID":1}}],"receiptTaxes":[{{"taxID":1,"taxAmount":0,
        "salesAmountWithTax":5.81}}],"receiptPayments":[{{"moneyTypeCode":"Cash","paymentAmount":5.81}}],
        "receiptTotal":5.81,"receiptDeviceSignature":{signature}}}}}"#
    )
}

async fn open_first_day(house: &House, client: &HttpFdms) {
    let body = open_day_body(FiscalDayNo::ZERO.next(), local(house.clock.wall()));
    let opened = accepted(client.open_day(body.as_bytes()).await);
    assert_eq!(opened.fiscal_day_no, Some(1));
    house.clock.advance(Duration::from_secs(10));
}

/// A till's whole first day, with both kinds of key: register, config, status, open, receipt, ping, close.
#[tokio::test]
async fn a_day_from_registration_to_close() {
    for kind in [KeyKind::EcP256, KeyKind::Rsa2048] {
        let house = House::build(Settings::default()).await;
        let spec = DeviceSpec::new(DEVICE);
        let before = house.client(DEVICE, None);
        let taxpayer = before
            .verify_taxpayer(&spec.activation_key, &spec.serial_no)
            .await;
        assert_eq!(accepted(taxpayer).tin, "2000000000");
        let identity = house.register(DEVICE, kind).await;
        assert_eq!(
            identity.certificate.common_name(),
            "ZIMRA-till-42-0000000042"
        );
        assert!(identity.certificate.belongs_to(identity.key.as_ref()));

        let client = house.client(DEVICE, Some(identity.clone()));
        let config = client.get_config().await;
        assert_eq!(
            config.evidence.server_date,
            Some(house.clock.wall()),
            "the sandbox's clock"
        );
        assert!(config.evidence.operation_id.is_some());
        let config = accepted(config);
        assert_eq!(config.serial_no, "till-42");
        assert!(config.extra.is_empty(), "{:?}", config.extra);
        let standard = config.taxes.iter().find(|tax| tax.tax_id == 517).unwrap();
        assert_eq!(standard.percent.as_ref().unwrap().as_str(), "15.5");
        let status = accepted(client.get_status().await);
        assert_eq!(
            (status.day, status.last_fiscal_day_no),
            (DayStatus::Closed, None)
        );

        open_first_day(&house, &client).await;
        let body = first_receipt(&house, &identity.key);
        let receipt = accepted(client.submit_receipt(body.as_bytes()).await);
        assert_eq!(receipt.validation_errors, []);
        verify_server_signature(&client, &body, &receipt).await;
        let pong = accepted(client.ping().await);
        assert_eq!(pong.reporting_frequency_minutes, Some(5));

        close_first_day(&client, &identity.key).await;
        house.clock.advance(Duration::from_secs(60));
        let status = accepted(client.get_status().await);
        assert_eq!(status.day, DayStatus::Closed, "{:?}", status.closing_error);
        assert_eq!(status.last_receipt_global_no, Some(1));
    }
}

/// FDMS's own signature over the receipt verifies with its own certificate.
async fn verify_server_signature(client: &HttpFdms, body: &str, receipt: &wire::ReceiptAccepted) {
    let signature = receipt.server_signature.as_ref().unwrap();
    let chain = accepted(
        client
            .get_server_certificate(Some(&signature.thumbprint))
            .await,
    );
    let chain = chain.certificates.iter();
    let certificate = chain
        .map(|pem| Certificate::from_pem(pem).unwrap())
        .find(|own| own.thumbprint().eq_ignore_ascii_case(&signature.thumbprint))
        .unwrap();
    let (_, device) = body.rsplit_once(r#""signature":""#).unwrap();
    let (device, _) = device.split_once('"').unwrap();
    let text = format!("{device}{}{}", receipt.receipt_id, receipt.server_date);
    let bytes = STANDARD.decode(&signature.signature).unwrap();
    assert!(certificate.public_key().verify(text.as_bytes(), &bytes));
}

async fn close_first_day(client: &HttpFdms, key: &DeviceKey) {
    let text = format!("{DEVICE}12026-05-28SALEBYTAXUSD581BALANCEBYMONEYTYPEUSDCASH581");
    let signature = signed(key, &text);
    let body = format!(
        r#"{{"fiscalDayNo":1,"fiscalDayCounters":[{{"fiscalCounterType":"SaleByTax","fiscalCounterCurrency":"USD",
        "fiscalCounterTaxID":1,"fiscalCounterValue":5.81}},{{"fiscalCounterType":"BalanceByMoneyType",
        "fiscalCounterCurrency":"USD","fiscalCounterMoneyType":"Cash","fiscalCounterValue":5.81}}],
        "fiscalDayDeviceSignature":{signature},"receiptCounter":1}}"#
    );
    accepted(client.close_day(body.as_bytes()).await);
}

/// A lost answer and a lost request look the same from here, unknown; the same bytes again settle both.
#[tokio::test]
async fn lost_answers_are_unknown_and_settled_by_the_same_bytes() {
    for (fault, stored) in [(FaultKind::LoseAnswer, 1), (FaultKind::LoseRequest, 0)] {
        let house = House::build(Settings::default()).await;
        let identity = house.register(DEVICE, KeyKind::EcP256).await;
        let client = house.client(DEVICE, Some(identity.clone()));
        open_first_day(&house, &client).await;
        let body = first_receipt(&house, &identity.key);
        house
            .sandbox
            .add_fault(Fault::next(Call::SubmitReceipt, fault));
        let lost = client.submit_receipt(body.as_bytes()).await;
        assert!(lost.outcome.may_have_happened());
        assert_eq!(unknown(lost), DoubtCause::ConnectionLost);
        assert_eq!(house.sandbox.receipt_count(DEVICE), stored);
        assert_eq!(
            house.sandbox.request_count(DEVICE, Call::SubmitReceipt),
            1,
            "sent once"
        );
        let again = accepted(client.submit_receipt(body.as_bytes()).await);
        assert_eq!(again.validation_errors, []);
        let receipts = house.sandbox.receipts(DEVICE);
        assert_eq!(receipts.len(), 1);
        assert_eq!(receipts[0].receipt_id, again.receipt_id);
    }
}

/// An OpenDay whose answer was lost is refused when repeated, and that leads to GetStatus, which settles it.
#[tokio::test]
async fn a_lost_open_day_is_settled_by_status() {
    let house = House::build(Settings::default()).await;
    let identity = house.register(DEVICE, KeyKind::EcP256).await;
    let client = house.client(DEVICE, Some(identity));
    house
        .sandbox
        .add_fault(Fault::next(Call::OpenDay, FaultKind::LoseAnswer));
    let body = open_day_body(FiscalDayNo::ZERO.next(), local(house.clock.wall()));
    assert_eq!(
        unknown(client.open_day(body.as_bytes()).await),
        DoubtCause::ConnectionLost
    );
    let refusal = refused(client.open_day(body.as_bytes()).await);
    assert_eq!(refusal.code.as_deref(), Some("FISC01"));
    assert_eq!(refusal.next, Next::AskStatus);
    let status = accepted(client.get_status().await);
    assert_eq!(
        (status.day, status.last_fiscal_day_no),
        (DayStatus::Opened, Some(1))
    );
}

/// Offline: nothing was sent, and as soon as the line is back the same client goes on.
#[tokio::test]
async fn offline_means_later() {
    let house = House::build(Settings::default()).await;
    let identity = house.register(DEVICE, KeyKind::EcP256).await;
    let client = house.client(DEVICE, Some(identity.clone()));
    open_first_day(&house, &client).await;
    let body = first_receipt(&house, &identity.key);
    house.sandbox.set_offline(true);
    // The first try may still go out on the connection that is just being cut; no later one may.
    let _ = client.submit_receipt(body.as_bytes()).await;
    let answer = client.submit_receipt(body.as_bytes()).await;
    assert!(!answer.outcome.may_have_happened(), "{:?}", answer.outcome);
    assert_eq!(later(answer), DelayCause::NoConnection);
    assert_eq!(house.sandbox.receipt_count(DEVICE), 0);
    house.sandbox.set_offline(false);
    let receipt = accepted(client.submit_receipt(body.as_bytes()).await);
    assert_eq!(receipt.validation_errors, []);
}

/// 401: without certificate, with another device's, with a revoked and with an expired one. The till stops.
#[tokio::test]
async fn wrong_certificates_stop_the_till() {
    let house = House::build(Settings::default()).await;
    let own = house.register(DEVICE, KeyKind::EcP256).await;
    let others = house.register(DEVICE + 1, KeyKind::Rsa2048).await;
    let client = house.client(DEVICE, Some(own));
    accepted(client.ping().await);
    let is_certificate = |refusal: Refusal| {
        assert_eq!(refusal.status, Some(401), "{refusal}");
        assert_eq!((refusal.scope, refusal.next), (Scope::Till, Next::Probe));
    };
    is_certificate(refused(house.client(DEVICE, None).ping().await));
    is_certificate(refused(
        house.client(DEVICE, Some(others.clone())).ping().await,
    ));
    let revoke = DeviceChange {
        revoke_certificates: Some(true),
        ..DeviceChange::default()
    };
    house.sandbox.change_device(DEVICE, revoke).unwrap();
    is_certificate(refused(client.submit_receipt(b"{}").await));
    let other = house.client(DEVICE + 1, Some(others.clone()));
    accepted(other.ping().await);
    let expiry = others.certificate.not_after();
    house.clock.set_wall(
        expiry
            .checked_add(jiff::SignedDuration::from_secs(1))
            .unwrap(),
    );
    is_certificate(refused(other.ping().await));
}

/// A renewed certificate serves at once; where renewal ends the old one, the old one is a 401.
#[tokio::test]
async fn certificates_are_renewed() {
    let house = House::build(Settings {
        issue_revokes_old: true,
        ..Settings::default()
    })
    .await;
    let old = house.register(DEVICE, KeyKind::EcP256).await;
    let client = house.client(DEVICE, Some(old));
    let key = Arc::new(DeviceKey::generate(KeyKind::Rsa2048).unwrap());
    let request = certificate_request(&key, "till-42", DEVICE, true).unwrap();
    let issued = accepted(client.issue_certificate(&request).await);
    let certificate = Certificate::from_pem(&issued.certificate).unwrap();
    let renewed = house.client(DEVICE, Some(Identity { certificate, key }));
    accepted(renewed.ping().await);
    assert_eq!(refused(client.ping().await).status, Some(401));
}

/// Refusals with a code: a used activation key, a wrong CSR, a wrong model, a blocked device, a closed day.
#[tokio::test]
async fn refusals_carry_their_code() {
    let house = House::build(Settings::default()).await;
    let spec = DeviceSpec::new(DEVICE);
    let before = house.client(DEVICE, None);
    let code = |refusal: Refusal, scope| {
        assert_eq!(refusal.scope, scope, "{refusal}");
        refusal.code.unwrap_or_default()
    };
    let key = DeviceKey::generate(KeyKind::EcP256).unwrap();
    let foreign = certificate_request(&key, "till-99", DEVICE, false).unwrap();
    let refusal = refused(before.register_device(&spec.activation_key, &foreign).await);
    assert_eq!(code(refusal, Scope::Message), "DEV03");
    let identity = house.register(DEVICE, KeyKind::EcP256).await;
    let request = certificate_request(&identity.key, "till-42", DEVICE, false).unwrap();
    let refusal = refused(before.register_device(&spec.activation_key, &request).await);
    assert_eq!(code(refusal, Scope::Message), "DEV02");

    let client = house.client(DEVICE, Some(identity.clone()));
    let body = first_receipt(&house, &identity.key);
    let refusal = refused(client.submit_receipt(body.as_bytes()).await);
    assert_eq!(refusal.next, Next::AskStatus);
    assert_eq!(code(refusal, Scope::Message), "RCPT01");
    let settings = ClientSettings {
        model_version: "v2".to_owned(),
        ..house.settings(DEVICE, Some(identity))
    };
    let refusal = refused(HttpFdms::new(&settings).unwrap().ping().await);
    assert_eq!(code(refusal, Scope::Till), "DEV06");
    let block = DeviceChange {
        active: Some(false),
        ..DeviceChange::default()
    };
    house.sandbox.change_device(DEVICE, block).unwrap();
    assert_eq!(code(refused(client.ping().await), Scope::Till), "DEV01");
}

/// Tired servers: the same message later, no earlier than they ask.
#[tokio::test]
async fn tired_servers_mean_later() {
    let house = House::build(Settings::default()).await;
    let identity = house.register(DEVICE, KeyKind::EcP256).await;
    let client = house.client(DEVICE, Some(identity));
    for status in [500, 502, 503, 429] {
        let fault = FaultKind::Status {
            status,
            retry_after: Some(3),
            processed: false,
        };
        house.sandbox.add_fault(Fault::next(Call::Ping, fault));
        let Outcome::Later(delay) = client.ping().await.outcome else {
            panic!("{status} must mean later");
        };
        assert_eq!(delay.retry_after, Some(Duration::from_secs(3)), "{status}");
        accepted(client.ping().await);
    }
}

/// A server that thinks too long is given up on, and nobody knows what it did.
#[tokio::test]
async fn slow_answers_are_unknown() {
    let house = House::build(Settings::default()).await;
    let identity = house.register(DEVICE, KeyKind::EcP256).await;
    let settings = ClientSettings {
        limits: Limits {
            total: Duration::from_millis(500),
            ..Limits::default()
        },
        ..house.settings(DEVICE, Some(identity))
    };
    let client = HttpFdms::new(&settings).unwrap();
    // The sandbox waits on the test clock, which nobody moves: it never answers.
    let fault = FaultKind::Delay(Duration::from_secs(60));
    house.sandbox.add_fault(Fault::next(Call::Ping, fault));
    assert_eq!(unknown(client.ping().await), DoubtCause::TimedOut);
    accepted(client.ping().await);
}
