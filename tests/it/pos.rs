//! Old POS software at our ports: what it prints is sold and printed with the fiscal block, or put aside; what drives a
//! fiscal printer gets one.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use fiscald::api::schema;
use vprinter::Sheet;

use crate::support::api::{PATIENCE, get, post};
use crate::support::counter::{Counter, paper};
use crate::support::paper::scan;

mod doors;

/// A paper of the POS becomes a receipt: sold to the cent, printed as it was with the fiscal block under it, and the POS
/// hears that it is out. The same paper again is a copy of the same receipt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paper_is_sold() {
    let counter = Counter::printing().await;
    assert_eq!(
        counter.print(&paper("A-1", "TAX INVOICE", "3.40")) & 0x90,
        0
    );
    let sold = counter.receipt(1).await;
    assert_eq!(sold.invoice_no, "A-1");
    assert_eq!(sold.receipt_total, "3.40");
    let paid: Vec<_> = sold
        .receipt_payments
        .iter()
        .map(|p| p.payment_amount.as_str())
        .collect();
    assert_eq!(paid, ["3.40"]);
    let taxes: Vec<_> = sold.receipt_taxes.iter().map(|t| t.tax_id).collect();
    assert_eq!(taxes.len(), 2);
    let sheet = &counter.sheets(1)[0];
    for words in [
        "CORNER SHOP",
        "Bread",
        "CHANGE",
        "Verification code",
        "FISCAL TAX INVOICE",
        "TIN: 2000000000",
    ] {
        assert!(sheet.says(words), "{words}\n{}", sheet.text());
    }
    assert_eq!(scan(sheet), [sold.qr_data.as_str()]);
    assert!(!sheet.says("COPY"));

    counter.print(&paper("A-1", "TAX INVOICE", "3.40"));
    let copy = &counter.sheets(2)[1];
    assert!(copy.says("COPY") && copy.says("Bread"));
    let of_pos = |sheet: &Sheet| -> Vec<String> {
        let lines = sheet.lines();
        let from = lines
            .iter()
            .position(|line| line.contains("CORNER SHOP"))
            .unwrap();
        lines[from..from + 12].to_vec()
    };
    assert_eq!(
        of_pos(copy),
        of_pos(&counter.sheets(2)[0]),
        "under COPY the paper is as it was"
    );
    assert!(
        counter.sheets(2)[0].says("TEST"),
        "a till of the test environment says so"
    );
    assert_eq!(scan(copy), [sold.qr_data.as_str()]);
    counter
        .shop
        .ask(&get("/v1/receipts/2"))
        .await
        .problem(404, "receipt_unknown");
    let states: Vec<_> = counter
        .captures()
        .await
        .into_iter()
        .map(|c| c.state)
        .collect();
    assert_eq!(states, ["repeated", "sold"]);

    // A reprint that says so is the same receipt as well.
    let mut again = b"\x1b@** DUPLICATE **\n".to_vec();
    again.extend_from_slice(&paper("A-1", "TAX INVOICE", "3.40")[2..]);
    counter.print(&again);
    assert_eq!(scan(&counter.sheets(3)[2]), [sold.qr_data.as_str()]);
    counter
        .shop
        .ask(&get("/v1/receipts/2"))
        .await
        .problem(404, "receipt_unknown");
}

/// A paper that was kept and not read when the power went is sold after the start, once, and its paper comes out; one
/// that was sold but not printed gets its paper, not another receipt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_off_between_the_steps() {
    let counter = Counter::printing().await;
    counter.print(&paper("A-1", "TAX INVOICE", "3.40"));
    counter.sheets(1);
    let body = paper("A-2", "TAX INVOICE", "3.40");
    let kept = counter
        .shop
        .ledger
        .write(move |core| {
            // As it is after a kill: one paper sold with its end not written, one not looked at.
            let again = core.keep_captured("old", &paper("A-1", "TAX INVOICE", "3.40"), 0)?;
            Ok((again, core.keep_captured("old", &body, 0)?))
        })
        .await
        .unwrap();
    assert_eq!(kept, (2, 3));
    // The port reads what waits when it starts: here it is asked to by hand, as after a start.
    for id in [2, 3] {
        let setup_till = counter.shop.tills[0];
        let ledger = counter.shop.ledger.clone();
        let (setup, printers) = (counter.setup.clone(), counter.printers.clone());
        let settled = tokio::task::spawn_blocking(move || {
            let tills = ledger.reader().tills().unwrap();
            let till = tills
                .into_iter()
                .find(|till| till.id == setup_till)
                .unwrap();
            fiscald::pos::Counter::new(&setup, till, &ledger, &printers).settle(id, false)
        });
        settled.await.unwrap().unwrap();
    }
    let sheets = counter.sheets(3);
    assert!(sheets[1].says("COPY") && sheets[1].says("A-1"));
    assert!(!sheets[2].says("COPY") && sheets[2].says("A-2"));
    assert_eq!(counter.shop.last_number().await, 2);
    let states: Vec<_> = counter
        .captures()
        .await
        .into_iter()
        .map(|c| c.state)
        .collect();
    assert_eq!(states, ["sold", "repeated", "sold"]);
}

/// A paper longer than a job may be uses no number, and its slip says why: when it comes in, and when the power went
/// before its slip and the paper is read later, by whomever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paper_that_is_too_long() {
    let counter = Counter::printing().await;
    let line = "Bread                  1 x    1.20      1.20 A\n";
    let long = line.repeat(drivers::capture::session::MAX_JOB / line.len() + 100);
    let good = String::from_utf8(paper("A-1", "TAX INVOICE", "3.40")).unwrap();
    let long = good.replacen("Bread", &format!("{long}Bread"), 1);
    counter.print(long.as_bytes());
    let says_why = |slip: &Sheet| slip.says("NO RECEIPT") && slip.says("longer");
    let slip = &counter.sheets(1)[0];
    assert!(says_why(slip), "{}", slip.text());
    // As it is after a kill: kept, and not looked at.
    let kept = counter.shop.ledger.write(move |core| {
        core.keep_captured(
            "old",
            &long.as_bytes()[..drivers::capture::session::MAX_JOB],
            77,
        )
    });
    assert_eq!(kept.await.unwrap(), 2);
    let replay = post("/v1/captures/2/replay", "").token("all");
    for _ in 0..2 {
        let aside: schema::Capture = counter.shop.ask(&replay).await.read(200);
        assert_eq!(aside.state, "quarantined");
        assert!(
            aside.reasons[0].contains("77 bytes longer"),
            "{:?}",
            aside.reasons
        );
    }
    assert_eq!(counter.print(b"KITCHEN ORDER 7\n\n\x1dVB\x03") & 0x90, 0);
    let sheets = counter.sheets(3);
    assert!(says_why(&sheets[1]), "{}", sheets[1].text());
    assert!(
        sheets[2].says("KITCHEN ORDER 7"),
        "one slip alone: {}",
        sheets[2].text()
    );
    assert_eq!(counter.shop.last_number().await, 0);
}

/// After new sales were pointed at another till, a paper that was sold before stays the receipt that it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_sells_nothing_twice() {
    let counter = Counter::printing().await;
    counter.print(&paper("A-1", "TAX INVOICE", "3.40"));
    let switch = post("/v1/tills/switch?deviceID=101", r#"{"deviceID": 102}"#).token("all");
    assert_eq!(counter.shop.ask(&switch).await.status, 200);
    counter.print(&paper("A-1", "TAX INVOICE", "3.40"));
    assert!(counter.sheets(2)[1].says("COPY"));
    let other = get("/v1/receipts/1").token("two");
    counter
        .shop
        .ask(&other)
        .await
        .problem(404, "receipt_unknown");
    counter.print(&paper("A-2", "TAX INVOICE", "3.40"));
    assert_eq!(
        counter.shop.ask(&other).await.receipt(200).invoice_no,
        "A-2"
    );
}

/// The same number, date and total with other goods is another sale, and is put aside; a person may say that a paper
/// will not be sold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_goods_under_a_number() {
    let counter = Counter::printing().await;
    counter.print(&paper("A-1", "TAX INVOICE", "3.40"));
    let text = String::from_utf8(paper("A-1", "TAX INVOICE", "3.40")).unwrap();
    counter.print(text.replace("Bread", "Cakes").as_bytes());
    assert!(counter.sheets(2)[1].says("NO RECEIPT"));
    let aside = &counter.captures().await[0];
    assert!(
        aside.reasons[0].contains("other goods"),
        "{:?}",
        aside.reasons
    );
    let dropped = |reason: &str| {
        post(
            "/v1/captures/2/drop",
            format!(r#"{{"reason": "{reason}"}}"#),
        )
        .token("all")
    };
    counter
        .shop
        .ask(&dropped(""))
        .await
        .problem(400, "body_invalid");
    let gone: schema::Capture = counter.shop.ask(&dropped("rung up again")).await.read(200);
    assert_eq!(gone.state, "dropped");
    counter
        .shop
        .ask(&dropped("again"))
        .await
        .problem(409, "not_now");
    let replay = post("/v1/captures/2/replay", "").token("all");
    counter.shop.ask(&replay).await.problem(409, "not_now");
    assert_eq!(counter.shop.last_number().await, 1);
}

/// Kitchen slips pass as they are and use no number.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slips_pass() {
    let counter = Counter::printing().await;
    let slip = b"\x1b@\x1b!\x30KITCHEN ORDER 7\n\x1b!\x00 2 x Sadza\n\n\n\x1dVB\x03";
    assert_eq!(counter.print(slip) & 0x90, 0);
    let sheet = &counter.sheets(1)[0];
    let lines: Vec<_> = sheet
        .lines()
        .into_iter()
        .filter(|line| !line.is_empty())
        .collect();
    assert_eq!(lines, ["KITCHEN ORDER 7", " 2 x Sadza"]);
    assert_eq!(counter.captures().await[0].state, "passed");
    assert_eq!(counter.shop.last_number().await, 0);
}

/// What does not add up uses no number: a slip says why, the paper is kept, and sold once the template is mended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_doubt_is_put_aside() {
    // The template file must be there when the configuration is read.
    let shipped = drivers::capture::template::SHIPPED;
    let one_line = shipped
        .iter()
        .find(|(name, _)| *name == "one-line")
        .unwrap()
        .1;
    let (counter, template) = {
        let wrong = one_line.replace("A = \"15.5\"", "X = \"15.5\"");
        let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        std::fs::write(file.path(), wrong).unwrap();
        let pos = format!(
            "kind = \"printer\"\nlisten = \"tcp:{{port}}\"\ntemplates = [\"{}\"]\nhs_code = \"19059090\"\n",
            file.path().display()
        );
        (Counter::open(&pos).await, file)
    };
    counter.print(&paper("A-1", "TAX INVOICE", "3.40"));
    let slip = &counter.sheets(1)[0];
    assert!(
        slip.says("NO RECEIPT") && slip.says("fiscald capture replay 1"),
        "{}",
        slip.text()
    );
    let aside = &counter.captures().await[0];
    assert_eq!(aside.state, "quarantined");
    assert!(
        aside.reasons.iter().any(|reason| reason.contains("line 8")),
        "{:?}",
        aside.reasons
    );
    assert_eq!(counter.shop.last_number().await, 0);
    let one: schema::Capture = counter
        .shop
        .ask(&get("/v1/captures/1").token("all"))
        .await
        .read(200);
    assert!(one.paper.unwrap().iter().any(|line| line.contains("Bread")));
    // A till's own token does not see what other tills sell.
    counter
        .shop
        .ask(&get("/v1/captures"))
        .await
        .problem(403, "not_allowed");

    let replay = post("/v1/captures/1/replay", "").token("all");
    let still: schema::Capture = counter.shop.ask(&replay).await.read(200);
    assert_eq!(still.state, "quarantined");
    std::fs::write(template.path(), one_line).unwrap();
    let sold: schema::Capture = counter.shop.ask(&replay).await.read(200);
    assert_eq!(
        (sold.state.as_str(), sold.receipt_global_no),
        ("sold", Some(1))
    );
    assert!(counter.sheets(2)[1].says("Verification code"));
    counter.shop.ask(&replay).await.problem(409, "not_now");

    // The mended template serves the port from now on; a total that is not the sum of the lines is never sold.
    counter.print(&paper("A-2", "TAX INVOICE", "3.40"));
    assert_eq!(counter.receipt(2).await.invoice_no, "A-2");
    counter.print(&paper("A-3", "TAX INVOICE", "3.50"));
    assert!(counter.sheets(4)[3].says("NO RECEIPT"));
    assert_eq!(counter.shop.last_number().await, 2);
}

/// With the printer's cover open the POS is told so before it prints, as by a printer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_printers_state_reaches_the_pos() {
    let counter = Counter::printing().await;
    let ask = |stream: &mut TcpStream| {
        stream.write_all(b"\x10\x04\x02").unwrap();
        let mut answer = [0];
        stream.read_exact(&mut answer).unwrap();
        answer[0]
    };
    let mut stream = counter.connect();
    assert!(
        counter
            .printer
            .wait_until(PATIENCE, |p| p.counts().received > 0)
    );
    let mut healthy = ask(&mut stream);
    let mut tries = 0;
    while healthy & 0x64 != 0 && tries < 2_000 {
        healthy = ask(&mut stream);
        tries += 1;
    }
    assert_eq!(healthy & 0x64, 0);
    counter.printer.open_cover();
    let mut tries = 0;
    while ask(&mut stream) & 0x04 == 0 {
        tries += 1;
        assert!(tries < 20_000, "the open cover is never told");
        std::thread::park_timeout(Duration::from_millis(2));
    }
    counter.printer.close_cover();
}

/// The drawer opens while the printer has no paper, past the receipt that waits for it, which comes out as the original
/// later; where the port may not open it, it stays shut.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_drawer_waits_for_no_paper() {
    for permitted in [true, false] {
        let counter = Counter::open(&format!(
            "kind = \"printer\"\nlisten = \"tcp:{{port}}\"\ntemplates = [\"one-line\"]\nhs_code = \"19059090\"\n\
             drawer = {permitted}\n"
        ))
        .await;
        counter.printer.set_paper(0);
        let mut stream = counter.connect();
        stream
            .write_all(&paper("A-1", "TAX INVOICE", "3.40"))
            .unwrap();
        let mut committed = counter.shop.ledger.committed();
        let held = committed.wait_for(|_| {
            let job = counter
                .shop
                .ledger
                .reader()
                .print_job(drivers::job::JobId(1));
            job.unwrap().is_some_and(|job| job.state == "held")
        });
        tokio::time::timeout(PATIENCE, held).await.unwrap().unwrap();
        stream.write_all(b"\x1bp\x00\x19\xfa").unwrap();
        if permitted {
            let opened = |p: &vprinter::Printer| p.counts().pulses[0] == 1;
            assert!(counter.printer.wait_until(PATIENCE, opened));
            assert!(counter.printer.sheets().is_empty(), "there is no paper");
        }
        counter.printer.set_paper(80_000);
        let sheet = &counter.sheets(1)[0];
        assert!(sheet.says("A-1") && !sheet.says("COPY"));
        let pulses = counter.printer.with(|p| p.counts().pulses[0]);
        assert_eq!(pulses, u32::from(permitted));
    }
}

/// Files dropped into a folder are papers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_files() {
    let counter = Counter::open(
        "kind = \"printer\"\nlisten = \"folder:{dir}/spool\"\ntemplates = [\"one-line\"]\nhs_code = \"19059090\"\n",
    )
    .await;
    let spool = counter.dir.path().join("spool");
    std::fs::create_dir_all(&spool).unwrap();
    std::fs::write(spool.join("1.prn"), paper("F-1", "TAX INVOICE", "3.40")).unwrap();
    assert!(counter.sheets(1)[0].says("Verification code"));
    assert_eq!(counter.receipt(1).await.invoice_no, "F-1");
}

/// A port for other machines must name them; a port needs a printer, a fiscal printer its letters.
#[test]
fn configurations_that_make_no_sense() {
    let parse = |pos: &str| {
        let text = format!(
            "[[printers]]\nname = \"front\"\nlink = \"usb:any\"\nprofile = \"generic-80\"\n[[pos]]\nname = \"old\"\ndevice_id = 1\nenvironment = \"test\"\n{pos}"
        );
        let parsed = fiscald::config::Config::parse(std::path::Path::new("x"), &text);
        parsed.map(drop).map_err(|error| error.to_string())
    };
    let good = "kind = \"printer\"\nprinter = \"front\"\nlisten = \"tcp:127.0.0.1:9100\"\ntemplates = [\"one-line\"]\n";
    parse(good).unwrap();
    for (change, to, expected) in [
        ("127.0.0.1", "0.0.0.0", "allow"),
        ("\"front\"", "\"back\"", "no printer"),
        ("[\"one-line\"]", "[]", "templates are missing"),
        ("kind = \"printer\"", "kind = \"isl\"", "register"),
        ("tcp:127.0.0.1:9100", "usb:any", "folder:"),
    ] {
        let error = parse(&good.replacen(change, to, 1)).unwrap_err();
        assert!(error.contains(expected), "{change}: {error}");
    }
}

/// Frames of a Datecs printer, as point-of-sale software builds them.
pub(crate) struct Isl {
    pub(crate) stream: TcpStream,
    pub(crate) seq: u8,
}

impl Isl {
    pub(crate) fn frame(&self, command: u8, data: &str) -> Vec<u8> {
        let mut body = vec![0x24 + u8::try_from(data.len()).unwrap(), self.seq, command];
        body.extend_from_slice(data.as_bytes());
        body.push(0x05);
        let sum: u16 = body.iter().map(|byte| u16::from(*byte)).sum();
        let mut frame = vec![0x01];
        frame.extend_from_slice(&body);
        for shift in [12, 8, 4, 0] {
            frame.push(0x30 + u8::try_from((sum >> shift) & 0xf).unwrap());
        }
        frame.push(0x03);
        frame
    }

    /// Sends a frame and reads the reply's data and first status bytes; SYN is passed over.
    pub(crate) fn send(&mut self, frame: &[u8]) -> (String, Vec<u8>) {
        self.stream.write_all(frame).unwrap();
        let mut reply = Vec::new();
        let mut byte = [0];
        while reply.last() != Some(&0x03) {
            self.stream.read_exact(&mut byte).unwrap();
            if !(reply.is_empty() && byte[0] == 0x16) {
                reply.push(byte[0]);
            }
        }
        let status = reply.iter().position(|byte| *byte == 0x04).unwrap();
        let data = String::from_utf8_lossy(&reply[4..status]).into_owned();
        (data, reply[status + 1..status + 7].to_vec())
    }

    fn ask(&mut self, command: u8, data: &str) -> (String, Vec<u8>) {
        self.seq = if self.seq >= 0x7e { 0x20 } else { self.seq + 1 };
        let frame = self.frame(command, data);
        self.send(&frame)
    }
}

/// Software that drives a fiscal printer sells, is cut off in the middle and goes on, repeats a frame and sells once,
/// takes back, and closes the day.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fiscal_printer_is_driven() {
    let counter = Counter::open(
        "kind = \"isl\"\nlisten = \"tcp:{port}\"\nhs_code = \"19059090\"\ndrawer = true\n[pos.register]\ncurrency = \"USD\"\ntaxes = { A = \"15.5%\", B = \"1\" }\n",
    )
    .await;
    let mut isl = Isl {
        stream: counter.connect(),
        seq: 0x20,
    };
    let (_, status) = isl.ask(0x4a, "");
    assert_eq!(status[2] & 0x08, 0, "no receipt is open");
    isl.ask(0x30, "1,0000,1");
    isl.ask(0x31, "Bread\tA1.20*2");
    // The cable is pulled; the receipt is still open.
    isl.stream = counter.connect();
    let (_, status) = isl.ask(0x4a, "");
    assert_eq!(status[2] & 0x08, 0x08, "the receipt is still open");
    isl.ask(0x31, "Milk\tB1.00");
    let (paid, _) = isl.ask(0x35, "\tP5.00");
    assert!(paid.starts_with('R'), "{paid}");
    isl.seq += 1;
    let close = isl.frame(0x38, "");
    let (closed, status) = isl.send(&close);
    assert_eq!(status[0] & 0x20, 0, "{closed}");
    // The answer was lost: the same frame again is answered the same.
    assert_eq!(isl.send(&close).0, closed);
    let sold = counter.receipt(1).await;
    assert_eq!(sold.receipt_total, "3.40");
    assert_eq!(sold.receipt_lines.len(), 2);
    counter
        .shop
        .ask(&get("/v1/receipts/2"))
        .await
        .problem(404, "receipt_unknown");
    assert_eq!(scan(&counter.sheets(1)[0]), [sold.qr_data.as_str()]);

    // A copy, the drawer, a credit note on the first receipt, a letter that means nothing.
    isl.ask(0x6d, "1");
    assert!(counter.sheets(2)[1].says("COPY"));
    isl.ask(0x6a, "");
    assert!(
        counter
            .printer
            .wait_until(PATIENCE, |p| p.counts().pulses[0] == 1)
    );
    isl.ask(0x2e, "1,0000,1,R1");
    let (_, refused) = isl.ask(0x31, "Cigars\tG9.00");
    assert_eq!(refused[0] & 0x21, 0x21, "a letter that means nothing");
    isl.ask(0x31, "Bread\tA1.20");
    isl.ask(0x35, "\t");
    let (_, status) = isl.ask(0x38, "");
    assert_eq!(status[0] & 0x20, 0);
    let note = counter.receipt(2).await;
    assert_eq!(
        (note.receipt_type.as_str(), note.receipt_total.as_str()),
        ("CreditNote", "-1.20")
    );
    counter.sheets(3);

    isl.ask(0x45, "2");
    assert!(counter.sheets(4)[3].says("X REPORT"));
    let (z, status) = isl.ask(0x45, "0");
    assert_eq!(status[0] & 0x20, 0, "{z}");
    assert!(counter.sheets(5)[4].says("Z REPORT"));
    let day: schema::Day = counter.shop.ask(&get("/v1/days/current")).await.read(200);
    assert_eq!(day.state, "closed");
    assert_eq!(
        counter.printer.sheets().len(),
        5,
        "the Z report comes out once"
    );
}
