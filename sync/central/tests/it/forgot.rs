//! Links by mail that set a password.

use std::time::Duration;

use fiscal_hq::access::Role;
use fiscal_hq::outbound::Outbound;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::people::{Answer, Asker, PASSWORD};
use crate::support::Test;
use crate::worker::mail_server;

const NEW: &str = "another good long password";

async fn mailing() -> (Test, UnboundedReceiver<String>) {
    let (url, heard) = mail_server().await;
    let outbound = Outbound {
        smtp_url: Some(SecretString::from(url)),
        smtp_from: Some("hq@example.com".to_owned()),
        ..Outbound::default()
    };
    (Test::start_reaching(outbound).await, heard)
}

async fn forgot(test: &Test, email: &str) -> Answer {
    Asker::nobody(test)
        .post("/session/forgot", json!({ "email": email }))
        .await
}

async fn take_up(test: &Test, code: &str) -> Answer {
    let body = json!({ "code": code, "password": NEW });
    Asker::nobody(test).post("/session/take_up", body).await
}

async fn sign_in(test: &Test, password: &str) -> u16 {
    let body = json!({ "email": "rudo@shop.example", "password": password });
    Asker::nobody(test).post("/session", body).await.status
}

/// The code of the next mail, which must be to Rudo.
async fn next_code(heard: &mut UnboundedReceiver<String>) -> String {
    let mail = heard.recv().await.unwrap();
    assert!(mail.contains("To: rudo@shop.example"), "{mail}");
    // Long lines are folded with `=` at their ends.
    let mail = mail
        .replace("=\r\n", "")
        .replace("=\n", "")
        .replace("=23", "#");
    let (_, rest) = mail.split_once("http://hq.test/choose-password#").unwrap();
    let code = rest.split_whitespace().next().unwrap();
    code.to_owned()
}

/// Whoever has forgotten his password is mailed a link, good once and for a day; nobody learns who has an account.
#[tokio::test]
async fn a_forgotten_password_is_chosen_anew() {
    let (test, mut heard) = mailing().await;
    let tenant = test.tenant("Baobab").await;
    Asker::person(&test, tenant, Role::Viewer, "rudo@shop.example").await;
    let unknown = forgot(&test, "nobody@shop.example").await;
    let known = forgot(&test, " Rudo@shop.example ").await;
    assert_eq!((unknown.status, known.status), (202, 202));
    assert_eq!(unknown.text, known.text);
    let code = next_code(&mut heard).await;
    assert_eq!(
        sign_in(&test, PASSWORD).await,
        201,
        "nothing has changed yet"
    );
    assert_eq!(take_up(&test, &code).await.status, 204);
    assert_eq!(sign_in(&test, PASSWORD).await, 401);
    assert_eq!(sign_in(&test, NEW).await, 201);
    assert!(take_up(&test, &code).await.status >= 400, "good once");
    // The second makes the first one void; after a day none is good.
    let mut codes = Vec::new();
    for _ in 0..2 {
        assert_eq!(forgot(&test, "rudo@shop.example").await.status, 202);
        codes.push(next_code(&mut heard).await);
    }
    assert!(take_up(&test, &codes[0]).await.status >= 400);
    test.clock.advance(Duration::from_secs(24 * 3600 + 1));
    assert!(take_up(&test, &codes[1]).await.status >= 400, "a day");
    assert!(heard.try_recv().is_err(), "no mail but these");
    // The audit has who it was for, and no code.
    let client = test.database.connect("postgres").await;
    let all = "SELECT string_agg(a::text, ' ') FROM fdms_audit_logs a WHERE tenant_id = $1";
    let all: String = client.query_one(all, &[&tenant.0]).await.unwrap().get(0);
    assert!(
        all.contains("user.code") && !all.contains(&codes[1]),
        "{all}"
    );
}

/// Asking again and again is stopped, alike for emails that somebody has and others.
#[tokio::test]
async fn nobody_is_flooded_with_links() {
    let (test, _heard) = mailing().await;
    let tenant = test.tenant("Baobab").await;
    Asker::person(&test, tenant, Role::Viewer, "rudo@shop.example").await;
    for email in ["rudo@shop.example", "nobody@shop.example"] {
        for _ in 0..5 {
            assert_eq!(forgot(&test, email).await.status, 202, "{email}");
        }
        forgot(&test, email).await.problem(429, "busy");
    }
    assert_eq!(
        sign_in(&test, PASSWORD).await,
        201,
        "nobody is locked out by it"
    );
}

/// A code that an admin makes is mailed too, where mail is sent; elsewhere the answers say that none is.
#[tokio::test]
async fn an_admins_code_is_mailed() {
    let (test, mut heard) = mailing().await;
    let tenant = test.tenant("Baobab").await;
    let admin = Asker::person(&test, tenant, Role::Admin, "admin@shop.example").await;
    let rudo = Asker::person(&test, tenant, Role::Viewer, "rudo@shop.example").await;
    let path = format!("/users/{}/code", rudo.user.unwrap());
    let made: Value = admin.post(&path, json!({})).await.read(201);
    assert_eq!(
        (&made["kind"], &made["mailed"]),
        (&json!("reset"), &json!(true))
    );
    let code = next_code(&mut heard).await;
    assert_eq!(made["code"], code);
    assert_eq!(take_up(&test, &code).await.status, 204);

    let silent = Test::start().await;
    let tenant = silent.tenant("Baobab").await;
    let admin = Asker::person(&silent, tenant, Role::Admin, "admin@shop.example").await;
    let path = format!("/users/{}/code", admin.user.unwrap());
    assert_eq!(
        admin.post(&path, json!({})).await.read(201)["mailed"],
        false
    );
    forgot(&silent, "admin@shop.example")
        .await
        .problem(409, "conflict");
}
