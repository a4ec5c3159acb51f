//! A certificate and key in one PKCS#12 file, from the upload to the store.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use rcgen::{CertificateParams, DnType, KeyPair};
use reqwest::Method;
use serde_json::json;
use sync_wire::Environment;
use sync_wire::command::Order;
use sync_wire::seal::credential_context;

use crate::functions::pair;
use crate::played::{Admin, Store, certificate, till};
use crate::support::Test;

/// The passphrase of the file.
pub(crate) const PASSPHRASE: &str = "tall grass, two wells";

/// A file as the authority or an earlier system hands it out, Base64, and its key.
pub(crate) fn file(device: u32) -> (String, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    let name = format!("ZIMRA-SN-{device}-{device:010}");
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2027, 1, 1);
    let certificate = params.self_signed(&key).unwrap();
    let chain = PrivateKeyChain::new(
        "till",
        PrivateKey::from_der(&key.serialize_der()).unwrap(),
        [Certificate::from_der(certificate.der()).unwrap()],
    );
    let mut store = KeyStore::new();
    store.add_entry("till", KeyStoreEntry::PrivateKeyChain(chain));
    let bytes = store.writer(PASSPHRASE).write().unwrap();
    (STANDARD.encode(bytes), key)
}

/// It is checked like two PEM files, its key reaches the store alone, and neither key nor passphrase is kept or told.
#[tokio::test]
async fn a_file_reaches_its_store() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let (store, code) = admin.new_store("Harare").await;
    for device in [42, 43] {
        admin.new_device("test", device, &store).await;
    }
    let (file, key) = file(42);
    let upload = |device: u32, passphrase: &str| {
        json!({ "environment": "test", "device_id": device, "label": "from ZIMRA", "pkcs12": file,
            "passphrase": passphrase })
    };
    for (body, why) in [
        (upload(42, "wrong"), "check the passphrase"),
        (upload(43, PASSPHRASE), "but the till's name is"),
    ] {
        let (refused, detail) = admin.refused("/fiscal_credentials", body).await;
        assert!(refused == "422 invalid" && detail.contains(why), "{detail}");
        assert!(!detail.contains(PASSPHRASE), "{detail}");
    }
    let made = admin
        .post("/fiscal_credentials", upload(42, PASSPHRASE))
        .await;
    assert_eq!(
        (&made["version"], &made["key_here"]),
        (&json!(1), &json!(true))
    );
    let mut shop = Store::join(&test, &code).await;
    shop.sync().await;
    admin
        .post("/fiscal_credentials/test/42/1/activate", json!({}))
        .await;
    shop.sync().await;
    let Order::DeliverCredential {
        key: sealed,
        certificate,
        ..
    } = shop.command("deliver_credential").order
    else {
        panic!("another command")
    };
    assert!(certificate.starts_with("-----BEGIN CERTIFICATE-----\n"));
    let context = credential_context(shop.id, till(Environment::Test, 42), 1);
    let opened = shop.seal_key.open(&sealed, &context).unwrap();
    let delivered = KeyPair::from_pem(std::str::from_utf8(&opened).unwrap()).unwrap();
    assert_eq!(delivered.serialize_der(), key.serialize_der());
    let client = test.database.connect("postgres").await;
    let secret = key.serialize_pem().lines().nth(1).unwrap().to_owned();
    for table in ["fdms_audit_logs", "commands", "fdms_tenant_credentials"] {
        let sql = format!("SELECT string_agg(t::text, '') FROM {table} t");
        let row = client.query_one(&sql, &[]).await.unwrap();
        let all: String = row.get(0);
        assert!(
            !all.contains(&secret) && !all.contains(PASSPHRASE),
            "{table}"
        );
    }
}

/// A till that only a store has told of is given no key, whatever the store says of it, until a person has confirmed it.
#[tokio::test]
async fn no_key_goes_where_nobody_has_looked() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let (_, code) = admin.new_store("Harare").await;
    let mut shop = Store::join(&test, &code).await;
    let told = till(Environment::Test, 42);
    shop.add(told, certificate(&"ab".repeat(20)));
    let day = shop.open_day(told);
    shop.sync().await;
    assert_eq!(day, 1);
    let (pem, key) = pair(42);
    let upload = json!({ "environment": "test", "device_id": 42, "label": "from ZIMRA", "certificate": pem, "key": key });
    let (refused, why) = admin.refused("/fiscal_credentials", upload.clone()).await;
    assert_eq!(refused, "409 conflict");
    assert!(
        why.contains("store:Harare") && why.contains("PUT /fiscal_devices/test/42"),
        "{why}"
    );
    let machine = json!({ "machine_name": "Till 1, front", "mode": "hybrid" });
    let (status, _) = admin
        .ask(Method::PUT, "/fiscal_devices/test/42", Some(machine))
        .await;
    assert_eq!(status, 200);
    // A second certificate of the same till.
    assert_eq!(
        admin.post("/fiscal_credentials", upload).await["key_here"],
        true
    );
}
