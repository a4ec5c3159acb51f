//! Asking for receipts, and for the state of the store.

use fiscald::api::schema;
use fiscald::ledger::stream::Parked;

use crate::support::api::{Shop, get, post, sale};

/// A receipt as JSON, as text of any width, as a copy, as a QR code in two kinds of picture.
#[tokio::test]
async fn one_receipt_in_every_form() {
    let shop = Shop::open().await;
    let sold = shop.sell("T1-1").await;
    let read: schema::Receipt = shop.ask(&get("/v1/receipts/1")).await.receipt(200);
    assert_eq!(read.signature, sold.signature);
    let text = shop.ask(&get("/v1/receipts/1/text")).await;
    assert_eq!(text.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(text.text(), sold.print.text);
    let short = shop.ask(&get("/v1/receipts/1.txt")).await;
    assert_eq!(short.text(), sold.print.text);
    let narrow = shop
        .ask(&get("/v1/receipts/1/text?columns=32&copy=true"))
        .await;
    assert!(narrow.text().lines().all(|line| line.chars().count() <= 32));
    assert!(narrow.text().contains("COPY") && !text.text().contains("COPY"));

    let svg = shop.ask(&get("/v1/receipts/1/qr.svg")).await;
    assert_eq!(svg.headers["content-type"], "image/svg+xml");
    assert!(svg.text().contains("<svg"));
    let picture = shop.ask(&get("/v1/receipts/1/qr.png?scale=3")).await;
    assert_eq!(picture.headers["content-type"], "image/png");
    let decoder = png::Decoder::new(std::io::Cursor::new(&picture.body));
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    let code = qrcode::QrCode::with_error_correction_level(&sold.qr_data, qrcode::EcLevel::M);
    let code = code.unwrap();
    assert_eq!(usize::try_from(info.width).unwrap(), (code.width() + 8) * 3);
    for y in 0..code.width() {
        for x in 0..code.width() {
            // The middle of each module.
            let at = |module: usize| (module + 4) * 3 + 1;
            let byte = pixels[at(y) * info.line_size + at(x) / 8];
            let is_white = byte >> (7 - at(x) % 8) & 1 == 1;
            assert_eq!(is_white, code[(x, y)] == qrcode::Color::Light, "{x} {y}");
        }
    }
}

/// What is not there is a 404 of its own kind, what is no number a 400.
#[tokio::test]
async fn what_is_not_there() {
    let shop = Shop::open().await;
    for rest in ["", "/text", "/qr.svg", "/qr.png", "/creditable", ".txt"] {
        let answer = shop.ask(&get(format!("/v1/receipts/7{rest}"))).await;
        answer.problem(404, "receipt_unknown");
        for wrong in ["seven", "-7", "99999999999"] {
            let answer = shop.ask(&get(format!("/v1/receipts/{wrong}{rest}"))).await;
            let problem = answer.problem(400, "parameter_invalid");
            assert_eq!(problem.parameter.as_deref(), Some("receiptGlobalNo"));
        }
    }
    shop.ask(&get("/v1/receipt"))
        .await
        .problem(404, "path_unknown");
    shop.ask(&get("/v2/receipts"))
        .await
        .problem(404, "path_unknown");
    let answer = shop.ask(&get("/v1/days/open")).await;
    assert_eq!(answer.status, 405, "{}", answer.text());
    let answer = shop.ask(&post("/v1/status", "")).await;
    answer.problem(405, "method_not_allowed");
    assert_eq!(answer.headers["allow"], "GET,HEAD");
    let answer = shop.ask(&get("/v1/receipts/1/text?width=5")).await;
    answer.problem(400, "parameter_unknown");
}

/// Lists: newest first, by pages, filtered; by number of the shop and by key the whole receipt.
#[tokio::test]
async fn lists() {
    let shop = Shop::open().await;
    for number in 1..=7_u32 {
        let currency = if number % 2 == 0 { "ZWG" } else { "USD" };
        let body = sale(&format!("T1-{number}")).replace("USD", currency);
        let ask = post("/v1/receipts", body).header("idempotency-key", format!("k{number}"));
        shop.ask(&ask).await.receipt(201);
    }
    let list = async |query: &str| -> schema::Receipts {
        shop.ask(&get(format!("/v1/receipts?{query}")))
            .await
            .read(200)
    };
    let numbers = |list: &schema::Receipts| -> Vec<u32> {
        list.receipts
            .iter()
            .map(|row| row.receipt_global_no)
            .collect()
    };
    let mut seen = Vec::new();
    let mut query = "limit=3".to_owned();
    loop {
        let page = list(&query).await;
        seen.extend(numbers(&page));
        match page.next_before {
            Some(before) => query = format!("limit=3&before={before}"),
            None => break,
        }
    }
    assert_eq!(seen, [7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(numbers(&list("receiptCurrency=ZIG").await), [6, 4, 2]);
    assert!(numbers(&list("receiptType=CreditNote").await).is_empty());
    assert_eq!(numbers(&list("fiscalDayNo=1&limit=1").await), [7]);
    assert!(numbers(&list("fiscalDayNo=2").await).is_empty());
    // One receipt a second from 07:00:01 on.
    let window = "from=2026-05-28T07:00:02&till=2026-05-28T07:00:04";
    assert_eq!(numbers(&list(window).await), [4, 3, 2]);
    assert_eq!(numbers(&list("till=2026-05-28").await).len(), 7);
    assert!(numbers(&list("from=2026-05-29").await).is_empty());

    for query in ["invoiceNo=T1-3", "key=k3"] {
        let answer = shop.ask(&get(format!("/v1/receipts?{query}"))).await;
        let found: serde_json::Value = answer.read(200);
        let whole: schema::Receipt =
            serde_json::from_str(&found["receipts"][0].to_string()).unwrap();
        assert_eq!(whole.receipt_global_no, 3);
    }
    assert!(numbers(&list("key=nothing").await).is_empty());
    for wrong in [
        "limit=0",
        "limit=501",
        "before=x",
        "receiptType=Invoice",
        "receiptCurrency=dollars",
        "from=yesterday",
    ] {
        let answer = shop.ask(&get(format!("/v1/receipts?{wrong}"))).await;
        let problem = answer.problem(400, "parameter_invalid");
        assert_eq!(problem.parameter.as_deref(), wrong.split('=').next());
    }
    for wrong in ["key=a&invoiceNo=b", "key=a&limit=5", "invoice=1"] {
        let answer = shop.ask(&get(format!("/v1/receipts?{wrong}"))).await;
        answer.problem(400, "parameter_unknown");
    }
}

/// The state of the store tells of tills, clock, ledger and queue; the queue can be let go on.
#[tokio::test]
async fn state_of_the_store() {
    let shop = Shop::open().await;
    let status: schema::Status = shop.ask(&get("/v1/status")).await.read(200);
    assert_eq!(status.version, env!("CARGO_PKG_VERSION"));
    assert!(status.ledger.writable);
    assert_eq!(status.time.trusted, "2026-05-28T07:00:00");
    let [till] = status.tills.as_slice() else {
        panic!("one till");
    };
    assert!(till.ready && till.day.is_none() && till.last_receipt.is_none());
    assert_eq!(till.fdms.state, "sent");
    let taxpayer = till.taxpayer.as_ref().unwrap();
    let percents: Vec<_> = taxpayer
        .applicable_taxes
        .iter()
        .map(|tax| {
            (
                tax.tax_id,
                tax.tax_percent.as_ref().map(|p| p.as_str().to_owned()),
            )
        })
        .collect();
    assert!(percents.contains(&(1, None)));
    assert!(percents.contains(&(517, Some("15.5".to_owned()))));
    assert!(till.certificate.as_ref().unwrap().days_left > 0);

    shop.sell("T1-1").await;
    shop.sell("T1-2").await;
    let status: schema::Status = shop.ask(&get("/v1/status")).await.read(200);
    let till = &status.tills[0];
    assert_eq!(till.last_receipt.as_ref().unwrap().receipt_global_no, 2);
    let day = till.day.as_ref().unwrap();
    assert_eq!((day.fiscal_day_no, day.receipt_counter), (1, 2));
    assert_eq!(day.longest_until.as_deref(), Some("2026-05-29T07:00:00"));
    assert_eq!(
        (
            till.fdms.state.as_str(),
            till.fdms.unsent,
            till.fdms.unsent_receipts
        ),
        ("waiting", 3, 2)
    );
    assert_eq!(till.fdms.head.as_ref().unwrap().what, "openDay");

    let id = shop.tills[0];
    let (mut state, _) = shop.ledger.ask(move |r| r.stream(id)).await.unwrap();
    state.attempts = 3;
    state.last_error = Some("HTTP 502".to_owned());
    let tried = state.clone();
    let written = shop.ledger.write(move |core| core.update_stream(&tried));
    written.await.unwrap();
    let queue: schema::Queues = shop.ask(&get("/v1/queue")).await.read(200);
    assert_eq!(
        (queue.tills[0].state.as_str(), queue.tills[0].attempts),
        ("retrying", 3)
    );
    let read: schema::Receipt = shop.ask(&get("/v1/receipts/1")).await.receipt(200);
    assert_eq!(
        (read.fdms.state.as_str(), read.fdms.attempts),
        ("queued", Some(3))
    );
    state.parked = Some(Parked {
        reason: "the device is blocked".to_owned(),
        code: "DEV01".to_owned(),
        answer: None,
        actions: vec!["retry".to_owned()],
        probing: false,
        since: "2026-05-28T05:00:00Z".parse().unwrap(),
    });
    let written = shop.ledger.write(move |core| core.update_stream(&state));
    written.await.unwrap();
    let queue: schema::Queues = shop.ask(&get("/v1/queue")).await.read(200);
    let till = &queue.tills[0];
    assert_eq!(till.state, "parked");
    assert_eq!(till.parked.as_ref().unwrap().actions, ["retry"]);
    shop.sell("T1-3").await;
    let queue: schema::Queues = shop.ask(&post("/v1/queue/retry", "")).await.read(200);
    assert_eq!(
        (queue.tills[0].state.as_str(), queue.tills[0].attempts),
        ("waiting", 0)
    );
}

/// Alive and ready are asked without a token.
#[tokio::test]
async fn alive_and_ready() {
    let shop = Shop::open().await;
    let ask = |path| get(path).without("authorization");
    let health: schema::Health = shop.ask(&ask("/healthz")).await.read(200);
    assert_eq!(health.status, "ok");
    let ready: schema::Health = shop.ask(&ask("/readyz")).await.read(200);
    assert_eq!(ready.status, "ready");
}
