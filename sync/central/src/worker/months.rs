//! The months of the submission log: those to come are made ahead, and those of what waits in the default partition, because its
//! store has joined late or the service was away, are made of it.

use deadpool_postgres::Client;
use jiff::civil::Date;

use crate::db::{self, TenantId};
use crate::hq::Hq;
use crate::migrate::MONTHS_AHEAD;
use crate::problem::Problem;

/// Rows that a transaction copies at most.
const ROWS: i32 = 5_000;
/// Transactions of one turn at most: the next turn goes on.
const STEPS: u32 = 100;

/// Makes the partitions of this month and the next ones, and those of what waits for one; how many were made.
///
/// # Errors
/// Postgres is away. A month of what waits that cannot be made now is tried again by the next turn; the log says why.
pub async fn partitions(hq: &Hq) -> Result<i32, Problem> {
    let mut client = hq.db.client().await?;
    let today = hq.now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let tx = db::tenant(&mut client, TenantId::OPERATOR).await?;
    let make = tx
        .prepare_cached("SELECT hq_make_partitions($1, $2)")
        .await?;
    let made: i32 = tx.query_one(&make, &[&today, &MONTHS_AHEAD]).await?.get(0);
    tx.commit().await?;
    let moved = moved(&mut client, today).await.unwrap_or_else(|problem| {
        tracing::error!(detail = %problem.detail, "what waits in the default partition could not be moved");
        0
    });
    Ok(made.saturating_add(moved))
}

/// Moves what waits to partitions of its months, in small transactions; how many were made.
async fn moved(client: &mut Client, today: Date) -> Result<i32, Problem> {
    let months: Vec<Date> = {
        let tx = db::tenant(client, TenantId::OPERATOR).await?;
        let find = tx
            .prepare_cached("SELECT * FROM hq_waiting_months($1)")
            .await?;
        let rows = tx.query(&find, &[&today]).await?;
        rows.iter().map(|row| row.get(0)).collect()
    };
    let mut months = months.into_iter();
    let mut month = months.next();
    let mut made = 0;
    for _ in 0..STEPS {
        let Some(of) = month else { break };
        let tx = db::tenant(client, TenantId::OPERATOR).await?;
        let go_on = tx.prepare_cached("SELECT hq_move_month($1, $2)").await?;
        let is_done: Option<bool> = tx.query_one(&go_on, &[&of, &ROWS]).await?.get(0);
        tx.commit().await?;
        match is_done {
            Some(true) => {
                made += 1;
                month = months.next();
            }
            Some(false) => {}
            // Another turn is at it.
            None => break,
        }
    }
    Ok(made)
}
