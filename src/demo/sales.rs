//! The sales of the demonstration, as a POS would post them.

/// A sale: what it shows, and its JSON.
pub(super) struct DemoSale {
    /// What it shows.
    pub(super) title: &'static str,
    /// What is posted.
    pub(super) json: String,
}

fn sale(title: &'static str, json: &str) -> DemoSale {
    DemoSale {
        title,
        json: json.to_owned(),
    }
}

/// Sales with the internet there.
pub(super) fn online() -> Vec<DemoSale> {
    vec![
        sale(
            "An invoice",
            r#"{"receiptType":"FiscalInvoice","receiptCurrency":"USD","invoiceNo":"D-1",
            "receiptLinesTaxInclusive":true,"cashier":"Rudo","tendered":5,"change":0.2,
            "receiptLines":[
              {"receiptLineType":"Sale","receiptLineName":"Bread","receiptLineHSCode":"19059090",
               "receiptLinePrice":1.20,"receiptLineQuantity":4,"taxID":517}],
            "receiptPayments":[{"moneyTypeCode":"Cash","paymentAmount":4.80}]}"#,
        ),
        sale(
            "Mixed taxes: standard, zero-rated by weight, exempt; paid by card and cash",
            r#"{"receiptType":"FiscalInvoice","receiptCurrency":"USD","invoiceNo":"D-2",
            "receiptLinesTaxInclusive":true,
            "receiptLines":[
              {"receiptLineType":"Sale","receiptLineName":"Cooking oil 2 l","receiptLineHSCode":"15121900",
               "receiptLinePrice":3.75,"receiptLineQuantity":2,"taxID":517},
              {"receiptLineType":"Sale","receiptLineName":"Tomatoes","receiptLineHSCode":"07020000",
               "receiptLinePrice":1.80,"receiptLineQuantity":0.555,"taxID":2},
              {"receiptLineType":"Sale","receiptLineName":"Bus ticket","receiptLineHSCode":"99003000",
               "receiptLinePrice":1.50,"receiptLineQuantity":1,"taxID":1}],
            "receiptPayments":[{"moneyTypeCode":"Card","paymentAmount":9.00},
                               {"moneyTypeCode":"Cash","paymentAmount":1.00}]}"#,
        ),
        sale(
            "Tax-exclusive, with a buyer",
            r#"{"receiptType":"FiscalInvoice","receiptCurrency":"USD","invoiceNo":"D-3",
            "receiptLinesTaxInclusive":false,
            "buyerData":{"buyerRegisterName":"Mbare Lawns (Pvt) Ltd","buyerTIN":"2000123456",
                         "vatNumber":"220123456"},
            "receiptLines":[
              {"receiptLineType":"Sale","receiptLineName":"Kikuyu lawn, m2","receiptLineHSCode":"12092500",
               "receiptLinePrice":2.5974,"receiptLineQuantity":100,"taxID":517}],
            "receiptPayments":[{"moneyTypeCode":"BankTransfer","paymentAmount":300.00}]}"#,
        ),
        sale(
            "In Zimbabwe Gold",
            r#"{"receiptType":"FiscalInvoice","receiptCurrency":"ZIG","invoiceNo":"D-4",
            "receiptLinesTaxInclusive":true,
            "receiptLines":[
              {"receiptLineType":"Sale","receiptLineName":"Mealie meal 10 kg","receiptLineHSCode":"11022000",
               "receiptLinePrice":172.50,"receiptLineQuantity":1,"taxID":2}],
            "receiptPayments":[{"moneyTypeCode":"MobileWallet","paymentAmount":172.50}]}"#,
        ),
        sale(
            "A discount",
            r#"{"receiptType":"FiscalInvoice","receiptCurrency":"USD","invoiceNo":"D-5",
            "receiptLinesTaxInclusive":true,
            "receiptLines":[
              {"receiptLineType":"Sale","receiptLineName":"School shoes","receiptLineHSCode":"64039900",
               "receiptLinePrice":25.00,"receiptLineQuantity":1,"taxID":517},
              {"receiptLineType":"Discount","receiptLineName":"Discount: School shoes",
               "receiptLineHSCode":"64039900","receiptLinePrice":-2.50,"receiptLineQuantity":1,"taxID":517}],
            "receiptPayments":[{"moneyTypeCode":"Cash","paymentAmount":22.50}]}"#,
        ),
        sale(
            "A credit note on the first sale",
            r#"{"receiptType":"CreditNote","receiptCurrency":"USD","invoiceNo":"D-6",
            "receiptNotes":"One loaf was stale","creditDebitNote":{"invoiceNo":"D-1"},
            "receiptLinesTaxInclusive":true,
            "receiptLines":[
              {"receiptLineType":"Sale","receiptLineName":"Bread","receiptLineHSCode":"19059090",
               "receiptLinePrice":-1.20,"receiptLineQuantity":1,"taxID":517}],
            "receiptPayments":[{"moneyTypeCode":"Cash","paymentAmount":-1.20}]}"#,
        ),
    ]
}

/// A sale while the internet is away.
pub(super) fn offline(number: u32) -> DemoSale {
    DemoSale {
        title: "Without the internet",
        json: format!(
            r#"{{"receiptType":"FiscalInvoice","receiptCurrency":"USD","invoiceNo":"D-{number}",
            "receiptLinesTaxInclusive":true,
            "receiptLines":[
              {{"receiptLineType":"Sale","receiptLineName":"Airtime","receiptLineHSCode":"99001000",
               "receiptLinePrice":1.00,"receiptLineQuantity":{number},"taxID":517}}],
            "receiptPayments":[{{"moneyTypeCode":"Cash","paymentAmount":{number}.00}}]}}"#
        ),
    }
}
