//! The daemon as a process with a printer, ports for old POS software and a logo, as a technician meets them on the
//! command line, and through a power cut.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::support::paper::{black_png, pictures_of};
use crate::support::process::{Http, PATIENCE, Store, free_address};
use crate::support::zfp::{Said, Zfp};

/// A connection of the POS; it tries until the port is open.
fn connect(address: SocketAddr) -> Zfp {
    let mut tries = 0;
    loop {
        match TcpStream::connect(address) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                return Zfp::new(stream);
            }
            Err(error) => {
                tries += 1;
                assert!(tries < 2_000, "{error}");
                std::thread::park_timeout(Duration::from_millis(5));
            }
        }
    }
}

fn run(store: &Store, args: &[&str]) -> String {
    let done = store.fiscald(args);
    assert!(done.status.success(), "{args:?}: {done:?}");
    String::from_utf8(done.stdout).unwrap()
}

/// A receipt that is open in a fiscal printer's software survives a power cut; a close whose answer the power cut took
/// is answered again, and sells once. The command line tells how the ports are, and writes the PDF with the logo.
#[test]
fn a_power_cut_with_a_receipt_open() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::set_up(dir.path(), 4201);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, logo) = (free_address(), dir.path().join("logo.png"));
    black_png(&logo);
    let config = std::fs::read_to_string(dir.path().join("fiscald.toml")).unwrap();
    let config = config.replace("[store]\n", &format!("[store]\nlogo = {logo:?}\n"));
    let pos = |name: &str, listen: SocketAddr, letter: &str| {
        format!(
            "[[pos]]\nname = \"{name}\"\nkind = \"zfp\"\nlisten = \"tcp:{listen}\"\ndevice_id = 4201\nenvironment = \"test\"\n\
             printer = \"front\"\nhs_code = \"19059090\"\n[pos.register]\ncurrency = \"USD\"\ntaxes = {{ A = \"{letter}\" }}\n"
        )
    };
    let config = format!(
        "{config}[[printers]]\nname = \"front\"\nlink = \"file:{}\"\nprofile = {{ name = \"generic-80\", ack = \"one_way\" }}\n{}{}",
        dir.path().join("paper.bin").display(),
        pos("tremol", port, "15.5%"),
        pos("taken", taken.local_addr().unwrap(), "99%"),
    );
    std::fs::write(dir.path().join("fiscald.toml"), config).unwrap();
    store.start();
    let mut zfp = connect(port);
    zfp.must(0x30, "1;0000;1;1;4");
    zfp.must(0x31, "Bread;A;1.20*2");
    store.kill();
    store.start();
    zfp.stream = connect(port).stream;
    zfp.tells(0x72, "", "1;1;2.40;0.00");
    zfp.must(0x31, "Milk;A;1.00");
    zfp.must(0x35, "0;0;\"");
    let close = zfp.frame(0x38, "");
    let closed = zfp.send(&close);
    assert_eq!(closed, Said::Acknowledged("00".to_owned()));
    store.kill();
    store.start();
    zfp.stream = connect(port).stream;
    assert_eq!(zfp.send(&close), closed);
    let mut http = Http::open(store.address).unwrap();
    let sold = http.get("/v1/receipts/1", &store.token).unwrap();
    assert_eq!(
        (sold.status, sold.member("receiptTotal").as_str()),
        (200, "3.4")
    );
    assert_eq!(
        http.get("/v1/receipts/2", &store.token).unwrap().status,
        404
    );

    let told = run(&store, &["port", "status"]);
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].starts_with("tremol  open  zfp"), "{told}");
    assert!(
        lines[1].contains("last: print job 1 at") && lines[1].ends_with("receipt 1"),
        "{told}"
    );
    assert!(lines[2].starts_with("taken  cannot_open  zfp"), "{told}");
    assert!(told.contains("another program listens there"), "{told}");
    assert!(
        told.contains("warning: the tax letter A means \"99%\""),
        "{told}"
    );
    let only = run(&store, &["port", "status", "taken"]);
    assert!(!only.contains("tremol"), "{only}");
    assert!(
        !store
            .fiscald(&["port", "status", "nowhere"])
            .status
            .success()
    );

    let pdf = dir.path().join("receipt.pdf");
    run(
        &store,
        &["receipt", "pdf", "1", "--to", pdf.to_str().unwrap()],
    );
    assert_eq!(pictures_of(&std::fs::read(&pdf).unwrap()), 1, "the logo");
}
