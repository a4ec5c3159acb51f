//! Pauses after failed sign-ins, growing, per account, per account and network, and per network. They are kept in
//! Postgres: it does not help to ask the other instance.
//!
//! The long pause of an account is for the network that has failed: a stranger who guesses locks himself out, and
//! whoever owns the account waits half a minute at most.
//!
//! An attempt is charged before the password is looked at, under a lock, so that a thousand attempts at once
//! are not a thousand guesses. Who gets in has his charge taken back.

use std::net::IpAddr;
use std::time::Duration;

use clock::Timestamp;
use deadpool_postgres::Transaction;
use postgres_types::ToSql;

use super::secret::hash;
use crate::db::{self, TenantId};
use crate::hq::Hq;
use crate::problem::Problem;

/// Failures of an account from one network before it has to wait there.
const FREE_PAIR: i32 = 5;
/// Failures of an account, from wherever, before it has to wait everywhere.
const FREE_ACCOUNT: i32 = 20;
/// Failures from an address before it has to wait: a whole office may be behind one.
const FREE_ADDRESS: i32 = 20;
/// Longest pause of a network.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// Longest pause of an account everywhere: who locks others out by guessing locks them out for no longer than this.
const LONGEST_ACCOUNT: Duration = Duration::from_secs(30);
/// After so long without an attempt, failures are forgotten.
const FORGOTTEN: Duration = Duration::from_secs(24 * 60 * 60);

/// An attempt that has been charged.
#[derive(Debug)]
pub(super) struct Attempt {
    account: Charged,
    /// The account from this network.
    pair: Charged,
    address: Charged,
}

/// What was charged: on whom, and the pause that it began.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Charged {
    key: Vec<u8>,
    until: Timestamp,
}

/// How an attempt that did not fail has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Half way: its charge is taken back, no more.
    HalfWay,
    /// He is in: the account begins anew.
    In,
}

impl Attempt {
    /// Charges an attempt on an account from an address.
    ///
    /// # Errors
    /// `busy` while a pause lasts; nothing is charged then.
    pub(super) async fn charge(hq: &Hq, account: &str, address: IpAddr) -> Result<Self, Problem> {
        let now = hq.now();
        let uncharged = |text: String| Charged {
            key: hash(&text),
            until: now,
        };
        let from = network(address);
        let mut attempt = Self {
            account: uncharged(format!("account:{account}")),
            pair: uncharged(format!("account from:{from} {account}")),
            address: uncharged(format!("address:{from}")),
        };
        let mut keys = [
            (&mut attempt.account, FREE_ACCOUNT, LONGEST_ACCOUNT),
            (&mut attempt.pair, FREE_PAIR, LONGEST),
            (&mut attempt.address, FREE_ADDRESS, LONGEST),
        ];
        // Everybody locks in the same order.
        keys.sort();
        let mut client = hq.db.client().await?;
        let tx = db::tenant(&mut client, TenantId::OPERATOR).await?;
        for (charged, free, longest) in keys {
            charged.until = charge_one(&tx, &charged.key, (free, longest), now).await?;
        }
        tx.commit().await?;
        Ok(attempt)
    }

    /// Takes the charge back.
    ///
    /// # Errors
    /// Postgres is away.
    pub(super) async fn end(self, hq: &Hq, ended: Ended) -> Result<(), Problem> {
        let mut client = hq.db.client().await?;
        let tx = db::tenant(&mut client, TenantId::OPERATOR).await?;
        let give_back = tx
            .prepare_cached(
                "UPDATE sign_in_pauses SET failures = CASE WHEN $3 THEN 0 ELSE greatest(failures - 1, 0) END,
                   until = CASE WHEN $3 OR until = $4 THEN last_at ELSE until END
                 WHERE tenant_id = $1 AND key = $2",
            )
            .await?;
        let operator = TenantId::OPERATOR.0;
        let is_in = ended == Ended::In;
        let mut keys = [
            (&self.account, is_in),
            (&self.pair, is_in),
            (&self.address, false),
        ];
        keys.sort();
        for (charged, anew) in keys {
            // The pause that this attempt began goes with its charge; one that another began stays.
            let values: [&(dyn ToSql + Sync); 4] = [&operator, &charged.key, &anew, &charged.until];
            tx.execute(&give_back, &values).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

/// Removes what has been forgotten; how many there were.
///
/// # Errors
/// Postgres is away.
pub(crate) async fn clear(hq: &Hq) -> Result<u64, Problem> {
    let before = hq.now().saturating_sub(FORGOTTEN).unwrap_or(Timestamp::MIN);
    let mut client = hq.db.client().await?;
    let tx = db::tenant(&mut client, TenantId::OPERATOR).await?;
    // Whoever is at a row just now keeps it.
    let remove = tx
        .prepare_cached(
            "DELETE FROM sign_in_pauses WHERE tenant_id = $1 AND key IN (SELECT key FROM sign_in_pauses
               WHERE tenant_id = $1 AND last_at <= $2 AND until <= $2 LIMIT 10000 FOR UPDATE SKIP LOCKED)",
        )
        .await?;
    let count = tx
        .execute(&remove, &[&TenantId::OPERATOR.0, &before])
        .await?;
    tx.commit().await?;
    Ok(count)
}

async fn charge_one(
    tx: &Transaction<'_>,
    key: &Vec<u8>,
    (free, longest): (i32, Duration),
    now: Timestamp,
) -> Result<Timestamp, Problem> {
    let operator = TenantId::OPERATOR.0;
    // Whatever is there is locked, and stays as it is.
    let read = tx
        .prepare_cached(
            "INSERT INTO sign_in_pauses AS p (tenant_id, key, failures, last_at, until) VALUES ($1, $2, 0, $3, $3)
             ON CONFLICT (tenant_id, key) DO UPDATE SET failures = p.failures RETURNING failures, last_at, until",
        )
        .await?;
    let row = tx.query_one(&read, &[&operator, key, &now]).await?;
    let (failures, last_at, until): (i32, Timestamp, Timestamp) =
        (row.get(0), row.get(1), row.get(2));
    if until > now {
        let left = until.duration_since(now).as_secs();
        return Err(Problem::busy(
            u64::try_from(left).unwrap_or(1).saturating_add(1),
            "too many sign-ins have failed: wait, then try again",
        ));
    }
    let is_forgotten = now.duration_since(last_at)
        >= jiff::SignedDuration::try_from(FORGOTTEN).unwrap_or_default();
    let failures = if is_forgotten {
        1
    } else {
        failures.saturating_add(1)
    };
    let until = now
        .saturating_add(pause(failures, free).min(longest))
        .unwrap_or(now);
    let write = tx
        .prepare_cached(
            "UPDATE sign_in_pauses SET failures = $3, last_at = $4, until = $5 WHERE tenant_id = $1 AND key = $2",
        )
        .await?;
    tx.execute(&write, &[&operator, key, &failures, &now, &until])
        .await?;
    Ok(until)
}

/// How long to wait after so many failures: doubled each time.
fn pause(failures: i32, free: i32) -> Duration {
    let Ok(beyond) = u32::try_from(failures - free) else {
        return Duration::ZERO;
    };
    let seconds = 1_u64.checked_shl(beyond).unwrap_or(u64::MAX);
    Duration::from_secs(seconds).min(LONGEST)
}

/// Whom an address stands for: in IPv6 a customer has a whole network.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(four) => IpAddr::V4(four),
        IpAddr::V6(six) => {
            let network = u128::from(six) & !u128::from(u64::MAX);
            IpAddr::V6(network.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing at first, then doubled each time up to a limit, whatever the count.
    #[test]
    fn pauses_grow() {
        let seconds = |failures| pause(failures, 5).as_secs();
        assert_eq!([seconds(1), seconds(4)], [0, 0]);
        assert_eq!([seconds(5), seconds(6), seconds(7)], [1, 2, 4]);
        assert_eq!([seconds(15), seconds(70), seconds(i32::MAX)], [900; 3]);
    }

    /// An IPv6 customer has one pause for all his addresses, an IPv4 one for each; mapped ones are IPv4.
    #[test]
    fn networks() {
        let of = |text: &str| network(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("196.1.2.3"), "196.1.2.3");
        assert_eq!(of("::ffff:196.1.2.3"), "196.1.2.3");
    }
}
