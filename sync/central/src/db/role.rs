//! The role as which the service connects may no more than it should: row-level security is worth nothing to a
//! superuser, to who may bypass it, and to who owns the tables and may switch it off.

use tokio_postgres::Client;

/// Why the service does not serve as this role.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    /// It could reach past row-level security.
    #[error(
        "the role {role} {why}, so one tenant's rows would not be safe from another: put the role fiscal_hq_app in DATABASE_URL (`fiscal-hq migrate` makes it), and use the owner for `fiscal-hq migrate` alone"
    )]
    TooMuch {
        /// The role in `DATABASE_URL`.
        role: String,
        /// What it may that it must not.
        why: &'static str,
    },
    /// Postgres does not answer.
    #[error("the database says: {}", super::say(.0))]
    Database(#[from] tokio_postgres::Error),
}

/// Looks at the role of this connection, and at all that it may become with SET ROLE.
pub(super) async fn check(client: &Client) -> Result<(), RoleError> {
    let row = client
        .query_one(
            "SELECT current_user::text,
               (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
               (SELECT rolbypassrls FROM pg_roles WHERE rolname = current_user),
               EXISTS (SELECT FROM pg_roles WHERE (rolsuper OR rolbypassrls OR rolcreaterole)
                 AND pg_has_role(current_user, oid, 'MEMBER')),
               EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE n.nspname = 'public' AND pg_has_role(current_user, c.relowner, 'MEMBER'))",
            &[],
        )
        .await?;
    let role = row.try_get(0)?;
    let found = [
        (1, "is a superuser"),
        (2, "bypasses row-level security"),
        (
            3,
            "may make roles, or become one that bypasses row-level security",
        ),
        (4, "owns tables of head office, or may become their owner"),
    ];
    for (column, why) in found {
        if row.try_get::<_, bool>(column)? {
            return Err(RoleError::TooMuch { role, why });
        }
    }
    Ok(())
}
