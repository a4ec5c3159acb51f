//! Who gets in: certificates, registration, models, the states of device and taxpayer, paths.

use std::time::Duration;

use fdms_sandbox::{
    CsrSubjectErrors, DeviceChange, DeviceSpec, FieldErrors, Model, ModelErrors, OperatingMode,
    Settings,
};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::till::{Answer, Bench, DEVICE, Till, client, post, request_for};

async fn status_with(bench: &Bench, client: &reqwest::Client) -> String {
    let path = format!("{}/Device/v1/{DEVICE}/GetStatus", bench.sandbox.url());
    let request = client.get(path).header("DeviceModelName", "Server");
    let request = request.header("DeviceModelVersion", "v1");
    Answer::of(request.send().await.unwrap()).await.refusal()
}

/// 401 without a certificate, with one from elsewhere, another device's, a revoked and an expired one.
#[tokio::test]
async fn certificates_are_checked() {
    let bench = Bench::start().await;
    let till = bench.till().await;
    assert_eq!(till.get("GetStatus").await.status, 200);
    assert_eq!(status_with(&bench, &bench.stranger()).await, "401");

    let own = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["x".to_owned()]).unwrap();
    let self_made = params.self_signed(&own).unwrap().pem();
    let forger = client(&bench.sandbox, Some((&self_made, &own)));
    assert_eq!(status_with(&bench, &forger).await, "401");

    bench.sandbox.add_device(DeviceSpec::new(43)).unwrap();
    let other = Till::register(&bench, 43, KeyPair::generate().unwrap()).await;
    assert_eq!(status_with(&bench, &other.client).await, "401");

    bench.clock.advance(Duration::from_secs(366 * 24 * 3600));
    assert_eq!(till.get("GetStatus").await.refusal(), "401");
    bench
        .clock
        .set_wall("2026-05-28T05:00:00Z".parse().unwrap());
    assert_eq!(till.get("GetStatus").await.status, 200);

    let revoke = DeviceChange {
        revoke_certificates: Some(true),
        ..DeviceChange::default()
    };
    bench.sandbox.change_device(DEVICE, revoke).unwrap();
    assert_eq!(till.get("GetStatus").await.refusal(), "401");
}

/// How long a certificate is valid is a setting; it ends on the second by the sandbox's clock, for every
/// call, and can be renewed until then only.
#[tokio::test]
async fn certificates_end_by_the_clock() {
    let bench = Bench::start_with(Settings {
        certificate_valid_days: 30,
        ..Settings::default()
    })
    .await;
    let mut till = bench.till().await;
    let config = till.get("GetConfig").await.body;
    assert_eq!(config["certificateValidTill"], "2026-06-27T07:00:00");
    bench.clock.advance(Duration::from_secs(30 * 24 * 3600));
    assert_eq!(till.get("GetConfig").await.status, 200);
    let old = till.client.clone();
    let mut settings = bench.sandbox.settings();
    settings.certificate_valid_days = 1;
    bench.sandbox.set_settings(settings);
    till.renew(&bench).await;
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(status_with(&bench, &old).await, "401");
    let config = till.get("GetConfig").await.body;
    assert_eq!(config["certificateValidTill"], "2026-06-28T07:00:00");
    bench.clock.advance(Duration::from_secs(24 * 3600));
    assert_eq!(till.get("GetConfig").await.refusal(), "401");
    for call in [
        "Ping",
        "OpenDay",
        "SubmitReceipt",
        "CloseDay",
        "IssueCertificate",
    ] {
        let refused = till.post(call, &json!({})).await;
        assert_eq!(refused.refusal(), "401", "{call}");
    }
    let refused = till.send_text("text/plain", "{}".to_owned()).await;
    assert_eq!(refused.refusal(), "401");
    let refused = till.user_call("Login", None, &json!({})).await;
    assert_eq!(refused.refusal(), "401");
    let refused = till
        .search("ProductsStock/Search", "Offset=0&Limit=1")
        .await;
    assert_eq!(refused.refusal(), "401");
}

/// An issued certificate is as the authority issues them.
#[tokio::test]
async fn issued_certificates_have_the_authoritys_form() {
    let bench = Bench::start().await;
    let till = bench.till().await;
    let (_, pem) = x509_parser::pem::parse_x509_pem(till.certificate.as_bytes()).unwrap();
    let (_, certificate) = X509Certificate::from_der(&pem.contents).unwrap();
    let (_, root) = x509_parser::pem::parse_x509_pem(bench.sandbox.ca_pem().as_bytes())
        .map(|(rest, pem)| (rest.to_vec(), pem))
        .unwrap();
    let (_, root) = X509Certificate::from_der(&root.contents).unwrap();
    certificate
        .verify_signature(Some(root.public_key()))
        .unwrap();
    let algorithm = certificate.signature_algorithm.algorithm.to_id_string();
    assert_eq!(algorithm, "1.2.840.113549.1.1.11", "SHA-256 with RSA");
    assert_eq!(certificate.version().0, 2, "X.509 v3");
    let subject = certificate.subject().to_string();
    for part in [
        "C=ZW",
        "ST=Zimbabwe",
        "O=Zimbabwe Revenue Authority",
        "CN=ZIMRA-till-42-0000000042",
    ] {
        assert!(subject.contains(part), "{subject}");
    }
    let usage = certificate.key_usage().unwrap().unwrap();
    assert!(usage.critical);
    let usage = usage.value;
    assert!(usage.digital_signature() && usage.non_repudiation() && usage.key_encipherment());
    assert!(!usage.key_cert_sign());
    assert!(
        certificate
            .extended_key_usage()
            .unwrap()
            .unwrap()
            .value
            .client_auth
    );
    assert!(!certificate.basic_constraints().unwrap().unwrap().value.ca);
    let ids: Vec<String> = certificate
        .extensions()
        .iter()
        .map(|e| e.oid.to_id_string())
        .collect();
    for id in ["2.5.29.14", "2.5.29.35"] {
        assert!(ids.contains(&id.to_owned()), "SKI and AKI");
    }
    let till_end = certificate.validity().not_after.timestamp();
    let year = 365 * 24 * 3600;
    assert_eq!(till_end, bench.clock_time().as_second() + year);
}

fn verification(key: &str, serial: &str) -> Value {
    json!({"activationKey": key, "deviceSerialNo": serial})
}

/// Taxpayer information is shown without headers or certificate, while the activation key is fresh:
/// DEV01 for an unknown device or serial, DEV02 for a wrong or used key.
#[tokio::test]
async fn taxpayer_information() {
    let bench = Bench::start().await;
    let verify = async |id: u32, message: Value| {
        let url = bench.sandbox.url();
        let path = format!("{url}/Public/v1/{id}/VerifyTaxpayerInformation");
        let sent = bench.stranger().post(path).json(&message).send().await;
        Answer::of(sent.unwrap()).await
    };
    let good = verify(DEVICE, verification("00000042", "till-42")).await;
    assert_eq!(good.body["taxPayerTIN"], "2000000000");
    assert_eq!(good.body["vatNumber"], "220000000");
    assert_eq!(good.body["deviceBranchAddress"]["city"], "HARARE");
    let unknown = verify(99, verification("00000042", "till-42")).await;
    assert_eq!(unknown.refusal(), "422 DEV01");
    let serial = verify(DEVICE, verification("00000042", "till-43")).await;
    assert_eq!(serial.refusal(), "422 DEV01");
    let wrong_key = verify(DEVICE, verification("00000043", "till-42")).await;
    assert_eq!(wrong_key.refusal(), "422 DEV02");
    let malformed = verify(DEVICE, json!({"activationKey": "123456789"})).await;
    assert_eq!(malformed.status, 400);
    let errors = malformed.body["errors"].as_object().unwrap();
    assert_eq!(
        errors.keys().collect::<Vec<_>>(),
        ["activationKey", "deviceSerialNo"]
    );
    bench.till().await;
    let used = verify(DEVICE, verification("00000042", "till-42")).await;
    assert_eq!(used.refusal(), "422 DEV02");
}

/// Registration: DEV01, DEV02, DEV03, a key that is not compared by case and works once; registering
/// anew kills the old certificate.
#[tokio::test]
async fn registration() {
    let bench = Bench::start().await;
    let mut spec = DeviceSpec::new(43);
    spec.activation_key = "AbCd1234".to_owned();
    bench.sandbox.add_device(spec).unwrap();
    let key = KeyPair::generate().unwrap();
    let register = async |id: u32, activation: &str, name: &str| {
        let csr = request_for(&key, name);
        let message = json!({"activationKey": activation, "certificateRequest": csr});
        let path = format!("{}/Public/v1/{id}/RegisterDevice", bench.sandbox.url());
        post(&bench.stranger(), &path, &message).await.unwrap()
    };
    let name = "ZIMRA-till-43-0000000043";
    assert_eq!(register(99, "ABCD1234", name).await.refusal(), "422 DEV01");
    assert_eq!(register(43, "ABCD1235", name).await.refusal(), "422 DEV02");
    let other_name = "ZIMRA-till-42-0000000042";
    assert_eq!(
        register(43, "ABCD1234", other_name).await.refusal(),
        "422 DEV03"
    );
    let mut settings = bench.sandbox.settings();
    settings.csr_subject_errors = CsrSubjectErrors::BadRequest;
    bench.sandbox.set_settings(settings);
    assert_eq!(register(43, "ABCD1234", other_name).await.refusal(), "400");
    let first = register(43, "aBCD1234", name).await;
    assert_eq!(first.status, 200);
    assert_eq!(register(43, "ABCD1234", name).await.refusal(), "422 DEV02");

    let old = bench.till().await;
    let change = DeviceChange {
        activation_key: Some("NEWKEY01".to_owned()),
        ..DeviceChange::default()
    };
    bench.sandbox.change_device(DEVICE, change).unwrap();
    let new = Till::register(&bench, DEVICE, KeyPair::generate().unwrap()).await;
    assert_eq!(old.get("GetStatus").await.refusal(), "401");
    assert_eq!(new.get("GetStatus").await.status, 200);
}

/// A renewed certificate works beside the old one, or instead of it when the setting says so; receipts
/// may be signed with a new key from then on.
#[tokio::test]
async fn renewal() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    till.sell_invoice().await;
    let old = till.client.clone();
    let path = till.path("GetConfig");
    till.renew(&bench).await;
    till.sell_invoice().await;
    let headers = |request: reqwest::RequestBuilder| {
        let request = request.header("DeviceModelName", "Server");
        request.header("DeviceModelVersion", "v1")
    };
    assert_eq!(headers(old.get(&path)).send().await.unwrap().status(), 200);

    let mut settings = bench.sandbox.settings();
    settings.issue_revokes_old = true;
    bench.sandbox.set_settings(settings);
    till.key = KeyPair::generate().unwrap();
    till.renew(&bench).await;
    assert_eq!(headers(old.get(&path)).send().await.unwrap().status(), 401);
    till.sell_invoice().await;
    assert_eq!(till.close_day().await, "FiscalDayClosed");
    let refused = till
        .post("IssueCertificate", &json!({"certificateRequest": "x\ny"}))
        .await;
    assert_eq!(refused.refusal(), "422 DEV03");
}

/// DEV06 for a missing or foreign model (403 by setting), DEV04 for a blacklisted one.
#[tokio::test]
async fn models_are_checked() {
    let bench = Bench::start().await;
    let mut till = bench.till().await;
    till.headers[1].1 = "v2";
    assert_eq!(till.get("GetStatus").await.refusal(), "422 DEV06");
    till.headers[1].0 = "DeviceModelVersionNo";
    assert_eq!(till.get("GetStatus").await.refusal(), "422 DEV06");
    let mut settings = bench.sandbox.settings();
    settings.model_errors = ModelErrors::Forbidden;
    bench.sandbox.set_settings(settings.clone());
    assert_eq!(till.get("GetStatus").await.refusal(), "403");

    till.headers[1] = ("DeviceModelVersion", "v1");
    assert_eq!(till.get("GetStatus").await.status, 200);
    let server = Model {
        name: "Server".to_owned(),
        version: "v1".to_owned(),
    };
    settings.blacklisted_models = vec![server];
    bench.sandbox.set_settings(settings.clone());
    assert_eq!(till.get("GetStatus").await.refusal(), "422 DEV04");
    settings.blacklisted_models.clear();
    settings.model_errors = ModelErrors::Dev06;
    settings.models = Some(Vec::new());
    bench.sandbox.set_settings(settings);
    assert_eq!(till.get("GetStatus").await.refusal(), "422 DEV06");
}

/// DEV01 for a blocked and for a deleted device, DEV05 for a taxpayer who is not active, DEV01 on the
/// online calls in mode Offline.
#[tokio::test]
async fn states_of_device_and_taxpayer() {
    let bench = Bench::start().await;
    let till = bench.till().await;
    let change = async |change: DeviceChange, call: &str| {
        bench.sandbox.change_device(DEVICE, change).unwrap();
        till.get(call).await.refusal()
    };
    let offline = DeviceChange {
        operating_mode: Some(OperatingMode::Offline),
        ..DeviceChange::default()
    };
    assert_eq!(change(offline, "GetStatus").await, "422 DEV01");
    assert_eq!(
        till.get("GetConfig").await.body["deviceOperatingMode"],
        "Offline"
    );
    for call in ["OpenDay", "SubmitReceipt", "CloseDay"] {
        assert_eq!(
            till.post(call, &json!({})).await.refusal(),
            "422 DEV01",
            "{call}"
        );
    }
    let inactive = DeviceChange {
        operating_mode: Some(OperatingMode::Online),
        tax_payer_active: Some(false),
        ..DeviceChange::default()
    };
    assert_eq!(change(inactive, "GetConfig").await, "422 DEV05");
    let blocked = DeviceChange {
        tax_payer_active: Some(true),
        active: Some(false),
        ..DeviceChange::default()
    };
    assert_eq!(change(blocked, "GetConfig").await, "422 DEV01");
    let unblocked = DeviceChange {
        active: Some(true),
        ..DeviceChange::default()
    };
    assert_eq!(change(unblocked, "GetConfig").await, "200");
    bench.sandbox.delete_device(DEVICE).unwrap();
    assert_eq!(till.get("GetConfig").await.refusal(), "422 DEV01");
    bench.sandbox.add_device(DeviceSpec::new(DEVICE)).unwrap();
    assert_eq!(till.get("GetConfig").await.refusal(), "401");
}

/// Fields of the wrong shape: 400 with each field, or RCPT02 by setting; nothing is kept.
#[tokio::test]
async fn fields_of_the_wrong_shape() {
    let bench = Bench::start().await;
    let mut till = bench.open_till().await;
    let good = till.invoice();
    let mut wrong = good.clone();
    wrong["receiptTotal"] = 10.001.into();
    wrong["receiptNotes"] = "n".repeat(501).into();
    wrong["receiptCurrency"] = "DOLLAR".into();
    wrong["receiptLines"][0]["receiptLineName"] = json!(null);
    wrong["receiptLines"][0]["receiptLineHSCode"] = "123456789".into();
    wrong["receiptLines"][0]["receiptLineQuantity"] = "1".into();
    wrong["receiptPayments"][0]["moneyTypeCode"] = "Gold".into();
    wrong["receiptDate"] = "2026-05-28T07:00:00Z".into();
    till.sign(&mut wrong);
    let answer = till.submit(&wrong).await;
    assert_eq!(answer.status, 400);
    let fields: Vec<&String> = answer.body["errors"].as_object().unwrap().keys().collect();
    assert_eq!(
        fields,
        [
            "receipt.receiptCurrency",
            "receipt.receiptDate",
            "receipt.receiptLines[0].receiptLineHSCode",
            "receipt.receiptLines[0].receiptLineName",
            "receipt.receiptLines[0].receiptLineQuantity",
            "receipt.receiptNotes",
            "receipt.receiptPayments[0].moneyTypeCode",
            "receipt.receiptTotal",
        ]
    );
    let mut settings = bench.sandbox.settings();
    settings.field_errors = FieldErrors::Rcpt02;
    bench.sandbox.set_settings(settings);
    assert_eq!(till.submit(&wrong).await.refusal(), "422 RCPT02");
    for required in [
        "receiptType",
        "invoiceNo",
        "receiptLines",
        "receiptDeviceSignature",
    ] {
        let mut wrong = good.clone();
        till.sign(&mut wrong);
        wrong[required] = json!(null);
        assert_eq!(
            till.submit(&wrong).await.refusal(),
            "422 RCPT02",
            "{required}"
        );
    }
    // Unknown fields are taken, whatever they are.
    assert_eq!(bench.sandbox.receipt_count(DEVICE), 0);
    let mut more = good;
    more["userInfo"] = json!({"username": "tendai"});
    till.expect(more, &[]).await;
}

/// 404 for a wrong path or thumbprint, 405 for a wrong method, 400 for a bad number, 415 without JSON.
#[tokio::test]
async fn paths_and_methods() {
    let bench = Bench::start().await;
    let stranger = bench.stranger();
    let url = bench.sandbox.url();
    let get = async |path: &str| {
        let sent = stranger.get(format!("{url}{path}")).send().await;
        Answer::of(sent.unwrap()).await
    };
    for (path, status) in [
        ("/", 404),
        ("/Device/v1/42/Nothing", 404),
        ("/Device/v2/42/GetStatus", 404),
        ("/Public/v1/42/GetStatus", 404),
        ("/Device/v1/42/OpenDay", 405),
        ("/Device/v1/abc/GetStatus", 400),
        ("/Public/v1/GetServerCertificate?thumbprint=zz", 400),
        (
            "/Public/v1/GetServerCertificate?thumbprint=00112233445566778899aabbccddeeff00112233",
            404,
        ),
        ("/Public/v1/GetServerCertificate", 200),
    ] {
        let answer = get(path).await;
        assert_eq!(answer.status, status, "{path}");
        let id = answer.headers["operationId"].to_str().unwrap();
        assert_eq!(answer.body["operationID"], id);
        assert_eq!(answer.headers["date"], "Thu, 28 May 2026 05:00:00 GMT");
    }
    let path = format!("{url}/Public/v1/42/RegisterDevice");
    let sent = stranger.post(path).body("{}").send().await.unwrap();
    assert_eq!(sent.status(), 415);
    let chain = get("/Public/v1/GetServerCertificate").await.body;
    assert_eq!(chain["certificate"].as_array().unwrap().len(), 2);
    assert_eq!(
        chain["certificate"][0].as_str().unwrap(),
        bench.sandbox.ca_pem()
    );
    assert_eq!(chain["certificateValidTill"], "2100-01-01T00:00:00Z");
}
