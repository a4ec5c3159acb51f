//! How the ports for old POS software are told to be: open or not and why, what means nothing, what came in last.

use std::net::TcpListener;
use std::time::Duration;

use fiscald::api::schema;
use fiscald::testing::sample_config;

use crate::support::api::{PATIENCE, Shop, get, post};
use crate::support::counter::{Counter, paper};
use crate::support::printer::front;

async fn ports(shop: &Shop) -> Vec<schema::Port> {
    let answer: schema::Ports = shop.ask(&get("/v1/pos/ports").token("all")).await.read(200);
    answer.ports
}

/// The first port, once `wanted` is true of it.
async fn port_when(shop: &Shop, wanted: impl Fn(&schema::Port) -> bool) -> schema::Port {
    let looked = async {
        loop {
            let port = ports(shop).await.remove(0);
            if wanted(&port) {
                return port;
            }
            // No event tells of a port: it is asked for again after a moment.
            let mut committed = shop.ledger.committed();
            let _ = tokio::time::timeout(Duration::from_millis(50), committed.changed()).await;
        }
    };
    tokio::time::timeout(PATIENCE, looked).await.unwrap()
}

fn printing_port(name: &str, device: u32, listen: &str) -> String {
    format!(
        "[[pos]]\nname = \"{name}\"\ndevice_id = {device}\nenvironment = \"test\"\nprinter = \"front\"\nkind = \"printer\"\n\
         listen = \"{listen}\"\ntemplates = [\"one-line\"]\n"
    )
}

/// A port that another program has is told of with what to do, and opens by itself once it is free. A till's own token
/// sees its own ports.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let all = front(
        "127.0.0.1:9",
        &[
            printing_port("front", 101, &format!("tcp:{address}")),
            printing_port("back", 999, "tcp:127.0.0.1:1"),
        ]
        .concat(),
    );
    let shop = Shop::printing(&all).await;
    let shut = port_when(&shop, |port| port.state == "cannot_open").await;
    let (error, action) = (shut.error.unwrap(), shut.action.unwrap());
    assert!(error.contains("another program listens there"), "{error}");
    assert!(error.contains(&address.to_string()), "{error}");
    assert!(
        action.contains("ss -ltnp") && action.contains("listen"),
        "{action}"
    );
    assert_eq!((shut.quarantined, shut.last_paper.is_none()), (0, true));
    drop(taken);
    let open = port_when(&shop, |port| port.state == "open").await;
    assert_eq!((open.error, open.action), (None, None));
    assert_eq!(
        (open.name.as_str(), open.device_id, open.kind.as_str()),
        ("front", 101, "printer")
    );

    let nobodys = &ports(&shop).await[1];
    assert_eq!(nobodys.state, "cannot_open");
    assert!(
        nobodys.error.as_ref().unwrap().contains("999"),
        "{nobodys:?}"
    );
    assert!(
        nobodys
            .action
            .as_ref()
            .unwrap()
            .contains("fiscald register")
    );
    let own: schema::Ports = shop.ask(&get("/v1/pos/ports")).await.read(200);
    assert_eq!(own.ports.len(), 1);
    let others: schema::Ports = shop.ask(&get("/v1/pos/ports").token("two")).await.read(200);
    assert!(others.ports.is_empty());
}

/// The last paper and those that are put aside.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_in() {
    let counter = Counter::printing().await;
    counter.print(&paper("A-1", "TAX INVOICE", "3.40"));
    let port = ports(&counter.shop).await.remove(0);
    let last = port.last_paper.unwrap();
    assert_eq!((last.capture, last.job), (Some(1), None));
    assert_eq!(
        (last.state.as_str(), last.receipt_global_no),
        ("sold", Some(1))
    );
    assert_eq!((port.quarantined, port.warnings.len()), (0, 0));
    counter.print(&paper("A-2", "TAX INVOICE", "9.99"));
    let port = ports(&counter.shop).await.remove(0);
    let last = port.last_paper.unwrap();
    assert_eq!(
        (last.capture, last.state.as_str()),
        (Some(2), "quarantined")
    );
    assert_eq!(port.quarantined, 1);
    let dropped = post("/v1/captures/2/drop", r#"{"reason": "rung up again"}"#).token("all");
    assert_eq!(counter.shop.ask(&dropped).await.status, 200);
    assert_eq!(ports(&counter.shop).await[0].quarantined, 0);
}

/// Letters and a currency that mean nothing are known when the port starts, and when FDMS changes its taxes: before the
/// first receipt is closed with them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_that_mean_nothing() {
    let counter = Counter::open(
        "kind = \"isl\"\nlisten = \"tcp:{port}\"\n[pos.register]\ncurrency = \"KES\"\n\
         taxes = { A = \"15.5%\", B = \"1\", C = \"standard\", D = \"20%\" }\n",
    )
    .await;
    let shop = &counter.shop;
    let port = port_when(shop, |port| port.state == "open").await;
    let about = |port: &schema::Port| -> Vec<String> {
        let words = [
            "letter A",
            "letter B",
            "letter C",
            "letter D",
            "currency KES",
        ];
        let is_about = |word: &&str| port.warnings.iter().any(|w| w.contains(*word));
        words
            .iter()
            .filter(|word| is_about(word))
            .map(ToString::to_string)
            .collect()
    };
    assert_eq!(about(&port), ["letter C", "letter D", "currency KES"]);
    assert_eq!(port.warnings.len(), 3, "{:?}", port.warnings);
    // FDMS raises the tax: A means nothing any more, D does.
    let till = shop.tills[0];
    let raised = sample_config("till-101").replace("15.5", "20");
    let arrived = shop
        .ledger
        .write(move |core| core.store_config(till, &raised));
    assert!(arrived.await.unwrap());
    assert_eq!(
        about(&ports(shop).await[0]),
        ["letter A", "letter C", "currency KES"]
    );
}

/// A template that cannot be read is a warning at its port, which is open all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_template() {
    let counter = Counter::open(
        "kind = \"printer\"\nlisten = \"tcp:{port}\"\ntemplates = [\"/nowhere/till.toml\"]\n",
    )
    .await;
    let port = port_when(&counter.shop, |port| port.state == "open").await;
    assert_eq!(port.warnings.len(), 1);
    assert!(
        port.warnings[0].contains("/nowhere/till.toml"),
        "{:?}",
        port.warnings
    );
}
