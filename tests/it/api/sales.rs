//! Selling: the answer, repeating, keys, hanging up, waiting for FDMS.

use fiscald::api::{ApiSettings, Limits, schema};
use fiscald::ledger::stream::{Parked, Proof, Submission};
use fiscald::ledger::{DayOpening, DayPolicy, Seq, Settings};
use futures_util::future::join_all;
use tokio::io::AsyncWriteExt as _;

use crate::support::api::{Shop, get, post, sale, sale_with};

/// The answer of a sale has everything that a POS needs to print by itself, with exact amounts.
#[tokio::test]
async fn the_answer_of_a_sale() {
    let shop = Shop::open().await;
    let body = sale_with(
        "T1-1",
        r#", "cashier": "Rudo", "tendered": 5, "change": 2.60, "footerLines": ["Thank you"]"#,
    );
    let answer = shop.ask(&post("/v1/receipts", body)).await;
    let receipt = answer.receipt(201);
    assert_eq!(
        (receipt.device_id, receipt.environment.as_str()),
        (101, "test")
    );
    assert_eq!(
        (
            receipt.receipt_global_no,
            receipt.receipt_counter,
            receipt.fiscal_day_no
        ),
        (1, 1, 1)
    );
    assert_eq!(receipt.invoice_no, "T1-1");
    assert_eq!(receipt.receipt_date, "2026-05-28T07:00:01");
    assert_eq!(receipt.receipt_total, "2.40");
    let [line] = receipt.receipt_lines.as_slice() else {
        panic!("one line");
    };
    assert_eq!(line.receipt_line_price.as_ref().unwrap(), "1.2");
    assert_eq!(line.receipt_line_total, "2.40");
    assert_eq!(line.receipt_line_no, 1);
    let [tax] = receipt.receipt_taxes.as_slice() else {
        panic!("one tax");
    };
    assert_eq!(tax.tax_percent.as_ref().unwrap(), "15.5");
    assert_eq!(tax.tax_amount, "0.32");
    assert_eq!(tax.sales_amount_with_tax, "2.40");
    assert_eq!(receipt.hash.len(), 44);
    assert_eq!(receipt.verification_code.len(), 19);
    assert!(
        receipt
            .qr_data
            .starts_with("https://fdmstest.zimra.co.zw/0000000101280520260000000001")
    );
    assert_eq!(receipt.fdms.state, "queued");
    assert_eq!(receipt.original_judged, None);
    for wanted in ["FISCAL TAX INVOICE", "TEST", "Rudo", "Thank you", "2.60"] {
        assert!(receipt.print.text.contains(wanted), "{wanted}");
    }
    assert!(
        receipt
            .print
            .text
            .lines()
            .all(|line| line.chars().count() <= 48)
    );
    let qr = receipt
        .print
        .blocks
        .iter()
        .find(|block| block.block == "qr");
    assert_eq!(qr.unwrap().content.as_ref(), Some(&receipt.qr_data));
    assert_eq!(
        answer.headers["location"],
        "/v1/receipts/1?deviceID=101&environment=test"
    );
    assert_eq!(answer.headers["cache-control"], "no-store");

    let again = shop.ask(&get(answer.headers["location"].clone())).await;
    assert_eq!(again.status, 200);
    assert_eq!(again.text(), answer.text(), "read back it is the same");
}

/// Numbers may be strings or spelt otherwise: it is the same sale, and the same bytes come back.
#[tokio::test]
async fn repeating_gives_the_same_bytes() {
    let shop = Shop::open().await;
    let first = shop
        .ask(&post("/v1/receipts", sale("T1-1")).header("idempotency-key", "k1"))
        .await;
    assert_eq!(first.status, 201);
    let spelt = sale("T1-1")
        .replace("1.20", "\"1.2\"")
        .replace("\"paymentAmount\": 2.40", "\"paymentAmount\": 24e-1");
    let second = shop
        .ask(&post("/v1/receipts", spelt).header("idempotency-key", "k1"))
        .await;
    assert_eq!(second.status, 200);
    assert_eq!(first.text(), second.text());
    assert_eq!(first.headers["location"], second.headers["location"]);
    assert_eq!(shop.last_number().await, 1);
}

/// Two hundred posts at once under one key make one receipt, and all hear the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_at_once() {
    let shop = Shop::open().await;
    let ask = post("/v1/receipts", sale("T1-1")).header("idempotency-key", "k1");
    let answers = join_all((0..200).map(|_| shop.ask(&ask))).await;
    let issued = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(issued, 1);
    for answer in &answers {
        assert!([200, 201].contains(&answer.status), "{}", answer.text());
        assert_eq!(answer.text(), answers[0].text());
    }
    assert_eq!(shop.last_number().await, 1);
}

/// The same key for another sale is a conflict, whether the key was sent or is the invoiceNo; a refused
/// sale keeps no key.
#[tokio::test]
async fn another_sale_under_the_key() {
    let shop = Shop::open().await;
    let keyed = |body: String| post("/v1/receipts", body).header("idempotency-key", "k1");
    let refused = sale("T1-1").replace("\"USD\"", "\"XXX\"");
    shop.ask(&keyed(refused)).await.problem(422, "RCPT010");
    shop.ask(&keyed(sale("T1-1"))).await.receipt(201);
    shop.ask(&keyed(sale("T1-2")))
        .await
        .problem(409, "key_conflict");
    shop.sell("T1-3").await;
    let other = sale("T1-3").replace("2.40", "2.4").replace("Bread", "Milk");
    shop.ask(&post("/v1/receipts", other))
        .await
        .problem(409, "key_conflict");
    // Another key, but an invoiceNo that is taken.
    let taken = post("/v1/receipts", sale("T1-3")).header("idempotency-key", "k2");
    let problem = shop.ask(&taken).await.problem(422, "RCPT013");
    assert_eq!(problem.pointer.as_deref(), Some("/invoiceNo"));
    // Another till has keys of its own.
    let two = post("/v1/receipts", sale("T2-1"))
        .token("two")
        .header("idempotency-key", "k1");
    shop.ask(&two).await.receipt(201);
    assert_eq!(shop.last_number().await, 2);
}

/// A POS that hangs up before the answer has sold all the same: the receipt is there, found by its key.
#[tokio::test]
async fn gone_before_the_answer() {
    let shop = Shop::open().await;
    let mut committed = shop.ledger.committed();
    for number in 1..=20_u32 {
        let body = sale(&format!("T1-{number}"));
        let mut stream = shop.stream().await;
        let head = format!(
            "POST /v1/receipts HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer one\r\n\
             content-type: application/json\r\nidempotency-key: k{number}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body.as_bytes()).await.unwrap();
        drop(stream);
        while shop.last_number().await < number {
            committed.changed().await.unwrap();
        }
        let found = shop.ask(&get(format!("/v1/receipts?key=k{number}"))).await;
        let found: schema::Receipts = found.read(200);
        assert_eq!(found.receipts[0].receipt_global_no, number);
    }
    assert_eq!(shop.last_number().await, 20);
}

/// With `wait` the answer has what FDMS said, if it says so in time; the same sale asked again without
/// `wait` is answered as it was issued.
#[tokio::test]
async fn waiting_for_fdms() {
    let shop = Shop::open().await;
    let till = shop.tills[0];
    let ask = post("/v1/receipts?wait=60000", sale("T1-1"));
    let waiting = shop.ask(&ask);
    let answering = async {
        let mut committed = shop.ledger.committed();
        while shop.last_number().await < 1 {
            committed.changed().await.unwrap();
        }
        for answer in [
            r#"{"fiscalDayNo":1,"operationID":"op-0"}"#,
            r#"{"receiptID":77,"serverDate":"2026-05-28T07:00:02","operationID":"op-1",
                "validationErrors":[{"validationErrorCode":"RCPT030","validationErrorColor":"Red"}]}"#,
        ] {
            let (_, head) = shop.ledger.ask(move |r| r.stream(till)).await.unwrap();
            let submission = Submission {
                operation_id: Some("op-1".to_owned()),
                color: Some("Red".to_owned()),
                answer: answer.to_owned(),
                marks: vec!["RCPT030 Red".to_owned()],
                proof: Some(Proof::Invalid),
                ..Submission::default()
            };
            let done = shop
                .ledger
                .write(move |core| core.finish_item(till, &head.unwrap(), &submission));
            done.await.unwrap();
        }
    };
    let (answer, ()) = tokio::join!(waiting, answering);
    let fdms = answer.receipt(201).fdms;
    assert_eq!(
        (fdms.state.as_str(), fdms.receipt_id),
        ("accepted", Some(77))
    );
    assert_eq!(fdms.operation_id.as_deref(), Some("op-1"));
    assert_eq!(fdms.color.as_deref(), Some("Red"));
    // A signature of FDMS that does not fit is told, and an event; the receipt is accepted all the same.
    assert_eq!(fdms.server_signature.as_deref(), Some("invalid"));
    let events = shop.ledger.reader().events(Seq(0), None, 100).unwrap();
    let alarms = events.iter().filter(|e| e.kind == "fdms.signature_invalid");
    assert_eq!(alarms.count(), 2, "of both items");
    assert_eq!(fdms.server_date.as_deref(), Some("2026-05-28T07:00:02"));
    let errors = fdms.validation_errors.unwrap();
    assert_eq!(errors[0].validation_error_code, "RCPT030");

    let again = shop.ask(&post("/v1/receipts", sale("T1-1"))).await;
    assert_eq!(again.receipt(200).fdms.state, "queued");
    let waited = shop.ask(&ask).await;
    assert_eq!(waited.receipt(200).fdms.state, "accepted");
    let read: schema::Receipt = shop.ask(&get("/v1/receipts/1")).await.receipt(200);
    assert_eq!(read.fdms.state, "accepted");

    // The day can no longer be closed by the device: the status says which receipt, which rule, what to do.
    let status: schema::Status = shop.ask(&get("/v1/status")).await.read(200);
    let day = status.tills[0].day.as_ref().unwrap();
    let red = day.red_receipts.as_ref().unwrap();
    assert_eq!((red.len(), red[0].receipt_global_no), (1, 1));
    assert_eq!(red[0].marks, ["RCPT030 Red"]);
    assert!(day.not_closable.as_ref().unwrap().contains("portal"));
}

/// Waiting ends in time, when the queue is parked, and when the daemon stops; the receipt stands.
#[tokio::test]
async fn waiting_ends() {
    let mut shop = Shop::open().await;
    let till = shop.tills[0];
    let answer = shop.ask(&post("/v1/receipts?wait=1", sale("T1-1"))).await;
    assert_eq!(answer.receipt(201).fdms.state, "queued");
    for wait in ["60001", "-1", "soon", ""] {
        let ask = post(format!("/v1/receipts?wait={wait}"), sale("T1-2"));
        let problem = shop.ask(&ask).await.problem(400, "parameter_invalid");
        assert_eq!(problem.parameter.as_deref(), Some("wait"));
    }
    let (mut state, _) = shop.ledger.ask(move |r| r.stream(till)).await.unwrap();
    state.parked = Some(Parked {
        reason: "the day was closed by hand".to_owned(),
        code: "RCPT01".to_owned(),
        answer: None,
        actions: vec!["retry".to_owned()],
        probing: false,
        since: "2026-05-28T05:00:00Z".parse().unwrap(),
    });
    let parked = state.clone();
    let written = shop.ledger.write(move |core| core.update_stream(&parked));
    written.await.unwrap();
    let ask = post("/v1/receipts?wait=60000", sale("T1-2"));
    let fdms = shop.ask(&ask).await.receipt(201).fdms;
    assert_eq!(
        (fdms.state.as_str(), fdms.code.as_deref()),
        ("parked", Some("RCPT01"))
    );
    assert_eq!(fdms.since.as_deref(), Some("2026-05-28T07:00:00"));

    state.parked = None;
    let written = shop.ledger.write(move |core| core.update_stream(&state));
    written.await.unwrap();
    let ask = post("/v1/receipts?wait=60000", sale("T1-3"));
    let waiting = shop.ask(&ask);
    let stopping = async {
        let mut committed = shop.ledger.committed();
        while shop.last_number().await < 3 {
            committed.changed().await.unwrap();
        }
        shop.stop.cancel();
    };
    let (answer, ()) = tokio::join!(waiting, stopping);
    assert_eq!(answer.receipt(201).fdms.state, "queued");
    while shop.serving.join_next().await.is_some() {}
}

/// A preview shows the receipt and what is wrong with it, and keeps nothing.
#[tokio::test]
async fn previews_keep_nothing() {
    let shop = Shop::open().await;
    for _ in 0..3 {
        let answer = shop.ask(&post("/v1/receipts/preview", sale("T1-1"))).await;
        let preview: schema::Preview = answer.read(200);
        assert!(preview.preview);
        assert_eq!(preview.receipt_total, "2.40");
        assert_eq!(preview.receipt_global_no, 1);
        assert!(preview.print.text.contains("PREVIEW"));
        assert!(!preview.print.blocks.iter().any(|block| block.block == "qr"));
    }
    let wrong = sale("T1-1").replace("2.40", "2.39");
    let ask = post("/v1/receipts/preview", wrong);
    let problem = shop.ask(&ask).await.problem(422, "RCPT039");
    assert_eq!(problem.pointer.as_deref(), Some("/receiptPayments"));
    assert_eq!(shop.last_number().await, 0);
    assert_eq!(shop.sell("T1-1").await.receipt_global_no, 1);
}

/// Keys that could not be told apart later are refused.
#[tokio::test]
async fn keys_must_be_usable() {
    let shop = Shop::open().await;
    for key in ["", "with space", &"k".repeat(201), "é"] {
        let ask = post("/v1/receipts", sale("T1-1")).header("idempotency-key", key);
        shop.ask(&ask).await.problem(400, "key_invalid");
    }
    let mut twice = post("/v1/receipts", sale("T1-1")).header("idempotency-key", "a");
    twice.headers.push(("idempotency-key", "b".to_owned()));
    shop.ask(&twice).await.problem(400, "key_invalid");
    let longest = post("/v1/receipts", sale("T1-1")).header("idempotency-key", "k".repeat(200));
    shop.ask(&longest).await.receipt(201);
}

/// Where days are opened by hand, a sale before that is a conflict that numbers nothing.
#[tokio::test]
async fn no_day_is_open() {
    let settings = Settings {
        days: DayPolicy {
            opening: DayOpening::ByHand,
            ..DayPolicy::default()
        },
        ..Settings::default()
    };
    let shop = Shop::with(ApiSettings::default(), settings).await;
    let ask = post("/v1/receipts", sale("T1-1"));
    shop.ask(&ask).await.problem(409, "day_not_open");
    let day: schema::Day = shop.ask(&post("/v1/days/open", "")).await.read(201);
    assert_eq!((day.fiscal_day_no, day.state.as_str()), (1, "open"));
    shop.ask(&post("/v1/days/open", ""))
        .await
        .problem(409, "day_open");
    shop.ask(&ask).await.receipt(201);
}

/// A ledger that stops says so; nothing hangs.
#[tokio::test]
async fn a_stopping_ledger() {
    let limits = Limits {
        drain: std::time::Duration::from_secs(1),
        ..Limits::default()
    };
    let settings = ApiSettings {
        limits,
        ..ApiSettings::default()
    };
    let shop = Shop::with(settings, Settings::default()).await;
    shop.sell("T1-1").await;
    let ledger = shop.ledger.clone();
    tokio::task::spawn_blocking(move || ledger.stop())
        .await
        .unwrap();
    let ask = post("/v1/receipts", sale("T1-2"));
    shop.ask(&ask).await.problem(503, "stopping");
    shop.ask(&get("/readyz")).await.problem(503, "stopping");
    shop.ask(&get("/v1/receipts/1")).await.receipt(200);
}
