//! A closed gate of head office is met at every door: the API, captured papers, fiscal printers.

use sync_wire::Environment;
use sync_wire::state::{Gate, Wanted};

use super::*;
use crate::support::api::Shop;
use crate::support::api::sale;
use crate::support::hq::{join_nowhere, want};

async fn gate(shop: &Shop, revision: i64, enabled: bool) {
    let wanted = Wanted {
        revision,
        gates: vec![Gate {
            environment: Environment::Test,
            enabled,
            reason: "the profile is under review".to_owned(),
        }],
        ..Wanted::default()
    };
    want(&shop.ledger, wanted).await;
}

/// The API says why and what to do, also in the status; a paper is put aside with the reason and can be sold later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_and_papers() {
    let counter = Counter::printing().await;
    let shop = &counter.shop;
    join_nowhere(&shop.ledger).await;
    gate(shop, 1, false).await;
    for path in ["/v1/receipts", "/v1/receipts/preview"] {
        let problem = shop.ask(&post(path, sale("A-0"))).await;
        let problem = problem.problem(409, "disabled");
        assert!(
            problem.detail.contains("under review"),
            "{}",
            problem.detail
        );
    }
    let opening = shop.ask(&post("/v1/days/open", "")).await;
    opening.problem(409, "disabled");
    let status: schema::Status = shop.ask(&get("/v1/status")).await.read(200);
    let hold = status.tills[0].hold.as_ref().unwrap();
    assert_eq!(hold.kind, "disabled");
    counter.print(&paper("A-1", "TAX INVOICE", "3.40"));
    counter.sheets(1);
    let captured = counter.captures().await.remove(0);
    assert_eq!(captured.state, "quarantined");
    assert!(captured.reasons.join("; ").contains("under review"));
    assert_eq!(shop.last_number().await, 0);
    gate(shop, 2, true).await;
    let status: schema::Status = shop.ask(&get("/v1/status")).await.read(200);
    assert!(status.tills[0].hold.is_none());
    shop.sell("A-0").await;
}

/// A fiscal printer refuses to end the receipt; it stays open, and ends once the gate is open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fiscal_printers() {
    let counter = Counter::open(
        "kind = \"isl\"\nlisten = \"tcp:{port}\"\nhs_code = \"19059090\"\n[pos.register]\ncurrency = \"USD\"\ntaxes = { A = \"15.5%\", B = \"1\" }\n",
    )
    .await;
    join_nowhere(&counter.shop.ledger).await;
    gate(&counter.shop, 1, false).await;
    let mut isl = Isl {
        stream: counter.connect(),
        seq: 0x20,
    };
    isl.ask(0x30, "1,0000,1");
    isl.ask(0x31, "Bread\tA1.20*2");
    isl.ask(0x35, "\tP5.00");
    let (_, status) = isl.ask(0x38, "");
    assert_eq!(status[0] & 0x20, 0x20, "it is refused");
    assert_eq!(counter.shop.last_number().await, 0);
    gate(&counter.shop, 2, true).await;
    let (closed, status) = isl.ask(0x38, "");
    assert_eq!(status[0] & 0x20, 0, "{closed}");
    assert_eq!(counter.receipt(1).await.receipt_total, "2.40");
}
