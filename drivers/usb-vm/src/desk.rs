//! A printer on a cable in a machine that others have set up: what they print on it comes to lie in a folder.
//! `scripts/install-test` prints with the installed gateway on it, through its unit, udev's rules and the kernel's `usblp`.

use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use drivers::transport::{Monotonic as _, SystemMonotonic};
use vprinter::PrinterSetup;

use crate::cable::Cable;
use crate::device::Device;

/// Plugs a printer in and prints until it is stopped: sheet N comes to lie as `N.txt` in the folder, whole under that
/// name. The modules must be loaded. An error is what went wrong.
pub(crate) fn print_into(folder: &Path) -> Result<Infallible, String> {
    let clock = SystemMonotonic::default();
    let mut cable = Cable::new()?;
    let mut device = Device::new(PrinterSetup::epson_80(), &mut cable);
    device.plug(clock.now())?;
    let mut told = 0;
    loop {
        device.fetch(clock.now())?;
        device.work(clock.now(), None, usize::MAX)?;
        for sheet in device.printer.sheets().iter().skip(told) {
            told += 1;
            lay(folder, told, &sheet.text())?;
        }
        if let Err(pause) = device.wait(clock.now()) {
            rest(pause);
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "without a cable there is nothing but time that could end a printer's rest"
)]
fn rest(pause: Duration) {
    std::thread::sleep(pause);
}

fn lay(folder: &Path, number: usize, text: &str) -> Result<(), String> {
    let name = folder.join(format!("{number}.txt"));
    let new = folder.join(format!("{number}.new"));
    std::fs::write(&new, text)
        .and_then(|()| std::fs::rename(&new, &name))
        .map_err(|error| format!("{}: {error}", name.display()))
}
