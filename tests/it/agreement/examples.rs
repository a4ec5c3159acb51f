//! The receipts that the authority's test server accepted, sold anew in a chain of our own.
//!
//! A POS sends them as they stand, less what the gateway owns; the credit note names our own invoice. Sums
//! come out as in the examples, and the sandbox marks nothing.

use std::time::Duration;

use fdms_sandbox::DeviceSpec;
use fiscal::Cents;
use serde_json::Value;

use crate::support::agreement::House;

const VECTORS: &str = include_str!("../../../fiscal/tests/vectors/signatures.json");

/// What a POS cannot know or set.
const OWNED: [&str; 4] = [
    "receiptCounter",
    "receiptGlobalNo",
    "receiptDate",
    "receiptDeviceSignature",
];
/// What a POS need not send.
const COMPUTED: [&str; 2] = ["receiptTaxes", "receiptTotal"];

fn examples() -> Vec<(u32, Value)> {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let vectors = vectors["vectors"].as_array().unwrap();
    let with_receipt = vectors
        .iter()
        .filter(|vector| vector["receipt"].is_object());
    with_receipt
        .map(|vector| {
            let device = vector["device_id"].as_u64().unwrap();
            (u32::try_from(device).unwrap(), vector["receipt"].clone())
        })
        .collect()
}

fn without(receipt: &Value, names: &[&str]) -> Value {
    let mut sale = receipt.clone();
    let members = sale.as_object_mut().unwrap();
    members.retain(|name, _| !names.contains(&name.as_str()));
    sale
}

/// As the examples are, and once more with the sums left to the gateway.
#[tokio::test]
async fn the_authoritys_examples_sold_anew() {
    let examples = examples();
    assert_eq!(examples.len(), 2, "an invoice and its credit note");
    let house = House::new("2026-05-28T05:00:00Z").await;
    let till = house.join(DeviceSpec::new(examples[0].0)).await;
    house.clock.advance(Duration::from_secs(60));
    for (round, left_out) in [OWNED.to_vec(), [&OWNED[..], &COMPUTED].concat()]
        .iter()
        .enumerate()
    {
        let mut invoice = None;
        for (_, receipt) in &examples {
            let mut sale = without(receipt, left_out);
            sale["invoiceNo"] = format!("{}-{round}", receipt["invoiceNo"]).into();
            if sale["receiptType"] == "CreditNote" {
                // The authority's receiptID stays: it is of another chain, and must do no harm.
                sale["creditDebitNote"]["receiptGlobalNo"] = invoice.unwrap();
                sale["creditDebitNote"]["fiscalDayNo"] = 1.into();
            }
            let issued = house.sell(&till, &sale.to_string(), None).await.unwrap();
            let ours = &issued.receipt;
            let row = &ours.taxes[0];
            let sums = [ours.total, row.tax_amount, row.sales_amount_with_tax];
            let row = &receipt["receiptTaxes"][0];
            let theirs = [
                &receipt["receiptTotal"],
                &row["taxAmount"],
                &row["salesAmountWithTax"],
            ];
            let theirs = theirs.map(|amount| Cents::parse(&amount.to_string()).unwrap());
            assert_eq!(sums, theirs, "{sale}");
            invoice = Some(Value::from(ours.global_no.get()));
        }
    }
    house.close_day(&till).await;
    house.clock.advance(Duration::from_secs(60));
    house.post_clean(&till).await;
    assert_eq!(house.sandbox.receipt_count(till.device.get()), 4);
}
