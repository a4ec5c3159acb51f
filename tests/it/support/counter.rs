//! A shop with a printer made of software and a port for old POS software.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use fiscald::api::schema;
use fiscald::config::PosSetup;
use fiscald::print::Printers;
use vprinter::{Sheet, VirtualPrinter};

use super::api::{PATIENCE, Shop, get};
use super::printer::{front, printer};

/// A shop with a printer and a port.
pub(crate) struct Counter {
    pub(crate) shop: Shop,
    pub(crate) printer: VirtualPrinter,
    port: SocketAddr,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) setup: PosSetup,
    pub(crate) printers: Printers,
}

impl Counter {
    pub(crate) async fn open(pos: &str) -> Self {
        let printer = printer();
        // A port that is free now; the gateway takes it in a moment.
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let pos = pos
            .replace("{port}", &port.to_string())
            .replace("{dir}", dir.path().to_str().unwrap());
        let pos = format!(
            "[[pos]]\nname = \"old\"\ndevice_id = 101\nenvironment = \"test\"\nprinter = \"front\"\n{pos}"
        );
        let (shop, devices) = Shop::with_devices(&front(printer.name(), &pos)).await;
        Self {
            shop,
            printer,
            port,
            dir,
            setup: devices.pos.setups()[0].clone(),
            printers: devices.printers,
        }
    }

    pub(crate) async fn printing() -> Self {
        Self::open(
            "kind = \"printer\"\nlisten = \"tcp:{port}\"\ntemplates = [\"slips\", \"reprint\", \"refund\", \"one-line\"]\n\
             hs_code = \"19059090\"\n",
        )
        .await
    }

    /// A connection of the POS; it tries until the port is open.
    pub(crate) fn connect(&self) -> TcpStream {
        let mut tries = 0;
        loop {
            match TcpStream::connect(self.port) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    return stream;
                }
                Err(error) => {
                    tries += 1;
                    assert!(tries < 2_000, "{error}");
                    std::thread::yield_now();
                    std::thread::park_timeout(Duration::from_millis(5));
                }
            }
        }
    }

    /// Prints a paper as receiptio does: the last question is answered when the paper is out.
    pub(crate) fn print(&self, paper: &[u8]) -> u8 {
        let mut stream = self.connect();
        stream.write_all(paper).unwrap();
        stream.write_all(b"\x1dr\x01").unwrap();
        let mut answer = [0];
        stream.read_exact(&mut answer).unwrap();
        answer[0]
    }

    pub(crate) fn sheets(&self, count: usize) -> Vec<Sheet> {
        let sheets = self.printer.wait_for_sheets(count, PATIENCE);
        assert_eq!(sheets.len(), count, "{sheets:#?}");
        sheets
    }

    pub(crate) async fn captures(&self) -> Vec<schema::Capture> {
        let answer: schema::Captures = self
            .shop
            .ask(&get("/v1/captures").token("all"))
            .await
            .read(200);
        answer.captures
    }

    pub(crate) async fn receipt(&self, number: u32) -> schema::Receipt {
        self.shop
            .ask(&get(format!("/v1/receipts/{number}")))
            .await
            .receipt(200)
    }
}

/// A paper of 2 Bread and 1 Milk, as the shipped template `one-line` reads it.
pub(crate) fn paper(number: &str, title: &str, total: &str) -> Vec<u8> {
    let text = format!(
        "        CORNER SHOP\n          {title}\nReceipt No: {number}\nDate: 28/05/2026 07:10\nTill: 1 Cashier: Rudo\n\
         DESCRIPTION             QTY   PRICE     TOTAL\n\
         ------------------------------------------------\n\
         Bread                  2 x    1.20      2.40 A\n\
         Milk                   1 x    1.00      1.00 B\n\
         ------------------------------------------------\n\
         TOTAL USD                              {total}\n\
         CASH                                   5.00\n\
         CHANGE                                 1.60\n"
    );
    [b"\x1b@".as_slice(), text.as_bytes(), b"\n\n\x1dVB\x03"].concat()
}
