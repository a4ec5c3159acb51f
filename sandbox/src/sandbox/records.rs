//! What else a running sandbox shows of its devices: files.

use super::RunningSandbox;
use crate::model::StoredFile;

impl RunningSandbox {
    /// The device's files in the order they came. Those whose time has come are processed first.
    #[must_use]
    pub fn files(&self, device_id: u32) -> Vec<StoredFile> {
        self.line.service.world().files(device_id)
    }
}
