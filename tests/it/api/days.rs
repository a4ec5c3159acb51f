//! Fiscal days over the API.

use fiscald::api::schema;

use crate::support::api::{Shop, get, post, sale};

/// A close that names its day may be sent again after a lost answer, and never closes the day after.
#[tokio::test]
async fn a_close_that_is_repeated() {
    let shop = Shop::open().await;
    let close = |no: u32| post(format!("/v1/days/close?fiscalDayNo={no}"), "");
    shop.ask(&close(1)).await.problem(404, "day_unknown");
    shop.ask(&close(0)).await.problem(404, "day_unknown");
    shop.sell("T1-1").await;
    let closed: schema::Day = shop.ask(&close(1)).await.read(200);
    assert_eq!((closed.fiscal_day_no, closed.state.as_str()), (1, "closed"));
    shop.sell("T1-2").await;
    let again: schema::Day = shop.ask(&close(1)).await.read(200);
    assert_eq!((again.fiscal_day_no, &again.hash), (1, &closed.hash));
    let open: schema::Day = shop.ask(&get("/v1/days/current")).await.read(200);
    assert_eq!((open.fiscal_day_no, open.state.as_str()), (2, "open"));
    shop.ask(&post("/v1/days/close?fiscalDayNo=x", ""))
        .await
        .problem(400, "parameter_invalid");
}

/// A day opens with the first sale, shows its X report, closes, shows its Z report, and the next begins.
#[tokio::test]
async fn the_life_of_a_day() {
    let shop = Shop::open().await;
    let current = get("/v1/days/current");
    shop.ask(&current).await.problem(404, "day_unknown");
    let close = post("/v1/days/close", "");
    shop.ask(&close).await.problem(409, "day_not_open");
    shop.sell("T1-1").await;
    let zwg = sale("T1-2").replace("USD", "ZWG");
    shop.ask(&post("/v1/receipts", zwg)).await.receipt(201);

    let day: schema::Day = shop.ask(&current).await.read(200);
    assert_eq!((day.state.as_str(), day.receipt_counter), ("open", 2));
    assert!(day.hash.is_none() && day.fdms.close.is_none());
    let tax = &day.fiscal_day_counters[0];
    assert_eq!(tax.fiscal_counter_type, "SaleByTax");
    assert_eq!(tax.fiscal_counter_value, "2.40");
    let x: schema::Report = shop.ask(&get("/v1/days/1/x")).await.read(200);
    assert_eq!(x.report, "X");
    let currencies: Vec<_> = x.currencies.iter().map(|c| c.currency.as_str()).collect();
    assert_eq!(currencies, ["USD", "ZWG"]);
    let usd = &x.currencies[0];
    assert_eq!(
        (usd.net.as_str(), usd.tax.as_str(), usd.gross.as_str()),
        ("2.08", "0.32", "2.40")
    );
    assert_eq!((usd.invoices.quantity, usd.credit_notes.quantity), (1, 0));
    let text = shop
        .ask(&get("/v1/days/current/x?format=text&columns=32"))
        .await;
    assert!(text.text().contains("X REPORT"));
    assert!(text.text().lines().all(|line| line.chars().count() <= 32));
    shop.ask(&get("/v1/days/1/z"))
        .await
        .problem(409, "day_open");

    let closed: schema::Day = shop.ask(&close).await.read(200);
    assert_eq!((closed.fiscal_day_no, closed.state.as_str()), (1, "closed"));
    assert_eq!(closed.fdms.close.as_ref().unwrap().state, "queued");
    assert_eq!(
        closed.fiscal_day_counters.len(),
        day.fiscal_day_counters.len()
    );
    assert!(closed.signature.is_some());
    shop.ask(&close).await.problem(409, "day_not_open");
    shop.ask(&get("/v1/days/1/x"))
        .await
        .problem(409, "day_closed");
    let z: schema::Report = shop.ask(&get("/v1/days/1/z")).await.read(200);
    assert_eq!(z.report, "Z");
    assert!(z.print.text.contains("Z REPORT"));
    assert_eq!(z.currencies[0].gross, "2.40");
    let again: schema::Day = shop.ask(&get("/v1/days/1")).await.read(200);
    assert_eq!(again.hash, closed.hash);

    let next: schema::Day = shop.ask(&post("/v1/days/open", "")).await.read(201);
    assert_eq!((next.fiscal_day_no, next.receipt_counter), (2, 0));
    let sold = shop.sell("T1-3").await;
    assert_eq!(
        (
            sold.fiscal_day_no,
            sold.receipt_counter,
            sold.receipt_global_no
        ),
        (2, 1, 3)
    );
    shop.ask(&get("/v1/days/3"))
        .await
        .problem(404, "day_unknown");
    for wrong in ["first", "-1", ""] {
        let answer = shop.ask(&get(format!("/v1/days/{wrong}"))).await;
        assert!([400, 404].contains(&answer.status), "{}", answer.text());
    }
    let answer = shop.ask(&get("/v1/days/1/z?format=pdf")).await;
    answer.problem(400, "parameter_invalid");
}
