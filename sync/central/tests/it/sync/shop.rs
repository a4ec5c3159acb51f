//! A shop that is made of lines: its ledger, as far as head office hears of it. The same seed gives the same shop.
//!
//! The measurement of load (`examples/load.rs`) is built from these too: receipts, attempts and prints are as long and
//! as many as a real shop's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use sync_wire::chain::ChainHash;
use sync_wire::entry::{
    Attempt, AttemptKind, AttemptOutcome, CertificateUsed, DayClosed, DayOpened, Entry, Fact,
    ReceiptIssued, TillAdded,
};
use sync_wire::exchange::{Fork, MAX_BYTES, Up};
use sync_wire::state::{DayState, HeadState, QueueState, StoreState, TillState};
use sync_wire::{Environment, TillRef};
use uuid::Uuid;

/// When its first event was: the moment at which tests begin.
const BEGAN: i64 = 1_779_948_000_000;
/// Receipts of a fiscal day.
const A_DAY: u32 = 40;

/// Numbers that look random, from a seed.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below this one.
    pub(crate) const fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count)
            .map(|_| u8::try_from(self.below(256)).unwrap())
            .collect()
    }

    pub(crate) fn uuid(&mut self) -> Uuid {
        Uuid::from_slice(&self.bytes(16)).unwrap()
    }
}

/// A line of a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) seq: i64,
    pub(crate) text: String,
}

/// A receipt as both sides know it: till, number, hash.
pub(crate) type ReceiptKey = (String, i32, i32, Vec<u8>);

/// A shop with one till. A clone is a backup.
#[derive(Debug, Clone)]
pub(crate) struct Shop {
    pub(crate) till: TillRef,
    pub(crate) lines: Vec<Line>,
    pub(crate) epoch: Uuid,
    pub(crate) fork: Option<Fork>,
    /// What head office has acknowledged to this very ledger.
    pub(crate) acked: i64,
    pub(crate) hash: ChainHash,
    /// The receipts of the ledger.
    pub(crate) receipts: Vec<ReceiptKey>,
    /// The last command that was kept.
    pub(crate) commands_seen: i64,
    /// The last wish that was put into effect.
    pub(crate) revision: i64,
    at: i64,
    day: Option<(u32, i64, u32)>,
    last_day: u32,
    last: u32,
    /// Receipts that wait for FDMS: number and event.
    waiting: Vec<(u32, i64)>,
    sent: u32,
    last_hash: String,
}

impl Shop {
    /// One that has its till and nothing else.
    pub(crate) fn new(device_id: u32, dice: &mut Dice) -> Self {
        Self::at(
            TillRef {
                environment: Environment::Test,
                device_id,
            },
            dice,
        )
    }

    pub(crate) fn at(till: TillRef, dice: &mut Dice) -> Self {
        let mut shop = Self {
            till,
            lines: Vec::new(),
            epoch: dice.uuid(),
            fork: None,
            acked: 0,
            hash: ChainHash::START,
            receipts: Vec::new(),
            commands_seen: 0,
            revision: 0,
            at: BEGAN,
            day: None,
            last_day: 0,
            last: 0,
            waiting: Vec::new(),
            sent: 0,
            last_hash: String::new(),
        };
        let added = TillAdded {
            serial_no: format!("SN-{}", till.device_id),
            model_name: "Server".to_owned(),
            model_version: "v1".to_owned(),
            invoice_prefix: format!("T{}-", till.device_id),
        };
        shop.tell("till.added", &added);
        shop
    }

    /// Something happens: one event.
    pub(crate) fn tell(&mut self, kind: &str, body: &impl serde::Serialize) -> i64 {
        self.tell_of(Some(self.till), kind, body)
    }

    pub(crate) fn tell_of(
        &mut self,
        till: Option<TillRef>,
        kind: &str,
        body: &impl serde::Serialize,
    ) -> i64 {
        self.at += 700;
        let last = self.last_seq();
        // The numbers of a ledger rise, not always by one.
        let seq = last + 1 + i64::from(last % 11 == 5);
        let entry = Entry::new(seq, self.at, till, kind, body).unwrap();
        let text = String::from_utf8(entry.line().unwrap()).unwrap();
        self.lines.push(Line { seq, text });
        seq
    }

    pub(crate) fn last_seq(&self) -> i64 {
        self.lines.last().map_or(0, |line| line.seq)
    }

    /// Local time of the last event.
    fn local(&self) -> String {
        let at = clock::Timestamp::from_millisecond(self.at).unwrap();
        clock::local(at).to_string()
    }

    pub(crate) fn open(&mut self) {
        self.last_day += 1;
        let opened = DayOpened {
            fiscal_day_no: self.last_day,
            opened: self.local(),
            is_vat_payer: Some(true),
        };
        let seq = self.tell("day.opened", &opened);
        self.day = Some((self.last_day, seq, 0));
        let attempt = attempt(AttemptKind::OpenDay, seq, self.last_day, 1);
        self.tell("fdms.attempt", &attempt);
        self.tell(
            "fdms.opened",
            &serde_json::json!({ "seq": seq, "attempt": 1 }),
        );
    }

    pub(crate) fn close(&mut self) {
        let Some((number, day_seq, counter)) = self.day.take() else {
            return;
        };
        self.send_all();
        let closed = DayClosed {
            fiscal_day_no: number,
            day_seq,
            closed: self.local(),
            receipt_counter: counter,
            totals: "{}".to_owned(),
            hash: self.last_hash.clone(),
            signature: self.last_hash.clone(),
            public_key: self.last_hash.clone(),
            body: format!(
                r#"{{"fiscalDayNo":{number},"fiscalDayCounters":[{{"fiscalCounterType":"SaleByTax","fiscalCounterCurrency":"USD","fiscalCounterTaxPercent":15.00,"fiscalCounterTaxID":3,"fiscalCounterValue":{counter}.50}}],"receiptCounter":{counter}}}"#
            ),
        };
        let seq = self.tell("day.closed", &closed);
        let attempt = attempt(AttemptKind::CloseDay, seq, number, 1);
        self.tell("fdms.attempt", &attempt);
        self.tell(
            "fdms.closed",
            &serde_json::json!({ "seq": seq, "attempt": 1 }),
        );
    }

    /// A receipt is issued and printed; it waits for FDMS.
    pub(crate) fn sell(&mut self, dice: &mut Dice) {
        let key = dice.uuid().to_string();
        self.sell_under(&key, dice);
    }

    /// As [`Shop::sell`], under this key.
    pub(crate) fn sell_under(&mut self, key: &str, dice: &mut Dice) {
        if self.day.is_none() {
            self.open();
        }
        self.last += 1;
        let Some((day, _, counter)) = &mut self.day else {
            return;
        };
        *counter += 1;
        let (day, counter) = (*day, *counter);
        let date = self.local();
        let mut receipt = receipt(self.till, self.last, counter, day, &date, dice);
        receipt.key = Some(key.to_owned());
        self.last_hash.clone_from(&receipt.hash);
        let hash = STANDARD.decode(&receipt.hash).unwrap();
        let (environment, device) = (self.till.environment.as_str(), self.till.device_id);
        let device = i32::try_from(device).unwrap();
        let number = i32::try_from(self.last).unwrap();
        self.receipts
            .push((environment.to_owned(), device, number, hash));
        let seq = self.tell("receipt.issued", &receipt);
        self.waiting.push((self.last, seq));
        self.tell("print.done", &format!("{seq}"));
    }

    /// The first that waits is sent; this comes of it.
    pub(crate) fn send(&mut self, outcome: AttemptOutcome, tried: u32, dice: &mut Dice) {
        let Some((number, item_seq)) = self.waiting.first().copied() else {
            return;
        };
        let mut attempt = attempt(AttemptKind::SubmitReceipt, item_seq, number, tried);
        attempt.outcome = outcome;
        if outcome != AttemptOutcome::Accepted {
            attempt.http_status = Some(if outcome == AttemptOutcome::Refused {
                422
            } else {
                503
            });
            attempt.code = (outcome == AttemptOutcome::Refused).then(|| "RCPT020".to_owned());
            attempt.error_message = Some(format!("FDMS did not take receipt {number}"));
            (attempt.answer, attempt.server_signature) = (None, None);
            self.tell("fdms.attempt", &attempt);
            if outcome == AttemptOutcome::Refused {
                self.tell("stream.parked", &format!("FDMS refuses receipt {number}"));
            }
            return;
        }
        attempt.answer = Some(format!(
            r#"{{"receiptID":{},"serverDate":"{}","operationID":"0HN{:012X}","receiptServerSignature":{{"certificateThumbprint":"{:040x}","hash":"{}","signature":"{}"}}}}"#,
            dice.below(1 << 40),
            self.local(),
            dice.below(1 << 40),
            dice.below(1 << 40),
            STANDARD.encode(dice.bytes(32)),
            STANDARD.encode(dice.bytes(256)),
        ));
        self.waiting.remove(0);
        self.sent = number;
        self.tell("fdms.attempt", &attempt);
        self.tell(
            "fdms.receipt",
            &serde_json::json!({ "seq": item_seq, "attempt": tried }),
        );
    }

    fn send_all(&mut self) {
        let mut dice = Dice::new(u64::from(self.last));
        while !self.waiting.is_empty() {
            self.send(AttemptOutcome::Accepted, 1, &mut dice);
        }
    }

    /// A piece of a usual day: sales, what FDMS says of them, the day's end.
    pub(crate) fn live(&mut self, dice: &mut Dice) {
        self.sell(dice);
        match dice.below(20) {
            0 => self.send(AttemptOutcome::Later, 1, dice),
            1 => self.send(AttemptOutcome::Unknown, 1, dice),
            _ => self.send(AttemptOutcome::Accepted, 1, dice),
        }
        if self.waiting.len() > 3 {
            self.send(AttemptOutcome::Accepted, 2, dice);
        }
        if self.day.is_some_and(|(_, _, counter)| counter >= A_DAY) {
            self.close();
        }
    }

    /// How it is now.
    pub(crate) fn state(&self) -> StoreState {
        let head = self.waiting.first().map(|(number, seq)| HeadState {
            item: AttemptKind::SubmitReceipt,
            item_seq: *seq,
            number: *number,
            attempts: 0,
            next_attempt: self.at,
            last_error: None,
            parked: None,
        });
        let sent_day_no = self.last_day;
        StoreState {
            at: self.at,
            last_seq: self.last_seq(),
            version: "0.1.0".to_owned(),
            clock_skew_ms: Some(12),
            fault: None,
            revision: self.revision,
            settings: None,
            tills: vec![TillState {
                till: self.till,
                serial_no: format!("SN-{}", self.till.device_id),
                model_name: "Server".to_owned(),
                model_version: "v1".to_owned(),
                invoice_prefix: format!("T{}-", self.till.device_id),
                operating_mode: Some("Online".to_owned()),
                registered: true,
                hold: None,
                successor: None,
                day: self
                    .day
                    .map(|(fiscal_day_no, _, receipt_counter)| DayState {
                        fiscal_day_no,
                        opened: self.local(),
                        receipt_counter,
                    }),
                last_day_no: self.last_day,
                last_global_no: self.last,
                sent_day_no,
                sent_global_no: self.sent,
                queue: QueueState {
                    waiting: u32::try_from(self.waiting.len()).unwrap(),
                    oldest_at: None,
                    head,
                },
                certificate: None,
                line: "up".to_owned(),
            }],
        }
    }

    /// The lines after a number: so many at most, and no more than fit.
    pub(crate) fn after(&self, after: i64, most: usize) -> &[Line] {
        let from = self.lines.partition_point(|line| line.seq <= after);
        let rest = &self.lines[from..];
        let mut bytes = 0;
        let fit = rest.iter().take(most).take_while(|line| {
            bytes += line.text.len() + 1;
            bytes <= MAX_BYTES
        });
        &rest[..fit.count()]
    }

    /// The hash over its own lines up to one of them; none: it has no such line.
    pub(crate) fn hash_at(&self, at: i64) -> Option<ChainHash> {
        self.hash_from(0, ChainHash::START, at)
    }

    /// As [`Shop::hash_at`], walked from a line before it whose hash is known.
    pub(crate) fn hash_from(&self, from: i64, hash: ChainHash, at: i64) -> Option<ChainHash> {
        let start = self.lines.partition_point(|line| line.seq <= from);
        let end = self.lines.partition_point(|line| line.seq <= at);
        let is_line = at == 0 || end.checked_sub(1).map(|last| self.lines[last].seq) == Some(at);
        let lines = self.lines.get(start..end).unwrap_or_default().iter();
        is_line.then(|| lines.fold(hash, |hash, line| hash.then(line.text.as_bytes())))
    }

    /// The first line of a batch of so many lines.
    pub(crate) fn up(&self, entries: usize) -> Up {
        Up {
            protocol: sync_wire::VERSION,
            epoch: self.epoch,
            fork: self.fork.clone(),
            after: self.acked,
            after_hash: self.hash,
            entries: u32::try_from(entries).unwrap(),
            commands_seen: self.commands_seen,
            state: self.state(),
        }
    }

    /// The next batch, as text.
    pub(crate) fn batch(&self, most: usize) -> String {
        let lines = self.after(self.acked, most);
        let mut text = serde_json::to_string(&self.up(lines.len())).unwrap();
        for line in lines {
            text.push('\n');
            text.push_str(&line.text);
        }
        text
    }

    /// Begins a new series where head office last acknowledged something to this ledger.
    pub(crate) fn begin_anew(&mut self, epoch: Uuid) {
        self.fork = Some(Fork {
            parent: self.epoch,
            at: self.acked,
            hash: self.hash,
            reason: "the ledger was put back from a backup".to_owned(),
        });
        self.epoch = epoch;
    }

    /// The ledger as it is built again from its lines.
    pub(crate) fn built_again(&self, lines: &[String]) -> Self {
        let mut shop = self.clone();
        (shop.lines, shop.receipts, shop.waiting) = (Vec::new(), Vec::new(), Vec::new());
        (shop.day, shop.last_day, shop.last, shop.sent) = (None, 0, 0, 0);
        (shop.fork, shop.commands_seen, shop.revision) = (None, 0, 0);
        for text in lines {
            let entry = Entry::read(text.as_bytes()).unwrap();
            shop.at = entry.at;
            shop.put_in(entry.seq, entry.fact().unwrap());
            shop.lines.push(Line {
                seq: entry.seq,
                text: text.clone(),
            });
        }
        shop
    }

    fn put_in(&mut self, seq: i64, fact: Fact) {
        match fact {
            Fact::DayOpened(day) => {
                self.last_day = day.fiscal_day_no;
                self.day = Some((self.last_day, seq, 0));
            }
            Fact::DayClosed(_) => self.day = None,
            Fact::ReceiptIssued(receipt) => {
                self.last = receipt.receipt_global_no;
                self.waiting.push((self.last, seq));
                if let Some((_, _, counter)) = &mut self.day {
                    *counter = receipt.receipt_counter;
                }
                let environment = self.till.environment.as_str().to_owned();
                let device = i32::try_from(self.till.device_id).unwrap();
                let number = i32::try_from(self.last).unwrap();
                let hash = STANDARD.decode(&receipt.hash).unwrap();
                self.receipts.push((environment, device, number, hash));
                self.last_hash = receipt.hash;
            }
            Fact::Attempt(attempt)
                if attempt.item == AttemptKind::SubmitReceipt
                    && attempt.outcome == AttemptOutcome::Accepted =>
            {
                self.waiting.retain(|(number, _)| *number != attempt.number);
                self.sent = attempt.number;
            }
            _ => {}
        }
    }

    /// A till's certificate is used.
    pub(crate) fn certify(&mut self, pem: &str, thumbprint: &str) {
        let used = CertificateUsed {
            certificate: pem.to_owned(),
            thumbprint: thumbprint.to_owned(),
            public_key: STANDARD.encode([4; 65]),
        };
        self.tell("certificate.used", &used);
    }
}

/// An attempt that FDMS accepts.
fn attempt(item: AttemptKind, item_seq: i64, number: u32, attempt: u32) -> Attempt {
    Attempt {
        item,
        item_seq,
        number,
        attempt,
        outcome: AttemptOutcome::Accepted,
        http_status: Some(200),
        code: None,
        operation_id: Some(format!("0HN7{item_seq:09X}:{number:08}")),
        color: None,
        error_message: None,
        duration_ms: 180 + number % 97,
        answer: Some(format!(r#"{{"operationID":"0HN7{item_seq:09X}"}}"#)),
        server_signature: Some("valid".to_owned()),
    }
}

/// A receipt with a few lines, as long as a real one.
fn receipt(
    till: TillRef,
    number: u32,
    counter: u32,
    day: u32,
    date: &str,
    dice: &mut Dice,
) -> ReceiptIssued {
    let hash = Sha256::digest(dice.bytes(32));
    let hash = STANDARD.encode(hash);
    let signature = STANDARD.encode(dice.bytes(64));
    let mut lines = Vec::new();
    let mut total: i64 = 0;
    for line in 1..=2 + dice.below(5) {
        let cents = 50 + i64::try_from(dice.below(4_950)).unwrap();
        total += cents;
        let price = format!("{}.{:02}", cents / 100, cents % 100);
        lines.push(format!(
            r#"{{"receiptLineType":"Sale","receiptLineNo":{line},"receiptLineHSCode":"{:08}","receiptLineName":"Item number {:05} of the shelf","receiptLinePrice":{price},"receiptLineQuantity":1,"receiptLineTotal":{price},"taxPercent":15.00,"taxID":3}}"#,
            dice.below(99_999_999),
            dice.below(99_999),
        ));
    }
    let amount = format!("{}.{:02}", total / 100, total % 100);
    let invoice_no = format!("T{}-{number}", till.device_id);
    let body = format!(
        r#"{{"receipt":{{"receiptType":"FiscalInvoice","receiptCurrency":"USD","receiptCounter":{counter},"receiptGlobalNo":{number},"invoiceNo":"{invoice_no}","receiptNotes":"Thank you for your visit","receiptDate":"{date}","receiptLinesTaxInclusive":true,"receiptLines":[{}],"receiptTaxes":[{{"taxPercent":15.00,"taxID":3,"taxAmount":{amount},"salesAmountWithTax":{amount}}}],"receiptPayments":[{{"moneyTypeCode":"Cash","paymentAmount":{amount}}}],"receiptTotal":{amount},"receiptPrintForm":"Receipt48","receiptDeviceSignature":{{"hash":"{hash}","signature":"{signature}"}}}}}}"#,
        lines.join(","),
    );
    ReceiptIssued {
        fiscal_day_no: day,
        receipt_global_no: number,
        receipt_counter: counter,
        receipt_type: "FiscalInvoice".to_owned(),
        receipt_currency: "USD".to_owned(),
        receipt_total: total,
        receipt_date: date.to_owned(),
        invoice_no,
        hash,
        signature,
        public_key: STANDARD.encode([4; 65]),
        body,
        key: None,
        fingerprint: STANDARD.encode(dice.bytes(32)),
        original_seq: None,
        print: Some(r#"{"cashier":"Tendai M.","lane":"3"}"#.to_owned()),
    }
}
