//! The real way to FDMS: addresses and trust from the configuration, identities from the ledger.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use clock::{Clock, SharedClock, Timestamp};

use super::{ConnectError, Connecting, Connector};
use crate::config::FdmsConfig;
use crate::fdms::{ClientSettings, Fdms, HttpFdms, Identity, Limits, TrustRoots};
use crate::keys::Certificate;
use crate::ledger::{Ledger, TillInfo};
use crate::time::{TimeFlag, TimeKeeper};

/// Where FDMS is and whom to trust.
#[derive(Debug, Clone)]
pub struct Access {
    /// The addresses of both environments.
    pub addresses: FdmsConfig,
    /// Certificate authorities that may vouch for them.
    pub roots: TrustRoots,
    /// Judges certificates and measures round trips.
    pub clock: SharedClock,
    /// How long to wait.
    pub limits: Limits,
}

impl Access {
    /// What the configuration says.
    ///
    /// # Errors
    /// The extra certificate authority cannot be read, or the machine trusts nobody; a sentence.
    pub fn from_config(addresses: &FdmsConfig, clock: SharedClock) -> Result<Self, String> {
        let extra = addresses.extra_ca.as_deref().map(read_pem).transpose()?;
        Ok(Self {
            addresses: addresses.clone(),
            roots: TrustRoots::load(extra.as_deref()).map_err(|error| error.to_string())?,
            clock,
            limits: Limits::default(),
        })
    }

    /// A till's client; without an identity it can only be registered.
    ///
    /// # Errors
    /// The address, model or identity cannot be used; a sentence.
    pub fn client(&self, till: &TillInfo, identity: Option<Identity>) -> Result<HttpFdms, String> {
        let settings = ClientSettings {
            environment: self.addresses.url(till.environment).to_owned(),
            device_id: till.device_id.get(),
            model_name: till.model_name.clone(),
            model_version: till.model_version.clone(),
            identity,
            roots: self.roots.clone(),
            clock: Arc::clone(&self.clock),
            limits: self.limits,
            files: self.addresses.file_transport,
        };
        HttpFdms::new(&settings).map_err(|error| error.to_string())
    }
}

fn read_pem(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| {
        format!(
            "fdms.extra_ca: {} cannot be read ({error}); name a file with a CA certificate in PEM",
            path.display()
        )
    })
}

/// The clock that FDMS's certificates are judged by: the trusted time, so that a wall clock set to
/// another year does not cut the till off from the one who could put it right. Only where the machine was
/// off for so long that the wall clock is not believed for receipts, it is the better guess here.
#[derive(Debug)]
struct TrustedClock(Arc<TimeKeeper>);

impl Clock for TrustedClock {
    fn wall(&self) -> Timestamp {
        let trusted = self.0.now();
        match self.0.status().flag {
            Some(TimeFlag::LongAfterReboot) => self.0.clock().wall(),
            _ => trusted,
        }
    }

    fn boot(&self) -> Duration {
        self.0.clock().boot()
    }

    fn boot_id(&self) -> String {
        self.0.clock().boot_id()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.0.clock().sleep(duration)
    }
}

/// The clock that certificates of servers are judged by.
pub(crate) fn trusted_clock(time: Arc<TimeKeeper>) -> SharedClock {
    Arc::new(TrustedClock(time))
}

/// Connects tills with the identities that the ledger keeps.
#[derive(Debug)]
pub struct LedgerConnector {
    ledger: Ledger,
    access: Access,
}

impl LedgerConnector {
    /// A connector for the tills of `ledger`, whose trusted time it goes by.
    #[must_use]
    pub fn new(ledger: Ledger, access: Access) -> Self {
        let clock = trusted_clock(Arc::clone(ledger.time()));
        let access = Access { clock, ..access };
        Self { ledger, access }
    }
}

impl Connector for LedgerConnector {
    fn connect<'a>(&'a self, till: &'a TillInfo) -> Connecting<'a> {
        Box::pin(async move {
            let id = till.id;
            let identity = self.ledger.write(move |core| core.identity(id)).await?;
            let (key, pem) = identity.ok_or(ConnectError::NotRegistered(till.device_id))?;
            let wrong = |why: String| ConnectError::Client {
                device: till.device_id,
                why,
            };
            let identity = Identity {
                certificate: Certificate::from_pem(&pem)
                    .map_err(|error| wrong(error.to_string()))?,
                key: Arc::new(key),
            };
            self.connect_as(till, identity).await
        })
    }

    fn connect_as<'a>(&'a self, till: &'a TillInfo, identity: Identity) -> Connecting<'a> {
        Box::pin(async move {
            let client = self.access.client(till, Some(identity));
            let client = client.map_err(|why| ConnectError::Client {
                device: till.device_id,
                why,
            })?;
            Ok(Arc::new(client) as Arc<dyn Fdms>)
        })
    }
}
