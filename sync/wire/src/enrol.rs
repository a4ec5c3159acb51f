//! How a store joins HQ: with a code that is good once. And how one that lost its machine gets its past back.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::TillRef;
use crate::chain::ChainHash;

/// The path of joining, under HQ's address.
pub const PATH: &str = "/sync/enrol";
/// The path of a lost store's entries, in pages: `?after=SEQ`, lines of JSON as they came.
pub const PAST_PATH: &str = "/sync/past";

/// A store asks to join.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Enrol {
    /// [`crate::VERSION`]
    pub protocol: u32,
    /// The one-time code.
    pub code: String,
    /// The store's half of what credentials are sealed with ([`crate::seal`]), Base64.
    pub seal_key: String,
    /// Version of `fiscald`.
    pub version: String,
    /// The tills that are in its ledger already, and whether each has sold.
    pub tills: Vec<KnownTill>,
}

impl std::fmt::Debug for Enrol {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("Enrol");
        shown.field("version", &self.version);
        shown.field("tills", &self.tills).finish_non_exhaustive()
    }
}

/// A till in the ledger of a store that joins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KnownTill {
    /// Which.
    pub till: TillRef,
    /// Its prefix.
    pub invoice_prefix: String,
    /// The last receipt.
    pub last_global_no: u32,
}

/// HQ's answer to a store that has joined.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Enrolled {
    /// The store's name for ever.
    pub store_id: Uuid,
    /// The tenant.
    pub tenant_id: Uuid,
    /// Their names, for people.
    pub tenant: String,
    /// The store's name.
    pub store: String,
    /// The store's own secret: `Authorization: Bearer …` from now on.
    pub secret: String,
    /// The tills that HQ expects in this store, each with its prefix, unique in the tenant.
    pub tills: Vec<ExpectedTill>,
    /// The store's past, where it joins again after its machine was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub past: Option<Past>,
}

impl std::fmt::Debug for Enrolled {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("Enrolled");
        shown.field("store_id", &self.store_id);
        shown.field("tenant_id", &self.tenant_id);
        shown.field("tills", &self.tills);
        shown.field("past", &self.past).finish_non_exhaustive()
    }
}

/// A till that HQ expects in a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExpectedTill {
    /// Which.
    pub till: TillRef,
    /// Its serial number.
    pub serial_no: String,
    /// The prefix of its `invoiceNo`s.
    pub invoice_prefix: String,
    /// The cashier machine that it belongs to.
    pub machine_name: String,
}

/// What HQ has of a store that lost its machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Past {
    /// Its last series.
    pub epoch: Uuid,
    /// The last line that HQ has.
    pub acked: i64,
    /// The hash over all of them.
    pub hash: ChainHash,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Neither the code nor the secret stands in a log; what is no secret does.
    #[test]
    fn secrets_are_not_shown() {
        let enrol = Enrol {
            protocol: 1,
            code: "hush".to_owned(),
            seal_key: "half".to_owned(),
            version: "0.1.0".to_owned(),
            tills: Vec::new(),
        };
        let enrolled = Enrolled {
            store_id: Uuid::from_u128(7),
            tenant_id: Uuid::from_u128(8),
            tenant: "Moyo".to_owned(),
            store: "Avondale".to_owned(),
            secret: "hush".to_owned(),
            tills: Vec::new(),
            past: None,
        };
        let shown = format!("{enrol:?} {enrolled:?}");
        assert!(!shown.contains("hush"), "{shown}");
        for known in ["0.1.0", "000000000007", "000000000008"] {
            assert!(shown.contains(known), "{shown}");
        }
    }
}
