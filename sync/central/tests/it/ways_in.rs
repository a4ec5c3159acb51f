//! Ways in that do not stay open, and one that nobody can shut for another: tokens of who has gone, sessions from before
//! the second factor, pauses that a stranger causes.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use fiscal_hq::access::Role;
use fiscal_hq::access::sign_in::{self, SignedIn};
use fiscal_hq::problem::Problem;
use fiscal_hq::serve;
use reqwest::Method;
use secrecy::SecretString;
use serde_json::json;
use tokio::net::TcpListener;

use crate::people::{Asker, PASSWORD, Shows, add_user, send, times};
use crate::sign_in::set_up;
use crate::support::{Test, WORKER_SECRET};
use crate::sync::one;

/// The tokens that somebody has made go with his account, and with his role those that may more than he still may;
/// those of others stay.
#[tokio::test]
async fn tokens_go_with_who_made_them() {
    let test = Test::start().await;
    let tenant = test.tenant("Baobab").await;
    let admin = Asker::person(&test, tenant, Role::Admin, "admin@shop.example").await;
    let rudo = Asker::person(&test, tenant, Role::Admin, "rudo@shop.example").await;
    let make = async |maker: &Asker, name: &str, role: &str| {
        let body = json!({ "name": name, "role": role });
        let made = maker.post("/tokens", body).await.read(201);
        Asker::bearer(&test, made["token"].as_str().unwrap())
    };
    let of_rudo = [
        make(&rudo, "back door", "admin").await,
        make(&rudo, "acts", "operator").await,
        make(&rudo, "looks", "viewer").await,
    ];
    let of_admin = make(&admin, "erp", "admin").await;
    let good = async || {
        let mut good = Vec::new();
        for token in &of_rudo {
            good.push(token.is_in().await);
        }
        good
    };
    assert_eq!(good().await, [true, true, true]);
    let path = format!("/users/{}", rudo.user.unwrap());
    let change = async |body| assert_eq!(admin.patch(&path, body).await.status, 204);
    change(json!({ "name": "Rudo M." })).await;
    assert_eq!(good().await, [true, true, true]);
    change(json!({ "role": "operator" })).await;
    assert_eq!(good().await, [false, true, true]);
    change(json!({ "disabled": true })).await;
    assert_eq!(good().await, [false, false, false]);
    assert!(of_admin.is_in().await);
    let revoked = times(&test, tenant, "user:admin@shop.example", "token.revoke").await;
    assert_eq!(revoked, 3);
}

/// A token makes no users, no codes and no tokens, and raises nobody; it may close an account.
#[tokio::test]
async fn tokens_let_nobody_in() {
    let test = Test::start().await;
    let tenant = test.tenant("Baobab").await;
    Asker::person(&test, tenant, Role::Admin, "admin@shop.example").await;
    let rudo = add_user(&test, tenant, Role::Viewer, "rudo@shop.example").await;
    let machine = Asker::machine(&test, tenant, Role::Admin, "erp").await;
    let user = json!({ "email": "new@shop.example", "name": "New", "role": "admin" });
    machine.post("/users", user).await.problem(403, "forbidden");
    let token = json!({ "name": "another", "role": "viewer" });
    machine
        .post("/tokens", token)
        .await
        .problem(403, "forbidden");
    let path = format!("/users/{rudo}");
    machine
        .poke(&format!("{path}/code"))
        .await
        .problem(403, "forbidden");
    machine
        .delete(&format!("{path}/second_factor"))
        .await
        .problem(403, "forbidden");
    for change in [
        json!({ "role": "admin" }),
        json!({ "disabled": false }),
        json!({ "disabled": true, "role": "admin" }),
    ] {
        machine.patch(&path, change).await.problem(403, "forbidden");
    }
    assert_eq!(
        machine
            .patch(&path, json!({ "disabled": true }))
            .await
            .status,
        204
    );
}

/// Whoever was in before the second factor was switched on, without it, is out; who has switched it on stays.
#[tokio::test]
async fn the_second_factor_ends_other_sessions() {
    let test = Test::start().await;
    let tenant = test.tenant("Baobab").await;
    let rudo = Asker::person(&test, tenant, Role::Viewer, "rudo@shop.example").await;
    let elsewhere = Asker::sign_in(&test, "rudo@shop.example").await;
    let other = Asker::person(&test, tenant, Role::Viewer, "other@shop.example").await;
    assert!(elsewhere.is_in().await);
    set_up(&test, &rudo).await;
    assert!(!elsewhere.is_in().await);
    assert!(rudo.is_in().await && other.is_in().await);
}

/// A stranger who guesses locks out himself, from wherever he does it; the account waits half a minute at most.
#[tokio::test]
async fn a_stranger_locks_nobody_out() {
    let test = Test::start().await;
    let tenant = test.tenant("Baobab").await;
    let email = "rudo@shop.example";
    add_user(&test, tenant, Role::Viewer, email).await;
    let office: IpAddr = "196.1.1.1".parse().unwrap();
    let try_in = async |from: IpAddr, password: &str| -> Result<SignedIn, Problem> {
        sign_in::sign_in(&test.hq, from, email, password.to_owned(), None).await
    };
    // One network: as long as its pauses are, the office does not wait.
    let stranger: IpAddr = "203.0.113.1".parse().unwrap();
    let mut longest = 0;
    for _ in 0..40 {
        if let Err(problem) = try_in(stranger, "a guess").await
            && let Some(seconds) = problem.retry_after
        {
            longest = longest.max(seconds);
            test.clock.advance(Duration::from_secs(seconds));
        }
    }
    assert!(longest > 600, "{longest}");
    test.clock.advance(Duration::from_secs(30));
    try_in(office, PASSWORD).await.unwrap();
    // Many networks, each with few guesses: the account pauses, and not for long.
    for no in 0..100 {
        let from: IpAddr = format!("198.51.100.{no}").parse().unwrap();
        if let Err(problem) = try_in(from, "a guess").await
            && let Some(seconds) = problem.retry_after
        {
            assert!(seconds <= 31, "{seconds}");
            test.clock.advance(Duration::from_secs(seconds));
        }
    }
    test.clock.advance(Duration::from_secs(30));
    try_in(office, PASSWORD).await.unwrap();
}

/// Of two `Authorization` headers neither counts, whichever of them is good, and not even if both are.
#[tokio::test]
async fn of_two_secrets_neither_counts() {
    let test = Test::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = serve::Settings {
        metrics_token: Some(SecretString::from("t0ken")),
        ..serve::Settings::default()
    };
    let running = serve::start_with(Arc::clone(&test.hq), listener, settings).unwrap();
    let joined = one(&test).await;
    let machine = Asker::machine(&test, joined.tenant, Role::Viewer, "till").await;
    let Shows::Bearer(token) = &machine.shows else {
        panic!("a machine shows a token");
    };
    let secret = joined.line.secret.as_str();
    let doors = [
        (Method::GET, "/sync/past?after=0", secret, 401),
        (Method::POST, "/fdms_worker", WORKER_SECRET, 401),
        (Method::GET, "/metrics", "t0ken", 403),
        (Method::GET, "/session", token.as_str(), 401),
    ];
    for (method, path, good, refused) in doors {
        for (shown, expected) in [
            (vec![good], 200),
            (vec![good, "other"], refused),
            (vec!["other", good], refused),
            (vec![good, good], refused),
        ] {
            let url = format!("http://{}{path}", running.address);
            // As for somebody else: this machine itself may read the metrics without a token.
            let mut request = test
                .http
                .request(method.clone(), url)
                .header("x-forwarded-for", "196.1.1.1");
            for secret in &shown {
                request = request.bearer_auth(secret);
            }
            let answer = send(request).await;
            assert_eq!(answer.status, expected, "{path} {shown:?}: {}", answer.text);
        }
    }
    running.stop().await;
}
