//! How long a fiscal day may be open: the authority says so in a till's configuration.

use deadpool_postgres::Transaction;
use fiscal::json::Value;
use sync_wire::TillRef;
use sync_wire::entry::ConfigChanged;

use super::input::device;
use crate::db::TenantId;
use crate::problem::Problem;

/// Hours, where no configuration is known: a day.
const USUAL: i64 = 24;

/// `taxPayerDayMaxHrs` of the till's newest configuration, in hours.
///
/// # Errors
/// Postgres is away.
pub async fn longest(
    tx: &Transaction<'_>,
    tenant: TenantId,
    till: TillRef,
) -> Result<i64, Problem> {
    let select = tx
        .prepare_cached(
            "SELECT e.body FROM store_events e JOIN fdms_devices d USING (tenant_id, environment, device_id, store_id)
             WHERE e.tenant_id = $1 AND e.environment = $2 AND e.device_id = $3 AND e.kind = 'config.changed'
             ORDER BY e.epoch_no DESC, e.seq DESC LIMIT 1",
        )
        .await?;
    let row = tx
        .query_opt(
            &select,
            &[&tenant.0, &till.environment.as_str(), &device(till)?],
        )
        .await?;
    let hours = row.and_then(|row| hours(row.get(0)));
    Ok(hours.unwrap_or(USUAL))
}

fn hours(body: &str) -> Option<i64> {
    let changed: ConfigChanged = serde_json::from_str(body).ok()?;
    let config = Value::parse(changed.config.as_bytes()).ok()?;
    match config.get("taxPayerDayMaxHrs")? {
        Value::Number(text) => text.parse().ok().filter(|hours| *hours > 0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::hours;

    /// Read from the answer as received; what is no number of hours is none.
    #[test]
    fn from_the_configuration() {
        let body = |config: &str| serde_json::json!({ "config": config }).to_string();
        assert_eq!(hours(&body(r#"{"taxPayerDayMaxHrs":20}"#)), Some(20));
        for bad in [
            r#"{"taxPayerDayMaxHrs":0}"#,
            "{}",
            r#"{"taxPayerDayMaxHrs":"x"}"#,
            "x",
        ] {
            assert_eq!(hours(&body(bad)), None, "{bad}");
        }
    }
}
