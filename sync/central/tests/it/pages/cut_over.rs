//! The checklist to the end: the cut-over and the rollback, each by a person who types the company's name.

use super::visit;
use crate::played::Admin;
use crate::runbook::ready_to_cut_over;
use crate::seed;
use crate::support::Test;

/// With everything proved the page offers the cut-over; it is done with the name alone, and taken back by a rollback.
#[tokio::test]
async fn cut_over_and_back() {
    let test = Test::start().await;
    let admin = Admin::of_new(&test, "Baobab Stores").await;
    let mut shop = ready_to_cut_over(&test, &admin).await;
    let email = "manager@baobab.example";
    seed::person(&test, admin.tenant, email).await;
    let environment = async || {
        let profile = admin.get("/fiscal_profile").await;
        (profile["environment"].clone(), profile["enabled"].clone())
    };
    let browser = visit::signed_in(&test, email).await;
    browser.goto("/go-live").await;
    assert_eq!(browser.count("[data-step='cutover.2'].done").await, 1);
    browser.shoot("go-live-ready").await;
    let form = "form[action='/go-live/cut_over']";
    for name in ["Baobab", "Baobab Stores"] {
        assert_eq!(environment().await, ("test".into(), true.into()));
        browser.unfold("Cut over to production").await;
        browser.press(&format!("{form} input[name=enable]")).await;
        browser
            .fill(&format!("{form} input[name=confirm]"), name)
            .await;
        browser.shoot("go-live-confirm").await;
        browser.press(&format!("{form} button")).await;
        browser.find(".note").await;
    }
    browser.has_text(".note.ok", "Cut over to production").await;
    assert_eq!(environment().await, ("prod".into(), true.into()));
    shop.sync().await;
    assert!(!shop.wanted.switches.is_empty());

    browser.unfold("Roll back").await;
    let form = "form[action='/go-live/rollback']";
    browser
        .fill(
            &format!("{form} input[name=reason]"),
            "FDMS refuses the VAT number",
        )
        .await;
    browser
        .fill(&format!("{form} input[name=confirm]"), "Baobab Stores")
        .await;
    browser.press(&format!("{form} button")).await;
    browser.has_text(".note.ok", "Rolled back").await;
    assert_eq!(environment().await.0, "test");
    assert_eq!(browser.count("[data-step='rollback.1'].done").await, 1);
    browser.shoot("go-live-rolled-back").await;
    browser.close().await;
}
