//! What can be changed from the admin port and the library, as one thing that is done, written down
//! and done again.

use clock::Timestamp;
use serde::{Deserialize, Serialize};

use crate::settings::Settings;
use crate::spec::{DeviceChange, DeviceSpec, Good};
use crate::world::{DeviceError, World};

/// A change of the world that no device asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    /// A new device.
    AddDevice(Box<DeviceSpec>),
    /// Other properties of a device and its taxpayer.
    UpdateDevice {
        /// Which.
        device: u32,
        /// What.
        change: Box<DeviceChange>,
    },
    /// A device is removed.
    DeleteDevice(u32),
    /// Its open day is closed as an officer does.
    CloseByHand(u32),
    /// A receipt of its open day is lost.
    LoseReceipt {
        /// Whose.
        device: u32,
        /// Its receiptGlobalNo.
        global_no: i32,
    },
    /// All that is in stock at a device's branch.
    Stock {
        /// Whose branch.
        device: u32,
        /// What.
        goods: Vec<Good>,
    },
    /// All the switches.
    Settings(Box<Settings>),
}

impl Change {
    /// Makes the change; false if there was nothing to change.
    ///
    /// # Errors
    /// There is no such device, or it cannot be so.
    pub(crate) fn apply(self, world: &mut World, now: Timestamp) -> Result<bool, DeviceError> {
        match self {
            Self::AddDevice(spec) => world.add_device(*spec, now)?,
            Self::UpdateDevice { device, change } => world.change_device(device, *change, now)?,
            Self::DeleteDevice(device) => world.delete_device(device)?,
            Self::CloseByHand(device) => {
                return Ok(world.close_by_hand(device, now).unwrap_or(false));
            }
            Self::LoseReceipt { device, global_no } => {
                return Ok(world.lose_receipt(device, global_no).is_some());
            }
            Self::Stock { device, goods } => world.set_stock(device, &goods)?,
            Self::Settings(settings) => world.settings = *settings,
        }
        Ok(true)
    }
}
