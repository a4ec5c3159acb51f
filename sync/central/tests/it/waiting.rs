//! What waits for FDMS, in the words that people read and search by.

use serde_json::{Value, json};
use sync_wire::Environment;
use sync_wire::entry::{AttemptKind, AttemptOutcome};

use crate::played::{Admin, till};
use crate::support::Test;
use crate::worker::shop;

/// The numbers of the jobs with a status.
async fn jobs(admin: &Admin<'_>, status: &str) -> Vec<Value> {
    let path = format!("/fiscal_submissions/jobs?status={status}");
    let page = admin.get(&path).await;
    let rows = page["rows"].as_array().unwrap().iter();
    rows.map(|row| row["number"].clone()).collect()
}

/// What was sent without an answer is in flight until another attempt says what became of it: in the search, on the page, at
/// its receipt. What waits behind it is counted, and is no job.
#[tokio::test]
async fn what_was_sent_without_an_answer_is_in_flight() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab").await;
    let mut shop = shop(&test, &admin).await;
    let which = till(Environment::Test, 42);
    for cents in [100, 200, 300] {
        shop.sell(which, cents);
    }
    let (number, seq, _) = shop.tills[&which].waiting[0];
    let first = (AttemptKind::SubmitReceipt, seq, number);
    let page = async || admin.text(reqwest::Method::GET, "/queue", None).await.1;
    for (outcome, status, other, tag) in [
        (AttemptOutcome::Later, "pending", "in_flight", ">pending<"),
        (
            AttemptOutcome::Unknown,
            "in_flight",
            "pending",
            ">in flight<",
        ),
        (AttemptOutcome::Later, "pending", "in_flight", ">pending<"),
        (
            AttemptOutcome::Unknown,
            "in_flight",
            "pending",
            ">in flight<",
        ),
    ] {
        shop.attempt(which, first, outcome);
        shop.sync().await;
        shop.sync().await;
        assert_eq!(jobs(&admin, status).await, [1], "{status}");
        assert!(jobs(&admin, other).await.is_empty(), "{other}");
        assert_eq!(jobs(&admin, "open").await, [1]);
        let page = page().await;
        assert!(page.contains(tag), "{tag}: {page}");
        let receipts = admin.get("/fiscal_submissions/receipts?number=1").await;
        assert_eq!(receipts["rows"][0]["fdms"], status, "{receipts}");
    }
    let device = admin.get("/fiscal_devices/test/42").await;
    assert_eq!(device["waiting"], 3, "{device}");
    // Paused with the rest of its queue, and on its way again.
    let why = json!({ "reason": "the auditor is here" });
    admin
        .post("/fiscal_submissions/jobs/test/42/dead_letter", why)
        .await;
    assert_eq!(jobs(&admin, "dead_letter").await, [1]);
    shop.attempt(which, first, AttemptOutcome::Unknown);
    shop.sync().await;
    assert_eq!(jobs(&admin, "in_flight").await, [1]);
    shop.send(which, AttemptOutcome::Accepted);
    shop.sync().await;
    assert_eq!(jobs(&admin, "done").await, [1]);
    assert!(jobs(&admin, "in_flight").await.is_empty());
}
