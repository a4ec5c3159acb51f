//! What needs a defect planted in the ledger: the rest of the API is tested from outside, in `tests/it`.

use axum::body::Body;
use axum::http::{Request, header};
use clock::TestClock;
use fiscal::DeviceId;
use http_body_util::BodyExt as _;
use tokio_util::sync::CancellationToken;

use super::access::{Arrival, Door};
use super::{Api, ApiSettings, schema};
use crate::keys::SealingKey;
use crate::ledger::core::{Core, Planted};
use crate::ledger::{Ledger, Settings};

const SALE: &str = r#"{"receiptType": "FiscalInvoice", "receiptCurrency": "USD", "invoiceNo": "A-1",
    "receiptLinesTaxInclusive": true,
    "receiptLines": [{"receiptLineType": "Sale", "receiptLineName": "Bread", "receiptLineHSCode": "19059090",
                      "receiptLinePrice": 1.20, "receiptLineQuantity": 2, "taxID": 517}],
    "receiptPayments": [{"moneyTypeCode": "Cash", "paymentAmount": 2.40}]}"#;

async fn ask(api: &Api, method: &str, path: &str, body: &str) -> (u16, String) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, "Bearer secret")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_owned()))
        .unwrap();
    let arrival = Arrival {
        door: Door::Loopback,
        is_line: true,
    };
    let response = api.answer(arrival, request).await;
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

/// An error from COMMIT is never answered as a refusal, and the sale that was written is found by its key.
#[tokio::test]
async fn an_unconfirmed_commit_is_answered_as_unknown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    let clock = TestClock::new("2026-05-28T05:00:00Z".parse().unwrap());
    let sealing = SealingKey::random().unwrap();
    let mut core = Core::open(&path, sealing, clock, Settings::default()).unwrap();
    let till = crate::testing::add_till(&mut core, DeviceId::new(7).unwrap()).unwrap();
    core.write(|core| core.add_token("till", Some(till), "secret", "setup"))
        .unwrap();
    core.plant(Planted::CommitFails);
    let ledger = Ledger::start(core, &path).unwrap();
    let api = Api::new(
        ledger.clone(),
        crate::submit::Submitter::default(),
        crate::api::Devices::default(),
        ApiSettings::default(),
        CancellationToken::new(),
    );

    let (status, body) = ask(&api, "POST", "/v1/receipts", SALE).await;
    let problem: schema::Problem = serde_json::from_str(&body).unwrap();
    assert_eq!((status, problem.code.as_str()), (500, "commit_unknown"));
    assert!(problem.action.contains("same key"), "{}", problem.action);

    let (status, body) = ask(&api, "GET", "/v1/receipts?key=A-1", "").await;
    let found: schema::Receipts = serde_json::from_str(&body).unwrap();
    assert_eq!((status, found.receipts.len()), (200, 1));

    let (status, body) = ask(&api, "GET", "/readyz", "").await;
    let problem: schema::Problem = serde_json::from_str(&body).unwrap();
    assert_eq!((status, problem.code.as_str()), (503, "ledger_read_only"));
    let (status, _) = ask(&api, "GET", "/healthz", "").await;
    assert_eq!(status, 200);
    tokio::task::spawn_blocking(move || ledger.stop())
        .await
        .unwrap();
}
