//! The worker: alerts begin and end, people are told once each way, and two turns at once do no harm.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use fiscal_hq::outbound::Outbound;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use sync_wire::Environment;
use sync_wire::entry::{AttemptOutcome, ConfigChanged};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::played::{Admin, Store, certificate, till};
use crate::runbook::fdms_worker;
use crate::support::Test;

const HOUR: Duration = Duration::from_secs(3600);

/// The kinds of the alerts that are open.
pub(crate) async fn open(admin: &Admin<'_>) -> Vec<String> {
    let alerts = admin.get("/alerts?state=open").await;
    let rows = alerts["rows"].as_array().unwrap().iter();
    let mut kinds: Vec<_> = rows
        .map(|row| row["kind"].as_str().unwrap().to_owned())
        .collect();
    kinds.sort();
    kinds
}

/// A tenant with a store and a till that is open.
pub(crate) async fn shop<'a>(test: &'a Test, admin: &Admin<'_>) -> Store<'a> {
    let (store, code) = admin.new_store("Harare").await;
    admin.new_device("test", 42, &store).await;
    let mut shop = Store::join(test, &code).await;
    let which = till(Environment::Test, 42);
    shop.add(which, certificate("ab"));
    let config = ConfigChanged {
        config: r#"{"taxPayerDayMaxHrs":10,"deviceOperatingMode":"Online"}"#.to_owned(),
        changes: None,
    };
    shop.tell(Some(which), "config.changed", &config);
    shop.open_day(which);
    shop.sync().await;
    shop
}

/// Only the worker's secret turns it; without, or with another, nothing is done.
#[tokio::test]
async fn the_secret_is_asked_for() {
    let test = Test::start().await;
    for secret in [
        "",
        "the worker's secret of the test",
        "the worker's secret of the testss",
    ] {
        let request = test.http.post(test.url("/fdms_worker")).bearer_auth(secret);
        assert_eq!(request.send().await.unwrap().status(), 401, "{secret}");
    }
    let bare = test
        .http
        .post(test.url("/fdms_worker"))
        .send()
        .await
        .unwrap();
    assert_eq!(bare.status(), 401);
    let admin = Admin::of_new(&test, "Baobab").await;
    assert_eq!(
        admin.refused("/fdms_worker", json!({})).await.0,
        "401 unauthenticated"
    );
    assert!(fdms_worker(&test).await["partitions"].as_i64().unwrap() >= 0);
}

/// Failed sign-ins of yesterday are forgotten, those of today are not, and who is pausing goes on pausing.
#[tokio::test]
async fn old_failures_are_cleared() {
    let test = Test::start().await;
    let fail = async |email: &str| {
        let body = json!({ "email": email, "password": "not the password" });
        let asked = test.http.post(test.url("/session")).json(&body);
        assert_eq!(asked.send().await.unwrap().status(), 401);
    };
    let kept = async || {
        let client = test.database.connect("postgres").await;
        let row = client.query_one("SELECT count(*) FROM sign_in_pauses", &[]);
        row.await.unwrap().get::<_, i64>(0)
    };
    fail("one@shop.example").await;
    test.clock.advance(Duration::from_secs(23 * 3600));
    assert_eq!(fdms_worker(&test).await["forgotten"], 0);
    // The address is the same, and is at it again: it is not forgotten.
    fail("two@shop.example").await;
    assert_eq!(kept().await, 5);
    test.clock.advance(Duration::from_secs(2 * 3600));
    assert_eq!(fdms_worker(&test).await["forgotten"], 2);
    assert_eq!(kept().await, 3);
    test.clock.advance(Duration::from_secs(24 * 3600));
    assert_eq!(fdms_worker(&test).await["forgotten"], 3);
    assert_eq!(kept().await, 0);
    fail("one@shop.example").await;
}

/// Each thing that goes wrong begins one alert, and ends it when it is put right.
#[tokio::test]
async fn alerts_begin_and_end() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let mut shop = shop(&test, &admin).await;
    let which = till(Environment::Test, 42);
    fdms_worker(&test).await;
    assert_eq!(open(&admin).await, [""; 0]);
    // A saved profile that nobody has reviewed.
    let saved = admin
        .save_profile(json!({ "unsent_hours": 2, "silent_minutes": 90 }))
        .await;
    fdms_worker(&test).await;
    assert_eq!(open(&admin).await, ["profile_review"]);
    admin
        .post(
            "/fiscal_profile/review",
            json!({ "version": saved["version"] }),
        )
        .await;
    shop.sell(which, 100);
    shop.sync().await;
    fdms_worker(&test).await;
    assert_eq!(open(&admin).await, [""; 0]);
    // Silent for longer than 90 minutes; then heard of, with a receipt that waits for two hours and a clock that is wrong.
    test.clock.advance(2 * HOUR + HOUR / 60);
    fdms_worker(&test).await;
    assert_eq!(open(&admin).await, ["silent_store", "unsent"]);
    shop.skew_ms = -120_000;
    shop.sync().await;
    let turn = fdms_worker(&test).await;
    assert_eq!((&turn["began"], &turn["ended"]), (&json!(1), &json!(1)));
    assert_eq!(open(&admin).await, ["clock", "unsent"]);
    let again = fdms_worker(&test).await;
    assert_eq!((&again["began"], &again["ended"]), (&json!(0), &json!(0)));
    // The day is open for longer than the 10 hours of this till's configuration, and FDMS refuses a receipt.
    shop.skew_ms = 0;
    test.clock.advance(8 * HOUR);
    shop.send(which, AttemptOutcome::Refused);
    shop.sync().await;
    fdms_worker(&test).await;
    assert_eq!(
        open(&admin).await,
        ["day_not_closed", "dead_letter", "unsent"]
    );
    let alerts = admin.get("/alerts?state=open").await;
    let day = alerts["rows"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["kind"] == "day_not_closed")
        .unwrap();
    assert!(
        day["detail"]
            .as_str()
            .unwrap()
            .contains("the authority allows 10"),
        "{day}"
    );
    let health = admin.get("/fdms_health").await;
    assert_eq!(
        (
            &health["overall"],
            health["findings"].as_array().unwrap().len()
        ),
        (&json!("fault"), 3)
    );
    // Put right.
    shop.tills.get_mut(&which).unwrap().parked = None;
    shop.send(which, AttemptOutcome::Accepted);
    shop.close_day(which);
    shop.sync().await;
    fdms_worker(&test).await;
    assert_eq!(open(&admin).await, [""; 0]);
    // A command that nobody answers.
    admin
        .post("/fiscal_devices/test/42/refresh_config", json!({}))
        .await;
    test.clock.advance(25 * HOUR);
    fdms_worker(&test).await;
    assert_eq!(open(&admin).await, ["command_stuck", "silent_store"]);
    let row = admin.count("SELECT count(*) FROM tenant_summaries WHERE tenant_id = $1 AND alerts = 2 AND silent_stores = 1 AND stores = 1");
    assert_eq!(row.await, 1);
    let ended = admin.get("/alerts?state=ended&limit=2").await;
    assert!(ended["next"].is_string() && ended["rows"].as_array().unwrap().len() == 2);
}

/// A certificate that ends is told at 30, 14, 7 and 1 days, each once.
#[tokio::test]
async fn certificates_are_counted_down() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let mut shop = shop(&test, &admin).await;
    let which = till(Environment::Test, 42);
    shop.close_day(which);
    let mut told = Vec::new();
    for days_left in [31, 29, 13, 6, 0, -1] {
        test.clock.advance(HOUR / 60);
        let ledger = shop.tills.get_mut(&which).unwrap();
        let ends = test.hq.now().as_millisecond() + days_left * 86_400_000 + 1_000;
        ledger.certificate.as_mut().unwrap().not_after = ends;
        shop.sync().await;
        fdms_worker(&test).await;
        let alerts = admin.get("/alerts?state=open").await;
        let rows = alerts["rows"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|row| row["kind"] == "certificate");
        told.extend(rows.map(|row| row["subject"].as_str().unwrap().to_owned()));
    }
    let steps = ["30", "14", "7", "1", "0"].map(|step| format!("till test 42 {step} days"));
    assert_eq!(told, steps);
}

/// What a webhook was told: headers and body.
type Told = (HeaderMap, String);

/// A receiver of webhooks that answers with these statuses, then with 200.
async fn receiver(statuses: Vec<u16>) -> (String, mpsc::UnboundedReceiver<Told>) {
    let (told, heard) = mpsc::unbounded_channel();
    let statuses = Arc::new(Mutex::new(statuses));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/hook", listener.local_addr().unwrap());
    let answer = move |State(statuses): State<Arc<Mutex<Vec<u16>>>>,
                       headers: HeaderMap,
                       body: String| async move {
        told.send((headers, body)).unwrap();
        let status = statuses.lock().unwrap().pop().unwrap_or(200);
        StatusCode::from_u16(status).unwrap()
    };
    let router = Router::new()
        .route("/hook", post(answer))
        .with_state(statuses);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, heard)
}

/// Signed as its owner can check, again after a failure with the same id, once each way, also when two turns run at once.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn webhooks_are_signed_and_repeated() {
    let outbound = Outbound {
        webhooks_to_private: true,
        ..Outbound::default()
    };
    let test = Test::start_reaching(outbound).await;
    let second = test.second().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let mut shop = shop(&test, &admin).await;
    let (address, mut heard) = receiver(vec![503]).await;
    let made = admin
        .post(
            "/alert_channels",
            json!({ "kind": "webhook", "target": address }),
        )
        .await;
    let secret = made["secret"].as_str().unwrap().to_owned();
    let channel = made["channel"]["channel_id"].as_str().unwrap().to_owned();
    test.clock.advance(2 * HOUR);
    let turn = fdms_worker(&test).await;
    assert_eq!(
        (&turn["began"], &turn["delivered"], &turn["undelivered"]),
        (&json!(1), &json!(0), &json!(1))
    );
    let (first, _) = heard.recv().await.unwrap();
    let listed = admin.get("/alert_channels").await;
    assert!(
        listed[0]["last_error"].as_str().unwrap().contains("503"),
        "{listed}"
    );
    assert!(!listed.to_string().contains(&secret));
    // Not before its time; then by one of two turns at once.
    assert_eq!(fdms_worker(&test).await["undelivered"], 0);
    test.clock.advance(Duration::from_secs(61));
    let (one, other) = tokio::join!(fdms_worker(&test), fdms_worker(&second));
    assert_eq!(
        one["delivered"].as_i64().unwrap() + other["delivered"].as_i64().unwrap(),
        1
    );
    let (headers, body) = heard.recv().await.unwrap();
    assert_eq!(headers["fiscal-hq-delivery"], first["fiscal-hq-delivery"]);
    let signature = headers["fiscal-hq-signature"].to_str().unwrap();
    let (seconds, code) = signature
        .strip_prefix("t=")
        .unwrap()
        .split_once(",v1=")
        .unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{seconds}.{body}").as_bytes());
    let ours: String = mac
        .finalize()
        .into_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(code, ours);
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (&body["event"], &body["alert"]["kind"]),
        (&json!("alert.began"), &json!("silent_store"))
    );
    shop.sync().await;
    assert_eq!(fdms_worker(&test).await["delivered"], 1);
    let (_, body) = heard.recv().await.unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["event"], "alert.ended");
    assert_eq!(fdms_worker(&test).await["delivered"], 0);
    // A test message, a channel that is off, one that is gone.
    let tested = admin
        .post(&format!("/alert_channels/{channel}/test"), json!({}))
        .await;
    assert_eq!(tested["delivered"], true);
    assert_eq!(heard.recv().await.unwrap().0["fiscal-hq-event"], "test");
    let path = format!("/alert_channels/{channel}");
    let (status, _) = admin
        .ask(
            reqwest::Method::PUT,
            &path,
            Some(json!({ "enabled": false })),
        )
        .await;
    assert_eq!(status, 200);
    test.clock.advance(2 * HOUR);
    let turn = fdms_worker(&test).await;
    assert_eq!((&turn["began"], &turn["delivered"]), (&json!(1), &json!(0)));
    assert_eq!(admin.ask(reqwest::Method::DELETE, &path, None).await.0, 204);
    assert_eq!(admin.get("/alert_channels").await, json!([]));
    assert!(heard.try_recv().is_err());
}

/// No webhook reaches behind the service's own walls, by number or by name.
#[tokio::test]
async fn webhooks_stay_outside() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let (address, mut heard) = receiver(Vec::new()).await;
    let channel = |target: &str| json!({ "kind": "webhook", "target": target });
    assert_eq!(
        admin.refused("/alert_channels", channel(&address)).await.0,
        "422 invalid"
    );
    let port = address.rsplit(':').next().unwrap();
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
    ] {
        let made = admin
            .post(
                "/alert_channels",
                channel(&format!("https://{host}:{port}")),
            )
            .await;
        let id = made["channel"]["channel_id"].as_str().unwrap();
        let tested = admin
            .post(&format!("/alert_channels/{id}/test"), json!({}))
            .await;
        let why = tested["error"].as_str().unwrap();
        assert!(why.contains("private network"), "{host}: {why}");
    }
    assert!(heard.try_recv().is_err());
}

/// A mail server that takes one mail after the other.
pub(crate) async fn mail_server() -> (String, mpsc::UnboundedReceiver<String>) {
    let (told, heard) = mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("smtp://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (read, mut write) = stream.into_split();
            let mut lines = BufReader::new(read).lines();
            write.write_all(b"220 sink\r\n").await.unwrap();
            let mut mail = String::new();
            let mut in_mail = false;
            while let Ok(Some(line)) = lines.next_line().await {
                let answer: &[u8] = match (in_mail, line.as_str()) {
                    (true, ".") => {
                        in_mail = false;
                        told.send(std::mem::take(&mut mail)).unwrap();
                        b"250 taken\r\n"
                    }
                    (true, _) => b"",
                    (false, "DATA") => {
                        in_mail = true;
                        b"354 go on\r\n"
                    }
                    (false, "QUIT") => b"221 bye\r\n",
                    (false, _) => b"250 fine\r\n",
                };
                mail.push_str(&line);
                mail.push('\n');
                write.write_all(answer).await.unwrap();
            }
        }
    });
    (address, heard)
}

/// Mail says what is wrong, in whose stores, and when it is over.
#[tokio::test]
async fn mail_is_sent() {
    let (address, mut heard) = mail_server().await;
    let outbound = Outbound {
        smtp_url: Some(address.into()),
        smtp_from: Some("Head office <hq@fiscal.example>".to_owned()),
        webhooks_to_private: false,
    };
    let test = Test::start_reaching(outbound).await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let mut shop = shop(&test, &admin).await;
    let channel = |target: &str| json!({ "kind": "email", "target": target });
    assert_eq!(
        admin.refused("/alert_channels", channel("nobody")).await.0,
        "422 invalid"
    );
    assert_eq!(
        admin
            .refused(
                "/alert_channels",
                channel("a@b.example\r\nBcc: c@d.example")
            )
            .await
            .0,
        "422 invalid"
    );
    admin
        .post("/alert_channels", channel("owner@baobab.example"))
        .await;
    test.clock.advance(2 * HOUR);
    assert_eq!(fdms_worker(&test).await["delivered"], 1);
    let mail = heard.recv().await.unwrap();
    assert!(
        mail.contains("To: owner@baobab.example")
            && mail.contains("Subject: Baobab: silent_store alert.began"),
        "{mail}"
    );
    let plain = mail.replace("=\n", "");
    assert!(plain.contains("store Harare"), "{mail}");
    shop.sync().await;
    assert_eq!(fdms_worker(&test).await["delivered"], 1);
    assert!(heard.recv().await.unwrap().contains("alert.ended"));
}

/// Alerts that do not end by themselves are ended by a person, with a reason; the others are not.
#[tokio::test]
async fn some_alerts_are_ended_by_hand() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let _shop = shop(&test, &admin).await;
    let owner = test.database.connect("postgres").await;
    owner
        .execute(
            "INSERT INTO alerts (tenant_id, alert_id, kind, subject, severity, detail, since)
             VALUES ($1, gen_random_uuid(), 'number_conflict', 'till test 42 receipt 1', 'fault', 'twice', $2)",
            &[&admin.tenant.0, &test.hq.now()],
        )
        .await
        .unwrap();
    test.clock.advance(2 * HOUR);
    fdms_worker(&test).await;
    assert_eq!(open(&admin).await, ["number_conflict", "silent_store"]);
    let alerts = admin.get("/alerts?state=open").await;
    for row in alerts["rows"].as_array().unwrap() {
        let path = format!("/alerts/{}/end", row["alert_id"].as_str().unwrap());
        assert_eq!(
            admin.refused(&path, json!({ "reason": "" })).await.0,
            "422 invalid"
        );
        let (status, _) = admin
            .ask(
                reqwest::Method::POST,
                &path,
                Some(json!({ "reason": "looked into" })),
            )
            .await;
        assert_eq!(
            status,
            if row["kind"] == "number_conflict" {
                200
            } else {
                409
            }
        );
    }
    fdms_worker(&test).await;
    assert_eq!(open(&admin).await, ["silent_store"]);
}
