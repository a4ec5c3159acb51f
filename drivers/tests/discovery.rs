//! What is plugged in, read from a tree of files that looks like sysfs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use drivers::transport::{Found, LinkConfig, SerialFound, UsbPrinter, discover};

/// Writes files below a directory: path and text.
fn write(root: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("it has one")).expect("there is room");
        fs::write(path, text).expect("there is room");
    }
}

/// A USB printer at a place: its serial number and the number of its node, if it has them.
fn printer(root: &Path, port: &str, serial: Option<&str>, lp: Option<&str>) {
    let device = format!("sys/bus/usb/devices/{port}");
    let interface = format!("{device}:1.0");
    write(
        root,
        &[
            (&format!("{device}/idVendor"), "04b8\n"),
            (&format!("{device}/idProduct"), "0e28\n"),
            (&format!("{interface}/bInterfaceClass"), "07\n"),
            (&format!("{interface}/bInterfaceProtocol"), "02\n"),
        ],
    );
    if let Some(serial) = serial {
        write(
            root,
            &[(&format!("{device}/serial"), &format!("{serial}\n"))],
        );
    }
    if let Some(lp) = lp {
        write(
            root,
            &[
                (&format!("{interface}/usbmisc/{lp}/dev"), "180:0\n"),
                (
                    &format!("{interface}/ieee1284_id"),
                    "MFG:EPSON;CMD:ESC/POS, ESCPL2;MDL:TM-T20III;CLS:PRINTER;\n",
                ),
                (&format!("dev/usb/{lp}"), ""),
            ],
        );
    }
}

/// A USB serial adapter at a place, with a name that stays.
fn adapter(root: &Path, port: &str, node: &str, by_id: &str) {
    let device = format!("sys/devices/pci0/usb1/{port}");
    write(
        root,
        &[
            (&format!("{device}/idVendor"), "0403\n"),
            (&format!("{device}/product"), "FT232R USB UART\n"),
            (&format!("{device}/{port}:1.0/{node}/port_number"), "0\n"),
            (&format!("dev/{node}"), ""),
        ],
    );
    let class = root.join("sys/class/tty").join(node);
    fs::create_dir_all(&class).expect("there is room");
    symlink(
        root.join(format!("{device}/{port}:1.0/{node}")),
        class.join("device"),
    )
    .expect("free");
    let names = root.join("dev/serial/by-id");
    fs::create_dir_all(&names).expect("there is room");
    symlink(format!("../../{node}"), names.join(by_id)).expect("free");
}

/// A printer is told by its own words; a port that the machine lacks, a hub and a terminal are not listed.
#[test]
fn what_is_there() {
    let dir = tempfile::tempdir().expect("there is room");
    let root = dir.path();
    printer(root, "1-1.2", Some("J8KF01"), Some("lp3"));
    printer(root, "1-1.4", None, None);
    adapter(root, "1-1.1", "ttyUSB0", "usb-FTDI_A50285BI-if00-port0");
    write(
        root,
        &[
            ("sys/bus/usb/devices/1-0:1.0/bInterfaceClass", "09\n"),
            ("sys/class/tty/ttyS0/type", "4\n"),
            ("sys/class/tty/ttyS1/type", "0\n"),
            ("sys/class/tty/tty1/active", "\n"),
        ],
    );
    let found = discover(root);
    let serial = PathBuf::from("/dev/serial/by-id/usb-FTDI_A50285BI-if00-port0");
    assert_eq!(
        found,
        [
            Found::Usb(UsbPrinter {
                vendor: 0x04b8,
                product: 0x0e28,
                serial: Some("J8KF01".to_owned()),
                serial_shared: false,
                port: "1-1.2".to_owned(),
                two_way: true,
                node: Some("/dev/usb/lp3".to_owned()),
                maker: Some("EPSON".to_owned()),
                model: Some("TM-T20III".to_owned()),
                languages: vec!["ESC/POS".to_owned(), "ESCPL2".to_owned()],
            }),
            Found::Usb(UsbPrinter {
                vendor: 0x04b8,
                product: 0x0e28,
                port: "1-1.4".to_owned(),
                two_way: true,
                maker: Some("Epson".to_owned()),
                model: Some("TM-T20III".to_owned()),
                ..UsbPrinter::default()
            }),
            Found::Serial(SerialFound {
                node: PathBuf::from("/dev/ttyS0"),
                ..SerialFound::default()
            }),
            Found::Serial(SerialFound {
                node: PathBuf::from("/dev/ttyUSB0"),
                by_id: Some(serial),
                adapter: Some("FT232R USB UART".to_owned()),
                port: Some("1-1.1".to_owned()),
            }),
        ]
    );
    let links: Vec<String> = found.iter().map(|one| one.link().to_string()).collect();
    assert_eq!(
        links,
        [
            "usb:serial=J8KF01",
            "usb:port=1-1.4",
            "serial:/dev/ttyS0",
            "serial:/dev/serial/by-id/usb-FTDI_A50285BI-if00-port0",
        ]
    );
    assert!(discover(Path::new("/nowhere")).is_empty());
}

/// A printer is found by its serial number under whatever node it comes back, and by its place if it shares
/// its serial number.
#[test]
fn printers_are_found_again() {
    let dir = tempfile::tempdir().expect("there is room");
    let root = dir.path();
    let open = |name: &str| {
        let link = LinkConfig::parse(name).expect(name);
        link.opener_at(root)
            .open()
            .map(|_| ())
            .map_err(|error| error.to_string())
    };
    let refused = |name: &str, why: &str| {
        let error = open(name).expect_err(name);
        assert!(error.contains(why), "{name}: {error}");
    };
    refused("usb:any", "no USB printer is plugged in");
    printer(root, "1-1.2", Some("J8KF01"), Some("lp0"));
    assert_eq!(open("usb:serial=J8KF01"), Ok(()));
    assert_eq!(open("usb:any"), Ok(()));
    refused(
        "usb:serial=OTHER",
        "there is EPSON TM-T20III (04b8:0e28, serial=J8KF01, port=1-1.2)",
    );

    // It is unplugged, and plugged in at another place: another node.
    fs::remove_dir_all(root.join("sys")).expect("it is there");
    fs::remove_dir_all(root.join("dev")).expect("it is there");
    refused("usb:serial=J8KF01", "no USB printer is plugged in");
    printer(root, "2-1", Some("J8KF01"), Some("lp1"));
    assert_eq!(open("usb:serial=J8KF01"), Ok(()));

    printer(root, "2-2", Some("J8KF01"), Some("lp2"));
    refused("usb:serial=J8KF01", "more than one fits");
    refused("usb:any", "more than one fits");
    assert_eq!(open("usb:port=2-2"), Ok(()));
    let shared = discover(root).into_iter().map(|one| one.link().to_string());
    assert_eq!(shared.collect::<Vec<_>>(), ["usb:port=2-1", "usb:port=2-2"]);
    printer(root, "2-3", Some("NEW"), None);
    refused("usb:serial=NEW", "usblp is not loaded");
}
