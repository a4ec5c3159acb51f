//! A store as these tests play it: its lines are posted as the store's own.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sync_wire::chain::ChainHash;
use sync_wire::command::{Command, CommandDone, CommandOutcome, Order};
use sync_wire::enrol::{Enrol, Enrolled};
use sync_wire::entry::{
    Attempt, AttemptKind, AttemptOutcome, DayClosed, DayOpened, Entry, ReceiptIssued,
};
use sync_wire::exchange::{Down, Up};
use sync_wire::seal::SealKey;
use sync_wire::settings::StoreSettings;
use sync_wire::state::{
    CertificateState, DayState, HeadState, ParkedState, QueueState, StoreState, TillState, Wanted,
};
use sync_wire::{Environment, TillRef};
use uuid::Uuid;

pub(crate) use crate::support::Admin;
use crate::support::Test;

/// A till's ledger.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    pub(crate) day: Option<(u32, i64, u32)>,
    /// When the last day was opened, local time.
    pub(crate) opened: String,
    pub(crate) last_day: u32,
    pub(crate) last: u32,
    pub(crate) sent: u32,
    pub(crate) parked: Option<String>,
    pub(crate) certificate: Option<CertificateState>,
    /// Number, event, when.
    pub(crate) waiting: Vec<(u32, i64, i64)>,
    /// Cents of sales with tax, and of tax.
    pub(crate) sums: (i64, i64),
}

/// A store.
pub(crate) struct Store<'a> {
    test: &'a Test,
    pub(crate) id: Uuid,
    pub(crate) secret: String,
    pub(crate) seal_key: SealKey,
    epoch: Uuid,
    seq: i64,
    acked: (i64, ChainHash),
    lines: Vec<Vec<u8>>,
    seen: i64,
    pub(crate) wanted: Wanted,
    pub(crate) commands: Vec<Command>,
    pub(crate) tills: BTreeMap<TillRef, Ledger>,
    pub(crate) skew_ms: i64,
    /// Why its ledger takes no writes.
    pub(crate) fault: Option<String>,
    pub(crate) line: &'static str,
    /// It switches new sales as it is told.
    pub(crate) switches: bool,
    /// What holds in it; none: its gateway does not tell.
    pub(crate) settings: Option<StoreSettings>,
}

impl<'a> Store<'a> {
    /// A new store of this name, which has joined.
    pub(crate) async fn of_new(test: &'a Test, admin: &Admin<'_>, name: &str) -> Self {
        let (_, code) = admin.new_store(name).await;
        Self::join(test, &code).await
    }

    /// Joins with a code.
    pub(crate) async fn join(test: &'a Test, code: &str) -> Self {
        let (seal_key, public) = SealKey::new().unwrap();
        let enrol = Enrol {
            protocol: sync_wire::VERSION,
            code: code.to_owned(),
            seal_key: public,
            version: "0.1.0".to_owned(),
            tills: Vec::new(),
        };
        let answer = test
            .http
            .post(test.url("/sync/enrol"))
            .json(&enrol)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
        let enrolled: Enrolled = answer.json().await.unwrap();
        Self {
            test,
            id: enrolled.store_id,
            secret: enrolled.secret,
            seal_key,
            epoch: Uuid::new_v4(),
            seq: 0,
            acked: (0, ChainHash::START),
            lines: Vec::new(),
            seen: 0,
            wanted: Wanted::default(),
            commands: Vec::new(),
            tills: BTreeMap::new(),
            skew_ms: 12,
            fault: None,
            line: "up",
            switches: true,
            settings: None,
        }
    }

    /// The till that new sales of this one go to instead.
    fn successor(&self, till: TillRef) -> Option<TillRef> {
        let mut switches = self.wanted.switches.iter();
        let to = switches.find(|switch| switch.from == till)?.to?;
        (self.switches && self.tills.contains_key(&to)).then_some(to)
    }

    fn now(&self) -> i64 {
        self.test.hq.now().as_millisecond()
    }

    pub(crate) fn local(&self) -> String {
        clock::local(self.test.hq.now())
            .strftime("%Y-%m-%dT%H:%M:%S")
            .to_string()
    }

    /// Something happens.
    pub(crate) fn tell(&mut self, till: Option<TillRef>, kind: &str, body: &impl Serialize) -> i64 {
        self.seq += 1;
        let entry = Entry::new(self.seq, self.now(), till, kind, body).unwrap();
        self.lines.push(entry.line().unwrap());
        self.seq
    }

    /// A till is registered in the store.
    pub(crate) fn add(&mut self, till: TillRef, certificate: CertificateState) {
        let ledger = Ledger {
            certificate: Some(certificate),
            ..Ledger::default()
        };
        self.tills.insert(till, ledger);
        let added = sync_wire::entry::TillAdded {
            serial_no: format!("SN-{}", till.device_id),
            model_name: "Server".to_owned(),
            model_version: "v1".to_owned(),
            invoice_prefix: format!("{}-", till.device_id),
        };
        self.tell(Some(till), "till.added", &added);
    }

    fn ledger(&mut self, till: TillRef) -> &mut Ledger {
        self.tills.get_mut(&till).unwrap()
    }

    /// FDMS is sent something, and this comes of it.
    pub(crate) fn attempt(
        &mut self,
        till: TillRef,
        (item, seq, number): (AttemptKind, i64, u32),
        outcome: AttemptOutcome,
    ) {
        let accepted = outcome == AttemptOutcome::Accepted;
        let attempt = Attempt {
            item,
            item_seq: seq,
            number,
            attempt: 1,
            outcome,
            http_status: Some(if accepted { 200 } else { 422 }),
            code: (!accepted).then(|| "RCPT020".to_owned()),
            operation_id: Some(format!("0HN{seq}:{number}")),
            color: None,
            error_message: (!accepted).then(|| "the signature does not verify".to_owned()),
            duration_ms: 40,
            answer: accepted.then(|| "{}".to_owned()),
            server_signature: accepted.then(|| "valid".to_owned()),
        };
        self.tell(Some(till), "fdms.attempt", &attempt);
    }

    pub(crate) fn open_day(&mut self, till: TillRef) -> u32 {
        let no = self.ledger(till).last_day + 1;
        let opened = DayOpened {
            fiscal_day_no: no,
            opened: self.local(),
            is_vat_payer: Some(true),
        };
        let seq = self.tell(Some(till), "day.opened", &opened);
        let ledger = self.ledger(till);
        ledger.opened = opened.opened;
        ledger.day = Some((no, seq, 0));
        ledger.last_day = no;
        ledger.sums = (0, 0);
        self.attempt(
            till,
            (AttemptKind::OpenDay, seq, no),
            AttemptOutcome::Accepted,
        );
        no
    }

    /// A sale: cents with tax, of which 15 % is tax. It waits for FDMS.
    pub(crate) fn sell(&mut self, till: TillRef, cents: i64) -> u32 {
        let tax = cents * 15 / 115;
        let date = self.local();
        let ledger = self.ledger(till);
        let (day, day_seq, counter) = ledger.day.unwrap();
        ledger.day = Some((day, day_seq, counter + 1));
        ledger.last += 1;
        ledger.sums = (ledger.sums.0 + cents, ledger.sums.1 + tax);
        let number = ledger.last;
        let hash = STANDARD.encode(Sha256::digest(format!("{till} {number} {cents}")));
        let receipt = ReceiptIssued {
            fiscal_day_no: day,
            receipt_global_no: number,
            receipt_counter: counter + 1,
            receipt_type: "FiscalInvoice".to_owned(),
            receipt_currency: "USD".to_owned(),
            receipt_total: cents,
            receipt_date: date,
            invoice_no: format!("{}-{number}", till.device_id),
            hash: hash.clone(),
            signature: hash.clone(),
            public_key: hash.clone(),
            body: json!({ "receipt": { "receiptTaxes": [{ "taxID": 1, "taxPercent": 15,
                "taxAmount": money(tax), "salesAmountWithTax": money(cents) }] } })
            .to_string(),
            key: None,
            fingerprint: hash,
            original_seq: None,
            print: None,
        };
        let seq = self.tell(Some(till), "receipt.issued", &receipt);
        let now = self.now();
        self.ledger(till).waiting.push((number, seq, now));
        number
    }

    /// The first that waits is sent.
    pub(crate) fn send(&mut self, till: TillRef, outcome: AttemptOutcome) {
        let (number, seq, _) = self.ledger(till).waiting[0];
        self.attempt(till, (AttemptKind::SubmitReceipt, seq, number), outcome);
        if outcome == AttemptOutcome::Accepted {
            let ledger = self.ledger(till);
            ledger.waiting.remove(0);
            ledger.sent = number;
        } else {
            self.park(till, "FDMS does not take a receipt");
        }
    }

    pub(crate) fn park(&mut self, till: TillRef, reason: &str) {
        self.ledger(till).parked = Some(reason.to_owned());
        self.tell(Some(till), "stream.parked", &reason);
    }

    pub(crate) fn close_day(&mut self, till: TillRef) {
        let closed = self.local();
        let ledger = self.ledger(till);
        let (no, day_seq, counter) = ledger.day.take().unwrap();
        let (sales, tax) = ledger.sums;
        let counter_of = |kind: &str, cents: i64| {
            json!({ "fiscalCounterType": kind, "fiscalCounterCurrency": "USD", "fiscalCounterTaxID": 1,
                "fiscalCounterTaxPercent": 15, "fiscalCounterValue": money(cents) })
        };
        let body = json!({ "fiscalDayNo": no, "receiptCounter": counter,
            "fiscalDayCounters": [counter_of("SaleByTax", sales), counter_of("SaleTaxByTax", tax)] });
        let closed = DayClosed {
            fiscal_day_no: no,
            day_seq,
            closed,
            receipt_counter: counter,
            totals: String::new(),
            hash: "aGFzaA==".to_owned(),
            signature: "aGFzaA==".to_owned(),
            public_key: "aGFzaA==".to_owned(),
            body: body.to_string(),
        };
        let seq = self.tell(Some(till), "day.closed", &closed);
        self.attempt(
            till,
            (AttemptKind::CloseDay, seq, no),
            AttemptOutcome::Accepted,
        );
    }

    /// Speaks with head office until nothing is left to say; what is asked of the store is kept.
    pub(crate) async fn sync(&mut self) {
        let up = Up {
            protocol: sync_wire::VERSION,
            epoch: self.epoch,
            fork: None,
            after: self.acked.0,
            after_hash: self.acked.1,
            entries: u32::try_from(self.lines.len()).unwrap(),
            commands_seen: self.seen,
            state: self.state(),
        };
        let mut body = serde_json::to_string(&up).unwrap();
        for line in &self.lines {
            body.push('\n');
            body.push_str(std::str::from_utf8(line).unwrap());
        }
        body.push('\n');
        let url = self.test.url("/sync");
        let request = self
            .test
            .http
            .post(url)
            .bearer_auth(&self.secret)
            .body(body);
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert_eq!(status, 200, "{text}");
        let down: Down = serde_json::from_str(&text).unwrap();
        assert_eq!((down.acked, down.taken), (self.seq, up.entries));
        self.acked = (down.acked, down.hash);
        self.lines.clear();
        for command in down.commands {
            self.seen = command.no;
            self.commands.push(command);
        }
        self.wanted = down.wanted;
    }

    /// The next command; it must be of this kind.
    pub(crate) fn command(&mut self, kind: &str) -> Command {
        assert!(!self.commands.is_empty(), "nothing was asked");
        let command = self.commands.remove(0);
        assert_eq!(command.order.kind(), kind);
        command
    }

    /// A command has ended.
    pub(crate) fn done(&mut self, command: &Command, outcome: CommandOutcome, number: Option<u32>) {
        let done = CommandDone {
            id: command.id,
            no: command.no,
            kind: command.order.kind().to_owned(),
            outcome,
            detail: "as asked".to_owned(),
            number,
            lines: None,
        };
        self.tell(command.order.till(), "hq.command", &done);
    }

    /// A controlled test submission, from the command to FDMS's word.
    pub(crate) fn submit_test(&mut self, command: &Command) -> u32 {
        let Order::SubmitTest { till } = command.order else {
            panic!("another command");
        };
        assert_eq!(till.environment, Environment::Test);
        let opens = self.ledger(till).day.is_none();
        if opens {
            self.open_day(till);
        }
        let number = self.sell(till, 100);
        self.send(till, AttemptOutcome::Accepted);
        self.done(command, CommandOutcome::Done, Some(number));
        number
    }

    fn state(&self) -> StoreState {
        let till = |(till, ledger): (&TillRef, &Ledger)| {
            let first = ledger.waiting.first();
            let head = first.map(|(number, seq, _)| HeadState {
                item: AttemptKind::SubmitReceipt,
                item_seq: *seq,
                number: *number,
                attempts: 1,
                next_attempt: self.now(),
                last_error: None,
                parked: ledger.parked.clone().map(|reason| ParkedState {
                    reason,
                    code: "RCPT020".to_owned(),
                }),
            });
            TillState {
                till: *till,
                serial_no: format!("SN-{}", till.device_id),
                model_name: "Server".to_owned(),
                model_version: "v1".to_owned(),
                invoice_prefix: format!("{}-", till.device_id),
                operating_mode: Some("Online".to_owned()),
                registered: true,
                hold: None,
                successor: self.successor(*till),
                day: ledger
                    .day
                    .map(|(fiscal_day_no, _, receipt_counter)| DayState {
                        fiscal_day_no,
                        opened: ledger.opened.clone(),
                        receipt_counter,
                    }),
                last_day_no: ledger.last_day,
                last_global_no: ledger.last,
                sent_day_no: ledger.last_day,
                sent_global_no: ledger.sent,
                queue: QueueState {
                    waiting: u32::try_from(ledger.waiting.len()).unwrap(),
                    oldest_at: first.map(|(_, _, at)| *at),
                    head,
                },
                certificate: ledger.certificate.clone(),
                line: self.line.to_owned(),
            }
        };
        StoreState {
            at: self.now(),
            last_seq: self.seq,
            version: "0.1.0".to_owned(),
            clock_skew_ms: Some(self.skew_ms),
            fault: self.fault.clone(),
            revision: self.wanted.revision,
            settings: self.settings.clone(),
            tills: self.tills.iter().map(till).collect(),
        }
    }
}

/// Cents as a JSON number, exactly.
fn money(cents: i64) -> Value {
    let text = format!("{}.{:02}", cents / 100, cents % 100);
    serde_json::from_str(&text).unwrap()
}

/// A till.
pub(crate) fn till(environment: Environment, device_id: u32) -> TillRef {
    TillRef {
        environment,
        device_id,
    }
}

/// A certificate that is good from the beginning of the tests for a year.
pub(crate) fn certificate(thumbprint: &str) -> CertificateState {
    let start = crate::support::start();
    CertificateState {
        thumbprint: thumbprint.to_owned(),
        not_before: start.as_millisecond(),
        not_after: start.as_millisecond() + 365 * 86_400_000,
    }
}
