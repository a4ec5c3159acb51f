//! The service as a whole: on its socket, with its database going and coming.

use clock::Clock as _;

use crate::support::Test;

/// Two instances on one database are one service; a path that is not there is told so.
#[tokio::test]
async fn two_instances_are_one() {
    let first = Test::start().await;
    let second = first.second().await;
    let tenant = first.tenant("Baobab Stores").await;
    let seen = fiscal_hq::tenants::all(&second.hq.db).await.unwrap();
    assert_eq!(seen, [(tenant, "Baobab Stores".to_owned())]);
    assert_eq!(second.hq.now(), first.clock.wall());
    let answer = second
        .http
        .get(second.url("/nowhere"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 404);
}
