//! Guessing, the second factor, and writes that another site makes a browser send.

use std::time::Duration;

use fiscal_hq::access::Role;
use reqwest::Method;
use serde_json::{Value, json};
use totp_rs::{Algorithm, Secret, TOTP};

use crate::access::holds;
use crate::people::{Answer, Asker, PASSWORD, Shows, add_user, audit, send, times};
use crate::support::Test;

async fn try_in(test: &Test, email: &str, password: &str, digits: Option<&str>) -> Answer {
    let body = json!({ "email": email, "password": password, "digits": digits });
    Asker::nobody(test).post("/session", body).await
}

/// After five failures an account pauses, longer each time, whichever instance is asked; who is in begins anew.
/// An email that nobody has is answered and paused in the same way.
#[tokio::test]
async fn guessing_takes_time() {
    let test = Test::start().await;
    let other = test.second().await;
    let tenant = test.tenant("Baobab").await;
    add_user(&test, tenant, Role::Viewer, "rudo@shop.example").await;
    let (known, unknown) = ("rudo@shop.example", "nobody@shop.example");
    let mut said = Vec::new();
    for email in [known, unknown] {
        for turn in 0..5 {
            let at = if turn % 2 == 0 { &test } else { &other };
            let answer = try_in(at, email, "not the password", None).await;
            answer.problem(401, "unauthenticated");
            said.push(answer.text);
        }
        // Even the right password has to wait now.
        for at in [&test, &other] {
            let answer = try_in(at, email, PASSWORD, None).await;
            answer.problem(429, "busy");
            assert_eq!(answer.headers["retry-after"], "2");
        }
    }
    said.dedup();
    assert_eq!(
        said.len(),
        1,
        "nobody learns which email is known: {said:?}"
    );
    test.clock.advance(Duration::from_secs(1));
    try_in(&other, known, "not the password", None)
        .await
        .problem(401, "unauthenticated");
    test.clock.advance(Duration::from_secs(1));
    try_in(&test, known, PASSWORD, None)
        .await
        .problem(429, "busy");
    test.clock.advance(Duration::from_secs(1));
    try_in(&test, known, PASSWORD, None).await.read(201);
    // Begun anew.
    for _ in 0..4 {
        try_in(&test, known, "not the password", None)
            .await
            .problem(401, "unauthenticated");
    }
    try_in(&test, known, PASSWORD, None).await.read(201);
    assert_eq!(
        times(&test, tenant, "user:rudo@shop.example", "session.refused").await,
        10
    );
    assert_eq!(
        times(&test, tenant, "user:rudo@shop.example", "session.begin").await,
        2
    );
    let operator = fiscal_hq::db::TenantId::OPERATOR;
    assert_eq!(times(&test, operator, "nobody", "session.refused").await, 5);
    let mut client = test.hq.db.client().await.unwrap();
    let tx = fiscal_hq::db::tenant(&mut client, tenant).await.unwrap();
    let placed =
        "SELECT count(*) FROM fdms_audit_logs WHERE tenant_id = $1 AND action LIKE 'session.%'
        AND after->>'from' = '127.0.0.1'";
    let placed: i64 = tx.query_one(placed, &[&tenant.0]).await.unwrap().get(0);
    assert_eq!(placed, 12, "the audit says from where");
    drop(tx);
    assert!(
        !test.everything().await.contains(unknown),
        "it may be a password"
    );
}

/// An address that tries many accounts pauses too.
#[tokio::test]
async fn guessing_many_accounts_takes_time() {
    let test = Test::start().await;
    for no in 0..20 {
        let email = format!("user{no}@shop.example");
        try_in(&test, &email, "not the password", None)
            .await
            .problem(401, "unauthenticated");
    }
    try_in(&test, "user20@shop.example", "not the password", None)
        .await
        .problem(429, "busy");
    test.clock.advance(Duration::from_secs(1));
    try_in(&test, "user20@shop.example", "not the password", None)
        .await
        .problem(401, "unauthenticated");
}

/// Many guesses at once are not more guesses.
#[tokio::test]
async fn guesses_at_once_are_counted() {
    let test = Test::start().await;
    let tenant = test.tenant("Baobab").await;
    add_user(&test, tenant, Role::Viewer, "rudo@shop.example").await;
    let tries = (0..12).map(|_| try_in(&test, "rudo@shop.example", "not the password", None));
    let answers = futures_util::future::join_all(tries).await;
    let tried = answers.iter().filter(|answer| answer.status == 401).count();
    let paused = answers.iter().filter(|answer| answer.status == 429).count();
    assert_eq!((tried, paused), (5, 7));
}

pub(crate) struct App(TOTP);

impl App {
    fn new(secret: &Value) -> Self {
        let secret = Secret::Encoded(secret.as_str().unwrap().to_owned());
        Self(TOTP::new(Algorithm::SHA1, 6, 0, 30, secret.to_bytes().unwrap()).unwrap())
    }

    fn digits(&self, test: &Test) -> String {
        self.0
            .generate(u64::try_from(test.hq.now().as_second()).unwrap())
    }
}

/// Sets up a second factor; the app, and the recovery codes.
pub(crate) async fn set_up(test: &Test, rudo: &Asker) -> (App, Vec<String>) {
    let once_more = json!({ "password": PASSWORD });
    let shown = rudo
        .post("/session/second_factor", once_more)
        .await
        .read(201);
    assert!(
        shown["uri"]
            .as_str()
            .unwrap()
            .starts_with("otpauth://totp/fiscal-hq:rudo%40")
    );
    assert!(shown["qr_svg"].as_str().unwrap().contains("<svg"));
    let app = App::new(&shown["secret"]);
    let confirmed = json!({ "digits": app.digits(test) });
    let codes = rudo
        .post("/session/second_factor/confirm", confirmed)
        .await
        .read(200);
    let codes = codes["recovery_codes"].as_array().unwrap().iter();
    (
        app,
        codes
            .map(|code| code.as_str().unwrap().to_owned())
            .collect(),
    )
}

/// Once it is confirmed, the digits are asked for, each step good once; they may come in a second step.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
async fn second_factor() {
    let test = Test::start().await;
    let tenant = test.tenant("Baobab").await;
    let email = "rudo@shop.example";
    let rudo = Asker::person(&test, tenant, Role::Viewer, email).await;
    let wrong = json!({ "password": "not my password" });
    rudo.post("/session/second_factor", wrong)
        .await
        .problem(422, "invalid");
    rudo.post(
        "/session/second_factor/confirm",
        json!({ "digits": "000000" }),
    )
    .await
    .problem(409, "conflict");
    // Begun is not confirmed: nothing is asked for yet, and wrong digits do not confirm.
    rudo.post("/session/second_factor", json!({ "password": PASSWORD }))
        .await
        .read(201);
    try_in(&test, email, PASSWORD, None).await.read(201);
    assert_eq!(
        rudo.post(
            "/session/second_factor/confirm",
            json!({ "digits": "12345" })
        )
        .await
        .problem(422, "invalid"),
        "/digits"
    );
    let (app, codes) = set_up(&test, &rudo).await;
    rudo.post("/session/second_factor", json!({ "password": PASSWORD }))
        .await
        .problem(409, "conflict");
    let secret = app.0.get_secret_base32();
    let dump = test.everything().await;
    let hex: String = app
        .0
        .secret
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert!(!holds(&dump, &secret) && !dump.contains(&hex) && !holds(&dump, &codes[0]));
    // The password alone is half the way, and no session.
    let half = try_in(&test, email, PASSWORD, None).await;
    let ticket = half.read(202)["ticket"].as_str().unwrap().to_owned();
    assert!(!half.headers.contains_key("set-cookie"));
    let step = async |ticket: &str, digits: &str| {
        let body = json!({ "ticket": ticket, "digits": digits });
        Asker::nobody(&test)
            .post("/session/second_step", body)
            .await
    };
    // The step that confirmed it is spent.
    step(&ticket, &app.digits(&test))
        .await
        .problem(401, "second_factor");
    test.clock.advance(Duration::from_secs(30));
    step(&format!("{ticket}x"), &app.digits(&test))
        .await
        .problem(401, "unauthenticated");
    step(&ticket, &app.digits(&test)).await.read(201);
    step(&ticket, &app.digits(&test))
        .await
        .problem(401, "second_factor");
    test.clock.advance(Duration::from_secs(30));
    try_in(&test, email, PASSWORD, Some(&app.digits(&test)))
        .await
        .read(201);
    try_in(&test, email, "not the password", Some(&app.digits(&test)))
        .await
        .problem(401, "unauthenticated");
    // A ticket is good for five minutes.
    test.clock.advance(Duration::from_secs(30));
    let late = try_in(&test, email, PASSWORD, None).await.read(202);
    test.clock.advance(Duration::from_secs(5 * 60));
    step(late["ticket"].as_str().unwrap(), &app.digits(&test))
        .await
        .problem(401, "unauthenticated");
    // A recovery code instead, as people type it, once.
    let typed = codes[3].to_uppercase().replace('-', " ");
    try_in(&test, email, PASSWORD, Some(&typed)).await.read(201);
    try_in(&test, email, PASSWORD, Some(&typed))
        .await
        .problem(401, "second_factor");
    let actor = "user:rudo@shop.example";
    assert_eq!(
        times(&test, tenant, actor, "second_factor.recovery").await,
        1
    );
    assert_eq!(
        times(&test, tenant, actor, "second_factor.refused").await,
        3
    );
}

/// Digits are guessed no faster than passwords.
#[tokio::test]
async fn digits_are_not_guessed() {
    let test = Test::start().await;
    let tenant = test.tenant("Baobab").await;
    let email = "rudo@shop.example";
    let rudo = Asker::person(&test, tenant, Role::Viewer, email).await;
    let (app, _) = set_up(&test, &rudo).await;
    test.clock.advance(Duration::from_secs(30));
    let ticket = try_in(&test, email, PASSWORD, None).await.read(202)["ticket"].clone();
    let nobody = Asker::nobody(&test);
    for _ in 0..5 {
        // The right password in between does not begin the count anew.
        let body = json!({ "ticket": ticket, "digits": "1234567" });
        nobody
            .post("/session/second_step", body)
            .await
            .problem(401, "second_factor");
        let _ = try_in(&test, email, PASSWORD, None).await;
    }
    let body = json!({ "ticket": ticket, "digits": app.digits(&test) });
    nobody
        .post("/session/second_step", body)
        .await
        .problem(429, "busy");
}

/// It is removed by oneself with the password and the digits, or by an admin; then the password is enough again. What is sealed
/// for one user is of no use in another's row.
#[tokio::test]
async fn second_factor_goes() {
    let test = Test::start().await;
    let tenant = test.tenant("Baobab").await;
    let email = "rudo@shop.example";
    let admin = Asker::person(&test, tenant, Role::Admin, "admin@shop.example").await;
    let rudo = Asker::person(&test, tenant, Role::Viewer, email).await;
    let (app, codes) = set_up(&test, &rudo).await;
    test.clock.advance(Duration::from_secs(30));
    let remove = async |password: &str, digits: &str| {
        let body = json!({ "password": password, "digits": digits });
        rudo.post("/session/second_factor/remove", body).await
    };
    let digits = app.digits(&test);
    let refused = remove("not my password", &digits).await;
    assert_eq!(refused.problem(422, "invalid"), "/password");
    for bad in ["", "1234567", "abcd-efgh-ijkm-npqr"] {
        let refused = remove(PASSWORD, bad).await;
        assert_eq!(refused.problem(422, "invalid"), "/digits");
    }
    assert_eq!(remove(PASSWORD, &digits).await.status, 204);
    remove(PASSWORD, &digits).await.problem(409, "conflict");
    try_in(&test, email, PASSWORD, None).await.read(201);
    test.clock.advance(Duration::from_secs(30));
    let (other, _) = set_up(&test, &rudo).await;
    assert_ne!(app.0.secret, other.0.secret);
    // Codes of the one that is gone are gone with it.
    try_in(&test, email, PASSWORD, Some(&codes[0]))
        .await
        .problem(401, "second_factor");
    let client = test.database.connect("postgres").await;
    client
        .execute(
            "UPDATE users SET totp_secret = (SELECT totp_secret FROM users WHERE email = $1) WHERE email = $2",
            &[&email, &"admin@shop.example"],
        )
        .await
        .unwrap();
    test.clock.advance(Duration::from_secs(30));
    try_in(
        &test,
        "admin@shop.example",
        PASSWORD,
        Some(&other.digits(&test)),
    )
    .await
    .problem(500, "internal");
    let path = format!("/users/{}/second_factor", rudo.user.unwrap());
    rudo.delete(&path).await.problem(403, "forbidden");
    assert_eq!(admin.delete(&path).await.status, 204);
    assert!(!rudo.is_in().await, "his sessions have ended");
    try_in(&test, email, PASSWORD, None).await.read(201);
    admin.delete(&path).await.problem(409, "conflict");
}

/// A browser sends the cookie whoever makes it ask: a write must also carry what only our pages know, and come
/// from us. A token needs neither.
#[tokio::test]
async fn other_sites_cannot_write() {
    let test = Test::start().await;
    let tenant = test.tenant("Baobab").await;
    let admin = Asker::person(&test, tenant, Role::Admin, "admin@shop.example").await;
    let other = Asker::sign_in(&test, "admin@shop.example").await;
    let machine = Asker::machine(&test, tenant, Role::Admin, "erp").await;
    let (Shows::Session { cookie, csrf }, Shows::Session { csrf: others, .. }) =
        (&admin.shows, &other.shows)
    else {
        panic!("no session");
    };
    let bare = || {
        Asker::nobody(&test)
            .request(Method::POST, "/tokens")
            .header("cookie", format!("fhq={cookie}"))
    };
    let body = |name: &str| json!({ "name": name, "role": "viewer" });
    send(bare().json(&body("a")))
        .await
        .problem(403, "forbidden");
    for wrong in ["", "x", others] {
        let request = bare().header("x-csrf-token", wrong).json(&body("a"));
        send(request).await.problem(403, "forbidden");
    }
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let request = bare()
            .header("x-csrf-token", csrf)
            .header(name, value)
            .json(&body("a"));
        send(request).await.problem(403, "forbidden");
    }
    for (no, (name, value)) in [
        ("origin", "http://hq.test"),
        ("origin", test.base.as_str()),
        ("sec-fetch-site", "same-origin"),
    ]
    .into_iter()
    .enumerate()
    {
        let request = bare().header("x-csrf-token", csrf).header(name, value);
        send(request.json(&body(&format!("token {no}"))))
            .await
            .read(201);
    }
    // In the field of a form it counts as well: what is wrong then is the kind of body.
    let form = |text: String| {
        bare()
            .header("content-type", "application/x-www-form-urlencoded")
            .body(text)
    };
    send(form(format!("csrf={csrf}&name=a")))
        .await
        .problem(415, "media_type");
    send(form("csrf=x&name=a".into()))
        .await
        .problem(403, "forbidden");
    machine
        .post("/fiscal_devices/stores", json!({ "name": "by a machine" }))
        .await
        .read(201);
    // Reading takes none of it.
    let request = Asker::nobody(&test).request(Method::GET, "/tokens");
    let request = request
        .header("cookie", format!("fhq={cookie}"))
        .header("origin", "https://evil.example");
    assert_eq!(send(request).await.status, 200);
    // Nor can another site sign somebody in as somebody else.
    let request = Asker::nobody(&test)
        .request(Method::POST, "/session")
        .header("origin", "https://evil.example");
    let body = json!({ "email": "admin@shop.example", "password": PASSWORD });
    send(request.json(&body)).await.problem(403, "forbidden");
    let refused = audit(&test, tenant).await;
    let refused = refused
        .iter()
        .filter(|(_, action, subject)| action == "access.denied" && subject == "POST /tokens");
    assert_eq!(refused.count(), 9);
}
