//! Fiscal days inspected.

use super::*;

const DAY: &str = r#"{"deviceID":32558,"fiscalDayNo":12,"fiscalDayDate":"2026-02-26","fiscalDayCounters":[
 {"fiscalCounterType":"BalanceByMoneyType","fiscalCounterCurrency":"USD","fiscalCounterMoneyType":"Card","fiscalCounterValue":12.5},
 {"fiscalCounterType":"BalanceByMoneyType","fiscalCounterCurrency":"USD","fiscalCounterMoneyType":"BankTransfer","fiscalCounterValue":7},
 {"fiscalCounterType":"BalanceByMoneyType","fiscalCounterCurrency":"USD","fiscalCounterMoneyType":"Coupon","fiscalCounterValue":0},
 {"fiscalCounterType":"SaleTaxByTax","fiscalCounterCurrency":"USD","fiscalCounterTaxID":3,"fiscalCounterTaxPercent":15.5,"fiscalCounterValue":3.10},
 {"fiscalCounterType":"SaleByTax","fiscalCounterCurrency":"ZWG","fiscalCounterTaxID":1,"fiscalCounterValue":"9.00"},
 {"fiscalCounterType":"SaleByTax","fiscalCounterCurrency":"USD","fiscalCounterTaxID":3,"fiscalCounterTaxPercent":15.5,"fiscalCounterValue":23.10},
 {"fiscalCounterType":"SaleByTax","fiscalCounterCurrency":"USD","fiscalCounterTaxID":1,"fiscalCounterMoneyType":null,"fiscalCounterValue":10.00},
 {"fiscalCounterType":"CreditNoteByTax","fiscalCounterCurrency":"USD","fiscalCounterTaxID":1,"fiscalCounterTaxPercent":null,"fiscalCounterValue":-1.25}]}"#;

fn day(input: &str) -> Value<'static> {
    let answer = inspect_day(input.as_bytes(), None).unwrap();
    Value::parse(answer.leak().as_bytes()).unwrap()
}

/// Counters in any order make the string in its own; zero ones are left out; nothing but string and hash.
#[test]
fn days() {
    let vector = vector("fiscal-day-one-counter");
    let input = r#"{"deviceID":32558,"fiscalDayNo":12,"fiscalDayDate":"2026-02-26","fiscalDayCounters":[
        {"fiscalCounterType":"SaleByTax","fiscalCounterCurrency":"USD","fiscalCounterTaxID":2,"fiscalCounterTaxPercent":0,"fiscalCounterValue":50.00}]}"#;
    let answer = day(input);
    assert_eq!(
        answer.to_string(),
        format!(
            "{{\"canonical\":\"{}\",\"hash\":\"{}\"}}",
            text(&vector, "signing_string"),
            text(&vector, "sha256_base64")
        )
    );
    assert_eq!(
        text(&day(DAY), "canonical"),
        "32558122026-02-26SALEBYTAXUSD1000SALEBYTAXUSD15.502310SALEBYTAXZWG900SALETAXBYTAXUSD15.50310\
         CREDITNOTEBYTAXUSD-125BALANCEBYMONEYTYPEUSDCARD1250BALANCEBYMONEYTYPEUSDBANKTRANSFER700"
    );
    let empty = "{\"deviceID\":1,\"fiscalDayNo\":2,\"fiscalDayDate\":\"2026-02-26T08:00:00\",\"fiscalDayCounters\":[]}";
    assert_eq!(text(&day(empty), "canonical"), "122026-02-26");
}

/// A day's hash and signature are compared, and the usual mistakes named.
#[test]
fn hashes_of_days() {
    let right = text(&day(DAY), "canonical");
    let with = |hash: &str, signature: &str| {
        let given = format!("{{\"fiscalDayDeviceSignature\":{{\"hash\":\"{hash}\"{signature}}},");
        DAY.replacen('{', &given, 1)
    };
    let hash = |string: &str| fiscal::sign::hash(string).to_string();
    assert_eq!(findings(&day(&with(&hash(&right), ""))), []);
    let cases = [
        (
            right.replace(
                "BALANCEBYMONEYTYPEUSDCARD1250BALANCEBYMONEYTYPEUSDBANKTRANSFER700",
                "BALANCEBYMONEYTYPEUSDBANKTRANSFER700BALANCEBYMONEYTYPEUSDCARD1250",
            ),
            "alphabetical",
        ),
        (
            right.replace(
                "BALANCEBYMONEYTYPEUSDBANK",
                "BALANCEBYMONEYTYPEUSDCOUPON0BALANCEBYMONEYTYPEUSDBANK",
            ),
            "that are zero",
        ),
        (
            right.replace(
                "SALEBYTAXUSD15.502310SALEBYTAXZWG900",
                "SALEBYTAXZWG900SALEBYTAXUSD15.502310",
            ),
            "tax before currency",
        ),
        (
            right.replace("15.50", "15.5"),
            "percents without two decimals",
        ),
        (right.replace("02-26", "02-27"), "date after"),
        ("32558122026-02-26".to_owned(), "without the counters"),
    ];
    for (string, name) in cases {
        assert_ne!(string, right, "{name}");
        let (code, pointer, message) = only(&day(&with(&hash(&string), "")));
        assert_eq!(
            (&*code, &*pointer),
            ("RCPT020", "/fiscalDayDeviceSignature/hash")
        );
        assert!(message.contains(name), "{name}: {message}");
    }
    let key = DeviceKey::generate(KeyKind::EcP256).unwrap();
    for (message, count) in [(right.as_bytes(), 0), (b"another", 1)] {
        let signature = STANDARD.encode(Signer::sign(&key, message).unwrap());
        let input = with(&hash(&right), &format!(",\"signature\":\"{signature}\""));
        let answer = inspect_day(input.as_bytes(), Some(&key)).unwrap();
        let answer = Value::parse(answer.as_bytes()).unwrap();
        assert_eq!(findings(&answer).len(), count);
        assert!(answer.get("signature").is_some());
    }
}

/// A counter that cannot be read is a finding; the others still make a string.
#[test]
fn unreadable_counters() {
    for (old, new, pointer) in [
        (
            "SaleTaxByTax",
            "PayoutByTax",
            "/fiscalDayCounters/3/fiscalCounterType",
        ),
        (
            "3.10",
            "\"3,10\"",
            "/fiscalDayCounters/3/fiscalCounterValue",
        ),
        (
            "\"Card\"",
            "\"Cheque\"",
            "/fiscalDayCounters/0/fiscalCounterMoneyType",
        ),
        (
            "\"ZWG\"",
            "\"$\"",
            "/fiscalDayCounters/4/fiscalCounterCurrency",
        ),
        (
            "\"fiscalCounterTaxID\":1,\"fiscalCounterMoneyType\":null,",
            "",
            "/fiscalDayCounters/6/fiscalCounterTaxID",
        ),
        ("\"Card\"", "\"BankTransfer\"", "/fiscalDayCounters"),
    ] {
        assert!(DAY.contains(old), "{old}");
        let answer = day(&DAY.replacen(old, new, 1));
        assert_eq!(only(&answer).1, pointer);
        assert!(text(&answer, "canonical").starts_with("32558122026-02-26SALEBYTAX"));
    }
}
