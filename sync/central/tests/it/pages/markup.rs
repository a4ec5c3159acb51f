//! Markup in names is text, on every page.

use fiscal_hq::db::TenantId;

use super::afternoon;
use super::visit;
use crate::seed::believable;

/// Whatever people and stores write shows as they wrote it, and runs nothing.
#[tokio::test]
async fn markup_is_text() {
    let test = afternoon().await;
    let evil = "<img src=x onerror=document.title='taken'><b id=evil>\"'&";
    let shop = believable(&test, evil).await;
    let sql = test.database.connect("postgres").await;
    write_everywhere(&sql, evil, shop.tenant).await;
    let browser = visit::signed_in(&test, &shop.email).await;
    let store = format!("/stores/{}", shop.stores[1]);
    let settings = format!("{store}/settings");
    let paths = [
        "/",
        &store,
        &settings,
        "/tills/prod/24011",
        "/tills/prod/24001/days/61",
        "/receipts",
        "/receipts/prod/24001/3085",
        "/vat?month=2026-05&environment=prod",
        "/queue",
        "/submissions",
        "/credentials",
        "/go-live",
        "/stores",
        "/alarms",
        "/profile",
        "/people",
        "/audit",
    ];
    for path in paths {
        browser.goto(path).await;
        assert_eq!(browser.count("#main h1").await, 1, "{path}");
        assert_eq!(
            browser.count("#evil, img[src=x]").await,
            0,
            "{path} takes markup for markup"
        );
        assert_ne!(
            browser.run("return document.title").await,
            "taken",
            "{path} runs it"
        );
        let shown = browser.run("return document.body.textContent").await;
        assert!(
            shown.as_str().unwrap().contains("<b id=evil>"),
            "{path} does not show it"
        );
    }
    browser.no_errors().await;
    browser.close().await;
}

/// Into every text column that a page shows.
async fn write_everywhere(sql: &tokio_postgres::Client, evil: &str, tenant: TenantId) {
    for (table, columns) in [
        ("stores", "name"),
        (
            "fdms_devices",
            "machine_name serial_no model_name model_version hold_reason parked last_error line",
        ),
        ("fdms_retry_jobs", "reason code"),
        ("commands", "detail issued_by"),
        ("alerts", "detail subject"),
        (
            "fdms_submission_logs",
            "error_message fdms_code operation_id color answer",
        ),
        ("fdms_tenant_credentials", "label created_by"),
        (
            "tenant_fiscal_profiles",
            "legal_name trade_name address reason",
        ),
        ("users", "name"),
        ("store_epochs", "reason"),
        ("store_events", "kind"),
    ] {
        for column in columns.split(' ') {
            // Names of stores differ.
            let value = if table == "stores" {
                "$1 || store_id::text"
            } else {
                "$1"
            };
            let skip = if table == "store_events" {
                "AND kind <> 'config.changed'"
            } else {
                ""
            };
            let text = format!("UPDATE {table} SET {column} = {value} WHERE tenant_id = $2 {skip}");
            sql.execute(&text, &[&evil, &tenant.0]).await.unwrap();
        }
    }
}
