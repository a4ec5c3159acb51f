//! Links of all kinds against real sockets, files and pseudo terminals.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use drivers::transport::{
    Acceptor, Link, LinkConfig, LinkError, Stop, SystemMonotonic, TcpAcceptor, UnixAcceptor,
    probe_serial,
};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(10);

fn open(name: &str) -> Result<Box<dyn Link>, LinkError> {
    LinkConfig::parse(name).expect(name).opener().open()
}

/// A pseudo terminal: the far end, and the name of the near one.
fn terminal() -> (OwnedFd, PathBuf) {
    let far = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal is there");
    grantpt(&far).expect("it is ours");
    unlockpt(&far).expect("it can be opened");
    let name = ptsname(&far, Vec::new()).expect("it has a name");
    (far, PathBuf::from(name.into_string().expect("in ASCII")))
}

fn read_some(link: &mut dyn Link) -> Vec<u8> {
    let mut buffer = [0; 64];
    let count = link.read(&mut buffer, LONG).expect("the link lives");
    buffer[..count].to_vec()
}

/// Reads until the link is lost; the error.
fn loss(link: &mut dyn Link) -> LinkError {
    let mut buffer = [0; 64];
    for _ in 0..100 {
        if let Err(error) = link.read(&mut buffer, LONG) {
            return error;
        }
    }
    panic!("the loss is never seen");
}

/// Bytes go both ways over TCP, nothing is waited for longer than told, and the end is a loss.
#[test]
fn tcp() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let name = format!("tcp:{}", listener.local_addr().expect("it has one"));
    let mut link = open(&name).expect("somebody listens");
    let (mut peer, _) = listener.accept().expect("we connected");
    assert_eq!(link.write(b"paper", LONG), Ok(5));
    let mut got = [0; 5];
    peer.read_exact(&mut got).expect("it comes");
    assert_eq!(&got, b"paper");
    assert_eq!(link.read(&mut [0; 8], SHORT), Ok(0));
    peer.write_all(&[0x12]).expect("it goes");
    assert_eq!(read_some(link.as_mut()), [0x12]);
    drop(peer);
    assert!(matches!(loss(link.as_mut()), LinkError::Lost { .. }));
    drop(listener);
    let refused = open(&name).map(|_| ()).expect_err("nobody listens");
    assert!(refused.to_string().contains("switched on"), "{refused}");
}

/// A reader that reads nothing stops a write, but not us.
#[test]
fn a_stalled_reader_blocks_nobody() {
    let dir = tempfile::tempdir().expect("there is room");
    let path = dir.path().join("printer.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("it is free");
    let mut link = open(&format!("unix:{}", path.display())).expect("somebody listens");
    let (peer, _) = listener.accept().expect("we connected");
    let mut taken = 0;
    loop {
        match link.write(&[0; 4096], SHORT).expect("the link lives") {
            0 => break,
            count => taken += count,
        }
    }
    assert!(taken > 0);
    drop(peer);
    let lost = link.write(&[0; 4096], SHORT).expect_err("it is gone");
    assert!(matches!(lost, LinkError::Lost { .. }), "{lost}");
}

/// A file is appended to and never answers.
#[test]
fn file() {
    let dir = tempfile::tempdir().expect("there is room");
    let path = dir.path().join("paper");
    for text in ["one", "two"] {
        let mut link = open(&format!("file:{}", path.display())).expect("it can be made");
        assert_eq!(link.write(text.as_bytes(), LONG), Ok(3));
        assert_eq!(link.read(&mut [0; 8], SHORT), Ok(0));
    }
    assert_eq!(std::fs::read(&path).expect("it is there"), b"onetwo");
    let error = open("file:/nowhere/at/all")
        .map(|_| ())
        .expect_err("no such place");
    assert!(error.to_string().contains("not there"), "{error}");
}

/// A serial port passes all bytes both ways, is ours alone, and its loss is noticed.
#[test]
fn serial() {
    for flow in ["none", "rtscts", "dtrdsr"] {
        let (far, path) = terminal();
        let name = format!("serial:{}?baud=19200&flow={flow}", path.display());
        let mut link = open(&name).expect("it is there");
        let second = open(&name).map(|_| ()).expect_err("it is in use");
        assert!(second.to_string().contains("in use"), "{second}");

        let all: Vec<u8> = (0..=255).collect();
        let mut sent = 0;
        while sent < all.len() {
            let count = link.write(&all[sent..], LONG).expect("the link lives");
            assert!(count <= 64 || flow != "dtrdsr");
            sent += count;
        }
        let mut got = vec![0; 256];
        let mut have = 0;
        while have < got.len() {
            have += rustix::io::read(&far, &mut got[have..]).expect("it comes");
        }
        assert_eq!(got, all);
        rustix::io::write(&far, &[0x16, 0x11]).expect("it goes");
        let mut back = Vec::new();
        while back.len() < 2 {
            back.extend(read_some(link.as_mut()));
        }
        assert_eq!(back, [0x16, 0x11]);

        drop(far);
        assert!(matches!(loss(link.as_mut()), LinkError::Lost { .. }));
        drop(link);
        let gone = open(&name).map(|_| ()).expect_err("it is unplugged");
        assert!(matches!(gone, LinkError::Open { .. }));
    }
}

/// The port's settings reach the system, as far as a pseudo terminal keeps them: it always has eight bits and
/// no parity.
#[test]
fn serial_settings() {
    let (far, path) = terminal();
    let name = format!("serial:{}?baud=115200&stop=2", path.display());
    let _link = open(&name).expect("it is there");
    let set = rustix::termios::tcgetattr(&far).expect("it can be asked");
    assert_eq!(set.output_speed(), 115_200);
    let modes = set.control_modes;
    use rustix::termios::ControlModes as C;
    assert!(modes.contains(C::CSTOPB | C::CREAD | C::CLOCAL));
    assert!(!modes.contains(C::CRTSCTS));
}

/// The probe finds the speed at which a printer answers with its status, and goes no further.
#[test]
fn probe_finds_the_speed() {
    let (far, path) = terminal();
    let printer = std::thread::spawn(move || {
        let mut buffer = [0; 16];
        // It answers rightly at 38400, and with rubbish at other speeds; it ends with its line.
        for _ in 0..3 {
            let mut asked = 0;
            while asked < 3 {
                // While nobody has the near end open, there is an error to read.
                match rustix::io::read(&far, &mut buffer) {
                    Ok(count) => asked += count,
                    Err(_) => std::thread::yield_now(),
                }
            }
            let speed = rustix::termios::tcgetattr(&far)
                .expect("asked")
                .output_speed();
            let answer: &[u8] = if speed == 38_400 {
                &[0x16]
            } else {
                &[0x80, 0xfe]
            };
            rustix::io::write(&far, answer).expect("it goes");
        }
        far
    });
    let serial = match LinkConfig::parse(&format!("serial:{}", path.display())) {
        Ok(LinkConfig::Serial(serial)) => serial,
        other => panic!("{other:?}"),
    };
    let time = SystemMonotonic::new();
    let answers = probe_serial(&serial, &[9600, 19_200, 38_400, 115_200], LONG, &time);
    let speeds: Vec<u32> = answers.iter().map(|answer| answer.speed).collect();
    assert_eq!(speeds, [9600, 19_200, 38_400]);
    assert_eq!(answers[0].received, Ok(vec![0x80, 0xfe]));
    assert!(!answers[1].is_printer() && answers[2].is_printer());
    drop(printer.join().expect("it worked"));
}

/// A POS after the other is let in; the signal to stop ends the wait.
#[test]
fn pos_software_connects() {
    let dir = tempfile::tempdir().expect("there is room");
    let path = dir.path().join("pos.sock");
    let stop = Stop::new();
    let mut unix = UnixAcceptor::bind(&path).expect("it is free");
    let mut tcp = TcpAcceptor::bind("127.0.0.1:0").expect("a port is free");
    for _ in 0..2 {
        let mut pos = std::net::TcpStream::connect(tcp.address()).expect("we listen");
        pos.write_all(b"sale").expect("it goes");
        let mut link = tcp
            .accept(&stop)
            .expect("it works")
            .expect("a POS is there");
        assert_eq!(read_some(link.as_mut()), b"sale");
        let mut pos = std::os::unix::net::UnixStream::connect(&path).expect("we listen");
        pos.write_all(b"sale").expect("it goes");
        let mut link = unix
            .accept(&stop)
            .expect("it works")
            .expect("a POS is there");
        assert_eq!(read_some(link.as_mut()), b"sale");
    }
    let waiting = std::thread::spawn({
        let stop = stop.clone();
        move || tcp.accept(&stop).map(|link| link.is_none())
    });
    stop.set();
    assert_eq!(waiting.join().expect("it ends"), Ok(true));
    assert!(matches!(unix.accept(&stop), Ok(None)));
    assert!(UnixAcceptor::bind(&path).is_err(), "it is taken");
    // A socket that nobody listens at any more is replaced.
    drop(unix);
    UnixAcceptor::bind(&path).expect("it is left over");
}

/// A serial port is handed out when it is there; when it is not, that is said, and the stop signal ends the
/// pause before the next try.
#[test]
fn pos_on_a_serial_port() {
    let (far, path) = terminal();
    let stop = Stop::new();
    let link = LinkConfig::parse(&format!("serial:{}", path.display())).expect("a name");
    let mut port = link.acceptor(None).expect("it is a serial port");
    let mut pos = port.accept(&stop).expect("it opens").expect("it is there");
    rustix::io::write(&far, b"\x011\x05").expect("it goes");
    assert_eq!(read_some(pos.as_mut()), b"\x011\x05");
    drop((far, pos));
    assert!(port.accept(&stop).is_err(), "it is unplugged");
    stop.set();
    assert!(matches!(port.accept(&stop), Ok(None)));
    let usb = LinkConfig::parse("usb:any").expect("a name");
    assert!(usb.acceptor(None).is_err());
}
