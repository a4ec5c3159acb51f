//! Faults on demand and the rest of the admin port, over the port itself.

use std::time::Duration;

use fdms_sandbox::Call;
use serde_json::{Value, json};

use crate::till::{Answer, Bench, DEVICE, Till};

/// The admin port.
struct Admin(String);

impl Admin {
    fn of(bench: &Bench) -> Self {
        Self(bench.sandbox.admin_url().unwrap())
    }

    async fn send(&self, method: &str, path: &str, body: Value) -> Answer {
        let method = method.parse().unwrap();
        let client = reqwest::Client::new();
        let request = client.request(method, format!("{}{path}", self.0));
        let sent = request.body(body.to_string()).send().await;
        Answer::of(sent.unwrap()).await
    }

    async fn get(&self, path: &str) -> Value {
        self.send("GET", path, Value::Null).await.body
    }

    async fn fault(&self, call: &str, fault: Value) {
        let rule = json!({"device": DEVICE, "call": call, "fault": fault});
        let answer = self.send("POST", "/faults", rule).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
    }
}

async fn signed(till: &mut Till) -> Value {
    let mut receipt = till.invoice();
    till.sign(&mut receipt);
    json!({"receipt": receipt})
}

/// A lost request is never processed, a lost answer is; both look the same to the till.
#[tokio::test]
async fn lost_requests_and_lost_answers() {
    let bench = Bench::start().await;
    let admin = Admin::of(&bench);
    let mut till = bench.open_till().await;
    let message = signed(&mut till).await;
    admin.fault("SubmitReceipt", json!("lose_request")).await;
    assert!(till.try_post("SubmitReceipt", &message).await.is_err());
    assert_eq!(bench.sandbox.receipt_count(DEVICE), 0);
    admin.fault("SubmitReceipt", json!("lose_answer")).await;
    assert!(till.try_post("SubmitReceipt", &message).await.is_err());
    assert_eq!(bench.sandbox.receipt_count(DEVICE), 1);
    let answer = till.post("SubmitReceipt", &message).await;
    assert_eq!(answer.findings(), [""; 0]);
    assert_eq!(bench.sandbox.receipts(DEVICE)[0].times_received, 2);
    assert_eq!(bench.sandbox.request_count(DEVICE, Call::SubmitReceipt), 3);
}

/// Statuses on demand, with Retry-After; before processing, or after it.
#[tokio::test]
async fn statuses_on_demand() {
    let bench = Bench::start().await;
    let admin = Admin::of(&bench);
    let mut till = bench.open_till().await;
    let message = signed(&mut till).await;
    for status in [500, 502, 429, 401] {
        let fault = json!({"status": status, "retry_after": 7});
        admin.fault("SubmitReceipt", fault).await;
        let answer = till.post("SubmitReceipt", &message).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.headers["retry-after"], "7");
    }
    assert_eq!(bench.sandbox.receipt_count(DEVICE), 0);
    admin
        .fault("SubmitReceipt", json!({"status": 500, "processed": true}))
        .await;
    assert_eq!(till.post("SubmitReceipt", &message).await.status, 500);
    assert_eq!(bench.sandbox.receipt_count(DEVICE), 1);
}

/// A delayed request is processed even if its sender has given up; a delayed answer was processed at
/// once.
#[tokio::test]
async fn delays() {
    let bench = Bench::start().await;
    let admin = Admin::of(&bench);
    let mut till = bench.open_till().await;
    let message = signed(&mut till).await;
    admin
        .fault("SubmitReceipt", json!({"delay_ms": 60_000}))
        .await;
    let sent = tokio::time::timeout(
        Duration::from_millis(300),
        till.try_post("SubmitReceipt", &message),
    );
    assert!(
        sent.await.is_err(),
        "it is held back until the clock has moved"
    );
    assert_eq!(bench.sandbox.receipt_count(DEVICE), 0);
    bench.clock.advance(Duration::from_secs(60));
    while bench.sandbox.receipt_count(DEVICE) == 0 {
        tokio::task::yield_now().await;
    }

    admin.fault("Ping", json!({"delay_answer_ms": 5000})).await;
    let empty = json!({});
    let ping = till.try_post("Ping", &empty);
    let (answer, ()) = tokio::join!(ping, async {
        while bench.sandbox.request_count(DEVICE, Call::Ping) == 0 {
            tokio::task::yield_now().await;
        }
        // Whether the sleep has begun or not: the clock goes on until the answer is there.
        for _ in 0..1000 {
            bench.clock.advance(Duration::from_secs(5));
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(answer.unwrap().status, 200);
}

/// Rules are queued: skip so many, hit so many, this device and call only; they can be listed and
/// forgotten.
#[tokio::test]
async fn rules_are_queued() {
    let bench = Bench::start().await;
    let admin = Admin::of(&bench);
    let till = bench.till().await;
    let rule =
        json!({"device": null, "call": "Ping", "skip": 1, "times": 2, "fault": {"status": 503}});
    assert_eq!(admin.send("POST", "/faults", rule).await.status, 201);
    let other = json!({"device": 7, "times": 9, "fault": "lose_request"});
    assert_eq!(admin.send("POST", "/faults", other).await.status, 201);
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(till.post("Ping", &json!({})).await.status);
    }
    assert_eq!(seen, [200, 503, 503, 200]);
    assert_eq!(admin.get("/faults").await.as_array().unwrap().len(), 1);
    admin.send("DELETE", "/faults", Value::Null).await;
    assert_eq!(admin.get("/faults").await, json!([]));
    let wrong = json!({"call": "Pong", "fault": "lose_request"});
    assert_eq!(admin.send("POST", "/faults", wrong).await.status, 400);
}

/// Offline, every connection is cut, standing ones too; back again, all is as it was.
#[tokio::test]
async fn offline() {
    let bench = Bench::start().await;
    let admin = Admin::of(&bench);
    let till = bench.till().await;
    assert_eq!(till.get("GetStatus").await.status, 200);
    admin
        .send("PUT", "/offline", json!({"offline": true}))
        .await;
    assert_eq!(admin.get("/offline").await, json!({"offline": true}));
    assert!(till.try_post("Ping", &json!({})).await.is_err());
    assert_eq!(bench.sandbox.request_count(DEVICE, Call::Ping), 0);
    admin
        .send("PUT", "/offline", json!({"offline": false}))
        .await;
    assert_eq!(till.post("Ping", &json!({})).await.status, 200);
}

/// Devices are added over the port, with defaults for what is left out.
#[tokio::test]
async fn devices_over_the_port() {
    let bench = Bench::start().await;
    let admin = Admin::of(&bench);
    let spec = json!({"deviceID": 7, "serialNo": "SN 7:1", "activationKey": "ABCDEFGH",
        "taxPayerTIN": "2777777777", "vatNumber": null, "dayMaxHrs": 12,
        "taxes": [{"taxID": 3, "taxPercent": 14.5, "taxName": "VAT", "validFrom": "2020-01-01T00:00:00"}]});
    assert_eq!(
        admin.send("POST", "/devices", spec.clone()).await.status,
        201
    );
    assert_eq!(admin.send("POST", "/devices", spec).await.status, 409);
    let bad = json!({"deviceID": 8, "vatNumber": "1"});
    assert_eq!(admin.send("POST", "/devices", bad).await.status, 400);
    let listed = admin.get("/devices").await;
    assert_eq!(listed[0]["deviceID"], 7);
    assert_eq!(listed[0]["taxes"][0]["taxPercent"], 14.5);
}

/// What a device has sent can be read over the port: receipts, figures, days.
#[tokio::test]
async fn what_was_sent_over_the_port() {
    let bench = Bench::start().await;
    let admin = Admin::of(&bench);
    let mut till = bench.open_till().await;
    till.sell_invoice().await;
    let mut red = till.invoice();
    red["receiptPayments"][0]["paymentAmount"] = 20.into();
    till.expect(red.clone(), &["RCPT039 Red"]).await;
    let receipts = admin.get("/devices/42/receipts?from=1&limit=5").await;
    assert_eq!(receipts.as_array().unwrap().len(), 1);
    let errors = json!([{"code": "RCPT039", "color": "Red"}]);
    assert_eq!(receipts[0]["validationErrors"], errors);
    let raw: Value = serde_json::from_str(receipts[0]["raw"].as_str().unwrap()).unwrap();
    assert_eq!(raw["invoiceNo"], red["invoiceNo"]);
    let summary = admin.get("/devices/42/summary").await;
    let expected = json!({"receipts": 2, "yellow": 0, "grey": 0, "red": 1, "repeated": 0,
        "highestGlobalNo": 2});
    assert_eq!(summary, expected);
    let days = admin.get("/devices/42/days").await;
    assert_eq!(days[0]["status"], "FiscalDayOpened");
    assert_eq!(days[0]["redCount"], 1);
    let requests = admin.get("/requests").await;
    let submits = requests
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r["call"] == "SubmitReceipt");
    assert_eq!(submits.unwrap()["count"], 2);
}

/// A day is closed by hand, a device changed, blocked and deleted over the port.
#[tokio::test]
async fn the_authoritys_desk_over_the_port() {
    let bench = Bench::start().await;
    let admin = Admin::of(&bench);
    let till = bench.open_till().await;
    let send = async |method: &str, path: &str, body: Value| {
        let answer = admin.send(method, path, body).await;
        answer.status
    };
    let by_hand = "/devices/42/close-by-hand";
    assert_eq!(send("POST", by_hand, Value::Null).await, 204);
    assert_eq!(send("POST", by_hand, Value::Null).await, 409);
    for wrong in [
        json!({"vatNumber": "1"}),
        json!({"activationKey": "1"}),
        json!({"x": 1}),
    ] {
        assert_eq!(send("PATCH", "/devices/42", wrong).await, 400);
    }
    assert_eq!(till.get("GetConfig").await.status, 200);
    let block = json!({"active": false, "dayMaxHrs": 12});
    assert_eq!(send("PATCH", "/devices/42", block).await, 204);
    assert_eq!(till.get("GetConfig").await.refusal(), "422 DEV01");
    assert_eq!(send("DELETE", "/devices/42", Value::Null).await, 204);
    assert_eq!(send("DELETE", "/devices/42", Value::Null).await, 404);
    assert_eq!(send("PATCH", "/devices/42", json!({})).await, 404);
}

/// Switches are read, replaced and changed one by one; an unknown one is refused.
#[tokio::test]
async fn settings_over_the_port() {
    let bench = Bench::start().await;
    let admin = Admin::of(&bench);
    assert_eq!(admin.get("/settings").await["close_polls"], 0);
    let change = json!({"close_polls": 3, "grey_spelling": "gray"});
    assert_eq!(admin.send("PATCH", "/settings", change).await.status, 204);
    let settings = admin.get("/settings").await;
    assert_eq!(
        (&settings["close_polls"], &settings["grey_spelling"]),
        (&json!(3), &json!("gray"))
    );
    let unknown = json!({"colour": "blue"});
    assert_eq!(admin.send("PATCH", "/settings", unknown).await.status, 400);
    let mut till = bench.open_till().await;
    let mut lost = till.invoice();
    till.sign(&mut lost);
    till.goes_on_from(lost);
    let behind = till.invoice();
    till.expect(behind, &["RCPT011 Gray", "RCPT020 Red"]).await;
    assert_eq!(admin.send("PUT", "/settings", json!({})).await.status, 204);
    assert_eq!(admin.get("/settings").await["grey_spelling"], "grey");
    assert_eq!(admin.get("/health").await, "ok\n");
    assert_eq!(admin.get("/ca.pem").await, bench.sandbox.ca_pem());
}

/// Told to stop, everything stops, open connections too.
#[tokio::test]
async fn it_stops_when_told() {
    let bench = Bench::start().await;
    let till = bench.till().await;
    assert_eq!(till.get("GetStatus").await.status, 200);
    bench.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(30), bench.sandbox.stopped())
        .await
        .unwrap();
    assert!(till.try_post("Ping", &json!({})).await.is_err());
}
