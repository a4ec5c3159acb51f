//! What a store's batch is audited for, kept until the end of its transaction: the end of the audit is what is locked
//! last (docs/HQ.md, Locks).

use clock::Timestamp;
use deadpool_postgres::Transaction;
use serde_json::Value;

use crate::audit::{self, Deed};
use crate::db::{DbError, TenantId};

/// One of them.
#[derive(Debug)]
struct Done {
    action: String,
    subject: String,
    after: Value,
}

/// What somebody has done, in its order.
#[derive(Debug)]
pub(super) struct Deeds {
    actor: String,
    done: Vec<Done>,
}

impl Deeds {
    /// Nothing so far. The actor is as in [`Deed::actor`].
    pub(super) const fn of(actor: String) -> Self {
        Self {
            actor,
            done: Vec::new(),
        }
    }

    /// Who.
    pub(super) fn actor(&self) -> &str {
        &self.actor
    }

    /// One more: what was done, to what, and how that is now; never a secret.
    pub(super) fn note(&mut self, action: impl Into<String>, subject: String, after: Value) {
        self.done.push(Done {
            action: action.into(),
            subject,
            after,
        });
    }

    /// Writes them into the audit. Nothing else is locked after this.
    pub(super) async fn write(
        self,
        tx: &Transaction<'_>,
        tenant: TenantId,
        now: Timestamp,
    ) -> Result<(), DbError> {
        for done in self.done {
            let deed = Deed {
                actor: &self.actor,
                action: &done.action,
                subject: &done.subject,
                before: None,
                after: Some(done.after),
            };
            audit::record(tx, tenant, now, &deed).await?;
        }
        Ok(())
    }
}
