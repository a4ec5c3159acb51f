//! A printer that is hostile: it floods, and its answers mean whatever it likes. It holds up no sale, learns nothing but
//! the papers that it is to print, and what it never confirmed is not taken for printed.

use std::io::Write as _;
use std::net::{Shutdown, TcpListener};

use fiscald::api::schema;

use crate::support::api::{Shop, get};
use crate::support::printer::front;

/// A printer at a port of its own that sends these bytes for as long as somebody listens, and reads nothing.
fn flooding(piece: &'static [u8]) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let flood = piece.repeat(64 * 1024 / piece.len());
        while let Ok((mut stream, _)) = listener.accept() {
            while stream.write_all(&flood).is_ok() {}
            let _ = stream.shutdown(Shutdown::Both);
        }
    });
    address
}

/// Floods of noise, of states and of other papers' confirmations: sales are answered all the while, so is what asks about
/// the printer, and no paper counts as printed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_hold_nobody_up() {
    for piece in [
        &b"\x00"[..],
        b"\xff\x1b[2J\x07",
        // Paper out and back, cover open and shut, without end.
        b"\x1c\x00\x0c\x00\x10\x00\x0f\x00",
        // Confirmations of jobs that were never sent.
        b"\x37\x22\x30\x30\x30\x31\x00\x37\x22\x39\x39\x39\x39\x00",
    ] {
        let shop = Shop::printing(&front(flooding(piece), "")).await;
        for number in 1..=5 {
            shop.sell(&format!("A-{number}")).await;
        }
        let printers = shop.ask(&get("/v1/printers")).await;
        assert_eq!(printers.status, 200, "{}", printers.text());
        let clean = |c: char| c.is_control() && c != '\n';
        assert!(!printers.text().contains(clean), "{}", printers.text());
        let prints: schema::PrintJobs = shop.ask(&get("/v1/prints").token("all")).await.read(200);
        let done = prints.prints.iter().filter(|job| job.state == "done");
        assert_eq!(done.count(), 0, "{piece:?}");
        assert_eq!(shop.last_number().await, 5);
        shop.stop.cancel();
    }
}
