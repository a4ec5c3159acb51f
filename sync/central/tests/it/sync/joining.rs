//! How a store joins, and joins again.

use reqwest::StatusCode;
use sync_wire::enrol::KnownTill;
use sync_wire::{Environment, TillRef};

use super::shop::{Dice, Shop};
use super::{again, alerts, all, asking, change, count, enrol, joined, new_code, new_store, rows};
use crate::support::Test;

fn till(environment: Environment, device_id: u32, prefix: &str, last: u32) -> KnownTill {
    KnownTill {
        till: TillRef {
            environment,
            device_id,
        },
        invoice_prefix: prefix.to_owned(),
        last_global_no: last,
    }
}

/// A code is good once, for a day, until a newer one is made; what is no code is told apart from one that was used.
#[tokio::test]
async fn a_code_is_good_once() {
    let test = Test::start().await;
    let tenant = test.tenant("Baobab Stores").await;
    let store = new_store(&test, tenant, "Harare 1").await;
    let code = new_code(&test, tenant, store).await;
    let typed = code.to_lowercase().replace('-', " ");
    let joined = enrol(&test, &asking(&typed, vec![])).await.unwrap();
    assert_eq!((joined.store_id, joined.tenant_id), (store, tenant.0));
    assert_eq!(
        (joined.store.as_str(), joined.tenant.as_str()),
        ("Harare 1", "Baobab Stores")
    );
    assert_eq!(joined.past, None);
    let (status, problem) = enrol(&test, &asking(&code, vec![])).await.unwrap_err();
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(problem["detail"].as_str().unwrap().contains("was used at"));
    let (status, _) = enrol(&test, &asking("AAAA-BBBB-CCCC-DDDD-EEEE", vec![]))
        .await
        .unwrap_err();
    assert_eq!(status, StatusCode::UNAUTHORIZED);

    let old = new_code(&test, tenant, store).await;
    let newer = new_code(&test, tenant, store).await;
    let (status, problem) = enrol(&test, &asking(&old, vec![])).await.unwrap_err();
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(problem["detail"].as_str().unwrap().contains("newer one"));
    test.clock
        .advance(std::time::Duration::from_secs(24 * 60 * 60));
    let (status, _) = enrol(&test, &asking(&newer, vec![])).await.unwrap_err();
    assert_eq!(status, StatusCode::CONFLICT);
    let mut broken = asking(&newer, vec![]);
    broken.seal_key = "AAAA".to_owned();
    let (status, problem) = enrol(&test, &broken).await.unwrap_err();
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(problem["pointer"], "/sealKey");
    let told =
        "SELECT count(*) FROM fdms_audit_logs WHERE tenant_id = $1 AND after->>'from' = '127.0.0.1'
        AND (action = 'store.join' OR action = 'store.code_refused' AND actor = 'nobody'
          AND subject = (SELECT 'store ' || store_id FROM stores WHERE tenant_id = $1))";
    assert_eq!(count(&test, tenant, told).await, 1 + 3);
    // Nothing that was shown is kept.
    let audit = rows(
        &test,
        tenant,
        "SELECT coalesce(after::text, '') FROM fdms_audit_logs WHERE tenant_id = $1",
    )
    .await;
    assert!(audit.iter().all(|row| {
        let text: &str = row.get(0);
        !text.contains(&code) && !text.contains(&joined.secret)
    }));
}

/// Tills that a store has already become head office's; whether it was selling is kept from the first time it joins.
#[tokio::test]
async fn tills_that_are_there_come_along() {
    let test = Test::start().await;
    let tenant = test.tenant("Baobab Stores").await;
    let store = new_store(&test, tenant, "Harare 1").await;
    let tills = vec![
        till(Environment::Prod, 7, "A-", 4_711),
        till(Environment::Test, 8, "T-", 0),
    ];
    let first = again(&test, tenant, store, tills).await;
    let mut expected: Vec<_> = first
        .answer
        .tills
        .iter()
        .map(|till| (till.till.device_id, till.invoice_prefix.as_str()))
        .collect();
    expected.sort_unstable();
    assert_eq!(expected, [(7, "A-"), (8, "T-")]);
    again(
        &test,
        tenant,
        store,
        vec![till(Environment::Test, 8, "T-", 99)],
    )
    .await;
    let sql = "SELECT was_selling_test, was_selling_prod FROM stores WHERE tenant_id = $1";
    let row = &rows(&test, tenant, sql).await[0];
    assert_eq!((row.get(0), row.get(1)), (false, true));

    // Another store with the same prefix, and with a till that is not its own.
    let other = new_store(&test, tenant, "Harare 2").await;
    let tills = vec![
        till(Environment::Prod, 7, "A-", 1),
        till(Environment::Prod, 9, "A-", 1),
    ];
    let second = again(&test, tenant, other, tills).await;
    let own: Vec<_> = second
        .answer
        .tills
        .iter()
        .map(|till| till.till.device_id)
        .collect();
    assert_eq!(own, [9]);
    assert_eq!(
        alerts(&test, tenant).await,
        ["prefix_conflict", "till_elsewhere"]
    );
    let owner = "SELECT count(*) FROM fdms_devices WHERE tenant_id = $1 AND device_id = 7
        AND store_id = (SELECT store_id FROM stores s WHERE s.tenant_id = $1 AND s.name = 'Harare 1')";
    assert_eq!(count(&test, tenant, owner).await, 1);
    let wrong = vec![till(Environment::Prod, u32::MAX, "B-", 1)];
    let code = new_code(&test, tenant, other).await;
    let (status, _) = enrol(&test, &asking(&code, wrong)).await.unwrap_err();
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}

/// A store that was retired neither joins nor sends.
#[tokio::test]
async fn a_retired_store_stays_out() {
    let test = Test::start().await;
    let tenant = test.tenant("Baobab Stores").await;
    let joined = joined(&test, tenant, "Harare 1").await;
    let code = new_code(&test, tenant, joined.store).await;
    let mut dice = Dice::new(41);
    let mut shop = Shop::new(141, &mut dice);
    all(&joined.line, &mut shop).await;
    change(
        &test,
        tenant,
        "UPDATE stores SET retired_at = '2026-05-28T06:00:00Z' WHERE tenant_id = $1",
    )
    .await;
    let (status, problem) = joined.line.say(shop.batch(1)).await.unwrap_err();
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(problem["detail"].as_str().unwrap().contains("retired"));
    let (status, _) = enrol(&test, &asking(&code, vec![])).await.unwrap_err();
    assert_eq!(status, StatusCode::CONFLICT);
}
