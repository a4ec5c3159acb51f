//! The six functions, asked over HTTP.

use fiscal_hq::access::Role;
use rcgen::{CertificateParams, DnType, KeyPair};
use reqwest::Method;
use serde_json::{Value, json};
use sync_wire::Environment;
use sync_wire::command::{CommandOutcome, Order};
use sync_wire::entry::AttemptOutcome;
use sync_wire::seal::credential_context;

use crate::played::{Admin, Store, certificate, till};
use crate::support::Test;

/// A certificate and its key, PEM, for a till.
pub(crate) fn pair(device: u32) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    let name = format!("ZIMRA-SN-{device}-{device:010}");
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2027, 1, 1);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn upload(environment: &str, device: u32, label: &str) -> Value {
    let (certificate, key) = pair(device);
    json!({ "environment": environment, "device_id": device, "label": label, "certificate": certificate, "key": key })
}

/// Two people who change the same version: the second is told, and nothing of the first is lost.
#[tokio::test]
async fn a_profile_is_not_overwritten_unseen() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let seen = admin.version().await;
    let saved = admin.save_profile(json!({})).await;
    assert_eq!(saved["version"], seen + 1);
    let mut late = json!({ "legal_name": "Other", "trade_name": "", "tin": "", "vat_number": "", "address": "", "version": seen });
    let (status, answer) = admin
        .ask(Method::PUT, "/fiscal_profile", Some(late.clone()))
        .await;
    assert_eq!((status, &answer["code"]), (409, &json!("stale")));
    assert_eq!(
        admin.get("/fiscal_profile").await["legal_name"],
        "Baobab Stores (Private) Limited"
    );
    for (name, value) in [
        ("enabled", json!(true)),
        ("environment", json!("prod")),
        ("tin", json!("12")),
    ] {
        late["version"] = saved["version"].clone();
        let mut body = late.clone();
        body[name] = value;
        let (status, answer) = admin.ask(Method::PUT, "/fiscal_profile", Some(body)).await;
        assert_eq!(
            (status, &answer["pointer"]),
            (422, &json!(format!("/{name}"))),
            "{answer}"
        );
    }
    // Reviewed, and to be reviewed again once a name changes.
    let version = saved["version"].as_i64().unwrap();
    let reviewed = admin
        .post("/fiscal_profile/review", json!({ "version": version }))
        .await;
    assert_eq!(reviewed["reviewed_by"], "token:token of admin");
    let same = admin.save_profile(json!({ "unsent_hours": 12 })).await;
    assert!(!same["reviewed_at"].is_null());
    let other = admin
        .save_profile(json!({ "trade_name": "Baobab 2" }))
        .await;
    assert!(other["reviewed_at"].is_null());
    assert_eq!(admin.count("SELECT count(*) FROM fdms_audit_logs WHERE tenant_id = $1 AND action LIKE 'profile.%'").await, 4);
}

/// Who only looks changes nothing; a tenant sees nothing of another.
#[tokio::test]
async fn roles_and_tenants_are_kept_apart() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let (store, _) = admin.new_store("Harare").await;
    admin.new_device("test", 42, &store).await;
    let viewer = Admin::of(&test, admin.tenant, Role::Viewer).await;
    let operator = Admin::of(&test, admin.tenant, Role::Operator).await;
    for (who, path, body) in [
        (&viewer, "/fiscal_devices/test/42/open_day", json!({})),
        (
            &viewer,
            "/fiscal_submissions",
            json!({ "environment": "test", "device_id": 42 }),
        ),
        (&operator, "/fiscal_devices/stores", json!({ "name": "x" })),
        (
            &operator,
            "/fiscal_profile/rollback",
            json!({ "version": 1, "reason": "because" }),
        ),
        (&operator, "/fiscal_credentials", upload("test", 42, "x")),
        (
            &operator,
            "/alert_channels",
            json!({ "kind": "email", "target": "a@b.example" }),
        ),
    ] {
        assert_eq!(who.refused(path, body).await.0, "403 forbidden", "{path}");
    }
    let stranger = Admin::of_new(&test, "Stranger").await;
    assert_eq!(stranger.get("/fiscal_devices").await, json!([]));
    let (status, _) = stranger
        .ask(Method::GET, "/fiscal_devices/test/42", None)
        .await;
    assert_eq!(status, 404);
    assert_eq!(
        stranger
            .refused(
                "/fiscal_devices/test/42/block",
                json!({ "reason": "mine now" })
            )
            .await
            .0,
        "404 not_found"
    );
    let code = format!("/fiscal_devices/stores/{store}/code");
    assert_eq!(stranger.refused(&code, json!({})).await.0, "404 not_found");
}

/// A till is pending until its store has it; prefixes that could make the same number one day are refused.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn tills_are_recorded_once() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let (store, code) = admin.new_store("Harare").await;
    let made = admin.new_device("test", 42, &store).await;
    assert_eq!(
        (&made["state"], &made["invoice_prefix"]),
        (&json!("pending"), &json!("42-"))
    );
    let mut new = json!({ "environment": "test", "device_id": 42, "serial_no": "SN-1", "store_id": store,
        "machine_name": "Till 2", "mode": "online" });
    assert_eq!(
        admin.refused("/fiscal_devices", new.clone()).await.0,
        "409 conflict"
    );
    new["device_id"] = json!(43);
    for prefix in ["4", "42-", "42-1"] {
        new["invoice_prefix"] = json!(prefix);
        let (refused, why) = admin.refused("/fiscal_devices", new.clone()).await;
        assert_eq!(refused, "409 conflict", "{prefix}");
        assert!(why.contains("till test 42 has the prefix `42-`"), "{why}");
    }
    new["invoice_prefix"] = json!("B");
    new["mode"] = json!("sometimes");
    assert_eq!(
        admin.refused("/fiscal_devices", new.clone()).await.0,
        "422 invalid"
    );
    // The store has not joined: nothing can be asked of it, and what is no command is done here.
    let (refused, why) = admin
        .refused("/fiscal_devices/test/42/open_day", json!({}))
        .await;
    assert!(
        refused == "409 conflict" && why.contains("has not joined"),
        "{why}"
    );
    let mut shop = Store::join(&test, &code).await;
    let which = till(Environment::Test, 42);
    shop.add(which, certificate("ab"));
    shop.sync().await;
    assert_eq!(
        admin.get("/fiscal_devices/test/42").await["state"],
        "registered"
    );
    let asked = admin
        .post("/fiscal_devices/test/42/close_day", json!({}))
        .await;
    shop.sync().await;
    let command = shop.command("close_day");
    assert_eq!(json!(command.id), asked["command_id"]);
    shop.done(&command, CommandOutcome::Refused, None);
    shop.sync().await;
    let path = format!("/fiscal_submissions/{}", command.id);
    let followed = admin.get(&path).await;
    assert_eq!(followed["command"]["status"], "refused");
    let states: Vec<_> = followed["states"]
        .as_array()
        .unwrap()
        .iter()
        .map(|state| state["state"].clone())
        .collect();
    assert_eq!(states, ["pending", "in_flight", "failed"]);
    // Blocked with a reason, and only so.
    assert_eq!(
        admin
            .refused("/fiscal_devices/test/42/block", json!({}))
            .await
            .0,
        "422 invalid"
    );
    let blocked = admin
        .post(
            "/fiscal_devices/test/42/block",
            json!({ "reason": "stolen" }),
        )
        .await;
    assert_eq!(
        (
            &blocked["device"]["state"],
            &blocked["device"]["last_error"]
        ),
        (&json!("blocked"), &json!("stolen"))
    );
    shop.sync().await;
    assert_eq!(shop.wanted.blocked[0].reason, "stolen");
    assert_eq!(
        admin
            .refused("/fiscal_devices/test/42/open_day", json!({}))
            .await
            .0,
        "409 conflict"
    );
}

/// A key is sealed, reaches its store alone, and is never shown; one version is in use at a time.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn credentials_are_sealed_and_delivered() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let (store, code) = admin.new_store("Harare").await;
    admin.new_device("test", 42, &store).await;
    admin.save_profile(json!({})).await;
    let first = upload("test", 42, "test, first");
    let key = first["key"].as_str().unwrap().to_owned();
    let made = admin.post("/fiscal_credentials", first.clone()).await;
    assert_eq!(
        (&made["version"], &made["active"], &made["key_here"]),
        (&json!(1), &json!(false), &json!(true))
    );
    let (refused, why) = admin.refused("/fiscal_credentials", first).await;
    assert!(
        refused == "409 conflict" && why.contains("version 1 of till test 42"),
        "{why}"
    );
    let activate = "/fiscal_credentials/test/42/1/activate";
    let (refused, why) = admin.refused(activate, json!({})).await;
    assert!(refused == "409 conflict" && why.contains("joined"), "{why}");
    let mut shop = Store::join(&test, &code).await;
    shop.sync().await;
    let activated = admin.post(activate, json!({})).await;
    assert_eq!(activated["credential"]["active"], true);
    shop.sync().await;
    let command = shop.command("deliver_credential");
    let Order::DeliverCredential {
        key: sealed,
        version: 1,
        invoice_prefix,
        ..
    } = &command.order
    else {
        panic!()
    };
    assert_eq!(invoice_prefix.as_deref(), Some("42-"));
    let which = till(Environment::Test, 42);
    let opened = shop
        .seal_key
        .open(sealed, &credential_context(shop.id, which, 1))
        .unwrap();
    assert_eq!(std::str::from_utf8(&opened).unwrap().trim(), key.trim());
    shop.done(&command, CommandOutcome::Done, None);
    shop.sync().await;
    // A second version takes its place; the first can be revoked, with a reason, and used no more.
    admin
        .post("/fiscal_credentials", upload("test", 42, "test, second"))
        .await;
    admin
        .post("/fiscal_credentials/test/42/2/activate", json!({}))
        .await;
    let revoke = "/fiscal_credentials/test/42/1/revoke";
    assert_eq!(
        admin.refused(revoke, json!({ "reason": "" })).await.0,
        "422 invalid"
    );
    let revoked = admin
        .post(revoke, json!({ "reason": "key may be known" }))
        .await;
    assert_eq!(
        (&revoked["key_here"], &revoked["revoked_reason"]),
        (&json!(false), &json!("key may be known"))
    );
    assert_eq!(admin.refused(activate, json!({})).await.0, "409 conflict");
    let all = admin.get("/fiscal_credentials").await;
    let brief: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["version"].clone(), one["active"].clone()))
        .collect();
    assert_eq!(brief, [(json!(2), json!(true)), (json!(1), json!(false))]);
    assert!(!all[1]["delivered_at"].is_null());
    // The key is nowhere: not in answers, not in the audit, not in the commands.
    let client = test.database.connect("postgres").await;
    let secret: String = key.lines().nth(1).unwrap().to_owned();
    for sql in [
        "SELECT string_agg(a::text, '') FROM fdms_audit_logs a",
        "SELECT string_agg(c::text, '') FROM commands c",
        "SELECT string_agg(c::text, '') FROM fdms_tenant_credentials c",
    ] {
        let row = client.query_one(sql, &[]).await.unwrap();
        assert!(!row.get::<_, String>(0).contains(&secret), "{sql}");
    }
    assert!(!all.to_string().contains(&secret));
    let (status, _) = admin
        .ask(
            Method::PUT,
            "/fiscal_credentials/policy",
            Some(json!({ "rotation_days": 90 })),
        )
        .await;
    assert_eq!(status, 200);
    assert_eq!(admin.get("/fiscal_profile").await["rotation_days"], 90);
}

/// An installation for tests takes no key of production, and never switches to it.
#[tokio::test]
async fn the_ceiling_holds() {
    let test = Test::start_with(Environment::Test).await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let (store, _) = admin.new_store("Harare").await;
    admin.new_device("prod", 43, &store).await;
    let (refused, why) = admin
        .refused("/fiscal_credentials", upload("prod", 43, "prod"))
        .await;
    assert!(
        refused == "409 conflict" && why.contains("FDMS_ENV=test"),
        "{why}"
    );
    let version = admin.version().await;
    let (refused, why) = admin
        .refused("/fiscal_profile/cut_over", json!({ "version": version }))
        .await;
    assert!(
        refused == "409 conflict" && why.contains("FDMS_ENV=test"),
        "{why}"
    );
}

/// Pages end where the next begins: every row once, whatever the size of a page.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn searches_page_by_key() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let (store, code) = admin.new_store("Harare").await;
    admin.new_device("test", 42, &store).await;
    let mut shop = Store::join(&test, &code).await;
    let which = till(Environment::Test, 42);
    shop.add(which, certificate("ab"));
    shop.open_day(which);
    for cents in 1..=7 {
        shop.sell(which, cents * 100);
        shop.send(which, AttemptOutcome::Accepted);
    }
    shop.sell(which, 5);
    shop.send(which, AttemptOutcome::Refused);
    shop.sync().await;
    for (path, name, all) in [
        ("/fiscal_submissions?limit=3", "attempt", 9),
        (
            "/fiscal_submissions/receipts?limit=3",
            "receipt_global_no",
            8,
        ),
    ] {
        let mut rows = Vec::new();
        let mut after = String::new();
        loop {
            let page = admin.get(&format!("{path}{after}")).await;
            rows.extend(page["rows"].as_array().unwrap().clone());
            let Some(next) = page["next"].as_str() else {
                break;
            };
            after = format!("&after={next}");
        }
        assert_eq!(rows.len(), all, "{path}");
        assert!(rows.iter().all(|row| row[name].is_i64()));
        let mut texts: Vec<_> = rows.iter().map(Value::to_string).collect();
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), all, "{path}");
    }
    let refused = admin.get("/fiscal_submissions?outcome=refused").await;
    assert_eq!(
        refused["rows"][0]["error_message"],
        "the signature does not verify"
    );
    let one = admin.get("/fiscal_submissions/receipts?number=8").await;
    assert_eq!(
        (&one["rows"][0]["receipt_total"], &one["rows"][0]["fdms"]),
        (&json!("0.05"), &json!("dead_letter"))
    );
    let dead = admin
        .get("/fiscal_submissions/jobs?status=dead_letter")
        .await;
    assert_eq!(
        (&dead["rows"][0]["number"], &dead["rows"][0]["status"]),
        (&json!(8), &json!("dead_letter"))
    );
    // What is wrong in a request is told, never a bare failure.
    for bad in [
        "?limit=0",
        "?limt=3",
        "?after=x",
        "?outcome=lost",
        "?from=yesterday",
    ] {
        let (status, answer) = admin
            .ask(Method::GET, &format!("/fiscal_submissions{bad}"), None)
            .await;
        assert_eq!((status, &answer["code"]), (422, &json!("invalid")), "{bad}");
    }
    let bad = "/fiscal_submissions/receipts?after=2026-01-01T00:00:00,test,1,1,zz";
    assert_eq!(admin.get(bad).await["rows"], json!([]));
    // Let go on, or paused with a reason: the store is asked.
    admin
        .post("/fiscal_submissions/jobs/test/42/retry", json!({}))
        .await;
    shop.sync().await;
    shop.command("retry");
    assert_eq!(
        admin
            .refused("/fiscal_submissions/jobs/test/42/dead_letter", json!({}))
            .await
            .0,
        "422 invalid"
    );
    admin
        .post(
            "/fiscal_submissions/jobs/test/42/dead_letter",
            json!({ "reason": "wait for ZIMRA" }),
        )
        .await;
    shop.sync().await;
    shop.command("dead_letter");
    let (refused, why) = admin
        .refused(
            "/fiscal_submissions",
            json!({ "environment": "prod", "device_id": 42 }),
        )
        .await;
    assert!(
        refused == "409 conflict" && why.contains("production"),
        "{why}"
    );
}

/// The month's return agrees with the Z reports to the cent, and names where it does not.
#[tokio::test]
async fn the_vat_return_is_reconciled() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let (store, code) = admin.new_store("Harare").await;
    admin.new_device("prod", 42, &store).await;
    let mut shop = Store::join(&test, &code).await;
    let which = till(Environment::Prod, 42);
    shop.add(which, certificate("ab"));
    shop.open_day(which);
    for cents in [11_500, 2_300, 115] {
        shop.sell(which, cents);
        shop.send(which, AttemptOutcome::Accepted);
    }
    shop.sync().await;
    let path = "/fiscal_submissions/vat_return?month=2026-05";
    let early = admin.get(path).await;
    assert_eq!(
        (&early["reconciled"], &early["differences"][0]["kind"]),
        (&json!(false), &json!("not_closed"))
    );
    shop.close_day(which);
    shop.sync().await;
    let made = admin.get(path).await;
    assert_eq!(
        (&made["reconciled"], &made["receipts"]),
        (&json!(true), &json!(3)),
        "{made}"
    );
    let row = &made["rows"][0];
    assert_eq!(
        (&row["sales"], &row["total_tax"], &row["tax_percent"]),
        (&json!("139.15"), &json!("18.15"), &json!("15.00"))
    );
    assert_eq!(
        admin
            .get("/fiscal_submissions/vat_return?month=2026-04")
            .await["rows"],
        json!([])
    );
    // A Z report that says something else is named, with the amount.
    let client = test.database.connect("postgres").await;
    client
        .execute("UPDATE fiscal_days SET counters = jsonb_set(counters, '{0,fiscalCounterValue}', '140.00')", &[])
        .await
        .unwrap();
    let wrong = admin.get(path).await;
    assert_eq!(wrong["reconciled"], false);
    let detail = wrong["differences"][0]["detail"].as_str().unwrap();
    assert!(
        detail.contains("140.00") && detail.contains("139.15") && detail.contains("0.85"),
        "{detail}"
    );
    let (status, _) = admin
        .ask(
            Method::GET,
            "/fiscal_submissions/vat_return?month=2026-13",
            None,
        )
        .await;
    assert_eq!(status, 422);
    // The same as CSV: every receipt, every counter.
    let (_, csv) = admin
        .text(Method::GET, "/fiscal_submissions/receipts.csv", None)
        .await;
    assert_eq!(csv.lines().count(), 4, "{csv}");
    assert!(
        csv.contains(",FiscalInvoice,USD,115.00,2026-05-28T08:00:00,42-1,accepted\r\n"),
        "{csv}"
    );
    let (_, csv) = admin
        .text(Method::GET, "/fiscal_submissions/days.csv", None)
        .await;
    assert_eq!(csv.lines().count(), 3, "{csv}");
}

/// More receipts than a page holds: each is there once.
#[tokio::test]
async fn a_long_export_has_every_receipt_once() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let (store, code) = admin.new_store("Harare").await;
    admin.new_device("test", 42, &store).await;
    let mut shop = Store::join(&test, &code).await;
    let which = till(Environment::Test, 42);
    shop.add(which, certificate("ab"));
    shop.open_day(which);
    for cents in 1..=1_201 {
        shop.sell(which, cents);
    }
    shop.sync().await;
    let (status, csv) = admin
        .text(Method::GET, "/fiscal_submissions/receipts.csv", None)
        .await;
    assert_eq!(status, 200);
    let mut numbers: Vec<u32> = csv
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(3).unwrap().parse().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=1_201).collect::<Vec<_>>());
}
