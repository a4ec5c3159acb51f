//! The schema: made once, refused when tampered with; no tenant sees another's rows, whatever is asked.

use fiscal_hq::db::{APP_ROLE, Address, Limits, NotReady};
use fiscal_hq::migrate::{self, SchemaError};

use crate::support::{Database, OWNER, Test, start};

/// A second migration changes nothing; the service is ready.
#[tokio::test]
async fn migrated_once() {
    let database = Database::create_empty().await;
    let mut owner = database.connect(OWNER).await;
    let before = database.pool().check().await;
    assert!(
        matches!(
            before,
            Err(NotReady::Schema(SchemaError::Older { no: 1, .. }))
        ),
        "{before:?}"
    );
    let steps = migrate::migrate(&mut owner, start()).await.unwrap();
    assert_eq!(steps.len(), migrate::STEPS.len());
    assert!(
        migrate::migrate(&mut owner, start())
            .await
            .unwrap()
            .is_empty()
    );
    database.pool().check().await.unwrap();
}

/// A step that was done with another text stops the service and the migration, before anything is changed.
#[tokio::test]
async fn a_step_that_was_tampered_with_is_refused() {
    let test = Test::start().await;
    let mut owner = test.database.connect(OWNER).await;
    owner
        .batch_execute("UPDATE schema_migrations SET sha256 = '\\x00' WHERE no = 2")
        .await
        .unwrap();
    let refused = migrate::migrate(&mut owner, start()).await;
    assert!(
        matches!(refused, Err(SchemaError::Tampered { no: 2, .. })),
        "{refused:?}"
    );
    let not_ready = test.hq.db.check().await.unwrap_err();
    assert!(!not_ready.may_pass());
    assert!(
        not_ready.to_string().contains("tampered with"),
        "{not_ready}"
    );
}

/// A database that a newer program has migrated is left alone.
#[tokio::test]
async fn a_newer_database_is_refused() {
    let test = Test::start().await;
    let mut owner = test.database.connect(OWNER).await;
    owner
        .batch_execute("INSERT INTO schema_migrations VALUES (999, 'later', '\\x00', now())")
        .await
        .unwrap();
    let refused = migrate::migrate(&mut owner, start()).await;
    assert!(
        matches!(refused, Err(SchemaError::Newer { no: 999, .. })),
        "{refused:?}"
    );
}

/// The owner and a superuser could switch row-level security off: the service does not serve as them.
#[tokio::test]
async fn only_the_harmless_role_may_serve() {
    let database = Database::create().await;
    database.pool().check().await.unwrap();
    for (role, why) in [("postgres", "is a superuser"), (OWNER, "may make roles")] {
        let address = Address::parse(&database.url(role)).unwrap();
        let refused = address.pool(Limits::default()).unwrap().client().await;
        let said = refused.map(|_| ()).unwrap_err().to_string();
        assert!(said.contains(why) && said.contains(APP_ROLE), "{said}");
    }
}
