//! The service as a whole: on its socket, with its database going and coming.

use clock::Clock as _;

use crate::support::Test;

/// Two instances on one database are one service; a path that is not there is told so.
#[tokio::test]
async fn two_instances_are_one() {
    let first = Test::start().await;
    let second = first.second().await;
    let tenant = first.tenant("Baobab Stores").await;
    let mut client = second.hq.db.client().await.unwrap();
    let seen = fiscal_hq::access::tenants::list(&mut client).await.unwrap();
    assert_eq!(seen[0].tenant_id, tenant.0);
    assert_eq!(seen[0].name, "Baobab Stores");
    assert_eq!(second.hq.now(), first.clock.wall());
    let answer = second
        .http
        .get(second.url("/nowhere"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 404);
}
