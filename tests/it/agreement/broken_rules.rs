//! Each rule that a POS can break, broken alone: refused by the gateway, marked by the sandbox.
//!
//! Every case is tried on a till of its own that has sold and posted an invoice. The gateway must refuse
//! the sale with the code, at its field, and number nothing. Then the same sale is put together and signed
//! with the till's key without asking any rule, and the sandbox must mark it with the same codes.

use std::collections::BTreeSet;
use std::time::Duration;

use clock::{Clock as _, local};
use fdms_sandbox::DeviceSpec;
use fiscal::Code;
use fiscald::ledger::Issued;
use serde_json::{Value, json};

use super::{cash, credit_note, exclusive, invoice, line, row, with};
use crate::support::agreement::{Codes, Forger, House, Till, Verdict};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Where a case plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shop {
    /// A VAT payer's, today.
    Usual,
    /// Of somebody without a VAT number.
    NoVat,
    /// A VAT payer's, a year and a second after the invoice.
    YearLater,
}

/// A sale that breaks a rule.
struct Case {
    code: Code,
    /// Where the gateway points.
    at: &'static str,
    /// What cannot but break with it.
    with: &'static [Code],
    shop: Shop,
    sale: Value,
}

/// The same for a member of a member.
fn at(mut sale: Value, pointer: &str, value: impl Into<Value>) -> Value {
    *sale.pointer_mut(pointer).unwrap() = value.into();
    sale
}

fn case(code: Code, at: &'static str, sale: Value) -> Case {
    Case {
        code,
        at,
        with: &[],
        shop: Shop::Usual,
        sale,
    }
}

fn head() -> Vec<Case> {
    let buyer = |buyer: Value| with(invoice(), json!({ "buyerData": buyer }));
    vec![
        case(
            Code::Rcpt010,
            "/receiptCurrency",
            with(invoice(), json!({"receiptCurrency": "XXX"})),
        ),
        case(
            Code::Rcpt013,
            "/invoiceNo",
            with(invoice(), json!({"invoiceNo": "first"})),
        ),
        case(
            Code::Rcpt016,
            "/receiptLines",
            with(
                invoice(),
                json!({
                    "receiptLines": [],
                    "receiptTaxes": [row(517, 15.5, 2.01, 15)],
                    "receiptTotal": 15,
                }),
            ),
        ),
        case(
            Code::Rcpt017,
            "/receiptTaxes",
            with(invoice(), json!({"receiptTaxes": []})),
        ),
        case(
            Code::Rcpt017,
            "/receiptTaxes",
            with(exclusive(), json!({"receiptTaxes": []})),
        ),
        case(
            Code::Rcpt018,
            "/receiptPayments",
            with(invoice(), json!({"receiptPayments": []})),
        ),
        case(
            Code::Rcpt043,
            "/buyerData/buyerTIN",
            buyer(json!({"buyerRegisterName": "Moyo"})),
        ),
        case(
            Code::Rcpt043,
            "/buyerData/buyerRegisterName",
            buyer(json!({"buyerTIN": "1234567890"})),
        ),
    ]
}

fn lines() -> Vec<Case> {
    let second = |line: Value, total: Value| {
        with(
            at(invoice(), "/receiptLines/1", line),
            json!({ "receiptPayments": cash(total) }),
        )
    };
    let discount = |amount: Value| {
        let mut line = line(amount, 2, 0);
        line["receiptLineType"] = "Discount".into();
        line
    };
    let none = with(
        line(5, 2, 0),
        json!({"receiptLineQuantity": 0, "receiptLineTotal": 0}),
    );
    let price = "/receiptLines/1/receiptLinePrice";
    let hs_code = "/receiptLines/0/receiptLineHSCode";
    vec![
        Case {
            shop: Shop::NoVat,
            ..case(Code::Rcpt021, "/receiptLines/0/taxID", invoice())
        },
        case(Code::Rcpt022, price, second(line(0, 2, 0), 10.into())),
        case(Code::Rcpt022, price, second(discount(0.into()), 10.into())),
        case(
            Code::Rcpt023,
            "/receiptLines/1/receiptLineQuantity",
            second(none, 10.into()),
        ),
        case(
            Code::Rcpt024,
            "/receiptLines/1/receiptLineTotal",
            second(
                with(line(5, 2, 0), json!({"receiptLineTotal": 5.01})),
                json!(15.01),
            ),
        ),
        case(
            Code::Rcpt025,
            "/receiptLines/0/taxID",
            at(invoice(), "/receiptLines/0/taxPercent", 15),
        ),
        case(
            Code::Rcpt025,
            "/receiptLines/0/taxID",
            at(
                at(invoice(), "/receiptLines/0/taxID", 515),
                "/receiptLines/0/taxPercent",
                15,
            ),
        ),
        case(Code::Rcpt047, hs_code, at(invoice(), hs_code, Value::Null)),
        case(Code::Rcpt047, hs_code, at(invoice(), hs_code, "")),
        case(Code::Rcpt048, hs_code, at(invoice(), hs_code, "190590")),
        case(
            Code::Rcpt048,
            "/receiptLines/1/receiptLineHSCode",
            at(invoice(), "/receiptLines/1/receiptLineHSCode", "1905"),
        ),
        Case {
            shop: Shop::NoVat,
            ..case(
                Code::Rcpt048,
                "/receiptLines/0/receiptLineHSCode",
                at(
                    with(
                        invoice(),
                        json!({"receiptLines": [line(5, 2, 0)], "receiptPayments": cash(5)}),
                    ),
                    hs_code,
                    "",
                ),
            )
        },
    ]
}

fn sums() -> Vec<Case> {
    let rows = |rows: Value| with(invoice(), json!({ "receiptTaxes": rows }));
    let (zero, vat) = (row(2, 0, 0, 5), row(517, 15.5, 1.34, 10));
    let total = "/receiptTotal";
    vec![
        // A row that no line has, which total and payments agree with.
        case(
            Code::Rcpt019,
            total,
            with(
                invoice(),
                json!({
                    "receiptLines": [line(10, 517, 15.5)],
                    "receiptTaxes": [zero, vat],
                    "receiptTotal": 15,
                }),
            ),
        ),
        case(
            Code::Rcpt026,
            "/receiptTaxes/1/taxAmount",
            rows(json!([zero, row(517, 15.5, 1.35, 10)])),
        ),
        // Off by a cent on top of the price, and everything else agrees with it.
        case(
            Code::Rcpt026,
            "/receiptTaxes/0/taxAmount",
            with(
                exclusive(),
                json!({
                    "receiptTaxes": [row(517, 15.5, 1.56, 11.56)],
                    "receiptTotal": 11.56,
                    "receiptPayments": cash(11.56),
                }),
            ),
        ),
        case(
            Code::Rcpt027,
            "/receiptTaxes/0/salesAmountWithTax",
            rows(json!([row(2, 0, 0, 4.99), row(517, 15.5, 1.34, 10.01)])),
        ),
        // The right sums under a tax that no line has.
        case(
            Code::Rcpt027,
            "/receiptTaxes/0/salesAmountWithTax",
            rows(json!([row(1, Value::Null, 0, 5), vat])),
        ),
        case(
            Code::Rcpt028,
            "/receiptPayments/1/paymentAmount",
            with(
                invoice(),
                json!({"receiptPayments": [
                    {"moneyTypeCode": "Card", "paymentAmount": 20},
                    {"moneyTypeCode": "Cash", "paymentAmount": -5},
                ]}),
            ),
        ),
        case(
            Code::Rcpt037,
            total,
            with(
                exclusive(),
                json!({
                    "receiptTaxes": [zero, row(517, 15.5, 1.55, 11.55)],
                    "receiptTotal": 16.55,
                    "receiptPayments": cash(16.55),
                }),
            ),
        ),
        case(Code::Rcpt038, total, rows(json!([vat]))),
        case(
            Code::Rcpt039,
            "/receiptPayments",
            with(invoice(), json!({ "receiptPayments": cash(20) })),
        ),
        below_zero(-2, &[Code::Rcpt028]),
        below_zero(0, &[Code::Rcpt039]),
    ]
}

/// More discount than sale. Payments of the right sign cannot add up to such a total, those that do have
/// the wrong sign.
fn below_zero(paid: i32, with_it: &'static [Code]) -> Case {
    let mut discount = line(-12, 517, 15.5);
    discount["receiptLineType"] = "Discount".into();
    let members = json!({
        "receiptLines": [line(10, 517, 15.5), discount],
        "receiptPayments": cash(paid),
    });
    Case {
        with: with_it,
        ..case(Code::Rcpt040, "/receiptTotal", with(invoice(), members))
    }
}

/// A debit note over 10.00 on the same invoice.
fn debit_note() -> Value {
    let members = json!({
        "receiptType": "DebitNote",
        "receiptLines": [line(10, 517, 15.5)],
        "receiptPayments": cash(10),
    });
    with(credit_note(), members)
}

fn references() -> Vec<Case> {
    let reference = "/creditDebitNote";
    let none = || json!({"creditDebitNote": null});
    vec![
        case(Code::Rcpt015, reference, with(credit_note(), none())),
        case(Code::Rcpt015, reference, with(debit_note(), none())),
        case(
            Code::Rcpt029,
            reference,
            with(
                invoice(),
                json!({"creditDebitNote": {"receiptGlobalNo": 1, "fiscalDayNo": 1}}),
            ),
        ),
        case(
            Code::Rcpt032,
            reference,
            at(credit_note(), "/creditDebitNote/receiptGlobalNo", 999),
        ),
        case(
            Code::Rcpt032,
            reference,
            at(credit_note(), "/creditDebitNote/fiscalDayNo", Value::Null),
        ),
        case(
            Code::Rcpt032,
            reference,
            at(credit_note(), "/creditDebitNote/fiscalDayNo", 2),
        ),
        // A note is no original.
        case(
            Code::Rcpt032,
            reference,
            at(debit_note(), "/creditDebitNote/receiptGlobalNo", NOTE_NO),
        ),
    ]
}

fn notes() -> Vec<Case> {
    let note = |members: Value| with(credit_note(), members);
    vec![
        Case {
            shop: Shop::YearLater,
            ..case(Code::Rcpt033, "/creditDebitNote", credit_note())
        },
        case(
            Code::Rcpt034,
            "/receiptNotes",
            note(json!({"receiptNotes": null})),
        ),
        case(
            Code::Rcpt034,
            "/receiptNotes",
            with(debit_note(), json!({"receiptNotes": null})),
        ),
        // 15.00 less 1.00 by the note before.
        case(
            Code::Rcpt035,
            "/receiptTotal",
            note(
                json!({"receiptLines": [line(-14.01, 517, 15.5)], "receiptPayments": cash(-14.01)}),
            ),
        ),
        case(
            Code::Rcpt036,
            "/receiptLines",
            note(json!({"receiptLines": [line(-10, 1, Value::Null)]})),
        ),
        case(
            Code::Rcpt042,
            "/receiptCurrency",
            note(json!({"receiptCurrency": "ZWG"})),
        ),
        // What is left in dollars says nothing of an amount in ZiG.
        case(
            Code::Rcpt042,
            "/receiptCurrency",
            note(json!({
                "receiptCurrency": "ZWG",
                "receiptLines": [line(-500, 517, 15.5)],
                "receiptPayments": cash(-500),
            })),
        ),
    ]
}

/// `receiptGlobalNo` of the note that every till has issued before.
const NOTE_NO: u32 = 2;

/// Registers a till, sells an invoice and takes 1.00 of it back; after a year another invoice opens a day.
async fn till(house: &House, shop: Shop, number: u32) -> (Till, Issued) {
    let mut spec = DeviceSpec::new(number);
    // A taxpayer of its own: `invoiceNo` is unique within one.
    spec.tax_payer_tin = format!("2{number:09}");
    if shop == Shop::NoVat {
        spec.vat_number = None;
    }
    let mut till = house.join(spec).await;
    house.clock.advance(Duration::from_secs(60));
    let mut first = with(invoice(), json!({ "invoiceNo": format!("{number}-1") }));
    let mut note = with(
        credit_note(),
        json!({
            "invoiceNo": format!("{number}-2"),
            "receiptLines": [line(-1, 517, 15.5)],
            "receiptPayments": cash(-1),
        }),
    );
    note["creditDebitNote"]["deviceID"] = number.into();
    if shop == Shop::NoVat {
        first["receiptLines"] = json!([line(15, 2, 0)]);
        note["receiptLines"] = json!([line(-1, 2, 0)]);
    }
    house.sell(&till, &first.to_string(), None).await.unwrap();
    let mut last = house.sell(&till, &note.to_string(), None).await.unwrap();
    if shop == Shop::YearLater {
        house.close_day(&till).await;
        house.post_clean(&till).await;
        house.clock.advance(DAY * 300);
        till = house.renew(till).await;
        let a_year = first_date(house, &till).saturating_add(jiff::Span::new().years(1));
        let left = a_year.duration_since(local(house.clock.wall()));
        house.clock.advance(Duration::try_from(left).unwrap());
        first["invoiceNo"] = format!("{number}-3").into();
        last = house.sell(&till, &first.to_string(), None).await.unwrap();
    }
    house.post_clean(&till).await;
    house.clock.advance(Duration::from_secs(10));
    (till, last)
}

fn first_date(house: &House, till: &Till) -> fiscal::DateTime {
    let number = fiscal::ReceiptGlobalNo::new(1).unwrap();
    let found = house.ledger().reader().by_number(till.id, number);
    found.unwrap().unwrap().receipt.date
}

/// The sale as this till's POS sends it.
fn of_till(sale: &Value, till: &Till) -> String {
    let number = till.device.get();
    let mut sale = sale.clone();
    let invoice_no = match sale["invoiceNo"].as_str() {
        Some("first") => format!("{number}-1"),
        _ => format!("{number}-9"),
    };
    sale["invoiceNo"] = invoice_no.into();
    if sale["creditDebitNote"].is_object() {
        sale["creditDebitNote"]["deviceID"] = number.into();
    }
    sale.to_string()
}

/// Tries a case on both; what is wrong, in sentences.
async fn try_case(house: &House, number: u32, case: &Case) -> Vec<String> {
    let (till, last) = till(house, case.shop, number).await;
    let json = of_till(&case.sale, &till);
    let reader = house.ledger().reader();
    let before = reader.last_receipt(till.id).unwrap();
    let mut wanted = Codes::from([case.code.to_string()]);
    wanted.extend(case.with.iter().map(ToString::to_string));
    let mut wrong = Vec::new();
    let mut check = |holds: bool, what: String| {
        if !holds {
            wrong.push(format!("{} {:?}: {what}\n  {json}", case.code, case.shop));
        }
    };

    match house.sell(&till, &json, Some("case")).await {
        Ok(issued) => check(false, format!("the gateway issued {:?}", issued.receipt)),
        Err(findings) => {
            let codes: Codes = findings.iter().map(|f| f.code.to_string()).collect();
            let mut pointers = findings.iter().filter(|f| f.code == case.code);
            let is_at = pointers.any(|f| f.pointer == case.at);
            check(
                codes == wanted && is_at,
                format!("the gateway: {findings:#?}"),
            );
        }
    }
    let after = reader.last_receipt(till.id).unwrap();
    let queued = reader.backlog(till.id).unwrap().total();
    check(
        after == before && queued == 0,
        format!("numbered {after:?}, {queued} queued"),
    );

    let mut forger = Forger::after(&last);
    let receipt = forger.compose(&till, &json, local(house.clock.wall()));
    let body = forger.sign(&till, &receipt);
    let verdict = till.submit(&body).await;
    let is_marked = verdict == Verdict::Taken(wanted);
    check(is_marked, format!("the sandbox: {verdict:?} {body}"));
    wrong
}

/// Every rule that a POS can break is refused before numbering, with the code that FDMS would give.
#[tokio::test]
async fn both_find_the_same_rule_broken() {
    let mut cases: Vec<Case> = [head(), lines(), sums(), references(), notes()]
        .into_iter()
        .flatten()
        .collect();
    // The one that lets a year pass comes last.
    cases.sort_by_key(|case| case.shop == Shop::YearLater);
    let broken: BTreeSet<Code> = cases.iter().map(|case| case.code).collect();
    let owned = ["011", "012", "014", "020", "030", "031", "041"].map(|no| format!("RCPT{no}"));
    let rules: BTreeSet<Code> = Code::ALL
        .iter()
        .copied()
        .filter(|code| code.as_str().starts_with("RCPT"))
        .filter(|code| !owned.contains(&code.to_string()))
        .collect();
    assert_eq!(broken, rules, "a rule without a case");
    let house = House::new("2026-05-28T05:00:00Z").await;
    let mut wrong = Vec::new();
    for (number, case) in (100..).zip(&cases) {
        wrong.extend(try_case(&house, number, case).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
