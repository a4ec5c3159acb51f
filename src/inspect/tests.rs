//! What inspect answers, and that it names each usual mistake.

use super::*;
use crate::keys::{DeviceKey, KeyKind, certificate_request};

mod day;

const SIGNATURES: &[u8] = include_bytes!("../../fiscal/tests/vectors/signatures.json");
const GETCONFIG: &str = include_str!("../../fiscal/tests/vectors/getconfig.json");

fn vector(id: &str) -> Value<'static> {
    let root = Value::parse(SIGNATURES).unwrap();
    let Some(Value::Array(all)) = root.get("vectors") else {
        panic!("no vectors")
    };
    let is_it = |v: &&Value<'_>| text(v, "id") == id;
    all.iter().find(is_it).unwrap().clone()
}

fn text(value: &Value<'_>, name: &str) -> String {
    match value.get(name) {
        Some(Value::String(text)) => text.to_string(),
        Some(Value::Number(text)) => (*text).to_owned(),
        other => panic!("{name} is {other:?}"),
    }
}

/// Codes, pointers and messages of an answer.
fn findings(answer: &Value<'_>) -> Vec<(String, String, String)> {
    let Some(Value::Array(rows)) = answer.get("findings") else {
        panic!("no findings in {answer}")
    };
    rows.iter()
        .map(|row| {
            assert!(!text(row, "color").is_empty());
            (
                text(row, "code"),
                text(row, "pointer"),
                text(row, "message"),
            )
        })
        .collect()
}

/// The one finding of an answer.
fn only(answer: &Value<'_>) -> (String, String, String) {
    let all = findings(answer);
    assert_eq!(all.len(), 1, "{all:#?}");
    all[0].clone()
}

/// Inspects a receipt and hands over the answer.
fn inspect(input: &str, key: Option<&dyn Signer>) -> Value<'static> {
    let answer = inspect_receipt(input.as_bytes(), key).unwrap();
    Value::parse(answer.leak().as_bytes()).unwrap()
}

/// What inspects the receipt of a vector, with a config.
fn envelope(id: &str) -> String {
    let vector = vector(id);
    format!(
        "{{\"deviceID\":{},\"previousReceiptHash\":\"{}\",\"config\":{GETCONFIG},\"receipt\":{}}}",
        text(&vector, "device_id"),
        text(&vector, "previous_receipt_hash"),
        vector.get("receipt").unwrap()
    )
}

const INVOICE: &str = "tax-exclusive-invoice-15.5";

/// A receipt with three taxes, codes and a decimal percent, so that every mistake shows.
const THREE: &str = r#"{"deviceID":"42","previousReceiptHash":"Urq2x2cPMaRFtikJvUEFScesmRJkm1pzDozLxgNQqk0=","receipt":{
 "receiptType":"FiscalInvoice","receiptCurrency":"ZWG","receiptCounter":4,"receiptGlobalNo":19,"invoiceNo":"T-19",
 "receiptDate":"2026-09-06T12:18:39","receiptLinesTaxInclusive":true,
 "receiptLines":[
  {"receiptLineType":"Sale","receiptLineNo":2,"receiptLineName":"Seeds","receiptLinePrice":10,"receiptLineQuantity":1,"receiptLineTotal":10.00,"taxCode":"B","taxID":1},
  {"receiptLineType":"Sale","receiptLineNo":1,"receiptLineName":"Bread","receiptLinePrice":11.55,"receiptLineQuantity":2,"receiptLineTotal":23.10,"taxCode":"A","taxID":3,"taxPercent":15.5},
  {"receiptLineType":"Sale","receiptLineNo":3,"receiptLineName":"Milk","receiptLinePrice":7.5,"receiptLineQuantity":1,"receiptLineTotal":7.50,"taxCode":"C","taxID":2,"taxPercent":0}],
 "receiptTaxes":[
  {"taxCode":"A","taxPercent":15.5,"taxID":3,"taxAmount":3.10,"salesAmountWithTax":23.10},
  {"taxCode":"C","taxPercent":0,"taxID":2,"taxAmount":0,"salesAmountWithTax":7.50},
  {"taxCode":"B","taxID":1,"taxAmount":0,"salesAmountWithTax":10.00}],
 "receiptPayments":[{"moneyTypeCode":"Cash","paymentAmount":40.60}],"receiptTotal":40.60SIGNATURE}}"#;

const PREVIOUS: &str = "Urq2x2cPMaRFtikJvUEFScesmRJkm1pzDozLxgNQqk0=";

fn three(signature: &str) -> String {
    THREE.replace("SIGNATURE", signature)
}

fn with_hash(hash: &str) -> String {
    three(&format!(
        ",\"receiptDeviceSignature\":{{\"hash\":\"{hash}\"}}"
    ))
}

/// The receipts that the authority accepted: the same string and hash, the same sums, and nothing to
/// find, also with the config beside them.
#[test]
fn accepted_receipts_have_no_finding() {
    for id in [INVOICE, "credit-note-of-it"] {
        let vector = vector(id);
        let answer = inspect(&envelope(id), None);
        assert_eq!(text(&answer, "canonical"), text(&vector, "signing_string"));
        assert_eq!(text(&answer, "hash"), text(&vector, "sha256_base64"));
        assert_eq!(findings(&answer), []);
        assert_eq!(answer.get("signature"), None);
        let sign = if id == INVOICE { "" } else { "-" };
        assert_eq!(text(&answer, "receiptTotal"), format!("{sign}300.00"));
        assert_eq!(
            answer.get("receiptTaxes").unwrap().to_string(),
            format!(
                "[{{\"taxCode\":\"A\",\"taxPercent\":15.5,\"taxID\":517,\"taxAmount\":{sign}40.26,\
                 \"salesAmountWithTax\":{sign}300.00}}]"
            )
        );
    }
}

/// The answer has these members in this order, and no others.
#[test]
fn shape_of_the_answers() {
    let names = |value: &Value<'_>| -> Vec<String> {
        let Value::Object(members) = value else {
            panic!("{value} is no object")
        };
        members.iter().map(|(name, _)| name.to_string()).collect()
    };
    let key = DeviceKey::generate(KeyKind::EcP256).unwrap();
    let answer = inspect(&three(""), Some(&key));
    assert_eq!(
        names(&answer),
        [
            "canonical",
            "hash",
            "signature",
            "receiptTaxes",
            "receiptTotal",
            "findings"
        ]
    );
    let signature = STANDARD.decode(text(&answer, "signature")).unwrap();
    let canonical = text(&answer, "canonical");
    assert!(key.verify(canonical.as_bytes(), &signature));
    let answer = inspect(&three(",\"cashierNo\":7"), None);
    let Some(Value::Array(rows)) = answer.get("findings") else {
        panic!("{answer}")
    };
    assert_eq!(names(&rows[0]), ["code", "color", "pointer", "message"]);
    assert_eq!(text(&rows[0], "color"), "Refused");
}

/// Rows and lines come in any order: the string has them in its own.
#[test]
fn rows_come_in_any_order() {
    let answer = inspect(&three(""), None);
    assert_eq!(findings(&answer), []);
    assert_eq!(
        text(&answer, "canonical"),
        format!(
            "42FISCALINVOICEZWG192026-09-06T12:18:394060B01000C0.000750A15.503102310{PREVIOUS}"
        )
    );
}

/// The first receipt of a day has no hash before it, whether null, empty or not there.
#[test]
fn first_of_a_day() {
    let vector = vector("exempt-invoice-first-of-day");
    let receipt = r#"{"receiptType":"FiscalInvoice","receiptCurrency":"USD","receiptCounter":1,"receiptGlobalNo":7,"invoiceNo":"1",
        "receiptDate":"2025-05-06T12:40:34","receiptLinesTaxInclusive":true,
        "receiptLines":[{"receiptLineType":"Sale","receiptLineNo":1,"receiptLineName":"Bread","receiptLinePrice":5.81,"receiptLineQuantity":1,"receiptLineTotal":5.81,"taxID":1}],
        "receiptPayments":[{"moneyTypeCode":"Cash","paymentAmount":5.81}]}"#;
    for previous in [
        "",
        "\"previousReceiptHash\":null,",
        "\"previousReceiptHash\":\"\",",
    ] {
        let input = format!("{{\"deviceID\":24455,{previous}\"receipt\":{receipt}}}");
        let answer = inspect(&input, None);
        assert_eq!(text(&answer, "canonical"), text(&vector, "signing_string"));
        assert_eq!(text(&answer, "hash"), text(&vector, "sha256_base64"));
        assert_eq!(text(&answer, "receiptTotal"), "5.81");
        assert_eq!(findings(&answer), []);
    }
}

/// Sums that the receipt carries are signed as they stand, and ours stand beside them.
#[test]
fn wrong_sums_are_findings() {
    let input = three("")
        .replace("\"taxAmount\":3.10", "\"taxAmount\":3.11")
        .replace("\"receiptTotal\":40.60", "\"receiptTotal\":\"41.60\"");
    let answer = inspect(&input, None);
    let codes: Vec<String> = findings(&answer).into_iter().map(|f| f.0).collect();
    assert_eq!(codes, ["RCPT026", "RCPT019", "RCPT038", "RCPT039"]);
    let canonical = text(&answer, "canonical");
    assert!(canonical.contains("394160B"), "{canonical}");
    assert!(canonical.contains("A15.503112310"), "{canonical}");
    assert_eq!(text(&answer, "receiptTotal"), "40.60");
    let taxes = answer.get("receiptTaxes").unwrap().to_string();
    assert!(taxes.contains("\"taxAmount\":3.10"), "{taxes}");
}

/// What cannot be read is a finding too, and what it was meant to be is used where that is plain.
#[test]
fn unreadable_fields_are_findings() {
    let input = three("")
        .replace("FiscalInvoice", "FISCALINVOICE")
        .replace("\"ZWG\"", "\"zig\"")
        .replace("2026-09-06T12:18:39", "2026-09-06 12:18:39Z")
        .replace("\"invoiceNo\":\"T-19\",", "");
    let answer = inspect(&input, None);
    let mut found: Vec<(String, String)> =
        findings(&answer).into_iter().map(|f| (f.0, f.1)).collect();
    found.sort();
    let wanted = [
        ("RCPT010", "/receiptCurrency"),
        ("field_missing", "/invoiceNo"),
        ("format_invalid", "/receiptDate"),
        ("word_unknown", "/receiptType"),
    ];
    assert_eq!(
        found,
        wanted.map(|(code, at)| (code.to_owned(), at.to_owned()))
    );
    assert_eq!(
        text(&answer, "canonical"),
        text(&inspect(&three(""), None), "canonical")
    );
    // Even an empty receipt is computed, not refused.
    let answer = inspect(r#"{"deviceID":1,"receipt":{}}"#, None);
    assert_eq!(text(&answer, "receiptTotal"), "0.00");
    assert!(findings(&answer).iter().any(|f| f.0 == "RCPT016"));
    let answer = inspect(
        r#"{"deviceID":1,"previousReceiptHash":"xyz","receipt":{}}"#,
        None,
    );
    assert!(text(&answer, "canonical").ends_with("xyz"));
    assert!(
        findings(&answer)
            .iter()
            .any(|f| f.1 == "/previousReceiptHash")
    );
}

/// With a config, taxes and HS codes are judged: it knows the percent of a taxID and who pays VAT.
#[test]
fn config_is_judged() {
    let wrong = envelope(INVOICE).replace(
        "\"taxID\":517,\"taxAmount\"",
        "\"taxID\":517 ,\"taxAmount\"",
    );
    assert_eq!(findings(&inspect(&wrong, None)), []);
    let no_code = envelope(INVOICE).replace("\"receiptLineHSCode\":\"12092500\",", "");
    assert_eq!(only(&inspect(&no_code, None)).0, "RCPT047");
    let other_tax = envelope(INVOICE)
        .replace("\"taxID\":517}", "\"taxID\":999}")
        .replace("\"taxID\":517,\"taxAmount\"", "\"taxID\":999,\"taxAmount\"");
    let (code, pointer, _) = only(&{
        let unsigned = other_tax.replace(&text(&vector(INVOICE), "sha256_base64"), "");
        let start = unsigned.find(",\"receiptDeviceSignature\"").unwrap();
        inspect(&format!("{}}}}}", &unsigned[..start]), None)
    });
    assert_eq!((&*code, &*pointer), ("RCPT025", "/receiptLines/0/taxID"));
}

/// The rows of [`THREE`] in its string, total first.
const ROWS: &str = "4060B01000C0.000750A15.503102310";

/// [`PREVIOUS`] in hexadecimal.
const PREVIOUS_HEX: &str = "52bab6c7670f31a445b62909bd410549c7ac9912649b5a730e8ccbc60350aa4d";

/// What is changed in the right string, and the words by which inspect names it.
type Mistake = (&'static [(&'static str, &'static str)], &'static str);

const MISTAKES: &[Mistake] = &[
    (&[(PREVIOUS, "")], "without the hash of the receipt before"),
    (&[(PREVIOUS, PREVIOUS_HEX)], "in hexadecimal"),
    (&[(PREVIOUS, "null")], "the word null"),
    (
        &[(ROWS, "4060A15.503102310C0.000750B01000")],
        "in the order of the JSON",
    ),
    (
        &[(ROWS, "40.60B0.0010.00C0.000.007.50A15.503.1023.10")],
        "with a point instead of in cents",
    ),
    (
        &[(ROWS, "40.6B010C0.0007.5A15.503.123.1")],
        "without closing zeros",
    ),
    (
        &[("C0.00", "C0"), ("15.50", "15.5")],
        "percents without two decimals",
    ),
    (
        &[("C0.00", "C0"), ("15.50", "1550")],
        "percents in hundredths",
    ),
    (&[("B01000", "B0.0001000")], "0.00 for exempt"),
    (&[("C0.00", "C")], "nothing for zero-rated"),
    (
        &[("FISCALINVOICE", "FiscalInvoice")],
        "receiptType not in upper case",
    ),
    (
        &[("FISCALINVOICE", "fiscalinvoice")],
        "receiptType in lower case",
    ),
    (&[("06T12", "06 12")], "a space instead of the T"),
    (&[(":394060", ":39Z4060")], "a Z behind receiptDate"),
    (&[(":394060", "4060")], "without seconds"),
    (
        &[("ZWG19", "ZWG4")],
        "receiptCounter instead of receiptGlobalNo",
    ),
    (
        &[("42FISCAL", "0000000042FISCAL")],
        "deviceID in ten digits",
    ),
    (
        &[(ROWS, "4060010000.00075015.503102310")],
        "without the taxCodes",
    ),
    (
        &[("B0", "1B0"), ("C0.", "2C0."), ("A15", "3A15")],
        "with taxIDs",
    ),
    (&[(ROWS, "4060")], "without the tax rows"),
    (&[("ZWG", "")], "without receiptCurrency"),
    (&[("NQqk0=", "NQqk0=\n")], "a line feed at its end"),
    (
        &[(PREVIOUS, ""), ("06T12", "06 12")],
        "without the hash of the receipt before and with a space",
    ),
];

/// Each usual mistake is told from the hash that it makes, alone and with a second one.
#[test]
fn mistakes_are_named() {
    let right = text(&inspect(&three(""), None), "canonical");
    for (edits, name) in MISTAKES {
        let string = edits.iter().fold(right.clone(), |string, (old, new)| {
            assert!(string.contains(old), "{old} is not in {string}");
            string.replacen(old, new, 1)
        });
        let hash = fiscal::sign::hash(&string);
        let (code, pointer, message) = only(&inspect(&with_hash(&hash.to_string()), None));
        let at = "/receiptDeviceSignature/hash";
        assert_eq!((&*code, &*pointer), ("RCPT020", at));
        assert!(message.contains(name), "{name}: {message}");
    }
}

/// The server's hash in the chain is told if it is sent along; a mistake that nobody makes is not guessed.
#[test]
fn chain_and_unknown_mistakes() {
    let servers = "KGtUORh1y5Ew7b+9QvmaKWtaJA4V7Je2C0gd0y51zug=";
    let right = text(&inspect(&three(""), None), "canonical");
    let hash = fiscal::sign::hash(&right.replace(PREVIOUS, servers)).to_string();
    let unknown = only(&inspect(&with_hash(&hash), None)).2;
    assert!(unknown.contains("none of the usual mistakes"), "{unknown}");
    let input =
        with_hash(&hash).replacen('{', &format!("{{\"previousServerHash\":\"{servers}\","), 1);
    let message = only(&inspect(&input, None)).2;
    assert!(message.contains("FDMS's hash"), "{message}");
}

/// The right hash in the wrong form is told from a wrong hash.
#[test]
fn forms_of_a_hash() {
    let right = text(&inspect(&three(""), None), "hash");
    assert_eq!(findings(&inspect(&with_hash(&right), None)), []);
    let hex: String = STANDARD
        .decode(&right)
        .unwrap()
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    for (given, form) in [
        (hex, "hexadecimal"),
        (right.trim_end_matches('=').to_owned(), "without padding"),
        ("AAAA".to_owned(), "not the base64 of 32 bytes"),
    ] {
        let message = only(&inspect(&with_hash(&given), None)).2;
        assert!(message.contains(form), "{message}");
    }
}

fn signed(canonical: &str, signature: &[u8]) -> String {
    three(&format!(
        ",\"receiptDeviceSignature\":{{\"hash\":\"{}\",\"signature\":\"{}\"}}",
        fiscal::sign::hash(canonical),
        STANDARD.encode(signature)
    ))
}

/// The raw pair of an ECDSA signature in DER.
fn raw_pair(der: &[u8]) -> Vec<u8> {
    let mut raw = Vec::new();
    let mut rest = &der[2..];
    for _ in 0..2 {
        let length = usize::from(rest[1]);
        let number = &rest[2..2 + length];
        let digits = number.strip_prefix(&[0]).unwrap_or(number);
        raw.extend(std::iter::repeat_n(0, 32 - digits.len()));
        raw.extend(digits);
        rest = &rest[2 + length..];
    }
    raw
}

/// A signature is verified, and what is wrong with it is told: raw pair, over the hash, another key.
#[test]
fn signatures_are_judged() {
    let canonical = text(&inspect(&three(""), None), "canonical");
    let digest = STANDARD
        .decode(text(&inspect(&three(""), None), "hash"))
        .unwrap();
    for kind in [KeyKind::EcP256, KeyKind::Rsa2048] {
        let key = DeviceKey::generate(kind).unwrap();
        let sign = |message: &[u8]| Signer::sign(&key, message).unwrap();
        let good = inspect(&signed(&canonical, &sign(canonical.as_bytes())), Some(&key));
        assert_eq!(findings(&good), []);
        let other = DeviceKey::generate(kind).unwrap();
        let foreign = Signer::sign(&other, canonical.as_bytes()).unwrap();
        let hash_text = STANDARD.encode(&digest);
        for (signature, name) in [
            (sign(&digest), "over the bytes of the hash"),
            (
                sign(hash_text.as_bytes()),
                "over the base64 text of the hash",
            ),
            (foreign, "another key"),
            (vec![0; 257], "at most 256"),
        ] {
            let answer = inspect(&signed(&canonical, &signature), Some(&key));
            let (code, pointer, message) = only(&answer);
            let at = "/receiptDeviceSignature/signature";
            assert_eq!((&*code, &*pointer), ("RCPT020", at));
            assert!(message.contains(name), "{name}: {message}");
        }
    }
    let key = DeviceKey::generate(KeyKind::EcP256).unwrap();
    for _ in 0..20 {
        let raw = raw_pair(&Signer::sign(&key, canonical.as_bytes()).unwrap());
        // Told with the key, and by its form alone.
        for with in [Some(&key as &dyn Signer), None] {
            let message = only(&inspect(&signed(&canonical, &raw), with)).2;
            assert!(message.contains("raw pair"), "{message}");
        }
    }
    let raw = raw_pair(&Signer::sign(&key, &digest).unwrap());
    let message = only(&inspect(&signed(&canonical, &raw), Some(&key))).2;
    assert!(
        message.contains("bytes of the hash") && message.contains("raw pair"),
        "{message}"
    );
    let wrong = canonical.replace(PREVIOUS, "");
    let signature = Signer::sign(&key, wrong.as_bytes()).unwrap();
    let all = findings(&inspect(&signed(&wrong, &signature), Some(&key)));
    assert!(
        all[1].2.contains("the string that the given hash is of"),
        "{all:#?}"
    );
}

fn certificate(key: &DeviceKey) -> String {
    let request = certificate_request(key, "till-2", 42, false).unwrap();
    let issuer = rcgen::KeyPair::generate().unwrap();
    let issuer = rcgen::Issuer::new(rcgen::CertificateParams::default(), issuer);
    rcgen::CertificateSigningRequestParams::from_pem(&request)
        .unwrap()
        .signed_by(&issuer)
        .unwrap()
        .pem()
}

/// A certificate verifies as the key does, and must be the key's own.
#[test]
fn certificates_verify() {
    let key = DeviceKey::generate(KeyKind::EcP256).unwrap();
    let mut pem = String::new();
    write_string(&mut pem, &certificate(&key));
    let with = |input: String| input.replacen('{', &format!("{{\"certificate\":{pem},"), 1);
    let canonical = text(&inspect(&three(""), None), "canonical");
    let good = Signer::sign(&key, canonical.as_bytes()).unwrap();
    assert_eq!(
        findings(&inspect(&with(signed(&canonical, &good)), None)),
        []
    );
    let bad = Signer::sign(&key, b"something else").unwrap();
    let message = only(&inspect(&with(signed(&canonical, &bad)), None)).2;
    assert!(message.contains("another string"), "{message}");
    let other = DeviceKey::generate(KeyKind::EcP256).unwrap();
    let error = inspect_receipt(with(three("")).as_bytes(), Some(&other)).unwrap_err();
    assert!(
        error.to_string().contains("not the one of the key"),
        "{error}"
    );
}

/// Keys are read from PKCS#8; of other files the error says what they hold.
#[test]
fn keys_are_read_from_pem() {
    let key = DeviceKey::generate(KeyKind::EcP256).unwrap();
    let base64 = STANDARD.encode(&**key.pkcs8());
    let pem = |label: &str, body: &str| {
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
    };
    let read = signing_key(&pem("PRIVATE KEY", &base64)).unwrap();
    assert_eq!(read.public_key(), key.public_key());
    // A file may hold other blocks before the key.
    let both = pem("EC PARAMETERS", "BggqhkjOPQMBBw==") + &pem("PRIVATE KEY", &base64);
    assert!(signing_key(&both).is_ok());
    for (text, why) in [
        (pem("EC PRIVATE KEY", &base64), "openssl pkcs8"),
        (pem("PRIVATE KEY", "AAAA"), "PKCS#8"),
        (pem("CERTIFICATE", &base64), "no PRIVATE KEY"),
        (String::new(), "no PRIVATE KEY"),
    ] {
        let error = signing_key(&text).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert!(!error.contains(&base64[..20]), "a secret in an error");
    }
}

/// A misspelt member beside the receipt is named: taken as absent it would give another hash.
#[test]
fn misspelt_members_are_findings() {
    let good = envelope(INVOICE);
    let input = good.replacen("\"previousReceiptHash\"", "\"previousReceiptHsah\"", 1);
    assert_ne!(input, good);
    let all = findings(&inspect(&input, None));
    assert!(
        all.iter()
            .any(|(code, at, _)| code == "field_unknown" && at == "/previousReceiptHsah"),
        "{all:#?}"
    );
}

/// What leaves nothing to compute is an error that names the member.
#[test]
fn unusable_inputs_are_errors() {
    for (input, name) in [
        ("", "JSON"),
        ("[]", "an object is needed"),
        ("{\"receipt\":{}}", "deviceID is missing"),
        ("{\"deviceID\":\"x\",\"receipt\":{}}", "deviceID is \"x\""),
        ("{\"deviceID\":1}", "receipt is missing"),
        ("{\"deviceID\":1,\"receipt\":[]}", "receipt is an array"),
        ("{\"deviceID\":1,\"receipt\":{},\"config\":{}}", "config"),
        (
            "{\"deviceID\":1,\"receipt\":{},\"certificate\":\"x\"}",
            "certificate",
        ),
        (
            "{\"deviceID\":1,\"receipt\":{},\"previousReceiptHash\":[]}",
            "previousReceiptHash",
        ),
    ] {
        let error = inspect_receipt(input.as_bytes(), None).unwrap_err();
        assert!(error.to_string().contains(name), "{input}: {error}");
    }
    assert!(inspect_day(b"{\"deviceID\":1}", None).is_err());
    assert!(inspect_qr(b"{\"deviceID\":1}").is_err());
}

/// The QR code's content and the verification code in upper case.
#[test]
fn qr_codes() {
    let vector = vector("qr-of-an-ecdsa-receipt");
    let input = format!(
        "{{\"qrUrl\":\"{}\",\"deviceID\":{},\"receiptDate\":\"{}\",\"receiptGlobalNo\":{},\"signature\":\"{}\"}}",
        text(&vector, "qr_url"),
        text(&vector, "device_id"),
        text(&vector, "receipt_date"),
        text(&vector, "receipt_global_no"),
        text(&vector, "device_signature_base64"),
    );
    let answer = inspect_qr(input.as_bytes()).unwrap();
    let answer = Value::parse(answer.as_bytes()).unwrap();
    assert!(text(&answer, "qrData").eq_ignore_ascii_case(&text(&vector, "expected")));
    assert_eq!(text(&answer, "verificationCode"), "1FFFFBC7516CDF86");
    let error = inspect_qr(input.replace("MEQC", "!").as_bytes()).unwrap_err();
    assert!(error.to_string().contains("base64"), "{error}");
}
