//! Answers as the authority's servers send them, and as they might.

use super::*;

const CONFIG: &str = r#"{"taxPayerName":"Example Traders (Pvt) Ltd","taxPayerTIN":"2000000000",
    "vatNumber":"220000000","deviceSerialNo":"till-2","deviceBranchName":"Example Traders",
    "deviceBranchAddress":{"province":"HARARE","city":"HARARE","street":"Samora Machel Ave","houseNo":"147"},
    "deviceBranchContacts":{"phoneNo":"0770000000","email":"accounts@example.co.zw"},
    "deviceOperatingMode":"Online","taxPayerDayMaxHrs":24,"applicableTaxes":[
    {"taxName":"Exempt","validFrom":"2023-01-01T00:00:00","taxID":1},
    {"taxPercent":0,"taxName":"Zero rated 0%","taxValidFrom":"2023-01-01T00:00:00","taxID":2},
    {"taxPercent":15,"taxName":"Standard","validFrom":"2023-01-01T00:00:00","validTill":"2025-12-31T23:59:59","taxID":515},
    {"taxPercent":15.50,"taxName":"Standard","validFrom":"2026-01-01T00:00:00","taxID":517,"rank":[1]}],
    "certificateValidTill":"2027-12-18T12:34:49","qrUrl":"https://fdmstest.zimra.co.zw",
    "taxpayerDayEndNotificationHrs":2,"operationID":"0HNHM698NBDA4:00000001","news":{"a":1}}"#;

/// A config as the test server sends it, with both spellings and things to come.
#[test]
fn config_is_read() {
    let config = Config::parse(CONFIG).unwrap();
    assert_eq!(config.taxpayer.vat_number.as_deref(), Some("220000000"));
    assert_eq!(config.operating_mode, OperatingMode::Online);
    assert_eq!(config.day_max_hours, 24);
    assert_eq!(config.taxes.len(), 4);
    assert_eq!(config.taxes[0].percent, None);
    assert_eq!(config.taxes[1].percent.as_ref().unwrap().as_str(), "0");
    assert!(config.taxes[1].valid_from.is_some());
    assert_eq!(config.taxes[3].percent.as_ref().unwrap().as_str(), "15.50");
    assert_eq!(config.taxes[3].extra["rank"], "[1]");
    let till = config.taxes[2].valid_till.as_ref().unwrap();
    assert_eq!(till.at.to_string(), "2025-12-31T23:59:59");
    assert_eq!(config.extra.keys().collect::<Vec<_>>(), ["news"]);
}

/// What cannot be done without is missed by name.
#[test]
fn missing_fields_are_named() {
    let error = Config::parse(&CONFIG.replace("qrUrl", "url")).unwrap_err();
    assert_eq!(error.to_string(), "qrUrl: is missing");
    let error = Config::parse(&CONFIG.replace("\"taxID\":515", "\"taxID\":\"A\"")).unwrap_err();
    assert_eq!(error.field, "applicableTaxes/2/taxID");
}

/// GetStatus of every state, with both names of the counters.
#[test]
fn status_is_read() {
    let new = Status::parse(r#"{"fiscalDayStatus":"FiscalDayClosed","operationID":"x"}"#).unwrap();
    assert_eq!(new.day, DayStatus::Closed);
    assert_eq!(new.last_fiscal_day_no, None);
    let failed = Status::parse(
        r#"{"fiscalDayStatus":"FiscalDayCloseFailed","fiscalDayClosingErrorCode":"CountersMismatch",
            "lastReceiptGlobalNo":12,"lastFiscalDayNo":3,"fiscalDayClosed":null}"#,
    )
    .unwrap();
    assert_eq!(failed.closing_error, Some(ClosingError::CountersMismatch));
    assert_eq!(failed.last_receipt_global_no, Some(12));
    for name in ["fiscalDayCounter", "fiscalDayCounters"] {
        let by_hand = Status::parse(&format!(
            r#"{{"fiscalDayStatus":"FiscalDayClosed","fiscalDayReconciliationMode":"Manual",
                "fiscalDayClosed":"2026-05-28T20:00:00","fiscalDayServerSignature":{{"hash":"aA==","signature":"bB==",
                "certificateThumbprint":"B785"}},"{name}":[{{"fiscalCounterType":"SaleByTax","fiscalCounterCurrency":"USD",
                "fiscalCounterTaxID":517,"fiscalCounterTaxPercent":15.50,"fiscalCounterValue":300.10}}],
                "fiscalDayDocumentQuantities":[{{"receiptType":"FiscalInvoice","receiptCurrency":"USD",
                "receiptQuantity":2,"receiptTotalAmount":300.10}}]}}"#
        ))
        .unwrap();
        assert_eq!(
            by_hand.reconciliation_mode,
            Some(ReconciliationMode::Manual)
        );
        assert_eq!(by_hand.counters[0].value.as_str(), "300.10");
        assert_eq!(by_hand.document_quantities[0].quantity, 2);
        assert_eq!(by_hand.server_signature.unwrap().thumbprint, "B785");
    }
    let strange = Status::parse(r#"{"fiscalDayStatus":"FiscalDaySuspended"}"#).unwrap();
    assert_eq!(strange.day.as_str(), "FiscalDaySuspended");
    assert!(matches!(strange.day, DayStatus::Other(_)));
}

/// An accepted receipt with errors of every colour, Gray included, and a colour to come.
#[test]
fn accepted_receipt_is_read() {
    let accepted = ReceiptAccepted::parse(
        r#"{"receiptID":11043760,"serverDate":"2026-05-28T07:42:25","receiptServerSignature":{"hash":"aA==",
            "signature":"bB==","certificateThumbprint":"b785"},"validationErrors":[
            {"validationErrorCode":"RCPT011","validationErrorColor":"Gray"},
            {"validationErrorCode":"RCPT020","validationErrorColor":"Red","validationErrorDescription":"signature"},
            {"validationErrorCode":"RCPT099","validationErrorColor":"Blue"}],"operationID":"x"}"#,
    )
    .unwrap();
    let colors: Vec<&str> = accepted
        .validation_errors
        .iter()
        .map(|error| error.color.as_str())
        .collect();
    assert_eq!(colors, ["Grey", "Red", "Blue"]);
    assert!(accepted.is_red());
    assert!(accepted.extra.is_empty());
    let plain = ReceiptAccepted::parse(r#"{"receiptID":1,"validationErrors":null}"#).unwrap();
    assert!(!plain.is_red());
    assert!(ReceiptAccepted::parse(r#"{"operationID":"x"}"#).is_err());
}

/// Chain and validity of FDMS's certificate: UTC, and one string stands for a list.
#[test]
fn server_certificates_are_read() {
    let chain = ServerCertificates::parse(
        r#"{"certificate":["root","leaf"],"certificateValidTill":"2027-01-01T00:00:00"}"#,
    )
    .unwrap();
    assert_eq!(chain.certificates, ["root", "leaf"]);
    assert_eq!(
        chain.valid_till.unwrap().to_string(),
        "2027-01-01T00:00:00Z"
    );
    let one = ServerCertificates::parse(r#"{"certificate":"leaf"}"#).unwrap();
    assert_eq!(one.certificates, ["leaf"]);
}
