//! What else a running sandbox shows of its devices: files, security codes that were sent, stock, and what was sent
//! against the schema.

use std::sync::PoisonError;

use super::RunningSandbox;
use crate::journal::Change;
use crate::model::{StoredFile, StoredMail};
use crate::spec::Good;
use crate::world::DeviceError;

impl RunningSandbox {
    /// The device's files in the order they came. Those whose time has come are processed first.
    #[must_use]
    pub fn files(&self, device_id: u32) -> Vec<StoredFile> {
        self.line.service.world().files(device_id)
    }

    /// The security codes that were sent for users of this device's till, in their order.
    #[must_use]
    pub fn mails(&self, device_id: u32) -> Vec<StoredMail> {
        self.line.service.world().mails(device_id)
    }

    /// What was wrong with requests by the authority's schema, in the order they came, the first thousand
    /// of it: none of a client that keeps to it.
    #[must_use]
    pub fn schema_violations(&self) -> Vec<String> {
        let violations = self.line.schema_violations.lock();
        violations.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All that is in stock at the device's branch, anew.
    ///
    /// # Errors
    /// There is no such device, or a field cannot be.
    pub fn set_stock(&self, device_id: u32, goods: &[Good]) -> Result<(), DeviceError> {
        self.line.change(Change::Stock {
            device: device_id,
            goods: goods.to_vec(),
        })?;
        Ok(())
    }
}
