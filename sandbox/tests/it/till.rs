//! A till to test the sandbox with: it registers, signs and sends like a device should.
//!
//! Receipts are plain JSON that a test may bend in any place before it is signed; the signing string is
//! made here once more, from the text of the JSON, so that the sandbox is not tested with itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clock::{Clock, DateTime, TestClock};
use fdms_sandbox::{Call, DeviceSpec, RunningSandbox, Sandbox, SandboxBuilder, Settings, schema};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The device that most tests use.
pub(crate) const DEVICE: u32 = 42;

/// A sandbox on a clock that the test moves.
pub(crate) struct Bench {
    pub(crate) sandbox: RunningSandbox,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) shutdown: CancellationToken,
}

impl Bench {
    /// A sandbox in May 2026 with device 42 and default settings.
    pub(crate) async fn start() -> Self {
        Self::start_with(Settings::default()).await
    }

    pub(crate) async fn start_with(settings: Settings) -> Self {
        Self::build(Self::new_clock(), |builder| builder.settings(settings)).await
    }

    /// A clock that stands in May 2026.
    pub(crate) fn new_clock() -> Arc<TestClock> {
        TestClock::new("2026-05-28T05:00:00Z".parse().unwrap())
    }

    /// A sandbox on this clock with device 42 and what `with` adds to it.
    pub(crate) async fn build(
        clock: Arc<TestClock>,
        with: impl FnOnce(SandboxBuilder) -> SandboxBuilder,
    ) -> Self {
        let shutdown = CancellationToken::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admin = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let builder = Sandbox::builder()
            .clock(Arc::<TestClock>::clone(&clock))
            .seed(7)
            .device(DeviceSpec::new(DEVICE));
        let sandbox = with(builder)
            .start(listener, Some(admin), shutdown.clone())
            .await
            .unwrap();
        Self {
            sandbox,
            clock,
            shutdown,
        }
    }

    /// A registered till for device 42.
    pub(crate) async fn till(&self) -> Till {
        Till::register(self, DEVICE, KeyPair::generate().unwrap()).await
    }

    /// A registered till with an open day.
    pub(crate) async fn open_till(&self) -> Till {
        let mut till = self.till().await;
        till.open_day().await;
        till
    }

    /// The local time.
    pub(crate) fn now(&self) -> DateTime {
        clock::local(self.clock.wall())
    }

    /// The instant.
    pub(crate) fn clock_time(&self) -> clock::Timestamp {
        self.clock.wall()
    }

    /// A client without a certificate.
    pub(crate) fn stranger(&self) -> reqwest::Client {
        client(&self.sandbox, None)
    }
}

/// A client that trusts the sandbox, with a certificate and its key if given.
pub(crate) fn client(
    sandbox: &RunningSandbox,
    identity: Option<(&str, &KeyPair)>,
) -> reqwest::Client {
    client_at(&sandbox.ca_pem(), identity)
}

/// A client that trusts this certificate, with one of its own and its key if given.
pub(crate) fn client_at(ca_pem: &str, identity: Option<(&str, &KeyPair)>) -> reqwest::Client {
    let root = reqwest::Certificate::from_pem(ca_pem.as_bytes()).unwrap();
    let mut builder = reqwest::Client::builder()
        .tls_certs_only([root])
        .timeout(Duration::from_secs(60));
    if let Some((certificate, key)) = identity {
        let pem = format!("{certificate}\n{}", key.serialize_pem());
        builder = builder.identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap());
    }
    builder.build().unwrap()
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// An answer, which must be as the schema says if it is FDMS's.
    pub(crate) async fn of(response: reqwest::Response) -> Self {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let call = Call::at(response.url().path());
        let text = response.text().await.unwrap();
        if let Some(call) = call {
            let kind = headers["content-type"].to_str().unwrap();
            let wrong = schema::check_answer(call, status, kind, &text);
            assert_eq!(wrong, [""; 0], "{call} {status}: {text}");
        }
        Self {
            status,
            headers,
            body: serde_json::from_str(&text).unwrap_or(Value::String(text)),
        }
    }

    /// `422 RCPT01`, or just the status.
    pub(crate) fn refusal(&self) -> String {
        match self.body["errorCode"].as_str() {
            Some(code) => format!("{} {code}", self.status),
            None => self.status.to_string(),
        }
    }

    /// The findings as `RCPT010 Red`, sorted.
    pub(crate) fn findings(&self) -> Vec<String> {
        assert_eq!(self.status, 200, "{}", self.body);
        let errors = self.body["validationErrors"].as_array().cloned();
        let text = |error: &Value, key: &str| error[key].as_str().unwrap().to_owned();
        let mut found: Vec<String> = errors
            .unwrap_or_default()
            .iter()
            .map(|e| {
                let color = text(e, "validationErrorColor");
                format!("{} {color}", text(e, "validationErrorCode"))
            })
            .collect();
        found.sort();
        found
    }
}

/// A CSR as a device makes it.
pub(crate) fn request_for(key: &KeyPair, common_name: &str) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.serialize_request(key).unwrap().pem().unwrap()
}

/// A device with a key, a certificate and a chain of receipts.
pub(crate) struct Till {
    pub(crate) id: u32,
    pub(crate) key: KeyPair,
    pub(crate) certificate: String,
    pub(crate) client: reqwest::Client,
    pub(crate) url: String,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) day_no: i64,
    pub(crate) opened: DateTime,
    pub(crate) counter: i64,
    pub(crate) global_no: i64,
    /// The hash of the last receipt of this day.
    pub(crate) last_hash: Option<String>,
    /// The receipts of this day that count.
    pub(crate) receipts: Vec<Value>,
    pub(crate) headers: [(&'static str, &'static str); 2],
}

/// Sends a message to a path of the API.
pub(crate) async fn post(
    client: &reqwest::Client,
    url: &str,
    body: &Value,
) -> reqwest::Result<Answer> {
    let response = client
        .post(url)
        .header("DeviceModelName", "Server")
        .header("DeviceModelVersion", "v1")
        .json(body)
        .send()
        .await?;
    Ok(Answer::of(response).await)
}

impl Till {
    pub(crate) async fn register(bench: &Bench, id: u32, key: KeyPair) -> Self {
        let spec = bench.sandbox.devices();
        let spec = spec.iter().find(|spec| spec.device_id == id).unwrap();
        let clock = Arc::clone(&bench.clock);
        Self::register_at(
            &bench.sandbox.url(),
            &bench.sandbox.ca_pem(),
            spec,
            key,
            clock,
        )
        .await
    }

    /// Registers a device with the sandbox at this address.
    pub(crate) async fn register_at(
        url: &str,
        ca_pem: &str,
        spec: &DeviceSpec,
        key: KeyPair,
        clock: Arc<TestClock>,
    ) -> Self {
        let id = spec.device_id;
        let name = format!("ZIMRA-{}-{id:010}", spec.serial_no);
        let message = json!({
            "activationKey": spec.activation_key,
            "certificateRequest": request_for(&key, &name),
        });
        let path = format!("{url}/Public/v1/{id}/RegisterDevice");
        let stranger = client_at(ca_pem, None);
        let answer = post(&stranger, &path, &message).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        let certificate = answer.body["certificate"].as_str().unwrap().to_owned();
        Self {
            id,
            client: client_at(ca_pem, Some((&certificate, &key))),
            key,
            certificate,
            url: url.to_owned(),
            clock,
            day_no: 0,
            opened: DateTime::default(),
            counter: 0,
            global_no: 0,
            last_hash: None,
            receipts: Vec::new(),
            headers: [("DeviceModelName", "Server"), ("DeviceModelVersion", "v1")],
        }
    }

    /// Gets a new certificate for the till's key, which may be a new one, over the old one's connection.
    pub(crate) async fn renew(&mut self, bench: &Bench) {
        let name = format!("ZIMRA-till-{}-{:010}", self.id, self.id);
        let message = json!({"certificateRequest": request_for(&self.key, &name)});
        let answer = self.post("IssueCertificate", &message).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        self.certificate = answer.body["certificate"].as_str().unwrap().to_owned();
        self.client = client(&bench.sandbox, Some((&self.certificate, &self.key)));
    }

    /// The till goes on with another sandbox that trusts its certificate.
    pub(crate) fn move_to(&mut self, sandbox: &RunningSandbox) {
        self.client = client(sandbox, Some((&self.certificate, &self.key)));
        self.url = sandbox.url();
    }

    pub(crate) fn now(&self) -> DateTime {
        clock::local(self.clock.wall())
    }

    pub(crate) fn path(&self, call: &str) -> String {
        format!("{}/Device/v1/{}/{call}", self.url, self.id)
    }

    pub(crate) fn with_headers(
        &self,
        mut request: reqwest::RequestBuilder,
    ) -> reqwest::RequestBuilder {
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        request
    }

    pub(crate) async fn try_post(&self, call: &str, body: &Value) -> reqwest::Result<Answer> {
        let request = self.with_headers(self.client.post(self.path(call)).json(body));
        Ok(Answer::of(request.send().await?).await)
    }

    pub(crate) async fn post(&self, call: &str, body: &Value) -> Answer {
        self.try_post(call, body).await.unwrap()
    }

    pub(crate) async fn get(&self, call: &str) -> Answer {
        let request = self.with_headers(self.client.get(self.path(call)));
        Answer::of(request.send().await.unwrap()).await
    }

    pub(crate) async fn open_day(&mut self) {
        self.open_day_at(self.now()).await;
    }

    pub(crate) async fn open_day_at(&mut self, opened: DateTime) {
        self.opened = opened;
        let message = json!({"fiscalDayOpened": self.opened.to_string()});
        let answer = self.post("OpenDay", &message).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        self.day_no = answer.body["fiscalDayNo"].as_i64().unwrap();
        self.counter = 0;
        self.last_hash = None;
        self.receipts.clear();
    }

    /// A valid invoice over 10.00 with the next numbers, ten seconds later, not signed yet.
    pub(crate) fn invoice(&mut self) -> Value {
        self.clock.advance(Duration::from_secs(10));
        let number = self.global_no + 1;
        json!({
            "receiptType": "FiscalInvoice",
            "receiptCurrency": "USD",
            "receiptCounter": self.counter + 1,
            "receiptGlobalNo": number,
            "invoiceNo": format!("{}-{number}", self.id),
            "receiptDate": self.now().to_string(),
            "receiptLinesTaxInclusive": true,
            "receiptLines": [line(1, 10.0, 517, Some(1550))],
            "receiptTaxes": [row(517, Some(1550), 1.34, 10.0)],
            "receiptPayments": [{"moneyTypeCode": "Cash", "paymentAmount": 10.0}],
            "receiptTotal": 10.0,
        })
    }

    /// A valid credit note over 4.00 of the receipt with this receiptID.
    pub(crate) fn credit_note(&mut self, receipt_id: i64) -> Value {
        let mut note = self.invoice();
        note["receiptType"] = "CreditNote".into();
        note["creditDebitNote"] = json!({"receiptID": receipt_id});
        note["receiptNotes"] = "brought back".into();
        note["receiptLines"] = json!([line(1, -4.0, 517, Some(1550))]);
        note["receiptTaxes"] = json!([row(517, Some(1550), -0.54, -4.0)]);
        note["receiptPayments"][0]["paymentAmount"] = (-4.0).into();
        note["receiptTotal"] = (-4.0).into();
        note
    }

    /// Puts hash and signature on, over the chain as it is.
    pub(crate) fn sign(&self, receipt: &mut Value) {
        let text = receipt_string(self.id, receipt, self.last_hash.as_deref());
        receipt["receiptDeviceSignature"] = signature(&self.key, &text);
    }

    /// Sends a receipt as it is.
    pub(crate) async fn submit(&self, receipt: &Value) -> Answer {
        self.post("SubmitReceipt", &json!({"receipt": receipt}))
            .await
    }

    /// Signs, sends, and goes on in the chain.
    pub(crate) async fn sell(&mut self, mut receipt: Value) -> Answer {
        self.sign(&mut receipt);
        let answer = self.submit(&receipt).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        self.goes_on_from(receipt);
        answer
    }

    /// The chain goes on from this receipt, sent or not.
    pub(crate) fn goes_on_from(&mut self, receipt: Value) {
        self.counter = receipt["receiptCounter"].as_i64().unwrap();
        self.global_no = receipt["receiptGlobalNo"].as_i64().unwrap();
        let hash = &receipt["receiptDeviceSignature"]["hash"];
        self.last_hash = Some(hash.as_str().unwrap().to_owned());
        self.receipts.push(receipt);
    }

    /// Sells the next valid invoice and expects no finding; its receiptID.
    pub(crate) async fn sell_invoice(&mut self) -> i64 {
        let receipt = self.invoice();
        let answer = self.sell(receipt).await;
        assert_eq!(answer.findings(), [""; 0]);
        answer.body["receiptID"].as_i64().unwrap()
    }

    /// Sells this and expects just these findings.
    pub(crate) async fn expect(&mut self, receipt: Value, findings: &[&str]) -> Answer {
        let answer = self.sell(receipt).await;
        assert_eq!(answer.findings(), findings);
        answer
    }

    /// The counters of the day's receipts, as a device should report them.
    pub(crate) fn counters(&self) -> Vec<Value> {
        let mut sums: BTreeMap<(usize, String, i64, String), i128> = BTreeMap::new();
        let mut rows: BTreeMap<(usize, String, i64, String), Value> = BTreeMap::new();
        let mut add = |order: usize, name: &str, receipt: &Value, by: Value, value: &Value| {
            let currency = receipt["receiptCurrency"].as_str().unwrap();
            let tax = by["fiscalCounterTaxID"].as_i64().unwrap_or(0);
            let key = (order, currency.to_owned(), tax, by.to_string());
            *sums.entry(key.clone()).or_default() += cents(value);
            let mut row = by;
            row["fiscalCounterType"] = name.into();
            row["fiscalCounterCurrency"] = currency.into();
            rows.insert(key, row);
        };
        for receipt in &self.receipts {
            let (order, name) = match receipt["receiptType"].as_str().unwrap() {
                "FiscalInvoice" => (0, "Sale"),
                "CreditNote" => (2, "CreditNote"),
                _ => (4, "DebitNote"),
            };
            for tax in receipt["receiptTaxes"].as_array().unwrap() {
                let mut by = json!({"fiscalCounterTaxID": tax["taxID"]});
                if !tax["taxPercent"].is_null() {
                    by["fiscalCounterTaxPercent"] = tax["taxPercent"].clone();
                }
                let by_tax = format!("{name}ByTax");
                add(
                    order,
                    &by_tax,
                    receipt,
                    by.clone(),
                    &tax["salesAmountWithTax"],
                );
                let tax_by_tax = format!("{name}TaxByTax");
                add(order + 1, &tax_by_tax, receipt, by, &tax["taxAmount"]);
            }
            for payment in receipt["receiptPayments"].as_array().unwrap() {
                let by = json!({"fiscalCounterMoneyType": payment["moneyTypeCode"]});
                add(
                    6,
                    "BalanceByMoneyType",
                    receipt,
                    by,
                    &payment["paymentAmount"],
                );
            }
        }
        let mut list = Vec::new();
        for (key, sum) in sums {
            let mut row = rows.remove(&key).unwrap();
            if sum != 0 {
                row["fiscalCounterValue"] = number(sum);
                list.push(row);
            }
        }
        list
    }

    /// A CloseDay message that is right.
    pub(crate) fn close_message(&self) -> Value {
        self.close_message_with(self.counters())
    }

    /// A CloseDay message over these counters, rightly signed.
    pub(crate) fn close_message_with(&self, counters: Vec<Value>) -> Value {
        let mut text = format!("{}{}{}", self.id, self.day_no, self.opened.date());
        for row in &counters {
            let name = |key: &str| row[key].as_str().unwrap_or_default().to_uppercase();
            text += &name("fiscalCounterType");
            text += &name("fiscalCounterCurrency");
            text += &name("fiscalCounterMoneyType");
            text += &percent(&row["fiscalCounterTaxPercent"]);
            text += &cents(&row["fiscalCounterValue"]).to_string();
        }
        json!({
            "fiscalDayNo": self.day_no,
            "fiscalDayCounters": counters,
            "fiscalDayDeviceSignature": signature(&self.key, &text),
            "receiptCounter": self.counter,
        })
    }

    /// Closes the day and says how it ended: the status, and the error if there is one.
    pub(crate) async fn close_day(&self) -> String {
        self.close_with(&self.close_message()).await
    }

    pub(crate) async fn close_with(&self, message: &Value) -> String {
        let answer = self.post("CloseDay", message).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let status = self.get("GetStatus").await.body;
        let end = status["fiscalDayStatus"].as_str().unwrap();
        match status["fiscalDayClosingErrorCode"].as_str() {
            Some(error) => format!("{end} {error}"),
            None => end.to_owned(),
        }
    }
}

/// A sale line of quantity 1; the percent in hundredths.
pub(crate) fn line(no: i64, amount: impl Into<Value>, tax_id: i64, percent: Option<i128>) -> Value {
    let amount = amount.into();
    let mut line = json!({
        "receiptLineType": "Sale",
        "receiptLineNo": no,
        "receiptLineHSCode": "19059090",
        "receiptLineName": "Bread",
        "receiptLinePrice": amount,
        "receiptLineQuantity": 1,
        "receiptLineTotal": amount,
        "taxID": tax_id,
    });
    if let Some(percent) = percent {
        line["taxPercent"] = number(percent);
    }
    line
}

/// A tax row; the percent in hundredths.
pub(crate) fn row(
    tax_id: i64,
    percent: Option<i128>,
    tax: impl Into<Value>,
    sales: impl Into<Value>,
) -> Value {
    let (tax, sales) = (tax.into(), sales.into());
    let mut row = json!({"taxID": tax_id, "taxAmount": tax, "salesAmountWithTax": sales});
    if let Some(percent) = percent {
        row["taxPercent"] = number(percent);
    }
    row
}

/// Hash and signature over a text.
pub(crate) fn signature(key: &KeyPair, text: &str) -> Value {
    json!({
        "hash": STANDARD.encode(Sha256::digest(text)),
        "signature": STANDARD.encode(key.sign(text.as_bytes()).unwrap()),
    })
}

/// Cents of a number, from its text.
pub(crate) fn cents(value: &Value) -> i128 {
    let text = value.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let digits = format!("{whole}{:0<2}", fraction.get(..2).unwrap_or(fraction));
    digits.parse().unwrap()
}

/// A number from cents.
pub(crate) fn number(cents: i128) -> Value {
    let sign = if cents < 0 { "-" } else { "" };
    let text = format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100);
    serde_json::from_str(&text).unwrap()
}

fn percent(value: &Value) -> String {
    if value.is_null() {
        return String::new();
    }
    let cents = cents(value);
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// The signing string of a receipt.
pub(crate) fn receipt_string(device_id: u32, receipt: &Value, previous: Option<&str>) -> String {
    let name = |key: &str| receipt[key].as_str().unwrap().to_uppercase();
    let mut text = format!(
        "{device_id}{}{}{}{}{}",
        name("receiptType"),
        name("receiptCurrency"),
        receipt["receiptGlobalNo"],
        receipt["receiptDate"].as_str().unwrap(),
        cents(&receipt["receiptTotal"]),
    );
    let mut rows = receipt["receiptTaxes"].as_array().unwrap().clone();
    let code = |row: &Value| row["taxCode"].as_str().unwrap_or_default().to_owned();
    rows.sort_by_key(|row| (row["taxID"].as_i64(), code(row)));
    for row in rows {
        text += &code(&row);
        text += &percent(&row["taxPercent"]);
        text += &cents(&row["taxAmount"]).to_string();
        text += &cents(&row["salesAmountWithTax"]).to_string();
    }
    text + previous.unwrap_or_default()
}
