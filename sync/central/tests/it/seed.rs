//! A believable company: three stores, seven tills, days, receipts as they are signed and sent, a dead letter, a
//! certificate that ends soon, a store that is silent. Rows as the stores' lines leave them.

use base64::Engine as _;
use clock::{DateTime, Timestamp};
use fiscal::compose::{Known, Numbers, compose, in_signing_order};
use fiscal::counters::DayTotals;
use fiscal::draft::Draft;
use fiscal::receipt::{Hash, Receipt, Signature};
use fiscal::{DeviceId, ReceiptCounter, ReceiptGlobalNo, sign, wire};
use fiscal_hq::access::{By, Role, users};
use fiscal_hq::db::{self, TenantId};
use sha2::{Digest as _, Sha256};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::support::Test;

/// The password of everybody here.
pub(crate) const PASSWORD: &str = "a long sentence for the tests";
/// The till whose queue is stuck, and the receipt that FDMS refused.
pub(crate) const STUCK: (i32, i32) = (24_011, 1_207);
/// A till with two days of sales, and its last receipt.
pub(crate) const BUSY: (i32, i32) = (24_001, 3_085);

/// What was made.
pub(crate) struct Shop {
    /// The tenant.
    pub(crate) tenant: TenantId,
    /// Its stores: well, with a dead letter, silent.
    pub(crate) stores: [Uuid; 3],
    /// An admin who may sign in with [`PASSWORD`].
    pub(crate) email: String,
    /// Makes rows, past row-level security.
    sql: Client,
    now: Timestamp,
}

/// A till as it is seeded.
struct Till {
    environment: &'static str,
    device: i32,
    store: usize,
    machine: &'static str,
    last: i32,
    sent: i32,
    certificate_days: i64,
}

const TILLS: [Till; 7] = [
    till("prod", 24_001, 0, "Counter 1", 3_085, 3_085, 210),
    till("prod", 24_002, 0, "Counter 2", 2_010, 2_009, 210),
    till("test", 37_367, 0, "Counter 1", 12, 12, 300),
    till("prod", 24_011, 1, "Front till", 1_210, 1_206, 160),
    till("prod", 24_012, 1, "Pharmacy", 911, 911, 9),
    till("prod", 24_021, 2, "Till A", 415, 402, 88),
    till("test", 37_368, 2, "Till A", 3, 3, 88),
];

const fn till(
    environment: &'static str,
    device: i32,
    store: usize,
    machine: &'static str,
    last: i32,
    sent: i32,
    certificate_days: i64,
) -> Till {
    Till {
        environment,
        device,
        store,
        machine,
        last,
        sent,
        certificate_days,
    }
}

/// GetConfig's answer for a till.
pub(crate) fn config(company: &str, device: i32) -> String {
    serde_json::json!({
        "taxPayerName": company, "taxPayerTIN": "2000123456", "vatNumber": "220123456",
        "deviceSerialNo": format!("SN-{device}"), "deviceBranchName": company,
        "deviceBranchAddress": { "province": "Harare", "city": "Harare", "street": "King George Road", "houseNo": "12" },
        "deviceBranchContacts": { "phoneNo": "+263 24 2700000", "email": "shop@example.com" },
        "deviceOperatingMode": "Online", "taxPayerDayMaxHrs": 24, "taxpayerDayEndNotificationHrs": 2,
        "applicableTaxes": [
            { "taxID": 1, "taxName": "Exempt", "taxValidFrom": "2024-01-01T00:00:00" },
            { "taxID": 2, "taxPercent": 0, "taxName": "Zero rated 0%", "taxValidFrom": "2024-01-01T00:00:00" },
            { "taxID": 517, "taxPercent": 15.5, "taxName": "Standard rated 15.5%", "taxValidFrom": "2024-01-01T00:00:00" }
        ],
        "qrUrl": "https://fdmstest.zimra.co.zw"
    })
    .to_string()
}

/// Makes the company. `name` is that of the company, and stands in its papers.
pub(crate) async fn believable(test: &Test, name: &str) -> Shop {
    let tenant = test.tenant(name).await;
    let now = test.hq.now();
    let shop = Shop {
        tenant,
        stores: [Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4()],
        email: format!("admin@{}.example", tenant.0.simple()),
        sql: test.database.connect("postgres").await,
        now,
    };
    person(test, tenant, &shop.email).await;
    shop.profile(name).await;
    shop.stores().await;
    for till in &TILLS {
        shop.till(till, name).await;
    }
    shop.sales(BUSY.0, 0, 61, ago(now, 33), 40, true).await;
    shop.sales(BUSY.0, 0, 62, ago(now, 7), 45, false).await;
    shop.sales(STUCK.0, 1, 30, ago(now, 6), 10, false).await;
    shop.dead_letter().await;
    shop.around().await;
    shop
}

/// A company without anything but an admin; his email.
pub(crate) async fn empty(test: &Test, name: &str) -> String {
    let tenant = test.tenant(name).await;
    let email = format!("admin@{}.example", tenant.0.simple());
    person(test, tenant, &email).await;
    email
}

/// A person of the operator; his email.
pub(crate) async fn operator(test: &Test) -> String {
    let email = "operator@hq.example".to_owned();
    person(test, TenantId::OPERATOR, &email).await;
    email
}

/// An admin who may sign in with [`PASSWORD`].
pub(crate) async fn person(test: &Test, tenant: TenantId, email: &str) {
    let mut client = test.hq.db.client().await.unwrap();
    let tx = db::tenant(&mut client, tenant).await.unwrap();
    let by = By {
        tenant,
        actor: "operator:test",
        now: test.hq.now(),
        from: None,
    };
    let (_, code) = users::invite(&tx, &by, email, "Tendai Moyo", Role::Admin)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    users::take_up(&test.hq, None, code.code.reveal(), PASSWORD.to_owned())
        .await
        .unwrap();
}

fn ago(now: Timestamp, hours: i64) -> Timestamp {
    now - jiff::SignedDuration::from_hours(hours)
}

impl Shop {
    async fn run(&self, sql: &str, values: &[&(dyn tokio_postgres::types::ToSql + Sync)]) {
        self.sql.execute(sql, values).await.unwrap();
    }

    async fn profile(&self, name: &str) {
        self.run(
            "UPDATE tenant_fiscal_profiles SET legal_name = $2, trade_name = $2, tin = '2000123456', vat_number = '220123456',
               address = '12 King George Road, Harare', enabled_test = true, version = 2, updated_at = $3, reviewed_by = 'user:auditor@example.com',
               reviewed_at = $3 WHERE tenant_id = $1",
            &[&self.tenant.0, &name, &self.now],
        )
        .await;
    }

    async fn stores(&self) {
        let seen = [0, 0, 3];
        for ((store, name), hours) in self
            .stores
            .iter()
            .zip(["Avondale", "Borrowdale", "Chitungwiza"])
            .zip(seen)
        {
            self.run(
                "INSERT INTO stores (tenant_id, store_id, name, created_at, joined_at) VALUES ($1, $2, $3, $4, $4)",
                &[&self.tenant.0, store, &name, &ago(self.now, 2_000)],
            )
            .await;
            let state = serde_json::json!({ "at": 0, "lastSeq": 5_000, "version": "0.1.0", "revision": 1, "tills": [] });
            self.run(
                "INSERT INTO store_cursors (tenant_id, store_id, epoch_no, epoch, acked, hash, last_command, seen_command, last_seen_at,
                   last_entry_at, state_at, state, version, clock_skew_ms, revision)
                 VALUES ($1, $2, 1, $3, $4, '\\x00', 3, 3, $5, $5, $5, $6, '0.1.0', $7, 1)",
                &[&self.tenant.0, store, &Uuid::new_v4(), &(5_000 - hours * 20), &ago(self.now, hours), &state, &(hours * 40_000)],
            )
            .await;
            self.run(
                "INSERT INTO store_epochs (tenant_id, store_id, epoch_no, epoch, reason, began_at) VALUES ($1, $2, 1, $3, 'joined', $4)",
                &[&self.tenant.0, store, &Uuid::new_v4(), &ago(self.now, 2_000)],
            )
            .await;
        }
    }

    async fn till(&self, till: &Till, company: &str) {
        let waiting = till.last - till.sent;
        let oldest = (waiting > 0).then(|| ago(self.now, if till.store == 2 { 3 } else { 4 }));
        let parked =
            (till.device == STUCK.0).then_some("RCPT020: the receipt's signature is not valid");
        let day =
            (till.environment == "prod").then_some(if till.device == BUSY.0 { 62 } else { 30 });
        let opened = day.map(|_| clock::local(ago(self.now, 7)));
        self.run(
            "INSERT INTO fdms_devices (tenant_id, environment, device_id, serial_no, model_name, model_version, store_id, machine_name, state,
               invoice_prefix, operating_mode, fiscal_day_no, fiscal_day_opened, last_day_no, last_receipt_global_no, sent_receipt_global_no,
               waiting, oldest_waiting_at, parked, line, certificate_thumbprint, certificate_from, certificate_till, last_seen_at, created_by, created_at)
             VALUES ($1, $2, $3, $4, 'Server', 'v1', $5, $6, 'active', $7, 'Online', $8, $9, 61, $10, $11, $12, $13, $14, $15,
               'A1B2C3D4E5F60718293A4B5C6D7E8F9001122334', $16, $17, $18, 'store', $16)",
            &[
                &self.tenant.0, &till.environment, &till.device, &format!("SN-{}", till.device), &self.stores[till.store], &till.machine,
                &format!("{}{}-", if till.environment == "prod" { "P" } else { "T" }, till.device), &day, &opened, &till.last, &till.sent,
                &waiting, &oldest, &parked, &(if till.store == 2 { "down" } else { "up" }), &ago(self.now, 2_000),
                &(self.now + jiff::SignedDuration::from_hours(24 * till.certificate_days)), &ago(self.now, if till.store == 2 { 3 } else { 0 }),
            ],
        )
        .await;
        let body = serde_json::json!({ "config": config(company, till.device) }).to_string();
        self.event(
            till.store,
            i64::from(till.device),
            ago(self.now, 1_900),
            (till.environment, till.device),
            "config.changed",
            &body,
        )
        .await;
    }

    async fn event(
        &self,
        store: usize,
        seq: i64,
        at: Timestamp,
        (environment, device): (&str, i32),
        kind: &str,
        body: &str,
    ) {
        self.run(
            "INSERT INTO store_events (tenant_id, store_id, epoch_no, seq, at, environment, device_id, kind, body)
             VALUES ($1, $2, 1, $3, $4, $5, $6, $7, $8)",
            &[&self.tenant.0, &self.stores[store], &seq, &at, &environment, &device, &kind, &body],
        )
        .await;
    }

    /// A day of sales on a production till; the last receipt is the till's last one, or that of the day before.
    async fn sales(
        &self,
        device: i32,
        store: usize,
        day: i32,
        opened: Timestamp,
        count: i32,
        is_closed: bool,
    ) {
        let last = TILLS
            .iter()
            .find(|till| till.device == device)
            .unwrap()
            .last;
        let first = if is_closed {
            last - 45 - count + 1
        } else {
            last - count + 1
        };
        let mut totals = DayTotals::default();
        for place in 0..count {
            let minutes = i64::from(place) * 9 + i64::from(place * place % 17) + 4;
            let at = opened + jiff::SignedDuration::from_mins(minutes);
            let receipt = receipt(place, first + place, clock::local(at));
            totals.add_receipt(&receipt);
            self.receipt(device, store, day, at, &receipt).await;
        }
        let mut counters = String::new();
        wire::write_counters(&mut counters, &totals.counters);
        let closed = is_closed.then(|| clock::local(opened + jiff::SignedDuration::from_hours(11)));
        let confirmed = is_closed.then(|| opened + jiff::SignedDuration::from_mins(663));
        self.run(
            "INSERT INTO fiscal_days (tenant_id, environment, device_id, fiscal_day_no, store_id, opened, closed, receipt_counter, counters, confirmed_at)
             VALUES ($1, 'prod', $2, $3, $4, $5, $6, $7, CASE WHEN $6::timestamp IS NULL THEN NULL ELSE $8::text::jsonb END, $9)",
            &[&self.tenant.0, &device, &day, &self.stores[store], &clock::local(opened), &closed, &is_closed.then_some(count), &counters, &confirmed],
        )
        .await;
    }

    async fn receipt(&self, device: i32, store: usize, day: i32, at: Timestamp, receipt: &Receipt) {
        let id = DeviceId::new(u32::try_from(device).unwrap()).unwrap();
        let hash: Hash = sign::hash(&sign::receipt_string(id, receipt, None));
        let signature = Signature {
            hash,
            bytes: Sha256::digest(hash.0).to_vec(),
        };
        let body = wire::submit_receipt_body(receipt, &signature);
        let signature_text = base64::engine::general_purpose::STANDARD.encode(&signature.bytes);
        let rest = serde_json::json!({ "hash": hash.to_string(), "signature": signature_text, "body": "",
            "print": serde_json::json!({ "cashier": "Rudo", "footerLines": ["Thank you for shopping with us"] }).to_string() });
        let number = i32::try_from(receipt.global_no.get()).unwrap();
        let seq = i64::from(device) * 100_000 + i64::from(number) * 10;
        self.run(
            "INSERT INTO receipts (tenant_id, environment, device_id, receipt_global_no, hash, store_id, epoch_no, seq, at, fiscal_day_no, receipt_counter,
               receipt_type, receipt_currency, receipt_total, receipt_date, invoice_no, body, rest)
             VALUES ($1, 'prod', $2, $3, $4, $5, 1, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
            &[
                &self.tenant.0, &device, &number, &hash.0.as_slice(), &self.stores[store], &seq, &at, &day,
                &i32::try_from(receipt.counter.get()).unwrap(), &receipt.receipt_type.as_str(), &receipt.currency.as_str(), &receipt.total.get(),
                &receipt.date, &receipt.invoice_no, &body, &rest.to_string(),
            ],
        )
        .await;
        let sent = TILLS
            .iter()
            .find(|till| till.device == device)
            .unwrap()
            .sent;
        if number <= sent {
            let answer = format!(
                r#"{{"receiptID":{},"serverDate":"{}","operationID":"0HN{number}:1"}}"#,
                900_000 + number,
                receipt.date
            );
            self.attempt(
                store,
                device,
                at + jiff::SignedDuration::from_secs(2),
                seq + 1,
                number,
                ("accepted", Some(&answer), None),
            )
            .await;
        }
    }

    async fn attempt(
        &self,
        store: usize,
        device: i32,
        at: Timestamp,
        seq: i64,
        number: i32,
        (outcome, answer, error): (&str, Option<&str>, Option<&str>),
    ) {
        self.run(
            "INSERT INTO fdms_submission_logs (tenant_id, at, store_id, epoch_no, seq, environment, device_id, kind, number, item_seq, attempt, outcome,
               http_status, fdms_code, operation_id, color, error_message, duration_ms, answer, server_signature)
             VALUES ($1, $2, $3, 1, $4, 'prod', $5, 'submit_receipt', $6, $4, 1, $7, 200, $8, $9, $10, $11, 412, $12, $13)",
            &[
                &self.tenant.0, &at, &self.stores[store], &seq, &device, &number, &outcome, &error.map(|_| "RCPT020"), &format!("0HN{number}:1"),
                &error.map(|_| "Red"), &error, &answer, &answer.map(|_| "valid"),
            ],
        )
        .await;
    }

    async fn dead_letter(&self) {
        let (device, number) = STUCK;
        let reason = "the receipt's signature is not valid; ask the authority which certificate it has for this device";
        // Of a queue only what was tried: refused, sent without an answer, tried in vain.
        let lost = "no answer came; FDMS is asked whether it has it";
        let down = "FDMS cannot be reached: the line of the store is down";
        for (store, device, number, status, attempts, why, code) in [
            (1, device, number, "dead_letter", 3, reason, Some("RCPT020")),
            (0, 24_002, 2_010, "in_flight", 1, lost, None),
            (2, 24_021, 403, "pending", 19, down, None),
        ] {
            let next = (status != "dead_letter")
                .then(|| self.now + jiff::SignedDuration::from_secs(i64::from(attempts) * 12));
            self.run(
                "INSERT INTO fdms_retry_jobs (tenant_id, store_id, environment, device_id, kind, number, item_seq, status, attempts, next_attempt_at, reason, code, created_at, updated_at)
                 VALUES ($1, $2, 'prod', $3, 'submit_receipt', $4, $5, $6, $7, $8, $9, $10, $11, $11)",
                &[
                    &self.tenant.0, &self.stores[store], &device, &number, &i64::from(number), &status, &attempts, &next, &why, &code,
                    &ago(self.now, 4),
                ],
            )
            .await;
        }
        self.attempt(
            1,
            device,
            ago(self.now, 4),
            77,
            number,
            ("refused", None, Some(reason)),
        )
        .await;
    }

    /// Commands, alerts and a credential.
    async fn around(&self) {
        let commands = [
            ("refresh_config", "done", "the configuration is as before"),
            ("close_day", "refused", "something waits: receipt 1207"),
            ("retry", "queued", ""),
        ];
        for (no, (kind, status, detail)) in (1_i64..).zip(commands) {
            let finished = (status != "queued").then(|| ago(self.now, 2));
            self.run(
                "INSERT INTO commands (tenant_id, store_id, command_no, command_id, kind, environment, device_id, body, status, issued_by, issued_at,
                   expires_at, finished_at, detail) VALUES ($1, $2, $3, $4, $5, 'prod', $6, '{}', $7, $8, $9, $10, $11, nullif($12, ''))",
                &[
                    &self.tenant.0, &self.stores[1], &no, &Uuid::new_v4(), &kind, &STUCK.0, &status, &format!("user:{}", self.email),
                    &ago(self.now, 3), &self.now, &finished, &detail,
                ],
            )
            .await;
        }
        let alerts = [
            (
                "dead_letter",
                "prod 24011",
                "fault",
                1,
                Some(24_011),
                "FDMS refuses receipt 1207 of till 24011 (RCPT020): find out why, then retry or keep it paused with the reason",
            ),
            (
                "certificate",
                "prod 24012",
                "warning",
                1,
                Some(24_012),
                "the certificate of till 24012 ends in 9 days: renew it",
            ),
            (
                "silent_store",
                "Chitungwiza",
                "fault",
                2,
                None,
                "Chitungwiza has not been heard of for 3 hours: ask there whether the line is down; it sells on",
            ),
        ];
        for (kind, subject, severity, store, device, detail) in alerts {
            self.run(
                "INSERT INTO alerts (tenant_id, alert_id, kind, subject, severity, store_id, environment, device_id, detail, since)
                 VALUES ($1, $2, $3, $4, $5, $6, 'prod', $7, $8, $9)",
                &[&self.tenant.0, &Uuid::new_v4(), &kind, &subject, &severity, &self.stores[store], &device, &detail, &ago(self.now, 3)],
            )
            .await;
        }
        self.run(
            "INSERT INTO fdms_tenant_credentials (tenant_id, environment, device_id, version, label, thumbprint, certificate, valid_from, valid_till, active,
               created_by, created_at, activated_at) VALUES ($1, 'prod', 24012, 1, 'first, from the authority', '00FF', 'PEM', $2, $3, true, 'store:Borrowdale', $2, $2)",
            &[&self.tenant.0, &ago(self.now, 2_000), &(self.now + jiff::SignedDuration::from_hours(9 * 24))],
        )
        .await;
    }
}

/// A receipt of an ordinary day: groceries with and without tax, paid in cash, by card or wallet, some in ZWG, one note.
fn receipt(place: i32, number: i32, date: DateTime) -> Receipt {
    let is_note = place == 13;
    let currency = if place % 9 == 4 { "ZWG" } else { "USD" };
    let sign = if is_note { "-" } else { "" };
    let cents = 100 + (place * 37) % 900;
    let kind = if is_note {
        "CreditNote"
    } else {
        "FiscalInvoice"
    };
    let note = if is_note {
        format!(
            r#""receiptNotes":"Bottle was leaking","creditDebitNote":{{"deviceID":24001,"receiptGlobalNo":{},"fiscalDayNo":61}},"#,
            number - 1
        )
    } else {
        String::new()
    };
    let head = format!(
        r#"{{"receiptType":"{kind}","receiptCurrency":"{currency}","invoiceNo":"P-{number:06}",{note}"receiptLinesTaxInclusive":true,"receiptLines":[
          {{"receiptLineType":"Sale","receiptLineName":"Bread, white, 700 g","receiptLineHSCode":"19059090","receiptLinePrice":{sign}1.30,"receiptLineQuantity":{},"taxID":2,"taxPercent":0}},
          {{"receiptLineType":"Sale","receiptLineName":"Cooking oil 2 l","receiptLineHSCode":"15121910","receiptLinePrice":{sign}{}.{:02},"receiptLineQuantity":{},"taxID":517,"taxPercent":15.5}}]"#,
        1 + place % 3,
        cents / 100,
        cents % 100,
        1 + place % 2,
    );
    let numbers = Numbers {
        counter: ReceiptCounter::new(u32::try_from(place + 1).unwrap()).unwrap(),
        global_no: ReceiptGlobalNo::new(u32::try_from(number).unwrap()).unwrap(),
        date,
    };
    let made = |text: &str| {
        let (draft, findings) = Draft::read(text.as_bytes());
        assert!(findings.is_empty(), "{findings:?}");
        let known = Known {
            numbers: Some(numbers),
            ..Known::default()
        };
        compose(&draft, &known).0
    };
    let total = made(&format!("{head}}}")).total;
    let how = ["Cash", "Card", "Cash", "MobileWallet"][usize::try_from(place % 4).unwrap()];
    in_signing_order(made(&format!(
        r#"{head},"receiptPayments":[{{"moneyTypeCode":"{how}","paymentAmount":{total}}}]}}"#
    )))
}
