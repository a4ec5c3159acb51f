//! What is plugged in, read from sysfs: USB printers and serial ports.
//!
//! The number of a node (`lp0`, `ttyUSB0`) changes with every plugging; serial number and place do not, so a
//! printer is bound by one of those. A clone often has no serial number, or the one of all its siblings: then
//! the place is what tells two printers apart. Vendor and product never prove a model, and are shown only.

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

use super::config::{LinkConfig, SerialConfig, UsbName};

mod names;

/// A device that may be a printer, or a line to one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A USB printer.
    Usb(UsbPrinter),
    /// A serial port.
    Serial(SerialFound),
}

impl Found {
    /// The name to put into the configuration, as stable as the device allows.
    #[must_use]
    pub fn link(&self) -> LinkConfig {
        match self {
            Self::Usb(printer) => LinkConfig::Usb(match &printer.serial {
                Some(serial) if !printer.serial_shared => UsbName::Serial(serial.clone()),
                _ => UsbName::Port(printer.port.clone()),
            }),
            Self::Serial(serial) => LinkConfig::Serial(SerialConfig::new(
                serial.by_id.as_ref().unwrap_or(&serial.node),
            )),
        }
    }
}

/// A USB device with a printer interface (class 7).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UsbPrinter {
    /// Its vendor's number.
    pub vendor: u16,
    /// Its product's number.
    pub product: u16,
    /// Its serial number, if it has one.
    pub serial: Option<String>,
    /// Another printer has the same serial number, which therefore tells nothing.
    pub serial_shared: bool,
    /// Where it is plugged in, such as `1-1.2`.
    pub port: String,
    /// Whether it answers (interface protocol 2 or 3).
    pub two_way: bool,
    /// Its node, `/dev/usb/lp0`; none if the kernel's printer driver does not hold it.
    pub node: Option<String>,
    /// Who made it, in its own words, else as its vendor is known.
    pub maker: Option<String>,
    /// Which model it is, in its own words, else as the product is often called.
    pub model: Option<String>,
    /// The languages it says it speaks (CMD), such as `ESC/POS`.
    pub languages: Vec<String>,
}

impl Display for UsbPrinter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let maker = self.maker.as_deref().unwrap_or("USB printer");
        write!(f, "{maker}")?;
        if let Some(model) = &self.model {
            write!(f, " {model}")?;
        }
        write!(f, " ({:04x}:{:04x}", self.vendor, self.product)?;
        if let Some(serial) = &self.serial {
            write!(f, ", serial={serial}")?;
        }
        write!(f, ", port={})", self.port)
    }
}

/// A serial port.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SerialFound {
    /// Its node, such as `/dev/ttyUSB0`.
    pub node: PathBuf,
    /// Its name that stays, `/dev/serial/by-id/…`, if it has one.
    pub by_id: Option<PathBuf>,
    /// What the USB adapter calls itself.
    pub adapter: Option<String>,
    /// Where a USB adapter is plugged in.
    pub port: Option<String>,
}

/// What is there, in a steady order: printers by their place, then serial ports by their node. `root` is `/`
/// but in tests. What cannot be read is left out.
#[must_use]
pub fn discover(root: &Path) -> Vec<Found> {
    let mut printers = usb_printers(root);
    let serials: Vec<Option<String>> = printers.iter().map(|one| one.serial.clone()).collect();
    for printer in &mut printers {
        let same = serials.iter().filter(|serial| **serial == printer.serial);
        printer.serial_shared = printer.serial.is_some() && same.count() > 1;
    }
    printers
        .into_iter()
        .map(Found::Usb)
        .chain(serial_ports(root).into_iter().map(Found::Serial))
        .collect()
}

fn usb_printers(root: &Path) -> Vec<UsbPrinter> {
    let devices = root.join("sys/bus/usb/devices");
    entries(&devices)
        .iter()
        .filter_map(|name| {
            // An interface is called after its device: `1-1.2:1.0`.
            let (port, _) = name.split_once(':')?;
            usb_printer(&devices.join(port), &devices.join(name), port)
        })
        .collect()
}

fn usb_printer(device: &Path, interface: &Path, port: &str) -> Option<UsbPrinter> {
    if hex(&interface.join("bInterfaceClass"))? != 7 {
        return None;
    }
    let vendor = hex(&device.join("idVendor"))?;
    let product = hex(&device.join("idProduct"))?;
    let lp = entries(&interface.join("usbmisc"))
        .into_iter()
        .find(|name| name.starts_with("lp"));
    let id = Ieee1284::parse(&text(&interface.join("ieee1284_id")).unwrap_or_default());
    let maker = text(&device.join("manufacturer"));
    let model = text(&device.join("product"));
    Some(UsbPrinter {
        vendor,
        product,
        serial: text(&device.join("serial")),
        serial_shared: false,
        port: port.to_owned(),
        two_way: hex(&interface.join("bInterfaceProtocol")).is_some_and(|protocol| protocol >= 2),
        node: lp.map(|lp| format!("/dev/usb/{lp}")),
        maker: id
            .maker
            .or(maker)
            .or_else(|| names::vendor(vendor).map(str::to_owned)),
        model: id
            .model
            .or(model)
            .or_else(|| names::product(vendor, product).map(str::to_owned)),
        languages: id.languages,
    })
}

/// What a printer says of itself: `MFG:EPSON;CMD:ESC/POS;MDL:TM-T20III;CLS:PRINTER;`.
#[derive(Debug, Default)]
struct Ieee1284 {
    maker: Option<String>,
    model: Option<String>,
    languages: Vec<String>,
}

impl Ieee1284 {
    fn parse(text: &str) -> Self {
        let mut id = Self::default();
        for (key, value) in text.split(';').filter_map(|field| field.split_once(':')) {
            let value = value.trim();
            match key.trim().to_ascii_uppercase().as_str() {
                "MFG" | "MANUFACTURER" if !value.is_empty() => id.maker = Some(value.to_owned()),
                "MDL" | "MODEL" if !value.is_empty() => id.model = Some(value.to_owned()),
                "CMD" | "COMMAND SET" => {
                    let languages = value.split(',').map(str::trim);
                    id.languages = languages
                        .filter(|language| !language.is_empty())
                        .map(str::to_owned)
                        .collect();
                }
                _ => {}
            }
        }
        id
    }
}

fn serial_ports(root: &Path) -> Vec<SerialFound> {
    let by_id = by_id(root);
    let class = root.join("sys/class/tty");
    entries(&class)
        .iter()
        .filter(|name| is_port(&class.join(name), name))
        .map(|name| {
            let device = class.join(name).join("device");
            let usb = usb_parent(&device);
            SerialFound {
                node: PathBuf::from("/dev").join(name),
                by_id: by_id
                    .iter()
                    .find(|(_, node)| node == name)
                    .map(|(path, _)| path.clone()),
                adapter: usb.as_ref().and_then(|usb| text(&usb.join("product"))),
                port: usb
                    .as_ref()
                    .and_then(|usb| usb.file_name())
                    .map(|name| name.to_string_lossy().into_owned()),
            }
        })
        .collect()
}

/// USB adapters and modems, and of the built-in ports those with a chip behind them.
fn is_port(port: &Path, name: &str) -> bool {
    if name.starts_with("ttyUSB") || name.starts_with("ttyACM") {
        return true;
    }
    // Type 0 is a place for a port that the machine does not have.
    name.starts_with("ttyS") && text(&port.join("type")).is_some_and(|kind| kind != "0")
}

/// The USB device above an interface of it: where the vendor's number stands.
fn usb_parent(device: &Path) -> Option<PathBuf> {
    let device = std::fs::canonicalize(device).ok()?;
    device
        .ancestors()
        .take(4)
        .find(|dir| dir.join("idVendor").is_file())
        .map(Path::to_owned)
}

/// The names that stay, and the node that each leads to now.
fn by_id(root: &Path) -> Vec<(PathBuf, String)> {
    let dir = root.join("dev/serial/by-id");
    entries(&dir)
        .into_iter()
        .filter_map(|name| {
            let target = std::fs::read_link(dir.join(&name)).ok()?;
            let node = target.file_name()?.to_string_lossy().into_owned();
            Some((Path::new("/dev/serial/by-id").join(name), node))
        })
        .collect()
}

/// The names in a directory, sorted; none if it cannot be read.
fn entries(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

fn text(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn hex(path: &Path) -> Option<u16> {
    u16::from_str_radix(&text(path)?, 16).ok()
}
