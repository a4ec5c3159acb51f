//! What goes wrong at printers and at ports for old POS software.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use fiscald::alarms::AlarmCode as C;
use vprinter::Fault;

use crate::operator::acts::shop_with;
use crate::support::alarms::Watch;
use crate::support::api::{Shop, post};
use crate::support::counter::{Counter, paper};
use crate::support::operator::{Operator, PIN, link};
use crate::support::printer::{front, printer, printer_at};

/// A printer with its cover open, without paper, with little of it, too hot, switched off; and each mended.
pub(super) async fn a_printer(watch: &mut Watch) {
    let printer = printer();
    let address: SocketAddr = printer.name().parse().unwrap();
    let shop = Shop::printing(&front(address, "")).await;
    watch.shop(&shop, &[]).await;
    printer.open_cover();
    watch.shop(&shop, &[C::PrinterCoverOpen]).await;
    printer.close_cover();
    watch.shop(&shop, &[]).await;
    printer.set_paper(0);
    watch.shop(&shop, &[C::PrinterPaperOut]).await;
    printer.set_paper(10_000);
    watch.shop(&shop, &[]).await;
    printer.suffer(Fault::PaperLow);
    watch.shop(&shop, &[C::PrinterPaperLow]).await;
    printer.set_paper(10_000);
    watch.shop(&shop, &[]).await;
    printer.suffer(Fault::HeadHot);
    watch.shop(&shop, &[C::PrinterFault]).await;
    printer.suffer(Fault::HeadCool);
    watch.shop(&shop, &[]).await;
    drop(printer);
    shop.sell("T1-1").await;
    watch.shop(&shop, &[C::PrinterAway]).await;
    let _again = printer_at(address);
    // It is tried again after a pause.
    let second = || shop.clock.advance(Duration::from_secs(1));
    watch.shop_while(&shop, &[], second).await;
}

/// The link breaks in the middle of a paper; a person looks, and says that it came out.
pub(super) async fn papers_in_doubt(watch: &mut Watch) {
    let printer = printer();
    let shop = shop_with(&printer).await;
    watch.shop(&shop, &[]).await;
    let mut operator = Operator::at(&shop);
    printer.cut_after_received(200);
    shop.sell("T1-1").await;
    let receipt = operator.page("/operator/till/test-101/receipt/1").await;
    let href = link(&receipt, "print_receipt");
    operator.does(&href, &[("pin", PIN)]).await;
    watch.shop(&shop, &[C::PapersInDoubt]).await;
    let printers = operator.page("/operator/printers").await;
    operator.does(&link(&printers, "came_out"), &[]).await;
    watch.shop(&shop, &[]).await;
}

/// A paper of old POS software whose sums do not fit is put aside, until a person says what becomes of it.
pub(super) async fn papers_put_aside(watch: &mut Watch) {
    let counter = Counter::printing().await;
    counter.print(&paper("A-1", "TAX INVOICE", "9.99"));
    watch.shop(&counter.shop, &[C::PapersPutAside]).await;
    let dropped = post("/v1/captures/1/drop", r#"{"reason": "rung up again"}"#).token("all");
    assert_eq!(counter.shop.ask(&dropped).await.status, 200);
    watch.shop(&counter.shop, &[]).await;
}

/// Another program has the port for old POS software, and gives it back.
pub(super) async fn a_port_that_is_taken(watch: &mut Watch) {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let printer = printer();
    let port = format!(
        "[[pos]]\nname = \"old\"\ndevice_id = 101\nenvironment = \"test\"\nprinter = \"front\"\nkind = \"printer\"\n\
         listen = \"tcp:{address}\"\ntemplates = [\"one-line\"]\n"
    );
    let shop = Shop::printing(&front(printer.name(), &port)).await;
    watch.shop(&shop, &[C::PortShut]).await;
    drop(taken);
    watch.shop(&shop, &[]).await;
}
