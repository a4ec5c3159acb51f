//! What a branch has in stock, and the branches of a taxpayer.

use fdms_sandbox::{DeviceSpec, Good};
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::till::{Answer, Bench, DEVICE, Till};

impl Till {
    /// A search under one of the two paths that have one.
    pub(crate) async fn search(&self, path: &str, query: &str) -> Answer {
        let (kind, name) = path.split_once('/').unwrap();
        let path = format!("{}/{kind}/v1/{}/{name}?{query}", self.url, self.id);
        let request = self.with_headers(self.client.get(path));
        Answer::of(request.send().await.unwrap()).await
    }
}

fn good(hs_code: &str, name: &str, quantity: i64) -> Good {
    Good {
        hs_code: (!hs_code.is_empty()).then(|| hs_code.to_owned()),
        good_name: name.to_owned(),
        quantity: fdms_sandbox::Micro::from_cents(quantity * 100),
    }
}

fn goods() -> Vec<Good> {
    vec![
        good("19059090", "Brown bread", 20),
        good("19059091", "bread rolls", 7),
        good("04012010", "Milk, fresh", 3),
        good("", "Something without a code", 1),
    ]
}

/// Goods with an HS code at the device's branch are found by code, by beginnings of words, by branch.
#[tokio::test]
async fn stock_is_searched() {
    let bench = Bench::start().await;
    let till = bench.till().await;
    bench.sandbox.set_stock(DEVICE, &goods()).unwrap();
    let names = async |query: &str| {
        let found = till.search("ProductsStock/Search", query).await;
        assert_eq!(found.status, 200, "{query}: {}", found.body);
        let rows = found.body["rows"].as_array().unwrap().clone();
        let names = rows
            .iter()
            .map(|row| row["goodName"].as_str().unwrap().to_owned());
        (
            found.body["total"].as_u64().unwrap(),
            names.collect::<Vec<_>>(),
        )
    };
    let all = "Offset=0&Limit=100";
    assert_eq!(
        names(all).await,
        (
            3,
            vec![
                "bread rolls".into(),
                "Brown bread".into(),
                "Milk, fresh".into()
            ]
        )
    );
    let first = "Offset=0&Limit=1&Sort=HsCode";
    assert_eq!(names(first).await, (3, vec!["Milk, fresh".into()]));
    assert_eq!(
        names(&format!("{first}&Order=desc")).await.1,
        ["bread rolls"]
    );
    assert_eq!(
        names("Offset=1&Limit=1").await,
        (3, vec!["Brown bread".into()])
    );
    for (query, wanted) in [
        ("HsCode=19059090", vec!["Brown bread"]),
        ("HsCode=19059099", vec![]),
        ("GoodName=BRE", vec!["bread rolls", "Brown bread"]),
        ("GoodName=bre+br", vec!["bread rolls", "Brown bread"]),
        ("GoodName=read", vec![]),
        ("GoodName=bro&HsCode=04012010", vec![]),
        (
            "GoodName=bro&HsCode=04012010&Operator=Or",
            vec!["Brown bread", "Milk, fresh"],
        ),
        ("BranchId=1&GoodName=milk", vec!["Milk, fresh"]),
        ("BranchId=2", vec![]),
    ] {
        assert_eq!(names(&format!("{all}&{query}")).await.1, wanted, "{query}");
    }
    for wrong in [
        "Limit=1",
        "Offset=0&Limit=101",
        &format!("{all}&HsCode=1905"),
        &format!("{all}&Sort=x"),
    ] {
        let refused = till.search("ProductsStock/Search", wrong).await;
        assert_eq!(refused.refusal(), "400", "{wrong}");
    }
    let milk = till
        .search("ProductsStock/Search", "Offset=0&Limit=1&GoodName=milk")
        .await;
    let row = json!({
        "hsCode": "04012010",
        "goodName": "Milk, fresh",
        "quantity": 3,
        "taxPayerId": 2_000_000_000,
        "taxPayerTIN": "2000000000",
        "taxPayerName": "Example Traders (Pvt) Ltd",
        "branchId": 1,
        "branchName": "Example Traders (Pvt) Ltd",
    });
    assert_eq!(milk.body, json!({"total": 1, "rows": [row]}));
    bench.sandbox.delete_device(DEVICE).unwrap();
    let gone = till.search("ProductsStock/Search", all).await;
    assert_eq!(gone.refusal(), "404");
}

/// Devices at one branch see the same stock, one at another branch its own; it is set over the admin
/// port too.
#[tokio::test]
async fn stock_is_the_branchs() {
    let bench = Bench::start().await;
    let branch = |device_id, branch_id, stock| DeviceSpec {
        branch_id,
        branch_name: format!("Branch {branch_id}"),
        stock,
        ..DeviceSpec::new(device_id)
    };
    let add = |spec| bench.sandbox.add_device(spec).unwrap();
    add(branch(43, 2, vec![]));
    add(branch(44, 2, goods()));
    add(branch(45, 2, vec![]));
    let admin = bench.sandbox.admin_url().unwrap();
    let put = async |id: u32, body: &Value| {
        let path = format!("{admin}/devices/{id}/stock");
        let sent = reqwest::Client::new().put(path).json(body).send().await;
        sent.unwrap().status().as_u16()
    };
    let till = bench.till().await;
    let mut totals = vec![];
    for id in [43, 45] {
        let other = Till::register(&bench, id, KeyPair::generate().unwrap()).await;
        let found = other
            .search("ProductsStock/Search", "Offset=0&Limit=9")
            .await;
        totals.push(found.body["total"].clone());
    }
    assert_eq!(totals, [3, 3]);
    let milk = json!([{"hsCode": "04012010", "goodName": "Milk", "quantity": 1.125}]);
    assert_eq!(put(DEVICE, &milk).await, 204);
    let found = till
        .search("ProductsStock/Search", "Offset=0&Limit=9")
        .await;
    assert_eq!(
        (&found.body["total"], &found.body["rows"][0]["quantity"]),
        (&json!(1), &json!(1.125))
    );
    assert_eq!(put(99, &milk).await, 404);
    for wrong in [
        json!([{"hsCode": "0401", "goodName": "Milk", "quantity": 1}]),
        json!([{"goodName": "", "quantity": 1}]),
        json!([{"goodName": "Milk", "quantity": 0.0001}]),
        json!([{"goodName": "Milk"}]),
    ] {
        assert_eq!(put(DEVICE, &wrong).await, 400, "{wrong}");
    }

    let path = "DeviceInformation/SearchBranches";
    let found = till.search(path, "Offset=0&Limit=9").await;
    assert_eq!(found.body["total"], 2);
    assert_eq!(found.body["rows"][1]["branchName"], "Branch 2");
    assert!(found.body["operationID"].is_null());
    let found = till
        .search(path, "Offset=0&Limit=9&BranchName=exa&Sort=BranchName")
        .await;
    assert_eq!(
        (&found.body["total"], &found.body["rows"][0]["branchId"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(
        till.search(path, "Offset=0&Limit=101").await.refusal(),
        "400"
    );
}
