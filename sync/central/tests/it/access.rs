//! Who gets in and who does not; what each may do; that all of it is written down.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use fiscal_hq::Hq;
use fiscal_hq::access::{Role, sessions};
use fiscal_hq::db::TenantId;
use fiscal_hq::keys::MasterKeys;
use reqwest::Method;
use serde_json::json;
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::people::{Asker, PASSWORD, Shows, add_user, audit, invite, send, times};
use crate::support::{MASTER_KEY, Test};

const MINUTE: Duration = Duration::from_secs(60);

fn sign_in(email: &str, password: &str) -> serde_json::Value {
    json!({ "email": email, "password": password })
}

/// A session is a cookie that scripts cannot read, good until it is idle too long, too old, or ended.
#[tokio::test]
async fn sessions_begin_and_end() {
    let test = Test::start().await;
    let tenant = test.tenant("Baobab").await;
    add_user(&test, tenant, Role::Viewer, "rudo@shop.example").await;
    let nobody = Asker::nobody(&test);
    let answer = nobody
        .post("/session", sign_in(" Rudo@Shop.example", PASSWORD))
        .await;
    let begun = answer.read(201);
    let cookie = answer.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("fhq=") && cookie.contains("; HttpOnly; SameSite=Lax"));
    let value = cookie[4..].split(';').next().unwrap().to_owned();
    let mut rudo = Asker::nobody(&test);
    rudo.shows = Shows::Session {
        csrf: begun["csrf"].as_str().unwrap().to_owned(),
        cookie: value.clone(),
    };
    let who = rudo.get("/session").await.read(200);
    assert_eq!(who["actor"], "user:rudo@shop.example");
    assert_eq!(who["role"], "viewer");
    assert_eq!(who["csrf"], begun["csrf"]);
    // Only its hash is kept.
    let dump = test.everything().await;
    assert!(!holds(&dump, &value) && dump.contains("rudo@shop.example"));
    // Used, it lasts; idle, it does not.
    for _ in 0..3 {
        test.clock.advance(sessions::IDLE - MINUTE);
        assert!(rudo.is_in().await);
    }
    test.clock.advance(sessions::IDLE);
    assert!(!rudo.is_in().await);
    // Busy or not, a day is all.
    let other = Asker::sign_in(&test, "rudo@shop.example").await;
    for _ in 0..23 {
        test.clock.advance(60 * MINUTE);
        assert!(other.is_in().await);
    }
    test.clock.advance(60 * MINUTE);
    assert!(!other.is_in().await);
    // Signed out is out; the others stay in until all are ended.
    let [one, two, three] = [
        Asker::sign_in(&test, "rudo@shop.example").await,
        Asker::sign_in(&test, "rudo@shop.example").await,
        Asker::sign_in(&test, "rudo@shop.example").await,
    ];
    assert_eq!(one.delete("/session").await.status, 204);
    assert!(!one.is_in().await && two.is_in().await && three.is_in().await);
    assert_eq!(two.poke("/session/end_all").await.status, 204);
    assert!(!two.is_in().await && !three.is_in().await);
    let actor = "user:rudo@shop.example";
    assert_eq!(times(&test, tenant, actor, "session.begin").await, 5);
    assert_eq!(times(&test, tenant, actor, "session.end").await, 1);
    assert_eq!(times(&test, tenant, actor, "session.end_all").await, 1);
}

/// Over HTTPS the cookie is bound to this host and to HTTPS, and no other name counts.
#[tokio::test]
async fn the_cookie_of_https() {
    let test = Test::start().await;
    let tenant = test.tenant("Baobab").await;
    let rudo = Asker::person(&test, tenant, Role::Viewer, "rudo@shop.example").await;
    let Shows::Session { cookie, .. } = rudo.shows else {
        panic!("no session");
    };
    let router = fiscal_hq::api::router(secure(&test).into());
    let body = sign_in("rudo@shop.example", PASSWORD).to_string();
    let request = Request::post("/session")
        .header("content-type", "application/json")
        .body(Body::from(body))
        .unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let made = response.headers()["set-cookie"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        made.starts_with("__Host-fhq=") && made.ends_with("; Secure"),
        "{made}"
    );
    assert!(made.contains("; Path=/; HttpOnly") && !made.contains("Domain"));
    assert!(response.headers().contains_key("strict-transport-security"));
    for (name, status) in [("__Host-fhq", 200), ("fhq", 401)] {
        let request = Request::get("/session")
            .header("cookie", format!("{name}={cookie}"))
            .body(Body::empty())
            .unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status, "{name}");
    }
}

fn secure(test: &Test) -> Hq {
    Hq {
        db: test.database.pool(),
        clock: test.hq.clock.clone(),
        ceiling: test.hq.ceiling,
        keys: MasterKeys::parse(MASTER_KEY, None).unwrap(),
        worker_secret: None,
        secure_cookies: true,
        public_url: "https://hq.test".to_owned(),
        outbound: fiscal_hq::outbound::Outbound::default(),
    }
}

/// Who shows nothing, or something made up, is nobody.
#[tokio::test]
async fn what_is_made_up_is_nothing() {
    let test = Test::start().await;
    let tenant = test.tenant("Baobab").await;
    let rudo = Asker::person(&test, tenant, Role::Viewer, "rudo@shop.example").await;
    let machine = Asker::machine(&test, tenant, Role::Viewer, "till").await;
    let (Shows::Session { cookie, .. }, Shows::Bearer(token)) = (&rudo.shows, &machine.shows)
    else {
        panic!("not as made");
    };
    assert!(rudo.is_in().await && machine.is_in().await);
    let long = "x".repeat(5000);
    for shown in ["", "x", &cookie[1..], &format!("{cookie}x"), token, &long] {
        let nobody = Asker::nobody(&test).request(Method::GET, "/session");
        let answer = send(nobody.header("cookie", format!("fhq={shown}"))).await;
        answer.problem(401, "unauthenticated");
    }
    let refused = [
        String::new(),
        "Bearer".to_owned(),
        "Bearer fhq_".to_owned(),
        format!("Basic {token}"),
        format!("Bearer {cookie}"),
        format!("Bearer {token}x"),
        format!("Bearer fhq_{long}"),
    ];
    for shown in refused {
        // A good cookie beside it does not help: who shows a token is who the token says.
        let request = rudo.request(Method::GET, "/session");
        let answer = send(request.header("authorization", shown)).await;
        answer.problem(401, "unauthenticated");
    }
}

/// A token is shown once and works until it is revoked or over; it may what its role may.
#[tokio::test]
async fn tokens() {
    let test = Test::start().await;
    let tenant = test.tenant("Baobab").await;
    let admin = Asker::person(&test, tenant, Role::Admin, "admin@shop.example").await;
    let viewer = Asker::person(&test, tenant, Role::Viewer, "viewer@shop.example").await;
    let wanted = json!({ "name": "erp", "role": "operator", "expires_at": "2026-06-28T06:00:00Z" });
    viewer
        .post("/tokens", wanted.clone())
        .await
        .problem(403, "forbidden");
    let made = admin.post("/tokens", wanted.clone()).await.read(201);
    let secret = made["token"].as_str().unwrap();
    admin.post("/tokens", wanted).await.problem(409, "conflict");
    let listed = admin.get("/tokens").await;
    assert_eq!(listed.read(200)[0]["name"], "erp");
    assert!(!listed.text.contains(secret) && !holds(&test.everything().await, secret));
    let machine = Asker::bearer(&test, secret);
    let who = machine.get("/session").await.read(200);
    assert_eq!(
        (&who["actor"], &who["role"]),
        (&json!("token:erp"), &json!("operator"))
    );
    // It is no person, and no admin.
    machine
        .poke("/session/end_all")
        .await
        .problem(403, "forbidden");
    machine.get("/tokens").await.problem(403, "forbidden");
    let over = json!({ "name": "b", "role": "viewer", "expires_at": "2026-05-28T06:00:00Z" });
    assert_eq!(
        admin.post("/tokens", over).await.problem(422, "invalid"),
        "/expires_at"
    );
    for (name, pointer) in [("", "/name"), ("a\u{7}b", "/name")] {
        let bad = json!({ "name": name, "role": "viewer" });
        assert_eq!(
            admin.post("/tokens", bad).await.problem(422, "invalid"),
            pointer
        );
    }
    let for_ever = json!({ "name": "for ever", "role": "viewer" });
    let for_ever = admin.post("/tokens", for_ever).await.read(201);
    let lasting = Asker::bearer(&test, for_ever["token"].as_str().unwrap());
    test.clock.advance(31 * 24 * 60 * MINUTE);
    assert!(!machine.is_in().await && lasting.is_in().await);
    let admin = Asker::sign_in(&test, "admin@shop.example").await;
    let path = format!("/tokens/{}", for_ever["token_id"].as_str().unwrap());
    assert_eq!(admin.delete(&path).await.status, 204);
    assert!(!lasting.is_in().await);
    admin.delete(&path).await.problem(404, "not_found");
    let actor = "user:admin@shop.example";
    assert_eq!(times(&test, tenant, actor, "token.create").await, 2);
    assert_eq!(times(&test, tenant, actor, "token.revoke").await, 1);
    assert_eq!(times(&test, tenant, "token:erp", "access.denied").await, 2);
}

/// The operator names a tenant and is then in it; anybody else who names one is refused, and it is written down.
#[tokio::test]
async fn only_the_operator_names_a_tenant() {
    let test = Test::start().await;
    let [a, b] = [test.tenant("Acacia").await, test.tenant("Baobab").await];
    let ops = Asker::person(&test, TenantId::OPERATOR, Role::Admin, "ops@hq.example").await;
    let of_a = Asker::person(&test, a, Role::Admin, "admin@a.example").await;
    let machine = Asker::machine(&test, a, Role::Admin, "erp").await;
    let who = ops.get("/session").await.read(200);
    assert_eq!(
        (&who["operator"], &who["tenant"]),
        (&json!(true), &json!(Uuid::nil()))
    );
    let who = ops.get(&format!("/session?tenant={b}")).await.read(200);
    assert_eq!(
        (&who["tenant"], &who["home"]),
        (&json!(b.0), &json!(Uuid::nil()))
    );
    let path = format!("/users?tenant={b}");
    let rudo = json!({ "email": "rudo@b.example", "name": "Rudo", "role": "viewer" });
    ops.post(&path, rudo).await.read(201);
    assert_eq!(
        times(&test, b, "operator:ops@hq.example", "user.invite").await,
        1
    );
    let nowhere = format!("/session?tenant={}", Uuid::new_v4());
    ops.get(&nowhere).await.problem(404, "not_found");
    ops.get("/session?tenant=b").await.problem(422, "invalid");
    let twice = format!("/session?tenant={a}&tenant={b}");
    ops.get(&twice).await.problem(422, "invalid");
    // His own tenant anybody may name.
    assert_eq!(of_a.get(&format!("/session?tenant={a}")).await.status, 200);
    for asker in [&of_a, &machine] {
        for path in [
            &path,
            &nowhere,
            &format!("/users?x=1&tenant={}", Uuid::nil()),
        ] {
            asker.get(path).await.problem(403, "forbidden");
        }
        for header in ["X-Tenant", "X-Tenant-Id", "X-Hq-Tenant", "Tenant"] {
            let request = asker.request(Method::GET, "/users");
            let answer = send(request.header(header, b.to_string())).await;
            answer.problem(403, "forbidden");
            let request = asker.request(Method::GET, "/users");
            let answer = send(request.header(header, a.to_string())).await;
            assert_eq!(answer.status, 200);
        }
    }
    assert_eq!(
        times(&test, a, "user:admin@a.example", "access.denied").await,
        7
    );
    assert_eq!(times(&test, a, "token:erp", "access.denied").await, 7);
    let all = audit(&test, b).await;
    assert!(
        all.iter()
            .all(|(actor, ..)| actor != "user:admin@a.example")
    );
    // Tenants are the operator's alone.
    let listed = ops.get("/tenants").await.read(200);
    let names: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["Acacia", "Baobab"]);
    of_a.get("/tenants").await.problem(403, "forbidden");
    of_a.post("/tenants", json!({ "name": "C" }))
        .await
        .problem(403, "forbidden");
    let made = ops
        .post("/tenants", json!({ "name": "Cedar" }))
        .await
        .read(201);
    let cedar = format!("/session?tenant={}", made["tenant_id"].as_str().unwrap());
    assert_eq!(ops.get(&cedar).await.status, 200);
    ops.post("/tenants", json!({ "name": " " }))
        .await
        .problem(422, "invalid");
}

/// An invitation is taken up once, in time, with a password that is one; each new code ends the one before.
#[tokio::test]
async fn invitations_and_new_passwords() {
    let test = Test::start().await;
    let tenant = test.tenant("Baobab").await;
    let admin = Asker::person(&test, tenant, Role::Admin, "admin@shop.example").await;
    let rudo = json!({ "email": "Rudo@shop.example", "name": "Rudo", "role": "viewer" });
    let made = admin.post("/users", rudo.clone()).await.read(201);
    assert_eq!(made["kind"], "invitation");
    assert_eq!(
        admin.post("/users", rudo).await.problem(409, "conflict"),
        "/email"
    );
    let first = made["code"].as_str().unwrap().to_owned();
    let code_path = format!("/users/{}/code", made["user_id"].as_str().unwrap());
    let again = admin.poke(&code_path).await.read(201);
    let second = again["code"].as_str().unwrap().to_owned();
    let nobody = Asker::nobody(&test);
    let take_up = async |code: &str, password: &str| {
        let body = json!({ "code": code, "password": password });
        nobody.post("/session/take_up", body).await
    };
    assert_eq!(
        take_up(&first, PASSWORD).await.problem(422, "invalid"),
        "/code"
    );
    assert_eq!(
        take_up("fhqu_made_up", PASSWORD)
            .await
            .problem(422, "invalid"),
        "/code"
    );
    for bad in ["elevenchars", "rudo@shop.example", "aaaaaaaaaaaaaaaa"] {
        assert_eq!(
            take_up(&second, bad).await.problem(422, "invalid"),
            "/password"
        );
    }
    nobody
        .post("/session", sign_in("rudo@shop.example", PASSWORD))
        .await
        .problem(401, "unauthenticated");
    assert_eq!(take_up(&second, PASSWORD).await.status, 204);
    assert_eq!(
        take_up(&second, PASSWORD).await.problem(422, "invalid"),
        "/code"
    );
    let viewer = Asker::sign_in(&test, "rudo@shop.example").await;
    // A new password ends what was begun with the old one, at the moment when it is chosen.
    let reset = admin.poke(&code_path).await.read(201);
    assert_eq!(reset["kind"], "reset");
    assert!(viewer.is_in().await);
    let code = reset["code"].as_str().unwrap();
    assert_eq!(take_up(code, "another long password").await.status, 204);
    assert!(!viewer.is_in().await);
    nobody
        .post("/session", sign_in("rudo@shop.example", PASSWORD))
        .await
        .problem(401, "unauthenticated");
    nobody
        .post(
            "/session",
            sign_in("rudo@shop.example", "another long password"),
        )
        .await
        .read(201);
    assert_eq!(
        times(&test, tenant, "user:rudo@shop.example", "password.set").await,
        2
    );
    let dump = test.everything().await;
    assert!(!holds(&dump, &second) && !holds(&dump, PASSWORD));
}

/// Codes are good for a time: a new password's for a day, an invitation for a week.
#[tokio::test]
async fn codes_run_out() {
    let test = Test::start().await;
    let tenant = test.tenant("Baobab").await;
    let admin = Asker::person(&test, tenant, Role::Admin, "admin@shop.example").await;
    let rudo = add_user(&test, tenant, Role::Viewer, "rudo@shop.example").await;
    let code_path = format!("/users/{rudo}/code");
    let nobody = Asker::nobody(&test);
    let take_up = async |code: &str, password: &str| {
        let body = json!({ "code": code, "password": password });
        nobody.post("/session/take_up", body).await
    };
    let late = admin.poke(&code_path).await.read(201);
    test.clock.advance(24 * 60 * MINUTE);
    assert_eq!(
        take_up(late["code"].as_str().unwrap(), PASSWORD)
            .await
            .problem(422, "invalid"),
        "/code"
    );
    let (_, invitation) = invite(&test, tenant, Role::Viewer, "late@shop.example").await;
    test.clock.advance(7 * 24 * 60 * MINUTE);
    assert_eq!(
        take_up(&invitation, PASSWORD).await.problem(422, "invalid"),
        "/code"
    );
}

/// One's own password is changed with the present one; all sessions end.
#[tokio::test]
async fn own_password() {
    let test = Test::start().await;
    let tenant = test.tenant("Baobab").await;
    let rudo = Asker::person(&test, tenant, Role::Viewer, "rudo@shop.example").await;
    let change = |old: &str, new: &str| json!({ "password": old, "new_password": new });
    let wrong = change("not my password", "another long password");
    assert_eq!(
        rudo.post("/session/password", wrong)
            .await
            .problem(422, "invalid"),
        "/password"
    );
    let short = change(PASSWORD, "short");
    assert_eq!(
        rudo.post("/session/password", short)
            .await
            .problem(422, "invalid"),
        "/new_password"
    );
    assert!(rudo.is_in().await);
    let good = change(PASSWORD, "another long password");
    assert_eq!(rudo.post("/session/password", good).await.status, 204);
    assert!(!rudo.is_in().await);
    let nobody = Asker::nobody(&test);
    nobody
        .post(
            "/session",
            sign_in("rudo@shop.example", "another long password"),
        )
        .await
        .read(201);
    assert_eq!(
        times(&test, tenant, "user:rudo@shop.example", "password.refused").await,
        1
    );
}

/// An admin and a viewer.
async fn two(test: &Test, tenant: TenantId) -> [Asker; 2] {
    [
        Asker::person(test, tenant, Role::Admin, "admin@shop.example").await,
        Asker::person(test, tenant, Role::Viewer, "rudo@shop.example").await,
    ]
}

fn path(asker: &Asker) -> String {
    format!("/users/{}", asker.user.unwrap())
}

/// Roles count at once; the last admin stays one.
#[tokio::test]
async fn roles() {
    let test = Test::start().await;
    let tenant = test.tenant("Baobab").await;
    let [admin, rudo] = two(&test, tenant).await;
    rudo.patch(&path(&rudo), json!({ "role": "admin" }))
        .await
        .problem(403, "forbidden");
    for last in [json!({ "role": "viewer" }), json!({ "disabled": true })] {
        admin
            .patch(&path(&admin), last)
            .await
            .problem(409, "conflict");
    }
    // Somebody who has only been invited does not count as an admin.
    invite(&test, tenant, Role::Admin, "new@shop.example").await;
    admin
        .patch(&path(&admin), json!({ "role": "viewer" }))
        .await
        .problem(409, "conflict");
    let made = admin
        .patch(&path(&rudo), json!({ "role": "admin", "name": "Rudo M" }))
        .await;
    assert_eq!(made.status, 204);
    let listed = rudo.get("/users").await.read(200);
    assert_eq!(listed[2]["name"], "Rudo M");
    assert_eq!(
        admin
            .patch(&path(&admin), json!({ "role": "operator" }))
            .await
            .status,
        204
    );
    admin.get("/users").await.problem(403, "forbidden");
    rudo.patch(&path(&rudo), json!({}))
        .await
        .problem(422, "invalid");
    let unknown = format!("/users/{}", Uuid::new_v4());
    for nobody in [unknown.as_str(), "/users/x"] {
        rudo.patch(nobody, json!({ "disabled": true }))
            .await
            .problem(404, "not_found");
    }
    let actor = "user:rudo@shop.example";
    assert_eq!(times(&test, tenant, actor, "user.change").await, 0);
    let actor = "user:admin@shop.example";
    assert_eq!(times(&test, tenant, actor, "user.change").await, 2);
}

/// A closed account is out at once, and may be opened again.
#[tokio::test]
async fn closed_accounts() {
    let test = Test::start().await;
    let tenant = test.tenant("Baobab").await;
    let [rudo, admin] = two(&test, tenant).await;
    let other = Asker::sign_in(&test, "rudo@shop.example").await;
    assert_eq!(
        rudo.patch(&path(&admin), json!({ "disabled": true }))
            .await
            .status,
        204
    );
    assert!(!admin.is_in().await && !other.is_in().await);
    let nobody = Asker::nobody(&test);
    let shut = nobody
        .post("/session", sign_in("rudo@shop.example", PASSWORD))
        .await;
    let wrong = nobody
        .post("/session", sign_in("rudo@shop.example", "not my password"))
        .await;
    assert_eq!(
        shut.read(401),
        wrong.read(401),
        "nobody learns that it is closed"
    );
    rudo.poke(&format!("{}/code", path(&admin)))
        .await
        .problem(409, "conflict");
    assert_eq!(
        rudo.patch(&path(&admin), json!({ "disabled": false }))
            .await
            .status,
        204
    );
    let back = Asker::sign_in(&test, "rudo@shop.example").await;
    assert_eq!(
        rudo.poke(&format!("{}/end_sessions", path(&admin)))
            .await
            .status,
        204
    );
    assert!(!back.is_in().await);
    assert_eq!(
        times(&test, tenant, "user:admin@shop.example", "user.change").await,
        2
    );
}

/// Whether a dump has this text, also as bytes.
pub(crate) fn holds(dump: &str, text: &str) -> bool {
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    dump.contains(text) || dump.contains(&hex)
}
