//! The printer on a pty, a TCP port and a Unix socket, and what can befall the link.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use vprinter::{Fault, LinkSetup, PrinterSetup, Rule, VirtualPrinter, When};

const PATIENCE: Duration = Duration::from_secs(20);
const JOB: &[u8] = b"\x1b@one\ntwo\n\x1dVB\x00\x1d(H\x06\x0000abcd";
const CONFIRMED: [u8; 7] = *b"\x37\x22abcd\x00";

fn fast() -> PrinterSetup {
    PrinterSetup {
        speed_mm_per_s: 0,
        ..PrinterSetup::epson_80()
    }
}

fn on_tcp(setup: PrinterSetup) -> VirtualPrinter {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    VirtualPrinter::tcp(setup, LinkSetup::default(), any).unwrap()
}

fn connect(printer: &VirtualPrinter) -> TcpStream {
    let stream = TcpStream::connect(printer.name()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn on_pty(setup: PrinterSetup) -> VirtualPrinter {
    VirtualPrinter::pty(setup, LinkSetup::default()).unwrap()
}

fn open_tty(path: &str, baud: u32) -> File {
    let tty = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut settings = tcgetattr(&tty).unwrap();
    settings.make_raw();
    settings.set_speed(baud).unwrap();
    tcsetattr(&tty, OptionalActions::Now, &settings).unwrap();
    tty
}

fn read<const N: usize>(mut from: impl Read) -> [u8; N] {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
fn over_tcp_it_prints_and_confirms() {
    let printer = on_tcp(PrinterSetup::epson_80());
    let mut host = connect(&printer);
    host.write_all(b"\x10\x04\x01").unwrap();
    assert_eq!(read(&host), [0x12]);
    host.write_all(JOB).unwrap();
    assert_eq!(read(&host), CONFIRMED);
    assert_eq!(printer.sheets()[0].lines(), ["one", "two"]);
}

#[test]
fn over_a_unix_socket_it_prints_and_confirms() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("printer");
    let printer = VirtualPrinter::unix(fast(), LinkSetup::default(), &path).unwrap();
    let mut host = UnixStream::connect(printer.name()).unwrap();
    host.write_all(JOB).unwrap();
    assert_eq!(read(&host), CONFIRMED);
    assert_eq!(printer.sheets()[0].lines(), ["one", "two"]);
    drop(printer);
    assert!(!path.exists());
}

#[test]
fn over_a_pty_it_prints_and_confirms_for_one_host_after_another() {
    let printer = on_pty(fast());
    for count in 1..=3 {
        let mut host = open_tty(&printer.name(), 9600);
        host.write_all(JOB).unwrap();
        assert_eq!(read(&host), CONFIRMED);
        assert_eq!(printer.sheets().len(), count);
    }
}

#[test]
fn at_another_speed_there_is_only_noise() {
    let printer = on_pty(fast());
    let mut host = open_tty(&printer.name(), 19200);
    host.write_all(JOB).unwrap();
    assert!(printer.wait_until(PATIENCE, |p| p.counts().received == JOB.len() as u64));
    assert_eq!(printer.sheets(), []);
    printer.inject(&[0x12]);
    assert_ne!(read(&host), [0x12]);
    // The same host at the right speed: all is well.
    let mut settings = tcgetattr(&host).unwrap();
    settings.set_speed(9600).unwrap();
    tcsetattr(&host, OptionalActions::Now, &settings).unwrap();
    host.write_all(b"\x10\x04\x01").unwrap();
    assert_eq!(read(&host), [0x12]);
}

#[test]
fn one_host_at_a_time() {
    let printer = on_tcp(fast());
    let mut first = connect(&printer);
    let mut second = connect(&printer);
    second.write_all(b"\x10\x04\x04").unwrap();
    first.write_all(b"\x10\x04\x01").unwrap();
    assert_eq!(read(&first), [0x12]);
    assert_eq!(printer.connections(), 1);
    drop(first);
    assert_eq!(read(&second), [0x12]);
    assert_eq!(printer.connections(), 2);
}

#[test]
fn faults_of_the_printer_reach_the_host() {
    let printer = on_tcp(fast());
    let mut host = connect(&printer);
    printer.open_cover();
    host.write_all(b"\x10\x04\x02").unwrap();
    assert_eq!(read(&host), [0x16]);
    printer.set_paper(0);
    printer.close_cover();
    host.write_all(b"\x10\x04\x04").unwrap();
    assert_eq!(read(&host), [0x7E]);
    host.write_all(JOB).unwrap();
    printer.set_paper(80_000);
    assert_eq!(read(&host), CONFIRMED);
}

#[test]
fn a_printer_that_does_not_print_stalls_the_link() {
    let printer = on_pty(fast());
    printer.open_cover();
    let name = printer.name();
    let host = open_tty(&name, 9600);
    rustix::fs::fcntl_setfl(&host, rustix::fs::OFlags::NONBLOCK).unwrap();
    let mut sent = 0;
    loop {
        match (&host).write(&[b'x'; 1000]) {
            Ok(count) => sent += count,
            Err(e) if e.kind() == ErrorKind::WouldBlock && printer.carried().0 >= 4096 => break,
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                assert!(printer.wait_until(PATIENCE, |p| p.buffered() == 4096));
            }
            Err(e) => panic!("{e}"),
        }
    }
    assert!(sent < 100_000, "{sent}");
    assert!(printer.with(|p| p.buffered()) == 4096);
    printer.close_cover();
    assert!(printer.wait_until(PATIENCE, |p| p.counts().received
        == u64::try_from(sent).unwrap()));
}

#[test]
fn the_link_breaks_after_so_many_bytes_from_the_host() {
    let printer = on_tcp(fast());
    printer.cut_after_received(7);
    let mut host = connect(&printer);
    host.write_all(JOB).unwrap();
    // Closed, or reset because some was unread.
    assert!(matches!(host.read(&mut [0; 8]), Ok(0) | Err(_)));
    assert_eq!(printer.with(|p| p.counts().received), 7);
    assert_eq!(printer.with(|p| p.hanging().unwrap().lines()), ["one"]);
    let mut again = connect(&printer);
    again.write_all(b"\x10\x04\x01").unwrap();
    assert_eq!(read(&again), [0x12]);
}

#[test]
fn the_link_breaks_after_so_many_bytes_to_the_host() {
    let printer = on_tcp(fast());
    printer.cut_after_sent(3);
    let mut host = connect(&printer);
    host.write_all(JOB).unwrap();
    let mut all = Vec::new();
    let _reset = host.read_to_end(&mut all);
    assert_eq!(all, CONFIRMED[..3]);
    assert_eq!(printer.sheets().len(), 1);
}

#[test]
fn a_reset_is_seen_as_one() {
    let printer = on_tcp(fast());
    let mut host = connect(&printer);
    host.write_all(b"\x10\x04\x01").unwrap();
    assert_eq!(read(&host), [0x12]);
    printer.reset();
    assert_eq!(
        host.read(&mut [0; 8]).unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
}

#[test]
fn a_half_open_connection_takes_bytes_and_gives_none() {
    let printer = on_tcp(fast());
    let mut host = connect(&printer);
    host.write_all(b"\x10\x04\x01").unwrap();
    assert_eq!(read(&host), [0x12]);
    printer.half_open();
    host.write_all(JOB).unwrap();
    let mut again = connect(&printer);
    again.write_all(b"\x10\x04\x01").unwrap();
    assert_eq!(read(&again), [0x12]);
    host.set_nonblocking(true).unwrap();
    assert_eq!(
        host.read(&mut [0; 8]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    assert_eq!(printer.sheets(), []);
}

#[test]
fn answers_can_be_split_lost_and_forged() {
    let printer = on_tcp(fast());
    printer.one_byte_replies(true);
    let mut host = connect(&printer);
    host.write_all(b"\x1dIC").unwrap();
    // How they were sent is not to be seen at this end: several may be read at once.
    assert_eq!(read(&host), *b"_TM-T20II\x00");
    printer.one_byte_replies(false);
    printer.lose_replies(true);
    host.write_all(JOB).unwrap();
    assert_eq!(printer.wait_for_sheets(1, PATIENCE).len(), 1);
    printer.inject(b"\x37\x22zzzz\x00");
    assert_eq!(read(&host), *b"\x37\x22zzzz\x00");
}

#[test]
fn a_stalled_link_goes_on() {
    let printer = on_tcp(fast());
    printer.stall(true);
    let mut host = connect(&printer);
    host.write_all(JOB).unwrap();
    host.set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    assert_eq!(
        host.read(&mut [0; 8]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    printer.stall(false);
    host.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(read(&host), CONFIRMED);
}

#[test]
fn a_pty_that_is_plugged_in_again_has_another_name_and_a_stable_one() {
    let folder = tempfile::tempdir().unwrap();
    let stable = folder.path().join("printer");
    let link = LinkSetup {
        stable_name: Some(stable.clone()),
        ..LinkSetup::default()
    };
    let printer = VirtualPrinter::pty(fast(), link).unwrap();
    let old = printer.name();
    let mut host = open_tty(&old, 9600);
    printer.replug();
    assert_ne!(printer.name(), old);
    assert!(matches!(host.read(&mut [0; 8]), Ok(0) | Err(_)));
    assert!(host.write_all(b"x").is_err());
    let mut again = open_tty(stable.to_str().unwrap(), 9600);
    again.write_all(JOB).unwrap();
    assert_eq!(read(&again), CONFIRMED);
    printer.unplug();
    assert!(!stable.exists() && printer.name().is_empty());
    assert!(again.write_all(b"x").is_err());
    printer.plug();
    let mut last = open_tty(stable.to_str().unwrap(), 9600);
    last.write_all(b"\x10\x04\x01").unwrap();
    assert_eq!(read(&last), [0x12]);
}

#[test]
fn the_power_takes_the_link_with_it() {
    let printer = on_tcp(fast());
    printer.schedule([Rule::once(When::Byte(9), Fault::PowerCycle)]);
    let mut host = connect(&printer);
    host.write_all(JOB).unwrap();
    assert!(matches!(host.read(&mut [0; 8]), Ok(0) | Err(_)));
    let mut again = connect(&printer);
    again.write_all(JOB).unwrap();
    assert_eq!(read(&again), CONFIRMED);
    let sheets = printer.sheets();
    assert_eq!(sheets.len(), 2);
    assert_eq!(
        (sheets[0].lines(), sheets[0].complete),
        (vec!["one".to_owned()], false)
    );
    assert_eq!((sheets[1].lines().len(), sheets[1].complete), (2, true));
}

#[test]
fn a_serial_link_stays_when_the_power_goes() {
    let link = LinkSetup {
        breaks_with_power: false,
        bytes_per_second: Some(960),
        ..LinkSetup::default()
    };
    let printer = VirtualPrinter::pty(fast(), link).unwrap();
    let mut host = open_tty(&printer.name(), 9600);
    printer.suffer(Fault::PowerOff);
    host.write_all(JOB).unwrap();
    assert!(printer.wait_until(PATIENCE, |p| p.counts().received == JOB.len() as u64));
    printer.suffer(Fault::PowerOn);
    host.write_all(JOB).unwrap();
    assert_eq!(read(&host), CONFIRMED);
    assert_eq!(printer.sheets().len(), 1);
}
