//! What else a running sandbox shows of its devices: files, and security codes that were sent.

use super::RunningSandbox;
use crate::model::{StoredFile, StoredMail};

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
}
