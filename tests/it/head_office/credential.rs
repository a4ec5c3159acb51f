//! A credential that the authority issued elsewhere, uploaded at head office and delivered to the store.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fiscal_hq::testing::Admin;
use fiscald::join::{self, Registration};
use fiscald::keys::{KeyKind, SealingKey};
use fiscald::ledger::core::Core;
use fiscald::ledger::{Environment, Ledger, Settings};
use serde_json::json;

use super::shop::{Shop, activation_key, agree, new_till};
use super::story::{TILL, enable, joined, on_both_sides};
use super::world::{World, logs};

/// A certificate and its key, PEM: registered with other software that is thrown away.
pub(crate) async fn issued(
    world: &World,
    shop: &Shop<'_>,
    (environment, device): (Environment, u32),
) -> (String, String) {
    world.add_device(environment, device);
    let path = world.dir.path().join(format!("elsewhere-{device}.db"));
    let sealing = SealingKey::random().unwrap();
    let core = Core::open(&path, sealing, world.hq.clock.clone(), Settings::default());
    let ledger = Ledger::start(core.unwrap(), &path).unwrap();
    let registration = Registration {
        till: new_till(environment, device),
        activation_key: &activation_key(device),
        kind: KeyKind::EcP256,
        again: false,
        actor: "test",
    };
    let joined = join::register(&ledger, &shop.access(), &registration)
        .await
        .unwrap();
    let till = joined.till;
    let (_, key) = ledger
        .write(move |core| core.key_in_use(till))
        .await
        .unwrap()
        .unwrap();
    let certificate = ledger.reader().certificate_pem(till).unwrap().unwrap();
    let key = STANDARD.encode(key.pkcs8().as_slice());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n");
    tokio::task::spawn_blocking(move || ledger.stop())
        .await
        .unwrap();
    (certificate, pem)
}

/// Uploads a credential, puts it into use, and waits until the store has it.
pub(crate) async fn delivered(
    world: &World,
    admin: &Admin<'_>,
    (environment, device): (&str, u32),
    (certificate, key): &(String, String),
) {
    let upload = json!({ "environment": environment, "device_id": device, "label": "issued by ZIMRA in May",
        "certificate": certificate, "key": key });
    let made = admin.post("/fiscal_credentials", upload).await;
    assert!(!made.to_string().contains(part(key)));
    let path = format!(
        "/fiscal_credentials/{environment}/{device}/{}/activate",
        made["version"]
    );
    let activated = admin.post(&path, json!({})).await;
    assert!(!activated.to_string().contains(part(key)));
    let ended = world.ended(admin, &activated).await;
    assert_eq!(ended["command"]["status"], "done", "{ended}");
    let thumbprint = made["thumbprint"].as_str().unwrap();
    let path = format!("/fiscal_devices/{environment}/{device}");
    world
        .until("the certificate at head office", async || {
            let device = admin.get(&path).await;
            let used = device["certificate_thumbprint"].as_str();
            used.is_some_and(|used| used.eq_ignore_ascii_case(thumbprint))
        })
        .await;
}

/// A part of a key that only the key has, as it stands in PEM.
fn part(pem: &str) -> &str {
    // Before it is what every key of the kind begins with, after it the public half.
    &pem.lines().nth(1).unwrap()[52..84]
}

/// The key in all the shapes that it could be written in.
struct Secret(Vec<Vec<u8>>);

impl Secret {
    fn of(pem: &str) -> Self {
        let pkcs8 = STANDARD.decode(pem.lines().nth(1).unwrap()).unwrap();
        // The private half of a P-256 key in PKCS#8 begins after 36 bytes.
        let secret = &pkcs8[36..68];
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let this = Self(vec![
            part(pem).as_bytes().to_vec(),
            hex.to_uppercase().into_bytes(),
            hex.into_bytes(),
            secret.to_vec(),
        ]);
        assert!(this.is_in(pem.as_bytes()) && this.is_in(&pkcs8));
        this
    }

    fn is_in(&self, bytes: &[u8]) -> bool {
        let holds = |shape: &Vec<u8>| bytes.windows(shape.len()).any(|part| part == shape);
        self.0.iter().any(holds)
    }
}

/// The store sells with a key that it was sent; nobody who looks into logs, tables or files finds it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivered_credential_is_used_and_never_seen() {
    const SECOND: u32 = 502;
    let world = World::new().await;
    let admin = world.admin().await;
    let (mut shop, store) = joined(&world, &admin).await;
    enable(&world, &admin, &shop).await;
    admin.new_device("test", SECOND, &store).await;
    let credential = issued(&world, &shop, (TILL.0, SECOND)).await;
    let secret = Secret::of(&credential.1);
    delivered(&world, &admin, ("test", SECOND), &credential).await;
    let till = shop.till(TILL.0, SECOND);
    assert_eq!(
        shop.reader().certificate_pem(till.id).unwrap().unwrap(),
        credential.0
    );
    shop.sell_many(SECOND, "second-", 3).await;
    shop.drain().await;
    agree(&world, &admin, &shop, (TILL.0, SECOND)).await;
    assert_eq!(on_both_sides(&admin, &shop, "deliver_credential").await, 1);
    for path in [
        "/fiscal_credentials",
        "/fiscal_devices",
        "/fiscal_submissions",
        "/fiscal_profile/checklist",
    ] {
        let answer = admin.get(path).await.to_string();
        assert!(!secret.is_in(answer.as_bytes()), "{path}");
    }
    shop.stop().await;
    shop.verified();
    let dumped = admin.test.everything().await;
    assert!(dumped.contains("deliver_credential") && !secret.is_in(dumped.as_bytes()));
    let mut files = 0;
    for folder in [logs(), shop.config.data_dir()] {
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.is_file() {
                let bytes = std::fs::read(&path).unwrap();
                assert!(!secret.is_in(&bytes), "{}", path.display());
                files += 1;
            }
        }
    }
    assert!(files >= 3, "a log, a ledger, its key");
}
