//! Sales on paper: a printer made of software prints what the shop sells, through every way to fail.

use std::time::Duration;

use drivers::job::{JobState, UnknownReason};
use fiscald::api::schema;
use fiscald::ledger::PrintPolicy;
use fiscald::ledger::printing::NewPrint;
use sync_wire::settings::StoreSettings;
use sync_wire::state::Wanted;
use vprinter::{PrinterSetup, Sheet, VirtualPrinter};

use crate::support::api::{PATIENCE, Shop, get, post, sale, sale_with};
use crate::support::hq::{join_nowhere, want};
use crate::support::paper::{black_png, pictures_of, scan};
use crate::support::printer::{front, printer, printer_of};

/// The job, once `wanted` is true of it.
async fn job_when(
    shop: &Shop,
    job: i64,
    wanted: impl Fn(&schema::PrintJob) -> bool,
) -> schema::PrintJob {
    let mut committed = shop.ledger.committed();
    let looked = async {
        loop {
            let ask = get(format!("/v1/prints/{job}")).token("all");
            let answer = shop.ask(&ask).await;
            // The job may not be queued yet.
            if answer.status != 404 {
                let found: schema::PrintJob = answer.read(200);
                if wanted(&found) {
                    return found;
                }
            }
            // Every edge that is worth telling is an event; the others are looked for again after a moment.
            let _ = tokio::time::timeout(Duration::from_millis(50), committed.changed()).await;
        }
    };
    tokio::time::timeout(PATIENCE, looked).await.unwrap()
}

async fn jobs(shop: &Shop) -> Vec<schema::PrintJob> {
    let answer: schema::PrintJobs = shop.ask(&get("/v1/prints").token("all")).await.read(200);
    answer.prints
}

fn sheets(printer: &VirtualPrinter, count: usize) -> Vec<Sheet> {
    let sheets = printer.wait_for_sheets(count, PATIENCE);
    assert_eq!(sheets.len(), count, "{sheets:#?}");
    sheets
}

fn is_copy(sheet: &Sheet) -> bool {
    sheet.lines().iter().any(|line| line.trim() == "COPY")
}

/// A sale comes out of the printer by itself, with the code that the answer has, and the printer says so; what is
/// printed of it later is a copy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_is_printed_once() {
    let printer = printer();
    let shop = Shop::printing(&front(printer.name(), "")).await;
    let sold = shop.sell("T1-1").await;
    let first = &sheets(&printer, 1)[0];
    assert!(first.complete && !is_copy(first));
    assert!(first.says("T1-1") && first.says("Bread") && first.says("2.40"));
    assert_eq!(scan(first), [sold.qr_data.as_str()]);
    let job = job_when(&shop, 1, |job| job.state == "done").await;
    assert_eq!(job.detail.as_deref(), Some("printed"));
    assert_eq!(job.heading.as_deref(), Some("original"));
    assert_eq!(job.receipt_global_no, Some(1));

    // The same sale again is the same receipt, and no more paper.
    shop.ask(&post("/v1/receipts", sale("T1-1")))
        .await
        .receipt(200);
    let again: schema::PrintJob = shop.ask(&post("/v1/receipts/1/print", "")).await.read(202);
    let sheets = sheets(&printer, 2);
    assert!(is_copy(&sheets[1]));
    assert_eq!(scan(&sheets[1]), [sold.qr_data.as_str()]);
    let copy = job_when(&shop, again.job, |job| job.state == "done").await;
    assert_eq!(copy.heading.as_deref(), Some("copy"));
    assert_eq!(jobs(&shop).await.len(), 2);
}

/// Who prints what: the policy of the store, of a till, of a single sale.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies() {
    let printer = printer();
    let more = "[store]\nprint = \"on_request\"\n[[tills]]\ndevice_id = 102\nenvironment = \"test\"\nprint = \"always\"\n";
    let shop = Shop::printing(&front(printer.name(), more)).await;
    shop.sell("T1-1").await;
    let wanted = sale_with("T1-2", r#", "print": true"#);
    shop.ask(&post("/v1/receipts", wanted)).await.receipt(201);
    let two = |invoice_no, more| post("/v1/receipts", sale_with(invoice_no, more)).token("two");
    shop.ask(&two("T2-1", r#", "print": false"#))
        .await
        .receipt(201);
    shop.ask(&two("T2-2", "")).await.receipt(201);
    let sheets = sheets(&printer, 2);
    assert!(sheets[0].says("T1-2") && sheets[1].says("T2-2"));
    let mut numbers: Vec<_> = jobs(&shop)
        .await
        .iter()
        .map(|job| job.receipt_global_no)
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [Some(2), Some(2)]);
}

/// Head office says what is printed by itself, from the next sale on; a till's own word in the file stands above it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn head_office_says_what_is_printed() {
    let printer = printer();
    let more = "[[tills]]\ndevice_id = 102\nenvironment = \"test\"\nprint = \"always\"\n";
    let shop = Shop::printing(&front(printer.name(), more)).await;
    shop.sell("T1-1").await;
    sheets(&printer, 1);
    join_nowhere(&shop.ledger).await;
    let print = async |revision, print| {
        let settings = StoreSettings {
            print,
            ..StoreSettings::default()
        };
        let wanted = Wanted {
            revision,
            settings,
            ..Wanted::default()
        };
        want(&shop.ledger, wanted).await;
    };
    print(1, Some(PrintPolicy::Never)).await;
    shop.sell("T1-2").await;
    let other = post("/v1/receipts", sale("T2-1")).token("two");
    shop.ask(&other).await.receipt(201);
    print(2, None).await;
    shop.sell("T1-3").await;
    let sheets = sheets(&printer, 3);
    assert!(sheets[1].says("T2-1") && sheets[2].says("T1-3"));
    assert_eq!(jobs(&shop).await.len(), 3);
}

/// Without paper nothing is sent and the sale waits as an original; with new paper it comes out, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paper_out_before_the_first_byte() {
    let printer = printer_of(PrinterSetup {
        paper_left_mm: 0,
        ..PrinterSetup::epson_80()
    });
    let shop = Shop::printing(&front(printer.name(), "")).await;
    shop.sell("T1-1").await;
    let job = job_when(&shop, 1, |job| job.state == "held").await;
    assert_eq!(job.detail.as_deref(), Some("paper_out"));
    let state: schema::Printers = shop.ask(&get("/v1/printers")).await.read(200);
    assert_eq!(state.printers[0].state, "paper_out");
    assert_eq!(state.printers[0].waiting, 1);
    assert!(state.printers[0].action.as_ref().unwrap().contains("paper"));
    assert!(printer.sheets().is_empty());
    printer.set_paper(80_000);
    assert!(!is_copy(&sheets(&printer, 1)[0]));
    job_when(&shop, 1, |job| job.state == "done").await;
    assert_eq!(jobs(&shop).await.len(), 1);
}

/// The cable is pulled in the middle of a receipt: the job is in doubt, and what follows by itself is a copy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cable_pulled_in_the_middle() {
    let printer = printer();
    printer.cut_after_received(400);
    let shop = Shop::printing(&front(printer.name(), "")).await;
    let sold = shop.sell("T1-1").await;
    let lost = job_when(&shop, 1, |job| job.state == "unknown").await;
    assert_eq!(lost.detail.as_deref(), Some("link_lost"));
    let copy = job_when(&shop, 2, |job| job.state == "done").await;
    assert_eq!(copy.heading.as_deref(), Some("copy"));
    assert!(printer.wait_until(PATIENCE, |printer| {
        printer
            .sheets()
            .iter()
            .any(|sheet| sheet.complete && is_copy(sheet))
    }));
    let whole: Vec<_> = printer
        .sheets()
        .into_iter()
        .filter(|s| s.complete && is_copy(s))
        .collect();
    assert_eq!(scan(&whole[0]), [sold.qr_data.as_str()]);
    let originals = printer
        .sheets()
        .into_iter()
        .filter(|s| s.complete && !is_copy(s))
        .count();
    assert!(originals <= 1);
}

/// Where a person is to be asked, nothing follows by itself: yes ends the job, no prints a copy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_asked() {
    for (answer, state) in [("true", "done"), ("false", "lost")] {
        let printer = printer();
        printer.cut_after_received(400);
        let shop = Shop::printing(&front(printer.name(), "after_unknown = \"ask\"")).await;
        shop.sell("T1-1").await;
        job_when(&shop, 1, |job| job.state == "unknown").await;
        let status: schema::Printers = shop.ask(&get("/v1/printers")).await.read(200);
        assert_eq!(status.printers[0].in_doubt, 1);
        let settle = post("/v1/prints/1/settle", format!(r#"{{"cameOut": {answer}}}"#));
        let job: schema::PrintJob = shop.ask(&settle).await.read(200);
        job_when(&shop, 1, |job| job.state == state).await;
        match answer {
            "true" => assert_eq!((job.job, job.detail.as_deref()), (1, Some("seen"))),
            _ => {
                let copy = job_when(&shop, job.job, |job| job.state == "done").await;
                assert_eq!(copy.heading.as_deref(), Some("copy"));
            }
        }
        shop.ask(&settle).await.problem(409, "not_now");
    }
}

/// A daemon that was killed while it printed knows no more than that: after the start the job is in doubt, and a
/// copy comes out. A job of which no byte was sent is still the original.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_every_edge() {
    for (state, heading) in [
        (None, "original"),
        (Some(JobState::Sending), "copy"),
        (Some(JobState::AwaitAck), "copy"),
    ] {
        let shop = Shop::printing("").await;
        let sold = shop.sell("T1-1").await;
        let till = shop.tills[0];
        let number = fiscal::ReceiptGlobalNo::new(sold.receipt_global_no).unwrap();
        let found = shop
            .ledger
            .ask(move |reader| reader.by_number(till, number));
        let seq = found.await.unwrap().unwrap().seq;
        let job = shop
            .ledger
            .write(move |core| {
                let job = core.queue_prints(&[NewPrint::receipt("front", till, seq)])?[0];
                core.take_print("front")?;
                if let Some(state) = state {
                    core.keep_print(job, &state, true)?;
                }
                Ok(job)
            })
            .await
            .unwrap();
        let printer = printer();
        let plan =
            fiscald::config::Config::parse(std::path::Path::new("x"), &front(printer.name(), ""))
                .unwrap()
                .print_plan()
                .unwrap();
        let printers = fiscald::print::Printers::new(plan);
        let running = tokio::spawn(printers.run(shop.ledger.clone(), shop.stop.clone()));
        let paper = &sheets(&printer, 1)[0];
        assert_eq!(is_copy(paper), heading == "copy");
        assert_eq!(scan(paper), [sold.qr_data.as_str()]);
        let first = job_when(&shop, job.0, |job| {
            ["done", "unknown"].contains(&job.state.as_str())
        })
        .await;
        if heading == "copy" {
            assert_eq!(first.detail.as_deref(), Some("restarted"));
        }
        shop.stop.cancel();
        running.await.unwrap();
    }
}

/// A copy that is lost as well is followed by two more at most; then a person is asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_come_to_an_end() {
    let shop = Shop::printing("").await;
    shop.sell("T1-1").await;
    let till = shop.tills[0];
    let count = shop
        .ledger
        .write(move |core| {
            let seq = fiscald::ledger::Seq(2);
            let mut job = core
                .queue_prints(&[NewPrint::receipt("front", till, seq)])?
                .first()
                .copied();
            let mut count = 0;
            while job.is_some() {
                let Some(taken) = core.take_print("front")? else {
                    break;
                };
                count += 1;
                core.keep_print(taken.id, &JobState::Sending, true)?;
                core.keep_print(taken.id, &JobState::Unknown(UnknownReason::LinkLost), true)?;
                job = Some(taken.id);
            }
            Ok(count)
        })
        .await
        .unwrap();
    assert_eq!(count, 4, "an original and three copies");
}

/// X by command with the cashier's warning, Z by itself when the day is closed; the drawer with permission alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_and_drawer() {
    let printer = printer();
    let more = "drawer_on = [\"Cash\"]\ndrawer = true\n";
    let shop = Shop::printing(&front(printer.name(), more)).await;
    shop.sell("T1-1").await;
    sheets(&printer, 1);
    assert_eq!(
        printer.with(|p| p.counts().pulses[0]),
        1,
        "cash opens the drawer"
    );
    let job: schema::PrintJob = shop
        .ask(&post("/v1/days/current/print", ""))
        .await
        .read(202);
    assert!(sheets(&printer, 2)[1].says("X REPORT"));
    job_when(&shop, job.job, |job| job.state == "done").await;
    shop.ask(&post("/v1/receipts/1/print", ""))
        .await
        .read::<schema::PrintJob>(202);
    sheets(&printer, 3);
    assert_eq!(printer.with(|p| p.counts().pulses[0]), 1, "a copy does not");
    shop.ask(&post("/v1/days/close", ""))
        .await
        .read::<schema::Day>(200);
    let z = &sheets(&printer, 4)[3];
    assert!(z.says("Z REPORT") && !is_copy(z));
    shop.ask(&post("/v1/days/1/print", ""))
        .await
        .read::<schema::PrintJob>(202);
    assert!(is_copy(&sheets(&printer, 5)[4]));
    shop.ask(&post("/v1/printers/front/drawer", ""))
        .await
        .read::<schema::PrintJob>(202);
    assert!(printer.wait_until(PATIENCE, |p| p.counts().pulses[0] == 2));
    assert_eq!(printer.sheets().len(), 5, "no paper for a drawer");

    let closed = Shop::printing(&front(printer.name(), "")).await;
    let refused = closed.ask(&post("/v1/printers/front/drawer", "")).await;
    let refused = refused.problem(403, "not_permitted");
    assert!(refused.detail.contains("drawer = true"));
    closed
        .ask(&post("/v1/printers/back/test", ""))
        .await
        .problem(404, "missing");
}

/// A test page shows the printer's width and scans; a cancelled job is gone, a printed one is not cancelled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn test_page_and_cancel() {
    let printer = printer_of(PrinterSetup::clone_58());
    let config = front(printer.name(), "").replace("epson-tm-t20", "generic-58");
    let shop = Shop::printing(&config).await;
    let job: schema::PrintJob = shop
        .ask(&post("/v1/printers/front/test", ""))
        .await
        .read(202);
    let page = &sheets(&printer, 1)[0];
    assert!(
        page.lines()
            .iter()
            .any(|line| line == "12345678901234567890123456789012")
    );
    assert_eq!(scan(page).len(), 1);
    let done = job_when(&shop, job.job, |job| job.state == "done").await;
    assert_eq!(done.detail.as_deref(), Some("sent_healthy"));
    let cancel = |job: i64| post(format!("/v1/prints/{job}/cancel"), "").token("all");
    shop.ask(&cancel(job.job)).await.problem(409, "not_now");
    printer.open_cover();
    let held = shop.sell("T1-1").await;
    job_when(&shop, 2, |job| job.detail.as_deref() == Some("cover_open")).await;
    let gone: schema::PrintJob = shop.ask(&cancel(2)).await.read(200);
    assert_eq!((gone.state.as_str(), gone.heading), ("failed", None));
    printer.close_cover();
    // The original was never printed: the next paper is it.
    shop.ask(&post(
        format!("/v1/receipts/{}/print", held.receipt_global_no),
        "",
    ))
    .await
    .read::<schema::PrintJob>(202);
    assert!(!is_copy(&sheets(&printer, 2)[1]));
}

/// The same receipt and the same day as PDF.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents() {
    let shop = Shop::printing("").await;
    shop.sell("T1-1").await;
    for path in [
        "/v1/receipts/1/pdf",
        "/v1/receipts/1/pdf?copy=true",
        "/v1/days/current/pdf",
    ] {
        let answer = shop.ask(&get(path)).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.headers["content-type"], "application/pdf");
        assert!(answer.body.starts_with(b"%PDF-"), "{path}");
    }
    shop.ask(&get("/v1/receipts/2/pdf"))
        .await
        .problem(404, "receipt_unknown");
}

/// A store that gets its first printer does not print what it sold before; one that was stopped in between does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_printing_begins() {
    let shop = Shop::printing("").await;
    shop.sell("T1-1").await;
    // The writer has told everybody of a batch before it takes the next one.
    shop.ledger.write(|_| Ok(())).await.unwrap();
    let printer = printer();
    let start = || {
        let config = front(printer.name(), "");
        let plan = fiscald::config::Config::parse(std::path::Path::new("x"), &config).unwrap();
        let stop = tokio_util::sync::CancellationToken::new();
        let printers = fiscald::print::Printers::new(plan.print_plan().unwrap());
        let running = tokio::spawn(printers.run(shop.ledger.clone(), stop.clone()));
        (running, stop)
    };
    let (running, stop) = start();
    // The first printer begins where the ledger is when it starts: this sale may be faster than its thread.
    shop.sell("T1-2").await;
    assert!(sheets(&printer, 1)[0].says("T1-2"));
    stop.cancel();
    running.await.unwrap();
    shop.sell("T1-3").await;
    let (running, stop) = start();
    assert!(sheets(&printer, 2)[1].says("T1-3"));
    stop.cancel();
    running.await.unwrap();
}

/// A job that has been taken to be sent cannot be taken out of the queue: its original might come out and be printed as
/// an original again. Before, and while the printer holds it, it can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancel_and_the_one_original() {
    let shop = Shop::printing("").await;
    shop.sell("T1-1").await;
    let till = shop.tills[0];
    let seen = shop
        .ledger
        .write(move |core| {
            let paper = NewPrint::receipt("front", till, fiscald::ledger::Seq(2));
            let first = core.queue_prints(std::slice::from_ref(&paper))?[0];
            let taken = core.take_print("front")?.unwrap();
            let refused = core.cancel_print(first, "test").is_err();
            // The printer cannot: nothing was sent, and another printer's paper may be the original.
            core.keep_print(
                first,
                &JobState::Held(drivers::job::HeldReason::CoverOpen),
                true,
            )?;
            core.queue_prints(&[NewPrint {
                printer: "back".to_owned(),
                ..paper
            }])?;
            let other = core.take_print("back")?.unwrap();
            core.cancel_print(first, "test")?;
            let ended = core.keep_print(first, &JobState::Sending, true).is_err();
            Ok((taken.heading, refused, other.heading, ended))
        })
        .await
        .unwrap();
    use fiscald::ledger::printing::Heading::Original;
    assert_eq!(seen, (Original, true, Original, true));
}

/// A till's own token sees its own papers and steers only printers that print them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_papers() {
    let printer = printer();
    let more = "tills = [101]\ndrawer = true\n";
    let shop = Shop::printing(&front(printer.name(), more)).await;
    shop.sell("T1-1").await;
    sheets(&printer, 1);
    job_when(&shop, 1, |job| job.state == "done").await;
    for path in ["/v1/printers/front/test", "/v1/printers/front/drawer"] {
        shop.ask(&post(path, "").token("two"))
            .await
            .problem(403, "not_allowed");
    }
    for ask in [
        get("/v1/prints/1"),
        post("/v1/prints/1/settle", r#"{"cameOut": true}"#),
        post("/v1/prints/1/cancel", ""),
    ] {
        shop.ask(&ask.token("two")).await.problem(404, "missing");
    }
    let none: schema::PrintJobs = shop.ask(&get("/v1/prints").token("two")).await.read(200);
    assert!(none.prints.is_empty());
    let own: schema::PrintJob = shop
        .ask(&post("/v1/printers/front/drawer", ""))
        .await
        .read(202);
    shop.ask(&get(format!("/v1/prints/{}", own.job)))
        .await
        .read::<schema::PrintJob>(200);
    // What another till prints takes none of the places in a till's own list.
    let till = shop.tills[1];
    let foreign = NewPrint::blocks("front", Some(till), &[]);
    let queued = shop.ledger.write(move |core| core.queue_prints(&[foreign]));
    queued.await.unwrap();
    let newest: schema::PrintJobs = shop.ask(&get("/v1/prints?limit=1")).await.read(200);
    let newest: Vec<i64> = newest.prints.iter().map(|job| job.job).collect();
    assert_eq!(newest, [own.job]);
}

/// The store's logo stands on PDF invoices and above the receipts of a printer that has none of its own; one that cannot
/// be used holds neither up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logo_of_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let logo = dir.path().join("logo.png");
    for is_picture in [true, false] {
        match is_picture {
            true => black_png(&logo),
            false => std::fs::write(&logo, "no picture").unwrap(),
        }
        let printer = printer();
        let more = format!("[store]\nlogo = {logo:?}\n");
        let shop = Shop::printing(&front(printer.name(), &more)).await;
        shop.sell("T1-1").await;
        let pictures = sheets(&printer, 1)[0].pictures().count();
        assert_eq!(pictures, 1 + usize::from(is_picture), "the code, the logo");
        let pdf = shop.ask(&get("/v1/receipts/1/pdf")).await;
        assert_eq!(pdf.status, 200);
        assert_eq!(pictures_of(&pdf.body), usize::from(is_picture));
    }
}

/// The customer's display beside the printer shows the total of each receipt; a display that is not there holds nothing
/// up. A printer's own logo stands above the receipt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn display_and_logo() {
    let dir = tempfile::tempdir().unwrap();
    let logo = dir.path().join("logo.png");
    black_png(&logo);
    let display = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let printer = printer();
    let more = format!(
        "logo = {logo:?}\ndisplay = {{ link = \"tcp:{}\", dialect = \"cd5220\" }}\n",
        display.local_addr().unwrap()
    );
    let shop = Shop::printing(&front(printer.name(), &more)).await;
    shop.sell("T1-1").await;
    let sheet = &sheets(&printer, 1)[0];
    assert_eq!(sheet.pictures().count(), 2, "logo and code");
    let (mut stream, _) = display.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut shown = Vec::new();
    while !String::from_utf8_lossy(&shown).contains("RECEIPT SIGNED") {
        let mut buffer = [0; 64];
        let count = std::io::Read::read(&mut stream, &mut buffer).unwrap();
        assert!(count > 0, "{}", String::from_utf8_lossy(&shown));
        shown.extend_from_slice(&buffer[..count]);
    }
    assert!(String::from_utf8_lossy(&shown).contains("TOTAL USD 2.40"));
}
