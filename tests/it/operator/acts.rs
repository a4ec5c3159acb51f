//! Everything that can be done on the page is done, and does what it says.

use fiscald::ledger::captured::CapturedState;
use fiscald::ledger::printing::PrintRow;
use vprinter::VirtualPrinter;

use crate::support::api::{PATIENCE, Shop};
use crate::support::operator::{Operator, PIN, jobs_when, link, set_pin};
use crate::support::printer::{front, printer};

/// A shop with this printer, with a drawer, which asks a person about papers in doubt.
pub(crate) async fn shop_with(printer: &VirtualPrinter) -> Shop {
    let more = "drawer = true\nafter_unknown = \"ask\"\nz_reports = false\n";
    let printers = front(printer.name(), more);
    let shop = Shop::printing(&format!("[store]\nprint = \"on_request\"\n{printers}")).await;
    set_pin(&shop).await;
    shop
}

fn is_done(jobs: &[PrintRow]) -> bool {
    jobs.first().is_some_and(|job| job.state == "done")
}

/// Receipts come out again as copies, reports come out, a test page, the drawer; all of it audited.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_printed() {
    let printer = printer();
    let shop = shop_with(&printer).await;
    shop.sell("T1-1").await;
    let mut operator = Operator::at(&shop);
    let receipt = "/operator/till/test-101/receipt/1";
    for count in 1..=2 {
        let page = operator.page(receipt).await;
        assert!(page.contains("T1-1") && page.contains("FISCAL TAX INVOICE"));
        let href = link(&page, "print_receipt");
        let done = operator.does(&href, &[("pin", PIN)]).await;
        assert!(done.contains("in the printer's queue"));
        let sheets = printer.wait_for_sheets(count, PATIENCE);
        assert_eq!(sheets.len(), count);
        let is_copy = sheets[count - 1]
            .lines()
            .iter()
            .any(|line| line.trim() == "COPY");
        assert_eq!(is_copy, count == 2);
    }
    let report = operator.page("/operator/till/test-101/day/1").await;
    assert!(report.contains("X REPORT"));
    let href = link(&report, "print_day");
    operator.does(&href, &[]).await;
    assert!(printer.wait_for_sheets(3, PATIENCE)[2].says("X REPORT"));
    let printers = operator.page("/operator/printers").await;
    operator.does(&link(&printers, "test_page"), &[]).await;
    assert!(printer.wait_for_sheets(4, PATIENCE)[3].says("TEST PAGE"));
    let done = operator.does(&link(&printers, "drawer"), &[]).await;
    assert!(done.contains("The drawer was told to open."));
    let jobs = jobs_when(&shop, is_done).await;
    assert_eq!(jobs[0].kind, "drawer");

    let close = link(&operator.page("/operator").await, "close_day");
    operator.does(&close, &[]).await;
    let report = operator.page("/operator/till/test-101/day/1").await;
    assert!(report.contains("Z REPORT"));
    operator.does(&link(&report, "print_day"), &[]).await;
    assert!(printer.wait_for_sheets(5, PATIENCE)[4].says("Z REPORT"));
    let asked = shop.audited("print.ask");
    assert_eq!(asked, vec!["operator's page"; 5]);
    assert_eq!(shop.audited("drawer.open"), ["operator's page"]);
}

/// A paper in doubt is settled, whichever way; one that waits is taken out of the queue; alarms come and go with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn papers_in_doubt_and_waiting() {
    let printer = printer();
    let shop = shop_with(&printer).await;
    let mut operator = Operator::at(&shop);
    for (number, act) in [(1, "came_out"), (2, "not_out")] {
        printer.cut_after_received(200);
        shop.sell(&format!("T1-{number}")).await;
        let receipt = format!("/operator/till/test-101/receipt/{number}");
        let href = link(&operator.page(&receipt).await, "print_receipt");
        operator.does(&href, &[("pin", PIN)]).await;
        let in_doubt = |jobs: &[PrintRow]| jobs.iter().any(|job| job.state == "unknown");
        jobs_when(&shop, in_doubt).await;
        let alarms = operator.page("/operator/alarms").await;
        assert!(alarms.contains("Nobody knows if 1 paper came out of printer front."));
        let printers = operator.page("/operator/printers").await;
        operator.does(&link(&printers, act), &[]).await;
        jobs_when(&shop, |jobs| !in_doubt(jobs)).await;
        let alarms = operator.page("/operator/alarms").await;
        assert!(!alarms.contains("Nobody knows"), "{alarms}");
    }
    jobs_when(&shop, is_done).await;
    assert_eq!(shop.audited("print.settle"), vec!["operator's page"; 2]);

    printer.open_cover();
    shop.sell("T1-3").await;
    shop.sell("T1-4").await;
    for number in [3, 4] {
        let receipt = format!("/operator/till/test-101/receipt/{number}");
        let href = link(&operator.page(&receipt).await, "print_receipt");
        operator.does(&href, &[]).await;
    }
    jobs_when(&shop, |jobs| jobs.iter().any(|job| job.state == "held")).await;
    let alarms = operator.page("/operator/alarms").await;
    assert!(
        alarms.contains("The cover of printer front is open."),
        "{alarms}"
    );
    // The first of them may just be tried; the other one waits.
    let href = format!(
        "/operator/do/cancel?no={}&back=%2Foperator%2Fprinters",
        newest(&shop).await
    );
    let done = operator.does(&href, &[]).await;
    assert!(done.contains("The paper will not be printed."));
    printer.close_cover();
    jobs_when(&shop, |jobs| {
        jobs.iter()
            .any(|job| job.state == "done" && job.receipt.is_some_and(|no| no.get() == 3))
    })
    .await;
    let alarms = operator.page("/operator/alarms").await;
    assert!(!alarms.contains("The cover"), "{alarms}");
}

async fn newest(shop: &Shop) -> i64 {
    let jobs = shop.ledger.ask(|reader| reader.last_prints(None, None, 1));
    jobs.await.unwrap()[0].id.0
}

/// The queue is paused and let go on; papers that could not be sold are set aside for good; both with a reason.
#[tokio::test]
async fn the_queue_and_papers_put_aside() {
    let shop = Shop::open().await;
    set_pin(&shop).await;
    shop.sell("T1-1").await;
    let mut operator = Operator::at(&shop);
    let queue = operator.page("/operator/queue").await;
    assert!(queue.contains("2 wait to be sent") && queue.contains("Opening of day 1"));
    let pause = link(&queue, "pause");
    let refused = operator
        .answer(&pause, &[("pin", PIN), ("reason", "")])
        .await;
    assert_eq!(refused.status, 400, "no reason: {}", refused.text());
    operator.does(&pause, &[("reason", "inventory")]).await;
    let queue = operator.page("/operator/queue").await;
    assert!(queue.contains("2 wait, sending stands still") && queue.contains("inventory"));
    let alarms = operator.page("/operator/alarms").await;
    assert!(alarms.contains("Somebody has paused sending"));
    operator.does(&link(&queue, "send"), &[]).await;
    assert!(
        operator
            .page("/operator/alarms")
            .await
            .contains("There is no alarm.")
    );

    let till = shop.tills[0];
    let paper = shop.ledger.write(move |core| {
        let id = core.keep_captured("old-till", b"Bread 1.20\nTOTAL 1.20\n", 0)?;
        let state = CapturedState::Quarantined("no template fits".to_owned());
        core.settle_captured(till, id, &state, None)?;
        Ok(id)
    });
    let id = paper.await.unwrap();
    let queue = operator.page("/operator/queue").await;
    assert!(queue.contains("no template fits"));
    assert!(
        operator
            .page("/operator/alarms")
            .await
            .contains("1 paper of the old till software")
    );
    let paper = operator.page(&format!("/operator/paper/{id}")).await;
    assert!(paper.contains("Bread 1.20"));
    // Its port is no longer there: the page says what the API says.
    let refused = operator.answer(&link(&paper, "sell_paper"), &[]).await;
    assert!(refused.status >= 400 && refused.text().contains("not in the configuration any more"));
    operator
        .does(&link(&paper, "drop_paper"), &[("reason", "a test")])
        .await;
    assert!(
        !operator
            .page("/operator/queue")
            .await
            .contains("no template fits")
    );
    assert!(
        operator
            .page("/operator/alarms")
            .await
            .contains("There is no alarm.")
    );
    // Nothing connects this shop to an authority: what needs one is refused with words, and the page stays.
    let store = operator.page("/operator/till/test-101").await;
    for act in ["renew", "ask_settings"] {
        let refused = operator.answer(&link(&store, act), &[]).await;
        assert!(
            refused.status >= 400 && refused.text().contains("has no way to FDMS"),
            "{act}"
        );
    }
}

/// A receipt is found by its number, by the shop's number, by day and date; the newest come first, by the page.
#[tokio::test]
async fn receipts_are_found() {
    let shop = Shop::open().await;
    for number in 1..=27 {
        shop.sell(&format!("A-{number}")).await;
    }
    let mut operator = Operator::at(&shop);
    let mut search = async |query: &str| {
        operator
            .page(&format!("/operator/receipts?till=test-101&{query}"))
            .await
    };
    let first = search("").await;
    assert!(first.contains("id=\"receipt-27\"") && first.contains("id=\"receipt-3\""));
    assert!(!first.contains("id=\"receipt-2\"") && first.contains("before=3"));
    assert!(search("before=3").await.contains("id=\"receipt-2\""));
    for (query, found) in [
        ("q=14", true),
        ("q=A-14", true),
        ("q=%20A-14%20", true),
        ("q=A-1400", false),
        ("q=99999999999999", false),
        ("q=%3Cscript%3E", false),
        ("date=2026-05-28", true),
        ("date=2026-05-27", false),
        ("day=1", true),
        ("day=2", false),
        ("day=x", true),
        ("kind=CreditNote", false),
        ("kind=FiscalInvoice&day=1", true),
    ] {
        let page = search(query).await;
        assert_eq!(page.contains("id=\"receipt-14\""), found, "{query}");
        assert_eq!(page.contains("No receipt was found."), !found, "{query}");
        assert!(!page.contains("<script>"), "{query}");
    }
    let bad = search("date=yesterday").await;
    assert!(bad.contains("<h1>"));
}
