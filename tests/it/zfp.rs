//! Software that drives a Tremol fiscal printer, from its frames to the ledger and the paper.

use fiscald::api::schema;

use crate::support::api::{PATIENCE, get};
use crate::support::counter::Counter;
use crate::support::paper::scan;
use crate::support::zfp::{Said, Zfp};

/// A refusal's two digits.
fn refused(digits: &str) -> Said {
    Said::Acknowledged(digits.to_owned())
}

/// It sells with a discount, loses an answer and is told it again, sells once; takes back, copies, opens the drawer,
/// closes the day.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tremol_is_driven() {
    let counter = Counter::open(
        "kind = \"zfp\"\nlisten = \"tcp:{port}\"\nhs_code = \"19059090\"\ndrawer = true\n[pos.register]\n\
         currency = \"USD\"\ntaxes = { A = \"15.5%\", B = \"1\" }\n",
    )
    .await;
    let mut zfp = Zfp::new(counter.connect());
    zfp.must(0x30, "1;0000;1;1;4");
    zfp.must(0x31, "Bread                               ;A;1.20*2");
    zfp.must(0x31, "Milk                                ;B;1.00,-10.00");
    zfp.tells(0x33, "0;0", "3.30");
    // The cable is pulled; the receipt is still open, and knows what was sold.
    zfp.stream = counter.connect();
    zfp.tells(0x72, "", "1;2;3.30;0.00");
    assert_eq!(zfp.ask(0x38, ""), refused("42"), "not paid");
    zfp.must(0x35, "0;1;5.00");
    let close = zfp.frame(0x38, "");
    let closed = zfp.send(&close);
    assert_eq!(closed, Said::Acknowledged("00".to_owned()));
    // The answer was lost: the same frame again, on another connection too, is answered the same and sells nothing.
    assert_eq!(zfp.send(&close), closed);
    zfp.stream = counter.connect();
    assert_eq!(zfp.send(&close), closed);
    let sold = counter.receipt(1).await;
    assert_eq!(sold.receipt_total, "3.30");
    let lines: Vec<_> = sold
        .receipt_lines
        .iter()
        .map(|line| {
            (
                line.receipt_line_type.as_str(),
                line.receipt_line_total.as_str(),
            )
        })
        .collect();
    assert_eq!(
        lines,
        [("Sale", "2.40"), ("Sale", "1.00"), ("Discount", "-0.10")]
    );
    let paid: Vec<_> = sold
        .receipt_payments
        .iter()
        .map(|paid| (paid.money_type_code.as_str(), paid.payment_amount.as_str()))
        .collect();
    assert_eq!(paid, [("Cash", "3.30")]);
    assert_eq!(counter.shop.last_number().await, 1);
    assert_eq!(scan(&counter.sheets(1)[0]), [sold.qr_data.as_str()]);
    zfp.tells(0x72, "B", &sold.qr_data);

    // A copy, the drawer, a letter that means nothing, a storno of the first receipt.
    zfp.must(0x3a, "");
    assert!(counter.sheets(2)[1].says("COPY"));
    zfp.must(0x2a, "");
    assert!(
        counter
            .printer
            .wait_until(PATIENCE, |p| p.counts().pulses[0] == 1)
    );
    zfp.must(0x30, "1;0000;1;1;D;0;1;28-05-26 07:00:00;02000001;");
    assert_eq!(zfp.ask(0x31, "Cigars;G;9.00"), refused("04"));
    zfp.must(0x31, "Bread;A;1.20");
    zfp.must(0x35, "0;0;\"");
    zfp.must(0x38, "");
    let note = counter.receipt(2).await;
    assert_eq!(
        (note.receipt_type.as_str(), note.receipt_total.as_str()),
        ("CreditNote", "-1.20")
    );
    counter.sheets(3);

    zfp.must(0x7c, "X");
    assert!(counter.sheets(4)[3].says("X REPORT"));
    let z = zfp.frame(0x7c, "Z");
    let closed = zfp.send(&z);
    assert_eq!(closed, Said::Acknowledged("00".to_owned()));
    assert_eq!(zfp.send(&z), closed);
    assert!(counter.sheets(5)[4].says("Z REPORT"));
    let day: schema::Day = counter.shop.ask(&get("/v1/days/current")).await.read(200);
    assert_eq!((day.state.as_str(), day.fiscal_day_no), ("closed", 1));
    assert_eq!(
        counter.printer.sheets().len(),
        5,
        "the Z report comes out once"
    );
}
