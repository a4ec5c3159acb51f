//! The machine around us: file systems, modules of the kernel, the serial port that is read outside, the switch.

use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::path::Path;
use std::time::Duration;

use rustix::mount::{MountFlags, mount};
use rustix::system::{RebootCommand, finit_module, reboot};

/// The modules, in the order in which they need each other. One that is not there is built into the kernel.
const MODULES: [&str; 8] = [
    "usb-common",
    "usbcore",
    "udc-core",
    "configfs",
    "libcomposite",
    "usb_f_printer",
    "dummy_hcd",
    "usblp",
];

/// Makes the machine one in which USB works, and gives the serial port that is read outside.
pub(crate) fn set_up() -> Result<File, String> {
    file_system("proc", "/proc")?;
    file_system("sysfs", "/sys")?;
    file_system("devtmpfs", "/dev")?;
    for name in MODULES {
        load(name)?;
    }
    file_system("configfs", "/sys/kernel/config")?;
    let port = "/dev/ttyS0";
    let opened = OpenOptions::new().write(true).open(port);
    opened.map_err(|error| format!("{port}: {error}"))
}

/// The kernel's version.
pub(crate) fn kernel() -> String {
    rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned()
}

/// The machine ends; if it cannot, the first process does, which comes to the same.
pub(crate) fn switch_off() {
    rustix::fs::sync();
    if let Err(error) = reboot(RebootCommand::PowerOff) {
        eprintln!("usb-vm: the machine cannot be switched off: {error}");
    }
}

/// The thread that asks, by its directory below `/proc`.
pub(crate) fn this_thread() -> Result<String, String> {
    let path = std::fs::read_link("/proc/thread-self");
    path.map(|path| path.to_string_lossy().into_owned())
        .map_err(|error| format!("/proc/thread-self: {error}"))
}

/// How long a thread has been on the processor.
pub(crate) fn worked(thread: &str) -> Result<Duration, String> {
    let path = format!("/proc/{thread}/schedstat");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let nanos = text.split_whitespace().next().and_then(|n| n.parse().ok());
    nanos
        .map(Duration::from_nanos)
        .ok_or_else(|| format!("{path}: {text}"))
}

fn file_system(kind: &str, at: &str) -> Result<(), String> {
    if !Path::new(at).is_dir() {
        std::fs::create_dir_all(at).map_err(|error| format!("{at}: {error}"))?;
    }
    let none: Option<&CStr> = None;
    mount(kind, at, kind, MountFlags::empty(), none).map_err(|error| format!("{at}: {error}"))
}

fn load(name: &str) -> Result<(), String> {
    let path = format!("/modules/{name}.ko");
    if !Path::new(&path).exists() {
        return Ok(());
    }
    let file = File::open(&path).map_err(|error| format!("{path}: {error}"))?;
    finit_module(&file, c"", 0).map_err(|error| format!("{path} cannot be loaded: {error}"))
}
